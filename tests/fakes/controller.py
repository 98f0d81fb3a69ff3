"""A controller that says what a transcript says: RAPI over a pipe in memory or a real pty. It models nothing.

`replies` maps a request ("GS", "SC 16 V") to the words of its reply ("OK 01 0 01 0000"), to None for silence, or to a
function of the request that returns one of these. Frames are put together here, not by the code under test.
"""

from __future__ import annotations

import asyncio
import os
import pty
import re
import tty
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import reduce

from edged.chargers.line import BusSpec, LineKind
from edged.chargers.moments import moment
from edged.domain.types import Now
from tests.fakes.virtual_loop import MemoryPipe

Words = str | None
Answer = Words | Callable[[str], Words]
Spoil = Callable[[str, str, bytes], "list[tuple[float, bytes]] | None"]
SPEC = BusSpec(kind=LineKind.SERIAL, port="memory", baudrate=115_200)

IDLE = {
    "GY": "OK 60 6 0",
    "GV": "OK 8.2.3 5.2.1",
    "GC": "OK 6 32 16 32",
    "GS": "OK 01 0 01 0000",
    "GE": "OK 16 0021",
    "GG": "OK 0 240000",
    "GU": "OK 0 120000",
    "GP": "OK 251 -2560 -2560",
    "GF": "OK 0 0 0",
    "G5": "NK",
    "SY": "OK 60 6 0",
}
"""No vehicle, enabled, 16 A, supervised as the profile asks for."""


def frame(words: str, sequence: str = "") -> bytes:
    body = f"${words}" + (f" :{sequence}" if sequence else "")
    return f"{body}^{reduce(lambda a, b: a ^ b, body.encode()):02X}\r".encode()


class LoopClock:
    """The `Clock` of a virtual loop."""

    def now(self) -> Now:
        return Now(datetime(2026, 5, 4, tzinfo=UTC) + timedelta(seconds=moment()), moment(), True)

    def learn(self, utc: datetime) -> None:
        raise AssertionError("nobody tells a charger's clock the time")


class Controller:
    """Both ends are bytes: `took` is given what a master sends, `say` is where replies go."""

    def __init__(self, **replies: Answer) -> None:
        self.replies: dict[str, Answer] = {**IDLE, **replies}
        self.heard: list[str] = []
        self.at: list[float] = []
        self.spoil: Spoil = lambda request, sequence, reply: None
        """May replace a reply by what comes instead, each after a delay."""
        self.say: Callable[[bytes, float], object] = lambda data, after_s: None
        self._begun = b""

    def took(self, data: bytes) -> None:
        *frames, self._begun = (self._begun + data).split(b"\r")
        for each in frames:
            found = re.fullmatch(rb"\$([^:^]+) :([0-9A-F]{2})\^([0-9A-F]{2})", each)
            assert found, f"no request with a sequence id and a checksum: {each!r}"
            assert each + b"\r" == frame(found[1].decode(), found[2].decode()), f"wrong checksum: {each!r}"
            assert len(each) < 32, f"longer than the input buffer: {each!r}"
            self._asked(found[1].decode(), found[2].decode())

    def _asked(self, request: str, sequence: str) -> None:
        self.heard.append(request)
        self.at.append(moment())
        answer = self.replies.get(request, "NK")
        words = answer(request) if callable(answer) else answer
        reply = b"" if words is None else frame(words, sequence)
        for after_s, data in self.spoil(request, sequence, reply) or [(0.004, reply)]:
            if data:
                self.say(data, after_s)

    def event(self, words: str) -> None:
        self.say(frame(words), 0.0)

    @property
    def written(self) -> list[str]:
        """Everything that is no question."""
        return [request for request in self.heard if not request.startswith("G")]

    def pipe(self) -> MemoryPipe:
        """A new line in memory to it."""
        pipe = MemoryPipe(lambda _, data: self.took(data))
        self.say = lambda data, after_s: pipe.feed(data, after_s=after_s)
        self._begun = b""
        return pipe

    async def connect(self, spec: BusSpec) -> MemoryPipe:
        return self.pipe()


class PtyController:
    """The same at the end of a real pseudo terminal, which can be unplugged."""

    def __init__(self, controller: Controller, port: str) -> None:
        self.controller = controller
        self._link = port
        self._loop = asyncio.get_running_loop()
        self._master = self._slave = -1
        self.plug_in()

    @property
    def spec(self) -> BusSpec:
        return BusSpec(kind=LineKind.SERIAL, port=self._link, baudrate=115_200)

    def plug_in(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        os.symlink(os.ttyname(self._slave), self._link)
        self._loop.add_reader(self._master, self._readable)
        self.controller.say = lambda data, after_s: self._loop.call_later(after_s, self.send, data)

    def unplug(self) -> None:
        if self._master >= 0:
            self._loop.remove_reader(self._master)
            os.unlink(self._link)
            os.close(self._master)
            os.close(self._slave)
            self._master = -1

    def send(self, data: bytes) -> None:
        if self._master >= 0:
            os.write(self._master, data)

    def _readable(self) -> None:
        self.controller.took(os.read(self._master, 4096))
