"""What a command says of itself beyond its options: `--help` shows it, and so does its man page (tools/manpages.py).

A command's module has `SUMMARY` (a clause), and may have `DETAILS` (paragraphs, with an empty line between them) and
`EXAMPLES`.
"""

from __future__ import annotations

import argparse
import textwrap
from types import ModuleType
from typing import Any

Example = tuple[str, str]
"""What to type, and what that does."""


class Help(argparse.HelpFormatter):
    """Keeps paragraphs apart, and lines that are indented as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.split("\n\n")
        return "\n\n".join(
            each if "\n " in each else textwrap.fill(each, width, initial_indent=indent, subsequent_indent=indent)
            for each in paragraphs
        )


def sentence(summary: str) -> str:
    """A summary as a sentence."""
    first = summary.partition(" ")[0]
    return f"{first.capitalize() if first.isalpha() and first.islower() else first}{summary[len(first) :]}."


def details(module: ModuleType) -> str:
    return str(getattr(module, "DETAILS", ""))


def examples(module: ModuleType) -> tuple[Example, ...]:
    return tuple(getattr(module, "EXAMPLES", ()))


def help_of(module: ModuleType) -> dict[str, Any]:
    """The arguments of a parser that say all of this."""
    paragraphs = [sentence(module.SUMMARY), details(module)]
    shown = "".join(f"\n  {typed}\n      {does}" for typed, does in examples(module))
    return {
        "description": "\n\n".join(filter(None, paragraphs)),
        "epilog": f"examples:{shown}" if shown else None,
        "formatter_class": Help,
    }
