"""The grammar, the exit statuses and the guard."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edged import __version__
from edged.chargers.library import PACKAGED_DIR
from edged.cli import check, output
from edged.domain.hardware import Capability
from edged.settings import ResetRelay

SITE = """\
chargers:
  left: {profile: heidelberg-energy-control, serial: {port: /dev/ttyUSB0}}
  right: {profile: phoenix-charx-sec, tcp: "127.0.0.1:5020", point: 2}
stations:
  - id: DEPOT-7
    csms: {url: "ws://127.0.0.1:9000", versions: [ocpp2.1, ocpp1.6]}
    evses: [{charger: left}, {charger: right}]
"""
COMMANDS = ("run", "check", "status", "ctl", "probe", "scan", "simulate", "mqtt", "backup", "restore", "demo")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "edged.yaml"
    path.write_text(SITE)
    return path


@pytest.mark.parametrize("words", [("--help",), *((command, "--help") for command in COMMANDS)])
def test_every_command_takes_help(edged, words):
    status, out, err = edged(*words)
    assert (status, err) == (0, "")
    assert out.startswith("usage: edged")


def test_help_names_every_command_of_the_contract_that_there_is(edged):
    _, out, _ = edged("--help")
    assert all(re.search(rf"^    {command} ", out, re.MULTILINE) for command in (*COMMANDS, "demo"))


def test_the_version_is_told(edged):
    assert edged("--version") == (0, f"edged {__version__}\n", "")


@pytest.mark.parametrize("words", [(), ("dance",), ("check", "--loud"), ("ctl",), ("simulate",), ("run", "now")])
def test_wrong_usage_is_status_2_and_a_sentence(edged, words):
    status, out, err = edged(*words)
    assert (status, out) == (2, "")
    assert "edged" in err
    assert "Traceback" not in err


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "edged", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"edged {__version__}\n"


@pytest.mark.parametrize("words", [("check",), ("run", "--state", "s"), ("simulate",)])
def test_a_wrong_configuration_is_status_78_everywhere(edged, tmp_path, words):
    path = tmp_path / "edged.yaml"
    path.write_text("chargers: {}\nnonsense: 1\n")
    status, out, err = edged(*words, "-c", path)
    assert (status, out) == (78, "")
    lines = err.splitlines()
    assert any(line.startswith(f"{path}:2: nonsense: ") for line in lines)
    assert lines[-1].startswith("edged: the configuration is wrong in ")


def test_a_configuration_that_is_not_there_is_one_sentence(edged, tmp_path):
    status, _, err = edged("check", "-c", tmp_path / "none.yaml")
    assert status == 78
    assert err.startswith(f"{tmp_path}/none.yaml: cannot be read (No such file or directory): write it")


def test_a_folder_is_no_configuration_and_is_named_as_one(edged, tmp_path):
    status, _, err = edged("check", "-c", tmp_path)
    assert status == 78
    assert err.startswith(f"{tmp_path}: cannot be read (it is a folder): name another file with -c\n")


def test_a_service_that_cannot_start_says_why_with_the_journals_priority_for_errors(tmp_path):
    path = tmp_path / "edged.yaml"
    path.write_text("chargers: {}\nnonsense: 1\n")
    said = tmp_path / "journal"
    with said.open("w") as journal:
        found = os.fstat(journal.fileno())
        environ = {**os.environ, "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        command = [sys.executable, "-m", "edged", "run", "-c", path, "--state", tmp_path]
        assert subprocess.run(command, stderr=journal, env=environ, check=False).returncode == 78
    lines = said.read_text().splitlines()
    assert any(line.startswith(f"<3>{path}:2: nonsense: ") for line in lines)
    assert lines[-1].startswith("<3>edged: the configuration is wrong in ")
    assert all(line.startswith("<3>") for line in lines)


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_tells_for_each_connector_what_it_can_and_cannot_do(edged, site):
    status, out, err = edged("check", "-c", site)
    assert status == 0
    blocks = re.split(r"^  connector ", out, flags=re.MULTILINE)[1:]
    assert [block.splitlines()[0] for block in blocks] == [
        "1 (EVSE 1): charger left, heidelberg-energy-control, cType2",
        "2 (EVSE 2): charger right, phoenix-charx-sec, cType2",
    ]
    for block in blocks:
        assert re.findall(r"^    ([a-z ]+?) +(?:yes|no)  ", block, re.MULTILINE) == [
            "reset",
            "unlock",
            "lock sensing",
            "availability",
            "reservation",
            "profiles",
        ]
    assert re.search(r"unlock +no", blocks[0])
    assert re.search(r"unlock +yes", blocks[1])
    assert err.startswith("warning: ")
    assert "ocpp2.1 is not built into this edged" in err


def test_check_says_that_a_charger_that_cannot_withhold_energy_cannot_be_reserved(edged, site, tmp_path):
    text = (PACKAGED_DIR / "heidelberg-energy-control.yaml").read_text()
    without = re.sub(r"^(permit|limit):.*\n(?:[ #].*\n|\n)*", "", text, flags=re.MULTILINE)
    assert without != text
    (tmp_path / "profiles.d").mkdir()
    (tmp_path / "profiles.d" / "heidelberg-energy-control.yaml").write_text(without)
    status, out, err = edged("check", "-c", site)
    assert status == 0, err
    assert re.search(r"reservation +no +its charger cannot withhold energy, so it cannot be reserved", out)
    assert re.search(r"profiles +no +its charger can neither be limited nor stopped", out)


def test_what_check_says_of_a_connector_fits_into_a_hundred_columns(edged, site):
    relay = "reset_relay: {gpio: /dev/null, line: 17, active: low, off_s: 12.5}"
    site.write_text(SITE.replace("point: 2}", f"point: 2, {relay}}}"))
    status, out, _ = edged("check", "-c", site)
    assert status == 0
    lines = [line for line in out.splitlines() if line.startswith("    ")]
    assert max(map(len, lines)) <= 100
    assert " ".join(out.split()).count("below the least that it can give it gives none") == 2
    assert " ".join(out.split()).count("GPIO line 17 of /dev/null, active low, which cuts its power for 12.5 s") == 1


def test_what_charging_profiles_can_do_depends_on_what_the_charger_can():
    limited = check.abilities({Capability.LIMIT, Capability.WITHHOLD}, None)["profiles"]
    switched = check.abilities({Capability.WITHHOLD}, None)["profiles"]
    unstoppable = check.abilities({Capability.LIMIT}, None)["profiles"]
    assert unstoppable.able and "cannot be stopped" in unstoppable.because
    assert limited.able and "set its current" in limited.because
    assert switched.able and "can only be switched" in switched.because


def test_a_relay_is_told_beside_the_register_or_in_its_place():
    relay = ResetRelay(charger="board", output=3)
    alone = check.abilities(set(), relay)["reset"]
    assert (alone.able, alone.because) == (True, "hard by relay 3 of board, which cuts its power for 5 s")
    beside = check.abilities({Capability.RESET_HARD}, relay)["reset"]
    assert beside.because == "hard, if that does not help by relay 3 of board, which cuts its power for 5 s"


def test_a_gpio_line_is_told_with_its_chip_and_one_that_is_not_there_is_warned_of(edged, tmp_path):
    path = tmp_path / "edged.yaml"
    path.write_text(SITE.replace("/dev/ttyUSB0}", "/dev/ttyUSB0}, reset_relay: {gpio: /dev/gpiochip99, line: 17}"))
    status, out, err = edged("check", "-c", path)
    assert status == 0, err
    assert "hard by GPIO line 17 of /dev/gpiochip99, active high, which cuts its power for 5 s" in " ".join(out.split())
    assert "2: chargers.left.reset_relay.gpio: cannot be looked at on this computer" in err


def test_a_charger_that_is_no_relay_board_cannot_be_one(edged, tmp_path):
    path = tmp_path / "edged.yaml"
    path.write_text(SITE.replace("/dev/ttyUSB0}", "/dev/ttyUSB0}, reset_relay: {charger: right, output: 3}"))
    status, _, err = edged("check", "-c", path)
    assert (status, "cannot be right: its profile has no output that cuts a charger's power" in err) == (78, True)


def test_check_as_json_tells_the_same(edged, site):
    status, out, err = edged("check", "-c", site, "--json")
    told = json.loads(out)
    assert (status, err, told["ok"], told["errors"]) == (0, "", True, [])
    assert told["warnings"][0]["path"] == "stations[0].csms.versions[0]"
    left = told["stations"][0]["connectors"][0]
    assert (left["number"], left["charger"], left["abilities"]["unlock"]["able"]) == (1, "left", False)


def test_mistakes_as_json_have_file_line_path_and_message(edged, tmp_path):
    path = tmp_path / "edged.yaml"
    path.write_text("nonsense: 1\n")
    status, out, err = edged("check", "-c", path, "--json")
    told = json.loads(out)
    assert (status, err, told["ok"]) == (78, "", False)
    assert {"file": str(path), "line": 1, "path": "nonsense"}.items() <= next(
        each for each in told["errors"] if each["path"] == "nonsense"
    ).items()


# --- run --------------------------------------------------------------------------------------------------------------


def test_run_needs_to_know_where_to_keep_state(edged, site, monkeypatch):
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    status, _, err = edged("run", "-c", site)
    assert status == 2
    assert "write --state DIR" in err


# --- the guard --------------------------------------------------------------------------------------------------------


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes `edged check` raise."""

    def arrange(error: BaseException) -> None:
        def run(_args: object) -> int:
            raise error

        monkeypatch.setattr("edged.cli.check.run", run)

    return arrange


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (ZeroDivisionError("x\ny"), 1, r"a bug in edged, ZeroDivisionError in test_main.py:\d+: please report it"),
        (RecursionError(), 1, r"a bug in edged, RecursionError"),
        (PermissionError(13, "Permission denied", "/run/x"), 1, r"the computer said: Permission denied \(/run/x\)"),
        (KeyboardInterrupt(), 0, r"$"),
    ],
)
def test_no_traceback_ever_reaches_a_person(edged, broken, site, error, status, sentence):
    broken(error)
    found, out, err = edged("check", "-c", site)
    assert (found, out) == (status, "")
    assert re.match(f"edged: {sentence}" if err else sentence, err)
    assert len(err.splitlines()) <= 1


