"""Stations: OCPP identity, the way to the CSMS, and which charger is which EVSE.

Owns the keys of `stations`. What the lengths of names are bound by is OCPP's BootNotification; the rules of security
profiles are those of the 1.6 security whitepaper (A00), which 2.x shares.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from edged.domain.configuration import KEY_MAX_CHARS, VALUE_MAX_CHARS, Mutability, normalize, wanted
from edged.domain.configuration_names import known_names, site_key
from edged.domain.hardware import Measurand
from edged.domain.types import IdToken
from edged.settings.document import Mapping, Node, Scalar
from edged.settings.errors import shown
from edged.settings.model import (
    DEFAULT_MODEL,
    DEFAULT_VENDOR,
    KNOWN_VERSIONS,
    ConnectorSettings,
    CsmsSettings,
    EvseSettings,
    StationSettings,
)
from edged.settings.section import Pattern, Section, as_flag, hint
from edged.settings.wiring import Wired

MEASURANDS = frozenset(measurand.value for measurand in Measurand)
MAX_STATIONS = 32
MAX_EVSES = 64
MAX_CONNECTORS = 8
MAX_KEYS = 500
MAX_TOKENS = 1000
MAX_IDENTITY = 255
IDENTITY = Pattern(re.compile(r"(?!\.{1,2}$).+"), "it is the last part of an address, so . and .. cannot be")
CONNECTOR_TYPES = (
    *("cCCS1", "cCCS2", "cG105", "cTesla", "cType1", "cType2", "s309-1P-16A", "s309-1P-32A", "s309-3P-16A"),
    *("s309-3P-32A", "sBS1361", "sCEE-7-7", "sType2", "sType3", "Other1PhMax16A", "Other1PhOver16A", "Other3Ph"),
    *("Pan", "wInductive", "wResonant", "Undetermined", "Unknown"),
)
"""OCPP 2.0.1 ConnectorEnumType."""
_OLDEST_NAMES = "ocpp1.6"
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def read_stations(
    root: Section, chargers: dict[str, Wired], supported: Collection[str], *, readable: bool
) -> tuple[StationSettings, ...]:
    """Every station. `supported`: the versions that are built in; `readable`: others may read this file."""
    if "stations" not in root:
        root.error("stations", "is missing: write at least one station with its id, its csms and its evses")
        root.node("stations")
        return ()
    stations = []
    seats: dict[str, str] = {}
    ids: dict[str, str] = {}
    for path, node in root.items("stations", limit=MAX_STATIONS):
        section = Section(root.report, node, path)
        station = _station(section, chargers, seats, supported, readable=readable)
        section.close()
        first = ids.setdefault(station.id, path)
        if first != path and station.id:
            section.error("id", f"{first} has the same id: each connection to a CSMS needs an identity of its own")
        stations.append(station)
    if root.is_empty("stations"):
        root.error("stations", "is empty: write at least one station with its id, its csms and its evses")
    relays = {wired.settings.reset_relay.charger for wired in chargers.values() if wired.settings.reset_relay}
    for name in chargers.keys() - seats.keys() - relays:
        section = chargers[name].section
        root.report.warning(section.line, section.path, "belongs to no EVSE and is nobody's relay: it does nothing")
    return tuple(stations)


def _station(
    section: Section, chargers: dict[str, Wired], seats: dict[str, str], supported: Collection[str], *, readable: bool
) -> StationSettings:
    identity = section.text("id", pattern=IDENTITY, limit=MAX_IDENTITY, required="the OCPP identity of this station")
    if "csms" not in section:
        section.error("csms", "is missing: write csms: {url: wss://...}")
    csms = _csms(section.section("csms"), identity or "", supported, readable=readable)
    vendor_limit = 20 if _OLDEST_NAMES in csms.versions else 50
    evses = _evses(section, chargers, seats)
    return StationSettings(
        id=identity or "",
        vendor=section.text("vendor", limit=vendor_limit) or DEFAULT_VENDOR,
        model=section.text("model", limit=20) or DEFAULT_MODEL,
        serial_number=section.text("serial_number", limit=25),
        csms=csms,
        evses=evses,
        configuration=_configuration(section, connectors=sum(len(evse.connectors) for evse in evses)),
        offline_tokens=_tokens(section),
    )


# --- the CSMS ---------------------------------------------------------------------------------------------------------


def _csms(section: Section, identity: str, supported: Collection[str], *, readable: bool) -> CsmsSettings:
    url = section.text("url", limit=512, required="the address of the CSMS, like wss://csms.example.com/ocpp")
    if url is not None and (problem := _url_problem(url)):
        section.error("url", problem)
        url = None
    versions = _versions(section, supported)
    password = section.secret("password", literal_is_readable=readable)
    scheme = urlsplit(url).scheme if url is not None else ""
    guess = 2 if scheme == "wss" else 1 if password is not None else 0
    profile = section.integer("security_profile", guess, low=0, high=3)
    ca_file = section.file("ca_file")
    if url is not None:
        _check_profile(section, profile, url, identity)
        if ca_file is not None and scheme == "ws":
            section.warning("ca_file", "is not used: the url is ws://, without TLS")
    if password is not None and not 16 <= len(password.reveal()) <= 40:
        section.warning("password", "should have 16 to 40 characters: a CSMS may refuse any other length")
    section.close()
    return CsmsSettings(url=url or "", versions=versions, security_profile=profile, password=password, ca_file=ca_file)


def _url_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
        (host or "").encode("idna")
    except (ValueError, UnicodeError):
        return "is not an address: write it like wss://csms.example.com/ocpp"
    if parts.scheme not in ("ws", "wss") or not host:
        return "must start with ws:// or wss:// and name a host, like wss://csms.example.com/ocpp"
    if parts.username is not None or parts.password is not None:
        return "must not carry a user or a password: the identity is the user, the password has its own key"
    if parts.query or parts.fragment or not url.isascii() or " " in url:
        return "must be plain ASCII without ? and #: the identity is appended to it"
    return None


def _check_profile(section: Section, profile: int, url: str, identity: str) -> None:
    parts, has_password = urlsplit(url), "password" in section
    if profile == 3:
        section.error("security_profile", "3 needs a client certificate, not yet supported: write 0, 1 or 2")
        return
    if profile == 2 and parts.scheme == "ws":
        section.error("security_profile", "2 needs TLS: write a wss:// url, or security_profile: 1")
    if profile == 1 and parts.scheme == "wss":
        section.warning("security_profile", "1 is without TLS and the url is wss://: write security_profile: 2")
    if profile == 1 and parts.scheme == "ws" and parts.hostname not in _LOCAL_HOSTS:
        section.warning("security_profile", "1 sends the password unencrypted: use a wss:// url and 2 where you can")
    if profile in (1, 2) and not has_password:
        sentence = f"is missing: security profile {profile} needs one (write security_profile: 0 for none)"
        section.report.error(section.line, section.path_of("password"), sentence)
    if profile in (1, 2) and ":" in identity:
        section.error("security_profile", f"{profile} uses Basic authentication, where an id must not have a colon")
    if profile == 0 and has_password:
        section.warning("password", "is never sent: security profile 0 has no authentication")


def _versions(section: Section, supported: Collection[str]) -> tuple[str, ...]:
    """What is offered, in order; versions that are not built in are left out with a warning while one remains."""
    default = tuple(version for version in KNOWN_VERSIONS if version in supported)
    if "versions" not in section:
        section.node("versions")
        return default
    offered: list[str] = []
    missing: list[tuple[str, int, str]] = []
    found = section.texts("versions", limit=len(KNOWN_VERSIONS))
    for version, line, path in found:
        if version not in KNOWN_VERSIONS:
            section.report.error(line, path, f"there is no version {shown(version)}; {hint(version, KNOWN_VERSIONS)}")
        elif version in offered or any(version == each for each, _, _ in missing):
            section.report.error(line, path, f"{version} stands there twice: delete one")
        elif version in supported:
            offered.append(version)
        else:
            missing.append((version, line, path))
    for version, line, path in missing:
        if offered:
            section.report.warning(line, path, f"{version} is not built into this edged: it is not offered")
        else:
            section.report.error(
                line, path, f"{version} is not built into this edged: write {' or '.join(default) or 'another'}"
            )
    if section.is_empty("versions"):
        section.error("versions", f"is empty: write [{', '.join(default)}], or delete the line")
    return tuple(offered)


# --- EVSEs ------------------------------------------------------------------------------------------------------------


def _evses(section: Section, chargers: dict[str, Wired], seats: dict[str, str]) -> tuple[EvseSettings, ...]:
    if "evses" not in section:
        section.error("evses", "is missing: write at least - charger: NAME")
    evses = []
    for path, node in section.items("evses", limit=MAX_EVSES):
        inner = Section(section.report, node, path)
        evse = _evse(inner, chargers)
        inner.close()
        if evse is None:
            continue
        first = seats.setdefault(evse.charger, path)
        if first != path:
            inner.error("charger", f"{shown(evse.charger)} already belongs to {first}: a charger serves one EVSE")
        evses.append(evse)
    if section.is_empty("evses"):
        section.error("evses", "is empty: write at least - charger: NAME")
    return tuple(evses)


def _evse(section: Section, chargers: dict[str, Wired]) -> EvseSettings | None:
    charger = section.text("charger", required="the name of a charger")
    known = chargers.get(charger) if charger is not None else None
    if charger is not None and known is None:
        advice = hint(charger, chargers) or "write it under chargers:"
        section.error("charger", f"there is no charger {shown(charger)}; {advice}")
    default = known.facts.connector_type if known is not None and known.facts is not None else None
    connectors = []
    for path, node in section.items("connectors", limit=MAX_CONNECTORS):
        connectors.append(_connector(section, path, node, default))
    if section.is_empty("connectors"):
        section.error("connectors", "is empty: write [{type: cType2}], or delete the line for one connector")
    if known is not None and known.facts is not None and len(connectors) > known.facts.connectors:
        section.error("connectors", f"are {len(connectors)}, but its profile tells only {known.facts.connectors} apart")
    if charger is None:
        return None
    return EvseSettings(charger=charger, connectors=tuple(connectors) or (ConnectorSettings(type=default),))


def _connector(section: Section, path: str, node: Node, default: str | None) -> ConnectorSettings:
    if not isinstance(node, Mapping):
        section.report.error(node.line, path, "must be like {type: cType2}")
        return ConnectorSettings(type=default)
    inner = Section(section.report, node, path)
    written = inner.text("type")
    if written is not None and written not in CONNECTOR_TYPES:
        inner.error("type", f"there is no connector type {shown(written)}; {hint(written, CONNECTOR_TYPES)}")
    inner.close()
    return ConnectorSettings(type=written or default)


# --- values -----------------------------------------------------------------------------------------------------------


def _configuration(section: Section, *, connectors: int) -> dict[str, str]:
    """First values of keys as the strings that OCPP exchanges: truth values in small letters, the rest as written."""
    values: dict[str, str] = {}
    for name, scalar in section.scalars("configuration", limit=MAX_KEYS):
        path = f"{section.path_of('configuration')}.{shown(name)}"
        if not name.isprintable() or not 1 <= len(name) <= 2 * KEY_MAX_CHARS + 1:
            section.report.error(scalar.line, path, "cannot be a configuration key: use its 1.6 or 2.x name")
            continue
        key = site_key(name)
        if key is None:
            near = hint(name, known_names())
            advice = near if near.startswith("did") else "write a 1.6 name like HeartbeatInterval"
            section.report.error(scalar.line, path, f"is no configuration key; {advice}")
            continue
        if key.default is None and key.mutability is Mutability.READ_ONLY:
            section.report.error(scalar.line, path, "follows from the rest of the site: delete the line")
            continue
        value = _value(section, scalar, path)
        if value is None:
            continue
        if normalize(key, value, connectors=connectors, measurands=MEASURANDS) is None:
            section.report.error(scalar.line, path, wanted(key, MEASURANDS))
            continue
        values[name] = value
    return values


def _value(section: Section, scalar: Scalar, path: str) -> str | None:
    flag = as_flag(scalar)
    if flag is not None:
        return "true" if flag else "false"
    if not scalar.text:
        return ""
    return section.text_of(scalar, path, limit=VALUE_MAX_CHARS)


def _tokens(section: Section) -> tuple[IdToken, ...]:
    tokens: dict[str, IdToken] = {}
    for text, line, path in section.texts("offline_tokens", limit=MAX_TOKENS, length=36):
        token = IdToken(text)
        if token.key in tokens:
            section.report.warning(line, path, f"{token.masked()} stands there twice")
        tokens[token.key] = token
    return tuple(tokens.values())
