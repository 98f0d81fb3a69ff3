"""Firmware into the hands of the site's command, and what became of it: the daemon's side. The other is `install_hook`.

The daemon has no right to install anything. It leaves a request, an empty file by the firmware's name; under systemd
edged-firmware.path sees it and starts the hook as root, elsewhere the hook is started from here, in a session of its
own. The hook outlives the daemon: it holds a lock while it works and leaves a result.

    FOLDER/NAME                the firmware; FOLDER is the daemon's, nobody else may look into it
    FOLDER/NAME.asked          it was asked for, and is never asked for again
    FOLDER/requests/NAME       waits for the hook, which takes it away under the lock, before the command starts
    RESULTS/lock               held from then until the result is written
    RESULTS/NAME.json          how it ended

Invariants: a name is asked for once, whatever is restarted in between · where nothing waits, nobody works and there is
no result, it was interrupted and has failed.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.domain.jobs import Cause, Done, Failed
from edged.system.boot import KERNEL_BOOT_ID

log = logging.getLogger(__name__)

REQUESTS = "requests"
ASKED = ".asked"
LOCK = "lock"
BOOT = "boot-id"
SYSTEMD = Path("/run/systemd/system")
SYSTEM_RESULTS = Path("/var/lib/edged-firmware")
SYSTEM_RUNTIME = Path("/run/edged-firmware")
OWN_RESULTS = "results"

DONE, NOT_FIRMWARE, REBOOTING = 0, 10, 20
"""The exit statuses that the command says something with; any other one is a failure."""
COMMAND_S = 3600.0
LIMIT_S = COMMAND_S + 300.0
PICKED_UP_S = 60.0
REBOOT_S = 600.0
POLL_S = 0.5
MAX_RESULT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Result:
    """`status` None: the command was not run to its end; then `line` says why, else it is the last that it said.
    `boot`: of the computer that it ran on."""

    status: int | None
    line: str
    boot: str


def named(result: Result) -> dict[str, Any]:
    return {"status": result.status, "line": result.line, "boot": result.boot}


def kernel_boot(kernel: Path | None = None) -> str:
    """ "" where the sandbox hides it."""
    try:
        return (kernel or KERNEL_BOOT_ID).read_text(encoding="ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long what is waited for, in seconds."""

    limit_s: float = LIMIT_S
    picked_up_s: float = PICKED_UP_S
    reboot_s: float = REBOOT_S
    poll_s: float = POLL_S


class Installer:
    """`start`: what starts the hook; None where systemd does. `runtime`: where the hook says in which boot it ran, on a
    disk that goes with the power."""

    def __init__(
        self,
        *,
        folder: Path,
        results: Path,
        runtime: Path | None,
        start: Callable[[], Awaitable[None]] | None,
        boot: Callable[[], str] = kernel_boot,
        patience: Patience = Patience(),
    ) -> None:
        self._folder = folder
        self._results = results
        self._runtime = runtime
        self._start = start
        self._boot = boot
        self._patience = patience

    async def install(self, name: str, *, resume: bool, rebooting: Callable[[], None]) -> Done | Failed:
        """Have the file `name` of the folder installed. `resume`: a former run may have asked for it. `rebooting` is
        called once where the computer is about to restart; then the outcome comes after that."""
        try:
            if not (resume and (self._folder / (name + ASKED)).exists()):
                self._ask(name)
            if self._start is not None and self._request(name).exists():
                await self._start()
        except OSError as error:
            return Failed(f"the installation cannot be asked for: {error.strerror}")
        return await self._outcome(name, rebooting)

    def _request(self, name: str) -> Path:
        return self._folder / REQUESTS / name

    def _ask(self, name: str) -> None:
        """The mark is durable before the request can be seen."""
        requests = self._folder / REQUESTS
        requests.mkdir(mode=0o700, exist_ok=True)
        for path in (self._folder / (name + ASKED), self._request(name)):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            os.fsync(descriptor)
            os.close(descriptor)
            sync_folder(path.parent)

    async def _outcome(self, name: str, rebooting: Callable[[], None]) -> Done | Failed:
        asked_s = idle_from_s = waiting_s = time.monotonic()
        reboot_by_s: float | None = None
        while (now_s := time.monotonic()) - waiting_s < self._patience.limit_s:
            if self._request(name).exists():
                waiting_s = now_s
                if self._locked():
                    idle_from_s = now_s  # another station's firmware: ours has its turn after it
                if now_s - idle_from_s >= self._patience.picked_up_s and self._withdraw(name):
                    return Failed("nobody took the request to install: is edged-firmware.path enabled?")
                if now_s - asked_s >= self._patience.limit_s and self._withdraw(name):
                    return Failed("something else was being installed all the time")
            elif not self._locked():
                result = self._read(name)
                if result is None or result.status != REBOOTING:
                    return _judged(result)
                if self._has_rebooted(result):
                    return Done()
                if reboot_by_s is None:
                    reboot_by_s = time.monotonic() + self._patience.reboot_s
                    rebooting()
                elif time.monotonic() >= reboot_by_s:
                    return Failed("the computer did not restart, as the installer said it would")
            await asyncio.sleep(self._patience.poll_s)
        return Failed("the installer did not come to an end")

    def _withdraw(self, name: str) -> bool:
        """True: the request was still there. The hook carries out only what it has taken away itself."""
        try:
            self._request(name).unlink()
        except FileNotFoundError:
            return False
        return True

    def _locked(self) -> bool:
        """Whether the hook is at work."""
        try:
            descriptor = os.open(self._results / LOCK, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _read(self, name: str) -> Result | None:
        try:
            with (self._results / f"{name}.json").open("rb") as file:
                found = json.loads(file.read(MAX_RESULT_BYTES))
            status = found["status"]
            return Result(int(status) if status is not None else None, str(found["line"]), str(found["boot"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            log.warning("the result of the installation of %s cannot be read", name)
            return None

    def _has_rebooted(self, result: Result) -> bool:
        here = self._boot()
        if here:
            return here != result.boot
        # Nobody may look, so the hook says it in memory: no file, and it has not run since the computer started.
        return self._runtime is not None and kernel_boot(self._runtime / BOOT) != result.boot

    def forget(self, name: str) -> None:
        """The file and the mark are of no use any more."""
        for path in (self._folder / name, self._folder / (name + ASKED)):
            path.unlink(missing_ok=True)


def _judged(result: Result | None) -> Done | Failed:
    if result is None:
        return Failed("the installation was interrupted")
    if result.status == DONE:
        return Done()
    said = f": {result.line}" if result.line else ""
    if result.status is None:
        return Failed(f"the installer could not be run{said}")
    if result.status == NOT_FIRMWARE:
        return Failed(f"the installer does not take the file{said}", Cause.VERIFICATION)
    return Failed(f"the installer ended with status {result.status}{said}")


def site_installer(folder: Path, *, config: Path | None, under_systemd: bool) -> Installer:
    """How this computer installs. `folder`: the daemon's, with the firmware; `config`: where the command is written."""
    if under_systemd:
        return Installer(folder=folder, results=SYSTEM_RESULTS, runtime=SYSTEM_RUNTIME, start=None)
    results = folder / OWN_RESULTS
    command = [sys.executable, "-m", "edged", "firmware-install", "--detach", "--folder", str(folder)]
    if config is not None:
        command += ["--config", str(config.absolute())]
    return Installer(folder=folder, results=results, runtime=None, start=lambda: _start(command))


async def _start(command: Sequence[str]) -> None:
    """The hook leaves the process that is waited for here at once: no end of ours is its end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    status = await process.wait()
    if status:
        log.error("the installer could not be started: status %d", status)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
