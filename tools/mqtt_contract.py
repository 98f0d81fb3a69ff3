"""Whether docs/mqtt/asyncapi.yaml still keeps what docs/mqtt/v1.yaml promises: within v1 the contract only grows.

    python tools/mqtt_contract.py [--freeze] [OLD NEW]

Prints one sentence for each promise that is broken, and ends with status 1 where there is any. `--freeze` makes the
document the promise, as a release does; it refuses where the document breaks one (before the first release: delete
v1.yaml first).

What edged publishes may get new topics, members, words and kinds of messages; a reader of the old ones must not notice.
What edged takes may get new commands, optional arguments and wider bounds; a caller of the old ones must not notice.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "docs/mqtt"
PROMISE, DOCUMENT = FOLDER / "v1.yaml", FOLDER / "asyncapi.yaml"
_LOWER_BOUNDS = ("minimum", "minLength", "minItems")
_UPPER_BOUNDS = ("maximum", "maxLength", "maxItems")
Schema = Mapping[str, Any]


def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(
        path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    return document


# --- schemas in one piece


def flat(document: Schema, schema: Any) -> Any:
    """A schema with every reference in its place and every `allOf` as one object. Nothing refers to itself."""
    if isinstance(schema, list):
        return [flat(document, part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("$ref"), str):
        return flat(document, at(document, schema["$ref"]))
    whole = {key: flat(document, part) for key, part in schema.items() if key != "allOf"}
    for part in flat(document, schema.get("allOf", [])):
        for key, value in part.items():
            if key == "properties":
                whole[key] = {**whole.get(key, {}), **value}
            elif key == "required":
                whole[key] = list(dict.fromkeys((*whole.get(key, ()), *value)))
            else:
                whole.setdefault(key, value)
    return whole


def at(document: Schema, reference: str) -> Any:
    place: Any = document
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return place


def last(reference: str) -> str:
    return reference.rpartition("/")[2]


# --- channels


def breaks(old: Schema, new: Schema) -> Iterator[str]:
    """A sentence for each promise of `old` that `new` does not keep."""
    ways, new_ways = _ways(old), _ways(new)
    for name, channel in old["channels"].items():
        if name not in new["channels"]:
            yield f"the topic {channel['address']} is gone"
            continue
        other = new["channels"][name]
        if channel["address"] != other["address"]:
            yield f"the topic {channel['address']} is {other['address']} now"
        yield from _flags(channel["address"], ways.get(name, {}), new_ways.get(name, {}))
        yield from _words_of_levels(channel, other)
        is_sent = ways.get(name, {}).get("action") == "send"
        for key, reference in channel["messages"].items():
            where = f"{channel['address']} ({key})"
            if key not in other["messages"]:
                yield f"{where}: this message is gone"
                continue
            before, after = at(old, reference["$ref"]), at(new, other["messages"][key]["$ref"])
            yield from _message(where, before, after, is_sent=is_sent)
            compare = _taken if is_sent else _told
            yield from compare(where, flat(old, before["payload"]), flat(new, after["payload"]))


def _ways(document: Schema) -> dict[str, dict[str, Any]]:
    return {
        last(operation["channel"]["$ref"]): {"action": operation["action"], **operation["bindings"]["mqtt"]}
        for operation in document["operations"].values()
    }


def _flags(address: str, before: Schema, after: Schema) -> Iterator[str]:
    for flag in ("qos", "retain", "action"):
        if before and before[flag] != after.get(flag):
            yield f"{address}: {flag} was {before[flag]} and is {after.get(flag)}"


def _words_of_levels(before: Schema, after: Schema) -> Iterator[str]:
    for level, parameter in before.get("parameters", {}).items():
        words = at_level(after, level)
        if "enum" in parameter and words is not None:
            for word in parameter["enum"]:
                if word not in words:
                    yield f"{before['address']}: {level} is never {word} any more"


def at_level(channel: Schema, level: str) -> list[str] | None:
    found: list[str] | None = channel.get("parameters", {}).get(level, {}).get("enum")
    return found


def _message(where: str, before: Schema, after: Schema, *, is_sent: bool) -> Iterator[str]:
    if before.get("contentType") != after.get("contentType"):
        yield f"{where}: {before.get('contentType', 'JSON')} has become {after.get('contentType', 'JSON')}"
    if is_sent and after.get("x-needs-id") not in (None, before.get("x-needs-id")):
        yield f"{where}: it needs an id now: {after['x-needs-id']}"
    if not is_sent and before.get("tags") != after.get("tags"):
        yield f"{where}: it is told in another category"


# --- what edged publishes: a reader of the old must understand the new


def _told(where: str, old: Any, new: Any) -> Iterator[str]:
    lost = _types(new) - _types(old) if old else set()
    if lost:
        yield f"{where}: may be {_or(lost)} now, was {_or(_types(old))}"
    yield from _same(where, old, new)
    if "enum" in old:
        if "enum" not in new and "const" not in new:
            yield f"{where}: may be any word now"
        for word in old["enum"]:
            if word not in new.get("enum", [new.get("const", word)]):
                yield f"{where}: is never {word} any more"
    yield from _bounds(where, old, new, wider_breaks=True)
    members = new.get("properties", {})
    for name, schema in old.get("properties", {}).items():
        if name not in members:
            yield f"{where}: the member {name} is gone"
            continue
        yield from _told(f"{where}.{name}", schema, members[name])
    for name in old.get("required", ()):
        if name not in new.get("required", ()) and (name in members or name not in old.get("properties", {})):
            yield f"{where}: the member {name} may be left out now"
    yield from _inner(where, old, new, _told)


# --- what edged takes: a caller of the old must be understood by the new


def _taken(where: str, old: Any, new: Any) -> Iterator[str]:
    lost = _types(old) - _types(new) if new else set()
    if lost:
        yield f"{where}: may not be {_or(lost)} any more"
    yield from _same(where, old, new)
    if "enum" in new:
        if "enum" not in old:
            yield f"{where}: takes certain words only now"
        for word in old.get("enum", ()):
            if word not in new["enum"]:
                yield f"{where}: does not take {word} any more"
    yield from _bounds(where, old, new, wider_breaks=False)
    members = new.get("properties", {})
    for name, schema in old.get("properties", {}).items():
        if name not in members:
            yield f"{where}: {name} is not taken any more"
            continue
        yield from _taken(f"{where}.{name}", schema, members[name])
    for name in new.get("required", ()):
        if name not in old.get("required", ()):
            yield f"{where}: {name} must be given now"
    yield from _inner(where, old, new, _taken)


# --- both


def _types(schema: Any) -> set[str]:
    """What a value can be; a whole number is a number."""
    given = schema.get("type")
    names = set(given) if isinstance(given, list) else {given} if given else set()
    for part in (*schema.get("anyOf", ()), *(part for part in schema.get("oneOf", ()) if "type" in part)):
        names |= _types(part)
    if not names and "const" not in schema and "enum" not in schema:
        names = {"array", "boolean", "null", "number", "object", "string"}
    return names | ({"integer"} if "number" in names else set())


def _or(names: set[str]) -> str:
    return " or ".join(sorted(names))


def _same(where: str, old: Schema, new: Schema) -> Iterator[str]:
    for word in ("const", "format", "x-unit"):
        if word in old and old[word] != new.get(word):
            yield f"{where}: {word.removeprefix('x-')} was {old[word]} and is {new.get(word)}"


def _bounds(where: str, old: Schema, new: Schema, *, wider_breaks: bool) -> Iterator[str]:
    for bound in (*_LOWER_BOUNDS, *_UPPER_BOUNDS):
        was, now = (old, new) if wider_breaks else (new, old)
        if bound not in was:
            continue
        higher = now.get(bound, float("-inf") if bound in _LOWER_BOUNDS else float("inf"))
        if (higher < was[bound]) if bound in _LOWER_BOUNDS else (higher > was[bound]):
            yield f"{where}: {bound} was {old.get(bound, 'open')} and is {new.get(bound, 'open')}"


def _inner(where: str, old: Schema, new: Schema, compare: Any) -> Iterator[str]:
    for word, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(old.get(word), dict) and isinstance(new.get(word), dict):
            yield from compare(where + mark, old[word], new[word])
    for word in ("anyOf", "oneOf"):
        parts, others = old.get(word, []), new.get(word, [])
        if len(parts) == len(others):
            for part, other in zip(parts, others, strict=True):
                yield from compare(where, part, other)
        elif parts:
            yield f"{where}: it has other forms now"


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--freeze", action="store_true", help="make the document the promise")
    parser.add_argument("old", nargs="?", type=Path, default=PROMISE)
    parser.add_argument("new", nargs="?", type=Path, default=DOCUMENT)
    args = parser.parse_args(words)
    if not args.old.exists() and not args.freeze:
        sys.stderr.write(f"{args.old} is missing: python tools/mqtt_contract.py --freeze\n")
        return 1
    found = list(breaks(load(args.old), load(args.new))) if args.old.exists() else []
    for sentence in found:
        sys.stderr.write(f"{sentence}\n")
    if args.freeze and not found:
        shutil.copyfile(args.new, args.old)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
