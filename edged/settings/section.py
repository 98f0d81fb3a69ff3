"""Typed reading of one mapping's keys, which collects what is wrong instead of stopping at it.

Owns types, bounds, unknown keys and the sentences about them. Refuses to know what a key is for. Invariant: a key that
is wrong adds one error and yields its default, so that one run finds every error of a file.
"""

from __future__ import annotations

import difflib
import re
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from edged.settings.document import Entry, Mapping, Node, Scalar, Sequence
from edged.settings.errors import SettingsError, SettingsErrors, SettingsWarning, shown
from edged.settings.secret import NotShown, ReferenceProblem, References, Secret

D = TypeVar("D")
E = TypeVar("E", bound=StrEnum)

MAX_FINDINGS = 100
MAX_TEXT = 2048
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a text must look like, and the sentence for one that does not."""

    expression: re.Pattern[str]
    advice: str


@dataclass(slots=True)
class Report:
    """Collects findings about one file; the first `MAX_FINDINGS` of each kind are kept.

    `not_shown`: where what this user may not read is told; None: it is a mistake like any other.
    """

    file: str
    references: References
    errors: list[SettingsError] = field(default_factory=list)
    warnings: list[SettingsWarning] = field(default_factory=list)
    not_shown: list[SettingsError] | None = None

    def error(self, line: int, path: str, sentence: str) -> None:
        if len(self.errors) < MAX_FINDINGS:
            self.errors.append(SettingsError(self.file, line, path, sentence))

    def unread(self, line: int, path: str, sentence: str) -> None:
        """Of a file that is there, and not for this user."""
        if self.not_shown is None:
            self.error(line, path, sentence)
        elif len(self.not_shown) < MAX_FINDINGS:
            self.not_shown.append(SettingsError(self.file, line, path, sentence))

    def warning(self, line: int, path: str, sentence: str) -> None:
        if len(self.warnings) < MAX_FINDINGS:
            self.warnings.append(SettingsWarning(self.file, line, path, sentence))

    @property
    def full(self) -> bool:
        return len(self.errors) >= MAX_FINDINGS

    def raise_errors(self) -> None:
        """Raises `SettingsErrors` where there are any; this file's own in the order of its lines, others behind."""
        if self.errors:
            ordered = sorted(self.errors, key=lambda error: (error.file != self.file, error.file, error.line))
            raise SettingsErrors(ordered, self.warnings)


def hint(word: str, known: Iterable[str]) -> str:
    """ "did you mean" for a word that is near a known one, otherwise all that are known."""
    words = sorted(known)
    folded = {each.lower().replace("_", "-"): each for each in words}
    near = difflib.get_close_matches(word[:64].lower().replace("_", "-"), folded, n=1, cutoff=0.6)
    if near:
        return f"did you mean {folded[near[0]]}?"
    return f"known are {', '.join(words[:40])}" if words else ""


def kind_of(node: Node) -> str:
    """What somebody wrote, in words."""
    match node:
        case Mapping():
            return "keys with values"
        case Sequence():
            return "a list"
        case Scalar() if node.is_null:
            return "nothing"
        case Scalar():
            return f"'{shown(node.text)}'"


