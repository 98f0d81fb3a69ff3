"""The fields that orders of files share, whatever the version: addresses, moments, retries.

Owns how they are read and bounded. Refuses to know whether an address is one of a file: the answer to one that is none
differs by message, so that is the core's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from edged.dialects.times import parse_time
from edged.domain.location import MAX_CHARS
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode

MAX_RETRIES: Final = 100
MAX_INTERVAL_S: Final = 86_400
INTERVAL_S: Final = 30
"""Between attempts, where the CSMS leaves it to us. It may leave their number as well: one, for it can ask again."""


class Unreadable(Exception):
    """A field whose value is none of its type or range. Never leaves a dialect: it becomes `refused`."""

    def __init__(self, code: ErrorCode, sentence: str) -> None:
        super().__init__(sentence)
        self.refused = CallRefused(code, sentence)


def read_location(fields: Mapping[str, Any], name: str, place: str = "") -> str:
    """`place`: how the field's object is called, with a dot behind it. Raises `Unreadable`."""
    location: str = fields[name]
    if len(location) > MAX_CHARS:
        raise Unreadable(ErrorCode.PROPERTY, f"{place}{name}: maxLength {MAX_CHARS}")
    return location


def read_moment(fields: Mapping[str, Any], name: str, place: str = "") -> datetime:
    """Raises `Unreadable`."""
    moment = parse_time(fields[name])
    if moment is None:
        raise Unreadable(ErrorCode.TYPE, f"{place}{name}: type dateTime")
    return moment


def read_bound(fields: Mapping[str, Any], name: str, place: str = "") -> datetime | None:
    """A moment that may be missing. Raises `Unreadable`."""
    return read_moment(fields, name, place) if name in fields else None


def read_retries(payload: Mapping[str, Any]) -> int:
    """Bounded: a CSMS does not keep the station busy for ever; fewer than none are none."""
    return min(max(int(payload.get("retries", 0)), 0), MAX_RETRIES)


def read_interval_s(payload: Mapping[str, Any]) -> int:
    return min(max(int(payload.get("retryInterval", INTERVAL_S)), 0), MAX_INTERVAL_S)
