"""Names to addresses, each asked for once and given up in time: the system's own look-up may hang as long as it likes,
so it does that on a thread of its own, which nobody waits for at the end."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from typing import Final

from edged.cli.doctor.network import Resolved, Trouble, trouble_of

PATIENCE_S: Final = 4.0
MAX_ADDRESSES: Final = 8


class Resolver:
    """May be used by several threads."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._asked: dict[str, _Question] = {}

    def begin(self, host: str) -> _Question:
        """Ask, and wait for nothing."""
        with self._lock:
            question = self._asked.get(host)
            if question is None:
                question = self._asked[host] = _Question(host)
        return question

    def resolve(self, host: str) -> Resolved:
        """Blocks as long as the look-up lasts, at most `patience_s` from its beginning."""
        return self.begin(host).answer(self._patience_s)


class _Question:
    def __init__(self, host: str) -> None:
        self._host = host
        self._began_s = time.monotonic()
        self._done = threading.Event()
        self._found: Resolved | None = None
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            threading.Thread(target=self._ask, name="doctor-resolve", daemon=True).start()
        else:
            self._found = Resolved(host=host, addresses=(host,))
            self._done.set()

    def answer(self, patience_s: float) -> Resolved:
        self._done.wait(max(0.0, self._began_s + patience_s - time.monotonic()))
        if self._found is not None:
            return self._found
        return Resolved(host=self._host, trouble=Trouble.NO_DNS, reason="no answer in time", took_s=patience_s)

    def _ask(self) -> None:
        try:
            told = socket.getaddrinfo(self._host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            trouble, reason = trouble_of(error)
            found = Resolved(host=self._host, trouble=trouble, reason=reason, took_s=self._took_s())
        else:
            addresses = tuple(dict.fromkeys(str(each[4][0]) for each in told))[:MAX_ADDRESSES]
            found = Resolved(host=self._host, addresses=addresses, took_s=self._took_s())
        self._found = found
        self._done.set()

    def _took_s(self) -> float:
        return max(1e-6, time.monotonic() - self._began_s)
