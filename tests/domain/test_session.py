"""What a token and a remote command do to a connector."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.domain.answers import TokenVerdict, UnlockStatus, Verdict
from edged.domain.commands import ListChange, RequestStart, RequestStop, ResetKind, ResetStation, SendLocalList
from edged.domain.effects import Announce, AskAuthorization, RecordKind, Reply, StopReason
from edged.domain.events import BootAnswered, Registration, Tick, TokenAnswered
from edged.domain.hardware import Capability, ChargerState
from edged.domain.policy import StartPoint, Trigger
from edged.domain.station import ListedToken, SiteRules
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo
from tests.fakes.site import FULL, POLICY, Site, layout

PRE = {"LocalPreAuthorize": "true"}
BY_PLUG = replace(POLICY, start_points=frozenset({StartPoint.EV_CONNECTED}), update_triggers=frozenset(Trigger))


def known(site: Site, token: str, *, group: str | None = None, connector: int = 1) -> None:
    """Let the cache learn a token."""
    site.start(connector, token, group=group)
    site.show(token, connector)
    site.unplug(connector)
    site.unplug(connector)


# --- start


@pytest.mark.req("TC_003_CS", "16-TX-01")
def test_plug_in_first() -> None:
    site = Site.build(1)
    site.plug(1)
    assert site.status(1) == "Preparing"
    site.show("ALICE", 1)
    assert [e.id_token for e in site.of(AskAuthorization)] == [IdToken("ALICE")]
    site.accept()
    assert site.reply().status is TokenVerdict.STARTED
    (record,) = site.records()
    assert (record.kind, record.meter_wh, record.id_token) == (RecordKind.STARTED, 1000.0, IdToken("ALICE"))
    site.charge(1)
    assert site.status(1) == "Charging"


@pytest.mark.req("TC_004_1_CS")
def test_token_first() -> None:
    site = Site.build(1)
    site.show("ALICE", 1)
    site.accept()
    assert site.reply().status is TokenVerdict.AUTHORIZED
    assert site.status(1) == "Preparing"
    assert not site.records()
    site.plug(1)
    assert len(site.records()) == 1


@pytest.mark.req("16-GEN-06")
@pytest.mark.parametrize("way", ["reader", "bms", "remote start"])
def test_a_token_that_the_version_cannot_tell_whole_is_nobody_s(way: str) -> None:
    long = "0123456789ABCDEFGHIJ-another"
    site = Site.build(1, policy=replace(POLICY, id_token_max_chars=20))
    site.start(1, long[:20])
    site.unplug(1)
    site.unplug(1)
    site.plug(1)
    before = len(site.records())
    if way == "reader":
        site.look(1, ChargerState.CONNECTED, token=long)
    elif way == "bms":
        site.show(long, 1)
        assert site.reply().status is TokenVerdict.REFUSED
    else:
        assert site.remote_start(long, 1) is Verdict.REJECTED
    assert not site.of(AskAuthorization)
    assert len(site.records()) == before
    site.show(long[:20], 1)
    assert site.of(AskAuthorization), "one that fits is asked about"


@pytest.mark.req("TC_010_CS", "TC_046_2_CS")
def test_remote_start_with_the_cable_in() -> None:
    site = Site.build(1)
    site.plug(1)
    assert site.remote_start("ALICE", 1) is Verdict.ACCEPTED
    assert not site.of(AskAuthorization)
    assert site.records()[-1].trigger is Trigger.REMOTE_START


@pytest.mark.req("TC_011_1_CS")
def test_remote_start_before_the_cable() -> None:
    site = Site.build(1)
    assert site.remote_start("ALICE", 1, remote_start_id=9) is Verdict.ACCEPTED
    assert site.status(1) == "Preparing"
    site.plug(1)
    assert site.records()[-1].remote_start_id == 9


@pytest.mark.req("TC_011_2_CS", "TC_004_2_CS", "16-TX-12")
@pytest.mark.parametrize("remote", [True, False])
def test_without_a_plug_in_time_the_driver_is_let_go(remote: bool) -> None:
    site = Site.build(1)
    if remote:
        site.remote_start("ALICE", 1)
    else:
        site.show("ALICE", 1)
        site.accept()
    site.wait(59)
    assert site.status(1) == "Preparing"
    site.wait(1)
    assert site.status(1) == "Available"
    site.plug(1)
    assert not site.records()


@pytest.mark.req("TC_023_4_CS")
@pytest.mark.parametrize(
    "status",
    [
        AuthorizationStatus.INVALID,
        AuthorizationStatus.BLOCKED,
        AuthorizationStatus.EXPIRED,
        AuthorizationStatus.CONCURRENT_TX,
    ],
)
def test_a_token_that_the_csms_does_not_accept_starts_nothing(status: AuthorizationStatus) -> None:
    site = Site.build(1)
    site.plug(1)
    site.show("EVE", 1)
    site.refuse(status)
    assert site.reply().status is TokenVerdict.REFUSED
    assert "transaction.rejected" in site.told()
    site.wait(2)
    assert not site.records()


def test_a_second_presentation_lets_go() -> None:
    site = Site.build(1)
    site.show("ALICE", 1)
    site.accept()
    site.show("alice", 1)
    assert site.reply().status is TokenVerdict.RELEASED
    assert site.status(1) == "Available"


def test_another_token_does_not_take_the_place_of_a_driver_who_was_let_in() -> None:
    site = Site.build(1)
    site.show("ALICE", 1)
    site.accept()
    site.show("BOB", 1)
    assert site.reply().status is TokenVerdict.NO_CONNECTOR
    site.plug(1)
    assert site.records()[-1].id_token == IdToken("ALICE")


@pytest.mark.req("16-AUTH-03", "TC_007_1_CS")
def test_a_known_token_starts_without_asking_where_the_key_says_so() -> None:
    site = Site.build(1, configuration=PRE)
    known(site, "ALICE")
    site.plug(1)
    site.show("ALICE", 1)
    assert not site.of(AskAuthorization)
    assert site.reply().status is TokenVerdict.STARTED


@pytest.mark.req("16-AUTH-03", "16-AUTH-04")
def test_a_known_token_is_asked_about_otherwise() -> None:
    site = Site.build(1)
    known(site, "ALICE")
    site.show("ALICE", 1)
    assert site.of(AskAuthorization)


@pytest.mark.req("16-AUTH-04")
def test_a_token_that_is_cached_as_not_valid_is_asked_about_again() -> None:
    site = Site.build(1, configuration=PRE)
    site.show("ALICE", 1)
    site.refuse()
    site.show("ALICE", 1)
    assert site.of(AskAuthorization)


def test_a_token_for_a_connector_that_does_not_exist_is_answered() -> None:
    site = Site.build(1)
    site.show("ALICE", 4)
    assert site.reply().status is TokenVerdict.NO_CONNECTOR


@pytest.mark.req("TC_041_CS")
def test_on_a_faulted_connector_nobody_is_let_in() -> None:
    site = Site.build(1)
    site.look(1, ChargerState.FAULTED)
    site.show("ALICE", 1)
    assert site.reply().status is TokenVerdict.NO_CONNECTOR


def test_the_evse_of_a_driver_who_was_let_in_is_taken() -> None:
    site = Site.build(layouts=(layout(1, evse_id=1), layout(2, evse_id=1, connector_id=2)))
    site.show("ALICE", 1)
    site.accept()
    site.show("BOB", 2)
    assert site.reply().status is TokenVerdict.NO_CONNECTOR


def test_while_a_token_is_judged_another_one_waits_its_turn() -> None:
    site = Site.build(1)
    site.show("ALICE", 1)
    site.show("BOB", 1)
    assert site.reply().status is TokenVerdict.BUSY
    assert site.remote_start("BOB", 1) is Verdict.REJECTED


def test_a_driver_may_start_again_without_unplugging() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.show("ALICE", 1)
    assert site.status(1) == "Finishing"
    site.show("ALICE", 1)
    site.accept()
    assert len(site.records(RecordKind.STARTED)) == 2


# --- the question goes unanswered


@pytest.mark.req("16-AUTH-05", "16-AUTH-11")
@pytest.mark.parametrize("how", ["no answer", "timeout", "line cut"])
def test_an_unanswered_question_is_decided_by_the_offline_rules(how: str) -> None:
    site = Site.build(1, rules=SiteRules(offline_tokens=(IdToken("staff"),)))
    for token, verdict in (("STAFF", TokenVerdict.AUTHORIZED), ("EVE", TokenVerdict.OFFLINE)):
        site.show(token, 1)
        if not site.of(AskAuthorization):
            continue
        if how == "no answer":
            site.refuse(None)
        elif how == "timeout":
            site.wait(40)
        else:
            site.offline()
        assert site.reply().status is verdict
        if verdict is TokenVerdict.AUTHORIZED:
            site.show(token, 1)


def test_a_late_answer_changes_nothing() -> None:
    site = Site.build(1)
    site.show("ALICE", 1)
    ticket = site.question()
    site.wait(36)
    assert site.reply().status is TokenVerdict.OFFLINE
    site.do(TokenAnswered(ticket, IdTokenInfo(AuthorizationStatus.ACCEPTED)))
    assert not site.effects
    assert site.connector(1).authorization is None


def test_when_the_connector_was_taken_meanwhile_the_answer_lets_nobody_in() -> None:
    site = Site.build(1)
    site.show("ALICE", 1)
    site.available(1, False)
    site.accept()
    assert site.reply().status is TokenVerdict.NO_CONNECTOR


def test_an_answer_during_a_reset_lets_nobody_in() -> None:
    site = Site.build(2)
    site.charge(2)
    site.show("ALICE", 1)
    ticket = site.question()
    site.do(ResetStation(site.ref(), ResetKind.SOFT))
    site.do(TokenAnswered(ticket, IdTokenInfo(AuthorizationStatus.ACCEPTED)))
    assert site.reply().status is TokenVerdict.BUSY
    assert site.connector(1).authorization is None
    site.show("BOB", 1)
    assert site.reply().status is TokenVerdict.BUSY


# --- offline


@pytest.mark.req("16-AUTH-05", "TC_037_1_CS")
def test_offline_a_cached_token_starts_and_the_start_is_queued_as_offline() -> None:
    site = Site.build(1)
    known(site, "ALICE")
    site.offline()
    site.plug(1)
    site.show("ALICE", 1)
    assert site.reply().status is TokenVerdict.STARTED
    assert site.records()[-1].offline


@pytest.mark.req("16-AUTH-05")
@pytest.mark.parametrize(
    ("configuration", "token", "verdict"),
    [
        ({}, "STRANGER", TokenVerdict.OFFLINE),
        ({"AllowOfflineTxForUnknownId": "true"}, "STRANGER", TokenVerdict.STARTED),
        ({"AllowOfflineTxForUnknownId": "true"}, "BLOCKED", TokenVerdict.REFUSED),
        ({"LocalAuthorizeOffline": "false"}, "KNOWN", TokenVerdict.OFFLINE),
        ({}, "STAFF", TokenVerdict.STARTED),
        ({"AuthorizationCacheEnabled": "false"}, "KNOWN", TokenVerdict.OFFLINE),
    ],
)
def test_the_offline_rules(configuration: dict[str, str], token: str, verdict: TokenVerdict) -> None:
    rules = SiteRules(offline_tokens=(IdToken("staff"),))
    site = Site.build(1, configuration=configuration, rules=rules)
    known(site, "KNOWN")
    site.show("BLOCKED", 1)
    site.refuse(AuthorizationStatus.BLOCKED)
    site.offline()
    site.plug(1)
    site.show(token, 1)
    assert site.reply().status is verdict


# --- stop


@pytest.mark.req("TC_068_CS", "16-AUTH-10", "TC_038_CS")
@pytest.mark.parametrize("online", [True, False])
def test_the_starting_token_stops_without_asking(online: bool) -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    if not online:
        site.offline()
    site.show("alice", 1)
    assert site.reply().status is TokenVerdict.STOPPED
    assert not site.of(AskAuthorization)
    record = site.records(RecordKind.ENDED)[-1]
    assert (record.reason, record.id_token) == (StopReason.LOCAL, IdToken("alice"))
    assert site.status(1) == "Finishing"


@pytest.mark.req("TC_069_CS", "16-AUTH-10")
def test_a_token_of_the_same_group_stops_after_asking() -> None:
    site = Site.build(1)
    site.start(1, "ALICE", group="FLEET")
    site.show("BOB", 1)
    assert site.of(AskAuthorization)
    site.accept("fleet")
    assert site.reply().status is TokenVerdict.STOPPED
    assert site.records(RecordKind.ENDED)[-1].id_token == IdToken("BOB")


@pytest.mark.req("16-AUTH-10", "16-GEN-07")
@pytest.mark.parametrize("group", [None, "POOL"])
def test_a_token_of_another_group_does_not_stop(group: str | None) -> None:
    site = Site.build(1)
    site.start(1, "FLEET", group="X")
    site.show("BOB", 1)
    site.accept(group)
    assert site.reply().status is TokenVerdict.REFUSED
    assert site.status(1) == "Charging"


@pytest.mark.req("16-AUTH-10")
def test_offline_the_group_stops_where_the_cache_knows_it() -> None:
    site = Site.build(2)
    known(site, "BOB", group="FLEET", connector=2)
    site.start(1, "ALICE", group="FLEET")
    site.offline()
    site.show("EVE", 1)
    assert site.reply().status is TokenVerdict.REFUSED
    site.show("BOB", 1)
    assert site.reply().status is TokenVerdict.STOPPED


@pytest.mark.req("16-AUTH-05", "16-AUTH-10")
@pytest.mark.parametrize("status", [AuthorizationStatus.BLOCKED, AuthorizationStatus.EXPIRED])
def test_offline_a_token_that_is_known_to_be_no_good_stops_nothing_and_releases_no_cable(
    status: AuthorizationStatus,
) -> None:
    site = Site.build(
        layouts=(layout(1, capabilities=(FULL - {Capability.LOCK_SENSE}) | {Capability.LOCK_CONTROL}),),
        configuration={"UnlockConnectorOnEVSideDisconnect": "false"},
    )
    states = {"THIEF": status, "BOB": AuthorizationStatus.ACCEPTED, "ALICE": AuthorizationStatus.ACCEPTED}
    entries = tuple(ListChange(IdToken(one), IdTokenInfo(state, IdToken("FLEET"))) for one, state in states.items())
    site.do(SendLocalList(request=site.ref("SendLocalList"), version=1, full=True, changes=entries))
    site.show("ALICE", 1)
    site.accept("FLEET")
    site.plug(1)
    site.wait(2)
    site.charge(1)
    site.offline()
    site.show("THIEF", 1)
    assert site.reply().status is TokenVerdict.REFUSED
    assert site.status(1) == "Charging"
    site.unplug(1)
    assert site.connector(1).held_for == IdToken("ALICE")
    site.show("THIEF", 1)
    assert site.connector(1).held_for == IdToken("ALICE")
    site.show("BOB", 1)
    assert site.connector(1).held_for is None


def test_the_own_driver_does_not_wait_for_a_strangers_question() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.show("EVE", 1)
    strangers = site.question()
    site.show("ALICE", 1)
    assert site.reply().status is TokenVerdict.STOPPED
    site.do(TokenAnswered(strangers, IdTokenInfo(AuthorizationStatus.ACCEPTED)))
    assert site.reply().status is TokenVerdict.NO_CONNECTOR
    assert len(site.records(RecordKind.ENDED)) == 1


def test_an_unanswered_question_about_stopping_stops_nothing() -> None:
    site = Site.build(1)
    site.start(1, "ALICE", group="FLEET")
    site.show("BOB", 1)
    site.refuse(None)
    assert site.reply().status is TokenVerdict.REFUSED
    assert site.status(1) == "Charging"


# --- remote start and stop


@pytest.mark.req("TC_026_CS", "16-TX-13")
def test_remote_start_on_a_connector_in_use_is_rejected() -> None:
    site = Site.build(2)
    site.start(1, "ALICE")
    assert site.remote_start("BOB", 1) is Verdict.REJECTED


@pytest.mark.req("TC_027_CS")
@pytest.mark.parametrize("connector", [0, -1, 3])
def test_remote_start_on_no_connector_is_rejected(connector: int) -> None:
    assert Site.build(2).remote_start("BOB", connector) is Verdict.REJECTED


def test_a_second_remote_start_while_one_waits_is_rejected() -> None:
    site = Site.build(1)
    assert site.remote_start("ALICE", 1) is Verdict.ACCEPTED
    assert site.remote_start("ALICE", 1) is Verdict.REJECTED


@pytest.mark.parametrize("trouble", ["fault", "out of service", "to be taken out of service", "silent", "unlocking"])
def test_remote_start_on_a_connector_that_is_not_in_order_is_rejected(trouble: str) -> None:
    site = Site.build(1)
    if trouble == "fault":
        site.look(1, ChargerState.FAULTED)
    elif trouble == "out of service":
        site.available(0, False)
    elif trouble == "silent":
        site.lose(1)
    elif trouble == "unlocking":
        site.unlock(1)
    else:
        site.lose(1)
        site.available(1, False)
    assert site.remote_start("BOB", 1) is Verdict.REJECTED


@pytest.mark.req("TC_060_CS")
def test_a_remote_start_that_the_dialect_cannot_accept_is_rejected() -> None:
    assert Site.build(1).remote_start("ALICE", 1, acceptable=False) is Verdict.REJECTED


@pytest.mark.req("16-BOOT-05")
def test_while_pending_remote_start_and_stop_are_rejected() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.deliver(4)
    site.do(BootAnswered(Registration.PENDING, site.now.utc, 10))
    assert site.remote_stop(4) is Verdict.REJECTED
    site.do(RequestStart(request=site.ref("start", "mqtt:bms"), id_token=IdToken("BOB"), connector=1))
    assert site.reply().status is Verdict.REJECTED
    site.do(RequestStop(request=site.ref("stop", "mqtt:bms"), connector=1))
    assert site.reply().status is Verdict.ACCEPTED, "the people on site may always stop"


@pytest.mark.req("TC_023_5_CS", "TC_061_2_CS")
def test_with_its_key_a_remote_start_is_authorized_first() -> None:
    site = Site.build(1, configuration={"AuthorizeRemoteTxRequests": "true"})
    site.plug(1)
    assert site.remote_start("EVE", 1) is Verdict.ACCEPTED
    assert site.of(AskAuthorization)
    site.refuse()
    assert len([e for e in site.history if isinstance(e, Reply)]) == 1
    assert not site.records()


@pytest.mark.req("TC_053_2_CS")
def test_a_remote_start_for_a_group_asks_for_the_group() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1, group="FLEET")
    site.plug(1)
    assert site.remote_start("BOB", 1) is Verdict.ACCEPTED
    assert site.of(AskAuthorization)
    site.accept("FLEET")
    assert site.records()[-1].reservation_id == 5


@pytest.mark.req("TC_053_2_CS")
def test_a_remote_start_of_another_group_ends_without_a_transaction() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1, group="FLEET")
    site.plug(1)
    site.remote_start("BOB", 1)
    site.accept("POOL")
    assert not site.records()
    assert site.status(1) == "Reserved"


@pytest.mark.req("F01.FR.21")
def test_a_remote_start_that_names_a_wrong_group_is_rejected_at_once() -> None:
    site = Site.build(1)
    site.reserve(5, "ALICE", 1, group="FLEET")
    assert site.remote_start("BOB", 1, group=IdToken("POOL")) is Verdict.REJECTED
    assert site.remote_start("BOB", 1, group=IdToken("fleet")) is Verdict.ACCEPTED
    site.plug(1)
    assert site.records()[-1].reservation_id == 5


@pytest.mark.req("TC_012_CS")
def test_remote_stop() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.deliver(42)
    assert site.remote_stop(42) is Verdict.ACCEPTED
    record = site.records(RecordKind.ENDED)[-1]
    assert (record.reason, record.id_token) == (StopReason.REMOTE, None)
    assert site.status(1) == "Finishing"


@pytest.mark.req("TC_028_CS")
def test_remote_stop_of_what_is_unknown_or_over_is_rejected() -> None:
    site = Site.build(1)
    assert site.remote_stop(1) is Verdict.REJECTED
    site.start(1, "ALICE")
    site.deliver(42)
    assert site.remote_stop(43) is Verdict.REJECTED
    site.remote_stop(42)
    assert site.remote_stop(42) is Verdict.REJECTED


@pytest.mark.req("16-TX-02")
@pytest.mark.parametrize("reference", [0, -5])
def test_any_integer_is_a_transactions_name(reference: int) -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.deliver(reference)
    assert site.remote_stop(reference) is Verdict.ACCEPTED


# --- a cable that is kept


def held(site: Site) -> None:
    """A transaction that ended because the car's side was pulled, with the cable kept."""
    site.show("ALICE", 1)
    site.accept()
    site.plug(1)
    site.wait(2)
    site.charge(1)
    site.unplug(1)


