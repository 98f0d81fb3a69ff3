"""A profile as plain data with line numbers, and reading fields out of it past the first error. PURE.

Owns: `Node`, the error types, typed access to a mapping's keys. Refuses to know what any key means.
Invariant: a field that is wrong adds one `ProfileError` and yields its default, so that one run finds every error.

EdgedError
  ProfileErrors     all errors of one profile
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from edged.chargers.profile_rules import ProfileRule
from edged.ports import EdgedError

E = TypeVar("E", bound=StrEnum)
Scalar = str | int | float | bool | None
KeyPath = tuple[str, ...]

MAX_ERRORS = 500
"""A file that is wrong everywhere is told so once."""
SHOWN_CHARS = 60
"""So much of what a file says stands in a sentence about it."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value and the line (from 1) where it stands. A mapping's keys are always texts, as they were written."""

    value: dict[str, Node] | list[Node] | Scalar
    line: int

    def line_at(self, key_path: KeyPath) -> int:
        """The line of the deepest node on `key_path` that exists."""
        node = self
        for key in key_path:
            if isinstance(node.value, dict) and key in node.value:
                node = node.value[key]
            elif isinstance(node.value, list) and key.isdigit() and int(key) < len(node.value):
                node = node.value[int(key)]
            else:
                break
        return node.line


@dataclass(frozen=True, slots=True)
class ProfileError:
    """One mistake: file, line from 1, dotted key path, a sentence that says what to write instead, the rule's name."""

    path: str
    line: int
    key_path: str
    message: str
    rule: ProfileRule = ProfileRule.WRONG_VALUE

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.key_path or 'profile'}: {self.message} [{self.rule}]"


class ProfileErrors(EdgedError):
    """Every error of one profile, in the order of their lines."""

    def __init__(self, errors: Iterable[ProfileError]) -> None:
        self.errors = tuple(sorted(errors, key=lambda error: (error.line, error.key_path)))
        super().__init__("\n".join(map(str, self.errors)))


@dataclass(slots=True)
class Findings:
    """Collects errors of one document, at most `MAX_ERRORS`."""

    path: str
    root: Node
    errors: list[ProfileError] = field(default_factory=list)
    wrong: set[KeyPath] = field(default_factory=set)

    def add(
        self,
        key_path: KeyPath,
        message: str,
        line: int | None = None,
        *,
        rule: ProfileRule = ProfileRule.WRONG_VALUE,
    ) -> None:
        at = self.root.line_at(key_path) if line is None else line
        if key_path in self.wrong and any((one.line, one.message) == (at, message) for one in self.errors):
            return
        self.wrong.add(key_path)
        where = ".".join(shown(key) for key in key_path)
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(ProfileError(self.path, at, where, message, rule))
        elif len(self.errors) == MAX_ERRORS:
            told = f"more than {MAX_ERRORS} mistakes; the others are not told"
            self.errors.append(ProfileError(self.path, at, where, told, ProfileRule.TOO_MANY_MISTAKES))


