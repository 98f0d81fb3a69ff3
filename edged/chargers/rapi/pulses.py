"""Telling a controller in time that its master still lives (`$SY`).

Owns: when. Refuses to know: what happens when it is not done (the controller falls back by itself).
Invariant: it stops by itself when nobody has used the charger for `attention_s`. A daemon that no longer decides must
not keep a controller from protecting itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from edged.chargers.job_queue import Priority
from edged.chargers.moments import moment
from edged.chargers.rapi.controller import Controller
from edged.chargers.rapi.profile import Heartbeat
from edged.ports import ChargerError

log = logging.getLogger(__name__)

TRY_AGAIN_S = 1.0


class Pulses:
    """The pulses of one controller. `missed` is called when it says that one came too late."""

    def __init__(
        self,
        controller: Controller,
        rules: Heartbeat,
        *,
        attention_s: float,
        missed: Callable[[], None],
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        self._controller = controller
        self._rules = rules
        self._attention_s = attention_s
        self._missed = missed
        self._pause = pause
        self._attended_at = 0.0
        self._last_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    def attend(self) -> None:
        """Somebody uses the charger."""
        self._attended_at = moment()

    @property
    def is_overdue(self) -> bool:
        """Whether the controller has waited longer than it does, or nobody pulses any more."""
        if self._task is None or self._last_at is None:
            return False
        return self._task.done() or moment() - self._last_at > self._rules.interval_s

    def start(self) -> None:
        """The controller has just been told its rules: from now on it waits. Needs a running loop."""
        self._last_at = moment()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"pulses {self._controller}")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        wait_s = self._rules.pulse_s
        while True:
            await self._pause(wait_s)
            if moment() - self._attended_at > self._attention_s:
                log.warning("%s: nobody watches it any more, the pulses end", self._controller)
                return
            wait_s = self._rules.pulse_s
            try:
                reply = await self._controller.link.ask("SY", priority=Priority.KEEP_ALIVE)
            except ChargerError as error:
                log.debug("%s: a pulse failed: %s", self._controller, error)
                wait_s = min(TRY_AGAIN_S, self._rules.pulse_s)
                continue
            self._last_at = moment()
            if not reply.is_ok:
                self._missed()
