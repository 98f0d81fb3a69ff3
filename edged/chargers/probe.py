"""Looking at a device for a person: every register of its profile decoded, and which profile fits an unknown unit.

Owns: what `edged probe` and `edged scan` show. Never writes anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter

from edged.chargers.bus import Bus
from edged.chargers.device import RegisterDevice
from edged.chargers.job_queue import Priority
from edged.chargers.modbus import ExceptionReply, Table
from edged.chargers.planning import address_of
from edged.chargers.profile import DeviceProfile
from edged.chargers.profile_terms import parse_firmware
from edged.chargers.registers import Value
from edged.domain.hardware import ChargerState
from edged.ports import ChargerError, ChargerRefused, ChargerUnreachable


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterReading:
    """One register as it was read; `error` says why there is no value."""

    name: str
    table: str
    address: int
    value: Value | None
    unit: str
    round_trip_s: float
    error: str = ""


async def read_everything(
    profile: DeviceProfile, bus: Bus, *, unit_id: int, point: int = 1
) -> tuple[RegisterReading, ...]:
    """Each readable register by itself, in the order of its address. Raises `ChargerUnreachable` if nothing answers."""
    device = RegisterDevice(profile, bus, unit_id=unit_id, point=point)
    if profile.identity.firmware is not None:
        device.forget(parse_firmware(await device.read_one(profile.identity.firmware, Priority.IDENTITY)))
    readings: list[RegisterReading] = []
    silences = 0
    for register in sorted(device.registers.values(), key=lambda r: (r.table, r.address)):
        if not register.readable:
            continue
        started = perf_counter()
        value, error = None, ""
        try:
            value = await device.read_one(register.name, Priority.IDENTITY)
            error = "the device has no such register" if register.name in device.missing else ""
        except ChargerRefused as refusal:
            error = str(refusal)
        except ChargerUnreachable as silence:
            silences += 1
            if silences == 3 and not any(reading.error == "" for reading in readings):
                raise
            error = str(silence)
        readings.append(
            RegisterReading(
                name=register.name,
                table=register.table,
                address=address_of(register, profile.points, point),
                value=value,
                unit=register.unit,
                round_trip_s=perf_counter() - started,
                error=error,
            )
        )
    return tuple(readings)


async def is_anyone_there(bus: Bus, unit_id: int) -> bool:
    """Whether a unit answers anything at all; an exception is an answer."""
    try:
        await bus.read(unit_id, Table.HOLDING, 0, 1, priority=Priority.COMMAND, forgiving=True)
    except ExceptionReply:
        return True
    except ChargerError:
        return False
    return True


async def fitting_profiles(bus: Bus, unit_id: int, profiles: Iterable[DeviceProfile]) -> tuple[str, ...]:
    """The names of the profiles whose state register reads as one of their states, and whose identity can be read."""
    fitting = []
    for profile in profiles:
        device = RegisterDevice(profile, bus, unit_id=unit_id)
        try:
            state = await device.read_one(profile.state.register, Priority.COMMAND)
            names = [name for name in (profile.identity.firmware, profile.identity.serial_number) if name]
            identity = await device.read(names, Priority.COMMAND)
        except ChargerError:
            continue
        known = state is not None and profile.state.states.get(state, ChargerState.UNKNOWN) is not ChargerState.UNKNOWN
        if known and len(identity) == len(names):
            fitting.append(profile.name)
    return tuple(fitting)
