"""What the outside world was told by a daemon, and asked of it, each under the number that stands in its disk's log.

A note is taken when something has certainly been said: after a frame was received, before one is sent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.blocks import Disk

GONE = "gone"
LANES: Mapping[str, str] = {
    "StartTransaction": "transaction",
    "StopTransaction": "transaction",
    "MeterValues": "transaction",
    "TransactionEvent": "transaction",
    "ReservationStatusUpdate": "notice",
    "SecurityEventNotification": "security",
}
"""The calls of a station that are durable, and the queue that they come from."""
VARIABLES: Mapping[tuple[str, str], str] = {
    ("TxCtrlr", "EVConnectionTimeOut"): "ConnectionTimeOut",
    ("AlignedDataCtrlr", "Measurands"): "MeterValuesAlignedData",
    ("OCPPCommCtrlr", "ResetRetries"): "ResetRetries",
}
"""2.0.1's names of the keys that are changed."""

LATE_TRIGGERS = frozenset({"MeterValuePeriodic", "MeterValueClock", "ChargingStateChanged"})

Changes = Mapping[str, str]
"""What a request makes of facts: their names, and the values that they have when it was accepted."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The CSMS is about to ask for these changes."""

    changes: Changes


@dataclass(frozen=True, slots=True)
class Kept:
    """They were accepted."""

    changes: Changes


@dataclass(frozen=True, slots=True)
class Refused:
    """They were not."""

    changes: Changes


@dataclass(frozen=True, slots=True)
class Heard:
    """The station has sent a durable message."""

    lane: str
    message_id: str
    action: str
    payload: Mapping[str, Any]

    @property
    def may_lag(self) -> bool:
        """Meter values, and how a transaction stands: said again by the next, so the disk may have it later than the
        CSMS, or never."""
        if self.action == "MeterValues":
            return True
        told = {**self.payload, **self.payload.get("transactionInfo", {})}
        driver = told.keys() & {"idToken", "reservationId", "remoteStartId"}
        return told.get("eventType") == "Updated" and told["triggerReason"] in LATE_TRIGGERS and not driver

    @property
    def ends(self) -> str | None:
        """The transaction, in the CSMS's words, whose end this is."""
        if self.action == "StopTransaction":
            return str(self.payload["transactionId"])
        if self.payload.get("eventType") == "Ended":
            return str(self.payload["transactionInfo"]["transactionId"])
        return None


@dataclass(frozen=True, slots=True)
class Answered:
    """The CSMS is about to confirm a durable message. `transaction`: the number that it gives in 1.6."""

    message_id: str
    transaction: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What `edged status` told of the transactions: by our id whether it runs, and the CSMS's word for it, if known."""

    transactions: Mapping[str, tuple[bool, str | None]]


@dataclass(frozen=True, slots=True)
class Touched:
    """Somebody is about to do something at a connector (None: at any): plug, show a token, start or stop."""

    connector: int | None


@dataclass(frozen=True, slots=True)
class Powered:
    """The charger of a connector has closed its contactor, for somebody did something under number `since`."""

    connector: int
    since: int


@dataclass(frozen=True, slots=True)
class Begins:
    """A daemon is about to be started."""


@dataclass(frozen=True, slots=True)
class Serves:
    """It has told the CSMS that it booted."""


@dataclass(frozen=True, slots=True)
class Leaves:
    """It was asked to end, or to start again."""


@dataclass(frozen=True, slots=True)
class Ended:
    """It has ended; `clean`: by itself."""

    clean: bool


@dataclass(frozen=True, slots=True)
class Told:
    """Watchers were told an event: its number, its name for all times, the run that told it, and whether it matters
    little: then it may be lost, among the last ones of its run."""

    seq: int
    name: str
    boot: str
    matters_little: bool


@dataclass(frozen=True, slots=True)
class Replied:
    """A local order was carried out, and whoever gave it knows."""

    name: str


Note = (
    Asked
    | Kept
    | Refused
    | Heard
    | Answered
    | Seen
    | Touched
    | Powered
    | Begins
    | Serves
    | Leaves
    | Ended
    | Told
    | Replied
)


@dataclass(frozen=True, slots=True)
class Entered:
    """A note in the witness's journal. `station`: None, the daemon's own. `at_s`: the wall clock."""

    number: int
    at_s: float
    station: str | None
    note: Note


class Witness:
    """Notes with their numbers; each number lies on the disk, in order, before `note` returns."""

    def __init__(self, disk: Disk) -> None:
        self.journal: list[Entered] = []
        self._disk = disk

    def note(self, station: str | None, note: Note) -> int:
        """The number of the note."""
        number = len(self.journal) + 1
        self.journal.append(Entered(number, time.time(), station, note))
        self._disk.mark(number)
        return number


# --- what requests ask for


def changes_of(action: str, payload: Mapping[str, Any]) -> Changes:
    """The facts that a CSMS's request changes, in either version; none where it changes nothing that is kept."""
    match action:
        case "ChangeConfiguration":
            return {f"key {payload['key']}": payload["value"]}
        case "SetVariables":
            return {_key(one): one["attributeValue"] for one in payload["setVariableData"]}
        case "ReserveNow":
            number, place = payload.get("reservationId", payload.get("id")), payload.get("connectorId")
            return {f"reservation {number}": f"at {payload.get('evseId', place)}"}
        case "CancelReservation":
            return {f"reservation {payload['reservationId']}": GONE}
        case "ChangeAvailability":
            place = payload["evse"]["id"] if "evse" in payload else payload["connectorId"]
            return {f"availability {place}": payload.get("operationalStatus", payload.get("type"))}
        case "SendLocalList":
            number = payload.get("versionNumber", payload.get("listVersion"))
            tokens = sorted(_token(one) for one in payload["localAuthorizationList"])
            return {"list": f"{number}: {' '.join(tokens)}"}
        case "SetChargingProfile":
            profile = payload.get("csChargingProfiles", payload.get("chargingProfile"))
            return {f"profile {_profile_id(profile)}": f"{_limit(profile):g} A"}
        case "ClearChargingProfile":
            return {f"profile {payload.get('id', payload.get('chargingProfileId'))}": GONE}
        case "Reset":
            return {"boot reason": "RemoteReset"}
    return {}


def was_accepted(answer: Mapping[str, Any]) -> bool:
    results = answer.get("setVariableResult")
    status = answer["status"] if results is None else results[0]["attributeStatus"]
    return status in ("Accepted", "Scheduled")


def _key(one: Mapping[str, Any]) -> str:
    return f"key {VARIABLES[one['component']['name'], one['variable']['name']]}"


def _token(one: Mapping[str, Any]) -> str:
    return str(one["idToken"]["idToken"] if "idToken" in one else one["idTag"])


def _profile_id(profile: Mapping[str, Any]) -> int:
    return int(profile.get("chargingProfileId", profile.get("id", 0)))


def _limit(profile: Mapping[str, Any]) -> float:
    schedule = profile["chargingSchedule"]
    first = schedule[0] if isinstance(schedule, list) else schedule
    return float(first["chargingSchedulePeriod"][0]["limit"])
