"""Rows and keys as the text that lies on the disk, and back: pure.

Owns which rows lie short. Knows no fact and no SQL. Invariant: what is written is one line of ASCII, and is read again
whether it lies short or not.
"""

from __future__ import annotations

import json
from typing import Any

from edged.store.brief import ROWS
from edged.store.codec import Unreadable
from edged.store.port import Row, Table

BRIEF_TABLES = frozenset({Table.CACHE, Table.CONNECTOR, Table.SAMPLE, Table.STATION, Table.TRANSACTION})
"""Whose rows lie short: what each transaction writes again."""


def to_text(row: Row) -> str:
    """A row as one line of ASCII."""
    return json.dumps(row, separators=(",", ":"))


def from_text(text: str) -> Any:
    """What `to_text` wrote, however it was stored. Raises `Unreadable`."""
    try:
        return json.loads(whole(text))
    except (ValueError, RecursionError):
        raise Unreadable("not JSON") from None


def to_row_text(table: str, row: Row) -> str:
    """A row of this table as it is stored: one line of ASCII."""
    text = to_text(row)
    return ROWS.brief(text) if table in BRIEF_TABLES else text


def to_outbox_text(row: Row) -> str:
    """A row of the outbox as it is stored: one line of ASCII. The end of a transaction may hold all its samples, which
    say much the same; on the disk it is there for a second, and written twice."""
    return ROWS.brief(to_text(row))


def to_key(text: str) -> str:
    """A key as it is stored: ASCII whatever a token holds, and readable."""
    return json.dumps(text)[1:-1]


def from_key(key: str) -> str:
    """What `to_key` wrote. Raises `Unreadable`."""
    text = from_text(f'"{key}"')
    if not isinstance(text, str):
        raise Unreadable("not a key")
    return text


def sample_key(transaction_id: str, position: int) -> str:
    return f"{to_key(transaction_id)}/{position:05d}"


def whole(text: str) -> str:
    """A stored row as people read it, whatever is wrong with it."""
    return ROWS.full(text)
