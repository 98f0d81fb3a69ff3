"""A Home Assistant without a face: its own core and MQTT integration on a broker, driven over standard streams.

Runs in the virtual environment that tools/home_assistant.sh makes, never in that of the tests; knows nothing of edged.
`home.py FOLDER PORT`. Each line of standard input is a JSON object: `{"do": "states"}` answers every entity with its
state, attributes, unique id and device; `{"do": "call", "domain": .., "service": .., "data": {..}}` calls a service as
a person's press does; `{"do": "events"}` answers what event entities were told; `{"do": "problems"}` what Home
Assistant has complained of. Each answer is one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

from homeassistant import bootstrap, config_entries, core, loader
from homeassistant.const import __version__
from homeassistant.helpers import device_registry, entity_registry


class Problems(logging.Handler):
    """What an administrator would find in the log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "homeassistant.helpers.frame":  # of how this module starts it
            self.lines.append(self.format(record))


async def start(folder: str, port: int) -> core.HomeAssistant:
    hass = core.HomeAssistant(folder)
    hass.config.skip_pip = True
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await hass.config.async_load()
    await bootstrap.async_load_base_functionality(hass)
    hass.config.components.update({"http", "file_upload"})  # the dialogues of MQTT want them, MQTT itself does not
    entry = config_entries.ConfigEntry(
        version=1,
        minor_version=2,
        domain="mqtt",
        title="broker",
        data={"broker": "127.0.0.1", "port": port},
        options={"discovery": True, "discovery_prefix": "homeassistant"},
        source="user",
        unique_id=None,
        discovery_keys={},
        subentries_data=(),
    )
    await hass.config_entries.async_add(entry)
    await hass.async_start()
    return hass


def states(hass: core.HomeAssistant) -> dict[str, Any]:
    entities, devices = entity_registry.async_get(hass), device_registry.async_get(hass)
    found = {}
    for entity in entities.entities.values():
        state = hass.states.get(entity.entity_id)
        device = devices.async_get(entity.device_id) if entity.device_id else None
        via = devices.async_get(device.via_device_id) if device and device.via_device_id else None
        found[entity.unique_id] = {
            "entity_id": entity.entity_id,
            "platform": entity.domain,
            "name": entity.original_name,
            "category": entity.entity_category,
            "state": None if state is None else state.state,
            "attributes": {} if state is None else dict(state.attributes),
            "device": device.name if device else None,
            "via": via.name if via else None,
        }
    return found


async def carry_out(hass: core.HomeAssistant, order: dict[str, Any], told: list[Any], problems: Problems) -> Any:
    match order["do"]:
        case "states":
            await hass.async_block_till_done()
            return states(hass)
        case "call":
            await hass.services.async_call(order["domain"], order["service"], order["data"], blocking=True)
            return True
        case "events":
            return told
        case "problems":
            return problems.lines
    raise ValueError(order)


async def main(folder: str, port: int) -> None:
    problems = Problems()
    logging.getLogger().addHandler(problems)
    hass = await start(folder, port)
    told: list[Any] = []

    @core.callback
    def note(event: core.Event[Any]) -> None:
        state = event.data["new_state"]
        if (
            event.data["entity_id"].startswith("event.")
            and state is not None
            and state.state not in ("unknown", "unavailable")
        ):
            told.append([event.data["entity_id"], dict(state.attributes)])

    hass.bus.async_listen("state_changed", note)
    loop = asyncio.get_running_loop()
    print(json.dumps({"version": __version__}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        answer = await carry_out(hass, json.loads(line), told, problems)
        print(json.dumps(answer, default=str), flush=True)
    await hass.async_stop(force=True)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
