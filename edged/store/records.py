"""Station to rows and back: pure.

Owns which facts are kept and how they are told apart row by row. Knows no SQL and no file. Invariant: the rows that
`writes` asks for, laid over a fresh station by `load`, give the kept facts of the station they came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from types import MappingProxyType
from typing import Any, TypeVar

from edged.domain.credentials import Access
from edged.domain.effects import (
    Dequeue,
    Effect,
    Enqueue,
    EventRecord,
    FirmwareRecord,
    Keep,
    LimitRecord,
    LogRecord,
    MeterRecord,
    Record,
    ReservationRecord,
    SecurityRecord,
    TransactionRecord,
    lane_of,
)
from edged.domain.files import FirmwareUpdate, LogUpload
from edged.domain.journal import Entry, Journal, SecurityEntry, TransferEntry, journal_of
from edged.domain.monitors import Monitoring
from edged.domain.station import CachedToken, Connector, Reservation, Station, Transaction
from edged.store.codec import Unreadable, decode, encode, pack
from edged.store.port import OUTBOX, Journaled, Parked, Queued, Row, Table, Writes
from edged.store.row_texts import from_text, sample_key, to_key, to_text

K = TypeVar("K")
V = TypeVar("V")

STATION_KEY = ""
AVAILABILITY_KEPT = ("operative", "evse_operative", "scheduled")
CONNECTOR_KEPT = (
    *AVAILABILITY_KEPT,
    "spent",
    "held_for",
    "kept_locked",
    "energy_offset_wh",
    "energy_kept_wh",
    "fault_kept",
)
STATION_KEPT = (
    *("operative", "next_seq", "next_boot_reason", "wall_kept", "local_list_version", "list_conflict"),
    "ran_kept_s",
)
FIRMWARE_KEPT = tuple(f.name for f in fields(FirmwareUpdate) if f.name != "ticket")
MONITORING_KEPT = tuple(f.name for f in fields(Monitoring))
UPLOAD_KEPT = tuple(f.name for f in fields(LogUpload) if f.name != "ticket")
ACCESS_KEPT = tuple(f.name for f in fields(Access) if f.name not in ("failures", "attempts", "until_s"))
RESERVATION_KEPT = tuple(f.name for f in fields(Reservation) if f.name != "held_until_s")
TRANSACTION_FLEETING = frozenset({"queued", "skipped", "told_phase", "next_sample_at_s", "next_ended_sample_at_s"})
TRANSACTION_KEPT = tuple(
    f.name for f in fields(Transaction) if f.name not in TRANSACTION_FLEETING and f.name != "samples"
)
"""A transaction's row. Its samples are rows of their own, so that one more sample does not write all of them again."""

RECORDS: Mapping[str, type] = MappingProxyType(
    {
        "transaction": TransactionRecord,
        "meter": MeterRecord,
        "reservation": ReservationRecord,
        "security": SecurityRecord,
        "firmware": FirmwareRecord,
        "log": LogRecord,
        "limit": LimitRecord,
        "event": EventRecord,
    }
)
ENTRIES: Mapping[Journal, type] = MappingProxyType({Journal.SECURITY: SecurityEntry, Journal.TRANSFER: TransferEntry})
_RECORD_NAMES = {kind: name for name, kind in RECORDS.items()}

NOTHING = Writes()
MOMENT = Writes(moment=True)


# --- durable records


def encode_record(record: Record) -> Row:
    """A durable record as a row."""
    return {"type": _RECORD_NAMES[type(record)], **encode(record)}


def decode_record(text: str) -> Record:
    """The durable record that was stored. Raises `Unreadable`."""
    data = from_text(text)
    if not isinstance(data, dict):
        raise Unreadable("not an object")
    kind = data.pop("type", None)
    if not isinstance(kind, str) or kind not in RECORDS:
        raise Unreadable("no kind of record that this version knows")
    record: Record = decode(RECORDS[kind], data)
    return record


def park(seq: int, record: Record, reason: str) -> Parked:
    """A record that the CSMS never took, for `writes(..., parked=...)`: the reason is for people."""
    return Parked(OUTBOX, str(seq), reason, to_text(encode_record(record)))


# --- entries of the journals


def journaled(entry: Entry) -> Journaled:
    """An entry as a row."""
    return Journaled(journal_of(entry), entry.at.utc, encode(entry))


