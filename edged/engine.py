"""The single writer of one station: inbox -> step -> commit -> dispatch, in the order of docs/architecture.md.

Owns the current `Station` and nothing else about it. A step becomes visible only after its commit; if the disk does
not keep it, the step is dropped, whoever asked is told, and nothing has happened, save that energy which the dropped
step would have stopped or lowered is so all the same: charging stays safe on a full disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from edged import chronicle
from edged.domain.commands import Command
from edged.domain.desired import desired
from edged.domain.effects import Abandon, Commission, Effect, LearnTime, Perform, Reply, Restart, RestartScope
from edged.domain.events import (
    ActionPerformed,
    ChargerLost,
    ConnectorObserved,
    Event,
    JobDone,
    LinkDown,
    LinkProven,
    LinkUp,
    PresentToken,
    Started,
    Tick,
    VersionAgreed,
)
from edged.domain.hardware import ActionOutcome, Desired, Observation
from edged.domain.jobs import Cause, Failed
from edged.domain.station import Station
from edged.domain.step import step
from edged.domain.transition import Transition
from edged.domain.types import Now, RequestRef
from edged.inbox import Inbox
from edged.log_fields import about
from edged.ports import Clock, CsmsLink, Desk, Driver, Host, Jobs, Mirror, StationStore, StoreDamaged, StoreError

_log = logging.getLogger(__name__)

CSMS = "csms"
TICK_S = 1.0
RETRY_AFTER_TICKS = 5
CALM_S = 20.0
MAX_RETRIES_KEPT = 1024
NO_LIMIT_MA = 2**31


@dataclass(slots=True)
class _Listener:
    """Puts one connector's reports into the inbox."""

    engine: Engine
    connector: int

    def observed(self, observation: Observation) -> None:
        self.engine.post(ConnectorObserved(self.connector, observation))

    def lost(self, reason: str) -> None:
        self.engine.post(ChargerLost(self.connector, reason))

    def performed(self, ticket: str, outcome: ActionOutcome, detail: str) -> None:
        self.engine.post(ActionPerformed(ticket, outcome, detail))


def _same(new: object, old: object) -> bool:
    return new is old or (isinstance(new, frozenset) and new == old)


