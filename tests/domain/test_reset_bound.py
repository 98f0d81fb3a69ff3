"""A CSMS that repeats resets does not keep the site down: the third Hard one in an hour is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.domain import restarts
from edged.domain.answers import ResetStatus
from edged.domain.commands import ResetKind, ResetStation
from edged.domain.effects import Announce, Enqueue, Perform, Restart
from edged.domain.events import BootAnswered, LinkUp, Registration, Started
from edged.domain.hardware import Capability
from edged.domain.past import PastReset, PastResets
from edged.domain.reset import SOFT_S
from edged.domain.restarts import HARD_MAX, HOUR_S, KEPT_MAX, RESETS_MAX
from edged.domain.station import Station
from edged.domain.types import Now, Stamp
from edged.store import records
from edged.store.port import Table
from tests.fakes.site import FULL, START, Site, layout

HARD, SOFT, ON_IDLE = ResetKind.HARD, ResetKind.SOFT, ResetKind.ON_IDLE


def order(site: Site, kind: ResetKind = HARD, *, channel: str = "csms", evse: int | None = None) -> ResetStatus:
    site.do(ResetStation(site.ref("Reset", channel), kind, evse))
    status = site.reply().status
    assert isinstance(status, ResetStatus)
    return status


def reset(site: Site, kind: ResetKind = HARD, *, channel: str = "csms", synchronized: bool = True) -> ResetStatus:
    """An order and, where it is taken, the restart."""
    status = order(site, kind, channel=channel)
    if status is ResetStatus.ACCEPTED:
        site.wait(SOFT_S, looks=False)
        assert sum(isinstance(effect, Restart) for effect in site.history) == 1
        site.history.clear()
        site.restart(continued=True, off_s=30.0, synchronized=synchronized)
    return status


def run(site: Site, seconds: float) -> None:
    """Time passes and is noticed now and then."""
    while seconds > 0:
        site.advance(min(seconds, 60.0))
        site.trust() if site.now.synchronized else site.wait(0)
        seconds -= 60.0


# --- the bound


def test_the_third_hard_reset_in_an_hour_is_refused() -> None:
    site = Site.build(1)
    assert [reset(site) for _ in range(3)] == [ResetStatus.ACCEPTED, ResetStatus.ACCEPTED, ResetStatus.REJECTED]


def test_an_hour_after_the_first_the_next_is_taken_and_the_one_behind_it_refused() -> None:
    site = Site.build(1)
    reset(site)
    run(site, 1800)
    reset(site)
    run(site, 1740)
    assert reset(site) is ResetStatus.REJECTED
    run(site, 120)
    assert reset(site) is ResetStatus.ACCEPTED
    assert reset(site) is ResetStatus.REJECTED


def test_a_refused_reset_has_disturbed_nothing() -> None:
    site = Site.build(1)
    reset(site)
    reset(site)
    site.do(LinkUp())
    site.do(BootAnswered(Registration.ACCEPTED, site.now.utc, 300))
    site.start(1, "ALICE")
    before = site.station
    assert order(site) is ResetStatus.REJECTED
    assert not any(isinstance(effect, Perform | Restart | Enqueue) for effect in site.effects)
    assert replace(site.station, refusal_told_s=before.refusal_told_s) == before
    running = site.station.running(1)
    assert running is not None and running.active


def test_the_refusal_says_why_and_is_announced_but_not_each_time() -> None:
    site = Site.build(1)
    reset(site)
    reset(site)
    order(site)
    assert "2 hard resets within an hour" in site.reply().detail
    assert [e.data["type"] for e in site.of(Announce) if e.kind == "gateway.reset_refused"] == [HARD]
    for _ in range(5):
        order(site)
        assert "gateway.reset_refused" not in site.told()
    site.wait(restarts.TELL_AGAIN_S, looks=False)
    order(site)
    assert "gateway.reset_refused" in site.told()


def test_a_refused_reset_costs_no_write() -> None:
    site = Site.build(1)
    reset(site)
    reset(site)
    before = site.station
    order(site)
    assert not records.writes(before, site.station, site.effects)


def test_an_accepted_reset_is_kept_in_the_commit_of_its_answer() -> None:
    site = Site.build(1)
    before = site.station
    order(site)
    writes = records.writes(before, site.station, site.effects)
    assert Table.PAST_RESETS in writes.put
    assert writes.put[Table.STATION][""]["next_boot_reason"] == "RemoteReset"


def test_soft_resets_are_bounded_too() -> None:
    site = Site.build(1)
    taken = [reset(site, SOFT) for _ in range(RESETS_MAX + 1)]
    assert taken == [ResetStatus.ACCEPTED] * RESETS_MAX + [ResetStatus.REJECTED]
    assert order(site, ON_IDLE) is ResetStatus.REJECTED
    assert order(site, HARD) is ResetStatus.REJECTED


def test_a_soft_reset_behind_two_hard_ones_is_taken() -> None:
    site = Site.build(1)
    reset(site)
    reset(site)
    assert reset(site, SOFT) is ResetStatus.ACCEPTED


def test_people_at_the_site_may_always_but_what_they_do_counts() -> None:
    site = Site.build(1)
    assert [reset(site, channel="local"), reset(site, channel="mqtt:bms")] == [ResetStatus.ACCEPTED] * 2
    assert order(site) is ResetStatus.REJECTED
    assert [reset(site, channel="local") for _ in range(20)] == [ResetStatus.ACCEPTED] * 20


def test_no_more_is_kept_than_the_bound() -> None:
    site = Site.build(1)
    for _ in range(KEPT_MAX + 8):
        reset(site, SOFT, channel="local")
    assert len(site.station.resets.resets) == KEPT_MAX


def test_what_is_older_than_an_hour_goes_with_the_next_reset() -> None:
    site = Site.build(1)
    reset(site)
    run(site, HOUR_S + 60)
    reset(site)
    assert len(site.station.resets.resets) == 1


def test_a_reset_that_waited_for_an_idle_station_counts_when_it_begins() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    assert order(site, ON_IDLE, channel="mqtt:bms") is ResetStatus.SCHEDULED
    assert not site.station.resets.resets
    site.unplug(1)
    while site.outbox:
        site.deliver()
    site.wait(2)
    (one,) = site.station.resets.resets
    assert (one.kind, one.source) == (ON_IDLE, "mqtt:bms")


def test_one_evse_has_a_bound_of_its_own() -> None:
    places = tuple(layout(number, capabilities=FULL | {Capability.RESET_HARD}) for number in (1, 2))
    site = Site.build(layouts=places)
    for _ in range(HARD_MAX):
        assert order(site, evse=1) is ResetStatus.ACCEPTED
        site.wait(300)
    assert order(site, evse=1) is ResetStatus.REJECTED
    assert order(site, evse=2) is ResetStatus.ACCEPTED
    assert order(site) is ResetStatus.ACCEPTED


# --- clocks


def test_a_clock_that_jumps_years_ahead_does_not_end_the_hour() -> None:
    site = Site.build(1, synchronized=False)
    reset(site, synchronized=False)
    reset(site, synchronized=False)
    site.trust(START + timedelta(days=3000))
    assert order(site) is ResetStatus.REJECTED


def test_a_csms_that_tells_another_time_at_each_start_does_not_end_the_hour() -> None:
    site = Site.build(1)
    for _ in range(2):
        reset(site)
        site.trust(site.now.utc + timedelta(days=365))
    assert order(site) is ResetStatus.REJECTED


def test_a_clock_that_falls_back_by_years_does_not_prolong_the_hour() -> None:
    site = Site.build(1)
    reset(site)
    reset(site)
    site.trust(START - timedelta(days=3000))
    run(site, HOUR_S + 60)
    assert order(site) is ResetStatus.ACCEPTED


def test_a_power_cut_of_a_day_ends_the_hour_where_the_clock_is_trusted() -> None:
    site = Site.build(1)
    reset(site)
    reset(site)
    site.restart(off_s=86_400.0)
    assert order(site) is ResetStatus.ACCEPTED


def test_a_power_cut_does_not_end_it_while_nobody_knows_the_time() -> None:
    site = Site.build(1)
    reset(site)
    reset(site)
    site.restart(off_s=86_400.0, synchronized=False)
    assert order(site) is ResetStatus.REJECTED
    run(site, HOUR_S)
    assert order(site) is ResetStatus.ACCEPTED


def test_an_untrusted_clock_that_jumps_after_a_power_cut_does_not_end_it() -> None:
    site = Site.build(1)
    reset(site)
    reset(site)
    site.restart(off_s=5.0, synchronized=False)
    site.now = replace(site.now, utc=site.now.utc + timedelta(days=3000))
    assert order(site) is ResetStatus.REJECTED


def test_a_csms_that_restarts_the_computer_and_tells_another_time_each_time_does_not_end_it() -> None:
    site = Site.build(1)
    for _ in range(2):
        assert order(site) is ResetStatus.ACCEPTED
        site.restart(continued=False)
        site.trust(site.now.utc + timedelta(days=365))
    assert order(site) is ResetStatus.REJECTED


def test_how_long_the_station_has_run_is_kept_with_a_reset() -> None:
    site = Site.build(1)
    site.wait(600, looks=False)
    order(site)
    assert site.station.ran_kept_s == pytest.approx(600)


def test_an_hour_in_pieces_is_an_hour_also_without_any_clock() -> None:
    site = Site.build(1, synchronized=False)
    reset(site, synchronized=False)
    reset(site, synchronized=False)
    for _ in range(8):
        site.wait(900, looks=False)  # the disk hears of it every five minutes
        site.restart(off_s=5.0, synchronized=False)
    assert order(site) is ResetStatus.ACCEPTED


@pytest.mark.parametrize("ran_s", [1e300, float("nan"), float("inf"), 7e4])
def test_a_moment_that_cannot_be_counts_as_the_end_of_the_last_run(ran_s: float) -> None:
    site = Site.build(1)
    past = PastReset(at=Stamp(START, True, "elder"), ran_s=ran_s, kind=HARD)
    site.station = replace(site.station, resets=PastResets(resets=(past, replace(past, at=Stamp(START, True, "old")))))
    site.do(Started(continued=True))
    assert order(site) is ResetStatus.REJECTED
    run(site, HOUR_S + 60)
    assert order(site) is ResetStatus.ACCEPTED


@pytest.mark.parametrize("ran_s", [-5.0, float("nan"), float("inf"), 1e300])
def test_a_running_time_that_cannot_be_begins_anew(ran_s: float) -> None:
    site = Site.build(1)
    site.station = replace(site.station, ran_kept_s=ran_s)
    site.do(Started(continued=True))
    assert site.station.ran_s(site.now) == pytest.approx(0.0)


# --- several stations on one gateway


def twin(site: Site) -> Station:
    return replace(site.station, identity=replace(site.station.identity, id="TWIN"))


def begin(site: Site, *others: Station) -> None:
    """What the gateway tells a station at its start."""
    site.do(Started(continued=True, resets_elsewhere=restarts.elsewhere(site.station, others)))


def test_resets_of_another_station_of_the_gateway_count() -> None:
    first, second = Site.build(1), Site.build(1)
    reset(first)
    reset(first)
    begin(second, twin(first))
    assert order(second) is ResetStatus.REJECTED
    run(second, HOUR_S + 60)
    assert order(second) is ResetStatus.ACCEPTED


def test_resets_of_several_stations_in_one_run_are_one_restart() -> None:
    first, second = Site.build(1), Site.build(1)
    order(first)
    order(second)
    second.restart(continued=True)
    begin(second, twin(first))
    assert order(second) is ResetStatus.ACCEPTED


def test_the_reset_of_one_evse_of_another_station_does_not_count() -> None:
    first, second = Site.build(layouts=(layout(1, capabilities=FULL | {Capability.RESET_HARD}),)), Site.build(1)
    for _ in range(2):
        order(first, evse=1)
        first.wait(300)
    begin(second, twin(first))
    assert order(second) is ResetStatus.ACCEPTED


def test_the_others_hours_are_counted_by_what_they_have_run() -> None:
    """Also where the two have run for different times in all."""
    first, second = Site.build(1), Site.build(1)
    first.station = replace(first.station, ran_kept_s=5e6)
    reset(first)
    reset(first)
    run(first, HOUR_S / 2)
    begin(second, twin(first))
    (one, _) = second.station.resets_elsewhere
    assert second.station.ran_s(second.now) - one.ran_s == pytest.approx(1800, abs=400)


# --- the law


@dataclass(frozen=True)
class Ordered:
    kind: ResetKind
    local: bool


@dataclass(frozen=True)
class Ran:
    seconds: int


@dataclass(frozen=True)
class Cut:
    seconds: int
    knows_the_time: bool


@dataclass(frozen=True)
class Jumped:
    """The clock is set, by whomever."""

    seconds: int


MOVES = st.lists(
    st.one_of(
        st.builds(Ordered, st.sampled_from((HARD, HARD, SOFT)), st.booleans()),
        st.builds(Ran, st.sampled_from((1, 60, 400, 1200, 1900))),
        st.builds(Cut, st.sampled_from((5, 900, 4000)), st.booleans()),
        st.builds(Jumped, st.sampled_from((-(10**8), -4000, 4000, 10**8))),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(MOVES, st.booleans())
def test_whatever_the_clock_says_no_csms_gets_three_hard_resets_in_an_hour_nor_is_locked_out(
    moves: list[Ordered | Ran | Cut | Jumped], synchronized: bool
) -> None:
    site = Site.build(1, synchronized=synchronized)
    hard_at: list[float] = []
    all_at: list[float] = []
    jumped = False
    for move in moves:
        real_s = site.now.monotonic_s  # never falls back in these tests, and nobody can set it
        match move:
            case Ordered(kind, local):
                late_hard = [at for at in hard_at if real_s - at < HOUR_S]
                late = [at for at in all_at if real_s - at < HOUR_S]
                status = reset(site, kind, channel="local" if local else "csms", synchronized=site.now.synchronized)
                if status is ResetStatus.ACCEPTED:
                    assert local or not (kind is HARD and len(late_hard) >= HARD_MAX)
                    assert local or len(late) < RESETS_MAX
                    all_at.append(real_s)
                    hard_at += [real_s] if kind is HARD else []
                else:
                    assert not local
            case Ran(seconds):
                site.wait(0)
                run(site, seconds)
            case Cut(seconds, knows) if not jumped:
                site.restart(off_s=seconds, synchronized=knows and site.now.synchronized)
            case Jumped(seconds) if not site.now.synchronized or all_at:
                _set_clock(site, seconds)
                jumped = True  # from here on no start may be taken for one that knows how long it was off
            case _:
                pass
    run(site, HOUR_S + 1)
    assert order(site) is ResetStatus.ACCEPTED


def _set_clock(site: Site, seconds: int) -> None:
    utc: datetime = site.now.utc + timedelta(seconds=seconds)
    site.now = Now(max(utc, START - timedelta(days=3000)), site.now.monotonic_s, True)
