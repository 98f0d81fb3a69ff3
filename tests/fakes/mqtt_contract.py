"""`docs/mqtt/asyncapi.yaml` as a judge: which topic may carry which payload, with which QoS and retain flag.

Every message that a mirror of this process hands to the broker's client is judged where it is handed over
(`watch_connections`), those of daemons in other processes by what they note down (`tests/published`); the root
`conftest.py` lets the test fail in whose time a message was wrong. Members that the contract does not name are errors.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jsonschema
import yaml

DOCUMENT: Final = Path(__file__).parents[2] / "docs/mqtt/asyncapi.yaml"
_ROOT = "edged/v1/"
_HOME_ASSISTANT = "homeassistant/"
_ANY_ROOT = "(?:[^/+#]+/){1,3}v1/"
_EDITOR = jsonschema.Draft202012Validator


class Broken(AssertionError):
    """A message against the contract."""


@dataclass(frozen=True, slots=True)
class Flags:
    qos: int
    retain: bool


@dataclass(slots=True)
class _Message:
    """A kind of message: of the channel (`tag` None), or of an event type or a command."""

    name: str
    plain: bool
    tag: str | None
    judge: Any


@dataclass(slots=True)
class _Channel:
    name: str
    pattern: re.Pattern[str]
    flags: Flags
    messages: dict[str, _Message] = field(default_factory=dict)


def load() -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document: dict[str, Any] = yaml.load(DOCUMENT.read_text(), loader)  # both are safe loaders
    return document


class Contract:
    def __init__(self, document: Mapping[str, Any] | None = None) -> None:
        self.document = dict(document) if document is not None else load()
        self._flags = {
            last(operation["channel"]["$ref"]): Flags(
                operation["bindings"]["mqtt"]["qos"], operation["bindings"]["mqtt"]["retain"]
            )
            for operation in self.document["operations"].values()
        }
        self._channels = [self._compile(name, channel) for name, channel in self.document["channels"].items()]

    def _compile(self, name: str, channel: Mapping[str, Any]) -> _Channel:
        compiled = _Channel(name, re.compile(_pattern(channel, name)), self._flags[name])
        for key, reference in channel["messages"].items():
            message = self.document["components"]["messages"][last(reference["$ref"])]
            tags = message.get("tags") or [{"name": None}]
            schema = closed(self.document, message["payload"])
            judge = _EDITOR(schema, format_checker=jsonschema.FormatChecker())
            compiled.messages[key] = _Message(key, message.get("contentType") == "text/plain", tags[0]["name"], judge)
        return compiled

    def flags_of(self, topic: str) -> Flags:
        for channel in self._channels:
            if channel.pattern.fullmatch(topic):
                return channel.flags
        return Flags(0, retain=False)

    def flags_of_known(self, topic: str) -> Flags:
        """Raises `Broken` where the contract knows no such topic."""
        return self._channel(topic).flags

    # --- judging

    def check(self, topic: str, payload: bytes) -> Any:
        """The payload as a value. Raises `Broken` where the contract knows no such topic or no such payload."""
        return self._value(self._channel(topic), topic, payload)

    def judge(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """The whole of a message of edged's. An empty payload deletes a retained topic, also one of former days."""
        if not payload:
            _expect(retain and qos == 1, f"{topic}: a topic is deleted with the retain flag and QoS 1")
            ours = re.match(_ANY_ROOT + "[a-z0-9-]{1,32}/", topic) or re.match(r"[^/]+/device/edged-", topic)
            _expect(ours is not None, f"{topic}: not ours to delete")
            return
        channel = self._channel(topic)
        _expect(channel.name != "request", f"{topic}: edged sends no commands")
        _expect(Flags(qos, retain) == channel.flags, f"{topic}: QoS {qos}, retain {retain}; agreed is {channel.flags}")
        self._value(channel, topic, payload)

    def _channel(self, topic: str) -> _Channel:
        for channel in self._channels:
            if channel.pattern.fullmatch(topic):
                return channel
        raise Broken(f"the contract knows no topic {topic}")

    def _value(self, channel: _Channel, topic: str, payload: bytes) -> Any:
        try:
            text = payload.decode()
            plain = next(iter(channel.messages.values())).plain and not text.startswith("{")
            value = text if plain else json.loads(text, parse_constant=_no_constant)
        except ValueError as error:
            raise Broken(f"{topic}: {error}: {payload[:200]!r}") from error
        for message in self._judges(channel, topic, value):
            error = jsonschema.exceptions.best_match(message.judge.iter_errors(value))
            if error is not None:
                where = "/".join(map(str, error.absolute_path))
                raise Broken(f"{topic} ({message.name}) {where}: {error.message}: {payload[:2000]!r}")
        return value

    def _judges(self, channel: _Channel, topic: str, value: Any) -> list[_Message]:
        messages = channel.messages
        if channel.name == "event":
            kind = value.get("event_type") if isinstance(value, dict) else None
            message = messages.get(str(kind))
            _expect(message is not None, f"{topic}: the contract knows no event {kind}")
            assert message is not None
            _expect(topic.endswith(f"/event/{message.tag}"), f"{topic}: {kind} is told under {message.tag}")
            return [message]
        if channel.name == "point":
            return [messages["pointValue" if isinstance(value, str) else "pointObject"]]
        if channel.name in ("reply", "request"):
            command = value.get("command") if isinstance(value, dict) else None
            own = messages.get(str(command)) if isinstance(value, dict) and value.get("ok") else None
            return [messages[channel.name], *([own] if own is not None else [])]
        return list(messages.values())


