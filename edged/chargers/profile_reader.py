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
from edged.chargers.profile_document import Fields, Findings, KeyPath, Node, ProfileErrors
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
from edged.chargers.profile_terms import (
    Access,
    Condition,
    FirmwareRule,
    GapScope,
    PointsBy,
    Poll,
    Register,
    Transport,
    WriteFunction,
    parse_firmware,
)
from edged.chargers.registers import Codec, CodecError, Kind, WordOrder, parse_type
from edged.domain.hardware import LockState

MAX_REGISTERS = 500
"""No profile defines more registers: a bound for hostile files."""
ACTIONS = ("unlock", "reset_soft", "reset_hard")
CERTAINTIES = ("A", "B", "C")
_WHEN = re.compile(r"firmware\s*(>=|<=|==|>|<)\s*([0-9][0-9A-Za-z.\-]*)")
PROFILE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
_REGISTER_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
_SIDES = {"true": True, "false": False, "unknown": None}
_LOCKS = {str(state): state for state in LockState}

R = TypeVar("R")


def read_profile(root: Node, path: str) -> DeviceProfile:
    """The profile of a document. `path` only names it in errors. `ProfileErrors` with every error found."""
    findings = Findings(path, root)
    fields = Fields(findings, root, ())
    profile = _read_parts(fields, findings)
    fields.close()
    if not findings.errors:
        check_profile(profile, findings)
    if findings.errors:
        raise ProfileErrors(findings.errors)
    return profile


