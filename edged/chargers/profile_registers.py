"""How a profile's registers are written: addresses, types, scales, fields of bits, variants by firmware. PURE.

Owns: the keys of a register's definition and their bounds. Refuses to know: which parts use a register.
"""

from __future__ import annotations

import re
from dataclasses import replace

from edged.chargers.modbus import Table
from edged.chargers.profile_document import SHOWN_CHARS, Fields, Findings, KeyPath, Node, shown
from edged.chargers.profile_rules import ProfileRule
from edged.chargers.profile_terms import Access, FirmwareRule, Poll, Register, parse_firmware
from edged.chargers.registers import Codec, CodecError, Kind, WordOrder, parse_type

MAX_REGISTERS = 500
"""No profile defines more registers: a bound for hostile files."""
MAX_VARIANTS = 8
LEAST_SCALE = 1e-9
"""A finer scale is none: values are rounded to nine decimals."""
_WHEN = re.compile(r"firmware\s*(>=|<=|==|>|<)\s*([0-9][0-9A-Za-z.\-]*)")
_REGISTER_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")


def read_registers(fields: Fields, findings: Findings, word_order: WordOrder) -> dict[str, tuple[Register, ...]]:
    found: dict[str, tuple[Register, ...]] = {}
    entries = fields.entries("registers", required=True)
    if len(entries) > MAX_REGISTERS:
        sentence = f"{len(entries)} registers are more than the {MAX_REGISTERS} that a profile may have"
        fields.error("registers", sentence, ProfileRule.TOO_MANY)
        return found
    for name, path, node in entries:
        if not _REGISTER_NAME.fullmatch(name):
            sentence = f"{shown(name)!r} is no register name: a lower-case letter, then letters, digits, underscores"
            findings.add(path, sentence, rule=ProfileRule.BAD_NAME)
        variants = [(path, node)]
        if isinstance(node.value, list):
            variants = [((*path, str(i)), entry) for i, entry in enumerate(node.value)]
        if not variants:
            findings.add(path, "a register needs at least one definition", rule=ProfileRule.EMPTY_LIST)
        if len(variants) > MAX_VARIANTS:
            sentence = f"{len(variants)} definitions of one register are more than {MAX_VARIANTS}"
            findings.add(path, sentence, rule=ProfileRule.TOO_MANY)
            variants = variants[:MAX_VARIANTS]
        found[name] = tuple(_read_register(name, findings, at, entry, word_order) for at, entry in variants)
    return found


