"""Places and promises: the guarantee against a brute force, and what is shown of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.commands import ReserveNow, Target
from edged.domain.hardware import Capability, ChargerState
from edged.domain.places import fits, free_places, guaranteed, shown_reserved, spare
from edged.domain.station import Station
from edged.domain.types import IdToken
from tests.fakes.site import FULL, Site, layout

PLACES = st.dictionaries(
    st.integers(1, 4), st.frozensets(st.sampled_from(("a", "b", "c")), min_size=1, max_size=2), max_size=4
)
TARGETS = st.lists(
    st.builds(Target, connector_type=st.sampled_from((None, None, "a", "B", "c", "d"))), min_size=0, max_size=4
)


def every_arrival_served(places: Mapping[int, frozenset[str]], waiting: tuple[Target, ...]) -> bool:
    """Try every order of arrival and every choice of every driver."""
    for index, target in enumerate(waiting):
        choices = [place for place, types in places.items() if fits(target, types)]
        rest = waiting[:index] + waiting[index + 1 :]
        if not choices:
            return False
        for choice in choices:
            left = {place: types for place, types in places.items() if place != choice}
            if not every_arrival_served(left, rest):
                return False
    return True


@pytest.mark.req("H01.FR.07", "H01.FR.09", "16-RES-04")
@given(places=PLACES, targets=TARGETS)
def test_the_guarantee_is_what_every_order_of_arrival_and_every_choice_gives(
    places: dict[int, frozenset[str]], targets: list[Target]
) -> None:
    assert guaranteed(places, targets) is every_arrival_served(places, tuple(targets))


@given(places=PLACES, targets=TARGETS)
def test_one_reservation_less_breaks_no_guarantee(places: dict[int, frozenset[str]], targets: list[Target]) -> None:
    if targets and guaranteed(places, targets):
        assert guaranteed(places, targets[1:])


@pytest.mark.req("H01.FR.06", "H01.FR.24")
def test_a_reservation_by_type_is_not_safe_where_one_without_a_type_may_take_its_only_place() -> None:
    places = {1: frozenset({"ccs"}), 2: frozenset({"type2"})}
    assert guaranteed(places, [Target(connector_type="CCS")])
    assert not guaranteed(places, [Target(connector_type="CCS"), Target()])


def test_a_hundred_reservations_on_a_hundred_places_are_judged_at_once() -> None:
    places = {n: frozenset({"a"}) for n in range(100)}
    assert guaranteed(places, [Target()] * 100)
    assert not guaranteed(places, [Target()] * 101)


def test_a_place_that_nobody_has_seen_since_the_start_is_not_free() -> None:
    site = Site.build(2, seen=False)
    assert free_places(site.station) == {}
    site.look(1, ChargerState.AVAILABLE)
    assert set(free_places(site.station)) == {1}


def test_a_place_that_is_about_to_go_out_of_service_is_not_free() -> None:
    sense = FULL | {Capability.AVAILABILITY, Capability.AVAILABILITY_SENSE}
    site = Site.build(layouts=(layout(1, capabilities=sense), layout(2)))
    site.available(1, False)
    assert set(free_places(site.station)) == {2}


@pytest.mark.req("16-RES-04")
def test_a_car_that_plugs_in_first_does_not_walk_past_a_counted_reservation() -> None:
    site = Site.build(2)
    site.reserve(1, "BOB")
    site.plug(1)
    assert spare(site.station, 1), "the other connector still serves the reserved driver"
    site.plug(2)
    assert not spare(site.station, 1) and not spare(site.station, 2)


def test_a_connector_of_another_type_is_free_for_everybody() -> None:
    site = Site.build(layouts=(layout(1, connector_type="cCCS2"), layout(2, connector_type="cType2")))
    site.do(_by_type(site, "cCCS2"))
    assert shown_reserved(site.station, 1)
    assert spare(site.station, 2) and not shown_reserved(site.station, 2)


@pytest.mark.req("H01.FR.20", "16-RES-04", "TC_049_CS")
def test_reserved_is_shown_on_the_last_free_connectors_only() -> None:
    site = Site.build(3)
    site.reserve(1, "ALICE")
    assert [site.status(n) for n in (1, 2, 3)] == ["Available"] * 3
    site.start(1, "WALKIN")
    site.start(2, "OTHER")
    assert site.status(3) == "Reserved"
    site.unplug(1)
    site.unplug(1)
    assert [site.status(n) for n in (1, 3)] == ["Available", "Available"]


@pytest.mark.req("16-RES-15", "G01.FR.09")
@pytest.mark.parametrize("connector", [0, 1])
def test_a_cable_without_a_token_leaves_the_connector_reserved(connector: int) -> None:
    site = Site.build(1)
    site.reserve(1, "ALICE", connector)
    site.plug(1)
    assert site.status(1) == "Reserved"


@pytest.mark.req("H01.FR.23")
def test_a_reserved_evse_is_shown_on_every_connector_of_it() -> None:
    site = Site.build(layouts=(layout(1, evse_id=1), layout(2, evse_id=1, connector_id=2), layout(3, evse_id=2)))
    site.do(_of_evse(site, 1))
    assert [site.status(n) for n in (1, 2, 3)] == ["Reserved", "Reserved", "Available"]


def test_a_switched_off_feature_keeps_the_entries_and_frees_the_places() -> None:
    site = Site.build(1)
    site.reserve(1, "ALICE", 1)
    site.station = _switched(site, "false")
    site.start(1, "BOB")
    assert site.status(1) == "Charging"
    assert set(site.station.reservations) == {1}


def _switched(site: Site, value: str) -> Station:
    configuration = replace(site.station.configuration, site={"ReservationEnabled": value})
    return replace(site.station, configuration=configuration)


def _by_type(site: Site, connector_type: str) -> ReserveNow:
    return _reserve(site, Target(connector_type=connector_type))


def _of_evse(site: Site, evse: int) -> ReserveNow:
    return _reserve(site, Target(evse=evse))


def _reserve(site: Site, target: Target) -> ReserveNow:
    return ReserveNow(
        request=site.ref("ReserveNow"),
        reservation_id=None,
        target=target,
        id_token=IdToken("ALICE"),
        group=None,
        expires_at=site.now.utc + timedelta(minutes=10),
    )
