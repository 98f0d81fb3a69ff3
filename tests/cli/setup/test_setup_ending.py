"""What is told and done after the last question, and what a dialogue makes of strange input."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edged.cli import setup
from edged.cli.setup import ending
from edged.cli.setup.dialogue import Dialogue, Ended
from edged.cli.setup.existing import look
from edged.cli.setup.judgement import Site
from edged.cli.setup.passwords import Passwords
from edged.cli.setup.writing import Disk
from edged.settings import DEFAULT_PATH
from edged.site import load_site
from tests.cli.setup.test_setup_interview import CSMS, TCP, Person


def test_a_service_is_started_for_good_or_starts_again():
    commands: list[Sequence[str]] = []
    ending.start(lambda words: commands.append(words) or 0, running=False)  # type: ignore[func-returns-value]
    ending.start(lambda words: commands.append(words) or 0, running=True)  # type: ignore[func-returns-value]
    assert commands == [("systemctl", "enable", "--now", "edged.service"), ("systemctl", "restart", "edged.service")]


def test_without_systemd_nothing_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(ending, "SYSTEMD", tmp_path / "nowhere")
    assert not ending.is_running(lambda words: pytest.fail("nobody was to be asked"))
    monkeypatch.setattr(ending, "SYSTEMD", tmp_path)
    assert ending.is_running(lambda words: 0)
    assert not ending.is_running(lambda words: 3)


def test_a_command_that_is_not_there_has_failed():
    assert ending.run_command(("/nowhere/systemctl", "restart")) == 127
    assert ending.run_command((sys.executable, "-c", "raise SystemExit(3)")) == 3


def test_the_next_steps_of_a_package_are_the_service_s(capsys):
    assert list(ending.next_steps(DEFAULT_PATH, None, is_running=False)) == [
        "sudo systemctl enable --now edged  start now, and at every boot",
        "sudo edged status --watch          what edged sees",
        "sudo edged doctor                  clock, disk, CSMS, broker: what is wrong, and how to mend it",
    ]
    assert next(ending.next_steps(DEFAULT_PATH, None, is_running=True)).startswith("sudo systemctl restart edged ")


@pytest.fixture
def talking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`edged setup` as root under systemd, with the package's place for the configuration, and what it ran."""
    config = tmp_path / "edged.yaml"
    ran: list[Sequence[str]] = []
    monkeypatch.setattr(setup, "DEFAULT_PATH", config)
    monkeypatch.setattr(ending, "DEFAULT_PATH", config)
    monkeypatch.setattr(ending, "SYSTEMD", tmp_path)
    monkeypatch.setattr(setup.os, "geteuid", lambda: 0)
    monkeypatch.setattr("os.fchown", lambda *words: None)
    monkeypatch.setattr("os.chown", lambda *words: None)

    def run(person: Person, statuses: dict[str, int]) -> int:
        def command(words: Sequence[str]) -> int:
            ran.append(words)
            return statuses.get(words[1], 0)

        monkeypatch.setattr(ending, "run_command", command)
        monkeypatch.setattr(setup, "_terminal", lambda: Dialogue(person.read, person.read, person.shown.append))
        args = argparse.Namespace(config=config, control=None, no_scan=True, force=False, answers=None, json=False)
        site = Site(config, tmp_path / "credentials")
        return setup._Talking(args, site, Passwords(site), look(config)).run()

    run.ran = ran  # type: ignore[attr-defined]
    return run


def test_root_may_have_the_service_started_at_once(talking, tmp_path, capsys):
    person = Person({**TCP, **CSMS, "Start edged now": "yes"})
    assert talking(person, {"--quiet": 3}) == 0
    assert talking.ran[-1] == ("systemctl", "enable", "--now", "edged.service")
    assert load_site(tmp_path / "edged.yaml").stations
    assert "systemctl enable --now edged" in capsys.readouterr().out


def test_a_service_that_runs_is_restarted_and_a_failure_told(talking, capsys):
    assert talking(Person({**TCP, **CSMS}), {"restart": 1}) == 0
    assert talking.ran[-1] == ("systemctl", "restart", "edged.service")
    assert capsys.readouterr().err == "edged: systemd did not start it: sudo journalctl -u edged -n 20 tells why\n"


def test_whoever_declines_starts_nothing(talking):
    assert talking(Person({**TCP, **CSMS, "Start edged now": "no"}), {"--quiet": 3}) == 0
    assert [words[1] for words in talking.ran] == ["--quiet"]


def test_ctrl_c_behind_the_writing_says_that_it_is_written(talking, tmp_path, capsys):
    class Late(Person):
        def read(self, prompt: str) -> str:
            if prompt.startswith("Start edged"):
                raise KeyboardInterrupt
            return super().read(prompt)

    assert talking(Late({**TCP, **CSMS}), {"--quiet": 3}) == 0
    assert capsys.readouterr().err == f"edged: stopped: {tmp_path}/edged.yaml is written\n"


def test_ctrl_c_during_the_writing_says_that_it_is_written(talking, tmp_path, capsys, monkeypatch):
    write_new = Disk.write_new

    def interrupted(self: Disk, *words: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        write_new(self, *words)

    monkeypatch.setattr(Disk, "write_new", interrupted)
    assert talking(Person({**TCP, **CSMS}), {}) == 0
    assert capsys.readouterr().err == f"edged: stopped: {tmp_path}/edged.yaml is written\n"
    assert load_site(tmp_path / "edged.yaml").stations


# --- a dialogue -------------------------------------------------------------------------------------------------------


def dialogue(*lines: str | type[BaseException]) -> tuple[Dialogue, list[str]]:
    rest, shown = list(lines), []

    def read(prompt: str) -> str:
        shown.append(prompt)
        line = rest.pop(0)
        if not isinstance(line, str):
            raise line("utf-8", b"\xff", 0, 1, "no text") if line is UnicodeDecodeError else line()
        return line

    return Dialogue(read, read, shown.append), shown


def test_what_is_no_text_is_asked_for_again():
    talk, shown = dialogue(UnicodeDecodeError, "a\x1b[2J", "x" * 1025, "", "  right  ")
    assert talk.ask("What") == "right"
    assert [line for line in shown if "!" in line] == [
        "  ! that is not UTF-8 text: type it again",
        "  ! that has characters which cannot be seen, like a tab: type it again",
        "  ! that is longer than 1024 characters",
        "  ! an answer is needed here",
    ]


def test_the_end_of_the_input_is_told_as_such():
    talk, _ = dialogue(EOFError)
    with pytest.raises(Ended):
        talk.ask("What", default="x")


def test_a_default_can_be_taken_away():
    talk, shown = dialogue("-", "")
    assert talk.ask_optional("What", default="x", check=lambda answer: pytest.fail(answer)) is None
    assert talk.ask_optional("What") is None
    assert shown[0] == "What (- for none) [x]: "


def test_nothing_that_is_shown_moves_the_cursor():
    talk, shown = dialogue("\u0663", "2")
    talk.say("a\x1b[2Jb")
    assert talk.choose("Which", ["one\x07", "two"]) == 1
    assert all(line.isprintable() for line in shown)


def test_a_password_that_was_no_text_is_asked_for_again_from_the_start():
    talk, shown = dialogue("", UnicodeDecodeError, "bad", "a", "b", "a", UnicodeDecodeError, "a", "a")
    assert talk.ask_password("Secret", check=lambda each: "is bad" if each == "bad" else None) == "a"
    assert len([line for line in shown if line.startswith("Secret")]) == 6
