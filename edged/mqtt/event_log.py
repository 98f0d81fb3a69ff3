"""The numbered log of what happened: gives numbers, says what may be told already, knows how far the broker has it.

Owns the order. Refuses to know: disks and brokers (`EventReader` reads, glue writes, `outbox` sends).
Invariants: numbers rise by one in the order in which things happened · nothing is told before it is on the disk, so a
number never means two things · what waits in memory is bounded: of what matters least the oldest goes first, and its
number with it, which `lost` counts.

`number`, `defer` and `take_deferred` are called on the event loop; `kept` and `give_back` on whatever thread commits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from edged.mqtt.events import Happening, Rank, document_of
from edged.mqtt.options import IdTokenPolicy

MAX_DEFERRED: Final = 1_000
REPEATED_AT_MOST: Final = 40
"""So many events may be told a second time after a crash."""
TAIL: Final = 256
"""So many of the latest events are at hand without a look at the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """One event under its number. `text`: its document as JSON, without `replayed`."""

    seq: int
    at: datetime
    rank: Rank
    text: str = field(repr=False)


Tell = Callable[[Sequence[LoggedEvent] | None], None]
"""Where events go that were read; None: the disk cannot be read."""


class EventReader(Protocol):
    """Reads what was kept. Returns at once; `tell` is called later, on the event loop."""

    def read(self, after_seq: int, limit: int, tell: Tell) -> None: ...


class EventLog:
    """One for the gateway. `last_seq` and `delivered_seq` as a former run has left them.

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
        on_kept: Callable[[], None] = lambda: None,
        on_delivered: Callable[[], None] = lambda: None,
    ) -> None:
        self.boot = boot
        self.on_kept = on_kept
        self.on_delivered = on_delivered
        self.first_seq = first_seq
        self.kept_seq = last_seq
        self.delivered_seq = self.delivered_kept_seq = min(delivered_seq, last_seq)
        self.lost = 0
        self._policy = policy
        self._salt = salt
        self._last_seq = last_seq
        self._deferred: deque[LoggedEvent] = deque()
        self._tail: deque[LoggedEvent] = deque(maxlen=TAIL)
        self._lock = threading.Lock()

    @property
    def last_seq(self) -> int:
        """The latest number given, kept already or not."""
        return self._last_seq

    @property
    def waiting(self) -> int:
        """Events in memory that are on no disk yet."""
        return len(self._deferred)

    def number(self, happenings: Sequence[Happening]) -> tuple[LoggedEvent, ...]:
        """Each under the next number."""
        found = []
        for happening in happenings:
            self._last_seq += 1
            text = document_of(happening, boot=self.boot, seq=self._last_seq, policy=self._policy, salt=self._salt)
            found.append(LoggedEvent(seq=self._last_seq, at=happening.at, rank=happening.rank, text=text))
        return tuple(found)

    def delivered(self, seq: int) -> None:
        """The broker has every event up to this number."""
        if seq > self.delivered_seq:
            self.delivered_seq = seq
            if seq - self.delivered_kept_seq >= REPEATED_AT_MOST // 2:
                self.on_delivered()

    # --- on the way to the disk

    def defer(self, events: Sequence[LoggedEvent]) -> None:
        """They can wait a moment for the next commit."""
        with self._lock:
            self._deferred.extend(events)
            self._bound()

    def take_deferred(self) -> tuple[LoggedEvent, ...]:
        """All that waits, for a commit: `kept` or `give_back` follows."""
        with self._lock:
            taken = tuple(self._deferred)
            self._deferred.clear()
        return taken

    def give_back(self, events: Sequence[LoggedEvent]) -> None:
        """The commit failed: they wait again, before what has come since."""
        with self._lock:
            self._deferred.extendleft(reversed(events))
            self._bound()

    def kept(self, events: Sequence[LoggedEvent]) -> None:
        """They are on the disk and may be told."""
        if not events:
            return
        with self._lock:
            if self._tail and events[0].seq != self._tail[-1].seq + 1:
                self._tail.clear()
            self._tail.extend(events)
            self.first_seq = self.first_seq or events[0].seq
            self.kept_seq = max(self.kept_seq, events[-1].seq)
        self.on_kept()

    def at_hand(self, after_seq: int, limit: int) -> tuple[LoggedEvent, ...] | None:
        """The oldest kept events after that number; None where the disk must be asked for them."""
        if after_seq >= self.kept_seq:
            return ()
        with self._lock:
            if not self._tail or self._tail[0].seq > after_seq + 1:
                return None
            return tuple(event for event in self._tail if event.seq > after_seq)[:limit]

    def _bound(self) -> None:
        while len(self._deferred) > MAX_DEFERRED:
            least = min(self._deferred, key=lambda event: (event.rank, event.seq))
            self._deferred.remove(least)
            self.lost += 1
