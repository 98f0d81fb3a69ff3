"""The pages of docs/chargers/ are what the profiles say, and a stale one is noticed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from edged.chargers.library import PACKAGED_DIR, load_profile

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in PACKAGED_DIR.glob("*.yaml"))


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("charger_pages_tool", ROOT / "tools" / "charger_pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load_tool()


def test_the_pages_are_current() -> None:
    assert tool.stale(tool.FOLDER) == [], "run python tools/charger_pages.py"


def test_a_page_that_is_missing_otherwise_or_too_many_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "FOLDER", tmp_path / "chargers")
    assert tool.main(["--check"]) == 1
    assert tool.main([]) == 0
    assert tool.main(["--check"]) == 0
    (tmp_path / "chargers" / "keba-p30.md").write_text("other")
    (tmp_path / "chargers" / "gone.md").write_text("")
    assert tool.stale(tool.FOLDER) == ["gone.md", "keba-p30.md"]
    assert tool.main([]) == 0
    assert tool.main(["--check"]) == 0


def test_the_table_links_every_page() -> None:
    linked = re.findall(r"\]\(([\w-]+)\.md\)", tool.pages()["README.md"])
    assert sorted(linked) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_page_is_a_configuration_of_that_charger(name: str) -> None:
    profile = load_profile(name)
    text = tool.pages()[f"{name}.md"]
    example = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL).group(1))
    charger = example["chargers"]["left"]
    assert charger["profile"] == name and charger["unit_id"] == profile.bus.unit_id
    assert ("tcp" in charger) is ("tcp" in profile.bus.transports)
    assert ("point" in charger) is (profile.points.count > 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_tells_every_note_doubt_and_source_of_its_profile(name: str) -> None:
    profile, text = load_profile(name), tool.pages()[f"{name}.md"]
    for sentence in (*profile.setup, *profile.notes, *profile.unproven, *profile.sources):
        assert f"- {sentence}\n" in text
