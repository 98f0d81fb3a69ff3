"""The CSMS of the virtual site: obeys 1.6 and 2.0.1, has bad moments, and remembers everything it was told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from edged.domain.events import Registration
from tests.fakes.central201 import REPORTS, Books, token, triggered201

if TYPE_CHECKING:
    from edged.domain.station import Station
    from tests.fakes.world import World

NOTICES = (
    "FirmwareStatusNotification",
    "SignedFirmwareStatusNotification",
    "DiagnosticsStatusNotification",
    "LogStatusNotification",
)
RECORD_ID_CHARS = 36
"""What is durable is named by its content, everything else by a counter of the world's."""
WAYS = ("AuthorizationKey", "SecurityProfile")
ALLOWED_ERRORS = {("UpdateFirmware", "NotSupported")}
TRANSACTIONAL = ("StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent")
ONCE = ("NotifyEvent", "ReservationStatusUpdate", "NotifyChargingLimit", "ClearedChargingLimit")
"""Durable beside the transactions: answered as before when they come again."""
JUDGING = ("StartTransaction", "Authorize", "BootNotification", "TransactionEvent")
V16, V201 = "ocpp1.6", "ocpp2.0.1"
PATIENCE_S = 29.5
LATE_S = 33.0
FAMILY = ("ALICE", "BOB")


OWN_201 = frozenset({"Authorize", "StatusNotification", "TransactionEvent", "MeterValues", *ONCE, *REPORTS})
"""What 2.0.1 says in words of its own."""


@dataclass
class Session:
    """A transaction as the CSMS knows it. `energy_wh`: the highest register that it was told."""

    id: int
    start: dict[str, Any]
    energy_wh: float
    stop: dict[str, Any] | None = None


@dataclass(frozen=True)
class Message:
    """One durable message as it first came in; `answer` is what the CSMS made of it, `line_no` the line it came on."""

    ident: str
    action: str
    payload: dict[str, Any]
    answer: dict[str, Any]
    line_no: int = 0


@dataclass
class Moods:
    """How often an answer is lost, comes too late, comes twice, is an error, or is nonsense."""

    lossy: float = 0.0
    late: float = 0.0
    twice: float = 0.0
    rude: float = 0.0
    garbled: float = 0.0

    @property
    def good(self) -> bool:
        return not (self.lossy or self.late or self.rude or self.garbled)


