"""An OpenEVSE controller as a charging point: the `Charger` port.

Owns: the session with the controller (supervision first), one poll as one observation, writing what differs and reading
it back, its restarts. Refuses to know: why something is wanted, retries (the driver), frames.

Invariants: nothing is written before the supervision of the session stands; energy is permitted only after the limit is
set, the connector locks by itself again and the boot lock is released; a setting is written only where the controller
reports another; its EEPROM is never written but for the supervision; the lock opens only with the contactor open.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from edged.chargers.job_queue import Priority
from edged.chargers.rapi.actions import VERIFY_S, Patience, restart, unlock
from edged.chargers.rapi.controller import Controller
from edged.chargers.rapi.frames import Event
from edged.chargers.rapi.link import Link
from edged.chargers.rapi.profile import RapiProfile
from edged.chargers.rapi.pulses import Pulses
from edged.chargers.rapi.replies import Capacity, Current, EnergyRegister, EvseState, Flag, Lock, Status, Supervision
from edged.chargers.rapi.targets import Mode, Target, target_for
from edged.domain.hardware import (
    Action,
    ActionOutcome,
    Capability,
    Desired,
    LockState,
    Measurand,
    Meter,
    Observation,
    Phases,
)
from edged.ports import ChargerRefused, ChargerUnreachable, Clock

log = logging.getLogger(__name__)

RESTARTS_AT_ONCE = 3
"""A controller that restarts oftener while it is being set up has something else wrong with it."""
LOCK_ABILITIES = frozenset({Capability.UNLOCK, Capability.LOCK_SENSE})


class RapiCharger:
    """One charging point. Not safe for concurrent calls of its own methods: one driver uses it."""

    def __init__(
        self,
        profile: RapiProfile,
        link: Link,
        *,
        clock: Clock,
        poll_interval_s: float = 1.0,
        max_current_ma: int | None = None,
        phases: int | None = None,
        voltage_v: float = 230.0,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.profile = profile
        self.link = link
        self.on_change: Callable[[], None] = lambda: None
        """Called when the controller says by itself that something has changed. Must not raise."""
        self.identity: dict[str, str] = {}
        """Firmware and protocol as the controller tells them; empty before the first connect."""
        self._controller = Controller(link)
        self._clock = clock
        self._poll_interval_s = poll_interval_s
        self._max_current_ma = max_current_ma
        self._phases = phases or profile.phases
        self._voltage_v = voltage_v
        self._patience = Patience(clock, pause)
        self._session: int | None = None
        self._boots = 0
        self._has_booted = False
        self._is_unsupervised = False
        self._capacity: Capacity | None = None
        self._limit_a: int | None = None
        self._capabilities = profile.capabilities
        self._is_held_open = False
        self._complaint = ""
        self._energy = EnergyRegister()
        self._pulses = Pulses(
            self._controller,
            profile.heartbeat,
            attention_s=30 + 3 * poll_interval_s,
            missed=self._pulse_was_missed,
            pause=pause,
        )
        link.listen(self._hear)

    def __str__(self) -> str:
        return str(self._controller)

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._capabilities

    @property
    def measurands(self) -> frozenset[Measurand]:
        return self.profile.measurands

    @property
    def poll_interval_s(self) -> float:
        return self._poll_interval_s

    async def observe(self) -> Observation:
        """One poll. Raises `ChargerError`."""
        self._pulses.attend()
        await self._connect()
        controller = self._controller
        status = await controller.status()
        plugged = status.plugged
        if plugged is None and status.flags is None:
            plugged = await controller.is_connected()
        amperes = await controller.amperes()
        lock = await self._see_lock(plugged)
        meter = await self._read_meter(plugged)
        counters = await controller.counters() if status.is_faulty else ""
        booted, self._has_booted = self._has_booted, False
        return Observation(
            read_at=self._clock.now(),
            state=status.charger_state(plugged),
            plugged=plugged,
            faults=status.faults(counters),
            lock=LockState.UNKNOWN if lock is None else lock.state,
            operative=self._operative_seen(status),
            permit_charging=self._permit_seen(status),
            current_limit_ma=None if amperes is None else amperes * 1000,
            meter=meter,
            booted=booted,
            capabilities=self._capabilities if self._capabilities != self.profile.capabilities else None,
        )

    async def apply(self, desired: Desired) -> None:
        """Write what differs, stop first, and read it back.

        Raises `ChargerRefused` where the controller reports something else, `ChargerUnreachable` where it is silent.
        """
        self._pulses.attend()
        await self._connect(Priority.COMMAND)
        target = target_for(self.profile, desired, self._capacity, max_current_ma=self._max_current_ma)
        status = await self._controller.status(Priority.COMMAND)
        if target.mode is not Mode.ENABLED:
            await self._switch(target.mode, status)
            held = await self._limit(target.amperes)
        else:
            held = await self._limit(target.amperes)
            await self._lock_by_itself()
            await self._release(status)
            await self._switch(target.mode, status)
        await self._verify(target)
        if held is not None:
            raise ChargerRefused(f"{self} was given {target.amperes} A but holds {held} A")

    async def perform(self, action: Action) -> ActionOutcome:
        """Unlock or restart, told from what the controller reports after it. Raises `ChargerUnreachable`."""
        self._pulses.attend()
        if action is Action.RESET_SOFT:
            return ActionOutcome.UNSUPPORTED
        await self._connect(Priority.COMMAND)
        if action is Action.UNLOCK:
            if Capability.UNLOCK not in self._capabilities:
                return ActionOutcome.UNSUPPORTED
            self._is_held_open = True
            return await unlock(self._controller, self._patience)
        boots = self._boots
        self._session = None
        outcome = await restart(self, lambda: self._boots != boots, self._patience)
        self._has_booted = self._has_booted or outcome is ActionOutcome.DONE
        return outcome

    async def answers(self) -> bool:
        """Whether the controller says anything at all. Its silence is not held against it."""
        try:
            await self._controller.status(Priority.COMMAND, forgiving=True)
        except ChargerUnreachable:
            return False
        except ChargerRefused:
            return True
        return True

    def power_was_cut(self) -> None:
        """What was in its RAM is lost: the next use begins a new session, the next poll tells it."""
        self._session = None
        self._has_booted = True

    async def close(self) -> None:
        """End the pulses: the controller falls back to its failsafe. The link is closed by whoever opened it."""
        await self._pulses.stop()

    # --- the session --------------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        """What the controller says by itself."""
        if event.name == "AB":
            log.warning("%s has restarted: %s", self, event)
            self._boots += 1
            self.power_was_cut()
        if event.name in ("AB", "AT"):
            self.on_change()

    def _pulse_was_missed(self) -> None:
        log.warning("%s has missed a pulse and reduced the current", self)
        self._session = None
        self.on_change()

    async def _connect(self, priority: Priority = Priority.STATUS) -> None:
        """Begin a session where there is none: after start, a lost line, an outage, a restart, a missed pulse."""
        if self._session is not None and self._session == self.link.session and not self._pulses.is_overdue:
            return
        self._session = None
        for _ in range(RESTARTS_AT_ONCE):
            boots = self._boots
            session = await self._set_up(priority)
            if self._boots == boots:
                self._session = session
                log.info("%s: connected %s", self, self.identity or "")
                return
        raise ChargerRefused(f"{self} restarts again and again")

    async def _set_up(self, priority: Priority) -> int:
        """Everything that a session begins with; the link's session that it belongs to."""
        self._controller.missing.clear()
        await self._supervise(priority)
        session = self.link.session
        version = await self._controller.version()
        self.identity = dict(zip(("firmware", "protocol"), version, strict=False))
        self._capacity = await self._controller.capacity()
        self._capabilities = self.profile.capabilities
        if self.profile.has_lock:
            lock = await self._controller.lock()
            self._is_held_open = lock is not None and lock.is_manual
            if lock is None:
                self._capabilities -= LOCK_ABILITIES
        return session

    async def _supervise(self, priority: Priority) -> None:
        """The failsafe, before anything else is written."""
        rules, controller = self.profile.heartbeat, self._controller
        have = await controller.supervision(priority)
        if have is None:
            if not self._is_unsupervised:
                log.warning("%s knows no supervision: without edged it goes on with what it was told last", self)
            self._is_unsupervised = True
            return
        self._is_unsupervised = False
        wanted = Supervision(rules.interval_s, rules.fallback_a, is_missed=False)
        if have != wanted:
            was_reduced = have.is_missed
            await controller.supervise(rules.interval_s, rules.fallback_a)
            have = await controller.supervision(Priority.COMMAND)
            if have is not None and have.is_missed:
                await controller.acknowledge()
                was_reduced = True
            if was_reduced:
                await self._limit_again()
                have = await controller.supervision(Priority.COMMAND)
            if have != wanted:
                raise ChargerRefused(f"{self} did not take its supervision: it reports {have}")
        self._pulses.start()

    async def _limit_again(self) -> None:
        """After a missed pulse the controller gives its fallback, and once that is acknowledged its own most."""
        await self._controller.limit(self._limit_a or self.profile.min_a, Priority.STOP)

    # --- reading ------------------------------------------------------------------------------------

    def _operative_seen(self, status: Status) -> bool | None:
        if not self.profile.may_disable or status.is_faulty or status.state in (None, EvseState.UNKNOWN):
            return None
        return status.state is not EvseState.DISABLED

    def _permit_seen(self, status: Status) -> bool | None:
        """Out of service says nothing of permission, where that is told to the controller."""
        if status.state is EvseState.DISABLED and self.profile.may_disable:
            return None
        return status.permits()

    async def _see_lock(self, plugged: bool | None) -> Lock | None:
        """The lock; one that was opened by command locks by itself again once the cable is gone."""
        if Capability.LOCK_SENSE not in self._capabilities:
            return None
        if self._is_held_open and plugged is False:
            try:
                await self._lock_by_itself()
            except ChargerRefused as error:
                if str(error) != self._complaint:
                    log.warning("%s: its lock stays open: %s", self, error)
                self._complaint = str(error)
        return await self._controller.lock()

    async def _read_meter(self, plugged: bool | None) -> Meter:
        current = await self._controller.current() or Current(None, None)
        energy = await self._controller.energy()
        volts = current.volts if self.profile.has_voltmeter else None
        amperes = current.amperes
        power_w = None if amperes is None else round(amperes * (volts or self._voltage_v) * self._phases, 1)
        return Meter(
            energy_wh=None if energy is None else self._energy.read(*energy, is_plugged=plugged is True),
            power_w=power_w,
            current_a=Phases(amperes),
            voltage_v=Phases(volts),
            temperature_c=await self._controller.temperature(),
        )

    # --- writing ------------------------------------------------------------------------------------

    async def _limit(self, amperes: int | None) -> int | None:
        """Set the current where it differs. What it holds instead, where that is less; `ChargerRefused` for more."""
        if amperes is None:
            return None
        self._limit_a = amperes
        if await self._controller.amperes(Priority.COMMAND) == amperes:
            return None
        held = await self._controller.limit(amperes)
        if held == amperes:
            return None
        if held is None or held > amperes:
            raise ChargerRefused(
                f"{self} was given {amperes} A but holds {'no one knows what' if held is None else held}"
            )
        return held

    async def _switch(self, mode: Mode, status: Status) -> None:
        wants_command = status.is_off if mode is Mode.ENABLED else not mode.is_reached(status)
        if wants_command:
            await self._controller.order(
                mode.command, priority=Priority.COMMAND if mode is Mode.ENABLED else Priority.STOP
            )

    async def _release(self, status: Status) -> None:
        """End what holds energy back besides sleep."""
        flags = status.flags or Flag(0)
        if Flag.BOOT_LOCK in flags:
            reply = await self._controller.order("SB")
            if reply.values[:1] == ("1",):
                raise ChargerRefused(f"{self} keeps its boot lock: it has a fault")
        if Flag.AUTH_LOCKED in flags:
            await self._controller.order("S4", "0")

    async def _lock_by_itself(self) -> None:
        if self._is_held_open:
            await self._controller.order("S5", "A")
            self._is_held_open = False
            self._complaint = ""

    async def _verify(self, target: Target) -> None:
        async def is_reached() -> bool:
            return target.mode.is_reached(await self._controller.status(Priority.COMMAND))

        if not await self._patience.until(is_reached, VERIFY_S):
            status = await self._controller.status(Priority.COMMAND)
            raise ChargerRefused(f"{self} should be {target.mode} but reports state {status.code:02X}")
