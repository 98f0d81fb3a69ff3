"""The last words of a run that ended by a bug, a fatal signal or the watchdog: on the disk, for no journal may be left.

A journal in memory goes with the power, and the stack of a daemon that hung, with it. Under a service manager the stack
goes to a file instead, and the next start, which comes at once, tells it to the log and sets it aside. At a terminal it
goes to standard error, where somebody sees it.

Owns the two files. Invariants: a run that ends in order leaves the first one empty and writes to neither · bounded ·
nothing is deleted but by the next crash.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from edged.ports import EdgedError

log = logging.getLogger(__name__)

NAME = "crash.txt"
"""Of this run; empty while nothing has happened."""
LAST_NAME = "last_crash.txt"
MAX_BYTES = 64 * 1024
MAX_LINES = 200
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class CrashBox:
    """Open it around a run: `with CrashBox(...) as box`. `previous`: what the last run that had a word left there.

    Where the folder does not take the file, standard error is all there is.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._is_service = bool(environ.get("INVOCATION_ID"))
        self._file: IO[bytes] | None = None
        self.previous = ""

    def __enter__(self) -> CrashBox:
        try:
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            self.previous = _set_aside(self._folder)
            self._file = os.fdopen(os.open(self._folder / NAME, _FLAGS, 0o600), "r+b", buffering=0)
        except OSError as error:
            log.warning("should edged crash, nothing of it can be kept in %s: %s", self._folder, error.strerror)
        if self._is_service and self._file is not None:
            faulthandler.enable(self._file)
        else:
            faulthandler.enable()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        if isinstance(error, Exception) and not isinstance(error, EdgedError):
            self._keep("".join(traceback.format_exception(error)))
        if self._is_service:
            faulthandler.enable()
        self._file.close()

    def _keep(self, text: str) -> None:
        assert self._file is not None
        try:
            self._file.write(text.encode("utf-8", "backslashreplace")[-MAX_BYTES:])
        except OSError as error:
            log.warning("the crash was not kept: %s", error.strerror)

    def tell(self) -> None:
        """Say to the log what the last run left."""
        if not self.previous:
            return
        lines = self.previous.splitlines()
        log.warning("the last run crashed; kept in %s:", self._folder / LAST_NAME)
        for line in lines[:MAX_LINES]:
            log.warning("crash: %s", line)
        if len(lines) > MAX_LINES:
            log.warning("crash: and %d lines more", len(lines) - MAX_LINES)


def _set_aside(folder: Path) -> str:
    """What lies in the file of the last run, which becomes the last crash if there is anything in it."""
    text = read(folder / NAME)
    if text:
        (folder / NAME).replace(folder / LAST_NAME)
        _sync(folder / LAST_NAME)
        _sync(folder)
    return text


def read(path: Path) -> str:
    """A crash's text, bounded; empty where there is none or it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        try:
            return file.read(MAX_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
