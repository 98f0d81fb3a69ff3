"""What a line has done: counters and percentiles, as a frozen snapshot for status pages and tests."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from edged.chargers.job_queue import Priority
from edged.chargers.moments import moment
from edged.chargers.unit_health import UnitStatistics

WINDOW_S = 60.0
SAMPLES = 256


class OpenLine(Protocol):
    """A line that is open, whatever is spoken on it."""

    @property
    def strays(self) -> int: ...


class Waiting(Protocol):
    """What waits for the line."""

    @property
    def superseded(self) -> int: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BusStatistics:
    """Counters since the start, percentiles of the last `SAMPLES`, utilisation (0..1) of the last minute."""

    is_open: bool
    down_reason: str
    opened: int
    lost: int
    requests: int
    timeouts: int
    crc_errors: int
    protocol_errors: int
    exceptions: int
    retries: int
    expired: int
    refused: int
    superseded: int
    strays: int
    queued: int
    turnaround_p50_s: float | None
    turnaround_p95_s: float | None
    utilisation: float
    longest_wait_s: Mapping[str, float]
    units: Mapping[int, UnitStatistics]


class Recorder:
    """Collects what the worker does."""

    def __init__(self) -> None:
        self.opened = self.lost = self.retries = self.expired = self.refused = 0
        self._started_at: float | None = None
        self._turnarounds: deque[float] = deque(maxlen=SAMPLES)
        self._busy: deque[tuple[float, float]] = deque(maxlen=8192)
        self._waits: dict[Priority, deque[float]] = {priority: deque(maxlen=SAMPLES) for priority in Priority}

    def turnaround(self, seconds: float) -> None:
        self._turnarounds.append(seconds)

    def transaction(self, started: float, ended: float) -> None:
        if self._started_at is None:
            self._started_at = started
        self._busy.append((ended, ended - started))

    def waited(self, priority: Priority, seconds: float) -> None:
        self._waits[priority].append(seconds)

    def snapshot(
        self,
        *,
        wire: OpenLine | None,
        down_reason: str,
        queue: Waiting,
        units: Mapping[int, UnitStatistics],
    ) -> BusStatistics:
        now = moment()
        began = now if self._started_at is None else self._started_at
        span = min(WINDOW_S, max(1e-3, now - began))
        ordered = sorted(self._turnarounds)
        return BusStatistics(
            is_open=wire is not None,
            down_reason=down_reason,
            opened=self.opened,
            lost=self.lost,
            requests=sum(unit.requests for unit in units.values()),
            timeouts=sum(unit.timeouts for unit in units.values()),
            crc_errors=sum(unit.crc_errors for unit in units.values()),
            protocol_errors=sum(unit.protocol_errors for unit in units.values()),
            exceptions=sum(unit.exceptions for unit in units.values()),
            retries=self.retries,
            expired=self.expired,
            refused=self.refused,
            superseded=queue.superseded,
            strays=wire.strays if wire is not None else 0,
            queued=len(queue),
            turnaround_p50_s=ordered[len(ordered) // 2] if ordered else None,
            turnaround_p95_s=ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))] if ordered else None,
            utilisation=min(1.0, sum(busy for ended, busy in self._busy if ended > now - span) / span),
            longest_wait_s={p.name.lower(): max(waits) for p, waits in self._waits.items() if waits},
            units=units,
        )
