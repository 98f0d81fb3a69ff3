"""What looks like an attack on the line: told once in a while, however often it happens.

Owns the rate. Invariant: at most one `SuspicionRaised` of a kind in `QUIET_S`; what was left out is counted.
"""

from __future__ import annotations

from collections.abc import Callable

from edged.domain.events import Event, SuspicionRaised
from edged.domain.security_event import SecurityEvent

QUIET_S = 600.0


class Suspicions:
    """`post` takes the event to the core."""

    def __init__(self, post: Callable[[Event], bool], monotonic: Callable[[], float]) -> None:
        self._post = post
        self._monotonic = monotonic
        self._last_s: dict[SecurityEvent, float] = {}
        self._left_out: dict[SecurityEvent, int] = {}

    def note(self, event: SecurityEvent, info: str) -> None:
        now_s, last_s = self._monotonic(), self._last_s.get(event)
        if last_s is not None and now_s - last_s < QUIET_S:
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return
        left_out = self._left_out.pop(event, 0)
        self._last_s[event] = now_s
        self._post(SuspicionRaised(event.value, f"{info} (and {left_out} more before)" if left_out else info))
