"""Who gets a line when, over hours of virtual time: nothing here waits, and every run is the same."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.chargers.bus import Bus
from edged.chargers.job_queue import Priority
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import NoAnswer, Table, rtu_frame
from edged.chargers.moments import moment
from edged.chargers.unit_health import FIRST_TIMEOUT_S, UnitState
from edged.ports import ChargerError
from tests.fakes.virtual_loop import MemoryPipe, handing_out, run_virtually

H = Table.HOLDING
READ, WRITE = 3, 6
REGISTERS = 20
SEED = 5
TICKS_S = 0.002
"""What looking at the virtual clock costs, and the loop's timers."""


@dataclass
class Slaves:
    """Units at the end of a line of 11-bit characters. `drop`: whether a request is not answered."""

    spec: BusSpec
    silent: set[int] = field(default_factory=set)
    drop: Callable[[bytes], bool] = lambda frame: False
    asked: list[tuple[float, bytes]] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)

    def hear(self, pipe: MemoryPipe, frame: bytes) -> None:
        self.asked.append((moment(), frame))
        if frame[0] in self.silent or self.drop(frame):
            return
        reply = frame if frame[1] == WRITE else rtu_frame(frame[0], bytes((READ, 2 * frame[5])) + bytes(2 * frame[5]))
        after_s = len(frame) * self.spec.character_s + self.spec.silence_s
        self.ended.append(moment() + after_s + len(reply) * self.spec.character_s)
        pipe.feed(reply, after_s=after_s, character_s=self.spec.character_s)

    def to(self, unit_id: int, function: int = READ) -> list[float]:
        return [at for at, frame in self.asked if frame[0] == unit_id and frame[1] == function]

    def transaction_s(self, registers: int = REGISTERS) -> float:
        return (13 + 2 * registers) * self.spec.character_s + 2 * self.spec.silence_s


def line(baudrate: int = 19_200) -> BusSpec:
    return BusSpec(kind=LineKind.SERIAL, port="virtual", baudrate=baudrate, stopbits=2)


def play(scene: Callable[[Bus, Slaves], Awaitable[None]], spec: BusSpec | None = None) -> Slaves:
    slaves = Slaves(spec or line())

    async def scenery() -> None:
        bus = Bus(slaves.spec, connect=handing_out(MemoryPipe(slaves.hear)), rng=Random(SEED))
        try:
            await scene(bus, slaves)
        finally:
            await bus.close()

    run_virtually(scenery())
    return slaves


async def poll(bus: Bus, unit_id: int, priority: Priority = Priority.STATUS) -> None:
    """Ask again and again; who is refused at once comes back a little later."""
    while True:
        try:
            await bus.read(unit_id, H, 0, REGISTERS, priority=priority)
        except ChargerError:
            await asyncio.sleep(0.5)


async def while_polled(bus: Bus, units: Iterable[int], work: Awaitable[None]) -> None:
    polls = [asyncio.create_task(poll(bus, unit_id)) for unit_id in units]
    try:
        await work
    finally:
        for each in polls:
            each.cancel()
        await asyncio.gather(*polls, return_exceptions=True)


@pytest.mark.parametrize("baudrate", [9_600, 19_200, 38_400, 115_200])
def test_all_of_the_line_is_used_and_every_silence_is_kept(baudrate: int) -> None:
    async def scene(bus: Bus, slaves: Slaves) -> None:
        await while_polled(bus, range(1, 5), asyncio.sleep(20))

    slaves = play(scene, line(baudrate))
    starts = [at for at, _ in slaves.asked]
    rests = [start - ended for start, ended in zip(starts[1:], slaves.ended, strict=False)]
    assert min(rests) >= slaves.spec.silence_s
    spent = starts[-1] - starts[0]
    assert (len(starts) - 1) * slaves.transaction_s() / spent >= 0.985


