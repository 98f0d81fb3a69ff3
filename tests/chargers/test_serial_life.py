"""A line's life in a cabinet: unplugged and plugged in again, held by somebody else, locked up; told once, recovered.

Real pseudo terminals, real TCP. What is plugged in is a pty behind a name that can be pointed elsewhere.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import pty
import select
import socket
import stat
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter

import pytest
import serial

from edged.chargers import outage
from edged.chargers.bus import Bus
from edged.chargers.line import BusSpec, LineDown, LineKind, SerialPipe, TcpPipe
from edged.chargers.modbus import Table, mbap_frame, split_mbap
from edged.chargers.moments import moment
from edged.chargers.opening import Trouble, latency_words, serial_trouble, tcp_trouble
from edged.chargers.outage import LineWatch, lasted
from edged.chargers.serial_ports import SerialPorts
from edged.cli.bus_view import lines_of_buses
from edged.ports import ChargerUnreachable
from edged.site import load_site
from tests.chargers.conftest import PtySlave, TcpSlave, Units
from tests.fakes.virtual_loop import MemoryPipe, run_virtually

H = Table.HOLDING
PATIENCE_S = 30.0


async def until(condition: Callable[[], bool]) -> None:
    """Bounded polling at the edge of the process."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


class Adapter:
    """A USB adapter under a lasting name, with one unit (1) behind it whose register 0 counts the devices."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = folder / "usb-FTDI_FT232R_A10K-if00-port0"
        self.units = Units(registers={1: {0: 0}})
        self.slave: PtySlave | None = None

    def plug_in(self) -> str:
        self.units.registers[1][0] += 1
        slave = self.slave = PtySlave(self.units)
        self.name.unlink(missing_ok=True)
        self.name.symlink_to(slave.port)
        return slave.port

    def unplug(self) -> None:
        if self.slave is not None:
            self.slave.close()
            self.slave = None
        self.name.unlink(missing_ok=True)

    def spec(self, **changes: object) -> BusSpec:
        return BusSpec(**{"kind": LineKind.SERIAL, "port": str(self.name), "baudrate": 115_200, **changes})  # type: ignore[arg-type]


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[Adapter]:
    adapter = Adapter(tmp_path / "dev" / "serial" / "by-id")
    adapter.plug_in()
    yield adapter
    adapter.unplug()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same life, faster."""
    monkeypatch.setattr(outage, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(outage, "LONGEST_PAUSE_S", 0.05)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What an operator reads of lines: the level's letter and the sentence."""
    caplog.set_level(logging.INFO, logger="edged.chargers")
    return lambda: [
        f"{record.levelname[0]} {record.getMessage()}"
        for record in caplog.records
        if record.name == "edged.chargers.outage"
    ]


@asynccontextmanager
async def bus_on(spec: BusSpec, **options: object) -> AsyncIterator[Bus]:
    bus = Bus(spec, **options)  # type: ignore[arg-type]
    try:
        yield bus
    finally:
        await bus.close()


async def read_at_last(bus: Bus) -> tuple[int, ...]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await bus.read(1, H, 0, 1)
            except ChargerUnreachable:
                await asyncio.sleep(0.005)


# --- unplugged and plugged in again -----------------------------------------------------------------------------------


async def test_a_lasting_name_is_followed_to_another_device_and_the_log_says_which(adapter, quick, told) -> None:
    first = adapter.slave.port
    async with bus_on(adapter.spec()) as bus:
        assert await bus.read(1, H, 0, 1) == (1,)
        old = adapter.slave
        adapter.name.unlink()
        second = adapter.plug_in()
        old.close()
        assert await read_at_last(bus) == (2,)
    assert first != second
    assert told()[0] == f"I {adapter.name} (now {first}) is open"
    assert told()[-1].startswith(f"I {adapter.name} (now {second}) is open again after ")


async def test_an_adapter_unplugged_in_the_middle_of_a_frame_fails_the_request_and_comes_back(
    adapter, quick, told
) -> None:
    async with bus_on(adapter.spec(timeout_s=120)) as bus:
        await bus.read(1, H, 0, 1)
        adapter.units.twist = lambda number, frame, normal: [(0.0, normal[:4])] if number == 2 else None
        waiting = asyncio.create_task(bus.read(1, H, 0, 1))
        await until(lambda: len(adapter.units.requests) == 2)
        adapter.unplug()
        async with asyncio.timeout(PATIENCE_S):  # not the two minutes of its timeout
            with pytest.raises(LineDown, match=r"the adapter is gone .*: plug it in again, edged opens it by itself"):
                await waiting
        adapter.plug_in()
        assert await read_at_last(bus) == (2,)


async def test_an_adapter_unplugged_while_nobody_asks_is_noticed_and_open_again_before_anybody_does(
    adapter, quick
) -> None:
    async with bus_on(adapter.spec()) as bus:
        await bus.read(1, H, 0, 1)
        adapter.unplug()
        await until(lambda: not bus.statistics.is_open)
        adapter.plug_in()
        await until(lambda: bus.statistics.is_open)
        assert await bus.read(1, H, 0, 1) == (2,)


async def test_an_outage_is_told_once_and_its_end_once_however_often_it_is_tried(adapter, quick, told) -> None:
    attempts: list[BusSpec] = []

    async def connect(spec: BusSpec) -> SerialPipe:
        attempts.append(spec)
        return await SerialPipe.open(spec)

    async with bus_on(adapter.spec(), connect=connect) as bus:
        await bus.read(1, H, 0, 1)
        adapter.unplug()
        await until(lambda: len(attempts) > 6)
        adapter.plug_in()
        await read_at_last(bus)
    _, lost, back = told()
    assert lost.startswith(f"W {adapter.name} was lost: the adapter is gone (")
    assert f"{adapter.name} (now " in back and "is open again after " in back


async def test_an_adapter_unplugged_while_a_write_waits_for_room_fails_the_write(tmp_path) -> None:
    master, slave = pty.openpty()
    pipe = await SerialPipe.open(BusSpec(kind=LineKind.SERIAL, port=os.ttyname(slave)))
    try:
        writing = asyncio.create_task(pipe.write(b"\x55" * 200_000))  # nobody reads the other end
        await asyncio.to_thread(select.select, [master], [], [], PATIENCE_S)
        assert not writing.done()
        os.close(slave)
        os.close(master)
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(LineDown, match="the adapter is gone"):
                await writing
    finally:
        pipe.close()


async def test_a_port_that_takes_no_bytes_is_given_up_after_a_second(monkeypatch) -> None:
    monkeypatch.setattr("edged.chargers.line.WRITE_PATIENCE_S", 0.05)
    master, slave = pty.openpty()
    pipe = await SerialPipe.open(BusSpec(kind=LineKind.SERIAL, port=os.ttyname(slave)))
    try:
        with pytest.raises(LineDown, match="takes no bytes: unplug the adapter"):
            await pipe.write(b"\x55" * 200_000)
        begun = perf_counter()
        pipe.close()
        assert perf_counter() - begun < 25  # what was not sent is not waited for
    finally:
        os.close(slave)
        os.close(master)


async def test_what_was_not_sent_is_dropped_before_the_port_is_closed() -> None:
    """Closing a port waits until everything is sent, up to half a minute, and the whole daemon with it."""
    done: list[str] = []

    class Port:
        def fileno(self) -> int:
            return slave

        def reset_output_buffer(self) -> None:
            done.append("dropped")
            raise termios.error(5, "Input/output error")  # an adapter that is gone has nothing to drop

        def close(self) -> None:
            done.append("closed")

    master, slave = pty.openpty()
    pipe = SerialPipe(Port())  # type: ignore[arg-type]
    pipe.close()
    pipe.close()
    os.close(slave)
    os.close(master)
    assert done == ["dropped", "closed"]


async def test_a_write_that_notices_the_loss_first_says_so_to_everybody() -> None:
    master, slave = pty.openpty()
    pipe = await SerialPipe.open(BusSpec(kind=LineKind.SERIAL, port=os.ttyname(slave)))
    try:
        asyncio.get_running_loop().remove_reader(pipe._fd)
        os.close(slave)
        os.close(master)
        with pytest.raises(LineDown, match="the adapter is gone"):
            await pipe.write(b"\x55")
        with pytest.raises(LineDown, match="the adapter is gone"):
            await pipe.inbox.more(1e9)
    finally:
        pipe.close()


async def test_the_bytes_of_a_long_write_all_arrive_in_their_order() -> None:
    data = bytes(range(256)) * 200
    master, slave = pty.openpty()
    pipe = await SerialPipe.open(BusSpec(kind=LineKind.SERIAL, port=os.ttyname(slave)))
    received = bytearray()

    def drain() -> None:
        while len(received) < len(data) and select.select([master], [], [], PATIENCE_S)[0]:
            received.extend(os.read(master, 4096))

    try:
        draining = asyncio.create_task(asyncio.to_thread(drain))
        await pipe.write(data)
        await draining
        assert received == data
    finally:
        pipe.close()
        os.close(slave)
        os.close(master)


# --- why a port cannot be opened --------------------------------------------------------------------------------------


@pytest.fixture
def computer(tmp_path: Path) -> Path:
    """Two adapters with lasting names, the board's own port, and what is no port."""
    dev = tmp_path / "dev"
    for folder in ("serial/by-id", "serial/by-path", "pts"):
        (dev / folder).mkdir(parents=True)
    for name in ("ttyUSB0", "ttyUSB1", "ttyAMA0", "tty1", "null"):
        (dev / name).touch()
        (dev / name).chmod(0o660)
    (dev / "serial0").symlink_to("ttyAMA0")
    (dev / "serial/by-id/usb-FTDI_A10K-if00-port0").symlink_to("../../ttyUSB0")
    (dev / "serial/by-path/platform-usb-0:1.2:1.0-port0").symlink_to("../../ttyUSB0")
    (dev / "serial/by-path/platform-usb-0:1.3:1.0-port0").symlink_to("../../ttyUSB1")
    return tmp_path


def test_the_ports_that_there_are_are_named_each_once_the_lasting_names_first(computer) -> None:
    assert SerialPorts(computer).names() == (
        "/dev/serial/by-id/usb-FTDI_A10K-if00-port0",
        "/dev/serial/by-path/platform-usb-0:1.3:1.0-port0",
        "/dev/serial0",
    )


def test_a_port_that_is_not_there_is_answered_with_those_that_are(computer) -> None:
    trouble, sentence = serial_trouble("/dev/ttyUSB7", OSError(errno.ENOENT, "No"), SerialPorts(computer))
    assert trouble is Trouble.GONE
    assert sentence == (
        "there is no /dev/ttyUSB7: plug the adapter in, or write one that there is (there are "
        "/dev/serial/by-id/usb-FTDI_A10K-if00-port0, /dev/serial/by-path/platform-usb-0:1.3:1.0-port0, /dev/serial0)"
    )


def test_a_computer_without_ports_says_so(tmp_path) -> None:
    _, sentence = serial_trouble("/dev/ttyUSB7", OSError(errno.ENOENT, "No"), SerialPorts(tmp_path))
    assert sentence.endswith("(this computer has none)")


def test_a_numbered_port_has_a_lasting_name_and_other_names_need_none(computer) -> None:
    ports = SerialPorts(computer)
    assert ports.lasting_name("/dev/ttyUSB0") == "/dev/serial/by-id/usb-FTDI_A10K-if00-port0"
    assert ports.lasting_name("/dev/ttyUSB1") == "/dev/serial/by-path/platform-usb-0:1.3:1.0-port0"
    assert ports.lasting_name("/dev/ttyUSB9") is None
    assert ports.lasting_name("/dev/ttyAMA0") is None
    assert ports.lasting_name("/dev/serial/by-id/usb-FTDI_A10K-if00-port0") is None


SITE = """\
buses:
  # /dev/ttyUSB0 is on the left
  yard: {serial: /dev/ttyUSB0, baudrate: 9600}
  hall: {serial: /dev/serial/by-id/usb-FTDI_A10K-if00-port0x}
chargers:
  left: {profile: esp32-evse, bus: yard, unit_id: 3}
  far:
    profile: heidelberg-energy-control
    serial: {port: /dev/ttyUSB1}
  there: {profile: heidelberg-energy-control, bus: hall, unit_id: 3}
stations:
  - {id: DEPOT-7, csms: {url: "ws://127.0.0.1:9000"}, evses: [{charger: left}, {charger: far}, {charger: there}]}
"""


def test_a_name_that_may_be_another_adapters_after_a_restart_is_warned_of_with_the_name_to_write(computer) -> None:
    path = computer / "edged.yaml"
    path.write_text(SITE)
    found = load_site(path, SerialPorts(computer)).warnings
    assert [(each.line, each.path) for each in found] == [(3, "buses.yard.serial"), (9, "chargers.far.serial.port")]
    assert found[0].sentence == (
        "/dev/ttyUSB0 may be another adapter after a restart: write /dev/serial/by-id/usb-FTDI_A10K-if00-port0 instead"
    )
    assert "write /dev/serial/by-path/platform-usb-0:1.3:1.0-port0 instead" in found[1].sentence


def test_a_port_that_we_may_not_open_names_the_group_to_join(computer) -> None:
    ports = SerialPorts(computer)
    trouble, sentence = serial_trouble("/dev/ttyUSB0", OSError(errno.EACCES, "No"), ports)
    assert trouble is Trouble.FORBIDDEN
    group = ports.group("/dev/ttyUSB0")
    assert sentence.startswith(f"/dev/ttyUSB0 is for the group {group}, and ")
    assert f"sudo usermod -aG {group} " in sentence
    (computer / "dev/ttyUSB0").chmod(0o600)
    _, sentence = serial_trouble("/dev/ttyUSB0", OSError(errno.EACCES, "No"), ports)
    assert sentence == (
        "/dev/ttyUSB0 is closed to every group: let dialout in with a udev rule (GROUP=dialout, MODE=0660)"
    )


async def test_a_right_that_is_missing_is_told_though_the_outage_was_told_already(
    adapter, quick, told, monkeypatch
) -> None:
    """After the plug comes back the operator has something else to do, and must read it."""
    honest = serial.Serial

    def forbid(**options: object) -> object:
        if is_forbidden:
            raise serial.SerialException(errno.EACCES, "could not open port: Permission denied")
        return honest(**options)

    is_forbidden = False
    monkeypatch.setattr(serial, "Serial", forbid)
    async with bus_on(adapter.spec()) as bus:
        await bus.read(1, H, 0, 1)
        is_forbidden = True
        adapter.unplug()
        adapter.plug_in()
        await until(lambda: len(told()) >= 3)
        is_forbidden = False
        assert await read_at_last(bus) == (2,)
    assert [line[0] for line in told()] == ["I", "W", "W", "I"]
    assert "is for the group" in told()[2] or "is closed to every group" in told()[2]


async def test_what_is_no_serial_port_is_told_so() -> None:
    with pytest.raises(LineDown, match=r"^/dev/null is no serial port: write the name of one \("):
        await SerialPipe.open(BusSpec(kind=LineKind.SERIAL, port="/dev/null"))


# --- a second master --------------------------------------------------------------------------------------------------

HOLDS = """\
import fcntl, os, sys, termios
port = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
if sys.argv[2] == "locked":
    fcntl.flock(port, fcntl.LOCK_EX)
    fcntl.ioctl(port, termios.TIOCEXCL)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def somebody_on(port: str, how: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another program that has the port open."""
    program = folder / "mbpoll"
    program.write_text(HOLDS)
    words = [sys.executable, str(program), port, how]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        try:
            assert process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.stdin.close()


@pytest.mark.parametrize("how", ["locked", "open"])
async def test_a_second_master_is_named_with_its_process_and_the_port_is_ours_when_it_ends(
    pty_slave, quick, told, tmp_path, how
) -> None:
    pty_slave.units.registers[1] = {0: 5}
    async with bus_on(pty_slave.spec()) as bus:
        with somebody_on(pty_slave.port, how, tmp_path) as process, pytest.raises(LineDown) as caught:
            await bus.read(1, H, 0, 1)
        assert str(caught.value) == (
            f"{pty_slave.port} is held by mbpoll (process {process.pid}): end it, since only one may ask on a line"
        )
        assert await read_at_last(bus) == (5,)
    assert [line[0] for line in told()] == ["W", "I"]


def test_whoever_holds_the_other_end_of_a_pty_is_plugged_in_there_and_no_master(tmp_path) -> None:
    for pid, files in (("17", ["/dev/pts/4", "/dev/ptmx"]), ("18", ["/dev/pts/4"]), ("19", ["/dev/pts/5"])):
        (tmp_path / "proc" / pid / "fd").mkdir(parents=True)
        (tmp_path / "proc" / pid / "cmdline").write_bytes(b"/usr/bin/mbpoll\0-a\x001\0")
        for number, path in enumerate(files):
            (tmp_path / "proc" / pid / "fd" / str(number)).symlink_to(path)
    assert [str(holder) for holder in SerialPorts(tmp_path).holders("/dev/pts/4")] == ["mbpoll (process 18)"]


CONTAINER = """
import os, sys
number, ends = int(sys.argv[1]), []
while not ends or os.ttyname(ends[-1][1]) != f"/dev/pts/{number}":
    ends.append(os.openpty())
if os.fork():
    os.wait()
else:
    for master, _ in ends:
        os.close(master)
    print(os.getpid(), os.ttyname(ends[-1][1]), flush=True)
    sys.stdin.read()
"""


def test_a_terminal_of_the_same_name_in_a_container_is_another_one(pty_slave) -> None:
    name = os.path.realpath(pty_slave.port)
    mount = "mount -t devpts -o newinstance,ptmxmode=0666 devpts /dev/pts && mount --bind /dev/pts/ptmx /dev/ptmx"
    script = [sys.executable, "-c", CONTAINER, name.rpartition("/")[2]]
    with subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{mount} && exec "$@"', "sh", *script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as container:
        assert container.stdout is not None and container.stdin is not None
        told = container.stdout.readline().split()
        if not told:
            pytest.skip("a container of our own takes root")
        assert told[1] == name
        assert SerialPorts().holders(pty_slave.port) == ()
        container.stdin.close()


def test_a_device_is_known_by_its_number_whatever_it_is_called(tmp_path) -> None:
    port = tmp_path / "ttyOwn"
    try:
        os.mknod(port, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("a device of our own takes root")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        held = [holder.pid for holder in SerialPorts().holders(str(port))]
        process.stdin.close()
    assert process.pid in held


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (b"/opt/venv/bin/python3.11\0-m\0edged\0run\0", "edged"),
        (b"/opt/venv/bin/python3\0/opt/venv/bin/edged\0run\0", "edged"),
        (b"/usr/bin/python3\0-IS\0/usr/bin/edged\0run\0", "edged"),
        (b"/usr/bin/python3\0-W\0error\0-X\0dev\0-m\0edged\0run\0", "edged"),
        (b"/usr/bin/python3\0-c\0import edged\0", "python3"),
        (b"/usr/bin/python3\0-m\0", "python3"),
        (b"/usr/bin/python3\0", "python3"),
        (b"/usr/sbin/ModemManager\0", "ModemManager"),
        (b"a\x1b[2Jb\0", "a?[2Jb"),
        (b"", "a process without a name"),
    ],
)
def test_a_process_is_called_by_what_it_runs(tmp_path, words: bytes, name: str) -> None:
    (tmp_path / "proc" / "9" / "fd").mkdir(parents=True)
    (tmp_path / "proc" / "9" / "cmdline").write_bytes(words)
    (tmp_path / "proc" / "9" / "fd" / "3").symlink_to("/dev/ttyUSB0")
    assert [holder.name for holder in SerialPorts(tmp_path).holders("/dev/ttyUSB0")] == [name]


