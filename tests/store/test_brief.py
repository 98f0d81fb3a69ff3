"""Texts as they lie on the disk: short, whole again, and nothing is lost with a spoilt one."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.store.brief import EVENTS, FULL_MAX, ROWS, Shorthand

STATUS = (
    '{"v":1,"id":"0f3e4d5c6b7a-413","boot":"0f3e4d5c6b7a","seq":413,"ts":"2026-08-22T10:00:00.120Z","clock":"synced",'
    '"event_type":"connector.status","station":"garage-left","connector":2,"source":null,'
    '"data":{"status":"Available","previous":"Finishing"}}'
)
STATUS_STORED = "1~L-C|RnsKU0ifOW0l6j)8iJ>vV)5tQg001gL2?GmVBcl*QSQr=@5fKJ>{g$3sl$f5Xo0FPWg6d5pg5E?<DM<cBB(U0A00"
CONNECTOR = (
    '{"operative":true,"evse_operative":true,"spent":true,"kept_locked":false,"energy_offset_wh":0.0,'
    '"energy_kept_wh":60999.5}'
)
CONNECTOR_STORED = "2~Bd^q;pa?KCu(Y()Gpz*x"
KINDS = pytest.mark.parametrize("shorthand", [EVENTS, ROWS], ids=["events", "rows"])


@KINDS
@given(text=st.text())
def test_every_text_comes_back_whole(shorthand: Shorthand, text: str) -> None:
    assert shorthand.full(shorthand.brief(text)) == text or text.startswith(shorthand.mark)


@KINDS
@given(body=st.dictionaries(st.text(), st.text(max_size=40)))
def test_every_document_comes_back_whole_and_takes_no_more_room(shorthand: Shorthand, body: dict[str, str]) -> None:
    text = json.dumps(body)
    assert shorthand.full(shorthand.brief(text)) == text
    assert len(shorthand.brief(text)) <= len(text)


def test_four_events_fit_into_a_page() -> None:
    assert len(EVENTS.brief(STATUS)) <= 100


def test_a_row_is_no_longer_than_what_lies_beside_its_neighbours() -> None:
    """Of a row with more than 102 bytes SQLite puts the rest on a page of its own, where pages have 512."""
    assert len(ROWS.brief(CONNECTOR)) <= 40


@pytest.mark.parametrize(
    "spoil",
    [lambda s: s[:-9], lambda s: s[:30] + "\x00" + s[30:], lambda s: s[:2], lambda s: s + s, lambda s: "2~\u00e9"],
)
@pytest.mark.parametrize("short", [EVENTS.brief(STATUS), ROWS.brief(STATUS)], ids=["events", "rows"])
def test_a_spoilt_text_is_none(spoil: Callable[[str], str], short: str) -> None:
    spoilt = spoil(short)
    assert EVENTS.full(ROWS.full(spoilt)) == spoilt


def test_a_text_that_would_fill_the_memory_is_none() -> None:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=ROWS.words)
    bomb = ROWS.mark + base64.b85encode(deflater.compress(b" " * (FULL_MAX + 1)) + deflater.flush()).decode()
    assert ROWS.full(bomb) == bomb


@KINDS
def test_what_was_stored_before_texts_were_made_short_is_read_as_it_is(shorthand: Shorthand) -> None:
    assert shorthand.full(STATUS) == STATUS


def test_the_words_are_those_with_which_texts_lie_on_disks() -> None:
    """Changed words make everything that is stored unreadable: they need another mark."""
    assert EVENTS.full(STATUS_STORED) == STATUS
    assert (EVENTS.mark, zlib.crc32(EVENTS.words)) == ("1~", 1879972963)
    assert ROWS.full(CONNECTOR_STORED) == CONNECTOR
    assert (ROWS.mark, zlib.crc32(ROWS.words)) == ("2~", 2626714972)
