"""The MQTT contract as one page that needs nothing else: docs/mqtt/asyncapi.yaml to build/docs/mqtt.html.

    python tools/mqtt_page.py [PAGE]

The page is built, never kept: the document is the source.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
DOCUMENT, PAGE = ROOT / "docs/mqtt/asyncapi.yaml", ROOT / "build/docs/mqtt.html"
UNITS = {"w": "W", "wh": "Wh", "a": "A", "v": "V", "hz": "Hz", "c": "°C", "s": "s", "ms": "ms", "pct": "%"}
GROUPS = (
    ("The gateway", ("status", "info", "heartbeat", "health")),
    ("A station", ("stationInfo", "ocppIsConnected", "ocppConnection", "configKey", "raw")),
    ("A connector", ()),
    ("One value a topic", ("point", "pointMeta")),
    ("Home Assistant", ("discovery",)),
)
"""Channels by heading; the empty one takes what no other names."""
APART = ("event", "request", "reply")
STYLE = """
:root{color-scheme:light dark;--fg:#1c2430;--bg:#fff;--soft:#f3f5f8;--line:#d5dbe3;--dim:#5c6878;--hot:#0b62c4}
@media(prefers-color-scheme:dark){:root{--fg:#dfe5ee;--bg:#14181e;--soft:#1d232c;--line:#333c49;--dim:#93a0b2;--hot:#6fb1ff}}
*{box-sizing:border-box}body{margin:0;font:16px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg)}
body{display:grid;grid-template-columns:17rem minmax(0,1fr)}a{color:var(--hot);text-decoration:none}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1rem;background:var(--soft)}
nav{font-size:.85rem;border-right:1px solid var(--line)}
nav a{display:block;padding:.1rem 0}nav b{display:block;margin-top:.8rem}
main{padding:1rem 2rem 4rem;max-width:64rem}h2{margin-top:3rem;border-bottom:1px solid var(--line)}
h3{margin:2rem 0 .3rem;font:600 1rem ui-monospace,monospace;overflow-wrap:anywhere}
code,pre{font:.85rem/1.45 ui-monospace,monospace;background:var(--soft);border-radius:4px}code{padding:0 .25rem}
pre{padding:.6rem .8rem;overflow:auto;border:1px solid var(--line)}
table{border-collapse:collapse;width:100%;font-size:.9rem;margin:.5rem 0}
td,th{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line)}
th{color:var(--dim);font-weight:500}
.tag{font-size:.75rem;border:1px solid var(--line);border-radius:9px;padding:0 .5rem}
.dim{color:var(--dim)}summary{cursor:pointer}
@media(max-width:50rem){body{display:block}nav{position:static;height:auto}main{padding:1rem}}
"""
Schema = Mapping[str, Any]


class Contract:
    """The document with its references in their places."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.ways = {
            operation["channel"]["$ref"].rpartition("/")[2]: operation["bindings"]["mqtt"]
            for operation in document["operations"].values()
        }

    def at(self, reference: str) -> Any:
        place: Any = self.document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        return place

    def flat(self, schema: Any) -> dict[str, Any]:
        """One level of a schema in one piece: members of all its parts together."""
        while isinstance(schema, dict) and "$ref" in schema:
            schema = self.at(schema["$ref"])
        whole: dict[str, Any] = {key: part for key, part in schema.items() if key != "allOf"}
        for part in map(self.flat, schema.get("allOf", ())):
            whole["properties"] = {**whole.get("properties", {}), **part.get("properties", {})}
            whole["required"] = [*whole.get("required", ()), *part.get("required", ())]
            whole = {**part, **whole}
        return whole

    def messages(self, channel: Schema) -> Iterator[tuple[str, Schema]]:
        for key, reference in channel["messages"].items():
            yield key, self.at(reference["$ref"])


# --- words


def esc(text: Any) -> str:
    return html.escape(str(text), quote=True)


