"""A line that a person's tool asks, one question at a time: nothing repeated, nothing forgiven, everything heard.

Owns: opening the line (again, where a device hung up), the silence before a question, the time of each answer, the
bytes that came with it. Refuses to know: profiles, health of units, and any write.
Invariants: only reads are ever sent; where a late reply cannot be told from the reply to another question (RTU), a unit
that owes an answer is asked nothing else until it can no longer come.

The daemon uses `bus` instead, which repeats, gives up and paces for it; here that would hide what an installer looks
for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edged.chargers.hearing import Heard, hear_mbap, hear_rtu
from edged.chargers.line import (
    INBOX_BYTES,
    BusSpec,
    Inbox,
    LineDown,
    LineKind,
    Pipe,
    SerialPipe,
    open_pipe,
    pause_until,
)
from edged.chargers.modbus import GATEWAY_SILENT, ExceptionReply, NoAnswer, ProtocolError, Read, Table
from edged.chargers.moments import moment
from edged.chargers.wire import Wire, wire_over
from edged.ports import ChargerError

LATE_WINDOW_S = 0.05
"""How long a line is listened to after a question that nobody answered."""
SETTLE_AT_MOST_S = 0.15
"""Also on a line that is never quiet."""
LISTEN_S = 2.0
"""How long a serial line is listened to before anything is asked: most masters ask once a second or oftener."""
LATE_LIMIT_S = 1.0
"""No answer is expected so long after one has given up waiting for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of one question: words, or the error in their place; `heard` is what else was on the line."""

    words: tuple[int, ...] | None
    error: ChargerError | None
    round_trip_s: float
    heard: Heard

    @property
    def is_alive(self) -> bool:
        """Whether the unit itself spoke: a refusal is a word too, a gateway's excuse for a silent unit is none."""
        if isinstance(self.error, ExceptionReply):
            return self.error.code not in GATEWAY_SILENT
        return self.error is None

    @property
    def refusal(self) -> ExceptionReply | None:
        """The exception that the unit itself answered with."""
        return self.error if isinstance(self.error, ExceptionReply) and self.is_alive else None


@dataclass(frozen=True, slots=True)
class _Debt:
    """A question that a unit may still answer until then (`moments.moment`)."""

    question: Read
    until: float


class _HeardInbox(Inbox):
    """An inbox that also keeps what was taken out of it."""

    def __init__(self) -> None:
        super().__init__()
        self.log = bytearray()

    def feed(self, data: bytes) -> None:
        self.log += data[: max(0, INBOX_BYTES - len(self.log))]
        super().feed(data)


class _Tap:
    """A pipe that notes what passes through it."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._heard = _HeardInbox()
        self.inbox: Inbox = self._heard
        self.sent = b""
        pipe.inbox = self._heard

    async def write(self, data: bytes) -> None:
        self.sent = data
        await self._pipe.write(data)

    def close(self) -> None:
        self._pipe.close()

    def take(self) -> bytes:
        """What came since the last take."""
        data = bytes(self._heard.log)
        self._heard.log.clear()
        return data


class Inquiry:
    """One line. Not safe for concurrent questions."""

    def __init__(self, spec: BusSpec, *, connect: Callable[[BusSpec], Awaitable[Pipe]] = open_pipe) -> None:
        self.spec = spec
        self.hang_ups = 0
        self.device = ""
        self.latency_timer_ms: int | None = None
        self._connect = connect
        self._tap: _Tap | None = None
        self._wire: Wire | None = None
        self._owes: dict[int, _Debt] = {}

    @property
    def is_network(self) -> bool:
        return self.spec.kind is not LineKind.SERIAL

    async def open(self) -> None:
        """Raises `LineDown` where the line is not to be had."""
        if self._wire is None:
            pipe = await self._connect(self.spec)
            if isinstance(pipe, SerialPipe):
                self.device, self.latency_timer_ms = pipe.device, pipe.latency_timer_ms
            self._tap = _Tap(pipe)
            self._wire = wire_over(self._tap, self.spec)

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
        self._wire = self._tap = None

    async def listen(self, seconds: float) -> Heard:
        """What is on the line though nothing is asked: another master's conversation. Nothing where others are not to
        be heard (Modbus TCP). Raises `LineDown`."""
        if self.spec.kind is LineKind.TCP:
            return Heard()
        await self.open()
        assert self._tap is not None
        inbox, until = self._tap.inbox, moment() + seconds
        try:
            while await inbox.more(until):
                pass
        except LineDown:
            self.close()
            raise
        inbox.data.clear()
        return hear_rtu(b"", self._tap.take()).before_asking

    async def ask(
        self, unit_id: int, table: Table, address: int, count: int, *, timeout_s: float, gap_s: float = 0.0
    ) -> Told:
        """One read, once. Raises `LineDown` only where the line cannot be opened; one that breaks is part of the
        answer, and opened again for the next question."""
        await self.open()
        assert self._wire is not None
        assert self._tap is not None
        wire, tap = self._wire, self._tap
        question = Read(table=table, address=address, count=count)
        await pause_until(max(wire.quiet_at + max(self.spec.silence_s, gap_s), self._owing_until(unit_id, question)))
        words: tuple[int, ...] | None = None
        error: ChargerError | None = None
        started = moment()
        try:
            words = (await wire.exchange(unit_id, question, timeout_s)).words
        except ExceptionReply as refusal:
            error = refusal
        except (NoAnswer, ProtocolError, LineDown) as failure:
            error = failure
        round_trip_s = moment() - started
        if isinstance(error, (NoAnswer, ProtocolError)):
            try:
                async with asyncio.timeout(SETTLE_AT_MOST_S):
                    await wire.settle(LATE_WINDOW_S)
            except TimeoutError:
                pass
            except LineDown as lost:
                error = lost
        if (error is not None and not isinstance(error, ExceptionReply)) or unit_id in self._owes:
            self._owes[unit_id] = _Debt(question, moment() + LATE_LIMIT_S)
        heard = self._heard(tap)
        if isinstance(error, LineDown):
            self.hang_ups += 1
            self._owes.clear()
            self.close()
        return Told(words=words, error=error, round_trip_s=round_trip_s, heard=heard)

    def _owing_until(self, unit_id: int, question: Read) -> float:
        """When this may be asked of the unit. The same question may be repeated at once: a late reply answers it too,
        and then it is the repetition that may still be answered."""
        debt = self._owes.get(unit_id)
        if debt is None or debt.question == question:
            return 0.0
        del self._owes[unit_id]
        return debt.until if not self._wire_tells_late_replies else 0.0

    @property
    def _wire_tells_late_replies(self) -> bool:
        return self._wire is not None and self._wire.tells_late_replies

    def _heard(self, tap: _Tap) -> Heard:
        received = tap.take()
        return hear_mbap(received) if self.spec.kind is LineKind.TCP else hear_rtu(tap.sent, received)
