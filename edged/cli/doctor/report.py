"""The findings as people and programs read them."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from edged.cli.doctor.finding import PARTS, Finding, Level
from edged.cli.output import typed

COLUMNS: Final = 100
_LEVEL = 9
_MARGIN = " " * (2 + _LEVEL)


def ok(findings: Iterable[Finding]) -> bool:
    return all(each.level is not Level.FAILED for each in findings)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By part; within one as they were made."""
    return tuple(sorted(findings, key=lambda each: PARTS.index(each.part)))


def document(findings: Sequence[Finding]) -> dict[str, Any]:
    """What `--json` prints."""
    told = ({**asdict(each), "level": each.level.value, "command": typed(each.command)} for each in findings)
    return {"ok": ok(findings), "findings": list(told)}


def lines(findings: Sequence[Finding]) -> Iterator[str]:
    part = ""
    for each in findings:
        if each.part != part:
            if part:
                yield ""
            part = each.part
            yield part
        head = f"  {each.level.value:<{_LEVEL}}"
        text = typed(f"{each.subject}: {each.sentence}")
        yield from textwrap.wrap(
            text,
            COLUMNS,
            initial_indent=head,
            subsequent_indent=_MARGIN,
            break_long_words=False,
            break_on_hyphens=False,
        )
        if each.command:
            yield f"{_MARGIN}> {typed(each.command)}"
    yield ""
    yield summary(findings)


def summary(findings: Sequence[Finding]) -> str:
    counts = Counter(each.level for each in findings)
    words = [f"{counts[Level.FAILED]} failed"]
    for level in (Level.WARNING, Level.NOTE):
        words.append(f"{counts[level]} {level.value}{'' if counts[level] == 1 else 's'}")
    return ", ".join([*words, f"{counts[Level.OK]} ok"])
