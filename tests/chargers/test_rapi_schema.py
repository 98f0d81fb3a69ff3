"""The JSON Schema of a profile over RAPI says what its reader says, where a schema can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edged.chargers.library import PACKAGED_DIR
from edged.chargers.profile_document import ProfileErrors
from edged.chargers.profile_yaml import parse_document
from edged.chargers.rapi.profile import read_rapi_profile
from tests.chargers.test_profile_schema import plain
from tools import profile_schema

ROOT = Path(__file__).parents[2]
SHIPPED = (PACKAGED_DIR / "openevse-rapi.yaml").read_text(encoding="utf-8")


VALIDATOR = jsonschema.Draft202012Validator(json.loads(profile_schema.RAPI_PAGE.read_text(encoding="utf-8")))


def linted(text: str) -> bool:
    try:
        read_rapi_profile(parse_document(text, "x.yaml"), "x.yaml")
    except ProfileErrors:
        return False
    return True


def document(text: str) -> Any:
    return plain(parse_document(text, "x.yaml"))


def test_the_schema_is_a_schema_and_takes_what_is_shipped() -> None:
    jsonschema.Draft202012Validator.check_schema(profile_schema.rapi_schema())
    assert linted(SHIPPED)
    assert list(VALIDATOR.iter_errors(document(SHIPPED))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kind: rapi\n", "kind: relay\n"),
        ("certainty: A", "certainty: D"),
        ("phases: 1", "phases: 2"),
        ("phases: 1", "phases: one"),
        ("baudrate: 115200", "baudrate: 100"),
        ("min_a: 6", "min_a: 5"),
        ("max_a: 80", "max_a: 80.5"),
        ("interval_s: 60", "interval_s: 9"),
        ("fallback_a: 6", "fallback_a: 0"),
        ("fallback_a: 6", "fall_back_a: 6"),
        ("detachable: false", "detachable: perhaps"),
        ("lock: false", "lock: true"),
        ("voltmeter: false", "registers: {}"),
        ("vendor: OpenEVSE\n", ""),
        ("profile: openevse-rapi", "profile: Open EVSE"),
    ],
)
def test_what_the_reader_refuses_the_schema_refuses(old: str, new: str) -> None:
    assert old in SHIPPED
    wrong = SHIPPED.replace(old, new, 1)
    if not new.startswith("kind"):  # a document of another kind never comes to this reader
        assert not linted(wrong)
    assert not VALIDATOR.is_valid(document(wrong))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("phases: 1", "phases: 3"),
        ("detachable: false\nlock: false", "detachable: true\nlock: true"),
        ("disable: false", ""),
    ],
)
def test_what_the_reader_takes_the_schema_takes(old: str, new: str) -> None:
    assert old in SHIPPED
    right = SHIPPED.replace(old, new, 1)
    assert linted(right)
    assert VALIDATOR.is_valid(document(right))


@pytest.mark.parametrize(("old", "new"), [("min_a: 6, max_a: 80", "min_a: 32, max_a: 16"), ("max_a: 80", "max_a: 6")])
def test_a_comparison_is_only_for_the_reader(old: str, new: str) -> None:
    wrong = SHIPPED.replace(old, new, 1).replace("fallback_a: 6", "fallback_a: 16")
    assert not linted(wrong)
    assert VALIDATOR.is_valid(document(wrong))
