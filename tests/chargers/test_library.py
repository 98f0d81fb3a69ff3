"""Where profiles come from: each is read as it is now, and what was judged is not judged again."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.chargers import library
from edged.chargers.profile_document import ProfileErrors

NAME = "keba-p30"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / f"{NAME}.yaml"
    path.write_text((library.PACKAGED_DIR / path.name).read_text() + f"# {tmp_path}\n")
    return path


def test_a_profile_that_was_judged_is_not_judged_again(own, monkeypatch):
    first = library.load_charger(NAME, own.parent)
    monkeypatch.setattr(library, "read_document", None)
    assert library.load_any(NAME, own.parent) is first


def test_a_profile_that_has_changed_is_judged_anew(own):
    library.load_charger(NAME, own.parent)
    own.write_text("profile: [")
    for _ in range(2):
        with pytest.raises(ProfileErrors):
            library.load_charger(NAME, own.parent)
