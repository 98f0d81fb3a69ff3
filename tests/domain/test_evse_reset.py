"""Reset as 2.x means it: now or when idle, the station or one EVSE. B11, B12."""

from __future__ import annotations

import pytest

from edged.dialects.v201 import POLICY
from edged.domain.answers import AvailabilityStatus, Reason, ResetStatus, TokenVerdict
from edged.domain.commands import ChangeAvailability, GetLog, ResetKind, ResetStation
from edged.domain.desired import desired
from edged.domain.effects import Perform, RecordKind, Reply, Restart, StopReason
from edged.domain.events import ActionPerformed, JobDone
from edged.domain.evse_reset import ENERGY_OFF_S, RESET_S, allowed
from edged.domain.files import LogKind, LogOrder
from edged.domain.hardware import Action, ActionOutcome, Capability, ChargerState, LockState
from edged.domain.idleness import is_idle
from edged.domain.jobs import Cause, Failed
from edged.domain.policy import Trigger
from edged.domain.status import availability_state
from tests.fakes.site import FULL, Site, layout

SOFTLY, HARDLY = FULL | {Capability.RESET_SOFT}, FULL | {Capability.RESET_HARD}
ACCEPTED, REJECTED, SCHEDULED = ResetStatus.ACCEPTED, ResetStatus.REJECTED, ResetStatus.SCHEDULED
IMMEDIATE, ON_IDLE = ResetKind.HARD, ResetKind.ON_IDLE


def build(connectors: int = 2, capabilities: frozenset[Capability] = SOFTLY) -> Site:
    shapes = tuple(layout(n, capabilities=capabilities) for n in range(1, connectors + 1))
    return Site.build(layouts=shapes, policy=POLICY)


def reset(site: Site, kind: ResetKind, evse: int | None = None) -> ResetStatus:
    request = site.ref("Reset")
    site.do(ResetStation(request, kind, evse))
    (status,) = (e.status for e in site.of(Reply) if e.request == request)
    assert isinstance(status, ResetStatus)
    return status


def restarts(site: Site) -> int:
    return sum(isinstance(e, Restart) for e in site.history)


def performs(site: Site) -> list[tuple[int, Action]]:
    return [(e.connector, e.action) for e in site.history if isinstance(e, Perform)]


def states(site: Site) -> list[str]:
    return [availability_state(site.station, number) for number in site.station.connectors]


def deliver(site: Site) -> None:
    """The CSMS takes everything."""
    while site.outbox:
        site.deliver()


def done(site: Site, outcome: ActionOutcome = ActionOutcome.DONE) -> None:
    """The charger was reset, and is heard again."""
    ask: Perform = site.last(Perform)
    site.do(ActionPerformed(ask.ticket, outcome, ""))
    site.advance(1)
    site.look(ask.connector, ChargerState.AVAILABLE)


# --- the station, when it is idle


@pytest.mark.req("B11.FR.01", "B11.FR.03", "B11.FR.04", "TC_B_20_CS")
def test_an_idle_station_is_reset_at_once() -> None:
    site = build(capabilities=FULL)
    assert reset(site, ON_IDLE) is ACCEPTED
    assert restarts(site) == 1
    assert site.station.next_boot_reason == "RemoteReset"


@pytest.mark.req("B12.FR.01", "B12.FR.03", "B11.FR.07", "TC_B_21_CS", "TC_B_41_CS")
def test_it_waits_for_every_transaction_and_ends_none() -> None:
    site = build(3, FULL)
    site.start(1, "ALICE")
    site.start(2, "BOB")
    assert reset(site, ON_IDLE) is SCHEDULED
    assert site.records(RecordKind.ENDED) == []
    assert states(site) == ["Occupied", "Occupied", "Unavailable"]
    site.show("MUM", 3)
    assert site.reply().status is TokenVerdict.NO_CONNECTOR
    for number, token in ((1, "ALICE"), (2, "BOB")):
        assert restarts(site) == 0
        site.show(token, number)
        site.unplug(number)
    assert [r.reason for r in site.records(RecordKind.ENDED)] == [StopReason.LOCAL, StopReason.LOCAL]
    deliver(site)
    assert restarts(site) == 1
    assert site.station.next_boot_reason == "ScheduledReset"


