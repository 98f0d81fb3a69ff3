"""What goes on at a site: drivers, operators, a BMS, and everything that can go wrong; all from the world's seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

from tests.fakes.central import V16, V201, Moods
from tests.fakes.operator import Operator
from tests.fakes.operator201 import Operator201
from tests.fakes.wallbox import Wallbox
from tests.fakes.world import TOKENS, World

MEAN_PAUSE_S = 6.0
MOODS = (
    Moods(),
    Moods(),
    Moods(lossy=0.1),
    Moods(rude=0.05),
    Moods(late=0.1, twice=0.2),
    Moods(garbled=0.1),
    Moods(lossy=0.4, rude=0.2),
)
KEYS = (
    ("MeterValueSampleInterval", ("30", "45", "0")),
    ("ConnectionTimeOut", ("20", "60")),
    ("MinimumStatusDuration", ("0", "3")),
    ("StopTransactionOnEVSideDisconnect", ("true", "false")),
    ("LocalPreAuthorize", ("true", "false")),
    ("ClockAlignedDataInterval", ("0", "120")),
)


class Life:
    """Until `end`, something happens every few seconds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = random.Random(f"life {world.seed}")
        self.over = False
        self.more = Operator(world)
        self.more_201 = Operator201(world)
        world.central.deaf = self.random.random() < 0.1
        moves: tuple[tuple[Callable[[], None], float], ...] = (
            (self.plug, 7),
            (self.unplug, 4),
            (self.token, 7),
            (self.hunger, 2),
            (self.operator, 12),
            (self.orders, 12),
            (self.bms, 5),
            (self.cut, 1.5),
            (self.broker_cut, 1),
            (self.charger_fault, 1),
            (self.silence, 1.5),
            (self.charger_reboot, 0.7),
            (self.register_reset, 0.5),
            (self.noise, 1),
            (self.jam, 1),
            (self.clock_step, 0.7),
            (self.kill, 1),
            (self.full_disk, 1),
            (self.mood, 1),
            (self.stall, 1),
            (self.other_version, 1.0 if world.plan.switches else 0.0),
        )
        self.moves = [move for move, _ in moves]
        self.weights = [weight for _, weight in moves]

    def go_on(self) -> None:
        if self.over:
            return
        self.world.later(self.random.expovariate(1 / MEAN_PAUSE_S), self.go_on)
        self.random.choices(self.moves, self.weights)[0]()

    def after(self, mean_s: float, what: Callable[[], None]) -> None:
        self.world.later(self.random.expovariate(1 / mean_s), what)

    # --- people

    def _box(self) -> Wallbox:
        return self.random.choice(list(self.world.boxes.values()))

    def plug(self) -> None:
        box = self._box()
        box.plugged, box.hungry = True, True

    def unplug(self) -> None:
        self._box().plugged = False

    def token(self) -> None:
        """At the charger's own reader, or at one that is nobody's."""
        modern = self.world.central.version == V201
        token = self.random.choice((*TOKENS, "MASTER") if modern else TOKENS)
        if self.random.random() < 0.4:
            self._box().card = token
        else:
            self.world.show_token(token, self.random.choice([None, *self.world.boxes]))

    def hunger(self) -> None:
        box = self._box()
        box.hungry = not box.hungry

    # --- who commands

    def orders(self) -> None:
        more = self.more_201 if self.world.central.version == V201 else self.more
        more.move()

    def operator(self) -> None:
        if self.world.central.version == V201:
            self.more_201.core()
            return
        central, number = self.world.central, self.random.choice([0, *self.world.boxes])
        running = central.running_sessions() or [0]
        token = self.random.choice(TOKENS)
        choice = self.random.randrange(13)
        if choice <= 3:
            central.reserve(self.random.randrange(1, 5), number, token, self.random.uniform(-5, 600))
        elif choice == 4:
            central.ask("CancelReservation", {"reservationId": self.random.randrange(1, 5)})
        elif choice == 5:
            central.ask("RemoteStartTransaction", {"idTag": token, **({"connectorId": number} if number else {})})
        elif choice == 6:
            central.ask("RemoteStopTransaction", {"transactionId": self.random.choice(running)})
        elif choice == 7:
            kind = self.random.choice(("Operative", "Operative", "Inoperative"))
            central.ask("ChangeAvailability", {"connectorId": number, "type": kind})
        elif choice == 8:
            central.ask("UnlockConnector", {"connectorId": self.random.choice(list(self.world.boxes))})
        elif choice == 9:
            key, values = self.random.choice(KEYS)
            central.ask("ChangeConfiguration", {"key": key, "value": self.random.choice(values)})
        elif choice == 10:
            wanted = self.random.choice(("StatusNotification", "MeterValues", "Heartbeat", "BootNotification"))
            central.ask("TriggerMessage", {"requestedMessage": wanted})
        elif choice == 11:
            central.ask("GetConfiguration", {})
        elif self.random.random() < 0.4:
            central.ask("Reset", {"type": self.random.choice(("Soft", "Hard"))})

    def bms(self) -> None:
        rng, broker = self.random, self.world.broker
        token, number = rng.choice(TOKENS), rng.choice([0, *self.world.boxes])
        choice = rng.randrange(7)
        if choice <= 1:
            broker.command("present_token", {"id_token": token, **({"connector": number} if number else {})})
        elif choice <= 3:
            until = self.world.true_utc() + timedelta(seconds=rng.uniform(-5, 600))
            wanted = {"connector": number, "id_token": token, "expires_at": until.isoformat()}
            broker.command("reserve_now", wanted)
        elif choice == 5:
            kind = rng.choice(("TamperDetectionActivated", "SecurityLogWasCleared", "InvalidMessages"))
            broker.command("security_event", {"type": kind, "info": "seen by the building"})
        elif choice == 6:
            broker.command("data_transfer", {"vendor_id": "vendor", "data": "from the building"})
        else:
            broker.command("cancel_reservation", {"reservation_id": rng.choice((1, 2, 2**31 - 1))})

    # --- what breaks

    def cut(self) -> None:
        world = self.world
        world.line_up = False
        world.cut()

        def restore() -> None:
            world.line_up = True
            world.connect()

        self.after(self.random.choice((2, 100)), restore)

    def other_version(self) -> None:
        """The CSMS is renewed, or an older one takes its place."""
        world = self.world
        world.agreed = V16 if world.agreed == V201 else V201
        world.central.mixed = True
        world.cut()

    def broker_cut(self) -> None:
        broker = self.world.broker
        broker.go_out_of_reach()
        self.after(60, broker.return_to_reach)

    def charger_fault(self) -> None:
        box = self._box()
        box.fault = True
        self.after(40, lambda: setattr(box, "fault", False))

    def silence(self) -> None:
        box = self._box()
        box.silent = True
        self.after(self.random.choice((4, 80)), lambda: setattr(box, "silent", False))

    def charger_reboot(self) -> None:
        self._box().reboot(self.random.uniform(3, 45))

    def register_reset(self) -> None:
        """The meter is replaced: it counts from nothing."""
        box = self._box()
        box.register_offset_wh = box.energy_wh

    def noise(self) -> None:
        box = self._box()
        box.noise = self.random.choice((0.1, 0.5))
        self.after(60, lambda: setattr(box, "noise", 0.0))

    def jam(self) -> None:
        box = self._box()
        name = self.random.choice(("jammed", "mute"))
        setattr(box, name, True)
        self.after(60, lambda: setattr(box, name, False))

    def clock_step(self) -> None:
        """A small step, either way, or the exact time again."""
        self.world.computer.error_s = self.random.choice((0.0, self.random.uniform(-5, 5)))

    def kill(self) -> None:
        if self.world.alive():
            power = self.random.random() < 0.4
            self.world.die(power=power, chargers=power and self.random.random() < 0.6)

    def full_disk(self) -> None:
        world = self.world
        if self.random.random() < 0.5:
            world.disk_full = True
            self.after(30, lambda: setattr(world, "disk_full", False))
        else:
            world.commit_fails = 0.3
            self.after(60, lambda: setattr(world, "commit_fails", 0.0))

    def stall(self) -> None:
        """The disk takes its time: the engine stands still, everything else goes on."""
        self.world.stalled = True
        self.after(self.random.choice((1, 6)), lambda: setattr(self.world, "stalled", False))

    def mood(self) -> None:
        self.world.central.mood(self.random.choice(MOODS))

    # --- the end

    def end(self) -> None:
        """Everything works again, and stays so; everybody goes home."""
        self.over = True
        recover(self.world)
        self.world.run(60)
        recover(self.world)


