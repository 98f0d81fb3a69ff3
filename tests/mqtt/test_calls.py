"""Commands over a real broker, decided by the real core: envelope, safety rules, repetition, time-outs."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from edged.domain.hardware import ChargerState
from edged.domain.journal import Direction, TransferEntry
from edged.domain.types import Stamp
from edged.mqtt import arguments
from edged.mqtt.ledger import KeptReply, Key
from edged.mqtt.mirror import MqttMirror
from edged.mqtt.options import CommandOptions, Protocol

Make = Callable[..., MqttMirror]
NOON = datetime(2026, 8, 22, 10, 0, 0, tzinfo=UTC)
PREFIX = "edged/v1/gw1"
REPLY = f"{PREFIX}/rpc/bms-op/reply/"
RESERVE = {"connector": 1, "id_token": "DRIVER-0001", "expires_at": "2026-08-22T11:00:00Z"}


@pytest.fixture
async def caller(
    broker: Any, watch: Callable[..., Any], site: Any, make_mirror: Make, protocol: Protocol, until: Any
) -> Any:
    """An integrator who speaks the mirror's version, with the mirror up."""
    site.observe(1)
    site.observe(2)
    make_mirror(broker.port, protocol).start()
    integrator = watch(v5=protocol is Protocol.V5)
    await integrator.wait_for(lambda seen: any(s.payload == b"online" for s in seen if s.topic == f"{PREFIX}/status"))
    return integrator


async def test_ping_is_answered_where_nothing_else_was_asked_for(caller: Any) -> None:
    reply = await caller.call("ping", {"id": "a4"})
    assert (reply.json["ok"], reply.json["id"], reply.json["result"]) == (True, "a4", {"pong": True})
    assert not reply.retain
    assert reply.qos == 1


async def test_an_empty_payload_is_a_request(caller: Any) -> None:
    assert (await caller.call("ping", b"")).json["ok"]


async def test_the_reply_goes_where_the_body_says(caller: Any) -> None:
    assert (await caller.call("ping", {"reply_to": REPLY + "mine"}, reply=REPLY + "mine")).json["ok"]
    everest = {"headers": {"replyTo": REPLY + "theirs"}, "payload": {}}
    assert (await caller.call("ping", everest, reply=REPLY + "theirs")).json["ok"]


async def test_a_reply_address_elsewhere_is_not_used(caller: Any) -> None:
    reply = await caller.call("ping", {"reply_to": "homeassistant/device/x/config"})
    assert "warning" in reply.json
    assert not any(s.topic.startswith("homeassistant") for s in caller.seen)


async def test_bad_json_is_answered(caller: Any) -> None:
    reply = (await caller.call("ping", b"{ bad")).json
    assert (reply["ok"], reply["id"], reply["error"]["code"]) == (False, None, "bad_json")


async def test_reserving_and_cancelling_are_decided_by_the_core_and_shown(caller: Any, site: Any) -> None:
    reserved = (await caller.call("reserve_now", {"id": "r1", "args": RESERVE})).json
    assert reserved["result"]["status"] == "Accepted"
    number = reserved["result"]["reservation_id"]
    shown = await caller.payload(f"{PREFIX}/station/cs1/connector/1/reservation", lambda s: s.json["active"])
    assert shown.json["reservation_id"] == number
    assert (shown.json["id_token"], shown.json["source"]) == ("**0001", "mqtt:bms-op")
    assert shown.json["expires_at"] == "2026-08-22T11:00:00Z"
    status = f"{PREFIX}/station/cs1/connector/1/status"
    await caller.payload(status, lambda s: s.json["status"] == "Reserved")
    listed = (await caller.call("list_reservations")).json["result"]["reservations"]
    assert [(r["reservation_id"], r["connector"], r["station"]) for r in listed] == [(number, 1, "cs1")]
    cancelled = await caller.call("cancel_reservation", {"args": {"reservation_id": number}})
    assert cancelled.json["result"] == {"status": "Accepted"}
    await caller.payload(status, lambda s: s.json["previous"] == "Reserved")


async def test_a_negative_answer_of_the_core_is_a_result(caller: Any) -> None:
    reply = (await caller.call("cancel_reservation", {"args": {"reservation_id": 5}})).json
    assert reply["ok"]
    assert reply["result"]["status"] == "Rejected"


