"""Reads the annotated configuration for its comments: which keys there are, what each is for.

The rules of that file: a comment behind a key, and those far to the right below it, are that key's; a comment above a
key is that key's too; a key may be commented out (`# key: value`). tests/cli/test_manpages.py watches that each key of
the file is found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_LINE = re.compile(r"(?P<indent> *)(?P<off># {0,9})?(?P<item>- )?(?P<key>[A-Za-z_][\w.\[\]-]*):(?: (?P<rest>.*))?$")
_COMMENT = re.compile(r"(?P<indent> *)# ?(?P<words>.*)$")
_FAR = 16
"""From this column on a comment belongs to the key above."""
OPEN = ("buses", "chargers", "stations.configuration", "stations.custom_keys", "data_transfer.vendors", "mqtt.commands")
"""Mappings whose keys a site chooses."""
NAME = "NAME"


@dataclass(slots=True)
class Key:
    """`path` with dots; `value`: an example of it; `notes`: what is said of it, its default in brackets."""

    path: str
    value: str
    notes: list[str] = field(default_factory=list)

    @property
    def section(self) -> str:
        return self.path.partition(".")[0]

    @property
    def text(self) -> str:
        """A paragraph a note."""
        return "\n\n".join(re.sub(r":$", ".", note) for note in self.notes)


def keys_of(lines: Sequence[str]) -> tuple[list[str], list[Key]]:
    """The comment that the file begins with, line by line, and the keys, each once, in their order."""
    head: list[str] = []
    above: list[str] = []
    found: list[Key] = []
    places: list[tuple[int, str]] = []
    for line in lines:
        key = _LINE.fullmatch(line)
        comment = _COMMENT.fullmatch(line)
        if comment and len(comment["indent"]) >= _FAR:
            found[-1].notes[-1:] = [" ".join((*found[-1].notes[-1:], comment["words"].strip()))]
        elif key and not (key["off"] and not found):
            column = len(key["indent"]) + len(key["item"] or "") + max(len(key["off"] or "") - 2, 0)
            places = [each for each in places if each[0] < column] + [(column, key["key"])]
            value, words = _split(key["rest"] or "")
            _add(found, Key(_path([name for _, name in places]), value, [*filter(None, (" ".join(above), words))]))
            above = []
        elif comment and found:
            above.append(comment["words"].strip())
        elif comment:
            head.append(comment["words"])
        elif above and not found:
            head, above = head + above, []
    return head, found


def _split(rest: str) -> tuple[str, str]:
    """A value, and the comment behind it."""
    value, _, words = f" {rest}".partition(" #")
    return value.strip(), words.strip()


def _path(names: Sequence[str]) -> str:
    path = ""
    for name in names:
        path = f"{path}.{NAME}" if path in OPEN else f"{path}.{name}".lstrip(".")
    return path


def _add(found: list[Key], key: Key) -> None:
    """What stands behind a key that a site chooses may go on with what is said of all such keys."""
    known = {each.path: each for each in found}
    parent = known.get(key.path.rpartition(".")[0])
    if parent is not None and key.path == f"{parent.path}.{NAME}" and key.notes and parent.text.endswith(";"):
        parent.notes[-1:] = [" ".join((*parent.notes[-1:], *key.notes))]
        key.notes = []
    if key.path not in known:
        found.append(key)
    else:
        known[key.path].notes += [note for note in key.notes if note not in known[key.path].notes]
