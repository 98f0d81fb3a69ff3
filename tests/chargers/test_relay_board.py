"""Relay boards over a real connection: what goes over the wire, and that outputs come to rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from edged.chargers.bus import Bus
from edged.chargers.factory import build_board, open_bus
from edged.chargers.library import load_relay
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import ExceptionReply, Table
from edged.chargers.profile_terms import WriteFunction
from edged.chargers.relay_board import RelayBoard
from edged.chargers.relay_profile import Outputs, Pulse
from edged.ports import ChargerRefused
from edged.simulator.makes.modbus_relay import ModbusRelay
from edged.simulator.parts import Impossible
from edged.simulator.site import SimulatedCharger, SimulatedSite

COILS = load_relay("modbus-relay")
WORDS = replace(
    COILS,
    outputs=Outputs(table=Table.HOLDING, first=1, count=4, on=0x100, off=0x200, reads_on=1, reads_off=0),
)
PULSING = replace(WORDS, outputs=replace(WORDS.outputs, pulse=Pulse(value=0x600, step_s=1.0, most=255)))


class Yard:
    """A simulated board and the bus to it; `heard` is every request, in hex."""

    def __init__(self, unit: ModbusRelay, bus: Bus, site: SimulatedSite, monkeypatch: pytest.MonkeyPatch) -> None:
        self.unit, self.bus, self.site = unit, bus, site
        self.heard: list[str] = []
        answer = unit.answer

        def overhear(pdu: bytes, *, now_s: float) -> bytes | None:
            self.heard.append(pdu.hex())
            return answer(pdu, now_s=now_s)

        monkeypatch.setattr(unit, "answer", overhear)

    def at_rest(self) -> bool:
        return not any(self.unit.outputs.values())


@pytest.fixture
async def yard(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Yard]:
    async with SimulatedSite([SimulatedCharger(name="board", make="modbus-relay", listen="tcp:127.0.0.1:0")]) as site:
        host, port = site.endpoint("board").split(":")
        bus = open_bus(BusSpec(kind=LineKind.TCP, host=host, tcp_port=int(port)))
        unit = site.units["board"]
        assert isinstance(unit, ModbusRelay)
        yield Yard(unit, bus, site, monkeypatch)
        await bus.close()


@asynccontextmanager
async def started(board: RelayBoard) -> AsyncIterator[RelayBoard]:
    board.start()
    try:
        yield board
    finally:
        await board.stop()


# --- over the wire


async def test_a_coil_is_switched_by_function_5_and_read_back_by_function_1(yard: Yard) -> None:
    output = build_board(COILS, yard.bus).use(3)
    await output.hold(5.0)
    assert yard.heard == ["050002ff00", "0100020001"]
    yard.heard.clear()
    assert await output.release()
    assert yard.heard == ["0500020000", "0100020001"]


async def test_a_board_that_knows_no_single_writes_gets_function_15(yard: Yard) -> None:
    several = replace(COILS, bus=replace(COILS.bus, write_function=WriteFunction.MULTIPLE))
    await build_board(several, yard.bus).use(1).hold(5.0)
    assert yard.heard == ["0f000000010101", "0100000001"]
    assert yard.unit.outputs[1]


class Registers:
    """A board with holding registers, in place of a bus: it shows 1 or 0, whatever word switched it."""

    def __init__(self) -> None:
        self.writes: list[tuple[int, int]] = []
        self.shown: dict[int, int] = {}
        self.spec = BusSpec(kind=LineKind.TCP, host="board", tcp_port=502)

    def tune(self, unit_id: int, **rules: object) -> None:
        pass

    async def read(self, unit_id: int, table: Table, address: int, count: int, **options: object) -> tuple[int, ...]:
        assert (table, count) == (Table.HOLDING, 1)
        return (self.shown.get(address, 0),)

    async def write(self, unit_id: int, table: Table, address: int, values: tuple[int, ...], **options: object) -> None:
        (value,) = values
        self.writes.append((address, value))
        self.shown[address] = int(value != 0x200)


async def test_a_holding_register_is_written_in_the_boards_own_words() -> None:
    registers = Registers()
    output = build_board(WORDS, registers).use(2)  # type: ignore[arg-type]
    await output.hold(5.0)
    assert await output.release()
    assert registers.writes == [(2, 0x100), (2, 0x200)]


async def test_a_board_that_can_is_told_to_end_by_itself_a_little_later() -> None:
    registers = Registers()
    output = build_board(PULSING, registers).use(1)  # type: ignore[arg-type]
    await output.hold(5.0)
    assert await output.release()
    assert registers.writes == [(1, 0x608), (1, 0x200)]


# --- what a board may do wrong


async def test_an_output_that_does_not_switch_is_a_refusal(yard: Yard) -> None:
    yard.unit.force("output_1", 0, 1)
    with pytest.raises(ChargerRefused, match="was switched on but reads off"):
        await build_board(COILS, yard.bus).use(1).hold(5.0)


async def test_an_output_beyond_the_boards_last_is_a_refusal(yard: Yard) -> None:
    more = replace(COILS, outputs=replace(COILS.outputs, count=40))
    with pytest.raises(ExceptionReply, match="illegal data address"):
        await build_board(more, yard.bus).use(33).hold(5.0)


async def test_a_word_that_is_neither_on_nor_off_is_not_believed() -> None:
    registers = Registers()
    registers.shown[1] = 7
    board = build_board(WORDS, registers)  # type: ignore[arg-type]
    with pytest.raises(ChargerRefused, match="neither on nor off"):
        await board.is_on(1)


def test_an_output_has_one_user_and_must_exist(yard: Yard) -> None:
    board = build_board(COILS, yard.bus)
    board.use(1)
    with pytest.raises(ValueError, match="has a user already"):
        board.use(1)
    with pytest.raises(ValueError, match=r"the outputs 1\.\.32"):
        board.use(33)


def test_a_board_must_speak_what_its_line_does(yard: Yard) -> None:
    with pytest.raises(ValueError, match="unit id"):
        build_board(COILS, yard.bus, unit_id=0)


# --- the way back to rest


async def test_what_a_run_before_left_on_is_switched_off_and_nothing_else(yard: Yard) -> None:
    yard.unit.switch(1, 1)
    yard.unit.switch(2, 1)
    board = build_board(COILS, yard.bus)
    board.use(1)
    async with started(board):
        await yard.site.until(lambda: not yard.unit.outputs[1])
    assert yard.unit.outputs[2], "not ours"


async def test_a_board_that_is_away_at_the_start_is_waited_for(yard: Yard, caplog: pytest.LogCaptureFixture) -> None:
    yard.unit.switch(1, 1)
    yard.unit.silent = True
    board = build_board(COILS, yard.bus)
    board.use(1)
    async with started(board):
        await yard.site.until(lambda: bool(yard.heard))
        await yard.site.until(lambda: "does not do its part" in caplog.text)
        yard.unit.silent = False
        await yard.site.until(yard.at_rest)
    assert caplog.text.count("does not do its part") == 1


async def test_what_somebody_else_switched_is_undone_at_the_next_look(yard: Yard) -> None:
    board = RelayBoard(COILS, yard.bus, unit_id=1, look_every_s=0.05)
    board.use(1)
    async with started(board):
        await yard.site.until(lambda: len(yard.heard) >= 2)
        yard.unit.switch(1, 1)
        await yard.site.until(yard.at_rest)


async def test_a_held_output_is_left_alone_until_it_is_released(yard: Yard) -> None:
    board = RelayBoard(COILS, yard.bus, unit_id=1, look_every_s=0.02)
    output, other = board.use(1), board.use(2)
    async with started(board):
        await output.hold(5.0)
        heard = len(yard.heard)
        await yard.site.until(lambda: len(yard.heard) >= heard + 4)
        assert yard.unit.outputs[1]
        assert await output.release()
    assert yard.at_rest()
    assert str(other).startswith("output 2 of modbus-relay at")


async def test_a_release_that_failed_is_made_up_for(yard: Yard) -> None:
    board = build_board(COILS, yard.bus)
    output = board.use(1)
    await output.hold(5.0)
    yard.unit.silent = True
    async with started(board):
        assert not await output.release()
        yard.unit.silent = False
        await yard.site.until(yard.at_rest)


async def test_a_cancelled_user_still_releases(yard: Yard) -> None:
    output = build_board(COILS, yard.bus).use(1)

    async def use() -> None:
        try:
            await output.hold(5.0)
            await asyncio.Event().wait()
        finally:
            await output.release()

    task = asyncio.create_task(use())
    await yard.site.until(lambda: yard.unit.outputs[1])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert yard.at_rest()


async def test_a_release_is_not_cut_short(yard: Yard) -> None:
    output = build_board(COILS, yard.bus).use(1)
    await output.hold(5.0)
    task = asyncio.create_task(output.release())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert yard.at_rest()


# --- the simulated board


def test_a_simulated_output_has_one_victim_and_drops_without_power() -> None:
    board = ModbusRelay("board", unit_id=1)
    victim = ModbusRelay("victim", unit_id=2)
    board.attach(1, victim)
    with pytest.raises(Impossible):
        board.attach(1, victim)
    board.switch(1, 1)
    assert not victim.reachable
    board.reboot()
    assert victim.reachable
