"""One poll of a charger in words and in JSON, and tables, for `edged probe`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edged.cli import output

if TYPE_CHECKING:
    from edged.chargers.asked import Counts
    from edged.chargers.interpretation import Reading
    from edged.domain.hardware import Meter, Phases


def milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def counts_json(counts: Counts) -> dict[str, Any]:
    """What became of the questions, as members of the document."""
    return {
        "questions": {
            "asked": counts.requests,
            "refused": counts.refused,
            "unanswered": counts.timeouts,
            "damaged": counts.damaged,
            "hang_ups": counts.hang_ups,
        },
        "round_trip_ms": dict(zip(("min", "median", "max"), map(milliseconds, counts.spread_s), strict=True)),
    }


def say_counts(counts: Counts) -> None:
    least, middle, most = counts.spread_s
    output.say(f"round trips: {least * 1000:.1f} ms at least, {middle * 1000:.1f} median, {most * 1000:.1f} at most")
    output.say(
        f"questions: {counts.requests} asked, {counts.refused} refused, {counts.timeouts} not answered, "
        f"{counts.damaged} answers damaged"
        + (f", the connection was closed {counts.hang_ups} times" if counts.hang_ups else "")
    )


def observed_json(observed: Reading) -> dict[str, Any]:
    found = asdict(observed)
    found["faults"] = [asdict(fault) for fault in observed.faults]
    return found


def observed_words(observed: Reading) -> dict[str, str]:
    """One poll as a person says it; what the charger does not tell is said to be so."""
    limit_a = observed.limit_a
    words = {
        "state": observed.state.replace("_", " "),
        "plugged": _told(observed.plugged, "yes", "no"),
        "lock": "it does not tell" if observed.lock == "unknown" else observed.lock.value,
        "in service": _told(observed.operative, "yes", "no"),
        "may charge": _told(observed.permit_charging, "yes", "no, energy is withheld"),
        "limit": "it does not tell" if limit_a is None else f"{limit_a:g} A",
        "faults": "; ".join(
            f"{fault.code.value} {fault.vendor_code}".strip() + (f" ({fault.info})" if fault.info else "")
            for fault in observed.faults
        )
        or "none",
    }
    return {**words, "meter": ", ".join(_meter(observed.meter)) or "none of its registers has a value"}


def _told(value: bool | None, yes: str, no: str) -> str:
    return "it does not tell" if value is None else yes if value else no


def _meter(meter: Meter) -> Iterable[str]:
    if meter.energy_wh is not None:
        yield f"{meter.energy_wh:.0f} Wh"
    if meter.power_w is not None:
        yield f"{meter.power_w:.0f} W"
    for phases, unit in ((meter.current_a, "A"), (meter.voltage_v, "V")):
        text = _phases(phases)
        if text:
            yield f"{text} {unit}"
    for value, unit in ((meter.frequency_hz, "Hz"), (meter.temperature_c, "degC"), (meter.soc_pct, "% in the car")):
        if value is not None:
            yield f"{value:g} {unit}"


def _phases(phases: Phases) -> str:
    values = (phases.l1, phases.l2, phases.l3)
    return (
        "/".join("-" if each is None else f"{each:g}" for each in values) if any(v is not None for v in values) else ""
    )


def say_pairs(pairs: Mapping[str, str]) -> None:
    for name, value in pairs.items():
        output.say(f"  {name:<13}  {value}")


def say_table(rows: Sequence[Sequence[str]]) -> None:
    rows = [[output.clean(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        output.say(f"  {line}".rstrip())
