"""The published contract itself: its examples hold, it is complete, and it only grows."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest

from edged.chargers.bus_report import LineSign, brief, report
from edged.chargers.bus_statistics import Recorder
from edged.chargers.job_queue import JobQueue
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.unit_health import UnitHealth
from edged.mqtt import events
from edged.mqtt.arguments import NOT_SERVED, SHAPES, ArgumentError, CommandShape
from edged.mqtt.commands import Code
from edged.mqtt.events import category_of
from edged.mqtt.names import Names
from edged.mqtt.points import POINTS
from edged.mqtt.topics import Shown, topics
from tests.fakes.mqtt_contract import Broken, closed

ROOT = Path(__file__).parents[2]


def test_every_schema_in_the_contract_is_a_schema(contract: Any) -> None:
    for schema in contract.document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere(contract: Any) -> None:
    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [r for value in part.values() for r in references(value)]
        return [r for value in part for r in references(value)] if isinstance(part, list) else []

    for reference in references(contract.document):
        place: Any = contract.document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_every_example_is_a_valid_payload(contract: Any) -> None:
    judged = 0
    for message in contract.document["components"]["messages"].values():
        schema = closed(contract.document, message["payload"])
        for example in message.get("examples", ()):
            jsonschema.Draft202012Validator(schema).validate(example["payload"])
            judged += 1
    assert judged >= 12


def test_it_is_an_asyncapi_document_of_version_3(contract: Any) -> None:
    official = json.loads((Path(__file__).parent / "asyncapi_schema/3.0.0-without-id.json").read_text())
    jsonschema.Draft7Validator(official).validate(contract.document)


def test_every_channel_has_a_quality_of_service_and_a_retain_flag(contract: Any) -> None:
    operations = contract.document["operations"].values()
    flags = {o["channel"]["$ref"].rpartition("/")[2]: o["bindings"]["mqtt"] for o in operations}
    assert set(flags) == set(contract.document["channels"])
    assert {name for name, binding in flags.items() if binding["qos"] == 0} == {"meter", "heartbeat", "raw", "point"}
    not_kept = {"heartbeat", "raw", "event", "request", "reply"}
    assert {name for name, binding in flags.items() if not binding["retain"]} == not_kept


def test_the_contract_lists_the_commands_and_codes_of_the_code(contract: Any) -> None:
    channels = contract.document["channels"]
    assert set(channels["request"]["parameters"]["command"]["enum"]) == set(SHAPES) | NOT_SERVED
    assert set(channels["request"]["messages"]) == {"request", *SHAPES, *NOT_SERVED}
    assert set(channels["reply"]["messages"]) == {"reply", *SHAPES, *NOT_SERVED}
    reply = contract.document["components"]["schemas"]["Reply"]["properties"]["error"]["properties"]["code"]["enum"]
    assert reply == [code.value for code in Code]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_command_takes_the_arguments_that_the_contract_gives_it(contract: Any, shape: CommandShape) -> None:
    schema = contract.document["components"]["schemas"][f"{shape.name}.args"]
    assert set(schema["properties"]) == {argument.name for argument in shape.arguments}
    assert set(schema.get("required", ())) == {argument.name for argument in shape.arguments if argument.required}
    message = contract.document["components"]["messages"][f"{shape.name}.request"]
    assert message["x-timeout-s"] == shape.timeout_s
    needs = {None: None, "": "always"}.get(shape.id_unless, f"unless {shape.id_unless} is given")
    assert message.get("x-needs-id") == needs


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_an_argument_takes_what_the_contract_allows_and_nothing_else(contract: Any, shape: CommandShape) -> None:
    schema = closed(contract.document, contract.document["components"]["schemas"][f"{shape.name}.args"])
    for argument in shape.arguments:
        judge = jsonschema.Draft202012Validator(schema["properties"][argument.name])
        for value in PROBES:
            try:
                argument.check(value)
                taken = True
            except ArgumentError:
                taken = False
            assert taken == judge.is_valid(value) or _is_only_narrower(argument.name, value), (argument.name, value)


PROBES = [0, 1, -1, 2**31, 0.5, True, "", "x", "x" * 21, "x" * 37, "x" * 51, "x" * 256, "x" * 513, "x" * 20_000]
PROBES += ["Operative", "Soft", "Local", "2026-08-22T11:00:00Z", [], ["x"], [1], ["x"] * 201, {}]


def _is_only_narrower(name: str, value: Any) -> bool:
    """What a schema does not say: a date must be one, a name is not empty, a number is not without end."""
    dates = ("expires_at", "timestamp", "retrieve_date", "install_date", "start_time", "stop_time")
    return value == "" or value == 2**31 or (name in dates and isinstance(value, str))


def test_every_state_topic_has_a_channel_and_every_channel_a_topic(contract: Any, site: Any) -> None:
    patterns = {
        name: re.compile(re.sub(r"\{\w+\}", "[^/]+", channel["address"]))
        for name, channel in contract.document["channels"].items()
        if "/station/" in channel["address"] and name not in ("raw", "configKey")
    }
    site.station = replace(site.station, rules=replace(site.station.rules, has_display=True))
    found = {
        next(name for name, pattern in patterns.items() if pattern.fullmatch(topic))
        for topic in topics(site.station, Shown(names=Names("edged", "gw1")))
    }
    assert found == set(patterns)


def test_every_event_that_the_code_can_tell_is_in_the_contract(contract: Any) -> None:
    """By the words in the source: a kind that no scenario reaches is found too."""
    told: set[str] = set()
    for module in (ROOT / "edged").rglob("*.py"):
        told.update(re.findall(r'(?:announce|note|tell)\(\s*"([a-z_]+\.[a-z_]+)"', module.read_text()))
        told.update(re.findall(r'number, "([a-z_]+\.[a-z_]+)"', module.read_text()))
    assert len(told) > 40
    told = {events._IN_OTHER_WORDS.get(kind) or kind for kind in told}
    assert told <= set(contract.document["channels"]["event"]["messages"])


def test_every_event_is_told_where_the_contract_says(contract: Any) -> None:
    messages = contract.document["components"]["messages"]
    for kind in contract.document["channels"]["event"]["messages"].keys() - {"event"}:
        assert messages[kind]["tags"] == [{"name": category_of(kind).value}]


def test_every_point_is_in_the_contract(contract: Any) -> None:
    for channel in ("point", "pointMeta"):
        words = contract.document["channels"][channel]["parameters"]["point"]["enum"]
        assert words == [point.name for point in POINTS]


GOOD = {
    "status": (b"online", 1, True),
    "heartbeat": (b'{"v":1,"ts":"2026-08-22T10:00:00Z","uptime_s":1,"seq":1}', 0, False),
    "station/cs1/connector/1/lock": (b'{"v":1,"ts":"2026-08-22T10:00:00Z","state":"locked"}', 1, True),
    "point/cs1/1/power_w": (b"11040", 0, True),
    "station/cs1/ocpp/raw/in": (b'{"v":1,"ts":"2026-08-22T10:00:00Z","frame":"[]"}', 0, False),
    "rpc/bms/reply/ping": (
        b'{"v":1,"ts":"2026-08-22T10:00:00Z","id":null,"command":"ping","ok":true,"result":{"pong":true}}',
        1,
        False,
    ),
    "event/gateway": (
        b'{"v":1,"id":"a-1","boot":"a","seq":1,"ts":"2026-08-22T10:00:00Z","clock":"synced","event_type":'
        b'"gateway.clock_stepped","station":null,"connector":null,"source":null,"replayed":false,"data":{"offset_s":2}}',
        1,
        False,
    ),
}


@pytest.mark.parametrize("topic", GOOD)
def test_the_judge_can_say_yes(contract: Any, topic: str) -> None:
    payload, qos, retain = GOOD[topic]
    for root in ("edged", "site/west"):
        contract.judge(f"{root}/v1/gw1/{topic}", payload, qos=qos, retain=retain)


@pytest.mark.parametrize("topic", GOOD)
def test_the_judge_refuses_other_flags(contract: Any, topic: str) -> None:
    payload, qos, retain = GOOD[topic]
    for flags in ((1 - qos, retain), (qos, not retain)):
        with pytest.raises(Broken):
            contract.judge(f"edged/v1/gw1/{topic}", payload, qos=flags[0], retain=flags[1])


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("status", b"up"),
        ("status", b"{}"),
        ("nothing", b"{}"),
        ("heartbeat", b'{"v":1,"uptime_s":1,"seq":1}'),
        ("heartbeat", b'{"v":2,"ts":"2026-08-22T10:00:00Z","uptime_s":1,"seq":1}'),
        ("heartbeat", b'{"v":1,"ts":"2026-08-22T10:00:00Z","uptime_s":1,"seq":1,"new":1}'),
        ("heartbeat", b'{"v":1,"ts":"2026-08-22T10:00:00Z","uptime_s":NaN,"seq":1}'),
        ("heartbeat", b"\xff"),
        ("station/cs1/connector/1/lock", b'{"v":1,"ts":"2026-08-22T10:00:00Z","state":"open"}'),
        ("station/cs1/ocpp/raw/sideways", b'{"v":1,"ts":"2026-08-22T10:00:00Z","frame":"[]"}'),
        ("point/cs1/1/horsepower", b"15"),
        ("point/cs1/1/power_w", b'{"value":1,"quality":1}'),
        ("event/gateway", GOOD["event/gateway"][0].replace(b"offset_s", b"offset")),
        ("event/gateway", GOOD["event/gateway"][0].replace(b"clock_stepped", b"clock_lost")),
        ("event/ocpp", GOOD["event/gateway"][0]),
        ("rpc/bms/reply/ping", GOOD["rpc/bms/reply/ping"][0].replace(b'"pong":true', b'"pong":false')),
        ("rpc/bms/reply/ping", GOOD["rpc/bms/reply/ping"][0].replace(b'"ok":true', b'"ok":false')),
        ("rpc/bms/request/ping", b"{}"),
    ],
)
def test_the_judge_can_say_no(contract: Any, topic: str, payload: bytes) -> None:
    flags = GOOD.get(topic, (b"", 1, False))
    with pytest.raises(Broken):
        contract.judge(f"edged/v1/gw1/{topic}", payload, qos=flags[1], retain=flags[2])


def test_only_retained_topics_of_the_gateway_are_deleted(contract: Any) -> None:
    contract.judge("edged/v1/gw1/station/gone/info", b"", qos=1, retain=True)
    for topic, retain in (("edged/v1/gw1/status", False), ("zigbee2mqtt/lamp", True)):
        with pytest.raises(Broken):
            contract.judge(topic, b"", qos=1, retain=retain)


def test_the_contract_names_whatever_a_line_says_of_itself(contract: Any) -> None:
    spec = BusSpec(kind=LineKind.SERIAL, port="/dev/ttyUSB0")
    told = Recorder(spec).snapshot(
        wire=None, down_reason="", queue=JobQueue(), units={1: UnitHealth(Random(1)).statistics(5.0)}, now=5.0
    )
    document = brief(report(told, spec, LineSign("yard"), utc=datetime(2026, 8, 22, tzinfo=UTC)))
    schema = contract.document["components"]["schemas"]["Bus"]
    assert set(document) == set(schema["properties"])
    unit = schema["properties"]["units"]["additionalProperties"]
    assert set(document["units"]["1"]) == set(unit["properties"])
    judge = {"$ref": "#/components/schemas/Bus", "components": contract.document["components"]}
    jsonschema.Draft202012Validator(judge).validate(document)
