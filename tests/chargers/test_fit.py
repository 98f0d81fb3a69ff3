"""What counts for a profile and what against it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from edged.chargers.fit import Answers, Verdict, judge
from edged.chargers.library import load_profile
from edged.chargers.registers import Value
from tests.fakes.probing import ESP32, raw_words

PROFILE = load_profile("esp32-evse")


def answers(values: Mapping[str, Value], *, refused: tuple[str, ...] = (), silent: tuple[str, ...] = ()) -> Answers:
    registers = PROFILE.registers_at(None)
    words = {
        name: raw_words(registers[name], values.get(name))
        for name, register in registers.items()
        if register.readable and name not in (*refused, *silent)
    }
    decoded = {name: registers[name].codec.decode(each) for name, each in words.items()}
    return Answers(registers=registers, values=decoded, words=words, refused=refused, silent=silent)


def test_a_charger_as_its_profile_says_fits():
    fit = judge(PROFILE, answers(ESP32))
    assert fit.verdict is Verdict.FITS
    assert fit.against == ()
    assert any("state reads B1: connected" in each.text for each in fit.evidence)


def test_an_unknown_state_rules_a_profile_out():
    fit = judge(PROFILE, answers({**ESP32, "state": "Z9"}))
    assert fit.verdict is Verdict.DOES_NOT_FIT
    assert "state reads 5a39, which is no state of it" in fit.against


def test_a_state_register_that_does_not_exist_rules_a_profile_out():
    fit = judge(PROFILE, answers(ESP32, refused=("state",)))
    assert fit.verdict is Verdict.DOES_NOT_FIT
    assert "its state register H100 (state) does not exist here" in fit.against


@pytest.mark.parametrize(("gone", "how"), [("refused", "do not exist"), ("silent", "are not answered")])
def test_a_register_that_the_daemon_polls_and_that_is_missing_leaves_doubt(gone, how):
    fit = judge(PROFILE, answers(ESP32, **{gone: ("power",)}))
    assert fit.verdict is Verdict.MAY_FIT
    assert f"registers that it needs {how}: H200 (power)" in fit.against


def test_a_value_that_cannot_be_leaves_doubt():
    fit = judge(PROFILE, answers({**ESP32, "voltage_l1": 23000.0}))
    assert fit.verdict is Verdict.MAY_FIT
    assert "voltage_l1 reads 23000 V, which cannot be" in fit.against


def test_numbers_where_a_text_should_be_speak_against():
    data = answers(ESP32)
    words = {**data.words, "firmware": (0x0102,) * 16}
    fit = judge(PROFILE, Answers(registers=data.registers, values=data.values, words=words))
    assert fit.verdict is Verdict.MAY_FIT
    assert any("firmware should be a text" in each for each in fit.against)


def test_a_device_that_says_zero_to_everything_never_fits():
    profile = load_profile("vestel-evc04")
    registers = profile.registers_at(None)
    words = {name: (0,) * each.codec.words for name, each in registers.items() if each.readable}
    values = {name: registers[name].codec.decode(each) for name, each in words.items()}
    fit = judge(profile, Answers(registers=registers, values=values, words=words))
    assert fit.verdict is not Verdict.FITS
    assert "everything reads zero" in fit.against


def test_the_better_fit_ranks_first():
    whole, doubtful = judge(PROFILE, answers(ESP32)), judge(PROFILE, answers(ESP32, refused=("power",)))
    assert min((doubtful, whole), key=lambda fit: fit.rank) is whole
