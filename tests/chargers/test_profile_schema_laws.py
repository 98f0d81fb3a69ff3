"""The JSON Schema and the linter on documents that were damaged at random: what the schema refuses the linter refuses,
and what breaks only rules that a schema can say is refused by the schema.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.chargers.library import parse_profile
from edged.chargers.profile_document import Node, ProfileErrors
from edged.chargers.profile_rules import ProfileRule as Rule
from edged.chargers.profile_yaml import parse_document
from tests.fakes.broken_profiles import CASES
from tests.fakes.shipped_profiles import MODBUS_PATHS

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "profile.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

SAYABLE = frozenset(
    {
        Rule.UNKNOWN_KEY,
        Rule.MISSING_KEY,
        Rule.UNUSED_KEY,
        Rule.WRONG_TYPE,
        Rule.UNKNOWN_ENUM,
        Rule.BAD_NAME,
        Rule.EMPTY_LIST,
        Rule.TOO_MANY,
        Rule.TYPE_OF_TABLE,
        Rule.READ_ONLY_TABLE,
        Rule.SCALE_ZERO,
        Rule.BITS_WITHOUT_NUMBER,
        Rule.WRITABLE_BITS,
        Rule.UNCLEAR_FIRMWARE,
        Rule.ONE_QUESTION,
        Rule.UNKNOWN_ACTION,
        Rule.ONE_STEP,
        Rule.SEQUENCE_CANNOT_END,
        Rule.SEQUENCE_WRITES_NOTHING,
    }
)
"""Rules that a schema can say. The others need another part of the document, a sum, or a comparison."""
SOMETIMES = frozenset(
    {
        Rule.OUT_OF_RANGE,
        Rule.UNKNOWN_TYPE,
        Rule.IMPOSSIBLE_REGISTER,
        Rule.SCALED_TEXT,
        Rule.NOT_FINITE,
        Rule.IMPOSSIBLE_CONDITION,
    }
)
"""Rules of which a schema can say a part: bits depend on the type, an address on the words behind it."""
WORDS = (
    *(
        "",
        "x",
        "state",
        "tcp",
        "H",
        "C",
        "u16",
        "str4",
        "bit",
        "rw",
        "firmware >= 1",
        "charging",
        "available",
        "A",
        "B",
    ),
    *(
        "unknown",
        "true",
        "cType2",
        "OtherError",
        "locked",
        "setpoint",
        "address",
        "continue",
        "little",
        "text",
        "-1",
        "0x7",
    ),
)
KEYS = (
    *("register", "is", "below", "any_bit", "while", "means", "scale", "bits", "invalid", "when", "names", "access"),
    *("write", "wait", "timeout_s", "steps", "sense", "unlock", "kind", "points", "limit", "interval_s", "0x5"),
)
# JSON Schema takes 5.0 for a whole number, the linter does not: there is none here.
NUMBERS = st.one_of(st.integers(-2, 300), st.sampled_from((65535, 65536, 1e-12, 0.5, 1.5, 1e13 + 0.5, 99999)))
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, st.sampled_from(WORDS))
JUNK = st.one_of(
    PLAIN,
    st.lists(PLAIN, max_size=3),
    st.dictionaries(st.sampled_from(KEYS), PLAIN, max_size=2),
    st.builds(lambda: [{}]),  # a new one each time: it is damaged further
)


def plain(node: Node) -> Any:
    """A document as the schema sees it: the keys of mappings are texts."""
    if isinstance(node.value, dict):
        return {key: plain(value) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [plain(entry) for entry in node.value]
    return node.value


ORIGINALS = [plain(parse_document(path.read_text(encoding="utf-8"), path.name)) for path in MODBUS_PATHS]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a document with each of its keys."""
    entries = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [place for key, entry in entries for place in ((value, key), *places(entry))]


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    document = copy.deepcopy(draw(st.sampled_from(ORIGINALS)))
    for _ in range(draw(st.integers(1, 2))):
        container, key = draw(st.sampled_from(places(document)))
        match draw(st.sampled_from(("replace", "delete", "add", "copy"))):
            case "replace":
                container[key] = draw(JUNK)
            case "delete":
                del container[key]
            case "copy":
                other, where = draw(st.sampled_from(places(document)))
                container[key] = copy.deepcopy(other[where])
            case _ if isinstance(container, dict):
                container[draw(st.sampled_from(KEYS))] = draw(JUNK)
            case _:
                container.append(draw(JUNK))
    return document


def containers(value: Any) -> list[int]:
    """Lists and mappings in it, by their ids."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return [] if inner is None else [id(value), *(each for one in inner for each in containers(one))]


@settings(max_examples=50, deadline=None)
@given(st.lists(JUNK, max_size=6))
def test_no_two_damages_share_what_a_further_damage_would_change(drawn: list[Any]) -> None:
    seen = containers(drawn)
    assert len(seen) == len(set(seen))


def broken_rules(text: str) -> set[Rule]:
    try:
        parse_profile(text, "x.yaml")
    except ProfileErrors as wrong:
        return {error.rule for error in wrong.errors}
    return set()


@settings(max_examples=200, deadline=None)
@given(damaged())
def test_the_schema_and_the_linter_agree_on_damaged_documents(document: dict[str, Any]) -> None:
    text = yaml.safe_dump(document, allow_unicode=True)
    rules = broken_rules(text)
    is_valid = VALIDATOR.is_valid(plain(parse_document(text, "x.yaml")))
    assert is_valid or rules, "the schema refuses what the linter takes"
    assert not (is_valid and rules & SAYABLE), f"the schema takes what breaks {rules & SAYABLE}"


def refused(document: str | bytes) -> bool | None:
    """Whether the schema refuses it; None for what is no charger's document at all."""
    try:
        root = parse_document(document if isinstance(document, str) else document.decode(), "x.yaml")
    except (ProfileErrors, UnicodeDecodeError):
        return None
    is_charger = isinstance(root.value, dict) and "kind" not in root.value
    return not VALIDATOR.is_valid(plain(root)) if is_charger else None


@pytest.mark.parametrize("rule", [rule for rule, cases in CASES.items() if any(map(refused, cases)) is not None])
def test_the_schema_refuses_the_rules_that_it_can_say_and_takes_the_others(rule: Rule) -> None:
    verdicts = [verdict for case in CASES[rule] if (verdict := refused(case)) is not None]
    if rule in SAYABLE:
        assert all(verdicts)
    elif rule not in SOMETIMES:
        assert not any(verdicts)
