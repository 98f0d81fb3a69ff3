"""Register words to engineering values and back. PURE.

Owns: the register types, word order, scale and offset, sentinels that mean "no value", the range of each type.
Refuses to know: addresses, tables, function codes and what a value means.

Invariants: bytes inside a word are always big-endian, `WordOrder` only orders the words of a number; decoding never
raises for words of the right length, whatever they hold (what cannot be a value is None); `decode(encode(v))` is `v`
within half a step of the scale.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from edged.ports import EdgedError

Value = int | float | str | bytes
"""A decoded register: bit fields and unscaled integers are int, scaled numbers float."""

MAX_WORDS = 125
"""No value is longer than one read (Modbus application protocol V1.1b3 §6.3)."""


class CodecError(EdgedError):
    """A type that does not exist, or a value that does not fit its register."""


class WordOrder(StrEnum):
    BIG = "big"  # most significant word first
    LITTLE = "little"  # least significant word first


class Kind(StrEnum):
    UNSIGNED = "unsigned"
    SIGNED = "signed"
    FLOAT = "float"
    TEXT = "text"
    UTF16 = "utf16"
    BITS = "bits"
    BYTES = "bytes"
    CHAR = "char"  # one character in the low byte
    BIT = "bit"  # a coil or discrete input


_NUMBERS: dict[str, tuple[Kind, int]] = {
    **{f"u{16 * n}": (Kind.UNSIGNED, n) for n in (1, 2, 3, 4)},
    **{f"s{16 * n}": (Kind.SIGNED, n) for n in (1, 2, 3, 4)},
    "f32": (Kind.FLOAT, 2),
    "f64": (Kind.FLOAT, 4),
    "bits16": (Kind.BITS, 1),
    "bits32": (Kind.BITS, 2),
    "char": (Kind.CHAR, 1),
    "bit": (Kind.BIT, 1),
}
_SIZED = re.compile(r"(str|utf16_|bytes)([1-9][0-9]{0,2})")
TYPE_HELP = "u16 u32 u48 u64 s16 s32 s64 f32 f64 bits16 bits32 strN utf16_N bytesN char bit"


def parse_type(name: str) -> tuple[Kind, int]:
    """Kind and number of registers of a type's name; `CodecError` where there is no such type.

    `strN` has N characters, two a register; `utf16_N` N characters, one a register; `bytesN` N bytes, two a register.
    """
    if name in _NUMBERS:
        return _NUMBERS[name]
    match = _SIZED.fullmatch(name)
    if match is None:
        raise CodecError(f"there is no register type {name!r}; there are {TYPE_HELP}")
    size = int(match[2])
    kind = {"str": Kind.TEXT, "utf16_": Kind.UTF16, "bytes": Kind.BYTES}[match[1]]
    words = size if kind is Kind.UTF16 else (size + 1) // 2
    if words > MAX_WORDS:
        raise CodecError(f"{name!r} is longer than the {MAX_WORDS} registers of one read")
    return kind, words


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """How a register's words become a value. `value = raw * scale + offset`; a raw value in `invalid` is no value.

    `bits`: only these bits of a number, first and last counted from 0, are the raw value. Such a field is only read.
    """

    kind: Kind
    words: int
    word_order: WordOrder = WordOrder.BIG
    scale: float = 1.0
    offset: float = 0.0
    invalid: frozenset[int] = frozenset()
    bits: tuple[int, int] | None = None

    @property
    def is_scaled(self) -> bool:
        return self.scale != 1.0 or self.offset != 0.0

    @property
    def is_number(self) -> bool:
        return self.kind in (Kind.UNSIGNED, Kind.SIGNED, Kind.FLOAT, Kind.BITS, Kind.BIT)

    @property
    def width(self) -> int:
        """Bits of the raw value."""
        return 16 * self.words if self.bits is None else self.bits[1] - self.bits[0] + 1

    @property
    def raw_range(self) -> tuple[int, int]:
        """Smallest and greatest raw integer; meaningless for texts and floats."""
        if self.kind is Kind.BIT:
            return 0, 1
        bits = self.width
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if self.kind is Kind.SIGNED else (0, (1 << bits) - 1)

    def decode(self, words: Sequence[int]) -> Value | None:
        """The value of `words`, or None for a sentinel, NaN or infinity. `CodecError` where the length is wrong."""
        if len(words) != self.words:
            raise CodecError(f"a value of {self.words} registers cannot be made of {len(words)}")
        match self.kind:
            case Kind.BIT:
                return words[0] & 1
            case Kind.CHAR:
                return _printable(chr(words[0] & 0xFF))
            case Kind.TEXT:
                return _printable(_to_bytes(words).split(b"\0", 1)[0].decode("latin-1"))
            case Kind.UTF16:
                text = _to_bytes(words).decode("utf-16-be", "replace")
                return _printable(text.split("\0", 1)[0])
            case Kind.BYTES:
                return _to_bytes(words)
            case Kind.FLOAT:
                return self._decode_float(self._ordered(words))
            case Kind.UNSIGNED | Kind.SIGNED | Kind.BITS:
                raw = int.from_bytes(_to_bytes(self._ordered(words)), "big", signed=self.kind is Kind.SIGNED)
                if self.bits is not None:
                    raw = raw >> self.bits[0] & self.raw_range[1]
                if raw in self.invalid:
                    return None
                return round(raw * self.scale + self.offset, 9) if self.is_scaled else raw

    def encode(self, value: Value) -> tuple[int, ...]:
        """The words to write for `value`; `CodecError` where it has the wrong type or does not fit."""
        match self.kind:
            case Kind.BIT | Kind.UNSIGNED | Kind.SIGNED | Kind.BITS:
                raw = self.to_raw(value) << (self.bits[0] if self.bits is not None else 0)
                size = 2 * self.words
                return self._ordered(_to_words(raw.to_bytes(size, "big", signed=self.kind is Kind.SIGNED)))
            case Kind.FLOAT:
                number = (_number(value) - self.offset) / self.scale
                try:
                    data = struct.pack(">f" if self.words == 2 else ">d", number)
                except OverflowError:
                    raise CodecError(f"{value!r} does not fit into a float of {16 * self.words} bits") from None
                return self._ordered(_to_words(data))
            case Kind.BYTES:
                data = value if isinstance(value, bytes) else _text(value).encode("latin-1", "replace")
            case Kind.TEXT | Kind.UTF16 | Kind.CHAR:
                return self._encode_text(_text(value))
        if len(data) > 2 * self.words:
            raise CodecError(f"{len(data)} bytes do not fit into {self.words} registers")
        return _to_words(data.ljust(2 * self.words, b"\0"))

    def to_raw(self, value: Value) -> int:
        """The raw integer of an engineering value, rounded to the nearest step and checked against the type's range."""
        number = _number(value)
        raw = round((number - self.offset) / self.scale) if self.is_scaled or isinstance(number, float) else number
        low, high = self.raw_range
        if not low <= raw <= high:
            raise CodecError(f"{value!r} is {raw} raw and does not fit into {low}..{high}")
        return raw

    def _encode_text(self, text: str) -> tuple[int, ...]:
        try:
            data = text.encode("utf-16-be" if self.kind is Kind.UTF16 else "latin-1")
        except UnicodeEncodeError:
            raise CodecError(f"{text!r} has characters that the register cannot hold") from None
        if self.kind is Kind.CHAR:
            data = b"\0" + data
        if len(data) > 2 * self.words:
            raise CodecError(f"{text!r} does not fit into {self.words} registers")
        return _to_words(data.ljust(2 * self.words, b"\0"))

    def _decode_float(self, words: tuple[int, ...]) -> float | None:
        number: float = struct.unpack(">f" if self.words == 2 else ">d", _to_bytes(words))[0]
        if not math.isfinite(number) or number in self.invalid:
            return None
        number = number * self.scale + self.offset if self.is_scaled else number
        return number if math.isfinite(number) else None

    def _ordered(self, words: Sequence[int]) -> tuple[int, ...]:
        return tuple(words) if self.word_order is WordOrder.BIG else tuple(reversed(words))


def _to_bytes(words: Sequence[int]) -> bytes:
    return b"".join((word & 0xFFFF).to_bytes(2, "big") for word in words)


def _to_words(data: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))


def _printable(text: str) -> str:
    """The text without padding and without what no terminal, topic or log should see."""
    return "".join(c for c in text if c.isprintable()).strip()


def _number(value: Value) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise CodecError(f"{value!r} is not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise CodecError(f"{value!r} is not a finite number")
    return value


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise CodecError(f"{value!r} is not a text")
    return value
