"""Who may charge: list and cache, the offline rules, and whether the CSMS must be asked. 1.6 §3.5, 2.x C.

The local list speaks before the cache, and the cache before nobody (16-AUTH-02). What is judged is the station's
knowledge now: an entry whose date has passed is Expired, whatever was stored, and one of other EVSEs is good for none
but them.

Refuses to know: how the list comes to be (`local_list`), what a token does once it is let in (`session`).

Invariants: a token that anything local calls invalid or expired is never let in offline · while the list is in force
none of its tokens goes into the cache · the cache is bounded and only changes when an answer says something new (flash
wear) · what is for a display alone is not cached (2.x C10.FR.09).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from edged.domain.answers import Reason, Verdict
from edged.domain.commands import ClearCache
from edged.domain.station import CachedToken, ListedToken, Station
from edged.domain.transition import Draft, drop, put
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, Now

E = TypeVar("E", CachedToken, ListedToken)

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


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a token here and now. `final`: no answer of the CSMS is wanted where it is a no (2.x
    DisablePostAuthorize)."""

    info: IdTokenInfo
    final: bool

    @property
    def valid(self) -> bool:
        return self.info.status is AuthorizationStatus.ACCEPTED


def lookup(station: Station, token: IdToken, now: Now, *, evse: int | None = None) -> IdTokenInfo | None:
    """What is known here of a token: the list's word, else the cache's (16-AUTH-02, 06). `evse`: where it is shown."""
    known = _known(station, token, now, evse)
    return None if known is None else known.info


def _known(station: Station, token: IdToken, now: Now, evse: int | None) -> _Known | None:
    listed = _listed(station, token)
    if listed is not None:
        return _Known(
            at_evse(_as_of(listed.info, now), evse), station.configuration.flag("LocalAuthListDisablePostAuthorize")
        )
    cached = _cached(station, token)
    if cached is not None:
        info = at_evse(_as_of(_dated(station, cached), now), evse)
        return _Known(info, station.configuration.flag("AuthCacheDisablePostAuthorize"))
    return None


def recognize(station: Station, token: IdToken) -> IdToken:
    """A token whose source knows no kinds gets the kind under which it is known here."""
    if token.kind is not None:
        return token
    entry = _listed(station, token) or _cached(station, token)
    return token if entry is None else replace(token, kind=entry.id_token.kind)


def _listed(station: Station, token: IdToken) -> ListedToken | None:
    """A list that is switched off says nothing."""
    return _find(station.local_list, token) if station.configuration.flag("LocalAuthListEnabled") else None


def _cached(station: Station, token: IdToken) -> CachedToken | None:
    return _find(station.cache, token) if station.configuration.flag("AuthorizationCacheEnabled") else None


def _find(entries: Mapping[str, E], token: IdToken) -> E | None:
    found = (entries[key] for key in token.keys if key in entries)
    return next((entry for entry in found if entry.id_token.matches(token)), None)


def _dated(station: Station, cached: CachedToken) -> IdTokenInfo:
    """An entry without a date lives as long as the configuration says, from its last answer on (C10.FR.08, 13)."""
    life_s = station.configuration.number("AuthCacheLifeTime")
    if cached.info.expires_at is not None or life_s == 0:
        return cached.info
    return replace(cached.info, expires_at=cached.updated_at + timedelta(seconds=life_s))


def _as_of(info: IdTokenInfo, now: Now) -> IdTokenInfo:
    """A date is judged only by a clock that can be trusted."""
    return replace(info, status=AuthorizationStatus.EXPIRED) if _lapsed(info, now) else info


def _lapsed(info: IdTokenInfo, now: Now) -> bool:
    return info.expires_at is not None and now.synchronized and now.utc >= info.expires_at


def at_evse(info: IdTokenInfo, evse: int | None) -> IdTokenInfo:
    """The judgement as it holds at an EVSE: a token may be good for some only (C01.FR.21)."""
    if evse is None or not info.evses or evse in info.evses:
        return info
    return replace(info, status=AuthorizationStatus.NOT_ALLOWED_TYPE_EVSE)


def is_master(station: Station, group: IdToken | None) -> bool:
    """Whether tokens of this group stop every transaction and start none (2.x C16)."""
    master = station.configuration.text("MasterPassGroupId")
    return group is not None and bool(master) and group.folded == master.casefold()


# --- what to do


