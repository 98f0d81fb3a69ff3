"""The composition root's happenings: what a station's step is worth telling goes into the very commit that keeps it.

Glue between the engine's store, the event log (mqtt) and the spool (store), which may not know each other. Decides
only this: what matters, and whatever belongs to a step that is kept, is on the disk before the step is seen; what
matters little goes to the disk by itself, within a second where the broker does not take it (`mqtt.event_log`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from edged.domain.effects import Effect, Lane, Record
from edged.domain.events import Event
from edged.domain.slug import slug_of
from edged.domain.station import Station
from edged.domain.types import Now
from edged.mqtt.event_log import EventLog, EventReader, Gap, LoggedEvent, Tell
from edged.mqtt.events import Happening, Rank, happenings
from edged.mqtt.gateway_documents import GatewayView
from edged.mqtt.options import IdTokenPolicy
from edged.ports import Clock, StationStore, StoreError
from edged.settings import Settings
from edged.store.port import TRIMMED_MAX, SavedReply, SpoolBounds, SpooledEvent, Store, Writes

_log = logging.getLogger(__name__)

FLUSH_S = 0.5
TRIM_EVERY = 200
"""Events between two looks at the spool's bounds."""
TRIM_EVERY_S = 3600.0
DELIVERED_EVERY_S = 24 * 3600.0
"""How far the broker has it waits so long for another reason to write: a commit of its own behind each event would cost
as much as the event, and all that a crash brings is that up to `REPEATED_AT_MOST` events are told again."""
OLDEST_EVERY_S = 30.0
"""Between two looks at how old the first event is that the broker does not have."""
CLOCK_STEP_S = 1.0
LAST_S = 0.5
"""A disk that hangs must not keep the goodbyes from the CSMS and the broker."""


TellReplies = Callable[[Event, Sequence[Effect], datetime], tuple[SavedReply, ...]]
"""The answers that go with a step, at a wall clock."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A step's writes with the events that go with it; falsy when there is nothing to write."""

    writes: Writes
    events: tuple[LoggedEvent, ...]
    deferred: tuple[LoggedEvent, ...]

    def __bool__(self) -> bool:
        return bool(self.writes)


class TellingStore:
    """A station's store (`ports.StationStore`) that puts what happened into the same commit, and what `replies` gives:
    the answers to local commands, which must be on the disk together with what they did."""

    def __init__(self, inner: StationStore, log: EventLog, station_id: str, replies: TellReplies | None = None) -> None:
        self._inner = inner
        self._log = log
        self._replies = replies
        self._slug = slug_of(station_id)

    def difference(self, before: Station, after: Station, effects: Sequence[Effect], event: Event) -> _Step:
        writes: Writes = self._inner.difference(before, after, effects, event)
        if self._replies is not None and (replies := self._replies(event, effects, after.clock.utc)):
            writes = replace(writes, replies=replies, waits=False)
        found = happenings(before, after, effects, slug=self._slug, source=source_of(event))
        events = self._log.number(found)
        self._log.stepped(after, events)
        if (not writes or writes.waits) and all(one.rank is not Rank.HIGH for one in events):
            self._log.defer(events, after.clock.monotonic_s)
            return _Step(writes, (), ())
        deferred = self._log.take(events)
        told = tuple(map(spooled, (*deferred, *events)))
        delivered = self._log.delivered_seq if told and self._log.is_behind else None
        return _Step(replace(writes, events=told, delivered=delivered, waits=False), events, deferred)

    def defer(self, difference: Any, now: Now) -> bool:
        return self._inner.defer(difference.writes, now)

    def overdue(self, now: Now) -> bool:
        return self._inner.overdue(now)

    def keep(self, wall: datetime, *, anyway: bool = False) -> bool:
        if not self._inner.keep(wall, anyway=anyway):
            return False
        self._log.hurry()
        return True

    def commit(self, difference: Any, wall: datetime) -> None:
        try:
            self._inner.commit(difference.writes, wall)
        except StoreError:
            self._log.give_back(difference.deferred, dropped=difference.events)
            raise
        self._log.delivery_kept(difference.writes.delivered)
        self._log.kept((*difference.deferred, *difference.events))

    def outbox(self, lane: Lane, after_seq: int, limit: int) -> Sequence[tuple[int, Record]]:
        return self._inner.outbox(lane, after_seq, limit)