async def test_a_token_that_is_presented_starts_a_charge(caller: Any, site: Any) -> None:
    site.observe(1, plugged=True, state=ChargerState.CONNECTED)
    reply = await caller.call("present_token", {"args": {"connector": 1, "id_token": "DRIVER-0001"}})
    assert reply.json["result"]["authorized"] is True
    started = await caller.payload(f"{PREFIX}/station/cs1/connector/1/transaction", lambda s: s.json["active"])
    assert (started.json["id_token"], started.json["energy_wh"]) == ("**0001", 0)
    reply = await caller.call("present_token", {"args": {"connector": 1, "id_token": "OTHER-0002"}}, nth=2)
    assert reply.json["result"]["authorized"] is False
    assert "OTHER" not in str([s.payload for s in caller.seen if "/reply/" in s.topic])


async def test_the_state_comes_as_a_tree(caller: Any) -> None:
    tree = (await caller.call("get_state")).json["result"]["stations"]["cs1"]
    assert tree["connectors"]["1"]["status"]["status"] == "Available"
    assert tree["connectors"]["2"]["link"] == "online"
    assert tree["ocpp/is_connected"] == "false"
    topic = await caller.payload(f"{PREFIX}/station/cs1/connector/1/status")
    assert tree["connectors"]["1"]["status"]["since"] == topic.json["since"]
    assert topic.json["since"] is not None


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"connector": 9}, "not_found"),
        ({"station": "elsewhere"}, "not_found"),
        ({"connector": None, "evse_id": 9}, "not_found"),
        ({"id_token": None}, "invalid_args"),
    ],
)
async def test_a_command_for_nothing_that_exists_is_refused(caller: Any, args: dict[str, Any], expected: str) -> None:
    reply = await caller.call("reserve_now", {"id": "1", "args": {**RESERVE, **args}})
    assert reply.json["error"]["code"] == expected


async def test_the_station_may_be_named_by_its_identity(caller: Any) -> None:
    reply = await caller.call("reserve_now", {"id": "1", "args": {**RESERVE, "station": "cs1"}})
    assert reply.json["result"]["status"] == "Accepted"


async def test_an_actor_may_do_only_what_it_was_allowed(caller: Any, site: Any) -> None:
    reply = await caller.call("reserve_now", {"id": "1", "args": RESERVE}, actor="bms-ro")
    assert reply.json["error"]["code"] == "forbidden"
    assert (await caller.call("ping", actor="bms-ro")).json["ok"]
    assert site.asked == []


async def test_who_leaves_the_actors_level_empty_is_told_that_nobody_may_do_that(caller: Any, site: Any) -> None:
    """A template without its name: the same template waits for the reply, on the level that is empty as well."""
    reply = await caller.call("reserve_now", {"id": "e1", "args": RESERVE}, actor="")
    assert reply.topic == f"{PREFIX}/rpc//reply/reserve_now"
    assert (reply.json["id"], reply.json["error"]["code"]) == ("e1", "forbidden")
    assert site.asked == []


async def test_a_repetition_gets_the_first_answer_and_does_nothing(caller: Any, site: Any) -> None:
    request = {"id": "r1", "args": RESERVE}
    first = (await caller.call("reserve_now", request)).json
    again = (await caller.call("reserve_now", request, nth=2)).json
    assert again.pop("repeated") is True
    assert {**again, "ts": 0} == {**first, "ts": 0}
    assert len(site.asked) == 1


async def test_a_repetition_while_the_first_is_carried_out_is_told_so(caller: Any, site: Any) -> None:
    site.hold = True
    request = {"id": "r1", "args": RESERVE}
    caller.publish(f"{PREFIX}/rpc/bms-op/request/reserve_now", request)
    duplicate = await caller.call("reserve_now", request)
    assert duplicate.json["error"]["code"] == "duplicate_in_progress"
    site.mirror.answer(site.replies[0])
    replies = await caller.wait_for(
        lambda seen: len(r := [s for s in seen if s.topic == REPLY + "reserve_now"]) == 2 and r
    )
    assert replies[1].json["result"]["status"] == "Accepted"


