"""A restore from its first look to its end: what may be put back here, and what becomes of what is there.

Owns the refusals. Invariants: whatever is refused is refused before anything has changed · a state that is newer than
the backup, or another site's, is replaced only by somebody who says so.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from edged.backup import archive, fences, places, placing
from edged.backup.manifest import DATABASE, ArchiveError, Manifest, Member, to_json
from edged.backup.places import RestoreError, Site, Step
from edged.backup.placing import Plan, Stage
from edged.ports import EdgedError, StoreError
from edged.store.copying import Description, check_copy, copy_stopped, describe
from edged.store.lock import StoreInUse, take_lock
from edged.store.migrations import MIGRATIONS
from edged.store.restored import counted
from edged.store.restoring import Parking, Queue, adapt

FORGET: Final = ("host_boot", "running")
"""The gateway's values that were true of that run and that computer."""
SPARE: Final = 1.2
"""How much more room than the files themselves is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the person wants. `queue` None: what the backup itself allows."""

    queue: Queue | None = None
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was put back. `elsewhere`: files and where they belong."""

    manifest: Manifest
    steps: tuple[Step, ...]
    queue: Queue
    parking: Parking
    held: Description | None
    elsewhere: tuple[tuple[Path, str, int], ...]


@contextmanager
def alone(site: Site) -> Iterator[None]:
    """No daemon runs on this state, and none starts meanwhile. Raises `RestoreError`."""
    placing.make_state(site)
    try:
        lock = take_lock(site.database)
    except StoreInUse as error:
        raise RestoreError(
            f"edged is running (process {error.owner}): stop it first (sudo systemctl stop edged)"
        ) from error
    except StoreError as error:
        raise RestoreError(f"{error}") from error
    try:
        yield
    finally:
        os.close(lock)


def judge(path: Path) -> Manifest:
    """The whole archive, without touching anything. Raises `ArchiveError` and `OSError`."""
    manifest = archive.read(path)
    if manifest.schema is not None and manifest.schema > len(MIGRATIONS):
        raise ArchiveError(
            f"its database has version {manifest.schema}, this edged knows only up to version {len(MIGRATIONS)}: "
            f"install edged {manifest.edged} or newer first"
        )
    if (manifest.schema is None) != (DATABASE not in manifest.by_name):
        raise ArchiveError("its manifest is not one of edged")
    return manifest


def preview(manifest: Manifest, site: Site) -> tuple[Step, ...]:
    """What would be done. Raises `RestoreError`."""
    return tuple(places.steps(manifest, site, frozenset(_same(manifest, site))))


def queue_of(manifest: Manifest, wishes: Wishes, here: Description | None) -> Queue:
    """A final backup goes on, as long as nothing has happened since; any other has been overtaken."""
    if wishes.queue is not None:
        return wishes.queue
    return Queue.SEND if manifest.final and not _is_newer(here, manifest) else Queue.PARK


def put_back(path: Path, manifest: Manifest, site: Site, wishes: Wishes, now: datetime) -> Done:
    """All of it. The caller is `alone`. Raises `EdgedError`; up to the plan nothing has changed then."""
    here = _held_here(site) if DATABASE in manifest.by_name else None
    _refuse(manifest, here, wishes)
    steps = preview(manifest, site)
    queue = queue_of(manifest, wishes, here)
    moment = max(now, manifest.made_at)
    _want_room(manifest, site)
    stage = Stage(site)
    try:
        stage.begin()
        placing.check_file_systems(steps, stage)
        parking, held = _fill(path, manifest, stage, steps, queue, moment)
        plan = Plan(archive=path.name, identity=identity_of(manifest), config=str(site.config))
        placing.fill(plan, steps, stage, site, moment)
        placing.commit(plan, site)
    except BaseException:
        if not os.path.lexists(site.state / fences.RESTORING):
            stage.clear()
        raise
    placing.carry_out(plan, site)
    return Done(
        manifest=manifest,
        steps=steps,
        queue=queue,
        parking=parking,
        held=held,
        elsewhere=tuple(_elsewhere(manifest, site)),
    )


def _fill(
    path: Path, manifest: Manifest, stage: Stage, steps: tuple[Step, ...], queue: Queue, moment: datetime
) -> tuple[Parking, Description | None]:
    """Unpack what is needed, judge the database itself, make it fit, and flush all of it."""
    wanted = {step.member.name: step.member for step in steps if step.member is not None and step.action != "same"}

    def sink(name: str) -> IO[bytes] | None:
        return stage.sink(name) if name in wanted else None

    again = archive.read(path, sink)
    if again.members != manifest.members:
        raise ArchiveError("it was changed while it was read: leave it alone and begin again")
    parking, held = Parking(), None
    if DATABASE in wanted:
        copy = stage.path(DATABASE)
        check_copy(copy)
        held = describe(copy)
        parking = adapt(copy, queue, made_at=manifest.made_at, now=moment, forget=FORGET)
    stage.settle(wanted.values())
    return parking, held


def _refuse(manifest: Manifest, here: Description | None, wishes: Wishes) -> None:
    if here is None or wishes.force:
        return
    strangers = sorted(set(here.stations) - set(manifest.stations))
    if strangers:
        raise RestoreError(
            f"the state here is of another site (station {', '.join(strangers)[:200]}): write --force to set it aside"
        )
    if _is_newer(here, manifest):
        assert here.last_change is not None
        waiting = f", with {counted(here.unsent, 'message')} waiting here to be sent" if here.unsent else ""
        raise RestoreError(
            f"the state here is newer ({here.last_change:%Y-%m-%d %H:%M} UTC) than the backup{waiting}: write --force "
            "to go back to the backup all the same"
        )


def _is_newer(here: Description | None, manifest: Manifest) -> bool:
    if here is None or here.last_change is None:
        return False
    return manifest.last_change is None or here.last_change.replace(microsecond=0) > manifest.last_change


def _held_here(site: Site) -> Description | None:
    """What lies here now; None where that is nothing, or nothing that can be read: then it is set aside unread."""
    try:
        with tempfile.TemporaryDirectory(prefix=f"{places.STAGE}-look-", dir=site.state) as name:
            copy = Path(name) / "edged.db"
            return describe(copy) if copy_stopped(site.database, copy) else None
    except (StoreError, OSError):
        return None


def _want_room(manifest: Manifest, site: Site) -> None:
    needed = int(sum(member.size for member in manifest.members) * SPARE)
    free = shutil.disk_usage(site.state).free
    if needed > free:
        raise RestoreError(
            f"{site.state} has {free >> 20} MiB free, {(needed >> 20) + 1} MiB are needed: make room first"
        )


def _same(manifest: Manifest, site: Site) -> Iterator[str]:
    """Files of the configuration that lie there already, as they should."""
    for member in manifest.members:
        if member.name.startswith("state/"):
            continue
        target = places.target_of(member, site)
        there = member.outside is not None and _has(Path(member.outside), member)
        if there or (_has(target, member) and placing.has_mode(target, member)):
            yield member.name


def _has(path: Path, member: Member) -> bool:
    try:
        if not path.is_file() or path.stat().st_size != member.size:
            return False
        return archive.digest_of(path).sha256 == member.sha256
    except OSError:
        return False


def _elsewhere(manifest: Manifest, site: Site) -> Iterator[tuple[Path, str, int]]:
    for member in manifest.members:
        if member.outside is not None and not _has(Path(member.outside), member):
            yield places.target_of(member, site), member.outside, 0o600 | (member.mode & 0o044)


def finish(site: Site) -> Plan | None:
    """Finish a restore that was cut off; None where there is none. Raises `RestoreError` and `OSError`."""
    plan = placing.pending(site)
    if plan is not None:
        placing.carry_out(plan, site)
    return plan


def identity_of(manifest: Manifest) -> str:
    """Tells one backup from another."""
    return hashlib.sha256(to_json(manifest)).hexdigest()


def words(error: EdgedError | OSError, path: Path) -> str:
    """One sentence for a refusal."""
    if isinstance(error, ArchiveError):
        return f"{path}: {error}"
    return placing.sentence(error) if isinstance(error, OSError) else str(error)


def utc_now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
