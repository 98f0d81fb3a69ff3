"""The fields that orders of files share, whatever the version: addresses, retries, and all of GetLog.

Owns how they are read and bounded. Refuses to know whether an address is one of a file: the answer to one that is none
differs by message, so that is the core's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edged.dialects.fields import Unreadable, read_bound
from edged.domain.commands import GetLog
from edged.domain.files import LogKind, LogOrder
from edged.domain.location import MAX_CHARS
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode

MAX_RETRIES: Final = 100
MAX_INTERVAL_S: Final = 86_400
INTERVAL_S: Final = 30
"""Between attempts, where the CSMS leaves it to us. It may leave their number as well: one, for it can ask again."""


def read_location(fields: Mapping[str, Any], name: str, place: str = "") -> str:
    """`place`: how the field's object is called, with a dot behind it. Raises `Unreadable`."""
    location: str = fields[name]
    if len(location) > MAX_CHARS:
        raise Unreadable(ErrorCode.PROPERTY, f"{place}{name}: maxLength {MAX_CHARS}")
    return location


def read_retries(payload: Mapping[str, Any]) -> int:
    """Bounded: a CSMS does not keep the station busy for ever; fewer than none are none."""
    return min(max(int(payload.get("retries", 0)), 0), MAX_RETRIES)


def read_interval_s(payload: Mapping[str, Any]) -> int:
    return min(max(int(payload.get("retryInterval", INTERVAL_S)), 0), MAX_INTERVAL_S)


def read_log(payload: Mapping[str, Any], request: RequestRef) -> GetLog | CallRefused:
    """GetLog, which both versions word alike."""
    wanted = payload["log"]
    try:
        order = LogOrder(
            kind=LogKind(payload["logType"]),
            location=read_location(wanted, "remoteLocation", "log."),
            filename="",
            oldest=read_bound(wanted, "oldestTimestamp", "log."),
            latest=read_bound(wanted, "latestTimestamp", "log."),
            retries=read_retries(payload),
            retry_interval_s=read_interval_s(payload),
            request_id=payload["requestId"],
        )
    except Unreadable as error:
        return error.refused
    return GetLog(request, order)
