"""`edged demo` as a person runs it: the whole story in a process of its own, and what becomes of a story gone wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.cli import demo
from edged.cli.demo import claims
from edged.cli.demo.acts import nothing
from edged.cli.demo.places import HALL, LEFT
from edged.cli.demo.stage import MAX_DIRECTORY_CHARS, make_directory
from edged.cli.demo.step import Chapter, Step
from edged.cli.demo.story import GOODBYE, STORY
from edged.cli.demo.story_charging import WAKE
from edged.cli.demo.story_commands import KEYS

WHOLE = (*STORY, GOODBYE)
STORY_S = 200.0
"""It takes less than a quarter of that on an idle computer."""


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the demo makes its directory: short, for sockets live there."""
    directory = Path(tempfile.mkdtemp(prefix="ed-"))
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def wrong(sentence: str = "the contactor closes by itself") -> Step:
    """A step whose expectation cannot come true."""
    return Step(sentence=sentence, act=nothing, timeout_s=0.5, claims=(claims.contactor(HALL, closed=True),))


def processes_in(directory: Path) -> list[str]:
    """Command lines that name the directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in words:
            found.append(words)
    return found


# --- the whole story


@pytest.mark.timeout(240)
def test_the_whole_story_happens_in_time_and_the_table_says_who_saw_it(scratch: Path) -> None:
    began_s = time.monotonic()
    told = subprocess.run([sys.executable, "-m", "edged", "demo"], capture_output=True, text=True, timeout=220)
    assert told.returncode == 0, told.stdout + told.stderr
    assert time.monotonic() - began_s < STORY_S
    steps = [step for chapter in WHOLE for step in chapter.steps]
    happened = re.findall(r"^\[ *[0-9.]+ s\] ok  ", told.stdout, re.MULTILINE)
    assert len(happened) == len(steps)
    _, _, table = told.stdout.partition("result     seconds  step")
    rows = re.findall(r"^ok +[0-9.]+  \S", table, re.MULTILINE)
    assert len(rows) == len(steps)
    for chapter in WHOLE:
        assert chapter.title in table
    for witness in ("CSMS:", "hardware:", "broker:", "socket:", "disk:", "process:"):
        assert witness in table
    assert "each transaction started once and stopped once at the CSMS, in order" in table
    assert "protocol: no violation" in table
    assert "\x1b" not in told.stdout
    assert list(scratch.iterdir()) == []
    assert processes_in(scratch) == []


# --- a story that goes wrong


def test_a_wrong_expectation_ends_in_status_one_and_tells_what_each_witness_saw(
    scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt = Chapter(title="Spoilt", steps=(wrong(), wrong("and this is not tried")))
    status = demo.main(["--no-broker"], story=(WAKE, spoilt, KEYS))
    told = capsys.readouterr().out
    assert status == 1
    assert "FAILED    Spoilt: the contactor closes by itself" in told
    assert "hardware: expected hall contactor closed; saw hall contactor open" in told
    assert "not tried Spoilt: and this is not tried" in told
    assert "ok        A configuration key: and reads it back" in told
    assert "not everything happened as told" in told
    (log,) = re.findall(r"the daemon's log is (\S+)", told)
    assert Path(log).is_file() and scratch in Path(log).parents
    assert processes_in(scratch) == []


def test_without_its_vital_chapter_nothing_more_is_tried(scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    never = Chapter(title="Never", steps=(wrong(),), vital=True)
    status = demo.main(["--no-broker"], story=(never, KEYS))
    told = capsys.readouterr().out
    assert status == 1
    assert told.count("not tried A configuration key") == len(KEYS.steps)


def test_a_chapter_is_not_tried_when_the_one_it_builds_on_failed(
    scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = Chapter(title="Base", steps=(wrong(),))
    above = Chapter(title="Above", steps=(wrong("not tried"),), builds_on="Base")
    assert demo.main(["--no-broker"], story=(WAKE, base, above)) == 1
    assert "not tried Above" in capsys.readouterr().out


def test_after_a_failed_chapter_the_site_is_put_in_order(scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def plug_in(stage: demo.Stage) -> None:
        stage.point(LEFT).plug_in()
        stage.point(HALL).plug_in()
        stage.point(HALL).jam_lock(True)
        stage.csms.cut()
        await stage.daemon.kill()

    wreck = Chapter(
        title="Wreck", steps=(Step(sentence="all breaks", act=plug_in, claims=wrong().claims, timeout_s=1),)
    )
    assert demo.main(["--no-broker"], story=(WAKE, wreck, KEYS)) == 1
    assert "ok        A configuration key: the CSMS sets" in capsys.readouterr().out


def test_the_table_as_json_has_standard_output_for_itself(scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nobody = Chapter(
        title="Nobody", steps=(Step(sentence="needs a broker", act=nothing, claims=wrong().claims, needs_broker=True),)
    )
    status = demo.main(["--no-broker", "--json", "--seed", "7", "--keep"], story=(WAKE, nobody, GOODBYE))
    said = capsys.readouterr()
    table = json.loads(said.out)
    assert status == 0 and table["ok"] is True
    assert table["seed"] == 7 and table["speed"] == demo.SPEED
    assert [step["result"] for step in table["steps"]] == ["ok", "ok", "no broker", "ok"]
    boot = table["steps"][0]["evidence"]
    assert {"CSMS", "control socket", "broker"} == {one["witness"] for one in boot}
    assert [one["ok"] for one in boot if one["witness"] == "broker"] == [None]
    assert table["totals"]["violations"] == [] and table["totals"]["published"] is None
    (kept,) = re.findall(r"everything is kept in (\S+)", said.err)
    assert (Path(kept) / "daemon.log").is_file() and (Path(kept) / "state/edged.db").is_file()


# --- interrupted, and held


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_leaves_no_process_and_no_file(scratch: Path, number: signal.Signals) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "edged", "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None and running.stderr is not None
    with running.stdout, running.stderr:
        first = running.stdout.readline()
        assert "ok" in first and processes_in(scratch)
        running.send_signal(number)
        running.stdout.read()
        said = running.stderr.read()
        assert running.wait(timeout=30) == 1
    assert said == "edged: stopped before the end of the story\n"
    assert processes_in(scratch) == []
    assert list(scratch.iterdir()) == []


def test_a_held_site_stays_until_ctrl_c_and_says_where_everything_is(scratch: Path) -> None:
    script = (
        "import sys; from edged.cli import demo; from edged.cli.demo.story_charging import WAKE; "
        "sys.exit(demo.main(['--hold', '--no-broker'], story=(WAKE,)))"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert running.stderr is not None
    with running.stderr:
        lines: list[str] = []
        while not lines or "plug_out" not in lines[-1]:
            lines.append(running.stderr.readline())
            assert lines[-1], lines
        sockets = re.findall(r"--control (\S+\.sock) (\w+)", "".join(lines))
        status = next(line.split() for line in lines if " status --control " in line)
        answer = subprocess.run(status, capture_output=True, text=True, timeout=30)
        plugged = next(line.split() for line in lines if " plug_in " in line)
        car = subprocess.run(plugged, capture_output=True, text=True, timeout=30)
        running.send_signal(signal.SIGINT)
        running.stderr.read()
        assert running.wait(timeout=30) == 0
    assert answer.returncode == 0 and "Accepted" in answer.stdout
    assert car.returncode == 0 and "car" in car.stdout
    assert len(sockets) >= 4
    assert processes_in(scratch) == []


# --- small things


@pytest.mark.parametrize("speed", ["0", "-1", "1000", "nan", "fast"])
def test_a_speed_that_makes_no_sense_is_a_usage_error(speed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        demo.main([f"--speed={speed}"])
    assert ended.value.code == 2
    assert "a number from 1 to 100" in capsys.readouterr().err


def test_a_directory_too_long_for_sockets_is_made_elsewhere(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = scratch / ("d" * MAX_DIRECTORY_CHARS)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    monkeypatch.setattr(tempfile, "tempdir", None)
    made = make_directory()
    try:
        assert len(str(made)) <= MAX_DIRECTORY_CHARS
        assert os.listdir(deep) == []
    finally:
        made.rmdir()
