"""A transaction's energy: what it is worth, and that it is never dated anew; also behind a restart of the daemon."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from edged.domain.events import Tick
from edged.domain.hardware import ChargerState, Measurand, Meter
from edged.mqtt.documents import Document, encode, timestamp
from edged.mqtt.names import Names
from edged.mqtt.points import QUALITY, Reading, readings
from edged.mqtt.throttle import Throttle
from edged.mqtt.topics import Shown, topics
from tests.fakes.site import Site

NAMES = Names("edged", "gw1")


def read(site: Site, energy_wh: float) -> None:
    """The charger tells its register."""
    site.look(1, ChargerState.CHARGING, plugged=True, meter=Meter(energy_wh=energy_wh))


def charging(site: Site, *, started_wh: float = 1_000.0, read_wh: float = 3_000.0) -> datetime:
    """Returns when the register was read last."""
    site.look(1, ChargerState.AVAILABLE, meter=Meter(energy_wh=started_wh))
    site.start(1)
    site.wait(60, looks=False)
    read(site, read_wh)
    site.do(Tick())
    return site.now.utc


def document(site: Site, aspect: str = "transaction") -> Document:
    return topics(site.station, Shown(names=NAMES))[f"edged/v1/gw1/station/TEST/connector/1/{aspect}"]


def used(site: Site) -> tuple[Any, Any, Any]:
    body = document(site).body
    assert not isinstance(body, str)
    return body["energy_wh"], body["energy_quality"], body["energy_at"]


def point(site: Site) -> Reading:
    every = topics(site.station, Shown(names=NAMES))
    place = NAMES.of_connector("TEST", 1, "")
    return readings({t.removeprefix(place): d for t, d in every.items() if t.startswith(place)})[
        "transaction_energy_wh"
    ]


def test_while_the_charger_answers_the_energy_is_good_and_as_old_as_its_document() -> None:
    site = Site.build(1)
    charging(site)
    assert used(site) == (2_000, "good", None)


def test_a_charger_that_falls_silent_leaves_the_energy_with_its_time() -> None:
    site = Site.build(1)
    at = charging(site)
    site.wait(30, looks=False)
    site.lose(1)
    assert used(site) == (2_000, "stale", timestamp(at))


def test_behind_a_restart_a_silent_chargers_energy_is_what_the_disk_has_with_its_own_time(contract: Any) -> None:
    site = Site.build(1)
    at = charging(site)
    site.restart(continued=True)
    site.wait(30, looks=False)
    assert used(site) == (2_000, "stale", timestamp(at))
    assert point(site) == Reading(2_000, QUALITY["stale"], at)
    meter = document(site, "meter").body
    assert not isinstance(meter, str)
    assert (meter["energy_wh"], meter["quality"]) == (None, "stale"), "a register that was told never falls"
    contract.check(f"{NAMES.prefix}/station/TEST/connector/1/transaction", encode(document(site)))


def test_what_was_too_little_to_be_written_is_not_shown_as_known() -> None:
    site = Site.build(1)
    at = charging(site)
    site.wait(1, looks=False)
    read(site, 3_001.0)
    site.restart(continued=True)
    assert used(site) == (2_000, "stale", timestamp(at))


def test_the_chargers_own_word_replaces_what_the_disk_had() -> None:
    site = Site.build(1)
    charging(site)
    site.restart(continued=True)
    read(site, 3_040.0)
    assert used(site) == (2_040, "good", None)


def test_a_charger_that_answers_without_its_register_has_what_the_disk_had_put_in_its_place() -> None:
    site = Site.build(1)
    at = charging(site)
    site.restart(continued=True)
    site.look(1, ChargerState.CHARGING, plugged=True, meter=Meter(power_w=7_000.0))
    assert used(site) == (2_000, "substituted", timestamp(at))


def test_a_charger_without_a_register_has_used_nobody_knows_what() -> None:
    site = Site.build(1)
    charging(site)
    site.restart(continued=True)
    bare = site.station.connectors[1]
    layout = replace(bare.layout, measurands=bare.layout.measurands - {Measurand.ENERGY})
    site.station = replace(site.station, connectors={1: replace(bare, layout=layout)})
    assert used(site) == (None, None, None)


def test_a_register_that_was_not_read_in_this_run_is_unknown_and_not_nothing() -> None:
    site = Site.build(1)
    site.look(1, ChargerState.AVAILABLE, meter=Meter())
    site.station = replace(site.station, connectors={1: replace(site.station.connectors[1], energy_wh=None)})
    site.start(1)
    site.station = replace(site.station, connectors={1: replace(site.station.connectors[1], energy_wh=None)})
    assert used(site) == (None, None, None)


def test_the_bill_is_good_also_where_the_charger_is_silent() -> None:
    site = Site.build(1)
    charging(site)
    site.restart(continued=False, found=False)
    site.wait(120, looks=False)
    assert site.station.running(1) is None
    assert used(site) == (2_000, "good", None)


@pytest.mark.parametrize("seconds", [1, 10, 30])
def test_silence_is_told_once(seconds: int) -> None:
    """The energy of a silent charger is no news a second time: its time stands still."""
    site = Site.build(1)
    charging(site)
    site.restart(continued=True)
    throttle = Throttle()
    assert throttle.admit("t", document(site), 0.0, busy=True)
    site.wait(seconds, looks=False)
    assert not throttle.admit("t", document(site), float(seconds), busy=True)
