"""Payloads of an OCPP version, made from the schemas that the package `ocpp` ships, and spoilt in every way there is.

`V16` and `V201` are the versions. Each makes payloads at random (`hostile`), or without chance: a `valid` one, `edges`
of what is allowed, and `violations`, each with one thing wrong.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import jsonschema
from hypothesis import strategies as st

from edged.ocpp.framing import decode
from edged.ocpp.rpc import ErrorCode

Json = dict[str, Any]

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
NAMES_16: Mapping[str, st.SearchStrategy[Any]] = {
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
TRANSACTION = "@transaction"
"""Stands for the id of the transaction that runs."""
NAMES_201: Mapping[str, st.SearchStrategy[Any]] = {
    "id": st.sampled_from([0, 1, 2, 3, 7, 8, -1, 5001, 2**31 - 1]),
    "evseId": st.sampled_from([0, 1, 2, 3, 4, 2**31 - 1, -1]),
    "connectorId": st.sampled_from([0, 1, 1, 1, 2, 2**31 - 1]),
    "idToken": st.sampled_from(["ALICE", "BOB", "alice", "EVE", "FAMILY", "", "\x00", "1234", "é" * 36]),
    "reservationId": st.sampled_from([7, 8, -1, 0, 2**31 - 1]),
    "transactionId": st.sampled_from([TRANSACTION, TRANSACTION, "77", "", "x" * 36]),
    "requestId": st.sampled_from([0, 1, 5, 6, -1, 2**31 - 1]),
    "chargingProfileId": NAMES_16["chargingProfileId"],
    "stackLevel": NAMES_16["stackLevel"],
    "startPeriod": NAMES_16["startPeriod"],
    "numberPhases": NAMES_16["numberPhases"],
    "phaseToUse": st.sampled_from([1, 2, 3, 0]),
    "versionNumber": NAMES_16["listVersion"],
    "severity": st.sampled_from([0, 4, 9, 10, -1]),
    "configurationSlot": st.sampled_from([0, 1, 2, 3, -1]),
    "securityProfile": st.sampled_from([0, 1, 2, 3, 4, -1]),
    "ocppCsmsUrl": LOCATIONS | st.sampled_from(["ws://127.0.0.1:9/ocpp", "wss://csms.example.com/ocpp"]),
    "location": LOCATIONS,
    "remoteLocation": LOCATIONS,
    "vendorId": NAMES_16["vendorId"],
    "instance": st.sampled_from(["", "Default", "Authorize", "GetVariables", "Connected", "x" * 50]),
    "name": st.sampled_from(
        [
            *("OCPPCommCtrlr", "SecurityCtrlr", "AuthCtrlr", "EVSE", "Connector", "ChargingStation", "TxCtrlr"),
            *("MonitoringCtrlr", "SampledDataCtrlr", "ClockCtrlr", "DeviceDataCtrlr", "LocalAuthListCtrlr"),
            *("HeartbeatInterval", "BasicAuthPassword", "NetworkConfigurationPriority", "AvailabilityState", "Enabled"),
            *("Power", "TxStartPoint", "TxStopPoint", "OfflineThreshold", "DateTime", "Problem", "Identity"),
            *("ItemsPerMessage", "TxUpdatedMeasurands", "evse", "no such name", "", "x" * 50),
        ]
    ),
    "attributeValue": NAMES_16["value"],
}
DATED = frozenset(
    {
        *("expiryDate", "retrieveDate", "retrieveDateTime", "installDateTime", "startTime", "stopTime", "validFrom"),
        *("validTo", "startSchedule", "oldestTimestamp", "latestTimestamp", "timestamp"),
    }
)


# --- and what is done to them

MAX_CHARS, MAX_ITEMS = 300_000, 2_400
"""Far beyond every bound already."""
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
    """The payload with up to three things wrong. It grows once: the items of a list that was made longer are one."""
    payload = json.loads(json.dumps(payload))
    ways = ["junk", "junk", "drop", "extra", "again", "long", "many"]
    for _ in range(draw(st.integers(0, 3))):
        way = draw(st.sampled_from(ways))
        if way in ("long", "many"):
            ways = ways[:5]
        match way:
            case "extra":
                there = draw(st.sampled_from(objects(payload)))
                name = draw(st.sampled_from(["extra", "", "é", "\ud800", "x" * 300, "connectorId"]))
                there[name] = deepcopy(draw(st.sampled_from(JUNK)))
            case kind if found := places(payload):
                node, key = draw(st.sampled_from(found))
                if kind == "junk":
                    node[key] = deepcopy(draw(st.sampled_from(JUNK)))
                elif kind == "drop":
                    del node[key]
                elif kind == "again" and isinstance(node, dict):
                    node[f"{key}{AGAIN}"] = node[key]
                elif kind == "long" and isinstance(node[key], str):
                    node[key] = ((node[key] or "x") * draw(st.sampled_from([2, 30, 3000])))[:MAX_CHARS]
                elif kind == "many" and isinstance(node[key], list):
                    node[key] = (node[key] * 600)[:MAX_ITEMS]
    return payload


_RAW_TEXT = re.compile(rf'"{RAW}(?:[^"\\]|\\.)*"')


def text_of(message: list[Any]) -> str:
    """The frame. What JSON cannot hold but a peer can write comes in as the raw text that stands for it."""
    text = json.dumps(message).replace(AGAIN, "")
    return _RAW_TEXT.sub(lambda found: json.loads(found[0]).removeprefix(RAW), text)


# --- a version


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """The schemas of one OCPP version. `call`: what follows an action's name in the name of its schema; `names`: what
    is likely to mean something under a field's name."""

    folder: str
    call: str
    names: Mapping[str, st.SearchStrategy[Any]] = field(repr=False)

    @functools.cache  # noqa: B019 - there are two of them, for ever
    def schema(self, name: str) -> Json:
        """As the package ships it: a judge that is not ours."""
        text = files("ocpp").joinpath(f"{self.folder}/schemas", f"{name}.json").read_text("utf-8-sig")
        schema: Json = json.loads(text)
        return schema

    @functools.cache  # noqa: B019
    def _judge(self, name: str) -> Any:
        schema = self.schema(name)
        return jsonschema.validators.validator_for(schema)(schema)

    def judge_call(self, action: str, payload: Any) -> None:
        self._judge(f"{action}{self.call}").validate(payload)

    def judge_answer(self, action: str, payload: Any) -> None:
        self._judge(f"{action}Response").validate(payload)

    # --- at random

    @functools.cache  # noqa: B019
    def hostile(self, action: str) -> st.SearchStrategy[Json]:
        """A CALL's payload with up to three things wrong; `text_of` makes a frame of it."""
        schema = self.schema(f"{action}{self.call}")
        return self._fields(schema, schema).flatmap(spoilt)

    @functools.cache  # noqa: B019
    def hostile_answers(self, action: str) -> st.SearchStrategy[Json | None]:
        """What comes of a CALLRESULT through the line; None: nothing that the line lets through."""
        schema = self.schema(f"{action}Response")
        return self._fields(schema, schema).flatmap(spoilt).map(_received)

    def _values(self, node: Json, root: Json, name: str = "") -> st.SearchStrategy[Any]:
        """What a schema's node allows, with a taste for the edges."""
        node = _resolved(node, root)
        if "enum" in node:
            return st.sampled_from(node["enum"])
        if name in DATED or node.get("format") == "date-time":
            return TIMES
        match node.get("type"):
            case "object":
                return self._fields(node, root)
            case "array":
                few, most = node.get("minItems", 0), min(4, node.get("maxItems", 4))
                return st.lists(self._values(node["items"], root, name), min_size=few, max_size=most)
            case "integer":
                return self.names.get(name, INTEGERS)
            case "number":
                return NUMBERS
            case "boolean":
                return st.booleans()
            case "string":
                longest = node.get("maxLength", 100)
                return self.names.get(name, TEXTS | st.just("x" * longest)).map(lambda text: text[:longest])
            case _:
                return st.sampled_from(JUNK)

    def _fields(self, node: Json, root: Json) -> st.SearchStrategy[Json]:
        every = {name: self._values(each, root, name) for name, each in node.get("properties", {}).items()}
        required = set(node.get("required", ()))
        return st.fixed_dictionaries(
            {name: each for name, each in every.items() if name in required},
            optional={name: each for name, each in every.items() if name not in required},
        )

    # --- without chance

    def valid(self, action: str, *, whole: bool = True) -> Json:
        """A payload that the schema allows: `whole` with every field, else with none that may be missing."""
        schema = self.schema(f"{action}{self.call}")
        payload: Json = _valid(schema, schema, whole=whole)
        return payload

    def edges(self, action: str) -> Iterator[tuple[str, Json]]:
        """Payloads that the schema allows, each with one value at an edge, and where it stands."""
        schema = self.schema(f"{action}{self.call}")
        yield from _edges(schema, schema, self.valid(action))

    def violations(self, action: str) -> Iterator[tuple[str, Json, ErrorCode]]:
        """Payloads with one thing wrong, where it stands, and how it is to be refused."""
        schema = self.schema(f"{action}{self.call}")
        for what, payload, code in _violations(schema, schema, self.valid(action)):
            if isinstance(payload, dict):
                yield what, payload, code


