"""Level-triggered reports: what the other side must be told now so that its view becomes ours.

Owns: per key the current value, what was handed out for sending and what was acknowledged.
Refuses to know: what keys and values are, how a report is sent, clocks.
Invariants: a key's values are handed out in the order they began · nothing is handed out while disconnected · once
everything is acknowledged, the other side's last value is ours · bounded per key.

The caller calls `observe` on every change and tick (connected or not, so that ages are true), sends what it gets in
that order, and tells for each one, in order, `acknowledged` or `failed`; on a lost line only `disconnected`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from edged.ocpp.framing import LocalProtocolError

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

MAX_UNACKNOWLEDGED: Final = 16
MAX_FAILURES: Final = 3
RETRY_S: Final = 60.0


@dataclass(slots=True)
class _Handed(Generic[Value]):
    value: Value
    counts: bool = True  # false after a reset: its acknowledgement tells nothing any more


@dataclass(slots=True)
class _Entry(Generic[Value]):
    current: Value
    since_s: float
    told: list[Value] = field(default_factory=list)  # the last acknowledged value; empty: none
    uncertain: bool = False  # a later value may have arrived, nobody knows
    handed: deque[_Handed[Value]] = field(default_factory=deque)
    failures: int = 0  # of the current value
    retry_from_s: float | None = None
    failed_just_now: bool = False

    def begin(self, value: Value, now_s: float) -> None:
        self.current, self.since_s = value, now_s
        self.forget_failures()

    def forget_failures(self) -> None:
        self.failures = 0
        self.retry_from_s = None
        self.failed_just_now = False

    def due(self, now_s: float, minimum_s: float, same: Callable[[Value, Value], bool]) -> bool:
        if len(self.handed) >= MAX_UNACKNOWLEDGED or self.failures >= MAX_FAILURES:
            return False
        if self.retry_from_s is not None and now_s < self.retry_from_s:
            return False
        under_way = bool(self.handed) and self.handed[-1].counts
        if not under_way and not self.told:
            return True
        believed = self.handed[-1].value if under_way else self.told[0]
        if same(self.current, believed) and (under_way or not self.uncertain):
            return False
        return now_s - self.since_s >= minimum_s


class Reporter(Generic[Key, Value]):
    """Begins disconnected and with everything due.

    A value whose report failed is due again after 60 s, three times in all; then it is left until it changes or the
    line comes back (a CSMS that refuses a report would refuse it for ever). A value that was under way when the line
    broke may have arrived: the current one is reported after it even where it equals the last acknowledged.
    """

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry[Value]] = {}
        self._connected = False

    def connected(self) -> None:
        """Reports may be sent from now on (line up and station accepted)."""
        self._connected = True

    def disconnected(self) -> None:
        """The line is gone: what was handed out counts as not acknowledged and is not replayed."""
        self._connected = False
        for entry in self._entries.values():
            entry.uncertain = entry.uncertain or bool(entry.handed)
            entry.handed.clear()
            entry.forget_failures()

    def reset(self) -> None:
        """The other side knows nothing any more (after a boot): everything is due again."""
        for entry in self._entries.values():
            entry.told = []
            entry.uncertain = False
            entry.forget_failures()
            for handed in entry.handed:
                handed.counts = False

    def observe(
        self, values: Mapping[Key, Value], now_s: float, minimum_s: float, same: Callable[[Value, Value], bool]
    ) -> list[tuple[Key, Value]]:
        """All current values; gives those to send now, oldest first.

        With `minimum_s` 0 every change; otherwise a change only once it has lasted that long, save for a key that the
        other side was never told. `same` may ignore part of a value: the first one of a run of equals is reported.
        A key that is missing is forgotten.
        """
        for key in [key for key, entry in self._entries.items() if key not in values and not entry.handed]:
            del self._entries[key]
        for key, value in values.items():
            entry = self._entries.setdefault(key, _Entry(value, now_s))
            if not same(value, entry.current):
                entry.begin(value, now_s)
            if entry.failed_just_now:
                entry.failed_just_now = False
                entry.retry_from_s = now_s + RETRY_S
        if not self._connected:
            return []
        due = [key for key in values if self._entries[key].due(now_s, minimum_s, same)]
        due.sort(key=lambda key: self._entries[key].since_s)  # stable: within one moment the caller's order holds
        for key in due:
            entry = self._entries[key]
            entry.handed.append(_Handed(entry.current))
            entry.retry_from_s = None
        return [(key, self._entries[key].current) for key in due]

    def tell(self, key: Key, value: Value, now_s: float) -> None:
        """This value is sent without being due (the other side asked): its outcome is told like any other's."""
        self._entries.setdefault(key, _Entry(value, now_s)).handed.append(_Handed(value))

    def acknowledged(self, key: Key) -> None:
        """The oldest value of this key that was handed out has arrived."""
        entry, handed = self._oldest(key)
        if handed.counts:
            entry.told = [handed.value]
            entry.uncertain = False

    def failed(self, key: Key) -> None:
        """The oldest value of this key that was handed out was refused or never answered."""
        entry, handed = self._oldest(key)
        if not handed.counts:
            return
        entry.uncertain = True
        # An older value is not replayed behind a newer one: only the current one is worth another try.
        if not entry.handed and handed.value is entry.current:
            entry.failures += 1
            entry.failed_just_now = True

    def _oldest(self, key: Key) -> tuple[_Entry[Value], _Handed[Value]]:
        entry = self._entries.get(key)
        if entry is None or not entry.handed:
            raise LocalProtocolError("nothing of this key is under way")
        return entry, entry.handed.popleft()
