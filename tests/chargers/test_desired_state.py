"""The driver over a Modbus charger over a device that restarts, forgets, refuses, is silent and is touched by others.

For every shipped profile, hours in seconds. Laws: whatever has happened, once it is calm the device soon has the whole
desired state; its failsafe stands before any setpoint; its keep-alive is in time; nothing is written without a reason;
energy is withheld first and permitted last; the charger is used by one at a time, and each action is answered once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from edged.chargers.device_session import RECHECK_S
from edged.chargers.driver import ChargerDriver
from edged.chargers.ledger import LONGEST_PAUSE_S
from edged.chargers.modbus_charger import ModbusCharger
from edged.chargers.moments import moment
from edged.chargers.profile import CommandSequence, KeepAlive, KeepAliveBy
from edged.chargers.profile_terms import PauseStep, Poll, WriteStep
from edged.chargers.targets import Target, targets_for
from edged.domain.hardware import Action, ActionOutcome, Desired, Observation
from edged.domain.types import Now
from tests.fakes.forgetful_device import ForgetfulDevice, Wrote
from tests.fakes.shipped_profiles import MODBUS_NAMES
from tests.fakes.virtual_loop import run_virtually

DEADLINE_S = 30.0
SEEDS = 3
CALM_S = 2 * LONGEST_PAUSE_S + 60.0
EPOCH = datetime(2025, 1, 1, tzinfo=UTC)


class LoopClock:
    """The loop's time."""

    def now(self) -> Now:
        return Now(EPOCH + timedelta(seconds=moment()), moment(), True)

    def learn(self, utc: datetime) -> None:
        raise AssertionError("nobody tells a charger's clock the time")


@dataclass
class Listener:
    asked: dict[str, float] = field(default_factory=dict)
    answered: dict[str, tuple[float, ActionOutcome]] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)

    def observed(self, observation: Observation) -> None:
        assert not self.observations or observation.read_at.monotonic_s >= self.observations[-1].read_at.monotonic_s
        self.observations.append(observation)

    def lost(self, reason: str) -> None:
        pass

    def performed(self, ticket: str, outcome: ActionOutcome, detail: str) -> None:
        assert ticket not in self.answered, "answered twice"
        self.answered[ticket] = (moment(), outcome)


class Watched(ModbusCharger):
    """The charger, with a look at how it is used. `polled_at_s`: when the last good poll began."""

    box: ForgetfulDevice
    polled_at_s = -1.0
    in_use = 0

    async def observe(self) -> Observation:
        began_s = moment()
        with self._alone():
            seen = await super().observe()
        self.polled_at_s = began_s
        return seen

    async def apply(self, desired: Desired) -> None:
        first = len(self.box.log)
        with self._alone():
            try:
                await super().apply(desired)
            finally:
                self._judge(desired, self.box.log[first:])

    async def perform(self, action: Action) -> ActionOutcome:
        with self._alone():
            return await super().perform(action)

    def _alone(self) -> Any:
        charger = self

        class Alone:
            def __enter__(self) -> None:
                charger.in_use += 1
                assert charger.in_use == 1, "two use the charger at once"

            def __exit__(self, *_: object) -> None:
                charger.in_use -= 1

        return Alone()

    def _judge(self, desired: Desired, batch: list[Wrote]) -> None:
        """Energy is withheld before anything else changes, and permitted after everything else has."""
        made_safe = {init.register for init in self.profile.init} | {write.register for write in self.profile.wake}
        names = [w.name for w in batch if not w.keeps_alive and w.name not in made_safe]
        energy = energy_register(self)
        if energy in names:
            assert names.count(energy) == 1
            place = names.index(energy)
            withheld = not gives_energy(self, batch[[w.name for w in batch].index(energy)])
            assert place == (0 if withheld else len(names) - 1), f"{names} while {desired}"


def energy_register(charger: ModbusCharger) -> str | None:
    profile = charger.profile
    if profile.permit is not None:
        return profile.permit.register
    return profile.limit.register if profile.limit is not None else None


def gives_energy(charger: ModbusCharger, wrote: Wrote) -> bool:
    profile = charger.profile
    if profile.permit is not None:
        return wrote.value != charger.device.registers[wrote.name].value_of(profile.permit.off)
    assert profile.limit is not None
    return isinstance(wrote.value, (int, float)) and wrote.value >= profile.limit.min_a


