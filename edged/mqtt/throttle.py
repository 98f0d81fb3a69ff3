"""When a measured value is worth a message (docs/mqtt). Pure: the time comes in.

Owns the dead bands and intervals. Everything but measured values passes at once: a change of quality, of a transaction,
of any other document. Invariants: what is held back is never lost, only replaced by something newer · a topic is sent
at most once a `min_interval_s` for a measured value alone, and at least once a maximum interval while readings come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edged.mqtt.documents import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadband:
    """How far each quantity must move before it is told; a power also by `power_share` of what was told last."""

    voltage_v: float = 2.0
    current_a: float = 0.3
    power_w: float = 100.0
    power_share: float = 0.02
    energy_wh: float = 10.0
    temperature_c: float = 1.0
    frequency_hz: float = 0.1
    soc_pct: float = 1.0
    min_interval_s: float = 2.0
    max_interval_busy_s: float = 10.0
    max_interval_idle_s: float = 60.0


_MEASURED: Final = (
    "power_w",
    "energy_wh",
    "current_a",
    "voltage_v",
    "frequency_hz",
    "temperature_c",
    "soc_pct",
)


@dataclass(frozen=True, slots=True)
class _Told:
    document: Document
    at_s: float


class Throttle:
    """One for all topics; `admit` for each new document, `due` from time to time for what was held back."""

    def __init__(self, deadband: Deadband | None = None) -> None:
        self._deadband = deadband or Deadband()
        self._told: dict[str, _Told] = {}
        self._held: dict[str, tuple[Document, bool]] = {}

    def admit(self, topic: str, document: Document, now_s: float, *, busy: bool, force: bool = False) -> bool:
        """Whether this document goes out now; otherwise it is held back. `busy`: the connector charges."""
        told = self._told.get(topic)
        if told is not None and not force and not self._worth(told, document, now_s, busy=busy):
            if _says_more(document, told.document):
                self._held[topic] = (document, busy)
            else:
                self._held.pop(topic, None)
            return False
        self._held.pop(topic, None)
        self._told[topic] = _Told(document, now_s)
        return True

    def due(self, now_s: float) -> dict[str, Document]:
        """What was held back and is worth a message by now."""
        out = {}
        for topic, (document, busy) in tuple(self._held.items()):
            if self.admit(topic, document, now_s, busy=busy):
                out[topic] = document
        return out

    def forget(self, topic: str) -> None:
        """The topic is shown no more."""
        self._told.pop(topic, None)
        self._held.pop(topic, None)

    def _worth(self, told: _Told, new: Document, now_s: float, *, busy: bool) -> bool:
        old_body, new_body = told.document.body, new.body
        if isinstance(old_body, str) or isinstance(new_body, str) or _facts(old_body) != _facts(new_body):
            return True
        if not _says_more(new, told.document):
            return False
        age_s = now_s - told.at_s
        band = self._deadband
        if age_s < band.min_interval_s:
            return False
        if age_s >= (band.max_interval_busy_s if busy else band.max_interval_idle_s):
            return True
        return any(self._moved(name, old_body.get(name), new_body.get(name)) for name in _MEASURED)

    def _moved(self, name: str, old: Any, new: Any) -> bool:
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            return any(self._moved(name, old.get(phase), new.get(phase)) for phase in {*old, *new})
        if old is None or new is None:
            return old is not new
        band = float(getattr(self._deadband, name))
        if name == "power_w":
            band = max(band, self._deadband.power_share * abs(old))
        return bool(abs(new - old) >= band)


def _facts(body: Mapping[str, Any]) -> dict[str, Any]:
    """What passes at once: all that is not measured."""
    return {name: value for name, value in body.items() if name not in _MEASURED}


def _says_more(new: Document, old: Document) -> bool:
    return not new.says_the_same(old) or (new.repeated and new.at != old.at)
