"""Who does what takes long or needs the world: one task a job, for one station. Implements `ports.Jobs`.

Owns tasks and the files in the transfer folder. Refuses to know why a job is wanted. Invariants: every job that is not
abandoned ends with one `JobDone`, an abandoned one with none · nothing blocks the loop · a file of the folder that no
update in force is about is removed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, assert_never
from urllib.parse import urlsplit

from edged import certificates
from edged.domain.credentials import CertificateUse
from edged.domain.events import Event, JobDone, JobStaged
from edged.domain.files import FirmwareOrder, LogOrder
from edged.domain.jobs import (
    CheckChain,
    CheckSigner,
    Done,
    Failed,
    Fetched,
    FetchFirmware,
    InstallFirmware,
    Job,
    MakeRequest,
    Outcome,
    ReadRoot,
    SendLog,
    Stage,
    VerifyFirmware,
)
from edged.domain.station import Station
from edged.domain.types import Now
from edged.ports import Clock, EdgedError
from edged.system.install_hook import NAME
from edged.system.installer import OWN_RESULTS, REQUESTS
from edged.threads import in_thread

_log = logging.getLogger(__name__)

MAX_AT_ONCE = 16
FOLDER = "transfer"
_ENDING = re.compile(r"(\.[A-Za-z0-9]{1,16}){1,2}$")
_KEPT_FOLDERS = frozenset({REQUESTS, OWN_RESULTS})


class Transfer(Protocol):
    """What of `transfer.FileTransfer` is needed here."""

    async def fetch(
        self, url: str, target: Path, *, retries: int, retry_interval_s: int, staged: Callable[[Stage], None]
    ) -> Fetched | Failed: ...

    async def send(
        self, url: str, source: Path, filename: str, *, retries: int, retry_interval_s: int
    ) -> Done | Failed: ...


class Install(Protocol):
    """What of `system.installer.Installer` is needed here."""

    async def install(self, name: str, *, resume: bool, rebooting: Callable[[], None]) -> Done | Failed: ...


class Logs(Protocol):
    """What of `diagnostics.Diagnostics` is needed here."""

    async def write(self, order: LogOrder, station: Station, target: Path) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a station's jobs are done with. `folder`: for files on their way; `keys`: for private keys."""

    transfer: Transfer
    installer: Install
    logs: Logs
    clock: Clock
    folder: Path
    keys: Path


