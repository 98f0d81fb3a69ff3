"""Tokens of kinds, the limits of an answer, master passes: what 2.x adds to list and cache. 2.0.1 C."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from edged.domain import authorization
from edged.domain.answers import ListStatus, TokenVerdict
from edged.domain.authorization import Way
from edged.domain.commands import ListChange, SendLocalList
from edged.domain.effects import AskAuthorization, RecordKind, StopReason
from edged.domain.events import PresentToken, RecordDelivered, TokenAnswered
from edged.domain.policy import ReservationUse, StopPoint, Trigger
from edged.domain.station import CachedToken, ListedToken
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, PersonalMessage, TokenKind
from edged.store import loading
from edged.store.port import Table
from tests.fakes.site import POLICY, START, Site

POLICY_2 = replace(
    POLICY,
    reservation_used=ReservationUse.TOKEN_AUTHORIZED,
    update_triggers=frozenset(Trigger),
    unasked_kinds=frozenset({TokenKind.CENTRAL, TokenKind.NO_AUTHORIZATION}),
    known_group_stops=True,
    keeps_lapsed=False,
)
CARD, PHONE = IdToken("ALICE", TokenKind.ISO14443), IdToken("ALICE", TokenKind.MAC_ADDRESS)
ALICE = IdToken("alice")
YES = IdTokenInfo(AuthorizationStatus.ACCEPTED)
NO = IdTokenInfo(AuthorizationStatus.BLOCKED)
FAMILY, MASTER = IdToken("FAMILY", "Central"), IdToken("BOSS", "Central")
PASS = replace(YES, group=MASTER)


def build(connectors: int = 1, **keys: str) -> Site:
    return Site.build(connectors, policy=POLICY_2, configuration=keys)


def show(site: Site, token: IdToken, connector: int | None = 1) -> Any:
    """What becomes of a token; None while the CSMS is asked."""
    site.do(PresentToken(token, connector, site.ref("present_token", "mqtt:bms")))
    return None if site.of(AskAuthorization) else site.reply().status


def enlist(site: Site, *entries: tuple[IdToken, IdTokenInfo | None], full: bool = False) -> Any:
    version = site.station.local_list_version + 1
    changes = tuple(ListChange(token, info) for token, info in entries)
    site.do(SendLocalList(request=site.ref("SendLocalList"), version=version, full=full, changes=changes))
    return site.reply().status


def answer(site: Site, info: IdTokenInfo | None) -> None:
    site.do(TokenAnswered(site.question(), info))


def known(site: Site, token: IdToken, evse: int | None = None) -> str | None:
    info = authorization.lookup(site.station, token, site.now, evse=evse)
    return None if info is None else info.status.value


# --- kinds


@pytest.mark.req("C01.FR.25")
def test_two_kinds_of_one_value_stand_side_by_side_in_the_list() -> None:
    site = build()
    assert enlist(site, (CARD, YES), (PHONE, NO)) is ListStatus.ACCEPTED
    assert (known(site, CARD), known(site, PHONE)) == ("Accepted", "Blocked")
    assert known(site, IdToken("ALICE", TokenKind.EMAID)) is None
    assert enlist(site, (CARD, None)) is ListStatus.ACCEPTED
    assert (known(site, CARD), known(site, PHONE)) == (None, "Blocked")


@pytest.mark.req("C01.FR.25", "D01.FR.06")
def test_one_value_of_one_kind_twice_is_a_duplicate_however_it_is_spelled() -> None:
    site = build()
    assert enlist(site, (CARD, YES), (replace(CARD, value="alice"), NO)) is ListStatus.FAILED


@pytest.mark.req("C01.FR.25")
def test_two_kinds_of_one_value_stand_side_by_side_in_the_cache_also_after_a_restart() -> None:
    site = build()
    for token, info in ((PHONE, NO), (CARD, YES)):
        assert show(site, token) is None
        answer(site, info)
    site.restart()
    assert (known(site, CARD), known(site, PHONE)) == ("Accepted", "Blocked")


@pytest.mark.req("C01.FR.25")
def test_a_reader_that_knows_no_kinds_finds_the_likeliest_and_what_nobody_can_show_never() -> None:
    site = build()
    enlist(site, (PHONE, NO), (CARD, YES), (IdToken("BOT", TokenKind.CENTRAL), YES))
    assert known(site, ALICE) == "Accepted"
    assert known(site, IdToken("BOT")) is None


def test_the_csms_is_told_the_kind_under_which_it_listed_a_token() -> None:
    site = build()
    enlist(site, (PHONE, YES))
    show(site, ALICE)
    (question,) = site.of(AskAuthorization)
    assert question.id_token == replace(ALICE, kind=TokenKind.MAC_ADDRESS)


def test_an_entry_with_a_kind_and_one_without_replace_each_other() -> None:
    site = build()
    enlist(site, (ALICE, YES))
    enlist(site, (CARD, NO))
    assert [entry.id_token for entry in site.station.local_list.values()] == [CARD]
    enlist(site, (ALICE, YES))
    assert [entry.id_token for entry in site.station.local_list.values()] == [ALICE]
    enlist(site, (PHONE, None))
    assert not site.station.local_list


def test_what_the_list_knows_is_not_in_the_cache_whether_its_kind_is_known_or_not() -> None:
    site = build()
    cached = {token.key: CachedToken(token, YES, START) for token in (PHONE, ALICE)}
    site.station = replace(site.station, cache=cached)
    enlist(site, (CARD, YES))
    assert [entry.id_token for entry in site.station.cache.values()] == [PHONE]


def test_an_answer_about_a_kind_supersedes_what_was_known_of_the_value_alone() -> None:
    site = build()
    site.station = replace(site.station, cache={"alice": CachedToken(ALICE, YES, START)})
    show(site, CARD)
    answer(site, NO)
    assert known(site, ALICE) == "Blocked"


def test_rows_whose_key_leaves_the_kind_out_are_found_and_moved() -> None:
    site = build()
    enlist(site, (CARD, YES))
    rows = site.disk.load("TEST")
    (text,) = rows.facts[Table.LOCAL_LIST].values()
    old = replace(rows, facts={**rows.facts, Table.LOCAL_LIST: {"alice": text}})
    assert site.fresh is not None
    loaded = loading.load(old, site.fresh)
    assert loaded.station.local_list == site.station.local_list
    assert loaded.repairs.delete[Table.LOCAL_LIST] == {"alice"} and not loaded.damaged


# --- kinds that nobody is asked about


@pytest.mark.req("C02.FR.03", "C03.FR.01", "C03.FR.02", "C05.FR.01", "C05.FR.02")
@pytest.mark.parametrize("kind", [TokenKind.CENTRAL, TokenKind.NO_AUTHORIZATION])
def test_a_token_that_nobody_is_asked_about_starts_and_is_not_cached(kind: TokenKind) -> None:
    site = build()
    site.plug(1)
    assert show(site, IdToken("X", kind)) is TokenVerdict.STARTED
    site.deliver(None, AuthorizationStatus.ACCEPTED)
    assert site.station.cache == {}


@pytest.mark.req("C06.FR.02")
def test_a_local_id_is_asked_about() -> None:
    site = build()
    assert show(site, IdToken("HERE", TokenKind.LOCAL)) is None


def test_what_the_list_refuses_is_refused_whatever_its_kind() -> None:
    site = build()
    token = IdToken("X", TokenKind.CENTRAL)
    enlist(site, (token, NO))
    assert show(site, token) is TokenVerdict.REFUSED


# --- what an answer says


@pytest.mark.req("C01.FR.21")
def test_a_token_of_other_evses_charges_on_them_alone() -> None:
    site = build(2, LocalPreAuthorize="true")
    site.plug(1)
    assert show(site, CARD) is None
    answer(site, replace(YES, evses=(2,)))
    assert site.reply().status is TokenVerdict.REFUSED
    assert (known(site, CARD, 1), known(site, CARD, 2)) == ("NotAllowedTypeEVSE", "Accepted")
    assert show(site, CARD, None) is TokenVerdict.AUTHORIZED
    assert site.connector(2).authorization is not None, "the connector of the car that waits longest is not its own"


@pytest.mark.req("C01.FR.21")
def test_a_token_of_other_evses_is_refused_offline() -> None:
    site = build(2)
    enlist(site, (CARD, replace(YES, evses=(2,))))
    site.offline()
    assert show(site, CARD, 1) is TokenVerdict.REFUSED
    assert show(site, CARD, 2) is TokenVerdict.AUTHORIZED


@pytest.mark.req("C01.FR.21")
@pytest.mark.parametrize("evse", [1, 2])
def test_the_answer_to_a_start_may_say_that_this_is_not_its_evse(evse: int) -> None:
    site = build(2, LocalPreAuthorize="true")
    enlist(site, (CARD, YES))
    site.plug(1)
    show(site, CARD)
    site.tell_security_events()
    (seq,) = site.outbox
    site.do(RecordDelivered(seq, site.outbox[seq], None, replace(YES, evses=(evse,))))
    assert (site.station.running(1) is not None) is (evse == 1)


@pytest.mark.req("C01.FR.02")
@pytest.mark.parametrize("status", [s for s in AuthorizationStatus if s is not AuthorizationStatus.ACCEPTED])
def test_only_accepted_starts(status: AuthorizationStatus) -> None:
    site = build()
    site.plug(1)
    show(site, CARD)
    answer(site, IdTokenInfo(status))
    assert site.reply().status is TokenVerdict.REFUSED
    assert site.records() == []


@pytest.mark.req("C10.FR.09")
def test_what_is_for_a_display_alone_is_not_cached() -> None:
    site = build()
    show(site, CARD)
    answer(site, replace(YES, message=PersonalMessage("0.30 EUR", "UTF8")))
    (entry,) = site.station.cache.values()
    assert entry.info == YES


@pytest.mark.req("C10.FR.08", "C10.FR.10", "C10.FR.13")
def test_an_entry_lives_as_long_as_the_key_says_unless_it_has_a_date() -> None:
    site = build(AuthCacheLifeTime="60")
    dated = replace(YES, expires_at=START + timedelta(seconds=300))
    for token, info in ((CARD, YES), (PHONE, dated)):
        show(site, token)
        answer(site, info)
        show(site, token)
    site.advance(59)
    assert (known(site, CARD), known(site, PHONE)) == ("Accepted", "Accepted")
    site.advance(1)
    assert (known(site, CARD), known(site, PHONE)) == ("Expired", "Accepted")
    show(site, CARD)
    answer(site, YES)
    site.advance(59)
    assert known(site, CARD) == "Accepted", "it counts from the last answer on"


@pytest.mark.req("C10.FR.10")
def test_an_answer_whose_date_has_passed_forgets_the_token() -> None:
    site = build()
    site.station = replace(site.station, cache={CARD.key: CachedToken(CARD, YES, START)})
    show(site, CARD)
    answer(site, replace(YES, expires_at=START - timedelta(seconds=1)))
    assert site.station.cache == {}


# --- the CSMS is not asked


@pytest.mark.req("C10.FR.03", "C12.FR.05", "C14.FR.03")
@pytest.mark.parametrize("where", ["list", "cache"])
@pytest.mark.parametrize("final", [False, True])
def test_a_known_no_is_asked_about_unless_that_is_switched_off(where: str, final: bool) -> None:
    key = "LocalAuthListDisablePostAuthorize" if where == "list" else "AuthCacheDisablePostAuthorize"
    site = build(**{key: str(final).lower()})
    if where == "list":
        enlist(site, (CARD, NO))
    else:
        site.station = replace(site.station, cache={CARD.key: CachedToken(CARD, NO, START)})
    assert show(site, CARD) is (TokenVerdict.REFUSED if final else None)


def test_without_remote_authorization_list_and_cache_alone_decide() -> None:
    site = build(DisableRemoteAuthorization="true")
    enlist(site, (CARD, YES))
    assert show(site, PHONE) is TokenVerdict.REFUSED
    assert show(site, CARD) is TokenVerdict.AUTHORIZED


@pytest.mark.req("16-AUTH-10")
def test_where_the_version_wants_it_the_group_is_asked_for_though_it_is_known() -> None:
    keys = {"LocalPreAuthorize": "true"}
    site = Site.build(1, policy=replace(POLICY_2, known_group_stops=False), configuration=keys)
    enlist(site, (PHONE, replace(YES, group=FAMILY)))
    site.start(1, "MUM", group="FAMILY")
    assert show(site, PHONE) is None


# --- groups


@pytest.mark.req("C01.FR.03", "C09.FR.03", "C09.FR.04", "C09.FR.05", "C09.FR.11", "E07.FR.02")
def test_a_valid_token_of_the_starters_group_stops_unasked() -> None:
    site = build()
    enlist(site, (PHONE, replace(YES, group=FAMILY)), (IdToken("EVE", TokenKind.LOCAL), replace(NO, group=FAMILY)))
    site.plug(1)
    show(site, IdToken("MUM"))
    answer(site, replace(YES, group=FAMILY))
    assert show(site, IdToken("EVE", TokenKind.LOCAL)) is None, "one that is blocked is asked about (C09.FR.11)"
    answer(site, replace(NO, group=FAMILY))
    assert site.reply().status is TokenVerdict.REFUSED and site.station.running(1) is not None
    assert show(site, PHONE) is TokenVerdict.STOPPED
    (record,) = site.records(RecordKind.ENDED)
    assert (record.reason, record.id_token) == (StopReason.LOCAL, PHONE)


@pytest.mark.req("C01.FR.23")
def test_nobody_else_takes_a_transaction_whose_authorization_is_over() -> None:
    policy = replace(POLICY_2, stop_points=frozenset({StopPoint.EV_CONNECTED}))
    site = Site.build(1, policy=policy, configuration={"LocalPreAuthorize": "true"})
    enlist(site, (CARD, YES), (IdToken("BOB", TokenKind.ISO14443), YES))
    site.plug(1)
    show(site, CARD)
    site.charge(1)
    assert show(site, CARD) is TokenVerdict.STOPPED
    assert site.station.running(1) is not None
    assert show(site, IdToken("BOB")) is TokenVerdict.NO_CONNECTOR
    assert show(site, CARD) is TokenVerdict.NO_CONNECTOR
    site.unplug(1)
    (record,) = site.records(RecordKind.ENDED)
    assert record.reason is StopReason.LOCAL


# --- master passes


def charging(site: Site, *connectors: int) -> None:
    for number in connectors:
        site.start(number, f"DRIVER{number}")


@pytest.mark.req("C16.FR.02", "C16.FR.04", "C16.FR.07")
@pytest.mark.parametrize("online", [True, False])
def test_a_master_pass_that_is_listed_stops_all_transactions_unasked(online: bool) -> None:
    site = build(3, MasterPassGroupId="boss")
    enlist(site, (CARD, PASS))
    charging(site, 1, 2)
    if not online:
        site.offline()
    assert show(site, CARD, None) is TokenVerdict.STOPPED
    ends = site.records(RecordKind.ENDED)
    assert [(r.connector, r.reason, r.trigger, r.id_token) for r in ends] == [
        (1, StopReason.MASTER_PASS, Trigger.STOP_AUTHORIZED, CARD),
        (2, StopReason.MASTER_PASS, Trigger.STOP_AUTHORIZED, CARD),
    ]


@pytest.mark.req("C16.FR.02", "C16.FR.05")
@pytest.mark.parametrize("connector", [1, 2, None])
def test_a_master_pass_that_is_unknown_here_stops_all_once_the_csms_has_said_so(connector: int | None) -> None:
    site = build(2, MasterPassGroupId="BOSS")
    charging(site, 1, 2)
    assert show(site, CARD, connector) is None
    answer(site, PASS)
    assert site.reply().status is TokenVerdict.STOPPED
    assert len(site.records(RecordKind.ENDED)) == 2
    assert authorization.trusted_group(site.station, CARD, site.now) == MASTER, "cached"


@pytest.mark.req("C16.FR.03", "C12.FR.09")
@pytest.mark.parametrize("where", ["nowhere", "list", "cache", "offline, and the list may not be used"])
def test_a_master_pass_starts_nothing(where: str) -> None:
    site = build(1, MasterPassGroupId="BOSS", LocalPreAuthorize="true", AllowOfflineTxForUnknownId="true")
    if where == "cache":
        site.station = replace(site.station, cache={CARD.key: CachedToken(CARD, PASS, START)})
    elif where != "nowhere":
        enlist(site, (CARD, PASS))
    if where.startswith("offline"):
        site.set("LocalAuthorizeOffline", "false")
        site.offline()
    site.plug(1)
    verdict = show(site, CARD)
    if verdict is None:
        answer(site, PASS)
        verdict = site.reply().status
    assert verdict is TokenVerdict.REFUSED
    assert site.records() == [] and site.connector(1).authorization is None


@pytest.mark.req("C16.FR.03")
@pytest.mark.parametrize("authorize", ["true", "false"])
def test_a_master_pass_starts_nothing_from_afar_either(authorize: str) -> None:
    site = build(2, MasterPassGroupId="BOSS", AuthorizeRemoteTxRequests=authorize)
    charging(site, 2)
    site.plug(1)
    assert site.remote_start("M", 1, group=MASTER) == "Rejected"
    if authorize == "true":
        assert site.remote_start("M", 1) == "Accepted"
        answer(site, PASS)
    enlist(site, (CARD, PASS))
    assert site.remote_start("ALICE", 1) == "Rejected"
    assert site.station.running(1) is None
    assert site.station.running(2) is not None, "and stops nothing"


def test_a_master_pass_stops_nothing_that_is_over_already() -> None:
    policy = replace(POLICY_2, stop_points=frozenset({StopPoint.EV_CONNECTED}))
    site = Site.build(1, policy=policy, configuration={"MasterPassGroupId": "BOSS"})
    enlist(site, (CARD, PASS))
    charging(site, 1)
    assert show(site, CARD) is TokenVerdict.STOPPED
    assert show(site, CARD) is TokenVerdict.REFUSED


@pytest.mark.parametrize("info", [replace(NO, group=MASTER), replace(YES, group=FAMILY), YES])
def test_what_is_no_valid_master_pass_stops_nobody(info: IdTokenInfo) -> None:
    site = build(2, MasterPassGroupId="BOSS")
    enlist(site, (CARD, info))
    charging(site, 1)
    if show(site, CARD, 1) is None:
        answer(site, info)
    assert site.station.running(1) is not None


def test_without_its_key_there_is_no_master() -> None:
    site = build()
    assert not authorization.is_master(site.station, IdToken(""))
    assert authorization.judge(site.station, CARD, site.now) is Way.ASK


def test_an_entry_of_a_list_without_a_kind_still_speaks_for_every_kind() -> None:
    site = build()
    site.station = replace(site.station, local_list={"alice": ListedToken(ALICE, YES)})
    assert (known(site, CARD), known(site, ALICE)) == ("Accepted", "Accepted")
