"""Reset: transactions end, the answer goes out, energy off, the chargers, then ourselves; always in bounded time."""

from __future__ import annotations

import pytest

from edged.domain.answers import CertificateStatus, ResetStatus, Undelivered
from edged.domain.commands import (
    AcceptSignedChain,
    ChangeAvailability,
    InstallCertificate,
    ResetKind,
    ResetStation,
    SendData,
)
from edged.domain.credentials import CertificateUse
from edged.domain.desired import desired
from edged.domain.effects import Abandon, Perform, RecordKind, Reply, Restart, RestartScope, StopReason
from edged.domain.events import ActionPerformed
from edged.domain.hardware import Action, ActionOutcome, Capability, ChargerState
from edged.domain.reset import HARD_S, POWER_CYCLE_S, SOFT_S
from edged.domain.station import SiteRules
from tests.fakes.site import FULL, Site, layout

BOTH = FULL | {Capability.RESET_SOFT, Capability.RESET_HARD}
SENSE = FULL | {Capability.AVAILABILITY_SENSE}


def order(site: Site, kind: ResetKind = ResetKind.SOFT) -> None:
    site.do(ResetStation(site.ref("Reset"), kind))


def restarts(site: Site) -> list[RestartScope]:
    return [e.scope for e in site.history if isinstance(e, Restart)]


@pytest.mark.req("TC_014_CS")
def test_with_nothing_going_on_it_restarts_in_the_same_step_as_the_answer() -> None:
    site = Site.build(1)
    order(site)
    assert [e.status for e in site.of(Reply)] == [ResetStatus.ACCEPTED]
    assert restarts(site) == [RestartScope.SERVICE]
    assert site.station.next_boot_reason == "RemoteReset"


@pytest.mark.req("TC_013_CS")
@pytest.mark.parametrize("scope", list(RestartScope))
def test_a_hard_reset_restarts_what_the_installer_said(scope: RestartScope) -> None:
    site = Site.build(1, rules=SiteRules(hard_reset=scope))
    order(site, ResetKind.HARD)
    assert restarts(site) == [scope]


@pytest.mark.req("TC_015_CS", "TC_016_CS")
@pytest.mark.parametrize(
    ("kind", "reason"), [(ResetKind.SOFT, StopReason.SOFT_RESET), (ResetKind.HARD, StopReason.HARD_RESET)]
)
def test_transactions_end_and_energy_is_off_before_the_restart(kind: ResetKind, reason: StopReason) -> None:
    site = Site.build(2)
    site.start(1, "ALICE")
    order(site, kind)
    assert site.records(RecordKind.ENDED)[-1].reason is reason
    assert site.status(1) == "Finishing"
    assert not desired(site.station, 1).permit_charging
    assert not restarts(site)
    site.plug(1)
    assert not restarts(site), "the CSMS has not heard of it yet"
    site.deliver()
    site.deliver()
    assert len(restarts(site)) == 1


@pytest.mark.parametrize(("kind", "bound_s"), [(ResetKind.SOFT, SOFT_S), (ResetKind.HARD, HARD_S)])
def test_it_waits_for_nobody_longer_than_its_bound(kind: ResetKind, bound_s: float) -> None:
    site = Site.build(layouts=(layout(1, capabilities=BOTH),))
    site.start(1, "ALICE")
    order(site, kind)
    site.wait(bound_s - 1)
    assert not restarts(site)
    site.wait(1)
    assert len(restarts(site)) == 1
    site.wait(10)
    assert len(restarts(site)) == 1
    assert len(site.outbox) == 2, "what the CSMS has not heard is kept"


def test_offline_it_does_not_wait_for_the_csms() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.offline()
    order(site)
    site.plug(1)
    assert len(restarts(site)) == 1


def test_a_second_reset_meanwhile_is_rejected() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    order(site)
    order(site, ResetKind.HARD)
    assert [e.status for e in site.of(Reply)] == [ResetStatus.REJECTED]


# --- the chargers


@pytest.mark.parametrize(
    ("capabilities", "kind", "action"),
    [
        (BOTH, ResetKind.SOFT, Action.RESET_SOFT),
        (BOTH, ResetKind.HARD, Action.RESET_HARD),
        (FULL | {Capability.RESET_SOFT}, ResetKind.HARD, Action.RESET_SOFT),
        (FULL | {Capability.RESET_HARD}, ResetKind.SOFT, None),
        (FULL, ResetKind.HARD, None),
    ],
)
def test_each_charger_is_reset_by_the_register_that_it_has(
    capabilities: frozenset[Capability], kind: ResetKind, action: Action | None
) -> None:
    site = Site.build(layouts=(layout(1, capabilities=capabilities),))
    order(site, kind)
    assert [e.action for e in site.of(Perform)] == ([action] if action is not None else [])
    assert bool(restarts(site)) is (action is None)
    if action is not None:
        site.do(ActionPerformed(site.last(Perform).ticket, ActionOutcome.DONE))
        assert len(restarts(site)) == 1


def test_a_charger_with_two_connectors_is_reset_once() -> None:
    site = Site.build(
        layouts=(layout(1, capabilities=BOTH, charger="twin"), layout(2, capabilities=BOTH, charger="twin"))
    )
    order(site)
    assert len(site.of(Perform)) == 1


def test_a_silent_charger_is_not_waited_for() -> None:
    site = Site.build(layouts=(layout(1, capabilities=BOTH), layout(2)))
    site.lose(1)
    order(site)
    assert not site.of(Perform)
    assert len(restarts(site)) == 1


