"""The physics of one charging point: car, cable, lock, contactor, meter, watchdog. Pure: time is an argument.

Owns what happens in copper and steel. Refuses to know registers, protocols, sockets and makes; what differs between
makes is data in `PointSpec`.

Invariants, whatever is commanded in whatever order:
- current flows only with the contactor closed, and never above the limit that is offered;
- the contactor of a socket is closed only with the lock closed, and opens before the lock does;
- the energy register is the integral of power and never runs backwards;
- less than 6 A is not offered at all (IEC 61851-1);
- a jammed lock does not move.

What a person cannot do (plug in twice, swipe where there is no reader) raises `Impossible`.
"""

from __future__ import annotations

import math
from enum import StrEnum

from edged.domain.hardware import FaultCode
from edged.simulator.parts import WARNINGS, Cable, Car, CpState, Impossible, LockPolicy, PointSpec

MIN_OFFER_MA = 6_000
VOLTAGE_V = 230.0
CAR_REACTS_S = 0.5
LOCK_MOVES_S = 0.3
CONTACTOR_CLOSES_S = 0.2


class _Timer(StrEnum):
    BOOT = "boot"
    INITIALISE = "initialise"
    CAR = "car"
    LOCK = "lock"
    CONTACTOR = "contactor"
    LOCKOUT = "lockout"
    STANDBY = "standby"


