"""From what a charger reports to facts and phases."""

from __future__ import annotations

import itertools

import pytest

from edged.domain.connector import BOOT_GRACE_S, OFFLINE_GRACE_S, phase_of
from edged.domain.desired import desired
from edged.domain.effects import RecordKind
from edged.domain.events import Tick
from edged.domain.hardware import Capability, ChargerState, Fault, FaultCode, LockState, Quality
from edged.domain.types import Phase
from tests.fakes.site import FULL, Site, layout

IN_TRANSACTION = {
    ChargerState.CHARGING: Phase.CHARGING,
    ChargerState.CONNECTED_READY: Phase.SUSPENDED_EV,
    ChargerState.SUSPENDED_EV: Phase.SUSPENDED_EV,
    ChargerState.FINISHING: Phase.SUSPENDED_EV,
    ChargerState.CONNECTED: Phase.SUSPENDED_EVSE,
    ChargerState.REQUESTING: Phase.SUSPENDED_EVSE,
    ChargerState.SUSPENDED_EVSE: Phase.SUSPENDED_EVSE,
    ChargerState.AVAILABLE: Phase.FINISHING,  # no vehicle: the transaction has ended
    ChargerState.RESERVED: Phase.FINISHING,
}


# --- phases


@pytest.mark.req("16-ST-01")
@pytest.mark.parametrize(("state", "phase"), IN_TRANSACTION.items())
def test_the_phase_of_a_running_transaction_follows_the_charger(state: ChargerState, phase: Phase) -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.advance(11)
    site.look(1, state)
    assert site.connector(1).phase is phase


@pytest.mark.parametrize("state", [ChargerState.UNKNOWN, ChargerState.FAULTED, ChargerState.UNAVAILABLE])
@pytest.mark.parametrize("before", [ChargerState.CHARGING, ChargerState.SUSPENDED_EV, ChargerState.SUSPENDED_EVSE])
def test_a_state_that_says_nothing_leaves_the_phase(before: ChargerState, state: ChargerState) -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.advance(11)
    site.look(1, before)
    phase = site.connector(1).phase
    site.look(1, state)
    assert site.connector(1).phase is phase


@pytest.mark.parametrize("state", list(ChargerState))
def test_without_a_driver_no_state_of_the_charger_makes_a_session(state: ChargerState) -> None:
    site = Site.build(1)
    site.look(1, state)
    vehicle = state not in (
        ChargerState.AVAILABLE,
        ChargerState.RESERVED,
        ChargerState.UNAVAILABLE,
        ChargerState.FAULTED,
        ChargerState.UNKNOWN,
    )
    assert site.connector(1).phase is (Phase.PREPARING if vehicle else Phase.IDLE)
    assert not desired(site.station, 1).permit_charging
    site.wait(61)
    assert site.connector(1).phase is (Phase.FINISHING if vehicle else Phase.IDLE)


@pytest.mark.parametrize(
    ("state", "plugged", "situation"),
    list(itertools.product(ChargerState, (None, True, False), ("idle", "let in", "running", "ended", "faulted"))),
)
def test_every_state_in_every_situation_gives_the_phase_of_its_facts(
    state: ChargerState, plugged: bool | None, situation: str
) -> None:
    site = Site.build(1)
    if situation == "let in":
        site.show("ALICE", 1)
        site.accept()
    elif situation != "idle":
        site.start(1, "ALICE")
        if situation == "ended":
            site.show("ALICE", 1)
        elif situation == "faulted":
            site.look(1, ChargerState.FAULTED)
    site.look(1, state, plugged=plugged)  # the site's witness judges the invariants
    connector = site.connector(1)
    assert connector.phase is phase_of(site.station, connector, site.now)


@pytest.mark.req("TC_003_CS")
def test_a_transaction_shows_preparing_until_the_charger_has_made_up_its_mind() -> None:
    site = Site.build(1)
    site.plug(1)
    site.show("ALICE", 1)
    site.accept()
    site.wait(9)
    assert site.connector(1).phase is Phase.PREPARING
    site.wait(1)
    assert site.connector(1).phase is Phase.SUSPENDED_EVSE


def test_the_moment_of_a_change_is_kept() -> None:
    site = Site.build(1)
    site.advance(5)
    site.plug(1)
    changed = site.now.utc
    site.wait(5)
    assert site.connector(1).phase_since == changed


# --- ConnectionTimeOut


