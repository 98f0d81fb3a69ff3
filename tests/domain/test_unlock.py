"""UnlockConnector: the contactor first, then the lock; the charger has the last word."""

from __future__ import annotations

import pytest

from edged.dialects.v201 import POLICY as POLICY_201
from edged.domain.answers import Reason, TokenVerdict, UnlockStatus
from edged.domain.commands import ResetKind, ResetStation, UnlockConnector
from edged.domain.desired import desired
from edged.domain.effects import Perform, RecordKind, Reply, StopReason
from edged.domain.events import ActionPerformed, TokenAnswered
from edged.domain.hardware import Action, ActionOutcome, Capability, ChargerState, Meter
from edged.domain.policy import Trigger
from edged.domain.types import AuthorizationStatus, IdTokenInfo
from edged.domain.unlock import UNLOCK_S
from tests.fakes.site import FULL, Site, layout


def statuses(site: Site) -> list[UnlockStatus]:
    return [e.status for e in site.of(Reply)]


def performed(site: Site, outcome: ActionOutcome) -> list[UnlockStatus]:
    ticket = site.last(Perform).ticket
    site.do(ActionPerformed(ticket, outcome))
    return statuses(site)


@pytest.mark.req("TC_017_1_CS")
@pytest.mark.parametrize("plugged", [True, False])
def test_without_a_session_the_lock_is_opened_at_once(plugged: bool) -> None:
    site = Site.build(1)
    site.look(1, ChargerState.CONNECTED if plugged else ChargerState.AVAILABLE)
    site.unlock(1)
    (action,) = site.of(Perform)
    assert (action.connector, action.action) == (1, Action.UNLOCK)
    assert statuses(site) == []
    assert performed(site, ActionOutcome.DONE) == [UnlockStatus.UNLOCKED]


@pytest.mark.req("TC_018_1_CS")
def test_a_transaction_ends_first_and_the_lock_waits_for_the_open_contactor() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.unlock(1)
    assert site.records(RecordKind.ENDED)[-1].reason is StopReason.UNLOCK_COMMAND
    assert not site.of(Perform)
    site.advance(1)
    site.charge(1)
    assert not site.of(Perform), "still closed"
    site.advance(1)
    site.plug(1)
    assert site.of(Perform)
    assert performed(site, ActionOutcome.DONE) == [UnlockStatus.UNLOCKED]
    assert site.status(1) == "Finishing"


def test_a_reading_from_before_the_energy_was_withdrawn_proves_nothing() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.look(1, ChargerState.REQUESTING)
    site.unlock(1)
    assert not site.of(Perform), "the contactor may have closed since"
    site.advance(1)
    site.look(1, ChargerState.REQUESTING, permit_charging=True)
    assert not site.of(Perform), "the charger still has its permission"
    site.advance(1)
    site.look(1, ChargerState.REQUESTING, permit_charging=False)
    assert site.of(Perform)


def test_a_state_that_says_nothing_is_judged_by_the_power() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.unlock(1)
    site.advance(1)
    site.look(1, ChargerState.UNKNOWN, plugged=True, meter=Meter(power_w=7000.0))
    assert not site.of(Perform)
    site.advance(1)
    site.look(1, ChargerState.UNKNOWN, plugged=True, meter=Meter(power_w=2.0))
    assert site.of(Perform)


def test_a_contactor_that_stays_closed_is_never_unlocked() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.unlock(1)
    site.wait(UNLOCK_S)
    assert site.reply().status is UnlockStatus.FAILED
    assert not [e for e in site.history if isinstance(e, Perform)]


@pytest.mark.req("TC_030_CS")
@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (ActionOutcome.FAILED, UnlockStatus.FAILED),
        (ActionOutcome.TIMEOUT, UnlockStatus.FAILED),
        (ActionOutcome.UNSUPPORTED, UnlockStatus.NOT_SUPPORTED),
    ],
)
def test_the_charger_has_the_last_word(outcome: ActionOutcome, status: UnlockStatus) -> None:
    site = Site.build(1)
    site.unlock(1)
    assert performed(site, outcome) == [status]


def test_a_charger_that_says_nothing_is_not_waited_for_for_ever_and_its_late_word_is_not_passed_on() -> None:
    site = Site.build(1)
    site.unlock(1)
    site.wait(UNLOCK_S)
    assert site.reply().status is UnlockStatus.FAILED
    assert performed(site, ActionOutcome.DONE) == []


@pytest.mark.req("TC_017_2_CS", "TC_018_2_CS")
def test_without_a_lock_it_is_not_supported_and_the_transaction_goes_on() -> None:
    site = Site.build(layouts=(layout(1, capabilities=frozenset({Capability.WITHHOLD})),))
    site.start(1, "ALICE")
    site.unlock(1)
    assert statuses(site) == [UnlockStatus.NOT_SUPPORTED]
    assert site.status(1) == "Charging"


