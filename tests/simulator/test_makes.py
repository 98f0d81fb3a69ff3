"""The registers of each make, asked and told as a master does, with request bytes written out by hand."""

from __future__ import annotations

import pytest

from edged.domain.hardware import FaultCode
from edged.simulator.makes import MAKES, build_unit
from edged.simulator.parts import Cable, Car, Impossible
from edged.simulator.pdu import ExceptionCode
from edged.simulator.unit import SimulatedUnit


class Master:
    """Speaks to one unit in PDUs; time passes between requests, so that a slow box hears each."""

    def __init__(self, unit: SimulatedUnit) -> None:
        self.unit = unit
        self.now_s = 0.0

    def ask(self, pdu: bytes) -> bytes | None:
        self.now_s += 0.1
        return self.unit.answer(pdu, now_s=self.now_s)

    def read(self, address: int, count: int = 1, *, function: int = 3) -> list[int] | ExceptionCode:
        reply = self.ask(bytes((function,)) + address.to_bytes(2) + count.to_bytes(2))
        assert reply is not None
        if reply[0] == function | 0x80:
            return ExceptionCode(reply[1])
        assert (reply[0], reply[1], len(reply)) == (function, 2 * count, 2 + 2 * count)
        return [int.from_bytes(reply[at : at + 2]) for at in range(2, len(reply), 2)]

    def number(self, address: int, count: int = 1, *, function: int = 3) -> int:
        words = self.read(address, count, function=function)
        assert not isinstance(words, ExceptionCode), words
        return int.from_bytes(b"".join(word.to_bytes(2) for word in words))

    def text(self, address: int, count: int) -> str:
        return self.number(address, count).to_bytes(2 * count).rstrip(b"\0").decode()

    def write(self, address: int, value: int) -> ExceptionCode | None:
        reply = self.ask(bytes((6,)) + address.to_bytes(2) + value.to_bytes(2))
        assert reply is not None
        return ExceptionCode(reply[1]) if reply[0] & 0x80 else None


def charx(points: int = 1, cable: Cable = Cable.SOCKET) -> Master:
    return Master(build_unit("phoenix-charx-sec", name="hall", points=points, cable=cable))


def heidelberg() -> Master:
    return Master(build_unit("heidelberg-energy-control", name="left"))


def keba(cable: Cable = Cable.SOCKET) -> Master:
    return Master(build_unit("keba-p30", name="right", cable=cable))


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MAKES)
def test_every_make_draws_current_when_told_to(make: str) -> None:
    unit = build_unit(make, name="it")
    unit.points[0].set_permit(True)
    unit.points[0].plug_in()
    unit.advance(5)
    assert unit.points[0].current_ma == 16_000


@pytest.mark.parametrize("make", MAKES)
def test_every_make_refuses_functions_that_it_does_not_have(make: str) -> None:
    master = Master(build_unit(make, name="it"))
    assert master.ask(bytes.fromhex("01 0000 0001")) == bytes.fromhex("81 01")


@pytest.mark.parametrize("make", MAKES)
def test_every_make_is_gone_while_it_reboots_and_comes_back(make: str) -> None:
    master = Master(build_unit(make, name="it"))
    request = bytes.fromhex("03 03E8 0002" if make == "keba-p30" else "03 0105 0001")
    master.unit.reboot()
    assert master.ask(request) is None
    master.unit.advance(15)
    assert master.ask(request) is not None


@pytest.mark.parametrize("make", MAKES)
def test_every_fault_that_a_make_knows_can_be_read_on_the_bus(make: str) -> None:
    for code in MAKES[make].unit.fault_codes:
        unit = build_unit(make, name="it")
        quiet = [bank.read(cell, 2) for bank in unit.banks.values() for cell in (1293, 1006)]
        state = [bank.read(5, 1) for bank in unit.banks.values()]
        unit.fault(code, 1)
        loud = [bank.read(cell, 2) for bank in unit.banks.values() for cell in (1293, 1006)]
        assert loud != quiet or [bank.read(5, 1) for bank in unit.banks.values()] != state, code


