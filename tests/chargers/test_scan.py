"""Who is on a line: the order of the search, late and damaged answers, and which profile fits whom."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from edged.chargers.fit import Verdict
from edged.chargers.hearing import Heard
from edged.chargers.inquiry import Told
from edged.chargers.library import load_profile
from edged.chargers.line import BusSpec, LineDown, LineKind
from edged.chargers.modbus import ExceptionReply, Read, Table, rtu_frame
from edged.chargers.planning import address_of
from edged.chargers.scan import PATIENT_S, FoundUnit, Scan, identify, serial_settings, unit_ids
from tests.chargers.conftest import PtySlave
from tests.fakes.probing import ESP32, cells
from tests.fakes.register_sheets import NAMES, Sheet
from tests.fakes.shipped_profiles import MODBUS_NAMES

PROFILES = tuple(load_profile(name) for name in MODBUS_NAMES)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for who is not there, and nobody rests between questions."""
    for name, value in (("SERIAL_FIRST_S", 0.04), ("NETWORK_FIRST_S", 0.1), ("SERIAL_SHORTEST_S", 0.03), ("GAP_S", 0)):
        monkeypatch.setattr(f"edged.chargers.scan.{name}", value)
    monkeypatch.setattr("edged.chargers.scan.LISTEN_S", 0.03)
    monkeypatch.setattr("edged.chargers.inquiry.LATE_WINDOW_S", 0.01)
    monkeypatch.setattr("edged.chargers.inquiry.LATE_LIMIT_S", 0.05)


@pytest.fixture(params=["pty", "tcp", "rtu over tcp"])
def slave(request, pty_slave, tcp_slave, rtu_tcp_slave):
    return {"pty": pty_slave, "tcp": tcp_slave, "rtu over tcp": rtu_tcp_slave}[request.param]


def scan_of(*lines: BusSpec, ids: range = range(1, 9), profiles=PROFILES) -> Scan:
    return Scan(lines=lines, ids=tuple(ids), profiles=profiles)


async def scanned(scan: Scan) -> Scan:
    await scan.run()
    return scan


def test_the_likely_ids_come_first_and_each_once():
    ids = unit_ids(LineKind.SERIAL, first=1, last=247, profiles=PROFILES)
    assert ids[:32] == tuple(range(1, 33))
    assert ids.index(50) < 40
    assert sorted(ids) == list(range(1, 248))


def test_on_modbus_tcp_the_ids_that_chargers_come_with_are_asked_before_all():
    ids = unit_ids(LineKind.TCP, first=1, last=255, profiles=PROFILES)
    assert ids[0] == 1
    assert {255, 180} <= set(ids[:8])


def test_only_ids_in_the_range_are_asked():
    assert unit_ids(LineKind.TCP, first=5, last=7, profiles=PROFILES) == (5, 6, 7)


def test_the_line_settings_of_the_profiles_are_tried_the_most_common_first():
    settings = serial_settings(PROFILES)
    assert settings[0] == (9600, "none", 1)
    assert (19_200, "even", 1) in settings
    assert len(set(settings)) == len(settings)


async def test_units_are_found_and_named_on_every_kind_of_line(slave):
    slave.units.registers = {2: cells("esp32-evse", ESP32), 5: {}}
    found = (await scanned(scan_of(slave.spec()))).found
    assert [unit.unit_id for unit in found] == [2, 5]
    esp32, stranger = found
    assert esp32.best is not None
    assert (esp32.best.profile, esp32.best.verdict) == ("esp32-evse", Verdict.FITS)
    assert esp32.identity == (("firmware", "v2.1.0"),)
    assert stranger.best is None
    assert stranger.first_refusal == "exception 2: illegal data address"


async def test_every_address_is_asked_once_whichever_profiles_want_it(tcp_slave):
    tcp_slave.units.registers = {2: cells("esp32-evse", ESP32)}
    await scanned(scan_of(tcp_slave.spec(), ids=range(2, 3)))
    assert len(tcp_slave.units.requests) == len(set(tcp_slave.units.requests))
    assert {pdu[0] for pdu in tcp_slave.units.requests} <= {1, 2, 3, 4}