@given(st.integers(1, 16), st.lists(st.floats(0.0, 0.1), min_size=1, max_size=20))
@settings(max_examples=25, deadline=None)
def test_a_command_waits_for_at_most_one_foreign_transaction(units: int, pauses: list[float]) -> None:
    async def scene(bus: Bus, slaves: Slaves) -> None:
        async def command() -> None:
            await asyncio.sleep(1)
            for pause_s in pauses:
                await asyncio.sleep(pause_s)
                begun = moment()
                await bus.write(1, H, 0, (1,))
                assert slaves.to(1, WRITE)[-1] - begun <= slaves.transaction_s() + TICKS_S
                own_s = 16 * slaves.spec.character_s + 2 * slaves.spec.silence_s
                assert moment() - begun <= slaves.transaction_s() + own_s + TICKS_S

        await while_polled(bus, range(1, units + 1), command())

    play(scene)


def test_a_command_that_comes_while_the_line_rests_is_next() -> None:
    async def scene(bus: Bus, slaves: Slaves) -> None:
        await bus.read(1, H, 0, 1)
        waiting = asyncio.create_task(bus.read(1, H, 0, 1))
        await asyncio.sleep(0)
        await asyncio.sleep(slaves.spec.silence_s / 4)
        await bus.write(2, H, 0, (1,))
        await waiting

    assert [frame[0] for _, frame in play(scene, line(9_600)).asked] == [1, 2, 1]


def test_a_command_waits_for_a_read_that_fails_but_not_for_its_repetition() -> None:
    async def scene(bus: Bus, slaves: Slaves) -> None:
        for _ in range(8):
            await bus.read(1, H, 0, REGISTERS)
        slaves.drop = lambda frame: frame[0] == 1
        failing = asyncio.create_task(bus.read(1, H, 0, REGISTERS))
        await asyncio.sleep(0.01)
        begun, timeout_s = moment(), bus.statistics.units[1].timeout_s
        await bus.write(2, H, 0, (1,))
        held_s = slaves.to(2, WRITE)[0] - begun
        assert held_s <= slaves.transaction_s() + timeout_s + 0.05 + TICKS_S
        assert len(slaves.to(1)) == 9
        with pytest.raises(NoAnswer):
            await failing
        assert len(slaves.to(1)) == 10
        assert bus.statistics.retries == 1

    play(scene)


def test_a_read_that_is_repeated_succeeds_for_whoever_asked() -> None:
    async def scene(bus: Bus, slaves: Slaves) -> None:
        await bus.read(1, H, 0, 1)
        slaves.drop = lambda frame: len(slaves.asked) == 2
        assert await bus.read(1, H, 0, 1) == (0,)

    assert len(play(scene).asked) == 3


def test_no_read_that_a_late_reply_could_answer_is_sent_meanwhile_but_a_command_is() -> None:
    async def scene(bus: Bus, slaves: Slaves) -> None:
        slaves.silent.add(1)
        with pytest.raises(NoAnswer):
            await bus.read(1, H, 0, 1)
        slaves.silent.clear()
        begun = moment()
        await bus.write(1, H, 0, (1,))
        assert moment() - begun < 0.1
        await bus.read(1, H, 5, 1)
        assert slaves.to(1)[1] - begun >= 1.0

    play(scene)


def test_a_dead_unit_is_tried_once_per_back_off_interval_and_costs_one_timeout_each_time() -> None:
    async def scene(bus: Bus, slaves: Slaves) -> None:
        slaves.silent.add(16)
        await while_polled(bus, range(1, 17), asyncio.sleep(240))
        assert bus.statistics.units[16].state is UnitState.DEAD

    slaves = play(scene)
    tries = slaves.to(16)[2:]
    rests = [later - earlier for earlier, later in pairwise(tries)]
    for least_s, rest_s in zip((1, 2, 4, 8, 16, 32), rests, strict=False):
        assert least_s <= rest_s <= max(1.3 * least_s, least_s + 3.5)
    assert min(rests[6:]) > 45 and max(rests[6:]) <= 60 + FIRST_TIMEOUT_S + 2 * 16 * slaves.transaction_s()
    bound_s = 8 * slaves.spec.character_s + FIRST_TIMEOUT_S + slaves.spec.silence_s
    starts = [at for at, _ in slaves.asked]
    for at in tries[1:-1]:
        following = next(start for start in starts if start > at)
        assert following - at <= bound_s + TICKS_S


