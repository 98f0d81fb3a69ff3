"""The lines of the site as people read them: a few sentences and two small tables for each, within 100 columns.

Owns: words and layout. Refuses to know how a figure comes about. What it shows may come from another release's daemon,
so every member may be missing or of another kind: then a `-` stands in its place.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from edged.cli import output

WIDTH = 96
MAX_NAMES_CHARS = 16
_LABEL = 10


def lines_of_buses(buses: Mapping[str, Mapping[str, Any]], *, indent: str = "  ") -> Iterable[str]:
    """Every line of the site, one after the other."""
    for place, (address, bus) in enumerate(buses.items()):
        if place:
            yield ""
        name = bus.get("name")
        yield indent + (f"{name}: {address}" if isinstance(name, str) else address)
        deep = indent + "  "
        for label, text in _sentences(bus):
            wrapped = textwrap.wrap(text, WIDTH - len(deep) - _LABEL) or ["-"]
            yield f"{deep}{label:<{_LABEL}}{wrapped[0]}"
            yield from (" " * (len(deep) + _LABEL) + line for line in wrapped[1:])
        yield from _table(_waits(bus), deep)
        yield from _table(_units(bus), deep)


def _table(rows: list[dict[str, Any]], indent: str) -> Iterable[str]:
    if rows:
        yield ""
        yield from output.lines_of(rows, indent=indent)


def _sentences(bus: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    since = f"since {bus['since']}, " if isinstance(bus.get("since"), str) else ""
    state = "open" if bus.get("is_open") is True else "down" if bus.get("down_reason") else "not used"
    yield state, f"{since}opened {_times(bus.get('opened'))}, lost {_times(bus.get('lost'))}"
    if bus.get("down_reason"):
        yield "because", output.clean(str(bus["down_reason"]))
    if bus.get("device"):
        timer_ms = bus.get("latency_timer_ms")
        kept = f"; its adapter keeps each answer back for up to {_count(timer_ms)} ms" if _is_number(timer_ms) else ""
        yield "device", f"{output.clean(str(bus['device']))}{kept}"
    yield (
        "used",
        f"{_share(bus.get('utilisation'))} of the last minute; {_share(bus.get('failed_share'))} without an answer, "
        f"{_share(bus.get('dead_share'))} on silent units",
    )
    if bus.get("efficiency") is not None:
        yield (
            "reached",
            f"{_share(bus['efficiency'])} of the wire's limit "
            f"({_share(bus.get('wire_efficiency'))} of the limit with units that answer at once)",
        )
    yield "cycle", f"p50 {_seconds(bus.get('cycle_p50_s'))}, p95 {_seconds(bus.get('cycle_p95_s'))}"
    yield "answers", f"p50 {_seconds(bus.get('turnaround_p50_s'))}, p95 {_seconds(bus.get('turnaround_p95_s'))}"
    counts = [f"{_count(bus.get(key))} {word}" for key, word in _COUNTS]
    yield "requests", f"{_count(bus.get('requests'))}: " + ", ".join(counts)


_COUNTS = (
    ("timeouts", "timed out"),
    ("crc_errors", "bad check sums"),
    ("protocol_errors", "garbled"),
    ("exceptions", "refused"),
    ("retries", "repeated"),
    ("expired", "waited too long"),
    ("refused", "turned away"),
    ("strays", "stray"),
    ("queued", "waiting"),
)


def _waits(bus: Mapping[str, Any]) -> list[dict[str, Any]]:
    waits = bus.get("waits")
    return [
        {"waits of": name, **{key[:-2]: _seconds(wait.get(key)) for key in ("p50_s", "p95_s", "longest_s")}}
        for name, wait in (waits.items() if isinstance(waits, Mapping) else ())
        if isinstance(wait, Mapping)
    ]


def _units(bus: Mapping[str, Any]) -> list[dict[str, Any]]:
    units = bus.get("units")
    return [
        {
            "unit": number,
            "charger": _names(unit.get("chargers")),
            "state": _state(unit),
            "heard": _ago(unit.get("last_answer_s")),
            "answer_ms": f"{_ms(unit.get('turnaround_p50_s'))}/{_ms(unit.get('turnaround_p95_s'))}",
            "limit": _ms(unit.get("timeout_s")),
            "silent": _count(unit.get("timeouts")),
            "crc": _count(unit.get("crc_errors")),
            "bad": _count(unit.get("protocol_errors")),
            "refused": _count(unit.get("exceptions")),
            "again": _count(unit.get("retries")),
        }
        for number, unit in (units.items() if isinstance(units, Mapping) else ())
        if isinstance(unit, Mapping)
    ]


def _state(unit: Mapping[str, Any]) -> str:
    state = output.cell(unit.get("state"))
    next_try = unit.get("next_try_s")
    return f"{state}, {_ago(next_try)}" if _is_number(next_try) else state


def _names(names: Any) -> str:
    text = ", ".join(str(name) for name in names) if isinstance(names, list) else ""
    return text if len(text) <= MAX_NAMES_CHARS else text[: MAX_NAMES_CHARS - 2] + ".."


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: Any) -> str:
    return str(round(value)) if _is_number(value) else "-"


def _times(value: Any) -> str:
    return f"{_count(value)} time{'' if value == 1 else 's'}"


def _share(value: Any) -> str:
    return f"{100 * value:.0f} %" if _is_number(value) else "- %"


def _seconds(value: Any) -> str:
    return f"{value:.3f} s" if _is_number(value) else "-"


def _ms(value: Any) -> str:
    return f"{1000 * value:.0f}" if _is_number(value) else "-"


def _ago(value: Any) -> str:
    if not _is_number(value):
        return "never" if value is None else "-"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if value >= size:
            return f"{value / size:.0f} {unit}"
    return f"{value:.0f} s"