def _expect(true: Any, words: str) -> None:
    if not true:
        raise Broken(words)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def last(reference: str) -> str:
    return reference.rpartition("/")[2]


def _pattern(channel: Mapping[str, Any], name: str) -> str:
    """The root and Home Assistant's prefix are the installer's."""
    parameters = channel.get("parameters", {})

    def level(found: re.Match[str]) -> str:
        if found[1] == "actor":
            return "[^/]*"  # who leaves it empty is answered there
        words = parameters.get(found[1], {}).get("enum")
        return f"(?:{'|'.join(map(re.escape, words))})" if words and name != "request" else "[^/]+"

    address = channel["address"] + ("(?:/.+)?" if name in ("reply", "request") else "")
    address = re.sub(r"\{(\w+)\}", level, address)
    if address.startswith(_ROOT):
        return _ANY_ROOT + address.removeprefix(_ROOT)
    return address.replace(_HOME_ASSISTANT, "[^/]+/", 1)


# --- schemas


def resolved(document: Mapping[str, Any], schema: Any) -> Any:
    """Every reference put in its place. Nothing in the contract refers to itself."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            place: Any = document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                place = place[step]
            return resolved(document, place)
        return {key: resolved(document, part) for key, part in schema.items()}
    return [resolved(document, part) for part in schema] if isinstance(schema, list) else schema


def closed(document: Mapping[str, Any], schema: Any) -> Any:
    """A schema of one piece in which no object takes a member that is not named."""
    return _close(merged(resolved(document, schema)))


def merged(schema: Any) -> Any:
    """`allOf` of objects as one object; a later part refines the members of a former one."""
    if isinstance(schema, list):
        return [merged(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "allOf" not in schema:
        return {key: merged(part) for key, part in schema.items()}
    whole: dict[str, Any] = {key: merged(part) for key, part in schema.items() if key != "allOf"}
    for part in map(merged, schema["allOf"]):
        for key, value in part.items():
            if key == "properties":
                whole[key] = {**whole.get(key, {}), **value}
            elif key == "required":
                whole[key] = list(dict.fromkeys((*whole.get(key, ()), *value)))
            elif key in ("type", "description"):
                whole.setdefault(key, value)
            elif key in whole:
                raise ValueError(f"two parts say {key}")
            else:
                whole[key] = value
    return whole


def _close(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_close(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: _close(part) if key not in ("oneOf", "anyOf") else part for key, part in schema.items()}
    if isinstance(out.get("properties"), dict) and out.get("type") == "object":
        out.setdefault("additionalProperties", False)
    return out


# --- everything that is published


@functools.cache
def contract() -> Contract:
    """Read once a process."""
    return Contract()


class Witness:
    """What was wrong since the last look."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.judged = 0

    def saw(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        self.judged += 1
        try:
            contract().judge(topic, payload, qos=qos, retain=retain)
        except Broken as error:
            self.wrong.append(str(error))

    def saw_will(self, topic: str, payload: bytes) -> None:
        """A will's flags may be lower than agreed: a broker may refuse a connection for them."""
        flags = contract().flags_of(topic)
        self.saw(topic, payload, qos=flags.qos, retain=flags.retain)

    def taken(self) -> list[str]:
        wrong, self.wrong = self.wrong, []
        return wrong

    def saw_notes(self, notes: Iterator[str]) -> None:
        """What a daemon in another process has noted down (`tests/published/sitecustomize.py`)."""
        for line in notes:
            note = json.loads(line)
            payload = bytes.fromhex(note["payload"])
            if note["will"]:
                self.saw_will(note["topic"], payload)
            else:
                self.saw(note["topic"], payload, qos=note["qos"], retain=note["retain"])


WITNESS: Final = Witness()


def watch_connections(witness: Witness = WITNESS) -> None:
    """Look over the shoulder of every connection to a broker of this process, for as long as it lives."""
    from edged.mqtt import connection

    publish, make_client = connection.Connection.publish, connection.Connection._make_client

    @functools.wraps(publish)
    def judged(self: Any, topic: str, payload: bytes, *, qos: int, retain: bool, **more: Any) -> Any:
        witness.saw(topic, payload, qos=qos, retain=retain)
        return publish(self, topic, payload, qos=qos, retain=retain, **more)

    @functools.wraps(make_client)
    def with_will(self: Any, will: Any) -> Any:
        if will is not None:
            witness.saw_will(will.topic, will.payload)
        return make_client(self, will)

    connection.Connection.publish = judged  # type: ignore[method-assign]
    connection.Connection._make_client = with_will  # type: ignore[method-assign]
