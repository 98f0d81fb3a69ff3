"""Ink on a terminal: colors and marks where the terminal has them, plain ASCII where not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TextIO

from edged.cli.demo.step import Verdict


class Color(StrEnum):
    """SGR parameters."""

    PLAIN = ""
    BOLD = "1"
    DIM = "2"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    CYAN = "36"


VERDICT_COLORS: Final[Mapping[Verdict, Color]] = {
    Verdict.OK: Color.GREEN,
    Verdict.FAILED: Color.RED,
    Verdict.NO_BROKER: Color.YELLOW,
    Verdict.NOT_TRIED: Color.YELLOW,
}
_MARKS: Final[Mapping[Verdict, tuple[str, str]]] = {
    Verdict.OK: ("✓", "+"),
    Verdict.FAILED: ("✗", "x"),
    Verdict.NO_BROKER: ("–", "-"),  # noqa: RUF001 - a dash, on purpose
    Verdict.NOT_TRIED: ("–", "-"),  # noqa: RUF001 - a dash, on purpose
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ink:
    """How to write on one stream."""

    color: bool = False
    unicode: bool = False

    @classmethod
    def of(cls, stream: TextIO, environment: Mapping[str, str] | None = None) -> Ink:
        """Colors only on a terminal, and not where NO_COLOR is set to anything (no-color.org)."""
        variables = os.environ if environment is None else environment
        encoding = (stream.encoding or "").lower().replace("-", "")
        return cls(color=stream.isatty() and not variables.get("NO_COLOR"), unicode=encoding == "utf8")

    def paint(self, text: str, color: Color) -> str:
        return f"\x1b[{color}m{text}\x1b[0m" if self.color and color and text else text

    def mark(self, verdict: Verdict) -> str:
        return _MARKS[verdict][0 if self.unicode else 1]

    @property
    def pointer(self) -> str:
        return "▸" if self.unicode else ">"

    @property
    def dot(self) -> str:
        return " · " if self.unicode else " | "


def fit(text: str, width: int) -> str:
    """Cut or padded to exactly `width` characters."""
    if len(text) > width:
        return text[: max(0, width - 2)] + ".." if width > 2 else text[:width]
    return text.ljust(width)
