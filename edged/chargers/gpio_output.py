"""A GPIO line of this computer that cuts a charger's power while it is held: an output like that of a relay board.

Owns: one line of a GPIO chip, requested as an output at rest and kept for as long as edged runs, the way back to rest.
Refuses to know: chargers, why power is cut, what the line is wired to.

Invariants: the line is active only while somebody holds it. It is requested at rest, put back to rest after each hold,
before it is given back, and again and again while the chip does not obey; who has it meanwhile is nobody else. Every
call into the chip is made beside the loop, one at a time and in order (a chip behind I2C or USB may take its time), and
is waited for no longer than `CALL_S`: what comes too late is followed by the way back to rest.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

from edged.ports import ChargerError, ChargerRefused, ChargerUnreachable
from edged.settings.relays import flaw_of_chip

log = logging.getLogger(__name__)

T = TypeVar("T")
LABEL = "edged"
LOOK_EVERY_S = 30.0
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 30.0
CALL_S = 2.0
"""More than a chip takes. A daemon that ends has not much time."""


class Pin(Protocol):
    """A line that was requested as an output: what is used of python-periphery's GPIO. True is the high level."""

    def read(self) -> bool: ...

    def write(self, value: bool) -> None: ...

    def close(self) -> None: ...


OpenPin = Callable[[str, int, bool], Pin]
"""Chip's path, number of the line, its first level. Raises `OSError`."""


def open_pin(path: str, line: int, level: bool) -> Pin:
    """The line by the kernel's character device. Raises `OSError`; `ChargerRefused` where the package is missing.

    Levels are those of the wire: with periphery's `inverted`, "high" and True would not be the same.
    """
    flaw = flaw_of_chip(path)
    if flaw is not None:
        raise ChargerRefused(f"{path} {flaw}")
    try:
        from periphery import CdevGPIO
    except ImportError as error:
        raise ChargerRefused(f"a GPIO line needs the package python-periphery: {error}") from error
    pin: Pin = CdevGPIO(path, line, "high" if level else "low", label=LABEL)
    return pin


