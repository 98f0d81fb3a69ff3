"""The words between the engine and a store: what a step wants written, what was found, and the port itself.

Knows neither SQL nor how a station becomes rows (records) nor how rows become durable (sqlite).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from edged.domain.effects import Lane, Record
from edged.domain.journal import Entry, Journal
from edged.domain.station import Reservation, Station

Row = Mapping[str, Any]
"""One stored fact as JSON-able data."""

PARKED_MAX = 1000
JOURNAL_MAX = 1000
"""Entries of one kind and station; the oldest go first."""
REPLIES_MAX = 1024
REPLIES_HOURS = 24
TRIMMED_MAX = 500
"""Events that one trim lets go of for their age."""


class Table(StrEnum):
    """The kinds of kept facts. A row is found by its station, its table and its key."""

    ACCESS = "access"  # one row
    CACHE = "cache"  # by token
    CERTIFICATE = "certificate"  # by use and fingerprint
    CLIENT_CERTIFICATE = "client_certificate"  # by key id
    CONFIGURATION = "configuration"  # by key name
    CONNECTOR = "connector"  # by number
    CORRECTION = "correction"  # by boot
    DISPLAY_MESSAGE = "display_message"  # by id
    FIRMWARE = "firmware"  # at most one row
    LOCAL_LIST = "local_list"  # by token
    MONITOR = "monitor"  # by id
    MONITORED_KEY = "monitored_key"  # by key name
    MONITORING = "monitoring"  # one row
    NETWORK = "network"  # by slot
    PAST_RESETS = "past_resets"  # one row
    PROFILE = "profile"  # by id
    RESERVATION = "reservation"  # by id
    SAMPLE = "sample"  # by transaction and position
    STATION = "station"  # one row
    TRANSACTION = "transaction"  # by our id
    UPLOAD = "upload"  # at most one row


OUTBOX = "outbox"
"""Where a parked or damaged durable record came from; its key is its number."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A durable record on its way into the outbox."""

    lane: Lane
    row: Row


@dataclass(frozen=True, slots=True)
class Journaled:
    """An entry on its way into its journal. `at`: the moment as it was stamped."""

    kind: Journal
    at: datetime
    row: Row


