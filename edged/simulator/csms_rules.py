"""What a station may not do towards a CSMS, in any OCPP version (OCPP-J §4, 1.6 §4.2, 2.0.1 B01-B03). Pure: told what
happened and when, keeps sentences.

Sins that are noticed: payloads against the schema, unknown actions, a CALL while another waits for its answer,
message ids used twice on a connection, a CALL before the boot was accepted, a boot repeated before its time, an
answer nobody asked for; and what a version's own `Conduct` finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from edged.simulator.ocpp_schemas import Schemas

MAX_VIOLATIONS = 1000
MAX_ID_LENGTH = 36
CLOCK_TOLERANCE_S = 0.5
TRIGGERS = ("TriggerMessage", "ExtendedTriggerMessage")
Payload = Mapping[str, object]


@dataclass(slots=True, kw_only=True)
class StationView:
    """What a CSMS knows of one station beyond its connection. `boot_status`: how the last boot was answered;
    `triggered`: the actions that were asked for and have not come."""

    identity: str
    boot_status: str = ""
    connections: int = 0
    boot_not_before_s: float = 0.0
    triggered: set[str] = field(default_factory=set)

    @property
    def accepted(self) -> bool:
        return self.boot_status == "Accepted"


@dataclass(slots=True, kw_only=True)
class Waiting:
    """A CALL of the station that has no answer yet. `until_s`: from then on the station may have given up."""

    action: str
    until_s: float | None = None


@dataclass(slots=True, kw_only=True)
class ConnectionView:
    """What one connection has seen. `seen_ids`: each message id with its action; `done_ids`: those that got a
    result; `in_flight` by message id."""

    seen_ids: dict[str, str] = field(default_factory=dict)
    done_ids: set[str] = field(default_factory=set)
    in_flight: dict[str, Waiting] = field(default_factory=dict)


class Conduct(Protocol):
    """What one version asks of a station beyond the wire. What is found comes back as sentences.

    `malformed_code`: the CALLERROR for a payload against its schema. `early_code`: the one for a CALL before the boot
    was accepted, None where it is answered all the same. `triggers`: the action that a requestedMessage brings about,
    where that has another name. `repeated`: the actions that one trigger may bring about several times.
    """

    name: str
    schemas: Schemas
    malformed_code: str
    early_code: str | None
    triggers: Mapping[str, str]
    repeated: frozenset[str]

    def may_be_early(self, station: StationView, action: str, payload: Payload) -> bool:
        """Whether an action is allowed before the boot was accepted, apart from boots and what was triggered."""

    def line(self, station: str, *, up: bool, at: datetime) -> None:
        """The station's line has come up or gone."""

    def called(self, station: str, message_id: str, action: str, payload: Payload) -> Iterable[str]:
        """A CALL of the station that fits its schema."""

    def told(self, station: str, action: str, payload: Payload) -> None:
        """The CSMS has answered a CALL of the station with a result."""

    def asked(self, station: str, action: str, payload: Payload) -> None:
        """The CSMS calls the station."""

    def answered(self, station: str, action: str, asked: Payload, answer: Payload | None) -> Iterable[str]:
        """The station's answer to a CALL of the CSMS; None = an error."""


