"""OCPP stopped and started again by local people: nothing new is kept for the CSMS, everything local goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.domain import security_event
from edged.domain.answers import ReserveStatus, Switched, TriggerStatus, Undelivered, Verdict
from edged.domain.charging_commands import SetLocalLimit
from edged.domain.commands import ReportSecurityEvent, SendData, TriggerMessage
from edged.domain.effects import (
    Announce,
    AskAuthorization,
    Enqueue,
    LimitRecord,
    NoticeKind,
    Notify,
    RecordKind,
    SecurityRecord,
    TransactionRecord,
)
from edged.domain.events import BootAnswered, LinkDown, LinkUp, QuestionAnswered, Registration, SuspicionRaised, Tick
from edged.domain.hardware import ChargerState
from edged.domain.local_commands import RestartOcpp, StopOcpp
from edged.domain.policy import Trigger
from tests.fakes.site import POLICY, Site

TELLING = replace(POLICY, update_triggers=frozenset(Trigger), csms_names_transactions=False)
OFFLINE = {"AllowOfflineTxForUnknownId": "true"}
WHO = "mqtt:bms"


def begin(site: Site) -> None:
    """A transaction by the rules of a station without its CSMS."""
    site.plug(1)
    site.show("ALICE", 1)
    site.charge(1)
    assert site.station.running(1) is not None


def said(site: Site) -> list[Announce]:
    return [effect for effect in site.history if isinstance(effect, Announce)]


def stop(site: Site, *, line: bool = True) -> Any:
    """Stop OCPP; `line`: the line has gone by then."""
    site.do(StopOcpp(site.ref("stop", WHO)))
    answer = site.reply().status
    if line and site.station.link.online:
        site.do(LinkDown("OCPP was stopped"))
    return answer


def restart(site: Site) -> Any:
    site.do(RestartOcpp(site.ref("restart", WHO)))
    return site.reply().status


def accept(site: Site) -> None:
    site.do(LinkUp())
    site.do(BootAnswered(Registration.ACCEPTED, site.now.utc, 300))


def kept(site: Site) -> list[tuple[str, int]]:
    """The transaction records that wait for the CSMS."""
    records = [one for one in site.outbox.values() if isinstance(one, TransactionRecord)]
    return [(one.kind.value, one.seq_no) for one in records]


def test_each_says_whether_there_was_anything_to_do() -> None:
    site = Site.build()
    assert [restart(site), stop(site), stop(site), restart(site), restart(site)] == [
        Switched.AS_IT_WAS,
        Switched.CHANGED,
        Switched.AS_IT_WAS,
        Switched.CHANGED,
        Switched.AS_IT_WAS,
    ]
    kinds = [effect.kind for effect in said(site)]
    assert [kind for kind in kinds if kind in ("ocpp.stopped", "ocpp.restarted")] == ["ocpp.stopped", "ocpp.restarted"]


def test_a_transaction_of_the_meantime_is_never_told_not_even_its_end() -> None:
    site = Site.build(policy=TELLING, configuration=OFFLINE)
    stop(site)
    begin(site)
    site.wait(90)
    assert site.station.running(1) is not None
    assert site.outbox == {}
    assert restart(site) is Switched.CHANGED
    accept(site)
    site.wait(90)
    site.unplug(1)
    assert site.station.running(1) is None
    assert kept(site) == []
    assert site.station.transactions == {}


def test_that_holds_over_a_restart_of_the_daemon() -> None:
    site = Site.build(policy=TELLING, configuration=OFFLINE)
    stop(site)
    begin(site)
    site.restart(continued=True)
    assert site.station.isolation is None, "like EVerest's it does not outlive the daemon"
    running = site.station.running(1)
    assert running is not None and running.unheard
    site.do(LinkUp())
    site.do(BootAnswered(Registration.ACCEPTED, site.now.utc, 300))
    site.unplug(1)
    assert kept(site) == []
    assert site.station.transactions == {}


def test_a_transaction_from_before_goes_on_without_a_gap_in_its_numbers() -> None:
    site = Site.build(policy=TELLING)
    site.start(1)
    before = kept(site)
    stop(site)
    site.look(1, ChargerState.SUSPENDED_EV)
    site.look(1, ChargerState.CHARGING)
    assert kept(site) == before
    restart(site)
    accept(site)
    site.look(1, ChargerState.SUSPENDED_EV)
    site.unplug(1)
    numbers = [number for _, number in kept(site)]
    assert numbers == list(range(len(numbers)))
    assert kept(site)[-1][0] == RecordKind.ENDED.value


def test_where_a_running_transaction_stands_is_told_anew() -> None:
    site = Site.build(policy=TELLING)
    site.start(1)
    stop(site)
    site.look(1, ChargerState.SUSPENDED_EV)
    before = len(kept(site))
    restart(site)
    site.do(Tick())
    assert len(kept(site)) == before + 1


def test_an_end_in_the_meantime_is_not_kept_and_the_transaction_is_forgotten_with_its_last_record() -> None:
    site = Site.build(policy=TELLING)
    site.start(1)
    waiting = kept(site)
    stop(site)
    site.unplug(1)
    assert kept(site) == waiting
    assert len(site.station.transactions) == 1, "what was queued before stays queued"
    restart(site)
    accept(site)
    while kept(site):
        site.deliver()
    assert site.station.transactions == {}


def test_an_end_of_which_nothing_is_left_to_tell_forgets_the_transaction_at_once() -> None:
    site = Site.build(policy=TELLING)
    site.start(1)
    while kept(site):
        site.deliver()
    stop(site)
    site.unplug(1)
    assert site.station.transactions == {}
    assert "transaction.ended" in site.told()


def test_no_record_of_any_kind_is_kept_and_their_number_is_told() -> None:
    site = Site.build(policy=TELLING, configuration=OFFLINE)
    stop(site)
    history = len(site.history)
    begin(site)
    site.wait(3700)
    site.unplug(1)
    assert not [effect for effect in site.history[history:] if isinstance(effect, Enqueue)]
    restart(site)
    (restarted,) = [effect for effect in said(site) if effect.kind == "ocpp.restarted"]
    assert restarted.data["not_kept"] > 2


def test_local_authorization_and_reservations_go_on() -> None:
    site = Site.build(configuration=OFFLINE)
    site.reserve(7, connector=2, token="BOB")
    assert site.reply().status is ReserveStatus.ACCEPTED
    stop(site)
    site.plug(1)
    site.show("ALICE", 1)
    assert not [effect for effect in site.effects if isinstance(effect, AskAuthorization)]
    site.charge(1)
    assert site.station.running(1) is not None
    assert site.station.reservations.keys() == {7}


def test_nothing_is_said_to_the_csms_and_a_restart_introduces_the_station_anew() -> None:
    site = Site.build()
    stop(site, line=False)
    history = len(site.history)
    site.wait(600)
    assert not [effect for effect in site.history[history:] if isinstance(effect, Notify)]
    site.do(LinkDown("OCPP was stopped"))
    restart(site)
    site.do(LinkUp())
    assert [effect.kind for effect in site.effects if isinstance(effect, Notify)] == [NoticeKind.BOOT]
    assert site.station.boot.reason == "LocalReset"


def test_an_answer_that_was_on_its_way_registers_nobody() -> None:
    site = Site.build(online=False)
    site.do(LinkUp())
    stop(site, line=False)
    site.do(BootAnswered(Registration.ACCEPTED, site.now.utc, 300))
    assert site.station.link.registration is Registration.NONE


def test_a_security_event_is_not_promised_that_will_not_be_kept() -> None:
    site = Site.build()
    stop(site)
    site.do(ReportSecurityEvent(request=site.ref("security_event", WHO), event_type="DoorOpened"))
    assert site.reply().status is Undelivered.OFFLINE
    assert not [record for record in site.outbox.values() if isinstance(record, SecurityRecord)]
    restart(site)
    site.do(ReportSecurityEvent(request=site.ref("security_event", WHO), event_type="DoorOpened"))
    assert site.reply().status is Verdict.ACCEPTED


def test_a_question_to_the_csms_that_was_under_way_is_answered() -> None:
    site = Site.build()
    request = site.ref("data_transfer", WHO)
    site.do(SendData(request, "vendor", None, None))
    (ticket,) = site.station.pending
    stop(site)
    site.do(QuestionAnswered(ticket, None))
    assert site.reply().status is Undelivered.NO_ANSWER


@pytest.mark.parametrize("rounds", [1, 3])
def test_stopping_and_starting_in_the_middle_of_a_charge_doubles_nothing(rounds: int) -> None:
    site = Site.build(policy=TELLING)
    for _ in range(rounds):
        site.start(1)
        stop(site)
        site.wait(5)
        restart(site)
        accept(site)
        site.unplug(1)
        site.wait(2)
    kinds = [kind for kind, _ in kept(site)]
    assert kinds.count("started") == kinds.count("ended") == rounds


def test_what_waits_keeps_its_place_whatever_happens_while_ocpp_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue makes room for what comes; now nothing comes."""
    monkeypatch.setattr(security_event, "MAX_QUEUED", 5)
    site = Site.build(online=False)
    for number in range(8):
        site.do(
            ReportSecurityEvent(
                request=site.ref("security_event", WHO), event_type=f"Type{number}", info="", critical=True
            )
        )
    waiting = dict(site.station.security_queue)
    assert len(waiting) == 5
    stop(site)
    for number in range(8):
        site.do(SuspicionRaised("TamperDetectionActivated", str(number)))
    assert site.station.security_queue == waiting
    assert {seq for seq, one in site.outbox.items() if isinstance(one, SecurityRecord)} == set(waiting)


