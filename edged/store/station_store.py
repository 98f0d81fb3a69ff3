"""One station's view of a shared store: implements the engine's port.

Owns what waits for the next commit. Invariant: the disk is always the station as it was behind one of its steps, and
the disk with what waits laid over it is the station as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from edged.domain.effects import Effect, Lane, Record
from edged.domain.events import Event, RecordGivenUp
from edged.domain.station import Station
from edged.domain.types import Now
from edged.store import deferral, records, row_texts
from edged.store.deferral import Patience
from edged.store.port import Parked, Store, Writes


class StationStore:
    """The rows of one station. A record that is given up is parked in the very commit that drops it."""

    def __init__(self, store: Store, station_id: str, patience: Patience = Patience()) -> None:
        self._store = store
        self._patience = patience
        self._station_id = station_id
        self._waiting = deferral.NOTHING_WAITS

    @property
    def waiting(self) -> Writes:
        """What waits for the next commit."""
        return self._waiting.writes

    def difference(self, before: Station, after: Station, effects: Sequence[Effect], event: Event) -> Writes:
        parked: tuple[Parked, ...] = ()
        if isinstance(event, RecordGivenUp):
            parked = (records.park(event.seq, event.record, event.reason),)
        writes = records.writes(before, after, effects, parked)
        if not writes or not deferral.may_wait(before, after, effects, event, writes):
            return writes
        last = deferral.last_word(event, after) is not None
        return replace(writes, waits=self._waiting.has_room(writes, last=last))

    def defer(self, difference: Writes, now: Now) -> bool:
        if not difference.waits:
            return False
        self._waiting = self._waiting.joined(difference, now.monotonic_s)
        return True

    def overdue(self, now: Now) -> bool:
        return self._waiting.overdue(now.monotonic_s, self._patience)

    def commit(self, difference: Writes, wall: datetime) -> None:
        """What waits goes along: the disk never shows a step without those before it. Where the disk refuses, both are
        as they were."""
        self._store.commit(self._station_id, deferral.merged(self._waiting.writes, difference), wall)
        self._waiting = deferral.NOTHING_WAITS

    def keep(self, wall: datetime, *, anyway: bool = False) -> bool:
        if not (anyway or self._waiting.writes):
            return False
        self.commit(records.MOMENT if anyway else records.NOTHING, wall)
        return True

    def outbox(self, lane: Lane, after_seq: int, limit: int) -> Sequence[tuple[int, Record]]:
        """The disk's with what waits laid over it. What waits is taken first: a commit in between is seen twice, and
        not never."""
        waiting = self._waiting.writes
        more = len(waiting.dequeue)
        found = dict(self._store.outbox(self._station_id, lane, after_seq=after_seq, limit=limit + more))
        for seq in waiting.dequeue:
            found.pop(seq, None)
        for seq, one in waiting.enqueue.items():
            if one.lane is lane and seq > after_seq:
                found[seq] = records.decode_record(row_texts.to_text(one.row))
        return sorted(found.items(), key=lambda item: item[0])[:limit]