@dataclass(frozen=True, slots=True)
class Parked:
    """A row that is of no more use and too good to throw away: given up by the CSMS, or unreadable.

    `source` is a table's name or `OUTBOX`; `text` the row as it was stored.
    """

    source: str
    key: str
    reason: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledEvent:
    """Something that happened, as it is told to local watchers: under its number, whole, in the watchers' own words.

    `rank`: what goes first where there is no more room, the lowest first. `text`: the document as JSON. `at` None: when
    that was is not known; it is as old as what is known to have come behind it.
    """

    seq: int
    at: datetime | None
    rank: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolBounds:
    """How much of the past is kept for watchers."""

    max_rows: int = 50_000
    max_bytes: int = 32 * 1024 * 1024
    max_age_s: float = 30 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolState:
    """What lies in the spool. Numbers are 0 where there is none; `delivered`: up to here the broker has them."""

    first: int = 0
    last: int = 0
    rows: int = 0
    bytes: int = 0
    delivered: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Overflow:
    """Events that had to go although nobody had been told them yet."""

    from_seq: int
    to_seq: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedReply:
    """What a command over MQTT was answered, so that a repeat gets the same answer."""

    actor: str
    command: str
    id: str
    payload: str = field(repr=False)
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """One step's difference, for one commit. Falsy when there is nothing to write.

    `put` and `delete` never name the same row, nor do `enqueue` and `dequeue`. `events` come in the order of their
    numbers, and `delivered` is how far the broker has them; `replies` are answers to local commands that this step has
    carried out. `waits`: there is nothing in it
    but what may wait for the next commit (`deferral`). `moment`: the moment of the commit is written, whatever else is.
    """

    put: Mapping[str, Mapping[str, Row]] = field(default_factory=dict)
    delete: Mapping[str, frozenset[str]] = field(default_factory=dict)
    enqueue: Mapping[int, Queued] = field(default_factory=dict)
    dequeue: frozenset[int] = frozenset()
    parked: tuple[Parked, ...] = ()
    journal: tuple[Journaled, ...] = ()
    events: tuple[SpooledEvent, ...] = ()
    delivered: int | None = None
    replies: tuple[SavedReply, ...] = ()
    waits: bool = False
    moment: bool = False

    def __bool__(self) -> bool:
        facts = self.put or self.delete or self.enqueue or self.dequeue
        return bool(facts or self.parked or self.journal or self.events or self.replies or self.moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What is stored of one station, as text: whether it can be read is for `records.load` to find out."""

    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    outbox: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A station as it was left. `repairs` is to be committed before the station's first step.

    `damaged` are the rows that could not be read (parked by the repairs), `dropped` the reservations whose place no
    longer exists, `forgotten` the ended transactions whose last record was unreadable. `warnings` says all of it in
    sentences for the log, without a token.
    """

    station: Station
    repairs: Writes
    damaged: tuple[Parked, ...] = ()
    dropped: tuple[Reservation, ...] = ()
    forgotten: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedRow:
    """A parked row as it is shown."""

    station_id: str
    at: datetime
    parked: Parked


class Store(Protocol):
    """Where kept facts are durable. Blocking; callable from any thread, one call at a time runs.

    `unreadable`: how many rows of journals were left out of what was read, for they could not be.

    Every method raises `StoreError` when the disk does not do what it is asked; a failed write leaves nothing behind,
    and the next one may succeed. `StoreDamaged` means that the database must be opened again.
    """

    unreadable: int

    def load(self, station_id: str) -> Rows: ...

    def commit(self, station_id: str, writes: Writes, wall: datetime) -> None:
        """All of it or nothing, and durable on return. `wall` is remembered along with every change of facts."""

    def outbox(self, station_id: str, lane: Lane, *, after_seq: int = 0, limit: int = 50) -> list[tuple[int, Record]]:
        """The lane's oldest records after that number, in order."""

    def last_wall(self) -> datetime | None:
        """The last wall clock that came with a commit; None on a new disk."""

    def stations(self) -> tuple[str, ...]:
        """Every station that has something stored, also such as are no longer configured."""

    def parked(self, limit: int = 100) -> list[ParkedRow]:
        """The latest parked rows, newest first. The last 1000 are kept."""

    def journal_load(
        self,
        station_id: str,
        kind: Journal,
        *,
        limit: int,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Entry]:
        """The latest entries, newest last, of those that were stamped within the bounds (both included). The last 1000
        are kept. A row that cannot be read is left out and counted."""

    def reply_save(self, reply: SavedReply) -> None:
        """Keep an answer. The last 1024 of the last 24 hours are kept."""

    def replies_load(self, limit: int = REPLIES_MAX) -> list[SavedReply]:
        """The latest answers, oldest first."""

    def events_add(self, events: Sequence[SpooledEvent], delivered: int | None = None) -> None:
        """Keep events that belong to no station's step, and how far they were delivered; either may be nothing. One
        whose number is there already stays as it is: it was kept by a commit that seemed to fail."""

    def events_load(self, after_seq: int, limit: int) -> list[SpooledEvent]:
        """The oldest events after that number, in order."""

    def events_state(self) -> SpoolState: ...

    def events_trim(self, bounds: SpoolBounds, now: datetime | None) -> Overflow | None:
        """Let go of what is beyond the bounds: what was delivered first, the oldest before the younger; then what
        was not, by rank and age, which is told. `now` None: nobody knows how old anything is. At most `TRIMMED_MAX` go
        at once for their age: commits wait meanwhile."""

    def value(self, name: str) -> str | None:
        """A small value of the gateway itself."""

    def set_value(self, name: str, value: str | None) -> None:
        """Keep a small value of the gateway; None forgets it."""

    def set_values(self, values: Mapping[str, str | None]) -> None:
        """Several of them, all or none."""

    def close(self) -> None: ...