def set_limit(site: Site, ampere: int | None, evse: int = 1) -> None:
    limit_ma = None if ampere is None else ampere * 1000
    site.do(SetLocalLimit(request=site.ref("set_limit", WHO), limit_ma=limit_ma, evse=evse))
    assert site.reply().status is Verdict.ACCEPTED


def limits_told(site: Site) -> list[tuple[int, float | None]]:
    records = [effect.record for effect in site.history if isinstance(effect, Enqueue)]
    return [
        (one.evse_id, one.schedule.periods[0].limit if one.schedule else None)
        for one in records
        if isinstance(one, LimitRecord)
    ]


def test_a_limit_that_went_meanwhile_does_not_stay_in_the_csms_s_books_for_ever() -> None:
    site = Site.build(3, policy=replace(POLICY, limit_records=True))
    for evse in (1, 2):
        set_limit(site, 10, evse)
    stop(site)
    for evse in (1, 2, 3):
        set_limit(site, None, evse)
    set_limit(site, 12, 2)
    assert limits_told(site) == [(1, 10), (2, 10)]
    restart(site)
    accept(site)
    assert limits_told(site) == [(1, 10), (2, 10), (1, None), (2, 12)]


def test_a_trigger_while_the_line_still_ends_is_not_said_to_be_accepted() -> None:
    site = Site.build()
    stop(site, line=False)
    assert site.station.link.online
    site.do(TriggerMessage(site.ref("trigger_message", WHO), NoticeKind.HEARTBEAT))
    assert site.reply().status is TriggerStatus.REJECTED


@pytest.mark.parametrize("status", [Registration.PENDING, Registration.REJECTED])
def test_stopping_and_starting_does_not_shorten_the_time_that_the_csms_told_us_to_wait(status: Registration) -> None:
    site = Site.build(online=False)
    site.do(LinkUp())
    site.do(BootAnswered(status, site.now.utc, 120))
    stop(site)
    restart(site)
    site.do(LinkUp())
    boots = [effect for effect in site.wait(115, looks=False) if effect == Notify(NoticeKind.BOOT)]
    assert boots == []
    boots = [effect for effect in site.wait(10, looks=False) if effect == Notify(NoticeKind.BOOT)]
    assert len(boots) == 1
