"""How much of a serial line's time is used: reads of 20 registers against what the wire allows at most.

efficiency = limit x transactions / time from the first to the last completion. The limit is `transaction_s`, once with
the turnaround that the slave measured of itself (the yardstick: it is not the master's) and once with t3.5 in its place
(the wire's absolute bound). The rows of `bus_command` and `bus_dead_unit` belong to it.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks import bus_command, bus_dead_unit
from benchmarks.process import child, farewell, first_line
from benchmarks.report import Row
from benchmarks.wire_limit import REGISTERS, pymodbus_client, read_bytes, silence_s, transaction_s
from edged.chargers.bus import Bus
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import Table

BAUDS = (9_600, 19_200, 38_400, 115_200)
UNITS = (1, 2, 3, 4)
LEAST = {9_600: 0.97, 19_200: 0.97, 38_400: 0.95, 115_200: 0.90}
WARM_UP = 8
EDGED, AS_IT_IS, LAWFUL = "edged", "pymodbus as it is", "pymodbus made to keep t3.5"
Ask = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Measured:
    efficiency: float
    absolute: float
    turnaround_ms: float
    early: float
    cpu_ms: float


def rows(quick: bool) -> list[Row]:
    return [
        *(row for baud in BAUDS for row in _rows(baud, quick)),
        *bus_command.rows(quick),
        *bus_dead_unit.rows(quick),
    ]


def _rows(baud: int, quick: bool) -> list[Row]:
    repetitions, duration_s = (1, 1.0) if quick else (3, 2.5)
    limit_s = transaction_s(baud, read_bytes())
    transactions = max(12, int(duration_s / limit_s))
    masters = {EDGED: _edged, AS_IT_IS: _pymodbus, LAWFUL: _lawful_pymodbus}
    runs: dict[str, list[Measured]] = {name: [] for name in masters}
    for _ in range(repetitions):
        for name, master in masters.items():
            runs[name].append(_measure(master, baud, transactions))
    found = {name: _median(measured) for name, measured in runs.items()}
    early = ", ".join(f"{name} {each.early:.0%}" for name, each in found.items())
    cpu = ", ".join(f"{name} {each.cpu_ms:.2f} ms" for name, each in found.items())
    turnaround = ", ".join(f"{name} {each.turnaround_ms:.2f} ms" for name, each in found.items())
    how = (
        f"paced pty, {REGISTERS}-register reads of {len(UNITS)} units queued at once; median of {repetitions} x "
        f"{transactions}. The slave means to answer after t3.5 = {1000 * silence_s(baud):.2f} ms, and by its own "
        f"measurement did so, asked by {turnaround}: the limit is reckoned with that, the absolute one with t3.5 "
        f"({1000 * limit_s:.2f} ms a transaction). Requests sent before t3.5 of silence had passed (forbidden, and the "
        f"only way above 1): {early}. CPU a transaction: {cpu}"
    )
    name = f"bus {baud}: share of the wire's limit"
    return [
        *(_row(name, found[EDGED].efficiency, at, found[at].efficiency, how, LEAST[baud]) for at in (AS_IT_IS, LAWFUL)),
        _row(f"{name}, absolute", found[EDGED].absolute, LAWFUL, found[LAWFUL].absolute, how, None),
    ]


def _row(name: str, value: float, baseline: str, baseline_value: float, how: str, least: float | None) -> Row:
    return Row(
        name=name,
        value=value,
        unit="of limit",
        baseline=baseline,
        baseline_value=baseline_value,
        least=least,
        how=how,
    )


def _median(measured: list[Measured]) -> Measured:
    return Measured(
        statistics.median(each.efficiency for each in measured),
        statistics.median(each.absolute for each in measured),
        statistics.median(each.turnaround_ms for each in measured),
        statistics.median(each.early for each in measured),
        statistics.median(each.cpu_ms for each in measured),
    )


def _measure(master: Callable[[str, int, int], Awaitable[tuple[float, float]]], baud: int, count: int) -> Measured:
    with child(["-m", "benchmarks.paced_slave", str(baud)]) as slave:
        spent_s, cpu_s = asyncio.run(_awaited(master(first_line(slave), baud, count)))
        told = farewell(slave)
    turnaround_s = told["turnaround_s"]
    measured_s = transaction_s(baud, read_bytes(), turnaround_s=turnaround_s)
    return Measured(
        measured_s * count / spent_s,
        transaction_s(baud, read_bytes()) * count / spent_s,
        1000 * turnaround_s,
        told["early"] / told["requests"],
        1000 * cpu_s / count,
    )


async def _awaited(work: Awaitable[tuple[float, float]]) -> tuple[float, float]:
    return await work


async def _edged(port: str, baud: int, count: int) -> tuple[float, float]:
    bus = Bus(BusSpec(kind=LineKind.SERIAL, port=port, baudrate=baud, stopbits=2))
    try:
        return await _pace(lambda unit_id: bus.read(unit_id, Table.HOLDING, 0, REGISTERS), count)
    finally:
        await bus.close()


async def _pymodbus(port: str, baud: int, count: int, *, silence_s: float = 0.0) -> tuple[float, float]:
    line = asyncio.Lock()
    async with pymodbus_client(port, baud) as client:

        async def ask(unit_id: int) -> object:
            async with line:
                if silence_s:
                    await asyncio.sleep(silence_s)
                return await client.read_holding_registers(0, count=REGISTERS, device_id=unit_id)

        return await _pace(ask, count)


async def _lawful_pymodbus(port: str, baud: int, count: int) -> tuple[float, float]:
    return await _pymodbus(port, baud, count, silence_s=silence_s(baud))


async def _pace(ask: Ask, count: int) -> tuple[float, float]:
    """Keep one request of every unit waiting; wall and CPU seconds of `count` transactions after the warm-up."""
    done_at: list[tuple[float, float]] = []

    async def poll(unit_id: int) -> None:
        while len(done_at) <= WARM_UP + count:
            await ask(unit_id)
            done_at.append((time.perf_counter(), time.process_time()))

    await asyncio.gather(*(poll(unit_id) for unit_id in UNITS))
    first, last = done_at[WARM_UP], done_at[WARM_UP + count]
    return last[0] - first[0], last[1] - first[1]
