"""Who may charge: the cache, the offline rules, and whether the CSMS must be asked. 1.6 §3.5.

Invariants: a token that anything local calls invalid or expired is never let in offline · the cache is bounded and
only changes when an answer says something new (flash wear).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from enum import StrEnum

from edged.domain.answers import Verdict
from edged.domain.commands import ClearCache
from edged.domain.station import CachedToken, Station
from edged.domain.transition import Draft, drop, put
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, Now

CACHE_MAX = 1000
TOUCH_AFTER = timedelta(days=1)


class Way(StrEnum):
    """What to do with a token."""

    ADMIT = "admit"
    ASK = "ask"
    REFUSE = "refuse"
    UNKNOWN_OFFLINE = "unknown_offline"


def lookup(station: Station, token: IdToken, now: Now) -> IdTokenInfo | None:
    """What is known here of a token. An entry whose date has passed counts as Expired (16-AUTH-06)."""
    if not station.configuration.flag("AuthorizationCacheEnabled"):
        return None
    entry = station.cache.get(token.key)
    if entry is None:
        return None
    expired = entry.info.expires_at is not None and now.synchronized and now.utc >= entry.info.expires_at
    return replace(entry.info, status=AuthorizationStatus.EXPIRED) if expired else entry.info


def judge(station: Station, token: IdToken, now: Now, *, group_needed: bool) -> Way:
    """Admit, ask or refuse (16-AUTH-02 to 05). `group_needed`: only the CSMS can tell whether the token may come in."""
    known = lookup(station, token, now)
    valid = known is not None and known.status is AuthorizationStatus.ACCEPTED
    if station.link.serving:
        at_once = valid and station.configuration.flag("LocalPreAuthorize") and not group_needed
        return Way.ADMIT if at_once else Way.ASK
    return judge_offline(station, token, now)


def judge_offline(station: Station, token: IdToken, now: Now) -> Way:
    """The rules while the CSMS is away, or when it does not answer."""
    known = lookup(station, token, now)
    if known is not None and known.status is not AuthorizationStatus.ACCEPTED:
        return Way.REFUSE
    if known is not None and station.configuration.flag("LocalAuthorizeOffline"):
        return Way.ADMIT
    if any(token.matches(one) for one in station.rules.offline_tokens):
        return Way.ADMIT
    if station.configuration.flag("AllowOfflineTxForUnknownId"):
        return Way.ADMIT
    return Way.UNKNOWN_OFFLINE


def remember(draft: Draft, token: IdToken, info: IdTokenInfo) -> None:
    """Put an answer of the CSMS into the cache (16-AUTH-07)."""
    if not draft.station.configuration.flag("AuthorizationCacheEnabled"):
        return
    known = draft.station.cache.get(token.key)
    age = draft.now.utc - known.updated_at if known is not None else TOUCH_AFTER
    if known is not None and known.info == info and timedelta(0) <= age < TOUCH_AFTER:
        return
    cache = draft.station.cache
    if known is None and len(cache) >= CACHE_MAX:
        cache = drop(cache, _least_useful(draft.station))
    draft.update(cache=put(cache, token.key, CachedToken(token, info, draft.now.utc)))


def _least_useful(station: Station) -> str:
    """Not valid before valid, then the oldest."""
    return min(
        station.cache.items(),
        key=lambda item: (item[1].info.status is AuthorizationStatus.ACCEPTED, item[1].updated_at),
    )[0]


def clear_cache(draft: Draft, event: ClearCache) -> None:
    """ClearCache: Rejected where the cache is switched off (E3.23)."""
    if not draft.station.configuration.flag("AuthorizationCacheEnabled"):
        draft.reply(event.request, Verdict.REJECTED, "the authorization cache is switched off")
        return
    draft.update(cache={})
    draft.reply(event.request, Verdict.ACCEPTED)