def judge(station: Station, token: IdToken, now: Now, *, evse: int | None = None, group_needed: bool = False) -> Way:
    """Admit, ask or refuse (16-AUTH-02 to 05). `group_needed`: only the CSMS can tell whether the token may come in."""
    known = _known(station, token, now, evse)
    if not station.link.serving or token.kind in station.policy.unasked_kinds:
        return judge_offline(station, token, now, evse=evse)
    if known is not None and known.valid:
        unasked = station.configuration.flag("LocalPreAuthorize") and not group_needed
        return Way.ADMIT if unasked or _alone(station) else Way.ASK
    return Way.REFUSE if _alone(station) or (known is not None and known.final) else Way.ASK


def _alone(station: Station) -> bool:
    """The CSMS is never asked: list and cache decide."""
    return station.configuration.flag("DisableRemoteAuthorization")


def judge_offline(station: Station, token: IdToken, now: Now, *, evse: int | None = None) -> Way:
    """The rules while the CSMS is away, when it does not answer, or is never asked about such a token (C03, C05)."""
    known = lookup(station, token, now, evse=evse)
    if known is not None and known.status is not AuthorizationStatus.ACCEPTED:
        return Way.REFUSE
    if token.kind in station.policy.unasked_kinds:
        return Way.ADMIT
    if known is not None and station.configuration.flag("LocalAuthorizeOffline"):
        return Way.ADMIT
    if any(token.matches(one) for one in station.rules.offline_tokens):
        return Way.ADMIT
    if station.configuration.flag("AllowOfflineTxForUnknownId"):
        return Way.ADMIT
    return Way.UNKNOWN_OFFLINE


def may_ask(station: Station, token: IdToken, now: Now) -> bool:
    """Whether a question about this token is allowed, and could tell more than is known."""
    known = _known(station, token, now, None)
    final = known is not None and known.final and not known.valid
    return station.link.serving and token.kind not in station.policy.unasked_kinds and not _alone(station) and not final


def trusted_group(station: Station, token: IdToken, now: Now) -> IdToken | None:
    """The group of a token that may act here and now without the CSMS being asked: one that is blocked or expired acts
    for nobody."""
    if not station.link.serving or token.kind in station.policy.unasked_kinds:
        return offline_group(station, token, now)
    known = lookup(station, token, now)
    if known is None or known.status is not AuthorizationStatus.ACCEPTED:
        return None
    return known.group if station.policy.known_group_stops or _alone(station) else None


def offline_group(station: Station, token: IdToken, now: Now) -> IdToken | None:
    """The group of a token that would be let in without the CSMS."""
    if judge_offline(station, token, now) is not Way.ADMIT:
        return None
    known = lookup(station, token, now)
    return known.group if known is not None else None


# --- what the CSMS says


def remember(draft: Draft, token: IdToken, info: IdTokenInfo) -> None:
    """An answer of the CSMS: held against the list where that knows the token (16-AUTH-09), else kept in the cache
    (16-AUTH-07). Only a new list changes the list."""
    if token.kind in draft.station.policy.unasked_kinds:
        return
    listed = _listed(draft.station, token)
    if listed is not None:
        _compare(draft, _as_of(listed.info, draft.now), info)
    elif draft.station.configuration.flag("AuthorizationCacheEnabled"):
        _cache(draft, token, replace(info, message=None))


def _compare(draft: Draft, listed: IdTokenInfo, told: IdTokenInfo) -> None:
    """A contradiction is about who may charge: two words for "no" agree, and so do Accepted and ConcurrentTx."""
    if (listed.status in _GENUINE) != (told.status in _GENUINE) and not draft.station.list_conflict:
        draft.update(list_conflict=True)


def _cache(draft: Draft, token: IdToken, info: IdTokenInfo) -> None:
    cache = draft.station.cache
    if _lapsed(info, draft.now) and not draft.station.policy.keeps_lapsed:
        if token.key in cache:
            draft.update(cache=drop(cache, token.key))
        return
    known = cache.get(token.key)
    age = draft.now.utc - known.updated_at if known is not None else TOUCH_AFTER
    same = known is not None and known.info == info and known.id_token.matches(token)
    fresh_for = timedelta(0) if draft.station.configuration.number("AuthCacheLifeTime") else TOUCH_AFTER
    if same and timedelta(0) <= age < fresh_for:
        return
    if token.kind is not None:  # what was known of the value alone is superseded
        cache = drop(cache, token.folded)
    if token.key not in cache and len(cache) >= CACHE_MAX:
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
        draft.reply(
            event.request, Verdict.REJECTED, "the authorization cache is switched off", reason=Reason.NOT_ENABLED
        )
        return
    draft.update(cache={})
    draft.reply(event.request, Verdict.ACCEPTED)
