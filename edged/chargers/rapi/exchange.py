"""What waits for a RAPI line, and what is on its way over it. No clock of its own.

Owns: the order of service, what has come since a request was sent. Refuses to know: the line.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from edged.chargers.job_queue import Priority
from edged.chargers.rapi.frames import Reply, Request
from edged.log_fields import Fields, current


@dataclass(slots=True, eq=False)
class Job:
    """`forgiving`: its failure says nothing about the controller; `about`: for whom it is done, in the words of the
    log."""

    request: Request
    priority: Priority
    number: int
    queued_at: float
    future: asyncio.Future[Reply]
    forgiving: bool
    about: Fields = field(default_factory=current)

    def fail(self, error: Exception) -> None:
        """Unless it has been answered."""
        if not self.future.done():
            self.future.set_exception(error)


class Waiting:
    """What waits for the line."""

    superseded = 0

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def __len__(self) -> int:
        return len(self.jobs)

    def take(self) -> Job:
        """The most urgent, of equals the oldest."""
        job = min(self.jobs, key=lambda job: (job.priority, job.number))
        self.jobs.remove(job)
        return job


class Exchange:
    """A request on its way, and what has come since."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.flaw: str | None = None
        self.is_damaged = False
        self.limit: asyncio.Timeout | None = None

    def damaged(self, flaw: str, until: float) -> None:
        """A damaged frame came: what is still waited for must come by then."""
        self.flaw = flaw
        self.is_damaged = True
        if self.limit is not None and not self.reply.done() and not self.limit.expired():
            self.limit.reschedule(min(until, self.limit.when() or until))

    def forget(self) -> None:
        """Nobody waits any more, also not for an error."""
        if self.reply.done() and not self.reply.cancelled():
            self.reply.exception()