@pytest.mark.req("B12.FR.01")
@pytest.mark.parametrize("what", ["judged", "let in", "reserved", "cable", "upload"])
def test_it_waits_for_whatever_it_could_disturb(what: str) -> None:
    site = build(capabilities=FULL)
    if what in ("judged", "let in"):
        site.show("ALICE", 1)
    if what == "let in":
        site.accept()
    if what == "reserved":
        site.reserve(7, "ALICE", 1)
    if what == "cable":
        site.look(1, ChargerState.CONNECTED, lock=LockState.LOCKED)
    if what == "upload":
        order = LogOrder(kind=LogKind.DIAGNOSTICS, location="http://logs.example.com/", filename="", request_id=1)
        site.do(GetLog(site.ref("GetLog"), order))
    assert not is_idle(site.station)
    assert reset(site, ON_IDLE) is SCHEDULED
    assert restarts(site) == 0
    if what == "judged":
        site.refuse()
    if what == "let in":
        site.show("ALICE", 1)
    if what == "reserved":
        assert states(site) == ["Reserved", "Unavailable"]
        site.cancel(7)
    if what == "cable":
        site.look(1, ChargerState.AVAILABLE, lock=LockState.UNLOCKED)
    if what == "upload":
        assert site.station.upload is not None
        assert site.station.upload.ticket is not None
        site.do(JobDone(site.station.upload.ticket, Failed("gone", Cause.OTHER)))
    deliver(site)
    assert restarts(site) == 1


def test_a_cable_that_nobody_locked_is_not_waited_for() -> None:
    site = build(capabilities=FULL)
    site.plug(1)
    assert reset(site, ON_IDLE) is ACCEPTED


@pytest.mark.req("B12.FR.02", "B12.FR.04", "TC_B_22_CS")
def test_an_immediate_one_ends_transactions_also_where_one_was_scheduled() -> None:
    site = build(capabilities=FULL)
    site.start(1, "ALICE")
    assert reset(site, ON_IDLE) is SCHEDULED
    assert reset(site, IMMEDIATE) is ACCEPTED
    (ended,) = site.records(RecordKind.ENDED)
    assert (ended.reason, ended.trigger) == (StopReason.HARD_RESET, Trigger.RESET_COMMAND)
    assert site.station.next_boot_reason == "RemoteReset"


def test_a_restart_is_a_reset() -> None:
    site = build(capabilities=FULL)
    site.start(1, "ALICE")
    reset(site, ON_IDLE)
    site.restart(continued=True)
    site.charge(1)
    site.show("ALICE", 1)
    site.unplug(1)
    assert restarts(site) == 0


@pytest.mark.req("B11.FR.05", "TC_B_24_CS")
def test_what_was_reserved_is_reserved_after_an_immediate_one() -> None:
    site = build(capabilities=FULL)
    site.reserve(7, "ALICE", 1)
    assert reset(site, IMMEDIATE) is ACCEPTED
    site.restart(continued=True)
    site.look(1, ChargerState.AVAILABLE)
    assert states(site)[0] == "Reserved"


@pytest.mark.req("B11.FR.02", "B12.FR.06", "TC_B_23_CS")
def test_what_was_out_of_service_is_so_after_it() -> None:
    site = build(capabilities=FULL)
    site.do(ChangeAvailability(site.ref("ChangeAvailability"), None, operative=False, evse=1))
    assert site.reply().status is AvailabilityStatus.ACCEPTED
    assert reset(site, ON_IDLE) is ACCEPTED
    site.restart(continued=True)
    for number in (1, 2):
        site.look(number, ChargerState.AVAILABLE)
    assert states(site) == ["Unavailable", "Available"]


# --- one EVSE


