"""The JSON Schema of profiles: what is right passes, what is wrong does not, except what only meaning can tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edged.chargers.profile_document import Node
from edged.chargers.profile_yaml import parse_document
from tests.chargers import test_profile_language as language
from tests.fakes.shipped_profiles import MODBUS_PATHS
from tools import profile_schema

ROOT = Path(__file__).parents[2]


VALIDATOR = jsonschema.Draft202012Validator(json.loads(profile_schema.PAGE.read_text(encoding="utf-8")))

SEMANTIC = {
    "no register 'nosuch'": "whether a register exists",
    "can only be read": "how another part defined the register",
    "same value": "two values of one part",
    "does not fit": "the register's type",
    "less than min_a": "two numbers of one part",
    "would not withhold": "two numbers of one part",
    "bits 0..15": "the register's type",
    "asks for a number": "the register's type",
    "can never be the value": "the register's type",
    "no register": "whether a register exists",
    "scale it to W": "the register's unit",
    "without reading back": "which step comes last",
    "34 s": "a sum",
    "too late": "two numbers of one part",
    "no limit": "another part",
    "not a number": "the register's type",
    "beyond address 65535": "a sum",
    "above 255": "a sum",
    "stands here twice": "YAML readers keep one of the two",
    "beyond 65535": "a sum",
    "already belongs to": "another register",
    "identity.firmware": "another part",
    "within 0..15": "the register's type",
    "1 lies before 3": "two numbers of one part",
}
"""What each sentence of the linter that a schema cannot say depends on."""


def plain(node: Node) -> Any:
    """A document as the schema sees it: the keys of mappings are texts."""
    if isinstance(node.value, dict):
        return {key: plain(value) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [plain(entry) for entry in node.value]
    return node.value


def is_valid(text: str) -> bool:
    return VALIDATOR.is_valid(plain(parse_document(text, "x.yaml")))


def test_the_schema_is_current_and_a_schema() -> None:
    assert profile_schema.main(["--check"]) == 0, "run python tools/profile_schema.py"
    jsonschema.Draft202012Validator.check_schema(profile_schema.schema())


@pytest.mark.parametrize("path", MODBUS_PATHS, ids=lambda path: path.stem)
def test_a_shipped_profile_passes(path: Path) -> None:
    document = plain(parse_document(path.read_text(encoding="utf-8"), str(path)))
    assert [f"{'/'.join(map(str, error.path))}: {error.message}" for error in VALIDATOR.iter_errors(document)] == []


def mistakes() -> list[tuple[str, str]]:
    """Each text that the linter's tests refuse, and the sentence that they expect."""
    found = []
    for more, key_path, message in language.MISTAKES:
        start = language.MINIMAL if key_path is not None else language.MINIMAL.split("registers:")[0]
        found.append((start + more + "\n", message))
    for definition, message in language.REGISTERS:
        found.append((language.MINIMAL.replace("  name:", f"  extra: {definition}\n  name:"), message))
    return found


@pytest.mark.parametrize(("text", "message"), mistakes(), ids=[message for _, message in mistakes()])
def test_a_mistake_is_caught_unless_only_its_meaning_is_wrong(text: str, message: str) -> None:
    if message == "stands here twice":  # no document at all for edged's own reader
        return
    assert is_valid(language.MINIMAL)
    assert is_valid(text) is (message in SEMANTIC)


def test_every_sentence_that_is_called_a_matter_of_meaning_is_one_of_the_linters() -> None:
    assert SEMANTIC.keys() <= {message for _, message in mistakes()}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("certainty: B", "certainty: D"),
        ("type: bits16", "type: bits17"),
        ("transports: [tcp]", "transports: []"),
        ("transports: [tcp]", "transports: [carrier pigeon]"),
        ("transports: [tcp]", "transports: [tcp], unit_ids: [1, 300]"),
        ("sources: [a manual]", "sources: []"),
        ("detachable: false\n", ""),
        ("detachable: false", "detachable: perhaps"),
        ("map: {1: available, 2: charging}", "map: {1: free}"),
        ("profile: test", "profile: Test Box"),
        ("  state: {table", "  State: {table"),
    ],
)
def test_what_the_linter_refuses_elsewhere_is_refused_here_too(old: str, new: str) -> None:
    assert old in language.MINIMAL
    assert not is_valid(language.MINIMAL.replace(old, new, 1))
