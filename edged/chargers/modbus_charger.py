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

from edged.chargers.bus import Bus
from edged.chargers.command_sequence import SequenceRun
from edged.chargers.device import RegisterDevice
from edged.chargers.device_session import DeviceSession
from edged.chargers.interpretation import Reading, capabilities_of, interpret, token_of
from edged.chargers.job_queue import Priority
from edged.chargers.keep_alive import KeepAliveTask
from edged.chargers.ledger import Ledger
from edged.chargers.profile import DeviceProfile
from edged.chargers.profile_terms import Poll
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
        self._session = DeviceSession(self.device, monotonic=self._monotonic_s, fallen_back=self._has_fallen_back)
        self._values: dict[str, Value | None] = {}
        self._ledger = Ledger()
        self._set_to: Value | None = None
        self._capabilities = profile.capabilities
        self._has_booted = False
        self._has_connected = False
        self._end_is_told = False
        self._withheld_at_s: float | None = None
        self._disobeys = False
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
        return self._session.identity

    async def observe(self) -> Observation:
        """One poll. Raises `ChargerError`: a poll that did not read everything it should is none."""
        self._keep_alive.attend()
        with self._doubting():
            await self._connect()
            values = await self.device.read(self._polled())
            seldom = await self._session.recheck()
        if self.profile.state.register in self.device.missing:
            raise ChargerRefused(f"{self} has no register {self.profile.state.register}")
        read_at = self._clock.now()
        booted = self._take_boot({**values, **seldom})
        self._values = values
        self._ledger.look(values, self.device.registers)
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
        if not self._values:
            self._values = await self.device.read(self._polled(), Priority.COMMAND)
        wanted = targets_for(
            self.profile, desired, max_current_ma=self._max_current_ma, reported={**self._session.facts, **self._values}
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
        run = SequenceRun(self.device, monotonic=self._monotonic_s, pause=self._pause, on_write=self._remember)
        outcome = None
        try:
            outcome = await run.run(sequence)
        finally:
            self._values = {}
            if outcome is not ActionOutcome.DONE:
                self._ledger.doubt(run.written)
            if action is not Action.UNLOCK:
                self._session.end()
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
        self._session.end()
        self._values = {}
        self._has_booted = True

    async def close(self) -> None:
        """End the keep-alive: the charger falls back to its failsafe. The bus belongs to others."""
        await self._keep_alive.stop()

    # --- the session --------------------------------------------------------------------------------

    async def _connect(self, priority: Priority = Priority.STATUS) -> None:
        """Begin a session where none is on. What the device had of the former one is not known any more, so whoever
        wants something of it must say it again (`Observation.booted`)."""
        if self._session.is_on:
            return
        self._values = {}
        await self._session.begin(priority)
        self._has_booted = self._has_booted or (self._has_connected and not self._end_is_told)
        self._has_connected, self._end_is_told = True, False
        self._ledger.forget()
        self._set_to = None
        self._capabilities = capabilities_of(self.profile, self._session.facts)
        self._keep_alive.begin()
        log.info("%s: connected %s", self, self.identity or "")

    def _has_fallen_back(self) -> bool:
        """Whether the charger has waited for its keep-alive longer than it does, and may be at its failsafe."""
        if self._keep_alive.is_overdue:
            return True
        keep_alive, silent_s = self.profile.keep_alive, self.device.silent_for_s
        return keep_alive is not None and silent_s is not None and silent_s > keep_alive.timeout_s

    # --- reading ------------------------------------------------------------------------------------

    def _polled(self) -> list[str]:
        return [name for name, register in self.device.registers.items() if register.poll is Poll.ALWAYS]

    def _take_boot(self, values: dict[str, Value | None]) -> bool:
        """Whether the device has restarted, or may have, since this was last asked."""
        restarted = self._session.has_restarted(values)
        booted, self._has_booted = restarted or self._has_booted, False
        self._end_is_told = self._end_is_told or restarted
        return booted

    def _permit_seen(self, reading: Reading, now_s: float) -> bool | None:
        """The permission that the device reports; a car that charges against our word shows that it is still given."""
        told, actuator = reading.permit_charging, self.profile.permit or self.profile.limit
        if told is not None or actuator is None or self._withheld_at_s is None:
            self._disobeys = False
            return told
        self._disobeys = self._disobeys and reading.state is ChargerState.CHARGING
        if reading.state is not ChargerState.CHARGING or now_s - self._withheld_at_s <= DISOBEDIENT_AFTER_S:
            return None
        if not self._disobeys:
            log.warning("%s charges although energy is withheld", self)
        self._disobeys = True
        self._ledger.forget(actuator.register)
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
                log.log(
                    logging.WARNING if is_new else logging.DEBUG, "%s: the reader could not be cleared: %s", self, error
                )
            else:
                self._token = None
        return token if is_new else None

    # --- writing ------------------------------------------------------------------------------------

    async def _write_if_different(self, target: Target) -> bool:
        """Whether something was written that has to show now. Raises `ChargerError`."""
        verdict = self._ledger.verdict(target, self._values, self.device.registers, self._monotonic_s())
        if verdict.write:
            await self._write(target)
        elif target.limit is not None:
            self._set_to = target.value  # it has it already: this is what a keep-alive repeats
        if verdict.complaint is not None:
            raise ChargerRefused(f"{self}: {verdict.complaint}")
        return verdict.write

    async def _write(self, target: Target) -> None:
        held = self._set_to
        if target.limit is not None:
            self._set_to = target.value  # already now: a keep-alive must not repeat the one before it meanwhile
        priority = Priority.STOP if target.is_urgent else Priority.COMMAND
        try:
            await self.device.write(target.register, target.value, priority, is_setpoint=target.limit is not None)
        except ChargerRefused:
            self._set_to = held
            raise
        self._remember(target.register, target.value, target)

    async def _verify(self, written: list[Target]) -> None:
        """Read back until everything shows, or until the time is over; `ChargerRefused` names what does not."""
        names = frozenset[str]().union(*(target.senses for target in written))
        give_up_at = self._monotonic_s() + VERIFY_AT_MOST_S
        while True:
            values = await self.device.read(names, Priority.COMMAND)
            self._values.update(values)
            self._ledger.look(values, self.device.registers)
            missing = [t for t in written if t.is_reached(values, self.device.registers) is False]
            now_s = self._monotonic_s()
            late = [t for t in missing if now_s - self._ledger.written_at_s(t.register) >= t.settle_s]
            if late:
                told = ", ".join(f"{name} {values.get(name)!r}" for name in sorted(late[0].senses))
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
            self._ledger.doubt()
            self._session.doubt()
            raise

    def _remember(self, name: str, value: Value, target: Target | None = None) -> None:
        now_s = self._monotonic_s()
        self._ledger.note(name, value, at_s=now_s, target=target)
        permit, limit = self.profile.permit, self.profile.limit
        is_off = None
        if limit is not None and name == limit.register:
            self._set_to = value
            if permit is None and isinstance(value, (int, float)):
                is_off = value < limit.min_a
        if permit is not None and name == permit.register:
            register = self.device.registers[name]
            is_off = register.value_of(value) == register.value_of(permit.off)
        if is_off is not None:
            self._withheld_at_s = now_s if is_off else None

    def _setpoint(self) -> tuple[str, Value] | None:
        """The limit that was last sent, for a keep-alive that repeats it; none while the device may not be safe."""
        limit = self.profile.limit
        if limit is None or self._set_to is None or not self._session.is_on:
            return None
        return limit.register, self._set_to

    def _monotonic_s(self) -> float:
        return self._clock.now().monotonic_s