class PointModel:
    """One charging point. `advance` moves its time; everything else happens at the present moment."""

    def __init__(self, spec: PointSpec) -> None:
        self.spec = spec
        self.car: Car | None = None
        self.cable_in = spec.cable is Cable.TETHERED
        self.lock_closed = False
        self.jammed = False
        self.lock_failed = False
        self.unlock_failed = False
        self.contactor_closed = False
        self.s2_closed = False
        self.powered = True
        self.initialising = False
        self.faults: set[FaultCode] = set()
        self.token = ""
        self.energy_wh = spec.energy_wh
        self.session_wh = 0.0
        self.since_power_on_wh = 0.0
        self.connected_s = 0.0
        self.charged_s = 0.0
        self.cap_ma: int | None = None
        self._pulling = False
        self._timers: dict[_Timer, float] = {}
        self._forget()
        self._settle()

    def _forget(self) -> None:
        """Volatile settings as they are after power comes on."""
        power_on = self.spec.power_on
        self.permit = power_on.permit
        self.limit_ma = power_on.limit_ma
        self.available = True
        self.lock_commanded = False
        self.unlock_forced = False
        self.energy_limit_wh = 0.0
        self.watchdog_s = power_on.watchdog_s
        self.watchdog_left_s = power_on.watchdog_s or 0.0
        self.failsafe_ma = power_on.failsafe_ma
        self.failsafe_active = False
        self.standby_enabled = power_on.standby
        self.in_standby = False
        self.since_power_on_wh = 0.0

    # --- what can be measured -----------------------------------------------------------------------------------------

    @property
    def offered_ma(self) -> int:
        """The current that the pilot signal offers, 0 where none is offered."""
        stopped = not self.powered or self.initialising or not self.available or self.blocked or self.unlock_forced
        if stopped or not self.permit or (self.energy_limit_wh and self.session_wh >= self.energy_limit_wh):
            return 0
        limit = self.failsafe_ma if self.failsafe_active else self.limit_ma
        limit = min(limit, self.spec.max_current_ma, self.spec.cable_rating_ma)
        if self.cap_ma is not None:
            limit = min(limit, self.cap_ma)
        return limit if limit >= MIN_OFFER_MA else 0

    @property
    def blocked(self) -> bool:
        """A fault that makes charging impossible."""
        return bool(self.faults - WARNINGS)

    @property
    def current_ma(self) -> int:
        """What flows in each of the phases that the car uses."""
        if not self.contactor_closed or self.car is None or not self.s2_closed or not self.car.wants:
            return 0
        return min(self.offered_ma, self.car.max_current_ma)

    @property
    def phases_drawing(self) -> int:
        return min(self.car.phases, self.spec.phases) if self.car is not None and self.current_ma else 0

    @property
    def phase_currents_ma(self) -> tuple[int, int, int]:
        used, flowing = self.phases_drawing, self.current_ma
        return (flowing if used > 0 else 0, flowing if used > 1 else 0, flowing if used > 2 else 0)

    @property
    def power_w(self) -> float:
        return sum(self.phase_currents_ma) * VOLTAGE_V / 1000.0

    @property
    def cp_state(self) -> CpState:
        if self.blocked:
            return CpState.E
        if not self.available:
            return CpState.F
        if self.car is None:
            return CpState.A
        if not self.s2_closed:
            return CpState.B
        return CpState.D if self.car.ventilation else CpState.C

    # --- what people and cars do --------------------------------------------------------------------------------------

    def plug_in(self, car: Car | None = None) -> None:
        """Connect a car (a cable with it, where there is a socket). A new session begins."""
        if self.car is not None:
            raise Impossible("a car is plugged in already: plug it out first")
        self.car = car or Car()
        self.cable_in = True
        self._pulling = False
        self.session_wh = self.connected_s = self.charged_s = 0.0
        if self.in_standby:
            self.in_standby = False
            self.keep_alive()
        self._settle()

    def plug_cable(self) -> None:
        """Put a cable into the socket with no car at its other end."""
        if self.spec.cable is Cable.TETHERED or self.cable_in:
            raise Impossible("there is a cable already")
        self.cable_in = True
        self._settle()

    def plug_out(self) -> None:
        """The driver unplugs the car, then pulls the cable as soon as the lock lets go of it (a jammed one does
        not)."""
        if self.car is None and (self.spec.cable is Cable.TETHERED or not self.cable_in):
            raise Impossible("nothing is plugged in")
        self.car = None
        self.s2_closed = False
        self.unlock_forced = False
        self.token = ""
        self._pulling = self.spec.cable is Cable.SOCKET
        self._settle()

    def pause(self) -> None:
        """The car stops asking for energy."""
        self._present_car().paused = True
        self._settle()

    def resume(self) -> None:
        self._present_car().paused = False
        self._settle()

    def _present_car(self) -> Car:
        if self.car is None:
            raise Impossible("no car is plugged in")
        return self.car

    def swipe(self, token: str) -> None:
        if not self.spec.reader:
            raise Impossible("this charger has no card reader")
        self.token = token

    def fault(self, code: FaultCode) -> None:
        self.faults.add(code)
        self._settle()

    def clear_fault(self) -> None:
        self.faults.clear()
        self._settle()

    def jam_lock(self, on: bool) -> None:
        if self.spec.cable is Cable.TETHERED:
            raise Impossible("a tethered cable has no lock")
        self.jammed = on
        self.lock_failed = self.unlock_failed = False
        self._settle()

    def reboot(self) -> None:
        """Power goes and comes back: volatile settings are forgotten, the lock stays where it is."""
        self.powered = False
        self.initialising = True
        self.contactor_closed = self.s2_closed = False
        self.token = ""
        self._timers = {_Timer.BOOT: self.spec.boot_s}
        self._forget()

    def lose_power(self) -> None:
        """Power goes and does not come back before `reboot`."""
        self.reboot()
        self._timers = {}

    # --- what the bus commands ----------------------------------------------------------------------------------------

    def set_permit(self, permit: bool) -> None:
        if permit and not self.permit:
            self.unlock_forced = False
        self.permit = permit
        self._settle()

    def set_limit(self, limit_ma: int) -> None:
        self.limit_ma = limit_ma
        self._settle()

    def set_energy_limit(self, limit_wh: float) -> None:
        """Stop after so much energy in this session; 0 = no such limit."""
        self.energy_limit_wh = limit_wh
        self._settle()

    def set_cap(self, cap_ma: int | None) -> None:
        """A ceiling from outside the point (a group limit)."""
        if cap_ma != self.cap_ma:
            self.cap_ma = cap_ma
            self._settle()

    def set_available(self, available: bool) -> None:
        """Out of service at once; back into service after the make's `lockout_release_s`."""
        if not available:
            self._timers.pop(_Timer.LOCKOUT, None)
            self.available = False
        elif not self.available and self.spec.lockout_release_s > 0:
            self._timers.setdefault(_Timer.LOCKOUT, self.spec.lockout_release_s)
        else:
            self.available = True
        self._settle()

    def set_lock(self, closed: bool) -> None:
        """Keep the lock closed by command, or stop doing so."""
        self.lock_commanded = closed
        if closed:
            self.unlock_forced = False
        self.lock_failed = self.unlock_failed = False
        self._settle()

    def force_unlock(self) -> None:
        """End the charge, then open the lock; nothing is offered again before a new permit or another plug."""
        if self.spec.cable is Cable.TETHERED:
            return
        self.lock_commanded = False
        self.unlock_forced = self.cable_in
        self.unlock_failed = False
        self._settle()

    def set_watchdog(self, timeout_s: float | None) -> None:
        self.watchdog_s = timeout_s
        self.keep_alive()

    def keep_alive(self) -> None:
        """The master gave its sign of life."""
        self.watchdog_left_s = self.watchdog_s or 0.0
        if self.failsafe_active:
            self.failsafe_active = False
            self._settle()

    def set_failsafe(self, current_ma: int) -> None:
        self.failsafe_ma = current_ma
        self._settle()

    def set_standby(self, enabled: bool) -> None:
        self.standby_enabled = enabled
        self._settle()

    # --- time ---------------------------------------------------------------------------------------------------------

    def advance(self, dt_s: float, *, wire_s: float | None = None) -> None:
        """Let `dt_s` pass. `wire_s` is the time on the bus master's clock, where it runs slower than the physics."""
        if not (math.isfinite(dt_s) and dt_s >= 0):
            raise ValueError(f"time cannot advance by {dt_s}")
        wire_rate = 1.0 if wire_s is None or dt_s == 0 else wire_s / dt_s
        left_s = dt_s
        while left_s > 0:
            slice_s = min(left_s, self._next_event_s(wire_rate))
            left_s -= slice_s
            self._pass(slice_s, wire_s=slice_s * wire_rate)
            self._settle()

    def _next_event_s(self, wire_rate: float) -> float:
        events = [math.inf, *self._timers.values()]
        if self._watched and wire_rate > 0:
            events.append(self.watchdog_left_s / wire_rate)
        power_w = self.power_w
        if power_w > 0 and self.car is not None:
            events.append((self.car.battery_wh - self.car.stored_wh) * 3600.0 / power_w)
            if self.energy_limit_wh:
                events.append((self.energy_limit_wh - self.session_wh) * 3600.0 / power_w)
        return max(min(events), 1e-6)

    @property
    def _watched(self) -> bool:
        return self.powered and not self.in_standby and not self.failsafe_active and self.watchdog_s is not None

    def _pass(self, slice_s: float, *, wire_s: float) -> None:
        gained_wh = self.power_w * slice_s / 3600.0
        if self.car is not None:
            self.connected_s += slice_s
            self.charged_s += slice_s if self.contactor_closed else 0.0
            self.car.stored_wh = min(self.car.battery_wh, self.car.stored_wh + gained_wh)
            if self.car.battery_wh - self.car.stored_wh < 1e-6:
                self.car.stored_wh = self.car.battery_wh
        self.energy_wh += gained_wh
        self.session_wh += gained_wh
        self.since_power_on_wh += gained_wh
        if self._watched:
            self.watchdog_left_s -= wire_s
            self.failsafe_active = self.watchdog_left_s <= 1e-9
        for timer in list(self._timers):
            self._timers[timer] -= slice_s
            if self._timers[timer] <= 1e-9:
                del self._timers[timer]
                self._fire(timer)

    def _fire(self, timer: _Timer) -> None:
        match timer:
            case _Timer.BOOT:
                self.powered = True
                self._timers[_Timer.INITIALISE] = self.spec.initialise_s
            case _Timer.INITIALISE:
                self.initialising = False
            case _Timer.CAR:
                self.s2_closed = not self.s2_closed
            case _Timer.LOCK:
                self._move_lock()
            case _Timer.CONTACTOR:
                self.contactor_closed = self._may_conduct
            case _Timer.LOCKOUT:
                self.available = True
            case _Timer.STANDBY:
                self.in_standby = True

    def _move_lock(self) -> None:
        closing = not self.lock_closed
        if self.jammed:
            self.lock_failed, self.unlock_failed = closing, not closing
        else:
            self.lock_closed = closing
            self.lock_failed = self.unlock_failed = False

    @property
    def _may_conduct(self) -> bool:
        secured = self.spec.cable is Cable.TETHERED or self.lock_closed
        return self.powered and self.car is not None and self.s2_closed and secured and self.offered_ma > 0

    @property
    def _lock_wanted(self) -> bool:
        if self.spec.cable is Cable.TETHERED or not self.cable_in or self.unlock_forced:
            return False
        if self.lock_commanded or self.contactor_closed:
            return True
        return self.car is not None and (self.spec.lock_policy is LockPolicy.PLUGGED or self.offered_ma > 0)

    def _settle(self) -> None:
        """Open what must open at once; start or call off what takes its time."""
        if self.contactor_closed and not self._may_conduct:
            self.contactor_closed = False
        if self._pulling and not self.lock_closed:
            self.cable_in = self._pulling = False
        if not self.powered:
            return
        asks = self.car is not None and self.car.wants and self.offered_ma > 0
        self._aim(_Timer.CAR, asks != self.s2_closed, CAR_REACTS_S)
        wanted = self._lock_wanted
        if wanted == self.lock_closed:
            self.lock_failed = self.unlock_failed = False
        given_up = self.lock_failed or self.unlock_failed
        self._aim(_Timer.LOCK, wanted != self.lock_closed and not given_up, LOCK_MOVES_S)
        self._aim(_Timer.CONTACTOR, self._may_conduct and not self.contactor_closed, CONTACTOR_CLOSES_S)
        idle = self.standby_enabled and self.car is None and not self.in_standby
        self._aim(_Timer.STANDBY, idle and self.spec.standby_after_s is not None, self.spec.standby_after_s or 0.0)

    def _aim(self, timer: _Timer, wanted: bool, delay_s: float) -> None:
        if wanted:
            self._timers.setdefault(timer, delay_s)
        else:
            self._timers.pop(timer, None)
