"""The pages of docs/chargers/ are what the profiles say, and a stale one is noticed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edged.chargers.library import PACKAGED_DIR, load_charger
from edged.chargers.profile import DeviceProfile
from edged.site import load_site
from tools import charger_pages

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in PACKAGED_DIR.glob("*.yaml"))


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return charger_pages.pages()


def test_the_pages_are_current() -> None:
    assert charger_pages.stale(charger_pages.FOLDER) == [], "run python tools/charger_pages.py"


def test_a_page_that_is_missing_otherwise_or_too_many_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charger_pages, "FOLDER", tmp_path / "chargers")
    assert charger_pages.main(["--check"]) == 1
    assert charger_pages.main([]) == 0
    assert charger_pages.main(["--check"]) == 0
    (tmp_path / "chargers" / "keba-p30.md").write_text("other")
    (tmp_path / "chargers" / "gone.md").write_text("")
    assert charger_pages.stale(charger_pages.FOLDER) == ["gone.md", "keba-p30.md"]
    assert charger_pages.main([]) == 0
    assert charger_pages.main(["--check"]) == 0


def test_the_table_links_every_page(pages: dict[str, str]) -> None:
    linked = re.findall(r"\]\(([\w-]+)\.md\)", pages["README.md"])
    assert sorted(linked) == NAMES


STATION = """
stations:
  - id: DEPOT
    csms: {url: "ws://127.0.0.1:9000/"}
    evses: [{charger: left}]
"""


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_page_is_a_configuration_that_edged_takes(
    name: str, pages: dict[str, str], tmp_path: Path
) -> None:
    example = pages[f"{name}.md"].split("```yaml\n")[1].split("```")[0]
    (tmp_path / "edged.yaml").write_text(example + STATION)
    charger = load_site(tmp_path / "edged.yaml").chargers["left"]
    profile = load_charger(name)
    unit_id = profile.bus.unit_id if isinstance(profile, DeviceProfile) else None
    assert (charger.profile, charger.unit_id) == (name, unit_id)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_tells_every_note_doubt_and_source_of_its_profile(name: str, pages: dict[str, str]) -> None:
    profile, text = load_charger(name), pages[f"{name}.md"]
    for sentence in (*profile.setup, *profile.notes, *profile.unproven, *profile.sources):
        assert f"- {sentence}\n" in text
