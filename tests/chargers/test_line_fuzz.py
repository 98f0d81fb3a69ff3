"""Never a wrong value: edged's bus on lines that damage everything, in virtual time, judged by what units really did.

One seed is one run; a failing seed is in the test's name, and `SEED=n` reruns it alone. The laws of every run: no wrong
value, no wrong refusal and no write reported that was not done; nobody waits longer than the budget; everybody is told;
the counters add up; and once the storm is over every unit is read again. That these laws can be broken is shown by
mutants of the code, each of which must be caught.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import textwrap
from dataclasses import dataclass, replace

import pytest

from edged.chargers import unit_health, wire
from edged.chargers.line import LineKind
from edged.chargers.moments import moment
from tests.fakes.line_fuzz import CASES, EdgedMaster, Failed, LineCase, Told, drive, run_edged
from tests.fakes.noisy_line import CALM, FATES, FATES_TCP, OURS, NoisyLine, Weather
from tests.fakes.noisy_units import Wrong
from tests.fakes.virtual_loop import run_virtually

STORMY = Weather()
FRAMES = 2500
SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else range(42)
LONGEST_REQUEST, LONGEST_REPLY = 13, 45
RECOVERED_WITHIN_S = 2 * unit_health.LONGEST_BACKOFF_S
FEELERS = 5
"""Reads by which an unknown adapter's echo may be found out, at most, in one run."""


def budget_s(case: LineCase) -> float:
    """How long the transaction may take that a call waits for when its patience ends: all that the code allows."""
    spec = case.spec
    timeout_s = unit_health.LONGEST_TIMEOUT_S if spec.kind is LineKind.SERIAL else unit_health.NETWORK_LONGEST_S
    if spec.kind is LineKind.TCP:
        return timeout_s
    on_the_wire_s = (LONGEST_REQUEST + LONGEST_REPLY) * spec.character_s
    feeler = 2 if spec.echo is None else 1
    return feeler * (wire.LISTEN_AT_MOST_S + on_the_wire_s + timeout_s + wire.SETTLE_AT_MOST_S + 2 * spec.silence_s)


async def storm(case: LineCase, seed: object, frames: int = FRAMES, weather: Weather = STORMY) -> Told:
    """One run, judged by all laws but that of the values, which `Told.wrong` is left to tell."""
    line = NoisyLine(seed, case.spec, weather, echo=case.echo)
    master = EdgedMaster(line, case.spec, seed)
    told = await drive(master, line, seed, frames)
    assert told.done + told.refused + told.failed == told.asked
    assert told.over_s <= budget_s(case)
    _check_counters(master, line, told, case)
    assert told.done > frames / 2, "too little was read for the run to mean anything"
    line.calm()
    for unit_id in OURS:
        await _until_read(master, unit_id)
    assert master.bus.statistics.queued == 0
    await master.close()
    await line.stop()
    return told


def _check_counters(master: EdgedMaster, line: NoisyLine, told: Told, case: LineCase) -> None:
    found = master.bus.statistics
    assert line.frames <= found.requests <= line.frames + found.lost
    failed = found.timeouts + found.crc_errors + found.protocol_errors + found.exceptions
    extra = told.split + found.lost + (FEELERS if case.spec.echo is None else 0)
    assert told.done <= found.requests - failed <= told.done + extra
    for counter in ("requests", "timeouts", "crc_errors", "protocol_errors", "exceptions", "retries"):
        assert getattr(found, counter) == sum(getattr(unit, counter) for unit in found.units.values())
    assert found.refused == 0


async def _until_read(master: EdgedMaster, unit_id: int) -> None:
    give_up_at = moment() + RECOVERED_WITHIN_S
    while True:
        try:
            await master.read(unit_id, 3, 100, 2)
            return
        except Failed:
            assert moment() < give_up_at, f"unit {unit_id} is not read again"
            await asyncio.sleep(1)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_storm_on_any_line_yields_a_wrong_value_or_a_stall(seed: int) -> None:
    case = CASES[seed % len(CASES)]
    assert run_virtually(storm(case, seed)).wrong == [], case.name


