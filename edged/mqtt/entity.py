"""What an entity of Home Assistant is made of: its words, its commands, its events (docs/mqtt).

Pure. Refuses to know which entities there are (`entities`, `gateway_entities`).
Invariants: each command carries an id, so that a repetition is not carried out twice · an event entity announces every
type that its topic can bring, for Home Assistant refuses others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edged.mqtt.events import KINDS, Category, category_of
from edged.mqtt.names import Names
from edged.mqtt.options import CommandOptions

ACTOR: Final = "homeassistant"
"""Home Assistant's user at the broker: the level of its requests, and its name in `mqtt.commands`."""
EXPIRY_FACTOR: Final = 3
"""A measured value that was told so many times less often than it should be is no longer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """Where and for whom. `longest_interval_s`: how long a measured value goes untold at most while readings come."""

    prefix: str
    names: Names
    version: str
    commands: CommandOptions = field(default_factory=CommandOptions)
    longest_interval_s: float = 60.0

    @property
    def home_status(self) -> str:
        """Where Home Assistant says `online` after its start."""
        return f"{self.prefix}/status"

    @property
    def tree(self) -> str:
        """The beginning of every topic of ours below the prefix."""
        return f"{self.prefix}/device/edged-{self.names.gateway}/"

    def topic(self, entity: str) -> str:
        return f"{self.tree}{entity}/config"

    def may(self, command: str) -> bool:
        return self.commands.allows(ACTOR, command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One entity. `offered` False: not (or no longer) there; Home Assistant is told to forget it. `words`: its
    configuration beside platform, id and name, in Home Assistant's abbreviations."""

    key: str
    platform: str
    name: str
    words: Mapping[str, Any]
    offered: bool = True


def command_words(discovery: Discovery, command: str, station: str, **arguments: str) -> dict[str, Any]:
    """`arguments` in JSON, or a template that becomes JSON. Two presses have two ids."""
    given = {"station": json.dumps(station), **arguments}
    body = ",".join(f'"{name}":{value}' for name, value in given.items())
    return {
        "cmd_t": discovery.names.request(ACTOR, command),
        "cmd_tpl": f'{{"id":"ha-{{{{ now().timestamp() }}}}","args":{{{body}}}}}',
        "qos": 1,
    }


def event_entity(names: Names, category: Category, here: str) -> Component:
    """What happened, with its data as attributes. Other places' events become an empty word, which is ignored."""
    members = ("event_type", "source", "replayed")
    body = f"dict(value_json.data, {', '.join(f'{name}=value_json.{name}' for name in members)})"
    return Component(
        key=f"{category}_events",
        platform="event",
        name=f"{category.capitalize()} events",
        words={
            "evt_typ": sorted(kind for kind in KINDS if category_of(kind) is category),
            "stat_t": names.event(category),
            "val_tpl": f"{{{{ {body} | to_json if {here} else '' }}}}",
            "qos": 1,
        },
    )


def diagnostic(topic: str, expression: str, **words: Any) -> dict[str, Any]:
    return {"ent_cat": "diagnostic", **words, "stat_t": topic, "val_tpl": f"{{{{ value_json.{expression} }}}}"}
