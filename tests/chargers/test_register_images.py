"""Registers of real chargers, written by hand from their documents, and what each image means; desired states and the
exact writes that they take. The files under images/ owe nothing to the profiles that they judge.

An image names tables (H, I, C, D), addresses and words; a list is several registers, a text two characters a register.
Every other address reads 0. `expect` compares what it names, and the faults always. `from` is the image that something
starts from, `after` one that was seen before. A write is "FC6 address = word"; `then` says what follows from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from edged.chargers.job_queue import Priority
from edged.chargers.library import PACKAGED_DIR, load_profile
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import ExceptionReply, NoAnswer, Table
from edged.chargers.modbus_charger import ModbusCharger
from edged.chargers.planning import address_of
from edged.chargers.profile import DeviceProfile
from edged.chargers.registers import WordOrder
from edged.domain.hardware import (
    Action,
    ActionOutcome,
    Capability,
    ChargerState,
    Desired,
    LockState,
    Measurand,
    Observation,
)
from edged.ports import ChargerError

IMAGES = Path(__file__).parent / "images"
NAMES = sorted(path.stem for path in PACKAGED_DIR.glob("*.yaml"))
TABLES = {"H": Table.HOLDING, "I": Table.INPUT, "C": Table.COIL, "D": Table.DISCRETE}
METER = ("energy_wh", "power_w", "frequency_hz", "temperature_c", "soc_pct")
PHASES = ("current_a", "voltage_v")
KNOWN = {"state", "plugged", "lock", "operative", "permit", "limit_a", "faults", "token", "lacks", "identity", "booted"}

Cells = dict[tuple[Table, int], int]
Wire = tuple[int, int, tuple[int, ...]]
"""A write: function code, address, words."""


def cells_of(entry: dict[str, Any]) -> Cells:
    """The registers that an entry of an image file names."""
    cells: Cells = {}
    for name, table in TABLES.items():
        for address, value in (entry.get(name) or {}).items():
            if isinstance(value, str):
                data = value.encode("latin-1").ljust((len(value) + 1) // 2 * 2, b"\0")
                words = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
            else:
                words = value if isinstance(value, list) else [value]
            for i, word in enumerate(words):
                assert 0 <= word <= 0xFFFF, f"{name} {address} holds {word}"
                cells[table, address + i] = word
    return cells


def wire_of(text: str) -> Wire:
    """ "FC16 0x4100 = 0 16000" as function code, address and words."""
    match = re.fullmatch(r"FC(\d+) (\w+) = ([\w ]+)", text)
    assert match is not None, f"{text!r} is no write"
    return int(match[1]), int(match[2], 0), tuple(int(word, 0) for word in match[3].split())


@dataclass
class ImageBus:
    """A unit whose registers are an image. `then` changes registers when a write is seen."""

    cells: Cells
    spec: BusSpec
    then: dict[Wire, Cells] = field(default_factory=dict)
    wrote: list[Wire] = field(default_factory=list)
    absent: frozenset[tuple[Table, int]] = frozenset()
    silent_reads: int = 0

    def tune(self, unit_id: int, **rules: object) -> None:
        pass

    def session(self, unit_id: int) -> int:
        return 1

    def last_answer_at(self, unit_id: int) -> float | None:
        return None

    def turnaround_s(self, unit_id: int) -> float:
        return 0.0

    async def read(self, unit_id: int, table: Table, address: int, count: int, **options: object) -> tuple[int, ...]:
        if self.silent_reads:
            self.silent_reads -= 1
            raise NoAnswer("it restarts")
        wanted = [(table, at) for at in range(address, address + count)]
        if self.absent.intersection(wanted):
            raise ExceptionReply(2)
        return tuple(self.cells.get(cell, 0) for cell in wanted)

    async def write(
        self, unit_id: int, table: Table, address: int, values: tuple[int, ...], *, multiple: bool = False, **o: object
    ) -> None:
        function = 5 if table is Table.COIL else 16 if multiple else 6
        wire = (function, address, tuple(values))
        self.wrote.append(wire)
        self.cells.update({(table, address + i): word for i, word in enumerate(values)})
        self.cells.update(self.then.get(wire, {}))


@cache
def read_sheet(name: str) -> tuple[DeviceProfile, dict[str, Any]]:
    return load_profile(name), yaml.safe_load((IMAGES / f"{name}.yaml").read_text(encoding="utf-8"))


class Sheet:
    """One image file."""

    def __init__(self, name: str, profile: DeviceProfile | None = None) -> None:
        own, self.data = read_sheet(name)
        self.profile = own if profile is None else profile
        self.point = self.data.get("point", 1)

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self.data.get(key) or {}

    def cells(self, entry: dict[str, Any]) -> Cells:
        cells = cells_of(self["base"])
        for key in ("from", "after"):
            if key in entry:
                cells |= cells_of(self["images"][entry[key]])
        return cells | cells_of(entry) if "after" not in entry else cells

    def charger(self, entry: dict[str, Any], clock, **options: Any) -> tuple[ModbusCharger, ImageBus]:
        rtu = self.profile.bus.transports[0] == "rtu"
        kind = LineKind.SERIAL if rtu else LineKind.TCP
        bus = ImageBus(self.cells(entry), BusSpec(kind=kind, port="/dev/null", baudrate=19_200, host="image"))
        bus.then = {wire_of(text): cells_of(after) for text, after in (entry.get("then") or {}).items()}
        bus.absent = frozenset(cells_of(entry.get("absent") or self["absent"]))
        unit = self.profile.bus.unit_id
        charger = ModbusCharger(
            self.profile, bus, unit_id=unit, point=self.point, clock=clock, pause=clock.pause, **options
        )
        charger._keep_alive.start = lambda: None  # type: ignore[method-assign]  # its task would outrun a fake clock
        return charger, bus


def entries(section: str) -> list[Any]:
    found = []
    for name in NAMES:
        for key in Sheet(name)[section]:
            found.append(pytest.param(name, key, id=f"{name}: {key}"))
    return found


@pytest.fixture(params=NAMES)
def sheet(request: pytest.FixtureRequest) -> Sheet:
    return Sheet(request.param)


def told(seen: Observation, key: str) -> Any:
    """The observation's word for a key of `expect`."""
    match key:
        case "permit":
            return seen.permit_charging
        case "limit_a":
            return None if seen.current_limit_ma is None else seen.current_limit_ma / 1000
        case "faults":
            return sorted([str(fault.code), fault.vendor_code, fault.blocking] for fault in seen.faults)
        case "current_a" | "voltage_v":
            phases = getattr(seen.meter, key)
            return [phases.l1, phases.l2, phases.l3]
        case key if key in METER:
            return getattr(seen.meter, key)
        case _:
            return getattr(seen, key)


