"""Which numbers seem to come with their words the wrong way round, and which never do."""

from __future__ import annotations

import struct

import pytest

from edged.chargers.modbus import Table
from edged.chargers.planning import address_of
from edged.chargers.profile_terms import Register
from edged.chargers.registers import Codec, Kind
from edged.chargers.word_order import suspects
from tests.fakes.register_sheets import NAMES, Sheet


def float_words(value: float) -> tuple[int, ...]:
    return struct.unpack(">HH", struct.pack(">f", value))


def long_words(value: int) -> tuple[int, ...]:
    return (value >> 16 & 0xFFFF, value & 0xFFFF)


def registers(**kinds: tuple[Kind, str]) -> dict[str, Register]:
    """32-bit registers by name: their kind and unit, most significant word first."""
    found = {}
    for name, (kind, unit) in kinds.items():
        found[name] = Register(name=name, table=Table.HOLDING, address=0, codec=Codec(kind=kind, words=2), unit=unit)
    return found


def names(words: dict[str, tuple[int, ...]], **kinds: tuple[Kind, str]) -> list[str]:
    return [each.name for each in suspects(registers(**kinds), words)]


VOLT, WATT, NOUGHT = (Kind.FLOAT, "V"), (Kind.FLOAT, "W"), (Kind.UNSIGNED, "Wh")


def test_a_float_that_is_almost_nothing_and_a_voltage_the_other_way_round_is_suspected():
    found = suspects(registers(u1=VOLT), {"u1": float_words(230.0)[::-1]})
    assert [(each.name, each.other) for each in found] == [("u1", 230.0)]


def test_a_float_that_is_no_number_and_one_the_other_way_round_is_suspected():
    assert names({"u1": float_words(229.99218)[::-1]}, u1=VOLT) == ["u1"]
    words = (0x43E6, 0x7FC0)  # 461.0 V after all, NaN as it stands
    found = suspects(registers(u1=VOLT), {"u1": words[::-1]})
    assert [(each.value, round(each.other)) for each in found] == [(None, 461)]
    assert str(found[0]).startswith("u1 reads no number, and 46")


def test_a_multiple_of_65536_that_is_a_small_number_the_other_way_round_is_suspected():
    assert names({"energy": long_words(4711)[::-1]}, energy=NOUGHT) == ["energy"]


def test_one_that_proves_the_order_clears_those_that_are_only_strange():
    words = {"energy": long_words(3 * 65_536), "session": long_words(4711)}
    assert names(words, energy=NOUGHT, session=NOUGHT) == []


def test_what_cannot_be_is_suspected_whatever_others_prove():
    words = {"u1": (0x7FC0, 0x43E6), "session": long_words(4711)}
    assert names(words, u1=VOLT, session=NOUGHT) == ["u1"]


def test_the_noise_of_a_meter_at_rest_is_not_suspected_beside_a_voltage():
    words = {"power": float_words(-3.1e-7), "u1": float_words(230.1)}
    assert names(words, power=WATT, u1=VOLT) == []


def test_a_code_without_a_unit_may_be_any_number():
    assert names({"code": long_words(1)[::-1]}, code=(Kind.UNSIGNED, "")) == []


def test_zeros_and_sentinels_say_nothing():
    assert names({"u1": (0, 0), "energy": (0, 0)}, u1=VOLT, energy=NOUGHT) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_image_of_a_shipped_profile_is_suspected(name):
    sheet = Sheet(name)
    for image, words in sheet_words(sheet):
        assert suspects(sheet.profile.registers_at(None), words) == (), image


def test_the_images_of_shipped_profiles_are_suspected_where_every_number_is_turned_round():
    blind = []
    for name in NAMES:
        sheet = Sheet(name)
        known = sheet.profile.registers_at(None)
        images = [words for _, words in sheet_words(sheet)]
        told = {each for words in images for each, raw in words.items() if is_telling(known[each], raw)}
        found = {
            each.name
            for words in images
            for each in suspects(known, {n: raw[::-1] if known[n].codec.is_number else raw for n, raw in words.items()})
        }
        if told and not found:
            blind.append(name)
    assert blind == []


def is_telling(register: Register, raw: tuple[int, ...]) -> bool:
    """Whether the image holds a number of two registers with a unit, so that there is something to notice."""
    is_number = register.codec.kind in (Kind.UNSIGNED, Kind.SIGNED, Kind.FLOAT)
    return is_number and register.codec.words > 1 and bool(register.unit) and any(raw)


def sheet_words(sheet: Sheet):
    """Each image's words by register."""
    for image, cells in sheet["images"].items():
        have = sheet.cells(cells)
        words = {}
        for name, register in sheet.profile.registers_at(None).items():
            if register.readable:
                at = address_of(register, sheet.profile.points, sheet.point)
                words[name] = tuple(have.get((register.table, at + i), 0) for i in range(register.codec.words))
        yield image, words
