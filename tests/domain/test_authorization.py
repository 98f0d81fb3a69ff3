"""The cache and the rules by which a token is admitted, asked about or refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from edged.domain import authorization
from edged.domain.answers import Verdict
from edged.domain.authorization import CACHE_MAX, Way
from edged.domain.commands import ClearCache
from edged.domain.effects import AskAuthorization
from edged.domain.events import TokenAnswered
from edged.domain.station import CachedToken
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo
from tests.fakes.site import START, Site

ALICE = IdToken("ALICE")
ACCEPTED = IdTokenInfo(AuthorizationStatus.ACCEPTED)


def learn(site: Site, token: str, info: IdTokenInfo) -> None:
    site.show(token, 1)
    site.do(TokenAnswered(site.question(), info))
    site.show(token, 1)
    for pending in tuple(site.station.pending.values()):
        site.do(TokenAnswered(pending.ticket, None))


@pytest.mark.req("16-AUTH-07")
def test_an_answer_is_remembered_whatever_it_is() -> None:
    site = Site.build(1)
    learn(site, "ALICE", ACCEPTED)
    learn(site, "EVE", IdTokenInfo(AuthorizationStatus.BLOCKED))
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


@pytest.mark.req("16-AUTH-03", "16-AUTH-04", "16-AUTH-05")
@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("pre", ["true", "false"])
@pytest.mark.parametrize("local_offline", ["true", "false"])
@pytest.mark.parametrize("unknown_offline", ["true", "false"])
@pytest.mark.parametrize("known", [None, *AuthorizationStatus])
def test_the_way_of_a_token(
    online: bool, pre: str, local_offline: str, unknown_offline: str, known: AuthorizationStatus | None
) -> None:
    site = Site.build(
        1,
        configuration={
            "LocalPreAuthorize": pre,
            "LocalAuthorizeOffline": local_offline,
            "AllowOfflineTxForUnknownId": unknown_offline,
        },
    )
    if known is not None:
        entry = CachedToken(ALICE, IdTokenInfo(known), START)
        site.station = replace(site.station, cache={"alice": entry})
    if not online:
        site.offline()
    way = authorization.judge(site.station, ALICE, site.now, group_needed=False)
    if online:
        assert way is (Way.ADMIT if known is AuthorizationStatus.ACCEPTED and pre == "true" else Way.ASK)
    elif known not in (None, AuthorizationStatus.ACCEPTED):
        assert way is Way.REFUSE
    elif unknown_offline == "true" or (known is not None and local_offline == "true"):
        assert way is Way.ADMIT
    else:
        assert way is Way.UNKNOWN_OFFLINE


@pytest.mark.req("16-RES-07")
def test_where_the_group_decides_a_known_token_is_asked_about_as_well() -> None:
    site = Site.build(1, configuration={"LocalPreAuthorize": "true"})
    learn(site, "ALICE", ACCEPTED)
    assert authorization.judge(site.station, ALICE, site.now, group_needed=True) is Way.ASK
