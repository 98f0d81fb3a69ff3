"""Start points and stop points: what begins a transaction, what stops its energy, and what ends it. 2.x E01 to E12."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from edged.domain import metering
from edged.domain.answers import TokenVerdict
from edged.domain.commands import (
    GetTransactionStatus,
    RequestStop,
    ResetKind,
    ResetStation,
    TriggerMessage,
    UnlockConnector,
)
from edged.domain.desired import desired
from edged.domain.effects import NoticeKind, RecordKind, Reply, StopReason, TransactionRecord
from edged.domain.events import RecordDelivered
from edged.domain.hardware import Capability, ChargerState, LockState
from edged.domain.policy import Trigger
from edged.domain.status import availability_state
from edged.domain.types import AuthorizationStatus, IdTokenInfo, Phase
from tests.fakes.site import FULL, POLICY, Site, layout

CONFIGURED = replace(
    POLICY,
    start_points=None,
    stop_points=None,
    update_triggers=frozenset(Trigger),
    begin_in_start=True,
    times_out_unplugged=True,
    csms_names_transactions=False,
)
ENERGY = "Energy.Active.Import.Register"
STAYS = {"StopTransactionOnEVSideDisconnect": "false"}
LOCKED = FULL | {Capability.LOCK_CONTROL}
FIXED = FULL - {Capability.DETACHABLE}


def open_site(
    start: str = "PowerPathClosed",
    stop: str = "Authorized,EVConnected",
    keys: dict[str, str] | None = None,
    *,
    capabilities: frozenset[Capability] = FULL,
) -> Site:
    values = {"TxStartPoint": start, "TxStopPoint": stop, "MeterValueSampleInterval": "0", **(keys or {})}
    return Site.build(layouts=(layout(1, capabilities=capabilities),), policy=CONFIGURED, configuration=values)


def story(site: Site) -> list[tuple[str, Trigger]]:
    """Every record so far: its kind and why it was written. They are numbered without a gap."""
    assert [record.seq_no for record in site.records()] == list(range(len(site.records())))
    return [(record.kind.value, record.trigger) for record in site.records()]


def ended(site: Site) -> TransactionRecord:
    (record,) = site.records(RecordKind.ENDED)
    return record


def begin(site: Site, token: str = "ALICE") -> None:
    site.show(token, 1)
    site.accept()


# --- the first start point that is reached


@pytest.mark.req("E01.FR.02", "E02.FR.06", "E01.FR.14")
def test_a_plug_starts_it_and_gives_no_energy() -> None:
    site = open_site("EVConnected")
    site.plug(1)
    site.wait(3)
    assert story(site) == [("started", Trigger.CABLE_PLUGGED_IN)]
    assert site.connector(1).phase is Phase.PREPARING
    assert not desired(site.station, 1).permit_charging


@pytest.mark.req("E02.FR.01", "E01.FR.10", "E02.FR.17")
def test_its_driver_comes_later_and_is_told_once() -> None:
    site = open_site("EVConnected")
    site.plug(1)
    begin(site)
    site.charge(1)
    assert [(r.trigger, r.id_token is not None) for r in site.records()] == [
        (Trigger.CABLE_PLUGGED_IN, False),
        (Trigger.AUTHORIZED, True),
        (Trigger.CHARGING_STATE_CHANGED, False),
    ]
    assert desired(site.station, 1).permit_charging


@pytest.mark.req("F01.FR.19", "F01.FR.25")
def test_a_driver_who_comes_by_remote_start_brings_its_number() -> None:
    site = open_site("EVConnected")
    site.plug(1)
    assert site.remote_start("ALICE", 1, remote_start_id=7).value == "Accepted"
    last = site.records()[-1]
    assert (last.trigger, last.remote_start_id) == (Trigger.REMOTE_START, 7)


@pytest.mark.req("E02.FR.03", "E01.FR.13")
def test_a_reservation_is_named_when_its_driver_comes() -> None:
    site = open_site("EVConnected")
    site.reserve(5, "ALICE", 1)
    site.plug(1)
    assert not desired(site.station, 1).permit_charging
    begin(site)
    assert site.records()[-1].reservation_id == 5
    assert not site.station.reservations


@pytest.mark.req("E01.FR.03", "E03.FR.01")
def test_a_token_starts_it_and_the_plug_comes_later() -> None:
    site = open_site("Authorized")
    begin(site)
    assert [(r.plugged, r.phase) for r in site.records()] == [(False, Phase.PREPARING)]
    site.wait(2)
    site.plug(1)
    site.charge(1)
    assert story(site)[1:] == [
        ("updated", Trigger.CABLE_PLUGGED_IN),
        ("updated", Trigger.CHARGING_STATE_CHANGED),
    ]
    assert site.records()[1].plugged


@pytest.mark.req("E01.FR.05", "E02.FR.17")
@pytest.mark.parametrize(
    ("last", "trigger"),
    [("plug", Trigger.CABLE_PLUGGED_IN), ("token", Trigger.AUTHORIZED), ("csms", Trigger.REMOTE_START)],
)
def test_the_reason_of_a_start_is_what_came_last(last: str, trigger: Trigger) -> None:
    site = open_site()
    if last != "plug":
        site.plug(1)
        site.wait(2)
    if last == "csms":
        site.remote_start("ALICE", 1)
    else:
        begin(site)
    site.wait(2)
    if last == "plug":
        site.plug(1)
    assert story(site) == [("started", trigger)]


@pytest.mark.req("E01.FR.14", "E02.FR.15")
def test_a_finished_session_starts_no_other_without_a_new_plug() -> None:
    site = open_site("EVConnected", "Authorized")
    site.plug(1)
    begin(site)
    site.show("ALICE", 1)
    site.wait(3)
    assert len(site.records(RecordKind.STARTED)) == 1
    site.unplug(1)
    site.plug(1)
    assert len(site.records(RecordKind.STARTED)) == 2


@pytest.mark.req("E01.FR.02")
def test_without_a_driver_it_ends_with_the_plug_whatever_is_configured() -> None:
    site = open_site("EVConnected", "Authorized", keys=STAYS)
    site.plug(1)
    site.unplug(1)
    assert ended(site).reason is StopReason.EV_DISCONNECTED


# --- the authorization ends


@pytest.mark.req("E06.FR.03", "E06.FR.06", "E06.FR.07")
@pytest.mark.parametrize("stop", ["Authorized", "PowerPathClosed", "EnergyTransfer", "EVConnected,Authorized"])
def test_a_stop_point_that_is_reached_with_the_authorization_ends_it_at_once(stop: str) -> None:
    site = open_site(stop=stop)
    site.start(1)
    site.show("ALICE", 1)
    assert ended(site).reason is StopReason.LOCAL


@pytest.mark.req("F04.FR.02", "F04.FR.03", "E06.FR.02", "F03.FR.02")
@pytest.mark.parametrize(("how", "reason"), [("csms", StopReason.REMOTE), ("driver", StopReason.LOCAL)])
def test_without_one_it_gets_no_energy_and_ends_with_the_plug_for_the_same_reason(how: str, reason: StopReason) -> None:
    site = open_site("EVConnected", "EVConnected")
    site.start(1)
    if how == "csms":
        site.do(_stop(site))
    else:
        site.show("ALICE", 1)
    assert site.connector(1).phase is Phase.FINISHING
    assert not desired(site.station, 1).permit_charging
    site.wait(30)
    site.charge(1)
    assert not desired(site.station, 1).permit_charging
    site.unplug(1)
    assert (ended(site).reason, ended(site).trigger) == (reason, Trigger.EV_COMMUNICATION_LOST)
    assert ended(site).id_token is None  # who stopped it was told when it was stopped


def _stop(site: Site) -> RequestStop:
    running = site.station.running(1)
    assert running is not None
    return RequestStop(request=site.ref("RequestStopTransaction"), transaction_id=running.id)


@pytest.mark.req("E07.FR.07", "F04.FR.02")
def test_a_stopped_session_lets_its_cable_go() -> None:
    site = open_site("EVConnected", "EVConnected", capabilities=LOCKED)
    site.start(1)
    assert desired(site.station, 1).locked is True
    site.show("ALICE", 1)
    assert desired(site.station, 1).locked is False


@pytest.mark.req("E05.FR.11", "C15.FR.05")
def test_an_invalid_driver_s_cable_stays_locked() -> None:
    site = open_site("EVConnected", "EVConnected", capabilities=LOCKED)
    site.start(1)
    _judge(site, AuthorizationStatus.INVALID)
    assert story(site)[-1] == ("updated", Trigger.DEAUTHORIZED)
    assert not desired(site.station, 1).permit_charging
    assert desired(site.station, 1).locked is True


def _judge(site: Site, status: AuthorizationStatus) -> None:
    """What the CSMS answers to the record that named the driver."""
    seq, record = next((s, r) for s, r in site.outbox.items() if isinstance(r, TransactionRecord) and r.id_token)
    site.do(RecordDelivered(seq, record, info=IdTokenInfo(status)))


@pytest.mark.req("C15.FR.04", "E05.FR.10")
def test_an_invalid_driver_s_transaction_ends_where_that_is_a_stop_point() -> None:
    site = open_site()
    site.start(1)
    _judge(site, AuthorizationStatus.BLOCKED)
    assert (ended(site).reason, ended(site).trigger) == (StopReason.DEAUTHORIZED, Trigger.DEAUTHORIZED)


@pytest.mark.req("C15.FR.06", "C15.FR.07", "E05.FR.02", "E05.FR.03")
@pytest.mark.parametrize(
    ("allowed_wh", "trigger"), [("0", Trigger.CHARGING_STATE_CHANGED), ("100", Trigger.ENERGY_LIMIT_REACHED)]
)
def test_an_invalid_driver_may_have_what_the_site_gives_away(allowed_wh: str, trigger: Trigger) -> None:
    site = open_site(keys={"StopTransactionOnInvalidId": "false", "MaxEnergyOnInvalidId": allowed_wh})
    site.start(1)
    _judge(site, AuthorizationStatus.INVALID)
    site.wait(1)
    assert desired(site.station, 1).permit_charging is (allowed_wh != "0")
    site.energy_wh[1] += 150
    site.charge(1)
    assert not desired(site.station, 1).permit_charging
    assert story(site)[-1] == ("updated", trigger)
    assert site.records()[-1].phase is Phase.SUSPENDED_EVSE


@pytest.mark.req("C01.FR.23")
def test_what_is_said_of_the_token_that_stopped_it_changes_nothing() -> None:
    site = open_site("EVConnected", "EVConnected")
    site.start(1, group="FAMILY")
    site.show("DAD", 1)
    site.accept("FAMILY")
    assert story(site)[-1] == ("updated", Trigger.STOP_AUTHORIZED)
    for seq, record in tuple(site.outbox.items()):
        if isinstance(record, TransactionRecord):
            site.do(RecordDelivered(seq, record, info=IdTokenInfo(AuthorizationStatus.INVALID)))
    site.unplug(1)
    assert ended(site).reason is StopReason.LOCAL


# --- what nobody joins, and what is nobody's


@pytest.mark.req("C01.FR.23", "F01.FR.13")
def test_what_was_stopped_before_its_driver_came_takes_none() -> None:
    site = open_site("EVConnected", "EVConnected")
    site.plug(1)
    site.do(_stop(site))
    assert site.remote_start("ALICE", 1, remote_start_id=3).value == "Rejected"
    site.show("ALICE", 1)
    assert site.reply().status is TokenVerdict.NO_CONNECTOR


@pytest.mark.req("C01.FR.23")
def test_a_driver_who_is_judged_while_it_is_stopped_comes_too_late() -> None:
    site = open_site("EVConnected", "EVConnected")
    site.plug(1)
    site.show("ALICE", 1)
    site.do(_stop(site))
    site.accept()
    running = site.station.running(1)
    assert running is not None and running.id_token is None
    assert site.last(Reply).status is TokenVerdict.NO_CONNECTOR


@pytest.mark.req("C09.FR.11")
def test_a_token_that_was_to_stop_one_does_not_stop_the_next_that_has_no_driver_yet() -> None:
    site = open_site("EVConnected")
    site.plug(1)
    begin(site)
    site.show("BOB", 1)
    site.unplug(1)
    site.plug(1)
    site.accept()
    assert site.station.running(1) is not None
    assert len(site.records(RecordKind.ENDED)) == 1


# --- the lock


@pytest.mark.req("E01.FR.03")
def test_an_empty_socket_is_not_locked_first() -> None:
    site = open_site("Authorized", capabilities=LOCKED)
    begin(site)
    assert story(site) == [("started", Trigger.AUTHORIZED)]


@pytest.mark.req("G05.FR.01")
@pytest.mark.parametrize("start", ["EVConnected", "Authorized"])
def test_no_energy_begins_to_flow_through_an_open_lock(start: str) -> None:
    site = open_site(start, capabilities=LOCKED)
    for lock in (LockState.UNLOCKED, LockState.LOCKED):
        site.look(1, ChargerState.CONNECTED, lock=lock, permit_charging=False)
        if site.station.running(1) is None or site.station.charges(1) is None:
            begin(site)
        assert desired(site.station, 1).locked
        assert desired(site.station, 1).permit_charging is (lock is LockState.LOCKED)
    site.look(1, ChargerState.CHARGING, lock=LockState.UNLOCKED, permit_charging=True)
    assert desired(site.station, 1).permit_charging, "what flows already is not cut"


@pytest.mark.req("E05.FR.11", "F05.FR.04")
@pytest.mark.parametrize("how", ["token", "csms"])
def test_a_cable_that_was_let_go_is_not_held_again(how: str) -> None:
    site = open_site("EVConnected", "EVConnected", capabilities=LOCKED)
    site.start(1)
    _judge(site, AuthorizationStatus.INVALID)
    assert site.connector(1).held_for is not None
    if how == "token":
        site.show("ALICE", 1)
    else:
        site.do(UnlockConnector(site.ref("UnlockConnector"), evse=1, connector_id=1, ends_transaction=False))
        site.wait(26)
    site.unplug(1)
    site.wait(1)
    assert ended(site).reason is StopReason.DEAUTHORIZED
    assert (site.connector(1).held_for, site.connector(1).phase) == (None, Phase.IDLE)


@pytest.mark.req("C15.FR.04")
def test_who_is_refused_before_he_came_with_his_cable_leaves_no_lock_behind() -> None:
    site = open_site("Authorized", "Authorized", capabilities=LOCKED)
    begin(site)
    _judge(site, AuthorizationStatus.INVALID)
    site.wait(1)
    assert ended(site).reason is StopReason.DEAUTHORIZED
    assert (site.connector(1).held_for, site.connector(1).phase) == (None, Phase.IDLE)


@pytest.mark.req("E09.FR.03")
def test_whoever_plugs_into_the_cable_of_another_does_not_set_it_free() -> None:
    keys = {"UnlockConnectorOnEVSideDisconnect": "false"}
    site = open_site("EVConnected", "EVConnected", keys=keys, capabilities=LOCKED)
    site.start(1)
    site.unplug(1)
    site.plug(1)
    assert site.connector(1).held_for is not None
    assert desired(site.station, 1).locked
    site.show("ALICE", 1)
    assert len(site.records(RecordKind.STARTED)) == 2
    assert not desired(site.station, 1).locked


# --- the cable goes


@pytest.mark.req("E06.FR.02", "E06.FR.06", "E06.FR.07", "E09.FR.01")
@pytest.mark.parametrize(
    ("stop", "stays", "over"),
    [
        ("EVConnected", True, True),
        ("PowerPathClosed", True, True),
        ("EnergyTransfer", True, True),
        ("Authorized", False, True),
        ("Authorized", True, False),
    ],
)
def test_pulling_the_cable_ends_it_or_not(stop: str, stays: bool, over: bool) -> None:
    site = open_site(stop=stop, keys=STAYS if stays else {})
    site.start(1)
    site.unplug(1)
    assert bool(site.records(RecordKind.ENDED)) is over
    assert site.records()[-1].trigger is Trigger.EV_COMMUNICATION_LOST
    assert not site.records()[-1].plugged


@pytest.mark.req("E10.FR.01")
def test_a_transaction_that_waits_for_its_cable_goes_on_with_it() -> None:
    site = open_site("Authorized", "Authorized", keys=STAYS)
    site.start(1)
    site.unplug(1)
    site.wait(200)
    site.plug(1)
    assert (site.records()[-1].trigger, site.records()[-1].phase) == (Trigger.CABLE_PLUGGED_IN, Phase.PREPARING)
    site.charge(1)
    assert desired(site.station, 1).permit_charging


@pytest.mark.req("E10.FR.02")
def test_a_fixed_cable_must_be_back_in_time() -> None:
    site = open_site("Authorized", "Authorized", capabilities=FIXED, keys=STAYS)
    site.start(1)
    site.unplug(1)
    site.wait(59)
    assert not site.records(RecordKind.ENDED)
    site.wait(1)
    assert (ended(site).reason, ended(site).trigger) == (StopReason.TIMEOUT, Trigger.EV_CONNECT_TIMEOUT)


@pytest.mark.req("E03.FR.05")
def test_a_token_without_a_cable_times_out_over_a_restart_too() -> None:
    site = open_site("Authorized")
    begin(site)
    site.wait(30)
    site.restart(continued=True)
    site.look(1, ChargerState.AVAILABLE)
    assert not site.records(RecordKind.ENDED)
    site.wait(60)
    assert ended(site).reason is StopReason.TIMEOUT


@pytest.mark.req("E03.FR.05", "G01.FR.03")
@pytest.mark.parametrize("how", ["time", "csms", "power"])
def test_a_connector_that_no_cable_was_in_is_never_told_as_occupied(how: str) -> None:
    site = open_site("Authorized", "Authorized")
    begin(site)
    site.wait(59, looks=False)
    if how == "time":
        site.wait(1, looks=False)
    elif how == "csms":
        site.do(_stop(site))
    else:
        site.restart()
    assert site.records(RecordKind.ENDED)
    assert site.connector(1).phase is Phase.IDLE
    assert availability_state(site.station, 1) == ("Unavailable" if how == "power" else "Available")


@pytest.mark.req("E03.FR.05", "E09.FR.01")
def test_shown_again_before_the_cable_came_it_ends_whatever_the_stop_point() -> None:
    site = open_site("Authorized", "EVConnected")
    begin(site)
    site.show("ALICE", 1)
    assert ended(site).reason is StopReason.LOCAL


# --- the energy stops


@pytest.mark.req("E06.FR.07")
@pytest.mark.parametrize(
    ("state", "reason", "trigger"),
    [
        (ChargerState.SUSPENDED_EV, StopReason.STOPPED_BY_EV, Trigger.CHARGING_STATE_CHANGED),
        (ChargerState.SUSPENDED_EVSE, StopReason.OTHER, Trigger.CHARGING_STATE_CHANGED),
        (ChargerState.FAULTED, StopReason.OTHER, Trigger.ABNORMAL_CONDITION),
    ],
)
def test_energy_that_stops_ends_it(state: ChargerState, reason: StopReason, trigger: Trigger) -> None:
    site = open_site(stop="EnergyTransfer")
    site.start(1)
    site.wait(2)
    site.look(1, state, plugged=True)
    assert (ended(site).reason, ended(site).trigger) == (reason, trigger)


@pytest.mark.req("E06.FR.07")
def test_energy_that_has_not_begun_does_not_stop() -> None:
    site = open_site(stop="EnergyTransfer")
    site.plug(1)
    begin(site)
    site.wait(20)
    assert not site.records(RecordKind.ENDED)


@pytest.mark.req("E06.FR.07")
def test_a_charger_that_was_not_heard_after_a_restart_has_not_stopped() -> None:
    site = open_site(stop="EnergyTransfer")
    site.start(1)
    site.restart(continued=True)
    site.wait(3, looks=False)
    site.charge(1)
    assert not site.records(RecordKind.ENDED)
    site.look(1, ChargerState.SUSPENDED_EV)
    assert ended(site).reason is StopReason.STOPPED_BY_EV


# --- what is told


@pytest.mark.req("E02.FR.15", "E02.FR.17", "E01.FR.18")
def test_each_state_is_told_once() -> None:
    site = open_site()
    site.start(1)
    states = (ChargerState.SUSPENDED_EV, ChargerState.SUSPENDED_EV, ChargerState.CHARGING, ChargerState.SUSPENDED_EVSE)
    for state in states:
        site.look(1, state)
        site.wait(11)
    told = [r.phase for r in site.records(RecordKind.UPDATED)]
    assert told == [Phase.CHARGING, Phase.SUSPENDED_EV, Phase.CHARGING, Phase.SUSPENDED_EVSE]


@pytest.mark.req("E06.FR.16")
def test_a_fault_is_told_and_so_is_its_end() -> None:
    site = open_site()
    site.start(1)
    site.look(1, ChargerState.FAULTED, plugged=True)
    site.wait(2)
    site.charge(1)
    assert [(r.trigger, r.phase) for r in site.records()[-2:]] == [
        (Trigger.ABNORMAL_CONDITION, Phase.SUSPENDED_EVSE),
        (Trigger.CHARGING_STATE_CHANGED, Phase.CHARGING),
    ]


@pytest.mark.req("E06.FR.16")
def test_a_charger_that_falls_silent_is_an_abnormal_condition() -> None:
    site = open_site()
    site.start(1)
    site.lose(1)
    site.wait(31, looks=False)
    assert site.records()[-1].trigger is Trigger.ABNORMAL_CONDITION


@pytest.mark.req("E01.FR.09", "E02.FR.09")
def test_a_start_is_told_with_the_register() -> None:
    site = open_site()
    site.start(1)
    (sample,) = site.records()[0].samples
    assert [(v.measurand.value, v.value) for v in sample.values] == [(ENERGY, 1000.0)]


@pytest.mark.req("E01.FR.07")
@pytest.mark.parametrize("how", ["power", "reset"])
def test_what_ends_everything_ends_a_stopped_one_for_its_own_reason(how: str) -> None:
    site = open_site("EVConnected", "EVConnected", keys={"StopTxnSampledData": ENERGY})
    site.start(1)
    site.show("ALICE", 1)
    if how == "power":
        site.restart()
    else:
        site.do(ResetStation(site.ref("Reset"), ResetKind.HARD))
    assert ended(site).reason is (StopReason.POWER_LOSS if how == "power" else StopReason.HARD_RESET)
    story(site)


@pytest.mark.req("E01.FR.07")
def test_an_end_that_the_power_cut_brought_is_not_before_what_was_told() -> None:
    site = open_site(keys={"StopTxnSampledData": ENERGY})
    site.start(1)
    site.wait(40)
    site.look(1, ChargerState.SUSPENDED_EV)
    site.restart()
    assert ended(site).at.utc == site.records(RecordKind.UPDATED)[-1].at.utc
    last = ended(site).samples[-1]
    assert (last.context.value, last.values[0].value) == ("Transaction.End", 1000.0)


@pytest.mark.req("E06.FR.11")
def test_an_end_before_the_charger_was_heard_again_tells_the_register_that_was_kept() -> None:
    site = open_site(keys={"StopTxnSampledData": ENERGY})
    site.start(1)
    site.energy_wh[1] = 1_500.0
    site.look(1, ChargerState.CHARGING)
    site.wait(120)
    site.restart(continued=True)
    kept_wh = next(iter(site.station.transactions.values())).kept_meter_wh
    site.do(ResetStation(site.ref("Reset"), ResetKind.HARD))
    last = ended(site).samples[-1]
    assert (last.context.value, last.values[0].value) == ("Transaction.End", kept_wh)
    assert kept_wh > 1_000.0


# --- GetTransactionStatus


@pytest.mark.req("E14.FR.01", "E14.FR.02", "E14.FR.03", "E14.FR.04", "E14.FR.05", "E14.FR.06", "E14.FR.07", "E14.FR.08")
def test_the_state_of_a_transaction_is_told() -> None:
    site = open_site()
    assert _state(site, "nobody") == (False, False)
    assert _state(site, None) == (None, False)
    site.start(1)
    name = site.records()[0].transaction_id
    assert _state(site, name) == (True, True)
    site.show("ALICE", 1)
    assert _state(site, name) == (False, True)
    assert _state(site, None) == (None, True)
    while site.outbox:
        site.deliver(None)
    assert _state(site, name) == (False, False)


def _state(site: Site, name: str | None) -> tuple[bool | None, bool]:
    site.do(GetTransactionStatus(site.ref("GetTransactionStatus"), name))
    return site.reply().data.ongoing, site.reply().data.queued


# --- an hour without the line


@pytest.mark.req("E04.FR.07", "E04.FR.08", "E11.FR.01")
def test_a_long_outage_thins_values_out_and_leaves_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "MAX_QUEUED", 20)
    site = open_site(keys={"MeterValueSampleInterval": "1"})
    site.start(1)
    site.offline()
    site.wait(200)
    values = [r for r in site.records(RecordKind.UPDATED) if r.samples]
    story(site)
    seconds = [int((r.at.utc - site.records()[0].at.utc).total_seconds()) for r in values]
    steps = [after - before for before, after in pairwise(seconds)]
    assert steps[0] == 1
    assert 2 in steps
    assert steps == sorted(steps)  # ever fewer, never none of the later ones alone
    assert site.station.queued <= 20
    site.show("ALICE", 1)
    assert ended(site).offline


@pytest.mark.req("E04.FR.07")
def test_a_plug_that_comes_and_goes_and_a_csms_that_asks_and_asks_fill_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "MAX_QUEUED", 20)
    site = open_site("EVConnected", "EVConnected")
    for _ in range(30):
        site.plug(1)
        site.unplug(1)
    assert site.station.queued <= 21
    begin(site)  # a driver is served all the same
    site.plug(1)
    site.charge(1)
    assert desired(site.station, 1).permit_charging
    waiting = site.station.queued
    site.do(TriggerMessage(site.ref("TriggerMessage"), NoticeKind.TRANSACTION))
    assert (site.reply().status.value, site.station.queued) == ("Rejected", waiting)
