"""The commands that only local people have, over a real broker: what they answer and what is shown of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged.domain.commands import SetConfiguration
from edged.domain.configuration import ConfigKey, KeyKind
from edged.domain.hardware import Capability, LockState
from edged.domain.journal import Direction, TransferEntry
from edged.domain.types import RequestRef, Stamp
from edged.mqtt.conversion import MAX_LISTED_CHARS
from edged.mqtt.options import CommandOptions, Protocol

PREFIX = "edged/v1/gw1"
STATION = f"{PREFIX}/station/cs1"
REPLY = f"{PREFIX}/rpc/bms-op/reply/"


@pytest.fixture
async def caller(broker: Any, watch: Callable[..., Any], site: Any, make_mirror: Any, protocol: Protocol) -> Any:
    custom = ConfigKey(name="BadgeText", kind=KeyKind.TEXT, default="hello", maximum=10, custom=True)
    configuration = replace(site.station.configuration, custom={"badgetext": custom})
    site.station = replace(site.station, configuration=configuration)
    site.observe(1)
    site.observe(2)
    make_mirror(broker.port, protocol).start()
    integrator = watch(v5=protocol is Protocol.V5)
    await integrator.wait_for(lambda seen: any(s.payload == b"online" for s in seen if s.topic == f"{PREFIX}/status"))
    return integrator


async def test_ocpp_is_stopped_and_started_and_shown_so(caller: Any) -> None:
    assert (await caller.call("stop")).json["result"] is True
    await caller.payload(f"{STATION}/ocpp/connection", lambda s: s.json["state"] == "stopped")
    assert (await caller.call("stop", nth=2)).json["result"] is False
    assert (await caller.call("security_event", {"args": {"type": "Door"}})).json["error"]["code"] == "csms_offline"
    assert (await caller.call("restart")).json["result"] is True
    await caller.payload(f"{STATION}/ocpp/connection", lambda s: s.json["state"] != "stopped")
    assert (await caller.call("security_event", {"args": {"type": "Door"}}, nth=2)).json["result"] == {"queued": True}


async def test_watched_keys_are_retained_with_who_changed_them(caller: Any, site: Any) -> None:
    keys = ["ConnectionTimeOut", "AuthorizationKey", "BadgeText", "Nonsense"]
    answer = (await caller.call("monitor_configuration_keys", {"args": {"keys": keys}})).json["result"]
    assert answer == {"monitored": ["AuthorizationKey", "BadgeText", "ConnectionTimeOut"], "unknown_keys": ["Nonsense"]}
    topic = f"{STATION}/ocpp/config/ConnectionTimeOut"
    first = await caller.payload(topic)
    assert first.json["changed_by"] is None
    secret = await caller.payload(f"{STATION}/ocpp/config/AuthorizationKey")
    assert (secret.json["value"], secret.json["redacted"]) == (None, True)
    site.happen(SetConfiguration(RequestRef("csms", "1", "x"), "ConnectionTimeOut", "99"))
    changed = await caller.payload(topic, lambda s: s.json["value"] == "99")
    assert changed.json["changed_by"] == "csms"
    ours = {"args": {"key": "BadgeText", "value": "hi"}}
    assert (await caller.call("set_custom_configuration_key", ours)).json["result"] == {"status": "Accepted"}
    badge = await caller.payload(f"{STATION}/ocpp/config/BadgeText", lambda s: s.json["value"] == "hi")
    assert badge.json["changed_by"] == "mqtt:bms-op"
    standard = {"args": {"key": "ConnectionTimeOut", "value": "1"}}
    refused = (await caller.call("set_custom_configuration_key", standard, nth=2)).json["result"]
    assert refused["status"] == "Rejected"


async def test_a_local_limit_is_shown_beside_the_others(caller: Any) -> None:
    assert (await caller.call("set_limit", {"args": {"connector": 1, "limit_a": 10}})).json["result"] == {
        "status": "Accepted"
    }
    shown = await caller.payload(f"{STATION}/connector/1/limit", lambda s: s.json["source"] == "local")
    assert (shown.json["local_limit_a"], shown.json["effective_a"]) == (10, 0), "this charger can only stop"
    await caller.call("set_limit", {"args": {"limit_a": 8}}, nth=2)
    await caller.payload(f"{STATION}/connector/2/limit", lambda s: s.json["local_limit_a"] == 8)
    await caller.call("clear_limit", {"args": {"connector": 0}})
    await caller.call("clear_limit", {"args": {"connector": 1}}, nth=2)
    await caller.payload(f"{STATION}/connector/1/limit", lambda s: s.json["source"] == "installation")


async def test_a_lock_is_answered_when_the_charger_has_said_so(caller: Any, site: Any) -> None:
    connector = site.station.connectors[1]
    able = connector.capabilities | {Capability.LOCK_CONTROL}
    changed = replace(connector, capabilities=able, layout=replace(connector.layout, capabilities=able))
    site.station = replace(site.station, connectors={**site.station.connectors, 1: changed})
    caller.publish(f"{PREFIX}/rpc/bms-op/request/set_lock", {"id": "l", "args": {"connector": 1, "state": "locked"}})
    for _ in range(1000):
        if site.station.pending:
            break
        await asyncio.sleep(0.01)
    site.observe(1, lock=LockState.LOCKED)
    answer = await caller.payload(REPLY + "set_lock")
    assert answer.json["result"] == {"status": "Accepted"}
    missing = await caller.call("set_lock", {"args": {"connector": 2, "state": "locked"}}, nth=2)
    assert missing.json["result"]["status"] == "NotSupported"
    fault = await caller.call("clear_fault", {"args": {"connector": 1}})
    assert fault.json["result"]["status"] == "Rejected"


async def test_republish_sends_every_retained_document_again(caller: Any) -> None:
    topics = {s.topic for s in caller.seen if "/station/" in s.topic}
    before = len(caller.seen)
    answer = await caller.call("republish")
    assert answer.json["result"]["topics"] >= len(topics) > 10
    await caller.wait_for(lambda seen: topics <= {s.topic for s in seen[before:]})


async def test_republish_says_online_again_behind_the_rest_to_whom_somebody_has_told_otherwise(caller: Any) -> None:
    retained = {s.topic for s in caller.seen if "/station/" in s.topic or s.topic.endswith(("/gw1/info", "/health"))}
    before = len(caller.seen)
    caller.client.publish(f"{PREFIX}/status", b"offline", 1, True)
    await caller.wait_for(lambda seen: any(s.payload == b"offline" for s in seen[before:]))
    answer = await caller.call("republish")
    seen = await caller.wait_for(
        lambda seen: seen[-1].topic == f"{PREFIX}/status" and seen[-1].payload == b"online" and seen
    )
    assert retained <= {s.topic for s in seen[before:]}
    assert answer.json["result"]["topics"] == len(retained) + 1


async def test_an_answer_that_the_broker_does_not_take_has_a_short_one_in_its_place(
    broker: Any, watch: Any, site: Any, make_mirror: Any
) -> None:
    broker.kill()
    broker.start("allow_anonymous true", "max_packet_size 3000")
    site.observe(1)
    make_mirror(broker.port, Protocol.V5).start()
    caller = watch(v5=True)
    await caller.wait_for(lambda seen: any(s.payload == b"online" for s in seen if s.topic == f"{PREFIX}/status"))
    answer = await caller.call("get_state", {"id": "s1"}, correlation=b"c1")
    assert (answer.json["ok"], answer.json["id"], answer.correlation) == (False, "s1", b"c1")
    assert answer.json["error"]["code"] == "internal"
    assert "larger than the broker takes" in answer.json["error"]["message"]
    assert (await caller.call("ping")).json["ok"]


async def test_on_3_1_1_which_has_no_word_for_it_no_answer_is_larger_than_the_kits_broker_takes(
    broker: Any, watch: Any, site: Any, make_mirror: Any, until: Any
) -> None:
    """Mosquitto would end the connection, and the next one with the answer that is sent again."""
    broker.kill()
    broker.start("allow_anonymous true", kit_line("max_packet_size"))
    site.observe(1)
    mirror = make_mirror(broker.port, Protocol.V311)
    mirror.start()
    caller = watch(v5=False)
    await caller.wait_for(lambda seen: any(s.payload == b"online" for s in seen if s.topic == f"{PREFIX}/status"))
    asking = asyncio.ensure_future(caller.call("list_data_transfers", {"id": "l1"}))
    await until(lambda: site.reads)
    long = TransferEntry(
        at=Stamp(site.clock.utc, True, "b1"),
        direction=Direction.FROM_CSMS,
        source="csms",
        vendor_id="com.example",
        message_id=None,
        data="\x01" * MAX_LISTED_CHARS,  # six bytes each as JSON writes them
        data_chars=MAX_LISTED_CHARS,
        status="Accepted",
    )
    site.reads[0][1]([long], site.clock.now())
    answer = await asking
    assert (answer.json["ok"], answer.json["id"], answer.json["error"]["code"]) == (False, "l1", "internal")
    assert (await caller.call("ping")).json["ok"]
    assert mirror.link.session == 1, "the broker has ended no connection"


def kit_line(option: str) -> str:
    conf = Path(__file__).parents[2] / "config/mosquitto/edged.conf"
    return next(line for line in conf.read_text().splitlines() if line.startswith(f"{option} "))


@pytest.mark.parametrize("burst", [1_000])
async def test_a_flood_is_answered_to_the_last_request_and_the_site_goes_on(
    broker: Any, watch: Any, site: Any, make_mirror: Any, burst: int
) -> None:
    site.observe(1)
    options = CommandOptions(actors={"bms-op": frozenset({"*"})}, rate_per_s=5.0, burst=20)
    make_mirror(broker.port, Protocol.V5, commands=options).start()
    caller = watch(v5=True)
    await caller.wait_for(lambda seen: any(s.payload == b"online" for s in seen if s.topic == f"{PREFIX}/status"))

    def flood() -> None:
        for number in range(burst):
            caller.client.publish(f"{PREFIX}/rpc/bms-op/request/ping", json.dumps({"id": str(number)}), 1)

    asked, longest_s = asyncio.create_task(asyncio.to_thread(flood)), 0.0
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(90):
        while not asked.done() or sum(s.topic == REPLY + "ping" for s in tuple(caller.seen)) < burst:
            since_s = loop.time()
            site.observe(1)
            await asyncio.sleep(0.01)
            longest_s = max(longest_s, loop.time() - since_s)
    assert longest_s < 15.0, "a look at the charger waited for the flood"
    replies = await caller.wait_for(
        lambda seen: len(r := [s for s in seen if s.topic == REPLY + "ping"]) >= burst and r, 60.0
    )
    assert sorted(int(one.json["id"]) for one in replies) == list(range(burst))
    codes = {one.json["error"]["code"] for one in replies if not one.json["ok"]}
    assert codes == {"busy"}
