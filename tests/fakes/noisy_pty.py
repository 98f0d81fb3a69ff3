"""A noisy line's far end on a real pseudo terminal: the same damage in real time, through the kernel."""

from __future__ import annotations

import asyncio
import os
import pty
import tty

from tests.fakes.noisy_line import NoisyLine


class NoisyPty:
    """Hands the line what is written to `port`, and writes what the line lets be heard."""

    def __init__(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._rest = b""
        self._line: NoisyLine | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._readable)

    def serve(self, line: NoisyLine) -> None:
        self._line = line
        line.hear = lambda data: os.write(self._master, data)

    def _readable(self) -> None:
        assert self._line is not None
        self._rest += os.read(self._master, 4096)
        while len(self._rest) >= 8:
            length = 9 + self._rest[6] if self._rest[1] in (15, 16) else 8
            if len(self._rest) < length:
                return
            frame, self._rest = self._rest[:length], self._rest[length:]
            self._line.sent(frame)

    def close(self) -> None:
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)