def test_many_dead_units_leave_the_living_one_most_of_the_time() -> None:
    async def scene(bus: Bus, slaves: Slaves) -> None:
        slaves.silent |= set(range(2, 17))
        await while_polled(bus, range(1, 17), asyncio.sleep(300))

    slaves = play(scene)
    tries = [at for at, frame in slaves.asked if frame[0] != 1]
    everybody_once_s = 15 * (FIRST_TIMEOUT_S + 2 * slaves.transaction_s())
    assert tries[14] <= everybody_once_s
    rests = [later - earlier for earlier, later in pairwise(tries[15:])]
    assert min(rests) >= 5 * FIRST_TIMEOUT_S
    served = [at for at in slaves.to(1) if at > everybody_once_s]
    assert len(served) * slaves.transaction_s() / (300 - everybody_once_s) > 0.75
    assert all(len(slaves.to(unit_id)) > 1 for unit_id in range(2, 17))


@given(st.lists(st.sampled_from(list(Priority)[3:]), min_size=1, max_size=12))
@settings(max_examples=6, deadline=None)
def test_whoever_may_be_asked_is_asked_however_busy_the_line_is(kinds: list[Priority]) -> None:
    async def scene(bus: Bus, slaves: Slaves) -> None:
        polls = [asyncio.create_task(poll(bus, unit_id)) for unit_id in range(1, 5) for _ in range(3)]
        polls += [asyncio.create_task(poll(bus, 10 + number, kind)) for number, kind in enumerate(kinds)]
        await asyncio.sleep(40)
        for number in range(len(kinds)):
            asked = slaves.to(10 + number)
            longest_s = max(later - earlier for earlier, later in zip([0.0, *asked], [*asked, moment()], strict=True))
            assert longest_s < 10
        assert bus.statistics.expired == 0
        for each in polls:
            each.cancel()
        await asyncio.gather(*polls, return_exceptions=True)

    play(scene)


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 65_535), st.floats(0, 0.03)), min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_the_last_setpoint_is_what_the_register_gets_and_whoever_set_it_hears(
    setpoints: list[tuple[int, int, float]],
) -> None:
    async def scene(bus: Bus, slaves: Slaves) -> None:
        writes: list[asyncio.Task[None]] = []
        for unit_id, value, pause_s in setpoints:
            writes.append(asyncio.create_task(bus.write(unit_id, H, 7, (value,), is_setpoint=True)))
            await asyncio.sleep(pause_s)
        await asyncio.gather(*writes)
        for unit_id in {unit_id for unit_id, _, _ in setpoints}:
            written = [int.from_bytes(frame[4:6]) for _, frame in slaves.asked if frame[:2] == bytes((unit_id, 6))]
            wanted = [value for unit, value, _ in setpoints if unit == unit_id]
            assert written[-1] == wanted[-1]
            remaining = iter(wanted)
            assert all(value in remaining for value in written)
        writings = sum(frame[1] == 6 for _, frame in slaves.asked)
        assert writings + bus.statistics.superseded == len(setpoints)

    play(scene)


def test_keep_alives_go_by_their_deadline_before_status_and_behind_commands() -> None:
    async def scene(bus: Bus, slaves: Slaves) -> None:
        waiting = [
            asyncio.create_task(bus.read(unit_id, H, 0, 1, priority=priority, due_in_s=due_in_s))
            for unit_id, priority, due_in_s in (
                (1, Priority.IDENTITY, math.inf),
                (2, Priority.METER, math.inf),
                (3, Priority.STATUS, math.inf),
                (4, Priority.KEEP_ALIVE, 5.0),
                (5, Priority.KEEP_ALIVE, 2.0),
                (6, Priority.COMMAND, math.inf),
                (7, Priority.STOP, math.inf),
            )
        ]
        await asyncio.gather(*waiting)

    assert [frame[0] for _, frame in play(scene).asked] == [7, 6, 5, 4, 3, 2, 1]
