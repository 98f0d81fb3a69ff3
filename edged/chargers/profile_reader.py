"""From a profile's document to a `DeviceProfile`, or every error at once. PURE.

Owns: the keys of the profile language and their types and bounds. What the parts must agree on is `profile_checks`.
Refuses to know: files, YAML (the document is plain data with line numbers, see `profile_document.Node`).
Invariant: returns a profile that all checks passed, or raises `ProfileErrors` with all that were found.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from edged.chargers.modbus import Table
from edged.chargers.profile import BusRules, DeviceProfile, Identity, KeepAlive, KeepAliveBy, MeterMap, Points, Span
from edged.chargers.profile_checks import check_profile
from edged.chargers.profile_document import Fields, Findings, KeyPath, Node, ProfileErrors, shown
from edged.chargers.profile_parts import (
    read_actions,
    read_closed_condition,
    read_condition,
    read_faults,
    read_init,
    read_limit,
    read_rules,
    read_state,
    read_toggle,
    read_token,
    read_write,
)
from edged.chargers.profile_registers import read_pair, read_registers
from edged.chargers.profile_rules import ProfileRule
from edged.chargers.profile_terms import (
    Condition,
    GapScope,
    PointsBy,
    Transport,
    WriteFunction,
)
from edged.chargers.registers import WordOrder
from edged.domain.connector_types import CONNECTOR_TYPES
from edged.domain.hardware import LockState

MAX_SPANS = 100
ACTIONS = ("unlock", "reset_soft", "reset_hard")
CERTAINTIES = ("A", "B", "C")
PARITIES = ("none", "even", "odd")
PROFILE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
_SIDES = {"true": True, "false": False, "unknown": None}
_LOCKS = {str(state): state for state in LockState}

R = TypeVar("R")


def read_profile(root: Node, path: str) -> DeviceProfile:
    """The profile of a document. `path` only names it in errors. `ProfileErrors` with every error found."""
    findings = Findings(path, root)
    fields = Fields(findings, root, ())
    profile = _read_parts(fields, findings)
    fields.close()
    check_profile(profile, findings)
    if findings.errors:
        raise ProfileErrors(findings.errors)
    return profile


def _read_parts(fields: Fields, findings: Findings) -> DeviceProfile:
    name = read_name(fields)
    certainty = read_word(fields, "certainty", CERTAINTIES, "C", required=True)
    word_order, bus = read_part(fields, "bus", read_bus, (WordOrder.BIG, BusRules(transports=(Transport.TCP,))), True)
    permit = read_part(fields, "permit", lambda f: read_toggle(f, on="allow", off="withhold"), None)
    availability = read_part(
        fields,
        "availability",
        lambda f: read_toggle(f, on="in_service", off="out_of_service", may_be_emulated=True),
        None,
    )
    return DeviceProfile(
        name=name,
        vendor=fields.text("vendor", required=True),
        model=fields.text("model", required=True),
        certainty=certainty,
        sources=read_texts(fields, "sources", required=True),
        setup=read_texts(fields, "setup"),
        notes=read_texts(fields, "notes"),
        unproven=read_texts(fields, "unproven"),
        connector_type=read_word(fields, "connector", CONNECTOR_TYPES, "cType2"),
        phases=fields.integer("phases", 3, low=1, high=3),
        bus=bus,
        points=read_part(fields, "points", _read_points, Points()),
        registers=read_registers(fields, findings, word_order),
        identity=read_part(fields, "identity", _read_identity, Identity()),
        state=read_state(fields.child("state", required=True), findings),
        plugged=read_rules(fields, "plugged", _SIDES),
        faults=read_faults(fields),
        lock=read_rules(fields, "lock", _LOCKS),
        lock_control=read_part(fields, "lock_control", lambda f: read_toggle(f, on="lock", off="unlock"), None),
        meter=read_part(fields, "meter", _read_meter, MeterMap()),
        permit=permit,
        limit=read_part(fields, "limit", read_limit, None),
        availability=availability,
        token=read_part(fields, "token", read_token, None),
        detachable=_read_detachable(fields),
        wake=tuple(read_write(findings, path, node) for path, node in fields.items("wake")),
        init=read_init(fields),
        keep_alive=read_part(fields, "keep_alive", _read_keep_alive, None),
        boot=tuple(read_closed_condition(findings, path, node) for path, node in fields.items("boot")),
        boot_falls=fields.text("boot_falls") or None,
        actions=read_actions(fields, ACTIONS),
    )


def read_name(fields: Fields) -> str:
    """The profile's name, which is also its file's."""
    name = fields.text("profile", required=True)
    if name and not PROFILE_NAME.fullmatch(name):
        sentence = f"{shown(name)!r} is no profile name: lower-case letters, digits and dashes, at most 48"
        fields.error("profile", sentence, ProfileRule.BAD_NAME)
    return name


def read_word(fields: Fields, key: str, words: tuple[str, ...], default: str, *, required: bool = False) -> str:
    """One of a few words."""
    word = fields.text(key, default, required=required)
    if word in words:
        return word
    fields.error(key, f"{shown(word)!r} is none of {', '.join(words)}", ProfileRule.UNKNOWN_ENUM)
    return default


def read_part(fields: Fields, key: str, read: Callable[[Fields], R], default: R, required: bool = False) -> R:
    """One section: read if it is there, its unknown keys reported."""
    child = fields.child(key, required=required)
    if child is None:
        return default
    result = read(child)
    child.close()
    return result


def read_texts(fields: Fields, key: str, *, required: bool = False) -> tuple[str, ...]:
    texts = tuple(str(scalar) for scalar in fields.scalars(key, required=required))
    if required and not texts and key in fields:
        fields.error(key, "at least one entry is needed", ProfileRule.EMPTY_LIST)
    return texts


def read_bus(fields: Fields) -> tuple[WordOrder, BusRules]:
    transports = tuple(
        transport
        for path, node in fields.items("transports", or_single=True)
        if (transport := fields.as_choice(path, node, Transport)) is not None
    )
    if not transports:
        if "transports" not in fields:
            fields.node("transports", required=True)
        elif not fields.items("transports", or_single=True):
            fields.error("transports", f"at least one of {', '.join(Transport)} is needed", ProfileRule.EMPTY_LIST)
        transports = (Transport.TCP,)
    low, high = read_pair(fields, "unit_ids", (1, 247), 0, 255)
    word_order = fields.choice("word_order", WordOrder, WordOrder.BIG)
    timeout_ms = fields.number("response_timeout_ms", 0.0, low=20, high=10_000)
    return word_order, BusRules(
        transports=transports,
        unit_ids=(low, high),
        unit_id=fields.integer("unit_id", low, low=0, high=255),
        port=fields.integer("port", 502, low=1, high=65535),
        baudrate=fields.integer("baudrate", 9600, low=300, high=4_000_000),
        parity=read_word(fields, "parity", PARITIES, "none"),
        stopbits=fields.integer("stopbits", 1, low=1, high=2),
        max_block=fields.integer("max_block", 125, low=1, high=125),
        holes=fields.flag("holes"),
        forbidden=_read_spans(fields),
        write_function=fields.choice("write_function", WriteFunction, WriteFunction.ANY),
        min_gap_s=fields.number("min_gap_ms", 0.0, low=0, high=10_000) / 1000,
        gap_scope=fields.choice("gap_scope", GapScope, GapScope.DEVICE),
        response_timeout_s=timeout_ms / 1000 if timeout_ms else None,
    )


def _read_spans(fields: Fields) -> tuple[Span, ...]:
    entries = fields.items("forbidden")
    if len(entries) > MAX_SPANS:
        fields.error("forbidden", f"{len(entries)} spans are more than {MAX_SPANS}", ProfileRule.TOO_MANY)
        return ()
    return tuple(_read_span(fields.findings, path, node) for path, node in entries)


def _read_span(findings: Findings, path: KeyPath, node: Node) -> Span:
    fields = Fields(findings, node, path)
    span = Span(
        table=fields.choice("table", Table, Table.HOLDING),
        first=fields.integer("first", low=0, high=65535, required=True),
        last=fields.integer("last", low=0, high=65535, required=True),
    )
    fields.close()
    if span.last < span.first:
        fields.error("last", f"{span.last} lies before first, {span.first}", ProfileRule.REVERSED_RANGE)
    return span


def _read_points(fields: Fields) -> Points:
    return Points(
        count=fields.integer("count", 1, low=1, high=255, required=True),
        by=fields.choice("by", PointsBy, PointsBy.ADDRESS, required=True),
        stride=fields.integer("stride", 0, low=1, high=32767, required=True),
        present=fields.text("present") or None,
    )


def _read_identity(fields: Fields) -> Identity:
    return Identity(
        firmware=fields.text("firmware") or None,
        serial_number=fields.text("serial_number") or None,
        model=fields.text("model") or None,
    )


def _read_meter(fields: Fields) -> MeterMap:
    return MeterMap(
        energy_wh=_names_of(fields, "energy_wh"),
        power_w=_names_of(fields, "power_w"),
        current_a=_per_phase(fields, "current_a"),
        voltage_v=_per_phase(fields, "voltage_v"),
        frequency_hz=fields.text("frequency_hz") or None,
        temperature_c=fields.text("temperature_c") or None,
        soc_pct=fields.text("soc_pct") or None,
    )


def _names_of(fields: Fields, key: str) -> tuple[str, ...]:
    return tuple(str(name) for name in fields.scalars(key))


def _per_phase(fields: Fields, key: str) -> tuple[str | None, str | None, str | None]:
    names = _names_of(fields, key)
    if len(names) > 3:
        fields.error(key, f"{len(names)} phases are more than three", ProfileRule.TOO_MANY)
    padded = (*names, None, None, None)
    return padded[0], padded[1], padded[2]


def _read_detachable(fields: Fields) -> bool | Condition:
    """true, false, or the condition of a register under which there is a socket."""
    node = fields.node("detachable", required=True)
    if node is None or isinstance(node.value, bool):
        return node is not None and node.value is True
    child = Fields(fields.findings, node, ("detachable",))
    condition = read_condition(child)
    child.close()
    return condition


def _read_keep_alive(fields: Fields) -> KeepAlive | None:
    by = fields.choice("by", KeepAliveBy, KeepAliveBy.ANY_READ, required=True)
    timeout_s = fields.number("timeout_s", 60.0, low=0.5, high=86_400, required=True)
    interval_s = fields.number("interval_s", timeout_s / 2, low=0.1, high=86_400)
    node = fields.node("write", required=by is KeepAliveBy.WRITE)
    if interval_s >= timeout_s:
        sentence = f"an interval of {interval_s:g} s comes too late for a timeout of {timeout_s:g} s"
        fields.error("interval_s", sentence, ProfileRule.KEEP_ALIVE_TOO_LATE)
    if node is not None and by is not KeepAliveBy.WRITE:
        fields.error("write", f"by {by} writes nothing of its own", ProfileRule.UNUSED_KEY)
    write = None if node is None else read_write(fields.findings, (*fields.path, "write"), node)
    return KeepAlive(by=by, interval_s=interval_s, timeout_s=timeout_s, write=write)
