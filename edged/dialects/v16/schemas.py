"""OCPP 1.6's schemas: which messages there are, and what is mended in the ones that the package `ocpp` carries.

Corrections (1.6 errata and our own bounds):
- every object rejects fields that it does not know, inner ones too; `reason` of StopTransaction is optional;
  `interval`, `retries` and `retryInterval` are integers. The shipped schemas say so today; this keeps it so;
- an integer has no decimal point, in the whitepaper's messages as in the others: 1.0 would come through as no integer;
- `Hertz` is no unit of 1.6 (E3.86); both spellings of Celsius are;
- integers fit into 64 bits and numbers are of a size that arithmetic survives;
- a connectorId is not negative (TriggerMessage excepted: there it may be without meaning, and then it is ignored);
- the idTag of ReserveNow and RemoteStartTransaction names somebody; DataTransfer carries at most 64 Ki characters.
"""

from __future__ import annotations

from typing import Any, Final

from edged.dialects.validation import Schema, SchemaFolder, each_node
from edged.ocpp.dialect import CallRefused

MAX_DATA_CHARS: Final = 64 * 1024
_INTEGER_LIMIT: Final = 2**63
_NUMBER_LIMIT: Final = 1e12

KNOWN_ACTIONS: Final = frozenset(
    {
        # Core
        *("Authorize", "BootNotification", "ChangeAvailability", "ChangeConfiguration", "ClearCache", "DataTransfer"),
        *("GetConfiguration", "Heartbeat", "MeterValues", "RemoteStartTransaction", "RemoteStopTransaction", "Reset"),
        *("StartTransaction", "StatusNotification", "StopTransaction", "UnlockConnector"),
        # Reservation, RemoteTrigger
        *("CancelReservation", "ReserveNow", "TriggerMessage"),
        # FirmwareManagement, LocalAuthListManagement, SmartCharging
        *("DiagnosticsStatusNotification", "FirmwareStatusNotification", "GetDiagnostics", "UpdateFirmware"),
        *("GetLocalListVersion", "SendLocalList"),
        *("ClearChargingProfile", "GetCompositeSchedule", "SetChargingProfile"),
        # security whitepaper
        *("CertificateSigned", "DeleteCertificate", "ExtendedTriggerMessage", "GetInstalledCertificateIds", "GetLog"),
        *("InstallCertificate", "LogStatusNotification", "SecurityEventNotification", "SignCertificate"),
        *("SignedFirmwareStatusNotification", "SignedUpdateFirmware"),
    }
)
"""Every action of 1.6 and its security extension, in both directions."""

_DRAFT: Final = "http://json-schema.org/draft-04/schema#"
_INTEGERS: Final = {
    "BootNotificationResponse": ("interval",),
    "UpdateFirmware": ("retries", "retryInterval"),
}
_NAMES_SOMEBODY: Final = frozenset({"ReserveNow", "RemoteStartTransaction"})


def correct(name: str, schema: Schema) -> None:
    """Mend one shipped schema in place."""
    schema["$schema"] = _DRAFT
    fields: dict[str, Any] = schema.get("properties", {})
    for field in _INTEGERS.get(name, ()):
        fields[field]["type"] = "integer"
    if name == "StopTransaction":
        schema["required"] = [field for field in schema["required"] if field != "reason"]
    if name == "DataTransfer":
        fields["data"]["maxLength"] = MAX_DATA_CHARS
    if name in _NAMES_SOMEBODY:
        fields["idTag"]["minLength"] = 1
    for node in each_node(schema):
        _mend(node)
    if name != "TriggerMessage" and "connectorId" in fields:
        fields["connectorId"]["minimum"] = 0


def _mend(node: Schema) -> None:
    match node.get("type"):
        case "object":
            node["additionalProperties"] = False
        case "integer":
            node.update(minimum=-_INTEGER_LIMIT, maximum=_INTEGER_LIMIT - 1)
        case "number":
            node.update(minimum=-_NUMBER_LIMIT, maximum=_NUMBER_LIMIT)
        case _:
            pass
    if "Celcius" in node.get("enum", ()):
        node["enum"] = [*(unit for unit in node["enum"] if unit not in ("Hertz", "Celsius")), "Celsius"]


_FOLDER: Final = SchemaFolder("ocpp", "v16/schemas", correct)


def call_violation(action: str, payload: Any) -> CallRefused | None:
    """What a CALL's payload violates; `action` is one of `KNOWN_ACTIONS`."""
    return _FOLDER.violation(action, payload)


def answer_violation(action: str, payload: Any) -> CallRefused | None:
    """What a CALLRESULT's payload violates. Not asked of the CSMS's answers: those are read leniently."""
    return _FOLDER.violation(f"{action}Response", payload)
