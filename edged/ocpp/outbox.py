"""The rules of the durable queue: order, one message in flight, retry, parking. The rows themselves are on disk.

Owns: which row of a lane may leave now, and what a failure means. Refuses to know: storage, encoding, sockets, clocks.
Invariants: rows of a lane leave in the order of `seq` · at most one row of a lane is in flight · a lane that waits for
a retry lets nothing pass and holds no other lane up · every row ends delivered or parked, never both · a row of a lane
with guaranteed delivery is never parked · nothing passes a row that the disk still has, for a restart would send it
again behind what passed · at most `window` rows of a lane are in memory.

The caller commits a row to disk before `add`, and takes it from disk before `gone`. Misuse raises `LocalProtocolError`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from edged.ocpp.framing import LocalProtocolError

BEFORE_ALL: Final = -1
GUARANTEED_MIN_S: Final = 30.0
GUARANTEED_MAX_S: Final = 3600.0
_MOST_DOUBLINGS: Final = 10


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One durable message. `seq` (0 or more) orders it; `attempts` counts the transmissions that failed."""

    seq: int
    lane: str
    record: Any
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The row is sent again from `at_s` on; `row` carries the new number of attempts, worth keeping on disk."""

    row: OutboxRow
    at_s: float


@dataclass(frozen=True, slots=True)
class Parked:
    """All attempts are used up: the row goes once the disk has forgotten it (`gone`)."""

    row: OutboxRow


class Refill(Protocol):
    """Reads a lane's rows from disk: those with a `seq` above `after_seq`, ascending, `limit` at most."""

    def __call__(self, *, lane: str, after_seq: int, limit: int) -> Sequence[OutboxRow]: ...


@dataclass(slots=True)
class _Lane:
    rows: deque[OutboxRow] = field(default_factory=deque)
    last_seq: int = BEFORE_ALL  # of the youngest row that was ever in memory
    more_on_disk: bool = True
    in_flight: bool = False  # the head
    not_before_s: float | None = None  # of the head


class Outbox:
    """Queues in lanes. `attempts` and `interval_s` are asked at each failure (1.6 TransactionMessageAttempts and
    TransactionMessageRetryInterval, 16-TX-07); fewer than one attempt counts as one. A lane needs no announcement: its
    first `next` reads it from disk. Rows of `guaranteed` lanes are tried for ever, at intervals that double up to an
    hour (16-J-33).
    """

    def __init__(
        self,
        attempts: Callable[[], int],
        interval_s: Callable[[], float],
        refill: Refill,
        *,
        window: int = 64,
        guaranteed: Collection[str] = (),
    ) -> None:
        if window < 1:
            raise LocalProtocolError("a window holds at least one row")
        self._attempts = attempts
        self._interval_s = interval_s
        self._refill = refill
        self._window = window
        self._guaranteed = frozenset(guaranteed)
        self._lanes: dict[str, _Lane] = {}

    def load(self, rows: Iterable[OutboxRow]) -> None:
        """Start again from the oldest rows of the disk, in order; what does not fit is read later."""
        self._lanes.clear()
        for row in rows:
            lane = self._lane(row.lane)
            if row.seq <= lane.last_seq:
                raise LocalProtocolError("rows to load are not in order")
            if len(lane.rows) < self._window:
                self._append(lane, row)

    def add(self, row: OutboxRow) -> None:
        """A row was committed. One that a refill has brought in already is not taken twice."""
        lane = self._lane(row.lane)
        if lane.more_on_disk or row.seq <= lane.last_seq:
            return  # in its turn it is read from disk, or has been
        if len(lane.rows) >= self._window:
            lane.more_on_disk = True
            return
        self._append(lane, row)

    def next(self, now_s: float, lane: str) -> OutboxRow | None:
        """The row to send now, if this lane is free and its head need not wait. Tell `sending` when it goes."""
        queue = self._lane(lane)
        if queue.in_flight:
            return None
        if not queue.rows and queue.more_on_disk:
            self._read(lane, queue)
        if not queue.rows or (queue.not_before_s is not None and now_s < queue.not_before_s):
            return None
        return queue.rows[0]

    def sending(self, seq: int) -> None:
        """The head of its lane is on its way."""
        for queue in self._lanes.values():
            if queue.rows and queue.rows[0].seq == seq:
                if queue.in_flight:
                    raise LocalProtocolError("the row is in flight already")
                queue.in_flight = True
                return
        raise LocalProtocolError("only the head of a lane may be sent")

    def gone(self, seq: int) -> OutboxRow:
        """The CSMS has answered or the row is parked, and the disk has forgotten it: the next one goes on."""
        queue = self._flying(seq)
        queue.in_flight = False
        queue.not_before_s = None
        return queue.rows.popleft()

    def failed(self, seq: int, now_s: float) -> Parked | RetryAt:
        """A CALLERROR or a time-out: that was a transmission. Wait `interval_s` x transmissions, or give the row up."""
        queue = self._flying(seq)
        row = replace(queue.rows[0], attempts=queue.rows[0].attempts + 1)
        guaranteed = row.lane in self._guaranteed
        queue.rows[0] = row
        if row.attempts >= self._attempts() and not guaranteed:
            return Parked(row)
        queue.in_flight = False
        at_s = now_s + (_patience_s(row.attempts) if guaranteed else max(0.0, self._interval_s()) * row.attempts)
        queue.not_before_s = at_s
        return RetryAt(row, at_s)

    def forget(self, seq: int) -> None:
        """The disk has forgotten a row, for whatever reason: `gone` where it is on its way, else it is not sent."""
        if self.in_flight(seq):
            self.gone(seq)
            return
        for queue in self._lanes.values():
            for row in queue.rows:
                if row.seq == seq:
                    if row is queue.rows[0]:
                        queue.not_before_s = None
                    queue.rows.remove(row)
                    return

    def in_flight(self, seq: int) -> bool:
        """Whether this row is on its way."""
        return any(queue.in_flight and queue.rows[0].seq == seq for queue in self._lanes.values())

    def unsent(self, seq: int) -> None:
        """The line was lost, or the CSMS was not ready for it: the row stays the head, no attempt is counted."""
        self._flying(seq).in_flight = False

    def _lane(self, name: str) -> _Lane:
        return self._lanes.setdefault(name, _Lane())

    def _flying(self, seq: int) -> _Lane:
        for queue in self._lanes.values():
            if queue.in_flight and queue.rows[0].seq == seq:
                return queue
        raise LocalProtocolError("this row is not in flight")

    @staticmethod
    def _append(queue: _Lane, row: OutboxRow) -> None:
        queue.rows.append(row)
        queue.last_seq = row.seq

    def _read(self, name: str, queue: _Lane) -> None:
        rows = self._refill(lane=name, after_seq=queue.last_seq, limit=self._window)
        for row in rows:
            if row.lane != name or row.seq <= queue.last_seq:
                raise LocalProtocolError("the disk gave rows of another lane or out of order")
            self._append(queue, row)
        queue.more_on_disk = len(rows) >= self._window


def _patience_s(attempts: int) -> float:
    """The wait of a row that is never given up."""
    return min(GUARANTEED_MIN_S * 2.0 ** min(attempts - 1, _MOST_DOUBLINGS), GUARANTEED_MAX_S)
