"""Whether what a device answered is what a profile expects, with the evidence. PURE.

Owns: what counts for and against a profile, and how much. Refuses to know: lines, units, how registers were read.
Invariant: a verdict never rests on anything that is not in its evidence; zeros prove nothing, since a device may answer
zero to whatever it is asked.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from edged.chargers.meaning import shown
from edged.chargers.profile import DeviceProfile
from edged.chargers.profile_terms import Poll, Register, Values, is_text
from edged.chargers.registers import Kind
from edged.chargers.word_order import suspects

ENOUGH = 8
_PLAUSIBLE: Mapping[str, tuple[float, float]] = {"V": (80, 300), "Hz": (45, 65), "degC": (-50, 130), "A": (0, 400)}
"""What a value of this unit can be when it is not zero."""


class Verdict(StrEnum):
    FITS = "fits"
    MAY_FIT = "may fit"
    DOES_NOT_FIT = "does not fit"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that speaks for a profile (weight above 0) or against it."""

    text: str
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How well a profile fits; of two the one with the higher score fits better."""

    profile: str
    verdict: Verdict
    score: int
    evidence: tuple[Evidence, ...]

    @property
    def rank(self) -> tuple[int, int, str]:
        """Best first."""
        return (list(Verdict).index(self.verdict), -self.score, self.profile)

    @property
    def against(self) -> tuple[str, ...]:
        return tuple(each.text for each in self.evidence if each.weight < 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a device answered to the registers of a profile, by name. What was not asked is in none of them."""

    registers: Mapping[str, Register]
    values: Values
    words: Mapping[str, tuple[int, ...]]
    refused: Collection[str] = ()
    silent: Collection[str] = ()


def judge(profile: DeviceProfile, answers: Answers) -> Fit:
    """Weigh everything that was answered."""
    evidence = [*_state(profile, answers), *_identity(profile, answers), *_maker(profile, answers)]
    evidence += [*_measured(profile, answers), *_labels(answers), *_readable(answers)]
    score = sum(each.weight for each in evidence)
    return Fit(
        profile=profile.name,
        verdict=_verdict(profile, answers, evidence, score),
        score=score,
        evidence=tuple(sorted(evidence, key=lambda each: -abs(each.weight))),
    )


def is_state_known(profile: DeviceProfile, answers: Answers) -> bool:
    """Whether the state register reads as one of the profile's states."""
    return answers.values.get(profile.state.register) in profile.state.states


def _verdict(profile: DeviceProfile, answers: Answers, evidence: list[Evidence], score: int) -> Verdict:
    if not is_state_known(profile, answers):
        return Verdict.DOES_NOT_FIT
    if score >= ENOUGH and not any(each.weight < 0 for each in evidence):
        return Verdict.FITS
    return Verdict.MAY_FIT if score > 0 else Verdict.DOES_NOT_FIT


def _state(profile: DeviceProfile, answers: Answers) -> Iterator[Evidence]:
    name = profile.state.register
    if name in answers.refused:
        yield Evidence(f"its state register {_place(answers, name)} does not exist here", -10)
    elif name in answers.silent:
        yield Evidence(f"its state register {_place(answers, name)} is not answered", -10)
    elif name in answers.values:
        value = answers.values[name]
        state = None if value is None else profile.state.states.get(value)
        if state is None:
            yield Evidence(f"{name} reads {_raw(answers, name)}, which is no state of it", -10)
        else:
            told = f"{name} reads {shown(value)}: {state.value.replace('_', ' ')}"
            yield Evidence(told, 3 if any(answers.words[name]) else 1)


