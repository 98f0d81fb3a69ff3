"""What an entry of the log is about: the fields that go to the journal beside its text.

Owns their names and how an entry comes by them: what a task is about (`about`, `also`, `only`) is true of all that it
logs, and one entry may know more (`fields`). Refuses to know how a log is written (`system.logs`). Invariants: values
are text of bounded length · a field of one entry wins over that of its task · who has no fields logs as ever.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator, Mapping
from typing import Any, Final

FIELDS: Final = {
    "station": "the id of a station",
    "connector": "a connector of that station, as OCPP 1.6 counts them",
    "transaction": "the id of a transaction",
    "message_id": "the id of an OCPP message",
    "charger": "the name of a charger in edged.yaml",
    "bus": "the name of a line: its device, or where it is in the network",
    "command": "the id of a command that came by MQTT or by the control socket",
    "run": "this run of the daemon, another after each start",
}
"""Each with what it holds; in the journal `journal_name`."""
ATTRIBUTE: Final = "edged_fields"
"""The attribute of a record that has fields of its own."""
MAX_CHARS: Final = 256

Fields = Mapping[str, str]
_NONE: Final[Fields] = {}
_about: contextvars.ContextVar[Fields] = contextvars.ContextVar("edged_about", default=_NONE)
_always: dict[str, str] = {}


def journal_name(field: str) -> str:
    return f"EDGED_{field.upper()}"


def fields(**known: object) -> dict[str, Any]:
    """`extra=` of one entry. What is None or empty is not known."""
    return {ATTRIBUTE: _told(known)}


def current() -> Fields:
    """What this task is about."""
    return _about.get()


def again(told: Fields) -> dict[str, Any]:
    """`extra=` of one entry that is about what another task was."""
    return {ATTRIBUTE: told}


@contextlib.contextmanager
def about(**known: object) -> Iterator[None]:
    """All that is logged in this block, and in tasks that it starts, is about this too."""
    token = _about.set({**_about.get(), **_told(known)})
    try:
        yield
    finally:
        _about.reset(token)


def also(**known: object) -> contextvars.Context:
    """A context for a task that is about this too."""
    context = contextvars.copy_context()
    context.run(_about.set, {**_about.get(), **_told(known)})
    return context


def only(**known: object) -> contextvars.Context:
    """A context for a task that is about this alone, whoever has started it."""
    context = contextvars.copy_context()
    context.run(_about.set, _told(known))
    return context


def always(**known: object) -> None:
    """What every entry of this process is about from now on."""
    _always.update(_told(known))


def fields_of(record: object) -> Fields:
    """What an entry is about, asked where it is logged: in its own thread and task."""
    own: Fields = getattr(record, ATTRIBUTE, _NONE)
    return {**_always, **_about.get(), **own}


def _told(known: Mapping[str, object]) -> Fields:
    unknown = known.keys() - FIELDS.keys()
    if unknown:
        raise TypeError(f"no fields of an entry: {', '.join(sorted(unknown))}")
    return {name: str(value)[:MAX_CHARS] for name, value in known.items() if value is not None and value != ""}
