"""Heidelberg / Amperfied Wallbox Energy Control: one tethered point on RS-485.

Source: register_maps, heidelberg_energy_control. Input registers (function 4) and holding registers (function 3,
written with 6 or 16); 258 and 259 cannot be read back (firmware 0x0107).

Decided where the source is silent: the limit after power-on is the box's own 16 A and the failsafe current is 0 A, so
the box charges freely until its watchdog speaks; standby sets in 12 minutes after the car left; a request within 80
ms of the last one or its reply is not heard; E is 9, an internal error 11; the power factor is 1.
"""

from __future__ import annotations

from functools import partial

from edged.domain.hardware import FaultCode
from edged.simulator.model import PointModel
from edged.simulator.parts import Cable, CpState, PointSpec, PowerOn
from edged.simulator.pdu import (
    READ_HOLDING,
    READ_INPUT,
    WRITE_MULTIPLE,
    WRITE_SINGLE,
    ExceptionCode,
    ReadRequest,
    WriteRequest,
)
from edged.simulator.registers import Cell, RegisterBank
from edged.simulator.unit import SimulatedUnit

SPEC = PointSpec(
    cable=Cable.TETHERED,
    max_current_ma=16_000,
    cable_rating_ma=16_000,
    boot_s=10.0,
    initialise_s=2.0,
    lockout_release_s=10.0,
    standby_after_s=720.0,
    power_on=PowerOn(permit=True, limit_ma=16_000, watchdog_s=15.0, failsafe_ma=0, standby=True),
)

_INTERNAL = frozenset({FaultCode.INTERNAL, FaultCode.POWER_SWITCH})


def state_number(point: PointModel) -> int:
    """Input register 5."""
    if point.initialising:
        return 1
    state = point.cp_state
    match state:
        case CpState.E:
            return 11 if point.faults & _INTERNAL else 9
        case CpState.F:
            return 10
        case CpState.A:
            return 3 if point.offered_ma else 2
        case CpState.B:
            return 5 if point.offered_ma else 4
        case CpState.C | CpState.D:
            return 7 if point.contactor_closed else 6


def _legal_current(raw: int) -> bool:
    return raw == 0 or 60 <= raw <= 160


class HeidelbergEnergyControl(SimulatedUnit):
    """One point under one unit id."""

    make = "heidelberg-energy-control"
    write_functions = frozenset({WRITE_SINGLE, WRITE_MULTIPLE})
    fault_codes = frozenset(
        {
            FaultCode.EV_COMMUNICATION,
            FaultCode.GROUND,
            FaultCode.HIGH_TEMPERATURE,
            FaultCode.INTERNAL,
            FaultCode.OTHER,
            FaultCode.OVER_CURRENT,
            FaultCode.OVER_VOLTAGE,
            FaultCode.POWER_SWITCH,
            FaultCode.UNDER_VOLTAGE,
        }
    )
    default_min_gap_s = 0.08

    def build_banks(self) -> dict[int, RegisterBank]:
        (point,) = self.points
        return {READ_INPUT: RegisterBank(_input_cells(point)), READ_HOLDING: RegisterBank(_holding_cells(point))}

    def register_name(self, name: str, point: int) -> str:
        return name

    def traffic(self, request: ReadRequest | WriteRequest | ExceptionCode) -> None:
        self.points[0].keep_alive()


def _input_cells(point: PointModel) -> list[Cell]:
    def current(phase: int) -> int:
        return point.phase_currents_ma[phase] // 100

    def voltage(phase: int) -> int:
        return 230 if phase < point.spec.phases else 0

    return [
        Cell(name="layout_version", address=4, read=lambda: 0x0107),
        Cell(name="state", address=5, read=lambda: state_number(point)),
        *(Cell(name=f"current_L{n + 1}", address=6 + n, read=partial(current, n)) for n in range(3)),
        Cell(name="temperature", address=9, read=lambda: 850 if FaultCode.HIGH_TEMPERATURE in point.faults else 245),
        *(Cell(name=f"voltage_L{n + 1}", address=10 + n, read=partial(voltage, n)) for n in range(3)),
        Cell(name="ext_lock", address=13, read=lambda: 1),
        Cell(name="apparent_power", address=14, read=lambda: round(point.power_w)),
        Cell(name="energy_since_power_on", address=15, words=2, read=lambda: int(point.since_power_on_wh)),
        Cell(name="energy_total", address=17, words=2, read=lambda: int(point.energy_wh)),
        Cell(name="hw_max_current", address=100, read=lambda: point.spec.max_current_ma // 1000),
        Cell(name="hw_min_current", address=101, read=lambda: 6),
        Cell(name="logistic_string", address=102, words=32, read=lambda: "SIMULATED ENERGY CONTROL"),
        Cell(name="hw_version", address=200, read=lambda: 0x0103),
        Cell(name="sw_version", address=203, read=lambda: 0x0111),
    ]


def _holding_cells(point: PointModel) -> list[Cell]:
    def set_watchdog(milliseconds: int) -> None:
        point.set_watchdog(milliseconds / 1000.0 if milliseconds else None)

    return [
        Cell(
            name="watchdog_ms",
            address=257,
            read=lambda: round((point.watchdog_s or 0.0) * 1000),
            write=set_watchdog,
        ),
        Cell(
            name="standby",
            address=258,
            write=lambda raw: point.set_standby(raw == 0),
            accepts=lambda raw: raw in (0, 4),
        ),
        Cell(
            name="remote_lock",
            address=259,
            write=lambda raw: point.set_available(raw == 1),
            accepts=lambda raw: raw in (0, 1),
        ),
        Cell(
            name="max_current",
            address=261,
            read=lambda: point.limit_ma // 100,
            write=lambda raw: point.set_limit(raw * 100),
            accepts=_legal_current,
        ),
        Cell(
            name="failsafe_current",
            address=262,
            read=lambda: point.failsafe_ma // 100,
            write=lambda raw: point.set_failsafe(raw * 100),
            accepts=_legal_current,
        ),
    ]
