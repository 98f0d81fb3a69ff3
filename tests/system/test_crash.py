"""What a run that crashed leaves: for the next start to tell, and for who comes when the journal is gone."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edged.ports import StoreError
from edged.system.crash import LAST_NAME, MAX_BYTES, MAX_LINES, NAME, CrashBox, read

SERVICE = {"INVOCATION_ID": "0123"}
DYING = """
import os, signal, sys
from pathlib import Path
from edged.system.crash import CrashBox

def in_the_middle_of_something():
    os.kill(os.getpid(), signal.SIGABRT)

with CrashBox(Path(sys.argv[1]), dict(os.environ)):
    in_the_middle_of_something()
"""


def die(folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if name != "INVOCATION_ID"}
    command = [sys.executable, "-c", DYING, str(folder)]
    done = subprocess.run(command, env={**known, **environ}, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGABRT
    return done


def test_the_stack_of_a_service_that_the_watchdog_killed_is_told_by_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    die(tmp_path, SERVICE)
    with CrashBox(tmp_path, SERVICE) as box:
        box.tell()
    assert "most recent call first" in caplog.text
    assert "in_the_middle_of_something" in caplog.text
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    assert "in_the_middle_of_something" in read(tmp_path / LAST_NAME)
    assert (tmp_path / LAST_NAME).stat().st_mode & 0o777 == 0o600


def test_a_crash_is_told_once_and_kept_until_the_next(tmp_path: Path) -> None:
    die(tmp_path, SERVICE)
    with CrashBox(tmp_path, SERVICE) as first:
        assert first.previous
    with CrashBox(tmp_path, SERVICE) as second:
        assert second.previous == ""
    assert read(tmp_path / LAST_NAME) == first.previous


def test_at_a_terminal_the_stack_is_shown_where_somebody_sees_it(tmp_path: Path) -> None:
    assert "in_the_middle_of_something" in die(tmp_path, {}).stderr
    assert read(tmp_path / NAME) == ""


def test_the_traceback_of_a_bug_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), CrashBox(tmp_path, {}):
        _ = 1 / 0
    with CrashBox(tmp_path, {}) as box:
        assert box.previous.splitlines()[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("how", [StoreError("another edged has it"), KeyboardInterrupt(), SystemExit(2)])
def test_what_has_a_sentence_of_its_own_is_no_crash(tmp_path: Path, how: BaseException) -> None:
    with pytest.raises(type(how)), CrashBox(tmp_path, {}):
        raise how
    with CrashBox(tmp_path, {}) as box:
        assert box.previous == ""


def test_a_run_that_ends_in_order_writes_nothing(tmp_path: Path) -> None:
    with CrashBox(tmp_path, SERVICE):
        pass
    before = (tmp_path / NAME).stat()
    with CrashBox(tmp_path, SERVICE):
        pass
    after = (tmp_path / NAME).stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (0, before.st_mtime_ns, before.st_ino)
    assert not (tmp_path / LAST_NAME).exists()


def test_what_is_told_of_it_is_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / NAME).write_bytes(b"\xff\x1b[2J a line\n" * 100_000)
    with CrashBox(tmp_path, {}) as box:
        box.tell()
        assert len(box.previous) <= MAX_BYTES
    assert len(caplog.records) <= MAX_LINES + 2


def test_a_folder_that_takes_nothing_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / NAME).mkdir()
    with CrashBox(tmp_path, SERVICE) as box:
        box.tell()
    assert "nothing of it can be kept" in caplog.text
