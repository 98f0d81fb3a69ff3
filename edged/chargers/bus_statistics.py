"""What a line has done: counters, shares of the last minute and percentiles, as a frozen snapshot.

Every figure is defined at `BusStatistics`. Owns: counting and the windows. Refuses to know: how a line is served, what
is spoken on it beyond a request's length, the wall clock. Times are moments of the caller.

Invariants: memory is bounded whatever the line does (a slot a second for the shares, `SAMPLES` for percentiles); what
is older than its window is forgotten; a transaction costs a handful of additions, percentiles are made when asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from edged.chargers.job_queue import Job, Priority
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import Read, rtu_reply_length
from edged.chargers.moments import moment
from edged.chargers.poll_cycle import PollCycles
from edged.chargers.unit_health import UnitHealth, UnitState, UnitStatistics

WINDOW_S = 60
"""Of the shares."""
SAMPLED_S = 300.0
"""Of percentiles and longest times."""
SAMPLES = 256
ENOUGH_TRANSACTIONS = 16
_WAIT_SLOT_S = 10.0
_WAIT_SLOTS = int(SAMPLED_S / _WAIT_SLOT_S)


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
class WaitStatistics:
    """How long requests of one class waited for their turn, seconds, within the last `SAMPLED_S`.

    p50 and p95 are of the last `SAMPLES` of them, `longest_s` is of all; None where there was none.
    """

    p50_s: float | None
    p95_s: float | None
    longest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BusStatistics:
    """Counters are since the start. Shares (0..1) are of the last `WINDOW_S`, or of the time since the first request.

    `is_open`: also where a network's connection has served, was ended by the other side and is made anew when needed.
    `in_state_s`: seconds since the line was opened, or since it is down; None before it was first used.
    `utilisation`: time in which nothing else could be sent, the pauses that must be kept between frames included.
    `failed_share`: its part for requests that nobody answered validly; `dead_share`: of those, to units known as dead.
    `efficiency`: of the wire's limit. The least possible time of the transactions that brought what was asked for
    (`least_s` at `Recorder`), by the time that the line was busy with them, pauses included. The turnaround in it is
    the measured one, so it tells what is lost between the frames, not how slow units are. `wire_efficiency`: the same
    with units that would answer at once, after the silence that is the law. None on a network, which has no such limit,
    and below `ENOUGH_TRANSACTIONS` in the window.
    `cycle_p50_s`, `cycle_p95_s`: see `poll_cycle`; within the last `SAMPLED_S`.
    `strays`: how often bytes came that were no answer to anything, over all openings of the line.
    `waits`: by class of priority, those that were served within the last `SAMPLED_S`.
    `device`: what a serial port's name led to when it was last opened, empty before. `latency_timer_ms`: how long its
    adapter keeps the end of an answer back; None where it does not say.
    """

    is_open: bool
    down_reason: str
    in_state_s: float | None
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
    failed_share: float
    dead_share: float
    efficiency: float | None
    wire_efficiency: float | None
    cycle_p50_s: float | None
    cycle_p95_s: float | None
    waits: Mapping[str, WaitStatistics]
    longest_wait_s: Mapping[str, float]
    units: Mapping[int, UnitStatistics]
    device: str = ""
    latency_timer_ms: int | None = None


@dataclass(slots=True, eq=False)
class _Second:
    """What was done in one second of the last minute, times by the moment of their end."""

    number: int = -1
    busy_s: float = 0.0
    failed_s: float = 0.0
    dead_s: float = 0.0
    good: int = 0
    good_s: float = 0.0
    least_s: float = 0.0
    wire_s: float = 0.0


class _Waits:
    """One class: the last waits, and the longest of each ten seconds."""

    __slots__ = ("_longest", "_numbers", "_samples")

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self._numbers = [-1] * _WAIT_SLOTS
        self._longest = [0.0] * _WAIT_SLOTS

    def add(self, seconds: float, now: float) -> None:
        self._samples.append((now, seconds))
        number = int(now / _WAIT_SLOT_S)
        place = number % _WAIT_SLOTS
        if self._numbers[place] != number:
            self._numbers[place] = number
            self._longest[place] = seconds
        elif seconds > self._longest[place]:
            self._longest[place] = seconds

    def statistics(self, now: float) -> WaitStatistics | None:
        oldest = max(-1, int(now / _WAIT_SLOT_S) - _WAIT_SLOTS)
        longest = [s for number, s in zip(self._numbers, self._longest, strict=True) if number > oldest]
        if not longest:
            return None
        samples = sorted(seconds for at, seconds in self._samples if at > now - SAMPLED_S)
        return WaitStatistics(p50_s=percentile(samples, 0.5), p95_s=percentile(samples, 0.95), longest_s=max(longest))


class Recorder:
    """Collects what the worker of a line does. `spec` None: a line without a wire's limit. `units`: the line's own.

    The order of a request is `begins`, then for each attempt `answered` where it brought what was asked for, and
    `transaction`. A worker that has no Modbus jobs says `waited` and `turnaround` instead of the first two.

    `least_s` of a transaction on a serial line: its characters, the unit's turnaround but at least the silence t3.5,
    and the pause that had to be kept since the frame before. Its busy time begins with that pause: at the end of the
    frame before where a request was waiting by then, otherwise so that the pause ended when there was one.
    """

    def __init__(self, spec: BusSpec | None = None, units: Mapping[int, UnitHealth] | None = None) -> None:
        self.opened = self.lost = self.retries = self.expired = self.refused = 0
        is_wire = spec is not None and spec.kind is LineKind.SERIAL
        self._character_s = spec.character_s if spec is not None and is_wire else 0.0
        self._silence_s = spec.silence_s if spec is not None and is_wire else 0.0
        self._units: Mapping[int, UnitHealth] = {} if units is None else units
        self._started_at: float | None = None
        self._since: float | None = None
        self._strays = 0
        self._retries: dict[int, int] = {}
        self._turnarounds: deque[float] = deque(maxlen=SAMPLES)
        self._seconds = [_Second() for _ in range(WINDOW_S + 1)]
        self._waits = {priority: _Waits() for priority in Priority}
        self._cycles = PollCycles(self._is_online)
        self._ended_at = 0.0
        self._gap_s = self._silence_s
        self._asked_at: float | None = None
        self._was_dead = False
        self._answer: tuple[Job, float] | None = None

    # --- the line

    def line_opened(self, now: float) -> None:
        self.opened += 1
        self._since = self._ended_at = now
        self._gap_s = self._silence_s

    def line_lost(self, now: float) -> None:
        """It was open until now."""
        self.lost += 1
        self._since = now
        self._cycles.interrupted()

    def line_down(self, now: float) -> None:
        """It could not be opened, for the first time or once more."""
        if self._since is None:
            self._since = now

    def line_closed(self, strays: int) -> None:
        """What the line has counted goes with it."""
        self._strays += strays

    # --- a request

    def begins(self, job: Job, unit: UnitHealth, now: float) -> None:
        """It is its turn."""
        self._waits[job.priority].add(now - job.queued_at, now)
        self._asked_at = job.queued_at
        self._was_dead = unit.state is UnitState.DEAD

    def waited(self, priority: Priority, seconds: float, unit: UnitHealth) -> None:
        self._waits[priority].add(seconds, moment())
        self._was_dead = unit.state is UnitState.DEAD

    def retried(self, unit_id: int) -> None:
        self.retries += 1
        self._retries[unit_id] = self._retries.get(unit_id, 0) + 1

    def answered(self, job: Job, turnaround_s: float) -> None:
        """The attempt that ends with the next `transaction` brought what was asked for."""
        self._turnarounds.append(turnaround_s)
        self._answer = (job, turnaround_s)

    def turnaround(self, seconds: float, status: tuple[int, Hashable] | None = None) -> None:
        """`status`: the unit whose state was asked for, and what was asked."""
        self._turnarounds.append(seconds)
        if status is not None:
            self._cycles.read(*status, moment())

    def transaction(self, started: float, ended: float, *, unit: UnitHealth | None = None, gap_s: float = 0.0) -> None:
        """An attempt is over and the line is quiet. `gap_s`: the pause that must follow; `unit.ready_at` must still be
        what it was before."""
        if self._started_at is None:
            self._started_at = started
        answer, self._answer = self._answer, None
        began = started
        if unit is not None:
            asked_at = started if self._asked_at is None else self._asked_at
            began = min(started, max(self._ended_at, max(asked_at, unit.ready_at) - self._gap_s))
        busy_s = max(0.0, ended - began)
        second = self._second(ended)
        second.busy_s += busy_s
        if answer is not None:
            self._good(second, answer, busy_s, ended)
        elif unit is not None and (unit.last_answer_at is None or unit.last_answer_at < started):
            second.failed_s += busy_s
            if self._was_dead:
                second.dead_s += busy_s
        self._ended_at, self._gap_s = ended, gap_s

    def _good(self, second: _Second, answer: tuple[Job, float], busy_s: float, ended: float) -> None:
        job, turnaround_s = answer
        request = job.request
        if self._character_s:
            frames = len(request.pdu) + 3 + rtu_reply_length(request)
            frames_s = frames * self._character_s + self._gap_s
            second.good += 1
            second.good_s += busy_s
            second.wire_s += frames_s + self._silence_s
            second.least_s += frames_s + max(turnaround_s, self._silence_s)
        if job.priority is Priority.STATUS and isinstance(request, Read):
            self._cycles.read(job.unit_id, request, ended)

    def _second(self, now: float) -> _Second:
        number = int(now)
        place = number % len(self._seconds)
        second = self._seconds[place]
        if second.number != number:
            second = self._seconds[place] = _Second(number)
        return second

    def _is_online(self, unit_id: int) -> bool:
        unit = self._units.get(unit_id)
        return unit is not None and unit.state is UnitState.ONLINE

    # --- what it comes to

    def snapshot(
        self,
        *,
        wire: OpenLine | None,
        down_reason: str,
        queue: Waiting,
        units: Mapping[int, UnitStatistics],
        now: float | None = None,
    ) -> BusStatistics:
        """`now` None: the time of the running loop."""
        at = moment() if now is None else now
        shares = self._shares(at)
        cycles = sorted(self._cycles.lengths(at - SAMPLED_S))
        turnarounds = sorted(self._turnarounds)
        found = {priority.name.lower(): waits.statistics(at) for priority, waits in self._waits.items()}
        waits = {name: told for name, told in found.items() if told is not None}
        return BusStatistics(
            is_open=wire is not None,
            down_reason=down_reason,
            in_state_s=None if self._since is None else max(0.0, at - self._since),
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
            strays=self._strays + (wire.strays if wire is not None else 0),
            queued=len(queue),
            turnaround_p50_s=percentile(turnarounds, 0.5),
            turnaround_p95_s=percentile(turnarounds, 0.95),
            utilisation=shares.utilisation,
            failed_share=shares.failed,
            dead_share=shares.dead,
            efficiency=shares.efficiency,
            wire_efficiency=shares.wire_efficiency,
            cycle_p50_s=percentile(cycles, 0.5),
            cycle_p95_s=percentile(cycles, 0.95),
            waits=waits,
            longest_wait_s={name: told.longest_s for name, told in waits.items()},
            units={unit_id: replace(unit, retries=self._retries.get(unit_id, 0)) for unit_id, unit in units.items()},
        )

    def _shares(self, now: float) -> _Shares:
        """Whole seconds and the one that runs: the window is up to a second longer than `WINDOW_S`."""
        oldest = int(now) - WINDOW_S
        window = [second for second in self._seconds if second.number >= oldest]
        began = max(float(oldest), now if self._started_at is None else self._started_at)
        span = max(1e-3, now - began)
        good = sum(second.good for second in window)
        good_s = sum(second.good_s for second in window)
        enough = good >= ENOUGH_TRANSACTIONS and good_s > 0
        return _Shares(
            utilisation=min(1.0, sum(second.busy_s for second in window) / span),
            failed=min(1.0, sum(second.failed_s for second in window) / span),
            dead=min(1.0, sum(second.dead_s for second in window) / span),
            efficiency=min(1.0, sum(second.least_s for second in window) / good_s) if enough else None,
            wire_efficiency=min(1.0, sum(second.wire_s for second in window) / good_s) if enough else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shares:
    utilisation: float
    failed: float
    dead: float
    efficiency: float | None
    wire_efficiency: float | None


def percentile(ordered: Sequence[float], fraction: float) -> float | None:
    """The one of sorted values that this fraction of them lies below; None where there is none."""
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] if ordered else None
