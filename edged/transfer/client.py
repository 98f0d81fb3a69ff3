"""Downloads and uploads with their attempts: what the rest of edged sees of this room.

Owns when another attempt is made. Refuses to know protocols, orders and statuses. Invariants: a transfer that cannot
succeed is not tried again; nothing that is raised or told has a password, a path or a server's own words in it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from edged.domain.jobs import Done, Failed, Fetched, Stage
from edged.transfer.addresses import Gate, Resolve, resolved
from edged.transfer.attempt import Attempt, Cargo
from edged.transfer.failure import TransferError
from edged.transfer.lifeline import Lifeline, in_thread, words
from edged.transfer.location import Location, parse
from edged.transfer.part import FreeBytes, PartFile, free_bytes_of
from edged.transfer.rules import TransferRules
from edged.transfer.tls import trust

log = logging.getLogger(__name__)

T = TypeVar("T")
MIN_INTERVAL_S = 1
MAX_INTERVAL_S = 7 * 24 * 3600
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class FileTransfer:
    """`ca_file`, `ca_pems`: authorities besides the system's; `ca_pems` is asked in the loop before each attempt.

    Each attempt runs in a thread of its own; the coroutines never block the loop. Cancelling one ends its transfer.
    """

    def __init__(
        self,
        rules: TransferRules,
        *,
        ca_pems: Callable[[], Sequence[str]] = lambda: (),
        ca_file: Path | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        resolve: Resolve = resolved,
        free_bytes: FreeBytes = free_bytes_of,
    ) -> None:
        self._rules = rules
        self._gate = Gate(rules.allowed)
        self._ca_pems = ca_pems
        self._ca_file = ca_file
        self._sleep = sleep
        self._resolve = resolve
        self._free_bytes = free_bytes

    async def fetch(
        self, url: str, target: Path, *, retries: int, retry_interval_s: int, staged: Callable[[Stage], None]
    ) -> Fetched | Failed:
        """Download to `target`; what an earlier call left beside it is gone on with. `retries`: further attempts after
        the first. `staged` hears of each pause and its end."""
        location = parse(url)
        if isinstance(location, Failed):
            return location

        def once(attempt: Attempt) -> Fetched:
            part = PartFile(target, location.fingerprint, self._rules, attempt.lifeline, self._free_bytes)
            try:
                part.open()
                return _fetched(attempt, location, part)
            except TransferError as error:
                if not error.again:
                    part.discard()
                raise
            finally:
                part.close()

        return await self._tried(f"download from {location.host}", once, retries, retry_interval_s, staged)

    async def send(
        self, url: str, source: Path, filename: str, *, retries: int, retry_interval_s: int
    ) -> Done | Failed:
        """Upload `source` under `filename`, each attempt from its start."""
        location = parse(url)
        if isinstance(location, Failed):
            return location

        def once(attempt: Attempt) -> Done:
            try:
                cargo = Cargo(source, _UNSAFE.sub("_", filename).lstrip(".")[:255] or "log", source.stat().st_size)
                with cargo.open():
                    pass
            except OSError as error:
                raise TransferError(f"the file to upload cannot be read: {words(error)}", again=False) from error
            _send(attempt, location, cargo)
            return Done()

        return await self._tried(f"upload to {location.host}", once, retries, retry_interval_s, lambda stage: None)

    async def _tried(
        self,
        what: str,
        once: Callable[[Attempt], T],
        retries: int,
        interval_s: int,
        staged: Callable[[Stage], None],
    ) -> T | Failed:
        """`once`, as often as it takes and is allowed."""
        left = max(0, retries)
        while True:
            attempt = self._attempt()
            try:
                outcome = await in_thread(partial(once, attempt), attempt.lifeline)
            except TransferError as error:
                if not error.again or left == 0:
                    log.warning("%s failed: %s", what, error.reason)
                    return error.failed
                pause_s = max(min(max(interval_s, MIN_INTERVAL_S), MAX_INTERVAL_S), error.retry_after_s)
                log.info("%s failed, again in %.0f s: %s", what, pause_s, error.reason)
            else:
                log.info("%s succeeded", what)
                return outcome
            left -= 1
            staged(Stage.PAUSED)
            await self._sleep(pause_s)
            staged(Stage.RESUMED)

    def _attempt(self) -> Attempt:
        pems = tuple(self._ca_pems())
        contexts: list[ssl.SSLContext] = []

        def context() -> ssl.SSLContext:
            if not contexts:
                contexts.append(trust(self._ca_file, pems))
            return contexts[0]

        return Attempt(
            rules=self._rules, gate=self._gate, resolve=self._resolve, trust=context, lifeline=Lifeline(self._rules)
        )


# The libraries are imported by the first transfer: most boots see none, and memory is dear.


def _fetched(attempt: Attempt, location: Location, part: PartFile) -> Fetched:
    if location.web:
        from edged.transfer import web

        return web.fetch(attempt, location, part)
    from edged.transfer import ftp

    return ftp.fetch(attempt, location, part)


def _send(attempt: Attempt, location: Location, cargo: Cargo) -> None:
    if location.web:
        from edged.transfer import web

        return web.send(attempt, location, cargo)
    from edged.transfer import ftp

    return ftp.send(attempt, location, cargo)
