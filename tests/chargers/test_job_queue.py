"""Who is next: class, deadline, age; and what a newer setpoint replaces."""

from __future__ import annotations

import asyncio
import math

from edged.chargers.job_queue import Job, JobQueue, Priority
from edged.chargers.modbus import Read, Table, Write


def job(priority: Priority, *, at: float = 0.0, unit_id: int = 1, due_at: float = math.inf) -> Job:
    request = Read(table=Table.HOLDING, address=0, count=1)
    return Job(unit_id=unit_id, request=request, priority=priority, queued_at=at, expires_at=at + 10, due_at=due_at)


def order(queue: JobQueue, now: float) -> list[Job]:
    found = []
    while (picked := queue.choose(now, lambda _: 0.0)[0]) is not None:
        queue.take(picked)
        found.append(picked)
    return found


def test_the_lowest_class_is_served_first_and_equals_in_order() -> None:
    queue = JobQueue()
    jobs = [job(p) for p in (Priority.METER, Priority.STATUS, Priority.STATUS, Priority.STOP, Priority.KEEP_ALIVE)]
    for one in jobs:
        queue.add(one)
    assert order(queue, 0.0) == [jobs[3], jobs[4], jobs[1], jobs[2], jobs[0]]


def test_of_equals_the_earliest_deadline_is_first() -> None:
    queue = JobQueue()
    late, soon = job(Priority.KEEP_ALIVE, due_at=9), job(Priority.KEEP_ALIVE, due_at=3)
    queue.add(late)
    queue.add(soon)
    assert order(queue, 0.0) == [soon, late]


def test_who_waits_long_rises_but_never_to_where_commands_are() -> None:
    queue = JobQueue()
    old, command, stop = job(Priority.IDENTITY), job(Priority.COMMAND, at=99), job(Priority.STOP, at=99)
    status, keep_alive = job(Priority.STATUS, at=99), job(Priority.KEEP_ALIVE, at=99)
    for one in (old, command, stop, status, keep_alive):
        queue.add(one)
    assert order(queue, 100.0) == [stop, command, keep_alive, old, status]


def test_who_has_waited_rises_one_class_for_each_span() -> None:
    queue = JobQueue()
    queue.promotion_s = 3.0
    identity, meter, status = job(Priority.IDENTITY), job(Priority.METER, at=6.5), job(Priority.STATUS, at=6.9)
    for one in (identity, meter, status):
        queue.add(one)
    assert order(queue, 2.9) == [status, meter, identity]
    for one in (identity, meter, status):
        queue.add(one)
    assert order(queue, 7.0) == [status, identity, meter]
    for one in (identity, meter, status):
        queue.add(one)
    assert order(queue, 9.2) == [identity, status, meter]


def test_the_line_waits_a_moment_for_a_command_whose_unit_rests_and_for_nobody_else() -> None:
    for priority, first in ((Priority.COMMAND, 1), (Priority.KEEP_ALIVE, 2)):
        queue = JobQueue()
        queue.add(job(priority, unit_id=1))
        queue.add(job(Priority.STATUS, unit_id=2))
        chosen, at = queue.choose(0.0, lambda one: 0.004 if one.unit_id == 1 else 0.0)
        assert chosen is not None and chosen.unit_id == first
        assert at == (0.004 if first == 1 else 0.0)


def test_a_job_whose_unit_must_rest_lets_others_pass() -> None:
    queue = JobQueue()
    resting, ready = job(Priority.STOP, unit_id=1), job(Priority.METER, unit_id=2)
    queue.add(resting)
    queue.add(ready)
    rests = {1: 5.0, 2: 0.0}
    assert queue.choose(0.0, lambda one: rests[one.unit_id]) == (ready, 0.0)
    queue.take(ready)
    assert queue.choose(0.0, lambda one: rests[one.unit_id]) == (None, 5.0)


async def test_both_who_set_a_register_hear_of_the_newer_write() -> None:
    queue = JobQueue()
    loop = asyncio.get_running_loop()
    futures = [loop.create_future(), loop.create_future()]
    for value, future in zip((6, 16), futures, strict=True):
        write = Write(table=Table.HOLDING, address=5, values=(value,))
        queue.add(
            Job(
                unit_id=1,
                request=write,
                priority=Priority.COMMAND,
                queued_at=0,
                expires_at=9,
                setpoint=(1, Table.HOLDING, 5),
                waiting=[future],
            )
        )
    (only,) = order(queue, 0.0)
    assert isinstance(only.request, Write) and only.request.values == (16,)
    only.succeed(())
    assert all(future.done() for future in futures)