class Engine:
    """Runs one station. `degraded` says why the disk keeps nothing at the moment, or is empty."""

    def __init__(
        self,
        station: Station,
        *,
        store: StationStore,
        clock: Clock,
        drivers: Mapping[int, Driver],
        host: Host,
        executor: Executor | None,
        mirrors: Sequence[Mirror] = (),
        desks: Sequence[Desk] = (),
        jobs: Jobs | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.station = station
        self.inbox = Inbox()
        self.degraded = ""
        self.commits = 0
        self._store = store
        self._clock = clock
        self._drivers = drivers
        self._host = host
        self._executor = executor
        self._mirrors = mirrors
        self._desks = desks
        self._jobs = jobs
        self._alive = alive
        self._link: CsmsLink | None = None
        self._wanted: dict[int, Desired] = {}
        self._held: dict[int, int] = {}  # connector: what it gets at most, in milliampere
        self._steered: tuple[object, ...] = ()
        self._again: deque[Event] = deque()
        self._ticks = 0
        self._refused_at_s = self._recovered_at_s = float("-inf")
        self._is_back = False
        self._keeping: asyncio.Future[None] | None = None

    def attach(self, link: CsmsLink) -> None:
        """The line to the CSMS; without one the station runs by itself."""
        self._link = link

    @property
    def wanted(self) -> Mapping[int, Desired]:
        """What each driver was last told."""
        return self._wanted

    # --- the inbox

    def post(self, event: Event) -> bool:
        """Something happened. False: a request that finds the inbox full."""
        return self.inbox.put(event)

    # --- the loop

    async def run(self) -> None:
        """Handle events one after the other, for ever. An exception out of here is a bug: let systemd restart."""
        for number, driver in self._drivers.items():
            with about(connector=number):
                driver.start(_Listener(self, number))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick())
            while True:
                await self.handle(await self.inbox.get())

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + TICK_S, loop.time())
            await asyncio.sleep(due - loop.time())
            self.post(Tick())

    async def handle(self, event: Event) -> None:
        """One event, from step to dispatch."""
        with chronicle.handling(event):
            if self._must_wait(event) or not await self._carry_out(event):
                self._set_aside(event)
        if isinstance(event, Tick):
            await self._after_tick()

    async def _carry_out(self, event: Event) -> bool:
        """False: the disk did not keep it, nothing has happened."""
        now = self._clock.now()
        before = self.station
        transition = step(before, event, now)
        writes = self._store.difference(before, transition.station, transition.effects, event)
        if writes and not self._store.defer(writes, now):
            try:
                await self._commit(writes, now)
            except StoreError as error:
                self._not_kept(transition, error)
                return False
            self._kept()
        self.station = transition.station
        chronicle.tell(before, self.station, transition.effects)
        self._dispatch(transition.effects, now)
        return True

    async def _commit(self, writes: Any, now: Now) -> None:
        await self._call(self._store.commit, writes, now.utc)
        self.commits += 1

    async def _call(self, do: Callable[..., Any], *what: Any) -> Any:
        """Where the disk may be waited for."""
        if self._executor is None:
            return do(*what)
        return await asyncio.get_running_loop().run_in_executor(self._executor, do, *what)

    async def _after_tick(self) -> None:
        """Feed the watchdog; bring to the disk what has waited long enough; try again what was not kept, in its
        order."""
        self._ticks += 1
        self._alive()
        if self.degraded and self._ticks % RETRY_AFTER_TICKS:
            return
        await self._keep_what_waits()
        while self._again and await self._carry_out(self._again[0]):
            self._again.popleft()

    # --- what waits for the disk

    async def keep_soon(self) -> None:
        """Bring what waits to the disk with the next tick, as far as the disk takes it: it is about to be copied."""
        if self._keeping is None:
            self._keeping = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._keeping)

    async def _keep_what_waits(self) -> None:
        """A disk that refused is given all that waits, and be it nothing: then it is known whether it keeps data again.
        The next step that must be kept may be an hour away."""
        now, asked, self._keeping = self._clock.now(), self._keeping, None
        refused = bool(self.degraded)
        try:
            due = refused or asked is not None or self._store.overdue(now)
            if due and await self._call(partial(self._store.keep, anyway=refused), now.utc):
                self.commits += 1
                self._kept()
                self._steer()  # what was held back is so no more
        except StoreError as error:
            self._refused(error)
        finally:
            if asked is not None:
                asked.set_result(None)

    def keep_now(self) -> None:
        """The last of all, when nothing is handled any more. Raises `StoreError`: what waits is lost."""
        self._store.keep(self._clock.now().utc)

    # --- what was not kept

    def _refused(self, error: StoreError) -> None:
        self._refused_at_s = self._clock.now().monotonic_s
        if not self.degraded:
            self._is_back = self._refused_at_s - self._recovered_at_s < CALM_S
            _log.error("%s: the disk keeps nothing: %s", self.station.identity.id, error)
            if isinstance(error, StoreDamaged):
                self._host.restart(RestartScope.SERVICE)  # the next start sets the database aside
        self.degraded = str(error)

    def _not_kept(self, transition: Transition, error: StoreError) -> None:
        """The step did not happen, save that energy which it would have stopped or lowered is."""
        self._refused(error)
        for number in self.station.connectors:
            before, after = desired(self.station, number), desired(transition.station, number)
            if before.permit_charging and not after.permit_charging:
                self._held[number] = 0
            elif _limit_ma(after) < min(_limit_ma(before), self._held.get(number, NO_LIMIT_MA)):
                self._held[number] = _limit_ma(after)
        self._steer()

    def _must_wait(self, event: Event) -> bool:
        """Whether something that was not kept has to come first: nothing before the start, and of what our own shells
        report (line up, line down) the order is the meaning. What the CSMS asks on a line comes behind the news of that
        line: with it a new way to the CSMS is proven, and another order would forget it."""
        if not self._again:
            return False
        if isinstance(self._again[0], Started) or _keeps_order(event):
            return True
        asked = isinstance(event, Command) and event.request.channel == CSMS
        return asked and any(isinstance(waiting, LinkUp | LinkProven | VersionAgreed) for waiting in self._again)

    def _set_aside(self, event: Event) -> None:
        """It did not happen, or not yet. Whoever asked is told; a poll and a tick come again by themselves, everything
        else is tried again."""
        if isinstance(event, Command) or (isinstance(event, PresentToken) and event.request is not None):
            self._refuse(event.request, "the station's disk does not keep what it is given")
            return
        if isinstance(event, LinkDown):  # a line that has come and gone meanwhile is none any more
            self._again = deque(waiting for waiting in self._again if not isinstance(waiting, LinkUp))
        if not isinstance(event, ConnectorObserved | Tick) and len(self._again) < MAX_RETRIES_KEPT:
            self._again.append(event)

    def _refuse(self, request: RequestRef | None, reason: str) -> None:
        if request is None:
            return
        if request.channel != CSMS:
            for desk in self._desks:
                if desk.fail(request, reason):
                    return
        elif self._link is not None:
            self._link.refuse(request, reason)

    def _kept(self) -> None:
        """Trouble that came back at once is over when the disk has not refused for a while: with room for little things
        only it would come and go every five seconds."""
        self._held.clear()
        now_s = self._clock.now().monotonic_s
        if self.degraded and not (self._is_back and now_s - self._refused_at_s < CALM_S):
            _log.warning("%s: the disk keeps data again", self.station.identity.id)
            self.degraded = ""
            self._recovered_at_s = now_s

    # --- what everybody sees

    def _dispatch(self, effects: tuple[Effect, ...], now: Now) -> None:
        """Replies first, then the CSMS, the hardware, the mirrors, and one-shot actions last."""
        for effect in effects:
            if isinstance(effect, Reply):
                self._answer(effect)
            elif isinstance(effect, LearnTime):
                self._clock.learn(effect.utc)
                self.post(Tick())  # what waits for a trusted clock need not wait a second more
        if self._link is not None:
            self._link.show(self.station, now, effects)
        self._steer()
        for mirror in self._mirrors:
            mirror.show(self.station, now)
        for effect in effects:
            if isinstance(effect, Perform):
                self._drivers[effect.connector].perform(effect.action, effect.ticket)
            elif isinstance(effect, Commission):
                self._employ(effect)
            elif isinstance(effect, Abandon) and self._jobs is not None:
                self._jobs.abandon(effect.ticket)
            elif isinstance(effect, Restart):
                self._host.restart(effect.scope)

    def _employ(self, commission: Commission) -> None:
        if self._jobs is not None:
            self._jobs.commission(commission.ticket, commission.job, self.station)
        else:
            self.post(JobDone(commission.ticket, Failed("this station has nobody for it", Cause.UNSUPPORTED)))

    def _answer(self, reply: Reply) -> None:
        if reply.request.channel != CSMS:
            for desk in self._desks:
                if desk.answer(reply):
                    return
        elif self._link is not None:
            self._link.reply(reply, self.station)

    def _steer(self) -> None:
        """Tell each driver what its connector should be, when that has changed.

        What is desired follows from these facts, each replaced when it changes, and from what is held back.
        """
        station = self.station
        facts = (
            station.connectors,
            station.transactions,
            station.pending,
            station.configuration,
            station.operative,
            station.reset,
            station.limits,
            frozenset(self._held.items()),
        )
        if len(self._steered) == len(facts) and all(map(_same, facts, self._steered)):
            return
        self._steered = facts
        for number, driver in self._drivers.items():
            wanted = desired(self.station, number)
            if self._held.get(number, NO_LIMIT_MA) < _limit_ma(wanted):
                wanted = _lowered(wanted, self._held[number])
            if self._wanted.get(number) != wanted:
                self._wanted[number] = wanted
                driver.want(wanted)


def _limit_ma(wanted: Desired) -> int:
    return NO_LIMIT_MA if wanted.current_limit_ma is None else wanted.current_limit_ma


def _lowered(wanted: Desired, most_ma: int) -> Desired:
    """The same with less energy, or none."""
    return replace(wanted, current_limit_ma=most_ma) if most_ma else replace(wanted, permit_charging=False)


def _keeps_order(event: Event) -> bool:
    """Whether the event may not overtake one that waits for the disk."""
    return not isinstance(event, Command | PresentToken | ConnectorObserved | ChargerLost | ActionPerformed | Tick)
