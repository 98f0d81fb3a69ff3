"""Masters on a noisy line: several callers read and write until so many requests were sent, and every claim is judged.

`Master` is what is driven, so that another one can stand beside edged's `Bus`. `Told` is what became of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from edged.chargers.bus import PATIENCE_S, Bus
from edged.chargers.job_queue import Priority
from edged.chargers.line import BusSpec, LineKind, Pipe
from edged.chargers.modbus import ExceptionReply, Table
from edged.chargers.moments import moment
from edged.ports import ChargerUnreachable
from tests.fakes.noisy_line import OURS, READS, NoisyLine, Weather
from tests.fakes.noisy_units import OK, REFUSED, Book, Served, Wrong

CALLERS = 6
ABSENT = 9
"""A unit that is not there: somebody always asks for it."""


class Refused(Exception):
    """The unit said no, with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Failed(Exception):
    """No answer that could be believed."""


class Master(Protocol):
    """Raises `Refused` or `Failed`."""

    def patience_s(self) -> float:
        """How long a call of now may wait for its turn."""

    async def read(self, unit_id: int, function: int, address: int, count: int) -> tuple[int, ...]: ...

    async def write(self, unit_id: int, function: int, address: int, values: tuple[int, ...]) -> None: ...

    async def close(self) -> None: ...


_TABLES = {1: Table.COIL, 2: Table.DISCRETE, 3: Table.HOLDING, 4: Table.INPUT}


class EdgedMaster:
    """edged's bus."""

    def __init__(
        self, line: NoisyLine, spec: BusSpec, seed: object, connect: Callable[[BusSpec], Awaitable[Pipe]] | None = None
    ) -> None:
        self.bus = Bus(spec, connect=connect or line.connect, rng=Random(f"bus {seed}"))
        self._rng = Random(f"priorities {seed}")

    def patience_s(self) -> float:
        return max(PATIENCE_S, 4 * self.bus._queue.promotion_s)

    async def read(self, unit_id: int, function: int, address: int, count: int) -> tuple[int, ...]:
        priority = self._rng.choice((Priority.KEEP_ALIVE, Priority.STATUS, Priority.METER))
        try:
            return await self.bus.read(unit_id, _TABLES[function], address, count, priority=priority)
        except ExceptionReply as error:
            raise Refused(error.code) from error
        except ChargerUnreachable as error:
            raise Failed(str(error)) from error

    async def write(self, unit_id: int, function: int, address: int, values: tuple[int, ...]) -> None:
        table = Table.COIL if function in (5, 15) else Table.HOLDING
        try:
            await self.bus.write(unit_id, table, address, values, multiple=function > 6)
        except ExceptionReply as error:
            raise Refused(error.code) from error
        except ChargerUnreachable as error:
            raise Failed(str(error)) from error

    async def close(self) -> None:
        await self.bus.close()


@dataclass
class Told:
    """What the callers were told.

    `split`: how many calls edged may have made two requests of. `longest_s`: the longest that one of them waited;
    `over_s`: the most by which one waited longer than `Master.patience_s` at its call. `took_s`: how long it all took.
    """

    done: int = 0
    split: int = 0
    refused: int = 0
    failed: int = 0
    asked: int = 0
    longest_s: float = 0.0
    over_s: float = 0.0
    took_s: float = 0.0
    wrong: list[Wrong] = field(default_factory=list)
    why: dict[str, int] = field(default_factory=dict)


async def drive(master: Master, line: NoisyLine, seed: object, frames: int, *, absent: bool = True) -> Told:
    """Let `CALLERS` ask until the master has sent so many frames; all are told before it returns."""
    told = Told()
    began = moment()
    await asyncio.gather(
        *(_call(master, line, Random(f"caller {n} {seed}"), frames, told, absent) for n in range(CALLERS))
    )
    told.took_s = moment() - began
    told.wrong = line.book.wrong
    return told


async def _call(master: Master, line: NoisyLine, rng: Random, frames: int, told: Told, absent: bool) -> None:
    while line.frames < frames:
        unit_id = ABSENT if absent and rng.random() < 0.02 else rng.choice(OURS)
        since = moment()
        patience_s = master.patience_s()
        told.asked += 1
        assert told.asked < 20 * frames, f"only {line.frames} frames were sent for {told.asked} calls: {told.why}"
        pdu = b""
        try:
            if rng.random() < 0.75:
                function, address, count = rng.choice(READS)
                pdu = bytes((function,)) + address.to_bytes(2, "big") + count.to_bytes(2, "big")
                values = await master.read(unit_id, function, address, count)
            else:
                function, address, written = _write(rng)
                pdu = write_pdu(function, address, written)
                await master.write(unit_id, function, address, written)
                values = ()
        except Refused as error:
            told.refused += 1
            _judge_refusal(line.book, unit_id, pdu, error.code, since)
        except Failed as error:
            told.failed += 1
            key = "".join(c for c in str(error) if not c.isdigit())[:40]
            told.why[key] = told.why.get(key, 0) + 1
        else:
            told.done += 1
            _judge(line.book, unit_id, pdu, values, since)
        took_s = moment() - since
        is_split = pdu[0] < 5 and bool(_parts(pdu))
        told.split += is_split
        told.longest_s = max(told.longest_s, took_s)
        told.over_s = max(told.over_s, took_s - patience_s * (1 + is_split))
        await asyncio.sleep(rng.choice((0.0, 0.001, 0.03)))


