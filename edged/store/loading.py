"""Stored rows laid over a fresh station: pure.

Owns what becomes of rows that cannot be read or that no longer fit the site: they are set aside and said, never in the
way of starting. Recomputes everything that is derived: deadlines, counters, which connector runs which transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from edged.domain.charging import InstalledProfile
from edged.domain.commands import Target
from edged.domain.configuration import normalize
from edged.domain.credentials import Access, ClientCertificate, InstalledCertificate, NetworkProfile
from edged.domain.displays import DisplayMessage
from edged.domain.effects import EventRecord, Record, Sample, SecurityRecord, transaction_of
from edged.domain.files import FirmwareUpdate, LogUpload
from edged.domain.monitors import Monitor, Monitoring
from edged.domain.past import PastResets
from edged.domain.station import CachedToken, Connector, ListedToken, Reservation, Station, Transaction
from edged.domain.types import IdToken
from edged.store.codec import Unreadable, decode, encode, unpack
from edged.store.port import OUTBOX, Loaded, Parked, Row, Rows, Table, Writes
from edged.store.records import (
    ACCESS_KEPT,
    CONNECTOR_KEPT,
    FIRMWARE_KEPT,
    MONITORING_KEPT,
    RESERVATION_KEPT,
    STATION_KEPT,
    STATION_KEY,
    TRANSACTION_KEPT,
    UPLOAD_KEPT,
    decode_record,
)
from edged.store.row_texts import from_key, from_text, sample_key, to_key, whole

CORRECTION_MAX_S = 200 * 366 * 86_400.0

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T", CachedToken, ListedToken)


def load(rows: Rows, fresh: Station) -> Loaded:
    """The station as it was left: `fresh` gives its shape, policy and boot, the rows its kept facts.

    Never raises for what is stored. Commit `Loaded.repairs` before the first step.
    """
    return _Loading(rows, fresh).run()


class _Loading:
    """One load; never leaves this module."""

    def __init__(self, rows: Rows, fresh: Station) -> None:
        self.rows = rows
        self.fresh = fresh
        self.damaged: list[Parked] = []
        self.dropped: list[Reservation] = []
        self.forgotten: list[str] = []
        self.warnings: list[str] = []
        self.put: dict[str, dict[str, Row]] = {}
        self.delete: dict[str, set[str]] = {}
        self.dequeue: set[int] = set()

    def run(self) -> Loaded:
        self._unknown_tables()
        records = self._outbox()
        transactions = self._transactions(records.values())
        station = replace(
            self.fresh,
            configuration=replace(
                self.fresh.configuration,
                changed=self._table(Table.CONFIGURATION, self._setting, self.fresh.configuration.changed),
            ),
            connectors=self._connectors(transactions),
            reservations=self._reservations(),
            transactions=transactions,
            cache=self._tokens(Table.CACHE, _cached, self.fresh.cache),
            local_list=self._tokens(Table.LOCAL_LIST, _listed, self.fresh.local_list),
            charging_profiles=self._profiles(transactions),
            display_messages=self._table(Table.DISPLAY_MESSAGE, _message, self.fresh.display_messages),
            certificates=self._table(Table.CERTIFICATE, _certificate, self.fresh.certificates),
            client_certificates=self._table(Table.CLIENT_CERTIFICATE, _client, self.fresh.client_certificates),
            monitors=self._table(Table.MONITOR, _monitor, self.fresh.monitors),
            monitoring=self._one(Table.MONITORING, Monitoring, MONITORING_KEPT, self.fresh.monitoring),
            firmware=self._one(Table.FIRMWARE, FirmwareUpdate, FIRMWARE_KEPT, self.fresh.firmware),
            upload=self._one(Table.UPLOAD, LogUpload, UPLOAD_KEPT, self.fresh.upload),
            access=self._one(Table.ACCESS, Access, ACCESS_KEPT, self.fresh.access),
            resets=self._one(Table.PAST_RESETS, PastResets, ("resets",), self.fresh.resets),
            network=self._table(Table.NETWORK, _network, self.fresh.network),
            monitored_keys=self._table(Table.MONITORED_KEY, _watched, self.fresh.monitored_keys),
            corrections=self._table(Table.CORRECTION, _correction, self.fresh.corrections),
            queued=len(records),
            security_queue={seq: one for seq, one in records.items() if isinstance(one, SecurityRecord)},
            event_queue={seq: one for seq, one in records.items() if isinstance(one, EventRecord)},
            **self._station_facts(),
        )
        station = replace(station, next_seq=max(station.next_seq, 1 + max(self.rows.outbox, default=0)))
        return Loaded(
            station=station,
            repairs=Writes(
                put=self.put,
                delete={table: frozenset(keys) for table, keys in self.delete.items()},
                dequeue=frozenset(self.dequeue),
                parked=tuple(self.damaged),
            ),
            damaged=tuple(self.damaged),
            dropped=tuple(self.dropped),
            forgotten=tuple(self.forgotten),
            warnings=tuple(self.warnings),
        )

    # --- setting aside

    def _aside(self, source: str, key: str, text: str, reason: str) -> None:
        """A row that is of no use: park it, take it out of the way, and say so."""
        self.damaged.append(Parked(source, key, reason, whole(text)))
        self.warnings.append(f"a stored row of {source} is set aside: {reason}")
        if source == OUTBOX:
            self.dequeue.add(int(key))
        else:
            self._drop(source, key)

    def _drop(self, table: str, key: str) -> None:
        self.put.get(table, {}).pop(key, None)
        self.delete.setdefault(table, set()).add(key)

    def _restore(self, table: str, key: str, row: Row) -> None:
        self.delete.get(table, set()).discard(key)
        self.put.setdefault(table, {})[key] = row

    def _unknown_tables(self) -> None:
        for table in self.rows.facts.keys() - {str(known) for known in Table}:
            for key, text in self.rows.facts[table].items():
                self._aside(table, key, text, "no table that this version knows")

    def _table(self, table: Table, read: Callable[[str, Any], tuple[K, V]], first: Mapping[K, V]) -> dict[K, V]:
        """A table's readable rows over what the fresh station has."""
        found = dict(first)
        for key, text in self.rows.facts.get(table, {}).items():
            try:
                name, value = read(key, from_text(text))
            except Unreadable as error:
                self._aside(table, key, text, str(error))
            else:
                found[name] = value
        return found

    # --- the tables

    def _outbox(self) -> dict[int, Record]:
        records: dict[int, Record] = {}
        for seq, text in sorted(self.rows.outbox.items()):
            try:
                records[seq] = decode_record(text)
            except Unreadable as error:
                self._aside(OUTBOX, str(seq), text, str(error))
        return records

    def _station_facts(self) -> dict[str, Any]:
        return self._table(Table.STATION, _station, {}).get(STATION_KEY, {})

    def _one(self, table: Table, kind: type[V], kept: tuple[str, ...], first: Any) -> Any:
        """What there is at most one of."""

        def read(key: str, row: Any) -> tuple[str, V]:
            _same_key(key, STATION_KEY)
            return key, kind(**unpack(kind, kept, row))

        return self._table(table, read, {}).get(STATION_KEY, first)

    def _tokens(self, table: Table, read: Callable[[str, Any], tuple[str, T]], first: Mapping[str, T]) -> dict[str, T]:
        """Entries under their tokens' keys. An older version left a token's kind out of its key: moved, on disk too."""
        found = self._table(table, read, first)
        for key, entry in list(found.items()):
            own = entry.id_token.key
            if own != key:
                del found[key]
                self._drop(table, to_key(key))
                if own not in found:
                    found[own] = entry
                    self._restore(table, to_key(own), encode(entry))
        return found

    def _profiles(self, transactions: Mapping[str, Transaction]) -> dict[int, InstalledProfile]:
        """Charging profiles whose place and whose transaction are still there."""
        found = self._table(Table.PROFILE, _profile, self.fresh.charging_profiles)
        evses = {connector.layout.evse_id for connector in self.fresh.connectors.values()} | {0}
        for number, one in list(found.items()):
            running = one.transaction_id is None or (
                one.transaction_id in transactions and transactions[one.transaction_id].active
            )
            if one.evse_id not in evses or not running:
                del found[number]
                self._drop(Table.PROFILE, str(number))
                self.warnings.append(f"charging profile {number} is dropped: its place or its transaction is gone")
        return found

    def _setting(self, key: str, row: Any) -> tuple[str, str]:
        name, value = from_key(key), _single(row, str)
        known = self.fresh.configuration.find(name)
        if known is not None:
            measurands = frozenset(m.value for c in self.fresh.connectors.values() for m in c.layout.measurands)
            if normalize(known, value, connectors=len(self.fresh.connectors), measurands=measurands) is None:
                raise Unreadable(f"{known.name} cannot have this value any more")
        return name, value

    def _connectors(self, transactions: Mapping[str, Transaction]) -> dict[int, Connector]:
        """Kept facts of the connectors that exist, each with the transaction that runs on it."""
        stored = self._table(Table.CONNECTOR, _connector, {})
        for number in stored.keys() - self.fresh.connectors.keys():
            self.warnings.append(f"connector {number} no longer exists: what was kept of it is forgotten")
            self._drop(Table.CONNECTOR, str(number))
        running: dict[int, str] = {}
        for one in sorted(transactions.values(), key=lambda t: (t.started.utc, t.id)):
            if not one.active:
                continue
            if one.connector not in self.fresh.connectors:
                self.warnings.append(f"transaction {one.id} runs on connector {one.connector}, which no longer exists")
            if one.connector in running:
                self.warnings.append(f"transaction {running[one.connector]} shares its connector with a later one")
            running[one.connector] = one.id
        return {
            number: replace(connector, **stored.get(number, {}), transaction_id=running.get(number))
            for number, connector in self.fresh.connectors.items()
        }

    def _reservations(self) -> dict[int, Reservation]:
        found = self._table(Table.RESERVATION, self._reservation, self.fresh.reservations)
        for number, one in list(found.items()):
            if not self._has_place(one.target):
                del found[number]
                self._drop(Table.RESERVATION, str(number))
                self.dropped.append(one)
                self.warnings.append(f"reservation {number} is dropped: the site no longer has its place")
        return dict(sorted(found.items(), key=lambda item: (item[1].created.utc, item[0])))

    def _reservation(self, key: str, row: Any) -> tuple[int, Reservation]:
        facts = unpack(Reservation, RESERVATION_KEPT, row)
        boot = self.fresh.boot
        left_s = (facts["expires_at"] - boot.floor).total_seconds()
        one = Reservation(**facts, held_until_s=boot.started_s + left_s)
        _same_key(key, str(one.id))
        return one.id, one

    def _has_place(self, target: Target) -> bool:
        layouts = [connector.layout for connector in self.fresh.connectors.values()]
        if target.connector is not None and target.connector not in self.fresh.connectors:
            return False
        if target.evse is not None and all(layout.evse_id != target.evse for layout in layouts):
            return False
        wanted = target.connector_type
        return wanted is None or any(layout.connector_type.casefold() == wanted.casefold() for layout in layouts)

    def _transactions(self, records: Iterable[Record]) -> dict[str, Transaction]:
        """Transactions with their samples and the number of their records; an ended one without records is over."""
        queued = Counter(transaction_of(record) for record in records)
        stored = self._table(Table.TRANSACTION, _transaction, self.fresh.transactions)
        samples = self._samples(stored)
        found: dict[str, Transaction] = {}
        for name, one in sorted(stored.items(), key=lambda item: (item[1].started.utc, item[0])):
            if not one.active and not queued[name]:
                self.forgotten.append(name)
                self.warnings.append(f"transaction {name} ended and has no records left: it is forgotten")
                self._drop(Table.TRANSACTION, to_key(name))
                for position in range(len(samples[name])):
                    self._drop(Table.SAMPLE, sample_key(name, position))
            else:
                found[name] = replace(one, queued=queued[name], samples=samples[name])
        return found

    def _samples(self, transactions: Mapping[str, Transaction]) -> dict[str, tuple[Sample, ...]]:
        """Each transaction's samples in order. A gap that an unreadable one leaves is closed, on disk as well."""
        positions: dict[str, dict[int, Sample]] = {name: {} for name in transactions}
        owners = {to_key(name): name for name in transactions}
        for key, text in self.rows.facts.get(Table.SAMPLE, {}).items():
            owner, _, position = key.rpartition("/")
            try:
                if owner not in owners or not _is_number(position) or key != sample_key(owners[owner], int(position)):
                    raise Unreadable("a sample without its transaction")
                positions[owners[owner]][int(position)] = decode(Sample, from_text(text))
            except Unreadable as error:
                self._aside(Table.SAMPLE, key, text, str(error))
        ordered = {name: [found[at] for at in sorted(found)] for name, found in positions.items()}
        for name, found in positions.items():
            moved = [at for at in sorted(found) if at >= len(found)]
            if moved:
                for at in moved:
                    self._drop(Table.SAMPLE, sample_key(name, at))
                for at, sample in enumerate(ordered[name]):
                    self._restore(Table.SAMPLE, sample_key(name, at), encode(sample))
        return {name: tuple(found) for name, found in ordered.items()}


