"""The rendered contract holds everything, leads nowhere else and needs nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tools import mqtt_page

EMPTY = {"meta", "th", "td"}


class Reader(HTMLParser):
    """What a browser would see: the words, the anchors, the links, and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.idents: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.idents += [given["id"]] if given.get("id") else []
        self.links += [given["href"]] if tag == "a" and given.get("href") else []
        self.fetched += [given[name] for name in ("src", "href") if tag != "a" and given.get(name)]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def rendered(contract: Any) -> Reader:
    reader = Reader()
    reader.feed(mqtt_page.page(contract.document))
    reader.close()
    return reader


def test_it_is_whole_and_every_link_leads_to_one_place(rendered: Reader) -> None:
    assert rendered.open == []
    assert len(set(rendered.idents)) == len(rendered.idents)
    assert {link.removeprefix("#") for link in rendered.links} <= set(rendered.idents)


def test_it_works_offline(rendered: Reader) -> None:
    assert rendered.fetched == [] and "@import" not in mqtt_page.STYLE and "url(" not in mqtt_page.STYLE


def test_it_holds_every_topic_event_and_command(rendered: Reader, contract: Any) -> None:
    channels = contract.document["channels"]
    assert {channel["address"] for channel in channels.values()} <= set(rendered.words)
    assert {f"event-{kind}" for kind in channels["event"]["messages"]} - {"event-event"} <= set(rendered.idents)
    assert {f"command-{name}" for name in channels["request"]["messages"]} - {"command-request"} <= set(rendered.idents)


def test_it_holds_every_member_that_is_published(rendered: Reader, contract: Any) -> None:
    names = {
        name
        for schema in contract.document["components"]["schemas"].values()
        for part in (schema, *schema.get("allOf", ()))
        for name in part.get("properties", {})
    }
    shown = {re.split(r"[.\[]", word)[-1] for word in rendered.words}
    assert len(names) > 150 and names <= shown


def test_a_unit_is_shown_where_a_number_has_one() -> None:
    number = {"type": ["number", "null"]}
    assert [mqtt_page.unit_of(name, number) for name in ("power_w", "soc_pct", "connector")] == ["W", "%", ""]
    assert mqtt_page.unit_of("reason_s", {"type": "string"}) == ""


def test_what_the_document_says_is_never_markup() -> None:
    assert mqtt_page.prose("<b>&</b>") == "<p>&lt;b&gt;&amp;&lt;/b&gt;</p>"


def test_it_is_written_where_it_is_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "deep/mqtt.html"
    assert mqtt_page.main([str(path)]) == 0
    assert path.read_text().startswith("<!doctype html>") and str(path) in capsys.readouterr().out
