"""OCPP 2.0.1's schemas: which messages there are, and what is mended in the ones that the package `ocpp` carries.

Corrections (errata and our own bounds):
- every object rejects fields that it does not know, `customData` excepted: it may hold anything (20-J-10);
- integers have 32 bits and no decimal point (20-J-09): 1.0 would come through as no integer, which draft 6 of JSON
  schema allows and draft 4 does not; numbers are of a size that arithmetic survives, an evseId is not negative;
- `data` of DataTransfer is of any type, but of a bounded length.
"""

from __future__ import annotations

from typing import Any, Final

from edged.dialects.validation import Schema, SchemaFolder, each_node
from edged.ocpp.dialect import CallRefused

_INTEGER_LIMIT: Final = 2**31
_NUMBER_LIMIT: Final = 1e12
_DRAFT: Final = "http://json-schema.org/draft-04/schema#"
_OPEN: Final = "CustomDataType"

STATION_ASKS: Final = frozenset(
    {
        *("Authorize", "BootNotification", "ClearedChargingLimit", "DataTransfer", "FirmwareStatusNotification"),
        *("Get15118EVCertificate", "GetCertificateStatus", "Heartbeat", "LogStatusNotification", "MeterValues"),
        *("NotifyChargingLimit", "NotifyCustomerInformation", "NotifyDisplayMessages", "NotifyEVChargingNeeds"),
        *("NotifyEVChargingSchedule", "NotifyEvent", "NotifyMonitoringReport", "NotifyReport"),
        *("PublishFirmwareStatusNotification", "ReportChargingProfiles", "ReservationStatusUpdate"),
        *("SecurityEventNotification", "SignCertificate", "StatusNotification", "TransactionEvent"),
    }
)
CSMS_ASKS: Final = frozenset(
    {
        *("CancelReservation", "CertificateSigned", "ChangeAvailability", "ClearCache", "ClearChargingProfile"),
        *("ClearDisplayMessage", "ClearVariableMonitoring", "CostUpdated", "CustomerInformation", "DataTransfer"),
        *("DeleteCertificate", "GetBaseReport", "GetChargingProfiles", "GetCompositeSchedule", "GetDisplayMessages"),
        *("GetInstalledCertificateIds", "GetLocalListVersion", "GetLog", "GetMonitoringReport", "GetReport"),
        *("GetTransactionStatus", "GetVariables", "InstallCertificate", "PublishFirmware", "RequestStartTransaction"),
        *("RequestStopTransaction", "ReserveNow", "Reset", "SendLocalList", "SetChargingProfile"),
        *("SetDisplayMessage", "SetMonitoringBase", "SetMonitoringLevel", "SetNetworkProfile"),
        *("SetVariableMonitoring", "SetVariables", "TriggerMessage", "UnlockConnector", "UnpublishFirmware"),
        "UpdateFirmware",
    }
)
KNOWN_ACTIONS: Final = STATION_ASKS | CSMS_ASKS
"""Every action of 2.0.1, in both directions."""


def correct(_name: str, schema: Schema) -> None:
    """Mend one shipped schema in place."""
    schema["$schema"] = _DRAFT
    open_node = schema.get("definitions", {}).get(_OPEN)
    for node in each_node(schema):
        if node is not open_node:
            _mend(node)
        for name in ("evseId", "connectorId"):
            field: Any = node.get("properties", {}).get(name, {})
            for place in (field, field.get("items", {})):
                if place.get("type") == "integer":
                    place["minimum"] = 0
    for node in each_node(schema):
        identity = node.get("properties", {}).get("id")
        if node.get("javaType") == "EVSE" and isinstance(identity, dict):
            identity["minimum"] = 0


def _mend(node: Schema) -> None:
    match node.get("type"):
        case "object":
            node["additionalProperties"] = False
        case "integer":
            node.setdefault("minimum", -_INTEGER_LIMIT)
            node.setdefault("maximum", _INTEGER_LIMIT - 1)
        case "number":
            node.setdefault("minimum", -_NUMBER_LIMIT)
            node.setdefault("maximum", _NUMBER_LIMIT)
        case _:
            pass


_FOLDER: Final = SchemaFolder("ocpp", "v201/schemas", correct)


def call_violation(action: str, payload: Any) -> CallRefused | None:
    """What a CALL's payload violates; `action` is one of `KNOWN_ACTIONS`."""
    return _FOLDER.violation(f"{action}Request", payload)


def answer_violation(action: str, payload: Any) -> CallRefused | None:
    """What a CALLRESULT's payload violates. Not asked of the CSMS's answers: those are read leniently."""
    return _FOLDER.violation(f"{action}Response", payload)