class GpioOutput:
    """One line in the hands of its user. `start` brings it to rest, soon."""

    def __init__(
        self,
        path: str,
        line: int,
        *,
        active_high: bool = True,
        look_every_s: float = LOOK_EVERY_S,
        call_s: float = CALL_S,
        opener: OpenPin = open_pin,
    ) -> None:
        self._path = path
        self._line = line
        self._active = active_high
        self._look_every_s = look_every_s
        self._call_s = call_s
        self._open = opener
        self._pin: Pin | None = None
        self._is_held = False
        self._is_closed = False
        self._calls = asyncio.Lock()
        self._look_now = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._complaint = ""

    def __str__(self) -> str:
        return f"GPIO line {self._line} of {self._path}"

    def start(self) -> None:
        """Request the line at rest, and look after it. Needs a running loop."""
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._look_after(), name=f"gpio {self}")

    async def stop(self) -> None:
        """Back to rest, and give the line back; who holds it has released it before."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.wait([watch])
        try:
            await self._call(self._give_back)
        except ChargerError as error:
            log.warning("%s was not put to rest at the end: %s", self, error)

    async def hold(self, seconds: float) -> None:
        """Make it active and read that back. `release` must follow, whatever comes of it. Raises `ChargerError`.

        `seconds` is for outputs that end by themselves, which a line cannot.
        """
        self._is_held = True
        await self._call(self._set, True)

    async def release(self) -> bool:
        """Back to rest. False: that could not be done yet, it is tried on.

        Ends within `CALL_S`, and before that for no reason: whoever is cancelled meanwhile waits for it.
        """
        releasing = asyncio.get_running_loop().create_task(self._release(), name=f"rest {self}")
        try:
            return await asyncio.shield(releasing)
        except asyncio.CancelledError:
            await asyncio.wait([releasing])
            raise

    async def _release(self) -> bool:
        try:
            await self._call(self._set, False)
        except ChargerError as error:
            log.warning("%s is not at rest yet, it is tried on: %s", self, error)
            return False
        finally:
            self._is_held = False
            self._look_now.set()
        return True

    # --- the watch ------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        retry_s = 0.0
        while True:
            self._look_now.clear()
            sound = self._is_held or await self._look()
            retry_s = 0.0 if sound else min(LONGEST_RETRY_S, max(FIRST_RETRY_S, 2 * retry_s))
            try:
                async with asyncio.timeout(retry_s or self._look_every_s):
                    await self._look_now.wait()
            except TimeoutError:
                pass

    async def _look(self) -> bool:
        """Whether it was brought to rest, or is there."""
        complaint = ""
        try:
            await self._call(self._rest_unless_held)
        except ChargerError as error:
            complaint = str(error)
        if complaint and complaint != self._complaint:
            log.warning("%s cannot cut a charger's power: %s", self, complaint)
        elif self._complaint and not complaint:
            log.info("%s is there", self)
        self._complaint = complaint
        return not complaint

    # --- beside the loop ------------------------------------------------------------------------------

    async def _call(self, work: Callable[..., T], *args: bool) -> T:
        """`work` in a thread, after what was begun before it. Raises `ChargerError`.

        Who waits too long, or is cancelled, leaves it behind; it is still done before anything that comes later.
        """
        task = asyncio.get_running_loop().create_task(self._in_turn(work, *args), name=f"call {self}")
        task.add_done_callback(_looked_at)
        done, _ = await asyncio.wait([task], timeout=self._call_s)
        if not done:
            raise ChargerUnreachable(f"{self} has not answered for {self._call_s:g} s")
        return task.result()

    async def _in_turn(self, work: Callable[..., T], *args: bool) -> T:
        async with self._calls:
            return await asyncio.to_thread(work, *args)

    def _rest_unless_held(self) -> None:
        if not self._is_held:
            self._set(False)

    def _set(self, on: bool) -> None:
        if self._is_closed:
            raise ChargerRefused(f"{self} was given back")
        level = self._active is on
        if self._pin is None:
            self._pin = self._requested()
        try:
            self._pin.write(level)
        except OSError as error:
            self._drop()
            raise ChargerRefused(f"{self} could not be switched: {_words(error)}") from error
        try:
            reads = self._pin.read()
        except OSError as error:
            log.debug("%s cannot be read back: %s", self, _words(error))
            return
        if reads is not level:
            raise ChargerRefused(
                f"{self} was set {_word(level)} but reads {_word(reads)}: is it wired to something else?"
            )

    def _requested(self) -> Pin:
        """The line at rest, ours alone. Raises `ChargerRefused` with what is to be done."""
        try:
            return self._open(self._path, self._line, not self._active)
        except OSError as error:
            raise ChargerRefused(self._why(error)) from error

    def _why(self, error: OSError) -> str:
        match error.errno:
            case errno.EBUSY:
                return f"{self} is used by something else already: gpioinfo tells by what"
            case errno.EACCES | errno.EPERM:
                return f"{self} may not be used: see GPIO in the installer's guide"
            case errno.EINVAL:
                return f"{self} does not exist or cannot be an output"
            case errno.ENOTTY:
                return f"{self._path} is no GPIO chip"
            case _:
                return f"{self} cannot be requested: {_words(error)}"

    def _give_back(self) -> None:
        self._is_closed = True
        pin = self._pin
        if pin is None:
            return
        try:
            pin.write(not self._active)
        except OSError as error:
            raise ChargerRefused(_words(error)) from error
        finally:
            self._drop()

    def _drop(self) -> None:
        pin, self._pin = self._pin, None
        try:
            if pin is not None:
                pin.close()
        except OSError as error:
            log.debug("%s could not be closed: %s", self, _words(error))


def _looked_at(task: asyncio.Task[T]) -> None:
    if not task.cancelled():
        task.exception()


def _words(error: OSError) -> str:
    return error.strerror or str(error)


def _word(high: bool) -> str:
    return "high" if high else "low"