# --- an adapter that keeps answers back -------------------------------------------------------------------------------


def ftdi(root: Path, port: str, timer: str) -> SerialPorts:
    place = root / "sys/class/tty" / os.path.basename(port) / "device"
    place.mkdir(parents=True, exist_ok=True)
    (place / "latency_timer").write_text(timer)
    return SerialPorts(root)


async def test_an_adapter_that_keeps_answers_back_is_told_once_with_the_cost_and_the_cure(
    pty_slave, quick, told, tmp_path
) -> None:
    pty_slave.units.registers[1] = {0: 5}
    ports = ftdi(tmp_path, pty_slave.port, "16\n")
    spec = pty_slave.spec(baudrate=19_200, parity="even")
    for number in (1, 2):  # a second life of the daemon tells it anew
        async with bus_on(spec, connect=partial(SerialPipe.open, ports=ports)) as bus:
            await bus.read(1, H, 0, 1)
            bus._inbox.lose("as if it was unplugged")
            await read_at_last(bus)
            assert bus.statistics.latency_timer_ms == 16
            assert bus.statistics.device == pty_slave.port
        warned = [line for line in told() if "keeps each answer back" in line]
        assert len(warned) == number
    name = os.path.basename(pty_slave.port)
    assert "20 registers take 53 ms in place of 37" in warned[0]
    assert f"write 1 into /sys/class/tty/{name}/device/latency_timer now" in warned[0]
    assert 'ATTR{latency_timer}="1"' in warned[0]


