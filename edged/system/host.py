"""Starting again: the service by leaving with a status that systemd restarts, the computer by a request that a unit of
root's picks up (edged-reboot.path). No privilege, no bus.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from edged.domain.effects import RestartScope

log = logging.getLogger(__name__)

EXIT_RESTART = 75
"""The unit's SuccessExitStatus=: leaving so is no failure, and Restart=always brings the service back."""
REQUEST_NAME = "reboot-request"


class SystemHost:
    """`ports.Host`. `leave` ends the process in good order with an exit status; `runtime_dir` None: no systemd."""

    def __init__(self, leave: Callable[[int], None], *, runtime_dir: Path | None) -> None:
        self._leave = leave
        self._runtime_dir = runtime_dir

    def restart(self, scope: RestartScope) -> None:
        """Start again. Where the computer cannot be restarted the service is, which is the most that can be done."""
        if scope is RestartScope.HOST:
            self._request_reboot()
        self._leave(EXIT_RESTART)

    def _request_reboot(self) -> None:
        if self._runtime_dir is None:
            log.warning("cannot restart the computer: there is no $RUNTIME_DIRECTORY; only the service restarts")
            return
        path = self._runtime_dir / REQUEST_NAME
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
            os.close(descriptor)
        except OSError as error:
            log.error("cannot ask for a restart of the computer in %s: %s; only the service restarts", path, error)
        else:
            log.info("asked for a restart of the computer")
