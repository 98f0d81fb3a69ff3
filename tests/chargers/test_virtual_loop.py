"""The loop whose time passes by itself: what the tests of a line lean on."""

from __future__ import annotations

import asyncio

import pytest

from edged.chargers.bus import Bus
from edged.chargers.line import BusSpec, LineKind, pause_until
from edged.chargers.modbus import NoAnswer, Table, rtu_frame
from edged.chargers.moments import moment
from tests.fakes.virtual_loop import MemoryPipe, handing_out, run_virtually

SERIAL = BusSpec(kind=LineKind.SERIAL, port="virtual", baudrate=19_200)


def test_an_hour_passes_at_once_and_exactly() -> None:
    async def scene() -> float:
        await asyncio.sleep(3600)
        return moment()

    assert run_virtually(scene()) == pytest.approx(3600, abs=1e-3)


def test_a_wait_that_spins_comes_to_its_end() -> None:
    async def scene() -> float:
        until = moment() + 0.0123
        await pause_until(until)
        return moment() - until

    assert 0 <= run_virtually(scene()) < 1e-4


def test_what_would_hang_for_ever_is_a_timeout_at_once() -> None:
    async def scene() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        run_virtually(scene())


def test_a_threads_work_takes_no_time() -> None:
    async def scene() -> float:
        assert await asyncio.to_thread(sum, (1, 2)) == 3
        return moment()

    assert run_virtually(scene()) < 1e-3


def test_a_bus_is_served_over_a_pipe_in_memory() -> None:
    async def scene() -> None:
        reply = rtu_frame(1, bytes((3, 4, 0, 1, 0, 2)))
        pipe = MemoryPipe(lambda pipe, data: pipe.feed(reply, after_s=0.02, character_s=SERIAL.character_s))
        bus = Bus(SERIAL, connect=handing_out(pipe))
        assert await bus.read(1, Table.HOLDING, 0, 2) == (1, 2)
        pipe.on_write = lambda pipe, data: None
        with pytest.raises(NoAnswer):
            await bus.read(1, Table.HOLDING, 0, 2)
        await bus.close()

    run_virtually(scene())
