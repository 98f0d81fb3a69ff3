"""A RAPI line that a person's tool asks, one question at a time: nothing repeated, nothing forgiven, everything heard.

Owns: opening the line (again, where it hung up), the id of each question, its time, and what else came meanwhile.
Refuses to know: what a reply means.
Invariant: only questions are ever sent (`$G.`), no command.

The daemon uses `link` instead, which repeats and gives up for it; here that would hide what an installer looks for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edged.chargers.line import BusSpec, LineDown, LineKind, Pipe, SerialPipe, open_pipe
from edged.chargers.modbus import CrcError, NoAnswer
from edged.chargers.moments import moment
from edged.chargers.rapi.frames import (
    LAST_SEQUENCE,
    Event,
    Flaw,
    Garbage,
    Reply,
    Request,
    Splitter,
    build,
    parse,
    parse_request,
)
from edged.ports import ChargerError, ChargerUnreachable

SERIAL_TIMEOUT_S, NETWORK_TIMEOUT_S = 0.6, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came beside an answer. `damaged`: frames with a wrong checksum; `asked`: questions of somebody else."""

    events: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    damaged: int = 0
    noise_bytes: int = 0
    is_echoed: bool = False

    def __or__(self, other: Heard) -> Heard:
        return Heard(
            events=self.events + other.events,
            asked=self.asked + other.asked,
            damaged=self.damaged + other.damaged,
            noise_bytes=self.noise_bytes + other.noise_bytes,
            is_echoed=self.is_echoed or other.is_echoed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of one question. `has_id`: the reply carried the id of the question, as RAPI 3.0 and later does."""

    reply: Reply | None
    has_id: bool
    error: ChargerError | None
    round_trip_s: float
    heard: Heard

    @property
    def values(self) -> tuple[str, ...] | None:
        """What was told; None where it was refused, or nothing came."""
        return self.reply.values if self.reply is not None and self.reply.is_ok else None


class RapiInquiry:
    """One line. Not safe for concurrent questions."""

    def __init__(self, spec: BusSpec, *, connect: Callable[[BusSpec], Awaitable[Pipe]] = open_pipe) -> None:
        self.spec = spec
        self.hang_ups = 0
        self.latency_timer_ms: int | None = None
        """How long the adapter keeps answers back, None where it does not say."""
        self._connect = connect
        self._pipe: Pipe | None = None
        self._splitter = Splitter()
        self._sequence = 0
        self._timeout_s = SERIAL_TIMEOUT_S if spec.kind is LineKind.SERIAL else NETWORK_TIMEOUT_S

    async def open(self) -> None:
        """Raises `LineDown` where the line is not to be had."""
        if self._pipe is None:
            self._pipe = await self._connect(self.spec)
            if isinstance(self._pipe, SerialPipe):
                self.latency_timer_ms = self._pipe.latency_timer_ms
            self._splitter = Splitter()

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        self._pipe = None

    async def ask(self, name: str, *, timeout_s: float | None = None) -> Told:
        """One question, once. Raises `LineDown` only where the line cannot be opened; one that breaks is part of the
        answer."""
        if not name.startswith("G"):
            raise ValueError(f"${name} is no question")
        await self.open()
        assert self._pipe is not None
        pipe = self._pipe
        self._sequence = self._sequence % LAST_SEQUENCE + 1
        frame = build(Request(name, (), self._sequence))
        heard, started = Heard(), moment()
        until = started + (self._timeout_s if timeout_s is None else timeout_s)
        error: ChargerUnreachable
        try:
            await pipe.write(frame)
            while True:
                reply, more = self._listen(pipe, frame)
                heard |= more
                if reply is not None:
                    has_id = reply.sequence == self._sequence
                    took_s = moment() - started
                    return Told(reply=reply, has_id=has_id, error=None, round_trip_s=took_s, heard=heard)
                if not await pipe.inbox.more(until):
                    break
            error = CrcError("only damaged frames came") if heard.damaged else NoAnswer("nothing came")
        except LineDown as lost:
            error = lost
            self.hang_ups += 1
            self.close()
        return Told(reply=None, has_id=False, error=error, round_trip_s=moment() - started, heard=heard)

    def _listen(self, pipe: Pipe, sent: bytes) -> tuple[Reply | None, Heard]:
        """What is there: the reply to the present question, and everything else."""
        discarded = self._splitter.discarded
        data = bytes(pipe.inbox.data)
        pipe.inbox.data.clear()
        found: Reply | None = None
        heard = Heard()
        for frame in self._splitter.feed(data):
            if frame == sent:
                heard |= Heard(is_echoed=True)
                continue
            match parse(frame):
                case Reply() as reply:
                    found = reply if reply.sequence in (None, self._sequence) else found
                case Event() as event:
                    heard |= Heard(events=(str(event),))
                case Garbage(flaw=Flaw.CHECKSUM):
                    heard |= Heard(damaged=1)
                case Garbage():
                    foreign = parse_request(frame)
                    is_one = isinstance(foreign, Request)
                    heard |= Heard(asked=(str(foreign),)) if is_one else Heard(noise_bytes=len(frame))
        return found, heard | Heard(noise_bytes=self._splitter.discarded - discarded)
