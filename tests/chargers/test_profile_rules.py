"""Each rule that profiles are judged by has documents that break it alone, at one line, and stands in the guide."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edged.chargers.library import PACKAGED_DIR, RELAYS_DIR, load_file, load_profile, load_profile_file
from edged.chargers.profile_document import MAX_ERRORS, ProfileErrors
from edged.chargers.profile_rules import ProfileRule as Rule
from edged.chargers.profile_yaml import parse_document
from edged.chargers.rapi.profile import read_rapi_profile
from tests.fakes.broken_profiles import BASE, CASES, DONE, RELAY, instead, more, unlock
from tools import profile_rules

ROOT = Path(__file__).parents[2]

ELSEWHERE = {Rule.WRONG_VALUE, Rule.NO_SUCH_PROFILE, Rule.WRONG_KIND, Rule.TOO_MANY_MISTAKES}
"""Rules whose breach is no document by itself; each has a test of its own below."""


def broken(folder: Path, document: str | bytes) -> list[tuple[Rule, int]]:
    data = document.encode() if isinstance(document, str) else document
    (folder / "test.yaml").write_bytes(data)
    try:
        load_file(folder / "test.yaml")
    except ProfileErrors as wrong:
        return [(error.rule, error.line) for error in wrong.errors]
    return []


def test_a_pipe_that_nobody_writes_to_is_no_profile(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "test.yaml")
    with pytest.raises(ProfileErrors, match="the file cannot be read: it is no plain file"):
        load_file(tmp_path / "test.yaml")


def marked_line(document: str | bytes) -> int:
    text = document if isinstance(document, str) else document.decode("latin-1")
    marked = [i for i, line in enumerate(text.splitlines(), start=1) if line.endswith("#!")]
    assert len(marked) <= 1, "one line is wrong"
    return marked[0] if marked else 1


def test_the_right_documents_are_right(tmp_path: Path) -> None:
    assert broken(tmp_path, BASE) == [] and broken(tmp_path, RELAY) == []
    assert broken(tmp_path, unlock("write: {enable: 0}", DONE).replace("#!", "")) == []
    checked = unlock(
        "write: {enable: 0}", "pause_s: 3", "fails_if: {register: state, is: 2}", "write: {limit: 0}", DONE
    )
    assert broken(tmp_path, checked.replace("#!", "")) == []


def test_where_another_register_tells_of_charging_an_unlock_waits_for_that_one(tmp_path: Path) -> None:
    document = unlock("write: {enable: 0}", "wait: {register: limit, is: 0, timeout_s: 5}", "write: {limit: 0}", DONE)
    document = document.replace("#!", "").replace("2: charging}", "2: connected}")
    overlay = "  overlays: [{register: %s, is: 1, means: charging, while: connected}]\ndetachable"
    assert broken(tmp_path, document.replace("detachable", overlay % "limit")) == []
    assert [rule for rule, _ in broken(tmp_path, document.replace("detachable", overlay % "enable"))] == [
        Rule.UNLOCK_UNDER_LOAD
    ]


@pytest.mark.parametrize(
    ("rule", "document"),
    [pytest.param(rule, case, id=f"{rule}-{i}") for rule, cases in CASES.items() for i, case in enumerate(cases)],
)
def test_a_mistake_breaks_its_rule_and_no_other_at_its_line(tmp_path: Path, rule: Rule, document: str | bytes) -> None:
    found = broken(tmp_path, document)
    if rule not in (Rule.NO_YAML, Rule.TOO_COMPLEX):
        assert found == [(rule, marked_line(document))]
    else:  # where a text stops being YAML, or is too much, is for the parser to say
        assert [each for each, _ in found] == [rule]
        assert "#!" not in document or found[0][1] == marked_line(document)


@pytest.mark.parametrize("rule", Rule)
def test_every_rule_has_a_document_that_breaks_it(rule: Rule) -> None:
    assert (rule in ELSEWHERE) is not bool(CASES.get(rule))
    assert rule.explanation


def test_a_profile_of_another_protocol_breaks_a_rule() -> None:
    document = (PACKAGED_DIR / "openevse-rapi.yaml").read_text(encoding="utf-8") + "phases: 2\n"
    with pytest.raises(ProfileErrors) as caught:
        read_rapi_profile(parse_document(document.replace("phases: 1\n", "# \n"), "test.yaml"), "test.yaml")
    assert [(error.rule, error.line) for error in caught.value.errors] == [
        (Rule.WRONG_VALUE, len(document.splitlines()))
    ]


def test_a_profile_that_does_not_exist_breaks_a_rule(tmp_path: Path) -> None:
    with pytest.raises(ProfileErrors) as caught:
        load_profile("nosuch", tmp_path)
    assert [error.rule for error in caught.value.errors] == [Rule.NO_SUCH_PROFILE]


def test_a_relay_board_where_a_charger_is_wanted_breaks_a_rule() -> None:
    with pytest.raises(ProfileErrors) as caught:
        load_profile_file(RELAYS_DIR / "modbus-relay.yaml")
    assert [error.rule for error in caught.value.errors] == [Rule.WRONG_KIND]


def test_a_file_that_is_wrong_everywhere_is_told_so_and_ends(tmp_path: Path) -> None:
    found = broken(tmp_path, BASE + "".join(f"key{i}: x\n" for i in range(3000)))
    assert len(found) == MAX_ERRORS + 1
    assert Rule.TOO_MANY_MISTAKES in {rule for rule, _ in found}


def test_mistakes_of_every_sort_are_told_in_one_go(tmp_path: Path) -> None:
    """Of YAML, of a key, of a value, of what parts ask of each other: one does not hide the others."""
    document = instead("certainty: B", "certainty: D")
    document = document.replace("  name: {", "  name: {colour: red, ").replace(
        "type: u16, unit: A", "type: u17, unit: A"
    )
    document += "phases: 7\nphases: 3\nmeter: {energy_wh: nosuch}\nlimit: {register: limit, max_a: 4}\n"
    document += "init: [{register: state, value: 1}]\n"
    found = broken(tmp_path, document)
    assert [rule for rule, _ in found] == [
        Rule.UNKNOWN_ENUM, Rule.UNKNOWN_TYPE, Rule.UNKNOWN_KEY, Rule.OUT_OF_RANGE, Rule.DUPLICATE_KEY,
        Rule.NO_SUCH_REGISTER, Rule.LIMIT_ORDER, Rule.READ_ONLY_REGISTER,
    ]  # fmt: skip
    assert [line for _, line in found] == [4, 10, 11, 17, 18, 19, 20, 21]


def test_what_only_follows_from_a_mistake_is_not_told(tmp_path: Path) -> None:
    document = instead("type: u16}", "type: u17} #!") + "plugged: [{register: state, is: 99999, means: true}]\n"
    assert broken(tmp_path, document) == [(Rule.UNKNOWN_TYPE, 8)]
    without_state = BASE[: BASE.index("state:\n  register")] + BASE[BASE.index("detachable") :]
    assert broken(tmp_path, without_state) == [(Rule.MISSING_KEY, 1)]


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_line_ends_and_a_mark_of_other_systems_change_no_line(tmp_path: Path, ending: str) -> None:
    text = "\ufeff" + more("phases: 9").replace("\n", ending)
    assert broken(tmp_path, text) == [(Rule.OUT_OF_RANGE, 17)]
    assert broken(tmp_path, "\ufeff" + BASE.replace("\n", ending)) == []


def test_the_guides_table_of_rules_is_made_from_the_rules() -> None:
    assert profile_rules.main(["--check"]) == 0, "run python tools/profile_rules.py"
    guide = (ROOT / "docs" / "profiles.md").read_text(encoding="utf-8")
    assert all(f"| `{rule}` | {rule.explanation} |" in guide for rule in Rule)
