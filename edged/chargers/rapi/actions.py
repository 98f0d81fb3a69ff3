"""What a controller is told once, and what proves that it did it: the lock opened, a restart.

Owns: the steps of each, how long each may take. Refuses to know: sessions, what is wanted afterwards.

Invariants: the lock opens only after the contactor has; a restart is DONE only where the controller said that it has
booted, or was silent and answers again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from edged.chargers.job_queue import Priority
from edged.chargers.line import LineDown
from edged.chargers.rapi.controller import Controller
from edged.chargers.rapi.link import Link
from edged.chargers.rapi.replies import EvseState, Flag, Status
from edged.domain.hardware import ActionOutcome
from edged.ports import ChargerRefused, ChargerUnreachable, Clock

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.1
VERIFY_S = 3.0
"""A state changes within this time after its command: the controller itself waits 250 ms and more."""
CONTACTOR_S = 5.0
RESET_S = 15.0
"""A restart takes 2.5 s, and 3 s more where it has to end charging."""
SILENT_PROBES = 2
"""So many unanswered questions in a row are a restart; one may be noise."""


class Patience:
    """Waiting for something to become true."""

    def __init__(self, clock: Clock, pause: Callable[[float], Awaitable[None]]) -> None:
        self._clock = clock
        self._pause = pause

    async def until(self, holds: Callable[[], Awaitable[bool]], at_most_s: float) -> bool:
        """Whether it became true in time; asked for at least once."""
        give_up_at = self._clock.now().monotonic_s + at_most_s
        while not await holds():
            if self._clock.now().monotonic_s >= give_up_at:
                return False
            await self._pause(LOOK_AGAIN_S)
        return True


class Answering(Protocol):
    """Who restarts."""

    @property
    def link(self) -> Link: ...

    async def answers(self) -> bool: ...


async def unlock(controller: Controller, patience: Patience) -> ActionOutcome:
    """In manual mode the lock obeys. It stays in that mode, and open, until it is told to lock by itself again."""

    async def is_open() -> bool:
        lock = await controller.lock(Priority.COMMAND)
        return lock is not None and not lock.is_locked

    async def has_stopped() -> bool:
        return not _delivers(await controller.status(Priority.COMMAND))

    try:
        if not await has_stopped():
            await controller.order("FS", priority=Priority.STOP)
            if not await patience.until(has_stopped, CONTACTOR_S):
                return ActionOutcome.FAILED
        await controller.order("S5", "M", priority=Priority.STOP)
        await controller.order("S5", "0", priority=Priority.STOP)
    except ChargerRefused as error:
        log.warning("%s was not unlocked: %s", controller, error)
        return ActionOutcome.FAILED
    return ActionOutcome.DONE if await patience.until(is_open, VERIFY_S) else ActionOutcome.FAILED


async def restart(one: Answering, has_booted: Callable[[], bool], patience: Patience) -> ActionOutcome:
    """FAILED: it refused, or went on answering. TIMEOUT: it does not come back."""
    silent = 0

    async def is_back() -> bool:
        nonlocal silent
        if has_booted():
            return True
        if not await one.answers():
            silent += 1
            return has_booted()
        was_silent, silent = silent, 0
        return was_silent >= SILENT_PROBES or has_booted()

    try:
        reply = await one.link.ask("FR", priority=Priority.COMMAND, forgiving=True)
    except LineDown:
        raise
    except ChargerUnreachable:
        log.debug("%s restarts without an answer", one)
    else:
        if not reply.is_ok:
            return ActionOutcome.FAILED
    if await patience.until(is_back, RESET_S):
        return ActionOutcome.DONE
    return ActionOutcome.TIMEOUT if silent else ActionOutcome.FAILED


def _delivers(status: Status) -> bool:
    return status.state is EvseState.CHARGING or (status.flags is not None and Flag.CHARGING in status.flags)