class Section:
    """One mapping. Ask for every key it may hold, then `close` it, which reports the rest."""

    def __init__(self, report: Report, node: Node, path: str) -> None:
        self.report = report
        self.path = path
        self.line = node.line
        self._known: set[str] = set()
        self._entries: dict[str, Entry] = {}
        if isinstance(node, Mapping):
            self._entries = {entry.key: entry for entry in node.entries}
        elif not (isinstance(node, Scalar) and node.is_null):
            report.error(node.line, path, f"must hold keys with values, not {kind_of(node)}")

    # --- places and findings ------------------------------------------------------------------------------------------

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def path_of(self, key: str) -> str:
        return f"{self.path}.{shown(key)}" if self.path else shown(key)

    def is_empty(self, key: str) -> bool:
        """Whether a list or mapping is written under a key and has nothing in it."""
        entry = self._entries.get(key)
        match entry.node if entry is not None else None:
            case Sequence(items=()) | Mapping(entries=()):
                return True
            case Scalar() as scalar:
                return scalar.is_null
            case _:
                return False

    def line_of(self, key: str) -> int:
        """The line of a key, or of the section where it is not written."""
        return self._entries[key].line if key in self._entries else self.line

    def error(self, key: str, sentence: str) -> None:
        self.report.error(self.line_of(key), self.path_of(key), sentence)

    def warning(self, key: str, sentence: str) -> None:
        self.report.warning(self.line_of(key), self.path_of(key), sentence)

    def close(self) -> None:
        """Report the keys that nobody asked for."""
        for key in self._entries.keys() - self._known:
            if self.report.full:
                return
            self.error(key, f"is not a key that edged knows here; {hint(key, self._known)}")

    # --- values -------------------------------------------------------------------------------------------------------

    def node(self, key: str) -> Node | None:
        """What stands under a key; from now on the key is known."""
        self._known.add(key)
        entry = self._entries.get(key)
        return None if entry is None else entry.node

    def _scalar(self, key: str, wanted: str) -> Scalar | None:
        node = self.node(key)
        if node is None:
            return None
        if not isinstance(node, Scalar):
            self.error(key, f"must be {wanted}, not {kind_of(node)}")
            return None
        if node.is_null:
            self.error(key, f"is empty: write {wanted}, or delete the line")
            return None
        return node

    def text(self, key: str, *, pattern: Pattern | None = None, limit: int = 255, required: str = "") -> str | None:
        """A text of 1 to `limit` printable characters with its references resolved; None where it is missing or wrong.

        `required`: what to write, where the key must not be missing.
        """
        self._known.add(key)
        if required and key not in self._entries:
            self.report.error(self.line, self.path_of(key), f"is missing: write {required}")
            return None
        scalar = self._scalar(key, "a text")
        return None if scalar is None else self.text_of(scalar, self.path_of(key), pattern=pattern, limit=limit)

    def text_of(self, node: Node, path: str, *, pattern: Pattern | None = None, limit: int = 255) -> str | None:
        """The same for an entry of a list."""
        if not isinstance(node, Scalar) or node.is_null:
            self.report.error(node.line, path, f"must be a text, not {kind_of(node)}")
            return None
        value = self._expanded(node, path)
        if value is None:
            return None
        if not value.strip() or not value.isprintable() or len(value) > limit:
            self.report.error(node.line, path, f"must be a text of 1 to {limit} printable characters")
            return None
        if pattern is not None and not pattern.expression.fullmatch(value):
            self.report.error(node.line, path, f"cannot be {kind_of(node)}: {pattern.advice}")
            return None
        return value

    def _expanded(self, node: Scalar, path: str) -> str | None:
        try:
            return self.report.references.expand(node.text[: MAX_TEXT + 1])
        except NotShown as problem:
            self.report.unread(node.line, path, str(problem))
            return None
        except ReferenceProblem as problem:
            self.report.error(node.line, path, str(problem))
            return None

    def secret(self, key: str, *, literal_is_readable: bool = False) -> Secret | None:
        """A password. `literal_is_readable`: others may read this file, so a password in it is worth a warning."""
        scalar = self._scalar(key, "a reference like ${credential:NAME}")
        if scalar is None:
            return None
        value = self._expanded(scalar, self.path_of(key))
        if value is None:
            return None
        if not value.isprintable() or len(value) > MAX_TEXT:
            self.error(key, f"must be 1 to {MAX_TEXT} printable characters in one line")
            return None
        if literal_is_readable and value == scalar.text:
            self.warning(key, "stands in a file that others may read: use ${credential:NAME}, or chmod 0600 this file")
        return Secret(value)

    def integer(self, key: str, default: D, *, low: int, high: int) -> int | D:
        scalar = self._scalar(key, f"a whole number from {low} to {high}")
        if scalar is None:
            return default
        if not scalar.plain or not _WHOLE.fullmatch(scalar.text) or not low <= int(scalar.text) <= high:
            self.error(key, f"must be a whole number from {low} to {high}, not {_as_written(scalar)}")
            return default
        return int(scalar.text)

    def number(self, key: str, default: D, *, low: float, high: float, unit: str) -> float | D:
        scalar = self._scalar(key, f"a number from {low:g} to {high:g} ({unit})")
        if scalar is None:
            return default
        if not scalar.plain or not _NUMBER.fullmatch(scalar.text) or not low <= float(scalar.text) <= high:
            self.error(key, f"must be a number from {low:g} to {high:g} ({unit}), not {_as_written(scalar)}")
            return default
        return float(scalar.text)

    def flag(self, key: str, default: bool) -> bool:
        scalar = self._scalar(key, "true or false")
        if scalar is None:
            return default
        value = as_flag(scalar)
        if value is None:
            self.error(key, f"must be true or false, not {_as_written(scalar)}")
            return default
        return value

    def choice(self, key: str, choices: type[E], default: E) -> E:
        words = [str(choice) for choice in choices]
        scalar = self._scalar(key, f"one of {', '.join(words)}")
        if scalar is None:
            return default
        if scalar.text not in words:
            self.error(key, f"must be one of {', '.join(words)}, not {kind_of(scalar)}")
            return default
        return choices(scalar.text)

    def file(self, key: str, *, credential: bool = False) -> Path | None:
        """A readable file; a relative path starts at the configuration. `credential`: a reference means its file."""
        scalar = self._scalar(key, "the path of a file")
        if scalar is None:
            return None
        references = self.report.references
        name = references.only_credential(scalar.text) if credential else None
        if name is not None:
            try:
                return references.credential_path(name)
            except NotShown as problem:
                self.report.unread(self.line_of(key), self.path_of(key), str(problem))
                return None
            except ReferenceProblem as problem:
                self.error(key, str(problem))
                return None
        text = self.text_of(scalar, self.path_of(key), limit=MAX_TEXT)
        if text is None:
            return None
        path = references.folder / text
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe or a port would wait for somebody, for ever
                raise OSError(0, "it is no plain file")
            with path.open("rb") as file:
                file.read(1)
        except PermissionError:
            sentence = (
                f"names {shown(str(path), limit=200)}, which this user may not read: run as its owner, or with sudo"
            )
            self.report.unread(self.line_of(key), self.path_of(key), sentence)
            return None
        except OSError as error:
            self.error(key, f"names {shown(str(path), limit=200)}, which cannot be read ({error.strerror})")
            return None
        return path

    # --- what holds other things --------------------------------------------------------------------------------------

    def section(self, key: str) -> Section:
        """The mapping under a key; an empty one where it is missing."""
        node = self.node(key)
        return Section(self.report, Mapping((), self.line_of(key)) if node is None else node, self.path_of(key))

    def entries(self, key: str, *, names: Pattern, limit: int) -> list[tuple[str, Section]]:
        """The named mappings under a key, at most `limit`."""
        section = self.section(key)
        found: list[tuple[str, Section]] = []
        for name, entry in section._entries.items():
            if not names.expression.fullmatch(name):
                section.error(name, f"cannot be a name: {names.advice}")
            elif len(found) < limit:
                inner = Section(self.report, entry.node, section.path_of(name))
                inner.line = entry.line
                found.append((name, inner))
        if len(section._entries) > limit:
            self.error(key, f"holds more than {limit} entries: split the site over several gateways")
        return found

    def items(self, key: str, *, limit: int) -> list[tuple[str, Node]]:
        """Path and node of each entry of a list, at most `limit`; none where it is missing or empty."""
        node = self.node(key)
        if node is None or (isinstance(node, Scalar) and node.is_null):
            return []
        if not isinstance(node, Sequence):
            self.error(key, f"must be a list (lines that start with -), not {kind_of(node)}")
            return []
        if len(node.items) > limit:
            self.error(key, f"holds {len(node.items)} entries, more than {limit}")
        return [(f"{self.path_of(key)}[{place}]", item) for place, item in enumerate(node.items[:limit])]

    def texts(
        self, key: str, *, limit: int, pattern: Pattern | None = None, length: int = 255
    ) -> list[tuple[str, int, str]]:
        """Text, line and path of each entry of a list of texts."""
        found = []
        for path, node in self.items(key, limit=limit):
            text = self.text_of(node, path, pattern=pattern, limit=length)
            if text is not None:
                found.append((text, node.line, path))
        return found

    def scalars(self, key: str, *, limit: int) -> list[tuple[str, Scalar]]:
        """Name and scalar of each entry of a mapping of plain values."""
        section = self.section(key)
        if len(section._entries) > limit:
            self.error(key, f"holds more than {limit} entries")
        found = []
        for name in list(section._entries)[:limit]:
            scalar = section._scalar(name, "one value")
            if scalar is not None:
                found.append((name, scalar))
        return found

    def lists(self, key: str, *, limit: int) -> list[tuple[str, list[tuple[str, int, str]]]]:
        """Name and texts of each entry of a mapping of lists of texts."""
        section = self.section(key)
        if len(section._entries) > limit:
            self.error(key, f"holds more than {limit} entries")
        return [(name, section.texts(name, limit=limit)) for name in list(section._entries)[:limit]]

    @property
    def keys(self) -> Collection[str]:
        """The keys that are written."""
        return self._entries.keys()


def as_flag(scalar: Scalar) -> bool | None:
    """A truth value as YAML 1.1 writes it, None for anything else."""
    word = scalar.text.lower()
    if not scalar.plain or word not in _TRUE | _FALSE:
        return None
    return word in _TRUE


def _as_written(scalar: Scalar) -> str:
    return kind_of(scalar) if scalar.plain else f"the text {kind_of(scalar)} (write it without quotes)"
