"""The retained topics that are ours: what is at the broker and should not be there any more is deleted.

Pure: the time comes in. Owns the comparison of three lists: what is shown now, what a former run has left behind (the
manifest, on the disk), and what one look at our own tree finds. Refuses to know: disk, broker, what topics mean.
Invariants: nothing is deleted but what the manifest names or what lies in our own tree · a tree that another gateway
lives in is left to it · what could not be deleted is still named in the manifest, so the next start goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from edged.mqtt.documents import Document
from edged.mqtt.names import Names
from edged.mqtt.outbox import Outbox

log = logging.getLogger(__name__)

LISTEN_S: Final = 2.0
"""A broker that has been silent for so long has told all that it has."""
LISTEN_AT_MOST_S: Final = 30.0
FORGET_S: Final = 2.0
"""So long Home Assistant may take to forget a device."""
MAX_FOUND: Final = 50_000
KEEP_AFTER_S: Final = 5.0
"""Topics come in groups; the disk is told of a group at once."""
_HISTORY: Final = ("since", "previous")
_ANNOUNCED: Final = "/device/edged-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What one run leaves to the next. `histories`: of each topic that says since when, its word, `since` and
    `previous`, and what has ended and is shown still. Only a run that ended in good order leaves any, for they are out
    of date otherwise."""

    topics: frozenset[str] = frozenset()
    histories: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class TopicKeeper(Protocol):
    """Keeps it on the disk."""

    def load(self) -> Kept: ...

    def keep(self, kept: Kept) -> None:
        """Returns at once."""