async def test_no_result_in_time_is_told_once_and_remembered_when_it_comes(
    caller: Any, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = replace(arguments.SHAPES["reserve_now"], timeout_s=0.2)
    monkeypatch.setitem(arguments.SHAPES, "reserve_now", quick)  # type: ignore[misc, arg-type]
    site.hold = True
    request = {"id": "r1", "args": RESERVE}
    late = await caller.call("reserve_now", request)
    assert late.json["error"]["code"] == "timeout"
    assert site.mirror.answer(site.replies[0])
    again = await caller.call("reserve_now", request, nth=2)
    assert again.json["result"]["status"] == "Accepted"
    assert again.json["repeated"]
    assert len(site.asked) == 1


async def test_a_station_without_room_is_busy(caller: Any, site: Any) -> None:
    site.full = True
    reply = await caller.call("reserve_now", {"id": "1", "args": RESERVE})
    assert reply.json["error"]["code"] == "busy"
    site.full = False
    again = await caller.call("reserve_now", {"id": "1", "args": RESERVE}, nth=2)
    assert again.json["result"]["status"] == "Accepted", "what was not carried out may be asked again with its id"


async def test_who_asks_too_often_is_told_to_slow_down(
    broker: Any, watch: Callable[..., Any], make_mirror: Make, until: Any
) -> None:
    commands = CommandOptions(actors={"bms-op": frozenset({"*"})}, rate_per_s=0.001, burst=3)
    mirror = make_mirror(broker.port, commands=commands)
    mirror.start()
    await until(lambda: mirror.link.connected)
    integrator = watch()
    for _ in range(5):
        integrator.publish(f"{PREFIX}/rpc/bms-op/request/ping", "{}")
    replies = await integrator.wait_for(
        lambda seen: len(r := [s for s in seen if s.topic == REPLY + "ping"]) == 5 and r
    )
    assert [r.json["ok"] for r in replies] == [True, True, True, False, False]
    assert replies[-1].json["error"]["code"] == "busy"


async def test_data_for_a_csms_that_is_away_is_not_sent(caller: Any) -> None:
    reply = await caller.call("data_transfer", {"id": "d1", "args": {"vendor_id": "com.example", "data": "x"}})
    assert reply.json["error"]["code"] == "csms_offline"


async def test_the_history_of_transfers_comes_when_it_has_been_read(caller: Any, site: Any, until: Any) -> None:
    caller.publish(f"{PREFIX}/rpc/bms-op/request/list_data_transfers", {"id": "l1", "args": {"limit": 5}})
    await until(lambda: site.reads)
    ((limit, tell),) = site.reads
    entry = TransferEntry(
        at=Stamp(NOON, True, "b1"),
        direction=Direction.FROM_CSMS,
        source="csms",
        vendor_id="com.example",
        message_id="m",
        data="\ud800 \U0001f600" * 800,
        data_chars=9000,
        status="Accepted",
    )
    tell([entry] * limit, site.clock.now())
    reply = await caller.payload(REPLY + "list_data_transfers")
    assert reply.json["id"] == "l1"
    assert len(reply.json["result"]["transfers"]) == 5
    assert reply.json["result"]["transfers"][0]["data"] == "? \U0001f600" * 800


async def test_what_a_csms_could_ask_is_asked_over_the_broker(caller: Any, site: Any) -> None:
    keys = await caller.call("get_configuration_key", {"args": {"keys": ["HeartbeatInterval", "AuthorizationKey"]}})
    shown = {key["key"]: key["value"] for key in keys.json["result"]["configuration_keys"]}
    assert shown == {"HeartbeatInterval": "86400", "AuthorizationKey": None}
    event = await caller.call("security_event", {"id": "s1", "args": {"type": "DoorOpened", "info": "cabinet 3"}})
    assert event.json["result"] == {"queued": True}
    secret = {"id": "k1", "args": {"key": "AuthorizationKey", "value": "correct horse battery"}}
    assert (await caller.call("set_configuration_key", secret)).json["error"]["code"] == "forbidden"
    assert [type(asked).__name__ for asked in site.asked] == ["GetConfiguration", "ReportSecurityEvent"]


async def test_replies_keep_the_order_of_the_requests(caller: Any) -> None:
    for n in range(15):
        caller.publish(f"{PREFIX}/rpc/bms-op/request/ping", {"id": str(n)})
    replies = await caller.wait_for(lambda seen: len(r := [s for s in seen if s.topic == REPLY + "ping"]) == 15 and r)
    assert [r.json["id"] for r in replies] == [str(n) for n in range(15)]


async def test_a_left_over_retained_command_is_refused_and_deleted(
    broker: Any, watch: Callable[..., Any], site: Any, make_mirror: Make, protocol: Protocol
) -> None:
    integrator = watch()
    topic = f"{PREFIX}/rpc/bms-op/request/reserve_now"
    integrator.publish(topic, {"id": "old", "args": RESERVE}, retain=True)
    make_mirror(broker.port, protocol).start()
    reply = await integrator.payload(REPLY + "reserve_now")
    assert (reply.json["id"], reply.json["error"]["code"]) == ("old", "retained")
    await integrator.payload(topic, lambda s: s.payload == b"")
    assert site.asked == []
    newcomer = watch()
    await newcomer.call("ping")
    assert not any(s.topic == topic for s in newcomer.seen), "the retained command is still there"
    refusals = [s for s in integrator.seen if s.topic == REPLY + "reserve_now"]
    assert len(refusals) == 1, "our own deletion was taken for a command"


async def test_a_live_command_with_the_retain_flag_is_refused_in_version_5(
    broker: Any, watch: Callable[..., Any], site: Any, make_mirror: Make, until: Any
) -> None:
    mirror = make_mirror(broker.port, Protocol.V5)
    mirror.start()
    await until(lambda: mirror.link.connected)
    integrator = watch()
    reply = await integrator.call("reserve_now", {"id": "x", "args": RESERVE}, retain=True)
    assert reply.json["error"]["code"] == "retained"
    await integrator.payload(f"{PREFIX}/rpc/bms-op/request/reserve_now", lambda s: s.payload == b"")
    assert site.asked == []


async def test_correlation_and_response_topic_of_version_5_are_used(
    broker: Any, watch: Callable[..., Any], make_mirror: Make, until: Any
) -> None:
    mirror = make_mirror(broker.port, Protocol.V5)
    mirror.start()
    await until(lambda: mirror.link.connected)
    reply = await watch().call(
        "ping", b"{ bad", reply=REPLY + "q/1", response_topic=REPLY + "q/1", correlation=b"\x00\xfe\xff"
    )
    assert reply.correlation == b"\x00\xfe\xff"
    assert reply.json["error"]["code"] == "bad_json"


async def test_mosquitto_rr_is_a_command_line_for_integrators(broker: Any, make_mirror: Make, until: Any) -> None:
    mirror = make_mirror(broker.port)
    mirror.start()
    await until(lambda: mirror.link.connected)
    command = ["mosquitto_rr", "-V", "5", "-h", "127.0.0.1", "-p", str(broker.port), "-W", "5"]
    topic = f"{PREFIX}/rpc/bms-op/request/ping"
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, "-t", topic, "-e", REPLY + "rr", "-m", '{"id":"rr"}'],
        capture_output=True,
        check=True,
    )
    assert b'"pong":true' in done.stdout


