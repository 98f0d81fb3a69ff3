"""Between the log and the disk: what the gateway tells of itself, what a failing disk does, what goes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edged.domain.events import Tick
from edged.domain.types import Now
from edged.happenings import DELIVERED_EVERY_S, FLUSH_S, SpoolKeeper, TellingStore
from edged.mqtt.commands import Code, Problem
from edged.mqtt.event_history import MAX_EVENTS_CHARS, EventHistory
from edged.mqtt.event_log import REPEATED_AT_MOST, EventLog
from edged.mqtt.events import Happening
from edged.mqtt.gateway_documents import GatewayView
from edged.mqtt.options import IdTokenPolicy
from edged.ports import StoreError
from edged.store.memory import MemoryStore
from edged.store.port import SpoolBounds, SpooledEvent
from edged.store.station_store import StationStore
from tests.fakes import mqtt_contract
from tests.fakes.site import station

NOON = datetime(2026, 8, 22, 10, 0, tzinfo=UTC)
GATEWAY = GatewayView(version="1.2", boot_id="b1", started_at=NOON, synchronized=True, config_hash="abc")


@dataclass
class Clock:
    utc: datetime = NOON
    monotonic_s: float = 100.0
    synchronized: bool = True

    def now(self) -> Now:
        return Now(self.utc, self.monotonic_s, self.synchronized)

    def learn(self, utc: datetime) -> None:
        self.utc = utc


class Disk(MemoryStore):
    """Refuses events while `full`."""

    full = False

    def events_add(self, events: Any, delivered: int | None = None) -> None:
        if self.full:
            raise StoreError("full")
        super().events_add(events, delivered)


class Scene:
    def __init__(self, executor: ThreadPoolExecutor, bounds: SpoolBounds) -> None:
        self.disk, self.clock = Disk(), Clock()
        self.log = EventLog("b1", policy=IdTokenPolicy.MASKED, salt="gw1")
        self.keeper = SpoolKeeper(self.disk, self.log, executor, self.clock, bounds)

    def told(self) -> list[dict[str, Any]]:
        """What the disk has, each as the contract says."""
        found = [json.loads(one.text) for one in self.disk.events_load(0, 100_000)]
        for body in found:
            payload = json.dumps({**body, "replayed": True}).encode()
            topic = f"edged/v1/gw1/event/{body['event_type'].partition('.')[0]}"
            mqtt_contract.contract().judge(topic, payload, qos=1, retain=False)
        return found

    def kinds(self) -> list[str]:
        return [body["event_type"] for body in self.told()]

    async def history(self, after_seq: int, limit: int) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        EventHistory(self.keeper.kept, self.clock).read(after_seq, limit, lambda page, _: answer.set_result(page))
        return await answer


@pytest.fixture
def executor() -> Any:
    with ThreadPoolExecutor(max_workers=1) as one:
        yield one


@pytest.fixture
async def scene(executor: ThreadPoolExecutor) -> AsyncIterator[Scene]:
    yield Scene(executor, SpoolBounds(max_rows=300))


async def test_a_run_that_begins_is_told_once_for_the_gateway(scene: Scene) -> None:
    scene.keeper.began(GATEWAY, unexpected=True, reloaded=False)
    await scene.keeper.flush()
    (body,) = scene.told()
    assert (body["event_type"], body["station"], body["source"]) == ("gateway.started", None, None)
    assert body["data"] == {"version": "1.2", "boot_id": "b1", "unexpected": True}


async def test_a_run_with_another_configuration_says_so(scene: Scene) -> None:
    scene.keeper.began(GATEWAY, unexpected=False, reloaded=True)
    await scene.keeper.flush()
    assert scene.kinds() == ["gateway.started", "gateway.config_reloaded"]
    assert scene.told()[1]["data"] == {"outcome": "changed", "config_hash": "abc"}


async def test_a_step_of_the_clock_is_told_with_how_far_it_was(scene: Scene) -> None:
    running = asyncio.create_task(scene.keeper.run())
    scene.clock.utc += timedelta(hours=2)
    scene.clock.monotonic_s += 1.0
    async with asyncio.timeout(30):
        while not scene.disk.events_state().rows:
            await asyncio.sleep(0.01)
    running.cancel()
    (body,) = scene.told()
    assert (body["event_type"], body["data"]) == ("gateway.clock_stepped", {"offset_s": 7199.0})


LITTLE = ("command.executed", "local", {"actor": "a", "command": "reset", "id": "1", "outcome": "Accepted", "count": 1})


async def test_what_matters_little_goes_to_the_disk_where_the_broker_does_not_have_it(scene: Scene) -> None:
    scene.keeper.tell(*LITTLE)
    await scene.keeper.flush()
    assert scene.kinds() == [], "a broker that is there has it in no time"
    scene.clock.monotonic_s += FLUSH_S
    await scene.keeper.flush()
    assert scene.kinds() == ["command.executed"]


async def test_what_matters_little_and_the_broker_has_goes_along_with_the_next_commit(scene: Scene) -> None:
    scene.keeper.tell(*LITTLE)
    scene.log.delivered(scene.log.ready_seq)
    scene.clock.monotonic_s += 3600.0
    await scene.keeper.flush()
    assert scene.kinds() == []
    scene.keeper.note("gateway.stopping")
    await scene.keeper.flush()
    assert scene.kinds() == ["command.executed", "gateway.stopping"]


async def test_the_end_of_a_run_keeps_what_waits_however_little_it_matters(scene: Scene) -> None:
    scene.keeper.tell(*LITTLE)
    await scene.keeper.last_words()
    assert scene.kinds() == ["command.executed"]


async def test_what_comes_behind_the_last_words_is_kept_or_the_end_is_none(scene: Scene) -> None:
    scene.keeper.tell(*LITTLE)
    scene.disk.full = True
    with pytest.raises(StoreError):
        scene.keeper.keep_now()
    scene.keeper.tell(*LITTLE)
    scene.disk.full = False
    scene.keeper.keep_now()
    assert scene.kinds() == ["command.executed", "command.executed"]


async def test_who_asks_for_what_happened_gets_what_was_told_and_is_on_no_disk_yet(scene: Scene) -> None:
    scene.keeper.note("gateway.stopping")
    await scene.keeper.flush()
    scene.keeper.tell(*LITTLE)
    scene.keeper.tell(*LITTLE)
    page = await scene.history(0, 10)
    assert [event["seq"] for event in page["events"]] == [1, 2, 3]
    assert (page["last_seq"], page["more"]) == (3, False)
    first = await scene.history(0, 2)
    assert ([event["seq"] for event in first["events"]], first["more"]) == ([1, 2], True)
    last = await scene.history(2, 2)
    assert ([event["seq"] for event in last["events"]], last["more"]) == ([3], False)


async def test_what_a_full_disk_refuses_waits_and_is_kept_later(scene: Scene) -> None:
    scene.disk.full = True
    scene.keeper.note("gateway.stopping")
    await scene.keeper.flush()
    assert (scene.log.waiting, scene.log.kept_seq) == (1, 0)
    scene.disk.full = False
    await scene.keeper.flush()
    assert scene.kinds() == ["gateway.stopping"]
    assert scene.log.kept_seq == 1


async def test_a_disk_that_hangs_delays_no_goodbye_and_loses_nothing_of_the_end(
    scene: Scene, executor: ThreadPoolExecutor
) -> None:
    hangs = threading.Event()
    executor.submit(hangs.wait)
    scene.keeper.note("gateway.clock_stepped", offset_s=3.0)
    try:
        async with asyncio.timeout(30):
            await scene.keeper.ends()
        assert scene.kinds() == []
    finally:
        hangs.set()
    await asyncio.get_running_loop().run_in_executor(executor, lambda: None)
    assert scene.kinds() == ["gateway.clock_stepped", "gateway.stopping"]


async def test_what_had_to_go_is_told_once_with_its_numbers(scene: Scene) -> None:
    for _ in range(350):
        scene.keeper.tell("command.executed", "local", _command())
    await scene.keeper.flush()
    await scene.keeper.flush()
    assert scene.kinds().count("gateway.spool_overflow") == 1
    assert scene.told()[-1]["data"] == {"from_seq": 1, "to_seq": 50, "count": 50}
    assert (scene.log.lost, scene.log.first_seq) == (50, 51)


async def test_what_found_no_room_in_memory_is_told_when_the_disk_is_back(scene: Scene) -> None:
    scene.keeper._bounds = SpoolBounds()
    scene.disk.full = True
    for _ in range(1_003):
        scene.keeper.tell("command.executed", "local", _command())
    await scene.keeper.flush()
    scene.disk.full = False
    await scene.keeper.flush()
    await scene.keeper.flush()
    assert scene.log.lost >= 3
    told = [body["data"]["count"] for body in scene.told() if body["event_type"] == "gateway.spool_overflow"]
    assert sum(told) == scene.log.lost


async def test_what_was_delivered_is_not_a_loss(scene: Scene) -> None:
    for _ in range(350):
        scene.keeper.tell("command.executed", "local", _command())
    await scene.keeper.flush()
    scene.log.delivered(350)
    await scene.keeper.flush(told=True)
    assert scene.disk.events_state().delivered == 350
    before = scene.log.lost
    for _ in range(200):
        scene.keeper.tell("command.executed", "local", _command())
    await scene.keeper.flush()
    assert scene.log.lost == before


async def test_how_far_the_broker_is_goes_to_the_disk_again_after_a_failure(scene: Scene) -> None:
    scene.keeper.note("gateway.stopping")
    await scene.keeper.flush()
    scene.log._last_seq = scene.log._kept_seq = 100
    scene.disk.full = True
    scene.log.delivered(REPEATED_AT_MOST)
    await scene.keeper.flush(told=True)
    assert scene.log.delivered_kept_seq == 0
    scene.disk.full = False
    await scene.keeper.flush()
    assert scene.log.delivered_kept_seq == REPEATED_AT_MOST


async def test_how_far_the_broker_is_has_a_commit_of_its_own_a_day_behind_the_last_one(scene: Scene) -> None:
    scene.keeper.note("gateway.stopping")
    await scene.keeper.flush()
    scene.log.delivered(1)
    scene.clock.monotonic_s += DELIVERED_EVERY_S - 1
    scene.log.delivery_kept(0)
    await scene.keeper.flush()
    assert scene.disk.events_state().delivered == 0
    scene.clock.monotonic_s += 1
    await scene.keeper.flush()
    assert scene.disk.events_state().delivered == 1


async def test_how_far_the_broker_is_needs_no_commit_where_it_went_along_with_a_step(scene: Scene) -> None:
    for _ in range(2):
        scene.keeper.note("gateway.stopping")
    await scene.keeper.flush()
    scene.log.delivered(2)
    scene.clock.monotonic_s += DELIVERED_EVERY_S - 1
    scene.log.delivery_kept(1)
    await scene.keeper.flush()
    scene.clock.monotonic_s += 2
    await scene.keeper.flush()
    assert scene.disk.events_state().delivered == 0


async def test_the_age_of_what_waits_for_the_broker_is_known(scene: Scene) -> None:
    scene.keeper.note("gateway.stopping")
    await scene.keeper.flush()
    scene.keeper._oldest_at_s = -1000.0
    await scene.keeper._look_back()
    async with asyncio.timeout(30):
        while scene.log.oldest_at is None:
            await asyncio.sleep(0.01)
    assert scene.log.state.oldest_at == NOON
    scene.log.delivered(1)
    assert scene.log.state.oldest_at is None


# --- around a station's store


def test_what_waits_goes_along_with_what_a_station_keeps_and_how_far_the_broker_is_too() -> None:
    disk, site = MemoryStore(), station()
    log = EventLog("b1", policy=IdTokenPolicy.MASKED, salt="gw1", last_seq=REPEATED_AT_MOST)
    store = TellingStore(StationStore(disk, "TEST"), log, "TEST")
    log.delivered(REPEATED_AT_MOST // 4)
    (event,) = log.number([Happening(kind="connector.link", at=NOON, synchronized=True)])
    log.defer([event], 0.0)
    after = replace(site, local_list_version=7)
    store.commit(store.difference(site, after, (), Tick()), NOON)
    state = disk.events_state()
    assert (state.last, state.delivered) == (event.seq, REPEATED_AT_MOST // 4)
    assert log.delivered_kept_seq == REPEATED_AT_MOST // 4


def test_what_waits_follows_what_a_station_has_kept_for_its_age() -> None:
    log = EventLog("b1", policy=IdTokenPolicy.MASKED, salt="gw1")
    store = TellingStore(StationStore(MemoryStore(), "TEST"), log, "TEST")
    log.defer(log.number([Happening(kind="connector.link", at=NOON, synchronized=True)]), 0.0)
    log.delivered(1)
    assert not store.keep(NOON)
    assert not log.due(0.0)
    assert store.keep(NOON, anyway=True)
    assert log.due(0.0)


# --- get_events


async def test_a_late_joiner_reads_the_events_page_by_page(scene: Scene) -> None:
    for _ in range(5):
        scene.keeper.note("gateway.stopping")
    await scene.keeper.flush()
    scene.keeper.note("gateway.stopping")  # on no disk yet: nobody may know of it
    first = await scene.history(0, 3)
    assert ([e["seq"] for e in first["events"]], first["more"]) == ([1, 2, 3], True)
    assert (first["first_seq"], first["last_seq"]) == (1, 5)
    assert all(event["replayed"] for event in first["events"])
    last = await scene.history(3, 3)
    assert ([e["seq"] for e in last["events"]], last["more"]) == ([4, 5], False)


async def test_there_may_be_nothing_to_read(scene: Scene) -> None:
    assert await scene.history(0, 10) == {"events": [], "first_seq": None, "last_seq": None, "more": False}


async def test_a_page_is_no_larger_than_a_message_may_be(scene: Scene) -> None:
    for _ in range(400):
        scene.keeper.tell("command.executed", "local", {**_command(), "outcome": "x" * 1_900})
    await scene.keeper.flush()
    first = scene.log.first_seq
    page = await scene.history(0, 500)
    assert page["more"]
    assert len(json.dumps(page)) < MAX_EVENTS_CHARS * 1.1
    assert page["events"][0]["seq"] == first


async def test_an_event_that_was_damaged_is_left_out_of_a_page(scene: Scene) -> None:
    for _ in range(3):
        scene.keeper.note("gateway.stopping")
    await scene.keeper.flush()
    scene.disk._events[2] = SpooledEvent(seq=2, at=None, rank=77, text="[]")
    page = await scene.history(0, 10)
    assert [e["seq"] for e in page["events"]] == [1, 3]


async def test_without_a_broker_in_the_configuration_there_are_no_events() -> None:
    found: list[Any] = []
    EventHistory(None, Clock()).read(0, 10, lambda page, _: found.append(page))
    assert isinstance(found[0], Problem)
    assert found[0].code is Code.NOT_SUPPORTED


async def test_a_disk_that_cannot_be_read_is_said_to_whoever_asks(scene: Scene) -> None:
    scene.disk.close()
    assert (await scene.history(0, 10)).code is Code.INTERNAL


def _command() -> dict[str, Any]:
    return {"actor": "a", "command": "reset", "id": "1", "outcome": "Accepted", "count": 1}