def recover(world: World) -> None:
    """Take every fault away."""
    world.central.mood(Moods())
    world.commit_fails, world.disk_full, world.line_up = 0.0, False, True
    world.crash_at.clear()
    world.stalled = False
    world.computer.error_s = 0.0
    world.broker.return_to_reach()
    for box in world.boxes.values():
        box.plugged = box.fault = box.silent = box.jammed = box.mute = False
        box.noise = 0.0
    world.connect()


def at_rest(world: World) -> bool:
    """Nothing is under way any more."""
    if not world.alive() or not world.wire.connected:
        return False
    station = world.engine.station
    return (
        station.link.serving
        and station.queued == 0
        and not station.transactions
        and not station.pending
        and station.reset is None
        and world.link.session.idle
        and not world.link._waiting
        and not world.crew.running
        and (station.firmware is None or station.firmware.over or not station.clock.synchronized)
        and not world.mirror._outbox.depth
        and not world.mirror._outbox.under_way
    )


def calm_down(world: World, within_s: float = 3600.0) -> None:
    """Let the site come to rest; whoever forgot a transaction ends it."""
    until_s = world.elapsed_s + within_s
    while world.elapsed_s < until_s:
        world.run(37.3)
        world.connect()
        if at_rest(world):
            world.run(25)
            if at_rest(world):
                return
        elif world.alive():
            for number, connector in world.engine.station.connectors.items():
                running = world.engine.station.running(number)
                if running is not None and not connector.plugged and running.id_token is not None:
                    world.show_token(running.id_token.value, number)
