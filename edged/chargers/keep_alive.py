"""Telling a charger in time that its master still lives.

Owns: when and how, and how urgent it is on the line: by what is left until the charger falls back. Refuses to know:
what happens when it does (its failsafe).
Invariant: it stops by itself when nobody has used the charger for `attention_s`. A daemon that no longer decides must
not keep a charger from protecting itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from edged.chargers.device import RegisterDevice
from edged.chargers.job_queue import Priority
from edged.chargers.profile import KeepAlive, KeepAliveBy
from edged.chargers.registers import Value
from edged.ports import ChargerError, Clock

log = logging.getLogger(__name__)


class KeepAliveTask:
    """The keep-alive of one charging point, if its profile asks for one."""

    def __init__(
        self,
        device: RegisterDevice,
        *,
        clock: Clock,
        pause: Callable[[float], Awaitable[None]],
        attention_s: float,
        setpoint: Callable[[], tuple[str, Value] | None],
    ) -> None:
        self._device = device
        self._rules = device.profile.keep_alive
        self._clock = clock
        self._pause = pause
        self._attention_s = attention_s
        self._setpoint = setpoint
        self._attended_at_s = 0.0
        self._done_at_s = 0.0
        self._task: asyncio.Task[None] | None = None

    def attend(self) -> None:
        """Somebody uses the charger."""
        self._attended_at_s = self._clock.now().monotonic_s

    @property
    def is_overdue(self) -> bool:
        """Whether the charger has not heard it for longer than it waits: it ended by itself, or was not taken."""
        if self._task is None or self._rules is None:
            return False
        if self._task.done():
            return True
        late = self._clock.now().monotonic_s - self._done_at_s > self._rules.timeout_s
        return late and self._rules.by is not KeepAliveBy.ANY_READ

    def begin(self) -> None:
        """The charger has just heard from us: go on from here, if the profile asks for it. Needs a running loop."""
        self._done_at_s = self._clock.now().monotonic_s
        self.start()

    def start(self) -> None:
        """Begin, if the profile asks for it and it has not begun. Needs a running loop."""
        if self._rules is not None and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._run(self._rules), name=f"alive {self._device}")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self, rules: KeepAlive) -> None:
        wait_s = rules.interval_s
        while True:
            await self._pause(wait_s)
            if self._clock.now().monotonic_s - self._attended_at_s > self._attention_s:
                log.warning("%s: nobody watches it any more, the keep-alive ends", self._device)
                return
            try:
                wait_s = await self._once(rules)
            except ChargerError as error:
                log.debug("%s: keep-alive failed: %s", self._device, error)
                wait_s = min(1.0, rules.interval_s / 4)

    async def _once(self, rules: KeepAlive) -> float:
        """Do it if it is due; seconds until it is due again."""
        due_in_s = self._done_at_s + rules.timeout_s - self._clock.now().monotonic_s
        match rules.by:
            case KeepAliveBy.ANY_READ:
                silent_s = self._device.silent_for_s
                if silent_s is not None and silent_s < rules.interval_s:
                    return rules.interval_s - silent_s
                due_in_s = rules.timeout_s - (silent_s or 0.0)
                state = (self._device.profile.state.register,)
                await self._device.read(state, Priority.KEEP_ALIVE, due_in_s=due_in_s)
            case KeepAliveBy.WRITE:
                if rules.write is not None:
                    write = rules.write
                    await self._device.write(write.register, write.value, Priority.KEEP_ALIVE, due_in_s=due_in_s)
            case KeepAliveBy.SETPOINT:
                setpoint = self._setpoint()
                if setpoint is not None:
                    await self._device.write(*setpoint, Priority.KEEP_ALIVE, is_setpoint=True, due_in_s=due_in_s)
        self._done_at_s = self._clock.now().monotonic_s
        return rules.interval_s
