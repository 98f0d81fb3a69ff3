"""A station that local people have taken off its CSMS, and put back. The words of EVerest's `stop` and `restart`.

While it is stopped the line is down and nothing new is kept for the CSMS: "No OCPP messages will be stored and sent
after a restart". Everything local goes on by the rules of a station that is offline: reservations, local
authorization, transactions, limits. What was queued before stays queued and is sent after the restart, which introduces
the station anew.

Owns what becomes of records meanwhile; refuses to know how a line is ended (`csms.link` follows `Station.isolation`).
True for this run only, like EVerest's: a daemon that starts again speaks to its CSMS, so that nobody has to come for a
station that was stopped and forgotten.
Invariants: no record is kept while stopped · a transaction that began meanwhile is never told, not even its end, also
over restarts of the daemon · the numbers of a transaction's records have no gap for those that were not kept · a
transaction that has ended and of which nothing is left to tell is forgotten.
"""

from __future__ import annotations

from dataclasses import replace

from edged.domain import site_limit
from edged.domain.answers import Switched
from edged.domain.events import Registration
from edged.domain.local_commands import RestartOcpp, StopOcpp
from edged.domain.station import Isolation, Link
from edged.domain.transition import Draft, drop


def stop(draft: Draft, event: StopOcpp) -> None:
    """The answer tells whether it was speaking until now."""
    if draft.station.isolation is not None:
        draft.reply(event.request, Switched.AS_IT_WAS)
        return
    draft.update(isolation=Isolation(since=draft.station.stamp(draft.now)), link=_unregistered(draft.station.link))
    draft.reply(event.request, Switched.CHANGED)
    draft.announce("ocpp.stopped", None, queued=draft.station.queued)


def restart(draft: Draft, event: RestartOcpp) -> None:
    """The answer tells whether it was stopped until now."""
    isolation = draft.station.isolation
    if isolation is None:
        draft.reply(event.request, Switched.AS_IT_WAS)
        return
    boot = replace(draft.station.boot, reason="LocalReset")
    draft.update(isolation=None, link=_unregistered(draft.station.link), boot=boot)
    site_limit.tell_gone(draft, isolation.limits_gone)
    for one in draft.station.transactions.values():
        if one.active and one.told_phase is not None:
            draft.transact(one.id, told_phase=None)  # where it stands is told anew
    draft.reply(event.request, Switched.CHANGED)
    draft.announce("ocpp.restarted", None, not_kept=isolation.not_kept, queued=draft.station.queued)


def _unregistered(link: Link) -> Link:
    """Who comes back introduces itself, but not sooner than the CSMS has said."""
    return replace(link, registration=Registration.NONE, boot_place=None)


def refresh(draft: Draft) -> None:
    """Forget the transactions that ended in this step and of which nothing is left to tell; count what was not kept."""
    if not draft.not_kept:
        return
    isolation = draft.station.isolation
    if isolation is not None:
        draft.update(isolation=replace(isolation, not_kept=isolation.not_kept + draft.not_kept))
    for name, one in tuple(draft.station.transactions.items()):
        if not one.active and one.queued == 0:
            draft.update(transactions=drop(draft.station.transactions, name))
