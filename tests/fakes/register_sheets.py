"""The register sheets of tests/chargers/images: reading them, and a unit whose registers are one of their images.

An image names tables (H, I, C, D), addresses and words; a list is several registers, a text two characters a register.
Every other address reads 0. `expect` compares what it names, and the faults always. `from` is the image that something
starts from, `after` one that was seen before. A write is "FC6 address = word"; `then` says what follows from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from edged.chargers.library import load_profile
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import ExceptionReply, NoAnswer, Table
from edged.chargers.modbus_charger import ModbusCharger
from edged.chargers.profile import DeviceProfile
from edged.domain.hardware import Capability, Desired, Observation
from tests.fakes.shipped_profiles import MODBUS_NAMES

IMAGES = Path(__file__).parents[1] / "chargers" / "images"
NAMES = list(MODBUS_NAMES)
TABLES = {"H": Table.HOLDING, "I": Table.INPUT, "C": Table.COIL, "D": Table.DISCRETE}
METER = ("energy_wh", "power_w", "frequency_hz", "temperature_c", "soc_pct")
PHASES = ("current_a", "voltage_v")
KNOWN = {"state", "plugged", "lock", "operative", "permit", "limit_a", "faults", "token", "lacks", "identity", "booted"}

Cells = dict[tuple[Table, int], int]
Wire = tuple[int, int, tuple[int, ...]]
"""A write: function code, address, words."""


def cells_of(entry: dict[str, Any]) -> Cells:
    """The registers that an entry of an image file names."""
    cells: Cells = {}
    for name, table in TABLES.items():
        for address, value in (entry.get(name) or {}).items():
            if isinstance(value, str):
                data = value.encode("latin-1").ljust((len(value) + 1) // 2 * 2, b"\0")
                words = [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
            else:
                words = value if isinstance(value, list) else [value]
            for i, word in enumerate(words):
                assert 0 <= word <= 0xFFFF, f"{name} {address} holds {word}"
                cells[table, address + i] = word
    return cells


def wire_of(text: str) -> Wire:
    """ "FC16 0x4100 = 0 16000" as function code, address and words."""
    match = re.fullmatch(r"FC(\d+) (\w+) = ([\w ]+)", text)
    assert match is not None, f"{text!r} is no write"
    return int(match[1]), int(match[2], 0), tuple(int(word, 0) for word in match[3].split())


@dataclass
class ImageBus:
    """A unit whose registers are an image. `then` changes registers when a write is seen."""

    cells: Cells
    spec: BusSpec
    then: dict[Wire, Cells] = field(default_factory=dict)
    wrote: list[Wire] = field(default_factory=list)
    absent: frozenset[tuple[Table, int]] = frozenset()
    silent_reads: int = 0

    def tune(self, unit_id: int, **rules: object) -> None:
        pass

    def session(self, unit_id: int) -> int:
        return 1

    def last_answer_at(self, unit_id: int) -> float | None:
        return None

    def turnaround_s(self, unit_id: int) -> float:
        return 0.0

    async def read(self, unit_id: int, table: Table, address: int, count: int, **options: object) -> tuple[int, ...]:
        if self.silent_reads:
            self.silent_reads -= 1
            raise NoAnswer("it restarts")
        wanted = [(table, at) for at in range(address, address + count)]
        if self.absent.intersection(wanted):
            raise ExceptionReply(2)
        return tuple(self.cells.get(cell, 0) for cell in wanted)

    async def write(
        self, unit_id: int, table: Table, address: int, values: tuple[int, ...], *, multiple: bool = False, **o: object
    ) -> None:
        function = 5 if table is Table.COIL else 16 if multiple else 6
        wire = (function, address, tuple(values))
        self.wrote.append(wire)
        self.cells.update({(table, address + i): word for i, word in enumerate(values)})
        self.cells.update(self.then.get(wire, {}))


@cache
def read_sheet(name: str) -> tuple[DeviceProfile, dict[str, Any]]:
    return load_profile(name), yaml.safe_load((IMAGES / f"{name}.yaml").read_text(encoding="utf-8"))


class Sheet:
    """One image file."""

    def __init__(self, name: str, profile: DeviceProfile | None = None) -> None:
        own, self.data = read_sheet(name)
        self.profile = own if profile is None else profile
        self.point = self.data.get("point", 1)

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self.data.get(key) or {}

    def cells(self, entry: dict[str, Any]) -> Cells:
        cells = cells_of(self["base"])
        for key in ("from", "after"):
            if key in entry:
                cells |= cells_of(self["images"][entry[key]])
        return cells | cells_of(entry) if "after" not in entry else cells

    def charger(self, entry: dict[str, Any], clock, **options: Any) -> tuple[ModbusCharger, ImageBus]:
        rtu = self.profile.bus.transports[0] == "rtu"
        kind = LineKind.SERIAL if rtu else LineKind.TCP
        bus = ImageBus(self.cells(entry), BusSpec(kind=kind, port="/dev/null", baudrate=19_200, host="image"))
        bus.then = {wire_of(text): cells_of(after) for text, after in (entry.get("then") or {}).items()}
        bus.absent = frozenset(cells_of(entry.get("absent") or self["absent"]))
        unit = self.profile.bus.unit_id
        charger = ModbusCharger(
            self.profile, bus, unit_id=unit, point=self.point, clock=clock, pause=clock.pause, **options
        )
        charger._keep_alive.start = lambda: None  # type: ignore[method-assign]  # its task would outrun a fake clock
        return charger, bus


def told(seen: Observation, key: str) -> Any:
    """The observation's word for a key of `expect`."""
    match key:
        case "permit":
            return seen.permit_charging
        case "limit_a":
            return None if seen.current_limit_ma is None else seen.current_limit_ma / 1000
        case "faults":
            return sorted([str(fault.code), fault.vendor_code, fault.blocking] for fault in seen.faults)
        case "current_a" | "voltage_v":
            phases = getattr(seen.meter, key)
            return [phases.l1, phases.l2, phases.l3]
        case key if key in METER:
            return getattr(seen.meter, key)
        case _:
            return getattr(seen, key)


def nearly(wanted: Any) -> Any:
    if isinstance(wanted, list):
        return [nearly(value) for value in wanted]
    return pytest.approx(wanted, rel=1e-5, abs=1e-6) if isinstance(wanted, float) else wanted


def wrong_in(seen: Observation, charger: ModbusCharger, expect: dict[str, Any]) -> list[str]:
    """What an observation shows otherwise than expected."""
    wrong = []
    expect = {"faults": [], **expect}
    for word in expect.keys() - {"lacks", "identity"}:
        assert word in KNOWN | set(METER) | set(PHASES), word
        wanted = sorted(expect[word]) if word == "faults" else nearly(expect[word])
        if told(seen, word) != wanted:
            wrong.append(f"{word}: {told(seen, word)!r} instead of {expect[word]!r}")
    offered = charger.profile.capabilities if seen.capabilities is None else seen.capabilities
    wrong += [f"it still has {word}" for word in expect.get("lacks", ()) if Capability(word) in offered]
    told_of_itself, identity = charger.identity, expect.get("identity", {})
    wrong += [
        f"{word}: {told_of_itself.get(word)!r}" for word in identity if told_of_itself.get(word) != identity[word]
    ]
    return wrong


def desired_of(entry: dict[str, Any]) -> Desired:
    """The wish of a write entry."""
    words = dict(entry["desired"])
    limit_a = words.pop("limit_a", None)
    limit_ma = None if limit_a is None else round(limit_a * 1000)
    return Desired(permit_charging=words.pop("permit"), current_limit_ma=limit_ma, **words)