@pytest.mark.req("B11.FR.08", "B11.FR.10", "TC_B_25_CS")
@pytest.mark.parametrize("kind", [IMMEDIATE, ON_IDLE])
@pytest.mark.parametrize(
    ("capabilities", "action"), [(SOFTLY, Action.RESET_SOFT), (HARDLY, Action.RESET_HARD)], ids=["soft", "hard"]
)
def test_only_its_charger_is_reset(kind: ResetKind, capabilities: frozenset[Capability], action: Action) -> None:
    site = build(capabilities=capabilities)
    assert allowed(site.station, 2)
    assert reset(site, kind, 2) is ACCEPTED
    assert performs(site) == [(2, action)]
    assert restarts(site) == 0
    done(site)
    site.start(2, "ALICE")
    assert desired(site.station, 2).permit_charging


def test_where_a_charger_can_be_reset_both_ways_an_idle_one_is_reset_softly() -> None:
    site = build(capabilities=SOFTLY | HARDLY)
    reset(site, ON_IDLE, 1)
    reset(site, IMMEDIATE, 2)
    assert performs(site) == [(1, Action.RESET_SOFT), (2, Action.RESET_HARD)]


@pytest.mark.req("B12.FR.02", "B12.FR.08", "TC_B_27_CS")
def test_its_transaction_ends_and_the_others_go_on() -> None:
    site = build()
    site.start(1, "ALICE")
    site.start(2, "BOB")
    assert reset(site, IMMEDIATE, 2) is ACCEPTED
    (ended,) = site.records(RecordKind.ENDED)
    assert (ended.connector, ended.reason, ended.trigger) == (2, StopReason.HARD_RESET, Trigger.RESET_COMMAND)
    assert performs(site) == [], "energy still flows"
    site.plug(2)
    assert performs(site) == [(2, Action.RESET_SOFT)]
    assert (desired(site.station, 1).permit_charging, desired(site.station, 2).permit_charging) == (True, False)


def test_a_contactor_that_does_not_open_is_not_waited_for_for_ever() -> None:
    site = build()
    site.start(2, "BOB")
    reset(site, IMMEDIATE, 2)
    site.wait(ENERGY_OFF_S)
    assert performs(site) == [(2, Action.RESET_SOFT)]


@pytest.mark.req("B12.FR.01", "B12.FR.07", "TC_B_26_CS")
def test_when_idle_means_the_end_of_its_own_transaction() -> None:
    site = build()
    site.start(1, "ALICE")
    site.start(2, "BOB")
    assert reset(site, ON_IDLE, 2) is SCHEDULED
    site.show("BOB", 2)
    site.unplug(2)
    assert performs(site) == [(2, Action.RESET_SOFT)]
    assert [r.reason for r in site.records(RecordKind.ENDED)] == [StopReason.LOCAL]
    assert states(site)[0] == "Occupied"


@pytest.mark.req("B12.FR.01")
def test_when_idle_waits_for_whoever_has_reserved_it() -> None:
    site = build()
    site.reserve(7, "ALICE", 2)
    assert reset(site, ON_IDLE, 1) is ACCEPTED
    assert reset(site, ON_IDLE, 2) is SCHEDULED
    assert states(site)[1] == "Reserved"
    site.cancel(7)
    assert performs(site) == [(1, Action.RESET_SOFT), (2, Action.RESET_SOFT)]


@pytest.mark.req("B11.FR.05", "B11.FR.08")
def test_its_reservation_stays() -> None:
    site = build()
    site.reserve(7, "ALICE", 2)
    assert reset(site, IMMEDIATE, 2) is ACCEPTED
    assert states(site) == ["Available", "Reserved"]
    done(site)
    assert states(site) == ["Available", "Reserved"]


def test_nobody_is_let_in_until_it_is_back() -> None:
    site = build()
    reset(site, IMMEDIATE, 2)
    site.show("ALICE", 2)
    assert site.reply().status is TokenVerdict.NO_CONNECTOR
    ask: Perform = site.last(Perform)
    site.do(ActionPerformed(ask.ticket, ActionOutcome.DONE, ""))
    site.show("ALICE", 2)
    assert [e.status for e in site.of(Reply)] == [TokenVerdict.NO_CONNECTOR], "it has not been heard since"
    site.advance(1)
    site.look(2, ChargerState.AVAILABLE)
    site.show("ALICE", 2)
    site.accept()
    assert site.connector(2).authorization is not None


