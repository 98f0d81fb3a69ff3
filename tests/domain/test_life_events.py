"""What the security log has of the station's life: starts, resets, and a clock that jumps."""

from __future__ import annotations

from datetime import timedelta

import pytest

from edged.domain.commands import ResetKind, ResetStation
from edged.domain.effects import Keep, SecurityRecord
from edged.domain.events import Started
from edged.domain.journal import SecurityEntry
from edged.domain.security_event import SecurityEvent
from tests.fakes.site import Site, station


def logged(site: Site) -> list[tuple[str, str]]:
    entries = [kept.entry for kept in site.of(Keep) if isinstance(kept.entry, SecurityEntry)]
    return [(entry.event_type, entry.info) for entry in entries]


@pytest.mark.req("16-SEC-01")
def test_a_start_is_one() -> None:
    fresh = station(1)
    site = Site(fresh, fresh.clock, fresh=fresh)
    site.do(Started(continued=False))
    assert logged(site) == [(SecurityEvent.STARTUP, "PowerUp")]
    (record,) = site.outbox.values()
    assert isinstance(record, SecurityRecord)


@pytest.mark.req("16-SEC-01")
def test_a_run_that_ended_without_a_word_was_a_reset_of_its_own() -> None:
    fresh = station(1)
    site = Site(fresh, fresh.clock, fresh=fresh)
    site.do(Started(continued=True, unexpected=True))
    assert logged(site)[0] == (SecurityEvent.RESET_OR_REBOOT, "unexpected")


@pytest.mark.req("16-SEC-01")
def test_a_reset_is_one_after_it_and_once() -> None:
    site = Site.build(1)
    site.do(ResetStation(site.ref("Reset"), ResetKind.HARD))
    assert logged(site) == []
    site.restart()
    assert (SecurityEvent.RESET_OR_REBOOT, "RemoteReset") in logged(site)
    site.restart()
    assert [event for event, _ in logged(site)] == [SecurityEvent.STARTUP]


@pytest.mark.req("16-SEC-01")
@pytest.mark.parametrize(("step_s", "told"), [(50, True), (-50, True), (0.5, False), (0, False)])
def test_a_clock_that_jumps_is_one(step_s: float, told: bool) -> None:
    site = Site.build(1)
    site.advance(10)
    site.trust(site.now.utc + timedelta(seconds=step_s))
    assert [event for event, _ in logged(site)] == [SecurityEvent.SETTING_SYSTEM_TIME] * told
    if told:
        assert logged(site)[0][1] == f"{step_s:+.0f} s"
    site.wait(3)
    assert not logged(site)


@pytest.mark.req("16-SEC-01")
def test_the_first_time_that_is_told_counts_as_well() -> None:
    site = Site.build(1, synchronized=False)
    site.trust(site.now.utc + timedelta(days=2))
    assert logged(site) == [(SecurityEvent.SETTING_SYSTEM_TIME, "+172800 s")]


def test_a_clock_that_nobody_trusts_may_jump() -> None:
    site = Site.build(1, synchronized=False)
    site.wait(2)
    assert not logged(site)
