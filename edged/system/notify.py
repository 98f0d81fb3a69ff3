"""What systemd is told over $NOTIFY_SOCKET (sd_notify(3)): ready, alive, reloading, stopping, and a line of status.

Needs no library. Without systemd every message goes nowhere. Invariant: telling never blocks and never raises; a
manager that does not listen costs one warning.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)

MAX_STATUS_CHARS = 200
_MICROSECONDS = 1_000_000


class Notifier:
    """Speaks to the service manager of this process."""

    def __init__(self, environ: Mapping[str, str] | None = None, *, pid: int | None = None) -> None:
        """`environ` None: this process's. `pid` is whose watchdog counts, None: ours."""
        environment = os.environ if environ is None else environ
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        self._warned = False
        self.watchdog_interval_s = _watchdog_interval_s(environment, os.getpid() if pid is None else pid)
        """How often `watchdog` is to be called: a third of WatchdogSec=; None where nobody waits for it."""

    def ready(self) -> None:
        """It serves; also the end of a reload."""
        self._tell("READY=1")

    def watchdog(self) -> None:
        """It is alive. To be called by the loop that does the work, by nobody else."""
        self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def reloading(self) -> None:
        """The configuration is read again; `ready` says when that is over."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        line = "".join(char if char.isprintable() else " " for char in text[:MAX_STATUS_CHARS])
        self._tell(f"STATUS={line}")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, message: str) -> None:
        if self._address is None:
            return
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.setblocking(False)
            self._socket.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError as error:
            if not self._warned:
                log.warning("cannot tell the service manager: %s", error)
            self._warned = True


def _address(written: str) -> str | None:
    """A path, or "@NAME" for an abstract socket; None for anything that is neither."""
    if written.startswith("@") and len(written) > 1:
        return "\0" + written[1:]
    return written if written.startswith("/") else None


def _watchdog_interval_s(environ: Mapping[str, str], pid: int) -> float | None:
    written, whose = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (written.isascii() and written.isdecimal()) or (whose and whose != str(pid)):
        return None
    period_s = int(written) / _MICROSECONDS
    return period_s / 3 if period_s > 0 else None