def test_a_reset_that_fails_is_tried_again_and_then_given_up() -> None:
    site = build()
    site.set("ResetRetries", "1")
    reset(site, IMMEDIATE, 2)
    done(site, ActionOutcome.FAILED)
    assert len(performs(site)) == 2
    done(site, ActionOutcome.FAILED)
    assert len(performs(site)) == 2
    assert "connector.reset_failed" in [getattr(e, "kind", None) for e in site.history]
    assert site.station.pending == {}


def test_a_charger_that_says_nothing_any_more_is_let_go_at_last() -> None:
    site = build()
    reset(site, IMMEDIATE, 2)
    site.lose(2)
    site.wait(RESET_S)
    assert site.station.pending == {}


@pytest.mark.req("B11.FR.09", "B12.FR.09", "TC_B_28_CS", "TC_B_29_CS")
@pytest.mark.parametrize("charging", [False, True])
def test_a_charger_that_cannot_be_reset_is_rejected(charging: bool) -> None:
    site = build(capabilities=FULL)
    if charging:
        site.start(2, "BOB")
    for kind in (IMMEDIATE, ON_IDLE):
        assert reset(site, kind, 2) is REJECTED
        assert site.reply().reason == Reason.UNSUPPORTED_REQUEST
    assert not allowed(site.station, 2)
    assert site.records(RecordKind.ENDED) == []


@pytest.mark.req("B11.FR.09", "B11.FR.10")
def test_a_charger_with_two_evses_cannot_be_reset_for_one_of_them() -> None:
    shapes = tuple(layout(n, charger="twin", capabilities=SOFTLY) for n in (1, 2))
    site = Site.build(layouts=shapes, policy=POLICY)
    assert not allowed(site.station, 1)
    assert reset(site, IMMEDIATE, 1) is REJECTED


@pytest.mark.req("B11.FR.06", "B12.FR.10")
@pytest.mark.parametrize("how", ["unknown", "silent", "under way", "restarting"])
def test_what_cannot_be_reset_now_is_rejected(how: str) -> None:
    site = build()
    evse = 9 if how == "unknown" else 2
    if how == "silent":
        site.lose(2)
    if how == "under way":
        reset(site, IMMEDIATE, 2)
    if how == "restarting":
        reset(site, IMMEDIATE)
    assert reset(site, IMMEDIATE, evse) is REJECTED


# --- chargers that are reset together


def together(action: Action, capabilities: frozenset[Capability]) -> Site:
    """Two EVSEs with a charger each, behind one controller that the action resets as a whole."""
    marks = {action: frozenset({"controller"})}
    shapes = tuple(layout(n, capabilities=capabilities, reset_marks=marks) for n in (1, 2))
    return Site.build(layouts=shapes, policy=POLICY)


@pytest.mark.req("B11.FR.09", "B11.FR.10")
@pytest.mark.parametrize(
    ("capabilities", "status"), [(SOFTLY, REJECTED), (SOFTLY | HARDLY, ACCEPTED)], ids=["only so", "also another way"]
)
def test_what_takes_others_along_is_not_done_for_one_evse(
    capabilities: frozenset[Capability], status: ResetStatus
) -> None:
    site = together(Action.RESET_SOFT, capabilities)
    assert allowed(site.station, 1) is (status is ACCEPTED)
    assert reset(site, ON_IDLE, 1) is status
    assert performs(site) == ([(1, Action.RESET_HARD)] if status is ACCEPTED else [])


def test_the_whole_station_resets_such_a_controller_once() -> None:
    site = together(Action.RESET_SOFT, SOFTLY)
    assert reset(site, ON_IDLE) is ACCEPTED
    assert performs(site) == [(1, Action.RESET_SOFT)]
