"""Whether the words of numbers come in another order than a profile says. PURE.

Owns: what a number can be. Refuses to know: profiles, how registers were read.
Invariant: nothing is suspected because of one reading alone that is possible in both orders; nothing is ever turned
round by itself: the values of both orders are shown, and a person decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from edged.chargers.profile_terms import Register
from edged.chargers.registers import Codec, Kind, WordOrder

_POSSIBLE: Mapping[str, tuple[float, float]] = {
    "V": (20, 1100),
    "A": (0.001, 1000),
    "Hz": (40, 70),
    "degC": (-60, 200),
    "W": (0.001, 2e6),
    "kW": (0.001, 2000),
    "VA": (0.001, 2e6),
    "Wh": (0.001, 1e9),
    "kWh": (0.0001, 1e6),
    "%": (0.001, 1000),
    "s": (0.001, 4e9),
}
"""The absolute value of what is not zero. Wide: what is outside can be no charger's."""
_ANY = (1e-4, 4e9)
_NUMBERS = frozenset({Kind.UNSIGNED, Kind.SIGNED, Kind.FLOAT})


class _Sense(Enum):
    NONE = "cannot be"
    DOUBTFUL = "could be, and is what a number read the wrong way round looks like"
    SOME = "can be"
    OPEN = "says nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """A register that makes no sense as the profile reads it, and some in the other order (`other`, as `value`)."""

    name: str
    unit: str
    value: float | None
    other: float

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        reads = "no number" if self.value is None else f"{self.value:.6g}{unit}"
        return f"{self.name} reads {reads}, and {self.other:.6g}{unit} with its words in the other order"


def suspects(registers: Mapping[str, Register], words: Mapping[str, tuple[int, ...]]) -> tuple[Suspicion, ...]:
    """The registers whose words come in another order, as it seems, by name.

    A number whose lower word is empty (65,536 of something) is rare, and a small one read the wrong way round always
    has it; a float of almost nothing is noise, or its exponent stands in the wrong word. Both are suspected as long as
    no other register of the same order speaks for that order.
    """
    found: dict[str, tuple[_Sense, _Sense, Suspicion]] = dict(_weighed(registers, words))
    proven = {
        registers[name].codec.word_order
        for name, (own, other, _) in found.items()
        if own is _Sense.SOME and other is not _Sense.SOME
    }
    return tuple(
        suspicion
        for name, (own, other, suspicion) in sorted(found.items())
        if other is _Sense.SOME
        and (own is _Sense.NONE or (own is _Sense.DOUBTFUL and registers[name].codec.word_order not in proven))
    )


def _weighed(
    registers: Mapping[str, Register], words: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[str, tuple[_Sense, _Sense, Suspicion]]]:
    for name, raw in words.items():
        register = registers[name]
        codec = register.codec
        if codec.kind not in _NUMBERS or codec.words < 2 or codec.bits is not None or not any(raw):
            continue
        if codec.kind is not Kind.FLOAT and not register.unit:
            continue  # a code or a counter of something: any number will do
        turned = replace(codec, word_order=WordOrder.LITTLE if codec.word_order is WordOrder.BIG else WordOrder.BIG)
        value, other = codec.decode(raw), turned.decode(raw)
        if isinstance(other, (int, float)) and (value is None or isinstance(value, (int, float))):
            suspicion = Suspicion(name=name, unit=register.unit, value=value, other=other)
            yield name, (_sense(register, codec, raw), _sense(register, turned, raw), suspicion)


def _sense(register: Register, codec: Codec, raw: tuple[int, ...]) -> _Sense:
    value = codec.decode(raw)
    if not isinstance(value, (int, float)):
        # A sentinel says that there is no value; a float that is none says nothing of the kind.
        return _Sense.NONE if codec.kind is Kind.FLOAT else _Sense.OPEN
    low, high = _POSSIBLE.get(register.unit, _ANY)
    if not math.isfinite(value) or abs(value) > high:
        return _Sense.NONE
    if abs(value) < low:
        return _Sense.DOUBTFUL  # the noise of a meter at rest, or the exponent in the wrong place
    ordered = raw if codec.word_order is WordOrder.BIG else raw[::-1]
    if codec.kind is not Kind.FLOAT and not any(ordered[-1:]):
        return _Sense.DOUBTFUL
    return _Sense.SOME
