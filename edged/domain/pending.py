"""What takes several steps: operations that wait for the CSMS, a charger, a job or a deadline. True for this run only.

Data only. Deadlines are monotonic seconds of this boot (`_s`). A ticket names an operation for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edged.domain.charging import ChargingProfile
from edged.domain.commands import ResetKind
from edged.domain.credentials import CertificateUse
from edged.domain.effects import ReportKind
from edged.domain.files import FirmwareOrder
from edged.domain.types import IdToken, RequestRef, Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingToken:
    """A token that the CSMS is asked about. `connector` None cannot be: the place is chosen before asking."""

    ticket: str
    id_token: IdToken
    connector: int
    stop: bool
    remote: bool
    remote_start_id: int | None
    request: RequestRef | None
    until_s: float
    profile: ChargingProfile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingUnlock:
    """An unlock that waits for the contactor (`started` False) or for the charger's word about the lock.

    `since_s`: only what was read after it tells that the contactor is open.
    """

    ticket: str
    connector: int
    request: RequestRef
    until_s: float
    started: bool = False
    since_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingAvailability:
    """A change of availability that waits until the charger reports it. One request may wait for several connectors."""

    ticket: str
    connectors: frozenset[int]
    operative: bool
    station_wide: bool
    scheduled: bool
    request: RequestRef
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingData:
    """A DataTransfer that the CSMS has not answered."""

    ticket: str
    request: RequestRef
    vendor_id: str
    message_id: str | None
    data: str | None
    since: Stamp
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingCertificate:
    """A certificate that is being read and judged, for a command; `pem` as it came, `use` of a root."""

    ticket: str
    request: RequestRef
    pem: str
    until_s: float
    use: CertificateUse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingOrder:
    """A signed firmware update whose signing certificate is being judged."""

    ticket: str
    request: RequestRef
    order: FirmwareOrder
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingSigning:
    """A new key pair on its way to the CSMS. `key_id` None: it is being made. `repeats`: how often the request went
    out; `until_s`: when the key must be there, and then when the request goes out again without a chain
    (CertSigningWaitMinimum, doubled each time)."""

    ticket: str
    key_id: str | None = None
    csr: str = ""
    repeats: int = 0
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingReport:
    """A report of which a page is under way: `items` that the CSMS has not taken yet, from page `seq_no` on."""

    ticket: str
    kind: ReportKind
    request_id: int
    items: tuple[Any, ...]
    generated_at: Stamp
    seq_no: int = 0


Pending = (
    PendingToken
    | PendingUnlock
    | PendingAvailability
    | PendingData
    | PendingCertificate
    | PendingOrder
    | PendingSigning
    | PendingReport
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingReset:
    """A reset on its way: transactions are ended and answered; it waits for energy off, the chargers and the outbox.

    `chargers`: the tickets of those that have not told how their own reset went; `retries`: how many failures are
    still tried again (ResetRetries).
    """

    kind: ResetKind
    until_s: float
    chargers: frozenset[str] = frozenset()
    performed: bool = False
    retries: int = 0
    restarting: bool = False
