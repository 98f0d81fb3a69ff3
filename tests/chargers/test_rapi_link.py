"""One RAPI line: pairing, noise, events, silence, loss. Time is virtual but where the line is a real pty."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edged.chargers.job_queue import Priority
from edged.chargers.line import BusSpec, LineDown, LineKind
from edged.chargers.modbus import CrcError, NoAnswer, ProtocolError
from edged.chargers.moments import moment
from edged.chargers.rapi.frames import Event, Reply
from edged.chargers.rapi.link import PATIENCE_S, Link
from edged.chargers.unit_health import UnitState
from edged.ports import ChargerUnreachable
from tests.fakes.controller import SPEC, Controller, PtyController, frame
from tests.fakes.virtual_loop import MemoryPipe, handing_out, run_virtually


def virtually(scene: Callable[..., Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        run_virtually(scene())

    test.__name__ = scene.__name__
    return test


@asynccontextmanager
async def link_to(controller: Controller, spec: BusSpec = SPEC, **options: Any) -> AsyncIterator[Link]:
    link = Link(spec, **{"connect": controller.connect, "rng": Random(1), **options})
    try:
        yield link
    finally:
        await link.close()


async def until(holds: Callable[[], bool]) -> None:
    """Real time: bounded polling."""
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


@virtually
async def test_an_answer_is_what_came_with_the_id_of_its_request() -> None:
    async with link_to(Controller()) as link:
        assert await link.ask("GS") == Reply(True, ("01", "0", "01", "0000"), 1)
        assert (await link.ask("G5")).is_ok is False
        assert link.statistics.units[0].exceptions == 1


@virtually
async def test_a_late_reply_is_never_the_answer_to_the_next_request() -> None:
    controller = Controller()
    controller.spoil = lambda request, sequence, reply: [(0.7, reply)] if request == "GE" else None
    async with link_to(controller) as link:
        with pytest.raises(NoAnswer):
            await link.ask("GE")
        controller.spoil = lambda request, sequence, reply: [(0.3, reply)]
        assert (await link.ask("GS")).values[0] == "01"
        assert link.statistics.strays == 1


@virtually
async def test_a_reply_that_comes_twice_answers_once() -> None:
    controller = Controller()
    controller.spoil = lambda request, sequence, reply: [(0.004, reply), (0.004, reply)]
    async with link_to(controller) as link:
        for _ in range(4):
            assert (await link.ask("GS")).values[0] == "01"
            assert (await link.ask("GE")).values[0] == "16"
        await asyncio.sleep(0.1)
        assert link.statistics.strays == 8


@virtually
async def test_every_id_comes_and_zero_never_does() -> None:
    controller, ids = Controller(), []
    controller.spoil = lambda request, sequence, reply: ids.append(sequence)  # type: ignore[func-returns-value]
    async with link_to(controller) as link:
        for _ in range(256):
            await link.ask("GS")
    assert [int(each, 16) for each in ids] == [*range(1, 256), 1]


@virtually
async def test_events_before_the_reply_are_told_at_once_and_in_order() -> None:
    controller, told = Controller(), []
    events = [frame("AT 02 02 16 0100"), frame("AB 00 8.2.3"), frame("WF 01")]
    controller.spoil = lambda request, sequence, reply: [(0.001 * i, e) for i, e in enumerate((*events, reply), 1)]
    async with link_to(controller) as link:
        link.listen(told.append)
        reply = asyncio.ensure_future(link.ask("GS"))
        while len(told) < 3:
            await asyncio.sleep(0.0001)
        assert not reply.done()
        assert (await reply).values[0] == "01"
    assert told == [Event("AT", ("02", "02", "16", "0100")), Event("AB", ("00", "8.2.3")), Event("WF", ("01",))]


@virtually
async def test_an_event_is_told_while_nobody_asks() -> None:
    controller, told = Controller(), asyncio.Queue[Event]()
    async with link_to(controller) as link:
        link.listen(told.put_nowait)
        await link.ask("GS")
        controller.say(frame("AB 00 8.2.3"), 3600.0)
        assert await told.get() == Event("AB", ("00", "8.2.3")) and moment() > 3600


@virtually
async def test_a_damaged_reply_is_none_and_a_question_is_asked_again() -> None:
    controller = Controller()
    async with link_to(controller) as link:
        await link.ask("GS")
        spoilt = iter([[(0.004, frame("OK 03 0 03 0140").replace(b"03", b"02", 1))]])
        controller.spoil = lambda request, sequence, reply: next(spoilt, None)
        before = moment()
        assert (await link.ask("GS")).values[0] == "01"
        assert link.statistics.crc_errors == 1 and link.statistics.retries == 1
        assert moment() - before < 0.2, "what is damaged is not waited for as what is late"


@virtually
async def test_a_damaged_event_before_the_reply_costs_nothing() -> None:
    controller = Controller()
    async with link_to(controller) as link:
        await link.ask("GS")
        controller.spoil = lambda request, sequence, reply: [(0.004, frame("AT 02 02")[:-3] + b"\r"), (0.05, reply)]
        assert (await link.ask("GS")).values[0] == "01"
        assert link.statistics.retries == 0


@virtually
async def test_a_controller_that_is_only_heard_damaged_is_told_as_such() -> None:
    controller = Controller()
    controller.spoil = lambda request, sequence, reply: [(0.004, reply[:-2] + b"x\r")]
    async with link_to(controller) as link:
        for _ in range(5):
            with pytest.raises(CrcError, match="damaged"):
                await link.ask("GS")
        assert link.statistics.units[0].state is UnitState.SUSPECT


@virtually
async def test_a_reply_without_its_id_is_none_and_told_as_such() -> None:
    controller = Controller()
    controller.spoil = lambda request, sequence, reply: [(0.004, frame("OK 03 0 03 0140"))]
    async with link_to(controller) as link:
        with pytest.raises(ProtocolError, match="without its sequence id"):
            await link.ask("GS")


@virtually
async def test_what_was_written_is_never_written_again_by_the_line() -> None:
    controller = Controller(FE=None)
    async with link_to(controller) as link:
        await link.ask("GS")
        with pytest.raises(NoAnswer):
            await link.ask("FE", priority=Priority.COMMAND)
    assert controller.written == ["FE"]


@virtually
async def test_noise_and_our_own_echo_around_a_reply_change_nothing() -> None:
    controller = Controller()
    noise = bytes(range(256)).replace(b"$", b"")

    def spoil(request: str, sequence: str, reply: bytes) -> list[tuple[float, bytes]]:
        return [(0.004, frame(request, sequence) + noise + b"$GS" + reply + noise)]

    controller.spoil = spoil
    async with link_to(controller) as link:
        for _ in range(3):
            assert (await link.ask("GS")).values[0] == "01"


@virtually
async def test_a_silent_controller_is_tried_ever_more_rarely_but_for_commands() -> None:
    controller = Controller(GS=None, FS=None)
    async with link_to(controller) as link:
        for _ in range(3):
            with pytest.raises(NoAnswer):
                await link.ask("GS")
        assert link.statistics.units[0].state is UnitState.DEAD
        before = len(controller.heard)
        with pytest.raises(NoAnswer, match="next try in"):
            await link.ask("GS")
        assert len(controller.heard) == before
        with pytest.raises(NoAnswer):
            await link.ask("FS", priority=Priority.STOP)
        assert controller.heard[-1] == "FS"
        session = link.session
        controller.replies["GS"] = "OK 01 0 01 0000"
        await asyncio.sleep(10)
        await link.ask("GS")
        assert link.statistics.units[0].state is UnitState.ONLINE and link.session == session + 1


@virtually
async def test_a_line_tells_its_rounds_and_what_silence_costs() -> None:
    controller = Controller()
    async with link_to(controller) as link:
        for _ in range(20):
            await link.ask("GS")
            await link.ask("GE")
            await link.ask("GG", priority=Priority.METER)
            await asyncio.sleep(1.0)
        told = link.statistics
        assert told.cycle_p50_s == pytest.approx(1.0, abs=0.1) and told.failed_share == 0.0
        assert 0 < told.utilisation < 0.1 and told.efficiency is None
        controller.spoil = lambda request, sequence, reply: [(0.0, b"")]
        for _ in range(20):
            with pytest.raises(NoAnswer):
                await link.ask("GS")
            await asyncio.sleep(1.0)
        told = link.statistics
        assert told.failed_share > 0.02 and told.failed_share == pytest.approx(told.utilisation, rel=0.1)
        assert 0 < told.dead_share < told.failed_share


@virtually
async def test_a_forgiving_question_does_not_make_a_controller_silent() -> None:
    async with link_to(Controller(GS=None)) as link:
        for _ in range(5):
            with pytest.raises(NoAnswer):
                await link.ask("GS", forgiving=True)
        assert link.statistics.units[0].state is not UnitState.DEAD


@virtually
async def test_a_forgiving_question_is_asked_once() -> None:
    controller = Controller()
    async with link_to(controller) as link:
        await link.ask("GS")
        controller.replies["GS"] = None
        with pytest.raises(NoAnswer):
            await link.ask("GS", forgiving=True)
    assert controller.heard == ["GS", "GS"]


@virtually
async def test_the_most_urgent_goes_first_and_one_at_a_time() -> None:
    controller = Controller()
    controller.spoil = lambda request, sequence, reply: [(0.1, reply)]
    async with link_to(controller) as link:
        asked = [
            asyncio.ensure_future(link.ask("GS")),
            asyncio.ensure_future(link.ask("GP", priority=Priority.METER)),
            asyncio.ensure_future(link.ask("SY", priority=Priority.KEEP_ALIVE)),
            asyncio.ensure_future(link.ask("FE", priority=Priority.COMMAND)),
            asyncio.ensure_future(link.ask("FS", priority=Priority.STOP)),
        ]
        await asyncio.wait(asked)
    assert controller.heard == ["FS", "FE", "SY", "GS", "GP"]
    gaps = [b - a for a, b in pairwise(controller.at)]
    assert min(gaps) >= 0.1


@virtually
async def test_nobody_waits_for_ever_behind_a_silent_controller() -> None:
    controller = Controller(GS=None)
    async with link_to(controller) as link:
        asked = [asyncio.ensure_future(link.ask("GS", priority=Priority.COMMAND)) for _ in range(40)]
        await asyncio.wait(asked)
        assert all(isinstance(each.exception(), ChargerUnreachable) for each in asked)
        assert moment() < PATIENCE_S + 2 and link.statistics.expired > 0


@virtually
async def test_more_than_the_line_can_bear_is_refused_at_once() -> None:
    controller = Controller(GS=None)
    async with link_to(controller) as link:
        asked = [asyncio.ensure_future(link.ask("GS", priority=Priority.COMMAND)) for _ in range(100)]
        await asyncio.wait(asked)
        assert link.statistics.refused == 36


@virtually
async def test_what_a_controller_could_not_take_in_is_never_sent() -> None:
    controller = Controller()
    async with link_to(controller) as link:
        with pytest.raises(ValueError, match="longer than a controller can take in"):
            await link.ask("FP", "0", "0", "more-than-a-display")
    assert controller.heard == []


@virtually
async def test_a_line_that_is_lost_in_the_middle_of_a_frame_is_opened_again() -> None:
    controller = Controller()

    def cut(request: str, sequence: str, reply: bytes) -> None:
        pipe.feed(reply[:7])
        pipe.lose("the adapter was unplugged")

    pipe, rest = controller.pipe(), Controller()
    controller.spoil = cut
    pipes = iter([pipe, None])

    async def connect(spec: BusSpec) -> MemoryPipe:
        found = next(pipes, None)
        if found is None:
            return rest.pipe()
        return found

    async with link_to(controller, connect=connect) as link:
        session = link.session
        with pytest.raises(LineDown, match="unplugged"):
            await link.ask("GS")
        await asyncio.sleep(1)
        # the rest of the frame that was begun on the old line belongs to nothing
        assert (await link.ask("GS")).values[0] == "01"
        assert link.session != session
        assert link.statistics.opened == 2 and link.statistics.lost == 1


@virtually
async def test_a_line_that_cannot_be_opened_fails_everybody_with_its_reason() -> None:
    async with link_to(Controller(), connect=handing_out()) as link:
        for _ in range(3):
            with pytest.raises(LineDown, match="no further pipe"):
                await link.ask("GS")
        assert not link.statistics.is_open and "no further pipe" in link.statistics.down_reason


@virtually
async def test_a_converter_that_hangs_up_at_once_is_not_tried_without_a_pause() -> None:
    opened = 0

    async def connect(spec: BusSpec) -> MemoryPipe:
        nonlocal opened
        opened += 1
        pipe = MemoryPipe()
        pipe.lose("the other side closed the connection")
        return pipe

    spec = BusSpec(kind=LineKind.RTU_OVER_TCP, host="10.0.0.40", tcp_port=4001)
    async with link_to(Controller(), spec, connect=connect) as link:
        with pytest.raises(LineDown):
            await link.ask("GS")
        await asyncio.sleep(60)
        assert 2 <= opened <= 20


@virtually
async def test_a_dead_connection_that_nobody_told_us_of_is_opened_again() -> None:
    controller = Controller(GS=None)
    spec = BusSpec(kind=LineKind.RTU_OVER_TCP, host="10.0.0.40", tcp_port=4001)
    async with link_to(controller, spec) as link:
        for _ in range(4):
            with pytest.raises(ChargerUnreachable):
                await link.ask("GS", priority=Priority.COMMAND)
            await asyncio.sleep(1)
        controller.replies["GS"] = "OK 01 0 01 0000"
        await asyncio.sleep(120)
        assert (await link.ask("GS")).is_ok and link.statistics.lost >= 1


@virtually
async def test_closing_fails_what_waits_and_what_comes() -> None:
    controller = Controller(GS=None)
    link = Link(SPEC, connect=controller.connect)
    asked = [asyncio.ensure_future(link.ask("GS")) for _ in range(3)]
    await asyncio.sleep(0.1)
    await link.close()
    await asyncio.wait(asked)
    assert all(isinstance(each.exception(), LineDown) for each in asked)
    with pytest.raises(LineDown):
        await link.ask("GS")


@virtually
async def test_whoever_gives_up_waiting_does_not_disturb_the_line() -> None:
    controller = Controller()
    controller.spoil = lambda request, sequence, reply: [(0.3, reply)]
    async with link_to(controller) as link:
        first, second = asyncio.ensure_future(link.ask("GS")), asyncio.ensure_future(link.ask("GE"))
        await asyncio.sleep(0.1)
        first.cancel()
        second.cancel()
        assert (await link.ask("GP")).values[0] == "251"
    assert controller.heard == ["GS", "GP"]


@virtually
async def test_random_bytes_never_become_an_answer_and_never_stop_the_line() -> None:
    rng, controller = Random(7), Controller()

    def spoil(request: str, sequence: str, reply: bytes) -> list[tuple[float, bytes]]:
        kind = rng.randrange(7)
        if kind == 0:
            return [(rng.random(), reply)]
        if kind == 1:
            return [(0.004, reply[: rng.randrange(len(reply))])]
        if kind == 2:
            spoilt = bytearray(reply)
            spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
            return [(0.004, bytes(spoilt))]
        if kind == 3:
            return [(0.004, rng.randbytes(40)), (0.01, reply)]
        if kind == 4:
            return [(0.004, reply), (rng.random(), reply)]
        if kind == 5:
            return [(0.002, frame("AT 02 02 16 0100")), (0.004, reply)]
        return [(0.004, reply)]

    truth = {"GS": "01", "GE": "16", "GP": "251", "GV": "8.2.3", "GC": "6", "GU": "0"}
    controller.spoil = spoil
    answered = 0
    async with link_to(controller) as link:
        for _ in range(3000):
            name = rng.choice(list(truth))
            try:
                reply = await link.ask(name, priority=Priority.COMMAND)
            except ChargerUnreachable:
                continue
            answered += 1
            assert reply.values[0] == truth[name]
    assert answered > 1500


# --- real lines


async def test_a_controller_on_a_real_line_is_unplugged_in_a_frame_and_plugged_in_again(tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO, "edged.chargers")
    box = PtyController(Controller(), str(tmp_path / "ttyUSB1"))
    told: list[Event] = []
    link = Link(box.spec)
    link.listen(told.append)
    try:
        assert (await link.ask("GS")).values[0] == "01"
        box.controller.spoil = lambda request, sequence, reply: [(0.0, reply[:5])]
        asked = asyncio.ensure_future(link.ask("GS"))
        await until(lambda: len(box.controller.heard) == 2)
        box.unplug()
        await asyncio.wait([asked])
        assert isinstance(asked.exception(), LineDown)
        with pytest.raises(LineDown):
            await link.ask("GS")
        box.controller.spoil = lambda request, sequence, reply: None
        box.plug_in()
        await until(lambda: link.statistics.is_open)
        assert (await link.ask("GS", priority=Priority.COMMAND)).values[0] == "01"
        box.controller.event("AB 00 8.2.3")
        await until(lambda: told == [Event("AB", ("00", "8.2.3"))])
    finally:
        await link.close()
        box.unplug()
    assert any("ttyUSB1" in record.message for record in caplog.records if record.levelno >= logging.WARNING)


async def test_a_second_master_on_the_port_is_refused(tmp_path: Path) -> None:
    box = PtyController(Controller(), str(tmp_path / "ttyUSB1"))
    first, second = Link(box.spec), Link(box.spec)
    try:
        await first.ask("GS")
        with pytest.raises(LineDown):
            await second.ask("GS")
        assert (await first.ask("GS")).is_ok
    finally:
        await first.close()
        await second.close()
        box.unplug()


async def test_a_controller_behind_a_converter_is_asked_in_its_bare_bytes() -> None:
    controller = Controller()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        controller.say = lambda data, after_s: writer.write(data)
        with suppress(ConnectionError):
            while data := await reader.read(100):
                controller.took(data)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    ended = asyncio.Event()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = Link(BusSpec(kind=LineKind.RTU_OVER_TCP, host="127.0.0.1", tcp_port=port))
    try:
        assert (await link.ask("GV")).values == ("8.2.3", "5.2.1")
    finally:
        await link.close()
        async with asyncio.timeout(30):
            await ended.wait()
        server.close()
        await server.wait_closed()
