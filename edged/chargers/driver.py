"""Keeps one charging point as it should be: the `Driver` port over any `Charger`.

Owns: the poll, reconciling what is wanted with what is, actions one after another, outages.
Refuses to know: registers, buses, who wants what and why.

Invariants: the charger is used by one task only; what is wanted is applied again after every outage, restart and action
and whenever an observation contradicts it; an outage is told once, its end is the next observation; every action is
answered exactly once; a charger that is off or refuses is tried for ever, with back-off. Stopping writes nothing: the
charger falls back to its failsafe when its keep-alive ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from edged.domain.hardware import Action, ActionOutcome, Capability, Desired, LockState, Observation
from edged.log_fields import also
from edged.ports import Charger, ChargerError, ChargerListener, Clock

log = logging.getLogger(__name__)

MAX_ACTIONS = 8
ACTION_DEADLINE_S = 30.0
LOST_AFTER = 2
"""Polls that must fail in a row before the charger counts as lost: one failed poll is noise."""
SOON_S = 0.05
"""However often a charger says that something changed, it is not polled more often than this."""
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 30.0

Wait = Callable[[asyncio.Event, float], Awaitable[None]]


async def wait_for_event(event: asyncio.Event, timeout_s: float) -> None:
    """Until the event is set or the time is over."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass


