"""How the command line speaks: exit statuses, sentences on standard error, values as text or JSON.

Invariant: nothing that a peer, a charger or a file says reaches the terminal as anything but printable text.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edged.settings import SettingsError, SettingsErrors, SettingsWarning

DONE = 0
FAILED = 1
USAGE = 2
BAD_CONFIGURATION = 78

MAX_CELL_CHARS = 60
_SUDO = re.compile(r"\bsudo (?=[a-z/])")


def clean(text: str) -> str:
    """Printable text in one line."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def say(text: str = "") -> None:
    print(clean(text))


def typed(text: str) -> str:
    """Our own words with their commands as whoever reads them can paste them.

    All that takes root is written with sudo, everywhere. It is left out for somebody who is root without it: a small
    Debian has no sudo.
    """
    return _SUDO.sub("", text) if os.geteuid() == 0 and not os.environ.get("SUDO_USER") else text


def complain(sentence: str) -> None:
    """One sentence on standard error."""
    _tell(f"edged: {clean(typed(sentence))}", logging.ERROR)


def warn(sentence: str) -> None:
    """The same of something that holds nobody up."""
    _tell(f"warning: {clean(sentence)}", logging.WARNING)


def _tell(line: str, level: int) -> None:
    """A line on standard error, with its priority where that is the journal: a service failed before it had a log."""
    if "JOURNAL_STREAM" in os.environ:
        from edged.system import journal, logs

        line = f"<{journal.priority(level)}>{line}" if logs.is_journal(sys.stderr, os.environ) else line
    print(line, file=sys.stderr)


def say_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=True, default=str))


def finding(found: SettingsError | SettingsWarning) -> dict[str, Any]:
    """One mistake as JSON; a profile's names its rule."""
    told = {"file": found.file, "line": found.line, "path": found.path, "message": found.sentence}
    rule = found.rule if isinstance(found, SettingsError) else ""
    return {**told, "rule": rule} if rule else told


def complain_about_settings(errors: SettingsErrors) -> None:
    """Each error and warning of a configuration on a line of its own."""
    for warning in errors.warnings:
        warn(str(warning))
    complain_about(errors.errors, "the configuration", ": nothing was started")


def complain_about(errors: Sequence[SettingsError], what: str, so: str = "") -> None:
    """Each error of a file on a line of its own, and how many there are."""
    for error in errors:
        _tell(clean(str(error)), logging.ERROR)
    count = len(errors)
    complain(f"{what} is wrong in {count} place{'s' if count > 1 else ''}{so}")


def lines_of(value: Any, *, indent: str = "") -> Iterable[str]:
    """Any JSON value as text for people: members in lines, lists of alike objects as tables."""
    if isinstance(value, Mapping):
        yield from _members(value, indent)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from _list(value, indent)
    else:
        yield indent + cell(value)


def _members(members: Mapping[str, Any], indent: str) -> Iterable[str]:
    plain = [key for key, value in members.items() if _is_plain(value)]
    width = max((len(key) for key in plain), default=0)
    for key in plain:
        yield f"{indent}{key:<{width}}  {cell(members[key])}"
    for key, value in members.items():
        if key in plain:
            continue
        if value:
            yield f"{indent}{key}:"
            yield from lines_of(value, indent=indent + "  ")
        else:
            yield f"{indent}{key}: none"


def _list(items: Sequence[Any], indent: str) -> Iterable[str]:
    if items and all(
        isinstance(item, Mapping) and all(_is_plain(each) or not each for each in item.values()) for item in items
    ):
        yield from _table(items, indent)
        return
    for place, item in enumerate(items):
        if place and isinstance(item, Mapping):
            yield ""
        yield from lines_of(item, indent=indent)


def _table(rows: Sequence[Mapping[str, Any]], indent: str) -> Iterable[str]:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(text) for text in (column, *rest)) for column, *rest in zip(columns, *cells, strict=True)]
    for line in (columns, *cells):
        yield (indent + "  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True))).rstrip()


def _is_plain(value: Any) -> bool:
    """Whether it fits into a cell: a scalar, or a list of scalars."""
    if isinstance(value, (list, tuple)):
        return bool(value) and not any(isinstance(each, (Mapping, list, tuple)) for each in value)
    return not isinstance(value, Mapping)


def cell(value: Any) -> str:
    """One plain value as a word."""
    match value:
        case None | "":
            return "-"
        case list() | tuple():
            return ", ".join(map(cell, value)) or "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"
        case _:
            text = clean(str(value))
            return text if len(text) <= MAX_CELL_CHARS else text[: MAX_CELL_CHARS - 3] + "..."