def test_the_traceback_of_a_bug_is_there_for_those_who_ask(edged, broken, site, caplog):
    broken(ZeroDivisionError("x"))
    with caplog.at_level("DEBUG", logger="edged.cli.main"):
        edged("check", "-c", site)
    assert "Traceback" in caplog.text


def test_a_reader_who_goes_away_is_no_mistake(site):
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "edged", "check", "-c", str(site)]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert [line for line in done.stderr.splitlines() if not line.startswith("warning: ")] == []


# --- output -----------------------------------------------------------------------------------------------------------


def test_nothing_that_a_peer_says_controls_the_terminal(capsys):
    for line in output.lines_of({"reason": "\x1b[2J\x07", "rows": [{"name": "a\nb"}], "\x1b[0m": "x"}):
        output.say(line)
    output.complain("peer said \x1b[31m")
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\x07" not in out


def test_lists_of_alike_objects_are_tables():
    lines = list(
        output.lines_of([{"id": 1, "online": True, "faults": []}, {"id": 22, "online": False, "faults": ["a"]}])
    )
    assert lines == ["id  online  faults", "1   yes     -", "22  no      a"]


def test_a_long_value_does_not_break_the_page():
    assert len(output.cell("x" * 1000)) == output.MAX_CELL_CHARS
