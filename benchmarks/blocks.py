"""A disk whose every write is written down: a fresh ext4 on a block device that keeps a log, in order, with flushes.

Owns the device and its log. Knows no database and no daemon. How: `qemu-storage-daemon` exports an image as a file
(FUSE) through its `blklogwrites` filter, which writes the format of the kernel's dm-log-writes; a loop device and ext4
lie on top. Behind the file system the disk has a raw area: a mark is one synchronous write there, so it stands in the
same log, behind everything that reached the disk before it. No kernel module is needed, but root, /dev/fuse, loop
devices, qemu-utils and e2fsprogs.

Everything lies in a tmpfs in a mount namespace of this process's own, and the storage daemon dies with this process,
whatever ends it: nothing is left behind but an empty folder.

    python -m benchmarks.blocks [--at FOLDER] CMD ARG...     what CMD writes to its working directory, and to FOLDER
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import mmap
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

MIB = 1 << 20
SECTOR = 512
MAGIC, VERSION = 0x6A736677736872, 1
FLUSH, FUA, DISCARD = 1, 2, 4
BLOCK = 4096
JOURNAL_INODE = 8
MARK = struct.Struct("<8sQ")
MARK_WORD = b"MARK\0\0\0\0"
MARKS_BYTES = MIB
LOG_BYTES = 16 << 30
EXPORT_TIMEOUT_S = 30.0
MKFS = ("-q", "-E", "lazy_itable_init=0,lazy_journal_init=0")
"""ext4 as Debian makes it, but whole before the first mount: what the kernel would write later is not ours."""
NEED = Path(__file__).resolve().parent.parent / "tools" / "need.sh"
CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
LIBC = ctypes.CDLL(None, use_errno=True)
GUARD = """
exec 3<&0
"$@" 3<&- </dev/null &
daemon=$!
{ read -r _ <&3; kill $daemon; sleep 5; kill -KILL $daemon; } 2>/dev/null &
wait $daemon
status=$?
kill $!
exit $status
"""
"""Ends the storage daemon when its input does, and stays behind it: who leaves the mount namespace last takes the file
systems down, and if that were the daemon, it would wait for its own answers, and every loop device of the computer with
it."""


class BlocksError(Exception):
    """The machine cannot give a recorded disk; the text says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request as it reached the disk. `at` is a byte offset. `flush`: all that came before is durable with it;
    `durable`: it is itself. `data` is empty for a mere flush and for a discard of `length` bytes; `mark` is the number
    of a mark, which is no write of the file system."""

    at: int
    length: int
    flush: bool
    durable: bool
    discard: bool
    data: bytes
    mark: int | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """What reached the disk: writes, their bytes, flushes."""

    writes: int
    bytes: int
    flushes: int

    def __sub__(self, other: Count) -> Count:
        return Count(self.writes - other.writes, self.bytes - other.bytes, self.flushes - other.flushes)


def require() -> None:
    """Everything that a recorded disk needs is there, installed where that can be done. Raises `BlocksError`."""
    if os.geteuid() != 0:
        raise BlocksError("recording a disk mounts file systems: run it as root (sudo)")
    for package, command in (
        ("qemu-utils", "qemu-storage-daemon"),
        ("e2fsprogs", "mkfs.ext4"),
        ("e2fsprogs", "debugfs"),
        ("util-linux", "setpriv"),
        ("mount", "losetup"),
    ):
        told = subprocess.run([NEED, package, command], capture_output=True, text=True, check=False)
        if told.returncode:
            raise BlocksError(told.stderr.strip() or f"install with: sudo apt-get install {package}")
    for device, module in (("/dev/fuse", "fuse"), ("/dev/loop-control", "loop")):
        if not os.path.exists(device):
            raise BlocksError(f"{device} is missing - load it with: sudo modprobe {module}")


def private_mounts() -> None:
    """From here on nobody outside sees what this process mounts, and it is gone when this process is."""
    if LIBC.unshare(CLONE_NEWNS) or LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        code = ctypes.get_errno()
        raise BlocksError(f"no mount namespace of our own: {os.strerror(code)}")


def run(*words: str | Path) -> None:
    """A tool of the system; what it complains of is in the error."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BlocksError(f"{' '.join(map(str, words))}: {done.stderr.strip() or done.stdout.strip()}")


