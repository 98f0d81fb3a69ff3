"""One worker for one physical line: every request of every charger on it goes through here, one at a time.

Owns: when the line may speak (silence, gaps of a device or of the bus), repeating, opening the line again, the line's
statistics. Refuses to know: profiles and what a register means; who is next (`job_queue`), who is alive (`line_units`).

Invariants: one transaction in flight, never cancelled but by `close`; a command waits for that one and for no other,
also where it fails: at most until its timeout and its late window are over, never for its repetition. Who is next is
decided when the line is free and not before. Nobody waits longer than `PATIENCE_S`, or four times what lets a job rise
a class, for a turn; whatever comes over the wire, the worker goes on; a request that failed for the line's sake does
not count against its unit.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from edged.chargers.bus_statistics import BusStatistics, Recorder
from edged.chargers.job_queue import SHORTEST_PROMOTION_S, Job, JobQueue, Priority, Words
from edged.chargers.line import BusSpec, Inbox, LineDown, LineKind, Pipe, SerialPipe, open_pipe, pause_until
from edged.chargers.line_units import LineUnits
from edged.chargers.modbus import (
    GATEWAY_SILENT,
    ExceptionReply,
    NoAnswer,
    ProtocolError,
    Read,
    Request,
    Table,
    Write,
    rtu_reply_length,
)
from edged.chargers.moments import moment
from edged.chargers.outage import LineWatch
from edged.chargers.unit_health import UnitHealth, UnitState
from edged.chargers.wire import Answer, Wire, wire_over
from edged.log_fields import again, only
from edged.ports import ChargerError, ChargerUnreachable

if TYPE_CHECKING:
    from edged.chargers.alarm import Alarm

log = logging.getLogger(__name__)
wire_log = logging.getLogger("edged.wire")

PATIENCE_S = 10.0
STARVED_AFTER_CYCLES = 3
LIKE_A_REQUEST = range(17, 25)
"""RTU replies with so many bits are as long as a request to read bits, and another master's could pass for one."""
EARLY_S = 0.002
"""The loop's timers may be so late; the rest of a wait is timed exactly."""