def nearly(wanted: Any) -> Any:
    if isinstance(wanted, list):
        return [nearly(value) for value in wanted]
    return pytest.approx(wanted, rel=1e-5, abs=1e-6) if isinstance(wanted, float) else wanted


async def wrong_in_image(sheet: Sheet, key: str, clock) -> list[str]:
    """What an image shows otherwise than its document says."""
    entry = sheet["images"][key]
    charger, bus = sheet.charger(entry, clock)
    if "after" in entry:
        await charger.observe()
        bus.cells.update(cells_of(entry))
    seen = await charger.observe()
    wrong = []
    expect = {"faults": [], **entry["expect"]}
    for word in expect.keys() - {"lacks", "identity"}:
        assert word in KNOWN | set(METER) | set(PHASES), word
        wanted = sorted(expect[word]) if word == "faults" else nearly(expect[word])
        if told(seen, word) != wanted:
            wrong.append(f"{word}: {told(seen, word)!r} instead of {expect[word]!r}")
    offered = sheet.profile.capabilities if seen.capabilities is None else seen.capabilities
    wrong += [f"it still has {word}" for word in expect.get("lacks", ()) if Capability(word) in offered]
    identity = expect.get("identity", {})
    wrong += [
        f"{word}: {charger.identity.get(word)!r}" for word in identity if charger.identity.get(word) != identity[word]
    ]
    return wrong


async def wrong_in_write(sheet: Sheet, key: str, clock) -> list[str]:
    """What is written otherwise than a desired state takes."""
    entry = sheet["writes"][key]
    charger, bus = sheet.charger(entry, clock)
    await charger.observe()
    bus.wrote.clear()
    desired = dict(entry["desired"])
    limit_a = desired.pop("limit_a", None)
    wanted = Desired(
        permit_charging=desired.pop("permit"),
        current_limit_ma=None if limit_a is None else round(limit_a * 1000),
        **desired,
    )
    await charger.apply(wanted)
    if bus.wrote != [wire_of(text) for text in entry["expect"]]:
        return [f"{bus.wrote} instead of {entry['expect']}"]
    bus.wrote.clear()
    await charger.apply(wanted)
    return [f"{bus.wrote}, although it has been reached"] if bus.wrote else []


