"""Readings of an energy register that are not believed yet. Who judges them: `energy_register`."""

from __future__ import annotations

from dataclasses import dataclass

from edged.domain.types import Now


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Readings of a register that follow from one another, but not from the one that was believed before them."""

    first_wh: float
    last_wh: float
    since: Now
    at: Now
    readings: int
