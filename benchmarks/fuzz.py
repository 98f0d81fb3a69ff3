"""Wrong values, stalls and throughput on lines that damage everything: edged beside pymodbus's client, in virtual time.

Both ask the same units over the same kind of line in the same weather, by the same seeds; every claim is judged by what
the units really did (tests/fakes/noisy_units.py says what is right).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pymodbus import FramerType, ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU

from benchmarks.report import Row
from edged.chargers.line import BusSpec, LineKind
from tests.fakes.line_fuzz import CASES, EdgedMaster, Failed, LineCase, Master, Refused, Told, drive
from tests.fakes.noisy_line import NoisyLine, Weather
from tests.fakes.virtual_loop import run_virtually

SEEDS, QUICK_SEEDS = 5, 1
FRAMES = 2500
TIMEOUT_S, RETRIES = 0.5, 1
"""What somebody would choose for chargers; as it comes pymodbus waits 3 s, and tries 4 times."""


class _Transport(asyncio.Transport):
    """What pymodbus writes to."""

    def __init__(self, line: NoisyLine) -> None:
        super().__init__()
        self._line = line
        self._is_closed = False

    def write(self, data: Any) -> None:
        self._line.sent(bytes(data))

    def is_closing(self) -> bool:
        return self._is_closed

    def close(self) -> None:
        self._is_closed = True

    abort = close


class PymodbusMaster:
    """pymodbus's asyncio client, one for the line, asked by everybody at once: it queues them itself."""

    def __init__(self, line: NoisyLine, case: LineCase) -> None:
        self._line = line
        options: dict[str, Any] = {"timeout": TIMEOUT_S, "retries": RETRIES, "reconnect_delay": 0.5}
        if case.kind is LineKind.SERIAL:
            # it cannot find out by itself
            options["handle_local_echo"] = case.echo
            self.client: Any = AsyncModbusSerialClient("noisy", baudrate=case.baudrate, **options)
        else:
            framer = FramerType.RTU if case.kind is LineKind.RTU_OVER_TCP else FramerType.SOCKET
            self.client = AsyncModbusTcpClient("noisy", framer=framer, **options)
        self.client.ctx.call_create = self._create

    async def _create(self) -> tuple[asyncio.Transport, Any]:
        pipe = await self._line.connect(BusSpec(kind=LineKind.TCP, host="noisy"))
        protocol = self.client.ctx
        transport = _Transport(self._line)

        def lose() -> None:
            transport.close()
            protocol.connection_lost(ConnectionResetError("the line was cut"))

        self._line.hear = lambda data: (
            None if transport.is_closing() or pipe.is_closed else protocol.data_received(data)
        )
        self._line.hang_up = lose
        protocol.connection_made(transport)
        return transport, protocol

    def patience_s(self) -> float:
        return 0.0

    async def read(self, unit_id: int, function: int, address: int, count: int) -> tuple[int, ...]:
        ask = {
            1: self.client.read_coils,
            2: self.client.read_discrete_inputs,
            3: self.client.read_holding_registers,
            4: self.client.read_input_registers,
        }[function]
        reply = await _answer(ask, address, count=count, device_id=unit_id)
        if function > 2:
            return tuple(getattr(reply, "registers", ()))
        return tuple(int(bit) for bit in getattr(reply, "bits", ())[:count])

    async def write(self, unit_id: int, function: int, address: int, values: tuple[int, ...]) -> None:
        client, unit = self.client, {"device_id": unit_id}
        if function == 5:
            await _answer(client.write_coil, address, bool(values[0]), **unit)
        elif function == 6:
            await _answer(client.write_register, address, values[0], **unit)
        elif function == 15:
            await _answer(client.write_coils, address, [bool(value) for value in values], **unit)
        else:
            await _answer(client.write_registers, address, list(values), **unit)

    async def close(self) -> None:
        self.client.close()


async def _answer(ask: Callable[..., Awaitable[ModbusPDU]], *what: Any, **options: Any) -> ModbusPDU:
    try:
        reply = await ask(*what, **options)
    except (ModbusException, ConnectionError, TimeoutError) as error:
        raise Failed(str(error)) from error
    if reply.isError():
        raise Refused(reply.exception_code)
    return reply


@dataclass(frozen=True, slots=True)
class Fared:
    """All seeds of one master on one kind of line."""

    frames: int
    wrong: int
    done: int
    asked: int
    longest_s: float
    took_s: float


def rows(quick: bool) -> list[Row]:
    logging.disable(logging.CRITICAL)
    try:
        return [row for case in CASES if not (case.echo and case.echo_known) for row in _rows(case, quick)]
    finally:
        logging.disable(logging.NOTSET)


def _rows(case: LineCase, quick: bool) -> list[Row]:
    seeds = range(QUICK_SEEDS if quick else SEEDS)
    ours, theirs = (_fare(case, seeds, is_ours=each) for each in (True, False))
    how = (
        f"virtual time, {len(seeds)} x {FRAMES:,} requests of 6 callers to 4 units and an absent one; pymodbus with "
        f"{TIMEOUT_S:g} s and {RETRIES} repetition; done of what was asked: edged {ours.done / ours.asked:.0%}, "
        f"pymodbus {theirs.done / theirs.asked:.0%}"
    )
    name, baseline = f"storm on {case.name}:", "pymodbus, 0.5 s x 2"
    return [
        Row(
            name=f"{name} wrong values accepted of 10,000 requests",
            value=ours.wrong * 1e4 / ours.frames,
            unit="wrong",
            baseline=baseline,
            baseline_value=theirs.wrong * 1e4 / theirs.frames,
            how=how,
            limit=0.0,
        ),
        Row(
            name=f"{name} longest that a caller waited",
            value=ours.longest_s,
            unit="s",
            baseline=baseline,
            baseline_value=theirs.longest_s,
            how=how,
        ),
        Row(
            name=f"{name} right answers a second",
            value=(ours.done - ours.wrong) / ours.took_s,
            unit="/s",
            baseline=baseline,
            baseline_value=(theirs.done - theirs.wrong) / theirs.took_s,
            how=how,
        ),
    ]


def _fare(case: LineCase, seeds: range, *, is_ours: bool) -> Fared:
    runs = [run_virtually(_run(case, seed, is_ours=is_ours)) for seed in seeds]
    told = [each for each, _ in runs]
    return Fared(
        frames=sum(frames for _, frames in runs),
        wrong=sum(len(each.wrong) for each in told),
        done=sum(each.done for each in told),
        asked=sum(each.asked for each in told),
        longest_s=max(each.longest_s for each in told),
        took_s=sum(each.took_s for each in told),
    )


async def _run(case: LineCase, seed: int, *, is_ours: bool) -> tuple[Told, int]:
    line = NoisyLine(f"benchmark {seed}", case.spec, Weather(), echo=case.echo)
    master: Master = EdgedMaster(line, case.spec, seed) if is_ours else PymodbusMaster(line, case)
    if isinstance(master, PymodbusMaster):
        await master.client.connect()
    told = await drive(master, line, f"benchmark {seed}", FRAMES)
    await master.close()
    await line.stop()
    return told, line.frames