@pytest.mark.parametrize("make", MAKES)
def test_a_fault_that_a_make_cannot_show_is_refused_with_a_list(make: str) -> None:
    with pytest.raises(Impossible, match="it shows"):
        build_unit(make, name="it").fault(FaultCode.WEAK_SIGNAL, 1)


def test_unknown_makes_and_too_many_points_are_refused() -> None:
    with pytest.raises(Impossible, match="keba-p30"):
        build_unit("nonesuch", name="it")
    with pytest.raises(Impossible, match="points"):
        build_unit("keba-p30", name="it", points=2)


# --- Phoenix CHARX ----------------------------------------------------------------------------------------------------


def test_charx_withholds_until_released_and_walks_through_its_letters() -> None:
    master = charx()
    point = master.unit.points[0]
    seen = [master.text(1299, 1)]
    point.plug_in()
    point.advance(2)
    seen.append(master.text(1299, 1))
    assert master.write(1300, 1) is None
    seen.append(master.text(1299, 1))
    point.advance(0.6)
    seen.append(master.text(1299, 1))
    point.advance(2)
    seen.append(master.text(1299, 1))
    assert seen == ["A1", "B1", "B2", "C1", "C2"]


def test_charx_shows_power_current_and_energy_in_their_units() -> None:
    master = charx()
    point = master.unit.points[0]
    point.plug_in(Car(max_current_ma=10_000, phases=2))
    master.write(1300, 1)
    point.advance(3601)
    assert master.number(1244, 2) == 4_600_000
    assert [master.number(1238 + 2 * phase, 2) for phase in range(3)] == [10_000, 10_000, 0]
    assert master.number(1232, 2) == 230_000
    assert master.number(1250, 4) == master.number(1289, 4) == 4_600


def test_charx_reads_its_widest_block_in_one_request_and_nothing_outside() -> None:
    master = charx()
    words = master.read(1232, 77)
    assert isinstance(words, list)
    assert words[299 - 232] == int.from_bytes(b"A1")
    assert master.read(100, 68) == master.read(100, 68, function=4)
    assert master.read(1231, 78) is ExceptionCode.ILLEGAL_ADDRESS
    assert master.read(2232, 1) is ExceptionCode.ILLEGAL_ADDRESS


def test_charx_takes_only_single_writes() -> None:
    reply = charx().ask(bytes.fromhex("10 0515 0001 02 0010"))
    assert reply == bytes.fromhex("90 01")


@pytest.mark.parametrize("amperes", [0, 5, 81, 65_535])
def test_charx_withdraws_the_release_outside_its_range_of_current(amperes: int) -> None:
    master = charx()
    point = master.unit.points[0]
    point.plug_in()
    master.write(1300, 1)
    point.advance(5)
    assert master.write(1301, amperes) is None
    assert point.contactor_closed is False


def test_charx_keeps_its_points_apart() -> None:
    master = charx(points=3)
    master.unit.points[1].plug_in()
    assert master.read(114) == [3]
    assert [master.text(n * 1000 + 299, 1)[0] for n in (1, 2, 3)] == ["A", "B", "A"]
    assert master.number(149) == 2


def test_charx_shares_a_group_limit_among_the_cars() -> None:
    master = charx(points=2)
    for number, point in enumerate(master.unit.points, 1):
        point.plug_in()
        master.write(1000 * number + 300, 1)
    master.write(167, 20)
    master.unit.advance(5)
    assert [point.current_ma for point in master.unit.points] == [10_000, 10_000]


def test_charx_out_of_service_is_f0() -> None:
    master = charx()
    master.write(1304, 0)
    assert (master.text(1299, 1), master.number(1304), master.number(1293, 2)) == ("F0", 0, 0)


