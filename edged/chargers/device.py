"""The registers of one charging point, read and written over a bus by name.

Owns: read plans, splitting a block that the device refuses, registers that turn out to be missing, the write function.
Refuses to know: what a register means for charging.

Invariant: a block that was refused with "illegal address" is split once into its registers, and a register that is
refused by itself is missing from then on, until `forget`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable

from edged.chargers.bus import Bus
from edged.chargers.job_queue import Priority
from edged.chargers.modbus import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ExceptionReply
from edged.chargers.moments import moment
from edged.chargers.planning import Block, address_of, longest_hole, plan, split, unit_of
from edged.chargers.profile import DeviceProfile
from edged.chargers.profile_terms import Firmware, GapScope, Register, WriteFunction
from edged.chargers.registers import CodecError, Value
from edged.ports import ChargerRefused

log = logging.getLogger(__name__)
_MISSING = frozenset({ILLEGAL_FUNCTION, ILLEGAL_ADDRESS})


class RegisterDevice:
    """One point of a device on a bus."""

    def __init__(self, profile: DeviceProfile, bus: Bus, *, unit_id: int, point: int = 1) -> None:
        if not 1 <= point <= profile.points.count:
            raise ValueError(f"{profile.name} has the points 1..{profile.points.count}, not {point}")
        self.profile = profile
        self.bus = bus
        self.point = point
        self.unit_id = unit_of(unit_id, profile.points, point)
        self.registers: dict[str, Register] = profile.registers_at(None)
        self.missing: set[str] = set()
        self._plans: dict[frozenset[str], tuple[Block, ...]] = {}
        self._firmware: Firmware | None = None
        rules = profile.bus
        bus.tune(
            self.unit_id,
            min_gap_s=rules.min_gap_s,
            gap_is_bus_wide=rules.gap_scope is GapScope.BUS,
            response_timeout_s=rules.response_timeout_s,
        )

    def __str__(self) -> str:
        point = f" point {self.point}" if self.profile.points.count > 1 else ""
        return f"{self.profile.name} at {self.bus.spec} unit {self.unit_id}{point}"

    @property
    def session(self) -> int:
        return self.bus.session(self.unit_id)

    @property
    def silent_for_s(self) -> float | None:
        """Seconds since the last valid frame; None before the first."""
        at = self.bus.last_answer_at(self.unit_id)
        return None if at is None else moment() - at

    def forget(self, firmware: Firmware | None) -> None:
        """The device may be another one now: drop what was learned of it, take the registers of its firmware."""
        if firmware != self._firmware or self.missing:
            self._firmware = firmware
            self.registers = self.profile.registers_at(firmware)
            self.missing.clear()
            self._plans.clear()

    def has(self, name: str) -> bool:
        return name in self.registers and name not in self.missing

    async def read(
        self,
        names: Iterable[str],
        priority: Priority = Priority.STATUS,
        *,
        due_in_s: float = math.inf,
        forgiving: bool = False,
    ) -> dict[str, Value | None]:
        """The values of the named registers; those that the device does not have are left out.

        The block with the state register is read first, and the first failure ends the reading. In a poll's round what
        is only metered goes behind the status of the others. `due_in_s` as in `Bus.read`. Raises `ChargerError`.
        """
        wanted = frozenset(name for name in names if self.has(name) and self.registers[name].readable)
        if wanted not in self._plans:
            self._plans[wanted] = self._plan(wanted)
        values: dict[str, Value | None] = {}
        for block in self._plans[wanted]:
            values.update(await self._read_block(wanted, block, priority, due_in_s, forgiving))
        return values

    async def read_one(
        self, name: str, priority: Priority = Priority.STATUS, *, forgiving: bool = False
    ) -> Value | None:
        return (await self.read((name,), priority, forgiving=forgiving)).get(name)

    async def write(
        self,
        name: str,
        value: Value,
        priority: Priority = Priority.COMMAND,
        *,
        is_setpoint: bool = False,
        due_in_s: float = math.inf,
    ) -> None:
        """Write one register; `due_in_s` as in `Bus.write`.

        Raises `ChargerError`; `ChargerRefused` too where the register does not exist here.
        """
        register = self.registers.get(name)
        if register is None:
            raise ChargerRefused(f"{self} has no register {name} at its firmware")
        try:
            words = register.codec.encode(register.value_of(value))
        except CodecError as error:
            raise ChargerRefused(f"{name}: {error}") from error
        function = self.profile.bus.write_function
        await self.bus.write(
            self.unit_id,
            register.table,
            address_of(register, self.profile.points, self.point),
            words,
            multiple=function is WriteFunction.MULTIPLE or len(words) > 1,
            priority=priority,
            is_setpoint=is_setpoint,
            due_in_s=due_in_s,
        )

    def _plan(self, names: frozenset[str]) -> tuple[Block, ...]:
        spec = self.bus.spec
        turnaround_s = self.bus.turnaround_s(self.unit_id)
        hole = longest_hole(
            character_s=spec.character_s, silence_s=spec.silence_s, turnaround_s=max(turnaround_s, spec.silence_s)
        )
        registers = [self.registers[name] for name in names]
        blocks = plan(registers, self.profile.bus, self.profile.points, self.point, hole)
        state = self.profile.state.register
        return tuple(sorted(blocks, key=lambda block: state not in block.names))

    async def _read_block(
        self, wanted: frozenset[str], block: Block, priority: Priority, due_in_s: float, forgiving: bool
    ) -> dict[str, Value | None]:
        is_metered = priority is Priority.STATUS and block.names <= self.profile.meter.registers
        try:
            words = await self.bus.read(
                self.unit_id,
                block.table,
                block.address,
                block.count,
                priority=Priority.METER if is_metered else priority,
                due_in_s=due_in_s,
                forgiving=forgiving,
            )
        except ExceptionReply as error:
            if error.code not in _MISSING:
                raise
            return await self._without_block(wanted, block, priority, due_in_s, forgiving)
        return {
            placed.register.name: placed.register.codec.decode(block.words_of(placed, words)) for placed in block.placed
        }

    async def _without_block(
        self, wanted: frozenset[str], block: Block, priority: Priority, due_in_s: float, forgiving: bool
    ) -> dict[str, Value | None]:
        """The device refused the block's addresses: read its registers one by one from now on."""
        if len(block.placed) == 1:
            name = block.placed[0].register.name
            log.warning("%s has no register %s", self, name)
            self.missing.add(name)
            self._plans.clear()
            return {}
        parts = split(block)
        values: dict[str, Value | None] = {}
        if wanted in self._plans:
            kept = [other for other in self._plans[wanted] if other is not block]
            self._plans[wanted] = (*kept, *parts)
        for part in parts:
            values.update(await self._read_block(wanted, part, priority, due_in_s, forgiving))
        return values