# --- one row each


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdigit() and len(key) < 10


def _same_key(key: str, own: str) -> None:
    if key != own:
        raise Unreadable("stored under another row's key")


def _single(row: Any, kind: type) -> Any:
    if not isinstance(row, dict) or set(row) != {"value"}:
        raise Unreadable("not one value")
    return decode(kind, row["value"])


def _station(key: str, row: Any) -> tuple[str, dict[str, Any]]:
    _same_key(key, STATION_KEY)
    return key, unpack(Station, STATION_KEPT, row)


def _connector(key: str, row: Any) -> tuple[int, dict[str, Any]]:
    if not _is_number(key):
        raise Unreadable("no number of a connector")
    return int(key), unpack(Connector, CONNECTOR_KEPT, row)


def _transaction(key: str, row: Any) -> tuple[str, Transaction]:
    one = Transaction(**unpack(Transaction, TRANSACTION_KEPT, row))
    _same_key(key, to_key(one.id))
    return one.id, one


def _token_key(key: str, token: IdToken) -> None:
    _same_key(key, token.folded if key == token.folded else token.key)


def _cached(key: str, row: Any) -> tuple[str, CachedToken]:
    name = from_key(key)
    entry = CachedToken(**unpack(CachedToken, tuple(f.name for f in fields(CachedToken)), row))
    _token_key(name, entry.id_token)
    return name, entry


