"""The numbered log of what happened: gives numbers, says what may be told already, knows how far the broker has it.

Owns the order. Refuses to know: disks and brokers (`EventReader` reads, glue writes, `outbox` sends).
Invariants: numbers rise by one in the order in which things happened · nothing that matters is told before it is on the
disk · what matters little (`Rank.LOW`) may be told first, within `UNKEPT_MAX` numbers behind the last on the disk; a
run behind one that ended without a word leaves so many out, so a number never means two things · nothing is told before
its elders · what waits in memory is bounded: of what matters least the oldest goes first, and its number with it, which
`lost` counts · a station that is seen contains exactly its events up to `as_of`.

`number`, `stepped`, `as_of`, `defer`, `due` and `take` are called on the event loop; `kept` and `give_back` on whatever
thread commits, in the order of the commits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from edged.domain.station import Station
from edged.mqtt.events import Happening, Rank, document_of
from edged.mqtt.options import IdTokenPolicy

MAX_DEFERRED: Final = 1_000
REPEATED_AT_MOST: Final = 40
"""So many events may be told a second time after a crash."""
UNKEPT_MAX: Final = 20
"""So many numbers behind the last one on the disk may be told."""
UNTOLD_S: Final = 0.4
"""So long an event waits for the disk that the broker does not have; looked at twice a second, that is within one."""
TOLD_S: Final = 7200.0
"""So long one waits that the broker has: then it is lost with nobody. Longer than an hour, for every station has
something to keep once an hour, and it goes along."""
TAIL: Final = 256
"""So many of the latest events are at hand without a look at the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """One event under its number. `text`: its document as JSON, without `replayed`. `at` None: the clock was not known,
    so its age is not."""

    seq: int
    at: datetime | None
    rank: Rank
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Events that are gone although nobody was told them: so many, between these numbers."""

    from_seq: int
    to_seq: int
    count: int

    def with_(self, other: Gap | None) -> Gap:
        if other is None:
            return self
        return Gap(
            from_seq=min(self.from_seq, other.from_seq),
            to_seq=max(self.to_seq, other.to_seq),
            count=self.count + other.count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """How it stands with the log, for `health`. `waiting`: how far the broker is behind; `unkept`: in memory only;
    `oldest_at`: when the first event happened that the broker does not have, where that is known."""

    waiting: int = 0
    unkept: int = 0
    first: int = 0
    last: int = 0
    delivered: int = 0
    lost: int = 0
    oldest_at: datetime | None = None


Tell = Callable[[Sequence[LoggedEvent] | None], None]
"""Where events go that were read; None: the disk cannot be read."""


class EventReader(Protocol):
    """Reads what was kept. Returns at once; `tell` is called later, on the event loop."""

    def read(self, after_seq: int, limit: int, tell: Tell) -> None: ...


class EventLog:
    """One for the gateway. `last_seq` and `delivered_seq` as a former run has left them; `unexpected`: it ended without
    a word, and may have told of more than it has left.

    `delivered_seq`: the broker has acknowledged all up to here; `delivered_kept_seq`: and the disk knows it.
    `on_kept` is called from any thread when there is more to tell, `on_delivered` on the loop for the disk to know.
    """

    def __init__(
        self,
        boot: str,
        *,
        policy: IdTokenPolicy,
        salt: str,
        first_seq: int = 0,
        last_seq: int = 0,
        delivered_seq: int = 0,
        unexpected: bool = False,
        on_kept: Callable[[], None] = lambda: None,
        on_delivered: Callable[[], None] = lambda: None,
    ) -> None:
        self.boot = boot
        self.on_kept = on_kept
        self.on_delivered = on_delivered
        self.first_seq = first_seq
        self.delivered_seq = self.delivered_kept_seq = min(delivered_seq, last_seq)
        self.lost = 0
        self.oldest_at: datetime | None = None
        self._policy = policy
        self._salt = salt
        self._kept_seq = last_seq
        self._last_seq = last_seq + (UNKEPT_MAX if unexpected else 0)
        self._steps: dict[str, tuple[Station, int]] = {}
        self._deferred: deque[LoggedEvent] = deque()
        self._since_s: dict[int, float] = {}
        self._leaving: dict[int, LoggedEvent] = {}
        self._of_steps: set[int] = set()
        self._hurries = False
        self._gap: Gap | None = None
        self._tail: deque[LoggedEvent] = deque(maxlen=TAIL)
        self._lock = threading.Lock()

    @property
    def last_seq(self) -> int:
        """The latest number given, kept already or not."""
        return self._last_seq

    @property
    def kept_seq(self) -> int:
        """Every event up to here that will ever be on the disk is there."""
        with self._lock:
            return min(self._kept_seq, min(self._leaving, default=self._kept_seq + 1) - 1, self._first_deferred - 1)

    @property
    def ready_seq(self) -> int:
        """Every event up to here may be told."""
        with self._lock:
            return self._ready_seq()

    @property
    def _first_deferred(self) -> int:
        return self._deferred[0].seq if self._deferred else self._kept_seq + 1

    def _ready_seq(self) -> int:
        ready_seq = self._kept_seq
        for event in self._unkept():
            harmless = event.rank is Rank.LOW and event.seq not in self._of_steps
            if not harmless or event.seq > self._kept_seq + UNKEPT_MAX:
                return min(ready_seq, event.seq - 1)
            ready_seq = max(ready_seq, event.seq)
        return ready_seq

    def _unkept(self) -> list[LoggedEvent]:
        """What is in memory only, in order."""
        return sorted((*self._leaving.values(), *self._deferred), key=lambda event: event.seq)

    @property
    def waiting(self) -> int:
        """Events that wait in memory for the disk."""
        return len(self._deferred)

    @property
    def state(self) -> LogState:
        with self._lock:  # what a step was numbered that the disk refused was never anything to tell
            last_seq = max(self._kept_seq, self._deferred[-1].seq if self._deferred else 0)
        return LogState(
            waiting=max(0, last_seq - self.delivered_seq),
            unkept=len(self._deferred),
            first=self.first_seq,
            last=self._last_seq,
            delivered=self.delivered_seq,
            lost=self.lost,
            oldest_at=self.oldest_at if last_seq > self.delivered_seq else None,
        )

    def number(self, happenings: Sequence[Happening]) -> tuple[LoggedEvent, ...]:
        """Each under the next number."""
        found = []
        for happening in happenings:
            self._last_seq += 1
            text = document_of(happening, boot=self.boot, seq=self._last_seq, policy=self._policy, salt=self._salt)
            at = happening.at if happening.synchronized else None
            found.append(LoggedEvent(seq=self._last_seq, at=at, rank=happening.rank, text=text))
        return tuple(found)

    # --- what a station that is seen contains

    def stepped(self, after: Station, events: Sequence[LoggedEvent]) -> None:
        """These are the events of the step that has led to `after`, which is seen once the step is kept."""
        if events:
            self._steps[after.identity.id] = (after, events[0].seq)
        else:
            self._steps.pop(after.identity.id, None)

    def as_of(self, station: Station) -> int:
        """The last number whose event, where it is this station's, is contained in it."""
        latest = self._steps.get(station.identity.id)
        if latest is None or latest[0] is station:
            return self._last_seq
        return latest[1] - 1  # the step is on its way to the disk, or was not kept

    def delivered(self, seq: int) -> None:
        """The broker has every event up to this number."""
        if seq > self.delivered_seq:
            self.delivered_seq = seq
            if self.is_far:
                self.on_delivered()

    def delivery_kept(self, seq: int | None) -> None:
        """The disk knows that the broker has them up to this number."""
        if seq is not None:
            self.delivered_kept_seq = max(seq, self.delivered_kept_seq)

    @property
    def is_behind(self) -> bool:
        """Whether how far the broker is should go along with a commit that comes anyway."""
        return self.delivered_seq - self.delivered_kept_seq >= REPEATED_AT_MOST // 4

    @property
    def is_far(self) -> bool:
        """Whether the disk must be told soon how far the broker is."""
        return self.delivered_seq - self.delivered_kept_seq >= REPEATED_AT_MOST // 2

    # --- on the way to the disk

    def defer(self, events: Sequence[LoggedEvent], now_s: float) -> None:
        """They can wait for a commit, at least until they are `due`."""
        if not events:
            return
        with self._lock:
            self._deferred.extend(events)
            self._since_s.update((event.seq, now_s) for event in events)
            self._bound()
        self.on_kept()

    def hurry(self) -> None:
        """The disk was written just now: what follows at once costs little."""
        with self._lock:
            self._hurries = bool(self._deferred)

    def due(self, now_s: float) -> bool:
        """Whether what waits is worth a commit of its own: it matters, or the broker does not have it either, or it
        keeps others from being told, or has waited for long."""
        with self._lock:
            if self._deferred and (self._hurries or len(self._deferred) >= UNKEPT_MAX // 2):
                return True
            return any(
                event.rank is not Rank.LOW
                or now_s - self._since_s.get(event.seq, 0.0)
                >= (TOLD_S if event.seq <= self.delivered_seq else UNTOLD_S)
                for event in self._deferred
            )

    def take(self, events: Sequence[LoggedEvent] = ()) -> tuple[LoggedEvent, ...]:
        """All that waits, for a commit, together with a step's own `events`, which have not happened before that is
        done: `kept` or `give_back` follows."""
        with self._lock:
            self._hurries = False
            taken = tuple(self._deferred)
            self._deferred.clear()
            self._leaving.update((event.seq, event) for event in (*taken, *events))
            self._of_steps.update(event.seq for event in events)
        return taken

    def give_back(self, events: Sequence[LoggedEvent], dropped: Sequence[LoggedEvent] = ()) -> None:
        """The commit failed: they wait again, in their order among those that have come since. `dropped`: happened in
        a step that is none."""
        with self._lock:
            self._left((*events, *dropped))
            self._deferred = deque(sorted((*events, *self._deferred), key=lambda event: event.seq))
            self._bound()

    def kept(self, events: Sequence[LoggedEvent]) -> None:
        """They are on the disk and may be told."""
        if not events:
            return
        with self._lock:
            self._left(events)
            for event in events:
                self._since_s.pop(event.seq, None)
            if events[0].seq <= self._kept_seq:  # they come late, after a commit that failed
                self._tail.clear()
            else:
                if self._tail and events[0].seq != self._kept_seq + 1:
                    self._tail.clear()
                self._tail.extend(events)
            self.first_seq = min(self.first_seq, events[0].seq) or events[0].seq
            self._kept_seq = max(self._kept_seq, events[-1].seq)
        self.on_kept()

    def _left(self, events: Sequence[LoggedEvent]) -> None:
        for event in events:
            self._leaving.pop(event.seq, None)
            self._of_steps.discard(event.seq)

    def at_hand(self, after_seq: int, limit: int) -> tuple[LoggedEvent, ...] | None:
        """The oldest events after that number that may be told; None where the disk must be asked for them."""
        with self._lock:
            until_seq = self._ready_seq()
            if after_seq >= until_seq:
                return ()
            known = self._unkept()
            if self._tail and self._tail[0].seq <= after_seq + 1:
                known = sorted((*self._tail, *known), key=lambda event: event.seq)
            elif after_seq < self._kept_seq:
                return None
            return tuple(event for event in known if after_seq < event.seq <= until_seq)[:limit]

    def told_first(self) -> tuple[int, tuple[LoggedEvent, ...]]:
        """How far the disk has everything, and what may be told of behind that although it is not there yet."""
        with self._lock:
            until_seq, kept_seq = self._ready_seq(), self._kept_seq
            unkept = tuple(event for event in self._unkept() if event.seq <= until_seq)
        return (min(kept_seq, unkept[0].seq - 1) if unkept else min(kept_seq, until_seq)), unkept

    # --- losses

    def lose(self, gap: Gap) -> None:
        """Events had to go before anybody was told them."""
        with self._lock:
            self._lose(gap)

    def take_gap(self) -> Gap | None:
        """All losses since the last call, to be told once."""
        with self._lock:
            gap, self._gap = self._gap, None
        return gap

    def _lose(self, gap: Gap) -> None:
        self.lost += gap.count
        self._gap = gap.with_(self._gap)

    def _bound(self) -> None:
        while len(self._deferred) > MAX_DEFERRED:
            least = min(self._deferred, key=lambda event: (event.rank, event.seq))
            self._deferred.remove(least)
            self._since_s.pop(least.seq, None)
            if least.seq > self.delivered_seq:
                self._lose(Gap(from_seq=least.seq, to_seq=least.seq, count=1))
