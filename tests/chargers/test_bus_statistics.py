"""What a line says of itself: each figure on an example that was worked out by hand, and that nothing is kept for ever.

The examples: 19,200 baud 8E1, reads of 20 registers. A character is 11/19200 s, the silence t3.5 is 3.5 of them, a
read has 8 + 45 characters. With a turnaround of 20 ms it takes 52.4 ms at least, 34.4 ms with a unit that answers after
t3.5 (the facts of the field bus, formula and table).
"""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from datetime import UTC, datetime
from random import Random

import pytest

from edged.chargers.bus import Bus
from edged.chargers.bus_report import LineSign, brief, report
from edged.chargers.bus_statistics import ENOUGH_TRANSACTIONS, BusStatistics, Recorder
from edged.chargers.job_queue import Job, JobQueue, Priority
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import NoAnswer, Read, Request, Table, Write, rtu_frame
from edged.chargers.unit_health import UnitHealth, UnitState
from edged.ports import ChargerUnreachable
from tests.fakes.virtual_loop import MemoryPipe, handing_out, run_virtually

SERIAL = BusSpec(kind=LineKind.SERIAL, port="/dev/ttyUSB0", baudrate=19_200, parity="even")
CHARACTER_S, SILENCE_S = 11 / 19_200, 3.5 * 11 / 19_200
FRAMES_S = 53 * CHARACTER_S
TURNAROUND_S = 0.02
LEAST_S = FRAMES_S + TURNAROUND_S + SILENCE_S
STATUS = Read(table=Table.HOLDING, address=0, count=20)
NOON = datetime(2026, 8, 22, 12, tzinfo=UTC)


class Line:
    """A recorder told of transactions one after the other; `now` is when the last one ended."""

    def __init__(self, spec: BusSpec = SERIAL, *, opened_at: float = 0.0) -> None:
        self.units = {unit_id: UnitHealth(Random(1)) for unit_id in range(1, 17)}
        self.recorder = Recorder(spec, self.units)
        self.recorder.line_opened(opened_at)
        self.now = opened_at

    def job(self, unit_id: int, request: Request, priority: Priority, queued_at: float) -> Job:
        return Job(unit_id=unit_id, request=request, priority=priority, queued_at=queued_at, expires_at=queued_at + 10)

    def good(
        self,
        unit_id: int = 1,
        *,
        queued_at: float | None = None,
        started: float | None = None,
        request: Request = STATUS,
        priority: Priority = Priority.STATUS,
        took_s: float = FRAMES_S + TURNAROUND_S,
        turnaround_s: float = TURNAROUND_S,
        gap_s: float = SILENCE_S,
    ) -> None:
        """As soon as the silence is over, of a request that was waiting, unless told otherwise."""
        start = self.now + SILENCE_S if started is None else started
        job = self.job(unit_id, request, priority, self.now if queued_at is None else queued_at)
        unit = self.units[unit_id]
        self.recorder.begins(job, unit, start)
        self.now = start + took_s
        unit.requests += 1
        unit.answered(self.now, turnaround_s)
        self.recorder.answered(job, turnaround_s)
        self.recorder.transaction(start, self.now, unit=unit, gap_s=gap_s)
        unit.ready_at = self.now + gap_s

    def silent(self, unit_id: int, took_s: float) -> None:
        start, unit = self.now + SILENCE_S, self.units[unit_id]
        self.recorder.begins(self.job(unit_id, STATUS, Priority.STATUS, self.now), unit, start)
        self.now = start + took_s
        unit.requests += 1
        unit.timeouts += 1
        unit.failed(self.now)
        self.recorder.transaction(start, self.now, unit=unit, gap_s=SILENCE_S)

    def told(self, at: float | None = None) -> BusStatistics:
        now = self.now if at is None else at
        units = {unit_id: unit.statistics(now) for unit_id, unit in self.units.items() if unit.requests}
        return self.recorder.snapshot(wire=None, down_reason="", queue=JobQueue(), units=units, now=now)


# --- shares


def test_a_line_without_a_pause_too_many_is_at_the_wires_limit() -> None:
    line = Line()
    for _ in range(20):
        line.good()
    told = line.told()
    assert pytest.approx(0.0524, abs=5e-5) == LEAST_S
    assert told.efficiency == pytest.approx(1.0)
    assert told.wire_efficiency == pytest.approx(0.0344 / 0.0524, abs=0.001)
    assert told.utilisation == pytest.approx(1.0, abs=0.003)  # the silence of the opening came before


