"""One step's result, and the draft in which a step is put together.

A `Draft` is mutable only while its step runs: it never leaves `step()`. What leaves is the immutable `Transition`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from edged.domain.effects import (
    Announce,
    Dequeue,
    Effect,
    Enqueue,
    EventRecord,
    Record,
    RecordKind,
    Reply,
    SecurityRecord,
    TransactionRecord,
    transaction_of,
)
from edged.domain.pending import Pending
from edged.domain.station import Connector, Station, Transaction
from edged.domain.types import Now, RequestRef

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Transition:
    station: Station
    effects: tuple[Effect, ...]


def put(mapping: Mapping[K, V], key: K, value: V) -> dict[K, V]:
    """A copy with one entry set."""
    return {**mapping, key: value}


def drop(mapping: Mapping[K, V], key: K) -> dict[K, V]:
    """A copy without one entry."""
    return {k: v for k, v in mapping.items() if k != key}


class Draft:
    """A station under change and the effects so far, in order."""

    __slots__ = ("effects", "not_kept", "now", "station")

    def __init__(self, station: Station, now: Now) -> None:
        self.station = station
        self.now = now
        self.effects: list[Effect] = []
        self.not_kept = 0  # records that this step would have kept, had nobody stopped OCPP

    def transition(self) -> Transition:
        return Transition(self.station, tuple(self.effects))

    # --- changes

    def update(self, **changes: Any) -> None:
        self.station = replace(self.station, **changes)

    def change(self, number: int, **changes: Any) -> Connector:
        """Change facts of one connector."""
        connector = replace(self.station.connectors[number], **changes)
        self.update(connectors=put(self.station.connectors, number, connector))
        return connector

    def transact(self, transaction_id: str, **changes: Any) -> Transaction:
        """Change facts of one transaction."""
        transaction = replace(self.station.transactions[transaction_id], **changes)
        self.update(transactions=put(self.station.transactions, transaction_id, transaction))
        return transaction

    def wait(self, pending: Pending) -> None:
        self.update(pending=put(self.station.pending, pending.ticket, pending))

    def settle(self, ticket: str) -> None:
        """A pending operation is over."""
        self.update(pending=drop(self.station.pending, ticket))

    def ticket(self) -> str:
        """A name for a pending operation, unique for ever: boot id and counter."""
        self.update(tickets=self.station.tickets + 1)
        return f"{self.station.boot.id}-{self.station.tickets}"

    def new_id(self) -> str:
        """A transaction id in UUID form: never given twice, in no boot (2.x E01.FR.08)."""
        digest = hashlib.sha256(f"{self.station.identity.id}/{self.ticket()}".encode()).hexdigest()
        return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"

    # --- effects

    def emit(self, effect: Effect) -> None:
        self.effects.append(effect)

    def reply(
        self, request: RequestRef | None, status: Any, detail: str = "", data: Any = None, *, reason: str = ""
    ) -> None:
        """Answer a command; a request of None is nobody waiting."""
        if request is not None:
            self.emit(Reply(request, status, detail, data, reason))

    def announce(self, kind: str, connector: int | None = None, **data: Any) -> None:
        self.emit(Announce(kind, connector, data))

    def enqueue(self, record: Record) -> None:
        """Keep a record for the CSMS, in this step's commit; not while OCPP is stopped (`isolation`)."""
        if self._is_unheard(record):
            return
        seq = self.station.next_seq
        self.update(next_seq=seq + 1, queued=self.station.queued + 1)
        if isinstance(record, SecurityRecord):
            self.update(security_queue=put(self.station.security_queue, seq, record))
        elif isinstance(record, EventRecord):
            self.update(event_queue=put(self.station.event_queue, seq, record))
        owner = transaction_of(record)
        if owner is not None and owner in self.station.transactions:
            self.transact(owner, queued=self.station.transactions[owner].queued + 1)
        self.emit(Enqueue(seq, record))

    def _is_unheard(self, record: Record) -> bool:
        """Whether the CSMS shall not hear of it, nor of what follows from it: its number is given again."""
        owner = transaction_of(record)
        transaction = self.station.transactions.get(owner) if owner is not None else None
        if self.station.isolation is None and (transaction is None or not transaction.unheard):
            return False
        self.not_kept += 1
        if transaction is not None and isinstance(record, TransactionRecord):
            if record.kind is RecordKind.STARTED:
                self.transact(transaction.id, unheard=True)
            else:
                self.transact(transaction.id, seq_no=record.seq_no - 1)
        return True

    def written(self, transaction_id: str) -> TransactionRecord | None:
        """The last record of a transaction that this step wrote."""
        for effect in reversed(self.effects):
            record = effect.record if isinstance(effect, Enqueue) else None
            if isinstance(record, TransactionRecord) and record.transaction_id == transaction_id:
                return record
        return None

    def amend(self, transaction_id: str, **changes: Any) -> None:
        """Change the last record of a transaction that this step wrote."""
        record = self.written(transaction_id)
        for index, effect in enumerate(self.effects):
            if isinstance(effect, Enqueue) and effect.record is record and record is not None:
                self.effects[index] = Enqueue(effect.seq, replace(record, **changes))

    def dequeue(self, seq: int, record: Record) -> None:
        """A record is done. Forgets an ended transaction with its last record."""
        self.update(queued=max(0, self.station.queued - 1))
        self.emit(Dequeue(seq))
        if seq in self.station.security_queue:
            self.update(security_queue=drop(self.station.security_queue, seq))
        elif seq in self.station.event_queue:
            self.update(event_queue=drop(self.station.event_queue, seq))
        owner = transaction_of(record)
        if owner is None or owner not in self.station.transactions:
            return
        transaction = self.transact(owner, queued=max(0, self.station.transactions[owner].queued - 1))
        if not transaction.active and transaction.queued == 0:
            self.update(transactions=drop(self.station.transactions, owner))
