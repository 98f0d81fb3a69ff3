"""Whether what a profile's parts ask and tell can be asked of and told to the registers they name. PURE.

Owns: look-up of the registers that a part names, what a condition can hold for, what a write can say. Knows which parts
have been told to be wrong already, and says nothing more of those.
Refuses to know: which parts there are (`profile_checks`).
"""

from __future__ import annotations

from collections.abc import Iterable

from edged.chargers.modbus import Table
from edged.chargers.profile import DeviceProfile
from edged.chargers.profile_document import Findings, KeyPath, shown
from edged.chargers.profile_rules import ProfileRule
from edged.chargers.profile_terms import Condition, Poll, Register, Relation, WriteFunction, WriteStep, is_text
from edged.chargers.registers import Codec, CodecError, Kind, Value
from edged.domain.hardware import ChargerState

NEARLY = 1e-6
_ORDERED = (Relation.BELOW, Relation.AT_LEAST)


class References:
    """Checks of one profile's references; `findings` already holds what was wrong with its parts by themselves."""

    def __init__(self, profile: DeviceProfile, findings: Findings) -> None:
        self.profile = profile
        self._findings = findings
        self._wrong = frozenset(path for path in findings.wrong if path)
        self._above = frozenset(path[:i] for path in self._wrong for i in range(1, len(path)))
        has_registers = isinstance(findings.root.value, dict) and "registers" in findings.root.value
        self._knows_registers = has_registers and ("registers",) not in self._wrong

    def is_told(self, path: KeyPath) -> bool:
        """Whether something at `path`, above or below it has been told to be wrong before these checks."""
        return path in self._above or any(path[:i] in self._wrong for i in range(1, len(path) + 1))

    def report(self, path: KeyPath, sentence: str, rule: ProfileRule) -> None:
        if not self.is_told(path):
            self._findings.add(path, sentence, rule=rule)

    def variants(self, name: str, path: KeyPath) -> tuple[Register, ...]:
        """The definitions of a register; an error where there is none. Empty too where it is told to be wrong."""
        if not name or not self._knows_registers or self.is_told(("registers", name)):
            return ()
        found = self.profile.registers.get(name, ())
        if not found:
            sentence = f"there is no register {shown(name)!r} under registers"
            self.report(path, sentence, ProfileRule.NO_SUCH_REGISTER)
        return found

    def must_read(self, name: str | None, path: KeyPath, *, polled: bool = True) -> None:
        if name is None:
            return
        for register in self.variants(name, path):
            if not register.readable:
                sentence = f"the register {name!r} can only be written"
                self.report(path, sentence, ProfileRule.WRITE_ONLY_REGISTER)
            elif register.poll is Poll.NEVER or (polled and register.poll is not Poll.ALWAYS):
                sentence = f"the register {name!r} has poll: {register.poll} and would not be read for this"
                self.report(path, sentence, ProfileRule.NOT_POLLED)

    def must_write(self, name: str, path: KeyPath) -> None:
        """The register can be written."""
        for register in self.variants(name, path):
            words = register.codec.words
            if not register.writable:
                sentence = f"the register {name!r} can only be read; add access: rw or w"
                self.report(path, sentence, ProfileRule.READ_ONLY_REGISTER)
            elif register.table is Table.HOLDING and self._is_single and words > 1:
                sentence = f"{name!r} has {words} registers, which the single write function cannot write"
                self.report(path, sentence, ProfileRule.WRITE_FUNCTION)

    def must_fit(self, name: str, value: Value, path: KeyPath) -> None:
        """A value that is written fits every variant of a register that can be written."""
        for register in self.profile.registers.get(name, ()):
            if not register.writable or self.is_told(("registers", name)):
                continue
            refused = why_not_written(register, value)
            if refused is not None:
                self.report(path, refused, ProfileRule.VALUE_DOES_NOT_FIT)

    @property
    def _is_single(self) -> bool:
        return self.profile.bus.write_function is WriteFunction.SINGLE

    def write(self, write: WriteStep, path: KeyPath) -> None:
        self.must_write(write.register, path)
        self.must_fit(write.register, write.value, path)

    def condition(
        self,
        condition: Condition,
        path: KeyPath,
        *,
        polled: bool = True,
        states: Iterable[ChargerState] | None = None,
    ) -> None:
        """The register is read for it, and it can hold. `states`: those that can be by then, None if none is told."""
        self.must_read(condition.register, path, polled=polled)
        if condition.states is not None and states is None:
            sentence = "no state is known here: with while this never holds"
            self.report((*path, "while"), sentence, ProfileRule.IMPOSSIBLE_CONDITION)
        elif condition.states is not None and not condition.states.intersection(states or ()):
            sentence = f"no state is {' or '.join(sorted(condition.states))} by then, so that this never holds"
            self.report((*path, "while"), sentence, ProfileRule.IMPOSSIBLE_CONDITION)
        for register in self.variants(condition.register, path):
            never = why_impossible(register, condition)
            if never is not None:
                self.report(path, never, ProfileRule.IMPOSSIBLE_CONDITION)
                break


