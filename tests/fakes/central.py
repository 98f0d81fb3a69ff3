"""The CSMS of the virtual site: obeys 1.6, has bad moments, and remembers everything it was told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fakes.world import World

TRANSACTIONAL = ("StartTransaction", "StopTransaction", "MeterValues")


@dataclass
class Session:
    """A transaction as the CSMS knows it."""

    id: int
    start: dict[str, Any]
    stop: dict[str, Any] | None = None


@dataclass
class Central:
    """`lossy`: how often an answer is lost; `rude`: how often a CALL gets a CALLERROR."""

    world: World
    lossy: float = 0.0
    rude: float = 0.0
    up: bool = False
    accepted: bool = False
    next_id: int = 100
    sessions: dict[int, Session] = field(default_factory=dict)
    answers: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    statuses: dict[int, str] = field(default_factory=dict)
    asked: dict[str, tuple[str, dict[str, Any], float]] = field(default_factory=dict)
    replies: list[tuple[str, dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    in_flight: int = 0
    calls: int = 0
    sins: list[str] = field(default_factory=list)
    boots: int = 0
    reserved: dict[int, dict[str, Any]] = field(default_factory=dict)

    def connected(self) -> None:
        self.up = True
        self.in_flight = 0
        self.asked.clear()

    def disconnected(self) -> None:
        self.up = False

    # --- what comes

    def receive(self, frame: str) -> None:
        message = json.loads(frame)
        if message[0] == 2:
            self._call(message[1], message[2], message[3])
        else:
            self._answer(message)

    def _call(self, ident: str, action: str, payload: dict[str, Any]) -> None:
        random = self.world.random
        self.in_flight += 1
        if self.in_flight > 1:
            self.sins.append(f"{action} while another CALL waits")
        if not self.accepted and action != "BootNotification":
            self.sins.append(f"{action} before the boot was accepted")
        if action != "BootNotification" and random.random() < self.rude:
            self._send([4, ident, "InternalError", "a bad moment", {}])
            return
        result = self._process(ident, action, payload)
        if random.random() < self.lossy:
            self.world.later(29.5, self._forget_lost)
            return
        self._send([3, ident, result])

    def _forget_lost(self) -> None:
        self.in_flight = max(0, self.in_flight - 1)

    def _send(self, message: list[Any]) -> None:
        self.in_flight = max(0, self.in_flight - 1)
        if self.up:
            self.world.to_station(message)

    def _process(self, ident: str, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        known = self.answers.get(ident)
        if known is not None and action in TRANSACTIONAL:
            if known[0] != json.dumps(payload, sort_keys=True):
                self.sins.append(f"{action} repeated with another content")
            return known[1]
        result = self._fresh(action, payload)
        self.answers[ident] = (json.dumps(payload, sort_keys=True), result)
        return result

    def _fresh(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        match action:
            case "BootNotification":
                self.accepted = self.world.random.random() < 0.8
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
                self.next_id += 1
                self.sessions[self.next_id] = Session(self.next_id, payload)
                return {"transactionId": self.next_id, "idTagInfo": self._info(payload["idTag"])}
            case "StopTransaction":
                self._stop(payload)
                return {}
            case "MeterValues":
                self._meter(payload)
                return {}
            case _:
                return {}

    def _info(self, token: str) -> dict[str, Any]:
        if token.upper() == "DAN":
            return {"status": "Blocked"}
        group = {"parentIdTag": "FAMILY"} if token.upper() in ("ALICE", "BOB") else {}
        return {"status": "Accepted", **group}

    def _stop(self, payload: dict[str, Any]) -> None:
        session = self.sessions.get(payload["transactionId"])
        if session is None:
            if payload["transactionId"] != -1:
                self.sins.append(f"StopTransaction of an unknown id {payload['transactionId']}")
            return
        if session.stop is not None:
            self.sins.append(f"transaction {session.id} stopped twice")
        if payload["meterStop"] < session.start["meterStart"]:
            self.sins.append(f"transaction {session.id} ran backwards")
        session.stop = payload

    def _meter(self, payload: dict[str, Any]) -> None:
        ident = payload.get("transactionId")
        if ident is None or ident == -1:
            return
        session = self.sessions.get(ident)
        if session is None:
            self.sins.append(f"MeterValues of an unknown id {ident}")
        elif session.stop is not None:
            self.sins.append(f"MeterValues after the end of {ident}")

    # --- what it asks

    def ask(self, action: str, payload: dict[str, Any]) -> None:
        if not (self.up and self.accepted):
            return
        self.calls += 1
        ident = f"c{self.calls}"
        self.asked[ident] = (action, payload, self.world.elapsed_s)
        self.world.to_station([2, ident, action, payload])

    def reserve(self, reservation_id: int, connector: int, token: str, seconds: float) -> None:
        until = self.world.true_utc() + timedelta(seconds=seconds)
        self.ask(
            "ReserveNow",
            {
                "connectorId": connector,
                "expiryDate": until.isoformat(),
                "idTag": token,
                "reservationId": reservation_id,
            },
        )

    def _answer(self, message: list[Any]) -> None:
        asked = self.asked.pop(message[1], None)
        if asked is None:
            self.sins.append(f"an answer to {message[1]} that nobody asked, or a second one")
            return
        if message[0] == 4 and message[2] != "InternalError":
            self.sins.append(f"{asked[0]} refused: {message[2]} {message[3]}")
        if message[0] == 3:
            self.replies.append((asked[0], asked[1], message[2]))

    def overdue(self) -> list[str]:
        """What was asked on this connection and not answered within a minute."""
        return [action for action, _, at_s in self.asked.values() if self.world.elapsed_s - at_s > 60]
