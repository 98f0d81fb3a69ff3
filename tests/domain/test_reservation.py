"""Reservations: made, replaced, used, expired, lost. 1.6 §5.13, H01 to H04."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from edged.domain.answers import ReserveStatus, TokenVerdict, Verdict
from edged.domain.commands import ReserveNow, ResetKind, ResetStation, Target
from edged.domain.effects import AskAuthorization, Enqueue, RecordKind, Reply, ReservationEnd, ReservationRecord
from edged.domain.events import Tick
from edged.domain.hardware import Capability, ChargerState, Fault, FaultCode
from edged.domain.policy import ReservationUse
from edged.domain.types import IdToken, Now
from tests.fakes.site import FULL, POLICY, START, Site, layout

AT_TOKEN = replace(POLICY, reservation_used=ReservationUse.TOKEN_AUTHORIZED, reservation_records=True)


def answer(site: Site) -> ReserveStatus:
    status = site.reply().status
    assert isinstance(status, ReserveStatus)
    return status


def reserve_target(site: Site, target: Target, token: str = "ALICE", reservation_id: int | None = 9) -> ReserveStatus:
    site.do(
        ReserveNow(
            request=site.ref("ReserveNow"),
            reservation_id=reservation_id,
            target=target,
            id_token=IdToken(token),
            group=None,
            expires_at=site.now.utc + timedelta(minutes=10),
        )
    )
    return answer(site)


# --- made


@pytest.mark.req("16-RES-06", "TC_046_1_CS", "H01.FR.03")
def test_a_free_connector_is_reserved_and_shown_so() -> None:
    site = Site.build(2)
    site.reserve(4, "ALICE", 1)
    assert answer(site) is ReserveStatus.ACCEPTED
    assert (site.status(1), site.status(2)) == ("Reserved", "Available")
    assert site.told() == ["reservation.made"]


@pytest.mark.req("16-RES-02", "TC_048_1_CS")
def test_a_faulted_connector_answers_faulted() -> None:
    site = Site.build(2)
    site.look(1, ChargerState.FAULTED)
    site.reserve(4, "ALICE", 1)
    assert answer(site) is ReserveStatus.FAULTED


@pytest.mark.req("16-RES-02", "TC_048_2_CS", "H01.FR.11")
@pytest.mark.parametrize("how", ["plugged", "token", "charging", "finishing", "reserved"])
def test_a_connector_that_is_in_use_answers_occupied(how: str) -> None:
    site = Site.build(2)
    if how == "plugged":
        site.plug(1)
    elif how == "token":
        site.show("BOB", 1)
        site.accept()
    elif how == "reserved":
        site.reserve(1, "ALICE", 1)
    else:
        site.start(1, "BOB")
        if how == "finishing":
            site.show("BOB", 1)
    site.reserve(4, "ALICE", 1)
    assert answer(site) is ReserveStatus.OCCUPIED


@pytest.mark.req("16-RES-02", "TC_048_3_CS", "H01.FR.14")
@pytest.mark.parametrize("connector", [0, 1])
def test_a_connector_out_of_service_answers_unavailable(connector: int) -> None:
    site = Site.build(2)
    site.available(connector, False)
    site.reserve(4, "ALICE", 1)
    assert answer(site) is ReserveStatus.UNAVAILABLE


@pytest.mark.req("16-RES-02")
def test_a_connector_that_nobody_has_seen_since_the_start_answers_unavailable() -> None:
    site = Site.build(1, seen=False)
    site.reserve(4, "ALICE", 1)
    assert answer(site) is ReserveStatus.UNAVAILABLE
    site.reserve(4, "ALICE")
    assert answer(site) is ReserveStatus.UNAVAILABLE


@pytest.mark.req("16-RES-02", "TC_048_4_CS", "H01.FR.01")
def test_a_switched_off_feature_answers_rejected() -> None:
    site = Site.build(1, configuration={"ReservationEnabled": "false"})
    site.reserve(4, "ALICE", 1)
    assert answer(site) is ReserveStatus.REJECTED


@pytest.mark.req("16-RES-02", "TC_050_4_CS")
def test_connector_zero_needs_its_key() -> None:
    site = Site.build(1, configuration={"ReserveConnectorZeroSupported": "false"})
    site.reserve(4, "ALICE")
    assert answer(site) is ReserveStatus.REJECTED


@pytest.mark.req("16-RES-02")
def test_an_unknown_connector_answers_rejected() -> None:
    site = Site.build(2)
    site.reserve(4, "ALICE", 3)
    assert answer(site) is ReserveStatus.REJECTED
    assert reserve_target(site, Target(evse=7)) is ReserveStatus.REJECTED


@pytest.mark.req("16-RES-02")
@pytest.mark.parametrize("synchronized", [True, False])
@pytest.mark.parametrize("minutes", [0, -5])
def test_an_end_that_is_not_in_the_future_answers_rejected(minutes: int, synchronized: bool) -> None:
    site = Site.build(1, synchronized=synchronized)
    site.reserve(4, "ALICE", 1, minutes=minutes)
    assert answer(site) is ReserveStatus.REJECTED


@pytest.mark.parametrize("target", [Target(connector=1), Target()])
def test_a_charger_that_cannot_withhold_energy_is_not_reserved(target: Target) -> None:
    site = Site.build(layouts=(layout(1, capabilities=FULL - {Capability.WITHHOLD}),))
    assert reserve_target(site, target) is ReserveStatus.REJECTED


def test_a_station_about_to_restart_takes_no_reservation() -> None:
    site = Site.build(1)
    site.charge(1)
    site.do(ResetStation(site.ref(), ResetKind.SOFT))
    site.reserve(4, "ALICE", 1)
    assert answer(site) is ReserveStatus.REJECTED


@pytest.mark.req("H01.FR.06")
def test_an_evse_that_lacks_the_connector_type_answers_rejected() -> None:
    site = Site.build(2)
    assert reserve_target(site, Target(evse=1, connector_type="cCCS2")) is ReserveStatus.REJECTED
    assert reserve_target(site, Target(connector_type="cCCS2")) is ReserveStatus.REJECTED
    assert reserve_target(site, Target(evse=1, connector_type="CTYPE2")) is ReserveStatus.ACCEPTED


def test_a_local_reservation_gets_a_number_that_is_free() -> None:
    site = Site.build(2)
    assert reserve_target(site, Target(connector=1), reservation_id=None) is ReserveStatus.ACCEPTED
    assert reserve_target(site, Target(connector=2), reservation_id=None) is ReserveStatus.ACCEPTED
    assert len(site.station.reservations) == 2
    assert site.reply().data in site.station.reservations


def test_a_broken_sibling_does_not_keep_a_good_connector_from_being_reserved() -> None:
    site = Site.build(layouts=(layout(1, evse_id=1), layout(2, evse_id=1, connector_id=2)))
    site.look(2, ChargerState.FAULTED)
    assert reserve_target(site, Target(connector=1)) is ReserveStatus.ACCEPTED
    assert site.status(1) == "Reserved"


# --- connector 0: counted


@pytest.mark.req("16-RES-04", "TC_050_2_CS", "H01.FR.18")
def test_no_more_is_promised_than_there_are_free_connectors() -> None:
    site = Site.build(2)
    for reservation_id in (1, 2):
        site.reserve(reservation_id, f"DRIVER{reservation_id}")
        assert answer(site) is ReserveStatus.ACCEPTED
    site.reserve(3, "DRIVER3")
    assert answer(site) is ReserveStatus.OCCUPIED
    assert [site.status(n) for n in (1, 2)] == ["Reserved", "Reserved"]


@pytest.mark.req("16-RES-05", "TC_050_1_CS", "TC_050_3_CS", "H01.FR.12")
def test_connector_zero_answers_what_is_true_of_all_connectors() -> None:
    site = Site.build(2)
    for number in (1, 2):
        site.look(number, ChargerState.FAULTED)
    site.reserve(1, "ALICE")
    assert answer(site) is ReserveStatus.FAULTED
    site = Site.build(2)
    site.available(0, False)
    site.reserve(1, "ALICE")
    assert answer(site) is ReserveStatus.UNAVAILABLE


@pytest.mark.req("16-RES-04", "H01.FR.07")
def test_a_counted_promise_also_stands_against_a_pinned_reservation() -> None:
    site = Site.build(2)
    site.reserve(1, "ALICE")
    site.reserve(2, "BOB", 2)
    assert answer(site) is ReserveStatus.ACCEPTED
    site.reserve(3, "CARLA", 1)
    assert answer(site) is ReserveStatus.OCCUPIED


@pytest.mark.req("16-RES-04", "16-RES-07")
@pytest.mark.parametrize("first", ["token", "plug"])
def test_a_walk_up_does_not_get_the_last_promised_connector(first: str) -> None:
    site = Site.build(1)
    site.reserve(1, "ALICE")
    if first == "plug":
        site.plug(1)
    site.show("BOB", 1)
    assert site.reply().status is TokenVerdict.RESERVED
    site.plug(1)
    assert site.station.running(1) is None


@pytest.mark.req("16-RES-10", "TC_049_CS", "H03.FR.03")
def test_a_counted_reservation_is_used_on_whatever_connector_its_driver_takes() -> None:
    site = Site.build(2)
    site.reserve(6, "ALICE")
    site.start(2, "ALICE")
    assert site.records()[-1].reservation_id == 6
    assert not site.station.reservations
    assert site.status(1) == "Available"


@pytest.mark.req("16-RES-10")
def test_a_driver_with_both_kinds_uses_the_pinned_one_on_its_connector() -> None:
    site = Site.build(2)
    site.reserve(1, "ALICE")
    site.reserve(2, "ALICE", 2)
    site.start(2, "ALICE")
    assert set(site.station.reservations) == {1}
    assert site.records()[-1].reservation_id == 2


def test_while_its_driver_is_let_in_a_counted_reservation_asks_for_no_second_place() -> None:
    site = Site.build(2)
    site.reserve(1, "ALICE")
    site.show("ALICE", 1)
    site.accept()
    assert site.status(2) == "Available"
    site.start(2, "BOB")
    assert site.station.running(2) is not None


def test_a_counted_reservation_lets_its_token_in_once() -> None:
    site = Site.build(3)
    site.reserve(1, "ALICE")
    for number in (1, 2):
        site.show("ALICE", number)
        site.accept()
    site.plug(1)
    site.plug(2)
    assert [r.reservation_id for r in site.records(RecordKind.STARTED)] == [1, None]


@pytest.mark.req("16-RES-14")
def test_a_reservation_by_type_holds_only_connectors_of_that_type() -> None:
    site = Site.build(layouts=(layout(1, connector_type="cCCS2"), layout(2), layout(3)))
    assert reserve_target(site, Target(connector_type="cCCS2")) is ReserveStatus.ACCEPTED
    site.show("BOB", 1)
    assert site.reply().status is TokenVerdict.RESERVED
    site.start(2, "BOB")
    assert site.station.running(2) is not None


# --- who may use it


@pytest.mark.req("16-RES-07", "16-GEN-04", "H03.FR.01")
def test_the_reserved_token_is_let_in_whatever_its_case() -> None:
    site = Site.build(1)
    site.reserve(5, "Alice", 1)
    site.show("aLICE", 1)
    site.accept()
    assert site.status(1) == "Preparing"


@pytest.mark.req("16-RES-07", "TC_053_1_CS", "H03.FR.04", "H03.FR.08")
def test_a_token_of_the_group_is_let_in_after_the_csms_told_the_group() -> None:
    site = Site.build(1, configuration={"LocalPreAuthorize": "true"})
    site.reserve(5, "ALICE", 1, group="FLEET")
    site.show("BOB", 1)
    assert site.of(AskAuthorization)
    site.accept("fleet")
    site.plug(1)
    assert site.records()[-1].reservation_id == 5


@pytest.mark.req("16-RES-07", "16-GEN-07")
def test_a_token_of_another_group_is_refused_with_the_answer() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1, group="FLEET")
    site.show("BOB", 1)
    site.accept("POOL")
    assert site.reply().status is TokenVerdict.RESERVED
    site.show("FLEET", 1)
    site.accept()
    assert site.reply().status is TokenVerdict.RESERVED


@pytest.mark.req("16-RES-07")
def test_without_a_group_a_strange_token_is_refused_without_asking() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1)
    site.show("BOB", 1)
    assert site.reply().status is TokenVerdict.RESERVED
    assert not site.of(AskAuthorization)
    assert site.status(1) == "Reserved"


@pytest.mark.req("16-RES-08")
def test_offline_the_group_counts_only_as_far_as_it_is_known() -> None:
    site = Site.build(2, configuration={"AllowOfflineTxForUnknownId": "true"})
    site.start(2, "BOB", group="FLEET")
    site.show("BOB", 2)
    site.unplug(2)
    site.reserve(5, "ALICE", 1, group="FLEET")
    site.offline()
    site.show("EVE", 1)
    assert site.reply().status is TokenVerdict.RESERVED
    site.show("BOB", 1)
    assert site.reply().status is TokenVerdict.AUTHORIZED


@pytest.mark.req("16-RES-08")
def test_offline_the_reserved_token_itself_still_needs_the_offline_rules() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1)
    site.offline()
    site.show("ALICE", 1)
    assert site.reply().status is TokenVerdict.OFFLINE


@pytest.mark.req("16-RES-07")
def test_a_token_that_was_asked_about_before_the_reservation_is_judged_again() -> None:
    site = Site.build(1)
    site.show("BOB", 1)
    site.reserve(5, "ALICE", 1)
    assert answer(site) is ReserveStatus.ACCEPTED
    site.accept()
    assert site.reply().status is TokenVerdict.RESERVED
    assert site.status(1) == "Reserved"


@pytest.mark.req("16-RES-07")
def test_a_reserved_evse_is_closed_on_all_its_connectors() -> None:
    site = Site.build(layouts=(layout(1, evse_id=1), layout(2, evse_id=1, connector_id=2)))
    site.reserve(5, "ALICE", 1)
    site.show("BOB", 2)
    assert site.reply().status is TokenVerdict.RESERVED


# --- when it is used


@pytest.mark.req("16-RES-09", "TC_046_1_CS")
def test_in_16_the_start_of_the_transaction_uses_it() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1)
    site.show("ALICE", 1)
    site.accept()
    assert set(site.station.reservations) == {5}
    site.plug(1)
    assert not site.station.reservations
    assert "reservation.used" in site.told()
    assert site.records()[-1].reservation_id == 5


@pytest.mark.req("16-RES-09", "16-TX-12")
def test_a_driver_who_never_plugs_in_leaves_the_connector_reserved() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1)
    site.show("ALICE", 1)
    site.accept()
    site.wait(61)
    assert site.status(1) == "Reserved"
    site.start(1, "ALICE")
    assert site.records()[-1].reservation_id == 5


@pytest.mark.req("H03.FR.09", "E01.FR.13")
def test_where_the_version_says_so_the_token_uses_it_and_the_transaction_still_names_it() -> None:
    site = Site.build(1, policy=AT_TOKEN)
    site.reserve(5, "ALICE", 1)
    site.show("ALICE", 1)
    site.accept()
    assert not site.station.reservations
    site.plug(1)
    assert site.records()[-1].reservation_id == 5


# --- replaced


@pytest.mark.req("16-RES-03", "H01.FR.02")
def test_the_same_id_replaces_also_on_the_same_connector() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1)
    site.reserve(5, "BOB", 1, minutes=30)
    assert answer(site) is ReserveStatus.ACCEPTED
    assert site.station.reservations[5].id_token == IdToken("BOB")
    assert site.told() == ["reservation.cancelled", "reservation.made"]


@pytest.mark.req("16-RES-03", "H01.FR.02")
def test_moving_to_another_connector_frees_the_old_one() -> None:
    site = Site.build(2)
    site.reserve(5, "ALICE", 1)
    site.reserve(5, "ALICE", 2)
    assert [site.status(n) for n in (1, 2)] == ["Available", "Reserved"]


@pytest.mark.req("16-RES-03")
def test_a_rejected_replacement_keeps_the_old_one() -> None:
    site = Site.build(2)
    site.start(2, "BOB")
    site.reserve(5, "ALICE", 1)
    before = site.station.reservations[5]
    site.reserve(5, "CARLA", 2)
    assert answer(site) is ReserveStatus.OCCUPIED
    assert site.station.reservations == {5: before}
    assert site.status(1) == "Reserved"


@pytest.mark.req("16-RES-03")
def test_a_counted_reservation_is_replaced_where_there_is_no_second_place() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE")
    site.reserve(5, "BOB")
    assert answer(site) is ReserveStatus.ACCEPTED
    site.reserve(5, "BOB", 1)
    assert answer(site) is ReserveStatus.ACCEPTED


@pytest.mark.parametrize("how", ["cancel", "replace"])
def test_a_driver_who_was_let_in_for_it_does_not_use_what_is_gone(how: str) -> None:
    site = Site.build(2)
    site.reserve(5, "ALICE", 1)
    site.show("ALICE", 1)
    site.accept()
    if how == "cancel":
        assert site.cancel(5) is Verdict.ACCEPTED
    else:
        site.reserve(5, "BOB", 2)
        assert answer(site) is ReserveStatus.ACCEPTED
    site.plug(1)
    assert site.records()[-1].reservation_id is None
    assert set(site.station.reservations) == (set() if how == "cancel" else {5})


# --- cancelled


@pytest.mark.req("16-RES-11", "TC_051_CS", "H02.FR.02")
def test_cancelling_frees_the_connector() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1)
    assert site.cancel(5) is Verdict.ACCEPTED
    assert site.status(1) == "Available"


@pytest.mark.req("TC_052_CS", "H02.FR.01")
def test_cancelling_what_is_unknown_used_or_expired_is_rejected() -> None:
    site = Site.build(2)
    assert site.cancel(5) is Verdict.REJECTED
    site.reserve(5, "ALICE", 1)
    site.start(1, "ALICE")
    assert site.cancel(5) is Verdict.REJECTED
    site.reserve(6, "ALICE", 2, minutes=1)
    site.advance(60)
    assert site.cancel(6) is Verdict.REJECTED


@pytest.mark.req("H02.FR.02")
def test_what_the_csms_cancels_is_not_reported_back_to_it() -> None:
    site = Site.build(1, policy=AT_TOKEN)
    site.reserve(5, "ALICE", 1)
    site.cancel(5)
    assert not site.of(Enqueue)


# --- expired


@pytest.mark.req("16-RES-11", "16-RES-12", "TC_047_CS", "H04.FR.01")
def test_it_ends_at_its_very_second() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1, minutes=10)
    site.advance(599.999)
    site.do(Tick())
    assert site.status(1) == "Reserved"
    site.advance(0.001)
    site.do(Tick())
    assert site.status(1) == "Available"
    assert site.told() == ["reservation.expired"]


@pytest.mark.req("H04.FR.01")
def test_the_end_is_reported_where_the_version_has_words_for_it() -> None:
    site = Site.build(1, policy=AT_TOKEN)
    site.reserve(5, "ALICE", 1, minutes=1)
    site.wait(60)
    assert list(site.outbox.values()) == [ReservationRecord(5, ReservationEnd.EXPIRED)]


@pytest.mark.req("16-RES-13")
def test_it_expires_offline_as_well() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1, minutes=1)
    site.offline()
    site.wait(60)
    assert site.status(1) == "Available"


def test_a_token_at_the_very_second_of_the_end_is_a_walk_up() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1, minutes=1)
    site.advance(60)
    site.show("BOB", 1)
    site.accept()
    assert site.reply().status is TokenVerdict.AUTHORIZED


def test_with_an_untrusted_clock_it_ends_when_its_remaining_time_has_run() -> None:
    site = Site.build(1, synchronized=False)
    site.reserve(5, "ALICE", 1, minutes=10)
    site.now = replace(site.now, utc=site.now.utc + timedelta(days=3))
    site.do(Tick())
    assert site.status(1) == "Reserved", "no date counts while the clock is not trusted"
    site.now = Now(START, site.now.monotonic_s + 600, False)
    site.do(Tick())
    assert site.status(1) == "Available"


def test_when_the_clock_becomes_trusted_it_is_judged_by_date() -> None:
    site = Site.build(1, synchronized=False)
    site.reserve(5, "ALICE", 1, minutes=10)
    site.advance(1)
    site.trust(START + timedelta(minutes=5))
    assert site.status(1) == "Reserved"
    site.wait(300)
    assert site.status(1) == "Available"


def test_a_clock_that_becomes_trusted_past_the_end_ends_it_at_once() -> None:
    site = Site.build(1, synchronized=False)
    site.reserve(5, "ALICE", 1, minutes=10)
    site.trust(START + timedelta(days=1))
    assert site.told()[0] == "gateway.clock_stepped"
    assert "reservation.expired" in site.told()


def test_a_trusted_step_forward_past_the_end_ends_it_and_a_step_back_brings_nothing_back() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1, minutes=10)
    site.now = replace(site.now, utc=START + timedelta(minutes=10))
    site.do(Tick())
    assert site.status(1) == "Available"
    site.now = replace(site.now, utc=START)
    site.do(Tick())
    assert site.status(1) == "Available"


def test_after_a_trusted_step_back_it_lasts_longer_also_when_the_trust_is_lost_again() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1, minutes=10)
    site.now = replace(site.now, utc=START - timedelta(minutes=30))
    site.do(Tick())
    site.advance(1200)
    site.now = replace(site.now, synchronized=False)
    site.do(Tick())
    assert site.status(1) == "Reserved", "half an hour more was due, by the clock that was right"
    site.advance(1200)
    site.do(Tick())
    assert site.status(1) == "Available"


@pytest.mark.req("16-RES-16")
def test_what_lapsed_while_the_power_was_off_ends_as_expired() -> None:
    site = Site.build(1, policy=AT_TOKEN)
    site.reserve(5, "ALICE", 1, minutes=10)
    site.restart(off_s=601)
    assert "reservation.expired" in site.told()
    assert ReservationRecord(5, ReservationEnd.EXPIRED) in site.outbox.values()


@pytest.mark.req("16-RES-16", "16-BOOT-10", "B01.FR.13")
def test_what_has_not_lapsed_is_reserved_again_after_the_boot() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1, minutes=10)
    site.restart(off_s=30)
    site.look(1, ChargerState.AVAILABLE)
    assert site.status(1) == "Reserved"


@pytest.mark.req("16-RES-16")
def test_after_a_boot_without_the_time_it_is_held_for_what_was_left_and_judged_when_the_time_comes() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1, minutes=10)
    site.restart(off_s=4000, synchronized=False)
    site.look(1, ChargerState.AVAILABLE)
    assert site.status(1) == "Reserved", "nobody knows yet that it has lapsed"
    site.trust(START + timedelta(seconds=4000))
    assert "reservation.expired" in site.told()


@pytest.mark.req("16-RES-16")
def test_a_boot_without_the_time_does_not_hold_for_ever() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1, minutes=10)
    site.restart(off_s=4000, synchronized=False)
    site.wait(600)
    assert not site.station.reservations


# --- lost


@pytest.mark.req("16-RES-11", "H01.FR.16")
def test_a_fault_removes_it() -> None:
    site = Site.build(2, policy=AT_TOKEN)
    site.reserve(5, "ALICE", 1)
    site.look(1, ChargerState.FAULTED)
    assert site.status(1) == "Faulted"
    assert list(site.outbox.values()) == [ReservationRecord(5, ReservationEnd.REMOVED)]
    site.look(1, ChargerState.AVAILABLE)
    assert site.status(1) == "Available"


def test_a_warning_does_not_remove_it() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1)
    site.look(1, ChargerState.AVAILABLE, faults=(Fault(FaultCode.HIGH_TEMPERATURE, blocking=False),))
    assert site.status(1) == "Reserved"


@pytest.mark.req("16-RES-11", "H01.FR.17")
@pytest.mark.parametrize("connector", [0, 1])
def test_going_out_of_service_removes_it(connector: int) -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1)
    site.available(connector, False)
    assert "reservation.removed" in site.told()
    assert site.status(1) == "Unavailable"
    site.available(connector, True)
    assert site.status(1) == "Available"


def test_a_silent_charger_keeps_its_reservation_for_the_grace_time() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1, minutes=60)
    site.lose(1)
    site.wait(29)
    assert set(site.station.reservations) == {5}
    site.wait(2)
    assert not site.station.reservations


@pytest.mark.req("H01.FR.17", "16-RES-11")
def test_of_counted_ones_the_youngest_goes_first_when_a_place_is_lost() -> None:
    site = Site.build(3)
    for reservation_id in (3, 2, 1):
        site.reserve(reservation_id, f"DRIVER{reservation_id}")
        site.advance(1)
    site.look(2, ChargerState.FAULTED)
    assert set(site.station.reservations) == {3, 2}
    site.available(1, False)
    assert set(site.station.reservations) == {3}


def test_a_counted_one_whose_driver_never_plugs_in_goes_in_the_same_step_if_its_place_is_lost_meanwhile() -> None:
    site = Site.build(1, configuration={"ConnectionTimeOut": "5"})
    site.reserve(1, "ALICE")
    site.show("ALICE", 1)
    site.accept()
    site.look(1, ChargerState.FAULTED)
    assert set(site.station.reservations) == {1}
    site.wait(6)
    assert not site.station.reservations


def test_a_counted_one_is_kept_while_a_place_is_only_in_use() -> None:
    site = Site.build(2)
    site.start(1, "BOB")
    site.reserve(1, "ALICE")
    site.look(2, ChargerState.FAULTED)
    assert set(site.station.reservations) == {1}


def test_a_place_that_is_pinned_to_another_keeps_no_counted_promise() -> None:
    site = Site.build(2)
    site.reserve(1, "ALICE", 1)
    site.reserve(2, "BOB")
    site.look(2, ChargerState.FAULTED)
    assert set(site.station.reservations) == {1}


def test_the_store_of_reservations_is_bounded() -> None:
    site = Site.build(1)
    site.station = replace(
        site.station,
        reservations={n: replace(_one(site), id=n, target=Target(connector=1)) for n in range(1000, 1256)},
    )
    site.witness = _Blind()
    site.reserve(1, "ALICE", 1)
    assert answer(site) is ReserveStatus.REJECTED
    assert len(site.station.reservations) == 256


class _Blind:
    """Judges nothing: for a station that cannot come to be by itself."""

    def saw(self, *_: object) -> None: ...


def _one(site: Site):
    other = Site.build(1)
    other.reserve(1, "BOB", 1)
    return other.station.reservations[1]


@pytest.mark.req("16-RES-02")
def test_a_charger_that_still_offers_energy_is_not_reserved_until_it_withholds_it() -> None:
    site = Site.build(1)
    site.look(1, ChargerState.AVAILABLE, permit_charging=True)
    site.reserve(7, "ALICE", 1)
    assert site.last(Reply).status is ReserveStatus.OCCUPIED
    site.look(1, ChargerState.AVAILABLE, permit_charging=False)
    site.reserve(7, "ALICE", 1)
    assert site.last(Reply).status is ReserveStatus.ACCEPTED
