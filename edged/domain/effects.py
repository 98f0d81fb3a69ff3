"""What a step asks the world to do: only true edges. Everything level-triggered is derived from the station instead.

A `Record` is a durable fact for the CSMS: stored in the same commit as the step, encoded by a dialect when it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from edged.domain.charging import ChargingSchedule, LimitSource
from edged.domain.files import FirmwareStatus, LogKind, UploadStatus
from edged.domain.hardware import Action, Measurand
from edged.domain.jobs import Job
from edged.domain.journal import Entry
from edged.domain.monitors import MonitorEvent
from edged.domain.policy import Trigger
from edged.domain.types import IdToken, Phase, RequestRef, Stamp


class StopReason(StrEnum):
    """Why a transaction ended. Each version says it in its own words."""

    EMERGENCY_STOP = "EmergencyStop"
    EV_DISCONNECTED = "EVDisconnected"
    HARD_RESET = "HardReset"
    LOCAL = "Local"
    OTHER = "Other"
    POWER_LOSS = "PowerLoss"
    REBOOT = "Reboot"
    REMOTE = "Remote"
    SOFT_RESET = "SoftReset"
    UNLOCK_COMMAND = "UnlockCommand"
    DEAUTHORIZED = "DeAuthorized"
    MASTER_PASS = "MasterPass"
    STOPPED_BY_EV = "StoppedByEV"
    TIMEOUT = "Timeout"


class SampleContext(StrEnum):
    PERIODIC = "Sample.Periodic"
    CLOCK = "Sample.Clock"
    BEGIN = "Transaction.Begin"
    END = "Transaction.End"
    TRIGGER = "Trigger"


@dataclass(frozen=True, slots=True)
class SampledValue:
    """One measured value in the measurand's base unit (`hardware.Measurand`); `phase` is "L1", "L1-N", ... or None."""

    measurand: Measurand
    value: float
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """Values read at one moment."""

    at: Stamp
    context: SampleContext
    values: tuple[SampledValue, ...]


class RecordKind(StrEnum):
    STARTED = "started"
    UPDATED = "updated"
    ENDED = "ended"


class Lane(StrEnum):
    """Which durable queue a record waits in. Order holds within a lane; lanes may overtake each other (16-J-31)."""

    TRANSACTION = "transaction"
    NOTICE = "notice"
    SECURITY = "security"  # guaranteed delivery: never given up but for a CSMS that has no such message (16-J-33)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionRecord:
    """One fact of a transaction. `meter_wh`: the register at its start or end; `samples`: the values with it;
    `plugged`: whether a vehicle was connected."""

    kind: RecordKind
    transaction_id: str
    connector: int
    trigger: Trigger
    seq_no: int
    at: Stamp
    offline: bool
    phase: Phase
    id_token: IdToken | None = None
    reservation_id: int | None = None
    remote_start_id: int | None = None
    meter_wh: float | None = None
    reason: StopReason | None = None
    samples: tuple[Sample, ...] = ()
    plugged: bool = True


@dataclass(frozen=True, slots=True)
class MeterRecord:
    """Clock-aligned values of a connector without a transaction."""

    connector: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class LimitRecord:
    """The site has set a limit for an EVSE (0: for the station), or taken it away (`schedule` None)."""

    evse_id: int
    source: LimitSource
    schedule: ChargingSchedule | None


class ReservationEnd(StrEnum):
    EXPIRED = "Expired"
    REMOVED = "Removed"


@dataclass(frozen=True, slots=True)
class ReservationRecord:
    """A reservation that ended without its driver and without the CSMS asking for it."""

    reservation_id: int
    outcome: ReservationEnd


@dataclass(frozen=True, slots=True)
class SecurityRecord:
    """A security event that must reach the CSMS. `dropped`: it stands for so many others that found no room."""

    event_type: str
    at: Stamp
    info: str = ""
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class FirmwareRecord:
    """How far a firmware update is. `request_id` None: an unsigned one."""

    status: FirmwareStatus
    request_id: int | None = None


@dataclass(frozen=True, slots=True)
class LogRecord:
    """How far an upload is. `request_id` None: 1.6's GetDiagnostics."""

    status: UploadStatus
    kind: LogKind
    request_id: int | None = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """What monitors have told at one moment."""

    at: Stamp
    events: tuple[MonitorEvent, ...]

    @property
    def severity(self) -> int:
        """Of the most severe: the lowest number."""
        return min(event.severity for event in self.events)


Record = (
    TransactionRecord
    | MeterRecord
    | ReservationRecord
    | SecurityRecord
    | FirmwareRecord
    | LogRecord
    | LimitRecord
    | EventRecord
)


