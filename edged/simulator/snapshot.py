"""A charging point's whole physical state in plain types, for people and for JSON. Pure."""

from __future__ import annotations

from edged.simulator.model import PointModel
from edged.simulator.parts import Cable


def snapshot(point: PointModel) -> dict[str, object]:
    """The whole physical state, in plain types."""
    car = point.car
    return {
        "cp_state": point.cp_state.value,
        "powered": point.powered,
        "initialising": point.initialising,
        "standby": point.in_standby,
        "car": None
        if car is None
        else {
            "wants": car.wants,
            "paused": car.paused,
            "requesting": point.s2_closed,
            "max_current_ma": car.max_current_ma,
            "phases": car.phases,
            "battery_wh": car.battery_wh,
            "soc_pct": round(car.soc_pct, 3),
        },
        "cable": point.spec.cable.value,
        "plug": "car" if car is not None else "cable" if point.cable_in else "out",
        "lock": "none" if point.spec.cable is Cable.TETHERED else "locked" if point.lock_closed else "unlocked",
        "lock_jammed": point.jammed,
        "contactor": "closed" if point.contactor_closed else "open",
        "permit": point.permit,
        "available": point.available,
        "limit_ma": point.limit_ma,
        "offered_ma": point.offered_ma,
        "current_ma": list(point.phase_currents_ma),
        "power_w": point.power_w,
        "energy_wh": point.energy_wh,
        "session_wh": point.session_wh,
        "watchdog_s": point.watchdog_s,
        "failsafe_ma": point.failsafe_ma,
        "failsafe_active": point.failsafe_active,
        "faults": sorted(fault.value for fault in point.faults),
        "token": point.token,
    }
