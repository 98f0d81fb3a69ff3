"""One transaction on an open line: send a request, wait for its reply, know when the line is quiet again.

Owns: framing over a pipe, the end of a frame by its expected length, local echo, getting rid of late replies, letting
others finish who speak as well. Refuses to know: queues, priorities, whether a unit is alive, how long to wait (the bus
says so).

Invariants: one transaction at a time; after a failure `settle` is called before the next one, so that no late reply is
ever taken for the answer to another request; a reply that may be the answer to another master's request, as far as that
was heard, is refused; `quiet_at` is when the last byte of the last frame left the wire.
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
from edged.chargers.overhearing import ANSWERED_WITHIN_S, Overhearing, frame_length

GARBAGE_PATIENCE_S = 0.03
"""When as many bytes have come as the reply has, and it is not among them: wait so long for more (USB pauses 16 ms)."""
SETTLE_AT_MOST_S = 2.0
"""A line that never falls silent is used all the same: every request then fails by itself and is counted."""
FIFO_CHARACTERS = 8
"""A serial port hands over so many at a time: the silence between two of its pieces is none."""
LISTEN_AT_MOST_S = 0.5
"""So long somebody else may speak until we do as well."""


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

    def may_mistake_echo(self, request: Request) -> bool:
        """Whether our own bytes could pass for the reply, since it is not known whether the adapter hands them back."""

    async def exchange(self, unit_id: int, request: Request, timeout_s: float) -> Answer:
        """Raises `NoAnswer`, `ProtocolError`, `ExceptionReply` or `LineDown`. Never cancelled by the bus."""

    def take_late(self) -> dict[int, float]:
        """By unit: how long after the request (seconds) replies came that nobody waited for any more; told once."""

    async def settle(self, window_s: float) -> float | None:
        """Wait until the line is quiet and late replies are gone; how late the reply came, None where it did not."""

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
        self._presumed_echo = spec.echo
        self._echo_is_told = spec.echo is not None
        self._frame = b""
        self._sent_at = 0.0
        self._asked: tuple[int, Request] | None = None
        self._others = Overhearing()
        self.quiet_at = moment()
        self.strays = 0

    def may_mistake_echo(self, request: Request) -> bool:
        return self._echo is None and isinstance(request, Write) and not request.multiple

    async def exchange(self, unit_id: int, request: Request, timeout_s: float) -> Answer:
        inbox = self._inbox
        await self._listen()
        self._asked = unit_id, request
        self._presumed_echo = self._echo
        self._frame = frame = rtu_frame(unit_id, request.pdu)
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
                self._expect_late(unit_id, request)
                if not inbox.data:
                    self._learn_echo(is_echoed=None if self._echo else False)
                elif self._echo is None and not inbox.data.startswith(frame) and frame_length(inbox.data):
                    self._learn_echo(is_echoed=False)
                raise diagnose_rtu(unit_id, request, received)
        self.quiet_at = inbox.last_at
        self._check_whose(unit_id, request, received[: received.find(reply)])
        if reply != frame and inbox.data.startswith(reply):
            self._learn_echo(is_echoed=False)
        inbox.data.clear()
        turnaround_s = max(0.0, inbox.last_at - len(reply) * self._character_s - self._sent_at)
        return Answer(parse_reply(request, reply[1:-2]), turnaround_s)

    async def _listen(self) -> None:
        """Let whoever speaks finish, and keep what was said."""
        inbox = self._inbox
        give_up_at = moment() + LISTEN_AT_MOST_S
        silence_s = self._silence_s + FIFO_CHARACTERS * self._character_s
        while inbox.data and await inbox.more(min(inbox.last_at + silence_s, give_up_at)):
            pass
        self._drop_strays()

    def _drop_strays(self) -> None:
        if self._inbox.data:
            self.strays += 1
            self._others.heard(bytes(self._inbox.data), moment())
            self._inbox.data.clear()

    def _check_whose(self, unit_id: int, request: Request, before: bytes) -> None:
        """Raises `ProtocolError` where the reply, with that in front of it, may be the answer to another master."""
        self._others.heard(before, moment())
        if self._others.is_asked_by_another(unit_id, request.function, moment()):
            self._expect_late(unit_id, request)
            raise ProtocolError(f"another master asks unit {unit_id} as well: whose answer came cannot be told")

    def _expect_late(self, unit_id: int, request: Request) -> None:
        until = moment() + ANSWERED_WITHIN_S
        self._others.expect_ours(unit_id, request.function, sent_at=self._sent_at, until=until)

    def take_late(self) -> dict[int, float]:
        late, self._others.late = self._others.late, {}
        return late

    def _without_echo(self, frame: bytes, request: Request, received: bytes) -> bytes:
        """What came besides our own frame, on an adapter that hands it back.

        A read is not answered by its own request, so an echo is noticed there; the reply to a write of one register is
        its request, and is only told from an echo once that is known.
        """
        presumed = self._presumed_echo
        at = received.find(frame) if presumed or isinstance(request, Read) else -1
        if at == 0:
            # where there was none until now, another master may have asked just the same: the next read will tell
            self._learn_echo(is_echoed=None if presumed is False else True)
        if at >= 0 and presumed is not False:
            return received[:at] + received[at + len(frame) :]
        return b"" if presumed and isinstance(request, Write) else received

    def _learn_echo(self, *, is_echoed: bool | None) -> None:
        """Where nobody has told: a frame with nothing in front of it, or no byte at all, shows that there is none.

        No byte where there was an echo before makes it unknown again.
        """
        if not self._echo_is_told:
            self._echo = is_echoed

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
        self.quiet_at = max(self.quiet_at, quiet_from if late_at is not None else begun)
        if self._echo and (at := inbox.data.find(self._frame)) >= 0:
            del inbox.data[at : at + len(self._frame)]
        is_answer = self._asked is not None and find_rtu_reply(*self._asked, bytes(inbox.data)) is not None
        self._drop_strays()
        return max(0.0, late_at - self._sent_at) if late_at is not None and is_answer else None

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

    def may_mistake_echo(self, request: Request) -> bool:
        return False

    def take_late(self) -> dict[int, float]:
        return {}

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
                        # what comes next would be read as its end, and so for ever
                        raise LineDown(f"the stream stopped after {len(inbox.data)} bytes of a frame")
                    raise NoAnswer(f"unit {unit_id} did not answer")
                continue
            if frame.transaction_id != self._transaction_id:
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
