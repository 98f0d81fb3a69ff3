"""A blocking transfer in a thread of its own, and the line by which the event loop watches and ends it.

Owns the thread, its sockets' ends and the time that it may take. Refuses to know protocols. Invariants: a thread that
is cut off soon fails at its socket and touches no file any more; none keeps the process from leaving.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from edged.transfer.addresses import Address
from edged.transfer.failure import TransferError
from edged.transfer.rules import TransferRules

T = TypeVar("T")
ENOUGH_BYTES = 8 * 1024
"""What has to pass within `stall_timeout_s`; also how much is read at once."""
GRACE_S = 3.0
"""How long a thread that was cut off is waited for. One that asks the resolver may take longer and is left alone."""


class Lifeline:
    """Between one attempt's thread and the loop. `connect`, `moved`, `renew` and `check` belong to the thread."""

    def __init__(self, rules: TransferRules) -> None:
        self._rules = rules
        self._lock = threading.Lock()
        self._guards: list[socket.socket] = []
        self._why: str | None = None
        self._renewed_s = time.monotonic()
        self._moved_bytes = 0
        self._at_home = False

    def connect(self, host: str, addresses: Sequence[Address], port: int) -> tuple[socket.socket, socket.socket]:
        """The first of the addresses that answers, and a guard: a second end of the same connection, which has to be
        closed as well before the peer sees that it is closed. Raises `TransferError`."""
        error: OSError | None = None
        for address in addresses:
            self.renew()
            try:
                return self._connected(address, port)
            except OSError as caught:
                error = caught
        self.check()
        raise TransferError(f"cannot connect to {host}, port {port}: {words(error)}") from error

    def moved(self, count_bytes: int) -> None:
        """So much of the file has passed. Raises `TransferError` where the transfer is over."""
        self.check()
        self._moved_bytes += count_bytes
        if self._moved_bytes >= ENOUGH_BYTES:
            self._moved_bytes = 0
            self._renewed_s = time.monotonic()

    def renew(self) -> None:
        """Something else has happened: an answer came, an address is tried."""
        self.check()
        self._renewed_s = time.monotonic()

    def at_home(self) -> None:
        """From now on there is only the disk to wait for."""
        self.check()
        self._at_home = True

    def check(self) -> None:
        """Raises `TransferError` where the transfer was cut off."""
        if self._why is not None:
            raise TransferError(self._why)

    @property
    def why(self) -> str | None:
        """Why it was cut off."""
        return self._why

    def due_s(self, begun_s: float) -> tuple[float, str]:
        """Monotonic time at which it is to be cut off, and why."""
        rules = self._rules
        if self._at_home:
            return float("inf"), ""
        stalled = self._renewed_s + rules.stall_timeout_s
        over = begun_s + rules.total_timeout_s
        if over <= stalled:
            return over, f"the transfer took longer than {rules.total_timeout_s:.0f} s"
        return stalled, f"the server sent or took too little within {rules.stall_timeout_s:.0f} s"

    def cut(self, why: str) -> None:
        """From any thread: end it. Its sockets fail at once."""
        with self._lock:
            self._why = self._why or why
            for guard in self._guards:
                with contextlib.suppress(OSError):
                    guard.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """The attempt is over: let go of the sockets."""
        with self._lock:
            for guard in self._guards:
                guard.close()
            self._guards.clear()

    def _connected(self, address: Address, port: int) -> tuple[socket.socket, socket.socket]:
        line = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        try:
            guard = line.dup()
            self._watch(guard)
            line.settimeout(self._rules.connect_timeout_s)
            line.connect((str(address), port))
            line.settimeout(self._rules.stall_timeout_s)
            self.renew()
        except (OSError, TransferError):
            line.close()
            raise
        return line, guard

    def _watch(self, guard: socket.socket) -> None:
        with self._lock:
            if self._why is None:
                self._guards.append(guard)
                return
        guard.close()
        raise TransferError(self._why)


async def in_thread(work: Callable[[], T], lifeline: Lifeline) -> T:
    """What `work` returns or raises, within the time of the rules. Cancelled, it ends the work and soon returns."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[tuple[T | None, BaseException | None]] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result((result, error))

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = work()
        except BaseException as caught:  # noqa: BLE001 - raised again where it is waited for
            error = caught
        finally:
            lifeline.release()
        with contextlib.suppress(RuntimeError):  # the loop has gone: nobody waits any more
            loop.call_soon_threadsafe(tell, result, error)

    begun_s = time.monotonic()
    thread = threading.Thread(target=run, name="transfer", daemon=True)
    thread.start()
    try:
        while not ended.done() and lifeline.why is None:
            due_s, why = lifeline.due_s(begun_s)
            left_s = due_s - time.monotonic()
            if left_s <= 0:
                lifeline.cut(why)
            else:
                await asyncio.wait({ended}, timeout=min(left_s, 60.0))
    except asyncio.CancelledError:
        lifeline.cut("the transfer was cancelled")
        await asyncio.wait({ended}, timeout=GRACE_S)
        raise
    else:
        if not ended.done():
            await asyncio.wait({ended}, timeout=GRACE_S)
    finally:
        if ended.done():
            thread.join()  # it told its end as the last thing that it did
    result, error = ended.result() if ended.done() else (None, None)
    if lifeline.why is not None:
        raise TransferError(lifeline.why) from error
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def words(error: BaseException | None) -> str:
    """What an error of the system says, without what a peer may have put into it."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
