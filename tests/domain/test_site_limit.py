"""The site's own limits: beside the CSMS's, told where a version wants to hear of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.domain import metering
from edged.domain.answers import ClearStatus, ProfileStatus, Reason, Verdict
from edged.domain.charging import LimitSource
from edged.domain.charging_commands import SetLocalLimit
from edged.domain.desired import desired
from edged.domain.effects import LimitRecord, RecordKind
from edged.domain.events import BootAnswered, LinkUp, Registration
from edged.domain.hardware import Capability
from edged.domain.policy import Trigger
from tests.fakes.profiles import DEFAULT, STATION, A, W, ask, clear, curve, profile, put
from tests.fakes.site import FULL, POLICY, Site, layout

TELLING = replace(POLICY, limit_records=True, update_triggers=frozenset(Trigger))


def charging(*numbers: int, **shape: Any) -> Site:
    site = Site.build(**{"policy": TELLING, **shape})
    for number in numbers or (1,):
        site.start(number, f"DRIVER-{number}")
        site.advance(1)
    return site


def limit(site: Site, ampere: float | None, evse: int | None = 1, **more: Any) -> Any:
    """The answer to a local limit."""
    limit_ma = None if ampere is None else round(ampere * 1000)
    place = {} if more else {"evse": evse}
    site.do(SetLocalLimit(request=site.ref("set_limit", "mqtt:bms"), limit_ma=limit_ma, **place, **more))
    return site.reply().status


def given(site: Site) -> list[float]:
    return [(desired(site.station, number).current_limit_ma or 0) / 1000 for number in site.station.connectors]


def told(site: Site) -> list[tuple[int, float | None]]:
    """The limits that wait for the CSMS: the EVSE and the limit, None where it was taken away."""
    records = [record for record in site.outbox.values() if isinstance(record, LimitRecord)]
    return [(one.evse_id, one.schedule.periods[0].limit if one.schedule else None) for one in records]


def test_a_csms_that_takes_nothing_is_told_of_no_more_limits_than_the_queue_can_bear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site.build(1, policy=TELLING)
    monkeypatch.setattr(metering, "MAX_QUEUED", site.station.queued + 4)
    for ampere in (10, None, 12, None, 14, 20, 30, None, 16):
        limit(site, ampere)
    assert len(told(site)) == 4
    assert given(site) == [16.0]


@pytest.mark.req("K11.FR.02", "K12.FR.02", "K13.FR.01")
def test_a_limit_holds_is_told_and_goes() -> None:
    site = charging(1, connectors=2)
    assert limit(site, 10) is Verdict.ACCEPTED
    assert given(site) == [10.0, 32.0]
    assert limit(site, None) is Verdict.ACCEPTED
    assert given(site) == [32.0, 32.0]
    assert told(site) == [(1, 10.0), (1, None)]


def test_taking_away_a_limit_that_there_is_not_tells_nobody() -> None:
    site = charging()
    assert limit(site, None) is Verdict.ACCEPTED
    assert told(site) == []


@pytest.mark.req("K11.FR.02")
def test_a_change_that_is_not_significant_is_not_told_until_many_of_them_are() -> None:
    site = charging(configuration={"LimitChangeSignificance": "10"})
    for ampere in (20.0, 19.0, 18.5, 18.0, 17.0):
        limit(site, ampere)
    assert told(site) == [(1, 20.0), (1, 18.0)]
    assert given(site)[0] == 17.0


@pytest.mark.req("K12.FR.02", "K13.FR.01")
def test_what_comes_and_goes_without_a_line_waits_for_nobody_and_what_holds_is_told_with_it() -> None:
    site = charging(1, connectors=2)
    limit(site, 20, 2)
    site.offline()
    for ampere in (10.0, 30.0, None, 12.0, 8.0):
        limit(site, ampere)
    limit(site, None, 2)
    assert told(site) == [(2, 20.0), (2, None)]
    site.do(LinkUp())
    site.do(BootAnswered(Registration.ACCEPTED, site.now.utc, 300))
    assert told(site) == [(2, 20.0), (2, None), (1, 8.0)]


def test_no_more_changes_are_told_than_the_queue_can_bear(monkeypatch: pytest.MonkeyPatch) -> None:
    site = charging()
    site.offline()
    monkeypatch.setattr(metering, "MAX_QUEUED", site.station.queued + 3)
    for _ in range(5):
        limit(site, 10)
        limit(site, 20)
    assert site.station.queued == metering.MAX_QUEUED
    assert given(site)[0] == 20.0


def test_a_version_that_does_not_know_such_limits_hears_nothing_and_they_hold() -> None:
    site = charging(policy=POLICY)
    limit(site, 9)
    assert given(site)[0] == 9.0
    assert told(site) == []


@pytest.mark.req("K11.FR.01", "K01.FR.05", "K10.FR.08", "K10.FR.09")
def test_the_csms_can_neither_replace_nor_clear_it() -> None:
    site = charging()
    limit(site, 9)
    assert put(site, profile((0, 30.0), id=-2)) is ProfileStatus.REJECTED
    assert clear(site, profile_id=-2) is ClearStatus.UNKNOWN
    assert clear(site) is ClearStatus.UNKNOWN
    assert given(site)[0] == 9.0


def test_a_limit_takes_no_place_among_the_csmss_profiles() -> None:
    site = charging(configuration={"MaxChargingProfilesInstalled": "1"})
    limit(site, 9)
    assert put(site, profile((0, 8.0))) is ProfileStatus.ACCEPTED
    assert put(site, profile((0, 8.0), id=2, level=1)) is ProfileStatus.REJECTED


@pytest.mark.parametrize(("csms", "site_a", "least"), [(8.0, 10.0, 8.0), (12.0, 10.0, 10.0), (12.0, 5.0, 0.0)])
def test_of_the_csms_and_the_site_the_lower_prevails(csms: float, site_a: float, least: float) -> None:
    site = charging()
    put(site, profile((0, csms)))
    limit(site, site_a)
    assert given(site)[0] == least
    assert curve(ask(site)) == [(0, least)]


def test_the_stations_limit_is_shared_beside_the_csmss() -> None:
    site = charging(1, 2, connectors=2)
    limit(site, 20, 0)
    assert given(site) == [10.0, 10.0]
    put(site, profile((0, 11_040.0), purpose=STATION, unit=W), 0)
    assert given(site) == [8.0, 8.0]
    limit(site, 12, 0)
    assert given(site) == [6.0, 6.0]
    assert curve(ask(site, 0)) == [(0, 12.0)]
    assert curve(ask(site, 0, unit=A)) == [(0, 12.0)]


def test_a_limit_by_the_number_of_a_connector_is_its_evses() -> None:
    site = charging(layouts=(layout(1), layout(2, evse_id=1, connector_id=2), layout(3, evse_id=2)))
    assert limit(site, 8, connector=2) is Verdict.ACCEPTED
    assert given(site) == [8.0, 8.0, 32.0]
    assert limit(site, 7, connector=0) is Verdict.ACCEPTED
    assert given(site)[0] == 7.0


@pytest.mark.parametrize(
    ("ampere", "evse", "reason"),
    [(8, 9, Reason.UNKNOWN_EVSE), (-1, 1, Reason.VALUE_OUT_OF_RANGE), (1001, 1, Reason.VALUE_OUT_OF_RANGE)],
)
def test_a_limit_that_cannot_be_is_rejected(ampere: float, evse: int, reason: Reason) -> None:
    site = charging()
    assert limit(site, ampere, evse) is Verdict.REJECTED
    assert site.reply().reason == reason


def test_a_charger_that_obeys_nobody_is_not_limited() -> None:
    bare = FULL - {Capability.LIMIT, Capability.WITHHOLD}
    site = Site.build(layouts=(layout(1, capabilities=bare),), policy=TELLING)
    assert limit(site, 8) is Verdict.REJECTED
    assert site.reply().reason == Reason.UNSUPPORTED_REQUEST


def test_it_holds_where_smart_charging_is_switched_off() -> None:
    site = charging()
    put(site, profile((0, 8.0)))
    limit(site, 10)
    site.set("SmartChargingEnabled", "false")
    assert given(site)[0] == 10.0


def test_it_survives_a_restart_and_a_wrong_clock() -> None:
    site = charging()
    limit(site, 10)
    before = site.station.charging_profiles
    assert before[-2].source is LimitSource.EMS
    site.restart(continued=True, synchronized=False)
    assert site.station.charging_profiles == before
    assert given(site)[0] == 10.0


# --- a change that matters to a running transaction


@pytest.mark.req("K11.FR.03", "K13.FR.02")
def test_a_transaction_whose_limit_changes_tells_so() -> None:
    site = charging(1, connectors=2)

    def changes() -> int:
        updates = site.records(RecordKind.UPDATED)
        return sum(one.trigger is Trigger.CHARGING_RATE_CHANGED for one in updates)

    assert changes() == 0
    limit(site, 10)
    assert changes() == 1
    limit(site, 10)
    limit(site, 8, 2)
    assert changes() == 1
    limit(site, None)
    assert changes() == 2
    put(site, profile((0, 16.0), purpose=DEFAULT))
    assert changes() == 3
    put(site, profile((0, 15.3), purpose=DEFAULT))
    assert changes() == 3
    limit(site, 0)
    limit(site, 40)
    assert changes() == 5


def test_another_who_comes_to_share_changes_the_first_ones_rate_and_has_none_to_tell() -> None:
    site = charging(1, connectors=2)
    limit(site, 20, 0)
    first, since = site.station.running(1), len(site.records(RecordKind.UPDATED))
    site.start(2, "BOB")
    assert first is not None
    changed = [r for r in site.records(RecordKind.UPDATED)[since:] if r.trigger is Trigger.CHARGING_RATE_CHANGED]
    assert [record.transaction_id for record in changed] == [first.id]