@dataclass
class Central:
    """`sins`: what the station may not do, and has done. `version`: of the line. `forgiving`: messages may have been
    given up, or told in another version."""

    world: World
    moods: Moods = field(default_factory=Moods)
    up: bool = False
    accepted: bool = False
    always_accepts: bool = False
    next_id: int = 100
    sessions: dict[int, Session] = field(default_factory=dict)
    answers: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    received: list[Message] = field(default_factory=list)
    last_durable: str = ""
    refused: set[str] = field(default_factory=set)
    triggered: set[str] = field(default_factory=set)
    statuses: dict[int, str] = field(default_factory=dict)
    registers: dict[int, float] = field(default_factory=dict)
    asked: dict[str, tuple[int, str, dict[str, Any], float]] = field(default_factory=dict)
    replies: list[tuple[str, dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    interrupted: list[tuple[str, tuple[int, str, dict[str, Any], float]]] = field(default_factory=list)
    in_flight: int = 0
    calls: int = 0
    sins: list[str] = field(default_factory=list)
    boots: int = 0
    bad_mood_on_this_line: bool = False
    notices: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    security: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    installed: list[dict[str, Any]] = field(default_factory=list)
    list_version: int = 0
    deaf: bool = False
    version: str = V16
    mixed: bool = False
    books: Books = field(init=False)

    def __post_init__(self) -> None:
        self.books = Books(self)

    @property
    def forgiving(self) -> bool:
        return self.mixed or bool(self.world.given_up)

    def connected(self, version: str = V16) -> None:
        """In another version than before the CSMS has other words for everything: it knows no statuses."""
        if version != self.version:
            self.version = version
            self.statuses.clear()
            self.accepted = False
            self.interrupted.clear()
        self.books.connected()
        self.up = True
        self.in_flight = 0
        self.asked.clear()
        self.triggered.clear()
        self.bad_mood_on_this_line = not self.moods.good

    def disconnected(self) -> None:
        """What was asked and not answered yet is never answered now."""
        self.up = False
        self.interrupted = list(self.asked.items())
        self.asked.clear()

    def mood(self, moods: Moods) -> None:
        self.moods = moods
        self.bad_mood_on_this_line = self.bad_mood_on_this_line or not moods.good

    # --- what comes

    def receive(self, frame: str) -> None:
        message = json.loads(frame)
        if message[0] == 2:
            self._call(message[1], message[2], message[3])
        else:
            self._answer(message)

    def _call(self, ident: str, action: str, payload: dict[str, Any]) -> None:
        random, moods = self.world.random, self.moods
        self.in_flight += 1
        if self.in_flight > 1:
            self.sins.append(f"{action} while another CALL waits")
        if not self.accepted and action != "BootNotification" and action not in self.triggered:
            self.sins.append(f"{action} before the boot was accepted")
        if action == "SecurityEventNotification" and self.deaf:
            self._send([4, ident, "NotSupported", "no such message", {}])
            return
        if action != "BootNotification" and ident not in self.answers and random.random() < moods.rude:
            self.refused.add(_words(payload))
            self.books.refused(action, payload)
            self._send([4, ident, "InternalError", "a bad moment", {}])
            return
        stood = self.accepted
        result = self._process(ident, action, payload)
        if random.random() < moods.garbled and action in JUDGING:
            result = {"status": 7} if action == "BootNotification" else {}
            self.accepted = self.accepted and action != "BootNotification"
        fate = random.random()
        line_no = self.world.line_no
        if action == "BootNotification" and fate < moods.lossy + moods.late:
            self.accepted = stood  # whoever never learns the answer goes by the last one that it has
        if fate < moods.lossy:
            self.world.later(PATIENCE_S, lambda: self._forget(line_no))
        elif fate < moods.lossy + moods.late:
            self.world.later(PATIENCE_S, lambda: self._forget(line_no))
            self.world.later(LATE_S, lambda: self._send_again(line_no, [3, ident, result]))
        else:
            self._send([3, ident, result])
            if random.random() < moods.twice:
                self._send_again(line_no, [3, ident, result])

    def _forget(self, line_no: int) -> None:
        if line_no == self.world.line_no:
            self.in_flight = max(0, self.in_flight - 1)

    def _send_again(self, line_no: int, message: list[Any]) -> None:
        if self.up and line_no == self.world.line_no:
            self.world.to_station(message)

    def _send(self, message: list[Any]) -> None:
        self.in_flight = max(0, self.in_flight - 1)
        if self.up:
            self.world.to_station(message)

    def _process(self, ident: str, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        if action in ONCE:
            if ident not in self.answers:
                self.answers[ident] = (_content(payload), self._fresh(ident, action, payload))
            return self.answers[ident][1]
        if action not in TRANSACTIONAL:
            return self._fresh(ident, action, payload)
        content = _content(payload)
        known = self.answers.get(ident)
        words = _words(payload)
        if known is None and words in self.refused:  # it comes again under another id: told by what it says
            twin = next((one for one in self.received if _words(one.payload) == words), None)
            if twin is not None:
                return twin.answer
        if known is not None:
            if known[0] != content and not self.mixed:
                self.sins.append(f"{action} repeated with another content")
            if ident != self.last_durable:
                self.sins.append(f"{action} repeated behind a later one")
            return known[1]
        result = self._fresh(ident, action, payload)
        self.answers[ident] = (content, result)
        if not self._perishable(action, payload):
            self.last_durable = ident
            self.received.append(Message(ident, action, payload, result, self.world.line_no))
        return result

    def _perishable(self, action: str, payload: dict[str, Any]) -> bool:
        return action == "MeterValues" and (triggered(payload) or triggered201(payload))

    def _fresh(self, ident: str, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        if self.version == V201 and action in OWN_201:
            return self.books.answer(action, payload)
        match action:
            case "BootNotification":
                self.accepted = self.always_accepts or self.world.random.random() < 0.8
                self.boots += 1
                return {
                    "status": "Accepted" if self.accepted else self.world.random.choice(("Pending", "Rejected")),
                    "currentTime": self.world.true_utc().isoformat(),
                    "interval": 300 if self.accepted else 20,
                }
            case "Heartbeat":
                return {"currentTime": self.world.true_utc().isoformat()}
            case "Authorize":
                return {"idTagInfo": self._info(payload["idTag"])}
            case "StatusNotification":
                self.statuses[payload["connectorId"]] = payload["status"]
                return {}
            case "StartTransaction":
                self._register(payload["connectorId"], payload["meterStart"], "StartTransaction")
                self.next_id += 1
                self.sessions[self.next_id] = Session(self.next_id, payload, payload["meterStart"])
                return {"transactionId": self.next_id, "idTagInfo": self._info(payload["idTag"])}
            case "StopTransaction":
                self._stop(payload)
                return {}
            case "MeterValues":
                self._meter(payload)
                return {}
            case "SecurityEventNotification":
                self.security.append(payload)
                return {}
            case "SignCertificate":
                self.requests.append(payload["csr"].rsplit(" ", 1)[-1])
                return {"status": self.world.random.choice(("Accepted", "Accepted", "Rejected"))}
            case "DataTransfer":
                return {"status": self.world.random.choice(("Accepted", "UnknownVendorId")), "data": "seen"}
            case _ if action in NOTICES:
                if len(ident) == RECORD_ID_CHARS and (action, payload) not in self.notices[-1:]:
                    self.notices.append((action, payload))
                return {}
            case _:
                return {}

    def _info(self, token: str) -> dict[str, Any]:
        if token.upper() == "DAN":
            return {"status": "Blocked"}
        return {"status": "Accepted", **({"parentIdTag": "FAMILY"} if token.upper() in FAMILY else {})}

    def _stop(self, payload: dict[str, Any]) -> None:
        session = self.sessions.get(payload["transactionId"])
        if session is None:
            if payload["transactionId"] != -1 and not self.mixed:
                self.sins.append(f"StopTransaction of an unknown id {payload['transactionId']}")
            return
        if session.stop is not None:
            self.sins.append(f"transaction {session.id} stopped twice")
        if payload["meterStop"] < round(session.energy_wh):
            self.sins.append(f"transaction {session.id} ran backwards: {session.energy_wh} to {payload['meterStop']}")
        if not payload.get("reason"):
            self.sins.append(f"transaction {session.id} stopped without a reason")
        self._register(session.start["connectorId"], payload["meterStop"], "StopTransaction")
        session.stop = payload

    def _meter(self, payload: dict[str, Any]) -> None:
        if not triggered(payload):  # what was asked for may overtake the records of an offline time
            for wh in energies(payload):
                self._register(payload["connectorId"], wh, "MeterValues")
        ident = payload.get("transactionId")
        if ident is None or ident == -1:
            return
        session = self.sessions.get(ident)
        if session is None:
            if self.mixed:
                return
            self.sins.append(f"MeterValues of an unknown id {ident}")
            return
        if session.stop is not None:
            self.sins.append(f"MeterValues after the end of {ident}")
        if not triggered(payload):
            session.energy_wh = max([session.energy_wh, *energies(payload)])

    def _register(self, connector: int, wh: float, action: str) -> None:
        """A register as it is told never runs backwards; whole watt-hours are rounded."""
        last = self.registers.get(connector, 0.0)
        if wh < last - 1.0:
            self.sins.append(f"{action}: the register of connector {connector} ran backwards from {last} to {wh}")
        self.registers[connector] = max(last, wh)

    def forgives(self, disk: Station) -> None:
        """The station has ended without a word: it may have forgotten what it told behind its last commit."""
        for number, connector in disk.connectors.items():
            self.registers[number] = min(self.registers.get(number, 0.0), connector.energy_kept_wh or 0.0)
        for one in disk.transactions.values():
            if one.active and one.external_ref in self.sessions:
                session = self.sessions[one.external_ref]
                session.energy_wh = min(session.energy_wh, one.kept_meter_wh)
        self.books.forgives(disk)

    # --- what it asks

    def ask(self, action: str, payload: dict[str, Any]) -> bool:
        """Whether it was asked. Nothing is asked of a station that believes itself rejected: it says no word
        (16-BOOT-04). It can believe so for a while after it was accepted, where its disk is full."""
        if not (self.up and self.accepted) or self.world.engine.station.link.registration is Registration.REJECTED:
            return False
        if action == "TriggerMessage" and payload["requestedMessage"] != "SignChargingStationCertificate":
            self.triggered.add(payload["requestedMessage"])  # may come while we answer Pending as well (16-BOOT-05)
        self._ask_again()
        self.calls += 1
        ident = f"c{self.calls}"
        self.asked[ident] = (self.calls, action, payload, self.world.elapsed_s)
        self.world.watch.asked(self.calls, action, payload)
        self.world.to_station([2, ident, action, payload])
        return True

    def _ask_again(self) -> None:
        """Some CSMSs repeat on the next line, under the same id, what was not answered on the last one."""
        interrupted, self.interrupted = self.interrupted, []
        for ident, (number, action, payload, _) in interrupted:
            harmless = action not in ("Reset", "SetVariables") and payload.get("key") not in WAYS
            if harmless and self.world.random.random() < 0.5:
                self.asked[ident] = (number, action, payload, self.world.elapsed_s)
                self.world.watch.asked(number, action, payload)
                self.world.to_station([2, ident, action, payload])

    def reserve(
        self, reservation_id: int, connector: int, name: str, seconds: float, *, kind: str | None = None
    ) -> None:
        """A connector, or its EVSE in 2.0.1; 0: any, or any with a connector of that kind."""
        until = self.world.true_utc() + timedelta(seconds=seconds)
        if self.version == V201:
            self._reserve_201(reservation_id, connector, name, until.isoformat(), kind)
            return
        payload = {
            "connectorId": connector,
            "expiryDate": until.isoformat(),
            "idTag": name,
            "reservationId": reservation_id,
        }
        if name in FAMILY and self.world.random.random() < 0.5:
            payload["parentIdTag"] = "FAMILY"
        self.ask("ReserveNow", payload)

    def _reserve_201(self, reservation_id: int, connector: int, name: str, until: str, kind: str | None) -> None:
        payload: dict[str, Any] = {"id": reservation_id, "expiryDateTime": until, "idToken": token(name)}
        if connector:
            payload["evseId"] = self.world.evse_of(connector)
        if kind is not None:
            payload["connectorType"] = kind
        if name in FAMILY and self.world.random.random() < 0.5:
            payload["groupIdToken"] = token("FAMILY", "Central")
        self.ask("ReserveNow", payload)

    def _answer(self, message: list[Any]) -> None:
        asked = self.asked.pop(message[1], None)
        if asked is None:
            self.sins.append(f"an answer to {message[1]} that nobody asked, or a second one")
            return
        number, action, payload, _ = asked
        if message[0] == 4 and (action, message[2]) not in ALLOWED_ERRORS and message[2] != "InternalError":
            self.sins.append(f"{action} refused: {message[2]} {message[3]}")
        if message[0] == 3:
            self.replies.append((action, payload, message[2]))
            self._learned(action, payload, message[2])
            self.world.watch.acknowledged(number, action, payload, message[2])

    def _learned(self, action: str, payload: dict[str, Any], answer: dict[str, Any]) -> None:
        door = self.world.door
        if action == "GetInstalledCertificateIds":
            chains = [one["certificateHashData"] for one in answer.get("certificateHashDataChain", ())]
            self.installed = chains or list(answer.get("certificateHashData", ()))
        elif action == "ChangeConfiguration" and payload["key"] in WAYS:
            if answer["status"] != "Accepted":
                door.ordered = door.ordered and payload["key"] != "SecurityProfile"
            elif payload["key"] == "AuthorizationKey" and payload["value"].encode() in door.promised:
                door.password = payload["value"].encode()
        elif action == "SetVariables" and payload["setVariableData"][0]["variable"]["name"] == "BasicAuthPassword":
            value = payload["setVariableData"][0]["attributeValue"].encode()
            if answer["setVariableResult"][0]["attributeStatus"] == "Accepted" and value in door.promised:
                door.password = value

    def running_sessions(self) -> list[int]:
        return [session.id for session in self.sessions.values() if session.stop is None]

    def overdue(self) -> list[str]:
        """What was asked on this connection and not answered within a minute."""
        return [action for _, action, _, at_s in self.asked.values() if self.world.elapsed_s - at_s > 60]


def energies(payload: dict[str, Any]) -> list[float]:
    """The energy registers in a MeterValues payload."""
    return [
        float(value["value"])
        for sample in payload.get("meterValue", payload.get("transactionData", []))
        for value in sample["sampledValue"]
        if value.get("measurand") == "Energy.Active.Import.Register"
    ]


def triggered(payload: dict[str, Any]) -> bool:
    """MeterValues that were asked for by TriggerMessage: perishable, none of the durable records."""
    return any(v.get("context") == "Trigger" for s in payload.get("meterValue", ()) for v in s["sampledValue"])


def _words(payload: dict[str, Any]) -> str:
    """Whether it is late may be said at the second time only."""
    return json.dumps({key: value for key, value in payload.items() if key != "offline"}, sort_keys=True)


def _content(payload: dict[str, Any]) -> str:
    return json.dumps(_without_times(payload), sort_keys=True)


def _without_times(value: Any) -> Any:
    """A repetition may correct its times: the clock can have become known in between; and say that it is one."""
    if isinstance(value, dict):
        return {key: _without_times(one) for key, one in value.items() if key not in ("timestamp", "offline")}
    return [_without_times(one) for one in value] if isinstance(value, list) else value