@pytest.mark.req("16-TX-12")
def test_a_cable_without_a_driver_becomes_finishing() -> None:
    site = Site.build(1)
    site.plug(1)
    site.wait(59)
    assert site.status(1) == "Preparing"
    site.wait(1)
    assert site.status(1) == "Finishing"
    site.unplug(1)
    assert site.status(1) == "Available"


def test_without_a_connection_timeout_a_driver_waits_for_ever() -> None:
    site = Site.build(1, configuration={"ConnectionTimeOut": "0"})
    site.show("ALICE", 1)
    site.accept()
    site.wait(600)
    assert site.status(1) == "Preparing"


def test_a_shorter_connection_timeout_holds_at_once() -> None:
    site = Site.build(1)
    site.show("ALICE", 1)
    site.accept()
    site.set("ConnectionTimeOut", "5")
    site.wait(5)
    assert site.status(1) == "Available"


@pytest.mark.req("16-TX-12")
def test_the_time_counts_anew_when_the_driver_comes_after_the_cable() -> None:
    site = Site.build(layouts=(layout(1, capabilities=FULL | {Capability.LOCK_CONTROL}),))
    site.plug(1)
    site.wait(55)
    site.show("ALICE", 1)
    site.accept()
    site.wait(30)
    assert site.status(1) == "Preparing", "the lock is still on its way"
    site.look(1, ChargerState.CONNECTED, lock=LockState.LOCKED)
    assert site.records()


@pytest.mark.req("16-RES-15")
@pytest.mark.parametrize("connector", [0, 1])
def test_a_cable_in_a_reserved_connector_does_not_time_out_before_the_reservation_ends(connector: int) -> None:
    site = Site.build(1)
    site.reserve(1, "ALICE", connector, minutes=5)
    site.plug(1)
    site.wait(299)
    assert site.status(1) == "Reserved"
    site.wait(1)
    assert site.status(1) == "Preparing"
    site.wait(59)
    assert site.status(1) == "Preparing"
    site.wait(1)
    assert site.status(1) == "Finishing"


@pytest.mark.req("16-TX-12")
def test_a_reserved_driver_who_does_not_start_leaves_reserved_behind() -> None:
    site = Site.build(layouts=(layout(1, capabilities=FULL | {Capability.LOCK_CONTROL}),))
    site.reserve(1, "ALICE", 1, minutes=60)
    site.plug(1)
    site.show("ALICE", 1)
    site.accept()
    assert site.status(1) == "Preparing"
    site.wait(60)
    assert site.status(1) == "Reserved"
    assert set(site.station.reservations) == {1}


# --- faults


@pytest.mark.req("TC_041_CS")
def test_a_fault_before_the_start_is_shown_and_starts_nothing() -> None:
    site = Site.build(1)
    site.look(1, ChargerState.AVAILABLE, faults=(Fault(FaultCode.GROUND),))
    assert site.status(1) == "Faulted"
    site.look(1, ChargerState.AVAILABLE)
    assert site.status(1) == "Available"


@pytest.mark.req("TC_041_CS")
def test_a_fault_during_a_transaction_withholds_energy_and_goes_back_to_where_it_was() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.look(1, ChargerState.CHARGING, faults=(Fault(FaultCode.OVER_CURRENT),))
    assert site.status(1) == "Faulted"
    assert not desired(site.station, 1).permit_charging
    site.charge(1)
    assert site.status(1) == "Charging"
    assert desired(site.station, 1).permit_charging
    assert not site.records(RecordKind.ENDED)


@pytest.mark.req("16-ST-02")
def test_a_warning_lets_charging_go_on() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.look(1, ChargerState.CHARGING, faults=(Fault(FaultCode.HIGH_TEMPERATURE, blocking=False),))
    assert site.status(1) == "Charging"
    assert desired(site.station, 1).permit_charging


def test_a_faulted_state_without_a_fault_is_a_fault() -> None:
    site = Site.build(1)
    site.look(1, ChargerState.FAULTED, faults=(Fault(FaultCode.WEAK_SIGNAL, blocking=False),))
    assert site.status(1) == "Faulted"


# --- silence


def test_a_charger_that_is_silent_for_longer_than_the_grace_time_is_faulted_until_its_next_word() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.lose(1)
    site.wait(OFFLINE_GRACE_S - 1)
    assert site.status(1) == "Charging"
    site.wait(1)
    assert site.status(1) == "Faulted"
    assert site.station.running(1) is not None
    site.charge(1)
    assert site.status(1) == "Charging"
    assert "connector.link" in site.told()


