"""What the CSMS of the virtual site says and hears in 2.0.1: its books of transactions, events and reports.

A part of `Central`, which owns the line, the moods and what every version shares. `sins` are the central's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edged.domain.station import Station
    from tests.fakes.central import Central

FAMILY = ("ALICE", "BOB")
REPORTS = (
    "NotifyReport",
    "NotifyMonitoringReport",
    "NotifyCustomerInformation",
    "NotifyDisplayMessages",
    "ReportChargingProfiles",
)
STATES = ("Charging", "SuspendedEV", "SuspendedEVSE", "EVConnected", "Idle")
ENERGY = "Energy.Active.Import.Register"
DELIVERING = frozenset({"Charging"})


def token(value: str, kind: str = "ISO14443") -> dict[str, Any]:
    return {"idToken": value, "type": kind}


@dataclass
class Course:
    """A transaction as it was told. `whole`: from its start on, so that nothing of it can be unknown here."""

    id: str
    whole: bool
    first: dict[str, Any]
    last: dict[str, Any]
    evse: int | None = None
    token: str | None = None
    energy_wh: float = 0.0
    offline_seen: bool = False

    @property
    def ended(self) -> bool:
        return bool(self.last["eventType"] == "Ended")

    @property
    def state(self) -> str:
        return str(self.last["transactionInfo"].get("chargingState", ""))


@dataclass
class Books:
    """`pages`: which page of a report is due next; `forgiven`: how often a transaction may leave numbers out: as
    often as its station has ended without a word."""

    central: Central
    courses: dict[str, Course] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    ended_reservations: list[dict[str, Any]] = field(default_factory=list)
    pages: dict[tuple[str, int], int] = field(default_factory=dict)
    limits: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    forgiven: Counter[str] = field(default_factory=Counter)

    def connected(self) -> None:
        """A report does not outlive its line."""
        self.pages.clear()

    def sin(self, text: str) -> None:
        self.central.sins.append(text)

    # --- what comes

    def answer(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """What the CSMS makes of a message that it hears for the first time."""
        match action:
            case "Authorize":
                return {"idTokenInfo": self.judge(payload["idToken"])}
            case "StatusNotification":
                self._status(payload)
            case "TransactionEvent":
                return self._event(payload)
            case "MeterValues":
                for wh in energies201(payload) if not triggered201(payload) else ():
                    self._register(payload["evseId"], wh, action)
            case "NotifyEvent":
                self.events.append(payload)
            case "ReservationStatusUpdate":
                self.ended_reservations.append(payload)
            case "NotifyChargingLimit" | "ClearedChargingLimit":
                self.limits.append((action, payload))
            case _ if action in REPORTS:
                self._page(action, payload)
            case _:
                pass
        return {}

    def judge(self, told: dict[str, Any]) -> dict[str, Any]:
        name = told["idToken"].upper()
        if name == "DAN":
            return {"status": "Blocked"}
        group = {"groupIdToken": token("FAMILY", "Central")} if name in FAMILY else {}
        if name == "MASTER":
            group = {"groupIdToken": token("MASTERS", "Central")}
        return {"status": "Accepted", **group}

    def _status(self, payload: dict[str, Any]) -> None:
        number = self.central.world.number_of(payload["evseId"], payload["connectorId"])
        if number is None:
            self.sin(f"a status of nothing: {payload}")
        else:
            self.central.statuses[number] = payload["connectorStatus"]

    # --- transactions

    def _event(self, payload: dict[str, Any]) -> dict[str, Any]:
        info = payload["transactionInfo"]
        ident, kind = info["transactionId"], payload["eventType"]
        course = self.courses.get(ident)
        if course is None:
            course = self._begin(ident, payload)
        else:
            self._go_on(course, payload)
        course.last = payload
        self._learn(course, payload)
        if info.get("chargingState") not in STATES:
            self.sin(f"{kind} of {ident} without a state")
        if (kind == "Ended") != ("stoppedReason" in info):
            self.sin(f"{kind} of {ident}: {info.get('stoppedReason')}")
        if (
            course.whole
            and not self.central.forgiving
            and info.get("chargingState") in DELIVERING
            and course.token is None
        ):
            self.sin(f"energy in {ident} before anybody was named")
        answer: dict[str, Any] = {}
        if "idToken" in payload:
            answer["idTokenInfo"] = self.judge(payload["idToken"])
        if self.central.world.random.random() < 0.2:
            answer["totalCost"] = 1.25
        return answer

    def _begin(self, ident: str, payload: dict[str, Any]) -> Course:
        whole = payload["eventType"] == "Started"
        if not whole and not self.central.forgiving:
            self.sin(f"{payload['eventType']} of {ident}, of which nobody has heard")
        if whole and payload["seqNo"] != 0:
            self.sin(f"{ident} starts with number {payload['seqNo']}")
        if whole and "evse" not in payload:
            self.sin(f"{ident} starts nowhere")
        course = Course(ident, whole, payload, payload)
        self.courses[ident] = course
        return course

    def _go_on(self, course: Course, payload: dict[str, Any]) -> None:
        kind = payload["eventType"]
        if course.ended:
            self.sin(f"{kind} of {course.id} behind its end")
        if kind == "Started":
            self.sin(f"{course.id} starts twice")
        expected = course.last["seqNo"] + 1
        leaves_out = payload["seqNo"] > expected and not self.forgiven[course.id]
        if payload["seqNo"] > expected:
            self.forgiven[course.id] -= 1
        if payload["seqNo"] < expected or (leaves_out and not self.central.forgiving):
            self.sin(f"{course.id}: number {payload['seqNo']} where {expected} is due")

    def _learn(self, course: Course, payload: dict[str, Any]) -> None:
        evse = payload.get("evse", {}).get("id")
        if evse is not None:
            if course.evse not in (None, evse):
                self.sin(f"{course.id} moves from {course.evse} to {evse}")
            course.evse = evse
        stopping = payload["triggerReason"] in ("StopAuthorized", "Deauthorized") or payload["eventType"] == "Ended"
        if "idToken" in payload and not stopping:
            if course.token is not None:
                self.sin(f"{course.id}: its driver is told twice")
            course.token = payload["idToken"]["idToken"]
        told = energies201(payload)
        if told != sorted(told):
            self.sin(f"{course.id} runs backwards in one message: {told}")
        if told and told[-1] < course.energy_wh - 0.001:
            self.sin(f"{course.id} runs backwards: {course.energy_wh} to {told[-1]}")
        if told:
            course.energy_wh = told[-1]
            if course.evse is not None:
                self._register(course.evse, told[-1], course.id)

    def _register(self, evse: int, wh: float, what: str) -> None:
        """A register that is told never runs backwards, but for what was triggered and so overtakes. Two connectors of
        an EVSE have one each, and 2.0.1 does not always say whose it is."""
        numbers = [number for number in self.central.world.boxes if self.central.world.evse_of(number) == evse]
        if len(numbers) != 1:
            return
        last = self.central.registers.get(numbers[0], 0.0)
        if wh < last - 1.0:
            self.sin(f"{what}: the register of EVSE {evse} ran backwards from {last} to {wh}")
        self.central.registers[numbers[0]] = max(last, wh)

    def forgives(self, disk: Station) -> None:
        for one in disk.transactions.values():
            if not one.active:
                continue
            self.forgiven[one.id] += 1
            if one.id in self.courses:
                course = self.courses[one.id]
                course.energy_wh = min(course.energy_wh, one.kept_meter_wh)

    # --- reports

    def refused(self, action: str, payload: dict[str, Any]) -> None:
        """A page that was refused does not come again: the next one does."""
        if action in REPORTS:
            self._page(action, payload)

    def _page(self, action: str, payload: dict[str, Any]) -> None:
        key = (action, payload["requestId"])
        due = self.pages.get(key, 0)
        told = payload.get("seqNo", due)
        if told != due:
            self.sin(f"{action} {payload['requestId']}: page {told} where {due} is due")
        if payload.get("tbc", False):
            self.pages[key] = due + 1
        else:
            self.pages.pop(key, None)


def energies201(payload: dict[str, Any]) -> list[float]:
    """The energy registers among the meter values of a 2.0.1 message."""
    return [
        float(value["value"])
        for sample in payload.get("meterValue", ())
        for value in sample["sampledValue"]
        if value.get("measurand", ENERGY) == ENERGY
    ]


def triggered201(payload: dict[str, Any]) -> bool:
    values = [v for s in payload.get("meterValue", ()) for v in s["sampledValue"]]
    return any(value.get("context") == "Trigger" for value in values)


__all__ = ["REPORTS", "Books", "Course", "energies201", "token", "triggered201"]
