"""The daemon of the demo: `edged run` in a process of its own, asked through its public doors only.

`Disk` reads what the daemon would find if the power went now: a copy of its database files, for it lets nobody else
open them while it runs.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edged.cli.demo.places import STATION
from edged.cli.demo.process import Child
from edged.local.client import ControlClient, ControlError
from edged.ports import EdgedError
from edged.store.codec import Unreadable
from edged.store.row_texts import from_text

ASK_S: Final = 12.0
_SERVICE_VARIABLES: Final = frozenset(
    {"STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}
)


class Refused(EdgedError):
    """The daemon did not carry out a command; the text is its own."""


class Daemon:
    """`edged run -c FILE --state DIR --control PATH`, started as often as the story wants."""

    def __init__(self, config: Path, state: Path, control: Path, log: Path) -> None:
        command = [sys.executable, "-m", "edged", "run", "-c", str(config), "--state", str(state)]
        environment = {name: value for name, value in os.environ.items() if name not in _SERVICE_VARIABLES}
        # An installed edged lies where no Python but its own launcher's looks.
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._child = Child([*command, "--control", str(control)], log, environment)
        self.control = control
        self.state = state
        self.log = log

    async def start(self) -> None:
        await self._child.start()

    async def kill(self) -> None:
        """As a power cut does it: SIGKILL."""
        await self._child.kill()

    async def ended(self) -> int | None:
        """The exit status, once it has ended by itself; the caller bounds the wait."""
        return await self._child.ended()

    async def stop(self) -> int | None:
        """In good order. The exit status."""
        return await self._child.stop()

    @property
    def running(self) -> bool:
        return self._child.running

    @property
    def pid(self) -> int | None:
        return self._child.pid

    @property
    def exit_status(self) -> int | None:
        return self._child.status

    async def ask(self, command: str, args: Mapping[str, object] | None = None, *, ident: str | None = None) -> Any:
        """The result of a command on the control socket. Raises `Refused` or `ControlError`."""
        reply = await asyncio.to_thread(self._ask, command, dict(args or {}), ident)
        if reply.get("ok") is not True:
            error = reply.get("error")
            words = error if isinstance(error, dict) else {}
            raise Refused(f"{command}: {words.get('code')}: {words.get('message')}")
        return reply.get("result")

    def _ask(self, command: str, args: Mapping[str, Any], ident: str | None) -> dict[str, Any]:
        with ControlClient(self.control, timeout_s=ASK_S) as client:
            return client.request(command, args, id=ident)

    async def status(self) -> dict[str, Any] | None:
        """What the daemon says of the demo's station; None while it does not answer."""
        if not self.running:
            return None
        try:
            whole = await self.ask("status")
        except (ControlError, Refused):
            return None
        stations = whole.get("stations", []) if isinstance(whole, dict) else []
        return next((station for station in stations if station.get("id") == STATION), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """What is on the disk: facts by kind and key, the messages that wait for the CSMS, the number of the last event."""

    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    waiting: int = 0
    last_event: int = 0

    def fact(self, kind: str, key: str) -> Any:
        return self.facts.get(kind, {}).get(key)


def read_disk(database: Path, scratch: Path) -> Disk | None:
    """The database as it lies on the disk, log included; None where it cannot be read at this moment."""
    copy = scratch / "look.db"
    try:
        for ending in ("", "-wal"):
            target = copy.with_name(copy.name + ending)
            target.unlink(missing_ok=True)
            source = database.with_name(database.name + ending)
            if source.exists():
                shutil.copyfile(source, target)
        with closing(sqlite3.connect(copy)) as connection:
            rows = connection.execute("SELECT kind, key, value FROM facts WHERE station = ?", (STATION,)).fetchall()
            (waiting,) = connection.execute("SELECT count(*) FROM outbox WHERE station = ?", (STATION,)).fetchone()
            (last_event,) = connection.execute("SELECT ifnull(max(seq), 0) FROM events").fetchone()
    except (OSError, sqlite3.Error):
        return None
    facts: dict[str, dict[str, Any]] = {}
    for kind, key, value in rows:
        facts.setdefault(kind, {})[key] = _value(value)
    return Disk(facts=facts, waiting=int(waiting), last_event=int(last_event))


def _value(text: str) -> Any:
    """Facts are JSON; what is not is left as it is."""
    try:
        return from_text(text)
    except Unreadable:
        return text