def lane_of(record: Record) -> Lane:
    """Transactions and meter values in one strict order, everything else beside them."""
    if isinstance(record, TransactionRecord | MeterRecord):
        return Lane.TRANSACTION
    return Lane.SECURITY if isinstance(record, SecurityRecord) else Lane.NOTICE


def transaction_of(record: Record) -> str | None:
    """The transaction that a record belongs to."""
    return record.transaction_id if isinstance(record, TransactionRecord) else None


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Store this record under this number, in the step's own commit."""

    seq: int
    record: Record


@dataclass(frozen=True, slots=True)
class Dequeue:
    """The CSMS has processed (or finally refused) this record: forget it, in the step's own commit."""

    seq: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The one answer to a command. `status` is the command's own enum (domain.answers), `data` its report; `detail`
    says why for people, `reason` for machines (`answers.Reason`, of a start also `answers.Hindrance`)."""

    request: RequestRef
    status: StrEnum
    detail: str = ""
    data: Any = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AskAuthorization:
    """Ask the CSMS about a token; the answer comes back as `TokenAnswered(ticket)`."""

    ticket: str
    id_token: IdToken


@dataclass(frozen=True, slots=True)
class SigningQuestion:
    """Have a certificate request (PEM) signed: SignCertificate."""

    csr: str


@dataclass(frozen=True, slots=True)
class DataQuestion:
    """DataTransfer to the CSMS."""

    vendor_id: str
    message_id: str | None
    data: str | None


class ReportKind(StrEnum):
    """What is told in pages, each the answer to an earlier command."""

    VARIABLES = "NotifyReport"
    MONITORS = "NotifyMonitoringReport"
    CUSTOMER = "NotifyCustomerInformation"
    DISPLAY_MESSAGES = "NotifyDisplayMessages"
    CHARGING_PROFILES = "ReportChargingProfiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPage:
    """One page of a report: CALLs of this version, one after the other. `seq_no` counts from 0, `more` says that
    another page follows. `items` are the kind's own (`domain.reporting`)."""

    kind: ReportKind
    request_id: int
    seq_no: int
    more: bool
    generated_at: Stamp
    items: tuple[Any, ...]


Question = SigningQuestion | DataQuestion | ReportPage


@dataclass(frozen=True, slots=True)
class Ask:
    """A CALL whose answer somebody waits for; it comes back as `QuestionAnswered(ticket)`. Perishable: without a line
    it is answered with None at once."""

    ticket: str
    question: Question


class NoticeKind(StrEnum):
    """Perishable messages: worthless once late, never stored."""

    BOOT = "BootNotification"
    HEARTBEAT = "Heartbeat"
    STATUS = "StatusNotification"
    TRANSACTION = "TransactionEvent"
    METER = "MeterValues"
    FIRMWARE_STATUS = "FirmwareStatusNotification"
    SIGNED_FIRMWARE_STATUS = "SignedFirmwareStatusNotification"
    DIAGNOSTICS_STATUS = "DiagnosticsStatusNotification"
    LOG_STATUS = "LogStatusNotification"


@dataclass(frozen=True, slots=True)
class Notify:
    """Send a perishable message now. `connector` 0 is the station; `sample` belongs to METER."""

    kind: NoticeKind
    connector: int | None = None
    sample: Sample | None = None
    transaction_id: str | None = None
    triggered: bool = False


@dataclass(frozen=True, slots=True)
class Perform:
    """A one-shot action on a charger; its outcome comes back as `ActionPerformed(ticket)`."""

    connector: int
    action: Action
    ticket: str


@dataclass(frozen=True, slots=True)
class LearnTime:
    """The CSMS told the time."""

    utc: datetime


@dataclass(frozen=True, slots=True)
class Commission:
    """Have a job done; it ends as `JobDone(ticket)`."""

    ticket: str
    job: Job


@dataclass(frozen=True, slots=True)
class Abandon:
    """Nobody wants this job's outcome any more."""

    ticket: str


@dataclass(frozen=True, slots=True)
class Keep:
    """Write an entry into its bounded journal, in the step's own commit."""

    entry: Entry


class RestartScope(StrEnum):
    SERVICE = "service"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Restart:
    """Last of all: start again."""

    scope: RestartScope


@dataclass(frozen=True, slots=True)
class Announce:
    """Something happened that people watch for: a line in the log, later an event on MQTT.

    `kind` is mqtt.md's event type ("reservation.expired"); `data` holds plain JSON values, tokens as `IdToken`.
    """

    kind: str
    connector: int | None
    data: Mapping[str, Any]


Effect = (
    Enqueue
    | Dequeue
    | Reply
    | AskAuthorization
    | Ask
    | Notify
    | Perform
    | Commission
    | Abandon
    | Keep
    | LearnTime
    | Restart
    | Announce
)
