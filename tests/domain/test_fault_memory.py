"""The last fault of each connector outlives the log, and costs the disk no more than a write a minute."""

from __future__ import annotations

from dataclasses import replace

from edged.domain.events import Tick
from edged.domain.fault_memory import KEEP_EVERY_S, VENDOR_CODE_MAX_CHARS, last_of
from edged.domain.hardware import ChargerState, Fault, FaultCode
from edged.domain.past import LastFault
from edged.store import records
from edged.store.port import Table
from tests.fakes.site import Site

GROUND = Fault(FaultCode.GROUND, vendor_code="F007", info="residual current")
HOT = Fault(FaultCode.HIGH_TEMPERATURE, vendor_code="W1", blocking=False)


def look(site: Site, *faults: Fault) -> bool:
    """One poll; whether it costs a write."""
    before = site.station
    state = ChargerState.FAULTED if any(fault.blocking for fault in faults) else ChargerState.AVAILABLE
    site.look(1, state, faults=faults)
    return bool(records.writes(before, site.station, site.effects))


def last(site: Site) -> LastFault | None:
    return last_of(site.connector(1))


def test_a_fault_is_remembered_from_when_to_when() -> None:
    site = Site.build(1)
    assert last(site) is None
    began = site.now.utc
    look(site, GROUND)
    found = last(site)
    assert found is not None
    assert (found.code, found.vendor_code, found.info) == (FaultCode.GROUND, "F007", "residual current")
    assert (found.since.utc, found.cleared) == (began, None)
    site.advance(30)
    look(site)
    found = last(site)
    assert found is not None and found.cleared is not None
    assert (found.since.utc, found.cleared.utc) == (began, site.now.utc)


def test_it_is_there_after_a_power_cut() -> None:
    site = Site.build(1)
    look(site, GROUND)
    before = last(site)
    site.restart()
    assert last(site) == before
    site.look(1, ChargerState.AVAILABLE)
    found = last(site)
    assert found is not None and before is not None
    assert found.cleared is not None, "it was over when the charger was seen again"
    assert found.since == before.since


def test_a_fault_that_outlasts_a_restart_is_the_same_fault() -> None:
    site = Site.build(1)
    look(site, GROUND, HOT)
    before = last(site)
    site.restart()
    look(site, HOT, GROUND)
    assert last(site) == before


def test_a_blocking_fault_is_worth_more_than_a_warning_that_comes_with_it() -> None:
    site = Site.build(1)
    look(site, HOT, GROUND)
    found = last(site)
    assert found is not None and found.code is FaultCode.GROUND


def test_a_later_fault_takes_its_place_and_an_older_one_that_goes_on_does_not_come_back() -> None:
    site = Site.build(1)
    look(site, HOT)
    look(site, HOT, GROUND)
    look(site, HOT)
    found = last(site)
    assert found is not None and found.code is FaultCode.GROUND and found.cleared is not None


def test_the_silence_of_a_charger_is_none_of_its_faults() -> None:
    site = Site.build(1)
    look(site, GROUND)
    look(site)
    before = last(site)
    site.lose(1)
    site.wait(60)
    assert site.status(1) == "Faulted"
    look(site)
    assert last(site) == before


def test_a_charger_that_is_silent_has_not_lost_its_fault() -> None:
    site = Site.build(1)
    look(site, GROUND)
    site.lose(1)
    site.wait(60)
    found = last(site)
    assert found is not None and found.cleared is None


def test_a_fault_that_comes_and_goes_each_second_costs_a_write_a_minute() -> None:
    site = Site.build(1)
    writes = 0
    for second in range(600):
        site.advance(1)
        before = site.station
        look(site, *([GROUND] if second % 2 else []))
        writes += Table.CONNECTOR in records.writes(before, site.station, site.effects).put
        before = site.station
        site.do(Tick())
        writes += Table.CONNECTOR in records.writes(before, site.station, site.effects).put
    assert 2 <= writes <= 600 / KEEP_EVERY_S + 1


def test_what_waited_for_the_minute_is_written_at_its_end() -> None:
    site = Site.build(1)
    look(site, GROUND)
    look(site)
    kept = site.connector(1).fault_kept
    assert kept is not None and kept.cleared is None
    site.wait(KEEP_EVERY_S)
    kept = site.connector(1).fault_kept
    assert kept is not None and kept.cleared is not None


def test_polls_without_news_cost_nothing() -> None:
    site = Site.build(1)
    look(site, GROUND)
    assert not look(site, GROUND)
    site.wait(KEEP_EVERY_S + 1)
    assert not look(site, GROUND)
    before = site.connector(1).last_fault
    look(site, GROUND)
    assert site.connector(1).last_fault is before


def test_a_charger_that_writes_novels_is_cut() -> None:
    site = Site.build(1)
    novel = replace(GROUND, vendor_code="x" * 5000, info="y" * 5000)
    look(site, novel)
    found = last(site)
    assert found is not None and len(found.vendor_code) == VENDOR_CODE_MAX_CHARS and len(found.info) < 200
    site.restart()
    look(site, novel)
    assert last(site) == found
    look(site)
    again = last(site)
    assert again is not None and again.cleared is not None
