"""What `edged doctor` says: a level, a sentence, and the command that mends it.

Pure. Invariant: whatever is not all right has something to do about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PARTS: Final = (
    "configuration",
    "service",
    "clock",
    "disk",
    "serial",
    "network",
    "csms",
    "broker",
    "bus",
    "security",
)
"""In the order in which they are told: what lies deeper comes first."""
AS_ROOT: Final = "sudo edged doctor"


class Level(StrEnum):
    """NOTE: works, and could be better or was not seen. WARNING: will bite one day. FAILED: does not work."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`subject`: what of the part it is about, a name. `command`: to be copied, or what to change in which line."""

    part: str
    subject: str
    level: Level
    sentence: str
    command: str = ""

    def __post_init__(self) -> None:
        if self.level is not Level.OK and not self.command:
            raise ValueError(f"nothing to do about: {self.sentence}")


class Findings:
    """Those of one part, in the order in which they were made."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._made: list[Finding] = []

    @property
    def made(self) -> tuple[Finding, ...]:
        return tuple(self._made)

    @property
    def all_ok(self) -> bool:
        return all(each.level is Level.OK for each in self._made)

    def ok(self, subject: str, sentence: str) -> None:
        self._add(subject, Level.OK, sentence, "")

    def note(self, subject: str, sentence: str, command: str) -> None:
        self._add(subject, Level.NOTE, sentence, command)

    def warning(self, subject: str, sentence: str, command: str) -> None:
        self._add(subject, Level.WARNING, sentence, command)

    def failed(self, subject: str, sentence: str, command: str) -> None:
        self._add(subject, Level.FAILED, sentence, command)

    def unseen(self, subject: str, what: str) -> None:
        """Something that this user is not shown."""
        self.note(subject, f"{what}: this user may not see that", AS_ROOT)

    def _add(self, subject: str, level: Level, sentence: str, command: str) -> None:
        self._made.append(Finding(part=self._part, subject=subject, level=level, sentence=sentence, command=command))
