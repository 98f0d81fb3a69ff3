"""Configuration keys that a site makes up: what they may be, and what is said of one that cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from edged.domain.configuration import KeyKind, Mutability

PLACE = "    evses:\n      - charger: left"


def with_keys(site: str, keys: str) -> str:
    lines = "".join(f"      {line}\n" for line in keys.splitlines())
    return site.replace(PLACE, f"    custom_keys:\n{lines}{PLACE}")


def test_each_kind_of_key_is_read(read: Any, site: str) -> None:
    keys = """\
BadgeText: {maximum: 12, default: hello}
Floor: {type: int, minimum: 1, maximum: 9, default: 3, read_only: true}
Lamp: {type: bool, default: false}
Mood: {type: choice, allowed: [calm, busy], default: calm, reboot: true}"""
    found = {key.name: key for key in read(with_keys(site, keys)).stations[0].custom_keys}
    assert [found[name].kind for name in found] == [KeyKind.TEXT, KeyKind.INT, KeyKind.BOOL, KeyKind.CHOICE]
    assert all(key.custom for key in found.values())
    assert (found["BadgeText"].default, found["BadgeText"].maximum) == ("hello", 12)
    assert (found["Floor"].mutability, found["Floor"].minimum) == (Mutability.READ_ONLY, 1)
    assert (found["Mood"].allowed, found["Mood"].reboot) == (("calm", "busy"), True)


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("HeartbeatInterval: {}", "a key of the standard"),
        ("a/b: {}", "cannot be a name"),
        ("A: {type: number}", "must be one of text"),
        ("A: {type: int}", "default: is missing: it must be a whole number"),
        ("A: {type: int, default: x}", "must be a whole number"),
        ("A: {type: choice, default: x}", "needed there"),
        ("A: {allowed: [x]}", "is for type: choice"),
        ("A: {colour: red}", "is not a key"),
        ("A: {}\na: {}", "keys ignore case"),
    ],
)
def test_what_cannot_be_a_key_is_told(errors: Any, site: str, key: str, complaint: str) -> None:
    assert any(complaint in error for error in errors(with_keys(site, key)))
