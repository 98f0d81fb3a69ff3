"""The JSON schemas of each OCPP version, read as data from the package `ocpp` and compiled once for each message.

Knows nothing of connections. An independent check of what a station sends: none of edged's own tables are used.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

import fastjsonschema


@dataclass(frozen=True, slots=True, kw_only=True)
class Schemas:
    """One version's messages. `request_suffix`: what a request's file adds to its action; `station_actions`: what a
    station may call, everything else is for it to answer."""

    folder: str
    request_suffix: str
    station_actions: frozenset[str]

    def knows(self, action: str) -> bool:
        """Whether the version has such an action."""
        names = _names(self.folder)
        return f"{action}{self.request_suffix}" in names and f"{action}Response" in names

    def objection(self, action: str, payload: object, *, response: bool = False) -> str | None:
        """What the schema has against a payload, in a sentence; None where nothing. Only for actions it knows."""
        suffix = "Response" if response else self.request_suffix
        try:
            _validator(self.folder, f"{action}{suffix}")(payload)
        except fastjsonschema.JsonSchemaException as error:
            return str(error)
        return None


def _files(folder: str) -> Traversable:
    return resources.files("ocpp") / folder / "schemas"


@cache
def _names(folder: str) -> frozenset[str]:
    return frozenset(file.name.removesuffix(".json") for file in _files(folder).iterdir())


@cache
def _validator(folder: str, name: str) -> Callable[[object], object]:
    schema = json.loads((_files(folder) / f"{name}.json").read_text("utf-8-sig"))
    compiled: Callable[[object], object] = fastjsonschema.compile(schema, use_default=False)
    return compiled


SCHEMAS_16 = Schemas(
    folder="v16",
    request_suffix="",
    station_actions=frozenset(
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
    ),
)
"""1.6 §4 and the security whitepaper."""

SCHEMAS_201 = Schemas(
    folder="v201",
    request_suffix="Request",
    station_actions=frozenset(
        {
            "Authorize",
            "BootNotification",
            "ClearedChargingLimit",
            "DataTransfer",
            "FirmwareStatusNotification",
            "Get15118EVCertificate",
            "GetCertificateStatus",
            "Heartbeat",
            "LogStatusNotification",
            "MeterValues",
            "NotifyChargingLimit",
            "NotifyCustomerInformation",
            "NotifyDisplayMessages",
            "NotifyEVChargingNeeds",
            "NotifyEVChargingSchedule",
            "NotifyEvent",
            "NotifyMonitoringReport",
            "NotifyReport",
            "PublishFirmwareStatusNotification",
            "ReportChargingProfiles",
            "ReservationStatusUpdate",
            "SecurityEventNotification",
            "SignCertificate",
            "StatusNotification",
            "TransactionEvent",
        }
    ),
)
"""2.0.1 part 2, chapter "Messages"."""