def test_the_status_says_which_device_a_line_is_and_how_long_its_adapter_keeps_answers_back() -> None:
    shown = list(lines_of_buses({"/dev/a": {"is_open": True, "device": "/dev/ttyUSB1", "latency_timer_ms": 16}}))
    assert "    device    /dev/ttyUSB1; its adapter keeps each answer back for up to 16 ms" in shown
    assert "    device    /dev/ttyUSB1" in lines_of_buses(
        {"/dev/a": {"device": "/dev/ttyUSB1", "latency_timer_ms": None}}
    )


@pytest.mark.parametrize("timer", ["1\n", "", "fast", "99999999"])
async def test_an_adapter_that_is_quick_or_says_nothing_is_not_spoken_of(pty_slave, told, tmp_path, timer) -> None:
    pty_slave.units.registers[1] = {0: 5}
    ports = ftdi(tmp_path, pty_slave.port, timer)
    async with bus_on(pty_slave.spec(), connect=partial(SerialPipe.open, ports=ports)) as bus:
        await bus.read(1, H, 0, 1)
        assert bus.statistics.latency_timer_ms == (1 if timer == "1\n" else None)
    assert not [line for line in told() if "keeps each answer back" in line]


def test_what_a_timer_costs_depends_on_the_speed() -> None:
    slow = latency_words("/dev/ttyUSB0", 16, character_s=11 / 9600, silence_s=3.5 * 11 / 9600)
    fast = latency_words("/dev/ttyUSB0", 16, character_s=11 / 115_200, silence_s=0.00175)
    assert "20 registers take 86 ms in place of 70" in slow
    assert "20 registers take 28 ms in place of 12" in fast