def _read_parts(fields: Fields, findings: Findings) -> DeviceProfile:
    name = fields.text("profile", required=True)
    if name and not PROFILE_NAME.fullmatch(name):
        fields.error("profile", f"{name!r} is no profile name: lower-case letters, digits and dashes, at most 48")
    certainty = fields.text("certainty", "C", required=True)
    if certainty not in CERTAINTIES:
        fields.error("certainty", f"{certainty!r} is none of {', '.join(CERTAINTIES)}")
    word_order, bus = read_part(fields, "bus", read_bus, (WordOrder.BIG, BusRules(transports=(Transport.TCP,))), True)
    permit = read_part(fields, "permit", lambda f: read_toggle(f, on="allow", off="withhold"), None)
    availability = read_part(
        fields, "availability", lambda f: read_toggle(f, on="in_service", off="out_of_service"), None
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
        connector_type=fields.text("connector", "cType2"),
        phases=fields.integer("phases", 3, low=1, high=3),
        bus=bus,
        points=read_part(fields, "points", _read_points, Points()),
        registers=_read_registers(fields, findings, word_order),
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
        fields.error(key, "at least one entry is needed")
    return texts


def read_bus(fields: Fields) -> tuple[WordOrder, BusRules]:
    findings = fields.findings
    transports = tuple(
        transport
        for path, node in fields.items("transports", or_single=True)
        if (transport := fields.as_choice(path, node, Transport)) is not None
    )
    if not transports:
        fields.error("transports", "at least one of rtu, tcp, rtu_over_tcp is needed")
        transports = (Transport.TCP,)
    low, high = _read_pair(fields, "unit_ids", (1, 247), 0, 255)
    parity = fields.text("parity", "none")
    if parity not in ("none", "even", "odd"):
        fields.error("parity", f"{parity!r} is none of none, even, odd")
    word_order = fields.choice("word_order", WordOrder, WordOrder.BIG)
    timeout_ms = fields.number("response_timeout_ms", 0.0, low=20, high=10_000)
    return word_order, BusRules(
        transports=transports,
        unit_ids=(low, high),
        unit_id=fields.integer("unit_id", low, low=0, high=255),
        port=fields.integer("port", 502, low=1, high=65535),
        baudrate=fields.integer("baudrate", 9600, low=300, high=4_000_000),
        parity=parity,
        stopbits=fields.integer("stopbits", 1, low=1, high=2),
        max_block=fields.integer("max_block", 125, low=1, high=125),
        holes=fields.flag("holes"),
        forbidden=tuple(_read_span(findings, path, node) for path, node in fields.items("forbidden")),
        write_function=fields.choice("write_function", WriteFunction, WriteFunction.ANY),
        min_gap_s=fields.number("min_gap_ms", 0.0, low=0, high=10_000) / 1000,
        gap_scope=fields.choice("gap_scope", GapScope, GapScope.DEVICE),
        response_timeout_s=timeout_ms / 1000 if timeout_ms else None,
        repeat_first=fields.flag("repeat_first"),
    )


def _read_pair(fields: Fields, key: str, default: tuple[int, int], low: int, high: int) -> tuple[int, int]:
    scalars = fields.scalars(key)
    if not scalars:
        return default
    first, last = scalars[0], scalars[-1]
    if len(scalars) > 2 or not isinstance(first, int) or not isinstance(last, int) or not low <= first <= last <= high:
        fields.error(key, f"this must be one number or [first, last] within {low}..{high}")
        return default
    return first, last


def _read_span(findings: Findings, path: KeyPath, node: Node) -> Span:
    fields = Fields(findings, node, path)
    span = Span(
        table=fields.choice("table", Table, Table.HOLDING),
        first=fields.integer("first", low=0, high=65535, required=True),
        last=fields.integer("last", low=0, high=65535, required=True),
    )
    fields.close()
    if span.last < span.first:
        fields.error("last", f"{span.last} lies before first, {span.first}")
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


def _read_registers(fields: Fields, findings: Findings, word_order: WordOrder) -> dict[str, tuple[Register, ...]]:
    found: dict[str, tuple[Register, ...]] = {}
    entries = fields.entries("registers", required=True)
    if len(entries) > MAX_REGISTERS:
        fields.error("registers", f"{len(entries)} registers are more than the {MAX_REGISTERS} that a profile may have")
        return found
    for name, path, node in entries:
        if not _REGISTER_NAME.fullmatch(name):
            findings.add(path, f"{name!r} is no register name: a lower-case letter, then letters, digits, underscores")
        variants = [(path, node)]
        if isinstance(node.value, list):
            variants = [((*path, str(i)), entry) for i, entry in enumerate(node.value)]
        if not variants:
            findings.add(path, "a register needs at least one definition")
        found[name] = tuple(_read_register(name, findings, at, entry, word_order) for at, entry in variants)
    return found


def _read_register(name: str, findings: Findings, path: KeyPath, node: Node, word_order: WordOrder) -> Register:
    fields = Fields(findings, node, path)
    table = fields.choice("table", Table, Table.HOLDING, required=True)
    codec = _read_codec(fields, table, word_order)
    register = Register(
        name=name,
        table=table,
        address=fields.integer("address", low=0, high=65535, required=True),
        codec=codec,
        access=fields.choice("access", Access, Access.READ),
        unit=fields.text("unit"),
        poll=fields.choice("poll", Poll, Poll.ALWAYS),
        shared=fields.flag("shared"),
        names=_read_names(fields),
        when=_read_when(fields),
        note=fields.text("note"),
    )
    fields.close()
    if register.address + codec.words > 0x10000:
        fields.error("address", f"{codec.words} registers from {register.address} reach beyond 65535")
    return register


def _read_codec(fields: Fields, table: Table, word_order: WordOrder) -> Codec:
    try:
        kind, words = parse_type(fields.text("type", "bit" if table.is_bits else "u16"))
    except CodecError as error:
        fields.error("type", str(error))
        kind, words = Kind.UNSIGNED, 1
    if table.is_bits is not (kind is Kind.BIT):
        fields.error("type", "coils and discrete inputs have the type bit, registers any other")
    scale = fields.number("scale", 1.0, low=-1e12, high=1e12)
    if scale == 0:
        fields.error("scale", "a scale of 0 would make every value 0; leave the key out for 1")
        scale = 1.0
    invalid = fields.scalars("invalid")
    if not all(isinstance(raw, int) for raw in invalid):
        fields.error("invalid", "sentinels are raw whole numbers; NaN is always invalid")
    codec = Codec(
        kind=kind,
        words=words,
        word_order=fields.choice("word_order", WordOrder, word_order),
        scale=scale,
        offset=fields.number("offset", 0.0, low=-1e12, high=1e12),
        invalid=frozenset(raw for raw in invalid if isinstance(raw, int)),
        bits=_read_bits(fields, kind, 16 * words),
    )
    if not codec.is_number and (codec.is_scaled or codec.invalid):
        fields.error("type", "a text or bytes cannot have scale, offset or invalid")
    return codec


def _read_bits(fields: Fields, kind: Kind, width: int) -> tuple[int, int] | None:
    """One bit or [first, last] of an unsigned number; both counted from 0, the least significant."""
    if "bits" not in fields:
        return None
    if kind not in (Kind.UNSIGNED, Kind.BITS):
        fields.error("bits", "only of an unsigned number can single bits be taken")
        return None
    return _read_pair(fields, "bits", (0, width - 1), 0, width - 1)


def _read_names(fields: Fields) -> dict[str, int | str]:
    names: dict[str, int | str] = {}
    for label, path, node in fields.entries("names"):
        if isinstance(node.value, (int, str)) and not isinstance(node.value, bool):
            names[label] = node.value
        else:
            fields.findings.add(path, "a name stands for a whole number or a text", node.line)
    return names


def _read_when(fields: Fields) -> FirmwareRule | None:
    text = fields.text("when")
    if not text:
        return None
    match = _WHEN.fullmatch(text)
    version = parse_firmware(match[2]) if match else None
    if match is None or version is None:
        fields.error("when", f"{text!r} is not understood; write for example: firmware >= 5.22")
        return None
    return FirmwareRule(match[1], version)


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
        fields.error(key, f"{len(names)} phases are more than three")
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
        fields.error("interval_s", f"an interval of {interval_s:g} s comes too late for a timeout of {timeout_s:g} s")
    write = None if node is None else read_write(fields.findings, (*fields.path, "write"), node)
    return KeepAlive(by=by, interval_s=interval_s, timeout_s=timeout_s, write=write)
