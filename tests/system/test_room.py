"""A disk that is full when edged starts: one sentence names it, whatever met it first, and systemd may try again."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.ports import StoreError
from edged.store.opening import backup_path, open_store
from edged.system.crash import NAME
from edged.system.room import full_disk

SITE = """\
chargers:
  box: {profile: phoenix-charx-sec, tcp: "127.0.0.1:1"}
stations:
  - id: DEPOT-7
    csms: {url: "ws://127.0.0.1:9/ocpp"}
    evses: [{charger: box}]
"""


def of(cause: Exception) -> StoreError:
    error = StoreError("it did not work")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_the_systems_word_for_a_full_disk_is_found_behind_whatever_was_raised(tmp_path: Path, number: int):
    told = full_disk(of(OSError(number, os.strerror(number), "x")), tmp_path / "not" / "there")
    assert told is not None
    assert f"the disk that holds {tmp_path}/not/there is full" in told
    assert "make room on its disk" in told


@pytest.mark.parametrize("error", [of(OSError(errno.EACCES, "no")), of(OSError(errno.EIO, "no")), StoreError("no")])
def test_nothing_else_is_taken_for_a_full_disk(tmp_path: Path, error: Exception):
    assert full_disk(error, tmp_path) is None


def small_disk(folder: Path, options: str) -> bool:
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str, Callable[[Path], None]], str]]:
    """Runs edged on a small disk that was prepared and then filled: what it says until it ends."""
    disk = tmp_path / "small"
    (tmp_path / "edged.yaml").write_text(SITE)

    def run(options: str, prepare: Callable[[Path], None]) -> str:
        if not small_disk(disk, options):
            pytest.skip("a small disk needs the right to mount one")
        prepare(disk)
        with (disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while ballast.write(bytes(4096)):
                pass
        words = ["run", "-c", str(tmp_path / "edged.yaml"), "--state", str(disk), "--control", str(tmp_path / "c")]
        done = subprocess.run(
            [sys.executable, "-m", "edged", *words], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert (disk / NAME).stat().st_size == 0 if (disk / NAME).exists() else True
        return done.stderr

    yield run
    subprocess.run(["umount", "-l", str(disk)], capture_output=True, check=False)


def with_a_database(disk: Path) -> None:
    open_store(disk / "edged.db", wall=datetime.now(UTC)).store.close()


def with_a_damaged_one(disk: Path) -> None:
    with_a_database(disk)
    (disk / "edged.db").rename(backup_path(disk / "edged.db"))
    (disk / "edged.db").write_bytes(b"no database" * 100)


@pytest.mark.parametrize(
    ("options", "prepare"),
    [
        ("size=512k", lambda disk: None),
        ("size=512k", with_a_database),
        ("size=512k", with_a_damaged_one),
        ("size=512k,nr_inodes=2", lambda disk: None),
        ("size=512k,nr_inodes=5", lambda disk: None),
    ],
    ids=["a first start", "an ordinary one", "a damaged database", "no file for a lock", "no file for a draft"],
)
def test_a_disk_that_is_full_at_the_start_is_told_in_a_sentence(
    start: Callable[[str, Callable[[Path], None]], str], tmp_path: Path, options: str, prepare: Callable[[Path], None]
):
    *_, last = start(options, prepare).splitlines()
    assert last.startswith(f"edged: the disk that holds {tmp_path}/small is full (")
    assert last.endswith("make room on its disk, then edged starts")