async def test_a_reply_that_comes_while_another_unit_is_asked_is_not_lost(pty_slave):
    pty_slave.units.registers = {3: {}}
    pty_slave.units.twist = lambda number, frame, normal: [(0.08, normal)] if normal and number < 6 else None
    scan = await scanned(scan_of(pty_slave.spec(), profiles=()))
    assert [unit.unit_id for unit in scan.found] == [3]


async def test_a_damaged_answer_is_asked_again_at_once(pty_slave):
    pty_slave.units.registers = {3: {}}
    pty_slave.units.twist = lambda number, frame, normal: [(0.0, normal[:-1] + b"\0")] if number == 3 else None
    scan = await scanned(scan_of(pty_slave.spec(), profiles=()))
    assert [unit.unit_id for unit in scan.found] == [3]
    assert scan.heard.noise_bytes == 5


async def test_a_line_that_is_all_noise_is_not_searched_for_ever(pty_slave):
    pty_slave.units.twist = lambda number, frame, normal: [(0.0, b"\xf8\0")]
    scan = await scanned(scan_of(pty_slave.spec(), ids=range(1, 25)))
    assert scan.found == []
    assert len(pty_slave.units.requests) == 24 + 16


async def test_a_server_that_answers_whatever_the_id_is_one_device(tcp_slave):
    registers = cells("esp32-evse", ESP32)
    tcp_slave.units.registers = dict.fromkeys(range(256), registers)
    scan = await scanned(scan_of(tcp_slave.spec(), ids=range(1, 248)))
    assert [unit.unit_id for unit in scan.found] == [1]
    assert scan.found[0].at_every_id
    assert scan.asked == 4


async def test_four_units_in_a_row_are_four_devices_where_a_strange_id_is_silent(tcp_slave):
    tcp_slave.units.registers = {unit_id: {} for unit_id in range(1, 5)}
    assert PATIENT_S > 1
    scan = await scanned(scan_of(tcp_slave.spec(), ids=range(1, 5), profiles=()))
    assert len(scan.found) == 4


async def test_a_gateways_excuses_are_no_units(tcp_slave):
    tcp_slave.units.registers = {unit_id: {} for unit_id in range(256)}
    tcp_slave.twist_mbap = lambda number, pdu, normal: normal[:-2] + b"\x83\x0b"
    scan = await scanned(scan_of(tcp_slave.spec()))
    assert scan.found == []
    assert scan.heard.is_excused


async def test_a_server_that_hangs_up_on_strangers_is_connected_to_again(tcp_slave):
    tcp_slave.units.registers = {3: {}}
    tcp_slave.twist_mbap = lambda number, pdu, normal: None if normal else tcp_slave.connections[-1].close() or b""
    scan = await scanned(scan_of(tcp_slave.spec(), profiles=()))
    assert [unit.unit_id for unit in scan.found] == [3]
    assert scan.hang_ups == 7


THEIRS = rtu_frame(77, Read(table=Table.INPUT, address=5, count=14).pdu)


class Chatterer:
    """Another master, heard as long as nobody is found; it asks its unit 77, which does not answer."""

    def __init__(self, slave: PtySlave, every_s: float = 0.01) -> None:
        self._slave = slave
        self._every_s = every_s
        self._talk()

    def _talk(self) -> None:
        self._slave.send(THEIRS)
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._talk)

    def stop(self) -> None:
        self._timer.cancel()


async def test_another_master_is_heard_before_anything_is_asked(pty_slave):
    scan = scan_of(pty_slave.spec(), profiles=())
    scan.listen_s = 0.3
    asked_before: list[int] = []
    scan.tell = lambda progress: asked_before.append(len(pty_slave.units.requests))
    chatterer = Chatterer(pty_slave)
    try:
        await scan.run()
    finally:
        chatterer.stop()
    assert asked_before[0] == asked_before[1] == 0
    assert scan.before.requests == {77}
    assert 77 in scan.heard.requests


async def test_a_quiet_line_is_listened_to_once_a_noisy_one_at_each_of_its_settings(pty_slave):
    lines = [pty_slave.spec(baudrate=baudrate) for baudrate in (9600, 19_200, 38_400)]
    quiet = await scanned(scan_of(*lines, ids=range(1, 3), profiles=()))
    assert quiet.listened == {lines[0]}
    noisy = scan_of(*lines, ids=range(1, 3), profiles=())
    noisy.listen_s = 0.3
    asyncio.get_running_loop().call_later(0.1, pty_slave.send, b"\xf8\x00\xf8")
    await noisy.run()
    assert noisy.before.noise_bytes == 3
    assert noisy.listened == set(lines)