@pytest.mark.req("TC_005_2_CS", "16-TX-10")
def test_a_kept_cable_is_released_by_its_own_token_only() -> None:
    site = Site.build(
        layouts=(layout(1, capabilities=(FULL - {Capability.LOCK_SENSE}) | {Capability.LOCK_CONTROL}),),
        configuration={"UnlockConnectorOnEVSideDisconnect": "false"},
    )
    held(site)
    assert site.connector(1).held_for == IdToken("ALICE")
    site.show("BOB", 1)
    assert site.reply().status is TokenVerdict.REFUSED
    assert site.remote_start("BOB", 1) is Verdict.REJECTED
    site.show("ALICE")
    assert site.reply().status is TokenVerdict.RELEASED
    site.unplug(1)
    assert site.status(1) == "Available"


@pytest.mark.parametrize("online", [True, False])
def test_a_kept_cable_is_released_by_a_token_of_the_group_that_is_known_here(online: bool) -> None:
    site = Site.build(
        layouts=(layout(1, capabilities=(FULL - {Capability.LOCK_SENSE}) | {Capability.LOCK_CONTROL}),),
        configuration={"UnlockConnectorOnEVSideDisconnect": "false"},
    )
    family = IdTokenInfo(AuthorizationStatus.ACCEPTED, IdToken("FAMILY"))
    held(site)
    names = ("ALICE", "DAD")
    site.station = replace(site.station, local_list={n.casefold(): ListedToken(IdToken(n), family) for n in names})
    if not online:
        site.offline()
    site.show("DAD", 1)
    assert site.reply().status is TokenVerdict.RELEASED


