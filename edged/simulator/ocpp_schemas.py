"""OCPP 1.6's JSON schemas, read as data from the package `ocpp` and compiled once for each message.

Knows nothing of connections. An independent check of what a station sends: none of edged's own tables are used.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib import resources

import fastjsonschema

STATION_ACTIONS = frozenset(
    {
        "Authorize",
        "BootNotification",
        "DataTransfer",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "LogStatusNotification",
        "MeterValues",
        "SecurityEventNotification",
        "SignCertificate",
        "SignedFirmwareStatusNotification",
        "StartTransaction",
        "StatusNotification",
        "StopTransaction",
    }
)
"""What a station may call (1.6 §4 and the security whitepaper); everything else is for it to answer."""


@cache
def _folder_names() -> frozenset[str]:
    folder = resources.files("ocpp") / "v16" / "schemas"
    return frozenset(file.name.removesuffix(".json") for file in folder.iterdir())


@cache
def _validator(name: str) -> Callable[[object], object]:
    text = (resources.files("ocpp") / "v16" / "schemas" / f"{name}.json").read_text("utf-8-sig")
    compiled: Callable[[object], object] = fastjsonschema.compile(json.loads(text))
    return compiled


def is_known(action: str) -> bool:
    """Whether 1.6 (with the security whitepaper) has such an action."""
    return action in _folder_names() and f"{action}Response" in _folder_names()


def objection(action: str, payload: object, *, response: bool = False) -> str | None:
    """What the schema has against a payload, in a sentence; None where nothing. Only for actions that are known."""
    try:
        _validator(f"{action}Response" if response else action)(payload)
    except fastjsonschema.JsonSchemaException as error:
        return str(error)
    return None
