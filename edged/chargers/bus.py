"""One worker for one physical line: every request of every charger on it goes through here, one at a time.

Owns: when the line may speak (silence, gaps of a device or of the bus), who speaks next, retries, units that are dead,
opening the line again, the line's statistics. Refuses to know: profiles and what a register means.

Invariants: one transaction in flight, never cancelled but by `close`; nobody waits longer than `PATIENCE_S` for a turn;
dead units cost the living ones at most a `DEAD_BUDGET`th of the time; whatever comes over the wire, the worker goes
on; a request that failed for the line's sake does not count against its unit.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from random import Random

from edged.chargers.bus_statistics import BusStatistics, Recorder
from edged.chargers.job_queue import Job, JobQueue, Priority, Words
from edged.chargers.line import BusSpec, LineDown, LineKind, Pipe, open_pipe, pause_until
from edged.chargers.modbus import (
    GATEWAY_SILENT,
    CrcError,
    ExceptionReply,
    NoAnswer,
    ProtocolError,
    Read,
    Request,
    Table,
    Write,
)
from edged.chargers.moments import moment
from edged.chargers.unit_health import UnitHealth, UnitState
from edged.chargers.wire import Answer, Wire, wire_over
from edged.ports import ChargerError, ChargerUnreachable

log = logging.getLogger(__name__)
wire_log = logging.getLogger("edged.wire")

PATIENCE_S = 10.0
LOOKAHEAD_S = 0.005
DEAD_BUDGET = 5
REOPEN_FIRST_S, REOPEN_LONGEST_S = 0.5, 5.0
FEWEST_SILENCES, MOST_SILENCES = 3, 48


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
        self._units: dict[int, UnitHealth] = {}
        self._wire: Wire | None = None
        self._worker: asyncio.Task[None] | None = None
        self._something_new = asyncio.Event()
        self._closed = False
        self._down_reason = ""
        self._line_ready_at = 0.0
        self._next_probe_at = 0.0
        self._silences = 0
        self._silences_allowed = FEWEST_SILENCES
        self._reopen_s = 0.0
        self._record = Recorder()

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
        unit = self._unit(unit_id)
        unit.min_gap_s = max(unit.min_gap_s, min_gap_s)
        unit.gap_is_bus_wide = unit.gap_is_bus_wide or gap_is_bus_wide
        if response_timeout_s is not None:
            unit.response_timeout_s = response_timeout_s

    def session(self, unit_id: int) -> int:
        """Changes whenever the unit may have lost what was written: the line was reopened, or the unit was dead."""
        return self._unit(unit_id).session

    def last_answer_at(self, unit_id: int) -> float | None:
        """The moment of the unit's last valid frame."""
        return self._unit(unit_id).last_answer_at

    def turnaround_s(self, unit_id: int) -> float:
        """How long the unit usually takes to answer; 0 before it has."""
        return self._unit(unit_id).percentile(0.5) or 0.0

    @property
    def statistics(self) -> BusStatistics:
        units = {unit_id: unit.statistics() for unit_id, unit in sorted(self._units.items())}
        return self._record.snapshot(wire=self._wire, down_reason=self._down_reason, queue=self._queue, units=units)

    async def close(self) -> None:
        """Let the transaction in flight go, fail what waits, close the line."""
        self._closed = True
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.wait([worker])
        self._shut("the bus is closed")

    # --- submitting ---------------------------------------------------------------------------------

    def _unit(self, unit_id: int) -> UnitHealth:
        if unit_id not in self._units:
            if not 0 <= unit_id <= 255:
                raise ValueError(f"unit id {unit_id} is outside 0..255")
            is_network = self.spec.kind is not LineKind.SERIAL
            self._units[unit_id] = UnitHealth(self._rng, fixed_timeout_s=self.spec.timeout_s, is_network=is_network)
        return self._units[unit_id]

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
            self._worker = asyncio.get_running_loop().create_task(self._run(), name=f"bus {self.spec}")
            self._worker.add_done_callback(self._worker_ended)
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
            expires_at=now + PATIENCE_S,
            due_at=now + due_in_s,
            setpoint=(unit_id, request.table, request.address) if is_setpoint else None,
            forgiving=forgiving,
            waiting=[future],
        )
        self._check_alive(job, self._unit(unit_id), now)
        self._queue.add(job)
        self._something_new.set()
        return await future

    def _check_alive(self, job: Job, unit: UnitHealth, now: float) -> None:
        """A dead unit gets one probe per back-off interval and every command; anything else fails at once."""
        if unit.state is UnitState.DEAD and job.priority > Priority.COMMAND and now < unit.retry_at:
            raise NoAnswer(f"unit {job.unit_id} is silent, next try in {unit.retry_at - now:.0f} s")

    # --- the worker ---------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            if self._wire is None:
                await self._open()
                continue
            now = moment()
            self._drop_expired(now)
            lookahead = max(LOOKAHEAD_S, self.spec.silence_s + 0.001)
            job, at = self._queue.pick(now, self._ready_at, lookahead)
            if job is None:
                await self._wait(at - now)
                continue
            await self._serve(job, at)

    def _drop_expired(self, now: float) -> None:
        for job in self._queue.drop(lambda job: job.expires_at < now or not job.is_wanted):
            self._record.expired += 1
            job.fail(NoAnswer(f"{self.spec} was too busy for {PATIENCE_S:g} s"))

    def _ready_at(self, job: Job) -> float:
        return max(self._line_ready_at, self._units[job.unit_id].ready_at)

    async def _wait(self, delay_s: float) -> None:
        """Until a new job comes, or until one that waits for its gap is ready."""
        self._something_new.clear()
        try:
            async with asyncio.timeout(None if delay_s == math.inf else max(0.0, delay_s - LOOKAHEAD_S / 2)):
                await self._something_new.wait()
        except TimeoutError:
            pass

    async def _open(self) -> None:
        try:
            pipe = await self._connect(self.spec)
        except LineDown as error:
            if not self._down_reason:
                log.warning("%s is down: %s", self.spec, error)
            self._fail_all(str(error))
            self._reopen_s = min(REOPEN_LONGEST_S, max(REOPEN_FIRST_S, 2 * self._reopen_s))
            await asyncio.sleep(self._reopen_s * (1 - 0.2 * self._rng.random()))
            return
        self._wire = wire_over(pipe, self.spec)
        log.info("%s is open", self.spec)
        self._down_reason = ""
        self._line_ready_at = self._wire.quiet_at + self.spec.silence_s
        if self._record.opened:
            for unit in self._units.values():
                unit.line_reopened(forgiven=self._silences == 0 or self._reopen_s > 0)
        self._record.opened += 1
        self._silences = 0

    async def _serve(self, job: Job, at: float) -> None:
        """Do a job that is no longer in the queue, at the time `at`; whatever happens, whoever waits for it is told."""
        unit = self._units[job.unit_id]
        try:
            await pause_until(at)
            now = moment()
            self._record.waited(job.priority, now - job.queued_at)
            self._check_alive(job, unit, now)
            if unit.state is UnitState.DEAD and job.priority > Priority.COMMAND:
                self._spend_probe(unit, now)
            answer = await self._attempt_or_repeat(job, unit)
        except LineDown as error:
            job.fail(error)
            self._lose(str(error))
        except ChargerError as error:
            job.fail(error)
            if self._is_half_open():
                self._lose("nothing comes over the connection any more")
        else:
            self._reopen_s = 0.0
            job.succeed(answer.words)
        finally:
            job.fail(LineDown("the bus was closed"))

    async def _attempt_or_repeat(self, job: Job, unit: UnitHealth) -> Answer:
        """A read of a unit that was online is repeated once, at once; a write never is.

        On a line that cannot tell late replies the unit is then left alone while one may still come. The repetition may
        meet the late reply of its twin, which carries the same registers; another request must not.
        """
        may_repeat = isinstance(job.request, Read) and unit.state is UnitState.ONLINE and not job.forgiving
        try:
            return await self._attempt(job, unit)
        except (NoAnswer, ProtocolError) as error:
            if not may_repeat:
                if not isinstance(error, CrcError):
                    self._keep_away(unit)
                raise
        self._record.retries += 1
        await pause_until(max(self._line_ready_at, unit.ready_at))
        try:
            return await self._attempt(job, unit)
        finally:
            self._keep_away(unit)

    def _spend_probe(self, unit: UnitHealth, now: float) -> None:
        """Dead units may cost the living ones only a part of the time; with nobody alive there is nothing to save."""
        if now < self._next_probe_at and any(other.state is UnitState.ONLINE for other in self._units.values()):
            raise NoAnswer("the unit is silent, and another silent one has just been tried")
        self._next_probe_at = now + max(1.0, DEAD_BUDGET * unit.timeout_s)

    async def _attempt(self, job: Job, unit: UnitHealth) -> Answer:
        """One transaction, counted; afterwards the line may be used again from `_line_ready_at` on."""
        assert self._wire is not None
        started = moment()
        unit.requests += 1
        try:
            answer = await self._wire.exchange(job.unit_id, job.request, unit.timeout_s)
        except ExceptionReply as error:
            unit.exceptions += 1
            self._log_wire(job, str(error))
            if error.code in GATEWAY_SILENT:
                self._failed(job, unit)
                self._finished(unit, started)
                raise NoAnswer(str(error)) from error
            self._silences = 0
            unit.answered(moment(), None)
            self._finished(unit, started)
            raise
        except (NoAnswer, ProtocolError) as error:
            self._count(unit, error)
            self._log_wire(job, str(error))
            self._failed(job, unit)
            late_s = await self._wire.settle(unit.late_window_s)
            if late_s is not None:
                unit.learned(late_s)
            self._finished(unit, started)
            raise
        self._silences = 0
        self._silences_allowed = FEWEST_SILENCES
        unit.answered(moment(), answer.turnaround_s)
        self._record.turnaround(answer.turnaround_s)
        self._log_wire(job, answer.words)
        self._finished(unit, started)
        return answer

    def _failed(self, job: Job, unit: UnitHealth) -> None:
        self._silences += 1
        if not job.forgiving:
            was = unit.state
            unit.failed(moment())
            if unit.state is UnitState.DEAD and was is not UnitState.DEAD:
                log.warning("%s: unit %d has fallen silent", self.spec, job.unit_id)

    def _keep_away(self, unit: UnitHealth) -> None:
        if self._wire is not None and not self._wire.tells_late_replies:
            unit.ready_at = max(unit.ready_at, moment() + unit.late_limit_s)

    def _finished(self, unit: UnitHealth, started: float) -> None:
        assert self._wire is not None
        ended = self._wire.quiet_at
        self._record.transaction(started, max(ended, started))
        gap_s = max(self.spec.silence_s, self.spec.gap_s, unit.min_gap_s if unit.gap_is_bus_wide else 0.0)
        self._line_ready_at = ended + gap_s
        unit.ready_at = ended + max(gap_s, unit.min_gap_s)

    def _count(self, unit: UnitHealth, error: ChargerUnreachable) -> None:
        if isinstance(error, CrcError):
            unit.crc_errors += 1
        elif isinstance(error, NoAnswer):
            unit.timeouts += 1
        else:
            unit.protocol_errors += 1

    def _is_half_open(self) -> bool:
        """Whether a TCP connection may be dead without anybody having told us: nothing came from any unit."""
        if self.spec.kind is LineKind.SERIAL or self._silences < self._silences_allowed:
            return False
        if any(unit.state is UnitState.ONLINE for unit in self._units.values()):
            return False
        self._silences_allowed = min(MOST_SILENCES, 2 * self._silences_allowed)
        return True

    def _lose(self, reason: str) -> None:
        log.warning("%s was lost: %s", self.spec, reason)
        self._shut(reason)
        self._record.lost += 1

    def _shut(self, reason: str) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        self._fail_all(reason)

    def _fail_all(self, reason: str) -> None:
        self._down_reason = reason
        for job in self._queue.drop(lambda _: True):
            job.fail(LineDown(reason))

    def _log_wire(self, job: Job, outcome: object) -> None:
        if wire_log.isEnabledFor(logging.DEBUG):
            wire_log.debug("%s unit %d %s -> %s", self.spec, job.unit_id, job.request, outcome)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        if worker.cancelled():
            return
        error = worker.exception()
        log.error("the worker of %s has ended by a bug", self.spec, exc_info=error)
        self._closed = True
        self._shut(f"the bus has failed: {error}")
