"""The computer as the doctor looks at it: files, folders and commands, every one of them hostile.

Owns the bounds: nothing is read beyond its limit, no command runs longer than it may, nothing that cannot be read is an
error. Refuses to know what any of it means. Nothing is changed.

`root` lies before every path (a test's own computer); commands are looked for on `path`.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TEXT_BYTES: Final = 256 * 1024
COMMAND_S: Final = 4.0
MOST_NAMES: Final = 4096
SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said. `status` None: it did not run, or not to its end; `problem` says why."""

    status: int | None = None
    text: str = ""
    problem: str = ""


class Computer:
    """This computer, or one that a test has made."""

    def __init__(self, root: Path = Path("/"), *, path: str | None = None) -> None:
        self.root = root
        self._path = path if path is not None else f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"

    @property
    def is_root(self) -> bool:
        return os.geteuid() == 0

    def at(self, path: str | Path) -> Path:
        """Where a path of that computer lies on ours."""
        return self.root / str(path).lstrip("/")

    def text(self, path: str | Path, limit: int = TEXT_BYTES) -> str | None:
        """The beginning of a file; None where there is none to be read."""
        try:
            descriptor = os.open(self.at(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            with open(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return None
                return file.read(limit).decode("utf-8", "replace")
        except (OSError, ValueError):
            return None

    def stat(self, path: str | Path) -> os.stat_result | None:
        with contextlib.suppress(OSError, ValueError):
            return self.at(path).stat()
        return None

    def has(self, path: str | Path) -> bool:
        return self.stat(path) is not None

    def names(self, folder: str | Path) -> tuple[str, ...] | None:
        """What lies in a folder, sorted; None where that cannot be seen."""
        try:
            with os.scandir(self.at(folder)) as entries:
                found = [entry.name for entry, _ in zip(entries, range(MOST_NAMES), strict=False)]
        except (OSError, ValueError):
            return None
        return tuple(sorted(found))

    def command(self, name: str) -> str | None:
        """Where a program is."""
        return shutil.which(name, path=self._path)

    def processes(self) -> frozenset[str]:
        """The names of the processes that this user is shown."""
        return frozenset(name for _, name in self._running())

    def command_lines(self, *names: str) -> tuple[tuple[str, ...], ...]:
        """How the processes of these names were started."""
        found = []
        for pid, name in self._running():
            if name in names:
                found.append(self.words_of(pid))
        return tuple(found[:MOST_NAMES])

    def words_of(self, pid: int | str) -> tuple[str, ...]:
        """How a process was started."""
        return tuple(self._pseudo(f"/proc/{pid}/cmdline").split("\0")[:64])

    def _running(self) -> list[tuple[str, str]]:
        pids = [name for name in self.names("/proc") or () if name.isascii() and name.isdecimal()]
        return [(pid, self._pseudo(f"/proc/{pid}/comm").strip()) for pid in pids]

    def _pseudo(self, path: str) -> str:
        return self.text(path, 4096) or ""

    def run(self, name: str, *words: str, within_s: float = COMMAND_S) -> Answer:
        """What a program says on its standard output, in the C locale; it is killed at its bounds."""
        program = self.command(name)
        if program is None:
            return Answer(problem=f"there is no {name} here")
        environment = {**os.environ, "PATH": self._path, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
        try:
            process = subprocess.Popen(
                [program, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return Answer(problem=f"{name} cannot be started ({getattr(error, 'strerror', None) or error})")
        with process:
            try:
                return _listen(process, name, time.monotonic() + within_s)
            finally:
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, 9)


def _listen(process: subprocess.Popen[bytes], name: str, until_s: float) -> Answer:
    """Its output up to the limit, and its exit status."""
    assert process.stdout is not None
    said, pipe = b"", process.stdout.fileno()
    while len(said) < TEXT_BYTES:
        left_s = until_s - time.monotonic()
        if left_s <= 0 or not select.select([pipe], [], [], left_s)[0]:
            return Answer(text=said.decode("utf-8", "replace"), problem=f"{name} does not come to an end")
        part = os.read(pipe, 65_536)
        if not part:
            break
        said += part
    else:
        return Answer(text=said.decode("utf-8", "replace"), problem=f"{name} says too much")
    try:
        status = process.wait(max(0.05, until_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        return Answer(text=said.decode("utf-8", "replace"), problem=f"{name} does not come to an end")
    return Answer(status=status, text=said.decode("utf-8", "replace"))
