"""What a station can be told to do, by its CSMS or by local people: imperative, and each says who waits.

Data only. What a command means is its functional block's; which commands a version has is its dialect's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from edged.domain.charging import ChargingProfile
from edged.domain.charging_commands import ChargingCommand
from edged.domain.credentials import CertificateHash, CertificateUse, NetworkProfile
from edged.domain.displays import DisplayMessage, MessagePriority, MessageState
from edged.domain.effects import NoticeKind
from edged.domain.files import FirmwareOrder, LogOrder
from edged.domain.local_commands import LocalCommand
from edged.domain.monitors import MonitoringCommand
from edged.domain.types import IdToken, IdTokenInfo, RequestRef
from edged.domain.variables import VariableCommand

# --- reservations, starts and stops, hardware


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
    """Remote start. `connector` and `evse` None: the station chooses; 0 is neither. `group_told`: the version names the
    token's group, and None is that it has none (2.x F01.FR.21, 22). `acceptable` False: the dialect found something in
    the request that must be answered Rejected (a profile that is no TxProfile, or another transaction's)."""

    request: RequestRef
    id_token: IdToken
    connector: int | None = None
    evse: int | None = None
    group: IdToken | None = None
    group_told: bool = False
    remote_start_id: int | None = None
    profile: ChargingProfile | None = None
    acceptable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStop:
    """Remote stop by our id, by the CSMS's reference, or by connector: exactly one is given."""

    request: RequestRef
    transaction_id: str | None = None
    external_ref: int | None = None
    connector: int | None = None


@dataclass(frozen=True, slots=True)
class GetTransactionStatus:
    """By our id; None: of all transactions together."""

    request: RequestRef
    transaction_id: str | None


@dataclass(frozen=True, slots=True)
class UnlockConnector:
    """The place by its number, or by its EVSE and its place there. `ends_transaction` False: not while an authorized
    transaction runs."""

    request: RequestRef
    connector: int | None = None
    evse: int | None = None
    connector_id: int | None = None
    ends_transaction: bool = True


@dataclass(frozen=True, slots=True)
class ChangeAvailability:
    """The place by its number, or an EVSE, or a connector of one; 0 is the station."""

    request: RequestRef
    connector: int | None
    operative: bool
    evse: int | None = None
    connector_id: int | None = None


class ResetKind(StrEnum):
    SOFT = "Soft"  # end gracefully, restart the service
    HARD = "Hard"  # energy off, restart what gateway.hard_reset says
    ON_IDLE = "OnIdle"  # as soon as nothing is going on that it could disturb


@dataclass(frozen=True, slots=True)
class ResetStation:
    """`evse`: only this EVSE's charger."""

    request: RequestRef
    kind: ResetKind
    evse: int | None = None


@dataclass(frozen=True, slots=True)
class SetConfiguration:
    """`value` may be a password: no repr shows it. `custom_only`: not a key of the standard."""

    request: RequestRef
    key: str
    value: str = field(repr=False)
    custom_only: bool = False


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
    """`wanted` None: this version, or this station, has no such message. The place by its number, or by its EVSE and
    its place there; none: every one."""

    request: RequestRef
    wanted: NoticeKind | None
    connector: int | None = None
    evse: int | None = None
    connector_id: int | None = None


@dataclass(frozen=True, slots=True)
class TriggerSigning:
    """Make a new key pair and have it signed (1.6 ExtendedTriggerMessage SignChargePointCertificate)."""

    request: RequestRef


# --- tokens


@dataclass(frozen=True, slots=True)
class ListChange:
    """One entry of an update; `info` None takes the token out."""

    id_token: IdToken
    info: IdTokenInfo | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendLocalList:
    """`full`: these entries and no others."""

    request: RequestRef
    version: int
    full: bool
    changes: tuple[ListChange, ...]


@dataclass(frozen=True, slots=True)
class GetLocalListVersion:
    request: RequestRef


# --- files


@dataclass(frozen=True, slots=True)
class UpdateFirmware:
    request: RequestRef
    order: FirmwareOrder


@dataclass(frozen=True, slots=True)
class GetLog:
    """GetDiagnostics too. The order's filename is the station's to choose: the dialect leaves it empty."""

    request: RequestRef
    order: LogOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class TellCustomer:
    """CustomerInformation: tell what is kept of a customer, take it away, or both. The customer is named by a token, a
    certificate or a name of the CSMS's own."""

    request: RequestRef
    request_id: int
    report: bool
    clear: bool
    id_token: IdToken | None = None
    certificate: CertificateHash | None = None
    identifier: str | None = None


# --- certificates


@dataclass(frozen=True, slots=True)
class InstallCertificate:
    """`use` None: one that this station has none for."""

    request: RequestRef
    use: CertificateUse | None
    pem: str


@dataclass(frozen=True, slots=True)
class DeleteCertificate:
    request: RequestRef
    hash: CertificateHash


@dataclass(frozen=True, slots=True, kw_only=True)
class SetNetworkProfile:
    """Write a slot (2.x B09). `profile` None: it asks for something that this station does not have, named in
    `lacking`."""

    request: RequestRef
    slot: int
    profile: NetworkProfile | None
    lacking: str = ""


@dataclass(frozen=True, slots=True)
class GetInstalledCertificates:
    """`uses` None: every kind."""

    request: RequestRef
    uses: tuple[CertificateUse, ...] | None


@dataclass(frozen=True, slots=True)
class AcceptSignedChain:
    """CertificateSigned: the CSMS sends the chain (PEM, leaf first) for a key of ours. `known_kind` False: it is to be
    shown to others than the CSMS, which this station does not do."""

    request: RequestRef
    chain: str
    known_kind: bool = True


# --- displays


@dataclass(frozen=True, slots=True)
class SetDisplayMessage:
    request: RequestRef
    message: DisplayMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class GetDisplayMessages:
    """Those that fit all that is given; nothing given: all."""

    request: RequestRef
    request_id: int
    ids: frozenset[int] = frozenset()
    priority: MessagePriority | None = None
    state: MessageState | None = None


@dataclass(frozen=True, slots=True)
class ClearDisplayMessage:
    request: RequestRef
    message_id: int


@dataclass(frozen=True, slots=True)
class TellCost:
    """What a transaction costs so far, in the configured currency."""

    request: RequestRef
    transaction_id: str
    total: float


# --- free data and security events


@dataclass(frozen=True, slots=True)
class ReceiveData:
    """DataTransfer from the CSMS."""

    request: RequestRef
    vendor_id: str
    message_id: str | None
    data: str | None


@dataclass(frozen=True, slots=True)
class SendData:
    """DataTransfer to the CSMS, which a local actor asks for."""

    request: RequestRef
    vendor_id: str
    message_id: str | None
    data: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSecurityEvent:
    """A local actor reports a security event. `at` None: now. `critical` None: as the list of event types says."""

    request: RequestRef
    event_type: str
    info: str = ""
    critical: bool | None = None
    at: datetime | None = None


PlainCommand = (
    ReserveNow
    | CancelReservation
    | RequestStart
    | RequestStop
    | GetTransactionStatus
    | UnlockConnector
    | ChangeAvailability
    | ResetStation
    | SetConfiguration
    | GetConfiguration
    | ClearCache
    | TriggerMessage
    | TriggerSigning
    | SendLocalList
    | GetLocalListVersion
    | ChargingCommand
    | SetNetworkProfile
    | UpdateFirmware
    | GetLog
    | TellCustomer
    | InstallCertificate
    | DeleteCertificate
    | GetInstalledCertificates
    | AcceptSignedChain
    | SetDisplayMessage
    | GetDisplayMessages
    | ClearDisplayMessage
    | TellCost
    | ReceiveData
    | SendData
    | ReportSecurityEvent
)
"""Each of these is its own functional block's; the others go to one of theirs together."""

Command = PlainCommand | VariableCommand | MonitoringCommand | LocalCommand
