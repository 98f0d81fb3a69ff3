"""The worker of a line against scripted units on a real pty and real TCP sockets."""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import perf_counter

import pytest
import serial
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.chargers.bus import Bus
from edged.chargers.job_queue import Priority
from edged.chargers.line import BusSpec, LineDown, LineKind
from edged.chargers.modbus import ExceptionReply, NoAnswer, ProtocolError, Table, rtu_frame
from edged.chargers.unit_health import UnitState
from edged.ports import ChargerError, ChargerUnreachable

H = Table.HOLDING


@asynccontextmanager
async def bus_on(spec: BusSpec) -> AsyncIterator[Bus]:
    bus = Bus(spec)
    try:
        yield bus
    finally:
        await bus.close()


async def until(condition: Callable[[], bool]) -> None:
    """Bounded polling at the edge of the process."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def reply_to(frame: bytes, *words: int) -> bytes:
    return rtu_frame(frame[0], bytes((frame[1], 2 * len(words))) + b"".join(w.to_bytes(2, "big") for w in words))


async def test_registers_are_read_and_written_over_a_serial_line(pty_slave) -> None:
    pty_slave.units.registers[1] = {10: 111, 11: 222}
    async with bus_on(pty_slave.spec()) as bus:
        assert await bus.read(1, H, 10, 2) == (111, 222)
        await bus.write(1, H, 10, (7,))
        await bus.write(1, H, 10, (8, 9), multiple=True)
        assert pty_slave.units.registers[1] == {10: 8, 11: 9}


async def test_registers_are_read_over_modbus_tcp(tcp_slave) -> None:
    tcp_slave.units.registers[255] = {1000: 3}
    async with bus_on(tcp_slave.spec()) as bus:
        assert await bus.read(255, H, 1000, 1) == (3,)
        await bus.write(255, H, 1000, (4,))
        assert tcp_slave.units.registers[255][1000] == 4


async def test_registers_are_read_through_a_serial_converter(rtu_tcp_slave) -> None:
    rtu_tcp_slave.units.registers[2] = {5: 55}
    async with bus_on(rtu_tcp_slave.spec()) as bus:
        assert await bus.read(2, H, 5, 1) == (55,)


async def test_an_exception_is_told_and_proves_life(pty_slave) -> None:
    pty_slave.units.registers[1] = {}
    async with bus_on(pty_slave.spec()) as bus:
        with pytest.raises(ExceptionReply):
            await bus.read(1, H, 10, 2)
        assert bus.statistics.units[1].state is UnitState.ONLINE
        assert bus.statistics.exceptions == 1


async def test_a_late_reply_is_never_the_answer_to_the_next_request(pty_slave) -> None:
    units = pty_slave.units
    units.registers[1] = {address: address for address in range(200)}

    def late_once(number: int, frame: bytes, normal: bytes) -> list[tuple[float, bytes]] | None:
        return [(0.25, normal)] if number in (1, 2) else None

    units.twist = late_once
    async with bus_on(pty_slave.spec(timeout_s=0.1)) as bus:
        with pytest.raises(ChargerUnreachable):
            await bus.read(1, H, 0, 1)
        for address in (100, 101, 102):
            try:
                assert await bus.read(1, H, address, 1) == (address,)
            except ChargerUnreachable:
                pass
        assert await bus.read(1, H, 103, 1) == (103,)


async def test_the_late_twin_of_a_repeated_read_meets_no_other_request(pty_slave) -> None:
    units = pty_slave.units
    units.registers[1] = {address: address for address in range(200)}
    async with bus_on(pty_slave.spec(timeout_s=0.1)) as bus:
        assert await bus.read(1, H, 50, 1) == (50,)
        # the repeated read is answered by its late twin; its own reply then comes while 62 is waited for
        units.twist = lambda number, frame, normal: [(0.17 if number in (2, 3) else 0.09, normal)]
        answers = await asyncio.gather(
            bus.read(1, H, 60, 1), bus.read(1, H, 61, 1), bus.read(1, H, 62, 1), return_exceptions=True
        )
        for address, answer in zip((60, 61, 62), answers, strict=True):
            assert answer == (address,) or isinstance(answer, ChargerUnreachable)
        assert bus.statistics.retries >= 1


@given(st.lists(st.sampled_from((0.0, 0.04, 0.08, 0.12, 0.2)), min_size=5, max_size=7))
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
async def test_no_delay_of_any_reply_ever_yields_a_wrong_value(pty_slave, delays: list[float]) -> None:
    units = pty_slave.units
    units.registers[1] = {address: address for address in range(200)}
    units.requests.clear()
    units.twist = lambda number, frame, normal: [(delays[(number - 1) % len(delays)], normal)]
    async with bus_on(pty_slave.spec(timeout_s=0.05)) as bus:
        for address in range(4):
            try:
                assert await bus.read(1, H, address, 1) == (address,)
            except ChargerUnreachable:
                pass
    await asyncio.sleep(0.2)  # let the last late reply of this example reach nobody


@pytest.mark.parametrize(
    ("damage", "counter"),
    [
        (lambda frame, normal: rtu_frame(9, normal[1:-2]), "protocol_errors"),
        (lambda frame, normal: rtu_frame(frame[0], bytes((4,)) + normal[2:-2]), "protocol_errors"),
        (lambda frame, normal: normal[:-1] + bytes((normal[-1] ^ 0xFF,)), "crc_errors"),
        (lambda frame, normal: normal[:-3], "protocol_errors"),
        (lambda frame, normal: reply_to(frame, 1, 2, 3), "protocol_errors"),
        (lambda frame, normal: b"", "timeouts"),
    ],
    ids=["wrong unit", "wrong function", "bad crc", "truncated", "too many registers", "silence"],
)
async def test_what_is_no_valid_reply_is_refused_and_counted(pty_slave, damage, counter: str) -> None:
    units = pty_slave.units
    units.registers[1] = {0: 1}
    units.twist = lambda number, frame, normal: [(0.0, damage(frame, normal))]
    async with bus_on(pty_slave.spec(timeout_s=0.1)) as bus:
        with pytest.raises((NoAnswer, ProtocolError)):
            await bus.read(1, H, 0, 1)
        assert getattr(bus.statistics, counter) == 1
        units.twist = None
        assert await bus.read(1, H, 0, 1) == (1,)


async def test_one_damaged_reply_of_a_known_unit_is_read_again_at_once(pty_slave) -> None:
    units = pty_slave.units
    units.registers[1] = {0: 1}
    async with bus_on(pty_slave.spec()) as bus:
        await bus.read(1, H, 0, 1)
        units.twist = lambda number, frame, normal: [(0, normal[:-1] + b"?")] if number == 2 else None
        assert await bus.read(1, H, 0, 1) == (1,)
        assert bus.statistics.retries == 1


async def test_a_write_is_never_sent_twice(pty_slave) -> None:
    units = pty_slave.units
    units.registers[1] = {0: 1}
    async with bus_on(pty_slave.spec(timeout_s=0.1)) as bus:
        await bus.read(1, H, 0, 1)
        units.twist = lambda number, frame, normal: []
        with pytest.raises(NoAnswer):
            await bus.write(1, H, 0, (5,))
        assert len(units.requests) == 2


async def test_a_wrong_echo_of_a_write_is_refused(pty_slave) -> None:
    units = pty_slave.units
    units.registers[1] = {0: 1}
    units.twist = lambda number, frame, normal: [(0, rtu_frame(1, bytes((6, 0, 0, 0, 6))))]
    async with bus_on(pty_slave.spec(timeout_s=0.1)) as bus:
        with pytest.raises(ProtocolError):
            await bus.write(1, H, 0, (5,))


@pytest.mark.parametrize("configured", [None, True])
async def test_the_echo_of_an_adapter_is_no_reply(pty_slave, configured: bool | None) -> None:
    units = pty_slave.units
    units.registers[1] = {0: 1}
    units.twist = lambda number, frame, normal: [(0, frame + normal)]
    async with bus_on(pty_slave.spec(echo=configured, timeout_s=0.1)) as bus:
        assert await bus.read(1, H, 0, 1) == (1,)
        await bus.write(1, H, 0, (5,))
        units.twist = lambda number, frame, normal: [(0, frame)]
        with pytest.raises(ChargerUnreachable):
            await bus.write(1, H, 0, (6,))


async def test_a_dead_unit_falls_silent_for_longer_and_longer_and_fails_at_once(pty_slave) -> None:
    async with bus_on(pty_slave.spec(timeout_s=0.05)) as bus:
        for _ in range(3):
            with pytest.raises(NoAnswer):
                await bus.read(1, H, 0, 1)
        assert bus.statistics.units[1].state is UnitState.DEAD
        sent = len(pty_slave.units.requests)
        with pytest.raises(NoAnswer, match="next try"):
            await bus.read(1, H, 0, 1)
        assert len(pty_slave.units.requests) == sent


async def test_a_command_to_a_dead_unit_gets_one_real_try(pty_slave) -> None:
    async with bus_on(pty_slave.spec(timeout_s=0.05)) as bus:
        for _ in range(3):
            with pytest.raises(NoAnswer):
                await bus.read(1, H, 0, 1)
        sent = len(pty_slave.units.requests)
        pty_slave.units.registers[1] = {0: 4}
        await bus.write(1, H, 0, (5,))
        assert len(pty_slave.units.requests) == sent + 1
        assert bus.statistics.units[1].state is UnitState.ONLINE


async def test_a_unit_that_comes_back_begins_a_new_session(pty_slave) -> None:
    async with bus_on(pty_slave.spec(timeout_s=0.05)) as bus:
        for _ in range(3):
            with pytest.raises(NoAnswer):
                await bus.read(1, H, 0, 1)
        before = bus.session(1)
        pty_slave.units.registers[1] = {0: 9}
        async with asyncio.timeout(30):
            while True:
                try:
                    assert await bus.read(1, H, 0, 1) == (9,)
                    break
                except NoAnswer:
                    await asyncio.sleep(0.02)
        assert bus.session(1) == before + 1


async def test_a_newer_setpoint_replaces_a_queued_older_one(pty_slave) -> None:
    units = pty_slave.units
    units.registers[1] = {0: 0, 1: 0}
    units.twist = lambda number, frame, normal: [(0.03, normal)]
    async with bus_on(pty_slave.spec()) as bus:
        busy = asyncio.create_task(bus.read(1, H, 0, 1))
        await until(lambda: len(units.requests) == 1)
        writes = [asyncio.create_task(bus.write(1, H, 1, (value,), is_setpoint=True)) for value in (6, 10, 16)]
        await asyncio.gather(busy, *writes)
        written = [frame for frame in units.requests if frame[1] == 6]
        assert [frame[5] for frame in written] == [16]
        assert bus.statistics.superseded == 2


async def test_a_stop_overtakes_everything_that_waits(pty_slave) -> None:
    units = pty_slave.units
    units.registers[1] = dict.fromkeys(range(10), 0)
    units.twist = lambda number, frame, normal: [(0.02, normal)]
    async with bus_on(pty_slave.spec()) as bus:
        busy = asyncio.create_task(bus.read(1, H, 0, 1))
        await until(lambda: len(units.requests) == 1)
        reads = [asyncio.create_task(bus.read(1, H, a, 1, priority=Priority.METER)) for a in range(1, 5)]
        await asyncio.sleep(0)
        stop = asyncio.create_task(bus.write(1, H, 9, (1,), priority=Priority.STOP))
        await asyncio.gather(busy, stop, *reads)
        assert units.requests[1][1] == 6


async def test_a_units_pause_is_kept_and_others_are_served_meanwhile(pty_slave) -> None:
    units = pty_slave.units
    units.registers[1] = {0: 1}
    units.registers[2] = {0: 2}
    async with bus_on(pty_slave.spec()) as bus:
        bus.tune(1, min_gap_s=0.5, gap_is_bus_wide=False, response_timeout_s=None)
        begun = perf_counter()
        await asyncio.gather(bus.read(1, H, 0, 1), bus.read(1, H, 0, 1), bus.read(2, H, 0, 1))
        assert perf_counter() - begun >= 0.5
        assert [frame[0] for frame in units.requests] == [1, 2, 1]


async def test_a_pause_of_the_bus_holds_for_everyone(pty_slave) -> None:
    units = pty_slave.units
    units.registers[1] = {0: 1}
    units.registers[2] = {0: 2}
    async with bus_on(pty_slave.spec()) as bus:
        bus.tune(1, min_gap_s=0.1, gap_is_bus_wide=True, response_timeout_s=None)
        await bus.read(1, H, 0, 1)
        begun = perf_counter()
        await bus.read(2, H, 0, 1)
        assert perf_counter() - begun >= 0.09


async def test_garbage_on_the_line_does_not_stop_the_worker(pty_slave) -> None:
    pty_slave.units.registers[1] = {0: 1}
    async with bus_on(pty_slave.spec()) as bus:
        await bus.read(1, H, 0, 1)
        pty_slave.send(os.urandom(3000))
        await asyncio.sleep(0.02)
        assert await bus.read(1, H, 0, 1) == (1,)
        assert bus.statistics.strays == 1


async def test_a_second_master_on_the_port_is_refused(pty_slave) -> None:
    pty_slave.units.registers[1] = {0: 1}
    async with bus_on(pty_slave.spec()) as bus, bus_on(pty_slave.spec()) as second:
        await bus.read(1, H, 0, 1)
        with pytest.raises(LineDown, match="is held by another program"):
            await second.read(1, H, 0, 1)


async def test_a_pseudo_terminal_is_opened_again_and_again_whatever_the_parity(pty_slave) -> None:
    pty_slave.units.registers[1] = {0: 1}
    for _ in range(3):  # a pty has no parity bit: asked for one, it refuses from the second time on
        async with bus_on(pty_slave.spec(parity="even")) as bus:
            assert await bus.read(1, H, 0, 1) == (1,)


async def test_a_port_that_refuses_its_parameters_is_explained(pty_slave, monkeypatch) -> None:
    def refuse(**_: object) -> None:
        raise termios.error(22, "Invalid argument")

    monkeypatch.setattr(serial, "Serial", refuse)
    async with bus_on(pty_slave.spec(parity="even")) as bus:
        with pytest.raises(LineDown, match=r"refused 115200 baud, parity even, .*Invalid argument"):
            await bus.read(1, H, 0, 1)


async def test_a_port_that_is_not_there_is_explained_and_tried_again(tmp_path, pty_slave) -> None:
    pty_slave.units.registers[1] = {0: 1}
    link = tmp_path / "usb"
    async with bus_on(pty_slave.spec(port=str(link))) as bus:
        with pytest.raises(LineDown, match=r"^there is no .*/usb: plug the adapter in"):
            await bus.read(1, H, 0, 1)
        link.symlink_to(pty_slave.port)
        await until(lambda: bus.statistics.is_open)
        assert await bus.read(1, H, 0, 1) == (1,)


async def test_an_unplugged_adapter_fails_what_waits_at_once(pty_slave) -> None:
    pty_slave.units.registers[1] = {0: 1}
    async with bus_on(pty_slave.spec(timeout_s=120)) as bus:
        await bus.read(1, H, 0, 1)
        pty_slave.units.twist = lambda number, frame, normal: []
        waiting = asyncio.create_task(bus.read(1, H, 0, 1))
        await until(lambda: len(pty_slave.units.requests) == 2)
        pty_slave.close()
        async with asyncio.timeout(30):  # its own timeout is four times that
            with pytest.raises(LineDown):
                await waiting


@pytest.mark.parametrize("host", ["nosuch.invalid", "x" * 70, ""])
async def test_a_host_that_cannot_be_reached_is_explained(tcp_slave, host: str) -> None:
    if not host:
        await tcp_slave.stop()
    async with bus_on(tcp_slave.spec(host=host or "127.0.0.1")) as bus:
        for _ in range(2):
            with pytest.raises(LineDown, match=r"is not known \(." if host else "refuses connections: is"):
                await bus.read(1, H, 0, 1)


async def test_a_tcp_server_that_goes_and_comes_is_used_again(tcp_slave) -> None:
    tcp_slave.units.registers[1] = {0: 1}
    async with bus_on(tcp_slave.spec()) as bus:
        assert await bus.read(1, H, 0, 1) == (1,)
        session, port = bus.session(1), tcp_slave.port
        await tcp_slave.stop()
        with pytest.raises(LineDown):
            await bus.read(1, H, 0, 1)
        await tcp_slave.start(port)
        await until(lambda: bus.statistics.is_open)
        assert await bus.read(1, H, 0, 1) == (1,)
        assert bus.session(1) == session + 1


async def test_a_reply_with_another_transaction_id_is_passed_over(tcp_slave) -> None:
    tcp_slave.units.registers[1] = {0: 1}
    old = bytes.fromhex("0000000000050103020063")
    tcp_slave.twist_mbap = lambda number, pdu, normal: old + normal
    async with bus_on(tcp_slave.spec()) as bus:
        assert await bus.read(1, H, 0, 1) == (1,)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda normal: normal[:6] + b"\x09" + normal[7:],
        lambda normal: normal[:7] + b"\x04" + normal[8:],
        lambda normal: normal[:5] + b"\x05" + normal[6:8] + b"\x02" + normal[9:11],
    ],
    ids=["unit", "function", "byte count"],
)
async def test_a_tcp_reply_that_does_not_match_is_refused(tcp_slave, spoil) -> None:
    tcp_slave.units.registers[1] = {0: 1, 1: 2}
    tcp_slave.twist_mbap = lambda number, pdu, normal: spoil(normal)
    async with bus_on(tcp_slave.spec(timeout_s=0.1)) as bus:
        with pytest.raises(ProtocolError):
            await bus.read(1, H, 0, 2)


async def test_a_stream_that_is_no_modbus_costs_the_connection_only(tcp_slave) -> None:
    tcp_slave.units.registers[1] = {0: 1}
    tcp_slave.twist_mbap = lambda number, pdu, normal: b"HTTP/1.1 400 Bad Request" if number == 1 else normal
    async with bus_on(tcp_slave.spec()) as bus:
        with pytest.raises(LineDown, match="not Modbus"):
            await bus.read(1, H, 0, 1)
        await until(lambda: bus.statistics.is_open)
        assert await bus.read(1, H, 0, 1) == (1,)


async def test_a_connection_over_which_nothing_comes_is_opened_again(tcp_slave) -> None:
    async with bus_on(tcp_slave.spec(timeout_s=0.05)) as bus:
        for _ in range(3):
            with pytest.raises(ChargerUnreachable):
                await bus.read(1, H, 0, 1)
        await until(lambda: tcp_slave.accepted == 2)


async def test_a_gateway_that_answers_for_a_silent_unit_does_not_prove_life(tcp_slave) -> None:
    tcp_slave.units.registers[1] = {0: 1}
    tcp_slave.twist_mbap = lambda number, pdu, normal: normal[:5] + b"\x03\x01\x83\x0b"
    async with bus_on(tcp_slave.spec()) as bus:
        with pytest.raises(NoAnswer):
            await bus.read(1, H, 0, 1)
        assert bus.statistics.units[1].state is UnitState.SUSPECT


async def test_closing_the_bus_fails_what_waits(pty_slave) -> None:
    bus = Bus(pty_slave.spec(timeout_s=5))
    waiting = [asyncio.create_task(bus.read(1, H, a, 1)) for a in range(3)]
    await until(lambda: len(pty_slave.units.requests) == 1)
    await bus.close()
    for failed in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(failed, LineDown)
    with pytest.raises(LineDown):
        await bus.read(1, H, 0, 1)


async def test_a_caller_that_gives_up_does_not_disturb_the_transaction(pty_slave) -> None:
    units = pty_slave.units
    units.registers[1] = {0: 1, 1: 2}
    units.twist = lambda number, frame, normal: [(0.05, normal)]
    async with bus_on(pty_slave.spec()) as bus:
        first = asyncio.create_task(bus.read(1, H, 0, 1))
        await until(lambda: len(units.requests) == 1)
        first.cancel()
        assert await bus.read(1, H, 1, 1) == (2,)


async def test_the_queue_is_bounded(pty_slave) -> None:
    async with bus_on(pty_slave.spec(timeout_s=5)) as bus:
        waiting = [asyncio.create_task(bus.read(1, H, 0, 1)) for _ in range(600)]
        await until(lambda: any(task.done() for task in waiting))
        refused = [task for task in waiting if task.done()]
        assert refused and all("too many requests" in str(task.exception()) for task in refused)
        await bus.close()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_request_that_waits_for_the_silence_of_the_line_is_told_when_the_bus_is_closed(pty_slave) -> None:
    async with bus_on(pty_slave.spec(baudrate=300)) as bus:
        asked = asyncio.create_task(bus.read(1, H, 0, 1))
        await until(lambda: bus.statistics.is_open)
        await bus.close()
        with pytest.raises(LineDown):
            async with asyncio.timeout(30):
                await asked


async def test_statistics_tell_what_the_line_does(pty_slave) -> None:
    pty_slave.units.registers[1] = {0: 1}
    pty_slave.units.twist = lambda number, frame, normal: [(0.01, normal)]
    async with bus_on(pty_slave.spec()) as bus:
        for _ in range(10):
            await bus.read(1, H, 0, 1)
        seen = bus.statistics
        assert (seen.requests, seen.timeouts, seen.is_open) == (10, 0, True)
        assert seen.turnaround_p50_s is not None and seen.turnaround_p50_s > 0.005
        assert 0 < seen.utilisation <= 1
        assert "status" in seen.longest_wait_s


def test_a_spec_knows_the_times_of_its_line() -> None:
    slow = BusSpec(kind=LineKind.SERIAL, port="/dev/a", baudrate=9600, parity="even")
    assert slow.character_s == pytest.approx(11 / 9600)
    assert slow.silence_s == pytest.approx(0.00401, abs=1e-5)
    fast = BusSpec(kind=LineKind.SERIAL, port="/dev/a", baudrate=57_600)
    assert fast.silence_s == 0.00175
    assert fast.character_s == pytest.approx(10 / 57_600)


@pytest.mark.parametrize("wrong", [{"kind": LineKind.SERIAL}, {"kind": LineKind.TCP}])
def test_a_spec_without_its_place_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError):
        BusSpec(**wrong)


def test_every_error_of_a_line_is_a_charger_error() -> None:
    assert all(issubclass(error, ChargerError) for error in (LineDown, NoAnswer, ProtocolError, ExceptionReply))
