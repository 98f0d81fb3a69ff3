"""The site that the story is played on: simulated chargers, a small CSMS with its file server, Mosquitto where there is
one, the daemon.

Owns everything that must be taken down again, and takes it down whatever happens. Holds what the witnesses saw last;
judges nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from edged.cli.demo.broker import Broker, Observer, mosquitto
from edged.cli.demo.daemon import Daemon, Disk, read_disk
from edged.cli.demo.file_box import FileBox
from edged.cli.demo.places import (
    CREDENTIAL,
    FIRST_VERSION,
    PLACES,
    STATION,
    TOKENS,
    YARD,
    Passwords,
    Place,
    configuration,
)
from edged.cli.demo.witness import Witness
from edged.simulator.csms import Csms
from edged.simulator.model import PointModel
from edged.simulator.site import SimulatedCharger, SimulatedSite

DATABASE: Final = "edged.db"
PREFIX: Final = "edged-demo-"
MAX_DIRECTORY_CHARS: Final = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the site is to be. `seed` None: a random one, which `Stage.seed` then tells."""

    speed: float
    seed: int | None = None
    keep: bool = False
    broker: bool = True


def make_directory() -> Path:
    """A directory of its own, where the paths of sockets are short enough for the kernel (108 bytes)."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    if len(str(directory)) <= MAX_DIRECTORY_CHARS:
        return directory
    directory.rmdir()
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))


class Stage:
    """Use it as an asynchronous context manager. The daemon is started by the story, not by the stage."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.directory = make_directory()
        self.notes: dict[str, Any] = {}
        self.answer: Mapping[str, Any] = {}
        self.answered_s = 0.0
        self.mark = 0
        self.status: Mapping[str, Any] | None = None
        self.disk: Disk | None = None
        self.daemon_log = self.directory / "daemon.log"
        self.keep = options.keep
        self.broker: Broker | None = None
        self.observer: Observer | None = None
        self.site = SimulatedSite(
            [self._simulated(place) for place in PLACES],
            control_path=self.directory / "chargers.sock",
            speed=options.speed,
            seed=options.seed,
        )
        self.passwords = Passwords.invented()
        self.csms = Csms(versions=[FIRST_VERSION], tokens=TOKENS, credentials={STATION: self.passwords.first})
        self.files = FileBox(self.directory / "files", self.passwords.files)
        self.daemon = Daemon(
            self.directory / "edged.yaml",
            self.directory / "state",
            self.directory / "control.sock",
            self.daemon_log,
        )
        self._stack = contextlib.AsyncExitStack()

    def _simulated(self, place: Place) -> SimulatedCharger:
        return SimulatedCharger(
            name=place.charger,
            make=place.make,
            listen=f"pty:{self.directory / place.terminal}" if place.terminal else "tcp:127.0.0.1:0",
            unit_id=place.unit_id,
            energy_wh=place.energy_wh,
        )

    async def __aenter__(self) -> Self:
        """Raises `EdgedError` where something cannot be had; nothing stays then."""
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise
        return self

    async def _open(self) -> None:
        await self._stack.enter_async_context(self.site)
        await self._stack.enter_async_context(self.csms)
        self._stack.push_async_callback(self.files.stop)
        await self.files.start()
        binary = mosquitto() if self.options.broker else None
        if binary is not None:
            self.broker = Broker(binary, self.directory)
            self._stack.push_async_callback(self.broker.stop)
            await self.broker.start()
            self.observer = await self.observe("observer")
        self._write_password()
        (self.directory / "edged.yaml").write_text(
            configuration(
                terminal=self.directory / YARD,
                endpoints={place.charger: self.site.endpoint(place.charger) for place in PLACES},
                csms_url=self.csms.url,
                broker_port=self.broker.port if self.broker is not None else None,
            )
        )
        self._stack.push_async_callback(self.daemon.stop)

    def _write_password(self) -> None:
        """As an installer does it: a file of its own that nobody else may read."""
        folder = self.directory / "credentials"
        folder.mkdir()
        path = folder / CREDENTIAL
        path.touch(mode=0o600)
        path.write_text(self.passwords.first)

    async def observe(self, name: str) -> Observer:
        """One more client of the broker."""
        assert self.broker is not None
        observer = Observer(self.broker.port, name)
        self._stack.push_async_callback(observer.stop)
        await observer.start()
        return observer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End every process and remove every file, unless they are to be kept."""
        try:
            await self._stack.aclose()
        finally:
            if not self.keep:
                shutil.rmtree(self.directory, ignore_errors=True)

    # --- what the witnesses see

    async def look(self, witnesses: Iterable[Witness]) -> None:
        """Ask anew those witnesses that must be asked."""
        wanted = frozenset(witnesses)
        if Witness.HARDWARE in wanted:
            self.site.catch_up()
        if Witness.SOCKET in wanted:
            self.status = await self.daemon.status()
        if Witness.DISK in wanted:
            self.disk = await asyncio.to_thread(read_disk, self.daemon.state / DATABASE, self.directory)

    def point(self, place: Place) -> PointModel:
        """The hardware itself."""
        return self.site[place.charger]

    def begin(self) -> None:
        """A new step: what came before counts no more."""
        self.mark = self.csms.mark()
        self.answer = {}

    # --- what people do

    async def call(self, action: str, payload: Mapping[str, object], *, timeout_s: float = 35.0) -> None:
        """The CSMS calls the station; the answer is `answer`."""
        self.answer = await self.csms.call(action, payload, station=STATION, timeout_s=timeout_s)
        self.answered_s = time.monotonic()

    async def present(self, place: Place, token: str) -> None:
        """A driver's token is presented by the site; what the daemon says of it is `answer`."""
        self.answer = await self.daemon.ask("present_token", {"connector": place.connector, "id_token": token})
