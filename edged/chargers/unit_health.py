"""Whether a unit on a line is alive, how long to wait for it, when to try again. No clock of its own.

Owns: online -> suspect -> dead with back-off, the adaptive timeout, one unit's counters.
Refuses to know: lines and requests. Times are moments of the caller.

Invariants: any valid frame, an exception reply included, makes the unit online; a dead unit is tried at most once per
back-off interval (doubling from 1 s, never beyond 60 s, with jitter so that several do not come together).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from random import Random

FIRST_TIMEOUT_S, SHORTEST_TIMEOUT_S, LONGEST_TIMEOUT_S = 0.5, 0.1, 1.0
NETWORK_FIRST_S, NETWORK_SHORTEST_S, NETWORK_LONGEST_S = 2.0, 0.5, 3.0
"""A network is never paced by silence, may lose a segment, and its late replies cost nobody else anything."""
SAMPLES = 64
ENOUGH_SAMPLES = 5
FAILURES_UNTIL_DEAD = 3
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 1.0, 60.0
JITTER = 0.2
SHORTEST_WINDOW_S = 0.05
LATE_LIMIT_S, LONGEST_LATE_LIMIT_S = 1.0, 5.0
"""No unit is expected to answer later than this, or than twice its slowest turnaround, after a request; who has ever
been heard to answer later, later than twice that."""


class UnitState(StrEnum):
    ONLINE = "online"
    SUSPECT = "suspect"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatistics:
    """One unit's counters since the bus was started; times in seconds, None before the first answer.

    `timeout_s`: how long it is waited for now. `backoff_s`: how long it is left alone between two tries, 0 unless dead;
    `next_try_s`: until the next of them, None unless dead. `last_answer_s`: since its last valid frame.
    """

    state: UnitState
    requests: int
    timeouts: int
    crc_errors: int
    protocol_errors: int
    exceptions: int
    turnaround_p50_s: float | None
    turnaround_p95_s: float | None
    timeout_s: float
    backoff_s: float
    next_try_s: float | None = None
    last_answer_s: float | None = None
    retries: int = 0


class UnitHealth:
    """One unit of a line."""

    def __init__(self, rng: Random, *, fixed_timeout_s: float | None = None, is_network: bool = False) -> None:
        self.state = UnitState.SUSPECT
        self.ready_at = 0.0
        self.min_gap_s = 0.0
        self.gap_is_bus_wide = False
        self.response_timeout_s: float | None = None
        self.session = 0
        self.last_answer_at: float | None = None
        self.requests = self.timeouts = self.crc_errors = self.protocol_errors = self.exceptions = 0
        self._rng = rng
        self._fixed_timeout_s = fixed_timeout_s
        self._first_s = NETWORK_FIRST_S if is_network else FIRST_TIMEOUT_S
        self._shortest_s = NETWORK_SHORTEST_S if is_network else SHORTEST_TIMEOUT_S
        self._longest_s = NETWORK_LONGEST_S if is_network else LONGEST_TIMEOUT_S
        self._turnarounds: deque[float] = deque(maxlen=SAMPLES)
        self._slowest_s = 0.0
        self._latest_s = 0.0
        self._p95_s: float | None = None
        self.failures = 0
        """Requests in a row that were not answered."""
        self.owes_until: dict[int, float] = {}
        """By function code: until when a reply to an unanswered request may still come."""
        self._backoff_s = 0.0
        self.retry_at = 0.0

    def answered(self, now: float, turnaround_s: float | None) -> None:
        """A valid frame came back; `turnaround_s` None where it says nothing about other requests."""
        if self.state is UnitState.DEAD:
            self.session += 1
        self.state = UnitState.ONLINE
        self.failures = 0
        self._backoff_s = 0.0
        self.last_answer_at = now
        if turnaround_s is not None:
            self.learned(turnaround_s)

    def learned(self, turnaround_s: float) -> None:
        """How long the unit took, also where the reply came too late to be used."""
        self._turnarounds.append(turnaround_s)
        self._slowest_s = max(self._turnarounds)
        self._p95_s = self.percentile(0.95)

    def was_late(self, late_s: float) -> None:
        """A reply came so long after its request, when nobody waited for it any more."""
        self._latest_s = max(self._latest_s, late_s)

    def failed(self, now: float) -> None:
        """No valid frame came back."""
        self.failures += 1
        if self.failures < FAILURES_UNTIL_DEAD:
            self.state = UnitState.SUSPECT
            return
        self.state = UnitState.DEAD
        longest_s = LONGEST_BACKOFF_S / (1 + JITTER)
        self._backoff_s = min(longest_s, max(FIRST_BACKOFF_S, 2 * self._backoff_s))
        self.retry_at = now + self._backoff_s * (1 + JITTER * self._rng.random())

    def line_reopened(self, *, forgiven: bool) -> None:
        """The line was gone: what the unit did meanwhile is not known; `forgiven`, its silence was the line's fault."""
        self.session += 1
        if not forgiven:
            return
        self.failures = 0
        self._backoff_s = 0.0
        self.state = UnitState.SUSPECT

    def percentile(self, fraction: float) -> float | None:
        """Of the last turnarounds; None while there is none."""
        if not self._turnarounds:
            return None
        ordered = sorted(self._turnarounds)
        return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]

    @property
    def timeout_s(self) -> float:
        """How long to wait for the reply to begin.

        Four times the 95th percentile of what was measured, within 0.1..1 s (a network: 0.5..3 s), and never below what
        the profile states.
        While the unit is not online it gets the full time, since its habits may have changed.
        """
        if self._fixed_timeout_s is not None:
            return self._fixed_timeout_s
        floor = self.response_timeout_s or 0.0
        p95 = self._p95_s
        if p95 is None or len(self._turnarounds) < ENOUGH_SAMPLES or self.state is not UnitState.ONLINE:
            return max(self._first_s, floor, min(self._longest_s, 2 * self._slowest_s))
        return max(floor, min(self._longest_s, max(self._shortest_s, 4 * p95, p95 + 0.06)))

    def patience_s(self, reply_s: float) -> float:
        """How long to wait for a reply to begin that takes `reply_s` on the wire.

        While the unit is dead its timeout covers the reply as well: trying it costs the others that and no more.
        """
        if self.state is not UnitState.DEAD:
            return self.timeout_s
        return max(self.response_timeout_s or 0.0, min(self.timeout_s, SHORTEST_TIMEOUT_S), self.timeout_s - reply_s)

    def late_window_s(self, waited_s: float, *, was_online: bool) -> float:
        """How long the line is kept free for a late reply after `waited_s` in vain: until twice the slowest turnaround
        seen has passed since the request, and a little where the unit answered until now: it may have become slower.
        """
        least_s = SHORTEST_WINDOW_S if was_online else 0.0
        return max(least_s, min(LONGEST_TIMEOUT_S, 2 * self._slowest_s - waited_s))

    @property
    def late_limit_s(self) -> float:
        """How long an unanswered request may still be answered: until then another one could get the wrong reply."""
        return max(LATE_LIMIT_S, 2 * self._slowest_s, min(LONGEST_LATE_LIMIT_S, 2 * self._latest_s))

    def statistics(self, now: float | None = None) -> UnitStatistics:
        """`now` None: without what depends on the time."""
        is_dead, last = self.state is UnitState.DEAD, self.last_answer_at
        return UnitStatistics(
            state=self.state,
            requests=self.requests,
            timeouts=self.timeouts,
            crc_errors=self.crc_errors,
            protocol_errors=self.protocol_errors,
            exceptions=self.exceptions,
            turnaround_p50_s=self.percentile(0.5),
            turnaround_p95_s=self.percentile(0.95),
            timeout_s=self.timeout_s,
            backoff_s=self._backoff_s if is_dead else 0.0,
            next_try_s=max(0.0, self.retry_at - now) if is_dead and now is not None else None,
            last_answer_s=None if last is None or now is None else max(0.0, now - last),
        )
