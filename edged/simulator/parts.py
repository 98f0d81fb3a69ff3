"""What a charging point and a car are made of, and what can go wrong with them: the nouns of the model. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edged.domain.hardware import FaultCode
from edged.ports import EdgedError

WARNINGS = frozenset({FaultCode.POWER_METER, FaultCode.READER, FaultCode.WEAK_SIGNAL})
"""Faults that do not stop a charge; all others open the contactor."""


Value = int | str
"""What a register, or a named value, of a charger reads."""


class Impossible(EdgedError):
    """A person or a test asked for something that cannot be done to this charging point; the text says why."""


class Cable(StrEnum):
    SOCKET = "socket"  # the driver brings the cable: there is a lock
    TETHERED = "tethered"  # fixed to the charger: there is none


class LockPolicy(StrEnum):
    """When a socket closes its lock by itself."""

    OFFERED = "offered"  # while a car is plugged and energy is offered to it
    PLUGGED = "plugged"  # from plugging in to plugging out


class CpState(StrEnum):
    """The control pilot's letter (IEC 61851-1)."""

    A = "A"  # no car
    B = "B"  # car there, does not ask
    C = "C"  # car asks for energy
    D = "D"  # car asks and wants ventilation
    E = "E"  # fault
    F = "F"  # out of service


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerOn:
    """What the volatile settings are after power comes on. `watchdog_s` None = no watchdog."""

    permit: bool = True
    limit_ma: int = 32_000
    watchdog_s: float | None = None
    failsafe_ma: int = 0
    standby: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSpec:
    """What is built into a charging point. `lockout_release_s`: how long it takes to come back into service."""

    cable: Cable = Cable.SOCKET
    lock_policy: LockPolicy = LockPolicy.OFFERED
    phases: int = 3
    max_current_ma: int = 32_000
    cable_rating_ma: int = 32_000
    reader: bool = False
    boot_s: float = 5.0
    initialise_s: float = 1.0
    lockout_release_s: float = 0.0
    standby_after_s: float | None = None
    power_on: PowerOn = PowerOn()
    energy_wh: float = 0.0


@dataclass(slots=True, kw_only=True)
class Car:
    """A car at the end of the cable. It asks for energy unless paused, told not to want any, or full."""

    max_current_ma: int = 16_000
    phases: int = 3
    battery_wh: float = 60_000.0
    stored_wh: float = 12_000.0
    paused: bool = False
    ventilation: bool = False

    @property
    def wants(self) -> bool:
        return not self.paused and self.stored_wh < self.battery_wh

    @property
    def soc_pct(self) -> float:
        return 100.0 * self.stored_wh / self.battery_wh
