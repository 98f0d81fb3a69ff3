"""The ways that there are to a CSMS: the site's own, and those of the network profiles that a CSMS has written.

2.x B10. Owns which ways a station may go, in which order, and which of them a risen security profile forbids. Refuses
to know which one is tried and for how long (`access`). The site's own way is slot 1 as long as no CSMS has written that
slot; what the installer wrote stays behind all others, so that no order of a CSMS makes a station unreachable for ever.

Invariant: no way is below the security profile of the one in use (A05.FR.06).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edged.domain import key_watch
from edged.domain.configuration import REGISTRY
from edged.domain.credentials import Way
from edged.domain.station import Station
from edged.domain.transition import Draft, drop, put

PRIORITY = "NetworkConfigurationPriority"
ATTEMPTS = "NetworkProfileConnectionAttempts"
TIMEOUT = "MessageTimeout"
SITE_SLOT = 1
SLOTS = tuple(int(slot) for slot in REGISTRY[PRIORITY.casefold()].allowed)


def in_use(station: Station) -> Way:
    """The way of now; the site's own where the installer has written another one since."""
    stale = station.access.site_digest != station.rules.credentials_digest
    return Way() if stale else station.access.way


def profile_of(station: Station, way: Way) -> int:
    """The security profile that a way has."""
    return station.rules.security_profile if way.security_profile is None else way.security_profile


def active_slot(station: Station) -> int:
    return in_use(station).slot or SITE_SLOT


def message_timeout_s(station: Station) -> int:
    """How long an answer of the CSMS may take (2.x MessageTimeout)."""
    own = in_use(station).message_timeout_s
    return station.configuration.number(TIMEOUT) if own is None else own


def way_to(station: Station, slot: int) -> Way | None:
    """What a slot leads to, with the password and the key that are in use; None: nothing is written there."""
    current = in_use(station)
    profile = station.network.get(slot)
    if profile is not None:
        return Way(
            slot=slot,
            url=profile.url,
            security_profile=profile.security_profile,
            message_timeout_s=profile.message_timeout_s,
            password=current.password,
            key_id=current.key_id,
        )
    if slot != SITE_SLOT:
        return None
    home = _home(station)
    return replace(home, password=home.password if current.password is None else current.password)


def _home(station: Station) -> Way:
    """The site's own way as it last worked, with the key that is in use: an earlier one may be gone by now."""
    current = in_use(station)
    if current.slot is None:
        return current
    home = station.access.home
    return home if current.key_id is None else replace(home, key_id=current.key_id)


def priority(station: Station) -> tuple[int, ...]:
    return tuple(int(slot) for slot in station.configuration.items(PRIORITY))


def row(station: Station) -> tuple[Way, ...]:
    """Every way in its order, each once: the priority's, and behind them the site's own, with what shows who we are
    now, as it last worked, and as the installer wrote it. Only the way in use where no CSMS has written another one."""
    if not station.network:
        return (in_use(station),)
    chosen = [way_to(station, slot) for slot in priority(station)]
    last = in_use(station) if in_use(station).slot is None else way_to(replace(station, network={}), SITE_SLOT)
    lowest = profile_of(station, in_use(station))
    found = [
        way for way in (*chosen, last, _home(station), Way()) if way is not None and profile_of(station, way) >= lowest
    ]
    return once(found)


def once(ways: Iterable[Way]) -> tuple[Way, ...]:
    """Each way at its first place only."""
    return tuple(dict.fromkeys(ways))


def roaming(station: Station) -> bool:
    """Whether the ways lead to more than one place: then it is attempts that count, and not time."""
    return len({way.place for way in (*station.access.ways, *row(station))}) > 1


def forget_lower(draft: Draft) -> None:
    """A way with a higher security profile has worked: slots with lower ones go, also out of the priority
    (A05.FR.06)."""
    station = draft.station
    if not station.network:
        return
    lowest = profile_of(station, in_use(station))
    for slot, profile in station.network.items():
        if profile.security_profile < lowest:
            draft.update(network=drop(draft.station.network, slot))
    reachable = [slot for slot in priority(station) if _allowed(draft.station, slot, lowest)]
    wanted = ",".join(str(slot) for slot in reachable) or str(active_slot(station))
    if wanted != station.configuration.text(PRIORITY):
        changed = put(station.configuration.changed, PRIORITY, wanted)
        draft.update(configuration=replace(station.configuration, changed=changed))
        key_watch.changed(draft, REGISTRY[PRIORITY.casefold()], wanted, by="csms")


def _allowed(station: Station, slot: int, lowest: int) -> bool:
    way = way_to(station, slot)
    return way is not None and profile_of(station, way) >= lowest


def forget_all(draft: Draft) -> None:
    """The installer has written another way: what a CSMS wrote beside the old one is not meant for it."""
    if draft.station.network:
        configuration = draft.station.configuration
        changed = drop(configuration.changed, PRIORITY)
        draft.update(network={}, configuration=replace(configuration, changed=changed))
        now = draft.station.configuration.text(PRIORITY)
        if now != configuration.text(PRIORITY):
            key_watch.changed(draft, REGISTRY[PRIORITY.casefold()], now, by="local")