def mount(image: Path, folder: Path, *, options: str = "noatime") -> None:
    """The loop device goes away with the mount."""
    run("mount", "-t", "ext4", "-o", f"loop,{options}", image, folder)


def unmount(folder: Path) -> None:
    """Raises `BlocksError` where somebody still has a file open."""
    run("umount", folder)


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """An empty folder in memory, seen by this process and its children only. Needs `private_mounts`."""
    with tempfile.TemporaryDirectory(prefix="edged-blocks-") as name:
        place = Path(name)
        run("mount", "-t", "tmpfs", "-o", "mode=0700,size=75%", "tmpfs", place)
        try:
            yield place
        finally:
            run("umount", "--lazy", place)


class Disk:
    """A recorded disk with a fresh, mounted ext4. `folder` is where it is mounted, `base` the image before the mount.

    Use as a context manager; behind the block the log and `base` are still there, `folder` is not mounted any more.
    """

    def __init__(self, place: Path, *, size_mib: int, mkfs: Sequence[str] = MKFS) -> None:
        self.place = place
        self.folder = place / "mounted"
        self.base = place / "base.img"
        self.log = place / "log.img"
        self.size = size_mib * MIB
        self._image = place / "disk.img"
        self._export = place / "export"
        self._mkfs = mkfs
        self._daemon: subprocess.Popen[bytes] | None = None
        self._marks_fd: int | None = None
        self._mark = mmap.mmap(-1, mmap.PAGESIZE)

    def __enter__(self) -> Self:
        self.folder.mkdir()
        for path, size in (
            (self._image, self.size + MARKS_BYTES),
            (self.base, self.size),
            (self.log, LOG_BYTES),
            (self._export, 0),
        ):
            with path.open("wb") as file:
                file.truncate(size)
        # before the recording starts: a cut while a file system is made says nothing about edged
        run("mkfs.ext4", *self._mkfs, "-b", str(BLOCK), self._image, f"{self.size // 1024}k")
        run("cp", "--sparse=always", self._image, self.base)
        os.truncate(self.base, self.size)
        try:
            self._start()
            mount(self._export, self.folder, options=f"noatime,sizelimit={self.size}")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self) -> None:
        log = "driver=blklogwrites,node-name=logged,file=image,log=log,log-sector-size=512,log-super-update-interval=1"
        self._daemon = subprocess.Popen(
            [
                *("sh", "-c", GUARD, "sh", "qemu-storage-daemon"),
                *("--blockdev", f"driver=file,node-name=image,filename={self._image}"),
                *("--blockdev", f"driver=file,node-name=log,filename={self.log}"),
                *("--blockdev", log),
                *("--export", f"type=fuse,id=export,node-name=logged,mountpoint={self._export},writable=on"),
            ],
            stdin=subprocess.PIPE,
            start_new_session=True,  # who kills the group of this process does not mean the guard
        )
        deadline = time.monotonic() + EXPORT_TIMEOUT_S
        while os.path.getsize(self._export) != self.size + MARKS_BYTES:
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                raise BlocksError("qemu-storage-daemon did not export the disk: its reason is above")
            time.sleep(0.01)
        self._marks_fd = os.open(self._export, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.path.ismount(self.folder):
            unmount(self.folder)
        if self._marks_fd is not None:
            os.close(self._marks_fd)
            self._marks_fd = None
        if self._daemon is not None:
            self._daemon.communicate()  # the end of its input

    def mark(self, number: int) -> None:
        """Put a number into the log: on return it stands behind all that has reached the disk so far."""
        assert self._marks_fd is not None, "only a mounted disk can be marked"
        self._mark[: MARK.size] = MARK.pack(MARK_WORD, number)
        os.pwrite(self._marks_fd, memoryview(self._mark)[:SECTOR], self.size)

    def settle(self) -> None:
        """Let the file system write whatever it still holds back."""
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            if LIBC.syncfs(fd):
                raise BlocksError(f"syncfs: {os.strerror(ctypes.get_errno())}")
        finally:
            os.close(fd)

    @property
    def requests(self) -> int:
        """How many requests have reached the disk since it was mounted, of every kind."""
        with self.log.open("rb") as file:
            return int(struct.unpack("<QQQL", file.read(28))[2])

    def count(self) -> Count:
        """What has reached the disk since it was mounted, marks not counted."""
        return count(entries(self.log, self.size, data=False))

    def shares(self, first: int) -> dict[str, int]:
        """Bytes by what they were written to, behind the first so many requests: the names of the files in `folder` as
        they lie there now, "journal" and "rest" (the file system's own, and files that are gone)."""
        names = {path.stat().st_ino: path.name for path in self.folder.iterdir()} | {JOURNAL_INODE: "journal"}
        spent = Counter[int]()
        for entry in islice(entries(self.log, self.size, data=False), first, None):
            if entry.mark is None and entry.length and not entry.discard:
                spent[entry.at // BLOCK] += entry.length
        words: list[str | Path] = ["debugfs", "-R", f"icheck {' '.join(map(str, spent))}", self._image]
        asked = subprocess.run(words, capture_output=True, text=True, check=True)
        told = Counter[str]()
        for block, inode in re.findall(r"^(\d+)\t(\d+)$", asked.stdout, re.MULTILINE):
            told[names.get(int(inode), "rest")] += spent.pop(int(block))
        told["rest"] += spent.total()
        return dict(told.most_common())


def entries(log: Path, size: int, *, data: bool = True) -> Iterator[Entry]:
    """A log's requests in order. `size`: of the file system; what lies behind it are marks."""
    with log.open("rb") as file:
        magic, version, number, sector = struct.unpack("<QQQL", file.read(28))
        if magic != MAGIC or version != VERSION:
            raise BlocksError(f"{log} is no log of writes")
        at_log = sector
        for _ in range(number):
            file.seek(at_log)
            first, sectors, flags, _ = struct.unpack("<QQQQ", file.read(32))
            at_log += sector
            at, length, content, mark = first * SECTOR, sectors * SECTOR, b"", None
            if length and not flags & DISCARD:
                if data or at >= size:
                    file.seek(at_log)
                    content = file.read(length)
                at_log += length
            if length and at >= size:
                word, mark = MARK.unpack_from(content)
                assert word == MARK_WORD, "only marks lie behind the file system"
            flush, durable, discard = (bool(flags & flag) for flag in (FLUSH, FUA, DISCARD))
            yield Entry(at, length, flush, durable, discard, content, mark)


def count(found: Iterator[Entry]) -> Count:
    """Sums of a log. A discard writes nothing."""
    writes = written = flushes = 0
    for entry in found:
        flushes += entry.flush
        if entry.mark is None and entry.length and not entry.discard:
            writes += 1
            written += entry.length
    return Count(writes, written, flushes)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blocks", description=__doc__)
    parser.add_argument("--at", type=Path, help="mount the disk also here, for CMD's eyes only (/var/tmp, say)")
    parser.add_argument("--size", type=int, default=512, metavar="MIB", help="of the disk (512)")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD ARG...")
    chosen = parser.parse_args()
    command = chosen.command[1:] if chosen.command[:1] == ["--"] else chosen.command
    if not command:
        parser.error("what shall be run?")
    try:
        require()
        private_mounts()
    except BlocksError as error:
        print(error, file=sys.stderr)
        return 1
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(NEED.parent.parent), *_search_path()])}
    with workplace() as place, Disk(place, size_mib=chosen.size) as disk:
        if chosen.at is not None:
            run("mount", "--bind", disk.folder, chosen.at)
        disk.settle()
        before = disk.count()
        command = ["setpriv", "--pdeathsig", "KILL", *command]
        status = subprocess.run(command, cwd=disk.folder, env=environment, check=False).returncode
        disk.settle()
        spent = disk.count() - before
        if chosen.at is not None:
            run("umount", chosen.at)
    print(f"{spent.bytes} bytes in {spent.writes} writes, {spent.flushes} flushes")
    return status


def _search_path() -> list[str]:
    return [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]


if __name__ == "__main__":
    sys.exit(main())
