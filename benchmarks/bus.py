"""How much of a serial line's time is used: reads of 20 registers against what the wire allows at most.

limit: T = (13 + 2N) characters + t3.5 before the reply + t3.5 before the next request (11-bit characters).
efficiency = T x transactions / time from the first to the last completion.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pymodbus.client import AsyncModbusSerialClient

from benchmarks.paced_slave import character_s, silence_s
from benchmarks.process import child, farewell, first_line
from benchmarks.report import Row
from edged.chargers.bus import Bus
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import Table

BAUDS = (9_600, 19_200, 38_400, 115_200)
REGISTERS = 20
UNITS = (1, 2, 3, 4)
LEAST = {9_600: 0.95, 19_200: 0.95}
WARM_UP = 8
AS_IT_IS, LAWFUL = "pymodbus as it is", "pymodbus made to keep t3.5"
Ask = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Measured:
    efficiency: float
    early: float
    cpu_ms: float


def limit_s(baud: int) -> float:
    return (13 + 2 * REGISTERS) * character_s(baud) + 2 * silence_s(baud)


def rows(quick: bool) -> list[Row]:
    return [row for baud in BAUDS for row in _rows(baud, quick)]


def _rows(baud: int, quick: bool) -> list[Row]:
    repetitions, duration_s = (1, 1.0) if quick else (3, 2.5)
    transactions = max(12, int(duration_s / limit_s(baud)))
    masters = {"edged": _edged, AS_IT_IS: _pymodbus, LAWFUL: _lawful_pymodbus}
    runs: dict[str, list[Measured]] = {name: [] for name in masters}
    for _ in range(repetitions):
        for name, master in masters.items():
            runs[name].append(_measure(master, baud, transactions))
    found = {name: _median(measured) for name, measured in runs.items()}
    early = ", ".join(f"{name} {each.early:.0%}" for name, each in found.items())
    cpu = ", ".join(f"{name} {each.cpu_ms:.2f} ms" for name, each in found.items())
    how = (
        f"paced pty, {REGISTERS}-register reads of {len(UNITS)} units queued at once, slave answers after t3.5, limit "
        f"{1000 * limit_s(baud):.2f} ms a transaction; median of {repetitions} x {transactions}. Requests sent before "
        f"t3.5 of silence had passed (forbidden, and the only way above 1): {early}. CPU a transaction: {cpu}"
    )
    return [
        Row(
            name=f"bus {baud}: share of the wire's limit",
            value=found["edged"].efficiency,
            unit="of limit",
            baseline=baseline,
            baseline_value=found[baseline].efficiency,
            least=LEAST.get(baud),
            how=how,
        )
        for baseline in (AS_IT_IS, LAWFUL)
    ]


def _median(measured: list[Measured]) -> Measured:
    return Measured(
        statistics.median(each.efficiency for each in measured),
        statistics.median(each.early for each in measured),
        statistics.median(each.cpu_ms for each in measured),
    )


def _measure(master: Callable[[str, int, int], Awaitable[tuple[float, float]]], baud: int, count: int) -> Measured:
    with child(["-m", "benchmarks.paced_slave", str(baud)]) as slave:
        spent_s, cpu_s = asyncio.run(_awaited(master(first_line(slave), baud, count)))
        told = farewell(slave)
    return Measured(limit_s(baud) * count / spent_s, told["early"] / told["requests"], 1000 * cpu_s / count)


async def _awaited(work: Awaitable[tuple[float, float]]) -> tuple[float, float]:
    return await work


async def _edged(port: str, baud: int, count: int) -> tuple[float, float]:
    bus = Bus(BusSpec(kind=LineKind.SERIAL, port=port, baudrate=baud, stopbits=2))
    try:
        return await _pace(lambda unit_id: bus.read(unit_id, Table.HOLDING, 0, REGISTERS), count)
    finally:
        await bus.close()


async def _pymodbus(port: str, baud: int, count: int, *, silence_s: float = 0.0) -> tuple[float, float]:
    client = AsyncModbusSerialClient(port, baudrate=baud, parity="N", stopbits=2, timeout=1, retries=0)
    if not await client.connect():
        raise RuntimeError(f"pymodbus cannot open {port}")
    line = asyncio.Lock()

    async def ask(unit_id: int) -> object:
        async with line:
            if silence_s:
                await asyncio.sleep(silence_s)
            return await client.read_holding_registers(0, count=REGISTERS, device_id=unit_id)

    try:
        return await _pace(ask, count)
    finally:
        client.close()


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
