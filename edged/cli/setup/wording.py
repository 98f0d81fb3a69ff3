"""A tree as YAML, with a short comment at what an installer may want to change.

Pure. Owns quoting and comments. Invariants: whatever stands in the tree, the loader reads the same tree back; the same
tree is the same text; a password that is written out is shown to nobody (`shown=True`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edged.cli.setup.draft import Place, is_reference
from edged.settings.document import Mapping, Node, Scalar, Sequence

HEAD = (
    "# Written by edged setup; every key is explained in /usr/share/edged/edged.yaml.",
    "# After a change: edged check, then systemctl reload edged; after that of a password systemctl restart edged.",
)
ABOVE = {
    "buses": "Lines that chargers share.",
    "chargers": "The things on the wires; edged check says what each of them can do.",
    "stations": "One entry, one OCPP identity, one connection to a CSMS.",
    "mqtt": "The mirror and the commands for a building and its people.",
}
BEHIND = {
    "gateway.id": "in MQTT topics and logs",
    "chargers.*.max_current_a": "what the installation allows: never exceeded",
    "stations.*.id": "appended to the url; the user name of the password",
    "stations.*.csms.versions": "offered in this order",
    "stations.*.csms.security_profile": "0 nothing, 1 password, 2 and TLS, 3 certificate and TLS",
    "stations.*.csms.password": "in the folder credentials",
    "stations.*.csms.ca_file": "who may sign the CSMS's certificate",
    "stations.*.evses": "in order: EVSE 1, 2, ...",
    "mqtt.password": "in the folder credentials",
    "mqtt.root": "topics are ROOT/v1/GATEWAY/...",
    "mqtt.home_assistant": "the prefix of its discovery",
    "mqtt.commands": 'who may send which commands; "*" for all',
}
HIDDEN = "***"
WIDTH = 120
_WORD = r"[A-Za-z0-9_/$][A-Za-z0-9_./+@%${}-]*(?::[A-Za-z0-9_./+@%${}-]+)*"
_SAFE = re.compile(rf"{_WORD}(?: {_WORD})*")
_SAFE_IN_LIST = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./+@%-]*(?: [A-Za-z0-9_./+@%-]+)*")
_SAFE_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
_MEANT = frozenset({"", "~", "null", "true", "false", "yes", "no", "on", "off"})
"""Words that mean something else with quotes than without."""


def worded(draft: Node, *, shown: bool = False) -> str:
    """The whole file. `shown`: for the eyes of whoever stands behind the installer, no password in it."""
    lines = list(HEAD)
    if isinstance(draft, Mapping):
        for entry in draft.entries:
            lines.append("")
            if entry.key in ABOVE:
                lines.append(f"# {ABOVE[entry.key]}")
            lines += _entry(entry.key, entry.node, (entry.key,), "", shown)
    return "\n".join(lines) + "\n"


def _entry(key: str, node: Node, place: Place, indent: str, shown: bool) -> Iterator[str]:
    head = f"{indent}{_key(key)}:"
    comment = BEHIND.get(".".join(_pattern(place)))
    inline = _inline(node, hidden=shown and place[-1] == "password")
    if inline is not None:
        yield _with_comment(f"{head} {inline}", comment)
        return
    yield _with_comment(head, comment)
    yield from _block(node, place, indent + "  ", shown)


def _block(node: Node, place: Place, indent: str, shown: bool) -> Iterator[str]:
    if isinstance(node, Mapping):
        for entry in node.entries:
            yield from _entry(entry.key, entry.node, (*place, entry.key), indent, shown)
    elif isinstance(node, Sequence):
        for number, item in enumerate(node.items):
            inline = _inline(item)
            if inline is not None:
                yield f"{indent}- {inline}"
                continue
            inner = list(_block(item, (*place, number), indent + "  ", shown))
            yield f"{indent}- {inner[0].lstrip(' ')}"
            yield from inner[1:]


def _inline(node: Node, *, hidden: bool = False) -> str | None:
    """What stands behind the colon, None where it takes lines of its own."""
    match node:
        case Scalar():
            return HIDDEN if hidden and not is_reference(node.text) else _scalar(node, _SAFE)
        case Sequence(items=items):
            if not all(isinstance(item, Scalar) for item in items):
                return None
            return f"[{', '.join(_scalar(item, _SAFE_IN_LIST) for item in items if isinstance(item, Scalar))}]"
        case Mapping(entries=()):
            return "{}"
        case Mapping():
            return None


def _scalar(node: Scalar, safe: re.Pattern[str]) -> str:
    if node.is_null:
        return "~"
    is_word = node.text.lower() not in _MEANT and not _NUMBER.fullmatch(node.text)
    if node.plain and (not is_word or safe.fullmatch(node.text)):
        return node.text
    return node.text if is_word and safe.fullmatch(node.text) else quoted(node.text)


def _key(key: str) -> str:
    return key if _SAFE_KEY.fullmatch(key) and key.lower() not in _MEANT else quoted(key)


def quoted(words: str) -> str:
    """Any text in double quotes, in one line."""
    return f'"{"".join(map(_escaped, words))}"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _with_comment(line: str, comment: str | None) -> str:
    if comment is None or len(line) + len(comment) + 4 > WIDTH:
        return line
    return f"{line:<30}  # {comment}"


def _pattern(place: Place) -> Iterator[str]:
    """A place with a star for each name and number that a site chooses."""
    for number, step in enumerate(place):
        yield "*" if isinstance(step, int) or (number == 1 and place[0] in ("chargers", "buses")) else step


def comments(words: str) -> Iterator[tuple[int, str]]:
    """Line, from 1, and text of everything that may be a comment; a # within a value counts as one too."""
    for number, line in enumerate(words.splitlines(), start=1):
        _, sign, comment = line.partition("#")
        if sign:
            yield number, comment.strip()
