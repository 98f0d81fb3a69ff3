"""What a line says of itself to people and programs: its statistics as JSON values, with the names of the site.

Owns: spelling, rounding (a tenth of a millisecond, a hundredth of a percent), which chargers an installer finds behind
a unit id. Refuses to know: how the figures come about (`bus_statistics`), who reads them. No clock of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from edged.chargers.bus_statistics import BusStatistics
from edged.chargers.line import BusSpec, LineKind

DIGITS = 4


@dataclass(frozen=True, slots=True)
class LineSign:
    """What the site calls a line and who is on it: its name under `buses`, None where it has none, and by unit id the
    names of the chargers, several where a unit has several points."""

    name: str | None = None
    chargers: dict[int, list[str]] = field(default_factory=dict)

    def add(self, unit_id: int, charger: str) -> None:
        names = self.chargers.setdefault(unit_id, [])
        if charger not in names:
            names.append(charger)


def report(told: BusStatistics, spec: BusSpec, sign: LineSign, *, utc: datetime) -> dict[str, Any]:
    """Everything, by the names of `BusStatistics`. `since`: when the line was opened, or went down."""
    body: dict[str, Any] = {"name": sign.name, "settings": _settings(spec), **_plain(told)}
    age_s = told.in_state_s
    body["since"] = None if age_s is None else (utc - timedelta(seconds=round(age_s))).isoformat(timespec="seconds")
    body["units"] = {
        str(unit_id): {"chargers": list(sign.chargers.get(unit_id, ())), **_plain(unit)}
        for unit_id, unit in told.units.items()
    }
    return body


def brief(full: Mapping[str, Any]) -> dict[str, Any]:
    """A report without what never changes."""
    return {key: value for key, value in full.items() if key != "settings"}


def _settings(spec: BusSpec) -> dict[str, Any]:
    if spec.kind is not LineKind.SERIAL:
        return {"kind": spec.kind.value, "host": spec.host, "tcp_port": spec.tcp_port}
    return {
        "kind": spec.kind.value,
        "port": spec.port,
        "baudrate": spec.baudrate,
        "parity": spec.parity,
        "stopbits": spec.stopbits,
        "character_s": round(spec.character_s, 6),
        "silence_s": round(spec.silence_s, 6),
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return round(value, DIGITS)
    return value if isinstance(value, int | str | None) else str(value)