def decode_entry(kind: Journal, text: str) -> Entry:
    """The entry that was stored. Raises `Unreadable`."""
    entry: Entry = decode(ENTRIES[kind], from_text(text))
    return entry


def read_entries(kind: Journal, newest_first: Iterable[str], limit: int) -> tuple[list[Entry], int]:
    """At most `limit` entries of a journal's rows, newest last, and how many rows on the way could not be read."""
    found: list[Entry] = []
    skipped = 0
    for text in newest_first:
        if len(found) >= limit:
            break
        try:
            found.append(decode_entry(kind, text))
        except Unreadable:
            skipped += 1
    found.reverse()
    return found, skipped


# --- rows of the kept facts


def connector_row(connector: Connector) -> Row:
    return pack(connector, CONNECTOR_KEPT)


def reservation_row(reservation: Reservation) -> Row:
    return pack(reservation, RESERVATION_KEPT)


def transaction_row(transaction: Transaction) -> Row:
    return pack(transaction, TRANSACTION_KEPT)


def station_row(station: Station) -> Row:
    return pack(station, STATION_KEPT)


def cache_row(entry: CachedToken) -> Row:
    return pack(entry, (f.name for f in fields(CachedToken)))


def firmware_row(update: FirmwareUpdate) -> Row:
    return pack(update, FIRMWARE_KEPT)


def upload_row(upload: LogUpload) -> Row:
    return pack(upload, UPLOAD_KEPT)


def access_row(access: Access) -> Row:
    return pack(access, ACCESS_KEPT)


def whole_row(value: Any) -> Row:
    """A value that is kept as a whole."""
    return pack(value, (f.name for f in fields(value)))


def _value_row(value: str | float) -> Row:
    return {"value": value}


# --- the difference


def _getter(names: tuple[str, ...]) -> Callable[[Any], Any]:
    """The kept facts of an object as one comparable value."""
    return attrgetter(*names)


def _whole(value: Any) -> Any:
    return value


_connector_facts = _getter(CONNECTOR_KEPT)
_reservation_facts = _getter(RESERVATION_KEPT)
_transaction_facts = _getter(TRANSACTION_KEPT)
_station_facts = _getter(STATION_KEPT)
_firmware_facts = _getter(FIRMWARE_KEPT)
_upload_facts = _getter(UPLOAD_KEPT)
_access_facts = _getter(ACCESS_KEPT)


def _single(value: V | None) -> dict[str, V]:
    """What there is at most one of, as the one entry of a map."""
    return {} if value is None else {STATION_KEY: value}


class _Draft:
    """Writes while they are put together; never leaves this module."""

    __slots__ = ("delete", "put")

    def __init__(self) -> None:
        self.put: dict[str, dict[str, Row]] = {}
        self.delete: dict[str, set[str]] = {}

    def set(self, table: Table, key: str, row: Row) -> None:
        self.put.setdefault(table, {})[key] = row

    def drop(self, table: Table, key: str) -> None:
        self.delete.setdefault(table, set()).add(key)

    def compare(
        self,
        table: Table,
        old: Mapping[K, V],
        new: Mapping[K, V],
        *,
        key: Callable[[K], str],
        row: Callable[[V], Row],
        facts: Callable[[V], Any] = _whole,
    ) -> None:
        """Rows of one map: an entry that is the same object, or has the same kept facts, is not written."""
        if old is new:
            return
        for name, value in new.items():
            before = old.get(name)
            if before is value:
                continue
            if before is None or facts(before) != facts(value):
                self.set(table, key(name), row(value))
        for name in old.keys() - new.keys():
            self.drop(table, key(name))

    def compare_samples(self, old: Mapping[str, Transaction], new: Mapping[str, Transaction]) -> None:
        """One row a sample, by position: a new sample is one more row, thinning writes again what moved."""
        if old is new:
            return
        for name in old.keys() | new.keys():
            before = old[name].samples if name in old else ()
            after = new[name].samples if name in new else ()
            if before is after:
                continue
            for position, sample in enumerate(after):
                if position >= len(before) or (before[position] is not sample and before[position] != sample):
                    self.set(Table.SAMPLE, sample_key(name, position), encode(sample))
            for position in range(len(after), len(before)):
                self.drop(Table.SAMPLE, sample_key(name, position))


