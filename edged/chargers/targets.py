"""From what is wanted to which registers should hold what, in which order. PURE.

Owns: the current limit's rules (never above any maximum, nothing between 0 and the minimum, rounded down to a step) and
the order of writes: energy is withheld before anything else changes, and permitted after everything else has.
Refuses to know: how a register is written, what it holds now.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from edged.chargers.profile import DeviceProfile, Limit, Toggle
from edged.chargers.profile_terms import Register, Values
from edged.chargers.registers import Value
from edged.domain.hardware import Desired


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A register and the value that it should be given. `toggle` and `is_on`, or `limit`, tell whether it has."""

    register: str
    value: Value
    settle_s: float
    is_urgent: bool = False
    toggle: Toggle | None = None
    is_on: bool = False
    limit: Limit | None = None

    def is_reached(self, values: Values, registers: Mapping[str, Register]) -> bool | None:
        """Whether the device reports the value; None where it does not tell."""
        if self.toggle is not None:
            side = self.toggle.side(values, registers)
            return None if side is None else side is self.is_on
        if self.limit is None or self.limit.sense is None:
            return None
        have = values.get(self.limit.sense)
        if not isinstance(have, (int, float)) or not isinstance(self.value, (int, float)):
            return None
        return abs(have - self.value) < self.limit.step_a / 2

    @property
    def senses(self) -> frozenset[str]:
        """The registers that tell."""
        if self.limit is not None:
            return frozenset() if self.limit.sense is None else frozenset({self.limit.sense})
        if self.toggle is None:
            return frozenset()
        if self.toggle.sense:
            return frozenset(rule.condition.register for rule in self.toggle.sense)
        return frozenset({self.register})


def allowed_a(
    profile: DeviceProfile, desired: Desired, *, max_current_ma: int | None, reported: Values
) -> float | None:
    """The limit in ampere, rounded down to a step; None where it is less than charging takes.

    It is the least of what is wanted, what the installation allows, what the profile and what the device itself state.
    """
    limit = profile.limit
    if limit is None:
        return None
    bounds = [limit.max_a]
    bounds += [ma / 1000 for ma in (desired.current_limit_ma, max_current_ma) if ma is not None]
    own = reported.get(limit.max_from) if limit.max_from is not None else None
    if isinstance(own, (int, float)) and own >= limit.min_a:
        bounds.append(float(own))
    steps = math.floor(min(bounds) / limit.step_a + 1e-6)
    ampere = round(steps * limit.step_a, 6)
    return ampere if ampere >= limit.min_a else None


def targets_for(
    profile: DeviceProfile, desired: Desired, *, max_current_ma: int | None, reported: Values
) -> tuple[Target, ...]:
    """The writes that make `desired` true, in their order. `reported`: what the device says of itself."""
    ampere = allowed_a(profile, desired, max_current_ma=max_current_ma, reported=reported)
    permit = desired.permit_charging and (profile.limit is None or ampere is not None)
    energy = _permit_targets(profile, permit)
    limit = _limit_targets(profile, ampere, permit)
    lock = _toggle_target(profile.lock_control, desired.locked)
    service = _toggle_target(profile.availability, desired.operative)
    if permit:
        return (*service, *lock, *limit, *energy)
    return (*energy, *limit, *service, *lock)


def can_withhold(profile: DeviceProfile) -> bool:
    return profile.permit is not None or (profile.limit is not None and profile.limit.withhold_a is not None)


def _permit_targets(profile: DeviceProfile, permit: bool) -> tuple[Target, ...]:
    return _toggle_target(profile.permit, permit, is_urgent=not permit)


def _limit_targets(profile: DeviceProfile, ampere: float | None, permit: bool) -> tuple[Target, ...]:
    limit = profile.limit
    if limit is None:
        return ()
    value = ampere
    if not permit and profile.permit is None:
        value = limit.withhold_a
    if value is None:
        return ()
    urgent = not permit and profile.permit is None
    return (Target(register=limit.register, value=value, settle_s=limit.settle_s, is_urgent=urgent, limit=limit),)


def _toggle_target(toggle: Toggle | None, side: bool | None, *, is_urgent: bool = False) -> tuple[Target, ...]:
    if toggle is None or side is None:
        return ()
    value = toggle.on if side else toggle.off
    return (
        Target(
            register=toggle.register,
            value=value,
            settle_s=toggle.settle_s,
            is_urgent=is_urgent,
            toggle=toggle,
            is_on=side,
        ),
    )
