"""Retained topics of a former configuration go, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from edged.mqtt.documents import Document
from edged.mqtt.manifest import FORGET_S, LISTEN_AT_MOST_S, LISTEN_S, Kept, Manifest
from edged.mqtt.mirror import MqttMirror
from edged.mqtt.names import Names
from edged.mqtt.options import PointForm, Protocol
from edged.mqtt.outbox import Outbox

NAMES = Names("edged", "gw1")
PREFIX = "edged/v1/gw1"
STATUS = f"{PREFIX}/status"
INFO = f"{PREFIX}/info"


@dataclass
class Disk:
    """A keeper in memory. What was kept survives its daemon."""

    kept: Kept = field(default_factory=Kept)
    writes: int = 0

    def load(self) -> Kept:
        return self.kept

    def keep(self, kept: Kept) -> None:
        self.kept = kept
        self.writes += 1


class Bench:
    """A manifest on an outbox, with a broker's retained messages for a broker."""

    def __init__(self, disk: Disk, *, shown: tuple[str, ...] = (INFO,), also: Mapping[str, str] | None = None) -> None:
        self.outbox = Outbox()
        self.filters: list[tuple[str, ...]] = []
        self.left: list[tuple[str, ...]] = []
        self.sent: list[str] = []
        self.manifest = Manifest(
            self.outbox, NAMES, disk, listen=self.filters.append, leave=self.left.append, also=also
        )
        self.manifest.recall()
        for topic in shown:
            self.outbox.show(topic, Document(body={"n": 1}))
        self.manifest.begin()

    def connect(self, now_s: float = 0.0, *retained: str) -> None:
        self.outbox.connected(20)
        self.manifest.connected(now_s)
        for topic in retained:
            self.tell(topic, now_s=now_s)

    def tell(self, topic: str, payload: bytes = b"x", *, retain: bool = True, now_s: float = 0.0) -> None:
        self.manifest.received(topic, payload, retain=retain, now_s=now_s)

    def turn(self, now_s: float, *, taken: bool = True) -> None:
        self.manifest.due(now_s, connected=True)
        for parcel in self.outbox.due(now_s):
            if parcel.document.body == "":
                self.sent.append(parcel.topic)
            if taken:
                self.outbox.settled(parcel.ticket)
        self.manifest.due(now_s, connected=True)


def test_what_a_former_run_has_left_and_is_not_shown_any_more_is_deleted() -> None:
    disk = Disk(Kept(topics=frozenset({INFO, STATUS, f"{PREFIX}/station/old/info"})))
    bench = Bench(disk)
    bench.connect()
    bench.turn(LISTEN_S - 0.1)
    assert bench.sent == []
    bench.turn(LISTEN_S)
    assert bench.sent == [f"{PREFIX}/station/old/info"]
    bench.turn(LISTEN_S + 10)
    assert disk.kept.topics == {INFO, STATUS}


def test_what_lies_in_our_own_tree_goes_although_nobody_remembers_it() -> None:
    bench = Bench(Disk())
    bench.connect(0.0, f"{PREFIX}/station/cs9/connector/1/display", INFO, STATUS)
    bench.turn(LISTEN_S)
    assert bench.sent == [f"{PREFIX}/station/cs9/connector/1/display"]


@pytest.mark.parametrize(
    "topic", ["edged/v1/gw10/info", "edged/v1/gw1", "zigbee/lamp", f"{PREFIX}/rpc/bms/request/reset", "homeassistant/x"]
)
def test_nobody_elses_topic_is_touched(topic: str) -> None:
    bench = Bench(Disk())
    bench.connect(0.0, topic)
    bench.turn(LISTEN_S)
    assert bench.sent == []


def test_the_look_never_asks_for_requests_or_for_other_trees() -> None:
    bench = Bench(Disk())
    bench.connect()
    assert all(each.startswith(f"{PREFIX}/") and "/rpc" not in each for each in bench.filters[0])
    assert f"{PREFIX}/#" not in bench.filters[0], "it would bring every request twice"
    bench.turn(LISTEN_S)
    assert bench.left == bench.filters


def test_a_live_message_is_no_left_over() -> None:
    bench = Bench(Disk())
    bench.connect()
    bench.tell(f"{PREFIX}/station/old/info", retain=False)
    bench.tell(f"{PREFIX}/station/older/info", b"")
    bench.turn(LISTEN_S)
    assert bench.sent == []


