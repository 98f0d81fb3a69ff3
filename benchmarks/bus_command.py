"""How long a command waits on a line that is never idle.

Sixteen units are polled, each asked again as soon as it has answered. At random times a register is written; when that
request came to the slave is when its turn began. The bound is one foreign transaction until then, and the command's own
on top until it is answered, as `transaction_s` says with the turnaround that the slave measured of itself.
"""

from __future__ import annotations

import asyncio
import random
import time
from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from benchmarks.process import child, farewell, first_line, percentile
from benchmarks.report import Row
from benchmarks.wire_limit import REGISTERS, REQUEST_BYTES, pymodbus_client, read_bytes, transaction_s
from edged.chargers.bus import Bus
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import Table

BAUDS = (19_200, 115_200)
UNITS = range(1, 17)
SEED = 5
PYMODBUS = "pymodbus, first come first served"
Read = Callable[[int], Awaitable[object]]
Write = Callable[[int, int], Awaitable[object]]
Master = Callable[[str, int, int], Awaitable["Waited"]]


@dataclass(slots=True)
class Waited:
    """When each command was put in and when it was answered, by the value that it wrote."""

    queued_at: dict[int, float] = field(default_factory=dict)
    done_at: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds, sorted; `before`: most requests of others that came to the slave between a command's being put in
    and its turn. One may: it had been sent, and was on its way."""

    before: int
    until_turn: list[float]
    until_answer: list[float]
    bound: float
    own: float


def rows(quick: bool) -> list[Row]:
    return [row for baud in BAUDS for row in _rows(baud, 10 if quick else 200)]


def _rows(baud: int, count: int) -> list[Row]:
    edged = _measure(_edged, baud, count)
    pymodbus = _measure(_pymodbus, baud, max(5, count // 4))
    how = (
        f"paced pty, {len(UNITS)} units polled without a pause ({REGISTERS} registers each), {count} writes of a "
        f"register at random times. Bound: a foreign transaction {edged.bound:.2f} ms, its own {edged.own:.2f} ms. "
        f"Until its turn, p50/p99/max: edged {_three(edged.until_turn)}, {PYMODBUS} {_three(pymodbus.until_turn)} ms; "
        f"until it is answered: edged {_three(edged.until_answer)}, pymodbus {_three(pymodbus.until_answer)} ms"
    )
    return [
        Row(
            name=f"bus {baud}: requests sent before a command's, most",
            value=edged.before,
            unit="requests",
            baseline=PYMODBUS,
            baseline_value=pymodbus.before,
            limit=1,
            how=how,
        ),
        Row(
            name=f"bus {baud}: a command waits for its turn, p99",
            value=percentile(edged.until_turn, 0.99),
            unit="ms",
            baseline=PYMODBUS,
            baseline_value=percentile(pymodbus.until_turn, 0.99),
            how=how,
        ),
        Row(
            name=f"bus {baud}: a command waits for its answer, p99",
            value=percentile(edged.until_answer, 0.99),
            unit="ms",
            baseline=PYMODBUS,
            baseline_value=percentile(pymodbus.until_answer, 0.99),
            limit=edged.bound + edged.own,
            how=how,
        ),
    ]


def _three(values: list[float]) -> str:
    return f"{percentile(values, 0.5):.1f}/{percentile(values, 0.99):.1f}/{values[-1]:.1f}"


def _measure(master: Master, baud: int, count: int) -> Measured:
    with child(["-m", "benchmarks.paced_slave", str(baud)]) as slave:
        waited = asyncio.run(_awaited(master(first_line(slave), baud, count)))
        told = farewell(slave)
    turn_at = {int(value): at for value, at in told["written_at"].items()}
    turnaround_s = told["turnaround_s"]
    asked_at = told["asked_at"]
    return Measured(
        max(
            bisect_left(asked_at, turn_at[value]) - bisect_right(asked_at, at) for value, at in waited.queued_at.items()
        ),
        sorted(1000 * (turn_at[value] - at) for value, at in waited.queued_at.items()),
        sorted(1000 * (waited.done_at[value] - at) for value, at in waited.queued_at.items()),
        1000 * transaction_s(baud, read_bytes(), turnaround_s=turnaround_s),
        1000 * transaction_s(baud, REQUEST_BYTES, turnaround_s=turnaround_s),
    )


async def _awaited(work: Awaitable[Waited]) -> Waited:
    return await work


async def _edged(port: str, baud: int, count: int) -> Waited:
    bus = Bus(BusSpec(kind=LineKind.SERIAL, port=port, baudrate=baud, stopbits=2))
    try:
        return await _interrupt(
            lambda unit_id: bus.read(unit_id, Table.HOLDING, 0, REGISTERS),
            lambda unit_id, value: bus.write(unit_id, Table.HOLDING, 0, (value,)),
            count,
        )
    finally:
        await bus.close()


async def _pymodbus(port: str, baud: int, count: int) -> Waited:
    """Its own lock decides who is next."""
    async with pymodbus_client(port, baud) as client:
        return await _interrupt(
            lambda unit_id: client.read_holding_registers(0, count=REGISTERS, device_id=unit_id),
            lambda unit_id, value: client.write_register(0, value, device_id=unit_id),
            count,
        )


async def _interrupt(read: Read, write: Write, count: int) -> Waited:
    chance = random.Random(SEED)
    waited = Waited()

    async def poll(unit_id: int) -> None:
        while True:
            await read(unit_id)

    polls = [asyncio.ensure_future(poll(unit_id)) for unit_id in UNITS]
    await asyncio.sleep(1.0)
    for value in range(1, count + 1):
        await asyncio.sleep(chance.uniform(0.03, 0.13))
        waited.queued_at[value] = time.perf_counter()
        await write(chance.choice(UNITS), value)
        waited.done_at[value] = time.perf_counter()
    for each in polls:
        each.cancel()
    await asyncio.wait(polls)
    return waited