def test_what_is_lost_between_the_frames_is_missing_in_the_efficiency() -> None:
    line = Line()
    for _ in range(20):
        line.good(started=line.now + SILENCE_S + 0.01)
    assert line.told().efficiency == pytest.approx(LEAST_S / (LEAST_S + 0.01))


def test_a_line_with_nothing_to_do_loses_no_efficiency() -> None:
    line = Line()
    for _ in range(20):
        line.good(queued_at=line.now + 1, started=line.now + 1)
    told = line.told()
    assert told.efficiency == pytest.approx(1.0)
    assert told.utilisation == pytest.approx(LEAST_S / (1 + LEAST_S), abs=0.004)


def test_a_pause_that_a_unit_asks_for_is_no_loss_of_the_line() -> None:
    line = Line()
    for _ in range(20):
        line.good(started=max(line.now + SILENCE_S, line.units[1].ready_at))
        line.units[1].ready_at = line.now + 0.1
    assert line.told().efficiency == pytest.approx(1.0)


def test_a_pause_that_the_whole_line_must_keep_counts_as_the_wires_own() -> None:
    line = Line()
    for _ in range(20):
        line.good(started=line.now + 0.1, gap_s=0.1)
    told = line.told()
    assert told.efficiency is not None and told.efficiency > 0.96  # the first one kept the silence only, and waited
    assert told.utilisation == pytest.approx(1.0, abs=0.05)


def test_a_write_has_its_own_length() -> None:
    line = Line()
    one, several = 16 * CHARACTER_S, (9 + 6 + 8) * CHARACTER_S
    for _ in range(10):
        line.good(request=Write(table=Table.HOLDING, address=1, values=(1,)), took_s=one + TURNAROUND_S)
        line.good(
            request=Write(table=Table.HOLDING, address=1, values=(1, 2, 3), multiple=True),
            took_s=several + TURNAROUND_S,
        )
    assert line.told().efficiency == pytest.approx(1.0)


def test_a_few_transactions_say_nothing_of_the_efficiency() -> None:
    line = Line()
    for _ in range(ENOUGH_TRANSACTIONS - 1):
        line.good()
    assert line.told().efficiency is None and line.told().wire_efficiency is None
    line.good()
    assert line.told().efficiency == pytest.approx(1.0)


@pytest.mark.parametrize("kind", [LineKind.TCP, LineKind.RTU_OVER_TCP])
def test_a_network_has_no_limit_of_a_wire(kind: LineKind) -> None:
    line = Line(BusSpec(kind=kind, host="10.0.0.1"))
    for _ in range(30):
        line.good()
    told = line.told()
    assert (told.efficiency, told.wire_efficiency) == (None, None)
    assert told.utilisation > 0.9


def test_shares_are_of_the_last_minute() -> None:
    line = Line()
    for _ in range(100):
        line.good()
    busy_s = line.now - SILENCE_S
    assert line.told(30.0).utilisation == pytest.approx(busy_s / 30, rel=0.01)
    assert line.told(59.0).utilisation == pytest.approx(busy_s / 59, rel=0.01)
    gone = line.told(70.0)
    assert (gone.utilisation, gone.efficiency) == (0.0, None)


def test_silent_units_time_is_told_apart() -> None:
    line = Line()
    for _ in range(3):
        line.silent(2, 0.5)  # it dies of the third
    assert line.units[2].state is UnitState.DEAD
    line.silent(2, 0.5)
    line.good(started=line.now + SILENCE_S, took_s=8.0 - line.now - SILENCE_S)
    told = line.told(8.0)
    assert told.failed_share == pytest.approx(2.0 / 8, rel=0.02)
    assert told.dead_share == pytest.approx(0.5 / 8, rel=0.02)


def test_a_refusal_is_an_answer() -> None:
    line = Line()
    unit, start = line.units[1], SILENCE_S
    line.recorder.begins(line.job(1, STATUS, Priority.STATUS, 0.0), unit, start)
    unit.answered(start + 0.03, None)
    line.recorder.transaction(start, start + 0.03, unit=unit, gap_s=SILENCE_S)
    told = line.told(1.0)
    assert told.failed_share == 0 and told.utilisation > 0.03


