"""Entries of the two bounded journals that a station keeps: its security log, and its history of data transfers.

Data only. The journals are on the disk and not in the station: the core writes them and never reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edged.domain.types import Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEntry:
    """A security event, critical or not (A04.FR.04)."""

    at: Stamp
    event_type: str
    info: str = ""
    critical: bool = False


class Direction(StrEnum):
    FROM_CSMS = "from_csms"
    TO_CSMS = "to_csms"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferEntry:
    """A DataTransfer and its answer. `data` and `answer` are cut; `data_chars` says how long the data was. `source`:
    the channel that asked for it."""

    at: Stamp
    direction: Direction
    source: str
    vendor_id: str
    message_id: str | None
    data: str | None
    data_chars: int
    status: str
    answer: str | None = None


Entry = SecurityEntry | TransferEntry


class Journal(StrEnum):
    """Which journal. The value is what the store knows it by."""

    SECURITY = "security"
    TRANSFER = "transfer"


def journal_of(entry: Entry) -> Journal:
    """Where an entry belongs."""
    return Journal.SECURITY if isinstance(entry, SecurityEntry) else Journal.TRANSFER