def _read_register(name: str, findings: Findings, path: KeyPath, node: Node, word_order: WordOrder) -> Register:
    fields = Fields(findings, node, path)
    table = fields.choice("table", Table, Table.HOLDING, required=True)
    codec = _read_codec(fields, table, word_order)
    register = Register(
        name=name,
        table=table,
        address=_read_address(fields),
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
        sentence = f"{codec.words} registers from {register.address} reach beyond 65535"
        fields.error("address", sentence, ProfileRule.IMPOSSIBLE_REGISTER)
    return register


def _read_address(fields: Fields) -> int:
    node = fields.node("address", required=True)
    if node is not None and isinstance(node.value, int) and not 0 <= node.value <= 0xFFFF:
        sentence = f"there is no register {node.value}: addresses are 0..65535, as they are on the wire"
        fields.error("address", sentence, ProfileRule.IMPOSSIBLE_REGISTER)
        return 0
    return fields.integer("address", low=0, high=0xFFFF)


def _whole(node: Node) -> int | None:
    return node.value if isinstance(node.value, int) and not isinstance(node.value, bool) else None


def _read_codec(fields: Fields, table: Table, word_order: WordOrder) -> Codec:
    name = fields.text("type", "bit" if table.is_bits else "u16")
    try:
        kind, words = parse_type(name)
    except CodecError as error:
        sentence = str(error) if len(name) <= SHOWN_CHARS else "there is no such register type"
        fields.error("type", sentence, ProfileRule.UNKNOWN_TYPE)
        kind, words = Kind.BIT if table.is_bits else Kind.UNSIGNED, 1
    is_known = not {fields.path, (*fields.path, "table")} & fields.findings.wrong
    if is_known and table.is_bits is not (kind is Kind.BIT):
        sentence = "coils and discrete inputs have the type bit, registers any other"
        fields.error("type", sentence, ProfileRule.TYPE_OF_TABLE)
    codec = Codec(
        kind=kind,
        words=words,
        word_order=fields.choice("word_order", WordOrder, word_order),
        scale=_read_scale(fields),
        offset=fields.number("offset", 0.0, low=-1e12, high=1e12),
        bits=_read_bits(fields, kind, 16 * words),
    )
    codec = replace(codec, invalid=_read_invalid(fields, codec))
    if not codec.is_number and (codec.is_scaled or "invalid" in fields):
        fields.error("type", "a text or bytes cannot have scale, offset or invalid", ProfileRule.SCALED_TEXT)
    return codec


def _read_scale(fields: Fields) -> float:
    scale = fields.number("scale", 1.0, low=-1e12, high=1e12)
    if scale == 0:
        sentence = "a scale of 0 would make every value 0; leave the key out for 1"
        fields.error("scale", sentence, ProfileRule.SCALE_ZERO)
    elif abs(scale) < LEAST_SCALE:
        sentence = f"a scale of {scale:g} is finer than {LEAST_SCALE:g}"
        fields.error("scale", sentence, ProfileRule.OUT_OF_RANGE)
    else:
        return scale
    return 1.0


def _read_invalid(fields: Fields, codec: Codec) -> frozenset[int]:
    """Raw values that mean no value: whole numbers that the type can have."""
    nodes = [node for _, node in fields.items("invalid", or_single=True)]
    numbers = frozenset(raw for node in nodes if (raw := _whole(node)) is not None)
    low, high = codec.raw_range
    if not all(_whole(node) is not None for node in nodes):
        sentence = "sentinels are raw whole numbers; NaN is always invalid"
        fields.error("invalid", sentence, ProfileRule.WRONG_TYPE)
    elif codec.is_number and codec.kind is not Kind.FLOAT and not all(low <= raw <= high for raw in numbers):
        sentence = f"a raw value outside {low}..{high} never comes"
        fields.error("invalid", sentence, ProfileRule.IMPOSSIBLE_SENTINEL)
    return numbers


def _read_bits(fields: Fields, kind: Kind, width: int) -> tuple[int, int] | None:
    """One bit or [first, last] of an unsigned number; both counted from 0, the least significant."""
    if "bits" not in fields:
        return None
    if kind not in (Kind.UNSIGNED, Kind.BITS):
        sentence = "only of an unsigned number can single bits be taken"
        fields.error("bits", sentence, ProfileRule.BITS_WITHOUT_NUMBER)
        return None
    return read_pair(fields, "bits", (0, width - 1), 0, width - 1)


def _read_names(fields: Fields) -> dict[str, int | str]:
    names: dict[str, int | str] = {}
    for label, path, node in fields.entries("names"):
        if isinstance(node.value, (int, str)) and not isinstance(node.value, bool):
            names[label] = node.value
        else:
            sentence = "a name stands for a whole number or a text"
            fields.findings.add(path, sentence, node.line, rule=ProfileRule.WRONG_TYPE)
    return names


def _read_when(fields: Fields) -> FirmwareRule | None:
    text = fields.text("when")
    if not text:
        return None
    match = _WHEN.fullmatch(text)
    version = parse_firmware(match[2]) if match else None
    if match is None or version is None:
        sentence = f"{shown(text)!r} is not understood; write for example: firmware >= 5.22"
        fields.error("when", sentence, ProfileRule.UNCLEAR_FIRMWARE)
        return None
    return FirmwareRule(match[1], version)


def read_pair(fields: Fields, key: str, default: tuple[int, int], low: int, high: int) -> tuple[int, int]:
    """One whole number, or the first and the last of several."""
    nodes = [node for _, node in fields.items(key, or_single=True)]
    if key not in fields:
        return default
    numbers = [node.value for node in nodes if isinstance(node.value, int) and not isinstance(node.value, bool)]
    sentence = f"this must be one whole number or [first, last] within {low}..{high}"
    if not 1 <= len(nodes) <= 2 or len(numbers) < len(nodes):
        fields.error(key, sentence, ProfileRule.WRONG_TYPE)
    elif not all(low <= number <= high for number in numbers):
        fields.error(key, sentence, ProfileRule.OUT_OF_RANGE)
    elif numbers[-1] < numbers[0]:
        fields.error(key, f"{numbers[-1]} lies before {numbers[0]}", ProfileRule.REVERSED_RANGE)
    else:
        return numbers[0], numbers[-1]
    return default