# --- a TCP charger that locks itself up -------------------------------------------------------------------------------


@dataclass
class LockedCharger:
    """Serves one connection. After `drop` it serves nobody for `lock_s`, and each attempt begins that time anew.

    `how`: what a stranger meets meanwhile: `closes` at once, `silent` (taken and never answered), `refuses`.
    """

    how: str
    lock_s: float
    registers: dict[int, int] = field(default_factory=lambda: {0: 7})
    attempts: int = 0
    port: int = 0
    _slave: TcpSlave | None = None
    _server: asyncio.Server | None = None
    _served: list[asyncio.StreamWriter] = field(default_factory=list)
    _free_at: float = 0.0

    async def start(self) -> None:
        self._slave = TcpSlave(Units(registers={1: self.registers}))
        await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        self.attempts += 1
        self._served.append(writer)
        if loop.time() < self._free_at:
            self._free_at = loop.time() + self.lock_s
            if self.how == "silent":
                while await reader.read(4096):
                    pass
            writer.close()
            return
        assert self._slave is not None
        await self._slave._serve(reader, writer)

    async def drop(self) -> None:
        loop = asyncio.get_running_loop()
        self._free_at = loop.time() + self.lock_s
        self.attempts = 0
        if self.how == "refuses":
            assert self._server is not None
            self._server.close()
            loop.call_later(self.lock_s, lambda: setattr(self, "_back", loop.create_task(self._listen())))
        for writer in self._served:
            writer.transport.abort()
        self._served.clear()

    async def stop(self) -> None:
        for writer in self._served:
            writer.close()
        if self._server is not None:
            self._server.close()

    def spec(self) -> BusSpec:
        return BusSpec(kind=LineKind.TCP, host="127.0.0.1", tcp_port=self.port, timeout_s=0.03)


