"""Which chargers share a line, and which cannot be where they are said to be."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from edged.chargers.factory import BusPool, build_charger, open_bus, spec_for_point, why_not
from edged.chargers.library import load_profile
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.profile import Points
from edged.chargers.profile_terms import PointsBy

TCP = BusSpec(kind=LineKind.TCP, host="10.0.0.21", tcp_port=502)
SERIAL = BusSpec(kind=LineKind.SERIAL, port="/dev/ttyUSB0", baudrate=19_200, parity="even")


async def test_one_endpoint_is_one_bus(tmp_path) -> None:
    pool = BusPool()
    link = tmp_path / "by-id"
    link.symlink_to("/dev/ttyUSB0")
    assert pool.open_bus(TCP) is pool.open_bus(TCP)
    assert pool.open_bus(TCP) is not pool.open_bus(replace(TCP, tcp_port=503))
    pool.open_bus(SERIAL)
    with pytest.raises(ValueError, match="differently"):
        pool.open_bus(replace(SERIAL, port=str(link), baudrate=9600))
    assert len(pool.buses) == 3
    await pool.close()


@pytest.mark.parametrize(
    ("name", "spec", "unit_id", "point", "reason"),
    [
        ("keba-p30", SERIAL, 255, 1, "speaks tcp"),
        ("heidelberg-energy-control", TCP, 1, 1, "speaks rtu"),
        ("heidelberg-energy-control", SERIAL, 16, 1, r"1\.\.15"),
        ("phoenix-charx-sec", TCP, 1, 13, r"points 1\.\.12"),
    ],
)
def test_a_charger_that_cannot_be_there_is_explained(name, spec, unit_id, point, reason, clock) -> None:
    profile = load_profile(name)
    why = why_not(profile, spec, unit_id=unit_id, point=point)
    assert why is not None
    with pytest.raises(ValueError, match=reason):
        build_charger(profile, open_bus(spec), unit_id=unit_id, point=point, clock=clock)


def test_the_profile_knows_the_unit_id_where_nobody_says(clock) -> None:
    assert build_charger(load_profile("keba-p30"), open_bus(TCP), clock=clock).device.unit_id == 255


def test_points_told_apart_by_port_have_a_line_each() -> None:
    profile = replace(load_profile("keba-p30"), points=Points(count=2, by=PointsBy.PORT, stride=1))
    assert spec_for_point(TCP, profile, 2).tcp_port == 503
    assert spec_for_point(TCP, load_profile("keba-p30"), 1) == TCP


def test_a_device_asks_of_the_line_what_its_profile_says(clock, image) -> None:
    one = image("heidelberg-energy-control")
    build_charger(one.profile, one.bus, unit_id=3, clock=clock)
    assert one.bus.tuned == {"min_gap_s": 0.1, "gap_is_bus_wide": False, "response_timeout_s": 0.5}


def test_what_only_some_sites_have_is_not_in_the_memory_of_the_others() -> None:
    script = "import sys, edged.app; print({m for m in sys.modules if m.startswith('edged.chargers')})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "'edged.chargers.bus'" in done.stdout
    for module in ("rapi.link", "rapi.charger", "gpio_output", "probe", "scan"):
        assert f"'edged.chargers.{module}'" not in done.stdout
