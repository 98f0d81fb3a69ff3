"""Stations: OCPP identity, and which charger is which EVSE.

Owns the keys of `stations` but those of `csms`. What the lengths of names are bound by is OCPP's BootNotification.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from edged.domain.configuration import KEY_MAX_CHARS, VALUE_MAX_CHARS, Mutability, normalize, wanted
from edged.domain.configuration_names import known_names, site_key
from edged.domain.connector_types import CONNECTOR_TYPES
from edged.domain.hardware import Measurand
from edged.domain.slug import slug_of
from edged.domain.types import IdToken
from edged.settings.csms import read_csms
from edged.settings.custom_keys import read_custom_keys
from edged.settings.document import Mapping, Node, Scalar
from edged.settings.errors import shown
from edged.settings.model import (
    DEFAULT_MODEL,
    DEFAULT_VENDOR,
    ConnectorSettings,
    EvseSettings,
    ResetRelay,
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
_OLDEST_NAMES = "ocpp1.6"
_OF_CSMS = {"AuthorizationKey": "password", "SecurityProfile": "security_profile"}
"""Keys that are no settings but the way to the CSMS, and where that is written."""


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
    slugs: dict[str, tuple[str, str, int]] = {}
    for path, node in root.items("stations", limit=MAX_STATIONS):
        section = Section(root.report, node, path)
        station = _station(section, chargers, seats, supported, readable=readable)
        section.close()
        first = ids.setdefault(station.id, path)
        if first != path and station.id:
            section.error("id", f"{first} has the same id: each connection to a CSMS needs an identity of its own")
        elif station.id:
            _tell_apart(section, station.id, path, slugs)
        stations.append(station)
    if root.is_empty("stations"):
        root.error("stations", "is empty: write at least one station with its id, its csms and its evses")
    actuators = (wired.settings.reset_relay for wired in chargers.values())
    relays = {relay.charger for relay in actuators if isinstance(relay, ResetRelay)}
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
    csms = read_csms(section.section("csms"), identity or "", supported, readable=readable)
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
        custom_keys=read_custom_keys(section),
        offline_tokens=_tokens(section),
        display=section.flag("display", False),
    )


def _tell_apart(section: Section, identity: str, path: str, slugs: dict[str, tuple[str, str, int]]) -> None:
    """Two identities with one slug would be one station in topics, events and commands (docs/mqtt)."""
    slug = slug_of(identity)
    other, where, line = slugs.setdefault(slug, (identity, path, section.line_of("id")))
    if where != path:
        section.error(
            "id",
            f"{shown(identity)} and {shown(other)} ({where}, line {line}) are both called {slug} in topics, events and "
            "commands: change one of them",
        )


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
    if charger is not None and known is not None and known.facts is not None and not known.facts.charges:
        section.error("charger", f"{shown(charger)} is a relay board, no charger: name it in reset_relay of a charger")
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
    first: dict[str, tuple[str, int]] = {}
    for name, scalar in section.scalars("configuration", limit=MAX_KEYS):
        path = f"{section.path_of('configuration')}.{shown(name)}"
        if not name.isprintable() or not 1 <= len(name) <= 2 * KEY_MAX_CHARS + 1:
            section.report.error(scalar.line, path, "cannot be a configuration key: use its 1.6 or 2.x name")
            continue
        key = site_key(name)
        if key is None:
            near = hint(name, known_names())
            advice = near if near.startswith("did") else "write a name like HeartbeatInterval or TxCtrlr.TxStartPoint"
            section.report.error(scalar.line, path, f"is no configuration key; {advice}")
            continue
        other, line = first.setdefault(key.name, (name, scalar.line))
        if other != name:
            section.report.error(scalar.line, path, f"is the same key as {other} in line {line}: delete one")
            continue
        if key.name in _OF_CSMS:
            section.report.error(scalar.line, path, f"is not set here: write csms: {{{_OF_CSMS[key.name]}: ...}}")
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
