"""What goes into the files that a CSMS has us bring: an archive of diagnostics, or the security log as text.

Owns what is in them and that no secret is. Refuses to know who asked and how they are sent. Invariants: what leaves has
gone through `redact` with every secret that is known at that moment · a key that can only be written is not in it ·
everything is bounded, in size, in time and in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from edged import __version__
from edged.domain.configuration import REGISTRY, Mutability
from edged.domain.configuration_access import shown
from edged.domain.files import LogKind, LogOrder
from edged.domain.journal import Journal, SecurityEntry
from edged.domain.station import Station
from edged.settings import Settings
from edged.store.port import JOURNAL_MAX, Store
from edged.system.crash import read as crash_text
from edged.system.logs import recent
from edged.threads import in_thread
from edged.transfer.redaction import redact

_log = logging.getLogger(__name__)

MAX_ARCHIVE_BYTES = 16 * 1024 * 1024
MAX_JOURNAL_BYTES = 32 * 1024 * 1024
MAX_CONFIGURATION_BYTES = 1024 * 1024
JOURNAL_S = 60.0
JOURNAL_LINES = 100_000
UNIT = "edged"
_BLOCK_BYTES = 128 * 1024
_DISTRIBUTIONS = ("websockets", "pyserial", "paho-mqtt", "fastjsonschema", "ocpp", "PyYAML", "cryptography")
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics:
    """Where the parts come from. `status`: the gateway's own state as `edged status` shows it, asked in the loop;
    `journalctl`: None where nobody keeps a journal of the unit; `last_crash`: the file of what the last crash left."""

    settings: Settings
    store: Store
    status: Callable[[], Mapping[str, Any]]
    journalctl: str | None
    last_crash: Path | None = None

    async def write(self, order: LogOrder, station: Station, target: Path) -> None:
        """The file that an order asks for. Raises `EdgedError` or `OSError`, and then leaves nothing."""
        secrets = _secrets(self.settings, station)
        if order.kind is LogKind.SECURITY:
            await in_thread(self._write_security_log, order, station, target, secrets)
            return
        told = self.status()
        status = json.dumps(told, indent=2, default=str)
        buses = json.dumps(told.get("buses", {}), indent=2, default=str)
        history = json.dumps(told.get("history", {}), indent=2, default=str)
        journal = target.with_name(target.name + ".journal")
        try:
            found = await self._journal(order, journal)
            await in_thread(
                self._build, order, station, target, (status, buses, history), journal if found else None, secrets
            )
        finally:
            journal.unlink(missing_ok=True)

    # --- the security log

    def _write_security_log(self, order: LogOrder, station: Station, target: Path, secrets: Sequence[str]) -> None:
        text = redact(self._security_log(order, station), secrets)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())

    def _security_log(self, order: LogOrder, station: Station) -> str:
        """A line for each event, oldest first; at the moment as it is known now."""
        entries = self.store.journal_load(station.identity.id, Journal.SECURITY, limit=JOURNAL_MAX)
        lines = [f"# security log of {station.identity.id}"]
        for entry in entries:
            if not isinstance(entry, SecurityEntry):
                continue
            at = station.true_time(entry.at)
            if (order.oldest is None or at >= order.oldest) and (order.latest is None or at <= order.latest):
                lines.append(" ".join(filter(None, (at.isoformat(), entry.event_type, _one_line(entry.info)))))
        return "\n".join(lines) + "\n"

    # --- the archive

    def _build(
        self,
        order: LogOrder,
        station: Station,
        target: Path,
        states: tuple[str, str, str],
        journal: Path | None,
        secrets: Sequence[str],
    ) -> None:
        from edged.transfer.archive import Part, build  # nearly a MiB that only who is asked for diagnostics needs

        def clean(text: str) -> bytes:
            return redact(text, secrets).encode("utf-8", "replace")

        parts = [
            Part("status.json", clean(states[0])),
            Part("buses.json", clean(states[1])),
            Part("history.json", clean(states[2])),
            Part("versions.json", clean(json.dumps(versions(), indent=2))),
            Part("keys.json", clean(json.dumps(_keys(station), indent=2))),
            Part("edged.yaml", clean(self._configuration())),
            Part("security.log", clean(self._security_log(order, station))),
        ]
        if self.last_crash is not None and (crash := crash_text(self.last_crash)):
            parts.append(Part("last_crash.txt", clean(crash)))
        if journal is not None:
            parts.append(Part("journal.log", _blocks(journal, clean)))
        else:
            lines = recent.lines(_seconds(order.oldest), _seconds(order.latest))
            parts.append(Part("log.txt", (clean(f"{line}\n") for line in lines)))
        build(target, parts, max_bytes=MAX_ARCHIVE_BYTES)

    def _configuration(self) -> str:
        path = self.settings.path
        if path is None:
            return ""
        try:
            with path.open("rb") as file:
                return file.read(MAX_CONFIGURATION_BYTES).decode("utf-8", "replace")
        except OSError as error:
            return f"# cannot be read: {error.strerror}\n"

    async def _journal(self, order: LogOrder, target: Path) -> bool:
        """The unit's entries within the order's bounds, into a file. False: there are none to be had."""
        if self.journalctl is None:
            return False
        command = [self.journalctl, "--quiet", "--no-pager", "--output=short-iso", "--utc", f"--unit={UNIT}"]
        command += [f"--lines={JOURNAL_LINES}"]
        command += [f"--since={_journal_time(order.oldest)}"] if order.oldest is not None else []
        command += [f"--until={_journal_time(order.latest)}"] if order.latest is not None else []
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            _log.info("the journal is left out of the diagnostics: %s", error.strerror)
            return False
        try:
            async with asyncio.timeout(JOURNAL_S):
                return await _copied(process, target) > 0
        except TimeoutError:
            _log.warning("the journal took too long and is left out of the diagnostics")
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _copied(process: asyncio.subprocess.Process, target: Path) -> int:
    """How many bytes came, bounded."""
    assert process.stdout is not None
    count = 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while count < MAX_JOURNAL_BYTES and (chunk := await process.stdout.read(_BLOCK_BYTES)):
            file.write(chunk)
            count += len(chunk)
    return count


def _blocks(path: Path, clean: Callable[[str], bytes]) -> Iterator[bytes]:
    """A file in pieces that end with a line, so that no secret is cut in two before it is found."""
    rest = b""
    with path.open("rb") as file:
        while chunk := file.read(_BLOCK_BYTES):
            whole, end, rest = (rest + chunk).rpartition(b"\n")
            if end:
                yield clean((whole + end).decode("utf-8", "replace"))
            elif len(rest) > 4 * _BLOCK_BYTES:
                rest = b""  # one line without end is no entry of ours
    if rest:
        yield clean(rest.decode("utf-8", "replace"))


def versions() -> dict[str, Any]:
    """What runs here."""
    found: dict[str, Any] = {"edged": __version__, "python": sys.version.split()[0], "machine": platform.machine()}
    found["system"] = f"{platform.system()} {platform.release()}"
    for name in _DISTRIBUTIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _keys(station: Station) -> dict[str, str]:
    """The configuration keys in force, but for those that can only be written."""
    readable = (key.name for key in REGISTRY.values() if key.mutability is not Mutability.WRITE_ONLY)
    return {name: shown(station, name) for name in readable}


def _secrets(settings: Settings, station: Station) -> tuple[str, ...]:
    """Every secret that is known now: the installer's, and those that the CSMS has set."""
    own = [way.password.value for way in station.access.ways if way.password is not None]
    return (*(secret.reveal() for secret in settings.secrets), *own)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - _BEGIN).total_seconds()


def _journal_time(moment: datetime) -> str:
    """journalctl knows nothing before 1970, and some CSMSs ask from the year 1 on."""
    return f"@{max(0.0, (moment - _BEGIN).total_seconds()):.0f}"


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def journalctl_of(environ: Mapping[str, str]) -> str | None:
    """Only a service of systemd's has a journal of its own."""
    return "journalctl" if environ.get("INVOCATION_ID") else None
