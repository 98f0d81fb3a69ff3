"""YAML text to a tree of nodes with line numbers: mappings, lists and scalars as they were written.

Owns the hostile side of YAML: size, depth, number of nodes, aliases, tags, tabs, encodings, repeated keys. Refuses to
know any key. Scalars stay text: YAML 1.1 would read `off` as false and a token `0012` as ten; what a text means is
decided by the key it stands under.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from edged.settings.errors import shown

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 12
MAX_NODES = 20_000
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class Scalar:
    """`plain`: written without quotes."""

    text: str
    line: int
    plain: bool = True

    @property
    def is_null(self) -> bool:
        return self.plain and self.text in _NULLS


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping and what stands under it. `line` is the key's."""

    key: str
    node: Node
    line: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys are unique."""

    entries: tuple[Entry, ...]
    line: int


Node = Scalar | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class Repeated:
    """A key that was written twice."""

    key: str
    line: int
    first_line: int


class DocumentError(Exception):
    """The text is no document at all; nothing behind `line` can be trusted. Never leaves the settings."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.sentence = sentence


def read_document(content: bytes) -> tuple[Node, list[Repeated]]:
    """The tree of one YAML document. Raises `DocumentError`."""
    text = _decode(content)
    try:
        events = yaml.parse(text, Loader=yaml.SafeLoader)
        return _Builder(events).build()
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentError(line, "holds a character that does not belong into a text file: delete it") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML turns escapes like "\UFFFFFFFF" and endless version numbers into bare ValueErrors.
        raise DocumentError(0, "holds an escape or a number that YAML does not allow: write it out") from error


def _decode(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise DocumentError(0, f"is larger than {MAX_BYTES // 1024} KiB: this is not a configuration of edged")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DocumentError(line, "is not UTF-8 text: save the file as UTF-8") from error


def _explained(error: yaml.MarkedYAMLError, text: str) -> DocumentError:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return DocumentError(0, "is not YAML: compare it with the example")
    line = mark.line + 1
    lines = text.splitlines()
    written = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in written[: max(mark.column + 1, len(written) - len(written.lstrip()))]:
        return DocumentError(line, "is indented with a tab: use spaces")
    problem = shown(str(error.problem or "cannot be read"), limit=120)
    return DocumentError(line, f"is not YAML ({problem}): check the indentation, the colons and the quotes")


class _Builder:
    """Builds nodes from parser events without recursion deeper than `MAX_DEPTH`."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._count = 0
        self._repeated: list[Repeated] = []

    def build(self) -> tuple[Node, list[Repeated]]:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentEndEvent)):
                continue
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise DocumentError(_line(event), "starts a second document with ---: write one document only")
                continue
            root = self._node(event, depth=0)
        if root is None or (isinstance(root, Scalar) and root.is_null):
            raise DocumentError(0, "is empty: write at least chargers and stations")
        return root, self._repeated

    def _node(self, event: yaml.Event, *, depth: int) -> Node:
        self._count += 1
        line = _line(event)
        if self._count > MAX_NODES:
            raise DocumentError(line, f"holds more than {MAX_NODES} values: this is not a configuration of edged")
        if depth > MAX_DEPTH:
            raise DocumentError(line, f"is nested deeper than {MAX_DEPTH} levels: this is not a configuration of edged")
        if isinstance(event, yaml.AliasEvent):
            raise DocumentError(line, "repeats a value with *: write it out, aliases are not used here")
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) not in (None, "!"):
            raise DocumentError(line, "has a tag (!): write the plain value, tags are not used here")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, line)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(inner, depth=depth + 1))
            return Sequence(tuple(items), line)
        return self._mapping(line, depth)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Scalar:
        text = str(event.value)
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise DocumentError(line, "holds half a character (an escape between \\ud800 and \\udfff): write it whole")
        return Scalar(text, line, plain=event.style is None)

    def _mapping(self, line: int, depth: int) -> Mapping:
        entries: dict[str, Entry] = {}
        while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
            key = self._node(inner, depth=depth + 1)
            if not isinstance(key, Scalar):
                raise DocumentError(key.line, "uses a list or a mapping as a key: keys are words")
            value = self._node(next(self._events), depth=depth + 1)
            first = entries.get(key.text)
            if first is None:
                entries[key.text] = Entry(key.text, value, key.line)
            else:
                self._repeated.append(Repeated(key.text, key.line, first.line))
        return Mapping(tuple(entries.values()), line)


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return mark.line + 1 if mark is not None else 0