def test_the_storms_are_a_hundred_thousand_transactions() -> None:
    assert "SEED" in os.environ or len(SEEDS) * FRAMES >= 100_000


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("fate", [*FATES_TCP, "noise_per_s", "foreign_per_s"])
def test_one_kind_of_damage_alone_and_often_yields_no_wrong_value(case: LineCase, fate: str) -> None:
    if fate.startswith("beyond") or (fate not in FATES and case.kind is LineKind.TCP and fate.endswith("_per_s")):
        return
    often = 3.0 if fate.endswith("_per_s") else 0.01 if fate in ("hung_up", "garbage") else 0.15
    weather = replace(CALM, **{fate: often})
    assert run_virtually(run_edged(case, fate, 300, weather)).told.wrong == []


def test_on_a_calm_line_everything_is_done_at_once() -> None:
    for case in CASES:
        told = run_virtually(run_edged(case, "calm", 300, CALM)).told
        assert (told.wrong, told.refused) == ([], 0)
        assert told.failed <= 10, told.why


# --- the laws can be broken ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A mistake: in the source of `where` (module:name), each text of `changes` becomes the other one."""

    name: str
    where: str
    changes: tuple[tuple[str, str], ...]
    kinds: tuple[LineKind, ...]
    users: tuple[str, ...] = ()
    weather: Weather = STORMY


SERIAL, TCP, CONVERTER = LineKind.SERIAL, LineKind.TCP, LineKind.RTU_OVER_TCP
RTU = (SERIAL, CONVERTER)
CHARGERS = "edged.chargers."
WIRE = (CHARGERS + "wire",)
OWES = "            self._units.expect_late_reply(job, moment())\n"
LATE = replace(CALM, late=0.15, deaf=0.05)
MUTANTS = (
    Mutant(
        name="no CRC",
        where="modbus:find_rtu_reply",
        changes=(('crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little")', "True"),),
        kinds=RTU,
        users=WIRE,
    ),
    Mutant(
        name="any unit",
        where="modbus:find_rtu_reply",
        changes=(("received[start] != unit_id", "False"),),
        kinds=RTU,
        users=WIRE,
    ),
    Mutant(
        name="any function",
        where="modbus:parse_reply",
        changes=(("function != request.function", "False"),),
        kinds=(TCP,),
        users=WIRE,
    ),
    Mutant(
        name="any byte count",
        where="modbus:parse_reply",
        changes=(
            ("len(pdu) < 2 or pdu[1] != request.byte_count or len(pdu) != request.reply_length", "len(pdu) < 2"),
            ("8] >> i % 8 & 1 for i in range(request.count)", "8] >> i % 8 & 1 for i in range(8 * len(pdu[2:]))"),
            ('f">{request.count}H", pdu[2:]', 'f">{len(pdu[2:]) // 2}H", pdu[2 : 2 + len(pdu[2:]) // 2 * 2]'),
        ),
        kinds=(TCP,),
        users=WIRE,
    ),
    Mutant(
        name="any echo of a write",
        where="modbus:parse_reply",
        changes=(("if pdu != expected", "if False"),),
        kinds=(*RTU, TCP),
        users=WIRE,
    ),
    Mutant(
        name="no regard for late replies",
        where="line_units:LineUnits.expect_late_reply",
        changes=(("if self._replies_are_anonymous:", "if False:"),),
        kinds=RTU,
        weather=LATE,
    ),
    Mutant(
        name="nothing owed after a loss",
        where="bus:Bus._serve",
        changes=((OWES, ""),),
        kinds=RTU,
        weather=replace(CALM, slow=0.3, hung_up=0.05, late=0.1),
    ),
    Mutant(
        name="transaction id 0",
        where="wire:MbapWire.exchange",
        changes=(
            ("frame.transaction_id != self._transaction_id", "frame.transaction_id not in (0, self._transaction_id)"),
        ),
        kinds=(TCP,),
    ),
    Mutant(
        name="any transaction id",
        where="wire:MbapWire.exchange",
        changes=(("frame.transaction_id != self._transaction_id", "False"),),
        kinds=(TCP,),
    ),
    Mutant(
        name="any unit over TCP",
        where="wire:MbapWire.exchange",
        changes=(("frame.unit_id != unit_id", "False"),),
        kinds=(TCP,),
    ),
    Mutant(
        name="another master's answers",
        where="wire:RtuWire._check_whose",
        changes=(("if self._others.is_asked_by_another(", "if False and self._others.is_asked_by_another("),),
        kinds=RTU,
        weather=replace(CALM, foreign_per_s=5.0),
    ),
    Mutant(
        name="another master's answers, asked before we spoke",
        where="wire:RtuWire._drop_strays",
        changes=(("self._others.heard(bytes(self._inbox.data), moment())", "pass"),),
        kinds=RTU,
        weather=replace(CALM, foreign_per_s=5.0, late=0.1),
    ),
    Mutant(
        name="another master's question as an answer",
        where="bus:Bus.read",
        changes=(("count in LIKE_A_REQUEST", "False"),),
        kinds=RTU,
        weather=replace(CALM, foreign_per_s=8.0, deaf=0.2),
    ),
    Mutant(
        name="an echo as an answer",
        where="wire:RtuWire.may_mistake_echo",
        changes=(("return self._echo is None and", "return False and"),),
        kinds=(SERIAL,),
        weather=replace(CALM, deaf=0.5),
    ),
)


