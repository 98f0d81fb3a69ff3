"""The daemon under test, kept running as systemd would: in this process, or as one of its own where its end matters."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from edged.gateway import DATABASE, HOST_BOOT, Gateway
from edged.site import load_site
from edged.system.host import EXIT_RESTART
from edged.system.notify import Notifier

STOP_S = 10.0


class Daemon(ABC):
    """Runs edged again whenever it leaves with the status that asks for it. `exits`: how each run ended."""

    def __init__(self, config: Path, state_dir: Path) -> None:
        self.config = config
        self.state_dir = state_dir
        self.control = state_dir / "control.sock"
        self.exits: list[int] = []
        self._life: asyncio.Task[None] | None = None

    async def start(self) -> None:
        assert self._life is None, "the daemon runs already"
        self._life = asyncio.create_task(self._live(), name="daemon")

    async def stop(self) -> None:
        """End it in good order, as `systemctl stop` does."""
        self._ask_to_end()
        await self._ended()

    async def kill(self) -> None:
        """End it without a word."""
        self._kill()
        await self._ended()

    async def close(self) -> None:
        """After the test: whatever state it is in. Raises what the daemon died of."""
        if self._life is not None:
            await self.stop()

    async def state(self) -> dict[str, Any]:
        """What `edged status` shows of the station."""
        reader, writer = await asyncio.open_unix_connection(self.control, limit=2**20)
        try:
            writer.write(b'{"command":"status"}\n')
            reply = json.loads(await reader.readline())
        finally:
            writer.close()
            await writer.wait_closed()
        (station,) = reply["result"]["stations"]
        return dict(station)

    def forget_the_boot(self) -> None:
        """Make the next run believe that the computer has restarted meanwhile: as after a power cut."""
        assert self._life is None, "the daemon still runs"
        with contextlib.closing(sqlite3.connect(self.state_dir / DATABASE)) as database, database:
            changed = database.execute("UPDATE gateway SET value = 'another boot' WHERE name = ?", (HOST_BOOT,))
            assert changed.rowcount == 1, "the daemon has not kept which boot it ran in"

    async def _ended(self) -> None:
        assert self._life is not None, "the daemon does not run"
        life, self._life = self._life, None
        async with asyncio.timeout(STOP_S):
            await life

    async def _live(self) -> None:
        while True:
            status = await self._run()
            self.exits.append(status)
            if status != EXIT_RESTART:
                return

    @abstractmethod
    async def _run(self) -> int:
        """One run, from start to end."""

    @abstractmethod
    def _ask_to_end(self) -> None: ...

    @abstractmethod
    def _kill(self) -> None: ...


class DaemonHere(Daemon):
    """In this process and event loop. It cannot be killed."""

    _gateway: Gateway | None = None

    async def _run(self) -> int:
        self._gateway = Gateway(load_site(self.config), self.state_dir, self.control, Notifier({}))
        return await self._gateway.run()

    def _ask_to_end(self) -> None:
        if self._gateway is not None:
            self._gateway.leave(0)

    def _kill(self) -> None:
        raise NotImplementedError("only a process can be killed: open the scene with process=True")


class DaemonProcess(Daemon):
    """`python -m edged run`."""

    _process: asyncio.subprocess.Process | None = None
    _ending = False

    async def _run(self) -> int:
        environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
        places = ("--config", self.config, "--state", self.state_dir, "--control", self.control)
        command = (sys.executable, "-m", "edged", "run", *places)
        self._process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=self._log())
        return await self._process.wait()

    def _log(self) -> int:
        return os.open(self.state_dir.parent / "edged.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _ask_to_end(self) -> None:
        self._signal(signal.SIGTERM)

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
