from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from edged.dialects.v16 import schemas
from edged.dialects.validation import each_node

SHIPPED = sorted(entry.name.removesuffix(".json") for entry in files("ocpp").joinpath("v16/schemas").iterdir())


def _definition(name: str) -> dict[str, Any]:
    return schemas._FOLDER.definition(name)


def test_the_actions_are_those_that_the_package_knows() -> None:
    requests = {name for name in SHIPPED if not name.endswith("Response")}
    assert requests == schemas.KNOWN_ACTIONS


@pytest.mark.parametrize("name", SHIPPED)
def test_every_schema_compiles_and_rejects_an_unknown_field(name: str) -> None:
    violation = schemas._FOLDER.violation(name, {"zz": 1})
    assert violation is not None


@pytest.mark.parametrize("name", SHIPPED)
def test_every_object_is_closed_and_every_integer_bounded(name: str) -> None:
    for node in each_node(_definition(name)):
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
        if node.get("type") == "integer":
            assert node["maximum"] == 2**63 - 1


def test_an_inner_object_that_a_package_leaves_open_is_closed() -> None:
    inner = {"type": "object", "properties": {}}
    schema = {"type": "object", "properties": {"list": {"type": "array", "items": inner}}}
    schemas.correct("Heartbeat", schema)
    assert schema["additionalProperties"] is False
    assert inner["additionalProperties"] is False


def test_a_stop_needs_no_reason() -> None:
    schema = {"type": "object", "required": ["meterStop", "reason"], "properties": {}}
    schemas.correct("StopTransaction", schema)
    assert schema["required"] == ["meterStop"]


@pytest.mark.parametrize(
    ("name", "fields"), [("BootNotificationResponse", ["interval"]), ("UpdateFirmware", ["retries", "retryInterval"])]
)
def test_counts_and_intervals_become_integers(name: str, fields: list[str]) -> None:
    schema = {"type": "object", "properties": {field: {"type": "number"} for field in fields}}
    schemas.correct(name, schema)
    assert all(schema["properties"][field]["type"] == "integer" for field in fields)


@pytest.mark.parametrize(("unit", "allowed"), [("Celcius", True), ("Celsius", True), ("Wh", True), ("Hertz", False)])
def test_units_are_those_of_the_errata(unit: str, allowed: bool) -> None:
    value = {"timestamp": "2024-03-01T10:00:00Z", "sampledValue": [{"value": "1", "unit": unit}]}
    violation = schemas.call_violation("MeterValues", {"connectorId": 1, "meterValue": [value]})
    assert (violation is None) is allowed
