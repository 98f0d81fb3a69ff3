"""The line to one RAPI controller: every request goes through its one worker, every event is handed on at once.

Owns: opening the line again, who asks next, sequence ids, which reply belongs to which request, whether the controller
is alive, the line's statistics. Refuses to know: what a request means.

Invariants: one request is outstanding; a reply counts only with the id of that request, so that a late one is never
taken for another's; nothing without a right checksum counts; reads are repeated once, writes never; nobody waits longer
than `PATIENCE_S` for a turn; whatever comes over the line, the worker goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random

from edged.chargers.bus_statistics import BusStatistics, Recorder
from edged.chargers.job_queue import Priority
from edged.chargers.line import BusSpec, LineDown, LineKind, Pipe, open_pipe
from edged.chargers.modbus import CrcError, NoAnswer, ProtocolError
from edged.chargers.moments import moment
from edged.chargers.outage import LineWatch
from edged.chargers.rapi.exchange import Exchange, Job, Waiting
from edged.chargers.rapi.frames import (
    FIRST_SEQUENCE,
    LAST_SEQUENCE,
    Event,
    Flaw,
    Garbage,
    Reply,
    Request,
    Splitter,
    build,
    parse,
)
from edged.chargers.unit_health import UnitHealth, UnitState
from edged.log_fields import again, only
from edged.ports import ChargerUnreachable

log = logging.getLogger(__name__)
wire_log = logging.getLogger("edged.wire")

REPLY_TIMEOUT_S = 0.5
"""What the controller's own firmware waits where it is the one who asks."""
DAMAGED_PATIENCE_S = 0.1
"""Of a damaged frame nobody can say whether it was the reply or an event before it: so long one is still waited for."""
PATIENCE_S = 10.0
MAX_WAITING = 64
SILENCES_UNTIL_HALF_OPEN = 3
LISTEN_S = 3600.0
UNIT_ID = 0
"""A controller has no address; its statistics need a number."""