def _judge(book: Book, unit_id: int, pdu: bytes, values: tuple[int, ...], since: float) -> None:
    claims = [(pdu, Served(moment(), OK, values))]
    if (parts := _parts(pdu)) and not book.bears_out(unit_id, *claims[0], since):
        cut = int.from_bytes(parts[0][3:5], "big")
        claims = [(parts[0], Served(moment(), OK, values[:cut])), (parts[1], Served(moment(), OK, values[cut:]))]
    for asked, claim in claims:
        book.judge(unit_id, asked, claim, since)


def _judge_refusal(book: Book, unit_id: int, pdu: bytes, code: int, since: float) -> None:
    claim = Served(moment(), REFUSED, code=code)
    if not any(book.bears_out(unit_id, part, claim, since) for part in _parts(pdu)):
        book.judge(unit_id, pdu, claim, since)


def _parts(pdu: bytes) -> tuple[bytes, ...]:
    """The two requests that edged makes of a read of 17 to 24 bits; none of another one."""
    address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    if pdu[0] > 2 or not 17 <= count <= 24:
        return ()
    fewer = count - 8
    return pdu[:3] + fewer.to_bytes(2, "big"), pdu[:1] + (address + fewer).to_bytes(2, "big") + b"\0\x08"


def _write(rng: Random) -> tuple[int, int, tuple[int, ...]]:
    """Few addresses and few values, so that one write is often like another."""
    function = rng.choice((5, 6, 15, 16))
    if function == 5:
        return function, rng.randrange(2), (rng.randrange(2),)
    if function == 6:
        return function, 600 + rng.randrange(2), (rng.randrange(3),)
    if function == 15:
        return function, rng.choice((0, 8)), tuple(rng.randrange(2) for _ in range(9))
    return function, rng.choice((500, 502)), (rng.randrange(3), rng.randrange(0x10000))


def write_pdu(function: int, address: int, values: tuple[int, ...]) -> bytes:
    """The request as the standard has it; nothing of it is edged's."""
    head = bytes((function,)) + address.to_bytes(2, "big")
    if function == 5:
        return head + (b"\xff\0" if values[0] else b"\0\0")
    if function == 6:
        return head + values[0].to_bytes(2, "big")
    if function == 15:
        bits = sum(bit << i for i, bit in enumerate(values)).to_bytes((len(values) + 7) // 8, "little")
        return head + len(values).to_bytes(2, "big") + bytes((len(bits),)) + bits
    data = b"".join(value.to_bytes(2, "big") for value in values)
    return head + len(values).to_bytes(2, "big") + bytes((len(data),)) + data


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCase:
    """A kind of line: `echo`: the adapter hands back what is sent; `echo_known`: and edged was told."""

    name: str
    kind: LineKind
    baudrate: int = 19_200
    echo: bool = False
    echo_known: bool = False

    @property
    def spec(self) -> BusSpec:
        return BusSpec(
            kind=self.kind,
            port="/dev/noisy",
            host="noisy",
            baudrate=self.baudrate,
            echo=self.echo if self.echo_known else None,
        )


CASES = (
    LineCase(name="wire 9600", kind=LineKind.SERIAL, baudrate=9600),
    LineCase(name="wire 19200, echo unknown", kind=LineKind.SERIAL, echo=True),
    LineCase(name="wire 115200", kind=LineKind.SERIAL, baudrate=115_200, echo_known=True),
    LineCase(name="wire 38400, echo known", kind=LineKind.SERIAL, baudrate=38_400, echo=True, echo_known=True),
    LineCase(name="converter", kind=LineKind.RTU_OVER_TCP),
    LineCase(name="modbus tcp", kind=LineKind.TCP),
)


@dataclass(frozen=True, slots=True)
class Run:
    """All that is known of one seed's run."""

    told: Told
    line: NoisyLine
    master: EdgedMaster


async def run_edged(case: LineCase, seed: object, frames: int, weather: Weather = Weather()) -> Run:
    """edged's bus on such a line; closed when this returns."""
    line = NoisyLine(seed, case.spec, weather, echo=case.echo)
    master = EdgedMaster(line, case.spec, seed)
    told = await drive(master, line, seed, frames)
    await master.close()
    await line.stop()
    return Run(told, line, master)
