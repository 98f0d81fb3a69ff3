"""How `edged mqtt watch` looks: a screen that is drawn again, or a line for each message."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from edged.cli import output
from edged.mqtt.names import Names
from edged.mqtt.watching import Scene, Sight

LOG_SHARE: Final = 3
"""A third of the screen is for what happens."""
MAX_LOG: Final = 12
_INDENT: Final = "  "


def line(sight: Sight, at: datetime) -> str:
    """One message in one line. `at`: when it came."""
    return f"{sight.time or at.strftime('%H:%M:%S')}  {sight.place}  {_sentence(sight)}".rstrip()


def screen(scene: Scene, names: Names, where: str, *, broker: str, columns: int, rows: int) -> Iterator[str]:
    """As many lines as fit. `where`: the broker's address; `broker`: how it stands with it."""
    yield from (_fit(text, columns) for text in _head(scene, names, where, broker))
    log = list(scene.log)[-min(MAX_LOG, max(3, rows // LOG_SHARE)) :]
    room = max(1, rows - 5 - len(log))
    leaves = list(_leaves(scene))
    for text in leaves[:room] if len(leaves) <= room else leaves[: room - 1]:
        yield _fit(text, columns)
    if len(leaves) > room:
        yield f"{_INDENT}... and {len(leaves) - room + 1} lines more: a higher window shows them, and so does a pipe"
    if log:
        yield ""
        for sight in log:
            yield _fit(f"{sight.time or '        '}  {sight.place}  {_sentence(sight)}", columns)


def _head(scene: Scene, names: Names, where: str, broker: str) -> Iterator[str]:
    yield f"{names.prefix} at {where}, {broker}"
    info = scene.state("info")
    told = {None: "nothing is known of this gateway at this broker", "online": "edged is online"}
    words = told.get(scene.status, "edged is offline: what follows is what it said last")
    version = f" ({info['version']})" if "version" in info else ""
    yield words + version
    yield ""


def _leaves(scene: Scene) -> Iterator[str]:
    sights = [(place, sight) for place, sight in scene.tree() if not place.startswith("point-meta")]
    width = max((len(place.rpartition("/")[2]) for place, sight in sights if sight is not None), default=0)
    for place, sight in sights:
        if sight is None:
            yield place
        else:
            depth = _INDENT if "/" in place else ""
            yield f"{depth}{place.rpartition('/')[2]:<{width}}  {sight.time:<8}  {sight.words}".rstrip()


def _sentence(sight: Sight) -> str:
    """An event says its kind first; of a call and its answer the body is enough."""
    value = sight.value
    if not isinstance(value, dict) or not isinstance(value.get("event_type"), str):
        return sight.words
    rest = {name: each for name, each in value.items() if name in ("station", "connector", "source", "data")}
    again = ", told again" if value.get("replayed") is True else ""
    body = Sight(topic="", place="", value=rest, retained=False, passing=True).words
    return f"{value['event_type']}: {body}{again} (event {value.get('seq', '?')})"


def _fit(text: str, columns: int) -> str:
    text = output.clean(text)
    return text if len(text) <= columns else text[: max(1, columns - 1)] + "…"