@pytest.mark.parametrize(("code", "bit", "letters"), [(FaultCode.GROUND, 30, "E0"), (FaultCode.POWER_SWITCH, 27, "F0")])
def test_charx_shows_a_fault_by_letters_and_bit(code: FaultCode, bit: int, letters: str) -> None:
    master = charx()
    master.unit.fault(code, 1)
    assert (master.text(1299, 1), master.number(1293, 2)) == (letters, 1 << bit)


def test_charx_forced_unlock_fails_on_a_jammed_lock_with_bit_22() -> None:
    master = charx()
    point = master.unit.points[0]
    point.plug_in()
    master.write(1300, 1)
    point.advance(5)
    point.jam_lock(True)
    master.write(1305, 1)
    point.advance(5)
    assert (point.lock_closed, master.number(1293, 2)) == (True, 1 << 22)
    point.jam_lock(False)
    point.advance(5)
    assert (point.lock_closed, master.number(1293, 2)) == (False, 0)


def test_charx_lock_command_keeps_the_plug() -> None:
    master = charx()
    point = master.unit.points[0]
    point.plug_in()
    master.write(1303, 1)
    point.advance(1)
    assert point.lock_closed is True
    master.write(1303, 0)
    point.advance(1)
    assert point.lock_closed is False


def test_charx_shows_a_card_until_it_is_cleared() -> None:
    master = charx()
    master.unit.points[0].swipe("04A1B2C3D4E5F6")
    assert master.text(1275, 10) == "04A1B2C3D4E5F6"
    master.write(1308, 1)
    assert master.text(1275, 10) == ""


def test_charx_falls_back_when_nobody_writes() -> None:
    master = charx()
    point = master.unit.points[0]
    point.plug_in()
    for offset, value in ((306, 8), (307, 30), (300, 1)):
        assert master.write(1000 + offset, value) is None
    master.unit.advance(20)
    master.read(1299)
    master.unit.advance(11)
    assert point.current_ma == 8_000
    master.write(1300, 1)
    assert point.current_ma == 16_000


def test_charx_soft_restart_keeps_charging_and_hard_restart_does_not() -> None:
    master = charx()
    point = master.unit.points[0]
    point.plug_in()
    master.write(1300, 1)
    master.unit.advance(5)
    assert master.write(165, 1) is None
    assert (master.ask(bytes.fromhex("03 0072 0001")), point.contactor_closed) == (None, True)
    master.unit.advance(4)
    assert master.write(166, 1) is None
    assert (master.ask(bytes.fromhex("03 0072 0001")), point.contactor_closed) == (None, False)
    master.unit.advance(6.5)
    assert master.text(1299, 1) == "IN"
    master.unit.advance(3)
    assert (master.text(1299, 1), master.number(1300)) == ("B1", 0)


# --- Heidelberg -------------------------------------------------------------------------------------------------------


def test_heidelberg_walks_through_its_states() -> None:
    master = heidelberg()
    point = master.unit.points[0]
    master.write(261, 0)
    seen = [master.number(5, function=4)]
    master.write(261, 100)
    seen.append(master.number(5, function=4))
    master.write(261, 0)
    point.plug_in()
    seen.append(master.number(5, function=4))
    master.write(261, 100)
    seen.append(master.number(5, function=4))
    point.advance(0.6)
    seen.append(master.number(5, function=4))
    point.advance(1)
    seen.append(master.number(5, function=4))
    assert seen == [2, 3, 4, 5, 6, 7]


def test_heidelberg_reads_status_and_meter_in_one_block() -> None:
    master = heidelberg()
    master.write(257, 0)
    master.unit.points[0].plug_in()
    master.unit.points[0].advance(3601)
    words = master.read(5, 14, function=4)
    assert isinstance(words, list)
    assert words[0] == 7
    assert words[1:4] == [160, 160, 160]
    assert words[5:8] == [230, 230, 230]
    assert words[9] == 11_040
    assert words[10:12] == words[12:14] == [0, 11_040]


