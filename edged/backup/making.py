"""One archive out of what was found: written beside its place, flushed, read back, and only then under its name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edged.backup import archive
from edged.backup.contents import Found
from edged.backup.manifest import (
    DATABASE,
    LONGEST_LINE,
    MAX_DATABASE_BYTES,
    ArchiveError,
    BackupError,
    Manifest,
    Member,
)
from edged.store.copying import Description
from edged.store.files import sync_directory

_EARLIEST: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""A clock that says less was never set."""
_MAX_SAME_DAY: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Who makes it, and when."""

    edged: str
    host: str
    made_at: datetime
    secrets: bool
    final: bool


def moment_of(clock: datetime, last_change: datetime | None) -> datetime:
    """When it is. A clock in the past of what was kept is wrong: it is at least as late as that."""
    return clock if last_change is None or last_change <= clock else last_change


def name_for(gateway: str, moment: datetime, folder: Path) -> Path:
    """A name that is not taken yet in `folder`."""
    day = f"{moment.astimezone(UTC):%Y-%m-%d}" if moment >= _EARLIEST else "undated"
    names = (f"edged-{gateway}-{day}{'' if n == 1 else f'-{n}'}.tar.gz" for n in range(1, _MAX_SAME_DAY))
    for name in names:
        if not (folder / name).exists():
            return folder / name
    raise BackupError(f"{folder} is full of backups of this day: name a file")


def manifest_of(found: Found, occasion: Occasion, database: Path | None, held: Description | None) -> Manifest:
    """The account of what will be in it. `database`: a copy that nobody changes, `held`: what it holds."""
    members = [_member(name, piece.source, piece.mode, piece.group) for name, piece in found.files.items()]
    members = [
        member if (where := found.files[member.name].outside) is None else _at(member, where) for member in members
    ]
    if database is not None:
        members.append(_member(DATABASE, database, 0o600, "edged"))
        if members[-1].size > MAX_DATABASE_BYTES:
            raise BackupError(f"the database is larger than {MAX_DATABASE_BYTES >> 20} MiB: it is not one of edged")
    return Manifest(
        edged=occasion.edged,
        gateway=found.gateway,
        stations=found.stations,
        made_at=occasion.made_at,
        host=occasion.host,
        members=tuple(members),
        schema=None if held is None else held.version,
        unsent=0 if held is None else held.unsent,
        running=0 if held is None else held.running,
        last_change=None if held is None else held.last_change,
        secrets=occasion.secrets,
        final=occasion.final,
        left_out=tuple(_line(each) for each in found.left_out),
    )


def _line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:LONGEST_LINE])


def _member(name: str, source: archive.Source, mode: int, group: str) -> Member:
    digest = archive.digest_of(source)
    return Member(name=name, size=digest.size, mode=mode, sha256=digest.sha256, group=group)


def _at(member: Member, outside: str) -> Member:
    return Member(
        name=member.name,
        size=member.size,
        mode=member.mode,
        sha256=member.sha256,
        group=member.group,
        outside=outside,
    )


@contextmanager
def written(folder: Path, manifest: Manifest, found: Found, database: Path | None) -> Iterator[Path]:
    """A whole, flushed and read-back archive in `folder` under a name of its own, which is gone afterwards.

    Raises `BackupError` where it does not read back as it was written, and `OSError`.
    """
    sources: Mapping[str, archive.Source] = {
        **{name: piece.source for name, piece in found.files.items()},
        **({} if database is None else {DATABASE: database}),
    }
    descriptor, name = tempfile.mkstemp(prefix=".edged-backup-", suffix=".part", dir=folder)  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            archive.write(file, manifest, sources)
            file.flush()
            os.fsync(file.fileno())
        _read_back(draft, manifest)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _read_back(draft: Path, manifest: Manifest) -> None:
    try:
        found = archive.read(draft)
    except ArchiveError as error:
        raise BackupError(f"the backup does not read back ({error}): the disk may be failing, use another") from error
    if found.members != manifest.members:
        raise BackupError("the backup does not read back as it was written: the disk may be failing, use another")


def keep(draft: Path, target: Path, *, before: Callable[[], None] = lambda: None) -> None:
    """Give it its name. `before`: what must be true before anybody can find it."""
    before()
    draft.replace(target)
    sync_directory(target.absolute().parent)