class Fields:
    """Typed access to the keys of one mapping. `close()` reports the keys nobody asked for."""

    def __init__(self, findings: Findings, node: Node | None, path: KeyPath) -> None:
        self.findings = findings
        self.path = path
        self._asked: set[str] = set()
        self._nodes: dict[str, Node] = {}
        self.line = node.line if node is not None else 1
        if node is not None:
            if isinstance(node.value, dict):
                self._nodes = node.value
            else:
                self._mistyped(path, f"this must be a mapping of keys, not {_kind(node)}", node)
                self._asked.add("*")

    @property
    def is_mapping(self) -> bool:
        """Whether there is a mapping to read keys of; where there is none, that has been told."""
        return "*" not in self._asked

    def __contains__(self, key: str) -> bool:
        self._asked.add(key)
        return key in self._nodes

    def error(self, key: str, message: str, rule: ProfileRule = ProfileRule.WRONG_VALUE) -> None:
        self.findings.add((*self.path, key) if key else self.path, message, rule=rule)

    def node(self, key: str, *, required: bool = False) -> Node | None:
        self._asked.add(key)
        node = self._nodes.get(key)
        if node is None and required and self.is_mapping:
            self.findings.add(self.path, f"the key {key!r} is missing", self.line, rule=ProfileRule.MISSING_KEY)
        return node

    def text(self, key: str, default: str = "", *, required: bool = False) -> str:
        node = self.node(key, required=required)
        if node is None:
            return default
        if isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
            return str(node.value)
        if not isinstance(node.value, str) or not node.value.strip():
            self.error(key, f"this must be a text, not {_kind(node)}", ProfileRule.WRONG_TYPE)
            return default
        return node.value.strip()

    def number(
        self,
        key: str,
        default: float = 0.0,
        *,
        low: float = -math.inf,
        high: float = math.inf,
        required: bool = False,
    ) -> float:
        node = self.node(key, required=required)
        if node is None:
            return default
        value = node.value
        if isinstance(value, float) and not math.isfinite(value):
            self.error(key, f"this must be a finite number, not {value}", ProfileRule.NOT_FINITE)
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.error(key, f"this must be a number, not {_kind(node)}", ProfileRule.WRONG_TYPE)
            return default
        if not low <= value <= high:
            self.error(key, f"{value} is outside {low:g}..{high:g}", ProfileRule.OUT_OF_RANGE)
            return default
        return float(value)

    def integer(self, key: str, default: int = 0, *, low: int, high: int, required: bool = False) -> int:
        node = self.node(key, required=required)
        if node is None:
            return default
        if isinstance(node.value, bool) or not isinstance(node.value, int):
            self.error(key, f"this must be a whole number, not {_kind(node)}", ProfileRule.WRONG_TYPE)
            return default
        if not low <= node.value <= high:
            self.error(key, f"{node.value} is outside {low}..{high}", ProfileRule.OUT_OF_RANGE)
            return default
        return node.value

    def flag(self, key: str, default: bool = False) -> bool:
        node = self.node(key)
        if node is None:
            return default
        if not isinstance(node.value, bool):
            self.error(key, f"this must be true or false, not {_kind(node)}", ProfileRule.WRONG_TYPE)
            return default
        return node.value

    def choice(self, key: str, choices: type[E], default: E, *, required: bool = False) -> E:
        node = self.node(key, required=required)
        if node is None:
            return default
        chosen = self.as_choice((*self.path, key), node, choices)
        return default if chosen is None else chosen

    def as_choice(self, path: KeyPath, node: Node, choices: type[E]) -> E | None:
        words = [str(choice) for choice in choices]
        if isinstance(node.value, str) and node.value in words:
            return choices(node.value)
        said = str(node.value) if isinstance(node.value, (str, int, float)) else ""
        sentence = f"{_kind(node)} is none of {', '.join(words)}{_hint(said, words)}"
        self.findings.add(path, sentence, node.line, rule=ProfileRule.UNKNOWN_ENUM)
        return None

    def child(self, key: str, *, required: bool = False) -> Fields | None:
        node = self.node(key, required=required)
        return None if node is None else Fields(self.findings, node, (*self.path, key))

    def items(self, key: str, *, or_single: bool = False) -> list[tuple[KeyPath, Node]]:
        """The entries of a list with their key paths; `or_single` takes one entry without a list around it too."""
        node = self.node(key)
        if node is None:
            return []
        if isinstance(node.value, list):
            return [((*self.path, key, str(i)), entry) for i, entry in enumerate(node.value)]
        if or_single:
            return [((*self.path, key), node)]
        self.error(key, f"this must be a list, not {_kind(node)}", ProfileRule.WRONG_TYPE)
        return []

    def entries(self, key: str, *, required: bool = False) -> list[tuple[str, KeyPath, Node]]:
        """Key, key path and node of each entry of a mapping."""
        node = self.node(key, required=required)
        if node is None:
            return []
        if not isinstance(node.value, dict):
            self.error(key, f"this must be a mapping of keys, not {_kind(node)}", ProfileRule.WRONG_TYPE)
            return []
        return [(name, (*self.path, key, name), entry) for name, entry in node.value.items()]

    def scalars(self, key: str, *, required: bool = False) -> tuple[int | float | str, ...]:
        """One scalar or a list of them; true and false count as 1 and 0."""
        found: list[int | float | str] = []
        if self.node(key, required=required) is None:
            return ()
        for path, node in self.items(key, or_single=True):
            if isinstance(node.value, bool):
                found.append(int(node.value))
            elif isinstance(node.value, float) and not math.isfinite(node.value):
                sentence = f"this must be a finite number, not {node.value}"
                self.findings.add(path, sentence, node.line, rule=ProfileRule.NOT_FINITE)
            elif isinstance(node.value, (int, float, str)) and node.value != "":
                found.append(node.value)
            else:
                self._mistyped(path, f"this must be a number or a text, not {_kind(node)}", node)
        return tuple(found)

    def close(self) -> None:
        if not self.is_mapping:
            return
        for key in self._nodes.keys() - self._asked:
            known = sorted(self._asked)
            instead = _hint(key, known) or "; known are " + ", ".join(known)
            self.error(key, f"there is no such key here{instead}", ProfileRule.UNKNOWN_KEY)

    def _mistyped(self, path: KeyPath, sentence: str, node: Node) -> None:
        self.findings.add(path, sentence, node.line, rule=ProfileRule.WRONG_TYPE)


def shown(text: str) -> str:
    """What a file says as it can stand in a sentence: printable and short."""
    short = text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in short)


def _kind(node: Node) -> str:
    match node.value:
        case None:
            return "empty"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case bool():
            return str(node.value).lower()
        case str():
            return f"the text {node.value[:40]!r}"
        case int() | float():
            return f"the number {node.value}"


def _hint(word: str, known: list[str]) -> str:
    if len(word) > SHOWN_CHARS:
        return ""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; {near[0]!r} is near" if near else ""
