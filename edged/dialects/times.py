"""Moments on the wire: ISO 8601 both ways, the same for every OCPP version.

Owns: reading what CSMSs really send, writing what all of them read. Refuses to know: which clock is right.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

MAX_TIME_LENGTH: Final = 64
_DATE_AND_TIME: Final = re.compile(r"\d[T ]\d", re.ASCII)


def parse_time(text: Any) -> datetime | None:
    """The moment in UTC, or None where it cannot be read (16-GEN-03).

    Any offset and any number of decimals are understood; without an offset it is UTC, which is what such senders
    mean. A date without a time is no moment.
    """
    if not isinstance(text, str) or len(text) > MAX_TIME_LENGTH:
        return None
    text = text.strip().upper()
    if _DATE_AND_TIME.search(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def format_time(moment: datetime) -> str:
    """UTC with Z and milliseconds; `moment` is aware."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
