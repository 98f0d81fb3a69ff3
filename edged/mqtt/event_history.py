"""`get_events`: what happened after a number, for late joiners and whoever has missed some.

Owns what one answer holds. Refuses to know: the disk (`EventReader` reads) and who asks.
Invariants: only what may be told is shown, in order · an answer is bounded: a client asks again after the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from edged.domain.types import Now
from edged.mqtt.commands import Code, Problem
from edged.mqtt.event_log import EventLog, EventReader, LoggedEvent
from edged.mqtt.events import told
from edged.ports import Clock

MAX_EVENTS_CHARS: Final = 256 * 1024

TellEvents = Callable[[Mapping[str, Any] | Problem, Now], None]


@dataclass(frozen=True, slots=True)
class _Behind:
    """As it was when somebody asked for `limit` events: how far the disk had everything, what was told behind that, and
    the newest of all."""

    kept_seq: int
    unkept: tuple[LoggedEvent, ...]
    newest_seq: int
    limit: int


class EventHistory:
    """The events of the log `kept`, which its reader reads; None: nothing is kept."""

    def __init__(self, kept: tuple[EventLog, EventReader] | None, clock: Clock) -> None:
        self._kept = kept
        self._clock = clock

    def read(self, after_seq: int, limit: int, tell: TellEvents) -> None:
        """`tell` gets a page, or why there is none, on the event loop."""
        if self._kept is None:
            problem = Problem(Code.NOT_SUPPORTED, "events are kept only where the configuration names a broker")
            tell(problem, self._clock.now())
        else:
            log, reader = self._kept
            kept_seq, unkept = log.told_first()
            newest_seq = unkept[-1].seq if unkept else kept_seq
            behind = _Behind(kept_seq, tuple(one for one in unkept if one.seq > after_seq), newest_seq, limit)
            reader.read(after_seq, limit, partial(self._was_read, log.first_seq, behind, tell))

    def _was_read(
        self, first_seq: int, behind: _Behind, tell: TellEvents, events: Sequence[LoggedEvent] | None
    ) -> None:
        now = self._clock.now()
        if events is None:
            tell(Problem(Code.INTERNAL, "the events cannot be read"), now)
            return
        kept = [event for event in events if event.seq <= behind.kept_seq]
        fit = [*kept, *behind.unkept][: behind.limit]
        listed, last_seq = _listed(fit)
        page = {
            "events": listed,
            "first_seq": first_seq or None,
            "last_seq": behind.newest_seq or None,
            "more": bool(fit) and last_seq < behind.newest_seq,
        }
        tell(page, now)


def _listed(events: Sequence[LoggedEvent]) -> tuple[list[dict[str, Any]], int]:
    """The events as they are published, as many as one message can hold, and the number of the last one."""
    listed: list[dict[str, Any]] = []
    last_seq, room = 0, MAX_EVENTS_CHARS
    for event in events:
        room -= len(event.text)
        if room < 0 and listed:
            break
        last_seq = event.seq
        try:
            listed.append(told(event.text, replayed=True)[1])
        except (ValueError, TypeError, RecursionError):  # damaged on the disk
            continue
    return listed, last_seq
