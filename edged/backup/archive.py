"""The archive: a gzipped tar of plain files, the manifest first. Written to be whole, read with suspicion.

Owns the format's bytes. The reader is our own and knows nothing but what the writer makes: the standard library's would
follow links, devices, extended headers of any size and sparse maps, each a door that is not needed. Whoever wants to
look into an archive may use any tar. Invariant: no more is read, kept or unpacked than the manifest's bounds allow.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from edged.backup.manifest import DATABASE, MAX_FILE_BYTES, MEMBER, NAME, ArchiveError, Manifest, from_json, to_json

BLOCK: Final = 512
MAX_ARCHIVE_BYTES: Final = 600 * 1024 * 1024
MAX_MANIFEST_BYTES: Final = 2 * 1024 * 1024
_CHUNK: Final = 256 * 1024
_PLAIN: Final = (b"0", b"\0")

Source = bytes | Path
"""A member's content: in memory, or a file that nobody changes meanwhile."""
Sink = Callable[[str], IO[bytes] | None]
"""Where a member's content goes; None: it is only judged."""


@dataclass(frozen=True, slots=True)
class Digest:
    size: int
    sha256: str


def digest_of(source: Source) -> Digest:
    """Of a member before it is packed."""
    seen, size = hashlib.sha256(), 0
    with _opened(source) as file:
        while chunk := file.read(_CHUNK):
            seen.update(chunk)
            size += len(chunk)
    return Digest(size, seen.hexdigest())


def write(file: IO[bytes], manifest: Manifest, sources: Mapping[str, Source]) -> None:
    """Pack all members, in the manifest's order. `OSError` where the disk does not take it."""
    seconds = max(0, int(manifest.made_at.timestamp()))
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=seconds) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
    ):
        content = to_json(manifest)
        tar.addfile(_entry(NAME, len(content), 0o600, seconds), io.BytesIO(content))
        for member in manifest.members:
            with _opened(sources[member.name]) as source:
                tar.addfile(_entry(member.name, member.size, member.mode, seconds), source)


def _entry(name: str, size: int, mode: int, seconds: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, mode, seconds
    return entry


def _opened(source: Source) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


# --- reading


def read(path: Path, sink: Sink = lambda _name: None) -> Manifest:
    """Judge a whole archive, from its first to its last byte. Raises `ArchiveError` (what went to `sink` is worth
    nothing then) and `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ArchiveError("it is no file")
        if os.fstat(descriptor).st_size > MAX_ARCHIVE_BYTES:
            raise ArchiveError("it is larger than any backup of edged")
        try:
            with gzip.GzipFile(fileobj=file, mode="rb") as packed:
                return _Reading(packed).run(sink)
        except EOFError as error:
            raise ArchiveError("it is cut off: copy it again from where it comes") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise ArchiveError("it is no backup of edged, or damaged: copy it again from where it comes") from error


class _Reading:
    """One pass over the unpacked bytes; never leaves this module."""

    def __init__(self, packed: gzip.GzipFile) -> None:
        self._packed = packed

    def run(self, sink: Sink) -> Manifest:
        found = self._header()
        if found is None or found[0] != NAME:
            raise ArchiveError("it is an archive, but no backup of edged: it begins with no manifest")
        if found[1] > MAX_MANIFEST_BYTES:
            raise ArchiveError("its manifest is larger than any of edged")
        content = io.BytesIO()
        self._content(found[1], content)
        manifest = from_json(content.getvalue())
        for member in manifest.members:
            found = self._header()
            if found is None:
                raise ArchiveError(f"{member.name} is missing in it")
            name, size = found
            if name != member.name:
                raise ArchiveError(f"it holds {_shown(name)} where its manifest promises {member.name}")
            if size != member.size:
                raise ArchiveError(f"{member.name} in it has another size than its manifest says")
            target = sink(name)
            try:
                if self._content(size, target) != member.sha256:
                    raise ArchiveError(f"{member.name} in it is not what its manifest says: its checksum is another")
            finally:
                if target is not None:
                    target.close()
        if (found := self._header()) is not None:
            raise ArchiveError(f"it holds {_shown(found[0])}, of which its manifest says nothing")
        self._end()
        return manifest

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._packed.read(min(size, _CHUNK))
            if not part:
                raise ArchiveError("it is cut off: copy it again from where it comes")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _header(self) -> tuple[str, int] | None:
        """Name and size of the next plain file; None at the end."""
        block = self._exactly(BLOCK)
        if not any(block):
            return None
        told = _octal(block[148:156])
        if told != sum(block) - sum(block[148:156]) + 8 * ord(" "):
            raise ArchiveError("it is no backup of edged, or damaged: a header in it does not hold")
        prefix = block[345:500].rstrip(b"\0") if block[257:263] == b"ustar\0" else b""
        raw = (prefix + b"/" if prefix else b"") + block[:100].partition(b"\0")[0]
        name = raw.decode("utf-8", "backslashreplace")
        if name != NAME and MEMBER.fullmatch(name) is None:
            raise ArchiveError(f"it holds {_shown(name)}, whose place is not edged's: it was not made by edged")
        if block[156:157] not in _PLAIN:
            raise ArchiveError(f"{_shown(name)} in it is no plain file: it was not made by edged")
        size = _octal(block[124:136])
        if size is None or size < 0:
            raise ArchiveError("it is no backup of edged, or damaged: a header in it does not hold")
        if name not in (NAME, DATABASE) and size > MAX_FILE_BYTES:
            raise ArchiveError(f"{name} in it is larger than any that edged keeps")
        return name, size

    def _content(self, size: int, target: IO[bytes] | None) -> str:
        """A file's bytes on their way; their SHA-256."""
        seen, left = hashlib.sha256(), size
        while left:
            part = self._exactly(min(left, _CHUNK))
            seen.update(part)
            if target is not None:
                target.write(part)
            left -= len(part)
        self._exactly(-size % BLOCK)
        return seen.hexdigest()

    def _end(self) -> None:
        """Nothing but zeros up to tar's own padding, and a checksum of gzip that holds (read to its end to know)."""
        left = tarfile.RECORDSIZE * 2
        while part := self._packed.read(_CHUNK):
            left -= len(part)
            if any(part) or left < 0:
                raise ArchiveError("there is more behind its end: it was not made by edged")


def _octal(field: bytes) -> int | None:
    text = field.strip(b" \0")
    try:
        return int(text, 8) if text.isdigit() else None
    except ValueError:
        return None


def _shown(name: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in name[:80])