@pytest.mark.parametrize("how", ["closes", "silent", "refuses"])
async def test_a_charger_that_locks_itself_up_after_a_drop_is_told_once_and_let_come_free(
    how, quick, told, monkeypatch
) -> None:
    monkeypatch.setattr(outage, "LONGEST_LOCKED_PAUSE_S", 2.0)
    charger = LockedCharger(how, lock_s=0.25)
    await charger.start()
    try:
        async with bus_on(charger.spec(), rng=Random(1)) as bus:
            await bus.write(1, H, 0, (7,))
            await charger.drop()
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        await bus.write(1, H, 0, (8,))
                        break
                    except ChargerUnreachable:
                        await asyncio.sleep(0.005)
            assert charger.registers == {0: 8}
            # 0.02, 0.04, 0.08, 0.16 and 0.32 s: the fifth pause is longer than the lock.
            assert charger.attempts <= 12
    finally:
        await charger.stop()
    assert [line[0] for line in told()] == ["I", "W", "I"]
    assert told()[-1].startswith(f"I tcp:127.0.0.1:{charger.port} works again after ")


async def test_a_charger_that_never_lets_anybody_in_is_told_in_one_sentence_that_says_what_to_do(quick, told) -> None:
    charger = LockedCharger("closes", lock_s=1e6)
    await charger.start()
    await charger.drop()
    try:
        async with bus_on(charger.spec()) as bus:
            async with asyncio.timeout(PATIENCE_S):
                while charger.attempts < 4:
                    with pytest.raises(LineDown):
                        await bus.read(1, H, 0, 1)
                    await asyncio.sleep(0.005)
    finally:
        await charger.stop()
    opened, lost = told()
    assert opened.endswith("is open")
    assert f"W tcp:127.0.0.1:{charger.port} was lost: the " in lost
    assert "), before anything was answered: end other clients" in lost.replace("connection,", "connection),")


