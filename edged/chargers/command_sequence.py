"""Running a profile's action step by step, and telling what the device reports after it.

Owns: waiting with deadlines, reading back, recognising a restart. Refuses to know: which action it is.
Invariant: DONE is only told when the last step's reading said so; every wait ends.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from edged.chargers.device import RegisterDevice
from edged.chargers.job_queue import Priority
from edged.chargers.profile import CommandSequence
from edged.chargers.profile_terms import (
    CheckStep,
    Condition,
    Otherwise,
    PauseStep,
    RestartStep,
    Step,
    WaitStep,
    WriteStep,
)
from edged.chargers.registers import Value
from edged.domain.hardware import ActionOutcome
from edged.ports import ChargerRefused, ChargerUnreachable

log = logging.getLogger(__name__)
LOOK_AGAIN_S = 0.25

Pause = Callable[[float], Awaitable[None]]
Monotonic = Callable[[], float]


class SequenceRun:
    """One run of one action. `written` collects what it wrote, in order, whatever its outcome; `on_write` hears of each
    before it is on its way, so that nobody repeats an older value meanwhile."""

    def __init__(
        self,
        device: RegisterDevice,
        *,
        monotonic: Monotonic,
        pause: Pause,
        on_write: Callable[[str, Value], None] = lambda name, value: None,
    ) -> None:
        self._device = device
        self._monotonic = monotonic
        self._pause = pause
        self._on_write = on_write
        self.written: dict[str, Value] = {}
        self._fell_silent = False

    async def run(self, sequence: CommandSequence) -> ActionOutcome:
        """All steps, until one does not pass. Raises nothing: a refusal is FAILED, silence is TIMEOUT."""
        for i, step in enumerate(sequence.steps):
            restarts_next = i + 1 < len(sequence.steps) and isinstance(sequence.steps[i + 1], RestartStep)
            try:
                outcome = await self._step(step, restarts_next)
            except ChargerRefused as error:
                log.info("%s: step %d was refused: %s", self._device, i, error)
                return ActionOutcome.FAILED
            except ChargerUnreachable as error:
                log.info("%s: step %d got no answer: %s", self._device, i, error)
                return ActionOutcome.TIMEOUT
            if outcome is not None:
                log.info("%s: step %d ended the action: %s", self._device, i, outcome)
                return outcome
        return ActionOutcome.DONE

    async def _step(self, step: Step, restarts_next: bool) -> ActionOutcome | None:
        """None when the step has passed."""
        match step:
            case WriteStep():
                await self._write(step, restarts_next)
                return None
            case WaitStep():
                return await self._wait(step)
            case CheckStep():
                value = await self._device.read_one(step.fails_if.register, Priority.COMMAND)
                if value is None:
                    return ActionOutcome.TIMEOUT
                return ActionOutcome.FAILED if step.fails_if.holds({step.fails_if.register: value}) else None
            case PauseStep():
                await self._pause(step.seconds)
                return None
            case RestartStep():
                return await self._restart(step)

    async def _write(self, step: WriteStep, restarts_next: bool) -> None:
        self.written[step.register] = step.value
        self._on_write(step.register, step.value)
        try:
            await self._device.write(step.register, step.value, Priority.STOP)
        except ChargerUnreachable:
            if not restarts_next:
                raise
            self._fell_silent = True  # a device that restarts at once does not answer any more

    async def _wait(self, step: WaitStep) -> ActionOutcome | None:
        give_up_at = self._monotonic() + step.timeout_s
        while not await self._holds(step.condition):
            if self._monotonic() >= give_up_at:
                return ActionOutcome.FAILED if step.otherwise is Otherwise.FAILED else None
            await self._pause(LOOK_AGAIN_S)
        return None

    async def _holds(self, condition: Condition) -> bool:
        """Whether the condition holds now; a reading that fails is one that does not say so."""
        try:
            value = await self._device.read_one(condition.register, Priority.COMMAND)
        except ChargerUnreachable:
            return False
        return condition.holds({condition.register: value})

    async def _restart(self, step: RestartStep) -> ActionOutcome | None:
        """Silence or the sign proves the restart, an answer without the sign its end."""
        give_up_at = self._monotonic() + step.timeout_s
        has_gone = self._fell_silent
        register = step.sign.register if step.sign is not None else self._device.profile.state.register
        while True:
            try:
                value = await self._device.read_one(register, Priority.COMMAND, forgiving=True)
                is_away = step.sign is not None and step.sign.holds({register: value})
            except ChargerUnreachable:
                is_away = True
            if has_gone and not is_away:
                return None
            has_gone = has_gone or is_away
            if self._monotonic() >= give_up_at:
                return ActionOutcome.TIMEOUT
            await self._pause(LOOK_AGAIN_S)