class DiskInMemory:
    """A `ReplyStore` that survives its mirror."""

    def __init__(self) -> None:
        self.kept: dict[Key, KeptReply] = {}

    def load(self) -> Sequence[KeptReply]:
        return list(self.kept.values())

    def save(self, reply: KeptReply, forget: Sequence[Key]) -> None:
        for key in forget:
            self.kept.pop(key, None)
        self.kept[reply.key] = reply


async def test_a_repetition_after_a_restart_gets_the_first_answer(
    broker: Any, watch: Callable[..., Any], site: Any, make_mirror: Make, until: Any
) -> None:
    disk, integrator = DiskInMemory(), watch()
    first = make_mirror(broker.port, store=disk)
    first.start()
    await until(lambda: first.link.connected)
    await integrator.call("reserve_now", {"id": "r1", "args": RESERVE})
    await integrator.call("ping", {"id": "p1"})
    await first.stop()
    second = make_mirror(broker.port, store=disk)
    second.start()
    await until(lambda: second.link.connected)
    again = await integrator.call("reserve_now", {"id": "r1", "args": RESERVE}, nth=2)
    assert again.json["repeated"]
    assert len(site.asked) == 1
    assert [key[1] for key in disk.kept] == ["reserve_now"], "answers that change nothing need no disk"


async def test_who_still_waits_at_the_stop_is_answered(caller: Any, site: Any) -> None:
    site.hold = True
    caller.publish(f"{PREFIX}/rpc/bms-op/request/reserve_now", {"id": "r1", "args": RESERVE})
    await caller.call("ping")
    await site.mirror.stop()
    reply = await caller.payload(REPLY + "reserve_now")
    assert reply.json["error"]["code"] == "timeout"


async def test_junk_on_request_topics_harms_nothing(caller: Any) -> None:
    for command in ("", "a/b", "ping/", "x" * 300):
        caller.publish(f"{PREFIX}/rpc/bms-op/request/{command}", b"\x00\xff" * 10)
    caller.publish(f"{PREFIX}/rpc/bms-op/request/ping", b"x" * 20_000)
    caller.publish(f"{PREFIX}/rpc//request/ping", b"{}")
    reply = await caller.call("ping", {"id": "after"}, nth=2)
    assert reply.json["id"] == "after"
