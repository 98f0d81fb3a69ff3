"""Phoenix Contact CHARX control modular SEC-3xxx: up to twelve points behind one server.

Source: register_maps, phoenix_charx_sec3 (UM EN CHARX SEC, appendix B 3). Point n's registers lie at n * 1000 + offset.

Decided where the source is silent: the watchdog is fed by any accepted write and is off after power-on; after
power-on release is withheld and the limit is the point's own; a limit above 80 A withdraws the release and reads back
as 0; E0 tells a fault of car, cable or mains, F0 with an error bit one of the controller itself; a group limit is
shared equally among the points with a car.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from edged.domain.hardware import FaultCode
from edged.simulator.model import PointModel
from edged.simulator.parts import Cable, CpState, LockPolicy, PointSpec, PowerOn
from edged.simulator.pdu import READ_HOLDING, READ_INPUT, WRITE_SINGLE, ExceptionCode, ReadRequest, WriteRequest
from edged.simulator.registers import Cell, RegisterBank
from edged.simulator.unit import SimulatedUnit

WATCHDOG_OFF = 65_535
STRIDE = 1000
MAX_POINTS = 12
MAX_LIMIT_A = 80
UNKNOWN_CURRENT = -1

SPEC = PointSpec(
    lock_policy=LockPolicy.OFFERED,
    reader=True,
    boot_s=6.0,
    initialise_s=2.0,
    power_on=PowerOn(permit=False, limit_ma=32_000, watchdog_s=None, failsafe_ma=6_000),
)

_ERROR_BITS = {
    FaultCode.HIGH_TEMPERATURE: 0,
    FaultCode.INTERNAL: 3,
    FaultCode.EV_COMMUNICATION: 19,
    FaultCode.OTHER: 20,
    FaultCode.CONNECTOR_LOCK: 23,
    FaultCode.OVER_CURRENT: 24,
    FaultCode.POWER_METER: 25,
    FaultCode.POWER_SWITCH: 27,
    FaultCode.UNDER_VOLTAGE: 29,
    FaultCode.OVER_VOLTAGE: 29,
    FaultCode.GROUND: 30,
}
_LOCKING_BIT, _UNLOCKING_BIT = 21, 22
_SHOWN_AS_F = frozenset(
    {
        FaultCode.INTERNAL,
        FaultCode.POWER_SWITCH,
        FaultCode.CONNECTOR_LOCK,
        FaultCode.UNDER_VOLTAGE,
        FaultCode.OVER_VOLTAGE,
    }
)


def status_letters(point: PointModel) -> str:
    """A1..D2, E0, F0 or IN, as register 299 shows it."""
    if point.initialising:
        return "IN"
    state = point.cp_state
    match state:
        case CpState.E:
            return "F0" if point.faults <= _SHOWN_AS_F else "E0"
        case CpState.F:
            return "F0"
        case CpState.A | CpState.B:
            return f"{state}{2 if point.offered_ma else 1}"
        case CpState.C | CpState.D:
            return f"{state}{2 if point.contactor_closed else 1}"


def error_bits(point: PointModel) -> int:
    """Register 293."""
    bits = 0
    for fault in point.faults:
        bits |= 1 << _ERROR_BITS[fault]
    bits |= point.lock_failed << _LOCKING_BIT
    bits |= point.unlock_failed << _UNLOCKING_BIT
    return bits


class PhoenixCharxSec(SimulatedUnit):
    """Several points under one unit id."""

    make = "phoenix-charx-sec"
    write_functions = frozenset({WRITE_SINGLE})
    fault_codes = frozenset(_ERROR_BITS)

    def build_banks(self) -> dict[int, RegisterBank]:
        self._group_limit_a = sum(point.spec.max_current_ma for point in self.points) // 1000
        cells = self._station_cells()
        windows = [range(100, 168)]
        for number, point in enumerate(self.points, 1):
            start = number * STRIDE
            cells += _point_cells(point, number)
            windows += [range(start + 100, start + 121), range(start + 232, start + 309)]
        bank = RegisterBank(cells, windows=windows)
        return {READ_HOLDING: bank, READ_INPUT: bank}

    def register_name(self, name: str, point: int) -> str:
        return f"{name}.{point}"

    def traffic(self, request: ReadRequest | WriteRequest | ExceptionCode) -> None:
        if isinstance(request, WriteRequest):
            number = request.address // STRIDE
            for point in self.points if number == 0 else self.points[number - 1 : number]:
                point.keep_alive()

    def advance(self, dt_s: float, *, wire_s: float | None = None) -> None:
        self._share_group_limit()
        super().advance(dt_s, wire_s=wire_s)

    def reboot(self) -> None:
        super().reboot()
        self._group_limit_a = sum(point.spec.max_current_ma for point in self.points) // 1000

    def _share_group_limit(self) -> None:
        busy = [point for point in self.points if point.car is not None]
        for point in self.points:
            point.set_cap(self._group_limit_a * 1000 // len(busy) if point in busy else None)

    def _set_group_limit(self, amperes: int) -> None:
        self._group_limit_a = amperes
        self._share_group_limit()

    def _set_group_availability(self, available: int) -> None:
        for point in self.points:
            point.set_available(available == 1)

    def _count(self, wanted: Callable[[PointModel], bool]) -> int:
        return sum(1 for point in self.points if wanted(point))

    def _station_cells(self) -> list[Cell]:
        points = self.points

        def letters(which: str) -> Callable[[], int]:
            return lambda: self._count(lambda point: point.cp_state in which)

        def phase_ma(phase: int) -> int:
            return sum(point.phase_currents_ma[phase] for point in points)

        return [
            Cell(name="station_name", address=100, words=10, read=lambda: self.name),
            Cell(name="software_version", address=110, words=4, read=lambda: "1.7.3"),
            Cell(name="controllers", address=114, read=lambda: len(points)),
            Cell(
                name="noncritical_error_count",
                address=147,
                read=lambda: self._count(lambda p: not p.blocked and bool(p.faults)),
            ),
            Cell(name="count_state_EF", address=148, read=letters("EF")),
            Cell(name="count_state_A", address=149, read=letters("A")),
            Cell(name="count_state_BCD", address=150, read=letters("BCD")),
            Cell(name="count_charging", address=151, read=lambda: self._count(lambda p: p.contactor_closed)),
            Cell(name="group_power", address=152, words=2, read=lambda: round(sum(p.power_w for p in points) * 1000)),
            *(
                Cell(name=f"group_current_L{n + 1}", address=158 + 2 * n, words=2, read=partial(phase_ma, n))
                for n in range(3)
            ),
            Cell(
                name="group_availability",
                address=164,
                read=lambda: int(all(point.available for point in points)),
                write=self._set_group_availability,
                accepts=_flag,
            ),
            Cell(name="restart_server", address=165, write=lambda _raw: self.restart_server(), accepts=_one),
            Cell(name="restart_all_controllers", address=166, write=lambda _raw: self.reboot(), accepts=_one),
            Cell(name="group_max_current", address=167, read=lambda: self._group_limit_a, write=self._set_group_limit),
        ]


def _flag(raw: int) -> bool:
    return raw in (0, 1)


def _one(raw: int) -> bool:
    return raw == 1


def _point_cells(point: PointModel, number: int) -> list[Cell]:
    start = number * STRIDE

    def cell(name: str, offset: int, words: int = 1, read: Callable[[], int | str] | None = None) -> Cell:
        return Cell(name=f"{name}.{number}", address=start + offset, words=words, read=read)

    def current(phase: int) -> int:
        return UNKNOWN_CURRENT if FaultCode.POWER_METER in point.faults else point.phase_currents_ma[phase]

    spec = point.spec
    return [
        cell("cp_interface", 100, read=lambda: int(spec.cable is Cable.TETHERED)),
        cell("cp_max_current", 101, read=lambda: spec.max_current_ma // 1000),
        cell("cp_min_current", 102, read=lambda: 6),
        cell("cp_meter_type", 112, read=lambda: 1),
        cell("cp_uid", 113, words=3, read=lambda: 0x00A0_4500_0000 + number),
        cell("cp_release_mode", 120, read=lambda: 5),
        *(
            cell(f"cp_voltage_L{n + 1}", 232 + 2 * n, words=2, read=partial(_voltage_mv, spec.phases, n))
            for n in range(3)
        ),
        *(cell(f"cp_current_L{n + 1}", 238 + 2 * n, words=2, read=partial(current, n)) for n in range(3)),
        cell("cp_power", 244, words=2, read=lambda: round(point.power_w * 1000)),
        cell("cp_energy_total", 250, words=4, read=lambda: int(point.energy_wh)),
        cell("cp_soc", 264, read=lambda: round(point.car.soc_pct) if point.car is not None else 0),
        cell("cp_evccid", 265, words=10, read=lambda: ""),
        cell("cp_rfid", 275, words=10, read=lambda: point.token),
        cell("cp_connected_time", 285, words=2, read=lambda: int(point.connected_s)),
        cell("cp_charge_time", 287, words=2, read=lambda: int(point.charged_s)),
        cell("cp_energy_session", 289, words=4, read=lambda: int(point.session_wh)),
        cell("cp_error_bits", 293, words=2, read=lambda: error_bits(point)),
        cell("cp_digital_inputs", 295, read=lambda: 0),
        cell("cp_setpoint_percent", 296, read=lambda: round(point.offered_ma / 600)),
        cell("cp_setpoint", 297, read=lambda: point.offered_ma // 1000),
        cell("cp_cable_rating", 298, read=lambda: spec.cable_rating_ma // 1000 if point.cable_in else 0),
        cell("cp_status", 299, read=lambda: status_letters(point)),
        *_control_cells(point, number),
    ]


def _voltage_mv(phases: int, phase: int) -> int:
    return 230_000 if phase < phases else 0


def _control_cells(point: PointModel, number: int) -> list[Cell]:
    start = number * STRIDE
    outputs = [0]

    def cell(
        name: str,
        offset: int,
        read: Callable[[], int] | None,
        write: Callable[[int], None],
        accepts: Callable[[int], bool] = lambda _raw: True,
    ) -> Cell:
        return Cell(name=f"{name}.{number}", address=start + offset, read=read, write=write, accepts=accepts)

    def set_watchdog(seconds: int) -> None:
        point.set_watchdog(None if seconds == WATCHDOG_OFF else float(seconds))

    def token_cleared(_raw: int) -> None:
        point.token = ""

    def set_outputs(raw: int) -> None:
        outputs[0] = raw

    def watchdog() -> int:
        return WATCHDOG_OFF if point.watchdog_s is None else int(point.watchdog_s)

    return [
        cell("cp_charge_release", 300, lambda: int(point.permit), lambda raw: point.set_permit(raw == 1), _flag),
        cell(
            "cp_max_charge_current",
            301,
            lambda: point.limit_ma // 1000,
            lambda raw: point.set_limit(raw * 1000 if raw <= MAX_LIMIT_A else 0),
        ),
        cell("cp_digital_outputs", 302, lambda: outputs[0], set_outputs),
        cell("cp_lock", 303, lambda: int(point.lock_commanded), lambda raw: point.set_lock(raw == 1), _flag),
        cell("cp_availability", 304, lambda: int(point.available), lambda raw: point.set_available(raw == 1), _flag),
        cell("cp_force_unlock", 305, None, lambda _raw: point.force_unlock(), _one),
        cell(
            "cp_watchdog_fallback", 306, lambda: point.failsafe_ma // 1000, lambda raw: point.set_failsafe(raw * 1000)
        ),
        cell("cp_watchdog_time", 307, watchdog, set_watchdog, lambda raw: raw > 0),
        cell("cp_clear_rfid", 308, None, token_cleared),
    ]
