"""The daemon's database, looked at by a copy while no daemon runs: is it sound, and which way to the CSMS does it hold.

Owns: the copy, which lies in memory where it can and goes with the visit. Invariant: of the database itself nothing is
opened but for reading its bytes; no lock of it is taken, nothing beside it is made.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edged.cli.doctor.computer import Computer
from edged.cli.doctor.configuration import Site
from edged.cli.doctor.disk import MIB, Database, out_of_the_way
from edged.csms.endpoint import ConnectionSettings, Files
from edged.domain.credentials import ClientCertificate
from edged.ports import EdgedError, StoreError

if TYPE_CHECKING:
    from edged.settings import Settings, StationSettings
    from edged.store.sqlite import SqliteStore

NAME: Final = "edged.db"
LARGEST_BYTES: Final = 64 * MIB
_MEMORY: Final = "/dev/shm"
_VERSION: Final = "version/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """`ways`: how the daemon would connect each station. `folder`: for chains that are kept in the database."""

    database: Database | None = None
    ways: Mapping[str, ConnectionSettings] = field(default_factory=dict)
    keys: Path | None = None
    folder: Path | None = None

    def files(self, certificate: ClientCertificate) -> Files:
        """`endpoint.ClientFiles`, without writing where edged keeps its own."""
        from edged.certificates.key_files import key_path

        if self.keys is None or self.folder is None:
            raise FileNotFoundError(2, "its key cannot be looked at")
        chain = self.folder / f"{certificate.key_id}.chain.pem"
        chain.write_text(certificate.chain)
        return chain, key_path(self.keys, certificate.key_id)


def look_at_store(state_dir: Path, site: Site, computer: Computer, folder: Path, *, may_run: bool) -> Kept:
    """`folder`: a private one, that is removed afterwards; `may_run`: a daemon may have the database open."""
    path = state_dir / NAME
    if may_run:
        return Kept()
    withheld = _withheld(path.parent)
    if withheld is not None:
        return Kept(database=withheld)
    try:
        about = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Kept()
    except PermissionError as error:
        return Kept(database=Database(skipped=f"this user may not ({error.strerror})"))
    except OSError as error:
        return Kept(database=Database(refused=f"{path} is no file ({error.strerror})", mend=out_of_the_way(str(path))))
    if not stat.S_ISREG(about.st_mode):
        return Kept(database=Database(refused=f"{path} is no file: move it away", mend=out_of_the_way(str(path))))
    if about.st_size > LARGEST_BYTES:
        return Kept(database=Database(skipped=f"it is larger than {LARGEST_BYTES // MIB} MB"))
    if is_locked(path.with_name(f"{NAME}.lock"), computer):
        return Kept(database=Database(skipped="another edged has it open, and does not answer here"))
    try:
        copy = _copy(path, folder)
    except OSError as error:
        return Kept(database=Database(skipped=f"it cannot be copied ({error.strerror})"))
    if copy is None:
        return Kept(database=Database(skipped="it was changed meanwhile"))
    return _read(copy, path, about.st_size, site, folder)


def _withheld(state: Path) -> Database | None:
    """What a backup or a restore has said of this state: edged does not go on with it."""
    from edged.backup import fences

    try:
        fences.check(state)
    except StoreError as error:
        given_up = f"in {state}: delete {fences.HANDED_OVER}, where the other controller is off for good"
        cut = "sudo edged restore && sudo systemctl restart edged"
        return Database(refused=str(error), mend=cut if os.path.lexists(state / fences.RESTORING) else given_up)
    return None


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for what is secret and is not to wear the disk."""
    place = _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else None
    return tempfile.TemporaryDirectory(prefix="edged-doctor-", dir=place, ignore_cleanup_errors=True)


def is_locked(lock: Path, computer: Computer) -> bool:
    """Whether a process holds a lock file, asked without touching it."""
    try:
        inode = lock.stat().st_ino
    except OSError:
        return False
    for line in (computer.text("/proc/locks") or "").splitlines():
        parts = line.split()
        if len(parts) >= 6 and any(part.endswith(f":{inode}") for part in parts[4:7]):
            return True
    return False


def _copy(path: Path, folder: Path) -> Path | None:
    """The database and its write-ahead log, None where they were changed under our hands."""
    names = [path, path.with_name(f"{path.name}-wal")]
    before = [_mark(each) for each in names]
    copy = folder / "look"
    copy.mkdir(mode=0o700)
    for each in names:
        if each.exists():
            if each.stat().st_size > LARGEST_BYTES:
                raise OSError(27, "File too large")
            shutil.copyfile(each, copy / each.name)
    return copy / path.name if [_mark(each) for each in names] == before else None


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def _read(copy: Path, path: Path, size: int, site: Site, folder: Path) -> Kept:
    from edged.store.opening import backup_path, open_store

    try:
        opened = open_store(copy, wall=datetime.now(UTC))
    except StoreError as error:
        return Kept(database=Database(refused=str(error).replace(str(copy), str(path)), bytes=size))
    with closing(opened.store) as store:
        damage = opened.damage
        said = (f"the database is damaged ({damage})",) if damage is not None else opened.sentences
        database = Database(
            sentences=said, damaged=damage is not None, bytes=size, has_backup=backup_path(path).exists()
        )
        if damage is not None or site.settings is None or site.stand_ins:
            return Kept(database=database)
        ways = _ways(store, site.settings)
    return Kept(database=database, ways=ways, keys=path.parent / "keys", folder=folder)


def _ways(store: SqliteStore, settings: Settings) -> dict[str, ConnectionSettings]:
    found = {}
    for station in settings.stations:
        try:
            found[station.id] = _way(store, settings, station)
        except EdgedError:
            continue  # what the file says is tried then
    return found


def _way(store: SqliteStore, settings: Settings, station: StationSettings) -> ConnectionSettings:
    """How edged would connect a station at its next start. Raises `EdgedError`."""
    from edged.chargers.library import load_charger
    from edged.domain.station import Boot
    from edged.domain.types import Now
    from edged.shape import fresh_station
    from edged.site import versions_of
    from edged.store import loading
    from edged.words import charger_facts, connection_settings

    facts = {}
    for evse in station.evses:
        charger = settings.chargers[evse.charger]
        profile = load_charger(charger.profile, settings.profiles_dir)
        facts[charger.name] = charger_facts(charger, profile, profile.capabilities)
    utc = datetime.now(UTC)
    fresh = fresh_station(
        station,
        settings.gateway,
        facts,
        versions_of(station, store.value(_VERSION + station.id))[0],
        boot=Boot(id="doctor", floor=utc, started_s=0.0),
        now=Now(utc, 0.0, True),
        firmware_version="",
    )
    loaded = loading.load(store.load(station.id), fresh)
    return connection_settings(station, station.csms.versions, loaded.station)
