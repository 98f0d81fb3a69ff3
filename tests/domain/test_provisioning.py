"""Registration, heartbeat, the clock, triggered messages."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from edged.dialects.v201 import POLICY as POLICY_201
from edged.domain.answers import Reason, TransferStatus, TriggerStatus
from edged.domain.commands import ReceiveData, TriggerMessage
from edged.domain.effects import (
    Enqueue,
    LearnTime,
    NoticeKind,
    Notify,
    RecordKind,
    Reply,
    SampleContext,
    TransactionRecord,
)
from edged.domain.events import (
    BootAnswered,
    BootFailed,
    LinkDown,
    LinkUp,
    Registration,
    RegistrationLost,
    Started,
    Tick,
    TimeTold,
)
from edged.domain.hardware import Measurand
from edged.domain.policy import Trigger
from edged.domain.provisioning import HEARTBEAT_MAX_S, OWN_INTERVAL_S, RETRY_S
from edged.domain.station import SiteRules
from edged.domain.types import Stamp
from tests.fakes.site import POLICY, START, Site, layout


def boots(effects: object) -> int:
    return sum(isinstance(e, Notify) and e.kind is NoticeKind.BOOT for e in effects)  # type: ignore[attr-defined]


def beats(effects: object) -> int:
    return sum(isinstance(e, Notify) and e.kind is NoticeKind.HEARTBEAT for e in effects)  # type: ignore[attr-defined]


def answer(site: Site, status: Registration, interval_s: int) -> None:
    site.do(BootAnswered(status, site.now.utc, interval_s))


# --- registration


@pytest.mark.req("TC_001_CS", "16-BOOT-01")
def test_the_station_introduces_itself_once_it_is_connected() -> None:
    site = Site.build(1, online=False)
    assert boots(site.history) == 0
    assert boots(site.do(LinkUp())) == 1
    assert boots(site.wait(100)) == 0, "not again while the first is on its way"


@pytest.mark.req("TC_001_CS", "TC_002_CS", "16-BOOT-03", "16-BOOT-04")
@pytest.mark.parametrize("status", [Registration.REJECTED, Registration.PENDING])
def test_not_accepted_it_waits_as_long_as_the_csms_said(status: Registration) -> None:
    site = Site.build(1, online=False)
    site.do(LinkUp())
    answer(site, status, 90)
    assert not site.station.link.serving
    assert boots(site.wait(89)) == 0
    assert boots(site.wait(1)) == 1


@pytest.mark.req("16-BOOT-03")
@pytest.mark.parametrize("interval_s", [0, -7])
def test_without_an_interval_it_waits_its_own_time(interval_s: int) -> None:
    site = Site.build(1, online=False)
    site.do(LinkUp())
    answer(site, Registration.REJECTED, interval_s)
    assert boots(site.wait(OWN_INTERVAL_S - 1)) == 0
    assert boots(site.wait(1)) == 1


@pytest.mark.req("16-BOOT-03")
def test_a_reconnect_does_not_shorten_the_wait() -> None:
    site = Site.build(1, online=False)
    site.do(LinkUp())
    answer(site, Registration.REJECTED, 90)
    site.do(LinkDown("closed by the CSMS"))
    assert boots(site.do(LinkUp())) == 0
    assert boots(site.wait(90)) == 1


@pytest.mark.req("TC_036_CS", "16-J-07")
def test_a_plain_reconnect_introduces_nobody_again() -> None:
    site = Site.build(1)
    site.offline()
    assert boots(site.do(LinkUp())) == 0
    assert boots(site.wait(10)) == 0
    assert site.station.link.serving


def test_an_unusable_answer_is_asked_for_again_not_too_soon() -> None:
    site = Site.build(1, online=False)
    site.do(LinkUp())
    site.do(BootFailed())
    assert boots(site.wait(RETRY_S - 1)) == 0
    assert boots(site.wait(1)) == 1


@pytest.mark.req("16-BOOT-03")
def test_a_failure_never_shortens_what_the_csms_said() -> None:
    site = Site.build(1, online=False)
    site.do(LinkUp())
    answer(site, Registration.PENDING, 300)
    trigger(site, NoticeKind.BOOT)
    assert boots(site.effects) == 1
    site.do(BootFailed())
    assert boots(site.wait(299)) == 0
    assert boots(site.wait(1)) == 1


# --- heartbeat


@pytest.mark.req("16-BOOT-02")
def test_accepted_the_interval_is_the_csms_s() -> None:
    site = Site.build(1, online=False)
    site.do(LinkUp())
    answer(site, Registration.ACCEPTED, 45)
    assert site.station.configuration.number("HeartbeatInterval") == 45
    assert "config.key_changed" in site.told()
    assert beats(site.wait(44)) == 0
    assert beats(site.wait(1)) == 1
    assert beats(site.wait(90)) == 2


def test_an_interval_beyond_the_keys_bounds_is_cut_so_that_it_can_be_kept() -> None:
    site = Site.build(1, online=False)
    site.do(LinkUp())
    answer(site, Registration.ACCEPTED, 2**31 - 1)
    assert site.station.configuration.number("HeartbeatInterval") == HEARTBEAT_MAX_S
    site.restart()  # reads it back without complaint


def test_accepted_with_interval_zero_the_own_interval_stays() -> None:
    site = Site.build(1, online=False, configuration={"HeartbeatInterval": "20"})
    site.do(LinkUp())
    answer(site, Registration.ACCEPTED, 0)
    assert beats(site.wait(20)) == 1


def test_a_changed_interval_holds_with_the_next_tick() -> None:
    site = Site.build(1)
    site.set("HeartbeatInterval", "10")
    assert beats(site.wait(11)) == 1
    site.set("HeartbeatInterval", "0")
    assert beats(site.wait(300)) == 0
    site.set("HeartbeatInterval", "5")
    assert beats(site.wait(11)) == 2


@pytest.mark.req("16-BOOT-01", "16-BOOT-05")
def test_there_is_no_heartbeat_offline_or_before_accepted() -> None:
    site = Site.build(1, configuration={"HeartbeatInterval": "5"}, online=False)
    assert beats(site.wait(20)) == 0
    site.do(LinkUp())
    answer(site, Registration.PENDING, 500)
    assert beats(site.wait(20)) == 0


def test_a_step_of_the_wall_clock_moves_no_timer() -> None:
    site = Site.build(1, configuration={"HeartbeatInterval": "10"}, online=False)
    site.do(LinkUp())
    answer(site, Registration.ACCEPTED, 0)
    site.now = replace(site.now, utc=START + timedelta(days=40))
    assert beats(site.do(Tick())) == 0
    site.now = replace(site.now, utc=START - timedelta(days=40))
    assert beats(site.wait(10)) == 1


@pytest.mark.req("16-J-40")
def test_a_line_that_breaks_again_and_again_still_carries_its_heartbeats() -> None:
    site = Site.build(1, configuration={"HeartbeatInterval": "100"}, online=False)
    site.do(LinkUp())
    answer(site, Registration.ACCEPTED, 0)
    seen = 0
    for _ in range(5):
        seen += beats(site.wait(50))
        site.do(LinkDown("the line broke"))
        site.wait(10)
        site.do(LinkUp())
    assert seen == 2


@pytest.mark.req("16-BOOT-06")
def test_a_station_that_the_csms_has_forgotten_introduces_itself_again() -> None:
    site = Site.build(1)
    site.do(RegistrationLost())
    assert not site.station.link.serving
    assert boots(site.wait(RETRY_S - 1)) == 0
    site.do(RegistrationLost())
    assert boots(site.wait(1)) == 1
    answer(site, Registration.ACCEPTED, 0)
    assert site.station.link.serving


# --- the time


@pytest.mark.parametrize("counts", [True, False])
def test_whether_the_csms_s_time_counts_is_the_site_s_choice(counts: bool) -> None:
    site = Site.build(1, rules=SiteRules(time_from_csms=counts))
    assert bool([e for e in site.history if isinstance(e, LearnTime)]) is counts
    site.do(TimeTold(START))
    assert site.of(LearnTime) == ([LearnTime(START)] if counts else [])


@pytest.mark.req("B01.FR.06")
def test_a_csms_that_is_no_time_source_teaches_no_time() -> None:
    site = Site.build(1, configuration={"TimeSource": "NTP"})
    site.do(TimeTold(START))
    assert not site.of(LearnTime)
    site.set("TimeSource", "Heartbeat,NTP")
    site.do(TimeTold(START))
    assert site.of(LearnTime) == [LearnTime(START)]


def test_an_answer_without_a_time_teaches_none() -> None:
    site = Site.build(1, online=False)
    site.do(LinkUp())
    site.do(BootAnswered(Registration.ACCEPTED, None, 60))
    assert not site.of(LearnTime)


def test_stamps_from_before_the_time_was_known_are_corrected() -> None:
    site = Site.build(1, synchronized=False)
    stamp = site.station.stamp(site.now)
    site.advance(10)
    site.trust(START + timedelta(days=2, seconds=10))
    assert site.station.true_time(stamp) == START + timedelta(days=2)
    assert "gateway.clock_stepped" in site.told()
    other = Stamp(START, False, "another boot")
    assert site.station.true_time(other) == START


def test_the_corrections_survive_a_restart_and_are_bounded() -> None:
    site = Site.build(1, synchronized=False)
    stamp = site.station.stamp(site.now)
    site.trust(START + timedelta(days=2))
    for _ in range(5):
        site.restart(off_s=1, synchronized=False)
        site.advance(1)
        site.trust(site.now.utc + timedelta(seconds=50))
    assert site.station.true_time(stamp) == START + timedelta(days=2)
    for _ in range(20):
        site.restart(off_s=1, synchronized=False)
        site.advance(1)
        site.trust()
    assert len(site.station.corrections) <= 16


def test_the_wall_clock_is_kept_more_often_while_something_depends_on_it() -> None:
    site = Site.build(1)
    site.now = replace(site.now, utc=START + timedelta(seconds=3599), monotonic_s=site.now.monotonic_s + 3599)
    site.do(Tick())
    assert site.station.wall_kept == START
    site.wait(1)
    assert site.station.wall_kept == site.now.utc
    site.reserve(1, "ALICE", 1, minutes=60)
    kept = site.station.wall_kept
    site.wait(300)
    assert site.station.wall_kept == kept + timedelta(seconds=300)


def test_an_untrusted_clock_never_lowers_what_is_kept_of_the_wall_clock() -> None:
    site = Site.build(1)
    site.now = replace(site.now, utc=START - timedelta(days=1), synchronized=False)
    site.do(Tick())
    assert site.station.wall_kept == START
    site.now = replace(site.now, synchronized=True)
    site.do(Tick())
    assert site.station.wall_kept == START - timedelta(days=1)


# --- triggers


def trigger(site: Site, wanted: NoticeKind | None, connector: int | None = None) -> list[Notify]:
    site.do(TriggerMessage(site.ref("TriggerMessage"), wanted, connector))
    return site.of(Notify)


def status_of(site: Site) -> TriggerStatus:
    status = site.reply().status
    assert isinstance(status, TriggerStatus)
    return status


@pytest.mark.req("TC_054_CS")
def test_the_answer_goes_before_the_message() -> None:
    site = Site.build(1)
    trigger(site, NoticeKind.HEARTBEAT)
    assert [type(e) for e in site.effects] == [Reply, Notify]


@pytest.mark.req("TC_054_CS")
def test_a_status_is_triggered_for_one_or_for_all_and_the_station() -> None:
    site = Site.build(2)
    assert [n.connector for n in trigger(site, NoticeKind.STATUS)] == [0, 1, 2]
    assert [n.connector for n in trigger(site, NoticeKind.STATUS, 2)] == [2]
    assert [n.connector for n in trigger(site, NoticeKind.STATUS, 0)] == [0]


@pytest.mark.req("TC_054_CS")
def test_meter_values_are_triggered_with_their_transaction() -> None:
    site = Site.build(2)
    site.start(2, "ALICE")
    notices = trigger(site, NoticeKind.METER)
    assert [n.connector for n in notices] == [1, 2]
    running = site.station.running(2)
    assert running is not None
    assert [n.transaction_id for n in notices] == [None, running.id]
    assert all(n.sample is not None and n.sample.context.value == "Trigger" for n in notices)


@pytest.mark.req("TC_055_CS")
@pytest.mark.parametrize("connector", [-1, 3])
@pytest.mark.parametrize("wanted", [NoticeKind.STATUS, NoticeKind.METER])
def test_an_unknown_connector_is_rejected(wanted: NoticeKind, connector: int) -> None:
    site = Site.build(2)
    assert trigger(site, wanted, connector) == []
    assert status_of(site) is TriggerStatus.REJECTED


def test_a_connector_that_does_not_matter_is_ignored() -> None:
    site = Site.build(1)
    assert len(trigger(site, NoticeKind.HEARTBEAT, 99)) == 1


@pytest.mark.req("TC_055_CS")
def test_what_does_not_exist_is_not_implemented() -> None:
    site = Site.build(1)
    trigger(site, None)
    assert status_of(site) is TriggerStatus.NOT_IMPLEMENTED


def test_without_a_fresh_reading_there_are_no_meter_values() -> None:
    site = Site.build(1)
    site.lose(1)
    assert trigger(site, NoticeKind.METER) == []
    assert status_of(site) is TriggerStatus.REJECTED


@pytest.mark.req("16-BOOT-08")
def test_a_boot_notification_is_triggered_only_before_accepted() -> None:
    site = Site.build(1)
    assert trigger(site, NoticeKind.BOOT) == []
    assert status_of(site) is TriggerStatus.REJECTED
    answer(site, Registration.PENDING, 500)
    assert [n.kind for n in trigger(site, NoticeKind.BOOT)] == [NoticeKind.BOOT]


def test_without_the_csms_nothing_can_be_triggered() -> None:
    site = Site.build(1)
    site.offline()
    assert trigger(site, NoticeKind.HEARTBEAT) == []
    assert status_of(site) is TriggerStatus.REJECTED


@pytest.mark.req("TC_062_CS")
def test_no_vendor_s_extension_is_known() -> None:
    site = Site.build(1)
    site.do(ReceiveData(site.ref(), "com.example", "x", "data"))
    assert site.reply().status is TransferStatus.UNKNOWN_VENDOR


# --- triggers by EVSE, and what 2.x triggers beside


def trigger_evse(
    site: Site, wanted: NoticeKind, evse: int | None = None, connector_id: int | None = None
) -> list[Notify]:
    site.do(TriggerMessage(site.ref("TriggerMessage"), wanted, evse=evse, connector_id=connector_id))
    return [e for e in site.effects if isinstance(e, Notify)]


@pytest.mark.req("F06.FR.02", "F06.FR.11")
@pytest.mark.parametrize(("evse", "numbers"), [(None, [1, 2]), (0, [1, 2]), (2, [2])])
def test_meter_values_of_an_evse_or_of_all(evse: int | None, numbers: list[int]) -> None:
    site = Site.build(2, policy=POLICY_201)
    notices = trigger_evse(site, NoticeKind.METER, evse)
    assert [notice.connector for notice in notices] == numbers


@pytest.mark.req("F06.FR.06")
def test_the_version_says_which_values_a_trigger_shows() -> None:
    keys = {"MeterValuesSampledData": "Power.Active.Import", "MeterValuesAlignedData": "Energy.Active.Import.Register"}
    for policy, measurand in ((POLICY, Measurand.POWER), (POLICY_201, Measurand.ENERGY)):
        (notice,) = trigger_evse(Site.build(1, policy=policy, configuration=keys), NoticeKind.METER, 1)
        assert notice.sample is not None
        assert [value.measurand for value in notice.sample.values] == [measurand]
        assert notice.sample.context is SampleContext.TRIGGER


@pytest.mark.req("F06.FR.07", "F06.FR.04", "F06.FR.11")
@pytest.mark.parametrize(("evse", "told"), [(None, [1, 2]), (0, [1, 2]), (2, [2])])
def test_transactions_tell_how_they_stand(evse: int | None, told: list[int]) -> None:
    site = Site.build(3, policy=POLICY_201)
    site.start(1, "ALICE")
    site.start(2, "BOB")
    trigger_evse(site, NoticeKind.TRANSACTION, evse)
    assert isinstance(site.effects[0], Reply)
    assert site.reply().status is TriggerStatus.ACCEPTED
    records = [e.record for e in site.effects if isinstance(e, Enqueue)]
    assert [r.connector for r in records if isinstance(r, TransactionRecord)] == told
    assert {(r.kind, r.trigger) for r in records if isinstance(r, TransactionRecord)} == {
        (RecordKind.UPDATED, Trigger.TRIGGER)
    }
    assert all(r.samples for r in records if isinstance(r, TransactionRecord))


@pytest.mark.req("F06.FR.07", "F06.FR.02")
def test_of_an_evse_every_connector_is_asked() -> None:
    shapes = tuple(layout(n, evse_id=1, connector_id=n) for n in (1, 2))
    site = Site.build(policy=POLICY_201, layouts=shapes)
    assert [n.connector for n in trigger_evse(site, NoticeKind.METER, 1)] == [1, 2]
    assert [n.connector for n in trigger_evse(site, NoticeKind.STATUS, 1)] == [1, 2]
    site.start(2, "BOB")
    trigger_evse(site, NoticeKind.TRANSACTION, 1)
    assert site.reply().status is TriggerStatus.ACCEPTED
    assert site.records()[-1].trigger is Trigger.TRIGGER


@pytest.mark.req("F06.FR.07")
@pytest.mark.parametrize("evse", [None, 1])
def test_without_a_transaction_there_is_none_to_tell_of(evse: int | None) -> None:
    site = Site.build(2, policy=POLICY_201)
    site.start(2, "BOB") if evse else None
    trigger_evse(site, NoticeKind.TRANSACTION, evse)
    assert (site.reply().status, site.reply().reason) == (TriggerStatus.REJECTED, Reason.TX_NOT_FOUND)


@pytest.mark.req("F06.FR.05")
@pytest.mark.parametrize("wanted", [NoticeKind.STATUS, NoticeKind.METER, NoticeKind.TRANSACTION])
def test_an_unknown_evse_is_rejected_where_it_matters(wanted: NoticeKind) -> None:
    site = Site.build(1, policy=POLICY_201)
    assert trigger_evse(site, wanted, 9) == []
    assert (site.reply().status, site.reply().reason) == (TriggerStatus.REJECTED, Reason.UNKNOWN_EVSE)


@pytest.mark.req("F06.FR.03", "TC_F_17_CS")
def test_an_evse_that_does_not_matter_is_ignored() -> None:
    site = Site.build(1, policy=POLICY_201)
    assert len(trigger_evse(site, NoticeKind.FIRMWARE_STATUS, 9)) == 1


@pytest.mark.req("G02.FR.07")
def test_where_the_version_wants_one_a_day_nobody_switches_heartbeats_off() -> None:
    for policy, most in ((POLICY, 0), (POLICY_201, 1)):
        site = Site.build(1, online=False, policy=policy, configuration={"HeartbeatInterval": "0"})
        site.do(LinkUp())
        answer(site, Registration.ACCEPTED, 0)
        site.advance(HEARTBEAT_MAX_S - 5)
        site.do(Tick())
        assert beats(site.effects) == 0
        site.advance(6)
        site.do(Tick())
        assert beats(site.effects) == most


@pytest.mark.req("B01.FR.09")
@pytest.mark.parametrize(
    ("continued", "unexpected", "reason"),
    [
        (False, True, "PowerUp"),
        (False, False, "PowerUp"),
        (True, True, "ApplicationReset"),
        (True, False, "LocalReset"),
    ],
)
def test_why_it_starts_is_known_from_how_it_ended(continued: bool, unexpected: bool, reason: str) -> None:
    site = Site.build(1)
    site.do(Started(continued=continued, unexpected=unexpected))
    assert site.station.boot.reason == reason


@pytest.mark.req("B01.FR.09", "B11.FR.04")
def test_a_reason_that_the_last_run_left_goes_before_it() -> None:
    site = Site.build(1)
    site.station = replace(
        site.station, next_boot_reason="RemoteReset", boot=replace(site.station.boot, reason="RemoteReset")
    )
    site.do(Started(continued=True))
    assert (site.station.boot.reason, site.station.next_boot_reason) == ("RemoteReset", None)
