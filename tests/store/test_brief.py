"""Events as they lie on the disk: short, whole again, and nothing is lost with a spoilt one."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.store.brief import MARK, WORDS, brief, full

STATUS = (
    '{"v":1,"id":"0f3e4d5c6b7a-413","boot":"0f3e4d5c6b7a","seq":413,"ts":"2026-08-22T10:00:00.120Z","clock":"synced",'
    '"event_type":"connector.status","station":"garage-left","connector":2,"source":null,'
    '"data":{"status":"Available","previous":"Finishing"}}'
)


@given(st.text())
def test_every_text_comes_back_whole(text: str) -> None:
    assert full(brief(text)) == text or text.startswith(MARK)


@given(st.dictionaries(st.text(), st.text(max_size=40)))
def test_every_document_comes_back_whole_and_takes_no_more_room(body: dict[str, str]) -> None:
    text = json.dumps(body)
    assert full(brief(text)) == text
    assert len(brief(text)) <= len(text)


def test_four_events_fit_into_a_page() -> None:
    assert len(brief(STATUS)) <= 100


@pytest.mark.parametrize(
    "spoil", [lambda s: s[:-9], lambda s: s[:30] + "\x00" + s[30:], lambda s: MARK, lambda s: s + s]
)
def test_a_spoilt_event_is_none(spoil: object) -> None:
    spoilt = spoil(brief(STATUS))  # type: ignore[operator]
    assert full(spoilt) == spoilt


def test_what_was_stored_before_texts_were_made_short_is_read_as_it_is() -> None:
    assert full(STATUS) == STATUS


def test_the_words_are_those_with_which_events_lie_on_disks() -> None:
    """Changed words make every stored event unreadable: they need another mark."""
    assert full(STORED) == STATUS
    assert (MARK, zlib.crc32(WORDS)) == ("1~", 1879972963)


STORED = "1~L-C|RnsKU0ifOW0l6j)8iJ>vV)5tQg001gL2?GmVBcl*QSQr=@5fKJ>{g$3sl$f5Xo0FPWg6d5pg5E?<DM<cBB(U0A00"