class Closing:
    """A server that ends each connection after so many answers, or `rest_s` after the last of them."""

    def __init__(self, answers: int = 1, *, rest_s: float = 0.0005) -> None:
        self.answers, self.rest_s = answers, rest_s
        self.opened = 0
        self.written: list[bytes] = []
        self.is_away = False

    async def connect(self, spec: BusSpec) -> MemoryPipe:
        if self.is_away:
            raise LineDown("nobody there", trouble=Trouble.AWAY)
        self.opened += 1
        left = self.answers

        def answer(pipe: MemoryPipe, data: bytes) -> None:
            nonlocal left
            frame, _ = split_mbap(data)
            if frame is None or left == 0:
                return
            left -= 1
            is_read = frame.pdu[0] == 3
            if not is_read:
                self.written.append(frame.pdu)
            pdu = bytes((3, 2 * frame.pdu[4])) + bytes(2 * frame.pdu[4]) if is_read else frame.pdu
            pipe.feed(mbap_frame(frame.transaction_id, frame.unit_id, pdu), after_s=0.005)
            if left == 0:
                asyncio.get_running_loop().call_later(0.005 + self.rest_s, pipe.lose, "the other side closed it")

        return MemoryPipe(answer)


@pytest.mark.parametrize("answers", [1, 2, 7])
def test_a_server_that_ends_its_connections_all_the_time_is_read_all_the_same_and_not_told_of(answers, told) -> None:
    async def scene() -> None:
        server = Closing(answers)
        bus = Bus(BusSpec(kind=LineKind.TCP, host="10.0.0.9"), connect=server.connect, rng=Random(3))
        for _ in range(100):
            for block in range(3):
                assert await bus.read(1, H, block, 2) == (0, 0)
            await asyncio.sleep(1.0)
        assert bus.statistics.is_open and bus.session(1) <= 3
        await bus.close()

    run_virtually(scene())
    assert [line for line in told() if line[0] != "I"] == [] and len(told()) < 3


