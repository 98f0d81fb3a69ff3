"""Putting an archive's files where they belong, so that the power may go at any moment.

Order: everything is written beside its place and flushed; then the plan, after which no daemon starts here; then names
change, the old ones into a folder of their own; all is flushed; then the plan goes. Before the plan nothing has
happened, after it the plan can be carried out again from any point: each step sees by itself whether it is done.

Owns names and their order. Refuses to judge what is put back. Invariants: nothing is deleted or written over · root
follows no plan but root's · what lies in the state's folder belongs to its owner.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from edged.backup import fences
from edged.backup.contents import CREDENTIALS_FOLDER, KEYS_FOLDER
from edged.backup.manifest import Member
from edged.backup.places import ASIDE, STAGE, RestoreError, Site, Step
from edged.store.files import sync_directory, sync_file

USER: Final = "edged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """`staged` None: the target only goes. `aside`: where to, if it is there."""

    target: str
    aside: str
    staged: str | None = None


@dataclass(slots=True)
class Plan:
    """What has still to be done, or was done already. `archive`: its file's name; `identity`: tells it from others."""

    archive: str
    identity: str
    config: str
    moves: list[Move] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)


# --- staging


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose the files of the state are; None: they stay with whoever writes them."""

    uid: int
    gid: int


def owner_of_state(state: Path) -> Owner | None:
    """The owner of the folder; where root has made it or makes it, the daemon's user."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError):
        told = state.stat()
        if told.st_uid != 0:
            return Owner(told.st_uid, told.st_gid)
    try:
        user = pwd.getpwnam(USER)
    except KeyError:
        return Owner(0, 0)
    return Owner(user.pw_uid, user.pw_gid)


def make_state(site: Site) -> None:
    """The state's folder, as the daemon would have it."""
    _make_folder(site.state, 0o750, owner_of_state(site.state))


class Stage:
    """Files beside their places, until the plan is made. One for each of the two folders."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._owner = owner_of_state(site.state)
        self._places = {"config": site.folder / f"{STAGE}-config", "state": site.state / f"{STAGE}-state"}
        self._numbers: dict[str, Path] = {}

    @property
    def folders(self) -> list[Path]:
        return list(self._places.values())

    def of(self, step: Step) -> list[Path]:
        """The folders in which it may be staged, or beside which it is set aside."""
        if step.member is None:
            return self.folders
        return [self._places["state" if step.member.name.startswith("state/") else "config"]]

    def begin(self) -> None:
        """What an earlier attempt left goes: no plan knows of it."""
        _make_folder(self._site.folder, 0o755, None)
        self.clear()
        for place, folder in self._places.items():
            _mkdir(folder, 0o700, self._owner if place == "state" else None)

    def clear(self) -> None:
        for folder in self.folders:
            _remove_flat(folder)

    def path(self, name: str) -> Path:
        """Where a member is staged."""
        if name not in self._numbers:
            place = "state" if name.startswith("state/") else "config"
            self._numbers[name] = self._places[place] / str(len(self._numbers))
        return self._numbers[name]

    def sink(self, name: str) -> IO[bytes]:
        """For `archive.read`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(self.path(name), flags, 0o600), "wb")

    def settle(self, members: Iterable[Member]) -> None:
        """Owners, modes, and all of it on the disk."""
        for member in members:
            path = self.path(member.name)
            if member.name.startswith("state/"):
                _give(path, self._owner)
            else:
                _give(path, _of_group(member) if os.geteuid() == 0 else None)
                os.chmod(path, _mode_of(member))
            sync_file(path)
        for folder in self.folders:
            sync_directory(folder)
            sync_directory(folder.parent)


def has_mode(path: Path, member: Member) -> bool:
    """Whether a file of the configuration may be read by whom it should."""
    return stat.S_IMODE(path.stat().st_mode) == _mode_of(member)


def _mode_of(member: Member) -> int:
    """Nobody but the owner reads a credential, and nobody executes a configuration."""
    if f"/{CREDENTIALS_FOLDER}/" in member.name:
        return 0o600
    return 0o600 | (member.mode & 0o044)


def _of_group(member: Member) -> Owner:
    if member.group == USER and f"/{CREDENTIALS_FOLDER}/" not in member.name:
        with contextlib.suppress(KeyError):
            return Owner(0, pwd.getpwnam(USER).pw_gid)
    return Owner(0, 0)


def _give(path: Path, owner: Owner | None) -> None:
    if owner is not None:
        os.chown(path, owner.uid, owner.gid, follow_symlinks=False)


def _make_folder(folder: Path, mode: int, owner: Owner | None) -> None:
    if folder.is_dir():
        return
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        _mkdir(each, mode if each == folder else 0o755, owner if each == folder else None)
        sync_directory(each.parent)


def _mkdir(folder: Path, mode: int, owner: Owner | None) -> None:
    """Whatever the caller's umask is: a folder that the daemon cannot enter keeps it from starting."""
    os.mkdir(folder, 0o700)
    os.chmod(folder, mode)
    _give(folder, owner)


def _remove_flat(folder: Path) -> None:
    """A folder of ours with nothing but files in it; a link in its place is not followed."""
    if folder.is_symlink():
        os.unlink(folder)
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        os.unlink(path)
    os.rmdir(folder)


