"""The line to one CSMS: connects for ever, tells its listener what happens, carries text frames both ways.

Owns: the line from its first frame to its last, keep-alive, back-off.
Refuses to know: OCPP-J messages, registration, what is worth sending.
Invariants: never gives up by itself · whoever closed, the next attempt waits for the back-off (save after
`reconnect`) · the listener is called from the event loop and in order · `send` never blocks · no secret reaches a log.

    opened(subprotocol)    the line is up; frames may be sent
      received(frame)      any number of times
    closed(reason)         once for each `opened`
    failed(failure)        an attempt that did not lead to `opened`

The owner says `settled` once the CSMS has taken the station in: only that ends an outage and resets the back-off, so a
CSMS that accepts the line and drops it again is not hammered.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from websockets.exceptions import ConnectionClosed

from edged.csms.backoff import BackOff
from edged.csms.dialling import Dialler, NotReached, clock_of_nobody
from edged.csms.endpoint import ClientFiles, ConnectionSettings, CsmsSettingsError, no_files
from edged.csms.failure import Failure, FailureKind
from edged.csms.line import Line, reason_of
from edged.domain.types import Now

__all__ = ["Connection", "ConnectionListener", "ConnectionSettings", "CsmsSettingsError", "Failure", "FailureKind"]

_log: Final = logging.getLogger(__name__)
_CLOSE_REASON_BYTES: Final = 123

Result = TypeVar("Result")


class ConnectionListener(Protocol):
    """Where a connection reports to. Called from the event loop, never blocks."""

    def opened(self, subprotocol: str) -> None: ...

    def received(self, frame: str | bytes) -> None: ...

    def closed(self, reason: str) -> None: ...

    def failed(self, failure: Failure) -> None: ...


class Connection:
    """One station's line. `run` it in a task until `stop`; an exception out of it is a bug of ours or the listener's.

    `ping_interval_s` 0 means no pings (16-J-08). `client_files`: where edged's own keys are. `sleep` waits between
    attempts and is there to be replaced in tests.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        listener: ConnectionListener,
        back_off: BackOff,
        *,
        ping_interval_s: float = 0.0,
        client_files: ClientFiles = no_files,
        clock: Callable[[], Now] = clock_of_nobody,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._back_off = back_off
        self._dialler = Dialler(client_files, clock)
        self._sleep = sleep
        self._ping_interval_s = ping_interval_s
        self._ping_changed = asyncio.Event()
        self._line: Line | None = None
        self._ending: str | None = None  # why we end the line
        self._tasks: asyncio.TaskGroup | None = None
        self._helpers: list[asyncio.Task[None]] = []
        self._outgoing: deque[str] = deque()
        self._outgoing_size = 0
        self._outgoing_ready = asyncio.Event()
        self._flushed = asyncio.Event()
        self._interrupted = asyncio.Event()  # whatever is waited for, stop waiting
        self._hurry = False
        self._stopping = False
        self._permitted = asyncio.Event()  # unset: paused
        self._permitted.set()
        self._running = False
        self._finished = asyncio.Event()
        self._outage = False
        self._settled = False

    @property
    def connected(self) -> bool:
        """Whether `send` would take a frame."""
        return self._line is not None and self._ending is None

    @property
    def settings(self) -> ConnectionSettings:
        """Those of the line, or of the attempt, that there is; after `adopt` those of the next."""
        return self._settings

    def send(self, frame: str) -> bool:
        """Queue a text frame; false when there is no line. A full queue ends the line: the peer does not read."""
        if not self.connected:
            return False
        settings = self._settings
        size = len(frame)
        if (
            len(self._outgoing) >= settings.max_outgoing_frames
            or self._outgoing_size + size > settings.max_outgoing_bytes
        ):
            self._abort("too much waits to be sent")
            return False
        self._outgoing.append(frame)
        self._outgoing_size += size
        self._flushed.clear()
        self._outgoing_ready.set()
        return True

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything queued was handed to the system. False: not in time, or the line is gone."""
        line = self._line
        try:
            async with asyncio.timeout(timeout_s):
                await self._flushed.wait()
        except TimeoutError:
            return False
        return line is not None and line is self._line

    def set_ping_interval(self, seconds: float) -> None:
        """Send a ping every so many seconds from now on, 0 for never."""
        self._ping_interval_s = seconds
        self._ping_changed.set()

    def settled(self) -> None:
        """The CSMS has taken the station in: the outage, if there was one, is over."""
        if self._line is None:
            return
        self._back_off.succeeded()
        self._outage = False
        if not self._settled:
            self._settled = True
            _log.info("%s: the line to the CSMS is up, %s", self._settings.identity, self._line.subprotocol)

    def disconnect(self, reason: str) -> None:
        """End this line in good order, what is queued first; the next attempt comes after the back-off."""
        if self._line is not None and self._ending is None:
            self._ending = reason
            self._help(self._close(self._line, reason))

    def adopt(self, settings: ConnectionSettings) -> None:
        """Use other settings from the next attempt on. Where the time has become known, the line's certificate is held
        against it."""
        self._settings = settings
        refusal = self._dialler.refusal(self._line, settings) if self._line is not None else ""
        if refusal:
            self.disconnect(refusal)

    def reconnect(self, settings: ConnectionSettings) -> None:
        """Use other settings, at once; what is queued still goes over the old line. Where there is none, the waits go
        on growing: ways that all lead nowhere are not hammered in turn."""
        self._settings = settings
        self._hurry = True
        if self.connected:
            self._back_off.succeeded()
        self._interrupted.set()
        self.disconnect("the settings have changed")

    def pause(self, reason: str) -> None:
        """End the line in good order, what is queued first, and try no other until `resume`."""
        self._permitted.clear()
        self._hurry = True
        self._interrupted.set()
        self.disconnect(reason)

    def resume(self) -> None:
        """Have a line again, at once."""
        self._back_off.succeeded()
        self._permitted.set()

    @property
    def paused(self) -> bool:
        return not self._permitted.is_set()

    async def stop(self) -> None:
        """End the line in good order and `run` with it. Returns when that is done, for ever."""
        self._stopping = self._hurry = True
        self._interrupted.set()
        self._permitted.set()
        self.disconnect("the station stops")
        if self._running:
            await self._finished.wait()

    async def run(self) -> None:
        """Keep the line up until `stop`."""
        self._running = True
        try:
            while await self._may_try():
                self._hurry = False
                self._interrupted.clear()
                await self._attempt(self._settings)
                if not self._hurry:
                    await self._unless_interrupted(self._back_off_wait())
        finally:
            self._running = False
            self._finished.set()

    async def _may_try(self) -> bool:
        """Wait while paused. False: it is over."""
        if not self._stopping:
            await self._permitted.wait()
        return not self._stopping

    async def _back_off_wait(self) -> None:
        wait_s = self._back_off.next_s()
        _log.debug("%s: next attempt in %.1f s", self._settings.identity, wait_s)
        await self._sleep(wait_s)

    async def _attempt(self, settings: ConnectionSettings) -> None:
        try:
            line = await self._unless_interrupted(self._dialler.dial(settings))
        except NotReached as error:
            self._fail(error.failure)
            return
        if line is None:
            return
        if self._interrupted.is_set():
            await self._close(line, "")
        elif line.subprotocol is None:  # the library has refused one that was not offered
            await self._close(line, "no OCPP version agreed")
            self._fail(Failure(FailureKind.SUBPROTOCOL, "the CSMS agreed on none of the offered OCPP versions"))
        else:
            await self._serve(line, line.subprotocol)

    async def _serve(self, line: Line, subprotocol: str) -> None:
        self._line = line
        self._ending = None
        self._settled = False
        self._outgoing.clear()
        self._outgoing_size = 0
        self._flushed.set()
        self._outgoing_ready.clear()
        _log.debug("%s: line up, %s", self._settings.identity, subprotocol)
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._help(self._send_queued(line))
                self._help(self._ping(line))
                self._listener.opened(subprotocol)
                reason = await self._receive(line)
                self._line = None  # from here on nobody may ask for another helper
                for helper in self._helpers:
                    helper.cancel()
        finally:
            line.transport.abort()
            self._line = None
            self._tasks = None
            self._helpers.clear()
            self._flushed.set()
        self._note_outage(reason)
        self._listener.closed(reason)

    async def _receive(self, line: Line) -> str:
        """Hand every frame on; returns why there are no more."""
        while True:
            try:
                frame = await line.recv()
            except ConnectionClosed as closed:
                return self._ending or reason_of(line, closed)
            if self._ending is None:
                self._listener.received(frame)
            await asyncio.sleep(0)  # frames that came in one piece do not starve the sender of their answers

    async def _send_queued(self, line: Line) -> None:
        while True:
            await self._outgoing_ready.wait()
            while self._outgoing:
                try:
                    async with asyncio.timeout(self._settings.send_timeout_s):
                        await line.send(self._outgoing[0])
                except TimeoutError:
                    self._abort("a frame could not be sent in time")
                    return
                except ConnectionClosed:
                    return
                self._outgoing_size -= len(self._outgoing.popleft())
            self._outgoing_ready.clear()
            self._flushed.set()

    async def _ping(self, line: Line) -> None:
        """Ping in the current interval; a pong that does not come shows that the peer is gone (16-J-08)."""
        while True:
            self._ping_changed.clear()
            interval_s = self._ping_interval_s
            on = math.isfinite(interval_s) and interval_s > 0
            try:
                async with asyncio.timeout(interval_s if on else None):
                    await self._ping_changed.wait()
                continue
            except TimeoutError:
                pass
            try:
                async with asyncio.timeout(self._settings.pong_timeout_s):
                    await (await line.ping())
            except TimeoutError:
                self._abort("the CSMS did not answer a ping")
                return
            except ConnectionClosed:
                return

    async def _close(self, line: Line, reason: str) -> None:
        text = reason.encode()[:_CLOSE_REASON_BYTES].decode(errors="ignore")
        try:
            async with asyncio.timeout(self._settings.close_timeout_s):
                if line is self._line:
                    await self._flushed.wait()
                await line.close(reason=text)
        except TimeoutError:
            pass
        finally:
            line.transport.abort()

    def _abort(self, reason: str) -> None:
        """The line is of no use any more, not even for a farewell."""
        if self._line is not None:
            self._ending = self._ending or reason
            self._line.transport.abort()

    def _help(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._tasks is not None
        self._helpers.append(self._tasks.create_task(work))

    def _fail(self, failure: Failure) -> None:
        self._note_outage(failure.reason)
        self._listener.failed(failure)

    def _note_outage(self, reason: str) -> None:
        """One line for each outage, however many attempts it takes."""
        if self._stopping or self._hurry or self._outage:
            _log.debug("%s: no line to the CSMS: %s", self._settings.identity, reason)
            return
        self._outage = True
        _log.warning("%s: no line to the CSMS: %s; trying again until it is back", self._settings.identity, reason)

    async def _unless_interrupted(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        """What `work` gives, None where `stop` or `reconnect` came first."""
        task = asyncio.create_task(work)
        interruption = asyncio.create_task(self._interrupted.wait())
        try:
            await asyncio.wait({task, interruption}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            interruption.cancel()
            task.cancel()
            await asyncio.wait({task, interruption})
        return None if task.cancelled() else task.result()