@pytest.mark.parametrize(("address", "count"), [(258, 1), (259, 1), (257, 3), (260, 1), (261, 3)])
def test_heidelberg_refuses_to_read_what_cannot_be_read(address: int, count: int) -> None:
    assert heidelberg().read(address, count) is ExceptionCode.ILLEGAL_ADDRESS


def test_heidelberg_has_input_and_holding_registers_apart() -> None:
    assert heidelberg().read(5, function=3) is ExceptionCode.ILLEGAL_ADDRESS
    assert heidelberg().read(261, function=4) is ExceptionCode.ILLEGAL_ADDRESS


@pytest.mark.parametrize("raw", [1, 59, 161])
def test_heidelberg_refuses_currents_that_do_not_exist(raw: int) -> None:
    master = heidelberg()
    assert master.write(261, raw) is ExceptionCode.ILLEGAL_VALUE
    assert master.read(261) == [160]


def test_heidelberg_writes_several_registers_or_none() -> None:
    master = heidelberg()
    assert master.ask(bytes.fromhex("10 0105 0002 04 0050 0001")) == bytes.fromhex("90 03")
    assert master.read(261, 2) == [160, 0]
    assert master.ask(bytes.fromhex("10 0105 0002 04 0050 003C")) == bytes.fromhex("10 0105 0002")
    assert master.read(261, 2) == [80, 60]


def test_heidelberg_does_not_hear_what_comes_too_soon() -> None:
    unit = heidelberg().unit
    request = bytes.fromhex("04 0005 0001")
    assert unit.answer(request, now_s=10.0) is not None
    assert unit.answer(request, now_s=10.05) is None
    assert unit.answer(request, now_s=10.09) is not None
    unit.spoke(10.2)
    assert unit.answer(request, now_s=10.25) is None


def test_heidelberg_any_request_feeds_its_watchdog() -> None:
    master = heidelberg()
    point = master.unit.points[0]
    point.plug_in()
    for _ in range(4):
        master.unit.advance(14)
        master.read(5, function=4)
    assert point.current_ma == 16_000
    master.unit.advance(16)
    assert (point.failsafe_active, point.current_ma) == (True, 0)


def test_heidelberg_remote_lock_is_state_10_and_is_left_slowly() -> None:
    master = heidelberg()
    master.write(259, 0)
    assert master.number(5, function=4) == 10
    master.write(259, 1)
    master.unit.advance(9)
    assert master.number(5, function=4) == 10
    master.unit.advance(2)
    assert master.number(5, function=4) == 3


def test_heidelberg_sleeps_unless_standby_is_disabled() -> None:
    asleep, awake = heidelberg(), heidelberg()
    awake.write(258, 4)
    for master in (asleep, awake):
        master.unit.advance(721)
    assert asleep.ask(bytes.fromhex("04 0005 0001")) is None
    assert awake.ask(bytes.fromhex("04 0005 0001")) is not None
    asleep.unit.points[0].plug_in()
    assert asleep.number(5, function=4) in (4, 5)


# --- KEBA -------------------------------------------------------------------------------------------------------------


def test_keba_walks_through_its_states() -> None:
    master = keba()
    point = master.unit.points[0]
    seen = [(master.number(1000, 2), master.number(1004, 2))]
    point.plug_cable()
    seen.append((master.number(1000, 2), master.number(1004, 2)))
    point.plug_in()
    seen.append((master.number(1000, 2), master.number(1004, 2)))
    point.advance(2)
    seen.append((master.number(1000, 2), master.number(1004, 2)))
    master.write(5014, 0)
    seen.append((master.number(1000, 2), master.number(1004, 2)))
    assert seen == [(1, 0), (1, 1), (2, 5), (3, 7), (5, 7)]


@pytest.mark.parametrize(("address", "count"), [(1000, 1), (1000, 4), (1001, 2), (1002, 2), (5004, 1)])
def test_keba_reads_one_whole_value_a_request(address: int, count: int) -> None:
    assert keba().read(address, count) is ExceptionCode.ILLEGAL_ADDRESS


