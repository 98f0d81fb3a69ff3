"""How long to wait before the next attempt to reach the CSMS (20-J-04, used for every version).

Owns the sequence of waits. Refuses to know clocks, sockets and what success is: the owner reports it with `succeeded`.
Invariant: no wait is shorter than one second or longer than a day, whatever the CSMS configured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SHORTEST_S: Final = 1.0
LONGEST_S: Final = 86_400.0
_MOST_DOUBLINGS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOffPolicy:
    """RetryBackOffWaitMinimum, RetryBackOffRandomRange (both seconds) and RetryBackOffRepeatTimes."""

    minimum_s: float = 5.0
    random_s: float = 10.0
    repeat_times: int = 5


class BackOff:
    """The minimum plus a random part; the minimum doubles at each attempt, `repeat_times` times at most.

    `policy` is asked at each wait, so a changed setting counts at once. `random` gives numbers from 0 up to 1.
    The random part is drawn anew each time and is not itself doubled.
    """

    def __init__(self, policy: Callable[[], BackOffPolicy], random: Callable[[], float]) -> None:
        self._policy = policy
        self._random = random
        self._failures = 0

    def next_s(self) -> float:
        """The wait before the next attempt; counts as one more failure."""
        policy = self._policy()
        doublings = max(0, min(self._failures, policy.repeat_times, _MOST_DOUBLINGS))
        self._failures += 1
        wait_s = max(policy.minimum_s, SHORTEST_S) * (1 << doublings) + self._random() * max(policy.random_s, 0.0)
        return min(wait_s, LONGEST_S)

    def succeeded(self) -> None:
        """The CSMS took us in: the next wait is the first one again."""
        self._failures = 0
