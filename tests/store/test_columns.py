from __future__ import annotations

import json

import pytest

from edged.store.columns import as_text, key_bytes, moment_of, name_of

HOSTILE = {
    "nothing": "",
    "half": "{",
    "deep": "[" * 100_000,
    "open": '"',
    "no day": "2026-13-01",
    "no zone": "2026-01-01T00:00:00",
    "long": "9" * 10_000,
    "no text": "\udc80",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_whatever_lies_in_a_column_is_read_without_an_error(text: str) -> None:
    assert name_of(text)[:1] == text[:1]
    assert moment_of(text) is None


@pytest.mark.parametrize("name", ["bms", 'a"b', "\ud83d", "ü"])
def test_a_name_is_what_it_was(name: str) -> None:
    assert name_of(json.dumps(name)) == name


def test_a_key_of_no_text_is_found_again() -> None:
    assert key_bytes(as_text(b"\xff\x00a")) == b"\xff\x00a"
