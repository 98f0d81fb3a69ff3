"""Tokens and remote starts that name no connector."""

from __future__ import annotations

import pytest

from edged.dialects.v201 import POLICY as V201
from edged.domain.answers import TokenVerdict, Verdict
from edged.domain.choosing import choose, choose_start
from edged.domain.hardware import ChargerState
from edged.domain.types import IdToken
from tests.fakes.site import Site

ALICE = IdToken("ALICE")


def test_a_token_goes_to_its_own_transaction_first() -> None:
    site = Site.build(3)
    site.start(2, "ALICE")
    site.plug(3)
    assert choose(site.station, ALICE, None) == 2


@pytest.mark.req("16-RES-14")
def test_then_to_the_connector_that_is_reserved_for_it() -> None:
    site = Site.build(3)
    site.plug(1)
    site.reserve(1, "ALICE", 3)
    assert choose(site.station, ALICE, None) == 3


def test_then_to_the_car_that_waits_longest() -> None:
    site = Site.build(3)
    site.plug(3)
    site.advance(5)
    site.plug(2)
    assert choose(site.station, ALICE, None) == 3


def test_a_car_whose_transaction_began_with_its_plug_waits_as_others_do() -> None:
    site = Site.build(3, policy=V201, configuration={"TxStartPoint": "EVConnected"})
    site.plug(3)
    site.advance(5)
    site.plug(2)
    assert choose(site.station, ALICE, None) == 3


def test_then_to_a_free_connector() -> None:
    site = Site.build(3)
    site.start(1, "BOB")
    assert choose(site.station, ALICE, None) == 2


@pytest.mark.req("16-RES-07")
def test_never_to_one_that_is_kept_for_somebody_else() -> None:
    site = Site.build(2)
    site.reserve(1, "BOB", 1)
    assert choose(site.station, ALICE, None) == 2
    site.reserve(2, "CARLA", 2)
    assert choose(site.station, ALICE, None) is None


@pytest.mark.req("16-RES-07")
def test_a_place_of_a_group_that_may_be_its_own_comes_last() -> None:
    site = Site.build(2)
    site.reserve(1, "BOB", 1, group="FLEET")
    assert choose(site.station, ALICE, None) == 2
    site.start(2, "CARLA")
    assert choose(site.station, ALICE, None) == 1


def test_a_second_presentation_finds_the_connector_where_the_token_waits() -> None:
    site = Site.build(2)
    site.show("ALICE")
    site.accept()
    site.plug(2)
    site.show("ALICE")
    assert site.reply().status is TokenVerdict.RELEASED
    assert site.connector(1).authorization is None


def test_a_connector_where_another_token_is_being_judged_is_not_chosen() -> None:
    site = Site.build(2)
    site.show("BOB")
    site.show("ALICE")
    site.accept()
    site.accept()
    assert site.connector(1).authorization is not None
    assert site.connector(2).authorization is not None


@pytest.mark.req("16-TX-12")
def test_a_driver_without_a_place_is_never_put_on_a_finished_sessions_car() -> None:
    site = Site.build(2)
    site.start(1, "BOB")
    site.show("BOB", 1)
    assert site.status(1) == "Finishing"
    assert choose_start(site.station, ALICE, None) == 2
    site.start(2, "CARLA")
    assert choose_start(site.station, ALICE, None) is None


def test_with_one_connector_the_token_means_that_one() -> None:
    site = Site.build(1)
    site.start(1, "BOB")
    site.show("BOB", 1)
    assert choose_start(site.station, ALICE, None) == 1
    site.start(1, "BOB")
    assert choose_start(site.station, ALICE, None) is None
    assert choose(site.station, ALICE, None) == 1, "to be asked about, for it may be of the same group"


@pytest.mark.parametrize("trouble", ["fault", "out of service", "silent"])
def test_a_connector_that_is_not_in_order_is_not_chosen(trouble: str) -> None:
    site = Site.build(2)
    if trouble == "fault":
        site.look(1, ChargerState.FAULTED)
    elif trouble == "out of service":
        site.available(1, False)
    else:
        site.lose(1)
    assert choose_start(site.station, ALICE, None) == 2


@pytest.mark.req("16-RES-14", "16-TX-13")
def test_a_remote_start_without_a_connector_never_goes_to_its_own_transaction() -> None:
    site = Site.build(2)
    site.start(1, "ALICE")
    assert site.remote_start("ALICE") is Verdict.ACCEPTED
    assert site.connector(2).authorization is not None
    assert site.remote_start("ALICE") is Verdict.REJECTED


@pytest.mark.req("16-RES-14")
def test_a_remote_start_without_a_connector_spares_what_is_promised() -> None:
    site = Site.build(2)
    site.reserve(1, "BOB", 1)
    assert site.remote_start("ALICE") is Verdict.ACCEPTED
    assert site.connector(2).authorization is not None
    assert site.remote_start("CARLA") is Verdict.REJECTED
    assert site.remote_start("BOB") is Verdict.ACCEPTED
    assert site.connector(1).authorization is not None