def test_a_slow_broker_is_heard_out_and_an_endless_one_is_not() -> None:
    bench = Bench(Disk())
    bench.connect()
    for n in range(int(LISTEN_AT_MOST_S)):
        bench.tell(f"{PREFIX}/old-{n}", now_s=n)
        bench.turn(n + 0.5)
        assert bench.left == []
    bench.tell(f"{PREFIX}/late", now_s=LISTEN_AT_MOST_S - 0.1)
    bench.turn(LISTEN_AT_MOST_S)
    assert bench.left != []


def test_the_old_tree_goes_after_a_new_name_for_the_gateway_or_the_root() -> None:
    old = {"site/v1/old/status", "site/v1/old/info", "homeassistant/device/edged-old/cs1-1/config"}
    bench = Bench(Disk(Kept(topics=frozenset(old))))
    bench.connect()
    assert "site/v1/old/status" in bench.filters[0]
    bench.tell("site/v1/old/status", b"offline")
    bench.turn(LISTEN_S)
    assert bench.sent == ["homeassistant/device/edged-old/cs1-1/config"], "Home Assistant forgets before it misses"
    bench.turn(LISTEN_S + FORGET_S - 0.1)
    assert len(bench.sent) == 1
    bench.turn(LISTEN_S + FORGET_S)
    assert set(bench.sent) == old


def test_a_tree_that_another_gateway_lives_in_is_left_to_it() -> None:
    old = {"edged/v1/old/status", "edged/v1/old/info", "homeassistant/device/edged-old/cs1-1/config"}
    disk = Disk(Kept(topics=frozenset({*old, f"{PREFIX}/station/gone/info"})))
    bench = Bench(disk)
    bench.connect()
    bench.tell("edged/v1/old/status", b"online")
    bench.turn(LISTEN_S)
    bench.turn(LISTEN_S + 10)
    assert bench.sent == [f"{PREFIX}/station/gone/info"]
    assert disk.kept.topics == {INFO, STATUS}


def test_further_trees_of_ours_are_looked_through_too() -> None:
    tree = "homeassistant/device/edged-gw1/"
    bench = Bench(Disk(), also={tree: f"{tree}+/config"})
    bench.connect(0.0, f"{tree}cs1-9/config", "homeassistant/device/edged-gw2/cs1-1/config")
    assert f"{tree}+/config" in bench.filters[0]
    bench.turn(LISTEN_S)
    assert bench.sent == [f"{tree}cs1-9/config"]


def test_what_is_shown_is_named_on_the_disk_before_the_broker_gets_it() -> None:
    disk = Disk(Kept(topics=frozenset({"edged/v1/gw1/old"})))
    Bench(disk)
    assert disk.kept.topics == {INFO, STATUS, "edged/v1/gw1/old"}


def test_a_crash_in_the_middle_goes_on_at_the_next_start() -> None:
    disk = Disk(Kept(topics=frozenset({f"{PREFIX}/a", f"{PREFIX}/b"})))
    bench = Bench(disk)
    bench.connect()
    bench.turn(LISTEN_S, taken=False)
    bench.turn(LISTEN_S + 60, taken=False)
    assert {f"{PREFIX}/a", f"{PREFIX}/b"} <= disk.kept.topics
    again = Bench(disk)
    again.connect()
    again.turn(LISTEN_S)
    assert set(again.sent) == {f"{PREFIX}/a", f"{PREFIX}/b"}


def test_what_the_broker_does_not_let_us_delete_is_tried_again_at_the_next_start() -> None:
    disk = Disk(Kept(topics=frozenset({f"{PREFIX}/a"})))
    bench = Bench(disk)
    bench.connect()
    bench.turn(LISTEN_S, taken=False)
    bench.outbox.settled(max(bench.outbox._on_the_way), accepted=False)
    for second in (LISTEN_S + 10, LISTEN_S + 100):
        bench.turn(second)
    assert bench.manifest.deleted == 0
    assert f"{PREFIX}/a" in disk.kept.topics
    assert bench.sent == [f"{PREFIX}/a"], "and not before"


def test_a_lost_connection_does_not_forget_what_was_to_go() -> None:
    bench = Bench(Disk(Kept(topics=frozenset({f"{PREFIX}/a"}))))
    bench.connect()
    bench.turn(LISTEN_S, taken=False)
    bench.outbox.disconnected()
    bench.connect(100.0)
    bench.turn(100.0)
    assert f"{PREFIX}/a" in bench.sent
    assert bench.manifest.deleted == 1


