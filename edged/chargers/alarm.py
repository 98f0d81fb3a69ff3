"""Waking at a point in time more exactly than the event loop's timers, which are rounded up to whole milliseconds.

Owns: one timer of the kernel (timerfd_create(2)), as a file that the loop watches. Refuses to know: what is waited for.

Invariants: nobody is woken early; where the kernel has no such timer, or does not take our times for what they are, the
loop's own timer wakes instead, a millisecond late. The loop is never held up, and no processor time is burnt.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time

ABSOLUTE = 1
TRIAL_S = 1000.0


class _Times(ctypes.Structure):
    """itimerspec: how often from then on (never), and when."""

    _fields_ = (
        ("every_s", ctypes.c_long),
        ("every_ns", ctypes.c_long),
        ("at_s", ctypes.c_long),
        ("at_ns", ctypes.c_long),
    )


class Alarm:
    """For one sleeper at a time, on the running loop, whose clock must be the system's; `close` it afterwards."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._loop = asyncio.get_running_loop()
        self._sleeper: asyncio.Future[None] | None = None
        self._fd = -1
        if hasattr(self._libc, "timerfd_create"):
            self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd >= 0 and not self._is_understood():
            os.close(self._fd)
            self._fd = -1
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._rung)

    async def sleep_until(self, until: float) -> None:
        """Return when that moment has come, usually less than 0.1 ms after it."""
        while self._loop.time() < until:
            sleeper = self._sleeper = self._loop.create_future()
            spare = None if self._set(until) else self._loop.call_at(until, _wake, sleeper)
            try:
                await sleeper
            finally:
                self._sleeper = None
                if spare is not None:
                    spare.cancel()

    def _set(self, until: float) -> bool:
        if self._fd < 0:
            return False
        seconds = int(until)
        at = _Times(0, 0, seconds, int((until - seconds) * 1e9) + 1)
        return bool(self._libc.timerfd_settime(self._fd, ABSOLUTE, ctypes.byref(at), None) == 0)

    def _is_understood(self) -> bool:
        """Whether the kernel counts down to the moment that it was given: not every C library has our kind of times."""
        left, never = _Times(), _Times()
        is_set = self._set(self._loop.time() + TRIAL_S)
        self._libc.timerfd_gettime(self._fd, ctypes.byref(left))
        self._libc.timerfd_settime(self._fd, ABSOLUTE, ctypes.byref(never), None)
        left_s = float(left.at_s + left.at_ns / 1e9)
        return is_set and TRIAL_S / 2 < left_s <= TRIAL_S

    def _rung(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
        if self._sleeper is not None:
            _wake(self._sleeper)

    def close(self) -> None:
        """Who still sleeps is woken by the loop's timer."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._sleeper is not None:
            _wake(self._sleeper)


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
