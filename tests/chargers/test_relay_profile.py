"""Profiles of relay boards: what they say, and every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.chargers.library import RELAYS_DIR, load_any, load_profile, load_relay, profile_names, relay_names
from edged.chargers.modbus import Table
from edged.chargers.profile_document import ProfileErrors
from edged.chargers.relay_profile import Pulse, RelayProfile

MINIMAL = """profile: board
kind: relay
vendor: V
model: M
certainty: C
sources: [s]
bus: {transports: [rtu]}
outputs:
  table: H
  first: 1
  count: 4
  on: 0x0100
  off: 0x0200
  reads_on: 1
  reads_off: 0
  pulse: {value: 0x0600, step_s: 1, most: 255}
"""


def read(folder: Path, text: str) -> RelayProfile:
    (folder / "board.yaml").write_text(text)
    return load_relay("board", folder)


@pytest.mark.parametrize("name", [path.stem for path in RELAYS_DIR.glob("*.yaml")])
def test_every_shipped_board_can_be_read_and_says_how_to_wire_it(name: str) -> None:
    profile = load_relay(name)
    assert profile.outputs.count >= 1
    assert any("normally-closed" in sentence for sentence in profile.setup)


def test_the_common_board_has_a_coil_for_each_of_its_outputs() -> None:
    outputs = load_relay("modbus-relay").outputs
    assert (outputs.table, outputs.first, outputs.count, outputs.on, outputs.off) == (Table.COIL, 0, 32, 1, 0)


def test_a_board_may_take_other_words_than_it_shows(tmp_path: Path) -> None:
    outputs = read(tmp_path, MINIMAL).outputs
    assert (outputs.on, outputs.off, outputs.reads_on, outputs.reads_off) == (0x100, 0x200, 1, 0)
    assert outputs.pulse == Pulse(value=0x600, step_s=1.0, most=255)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("  table: H", "  table: I", r"board.yaml:9: outputs.table: .*cannot be written"),
        ("  table: H", "  table: C", r"board.yaml:12: outputs.on: 256 is outside 0..1"),
        ("count: 4", "count: 65", r"board.yaml:11: outputs.count: 65 is outside 1..64"),
        ("off: 0x0200", "off: 0x0100", r"board.yaml:12: outputs.on: on and off are the same"),
        ("reads_off: 0", "reads_off: 1", r"board.yaml:14: outputs.reads_on: .* are the same"),
        ("first: 1", "first: 65533", r"board.yaml:11: outputs.count: .* beyond 65535"),
        ("most: 255", "most: 65000", r"board.yaml:16: outputs.pulse.most: .* more than a register holds"),
        ("  first: 1\n", "", r"board.yaml:\d+: outputs: the key 'first' is missing"),
        ("certainty: C", "certainty: D", r"board.yaml:5: certainty: 'D' is none of A, B, C"),
        ("model: M", "state: {}\nmodel: M", r"board.yaml:4: state: there is no such key here"),
        ("profile: board", "profile: other", r"calls itself 'other'"),
        (
            "  on: 0x0100\n  off: 0x0200\n  reads_on: 1\n  reads_off: 0\n",
            "",
            None,
        ),
    ],
)
def test_mistakes_are_told_with_their_lines(tmp_path: Path, old: str, new: str, complaint: str | None) -> None:
    assert old in MINIMAL
    text = MINIMAL.replace(old, new)
    if complaint is None:
        assert read(tmp_path, text).outputs.reads_on == 1
        return
    with pytest.raises(ProfileErrors, match=complaint):
        read(tmp_path, text)


def test_coils_cannot_be_told_how_long(tmp_path: Path) -> None:
    coils = "outputs: {table: C, first: 0, count: 8, pulse: {value: 1, step_s: 1, most: 9}}\n"
    with pytest.raises(ProfileErrors, match=r"board.yaml:8: outputs.pulse: only outputs in holding registers"):
        read(tmp_path, MINIMAL[: MINIMAL.index("outputs:")] + coils)


@pytest.mark.parametrize(("seconds", "steps"), [(0.2, 1), (5.0, 10), (5.1, 11), (10.0, 20), (10.1, None)])
def test_a_pulse_lasts_at_least_as_long_as_asked(seconds: float, steps: int | None) -> None:
    assert Pulse(value=0, step_s=0.5, most=20).steps(seconds) == steps


def test_a_board_is_no_charger_and_a_charger_no_board(tmp_path: Path) -> None:
    assert "modbus-relay" in relay_names()
    assert "modbus-relay" not in profile_names(tmp_path)
    with pytest.raises(ProfileErrors, match="is a relay board, no charger"):
        load_profile("modbus-relay", tmp_path)
    with pytest.raises(ProfileErrors, match="is a charger, no relay board"):
        load_relay("keba-p30", tmp_path)


def test_a_sites_board_wins_over_the_packaged_one(tmp_path: Path) -> None:
    (tmp_path / "modbus-relay.yaml").write_text(MINIMAL.replace("profile: board", "profile: modbus-relay"))
    found = load_any("modbus-relay", tmp_path)
    assert isinstance(found, RelayProfile)
    assert found.vendor == "V"
