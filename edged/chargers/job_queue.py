"""What waits for the line, and who is next. No I/O and no clock of its own.

Owns: priorities, the starvation guard, earliest deadline first among equals, a newer setpoint in place of a queued one.
Refuses to know: how a job is done, and who may be asked when (the caller says so). Times are moments of the caller.

Invariants: at most `MAX_JOBS` wait; of two setpoints for one register only the newer is written, and both who asked
hear of it; a job that has waited for `promotion_s` rises one class, and one more for each further such span, but never
to where commands are: whatever has waited, a command waits for none of it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum

from edged.chargers.modbus import Read, Request, Table
from edged.log_fields import Fields, current

MAX_JOBS = 512
SHORTEST_PROMOTION_S = 1.0
"""One silent unit may hold a line for so long; that is no starvation."""
COMMAND_LOOKAHEAD_S = 0.005
"""The line is kept free for so long for a command whose unit must still rest."""


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
    """One request and everyone who waits for it.

    `due_at`: a deadline that orders equals; `forgiving`: its failure is expected and says nothing about the unit;
    `failed`: why it has been tried before in vain; `about`: for whom it is done, in the words of the log.
    """

    unit_id: int
    request: Request
    priority: Priority
    queued_at: float
    expires_at: float
    due_at: float = math.inf
    setpoint: SetpointKey | None = None
    forgiving: bool = False
    failed: Exception | None = None
    number: int = 0
    waiting: list[asyncio.Future[Words]] = field(default_factory=list)
    about: Fields = field(default_factory=current)

    def rank(self, now: float, promotion_s: float) -> tuple[int, float, int, int]:
        """The order of service: class after promotion, deadline, who was born into the class, age."""
        classes = int((now - self.queued_at) / promotion_s)
        if classes == 0 or self.priority <= Priority.KEEP_ALIVE:
            return self.priority, self.due_at, 0, self.number
        return max(self.priority - classes, Priority.KEEP_ALIVE), self.due_at, min(classes, 1), self.number

    @property
    def is_wanted(self) -> bool:
        return not all(map(asyncio.Future.done, self.waiting))

    def feeler(self) -> Job:
        """A read whose answer nobody needs: its bytes show whether the adapter hands back what is sent.

        The reply to a write of one register is its request; an echo would report a write as done that never was.
        """
        request = Read(table=self.request.table, address=self.request.address, count=1)
        return replace(self, request=request, setpoint=None, forgiving=True, waiting=[])

    def succeed(self, words: Words) -> None:
        for future in self.waiting:
            if not future.done():
                future.set_result(words)

    def fail(self, error: Exception) -> None:
        for future in self.waiting:
            if not future.done():
                future.set_exception(error)


class JobQueue:
    """Jobs in no order; `choose` finds the next. `is_overtaken`: since then one came that may have to go before it."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._numbers = 0
        self.superseded = 0
        self.is_overtaken = False
        self._chosen: Job | None = None
        self.promotion_s = SHORTEST_PROMOTION_S

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def is_full(self) -> bool:
        return len(self._jobs) >= MAX_JOBS

    @property
    def first_expiry(self) -> float:
        """When the next of them has waited long enough; inf where nobody waits."""
        return min((job.expires_at for job in self._jobs), default=math.inf)

    def add(self, job: Job) -> None:
        """Queue a job; a setpoint takes the place of an older one for the same register."""
        if self._chosen is not None:
            self.is_overtaken |= (job.priority, job.due_at) < (self._chosen.priority, self._chosen.due_at)
        if job.setpoint is not None:
            for queued in self._jobs:
                if queued.setpoint == job.setpoint:
                    queued.request = job.request
                    queued.priority = min(queued.priority, job.priority)
                    queued.due_at = min(queued.due_at, job.due_at)
                    queued.expires_at = max(queued.expires_at, job.expires_at)
                    queued.waiting += job.waiting
                    self.superseded += 1
                    return
        self._numbers += 1
        job.number = self._numbers
        self._jobs.append(job)

    def put_back(self, job: Job, now: float) -> None:
        """Let a job that was taken wait once more, before younger ones of its class."""
        job.queued_at = now
        self._jobs.append(job)

    def choose(self, free_at: float, ready_at: Callable[[Job], float]) -> tuple[Job | None, float]:
        """The job to do next on a line that is free at that moment, and when it may start; it stays in the queue.

        `ready_at`: when a job's unit may be asked. None where nobody's may, and when to ask again (inf: nobody waits).
        """
        best: Job | None = None
        best_at = earliest = math.inf
        best_rank: tuple[float, ...] = (math.inf,)
        for job in self._jobs:
            at = ready_at(job)
            if at > free_at and (job.priority > Priority.COMMAND or at > free_at + COMMAND_LOOKAHEAD_S):
                earliest = min(earliest, at)
                continue
            rank = job.rank(free_at, self.promotion_s)
            if rank < best_rank:
                best, best_at, best_rank = job, max(at, free_at), rank
        self._chosen, self.is_overtaken = best, False
        return (best, best_at) if best is not None else (None, earliest)

    def take(self, job: Job) -> None:
        self._jobs.remove(job)
        self._chosen = None

    def drop(self, which: Callable[[Job], bool]) -> list[Job]:
        """Take out every job that `which` names."""
        dropped = [job for job in self._jobs if which(job)]
        for job in dropped:
            self._jobs.remove(job)
        return dropped
