"""`edged setup` in a real terminal, with a simulated charger on a serial line that its search finds."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edged.settings import SerialLine
from edged.site import load_site
from tests.cli.setup.conftest import Terminal

Start = Callable[..., Terminal]
PASSWORD = "correct horse battery 7"


@pytest.fixture
def tty(tmp_path: Path) -> Iterator[Path]:
    """The end of a serial line on which `edged simulate` has a wallbox as unit 5."""
    path = tmp_path / "ttyWallbox"
    words = ["simulate", "--profile", "heidelberg-energy-control", "--listen", f"pty:{path}", "--unit", "5", "--json"]
    process = subprocess.Popen([sys.executable, "-m", "edged", *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("{")
    yield path
    process.terminate()
    process.wait(timeout=30)
    process.stdout.close()


def find_the_charger(at: Terminal, tty: Path) -> None:
    at.answer("Which line is it on", at.wait_for("a serial port that is not listed").split()[-1])
    at.answer("The path of the port", str(tty))


def test_a_site_is_asked_for_found_shown_and_written(terminal: Start, tty: Path, tmp_path: Path):
    config = tmp_path / "edged.yaml"
    at = terminal("-c", config)
    at.answer("Name of this gateway", "Depot 7")
    at.wait_for("! cannot be 'Depot 7': use 1 to 32 small letters")
    at.answer("Name of this gateway", "depot-7")
    find_the_charger(at, tty)
    at.answer("Look who is on it?")
    at.answer("Unit ids to ask", "5")
    at.wait_for("unit 5 answers after")
    at.answer("Take unit 5?")
    at.answer("Its name", "left")
    at.wait_for("heidelberg-energy-control")
    at.answer("Its profile")
    at.answer("At most how many ampere", "400 apples")
    at.wait_for("! must be a number from 6 to 1000")
    at.answer("At most how many ampere", "16")
    at.answer("What next")
    at.answer("Identity of the station", "DEPOT-7")
    at.answer("Vendor", "Example Energy")
    at.answer("Model")
    at.answer("Serial number")
    at.answer("Address of the CSMS", "http://csms.example.com")
    at.wait_for("! must start with ws:// or wss://")
    at.answer("Address of the CSMS", "wss://csms.example.com/ocpp/DEPOT-7")
    at.answer("Take it off?")
    at.answer("Which OCPP")
    at.answer("Which security profile")
    at.answer("The station's password", "1")
    at.answer("(it is not shown)", PASSWORD)
    at.answer("once more", "something else entirely")
    at.wait_for("! that is not the same")
    at.answer("(it is not shown)", PASSWORD)
    at.answer("once more", PASSWORD)
    at.answer("Certificates of the CSMS's authority")
    at.answer("Connect to a broker?")
    at.wait_for("password: ${credential:csms-password}")
    at.wait_for("reservation   yes  energy is withheld from everybody else")
    at.answer("What next", "1")
    at.wait_for(f"wrote {config}")
    at.wait_for("next:")
    assert at.ended() == 0
    assert PASSWORD not in at.shown

    settings = load_site(config)
    (station,) = settings.stations
    assert (settings.gateway.id, station.id, station.vendor) == ("depot-7", "DEPOT-7", "Example Energy")
    assert station.csms.url == "wss://csms.example.com/ocpp"
    assert station.csms.security_profile == 2
    assert station.csms.password is not None
    assert station.csms.password.reveal() == PASSWORD
    charger = settings.chargers["left"]
    assert (charger.profile, charger.unit_id, charger.max_current_ma) == ("heidelberg-energy-control", 5, 16_000)
    assert isinstance(charger.line, SerialLine)
    assert charger.line.port == str(tty)
    secret = tmp_path / "credentials" / "csms-password"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(config.stat().st_mode) == 0o644


def test_ctrl_c_leaves_everything_as_it_was_and_says_so(terminal: Start, tmp_path: Path):
    at = terminal("-c", tmp_path / "edged.yaml")
    at.answer("Name of this gateway", "depot-7")
    at.wait_for("Which line is it on")
    at.interrupt(until="edged: stopped: nothing was changed")
    assert at.ended() == 1
    assert list(tmp_path.iterdir()) == []


def test_the_end_of_the_input_leaves_everything_as_it_was_and_says_so(terminal: Start, tmp_path: Path):
    at = terminal("-c", tmp_path / "edged.yaml")
    at.wait_for("Name of this gateway")
    at.wait_for("]: ")
    at.type("\x04")
    at.wait_for("edged: the input ended before the last question: nothing was changed")
    assert at.ended() == 1
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_no_text_are_asked_for_again(terminal: Start, tmp_path: Path):
    at = terminal("-c", tmp_path / "edged.yaml")
    for bad in ("\udcff\udcfe", "a\u200bb", "x" * 2000):
        at.answer("Name of this gateway", bad)
        at.wait_for("  ! ")
    at.answer("Name of this gateway", "depot-7")
    at.wait_for("Chargers")


def test_ctrl_c_ends_a_search_and_not_the_dialogue(terminal: Start, tmp_path: Path):
    ours, theirs = os.openpty()
    at = terminal("-c", tmp_path / "edged.yaml")
    at.answer("Name of this gateway", "depot-7")
    find_the_charger(at, Path(os.ttyname(theirs)))
    at.answer("Look who is on it?")
    at.answer("Unit ids to ask", "1-247")
    at.wait_for("asking unit 2")
    at.interrupt(until="! stopped before everything was asked")
    at.answer("Its name", "left")
    at.wait_for("Its profile")
    at.interrupt(until="edged: stopped: nothing was changed")
    assert at.ended() == 1
    os.close(ours)
    os.close(theirs)


def test_a_configuration_with_somebody_s_comments_is_not_touched(terminal: Start, tmp_path: Path):
    config = tmp_path / "edged.yaml"
    config.write_text("log: {level: debug}  # until the fault is found\n")
    at = terminal("-c", config)
    at.wait_for(f"edged: {config}:1 has a comment that edged setup cannot keep (# until the fault is found)")
    at.wait_for("edged setup --force writes it anew and keeps this one as edged.yaml.old-DATE")
    assert at.ended() == 1
    assert config.read_text() == "log: {level: debug}  # until the fault is found\n"


def test_with_force_it_is_kept_under_another_name(terminal: Start, tmp_path: Path):
    config = tmp_path / "edged.yaml"
    before = (
        'chargers: {left: {profile: keba-p30, tcp: "10.0.0.21"}}  # mine\n'
        'stations: [{id: A, csms: {url: "ws://10.0.0.5", security_profile: 0}, evses: [{charger: left}]}]\n'
    )
    config.write_text(before)
    at = terminal("-c", config, "--force", "--no-scan")
    at.answer("What shall be done", "3")
    at.answer("What next", "4")
    at.answer("Identity of the station", "B")
    for question in ("Vendor", "Model", "Serial number"):
        at.answer(question)
    at.answer("What next", "1")
    at.answer("replace it? It is kept as edged.yaml.old-DATE.")
    at.wait_for(f"wrote {config}")
    assert at.ended() == 0
    (kept,) = tmp_path.glob("edged.yaml.old-*")
    assert kept.read_text() == before
    assert load_site(config).stations[0].id == "B"
    assert load_site(config).chargers["left"].profile == "keba-p30"
