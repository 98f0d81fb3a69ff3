"""The way to the CSMS: security profile, password, and going back to what worked. Whitepaper A01, A05; 2.x A.

A changed way is on trial until the CSMS has said something on a line that came about with it: some let everybody in
and close again whom they do not like. Where it is refused, or nothing comes of it in time, the ones before it have
their turn, back to what worked before all of them, and so on: whichever works first stays, the others are forgotten.
Never going back for good keeps a station from being locked out that was told of a new password while the network
failed; orders in between are tried as well, for the CSMS may have seen only some of them carried out.

Where the ways lead to several places (2.x network profiles, `routes`), each is tried NetworkProfileConnectionAttempts
times, for as long as none works, and again when the one that worked leads nowhere any more.

Invariants: the security profile is only ever raised from outside, and lowered only to what worked before a change that
failed (A05.FR.01, .08) · what has worked has no other way beside it (A05.FR.09) · no secret leaves this module's facts.
"""

from __future__ import annotations

import re
from dataclasses import replace

from edged.domain import routes
from edged.domain.credentials import Access, CertificateUse, LinkFailure, Way
from edged.domain.events import LinkDown, LinkFailed, LinkProven
from edged.domain.security_event import SecurityEvent, note
from edged.domain.station import Station
from edged.domain.transition import Draft
from edged.domain.types import SecretText

TRIAL_S = 90.0
LONGEST_TRIAL_S = 3600.0
MAX_REFUSALS = 3
HIGHEST_PROFILE = 3
TLS_PROFILE = 2
NO_ROOT = "there is no root certificate for the CSMS"
MAX_WAYS = 4
"""On trial at a time: of a longer row of orders the newest ones, and what worked before all of them."""

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){16,20}")
_TEXT = re.compile(r"[ -~]{16,40}")

_ALARMS = {
    LinkFailure.AUTHENTICATION: SecurityEvent.WE_FAILED_TO_AUTHENTICATE,
    LinkFailure.CERTIFICATE: SecurityEvent.INVALID_CSMS_CERTIFICATE,
    LinkFailure.OTHER_HOST: SecurityEvent.CSMS_FAILED_TO_AUTHENTICATE,
    LinkFailure.TLS_VERSION: SecurityEvent.INVALID_TLS_VERSION,
    LinkFailure.TLS_CIPHER: SecurityEvent.INVALID_TLS_CIPHER,
}

# --- what is in force


def way_of(station: Station) -> Way:
    """What the CSMS has made of the site's own way; nothing where the installer has written another one since."""
    return routes.in_use(station)


def security_profile(station: Station) -> int:
    """The profile that the station uses now."""
    return routes.profile_of(station, routes.in_use(station))


def client_key(station: Station) -> str | None:
    """The installed key pair that shows who we are at profile 3; None: the site's own certificate, if it has one. Of
    several the newest that has begun; none that has not (A02.FR.08)."""
    chosen = way_of(station).key_id
    if chosen is not None or station.rules.has_client_certificate:
        return chosen
    chains = [(one.not_before, one.key_id) for one in station.client_certificates.values() if one.chain]
    begun = [(at, key_id) for at, key_id in chains if at is not None and at <= station.clock.utc]
    return max(begun)[1] if begun else None


def usable(station: Station, password: str) -> bool:
    """Whether a text can be an AuthorizationKey: 16 to 20 bytes in hexadecimal, or 16 to 40 printable ASCII characters
    where passwords are text (A00.FR.205; whitepaper 7.2)."""
    return bool(_HEX.fullmatch(password)) or (not station.rules.hex_password and bool(_TEXT.fullmatch(password)))


def missing(station: Station, profile: int) -> str | None:
    """What a security profile needs and is not there (A05.FR.02 to .04)."""
    if profile in (1, 2) and not (way_of(station).password is not None or station.rules.has_password):
        return "there is no AuthorizationKey"
    if profile in (1, 2) and ":" in station.identity.id:
        return "an identity with a colon cannot be used with Basic authentication"
    roots = any(one.use is CertificateUse.CSMS_ROOT for one in station.certificates.values())
    if profile >= 2 and not (station.rules.has_root or roots):
        return NO_ROOT
    if profile == HIGHEST_PROFILE and not (station.rules.has_client_certificate or client_key(station) is not None):
        return "there is no client certificate"
    return None


def lacking(station: Station, way: Way) -> str | None:
    """What a way would need and is not there. A site that believes in the system's authorities needs no root."""
    problem = missing(station, routes.profile_of(station, way))
    trusting = station.rules.security_profile >= TLS_PROFILE and not station.rules.has_root
    return None if trusting and problem == NO_ROOT else problem


# --- orders


