"""A charging point described by a profile, over a bus: the `Charger` port.

Owns: the session with the device (wake-up, identity, failsafe first), one poll as one observation, writing what differs
and reading it back, noticing a restart. Refuses to know: why something is wanted, retries (the driver).

Invariants: no setpoint is written before the failsafe registers of the session are; what a register cannot tell is
judged by what this session wrote to it, until the device leaves a request unanswered; a token that was in the reader
before edged was is no swipe.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edged.chargers.bus import Bus
from edged.chargers.command_sequence import SequenceRun
from edged.chargers.device import RegisterDevice
from edged.chargers.interpretation import Reading, capabilities_of, interpret, token_of
from edged.chargers.job_queue import Priority
from edged.chargers.keep_alive import KeepAliveTask
from edged.chargers.profile import DeviceProfile
from edged.chargers.profile_terms import Poll, parse_firmware
from edged.chargers.registers import Value
from edged.chargers.targets import Target, can_withhold, targets_for
from edged.domain.hardware import (
    Action,
    ActionOutcome,
    Capability,
    ChargerState,
    Desired,
    Measurand,
    Observation,
    Quality,
)
from edged.ports import ChargerError, ChargerRefused, ChargerUnreachable, Clock

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.2
VERIFY_AT_MOST_S = 2.0
"""`apply` waits no longer for a change to show; what may take longer is judged by the next `apply`."""
DISOBEDIENT_AFTER_S = 10.0
"""A car that still charges so long after energy was withheld: what was written is not what the charger has."""


@dataclass(frozen=True, slots=True)
class _Written:
    value: Value
    at_s: float


class ModbusCharger:
    """One charging point. Not safe for concurrent calls of its own methods: one driver uses it."""

    def __init__(
        self,
        profile: DeviceProfile,
        bus: Bus,
        *,
        unit_id: int,
        clock: Clock,
        point: int = 1,
        poll_interval_s: float = 1.0,
        max_current_ma: int | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.profile = profile
        self.device = RegisterDevice(profile, bus, unit_id=unit_id, point=point)
        self._clock = clock
        self._poll_interval_s = poll_interval_s
        self._max_current_ma = max_current_ma
        self._pause = pause
        self._session: int | None = None
        self._facts: dict[str, Value | None] = {}
        self._values: dict[str, Value | None] = {}
        self._written: dict[str, _Written] = {}
        self._doubtful: set[str] = set()
        self._set_to: Value | None = None
        self._init_held: dict[str, Value] = {}
        self._capabilities = profile.capabilities
        self._boot_mark: float | None = None
        self._boot_signs: frozenset[int] = frozenset()
        self._has_booted = False
        self._withheld_at_s: float | None = None
        self._token: str | None = None
        self._knows_reader = False
        self._keep_alive = KeepAliveTask(
            self.device, clock=clock, pause=pause, attention_s=30 + 3 * poll_interval_s, setpoint=self._setpoint
        )

    def __str__(self) -> str:
        return str(self.device)

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._capabilities

    @property
    def measurands(self) -> frozenset[Measurand]:
        return self.profile.measurands

    @property
    def poll_interval_s(self) -> float:
        return self._poll_interval_s

    @property
    def identity(self) -> dict[str, str]:
        """Firmware, serial number and model as the device tells them; empty before the first connect."""
        names = self.profile.identity
        pairs = (("firmware", names.firmware), ("serial_number", names.serial_number), ("model", names.model))
        values = {key: self._facts.get(name) for key, name in pairs if name is not None}
        return {key: v.hex() if isinstance(v, bytes) else str(v) for key, v in values.items() if v is not None}

    async def observe(self) -> Observation:
        """One poll. Raises `ChargerError`: a poll that did not read everything it should is none."""
        self._keep_alive.attend()
        with self._doubting():
            await self._connect()
            values = await self.device.read(self._polled())
        if self.profile.state.register in self.device.missing:
            raise ChargerRefused(f"{self} has no register {self.profile.state.register}")
        read_at = self._clock.now()
        booted = self._notice_restart(values)
        self._values = values
        reading = interpret(self.profile, self.device.registers, values)
        return Observation(
            read_at=read_at,
            quality=Quality.GOOD if reading.is_believable else Quality.BAD,
            state=reading.state,
            plugged=reading.plugged,
            faults=reading.faults,
            lock=reading.lock,
            operative=reading.operative,
            permit_charging=self._permit_seen(reading, read_at.monotonic_s),
            current_limit_ma=None if reading.limit_a is None else round(reading.limit_a * 1000),
            meter=reading.meter,
            token=await self._take_token(values),
            booted=booted,
            capabilities=self._capabilities if self._capabilities != self.profile.capabilities else None,
        )

    async def apply(self, desired: Desired) -> None:
        """Write what differs, stop first, and read it back.

        Raises `ChargerRefused` where the device reports something else after the time it may take, `ChargerUnreachable`
        where it does not answer. What the device cannot report counts as taken when the write was echoed.
        """
        self._keep_alive.attend()
        with self._doubting():
            await self._apply(desired)

    async def _apply(self, desired: Desired) -> None:
        await self._connect()
        if not desired.permit_charging and not can_withhold(self.profile):
            raise ChargerRefused(f"{self} has no way to withhold energy")
        wanted = targets_for(
            self.profile, desired, max_current_ma=self._max_current_ma, reported={**self._facts, **self._values}
        )
        written = [target for target in wanted if await self._write_if_different(target)]
        if written:
            await self._verify(written)

    async def perform(self, action: Action) -> ActionOutcome:
        """Run the profile's sequence for the action. Raises `ChargerError` only where the device cannot be reached."""
        self._keep_alive.attend()
        sequence = self.profile.actions.get(str(action))
        if sequence is None:
            return ActionOutcome.UNSUPPORTED
        await self._connect(Priority.COMMAND)
        if Capability(str(action)) not in self._capabilities:
            return ActionOutcome.UNSUPPORTED
        run = SequenceRun(self.device, monotonic=self._monotonic_s, pause=self._pause)
        try:
            outcome = await run.run(sequence)
        finally:
            self._values = {}
            for name, value in run.written.items():
                self._remember(name, value)
            if action is not Action.UNLOCK:
                self._session = None
        if outcome is ActionOutcome.DONE and action is not Action.UNLOCK:
            self._has_booted = True
        return outcome

    async def answers(self) -> bool:
        """Whether the device says anything at all, be it an exception. Its silence is not held against it."""
        try:
            await self.device.read((self.profile.state.register,), Priority.COMMAND, forgiving=True)
        except ChargerUnreachable:
            return False
        except ChargerRefused:
            return True
        return True

    def power_was_cut(self) -> None:
        """The device has lost what was written to it: the next use begins a new session, the next poll tells it."""
        self._session = None
        self._values = {}
        self._has_booted = True

    async def close(self) -> None:
        """End the keep-alive: the charger falls back to its failsafe. The bus belongs to others."""
        await self._keep_alive.stop()

    # --- the session --------------------------------------------------------------------------------

    async def _connect(self, priority: Priority = Priority.STATUS) -> None:
        """Begin a session where there is none: after start, a lost line, an outage, a restart, a missed keep-alive.

        With the priority of a status poll a dead device fails at once; a command's gives it one real try.
        """
        if self._session is not None and self._session == self.device.session and not self._may_have_fallen_back():
            return
        self._session = None
        profile, device = self.profile, self.device
        if profile.bus.repeat_first:
            await self._knock()
        for write in profile.wake:
            await device.write(write.register, write.value, priority)
        await device.read((profile.state.register,), priority)
        session = device.session
        await self._identify()
        self._written.clear()
        self._set_to = None
        self._values = {}
        await self._write_init()
        self._capabilities = capabilities_of(profile, self._facts)
        self._session = session
        self._keep_alive.start()
        log.info("%s: connected %s", self, self.identity or "")

    def _may_have_fallen_back(self) -> bool:
        """Whether the charger has waited for its keep-alive longer than it does, and may be at its failsafe."""
        if self._keep_alive.has_ended:
            return True
        keep_alive, silent_s = self.profile.keep_alive, self.device.silent_for_s
        return keep_alive is not None and silent_s is not None and silent_s > keep_alive.timeout_s

    async def _knock(self) -> None:
        """A device that sleeps wakes at the first request and answers the second."""
        try:
            await self.device.read((self.profile.state.register,), forgiving=True)
        except ChargerError as error:
            log.debug("%s did not answer the first request, as expected: %s", self, error)

    async def _identify(self) -> None:
        """Read what does not change, the firmware first: it decides which registers there are."""
        profile, device = self.profile, self.device
        firmware = None
        if profile.identity.firmware is not None:
            firmware = parse_firmware(await device.read_one(profile.identity.firmware, Priority.IDENTITY))
        device.forget(firmware)
        names = [name for name, register in device.registers.items() if register.poll is Poll.ONCE]
        self._facts = await device.read(names, Priority.IDENTITY)
        present = self._facts.get(profile.points.present) if profile.points.present is not None else None
        if isinstance(present, int) and 0 < present < device.point:
            raise ChargerRefused(f"{self}: the controller has only {present} charging points")

    async def _write_init(self) -> None:
        """Failsafe before anything else, each read back where the profile says how."""
        self._init_held.clear()
        for init in self.profile.init:
            try:
                await self.device.write(init.register, init.value, Priority.COMMAND)
                await self._check_init(init.register, init.value, init.sense)
            except ChargerRefused as error:
                if init.required:
                    raise
                log.warning("%s did not take its failsafe setting %s: %s", self, init.register, error)

    async def _check_init(self, name: str, value: Value, sense: str | None) -> None:
        if sense is None or not self.device.has(sense):
            return
        wanted = self.device.registers[name].value_of(value)
        have = await self.device.read_one(sense, Priority.COMMAND)
        if have is not None and have != wanted:
            raise ChargerRefused(f"{name} reads back {have!r} instead of {wanted!r}")
        if self.device.registers[sense].poll is Poll.ALWAYS:
            self._init_held[sense] = wanted

    # --- reading ------------------------------------------------------------------------------------

    def _polled(self) -> list[str]:
        return [name for name, register in self.device.registers.items() if register.poll is Poll.ALWAYS]

    def _notice_restart(self, values: dict[str, Value | None]) -> bool:
        """Whether the device has restarted since the last poll; if so the next use begins a new session."""
        signs = frozenset(i for i, sign in enumerate(self.profile.boot) if sign.holds(values))
        has_new_sign = bool(signs - self._boot_signs) and bool(self._values)
        self._boot_signs = signs
        has_forgotten = any(name in values and values[name] != held for name, held in self._init_held.items())
        mark = values.get(self.profile.boot_falls) if self.profile.boot_falls is not None else None
        has_fallen = False
        if isinstance(mark, (int, float)):
            has_fallen = self._boot_mark is not None and mark < self._boot_mark
            self._boot_mark = float(mark)
        if has_new_sign or has_forgotten or has_fallen:
            log.warning("%s has restarted", self)
            self._session = None
            self._has_booted = True
        booted, self._has_booted = self._has_booted, False
        return booted

    def _permit_seen(self, reading: Reading, now_s: float) -> bool | None:
        """The permission that the device reports; a car that charges against our word shows that it is still given."""
        if reading.permit_charging is not None or self.profile.permit is None or self._withheld_at_s is None:
            return reading.permit_charging
        if reading.state is not ChargerState.CHARGING or now_s - self._withheld_at_s <= DISOBEDIENT_AFTER_S:
            return None
        log.warning("%s charges although energy is withheld", self)
        self._written.pop(self.profile.permit.register, None)
        return True

    async def _take_token(self, values: dict[str, Value | None]) -> str | None:
        """A token that came into the reader since the last poll."""
        reader = self.profile.token
        if reader is None or reader.register not in values:
            return None
        token = token_of(reader, self.device.registers, values)
        is_new = token is not None and token != self._token and self._knows_reader
        self._token, self._knows_reader = token, True
        if token is not None and reader.clear is not None:
            try:
                await self.device.write(reader.clear.register, reader.clear.value)
            except ChargerError as error:
                log.warning("%s: the reader could not be cleared: %s", self, error)
            else:
                self._token = None
        return token if is_new else None

    # --- writing ------------------------------------------------------------------------------------

    async def _write_if_different(self, target: Target) -> bool:
        """Whether something was written."""
        if not self._values:
            self._values = await self.device.read(self._polled(), Priority.COMMAND)
        before = None if target.register in self._doubtful else self._written.get(target.register)
        reached = target.is_reached(self._values, self.device.registers)
        if reached or (reached is None and before is not None and before.value == target.value):
            if before is None or before.value != target.value:
                self._remember(target.register, target.value)
            return False
        waited_s = None
        if before is not None and before.value == target.value and reached is False:
            waited_s = self._monotonic_s() - before.at_s
            if waited_s < target.settle_s:
                return False
        priority = Priority.STOP if target.is_urgent else Priority.COMMAND
        held = self._set_to
        if target.limit is not None:
            self._set_to = target.value  # already now: a keep-alive must not repeat the one before it meanwhile
        try:
            await self.device.write(target.register, target.value, priority, is_setpoint=target.limit is not None)
        except ChargerRefused:
            self._set_to = held
            raise
        self._remember(target.register, target.value)
        if waited_s is not None:
            raise ChargerRefused(f"{self}: {target.register} did not take {target.value!r} in {waited_s:.0f} s")
        return True

    async def _verify(self, written: list[Target]) -> None:
        """Read back until everything shows, or until the time is over; `ChargerRefused` names what does not."""
        names = frozenset[str]().union(*(target.senses for target in written))
        give_up_at = self._monotonic_s() + VERIFY_AT_MOST_S
        while True:
            values = await self.device.read(names, Priority.COMMAND)
            self._values.update(values)
            missing = [t for t in written if t.is_reached(values, self.device.registers) is False]
            now_s = self._monotonic_s()
            late = [t for t in missing if now_s - self._written[t.register].at_s >= t.settle_s]
            if late:
                told = ", ".join(f"{name} {values.get(name)!r}" for name in sorted(late[0].senses))
                del self._written[late[0].register]
                raise ChargerRefused(f"{self}: {late[0].register} was given {late[0].value!r} but reads {told}")
            if not missing or now_s >= give_up_at:
                return
            await self._pause(LOOK_AGAIN_S)

    @contextmanager
    def _doubting(self) -> Iterator[None]:
        """After silence nothing is sure that was only written: the device may have restarted, and a write whose answer
        was lost may have been done."""
        try:
            yield
        except ChargerUnreachable:
            self._doubtful.update(self._written)
            raise

    def _remember(self, name: str, value: Value) -> None:
        now_s = self._monotonic_s()
        self._written[name] = _Written(value, now_s)
        self._doubtful.discard(name)
        permit, limit = self.profile.permit, self.profile.limit
        if limit is not None and name == limit.register:
            self._set_to = value
        if permit is not None and name == permit.register:
            register = self.device.registers[name]
            is_off = register.value_of(value) == register.value_of(permit.off)
            self._withheld_at_s = now_s if is_off else None

    def _setpoint(self) -> tuple[str, Value] | None:
        """The limit that was last sent, for a keep-alive that repeats it."""
        limit = self.profile.limit
        return None if limit is None or self._set_to is None else (limit.register, self._set_to)

    def _monotonic_s(self) -> float:
        return self._clock.now().monotonic_s
