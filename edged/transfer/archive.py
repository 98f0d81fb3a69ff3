"""The archive that is uploaded: a tar.gz of parts, built on the disk within a bound. Blocks.

Owns order, names and the bound. Refuses to know what the parts are. Invariants: the same parts make the same bytes; the
finished file is never larger than the bound; what was left out is told inside; memory does not grow with the parts.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from edged.ports import EdgedError
from edged.transfer.redaction import redact

__all__ = ["ArchiveError", "Part", "build", "redact"]

NOTE = "LEFT-OUT.txt"
MAX_PARTS = 1000
MAX_NAME_CHARS = 96
_UNSAFE = re.compile(r"[^A-Za-z0-9._/-]")
_COPY_BYTES = 64 * 1024
_MARGIN_BYTES = 24 * 1024  # the archive's own ends, the note's beginning
_MARGIN_PER_PART_BYTES = 1536  # header, padding, a line in the note
_LOOK_FOR_LINE_BYTES = 4096


class ArchiveError(EdgedError):
    """The archive was not built, and nothing of it is left; the text says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the archive. `content`: its bytes, or them in chunks."""

    name: str
    content: bytes | Iterable[bytes]


def build(target: Path, parts: Iterable[Part], *, max_bytes: int) -> int:
    """Write the archive and return its size. Where the parts are more than `max_bytes` together, the biggest is cut at
    its beginning, where a log is oldest, until they are not. Raises `ArchiveError`."""
    growing = target.with_name(target.name + ".part")
    with contextlib.ExitStack() as stack:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            spools = _collected(parts, target.parent, max_bytes, stack)
            size = _written(growing, sorted(spools, key=lambda spool: spool.name), max_bytes)
            if size > max_bytes:
                raise ArchiveError(f"{max_bytes} bytes are too few for an archive of {len(spools)} parts")
            growing.replace(target)
        except OSError as error:
            raise ArchiveError(f"cannot write {target}: {(error.strerror or 'unknown error').lower()}") from error
        finally:
            growing.unlink(missing_ok=True)
    return size


class _Spool:
    """One part's bytes in an unnamed file, from which the beginning can be dropped."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.cut_bytes = 0
        self.broken = False
        self._folder = folder
        self._file: BinaryIO | IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by close()
        self._start = 0
        self._end = 0

    @property
    def size(self) -> int:
        return self._end - self._start

    def append(self, data: bytes) -> None:
        self._file.seek(self._end)
        self._file.write(data)
        self._end += len(data)

    def drop(self, count: int) -> None:
        """Forget so many of the oldest bytes. The disk gets them back when they are as many as what is left."""
        self._start += count
        self.cut_bytes += count
        if self._start <= max(self.size, 1024 * 1024):
            return
        fresh = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - takes the place of the file
        try:
            self._file.seek(self._start)
            shutil.copyfileobj(self._file, fresh, _COPY_BYTES)
        except OSError:
            fresh.close()
            raise
        self._file.close()
        self._file, self._start, self._end = fresh, 0, self.size

    def ready(self) -> BinaryIO | IO[bytes]:
        """Where what is left begins; a cut part begins with a whole line, where lines are short."""
        if self.cut_bytes:
            self._file.seek(self._start)
            end = self._file.read(_LOOK_FOR_LINE_BYTES).find(b"\n")
            if end >= 0:
                self._start += end + 1
                self.cut_bytes += end + 1
        self._file.seek(self._start)
        return self._file

    def close(self) -> None:
        self._file.close()


def _collected(parts: Iterable[Part], folder: Path, max_bytes: int, stack: contextlib.ExitStack) -> list[_Spool]:
    spools: list[_Spool] = []
    names: set[str] = {NOTE}
    total = 0
    for part in parts:
        if len(spools) == MAX_PARTS:
            raise ArchiveError(f"an archive has at most {MAX_PARTS} parts")
        spool = _Spool(_named(part.name, names), folder)
        stack.callback(spool.close)
        spools.append(spool)
        room = max(0, max_bytes - max_bytes // 500 - _MARGIN_BYTES - _MARGIN_PER_PART_BYTES * len(spools))
        total = _cut(spools, total, room)
        for chunk in _chunks(part.content, spool):
            spool.append(chunk)
            total = _cut(spools, total + len(chunk), room)
    return spools


def _cut(spools: list[_Spool], total: int, room: int) -> int:
    while total > room:
        biggest = max(spools, key=lambda spool: spool.size)
        if biggest.size == 0:
            break
        count = min(total - room, biggest.size)
        biggest.drop(count)
        total -= count
    return total


def _chunks(content: bytes | Iterable[bytes], spool: _Spool) -> Iterator[bytes]:
    """A part that cannot be read to its end is taken as far as it goes."""
    whole = [content] if isinstance(content, bytes) else content
    pieces = iter(whole)
    while True:
        try:
            piece = next(pieces, None)
        except OSError:
            spool.broken = True
            return
        if piece is None:
            return
        for at in range(0, len(piece), _COPY_BYTES):
            yield piece[at : at + _COPY_BYTES]


def _written(path: Path, spools: list[_Spool], max_bytes: int) -> int:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as raw:
        with (
            gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as archive,
        ):
            ready = [(spool, spool.ready()) for spool in spools]
            told = _note(spools, max_bytes)
            if told:
                archive.addfile(_member(NOTE, len(told)), io.BytesIO(told))
            for spool, file in ready:
                archive.addfile(_member(spool.name, spool.size), file)
        raw.flush()
        return os.fstat(raw.fileno()).st_size


def _note(spools: list[_Spool], max_bytes: int) -> bytes:
    lines = [
        f"{spool.name}: the first {spool.cut_bytes} bytes were left out, the archive is bounded to {max_bytes} bytes"
        for spool in spools
        if spool.cut_bytes
    ]
    lines += [f"{spool.name}: could not be read to its end" for spool in spools if spool.broken]
    return "".join(f"{line}\n" for line in lines).encode()


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o600
    return member


def _named(name: str, taken: set[str]) -> str:
    """A relative path without tricks, once."""
    steps = [step for step in _UNSAFE.sub("_", name).split("/") if step.strip(".")]
    plain = "/".join(steps)[-MAX_NAME_CHARS:].lstrip("/") or "part"
    free, number = plain, 1
    while free in taken:
        number += 1
        free = f"{plain}-{number}"
    taken.add(free)
    return free
