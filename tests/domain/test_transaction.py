"""Transactions: prerequisites, every way to end, the CSMS's answers, restarts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.domain.commands import ResetKind, ResetStation
from edged.domain.desired import desired
from edged.domain.effects import Announce, Dequeue, RecordKind, StopReason
from edged.domain.energy_register import POSSIBLE_W
from edged.domain.events import BootAnswered, LinkUp, RecordDelivered, RecordGivenUp, Registration, Tick
from edged.domain.hardware import Capability, ChargerState, LockState, Meter
from edged.domain.policy import StartPoint, Trigger
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, Phase
from tests.fakes.site import FULL, MEASURANDS, POLICY, Site, layout

AT_TOKEN = replace(POLICY, start_points=frozenset({StartPoint.AUTHORIZED}), update_triggers=frozenset(Trigger))
DRIVEN = FULL | {Capability.LOCK_CONTROL}
BLIND = DRIVEN - {Capability.LOCK_SENSE}


def ended(site: Site) -> StopReason | None:
    return site.records(RecordKind.ENDED)[-1].reason


# --- prerequisites


@pytest.mark.req("16-AUTH-01", "16-TX-01")
def test_a_plug_alone_starts_nothing_and_permits_nothing() -> None:
    site = Site.build(1)
    site.plug(1)
    site.wait(3)
    assert not site.records()
    assert not desired(site.station, 1).permit_charging


@pytest.mark.req("TC_024_CS")
def test_a_sensed_lock_must_be_closed_before_the_start() -> None:
    site = Site.build(layouts=(layout(1, capabilities=DRIVEN),))
    site.look(1, ChargerState.CONNECTED, lock=LockState.UNLOCKED)
    site.show("ALICE", 1)
    site.accept()
    assert not site.records()
    assert desired(site.station, 1).locked is True
    site.look(1, ChargerState.CONNECTED, lock=LockState.LOCKED)
    assert len(site.records()) == 1


@pytest.mark.req("TC_024_CS")
def test_a_jammed_lock_is_a_fault_and_no_transaction() -> None:
    site = Site.build(layouts=(layout(1, capabilities=DRIVEN),))
    site.plug(1)
    site.show("ALICE", 1)
    site.accept()
    site.look(1, ChargerState.CONNECTED, lock=LockState.JAMMED)
    assert site.status(1) == "Faulted"
    site.wait(70, looks=False)
    assert not site.records()
    assert site.connector(1).authorization is None


def test_a_lock_that_cannot_be_sensed_is_given_one_more_look() -> None:
    site = Site.build(layouts=(layout(1, capabilities=BLIND),))
    site.plug(1)
    site.show("ALICE", 1)
    site.accept()
    assert not site.records()
    site.advance(1.5)
    site.plug(1)
    assert len(site.records()) == 1


@pytest.mark.parametrize("trouble", ["fault", "silent", "going out of service", "unlocking"])
def test_a_driver_who_was_let_in_does_not_start_where_something_is_wrong(trouble: str) -> None:
    sense = FULL | {Capability.AVAILABILITY, Capability.AVAILABILITY_SENSE}
    site = Site.build(layouts=(layout(1, capabilities=sense),))
    site.show("ALICE", 1)
    site.accept()
    if trouble == "fault":
        site.look(1, ChargerState.FAULTED, plugged=True)
    elif trouble == "silent":
        site.lose(1)
        site.wait(2, looks=False)
    elif trouble == "unlocking":
        site.unlock(1)
        site.plug(1)
    else:
        site.available(1, False)
        site.plug(1)
    assert not site.records()


def test_one_transaction_an_evse() -> None:
    site = Site.build(layouts=(layout(1, evse_id=1), layout(2, evse_id=1, connector_id=2)))
    site.start(1, "ALICE")
    site.plug(2)
    assert site.remote_start("BOB", 2).value == "Rejected"
    site.wait(2)
    assert len(site.records()) == 1


@pytest.mark.req("E03.FR.05")
def test_where_the_token_starts_it_a_transaction_without_a_plug_ends_by_itself() -> None:
    site = Site.build(1, policy=AT_TOKEN)
    site.show("ALICE", 1)
    site.accept()
    assert site.connector(1).phase is Phase.PREPARING
    site.wait(59)
    assert site.station.running(1) is not None
    site.wait(1)
    assert site.records(RecordKind.ENDED)[-1].trigger is Trigger.EV_CONNECT_TIMEOUT
    site.wait(1)
    assert site.connector(1).phase is Phase.IDLE


def test_where_the_token_starts_it_a_plug_in_time_keeps_it() -> None:
    site = Site.build(1, policy=AT_TOKEN)
    site.show("ALICE", 1)
    site.accept()
    site.wait(30)
    site.charge(1)
    site.wait(90)
    assert site.connector(1).phase is Phase.CHARGING


# --- every way to end


@pytest.mark.req("16-TX-09", "TC_015_CS", "TC_016_CS", "TC_018_1_CS")
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("token", StopReason.LOCAL),
        ("remote", StopReason.REMOTE),
        ("unplug", StopReason.EV_DISCONNECTED),
        ("soft", StopReason.SOFT_RESET),
        ("hard", StopReason.HARD_RESET),
        ("unlock", StopReason.UNLOCK_COMMAND),
        ("refused", StopReason.DEAUTHORIZED),
        ("power", StopReason.POWER_LOSS),
    ],
)
def test_each_end_has_its_cause(how: str, reason: StopReason) -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    if how == "token":
        site.show("ALICE", 1)
    elif how == "remote":
        site.deliver(3)
        site.remote_stop(3)
    elif how == "unplug":
        site.unplug(1)
    elif how in ("soft", "hard"):
        site.do(ResetStation(site.ref(), ResetKind.SOFT if how == "soft" else ResetKind.HARD))
    elif how == "unlock":
        site.unlock(1)
    elif how == "refused":
        site.deliver(3, AuthorizationStatus.INVALID)
    else:
        site.restart()
    assert ended(site) is reason
    assert len(site.records(RecordKind.ENDED)) == 1
    assert not desired(site.station, 1).permit_charging


@pytest.mark.req("TC_005_1_CS", "16-ST-03", "16-TX-10")
def test_unplugged_at_the_car_ends_it_and_opens_the_lock() -> None:
    site = Site.build(layouts=(layout(1, capabilities=BLIND),))
    begin_blind(site)
    site.unplug(1)
    assert ended(site) is StopReason.EV_DISCONNECTED
    assert (site.status(1), site.connector(1).note) == ("Finishing", "EV side disconnected")
    assert desired(site.station, 1).locked is False
    site.unplug(1)
    assert (site.status(1), site.connector(1).note) == ("Available", "")


@pytest.mark.req("TC_005_2_CS", "16-TX-10")
def test_unplugged_at_the_car_ends_it_and_keeps_the_cable_where_the_key_says_so() -> None:
    site = Site.build(
        layouts=(layout(1, capabilities=BLIND),), configuration={"UnlockConnectorOnEVSideDisconnect": "false"}
    )
    begin_blind(site)
    site.unplug(1)
    assert ended(site) is StopReason.EV_DISCONNECTED
    assert desired(site.station, 1).locked is True
    site.wait(5)
    assert site.status(1) == "Finishing"


@pytest.mark.req("TC_005_3_CS", "16-ST-03", "16-TX-10")
def test_unplugged_at_the_car_only_suspends_where_the_key_says_so() -> None:
    site = Site.build(
        layouts=(layout(1, capabilities=BLIND),), configuration={"StopTransactionOnEVSideDisconnect": "false"}
    )
    begin_blind(site)
    site.deliver(8)
    site.unplug(1)
    assert (site.status(1), site.connector(1).note) == ("SuspendedEV", "EV side disconnected")
    wanted = desired(site.station, 1)
    assert (wanted.permit_charging, wanted.locked) == (False, True)
    site.charge(1)
    assert (site.status(1), site.connector(1).note) == ("Charging", "")
    site.unplug(1)
    assert site.remote_stop(8).value == "Accepted"
    assert ended(site) is StopReason.REMOTE


def begin_blind(site: Site) -> None:
    site.plug(1)
    site.show("ALICE", 1)
    site.accept()
    site.advance(2)
    site.charge(1)
    assert site.status(1) == "Charging"


@pytest.mark.req("16-TX-10")
def test_a_normal_end_opens_the_lock() -> None:
    site = Site.build(layouts=(layout(1, capabilities=BLIND),))
    begin_blind(site)
    assert desired(site.station, 1).locked is True
    site.show("ALICE", 1)
    assert desired(site.station, 1).locked is False


# --- the CSMS's answers


@pytest.mark.req("16-TX-03", "TC_037_3_CS")
def test_a_refused_start_ends_it_and_keeps_the_cable_for_its_driver() -> None:
    site = Site.build(layouts=(layout(1, capabilities=BLIND),))
    begin_blind(site)
    site.deliver(8, AuthorizationStatus.BLOCKED)
    assert ended(site) is StopReason.DEAUTHORIZED
    assert desired(site.station, 1).locked is True
    site.show("ALICE", 1)
    assert desired(site.station, 1).locked is False


@pytest.mark.req("16-TX-03", "TC_037_2_CS")
def test_a_refused_start_only_suspends_where_the_key_says_so() -> None:
    site = Site.build(1, configuration={"StopTransactionOnInvalidId": "false"})
    site.start(1, "ALICE")
    site.deliver(8, AuthorizationStatus.INVALID)
    assert site.status(1) == "SuspendedEVSE"
    assert not desired(site.station, 1).permit_charging
    assert site.station.running(1) is not None


@pytest.mark.req("16-TX-03")
def test_a_refused_driver_gets_the_allowed_energy_once() -> None:
    site = Site.build(1, configuration={"StopTransactionOnInvalidId": "false", "MaxEnergyOnInvalidId": "500"})
    site.start(1, "ALICE")
    site.energy_wh[1] = 1200.0
    site.charge(1)
    site.deliver(8, AuthorizationStatus.INVALID)
    site.energy_wh[1] = 1699.0
    site.charge(1)
    assert desired(site.station, 1).permit_charging
    site.energy_wh[1] = 1700.0
    site.charge(1)
    assert not desired(site.station, 1).permit_charging
    assert site.status(1) == "SuspendedEVSE"


def test_a_second_refusal_gives_no_second_allowance() -> None:
    site = Site.build(
        1,
        configuration={
            "StopTransactionOnInvalidId": "false",
            "MaxEnergyOnInvalidId": "500",
            "MeterValueSampleInterval": "10",
        },
    )
    site.start(1, "ALICE")
    site.deliver(8, AuthorizationStatus.INVALID)
    site.energy_wh[1] = 1400.0
    site.wait(11)
    site.deliver(None, AuthorizationStatus.INVALID)
    site.energy_wh[1] = 1500.0
    site.charge(1)
    assert not desired(site.station, 1).permit_charging


@pytest.mark.req("16-TX-05", "16-TX-06", "TC_039_CS")
def test_started_and_stopped_offline_leaves_both_records_in_order() -> None:
    site = Site.build(1, configuration={"AllowOfflineTxForUnknownId": "true"})
    site.offline()
    site.plug(1)
    site.show("ALICE", 1)
    site.show("ALICE", 1)
    assert [(r.kind, r.seq_no, r.offline) for r in site.outbox.values()] == [
        (RecordKind.STARTED, 0, True),
        (RecordKind.ENDED, 1, True),
    ]
    site.deliver(31)
    (transaction,) = site.station.transactions.values()
    assert transaction.external_ref == 31
    site.deliver()
    assert not site.station.transactions


@pytest.mark.req("16-TX-03")
def test_a_refusal_that_comes_after_the_end_ends_nothing_twice() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.show("ALICE", 1)
    site.deliver(31, AuthorizationStatus.INVALID)
    assert len(site.records(RecordKind.ENDED)) == 1


@pytest.mark.req("16-TX-04")
def test_without_its_start_a_transaction_goes_on_under_minus_one() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    seq, record = min(site.outbox.items())
    site.do(RecordGivenUp(seq, record, "three attempts failed"))
    running = site.station.running(1)
    assert running is not None and running.external_ref == -1
    assert "ocpp.message_dropped" in site.told()
    assert site.status(1) == "Charging"


@pytest.mark.req("16-TX-14")
def test_a_stopped_transaction_is_kept_until_its_last_record_is_done() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.deliver(31)
    site.show("ALICE", 1)
    assert len(site.station.transactions) == 1
    seq, record = min(site.outbox.items())
    site.do(RecordGivenUp(seq, record, "refused"))
    assert site.of(Dequeue) and not site.station.transactions


def test_the_group_that_the_start_was_answered_with_may_stop() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    seq, record = min(site.outbox.items())
    info = IdTokenInfo(AuthorizationStatus.ACCEPTED, IdToken("FLEET"))
    site.do(RecordDelivered(seq, record, 5, info))
    site.show("BOB", 1)
    site.accept("FLEET")
    assert ended(site) is StopReason.LOCAL


# --- restarts


@pytest.mark.req("TC_032_2_CS", "16-TX-11", "16-BOOT-10")
def test_after_a_power_cut_it_ends_with_the_register_as_it_is_found() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.energy_wh[1] = 1500.0
    site.wait(10)
    kept_at = site.now.utc
    site.energy_wh[1] = 1550.0
    site.wait(5)
    site.restart(off_s=300)
    record = site.records(RecordKind.ENDED)[-1]
    assert (record.reason, record.meter_wh) == (StopReason.POWER_LOSS, 1550.0)
    assert record.at.utc <= kept_at
    site.plug(1)
    assert site.status(1) == "Finishing"
    site.unplug(1)
    site.unplug(1)
    assert site.status(1) == "Available"


def charged_until_a_cut(kept_wh: float = 1500.0) -> Site:
    """A site whose power was cut while it charged; no charger has been heard since."""
    site = Site.build(1)
    site.start(1, "ALICE")
    site.energy_wh[1] = kept_wh
    site.wait(10)
    site.restart(found=False)
    return site


def test_an_interrupted_transaction_gets_no_energy_while_its_register_is_looked_for() -> None:
    site = charged_until_a_cut()
    site.do(Tick())
    assert not site.records(RecordKind.ENDED)
    assert not desired(site.station, 1).permit_charging


@pytest.mark.req("16-TX-11")
def test_a_charger_that_stays_away_after_a_power_cut_leaves_what_was_kept() -> None:
    site = charged_until_a_cut()
    site.energy_wh[1] = 1550.0
    site.wait(59, looks=False)
    assert not site.records(RecordKind.ENDED)
    site.wait(1, looks=False)
    assert site.records(RecordKind.ENDED)[-1].meter_wh == 1500.0


def test_a_register_that_has_begun_anew_with_the_power_takes_nothing_from_the_transaction() -> None:
    site = charged_until_a_cut()
    site.energy_wh[1] = 0.0
    site.wait(1, looks=False)
    for _ in range(3):
        site.look(1, ChargerState.CONNECTED)
    assert site.records(RecordKind.ENDED)[-1].meter_wh == 1500.0


def test_more_than_can_have_flowed_since_the_disk_saw_it_is_not_the_transactions() -> None:
    site = charged_until_a_cut()
    site.energy_wh[1] = 1500.0 + 2 * POSSIBLE_W
    for _ in range(3):
        site.look(1, ChargerState.CONNECTED)
    assert site.records(RecordKind.ENDED)[-1].meter_wh == 1500.0
    assert site.connector(1).energy_wh == 1500.0 + 2 * POSSIBLE_W


def test_an_interrupted_transaction_whose_car_has_left_ends_with_the_power() -> None:
    site = charged_until_a_cut()
    site.unplug(1)
    assert ended(site) is StopReason.POWER_LOSS
    assert site.records(RecordKind.ENDED)[-1].meter_wh == 1500.0


def test_a_second_cut_while_the_register_is_looked_for_ends_it_once() -> None:
    site = charged_until_a_cut()
    site.restart()
    assert len(site.records(RecordKind.ENDED)) == 1
    assert ended(site) is StopReason.POWER_LOSS


@pytest.mark.req("16-MV-07")
def test_after_a_power_cut_the_end_is_not_below_a_sample_that_was_sent() -> None:
    site = Site.build(1, configuration={"MeterValueSampleInterval": "30"})
    site.start(1, "ALICE")
    site.energy_wh[1] = 1040.0
    site.wait(31)
    assert site.records(RecordKind.UPDATED)
    site.restart()
    assert site.records(RecordKind.ENDED)[-1].meter_wh == 1040.0


def test_a_restart_of_the_daemon_alone_goes_on_with_it() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.restart(continued=True)
    site.charge(1)
    assert site.status(1) == "Charging"
    assert desired(site.station, 1).permit_charging
    site.show("ALICE", 1)
    assert ended(site) is StopReason.LOCAL


def test_a_car_that_left_while_the_daemon_was_away_ends_it() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.restart(continued=True)
    site.unplug(1)
    assert ended(site) is StopReason.EV_DISCONNECTED


@pytest.mark.parametrize(("continued", "reason"), [(True, StopReason.OTHER), (False, StopReason.POWER_LOSS)])
def test_a_transaction_on_a_connector_that_no_longer_exists_ends_with_a_cause(
    continued: bool, reason: StopReason
) -> None:
    site = Site.build(2)
    site.start(2, "ALICE")
    assert site.fresh is not None
    site.fresh = replace(site.fresh, connectors={1: site.fresh.connectors[1]})
    site.restart(continued=continued)
    assert ended(site) is reason
    site.deliver()
    site.deliver()
    assert not site.station.transactions


def test_the_end_names_the_energy_and_no_token() -> None:
    site = Site.build(1)
    site.start(1, "SECRET-TOKEN")
    site.energy_wh[1] = 3500.0
    site.charge(1)
    site.show("SECRET-TOKEN", 1)
    (said,) = [e for e in site.of(Announce) if e.kind == "transaction.ended"]
    assert said.data["energy_wh"] == 2500.0
    assert "SECRET" not in repr(said)


def test_a_charger_without_a_meter_counts_from_nothing() -> None:
    site = Site.build(layouts=(layout(1, measurands=frozenset(MEASURANDS)),), seen=False)
    site.look(1, ChargerState.CONNECTED, meter=Meter())
    site.show("ALICE", 1)
    site.accept()
    assert site.records()[-1].meter_wh == 0.0


@pytest.mark.req("E01.FR.08")
def test_transaction_ids_never_come_twice() -> None:
    site = Site.build(1)
    seen = set()
    for round_ in range(6):
        site.start(1, "ALICE")
        site.show("ALICE", 1)
        if round_ % 2:
            site.restart()
            site.trust()
            site.plug(1)
            site.do(LinkUp())
            site.do(BootAnswered(Registration.ACCEPTED, site.now.utc, 300))
        seen.add(site.records(RecordKind.STARTED)[-1].transaction_id)
    assert len(seen) == 6
