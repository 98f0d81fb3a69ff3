"""OpenEVSE: a controller with one single-phase point that speaks RAPI on a serial line of its own.

Source: register_maps, openevse_rapi (protocol 5.2.1). The usual box has a tethered cable; a socket is a build with a
Mennekes lock. Without one $S5 and $G5 are answered $NK.

Decided where the source is silent:
- $FR is not answered: the controller is gone at once, and its $AB after the boot is its only word. While charging it
  takes the pilot away first and waits 3 s for the car to let go.
- After a boot the boot lock is on (vflag 4000), it is enabled and nothing is locked; limit and heartbeat are what the
  EEPROM has. Boot lock and auth lock withhold energy and leave the state A or B.
- A session enters the total when the car goes; a boot within one forgets it.
- Asleep and disabled are states of the controller whether a car is there or not; a fault goes before both.
- A car that wants ventilation is refused (04) until it is unplugged.
- $S5 0 and 1 need the manual mode, unlocking ends the charge, and in manual mode a lock stays as it was left; an open
  one still closes by itself where energy is offered, as it must.
- A pulse ($SY) after a missed one is answered $NK until $SY 165; the third value is 0 never missed, 1 acknowledged, 2
  missed. A fallback below 6 A offers nothing. What is acknowledged gives the current of the EEPROM again.
- Hard faults (vflag 0002) are stuck relay, failed self test and relay closure.
- The pilot state counts A to D from 1; a temperature that is not measured is -2560.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edged.domain.hardware import FaultCode
from edged.simulator.device import SimulatedDevice
from edged.simulator.makes.openevse_terms import ANSWERS, FAULTS, HARD, HEX_DIGITS, TRIPS, Flag, State
from edged.simulator.makes.openevse_values import FIRMWARE, LEAST_A, SessionMeter, true_values
from edged.simulator.model import PointModel
from edged.simulator.parts import Cable, Impossible, LockPolicy, PointSpec, PowerOn, Value
from edged.simulator.rapi import Command, read_command, spoken
from edged.simulator.wire import WireFaults

HARDWARE_MAX_A = 32
CHARGE_ENDS_S = 3.0
ACKNOWLEDGE = 165
LONGEST_HEARTBEAT_S = 65_535

SPEC = PointSpec(
    cable=Cable.TETHERED,
    lock_policy=LockPolicy.OFFERED,
    phases=1,
    max_current_ma=HARDWARE_MAX_A * 1000,
    boot_s=2.5,
    initialise_s=0.0,
    power_on=PowerOn(permit=False, limit_ma=HARDWARE_MAX_A * 1000),
)


Told = tuple[str, ...]


class Refused(Exception):
    """A command that is answered $NK, with these values. Never leaves this module."""

    def __init__(self, *values: str) -> None:
        super().__init__(*values)
        self.values = values


class OpenEvse(SimulatedDevice):
    """`announce` is given each frame that it sends unasked. `eeprom_writes`: how often each command wore it; `boots`:
    how often it restarted."""

    make = "openevse-rapi"
    fault_codes = frozenset(FAULTS.values())

    def __init__(self, name: str, *, point: PointModel) -> None:
        super().__init__(name, unit_id=None, points=(point,))
        self.announce: Callable[[bytes], None] = lambda frame: None
        self.eeprom_writes = {"SC": 0, "SY": 0}
        self.boots = 0
        self._point = point
        self._saved_a = self.configured_max_a = point.spec.max_current_ma // 1000
        self.heartbeat_s = self.heartbeat_a = 0
        self.meter = SessionMeter(point)
        self.trips = dict.fromkeys(TRIPS, 0)
        self._forced: dict[str, Value] = {}
        self._restart_in_s: float | None = None
        self._forget()
        self._apply()
        self._told_state = self.state

    def _forget(self) -> None:
        """As after a boot: what is not in the EEPROM."""
        self.disabled = self.asleep = self.auth_locked = self.manual_lock = False
        self._boot_locked = True
        self.current_a = self._saved_a
        self.missed = 0
        self.meter.forget()
        self._refuses_car = False
        self._fault_state: State | None = None
        self._was_up = True

    # --- physics ------------------------------------------------------------------------------------------------------

    def advance(self, dt_s: float, *, wire_s: float | None = None) -> None:
        self.meter.count(self._point)
        left_s = self._restart_in_s
        if left_s is not None and left_s <= dt_s:
            super().advance(left_s, wire_s=None if wire_s is None or not dt_s else wire_s * left_s / dt_s)
            dt_s, wire_s = dt_s - left_s, None if wire_s is None or not dt_s else wire_s * (1 - left_s / dt_s)
            self.reboot()
        elif left_s is not None:
            self._restart_in_s = left_s - dt_s
        super().advance(dt_s, wire_s=wire_s)
        self._notice()

    def _notice(self) -> None:
        """What the controller finds, and says unasked."""
        point = self._point
        if not point.powered:
            self._was_up = False
            return
        if point.failsafe_active and self.missed != 2:
            self.missed = 2
        self.meter.count(point)
        if point.car is None:
            self._refuses_car = False
        elif point.car.ventilation and point.s2_closed:
            self._refuses_car = True
        self._apply()
        if not self._was_up:
            self._was_up = True
            self._told_state = self.state
            point.set_watchdog(float(self.heartbeat_s) if self.heartbeat_s else None)
            self.boots += 1
            self._say("AB", "00", FIRMWARE)
        state = self.state
        if state is not self._told_state:
            self._told_state = state
            if state in self.trips:
                self.trips[state] = min(0xFF, self.trips[state] + 1)
            self._say("AT", *(self._value(name) for name in ("state", "pilot", "current_a", "vflags")))

    def _apply(self) -> None:
        """Let the physics have what the settings are. Only what differs: a permit that is given again opens no lock."""
        point = self._point
        available = not self.disabled and self._restart_in_s is None
        held = self.asleep or self.disabled or self.auth_locked or self._boot_locked or self._refuses_car
        if point.available != available:
            point.set_available(available)
        if point.permit == held:
            point.set_permit(not held)
        if point.limit_ma != self.current_a * 1000:
            point.set_limit(self.current_a * 1000)
        fallback_ma = min(self.current_a, self.heartbeat_a) * 1000
        if point.failsafe_ma != fallback_ma:
            point.set_failsafe(fallback_ma)

    @property
    def state(self) -> State:
        point = self._point
        if point.blocked:
            shown = self._fault_state
            if shown is not None and FAULTS[shown] in point.faults:
                return shown
            return next(state for state, code in FAULTS.items() if code in point.faults)
        if self._refuses_car:
            return State.VENTILATION
        if self.disabled:
            return State.DISABLED
        if self.asleep:
            return State.SLEEPING
        if point.car is None:
            return State.A
        return State.C if point.contactor_closed else State.B

    @property
    def vflags(self) -> Flag:
        flags = Flag(0)
        for flag, is_set in (
            (Flag.HARD_FAULT, self.state in HARD),
            (Flag.AUTH_LOCKED, self.auth_locked),
            (Flag.CHARGING, self._point.contactor_closed),
            (Flag.EV_CONNECTED, self._point.car is not None),
            (Flag.BOOT_LOCK, self._boot_locked),
            (Flag.MENNEKES_MANUAL, self.manual_lock),
        ):
            flags |= flag if is_set else Flag(0)
        return flags

    @property
    def reachable(self) -> bool:
        return super().reachable and self._restart_in_s is None

    @property
    def has_lock(self) -> bool:
        return self._point.spec.cable is Cable.SOCKET

    def reboot(self) -> None:
        super().reboot()
        self._restart_in_s = None
        self._forget()
        self._was_up = False
        self._apply()

    def cut_power(self) -> None:
        super().cut_power()
        self._restart_in_s = None
        self._forget()
        self._was_up = False

    # --- the wire -----------------------------------------------------------------------------------------------------

    def answer(self, line: bytes) -> bytes | None:
        """The reply to a line, None where nothing is said."""
        if not self.reachable:
            return None
        command = read_command(line)
        if command is None:
            self.ignored += 1
            return None
        self.requests += 1
        try:
            values = self._carry_out(command)
        except Refused as refused:
            return spoken("NK", *refused.values, sequence=command.sequence)
        return None if values is None else spoken("OK", *values, sequence=command.sequence)

    def _say(self, name: str, *values: str) -> None:
        if self.reachable:
            self.announce(spoken(name, *values))

    def press_button(self, *, long: bool) -> None:
        """Somebody presses its button: a short press is told, a long one opens the menu of its network module."""
        if long:
            self._say("WF", "1")
        else:
            self._say("AN", "0")

    def _carry_out(self, command: Command) -> Told | None:
        """The values of a $OK; None: it does not answer any more."""
        match command.name, command.args:
            case name, () if name in ANSWERS:
                if name == "G5" and not self.has_lock:
                    raise Refused
                return tuple(self._value(each) for each in ANSWERS[name])
            case "FE", ():
                self.disabled = self.asleep = False
            case "FD", ():
                self.disabled, self.asleep = True, False
            case "FS", ():
                self.disabled, self.asleep = False, True
            case "FR", ():
                self._restart_in_s = CHARGE_ENDS_S if self._point.contactor_closed else 0.0
                self._apply()
                return None
            case "S4", ("0" | "1" as on,):
                self.auth_locked = on == "1"
            case "S5", (mode,) if self.has_lock:
                self._set_lock(mode)
            case "SB", ():
                self._boot_locked = False
                self._apply()
                return ("0",)
            case "SC", (amps, *kind):
                return self._set_current(amps, kind)
            case "SY", args:
                return self._supervise(args)
            case _:
                raise Refused
        self._apply()
        return ()

    def _set_lock(self, mode: str) -> None:
        match mode:
            case "A":
                self.manual_lock = False
                self._point.set_lock(False)
            case "M":
                self.manual_lock = True
                if self._point.lock_closed:
                    self._point.set_lock(True)
            case "0" if self.manual_lock:
                self._point.force_unlock()
            case "1" if self.manual_lock:
                self._point.set_lock(True)
            case _:
                raise Refused

    def _set_current(self, text: str, kind: list[str]) -> Told:
        asked = _whole(text)
        match kind:
            case ["M"]:
                amps = max(LEAST_A, min(asked, self._point.spec.max_current_ma // 1000))
                self.configured_max_a = amps
                self.current_a = min(self.current_a, amps)
                self._saved_a = min(self._saved_a, amps)
                self.eeprom_writes["SC"] += 1
            case [] | ["V"]:
                amps = max(LEAST_A, min(asked, self.configured_max_a))
                self.current_a = amps
                if not kind:
                    self._saved_a = amps
                    self.eeprom_writes["SC"] += 1
            case _:
                raise Refused
        self._apply()
        if amps != asked:
            raise Refused(str(amps))
        return (str(amps),)

    def _supervise(self, args: tuple[str, ...]) -> Told:
        match args:
            case ():
                if self.missed != 2:
                    self._point.keep_alive()
            case (cookie,):
                if _whole(cookie) != ACKNOWLEDGE:
                    raise Refused(*self._heartbeat)
                if self.missed:
                    self.missed, self.current_a = 1, self._saved_a
                self._point.keep_alive()
            case interval, amps:
                seconds, current = _whole(interval), _whole(amps)
                if seconds > LONGEST_HEARTBEAT_S or current > self._point.spec.max_current_ma // 1000:
                    raise Refused(*self._heartbeat)
                self.eeprom_writes["SY"] += (seconds, current) != (self.heartbeat_s, self.heartbeat_a)
                self.heartbeat_s, self.heartbeat_a, self.missed = seconds, current, 0
                self._point.set_watchdog(float(seconds) if seconds else None)
            case _:
                raise Refused(*self._heartbeat)
        self._apply()
        if self.missed == 2:
            raise Refused(*self._heartbeat)
        return self._heartbeat

    @property
    def _heartbeat(self) -> Told:
        return tuple(self._value(each) for each in ANSWERS["GY"])

    # --- values -------------------------------------------------------------------------------------------------------

    def _value(self, name: str) -> str:
        value = self._forced[name] if name in self._forced else true_values(self)[name]
        return f"{value:0{HEX_DIGITS[name]}x}" if name in HEX_DIGITS and isinstance(value, int) else str(value)

    # --- people -------------------------------------------------------------------------------------------------------

    def fault(self, code: FaultCode, point: int) -> None:
        self._fault_state = None
        super().fault(code, point)

    def check_wire(self, faults: WireFaults) -> None:
        if faults.wrong_unit:
            raise Impossible("RAPI knows no addresses, so no reply can come from a wrong unit: leave wrong_unit out")

    def details(self) -> Mapping[str, object]:
        return {
            "state": self.state.name.lower(),
            "disabled": self.disabled,
            "asleep": self.asleep,
            "auth_locked": self.auth_locked,
            "boot_locked": self._boot_locked,
            "lock_mode": "none" if not self.has_lock else "manual" if self.manual_lock else "automatic",
            "eeprom_writes": dict(self.eeprom_writes),
        }

    def force(self, register: str, value: Value | None, point: int) -> None:
        """A named value of `ANSWERS`; `fault`, a state from 4 to 14 that happens in the physics too; or `button`, which
        is pressed: 0 shortly, 1 long."""
        if register == "fault":
            self._trip(value)
            return
        if register == "button":
            self.press_button(long=value == 1)
            return
        known = [name for names in ANSWERS.values() for name in names]
        if register not in known:
            raise Impossible(f"a {self.make} has no value {register}; it has fault, button, {', '.join(known)}")
        if value is None:
            self._forced.pop(register, None)
            return
        text = str(value)
        if not text or len(text) > 16 or not text.isascii() or not all(c.isalnum() or c in ".-_" for c in text):
            raise Impossible(f"{register} must be 1 to 16 letters, digits, dots or hyphens")
        self._forced[register] = value

    def _trip(self, value: Value | None) -> None:
        if value is None:
            self._point.clear_fault()
            return
        state = next((state for state in FAULTS if state == value), None)
        if state is None:
            raise Impossible(f"fault must be one of {', '.join(str(int(state)) for state in sorted(FAULTS))}")
        self._point.clear_fault()
        self._point.fault(FAULTS[state])
        self._fault_state = state

    def release_all(self) -> None:
        self._forced.clear()


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise Refused
    return int(text)
