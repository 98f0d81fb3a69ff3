"""Network connection profiles: what a CSMS may write into the slots, and in which order they may be gone.

2.x B09, B10. Refuses to know: what becomes of a changed order (`access`). The addresses are not held against any list:
a CSMS may move its stations wherever it likes, and a way that leads nowhere ends at the one that worked before.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final

from edged.domain import access, routes
from edged.domain.answers import NetworkProfileStatus, Reason
from edged.domain.commands import SetNetworkProfile
from edged.domain.credentials import NetworkProfile
from edged.domain.station import Station
from edged.domain.transition import Draft, put

MAX_URL_CHARS: Final = 512
MAX_TIMEOUT_S: Final = 3600
TLS_PROFILE: Final = 2
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_URL: Final = re.compile(
    rf"(wss?)://(?:\[([0-9A-Fa-f:.]{{2,45}})\]|{_LABEL}(?:\.{_LABEL})*\.?)(?::([0-9]{{1,5}}))?(/[!-~]*)?", re.ASCII
)


def set_profile(draft: Draft, event: SetNetworkProfile) -> None:
    """Kept for the time when the priority names its slot; what is in use is left as it is."""
    flaw = _flaw(draft.station, event)
    if flaw is not None:
        reason, detail = flaw
        draft.reply(event.request, NetworkProfileStatus.REJECTED, detail, reason=reason)
        return
    assert event.profile is not None
    draft.update(network=put(draft.station.network, event.slot, event.profile))
    draft.reply(event.request, NetworkProfileStatus.ACCEPTED)


def _flaw(station: Station, event: SetNetworkProfile) -> tuple[Reason, str] | None:
    """Why a slot cannot be written so (B09.FR.02, .04, .05)."""
    if event.slot not in routes.SLOTS:
        return Reason.INVALID_CONF_SLOT, f"the slots are {routes.SLOTS[0]} to {routes.SLOTS[-1]}"
    if event.profile is None:
        return Reason.INVALID_NETWORK_CONF, event.lacking
    return _profile_flaw(station, event.profile)


def _profile_flaw(station: Station, profile: NetworkProfile) -> tuple[Reason, str] | None:
    if not 0 <= profile.security_profile <= access.HIGHEST_PROFILE:
        return Reason.INVALID_NETWORK_CONF, "there is no such security profile"
    if profile.security_profile < access.security_profile(station):
        return Reason.NO_SECURITY_DOWNGRADE, "a security profile can only be raised"
    if not 1 <= profile.message_timeout_s <= MAX_TIMEOUT_S:
        return Reason.INVALID_NETWORK_CONF, f"messageTimeout must be from 1 to {MAX_TIMEOUT_S}"
    problem = url_problem(profile.url)
    if problem is None and profile.security_profile >= TLS_PROFILE and not profile.url.startswith("wss:"):
        problem = "this security profile needs a wss:// url"
    return None if problem is None else (Reason.INVALID_NETWORK_CONF, problem)


def url_problem(url: str) -> str | None:
    """Why a text cannot be a CSMS's base address, to which the identity is appended."""
    found = _URL.fullmatch(url) if len(url) <= MAX_URL_CHARS else None
    if found is None or not (found[3] is None or 0 < int(found[3]) < 2**16):
        return "the url must be like wss://csms.example.com/ocpp"
    if found[4] is not None and ("?" in found[4] or "#" in found[4]):
        return "the url must be without query and fragment"
    if found[2] is not None:
        try:
            IPv6Address(found[2])
        except ValueError:
            return "the url's host is not an address"
    return None


def priority_flaw(station: Station, value: str) -> tuple[Reason, str] | None:
    """Why the slots cannot be gone in this order (B10.FR.02, A05.FR.02, .03, .10). `value`: as it would be kept."""
    current = access.security_profile(station)
    for slot in (int(text) for text in value.split(",")):
        way = routes.way_to(station, slot)
        if way is None:
            return Reason.INVALID_CONF_SLOT, f"nothing is written in slot {slot}"
        profile = routes.profile_of(station, way)
        if profile < current:
            return Reason.NO_SECURITY_DOWNGRADE, f"slot {slot} has a lower security profile"
        problem = access.lacking(station, way)
        if problem is not None:
            return Reason.INVALID_NETWORK_CONF, f"slot {slot}: {problem}"
    return None