def writes(before: Station, after: Station, effects: Sequence[Effect], parked: Iterable[Parked] = ()) -> Writes:
    """What one step changed of the kept facts, the durable records that come and go with it, and journal entries.

    Falsy when nothing that is kept changed: such a step costs no write. `parked` rides along in the same commit.
    """
    aside = tuple(parked)
    if before is after and not effects and not aside:
        return NOTHING
    enqueue: dict[int, Queued] = {}
    dequeue: set[int] = set()
    journal: list[Journaled] = []
    for effect in effects:
        if isinstance(effect, Enqueue):
            enqueue[effect.seq] = Queued(lane_of(effect.record), encode_record(effect.record))
        elif isinstance(effect, Dequeue) and enqueue.pop(effect.seq, None) is None:
            dequeue.add(effect.seq)
        elif isinstance(effect, Keep):
            journal.append(journaled(effect.entry))
    draft = _Draft()
    if before is not after:
        _compare_stations(draft, before, after)
    if not (draft.put or draft.delete or enqueue or dequeue or aside or journal):
        return NOTHING
    return Writes(
        put=draft.put,
        delete={table: frozenset(keys) for table, keys in draft.delete.items()},
        enqueue=enqueue,
        dequeue=frozenset(dequeue),
        parked=aside,
        journal=tuple(journal),
    )


def _compare_stations(draft: _Draft, before: Station, after: Station) -> None:
    draft.compare(
        Table.CONFIGURATION, before.configuration.changed, after.configuration.changed, key=to_key, row=_value_row
    )
    draft.compare(
        Table.CONNECTOR,
        before.connectors,
        after.connectors,
        key=str,
        row=connector_row,
        facts=_connector_facts,
    )
    draft.compare(
        Table.RESERVATION,
        before.reservations,
        after.reservations,
        key=str,
        row=reservation_row,
        facts=_reservation_facts,
    )
    draft.compare(
        Table.TRANSACTION,
        before.transactions,
        after.transactions,
        key=to_key,
        row=transaction_row,
        facts=_transaction_facts,
    )
    draft.compare_samples(before.transactions, after.transactions)
    draft.compare(Table.CACHE, before.cache, after.cache, key=to_key, row=cache_row)
    draft.compare(Table.CORRECTION, before.corrections, after.corrections, key=to_key, row=_value_row)
    _compare_more(draft, before, after)
    if _station_facts(before) != _station_facts(after):
        draft.set(Table.STATION, STATION_KEY, station_row(after))


def _compare_more(draft: _Draft, before: Station, after: Station) -> None:
    """The tables of the profiles beside the core."""
    draft.compare(Table.LOCAL_LIST, before.local_list, after.local_list, key=to_key, row=whole_row)
    draft.compare(Table.DISPLAY_MESSAGE, before.display_messages, after.display_messages, key=str, row=whole_row)
    draft.compare(Table.PROFILE, before.charging_profiles, after.charging_profiles, key=str, row=whole_row)
    draft.compare(Table.CERTIFICATE, before.certificates, after.certificates, key=to_key, row=whole_row)
    draft.compare(
        Table.CLIENT_CERTIFICATE, before.client_certificates, after.client_certificates, key=to_key, row=whole_row
    )
    draft.compare(Table.MONITOR, before.monitors, after.monitors, key=str, row=whole_row)
    if before.monitoring is not after.monitoring:
        was, will_be = _single(before.monitoring), _single(after.monitoring)
        draft.compare(Table.MONITORING, was, will_be, key=str, row=whole_row)
    if before.firmware is not after.firmware:
        old, new = _single(before.firmware), _single(after.firmware)
        draft.compare(Table.FIRMWARE, old, new, key=str, row=firmware_row, facts=_firmware_facts)
    if before.upload is not after.upload:
        earlier, later = _single(before.upload), _single(after.upload)
        draft.compare(Table.UPLOAD, earlier, later, key=str, row=upload_row, facts=_upload_facts)
    draft.compare(Table.MONITORED_KEY, before.monitored_keys, after.monitored_keys, key=to_key, row=_value_row)
    if before.resets is not after.resets:
        sooner, by_now = _single(before.resets), _single(after.resets)
        draft.compare(Table.PAST_RESETS, sooner, by_now, key=str, row=whole_row)
    draft.compare(Table.NETWORK, before.network, after.network, key=str, row=whole_row)
    if before.access is not after.access:
        former, present = _single(before.access), _single(after.access)
        draft.compare(Table.ACCESS, former, present, key=str, row=access_row, facts=_access_facts)
