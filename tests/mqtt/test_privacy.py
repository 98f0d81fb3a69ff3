"""What readers of MQTT see of a token."""

from __future__ import annotations

import pytest

from edged.domain.types import IdToken, TokenKind
from edged.mqtt.options import IdTokenPolicy
from edged.mqtt.privacy import shown_token


@pytest.mark.req("C04.FR.04")
@pytest.mark.parametrize("policy", IdTokenPolicy)
def test_a_code_that_was_typed_in_is_shown_under_no_policy(policy: IdTokenPolicy) -> None:
    shown = shown_token(IdToken("984711", TokenKind.KEY_CODE), policy, salt="gw")
    assert shown == (None if policy is IdTokenPolicy.NONE else "**")


def test_a_digest_is_the_values_whether_its_kind_is_known_or_not() -> None:
    cards = (IdToken("Card-1"), IdToken("CARD-1", TokenKind.ISO14443))
    assert len({shown_token(card, IdTokenPolicy.HASH, salt="gw") for card in cards}) == 1
