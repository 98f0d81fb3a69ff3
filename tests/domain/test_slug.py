"""The plain words for stations: their form, and that they tell identities apart."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from edged.domain.slug import slug_of

slugs = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@given(st.text(min_size=1, max_size=100))
def test_every_identity_has_a_slug_of_the_allowed_form(identity: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", slug_of(identity))


@given(slugs)
def test_an_identity_that_fits_is_its_own_slug(identity: str) -> None:
    assert slug_of(identity) == identity


def test_identities_that_differ_only_in_wildcards_have_different_slugs() -> None:
    assert len({slug_of(identity) for identity in ("a+b", "a#b", "a/b", "a-b")}) == 4