def test_who_ends_each_connection_after_one_answer_is_soon_written_to_as_well() -> None:
    async def scene() -> None:
        server = Closing()
        bus = Bus(BusSpec(kind=LineKind.TCP, host="10.0.0.9"), connect=server.connect, rng=Random(3))
        failed = 0
        for value in range(50):
            await bus.read(1, H, 0, 1)
            try:
                await bus.write(1, H, 5, (value,))
            except LineDown:
                failed += 1
        assert failed <= 3 and len(server.written) == 50 - failed
        await bus.close()

    run_virtually(scene())


def test_a_server_that_ends_connections_at_rest_is_asked_anew_only_when_there_is_something_to_ask(told) -> None:
    async def scene() -> None:
        server = Closing()
        bus = Bus(BusSpec(kind=LineKind.TCP, host="10.0.0.9"), connect=server.connect, rng=Random(3))
        for _ in range(10):
            await bus.read(1, H, 0, 1)
            await asyncio.sleep(100.0)
        assert server.opened == 10 and bus.session(1) <= 4
        server.is_away = True
        with pytest.raises(LineDown):
            await bus.read(1, H, 0, 1)
        assert not bus.statistics.is_open
        await bus.close()

    run_virtually(scene())
    assert [line for line in told() if line[0] == "W"] == ["W tcp:10.0.0.9:502 is down: nobody there"]


def test_a_server_that_was_away_may_have_restarted_however_often_it_ends_its_connections() -> None:
    async def scene() -> None:
        server = Closing()
        bus = Bus(BusSpec(kind=LineKind.TCP, host="10.0.0.9"), connect=server.connect, rng=Random(3))
        for _ in range(5):
            await bus.read(1, H, 0, 1)
            session = bus.session(1)
            await asyncio.sleep(1.0)
            server.is_away = True
            with pytest.raises(LineDown):
                await bus.read(1, H, 0, 1)
            server.is_away = False
            await asyncio.sleep(10.0)
            await bus.read(1, H, 0, 1)
            assert bus.session(1) == session + 1
            await asyncio.sleep(1.0)
        await bus.close()

    run_virtually(scene())


def test_a_charger_that_takes_connections_and_serves_none_for_minutes_is_found_again_within_minutes() -> None:
    """It serves whoever connects after its five minutes, and nobody whom it has taken before."""

    async def scene() -> None:
        opened: list[float] = []

        async def connect(spec: BusSpec) -> MemoryPipe:
            opened.append(moment())
            serves = len(opened) == 1 or moment() > 400.0

            def answer(pipe: MemoryPipe, data: bytes) -> None:
                frame, _ = split_mbap(data)
                if serves and frame is not None and (len(opened) > 1 or moment() < 100.0):
                    pipe.feed(mbap_frame(frame.transaction_id, frame.unit_id, b"\x03\x02\x00\x07"), after_s=0.01)

            return MemoryPipe(answer)

        bus = Bus(BusSpec(kind=LineKind.TCP, host="10.0.0.9"), connect=connect, rng=Random(3))
        assert await bus.read(1, H, 0, 1) == (7,)
        await asyncio.sleep(100.0)
        while True:
            try:
                assert await bus.read(1, H, 0, 1) == (7,)
                break
            except ChargerUnreachable:
                await asyncio.sleep(1.0)
        assert 400.0 < moment() < 700.0
        assert len(opened) < 10
        await bus.close()

    run_virtually(scene(), at_most_s=3600.0)


async def test_the_kernel_is_asked_to_find_a_peer_that_is_gone_without_a_word(tcp_slave) -> None:
    pipe = await TcpPipe.open(tcp_slave.spec())
    try:
        assert pipe._transport is not None
        connection = pipe._transport.get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
    finally:
        pipe.close()


