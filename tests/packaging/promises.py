"""What must lie on a disk after a power cut, judged from what the outside world had been told until then.

- What was accepted is there. What was asked for and not yet answered may be there or not.
- A transaction that was told of, or seen, or charged, is open, or its end waits in the outbox, or the CSMS has
  confirmed its end.
- A message that was sent and not confirmed is in the outbox. One that was confirmed may be there again (the daemon did
  not live to write it down), but never once its successor was sent. The messages in the outbox are in their order,
  without a gap, and each is one that the CSMS has got, or got later.
- No number is used twice: neither a row's nor, in 2.0.1, a transaction event's.
- Meter samples and how a transaction stands may be missing: they come to the disk with the next thing that matters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from edged.domain.effects import Enqueue, Lane, Record, TransactionRecord, lane_of
from edged.domain.events import Started
from edged.domain.station import Station
from edged.domain.step import step
from edged.domain.types import Now
from edged.mqtt.event_log import UNKEPT_MAX
from edged.ocpp.message_id import record_message_id
from tests.packaging.notes import (
    GONE,
    VARIABLES,
    Answered,
    Asked,
    Begins,
    Ended,
    Entered,
    Heard,
    Kept,
    Leaves,
    Powered,
    Refused,
    Replied,
    Seen,
    Serves,
    Told,
    Touched,
)

CLOCKS_S = 2.0
"""How far the daemon's clock, which goes by the CSMS's, may be from ours."""
LET_IN_S = 10.0
"""From a token that is shown to the transaction that uses up a reservation."""
EARLY_S, LATE_S = 0.05, 5.0
"""How a line of the log may lie beside the moment that it tells of."""
BORN = re.compile(
    r"^(\S+Z) .*?: (\S+) connector (\d+): transaction\.started \(transaction_id ([0-9a-f-]+)", re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a start finds of one station: as loaded, and the rows of its outbox. `fresh`: as it is on an empty disk."""

    station: Station
    fresh: Station
    outbox: Mapping[int, Record]
    last_wall: datetime | None


@dataclass
class Lore:
    """What is known of a whole recording, also of what came after a cut: which messages there were, in their order."""

    order: dict[str, dict[str, int]] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)
    ends: dict[str, str] = field(default_factory=dict)
    csms_ids: dict[str, str] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)
    """The numbers of rows that were found on a disk, by their messages."""

    @classmethod
    def of(cls, journal: Iterable[Entered], station: str, log: str) -> Lore:
        """`log`: the daemon's, which says when it began a transaction and what it calls it."""
        lore = cls()
        born = [(at_s, place, name) for at_s, own, place, name in births(log) if own == station]
        for entered in journal:
            if entered.station != station:
                continue
            match entered.note:
                case Heard() as one:
                    order = lore.order.setdefault(one.lane, {})
                    order.setdefault(one.message_id, len(order))
                    if one.may_lag:
                        lore.late.add(one.message_id)
                    if one.ends is not None:
                        lore.ends[one.ends] = one.message_id
                    if one.action == "StartTransaction":
                        lore._starts[one.message_id] = _born(born, one.payload)
                case Answered(message_id=message_id, transaction=str(number)):
                    if name := lore._starts[message_id]:
                        lore.csms_ids[name] = number
                case Seen(transactions):
                    lore.csms_ids |= {ours: theirs for ours, (_, theirs) in transactions.items() if theirs}
        return lore

    _starts: dict[str, str | None] = field(default_factory=dict)

    @property
    def is_numbered(self) -> bool:
        """Whether the CSMS gives transactions numbers of its own (1.6)."""
        return bool(self.csms_ids)

    def end_of(self, transaction_id: str) -> str | None:
        """The message that ends a transaction."""
        return self.ends.get(self.csms_ids.get(transaction_id, transaction_id))