# --- waits


def test_waits_are_told_by_class_with_the_longest() -> None:
    line = Line()
    for n in range(20):
        line.good(queued_at=line.now, started=line.now + 0.01 * (n + 1))
    line.good(priority=Priority.STOP, queued_at=line.now, started=line.now + 0.002)
    told = line.told()
    assert set(told.waits) == {"status", "stop"}
    waits = told.waits["status"]
    assert (waits.p50_s, waits.p95_s, waits.longest_s) == pytest.approx((0.11, 0.20, 0.20))
    assert told.waits["stop"].longest_s == pytest.approx(0.002)
    assert told.longest_wait_s["status"] == pytest.approx(0.2)


def test_the_longest_wait_outlives_the_samples_but_not_its_window() -> None:
    line = Line()
    line.good(queued_at=0.0, started=5.0)
    for _ in range(600):
        line.good()
    waits = line.told().waits["status"]
    assert (waits.longest_s, waits.p95_s) == pytest.approx((5.0, SILENCE_S))
    assert line.told(299.0).waits["status"].longest_s == pytest.approx(5.0)
    later = line.told(301.0).waits["status"]
    assert later.longest_s == pytest.approx(SILENCE_S)
    assert line.told(line.now + 311.0).waits == {}


def test_old_waits_are_no_part_of_the_percentiles() -> None:
    line = Line()
    for _ in range(9):
        line.good(queued_at=line.now, started=line.now + 1)
    line.good(queued_at=290.0, started=290.5)
    assert line.told().waits["status"].p50_s == pytest.approx(1.0)
    assert line.told(320.0).waits["status"].p50_s == pytest.approx(0.5)


def test_nothing_was_waited_for_before_the_first_request() -> None:
    assert Line().told(0.0).waits == {}


# --- cycles


def rounds(line: Line, units: dict[int, float], count: int, *, every_s: float = 1.0) -> None:
    """Each unit is read at its place of each round."""
    begin = line.now
    for n in range(count):
        for unit_id, offset in units.items():
            at = begin + n * every_s + offset
            line.good(unit_id, queued_at=at, started=at)


def test_a_cycle_is_the_time_in_which_everybody_was_read_once() -> None:
    line = Line()
    rounds(line, {1: 0.0, 2: 0.2, 3: 0.4}, 10)
    told = line.told()
    assert (told.cycle_p50_s, told.cycle_p95_s) == pytest.approx((1.0, 1.0))


def test_the_slowest_unit_makes_the_cycle() -> None:
    line = Line()
    for n in range(80):
        line.good(1, queued_at=float(n + 1), started=float(n + 1))
        if n % 5 == 0:
            line.good(2, queued_at=n + 1.5, started=n + 1.5)
    assert line.told().cycle_p50_s == pytest.approx(5.0)


def test_several_reads_for_one_status_are_one_round() -> None:
    line = Line()
    second = Read(table=Table.HOLDING, address=100, count=4)
    for n in range(10):
        for unit_id, offset in ((1, 0.0), (2, 0.4)):
            for place, request in enumerate((STATUS, second)):
                at = n + offset + 0.1 * place + 1
                line.good(unit_id, queued_at=at, started=at, request=request)
    told = line.told()
    assert (told.cycle_p50_s, told.cycle_p95_s) == pytest.approx((1.0, 1.0))


def test_a_read_that_is_planned_anew_is_followed() -> None:
    line = Line()
    other = Read(table=Table.HOLDING, address=0, count=8)
    rounds(line, {1: 0.0, 2: 0.2}, 5)
    begin = line.now + 0.5
    for n in range(10):
        line.good(1, queued_at=begin + n, started=begin + n, request=other)
        line.good(2, queued_at=begin + n + 0.2, started=begin + n + 0.2)
    assert line.told().cycle_p50_s == pytest.approx(1.0)
    lengths = line.recorder._cycles.lengths(-1.0)
    assert len(lengths) >= 11 and max(lengths) < 3.0


