"""What was written to a charging point in this session, and whether it has to be written again. PURE.

Owns: what counts as taken, how long a charger may take to show a value, how often one that does not show it is told
again. Refuses to know: how a register is written or read, what it means.

Invariants: nothing is written twice without a reason: the charger shows something else, may have restarted, or did not
answer. Registers wear: where the reason stays the same the pauses between two writes grow up to `LONGEST_PAUSE_S`, but
for energy that is to be withheld.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from edged.chargers.profile_terms import Register, Values
from edged.chargers.registers import Value
from edged.chargers.targets import Target

LONGEST_PAUSE_S = 120.0
FIRST_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The last write of a register. `shown`: the charger has reported it since. `repeats`: how often it was written for
    one and the same reason. `target` None: an action wrote it."""

    value: Value
    at_s: float
    target: Target | None = None
    shown: bool = False
    repeats: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`write` it now, or not. `complaint`: why it is not as wanted though it was written; None where it is."""

    write: bool
    complaint: str | None = None


class Ledger:
    """By the register's name."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._doubtful: set[str] = set()

    def forget(self, name: str | None = None) -> None:
        """The charger may have anything there: in this register, or everywhere."""
        if name is None:
            self._entries.clear()
            self._doubtful.clear()
        else:
            self._entries.pop(name, None)

    def doubt(self, names: Iterable[str] | None = None) -> None:
        """The charger was silent: it may not have what was written. A value that it shows is believed all the same."""
        self._doubtful.update(self._entries if names is None else names)

    def note(self, name: str, value: Value, *, at_s: float, target: Target | None = None) -> None:
        """It was written."""
        former = self._entries.get(name)
        again = former is not None and target is not None and former.value == value
        repeats = former.repeats + 1 if former is not None and again and self._insists(former, at_s) else 0
        self._entries[name] = Entry(value=value, at_s=at_s, target=target, repeats=repeats)
        self._doubtful.discard(name)

    def look(self, values: Values, registers: Mapping[str, Register]) -> None:
        """Take notice of what the charger shows."""
        for name, entry in self._entries.items():
            if not entry.shown and entry.target is not None and entry.target.is_reached(values, registers):
                self._entries[name] = replace(entry, shown=True)

    def written_at_s(self, name: str) -> float:
        return self._entries[name].at_s

    def verdict(self, target: Target, values: Values, registers: Mapping[str, Register], now_s: float) -> Verdict:
        """Whether a target has to be written, by what the charger shows and by what was written."""
        entry = None if target.register in self._doubtful else self._entries.get(target.register)
        same = entry is not None and entry.value == target.value
        reached = target.is_reached(values, registers)
        if reached:
            if not same:
                self.note(target.register, target.value, at_s=now_s, target=target)
            self.look(values, registers)
            return Verdict(write=False)
        if entry is None or not same:
            return Verdict(write=True)
        if reached is None:
            return Verdict(write=False)
        return self._missed(entry, target, now_s)

    def _missed(self, entry: Entry, target: Target, now_s: float) -> Verdict:
        """It was written, and the charger shows something else."""
        waited_s = now_s - entry.at_s
        if not entry.shown and waited_s < target.settle_s:
            return Verdict(write=False)
        complaint = f"{target.register} did not take {target.value!r} within {target.settle_s:g} s"
        if entry.shown:
            complaint = f"{target.register} had {target.value!r} and was changed by somebody else, or forgotten"
            if entry.repeats:
                complaint = f"{target.register} is changed by somebody else again and again, from {target.value!r}"
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**entry.repeats) if entry.repeats else 0.0
        return Verdict(write=target.is_urgent or waited_s >= pause_s, complaint=complaint)

    @staticmethod
    def _insists(entry: Entry, at_s: float) -> bool:
        """Whether the same value once more goes on with what was begun, or is a new beginning."""
        return at_s - entry.at_s <= 2 * LONGEST_PAUSE_S
