"""What the parts of a profile must agree on. PURE.

Owns: which part asks which register for what, states that are never reached, limits, settings, keep-alives.
Refuses to know: how a profile is written, where registers lie (`profile_placement`), what an action must prove
(`profile_actions`). Every finding names a line through its key path and a rule.

Invariant: what was told to be wrong with a part by itself is not told again here, nor what only follows from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar

from edged.chargers.profile import DeviceProfile, KeepAliveBy, Limit, Toggle
from edged.chargers.profile_actions import check_actions
from edged.chargers.profile_document import Findings, KeyPath, Node
from edged.chargers.profile_parts import map_key
from edged.chargers.profile_placement import check_placement
from edged.chargers.profile_references import NEARLY, References, why_never
from edged.chargers.profile_rules import ProfileRule
from edged.chargers.profile_terms import Condition, Rule, WriteStep, is_text
from edged.chargers.registers import CodecError, Kind
from edged.domain.hardware import ChargerState

T = TypeVar("T")
ENERGY_UNITS = ("Wh", "VAh")
_UNITS = {"power_w": ("W", "VA"), "frequency_hz": ("Hz",), "temperature_c": ("degC",), "soc_pct": ("%",)}


def check_profile(profile: DeviceProfile, findings: Findings) -> None:
    """Adds an error for everything that the parts do not agree on."""
    references = References(profile, findings)
    check_placement(references)
    _check_state(references, findings.root)
    _check_rules(references)
    _check_meter(references)
    _check_toggles(references)
    if profile.limit is not None:
        _check_limit(references, profile.limit)
    _check_settings(references)
    check_actions(references)


def _check_state(references: References, root: Node) -> None:
    state = references.profile.state
    references.must_read(references.profile.points.present, ("points", "present"), polled=False)
    for key in ("firmware", "serial_number", "model"):
        references.must_read(getattr(references.profile.identity, key), ("identity", key), polled=False)
    references.must_read(state.register, ("state", "register"))
    written = {map_key(key): key for key in _keys(root, ("state", "map"))}
    for register in references.variants(state.register, ("state", "register"))[:1]:
        for raw in state.states:
            sentence = why_never(register, raw)
            if sentence is not None:
                path = ("state", "map", written.get(raw, str(raw)))
                references.report(path, sentence, ProfileRule.IMPOSSIBLE_CONDITION)
    reached = {*state.states.values(), ChargerState.UNKNOWN}
    for i, rule in enumerate(state.overlays):
        references.condition(rule.condition, ("state", "overlays", str(i)), states=frozenset(reached))
        reached.add(rule.means)
    for needed in (ChargerState.AVAILABLE, ChargerState.CHARGING):
        if state.register and needed not in reached and not references.is_told(("state",)):
            sentence = f"no raw value and no overlay means {needed}"
            references.report(("state", "map"), sentence, ProfileRule.STATE_NEVER_REACHED)
            break


def _keys(root: Node, path: KeyPath) -> Collection[str]:
    node: Node | None = root
    for key in path:
        node = node.value.get(key) if node is not None and isinstance(node.value, dict) else None
    return node.value.keys() if node is not None and isinstance(node.value, dict) else ()


def _reachable(profile: DeviceProfile) -> frozenset[ChargerState]:
    state = profile.state
    return frozenset((*state.states.values(), ChargerState.UNKNOWN, *(rule.means for rule in state.overlays)))


def _check_rules(references: References) -> None:
    profile = references.profile
    states = _reachable(profile)
    _check_each(references, profile.plugged, ("plugged",), states)
    _check_each(references, profile.lock, ("lock",), states)
    for i, fault in enumerate(profile.faults):
        references.condition(fault.condition, ("faults", str(i)), states=states)
    if isinstance(profile.detachable, Condition):
        references.condition(profile.detachable, ("detachable",), polled=False)
    for i, condition in enumerate(profile.boot):
        references.condition(condition, ("boot", str(i)))
    references.must_read(profile.boot_falls, ("boot_falls",))
    if profile.token is not None:
        references.must_read(profile.token.register, ("token", "register"))
        if profile.token.clear is not None:
            references.write(profile.token.clear, ("token", "clear"))


def _check_each(
    references: References, rules: Sequence[Rule[T]], path: KeyPath, states: frozenset[ChargerState] | None
) -> None:
    for i, rule in enumerate(rules):
        references.condition(rule.condition, (*path, str(i)), states=states)


def _check_meter(references: References) -> None:
    for path, names, units in _meter_keys(references.profile):
        for name in names:
            references.must_read(name, path)
            _check_quantity(references, name, path, units)
        if len(set(names)) != len(names) and path[-1] in ("energy_wh", "power_w"):
            references.report(path, "a register is added to itself", ProfileRule.ADDED_TO_ITSELF)


def _check_quantity(references: References, name: str, path: KeyPath, units: tuple[str, ...]) -> None:
    for register in references.variants(name, path):
        if is_text(register) or register.codec.kind is Kind.BYTES:
            references.report(path, f"{name!r} is no number", ProfileRule.TEXT_AS_NUMBER)
            break
        if register.unit and register.unit not in units:
            sentence = f"{name!r} is in {register.unit}; scale it to {' or '.join(units)} in its definition"
            references.report(path, sentence, ProfileRule.WRONG_UNIT)
            break


def _meter_keys(profile: DeviceProfile) -> Iterator[tuple[KeyPath, tuple[str, ...], tuple[str, ...]]]:
    meter = profile.meter
    yield ("meter", "energy_wh"), meter.energy_wh, ENERGY_UNITS
    yield ("meter", "power_w"), meter.power_w, _UNITS["power_w"]
    yield ("meter", "current_a"), tuple(name for name in meter.current_a if name), ("A",)
    yield ("meter", "voltage_v"), tuple(name for name in meter.voltage_v if name), ("V",)
    for key in ("frequency_hz", "temperature_c", "soc_pct"):
        name = getattr(meter, key)
        yield ("meter", key), (name,) if name else (), _UNITS[key]


def _check_toggles(references: References) -> None:
    profile = references.profile
    for key, on, off, toggle in (
        ("permit", "allow", "withhold", profile.permit),
        ("availability", "in_service", "out_of_service", profile.availability),
        ("lock_control", "lock", "unlock", profile.lock_control),
    ):
        if toggle is None:
            continue
        references.must_write(toggle.register, (key, "register"))
        references.must_fit(toggle.register, toggle.on, (key, on))
        references.must_fit(toggle.register, toggle.off, (key, off))
        if _writes_the_same(references, toggle):
            references.report((key,), "both sides write the same value", ProfileRule.SAME_ON_BOTH_SIDES)
        _check_each(references, toggle.sense, (key, "sense"), None)


def _writes_the_same(references: References, toggle: Toggle) -> bool:
    for register in references.profile.registers.get(toggle.register, ()):
        try:
            sides = [register.codec.encode(register.value_of(value)) for value in (toggle.on, toggle.off)]
        except (CodecError, OverflowError):
            continue
        if sides[0] == sides[1]:
            return True
    return False


def _check_limit(references: References, limit: Limit) -> None:
    references.must_write(limit.register, ("limit", "register"))
    references.must_fit(limit.register, limit.withhold_a or 0, ("limit", "withhold_a"))
    for key, value in (("min_a", limit.min_a), ("max_a", limit.max_a)):
        references.must_fit(limit.register, value, ("limit", key))
    references.must_read(limit.sense, ("limit", "sense"))
    references.must_read(limit.max_from, ("limit", "max_from"), polled=False)
    for key, name in (("register", limit.register), ("sense", limit.sense), ("max_from", limit.max_from)):
        if name is not None:
            _check_quantity(references, name, ("limit", key), ("A",))
    for key, value in (("min_a", limit.min_a), ("max_a", limit.max_a)):
        if not _is_whole(value / limit.step_a):
            sentence = f"{value:g} A is no whole number of steps of {limit.step_a:g} A and would be rounded down"
            references.report(("limit", key), sentence, ProfileRule.LIMIT_STEP)
    for register in references.variants(limit.register, ("limit", "register")):
        if register.codec.is_number and register.codec.kind is not Kind.FLOAT:
            scale = abs(register.codec.scale)
            if not _is_whole(limit.step_a / scale):
                sentence = f"a step of {limit.step_a:g} A cannot be written: {limit.register!r} counts {scale:g} A"
                references.report(("limit", "step_a"), sentence, ProfileRule.LIMIT_STEP)
                break


def _is_whole(quotient: float) -> bool:
    return quotient > 1 - NEARLY and abs(quotient - round(quotient)) <= NEARLY * max(1.0, quotient)


def _check_settings(references: References) -> None:
    profile = references.profile
    for i, write in enumerate(profile.wake):
        references.write(write, ("wake", str(i)))
    seen: set[str] = set()
    for i, init in enumerate(profile.init):
        path = ("init", str(i))
        references.write(WriteStep(init.register, init.value), path)
        references.must_read(init.sense, (*path, "sense"), polled=False)
        if init.register in seen:
            references.report(path, f"{init.register!r} is set twice", ProfileRule.INIT_WRITTEN_TWICE)
        seen.add(init.register)
    keep_alive = profile.keep_alive
    if keep_alive is None:
        return
    if keep_alive.write is not None:
        references.write(keep_alive.write, ("keep_alive", "write"))
    if keep_alive.by is KeepAliveBy.SETPOINT and profile.limit is None:
        sentence = "setpoint rewrites the limit, and there is no limit"
        references.report(("keep_alive", "by"), sentence, ProfileRule.KEEP_ALIVE_WITHOUT_LIMIT)
