"""List, cache and the rules by which a token is admitted, asked about or refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from edged.domain import authorization
from edged.domain.answers import TokenVerdict, Verdict
from edged.domain.authorization import CACHE_MAX, Way
from edged.domain.commands import ClearCache, ListChange, SendLocalList
from edged.domain.effects import AskAuthorization, RecordKind
from edged.domain.events import TokenAnswered
from edged.domain.station import CachedToken, ListedToken
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo
from tests.fakes.site import START, Site

ALICE = IdToken("ALICE")
ACCEPTED = IdTokenInfo(AuthorizationStatus.ACCEPTED)
BLOCKED = IdTokenInfo(AuthorizationStatus.BLOCKED)
CONCURRENT = IdTokenInfo(AuthorizationStatus.CONCURRENT_TX)
LAPSED = replace(ACCEPTED, expires_at=START - timedelta(seconds=1))


def learn(site: Site, token: str, info: IdTokenInfo) -> None:
    site.show(token, 1)
    site.do(TokenAnswered(site.question(), info))
    site.show(token, 1)
    for pending in tuple(site.station.pending.values()):
        site.do(TokenAnswered(pending.ticket, None))


def enlist(site: Site, token: str, info: IdTokenInfo) -> None:
    """One more entry of the local list."""
    version = site.station.local_list_version + 1
    changes = (ListChange(IdToken(token), info),)
    site.do(SendLocalList(request=site.ref("SendLocalList"), version=version, full=False, changes=changes))


@pytest.mark.req("16-AUTH-07")
def test_an_answer_is_remembered_whatever_it_is() -> None:
    site = Site.build(1)
    learn(site, "ALICE", ACCEPTED)
    learn(site, "EVE", BLOCKED)
    assert {key: entry.info.status for key, entry in site.station.cache.items()} == {
        "alice": AuthorizationStatus.ACCEPTED,
        "eve": AuthorizationStatus.BLOCKED,
    }


@pytest.mark.req("16-AUTH-07")
def test_the_answer_to_a_start_and_to_a_stop_is_remembered_too() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.deliver(5, AuthorizationStatus.ACCEPTED)
    site.show("ALICE", 1)
    site.deliver(None, AuthorizationStatus.EXPIRED)
    assert site.station.cache["alice"].info.status is AuthorizationStatus.EXPIRED


@pytest.mark.req("16-AUTH-08")
def test_the_cache_survives_a_restart() -> None:
    site = Site.build(1)
    learn(site, "ALICE", ACCEPTED)
    site.restart()
    assert authorization.lookup(site.station, IdToken("alice"), site.now) == ACCEPTED


@pytest.mark.req("16-AUTH-06")
def test_an_entry_expires_at_its_moment() -> None:
    site = Site.build(1)
    learn(site, "ALICE", replace(ACCEPTED, expires_at=START + timedelta(hours=1)))
    found = authorization.lookup(site.station, ALICE, site.now)
    assert found is not None and found.status is AuthorizationStatus.ACCEPTED
    site.advance(3600)
    found = authorization.lookup(site.station, ALICE, site.now)
    assert found is not None and found.status is AuthorizationStatus.EXPIRED
    site.offline()
    assert authorization.judge_offline(site.station, ALICE, site.now) is Way.REFUSE


def test_what_is_not_new_is_not_written() -> None:
    site = Site.build(1, configuration={"LocalPreAuthorize": "false"})
    learn(site, "ALICE", ACCEPTED)
    commits = site.disk.commits
    learn(site, "ALICE", ACCEPTED)
    assert site.disk.commits == commits
    site.advance(86_400)
    learn(site, "ALICE", ACCEPTED)
    assert site.disk.commits > commits


@pytest.mark.req("16-AUTH-07")
def test_a_full_cache_gives_up_what_is_not_valid_first_and_then_the_oldest() -> None:
    site = Site.build(1)
    full = {
        f"t{n}": CachedToken(IdToken(f"T{n}"), ACCEPTED, START - timedelta(minutes=n)) for n in range(CACHE_MAX - 1)
    }
    bad = CachedToken(IdToken("BAD"), IdTokenInfo(AuthorizationStatus.INVALID), START)
    site.station = replace(site.station, cache={**full, "bad": bad})
    learn(site, "ALICE", ACCEPTED)
    assert len(site.station.cache) == CACHE_MAX and "bad" not in site.station.cache
    learn(site, "BOB", ACCEPTED)
    assert len(site.station.cache) == CACHE_MAX and f"t{CACHE_MAX - 2}" not in site.station.cache


@pytest.mark.req("16-AUTH-07")
def test_what_has_expired_leaves_a_full_cache_before_what_is_valid() -> None:
    site = Site.build(1)
    full = {
        f"t{n}": CachedToken(IdToken(f"T{n}"), ACCEPTED, START - timedelta(minutes=n)) for n in range(CACHE_MAX - 1)
    }
    site.station = replace(site.station, cache={**full, "old": CachedToken(IdToken("OLD"), LAPSED, START)})
    learn(site, "ALICE", ACCEPTED)
    assert len(site.station.cache) == CACHE_MAX and "old" not in site.station.cache


def test_a_full_cache_takes_a_new_word_about_a_token_that_it_knows_without_losing_one() -> None:
    site = Site.build(1)
    full = {f"t{n}": CachedToken(IdToken(f"T{n}"), ACCEPTED, START) for n in range(CACHE_MAX)}
    site.station = replace(site.station, cache=full)
    learn(site, "t7", BLOCKED)
    assert site.station.cache.keys() == full.keys()
    assert site.station.cache["t7"].info == BLOCKED


def test_a_token_of_another_kind_is_another_token() -> None:
    site = Site.build(1)
    card, phone = IdToken("ALICE", "ISO14443"), IdToken("ALICE", "eMAID")
    listed = {"alice": ListedToken(card, ACCEPTED)}
    site.station = replace(site.station, local_list=listed, cache={"bob": CachedToken(card, ACCEPTED, START)})
    assert authorization.lookup(site.station, card, site.now) == ACCEPTED
    assert authorization.lookup(site.station, ALICE, site.now) == ACCEPTED
    assert authorization.lookup(site.station, phone, site.now) is None


@pytest.mark.req("TC_061_1_CS")
def test_a_cleared_cache_knows_nobody() -> None:
    site = Site.build(1, configuration={"LocalPreAuthorize": "true"})
    learn(site, "ALICE", ACCEPTED)
    site.do(ClearCache(site.ref()))
    assert site.reply().status is Verdict.ACCEPTED
    site.show("ALICE", 1)
    assert site.of(AskAuthorization)


def test_a_cache_that_is_switched_off_is_neither_used_nor_cleared() -> None:
    site = Site.build(1)
    learn(site, "ALICE", ACCEPTED)
    site.set("AuthorizationCacheEnabled", "false")
    assert authorization.lookup(site.station, ALICE, site.now) is None
    site.do(ClearCache(site.ref()))
    assert site.reply().status is Verdict.REJECTED


@pytest.mark.req("16-RES-07")
def test_where_the_group_decides_a_known_token_is_asked_about_as_well() -> None:
    site = Site.build(1, configuration={"LocalPreAuthorize": "true"})
    learn(site, "ALICE", ACCEPTED)
    assert authorization.judge(site.station, ALICE, site.now, group_needed=True) is Way.ASK


# --- the list


@pytest.mark.req("16-AUTH-02")
def test_the_list_speaks_before_the_cache_and_the_cache_before_nobody() -> None:
    site = Site.build(1)
    learn(site, "BOB", ACCEPTED)
    enlist(site, "ALICE", BLOCKED)
    cache = {**site.station.cache, "alice": CachedToken(ALICE, ACCEPTED, START)}
    site.station = replace(site.station, cache=cache)
    found = {name: authorization.lookup(site.station, IdToken(name), site.now) for name in ("alice", "bob", "carol")}
    assert found == {"alice": BLOCKED, "bob": ACCEPTED, "carol": None}


@pytest.mark.req("16-AUTH-02")
def test_a_list_that_is_switched_off_says_nothing_and_its_tokens_are_cached_like_others() -> None:
    site = Site.build(1)
    enlist(site, "ALICE", BLOCKED)
    site.set("LocalAuthListEnabled", "false")
    assert authorization.lookup(site.station, ALICE, site.now) is None
    learn(site, "ALICE", ACCEPTED)
    assert authorization.lookup(site.station, ALICE, site.now) == ACCEPTED
    assert not site.station.list_conflict


def test_the_list_is_used_without_a_cache() -> None:
    site = Site.build(1, configuration={"AuthorizationCacheEnabled": "false", "LocalPreAuthorize": "true"})
    enlist(site, "ALICE", ACCEPTED)
    site.plug(1)
    site.show("alice", 1)
    assert site.reply().status is TokenVerdict.STARTED


@pytest.mark.req("16-AUTH-02", "16-AUTH-07")
def test_no_answer_about_a_listed_token_goes_into_the_cache() -> None:
    site = Site.build(1)
    enlist(site, "ALICE", ACCEPTED)
    site.start(1, "alice")
    site.deliver(5, AuthorizationStatus.ACCEPTED)
    site.show("alice", 1)
    site.deliver(None, AuthorizationStatus.BLOCKED)
    assert site.station.cache == {}
    assert site.station.local_list["alice"].info == ACCEPTED


@pytest.mark.req("16-AUTH-06")
@pytest.mark.parametrize(("synchronized", "expected"), [(True, "Expired"), (False, "Accepted")])
def test_a_date_is_judged_only_by_a_clock_that_is_known_to_be_right(synchronized: bool, expected: str) -> None:
    site = Site.build(1, synchronized=synchronized, online=False)
    site.station = replace(site.station, local_list={"alice": ListedToken(ALICE, LAPSED)})
    found = authorization.lookup(site.station, ALICE, site.now)
    assert found is not None and found.status.value == expected


@pytest.mark.req("16-AUTH-06")
def test_a_listed_token_expires_at_its_moment_and_not_before() -> None:
    site = Site.build(1, configuration={"AllowOfflineTxForUnknownId": "true"})
    enlist(site, "ALICE", replace(ACCEPTED, expires_at=START + timedelta(hours=1)))
    site.offline()
    site.advance(3599.9)
    assert authorization.judge_offline(site.station, ALICE, site.now) is Way.ADMIT
    site.advance(0.1)
    assert authorization.judge_offline(site.station, ALICE, site.now) is Way.REFUSE


@pytest.mark.req("16-AUTH-10")
def test_without_the_csms_the_list_tells_who_belongs_together() -> None:
    site = Site.build(1)
    family = replace(ACCEPTED, group=IdToken("FAMILY"))
    enlist(site, "MUM", family)
    enlist(site, "DAD", family)
    enlist(site, "EVE", ACCEPTED)
    site.offline()
    site.start(1, "MUM")
    site.show("EVE", 1)
    assert site.reply().status is TokenVerdict.REFUSED
    site.show("DAD", 1)
    assert site.reply().status is TokenVerdict.STOPPED


# --- the CSMS contradicts the list


@pytest.mark.req("16-AUTH-09")
@pytest.mark.parametrize("listed", [ACCEPTED, CONCURRENT, BLOCKED, LAPSED], ids=lambda info: info.status)
@pytest.mark.parametrize("told", AuthorizationStatus)
def test_a_contradiction_is_about_who_may_charge(listed: IdTokenInfo, told: AuthorizationStatus) -> None:
    site = Site.build(1)
    enlist(site, "ALICE", listed)
    learn(site, "ALICE", IdTokenInfo(told))
    list_says_genuine = listed in (ACCEPTED, CONCURRENT)
    csms_says_genuine = told.value in ("Accepted", "ConcurrentTx")
    assert site.station.list_conflict is (list_says_genuine is not csms_says_genuine)


@pytest.mark.req("16-AUTH-09")
@pytest.mark.parametrize("at_the_end", [False, True])
def test_the_answer_to_a_start_or_a_stop_can_contradict_the_list_as_well(at_the_end: bool) -> None:
    site = Site.build(1, configuration={"LocalPreAuthorize": "true", "AuthorizationCacheEnabled": "false"})
    enlist(site, "ALICE", ACCEPTED)
    site.start(1, "ALICE")
    site.deliver(5, AuthorizationStatus.ACCEPTED if at_the_end else AuthorizationStatus.BLOCKED)
    if at_the_end:
        assert not site.station.list_conflict
        site.show("ALICE", 1)
        site.deliver(None, AuthorizationStatus.BLOCKED)
    assert site.station.list_conflict


@pytest.mark.req("16-AUTH-09")
def test_what_is_not_in_the_list_contradicts_nothing() -> None:
    site = Site.build(1)
    enlist(site, "BOB", ACCEPTED)
    learn(site, "ALICE", BLOCKED)
    assert not site.station.list_conflict


@pytest.mark.req("16-AUTH-09")
def test_a_contradiction_stands_until_the_csms_sends_a_list_that_is_accepted() -> None:
    site = Site.build(1)
    enlist(site, "ALICE", BLOCKED)
    learn(site, "ALICE", ACCEPTED)
    learn(site, "ALICE", BLOCKED)
    assert site.station.list_conflict
    site.do(SendLocalList(request=site.ref("SendLocalList"), version=0, full=True, changes=()))
    assert site.station.list_conflict
    site.restart()
    assert site.station.list_conflict
    enlist(site, "ALICE", ACCEPTED)
    assert not site.station.list_conflict


# --- every combination of keys, list, cache and CSMS

LISTED = {"unlisted": None, "Accepted": ACCEPTED, "Blocked": BLOCKED, "expired": LAPSED, "ConcurrentTx": CONCURRENT}
CACHED = {"uncached": None, "valid": ACCEPTED, "invalid": BLOCKED, "expired": LAPSED}
YES_NO = (False, True)


def expected_outcome(
    listed: str, cached: str, csms: str, *, pre_authorize: bool, authorize_offline: bool, unknown_too: bool
) -> str:
    """What the rules say of a driver who has plugged in and shows a token."""
    # 16-AUTH-02: who is listed is judged by the list and nobody is asked what the cache thinks
    word = {"Accepted": "good", "Blocked": "bad", "expired": "bad", "ConcurrentTx": "bad"}.get(listed)
    word = word or {"valid": "good", "invalid": "bad", "expired": "bad"}.get(cached, "unknown")
    if csms in ("answers", "is silent"):
        if word == "good" and pre_authorize:  # 16-AUTH-03
            return "starts at once"
        if csms == "answers":  # 16-AUTH-03 where nothing is known, 16-AUTH-04 where nothing good is
            return "the CSMS decides"
    rules_offline = {  # 16-AUTH-05
        ("good", True, True): "starts at once",
        ("good", True, False): "starts at once",
        ("good", False, True): "starts at once",
        ("good", False, False): "not without the CSMS",
        ("unknown", True, True): "starts at once",
        ("unknown", False, True): "starts at once",
        ("unknown", True, False): "not without the CSMS",
        ("unknown", False, False): "not without the CSMS",
    }
    outcome = "refused" if word == "bad" else rules_offline[word, authorize_offline, unknown_too]
    return outcome if csms == "is away" else f"asked, then {outcome}"


def seen_outcome(site: Site, csms: str) -> str:
    """What happens to that driver."""
    words = {
        TokenVerdict.STARTED: "starts at once",
        TokenVerdict.REFUSED: "refused",
        TokenVerdict.OFFLINE: "not without the CSMS",
    }
    site.plug(1)
    site.show("alice", 1)
    asked = bool(site.of(AskAuthorization))
    if asked and csms == "answers":
        return "the CSMS decides"
    if asked:
        site.refuse(None)
    verdict = site.reply().status
    assert (site.station.running(1) is not None) is (verdict is TokenVerdict.STARTED)
    assert len(site.records(RecordKind.STARTED)) == (1 if verdict is TokenVerdict.STARTED else 0)
    return f"asked, then {words[verdict]}" if asked else words[verdict]


@pytest.mark.req("16-AUTH-01", "16-AUTH-02", "16-AUTH-03", "16-AUTH-04", "16-AUTH-05", "16-AUTH-06")
@pytest.mark.parametrize("csms", ["answers", "is silent", "is away"])
@pytest.mark.parametrize("cached", CACHED)
@pytest.mark.parametrize("listed", LISTED)
def test_what_becomes_of_a_token_whatever_is_known_of_it(listed: str, cached: str, csms: str) -> None:
    in_list, in_cache = LISTED[listed], CACHED[cached]
    for pre, offline, unknown in product(YES_NO, YES_NO, YES_NO):
        keys = {"LocalPreAuthorize": pre, "LocalAuthorizeOffline": offline, "AllowOfflineTxForUnknownId": unknown}
        site = Site.build(1, configuration={name: str(value).lower() for name, value in keys.items()})
        site.station = replace(
            site.station,
            local_list={} if in_list is None else {"alice": ListedToken(ALICE, in_list)},
            cache={} if in_cache is None else {"alice": CachedToken(ALICE, in_cache, START)},
        )
        if csms == "is away":
            site.offline()
        wanted = expected_outcome(
            listed, cached, csms, pre_authorize=pre, authorize_offline=offline, unknown_too=unknown
        )
        assert seen_outcome(site, csms) == wanted, keys
