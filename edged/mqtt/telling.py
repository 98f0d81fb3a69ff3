"""Tells what happened: from the log into the outbox, in order, a little at a time.

Owns where the telling stands on this connection. Refuses to know: what an event says, the disk, the broker.
Invariants: after every connection the telling begins again behind the last event that the broker acknowledged · no
more than `REPEATED_AT_MOST` events are told of which the disk does not know that they were · one read at a time.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from edged.mqtt.documents import Document
from edged.mqtt.event_log import REPEATED_AT_MOST, EventLog, EventReader, LoggedEvent
from edged.mqtt.events import told
from edged.mqtt.names import Names
from edged.mqtt.outbox import MAX_EVENTS, EventParcel, Outbox

log = logging.getLogger(__name__)

PAGE: Final = 32


class Telling:
    """`go_on` after anything that may have made room or news; `wake` is called when the outbox has something new."""

    def __init__(
        self, events: EventLog, reader: EventReader, outbox: Outbox, names: Names, wake: Callable[[], None]
    ) -> None:
        self._log = events
        self._reader = reader
        self._outbox = outbox
        self._names = names
        self._wake = wake
        self._fed_seq = 0
        self._old_seq = 0
        self._unreadable_seq = 0
        self._not_kept: deque[int] = deque()
        self._session = 0
        self._is_reading = False

    def begin(self) -> None:
        """A connection that has been greeted: what happened before it is told as replayed."""
        self._session += 1
        self._is_reading = False
        self._fed_seq = self._log.delivered_seq
        self._old_seq = self._log.ready_seq
        self._not_kept = deque(seq for seq in self._not_kept if seq <= self._fed_seq)
        self.go_on()

    def go_on(self) -> None:
        """Take note of what was acknowledged, and feed what there is room for."""
        self._log.delivered(self._outbox.delivered_seq)
        if self._outbox.event_room == MAX_EVENTS:  # none is under way: what cannot be read at the end is done as well
            self._log.delivered(self._fed_seq)
        while self._not_kept and self._not_kept[0] <= self._log.delivered_kept_seq:
            self._not_kept.popleft()
        room = min(PAGE, self._outbox.event_room, REPEATED_AT_MOST - len(self._not_kept))
        if room <= 0 or self._is_reading or self._fed_seq >= self._log.ready_seq:
            return
        events = self._log.at_hand(self._fed_seq, room)
        if events is not None:
            self._feed(events)
        elif self._fed_seq < self._log.kept_seq:
            self._is_reading = True
            self._reader.read(self._fed_seq, room, partial(self._was_read, self._session, self._log.kept_seq))

    def _was_read(self, session: int, until_seq: int, events: Sequence[LoggedEvent] | None) -> None:
        """What lies behind `until_seq` may have come to the disk before its elders: it is read again."""
        if session != self._session:
            return
        self._is_reading = False
        if events is None or self._outbox.event_room < len(events):
            return
        if fit := [event for event in events if event.seq <= until_seq]:
            self._feed(fit)
        else:
            self._fed_seq = max(self._fed_seq, until_seq)  # nothing is left there: all of it has had to go
        self.go_on()

    def _feed(self, events: Sequence[LoggedEvent]) -> None:
        parcels = []
        for event in events:
            self._fed_seq = event.seq
            try:
                category, body = told(event.text, replayed=event.seq <= self._old_seq)
            except (ValueError, TypeError, RecursionError):
                if event.seq > self._unreadable_seq:  # once for each, not for each connection
                    self._unreadable_seq = event.seq
                    log.warning("event %d cannot be read and is left out", event.seq)
                continue
            document = Document(body=body, retain=False)
            parcels.append(EventParcel(event.seq, self._names.event(category.value), document))
        self._not_kept.extend(parcel.seq for parcel in parcels)
        self._outbox.feed(parcels)
        self._wake()
