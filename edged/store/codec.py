"""Value types to JSON-able data and back, driven by the types' own annotations.

Owns the wording of stored values. Knows no table and no rule. Invariants: `decode(type(v), encode(v)) == v` for every
value type of the domain that can be; whatever else `decode` is given, it gives one of the type or raises `Unreadable`.

A field that equals its empty default (None, no items) is not written; a field that is missing takes its default, so a
row of an older version stays readable. A field or a member that this version does not know is an error: it may say
something that must not be ignored.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from edged.domain.types import Stamp

LARGEST = 1.7e308
EARLIEST_YEAR, LATEST_YEAR = 1970, 2300
"""Between them lies what a clock of ours may have shown. A row that says otherwise was written by somebody else."""
Decoder = Callable[[Any], Any]


class Unreadable(ValueError):
    """Stored data that this version cannot read; the text says where and why, never what was stored."""


def encode(value: Any) -> Any:
    """A domain value as JSON-able data."""
    if isinstance(value, StrEnum):
        return value.value
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, datetime):
        assert value.tzinfo is not None, "a moment without a time zone is not a moment"
        return value.isoformat()
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    return pack(value, (f.name for f in fields(value)))


def pack(value: Any, names: Iterable[str]) -> dict[str, Any]:
    """Some fields of a dataclass as JSON-able data, without those that hold their empty default."""
    kind: Any = type(value)
    empty = _empty(kind)
    packed: dict[str, Any] = {}
    for name in names:
        item = getattr(value, name)
        if (item is None or item == ()) and name in empty:
            continue
        packed[name] = encode(item)
    return packed


def decode(kind: Any, data: Any) -> Any:
    """The value of this type that `data` says. Raises `Unreadable`."""
    return _decoder(kind)(data)


def unpack(kind: type, names: Iterable[str], row: Any) -> dict[str, Any]:
    """Those named fields of a dataclass that `row` has, as values; missing ones are left out where they may be.

    Raises `Unreadable`, also for a field that is not among the names.
    """
    if not isinstance(row, dict):
        raise Unreadable("not an object")
    wanted = _fields(kind, tuple(names))
    for name in row:
        if name not in wanted:
            raise Unreadable(f"field {name[:40]!r} is not known to this version")
    values: dict[str, Any] = {}
    for name, (decoder, required) in wanted.items():
        if name in row:
            try:
                values[name] = decoder(row[name])
            except Unreadable as error:
                raise Unreadable(f"{name}: {error}") from None
        elif required:
            raise Unreadable(f"field {name!r} is missing")
    return values


@cache
def _empty(kind: Any) -> frozenset[str]:
    return frozenset(f.name for f in fields(kind) if f.default is None or f.default == ())


@cache
def _fields(kind: type, names: tuple[str, ...]) -> Mapping[str, tuple[Decoder, bool]]:
    hints = get_type_hints(kind)
    found = {f.name: f for f in fields(kind)}
    return {name: (_decoder(hints[name]), _required(found[name])) for name in names}


def _required(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


@cache
def _decoder(kind: Any) -> Decoder:
    if kind in _PLAIN:
        return _PLAIN[kind]
    if get_origin(kind) in (Union, types.UnionType):
        return _optional(kind)
    if get_origin(kind) is tuple:
        return _sequence(kind)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _member(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return _record(kind)
    raise TypeError(f"no stored form for {kind}")


def _optional(kind: Any) -> Decoder:
    inner = [option for option in get_args(kind) if option is not type(None)]
    if len(inner) != 1 or len(get_args(kind)) != 2:
        raise TypeError(f"no stored form for {kind}")
    decoder = _decoder(inner[0])
    return lambda data: None if data is None else decoder(data)


def _sequence(kind: Any) -> Decoder:
    item, dots = get_args(kind)
    if dots is not Ellipsis:
        raise TypeError(f"no stored form for {kind}")
    decoder = _decoder(item)

    def decode_items(data: Any) -> Any:
        if not isinstance(data, list):
            raise Unreadable("not a list")
        return tuple(decoder(one) for one in data)

    return decode_items


def _member(kind: type[StrEnum]) -> Decoder:
    members: Mapping[str, StrEnum] = {member.value: member for member in kind}

    def decode_member(data: Any) -> Any:
        if not isinstance(data, str) or data not in members:
            raise Unreadable(f"no {kind.__name__} that this version knows")
        return members[data]

    return decode_member


def _record(kind: type) -> Decoder:
    names = tuple(f.name for f in fields(kind))
    if kind is Stamp:
        return lambda data: _possible(Stamp(**unpack(kind, names, data)))
    return lambda data: kind(**unpack(kind, names, data))


def _possible(stamp: Stamp) -> Stamp:
    """A moment that our own clock may have shown; corrected, it is still one."""
    if not EARLIEST_YEAR <= stamp.utc.year < LATEST_YEAR:
        raise Unreadable("not a time of this clock")
    return stamp


def _text(data: Any) -> str:
    if not isinstance(data, str):
        raise Unreadable("not a text")
    return data


def _truth(data: Any) -> bool:
    if not isinstance(data, bool):
        raise Unreadable("neither true nor false")
    return data


def _integer(data: Any) -> int:
    if not isinstance(data, int) or isinstance(data, bool):
        raise Unreadable("not a whole number")
    return data


def _number(data: Any) -> float:
    if not isinstance(data, int | float) or isinstance(data, bool) or not -LARGEST <= data <= LARGEST:
        raise Unreadable("not a number")  # nor is what Python's JSON calls NaN and Infinity
    return data


def _moment(data: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(data))
        if moment.tzinfo is None:
            raise Unreadable("a time without its zone")
        return moment.astimezone(UTC)
    except Unreadable:
        raise
    except (ValueError, OverflowError):
        raise Unreadable("not a time") from None


_PLAIN: Mapping[Any, Decoder] = {str: _text, bool: _truth, int: _integer, float: _number, datetime: _moment}
