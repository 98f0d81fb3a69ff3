"""The disk that the power cuts are made on: its log says what was written, and nothing of it is left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.blocks import MKFS, Disk, Entry, count, entries, require, workplace
from tests.packaging.cuts import TEAR, Cuts, Medium

PATIENCE_S = 30.0


@pytest.fixture
def disk() -> Iterator[Disk]:
    require()
    with workplace() as place, Disk(place, size_mib=12, mkfs=(*MKFS, "-J", "size=4")) as disk:
        yield disk


def flushed(path: Path, data: bytes) -> None:
    """A file that is certainly on the disk, its name as well."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def write(at: int, data: bytes, *, flush: bool = False, durable: bool = False) -> Entry:
    return Entry(at, len(data), flush, durable, False, data)


FLUSH = Entry(0, 0, True, False, False, b"")


def found(log: list[Entry], seed: int | None, size: int = 8 * TEAR) -> bytes:
    """The medium behind the whole log."""
    medium = Medium(bytes(size), log)
    medium.forward(len(log) - 1)
    return bytes(medium.image(None if seed is None else random.Random(seed)))


# --- the recorder


def test_what_was_flushed_before_a_mark_is_there_after_a_cut_at_it(disk: Disk) -> None:
    for number in range(1, 4):
        flushed(disk.folder / f"file-{number}", bytes([number]) * 10_000)
        disk.mark(number)
    disk.__exit__(None, None, None)
    cuts = Cuts(disk.log, disk.base, disk.place)
    marks = {one.mark: entry for entry, one in enumerate(cuts.log) if one.mark is not None}
    assert sorted(marks) == [1, 2, 3]
    for reordered in (False, True):
        for maker in cuts.at(sorted(marks.values()), reordered=reordered, seed=1):
            with maker.made() as cut:
                there = {one.name: one.read_bytes() for one in cut.folder.glob("file-*")}
                for number in range(1, cut.number + 1):
                    assert there[f"file-{number}"] == bytes([number]) * 10_000


def test_what_nobody_flushed_is_not_there_after_a_cut(disk: Disk) -> None:
    (disk.folder / "never").write_bytes(b"lost" * 5000)
    disk.mark(1)
    disk.__exit__(None, None, None)
    cuts = Cuts(disk.log, disk.base, disk.place)
    at = next(entry for entry, one in enumerate(cuts.log) if one.mark == 1)
    (maker,) = cuts.at([at], reordered=False, seed=1)
    with maker.made() as cut:
        assert not (cut.folder / "never").exists()


def test_the_log_counts_what_the_kernel_counts(disk: Disk) -> None:
    """/sys/block/loopN/stat has the sectors that were written to the device."""
    device = subprocess.run(
        ["findmnt", "--noheadings", "--output", "SOURCE", disk.folder], capture_output=True, text=True, check=True
    ).stdout.strip()
    stat = Path("/sys/block", Path(device).name, "stat")
    disk.settle()
    before, sectors = disk.count(), int(stat.read_text().split()[6])
    flushed(disk.folder / "file", b"x" * 100_000)
    disk.settle()
    spent = disk.count() - before
    assert spent.bytes == (int(stat.read_text().split()[6]) - sectors) * 512
    assert spent.bytes > 100_000
    assert spent.flushes > 0


def test_bytes_are_told_apart_by_what_they_were_written_to(disk: Disk) -> None:
    disk.settle()
    first = disk.requests
    flushed(disk.folder / "large", b"x" * 400_000)
    disk.settle()
    shares = disk.shares(first)
    assert 400_000 <= shares["large"] < 410_000
    assert shares["journal"] >= 3 * 4096
    assert sum(shares.values()) == count(iter(list(entries(disk.log, disk.size))[first:])).bytes


def test_whoever_is_killed_leaves_neither_a_device_nor_a_process_behind(tmp_path: Path) -> None:
    require()
    word = f"told-apart-{os.getpid()}"
    unsaved = "open('unsaved', 'wb').write(bytes(3 << 20))"  # what the kernel would still like to bring to the disk
    command = f"import time; {unsaved}; open({str(tmp_path / 'up')!r}, 'w').close(); time.sleep(600)  # {word}"
    recorder = subprocess.Popen([sys.executable, "-m", "benchmarks.blocks", sys.executable, "-c", command])
    deadline = time.monotonic() + PATIENCE_S
    while not (tmp_path / "up").exists():
        assert recorder.poll() is None and time.monotonic() < deadline, "it did not come up"
        time.sleep(0.05)
    (guard,) = (line for line in _commands() if "qemu-storage-daemon" in line and f"ppid {recorder.pid} " in line)
    recorder.send_signal(signal.SIGKILL)
    recorder.wait()
    image = guard.split("filename=")[1].split()[0]
    while left := [line for line in _commands() if word in line or image in line] + _loops(Path(image).parent):
        assert time.monotonic() < deadline + PATIENCE_S, f"left behind: {left}"
        time.sleep(0.05)


def _commands() -> list[str]:
    told = subprocess.run(["ps", "-ewwo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    lines = (line.split(None, 2) for line in told.splitlines()[1:])
    return [f"pid {pid} ppid {ppid} {args}" for pid, ppid, args in lines]


def _loops(folder: Path) -> list[str]:
    told = subprocess.run(["losetup", "--list", "--noheadings"], capture_output=True, text=True, check=True).stdout
    return [line for line in told.splitlines() if str(folder) in line]


# --- what a cut leaves of a log


def test_in_order_everything_up_to_the_cut_is_there() -> None:
    log = [write(0, b"a" * 512), write(512, b"b" * 512), FLUSH, write(0, b"c" * 512)]
    assert found(log, None)[:1024] == b"c" * 512 + b"b" * 512


def test_reordered_all_before_the_last_flush_is_there_and_of_the_rest_some_is_not() -> None:
    log = [write(at * 512, b"a" * 512) for at in range(8)]
    log += [FLUSH, *(write((8 + at) * 512, b"b" * 512) for at in range(32))]
    images = {found(log, seed) for seed in range(20)}
    assert all(image[: 8 * 512] == b"a" * 8 * 512 for image in images)
    lost = {image[8 * 512 : 40 * 512].count(0) // 512 for image in images}
    assert len(images) == 20 and min(lost) > 2 and max(lost) < 30


def test_a_write_that_carries_a_flush_makes_durable_what_came_before_it_but_not_itself() -> None:
    log = [write(0, b"a" * 512), write(512, b"b" * 512, flush=True)]
    images = [found(log, seed) for seed in range(30)]
    assert all(image[:512] == b"a" * 512 for image in images)
    assert {image[512:1024] for image in images} == {b"b" * 512, bytes(512)}


def test_a_durable_write_is_there_and_makes_nothing_else_durable() -> None:
    log = [write(0, b"a" * 512), write(512, b"b" * 512, durable=True)]
    images = [found(log, seed) for seed in range(30)]
    assert all(image[512:1024] == b"b" * 512 for image in images)
    assert {image[:512] for image in images} == {b"a" * 512, bytes(512)}


def test_a_large_write_may_be_torn_at_a_block() -> None:
    log = [write(0, b"a" * 4 * TEAR)]
    lengths = {found(log, seed).count(b"a") for seed in range(200)}
    assert lengths == {0, TEAR, 2 * TEAR, 3 * TEAR, 4 * TEAR}


def test_the_same_seed_tears_alike() -> None:
    log = [write(at * 512, b"a" * 512) for at in range(32)]
    assert found(log, 7) == found(log, 7) != found(log, 8)