def _resolved(node: Json, root: Json) -> Json:
    return root["definitions"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def _received(answer: Json) -> Json | None:
    try:
        message, flaw = decode(text_of([3, "1", answer]))
    except (ValueError, RecursionError):
        return None
    return message[2] if flaw is None else None


# --- one payload without chance, and what may be done to it

SOON = "2026-05-04T12:10:00Z"
OPEN = "CustomDataType"
WIDEST, LEAST, MOST = 10**12, -(2**31), 2**31 - 1
LOTS = 10_000
ROOM_CHARS = 400_000
"""For a list of so many: it has to come through the line."""


def _valid(node: Json, root: Json, *, whole: bool, name: str = "") -> Any:
    node = _resolved(node, root)
    if "enum" in node:
        return node["enum"][0]
    if node.get("format") == "date-time":
        return SOON
    match node.get("type"):
        case "object":
            wanted = node.get("properties", {})
            required = node.get("required", ())
            return {
                key: _valid(each, root, whole=whole, name=key)
                for key, each in wanted.items()
                if whole or key in required
            }
        case "array":
            return [_valid(node["items"], root, whole=whole, name=name)] * max(1, node.get("minItems", 0))
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case _:
            return "x"


def _edges(node: Json, root: Json, value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Other values of a node that its schema allows."""
    node = _resolved(node, root)
    if "enum" in node:
        yield from ((f"={word}", word) for word in node["enum"])
        return
    match node.get("type"):
        case "object":
            required = node.get("required", ())
            for key, each in node.get("properties", {}).items():
                if key not in required:
                    yield f".{key} left out", {name: one for name, one in value.items() if name != key}
                if key == "customData":
                    yield ".customData", {**value, key: {"vendorId": "", "x" * 300: [{"\x00": None}], "id": -1.5}}
                for what, other in _edges(each, root, value[key], key):
                    yield f".{key}{what}", {**value, key: other}
        case "array":
            most = min(node.get("maxItems", LOTS), ROOM_CHARS // len(json.dumps(value[0])))
            yield f" of {most}", value[:1] * most
            if not node.get("minItems"):
                yield " of none", []
            for what, other in _edges(node["items"], root, value[0], name):
                yield f"[0]{what}", [other, *value[1:]]
        case "integer":
            least = 0 if name in NOT_NEGATIVE else LEAST
            yield from ((f"={number}", number) for number in {least, 0, 2, 3, 7, MOST} - {1})
        case "number":
            yield from ((f"={number}", number) for number in (0, -0.0, 0.1, -1.5, 5e-324, WIDEST, -WIDEST))
        case "boolean":
            yield "=False", False
        case "string" if node.get("format") == "date-time":
            yield from ((f"={time}", time) for time in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999+00:00"))
        case "string":
            longest = node.get("maxLength", 100_000)
            texts = ("", " ", "\x00\x1b[31m", "\u202e", "ALICE", "'; --", "😀", "x" * longest, "é" * longest)
            yield from ((f"={text[:12]!a}", text) for text in texts if len(text) <= longest)
        case _:
            yield from ((f"={junk!a}", junk) for junk in (None, 0, [], {"a": [1.5]}, "x" * 60_000))


NOT_NEGATIVE = frozenset({"evseId", "connectorId"})
"""Places: no schema says so, the specification does. An EVSE's `id` is one as well."""


def _violations(node: Json, root: Json, value: Any, name: str = "") -> Iterator[tuple[str, Any, ErrorCode]]:
    """Other values of a node that its schema does not allow."""
    is_open = node.get("$ref", "").endswith(OPEN)
    node = _resolved(node, root)
    if "type" in node:
        wrong: list[Any] = [None, 5, "5", True, [], {}]
        fitting = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": int}
        for other in wrong:
            if type(other) is not fitting[node["type"]]:
                yield f" of type {type(other).__name__}", other, ErrorCode.TYPE
    if "enum" in node:
        yield from ((f"={word!a}", word, ErrorCode.PROPERTY) for word in ("", "no such word", node["enum"][0] + " "))
        return
    match node.get("type"):
        case "object":
            for key in node.get("required", ()):
                left = {name: one for name, one in value.items() if name != key}
                yield f".{key} missing", left, ErrorCode.OCCURRENCE
            if not is_open:
                yield " with more", {**value, "more": 1}, ErrorCode.FORMAT
                yield " with a name in another case", {**value, "CustomData": {"vendorId": "x"}}, ErrorCode.FORMAT
            for key, each in node.get("properties", {}).items():
                for what, other, code in _violations(each, root, value[key], key):
                    yield f".{key}{what}", {**value, key: other}, code
        case "array":
            if node.get("minItems"):
                yield " of none", [], ErrorCode.OCCURRENCE
            if "maxItems" in node:
                yield " of too many", value[:1] * (node["maxItems"] + 1), ErrorCode.OCCURRENCE
            for what, other, code in _violations(node["items"], root, value[0], name):
                yield f"[0]{what}", [other, *value[1:]], code
        case "integer":
            yield " with a point", 1.0, ErrorCode.TYPE
            yield " with a fraction", 1.5, ErrorCode.TYPE
            for far in (MOST + 1, LEAST - 1, 2**63 - 1, *([-1] if name in NOT_NEGATIVE else ())):
                yield f"={far}", far, ErrorCode.PROPERTY
        case "number":
            yield from ((f"={far}", far, ErrorCode.PROPERTY) for far in (WIDEST * 2, -WIDEST * 2, 1e300))
        case "string" if node.get("format") == "date-time":
            dates = (
                "",
                "yesterday",
                "2026-05-04",
                "2026-02-30T00:00:00Z",
                "12:00:00",
                "2026-13-01T00:00:00Z",
                "x" * 99,
            )
            yield from ((f"={date[:12]!a}", date, ErrorCode.TYPE) for date in dates)
        case "string" if "maxLength" in node:
            yield " too long", "x" * (node["maxLength"] + 1), ErrorCode.PROPERTY


V16 = Version("v16", "", NAMES_16)
V201 = Version("v201", "Request", NAMES_201)
