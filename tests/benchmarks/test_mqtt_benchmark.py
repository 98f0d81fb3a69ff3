"""That the MQTT benchmark judges rightly, and that a site of edged's does not say more than it should."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from benchmarks import mqtt_load
from benchmarks.mqtt_events import Outcome, judge
from benchmarks.mqtt_load import Site
from benchmarks.mqtt_site import GATEWAY, NAMES, Stations
from edged.domain.types import Now
from edged.mqtt.outbox import WINDOW, Outbox
from edged.mqtt.picture import Picture
from edged.mqtt.topics import topics


@pytest.mark.parametrize(
    ("heard", "outcome"),
    [
        ([0, 1, 2, 3], Outcome(lost=0, duplicates=0, reordered=0)),
        ([0, 1, 1, 2, 3, 0], Outcome(lost=0, duplicates=2, reordered=0)),
        ([0, 2, 1, 3], Outcome(lost=0, duplicates=0, reordered=1)),
        ([0, 3], Outcome(lost=2, duplicates=0, reordered=0, kept_back=1)),
        ([], Outcome(lost=4, duplicates=0, reordered=0, kept_back=2)),
    ],
)
def test_a_run_is_judged_by_what_came_first_of_each(heard: list[int], outcome: Outcome) -> None:
    acknowledged = 2 if outcome.kept_back else 0
    assert judge(heard, 4, acknowledged=acknowledged) == outcome


class StepClock:
    """Ten a.m. and so many seconds."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0

    def now(self) -> Now:
        return Now(GATEWAY.started_at + timedelta(seconds=self.elapsed_s), 1000.0 + self.elapsed_s, True)

    def learn(self, utc: object) -> None: ...


@pytest.mark.parametrize(("connectors", "charging", "at_most"), [(20, 4, 3.0), (20, 0, 1.0)])
async def test_twenty_connectors_of_which_four_charge_say_three_things_a_second_at_most(
    connectors: int, charging: int, at_most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is read once a second with noise on every value; two minutes."""
    clock = StepClock()
    monkeypatch.setattr(mqtt_load, "RealClock", lambda: clock)
    site, outbox = Site(connectors, charging), Outbox()
    picture = Picture(outbox, NAMES, described_at=GATEWAY.started_at)
    site.begin()
    outbox.connected(WINDOW)
    shown = replace(Stations().shown("BENCH"))
    sent = 0
    for second in range(180):
        clock.elapsed_s = float(second)
        for n in site.station.connectors:
            site.look(n)
        picture.show("BENCH", topics(site.station, shown), clock.now().monotonic_s)
        picture.due(clock.now())
        while parcels := outbox.due(clock.now().monotonic_s):
            sent += len(parcels) * (second >= 60)
            for parcel in parcels:
                outbox.settled(parcel.ticket)
        await asyncio.sleep(0)
    assert 0 < sent / 120 <= at_most