def test_a_car_that_left_while_the_charger_was_silent_ends_the_transaction() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.lose(1)
    site.wait(100)
    site.unplug(1)
    assert len(site.records(RecordKind.ENDED)) == 1


def test_an_outage_is_told_once() -> None:
    site = Site.build(1)
    site.lose(1)
    assert site.told() == ["connector.link"]
    site.lose(1)
    assert site.told() == []


def test_a_charger_that_was_never_seen_is_unavailable_first_and_faulted_later() -> None:
    site = Site.build(1, seen=False)
    assert site.status(1) == "Unavailable"
    site.lose(1)
    site.wait(BOOT_GRACE_S - 1)
    assert site.status(1) == "Unavailable"
    site.wait(1)
    assert site.status(1) == "Faulted"


# --- what is believed


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.BAD])
def test_a_reading_that_is_not_good_changes_no_fact(quality: Quality) -> None:
    site = Site.build(1)
    before = site.connector(1)
    site.look(1, ChargerState.CHARGING, quality=quality, faults=(Fault(FaultCode.GROUND),))
    assert site.connector(1) == before


@pytest.mark.parametrize("quality", list(Quality))
def test_a_token_counts_with_whatever_reading_it_came(quality: Quality) -> None:
    site = Site.build(1)
    site.look(1, ChargerState.AVAILABLE, quality=quality, token="ALICE")
    site.accept()
    assert site.status(1) == "Preparing"


@pytest.mark.parametrize("token", ["x" * 37, "AB\x00CD", ""])
def test_what_cannot_be_a_token_lets_nobody_in(token: str) -> None:
    site = Site.build(1)
    site.look(1, ChargerState.AVAILABLE, token=token)
    assert not site.station.pending


def test_a_token_with_the_plug_in_one_poll_starts() -> None:
    site = Site.build(1)
    site.look(1, ChargerState.CONNECTED, token="ALICE")
    site.accept()
    assert site.records()


def test_out_of_service_says_nothing_about_the_plug() -> None:
    site = Site.build(1)
    site.plug(1)
    site.look(1, ChargerState.UNAVAILABLE)
    assert site.connector(1).plugged
    site.look(1, ChargerState.UNAVAILABLE, plugged=False)
    assert not site.connector(1).plugged


def test_an_unknown_connector_is_ignored() -> None:
    site = Site.build(1)
    before = site.station
    site.look(9, ChargerState.CHARGING, token="ALICE")
    site.lose(9)
    assert site.station == before


def test_what_this_very_charger_can_do_is_learned_from_it() -> None:
    site = Site.build(1)
    site.look(1, ChargerState.AVAILABLE, capabilities=frozenset({Capability.WITHHOLD}))
    site.unlock(1)
    assert site.reply().status.value == "NotSupported"
    site.look(1, ChargerState.AVAILABLE)
    assert site.connector(1).can(Capability.UNLOCK)


def test_a_cable_that_is_sensed_in_the_lock_keeps_the_session_finishing() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.show("ALICE", 1)
    site.look(1, ChargerState.AVAILABLE, lock=LockState.LOCKED)
    site.look(1, ChargerState.AVAILABLE, lock=LockState.LOCKED)
    assert site.status(1) == "Finishing"
    site.look(1, ChargerState.AVAILABLE, lock=LockState.UNLOCKED)
    assert site.status(1) == "Available"


def test_a_driver_who_unplugs_before_the_start_has_left() -> None:
    site = Site.build(layouts=(layout(1, capabilities=FULL | {Capability.LOCK_CONTROL}),))
    site.plug(1)
    site.show("ALICE", 1)
    site.accept()
    assert site.connector(1).authorization is not None
    site.unplug(1)
    assert site.connector(1).authorization is None
    assert site.status(1) == "Available"


@pytest.mark.req("TC_034_CS", "16-BOOT-10")
def test_after_a_boot_the_kept_facts_are_shown() -> None:
    site = Site.build(3)
    site.available(1, False)
    site.reserve(1, "ALICE", 2)
    site.start(3, "BOB")
    site.show("BOB", 3)
    site.restart()
    site.look(1, ChargerState.AVAILABLE)
    site.look(2, ChargerState.AVAILABLE)
    site.plug(3)
    assert [site.status(n) for n in (1, 2, 3)] == ["Unavailable", "Reserved", "Finishing"]


def test_the_tick_alone_changes_no_fact_of_an_idle_connector() -> None:
    site = Site.build(1)
    before = site.station.connectors
    site.do(Tick())
    assert site.station.connectors == before
