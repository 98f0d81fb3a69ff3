"""A whole simulated site in one asyncio process: chargers on their lines, one clock, one control socket.

Owns the passing of time (`speed`: physics run N times faster than the wire) and the composition. The wire keeps real
time: watchdogs that wait for the master, pauses between requests and late replies are not made faster, because the
master is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from edged.simulator.control import Commands, ControlSocket
from edged.simulator.device import SimulatedDevice
from edged.simulator.line import Language, Line, make_line
from edged.simulator.makes import build_unit
from edged.simulator.makes.modbus_relay import ModbusRelay
from edged.simulator.makes.openevse import OpenEvse
from edged.simulator.model import PointModel
from edged.simulator.parts import Cable, Impossible
from edged.simulator.rapi_server import RapiExchange
from edged.simulator.server import Exchange

log = logging.getLogger(__name__)

TICK_S = 0.02
MAX_STEP_S = 3600.0
MAX_SPEED = 100_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCharger:
    """One unit to simulate. `make` is a profile's name, `listen` tcp:HOST:PORT, rtu-tcp:HOST:PORT or pty:PATH.

    Chargers with the same `line` share it; by default those that listen at the same place, except at port 0, where
    each gets a free port of its own. None everywhere else means the make's own; RAPI has no unit ids. `cuts`: of a
    relay board, the name of the device whose power hangs on an output (counted from 1).
    """

    name: str
    make: str
    listen: str
    unit_id: int | None = None
    points: int = 1
    cable: Cable | None = None
    phases: int | None = None
    energy_wh: float = 0.0
    baudrate: int | None = None
    min_gap_ms: float | None = None
    line: str | None = None
    cuts: Mapping[int, str] = field(default_factory=dict)

    @property
    def line_name(self) -> str:
        if self.line is not None:
            return self.line
        return f"{self.listen} ({self.name})" if self.listen.endswith(":0") else self.listen


class SimulatedSite:
    """Chargers by name: `site["left"]` is the model of a charger with one point, `site["hall/2"]` of point 2 of
    another."""

    def __init__(
        self,
        chargers: Sequence[SimulatedCharger],
        *,
        control_path: Path | None = None,
        speed: float = 1.0,
        seed: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < speed <= MAX_SPEED:
            raise Impossible(f"speed must be above 0 and at most {MAX_SPEED:g}, not {speed:g}")
        self.seed = random.SystemRandom().randrange(2**32) if seed is None else seed
        self.speed = speed
        self._clock = clock
        self._units: dict[str, SimulatedDevice] = {}
        self._lines: dict[str, Line] = {}
        self._line_of: dict[str, Line] = {}
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._ticker: asyncio.Task[None] | None = None
        self._last_s: float | None = None
        dice = random.Random(self.seed)
        for charger in chargers:
            self._add(charger, dice)
        if not self._units:
            raise Impossible("there is no charger to simulate")
        for charger in chargers:
            self._wire(charger)
        commands = Commands(self._units, catch_up=self.catch_up)
        self._control = ControlSocket(control_path, commands) if control_path is not None else None

    def _add(self, charger: SimulatedCharger, dice: random.Random) -> None:
        if not charger.name or "/" in charger.name or charger.name in self._units:
            raise Impossible(f"charger names must be unique and without a slash: {charger.name!r}")
        unit = build_unit(
            charger.make,
            name=charger.name,
            unit_id=charger.unit_id,
            points=charger.points,
            cable=charger.cable,
            phases=charger.phases,
            energy_wh=charger.energy_wh,
            min_gap_s=None if charger.min_gap_ms is None else charger.min_gap_ms / 1000.0,
        )
        line = self._lines.get(charger.line_name)
        if line is None:
            line = make_line(charger.listen, self._language(unit, dice), baudrate=charger.baudrate)
            self._lines[charger.line_name] = line
        line.language.add(unit)
        self._units[charger.name] = unit
        self._line_of[charger.name] = line

    def _language(self, device: SimulatedDevice, dice: random.Random) -> Language:
        if isinstance(device, OpenEvse):
            return RapiExchange(catch_up=self.catch_up, dice=dice)
        return Exchange(clock=self._clock, catch_up=self.catch_up, dice=dice)

    def _wire(self, charger: SimulatedCharger) -> None:
        board = self._units[charger.name]
        for output, name in charger.cuts.items():
            if not isinstance(board, ModbusRelay) or name not in self._units:
                raise Impossible(f"{charger.name} cannot cut the power of {name}: write a relay board and a unit")
            board.attach(output, self._units[name])

    async def start(self) -> None:
        """Open every line, then the control socket. `Impossible` where one is not to be had; nothing stays open
        then."""
        self._last_s = self._clock()
        try:
            for line in self._lines.values():
                await line.start()
            if self._control is not None:
                await self._control.start()
        except Impossible:
            await self.stop()
            raise
        self._ticker = asyncio.create_task(self._tick(), name="simulated time")
        log.info("simulating %s; wire faults from seed %d", ", ".join(self._units), self.seed)

    async def stop(self) -> None:
        """Close everything; the models stay as they are."""
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
            self._ticker = None
        if self._control is not None:
            await self._control.stop()
        for line in self._lines.values():
            await line.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def units(self) -> Mapping[str, SimulatedDevice]:
        return MappingProxyType(self._units)

    def __getitem__(self, name: str) -> PointModel:
        unit_name, _, number = name.partition("/")
        points = self._units[unit_name].points
        if not number and len(points) > 1:
            raise KeyError(f"{unit_name} has several points: write {unit_name}/1")
        return points[int(number or 1) - 1]

    def endpoint(self, name: str) -> str:
        """Where a master finds a charger: HOST:PORT, or the path of its terminal. Port 0 is resolved once started."""
        return self._line_of[name].endpoint

    def catch_up(self) -> None:
        """Bring the physics to the present."""
        now_s = self._clock()
        if self._last_s is None:
            self._last_s = now_s
        elapsed_s, self._last_s = max(0.0, now_s - self._last_s), now_s
        for unit in self._units.values():
            unit.advance(min(elapsed_s * self.speed, MAX_STEP_S * self.speed), wire_s=elapsed_s)

    async def until(self, condition: Callable[[], bool], *, timeout_s: float = 30.0) -> None:
        """Wait, in real time, until something holds in the physics. `TimeoutError` where it does not come to pass."""
        self.catch_up()
        if condition():
            return
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (condition, reached)
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await reached
        finally:
            self._waiters.remove(waiter)

    async def _tick(self) -> None:
        while True:
            self.catch_up()
            for condition, reached in self._waiters:
                if not reached.done() and condition():
                    reached.set_result(None)
            await asyncio.sleep(TICK_S)


async def serve(
    chargers: Sequence[SimulatedCharger],
    control_path: Path | None,
    speed: float,
    seed: int | None,
    ready: Callable[[SimulatedSite], None],
) -> None:
    """Simulate until cancelled. `ready` is called once everything listens, with the site (its `seed` is to be
    printed)."""
    async with SimulatedSite(chargers, control_path=control_path, speed=speed, seed=seed) as site:
        ready(site)
        await asyncio.Event().wait()