@dataclass
class Book:
    """What one station has said until some moment. `possible`: the values that a fact may have."""

    lore: Lore
    drained: bool
    possible: dict[str, set[str | None]] = field(default_factory=dict)
    heard: dict[str, list[str]] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    running: dict[str, bool] = field(default_factory=dict)
    seq_nos: dict[str, int] = field(default_factory=dict)
    powered: set[int] = field(default_factory=set)
    changed_at_s: float = 0.0
    _asked_at_s: dict[str, float] = field(default_factory=dict)
    _new: dict[str, bool] = field(default_factory=dict)
    """Whether the value that was asked for last was not possible before."""
    _touched: set[str] = field(default_factory=set)
    _last_touch: dict[int | None, int] = field(default_factory=dict)
    _touched_at_s: dict[str, float] = field(default_factory=dict)

    def read(self, entered: Entered) -> None:
        match entered.note:
            case Asked(changes):
                for name, value in changes.items():
                    values = self.possible.setdefault(name, {None})
                    self._new[name] = value not in values
                    values.add(value)
                    self._asked_at_s[name] = entered.at_s
                    self._touched.discard(name)
            case Kept(changes):
                for name, value in changes.items():
                    used = name in self._touched or self._busy(value, entered.at_s)
                    self.possible[name] = {value, GONE} if used else {value}
                    self.changed_at_s = self._asked_at_s[name]
            case Refused(changes):
                for name, value in changes.items():
                    if self._new[name]:
                        self.possible[name].discard(value)
            case Heard() as message:
                self._hear(message)
            case Answered(message_id):
                self.answered.add(message_id)
            case Seen(transactions):
                for name, (active, _) in transactions.items():
                    self.running[name] = active
            case Touched(connector):
                self._touch(connector, entered.number)
                self._touched_at_s[f"at {connector}"] = entered.at_s
            case Powered(connector, since):
                if max(self._last_touch.get(None, 0), self._last_touch.get(connector, 0)) <= since:
                    self.powered.add(connector)
            case Begins():
                self._touch(None, entered.number)
                if "boot reason" in self.possible:
                    self.possible["boot reason"].add(None)
            case Serves():
                if "boot reason" in self.possible:
                    self.possible["boot reason"] = {None}
            case _:
                pass

    def _hear(self, message: Heard) -> None:
        queue = self.heard.setdefault(message.lane, [])
        if message.message_id not in queue:
            queue.append(message.message_id)
        number = message.payload.get("reservationId")
        if number is not None:
            self.possible[f"reservation {number}"] = {GONE}
        if message.action == "TransactionEvent":
            name = message.payload["transactionInfo"]["transactionId"]
            self.seq_nos[name] = max(self.seq_nos.get(name, -1), message.payload["seqNo"])
            self.running[name] = message.payload["eventType"] != "Ended" and self.running.get(name, True)

    def _busy(self, place: str, now_s: float) -> bool:
        """Whether somebody may just be let in there."""
        return now_s - self._touched_at_s.get(place, -math.inf) < LET_IN_S

    def _touch(self, connector: int | None, number: int) -> None:
        """From here on whoever reserved it may have come, and what charges may end."""
        for name, values in self.possible.items():
            if name.startswith("reservation") and f"at {connector}" in values:
                values.add(GONE)
                self._touched.add(name)
        self._last_touch[connector] = number
        self.powered -= self.powered if connector is None else {connector}

    # --- what a disk says

    def judge(self, found: Found, until_s: float) -> None:
        """Raises AssertionError. `until_s`: no wall clock on the disk may be later."""
        self._facts(found)
        self._outbox(found)
        self._transactions(found)
        if self.changed_at_s:
            assert found.last_wall is not None, "no wall clock"
            assert self.changed_at_s - CLOCKS_S <= found.last_wall.timestamp() <= until_s + CLOCKS_S, "the wall clock"

    def _facts(self, found: Found) -> None:
        there, first = facts(found.station), facts(found.fresh)
        for name, allowed in self.possible.items():
            value = there.get(name, GONE)
            known = {first.get(name, GONE) if one is None else one for one in allowed}
            assert value in known, f"{name} is {value}, promised was {sorted(known)}"

    def _transactions(self, found: Found) -> None:
        there = found.station.transactions
        for name, active in self.running.items():
            if name not in there and self.lore.is_numbered and name not in self.lore.csms_ids:
                continue  # seen once, in a moment in which the daemon ended: nobody can say which it was
            if name in there:
                assert active or not there[name].active, f"{name} has ended and runs again"
            else:
                assert self.lore.end_of(name) in self.answered, f"transaction {name} is lost"
        charged = {one.connector for one in there.values() if one.active}
        assert self.powered <= charged, f"no transaction on {self.powered - charged}, where energy flows"

    def _outbox(self, found: Found) -> None:
        rows: dict[str, list[str]] = {lane.value: [] for lane in Lane}
        for seq, record in sorted(found.outbox.items()):
            message_id = record_message_id(found.station.identity.id, seq, record, refusals=0)
            self.lore.seqs[message_id] = seq
            rows[lane_of(record).value].append(message_id)
        for lane, queued in rows.items():
            self._lane(lane, queued)
        self._numbers(found)

    def _lane(self, lane: str, queued: Sequence[str]) -> None:
        """The outbox goes on where the CSMS is: neither a message before that, nor a gap, nor another order."""
        order = self.lore.order.get(lane, {})
        unknown = [one for one in queued if one not in order]
        assert not (self.drained and unknown), f"{len(unknown)} messages of {lane} that nobody ever got"
        queued = [one for one in queued if one in order]
        places = [order[one] for one in queued]
        assert places == sorted(set(places)), f"the order of {lane} is {places}"
        known = self.heard.get(lane, [])
        sent = [one for one in known if one not in self.answered]
        missing = [one for one in sent if one not in queued and one not in self.lore.late]
        assert not missing, f"sent, not confirmed and lost in {lane}: {missing}"
        over = set(known[:-1]) & set(queued) - self.lore.late
        assert not over, f"{len(over)} messages of {lane} will be sent again, behind their successor"
        if queued:
            between = [one for one, place in order.items() if len(known) <= place < places[-1]]
            lost = [one for one in between if one not in queued and one not in self.lore.late]
            assert not lost, f"a gap in {lane}: {lost}"

    def _numbers(self, found: Found) -> None:
        """The next start uses no number again that anybody has seen."""
        told = {one for queue in self.heard.values() for one in queue}
        used = max((seq for one, seq in self.lore.seqs.items() if one in told), default=0)
        used = max(used, max(found.outbox, default=0))
        now = Now(datetime.fromtimestamp(found.station.boot.floor.timestamp(), UTC), 1000.0, True)
        for continued in (True, False):
            begun = step(found.station, Started(continued=continued, unexpected=True), now)
            self._next_events(begun.effects, begun.station, used)

    def _next_events(self, effects: Sequence[object], station: Station, used: int) -> None:
        assert station.next_seq > used, f"row {used} was used, {station.next_seq} would be next"
        for effect in effects:
            if isinstance(effect, Enqueue):
                assert effect.seq > used, f"row {effect.seq} would be used twice"
            if isinstance(effect, Enqueue) and isinstance(effect.record, TransactionRecord):
                told = self.seq_nos.get(effect.record.transaction_id, -1)
                assert effect.record.seq_no > told, f"event {effect.record.seq_no} would be told twice"
        for name, one in station.transactions.items():
            told = self.seq_nos.get(name, -1)
            assert not one.active or one.seq_no >= told, f"events from {one.seq_no} on would be told twice"


