"""A charger with physics, and its driver: what is wanted arrives late, a register can jump, a lock can jam.

Current flows only with the contactor closed; the contactor closes only with the permission, a car and no fault. The
driver half (what is wanted, the listener) dies with the process, the charger half lives on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edged.domain.hardware import (
    Action,
    ActionOutcome,
    Capability,
    ChargerState,
    Desired,
    LockState,
    Meter,
    Observation,
    Quality,
)

if TYPE_CHECKING:
    from tests.fakes.world import World

POWER_W = 10_800.0
WH_PER_S = 3.0
FULL_MA = 32_000
NOTHING = Desired(permit_charging=False)


@dataclass
class Wallbox:
    """`silent`: nothing comes through the line. `noise`: how many polls tell nonsense, marked as such."""

    number: int
    world: World
    capabilities: frozenset[Capability]
    desired: Desired = NOTHING
    wanted: Desired | None = None
    listener: Any = None
    plugged: bool = False
    hungry: bool = True
    contactor: bool = False
    energy_wh: float = 5000.0
    register_offset_wh: float = 0.0
    fault: bool = False
    jammed: bool = False
    mute: bool = False
    silent: bool = False
    told_lost: bool = False
    rebooting_until_s: float = 0.0
    booted: bool = False
    noise: float = 0.0
    card: str | None = None
    lock_released: bool = False
    unlocked_at_s: float = -1e9
    sins: list[str] = field(default_factory=list)

    # --- ports.Driver

    def start(self, listener: Any) -> None:
        self.listener, self.wanted, self.told_lost = listener, None, False

    def want(self, desired: Desired) -> None:
        self.world.instruction()
        self.wanted = desired
        self._apply_soon()

    def perform(self, action: Action, ticket: str) -> None:
        self.world.instruction()
        listener = self.listener
        outcome, after_s = ActionOutcome.DONE, 1.5
        if self.unreachable:
            outcome, after_s = ActionOutcome.TIMEOUT, 8.0
        elif action is Action.UNLOCK:
            self._must_be_open("asked to unlock")
            outcome = ActionOutcome.FAILED if self.jammed else ActionOutcome.DONE
            if not self.jammed:
                self.world.later(0.7, lambda: self._release(listener))
        else:
            self.reboot(4.0)
        if not self.mute:
            self.world.later(after_s, lambda: listener.performed(ticket, outcome, ""))

    async def stop(self) -> None:
        return None

    def dead(self, *, power: bool) -> None:
        """The process is gone; with `power` the charger was without it as well."""
        self.listener = self.wanted = None
        if power:
            self.desired = NOTHING
            self._switch()

    # --- physics

    @property
    def unreachable(self) -> bool:
        return self.silent or self.world.elapsed_s < self.rebooting_until_s

    @property
    def offered_ma(self) -> int:
        """What the car is told that it may take."""
        limit_ma = self.desired.current_limit_ma
        return FULL_MA if limit_ma is None or Capability.LIMIT not in self.capabilities else limit_ma

    @property
    def register_wh(self) -> float:
        return self.energy_wh - self.register_offset_wh

    def reboot(self, seconds: float) -> None:
        """The charger starts again: it forgets the permission, not the energy."""
        self.rebooting_until_s = self.world.elapsed_s + seconds
        self.desired, self.booted = NOTHING, True
        self._switch()

    def second(self) -> None:
        self._switch()
        if self.contactor:
            self.energy_wh += WH_PER_S * self.offered_ma / FULL_MA

    def _switch(self) -> None:
        ready = self.desired.permit_charging and self.desired.operative and self.plugged and self.hungry
        self.contactor = ready and not self.fault
        if self.contactor or not self.plugged:
            self.lock_released = False

    def _apply_soon(self) -> None:
        listener, latency_s = self.listener, self.world.random.uniform(0.02, 1.2)

        def apply() -> None:
            if self.listener is listener and listener is not None and self.wanted is not None and not self.unreachable:
                self.desired = self.wanted
                self._switch()

        self.world.later(latency_s, apply)

    def _must_be_open(self, what: str) -> None:
        if self.contactor:
            self.sins.append(f"{what} with the contactor closed")

    def _release(self, listener: Any) -> None:
        if self.listener is listener:
            self._must_be_open("unlocked")
            self.lock_released, self.unlocked_at_s = True, self.world.elapsed_s

    # --- what the driver's poll sees

    def poll(self) -> None:
        """Look, report, and put right what differs."""
        if self.listener is None:
            return
        if self.unreachable:
            if not self.told_lost:
                self.told_lost = True
                self.listener.lost("no answer")
            return
        self.told_lost = False
        if self.wanted is not None and self.desired != self.wanted:
            self._apply_soon()
        if self.noise and self.world.random.random() < self.noise:
            self.listener.observed(self._nonsense())
            return
        booted, self.booted = self.booted, False
        card, self.card = self.card, None
        self.listener.observed(
            Observation(
                read_at=self.world.clock.now(),
                state=self._state(),
                plugged=self.plugged if self.number % 2 else None,
                lock=self._lock(),
                operative=self.desired.operative if Capability.AVAILABILITY_SENSE in self.capabilities else None,
                permit_charging=self.desired.permit_charging,
                meter=Meter(energy_wh=self._reading(), power_w=POWER_W if self.contactor else 0.0),
                token=card,
                booted=booted,
            )
        )

    def _reading(self) -> float:
        """Once in a while one wrong word comes through, too low."""
        if self.noise and self.world.random.random() < self.noise:
            return self.register_wh / 2
        return self.register_wh

    def _nonsense(self) -> Observation:
        random = self.world.random
        return Observation(
            read_at=self.world.clock.now(),
            quality=random.choice((Quality.STALE, Quality.BAD)),
            state=random.choice(tuple(ChargerState)),
            plugged=random.random() < 0.5,
            lock=random.choice(tuple(LockState)),
            permit_charging=random.random() < 0.5,
            meter=Meter(energy_wh=random.uniform(0, 1e9), power_w=random.uniform(0, 1e6)),
        )

    def _state(self) -> ChargerState:
        if self.fault:
            return ChargerState.FAULTED
        if not self.desired.operative and not self.plugged:
            return ChargerState.UNAVAILABLE
        if not self.plugged:
            return ChargerState.AVAILABLE
        if self.contactor:
            return ChargerState.CHARGING
        return ChargerState.CONNECTED_READY if self.desired.permit_charging else ChargerState.CONNECTED

    def _lock(self) -> LockState:
        if not self.plugged or (self.lock_released and not self.jammed):
            return LockState.UNLOCKED
        closed = self.desired.permit_charging if self.desired.locked is None else self.desired.locked
        return LockState.LOCKED if closed else LockState.UNLOCKED
