"""The register as it is reported, whatever the charger's register does."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edged.domain import energy_register
from edged.domain.effects import Announce
from edged.domain.energy_register import ONE_READING_WH, POSSIBLE_W, Turn
from edged.domain.hardware import ChargerState, Meter, Quality
from edged.domain.station import Connector
from edged.domain.types import Now
from tests.fakes.site import START, Site, layout

U32_WH = 4_294_967_296.0
FLOW_W = 11_000.0


@dataclass
class Register:
    """A connector that is read by hand."""

    connector: Connector = field(default_factory=lambda: Connector(layout=layout(1), capabilities=frozenset()))
    now: Now = field(default_factory=lambda: Now(START, 1000.0, True))
    turns: list[Turn] = field(default_factory=list)

    def read(self, raw_wh: float | None, *, after_s: float = 1.0, ends_wh: float | None = None) -> float | None:
        """What is reported then."""
        self.now = replace(
            self.now, utc=self.now.utc + timedelta(seconds=after_s), monotonic_s=self.now.monotonic_s + after_s
        )
        meter = Meter(energy_wh=raw_wh, energy_ends_wh=ends_wh)
        facts, turned = energy_register.read(self.connector, meter, self.now)
        self.connector = replace(self.connector, **facts)
        self.turns += [turned.turn] if turned is not None else []
        return self.connector.energy_wh

    def tell(self) -> None:
        """It is told to somebody, and kept for that."""
        if self.connector.energy_wh is not None:
            self.connector = replace(self.connector, energy_kept_wh=self.connector.energy_wh)

    def restart(self) -> None:
        kept = self.connector
        self.connector = Connector(
            layout=kept.layout,
            capabilities=frozenset(),
            energy_offset_wh=kept.energy_offset_wh,
            energy_kept_wh=kept.energy_kept_wh,
        )


def begun(raw_wh: float) -> Register:
    register = Register()
    register.read(raw_wh)
    return register


# --- what is believed


@pytest.mark.parametrize("raw_wh", [None, math.nan, math.inf, -math.inf, -1.0])
def test_what_is_no_reading_changes_nothing_and_makes_nothing_newer(raw_wh: float | None) -> None:
    register = begun(1000.0)
    before = register.connector
    register.read(raw_wh)
    assert register.connector == before


@pytest.mark.parametrize("polls", [1, 2])
@pytest.mark.parametrize("wrong_wh", [0.0, 1.0, 123_456_789.0, 1_000_000.0 + 65_536.0, 1_000_000.0 - 65_536.0])
def test_a_word_that_is_wrong_for_a_poll_or_two_is_neither_reported_nor_counts_as_read(
    wrong_wh: float, polls: int
) -> None:
    register = begun(1_000_000.0)
    read_at = register.connector.energy_at
    for _ in range(polls):
        assert register.read(wrong_wh) == 1_000_000.0
        assert register.connector.energy_at == read_at
    assert register.read(1_000_009.0) == 1_000_009.0
    assert register.turns == [] and register.connector.energy_offset_wh == 0.0


def test_words_that_are_torn_at_every_poll_are_never_believed() -> None:
    register = begun(1_000_000.0)
    for n in range(50):
        assert register.read(5_000_000.0 + 100_000.0 * (n % 3)) == 1_000_000.0
    assert register.turns == []


def test_a_sum_that_jitters_neither_falls_nor_creeps_upwards() -> None:
    register = begun(100_000.0)
    for n in range(200):
        assert register.read(100_000.0 - 0.5 * (n % 2)) == 100_000.0
    assert register.turns == [] and register.connector.energy_offset_wh == 0.0


def test_a_reading_a_little_too_high_is_waited_for() -> None:
    register = begun(100_000.0)
    assert register.read(100_655.0) == 100_655.0
    for raw_wh in (100_003.0, 100_006.0, 100_009.0, 100_654.0):
        assert register.read(raw_wh) == 100_655.0
    assert register.read(100_656.0) == 100_656.0


def test_a_register_that_is_written_every_quarter_of_an_hour_is_believed() -> None:
    register = begun(100_000.0)
    for _ in range(900):
        register.read(100_000.0)
    for _ in range(3):
        seen = register.read(104_000.0)
    assert seen == 104_000.0 and register.turns == []


def test_what_flowed_during_an_outage_is_counted() -> None:
    register = begun(100_000.0)
    assert register.read(122_000.0, after_s=3600) == 122_000.0


# --- what turns


@pytest.mark.req("16-MV-07")
def test_a_meter_that_was_replaced_by_one_with_less_goes_on_where_the_old_one_stopped() -> None:
    register = begun(900_000.0)
    for raw_wh in (400_000.0, 400_003.0, 400_006.0):
        seen = register.read(raw_wh)
    assert seen == 900_006.0, "what flowed since it was seen first is counted"
    assert register.turns == [Turn.REPLACED]
    assert register.read(400_009.0) == 900_009.0


@pytest.mark.req("16-MV-07")
def test_a_meter_that_was_replaced_by_one_with_more_goes_on_where_the_old_one_stopped() -> None:
    register = begun(400_000.0)
    for raw_wh in (900_000.0, 900_003.0, 900_006.0):
        seen = register.read(raw_wh)
    assert seen == 400_006.0 and register.turns == [Turn.REPLACED]


@pytest.mark.parametrize("ended_wh", [40.0, 150.0, 12_000.0])
def test_a_counter_of_sessions_loses_nothing_when_the_next_one_begins(ended_wh: float) -> None:
    register = begun(ended_wh)
    for raw_wh in (0.0, 2.0, 4.0, 6.0):
        seen = register.read(raw_wh)
    assert seen == ended_wh + 6.0 and register.turns == [Turn.BEGUN_ANEW]


@pytest.mark.parametrize("bits", [16, 24, 32])
def test_a_register_that_is_full_is_counted_to_its_end_and_from_0(bits: int) -> None:
    end_wh = float(2**bits)
    register = begun(end_wh - 5.0)
    for raw_wh in (1.0, 4.0, 7.0):
        seen = register.read(raw_wh, ends_wh=end_wh)
    assert seen == end_wh + 7.0
    assert register.turns == [Turn.OVERFLOWN] and register.connector.energy_offset_wh == end_wh


def test_a_fall_far_from_the_end_is_no_overflow() -> None:
    register = begun(1_000_000.0)
    for _ in range(3):
        register.read(5.0, ends_wh=U32_WH)
    assert register.turns == [Turn.BEGUN_ANEW] and register.connector.energy_wh == 1_000_000.0


def test_a_charger_that_says_0_until_it_has_started_is_taken_back_where_it_was() -> None:
    register = begun(1_000_000.0)
    for _ in range(10):
        assert register.read(0.0) == 1_000_000.0
    for raw_wh in (1_000_000.0, 1_000_003.0, 1_000_006.0):
        seen = register.read(raw_wh)
    assert seen == 1_000_006.0


def test_the_turn_survives_a_restart() -> None:
    register = begun(900_000.0)
    for raw_wh in (10.0, 10.0, 20.0):
        register.read(raw_wh)
    register.restart()
    assert register.read(25.0) == 900_015.0


def test_the_first_word_after_a_restart_is_not_believed_where_it_lies_far_off() -> None:
    register = begun(900_000.0)
    register.tell()
    register.restart()
    assert register.read(8_000_000.0) is None
    assert register.read(900_004.0) == 900_004.0


def test_what_flowed_while_nobody_looked_is_believed_when_it_is_said_again() -> None:
    register = begun(900_000.0)
    register.tell()
    register.restart()
    for raw_wh in (950_000.0, 950_003.0, 950_006.0):
        seen = register.read(raw_wh)
    assert seen == 950_006.0 and register.turns == []


# --- laws

RAW = st.one_of(
    st.none(),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(0, 5_000),
    st.sampled_from((0.0, 65_536.0, U32_WH - 1.0, 1e6, 1e6 + 1, 1e6 + 2, 1e6 + 65_536)),
)
MOVES = st.lists(st.tuples(RAW, st.floats(0.1, 600.0), st.sampled_from(("", "", "", "tell", "restart"))), max_size=60)


@example(moves=[(1e-210, 1.0, ""), *[(3037.0, 1.0, "")] * 3], ends_wh=None)  # what floats round
@given(moves=MOVES, ends_wh=st.sampled_from((None, 65_536.0, U32_WH)))
def test_whatever_is_read_it_never_falls_and_never_grows_by_more_than_can_have_flowed(
    moves: list[tuple[float | None, float, str]], ends_wh: float | None
) -> None:
    register = Register()
    told_wh, reported_wh = 0.0, None
    since_s, readings = 0.0, 0
    for raw_wh, after_s, then in moves:
        since_s, readings = since_s + after_s, readings + 1
        seen = register.read(raw_wh, after_s=after_s, ends_wh=ends_wh)
        if seen is not None:
            assert math.isfinite(seen) and seen >= told_wh
            if reported_wh is not None:
                assert seen >= reported_wh
                most_wh = readings * ONE_READING_WH + POSSIBLE_W * since_s / 3600
                assert seen - reported_wh <= most_wh * (1 + 1e-9) + 1e-6 * seen
            if seen != reported_wh:
                since_s, readings = 0.0, 0
            reported_wh = seen
        if then == "tell":
            register.tell()
            told_wh = max(told_wh, seen or 0.0)
        elif then == "restart":
            register.restart()
            reported_wh = None


class Truth:
    """A meter of 32 bits whose every poll may be spoilt, but not two polls in a row."""

    def __init__(self, start_wh: float) -> None:
        self.true_wh = start_wh
        self.register = Register()
        self.reported_from = self.true_wh

    def poll(self, flowed_wh: float, spoilt: float | None) -> float | None:
        self.true_wh += flowed_wh
        return self.register.read(self.true_wh % U32_WH if spoilt is None else spoilt, ends_wh=U32_WH)


@given(
    start_wh=st.one_of(st.integers(0, 2**32 - 1), st.integers(2**32 - 200, 2**32 - 1)),
    polls=st.lists(
        st.tuples(
            st.integers(0, 6), st.sampled_from((None, None, None, 0.0, math.nan, -1.0, 3_000_000_000.0, 77_777.0))
        ),
        min_size=4,
        max_size=60,
    ),
)
def test_a_sound_meter_is_reported_to_the_watt_hour_however_single_words_are_spoilt(
    start_wh: int, polls: list[tuple[int, float | None]]
) -> None:
    truth = Truth(float(start_wh))
    truth.poll(0, None)
    before: float | None = None
    for flowed_wh, spoilt in polls:
        if before is not None:
            spoilt = None  # never two in a row
        truth.poll(float(flowed_wh), spoilt)
        before = spoilt
    for _ in range(energy_register.READINGS_TO_BELIEVE):  # what has just turned is believed by now
        seen = truth.poll(0.0, None)
    near = min(abs(start_wh - bad) for bad in (0.0, 3_000_000_000.0, 77_777.0))
    if near > ONE_READING_WH + 1_000:  # else a spoilt word looks like a sound one
        assert seen == truth.true_wh


# --- in the station


def test_a_turn_is_told_with_what_it_was_and_what_it_is() -> None:
    site = Site.build(1)
    for raw_wh in (2.0, 2.0, 2.0, 12.0):
        site.look(1, ChargerState.AVAILABLE, meter=Meter(energy_wh=raw_wh))
    assert site.connector(1).energy_wh == 1010.0
    (told,) = [e for e in site.history if isinstance(e, Announce) and e.kind == "connector.meter_turned"]
    assert told.connector == 1
    assert told.data == {"turn": "begun_anew", "before_wh": 1000.0, "after_wh": 2.0, "reported_wh": 1000.0}
    site.restart()
    site.look(1, ChargerState.AVAILABLE, meter=Meter(energy_wh=15.0))
    assert site.connector(1).energy_wh == 1013.0


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.BAD])
def test_the_register_of_a_poll_that_is_not_good_is_not_looked_at(quality: Quality) -> None:
    site = Site.build(1)
    before = site.connector(1)
    site.advance(1)
    site.look(1, ChargerState.AVAILABLE, meter=Meter(energy_wh=1500.0), quality=quality)
    assert site.connector(1) == before


def test_a_meter_that_is_replaced_during_a_transaction_neither_takes_nor_gives_energy() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.energy_wh[1] = 1400.0
    site.charge(1)
    site.wait(2)
    for site.energy_wh[1] in (700_000.0, 700_000.0, 700_000.0, 700_100.0):
        site.charge(1)
    site.show("ALICE", 1)
    (ended,) = [e for e in site.history if isinstance(e, Announce) and e.kind == "transaction.ended"]
    assert ended.data["energy_wh"] == 500.0