class StationJobs:
    """The jobs of one station. A mirror of it as well: what is to be kept of the folder follows from what it shows."""

    def __init__(self, tools: Tools, station: Station) -> None:
        self._tools = tools
        self._post: Callable[[Event], object] = lambda event: None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._collecting = asyncio.Lock()  # one log at a time: who is abandoned still comes to an end with its disk
        self._kept = kept_name(station)
        self._station = station

    def attach(self, post: Callable[[Event], object]) -> None:
        """Where the ends of jobs go. Before the first job."""
        self._post = post

    def roots(self) -> list[str]:
        """Whom the CSMS has installed as its own authorities (PEM): they may sign for its servers of files too."""
        certificates_of = self._station.certificates.values()
        return [one.pem for one in certificates_of if one.use is CertificateUse.CSMS_ROOT]

    # --- ports.Jobs

    def commission(self, ticket: str, job: Job, station: Station) -> None:
        if len(self._tasks) >= MAX_AT_ONCE:
            self._post(JobDone(ticket, Failed("too many things are being done at once")))
            return
        task = asyncio.create_task(self._do(ticket, job, station), name=f"job {ticket}")
        self._tasks[ticket] = task
        task.add_done_callback(lambda _: self._ended(ticket, task))

    def _ended(self, ticket: str, task: asyncio.Task[None]) -> None:
        """A bug of ours must not leave the station waiting for ever."""
        self._tasks.pop(ticket, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("%s failed by a fault of edged's own", task.get_name(), exc_info=error)
            self._post(JobDone(ticket, Failed("a fault of edged's own; its log says more")))

    def abandon(self, ticket: str) -> None:
        task = self._tasks.pop(ticket, None)
        if task is not None:
            task.cancel()
            self._leave(task)

    async def stop(self) -> None:
        """End everything; what has to go on is commissioned again by the next run."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), *self._leaving, return_exceptions=True)

    # --- ports.Mirror

    def show(self, station: Station, now: Now) -> None:
        """A firmware and a key that are of no use any more are removed, once it is committed that it is so."""
        gone = self._station.client_certificates.keys() - station.client_certificates.keys()
        self._station = station
        if gone:
            work = asyncio.to_thread(certificates.forget_keys, self._tools.keys, gone)
            self._leave(asyncio.create_task(work, name="forget keys"))
        name = kept_name(station)
        former, self._kept = self._kept, name
        if former is not None and former != name:
            self._leave(asyncio.create_task(self._forget(former), name=f"forget {former}"))

    def _leave(self, task: asyncio.Task[None]) -> None:
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _forget(self, name: str) -> None:
        """After whoever may still be writing it."""
        others = [task for task in self._leaving if task is not asyncio.current_task()]
        if others:
            await asyncio.wait(others)
        await asyncio.to_thread(remove, self._tools.folder, name)

    # --- the work

    async def _do(self, ticket: str, job: Job, station: Station) -> None:
        outcome: Outcome
        try:
            outcome = await self._outcome(ticket, job, station)
        except (EdgedError, OSError) as error:
            _log.warning("%s failed: %s", type(job).__name__, error)
            outcome = Failed(_sentence(error))
        self._post(JobDone(ticket, outcome))

    async def _outcome(self, ticket: str, job: Job, station: Station) -> Outcome:
        tools, clock = self._tools, self._tools.clock.now()
        now = clock.utc if clock.synchronized else None  # a clock that is not trusted refuses no certificate
        match job:
            case CheckSigner():
                return await in_thread(certificates.check_signer, job, now)
            case FetchFirmware(order=order):
                return await self._fetch(ticket, order)
            case VerifyFirmware(file=file):
                return await in_thread(certificates.verify_firmware, job, _in(tools.folder, file), now)
            case InstallFirmware(file=file, resume=resume):
                _in(tools.folder, file)
                return await tools.installer.install(
                    file, resume=resume, rebooting=lambda: self._stage(ticket, Stage.REBOOTING)
                )
            case SendLog(order=order):
                return await self._send(order, station)
            case ReadRoot():
                return await in_thread(certificates.read_root, job, now)
            case MakeRequest():
                return await in_thread(certificates.make_request, job, tools.keys)
            case CheckChain():
                return await in_thread(certificates.check_chain, job, tools.keys, now)
            case _:
                assert_never(job)

    def _stage(self, ticket: str, stage: Stage) -> None:
        self._post(JobStaged(ticket, stage))

    async def _fetch(self, ticket: str, order: FirmwareOrder) -> Fetched | Failed:
        name = file_name(order)
        prepare(self._tools.folder)
        return await self._tools.transfer.fetch(
            order.location,
            _in(self._tools.folder, name),
            retries=order.retries,
            retry_interval_s=order.retry_interval_s,
            staged=lambda stage: self._stage(ticket, stage),
        )

    async def _send(self, order: LogOrder, station: Station) -> Done | Failed:
        prepare(self._tools.folder)
        path = self._tools.folder / f"log-{secrets.token_hex(16)}"  # tickets are a station's own, the folder is not
        try:
            async with self._collecting:
                await self._tools.logs.write(order, station, path)
            return await self._tools.transfer.send(
                order.location,
                path,
                order.filename,
                retries=order.retries,
                retry_interval_s=order.retry_interval_s,
            )
        finally:
            path.unlink(missing_ok=True)


def _sentence(error: Exception) -> str:
    return (error.strerror or "the system refused") if isinstance(error, OSError) else str(error)


# --- the folder


def file_name(order: FirmwareOrder) -> str:
    """The firmware's name in the folder: our own, with the ending of theirs, by which some installers go."""
    try:
        path = urlsplit(order.location).path
    except ValueError:
        path = ""
    ending = _ENDING.search(path.rpartition("/")[2])
    return f"firmware-{order.key}{ending[0] if ending is not None else ''}"


def kept_name(station: Station) -> str | None:
    """The file of the update in force."""
    update = station.firmware
    return None if update is None or update.over else file_name(update.order)


def _in(folder: Path, name: str) -> Path:
    """Raises `OSError` for a name that is none of ours."""
    if NAME.fullmatch(name) is None:
        raise OSError(0, "not a firmware's name")
    return folder / name


def prepare(folder: Path) -> None:
    """Ours alone: firmware and logs are nobody else's business."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / REQUESTS).mkdir(mode=0o700, exist_ok=True)
    os.chmod(folder, 0o700)


def clean_up(folder: Path, keep: Collection[str]) -> None:
    """At the start: remove what former runs have left, but for the files of updates that go on. Blocks; whatever cannot
    be removed stays."""
    prepare(folder)
    for path in folder.iterdir():
        if path.name in _KEPT_FOLDERS or any(_belongs(path.name, name) for name in keep):
            continue
        _remove(path)


def remove(folder: Path, name: str) -> None:
    """A firmware and what lies beside it. Blocks."""
    if folder.is_dir():
        for path in folder.iterdir():
            if _belongs(path.name, name):
                _remove(path)


def _belongs(found: str, name: str) -> bool:
    return found == name or found.startswith(f"{name}.")


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("%s cannot be removed: %s", path, error.strerror)
