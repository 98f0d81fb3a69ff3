"""Relay boards: outputs that are off at rest, and are switched on for a moment to cut something's power.

Owns: what an output was told and what it reads, the way back to rest. Refuses to know: chargers, why power is cut.

Invariants: an output is on only while somebody holds it. Every output that a site uses is brought to rest when the
board starts, after each hold, when somebody else has switched it, and again and again while the board does not answer:
nothing that ends a run leaves it on for longer than the board or edged is away.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from edged.chargers.bus import Bus
from edged.chargers.job_queue import Priority
from edged.chargers.profile_terms import GapScope, WriteFunction
from edged.chargers.relay_profile import RelayProfile
from edged.ports import ChargerError, ChargerRefused

log = logging.getLogger(__name__)

LOOK_EVERY_S = 30.0
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 30.0
RESTORE_S = 3.0
"""Restoring waits no longer before it leaves the rest to the watch: a daemon that ends has not much time."""
SETTLE_S, LOOK_AGAIN_S = 1.0, 0.1
PULSE_MARGIN_S = 3.0
"""A board that ends by itself is told to do so a little later than it will be asked to: it steps in if nobody asks."""


class RelayBoard:
    """One board on a bus. `use` first, then `start`; outputs that are not used are never touched."""

    def __init__(
        self,
        profile: RelayProfile,
        bus: Bus,
        *,
        unit_id: int,
        name: str = "",
        look_every_s: float = LOOK_EVERY_S,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.profile = profile
        self.unit_id = unit_id
        self._name = name or profile.name
        self._bus = bus
        self._look_every_s = look_every_s
        self._pause = pause
        self._held: dict[int, bool] = {}
        self._look_now = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._complaint = ""
        rules = profile.bus
        bus.tune(
            unit_id,
            min_gap_s=rules.min_gap_s,
            gap_is_bus_wide=rules.gap_scope is GapScope.BUS,
            response_timeout_s=rules.response_timeout_s,
        )

    def __str__(self) -> str:
        return f"{self._name} at {self._bus.spec} unit {self.unit_id}"

    def use(self, number: int) -> RelayOutput:
        """An output, counted from 1, for its only user. `ValueError` where there is none, or it has one already."""
        if not 1 <= number <= self.profile.outputs.count:
            raise ValueError(f"{self.profile.name} has the outputs 1..{self.profile.outputs.count}, not {number}")
        if number in self._held:
            raise ValueError(f"output {number} of {self} has a user already")
        self._held[number] = False
        return RelayOutput(self, number)

    def start(self) -> None:
        """Begin to bring every used output to rest, and to look after them. Needs a running loop."""
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._look_after(), name=f"relays {self}")

    async def stop(self) -> None:
        """End looking; who holds an output brings it to rest himself."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.wait([watch])

    # --- one output -----------------------------------------------------------------------------------

    async def hold(self, number: int, seconds: float) -> None:
        """Switch it on and read that back; a board that can is told to end by itself. Raises `ChargerError`.

        `release` must follow, whatever comes of it.
        """
        self._held[number] = True
        outputs = self.profile.outputs
        steps = None if outputs.pulse is None else outputs.pulse.steps(seconds + PULSE_MARGIN_S)
        value = outputs.on if outputs.pulse is None or steps is None else outputs.pulse.value + steps
        await self._write(number, value)
        await self._verify(number, on=True, within_s=SETTLE_S)

    async def release(self, number: int) -> bool:
        """Switch it off, whatever it was told, and read that back. False: the board did not say so, the watch goes on.

        Ends within `RESTORE_S`, and before that for no reason: whoever is cancelled meanwhile waits for it.
        """
        releasing = asyncio.get_running_loop().create_task(self._release(number), name=f"rest {self}")
        try:
            return await asyncio.shield(releasing)
        except asyncio.CancelledError:
            await asyncio.wait([releasing])
            raise

    async def _release(self, number: int) -> bool:
        try:
            async with asyncio.timeout(RESTORE_S):
                await self._rest(number)
        except (ChargerError, TimeoutError) as error:
            log.warning("%s: output %d is not off yet, it is tried on: %s", self, number, str(error) or "no time left")
            return False
        finally:
            self._held[number] = False
            self._look_now.set()
        return True

    async def is_on(self, number: int) -> bool:
        """Raises `ChargerRefused` where it reads neither, `ChargerError` where it cannot be read."""
        outputs = self.profile.outputs
        address = outputs.first + number - 1
        (value,) = await self._bus.read(self.unit_id, outputs.table, address, 1, priority=Priority.COMMAND)
        if value == outputs.reads_on:
            return True
        if value == outputs.reads_off:
            return False
        raise ChargerRefused(f"{self}: output {number} reads {value:#06x}, which is neither on nor off")

    async def _write(self, number: int, value: int) -> None:
        outputs = self.profile.outputs
        await self._bus.write(
            self.unit_id,
            outputs.table,
            outputs.first + number - 1,
            (value,),
            multiple=self.profile.bus.write_function is WriteFunction.MULTIPLE,
            priority=Priority.COMMAND,
        )

    async def _verify(self, number: int, *, on: bool, within_s: float) -> None:
        """Until it reads so. `ChargerRefused` where it does not in time."""
        looks = max(1, round(within_s / LOOK_AGAIN_S))
        for _ in range(looks):
            if await self.is_on(number) is on:
                return
            await self._pause(LOOK_AGAIN_S)
        raise ChargerRefused(f"{self}: output {number} was switched {_word(on)} but reads {_word(not on)}")

    async def _rest(self, number: int) -> None:
        await self._write(number, self.profile.outputs.off)
        await self._verify(number, on=False, within_s=SETTLE_S)

    # --- the watch ------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        retry_s = 0.0
        while True:
            self._look_now.clear()
            sound = await self._look()
            retry_s = 0.0 if sound else min(LONGEST_RETRY_S, max(FIRST_RETRY_S, 2 * retry_s))
            try:
                async with asyncio.timeout(retry_s or self._look_every_s):
                    await self._look_now.wait()
            except TimeoutError:
                pass

    async def _look(self) -> bool:
        """Whether every output that nobody holds was seen at rest, or has been brought there."""
        complaint = ""
        for number in sorted(self._held):
            if self._held[number]:
                continue
            try:
                if await self.is_on(number) and not self._held[number]:
                    log.warning("%s: output %d was on without a reason: it is switched off", self, number)
                    await self._rest(number)
            except ChargerError as error:
                complaint = complaint or str(error)
        if complaint and not self._complaint:
            log.warning("%s does not do its part: %s", self, complaint)
        elif self._complaint and not complaint:
            log.info("%s is back", self)
        self._complaint = complaint
        return not complaint


class RelayOutput:
    """One output in the hands of its user."""

    def __init__(self, board: RelayBoard, number: int) -> None:
        self._board = board
        self._number = number

    def __str__(self) -> str:
        return f"output {self._number} of {self._board}"

    async def hold(self, seconds: float) -> None:
        """As `RelayBoard.hold`; `release` must follow, whatever comes of it."""
        await self._board.hold(self._number, seconds)

    async def release(self) -> bool:
        return await self._board.release(self._number)


def _word(on: bool) -> str:
    return "on" if on else "off"
