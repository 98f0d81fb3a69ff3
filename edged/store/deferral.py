"""What of a step may wait for the next commit, and what waits: pure.

Every commit costs a card three or four blocks of its own and as many of the file system's journal, however little is in
it. What is told once a minute and of which nothing depends (samples, how a transaction stands, how far the register
is) therefore waits in memory: for the next step that must be on the disk before anyone sees it, or for its time.

Owns: which steps may wait, how long and how many, and how differences are laid together. Refuses to know: stations'
rules, disks. Invariants: laid together, differences do what they did one after the other · what has come and gone while
it waited is never written · a step with anything else in it never waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar

from edged.domain.effects import (
    Announce,
    Dequeue,
    Effect,
    Enqueue,
    LearnTime,
    MeterRecord,
    Notify,
    Record,
    RecordKind,
    TransactionRecord,
)
from edged.domain.events import Event, RecordDelivered
from edged.domain.metering import UNKEPT_MAX, UNKEPT_S
from edged.domain.policy import Trigger
from edged.domain.station import Connector, Station
from edged.store.port import Row, Table, Writes
from edged.store.records import CONNECTOR_KEPT, STATION_KEPT, TRANSACTION_KEPT

K = TypeVar("K")
V = TypeVar("V")

UNTOLD_S = 600.0
"""How long a record waits for the disk that the CSMS does not have: what a power cut takes of the samples."""
TOLD_S = UNKEPT_S
"""How long anything waits. What the CSMS has been told is lost with nobody; what is left is how far the register is,
and after a power cut the charger's own says that better (`domain.interruption`)."""
IN_FLIGHT_S = 30.0
ROWS_MAX = 500
"""How many rows wait at most."""

TRANSACTION_LATE = frozenset({"seq_no", "told_at", "kept_meter_wh", "kept_at"})
CONNECTOR_LATE = frozenset({"energy_kept_wh"})
STATION_LATE = frozenset({"next_seq", "wall_kept", "ran_kept_s"})
"""The facts that may wait. That numbers wait is paid for by `domain.interruption`, which leaves `UNKEPT_MAX` of them
out where a run has ended without a word."""
LATE_TABLES = frozenset({Table.TRANSACTION, Table.CONNECTOR, Table.STATION, Table.SAMPLE})
LATE_TRIGGERS = frozenset({Trigger.METER_VALUE_PERIODIC, Trigger.METER_VALUE_CLOCK, Trigger.CHARGING_STATE_CHANGED})
"""What a later record says again: where the register is, and how the transaction stands (after a restart that is told
anew)."""
HARMLESS = (Announce, LearnTime, Notify)
"""Effects that promise nothing of what is kept."""


def _strict(names: Sequence[str], late: frozenset[str]) -> Any:
    return attrgetter(*(name for name in names if name not in late))


_transaction_strict = _strict(TRANSACTION_KEPT, TRANSACTION_LATE)
_connector_facts = _strict(CONNECTOR_KEPT, CONNECTOR_LATE | {"spent"})
_station_strict = _strict(STATION_KEPT, STATION_LATE)


def _connector_strict(connector: Connector) -> Any:
    return _connector_facts(connector)


def _is_over(before: Connector, after: Connector) -> bool:
    """Whether a session has just left its cable behind. That the cable has gone is seen again by the next look at the
    charger; this is not."""
    return after.spent and after.plugged and not (before.spent and before.plugged)


# --- which steps may wait


def may_wait(before: Station, after: Station, effects: Sequence[Effect], event: Event, writes: Writes) -> bool:
    """Whether a step's difference has nothing in it but what may wait. Whoever was answered, or is about to be, is
    answered behind a commit."""
    if writes.parked or writes.journal or writes.events or writes.replies:
        return False
    if not (writes.put.keys() <= LATE_TABLES and writes.delete.keys() <= {Table.SAMPLE, Table.TRANSACTION}):
        return False
    running = before.transactions
    if (over := last_word(event, after)) is not None:
        running = {name: one for name, one in running.items() if name != over}
    return (
        all(_is_late(effect, event, over) for effect in effects)
        and _station_strict(before) == _station_strict(after)
        and (before.wall_kept == after.wall_kept or _clock_may_wait(after))
        and _same(before.connectors, after.connectors, _connector_strict)
        and not any(_is_over(before.connectors[number], one) for number, one in after.connectors.items())
        and _same(running, after.transactions, _transaction_strict)
    )


def last_word(event: Event, after: Station) -> str | None:
    """The transaction whose end the CSMS has just processed, if nothing else waits for it, and nothing will within the
    minute, as samples of another transaction do: should this be forgotten, the end is told once more under its own id,
    and before anything else (`Waiting.has_room`): it is no news then."""
    if not isinstance(event, RecordDelivered) or after.queued or _is_charging(after):
        return None
    record = event.record
    return record.transaction_id if isinstance(record, TransactionRecord) and record.kind is RecordKind.ENDED else None


