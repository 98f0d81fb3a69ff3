"""What can happen to a station. Commands are imperative and say who waits; observations are past tense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from edged.domain.answers import TransferStatus
from edged.domain.commands import Command
from edged.domain.credentials import LinkFailure
from edged.domain.effects import Record
from edged.domain.hardware import ActionOutcome, Observation
from edged.domain.jobs import Outcome, Stage
from edged.domain.past import PastReset
from edged.domain.policy import Policy
from edged.domain.types import IdToken, IdTokenInfo, PersonalMessage, RequestRef

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
    """First event after loading. `continued`: the computer did not restart in between, so charging went on.
    `unexpected`: the last run ended without a word (a crash, a power cut). `resets_elsewhere`: those of the gateway's
    other stations, as `restarts.elsewhere` puts them."""

    continued: bool
    unexpected: bool = False
    resets_elsewhere: tuple[PastReset, ...] = ()


# --- the link to the CSMS


@dataclass(frozen=True, slots=True)
class LinkUp:
    """`access`: the number of the `Access` with which the line was opened."""

    access: int = 0


@dataclass(frozen=True, slots=True)
class VersionAgreed:
    """The line that is about to be reported speaks by other rules than the last one: those of `policy`, with the values
    of configuration keys that follow from them."""

    policy: Policy
    computed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LinkFailed:
    """An attempt to open the line failed. `access` as in `LinkUp`; `reason` is for people."""

    access: int
    failure: LinkFailure
    reason: str


@dataclass(frozen=True, slots=True)
class LinkProven:
    """The CSMS has said something on a line: a call or an answer. `access` as in `LinkUp`."""

    access: int


@dataclass(frozen=True, slots=True)
class LinkDown:
    """`access` as in `LinkUp`; None: it says nothing of the way."""

    reason: str
    access: int | None = None


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
    """The CSMS has processed a record. `external_ref`: its own name for the transaction, where it gives one; `cost` and
    `message`: what the driver is to be told of the price."""

    seq: int
    record: Record
    external_ref: int | None = None
    info: IdTokenInfo | None = None
    cost: float | None = None
    message: PersonalMessage | None = None


@dataclass(frozen=True, slots=True)
class RecordGivenUp:
    """All attempts are used up, or this version has no words for the record: it is dropped and said so."""

    seq: int
    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class SigningAnswer:
    """The CSMS will have the request signed, or not."""

    accepted: bool


@dataclass(frozen=True, slots=True)
class DataAnswer:
    status: TransferStatus
    data: str | None


@dataclass(frozen=True, slots=True)
class PageTaken:
    """The CSMS has a page of a report."""


@dataclass(frozen=True, slots=True)
class QuestionAnswered:
    """`answer` None: none in time, a CALLERROR (then `refused` says which), or the line went."""

    ticket: str
    answer: SigningAnswer | DataAnswer | PageTaken | None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class JobStaged:
    """A job has come so far; it goes on."""

    ticket: str
    stage: Stage


@dataclass(frozen=True, slots=True)
class JobDone:
    """A job's end, good or bad."""

    ticket: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class SuspicionRaised:
    """A shell has noticed something that the security log must have (`security_event.SecurityEvent`'s words)."""

    event_type: str
    info: str


Happening = (
    ConnectorObserved
    | ChargerLost
    | ActionPerformed
    | PresentToken
    | Tick
    | Started
    | LinkUp
    | LinkProven
    | LinkDown
    | LinkFailed
    | VersionAgreed
    | BootAnswered
    | BootFailed
    | RegistrationLost
    | TimeTold
    | TokenAnswered
    | QuestionAnswered
    | JobStaged
    | JobDone
    | SuspicionRaised
    | RecordDelivered
    | RecordGivenUp
)
Event = Command | Happening