class ChargerDriver:
    """One charger's task. `wait` is how it sleeps, so that a test can let time pass."""

    def __init__(
        self,
        charger: Charger,
        clock: Clock,
        *,
        wait: Wait = wait_for_event,
        action_deadline_s: float = ACTION_DEADLINE_S,
        name: str = "",
    ) -> None:
        """`name`: what the site calls the charger."""
        self.name = name
        self._charger = charger
        self._clock = clock
        self._wait = wait
        self._action_deadline_s = action_deadline_s
        self._task: asyncio.Task[None] | None = None
        self._listener: ChargerListener | None = None
        self._news = asyncio.Event()
        self._wanted: Desired | None = None
        self._is_dirty = False
        self._actions: deque[tuple[Action, str]] = deque()
        self._refused: deque[str] = deque()
        self._failed_polls = 0
        self._is_reachable = False
        self._is_lost = False
        self._complaint = ""
        self._retry_s = 0.0
        self._poll_at_s = 0.0
        self._apply_at_s = 0.0

    def start(self, listener: ChargerListener) -> None:
        """Begin polling. Needs a running loop; a charger that is off is waited for."""
        if self._task is not None:
            raise RuntimeError("the driver has already been started")
        self._listener = listener
        context = also(charger=self.name)
        work = self._run(listener)
        self._task = asyncio.get_running_loop().create_task(work, name=f"driver {self._charger}", context=context)
        self._task.add_done_callback(self._ended, context=context)

    def want(self, desired: Desired) -> None:
        """From now on the charger should be like this. Returns at once."""
        if desired != self._wanted:
            self._wanted = desired
            self._is_dirty = True
            self._retry_s = 0.0
            self._apply_at_s = 0.0
            self._news.set()

    def perform(self, action: Action, ticket: str) -> None:
        """Run an action soon. Returns at once; the listener is told the outcome, once."""
        if len(self._actions) < MAX_ACTIONS:
            self._actions.append((action, ticket))
        else:
            self._refused.append(ticket)
        self._news.set()

    def look_soon(self) -> None:
        """Poll without waiting for its turn: the charger has said by itself that something changed. Returns at once."""
        self._poll_at_s = min(self._poll_at_s, self._now_s() + SOON_S)
        self._news.set()

    async def stop(self) -> None:
        """End the task and the keep-alive; the charger is left to its failsafe."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._fail_actions("the gateway stops")
        await self._charger.close()

    def _fail_actions(self, why: str) -> None:
        """Answer whatever has not been begun."""
        tickets = [*self._refused, *(ticket for _, ticket in self._actions)]
        self._refused.clear()
        self._actions.clear()
        if self._listener is not None:
            for ticket in tickets:
                self._listener.performed(ticket, ActionOutcome.FAILED, why)

    # --- the task -----------------------------------------------------------------------------------

    async def _run(self, listener: ChargerListener) -> None:
        while True:
            self._news.clear()
            now_s = self._now_s()
            while self._refused:
                listener.performed(self._refused.popleft(), ActionOutcome.FAILED, "too many actions wait for it")
            if self._actions:
                await self._perform_next(listener)
            elif self._is_dirty and self._is_reachable and now_s >= self._apply_at_s:
                await self._apply()
            elif now_s >= self._poll_at_s:
                self._poll_at_s = now_s + self._charger.poll_interval_s
                await self._poll(listener)
            else:
                await self._wait(self._news, max(0.0, self._next_at_s() - now_s))

    def _next_at_s(self) -> float:
        if self._is_dirty and self._is_reachable:
            return min(self._poll_at_s, self._apply_at_s)
        return self._poll_at_s

    async def _poll(self, listener: ChargerListener) -> None:
        try:
            observation = await self._charger.observe()
        except ChargerError as error:
            self._failed_polls += 1
            self._is_reachable = False
            if self._failed_polls >= LOST_AFTER and not self._is_lost:
                self._is_lost = True
                log.warning("%s is lost: %s", self._charger, error)
                listener.lost(str(error))
            return
        if self._is_lost:
            log.info("%s is back", self._charger)
        if not self._is_reachable:
            self._retry_s = self._apply_at_s = 0.0
        if not self._is_reachable or observation.booted or self._disagrees(observation):
            self._is_dirty = self._wanted is not None
        self._failed_polls = 0
        self._is_reachable = True
        self._is_lost = False
        listener.observed(observation)

    def _disagrees(self, seen: Observation) -> bool:
        """Whether something that the charger reports is not as wanted."""
        wanted = self._wanted
        if wanted is None:
            return False
        if seen.permit_charging is not None and seen.permit_charging is not wanted.permit_charging:
            return True
        if seen.operative is not None and seen.operative is not wanted.operative:
            return True
        if seen.current_limit_ma is not None and seen.current_limit_ma != wanted.current_limit_ma:
            return True  # where no limit is wanted, only the charger knows what there is to be
        if wanted.locked is None or Capability.LOCK_CONTROL not in self._charger.capabilities:
            return False
        return seen.lock is (LockState.UNLOCKED if wanted.locked else LockState.LOCKED)

    async def _apply(self) -> None:
        wanted = self._wanted
        if wanted is None:
            self._is_dirty = False
            return
        self._is_dirty = False
        try:
            await self._charger.apply(wanted)
        except ChargerError as error:
            self._is_dirty = True
            self._retry_s = min(LONGEST_RETRY_S, max(FIRST_RETRY_S, 2 * self._retry_s))
            self._apply_at_s = self._now_s() + self._retry_s
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.warning("%s is not as wanted: %s", self._charger, error)
        else:
            self._retry_s = 0.0
            self._apply_at_s = 0.0
            self._complaint = ""

    async def _perform_next(self, listener: ChargerListener) -> None:
        action, ticket = self._actions.popleft()
        try:
            outcome, detail = await self._outcome_of(action)
        except asyncio.CancelledError:
            listener.performed(ticket, ActionOutcome.TIMEOUT, "the gateway stops")
            raise
        except Exception:
            listener.performed(ticket, ActionOutcome.FAILED, "its driver has failed")
            raise
        log.info("%s: %s %s %s", self._charger, action, outcome, detail)
        self._is_dirty = self._wanted is not None
        self._poll_at_s = 0.0
        listener.performed(ticket, outcome, detail)

    async def _outcome_of(self, action: Action) -> tuple[ActionOutcome, str]:
        try:
            async with asyncio.timeout(self._action_deadline_s):
                return await self._charger.perform(action), ""
        except TimeoutError:
            return ActionOutcome.TIMEOUT, f"no result within {self._action_deadline_s:g} s"
        except ChargerError as error:
            return ActionOutcome.TIMEOUT, str(error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A driver that ends by itself is a bug of ours; its charger is then as good as lost."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("the driver of %s has ended by a bug", self._charger, exc_info=error)
            if self._listener is not None:
                self._listener.lost(f"its driver has failed: {error}")
            self._fail_actions("its driver has failed")

    def _now_s(self) -> float:
        return self._clock.now().monotonic_s
