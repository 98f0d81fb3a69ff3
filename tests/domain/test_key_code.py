"""Codes that are typed in cannot be guessed. 2.0.1 C04."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.domain.answers import TokenVerdict
from edged.domain.effects import AskAuthorization
from edged.domain.events import PresentToken, TokenAnswered
from edged.domain.key_code import FORGIVEN_AFTER_S, FREE, LONGEST_WAIT_S, wait_s
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, TokenKind
from tests.fakes.site import Site

YES, NO = IdTokenInfo(AuthorizationStatus.ACCEPTED), IdTokenInfo(AuthorizationStatus.INVALID)


def typed(site: Site, code: str, info: IdTokenInfo | None = NO, connector: int = 1) -> bool:
    """Whether a code was looked at at all; `info`: what the CSMS says of it."""
    token = IdToken(code, TokenKind.KEY_CODE)
    site.do(PresentToken(token, connector, site.ref("present_token", "mqtt:bms")))
    if not site.of(AskAuthorization):
        return "wait" not in site.reply().detail
    site.do(TokenAnswered(site.question(), info))
    return True


@pytest.mark.req("C04.FR.06")
def test_who_guesses_waits_longer_each_time() -> None:
    site = Site.build(2)
    assert all(typed(site, f"000{n}") for n in range(FREE))
    waits = []
    for n in range(8):
        assert not typed(site, "4711", YES, connector=1 + n % 2), "at no keypad, whatever the code"
        wait = wait_s(site.station, site.now)
        waits.append(wait)
        site.advance(wait)
        assert typed(site, f"100{n}")
    assert waits[:4] == [5.0, 10.0, 20.0, 40.0]
    assert waits[-1] == LONGEST_WAIT_S


@pytest.mark.req("C04.FR.06")
def test_a_right_code_does_not_forgive_the_wrong_ones_but_time_does() -> None:
    site = Site.build(1)
    for n in range(FREE - 1):
        typed(site, f"000{n}")
    assert typed(site, "4711", YES) and site.connector(1).authorization is not None
    typed(site, "4711")  # lets go
    assert typed(site, "0009")
    assert not typed(site, "4711", YES)
    site.advance(FORGIVEN_AFTER_S)
    assert typed(site, "0000") and typed(site, "0001")


@pytest.mark.req("C04.FR.06")
def test_what_is_no_code_neither_waits_nor_counts() -> None:
    site = Site.build(1)
    for n in range(2 * FREE):
        site.show(f"CARD{n}", 1)
        site.refuse()
    assert wait_s(site.station, site.now) == 0.0
    for n in range(FREE):
        typed(site, f"000{n}")
    site.show("ALICE", 1)
    assert site.of(AskAuthorization)


@pytest.mark.req("C04.FR.06")
def test_offline_and_while_another_charges_guesses_are_counted_too() -> None:
    site = Site.build(1)
    site.start(1)
    assert typed(site, "0001"), "it might belong to the group"
    site.offline()
    assert typed(site, "0002")
    assert site.station.wrong_codes.count == 2
    site.show("ALICE", 1)
    site.unplug(1)
    assert typed(site, "0003") and site.reply().status is TokenVerdict.OFFLINE
    assert not typed(site, "0004")


@pytest.mark.req("C04.FR.03")
def test_a_right_code_is_known_offline() -> None:
    site = Site.build(1)
    assert typed(site, "4711", YES)
    typed(site, "4711")
    site.offline()
    assert typed(site, "4711") and site.reply().status is TokenVerdict.AUTHORIZED


@pytest.mark.req("C04.FR.04")
def test_nothing_that_is_announced_shows_a_code() -> None:
    site = Site.build(1)
    typed(site, "984711")
    assert "4711" not in repr(site.effects) and "transaction.rejected" in site.told()
    typed(site, "984711", replace(YES, group=IdToken("G")))
    assert "4711" not in repr(site.effects)
