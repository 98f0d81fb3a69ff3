"""The table at the end, for people and as JSON. Pure: outcomes and totals in, lines out."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edged.cli.demo.accounts import Totals
from edged.cli.demo.ink import VERDICT_COLORS, Color, Ink
from edged.cli.demo.step import Outcome, Verdict
from edged.cli.demo.view import what_failed
from edged.cli.output import clean

INDENT: Final = " " * 19
MAX_COLUMNS: Final = 120


def succeeded(outcomes: Sequence[Outcome], totals: Totals) -> bool:
    """Every step happened, but for those that had no broker to ask, and the accounts are right."""
    happened = all(outcome.verdict in (Verdict.OK, Verdict.NO_BROKER) for outcome in outcomes)
    return bool(outcomes) and happened and not totals.proof and not totals.violations


def table(outcomes: Sequence[Outcome], totals: Totals, *, columns: int, ink: Ink) -> list[str]:
    """Chapter, step, seconds, what the witnesses saw, verdict; then the totals."""
    width = min(columns, MAX_COLUMNS)
    lines = [ink.paint("result     seconds  step, and who saw what", Color.BOLD)]
    chapter, number = "", 0
    for outcome in outcomes:
        if outcome.chapter != chapter:
            chapter, number = outcome.chapter, number + 1
            lines.append(ink.paint(f"{number}. {clean(chapter)}", Color.BOLD))
        lines += _row(outcome, width, ink)
    return [*lines, "", *total_lines(outcomes, totals, ink)]


def _row(outcome: Outcome, width: int, ink: Ink) -> list[str]:
    tried = outcome.verdict in (Verdict.OK, Verdict.FAILED)
    seconds = f"{outcome.seconds:7.1f}" if tried else " " * 7
    verdict = ink.paint(f"{outcome.verdict.value:<9}", VERDICT_COLORS[outcome.verdict])
    sentence = _wrapped(outcome.sentence, width)
    lines = [f"{verdict}  {seconds}  {sentence[0].strip()}", *sentence[1:]]
    failed = outcome.verdict is Verdict.FAILED
    for line in what_failed(outcome) if failed else _seen(outcome, ink):
        lines += [ink.paint(part, Color.RED if failed else Color.DIM) for part in _wrapped(line, width)]
    return lines


def _seen(outcome: Outcome, ink: Ink) -> list[str]:
    """What was seen, a part a witness."""
    by_witness: dict[str, list[str]] = {}
    for one in outcome.evidence:
        if one.ok is not None:
            by_witness.setdefault(one.witness.value, []).append(one.words)
    parts = [f"{witness}: {', '.join(dict.fromkeys(words))}" for witness, words in by_witness.items()]
    return [ink.dot.join(parts)] if parts else []


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(clean(text), max(width, 40), initial_indent=INDENT, subsequent_indent=INDENT) or [INDENT]


def total_lines(outcomes: Sequence[Outcome], totals: Totals, ink: Ink) -> list[str]:
    """The story in numbers, and the proof of order."""
    seconds = sum(outcome.seconds for outcome in outcomes)
    counts = {verdict: sum(1 for one in outcomes if one.verdict is verdict) for verdict in Verdict}
    parts = [f"{count} {verdict.value}" for verdict, count in counts.items() if count]
    lines = [f"{len(outcomes)} steps: {', '.join(parts)}; {seconds:.0f} s"]
    mqtt = (
        "no broker"
        if totals.published is None
        else f"{totals.published} messages, {totals.events} events, each counted once"
    )
    lines.append(
        f"{totals.transactions} transactions, {totals.energy_wh:.0f} Wh; {totals.from_station} calls of the station, "
        f"{totals.to_station} of the CSMS"
    )
    lines.append(f"mqtt: {mqtt}")
    if totals.proof:
        lines += [ink.paint(f"order: {clean(sentence)}", Color.RED) for sentence in totals.proof]
    else:
        lines.append("order: each transaction started once and stopped once at the CSMS, in order")
    if totals.violations:
        lines += [ink.paint(f"violation: {clean(sentence)}", Color.RED) for sentence in totals.violations]
    else:
        lines.append("protocol: no violation")
    ok = succeeded(outcomes, totals)
    verdict = "everything happened as told" if ok else "not everything happened as told"
    if ok and counts[Verdict.NO_BROKER]:
        verdict += ", but for what needs a broker"
    return [*lines, ink.paint(verdict, Color.GREEN if ok else Color.RED)]


def document(outcomes: Sequence[Outcome], totals: Totals, *, seed: int, speed: float) -> Mapping[str, Any]:
    """The table as JSON."""
    return {
        "ok": succeeded(outcomes, totals),
        "seed": seed,
        "speed": speed,
        "steps": [_step(outcome) for outcome in outcomes],
        "totals": totals.as_json(),
    }


def _step(outcome: Outcome) -> Mapping[str, Any]:
    return {
        "chapter": outcome.chapter,
        "step": outcome.sentence,
        "result": outcome.verdict.value,
        "seconds": round(outcome.seconds, 3),
        "trouble": outcome.trouble or None,
        "evidence": [
            {"witness": one.witness.value, "expected": one.expects, "seen": one.words, "ok": one.ok}
            for one in outcome.evidence
        ],
    }
