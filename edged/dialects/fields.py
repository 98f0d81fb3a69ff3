"""Fields of a payload that its schema has let in and that still have to be read: moments, numbers that may be missing.

Refuses to know: which message they are part of, and what it makes of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from edged.dialects.times import parse_time
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode


class Unreadable(Exception):
    """A field whose value is none of its type or range. Never leaves a dialect: it becomes `refused`."""

    def __init__(self, code: ErrorCode, sentence: str) -> None:
        super().__init__(sentence)
        self.refused = CallRefused(code, sentence)


def read_moment(fields: Mapping[str, Any], name: str, place: str = "") -> datetime:
    """`place`: how the field's object is called, with a dot behind it. Raises `Unreadable`."""
    moment = parse_time(fields[name])
    if moment is None:
        raise Unreadable(ErrorCode.TYPE, f"{place}{name}: type dateTime")
    return moment


def read_bound(fields: Mapping[str, Any], name: str, place: str = "") -> datetime | None:
    """A moment that may be missing. Raises `Unreadable`."""
    return read_moment(fields, name, place) if name in fields else None


def read_whole(fields: Mapping[str, Any], name: str) -> int | None:
    """A whole number that may be missing, or written as 3.0."""
    return int(fields[name]) if name in fields else None
