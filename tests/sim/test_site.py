"""Whole sites in virtual time with seeded faults. A failing seed is printed; `SEED=n` reruns just that one."""

from __future__ import annotations

import os
import random

import pytest

from edged.domain.desired import desired
from edged.domain.hardware import Desired
from edged.domain.station import Station
from edged.ocpp.status import connector_status
from edged.store import records
from tests.fakes.world import TOKENS, World, reload

SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else range(300)
LIFE_S = 2400


class Life:
    """What goes on at a site: drivers, operators, faults; all from the world's seed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = random.Random(world.seed + 1)
        self.over = False

    def go_on(self) -> None:
        if self.over:
            return
        self.world.later(self.random.expovariate(1 / 15), self.go_on)
        moves = (
            (self._plug, 6),
            (self._unplug, 4),
            (self._token, 8),
            (self._hunger, 2),
            (self._operator, 9),
            (self._cut, 2),
            (self._charger_fault, 1),
            (self._silence, 1),
            (self._kill, 1),
            (self._mood, 1),
        )
        chosen = self.random.choices([move for move, _ in moves], [weight for _, weight in moves])[0]
        chosen()

    def _box(self):
        return self.random.choice(list(self.world.boxes.values()))

    def _plug(self) -> None:
        box = self._box()
        box.plugged, box.hungry = True, True

    def _unplug(self) -> None:
        self._box().plugged = False

    def _token(self) -> None:
        number = self.random.choice([None, *self.world.boxes])
        self.world.show_token(self.random.choice(TOKENS), number)

    def _hunger(self) -> None:
        box = self._box()
        box.hungry = not box.hungry

    def _operator(self) -> None:
        central, number = self.world.central, self.random.choice([0, *self.world.boxes])
        running = [s.id for s in central.sessions.values() if s.stop is None] or [0]
        token = self.random.choice(TOKENS)
        choice = self.random.randrange(11)
        if choice <= 2:
            central.reserve(self.random.randrange(1, 5), number, token, self.random.uniform(-5, 900))
        elif choice == 3:
            central.ask("CancelReservation", {"reservationId": self.random.randrange(1, 5)})
        elif choice == 4:
            central.ask("RemoteStartTransaction", {"idTag": token, **({"connectorId": number} if number else {})})
        elif choice == 5:
            central.ask("RemoteStopTransaction", {"transactionId": self.random.choice(running)})
        elif choice == 6:
            kind = self.random.choice(("Operative", "Operative", "Inoperative"))
            central.ask("ChangeAvailability", {"connectorId": number, "type": kind})
        elif choice == 7:
            central.ask("UnlockConnector", {"connectorId": number})
        elif choice == 8:
            central.ask("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "45"})
        elif choice == 9:
            central.ask(
                "TriggerMessage", {"requestedMessage": self.random.choice(("StatusNotification", "MeterValues"))}
            )
        elif self.random.random() < 0.3:
            central.ask("Reset", {"type": self.random.choice(("Soft", "Hard"))})

    def _cut(self) -> None:
        world = self.world
        world.line_up = False
        world.cut()

        def restore() -> None:
            world.line_up = True
            world.connect()

        world.later(self.random.expovariate(1 / 120), restore)

    def _charger_fault(self) -> None:
        box = self._box()
        box.fault = True
        self.world.later(self.random.uniform(5, 120), lambda: setattr(box, "fault", False))

    def _silence(self) -> None:
        box = self._box()
        box.silent = True
        self.world.later(self.random.uniform(2, 200), lambda: setattr(box, "silent", False))

    def _kill(self) -> None:
        if self.world.alive():
            self.world.die(power=self.random.random() < 0.4)

    def _mood(self) -> None:
        central = self.world.central
        central.lossy, central.rude = self.random.choice(((0.0, 0.0), (0.1, 0.0), (0.0, 0.05)))
        self.world.commit_fails = self.random.choice((0.0, 0.0, 0.2))

    def end(self) -> None:
        """Everybody goes home, everything works again."""
        self.over = True
        world, central = self.world, self.world.central
        central.lossy = central.rude = world.commit_fails = 0.0
        world.crash_at.clear()
        world.line_up = True
        for box in world.boxes.values():
            box.plugged = box.fault = box.silent = box.jammed = False
        world.run(60)
        world.connect()


def check(world: World, before: Station, after: Station) -> None:
    """The invariants that need more than the core: hardware, disk."""
    for number, box in world.boxes.items():
        wanted = world.engine.wanted.get(number, Desired(permit_charging=False))
        if not world.engine.degraded:
            assert wanted == desired(after, number), f"desired differs from derived on {number}"
        if box.contactor and not box.silent and wanted.permit_charging:
            running = after.running(number)
            assert running is not None and running.id_token is not None, f"energy without a driver on {number}"
    if world.random.random() < 0.05:
        assert records.kept(after) == records.kept(reload(world)), "the disk differs from memory"


def judge(world: World) -> None:
    """After the storm: nothing lost, nothing doubled, every view equal."""
    central, station = world.central, world.engine.station
    assert not central.sins, central.sins[:5]
    assert not central.overdue()
    assert station.queued == 0, f"{station.queued} records were never delivered"
    assert not station.transactions, "a transaction was never finished with"
    for session in central.sessions.values():
        assert session.stop is not None, f"transaction {session.id} never ended at the CSMS"
    for number in world.boxes:
        assert central.statuses.get(number) == connector_status(station, number)
    assert records.kept(station) == records.kept(reload(world))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_site_survives_its_life(seed: int) -> None:
    rng = random.Random(seed)
    crash_at = sorted(rng.sample(range(20, 3000), rng.randrange(0, 4)))
    world = World(seed, crash_at=crash_at)
    world.check = check
    life = Life(world)
    world.start()
    life.go_on()
    world.run(LIFE_S)
    life.end()
    world.run(3600)
    for _ in range(20):
        if world.engine.station.queued == 0 and not world.engine.station.transactions:
            break
        for session in world.central.sessions.values():
            if session.stop is None:
                world.central.ask("RemoteStopTransaction", {"transactionId": session.id})
        world.run(200)
        world.connect()
    judge(world)
