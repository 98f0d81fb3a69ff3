"""A lock that local people want closed or open: never against a session, and only the charger's word is an answer."""

from __future__ import annotations

from typing import Any

import pytest

from edged.domain.answers import FaultStatus, LockStatus
from edged.domain.commands import UnlockConnector
from edged.domain.desired import desired
from edged.domain.effects import Reply
from edged.domain.hardware import Capability, ChargerState, Fault, FaultCode, LockState
from edged.domain.local_commands import ClearFault, LockWish, SetLock
from tests.fakes.site import FULL, Site, layout

LOCKING = FULL | {Capability.LOCK_CONTROL, Capability.LOCK_SENSE}


def built(capabilities: Any = LOCKING) -> Site:
    return Site.build(layouts=(layout(1, capabilities=frozenset(capabilities)),))


def order(site: Site, wish: LockWish) -> LockStatus | None:
    """The answer, where there is one at once."""
    site.do(SetLock(site.ref("set_lock", "mqtt:bms"), 1, wish))
    return answered(site)


def answered(site: Site) -> Any:
    replies = [effect for effect in site.effects if isinstance(effect, Reply)]
    return replies[0].status if replies else None


def look(site: Site, lock: LockState, state: ChargerState = ChargerState.AVAILABLE, **facts: Any) -> Any:
    site.advance(1)
    site.look(1, state, lock=lock, **facts)
    return answered(site)


def test_it_is_accepted_when_the_charger_says_so_and_not_before() -> None:
    site = built()
    assert order(site, LockWish.LOCKED) is None
    assert desired(site.station, 1).locked is True
    assert look(site, LockState.UNLOCKED) is None
    assert look(site, LockState.LOCKED) is LockStatus.ACCEPTED


def test_it_stays_so_over_sessions_and_restarts_until_it_is_taken_back() -> None:
    site = built()
    order(site, LockWish.LOCKED)
    look(site, LockState.LOCKED)
    site.restart()
    assert desired(site.station, 1).locked is True
    look(site, LockState.LOCKED)
    assert order(site, LockWish.AUTO) is None
    assert desired(site.station, 1).locked is False
    assert look(site, LockState.UNLOCKED) is LockStatus.ACCEPTED


@pytest.mark.parametrize(
    ("capabilities", "why"),
    [(LOCKING - {Capability.LOCK_CONTROL}, "commanded"), (LOCKING - {Capability.LOCK_SENSE}, "how its lock stands")],
)
def test_what_cannot_be_commanded_or_read_back_is_not_supported(capabilities: Any, why: str) -> None:
    site = built(capabilities)
    assert order(site, LockWish.LOCKED) is LockStatus.NOT_SUPPORTED
    assert why in site.reply().detail
    assert site.station.connectors[1].kept_locked is False


def test_a_car_that_charges_is_not_unlocked() -> None:
    site = built()
    site.plug(1)
    site.show("ALICE", 1)
    site.accept()
    look(site, LockState.LOCKED, ChargerState.CHARGING)
    look(site, LockState.LOCKED, ChargerState.CHARGING)
    assert site.station.running(1) is not None
    assert order(site, LockWish.UNLOCKED) is LockStatus.REJECTED
    assert desired(site.station, 1).locked is True
    assert order(site, LockWish.LOCKED) is None
    assert look(site, LockState.LOCKED, ChargerState.CHARGING) is LockStatus.ACCEPTED


def test_energy_that_flows_without_a_transaction_keeps_the_lock_closed() -> None:
    site = built()
    look(site, LockState.LOCKED, ChargerState.CHARGING, permit_charging=True)
    assert site.station.running(1) is None
    assert order(site, LockWish.UNLOCKED) is LockStatus.REJECTED


def test_a_driver_who_is_about_to_charge_is_not_unlocked() -> None:
    site = built()
    site.plug(1)
    site.show("ALICE", 1)
    site.accept()
    assert order(site, LockWish.UNLOCKED) is LockStatus.REJECTED


def test_a_jammed_lock_is_a_failure_and_leaves_no_wish_behind() -> None:
    site = built()
    order(site, LockWish.LOCKED)
    assert look(site, LockState.JAMMED) is LockStatus.FAILED
    assert desired(site.station, 1).locked is False


def test_a_charger_that_says_nothing_in_time_is_a_failure() -> None:
    site = built()
    order(site, LockWish.LOCKED)
    told = [effect for effect in site.wait(26, looks=False) if isinstance(effect, Reply)]
    assert [one.status for one in told] == [LockStatus.FAILED]
    assert desired(site.station, 1).locked is False


def test_one_order_at_a_time() -> None:
    site = built()
    order(site, LockWish.LOCKED)
    assert order(site, LockWish.UNLOCKED) is LockStatus.REJECTED


def test_a_silent_charger_is_not_asked() -> None:
    site = built()
    site.lose(1)
    assert order(site, LockWish.LOCKED) is LockStatus.REJECTED


def test_unlocking_by_command_takes_the_wish_back() -> None:
    site = built()
    order(site, LockWish.LOCKED)
    look(site, LockState.LOCKED)
    site.unlock(1)
    assert site.station.connectors[1].kept_locked is False


def test_an_unlock_in_between_is_no_success_of_an_order_to_lock() -> None:
    site = built()
    order(site, LockWish.LOCKED)
    site.do(UnlockConnector(site.ref("unlock_connector", "mqtt:bms"), 1))
    assert [one.status for one in site.history if isinstance(one, Reply) and one.request.action == "set_lock"] == [
        LockStatus.FAILED
    ]
    assert "unlock" in site.reply().detail


def test_a_driver_who_comes_in_between_closes_the_lock_and_is_no_success_of_an_order_to_unlock() -> None:
    site = built()
    order(site, LockWish.LOCKED)
    look(site, LockState.LOCKED)
    assert order(site, LockWish.UNLOCKED) is None
    assert look(site, LockState.LOCKED, ChargerState.CONNECTED, plugged=True) is None
    site.show("ALICE", 1)
    site.accept()
    look(site, LockState.LOCKED, ChargerState.CONNECTED, plugged=True)
    answers = [one for one in site.history if isinstance(one, Reply) and one.request.action == "set_lock"]
    assert [one.status for one in answers] == [LockStatus.ACCEPTED, LockStatus.FAILED]


def test_a_lock_that_is_kept_closed_stays_so_where_closing_it_again_fails() -> None:
    site = built()
    order(site, LockWish.LOCKED)
    look(site, LockState.LOCKED)
    order(site, LockWish.LOCKED)
    told = [effect for effect in site.wait(26, looks=False) if isinstance(effect, Reply)]
    assert [one.status for one in told] == [LockStatus.FAILED]
    assert desired(site.station, 1).locked is True


def test_a_fault_cannot_be_cleared_by_command_and_it_is_said_why() -> None:
    site = built()
    site.do(ClearFault(site.ref("clear_fault", "mqtt:bms"), 1))
    assert site.reply().status is FaultStatus.REJECTED
    look(site, LockState.UNLOCKED, ChargerState.FAULTED, faults=(Fault(FaultCode.GROUND),))
    site.do(ClearFault(site.ref("clear_fault", "mqtt:bms"), 1))
    assert site.reply().status is FaultStatus.NOT_SUPPORTED
    assert "cause" in site.reply().detail
