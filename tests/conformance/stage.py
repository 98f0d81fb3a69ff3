"""A whole site for one scenario: simulated chargers, a CSMS that judges, and the daemon between them.

What is the same in every OCPP version; `scene` and `scene201` have the rest.

What people do (`plug`, `swipe`, ...) and what the CSMS asks (`call`, `remote_start`, ...) are moves. Each move sets a
mark, and what is expected after it is only looked for behind that mark: what was said before does not count.
Waiting is always for an event and bounded; `settled` is the event that proves that nothing more is to come.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml

from edged.chargers import library
from edged.domain.hardware import FaultCode
from edged.simulator.csms import Csms, Token
from edged.simulator.csms_record import Direction, Frame, Kind
from edged.simulator.device import SimulatedDevice
from edged.simulator.makes.modbus_relay import ModbusRelay
from edged.simulator.model import PointModel
from edged.simulator.parts import Cable, Car
from edged.simulator.site import SimulatedCharger, SimulatedSite
from tests.conformance.daemon import Daemon, DaemonHere, DaemonProcess

STATION = "CP-1"
BOARD = "modbus-relay"
SPEED = 20.0
PATIENCE_S = 30.0
LOOK_S = 0.05
TOKENS = {
    "ALICE": Token("Accepted"),
    "BOB": Token("Accepted"),
    "MUM": Token("Accepted", parent="FAMILY"),
    "DAD": Token("Accepted", parent="FAMILY"),
    "LATE": Token("Expired"),
    "THIEF": Token("Blocked"),
}
"""Who is known to the CSMS; anybody else is Invalid in 1.6 and Unknown in 2.0.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One charger: what it is, and the profile that drives it where that is not the make's own.

    `requests_a_look`: how many requests it answers from one look of the daemon to the end of the next but one.
    """

    make: str
    profile: str | None = None
    points: int = 1
    unit_id: int | None = 1
    cable: Cable | None = None
    listen: str = "tcp"
    poll_s: float = 0.2
    requests_a_look: int = 8


SOCKET = Box(make="phoenix-charx-sec")
"""A socket that locks while energy is offered, with a card reader."""
TWO_SOCKETS = Box(make="phoenix-charx-sec", points=2, requests_a_look=16)
LOCKING = Box(make="phoenix-charx-sec", profile="charx-lock-output")
"""The same with its lock output wired: the daemon itself closes the lock and keeps it closed."""
KEBA = Box(make="keba-p30", unit_id=255, requests_a_look=50)
"""A socket whose lock is sensed."""
TETHERED = Box(make="heidelberg-energy-control", listen="rtu-tcp", poll_s=0.5, requests_a_look=6)
"""A fixed cable: no lock, no reader."""
OPENEVSE = Box(
    make="openevse-rapi",
    profile="openevse-socket",
    unit_id=None,
    cable=Cable.SOCKET,
    listen="pty",
    poll_s=0.2,
    requests_a_look=14,
)
"""A controller on a serial line of its own, which it speaks on by itself; built with a lock, without a reader."""


@dataclass(slots=True)
class Stage(ABC):
    """One station `STATION` with a connector for each point of its boxes, numbered through from 1; of its EVSEs each
    has one connector.

    `csms_options`: more arguments for `Csms`; `*_settings`: more keys of the installer's file, of `csms`, of the
    station, of every charger and at the top. `relay_off_s`: there is a relay board too, whose output n cuts the power
    of box n for so long.
    """

    folder: Path
    boxes: Sequence[Box] = (SOCKET,)
    keys: Mapping[str, object] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=lambda: dict(TOKENS))
    process: bool = False
    speed: float = SPEED
    csms_options: Mapping[str, Any] = field(default_factory=dict)
    csms_settings: Mapping[str, Any] = field(default_factory=dict)
    station_settings: Mapping[str, Any] = field(default_factory=dict)
    charger_settings: Mapping[str, Any] = field(default_factory=dict)
    site_settings: Mapping[str, Any] = field(default_factory=dict)
    relay_off_s: float | None = None
    csms: Csms = field(init=False)
    site: SimulatedSite = field(init=False)
    daemon: Daemon = field(init=False)
    since: int = 0
    forgiven: Callable[[str], bool] = field(default=lambda sentence: False)
    _open: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    versions: ClassVar[tuple[str, ...]]
    """The OCPP versions that the installer's file names and the CSMS accepts."""

    @abstractmethod
    async def ready(self, *, after: int = 0) -> None:
        """The CSMS has heard of the station and of every connector."""

    @abstractmethod
    def named(self, frame: Frame) -> str:
        """A CALL of the station in a word or two."""

    # --- its life

    async def open(self, *, wait: bool = True, script: Callable[[Csms], None] | None = None) -> Self:
        """Start everything, the daemon last; with `wait` until the CSMS knows the status of every connector.

        `script`: tells the CSMS how to answer before anybody has called it.
        """
        self.csms = await self._open.enter_async_context(
            Csms(**{"tokens": self.tokens, "versions": self.versions, **self.csms_options})
        )
        if script is not None:
            script(self.csms)
        chargers = [
            SimulatedCharger(
                name=f"box{n}",
                make=box.make,
                listen=f"pty:{self.folder / f'tty{n}'}" if box.listen == "pty" else f"{box.listen}:127.0.0.1:0",
                unit_id=box.unit_id,
                cable=box.cable,
                points=box.points,
            )
            for n, box in enumerate(self.boxes, 1)
        ]
        if self.relay_off_s is not None:
            cuts = {n: f"box{n}" for n in range(1, len(self.boxes) + 1)}
            chargers.append(SimulatedCharger(name=BOARD, make=BOARD, listen="tcp:127.0.0.1:0", cuts=cuts))
        self.site = await self._open.enter_async_context(SimulatedSite(chargers, speed=self.speed, seed=1))
        state_dir = self.folder / "state"
        state_dir.mkdir()
        self.write_config()
        self.daemon = (DaemonProcess if self.process else DaemonHere)(self.folder / "edged.yaml", state_dir)
        self._open.push_async_callback(self.daemon.close)
        await self.daemon.start()
        if wait:
            await self.ready()
        return self

    async def close(self) -> None:
        """End everything. A daemon that died is an error here."""
        await self._open.aclose()
        assert set(self.daemon.exits) <= {0, 75, -9}, f"edged ended with {self.daemon.exits}"

    def write_config(self) -> None:
        """The installer's file, as the boxes and keys are now."""
        chargers: dict[str, Any] = {}
        for n, box in enumerate(self.boxes, 1):
            for point in range(1, box.points + 1):
                chargers[f"box{n}-{point}"] = {
                    "profile": box.profile or box.make,
                    **_line(box, self.site.endpoint(f"box{n}")),
                    "point": point,
                    "poll_interval_s": box.poll_s,
                    **({} if self.relay_off_s is None else {"reset_relay": self._relay(n)}),
                    **self.charger_settings,
                }
        station = {
            "id": STATION,
            "vendor": "Example Energy",
            "model": "Depot 3",
            "csms": {"url": self.csms.url, "versions": list(self.versions), **self.csms_settings},
            "evses": [{"charger": name} for name in chargers],
            "configuration": dict(self.keys),
            **self.station_settings,
        }
        if self.relay_off_s is not None:
            chargers[BOARD] = {"profile": BOARD, "tcp": self.site.endpoint(BOARD)}
        config = {
            "gateway": {"id": "scene"},
            "chargers": chargers,
            "stations": [station],
            "log": {"level": "info"},
            **self.site_settings,
        }
        path = self.folder / "edged.yaml"
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        folder = self.folder / "profiles.d"
        folder.mkdir(exist_ok=True)
        (folder / f"{LOCKING.profile}.yaml").write_text(_profile_with_lock_output())
        (folder / f"{OPENEVSE.profile}.yaml").write_text(_profile_of_a_socket())

    def _relay(self, output: int) -> dict[str, Any]:
        return {"charger": BOARD, "output": output, "off_s": self.relay_off_s}

    @property
    def board(self) -> ModbusRelay:
        board = self.site.units[BOARD]
        assert isinstance(board, ModbusRelay)
        return board

    @property
    def connectors(self) -> range:
        return range(1, sum(box.points for box in self.boxes) + 1)

    def point(self, connector: int = 1) -> PointModel:
        """The physics behind a connector."""
        return self._places()[connector - 1][1]

    def unit(self, connector: int = 1) -> SimulatedDevice:
        """The charger behind a connector."""
        return self.site.units[self._places()[connector - 1][0]]

    def _places(self) -> list[tuple[str, PointModel]]:
        return [(name, point) for name, unit in self.site.units.items() for point in unit.points]

    # --- the daemon's ends

    async def stop_daemon(self) -> None:
        self._mark()
        await self.daemon.stop()

    async def start_daemon(self, *, wait: bool = True) -> None:
        self._mark()
        await self.daemon.start()
        if wait:
            await self.ready(after=self.since)

    async def restart_daemon(
        self, *, kill: bool = False, power_loss: bool = False, off_s: float = 0.0, wait: bool = True
    ) -> None:
        """End it (`kill`: without a word) and start it again, `off_s` later. `power_loss`: computer and chargers lost
        their power."""
        self._mark()
        await (self.daemon.kill() if kill or power_loss else self.daemon.stop())
        if power_loss:
            self.daemon.forget_the_boot()
            for unit in self.site.units.values():
                unit.reboot()
        on_at_s = time.monotonic() + off_s
        await self.site.until(lambda: time.monotonic() >= on_at_s)
        await self.daemon.start()
        if wait:
            await self.ready(after=self.since)

    # --- what people do

    def _mark(self) -> None:
        self.since = self.csms.mark()

    def plug(self, connector: int = 1, car: Car | None = None) -> None:
        self._mark()
        self.point(connector).plug_in(car)

    def unplug(self, connector: int = 1) -> None:
        self._mark()
        self.point(connector).plug_out()

    def swipe(self, tag: str, connector: int = 1) -> None:
        self._mark()
        self.point(connector).swipe(tag)

    def fault(self, code: FaultCode, connector: int = 1) -> None:
        self._mark()
        self.point(connector).fault(code)

    def mend(self, connector: int = 1) -> None:
        self._mark()
        self.point(connector).clear_fault()

    # --- what the network does

    async def cut(self) -> None:
        self._mark()
        self.csms.cut()
        if STATION in self.csms.connected:
            await self.csms.wait_disconnected(STATION)

    async def restore(self) -> None:
        self._mark()
        self.csms.restore()
        await self.csms.wait_connected(STATION, timeout_s=PATIENCE_S)

    # --- what the CSMS asks

    async def call(self, action: str, **payload: object) -> dict[str, Any]:
        """A CALL of the CSMS; its answer's payload."""
        self._mark()
        return await self.csms.call(action, payload, timeout_s=40.0)

    async def status_of(self, action: str, **payload: object) -> str:
        """A CALL of the CSMS; the status in its answer."""
        return str((await self.call(action, **payload))["status"])

    # --- what is expected

    async def expect(self, action: str, *, within_s: float = PATIENCE_S, **fields: object) -> dict[str, Any]:
        """The first CALL of the station with this action and these fields since the last move."""

        def fits(payload: Mapping[str, object]) -> bool:
            return all(payload.get(name) == value for name, value in fields.items())

        return await self.csms.wait_for(action, fits, after=self.since, timeout_s=within_s)

    def calls(self, *, after: int | None = None) -> list[str]:
        """What the station has sent since the last move, in order, as `named` has it."""
        start = self.since if after is None else after
        return [
            self.named(frame)
            for frame in self.csms.record
            if frame.index >= start and frame.direction is Direction.RECEIVED and frame.kind is Kind.CALL
        ]

    def in_order(self, *wanted: str, after: int | None = None) -> bool:
        """Whether these calls came since the last move, in this order, whatever came between."""
        calls = iter(self.calls(after=after))
        return all(any(call == one for call in calls) for one in wanted)

    def payloads(self, action: str, *, after: int | None = None) -> list[dict[str, Any]]:
        return self.csms.received(action, after=self.since if after is None else after)

    def messages(self, action: str, *, after: int | None = None) -> list[dict[str, Any]]:
        """The payloads with this action since the last move, of each message once however often it was sent."""
        start = self.since if after is None else after
        found = (frame for frame in self.csms.record if frame.index >= start and frame.is_call(action, STATION))
        payloads = {frame.message_id: frame.payload for frame in found}
        return [payload for payload in payloads.values() if isinstance(payload, dict)]

    async def settled(self) -> None:
        """Every charger was looked at again, and everything that followed from it was sent: nothing more is to come."""
        seen = {name: unit.requests for name, unit in self.site.units.items()}
        enough = {f"box{n}": box.requests_a_look for n, box in enumerate(self.boxes, 1)}
        await self.site.until(
            lambda: all(self.site.units[name].requests >= seen[name] + more for name, more in enough.items()),
            timeout_s=PATIENCE_S,
        )
        await self.answered()

    async def answered(self) -> None:
        """What waited to be sent was sent and answered: the outbox is empty, and a heartbeat goes behind the rest."""
        await self.knows(lambda state: state["queued"] == 0)
        mark = self.csms.mark()
        assert (await self.csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"}))["status"] == "Accepted"
        await self.csms.wait_for("Heartbeat", after=mark, timeout_s=PATIENCE_S)

    async def knows(self, condition: Callable[[dict[str, Any]], bool]) -> None:
        """Until the daemon's own state, as `edged status` shows it, is so."""
        async with asyncio.timeout(PATIENCE_S):
            state = await self.daemon.state()
            while not condition(state):
                await asyncio.sleep(LOOK_S)
                state = await self.daemon.state()

    async def energy_flows(self, connector: int = 1, *, wh: float = 0.0) -> None:
        """Until the car has got this much since now."""
        point = self.point(connector)
        goal_wh = point.energy_wh + wh
        await self.site.until(lambda: point.contactor_closed and point.energy_wh >= goal_wh, timeout_s=PATIENCE_S)

    async def energy_withheld(self, connector: int = 1) -> None:
        """Until the charger offers nothing: a box that charges freely after its start was told so."""
        await self.site.until(lambda: self.point(connector).offered_ma == 0, timeout_s=PATIENCE_S)

    async def energy_off(self, connector: int = 1) -> None:
        await self.site.until(lambda: not self.point(connector).contactor_closed, timeout_s=PATIENCE_S)

    def violations(self) -> list[str]:
        """What the CSMS found wrong with the station, but for what this scenario provokes."""
        return [sentence for sentence in self.csms.violations if not self.forgiven(sentence)]


def moment(timestamp: object) -> datetime:
    """A time as the station writes it."""
    assert isinstance(timestamp, str) and timestamp.endswith("Z"), f"not in UTC: {timestamp!r}"
    return datetime.fromisoformat(timestamp)


def _line(box: Box, endpoint: str) -> dict[str, Any]:
    """The keys of the installer's file that say where a charger is."""
    if box.listen == "pty":
        return {"serial": {"port": endpoint}}
    return {"tcp" if box.listen == "tcp" else "rtu_over_tcp": endpoint, "unit_id": box.unit_id}


def _profile_of_a_socket() -> str:
    """The shipped profile of an OpenEVSE, for a build with a lock."""
    text = (library.PACKAGED_DIR / f"{OPENEVSE.make}.yaml").read_text()
    for before, after in (
        (f"profile: {OPENEVSE.make}\n", f"profile: {OPENEVSE.profile}\n"),
        ("\ndetachable: false", "\ndetachable: true"),
        ("\nlock: false", "\nlock: true"),
    ):
        assert before in text
        text = text.replace(before, after, 1)
    return text


def _profile_with_lock_output() -> str:
    """The shipped profile of the socket, with the lock output that a site may have wired."""
    shipped = library.PACKAGED_DIR / f"{SOCKET.make}.yaml"
    text = shipped.read_text()
    register = "  lock_output: {table: H, address: 1303, type: u16, access: rw, names: {open: 0, closed: 1}}\n"
    text = text.replace(f"profile: {SOCKET.make}\n", f"profile: {LOCKING.profile}\n")
    text = text.replace("  force_unlock: {", register + "  force_unlock: {", 1)
    return text + "\nlock_control: {register: lock_output, lock: closed, unlock: open}\n"