@dataclass
class Books:
    """Those of all stations, and what the daemon said of itself."""

    journal: Sequence[Entered]
    stations: Mapping[str, Book]
    told: dict[int, Told] = field(default_factory=dict)
    replied: set[str] = field(default_factory=set)
    unexpected: bool | None = None
    """Whether the next start must find that the last run did not end well; None: it may."""
    _read: int = 0

    @classmethod
    def of(cls, journal: Sequence[Entered], stations: Iterable[str], *, log: str, drained: bool) -> Books:
        """`log`: the daemon's. `drained`: in the end, the CSMS has heard everything."""
        lore = {name: Lore.of(journal, name, log) for name in stations}
        return cls(journal, {name: Book(lore[name], drained) for name in stations})

    def read_to(self, number: int) -> None:
        assert number >= self._read, "books are read forwards"
        for entered in self.journal[self._read : number]:
            for name, book in self.stations.items():
                if entered.station in (None, name):
                    book.read(entered)
            match entered.note:
                case Serves():
                    self.unexpected = True
                case Leaves() | Begins():
                    self.unexpected = None
                case Ended(clean=True):
                    self.unexpected = False
                case Told(seq) as told:
                    assert self.told.setdefault(seq, told) == told, f"event {seq} was told as two"
                case Replied(name):
                    self.replied.add(name)
        self._read = number

    def judge(self, events: Mapping[int, str], replies: set[str]) -> None:
        """What local people were told. `events`: the names of those that are kept, by number; `replies`: the orders
        that would not be carried out a second time. Raises AssertionError."""
        others = [seq for seq, told in self.told.items() if events.get(seq) not in (None, told.name)]
        assert not others, f"events that were told and are others now: {others}"
        latest = {name.rpartition("-")[0]: seq for seq, name in sorted(events.items())}
        lost = [told for seq, told in self.told.items() if seq not in events]
        missed = [one.seq for one in lost if not one.matters_little or one.seq < latest.get(one.boot, 0)]
        assert not missed, f"events that were told and are lost: {missed}"
        many = [one.seq for one in lost if one.boot in latest and one.seq > latest[one.boot] + UNKEPT_MAX]
        assert not many, f"events that were told too far ahead of the disk: {many}"
        assert self.replied <= replies, f"orders that would be carried out again: {self.replied - replies}"

    @property
    def until_s(self) -> float:
        """When the next thing was said."""
        return self.journal[self._read].at_s if self._read < len(self.journal) else math.inf