@pytest.mark.parametrize(("name", "key"), entries("images"))
async def test_an_image_means_what_the_documents_say(name: str, key: str, clock) -> None:
    assert await wrong_in_image(Sheet(name), key, clock) == []


@pytest.mark.parametrize(("name", "key"), entries("writes"))
async def test_a_desired_state_takes_exactly_these_writes(name: str, key: str, clock) -> None:
    assert await wrong_in_write(Sheet(name), key, clock) == []


@pytest.mark.parametrize(("name", "key"), entries("actions"))
async def test_an_action_takes_exactly_these_writes(name: str, key: str, clock) -> None:
    sheet = Sheet(name)
    entry = sheet["actions"][key]
    charger, bus = sheet.charger(entry, clock)
    await charger.observe()
    bus.wrote.clear()
    silence = entry.get("silent_for", 0)

    async def pause(seconds: float) -> None:
        await clock.pause(seconds)

    charger._pause = pause
    if silence:
        written = bus.write

        async def write_and_fall_silent(*args: Any, **options: Any) -> None:
            await written(*args, **options)
            bus.silent_reads = silence

        bus.write = write_and_fall_silent  # type: ignore[method-assign]
    outcome = await charger.perform(Action(entry.get("action", key)))
    assert outcome is ActionOutcome(entry.get("outcome", "done"))
    assert bus.wrote == [wire_of(text) for text in entry["expect"]]


async def test_connecting_writes_exactly_this(sheet: Sheet, clock) -> None:
    charger, bus = sheet.charger({}, clock)
    await charger.observe()
    assert bus.wrote == [wire_of(text) for text in sheet.data.get("connect") or []]


async def test_the_keep_alive_is_what_the_documents_ask_for(sheet: Sheet, clock) -> None:
    rules = sheet.profile.keep_alive
    entry = sheet["keep_alive"]
    assert (rules is None) == (not entry)
    if rules is None:
        return
    assert (str(rules.by), rules.timeout_s) == (entry["by"], entry["timeout_s"])
    assert rules.interval_s <= entry["at_most_every_s"]
    if rules.write is not None:
        charger, bus = sheet.charger({}, clock)
        await charger.device.write(rules.write.register, rules.write.value, Priority.KEEP_ALIVE)
        assert bus.wrote == [wire_of(entry["write"])]


# --- is every sheet complete?


def test_each_profile_has_a_sheet_and_each_sheet_a_profile() -> None:
    assert sorted(path.stem for path in IMAGES.glob("*.yaml")) == NAMES


def test_a_sheet_shows_every_condition_that_the_charger_can_tell(sheet: Sheet) -> None:
    offered, shown = sheet.profile.capabilities, sheet["images"]
    states = {entry["expect"].get("state") for entry in shown.values()}
    assert {"idle", "plugged", "charging"} <= shown.keys() and {"available", "charging"} <= states
    assert all("state" in entry["expect"] and "plugged" in entry["expect"] for entry in shown.values())
    if ChargerState.FAULTED in reachable(sheet.profile) or any(fault.blocking for fault in sheet.profile.faults):
        assert any(blocking for entry in shown.values() for _, _, blocking in entry["expect"].get("faults", ()))
    for capability, word, values in (
        (Capability.AVAILABILITY_SENSE, "operative", {True, False}),
        (Capability.PERMIT_SENSE, "permit", {True, False}),
        (Capability.LOCK_SENSE, "lock", {LockState.LOCKED, LockState.UNLOCKED}),
    ):
        if capability in offered:
            assert values <= {entry["expect"].get(word) for entry in shown.values()}, capability
    if Capability.LIMIT_SENSE in offered:
        assert any(entry["expect"].get("limit_a") for entry in shown.values())
    if Capability.TOKEN_READER in offered:
        assert any(entry["expect"].get("token") for entry in shown.values())


def reachable(profile: DeviceProfile) -> set[ChargerState]:
    return set(profile.state.states.values()) | {rule.means for rule in profile.state.overlays}


def test_a_sheet_shows_every_state_of_the_map(sheet: Sheet) -> None:
    """One image for each raw value would be many: `states` lists raw words of the state register and their meaning."""
    shown = {entry["expect"]["state"] for entry in sheet["images"].values()}
    shown |= set((sheet["states"].get("means") or {}).values())
    assert {str(state) for state in reachable(sheet.profile)} - {"unknown"} <= shown