class Scene:
    """One device, its charger and its driver, started."""

    def __init__(self, name: str, *, poll_interval_s: float = 1.0, **parts: Any) -> None:
        self.box = ForgetfulDevice(name, **parts)
        unit = self.box.profile.bus.unit_id
        self.charger = Watched(
            self.box.profile,
            self.box,  # type: ignore[arg-type]
            unit_id=unit,
            point=self.box.sheet.point,
            clock=LoopClock(),
            poll_interval_s=poll_interval_s,
        )
        self.charger.box, self.box.device = self.box, self.charger.device
        self.listener = Listener()
        self.driver = ChargerDriver(self.charger, LoopClock(), action_deadline_s=DEADLINE_S)
        self.wanted = Desired(permit_charging=False, current_limit_ma=16_000)
        self.unsure: set[str] = set()
        self.tickets = 0

    async def begin(self) -> Scene:
        self.driver.start(self.listener)
        self.want(self.wanted)
        await asyncio.sleep(10)
        return self

    def want(self, desired: Desired) -> None:
        self.wanted = desired
        self.driver.want(desired)

    def perform(self, action: Action) -> None:
        self.tickets += 1
        self.listener.asked[str(self.tickets)] = moment()
        self.driver.perform(action, str(self.tickets))

    # --- what is known without being told

    def targets(self) -> tuple[Target, ...]:
        box = self.box
        reported = {name: box.value(name) for name, register in box.registers.items() if register.readable}
        return targets_for(box.profile, self.wanted, max_current_ma=None, reported=reported)

    def is_shown(self, name: str) -> bool:
        """Whether the device shows that it has lost or changed a register."""
        box = self.box
        inits = {init.register: init.sense for init in box.profile.init}
        if name in inits:
            return inits[name] is not None
        sure = [t for t in self.targets() if t.register == name]
        return bool(sure) and all(t.is_reached(self.read(), box.registers) is not None for t in sure)

    def read(self) -> dict[str, Any]:
        """What every poll shows."""
        registers = self.box.registers
        return {n: self.box.value(n) for n, r in registers.items() if r.readable and r.poll is Poll.ALWAYS}

    def lose_without_a_word(self, names: set[str]) -> None:
        """What nothing shows need not come back before it is written again."""
        self.unsure |= {name for name in names if not self.is_shown(name)}

    def settings(self) -> set[str]:
        """Every register that makes up the desired state and the failsafe."""
        limit = self.box.profile.limit
        toggles = (self.box.profile.permit, self.box.profile.availability, self.box.profile.lock_control)
        names = {init.register for init in self.box.profile.init}
        names |= {toggle.register for toggle in toggles if toggle is not None}
        return names | ({limit.register} if limit is not None else set())

    # --- laws

    def wrong(self) -> list[str]:
        """What of the whole desired state the device does not have."""
        box, found = self.box, []
        for target in self.targets():
            register = box.registers[target.register]
            reached = target.is_reached(self.read(), box.registers)
            want = register.codec.decode(register.codec.encode(register.value_of(target.value)))
            if reached is None and target.register not in self.unsure:
                reached = box.value(target.register) == want
            if reached is False:
                found.append(f"{target.register} is {box.value(target.register)!r} instead of {want!r}")
        for init in box.profile.init:
            want = box.registers[init.register].value_of(init.value)
            if box.value(init.register) != want and init.register not in self.unsure:
                found.append(f"failsafe {init.register} is {box.value(init.register)!r} instead of {want!r}")
        return found

    def judge_order(self) -> None:
        """After each restart the failsafe is written before any setpoint, from the first poll on that could show it."""
        inits = [init.register for init in self.box.profile.init]
        setpoints = self.settings() - set(inits)
        for boot, until in zip(self.box.boots, [*self.box.boots, float("inf")][1:], strict=True):
            seen = [o.read_at.monotonic_s for o in self.listener.observations if boot <= o.read_at.monotonic_s < until]
            if not seen or not any(o.booted for o in self.listener.observations if o.read_at.monotonic_s == seen[0]):
                continue
            after = [
                w for w in self.box.log if seen[0] <= w.at_s < until or (w.name in inits and boot <= w.at_s < until)
            ]
            first = next((n for n, w in enumerate(after) if w.name in setpoints), len(after))
            done = {w.name for w in after[:first]}
            assert first == len(after) or done >= set(inits), f"{after[first]} before the failsafe after {boot}"

    def judge_answers(self) -> None:
        for ticket, asked_s in self.listener.asked.items():
            assert ticket in self.listener.answered, "never answered"
            took_s = self.listener.answered[ticket][0] - asked_s
            assert took_s <= (DEADLINE_S + 30.0) * len(self.listener.asked) + 5.0

    async def settle(self) -> None:
        await asyncio.sleep(CALM_S)
        assert self.wrong() == []

    async def rest(self, seconds: float) -> list[Wrote]:
        """What is written while nothing happens, but for keep-alives."""
        first = len(self.box.log)
        await asyncio.sleep(seconds)
        return [wrote for wrote in self.box.log[first:] if not wrote.keeps_alive]


