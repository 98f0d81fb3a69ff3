"""What is shown at the moment: documents in, the outbox's state lane out. Pure: the time comes in.

Owns what of a new document is worth a message (with `throttle`), the continuation of `since` and `previous`, and the
flat points, which are drawn from the documents as they are shown, so that both views say the same.
Refuses to know: where documents come from, the broker.
Invariants: a topic that its owner shows no more is deleted · a meter is told together with the beginning and the end of
a transaction, so that bills agree · a point is told again every `SLOW_REFRESH_S`, one after the other.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from edged.domain.types import Now
from edged.mqtt.documents import Body, Document, carry
from edged.mqtt.names import Names
from edged.mqtt.options import PointForm
from edged.mqtt.outbox import Outbox
from edged.mqtt.points import MEASURED, POINTS, QUALITY, SLOW_REFRESH_S, Reading, metas, readings, written
from edged.mqtt.throttle import Deadband, Throttle

_ASPECTS: Final = frozenset(point.aspect for point in POINTS)


class Picture:
    """`show` after each step, `due` from time to time. `described_at`: when the points were described."""

    def __init__(
        self,
        outbox: Outbox,
        names: Names,
        *,
        form: PointForm = PointForm.OFF,
        deadband: Deadband | None = None,
        described_at: datetime | None = None,
    ) -> None:
        self._outbox = outbox
        self._names = names
        self._form = form
        self._throttle = Throttle(deadband)
        self._topics: dict[str, frozenset[str]] = {}
        self._former: dict[str, Document] = {}
        self._metas = metas(described_at) if described_at is not None else {}
        self._readings: dict[str, Reading] = {}
        self._wheel: tuple[dict[str, None], ...] = tuple({} for _ in range(SLOW_REFRESH_S))
        self._turned_s: int | None = None

    def remember(self, former: Mapping[str, Document]) -> None:
        """What a former run has shown: `since` and `previous` go on from there."""
        self._former.update(former)

    @property
    def wanted(self) -> frozenset[str]:
        """Every topic that is retained at the broker for us, or is to be."""
        return self._outbox.wanted

    def told(self, topic: str) -> Document | None:
        """What was shown last, in this run or in a former one."""
        shown = self._outbox.shown(topic)
        return shown if shown is not None and shown.body != "" else self._former.get(topic)

    # --- after a step

    def show(
        self, owner: str, documents: Mapping[str, Document], now_s: float, *, as_of_seq: int | None = None
    ) -> None:
        """All documents of one owner: what differs is sent, and what is missing now is deleted. `as_of_seq`: the last
        event that they contain."""
        ended = {t: carry(self.told(t), d) for t, d in documents.items() if d.lasting is not None}
        documents = {**documents, **ended}
        changed = self._show_facts(documents, as_of_seq)
        moved = {_place(topic) for topic in changed}
        measured = [topic for topic, document in documents.items() if document.measured]
        moved |= {_place(t) for t in measured if _turning_point(self._outbox.shown(t), documents[t])}
        for topic in measured:
            place = _place(topic)
            busy = _member(documents.get(f"{place}/status"), "status") == "Charging"
            document = _dated(documents[topic], as_of_seq)
            if self._throttle.admit(topic, document, now_s, busy=busy, force=place in moved):
                self._outbox.show(topic, document, refresh=document.repeated)
                changed.append(topic)
        self._forget(owner, documents)
        self._show_points(changed)

    def _show_facts(self, documents: Mapping[str, Document], as_of_seq: int | None) -> list[str]:
        changed = []
        for topic, document in documents.items():
            old = self._outbox.shown(topic)
            if document.measured or (old is not None and document.says_the_same(old)):
                continue
            new = carry(self.told(topic), _dated(document, as_of_seq))
            if old is None or not new.says_the_same(old):
                changed.append(topic)
                self._outbox.show(topic, new)
        return changed

    def _forget(self, owner: str, documents: Mapping[str, Document]) -> None:
        before = self._topics.get(owner, frozenset())
        if documents.keys() == before:
            return
        self._topics[owner] = frozenset(documents)
        for topic in before - documents.keys():
            self._throttle.forget(topic)
            self._outbox.remove(topic)
            if topic.endswith("/link"):
                self._forget_points(topic)

    # --- from time to time

    def due(self, now: Now) -> None:
        """What was held back and may be told now, and the points whose turn it is."""
        held = self._throttle.due(now.monotonic_s)
        for topic, document in held.items():
            self._outbox.show(topic, document, refresh=document.repeated)
        self._show_points(held)
        self._refresh_points(now)

    # --- points

    def _show_points(self, changed: Iterable[str]) -> None:
        if self._form is PointForm.OFF:
            return
        for place in dict.fromkeys(_place(topic) for topic in changed):
            where = self._names.parse_state(f"{place}/link")
            if where is None or where.connector is None:
                continue
            shown = {aspect: self._outbox.shown(f"{place}/{aspect}") for aspect in _ASPECTS}
            found = readings({aspect: document for aspect, document in shown.items() if document is not None})
            for name, reading in found.items():
                self._show_point(self._names.point(where.station, where.connector, name), reading)
                meta = self._names.point_meta(where.station, where.connector, name)
                if name in self._metas and self._outbox.shown(meta) is None:
                    self._outbox.show(meta, self._metas[name])

    def _show_point(self, topic: str, reading: Reading) -> None:
        told = self._readings.get(topic)
        self._readings[topic] = reading
        if told is None:
            self._bucket(topic)[topic] = None
        if not reading.says_the_same(told):
            self._outbox.show(topic, written(reading, self._form))

    def _bucket(self, topic: str) -> dict[str, None]:
        return self._wheel[zlib.crc32(topic.encode()) % SLOW_REFRESH_S]

    def _refresh_points(self, now: Now) -> None:
        second = int(now.monotonic_s)
        last, self._turned_s = self._turned_s, second
        if last is None or self._form is PointForm.OFF:
            return
        for turn in range(max(last, second - SLOW_REFRESH_S) + 1, second + 1):
            for topic in self._wheel[turn % SLOW_REFRESH_S]:
                reading = self._readings[topic]
                known_now = reading.quality == QUALITY["good"] and topic.rpartition("/")[2] not in MEASURED
                again = replace(reading, at=now.utc) if known_now else reading
                self._outbox.show(topic, written(again, self._form), refresh=True)

    def _forget_points(self, link: str) -> None:
        where = self._names.parse_state(link)
        if where is None or where.connector is None or self._form is PointForm.OFF:
            return
        for point in POINTS:
            topic = self._names.point(where.station, where.connector, point.name)
            if self._readings.pop(topic, None) is not None:
                del self._bucket(topic)[topic]
                self._outbox.remove(topic)
                self._outbox.remove(self._names.point_meta(where.station, where.connector, point.name))


def _dated(document: Document, as_of_seq: int | None) -> Document:
    """With the number of the last event that it contains. Texts have no place for one."""
    if as_of_seq is None or isinstance(document.body, str):
        return document
    return replace(document, as_of_seq=as_of_seq)


def _place(topic: str) -> str:
    """The connector (or station) that a topic belongs to."""
    return topic.rpartition("/")[0]


def _member(document: Document | None, name: str) -> Any:
    body: Body = document.body if document is not None else {}
    return None if isinstance(body, str) else body.get(name)


def _turning_point(old: Document | None, new: Document) -> bool:
    """Whether a transaction has begun or ended: the meter is told together with it, so that bills agree."""
    return any(_member(old, name) != _member(new, name) for name in ("active", "transaction_id"))