@pytest.mark.req("TC_031_CS")
@pytest.mark.parametrize("number", [0, 2, -1])
def test_an_unknown_connector_is_named_so(number: int) -> None:
    site = Site.build(1)
    site.unlock(number)
    assert statuses(site) == [UnlockStatus.UNKNOWN_CONNECTOR]


def test_a_silent_charger_cannot_be_unlocked_and_keeps_its_transaction() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.lose(1)
    site.unlock(1)
    assert statuses(site) == [UnlockStatus.FAILED]
    assert site.station.running(1) is not None


def test_a_second_unlock_meanwhile_fails_and_the_first_is_answered_once() -> None:
    site = Site.build(1)
    site.unlock(1)
    site.unlock(1)
    assert statuses(site) == [UnlockStatus.FAILED]
    assert performed(site, ActionOutcome.DONE) == [UnlockStatus.UNLOCKED]


def test_a_driver_who_is_being_judged_is_not_let_in_by_an_answer_after_the_unlock() -> None:
    site = Site.build(1)
    site.plug(1)
    site.show("ALICE", 1)
    ticket = site.question()
    site.unlock(1)
    assert TokenVerdict.NO_CONNECTOR in [e.status for e in site.of(Reply)]
    performed(site, ActionOutcome.DONE)
    site.do(TokenAnswered(ticket, IdTokenInfo(AuthorizationStatus.ACCEPTED)))
    site.plug(1)
    assert not site.records()


def test_during_an_unlock_the_lock_is_wanted_open_and_nobody_is_let_in() -> None:
    site = Site.build(layouts=(layout(1, capabilities=FULL | {Capability.LOCK_CONTROL}),))
    site.show("BOB", 1)
    site.accept()
    site.unlock(1)
    assert site.connector(1).authorization is None
    assert desired(site.station, 1).locked is False
    site.show("ALICE", 1)
    assert site.reply().status is TokenVerdict.NO_CONNECTOR


def test_before_a_restart_there_is_no_unlock() -> None:
    site = Site.build(1)
    site.charge(1)
    site.do(ResetStation(site.ref(), ResetKind.SOFT))
    site.unlock(1)
    assert statuses(site) == [UnlockStatus.FAILED]


# --- where an unlock ends no transaction (2.x F05)


def unlock_gently(site: Site, evse: int = 1, connector: int = 1) -> None:
    request = site.ref("UnlockConnector")
    site.do(UnlockConnector(request, evse=evse, connector_id=connector, ends_transaction=False))


@pytest.mark.req("F05.FR.02", "TC_F_05_CS")
def test_while_its_driver_charges_it_is_refused_and_nothing_happens() -> None:
    site = Site.build(1, policy=POLICY_201)
    site.start(1, "ALICE")
    unlock_gently(site)
    assert statuses(site) == [UnlockStatus.ONGOING_TRANSACTION]
    assert site.of(Perform) == []
    assert desired(site.station, 1).permit_charging


@pytest.mark.req("F05.FR.04")
def test_a_transaction_that_waits_for_its_driver_goes_on_and_says_so() -> None:
    site = Site.build(1, policy=POLICY_201, configuration={"TxStartPoint": "EVConnected"})
    site.plug(1)
    unlock_gently(site)
    site.advance(1)
    site.plug(1)
    assert performed(site, ActionOutcome.DONE) == [UnlockStatus.UNLOCKED]
    assert site.records()[-1].trigger is Trigger.UNLOCK_COMMAND
    assert site.station.running(1) is not None
    site.unplug(1)
    assert site.records()[-1].kind is RecordKind.ENDED


@pytest.mark.req("F05.FR.05")
@pytest.mark.parametrize(
    ("capabilities", "reason"),
    [
        (FULL - {Capability.UNLOCK}, Reason.UNSUPPORTED_REQUEST),
        (FULL - {Capability.UNLOCK, Capability.DETACHABLE}, Reason.FIXED_CABLE),
    ],
)
def test_a_charger_without_a_lock_says_why_nothing_is_released(
    capabilities: frozenset[Capability], reason: Reason
) -> None:
    site = Site.build(layouts=(layout(1, capabilities=capabilities),), policy=POLICY_201)
    unlock_gently(site)
    assert statuses(site) == [UnlockStatus.NOT_SUPPORTED]
    assert site.reply().reason == reason


@pytest.mark.req("F05.FR.03", "TC_F_10_CS")
@pytest.mark.parametrize(("evse", "connector"), [(0, 1), (2, 1), (1, 2), (1, 0)])
def test_an_unknown_place_is_said_to_be_unknown(evse: int, connector: int) -> None:
    site = Site.build(1, policy=POLICY_201)
    unlock_gently(site, evse, connector)
    assert statuses(site) == [UnlockStatus.UNKNOWN_CONNECTOR]
