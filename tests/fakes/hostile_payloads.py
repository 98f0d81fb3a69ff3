"""Payloads of OCPP 1.6, made from the schemas that the package `ocpp` ships, and then spoilt in every way there is."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jsonschema
from hypothesis import strategies as st


@functools.cache
def schema_of(name: str) -> Mapping[str, Any]:
    """As the package ships it: a judge that is not ours."""
    schema: dict[str, Any] = json.loads(files("ocpp").joinpath("v16/schemas", f"{name}.json").read_text("utf-8-sig"))
    return schema


@functools.cache
def judge_of(name: str) -> Any:
    schema = schema_of(name)
    return jsonschema.validators.validator_for(schema)(schema)


INTEGERS = st.sampled_from([0, 1, 2, 3, 7, 77, -1, 10, 100, 86_400, 2**31 - 1, 2**31, -(2**31), 2**63 - 1, -(2**63)])
NUMBERS = st.sampled_from([0, 0.0, 6.0, 16.1, 32, 0.1, -1.0, 1e12, 5e-324, 1e-9, -0.0])
TIMES = st.sampled_from(
    [
        "2026-05-04T12:10:00Z",
        "2026-05-04T12:00:01.123456789Z",
        "2026-05-04T14:00:00+02:00",
        "2026-05-05T11:00:00+23:59",
        "2026-05-04T12:00:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
        "2026-02-30T00:00:00Z",
        "2026-05-04T24:00:00Z",
        "2026-06-30T23:59:60Z",
        "20260504T120000Z",
        "2026-W19-1T12:00:00Z",
        "yesterday",
        "2026-05-04",
        "",
    ]
)
LOCATIONS = st.sampled_from(
    [
        "https://example.com/fw.bin",
        "ftp://user:secret@example.com/logs/",
        "file:///etc/passwd",
        "http://",
        "http://[::1]:99999/x",
        "http://0x7f000001/",
        "HTTPS://EXAMPLE.COM",
        "gopher://example.com/",
        "http://exämple.com/",
        "x" * 512,
        "http://a b/",
        "",
    ]
)
TEXTS = st.sampled_from(
    ["", "x", "ALICE", "BOB", "com.example", "ab", "-----BEGIN CERTIFICATE-----\n", "\x00", "\u202e", "é" * 8, "0x10"]
) | st.text(max_size=30)
NAMED: Mapping[str, st.SearchStrategy[Any]] = {
    "connectorId": st.sampled_from([0, 1, 2, 3, -1, 2**63 - 1]) | INTEGERS,
    "idTag": st.sampled_from(["ALICE", "BOB", "alice", "EVE", "FAMILY", "", "x" * 20]),
    "parentIdTag": st.sampled_from(["FAMILY", "", "x" * 20]),
    "reservationId": st.sampled_from([7, 8, -1, 0, 2**63 - 1]),
    "transactionId": st.sampled_from([77, 78, -1]),
    "chargingProfileId": st.sampled_from([1, 2, 3, -1]),
    "stackLevel": st.sampled_from([0, 1, 10, 11, -1]),
    "startPeriod": st.sampled_from([0, 0, 60, 3600, -1, 86_400, 2**63 - 1]),
    "numberPhases": st.sampled_from([1, 2, 3, 0, 4]),
    "duration": INTEGERS,
    "listVersion": st.sampled_from([0, 1, 2, 5, -1, 2**63 - 1]),
    "location": LOCATIONS,
    "remoteLocation": LOCATIONS,
    "vendorId": st.sampled_from(["com.example", "COM.EXAMPLE", "nobody", ""]),
    "key": st.sampled_from(
        [
            "HeartbeatInterval",
            "AuthorizationKey",
            "SecurityProfile",
            "CpoName",
            "MeterValuesSampledData",
            "LocalAuthListEnabled",
            "ConnectionTimeOut",
            "WebSocketPingInterval",
            "AdditionalRootCertificateCheck",
            "ReservationEnabled",
            "NumberOfConnectors",
            "no such key",
            "",
        ]
    ),
    "value": st.sampled_from(
        [
            "",
            "0",
            "1",
            "2",
            "3",
            "-1",
            "true",
            "FALSE",
            "1e9",
            "9" * 40,
            "NaN",
            "Energy.Active.Import.Register",
            "é",
            "x" * 500,
        ]
    ),
}
DATED = frozenset(
    {
        *("expiryDate", "retrieveDate", "retrieveDateTime", "installDateTime", "startTime", "stopTime", "validFrom"),
        *("validTo", "startSchedule", "oldestTimestamp", "latestTimestamp", "timestamp"),
    }
)


def values(node: Mapping[str, Any], root: Mapping[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    """What a schema's node allows, with a taste for the edges."""
    if "$ref" in node:
        return values(root["definitions"][node["$ref"].rpartition("/")[2]], root, name)
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if name in DATED or node.get("format") == "date-time":
        return TIMES
    match node.get("type"):
        case "object":
            return fields(node, root)
        case "array":
            return st.lists(values(node["items"], root, name), min_size=node.get("minItems", 0), max_size=4)
        case "integer":
            return NAMED.get(name, INTEGERS)
        case "number":
            return NUMBERS
        case "boolean":
            return st.booleans()
        case _:
            longest = node.get("maxLength", 100)
            return NAMED.get(name, TEXTS | st.just("x" * longest)).map(lambda text: text[:longest])


