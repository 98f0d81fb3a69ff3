"""Who may charge: list and cache, the offline rules, and whether the CSMS must be asked. 1.6 §3.5, 2.x C.

The local list speaks before the cache, and the cache before nobody (16-AUTH-02). What is judged is the station's
knowledge now: an entry whose date has passed is Expired, whatever was stored.

Refuses to know: how the list comes to be (`local_list`), what a token does once it is let in (`session`).

Invariants: a token that anything local calls invalid or expired is never let in offline · while the list is in force
none of its tokens goes into the cache · the cache is bounded and only changes when an answer says something new (flash
wear).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum

from edged.domain.answers import Verdict
from edged.domain.commands import ClearCache
from edged.domain.station import CachedToken, ListedToken, Station
from edged.domain.transition import Draft, drop, put
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, Now

CACHE_MAX = 1000
TOUCH_AFTER = timedelta(days=1)
_GENUINE = frozenset({AuthorizationStatus.ACCEPTED, AuthorizationStatus.CONCURRENT_TX})
"""A token that charges elsewhere is as good as any, it only starts nothing more (16-AUTH-06)."""


class Way(StrEnum):
    """What to do with a token."""

    ADMIT = "admit"
    ASK = "ask"
    REFUSE = "refuse"
    UNKNOWN_OFFLINE = "unknown_offline"


# --- what is known


def lookup(station: Station, token: IdToken, now: Now) -> IdTokenInfo | None:
    """What is known here of a token: the list's word, else the cache's (16-AUTH-02, 06)."""
    info = _in_list(station, token)
    if info is None and station.configuration.flag("AuthorizationCacheEnabled"):
        info = _find(station.cache, token)
    return None if info is None else _as_of(info, now)


def _in_list(station: Station, token: IdToken) -> IdTokenInfo | None:
    """A list that is switched off says nothing."""
    return _find(station.local_list, token) if station.configuration.flag("LocalAuthListEnabled") else None


def _find(entries: Mapping[str, ListedToken] | Mapping[str, CachedToken], token: IdToken) -> IdTokenInfo | None:
    entry = entries.get(token.key)
    return entry.info if entry is not None and entry.id_token.matches(token) else None


def _as_of(info: IdTokenInfo, now: Now) -> IdTokenInfo:
    """A date is judged only by a clock that can be trusted."""
    expired = info.expires_at is not None and now.synchronized and now.utc >= info.expires_at
    return replace(info, status=AuthorizationStatus.EXPIRED) if expired else info


# --- what to do


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


# --- what the CSMS says


def remember(draft: Draft, token: IdToken, info: IdTokenInfo) -> None:
    """An answer of the CSMS: held against the list where that knows the token (16-AUTH-09), else kept in the cache
    (16-AUTH-07). Only a new list changes the list."""
    listed = _in_list(draft.station, token)
    if listed is not None:
        _compare(draft, _as_of(listed, draft.now), info)
    elif draft.station.configuration.flag("AuthorizationCacheEnabled"):
        _cache(draft, token, info)


def _compare(draft: Draft, listed: IdTokenInfo, told: IdTokenInfo) -> None:
    """A contradiction is about who may charge: two words for "no" agree, and so do Accepted and ConcurrentTx."""
    if (listed.status in _GENUINE) != (told.status in _GENUINE) and not draft.station.list_conflict:
        draft.update(list_conflict=True)


def _cache(draft: Draft, token: IdToken, info: IdTokenInfo) -> None:
    cache = draft.station.cache
    known = cache.get(token.key)
    age = draft.now.utc - known.updated_at if known is not None else TOUCH_AFTER
    same = known is not None and known.info == info and known.id_token.matches(token)
    if same and timedelta(0) <= age < TOUCH_AFTER:
        return
    if known is None and len(cache) >= CACHE_MAX:
        cache = drop(cache, _least_useful(cache, draft.now))
    draft.update(cache=put(cache, token.key, CachedToken(token, info, draft.now.utc)))


def _least_useful(cache: Mapping[str, CachedToken], now: Now) -> str:
    """Not valid (or no longer) before valid, then the oldest."""

    def worth(key: str) -> tuple[bool, float]:
        entry = cache[key]
        return _as_of(entry.info, now).status is AuthorizationStatus.ACCEPTED, entry.updated_at.timestamp()

    return min(cache, key=worth)


def clear_cache(draft: Draft, event: ClearCache) -> None:
    """ClearCache: Rejected where the cache is switched off (E3.23). The list is not its business."""
    if not draft.station.configuration.flag("AuthorizationCacheEnabled"):
        draft.reply(event.request, Verdict.REJECTED, "the authorization cache is switched off")
        return
    draft.update(cache={})
    draft.reply(event.request, Verdict.ACCEPTED)