def begin(draft: Draft) -> None:
    """A start: the first way of the priority is tried first, and behind the others what worked before (2.x B10.FR.04,
    A05.FR.05). The installer's newer word goes before both."""
    station = draft.station
    if station.access.site_digest != station.rules.credentials_digest:
        _drop(draft)
        return
    ways = _row(station)
    if ways[0] != station.access.way:
        _lay(draft, routes.once((*ways, *station.access.ways)))
        note(draft, SecurityEvent.RECONFIGURATION, f"network profile {routes.active_slot(draft.station)}")


def _row(station: Station) -> tuple[Way, ...]:
    """The ways that can be gone; the one in use always can."""
    ways = [way for way in routes.row(station) if way == station.access.way or lacking(station, way) is None]
    return tuple(ways) or (station.access.way,)


def _lay(draft: Draft, ways: tuple[Way, ...]) -> None:
    """Go these ways, one behind the other."""
    access = draft.station.access
    draft.update(
        access=replace(
            access,
            way=ways[0],
            former=ways[1] if len(ways) > 1 else None,
            further=ways[2:],
            number=access.number + 1,
            swaps=0,
            failures=0,
            attempts=0,
            until_s=draft.now.monotonic_s + TRIAL_S,
            home=_home(access),
        )
    )


def _home(access: Access) -> Way:
    return access.way if access.way.slot is None else access.home


def change_password(draft: Draft, password: str) -> str | None:
    """From the next line on. Returns why not (A01.FR.01)."""
    if not usable(draft.station, password):
        return "not a password"
    _use_password(draft, SecretText(password))
    return None


def change_literal_password(draft: Draft, password: str) -> None:
    """The same for one that is its characters (2.x A00.FR.205), and known to be of the right kind and length: one of
    hexadecimal digits is no other bytes then, whatever the site's own is."""
    _use_password(draft, SecretText(password, literal=draft.station.rules.hex_password))


def _use_password(draft: Draft, password: SecretText) -> None:
    _order(draft, replace(draft.station.access.way, password=password), "AuthorizationKey")


def change_profile(draft: Draft, value: str) -> str | None:
    """From the next line on. `value`: a whole number. Returns why not (A05.FR.01 to .05)."""
    profile = int(value)
    if not security_profile(draft.station) < profile <= HIGHEST_PROFILE:
        return "a security profile can only be raised"
    problem = missing(draft.station, profile)
    if problem is None:
        key_id = client_key(draft.station)
        way = replace(draft.station.access.way, security_profile=profile, key_id=key_id)
        _order(draft, way, "SecurityProfile")
    return problem


def use_key(draft: Draft, key_id: str) -> None:
    """Show this key's certificate from the next line on; where none is shown yet, once one is (A02.FR.08)."""
    access = draft.station.access
    way = replace(access.way, key_id=key_id)
    if way == access.way:
        return
    if security_profile(draft.station) == HIGHEST_PROFILE:
        _order(draft, way, "client certificate")
    else:
        digest = draft.station.rules.credentials_digest
        draft.update(access=replace(access, way=way, site_digest=digest))


def _order(draft: Draft, way: Way, what: str) -> None:
    """Try another way, or the same anew. What worked last is kept beside it, and earlier orders that have not failed
    yet."""
    access = draft.station.access
    earlier = (*access.ordered[access.turn :], access.way)
    others = routes.once(one for one in earlier if one != way and one.place == way.place)
    if len(others) >= MAX_WAYS:
        others = (*others[: MAX_WAYS - 2], others[-1])
    ordered = Access(
        way=way,
        number=access.number + 1,
        site_digest=draft.station.rules.credentials_digest,
        until_s=draft.now.monotonic_s + TRIAL_S,
        home=access.home,
    )
    draft.update(access=ordered)
    behind = (*others, *(one for one in _row(draft.station) if one.place != way.place))
    draft.update(access=replace(ordered, former=behind[0] if behind else None, further=behind[1:]))
    note(draft, SecurityEvent.RECONFIGURATION, what)


# --- how it goes


def link_up(draft: Draft) -> None:
    """The outage is over. A CSMS that is elsewhere has so long to say a word."""
    draft.update(link=replace(draft.station.link, alarms=frozenset()))
    if draft.station.access.former is not None and routes.roaming(draft.station):
        draft.update(access=replace(draft.station.access, until_s=draft.now.monotonic_s + TRIAL_S))


def link_proven(draft: Draft, event: LinkProven) -> None:
    """The CSMS speaks to us: the other ways are not needed any more (A05.FR.09)."""
    access = draft.station.access
    if event.access != access.number:
        return
    worked = replace(access, failures=0, attempts=0)
    if access.former is None:
        draft.update(access=worked)
        return
    restored = access.turn > 0
    draft.update(access=replace(worked, former=None, further=(), swaps=0, until_s=None, home=_home(access)))
    routes.forget_lower(draft)
    kind = "ocpp.access_restored" if restored else "ocpp.access_confirmed"
    draft.announce(kind, None, security_profile=security_profile(draft.station))