def _clock_may_wait(station: Station) -> bool:
    """Without a battery the clock counts from where the disk saw it. A reservation lasts longer by what it is behind;
    and where nothing runs, it is all that is written, and seldom enough."""
    return not station.reservations and _is_charging(station)


def _is_charging(station: Station) -> bool:
    return any(one.active for one in station.transactions.values())


def _is_late(effect: Effect, event: Event, over: str | None) -> bool:
    if isinstance(effect, Enqueue):
        return record_may_wait(effect.record)
    if isinstance(effect, Dequeue):
        if not isinstance(event, RecordDelivered) or event.seq != effect.seq:
            return False
        return over is not None or record_may_wait(event.record)
    return isinstance(effect, HARMLESS)


def record_may_wait(record: Record) -> bool:
    """Whether a later record says again all that matters of this one."""
    if isinstance(record, MeterRecord):
        return True
    if not isinstance(record, TransactionRecord) or record.kind is not RecordKind.UPDATED:
        return False
    driver = (record.id_token, record.reservation_id, record.remote_start_id)
    return record.trigger in LATE_TRIGGERS and driver == (None, None, None)


def _same(old: Mapping[K, V], new: Mapping[K, V], strict: Any) -> bool:
    """The same entries, each with the same facts but for those that may wait."""
    if old is new:
        return True
    if old.keys() != new.keys():
        return False
    return all(old[name] is value or strict(old[name]) == strict(value) for name, value in new.items())


# --- laying together


def merged(first: Writes, then: Writes) -> Writes:
    """One difference that does what both do, one after the other. A record that `then` takes from the outbox was not
    there before `first`, or `first` does not add it: numbers are used once."""
    if not first:
        return then
    if not then:
        return first
    put: dict[str, dict[str, Row]] = {table: dict(rows) for table, rows in first.put.items()}
    delete: dict[str, set[str]] = {table: set(keys) for table, keys in first.delete.items()}
    for table, keys in then.delete.items():
        delete.setdefault(table, set()).update(keys)
        for key in keys & put.get(table, {}).keys():
            del put[table][key]
    for table, rows in then.put.items():
        put.setdefault(table, {}).update(rows)
        delete.get(table, set()).difference_update(rows)
    vanished = first.enqueue.keys() & then.dequeue
    return Writes(
        put={table: rows for table, rows in put.items() if rows},
        delete={table: frozenset(keys) for table, keys in delete.items() if keys},
        enqueue={seq: one for seq, one in first.enqueue.items() if seq not in vanished} | dict(then.enqueue),
        dequeue=first.dequeue | (then.dequeue - vanished),
        parked=first.parked + then.parked,
        journal=first.journal + then.journal,
        events=first.events + then.events,
        delivered=then.delivered if then.delivered is not None else first.delivered,
        replies=first.replies + then.replies,
        moment=first.moment or then.moment,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a record waits that the CSMS does not have, and how long anything does."""

    untold_s: float = UNTOLD_S
    told_s: float = TOLD_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits for the disk, since when (monotonic); since when there are records that the CSMS does not have; and
    how many numbers of records were given out meanwhile."""

    writes: Writes = field(default_factory=Writes)
    since_s: float = 0.0
    untold_since_s: float = 0.0
    numbers: int = 0

    def has_room(self, more: Writes, *, last: bool) -> bool:
        """Whether `more` may wait as well. What the disk has of the outbox leaves it before anything behind it is told:
        else a restart would tell it again behind that. `last`: it is a `last_word`, behind which nothing is for now. A
        sample that has come to the disk has no such leave: the next one would find it waiting, go to the disk itself
        and be found there by the next, one commit each."""
        if more.enqueue and self.writes.dequeue:
            return False
        if not (last or more.dequeue <= self.writes.enqueue.keys()):
            return False
        return self.numbers + len(more.enqueue) <= UNKEPT_MAX and _rows(self.writes) + _rows(more) <= ROWS_MAX

    def joined(self, more: Writes, now_s: float) -> Waiting:
        """With `more` behind it."""
        return Waiting(
            writes=merged(self.writes, more),
            since_s=self.since_s if self.writes else now_s,
            untold_since_s=self.untold_since_s if self.writes.enqueue else now_s,
            numbers=self.numbers + len(more.enqueue),
        )

    def overdue(self, now_s: float, patience: Patience) -> bool:
        """Whether it has waited for long enough. Records that are on their way to the CSMS this very moment are not
        worth a commit."""
        under_way = bool(self.writes.enqueue)
        if under_way and now_s - self.untold_since_s >= patience.untold_s:
            return True
        longest_s = patience.told_s + (IN_FLIGHT_S if under_way else 0.0)
        return bool(self.writes) and now_s - self.since_s >= longest_s


def _rows(writes: Writes) -> int:
    facts = sum(map(len, writes.put.values())) + sum(map(len, writes.delete.values()))
    return facts + len(writes.enqueue) + len(writes.dequeue)


NOTHING_WAITS = Waiting()