CYCLED = FULL | {Capability.RESET_HARD, Capability.POWER_CYCLE}


def test_a_silent_charger_whose_power_can_be_cut_is_reset_and_waited_for() -> None:
    site = Site.build(layouts=(layout(1, capabilities=CYCLED),))
    site.lose(1)
    order(site, ResetKind.HARD)
    assert [e.action for e in site.of(Perform)] == [Action.RESET_HARD]
    ticket = site.last(Perform).ticket
    site.wait(HARD_S + SOFT_S)
    assert not restarts(site), "it boots"
    site.do(ActionPerformed(ticket, ActionOutcome.DONE))
    assert len(restarts(site)) == 1


def test_a_power_cycle_is_not_waited_for_for_ever() -> None:
    site = Site.build(layouts=(layout(1, capabilities=CYCLED),))
    order(site, ResetKind.HARD)
    site.wait(POWER_CYCLE_S - 1)
    assert not restarts(site)
    site.wait(1)
    assert len(restarts(site)) == 1


def test_after_a_power_cycle_the_csms_is_not_waited_for_longer_than_after_any_hard_reset() -> None:
    site = Site.build(layouts=(layout(1, capabilities=CYCLED),))
    site.start(1, "ALICE")
    order(site, ResetKind.HARD)
    site.plug(1)
    site.do(ActionPerformed(site.last(Perform).ticket, ActionOutcome.DONE))
    assert not restarts(site)
    site.wait(HARD_S)
    assert len(restarts(site)) == 1


def test_a_charger_that_goes_on_charging_is_cut_at_the_bound() -> None:
    site = Site.build(layouts=(layout(1, capabilities=CYCLED),))
    site.start(1, "ALICE")
    order(site, ResetKind.HARD)
    assert not site.of(Perform)
    site.wait(HARD_S)
    assert [e.action for e in site.history if isinstance(e, Perform)] == [Action.RESET_HARD]
    assert not restarts(site)


def test_no_charger_is_reset_while_energy_flows() -> None:
    site = Site.build(layouts=(layout(1, capabilities=BOTH),))
    site.start(1, "ALICE")
    order(site)
    site.charge(1)
    assert not site.of(Perform)
    site.plug(1)
    assert site.of(Perform)


@pytest.mark.parametrize("retries", [0, 2])
def test_a_failed_charger_is_tried_again_as_often_as_the_key_says(retries: int) -> None:
    site = Site.build(layouts=(layout(1, capabilities=BOTH),), configuration={"ResetRetries": str(retries)})
    order(site)
    for _ in range(retries):
        site.do(ActionPerformed(site.last(Perform).ticket, ActionOutcome.FAILED))
        assert len(site.of(Perform)) == 1
        assert not restarts(site)
    site.do(ActionPerformed(site.last(Perform).ticket, ActionOutcome.TIMEOUT))
    assert not site.of(Perform)
    assert len(restarts(site)) == 1


def test_a_charger_that_cannot_after_all_is_not_tried_again() -> None:
    site = Site.build(layouts=(layout(1, capabilities=BOTH),))
    order(site)
    site.do(ActionPerformed(site.last(Perform).ticket, ActionOutcome.UNSUPPORTED))
    assert not site.of(Perform)
    assert len(restarts(site)) == 1


# --- nobody is left without an answer


def test_whoever_waits_is_answered_before_the_restart() -> None:
    site = Site.build(layouts=(layout(1), layout(2, capabilities=SENSE), layout(3)))
    site.charge(3)
    site.show("ALICE", 1)
    site.unlock(3)
    site.available(2, False)
    order(site, ResetKind.HARD)
    site.wait(HARD_S, looks=False)
    assert len(restarts(site)) == 1
    assert not site.station.pending
    assert not site.witness.waiting


def test_whoever_asks_after_the_restart_was_ordered_is_answered_as_well() -> None:
    site = Site.build(layouts=(layout(1, capabilities=SENSE),))
    order(site)
    site.do(ChangeAvailability(site.ref(), 1, False))
    assert not site.witness.waiting


# --- what stays


@pytest.mark.req("TC_013_CS", "TC_B_24", "B11.FR.05")
def test_availability_and_reservations_are_as_before_afterwards() -> None:
    site = Site.build(2)
    site.available(1, False)
    site.reserve(1, "ALICE", 2)
    order(site, ResetKind.HARD)
    site.restart(continued=True)
    for number in (1, 2):
        site.look(number, ChargerState.AVAILABLE)
    assert [site.status(n) for n in (1, 2)] == ["Unavailable", "Reserved"]
    assert site.station.reset is None


def test_whoever_waits_for_a_judgement_or_for_the_csms_is_answered_before_the_restart() -> None:
    site = Site.build(1)
    site.do(InstallCertificate(site.ref("InstallCertificate"), CertificateUse.CSMS_ROOT, "pem"))
    site.do(AcceptSignedChain(site.ref("CertificateSigned"), "chain"))
    site.do(SendData(site.ref("data_transfer", "mqtt:bms"), "vendor", None, None))
    order(site)
    said = {effect.request.action: effect.status for effect in site.of(Reply)}
    assert said["InstallCertificate"] is CertificateStatus.FAILED
    assert said["CertificateSigned"] is CertificateStatus.REJECTED
    assert said["data_transfer"] is Undelivered.NO_ANSWER
    assert len(site.of(Abandon)) == 2 and restarts(site) == [RestartScope.SERVICE]
