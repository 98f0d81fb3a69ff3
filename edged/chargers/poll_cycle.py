"""How long a line takes to hear of everybody once. No I/O and no clock of its own.

A cycle is the time in which every online unit had at least one status read since the cycle began. It begins where the
one before it ended, and its members are the units that are online then and were read for their status at least twice
before. A unit that falls silent, or that nobody reads any more, is not waited for. A charger may need several reads for
its status: then the same one of them counts each time, so that a cycle is a whole round and not a half.

Owns: what was read for a status and when. Refuses to know: lines, why a unit is read, how often it should be.
Invariant: memory is bounded by the number of units; nothing is judged from a time in which the line was down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

SAMPLES = 256
MAX_OTHERS = 64
LONGEST_INTERVAL_S = 300.0
PATIENCE_S = 60.0
"""A unit that was not read for so long, and four times its own interval, is not waited for."""


@dataclass(slots=True, eq=False)
class _Polled:
    """One unit's status reads. `marker`: the read that counts; `others`: those that came since it came last."""

    marker: Hashable
    last_at: float
    interval_s: float | None = None
    others: set[Hashable] = field(default_factory=set)

    @property
    def patience_s(self) -> float:
        return PATIENCE_S + 4 * (self.interval_s or 0.0)


class PollCycles:
    """The cycles of one line. `is_online`: whether a unit is to be waited for."""

    def __init__(self, is_online: Callable[[int], bool]) -> None:
        self._is_online = is_online
        self._polled: dict[int, _Polled] = {}
        self._began: float | None = None
        self._pending: set[int] = set()
        self._served = 0
        self._ended: deque[tuple[float, float]] = deque(maxlen=SAMPLES)

    def read(self, unit_id: int, request: Hashable, now: float) -> None:
        """A status read of that unit was answered."""
        polled = self._polled.get(unit_id)
        if polled is None:
            self._polled[unit_id] = _Polled(request, now)
            return
        if request != polled.marker:
            if request not in polled.others and len(polled.others) < MAX_OTHERS:
                polled.others.add(request)
                return
            polled.marker = request  # twice since the marker: that one is read no more, or more seldom
        polled.others.clear()
        was_away = now - polled.last_at > polled.patience_s
        polled.interval_s = min(LONGEST_INTERVAL_S, now - polled.last_at)
        polled.last_at = now
        if self._began is None or was_away:
            self._begin(now)
        else:
            self._turn(unit_id, now, self._began)

    def interrupted(self) -> None:
        """The line was lost: what has begun is no cycle."""
        self._began = None
        self._pending.clear()

    def lengths(self, since: float) -> list[float]:
        """Seconds of the last `SAMPLES` cycles that ended after that moment."""
        return [seconds for ended, seconds in self._ended if ended > since]

    def _turn(self, unit_id: int, now: float, began: float) -> None:
        if unit_id in self._pending:
            self._pending.remove(unit_id)
            self._served += 1
        if any(self._is_awaited(unit, now) for unit in self._pending):
            return
        if self._served:
            self._ended.append((now, now - began))
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._began = now
        self._served = 0
        self._pending = {
            unit
            for unit, polled in self._polled.items()
            if polled.interval_s is not None and self._is_awaited(unit, now)
        }

    def _is_awaited(self, unit_id: int, now: float) -> bool:
        polled = self._polled[unit_id]
        return self._is_online(unit_id) and now - polled.last_at <= polled.patience_s
