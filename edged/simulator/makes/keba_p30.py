"""KEBA KeContact P30: one point with a socket over Modbus TCP, one value a request.

Source: register_maps, keba_p30_p40 (programmers' guide V1.07). Values are 32 bits wide and read with function 3 as
exactly one pair; commands are single registers written with function 6.

Decided where the source is silent: after power-on the box is enabled at its full current, without failsafe; the
failsafe is fed by writing 5018 and by nothing else, 0 turns it off; failsafe settings survive a reboot once 5020 was
written 1; unlocking outside the suspended state is answered and has no effect; the error codes are this simulator's
own; the card number is the first four bytes of a hexadecimal token. Phase switching (1550, 1552, 5050, 5052) is left
out.
"""

from __future__ import annotations

import zlib
from functools import partial

from edged.domain.hardware import FaultCode
from edged.simulator.model import PointModel
from edged.simulator.parts import Cable, LockPolicy, PointSpec, PowerOn
from edged.simulator.pdu import READ_HOLDING, WRITE_SINGLE
from edged.simulator.registers import Cell, RegisterBank
from edged.simulator.unit import SimulatedUnit

SPEC = PointSpec(
    lock_policy=LockPolicy.PLUGGED,
    reader=True,
    boot_s=8.0,
    initialise_s=2.0,
    power_on=PowerOn(permit=True, limit_ma=63_000, watchdog_s=None, failsafe_ma=0),
)

_ERROR_CODES = {
    FaultCode.CONNECTOR_LOCK: 0x2001,
    FaultCode.EV_COMMUNICATION: 0x2002,
    FaultCode.GROUND: 0x2003,
    FaultCode.HIGH_TEMPERATURE: 0x2004,
    FaultCode.INTERNAL: 0x2005,
    FaultCode.OTHER: 0x2006,
    FaultCode.OVER_CURRENT: 0x2007,
    FaultCode.OVER_VOLTAGE: 0x2008,
    FaultCode.POWER_METER: 0x2009,
    FaultCode.POWER_SWITCH: 0x200A,
    FaultCode.READER: 0x200B,
    FaultCode.UNDER_VOLTAGE: 0x200C,
}


def state_number(point: PointModel) -> int:
    """Register 1000: start-up, not ready, ready, charging, error, suspended."""
    if point.initialising:
        return 0
    if point.blocked:
        return 4
    if not point.permit:
        return 5
    if point.car is None:
        return 1
    return 3 if point.contactor_closed else 2


def cable_state(point: PointModel) -> int:
    """Register 1004. A tethered cable is in the station and locked for ever."""
    locked = point.lock_closed or point.spec.cable is Cable.TETHERED
    if point.car is not None:
        return 7 if locked else 5
    if point.cable_in:
        return 3 if locked else 1
    return 0


def card_number(token: str) -> int:
    """Register 1500: the first four bytes of a token's number, 0 without a token."""
    if not token:
        return 0
    try:
        return int(token[:8], 16)
    except ValueError:
        return zlib.crc32(token.encode())


def _legal_current(raw: int) -> bool:
    return 6_000 <= raw <= 63_000


class KebaP30(SimulatedUnit):
    """One point under one unit id."""

    make = "keba-p30"
    write_functions = frozenset({WRITE_SINGLE})
    fault_codes = frozenset(_ERROR_CODES)
    default_unit_id = 255

    def build_banks(self) -> dict[int, RegisterBank]:
        self._kept_failsafe: tuple[float | None, int] | None = None
        (point,) = self.points
        return {READ_HOLDING: RegisterBank(_value_cells(point) + self._command_cells(point), one_value=True)}

    def register_name(self, name: str, point: int) -> str:
        return name

    def reboot(self) -> None:
        super().reboot()
        if self._kept_failsafe is not None:
            timeout_s, current_ma = self._kept_failsafe
            self.points[0].set_failsafe(current_ma)
            self.points[0].set_watchdog(timeout_s)

    def _command_cells(self, point: PointModel) -> list[Cell]:
        def unlock(_raw: int) -> None:
            if not point.permit:
                point.force_unlock()

        def keep(raw: int) -> None:
            self._kept_failsafe = (point.watchdog_s, point.failsafe_ma) if raw else None

        return [
            Cell(name="set_current", address=5004, write=point.set_limit, accepts=_legal_current),
            Cell(name="set_energy_limit", address=5010, write=lambda raw: point.set_energy_limit(10.0 * raw)),
            Cell(name="unlock_plug", address=5012, write=unlock, accepts=lambda raw: raw == 0),
            Cell(
                name="enable",
                address=5014,
                write=lambda raw: point.set_permit(raw == 1),
                accepts=lambda raw: raw in (0, 1),
            ),
            Cell(
                name="failsafe_current_w",
                address=5016,
                write=point.set_failsafe,
                accepts=lambda raw: raw == 0 or _legal_current(raw),
            ),
            Cell(
                name="failsafe_timeout_w",
                address=5018,
                write=lambda raw: point.set_watchdog(float(raw) if raw else None),
            ),
            Cell(name="failsafe_persist", address=5020, write=keep, accepts=lambda raw: raw in (0, 1)),
        ]


def _value_cells(point: PointModel) -> list[Cell]:
    pair = partial(Cell, words=2)

    def current(phase: int) -> int:
        return point.phase_currents_ma[phase]

    def voltage(phase: int) -> int:
        return 230 if phase < point.spec.phases else 0

    def error() -> int:
        return max((_ERROR_CODES[fault] for fault in point.faults), default=0)

    return [
        pair(name="state", address=1000, read=lambda: state_number(point)),
        pair(name="cable_state", address=1004, read=lambda: cable_state(point)),
        pair(name="error_code", address=1006, read=error),
        *(pair(name=f"current_L{n + 1}", address=1008 + 2 * n, read=partial(current, n)) for n in range(3)),
        pair(name="serial", address=1014, read=lambda: 19_860_724),
        pair(name="product", address=1016, read=lambda: 320_101),
        pair(name="firmware", address=1018, read=lambda: 0x030A_1000),
        pair(name="power", address=1020, read=lambda: round(point.power_w * 1000)),
        pair(name="energy_total", address=1036, read=lambda: int(point.energy_wh * 10)),
        *(pair(name=f"voltage_L{n + 1}", address=1040 + 2 * n, read=partial(voltage, n)) for n in range(3)),
        pair(name="power_factor", address=1046, read=lambda: 1000 if point.power_w else 0),
        pair(name="max_current", address=1100, read=lambda: point.offered_ma),
        pair(name="max_supported_current", address=1110, read=lambda: point.spec.max_current_ma),
        pair(name="rfid", address=1500, read=lambda: card_number(point.token)),
        pair(name="energy_session", address=1502, read=lambda: int(point.session_wh * 10)),
        pair(name="failsafe_current", address=1600, read=lambda: point.failsafe_ma),
        pair(name="failsafe_timeout", address=1602, read=lambda: int(point.watchdog_s or 0)),
    ]
