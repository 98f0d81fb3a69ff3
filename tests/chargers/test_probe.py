"""Asking one charger everything, and saying why it does not answer."""

from __future__ import annotations

import asyncio
import errno
import termios
from contextlib import suppress
from time import perf_counter

import pytest

from edged.chargers.fit import Verdict
from edged.chargers.hearing import Heard
from edged.chargers.inquiry import Inquiry
from edged.chargers.library import load_profile
from edged.chargers.line import BusSpec, LineDown, LineKind, open_pipe
from edged.chargers.modbus import Read, Table, rtu_frame
from edged.chargers.probe import Probe, Probing, Silent, probe
from edged.chargers.silence import Clue, Silence, explain, find_setting, look_for_others, other_settings
from edged.domain.hardware import Capability, ChargerState
from tests.fakes.probing import ESP32, cells

PROFILE = load_profile("esp32-evse")
FIRMWARE = 405
LIMIT = 106


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for who is not there."""
    for name in ("probe.SERIAL_TIMEOUT_S", "probe.NETWORK_TIMEOUT_S", "probe.PATIENT_S"):
        monkeypatch.setattr(f"edged.chargers.{name}", 0.05)
    for name in ("silence.SERIAL_LOOK_S", "silence.NETWORK_LOOK_S"):
        monkeypatch.setattr(f"edged.chargers.{name}", 0.02)
    monkeypatch.setattr("edged.chargers.inquiry.LATE_LIMIT_S", 0.2)


@pytest.fixture(params=["pty", "tcp", "rtu over tcp"])
def slave(request, pty_slave, tcp_slave, rtu_tcp_slave):
    return {"pty": pty_slave, "tcp": tcp_slave, "rtu over tcp": rtu_tcp_slave}[request.param]


async def asked(spec: BusSpec, *, unit_id: int = 1) -> Probe:
    inquiry = Inquiry(spec)
    try:
        return await probe(PROFILE, inquiry, unit_id=unit_id)
    finally:
        inquiry.close()


async def silence(spec: BusSpec, *, unit_id: int = 1) -> Silence:
    inquiry = Inquiry(spec)
    try:
        with pytest.raises(Silent) as caught:
            await probe(PROFILE, inquiry, unit_id=unit_id)
        heard = caught.value.heard | await look_for_others(inquiry, except_for=unit_id)
    finally:
        inquiry.close()
    return explain(PROFILE, spec, unit_id=unit_id, point=1, heard=heard, hung_up=caught.value.hung_up)


def readings(told: Probe) -> dict[str, object]:
    return {each.name: each for each in told.readings}


async def test_everything_is_read_on_every_kind_of_line(slave):
    slave.units.registers = {1: cells("esp32-evse", ESP32)}
    told = await asked(slave.spec())
    assert told.missing == ()
    assert told.fit.verdict is Verdict.FITS
    assert dict(told.identity) == {"firmware": "v2.1.0"}
    assert told.observed is not None
    assert (told.observed.state, told.observed.limit_a) == (ChargerState.CONNECTED, 16.0)
    assert told.counts.requests == len(told.readings) + 1
    least, middle, most = told.counts.spread_s
    assert 0 < least <= middle <= most


async def test_nothing_is_ever_written(tcp_slave):
    tcp_slave.units.registers = {1: cells("esp32-evse", ESP32)}
    await asked(tcp_slave.spec())
    assert {pdu[0] for pdu in tcp_slave.units.requests} == {3}


async def test_a_register_is_told_with_its_words_its_value_and_what_it_means(tcp_slave):
    tcp_slave.units.registers = {1: cells("esp32-evse", {**ESP32, "error_bits": 0b1001})}
    found = readings(await asked(tcp_slave.spec()))
    limit, errors = found["charging_current"], found["error_bits"]
    assert (limit.address, limit.words, limit.value, limit.unit) == (LIMIT, (160,), 16.0, "A")
    assert found["state"].meaning == "state connected"
    assert found["socket_outlet"].meaning == "cable"
    assert errors.meaning == "bits 0, 3; fault EVCommunicationError; fault ConnectorLockFailure; lock jammed"


async def test_a_register_that_is_refused_is_missing_and_takes_its_capabilities_along(tcp_slave):
    registers = cells("esp32-evse", ESP32)
    del registers[LIMIT]
    tcp_slave.units.registers = {1: registers}
    told = await asked(tcp_slave.spec())
    assert [(each.name, each.error) for each in told.missing] == [
        ("charging_current", "it does not exist (exception 2: illegal data address)")
    ]
    assert told.cannot[Capability.LIMIT] == "charging_current cannot be read"
    assert Capability.LIMIT not in told.capabilities
    assert told.counts.refused == 1


async def test_a_tethered_charger_has_no_socket_whatever_its_profile_says(tcp_slave):
    tcp_slave.units.registers = {1: cells("esp32-evse", ESP32)}
    told = await asked(tcp_slave.spec())
    assert told.cannot[Capability.DETACHABLE] == "its cable is fixed (socket_outlet reads 0)"
    tcp_slave.units.registers = {1: cells("esp32-evse", {**ESP32, "socket_outlet": 1})}
    assert Capability.DETACHABLE in (await asked(tcp_slave.spec())).capabilities


async def test_another_device_does_not_fit_and_is_told_so(tcp_slave):
    tcp_slave.units.registers = {1: dict.fromkeys(range(10), 7)}
    told = await asked(tcp_slave.spec())
    assert told.fit.verdict is Verdict.DOES_NOT_FIT
    assert told.observed is None
    assert len(told.missing) == len(told.readings)


async def test_a_damaged_answer_is_counted_and_asked_again(pty_slave):
    pty_slave.units.registers = {1: cells("esp32-evse", ESP32)}

    def spoil(number, frame, normal):
        return [(0.0, normal[:-1] + bytes((normal[-1] ^ 1,)))] if number == 4 else None

    pty_slave.units.twist = spoil
    told = await asked(pty_slave.spec())
    assert (told.counts.damaged, told.missing) == (1, ())


async def test_a_charger_that_falls_silent_is_not_waited_for_register_by_register(quick, pty_slave):
    pty_slave.units.registers = {1: cells("esp32-evse", ESP32)}
    pty_slave.units.twist = lambda number, frame, normal: [] if number > 5 else None
    told = await asked(pty_slave.spec())
    assert told.ended.startswith("it fell silent at ")
    assert told.counts.timeouts < 10
    assert told.missing[-1].error == "was not read"


async def test_registers_that_are_only_silent_do_not_end_the_probe(quick, pty_slave):
    pty_slave.units.registers = {1: cells("esp32-evse", ESP32)}
    pty_slave.units.twist = lambda number, frame, normal: [] if 207 <= frame[2] * 256 + frame[3] <= 217 else None
    told = await asked(pty_slave.spec())
    assert told.ended == ""
    assert len(told.missing) == 6
    assert readings(told)["firmware"].value == "v2.1.0"


@pytest.mark.parametrize("tries", ["both tries are answered too late", "the second try is answered twice"])
async def test_a_late_answer_is_never_taken_for_that_of_another_register(quick, pty_slave, tries):
    """The slave keeps a reply back and sends it in front of the next, unless it was given the time to drop it."""
    pty_slave.units.registers = {1: cells("esp32-evse", ESP32)}
    asked_at: list[float] = []
    kept: list[bytes] = []

    def hold_back(number, frame, normal):
        address = frame[2] * 256 + frame[3]
        if address == 207:
            asked_at.append(perf_counter())
            kept[:] = [normal]
            return [(0.0, normal)] if tries.startswith("the second") and len(asked_at) == 2 else []
        if address == 209 and perf_counter() - asked_at[-1] < 0.15:
            return [(0.0, kept[0] + normal)]
        return None

    pty_slave.units.twist = hold_back
    found = readings(await asked(pty_slave.spec()))
    assert found["voltage_l2"].value == 229.0
    assert found["voltage_l1"].value == (231.5 if tries.startswith("the second") else None)


# --- nobody answers ---------------------------------------------------------------------------------------------------


async def test_a_dead_line_is_checked_in_the_order_of_likelihood(quick, pty_slave):
    why = await silence(pty_slave.spec(baudrate=19_200))
    assert (why.clue, why.seen) == (Clue.NOTHING, "not a single byte came back")
    assert [check.partition(":")[0] for check in why.checks] == ["power", "wires", "speed", "unit id", "termination"]
    assert "here it is 19200 baud, 8N1" in why.checks[2]


async def test_another_unit_on_the_line_is_named_first(quick, pty_slave):
    pty_slave.units.registers = {4: {}, 9: {}}
    why = await silence(pty_slave.spec())
    assert (why.clue, why.other_units, why.seen) == (Clue.OTHER_UNIT, (4, 9), "units 4 and 9 answer")
    assert why.checks[0].startswith("unit id: units 4 and 9 answered and 1 did not")


async def test_a_reply_in_another_units_name_is_seen(quick, pty_slave):
    pty_slave.units.registers = {1: {}}
    pty_slave.units.twist = lambda number, frame, normal: [(0.0, rtu_frame(31, normal[1:-2]))] if normal else []
    assert (await silence(pty_slave.spec())).other_units == (31,)


async def test_noise_points_to_speed_and_wires(quick, pty_slave):
    pty_slave.units.twist = lambda number, frame, normal: [(0.0, b"\xf8\x00\xf8\x00")]
    why = await silence(pty_slave.spec())
    assert why.clue is Clue.NOISE
    assert "bytes came that are no Modbus" in why.seen
    assert [check.partition(":")[0] for check in why.checks[:2]] == ["speed", "wires"]


async def test_an_echo_is_no_answer(quick, pty_slave):
    pty_slave.units.twist = lambda number, frame, normal: [(0.0, frame)]
    assert (await silence(pty_slave.spec())).clue is Clue.ECHO


async def test_another_master_on_the_line_is_seen(quick, pty_slave):
    theirs = rtu_frame(200, Read(table=Table.INPUT, address=5, count=14).pdu)
    pty_slave.units.twist = lambda number, frame, normal: [(0.0, theirs)]
    why = await silence(pty_slave.spec())
    assert (why.clue, why.seen) == (Clue.OTHER_MASTER, "another master asks unit 200 on this line")


async def test_a_gateways_excuse_is_no_sign_of_life(quick, tcp_slave):
    tcp_slave.units.registers = {unit_id: {} for unit_id in range(256)}
    tcp_slave.twist_mbap = lambda number, pdu, normal: normal[:-2] + b"\x83\x0b"
    why = await silence(tcp_slave.spec())
    assert (why.clue, why.other_units) == (Clue.GATEWAY, ())


async def test_a_server_that_hangs_up_is_seen(quick, tcp_slave):
    tcp_slave.twist_mbap = lambda number, pdu, normal: tcp_slave.connections[-1].close() or b""
    why = await silence(tcp_slave.spec())
    assert why.clue is Clue.HUNG_UP
    assert why.checks[0].startswith("other masters")


async def test_a_server_of_another_kind_is_told_from_silence(quick, tcp_slave):
    tcp_slave.units.registers = {1: {}}
    tcp_slave.twist_mbap = lambda number, pdu, normal: b"HTTP/1.1 400 Bad Request\r\n\r\n"
    why = await silence(tcp_slave.spec())
    assert why.clue is Clue.NOISE
    assert "rtu_over_tcp" in why.checks[0]


async def test_an_answer_that_comes_too_late_is_waited_for_longer(quick, pty_slave, monkeypatch):
    monkeypatch.setattr("edged.chargers.probe.PATIENT_S", 1.0)
    pty_slave.units.registers = {1: cells("esp32-evse", ESP32)}
    pty_slave.units.twist = lambda number, frame, normal: [(0.08, normal)] if number < 4 else None
    told = await asked(pty_slave.spec())
    assert (told.missing, told.fit.verdict) == ((), Verdict.FITS)
    assert told.counts.timeouts > 0


async def test_an_answer_that_always_comes_too_late_is_told_from_silence(quick, pty_slave):
    pty_slave.units.registers = {1: cells("esp32-evse", ESP32)}
    pty_slave.units.twist = lambda number, frame, normal: [(0.08, normal)] if normal else []
    why = await silence(pty_slave.spec())
    assert (why.clue, why.seen) == (Clue.LATE, "its answers come, but too late or damaged")


async def test_a_line_that_is_not_there_is_the_lines_fault(tmp_path):
    with pytest.raises(LineDown) as caught:
        await asked(BusSpec(kind=LineKind.SERIAL, port=str(tmp_path / "none")))
    assert caught.value.__cause__.errno == errno.ENOENT


# --- settings that look wrong -----------------------------------------------------------------------------------------


async def test_another_master_is_heard_before_anything_is_asked(pty_slave):
    pty_slave.units.registers = {1: cells("esp32-evse", ESP32)}
    theirs = rtu_frame(200, Read(table=Table.INPUT, address=5, count=14).pdu)
    asyncio.get_running_loop().call_later(0.05, pty_slave.send, theirs)
    inquiry = Inquiry(pty_slave.spec())
    probing = Probing(PROFILE, inquiry, unit_id=1)
    try:
        await probing.run(listen_s=0.3)
    finally:
        inquiry.close()
    told = probing.result()
    assert told.heard.requests == {200}
    assert told.missing == ()


async def test_a_charger_that_answers_at_another_speed_is_found_there(quick, pty_slave):
    """The pty knows how fast its port was opened, and its charger is deaf to other speeds."""
    pty_slave.units.registers = {1: cells("esp32-evse", ESP32)}

    def hear_at_its_speed(number, frame, normal):
        return None if termios.tcgetattr(pty_slave._slave)[4] == termios.B38400 else []

    pty_slave.units.twist = hear_at_its_speed
    spec = pty_slave.spec(baudrate=9600)
    tried: list[BusSpec] = []
    found = await find_setting(PROFILE, spec, unit_id=1, heard=Heard(), tell=tried.append)
    assert found is not None
    assert (found.baudrate, found.parity) == (38_400, "none")
    assert spec not in tried
    why = explain(PROFILE, spec, unit_id=1, point=1, heard=Heard(), hung_up=False, answers_at=found)
    assert why.seen == "it answers at 38400 baud, 8N1"
    assert why.checks[0].startswith("speed and parity: write baudrate: 38400, parity: none, stopbits: 1")


async def test_a_charger_that_answers_with_another_parity_is_found_there(quick, pty_slave):
    """A pty has no parity bit: what the line would be opened with is asked of the one who opens it."""
    pty_slave.units.registers = {1: cells("esp32-evse", ESP32)}
    parities: list[str] = []

    async def connect(spec):
        parities.append(spec.parity)
        pty_slave.units.twist = None if spec.parity == "even" else lambda number, frame, normal: []
        return await open_pipe(spec)

    spec = pty_slave.spec(baudrate=9600)
    found = await find_setting(PROFILE, spec, unit_id=1, heard=Heard(), connect=connect)
    assert found is not None
    assert (found.baudrate, found.parity) == (9600, "even")
    assert len(parities) <= 5


async def test_no_other_setting_is_tried_where_frames_came_with_this_one(pty_slave):
    assert await find_setting(PROFILE, pty_slave.spec(), unit_id=1, heard=Heard(replies=frozenset({4}))) is None
    assert pty_slave.units.requests == []


def test_every_usual_setting_is_tried_once_the_chargers_own_first():
    spec = BusSpec(kind=LineKind.SERIAL, port="/dev/a", baudrate=9600)
    profile = load_profile("heidelberg-energy-control")
    order = [(each.baudrate, each.parity, each.stopbits) for each in other_settings(profile, spec)]
    assert order[0] == (19_200, "even", 1)
    assert len(order) == len(set(order)) == 13
    assert (9600, "none", 1) not in order


async def test_words_in_the_other_order_are_told_with_both_values(tcp_slave):
    registers = cells("esp32-evse", ESP32)
    for at in (207, 209, 211, 400):
        registers[at], registers[at + 1] = registers[at + 1], registers[at]
    tcp_slave.units.registers = {1: registers}
    told = await asked(tcp_slave.spec())
    assert [str(each) for each in told.suspicions] == [
        "uptime reads 3.0874e+08 s, and 4711 s with its words in the other order",
        "voltage_l1 reads 2.28668e+06 V, and 231.5 V with its words in the other order",
        "voltage_l2 reads 2.12284e+06 V, and 229 V with its words in the other order",
        "voltage_l3 reads 2.18838e+06 V, and 230 V with its words in the other order",
    ]
    assert set(map(str, told.suspicions)) <= set(told.fit.against)


async def test_what_was_read_until_it_was_stopped_stays(tcp_slave):
    tcp_slave.units.registers = {1: cells("esp32-evse", ESP32)}
    reached: asyncio.Event = asyncio.Event()
    inquiry = Inquiry(tcp_slave.spec())
    probing = Probing(
        PROFILE, inquiry, unit_id=1, tell=lambda name, number, count: reached.set() if number == 9 else None
    )
    assert not probing.has_answer
    task = asyncio.create_task(probing.run())
    await reached.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    inquiry.close()
    told = probing.result(ended="stopped")
    assert told.ended == "stopped"
    assert sum(each.words is not None for each in told.readings) >= 7
    assert told.missing[-1].error == "was not read"