async def test_a_modbus_tcp_line_is_not_listened_to_nobody_else_is_heard_there(tcp_slave):
    scan = scan_of(tcp_slave.spec(), ids=range(1, 2), profiles=())
    scan.listen_s = 1e6
    await scan.run()
    assert scan.before == Heard()


async def test_the_setting_that_works_is_kept_and_no_other_is_tried(pty_slave):
    pty_slave.units.registers = {2: {}}
    lines = [pty_slave.spec(baudrate=baudrate) for baudrate in (9600, 19_200)]
    scan = await scanned(scan_of(*lines, ids=range(1, 4), profiles=()))
    assert scan.working == lines[0]
    assert scan.asked == 3


async def test_the_likely_ids_are_asked_at_every_setting_before_the_others(pty_slave, monkeypatch):
    monkeypatch.setattr("edged.chargers.scan.FIRST_IDS", 4)
    asked: list[tuple[int, int]] = []
    lines = [pty_slave.spec(baudrate=baudrate) for baudrate in (9600, 19_200)]
    scan = Scan(
        lines=lines,
        ids=(*range(1, 5), 200),
        profiles=(),
        tell=lambda progress: asked.append((progress.spec.baudrate, progress.unit_id)),
    )
    await scan.run()
    assert asked.index((19_200, 4)) < asked.index((9600, 200))


async def test_what_was_found_stays_when_the_scan_is_stopped(pty_slave):
    pty_slave.units.registers = {2: {}}
    told_of: asyncio.Event = asyncio.Event()
    scan = Scan(
        lines=[pty_slave.spec()],
        ids=tuple(range(1, 248)),
        profiles=(),
        tell=lambda progress: told_of.set() if progress.unit_id == 4 else None,
    )
    task = asyncio.create_task(scan.run())
    await told_of.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert [unit.unit_id for unit in scan.found] == [2]
    assert scan.done == {1, 2, 3}


async def test_the_time_told_in_advance_is_enough(pty_slave):
    scan = scan_of(pty_slave.spec(), ids=range(1, 12))
    loop = asyncio.get_running_loop()
    started = loop.time()
    await scan.run()
    assert loop.time() - started < scan.longest_s


class SheetInquiry:
    """A line whose only unit has the registers of a sheet, point 1, and refuses every other address."""

    def __init__(self, sheet: Sheet, image: str) -> None:
        profile = sheet.profile
        kind = LineKind.SERIAL if profile.bus.transports[0] == "rtu" else LineKind.TCP
        self.spec = BusSpec(kind=kind, port="/dev/none", host="nowhere")
        self.words: dict[tuple[Table, int], int] = {}
        have = sheet.cells(sheet["images"][image])
        for register in (each for variants in profile.registers.values() for each in variants if each.readable):
            there = address_of(register, profile.points, sheet.point)
            for i in range(register.codec.words):
                self.words[register.table, register.address + i] = have.get((register.table, there + i), 0)

    async def ask(self, unit_id: int, table: Table, address: int, count: int, **options: float) -> Told:
        wanted = [(table, at) for at in range(address, address + count)]
        words = tuple(self.words[each] for each in wanted) if self.words.keys() >= set(wanted) else None
        error = None if words is not None else ExceptionReply(2)
        return Told(words=words, error=error, round_trip_s=0.001, heard=Heard())


@pytest.mark.parametrize("name", NAMES)
async def test_every_shipped_profile_is_the_best_for_the_charger_that_it_describes(name):
    sheet = Sheet(name)
    for image in sheet["images"]:
        inquiry = SheetInquiry(sheet, image)
        greeting = await inquiry.ask(1, Table.HOLDING, 0, 1)
        unit = FoundUnit(spec=inquiry.spec, unit_id=sheet.profile.bus.unit_id, first_refusal="", round_trip_s=0.001)
        found = await identify(inquiry, unit, greeting, PROFILES)
        assert found.best is not None, image
        assert found.best.profile == name, image


async def test_a_line_that_cannot_be_opened_is_told(tmp_path):
    with pytest.raises(LineDown):
        await scan_of(BusSpec(kind=LineKind.SERIAL, port=str(tmp_path / "none"))).run()