def prose(text: str) -> str:
    """Paragraphs, lists and `code`."""
    out: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.split("\n")
        marked = [line for line in lines if line.startswith("- ")]
        if marked:
            items = re.split(r"\n- ", block[block.index("- ") + 2 :])
            out.append("<ul>" + "".join(f"<li>{inline(' '.join(item.split()))}</li>" for item in items) + "</ul>")
        else:
            out.append(f"<p>{inline(' '.join(block.split()))}</p>")
    return "".join(out)


def inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", esc(text))


def unit_of(name: str, schema: Schema) -> str:
    kinds = schema.get("type", ())
    numeric = {"number", "integer"} & ({kinds} if isinstance(kinds, str) else set(kinds))
    suffix = name.rpartition("_")[2]
    measured = numeric or "additionalProperties" in schema
    return UNITS.get(suffix, "") if measured and "_" in name else ""


def kind_of(contract: Contract, schema: Schema) -> str:
    """What a value can be, in a word or two."""
    if "const" in schema:
        return f"always {json.dumps(schema['const'])}"
    parts = [kind_of(contract, contract.flat(part)) for part in schema.get("anyOf", ())]
    words = [json.dumps(word) if not isinstance(word, str) else word for word in schema.get("enum", ())]
    if words:
        return " | ".join(words)
    given = schema.get("type", [])
    kinds = [given] if isinstance(given, str) else list(given)
    if "format" in schema:
        kinds = [schema["format"] if kind == "string" else kind for kind in kinds]
    if "array" in kinds:
        kinds[kinds.index("array")] = "list of " + kind_of(contract, contract.flat(schema.get("items", {})))
    bounds = [f"{'≥' if b.startswith('min') else '≤'} {schema[b]}" for b in schema if re.match("m(in|ax)(imum|L|I)", b)]
    return " | ".join((*parts, *kinds)) + (f" ({', '.join(bounds)})" if bounds else "") or "anything"


def members(contract: Contract, schema: Schema, path: str = "") -> Iterator[str]:
    """A table row for each member, inner ones behind the member that holds them."""
    required = schema.get("required", ())
    for name, part in schema.get("properties", {}).items():
        inner = contract.flat(part)
        must = "" if name in required else ' <span class="dim">optional</span>'
        yield (
            f"<tr><td><code>{esc(path + name)}</code>{must}</td><td>{esc(kind_of(contract, inner))}</td>"
            f"<td>{unit_of(name, inner)}</td><td>{inline(inner.get('description', ''))}</td></tr>"
        )
        yield from members(contract, inner, f"{path}{name}.")
        items = contract.flat(inner.get("items", {}))
        yield from members(contract, items, f"{path}{name}[].")
        more = inner.get("additionalProperties")
        if isinstance(more, dict):
            yield from members(contract, contract.flat(more), f"{path}{name}.*.")


def table(contract: Contract, schema: Schema) -> str:
    rows = "".join(members(contract, schema))
    if not rows:
        return f"<p>{esc(kind_of(contract, schema))} {inline(schema.get('description', ''))}</p>"
    return f"<table><tr><th>member<th>type<th>unit<th>what it says</tr>{rows}</table>"


def examples(message: Schema) -> str:
    said = (example["payload"] for example in message.get("examples", ()))
    texts = (word if isinstance(word, str) else json.dumps(word, ensure_ascii=False, indent=1) for word in said)
    return "".join(f"<pre>{esc(text)}</pre>" for text in texts)


# --- sections


def heading(contract: Contract, name: str) -> str:
    channel, way = contract.document["channels"][name], contract.ways[name]
    kept = "retained" if way["retain"] else "not retained"
    levels = "".join(
        f"<li><code>{{{esc(level)}}}</code> {inline(part.get('description', ''))}"
        + (": " + ", ".join(map(esc, part["enum"])) if "enum" in part and name != "request" else "")
        + "</li>"
        for level, reference in channel.get("parameters", {}).items()
        if level not in ("gateway", "station", "connector")
        for part in [contract.at(reference["$ref"]) if "$ref" in reference else reference]
    )
    about = prose(channel.get("description", "")) + (f"<ul>{levels}</ul>" if levels else "")
    flags = f'<span class="tag">QoS {way["qos"]}</span> <span class="tag">{kept}</span>'
    return f'<h3 id="{name}">{esc(channel["address"])}</h3>{flags}{about}'