def link_lost(draft: Draft, event: LinkDown) -> None:
    """A line that ends before the CSMS has said a word was not meant to be one."""
    access = draft.station.access
    if event.access != access.number or draft.station.isolation is not None:
        return
    if routes.roaming(draft.station):
        if access.former is not None or access.attempts:
            _count(draft)
    elif access.former is not None:
        _refused(draft)


def link_failed(draft: Draft, event: LinkFailed) -> None:
    """Once an outage into the security log; a new way, refused often enough, gives way to the former one at once."""
    access = draft.station.access
    if event.access != access.number:
        return
    link = draft.station.link
    if event.failure in _ALARMS and event.failure not in link.alarms:
        draft.update(link=replace(link, alarms=link.alarms | {event.failure}))
        note(draft, _ALARMS[event.failure], event.reason)
    if routes.roaming(draft.station):
        _count(draft)
        return
    if access.former is None or event.failure is LinkFailure.UNREACHABLE:
        return
    if event.failure is LinkFailure.OTHER:
        draft.update(access=replace(access, failures=max(1, access.failures)))
    else:
        _refused(draft)


def _count(draft: Draft) -> None:
    """One more attempt that led nowhere; after so many the next way has its turn, also where this one has worked
    (2.x B10.FR.03, .07)."""
    access = draft.station.access
    attempts = access.attempts + 1
    draft.update(access=replace(access, attempts=attempts))
    if attempts < draft.station.configuration.number(routes.ATTEMPTS):
        return
    if access.former is not None:
        _swap(draft)
        return
    ways = _row(draft.station)
    behind = ways.index(access.way) + 1 if access.way in ways else 0
    others = routes.once((*ways[behind:], *ways[:behind], access.way))
    _lay(draft, tuple(way for way in others if way != access.way) + (access.way,))


def _refused(draft: Draft) -> None:
    access = draft.station.access
    failures = access.failures + 1
    draft.update(access=replace(access, failures=failures))
    first_round = access.swaps + 1 < len(access.ways)
    if failures >= MAX_REFUSALS and first_round:  # later turns last: all have been refused already
        _swap(draft)


def refresh(draft: Draft) -> None:
    """The installer's newer word, and trials that are over. After a restart a trial begins anew."""
    access = draft.station.access
    if access.site_digest != draft.station.rules.credentials_digest:
        _drop(draft)
        return
    if access.former is None or draft.station.isolation is not None:
        return
    if routes.roaming(draft.station):
        mute = access.until_s is not None and draft.now.monotonic_s >= access.until_s
        if mute and draft.station.link.online:
            _swap(draft)
        return
    if access.until_s is None:
        draft.update(access=replace(access, until_s=draft.now.monotonic_s + TRIAL_S))
    elif draft.now.monotonic_s >= access.until_s:
        if draft.station.link.online or not _tells(draft.station):
            draft.update(access=replace(access, until_s=draft.now.monotonic_s + TRIAL_S))
        else:
            _swap(draft)


def _tells(station: Station) -> bool:
    """Whether no line in time speaks against the way: not where nobody has answered and the other goes the same road
    with another password."""
    access = station.access
    assert access.former is not None
    return access.failures > 0 or access.way.security_profile != access.former.security_profile


def _swap(draft: Draft) -> None:
    """The next way's turn. Each round is longer: while the network is away, all would only fail faster."""
    access = draft.station.access
    following = (*access.ways[1:], access.way)
    swaps = access.swaps + 1
    trial_s = min(TRIAL_S * 2 ** min(swaps // len(following), 10), LONGEST_TRIAL_S)
    swapped = replace(
        access,
        way=following[0],
        former=following[1],
        further=following[2:],
        number=access.number + 1,
        swaps=swaps,
        failures=0,
        attempts=0,
        until_s=draft.now.monotonic_s + trial_s,
        home=_home(access),
    )
    draft.update(access=swapped)
    if swaps == 1 and not routes.roaming(draft.station):
        note(draft, SecurityEvent.RECONFIGURATION, "the new access did not work, the former one is used again")
        draft.announce("ocpp.access_rolled_back", None, security_profile=security_profile(draft.station))


def _drop(draft: Draft) -> None:
    """The installer has written other credentials since: they win over what the CSMS once set."""
    access = draft.station.access
    changed = access.way != Way() or access.former is not None
    digest = draft.station.rules.credentials_digest
    draft.update(access=Access(number=access.number + 1 if changed else access.number, site_digest=digest))
    routes.forget_all(draft)
    if changed:
        note(draft, SecurityEvent.RECONFIGURATION, "the site's own credentials")
        draft.announce("ocpp.access_dropped", None, reason="the site's file has other credentials")
