"""A device made of its profile, that does what devices do to their masters, and the bus it hangs on.

Its registers are one image of the profile's sheet. What can be written is lost when it restarts; what reports a written
register shows what was written; a restart that the profile has an action for restarts it. It may be silent, refuse,
ignore, forget without a sign, and somebody else may write to it. It notices when a keep-alive comes too late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from edged.chargers.device import RegisterDevice
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import ExceptionReply, NoAnswer, Table
from edged.chargers.moments import moment
from edged.chargers.planning import address_of
from edged.chargers.profile import DeviceProfile, KeepAliveBy, Toggle
from edged.chargers.profile_terms import Register, Relation, RestartStep, WriteStep
from edged.chargers.registers import Value
from tests.fakes.register_sheets import Cells, Sheet

TRANSACTION_S, TIMEOUT_S = 0.02, 0.5
DEAD_AFTER, RETRY_S = 3, 4.0
BUSY = 6


@dataclass(frozen=True, slots=True)
class Wrote:
    """A write that reached the device, also one that it refused. `by`: the name of the task."""

    at_s: float
    name: str
    value: Value | None
    by: str

    @property
    def keeps_alive(self) -> bool:
        return self.by.startswith("alive")


class ForgetfulDevice:
    """One unit with one charging point, as the `Bus` that it hangs on. `parts` of its profile may be others."""

    def __init__(self, name: str, **parts: Any) -> None:
        self.sheet = Sheet(name)
        self.profile: DeviceProfile = replace(self.sheet.profile, **parts)
        rtu = self.profile.bus.transports[0] == "rtu"
        kind = LineKind.SERIAL if rtu else LineKind.TCP
        self.spec = BusSpec(kind=kind, port="/dev/null", baudrate=19_200, host="device")
        self.default: Cells = self.sheet.cells(self.sheet["images"]["plugged"])
        self.cells: Cells = dict(self.default)
        self.device: RegisterDevice | None = None
        self.log: list[Wrote] = []
        self.boots: list[float] = []  # those that show: by a sign, by what was lost, or by a long silence
        self.refuses = self.ignores = False
        self.silent_until_s = 0.0
        self.late: list[float] = []
        self._absent = frozenset(self.sheet.cells(self.sheet["absent"])) if self.sheet["absent"] else frozenset()
        self._failures = 0
        self._retry_at_s = 0.0
        self._session = 1
        self._answered_at: float | None = None
        self._alive_at_s: float | None = None
        self._run_s = 0.0
        self._restarts = {
            (step.register, step.value)
            for action in self.profile.actions.values()
            for step, after in zip(action.steps, action.steps[1:], strict=False)
            if isinstance(step, WriteStep) and isinstance(after, RestartStep)
        }

    # --- what happens to it

    def reboot(self, *, silent_s: float) -> None:
        """Everything that was written is gone."""
        self.cells = dict(self.default)
        shows = self.profile.boot_falls is not None or all(init.sense is not None for init in self.profile.init)
        if shows or silent_s > DEAD_AFTER * RETRY_S / 2:
            self.boots.append(moment())
        self.silent_until_s = max(self.silent_until_s, moment() + silent_s)
        self._run_s, self._alive_at_s = moment() + silent_s, None

    def forget(self) -> None:
        """The same without any sign."""
        marks = self.profile.boot_falls
        kept = {} if marks is None else {cell: self.cells.get(cell, 0) for cell in self._cells_of(marks)}
        self.cells = {**self.default, **kept}
        self._alive_at_s = None

    def touch(self, name: str, value: Value) -> None:
        """Somebody else writes to it."""
        self._put(name, value)
        self._reflect(name, value)

    def next_session(self) -> None:
        """The line was opened anew."""
        self._session += 1

    def fall_silent(self, seconds: float) -> None:
        self.silent_until_s = max(self.silent_until_s, moment() + seconds)

    # --- what it has

    @property
    def registers(self) -> dict[str, Register]:
        assert self.device is not None
        return self.device.registers

    def value(self, name: str) -> Value | None:
        return self.registers[name].codec.decode([self.cells.get(cell, 0) for cell in self._cells_of(name)])

    def _cells_of(self, name: str) -> list[tuple[Table, int]]:
        register = self.registers[name]
        at = address_of(register, self.profile.points, self.sheet.point)
        return [(register.table, at + i) for i in range(register.codec.words)]

    def _put(self, name: str, value: Value) -> None:
        register = self.registers[name]
        words = register.codec.encode(register.value_of(value))
        self.cells.update(zip(self._cells_of(name), words, strict=True))

    def _reflect(self, name: str, value: Value) -> None:
        """What reports a register shows what was written to it."""
        limit = self.profile.limit
        if limit is not None and name == limit.register and limit.sense not in (None, name):
            self._put(limit.sense, value)
        for init in self.profile.init:
            if init.register == name and init.sense not in (None, name):
                self._put(init.sense, value)
        for toggle in (self.profile.permit, self.profile.availability, self.profile.lock_control):
            if toggle is not None and toggle.register == name:
                self._show(toggle, value)

    def _show(self, toggle: Toggle, value: Value) -> None:
        register = self.registers[toggle.register]
        sides = {register.value_of(toggle.on): True, register.value_of(toggle.off): False}
        side = sides.get(register.value_of(value))
        if side is None:
            return
        for rule in toggle.sense:
            asked = rule.condition
            if asked.relation is not Relation.IS or rule.means is None:
                continue
            if rule.means is side:
                self._put(asked.register, asked.operands[0])
                return
        for rule in toggle.sense:  # nothing tells this side: what told the other one stands as it was at first
            if rule.means is not None and rule.condition.relation is Relation.IS:
                self.cells.update({cell: self.default.get(cell, 0) for cell in self._cells_of(rule.condition.register)})

    def _tick(self) -> None:
        """Counters since power on go up; a keep-alive that is late is written down."""
        mark, now = self.profile.boot_falls, moment()
        if mark is not None:
            self._put(mark, int(max(0.0, now - self._run_s)) + 1)
        if self.refuses or self.ignores or now < self.silent_until_s:
            self._alive_at_s = None  # nobody can keep it alive: it counts again from the next sign of life
        rules = self.profile.keep_alive
        if rules is not None and self._alive_at_s is not None and now - self._alive_at_s > rules.timeout_s:
            self.late.append(now)
            self._alive_at_s = now

    def _heard(self, name: str | None) -> None:
        """A read (None) or a write of that register: is it what keeps it from its failsafe?"""
        rules = self.profile.keep_alive
        if rules is None:
            return
        limit = self.profile.limit
        kinds = {
            KeepAliveBy.ANY_READ: name is None,
            KeepAliveBy.WRITE: rules.write is not None and name == rules.write.register,
            KeepAliveBy.SETPOINT: limit is not None and name == limit.register,
        }
        if kinds[rules.by] and not (self.refuses or self.ignores):
            self._alive_at_s = moment()

    # --- the bus

    def tune(self, unit_id: int, **rules: object) -> None:
        pass

    def session(self, unit_id: int) -> int:
        return self._session

    def last_answer_at(self, unit_id: int) -> float | None:
        return self._answered_at

    def turnaround_s(self, unit_id: int) -> float:
        return 0.0

    async def _exchange(self) -> None:
        dead = self._failures >= DEAD_AFTER
        if dead and moment() < self._retry_at_s:
            raise NoAnswer("it is not asked before its time")
        await asyncio.sleep(TRANSACTION_S)
        self._tick()
        if moment() < self.silent_until_s:
            await asyncio.sleep(TIMEOUT_S)
            self._failures += 1
            self._retry_at_s = moment() + RETRY_S
            raise NoAnswer("it is silent")
        if dead:
            self._session += 1
        self._failures = 0
        self._answered_at = moment()

    async def read(self, unit_id: int, table: Table, address: int, count: int, **options: object) -> tuple[int, ...]:
        await self._exchange()
        cells = [(table, at) for at in range(address, address + count)]
        if self._absent.intersection(cells):
            raise ExceptionReply(2)
        self._heard(None)
        return tuple(self.cells.get(cell, 0) for cell in cells)

    async def write(self, unit_id: int, table: Table, address: int, values: tuple[int, ...], **options: object) -> None:
        await self._exchange()
        name = next(self._named(table, address))
        task = asyncio.current_task()
        assert task is not None
        value = self.registers[name].codec.decode(values)
        self.log.append(Wrote(moment(), name, value, task.get_name()))
        if self.refuses:
            raise ExceptionReply(BUSY)
        if self.ignores:
            return
        self.cells.update({(table, address + i): word for i, word in enumerate(values)})
        if value is not None:
            self._reflect(name, value)
        self._heard(name)
        if any(name == register and value == self.registers[name].value_of(to) for register, to in self._restarts):
            self.reboot(silent_s=3.0)

    def _named(self, table: Table, address: int) -> Iterator[str]:
        for name, register in self.registers.items():
            if register.writable and self._cells_of(name)[0] == (table, address):
                yield name
        raise AssertionError(f"nobody writes to {table} {address}")
