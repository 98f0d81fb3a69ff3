"""From what is wanted of a charging point to what its controller is set to. PURE.

Owns: the current it may give, whether it gives, sleeps or is out of service. Refuses to know: how that is written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from edged.chargers.rapi.profile import RapiProfile
from edged.chargers.rapi.replies import Capacity, EvseState, Status
from edged.domain.hardware import Desired


class Mode(StrEnum):
    ENABLED = "enabled"
    ASLEEP = "asleep"
    DISABLED = "disabled"

    @property
    def command(self) -> str:
        return {Mode.ENABLED: "FE", Mode.ASLEEP: "FS", Mode.DISABLED: "FD"}[self]

    def is_reached(self, status: Status) -> bool:
        """A fault holds energy back by itself, and is not hidden behind sleep; what comes after it is judged anew."""
        match self:
            case Mode.ENABLED:
                return not status.is_off and not status.is_locked
            case Mode.ASLEEP:
                return status.state is EvseState.SLEEPING or status.is_faulty
            case Mode.DISABLED:
                return status.state is EvseState.DISABLED or status.is_faulty


@dataclass(frozen=True, slots=True)
class Target:
    """`amperes` None: less is allowed than charging takes, so the current stays what it is and energy is withheld."""

    mode: Mode
    amperes: int | None


def allowed_a(
    profile: RapiProfile, capacity: Capacity | None, *, wanted_ma: int | None, max_current_ma: int | None
) -> int | None:
    """The least of all bounds in whole ampere; None where it is less than charging takes."""
    bounds = [profile.max_a * 1000, *(ma for ma in (wanted_ma, max_current_ma) if ma is not None)]
    least = profile.min_a
    if capacity is not None:
        bounds.append(capacity.max_a * 1000)
        least = max(least, capacity.min_a)
    amperes = math.floor(min(bounds) / 1000)
    return amperes if amperes >= least else None


def target_for(
    profile: RapiProfile, desired: Desired, capacity: Capacity | None, *, max_current_ma: int | None
) -> Target:
    amperes = allowed_a(profile, capacity, wanted_ma=desired.current_limit_ma, max_current_ma=max_current_ma)
    if not desired.operative and profile.may_disable:
        mode = Mode.DISABLED
    elif desired.permit_charging and desired.operative and amperes is not None:
        mode = Mode.ENABLED
    else:
        mode = Mode.ASLEEP
    return Target(mode, amperes)
