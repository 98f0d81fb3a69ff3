"""Registers of real chargers, written by hand from their documents, and what each image means; desired states and the
exact writes that they take. The sheets under images/ owe nothing to the profiles that they judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from edged.chargers.job_queue import Priority
from edged.chargers.planning import address_of
from edged.chargers.profile import DeviceProfile
from edged.chargers.registers import Kind, WordOrder
from edged.domain.hardware import Action, ActionOutcome, Capability, ChargerState, FaultCode, LockState, Measurand
from edged.ports import ChargerError
from tests.fakes.register_sheets import IMAGES, NAMES, PHASES, Sheet, cells_of, desired_of, wire_of, wrong_in


def entries(section: str) -> list[Any]:
    found = []
    for name in NAMES:
        for key in Sheet(name)[section]:
            found.append(pytest.param(name, key, id=f"{name}: {key}"))
    return found


@pytest.fixture(params=NAMES)
def sheet(request: pytest.FixtureRequest) -> Sheet:
    return Sheet(request.param)


async def wrong_in_image(sheet: Sheet, key: str, clock) -> list[str]:
    """What an image shows otherwise than its document says."""
    entry = sheet["images"][key]
    charger, bus = sheet.charger(entry, clock)
    if "after" in entry:
        await charger.observe()
        bus.cells.update(cells_of(entry))
    return wrong_in(await charger.observe(), charger, entry["expect"])


async def wrong_in_write(sheet: Sheet, key: str, clock) -> list[str]:
    """What is written otherwise than a desired state takes."""
    entry = sheet["writes"][key]
    charger, bus = sheet.charger(entry, clock)
    if "after" in entry:
        await charger.observe()
        bus.cells.update(cells_of(entry))
    await charger.observe()
    bus.wrote.clear()
    wanted = desired_of(entry)
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
    assert "faulted" in shown or any("reports no fault" in note for note in sheet.profile.notes)
    assert "locked" in shown or Capability.LOCK_SENSE not in offered
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
    for raw, means in (sheet["states"].get("means") or {}).items():
        assert await is_raw_state(sheet, raw, means, clock), raw


async def is_raw_state(sheet: Sheet, raw: Any, means: str, clock) -> bool:
    states = sheet["states"]
    charger, _ = sheet.charger({states["table"]: {states["address"]: raw}}, clock)
    return (await charger.observe()).state == means


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
    if codec.kind is Kind.SIGNED and name in (*profile.meter.power_w, profile.meter.temperature_c):
        yield "sign", with_changes(codec=replace(codec, kind=Kind.UNSIGNED))
    if codec.invalid:
        yield "no sentinel", with_changes(codec=replace(codec, invalid=frozenset()))


def without_a_rule(profile: DeviceProfile) -> Iterator[tuple[str, DeviceProfile]]:
    """The profile without one of its rules, each in turn. Rules that say what would be said anyway are not taken away:
    a raw state that is unknown, and the unnamed fault of a faulted state.
    """
    state = profile.state
    for i, overlay in enumerate(state.overlays):
        rest = state.overlays[:i] + state.overlays[i + 1 :]
        yield f"state.overlays: {overlay}", replace(profile, state=replace(state, overlays=rest))
    for raw, means in state.states.items():
        if means is not ChargerState.UNKNOWN:
            rest = {other: meaning for other, meaning in state.states.items() if other != raw}
            yield f"state.map: {raw}", replace(profile, state=replace(state, states=rest))
    for part in ("plugged", "lock", "faults", "boot"):
        rules = getattr(profile, part)
        for i, rule in enumerate(rules):
            is_fallback = (
                part == "faults" and rule.code is FaultCode.OTHER and rule.condition.register == state.register
            )
            if not is_fallback:
                yield f"{part}: {rule}", replace(profile, **{part: rules[:i] + rules[i + 1 :]})


async def test_a_sheet_notices_a_mistake_in_any_register_that_matters(sheet: Sheet, clock) -> None:
    name = sheet.profile.name
    unnoticed = []
    for register in sorted(used(sheet.profile)):
        for mistake, profile in mistaken(sheet.profile, register):
            if not await is_noticed(Sheet(name, profile), clock):
                unnoticed.append(f"{register}: {mistake}")
    assert unnoticed == []


async def test_a_sheet_notices_a_rule_that_is_missing(sheet: Sheet, clock) -> None:
    name = sheet.profile.name
    rules = list(without_a_rule(sheet.profile))
    assert [rule for rule, profile in rules if not await is_noticed(Sheet(name, profile), clock)] == []


async def is_noticed(sheet: Sheet, clock) -> bool:
    try:
        for raw, means in (sheet["states"].get("means") or {}).items():
            if not await is_raw_state(sheet, raw, means, clock):
                return True
        for key in sorted(sheet["images"], key=lambda key: key != "charging"):
            if await wrong_in_image(sheet, key, clock):
                return True
        for key in sheet["writes"]:
            if await wrong_in_write(sheet, key, clock):
                return True
    except ChargerError:
        return True
    return False
