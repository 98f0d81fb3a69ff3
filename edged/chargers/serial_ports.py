"""What this computer tells about its serial ports: their names, who holds one, how long an adapter keeps bytes back.

Owns: the places under /dev, /sys and /proc where that stands. Refuses to know: lines, bytes, what is to be done.
Invariants: nothing is opened and nothing changed; what cannot be read is not known, and never an error.

Every path is as on this computer; `root` lies before it where the files are read (a test's own computer).
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

BY_ID, BY_PATH = "/dev/serial/by-id", "/dev/serial/by-path"
_NUMBERED = re.compile(r"/dev/tty(USB|ACM)[0-9]+")
"""Names that the kernel gives in the order in which the adapters came."""
_BOARD = re.compile(r"serial[0-9]+|tty(USB|ACM|AMA|AMS|THS|mxc|RS485-)[0-9]+")
_MOST_PROCESSES, _MOST_FILES, _MOST_NAMES = 4096, 1024, 64
_PSEUDO = range(136, 144)
"""The kernel's major numbers of pseudo terminals."""
_OTHER_END = frozenset({"/dev/ptmx", "/dev/pts/ptmx"})


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a port open."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"


class SerialPorts:
    """The serial ports of a computer."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def device(self, port: str) -> str:
        """The device behind a name: links like those of /dev/serial/by-id may lead elsewhere after each replugging."""
        found = os.path.realpath(self._at(port))
        top = os.path.realpath(self._root)
        return "/" + os.path.relpath(found, top) if found.startswith(top) else found

    def names(self) -> tuple[str, ...]:
        """A name for each port that there is, those that last first: by id, by path, then the numbered ones."""
        names: dict[str, str] = {}
        for folder in (BY_ID, BY_PATH):
            for name in self._entries(folder):
                names.setdefault(self.device(f"{folder}/{name}"), f"{folder}/{name}")
        for name in self._entries("/dev"):
            if _BOARD.fullmatch(name):
                names.setdefault(self.device(f"/dev/{name}"), f"/dev/{name}")
        return tuple(names.values())[:_MOST_NAMES]

    def lasting_name(self, port: str) -> str | None:
        """A name of a numbered port that stays its own whichever adapter comes first; None where there is no better.

        Two adapters without a serial number share one name by id: then only one of them has it, the other has the name
        by path, which tells the socket that it is plugged into.
        """
        device = self.device(port)
        if not _NUMBERED.fullmatch(port):
            return None
        for folder in (BY_ID, BY_PATH):
            for name in self._entries(folder):
                if self.device(f"{folder}/{name}") == device:
                    return f"{folder}/{name}"
        return None

    def latency_timer_ms(self, port: str) -> int | None:
        """How long an FTDI adapter keeps the end of an answer back; None where no adapter says so."""
        name = os.path.basename(self.device(port))
        try:
            text = self._at(f"/sys/class/tty/{name}/device/latency_timer").read_text("ascii").strip()
            return int(text) if len(text) <= 4 else None
        except (OSError, ValueError):
            return None

    def holders(self, port: str) -> tuple[Holder, ...]:
        """Other processes that have the port open, as far as they are shown to us (to root all are).

        Whoever holds the other end of a pseudo terminal is no second master but what is plugged in there.
        """
        device = self.device(port)
        node = _node(self._at(device))
        own = os.getpid()
        found = []
        for name in self._entries("/proc")[:_MOST_PROCESSES]:
            if name.isdigit() and int(name) != own:
                files = dict(self._files_of(name))
                held = device in files.values() if node is None else self._holds(name, files, node)
                if held and not (device.startswith("/dev/pts/") and not _OTHER_END.isdisjoint(files.values())):
                    found.append(Holder(int(name), self._called(name)))
        return tuple(sorted(found, key=lambda each: each.pid))

    def group(self, port: str) -> str | None:
        """The group that may open the port; None where it gives a group no such right, or there is no port."""
        try:
            about = self._at(self.device(port)).stat()
        except OSError:
            return None
        if about.st_mode & (stat.S_IRGRP | stat.S_IWGRP) != stat.S_IRGRP | stat.S_IWGRP:
            return None
        try:
            return grp.getgrgid(about.st_gid).gr_name
        except KeyError:
            return str(about.st_gid)

    def _at(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def _entries(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self._at(folder)))
        except OSError:
            return []

    def _files_of(self, pid: str) -> Iterator[tuple[str, str]]:
        """Each number with the name under which the process sees the file: in a container it may be another's."""
        for number in self._entries(f"/proc/{pid}/fd")[:_MOST_FILES]:
            try:
                yield number, os.readlink(self._at(f"/proc/{pid}/fd/{number}"))
            except OSError:
                continue

    def _holds(self, pid: str, files: Mapping[str, str], node: tuple[int, int]) -> bool:
        """Only what may be a device is asked for its number: a file on a server that is gone would not answer."""
        return any(
            "/dev/" in name and _node(self._at(f"/proc/{pid}/fd/{number}")) == node for number, name in files.items()
        )

    def _called(self, pid: str) -> str:
        """A process by its program; that of an interpreter by what it runs."""
        try:
            words = self._at(f"/proc/{pid}/cmdline").read_bytes()[:4096].decode("utf-8", "replace").split("\0")
        except OSError:
            words = [""]
        name = os.path.basename(words[0])
        if re.fullmatch(r"python[0-9.]*", name):
            name = _run_by(words[1:]) or name
        return "".join(char if char.isprintable() else "?" for char in name)[:40] or "a process without a name"


def _node(path: Path) -> tuple[int, int] | None:
    """What tells a device from every other, whatever it is called; None where there is none.

    Pseudo terminals are numbered anew in each container: of those the file system counts too.
    """
    try:
        about = path.stat()
    except OSError:
        return None
    if not stat.S_ISCHR(about.st_mode):
        return None
    return about.st_rdev, about.st_dev if os.major(about.st_rdev) in _PSEUDO else 0


def _run_by(words: list[str]) -> str:
    """What an interpreter with these arguments runs: a module, or a script. Empty where that is not told."""
    left = iter(words)
    for word in left:
        if word in ("-m", "-W", "-X"):
            after = next(left, "")
            if word == "-m":
                return after
        elif word in ("-c", "-"):
            break
        elif not word.startswith("-"):
            return os.path.basename(word)
    return ""


def own_user() -> str:
    """Who we are, for sentences about rights."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