def document_channel(contract: Contract, name: str) -> Iterator[str]:
    yield heading(contract, name)
    for _, message in contract.messages(contract.document["channels"][name]):
        if "title" in message:
            yield f"<p><b>{esc(message['title'])}</b> ({inline(message.get('summary', ''))})</p>"
        yield table(contract, contract.flat(message["payload"])) + examples(message)


def event_section(contract: Contract) -> Iterator[str]:
    yield '<h2 id="events">What happened</h2>' + heading(contract, "event")
    for key, message in contract.messages(contract.document["channels"]["event"]):
        payload = contract.flat(message["payload"])
        if key == "event":
            yield table(contract, payload) + examples(message)
            continue
        data = contract.flat(payload["properties"]["data"])
        yield f'<h3 id="event-{esc(key)}">{esc(key)} <span class="tag">{esc(message["tags"][0]["name"])}</span></h3>'
        yield f"<p>{inline(message['summary'])}</p>" + (table(contract, data) if data.get("properties") else "")


def command_section(contract: Contract) -> Iterator[str]:
    channels = contract.document["channels"]
    replies = dict(contract.messages(channels["reply"]))
    yield '<h2 id="commands">Commands</h2>'
    for name in ("request", "reply"):
        message = contract.at(channels[name]["messages"][name]["$ref"])
        yield heading(contract, name) + table(contract, contract.flat(message["payload"])) + examples(message)
    for key, message in contract.messages(channels["request"]):
        if key == "request":
            continue
        args = contract.flat(contract.flat(message["payload"])["properties"]["args"])
        result = contract.flat(contract.flat(replies[key]["payload"])["properties"]["result"])
        needs = f" · needs an id: {esc(message['x-needs-id'])}" if "x-needs-id" in message else ""
        yield f'<h3 id="command-{esc(key)}">{esc(key)}</h3><p>{inline(message["summary"])}</p>'
        yield f'<p class="dim">answered within {message["x-timeout-s"]} s{needs}</p>'
        yield (f"<b>args</b>{table(contract, args)}" if args.get("properties") else "<p>No arguments.</p>")
        yield f"<b>result</b>{table(contract, result)}"


def page(document: Mapping[str, Any]) -> str:
    contract = Contract(document)
    named = {name for _, names in GROUPS for name in names} | set(APART)
    rest = tuple(name for name in document["channels"] if name not in named)
    body, menu = [], []
    for title, names in GROUPS:
        ident = title.lower().replace(" ", "-")
        body.append(f'<h2 id="{ident}">{esc(title)}</h2>')
        menu.append(f"<b>{esc(title)}</b>")
        for name in names or rest:
            body.extend(document_channel(contract, name))
            short = re.sub(r"^.*?\{gateway\}/", "", document["channels"][name]["address"])
            menu.append(f'<a href="#{name}">{esc(short.rpartition("}/")[2] or short)}</a>')
    body.extend((*event_section(contract), *command_section(contract)))
    for title, channel, prefix in (("What happened", "event", "event"), ("Commands", "request", "command")):
        menu.append(f'<b><a href="#{prefix}s">{title}</a></b>')
        keys = [key for key in document["channels"][channel]["messages"] if key != channel]
        menu.extend(f'<a href="#{prefix}-{esc(key)}">{esc(key)}</a>' for key in keys)
    info = document["info"]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{esc(info["title"])}</title>\n'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head>\n'
        f"<body><nav>{chr(10).join(menu)}</nav>\n<main><h1>{esc(info['title'])}</h1>"
        f'<p class="dim">Contract {esc(info["version"])}</p>{prose(info["description"])}\n'
        + "\n".join(body)
        + "</main></body></html>\n"
    )


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("page", nargs="?", type=Path, default=PAGE)
    args = parser.parse_args(words)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = page(yaml.load(DOCUMENT.read_text(encoding="utf-8"), loader))
    args.page.parent.mkdir(parents=True, exist_ok=True)
    args.page.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{args.page}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
