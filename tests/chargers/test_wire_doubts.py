"""What may or may not be taken for the answer: each case that the storms have found, by itself, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from edged.chargers.bus import PATIENCE_S, Bus
from edged.chargers.line import BusSpec, LineDown, LineKind
from edged.chargers.modbus import NoAnswer, ProtocolError, Read, Table, rtu_frame
from edged.chargers.moments import moment
from edged.ports import ChargerUnreachable
from tests.fakes.virtual_loop import MemoryPipe, handing_out, run_virtually

H, C = Table.HOLDING, Table.COIL
CONVERTER = BusSpec(kind=LineKind.RTU_OVER_TCP, host="virtual")
SERIAL = BusSpec(kind=LineKind.SERIAL, port="virtual", baudrate=19_200)
TCP = BusSpec(kind=LineKind.TCP, host="virtual")
Answer = Callable[[MemoryPipe, bytes], object]


def words(unit_id: int, *values: int) -> bytes:
    return rtu_frame(unit_id, bytes((3, 2 * len(values))) + b"".join(v.to_bytes(2, "big") for v in values))


def asked(unit_id: int, address: int, count: int = 1) -> bytes:
    return rtu_frame(unit_id, Read(table=H, address=address, count=count).pdu)


def on_line(answer: Answer, scene: Callable[[Bus, MemoryPipe], Awaitable[None]], spec: BusSpec = CONVERTER) -> None:
    async def play() -> None:
        pipe = MemoryPipe(answer)
        bus = Bus(spec, connect=handing_out(pipe, MemoryPipe(answer), MemoryPipe(answer)))
        await scene(bus, pipe)
        await bus.close()

    run_virtually(play())


def by_address(pipe: MemoryPipe, frame: bytes) -> None:
    """A unit whose registers hold their address, at once."""
    pipe.feed(words(frame[0], int.from_bytes(frame[2:4], "big")), after_s=0.01)


# --- echo


@pytest.mark.parametrize("first", ["a write", "a read, then a write"])
def test_an_unknown_echo_is_never_the_answer_to_a_write(first: str) -> None:
    def deaf_behind_an_echo(pipe: MemoryPipe, frame: bytes) -> None:
        pipe.feed(frame)

    async def scene(bus: Bus, pipe: MemoryPipe) -> None:
        if first != "a write":
            with pytest.raises(ChargerUnreachable):
                await bus.read(1, H, 0, 1)
        with pytest.raises(ChargerUnreachable):
            await bus.write(1, H, 0, (5,))
        with pytest.raises(ChargerUnreachable):
            await bus.write(1, C, 0, (1,))

    on_line(deaf_behind_an_echo, scene, SERIAL)


@pytest.mark.parametrize("echo", [False, True])
def test_the_first_write_is_done_with_and_without_an_echo(echo: bool) -> None:
    def unit(pipe: MemoryPipe, frame: bytes) -> None:
        pipe.feed((frame if echo else b"") + (frame if frame[1] == 6 else words(1, 0)), after_s=0.01)

    async def scene(bus: Bus, pipe: MemoryPipe) -> None:
        await bus.write(1, H, 0, (5,))
        assert pipe.written == 2, "a read has shown what the adapter does"
        await bus.write(1, H, 0, (6,))
        assert pipe.written == 3

    on_line(unit, scene, SERIAL)


def test_another_master_who_asks_the_same_is_not_taken_for_an_echo_for_ever() -> None:
    said = [b"", asked(1, 0)]

    def unit(pipe: MemoryPipe, frame: bytes) -> None:
        pipe.feed((said.pop(0) if said else b"") + (frame if frame[1] == 6 else words(1, 0)), after_s=0.01)

    async def scene(bus: Bus, pipe: MemoryPipe) -> None:
        await bus.read(1, H, 0, 1)
        with pytest.raises(ProtocolError, match="another master"):
            await bus.read(1, H, 0, 1, forgiving=True)
            await bus.read(1, H, 0, 1, forgiving=True)
        await asyncio.sleep(3)
        await bus.write(1, H, 0, (5,))

    on_line(unit, scene, SERIAL)


def test_a_write_to_nobody_fails_as_soon_as_a_read() -> None:
    async def scene(bus: Bus, pipe: MemoryPipe) -> None:
        with pytest.raises(NoAnswer, match="did not answer"):
            await bus.write(1, H, 0, (5,))
        assert moment() < 3

    on_line(lambda pipe, frame: None, scene, SERIAL)


# --- another master


@pytest.mark.parametrize("before_we_spoke", [False, True])
def test_a_reply_that_may_be_for_another_master_is_refused(before_we_spoke: bool) -> None:
    def unit(pipe: MemoryPipe, frame: bytes) -> None:
        if not before_we_spoke:
            pipe.feed(asked(1, 7), after_s=0.005)
        pipe.feed(words(1, 7), after_s=0.01)

    async def scene(bus: Bus, pipe: MemoryPipe) -> None:
        if before_we_spoke:
            pipe.feed(asked(1, 7))
        with pytest.raises(ProtocolError, match="another master asks unit 1"):
            await bus.read(1, H, 100, 1)

    on_line(unit, scene)


def test_a_master_whose_answer_was_heard_is_no_obstacle() -> None:
    async def scene(bus: Bus, pipe: MemoryPipe) -> None:
        pipe.feed(asked(1, 7) + words(1, 7))
        assert await bus.read(1, H, 100, 1) == (100,)

    on_line(by_address, scene)


def test_whoever_speaks_is_let_finish() -> None:
    sent_at: list[float] = []

    def unit(pipe: MemoryPipe, frame: bytes) -> None:
        sent_at.append(moment())
        by_address(pipe, frame)

    async def scene(bus: Bus, pipe: MemoryPipe) -> None:
        await bus.read(1, H, 0, 1)
        begun = moment()
        pipe.feed(bytes(8) * 10, character_s=SERIAL.character_s)
        await asyncio.sleep(0.02)
        assert await bus.read(1, H, 1, 1) == (1,)
        assert sent_at[-1] >= begun + 80 * SERIAL.character_s + SERIAL.silence_s * 0.99

    on_line(unit, scene, SERIAL)


def test_who_never_stops_to_speak_is_not_waited_for_for_ever() -> None:
    async def scene(bus: Bus, pipe: MemoryPipe) -> None:
        pipe.feed(bytes(20_000), character_s=SERIAL.character_s)
        begun = moment()
        await asyncio.sleep(0.1)
        with pytest.raises(ChargerUnreachable):
            await bus.read(1, H, 1, 1)
        assert pipe.written == 1
        assert moment() - begun < 5

    on_line(lambda pipe, frame: None, scene, SERIAL)


def test_as_many_bits_as_make_a_reply_look_like_a_request_are_read_in_two() -> None:
    sizes: list[int] = []

    def unit(pipe: MemoryPipe, frame: bytes) -> None:
        count = int.from_bytes(frame[4:6], "big")
        sizes.append(count)
        data = ((1 << count) - 1 if len(sizes) % 2 else 0).to_bytes((count + 7) // 8, "little")
        pipe.feed(rtu_frame(1, bytes((1, len(data))) + data), after_s=0.01)

    async def scene(bus: Bus, pipe: MemoryPipe) -> None:
        for count in (16, 17, 24, 25):
            sizes.clear()
            bits = await bus.read(1, C, 0, count)
            assert len(bits) == count
            assert sizes == ([count] if count in (16, 25) else [count - 8, 8])
            assert sum(bits) == sizes[0]

    on_line(unit, scene)


# --- what is still owed


def test_a_reply_to_what_was_asked_before_the_line_was_lost_is_no_answer_after_it() -> None:
    async def play() -> None:
        pipes: list[MemoryPipe] = []

        def unit(pipe: MemoryPipe, frame: bytes) -> None:
            if len(pipes) == 1:
                pipe.lose("the converter restarted")
            else:
                pipe.feed(words(1, int.from_bytes(frame[2:4], "big")), after_s=0.4)

        async def connect(spec: BusSpec) -> MemoryPipe:
            pipes.append(MemoryPipe(unit))
            if len(pipes) > 1:
                pipes[-1].feed(words(1, 0), after_s=0.1)
            return pipes[-1]

        bus = Bus(CONVERTER, connect=connect)
        with pytest.raises(LineDown):
            await bus.read(1, H, 0, 1)
        while True:
            try:
                assert await bus.read(1, H, 100, 1) == (100,)
                break
            except LineDown:
                await asyncio.sleep(0.05)
        await bus.close()

    run_virtually(play())


def test_a_unit_that_was_ever_heard_to_be_late_is_expected_to_be_as_late_again() -> None:
    """The first reply that is later than the limit is the one that nobody can know of."""
    delays = {100: 1.9, 200: 1.9}

    def unit(pipe: MemoryPipe, frame: bytes) -> None:
        address = int.from_bytes(frame[2:4], "big")
        pipe.feed(words(frame[0], address), after_s=delays.get(address, 0.02))

    spec = BusSpec(kind=LineKind.RTU_OVER_TCP, host="virtual", timeout_s=0.1)

    async def scene(bus: Bus, pipe: MemoryPipe) -> None:
        for address in (100, 200):
            with pytest.raises(NoAnswer):
                await bus.read(1, H, address, 1, forgiving=True)
            if address == 100:
                await asyncio.sleep(3)
                assert await bus.read(2, H, 5, 1) == (5,)
            for number in range(40):
                assert await bus.read(1, H, number, 1) == (number,)

    on_line(unit, scene, spec)


# --- Modbus TCP


def test_a_stream_that_stops_within_a_frame_costs_the_connection() -> None:
    def unit(pipe: MemoryPipe, frame: bytes) -> None:
        pipe.feed(frame[:2] + b"\0\0\0\x05\x01\x03\x02", after_s=0.01)

    async def scene(bus: Bus, pipe: MemoryPipe) -> None:
        with pytest.raises(LineDown, match="stopped after 9 bytes"):
            await bus.read(1, H, 0, 1)
        assert pipe.is_closed

    on_line(unit, scene, TCP)


# --- who waits is told


def test_who_has_waited_long_enough_is_told_also_while_the_line_rests() -> None:
    async def scene(bus: Bus, pipe: MemoryPipe) -> None:
        assert await bus.read(1, H, 0, 1) == (0,)
        bus.tune(1, min_gap_s=60.0, gap_is_bus_wide=False, response_timeout_s=None)
        assert await bus.read(1, H, 0, 1) == (0,)
        begun = moment()
        with pytest.raises(NoAnswer, match="too busy"):
            await bus.read(1, H, 0, 1)
        assert moment() - begun == pytest.approx(PATIENCE_S, abs=0.01)

    on_line(by_address, scene)