async def test_each_raw_state_means_what_the_documents_say(sheet: Sheet, clock) -> None:
    states = sheet["states"]
    for raw, means in (states.get("means") or {}).items():
        entry = {states["table"]: {states["address"]: raw}}
        charger, _ = sheet.charger(entry, clock)
        assert (await charger.observe()).state == means, raw


def test_a_sheet_shows_a_value_of_everything_that_is_measured(sheet: Sheet) -> None:
    words = {
        Measurand.ENERGY: "energy_wh",
        Measurand.POWER: "power_w",
        Measurand.CURRENT: "current_a",
        Measurand.VOLTAGE: "voltage_v",
        Measurand.FREQUENCY: "frequency_hz",
        Measurand.TEMPERATURE: "temperature_c",
        Measurand.SOC: "soc_pct",
    }
    shown = {word for entry in sheet["images"].values() for word, value in entry["expect"].items() if value}
    assert {words[one] for one in sheet.profile.measurands if one in words} <= shown
    for word in PHASES:
        registers = [name for name in getattr(sheet.profile.meter, word) if name]
        if len(registers) == 3:  # a wrong second or third register would not show in equal values
            phases = [entry["expect"][word] for entry in sheet["images"].values() if word in entry["expect"]]
            assert any(len(set(values)) == 3 for values in phases), word


def test_a_sheet_shows_every_write_that_the_charger_takes(sheet: Sheet) -> None:
    profile, wires = sheet.profile, set[tuple[int, int]]()
    for section in ("writes", "actions"):
        wires |= {wire_of(text)[:2] for entry in sheet[section].values() for text in entry["expect"]}
    for part in (profile.permit, profile.limit, profile.availability, profile.lock_control):
        if part is not None:
            register = profile.registers[part.register][0]
            at = address_of(register, profile.points, sheet.point)
            assert any(address == at for _, address in wires), part.register
    shown = {entry.get("action", key) for key, entry in sheet["actions"].items()}
    assert shown == set(profile.actions)
    sides = [entry["desired"] for entry in sheet["writes"].values()]
    assert {True, False} <= {side["permit"] for side in sides}
    if profile.availability is not None:
        assert {True, False} <= {side.get("operative") for side in sides}
    if profile.lock_control is not None:
        assert {True, False} <= {side.get("locked") for side in sides}


# --- would a sheet notice?


def used(profile: DeviceProfile) -> set[str]:
    """The registers that an observation or a desired state depends on."""
    rules = (*profile.plugged, *profile.lock, *profile.state.overlays)
    names = {rule.condition.register for rule in rules} | {fault.condition.register for fault in profile.faults}
    names |= profile.meter.registers | {profile.state.register}
    for part in (profile.permit, profile.availability, profile.lock_control, profile.limit):
        names |= {part.register} if part is not None else set()
    names |= {profile.token.register} if profile.token is not None else set()
    return names


def mistaken(profile: DeviceProfile, name: str) -> Iterator[tuple[str, DeviceProfile]]:
    """The profile with a likely mistake in a register: the next address, the other word order, another scale."""
    variants = profile.registers[name]
    codec = variants[0].codec

    def with_changes(**changes: Any) -> DeviceProfile:
        return replace(profile, registers={**profile.registers, name: tuple(replace(v, **changes) for v in variants)})

    yield "address", with_changes(address=variants[0].address + 1)
    if codec.words > 1 and codec.is_number:
        other = WordOrder.LITTLE if codec.word_order is WordOrder.BIG else WordOrder.BIG
        yield "word order", with_changes(codec=replace(codec, word_order=other))
    if codec.is_number and variants[0].unit:
        yield "scale", with_changes(codec=replace(codec, scale=codec.scale * 10))


async def test_a_sheet_notices_a_mistake_in_any_register_that_matters(sheet: Sheet, clock) -> None:
    name = sheet.profile.name
    unnoticed = []
    for register in sorted(used(sheet.profile)):
        for mistake, profile in mistaken(sheet.profile, register):
            if not await is_noticed(Sheet(name, profile), clock):
                unnoticed.append(f"{register}: {mistake}")
    assert unnoticed == []


async def is_noticed(sheet: Sheet, clock) -> bool:
    try:
        for key in sorted(sheet["images"], key=lambda key: key != "charging"):
            if await wrong_in_image(sheet, key, clock):
                return True
        for key in sheet["writes"]:
            if await wrong_in_write(sheet, key, clock):
                return True
    except ChargerError:
        return True
    return False