def test_a_unit_that_falls_silent_is_waited_for_no_more() -> None:
    line = Line()
    rounds(line, {1: 0.0, 2: 0.2}, 5)
    for _ in range(3):
        line.silent(2, 0.1)
    before = len(line.recorder._cycles.lengths(-1.0))
    rounds(line, {1: 0.5}, 5)
    assert len(line.recorder._cycles.lengths(-1.0)) == before + 5


def test_a_unit_that_was_read_only_once_makes_no_cycle_wait() -> None:
    line = Line()
    line.good(9, queued_at=0.1, started=0.1)  # a search asked it
    rounds(line, {1: 0.0, 2: 0.2}, 5)
    assert line.told().cycle_p50_s == pytest.approx(1.0)


def test_a_unit_that_nobody_reads_any_more_is_let_go() -> None:
    line = Line()
    rounds(line, {1: 0.0, 2: 0.2, 3: 0.4}, 5)
    before = len(line.recorder._cycles.lengths(-1.0))
    rounds(line, {1: 0.0, 2: 0.2}, 100)
    told = line.recorder._cycles.lengths(-1.0)
    assert len(told) > before + 30
    assert told[-1] == pytest.approx(1.0)


def test_only_the_status_makes_a_cycle() -> None:
    line = Line()
    for _ in range(20):
        line.good(priority=Priority.METER)
        line.good(priority=Priority.STATUS, request=Write(table=Table.HOLDING, address=1, values=(1,)))
    assert line.told().cycle_p50_s is None


def test_the_time_in_which_a_line_was_down_is_no_cycle() -> None:
    line = Line()
    rounds(line, {1: 0.0}, 5)
    line.recorder.line_lost(line.now)
    line.recorder.line_opened(line.now + 40)
    line.now += 40
    rounds(line, {1: 0.0}, 5)
    assert max(line.recorder._cycles.lengths(-1.0)) == pytest.approx(1.0)


def test_an_hour_in_which_nobody_was_there_is_no_cycle() -> None:
    line = Line()
    rounds(line, {1: 0.0}, 5)
    for _ in range(3):
        line.silent(1, 0.1)
    line.now += 3600
    rounds(line, {1: 0.0}, 5)
    assert max(line.recorder._cycles.lengths(-1.0)) == pytest.approx(1.0)


def test_a_time_with_nobody_to_wait_for_is_no_cycle() -> None:
    line = Line()
    rounds(line, {1: 0.0}, 5)
    for _ in range(3):
        line.silent(1, 0.1)
    line.now += 30
    rounds(line, {2: 0.0}, 5)
    assert max(line.recorder._cycles.lengths(-1.0)) == pytest.approx(1.0)


def test_cycles_are_forgotten() -> None:
    line = Line()
    rounds(line, {1: 0.0}, 5)
    assert line.told().cycle_p50_s is not None
    assert line.told(line.now + 301).cycle_p50_s is None


# --- the line and its units


def test_a_line_says_since_when_it_is_up_or_down_and_how_often_it_went() -> None:
    line = Line(opened_at=10.0)
    line.recorder.line_closed(strays=3)
    line.recorder.line_lost(70.0)
    line.recorder.line_down(75.0)
    told = line.told(100.0)
    assert (told.opened, told.lost, told.in_state_s, told.strays) == (1, 1, 30.0, 3)
    line.recorder.line_opened(110.0)
    assert line.told(112.0).in_state_s == 2.0


def test_a_line_that_never_opened_is_down_since_the_first_attempt() -> None:
    recorder = Recorder(SERIAL, {})
    empty = {"wire": None, "down_reason": "no such port", "queue": JobQueue(), "units": {}}
    assert recorder.snapshot(**empty, now=5.0).in_state_s is None
    recorder.line_down(5.0)
    recorder.line_down(6.0)
    assert recorder.snapshot(**empty, now=9.0).in_state_s == 4.0


def test_a_unit_says_when_it_was_heard_and_when_it_is_tried_next() -> None:
    line = Line()
    line.good(1)
    for _ in range(3):
        line.silent(1, 0.5)
    line.recorder.retried(1)
    told = line.told(line.now + 0.25).units[1]
    assert told.state is UnitState.DEAD and told.retries == 1
    assert told.next_try_s == pytest.approx(line.units[1].retry_at - line.now - 0.25)
    assert told.last_answer_s == pytest.approx(1.5 + 3 * SILENCE_S + 0.25)
    assert line.told(line.now + 100).units[1].next_try_s == 0.0