def _identity(profile: DeviceProfile, answers: Answers) -> Iterator[Evidence]:
    identity = profile.identity
    told = [
        n for n in (identity.model, identity.serial_number, identity.firmware) if n is not None and n in answers.values
    ]
    if told and not any(any(answers.words[name]) for name in told):
        yield Evidence("it does not say who it is", -2)
    for name in told:
        words = answers.words[name]
        if not any(words):
            yield Evidence(f"{name} is empty", 0)
        elif not is_text(answers.registers[name]):
            yield Evidence(f"{name} reads {_raw(answers, name)}", 1)
        elif is_printable(answers.registers[name], words):
            yield Evidence(f'{name} reads "{shown(answers.values[name])}"', 3)
        else:
            yield Evidence(f"{name} should be a text and reads {_raw(answers, name)}", -5)


def _maker(profile: DeviceProfile, answers: Answers) -> Iterator[Evidence]:
    """A text that has the maker's name in it."""
    maker = profile.vendor.split()[0].casefold()
    for name, value in answers.values.items():
        if isinstance(value, str) and maker in value.casefold():
            yield Evidence(f'{name} names the maker: "{value}"', 6)
            return


def _measured(profile: DeviceProfile, answers: Answers) -> Iterator[Evidence]:
    """Values with a unit that can, or cannot, be true."""
    turned = {each.name: each for each in suspects(answers.registers, answers.words)}
    yield from (Evidence(str(each), -4) for each in turned.values())
    for name in sorted(answers.values):
        register, value = answers.registers[name], answers.values[name]
        bounds = _PLAUSIBLE.get(register.unit)
        if bounds is None or not isinstance(value, (int, float)) or register.poll is not Poll.ALWAYS:
            continue
        if value == 0 or not math.isfinite(value):
            continue
        low, high = bounds
        if not low <= value <= high:
            if name not in turned:
                yield Evidence(f"{name} reads {shown(value)} {register.unit}, which cannot be", -4)
        elif register.unit in ("V", "Hz"):
            yield Evidence(f"{name} reads {shown(value)} {register.unit}", 2)


def _labels(answers: Answers) -> Iterator[Evidence]:
    """Registers that only take certain values."""
    for name, register in answers.registers.items():
        value = answers.values.get(name)
        # A register that is written as well may hold what somebody left there.
        if value is None or len(register.names) < 2 or register.writable or register.codec.kind is Kind.BITS:
            continue
        if value in register.names.values():
            yield Evidence(f"{name} is one of its values", 1 if any(answers.words[name]) else 0)
        elif not isinstance(value, int) or value >= 0x100:
            yield Evidence(f"{name} reads {_raw(answers, name)}, which is none of its values", -2)


def _readable(answers: Answers) -> Iterator[Evidence]:
    asked = len(answers.values) + len(answers.refused) + len(answers.silent)
    if asked < 4:
        return
    yield Evidence(f"{len(answers.values)} of {asked} registers can be read", round(6 * len(answers.values) / asked))
    if not any(any(words) for words in answers.words.values()):
        yield Evidence("everything reads zero", -3)
    for names, how in ((answers.refused, "do not exist"), (answers.silent, "are not answered")):
        needed = [name for name in names if answers.registers[name].poll is Poll.ALWAYS]
        if needed:
            places = ", ".join(_place(answers, name) for name in needed[:3]) + (", ..." if len(needed) > 3 else "")
            yield Evidence(f"registers that it needs {how}: {places}", -2 * len(needed))


def is_printable(register: Register, words: tuple[int, ...]) -> bool:
    """Whether the words are a text from beginning to end."""
    data = b"".join(word.to_bytes(2, "big") for word in words)
    if register.codec.kind is Kind.UTF16:
        text = data.decode("utf-16-be", "replace")
    elif register.codec.kind is Kind.CHAR:
        text = chr(words[0] & 0xFF)
    else:
        text = data.decode("latin-1")
    text = text.partition("\0")[0].rstrip(" \xff\uffff")
    return bool(text) and text.isprintable() and text.isascii()


def _raw(answers: Answers, name: str) -> str:
    return " ".join(f"{word:04x}" for word in answers.words[name][:4]) + (
        " ..." if len(answers.words[name]) > 4 else ""
    )


def _place(answers: Answers, name: str) -> str:
    register = answers.registers[name]
    return f"{register.table}{register.address} ({name})"
