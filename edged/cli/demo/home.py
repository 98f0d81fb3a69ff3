"""What Home Assistant would find on the broker: a document for each device, and every topic that one names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from edged.cli.demo.broker import EVENTS, Observer
from edged.cli.demo.places import DISCOVERY, PLACES
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Seen

DEVICES: Final = 2 + len(PLACES)
"""The gateway, its station, each connector."""
_READ: Final = ("stat_t", "json_attr_t")


def seen_by(name: str) -> Callable[[Stage], Seen]:
    """`name`: the observer's in the notes; what counts is what the broker had kept for it."""

    def look(stage: Stage) -> Seen:
        return judge(stage.notes[name])

    return look


def judge(observer: Observer) -> Seen:
    kept = observer.retained
    documents = [json.loads(text) for topic, text in kept.items() if topic.startswith(f"{DISCOVERY}/device/")]
    idents = {ident for document in documents for ident in document["dev"]["ids"]}
    missing = [topic for document in documents for topic in _read_by(document) if topic not in kept]
    missing += [
        above for document in documents if (above := document["dev"].get("via_device", "")) not in {"", *idents}
    ]
    if missing:
        return Seen(False, f"Home Assistant would miss {missing[0]}")
    entities = sum(len(document["cmps"]) for document in documents)
    return Seen(len(documents) == DEVICES, f"Home Assistant: {len(documents)} devices, {entities} entities")


def _read_by(document: Mapping[str, Any]) -> Iterator[str]:
    """The retained topics that a device's entities read."""
    yield from (one["t"] for one in document["avty"])
    for entity in document["cmps"].values():
        topics = (entity[key] for key in _READ if key in entity)
        yield from (topic for topic in topics if not topic.startswith(EVENTS))