class Link:
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
        is_network = spec.kind is not LineKind.SERIAL
        self._unit = UnitHealth(self._rng, fixed_timeout_s=spec.timeout_s, is_network=is_network)
        self._unit.response_timeout_s = REPLY_TIMEOUT_S
        self._listeners: list[Callable[[Event], None]] = []
        self._waiting = Waiting()
        self._numbers = 0
        self._pipe: Pipe | None = None
        self._worker: asyncio.Task[None] | None = None
        self._ear: asyncio.Task[None] | None = None
        self._something_new = asyncio.Event()
        self._exchange: Exchange | None = None
        self._given_up: tuple[int, float] | None = None
        self._sequence = 0
        self._closed = False
        self._down_reason = ""
        self._silences = 0
        self._watch = LineWatch(spec, self._rng)
        self._record = Recorder(units={UNIT_ID: self._unit})
        self.strays = 0
        """Replies that nobody waited for any more, and bytes that were no frame."""

    def listen(self, listener: Callable[[Event], None]) -> None:
        """From now on told of every event, in the order in which they come, from the event loop. Must not raise."""
        self._listeners.append(listener)

    async def ask(
        self, name: str, *parameters: str, priority: Priority = Priority.STATUS, forgiving: bool = False
    ) -> Reply:
        """The controller's answer, `$OK` or `$NK`.

        Raises `ChargerUnreachable`: no line, no answer, no valid answer, or silent and not due for a try (never for a
        command). `ValueError` for what a controller could not take in. `forgiving`: silence is not held against it.
        """
        build(Request(name, parameters, LAST_SEQUENCE))
        if self._closed:
            raise LineDown("the line is closed")
        if self._worker is None:
            context = only(bus=self.spec)
            loop = asyncio.get_running_loop()
            self._worker = loop.create_task(self._run(), name=f"rapi {self.spec}", context=context)
            self._worker.add_done_callback(self._worker_ended, context=context)
        if self._pipe is None and self._down_reason:
            raise LineDown(self._down_reason)
        if len(self._waiting) >= MAX_WAITING:
            self._record.refused += 1
            raise ChargerUnreachable(f"{self.spec}: too many requests wait")
        self._check_alive(priority)
        self._numbers += 1
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        job = Job(Request(name, parameters), priority, self._numbers, moment(), future, forgiving)
        self._waiting.jobs.append(job)
        self._something_new.set()
        return await future

    @property
    def session(self) -> int:
        """Changes whenever the controller may have lost what was written: the line was lost, or it was silent."""
        return self._unit.session

    @property
    def last_answer_at(self) -> float | None:
        """The moment of the last valid reply."""
        return self._unit.last_answer_at

    @property
    def statistics(self) -> BusStatistics:
        now = moment()
        told = self._record.snapshot(
            wire=self,
            down_reason=self._down_reason,
            queue=self._waiting,
            units={UNIT_ID: self._unit.statistics(now)},
            now=now,
        )
        watch = self._watch
        return replace(
            told, is_open=self._pipe is not None, device=watch.device, latency_timer_ms=watch.latency_timer_ms
        )

    async def close(self) -> None:
        """Fail what waits, close the line."""
        self._closed = True
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.wait([worker])
        await self._shut("the line is closed")

    def _check_alive(self, priority: Priority) -> None:
        """A silent controller is given one try per back-off interval, and every command; the rest fails at once."""
        unit = self._unit
        if unit.state is UnitState.DEAD and priority > Priority.COMMAND and moment() < unit.retry_at:
            raise NoAnswer(f"the controller is silent, next try in {unit.retry_at - moment():.0f} s")

    # --- the worker ---------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            if self._pipe is None:
                await self._open()
            elif self._pipe.inbox.lost is not None:
                await self._lose(self._pipe.inbox.lost, is_idle=True)
            elif not self._waiting.jobs:
                self._something_new.clear()
                await self._something_new.wait()
            else:
                await self._serve(self._waiting.take())

    async def _open(self) -> None:
        if self._watch.failures:
            await asyncio.sleep(self._watch.pause_s)
        try:
            pipe = await self._connect(self.spec)
        except LineDown as error:
            self._watch.refused(error, moment())
            if not self._down_reason:
                self._record.line_down(moment())
            self._fail_all(str(error))
            return
        self._pipe = pipe
        pipe.inbox.on_loss = self._line_is_gone
        self._watch.opened(pipe, moment())
        self._down_reason = ""
        if self._record.opened:
            self._unit.line_reopened(forgiven=self._silences == 0 or self._watch.was_refused)
        self._record.line_opened(moment())
        self._silences = 0
        self._ear = asyncio.get_running_loop().create_task(self._hear(pipe), name=f"rapi ear {self.spec}")
        self._ear.add_done_callback(self._ear_ended)

    async def _serve(self, job: Job) -> None:
        """Do a job that is no longer in the queue; whatever happens, whoever waits for it is told."""
        now = moment()
        if job.future.done() or now - job.queued_at > PATIENCE_S:
            self._record.expired += 1
            job.fail(NoAnswer(f"{self.spec} was too busy for {PATIENCE_S:g} s"))
            return
        self._record.waited(job.priority, now - job.queued_at, self._unit)
        try:
            self._check_alive(job.priority)
            reply = await self._attempt_or_repeat(job)
        except LineDown as error:
            job.fail(error)
            await self._lose(str(error))
        except ChargerUnreachable as error:
            job.fail(error)
            if self._is_half_open():
                await self._lose("nothing comes over the connection any more")
        else:
            if not job.future.done():
                job.future.set_result(reply)
        finally:
            job.fail(LineDown("the line was closed"))

    async def _attempt_or_repeat(self, job: Job) -> Reply:
        """A read of a controller that was online is repeated once, at once; a write never is."""
        may_repeat = job.request.name.startswith("G") and self._unit.state is UnitState.ONLINE and not job.forgiving
        try:
            return await self._attempt(job)
        except (NoAnswer, ProtocolError):
            if not may_repeat:
                raise
        self._record.retried(UNIT_ID)
        return await self._attempt(job)

    async def _attempt(self, job: Job) -> Reply:
        """One exchange, counted."""
        assert self._pipe is not None
        unit, started = self._unit, moment()
        self._sequence = self._sequence % LAST_SEQUENCE + FIRST_SEQUENCE
        exchange = self._exchange = Exchange(self._sequence)
        frame = build(Request(job.request.name, job.request.parameters, exchange.sequence))
        unit.requests += 1
        try:
            await self._pipe.write(frame)
            async with asyncio.timeout(unit.timeout_s + 2 * len(frame) * self.spec.character_s) as exchange.limit:
                reply = await exchange.reply
        except TimeoutError:
            self._given_up = (exchange.sequence, started)
            error = self._diagnose(exchange)
            self._failed(job, error)
            self._record.transaction(started, moment(), unit=unit)
            raise error from None
        finally:
            self._exchange = None
            exchange.forget()
        self._silences = 0
        self._watch.answered(moment())
        turnaround_s = moment() - started
        unit.answered(moment(), turnaround_s)
        unit.exceptions += not reply.is_ok
        self._record.transaction(started, moment(), unit=unit)
        is_status = job.priority is Priority.STATUS and reply.is_ok
        self._record.turnaround(turnaround_s, (UNIT_ID, job.request.name) if is_status else None)
        self._log_wire(job, reply)
        return reply

    def _diagnose(self, exchange: Exchange) -> ChargerUnreachable:
        if exchange.flaw is None:
            self._unit.timeouts += 1
            return NoAnswer("the controller did not answer")
        if exchange.is_damaged:
            self._unit.crc_errors += 1
            return CrcError(f"only damaged frames came back: {exchange.flaw}")
        self._unit.protocol_errors += 1
        return ProtocolError(exchange.flaw)

    def _failed(self, job: Job, error: ChargerUnreachable) -> None:
        """What is damaged is a sign of life: the controller is in doubt, but not silent."""
        self._log_wire(job, error)
        if isinstance(error, CrcError):
            if self._unit.state is UnitState.ONLINE:
                self._unit.state = UnitState.SUSPECT
            return
        self._silences += 1
        if job.forgiving:
            return
        was = self._unit.state
        self._unit.failed(moment())
        if self._unit.state is UnitState.DEAD and was is not UnitState.DEAD:
            log.warning("%s: the controller has fallen silent", self.spec)

    def _is_half_open(self) -> bool:
        """Whether a TCP connection may be dead without anybody having told us."""
        if self.spec.kind is LineKind.SERIAL or self._unit.state is UnitState.ONLINE:
            return False
        return self._silences >= SILENCES_UNTIL_HALF_OPEN

    async def _lose(self, reason: str, *, is_idle: bool = False) -> None:
        self._watch.lost(reason, moment(), is_idle=is_idle)
        await self._shut(reason)
        self._record.line_lost(moment())

    async def _shut(self, reason: str) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            ear.cancel()
            await asyncio.wait([ear])
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        self._fail_all(reason)

    def _fail_all(self, reason: str) -> None:
        self._down_reason = reason
        while self._waiting.jobs:
            self._waiting.jobs.pop().fail(LineDown(reason))

    # --- what comes in ------------------------------------------------------------------------------

    def _line_is_gone(self) -> None:
        if self._exchange is not None and not self._exchange.reply.done() and self._pipe is not None:
            self._exchange.reply.set_exception(LineDown(self._pipe.inbox.lost or "the line was lost"))
        self._something_new.set()

    async def _hear(self, pipe: Pipe) -> None:
        """Everything that comes, until the line is lost. What was begun on another line ends here."""
        inbox, splitter = pipe.inbox, Splitter()
        while inbox.lost is None:
            data = bytes(inbox.data)
            inbox.data.clear()
            discarded = splitter.discarded
            for frame in splitter.feed(data):
                self._heard(parse(frame))
            self.strays += splitter.discarded > discarded
            try:
                await inbox.more(moment() + LISTEN_S)
            except LineDown:
                return

    def _heard(self, found: Reply | Event | Garbage) -> None:
        match found:
            case Event():
                if wire_log.isEnabledFor(logging.DEBUG):
                    wire_log.debug("%s says %s", self.spec, found)
                for listener in self._listeners:
                    listener(found)
            case Reply():
                self._replied(found)
            case Garbage():
                self.strays += 1
                if self._exchange is not None and found.flaw is not Flaw.UNKNOWN:
                    self._exchange.damaged(str(found), moment() + DAMAGED_PATIENCE_S)

    def _replied(self, reply: Reply) -> None:
        exchange = self._exchange
        if exchange is not None and reply.sequence == exchange.sequence and not exchange.reply.done():
            exchange.reply.set_result(reply)
            return
        self.strays += 1
        if self._given_up is not None and reply.sequence == self._given_up[0]:
            self._unit.learned(moment() - self._given_up[1])
            self._given_up = None
        elif exchange is not None and reply.sequence is None and exchange.flaw is None:
            exchange.flaw = f"{reply} came without its sequence id: a request that came damaged, or firmware before 3.0"

    def _log_wire(self, job: Job, outcome: object) -> None:
        if wire_log.isEnabledFor(logging.DEBUG):
            wire_log.debug("%s %s -> %s", self.spec, job.request, outcome, extra=again(job.about))

    def _ear_ended(self, ear: asyncio.Task[None]) -> None:
        if ear.cancelled() or ear.exception() is None:
            return
        log.error("the ear of %s has ended by a bug", self.spec, exc_info=ear.exception())
        if self._pipe is not None:
            self._pipe.inbox.lose(f"the line has failed: {ear.exception()}")
        self._something_new.set()

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        if worker.cancelled():
            return
        error = worker.exception()
        log.error("the worker of %s has ended by a bug", self.spec, exc_info=error)
        self._closed = True
        self._fail_all(f"the line has failed: {error}")
