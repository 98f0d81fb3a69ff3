"""A terminal with somebody at it: `edged setup` in a process of its own on a pseudo terminal, asked and answered."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest

PATIENCE_S, UNHEARD_S = 30.0, 5.0
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PROGRAM = """\
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from edged.chargers import scan
from edged.chargers.serial_ports import SerialPorts
scan.LISTEN_S = 0.05
SerialPorts.holders = lambda self, port: ()
from edged.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
"""What a login shell does for a program, and a search that does not listen for long. Terminals of containers
have the names of our own, so nobody is asked who holds one."""


class Terminal:
    """`shown`: everything that was on the screen. `answer` waits for a question, from where the last one was."""

    def __init__(self, *words: object, folder: Path) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 140, 0, 0))
        environ = {**os.environ, "RUNTIME_DIRECTORY": str(folder), "TERM": "dumb", "COLUMNS": "140"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "setup", *map(str, words)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=environ,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""
        self._seen = 0

    def wait_for(self, words: str) -> str:
        """What was shown up to these words."""
        end = monotonic() + PATIENCE_S
        while (place := self.shown.find(words, self._seen)) < 0:
            if not self._read(end):
                raise AssertionError(f"{words!r} was not shown, but:\n{self.shown[self._seen :]}")
        told = self.shown[self._seen : place]
        self._seen = place + len(words)
        return told

    def answer(self, question: str, line: str = "") -> None:
        self.wait_for(question)
        self.wait_for("]: " if "[" in self._rest_of_line() else ": ")
        self.type(f"{line}\n")

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode("utf-8", "surrogateescape"))

    def interrupt(self, *, until: str) -> None:
        """Ctrl-C, and again where it went unheard: Python misses one that comes between a prompt and the first key."""
        for _ in range(int(PATIENCE_S / UNHEARD_S)):
            self.type("\x03")
            end = monotonic() + UNHEARD_S
            while until not in self.shown[self._seen :] and self._read(end):
                pass
            if until in self.shown[self._seen :]:
                break
        self.wait_for(until)

    def ended(self) -> int:
        """The exit status."""
        end = monotonic() + PATIENCE_S
        while self._read(end):
            pass
        return self._process.wait(timeout=PATIENCE_S)

    def close(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._ours)

    def _rest_of_line(self) -> str:
        """Of a question whose end may still be on its way."""
        end = monotonic() + PATIENCE_S
        while ": " not in self.shown[self._seen :] and self._read(end):
            pass
        return self.shown[self._seen :].split("\n")[0]

    def _read(self, end: float) -> bool:
        """Whether more may come."""
        ready, _, _ = select.select([self._ours], [], [], max(0.0, end - monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._ours, 65_536)
        except OSError:
            return False
        self.shown += _ESCAPES.sub("", data.decode("utf-8", "replace")).replace("\r", "")
        return bool(data)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts `edged setup` with these words."""
    opened: list[Terminal] = []

    def start(*words: object) -> Terminal:
        opened.append(Terminal(*words, folder=tmp_path))
        return opened[-1]

    yield start
    for each in opened:
        each.close()
