"""The lines: real sockets and a real pty, with frames written out by hand and with a client nobody here wrote."""

from __future__ import annotations

import asyncio
import os
import random
import stat
import time
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from edged.simulator.line import make_line
from edged.simulator.parts import Impossible
from edged.simulator.pdu import rtu_frame
from edged.simulator.site import SimulatedCharger, SimulatedSite
from edged.simulator.wire import WireFaults, deliver

STATE = bytes.fromhex("04 0005 0001")
KEBA_STATE = bytes.fromhex("03 03E8 0002")


class Terminal:
    """The master's end of a pty: raw bytes, with deadlines."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.descriptor)

    def send(self, data: bytes) -> None:
        os.write(self.descriptor, data)

    async def receive(self, count: int, *, timeout_s: float = 30.0) -> bytes:
        """Up to `count` bytes; fewer where they do not come in time."""
        loop = asyncio.get_running_loop()
        data = b""
        deadline = loop.time() + timeout_s
        while len(data) < count and loop.time() < deadline:
            readable = asyncio.Event()
            loop.add_reader(self.descriptor, readable.set)
            try:
                async with asyncio.timeout_at(deadline):
                    await readable.wait()
                data += os.read(self.descriptor, count - len(data))
            except TimeoutError:
                break
            finally:
                loop.remove_reader(self.descriptor)
        return data

    async def ask(self, unit_id: int, pdu: bytes, count: int, *, timeout_s: float = 30.0) -> bytes:
        self.send(rtu_frame(unit_id, pdu))
        return await self.receive(count, timeout_s=timeout_s)

    def close(self) -> None:
        os.close(self.descriptor)


@asynccontextmanager
async def yard(tmp_path: Path, **more: object) -> AsyncIterator[tuple[SimulatedSite, Terminal]]:
    """Two wallboxes, units 1 and 2, on one serial line, which hear requests without a pause."""
    listen = f"pty:{tmp_path / 'yard'}"
    chargers = [
        SimulatedCharger(
            name=name,
            make="heidelberg-energy-control",
            listen=listen,
            unit_id=number,
            min_gap_ms=0,
            **more,  # type: ignore[arg-type]
        )
        for number, name in enumerate(("left", "right"), 1)
    ]
    async with SimulatedSite(chargers, seed=1) as site:
        terminal = Terminal(tmp_path / "yard")
        try:
            yield site, terminal
        finally:
            terminal.close()


def hall(**more: object) -> SimulatedSite:
    return SimulatedSite([SimulatedCharger(name="hall", make="keba-p30", listen="tcp:127.0.0.1:0", **more)], seed=1)  # type: ignore[arg-type]


async def connect(site: SimulatedSite, name: str = "hall") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = site.endpoint(name).rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def read_some(reader: asyncio.StreamReader, count: int, *, timeout_s: float = 30.0) -> bytes:
    async with asyncio.timeout(timeout_s):
        return await reader.readexactly(count)


# --- serial -----------------------------------------------------------------------------------------------------------


async def test_two_units_on_one_serial_line_answer_each_for_itself(tmp_path: Path) -> None:
    async with yard(tmp_path) as (site, terminal):
        site["left"].plug_in()
        left = await terminal.ask(1, STATE, 7)
        right = await terminal.ask(2, STATE, 7)
    assert left == rtu_frame(1, bytes.fromhex("04 02 0005"))
    assert right == rtu_frame(2, bytes.fromhex("04 02 0003"))


async def test_absent_silent_and_broadcast_units_do_not_answer(tmp_path: Path) -> None:
    async with yard(tmp_path) as (site, terminal):
        site.units["left"].silent = True
        for unit_id in (0, 1, 3):
            terminal.send(rtu_frame(unit_id, STATE))
        assert (await terminal.ask(2, STATE, 8, timeout_s=0.2))[0] == 2


async def test_a_damaged_request_is_not_answered_and_the_next_is(tmp_path: Path) -> None:
    async with yard(tmp_path) as (_, terminal):
        damaged = bytearray(rtu_frame(1, STATE))
        damaged[-1] ^= 0xFF
        assert await terminal.ask(1, STATE, 7) != b""
        terminal.send(bytes(damaged))
        assert await terminal.receive(7, timeout_s=0.2) == b""
        assert len(await terminal.ask(1, STATE, 7)) == 7


async def test_a_request_in_pieces_is_one_request(tmp_path: Path) -> None:
    async with yard(tmp_path) as (_, terminal):
        frame = rtu_frame(1, STATE)
        terminal.send(frame[:3])
        terminal.send(frame[3:])
        assert len(await terminal.receive(7)) == 7


async def test_a_function_nobody_knows_gets_an_exception_over_serial(tmp_path: Path) -> None:
    async with yard(tmp_path) as (_, terminal):
        assert await terminal.ask(1, bytes.fromhex("2B 0E 01 00"), 5) == rtu_frame(1, bytes.fromhex("AB 01"))


async def test_a_paced_line_takes_its_time(tmp_path: Path) -> None:
    async with yard(tmp_path, baudrate=9600) as (_, terminal):
        started = time.monotonic()
        await terminal.ask(1, bytes.fromhex("04 0005 000E"), 33)
        took_s = time.monotonic() - started
    wire_s = (8 + 33) * 11 / 9600
    assert wire_s <= took_s


async def test_the_link_to_the_terminal_is_removed_and_a_stale_one_replaced(tmp_path: Path) -> None:
    (tmp_path / "yard").symlink_to("/nowhere/at/all")
    async with yard(tmp_path):
        assert stat.S_ISCHR((tmp_path / "yard").stat().st_mode)
    assert not (tmp_path / "yard").is_symlink()


async def test_a_file_at_the_links_place_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "yard").write_text("precious")
    with pytest.raises(Impossible, match="cannot make a link"):
        async with yard(tmp_path):
            pass
    assert (tmp_path / "yard").read_text() == "precious"


async def test_a_master_may_come_back_to_the_terminal(tmp_path: Path) -> None:
    async with yard(tmp_path) as (_, first):
        assert len(await first.ask(1, STATE, 7)) == 7
        second = Terminal(tmp_path / "yard")
        assert len(await second.ask(1, STATE, 7)) == 7
        second.close()


async def test_a_foreign_client_reads_and_writes_over_serial(tmp_path: Path) -> None:
    async with yard(tmp_path) as (site, _):
        client = AsyncModbusSerialClient(str(tmp_path / "yard"), parity="N", timeout=30, retries=0)
        assert await client.connect()
        try:
            assert not (await client.write_registers(261, [80, 60], device_id=2)).isError()
            assert (await client.read_holding_registers(261, count=2, device_id=2)).registers == [80, 60]
            assert (await client.read_input_registers(5, count=14, device_id=1)).registers[0] == 3
        finally:
            client.close()
        assert (site["right"].limit_ma, site["left"].limit_ma) == (8_000, 16_000)


# --- TCP --------------------------------------------------------------------------------------------------------------


async def test_tcp_answers_every_request_of_one_segment_with_its_own_transaction_id() -> None:
    async with hall() as site:
        reader, writer = await connect(site)
        request = b"\0\0\0\x06\xff" + KEBA_STATE
        writer.write(b"\0\x01" + request + b"\0\x02" + request)
        replies = await read_some(reader, 26)
        writer.close()
    assert replies[:13] == bytes.fromhex("0001 0000 0007 FF 03 04 0000 0001")
    assert replies[13:15] == b"\0\x02"


@pytest.mark.parametrize("rubbish", ["0001 0001 0006 FF 03 03E8 0002", "0001 0000 0001 FF", "0001 0000 FFFF FF 03"])
async def test_who_does_not_speak_modbus_tcp_is_disconnected_and_others_are_not(rubbish: str) -> None:
    async with hall() as site:
        reader, writer = await connect(site)
        good_reader, good_writer = await connect(site)
        writer.write(bytes.fromhex(rubbish) + b"\0" * 300)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await read_some(reader, 1)
        good_writer.write(bytes.fromhex("0001 0000 0006 FF") + KEBA_STATE)
        assert len(await read_some(good_reader, 13)) == 13
        writer.close()
        good_writer.close()


async def test_a_foreign_client_reads_and_writes_over_tcp() -> None:
    async with hall() as site:
        host, _, port = site.endpoint("hall").rpartition(":")
        client = AsyncModbusTcpClient(host, port=int(port), timeout=30, retries=0)
        assert await client.connect()
        try:
            assert (await client.read_holding_registers(1000, count=2, device_id=255)).registers == [0, 1]
            assert (await client.read_holding_registers(1000, count=3, device_id=255)).exception_code == 2
            assert not (await client.write_register(5004, 9_000, device_id=255)).isError()
        finally:
            client.close()
        assert site["hall"].limit_ma == 9_000


async def test_rtu_frames_travel_over_tcp_too() -> None:
    charger = SimulatedCharger(
        name="hall", make="heidelberg-energy-control", listen="rtu-tcp:127.0.0.1:0", unit_id=4, min_gap_ms=0
    )
    async with SimulatedSite([charger], seed=1) as site:
        host, _, port = site.endpoint("hall").rpartition(":")
        client = AsyncModbusTcpClient(host, port=int(port), framer=FramerType.RTU, timeout=30, retries=0)
        assert await client.connect()
        try:
            assert (await client.read_input_registers(100, count=2, device_id=4)).registers == [16, 6]
        finally:
            client.close()


async def test_a_port_that_is_taken_is_a_clear_error() -> None:
    async with hall() as site:
        port = site.endpoint("hall").rpartition(":")[2]
        other = SimulatedSite([SimulatedCharger(name="it", make="keba-p30", listen=f"tcp:127.0.0.1:{port}")], seed=1)
        with pytest.raises(Impossible, match="cannot listen"):
            await other.start()


@pytest.mark.parametrize(
    "listen", ["", "tcp", "tcp:5020", "tcp:host:x", "tcp:host:70000", "pty:", "udp:host:1", "tcp::1"]
)
def test_a_listen_address_that_is_none_is_a_clear_error(listen: str) -> None:
    with pytest.raises(Impossible, match="write tcp:HOST:PORT"):
        make_line(listen, None)  # type: ignore[arg-type]


# --- faults on the wire -----------------------------------------------------------------------------------------------


async def test_a_late_reply_comes_late_and_does_not_hold_up_the_line(tmp_path: Path) -> None:
    async with yard(tmp_path) as (site, terminal):
        site.units["left"].wire = WireFaults(late_ms=150)
        terminal.send(rtu_frame(1, STATE))
        assert (await terminal.ask(2, STATE, 7))[0] == 2
        assert (await terminal.receive(7))[0] == 1


async def test_dropped_replies_never_come(tmp_path: Path) -> None:
    async with yard(tmp_path) as (site, terminal):
        site.units["left"].wire = WireFaults(drop=1)
        assert await terminal.ask(1, STATE, 1, timeout_s=0.2) == b""


async def test_a_truncated_tcp_reply_ends_the_connection() -> None:
    async with hall() as site:
        site.units["hall"].wire = WireFaults(truncate=1)
        reader, writer = await connect(site)
        writer.write(bytes.fromhex("0001 0000 0006 FF") + KEBA_STATE)
        async with asyncio.timeout(30):
            assert 0 < len(await reader.read(-1)) < 13
        writer.close()


def test_faults_come_from_the_seed() -> None:
    faults = WireFaults(drop=0.3, corrupt=0.3, truncate=0.3, wrong_unit=0.3, late=0.5, late_ms=20)

    def series(seed: int) -> list[object]:
        dice = random.Random(seed)
        return [deliver(b"\x03\x02\0\x01", unit_id=1, transaction_id=None, faults=faults, dice=dice) for _ in range(50)]

    assert series(7) == series(7) != series(8)


def test_a_corrupt_rtu_frame_fails_its_checksum_and_a_wrong_unit_does_not() -> None:
    dice, pdu = random.Random(1), b"\x03\x02\0\x01"
    for _ in range(100):
        corrupt = deliver(pdu, unit_id=1, transaction_id=None, faults=WireFaults(corrupt=1), dice=dice)
        assert corrupt is not None
        assert rtu_frame(corrupt.frame[0], corrupt.frame[1:-2]) != corrupt.frame
    wrong = deliver(pdu, unit_id=1, transaction_id=None, faults=WireFaults(wrong_unit=1), dice=dice)
    assert wrong is not None
    assert wrong.frame == rtu_frame(2, pdu)


@pytest.mark.parametrize("wrong", [{"drop": 1.5}, {"late": -0.1}, {"late_ms": -1}, {"corrupt": float("nan")}])
def test_probabilities_outside_zero_and_one_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        WireFaults(**wrong)
