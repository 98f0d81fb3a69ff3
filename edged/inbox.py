"""The engine's bounded inbox: what has happened to one station and was not yet handled, in order.

Polls of one connector coalesce, for only the newest snapshot counts; a token or a restart that an older one carried
is never lost by that. Requests from outside are refused when too many wait, those of the CSMS and those of local people
each for themselves: neither can shut the other out. What the hardware and our own shells report is always taken,
because they are bounded by their own number.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace

from edged.domain.commands import Command
from edged.domain.events import ConnectorObserved, Event, PresentToken, Tick

CSMS = "csms"
MAX_REQUESTS = 128


class Inbox:
    """First in, first out, for one reader in the same event loop."""

    def __init__(self, max_requests: int = MAX_REQUESTS) -> None:
        self._events: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._max_requests = max_requests
        self._requests = {True: 0, False: 0}  # of the CSMS, of others
        self.refused = 0

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> bool:
        """Take an event. False: a request that finds too many others waiting."""
        if isinstance(event, ConnectorObserved) and self._coalesce(event):
            return True
        if isinstance(event, Tick) and any(isinstance(waiting, Tick) for waiting in self._events):
            return True
        side = _is_of_csms(event)
        if side is not None:
            if self._requests[side] >= self._max_requests:
                self.refused += 1
                return False
            self._requests[side] += 1
        self._events.append(event)
        self._ready.set()
        return True

    def _coalesce(self, event: ConnectorObserved) -> bool:
        """Replace a waiting snapshot of the same connector that nothing else of it came behind."""
        for index in range(len(self._events) - 1, -1, -1):
            waiting = self._events[index]
            if not isinstance(waiting, ConnectorObserved):
                if getattr(waiting, "connector", None) == event.connector:
                    return False
                continue
            if waiting.connector != event.connector:
                continue
            if waiting.observation.token and event.observation.token:
                return False
            merged = replace(
                event.observation,
                token=event.observation.token or waiting.observation.token,
                booted=event.observation.booted or waiting.observation.booted,
            )
            self._events[index] = ConnectorObserved(event.connector, merged)
            return True
        return False

    async def get(self) -> Event:
        """The oldest event; waits for one."""
        while not self._events:
            self._ready.clear()
            await self._ready.wait()
        event = self._events.popleft()
        side = _is_of_csms(event)
        if side is not None:
            self._requests[side] -= 1
        return event


def _is_of_csms(event: Event) -> bool | None:
    """Whether it is a request of the CSMS; None: it is none at all."""
    if isinstance(event, Command):
        return event.request.channel == CSMS
    return False if isinstance(event, PresentToken) and event.request is not None else None
