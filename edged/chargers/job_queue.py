"""What waits for the line, and who is next. No I/O and no clock of its own.

Owns: priorities, the starvation guard, earliest deadline first among equals, a newer setpoint in place of a queued one.
Refuses to know: how a job is done. Times are moments of the caller.

Invariants: at most `MAX_JOBS` wait; of two setpoints for one register only the newer is written, and both who asked
hear of it; a job older than `PROMOTION_S` rises one class for each such span, but never above `COMMAND`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from edged.chargers.modbus import Request, Table

MAX_JOBS = 512
PROMOTION_S = 3.0


class Priority(IntEnum):
    """Classes of jobs, the lowest number first."""

    STOP = 0  # withhold energy, unlock, lower a limit
    COMMAND = 1
    KEEP_ALIVE = 2
    STATUS = 3
    METER = 4
    IDENTITY = 5


Words = tuple[int, ...]
SetpointKey = tuple[int, Table, int]


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One request and everyone who waits for it. `due_at`: a deadline that orders equals; `forgiving`: its failure is
    expected and says nothing about the unit."""

    unit_id: int
    request: Request
    priority: Priority
    queued_at: float
    expires_at: float
    due_at: float = math.inf
    setpoint: SetpointKey | None = None
    forgiving: bool = False
    number: int = 0
    waiting: list[asyncio.Future[Words]] = field(default_factory=list)

    def rank(self, now: float) -> tuple[int, float, int]:
        """The order of service: class after promotion, deadline, age."""
        risen = self.priority - int((now - self.queued_at) / PROMOTION_S)
        return max(risen, min(self.priority, Priority.COMMAND)), self.due_at, self.number

    @property
    def is_wanted(self) -> bool:
        return any(not future.done() for future in self.waiting)

    def succeed(self, words: Words) -> None:
        for future in self.waiting:
            if not future.done():
                future.set_result(words)

    def fail(self, error: Exception) -> None:
        for future in self.waiting:
            if not future.done():
                future.set_exception(error)


class JobQueue:
    """Jobs in no order; `pick` finds the next."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._numbers = 0
        self.superseded = 0

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def is_full(self) -> bool:
        return len(self._jobs) >= MAX_JOBS

    def add(self, job: Job) -> None:
        """Queue a job; a setpoint takes the place of an older one for the same register."""
        if job.setpoint is not None:
            for queued in self._jobs:
                if queued.setpoint == job.setpoint:
                    queued.request = job.request
                    queued.priority = min(queued.priority, job.priority)
                    queued.expires_at = max(queued.expires_at, job.expires_at)
                    queued.waiting += job.waiting
                    self.superseded += 1
                    return
        self._numbers += 1
        job.number = self._numbers
        self._jobs.append(job)

    def pick(self, now: float, ready_at: Callable[[Job], float], lookahead_s: float) -> tuple[Job | None, float]:
        """The job to do next, taken out, and when it may start; or None and when to ask again (inf: nothing waits)."""
        best: Job | None = None
        best_at = earliest = math.inf
        for job in self._jobs:
            at = ready_at(job)
            if at - now > lookahead_s:
                earliest = min(earliest, at)
            elif best is None or job.rank(now) < best.rank(now):
                best, best_at = job, at
        if best is None:
            return None, earliest
        self._jobs.remove(best)
        return best, best_at

    def drop(self, which: Callable[[Job], bool]) -> Iterator[Job]:
        """Take out and yield every job that `which` names."""
        dropped = [job for job in self._jobs if which(job)]
        self._jobs = [job for job in self._jobs if not which(job)]
        yield from dropped
