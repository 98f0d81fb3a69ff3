"""The file that a download grows in: TARGET.part, and beside it TARGET.part.json, which says what it is a part of.

Owns the bounds (size, free disk) and what may be resumed. Invariants: only bytes that are durable and came under one
validator are gone on with; the target appears whole or not at all; what cannot be gone on with gives its space back.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from edged.domain.jobs import Fetched
from edged.transfer.failure import TransferError
from edged.transfer.rules import TransferRules

FreeBytes = Callable[[Path], int]
CHECKPOINT_BYTES = 8 * 1024 * 1024
LOOK_BYTES = 1024 * 1024
MAX_NOTE_BYTES = 16 * 1024
MAX_VALIDATOR_CHARS = 1024
_BLOCK_BYTES = 256 * 1024
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Pulse(Protocol):
    """What of a lifeline is needed here."""

    def check(self) -> None: ...

    def moved(self, count_bytes: int) -> None: ...

    def at_home(self) -> None: ...


def free_bytes_of(folder: Path) -> int:
    """What this user may still write there."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


class PartFile:
    """One download on the disk, for one attempt: `open`, `begin` or `go_on`, `write` ..., `finish`; always `close`.

    `fingerprint`: of the address. Every method may raise `TransferError`; `OSError` never gets out."""

    def __init__(
        self, target: Path, fingerprint: str, rules: TransferRules, pulse: Pulse, free_bytes: FreeBytes = free_bytes_of
    ) -> None:
        self._target = target
        self._path = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")
        self._fingerprint = fingerprint
        self._rules = rules
        self._pulse = pulse
        self._free_bytes = free_bytes
        self._file: BinaryIO | None = None
        self._looked_at = 0
        self._kept_at = 0
        self._ours = False
        self.offset = 0
        self.validator = ""
        self.total: int | None = None

    @property
    def whole(self) -> bool:
        """Everything is here already: an earlier run was stopped just before its end."""
        return bool(self.validator) and self.total is not None and 0 < self.total == self.offset

    def open(self) -> None:
        """What an earlier attempt left, as far as it can be gone on with."""
        with _disk():
            self._target.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.fdopen(os.open(self._path, flags, 0o600), "r+b", buffering=0)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a thread that was given up may still be at it
            self._ours = True
            size = os.fstat(self._file.fileno()).st_size
            note = self._noted()
            durable = note.get("durable")
            fits = note.get("location") == self._fingerprint and isinstance(durable, int) and 0 < durable <= size
            total = note.get("total")
            validator = note.get("validator")
            if fits and isinstance(validator, str) and validator and (total is None or isinstance(total, int)):
                self.offset, self.validator, self.total = int(durable or 0), validator, total
            self._file.truncate(self.offset)
            self._file.seek(self.offset)
            self._looked_at = self._kept_at = self.offset

    def begin(self, validator: str, total: int | None) -> None:
        """From the first byte. `validator`: what tells this file from a changed one, "" where there is none."""
        if len(validator) > MAX_VALIDATOR_CHARS or not validator.isprintable():
            validator = ""
        with _disk():
            self._opened.truncate(0)
            self._opened.seek(0)
            self.offset = self._looked_at = self._kept_at = 0
            self.validator, self.total = validator, total
            self._note.unlink(missing_ok=True)
        self._judge(total)

    def go_on(self, total: int | None) -> None:
        """Behind what is here."""
        if total is not None:
            self.total = total
        self._judge(self.total)

    def write(self, data: bytes) -> None:
        """The next bytes."""
        self._pulse.moved(len(data))
        if self.offset + len(data) > self._rules.max_bytes:
            self.discard()
            raise self._too_big()
        with _disk(self.discard):
            view = memoryview(data)
            while view:
                view = view[self._opened.write(view) :]
        self.offset += len(data)
        if self.offset - self._looked_at >= LOOK_BYTES:
            self._looked_at = self.offset
            self._look_for_space(0)
        if self.offset - self._kept_at >= CHECKPOINT_BYTES:
            self.keep()

    def keep(self) -> None:
        """Make durable what is here, and note it: the next attempt begins behind it."""
        if not self.validator or not self.offset or self._kept_at == self.offset:
            return
        with _disk():
            os.fsync(self._opened.fileno())
            note = {
                "location": self._fingerprint,
                "validator": self.validator,
                "total": self.total,
                "durable": self.offset,
            }
            fresh = self._note.with_name(self._note.name + ".new")
            fresh.write_text(json.dumps(note), encoding="utf-8")
            fresh.replace(self._note)
        self._kept_at = self.offset

    def finish(self) -> Fetched:
        """The file is whole: durable, hashed, and under its name."""
        if self.total is not None and self.offset != self.total:
            raise TransferError(f"the file ended after {self.offset} of {self.total} bytes")
        self._pulse.at_home()
        self.keep()
        with _disk():
            os.fsync(self._opened.fileno())
            self._opened.seek(0)
            digest = hashlib.sha256()
            while block := self._opened.read(_BLOCK_BYTES):
                self._pulse.check()
                digest.update(block)
            self._pulse.check()
            self._path.replace(self._target)
            self._ours = False
            self._note.unlink(missing_ok=True)
            folder = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return Fetched(file=self._target.name, size_bytes=self.offset, sha256=digest.hexdigest())

    def discard(self) -> None:
        """Nothing of it is wanted: give the space back."""
        self.offset = self._kept_at = 0
        self.validator, self.total = "", None
        if not self._ours or self._file is None:
            return
        with contextlib.suppress(OSError):
            self._file.truncate(0)
            self._path.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it; what no later attempt could go on with is removed."""
        if self._file is None:
            return
        if not self._kept_at:
            self.discard()
        with contextlib.suppress(OSError):
            self._file.close()
        self._file = None

    @property
    def _opened(self) -> BinaryIO:
        assert self._file is not None, "open() comes first"
        return self._file

    def _noted(self) -> dict[str, Any]:
        try:
            with self._note.open("rb") as file:
                note = json.loads(file.read(MAX_NOTE_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        return note if isinstance(note, dict) else {}

    def _judge(self, total: int | None) -> None:
        if total is not None and total > self._rules.max_bytes:
            self.discard()
            raise self._too_big()
        self._look_for_space(0 if total is None else max(0, total - self.offset))

    def _look_for_space(self, wanted_bytes: int) -> None:
        with _disk():
            free = self._free_bytes(self._target.parent)
        if free - wanted_bytes < self._rules.keep_free_bytes:
            self.discard()
            raise TransferError("the disk has too little free space for the file", again=False)

    def _too_big(self) -> TransferError:
        return TransferError(f"the file is larger than {self._rules.max_bytes} bytes", again=False)


class _disk:
    """Errors of the disk become errors of the transfer. `full`: what to do first where there is no space."""

    def __init__(self, full: Callable[[], None] | None = None) -> None:
        self._full = full

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, OSError):
            return
        if error.errno in _NO_SPACE:
            if self._full is not None:
                self._full()
            raise TransferError("the disk is full", again=False) from error
        raise TransferError(f"the disk did not take the file: {(error.strerror or 'unknown error').lower()}") from error
