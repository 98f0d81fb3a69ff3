"""The virtual site's log of events: the real one, on the world's store, cut off and refused as that is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edged.desks import MirrorDesk
from edged.domain.effects import Effect, Lane, Record
from edged.domain.events import Event
from edged.domain.station import Station
from edged.domain.types import Now
from edged.happenings import SpoolKeeper, TellingStore, spooled
from edged.mqtt.event_log import EventLog, LoggedEvent, Tell
from edged.mqtt.events import Rank
from edged.mqtt.gateway_documents import GatewayView
from edged.mqtt.mirror import MqttMirror
from edged.mqtt.options import IdTokenPolicy
from edged.ports import Clock, StationStore, StoreError
from edged.store.port import SpoolBounds, Writes
from tests.fakes.broker import NAMES

if TYPE_CHECKING:
    from tests.fakes.world import World

BOUNDS = SpoolBounds(max_rows=50_000, max_bytes=32 * 2**20, max_age_s=30 * 86_400.0)
READ_S = 0.05


class Spool:
    """One daemon's. What `SpoolKeeper.run` does from time to time on a worker thread, `turn` does without waiting."""

    def __init__(self, world: World, clock: Clock, *, run_id: str, unexpected: bool) -> None:
        self.world = world
        state = world.store.events_state()
        self.log = EventLog(
            run_id,
            policy=IdTokenPolicy.MASKED,
            salt=NAMES.gateway,
            first_seq=state.first,
            last_seq=max(state.last, state.delivered),
            delivered_seq=state.delivered,
            unexpected=unexpected,
        )
        self.keeper = SpoolKeeper(world.store, self.log, None, clock, BOUNDS)  # type: ignore[arg-type]

    def began(self, gateway: GatewayView) -> None:
        self.keeper.began(gateway, unexpected=False, reloaded=False)

    def store(self, inner: StationStore, mirror: MqttMirror, identity: str) -> TellingStore:
        return TellingStore(_Platter(inner, self.world), self.log, identity, MirrorDesk(mirror).replies)

    def turn(self) -> None:
        """What waits in memory goes to the disk, and how far the broker is."""
        self.keeper._watch_clock()
        self.keeper._tell_gap()
        delivered = self.log.delivered_seq
        far = delivered if self.log.is_far or self.world.seconds % 60 == 0 else None
        news = far is not None and far > self.log.delivered_kept_seq
        if not news and not self.log.due(self.world.clock.now().monotonic_s):
            return
        events = self.log.take()
        self.world.instruction()
        if self.world.disk_full:
            self.log.give_back(events)
            return
        self.world.store.events_add(tuple(map(spooled, events)), far if news else None)
        self.log.kept(events)
        if news:
            self.log.delivery_kept(delivered)
            self.log.on_kept()

    def keep_now(self) -> None:
        if self.world.disk_full:
            raise StoreError("disk full (played)")
        self.keeper.keep_now()

    # --- mqtt.event_log.EventReader

    def read(self, after_seq: int, limit: int, tell: Tell) -> None:
        def arrive() -> None:
            found = self.world.store.events_load(after_seq, limit)
            tell([LoggedEvent(seq=one.seq, at=one.at, rank=Rank(one.rank), text=one.text) for one in found])

        self.world.later(READ_S, lambda: self.world.guard(arrive) if self.world.spool is self else None)


class _Platter:
    """What is under the log: refuses as the world has it."""

    def __init__(self, inner: StationStore, world: World) -> None:
        self._inner = inner
        self._world = world

    def difference(self, before: Station, after: Station, effects: Sequence[Effect], event: Event) -> Writes:
        writes: Writes = self._inner.difference(before, after, effects, event)
        return writes

    def commit(self, difference: Any, wall: datetime) -> None:
        if self._world.refuses():
            raise StoreError("disk full (played)")
        self._inner.commit(difference, wall)

    def defer(self, difference: Any, now: Now) -> bool:
        return self._inner.defer(difference, now)

    def overdue(self, now: Now) -> bool:
        return self._inner.overdue(now)

    def keep(self, wall: datetime, *, anyway: bool = False) -> bool:
        if (anyway or self._world.stored.waiting) and self._world.refuses():
            raise StoreError("disk full (played)")
        return self._inner.keep(wall, anyway=anyway)

    def outbox(self, lane: Lane, after_seq: int, limit: int) -> Sequence[tuple[int, Record]]:
        return self._inner.outbox(lane, after_seq, limit)
