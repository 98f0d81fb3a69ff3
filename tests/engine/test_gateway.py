"""A whole gateway in this process: how it begins, when it is alive, and that its end leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from edged.domain.commands import ReserveNow, ResetKind, ResetStation
from edged.domain.events import Event, Tick
from edged.domain.journal import Journal, SecurityEntry
from edged.domain.provisioning import MAX_CORRECTIONS
from edged.domain.station import Station
from edged.domain.step import step
from edged.domain.types import RequestRef
from edged.engine import Engine
from edged.gateway import DATABASE, RUNNING, Gateway
from edged.local.control import ControlServer, ControlSocketError
from edged.mqtt.event_log import UNKEPT_MAX
from edged.settings import SettingsErrors
from edged.site import load_site
from edged.store import loading, records
from edged.store.opening import open_store
from edged.store.port import Table, Writes
from edged.system.host import EXIT_RESTART
from edged.system.notify import Notifier
from edged.unit import boot_id
from tests.fakes.site import START, station

NOBODY = "127.0.0.1:9"
"""The discard port: refused at once."""


class Ear(Notifier):
    """What the service manager hears."""

    def __init__(self) -> None:
        super().__init__({})
        self.heard: list[str] = []
        self.is_ready = asyncio.Event()

    def _tell(self, message: str) -> None:
        self.heard.append(message)
        if message == "READY=1":
            self.is_ready.set()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="edged-") as name:
        yield Path(name)


class House:
    """Two stations of one charger each, nobody outside. `more`: of the configuration."""

    def __init__(self, folder: Path, **more: object) -> None:
        self.folder = folder
        self.more = more
        self.control = folder / "control.sock"
        self.ear = Ear()
        self.gateway = self.build()

    def build(self) -> Gateway:
        boxes = {
            name: {"profile": "phoenix-charx-sec", "tcp": NOBODY, "unit_id": 1, "point": n}
            for n, name in enumerate(("left", "right"), 1)
        }
        stations = [
            {
                "id": f"CP-{name}",
                "csms": {"url": f"ws://{NOBODY}/ocpp", "versions": ["ocpp1.6"]},
                "evses": [{"charger": name}],
            }
            for name in boxes
        ]
        path = self.folder / "edged.yaml"
        path.write_text(yaml.safe_dump({"gateway": {"id": "gw"}, "chargers": boxes, "stations": stations, **self.more}))
        path.chmod(0o600)
        try:
            settings = load_site(path)
        except SettingsErrors as errors:
            raise AssertionError(str(errors)) from errors
        return Gateway(settings, self.folder / "state", self.control, self.ear)

    async def up(self) -> asyncio.Task[int]:
        running = asyncio.create_task(self.gateway.run())
        ready = asyncio.create_task(self.ear.is_ready.wait())
        await asyncio.wait((running, ready), timeout=30, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if running.done():
            running.result()
        assert self.ear.is_ready.is_set()
        return running

    async def ask(self, command: str, **args: object) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(self.control)
        try:
            writer.write(json.dumps({"command": command, "args": args}).encode() + b"\n")
            async with asyncio.timeout(30):
                return dict(json.loads(await reader.readline()))
        finally:
            writer.close()
            await writer.wait_closed()


@pytest.fixture
def house(folder: Path) -> House:
    return House(folder)


async def test_it_ends_with_the_status_that_somebody_asked_for_and_leaves_nothing_open(house: House):
    running = await house.up()
    house.gateway.leave(75)
    house.gateway.leave(0)  # the first one counts
    assert await asyncio.wait_for(running, 30) == 75
    assert not house.control.exists()
    assert house.ear.heard[-1] == "STOPPING=1"
    opened = open_store(house.folder / "state" / DATABASE, wall=START)
    opened.store.close()
    assert opened.sentences == ()


async def test_it_can_be_begun_again_at_once(house: House):
    for _ in range(3):
        running = await house.up()
        house.gateway.leave(0)
        assert await asyncio.wait_for(running, 30) == 0
        house.ear.is_ready.clear()
        house.gateway = house.build()
    house.gateway._opened.store.close()


async def test_what_matters_little_is_on_the_disk_at_the_end_and_its_numbers_go_on(folder: Path):
    house = House(folder, mqtt={"url": f"mqtt://{NOBODY}"})
    running = await house.up()
    keeper = house.gateway._keeper
    assert keeper is not None
    asked = {"actor": "a", "command": "reset", "id": "1", "outcome": "Accepted", "count": 1}
    last_words = keeper.last_words

    async def last_words_and_one_more() -> None:
        await last_words()
        keeper.tell("command.executed", "local", asked)

    keeper.last_words = last_words_and_one_more  # type: ignore[method-assign]
    house.gateway.leave(0)
    await asyncio.wait_for(running, 30)
    again = house.build()
    assert again._keeper is not None
    assert again._keeper.log.last_seq == keeper.log.last_seq
    *_, last = again._opened.store.events_load(0, 100)
    assert json.loads(last.text)["event_type"] == "command.executed"
    again._opened.store.close()


async def test_a_run_that_ended_without_a_word_may_have_told_of_numbers_that_are_left_out(folder: Path):
    house = House(folder, mqtt={"url": f"mqtt://{NOBODY}"})
    house.gateway._opened.store.set_value(RUNNING, "the last run")
    house.gateway._opened.store.close()
    again = house.build()
    assert again._keeper is not None
    assert again._keeper.log.last_seq == UNKEPT_MAX
    again._opened.store.close()


async def test_it_is_alive_only_when_every_station_is(house: House):
    running = await house.up()
    for unit in house.gateway._units.values():
        unit.ticked = False
    house.ear.heard.clear()
    house.gateway._alive("CP-left")
    house.gateway._alive("CP-left")
    assert house.ear.heard == []
    house.gateway._alive("CP-right")
    house.gateway._alive("CP-right")
    assert house.ear.heard == ["WATCHDOG=1"]
    house.gateway.leave(0)
    await asyncio.wait_for(running, 30)


async def test_a_command_reaches_the_station_that_it_names_and_no_other(house: House):
    running = await house.up()
    reached: list[str] = []
    for name, unit in house.gateway._units.items():
        unit.engine.post = spy(unit.engine, name, reached)  # type: ignore[method-assign]
    order = {"connector": 1, "id_token": "BOB", "expires_at": "2031-01-01T00:00:00Z", "reservation_id": 5}
    answer = await house.ask("reserve_now", station="CP-left", **order)
    assert answer["ok"], answer
    assert reached == ["CP-left"]
    assert not (await house.ask("reserve_now", **order))["ok"]
    assert not (await house.ask("reserve_now", station="CP-nowhere", **order))["ok"]
    assert reached == ["CP-left"]
    house.gateway.leave(0)
    await asyncio.wait_for(running, 30)


def spy(engine: Engine, name: str, reached: list[str]) -> Callable[[Event], bool]:
    def post(event: Event) -> bool:
        if isinstance(event, ReserveNow):
            reached.append(name)
        return engine.inbox.put(event)

    return post


async def test_a_bug_in_one_station_ends_the_whole_daemon_in_good_order(house: House):
    running = await house.up()

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    house.gateway._units["CP-left"].engine._store.difference = broken  # type: ignore[method-assign]
    with pytest.raises(BaseExceptionGroup):
        await asyncio.wait_for(running, 30)
    assert not house.control.exists()
    open_store(house.folder / "state" / DATABASE, wall=START).store.close()


async def test_a_security_log_that_went_with_a_damaged_database_is_reported(folder: Path):
    (folder / "state").mkdir()
    (folder / "state" / DATABASE).write_bytes(b"no database" * 1000)
    house = House(folder)
    running = await house.up()
    async with asyncio.timeout(30):
        while not (logged := [log(house, name) for name in ("CP-left", "CP-right")]) or not all(map(bool, logged)):
            await asyncio.sleep(0.02)
    house.gateway.leave(0)
    await asyncio.wait_for(running, 30)
    assert all("SecurityLogWasCleared" in one for one in logged)


def log(house: House, station: str) -> list[str]:
    """The security log, once something else than the start is in it."""
    entries = house.gateway._opened.store.journal_load(station, Journal.SECURITY, limit=10)
    found = [entry.event_type for entry in entries if isinstance(entry, SecurityEntry)]
    return found if len(found) > 1 else []


async def test_resets_of_one_station_count_for_the_others_whom_they_restart_too(house: House):
    for number in range(3):
        running = await house.up()
        name = ("CP-left", "CP-right", "CP-right")[number]
        engine = house.gateway._units[name].engine
        engine.post(ResetStation(RequestRef("csms", f"r{number}", "Reset"), ResetKind.HARD))
        if number < 2:
            assert await asyncio.wait_for(running, 30) == EXIT_RESTART
            house.ear.is_ready.clear()
            house.gateway = house.build()
    async with asyncio.timeout(30):
        while engine.station.refusal_told_s is None:
            await asyncio.sleep(0.02)
    assert [len(each.resets) for each in (engine.station.resets, other(house, "CP-left").resets)] == [1, 1]
    house.gateway.leave(0)
    assert await asyncio.wait_for(running, 30) == 0
    assert house.gateway._history.document()["runs"][0]["detail"] == "Hard reset of CP-right, ordered by its CSMS"


def other(house: House, name: str) -> Station:
    return house.gateway._units[name].engine.station


async def test_it_does_not_begin_where_another_listens(house: House):
    async def dispatch(command: str, args: dict[str, Any], ident: str | None) -> dict[str, Any]:
        return {"ok": True}

    async with ControlServer(house.control, dispatch):
        with pytest.raises(ControlSocketError):
            await house.gateway.run()
        assert house.control.exists()
    house.gateway._opened.store.close()
    assert "READY=1" not in house.ear.heard


@pytest.mark.parametrize("floor_s", [0, 1_790_000_000])
def test_of_many_runs_without_a_clock_the_corrections_of_the_newest_are_kept(tmp_path: Path, floor_s: int) -> None:
    """They come back from the disk in the order of their names, whatever the random part of those is."""
    store = open_store(tmp_path / DATABASE, wall=START).store
    store.commit("TEST", Writes(put={Table.CORRECTION: {"fa11": {"value": 1.0}}}), START)  # a name of a former release
    runs: list[str] = []
    for number in range(40):
        utc = datetime.fromtimestamp(floor_s + 10 * number, UTC)
        runs.append(boot_id(("c0ffee", "0ddba11", "f00d", "ab1e", "5eed")[number % 5], utc))
        fresh = station(synchronized=False)
        before = loading.load(store.load("TEST"), replace(fresh, boot=replace(fresh.boot, id=runs[-1]))).station
        after = step(before, Tick(), replace(before.clock, synchronized=True)).station
        store.commit("TEST", records.writes(before, after, ()), START)
    found = loading.load(store.load("TEST"), station()).station.corrections
    assert set(found) == set(runs[-MAX_CORRECTIONS:])
    store.close()
