"""The profile language: every mistake is found at once, with its line, key path and a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.chargers.library import load_profile, load_profile_file, parse_profile, profile_names
from edged.chargers.profile import DeviceProfile
from edged.chargers.profile_document import ProfileErrors
from edged.chargers.profile_terms import FirmwareRule, parse_firmware
from edged.domain.hardware import Capability

MINIMAL = """\
profile: test
vendor: V
model: M
certainty: B
sources: [a manual]
bus: {transports: [tcp]}
registers:
  state: {table: H, address: 1, type: u16}
  enable: {table: H, address: 2, type: u16, access: rw}
  limit: {table: H, address: 3, type: u16, unit: A, access: rw}
  errors: {table: H, address: 4, type: bits16}
  name: {table: H, address: 10, type: str8}
state:
  register: state
  map: {1: available, 2: charging}
detachable: false
"""


def errors_of(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ProfileErrors) as caught:
        parse_profile(text, "test.yaml")
    return [(error.line, error.key_path, error.message) for error in caught.value.errors]


def profile_with(more: str) -> DeviceProfile:
    return parse_profile(MINIMAL + more, "test.yaml")


def test_the_least_profile_can_only_be_read() -> None:
    assert profile_with("").capabilities == frozenset()


MISTAKES = [
    ("registers: 5", None, "a mapping of keys"),
    ("permit: {register: enable, allow: 1, withold: 0}", "permit.withold", "'withhold' is near"),
    ("permit: {register: nosuch, allow: 1, withhold: 0}", "permit", "no register 'nosuch'"),
    ("permit: {register: state, allow: 1, withhold: 0}", "permit", "can only be read"),
    ("permit: {register: enable, allow: 1, withhold: 1}", "permit", "same value"),
    ("permit: {register: enable, allow: 70000, withhold: 1}", "permit", "does not fit"),
    ("limit: {register: limit, max_a: 4}", "limit.max_a", "less than min_a"),
    ("limit: {register: limit, max_a: 16, withhold_a: 6}", "limit.withhold_a", "would not withhold"),
    ("limit: {register: limit, max_a: 99999}", "limit.max_a", "outside"),
    ("faults: [{register: errors, any_bit: 16, code: OtherError}]", "faults.0", "bits 0..15"),
    ("faults: [{register: errors, any_bit: 1, code: Broken}]", "faults.0.code", "none of"),
    ("faults: [{register: errors, code: OtherError}]", "faults.0", "exactly one of"),
    ("faults: [{register: errors, is: 1, is_not: 2, code: OtherError}]", "faults.0", "exactly one of"),
    ("plugged: [{register: name, at_least: 5, means: true}]", "plugged.0", "asks for a number"),
    ("plugged: [{register: state, is: A1, means: true}]", "plugged.0", "can never be the value"),
    ("plugged: [{register: state, is: 1, means: perhaps}]", "plugged.0.means", "none of"),
    ("lock: [{register: name, is: 3, means: locked}]", "lock.0", "can never be the value"),
    ("meter: {energy_wh: nosuch}", "meter.energy_wh", "no register"),
    ("meter: {power_w: limit}", "meter.power_w", "scale it to W"),
    ("meter: {current_a: [limit, limit, limit, limit]}", "meter.current_a", "more than three"),
    ("actions: {explode: {steps: []}}", "actions.explode", "no action"),
    ("actions: {unlock: {steps: []}}", "actions.unlock", "at least one step"),
    ("actions: {unlock: {steps: [{write: {enable: 0}}]}}", "actions.unlock", "without reading back"),
    (
        "actions: {unlock: {steps: [{wait: {register: state, is: 1, timeout_s: 5}}]}}",
        "actions.unlock",
        "writes nothing",
    ),
    (
        "actions: {unlock: {steps: [{write: {enable: 0}}, {wait: {register: state, is: 1}}]}}",
        "actions.unlock.steps.1.wait",
        "wait for ever",
    ),
    (
        "actions: {unlock: {steps: [{write: {enable: 0}}, {wait: {register: state, is: 1, timeout_s: 34}}]}}",
        "actions.unlock",
        "34 s",
    ),
    (
        "actions: {unlock: {steps: [{write: {enable: 0}}, {wait: {register: state, is: 70000, timeout_s: 5}}]}}",
        "actions.unlock.steps.1.wait",
        "does not fit",
    ),
    ("actions: {unlock: {steps: [{write: {enable: 0}, pause_s: 1}]}}", "actions.unlock.steps.0", "exactly one of"),
    ("keep_alive: {by: write, timeout_s: 30}", "keep_alive", "'write' is missing"),
    ("keep_alive: {by: any_read, timeout_s: 30, interval_s: 30}", "keep_alive.interval_s", "too late"),
    ("keep_alive: {by: setpoint, timeout_s: 30}", "keep_alive.by", "no limit"),
    ("keep_alive: {by: prayer, timeout_s: 30}", "keep_alive.by", "none of"),
    ("init: [{register: enable, value: hello}]", "init.0", "not a number"),
    ("wake: [{enable: 1, limit: 2}]", "wake.0", "one register and its value"),
    ("token: {register: nosuch}", "token.register", "no register"),
    ("points: {count: 12, by: address, stride: 8000}", "registers.state", "beyond address 65535"),
    ("points: {count: 200, by: unit_id, stride: 2}", "points.stride", "above 255"),
    ("identity: {firmware: nosuch}", "identity.firmware", "no register"),
    ("boot_falls: nosuch", "boot_falls", "no register"),
    ("phases: 4", "phases", "outside 1..3"),
    ("colour: red", "colour", "no such key"),
    ("notes: 5\nnotes: 6", "", "stands here twice"),
]


@pytest.mark.parametrize(("more", "key_path", "message"), MISTAKES, ids=[more[:60] for more, _, _ in MISTAKES])
def test_a_mistake_is_named_with_its_place(more: str, key_path: str | None, message: str) -> None:
    text = MINIMAL + more + "\n" if key_path is not None else MINIMAL.split("registers:")[0] + more + "\n"
    found = errors_of(text)
    assert any(message in text and (key_path is None or path.startswith(key_path)) for _, path, text in found), found


REGISTERS = [
    ("{table: H, address: 70000, type: u16}", "no register 70000"),
    ("{table: H, address: 65535, type: u32}", "beyond 65535"),
    ("{table: H, address: -1, type: u16}", "no register -1"),
    ("{table: X, address: 5, type: u16}", "none of"),
    ("{table: H, address: 5, type: u17}", "no register type"),
    ("{table: H, address: 5, type: u16, scale: 0}", "scale of 0"),
    ("{table: H, address: 5, type: u16, scal: 2}", "'scale' is near"),
    ("{table: H, address: 1, type: u32}", "already belongs to"),
    ("{table: I, address: 5, type: u16, access: rw}", "cannot be written"),
    ("{table: C, address: 5, type: u16}", "type bit"),
    ("{table: H, address: 5, type: str4, scale: 2}", "cannot have scale"),
    ("{table: H, address: 5, type: u16, when: firmware is new}", "firmware >= 5.22"),
    ("{table: H, address: 5, type: u16, when: firmware >= 2}", "identity.firmware"),
    ("{table: H, address: 5, type: u16, bits: 16}", "within 0..15"),
    ("{table: H, address: 5, type: u16, bits: [3, 1]}", "1 lies before 3"),
    ("{table: H, address: 5, type: s16, bits: 3}", "unsigned"),
    ("{table: H, address: 5, type: u16, bits: 3, access: rw}", "single bits cannot be written"),
    ("{table: H, address: 1, type: u16, bits: 3}", "already belongs to"),
    ("{table: H, type: u16}", "'address' is missing"),
    ("5", "a mapping of keys"),
]


@pytest.mark.parametrize(("definition", "message"), REGISTERS)
def test_an_impossible_register_is_named_with_its_line(definition: str, message: str) -> None:
    text = MINIMAL.replace("  name:", f"  extra: {definition}\n  name:")
    line = text[: text.index("extra:")].count("\n") + 1
    found = errors_of(text)
    assert any(
        message in text and path.startswith("registers.") and at in (line, line - 3) for at, path, text in found
    ), found


def test_fields_of_one_word_are_registers_of_their_own_unless_they_share_a_bit() -> None:
    low = "  low: {table: H, address: 20, type: u16, bits: [0, 3]}\n"
    high = "  high: {table: H, address: 20, type: u16, bits: [%s, 15]}\n"
    apart, shared = (MINIMAL.replace("  name:", low + high % first + "  name:") for first in (4, 3))
    registers = parse_profile(apart, "test.yaml").registers_at(None)
    assert [registers[name].codec.decode([0xABCD]) for name in ("low", "high")] == [0xD, 0xABC]
    assert "already belongs to" in errors_of(shared)[0][2]


def test_a_condition_on_a_field_can_only_ask_for_what_the_field_can_hold() -> None:
    text = MINIMAL.replace("type: bits16}", "type: bits16, bits: [4, 6]}")
    for question, message in (("is: 8", "does not fit"), ("any_bit: 3", "only bits 0..2")):
        found = errors_of(text + f"plugged: [{{register: errors, {question}, means: true}}]\n")
        assert message in found[0][2]


def test_a_register_in_forbidden_addresses_is_named() -> None:
    text = MINIMAL.replace("transports: [tcp]", "transports: [tcp], forbidden: [{table: H, first: 3, last: 4}]")
    assert [path for _, path, _ in errors_of(text)] == ["registers.limit", "registers.errors"]


def test_a_register_longer_than_a_block_is_named() -> None:
    text = MINIMAL.replace("transports: [tcp]", "transports: [tcp], max_block: 2")
    assert "max_block 2" in errors_of(text)[0][2]


def test_a_register_of_two_words_cannot_be_written_where_only_single_writes_work() -> None:
    text = MINIMAL.replace("transports: [tcp]", "transports: [tcp], write_function: single")
    text = text.replace("address: 3, type: u16", "address: 20, type: u32") + "limit: {register: limit, max_a: 16}\n"
    assert "single write function" in errors_of(text)[0][2]


def test_all_mistakes_are_told_in_one_go_and_in_order() -> None:
    text = MINIMAL.replace("certainty: B", "certainty: D").replace("type: bits16", "type: bits17") + "phases: 9\nx: 1\n"
    found = errors_of(text)
    assert [line for line, _, _ in found] == sorted(line for line, _, _ in found)
    assert len(found) == 4


def test_an_error_reads_as_one_line_with_file_and_line() -> None:
    with pytest.raises(ProfileErrors) as caught:
        profile_with("phases: 9\n")
    assert str(caught.value) == "test.yaml:17: phases: 9 is outside 1..3 [out-of-range]"


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "a: [", "\t", "a: &a [*a]", "a: b: c", "? [x]\n: y", "x: !!python/object:os.system y"]
)
def test_what_is_no_profile_at_all_is_refused_without_a_crash(text: str) -> None:
    assert errors_of(text)


def test_a_bomb_of_aliases_is_refused() -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for i in range(1, 9):
        text += f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 9) + "]\n"
    assert "too many entries" in errors_of(text)[0][2]


@given(st.text(max_size=300))
def test_no_text_crashes_the_reader(text: str) -> None:
    try:
        parse_profile(text, "x")
    except ProfileErrors:
        pass


@given(
    st.sampled_from(MINIMAL.splitlines()[5:]),
    st.text("{}[]:,-0123456789abc \n&*!?'\"", max_size=30),
    st.integers(0, 40),
)
def test_no_damaged_profile_crashes_the_reader(line: str, junk: str, at: int) -> None:
    try:
        parse_profile(MINIMAL.replace(line, line[:at] + junk + line[at:]), "x")
    except ProfileErrors:
        pass


def test_a_sites_profile_wins_over_the_packaged_one(tmp_path: Path) -> None:
    own = MINIMAL.replace("profile: test", "profile: keba-p30").replace("vendor: V", "vendor: Ours")
    (tmp_path / "keba-p30.yaml").write_text(own)
    assert load_profile("keba-p30", tmp_path).vendor == "Ours"
    assert load_profile("keba-p30").vendor == "KEBA"


def test_a_profile_that_does_not_exist_names_those_that_do(tmp_path: Path) -> None:
    for name in ("nosuch", "../profiles/keba-p30", "/etc/passwd", ""):
        with pytest.raises(ProfileErrors, match="keba-p30"):
            load_profile(name, tmp_path)


def test_a_profile_must_be_named_like_its_file(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(MINIMAL)
    with pytest.raises(ProfileErrors, match=r"other\.yaml"):
        load_profile_file(tmp_path / "other.yaml")


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_text("x" * 300_000)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("large", "binary"):
        with pytest.raises(ProfileErrors):
            load_profile(name, tmp_path)


def test_the_names_of_both_directories_are_listed(tmp_path: Path) -> None:
    (tmp_path / "site-own.yaml").write_text(MINIMAL)
    assert {"site-own", "keba-p30"} <= set(profile_names(tmp_path))


def test_the_first_variant_whose_firmware_fits_is_taken() -> None:
    text = MINIMAL.replace(
        "  enable: {table: H, address: 2, type: u16, access: rw}",
        "  firmware: {table: H, address: 30, type: str8, poll: once}\n"
        "  enable:\n"
        '    - {table: H, address: 2, type: u16, access: rw, names: {go: 0}, when: "firmware >= 5.22"}\n'
        "    - {table: H, address: 2, type: u16, access: rw, names: {go: 1}}",
    )
    profile = parse_profile(text + "identity: {firmware: firmware}\n", "test.yaml")
    go = [profile.registers_at(f)["enable"].value_of("go") for f in (None, (5, 21, 9), (5, 22), (6,))]
    assert go == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("relation", "version", "holds"),
    [
        (">=", (1, 2), True),
        (">", (1, 2, 0), False),
        ("<=", (1, 2), True),
        ("<", (1, 10), True),
        ("==", (1, 2, 0), True),
    ],
)
def test_versions_compare_number_by_number(relation: str, version: tuple[int, ...], holds: bool) -> None:
    assert FirmwareRule(relation, version).holds((1, 2)) is holds


def test_a_firmware_is_read_from_whatever_a_device_says() -> None:
    assert parse_firmware("V1.12.3-rc") == (1, 12, 3)
    assert parse_firmware(0x0107) == (263,)
    assert parse_firmware("") is None
    assert parse_firmware(None) is None


def test_capabilities_follow_from_the_parts() -> None:
    profile = profile_with("permit: {register: enable, allow: 1, withhold: 0}\n")
    assert profile.capabilities == {Capability.WITHHOLD, Capability.PERMIT_SENSE}
    without_sense = profile_with("limit: {register: limit, max_a: 16}\n")
    assert without_sense.capabilities == {Capability.LIMIT}
    emulated = profile_with("limit: {register: limit, max_a: 16, withhold_a: 0, sense: limit}\n")
    assert emulated.capabilities == {
        Capability.LIMIT,
        Capability.LIMIT_SENSE,
        Capability.WITHHOLD,
        Capability.PERMIT_SENSE,
    }


def test_the_skeleton_of_the_guide_is_a_profile_that_can_charge_and_refuse_to() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text(encoding="utf-8")
    skeleton = guide.split("```yaml\n")[1].split("```")[0]
    profile = parse_profile(skeleton, "my-charger.yaml")
    assert {Capability.WITHHOLD, Capability.LIMIT, Capability.PERMIT_SENSE} <= profile.capabilities


def test_the_guide_names_every_key_of_a_profile() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text(encoding="utf-8")
    with pytest.raises(ProfileErrors) as caught:
        profile_with("nosuch: 1\n")
    known = caught.value.errors[0].message.partition("known are ")[2].split(", ")
    assert len(known) > 25 and [key for key in known if f"`{key}`" not in guide and f"`{key}:" not in guide] == []
