"""Building buses and chargers from plain values.

Owns: which chargers share a line, where a point's port lies. Refuses to know: the configuration file.
"""

from __future__ import annotations

from dataclasses import replace

from edged.chargers.bus import Bus
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus_charger import ModbusCharger
from edged.chargers.profile import BusRules, DeviceProfile
from edged.chargers.profile_terms import PointsBy, Transport
from edged.chargers.relay_board import RelayBoard
from edged.chargers.relay_profile import RelayProfile
from edged.ports import Clock

_TRANSPORTS = {
    LineKind.SERIAL: Transport.RTU,
    LineKind.TCP: Transport.TCP,
    LineKind.RTU_OVER_TCP: Transport.RTU_OVER_TCP,
}


class BusPool:
    """The lines of a gateway, one `Bus` for each physical one."""

    def __init__(self) -> None:
        self._buses: dict[tuple[str, str, int], Bus] = {}

    @property
    def buses(self) -> tuple[Bus, ...]:
        return tuple(self._buses.values())

    def open_bus(self, spec: BusSpec) -> Bus:
        """The bus of this line: the one that is there already, or a new one, which opens when first used.

        `ValueError` where the same line is described in two different ways.
        """
        bus = self._buses.get(spec.endpoint)
        if bus is None:
            bus = self._buses[spec.endpoint] = open_bus(spec)
        elif bus.spec != spec:
            raise ValueError(f"{spec} is described twice, and differently")
        return bus

    async def close(self) -> None:
        for bus in self._buses.values():
            await bus.close()
        self._buses.clear()


def open_bus(spec: BusSpec) -> Bus:
    """A bus on its own; whoever has several chargers on a line uses a `BusPool`."""
    return Bus(spec)


def spec_for_point(spec: BusSpec, profile: DeviceProfile, point: int) -> BusSpec:
    """The line of a point: points told apart by port each have a TCP endpoint of their own."""
    if profile.points.by is not PointsBy.PORT or spec.kind is LineKind.SERIAL:
        return spec
    return replace(spec, tcp_port=spec.tcp_port + (point - 1) * profile.points.stride)


def why_not(profile: DeviceProfile, spec: BusSpec, *, unit_id: int, point: int = 1) -> str | None:
    """Why this charger cannot be at this place, as a sentence for the installer; None where it can."""
    reason = _why_not_here(profile.name, profile.bus, spec, unit_id)
    if reason is None and not 1 <= point <= profile.points.count:
        return f"{profile.name} has the points 1..{profile.points.count}, not {point}"
    return reason


def _why_not_here(name: str, rules: BusRules, spec: BusSpec, unit_id: int) -> str | None:
    transport = _TRANSPORTS[spec.kind]
    if transport not in rules.transports:
        return f"{name} speaks {', '.join(rules.transports)}, not {transport}"
    low, high = rules.unit_ids
    if not low <= unit_id <= high:
        return f"{name} has a unit id of {low}..{high}, not {unit_id}"
    return None


def build_charger(
    profile: DeviceProfile,
    bus: Bus,
    *,
    unit_id: int | None = None,
    point: int = 1,
    poll_interval_s: float = 1.0,
    max_current_ma: int | None = None,
    clock: Clock,
) -> ModbusCharger:
    """A charger on a bus. `unit_id` None is the profile's own. `ValueError` where `why_not` has a reason."""
    unit = profile.bus.unit_id if unit_id is None else unit_id
    reason = why_not(profile, bus.spec, unit_id=unit, point=point)
    if reason is not None:
        raise ValueError(reason)
    return ModbusCharger(
        profile,
        bus,
        unit_id=unit,
        point=point,
        poll_interval_s=poll_interval_s,
        max_current_ma=max_current_ma,
        clock=clock,
    )


def build_board(profile: RelayProfile, bus: Bus, *, unit_id: int | None = None, name: str = "") -> RelayBoard:
    """A relay board on a bus; `name` is the site's. `ValueError` where it cannot be there."""
    unit = profile.bus.unit_id if unit_id is None else unit_id
    reason = _why_not_here(profile.name, profile.bus, bus.spec, unit)
    if reason is not None:
        raise ValueError(reason)
    return RelayBoard(profile, bus, unit_id=unit, name=name)
