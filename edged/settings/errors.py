"""What can be wrong with a configuration, as values that name file, line, key path and what to write instead.

EdgedError
  SettingsErrors    everything that is wrong with one configuration, all at once
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edged.ports import EdgedError

SHOWN_CHARS = 60


def shown(text: str, *, limit: int = SHOWN_CHARS) -> str:
    """Text from a file as it can stand in a message: one line, printable, short."""
    short = text if len(text) <= limit else f"{text[:limit]}..."
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in short)


def _rendered(file: str, line: int, path: str, sentence: str) -> str:
    where = f"{file}:{line}: " if line else f"{file}: "
    return f"{where}{path}: {sentence}" if path else f"{where}{sentence}"


@dataclass(frozen=True, slots=True)
class SettingsError:
    """One mistake. `line` counts from 1, 0 where the whole file is meant; `path` is empty where no key is. `rule` names
    what a profile's mistake breaks (docs/profiles.md).
    """

    file: str
    line: int
    path: str
    sentence: str
    rule: str = ""

    def __str__(self) -> str:
        rendered = _rendered(self.file, self.line, self.path, self.sentence)
        return f"{rendered} [{self.rule}]" if self.rule else rendered


@dataclass(frozen=True, slots=True)
class SettingsWarning:
    """Something that works and is likely not what was meant."""

    file: str
    line: int
    path: str
    sentence: str

    def __str__(self) -> str:
        return _rendered(self.file, self.line, self.path, self.sentence)


class SettingsErrors(EdgedError):
    """Everything that is wrong with one configuration, in the order of its lines; the warnings come along."""

    def __init__(self, errors: Iterable[SettingsError], warnings: Iterable[SettingsWarning] = ()) -> None:
        self.errors = tuple(errors)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(map(str, self.errors)))
