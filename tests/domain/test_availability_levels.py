"""ChangeAvailability in three tiers: station, EVSE, connector, each with a flag of its own. G03, G04."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.dialects.v201 import POLICY
from edged.domain.answers import AvailabilityStatus, Reason
from edged.domain.availability import CONFIRM_S
from edged.domain.commands import ChangeAvailability
from edged.domain.desired import desired
from edged.domain.effects import Reply
from edged.domain.hardware import Capability, ChargerState, Fault, FaultCode
from edged.domain.status import availability_state
from tests.fakes.site import FULL, Site, layout

SENSE = FULL | {Capability.AVAILABILITY, Capability.AVAILABILITY_SENSE}
ACCEPTED, REJECTED, SCHEDULED = AvailabilityStatus.ACCEPTED, AvailabilityStatus.REJECTED, AvailabilityStatus.SCHEDULED
TWINS = (layout(1, evse_id=1, connector_id=1), layout(2, evse_id=1, connector_id=2), layout(3, evse_id=2))


def build(*, sensing: bool = False, configuration: dict[str, str] | None = None) -> Site:
    """EVSE 1 with connectors 1 and 2, EVSE 2 with one."""
    capabilities = SENSE if sensing else FULL
    shapes = tuple(replace(shape, capabilities=capabilities) for shape in TWINS)
    site = Site.build(layouts=shapes, policy=POLICY, configuration=configuration)
    if sensing:
        for number in site.station.connectors:
            site.look(number, ChargerState.AVAILABLE, operative=True)
    return site


def change(site: Site, operative: bool, evse: int = 0, connector: int | None = None) -> AvailabilityStatus | None:
    """The answer, where there is one at once."""
    site.do(ChangeAvailability(site.ref("ChangeAvailability"), None, operative, evse, connector))
    statuses = [e.status for e in site.of(Reply)]
    return statuses[-1] if statuses else None


def states(site: Site) -> list[str]:
    return [availability_state(site.station, number) for number in site.station.connectors]


@pytest.mark.req("G03.FR.04", "G03.FR.06", "G03.FR.07")
def test_an_evse_goes_out_of_service_with_all_its_connectors_and_comes_back() -> None:
    site = build()
    assert change(site, False, 1) is ACCEPTED
    assert states(site) == ["Unavailable", "Unavailable", "Available"]
    assert [desired(site.station, n).operative for n in (1, 2, 3)] == [False, False, True]
    assert change(site, True, 1) is ACCEPTED
    assert states(site) == ["Available"] * 3


@pytest.mark.req("G03.FR.06")
def test_a_faulted_connector_of_it_stays_faulted() -> None:
    site = build()
    site.look(1, ChargerState.FAULTED)
    assert change(site, False, 1) is ACCEPTED
    assert states(site) == ["Faulted", "Unavailable", "Available"]


@pytest.mark.req("G03.FR.07", "G04.FR.08")
def test_back_in_service_everything_returns_to_its_own_state() -> None:
    site = build()
    assert change(site, False, 1, 2) is ACCEPTED
    assert change(site, False, 2) is ACCEPTED
    assert change(site, False) is ACCEPTED
    assert states(site) == ["Unavailable"] * 3
    assert change(site, True) is ACCEPTED
    assert states(site) == ["Available", "Unavailable", "Unavailable"]
    assert change(site, True, 1) is ACCEPTED
    assert states(site) == ["Available", "Unavailable", "Unavailable"], "the connector's own flag is against it"
    assert change(site, True, 1, 2) is ACCEPTED
    assert change(site, True, 2) is ACCEPTED
    assert states(site) == ["Available"] * 3


@pytest.mark.req("G03.FR.03", "G04.FR.04", "G04.FR.05")
@pytest.mark.parametrize("place", [(0, None), (1, None), (1, 2)], ids=["station", "evse", "connector"])
@pytest.mark.parametrize("operative", [True, False])
def test_what_is_so_already_is_accepted(place: tuple[int, int | None], operative: bool) -> None:
    site = build()
    change(site, operative, *place)
    before = states(site)
    assert change(site, operative, *place) is ACCEPTED
    assert states(site) == before


@pytest.mark.req("G03.FR.05", "G04.FR.06")
@pytest.mark.parametrize("place", [(0, None), (2, None), (2, 1)], ids=["station", "evse", "connector"])
def test_a_transaction_goes_on_to_its_end(place: tuple[int, int | None]) -> None:
    site = build()
    site.start(3, "ALICE")
    assert change(site, False, *place) is SCHEDULED
    others = "Unavailable" if place[0] == 0 else "Available"
    assert states(site) == [others, others, "Occupied"]
    wanted = desired(site.station, 3)
    assert (wanted.operative, wanted.permit_charging) == (True, True)
    site.show("ALICE", 3)
    assert states(site)[2] == "Unavailable"
    site.unplug(3)
    assert states(site)[2] == "Unavailable"


@pytest.mark.req("G03.FR.08", "G04.FR.09", "G01.FR.02", "B01.FR.07", "TC_G_18_CS", "TC_G_19_CS", "TC_G_21_CS")
@pytest.mark.parametrize("place", [(0, None), (1, None), (1, 1)], ids=["station", "evse", "connector"])
@pytest.mark.parametrize("scheduled", [False, True])
def test_it_survives_a_restart(place: tuple[int, int | None], scheduled: bool) -> None:
    site = build()
    if scheduled:
        site.start(1, "ALICE")
    change(site, False, *place)
    site.restart(continued=True)
    site.look(1, ChargerState.CHARGING if scheduled else ChargerState.AVAILABLE)
    if scheduled:
        assert states(site)[0] == "Occupied"
        site.show("ALICE", 1)
    assert states(site)[0] == "Unavailable"


@pytest.mark.req("G03.FR.01")
@pytest.mark.parametrize(
    ("place", "reason"),
    [((3, None), Reason.UNKNOWN_EVSE), ((3, 1), Reason.UNKNOWN_EVSE), ((1, 3), Reason.UNKNOWN_CONNECTOR_ID)],
)
def test_an_unknown_place_is_rejected(place: tuple[int, int | None], reason: Reason) -> None:
    site = build()
    assert change(site, False, *place) is REJECTED
    assert site.reply().reason == reason
    assert states(site) == ["Available"] * 3


def test_the_last_word_counts_over_a_scheduled_one() -> None:
    site = build()
    site.start(3, "ALICE")
    assert change(site, False, 2) is SCHEDULED
    assert change(site, True, 2) is ACCEPTED
    site.show("ALICE", 3)
    site.unplug(3)
    assert states(site) == ["Available"] * 3


def test_nobody_is_let_in_where_it_closes_and_who_was_is_let_go() -> None:
    site = build()
    site.show("ALICE", 3)
    site.accept()
    assert change(site, False, 2) is ACCEPTED
    assert site.connector(3).authorization is None
    site.show("BOB", 3)
    assert site.reply().status.value == "NoConnector"


# --- chargers that report it


def test_chargers_that_report_it_are_waited_for() -> None:
    site = build(sensing=True)
    assert change(site, False, 1) is None
    assert [desired(site.station, n).operative for n in (1, 2, 3)] == [False, False, True]
    site.look(1, ChargerState.UNAVAILABLE, operative=False)
    assert site.of(Reply) == []
    site.look(2, ChargerState.UNAVAILABLE, operative=False)
    assert [e.status for e in site.of(Reply)] == [ACCEPTED]
    assert states(site) == ["Unavailable", "Unavailable", "Available"]
    assert change(site, True, 1) is None
    for number in (1, 2):
        site.look(number, ChargerState.AVAILABLE, operative=True)
    assert states(site) == ["Available"] * 3


def test_where_one_does_not_confirm_nothing_has_changed() -> None:
    site = build(sensing=True)
    change(site, False, 1)
    site.look(1, ChargerState.UNAVAILABLE, operative=False)
    site.wait(CONFIRM_S, looks=False)
    assert [e.status for e in site.of(Reply)] == [REJECTED]
    assert [desired(site.station, n).operative for n in (1, 2)] == [True, True]
    assert site.connector(1).changing is None


def test_a_charger_that_is_silent_follows_when_it_is_back() -> None:
    site = build(sensing=True)
    site.lose(3)
    assert change(site, False, 2) is SCHEDULED
    assert desired(site.station, 3).operative is False


def test_a_charger_has_nothing_to_do_while_another_flag_is_against_it() -> None:
    site = build(sensing=True)
    change(site, False)
    for number in (1, 2, 3):
        site.look(number, ChargerState.UNAVAILABLE, operative=False)
    assert change(site, False, 1, 1) is ACCEPTED
    assert change(site, True) is None
    for number in (2, 3):
        site.look(number, ChargerState.AVAILABLE, operative=True)
    assert [e.status for e in site.of(Reply)] == [ACCEPTED]
    assert states(site) == ["Unavailable", "Available", "Available"]


# --- whoever knows no EVSEs


def test_by_its_number_a_connector_comes_into_service_whatever_its_evse_was() -> None:
    site = build()
    change(site, False, 1)
    site.available(1, True)
    assert states(site) == ["Available", "Available", "Available"]


def test_by_the_number_0_everything_comes_into_service() -> None:
    site = build()
    change(site, False, 1)
    change(site, False, 2, 1)
    site.available(0, True)
    assert states(site) == ["Available"] * 3


# --- the words of G01


@pytest.mark.req("G01.FR.01", "G01.FR.03", "G01.FR.04", "G01.FR.08")
def test_a_plug_occupies_its_connector_and_no_other() -> None:
    site = build()
    site.plug(1)
    assert states(site) == ["Occupied", "Available", "Available"]
    site.unplug(1)
    assert states(site) == ["Available"] * 3


@pytest.mark.req("G01.FR.03")
def test_a_finished_session_is_occupied_as_long_as_the_cable_is_in() -> None:
    site = build()
    site.start(3, "ALICE")
    site.show("ALICE", 3)
    assert states(site)[2] == "Occupied"
    site.unplug(3)
    assert states(site)[2] == "Available"


@pytest.mark.req("G01.FR.01")
@pytest.mark.parametrize("start_point", ["PowerPathClosed", "Authorized"])
def test_a_driver_who_has_not_plugged_in_occupies_nothing(start_point: str) -> None:
    site = build(configuration={"TxStartPoint": start_point})
    site.show("ALICE", 3)
    site.accept()
    assert states(site)[2] == "Available"


@pytest.mark.req("G01.FR.05")
def test_unplugged_after_it_was_taken_out_of_service_it_is_unavailable() -> None:
    site = build()
    site.plug(3)
    change(site, False, 2)
    site.unplug(3)
    assert states(site)[2] == "Unavailable"


@pytest.mark.req("G01.FR.09")
def test_a_plug_without_its_driver_leaves_a_reserved_connector_reserved() -> None:
    site = build()
    site.reserve(7, "ALICE", 3)
    site.plug(3)
    assert states(site)[2] == "Reserved"


@pytest.mark.req("G05.FR.01")
def test_a_lock_that_fails_keeps_energy_away() -> None:
    site = build()
    site.plug(3)
    site.look(3, ChargerState.CONNECTED, faults=(Fault(FaultCode.CONNECTOR_LOCK),))
    site.show("ALICE", 3)
    assert site.station.running(3) is None
    assert not desired(site.station, 3).permit_charging
    assert states(site)[2] == "Faulted"
