"""The driver over a fake charger, on a clock that only moves when the driver waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from edged.chargers.driver import MAX_ACTIONS, ChargerDriver
from edged.domain.hardware import Action, ActionOutcome, Capability, Desired, Measurand, Observation
from edged.ports import ChargerRefused, ChargerUnreachable

GO = Desired(permit_charging=True, current_limit_ma=16_000)
STOP = Desired(permit_charging=False)


class FakeCharger:
    """A charger that obeys, unless told otherwise."""

    def __init__(self, clock) -> None:
        self.clock = clock
        self.capabilities: frozenset[Capability] = frozenset()
        self.measurands: frozenset[Measurand] = frozenset()
        self.poll_interval_s = 1.0
        self.permit = False
        self.is_off = False
        self.refuses = False
        self.booted = False
        self.applied: list[tuple[float, Desired]] = []
        self.performed: list[Action] = []
        self.hangs = False
        self.polls = self.bad_poll = 0
        self.is_closed = False
        self.in_use = 0

    async def observe(self) -> Observation:
        await self._alone()
        self.polls += 1
        if self.is_off or self.polls == self.bad_poll:
            raise ChargerUnreachable("off")
        booted, self.booted = self.booted, False
        return Observation(read_at=self.clock.now(), permit_charging=self.permit, booted=booted)

    async def apply(self, desired: Desired) -> None:
        await self._alone()
        self.applied.append((self.clock.monotonic_s, desired))
        if self.is_off:
            raise ChargerUnreachable("off")
        if self.refuses:
            raise ChargerRefused("no")
        self.permit = desired.permit_charging

    async def perform(self, action: Action) -> ActionOutcome:
        await self._alone()
        self.performed.append(action)
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_off:
            raise ChargerUnreachable("off")
        return ActionOutcome.DONE

    async def close(self) -> None:
        self.is_closed = True

    async def _alone(self) -> None:
        self.in_use += 1
        assert self.in_use == 1, "the driver used the charger from two tasks"
        await asyncio.sleep(0)
        self.in_use -= 1


class Listener:
    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []

    def observed(self, observation: Observation) -> None:
        self.told.append(("observed", observation))

    def lost(self, reason: str) -> None:
        self.told.append(("lost", reason))

    def performed(self, ticket: str, outcome: ActionOutcome, detail: str) -> None:
        self.told.append((ticket, outcome))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]


class Stage:
    def __init__(self, clock, **options) -> None:
        self.clock = clock
        self.charger = FakeCharger(clock)
        self.listener = Listener()
        self.driver = ChargerDriver(self.charger, clock, wait=clock.wait, **options)

    async def until(self, condition) -> None:
        for _ in range(20_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never came to that")

    async def polls(self, count: int) -> None:
        goal = self.charger.polls + count
        await self.until(lambda: self.charger.polls >= goal)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@asynccontextmanager
async def staged(clock, **options) -> AsyncIterator[Stage]:
    stage = Stage(clock, **options)
    stage.driver.start(stage.listener)
    try:
        yield stage
    finally:
        await stage.driver.stop()


async def test_it_polls_at_the_chargers_interval(clock) -> None:
    async with staged(clock) as stage:
        begun = clock.monotonic_s
        await stage.polls(10)
        assert 8 <= clock.monotonic_s - begun <= 11


async def test_every_observation_reaches_the_listener(clock) -> None:
    async with staged(clock) as stage:
        await stage.polls(3)
        assert stage.listener.kinds()[:2] == ["observed", "observed"]


async def test_what_is_wanted_is_applied_once(clock) -> None:
    async with staged(clock) as stage:
        stage.driver.want(GO)
        await stage.until(lambda: stage.charger.permit)
        await stage.polls(5)
        assert [desired for _, desired in stage.charger.applied] == [GO]


async def test_wanting_the_same_again_writes_nothing(clock) -> None:
    async with staged(clock) as stage:
        for _ in range(5):
            stage.driver.want(GO)
            await stage.polls(1)
        assert len(stage.charger.applied) == 1


async def test_only_the_last_of_several_wishes_is_applied(clock) -> None:
    async with staged(clock) as stage:
        stage.driver.want(GO)
        stage.driver.want(STOP)
        await stage.polls(3)
        assert {desired for _, desired in stage.charger.applied} == {STOP}


async def test_a_wish_does_not_wait_for_the_next_poll(clock) -> None:
    async with staged(clock) as stage:
        stage.charger.poll_interval_s = 1000
        await stage.polls(1)
        stage.driver.want(GO)
        now = clock.monotonic_s
        await stage.until(lambda: bool(stage.charger.applied))
        assert stage.charger.applied[0][0] - now <= 1000


async def test_an_observation_that_contradicts_is_put_right(clock) -> None:
    async with staged(clock) as stage:
        stage.driver.want(GO)
        await stage.until(lambda: stage.charger.permit)
        stage.charger.permit = False
        await stage.until(lambda: stage.charger.permit)
        assert len(stage.charger.applied) == 2


async def test_a_restart_has_everything_applied_again(clock) -> None:
    async with staged(clock) as stage:
        stage.driver.want(GO)
        await stage.until(lambda: stage.charger.permit)
        stage.charger.booted = True
        await stage.until(lambda: len(stage.charger.applied) == 2)


async def test_an_outage_is_told_once_and_its_end_is_the_next_observation(clock) -> None:
    async with staged(clock) as stage:
        await stage.polls(2)
        stage.listener.told.clear()
        stage.charger.is_off = True
        await stage.polls(20)
        stage.charger.is_off = False
        await stage.polls(2)
        assert [kind for kind in stage.listener.kinds() if kind == "lost"] == ["lost"]
        assert stage.listener.kinds()[-1] == "observed"


async def test_one_failed_poll_is_no_outage(clock) -> None:
    async with staged(clock) as stage:
        stage.charger.bad_poll = 4
        await stage.polls(8)
        assert "lost" not in stage.listener.kinds()


async def test_what_is_wanted_is_applied_again_after_an_outage(clock) -> None:
    async with staged(clock) as stage:
        stage.driver.want(GO)
        await stage.until(lambda: stage.charger.permit)
        stage.charger.is_off = True
        await stage.polls(3)
        stage.charger.is_off = False
        await stage.until(lambda: len(stage.charger.applied) == 2)


async def test_a_charger_that_is_off_at_the_start_is_waited_for(clock) -> None:
    stage = Stage(clock)
    stage.charger.is_off = True
    stage.driver.want(GO)
    stage.driver.start(stage.listener)
    await stage.polls(5)
    assert stage.listener.kinds() == ["lost"] and stage.charger.applied == []
    stage.charger.is_off = False
    await stage.until(lambda: stage.charger.permit)
    await stage.driver.stop()


async def test_a_refusal_is_tried_again_with_growing_pauses(clock) -> None:
    async with staged(clock) as stage:
        stage.charger.refuses = True
        stage.driver.want(GO)
        await stage.until(lambda: len(stage.charger.applied) >= 9)
        times = [at for at, _ in stage.charger.applied]
        gaps = [after - before for before, after in pairwise(times)]
        assert gaps[0] < gaps[2] < gaps[4] and max(gaps) <= 32
        stage.charger.refuses = False
        await stage.until(lambda: stage.charger.permit)


async def test_a_new_wish_does_not_wait_out_the_pause_of_the_old_one(clock) -> None:
    async with staged(clock) as stage:
        stage.charger.refuses = True
        stage.driver.want(GO)
        await stage.until(lambda: len(stage.charger.applied) >= 7)
        stage.charger.refuses = False
        now = clock.monotonic_s
        stage.driver.want(STOP)
        await stage.until(lambda: stage.charger.applied[-1][1] == STOP)
        assert stage.charger.applied[-1][0] - now <= 1.0


async def test_an_action_is_answered_with_what_the_charger_said(clock) -> None:
    async with staged(clock) as stage:
        stage.driver.perform(Action.UNLOCK, "t1")
        await stage.until(lambda: ("t1", ActionOutcome.DONE) in stage.listener.told)
        assert stage.charger.performed == [Action.UNLOCK]


async def test_what_is_wanted_is_applied_again_after_an_action(clock) -> None:
    async with staged(clock) as stage:
        stage.driver.want(GO)
        await stage.until(lambda: stage.charger.permit)
        stage.driver.perform(Action.UNLOCK, "t1")
        await stage.until(lambda: len(stage.charger.applied) == 2)


async def test_an_action_that_hangs_ends_at_its_deadline(clock) -> None:
    async with staged(clock, action_deadline_s=0.01) as stage:
        stage.charger.hangs = True
        stage.driver.perform(Action.RESET_HARD, "t1")
        async with asyncio.timeout(30):
            while ("t1", ActionOutcome.TIMEOUT) not in stage.listener.told:
                await asyncio.sleep(0.005)


async def test_an_action_on_a_silent_charger_times_out(clock) -> None:
    async with staged(clock) as stage:
        stage.charger.is_off = True
        stage.driver.perform(Action.UNLOCK, "t1")
        await stage.until(lambda: ("t1", ActionOutcome.TIMEOUT) in stage.listener.told)


async def test_actions_run_in_order_and_every_ticket_is_answered_once(clock) -> None:
    async with staged(clock) as stage:
        tickets = [f"t{i}" for i in range(MAX_ACTIONS + 4)]
        for ticket in tickets:
            stage.driver.perform(Action.UNLOCK, ticket)
        await stage.until(lambda: sum(kind.startswith("t") for kind in stage.listener.kinds()) == len(tickets))
        answers = [(kind, outcome) for kind, outcome in stage.listener.told if kind.startswith("t")]
        assert sorted(kind for kind, _ in answers) == sorted(tickets)
        assert [kind for kind, outcome in answers if outcome is ActionOutcome.DONE] == tickets[:MAX_ACTIONS]


async def test_stopping_answers_what_still_waits_and_writes_nothing(clock) -> None:
    stage = Stage(clock)
    stage.driver.start(stage.listener)
    stage.driver.want(GO)
    await stage.until(lambda: stage.charger.permit)
    stage.charger.hangs = True
    stage.driver.perform(Action.UNLOCK, "t1")
    await stage.until(lambda: bool(stage.charger.performed))
    for number in range(2, 4 + MAX_ACTIONS):
        stage.driver.perform(Action.UNLOCK, f"t{number}")
    applied = len(stage.charger.applied)
    await stage.driver.stop()
    assert ("t1", ActionOutcome.TIMEOUT) in stage.listener.told
    for number in range(2, 4 + MAX_ACTIONS):
        assert stage.listener.told.count((f"t{number}", ActionOutcome.FAILED)) == 1
    assert stage.charger.is_closed and len(stage.charger.applied) == applied


async def test_a_driver_that_ends_by_a_bug_answers_what_still_waits(clock, caplog) -> None:
    stage = Stage(clock)

    async def break_down(action: Action) -> ActionOutcome:
        raise KeyError("a bug")

    stage.charger.perform = break_down  # type: ignore[method-assign]
    stage.driver.start(stage.listener)
    for ticket in ("t1", "t2"):
        stage.driver.perform(Action.UNLOCK, ticket)
    await stage.until(lambda: "lost" in stage.listener.kinds())
    assert ("t2", ActionOutcome.FAILED) in stage.listener.told
    assert ("t1", ActionOutcome.FAILED) in stage.listener.told
    await stage.driver.stop()


async def test_a_driver_is_started_once(clock) -> None:
    async with staged(clock) as stage:
        with pytest.raises(RuntimeError):
            stage.driver.start(stage.listener)
