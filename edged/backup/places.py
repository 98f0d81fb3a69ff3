"""Which file of an archive belongs where, and what lies there now. Looks, and changes nothing.

Owns the two folders and the names in them. Invariant: no two files have one place, and none has a name by which a
restore itself goes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edged.backup import fences
from edged.backup.contents import CREDENTIALS_FOLDER, KEYS_FOLDER
from edged.backup.manifest import CONFIGURATION, DATABASE, Manifest, Member
from edged.ports import EdgedError
from edged.settings.model import PROFILES_FOLDER

STAGE: Final = ".edged-restore"
ASIDE: Final = "before-restore"
ELSEWHERE: Final = "elsewhere"
_DATABASE_FILE: Final = "edged.db"
_OF_THE_DATABASE: Final = ("-wal", "-shm", "-journal", ".backup", ".copy")


class RestoreError(EdgedError):
    """It cannot be put back here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where things are put. `config`: the configuration's file."""

    config: Path
    state: Path

    @property
    def folder(self) -> Path:
        return self.config.parent

    @property
    def database(self) -> Path:
        return self.state / _DATABASE_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One file, for people: what becomes of `path`. `action`: new, replace, same, remove."""

    action: str
    path: Path
    member: Member | None = None


def target_of(member: Member, site: Site) -> Path:
    """Where a file goes. One that lay in none of edged's folders goes into one of them: no archive says where root
    writes, a person puts it there."""
    if member.outside is not None:
        return site.folder / ELSEWHERE / member.outside.removeprefix("/")
    place, _, rest = member.name.partition("/")
    if member.name == CONFIGURATION:
        return site.config
    if member.name == DATABASE:
        return site.database
    if place == "state":
        return site.state / rest
    return site.folder / rest.removeprefix("files/")


def steps(manifest: Manifest, site: Site, same: frozenset[str] = frozenset()) -> list[Step]:
    """What is to be done, in order. `same`: members that lie there already. Raises `RestoreError`."""
    found: dict[Path, Step] = {}
    for member in manifest.members:
        target = target_of(member, site)
        if target in found or _is_ours(target, site):
            raise RestoreError(f"two files of the backup have one place ({target}): it was not made by edged")
        action = "same" if member.name in same else "replace" if os.path.lexists(target) else "new"
        found[target] = Step(action=action, path=target, member=member)
    _no_folder_in_the_way(found, site)
    gone = [Step(action="remove", path=path) for path in _extras(manifest, site) if path not in found]
    return gone + list(found.values())


def _is_ours(target: Path, site: Site) -> bool:
    """A name by which the restore itself goes."""
    inside = target.relative_to(site.folder) if target.is_relative_to(site.folder) else target
    return inside.parts[0].startswith((STAGE, ASIDE)) or target.name in (fences.RESTORING, fences.HANDED_OVER)


def _no_folder_in_the_way(found: Mapping[Path, Step], site: Site) -> None:
    for path in found:
        for folder in (parent for parent in path.parents if parent not in site.folder.parents):
            if folder in found or (os.path.lexists(folder) and not folder.is_dir()):
                raise RestoreError(f"{folder} would have to be a folder: move it away first")
        if path.is_dir() and not path.is_symlink():
            raise RestoreError(f"{path} is a folder: move it away first")


def _extras(manifest: Manifest, site: Site) -> list[Path]:
    """What lies where the backup has nothing, and would change what it means."""
    folders = [site.folder / PROFILES_FOLDER]
    found: list[Path] = []
    if manifest.secrets:
        folders.append(site.folder / CREDENTIALS_FOLDER)
    if DATABASE in manifest.by_name:
        folders.append(site.state / KEYS_FOLDER)
        found += [site.state / f"{_DATABASE_FILE}{end}" for end in _OF_THE_DATABASE] + [site.state / fences.HANDED_OVER]
    found = [path for path in found if os.path.lexists(path)]
    for folder in folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found += sorted(path for path in folder.iterdir() if path.is_symlink() or not path.is_dir())
    return found
