"""A charger whose power an output of a relay board can cut: the `Charger` port around another one.

Owns: when power is cut instead of a register written, for how long, and what proves that it worked. Refuses to know:
boards, registers, why somebody wants a reset.

Invariants: the register wins where the charger has one and obeys it; power comes back whatever ends a reset (an error,
a deadline, a cancelled task); a charger that obeys is cut with its contactor open; nothing is DONE before it was silent
and answers again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from edged.chargers.relay_board import RESTORE_S
from edged.domain.hardware import Action, ActionOutcome, Capability, ChargerState, Desired, Measurand, Observation
from edged.ports import Charger, ChargerError, ChargerRefused

log = logging.getLogger(__name__)

RETURN_S = 90.0
"""How long a charger may take to answer after its power has come back."""
LOOK_AGAIN_S = 1.0
REGISTER_S = 30.0
UNLOAD_S, LOOK_FOR_LOAD_S = 10.0, 0.2
"""How long a charger may take to open its contactor before its power is cut all the same."""
BY_RELAY = frozenset({Capability.RESET_HARD, Capability.POWER_CYCLE})


class PowerOutput(Protocol):
    """What cuts the power while it is held: an output of a relay board, a GPIO line."""

    async def hold(self, seconds: float) -> None:
        """Cut it. `release` must follow, whatever comes of it. Raises `ChargerError`."""

    async def release(self) -> bool:
        """Give it back. False: it is not yet known to be back. Ends in time, also for somebody who is cancelled."""


class CutCharger(Charger, Protocol):
    """A charger that can be asked for a sign of life and told that its power was cut, whatever it speaks."""

    async def answers(self) -> bool:
        """Whether it says anything at all. Its silence is not held against it."""

    def power_was_cut(self) -> None:
        """What it kept in RAM is lost."""


class PowerCycledCharger:
    """The same charger, with a Hard reset that always works."""

    def __init__(
        self,
        charger: CutCharger,
        output: PowerOutput,
        *,
        off_s: float,
        return_s: float = RETURN_S,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._charger = charger
        self._output = output
        self._off_s = off_s
        self._return_s = return_s
        self._pause = pause
        self._wanted = Desired(permit_charging=False)

    def __str__(self) -> str:
        return str(self._charger)

    @property
    def longest_action_s(self) -> float:
        """More than any action takes."""
        return REGISTER_S + UNLOAD_S + self._off_s + self._return_s + 4 * RESTORE_S

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._charger.capabilities | BY_RELAY

    @property
    def measurands(self) -> frozenset[Measurand]:
        return self._charger.measurands

    @property
    def poll_interval_s(self) -> float:
        return self._charger.poll_interval_s

    async def observe(self) -> Observation:
        seen = await self._charger.observe()
        return seen if seen.capabilities is None else replace(seen, capabilities=seen.capabilities | BY_RELAY)

    async def apply(self, desired: Desired) -> None:
        self._wanted = desired
        await self._charger.apply(desired)

    async def close(self) -> None:
        await self._charger.close()

    async def perform(self, action: Action) -> ActionOutcome:
        """As the charger does; a Hard reset that has no register, or whose register does not help, cuts the power.

        DONE: it was silent and answers again. FAILED: the board refused, or the charger goes on while its power is
        said to be cut. TIMEOUT: the board does not answer, or the charger does not within `return_s`.
        """
        if action is not Action.RESET_HARD:
            return await self._by_register(action)
        if Capability.RESET_HARD in self._charger.capabilities:
            try:
                outcome = await self._by_register(action)
            except ChargerError as error:
                log.warning("%s could not be reset by its register, its power is cut: %s", self, error)
            else:
                if outcome is ActionOutcome.DONE:
                    return outcome
                log.warning("%s was not reset by its register (%s), its power is cut", self, outcome)
        return await self._by_relay()

    async def _by_register(self, action: Action) -> ActionOutcome:
        try:
            async with asyncio.timeout(REGISTER_S):
                return await self._charger.perform(action)
        except TimeoutError:
            return ActionOutcome.TIMEOUT

    async def _by_relay(self) -> ActionOutcome:
        await self._unload()
        failed = await self._cut()
        if failed is not None:
            return failed
        try:
            async with asyncio.timeout(self._return_s):
                while not await self._charger.answers():
                    await self._pause(LOOK_AGAIN_S)
        except TimeoutError:
            log.warning("%s does not answer %g s after its power came back", self, self._return_s)
            return ActionOutcome.TIMEOUT
        return ActionOutcome.DONE

    async def _unload(self) -> None:
        """No energy before the contact opens: what the core has last seen of the charger may be older than a plug."""
        try:
            async with asyncio.timeout(UNLOAD_S):
                await self._charger.apply(replace(self._wanted, permit_charging=False))
                while (await self._charger.observe()).state is ChargerState.CHARGING:
                    await self._pause(LOOK_FOR_LOAD_S)
        except (ChargerError, TimeoutError) as error:
            log.warning("%s is cut although it did not say that no energy flows: %s", self, str(error) or "it does")

    async def _cut(self) -> ActionOutcome | None:
        """Take the power away and give it back; the outcome where that was no power cycle, None where it was one."""
        failed = None
        log.info("%s: its power is cut for %g s by %s", self, self._off_s, self._output)
        try:
            await self._output.hold(self._off_s)
            await self._pause(self._off_s)
            if await self._charger.answers():
                log.warning("%s answers although its power is cut: is %s wired to it?", self, self._output)
                failed = ActionOutcome.FAILED
        except ChargerRefused as error:
            log.warning("%s: its power was not cut: %s", self, error)
            failed = ActionOutcome.FAILED
        except ChargerError as error:
            log.warning("%s: its power may not have been cut: %s", self, error)
            failed = ActionOutcome.TIMEOUT
        finally:
            is_back = await self._output.release()
            self._charger.power_was_cut()
        return failed if is_back or failed is not None else ActionOutcome.TIMEOUT
