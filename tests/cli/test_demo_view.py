"""The demo's live view: always within the terminal, colored only where the terminal wants it."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.cli.demo.ink import Ink, fit
from edged.cli.demo.step import Evidence, Outcome, Verdict
from edged.cli.demo.view import MIN_COLUMNS, MIN_ROWS, Picture, PlaceShown, Telling, render, what_failed
from edged.cli.demo.witness import Witness

PLAIN = Ink()
COLORED = Ink(color=True, unicode=True)
PLACES = tuple(
    PlaceShown(
        connector=number,
        charger=charger,
        status=status,
        contactor="closed" if power_w else "open",
        lock=lock,
        power_w=power_w,
        energy_wh=1_234_567.0,
        reservation=reservation,
    )
    for number, charger, status, lock, power_w, reservation in (
        (1, "left", "Reserved", "-", 0.0, "#7"),
        (2, "right", "Unavailable", "-", 0.0, ""),
        (3, "hall", "Charging", "closed", 11_040.0, ""),
        (4, "gate", "Faulted", "JAMMED", 0.0, ""),
    )
)
PICTURE = Picture(places=PLACES, csms_up=True, broker="online", daemon_pid=4711, queued=3, elapsed_s=12.3, speed=30.0)
OK = Outcome(chapter="First", sentence="a car is plugged in", verdict=Verdict.OK, seconds=0.4)
MISSED = Outcome(
    chapter="Second",
    sentence="the contactor closes",
    verdict=Verdict.FAILED,
    seconds=15.0,
    evidence=(
        Evidence(witness=Witness.CSMS, expects="Charging", words="Charging", ok=True),
        Evidence(witness=Witness.HARDWARE, expects="contactor closed", words="contactor open", ok=False),
    ),
)


def bare(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


@given(
    columns=st.integers(MIN_COLUMNS, 250),
    rows=st.integers(MIN_ROWS, 80),
    outcomes=st.lists(st.sampled_from([OK, MISSED, replace(OK, sentence="x" * 300)]), max_size=60),
    sentence=st.sampled_from(["", "the car has had enough for now", "y" * 300]),
    colored=st.booleans(),
)
def test_the_screen_is_never_wider_or_higher_than_the_terminal(
    columns: int, rows: int, outcomes: list[Outcome], sentence: str, colored: bool
) -> None:
    telling = Telling(outcomes=tuple(outcomes), chapter="Now", sentence=sentence, for_s=1.5)
    lines = render(PICTURE, telling, columns=columns, rows=rows, ink=COLORED if colored else PLAIN)
    assert len(lines) <= rows
    assert max(len(bare(line)) for line in lines) <= columns


def test_in_eighty_by_twenty_four_every_connector_and_the_present_step_are_seen() -> None:
    telling = Telling(outcomes=(OK,) * 40, chapter="First", sentence="and now this", for_s=0.5)
    text = "\n".join(render(PICTURE, telling, columns=79, rows=23, ink=PLAIN))
    for words in ("Reserved", "#7", "Unavailable", "Charging", "11.0 kW", "JAMMED", "1234.567 kWh"):
        assert words in text
    assert "and now this" in text
    assert "CSMS connected" in text and "MQTT online" in text and "pid 4711" in text and "3 messages wait" in text


def test_a_wide_terminal_shows_the_site_beside_the_story() -> None:
    telling = Telling(outcomes=(OK,), chapter="First", sentence="and now this", for_s=0.5)
    lines = render(PICTURE, telling, columns=170, rows=40, ink=PLAIN)
    assert any("a car is plugged in" in line and "hall" in line for line in lines) or any(
        "First" in line and "charger" in line for line in lines
    )


def test_the_version_that_is_spoken_is_at_the_head() -> None:
    spoken = replace(PICTURE, version="ocpp2.0.1")
    assert "one OCPP 2.0.1 station" in render(spoken, Telling(), columns=110, rows=23, ink=PLAIN)[0]
    assert "one OCPP station" in render(PICTURE, Telling(), columns=110, rows=23, ink=PLAIN)[0]


def test_what_is_away_is_said() -> None:
    away = replace(PICTURE, csms_up=False, broker=None, daemon_pid=None, queued=None)
    text = "\n".join(render(away, Telling(), columns=79, rows=23, ink=PLAIN))
    assert "CSMS away" in text and "no broker" in text and "not running" in text and "? messages" in text


def test_a_failed_step_names_the_expectation_and_every_sight() -> None:
    assert what_failed(replace(MISSED, trouble="the station went away")) == [
        "the station went away",
        "hardware: expected contactor closed; saw contactor open",
        "CSMS: saw Charging",
    ]


def test_without_color_there_is_no_escape_sequence() -> None:
    telling = Telling(outcomes=(OK, MISSED), chapter="Now", sentence="this", for_s=0.0)
    assert not any("\x1b" in line for line in render(PICTURE, telling, columns=79, rows=23, ink=PLAIN))
    assert any("\x1b" in line for line in render(PICTURE, telling, columns=79, rows=23, ink=COLORED))


class Terminal(io.TextIOWrapper):
    def __init__(self, *, tty: bool, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty


@pytest.mark.parametrize(
    ("tty", "environment", "color"),
    [(True, {}, True), (False, {}, False), (True, {"NO_COLOR": "1"}, False), (True, {"NO_COLOR": ""}, True)],
)
def test_colors_are_for_terminals_that_want_them(tty: bool, environment: dict[str, str], color: bool) -> None:
    with Terminal(tty=tty) as stream:
        assert Ink.of(stream, environment).color is color


def test_a_terminal_without_unicode_gets_plain_marks() -> None:
    with Terminal(tty=True, encoding="ascii") as stream:
        ink = Ink.of(stream, {})
    assert all(ink.mark(verdict).isascii() for verdict in Verdict)
    assert ink.pointer.isascii() and ink.dot.isascii()


@given(text=st.text(st.characters(codec="ascii"), max_size=50), width=st.integers(0, 40))
def test_what_is_fitted_has_exactly_that_width(text: str, width: int) -> None:
    assert len(fit(text, width)) == width
