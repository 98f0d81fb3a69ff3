"""Links between our own pages: each leads to a file that there is, and to a heading that it has."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(PROJECT)
    for path in (PROJECT / "README.md", PROJECT / "CHANGELOG.md", *PROJECT.glob("docs/**/*.md"))
)
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)


def prose(text: str) -> str:
    """Without blocks and words of code: what stands there is no link and no heading."""
    return re.sub(r"`[^`\n]*`", "", _without_blocks(text))


def _without_blocks(text: str) -> str:
    return re.sub(r"(?m)(?<=\n\n)(?: {4}.*\n+)+", "\n", _FENCE.sub("", text))


def links(text: str) -> list[str]:
    """Where a page leads, within this project."""
    return [link for link in _LINK.findall(prose(text)) if not re.match(r"[a-z][a-z0-9+.-]*:", link)]


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@cache
def anchors(page: Path) -> frozenset[str]:
    found: dict[str, int] = {}
    for heading in _HEADING.findall(_without_blocks(page.read_text())):
        found[anchor(heading)] = found.get(anchor(heading), 0) + 1
    return frozenset(f"{name}-{number}" if number else name for name, count in found.items() for number in range(count))


def dead(page: Path, text: str) -> list[str]:
    """The links of a page with this text that lead nowhere."""
    found = []
    for link in links(text):
        path, _, name = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (name and (target.suffix != ".md" or name not in anchors(target))):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_no_link_of_a_page_is_dead(page: Path):
    assert dead(PROJECT / page, (PROJECT / page).read_text()) == []


def test_pages_are_found_and_lead_somewhere():
    assert len(PAGES) > 40
    assert len(links((PROJECT / "README.md").read_text())) > 10


def test_dead_links_are_found():
    page = PROJECT / "docs" / "setup.md"
    text = (
        "[a](setup.md) [b](gone.md) [c](#questions) [d](#gone) [e](../README.md#gone) [f](https://example.com/gone)\n"
    )
    assert dead(page, text) == ["gone.md", "#gone", "../README.md#gone"]
    assert dead(page, "`[a](gone.md)`\n\n    [b](gone.md)\n\n```\n[c](gone.md)\n```\n") == []


@pytest.mark.parametrize(
    ("heading", "name"),
    [("`edged scan`: a line, searched", "edged-scan-a-line-searched"), ("0 to 1: a password", "0-to-1-a-password")],
)
def test_anchors_are_those_of_the_web_page(heading: str, name: str):
    assert anchor(heading) == name


def test_every_page_for_the_field_is_reached_from_the_first_one():
    reached: set[Path] = set()
    ahead = [PROJECT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        targets = ((page.parent / link.partition("#")[0]).resolve() for link in links(page.read_text()))
        ahead += [target for target in targets if target.is_file()]
    field = {PROJECT / "docs" / path.name for path in PROJECT.glob("docs/*.md")} - {PROJECT / "docs/packaging.md"}
    assert field - reached == set()