@pytest.mark.parametrize(
    ("error", "trouble", "sentence"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), Trouble.REFUSED, "10.0.0.9:502 refuses connections: is "),
        (ConnectionResetError(errno.ECONNRESET, ""), Trouble.REFUSED, "10.0.0.9:502 hangs up at once: end the other"),
        (TimeoutError(), Trouble.AWAY, "10.0.0.9:502 does not answer at all: has it power, "),
        (OSError(errno.EHOSTUNREACH, ""), Trouble.AWAY, "there is no way to 10.0.0.9:502 (No route to host): is it on"),
        (OSError(errno.ENETUNREACH, ""), Trouble.AWAY, "there is no way to 10.0.0.9:502 (Network is unreachable): is"),
        (socket.gaierror(-2, "Name or service not known"), Trouble.AWAY, "the name 10.0.0.9 is not known (Name or"),
        (OSError(errno.EMFILE, ""), Trouble.OTHER, "10.0.0.9:502 cannot be reached (Too many open files): try ping"),
    ],
)
def test_each_way_of_not_reaching_a_device_is_one_sentence(error: OSError, trouble: Trouble, sentence: str) -> None:
    found = tcp_trouble("10.0.0.9", 502, error)
    assert found[0] is trouble
    assert found[1].startswith(sentence)
    assert "\n" not in found[1]


# --- what is told, and when it is tried again -------------------------------------------------------------------------

SERIAL = BusSpec(kind=LineKind.SERIAL, port="/dev/ttyUSB0")
TCP = BusSpec(kind=LineKind.TCP, host="10.0.0.9")


class Calm(Random):
    """No chance."""

    def random(self) -> float:
        return 0.0


def pauses(watch: LineWatch, trouble: Trouble, count: int) -> list[float]:
    found = []
    for number in range(count):
        watch.refused(LineDown("no", trouble=trouble), float(number))
        found.append(watch.pause_s)
    return found


def test_pauses_grow_to_five_seconds_and_on_a_line_that_says_no_to_a_minute() -> None:
    assert pauses(LineWatch(SERIAL, Calm()), Trouble.GONE, 6) == [0.5, 1, 2, 4, 5, 5]
    assert pauses(LineWatch(TCP, Calm()), Trouble.AWAY, 6) == [0.5, 1, 2, 4, 5, 5]
    assert pauses(LineWatch(TCP, Calm()), Trouble.REFUSED, 9) == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert pauses(LineWatch(TCP, Calm()), Trouble.REFUSED, 2000)[-1] == 60


async def test_an_answer_ends_the_pauses(told) -> None:
    watch = LineWatch(TCP, Calm())
    pauses(watch, Trouble.REFUSED, 9)
    watch.opened(MemoryPipe(), 80.0)
    assert watch.pause_s == 60
    watch.answered(80.0)
    assert watch.pause_s == 0
    assert told() == ["W tcp:10.0.0.9:502 is down: no", "I tcp:10.0.0.9:502 works again after 80 s"]


async def test_an_adapter_with_a_loose_plug_is_told_once_until_somebody_has_answered(told) -> None:
    watch = LineWatch(SERIAL, Calm())
    for number in range(20):
        watch.opened(MemoryPipe(), float(number))
        watch.lost("gone", number + 0.5)
    watch.opened(MemoryPipe(), 30.0)
    watch.answered(31.0)
    assert told() == [
        "I /dev/ttyUSB0 is open",
        "W /dev/ttyUSB0 was lost: gone",
        "I /dev/ttyUSB0 is open again after 0.5 s",
        "I /dev/ttyUSB0 works again after 30 s",
    ]


async def test_a_line_that_was_steady_for_a_minute_begins_a_new_outage_though_nobody_ever_answered(told) -> None:
    watch = LineWatch(SERIAL, Calm())
    for at in (0.0, 100.0, 200.0):
        watch.opened(MemoryPipe(), at)
        watch.lost("gone", at + 90)
    assert [line[0] for line in told()] == ["I", "W", "I", "W", "I", "W"]


async def test_a_server_that_ends_idle_connections_is_no_outage_unless_it_does_not_come_back(told) -> None:
    watch = LineWatch(TCP, Calm())
    for number in range(5):
        watch.opened(MemoryPipe(), float(number))
        watch.answered(number + 0.1)
        watch.lost("closed", number + 0.2, is_idle=True)
    assert [line for line in told() if line[0] == "W"] == []
    watch.refused(LineDown("nobody there", trouble=Trouble.AWAY), 9.0)
    assert told()[-1] == "W tcp:10.0.0.9:502 is down: nobody there"


def test_lengths_of_time_are_said_as_people_say_them() -> None:
    assert [lasted(each) for each in (0.52, 12.3, 600, 7000)] == ["0.5 s", "12 s", "10 min", "1.9 h"]