def test_a_kept_cable_is_released_by_an_unlock_as_well() -> None:
    site = Site.build(
        layouts=(layout(1, capabilities=(FULL - {Capability.LOCK_SENSE}) | {Capability.LOCK_CONTROL}),),
        configuration={"UnlockConnectorOnEVSideDisconnect": "false"},
    )
    held(site)
    site.unlock(1)
    assert site.connector(1).held_for is None
    assert UnlockStatus.UNLOCKED not in [e.status for e in site.of(Reply)]


# --- a version whose transactions begin with the plug


def test_a_transaction_that_began_with_the_plug_gets_its_driver() -> None:
    site = Site.build(1, policy=BY_PLUG)
    site.plug(1)
    assert site.records()[0].trigger is Trigger.CABLE_PLUGGED_IN
    site.show("ALICE", 1)
    site.accept()
    running = site.station.running(1)
    assert running is not None and running.id_token == IdToken("ALICE")
    assert site.records()[-1].trigger is Trigger.AUTHORIZED


@pytest.mark.req("TC_H_02", "H03.FR.01")
def test_on_a_reserved_connector_such_a_transaction_waits_for_the_right_driver() -> None:
    site = Site.build(1, policy=BY_PLUG)
    site.reserve(5, "ALICE", 1)
    site.plug(1)
    site.show("BOB", 1)
    assert site.reply().status is TokenVerdict.RESERVED
    site.show("ALICE", 1)
    site.accept()
    running = site.station.running(1)
    assert running is not None and running.reservation_id == 5
    assert not site.station.reservations


def test_a_stop_of_such_a_transaction_does_not_begin_another() -> None:
    site = Site.build(1, policy=BY_PLUG)
    site.start(1, "ALICE")
    site.show("ALICE", 1)
    site.wait(3)
    assert len(site.records(RecordKind.STARTED)) == 1


def test_what_is_told_of_a_token_never_shows_it() -> None:
    site = Site.build(1)
    site.show("SECRET-1234", 1)
    site.refuse()
    (said,) = site.of(Announce)
    assert "SECRET" not in repr(said)


def test_overdue_questions_are_given_up_by_the_tick() -> None:
    site = Site.build(1, configuration={"MessageTimeout": "10"})
    site.show("ALICE", 1)
    site.advance(14.9)
    site.do(Tick())
    assert site.station.pending
    site.advance(0.1)
    site.do(Tick())
    assert not site.station.pending
