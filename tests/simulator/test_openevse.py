"""The simulated OpenEVSE, asked by hand: framing, states, locks, supervision, restart, faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.hardware import FaultCode
from edged.simulator.makes import build_unit
from edged.simulator.makes.openevse import OpenEvse
from edged.simulator.makes.openevse_terms import FAULTS
from edged.simulator.parts import Cable, Car, Impossible
from edged.simulator.rapi import BUFFER_BYTES, Command, InputBuffer, exclusive_or, read_command, spoken
from edged.simulator.site import SimulatedCharger, SimulatedSite
from edged.simulator.wire import WireFaults


class Master:
    """Speaks to one controller without a wire; `unasked` is what it said by itself."""

    def __init__(self, cable: Cable = Cable.SOCKET) -> None:
        device = build_unit("openevse-rapi", name="bay", cable=cable)
        assert isinstance(device, OpenEvse)
        self.device = device
        self.point = device.points[0]
        self.unasked: list[str] = []
        device.announce = lambda frame: self.unasked.append(frame.decode().rpartition("^")[0])

    def ask(self, line: str) -> str | None:
        """The reply to a line, its checksum proved and taken off."""
        reply = self.device.answer(line.encode())
        if reply is None:
            return None
        body, caret, check = reply.decode().rstrip("\r").rpartition("^")
        assert caret and reply.endswith(b"\r") and check == f"{exclusive_or(body.encode()):02X}"
        return body

    def wait(self, seconds: float) -> None:
        self.device.advance(seconds, wire_s=seconds)

    def state(self) -> str:
        reply = self.ask("$GS")
        assert reply is not None
        return reply.split()[1]

    def flags(self) -> int:
        reply = self.ask("$GS")
        assert reply is not None
        return int(reply.split()[4], 16)


@pytest.fixture
def bay() -> Master:
    """Its boot lock taken away, ready."""
    master = Master()
    assert master.ask("$SB") == "$OK 0"
    return master


@pytest.fixture
def charging(bay: Master) -> Master:
    bay.point.plug_in(Car(max_current_ma=20_000))
    bay.wait(3)
    assert bay.state() == "03"
    return bay


# --- framing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["$GS^30", "$FE*AF", "$FD*AE", "$FS*BD", "$SC 16 V*B7", "$GS", "$FE"])
def test_both_checksums_and_none_are_taken(line: str, bay: Master) -> None:
    reply = bay.ask(line)
    assert reply is not None and reply.startswith("$OK")


@pytest.mark.parametrize("line", ["$GS^31", "$FE*AE", "$GS^", "$GS^3", "$GS^0x", "$GS^300", "$FE^AF", "GS^30", "$"])
def test_a_line_with_a_wrong_checksum_gets_no_answer(line: str, bay: Master) -> None:
    asked = bay.device.requests
    assert bay.ask(line) is None
    assert (bay.device.requests, bay.device.ignored) == (asked, 1)


def test_a_reply_has_the_checksum_of_the_source() -> None:
    assert spoken("GS") == b"$GS^30\r"


@pytest.mark.parametrize(("line", "tail"), [("$G0 :A3", " :A3"), ("$G0:7", " :07"), ("$G0 :00", ""), ("$G0", "")])
def test_a_sequence_id_comes_back(line: str, tail: str, bay: Master) -> None:
    assert bay.ask(line) == f"$OK 0{tail}"


def test_a_refusal_carries_the_sequence_id_too(bay: Master) -> None:
    assert bay.ask("$ZZ :11") == "$NK :11"


@pytest.mark.parametrize("line", ["$ZZ", "$GS 1", "$S4 2", "$SC", "$SC x", "$SC 10 X", "$SY 1", "$FE 1", "$S5 0"])
def test_what_it_does_not_know_is_refused(line: str, bay: Master) -> None:
    reply = bay.ask(line)
    assert reply is not None and reply.startswith("$NK")


def test_a_line_that_overflows_the_buffer_is_lost_and_the_next_is_not() -> None:
    buffer = InputBuffer()
    whole = b"$" + b"A" * (BUFFER_BYTES - 2)
    assert buffer.feed(whole + b"\r") == [whole]
    assert buffer.feed(b"$" + b"A" * (BUFFER_BYTES - 1) + b"\r$GS\r") == [b"$GS"]
    assert buffer.overflows == 1


def test_a_dollar_begins_anew() -> None:
    assert InputBuffer().feed(b"noise$SC 1$GS\r\n$G0\r") == [b"$GS", b"$G0"]


def test_more_than_ten_words_are_no_command() -> None:
    assert read_command(b"$A 1 2 3 4 5 6 7 8 9") == Command("A", tuple("123456789"))
    assert read_command(b"$A 1 2 3 4 5 6 7 8 9 0") is None


@given(st.binary(max_size=200), st.integers(0, 200))
def test_whatever_bytes_come_nothing_breaks_and_the_pieces_do_not_matter(data: bytes, at: int) -> None:
    pieces, whole = InputBuffer(), InputBuffer()
    lines = pieces.feed(data[:at]) + pieces.feed(data[at:])
    assert lines == whole.feed(data)
    master = Master()
    for line in lines:
        assert len(line) < BUFFER_BYTES
        master.device.answer(line)


# --- states -----------------------------------------------------------------------------------------------------------


def test_a_session_shows_in_the_states_and_is_told_unasked(bay: Master) -> None:
    assert (bay.state(), bay.ask("$G0")) == ("01", "$OK 0")
    bay.point.plug_in()
    bay.wait(0.1)
    assert (bay.state(), bay.ask("$G0")) == ("02", "$OK 1")
    bay.wait(3)
    assert (bay.state(), bay.flags()) == ("03", 0x0140)
    bay.point.plug_out()
    bay.wait(1)
    assert bay.state() == "01"
    assert bay.unasked == ["$AT 02 02 32 0100", "$AT 03 03 32 0140", "$AT 01 01 32 0000"]


def test_a_car_alone_draws_nothing_while_the_boot_lock_is_on() -> None:
    master = Master()
    master.point.plug_in()
    master.wait(5)
    assert (master.state(), master.flags()) == ("02", 0x4100)
    master.ask("$SB")
    master.wait(5)
    assert (master.state(), master.flags()) == ("03", 0x0140)


@pytest.mark.parametrize(("command", "state"), [("$FS", "fe"), ("$FD", "ff")])
def test_asleep_and_disabled_end_the_charge_and_tell_of_the_car_in_the_flags(
    command: str, state: str, charging: Master
) -> None:
    assert charging.ask(command) == "$OK"
    charging.wait(0.1)
    assert (charging.state(), charging.flags(), charging.point.current_ma) == (state, 0x0100, 0)
    charging.ask("$FE")
    charging.wait(3)
    assert charging.state() == "03"


def test_the_auth_lock_withholds_energy(charging: Master) -> None:
    assert (charging.ask("$S4 1"), charging.ask("$G4")) == ("$OK", "$OK 1")
    charging.wait(3)
    assert (charging.state(), charging.flags()) == ("02", 0x0108)
    charging.ask("$S4 0")
    charging.wait(3)
    assert charging.state() == "03"


@pytest.mark.parametrize("state", sorted(FAULTS))
def test_each_faulted_state_opens_the_contactor(state: int, charging: Master) -> None:
    charging.device.force("fault", int(state), 1)
    charging.wait(0.1)
    assert (charging.state(), charging.point.contactor_closed) == (f"{state:02x}", False)
    assert charging.unasked[-1].startswith(f"$AT {state:02x} ")
    charging.device.force("fault", None, 1)
    charging.wait(3)
    assert charging.state() == "03"


def test_a_fault_that_a_person_names_shows_as_its_state_and_is_counted(bay: Master) -> None:
    for code, state in ((FaultCode.GROUND, "06"), (FaultCode.HIGH_TEMPERATURE, "0a"), (FaultCode.POWER_SWITCH, "08")):
        bay.device.fault(code, 1)
        bay.wait(0.1)
        assert bay.state() == state
        bay.point.clear_fault()
        bay.wait(0.1)
    assert bay.ask("$GF") == "$OK 1 0 1"
    with pytest.raises(Impossible, match="cannot show ReaderFailure"):
        bay.device.fault(FaultCode.READER, 1)


def test_a_car_that_wants_ventilation_is_refused_until_it_goes(bay: Master) -> None:
    bay.point.plug_in(Car(ventilation=True))
    bay.wait(3)
    assert (bay.state(), bay.point.current_ma) == ("04", 0)
    bay.point.plug_out()
    bay.wait(1)
    assert bay.state() == "01"


# --- current and meter ------------------------------------------------------------------------------------------------


def test_a_volatile_current_is_kept_by_the_car_and_not_by_the_eeprom(charging: Master) -> None:
    assert charging.ask("$SC 10 V") == "$OK 10"
    assert (charging.point.current_ma, charging.ask("$GE"), charging.ask("$GC")) == (
        10_000,
        "$OK 10 0001",
        "$OK 6 32 10 32",
    )
    assert charging.device.eeprom_writes["SC"] == 0
    charging.device.reboot()
    charging.wait(3)
    assert charging.ask("$GE") == "$OK 32 0001"


def test_a_current_without_a_letter_wears_the_eeprom_and_survives(bay: Master) -> None:
    assert bay.ask("$SC 16") == "$OK 16"
    assert bay.device.eeprom_writes["SC"] == 1
    bay.device.reboot()
    bay.wait(3)
    assert bay.ask("$GE") == "$OK 16 0001"


@pytest.mark.parametrize(("asked", "becomes"), [("5", "6"), ("0", "6"), ("40", "32")])
def test_a_current_out_of_range_is_clamped_and_answered_with_what_it_became(
    asked: str, becomes: str, bay: Master
) -> None:
    assert bay.ask(f"$SC {asked} V") == f"$NK {becomes}"
    assert bay.ask("$GE") == f"$OK {becomes} 0001"


def test_the_configured_maximum_is_a_ceiling(bay: Master) -> None:
    assert bay.ask("$SC 20 M") == "$OK 20"
    assert bay.ask("$SC 25 V") == "$NK 20"
    assert (bay.ask("$GC"), bay.device.eeprom_writes["SC"]) == ("$OK 6 32 20 20", 1)


def test_the_meter_is_the_integral_of_the_power(charging: Master) -> None:
    before_ws = float(str(charging.ask("$GU")).split()[1])
    charging.wait(3600)
    _, session_ws, total_wh = str(charging.ask("$GU")).split()
    assert float(session_ws) - before_ws == pytest.approx(20 * 230 * 3600, abs=1)
    assert total_wh == "0"
    assert charging.ask("$GG") == "$OK 20000 230000"
    assert charging.ask("$GP") == "$OK 245 -2560 -2560"


def test_a_session_enters_the_total_when_the_car_goes(charging: Master) -> None:
    charging.wait(3600)
    charging.point.plug_out()
    charging.wait(1)
    first_wh = int(charging.point.energy_wh)
    assert str(charging.ask("$GU")).split()[2] == str(first_wh)
    charging.point.plug_in(Car(max_current_ma=10_000))
    charging.wait(0.1)
    assert charging.ask("$GU") == f"$OK 0 {first_wh}"


def test_a_boot_within_a_session_forgets_its_energy(charging: Master) -> None:
    charging.wait(3600)
    charging.device.reboot()
    charging.wait(3)
    assert charging.ask("$GU") == "$OK 0 0"


# --- the lock ---------------------------------------------------------------------------------------------------------


def test_the_lock_follows_the_charge_until_somebody_takes_it_over(charging: Master) -> None:
    assert charging.ask("$G5") == "$OK 1 A"
    assert charging.ask("$S5 0") == "$NK"
    assert charging.ask("$S5 M") == "$OK"
    assert charging.ask("$S5 0") == "$OK"
    charging.wait(1)
    assert (charging.ask("$G5"), charging.point.contactor_closed, charging.flags()) == ("$OK 0 M", False, 0x8100)
    assert charging.ask("$S5 1") == "$OK"
    charging.wait(1)
    assert charging.ask("$G5") == "$OK 1 M"
    charging.ask("$S5 A")
    assert charging.ask("$G5") == "$OK 1 A"


def test_a_jammed_lock_stays_locked(charging: Master) -> None:
    charging.point.jam_lock(True)
    charging.ask("$S5 M")
    charging.ask("$S5 0")
    charging.wait(2)
    assert charging.ask("$G5") == "$OK 1 M"


@pytest.mark.parametrize("line", ["$G5", "$S5 M", "$S5 1"])
def test_a_build_without_a_lock_refuses_its_commands(line: str) -> None:
    assert Master(Cable.TETHERED).ask(line) == "$NK"


def test_the_manual_mode_is_volatile(bay: Master) -> None:
    bay.ask("$S5 M")
    bay.device.reboot()
    bay.wait(3)
    assert bay.ask("$G5") == "$OK 0 A"


# --- supervision ------------------------------------------------------------------------------------------------------


def test_without_pulses_the_current_falls_back_until_the_miss_is_acknowledged(charging: Master) -> None:
    assert charging.ask("$SY 10 8") == "$OK 10 8 0"
    charging.wait(9)
    assert charging.ask("$SY") == "$OK 10 8 0"
    charging.wait(9)
    assert charging.point.current_ma == 20_000
    charging.wait(2)
    assert (charging.point.current_ma, charging.ask("$GY")) == (8_000, "$OK 10 8 2")
    assert charging.ask("$SY") == "$NK 10 8 2"
    assert charging.point.current_ma == 8_000
    assert charging.ask("$SY 165") == "$OK 10 8 1"
    assert charging.point.current_ma == 20_000


def test_a_miss_that_is_acknowledged_gives_the_current_of_the_eeprom(charging: Master) -> None:
    charging.ask("$SC 10 V")
    charging.ask("$SY 10 8")
    charging.wait(11)
    charging.ask("$SY 165")
    assert charging.ask("$GE") == "$OK 32 0001"


def test_the_fallback_never_raises_the_current_and_zero_switches_the_supervision_off(charging: Master) -> None:
    charging.ask("$SC 7 V")
    charging.ask("$SY 10 16")
    charging.wait(11)
    assert charging.point.current_ma == 7_000
    assert charging.ask("$SY 0 0") == "$OK 0 0 0"
    charging.wait(1000)
    assert charging.ask("$GY") == "$OK 0 0 0"


def test_the_supervision_is_kept_in_the_eeprom_and_written_when_it_changes(charging: Master) -> None:
    for _ in range(3):
        charging.ask("$SY 10 8")
    assert charging.device.eeprom_writes == {"SC": 0, "SY": 1}
    charging.device.reboot()
    charging.wait(4)
    charging.ask("$SB")
    charging.wait(10)
    assert (charging.point.current_ma, charging.ask("$GY")) == (8_000, "$OK 10 8 2")


# --- restart ----------------------------------------------------------------------------------------------------------


def test_a_restart_is_told_by_its_boot_and_forgets_what_is_volatile(bay: Master) -> None:
    for line in ("$SC 10 V", "$S4 1", "$SY 60 6", "$FS"):
        bay.ask(line)
    bay.wait(0.1)
    bay.unasked.clear()
    assert bay.ask("$FR") is None
    bay.wait(2.4)
    assert (bay.ask("$GS"), bay.unasked) == (None, [])
    bay.wait(0.2)
    assert bay.unasked == ["$AB 00 8.2.1"]
    assert (bay.ask("$GE"), bay.ask("$G4"), bay.ask("$GY")) == ("$OK 32 0001", "$OK 0", "$OK 60 6 0")
    assert (bay.state(), bay.flags()) == ("01", 0x4000)


def test_a_restart_while_charging_first_lets_the_car_go(charging: Master) -> None:
    charging.ask("$FR")
    charging.wait(0.1)
    assert charging.point.contactor_closed is False
    charging.wait(2.8)
    assert charging.point.powered is True
    charging.wait(2.5)
    assert charging.ask("$GS") is None
    charging.wait(0.2)
    assert (charging.state(), charging.flags()) == ("02", 0x4100)


def test_power_that_is_cut_and_comes_back_is_a_boot(charging: Master) -> None:
    charging.device.cut_power()
    charging.wait(100)
    assert charging.ask("$GS") is None
    charging.device.give_power()
    charging.wait(3)
    assert charging.unasked[-1] == "$AB 00 8.2.1"


def test_a_silent_controller_says_nothing_unasked_either(bay: Master) -> None:
    bay.device.silent = True
    bay.point.plug_in()
    bay.wait(5)
    assert (bay.unasked, bay.ask("$GS")) == ([], None)


# --- people -----------------------------------------------------------------------------------------------------------


def test_a_value_that_is_forced_reads_as_told_until_it_is_let_go(bay: Master) -> None:
    bay.device.force("vflags", 0x8002, 1)
    bay.device.force("firmware", "9.9.9", 1)
    bay.device.force("current_ma", -1, 1)
    assert (bay.ask("$GV"), bay.flags(), bay.ask("$GG")) == ("$OK 9.9.9 5.2.1", 0x8002, "$OK -1 230000")
    bay.device.force("vflags", None, 1)
    assert bay.flags() == 0
    with pytest.raises(Impossible, match="has no value speed"):
        bay.device.force("speed", 1, 1)
    with pytest.raises(Impossible, match="letters"):
        bay.device.force("firmware", "1 2", 1)
    with pytest.raises(Impossible, match="fault must be one of 4, 5"):
        bay.device.force("fault", 99, 1)


def test_the_button_is_told_unasked(bay: Master) -> None:
    bay.device.force("button", 0, 1)
    bay.device.force("button", 1, 1)
    assert bay.unasked == ["$AN 0", "$WF 1"]


def test_it_is_alone_on_its_line() -> None:
    for more in ({"unit_id": 3}, {"points": 2}, {"min_gap_s": 0.1}):
        with pytest.raises(Impossible, match="alone on its line"):
            build_unit("openevse-rapi", name="bay", **more)  # type: ignore[arg-type]
    two = [SimulatedCharger(name=name, make="openevse-rapi", listen="pty:/nowhere/x") for name in ("a", "b")]
    with pytest.raises(Impossible, match="a is there already"):
        SimulatedSite(two)
    mixed = [two[0], SimulatedCharger(name="b", make="keba-p30", listen="pty:/nowhere/x")]
    for order in (mixed, mixed[::-1]):
        with pytest.raises(Impossible, match="give it a line of its own"):
            SimulatedSite(order)


# --- on a line --------------------------------------------------------------------------------------------------------


Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def listening(**faults: float) -> AsyncIterator[tuple[SimulatedSite, Client]]:
    async with SimulatedSite(
        [SimulatedCharger(name="bay", make="openevse-rapi", listen="tcp:127.0.0.1:0")], seed=1, speed=20
    ) as site:
        site.units["bay"].wire = WireFaults(**faults)
        host, _, port = site.endpoint("bay").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield site, (reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()


async def heard(client: Client) -> bytes:
    async with asyncio.timeout(30):
        return await client[0].readuntil(b"\r")


async def test_a_converter_carries_commands_in_pieces_and_what_is_said_unasked() -> None:
    async with listening() as (site, client):
        client[1].write(b"$S")
        client[1].write(b"B\r$FE*AF\r")
        assert [await heard(client), await heard(client)] == [b"$OK 0^30\r", b"$OK^20\r"]
        site["bay"].plug_in(Car(paused=True))
        assert (await heard(client)).startswith(b"$AT 02 02 32 0100^")
        site["bay"].resume()
        assert (await heard(client)).startswith(b"$AT 03 03 32 0140^")


async def test_what_is_said_unasked_may_come_before_the_reply() -> None:
    async with listening() as (site, client):
        site["bay"].plug_in(Car(paused=True))
        client[1].write(b"$G0\r")
        assert (await heard(client)).startswith(b"$AT 02 ")
        assert (await heard(client)).startswith(b"$OK 1^")


async def test_faults_of_the_wire_damage_what_is_said() -> None:
    async with listening(corrupt=1) as (_, client):
        client[1].write(b"$FE\r" * 8)
        received = b""
        async with asyncio.timeout(30):
            while len(received) < 8 * 7:
                received += await client[0].read(100)
        assert b"$OK^20\r" not in received
    async with listening(truncate=1) as (site, client):
        client[1].write(b"$GV\r")
        async with asyncio.timeout(30):
            part = await client[0].read(100)
        assert 1 <= len(part) < len(b"$OK 8.2.1 5.2.1^2B\r")
        site.units["bay"].wire = WireFaults(drop=1)
        client[1].write(b"$GV\r")
        await site.until(lambda: site.units["bay"].requests == 2, timeout_s=30)
        site.units["bay"].wire = WireFaults(late_ms=30)
        client[1].write(b"$G0\r")
        assert await heard(client) == b"$OK 0^30\r"


async def test_a_terminal_carries_it_too(tmp_path: Path) -> None:
    path = tmp_path / "bay"
    async with SimulatedSite([SimulatedCharger(name="bay", make="openevse-rapi", listen=f"pty:{path}")], seed=1):
        with path.open("r+b", buffering=0) as terminal:
            terminal.write(b"$GV^35\r")
            reply = await asyncio.to_thread(terminal.read, 100)
    assert reply.startswith(b"$OK 8.2.1 5.2.1^")
