"""The makes that can be simulated, by the name of the profile that drives them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edged.simulator.device import SimulatedDevice
from edged.simulator.makes import heidelberg_energy_control, keba_p30, modbus_relay, openevse, phoenix_charx_sec
from edged.simulator.model import PointModel
from edged.simulator.parts import Cable, Impossible, PointSpec
from edged.simulator.unit import SimulatedUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class Make:
    """How to build one Modbus unit of a make: its registers and what is in its box."""

    unit: type[SimulatedUnit]
    spec: PointSpec
    max_points: int = 1


MAKES: Mapping[str, Make] = MappingProxyType(
    {
        make.unit.make: make
        for make in (
            Make(
                unit=phoenix_charx_sec.PhoenixCharxSec,
                spec=phoenix_charx_sec.SPEC,
                max_points=phoenix_charx_sec.MAX_POINTS,
            ),
            Make(unit=heidelberg_energy_control.HeidelbergEnergyControl, spec=heidelberg_energy_control.SPEC),
            Make(unit=keba_p30.KebaP30, spec=keba_p30.SPEC),
        )
    }
)


def build_unit(
    make: str,
    *,
    name: str,
    unit_id: int | None = None,
    points: int = 1,
    cable: Cable | None = None,
    phases: int | None = None,
    energy_wh: float = 0.0,
    min_gap_s: float | None = None,
) -> SimulatedDevice:
    """A device of a make, with what may differ from its usual box. `Impossible` where there is no such device."""
    if make == modbus_relay.ModbusRelay.make:
        return modbus_relay.ModbusRelay(name, unit_id=1 if unit_id is None else unit_id, min_gap_s=min_gap_s)
    if make == openevse.OpenEvse.make:
        if unit_id is not None or min_gap_s is not None or points != 1:
            raise Impossible(f"a {make} is one point, alone on its line: it has no unit id and no pause")
        spec = _spec(openevse.SPEC, cable=cable, phases=phases, energy_wh=energy_wh)
        return openevse.OpenEvse(name, point=PointModel(spec))
    known = MAKES.get(make)
    if known is None:
        there_are = ", ".join((*MAKES, openevse.OpenEvse.make, modbus_relay.ModbusRelay.make))
        raise Impossible(f"there is no simulated {make}; there are {there_are}")
    if not 1 <= points <= known.max_points:
        raise Impossible(f"a {make} has 1 to {known.max_points} points, not {points}")
    spec = _spec(known.spec, cable=cable, phases=phases, energy_wh=energy_wh)
    return known.unit(
        name,
        unit_id=known.unit.default_unit_id if unit_id is None else unit_id,
        points=tuple(PointModel(spec) for _ in range(points)),
        min_gap_s=min_gap_s,
    )


def _spec(spec: PointSpec, *, cable: Cable | None, phases: int | None, energy_wh: float) -> PointSpec:
    if phases is not None and not 1 <= phases <= 3:
        raise Impossible(f"a point has 1 to 3 phases, not {phases}")
    return dataclasses.replace(
        spec,
        cable=spec.cable if cable is None else cable,
        phases=spec.phases if phases is None else phases,
        energy_wh=energy_wh,
    )
