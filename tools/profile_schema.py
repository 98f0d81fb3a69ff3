"""Writes docs/profile.schema.json and docs/profile-rapi.schema.json: the JSON Schemas of a charger profile over Modbus
and over RAPI, for editors and for checks without edged.

    python tools/profile_schema.py            write the files
    python tools/profile_schema.py --check    exit with 1 when one is not what it would write

The words come from the code that reads profiles, so that both know the same. What a schema cannot say (whether a
register that is named exists, whether a value fits into it, whether waits end in time) only `edged check` finds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from edged.chargers.modbus import Table
from edged.chargers.profile import KeepAliveBy, TokenFormat
from edged.chargers.profile_parts import MAX_STEPS, MAX_WAIT_S
from edged.chargers.profile_reader import ACTIONS, CERTAINTIES, MAX_SPANS, PARITIES
from edged.chargers.profile_registers import LEAST_SCALE, MAX_REGISTERS, MAX_VARIANTS
from edged.chargers.profile_terms import (
    Access,
    GapScope,
    Otherwise,
    PointsBy,
    Poll,
    Relation,
    Transport,
    WriteFunction,
)
from edged.chargers.rapi import profile as rapi
from edged.chargers.registers import WordOrder
from edged.domain.connector_types import CONNECTOR_TYPES
from edged.domain.hardware import ChargerState, FaultCode, LockState

PAGE = Path(__file__).resolve().parent.parent / "docs" / "profile.schema.json"
RAPI_PAGE = PAGE.with_name("profile-rapi.schema.json")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

TYPE = r"^(u(16|32|48|64)|s(16|32|48|64)|f(32|64)|bits(16|32)|char|bit|(str|utf16_|bytes)[1-9][0-9]{0,2})$"
TEXT_TYPE = r"^(char|str|utf16_|bytes)"
REGISTER: Schema = {"type": "string", "minLength": 1}
TEXT: Schema = {"type": ["string", "number"], "minLength": 1}
SCALAR: Schema = {"type": ["string", "number", "boolean"], "minLength": 1}
SCALARS: Schema = {"anyOf": [SCALAR, {"type": "array", "items": SCALAR}]}
SOME_SCALARS: Schema = {"anyOf": [SCALAR, {"type": "array", "items": SCALAR, "minItems": 1}]}
FLAG: Schema = {"type": "boolean"}
NAMES: Schema = {"anyOf": [REGISTER, {"type": "array", "items": REGISTER}]}


STATE: Schema = {"$ref": "#/$defs/state"}


def words(choices: Iterable[StrEnum] | Iterable[str]) -> Schema:
    return {"enum": [str(choice) for choice in choices]}


def number(low: float, high: float) -> Schema:
    return {"type": "number", "minimum": low, "maximum": high}


def whole(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def mapping(properties: Schema, required: Iterable[str] = (), **more: Any) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


def listing(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def pair(low: int, high: int) -> Schema:
    one = whole(low, high)
    return {"anyOf": [one, listing(one, minItems=1, maxItems=2)]}


def condition(properties: Schema | None = None, required: Iterable[str] = (), *, knows_state: bool = False) -> Schema:
    """A question to one register, with the keys that its place adds; `while` only where a state is known."""
    return {
        "$ref": "#/$defs/condition",
        "properties": {**(properties or {}), **({} if knows_state else {"while": False})},
        "required": list(required),
        "unevaluatedProperties": False,
    }


def question() -> Schema:
    """What every condition has."""
    bits: Schema = {"anyOf": [whole(0, 63), listing(whole(0, 63), minItems=1)]}
    one_number: Schema = {"anyOf": [{"type": "number"}, listing({"type": "number"}, minItems=1, maxItems=1)]}
    operands: dict[str, Schema] = {
        Relation.IS: SOME_SCALARS,
        Relation.IS_NOT: SOME_SCALARS,
        Relation.BELOW: one_number,
        Relation.AT_LEAST: one_number,
        Relation.ANY_BIT: bits,
    }
    keys: Schema = {
        "register": REGISTER,
        **{str(relation): operands[relation] for relation in Relation},
        "while": {"anyOf": [STATE, listing(STATE)]},
    }
    return {
        "type": "object",
        "properties": keys,
        "required": ["register"],
        "oneOf": [{"required": [str(relation)]} for relation in Relation],
    }


def rules(meanings: Iterable[Any], *, knows_state: bool = True) -> Schema:
    return listing(condition({"means": {"enum": list(meanings)}}, ["means"], knows_state=knows_state))


def toggle(on: str, off: str, **more: Schema) -> Schema:
    keys = {
        "register": REGISTER,
        on: SCALAR,
        off: SCALAR,
        "sense": rules([on, off, "unknown"], knows_state=False),
        "settle_s": number(0, 120),
        **more,
    }
    return mapping(keys, ["register", on, off])


def write() -> Schema:
    return {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": SCALAR}


def bus() -> Schema:
    transport = words(Transport)
    span = mapping(
        {"table": words(Table), "first": whole(0, 65535), "last": whole(0, 65535)},
        ["first", "last"],
    )
    keys = {
        "transports": {"anyOf": [transport, listing(transport, minItems=1)]},
        "port": whole(1, 65535),
        "unit_id": whole(0, 255),
        "unit_ids": pair(0, 255),
        "baudrate": whole(300, 4_000_000),
        "parity": words(PARITIES),
        "stopbits": whole(1, 2),
        "word_order": words(WordOrder),
        "max_block": whole(1, 125),
        "holes": FLAG,
        "forbidden": listing(span, maxItems=MAX_SPANS),
        "write_function": words(WriteFunction),
        "min_gap_ms": number(0, 10_000),
        "gap_scope": words(GapScope),
        "response_timeout_ms": number(20, 10_000),
    }
    return mapping(keys, ["transports"])


def register() -> Schema:
    bits_table = {"properties": {"table": {"enum": [str(table) for table in Table if table.is_bits]}}}
    read_only = {"properties": {"table": {"enum": [str(Table.INPUT), str(Table.DISCRETE)]}}}
    text = {"properties": {"type": {"pattern": TEXT_TYPE}}, "required": ["type"]}
    unsigned = {"type": {"pattern": "^(u|bits)"}}
    keys = {
        "table": words(Table),
        "address": whole(0, 65535),
        "type": {"type": "string", "pattern": TYPE},
        "scale": {"anyOf": [number(-1e12, -LEAST_SCALE), number(LEAST_SCALE, 1e12)]},
        "offset": number(-1e12, 1e12),
        "invalid": {"anyOf": [{"type": "integer"}, listing({"type": "integer"})]},
        "bits": pair(0, 63),
        "word_order": words(WordOrder),
        "access": words(Access),
        "unit": TEXT,
        "poll": words(Poll),
        "shared": FLAG,
        "names": {"type": "object", "additionalProperties": {"type": ["integer", "string"]}},
        "when": {"type": "string", "pattern": r"^firmware\s*(>=|<=|==|>|<)\s*[0-9][0-9A-Za-z.\-]*$"},
        "note": TEXT,
    }
    only_reads = {"properties": {"access": {"const": "r"}}}
    agreements = [
        {
            "if": bits_table,
            "then": {"properties": {"type": {"const": "bit"}}},
            "else": {"properties": {"type": {"not": {"const": "bit"}}}},
        },
        {"if": read_only, "then": only_reads},
        {"if": {"required": ["bits"]}, "then": {"properties": {**unsigned, **only_reads["properties"]}}},
        {
            "if": text,
            "then": {
                "properties": {
                    "scale": {"const": 1},
                    "offset": {"const": 0},
                    "invalid": {"type": "array", "maxItems": 0},
                }
            },
        },
    ]
    return mapping(keys, ["table", "address"], allOf=agreements)


def actions() -> Schema:
    deadline = number(0.05, MAX_WAIT_S)
    wait = condition({"timeout_s": deadline, "otherwise": words(Otherwise)}, ["timeout_s"])
    steps = {
        "write": write(),
        "wait": wait,
        "fails_if": condition(),
        "pause_s": number(0, MAX_WAIT_S),
        "restart": mapping({"timeout_s": deadline, "sign": condition()}, ["timeout_s"]),
    }
    step = {"oneOf": [mapping({kind: schema}, [kind]) for kind, schema in steps.items()]}
    has_write = {"contains": {"required": ["write"]}}
    action = mapping(
        {
            "steps": listing(step, minItems=1, maxItems=MAX_STEPS, **has_write),
            "affects_all_points": FLAG,
        },
        ["steps"],
    )
    return mapping(dict.fromkeys(ACTIONS, action))


def state() -> Schema:
    keys = {
        "register": REGISTER,
        "map": {"type": "object", "additionalProperties": STATE},
        "overlays": rules(str(one) for one in ChargerState),
    }
    return mapping(keys, ["register", "map"])


def limit() -> Schema:
    ampere = number(0, 1000)
    keys = {
        "register": REGISTER,
        "min_a": ampere,
        "max_a": ampere,
        "step_a": number(0.0001, 100),
        "withhold_a": ampere,
        "sense": REGISTER,
        "max_from": REGISTER,
        "settle_s": number(0, 120),
    }
    return mapping(keys, ["register", "max_a"])


def keep_alive() -> Schema:
    keys = {
        "by": words(KeepAliveBy),
        "timeout_s": number(0.5, 86_400),
        "interval_s": number(0.1, 86_400),
        "write": write(),
    }
    by_write = {"properties": {"by": {"const": str(KeepAliveBy.WRITE)}}}
    return mapping(
        keys,
        ["by", "timeout_s"],
        allOf=[{"if": by_write, "then": {"required": ["write"]}, "else": {"properties": {"write": False}}}],
    )


def parts() -> Schema:
    fault = {
        "code": words(FaultCode),
        "vendor_code": TEXT,
        "info": TEXT,
        "blocking": FLAG,
        "otherwise": FLAG,
    }
    per_phase = {"anyOf": [REGISTER, listing(REGISTER, maxItems=3)]}
    meter = {
        "energy_wh": NAMES,
        "power_w": NAMES,
        "current_a": per_phase,
        "voltage_v": per_phase,
        **dict.fromkeys(("frequency_hz", "temperature_c", "soc_pct"), REGISTER),
    }
    init = mapping(
        {"register": REGISTER, "value": SCALAR, "sense": REGISTER, "required": FLAG},
        ["register", "value"],
    )
    points = {"count": whole(1, 255), "by": words(PointsBy), "stride": whole(1, 32767), "present": REGISTER}
    definition = {"$ref": "#/$defs/register"}
    return {
        **provenance(),
        "connector": words(CONNECTOR_TYPES),
        "phases": whole(1, 3),
        "bus": bus(),
        "points": mapping(points, ["count", "by", "stride"]),
        "identity": mapping(dict.fromkeys(("firmware", "serial_number", "model"), REGISTER)),
        "registers": {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,47}$"},
            "maxProperties": MAX_REGISTERS,
            "additionalProperties": {
                "if": {"type": "array"},
                "then": listing(definition, minItems=1, maxItems=MAX_VARIANTS),
                "else": definition,
            },
        },
        "state": state(),
        "plugged": rules([True, False, "true", "false", "unknown"]),
        "faults": listing(condition(fault, ["code"], knows_state=True)),
        "lock": rules(str(one) for one in LockState),
        "lock_control": toggle("lock", "unlock"),
        "meter": mapping(meter),
        "permit": toggle("allow", "withhold"),
        "limit": limit(),
        "availability": toggle("in_service", "out_of_service", emulated=FLAG),
        "token": mapping(
            {"register": REGISTER, "format": words(TokenFormat), "empty": SCALARS, "clear": write()}, ["register"]
        ),
        "detachable": {"if": {"type": "object"}, "then": condition(), "else": FLAG},
        "wake": listing(write()),
        "init": listing(init),
        "keep_alive": keep_alive(),
        "boot": listing(condition()),
        "boot_falls": REGISTER,
        "actions": actions(),
    }


def provenance() -> Schema:
    """What a profile of any kind says of the device and of its sources."""
    return {
        "profile": {"anyOf": [{"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,47}$"}, whole(0, 10**15)]},
        "vendor": TEXT,
        "model": TEXT,
        "certainty": words(CERTAINTIES),
        "sources": SOME_SCALARS,
        "setup": SCALARS,
        "notes": SCALARS,
        "unproven": SCALARS,
    }


def rapi_schema() -> Schema:
    """A profile of `kind: rapi`."""
    amperes = whole(6, 80)
    return {
        "$schema": DIALECT,
        "title": "edged charger profile over RAPI",
        "description": "docs/profiles.md explains each key; `edged check` finds what a schema cannot.",
        **mapping(
            {
                **provenance(),
                "kind": {"const": rapi.KIND},
                "connector": TEXT,
                "phases": {"enum": [1, 3]},
                "baudrate": whole(300, 4_000_000),
                "limit": mapping({"min_a": amperes, "max_a": amperes}),
                "heartbeat": mapping({"interval_s": whole(10, 3600), "fallback_a": amperes}),
                **dict.fromkeys(("detachable", "lock", "disable", "voltmeter"), FLAG),
            },
            ["profile", "kind", "vendor", "model", "certainty", "sources"],
            dependentSchemas={"lock": {"if": {"properties": {"lock": {"const": True}}}, "then": LOCK_NEEDS_SOCKET}},
        ),
    }


LOCK_NEEDS_SOCKET: Schema = {"properties": {"detachable": {"const": True}}, "required": ["detachable"]}


def schema() -> Schema:
    """The whole schema; keys of a profile's mappings are texts, as its reader takes them."""
    required = ["profile", "vendor", "model", "certainty", "sources", "bus", "registers", "state", "detachable"]
    return {
        "$schema": DIALECT,
        "title": "edged charger profile",
        "description": "docs/profiles.md explains each key; `edged check` finds what a schema cannot.",
        **mapping(parts(), required),
        "$defs": {"register": register(), "condition": question(), "state": words(ChargerState)},
    }


def files() -> dict[Path, str]:
    """What each file should hold."""
    return {path: json.dumps(each, indent=1) + "\n" for path, each in ((PAGE, schema()), (RAPI_PAGE, rapi_schema()))}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare")
    options = parser.parse_args(arguments)
    if options.check:
        stale = [
            path.name
            for path, text in files().items()
            if not path.is_file() or path.read_text(encoding="utf-8") != text
        ]
        if stale:
            sys.stderr.write(f"stale: {', '.join(stale)}; run python tools/profile_schema.py\n")
        return 1 if stale else 0
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