def why_not_written(register: Register, value: Value) -> str | None:
    """Why a value cannot be written as it is, None where it can."""
    wanted = register.value_of(value)
    try:
        words = register.codec.encode(wanted)
    except (CodecError, OverflowError) as error:
        return str(error) if len(str(wanted)) <= 60 else f"{shown(str(wanted))} does not fit"
    written = register.codec.decode(words)
    if isinstance(wanted, (int, float)) and isinstance(written, (int, float)) and not _near(written, wanted):
        return f"{wanted!r} would be written as {written!r}: it does not fit the scale of {register.name!r}"
    return None


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= NEARLY * max(1.0, abs(one), abs(other))


def why_impossible(register: Register, condition: Condition) -> str | None:
    """Why a register can never be what a condition asks for, None where it can."""
    codec = register.codec
    numeric = not is_text(register) and codec.kind is not Kind.BYTES
    if condition.relation in (Relation.IS, Relation.IS_NOT):
        sentences = (why_never(register, operand) for operand in condition.operands)
        return next((sentence for sentence in sentences if sentence is not None), None)
    if not numeric:
        return f"{condition.relation} asks for a number, {register.name!r} is none"
    if condition.relation in _ORDERED:
        bound = condition.operands[0]
        assert isinstance(bound, (int, float))  # the reader said so
        low, high = _range(codec)
        if bound <= low and condition.relation is Relation.BELOW:
            return f"{register.name!r} is never below {bound!r}"
        if bound > high and condition.relation is Relation.AT_LEAST:
            return f"{register.name!r} is never {bound!r} or more"
        return None
    if codec.kind is Kind.FLOAT or codec.is_scaled:
        return f"{register.name!r} is scaled and has no bits"
    if any(isinstance(bit, int) and bit >= codec.width for bit in condition.operands):
        return f"the register {register.name!r} has only bits 0..{codec.width - 1}"
    return None


def why_never(register: Register, value: Value) -> str | None:
    """Why the register can never hold the value, None where it can."""
    codec = register.codec
    numeric = not is_text(register) and codec.kind is not Kind.BYTES
    if isinstance(value, str) is numeric:
        what = "a number" if numeric else "a text" if is_text(register) else "bytes"
        return f"{_said(value)} can never be the value of {register.name!r}, {what}"
    if codec.kind is Kind.BYTES:
        return f"{register.name!r} is bytes, which nothing is compared with"
    try:
        decoded = codec.decode(codec.encode(value))
    except (CodecError, OverflowError):
        return f"{_said(value)} does not fit into the register {register.name!r}"
    if decoded is None:
        return f"{_said(value)} stands for no value in {register.name!r} and never holds"
    if decoded != value:
        return f"{_said(value)} can never be the value of {register.name!r}, which would read {decoded!r}"
    return None


def _said(value: Value) -> str:
    return repr(shown(value)) if isinstance(value, str) else shown(repr(value))


def _range(codec: Codec) -> tuple[float, float]:
    """The least and the greatest value."""
    if codec.kind is Kind.FLOAT:
        return float("-inf"), float("inf")
    ends = [raw * codec.scale + codec.offset for raw in codec.raw_range]
    return min(ends), max(ends)