def mutated(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the mistake in until the end of the test."""
    module_name, _, path = mutant.where.partition(":")
    module = importlib.import_module(CHARGERS + module_name)
    owner, name = module, path
    if "." in path:
        class_name, name = path.split(".")
        owner = getattr(module, class_name)
    source = textwrap.dedent(inspect.getsource(getattr(owner, name)))
    for text, other in mutant.changes:
        text, other = ("\n".join(_dedented(each, owner is not module)) for each in (text, other))
        assert source.count(text) == 1, f"{mutant.where} does not say {text!r} once"
        source = source.replace(text, other)
    names: dict[str, object] = {}
    exec(compile("from __future__ import annotations\n" + source, mutant.where, "exec"), vars(module), names)
    monkeypatch.setattr(owner, name, names[name])
    for user in mutant.users:
        monkeypatch.setattr(importlib.import_module(user), name, names[name])


def _dedented(text: str, is_method: bool) -> list[str]:
    return [
        line.removeprefix("    ") if is_method and line.startswith("        ") else line for line in text.split("\n")
    ]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mistake_in_the_code_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutated(mutant, monkeypatch)
    cases = [case for case in CASES if case.kind in mutant.kinds]
    for seed in range(24):
        told = run_virtually(run_edged(cases[seed % len(cases)], f"mutant {seed}", 800, mutant.weather)).told
        if told.wrong:
            return
    raise AssertionError(f"{mutant.name} went unseen")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_without_the_mistake_the_same_weather_shows_nothing(mutant: Mutant) -> None:
    cases = [case for case in CASES if case.kind in mutant.kinds]
    for seed in range(len(cases)):
        assert run_virtually(run_edged(cases[seed], f"mutant {seed}", 800, mutant.weather)).told.wrong == []


# --- what no master can tell --------------------------------------------------------------------------

BEYOND = {
    "replies later than the limit": replace(CALM, beyond_late=0.03),
    "a reply that comes once more while another is waited for": replace(CALM, beyond_twice=0.05),
    "answers to a master behind another connection": replace(CALM, beyond_foreign_per_s=2.0),
}


@pytest.mark.parametrize("what", BEYOND)
def test_what_no_rtu_master_can_tell_is_a_valid_reply_of_that_unit_and_function_and_length(what: str) -> None:
    wrong = 0
    for seed in range(6):
        run = run_virtually(run_edged(CASES[4], f"beyond {seed}", 1000, BEYOND[what]))
        book = run.line.book
        for each in run.told.wrong:
            wrong += 1
            alike = [served for (unit_id, pdu), served in book.served.items() if _alike(each, unit_id, pdu)]
            assert any(one.values[: len(each.claim.values)] == each.claim.values for served in alike for one in served)
    assert wrong < 60, "of 6,000 transactions"


def _alike(wrong: Wrong, unit_id: int, pdu: bytes) -> bool:
    """The same unit and function, and a reply of the same length; a write's reply names no value of several."""
    same = (unit_id, pdu[0]) == (wrong.unit_id, wrong.pdu[0])
    return same and (pdu[0] > 4 or pdu[3:5] == wrong.pdu[3:5])


def test_on_modbus_tcp_none_of_that_is_taken_for_an_answer() -> None:
    for weather in BEYOND.values():
        assert run_virtually(run_edged(CASES[5], "beyond", 1000, weather)).told.wrong == []
