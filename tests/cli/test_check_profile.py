"""`edged check --profile FILE`: a profile without a site, and the rules' names in `edged check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edged.chargers.library import PACKAGED_DIR, RELAYS_DIR
from edged.cli.main import main

WRONG = """\
profile: wrong
vendor: V
model: M
certainty: B
sources: [a manual]
bus: {transports: [tcp]}
registers:
  state: {table: H, address: 1, type: u16, scale: 0}
  power: {table: H, address: 70000, type: u16, unit: W}
state: {register: state, map: {0: available, 1: charging}}
detachable: perhaps
phases: 1
phases: 3
"""
FOUND = [
    (8, "registers.state.scale", "scale-zero"),
    (9, "registers.power.address", "impossible-register"),
    (11, "detachable", "wrong-type"),
    (13, "phases", "duplicate-key"),
]


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG)
    return path


def test_every_mistake_of_a_profile_is_told_with_its_rule(wrong, capsys):
    assert main(["check", "--profile", str(wrong)]) == 78
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(FOUND) + 1
    for told, (line, key, rule) in zip(lines, FOUND, strict=False):
        assert told.startswith(f"{wrong}:{line}: {key}: ") and told.endswith(f" [{rule}]")
    assert lines[-1] == "edged: the profile is wrong in 4 places"


def test_every_mistake_of_a_profile_is_told_as_json(wrong, capsys):
    assert main(["check", "--profile", str(wrong), "--json"]) == 78
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False and told["profile"] is None
    assert [(one["line"], one["path"], one["rule"]) for one in told["errors"]] == FOUND
    assert {one["file"] for one in told["errors"]} == {str(wrong)} and all(one["message"] for one in told["errors"])


def test_a_right_profile_tells_what_its_charger_can(capsys):
    assert main(["check", "--profile", str(PACKAGED_DIR / "keba-p30.yaml"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True and told["errors"] == []
    profile = told["profile"]
    assert (profile["name"], profile["vendor"], profile["certainty"]) == ("keba-p30", "KEBA", "A")
    assert profile["abilities"]["unlock"]["able"] and not profile["abilities"]["availability"]["able"]
    assert "Voltage" in profile["measurands"] and profile["unproven"]


def test_a_right_profile_tells_a_person_what_its_charger_can_and_what_is_unproven(capsys):
    path = PACKAGED_DIR / "keba-p30.yaml"
    assert main(["check", "--profile", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("keba-p30: KEBA") and out.endswith(f"{path} is right\n")
    assert "  unlock        yes  " in out and "  unproven: " in out


@pytest.mark.parametrize(
    "path", sorted((*PACKAGED_DIR.glob("*.yaml"), *RELAYS_DIR.glob("*.yaml"))), ids=lambda p: p.stem
)
def test_every_shipped_profile_is_right_by_itself(path, capsys):
    assert main(["check", "--profile", str(path)]) == 0
    assert f"{path} is right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("nosuch.yaml", None, "unreadable-file"),
        ("binary.yaml", b"profile: \xff\xfe", "unreadable-file"),
        ("large.yaml", b"#" * 300_000, "file-too-large"),
        ("empty.yaml", b"# nothing\n", "empty-file"),
        ("tab.yaml", b"profile: tab\nbus:\n\ttransports: [tcp]\n", "tab"),
        ("other.yaml", WRONG.replace("scale: 0", "scale: 1").encode(), "file-name"),
    ],
)
def test_a_file_that_is_no_profile_is_told_in_one_sentence(tmp_path, capsys, name, text, rule):
    if text is not None:
        (tmp_path / name).write_bytes(text)
    assert main(["check", "--profile", str(tmp_path / name)]) == 78
    err = capsys.readouterr().err
    assert f"[{rule}]" in err and "Traceback" not in err


def test_a_site_that_names_a_wrong_profile_is_told_the_rule_too(wrong, tmp_path, capsys):
    (tmp_path / "profiles.d").mkdir()
    (tmp_path / "profiles.d" / "wrong.yaml").write_text(WRONG)
    site = tmp_path / "edged.yaml"
    site.write_text("chargers:\n  left: {profile: wrong, tcp: 127.0.0.1:502}\n")
    assert main(["check", "-c", str(site), "--json"]) == 78
    rules = {one.get("rule") for one in json.loads(capsys.readouterr().out)["errors"]}
    assert {rule for _, _, rule in FOUND} <= rules
    main(["check", "-c", str(site)])
    assert "[scale-zero]" in capsys.readouterr().err
