"""What takes several steps: operations that wait for the CSMS, a charger, a job or a deadline. True for this run only.

Data only. Deadlines are monotonic seconds of this boot (`_s`). A ticket names an operation for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from edged.domain.charging import ChargingProfile
from edged.domain.commands import ResetKind
from edged.domain.credentials import CertificateUse
from edged.domain.effects import ReportKind
from edged.domain.files import FirmwareOrder
from edged.domain.hardware import Action
from edged.domain.local_commands import LockWish
from edged.domain.types import IdToken, RequestRef, Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingToken:
    """A token that the CSMS is asked about. `connector` None cannot be: the place is chosen before asking. `group`: of
    a remote start that named one; `group_told`: what it did not name counts as none for a reservation."""

    ticket: str
    id_token: IdToken
    connector: int
    stop: bool
    remote: bool
    remote_start_id: int | None
    request: RequestRef | None
    until_s: float
    profile: ChargingProfile | None = None
    group: IdToken | None = None
    group_told: bool = False


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
class PendingLock:
    """A wish for a lock that the charger has not confirmed. `since_s`: only what was read after it counts. `before`:
    whether it was kept locked until then."""

    ticket: str
    connector: int
    request: RequestRef
    wish: LockWish
    before: bool
    since_s: float
    until_s: float


class Reach(StrEnum):
    """Which flag a change of availability means."""

    CONNECTOR = "connector"  # a connector's own
    EVSE = "evse"
    STATION = "station"
    NUMBER = "number"  # of a connector that is named by its number: its own; into service its EVSE's too
    EVERYTHING = "everything"  # the number 0: the station's and that of every connector


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingAvailability:
    """A change of availability that waits until the charger reports it. One request may wait for several connectors.
    `evse`: whose flag it is, where it is an EVSE's."""

    ticket: str
    connectors: frozenset[int]
    operative: bool
    reach: Reach
    evse: int | None = None
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEvseReset:
    """A reset of one EVSE's charger: asked of it once no energy flows (`performed`), over when it is heard again after
    it was done (`done_s`), given up at `until_s`.

    `connector`: the one through which the charger is reached; `retries` as in `PendingReset`.
    """

    ticket: str
    evse: int
    connector: int
    action: Action
    until_s: float
    retries: int
    performed: bool = False
    done_s: float | None = None


Pending = (
    PendingToken
    | PendingUnlock
    | PendingLock
    | PendingAvailability
    | PendingData
    | PendingCertificate
    | PendingOrder
    | PendingSigning
    | PendingReport
    | PendingEvseReset
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
