"""What an OpenEVSE controller's named values are at the moment, and how it counts energy.

Source: register_maps, openevse_rapi; what is decided beyond it stands in `openevse`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edged.domain.hardware import FaultCode
from edged.simulator.makes.openevse_terms import TRIPS, Flag, State
from edged.simulator.model import PointModel
from edged.simulator.parts import Value

LEAST_A = 6
FIRMWARE, PROTOCOL = "8.2.1", "5.2.1"


class SessionMeter:
    """A session's energy, which the total gets when the car has gone."""

    def __init__(self, point: PointModel) -> None:
        self.total_wh = int(point.energy_wh)
        self.session_wh = 0.0
        self._from_wh: float | None = None

    def count(self, point: PointModel) -> None:
        if self._from_wh is not None:
            self.session_wh = point.energy_wh - self._from_wh
        if point.car is None and self._from_wh is not None:
            self.total_wh += int(self.session_wh)
            self._from_wh = None
        elif point.car is not None and self._from_wh is None:
            self._from_wh, self.session_wh = point.energy_wh, 0.0

    def forget(self) -> None:
        """A boot: a session that runs begins anew, and what it had is in no total."""
        self.session_wh, self._from_wh = 0.0, None


class Controller(Protocol):
    """What the values are made of."""

    points: tuple[PointModel, ...]
    meter: SessionMeter
    auth_locked: bool
    manual_lock: bool
    current_a: int
    configured_max_a: int
    heartbeat_s: int
    heartbeat_a: int
    missed: int
    trips: dict[State, int]

    @property
    def state(self) -> State: ...

    @property
    def vflags(self) -> Flag: ...


def true_values(controller: Controller) -> Mapping[str, Value]:
    """Every named value of `ANSWERS`."""
    (point,) = controller.points
    car = point.car
    current_a = controller.current_a
    if point.failsafe_active:
        current_a = min(current_a, controller.heartbeat_a)
    return {
        "state": int(controller.state),
        "elapsed_s": int(point.charged_s),
        "pilot": 1 if car is None else 2 if not point.s2_closed else 4 if car.ventilation else 3,
        "vflags": int(controller.vflags),
        "connected": int(car is not None),
        "auth_lock": int(controller.auth_locked),
        "lock": int(point.lock_closed),
        "lock_mode": "M" if controller.manual_lock else "A",
        "least_a": LEAST_A,
        "hardware_max_a": point.spec.max_current_ma // 1000,
        "pilot_a": current_a,
        "configured_max_a": controller.configured_max_a,
        "current_a": current_a,
        "settings": 0x0001,
        "current_ma": point.current_ma,
        "voltage_mv": 230_000,
        "temperature_1": 850 if FaultCode.HIGH_TEMPERATURE in point.faults else 245,
        "temperature_2": -2560,
        "temperature_3": -2560,
        "session_ws": int(controller.meter.session_wh * 3600),
        "total_wh": controller.meter.total_wh,
        "firmware": FIRMWARE,
        "protocol": PROTOCOL,
        "heartbeat_s": controller.heartbeat_s,
        "heartbeat_a": controller.heartbeat_a,
        "heartbeat_missed": controller.missed,
        **{name: controller.trips[state] for state, name in TRIPS.items()},
    }
