"""What waits to be published, and what may go next. Pure: no clock, no socket; `now_s` is an argument.

Lanes by value: life (birth, goodbye) before replies; then events and state take turns; raw frames have what is left,
from a ring that drops its oldest. State is one newest document a topic: replaced while it waits, skipped when the
broker has acknowledged the same. Events are told in order, never before `online`, and forgotten here with the
connection: whoever feeds them begins again behind the last that was acknowledged. Nothing goes into the client
library's own queue: `due` gives out only what the window allows.

Invariants: never more than `window` messages under way · at least `RESERVED` places of it are neither for state nor for
events (where the window is that large) · one message under way for each state topic, so that its order holds · memory
is bounded by topics + MAX_REPLIES (of MAX_REPLY_CHARS) + MAX_EVENTS + MAX_RAW + window · after every acknowledgement
the broker has what was shown last · `delivered_seq` never passes an event that the broker has not acknowledged.

The owner calls `connected` for each connection, `due` after any change and sends what it gives, `settled` for each
acknowledgement, `disconnected` at the end of the connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from edged.mqtt.documents import Document

WINDOW: Final = 20
RESERVED: Final = 4
MAX_REPLIES: Final = 1024
"""As many requests as a broker keeps for us by default (mosquitto: 1,000 beside those under way), and so answers."""
MAX_REPLY_CHARS: Final = 4 * 1024 * 1024
CONGESTED_REPLIES: Final = MAX_REPLIES // 4
CONGESTED_CHARS: Final = MAX_REPLY_CHARS // 4
MAX_EVENTS: Final = 64
MAX_RAW: Final = 64
MAX_RAW_CHARS: Final = 256 * 1024
_GONE: Final = Document(body="")
"""An empty payload deletes a topic."""


class Lane(IntEnum):
    LIFE = 0
    REPLY = 1
    EVENT = 2
    STATE = 3
    RAW = 4


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message that is to be sent now. `ticket` names it in `settled`; never given twice in one outbox. `seq`: an
    event's number."""

    ticket: int
    lane: Lane
    topic: str
    document: Document
    seq: int = 0


@dataclass(frozen=True, slots=True)
class EventParcel:
    """An event on its way to be told."""

    seq: int
    topic: str
    document: Document