class Manifest:
    """`recall` at first, `begin` before the first connection, `connected` for each, then `received` and `due`; `end` at
    the end.

    `also`: beginnings of further trees that are ours alone, each with the filter that finds its topics. `listen` and
    `leave` subscribe to filters on the connection that there is, and end that.
    """

    def __init__(
        self,
        outbox: Outbox,
        names: Names,
        keeper: TopicKeeper | None,
        *,
        listen: Callable[[tuple[str, ...]], None],
        leave: Callable[[tuple[str, ...]], None],
        also: Mapping[str, str] | None = None,
    ) -> None:
        self.deleted = 0
        self._outbox = outbox
        self._names = names
        self._keeper = keeper
        self._listen = listen
        self._leave = leave
        self._also = dict(also or {})
        self._former: frozenset[str] = frozenset()
        self._found: set[str] = set()
        self._strangers: set[str] = set()
        self._until_s: float | None = None
        self._latest_s = 0.0
        self._going: frozenset[str] | None = None
        self._then: frozenset[str] = frozenset()
        self._then_at_s = 0.0
        self._is_done = keeper is None
        self._is_outdated = False
        self._kept: frozenset[str] = frozenset()
        self._kept_version = -1
        self._keep_at_s = 0.0

    def recall(self) -> Mapping[str, Document]:
        """Take over what a former run has left. Returns the histories, as documents."""
        if self._keeper is None:
            return {}
        kept = self._keeper.load()
        self._former, self._is_outdated = kept.topics, bool(kept.histories)
        return {topic: Document(body=body) for topic, body in kept.histories.items()}

    def begin(self) -> None:
        """Everything that is shown now is named on the disk before the broker gets it."""
        self._keep(self._named(), also=self._is_outdated)

    def end(self) -> None:
        """The last word of a run that ends in good order."""
        if self._keeper is not None:
            histories = {}
            for topic in self._outbox.wanted:
                document = self._outbox.shown(topic)
                if document is not None and (history := _history(document)):
                    histories[topic] = history
            self._keeper.keep(Kept(topics=self._named(), histories=histories))

    # --- the connection

    def connected(self, now_s: float) -> None:
        """A connection stands. The look at our tree is taken once a run, and again where it was cut short."""
        if self._is_done or self._going is not None:
            return
        self._found.clear()
        self._strangers.clear()
        self._until_s, self._latest_s = now_s + LISTEN_S, now_s + LISTEN_AT_MOST_S
        self._listen(self._filters())

    def _filters(self) -> tuple[str, ...]:
        return (*self._names.own_retained, *self._also.values(), *(f"{tree}/status" for tree in self._old_trees()))

    def _old_trees(self) -> list[str]:
        """Where the gateway was before it was renamed: each tree has one `status` at its top."""
        suffix = "/status"
        tops = (t.removesuffix(suffix) for t in self._former if t.endswith(suffix) and "/station/" not in t)
        return sorted(tree for tree in tops if tree != self._names.prefix)

    def received(self, topic: str, payload: bytes, *, retain: bool, now_s: float) -> None:
        """Something that the broker has told; what is not retained is somebody's news and no left-over."""
        if self._until_s is None or not retain or not payload:
            return
        self._until_s = min(now_s + LISTEN_S, self._latest_s)
        tree = topic.removesuffix("/status")
        if tree in self._old_trees():
            if payload == b"online":
                self._strangers.add(tree)
            return
        ours = topic.startswith((f"{self._names.prefix}/", *self._also))
        if ours and not topic.startswith(f"{self._names.prefix}/rpc/") and len(self._found) < MAX_FOUND:
            self._found.add(topic)

    # --- from time to time

    def due(self, now_s: float, *, connected: bool) -> None:
        if self._until_s is not None and not connected:
            self._until_s = None
        if self._until_s is not None and now_s >= self._until_s:
            self._until_s = None
            self._leave(self._filters())
            self._delete(now_s)
        if self._then and now_s >= self._then_at_s:
            self._remove(self._then)
            self._then = frozenset()
        if self._going is not None and not self._then and not any(self._outbox.shown(topic) for topic in self._going):
            self._finish()
        self._keep_changes(now_s)

    def _delete(self, now_s: float) -> None:
        """What is wanted no more goes through the window like everything else; what Home Assistant was told goes first,
        for it complains of a topic that is deleted while it still reads it."""
        left = {topic for topic in self._former if any(_belongs(topic, tree) for tree in self._strangers)}
        if left:
            log.warning("%s is another gateway's now: %d topics are left to it", ", ".join(self._strangers), len(left))
        self._former -= left
        self._going = frozenset((self._former | self._found) - self._wanted())
        announced = frozenset(topic for topic in self._going if _ANNOUNCED in topic)
        self._remove(announced)
        self._then, self._then_at_s = self._going - announced, now_s + (FORGET_S if announced else 0.0)

    def _remove(self, topics: frozenset[str]) -> None:
        for topic in topics:
            self._outbox.remove(topic)

    def _finish(self) -> None:
        assert self._going is not None
        left = self._going & self._outbox.not_deleted
        self.deleted = len(self._going) - len(left)
        if self.deleted:
            log.info("%d retained MQTT topics of a former configuration were deleted", self.deleted)
        if left:
            log.warning("the MQTT broker does not let %d old topics be deleted, %s one of them", len(left), min(left))
        self._going, self._former, self._is_done = None, left, True
        self._kept_version = -1

    # --- the disk

    def _wanted(self) -> frozenset[str]:
        return self._outbox.wanted | {self._names.status}

    def _named(self) -> frozenset[str]:
        return self._wanted() | self._former | (self._going or frozenset())

    def _keep_changes(self, now_s: float) -> None:
        if self._keeper is None or self._outbox.topics_version == self._kept_version or now_s < self._keep_at_s:
            return
        self._kept_version = self._outbox.topics_version
        self._keep_at_s = now_s + KEEP_AFTER_S
        self._keep(self._named())

    def _keep(self, topics: frozenset[str], *, also: bool = False) -> None:
        """`also`: although it names the same topics."""
        if self._keeper is not None and (also or topics != self._kept):
            self._kept = topics
            self._keeper.keep(Kept(topics=topics))


def _history(document: Document) -> dict[str, Any]:
    """What the next run goes on from."""
    body = document.body
    if isinstance(body, str) or (document.tracked is None and document.lasting is None):
        return {}
    if document.lasting is not None:
        return dict(body) if body.get(document.lasting) is not None else {}
    names = (document.tracked or "", *_HISTORY)
    return {name: body[name] for name in names if name in body}


def _belongs(topic: str, tree: str) -> bool:
    """Whether the topic is of the gateway whose tree that is, also outside of the tree (discovery)."""
    return topic.startswith(f"{tree}/") or f"/edged-{tree.rpartition('/')[2]}/" in topic