def test_nothing_is_kept_for_ever() -> None:
    line = Line()

    def serve(count: int) -> None:
        for n in range(count):
            line.good(n % 16 + 1, request=Read(table=Table.HOLDING, address=n % 5000, count=2))

    serve(6_000)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        serve(6_000)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 250_000  # what was there before is replaced by as much, and only the new half is seen


def test_many_transactions_keep_the_figures_right() -> None:
    line = Line()
    for n in range(20_000):
        line.good(n % 16 + 1)
    told = line.told()
    assert told.efficiency == pytest.approx(1.0) and told.utilisation == pytest.approx(1.0, abs=0.01)
    assert told.cycle_p50_s == pytest.approx(16 * LEAST_S)


# --- told to people and programs


def test_a_report_names_the_chargers_and_the_moment() -> None:
    line = Line(opened_at=0.0)
    line.good(3)
    sign = LineSign("yard")
    for name in ("left", "left", "right"):
        sign.add(3, name)
    told = json.loads(json.dumps(report(line.told(60.0), SERIAL, sign, utc=NOON)))
    assert (told["name"], told["since"]) == ("yard", "2026-08-22T11:59:00+00:00")
    assert told["units"]["3"]["chargers"] == ["left", "right"]
    assert told["units"]["3"]["turnaround_p50_s"] == 0.02
    assert told["settings"]["baudrate"] == 19_200 and told["settings"]["character_s"] == 0.000573
    assert told["waits"]["status"]["p50_s"] == 0.002
    assert set(told) - set(brief(told)) == {"settings"}


def test_a_report_of_a_network_line_says_where_it_leads() -> None:
    spec = BusSpec(kind=LineKind.TCP, host="10.0.0.1", tcp_port=503)
    told = report(Line(spec).told(0.0), spec, LineSign(), utc=NOON)
    assert told["settings"] == {"kind": "tcp", "host": "10.0.0.1", "tcp_port": 503}
    assert told["name"] is None and told["units"] == {}


# --- a bus in virtual time


def test_a_served_line_tells_of_itself() -> None:
    async def scene() -> dict[str, BusStatistics]:
        def answer(pipe: MemoryPipe, frame: bytes) -> None:
            if frame[0] == 1:
                sent_s = len(frame) * CHARACTER_S
                reply = rtu_frame(1, bytes((3, 40, *([0] * 40))))
                pipe.feed(reply, after_s=sent_s + TURNAROUND_S, character_s=CHARACTER_S, chunk=64)

        pipe, second = MemoryPipe(answer), MemoryPipe(answer)
        bus = Bus(SERIAL, connect=handing_out(pipe, second), rng=Random(1))
        for _ in range(20):
            await bus.read(1, Table.HOLDING, 0, 20)
        found = {"busy": bus.statistics}
        for _ in range(2):
            with pytest.raises(NoAnswer):
                await bus.read(2, Table.HOLDING, 0, 20)
        with pytest.raises(NoAnswer):
            await bus.read(2, Table.HOLDING, 0, 20)
        found["silent"] = bus.statistics
        pipe.lose()
        with pytest.raises(ChargerUnreachable):
            await bus.read(1, Table.HOLDING, 0, 20)
        async with asyncio.timeout(60):
            while not bus.statistics.is_open:
                await asyncio.sleep(0.1)
        found["again"] = bus.statistics
        await bus.close()
        return found

    found = run_virtually(scene())
    busy, silent, again = found["busy"], found["silent"], found["again"]
    assert busy.efficiency is not None and busy.efficiency > 0.97
    assert busy.wire_efficiency == pytest.approx(0.0344 / 0.0524, abs=0.02)
    assert busy.cycle_p50_s == pytest.approx(LEAST_S, rel=0.02)
    assert busy.units[1].last_answer_s == pytest.approx(0.0, abs=0.01)
    assert silent.units[2].state is UnitState.DEAD and silent.units[2].next_try_s is not None
    assert 0 < silent.units[2].next_try_s <= 1.2 and silent.units[2].last_answer_s is None
    assert silent.failed_share > 0.3
    assert (again.opened, again.lost) == (2, 1)
    assert again.in_state_s is not None and again.in_state_s < 1.0
