"""The local authorization list: what the CSMS sends of it, and its version. 1.6 §5.11/5.15, 2.x D.

Refuses to know: what an entry is good for (`authorization`).

Invariants: only an update that is Accepted changes the list, and then all of it does, in one commit · no token is in
the list twice, however it is spelled · the list is never longer than LocalAuthListMaxLength · what the list knows is
not in the cache.

Where the specifications are silent: a version below 1 is Failed, not only 0 and -1 (they mean "empty" and "none" in the
answer about the version); a full update may bring any version, an older one as well: it is how a CSMS starts again; an
old version of a difference is VersionMismatch whatever is in it. The version is kept while the list is empty, although
the answer is 0 then: a difference must be newer than what was last accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edged.domain.answers import ListStatus, Reason
from edged.domain.commands import GetLocalListVersion, ListChange, SendLocalList
from edged.domain.station import ListedToken, Station
from edged.domain.transition import Draft

EMPTY = 0
"""The version of a list without entries."""


def update(draft: Draft, event: SendLocalList) -> None:
    """SendLocalList. Nothing is touched but by what is Accepted."""
    station = draft.station
    changes = {change.id_token.key: change for change in event.changes}
    refused = _refused(station, event, changes)
    if refused is not None:
        status, detail, reason = refused
        draft.reply(event.request, status, detail, reason=reason or "")
        return
    entries = _changed({} if event.full else station.local_list, event.changes)
    longest = station.configuration.number("LocalAuthListMaxLength")
    if len(entries) > longest:
        detail = f"the list would be longer than {longest} entries"
        draft.reply(event.request, ListStatus.FAILED, detail, reason=Reason.TOO_MANY_ELEMENTS)
        return
    if changes or event.full:
        draft.update(local_list=entries)
    told = entries.keys() | changes.keys()
    known = {key for key, entry in station.cache.items() if not told.isdisjoint(entry.id_token.keys)}
    if known:
        draft.update(cache={key: entry for key, entry in station.cache.items() if key not in known})
    draft.update(local_list_version=event.version, list_conflict=False)
    draft.reply(event.request, ListStatus.ACCEPTED)


def _refused(
    station: Station, event: SendLocalList, changes: Mapping[str, ListChange]
) -> tuple[ListStatus, str, Reason | None] | None:
    """Why an update cannot be carried out, as far as the request itself tells."""
    if not station.configuration.flag("LocalAuthListEnabled"):
        return ListStatus.NOT_SUPPORTED, "the local list is switched off", Reason.NOT_ENABLED
    if event.version <= EMPTY:
        return ListStatus.FAILED, "a version is 1 or more", Reason.VALUE_TOO_LOW
    if not event.full and event.version <= station.local_list_version:
        return ListStatus.VERSION_MISMATCH, "the version is not newer than the list's", None
    most = station.configuration.number("SendLocalListMaxLength")
    if len(event.changes) > most:
        return ListStatus.FAILED, f"more than {most} entries in one update", Reason.TOO_MANY_ELEMENTS
    if len(changes) != len(event.changes):
        return ListStatus.FAILED, "a token is there twice", Reason.INVALID_VALUE
    if any(not change.id_token.value for change in event.changes):
        return ListStatus.FAILED, "an entry names nobody", Reason.INVALID_ID_TOKEN
    if event.full and any(change.info is None for change in event.changes):
        return ListStatus.FAILED, "a full list has nothing to take out", Reason.INVALID_VALUE
    return None


def _changed(entries: Mapping[str, ListedToken], changes: Iterable[ListChange]) -> dict[str, ListedToken]:
    """One copy, however many changes there are. A change is about every entry that its token could be: one that knows
    no kind replaces those that do, and the other way round."""
    changed = dict(entries)
    for change in changes:
        if change.info is None or change.id_token.key not in changed:
            for key in change.id_token.keys:
                changed.pop(key, None)
        if change.info is not None:
            changed[change.id_token.key] = ListedToken(change.id_token, change.info)
    return changed


def tell_version(draft: Draft, event: GetLocalListVersion) -> None:
    """GetLocalListVersion: `EMPTY` for a list without entries. A list that is switched off has no version: each OCPP
    version has a number of its own for that (1.6: -1, 2.x: 0)."""
    station = draft.station
    if not station.configuration.flag("LocalAuthListEnabled"):
        draft.reply(event.request, ListStatus.NOT_SUPPORTED, "the local list is switched off")
        return
    version = station.local_list_version if station.local_list else EMPTY
    draft.reply(event.request, ListStatus.ACCEPTED, data=version)
