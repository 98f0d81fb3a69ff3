"""GetChargingProfiles: which profiles are meant, and the pages in which they are told."""

from __future__ import annotations

from typing import Any

import pytest

from edged.domain.answers import Reason, ReportStatus
from edged.domain.charging import LimitSource
from edged.domain.charging_commands import GetChargingProfiles, SetLocalLimit
from edged.domain.effects import Ask, ReportPage
from edged.domain.events import PageTaken, QuestionAnswered
from tests.fakes.profiles import DEFAULT, STATION, TX, profile, put
from tests.fakes.site import Site


def site_of_five() -> Site:
    """1 and 2: the station's, 3: EVSE 1's, 4: its transaction's, 5: EVSE 2's, -2: the site's for EVSE 1."""
    site = Site.build(2)
    site.start(1, "ALICE")
    put(site, profile(id=1, purpose=STATION, level=1), 0)
    put(site, profile(id=2, purpose=DEFAULT), 0)
    put(site, profile(id=3, purpose=DEFAULT), 1)
    put(site, profile(id=4, purpose=TX, level=1), 1)
    put(site, profile(id=5, purpose=DEFAULT, level=1), 2)
    site.do(SetLocalLimit(request=site.ref("set_limit"), evse=1, limit_ma=10_000))
    return site


def report(site: Site, **which: Any) -> list[tuple[int, str, list[int]]]:
    """Every page: its EVSE, source and ids; each is taken by the CSMS as it comes."""
    site.do(GetChargingProfiles(request=site.ref("GetChargingProfiles"), request_id=7, **which))
    assert site.reply().status is ReportStatus.ACCEPTED
    pages: list[ReportPage] = []
    while found := [effect for effect in site.effects if isinstance(effect, Ask)]:
        (asked,) = found
        assert isinstance(asked.question, ReportPage)
        pages.append(asked.question)
        site.do(QuestionAnswered(asked.ticket, PageTaken()))
    assert [page.more for page in pages] == [True] * (len(pages) - 1) + [False]
    assert {page.request_id for page in pages} == {7}
    groups = [group for page in pages for group in page.items]
    assert len(groups) == len(pages)
    return [(group.evse_id, group.source.value, [one.profile.id for one in group.profiles]) for group in groups]


@pytest.mark.req("K09.FR.01", "K09.FR.02", "K09.FR.03", "K09.FR.04", "K09.FR.05", "K09.FR.06")
@pytest.mark.parametrize(
    ("which", "told"),
    [
        ({}, [(0, "CSO", [1, 2]), (1, "CSO", [3, 4]), (1, "EMS", [-2]), (2, "CSO", [5])]),
        ({"evse": 0}, [(0, "CSO", [1, 2])]),
        ({"evse": 1}, [(1, "CSO", [3, 4]), (1, "EMS", [-2])]),
        ({"evse": 1, "sources": (LimitSource.CSO, LimitSource.SO)}, [(1, "CSO", [3, 4])]),
        ({"sources": (LimitSource.EMS,)}, [(1, "EMS", [-2])]),
        ({"purpose": DEFAULT}, [(0, "CSO", [2]), (1, "CSO", [3]), (2, "CSO", [5])]),
        ({"evse": 1, "purpose": TX, "stack_level": 1}, [(1, "CSO", [4])]),
        ({"stack_level": 1}, [(0, "CSO", [1]), (1, "CSO", [4]), (2, "CSO", [5])]),
        ({"ids": (5, 1, 99)}, [(0, "CSO", [1]), (2, "CSO", [5])]),
    ],
)
def test_what_fits_is_told_by_place_and_source(which: dict[str, Any], told: Any) -> None:
    assert report(site_of_five(), **which) == told


@pytest.mark.req("K09.FR.01")
@pytest.mark.parametrize(
    "which", [{"evse": 9}, {"ids": (99,)}, {"evse": 2, "purpose": TX}, {"sources": (LimitSource.SO,)}]
)
def test_where_nothing_fits_there_is_no_report(which: dict[str, Any]) -> None:
    site = site_of_five()
    site.do(GetChargingProfiles(request=site.ref("GetChargingProfiles"), request_id=7, **which))
    assert site.reply().status is ReportStatus.NO_PROFILES
    assert not site.of(Ask)


def test_many_profiles_are_told_a_few_at_a_time() -> None:
    site = Site.build(1)
    for number in range(1, 13):
        put(site, profile(id=number, level=number))
    assert [len(ids) for _, _, ids in report(site)] == [5, 5, 2]


def test_too_many_reports_at_a_time_are_refused_and_switched_off_there_are_none() -> None:
    site = site_of_five()
    for _ in range(8):
        site.do(GetChargingProfiles(request=site.ref("GetChargingProfiles"), request_id=7))
    site.do(GetChargingProfiles(request=site.ref("GetChargingProfiles"), request_id=7))
    assert site.reply().status is ReportStatus.BUSY
    site.set("SmartChargingEnabled", "false")
    site.do(GetChargingProfiles(request=site.ref("GetChargingProfiles"), request_id=7))
    assert site.reply().reason == Reason.NOT_ENABLED
