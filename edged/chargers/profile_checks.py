"""What the parts of a profile must agree on. PURE.

Owns: references between parts, overlapping definitions, values that do not fit, sequences that cannot end, addresses
that the device forbids. Refuses to know: how a profile is written. Every finding names a line through its key path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from edged.chargers.profile import DeviceProfile, KeepAliveBy, Toggle
from edged.chargers.profile_document import Findings, KeyPath
from edged.chargers.profile_terms import (
    CheckStep,
    Condition,
    PauseStep,
    PointsBy,
    Poll,
    Register,
    Relation,
    RestartStep,
    Rule,
    WaitStep,
    WriteFunction,
    WriteStep,
    is_text,
)
from edged.chargers.registers import CodecError, Kind, Value

T = TypeVar("T")
LONGEST_ACTION_S = 30.0
"""A command may take 30 s at most (contract/mqtt: unlock and reset)."""
ENERGY_UNITS = ("Wh", "VAh")
_UNITS = {"power_w": ("W", "VA"), "frequency_hz": ("Hz",), "temperature_c": ("degC",), "soc_pct": ("%",)}


def check_profile(profile: DeviceProfile, findings: Findings) -> None:
    """Adds an error for everything that the parts do not agree on."""
    checks = _Checks(profile, findings)
    checks.registers()
    checks.points()
    checks.reading()
    checks.meter()
    checks.writing()
    checks.actions()


class _Checks:
    def __init__(self, profile: DeviceProfile, findings: Findings) -> None:
        self.profile = profile
        self.findings = findings

    def variants(self, name: str, path: KeyPath) -> tuple[Register, ...]:
        """The definitions of a register; an error where there is none."""
        found = self.profile.registers.get(name, ())
        if not found:
            self.findings.add(path, f"there is no register {name!r} under registers")
        return found

    def must_read(self, name: str | None, path: KeyPath, *, polled: bool = True) -> None:
        if name is None:
            return
        for register in self.variants(name, path):
            if not register.readable:
                self.findings.add(path, f"the register {name!r} can only be written")
            elif register.poll is Poll.NEVER or (polled and register.poll is not Poll.ALWAYS):
                self.findings.add(
                    path, f"the register {name!r} has poll: {register.poll} and would not be read for this"
                )

    def must_write(self, name: str, value: Value | None, path: KeyPath) -> None:
        """The register can be written; `value`, where given, fits every variant of it."""
        for register in self.variants(name, path):
            if not register.writable:
                self.findings.add(path, f"the register {name!r} can only be read; add access: rw or w")
                continue
            single = self.profile.bus.write_function is WriteFunction.SINGLE
            if single and register.codec.words > 1:
                words = register.codec.words
                self.findings.add(path, f"{name!r} has {words} registers, which the single write function cannot write")
            if value is None:
                continue
            try:
                register.codec.encode(register.value_of(value))
            except CodecError as error:
                self.findings.add(path, str(error))

    def condition(self, condition: Condition, path: KeyPath, *, polled: bool = True) -> None:
        self.must_read(condition.register, path, polled=polled)
        for register in self.profile.registers.get(condition.register, ()):
            numeric = not is_text(register) and register.codec.kind is not Kind.BYTES
            if condition.relation in (Relation.IS, Relation.IS_NOT):
                for operand in condition.operands:
                    if isinstance(operand, str) is numeric:
                        what = "a number" if numeric else "a text"
                        self.findings.add(path, f"{operand!r} can never be the value of {register.name!r}, {what}")
                    elif not _can_be(register, operand):
                        self.findings.add(path, f"{operand!r} does not fit into the register {register.name!r}")
            elif not numeric:
                self.findings.add(path, f"{condition.relation} asks for a number, {register.name!r} is none")
            elif condition.relation in (Relation.ANY_BIT, Relation.NO_BIT):
                bits = register.codec.width
                if any(isinstance(bit, int) and bit >= bits for bit in condition.operands):
                    self.findings.add(path, f"the register {register.name!r} has only bits 0..{bits - 1}")

    def registers(self) -> None:
        for name, variants in self.profile.registers.items():
            for i, register in enumerate(variants):
                path = ("registers", name) if len(variants) == 1 else ("registers", name, str(i))
                if register.when is not None and self.profile.identity.firmware is None:
                    self.findings.add(
                        path, "when needs to know the firmware: name its register under identity.firmware"
                    )
                if register.codec.words > self.profile.bus.max_block:
                    self.findings.add(
                        path, f"{register.codec.words} registers do not fit into max_block {self.profile.bus.max_block}"
                    )
                if register.writable and register.codec.bits is not None:
                    self.findings.add(path, "single bits cannot be written: the others of the word would be lost")
                if register.writable and str(register.table) not in ("H", "C"):
                    self.findings.add(path, f"table {register.table} cannot be written; access must be r")
                for span in self.profile.bus.forbidden:
                    if register.readable and register.table is span.table and _meets(register, span.first, span.last):
                        self.findings.add(path, f"it lies in the forbidden addresses {span.first}..{span.last}")
        self._overlaps()

    def _overlaps(self) -> None:
        """Two names for the same words are a mistake, unless they hold at different firmware."""
        placed = sorted(
            (register for variants in self.profile.registers.values() for register in variants),
            key=lambda register: (register.table, register.address),
        )
        for i, one in enumerate(placed):
            for other in placed[i + 1 :]:
                if other.table is not one.table or other.address >= one.address + one.codec.words:
                    break
                if one.name != other.name and one.when == other.when and not _are_separate(one, other):
                    self.findings.add(
                        ("registers", other.name),
                        f"address {other.address} of table {other.table} already belongs to {one.name!r}",
                    )

    def points(self) -> None:
        points = self.profile.points
        self.must_read(points.present, ("points", "present"), polled=False)
        reach = (points.count - 1) * points.stride
        own = [r for variants in self.profile.registers.values() for r in variants if not r.shared]
        if points.by is PointsBy.ADDRESS:
            for register in own:
                if register.address + register.codec.words + reach > 0x10000:
                    self.findings.add(("registers", register.name), f"point {points.count} lies beyond address 65535")
        elif points.by is PointsBy.UNIT_ID and self.profile.bus.unit_id + reach > 255:
            self.findings.add(("points", "stride"), f"point {points.count} would have a unit id above 255")
        elif points.by is PointsBy.PORT and self.profile.bus.port + reach > 65535:
            self.findings.add(("points", "stride"), f"point {points.count} would have a port above 65535")

    def reading(self) -> None:
        profile = self.profile
        for key in ("firmware", "serial_number", "model"):
            self.must_read(getattr(profile.identity, key), ("identity", key), polled=False)
        self.must_read(profile.state.register, ("state", "register"))
        for register in profile.registers.get(profile.state.register, ()):
            for raw in profile.state.states:
                if isinstance(raw, str) is not is_text(register) or not _can_be(register, raw):
                    path = ("state", "map", str(raw))
                    self.findings.add(path, f"{raw!r} can never be the value of {register.name!r}")
        self.rules(profile.state.overlays, ("state", "overlays"))
        self.rules(profile.plugged, ("plugged",))
        self.rules(profile.lock, ("lock",))
        for i, fault in enumerate(profile.faults):
            self.condition(fault.condition, ("faults", str(i)))
        if isinstance(profile.detachable, Condition):
            self.condition(profile.detachable, ("detachable",), polled=False)
        for i, condition in enumerate(profile.boot):
            self.condition(condition, ("boot", str(i)))
        self.must_read(profile.boot_falls, ("boot_falls",))
        if profile.token is not None:
            self.must_read(profile.token.register, ("token", "register"))
            if profile.token.clear is not None:
                self.write(profile.token.clear, ("token", "clear"))

    def rules(self, rules: Sequence[Rule[T]], path: KeyPath) -> None:
        for i, rule in enumerate(rules):
            self.condition(rule.condition, (*path, str(i)))

    def meter(self) -> None:
        meter = self.profile.meter
        for path, names, units in self._meter_keys():
            for name in names:
                self.must_read(name, path)
                for register in self.profile.registers.get(name, ()):
                    if is_text(register) or register.codec.kind is Kind.BYTES:
                        self.findings.add(path, f"{name!r} is no number")
                    elif register.unit and register.unit not in units:
                        wanted = " or ".join(units)
                        self.findings.add(
                            path, f"{name!r} is in {register.unit}; scale it to {wanted} in its definition"
                        )
        if len(set(meter.energy_wh)) != len(meter.energy_wh) or len(set(meter.power_w)) != len(meter.power_w):
            self.findings.add(("meter",), "a register is added to itself")

    def _meter_keys(self) -> Iterator[tuple[KeyPath, tuple[str, ...], tuple[str, ...]]]:
        meter = self.profile.meter
        yield ("meter", "energy_wh"), meter.energy_wh, ENERGY_UNITS
        yield ("meter", "power_w"), meter.power_w, _UNITS["power_w"]
        yield ("meter", "current_a"), tuple(name for name in meter.current_a if name), ("A",)
        yield ("meter", "voltage_v"), tuple(name for name in meter.voltage_v if name), ("V",)
        for key in ("frequency_hz", "temperature_c", "soc_pct"):
            name = getattr(meter, key)
            yield ("meter", key), (name,) if name else (), _UNITS[key]

    def write(self, write: WriteStep, path: KeyPath) -> None:
        self.must_write(write.register, write.value, path)

    def toggle(self, toggle: Toggle | None, key: str) -> None:
        if toggle is None:
            return
        self.must_write(toggle.register, toggle.on, (key,))
        self.must_write(toggle.register, toggle.off, (key,))
        if toggle.on == toggle.off:
            self.findings.add((key,), "both sides write the same value")
        self.rules(toggle.sense, (key, "sense"))

    def writing(self) -> None:
        profile = self.profile
        self.toggle(profile.permit, "permit")
        self.toggle(profile.availability, "availability")
        self.toggle(profile.lock_control, "lock_control")
        for i, write in enumerate(profile.wake):
            self.write(write, ("wake", str(i)))
        for i, init in enumerate(profile.init):
            self.must_write(init.register, init.value, ("init", str(i)))
            self.must_read(init.sense, ("init", str(i), "sense"), polled=False)
        keep_alive = profile.keep_alive
        if keep_alive is not None and keep_alive.write is not None:
            self.write(keep_alive.write, ("keep_alive", "write"))
        if keep_alive is not None and keep_alive.by is KeepAliveBy.SETPOINT and profile.limit is None:
            self.findings.add(("keep_alive", "by"), "setpoint rewrites the limit, and there is no limit")
        limit = profile.limit
        if limit is not None:
            for value in (limit.min_a, limit.max_a, limit.withhold_a):
                self.must_write(limit.register, value, ("limit",))
            self.must_read(limit.sense, ("limit", "sense"))
            self.must_read(limit.max_from, ("limit", "max_from"), polled=False)
            for register in profile.registers.get(limit.register, ()):
                if register.unit not in ("", "A"):
                    self.findings.add(
                        ("limit", "register"), f"it is in {register.unit}; scale it to A in its definition"
                    )

    def actions(self) -> None:
        for name, sequence in self.profile.actions.items():
            path: KeyPath = ("actions", name)
            if sequence.longest_s > LONGEST_ACTION_S:
                longest = f"{sequence.longest_s:g} s"
                self.findings.add(path, f"its waits may take {longest}, an action has {LONGEST_ACTION_S:g} s")
            if not any(isinstance(step, WriteStep) for step in sequence.steps):
                self.findings.add(path, "it writes nothing")
            last = sequence.steps[-1] if sequence.steps else None
            if isinstance(last, (WriteStep, PauseStep)):
                self.findings.add(path, "it ends without reading back; end it with wait, fails_if or restart")
            for i, step in enumerate(sequence.steps):
                at = (*path, "steps", str(i))
                match step:
                    case WriteStep():
                        self.write(step, (*at, "write"))
                    case WaitStep():
                        self.condition(step.condition, (*at, "wait"), polled=False)
                    case CheckStep():
                        self.condition(step.fails_if, (*at, "fails_if"), polled=False)
                    case RestartStep():
                        if step.sign is not None:
                            self.condition(step.sign, (*at, "restart", "sign"), polled=False)
                    case PauseStep():
                        pass


def _meets(register: Register, first: int, last: int) -> bool:
    return register.address <= last and register.address + register.codec.words > first


def _are_separate(one: Register, other: Register) -> bool:
    """Whether two definitions of the same words are fields of them that share no bit."""
    if one.address != other.address or one.codec.words != other.codec.words:
        return False
    if one.codec.bits is None or other.codec.bits is None:
        return False
    return one.codec.bits[1] < other.codec.bits[0] or other.codec.bits[1] < one.codec.bits[0]


def _can_be(register: Register, value: Value) -> bool:
    """Whether the register can ever hold the value (texts: whether it is short enough)."""
    if isinstance(value, str):
        characters = {Kind.TEXT: 2 * register.codec.words, Kind.UTF16: register.codec.words, Kind.CHAR: 1}
        return len(value) <= characters.get(register.codec.kind, 0)
    try:
        register.codec.encode(value)
    except CodecError:
        return False
    return True