@dataclass(frozen=True, slots=True)
class _Waiting:
    topic: str
    document: Document
    until_s: float | None
    chars: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What became of the messages since the daemon started."""

    acked: int = 0
    coalesced: int = 0
    dropped: int = 0
    refused: int = 0
    resent: int = 0
    raw_dropped: int = 0


class Outbox:
    def __init__(self) -> None:
        self.counters = Counters()
        self.topics_version = 0
        """Another number after each change of which topics there are."""
        self.not_deleted: set[str] = set()
        """Topics whose deletion the broker has refused."""
        self._window = 0
        self._tickets = 0
        self._life: deque[_Waiting] = deque()
        self._events: deque[EventParcel] = deque()
        self._told: dict[int, bool] = {}
        self._delivered_seq = 0
        self._may_tell = False
        self._turn_of_events = False
        self._replies: deque[_Waiting] = deque()
        self._reply_chars = 0
        self._raw: deque[tuple[_Waiting, int]] = deque()
        self._raw_chars = 0
        self._shown: dict[str, Document] = {}
        self._waiting: dict[str, None] = {}
        self._acked: dict[str, Document] = {}
        self._on_the_way: dict[int, tuple[Parcel, float | None]] = {}
        self._busy_topics: dict[str, int] = {}
        self._dump: set[str] = set()

    # --- the connection

    def connected(self, receive_maximum: int) -> None:
        """A new connection: everything that was shown waits again (the full dump)."""
        self._window = max(1, min(WINDOW, receive_maximum))
        self._acked.clear()
        self._waiting = dict.fromkeys(self._shown)
        self._dump = set(self._shown)

    def disconnected(self) -> None:
        """Forget what the broker has; replies that were under way wait again, in their old order, at the front."""
        for parcel, until_s in reversed(self._on_the_way.values()):
            if parcel.lane is Lane.REPLY:
                waiting = _reply(parcel.topic, parcel.document, until_s)
                self._replies.appendleft(waiting)
                self._reply_chars += waiting.chars
                self._count(resent=1)
        self._bound_replies()
        self._window = 0
        self._may_tell = False
        self._events.clear()
        self._told.clear()
        self._life.clear()
        self._on_the_way.clear()
        self._busy_topics.clear()
        self._waiting.clear()
        self._acked.clear()
        self._dump.clear()

    @property
    def dumped(self) -> bool:
        """Every topic that was known at `connected` has reached the broker: time to say `online`."""
        return self._window > 0 and not self._dump

    @property
    def caught_up(self) -> bool:
        """Nothing of what is shown waits or is under way."""
        return not self._waiting and not self._busy_topics

    @property
    def under_way(self) -> int:
        return len(self._on_the_way)

    @property
    def urgent(self) -> int:
        """Life, replies and events that wait or are under way."""
        sent = sum(parcel.lane < Lane.STATE for parcel, _ in self._on_the_way.values())
        return len(self._life) + len(self._replies) + len(self._events) + sent

    @property
    def depth(self) -> int:
        """All that waits."""
        return len(self._life) + len(self._replies) + len(self._events) + len(self._waiting) + len(self._raw)

    # --- what is to be said

    def live(self, topic: str, document: Document) -> None:
        """Birth, goodbye, heartbeat: forgotten with its connection; a newer one replaces one that waits."""
        if self._window:
            self._life = deque(item for item in self._life if item.topic != topic)
            self._life.append(_Waiting(topic, document, None))

    def reply(self, topic: str, document: Document, until_s: float | None = None) -> None:
        """An answer (or the deletion of a retained command). Worthless after `until_s`, monotonic."""
        waiting = _reply(topic, document, until_s)
        self._replies.append(waiting)
        self._reply_chars += waiting.chars
        self._bound_replies()

    def _bound_replies(self) -> None:
        while len(self._replies) > MAX_REPLIES or (self._reply_chars > MAX_REPLY_CHARS and len(self._replies) > 1):
            self._reply_chars -= self._replies.popleft().chars
            self._count(dropped=1)

    @property
    def congested(self) -> bool:
        """Whether so many answers wait that no further requests should come."""
        return len(self._replies) >= CONGESTED_REPLIES or self._reply_chars >= CONGESTED_CHARS

    def raw(self, topic: str, document: Document, chars: int) -> None:
        """A frame of so many characters for whoever looks on: of more than the ring holds the oldest go."""
        self._raw.append((_Waiting(topic, document, None), chars))
        self._raw_chars += chars
        while len(self._raw) > MAX_RAW or self._raw_chars > MAX_RAW_CHARS:
            self._raw_chars -= self._raw.popleft()[1]
            self._count(raw_dropped=1)

    # --- events

    def tell_events(self) -> None:
        """`online` is on its way: from now on what happened may be told."""
        self._may_tell = self._window > 0

    @property
    def event_room(self) -> int:
        """So many events may be fed now; 0 while there is no connection that has been greeted."""
        return max(0, MAX_EVENTS - len(self._told)) if self._may_tell else 0

    @property
    def delivered_seq(self) -> int:
        """Every event up to this number that was fed has been acknowledged; 0 before the first."""
        return self._delivered_seq

    def feed(self, events: Sequence[EventParcel]) -> None:
        """Further events, in the order of their numbers; at most `event_room`."""
        self._events.extend(events)
        self._told.update(dict.fromkeys((event.seq for event in events), False))

    def _acknowledged(self, seq: int) -> None:
        if seq in self._told:
            self._told[seq] = True
        while self._told:
            first = next(iter(self._told))
            if not self._told[first]:
                break
            del self._told[first]
            self._delivered_seq = max(self._delivered_seq, first)

    # --- state

    def show(self, topic: str, document: Document, *, refresh: bool = False) -> None:
        """The newest content of a state topic. `refresh`: send it even where it says nothing new."""
        if self._shown.get(topic, _GONE) is _GONE:
            self.topics_version += 1
        self._shown[topic] = document
        if not self._window:
            return
        if refresh or not document.says_the_same(self._known(topic)):
            self._count(coalesced=int(topic in self._waiting))
            self._waiting[topic] = None
        else:
            self._waiting.pop(topic, None)

    def show_again(self) -> int:
        """Every state topic is to be sent again, whatever the broker has of it; how many there are."""
        self._acked.clear()
        if self._window:
            self._waiting = dict.fromkeys(self._shown)
        return len(self._shown)

    def shown(self, topic: str) -> Document | None:
        """What was shown last, sent or not; an empty word where the topic is being deleted."""
        return self._shown.get(topic)

    def taken(self, topic: str) -> Document | None:
        """What the broker has acknowledged last on this connection."""
        return self._acked.get(topic)

    def remove(self, topic: str) -> None:
        """Delete a retained topic; it is forgotten here once the broker has taken that, whether it likes it or not."""
        self._shown[topic] = _GONE
        self.topics_version += 1
        if self._window:
            self._waiting[topic] = None

    @property
    def wanted(self) -> frozenset[str]:
        """Every topic that is shown and not being deleted."""
        return frozenset(topic for topic, document in self._shown.items() if document is not _GONE)

    def _known(self, topic: str) -> Document | None:
        """What the broker has, or will have once everything under way has arrived."""
        ticket = self._busy_topics.get(topic)
        if ticket is not None:
            return self._on_the_way[ticket][0].document
        return self._acked.get(topic)

    # --- what goes next

    def due(self, now_s: float) -> list[Parcel]:
        """The messages that may be sent now, in order; each counts as under way until it is settled."""
        out: list[Parcel] = []
        for lane, waiting in ((Lane.LIFE, self._life), (Lane.REPLY, self._replies)):
            while waiting and len(self._on_the_way) < self._window:
                item = waiting.popleft()
                self._reply_chars -= item.chars
                if item.until_s is not None and now_s >= item.until_s:
                    self._count(dropped=1)
                    continue
                out.append(self._send(lane, item.topic, item.document, item.until_s))
        room = max(1, self._window - RESERVED) - sum(p.lane > Lane.REPLY for p, _ in self._on_the_way.values())
        room = min(room, self._window - len(self._on_the_way))
        states = (topic for topic in list(self._waiting) if topic not in self._busy_topics) if room > 0 else iter(())
        topic = next(states, None)
        while room > 0 and (self._events or topic is not None):
            self._turn_of_events = bool(self._events) and (topic is None or not self._turn_of_events)
            if self._turn_of_events:
                event = self._events.popleft()
                out.append(self._send(Lane.EVENT, event.topic, event.document, None, event.seq))
            elif topic is not None:
                del self._waiting[topic]
                out.append(self._send(Lane.STATE, topic, self._shown[topic], None))
                topic = next(states, None)
            room -= 1
        while room > 0 and self._raw:
            frame, chars = self._raw.popleft()
            self._raw_chars -= chars
            out.append(self._send(Lane.RAW, frame.topic, frame.document, None))
            room -= 1
        return out

    def _send(self, lane: Lane, topic: str, document: Document, until_s: float | None, seq: int = 0) -> Parcel:
        self._tickets += 1
        parcel = Parcel(self._tickets, lane, topic, document, seq)
        self._on_the_way[parcel.ticket] = (parcel, until_s)
        if lane is Lane.STATE:
            self._busy_topics[topic] = parcel.ticket
        return parcel

    def settled(self, ticket: int, *, accepted: bool = True) -> str | None:
        """The broker has acknowledged (or refused for good) a message; its topic. Unknown tickets are ignored: their
        connection is gone. What was refused is not sent again before it changes: the broker would say the same."""
        entry = self._on_the_way.pop(ticket, None)
        if entry is None:
            return None
        parcel, _ = entry
        self._count(acked=1) if accepted else self._count(refused=1)
        if parcel.lane is Lane.STATE:
            del self._busy_topics[parcel.topic]
            self._acked[parcel.topic] = parcel.document
            self._dump.discard(parcel.topic)
            if parcel.document is _GONE and self._shown.get(parcel.topic) is _GONE:
                if not accepted:
                    self.not_deleted.add(parcel.topic)
                del self._shown[parcel.topic], self._acked[parcel.topic]
                self._waiting.pop(parcel.topic, None)
                self.topics_version += 1
        elif parcel.lane is Lane.EVENT:
            self._acknowledged(parcel.seq)
        return parcel.topic

    def _count(self, **more: int) -> None:
        self.counters = replace(self.counters, **{n: getattr(self.counters, n) + by for n, by in more.items()})


def _reply(topic: str, document: Document, until_s: float | None) -> _Waiting:
    """`chars`: about as many as its body and what is echoed with it have."""
    return _Waiting(topic, document, until_s, len(repr(document.body)) + len(document.correlation or b""))
