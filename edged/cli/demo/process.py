"""A child process of the demo: its log in a file, its end certain.

Children get a session of their own, so that Ctrl-C reaches the demo alone and the demo decides in which order they end.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

STOP_S: Final = 8.0


class Child:
    """One process. Its standard output and error are appended to `log`."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._command = tuple(command)
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self.log = log

    async def start(self) -> None:
        with open(self.log, "ab") as out:  # noqa: ASYNC230 - a local file, once
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=None if self._environment is None else dict(self._environment),
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def status(self) -> int | None:
        """The exit status; negative for a signal; None while it runs."""
        return None if self._process is None else self._process.returncode

    async def kill(self) -> None:
        """SIGKILL, and the wait for its end."""
        if self._process is not None:
            if self.running:
                self._process.kill()
            await self._process.wait()

    async def ended(self) -> int | None:
        """The exit status of a process that ends by itself; the caller bounds the wait."""
        return None if self._process is None else await self._process.wait()

    async def stop(self) -> int | None:
        """SIGTERM, and SIGKILL where that is not heard in time. The exit status."""
        if self._process is None:
            return None
        if self.running:
            os.kill(self._process.pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        return await self._process.wait()
