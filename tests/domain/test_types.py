"""Tokens: who is the same, and what people get to see of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.types import SHOWN_KINDS, IdToken, TokenKind, same_group

TOKEN = st.builds(IdToken, st.text(max_size=36), st.sampled_from((None, *TokenKind)))


@pytest.mark.req("16-GEN-04", "C01.FR.25")
@given(one=TOKEN, other=TOKEN)
def test_matching_asks_no_order_and_ignores_case(one: IdToken, other: IdToken) -> None:
    assert one.matches(other) is other.matches(one)
    assert one.matches(IdToken(one.value.casefold(), one.kind))
    if one.matches(other):
        assert other.key in one.keys or other.kind not in SHOWN_KINDS
    else:
        assert one.key != other.key


@pytest.mark.req("C01.FR.25")
def test_two_known_kinds_must_agree() -> None:
    assert not IdToken("A", "Central").matches(IdToken("A", "ISO14443"))
    assert IdToken("A", "Central").matches(IdToken("A"))


@given(one=TOKEN)
def test_a_token_shows_at_most_its_last_four_characters(one: IdToken) -> None:
    assert len(one.masked()) <= 6
    shown = len(one.value) > 4 and one.kind != TokenKind.KEY_CODE
    assert one.masked().removeprefix("**") == (one.value[-4:] if shown else "")
    assert repr(one) == f"IdToken({one.masked()})"


@pytest.mark.req("C04.FR.04")
def test_a_code_that_is_typed_in_is_shown_to_nobody() -> None:
    assert "4711" not in repr(IdToken("984711", TokenKind.KEY_CODE))


@pytest.mark.req("16-GEN-07")
def test_an_unknown_group_is_nobodys_group() -> None:
    assert not same_group(None, None)
    assert not same_group(IdToken("A"), None)
    assert same_group(IdToken("A"), IdToken("a"))