def play(name: str, act: Callable[[Scene], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def scene() -> None:
        one = await Scene(name, **options).begin()
        try:
            await act(one)
        finally:
            await one.driver.stop()

    run_virtually(scene())


GO = Desired(permit_charging=True, current_limit_ma=10_000)
STOP = Desired(permit_charging=False, current_limit_ma=10_000)
every_profile = pytest.mark.parametrize("name", MODBUS_NAMES)


# --- one thing at a time, for every profile


@every_profile
def test_it_has_what_is_wanted_and_nothing_is_written_as_long_as_it_does(name: str) -> None:
    async def act(one: Scene) -> None:
        for wanted in (GO, STOP, GO):
            one.want(wanted)
            await asyncio.sleep(60)
            assert one.wrong() == []
            assert await one.rest(300) == []

    play(name, act)


@every_profile
@pytest.mark.parametrize("silent_s", [8.0, 60.0])
def test_a_restart_brings_it_all_back_the_failsafe_first(name: str, silent_s: float) -> None:
    async def act(one: Scene) -> None:
        one.want(GO)
        await asyncio.sleep(60)
        one.box.reboot(silent_s=silent_s)
        await asyncio.sleep(silent_s + 60)
        assert one.wrong() == []
        one.judge_order()
        assert any(observation.booted for observation in one.listener.observations)
        assert await one.rest(200) == []

    play(name, act)


@every_profile
def test_what_is_lost_without_a_sign_comes_back_where_it_shows(name: str) -> None:
    async def act(one: Scene) -> None:
        one.want(GO)
        await asyncio.sleep(60)
        one.box.forget()
        one.lose_without_a_word(one.settings())
        await asyncio.sleep(RECHECK_S + 60)
        assert one.wrong() == []
        assert await one.rest(200) == []

    play(name, act)


@every_profile
def test_what_somebody_else_has_changed_is_put_back(name: str) -> None:
    async def act(one: Scene) -> None:
        one.want(GO)
        for setting in sorted(one.settings()):
            await asyncio.sleep(60)
            other = other_value(one, setting)
            if other is None:
                continue
            one.box.touch(setting, other)
            one.lose_without_a_word({setting})
            await asyncio.sleep(RECHECK_S + 60)
            assert one.wrong() == [], setting
        assert await one.rest(200) == []

    play(name, act)


def other_value(one: Scene, name: str) -> Any:
    """A value of the register that is neither what it has nor what is wanted."""
    profile, box = one.box.profile, one.box
    have = box.value(name)
    for toggle in (profile.permit, profile.availability, profile.lock_control):
        if toggle is not None and toggle.register == name:
            sides = [box.registers[name].value_of(side) for side in (toggle.on, toggle.off)]
            return next(side for side in sides if side != have)
    if profile.limit is not None and profile.limit.register == name:
        return next(value for value in (profile.limit.min_a, profile.limit.min_a + 1) if value != have)
    return next(
        (init.value + 1 for init in profile.init if init.register == name and isinstance(init.value, int)), None
    )


@every_profile
def test_the_keep_alive_is_in_time_as_long_as_somebody_watches(name: str) -> None:
    async def act(one: Scene) -> None:
        one.want(GO)
        await asyncio.sleep(600)
        for action in Action:
            one.perform(action)
            await asyncio.sleep(60)
        one.box.reboot(silent_s=20)
        await asyncio.sleep(300)
        assert one.box.late == []

    play(name, act)


def test_a_keep_alive_that_is_late_is_seen_by_the_model() -> None:
    async def act(one: Scene) -> None:
        one.want(GO)
        await asyncio.sleep(60)
        await one.charger._keep_alive.stop()
        await asyncio.sleep(60)
        assert one.box.late

    play("keba-p30", act)


# --- single laws, where one device shows them


def test_a_keep_alive_that_is_refused_for_too_long_begins_a_new_session() -> None:
    async def act(one: Scene) -> None:
        one.want(GO)
        await asyncio.sleep(60)
        one.box.refuses = True
        await asyncio.sleep(60)
        one.box.refuses = False
        first = len(one.box.log)
        await asyncio.sleep(60)
        names = [wrote.name for wrote in one.box.log[first:] if not wrote.keeps_alive]
        assert names[:2] == ["failsafe_current", "failsafe_timeout"]
        assert "set_current" in names[2:], "the box may be at its failsafe: what it does not show is told again"

    play("keba-p30", act)


def test_an_action_is_not_undone_by_a_keep_alive_that_repeats_the_limit() -> None:
    """The unlock writes 0 A to the limit and waits for the contactor; the keep-alive repeats the limit meanwhile."""
    steps = (WriteStep("set_current", 0), PauseStep(10.0))
    keep_alive = KeepAlive(by=KeepAliveBy.SETPOINT, interval_s=2.0, timeout_s=6.0)

    async def act(one: Scene) -> None:
        one.want(GO)
        await asyncio.sleep(30)
        first = len(one.box.log)
        one.perform(Action.UNLOCK)
        await asyncio.sleep(9)
        wrote = [(w.name, w.value) for w in one.box.log[first:]]
        assert len(wrote) >= 4 and set(wrote) == {("set_current", 0.0)}
        await asyncio.sleep(10)
        assert one.wrong() == [], "and afterwards it has its limit again"
        assert one.box.late == []

    play("abb-terra-ac", act, keep_alive=keep_alive, actions={"unlock": CommandSequence(steps=steps)})


@pytest.mark.parametrize("outcome", ["refuses", "silent"])
def test_what_an_action_did_not_get_through_is_not_believed(outcome: str) -> None:
    steps = (WriteStep("set_current", 0), PauseStep(1.0))

    async def act(one: Scene) -> None:
        one.want(GO)
        await asyncio.sleep(30)
        one.want(STOP)
        if outcome == "refuses":
            one.box.refuses = True
        else:
            one.box.fall_silent(0.9)
        one.perform(Action.UNLOCK)
        await asyncio.sleep(5)
        one.box.refuses = False
        await asyncio.sleep(60)
        assert one.box.value("set_current") == 0.0, "energy is withheld, whatever the action came to"

    play("abb-terra-ac", act, actions={"unlock": CommandSequence(steps=steps)})


def test_a_car_that_charges_although_the_limit_withholds_has_it_written_again() -> None:
    async def act(one: Scene) -> None:
        one.want(STOP)
        await asyncio.sleep(30)
        one.box.touch("set_current", 16)
        one.box.cells |= one.box.sheet.cells(one.box.sheet["images"]["charging"])
        await asyncio.sleep(30)
        assert one.box.value("set_current") == 0.0

    play("abb-terra-ac", act)


def test_the_first_limit_of_a_session_keeps_to_what_the_device_says_of_itself() -> None:
    async def act(one: Scene) -> None:
        one.want(GO)
        await asyncio.sleep(30)
        one.box.touch("max_supported_current", 8)
        one.box.default = dict(one.box.cells)
        one.box.reboot(silent_s=20)
        first = len(one.box.log)
        await asyncio.sleep(60)
        limits = [w.value for w in one.box.log[first:] if w.name == "set_current"]
        assert limits and set(limits) == {8.0}

    play("keba-p30", act)


def test_a_failsafe_that_was_refused_for_a_while_is_set_when_it_can_be() -> None:
    async def act(one: Scene) -> None:
        one.box.refuses = True
        one.box.reboot(silent_s=20)
        await asyncio.sleep(90)
        one.box.refuses = False
        await asyncio.sleep(RECHECK_S + 60)
        assert one.wrong() == []

    play("phoenix-charx-sec", act)


@pytest.mark.parametrize("how", ["ignored", "fought"])
def test_a_register_that_never_stays_as_it_is_wanted_is_written_less_and_less(how: str) -> None:
    """Registers wear. Another master that writes every second, or a device that does not take it, for an hour."""

    async def act(one: Scene) -> None:
        one.want(GO)
        await asyncio.sleep(60)
        first = len(one.box.log)
        one.box.ignores = how == "ignored"
        for _ in range(3600):
            one.box.touch("max_current", 6)
            await asyncio.sleep(1)
        wrote = [w.at_s for w in one.box.log[first:] if w.name == "max_current"]
        assert 20 <= len(wrote) <= 60
        one.box.ignores = False
        await asyncio.sleep(LONGEST_PAUSE_S + 60)
        assert one.wrong() == []

    play("phoenix-em-cp-pp-eth", act)


@pytest.mark.parametrize("how", ["ignored", "fought"])
def test_energy_is_withheld_again_at_once_however_often_it_is_given(how: str) -> None:
    async def act(one: Scene) -> None:
        one.want(STOP)
        await asyncio.sleep(60)
        one.box.ignores = how == "ignored"
        for _ in range(300):
            one.box.touch("enable", 1)
            await asyncio.sleep(1)
        wrote = [w.at_s for w in one.box.log if w.name == "enable" and w.at_s > 70]
        assert all(after - before <= 32.0 for before, after in pairwise(wrote)) and len(wrote) >= 8

    play("phoenix-em-cp-pp-eth", act)


def test_a_new_session_that_no_failed_poll_announced_has_everything_said_again() -> None:
    """The adapter was unplugged and plugged in again between two polls, and the box lost its power with it."""

    async def act(one: Scene) -> None:
        one.want(GO)
        await asyncio.sleep(60)
        one.box.reboot(silent_s=0.0)
        one.box.next_session()
        await asyncio.sleep(10)
        assert one.wrong() == []
        one.judge_order()
        assert sum(observation.booted for observation in one.listener.observations) == 1

    play("keba-p30", act)


# --- everything at once

WISHES = tuple(
    Desired(permit_charging=permit, current_limit_ma=limit_ma, operative=operative, locked=locked)
    for permit in (True, False)
    for limit_ma in (6_000, 10_000, 16_500, None)
    for operative, locked in ((True, None), (True, True), (False, False))
)


async def live(one: Scene, rng: random.Random, moves: int) -> None:
    """A life of a device, told by chance."""
    box = one.box
    for _ in range(moves):
        match rng.choice(("want", "want", "reboot", "restart", "forget", "touch", "refuse", "ignore", "silent", "act")):
            case "want":
                one.want(rng.choice(WISHES))
            case "reboot":
                one.box.reboot(silent_s=rng.choice((8.0, 20.0, 90.0)))
            case "restart":  # so short that only a sign of its own tells
                box.reboot(silent_s=rng.choice((0.0, 0.3)))
                one.lose_without_a_word(one.settings() if box.profile.boot_falls is None else set())
            case "forget":
                box.forget()
                one.lose_without_a_word(one.settings())
            case "touch":
                name = rng.choice(sorted(one.settings()))
                other = other_value(one, name)
                if other is not None:
                    box.touch(name, other)
                    one.lose_without_a_word({name})
            case "refuse":
                box.refuses = not box.refuses
            case "ignore":  # what it says it took and did not, nobody can know of a register that does not show
                box.ignores = not box.ignores
                one.lose_without_a_word(one.settings())
            case "silent":
                box.fall_silent(rng.choice((0.6, 3.0, 30.0)))
            case "act":
                one.perform(rng.choice(tuple(Action)))
        await asyncio.sleep(rng.choice((0.0, 0.05, 1.0, 7.0, 45.0)))
        if box.ignores:
            one.lose_without_a_word(one.settings())
    box.refuses = box.ignores = False


@every_profile
@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_has_happened_the_device_soon_has_the_whole_desired_state(name: str, seed: int) -> None:
    async def act(one: Scene) -> None:
        await live(one, random.Random(f"{name} {seed}"), moves=12)
        await one.settle()
        one.judge_order()
        one.judge_answers()
        assert one.box.late == []
        assert await one.rest(60) == []

    play(name, act)
