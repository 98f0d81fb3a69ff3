"""Whatever the broker does, the station decides the same: a site's life is played with each kind of broker in turn."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from edged.mqtt.connection import Incoming
from edged.mqtt.outbox import WINDOW, Parcel
from tests.fakes import broker, world
from tests.fakes.broker import NAMES
from tests.fakes.world import World
from tests.sim.life import Life

LIFE_S = 600
JUNK = (b"", b"{", b"\xff\xfe", b"[" * 5_000, b'{"id":"x","args":{"type":"Hard"}}', b"x" * 20_000)


class Friendly(broker.Broker):
    """Takes everything, and nobody commands. None of these brokers draws from the world's own chance."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.chance = random.Random(f"broker {world.seed}")
        self.taken = 0

    def command(self, name: str, arguments: Mapping[str, Any]) -> None: ...

    def sins(self) -> list[str]:
        return []

    def _publish(self, mirror: Any, parcel: Parcel) -> None:
        self.taken += 1
        mirror._outbox.settled(parcel.ticket)


class Dead(Friendly):
    """Nobody is there, from the first day."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.reachable = False

    def return_to_reach(self) -> None: ...


class Deaf(Friendly):
    """Takes everything and acknowledges nothing."""

    def _publish(self, mirror: Any, parcel: Parcel) -> None:
        self.taken += 1


class Refusing(Friendly):
    """Acknowledges everything as not allowed."""

    def _publish(self, mirror: Any, parcel: Parcel) -> None:
        self.taken += 1
        mirror._outbox.settled(parcel.ticket, accepted=False)


class Hostile(Friendly):
    """Throws us out and lets us in again, acknowledges what it likes and what was never sent, tells us nonsense on
    every topic, and forgets what it has."""

    def turn(self) -> None:
        super().turn()
        if self.mirror is None:
            return
        if self.chance.random() < 0.2:
            self.mirror._outbox.disconnected()
            self.mirror._outbox.connected(self.chance.choice((1, WINDOW, 65_535)))
            self.mirror.connecting(self.mirror.link)
            self.mirror.connected()
        station = next(iter(self.world.broker.mirror._stations.stations()))  # type: ignore[union-attr]
        topics = (
            NAMES.request("bms-of-nobody", self.chance.choice(("reset", "stop", "unlock_connector", "nonsense"))),
            NAMES.request("a" * 500, ""),
            NAMES.of_connector(station, 1, "status"),
            NAMES.status,
            "homeassistant/status",
            "\x00",
        )
        for _ in range(5):
            junk = Incoming(
                topic=self.chance.choice(topics),
                payload=self.chance.choice(JUNK),
                retain=self.chance.random() < 0.5,
                response_topic=self.chance.choice((None, "homeassistant/device/x/config", "\ud800")),
                correlation=b"\x00" * self.chance.randrange(1000),
            )
            self.mirror.received(junk)

    def _publish(self, mirror: Any, parcel: Parcel) -> None:
        self.taken += 1
        for ticket in (parcel.ticket, parcel.ticket, self.chance.randrange(-5, 5_000)):
            if self.chance.random() < 0.5:
                mirror._outbox.settled(ticket, accepted=self.chance.random() < 0.5)


class Notes:
    """Every decision of the engine, in order."""

    def __init__(self, _world: World) -> None:
        self.decisions: list[str] = []

    def kept(self, before: Any, event: Any, after: Any, effects: Any, now: Any) -> None:
        self.decisions.append(f"{now} {event!r} {effects!r}")

    def __getattr__(self, _name: str) -> Any:
        return lambda *_: None


async def decisions(kind: type[Friendly], seed: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], Any, int]:
    monkeypatch.setattr(world, "Broker", kind)
    site = World(seed, Notes)
    life = Life(site)
    site.start()
    life.go_on()
    site.run(LIFE_S)
    life.end()
    site.run(60)
    assert isinstance(site.watch, Notes)
    assert isinstance(site.broker, kind)
    return site.watch.decisions, site.engine.station, site.broker.taken


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_station_decides_the_same_whatever_the_broker_does(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, station, taken = await decisions(Friendly, seed, monkeypatch)
    assert len(expected) > 100
    assert taken > 10
    for kind in (Dead, Deaf, Refusing, Hostile):
        found, other, _ = await decisions(kind, seed, monkeypatch)
        assert found == expected, kind.__name__
        assert other == station, kind.__name__
