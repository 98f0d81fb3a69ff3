"""What can happen to a station. Commands are imperative and say who waits; observations are past tense."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from edged.domain.effects import NoticeKind, Record
from edged.domain.hardware import ActionOutcome, Observation
from edged.domain.types import IdToken, IdTokenInfo, RequestRef

# --- the hardware and the people in front of it


@dataclass(frozen=True, slots=True)
class ConnectorObserved:
    connector: int
    observation: Observation


@dataclass(frozen=True, slots=True)
class ChargerLost:
    """The charger behind this connector stopped answering."""

    connector: int
    reason: str


@dataclass(frozen=True, slots=True)
class ActionPerformed:
    ticket: str
    outcome: ActionOutcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PresentToken:
    """A driver shows a token, at a reader or through the BMS. `connector` None: whichever waits for one."""

    id_token: IdToken
    connector: int | None = None
    request: RequestRef | None = None


# --- time and life


@dataclass(frozen=True, slots=True)
class Tick:
    """Once a second: everything that is due by time."""


@dataclass(frozen=True, slots=True)
class Started:
    """First event after loading. `continued`: the computer did not restart in between, so charging went on."""

    continued: bool


# --- the link to the CSMS


@dataclass(frozen=True, slots=True)
class LinkUp:
    pass


@dataclass(frozen=True, slots=True)
class LinkDown:
    reason: str


class Registration(StrEnum):
    NONE = "None"  # not asked, or not answered, in this boot
    PENDING = "Pending"
    REJECTED = "Rejected"
    ACCEPTED = "Accepted"


@dataclass(frozen=True, slots=True)
class BootAnswered:
    """`current_time` None: the answer's time could not be read. `interval_s` 0: the station chooses."""

    status: Registration
    current_time: datetime | None
    interval_s: int


@dataclass(frozen=True, slots=True)
class BootFailed:
    """No answer, or a CALLERROR, to BootNotification."""


@dataclass(frozen=True, slots=True)
class RegistrationLost:
    """The CSMS answers as one that has not accepted this station."""


@dataclass(frozen=True, slots=True)
class TimeTold:
    utc: datetime


@dataclass(frozen=True, slots=True)
class TokenAnswered:
    """`info` None: no answer in time, a CALLERROR, or the line went: treat as offline."""

    ticket: str
    info: IdTokenInfo | None


@dataclass(frozen=True, slots=True)
class RecordDelivered:
    """The CSMS has processed a record. `external_ref`: its own name for the transaction, where it gives one."""

    seq: int
    record: Record
    external_ref: int | None = None
    info: IdTokenInfo | None = None


@dataclass(frozen=True, slots=True)
class RecordGivenUp:
    """All attempts are used up, or this version has no words for the record: it is dropped and said so."""

    seq: int
    record: Record
    reason: str


# --- commands


@dataclass(frozen=True, slots=True)
class Target:
    """What a reservation is for: a connector, an EVSE, any EVSE with a connector type, or (all None) any at all."""

    connector: int | None = None
    evse: int | None = None
    connector_type: str | None = None

    @property
    def pinned(self) -> bool:
        return self.connector is not None or self.evse is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveNow:
    """`reservation_id` None: the station gives one (local commands only)."""

    request: RequestRef
    reservation_id: int | None
    target: Target
    id_token: IdToken
    group: IdToken | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CancelReservation:
    request: RequestRef
    reservation_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStart:
    """Remote start. `connector` None: the station chooses; 0 is never a connector. `acceptable` False: the dialect
    found something in the request that must be answered Rejected (1.6: a profile that is no TxProfile)."""

    request: RequestRef
    id_token: IdToken
    connector: int | None = None
    group: IdToken | None = None
    remote_start_id: int | None = None
    acceptable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStop:
    """Remote stop by our id, by the CSMS's reference, or by connector: exactly one is given."""

    request: RequestRef
    transaction_id: str | None = None
    external_ref: int | None = None
    connector: int | None = None


@dataclass(frozen=True, slots=True)
class UnlockConnector:
    request: RequestRef
    connector: int


@dataclass(frozen=True, slots=True)
class ChangeAvailability:
    """`connector` 0 is the station."""

    request: RequestRef
    connector: int
    operative: bool


class ResetKind(StrEnum):
    SOFT = "Soft"  # end gracefully, restart the service
    HARD = "Hard"  # energy off, restart what gateway.hard_reset says


@dataclass(frozen=True, slots=True)
class ResetStation:
    request: RequestRef
    kind: ResetKind


@dataclass(frozen=True, slots=True)
class SetConfiguration:
    request: RequestRef
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class GetConfiguration:
    """No keys: all of them."""

    request: RequestRef
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClearCache:
    request: RequestRef


@dataclass(frozen=True, slots=True)
class TriggerMessage:
    """`wanted` None: this version, or this station, has no such message."""

    request: RequestRef
    wanted: NoticeKind | None
    connector: int | None


@dataclass(frozen=True, slots=True)
class ReceiveData:
    """DataTransfer from the CSMS."""

    request: RequestRef
    vendor_id: str
    message_id: str | None
    data: str | None


Command = (
    ReserveNow
    | CancelReservation
    | RequestStart
    | RequestStop
    | UnlockConnector
    | ChangeAvailability
    | ResetStation
    | SetConfiguration
    | GetConfiguration
    | ClearCache
    | TriggerMessage
    | ReceiveData
)
Happening = (
    ConnectorObserved
    | ChargerLost
    | ActionPerformed
    | PresentToken
    | Tick
    | Started
    | LinkUp
    | LinkDown
    | BootAnswered
    | BootFailed
    | RegistrationLost
    | TimeTold
    | TokenAnswered
    | RecordDelivered
    | RecordGivenUp
)
Event = Command | Happening
