"""Buses and chargers: what hangs on which wire, and whether that can be.

Owns the keys of `buses` and `chargers` and every rule about lines: one line for each charger, no line twice, no place
on a line twice. Refuses to know protocols; what a device needs is in its `ProfileFacts`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from edged.settings.errors import SettingsError, shown
from edged.settings.model import (
    ChargerSettings,
    Line,
    Parity,
    ProfileFacts,
    ResetLine,
    RtuOverTcpLine,
    SerialLine,
    TcpLine,
)
from edged.settings.relays import read_reset_relay
from edged.settings.section import Pattern, Report, Section, hint

ProfileLookup = Callable[[str], ProfileFacts | Sequence[SettingsError] | None]
"""A profile's facts, what is wrong with the profile, or None where there is no such profile."""

MAX_BUSES = 32
MAX_CHARGERS = 128
MODBUS_TCP_PORT = 502
NAME = Pattern(re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}"), "use 1 to 32 letters, digits, _ and -")
PROFILE_NAME = Pattern(re.compile(r"[a-z0-9][a-z0-9-]{0,47}"), "a profile's name has small letters, digits and -")
PORT_PATH = Pattern(re.compile(r"/.+"), "write the whole path, like /dev/serial/by-id/usb-... or /dev/ttyUSB0")
_ADDRESS = re.compile(
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?"
)
_OWN_LINES = ("serial", "tcp", "rtu_over_tcp")
_OF_CHARGERS = ("poll_interval_s", "max_current_a", "phases", "voltage_v", "reset_relay")
_ANY = ProfileFacts()


@dataclass(frozen=True, slots=True)
class Wired:
    """A charger with the place where it is written and the facts of its profile (None where that is unknown)."""

    settings: ChargerSettings
    section: Section
    facts: ProfileFacts | None


def read_buses(root: Section) -> dict[str, tuple[Line, Section]]:
    """Each bus and where it is written. One that is wrong stays in, so that a charger on it is not wrong too."""
    buses: dict[str, tuple[Line, Section]] = {}
    for name, section in root.entries("buses", names=NAME, limit=MAX_BUSES):
        if ("serial" in section) == ("rtu_over_tcp" in section):
            section.report.error(section.line, section.path, "needs one line: write serial: or rtu_over_tcp:")
        serial, converter = None, address(section, "rtu_over_tcp", default_port=None)
        if "rtu_over_tcp" not in section:
            serial = _serial(section, "serial", _ANY, required="serial" in section)
        else:
            section.node("serial")
        line = serial or (RtuOverTcpLine(host=converter[0], port=converter[1]) if converter else None)
        buses[name] = (line or _in_place_of(f"bus {name}"), section)
        section.close()
    return buses


def _in_place_of(what: str) -> Line:
    """Stands in for a line that is wrong, so that what refers to it is not wrong too. Never leaves this room."""
    return RtuOverTcpLine(host=f"?{what}", port=0)


def address(section: Section, key: str, *, default_port: int | None) -> tuple[str, int] | None:
    """HOST:PORT, or HOST alone where there is a default port; None where it is missing or wrong."""
    text = section.text(key)
    if text is None:
        return None
    found = _ADDRESS.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else default_port
    if found is None or port is None or not 1 <= port <= 65535:
        section.error(key, "must be HOST:PORT, like 10.0.0.21:502 or [fd00::21]:502")
        return None
    return found["host"].strip("[]"), port


def _serial(section: Section, key: str, facts: ProfileFacts, *, required: bool = True) -> SerialLine | None:
    """The port under `key` and the line's parameters beside it."""
    port = section.text(key, pattern=PORT_PATH, required="the path of a serial port" if required else "")
    baudrate = section.integer("baudrate", facts.baudrate, low=300, high=4_000_000)
    parity = section.choice("parity", Parity, facts.parity)
    stopbits = section.integer("stopbits", facts.stopbits, low=1, high=2)
    return None if port is None else SerialLine(port=port, baudrate=baudrate, parity=parity, stopbits=stopbits)


def read_chargers(
    root: Section, buses: dict[str, tuple[Line, Section]], lookup: ProfileLookup, profile_names: Collection[str]
) -> dict[str, Wired]:
    """Every charger. One that is wrong stays in as well as it can, so that what refers to it is not wrong too."""
    if "chargers" not in root:
        root.error("chargers", "is missing: write at least one charger with its profile and its line")
    chargers: dict[str, Wired] = {}
    broken: set[str] = set()
    for name, section in root.entries("chargers", names=NAME, limit=MAX_CHARGERS):
        profile, facts = _profile(section, lookup, profile_names, broken)
        charger = replace(_charger(name, section, facts or _ANY, buses), profile=profile)
        chargers[name] = Wired(charger, section, facts)
        section.close()
    if root.is_empty("chargers"):
        root.error("chargers", "is empty: write at least one charger with its profile and its line")
    return chargers


