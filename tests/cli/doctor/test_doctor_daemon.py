"""What the doctor learns of a running daemon, and what of something else on its socket."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edged.cli.doctor import daemon
from edged.cli.doctor.daemon import Daemon, Presence, ask_daemon


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, for a Unix socket's path has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="edged-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def ask(folder: Path, answer: bytes | None) -> Daemon:
    """`answer` None: it listens and says nothing."""
    path = folder / "control.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        over = threading.Event()

        def serve() -> None:
            line, _ = listening.accept()
            with line:
                line.recv(4096)
                if answer is None:
                    over.wait(10)
                else:
                    line.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        found = ask_daemon(path)
        over.set()
        thread.join(10)
    return found


def reply(result: Any) -> bytes:
    return json.dumps({"ok": True, "result": result}).encode() + b"\n"


def test_a_daemon_that_tells_its_state_runs(folder: Path):
    clock = {"utc": "2026-08-22T12:00:00+02:00", "synchronized": True}
    found = ask(folder, reply({"version": "1", "stations": [{"id": "A", "clock": clock}], "mqtt": {"connected": True}}))
    assert (found.presence, found.runs, found.may_run) == (Presence.RUNNING, True, True)
    assert found.clock == (datetime(2026, 8, 22, 10, 0, tzinfo=UTC), True)
    assert found.mqtt == {"connected": True}
    assert found.asked_at is not None


def test_nobody_there_is_no_daemon(folder: Path):
    found = ask_daemon(folder / "none.sock")
    assert (found.presence, found.runs, found.may_run) == (Presence.ABSENT, False, False)


@pytest.mark.parametrize("answer", [b"nonsense\n", b"[]\n", b"", reply("odd"), reply(None), b"\xff\xfe\n"])
def test_what_tells_nothing_may_be_a_daemon(folder: Path, answer: bytes):
    found = ask(folder, answer)
    assert (found.presence, found.runs, found.may_run) == (Presence.SILENT, False, True)
    assert found.problem


def test_what_does_not_answer_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(daemon, "PATIENCE_S", 0.2)
    found = ask(folder, None)
    assert (found.presence, found.may_run) == (Presence.SILENT, True)


def test_a_socket_that_is_closed_to_this_user_may_be_a_daemons(folder: Path):
    path = folder / "control.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        path.chmod(0o000)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            found = ask_daemon(path)
        finally:
            if is_root:
                os.seteuid(0)
    assert (found.presence, found.runs, found.may_run) == (Presence.FORBIDDEN, False, True)
