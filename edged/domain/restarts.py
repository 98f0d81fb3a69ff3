"""How often a CSMS may take a station down by resets. No version bounds it; a site must not be kept down by one.

Owns the bounds, and how long ago a reset was on a computer without a battery clock. Restarts take the whole gateway
down, so those of its other stations count here as well; several of one run are one restart.

What counts is for how long edged has run since: no clock that jumps can shorten or prolong that, and what is lost of it
at a power cut only makes the hour longer. Time without power counts where the clock was trusted before and is trusted
now, but only after a start that no reset led to: a CSMS that tells the time cannot end the hour by it.

Invariants: refused is only what a CSMS orders; what local people order counts and is done · who has run for an hour
without a reset refuses none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edged.domain.commands import ResetKind, ResetStation
from edged.domain.events import Started
from edged.domain.past import PastReset, PastResets
from edged.domain.station import Station
from edged.domain.transition import Draft
from edged.domain.types import Now

HOUR_S = 3600.0
HARD_MAX = 2
"""Hard resets in an hour: the third is refused."""
RESETS_MAX = 10
"""Resets of any kind in an hour: a Soft one takes the station down for seconds, and each start may bring the next."""
KEPT_MAX = 32
TELL_AGAIN_S = 600.0
"""Between two words on refusals: a CSMS that repeats itself must not fill log and disk."""
RAN_MAX_S = 1e11
"""Three thousand years: more is no count of seconds."""
CSMS = "csms"


def refusal(station: Station, event: ResetStation, now: Now) -> str:
    """Why a reset is refused; empty: it is not. One of an EVSE counts for that EVSE alone."""
    if event.request.channel != CSMS:
        return ""
    late = recent(station, now, event.evse)
    hard = _times(one for one in late if one.kind is ResetKind.HARD)
    if event.kind is ResetKind.HARD and hard >= HARD_MAX:
        return f"{hard} hard resets within an hour: wait, or ask people at the site"
    times = _times(late)
    return f"{times} resets within an hour: wait, or ask people at the site" if times >= RESETS_MAX else ""


def refused(draft: Draft, event: ResetStation, why: str) -> None:
    """Say that a reset was refused, but not each time."""
    told_s = draft.station.refusal_told_s
    if told_s is None or draft.now.monotonic_s - told_s >= TELL_AGAIN_S:
        draft.update(refusal_told_s=draft.now.monotonic_s)
        draft.announce("gateway.reset_refused", None, type=event.kind, evse=event.evse, reason=why)


def recent(station: Station, now: Now, evse: int | None) -> tuple[PastReset, ...]:
    """The resets of the last hour, of the whole station or of an EVSE."""
    own = (one for one in station.resets.resets if one.evse == evse)
    others = station.resets_elsewhere if evse is None else ()
    return tuple(one for one in (*own, *others) if _age_s(station, one, now) < HOUR_S)


def _times(resets: Iterable[PastReset]) -> int:
    """How often that took down what it was for: all resets of a run that restart the gateway are one restart."""
    found = tuple(resets)
    return len({one.at.boot for one in found if one.evse is None}) + sum(one.evse is not None for one in found)


def _age_s(station: Station, one: PastReset, now: Now) -> float:
    """How long ago it was, at least."""
    ran_s = station.ran_s(now) - one.ran_s
    trusted = one.at.synchronized or one.at.boot in station.corrections
    if not (station.boot.after_outage and now.synchronized and trusted and one.at.boot != station.boot.id):
        return ran_s
    return max(ran_s, (now.utc - station.true_time(one.at)).total_seconds())


def begun(draft: Draft, kind: ResetKind, source: str, evse: int | None = None) -> None:
    """A reset begins, in this step's commit. What is older than an hour goes."""
    now, station = draft.now, draft.station
    kept = (one for one in station.resets.resets if _age_s(station, one, now) < HOUR_S)
    ran_s = station.ran_s(now)
    fresh = PastReset(at=station.stamp(now), ran_s=ran_s, kind=kind, source=source, evse=evse)
    draft.update(resets=PastResets(resets=(*kept, fresh)[-KEPT_MAX:]), refusal_told_s=None)
    keep_running_time(draft)


# --- how long it has run


def keep_running_time(draft: Draft) -> None:
    """Let the disk know for how long the station has run."""
    draft.update(ran_kept_s=draft.station.ran_s(draft.now), ran_kept_at_s=draft.now.monotonic_s)


def counting(station: Station) -> bool:
    """Whether it matters how long the station runs: as far as the disk knows an hour has still to pass."""
    resets = (*station.resets.resets, *station.resets_elsewhere)
    return any(station.ran_kept_s - one.ran_s < HOUR_S for one in resets)


def started(draft: Draft, event: Started) -> None:
    """What was kept is brought to what it can be: a moment that is not known counts as the end of the last run."""
    station = draft.station
    ran_s = station.ran_kept_s if 0.0 <= station.ran_kept_s <= RAN_MAX_S else 0.0
    own = tuple(_possible(one, ran_s) for one in station.resets.resets[-KEPT_MAX:])
    others = tuple(_possible(one, ran_s) for one in event.resets_elsewhere)
    draft.update(
        ran_kept_s=ran_s,
        ran_kept_at_s=station.boot.started_s,
        resets_elsewhere=others,
        boot=replace(station.boot, after_outage=not event.continued and station.next_boot_reason is None),
    )
    if own != station.resets.resets:
        draft.update(resets=PastResets(resets=own))


def _possible(one: PastReset, ran_s: float) -> PastReset:
    return one if one.ran_s <= ran_s else replace(one, ran_s=ran_s)


def elsewhere(station: Station, others: Iterable[Station]) -> tuple[PastReset, ...]:
    """The resets of a gateway's other stations, as one of its stations counts them: by its own running time, and at
    moments that need no correction. All stations as they were loaded."""
    return tuple(
        replace(
            one,
            ran_s=station.ran_kept_s - (other.ran_kept_s - one.ran_s),
            at=replace(
                one.at,
                utc=other.true_time(one.at),
                synchronized=one.at.synchronized or one.at.boot in other.corrections,
            ),
        )
        for other in others
        if other.identity.id != station.identity.id
        for one in other.resets.resets
        if one.evse is None
    )