def check_file_systems(steps: Iterable[Step], stage: Stage) -> None:
    """Names change within one file system only. Raises `RestoreError` before anything has happened."""
    for step in steps:
        if step.action == "same":
            continue
        folder = next(parent for parent in step.path.parents if parent.is_dir())
        if folder.stat().st_dev not in {each.stat().st_dev for each in stage.of(step)}:
            raise RestoreError(
                f"{folder} lies on another file system than the folder above it: put it back as a folder"
            )


# --- the plan


def fill(plan: Plan, steps: Sequence[Step], stage: Stage, site: Site, moment: datetime) -> None:
    """The steps as moves. Old things go into a folder of their own beside where they were."""
    stamp = f"{ASIDE}-{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    name, number = stamp, 1
    while any(os.path.lexists(folder / name) for folder in (site.folder, site.state)):
        number += 1
        name = f"{stamp}-{number}"
    plan.stages = [str(folder) for folder in stage.folders]
    for step in steps:
        if step.action == "same":
            continue
        base = site.state if step.path.is_relative_to(site.state) and not _of_config(step, site) else site.folder
        staged = None if step.member is None else str(stage.path(step.member.name))
        aside = base / name / step.path.relative_to(base)
        plan.moves.append(Move(target=str(step.path), aside=str(aside), staged=staged))


def _of_config(step: Step, site: Site) -> bool:
    """One folder may lie in the other."""
    if step.member is not None:
        return step.member.name.startswith("config/")
    return step.path.is_relative_to(site.folder) and len(site.folder.parts) > len(site.state.parts)


def commit(plan: Plan, site: Site) -> None:
    """From here on the restore is either finished or seen to be unfinished."""
    told: dict[str, Any] = asdict(plan)
    fences.write(site.state / fences.RESTORING, told, for_root=True)


def pending(site: Site) -> Plan | None:
    """A restore that was cut off. Raises `RestoreError` where its plan cannot be followed."""
    path = site.state / fences.RESTORING
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    unusable = (
        f"the plan of the restore that was cut off ({path}) cannot be followed: begin again with the backup's file"
    )
    if not stat.S_ISREG(found.st_mode) or (os.geteuid() == 0 and found.st_uid != 0):
        raise RestoreError(unusable)
    told = fences.read(path)
    try:
        return Plan(
            archive=str(told["archive"]),
            identity=str(told["identity"]),
            config=str(told["config"]),
            moves=[Move(**move) for move in told["moves"]],
            stages=[str(each) for each in told["stages"]],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RestoreError(unusable) from error


def carry_out(plan: Plan, site: Site) -> None:
    """Do what is left of it. Raises `RestoreError` where something of it is gone, and `OSError`: it may be repeated."""
    site = Site(config=Path(plan.config), state=site.state)
    owner = owner_of_state(site.state)
    touched = {site.folder, site.state, *(Path(each) for each in plan.stages)}
    for move in plan.moves:
        target, aside = Path(move.target), Path(move.aside)
        staged = None if move.staged is None else Path(move.staged)
        touched |= _parents(target, site) | _parents(aside, site)
        if staged is not None and not os.path.lexists(staged):
            if not os.path.lexists(target):
                raise RestoreError(f"{target} is gone while it was put back: begin again with the backup's file")
            continue
        if os.path.lexists(target):
            _set_aside(target, aside, site, owner)
        if staged is not None:
            _folder_for(target, site, owner)
            os.rename(staged, target)
    for folder in touched:
        if folder.is_dir():
            sync_directory(folder)
    os.unlink(site.state / fences.RESTORING)
    sync_directory(site.state)
    for each in plan.stages:
        _remove_flat(Path(each))


def _parents(path: Path, site: Site) -> set[Path]:
    return {each for each in path.parents if each.is_relative_to(site.folder) or each.is_relative_to(site.state)}


def _set_aside(target: Path, aside: Path, site: Site, owner: Owner | None) -> None:
    in_state = aside.is_relative_to(site.state)
    for folder in sorted(_parents(aside, site)):
        if not folder.is_dir():
            _mkdir(folder, 0o700, owner if in_state else None)
    free, number = aside, 1
    while os.path.lexists(free):
        number += 1
        free = aside.with_name(f"{aside.name}-{number}")
    os.rename(target, free)


def _folder_for(target: Path, site: Site, owner: Owner | None) -> None:
    for folder in sorted(_parents(target, site)):
        if not folder.is_dir():
            private = folder.name in (CREDENTIALS_FOLDER, KEYS_FOLDER)
            in_state = folder.is_relative_to(site.state) and folder.name == KEYS_FOLDER
            _mkdir(folder, 0o700 if private else 0o755, owner if in_state else None)


def sentence(error: OSError) -> str:
    """Why a disk did not take it, and what helps."""
    where = f" ({error.filename})" if error.filename else ""
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return f"this user may not write there{where}: use sudo"
        case errno.EROFS:
            return f"the file system is read-only{where}: make it writable first (sudo mount -o remount,rw /)"
        case errno.ENOSPC | errno.EDQUOT:
            return f"the disk is full{where}: make room first"
        case _:
            return f"the computer said: {error.strerror or error}{where}"
