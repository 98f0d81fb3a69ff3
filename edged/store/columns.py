"""What a column of the database takes as text, and what is read from one that anything may have been written to.

Knows no table and no SQL. Invariant: reading never raises, whatever lies in the file.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime


def as_text(data: bytes) -> str:
    """Text as it lies in the file; bytes that are no text survive as escapes."""
    return data.decode("utf-8", "surrogateescape")


def storable(text: str) -> str:
    """Text that any SQLite column takes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def key_bytes(text: str) -> bytes:
    """A key for `CAST(? AS TEXT)`: the bytes that `as_text` came from."""
    return text.encode("utf-8", "surrogateescape")


def sortable(moment: datetime) -> str:
    """A moment whose text sorts as it does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment_of(text: str) -> datetime | None:
    """None where it is no moment."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def name_of(text: str) -> str:
    """What `json.dumps` wrote; the text itself where it did not."""
    try:
        return str(json.loads(text))
    except (ValueError, RecursionError):
        return text
