"""ChangeAvailability: confirmed, unconfirmed, scheduled, for one connector or for all, the last request wins."""

from __future__ import annotations

import pytest

from edged.domain.answers import AvailabilityStatus
from edged.domain.availability import CONFIRM_S
from edged.domain.desired import desired
from edged.domain.effects import Reply
from edged.domain.hardware import Capability, ChargerState
from edged.domain.types import Phase, RequestRef
from tests.fakes.site import FULL, Site, layout

SENSE = FULL | {Capability.AVAILABILITY, Capability.AVAILABILITY_SENSE}
ACCEPTED, REJECTED, SCHEDULED = AvailabilityStatus.ACCEPTED, AvailabilityStatus.REJECTED, AvailabilityStatus.SCHEDULED


def sensing(connectors: int = 1) -> Site:
    site = Site.build(layouts=tuple(layout(n, capabilities=SENSE) for n in range(1, connectors + 1)))
    for number in range(1, connectors + 1):
        site.look(number, ChargerState.AVAILABLE, operative=True)
    return site


def answers(site: Site) -> dict[RequestRef, AvailabilityStatus]:
    return {e.request: e.status for e in site.history if isinstance(e, Reply)}


def latest(site: Site) -> list[AvailabilityStatus]:
    return [e.status for e in site.of(Reply)]


@pytest.mark.req("16-ST-05")
def test_a_charger_without_a_word_about_it_is_changed_at_once() -> None:
    site = Site.build(2)
    site.available(1, False)
    assert latest(site) == [ACCEPTED]
    assert (site.status(1), site.status(2)) == ("Unavailable", "Available")
    assert desired(site.station, 1).operative is False
    site.available(1, True)
    assert latest(site) == [ACCEPTED]
    assert site.status(1) == "Available"


def test_a_charger_that_reports_it_is_asked_to_confirm_first() -> None:
    site = sensing()
    site.available(1, False)
    assert latest(site) == []
    assert desired(site.station, 1).operative is False
    assert site.status(1) == "Available"
    site.look(1, ChargerState.UNAVAILABLE, operative=False)
    assert latest(site) == [ACCEPTED]
    assert site.status(1) == "Unavailable"


def test_what_the_charger_does_not_confirm_is_rejected_and_undone() -> None:
    site = sensing()
    site.available(1, False)
    site.wait(CONFIRM_S, looks=False)
    assert latest(site) == [REJECTED]
    assert site.status(1) == "Available"
    assert desired(site.station, 1).operative is True


def test_nobody_starts_while_the_charger_is_being_taken_out_of_service() -> None:
    site = sensing()
    site.available(1, False)
    site.show("ALICE", 1)
    assert site.reply().status.value == "NoConnector"


def test_what_is_so_already_is_accepted() -> None:
    site = sensing()
    site.available(1, True)
    assert latest(site) == [ACCEPTED]


def test_an_unknown_connector_is_rejected() -> None:
    site = Site.build(1)
    for number in (2, -1):
        site.available(number, False)
        assert latest(site) == [REJECTED]


@pytest.mark.req("16-ST-05")
def test_during_a_transaction_it_is_scheduled_and_carried_out_at_its_end() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.available(1, False)
    assert latest(site) == [SCHEDULED]
    assert site.status(1) == "Charging"
    assert desired(site.station, 1).operative
    site.show("ALICE", 1)
    assert site.status(1) == "Unavailable"
    assert len([e for e in site.history if isinstance(e, Reply) and e.status in AvailabilityStatus]) == 1


def test_the_last_request_wins_over_a_scheduled_one() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.available(1, False)
    site.available(1, True)
    assert latest(site) == [ACCEPTED]
    site.show("ALICE", 1)
    site.unplug(1)
    site.unplug(1)
    assert site.status(1) == "Available"


@pytest.mark.req("16-BOOT-09")
def test_a_scheduled_change_survives_a_restart() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.available(1, False)
    site.restart(continued=True)
    site.charge(1)
    site.show("ALICE", 1)
    assert site.status(1) == "Unavailable"


def test_a_scheduled_change_that_the_charger_does_not_confirm_is_tried_again() -> None:
    site = sensing()
    site.start(1, "ALICE")
    site.look(1, ChargerState.CHARGING, operative=True)
    site.available(1, False)
    site.show("ALICE", 1)
    site.wait(CONFIRM_S + 1, looks=False)
    assert desired(site.station, 1).operative is False
    site.look(1, ChargerState.UNAVAILABLE, operative=False)
    assert site.status(1) == "Unavailable"


@pytest.mark.req("16-BOOT-09")
def test_a_scheduled_change_that_waits_for_its_confirmation_survives_a_restart() -> None:
    site = sensing()
    site.start(1, "ALICE")
    site.look(1, ChargerState.CHARGING, operative=True)
    site.available(1, False)
    site.show("ALICE", 1)
    assert site.connector(1).changing is False
    site.restart(continued=True)
    site.look(1, ChargerState.CONNECTED, operative=True)
    site.look(1, ChargerState.UNAVAILABLE, operative=False)
    assert site.status(1) == "Unavailable"


# --- a charger that is silent


def scheduled_and_asked_again() -> Site:
    """A charger was silent and is back; it has not yet done what was scheduled, nor what was asked once more."""
    site = sensing()
    site.lose(1)
    site.available(1, False)
    assert latest(site) == [SCHEDULED]
    site.look(1, ChargerState.AVAILABLE, operative=True)
    site.available(1, False)
    assert latest(site) == []
    return site


