"""One station's view of a shared store: implements the engine's port."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from edged.domain.effects import Effect, Lane, Record
from edged.domain.events import Event, RecordGivenUp
from edged.domain.station import Station
from edged.store import records
from edged.store.port import Parked, Store, Writes


class StationStore:
    """The rows of one station. A record that is given up is parked in the very commit that drops it."""

    def __init__(self, store: Store, station_id: str) -> None:
        self._store = store
        self._station_id = station_id

    def difference(self, before: Station, after: Station, effects: Sequence[Effect], event: Event) -> Writes:
        parked: tuple[Parked, ...] = ()
        if isinstance(event, RecordGivenUp):
            parked = (records.park(event.seq, event.record, event.reason),)
        return records.writes(before, after, effects, parked)

    def commit(self, difference: Writes, wall: datetime) -> None:
        self._store.commit(self._station_id, difference, wall)

    def outbox(self, lane: Lane, after_seq: int, limit: int) -> Sequence[tuple[int, Record]]:
        return self._store.outbox(self._station_id, lane, after_seq=after_seq, limit=limit)
