"""One transaction on an open line: send a request, wait for its reply, know when the line is quiet again.

Owns: framing over a pipe, the end of a frame by its expected length, local echo, getting rid of late replies.
Refuses to know: queues, priorities, whether a unit is alive, how long to wait (the bus says so).

Invariants: one transaction at a time; after a failure `settle` is called before the next one, so that no late reply is
ever taken for the answer to another request; `quiet_at` is when the last byte of the last frame left the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edged.chargers.line import BusSpec, LineDown, LineKind, Pipe
from edged.chargers.modbus import (
    NoAnswer,
    ProtocolError,
    Read,
    Request,
    Write,
    diagnose_rtu,
    find_rtu_reply,
    mbap_frame,
    parse_reply,
    rtu_frame,
    rtu_reply_length,
    split_mbap,
)
from edged.chargers.moments import moment

GARBAGE_PATIENCE_S = 0.03
"""When as many bytes have come as the reply has, and it is not among them: wait so long for more (USB pauses 16 ms)."""
SETTLE_AT_MOST_S = 2.0
"""A line that never falls silent is used all the same: every request then fails by itself and is counted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply's words, and how long the unit took to begin it (seconds, 0 where it cannot be told)."""

    words: tuple[int, ...]
    turnaround_s: float


class Wire(Protocol):
    """A line with framing."""

    @property
    def quiet_at(self) -> float: ...

    @property
    def strays(self) -> int: ...

    @property
    def tells_late_replies(self) -> bool:
        """Whether a late reply is told from the reply to a later request."""

    async def exchange(self, unit_id: int, request: Request, timeout_s: float) -> Answer:
        """Raises `NoAnswer`, `ProtocolError`, `ExceptionReply` or `LineDown`. Never cancelled by the bus."""

    async def settle(self, window_s: float) -> float | None:
        """Wait until the line is quiet and late replies are gone; how late the last byte came, None for none."""

    def close(self) -> None: ...


class RtuWire:
    """RTU frames over a serial port or through a TCP connection."""

    tells_late_replies = False

    def __init__(self, pipe: Pipe, spec: BusSpec) -> None:
        self._pipe = pipe
        self._inbox = pipe.inbox
        self._character_s = spec.character_s
        self._silence_s = spec.silence_s
        self._echo = spec.echo
        self._sent_at = 0.0
        self.quiet_at = moment()
        self.strays = 0

    async def exchange(self, unit_id: int, request: Request, timeout_s: float) -> Answer:
        inbox = self._inbox
        if inbox.data:
            self.strays += 1
            inbox.data.clear()
        frame = rtu_frame(unit_id, request.pdu)
        expected = rtu_reply_length(request)
        received = b""
        reply: bytes | None = None

        def enough() -> bool:
            nonlocal received, reply
            received = self._without_echo(frame, request, bytes(inbox.data))
            reply = find_rtu_reply(unit_id, request, received)
            return reply is not None or len(received) >= expected

        started = moment()
        await self._pipe.write(frame)
        self._sent_at = self.quiet_at = started + len(frame) * self._character_s
        limit = deadline = self._sent_at + timeout_s + expected * self._character_s
        enough()
        while reply is None:
            if len(received) >= expected:
                limit = min(deadline, inbox.last_at + GARBAGE_PATIENCE_S + self._silence_s)
            if not await inbox.more(limit, enough):
                self.quiet_at = max(self.quiet_at, inbox.last_at)
                raise diagnose_rtu(unit_id, request, received)
        self.quiet_at = inbox.last_at
        inbox.data.clear()
        turnaround_s = max(0.0, inbox.last_at - len(reply) * self._character_s - self._sent_at)
        return Answer(parse_reply(request, reply[1:-2]), turnaround_s)

    def _without_echo(self, frame: bytes, request: Request, received: bytes) -> bytes:
        """What came after our own frame, on an adapter that hands it back.

        A read can never be answered by its own request, so an echo is noticed there; the reply to a write of one
        register is its request, and is only told from an echo once that is known.
        """
        if self._echo is None and isinstance(request, Read) and received.startswith(frame):
            self._echo = True
        if not self._echo:
            return received
        if received.startswith(frame):
            return received[len(frame) :]
        return b"" if isinstance(request, Write) else received

    async def settle(self, window_s: float) -> float | None:
        inbox = self._inbox
        begun = moment()
        late_at: float | None = None
        quiet_from = max(begun, self._sent_at)
        while True:
            until = quiet_from + max(window_s, self._silence_s)
            if not await inbox.more(min(until, begun + SETTLE_AT_MOST_S)):
                break
            late_at = quiet_from = inbox.last_at
            window_s = min(window_s, max(self._silence_s, GARBAGE_PATIENCE_S))
        if inbox.data:
            self.strays += 1
            inbox.data.clear()
        self.quiet_at = max(self.quiet_at, quiet_from if late_at is not None else begun)
        return None if late_at is None else max(0.0, late_at - self._sent_at)

    def close(self) -> None:
        self._pipe.close()


class MbapWire:
    """Modbus TCP. A reply is matched by its transaction id, so nothing has to settle."""

    tells_late_replies = True

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._inbox = pipe.inbox
        self._transaction_id = 0
        self.quiet_at = moment()
        self.strays = 0

    async def exchange(self, unit_id: int, request: Request, timeout_s: float) -> Answer:
        inbox = self._inbox
        self._transaction_id = self._transaction_id % 0xFFFF + 1
        sent_at = moment()
        await self._pipe.write(mbap_frame(self._transaction_id, unit_id, request.pdu))
        deadline = sent_at + timeout_s
        while True:
            try:
                frame, taken = split_mbap(bytes(inbox.data))
            except ProtocolError as error:
                raise LineDown(str(error)) from error
            del inbox.data[:taken]
            if frame is None:
                if not await inbox.more(deadline):
                    self.quiet_at = moment()
                    if inbox.data:
                        raise ProtocolError(f"{len(inbox.data)} bytes of an unfinished reply came")
                    raise NoAnswer(f"unit {unit_id} did not answer")
            elif frame.transaction_id != self._transaction_id:
                self.strays += 1
            else:
                break
        self.quiet_at = inbox.last_at
        if frame.unit_id != unit_id:
            raise ProtocolError(f"unit {frame.unit_id} answered instead of unit {unit_id}")
        return Answer(parse_reply(request, frame.pdu), max(0.0, inbox.last_at - sent_at))

    async def settle(self, window_s: float) -> float | None:
        return None

    def close(self) -> None:
        self._pipe.close()


def wire_over(pipe: Pipe, spec: BusSpec) -> Wire:
    return MbapWire(pipe) if spec.kind is LineKind.TCP else RtuWire(pipe, spec)
