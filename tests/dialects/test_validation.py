from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edged.dialects.validation import Schema, SchemaFolder, each_node
from edged.ocpp.rpc import ErrorCode


def _untouched(_name: str, _schema: Schema) -> None:
    pass


FOLDER = SchemaFolder("ocpp", "v16/schemas", _untouched)


@pytest.mark.parametrize("payload", [None, [], "x", 1, True])
def test_a_payload_that_is_no_object_is_a_protocol_error(payload: object) -> None:
    refused = FOLDER.violation("Heartbeat", payload)
    assert refused is not None and refused.code is ErrorCode.PROTOCOL


def test_an_inner_place_is_named_with_its_index() -> None:
    refused = FOLDER.violation("GetConfiguration", {"key": ["HeartbeatInterval", 7]})
    assert refused is not None and refused.description == "key[1]: type string"


def test_a_missing_inner_field_is_named_with_its_path() -> None:
    payload = {"connectorId": 1, "meterValue": [{"timestamp": "2024-03-01T10:00:00Z"}]}
    refused = FOLDER.violation("MeterValues", payload)
    assert refused is not None and refused.description == "meterValue[0].sampledValue: required"


def test_a_list_that_must_not_be_empty_is_an_occurrence_violation() -> None:
    refused = FOLDER.violation("MeterValues", {"connectorId": 1, "meterValue": []})
    assert refused is not None and refused.code is ErrorCode.OCCURRENCE


def test_a_schema_that_is_not_shipped_is_an_error_of_ours() -> None:
    with pytest.raises(KeyError):
        FOLDER.violation("NoSuchMessage", {})


def test_every_schema_inside_a_schema_is_found() -> None:
    schema = {
        "properties": {"a": {"items": {"properties": {"b": {"type": "string"}}}}},
        "definitions": {"c": {"type": "integer"}},
    }
    assert {node.get("type") for node in each_node(schema)} == {None, "string", "integer"}
    assert len(each_node(schema)) == 5


def test_a_schema_is_there_when_an_upgrade_has_taken_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a_program" / "schemas"
    folder.mkdir(parents=True)
    (folder / "Ping.json").write_text('\ufeff{"type": "object", "required": ["id"]}', encoding="utf-8")
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    loaded = SchemaFolder("a_program", "schemas", _untouched)
    shutil.rmtree(folder.parent)
    refused = loaded.violation("Ping", {})
    assert refused is not None and refused.code is ErrorCode.OCCURRENCE
    assert loaded.violation("Ping", {"id": 1}) is None
