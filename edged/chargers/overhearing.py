"""What another master on an RTU line has asked, as far as it can be heard. No I/O and no clock of its own.

Owns: whole requests among bytes that nobody here asked for, until their reply has been heard or cannot come any more.
Refuses to know: lines, what we ask, what to do about it. Times are moments of the caller.

Invariant: while somebody else's request to a unit is open, a reply of that unit with that function may be the answer to
it: RTU replies name neither an address nor who asked, so nobody can tell.
"""

from __future__ import annotations

from edged.chargers.modbus import crc16

LATEST_S = 10.0
"""A reply later than this after our request is not taken for its answer any more: it tells nothing about the unit."""
ANSWERED_WITHIN_S = 1.0
"""So long after a request its reply may still come; `unit_health.LATE_LIMIT_S` is the same for our own."""
LONGEST_FRAME = 256
MAX_OPEN = 64
_READS, _SHORT_WRITES, _LONG_WRITES = frozenset({1, 2, 3, 4}), frozenset({5, 6}), frozenset({15, 16})
_SHORT, _REFUSAL, _REPLY_HEAD, _WRITE_HEAD = 8, 5, 5, 9
_Asked = tuple[int, int]
"""Unit and function."""


class Overhearing:
    """Feed it every byte that was no answer to us."""

    def __init__(self) -> None:
        self._rest = b""
        self._open: dict[_Asked, float] = {}
        self._ours_until: dict[_Asked, float] = {}
        self._unanswered_since: dict[_Asked, float] = {}
        self.late: dict[int, float] = {}
        """By unit: how long after our request its reply was heard when nobody waited for it any more."""

    def heard(self, data: bytes, now: float) -> None:
        if not data:
            return
        data = self._rest + data
        at = kept = 0
        while at < len(data):
            length = self._frame_at(data, at, now)
            at += length or 1
            kept = at if length else kept
        self._rest = data[max(kept, len(data) - LONGEST_FRAME) :]

    def expect_ours(self, unit_id: int, function: int, *, sent_at: float, until: float) -> None:
        """A reply to us may come until then, so that one that is heard closes nobody else's request."""
        self._ours_until[unit_id, function] = until
        self._unanswered_since[unit_id, function] = sent_at
        for kept in (self._ours_until, self._unanswered_since):
            if len(kept) > MAX_OPEN:
                kept.pop(next(iter(kept)))

    def is_asked_by_another(self, unit_id: int, function: int, now: float) -> bool:
        """Whether somebody else waits for such a reply of that unit."""
        return self._open.get((unit_id, function), -1.0) > now

    def _frame_at(self, data: bytes, at: int, now: float) -> int:
        """The length of the whole frame that begins here, 0 where none does; what it says is kept."""
        length = frame_length(data, at)
        if length:
            asked = _, function = data[at], data[at + 1] & 0x7F
            if data[at + 1] & 0x80:
                is_reply = True
            elif function in _SHORT_WRITES:
                # it looks like its reply: the second of two is that
                is_reply = asked in self._open
            else:
                is_reply = (length == _SHORT) is (function in _LONG_WRITES)
            self._close(asked, now) if is_reply else self._begin(asked, now)
        return length

    def _begin(self, asked: _Asked, now: float) -> None:
        self._open.pop(asked, None)
        self._open[asked] = now + ANSWERED_WITHIN_S
        if len(self._open) > MAX_OPEN:
            self._open.pop(next(iter(self._open)))

    def _close(self, asked: _Asked, now: float) -> None:
        if asked not in self._open:
            late_s = now - self._unanswered_since.pop(asked, -LATEST_S)
            if late_s < LATEST_S:
                self.late[asked[0]] = max(self.late.get(asked[0], 0.0), late_s)
        elif self._ours_until.get(asked, -1.0) <= now:
            self._open.pop(asked)


def frame_length(data: bytes | bytearray, at: int = 0) -> int:
    """The length of the whole RTU frame, request or reply, that begins there; 0 where none does."""
    if len(data) - at < _REFUSAL:
        return 0
    function = data[at + 1]
    lengths: tuple[int, ...] = ()
    if function & 0x80:
        lengths = (_REFUSAL,)
    elif function in _READS:
        lengths = (_SHORT, _REPLY_HEAD + data[at + 2])
    elif function in _SHORT_WRITES:
        lengths = (_SHORT,)
    elif function in _LONG_WRITES:
        lengths = (_SHORT, _WRITE_HEAD + data[at + 6]) if len(data) - at > _SHORT else (_SHORT,)
    return next((length for length in lengths if _is_whole(data, at, length)), 0)


def _is_whole(data: bytes | bytearray, at: int, length: int) -> bool:
    frame = bytes(data[at : at + length])
    return len(frame) == length and crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little")
