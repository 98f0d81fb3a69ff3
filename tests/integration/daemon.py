"""The real daemon as a process: started, asked, killed and waited for, with a deadline on everything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

STATION = "CP-1"
PATIENCE_S = 30.0
LOOK_S = 0.02


class Edged:
    """One daemon, which may be started again and again on the same state directory. Its log goes to `edged.log`."""

    def __init__(self, folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.config = folder / "edged.yaml"
        self.state_dir = folder / "state"
        self.control = folder / "control.sock"
        self.log_path = folder / "edged.log"
        self.environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
        self.environment.update(environment or {})
        self.process: asyncio.subprocess.Process | None = None
        self.max_file_bytes: int | None = None

    def configure(self, document: Mapping[str, Any]) -> None:
        self.config.write_text(yaml.safe_dump(dict(document), sort_keys=False))
        self.config.chmod(0o600)

    def command(self, *words: str | Path) -> Sequence[str | Path]:
        return (sys.executable, "-m", "edged", *words)

    async def start(self, *more: str | Path) -> None:
        assert self.process is None or self.process.returncode is not None, "it runs already"
        words = ("run", "--config", self.config, "--state", self.state_dir, "--control", self.control, *more)
        with self.log_path.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command(*words), env=self.environment, stdout=log, stderr=log
            )
        if self.max_file_bytes is not None:
            self.limit_files(self.max_file_bytes)

    async def up(self, *more: str | Path) -> None:
        """Start it and wait until it answers on its control socket."""
        await self.start(*more)
        await self.answers()

    @property
    def running(self) -> asyncio.subprocess.Process:
        assert self.process is not None, "it was never started"
        return self.process

    @property
    def log(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""

    def signal(self, number: signal.Signals) -> None:
        self.running.send_signal(number)

    async def ended(self, timeout_s: float = PATIENCE_S) -> int:
        """Its exit status. A daemon that does not end is killed, and that is a failure."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self.running.wait()
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"the daemon did not end within {timeout_s:g} s:\n{self.log[-2000:]}") from None

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.running.kill()
        await self.running.wait()

    async def close(self) -> None:
        """After the test, whatever state it is in."""
        if self.process is not None and self.process.returncode is None:
            await self.kill()

    def limit_files(self, max_bytes: int) -> None:
        """No file of the running daemon may grow beyond this: what a full disk looks like to SQLite."""
        _, hard = resource.prlimit(self.running.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.running.pid, resource.RLIMIT_FSIZE, (max_bytes, hard))

    @property
    def resident_bytes(self) -> int:
        for line in Path(f"/proc/{self.running.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the daemon is gone")

    @property
    def process_state(self) -> str:
        """The kernel's letter: R, S, T for stopped, ..."""
        return Path(f"/proc/{self.running.pid}/stat").read_text().rpartition(")")[2].split()[0]

    # --- the control socket

    async def ask(self, command: str, **args: object) -> dict[str, Any]:
        """The envelope of a request's answer. OSError or EOFError where nobody is there."""
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_unix_connection(self.control, limit=2**22)
            try:
                writer.write(json.dumps({"command": command, "args": args}).encode() + b"\n")
                line = await reader.readline()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        if not line:
            raise EOFError("hung up without an answer")
        return dict(json.loads(line))

    async def result(self, command: str, **args: object) -> Any:
        reply = await self.ask(command, **args)
        assert reply["ok"], reply
        return reply["result"]

    async def status(self) -> dict[str, Any]:
        return dict(await self.result("status"))

    async def answers(self) -> None:
        """Until it answers. A daemon that ends meanwhile is a failure."""
        await self.until(self._answered, "the daemon answers")

    async def _answered(self) -> bool:
        assert self.running.returncode is None, f"the daemon ended with {self.running.returncode}:\n{self.log[-3000:]}"
        try:
            return bool((await self.ask("status"))["ok"])
        except (OSError, EOFError):
            return False

    async def knows(self, what: Callable[[dict[str, Any]], bool], *, timeout_s: float = PATIENCE_S) -> None:
        """Until `edged status` shows it of the (first) station."""
        seen: dict[str, Any] = {}

        async def look() -> bool:
            seen.clear()
            seen.update((await self.status())["stations"][0])
            return what(seen)

        try:
            await self.until(look, "the status is as wanted", timeout_s=timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {json.dumps(seen, indent=1)}") from None

    async def logged(self, sentence: str, *, times: int = 1) -> None:
        """Until its log holds this so many times."""

        async def look() -> bool:
            return self.log.count(sentence) >= times

        await self.until(look, f"the log says {sentence!r}")

    async def until(
        self, condition: Callable[[], Awaitable[bool]], what: str, *, timeout_s: float = PATIENCE_S
    ) -> None:
        """Look until something holds, but not for ever."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await condition():
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise AssertionError(f"not within {timeout_s:g} s: {what}\n{self.log[-2000:]}") from None


def charger(profile: str, endpoint: str, *, point: int = 1, poll_s: float = 0.3, unit_id: int = 1) -> dict[str, Any]:
    return {"profile": profile, "tcp": endpoint, "unit_id": unit_id, "point": point, "poll_interval_s": poll_s}


def site_file(
    chargers: Mapping[str, Mapping[str, Any]],
    *,
    csms: str,
    keys: Mapping[str, object] | None = None,
    mqtt: str | None = None,
    level: str = "info",
) -> dict[str, Any]:
    """An installer's file for one station with a connector for each charger."""
    station = {
        "id": STATION,
        "vendor": "Example Energy",
        "model": "Depot 3",
        "csms": {"url": csms, "versions": ["ocpp1.6"]},
        "evses": [{"charger": name} for name in chargers],
        "configuration": dict(keys or {}),
    }
    document: dict[str, Any] = {
        "gateway": {"id": "gw"},
        "chargers": {name: dict(each) for name, each in chargers.items()},
        "stations": [station],
        "log": {"level": level},
    }
    if mqtt is not None:
        document["mqtt"] = {"url": mqtt, "commands": {"bms": ["*"]}}
    return document
