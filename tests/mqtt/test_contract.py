"""The published contract itself: its examples hold, it is complete, and it only grows."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import jsonschema
import pytest

from edged.chargers.bus_report import LineSign, brief, report
from edged.chargers.bus_statistics import Recorder
from edged.chargers.job_queue import JobQueue
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.unit_health import UnitHealth
from edged.mqtt.arguments import SHAPES
from edged.mqtt.commands import Code
from edged.mqtt.names import Names
from edged.mqtt.topics import Shown, topics


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
    for channel in contract.document["channels"].values():
        for name in channel["messages"]:
            message = contract.document["components"]["messages"][name]
            schema, _ = contract.schema_of(channel, name)
            for example in message.get("examples", ()):
                jsonschema.Draft202012Validator(schema).validate(example["payload"])
                judged += 1
    assert judged >= 5


def test_every_channel_but_the_requests_is_watched_with_its_quality_of_service(contract: Any) -> None:
    operations = contract.document["operations"].values()
    watched = {
        o["channel"]["$ref"].rpartition("/")[2]: o["bindings"]["mqtt"] for o in operations if o["action"] == "receive"
    }
    assert set(watched) == set(contract.document["channels"]) - {"request", "reply"}
    assert {name for name, binding in watched.items() if binding["qos"] == 0} == {"meter", "heartbeat"}
    assert {name for name, binding in watched.items() if not binding["retain"]} == {"heartbeat"}


def test_the_contract_lists_the_commands_and_codes_of_the_code(contract: Any) -> None:
    assert set(contract.document["channels"]["request"]["parameters"]["command"]["enum"]) == set(SHAPES)
    reply = contract.document["components"]["schemas"]["Reply"]["properties"]["error"]["properties"]["code"]["enum"]
    assert reply == [code.value for code in Code]


def test_every_state_topic_has_a_channel_and_every_channel_a_topic(contract: Any, site: Any) -> None:
    patterns = {
        name: re.compile(re.sub(r"\{\w+\}", "[^/]+", channel["address"]))
        for name, channel in contract.document["channels"].items()
        if "/station/" in channel["address"]
    }
    site.station = replace(site.station, rules=replace(site.station.rules, has_display=True))
    found = {
        next(name for name, pattern in patterns.items() if pattern.fullmatch(topic))
        for topic in topics(site.station, Shown(names=Names("edged", "gw1")))
    }
    assert found == set(patterns)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("edged/v1/gw1/status", b"up"),
        ("edged/v1/gw1/nothing", b"{}"),
        ("edged/v1/gw1/heartbeat", b'{"v":1,"uptime_s":1,"seq":1}'),
        ("edged/v1/gw1/heartbeat", b'{"v":2,"ts":"2026-08-22T10:00:00Z","uptime_s":1,"seq":1}'),
        ("edged/v1/gw1/heartbeat", b'{"v":1,"ts":"2026-08-22T10:00:00Z","uptime_s":1,"seq":1,"new":1}'),
        ("edged/v1/gw1/station/cs1/connector/1/lock", b'{"v":1,"ts":"2026-08-22T10:00:00Z","state":"open"}'),
    ],
)
def test_the_judge_can_say_no(contract: Any, topic: str, payload: bytes) -> None:
    with pytest.raises((AssertionError, jsonschema.ValidationError, json.JSONDecodeError)):
        contract.check(topic, payload)


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