class Rules:
    """Judges what stations do; `violations` are sentences, the first `MAX_VIOLATIONS` of them."""

    def __init__(self) -> None:
        self.violations: list[str] = []

    def sin(self, station: StationView, sentence: str) -> None:
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(f"{station.identity}: {sentence}")

    def call(
        self,
        conduct: Conduct,
        station: StationView,
        connection: ConnectionView,
        *,
        message_id: str,
        action: str,
        payload: Payload,
        now_s: float,
    ) -> str | None:
        """Judge a CALL of the station as it arrives. Returns the CALLERROR code that it deserves, if any."""
        self._message_id(station, connection, message_id, action)
        for other_id, other in connection.in_flight.items():
            if other.until_s is None or now_s < other.until_s:
                self.sin(station, f"{action} was sent while {other.action} ({other_id}) still waited for its answer")
        early = self._boot(conduct, station, action, payload, now_s=now_s)
        if not conduct.schemas.knows(action):
            self.sin(station, f"{action} is no action of OCPP {conduct.name}")
            return "NotImplemented"
        if action not in conduct.schemas.station_actions:
            self.sin(station, f"{action} is not for a station to call")
            return "NotSupported"
        objection = conduct.schemas.objection(action, payload)
        if objection is not None:
            self.sin(station, f"{action} breaks its schema: {objection}")
            return conduct.malformed_code
        for sentence in conduct.called(station.identity, message_id, action, payload):
            self.sin(station, sentence)
        return conduct.early_code if early else None

    def _message_id(self, station: StationView, connection: ConnectionView, message_id: str, action: str) -> None:
        """A message that had no result may be sent again under its id."""
        other_action = connection.seen_ids.get(message_id, action)
        if message_id in connection.done_ids or other_action != action:
            self.sin(station, f"{action} uses the message id {message_id} a second time on this connection")
        if not 1 <= len(message_id) <= MAX_ID_LENGTH:
            self.sin(station, f"{action} has a message id of {len(message_id)} characters")
        connection.seen_ids[message_id] = action

    def _boot(self, conduct: Conduct, station: StationView, action: str, payload: Payload, *, now_s: float) -> bool:
        """Whether the CALL came before its time; a boot never does, for whom it is answered."""
        early, triggered = False, action in station.triggered
        if action == "BootNotification":
            if now_s < station.boot_not_before_s - CLOCK_TOLERANCE_S and not triggered:
                self.sin(station, "BootNotification was repeated before the interval had passed")
        elif not (station.accepted or triggered or conduct.may_be_early(station, action, payload)):
            self.sin(station, f"{action} was sent before a BootNotification was accepted")
            early = True
        if action not in conduct.repeated:
            station.triggered.discard(action)
        return early

    def told(
        self,
        conduct: Conduct,
        station: StationView,
        connection: ConnectionView,
        *,
        message_id: str,
        action: str,
        payload: Payload,
        now_s: float,
    ) -> None:
        """The CSMS has answered a CALL of the station with a result."""
        connection.done_ids.add(message_id)
        conduct.told(station.identity, action, payload)
        if action == "BootNotification":
            station.boot_status = str(payload.get("status"))
            interval = payload.get("interval")
            waits = not station.accepted and isinstance(interval, int)
            station.boot_not_before_s = now_s + interval if waits and isinstance(interval, int) else 0.0

    def asked(self, conduct: Conduct, station: StationView, *, action: str, payload: Payload) -> None:
        """The CSMS calls the station."""
        if action in TRIGGERS:
            station.triggered.add(_triggered(conduct, payload))
        conduct.asked(station.identity, action, payload)

    def answer(
        self, conduct: Conduct, station: StationView, *, asked: tuple[str, Payload] | None, payload: object
    ) -> None:
        """Judge a CALLRESULT of the station; `asked`: the CALL's action and payload, None: nobody asked for it."""
        if asked is None:
            self.sin(station, "a CALLRESULT came that nobody asked for")
            return
        action, request = asked
        if conduct.schemas.knows(action):
            objection = conduct.schemas.objection(action, payload, response=True)
            if objection is not None:
                self.sin(station, f"the answer to {action} breaks its schema: {objection}")
        self._answered(conduct, station, action, request, payload if isinstance(payload, Mapping) else None)

    def refused(self, conduct: Conduct, station: StationView, *, asked: tuple[str, Payload] | None) -> None:
        """A CALLERROR of the station came."""
        if asked is not None:
            self._answered(conduct, station, *asked, None)

    def _answered(
        self, conduct: Conduct, station: StationView, action: str, request: Payload, answer: Payload | None
    ) -> None:
        if action in TRIGGERS and (answer is None or answer.get("status") != "Accepted"):
            station.triggered.discard(_triggered(conduct, request))
        for sentence in conduct.answered(station.identity, action, request, answer):
            self.sin(station, sentence)


def _triggered(conduct: Conduct, payload: Payload) -> str:
    wanted = str(payload.get("requestedMessage"))
    return conduct.triggers.get(wanted, wanted)
