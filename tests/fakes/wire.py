"""A stepped site with a real link on a line that takes everything, and a CSMS that says what the test says."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from edged.csms.link import Link
from edged.dialects.v16 import Ocpp16
from edged.dialects.v201 import Ocpp201
from edged.domain.effects import Lane, Record, Reply
from edged.domain.events import Event, PresentToken, Tick
from edged.domain.types import IdToken
from edged.ocpp.dialect import Dialect
from tests.fakes.site import Site

VERSIONS = (Ocpp16(), Ocpp201())
ATTEMPTS = {"TransactionMessageAttempts": "2", "TransactionMessageRetryInterval": "10", "HeartbeatInterval": "300"}


@dataclass
class Line:
    """A connection that takes everything while it is up."""

    connected: bool = False
    sent: list[list[Any]] = field(default_factory=list)
    settlements: int = 0
    pings: list[float] = field(default_factory=list)

    def send(self, frame: str) -> bool:
        if self.connected:
            self.sent.append(json.loads(frame))
        return self.connected

    def settled(self) -> None:
        self.settlements += 1

    def set_ping_interval(self, seconds: float) -> None:
        self.pings.append(seconds)

    async def flush(self, timeout_s: float) -> bool:
        return True


class Wire:
    """It speaks `dialect` first, and each of `VERSIONS` that is agreed on."""

    def __init__(
        self, *, configuration: dict[str, str] | None = None, connectors: int = 2, dialect: Dialect = VERSIONS[0]
    ) -> None:
        keys = {**ATTEMPTS, **(configuration or {})}
        self.dialect = dialect
        self.agreed: list[str] = []
        self.site = Site.build(connectors, online=False, policy=dialect.policy, configuration=keys)
        self.line = Line()
        self.posted: list[Event] = []
        self.everything: list[Event] = []
        self.full = False
        self.asked = itertools.count(1)
        self.link = self._new_link()

    def _new_link(self) -> Link:
        ids = itertools.count(1)
        link = Link(
            self.site.station,
            self.dialect,
            further=VERSIONS,
            agreed=self.agreed.append,
            post=self._post,
            new_id=lambda: f"id-{next(ids)}",
            monotonic=lambda: self.site.now.monotonic_s,
            read_outbox=self._read,
        )
        link.attach(self.line)  # type: ignore[arg-type]
        return link

    def _post(self, event: Event) -> bool:
        if self.full:
            return False
        self.posted.append(event)
        self.everything.append(event)
        return True

    def _read(self, lane: Lane, after_seq: int, limit: int) -> list[tuple[int, Record]]:
        return self.site.disk.outbox("TEST", lane, after_seq=after_seq, limit=limit)

    # --- what happens

    def do(self, event: Event) -> None:
        """As the engine does it: a step, its answers, then the link is shown the station."""
        self._shown(self.site.do(event))
        self.settle()

    def move(self, what: str, *args: Any, **more: Any) -> None:
        """A move of the site by its name."""
        getattr(self.site, what)(*args, **more)
        self._shown(self.site.effects)
        self.settle()

    def _shown(self, effects: tuple[Any, ...]) -> None:
        for effect in effects:
            if isinstance(effect, Reply) and effect.request.channel == "csms":
                self.link.reply(effect, self.site.station)
        self.link.show(self.site.station, self.site.now, effects)

    def settle(self) -> None:
        while self.posted:
            self._shown(self.site.do(self.posted.pop(0)))

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.site.advance(1.0)
            for number, connector in self.site.station.connectors.items():
                self.site.look(number, connector.state)
                self._shown(self.site.effects)
            self.do(Tick())

    def up(self, subprotocol: str | None = None) -> None:
        """A line, with the version of the last one unless another is agreed on."""
        self.line.connected = True
        self.link.opened(subprotocol or self.link.subprotocol)
        self.settle()

    def down(self) -> None:
        self.line.connected = False
        self.link.closed("cut")
        self.settle()

    def receive(self, *message: Any) -> None:
        self.link.received(json.dumps(message))
        self.settle()

    def answer(self, payload: dict[str, Any] | None = None) -> None:
        """The CSMS answers the last CALL."""
        self.receive(3, self.last[1], {} if payload is None else payload)

    def refuse(self, code: str = "InternalError") -> None:
        self.receive(4, self.last[1], code, "", {})

    def boot(self, status: str = "Accepted", interval: int = 300) -> None:
        assert self.last[2] == "BootNotification"
        self.answer({"status": status, "currentTime": now_text(), "interval": interval})

    def serve(self) -> Wire:
        """Online, accepted, everything told."""
        self.up()
        self.boot()
        self.answer_all()
        return self

    def serve_again(self) -> Wire:
        """The line is back; everything told."""
        self.up()
        self.answer_all()
        return self

    def answer_all(self) -> list[str]:
        """Answer as long as something is asked; the actions in order."""
        actions = []
        while self.calls and self.waiting:
            action = self.last[2]
            actions.append(action)
            self.answer(
                {
                    "StartTransaction": {"transactionId": 77, "idTagInfo": {"status": "Accepted"}},
                    "Authorize": {"idTagInfo": {"status": "Accepted"}, "idTokenInfo": {"status": "Accepted"}},
                    "BootNotification": {"status": "Accepted", "currentTime": now_text(), "interval": 300},
                    "Heartbeat": {"currentTime": now_text()},
                }.get(action, {})
            )
        return actions

    def charge(self, number: int = 1) -> None:
        """ALICE comes, is accepted and charges; the last report is not answered yet."""
        self.move("plug", number)
        self.answer_all()
        self.do(PresentToken(IdToken("ALICE"), number))
        self.answer_all()
        self.move("charge", number)

    # --- what was said

    @property
    def calls(self) -> list[list[Any]]:
        return [frame for frame in self.line.sent if frame[0] == 2]

    @property
    def last(self) -> list[Any]:
        return self.calls[-1]

    @property
    def waiting(self) -> bool:
        return not self.link.session.idle

    def since(self, mark: int) -> list[str]:
        return [call[2] for call in self.calls[mark:]]

    def ask(self, action: str, payload: dict[str, Any]) -> list[Any] | None:
        """A CALL of the CSMS; the frame of its answer, if there is one."""
        ident = f"ask-{next(self.asked)}"
        self.receive(2, ident, action, payload)
        return next((frame for frame in self.line.sent if frame[0] in (3, 4) and frame[1] == ident), None)


def now_text() -> str:
    return datetime(2026, 5, 4, 12, 0, tzinfo=UTC).isoformat().replace("+00:00", "Z")


def offline_transaction(wire: Wire) -> None:
    """A whole one, begun and ended without a line."""
    wire.move("start", 1)
    wire.move("unplug", 1)
    assert wire.site.station.queued >= 2