def test_a_look_that_was_cut_short_is_taken_again_and_a_finished_one_is_not() -> None:
    bench = Bench(Disk())
    bench.connect()
    bench.manifest.due(1.0, connected=False)
    bench.connect(10.0)
    bench.turn(10.0 + LISTEN_S)
    bench.connect(50.0)
    assert len(bench.filters) == 2


def test_the_disk_is_written_only_when_there_are_other_topics() -> None:
    disk = Disk(Kept(topics=frozenset({INFO, STATUS})))
    bench = Bench(disk)
    bench.connect()
    for second in range(100):
        bench.outbox.show(INFO, Document(body={"n": second}))
        bench.turn(float(second))
    assert disk.writes == 1  # what was there at the start is compared with nothing
    bench.outbox.show(f"{PREFIX}/new", Document(body={}))
    bench.turn(101.0)
    assert (disk.writes, f"{PREFIX}/new" in disk.kept.topics) == (2, True)


def test_without_a_disk_nothing_is_asked_and_nothing_goes() -> None:
    outbox = Outbox()
    asked: list[Any] = []
    manifest = Manifest(outbox, NAMES, None, listen=asked.append, leave=asked.append)
    assert manifest.recall() == {}
    manifest.begin()
    manifest.connected(0.0)
    manifest.due(10.0, connected=True)
    assert asked == []


def test_a_run_that_ends_in_good_order_leaves_since_when_and_the_last_transaction() -> None:
    disk = Disk()
    bench = Bench(disk, shown=())
    status = {"status": "Available", "since": "s", "previous": "p", "plugged": False}
    ended = {"active": False, "transaction_id": "t1", "ended_at": "e"}
    bench.outbox.show("a", Document(body=status, tracked="status"))
    bench.outbox.show("b", Document(body=ended, lasting="ended_at"))
    bench.outbox.show("c", Document(body={**ended, "ended_at": None}, lasting="ended_at"))
    bench.outbox.show("d", Document(body={"state": "locked"}))
    bench.manifest.end()
    assert disk.kept.histories == {"a": {"status": "Available", "since": "s", "previous": "p"}, "b": ended}
    found = Bench(disk, shown=())
    assert found.manifest.recall() == {}, "who begins has taken them away"


# --- against a broker


Make = Callable[..., MqttMirror]


def online(seen: list[Any]) -> bool:
    return any(s.topic == STATUS and s.payload == b"online" for s in seen)


async def test_a_former_configuration_leaves_nothing_behind_and_ten_thousand_strangers_stay(
    broker: Any, watch: Callable[..., Any], site: Any, make_mirror: Make, protocol: Protocol, until: Any
) -> None:
    strangers = watch(filters=("zigbee/#",))
    for n in range(10_000):
        strangers.client.publish(f"zigbee/device-{n}", b"{}", 0, True)
    strangers.publish(f"{PREFIX}/station/cs0/connector/3/link", b"online", retain=True)
    disk = Disk()
    first = make_mirror(broker.port, protocol, topics_kept=disk, points=PointForm.SCALAR)
    first.start()
    await until(lambda: first.link.connected)
    looker = watch()
    await looker.wait_for(online)
    await first.stop()
    assert sum("/point/" in topic for topic in disk.kept.topics) > 20
    second = make_mirror(broker.port, protocol, topics_kept=disk)
    second.start()
    await until(lambda: not any("/point" in topic for topic in disk.kept.topics), 30.0)
    newcomer = watch(filters=("#",))
    await newcomer.wait_for(lambda seen: sum(s.topic.startswith("zigbee/") for s in seen) == 10_000, 30.0)
    await newcomer.wait_for(online)
    ours = {s.topic for s in newcomer.seen if s.retain and s.topic.startswith(PREFIX)}
    assert ours == disk.kept.topics


async def test_since_when_survives_a_restart_in_good_order(
    broker: Any, integrator: Any, site: Any, make_mirror: Make
) -> None:
    disk = Disk()
    first = make_mirror(broker.port, topics_kept=disk)
    site.observe(1)
    first.start()
    await integrator.wait_for(online)
    since = first.told(f"{PREFIX}/station/cs1/connector/1/status")
    await first.stop()
    site.later(hours=1)
    second = make_mirror(broker.port, topics_kept=disk)
    shown = second.told(f"{PREFIX}/station/cs1/connector/1/status")
    assert since is not None
    assert shown is not None
    assert (shown.body["since"], shown.body["previous"]) == (since.body["since"], since.body["previous"])  # type: ignore[index]
    second.start()
    assert disk.kept.histories == {}, "a run that ends otherwise leaves no history that may be out of date"
