"""The clock of a computer without a battery, with clocks that are wrong on purpose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.system.clock import SystemClock

NOON = datetime(2026, 8, 22, 12, 0, tzinfo=UTC)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class World:
    """The computer's clocks and NTP's word."""

    def __init__(self, folder: Path, wall: datetime = NOON) -> None:
        self.wall = wall
        self.monotonic_s = 100.0
        self.file = folder / "synchronized"

    def clock(self, *, floor: datetime | None = None, trust_csms: bool = True) -> SystemClock:
        return SystemClock(
            floor=floor,
            trust_csms=trust_csms,
            synchronized_file=self.file,
            wall=lambda: self.wall,
            monotonic_s=lambda: self.monotonic_s,
        )

    def pass_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.monotonic_s += seconds


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_until_somebody_tells_the_time_the_clock_is_not_synchronized(world):
    now = world.clock().now()
    assert (now.utc, now.monotonic_s, now.synchronized) == (NOON, 100.0, False)


def test_ntp_makes_the_system_clock_the_truth(world):
    clock = world.clock(floor=NOON + timedelta(days=3))
    world.file.touch()
    assert clock.now().synchronized is True
    assert clock.now().utc == NOON


def test_once_synchronized_it_stays_so(world):
    clock = world.clock()
    world.file.touch()
    clock.now()
    world.file.unlink()
    assert clock.now().synchronized is True


def test_the_csms_makes_the_clock_synchronized_and_the_offset_runs_on(world):
    world.wall = LONG_AGO
    clock = world.clock()
    clock.learn(NOON)
    world.pass_by(60)
    assert clock.now().utc == NOON + timedelta(seconds=60)
    assert clock.now().synchronized is True


def test_a_step_of_the_system_clock_does_not_move_the_csms_time(world):
    clock = world.clock()
    clock.learn(NOON)
    world.wall += timedelta(days=400)
    assert clock.now().utc == NOON


def test_ntp_wins_over_the_csms(world):
    clock = world.clock()
    clock.learn(NOON + timedelta(hours=1))
    world.file.touch()
    assert clock.now().utc == NOON
    clock.learn(NOON + timedelta(hours=1))
    assert clock.now().utc == NOON


def test_with_the_host_as_its_source_the_csms_is_not_believed(world):
    clock = world.clock(trust_csms=False)
    clock.learn(NOON + timedelta(hours=1))
    assert (clock.now().utc, clock.now().synchronized) == (NOON, False)


def test_the_delay_of_a_heartbeat_does_not_make_time_jump(world):
    clock = world.clock()
    clock.learn(NOON)
    world.pass_by(300)
    clock.learn(NOON + timedelta(seconds=299))
    assert clock.now().utc == NOON + timedelta(seconds=300)
    clock.learn(NOON + timedelta(seconds=290))
    assert clock.now().utc == NOON + timedelta(seconds=290)


@pytest.mark.parametrize("told", [LONG_AGO, datetime(2300, 1, 1, tzinfo=UTC), datetime(2026, 8, 22)])  # noqa: DTZ001
def test_a_time_that_cannot_be_is_not_learned(world, told, caplog):
    clock = world.clock()
    clock.learn(told)
    assert clock.now().synchronized is False
    assert "cannot be" in caplog.text


def test_a_time_of_another_zone_is_taken_as_the_same_moment(world):
    clock = world.clock()
    clock.learn(datetime.fromisoformat("2026-08-22T16:00:00+02:00"))
    assert clock.now().utc == NOON + timedelta(hours=2)
    assert clock.now().utc.tzinfo is UTC


def test_an_untrusted_clock_never_shows_less_than_what_has_been(world):
    world.wall = LONG_AGO
    clock = world.clock(floor=NOON)
    world.pass_by(10)
    assert clock.now().utc == NOON + timedelta(seconds=10)


def test_the_floor_can_be_told_later(world):
    world.wall = LONG_AGO
    clock = world.clock()
    clock.raise_floor(NOON)
    world.pass_by(10)
    assert clock.now().utc == NOON + timedelta(seconds=10)
    clock.raise_floor(NOON)
    assert clock.now().utc == NOON + timedelta(seconds=10)


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(-1e8, 1e8)), max_size=20))
def test_an_untrusted_clock_never_goes_back_however_the_system_clock_is_set(steps):
    world = World(Path("/nowhere"))
    clock = world.clock(floor=NOON - timedelta(hours=1))
    last = clock.now().utc
    for seconds, jump in steps:
        world.pass_by(seconds)
        world.wall += timedelta(seconds=jump)
        now = clock.now()
        assert now.utc >= last + timedelta(seconds=seconds) - timedelta(microseconds=10)
        assert now.synchronized is False
        last = now.utc
