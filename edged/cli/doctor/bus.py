"""The lines of the field bus, as the running daemon knows them: which figure looks wrong, and what it usually is. Pure.

The patterns are those of docs/installer.md, "What a line says of itself".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any, Final

from edged.cli.doctor.finding import Finding, Findings

FEW: Final = 20
"""Fewer requests say nothing."""
UNANSWERED, DAMAGED, FULL, SLOW_WIRE = 0.05, 0.01, 0.9, 0.9
LONGEST_LIMIT_S: Final = 1.0
OFTEN_LOST: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BusFacts:
    """`buses`: of the daemon's status, of any shape; `runs` False: there is no daemon to ask; `problem`: why not."""

    buses: Mapping[str, Mapping[str, Any]]
    config: str = "/etc/edged/edged.yaml"
    runs: bool = True
    problem: str = ""
    may_not: bool = False


def number(told: Mapping[str, Any], key: str) -> float:
    """A figure; 0 where there is none, or another kind of value."""
    value = told.get(key)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return min(max(float(value), -1e15), 1e15) if is_number and value == value else 0.0  # type: ignore[arg-type]


def judge(facts: BusFacts) -> tuple[Finding, ...]:
    found = Findings("bus")
    if facts.may_not:
        found.unseen("daemon", "how the lines do was not told")
    elif not facts.runs:
        found.note(
            "daemon",
            f"how the lines do is known while edged runs: {facts.problem or 'it does not'}",
            "sudo systemctl start edged",
        )
    elif not facts.buses:
        found.note("lines", "the running edged has no line", f"edged check -c {quote(facts.config)}")
    for address, bus in facts.buses.items():
        name = bus.get("name")
        _bus(found, str(name) if isinstance(name, str) and name else address, address, bus, facts)
    return found.made


def _units(bus: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    units = bus.get("units")
    items = units.items() if isinstance(units, Mapping) else ()
    return {str(unit_id): unit for unit_id, unit in items if isinstance(unit, Mapping)}


def _charger(unit_id: str, unit: Mapping[str, Any]) -> str:
    names = unit.get("chargers")
    return str(names[0])[:64] if isinstance(names, list) and names else f"unit {unit_id}"


def _probe(charger: str, facts: BusFacts) -> str:
    asked = f"edged probe {quote(charger)} -c {quote(facts.config)}"
    return f"sudo systemctl stop edged && sudo {asked}; sudo systemctl start edged"


def _bus(found: Findings, name: str, address: str, bus: Mapping[str, Any], facts: BusFacts) -> None:
    if bus.get("is_open") is not True and bus.get("down_reason"):
        found.failed(
            name,
            f"{address} is down: {str(bus['down_reason'])[:300]}",
            f"sudo edged doctor -c {quote(facts.config)} --only {'serial' if address.startswith('/') else 'network'}",
        )
        return
    before = len(found.made)
    units = _units(bus)
    for unit_id, unit in units.items():
        _unit(found, name, unit_id, unit, bus, facts)
    _line(found, name, bus, units, facts)
    if len(found.made) == before:
        requests, silent = number(bus, "requests"), number(bus, "timeouts")
        alive = sum(unit.get("state") == "online" for unit in units.values())
        found.ok(
            name,
            f"{alive} of {len(units)} units answer; {silent:.0f} of {requests:.0f} requests were not answered, "
            f"{number(bus, 'crc_errors'):.0f} answers had a wrong check sum",
        )


def _unit(
    found: Findings, name: str, unit_id: str, unit: Mapping[str, Any], bus: Mapping[str, Any], facts: BusFacts
) -> None:
    charger = _charger(unit_id, unit)
    who = charger if charger.startswith("unit ") else f"{charger} (unit {unit_id})"
    requests, silent = number(unit, "requests"), number(unit, "timeouts")
    if unit.get("state") == "dead":
        last = unit.get("last_answer_s")
        since = f"for {number(unit, 'last_answer_s'):.0f} s" if last is not None else "since edged was started"
        found.failed(
            name,
            f"{who} has not answered {since}: its power, its unit id, its stub, or A and B",
            _probe(charger, facts),
        )
    elif unit.get("state") == "suspect" and requests:
        found.note(name, f"{who} has not answered lately", _probe(charger, facts))
    elif requests >= FEW and silent / requests > UNANSWERED:
        found.warning(
            name,
            f"{who} did not answer {silent:.0f} of {requests:.0f} requests ({_share(silent / requests)}): its unit id, "
            "its stub, termination at both ends only, a cable beside a motor",
            _probe(charger, facts),
        )
    if bus.get("latency_timer_ms") is None and not str(bus.get("device") or ""):
        return
    if number(unit, "timeout_s") >= LONGEST_LIMIT_S and unit.get("state") == "online":
        found.note(
            name,
            f"{who} needs so long that it is waited for {number(unit, 'timeout_s'):.1f} s: its profile may say so "
            "(response_timeout_s)",
            _probe(charger, facts),
        )


def _line(
    found: Findings, name: str, bus: Mapping[str, Any], units: Mapping[str, Mapping[str, Any]], facts: BusFacts
) -> None:
    requests, damaged = number(bus, "requests"), number(bus, "crc_errors") + number(bus, "protocol_errors")
    strays = number(bus, "strays")
    first = next((_charger(unit_id, unit) for unit_id, unit in units.items()), "CHARGER")
    dead = any(unit.get("state") == "dead" for unit in units.values())
    if requests >= FEW and strays and damaged / requests > DAMAGED:
        found.warning(
            name,
            f"{damaged:.0f} of {requests:.0f} answers were damaged and {strays:.0f} times came what nobody had asked "
            "for: another master asks on this line, or two units have one id",
            _probe(first, facts),
        )
    elif requests >= FEW and damaged / requests > DAMAGED:
        found.warning(
            name,
            f"{damaged:.0f} of {requests:.0f} answers were damaged ({_share(damaged / requests)}): A and B, "
            "termination at both ends only, bias, ground, a cable beside a motor",
            _probe(first, facts),
        )
    if number(bus, "failed_share") > UNANSWERED and not dead and not any(f.subject == name for f in found.made):
        found.warning(
            name,
            f"{_share(number(bus, 'failed_share'))} of the last minute went to requests that nobody answered",
            _probe(first, facts),
        )
    if number(bus, "utilisation") > FULL:
        found.warning(
            name,
            f"the line was used {_share(number(bus, 'utilisation'))} of the last minute: it is full; put chargers on "
            "another line, or",
            f"in {facts.config}: raise poll_interval_s of its chargers, then: sudo systemctl reload edged",
        )
    efficiency = bus.get("efficiency")
    if efficiency is not None and 0 < number(bus, "efficiency") < SLOW_WIRE:
        found.note(
            name,
            f"only {_share(number(bus, 'efficiency'))} of what the wire could carry were reached: the computer is busy",
            "top -b -n 1 | head -15",
        )
    if number(bus, "lost") >= OFTEN_LOST:
        found.warning(
            name,
            f"the line was lost {number(bus, 'lost'):.0f} times: the adapter's plug, its hub, its power",
            "sudo dmesg | grep -i -e usb -e tty | tail -20",
        )


def _share(value: float) -> str:
    return f"{100 * value:.0f} %" if value >= 0.01 else f"{100 * value:.1f} %"
