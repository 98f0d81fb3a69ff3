"""What somebody sees who looks at a gateway's topics: the newest of each, and the last of what only passes by.

Pure: the time comes in. Owns the decoding of any payload into a few words, whatever its members are: members may grow,
and a watcher that only knew those of yesterday would hide the new ones. Refuses to know the screen and the broker.
Invariants: memory is bounded · nothing that a payload says can be an error.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edged.mqtt.names import Names

MAX_TOPICS: Final = 20_000
MAX_TEXT: Final = 200
LOG_LINES: Final = 200
_UNITS: Final = {
    "w": "W",
    "wh": "Wh",
    "a": "A",
    "v": "V",
    "hz": "Hz",
    "c": "°C",
    "s": "s",
    "ms": "ms",
    "pct": "%",
    "bytes": "B",
}
_ENVELOPE: Final = frozenset({"v", "ts", "as_of_seq"})
_PASSING: Final = ("event/", "rpc/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One message, decoded. `place`: the topic below the gateway's tree, the whole topic where it is none of it.
    `value`: a JSON value, or a text; None: the topic was deleted. `passing`: it is no state, so it has its place in
    time only."""

    topic: str
    place: str
    value: Any
    retained: bool
    passing: bool

    @property
    def time(self) -> str:
        """When it was observed, as far as the payload says: HH:MM:SS in UTC."""
        ts = self.value.get("ts") if isinstance(self.value, Mapping) else None
        return ts[11:19] if isinstance(ts, str) and len(ts) >= 19 else ""

    @property
    def words(self) -> str:
        return "deleted" if self.value is None else words(self.value)


class Scene:
    """`take` each message; `tree` and `log` show what there is."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._state: dict[str, Sight] = {}
        self.log: deque[Sight] = deque(maxlen=LOG_LINES)
        self.left_out = 0

    def take(self, topic: str, payload: bytes, *, retained: bool) -> Sight:
        prefix = f"{self._names.prefix}/"
        place = topic.removeprefix(prefix)
        raw = place.startswith("station/") and "/ocpp/raw/" in place
        passing = raw or place.startswith(_PASSING)
        sight = Sight(
            topic=topic, place=place, value=decoded(payload) if payload else None, retained=retained, passing=passing
        )
        if passing:
            self.log.append(sight)
        elif sight.value is None:
            self._state.pop(place, None)
        elif place in self._state or len(self._state) < MAX_TOPICS:
            self._state[place] = sight
        else:
            self.left_out += 1
        return sight

    @property
    def status(self) -> str | None:
        """`online`, `offline`, or None where nothing has said so: the gateway was never here, or was purged."""
        sight = self._state.get("status")
        return None if sight is None else str(sight.value)

    def state_value(self, topic: str) -> Any:
        """The newest of a topic by its whole name; None where there is none."""
        sight = self._state.get(topic.removeprefix(f"{self._names.prefix}/"))
        return None if sight is None else sight.value

    def state(self, place: str) -> Mapping[str, Any]:
        """A document of the tree; empty where there is none."""
        sight = self._state.get(place)
        return sight.value if sight is not None and isinstance(sight.value, Mapping) else {}

    def tree(self) -> Iterator[tuple[str, Sight | None]]:
        """Every state in the order of the tree; None with the name of a branch before its leaves."""
        branch = ""
        for place in sorted(self._state, key=_order):
            over = place.rpartition("/")[0]
            if over != branch:
                branch = over
                yield branch, None
            yield place, self._state[place]


def _order(place: str) -> tuple[tuple[int, int, str], ...]:
    """Leaves before branches, numbers by their size."""
    levels = place.split("/")
    out = []
    for depth, level in enumerate(levels):
        number = int(level) if level.isascii() and level.isdigit() and len(level) < 6 else 0
        out.append((int(depth < len(levels) - 1), number, level))
    return tuple(out)


def decoded(payload: bytes) -> Any:
    """A JSON object as it is; anything else as text."""
    text = payload.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text[:MAX_TEXT]
    return found if isinstance(found, dict) else text[:MAX_TEXT]


def words(value: Any) -> str:
    """Members as `name value unit`, separated by commas; what is not known is left out, `no NAME` says false."""
    if not isinstance(value, Mapping):
        return _plain(value)
    return ", ".join(part for name, each in value.items() if name not in _ENVELOPE and (part := _member(name, each)))


def _member(name: str, value: Any) -> str:
    if value is None or value == {} or value == []:
        return ""
    head, _, last = name.rpartition("_")
    unit = _UNITS.get(last) if head else None
    label = (head if unit else name).replace("_", " ")
    if isinstance(value, bool):
        return label if value else f"no {label}"
    if isinstance(value, Mapping):
        if unit and all(not isinstance(each, Mapping | list) for each in value.values()):
            return f"{label} {'/'.join('-' if each is None else _plain(each) for each in value.values())} {unit}"
        inner = words(value)
        return f"{label} ({inner})" if inner else ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"{label} [{'; '.join(words(each) for each in value)}]"
    return f"{label} {_plain(value)}{f' {unit}' if unit else ''}"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."