def _profile(
    section: Section, lookup: ProfileLookup, names: Collection[str], broken: set[str]
) -> tuple[str, ProfileFacts | None]:
    profile = section.text("profile", pattern=PROFILE_NAME, required="the name of a profile")
    if profile is None:
        return "", None
    found = lookup(profile)
    if isinstance(found, ProfileFacts):
        return profile, found
    if found is None:
        section.error("profile", f"there is no profile {profile}; {hint(profile, names)}")
    else:
        section.error("profile", f"the profile {profile} is itself wrong, correct it first")
        if profile not in broken:
            section.report.errors.extend(found)
        broken.add(profile)
    return profile, None


def _charger(
    name: str, section: Section, facts: ProfileFacts, buses: dict[str, tuple[Line, Section]]
) -> ChargerSettings:
    bus, line = _line(section, facts, buses)
    if facts.addressed:
        low, high = facts.unit_ids
        unit_id: int | None = section.integer("unit_id", facts.unit_id, low=low, high=high)
    else:
        unit_id = None
        if "unit_id" in section:
            section.node("unit_id")
            section.error("unit_id", "is not used by this profile: delete the line")
    if not facts.charges:
        for key in _OF_CHARGERS:
            if key in section:
                section.error(key, "is for chargers, and this is a relay board: delete the line")
    amps = section.number("max_current_a", None, low=6, high=1000, unit="ampere")
    return ChargerSettings(
        name=name,
        profile="",
        line=line or _in_place_of(f"charger {name}"),
        bus=bus,
        unit_id=unit_id,
        point=_point(section, facts),
        poll_interval_s=section.number("poll_interval_s", None, low=0.1, high=300, unit="seconds"),
        max_current_ma=None if amps is None else round(amps * 1000),
        phases=_phases(section),
        voltage_v=section.number("voltage_v", 230.0, low=100, high=300, unit="volt to neutral"),
        reset_relay=read_reset_relay(section),
    )


def _phases(section: Section) -> int | None:
    phases = section.integer("phases", None, low=1, high=3)
    if phases == 2:
        section.error("phases", "is 2, but a charger is wired to 1 phase or to 3")
    return phases


def _point(section: Section, facts: ProfileFacts) -> int:
    point = section.integer("point", 1, low=1, high=1000)
    if facts is not _ANY and point > facts.points:
        has = "one charging point" if facts.points == 1 else f"{facts.points} charging points"
        section.error("point", f"is {point}, but this profile has {has}")
    return point


def _line(
    section: Section, facts: ProfileFacts, buses: dict[str, tuple[Line, Section]]
) -> tuple[str | None, Line | None]:
    """Name of the bus, and the line; both None where it is wrong."""
    written = [kind for kind in ("bus", *_OWN_LINES) if kind in section]
    for kind in ("bus", *_OWN_LINES):
        section.node(kind)
    if len(written) != 1:
        what = "has no line" if not written else f"has {len(written)} lines ({', '.join(written)})"
        section.report.error(
            section.line, section.path, f"{what}: write one of bus:, tcp:, rtu_over_tcp: or serial: {{port: ...}}"
        )
        return None, None
    bus: str | None = None
    line: Line | None = None
    match written[0]:
        case "bus":
            bus = section.text("bus")
            if bus is not None and bus not in buses:
                section.error("bus", f"there is no bus {shown(bus)}; {hint(bus, buses) or 'write it under buses:'}")
                return None, None
            line = None if bus is None else buses[bus][0]
        case "serial":
            own = section.section("serial")
            line = _serial(own, "port", facts)
            own.close()
        case "tcp":
            found = address(section, "tcp", default_port=facts.port or MODBUS_TCP_PORT)
            line = None if found is None else TcpLine(host=found[0], port=found[1])
        case _:
            found = address(section, "rtu_over_tcp", default_port=None)
            line = None if found is None else RtuOverTcpLine(host=found[0], port=found[1])
    if line is not None and facts is not _ANY and _kind(line) not in facts.transports:
        can = ", ".join(sorted(facts.transports))
        section.error(written[0], f"is {_kind(line)}, which this profile does not speak: it speaks {can}")
    return bus, line


def _kind(line: Line) -> str:
    match line:
        case SerialLine():
            return "serial"
        case TcpLine():
            return "tcp"
        case RtuOverTcpLine():
            return "rtu_over_tcp"


