"""What the profile language offers is used by a shipped profile, or it is said here why it stays without one: each key
that the JSON Schema knows, where it stands, and each word that changes what edged does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edged.chargers.library import PACKAGED_DIR, load_profile
from edged.chargers.modbus import Table
from edged.chargers.profile import DeviceProfile, KeepAliveBy, TokenFormat
from edged.chargers.profile_terms import (
    Access,
    CheckStep,
    Condition,
    GapScope,
    Otherwise,
    PauseStep,
    PointsBy,
    Poll,
    Relation,
    RestartStep,
    Transport,
    WaitStep,
    WriteFunction,
    WriteStep,
)
from edged.chargers.profile_yaml import parse_document
from edged.chargers.registers import Kind, WordOrder
from edged.domain.hardware import Capability, ChargerState, FaultCode, LockState, Measurand
from tests.chargers.test_profile_schema import plain
from tests.fakes.shipped_profiles import MODBUS_NAMES, MODBUS_PATHS
from tools import profile_schema

Place = tuple[str, str]
"""Where a key stands (a part, or what parts have in common), and the key."""

PROFILES = [load_profile(name) for name in MODBUS_NAMES]

KEYS_WITHOUT_A_CHARGER: dict[Place, str] = {
    (
        "register",
        "word_order",
    ): "whose values are not all alike must be able to say so; the list's are, as far as they are used",
    (
        "meter",
        "soc_pct",
    ): "who speaks with the car can tell it; CHARX tells 0, and nobody else of the list tells it surely",
}

WORDS_WITHOUT_A_CHARGER = {
    "measurand SoC": "see soc_pct",
    "measurand Energy.Active.Import.Interval": "counted by the core",
    "fault ReaderFailure": "OCPP's word, no source names one",
    "fault ResetFailure": "OCPP's word, no source names one",
    "fault WeakSignal": "OCPP's word, no source names one",
    "lock unknown": "what no rule says is unknown",
}


def conditions(profile: DeviceProfile) -> Iterator[Condition]:
    for rules in (profile.plugged, profile.lock, profile.state.overlays):
        yield from (rule.condition for rule in rules)
    yield from (fault.condition for fault in profile.faults)
    for toggle in (profile.permit, profile.availability, profile.lock_control):
        yield from (rule.condition for rule in (toggle.sense if toggle is not None else ()))
    if isinstance(profile.detachable, Condition):
        yield profile.detachable


def registers_use(profile: DeviceProfile) -> Iterator[str]:
    for variants in profile.registers.values():
        for register in variants:
            codec = register.codec
            yield f"table {register.table}"
            yield f"kind {codec.kind}"
            yield f"access {register.access}"
            yield f"poll {register.poll}"
            if codec.words > 1 and codec.kind in (Kind.UNSIGNED, Kind.SIGNED, Kind.FLOAT):
                yield f"word_order {codec.word_order}"
            for word, used in (
                ("scale", codec.scale != 1),
                ("offset", codec.offset != 0),
                ("invalid", codec.invalid),
                ("bits", codec.bits),
                ("names", register.names),
                ("when", register.when),
                ("shared", register.shared),
            ):
                if used:
                    yield f"register {word}"


def parts_use(profile: DeviceProfile) -> Iterator[str]:
    bus = profile.bus
    yield from (f"transport {transport}" for transport in bus.transports)
    yield f"write_function {bus.write_function}"
    if bus.min_gap_s:
        yield f"gap_scope {bus.gap_scope}"
    for word, used in (
        ("forbidden", bus.forbidden),
        ("holes", bus.holes),
        ("response_timeout_ms", bus.response_timeout_s),
        ("wake", profile.wake),
        ("init", profile.init),
        ("init that may be refused", any(not init.required for init in profile.init)),
        ("boot", profile.boot),
        ("boot_falls", profile.boot_falls),
        ("points present", profile.points.present),
        ("overlay while", any(rule.condition.states for rule in profile.state.overlays)),
        ("plugged", profile.plugged),
        ("fault that blocks nothing", any(not fault.blocking for fault in profile.faults)),
        ("fault otherwise", any(fault.catch_all for fault in profile.faults)),
        ("limit max_from", profile.limit is not None and profile.limit.max_from),
        ("limit withhold_a", profile.limit is not None and profile.limit.withhold_a is not None),
        ("emulated", profile.availability is not None and profile.availability.emulated),
        ("token clear", profile.token is not None and profile.token.clear),
        ("token empty", profile.token is not None and profile.token.empty),
        ("detachable told by a register", isinstance(profile.detachable, Condition)),
        ("detachable false", profile.detachable is False),
        ("meter: several registers added up", len(profile.meter.energy_wh) > 1 or len(profile.meter.power_w) > 1),
        ("affects_all_points", any(action.affects_all_points for action in profile.actions.values())),
    ):
        if used:
            yield word
    if profile.points.count > 1:
        yield f"points by {profile.points.by}"
    if profile.keep_alive is not None:
        yield f"keep_alive {profile.keep_alive.by}"
    if profile.token is not None:
        yield f"token {profile.token.format}"
    yield from (f"condition {condition.relation}" for condition in conditions(profile))
    for action in profile.actions.values():
        for step in action.steps:
            yield f"step {type(step).__name__}"
            if isinstance(step, WaitStep):
                yield f"wait otherwise {step.otherwise}"
    yield from (f"state {state}" for state in profile.state.states.values())
    yield from (f"fault {fault.code}" for fault in profile.faults)
    yield from (f"lock {rule.means}" for rule in profile.lock)
    yield from (f"capability {capability}" for capability in profile.capabilities)
    yield from (f"measurand {measurand}" for measurand in profile.measurands)


OFFERED = {
    *(f"table {table}" for table in Table),
    *(f"kind {kind}" for kind in Kind),
    *(f"access {access}" for access in Access),
    *(f"poll {poll}" for poll in Poll),
    *(f"word_order {order}" for order in WordOrder),
    *(f"register {word}" for word in ("scale", "offset", "invalid", "bits", "names", "when", "shared")),
    *(f"transport {transport}" for transport in Transport),
    *(f"write_function {function}" for function in WriteFunction),
    *(f"gap_scope {scope}" for scope in GapScope),
    *(f"points by {by}" for by in PointsBy),
    *(f"keep_alive {by}" for by in KeepAliveBy),
    *(f"token {form}" for form in TokenFormat),
    *(f"condition {relation}" for relation in Relation),
    *(f"step {step.__name__}" for step in (WriteStep, WaitStep, CheckStep, PauseStep, RestartStep)),
    *(f"wait otherwise {otherwise}" for otherwise in Otherwise),
    *(f"state {state}" for state in ChargerState),
    *(f"fault {code}" for code in FaultCode),
    *(f"lock {state}" for state in LockState),
    *(f"capability {one}" for one in Capability if one is not Capability.POWER_CYCLE),  # a relay gives that
    *(f"measurand {measurand}" for measurand in Measurand),
    *("forbidden", "holes", "response_timeout_ms", "wake", "init", "init that may be refused", "boot"),
    *("boot_falls", "points present", "overlay while", "plugged", "fault that blocks nothing"),
    *("fault otherwise", "limit max_from", "limit withhold_a", "emulated", "token clear", "token empty"),
    *("detachable told by a register", "detachable false", "meter: several registers added up", "affects_all_points"),
}


ALIKE = {"permit": "toggle", "availability": "toggle", "lock_control": "toggle"}
ALIKE |= dict.fromkeys(("unlock", "reset_soft", "reset_hard"), "action")
"""Parts that are written in the same way: what one of them uses is used."""

Schema = dict[str, Any]
Labelled = list[tuple[str, Schema]]


def flat(schema: Any, at: str, definitions: Schema) -> Iterator[tuple[str, Schema]]:
    """A schema and all that hold beside it, each with where its keys stand."""
    if not isinstance(schema, dict):
        return
    yield at, schema
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        yield from flat(definitions[name], name, definitions)
    for word in ("if", "then", "else"):
        yield from flat(schema.get(word), at, definitions)
    for word in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(word, ()):
            yield from flat(one, at, definitions)


def below(schemas: Labelled, word: str, definitions: Schema) -> Labelled:
    """What holds for the entries of a list (`items`) or of a mapping of any keys (`additionalProperties`)."""
    return [found for at, schema in schemas for found in flat(schema.get(word), at, definitions)]


def properties(schemas: Labelled, definitions: Schema) -> dict[Place, Labelled]:
    """The keys that may be written there, and what holds for the value of each."""
    found: dict[Place, Labelled] = {}
    for at, schema in schemas:
        for key, value in schema.get("properties", {}).items():
            if value is not False:  # a key that must not stand there
                found.setdefault((at, key), []).extend(flat(value, ALIKE.get(key, key), definitions))
    return found


def offered(schemas: Labelled, definitions: Schema) -> set[Place]:
    places = properties(schemas, definitions)
    found = set(places)
    for inner in (*places.values(), *(below(schemas, word, definitions) for word in ("items", "additionalProperties"))):
        if inner:
            found |= offered(inner, definitions)
    return found


def written(value: Any, schemas: Labelled, definitions: Schema) -> set[Place]:
    """The keys of a document, each with where it stands."""
    found: set[Place] = set()
    if isinstance(value, dict):
        places = properties(schemas, definitions)
        for key, entry in value.items():
            here = {place: inner for place, inner in places.items() if place[1] == key}
            found |= here.keys()
            inner = [one for each in here.values() for one in each]
            found |= written(entry, inner or below(schemas, "additionalProperties", definitions), definitions)
    elif isinstance(value, list):
        for entry in value:
            found |= written(entry, below(schemas, "items", definitions), definitions)
    return found


@pytest.mark.parametrize(
    ("schema", "paths", "without"),
    [
        (profile_schema.schema(), MODBUS_PATHS, KEYS_WITHOUT_A_CHARGER),
        (profile_schema.rapi_schema(), (PACKAGED_DIR / "openevse-rapi.yaml",), {}),
    ],
    ids=["modbus", "rapi"],
)
def test_each_key_is_written_in_a_shipped_profile_or_said_to_wait_for_its_charger(
    schema: Schema, paths: tuple[Path, ...], without: dict[Place, str]
) -> None:
    definitions = schema.get("$defs", {})
    top = list(flat(schema, "profile", definitions))
    documents = [plain(parse_document(path.read_text(encoding="utf-8"), path.name)) for path in paths]
    used = {place for document in documents for place in written(document, top, definitions)}
    assert offered(top, definitions) - used == set(without)
    assert all(without.values())


def test_each_word_is_used_by_a_shipped_profile_or_said_to_wait_for_its_charger() -> None:
    used = {word for profile in PROFILES for word in (*registers_use(profile), *parts_use(profile))}
    assert used <= OFFERED
    assert OFFERED - used == set(WORDS_WITHOUT_A_CHARGER)
    assert all(WORDS_WITHOUT_A_CHARGER.values())


def test_at_least_sixteen_devices_are_served_and_each_says_how_sure_it_is() -> None:
    assert len(PROFILES) >= 16
    assert sum(profile.certainty == "A" for profile in PROFILES) >= 11
    for profile in PROFILES:
        assert profile.certainty == "A" or profile.unproven, f"{profile.name} is {profile.certainty} and doubts nothing"