def births(log: str) -> Iterator[tuple[float, str, int, str]]:
    """When the daemon has begun which transaction: wall clock, station, connector, our id of it."""
    for stamp, station, connector, name in BORN.findall(log):
        yield datetime.fromisoformat(stamp).timestamp(), station, int(connector), name


def _born(born: Sequence[tuple[float, int, str]], start: Mapping[str, Any]) -> str | None:
    """Which transaction a StartTransaction is of: the next that was logged there, for the log comes behind the disk.
    None: the daemon was killed before anybody saw it."""
    at_s = datetime.fromisoformat(start["timestamp"]).timestamp()
    for began_s, place, name in born:
        if place == start["connectorId"] and -EARLY_S < began_s - at_s < LATE_S:
            return name
    return None


def facts(station: Station) -> dict[str, str]:
    """A station's facts in the words of `notes.changes_of`."""
    there = {f"key {name}": station.configuration.text(name) for name in VARIABLES.values()}
    for number, held in station.reservations.items():
        there[f"reservation {number}"] = f"at {held.target.connector or held.target.evse}"
    for number, connector in station.connectors.items():
        operative = connector.operative if connector.scheduled is None else connector.scheduled
        there[f"availability {number}"] = "Operative" if operative else "Inoperative"
    if station.local_list:
        tokens = sorted(entry.id_token.value for entry in station.local_list.values())
        there["list"] = f"{station.local_list_version}: {' '.join(tokens)}"
    for number, one in station.charging_profiles.items():
        there[f"profile {number}"] = f"{one.profile.schedule.periods[0].limit:g} A"
    if station.next_boot_reason is not None:
        there["boot reason"] = station.next_boot_reason
    return there
