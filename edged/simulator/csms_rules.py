"""What a station may not do towards a CSMS (OCPP-J 1.6 §4, 1.6 §4.2). Pure: told what happened and when, keeps
sentences.

Sins that are noticed: payloads against the schema, unknown actions, a CALL while another waits for its answer,
message ids used twice on a connection, a CALL before the boot was accepted, a boot repeated before its time, an
answer nobody asked for, a transaction id nobody gave out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edged.simulator import ocpp_schemas

MAX_VIOLATIONS = 1000
CLOCK_TOLERANCE_S = 0.5


@dataclass(slots=True, kw_only=True)
class StationView:
    """What a CSMS knows of one station beyond its connection."""

    identity: str
    accepted: bool = False
    connections: int = 0
    boot_not_before_s: float = 0.0
    triggered: set[str] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class Waiting:
    """A CALL of the station that has no answer yet. `until_s`: from then on the station may have given up."""

    action: str
    until_s: float | None = None


@dataclass(slots=True, kw_only=True)
class ConnectionView:
    """What one connection has seen. `in_flight` by message id."""

    seen_ids: set[str] = field(default_factory=set)
    in_flight: dict[str, Waiting] = field(default_factory=dict)


class Rules:
    """Judges what stations do; `violations` are sentences, the first `MAX_VIOLATIONS` of them."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.transaction_ids: set[int] = set()

    def sin(self, station: StationView, sentence: str) -> None:
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(f"{station.identity}: {sentence}")

    def call(
        self,
        station: StationView,
        connection: ConnectionView,
        *,
        message_id: str,
        action: str,
        payload: Mapping[str, object],
        now_s: float,
    ) -> str | None:
        """Judge a CALL of the station as it arrives. Returns the CALLERROR code that it deserves, if any."""
        if message_id in connection.seen_ids:
            self.sin(station, f"{action} uses the message id {message_id} a second time on this connection")
        connection.seen_ids.add(message_id)
        for other_id, other in connection.in_flight.items():
            if other.until_s is None or now_s < other.until_s:
                self.sin(station, f"{action} was sent while {other.action} ({other_id}) still waited for its answer")
        self._boot(station, action, now_s=now_s)
        if not ocpp_schemas.is_known(action):
            self.sin(station, f"{action} is no action of OCPP 1.6")
            return "NotImplemented"
        if action not in ocpp_schemas.STATION_ACTIONS:
            self.sin(station, f"{action} is not for a station to call")
            return "NotSupported"
        objection = ocpp_schemas.objection(action, payload)
        if objection is not None:
            self.sin(station, f"{action} breaks its schema: {objection}")
            return "FormationViolation"
        transaction_id = payload.get("transactionId")
        if isinstance(transaction_id, int) and transaction_id >= 0 and transaction_id not in self.transaction_ids:
            self.sin(station, f"{action} names the transaction {transaction_id}, which nobody gave out")
        return None

    def _boot(self, station: StationView, action: str, *, now_s: float) -> None:
        if action == "BootNotification":
            if now_s < station.boot_not_before_s - CLOCK_TOLERANCE_S and action not in station.triggered:
                self.sin(station, "BootNotification was repeated before the interval had passed")
        elif not station.accepted and action not in station.triggered:
            self.sin(station, f"{action} was sent before a BootNotification was accepted")
        station.triggered.discard(action)

    def answered_boot(self, station: StationView, payload: Mapping[str, object], *, now_s: float) -> None:
        """The CSMS has answered a BootNotification."""
        station.accepted = payload.get("status") == "Accepted"
        interval = payload.get("interval")
        waits = not station.accepted and isinstance(interval, int)
        station.boot_not_before_s = now_s + interval if waits and isinstance(interval, int) else 0.0

    def answer(self, station: StationView, *, action: str | None, payload: object) -> None:
        """Judge a CALLRESULT of the station; `action` None: nobody asked for it."""
        if action is None:
            self.sin(station, "a CALLRESULT came that nobody asked for")
            return
        if ocpp_schemas.is_known(action):
            objection = ocpp_schemas.objection(action, payload, response=True)
            if objection is not None:
                self.sin(station, f"the answer to {action} breaks its schema: {objection}")