def test_keba_has_no_input_registers_and_no_multiple_writes() -> None:
    assert keba().read(1000, 2, function=4) is ExceptionCode.ILLEGAL_FUNCTION
    assert keba().ask(bytes.fromhex("10 138C 0001 02 2710")) == bytes.fromhex("90 01")


def test_keba_meters_in_milliamperes_milliwatts_and_tenths_of_watt_hours() -> None:
    master = keba()
    point = master.unit.points[0]
    master.write(5004, 10_500)
    point.plug_in()
    point.advance(3600.7001)  # 0.7 s pass before the contactor closes
    assert master.number(1008, 2) == 10_500
    assert master.number(1020, 2) == 7_245_000
    assert master.number(1036, 2) == master.number(1502, 2) == 72_450


@pytest.mark.parametrize(("address", "raw"), [(5004, 0), (5004, 5_999), (5014, 2), (5012, 1), (5016, 100)])
def test_keba_refuses_values_that_do_not_exist(address: int, raw: int) -> None:
    assert keba().write(address, raw) is ExceptionCode.ILLEGAL_VALUE


def test_keba_unlocks_only_while_suspended() -> None:
    master = keba()
    point = master.unit.points[0]
    point.plug_in()
    point.advance(5)
    assert master.write(5012, 0) is None
    point.advance(5)
    assert (master.number(1004, 2), point.contactor_closed) == (7, True)
    master.write(5014, 0)
    master.write(5012, 0)
    point.advance(5)
    assert master.number(1004, 2) == 5


def test_keba_failsafe_is_fed_by_5018_and_by_nothing_else() -> None:
    master = keba()
    point = master.unit.points[0]
    point.plug_in()
    master.write(5016, 6_000)
    master.write(5018, 30)
    assert (master.number(1600, 2), master.number(1602, 2)) == (6_000, 30)
    master.unit.advance(20)
    master.write(5018, 30)
    master.unit.advance(20)
    assert point.current_ma == 16_000
    master.write(5004, 16_000)
    master.number(1000, 2)
    master.unit.advance(11)
    assert point.current_ma == 6_000


def test_keba_keeps_a_persisted_failsafe_over_a_reboot() -> None:
    master = keba()
    for address, value in ((5016, 6_000), (5018, 30), (5020, 1)):
        master.write(address, value)
    master.unit.reboot()
    master.unit.advance(12)
    assert (master.number(1600, 2), master.number(1602, 2)) == (6_000, 30)


def test_keba_shows_an_error_and_a_card() -> None:
    master = keba()
    master.unit.points[0].swipe("04A1B2C3D4")
    master.unit.fault(FaultCode.GROUND, 1)
    assert master.number(1500, 2) == 0x04A1B2C3
    assert (master.number(1000, 2), master.number(1006, 2) > 0) == (4, True)


# --- forced registers -------------------------------------------------------------------------------------------------


def test_a_forced_register_reads_as_told_whatever_is_written_until_let_go() -> None:
    master = heidelberg()
    master.unit.force("max_current", 60, 1)
    master.write(261, 100)
    assert master.read(261) == [60]
    master.unit.force("261", None, 1)
    assert master.read(261) == [100]


def test_forced_registers_can_be_negative_text_or_of_one_point() -> None:
    master = charx(points=2)
    master.unit.force("cp_current_L1", -1, 2)
    master.unit.force("cp_status", "D2", 2)
    assert (master.number(2238, 2), master.text(2299, 1), master.text(1299, 1)) == (0xFFFF_FFFF, "D2", "A1")


@pytest.mark.parametrize(("register", "value"), [("nonesuch", 1), ("remote_lock", 1), ("max_current", 70_000)])
def test_registers_that_cannot_be_forced_are_refused(register: str, value: int) -> None:
    with pytest.raises(Impossible):
        heidelberg().unit.force(register, value, 1)