@pytest.mark.req("16-BOOT-09")
def test_a_scheduled_change_survives_a_restart_also_while_a_newer_request_waits_for_the_charger() -> None:
    site = scheduled_and_asked_again()
    site.restart(continued=False)
    site.look(1, ChargerState.AVAILABLE, operative=True)
    site.look(1, ChargerState.UNAVAILABLE, operative=False)
    assert site.status(1) == "Unavailable"


def test_a_scheduled_change_stays_so_where_a_newer_request_was_not_carried_out() -> None:
    site = scheduled_and_asked_again()
    site.wait(CONFIRM_S, looks=False)
    assert REJECTED in answers(site).values()
    site.look(1, ChargerState.UNAVAILABLE, operative=False)
    assert site.status(1) == "Unavailable"


def test_a_silent_charger_is_changed_when_it_comes_back() -> None:
    site = Site.build(1)
    site.lose(1)
    site.available(1, False)
    assert latest(site) == [SCHEDULED]
    site.look(1, ChargerState.AVAILABLE)
    assert site.status(1) == "Unavailable"


def test_a_charger_that_falls_silent_before_it_confirms_is_changed_when_it_comes_back() -> None:
    site = sensing()
    site.available(1, False)
    site.lose(1)
    site.wait(CONFIRM_S)
    assert latest(site) == [SCHEDULED]
    site.look(1, ChargerState.AVAILABLE, operative=True)
    site.look(1, ChargerState.UNAVAILABLE, operative=False)
    assert site.status(1) == "Unavailable"


@pytest.mark.parametrize(("state", "phase"), [("connected", Phase.PREPARING), ("available", Phase.IDLE)])
def test_a_driver_who_waits_at_a_silent_charger_does_not_start_when_it_returns_out_of_service(
    state: str, phase: Phase
) -> None:
    site = Site.build(1)
    site.show("ALICE", 1)
    site.accept()
    site.lose(1)
    site.available(1, False)
    site.look(1, ChargerState(state))
    assert not site.records()
    assert site.status(1) == "Unavailable"
    assert site.connector(1).phase is phase


# --- the whole station


@pytest.mark.req("TC_013_CS")
def test_the_whole_station_changes_all_connectors() -> None:
    site = Site.build(3)
    site.available(0, False)
    assert latest(site) == [ACCEPTED]
    assert not site.station.operative
    assert [site.status(n) for n in (1, 2, 3)] == ["Unavailable"] * 3
    site.available(0, True)
    assert [site.status(n) for n in (1, 2, 3)] == ["Available"] * 3


def test_the_whole_station_changes_idle_connectors_at_once_and_the_busy_one_later() -> None:
    site = Site.build(2)
    site.start(1, "ALICE")
    site.available(0, False)
    assert latest(site) == [SCHEDULED]
    assert [site.status(n) for n in (1, 2)] == ["Charging", "Unavailable"]
    site.show("ALICE", 1)
    assert site.status(1) == "Unavailable"


def test_the_whole_station_is_answered_once_when_every_charger_has_confirmed() -> None:
    site = sensing(2)
    site.available(0, False)
    site.look(1, ChargerState.UNAVAILABLE, operative=False)
    assert latest(site) == []
    assert site.station.operative
    site.look(2, ChargerState.UNAVAILABLE, operative=False)
    assert latest(site) == [ACCEPTED]
    assert not site.station.operative


def test_where_one_charger_does_not_confirm_the_others_stay_changed_and_the_truth_is_told() -> None:
    site = sensing(2)
    site.available(0, False)
    site.look(1, ChargerState.UNAVAILABLE, operative=False)
    site.wait(CONFIRM_S, looks=False)
    assert latest(site) == [REJECTED]
    assert [site.status(n) for n in (1, 2)] == ["Unavailable", "Available"]
    assert site.station.operative


def test_a_repeated_request_that_is_not_confirmed_does_not_put_the_station_into_service() -> None:
    site = sensing(1)
    site.available(0, False)
    site.look(1, ChargerState.UNAVAILABLE, operative=False)
    assert not site.station.operative
    site.look(1, ChargerState.AVAILABLE, operative=True)
    site.available(0, False)
    site.wait(CONFIRM_S, looks=False)
    assert latest(site) == [REJECTED]
    assert not site.station.operative


def test_into_service_while_the_station_is_not_asks_nothing_of_the_charger() -> None:
    site = sensing(1)
    site.available(0, False)
    site.look(1, ChargerState.UNAVAILABLE, operative=False)
    site.available(1, True)
    assert latest(site) == [ACCEPTED]
    assert desired(site.station, 1).operative is False
    assert site.status(1) == "Unavailable"


# --- newer requests


def test_a_newer_request_for_the_same_connector_takes_its_place() -> None:
    site = sensing(1)
    site.available(1, False)
    site.available(1, True)
    assert latest(site) == [REJECTED, ACCEPTED]
    site.look(1, ChargerState.UNAVAILABLE, operative=False)
    assert site.status(1) == "Available"
    assert len(answers(site)) == 2


def test_a_newer_request_for_one_connector_leaves_the_older_for_the_others() -> None:
    site = sensing(2)
    site.available(0, False)
    site.available(1, True)
    assert latest(site) == [ACCEPTED]
    site.look(2, ChargerState.UNAVAILABLE, operative=False)
    assert latest(site) == [ACCEPTED]
    assert len(answers(site)) == 2


def test_a_request_for_the_whole_station_takes_over_every_older_one() -> None:
    site = sensing(2)
    site.available(1, False)
    site.available(2, False)
    site.available(0, True)
    assert sorted(latest(site)) == [ACCEPTED, REJECTED, REJECTED]
    assert len(answers(site)) == 3
