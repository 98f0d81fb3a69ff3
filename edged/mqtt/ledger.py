"""Which requests were answered, which are being carried out, and who asks too often. Pure: `now` is an argument.

Owns idempotency (docs/mqtt): a repetition of (actor, command, id) gets the first answer again and does
nothing. Refuses to know where answers are kept on disk (`ReplyStore`) and what they say.
Invariants: at most MAX_REPLIES answers are remembered, each for KEEP_S · a key is in progress or answered, never both.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

MAX_REPLIES: Final = 1024
KEEP_S: Final = 24 * 3600.0
MAX_ACTORS: Final = 64

_NAME_CHARS: Final = 64

Key = tuple[str, str, str]
"""Actor, command, id."""


@dataclass(frozen=True, slots=True)
class KeptReply:
    """An answer that may be given again: the members of the reply but for `v` and `ts`, and under `OF` what was asked
    (`Command.fingerprint`), which nobody is told."""

    key: Key
    body: Mapping[str, Any]


OF: Final = "of"
FORGOTTEN: Final[Mapping[str, Any]] = {"forgotten": True}
"""Kept in the place of an answer: the request was not carried out after all, and may come again with its id."""


class ReplyStore(Protocol):
    """Keeps the answers to commands that must not be carried out twice over a restart. May raise `StoreError`."""

    def load(self) -> Sequence[KeptReply]:
        """The newest answers, oldest first, at most `MAX_REPLIES`, none older than `KEEP_S`, nothing that is
        `FORGOTTEN`."""

    def save(self, reply: KeptReply, forget: Sequence[Key]) -> None:
        """Keep this one (replacing one of the same key), forget those. On disk before it returns."""


class ReplyCache(Protocol):
    """The answers given so far."""

    def find(self, key: Key, now_s: float) -> Mapping[str, Any] | None: ...

    def keep(self, key: Key, body: Mapping[str, Any], now_s: float) -> Sequence[Key]:
        """Remember an answer; gives the keys that were forgotten for it."""


class MemoryReplies:
    """A `ReplyCache` that lives as long as the daemon."""

    def __init__(self) -> None:
        self._replies: OrderedDict[Key, tuple[Mapping[str, Any], float]] = OrderedDict()

    def find(self, key: Key, now_s: float) -> Mapping[str, Any] | None:
        self._expire(now_s)
        entry = self._replies.get(key)
        return None if entry is None else entry[0]

    def keep(self, key: Key, body: Mapping[str, Any], now_s: float) -> Sequence[Key]:
        gone = self._expire(now_s)
        self._replies.pop(key, None)
        self._replies[key] = (body, now_s)
        while len(self._replies) > MAX_REPLIES:
            gone.append(self._replies.popitem(last=False)[0])
        return gone

    def _expire(self, now_s: float) -> list[Key]:
        gone = []
        while self._replies:
            key, (_, kept_s) = next(iter(self._replies.items()))
            if now_s - kept_s < KEEP_S:
                break
            del self._replies[key]
            gone.append(key)
        return gone


class RateLimit:
    """A bucket an actor: `burst` requests at once, refilled by `rate_per_s`. Those that are `known` have one of their
    own whoever else comes; strangers beyond MAX_ACTORS share one."""

    def __init__(self, *, rate_per_s: float, burst: int, known: Collection[str] = ()) -> None:
        self._known = frozenset(known)
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._strangers = 0
        self._buckets: dict[str, tuple[float, float]] = {}

    def allow(self, actor: str, now_s: float) -> bool:
        name = actor if actor in self._known else f"?{actor[:_NAME_CHARS]}"
        if name not in self._buckets and name not in self._known and self._strangers >= MAX_ACTORS:
            name = ""
        level, since_s = self._buckets.get(name, (float(self._burst), now_s))
        level = min(float(self._burst), level + max(0.0, now_s - since_s) * self._rate_per_s)
        allowed = level >= 1.0
        self._strangers += name not in self._buckets and name not in self._known
        self._buckets[name] = (level - 1.0 if allowed else level, now_s)
        return allowed