class Bus:
    """A line that is opened when first used, and opened again whenever it is lost, until `close`."""

    def __init__(
        self,
        spec: BusSpec,
        *,
        connect: Callable[[BusSpec], Awaitable[Pipe]] = open_pipe,
        rng: Random | None = None,
    ) -> None:
        self.spec = spec
        self._connect = connect
        self._rng = rng or Random()
        self._queue = JobQueue()
        self._units = LineUnits(spec, self._rng)
        self._wire: Wire | None = None
        self._inbox = Inbox()
        self._alarm: Alarm | None = None
        self._worker: asyncio.Task[None] | None = None
        self._something_new = asyncio.Event()
        self._closed = False
        self._down_reason = ""
        self._line_ready_at = 0.0
        self._watch = LineWatch(spec, self._rng)
        self._record = Recorder(spec, self._units.known)

    async def read(
        self,
        unit_id: int,
        table: Table,
        address: int,
        count: int,
        *,
        priority: Priority = Priority.STATUS,
        due_in_s: float = math.inf,
        forgiving: bool = False,
    ) -> Words:
        """The words (or bits) at an address.

        Raises `ChargerUnreachable` (no line, no answer, no valid answer, unit dead and not due for a try) or
        `ExceptionReply`. `due_in_s` orders requests of one priority; `forgiving` requests may fail unpunished.
        """
        if count in LIKE_A_REQUEST and table.is_bits and self.spec.kind is not LineKind.TCP:
            fewer = count - 8
            options: Any = {"priority": priority, "due_in_s": due_in_s, "forgiving": forgiving}
            first = await self.read(unit_id, table, address, fewer, **options)
            return first + await self.read(unit_id, table, address + fewer, count - fewer, **options)
        request = Read(table=table, address=address, count=count)
        return await self._submit(unit_id, request, priority, due_in_s=due_in_s, forgiving=forgiving)

    async def write(
        self,
        unit_id: int,
        table: Table,
        address: int,
        values: Words,
        *,
        multiple: bool = False,
        priority: Priority = Priority.COMMAND,
        is_setpoint: bool = False,
        due_in_s: float = math.inf,
    ) -> None:
        """Write, and have it echoed. `is_setpoint`: a newer write of the same register may take this one's place.

        Writes are never repeated by the bus. Raises as `read` does.
        """
        request = Write(table=table, address=address, values=values, multiple=multiple)
        await self._submit(unit_id, request, priority, due_in_s=due_in_s, is_setpoint=is_setpoint)

    def tune(self, unit_id: int, *, min_gap_s: float, gap_is_bus_wide: bool, response_timeout_s: float | None) -> None:
        """What a unit's profile asks of the line."""
        unit = self._units.unit(unit_id)
        unit.min_gap_s = max(unit.min_gap_s, min_gap_s)
        unit.gap_is_bus_wide = unit.gap_is_bus_wide or gap_is_bus_wide
        if response_timeout_s is not None:
            unit.response_timeout_s = response_timeout_s

    def session(self, unit_id: int) -> int:
        """Changes whenever the unit may have lost what was written: the line was reopened, or the unit was dead."""
        return self._units.unit(unit_id).session

    def last_answer_at(self, unit_id: int) -> float | None:
        """The moment of the unit's last valid frame."""
        return self._units.unit(unit_id).last_answer_at

    def turnaround_s(self, unit_id: int) -> float:
        """How long the unit usually takes to answer; 0 before it has."""
        return self._units.unit(unit_id).percentile(0.5) or 0.0

    @property
    def statistics(self) -> BusStatistics:
        now = moment()
        units = {unit_id: unit.statistics(now) for unit_id, unit in sorted(self._units.known.items())}
        told = self._record.snapshot(
            wire=self._wire, down_reason=self._down_reason, queue=self._queue, units=units, now=now
        )
        watch = self._watch
        is_open = told.is_open or watch.is_passing
        return replace(told, is_open=is_open, device=watch.device, latency_timer_ms=watch.latency_timer_ms)

    async def close(self) -> None:
        """Let the transaction in flight go, fail what waits, close the line."""
        self._closed = True
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.wait([worker])
        self._shut("the bus is closed")

    # --- submitting ---------------------------------------------------------------------------------

    async def _submit(
        self,
        unit_id: int,
        request: Request,
        priority: Priority,
        *,
        due_in_s: float,
        forgiving: bool = False,
        is_setpoint: bool = False,
    ) -> Words:
        if self._closed:
            raise LineDown("the bus is closed")
        if self._worker is None:
            context = only(bus=self.spec)
            loop = asyncio.get_running_loop()
            self._worker = loop.create_task(self._run(), name=f"bus {self.spec}", context=context)
            self._worker.add_done_callback(self._worker_ended, context=context)
        now = moment()
        if self._wire is None and self._down_reason:
            raise LineDown(self._down_reason)
        if self._queue.is_full:
            self._record.refused += 1
            raise ChargerUnreachable(f"{self.spec}: too many requests wait")
        future: asyncio.Future[Words] = asyncio.get_running_loop().create_future()
        job = Job(
            unit_id=unit_id,
            request=request,
            priority=priority,
            queued_at=now,
            expires_at=now + max(PATIENCE_S, 4 * self._queue.promotion_s),
            due_at=now + due_in_s,
            setpoint=(unit_id, request.table, request.address) if is_setpoint else None,
            forgiving=forgiving,
            waiting=[future],
        )
        self._units.unit(unit_id)
        self._units.check(job, now)
        self._queue.add(job)
        self._something_new.set()
        return await future

    # --- the worker ---------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            if self._wire is None:
                if self._watch.is_passing and not len(self._queue):
                    await self._wait(math.inf)
                else:
                    await self._open()
                continue
            if self._inbox.lost is not None:
                self._lose(self._inbox.lost, is_idle=True)
                continue
            now = moment()
            self._drop_expired(now)
            job, at = self._queue.choose(max(now, self._line_ready_at), self._units.ready_at)
            if job is None:
                await self._wait(min(at, self._queue.first_expiry))
            elif not at > now or await self._is_still_next(job, at):
                if self._wire.may_mistake_echo(job.request):
                    await self._serve(job.feeler())
                    continue
                if self._watch.is_used_up:
                    self._watch.renewed()
                    self._shut("", keeps_waiting=True)
                    continue
                self._queue.take(job)
                await self._serve(job)

    async def _is_still_next(self, job: Job, at: float) -> bool:
        """Wait for that moment; whether nothing came meanwhile that may have to go before the job."""
        await pause_until(at, self._alarm)
        return not self._queue.is_overtaken and job.is_wanted

    def _drop_expired(self, now: float) -> None:
        for job in self._queue.drop(lambda job: job.expires_at < now or not job.is_wanted):
            self._record.expired += 1
            job.fail(job.failed or NoAnswer(f"{self.spec} was too busy for {now - job.queued_at:.0f} s"))

    async def _wait(self, until: float) -> None:
        """Until a new job comes, or until one that waits for its gap is ready."""
        self._something_new.clear()
        delay_s = until - moment()
        if delay_s <= EARLY_S:
            await pause_until(until, self._alarm)
            return
        try:
            async with asyncio.timeout(None if delay_s == math.inf else delay_s - EARLY_S):
                await self._something_new.wait()
        except TimeoutError:
            pass

    async def _open(self) -> None:
        await asyncio.sleep(self._watch.pause_s)
        try:
            pipe = await self._connect(self.spec)
        except LineDown as error:
            self._watch.refused(error, moment())
            if not self._down_reason:
                self._record.line_down(moment())
            self._fail_all(str(error))
            return
        self._wire = wire_over(pipe, self.spec)
        self._inbox = pipe.inbox
        self._alarm = pipe.alarm if isinstance(pipe, SerialPipe) else None
        self._inbox.on_loss = self._something_new.set
        self._watch.opened(pipe, moment())
        self._down_reason = ""
        self._line_ready_at = self._wire.quiet_at + self.spec.silence_s
        self._units.line_opened(moment(), is_again=self._record.opened > 0, was_refused=self._watch.was_refused)
        self._record.line_opened(moment())

    async def _serve(self, job: Job) -> None:
        """Do a job that is no longer in the queue; whatever happens, whoever waits for it is told.

        A read of a unit that was online is repeated once, when nothing more urgent waits; a write never is.
        """
        unit = self._units.unit(job.unit_id)
        now = moment()
        may_repeat = isinstance(job.request, Read) and unit.state is UnitState.ONLINE
        may_repeat = may_repeat and not job.forgiving and job.failed is None
        is_over = True
        self._record.begins(job, unit, now)
        try:
            self._units.check(job, now)
            self._units.spend(job, now)
            answer = await self._attempt(job, unit)
        except LineDown as error:
            self._units.expect_late_reply(job, moment())
            self._lose(str(error))
            if may_repeat and self._watch.is_passing:
                is_over = False
                self._repeat(job, error)
            else:
                job.fail(error)
        except (NoAnswer, ProtocolError) as error:
            if may_repeat:
                is_over = False
                self._repeat(job, error)
            else:
                job.fail(error)
            if self._units.is_half_open():
                self._lose("nothing comes over the connection any more")
        except ChargerError as error:
            job.fail(error)
        else:
            job.succeed(answer.words)
        finally:
            if is_over:
                job.fail(LineDown("the bus was closed"))

    def _repeat(self, job: Job, error: ChargerUnreachable) -> None:
        job.failed = error
        self._record.retried(job.unit_id)
        self._queue.put_back(job, moment())

    async def _attempt(self, job: Job, unit: UnitHealth) -> Answer:
        """One transaction, counted; afterwards the line may be used again from `_line_ready_at` on."""
        assert self._wire is not None
        started = moment()
        was_online = unit.state is UnitState.ONLINE
        unit.requests += 1
        try:
            patience_s = unit.patience_s(rtu_reply_length(job.request) * self.spec.character_s)
            answer = await self._wire.exchange(job.unit_id, job.request, patience_s)
        except ExceptionReply as error:
            unit.exceptions += 1
            self._log_wire(job, str(error))
            if error.code in GATEWAY_SILENT:
                self._failed(job)
                self._units.expect_late_reply(job, moment())
                self._finished(unit, started)
                raise NoAnswer(str(error)) from error
            self._proved_alive(by_answer=False)
            unit.answered(moment(), None)
            if job.failed is not None:
                self._units.expect_late_reply(job, moment())
            self._finished(unit, started)
            raise
        except (NoAnswer, ProtocolError) as error:
            self._units.count(job, error)
            self._log_wire(job, str(error))
            self._failed(job)
            late_s = await self._wire.settle(unit.late_window_s(moment() - started, was_online=was_online))
            if late_s is not None:
                unit.learned(late_s)
            self._units.expect_late_reply(job, moment())
            self._finished(unit, started)
            raise
        self._proved_alive(by_answer=True)
        unit.answered(moment(), answer.turnaround_s)
        self._record.answered(job, answer.turnaround_s)
        self._log_wire(job, answer.words)
        if job.failed is not None:
            self._units.expect_late_reply(job, moment())
        self._finished(unit, started)
        return answer

    def _proved_alive(self, *, by_answer: bool) -> None:
        self._units.proved_alive(by_answer=by_answer)
        self._watch.answered(moment())

    def _failed(self, job: Job) -> None:
        if self._units.failed(job, moment()):
            log.warning("%s: unit %d has fallen silent", self.spec, job.unit_id, extra=again(job.about))

    def _finished(self, unit: UnitHealth, started: float) -> None:
        assert self._wire is not None
        for late_id, late_s in self._wire.take_late().items():
            self._units.unit(late_id).was_late(late_s)
        ended = self._wire.quiet_at
        gap_s = max(self.spec.silence_s, self.spec.gap_s, unit.min_gap_s if unit.gap_is_bus_wide else 0.0)
        self._record.transaction(started, max(ended, started), unit=unit, gap_s=gap_s)
        self._line_ready_at = ended + gap_s
        unit.ready_at = ended + max(gap_s, unit.min_gap_s)
        self._units.took(max(0.0, self._line_ready_at - started))
        self._queue.promotion_s = max(SHORTEST_PROMOTION_S, STARVED_AFTER_CYCLES * self._units.cycle_s)

    def _lose(self, reason: str, *, is_idle: bool = False) -> None:
        self._watch.lost(reason, moment(), is_idle=is_idle)
        self._shut(reason, keeps_waiting=self._watch.is_passing)
        self._record.line_lost(moment())

    def _shut(self, reason: str, *, keeps_waiting: bool = False) -> None:
        if self._wire is not None:
            self._record.line_closed(self._wire.strays)
            self._wire.close()
            self._wire = None
        if not keeps_waiting:
            self._fail_all(reason)

    def _fail_all(self, reason: str) -> None:
        self._down_reason = reason
        for job in self._queue.drop(lambda _: True):
            job.fail(LineDown(reason))

    def _log_wire(self, job: Job, outcome: object) -> None:
        if wire_log.isEnabledFor(logging.DEBUG):
            extra = again(job.about)
            wire_log.debug("%s unit %d %s -> %s", self.spec, job.unit_id, job.request, outcome, extra=extra)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        if worker.cancelled():
            return
        error = worker.exception()
        log.error("the worker of %s has ended by a bug", self.spec, exc_info=error)
        self._closed = True
        self._shut(f"the bus has failed: {error}")
