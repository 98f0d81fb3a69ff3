"""Payloads against JSON schemas that are read as data at once and compiled when first needed.

Owns: reading a folder of schemas, compiling them, naming what a payload violates in neutral codes (16-J-25).
Refuses to know: which messages exist and what they mean. Invariants: a payload of any JSON value gives an answer, never
an exception · a description names the rule and the field, never the value or a name that the peer made up.

Importing `ocpp.v16` and its like would load the library's RPC layer as well (9 MiB); only its data files are read here.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

import fastjsonschema

from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode

Schema = dict[str, Any]
Correction = Callable[[str, Schema], None]

# What is not here (enum, maxLength, minimum, multipleOf, ...) is about a value: PROPERTY.
_CODES: Final = {
    "required": ErrorCode.OCCURRENCE,
    "minItems": ErrorCode.OCCURRENCE,
    "maxItems": ErrorCode.OCCURRENCE,
    "type": ErrorCode.TYPE,
    "additionalProperties": ErrorCode.FORMAT,
}
_NOT_QUOTED: Final = frozenset({"required", "additionalProperties", "enum"})


class SchemaFolder:
    """The schemas `NAME.json` in a folder of an installed package. `correct` mends one in place before it is used.

    All are read here, and kept deflated (22 KiB of 1.6, 124 KiB of 2.0.1): an upgrade takes the files away while the
    program that was loaded from them goes on, until it is told to restart.
    """

    def __init__(self, package: str, folder: str, correct: Correction) -> None:
        self._texts = {
            file.name.removesuffix(".json"): zlib.compress(file.read_bytes(), level=1)
            for file in files(package).joinpath(folder).iterdir()
            if file.name.endswith(".json")
        }
        self._correct = correct
        self._compiled: dict[str, Callable[[Any], Any]] = {}

    def definition(self, name: str) -> Schema:
        """The corrected schema; KeyError for a name that the package does not hold."""
        schema: Schema = json.loads(zlib.decompress(self._texts[name]).decode("utf-8-sig"))
        self._correct(name, schema)
        return schema

    def violation(self, name: str, payload: Any) -> CallRefused | None:
        """The first rule that a payload breaks. Formats are not checked: times are read by `times.parse_time`."""
        if not isinstance(payload, dict):
            return CallRefused(ErrorCode.PROTOCOL, "the payload must be an object")
        if name not in self._compiled:
            self._compiled[name] = fastjsonschema.compile(self.definition(name), use_formats=False, use_default=False)
        try:
            self._compiled[name](payload)
        except fastjsonschema.JsonSchemaValueException as error:
            return CallRefused(_CODES.get(error.rule or "", ErrorCode.PROPERTY), _describe(error))
        return None


def _describe(error: fastjsonschema.JsonSchemaValueException) -> str:
    where = ""
    for part in error.path[1:]:
        where += f"[{part}]" if part.isdigit() else f".{part}"
    where = where.lstrip(".")
    if error.rule == "required":
        missing = next(name for name in error.rule_definition if name not in error.value)
        return f"{where}.{missing}: required".lstrip(".")
    limit = "" if error.rule in _NOT_QUOTED else f" {error.rule_definition}"
    return f"{where or 'payload'}: {error.rule}{limit}"


def each_node(schema: Any) -> list[Schema]:
    """Every schema object inside a schema, itself first; keywords that hold no schema are not entered."""
    nodes: list[Schema] = []
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        for members in ("properties", "definitions"):
            waiting.extend(node.get(members, {}).values())
        if isinstance(node.get("items"), dict):
            waiting.append(node["items"])
    return nodes
