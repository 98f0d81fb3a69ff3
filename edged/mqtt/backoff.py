"""When to try the broker again, and whether two daemons fight over one client id. Pure: times and jitter come in.

Invariants: a delay never exceeds the last one · only a connection that has proved itself starts the row anew, so that
two rivals, or a broker that lets us in and throws us out, do not make a storm.
"""

from __future__ import annotations

from typing import Final

SHORT_LIFE_S: Final = 5.0
SUSPICIOUS_LIVES: Final = 3
_MAX_DOUBLINGS: Final = 30


class Backoff:
    def __init__(self, *, first_s: float, last_s: float) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._failures = 0
        self._short_lives = 0

    def failed(self) -> None:
        """An attempt came to nothing."""
        self._failures += 1

    def ended(self, *, after_s: float) -> None:
        """A connection that stood has ended."""
        if after_s >= SHORT_LIFE_S:
            self._failures = self._short_lives = 0
        else:
            self._short_lives += 1
        self._failures += 1

    def delay_s(self, jitter: float) -> float:
        """How long to wait before the next attempt. `jitter` 0..1 spreads it from three quarters to all of it."""
        doublings = min(max(0, self._failures - 1), _MAX_DOUBLINGS)
        return float(min(self._last_s, self._first_s * 2**doublings)) * (0.75 + 0.25 * jitter)

    @property
    def contested(self) -> bool:
        """The last connections all ended within seconds: most likely somebody else uses our client id."""
        return self._short_lives >= SUSPICIOUS_LIVES
