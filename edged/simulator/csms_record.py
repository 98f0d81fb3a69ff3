"""What went over a CSMS's connections, in order, and waiting for what is still to come.

Owns the record and those who wait for it; knows no socket and judges nothing. Bounded: the oldest frames are forgotten.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

MAX_FRAMES = 100_000


class Direction(StrEnum):
    RECEIVED = "received"  # from the station
    SENT = "sent"  # to the station


class Kind(StrEnum):
    CALL = "CALL"
    RESULT = "CALLRESULT"
    ERROR = "CALLERROR"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame. `at_s` is monotonic. `action` of an answer is that of its CALL. `connection` counts from 1."""

    index: int
    at_s: float
    station: str
    connection: int
    direction: Direction
    kind: Kind
    message_id: str
    action: str
    payload: object
    raw: str | bytes

    def is_call(self, action: str, station: str | None) -> bool:
        """Whether it is a CALL with that action from that station (None = from any)."""
        mine = station is None or self.station == station
        return mine and self.direction is Direction.RECEIVED and self.kind is Kind.CALL and self.action == action


class Record:
    """Every frame, numbered. `mark()` is a position: what comes after it has an index of at least that."""

    def __init__(self, limit: int = MAX_FRAMES) -> None:
        self._frames: deque[Frame] = deque(maxlen=limit)
        self._next = 0
        self._waiters: list[tuple[Callable[[Frame], bool], asyncio.Future[Frame]]] = []

    def __iter__(self) -> Iterator[Frame]:
        return iter(tuple(self._frames))

    def __len__(self) -> int:
        return len(self._frames)

    def mark(self) -> int:
        return self._next

    def next_index(self) -> int:
        """The index for the frame that is added next."""
        self._next += 1
        return self._next - 1

    def add(self, frame: Frame) -> None:
        self._frames.append(frame)
        for wanted, found in self._waiters:
            if not found.done() and wanted(frame):
                found.set_result(frame)

    async def wait(self, wanted: Callable[[Frame], bool], *, after: int, timeout_s: float) -> Frame:
        """The first frame at or after `after` that is wanted. `TimeoutError` where none comes in time."""
        for frame in self:
            if frame.index >= after and wanted(frame):
                return frame
        found: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        waiter = (wanted, found)
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                return await found
        finally:
            self._waiters.remove(waiter)
