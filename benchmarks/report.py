"""A row of the table, the machine it was measured on, and both as text or JSON."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("edged", "websockets", "ocpp", "pymodbus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. `limit` is the most it should be, `least` the least; `relative`: they speak of the ratio.

    The ratio is value / baseline_value. A row without either bound only informs.
    """

    name: str
    value: float
    unit: str
    baseline: str
    baseline_value: float
    how: str
    limit: float | None = None
    least: float | None = None
    relative: bool = False

    @property
    def ratio(self) -> float | None:
        return self.value / self.baseline_value if self.baseline_value else None

    @property
    def target(self) -> str:
        unit = "x" if self.relative else f" {self.unit}"
        if self.limit is not None:
            return f"<= {self.limit:g}{unit}"
        return f">= {self.least:g}{unit}" if self.least is not None else ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none, or nothing to compare with."""
        judged = self.ratio if self.relative else self.value
        if judged is None or (self.limit is None and self.least is None):
            return None
        return (self.limit is None or judged <= self.limit) and (self.least is None or judged >= self.least)

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "baseline": self.baseline,
            "baseline_value": self.baseline_value,
            "ratio": self.ratio,
            "target": self.target,
            "met": self.met,
            "how": self.how,
        }


def figure(value: float) -> str:
    """Three significant digits, no exponents."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cpus": os.cpu_count(),
        "cpu": _cpu_model(),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in LIBRARIES},
        "load_1min": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    """x86 names its processors "model name", a Raspberry Pi itself "Model"."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return "unknown"


def table(rows: Sequence[Row]) -> str:
    """The rows for a terminal, how each was measured under it."""
    heads = ("figure", "edged", "baseline", "ratio", "target", "met")
    cells = [
        (
            row.name,
            f"{figure(row.value)} {row.unit}",
            f"{figure(row.baseline_value)} {row.unit}  {row.baseline}",
            "-" if row.ratio is None else f"{figure(row.ratio)}x",
            row.target or "-",
            {True: "yes", False: "NO", None: "-"}[row.met],
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in [heads, *cells]) for column in range(len(heads))]
    lines = ["  ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True)).rstrip()]
    lines.append("  ".join("-" * width for width in widths))
    for position, (row, line) in enumerate(zip(rows, cells, strict=True)):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        following = rows[position + 1].how if position + 1 < len(rows) else ""
        if row.how != following:
            lines += textwrap.wrap(row.how, 110, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def document(rows: Sequence[Row]) -> str:
    return json.dumps({"machine": machine(), "rows": [row.as_dict() for row in rows]}, indent=2)
