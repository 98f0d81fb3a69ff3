"""Building buses and chargers from plain values.

Owns: which chargers share a line, where a point's port lies. Refuses to know: the configuration file.
Invariant: what serves a RAPI line is loaded with the first of them: a site without one has no room for it to spare.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edged.chargers.bus import Bus
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus_charger import ModbusCharger
from edged.chargers.profile import BusRules, DeviceProfile
from edged.chargers.profile_terms import PointsBy, Transport
from edged.chargers.relay_board import RelayBoard
from edged.chargers.relay_profile import RelayProfile
from edged.ports import Clock

if TYPE_CHECKING:
    from edged.chargers.rapi.charger import RapiCharger
    from edged.chargers.rapi.link import Link
    from edged.chargers.rapi.profile import RapiProfile

_TRANSPORTS = {
    LineKind.SERIAL: Transport.RTU,
    LineKind.TCP: Transport.TCP,
    LineKind.RTU_OVER_TCP: Transport.RTU_OVER_TCP,
}


class BusPool:
    """The lines of a gateway, one `Bus` or one `Link` for each physical one."""

    def __init__(self) -> None:
        self._buses: dict[tuple[str, str, int], Bus] = {}
        self._links: dict[tuple[str, str, int], Link] = {}

    @property
    def buses(self) -> tuple[Bus | Link, ...]:
        return (*self._buses.values(), *self._links.values())

    def open_bus(self, spec: BusSpec) -> Bus:
        """The bus of this line: the one that is there already, or a new one, which opens when first used.

        `ValueError` where the same line is described in two different ways.
        """
        bus = self._buses.get(spec.endpoint)
        if spec.endpoint in self._links:
            raise ValueError(f"{spec} is the line of a charger that speaks no Modbus")
        if bus is None:
            bus = self._buses[spec.endpoint] = open_bus(spec)
        elif bus.spec != spec:
            raise ValueError(f"{spec} is described twice, and differently")
        return bus

    def open_link(self, spec: BusSpec) -> Link:
        """A line for one controller alone, which opens when first used. `ValueError` where it is in use."""
        from edged.chargers.rapi.link import Link

        if spec.endpoint in self._links or spec.endpoint in self._buses:
            raise ValueError(f"{spec} is in use already, and a controller needs a line of its own")
        link = self._links[spec.endpoint] = Link(spec)
        return link

    async def close(self) -> None:
        for line in self.buses:
            await line.close()
        self._buses.clear()
        self._links.clear()


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


def build_rapi(
    profile: RapiProfile,
    link: Link,
    *,
    poll_interval_s: float = 1.0,
    max_current_ma: int | None = None,
    phases: int | None = None,
    voltage_v: float = 230.0,
    clock: Clock,
) -> RapiCharger:
    """A controller at the end of its line. `ValueError` where such a line cannot carry it."""
    from edged.chargers.rapi.charger import RapiCharger

    if link.spec.kind is LineKind.TCP:
        raise ValueError(f"{profile.name} speaks over a serial line or a converter's bare bytes, not Modbus TCP")
    return RapiCharger(
        profile,
        link,
        clock=clock,
        poll_interval_s=poll_interval_s,
        max_current_ma=max_current_ma,
        phases=phases,
        voltage_v=voltage_v,
    )


def build_board(profile: RelayProfile, bus: Bus, *, unit_id: int | None = None, name: str = "") -> RelayBoard:
    """A relay board on a bus; `name` is the site's. `ValueError` where it cannot be there."""
    unit = profile.bus.unit_id if unit_id is None else unit_id
    reason = _why_not_here(profile.name, profile.bus, bus.spec, unit)
    if reason is not None:
        raise ValueError(reason)
    return RelayBoard(profile, bus, unit_id=unit, name=name)