class SpoolKeeper:
    """Brings to the disk what waits in memory, keeps the spool within its bounds, reads it for the mirror."""

    def __init__(self, store: Store, log: EventLog, executor: Executor, clock: Clock, bounds: SpoolBounds) -> None:
        self.log = log
        self._store = store
        self._executor = executor
        self._clock = clock
        self._bounds = bounds
        self._delivered_at_s = clock.now().monotonic_s
        self._delivered_kept_seq = log.delivered_kept_seq
        self._wanted = asyncio.Event()
        log.on_delivered = self._wanted.set
        self._untrimmed = TRIM_EVERY
        self._trimmed_at_s = 0.0
        self._complained = False
        self._oldest_at_s = 0.0
        self._last_now = clock.now()

    @property
    def kept(self) -> tuple[EventLog, EventReader]:
        """The log and who reads it."""
        return self.log, self

    def serve(self, news: Callable[[], None]) -> None:
        """Call `news` on the running loop whenever there is more to tell."""
        loop = asyncio.get_running_loop()

        def kept() -> None:
            loop.call_soon_threadsafe(news)

        self.log.on_kept = kept

    def began(self, gateway: GatewayView, *, unexpected: bool, reloaded: bool) -> None:
        """This run begins. `unexpected`: the one before ended without a word; `reloaded`: for another configuration."""
        self.note("gateway.started", version=gateway.version, boot_id=gateway.boot_id, unexpected=unexpected)
        if reloaded:
            self.note("gateway.config_reloaded", outcome="changed", config_hash=gateway.config_hash)

    async def ends(self) -> None:
        """The daemon stops: say so, and wait for the disk no longer than those who are to be told goodbye can."""
        self.note("gateway.stopping")
        await self.last_words()

    async def last_words(self) -> None:
        """Keep what waits and how far the broker has it, as far as the disk does that in `LAST_S`."""
        try:
            async with asyncio.timeout(LAST_S):
                await self.flush(told=True, all_of_it=True)
        except TimeoutError:
            _log.warning("the disk did not keep in %g s what MQTT was to be told at the end", LAST_S)

    def keep_now(self) -> None:
        """The last of all, when nothing happens any more. Blocking. Raises `StoreError`: what waits is lost, and its
        numbers may have been told."""
        events = self.log.take()
        try:
            if events:
                self._store.events_add(tuple(map(spooled, events)))
        except StoreError:
            self.log.give_back(events)
            raise

    def note(self, kind: str, **data: Any) -> None:
        """Something happened to the gateway itself."""
        self.tell(kind, None, data)

    def tell(self, kind: str, source: str | None, data: dict[str, Any]) -> None:
        """Something happened to the gateway, or was done by `source`, that is no station's step. What matters much is
        brought to the disk at once."""
        now = self._clock.now()
        happening = Happening(kind=kind, at=now.utc, synchronized=now.synchronized, source=source, data=data)
        self.log.defer(self.log.number([happening]), now.monotonic_s)
        if happening.rank is Rank.HIGH:
            self._wanted.set()

    async def run(self) -> None:
        """For ever; whatever the disk does, it tries again."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._wanted.wait()
            await self.turn()

    async def turn(self) -> None:
        """What is to be done twice a second, and when there is something to keep at once."""
        self._watch_clock()
        await self.flush(told=self._wanted.is_set())
        await self._look_back()

    async def flush(self, *, told: bool = False, all_of_it: bool = False) -> None:
        """Keep what waits and is due. `told`: keep how far the broker has it too, at once; `all_of_it`: due or not."""
        self._wanted.clear()
        self._tell_gap()
        loop = asyncio.get_running_loop()
        now_s = self._clock.now().monotonic_s
        delivered = self.log.delivered_seq
        if self.log.delivered_kept_seq != self._delivered_kept_seq:  # it went along with a step
            self._delivered_kept_seq, self._delivered_at_s = self.log.delivered_kept_seq, now_s
        news = delivered > self.log.delivered_kept_seq
        due = news and (told or self.log.is_far or now_s - self._delivered_at_s >= DELIVERED_EVERY_S)
        due_events = all_of_it or due or self.log.due(now_s)
        events = self.log.take() if due_events else ()
        if events or due:
            keep = loop.run_in_executor(self._executor, partial(self._keep, events, delivered if news else None))
            if await asyncio.shield(keep):  # whoever waits may give up: what was taken must not be lost with him
                self._delivered_at_s = now_s
                if news:
                    self.log.delivery_kept(delivered)
                    self.log.on_kept()
        await self._trim(now_s)

    def _watch_clock(self) -> None:
        """The wall clock against the one that only goes on: what is stamped before a step has another time."""
        before, now = self._last_now, self._clock.now()
        self._last_now = now
        offset_s = (now.utc - before.utc).total_seconds() - (now.monotonic_s - before.monotonic_s)
        if abs(offset_s) >= CLOCK_STEP_S:
            self.note("gateway.clock_stepped", offset_s=round(offset_s, 3))

    def _tell_gap(self) -> None:
        gap = self.log.take_gap()
        if gap is not None:
            _log.warning("%d events had to go before MQTT was told of them", gap.count)
            self.note("gateway.spool_overflow", from_seq=gap.from_seq, to_seq=gap.to_seq, count=gap.count)

    async def _look_back(self) -> None:
        """How old the first event is that the broker does not have, for `health`."""
        now_s, first = self._clock.now().monotonic_s, self.log.delivered_seq
        if first >= self.log.kept_seq:
            self.log.oldest_at = None
        elif now_s - self._oldest_at_s >= OLDEST_EVERY_S:
            self._oldest_at_s = now_s
            self.read(first, 1, self._note_oldest)

    def _note_oldest(self, events: Sequence[LoggedEvent] | None) -> None:
        self.log.oldest_at = events[0].at if events else None

    def _keep(self, events: tuple[LoggedEvent, ...], delivered: int | None) -> bool:
        try:
            self._store.events_add(tuple(map(spooled, events)), delivered)
        except StoreError as error:
            self.log.give_back(events)
            if not self._complained:
                self._complained = True
                _log.warning("what happened is not kept for MQTT: %s", error)
            return False
        self._complained = False
        self.log.kept(events)
        self._untrimmed += len(events)
        return True

    async def _trim(self, now_s: float) -> None:
        if self._untrimmed < TRIM_EVERY and now_s - self._trimmed_at_s < TRIM_EVERY_S:
            return
        self._untrimmed, self._trimmed_at_s = 0, now_s
        loop, now = asyncio.get_running_loop(), self._clock.now()
        trim = partial(self._store.events_trim, self._bounds, now.utc if now.synchronized else None)
        try:
            before = await loop.run_in_executor(self._executor, self._store.events_state)
            overflow = await loop.run_in_executor(self._executor, trim)
            state = await loop.run_in_executor(self._executor, self._store.events_state)
        except StoreError as error:
            _log.warning("the spool of events was not trimmed: %s", error)
            return
        self.log.first_seq = state.first
        if before.rows - state.rows >= TRIMMED_MAX:
            self._untrimmed = TRIM_EVERY  # there may be more of it
        if overflow is not None:
            self.log.lose(Gap(from_seq=overflow.from_seq, to_seq=overflow.to_seq, count=overflow.count))

    # --- mqtt.event_log.EventReader

    def read(self, after_seq: int, limit: int, tell: Tell) -> None:
        try:
            reading = asyncio.get_running_loop().run_in_executor(
                self._executor, self._store.events_load, after_seq, limit
            )
        except RuntimeError:  # the daemon has let go of its store
            tell(None)
        else:
            reading.add_done_callback(partial(_read, tell))


def _read(tell: Tell, reading: asyncio.Future[list[SpooledEvent]]) -> None:
    try:
        found = reading.result()
    except (StoreError, asyncio.CancelledError) as error:
        _log.warning("the spool of events cannot be read: %s", error)
        tell(None)
    else:
        tell([LoggedEvent(seq=one.seq, at=one.at, rank=_rank(one.rank), text=one.text) for one in found])


def _rank(number: int) -> Rank:
    """What cannot be read is not thrown away first."""
    return Rank(number) if number in frozenset(Rank) else Rank.HIGH


def spooled(event: LoggedEvent) -> SpooledEvent:
    return SpooledEvent(seq=event.seq, at=event.at, rank=int(event.rank), text=event.text)


def source_of(event: Event) -> str | None:
    """Who asked for what the event does; None where nobody did."""
    request = getattr(event, "request", None)
    return getattr(request, "channel", None)


def open_spool(
    settings: Settings, store: Store, executor: Executor, clock: Clock, *, run_id: str, unexpected: bool
) -> SpoolKeeper | None:
    """Where what happens is kept for MQTT, as a former run has left it, `unexpected` where that ended without a word;
    None without a broker. Raises `StoreError`."""
    mqtt = settings.mqtt
    if mqtt is None:
        return None
    state = store.events_state()
    log = EventLog(
        run_id,
        policy=IdTokenPolicy(mqtt.id_tokens.value),
        salt=settings.gateway.id,
        first_seq=state.first,
        last_seq=max(state.last, state.delivered),
        delivered_seq=state.delivered,
        unexpected=unexpected,
    )
    bounds = SpoolBounds(
        max_rows=mqtt.spool.max_rows,
        max_bytes=mqtt.spool.max_mb * 1024 * 1024,
        max_age_s=mqtt.spool.max_age_d * 86_400.0,
    )
    return SpoolKeeper(store, log, executor, clock, bounds)