def fields(node: Mapping[str, Any], root: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    every = {name: values(each, root, name) for name, each in node.get("properties", {}).items()}
    required = set(node.get("required", ()))
    return st.fixed_dictionaries(
        {name: each for name, each in every.items() if name in required},
        optional={name: each for name, each in every.items() if name not in required},
    )


# --- and what is done to them

MAX_CHARS, MAX_ITEMS = 300_000, 2_400
"""What is made longer twice would be gigabytes; this is far beyond every bound already."""
RAW = "@raw:"  # a text that stands in the frame as it is, without its quotes
AGAIN = "@again"  # behind a key: it is the same key once more
JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1.0, 1.5, 2**31, 2**63, 2**64, -(2**63) - 1, 10**39),
    *("", "x", "1", "true", "\ud800", "\udfff\ud800", "\x00", "x" * 600, "\U0001f600" * 30),
    *([], {}, [[]], [None], {"": {}}, {"a": 1}),
    *(f"{RAW}NaN", f"{RAW}Infinity", f"{RAW}-Infinity", f"{RAW}1e400", f"{RAW}-1e400", f"{RAW}-0", f"{RAW}1E-999"),
    *(
        f"{RAW}{'9' * 4000}",
        f"{RAW}{'[' * 28}{']' * 28}",
        f"{RAW}{'[' * 40}{']' * 40}",
        f"{RAW}{'[' * 3000}{']' * 3000}",
    ),
    RAW + '{"a":' * 40 + "1" + "}" * 40,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container with each of its keys."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict | list):
            inside = list(node.items() if isinstance(node, dict) else enumerate(node))
            found += [(node, key) for key, _ in inside]
            waiting += [each for _, each in inside]
    return found


def objects(value: Any) -> list[dict[str, Any]]:
    return [value, *(node[key] for node, key in places(value) if isinstance(node[key], dict))]


@st.composite
def spoilt(draw: st.DrawFn, payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with up to three things wrong."""
    payload = json.loads(json.dumps(payload))
    for _ in range(draw(st.integers(0, 3))):
        match draw(st.sampled_from(["junk", "junk", "drop", "extra", "again", "long", "many"])):
            case "extra":
                there = draw(st.sampled_from(objects(payload)))
                there[draw(st.sampled_from(["extra", "", "é", "\ud800", "x" * 300, "connectorId"]))] = draw(
                    st.sampled_from(JUNK)
                )
            case kind if found := places(payload):
                node, key = draw(st.sampled_from(found))
                if kind == "junk":
                    node[key] = draw(st.sampled_from(JUNK))
                elif kind == "drop":
                    del node[key]
                elif kind == "again" and isinstance(node, dict):
                    node[f"{key}{AGAIN}"] = node[key]
                elif kind == "long" and isinstance(node[key], str):
                    node[key] = ((node[key] or "x") * draw(st.sampled_from([2, 30, 3000])))[:MAX_CHARS]
                elif kind == "many" and isinstance(node[key], list):
                    node[key] = (node[key] * 600)[:MAX_ITEMS]
    return payload


def text_of(message: list[Any]) -> str:
    """The frame. What JSON cannot hold but a peer can write comes in as the raw text that stands for it."""
    text = json.dumps(message).replace(AGAIN, "")
    while (at := text.find(f'"{RAW}')) >= 0:
        end = text.index('"', at + 1)
        while text[end - 1] == "\\":
            end = text.index('"', end + 1)
        text = text[:at] + json.loads(text[at : end + 1]).removeprefix(RAW) + text[end + 1 :]
    return text


@functools.cache
def hostile_payloads(action: str) -> st.SearchStrategy[dict[str, Any]]:
    schema = schema_of(action)
    return fields(schema, schema).flatmap(spoilt)
