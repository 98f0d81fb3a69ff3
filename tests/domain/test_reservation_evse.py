"""Reservations as 2.x means them: of an EVSE, of any, of a type; used by the token. H01 to H04 requirement by
requirement."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from edged.dialects.v201 import POLICY
from edged.dialects.v201.reservations import encode_end
from edged.domain.answers import Reason, ReserveStatus, TokenVerdict, Verdict
from edged.domain.commands import CancelReservation, ChangeAvailability, RequestStart, ReserveNow, Target
from edged.domain.desired import desired
from edged.domain.effects import (
    AskAuthorization,
    Enqueue,
    RecordKind,
    ReservationEnd,
    ReservationRecord,
    TransactionRecord,
)
from edged.domain.events import BootAnswered, LinkUp, Registration, Tick, VersionAgreed
from edged.domain.hardware import ChargerState
from edged.domain.status import availability_state
from edged.domain.types import IdToken, Phase
from edged.ocpp.dialect import Inexpressible
from edged.ocpp.rpc import Request
from tests.fakes.site import POLICY as OTHER
from tests.fakes.site import Site, layout

ACCEPTED, OCCUPIED, REJECTED = ReserveStatus.ACCEPTED, ReserveStatus.OCCUPIED, ReserveStatus.REJECTED
FAULTED, UNAVAILABLE = ReserveStatus.FAULTED, ReserveStatus.UNAVAILABLE
TYPE2, CCS = "cType2", "cCCS2"


def build(connectors: int = 2, **shape: object) -> Site:
    return Site.build(connectors, policy=POLICY, **shape)


def mixed(*types: str) -> Site:
    """A station with an EVSE for each connector type."""
    return build(layouts=tuple(layout(n, connector_type=kind) for n, kind in enumerate(types, 1)))


def reserve(
    site: Site,
    token: str = "ALICE",
    *,
    id: int = 7,
    evse: int | None = None,
    connector_type: str | None = None,
    group: str | None = None,
    lasts_s: float = 600.0,
) -> ReserveStatus:
    site.do(
        ReserveNow(
            request=site.ref("ReserveNow"),
            reservation_id=id,
            target=Target(evse=evse, connector_type=connector_type),
            id_token=IdToken(token, "ISO14443"),
            group=IdToken(group, "Central") if group else None,
            expires_at=site.now.utc + timedelta(seconds=lasts_s),
        )
    )
    status = site.reply().status
    assert isinstance(status, ReserveStatus)
    return status


def states(site: Site) -> list[str]:
    """What is told of each connector."""
    return [availability_state(site.station, number) for number in site.station.connectors]


def ends(site: Site) -> list[tuple[int, ReservationEnd]]:
    """What the CSMS is told of reservations that ended."""
    records = [e.record for e in site.history if isinstance(e, Enqueue)]
    return [(r.reservation_id, r.outcome) for r in records if isinstance(r, ReservationRecord)]


def out_of_service(site: Site, evse: int) -> None:
    site.do(ChangeAvailability(site.ref("ChangeAvailability"), None, operative=False, evse=evse))


def request_start(site: Site, token: str, evse: int | None = None, *, group: str | None = None) -> Verdict:
    event = RequestStart(
        request=site.ref("RequestStartTransaction"),
        id_token=IdToken(token, "ISO14443"),
        evse=evse,
        group=IdToken(group, "Central") if group else None,
        remote_start_id=1,
    )
    site.do(event)
    (verdict,) = (e.status for e in site.effects if getattr(e, "request", None) == event.request)
    assert isinstance(verdict, Verdict)
    return verdict


# --- made: H01


@pytest.mark.req("H01.FR.01", "TC_H_22_CS")
def test_switched_off_it_takes_no_reservation() -> None:
    site = build(configuration={"ReservationEnabled": "false"})
    assert reserve(site, evse=1) is REJECTED
    assert site.reply().reason == Reason.NOT_ENABLED


@pytest.mark.req("H01.FR.02", "TC_H_23_CS")
def test_the_same_id_takes_the_place_of_the_old_one() -> None:
    site = build()
    assert reserve(site, "ALICE", evse=1) is ACCEPTED
    assert reserve(site, "BOB", evse=1) is ACCEPTED
    assert states(site) == ["Reserved", "Available"]
    site.show("ALICE", 1)
    assert site.reply().status is TokenVerdict.RESERVED
    assert reserve(site, "BOB", evse=2) is ACCEPTED
    assert states(site) == ["Available", "Reserved"]
    assert ends(site) == [], "what the CSMS replaces it knows of"


@pytest.mark.req("H01.FR.02")
def test_a_replacement_that_is_refused_leaves_the_old_one() -> None:
    site = build()
    reserve(site, "ALICE", evse=1)
    out_of_service(site, 2)
    assert reserve(site, "BOB", evse=2) is UNAVAILABLE
    assert site.station.reservations[7].id_token.value == "ALICE"


@pytest.mark.req("H01.FR.03", "H01.FR.23")
def test_every_connector_of_a_reserved_evse_is_shown_reserved() -> None:
    twins = (layout(1, evse_id=1, connector_id=1), layout(2, evse_id=1, connector_id=2), layout(3, evse_id=2))
    site = build(layouts=twins)
    assert reserve(site, evse=1) is ACCEPTED
    assert states(site) == ["Reserved", "Reserved", "Available"]


@pytest.mark.req("H01.FR.04", "H01.FR.18", "TC_H_08_CS")
def test_without_an_evse_one_that_is_available_is_enough() -> None:
    site = build()
    site.start(1, "BOB")
    assert reserve(site) is ACCEPTED
    assert reserve(site, "MUM", id=8) is OCCUPIED


@pytest.mark.req("H01.FR.19", "TC_H_13_CS")
@pytest.mark.parametrize("connector_type", [None, TYPE2])
def test_where_only_single_evses_can_be_reserved_others_are_rejected(connector_type: str | None) -> None:
    site = build(configuration={"ReserveConnectorZeroSupported": "false"})
    assert reserve(site, connector_type=connector_type) is REJECTED
    assert reserve(site, evse=1) is ACCEPTED


@pytest.mark.req("H01.FR.06", "TC_H_15_CS")
def test_a_type_is_reserved_where_there_is_one() -> None:
    site = mixed(TYPE2, CCS)
    assert reserve(site, connector_type=CCS) is ACCEPTED
    assert reserve(site, "BOB", id=8, connector_type=CCS) is OCCUPIED
    assert reserve(site, "BOB", id=9, connector_type="cG105") is REJECTED
    assert site.reply().reason == Reason.UNKNOWN_CONNECTOR_TYPE


@pytest.mark.req("H01.FR.06")
def test_an_evse_and_a_type_must_fit_each_other() -> None:
    site = mixed(TYPE2, CCS)
    assert reserve(site, evse=1, connector_type=CCS) is REJECTED
    assert site.reply().reason == Reason.UNKNOWN_CONNECTOR_TYPE
    assert reserve(site, evse=2, connector_type=CCS) is ACCEPTED


@pytest.mark.req("H01.FR.03")
@pytest.mark.parametrize("evse", [0, 3])
def test_an_unknown_evse_is_rejected(evse: int) -> None:
    site = build()
    assert reserve(site, evse=evse) is REJECTED
    assert site.reply().reason == Reason.UNKNOWN_EVSE


@pytest.mark.req("H01.FR.07")
def test_for_an_unspecified_one_a_place_is_kept_free() -> None:
    site = build()
    reserve(site)
    site.start(1, "BOB")
    site.show("MUM", 2)
    assert site.reply().status is TokenVerdict.RESERVED
    assert request_start(site, "MUM", 2) is Verdict.REJECTED
    assert request_start(site, "ALICE") is Verdict.ACCEPTED


@pytest.mark.req("H01.FR.09")
def test_for_one_of_a_type_a_place_of_that_type_is_kept_free() -> None:
    site = mixed(CCS, TYPE2, CCS)
    reserve(site, connector_type=CCS)
    site.start(1, "BOB")
    site.show("MUM", 3)
    assert site.reply().status is TokenVerdict.RESERVED
    site.start(2, "MUM")
    assert site.connector(2).phase is Phase.CHARGING


@pytest.mark.req("H01.FR.11", "TC_H_03_CS", "TC_H_09_CS", "TC_H_16_CS")
@pytest.mark.parametrize("second", [{"evse": 1}, {}, {"connector_type": TYPE2}], ids=str)
@pytest.mark.parametrize("first", [{"evse": 1}, {}, {"connector_type": TYPE2}], ids=str)
def test_what_is_reserved_already_is_occupied(first: dict[str, int], second: dict[str, int]) -> None:
    site = build(1)
    assert reserve(site, **first) is ACCEPTED  # type: ignore[arg-type]
    assert reserve(site, "BOB", id=8, **second) is OCCUPIED  # type: ignore[arg-type]


@pytest.mark.req("H01.FR.11", "H01.FR.13", "TC_H_04_CS", "TC_H_10_CS")
@pytest.mark.parametrize("target", [{"evse": 1}, {}, {"connector_type": TYPE2}], ids=str)
@pytest.mark.parametrize("charging", [False, True])
def test_what_is_in_use_is_occupied(target: dict[str, int], charging: bool) -> None:
    site = build(1)
    if charging:
        site.start(1, "BOB")
    else:
        site.plug(1)
    assert reserve(site, **target) is OCCUPIED  # type: ignore[arg-type]


@pytest.mark.req("H01.FR.12")
@pytest.mark.parametrize("target", [{"evse": 1}, {}, {"connector_type": TYPE2}], ids=str)
def test_what_is_faulted_all_over_is_faulted(target: dict[str, int]) -> None:
    site = build()
    for number in (1, 2):
        site.look(number, ChargerState.FAULTED)
    assert reserve(site, **target) is FAULTED  # type: ignore[arg-type]


@pytest.mark.req("H01.FR.14", "TC_H_06_CS", "TC_H_12_CS")
@pytest.mark.parametrize("target", [{"evse": 1}, {}, {"connector_type": TYPE2}], ids=str)
def test_what_is_out_of_service_all_over_is_unavailable(target: dict[str, int]) -> None:
    site = build()
    for evse in (1, 2):
        out_of_service(site, evse)
    assert reserve(site, **target) is UNAVAILABLE  # type: ignore[arg-type]


@pytest.mark.req("H01.FR.11", "H01.FR.12", "H01.FR.14")
def test_of_places_that_are_not_alike_what_comes_first_is_said() -> None:
    site = build(3)
    site.look(1, ChargerState.FAULTED)
    out_of_service(site, 2)
    site.plug(3)
    assert reserve(site) is OCCUPIED
    out_of_service(site, 3)
    assert reserve(site) is FAULTED


@pytest.mark.req("H01.FR.15", "E01.FR.13", "E02.FR.03", "E03.FR.03")
@pytest.mark.parametrize("cable_first", [False, True])
@pytest.mark.parametrize("start_point", ["PowerPathClosed", "Authorized", "EVConnected"])
def test_the_transaction_names_its_reservation(cable_first: bool, start_point: str) -> None:
    site = build(configuration={"TxStartPoint": start_point})
    reserve(site, evse=1)
    if cable_first:
        site.plug(1)
    site.show("ALICE", 1)
    site.accept()
    site.plug(1)
    site.charge(1)
    named = [r.reservation_id for r in site.records() if r.reservation_id is not None]
    assert named
    assert set(named) == {7}


@pytest.mark.req("H01.FR.16")
def test_a_fault_removes_it_and_the_csms_is_told() -> None:
    site = build()
    reserve(site, evse=1)
    site.look(1, ChargerState.FAULTED)
    assert states(site) == ["Faulted", "Available"]
    assert ends(site) == [(7, ReservationEnd.REMOVED)]
    site.look(1, ChargerState.AVAILABLE)
    assert states(site) == ["Available", "Available"], "it does not come back with the charger"


@pytest.mark.req("H01.FR.17", "TC_H_21_CS")
def test_going_out_of_service_removes_it_and_the_csms_is_told() -> None:
    site = build()
    reserve(site, evse=1)
    out_of_service(site, 1)
    assert states(site) == ["Unavailable", "Available"]
    assert ends(site) == [(7, ReservationEnd.REMOVED)]


@pytest.mark.req("H01.FR.16", "H01.FR.17")
def test_an_unspecified_one_is_removed_when_nothing_can_keep_it_any_more() -> None:
    site = build()
    reserve(site)
    out_of_service(site, 1)
    assert ends(site) == []
    assert states(site) == ["Unavailable", "Reserved"]
    site.look(2, ChargerState.FAULTED)
    assert ends(site) == [(7, ReservationEnd.REMOVED)]


@pytest.mark.req("H01.FR.20", "TC_H_14_CS")
def test_the_last_free_evses_are_shown_reserved_when_the_counts_meet_and_available_when_they_part() -> None:
    site = build(3)
    reserve(site, "ALICE", id=1)
    reserve(site, "BOB", id=2)
    assert states(site) == ["Available"] * 3
    reserve(site, "MUM", id=3)
    assert states(site) == ["Reserved"] * 3
    site.cancel(3)
    assert states(site) == ["Available"] * 3
    site.start(1, "DAD")
    assert states(site) == ["Occupied", "Reserved", "Reserved"]
    site.show("DAD", 1)
    site.unplug(1)
    assert states(site) == ["Available"] * 3


@pytest.mark.req("H01.FR.24", "TC_H_15_CS", "TC_H_16_CS")
def test_the_last_evses_of_a_type_are_shown_reserved_with_all_their_connectors() -> None:
    shapes = (
        layout(1, evse_id=1, connector_id=1, connector_type=CCS),
        layout(2, evse_id=1, connector_id=2, connector_type=TYPE2),
        layout(3, evse_id=2, connector_id=1, connector_type=TYPE2),
    )
    site = build(layouts=shapes)
    reserve(site, connector_type=CCS)
    assert states(site) == ["Reserved", "Reserved", "Available"]
    site.cancel(7)
    assert states(site) == ["Available"] * 3


@pytest.mark.req("H01.FR.07", "H01.FR.09", "H01.FR.20", "H01.FR.24")
def test_both_kinds_count_together() -> None:
    site = mixed(CCS, TYPE2)
    assert reserve(site, "ALICE", id=1) is ACCEPTED
    assert reserve(site, "BOB", id=2, connector_type=CCS) is OCCUPIED, "Alice may come first and take that very place"
    assert reserve(site, "BOB", id=2) is ACCEPTED
    assert states(site) == ["Reserved", "Reserved"]


# --- cancelled: H02


@pytest.mark.req("H02.FR.01", "TC_H_18_CS")
def test_what_is_not_reserved_cannot_be_cancelled() -> None:
    site = build()
    reserve(site, evse=1)
    assert site.cancel(8) is Verdict.REJECTED
    assert states(site) == ["Reserved", "Available"]


@pytest.mark.req("H02.FR.02", "H02.FR.03", "H02.FR.04", "TC_H_17_CS")
def test_a_cancelled_evse_is_available_and_charges_anybody() -> None:
    site = build()
    reserve(site, evse=1)
    assert site.cancel(7) is Verdict.ACCEPTED
    assert states(site) == ["Available", "Available"]
    assert ends(site) == [], "the CSMS knows what it cancels"
    site.start(1, "BOB")
    assert site.connector(1).phase is Phase.CHARGING


@pytest.mark.req("H02.FR.05", "H02.FR.06", "H02.FR.04")
def test_a_cancelled_unspecified_one_frees_every_evse_that_is_not_reserved_itself() -> None:
    site = build(2)
    reserve(site, "ALICE", id=1, evse=1)
    reserve(site, "BOB", id=2)
    assert states(site) == ["Reserved", "Reserved"]
    assert site.cancel(2) is Verdict.ACCEPTED
    assert states(site) == ["Reserved", "Available"]
    site.start(2, "MUM")
    assert site.connector(2).phase is Phase.CHARGING


# --- used: H03


@pytest.mark.req("H03.FR.01", "TC_H_01_CS")
@pytest.mark.parametrize("target", [{"evse": 1}, {"connector_type": CCS}, {}], ids=str)
@pytest.mark.req("H03.FR.02", "H03.FR.03")
def test_the_reserved_token_is_let_in(target: dict[str, int]) -> None:
    site = mixed(CCS, TYPE2)
    reserve(site, **target)  # type: ignore[arg-type]
    site.start(2, "BOB") if target != {"evse": 1} else None
    site.show("alice", 1)
    site.accept()
    site.plug(1)
    site.charge(1)
    assert site.connector(1).phase is Phase.CHARGING
    assert site.station.reservations == {}
    assert site.records(RecordKind.STARTED)[-1].reservation_id == 7


@pytest.mark.req("H03.FR.04", "H03.FR.05", "H03.FR.06", "H03.FR.08", "TC_H_19_CS", "TC_H_24_CS")
@pytest.mark.parametrize("target", [{"evse": 1}, {"connector_type": TYPE2}, {}], ids=str)
def test_a_token_of_the_group_is_let_in_after_the_csms_was_asked(target: dict[str, int]) -> None:
    site = build(1)
    reserve(site, "MUM", group="FAMILY", **target)  # type: ignore[arg-type]
    site.show("DAD", 1)
    assert site.of(AskAuthorization)
    site.accept("FAMILY")
    assert site.connector(1).authorization is not None
    assert site.station.reservations == {}


@pytest.mark.req("H03.FR.07")
def test_a_group_that_the_cache_knows_is_not_asked_for() -> None:
    site = build(1, configuration={"LocalPreAuthorize": "true"})
    site.start(1, "DAD", group="FAMILY")
    site.show("DAD", 1)
    site.unplug(1)
    reserve(site, "MUM", evse=1, group="FAMILY")
    site.show("DAD", 1)
    assert site.of(AskAuthorization) == []
    assert site.connector(1).authorization is not None


@pytest.mark.req("H03.FR.09", "H03.FR.10")
def test_without_a_cable_the_connector_is_available_once_the_token_was_shown() -> None:
    site = build(1)
    reserve(site, evse=1)
    site.show("ALICE", 1)
    site.accept()
    assert states(site) == ["Available"]
    assert site.cancel(7) is Verdict.REJECTED, "it is used up"
    site.plug(1)
    assert states(site) == ["Occupied"]


@pytest.mark.req("H03.FR.10", "G01.FR.06", "G01.FR.09")
def test_with_a_cable_in_it_the_connector_is_occupied_once_the_token_was_shown() -> None:
    site = build(1)
    reserve(site, evse=1)
    site.plug(1)
    assert states(site) == ["Reserved"]
    site.show("ALICE", 1)
    assert states(site) == ["Reserved"], "the CSMS has still to say yes"
    site.accept()
    assert states(site) == ["Occupied"]


@pytest.mark.req("H03.FR.09", "F02.FR.06")
def test_a_request_to_start_uses_it_too() -> None:
    site = build()
    reserve(site, evse=1)
    assert request_start(site, "ALICE", 1) is Verdict.ACCEPTED
    assert site.station.reservations == {}
    site.plug(1)
    assert site.records(RecordKind.STARTED)[-1].reservation_id == 7


@pytest.mark.req("F01.FR.21", "F01.FR.22", "F02.FR.23", "F02.FR.24", "TC_H_02_CS")
def test_a_request_to_start_for_another_token_is_rejected_but_not_for_the_group() -> None:
    site = build()
    reserve(site, "MUM", evse=1, group="FAMILY")
    reserve(site, "ALICE", id=8, evse=2)
    assert request_start(site, "BOB", 2) is Verdict.REJECTED
    assert request_start(site, "BOB", 2, group="FAMILY") is Verdict.REJECTED
    assert request_start(site, "DAD", 1, group="OTHERS") is Verdict.REJECTED
    assert set(site.station.reservations) == {7, 8}
    assert request_start(site, "DAD", 1, group="FAMILY") is Verdict.ACCEPTED
    assert set(site.station.reservations) == {8}


@pytest.mark.req("H03.FR.09")
def test_with_the_plug_as_start_a_transaction_begins_and_waits_for_the_holder() -> None:
    site = build(1, configuration={"TxStartPoint": "EVConnected"})
    reserve(site, evse=1)
    site.plug(1)
    assert site.station.running(1) is not None
    assert states(site) == ["Reserved"]
    assert not desired(site.station, 1).permit_charging
    site.show("BOB", 1)
    assert site.reply().status is TokenVerdict.RESERVED
    assert (states(site), site.station.running(1) is not None) == (["Reserved"], True)
    site.show("ALICE", 1)
    site.accept()
    assert states(site) == ["Occupied"]
    assert desired(site.station, 1).permit_charging
    told = [r for r in site.records() if r.reservation_id == 7]
    assert told, "the next event names the reservation"


@pytest.mark.req("H03.FR.09", "H01.FR.07")
def test_with_the_plug_as_start_the_last_free_place_stays_reserved_too() -> None:
    site = build(1, configuration={"TxStartPoint": "EVConnected"})
    reserve(site)
    site.plug(1)
    assert states(site) == ["Reserved"]
    site.show("BOB", 1)
    assert site.reply().status is TokenVerdict.RESERVED
    site.show("ALICE", 1)
    site.accept()
    assert states(site) == ["Occupied"]


@pytest.mark.req("H03.FR.01", "TC_H_02_CS")
def test_with_the_plug_as_start_a_wrong_driver_leaves_without_a_watt_hour() -> None:
    site = build(1, configuration={"TxStartPoint": "EVConnected"})
    reserve(site, evse=1)
    site.plug(1)
    site.show("BOB", 1)
    site.unplug(1)
    assert states(site) == ["Reserved"]
    ended = site.records(RecordKind.ENDED)[-1]
    assert (ended.meter_wh, ended.reservation_id) == (1000.0, None)


@pytest.mark.req("H03.FR.01")
@pytest.mark.parametrize("start_point", ["PowerPathClosed", "EVConnected"])
def test_a_wrong_token_never_charges_offline_either(start_point: str) -> None:
    configuration = {"TxStartPoint": start_point, "AllowOfflineTxForUnknownId": "true"}
    site = build(1, configuration=configuration)
    reserve(site, evse=1)
    site.offline()
    site.plug(1)
    site.show("BOB", 1)
    assert site.reply().status is TokenVerdict.RESERVED
    assert not desired(site.station, 1).permit_charging
    site.show("ALICE", 1)
    assert desired(site.station, 1).permit_charging


@pytest.mark.req("H03.FR.09")
def test_whose_driver_does_not_plug_in_is_gone() -> None:
    site = build(1, configuration={"ConnectionTimeOut": "30"})
    reserve(site, evse=1)
    site.show("ALICE", 1)
    site.accept()
    site.wait(31)
    assert site.connector(1).authorization is None
    assert states(site) == ["Available"]
    assert ends(site) == [], "2.0.1 has no word for it"


@pytest.mark.req("20-J-05", "H03.FR.09")
def test_it_is_used_up_once_whichever_rule_its_driver_was_let_in_by() -> None:
    site = Site.build(policy=OTHER)
    site.reserve(7, "ALICE", 1)
    site.show("ALICE", 1)
    site.accept()
    assert set(site.station.reservations) == {7}, "a rule by which it is used with the transaction"
    site.do(VersionAgreed(POLICY, site.station.configuration.computed))
    site.plug(1)
    assert site.records(RecordKind.STARTED)[-1].reservation_id == 7
    assert not site.station.reservations
    assert ends(site) == []


# --- ended: H04


@pytest.mark.req("H04.FR.01", "H04.FR.02", "H04.FR.03", "TC_H_07_CS")
def test_at_its_second_it_ends_and_the_csms_is_told() -> None:
    site = build()
    reserve(site, evse=1, lasts_s=60)
    site.wait(59)
    assert states(site) == ["Reserved", "Available"]
    site.wait(1)
    assert states(site) == ["Available", "Available"]
    assert ends(site) == [(7, ReservationEnd.EXPIRED)]


@pytest.mark.req("H04.FR.01", "H04.FR.03")
def test_an_unspecified_one_ends_unseen_where_nothing_was_shown_of_it() -> None:
    site = build()
    reserve(site, lasts_s=60)
    assert states(site) == ["Available", "Available"]
    site.wait(60)
    assert ends(site) == [(7, ReservationEnd.EXPIRED)]


@pytest.mark.req("H04.FR.01")
@pytest.mark.parametrize("power_lost", [False, True])
def test_what_ends_without_a_line_is_told_when_it_is_back(power_lost: bool) -> None:
    site = build()
    reserve(site, evse=1, lasts_s=60)
    site.offline()
    if power_lost:
        site.restart(off_s=90)
    else:
        site.wait(61)
    assert ends(site) == [(7, ReservationEnd.EXPIRED)], "Expired, not Removed, also where the power was off"
    waiting = [record for record in site.outbox.values() if isinstance(record, ReservationRecord)]
    assert len(waiting) == 1
    assert encode_end(waiting[0], site.station) == Request(
        "ReservationStatusUpdate", {"reservationId": 7, "reservationUpdateStatus": "Expired"}
    )


@pytest.mark.req("H04.FR.01")
@pytest.mark.parametrize("how", ["expires", "cancelled", "fault"])
def test_of_a_reservation_that_was_made_here_the_csms_is_told_nothing(how: str) -> None:
    site = build()
    site.do(_made_here(site, 7))
    if how == "expires":
        site.wait(61)
    elif how == "fault":
        site.look(1, ChargerState.FAULTED)
    else:
        site.do(CancelReservation(site.ref("cancel_reservation", "mqtt:bms"), 7))
    assert (set(site.station.reservations), ends(site)) == (set(), [])


def _made_here(site: Site, id: int) -> ReserveNow:
    return ReserveNow(
        request=site.ref("reserve_now", "mqtt:bms"),
        reservation_id=id,
        target=Target(connector=1),
        id_token=IdToken("MUM"),
        group=None,
        expires_at=site.now.utc + timedelta(seconds=60),
    )


@pytest.mark.req("H04.FR.01", "H02.FR.02")
@pytest.mark.parametrize("how", ["cancelled", "replaced"])
def test_what_is_taken_away_here_is_removed_for_the_csms(how: str) -> None:
    site = build()
    reserve(site, evse=1)
    if how == "cancelled":
        site.do(CancelReservation(site.ref("cancel_reservation", "mqtt:bms"), 7))
    else:
        site.do(_made_here(site, 7))
    assert ends(site) == [(7, ReservationEnd.REMOVED)]
    (record,) = (r for r in site.outbox.values() if isinstance(r, ReservationRecord))
    assert isinstance(encode_end(record, site.station), Request)


@pytest.mark.req("H02.FR.02")
def test_what_the_csms_takes_away_it_is_not_told_again() -> None:
    site = build()
    reserve(site, evse=1)
    reserve(site, "BOB", evse=1)
    site.cancel(7)
    assert ends(site) == []


@pytest.mark.req("H04.FR.01")
def test_the_end_of_a_reservation_whose_id_is_in_use_again_is_not_told() -> None:
    site = build()
    reserve(site, evse=1, lasts_s=60)
    site.offline()
    site.wait(61)
    site.do(LinkUp())
    site.do(BootAnswered(Registration.ACCEPTED, site.now.utc, 300))
    reserve(site, "BOB", evse=1)
    (record,) = (r for r in site.outbox.values() if isinstance(r, ReservationRecord))
    assert isinstance(encode_end(record, site.station), Inexpressible)


# --- switched off and on: 12.5


def switch(site: Site, on: bool) -> None:
    """Whoever may: in 2.x the CSMS."""
    configuration = site.station.configuration
    changed = {**configuration.changed, "ReservationEnabled": "true" if on else "false"}
    site.station = replace(site.station, configuration=replace(configuration, changed=changed))
    site.do(Tick())


@pytest.mark.req("H01.FR.01")
def test_while_switched_off_the_places_are_everybodys_and_the_entries_are_kept() -> None:
    site = build()
    reserve(site, "ALICE", id=7, evse=1)
    reserve(site, "MUM", id=8)
    switch(site, False)
    assert states(site) == ["Available", "Available"]
    assert set(site.station.reservations) == {7, 8}
    switch(site, True)
    assert states(site) == ["Reserved", "Reserved"]
    assert ends(site) == []


@pytest.mark.req("H01.FR.01")
def test_switched_on_again_what_lapsed_is_expired_and_where_somebody_charges_is_removed() -> None:
    site = build(3)
    reserve(site, "ALICE", id=7, evse=1)
    reserve(site, "MUM", id=8, evse=2, lasts_s=60)
    reserve(site, "DAD", id=9, evse=3)
    switch(site, False)
    site.start(1, "BOB")
    site.wait(61)
    switch(site, True)
    assert sorted(ends(site)) == [(7, ReservationEnd.REMOVED), (8, ReservationEnd.EXPIRED)]
    assert states(site) == ["Occupied", "Available", "Reserved"]
    assert site.station.running(1) is not None, "who charges goes on"


@pytest.mark.req("H01.FR.01")
def test_a_driver_who_does_not_charge_does_not_take_the_place_away() -> None:
    site = build(1, configuration={"TxStartPoint": "EVConnected"})
    reserve(site, evse=1)
    switch(site, False)
    site.plug(1)
    switch(site, True)
    assert states(site) == ["Reserved"]
    assert ends(site) == []


def test_a_cancelled_one_may_be_unknown_to_the_switch() -> None:
    site = build()
    reserve(site, evse=1)
    switch(site, False)
    site.do(CancelReservation(site.ref("CancelReservation"), 7))
    assert site.reply().status is Verdict.ACCEPTED
    assert not any(isinstance(r, TransactionRecord) for r in site.outbox.values())