def _listed(key: str, row: Any) -> tuple[str, ListedToken]:
    name = from_key(key)
    entry: ListedToken = decode(ListedToken, row)
    _token_key(name, entry.id_token)
    return name, entry


def _profile(key: str, row: Any) -> tuple[int, InstalledProfile]:
    one: InstalledProfile = decode(InstalledProfile, row)
    _same_key(key, str(one.profile.id))
    return one.profile.id, one


def _message(key: str, row: Any) -> tuple[int, DisplayMessage]:
    one: DisplayMessage = decode(DisplayMessage, row)
    _same_key(key, str(one.id))
    return one.id, one


def _monitor(key: str, row: Any) -> tuple[int, Monitor]:
    one: Monitor = decode(Monitor, row)
    _same_key(key, str(one.id))
    return one.id, one


def _certificate(key: str, row: Any) -> tuple[str, InstalledCertificate]:
    one: InstalledCertificate = decode(InstalledCertificate, row)
    _same_key(from_key(key), one.key)
    return one.key, one


def _client(key: str, row: Any) -> tuple[str, ClientCertificate]:
    one: ClientCertificate = decode(ClientCertificate, row)
    _same_key(from_key(key), one.key_id)
    return one.key_id, one


def _network(key: str, row: Any) -> tuple[int, NetworkProfile]:
    one: NetworkProfile = decode(NetworkProfile, row)
    _same_key(key, str(one.slot))
    return one.slot, one


def _watched(key: str, row: Any) -> tuple[str, str]:
    return from_key(key), _single(row, str)


def _correction(key: str, row: Any) -> tuple[str, float]:
    offset_s: float = _single(row, float)
    if abs(offset_s) > CORRECTION_MAX_S:
        raise Unreadable("no error of any clock")
    return from_key(key), offset_s
