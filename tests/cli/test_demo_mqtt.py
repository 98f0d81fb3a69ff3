"""The demo's witnesses of MQTT: what they must notice of events, of a broker that comes back, of Home Assistant's
devices. Messages are written by hand; the broker that is killed is a real one."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from edged.cli import demo
from edged.cli.demo import accounts, claims, home
from edged.cli.demo.broker import EVENTS, TREE, Broker, Observer, mosquitto
from edged.cli.demo.places import BAY, DISCOVERY, STATION
from edged.cli.demo.stage import Options, Stage
from edged.cli.demo.step import Chapter, Claim, Seen, Step
from edged.cli.demo.story_building import BOTH, BROKER, MEANWHILE
from edged.cli.demo.story_charging import WAKE
from edged.cli.demo.story_commands import BUILDING

PATIENCE_S = 30.0


@pytest.fixture
def observer() -> Observer:
    """One that is connected to nothing."""
    return Observer(0, "test")


@pytest.fixture
def stage(observer: Observer) -> Iterator[Stage]:
    """A stage on which nothing has been started."""
    stage = Stage(Options(speed=1.0, seed=1, broker=False))
    stage.observer = observer
    yield stage
    shutil.rmtree(stage.directory)


def hear(observer: Observer, topic: str, body: object, *, retain: bool = False) -> None:
    """As paho hands it over."""
    message = paho.MQTTMessage(topic=topic.encode())
    message.payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    message.retain = retain
    observer._on_message(observer._client, None, message)


def tell(
    observer: Observer, seq: int, kind: str = "connector.status", *, replayed: bool = False, unexpected: bool = False
) -> None:
    data = {"unexpected": unexpected} if kind == "gateway.started" else {}
    event = {"id": f"7f3a-{seq}", "seq": seq, "event_type": kind, "replayed": replayed, "data": data}
    hear(observer, f"{EVENTS}{kind.partition('.')[0]}", event)


def look(chapter: Chapter, expects: str, stage: Stage) -> Seen:
    """What a claim of a chapter sees."""
    found: Claim = next(one for step in chapter.steps for one in step.claims if expects in one.expects)
    return found.look(stage)


# --- events


def test_an_event_that_comes_again_is_dropped_and_counted(observer: Observer) -> None:
    for seq in (1, 2, 2, 1, 3):
        tell(observer, seq)
    assert [told.seq for told in observer.events] == [1, 2, 3]
    assert observer.repeated == 2


@pytest.mark.parametrize("body", ["not JSON", "[]", '{"id": 7, "seq": 1}', '{"id": "a", "seq": "1"}', "{}"])
def test_what_is_no_event_is_none(observer: Observer, body: str) -> None:
    hear(observer, f"{EVENTS}connector", body)
    assert observer.events == []


@pytest.mark.parametrize(
    ("numbers", "wrong"),
    [
        ((), []),
        ((5, 6, 7), []),
        ((5, 7, 8), ["event 7 came where 6 was to come"]),
        ((5, 7, 6), ["event 7 came where 6 was to come"]),
        ((5, 4), ["event 4 came where 6 was to come"]),
    ],
)
def test_a_missing_event_and_one_out_of_order_are_faults(
    stage: Stage, observer: Observer, numbers: tuple[int, ...], wrong: list[str]
) -> None:
    for seq in numbers:
        tell(observer, seq)
    assert accounts.faults_in_events(stage) == wrong
    assert accounts.totals(stage).proof == tuple(wrong)


@pytest.mark.parametrize(
    ("number", "unexpected", "wrong"),
    [
        (26, True, []),
        (27, True, ["event 27 came where 6 was to come"]),
        (7, False, ["event 7 came where 6 was to come"]),
    ],
)
def test_a_run_behind_a_kill_leaves_so_many_numbers_out_and_no_other_does(
    stage: Stage, observer: Observer, number: int, unexpected: bool, wrong: list[str]
) -> None:
    tell(observer, 5)
    tell(observer, number, "gateway.started", unexpected=unexpected)
    assert accounts.faults_in_events(stage) == wrong


def outage(observer: Observer, stage: Stage, *, numbers: tuple[int, ...] = (3, 4, 5), replayed: bool = True) -> Seen:
    """Two events before it, then those that happened while it lasted."""
    tell(observer, 1)
    tell(observer, 2)
    stage.notes["heard"] = len(observer.events)
    for seq, kind in zip(numbers, MEANWHILE, strict=False):
        tell(observer, seq, kind, replayed=replayed)
    return look(BROKER, "the events of the outage", stage)


def test_the_outage_is_told_when_its_events_come_replayed_and_in_order(stage: Stage, observer: Observer) -> None:
    seen = outage(observer, stage)
    assert seen.ok and seen.words == "3 events replayed, numbers 3 to 5 in order"


@pytest.mark.parametrize("numbers", [(), (3, 4), (4, 5, 6), (3, 5, 6), (4, 3, 5)])
def test_a_gap_in_what_is_told_of_the_outage_is_seen(
    stage: Stage, observer: Observer, numbers: tuple[int, ...]
) -> None:
    assert not outage(observer, stage, numbers=numbers).ok


def test_events_that_are_not_marked_as_replayed_are_not_those_of_the_outage(stage: Stage, observer: Observer) -> None:
    assert not outage(observer, stage, replayed=False).ok


def test_topics_that_are_missing_after_the_outage_are_seen(stage: Stage, observer: Observer) -> None:
    stage.notes |= {"kept": {f"{TREE}/status", f"{TREE}/info"}, "survivor": observer}
    hear(observer, f"{TREE}/status", "online", retain=True)
    hear(observer, f"{TREE}/info", {"v": 1})
    assert look(BROKER, "all topics retained", stage) == Seen(False, "1 of 2 topics retained")
    hear(observer, f"{TREE}/info", {"v": 1}, retain=True)
    assert look(BROKER, "all topics retained", stage).ok


# --- Home Assistant


def device(*, name: str = "gateway", above: str = "", topic: str = "status") -> tuple[str, dict[str, Any]]:
    """A document with one entity that shows a topic, and an event entity."""
    about = {"ids": [name], **({"via_device": above} if above else {})}
    entities = {"a": {"p": "sensor", "stat_t": f"{TREE}/{topic}"}, "b": {"p": "event", "stat_t": f"{EVENTS}ocpp"}}
    document = {"dev": about, "avty": [{"t": f"{TREE}/status"}], "cmps": entities}
    return f"{DISCOVERY}/device/edged-demo/{name}/config", document


@pytest.fixture
def at_home(observer: Observer) -> Observer:
    """Every device is there, and what it shows."""
    hear(observer, f"{TREE}/status", "online", retain=True)
    for number in range(home.DEVICES):
        hear(observer, *device(name=f"device-{number}", above="device-0" if number else ""), retain=True)
    return observer


def test_home_assistant_finds_every_device_whole(at_home: Observer) -> None:
    seen = home.judge(at_home)
    assert seen.ok and seen.words == f"Home Assistant: {home.DEVICES} devices, {2 * home.DEVICES} entities"


@pytest.mark.parametrize("wrong", [{"topic": "link"}, {"above": "nobody"}])
def test_a_device_that_names_what_is_not_there_is_seen(at_home: Observer, wrong: dict[str, Any]) -> None:
    hear(at_home, *device(name="device-1", **wrong), retain=True)
    assert "would miss" in home.judge(at_home).words and not home.judge(at_home).ok


def test_a_device_that_is_missing_is_seen(observer: Observer) -> None:
    hear(observer, f"{TREE}/status", "online", retain=True)
    hear(observer, *device(), retain=True)
    assert home.judge(observer).words.startswith("Home Assistant: 1 devices")
    assert not home.judge(observer).ok


# --- limits of two


@pytest.mark.parametrize("member", ["local_limit_a", "csms_limit_a", "effective_a"])
def test_a_limit_that_is_told_wrong_is_seen(stage: Stage, observer: Observer, member: str) -> None:
    topic, told = (
        f"{TREE}/station/{STATION}/connector/{BAY.connector}/limit",
        {"local_limit_a": 8, "csms_limit_a": 12, "effective_a": 8},
    )
    hear(observer, topic, told)
    assert look(BOTH, "local_limit_a=8", stage).ok
    hear(observer, topic, told | {member: 16})
    assert not look(BOTH, "local_limit_a=8", stage).ok


# --- a broker that goes and comes back


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    binary = mosquitto()
    assert binary is not None
    broker = Broker(binary, tmp_path)
    await broker.start()
    yield broker
    await broker.stop()


async def test_a_killed_broker_comes_back_at_its_port_with_nothing_kept(broker: Broker) -> None:
    before = Observer(broker.port, "before")
    await before.start()
    before._client.publish(f"{TREE}/status", "online", qos=1, retain=True).wait_for_publish(PATIENCE_S)
    await broker.kill()
    await before.outlive()
    assert broker.exit_status == -9
    assert not before.listening
    assert before.text("status") == "online"
    await broker.start_again()
    await before.start(patience_s=PATIENCE_S)
    after = Observer(broker.port, "after")
    await after.start()
    assert after.retained == {}
    await before.stop()
    await after.stop()


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the demo makes its directory, and leaves it after a story gone wrong."""
    directory = Path(tempfile.mkdtemp(prefix="ed-"))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield directory
    shutil.rmtree(directory)


@pytest.mark.usefixtures("scratch")
def test_a_chapter_that_loses_the_broker_does_not_take_it_from_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    async def lose(stage: Stage) -> None:
        assert stage.broker is not None and stage.observer is not None
        await stage.broker.kill()
        await stage.observer.outlive()

    claim = claims.process("the broker", lambda stage: Seen(False, "it is gone"))
    wreck = Chapter(title="Wreck", steps=(Step(sentence="no broker", act=lose, claims=(claim,), timeout_s=0.5),))
    assert demo.main([], story=(WAKE, wreck, BUILDING)) == 1
    told = capsys.readouterr().out
    assert told.count("ok        The building asks over MQTT") == len(BUILDING.steps)