def check_wiring(root: Section, buses: dict[str, tuple[Line, Section]], chargers: dict[str, Wired]) -> None:
    """The rules that need all buses and chargers."""
    used = {wired.settings.bus for wired in chargers.values()}
    for name, (_, section) in buses.items():
        if name not in used:
            advice = f"write bus: {name} at a charger, or delete it"
            section.report.error(section.line, section.path, f"no charger uses this bus: {advice}")
    _check_lines(root.report, buses, chargers)
    _check_places(chargers)
    _check_relays(chargers)


def _wire(line: Line) -> tuple[str, ...]:
    """What makes two lines the same wire; links under /dev are followed."""
    match line:
        case SerialLine():
            return ("serial", os.path.realpath(line.port))
        case TcpLine() | RtuOverTcpLine():
            return ("net", line.host.lower(), str(line.port))


def _check_lines(report: Report, buses: dict[str, tuple[Line, Section]], chargers: dict[str, Wired]) -> None:
    """No wire under two names. Only Modbus TCP is a network: there several chargers may give the same address."""
    owners: dict[tuple[str, ...], tuple[str, Line]] = {}
    alone = {f"charger {name}" for name, wired in chargers.items() if wired.facts and not wired.facts.addressed}
    for name, (line, section) in buses.items():
        first = owners.setdefault(_wire(line), (f"bus {name}", line))
        if first[0] != f"bus {name}":
            report.error(section.line, section.path, f"is the same wire as {first[0]}: keep one of them")
    for name, wired in chargers.items():
        line = wired.settings.line
        if wired.settings.bus is not None:
            if wired.facts is not None and not wired.facts.addressed:
                wired.section.error("bus", "this profile needs a line of its own: write serial: {port: ...} instead")
            continue
        first = owners.setdefault(_wire(line), (f"charger {name}", line))
        if first[0] != f"charger {name}" and not (isinstance(line, TcpLine) and isinstance(first[1], TcpLine)):
            key = next(kind for kind in _OWN_LINES if kind in wired.section)
            advice = "write the wire once under buses: and bus: NAME at both"
            if alone & {first[0], f"charger {name}"}:
                advice = "one of the two has no unit id and needs a line of its own: give each its own"
            wired.section.error(key, f"is the same wire as {first[0]}: {advice}")


def _check_places(chargers: dict[str, Wired]) -> None:
    """Two chargers never stand at one place of one wire."""
    places: dict[tuple[object, ...], str] = {}
    for name, wired in chargers.items():
        charger, facts = wired.settings, wired.facts or _ANY
        if charger.unit_id is None:
            continue
        step = charger.point - 1
        by_address = facts.unit_stride == 0 and facts.port_stride == 0
        line = charger.line
        if isinstance(line, TcpLine) and facts.port_stride:
            line = TcpLine(host=line.host, port=line.port + step * facts.port_stride)
        place = (_wire(line), charger.unit_id + step * facts.unit_stride, charger.point if by_address else 1)
        first = places.setdefault(place, name)
        if first != name:
            key = "unit_id" if "unit_id" in wired.section else ""
            where = wired.section.path_of(key) if key else wired.section.path
            sentence = f"{first} is already unit {place[1]}, point {charger.point} on this line: give each its own"
            wired.section.report.error(wired.section.line_of(key), where, sentence)


def _check_relays(chargers: dict[str, Wired]) -> None:
    """Each relay is an output that there is, and cuts the power of one charger only."""
    outputs: dict[tuple[str, int], str] = {}
    lines: dict[tuple[str, int], str] = {}
    for name, wired in chargers.items():
        relay = wired.settings.reset_relay
        if relay is None:
            continue
        if isinstance(relay, ResetLine):
            first = lines.setdefault((os.path.realpath(relay.gpio), relay.line), name)
            if first != name:
                sentence = f"is the line of {first} already: a reset would cut the power of both"
                wired.section.error("reset_relay", sentence)
            continue
        if relay.charger == name:
            wired.section.error("reset_relay", "names the charger itself: name the relay board that cuts its power")
        elif relay.charger not in chargers:
            advice = hint(relay.charger, chargers.keys() - {name}) or "write it under chargers:"
            wired.section.error("reset_relay", f"there is no charger {shown(relay.charger)}; {advice}")
        elif (facts := chargers[relay.charger].facts) is not None and relay.output > facts.relay_outputs:
            has = f"{facts.relay_outputs} outputs" if facts.relay_outputs else "no output that cuts a charger's power"
            wired.section.error("reset_relay", f"cannot be {shown(relay.charger)}: its profile has {has}")
        first = outputs.setdefault((relay.charger, relay.output), name)
        if first != name:
            wired.section.error("reset_relay", f"is the relay of {first} already: a reset would cut the power of both")
