"""What one silent unit of sixteen costs the others.

Every unit is asked once a cycle, one cycle after the other. The bound is one timeout per back-off interval: a
transaction as `transaction_s` says, with the timeout of a unit that is not online in place of its turnaround.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pymodbus.exceptions import ModbusException

from benchmarks.process import child, farewell, first_line
from benchmarks.report import Row
from benchmarks.wire_limit import REGISTERS, pymodbus_client, read_bytes, transaction_s
from edged.chargers.bus import Bus
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import Table
from edged.chargers.unit_health import FIRST_TIMEOUT_S
from edged.ports import ChargerError

BAUD = 19_200
UNITS = range(1, 17)
SILENT = 16
DYING_ASKS = 3
ONCE, DEFAULTS = "pymodbus, 0.5 s, no retries", "pymodbus, its defaults (3 s, 3 retries)"
Ask = Callable[[int], Awaitable[object]]
Cycles = list[tuple[float, float]]
"""When each began and ended."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds. `silent`: a cycle since the silent unit counts as dead; `tries`: how long the line was kept by each of
    those that followed; `intervals`: between them."""

    healthy: float
    silent: float
    tries: list[float]
    intervals: list[float]


def rows(quick: bool) -> list[Row]:
    duration_s = 9.0 if quick else 40.0
    edged = _measure(_edged, duration_s)
    once = _measure(_pymodbus(0.5, 0), 1.0 if quick else 6.0)
    baselines = [(ONCE, once)]
    if not quick:
        baselines.append((DEFAULTS, _measure(_pymodbus(3.0, 3), 1.0)))
    timeout_s = transaction_s(BAUD, read_bytes(), turnaround_s=FIRST_TIMEOUT_S)
    how = (
        f"paced pty, {len(UNITS)} units, {REGISTERS} registers of each a cycle, {duration_s:g} s of cycles. All alive, "
        f"a cycle takes edged {edged.healthy:.3f} s, pymodbus {once.healthy:.3f} s. Once dead, the silent unit was "
        f"asked {len(edged.tries)} times, after {_list(edged.intervals)} s, and kept the line for "
        f"{_list(edged.tries)} s. One timeout is {timeout_s:.3f} s; pymodbus pays its own in each cycle"
    )
    return [
        *(
            Row(
                name=f"bus {BAUD}: a cycle of 16, one of them silent",
                value=edged.silent,
                unit="s",
                baseline=baseline,
                baseline_value=measured.silent,
                how=how,
            )
            for baseline, measured in baselines
        ),
        Row(
            name=f"bus {BAUD}: a silent unit costs in a back-off interval",
            value=max(edged.tries),
            unit="s",
            baseline=ONCE,
            baseline_value=max(once.tries),
            limit=timeout_s,
            how=how,
        ),
    ]


def _list(values: Iterable[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


def _measure(master: Callable[[str, float], Awaitable[Cycles]], duration_s: float) -> Measured:
    healthy, _ = _run(master, min(3.0, duration_s), None)
    cycles, told = _run(master, duration_s, SILENT)
    dying, dead = told["silent_asked_at"][:DYING_ASKS], told["silent_asked_at"][DYING_ASKS:]
    later = [ended - began for began, ended in cycles if began > dying[-1]]
    return Measured(
        statistics.median(ended - began for began, ended in healthy),
        statistics.fmean(later or [ended - began for began, ended in cycles]),
        told["silent_took_s"][DYING_ASKS:] or told["silent_took_s"],
        [after - before for before, after in zip([dying[-1], *dead], dead, strict=False)],
    )


def _run(
    master: Callable[[str, float], Awaitable[Cycles]], duration_s: float, silent: int | None
) -> tuple[Cycles, Any]:
    with child(["-m", "benchmarks.paced_slave", str(BAUD), *([str(silent)] if silent else [])]) as slave:
        cycles = asyncio.run(_awaited(master(first_line(slave), duration_s)))
        told = farewell(slave)
    return cycles, told


async def _awaited(work: Awaitable[Cycles]) -> Cycles:
    return await work


async def _edged(port: str, duration_s: float) -> Cycles:
    bus = Bus(BusSpec(kind=LineKind.SERIAL, port=port, baudrate=BAUD, stopbits=2))
    try:
        return await _cycle(lambda unit_id: bus.read(unit_id, Table.HOLDING, 0, REGISTERS), duration_s)
    finally:
        await bus.close()


def _pymodbus(timeout_s: float, retries: int) -> Callable[[str, float], Awaitable[Cycles]]:
    async def cycle(port: str, duration_s: float) -> Cycles:
        async with pymodbus_client(port, BAUD, timeout_s=timeout_s, retries=retries) as client:
            return await _cycle(
                lambda unit_id: client.read_holding_registers(0, count=REGISTERS, device_id=unit_id), duration_s
            )

    return cycle


async def _cycle(ask: Ask, duration_s: float) -> Cycles:
    cycles: Cycles = []

    async def once(unit_id: int) -> None:
        try:
            await ask(unit_id)
        except (ChargerError, ModbusException):
            pass

    end_at = time.perf_counter() + duration_s
    while time.perf_counter() < end_at:
        began = time.perf_counter()
        await asyncio.gather(*(once(unit_id) for unit_id in UNITS))
        cycles.append((began, time.perf_counter()))
    return cycles
