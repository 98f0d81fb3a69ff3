"""`edged scan`: who is on a line, for people and for scripts, and a piece of configuration that edged takes."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from edged.cli.progress import ProgressBar, bar
from edged.site import load_site
from tests.chargers.conftest import PtySlave, TcpSlave, Units
from tests.fakes.probing import ESP32, LoopThread, cells, chatter, loop_thread

STATION = """\
stations:
  - id: DEPOT-7
    csms: {{url: "ws://127.0.0.1:9000"}}
    evses: [{{charger: {charger}}}]
"""
SITE = """\
buses:
  yard: {{serial: {port}, baudrate: 9600, parity: none}}
chargers:
  left: {{profile: esp32-evse, bus: yard, unit_id: 3}}
  gone: {{profile: esp32-evse, bus: yard, unit_id: 5}}
stations:
  - id: DEPOT-7
    csms: {{url: "ws://127.0.0.1:9000"}}
    evses: [{{charger: left}}, {{charger: gone}}]
"""
MEMBERS = {
    "ok",
    "lines",
    "asked",
    "ended",
    "units",
    "controllers",
    "absent",
    "other_masters_ask",
    "noise_bytes",
    "latency_timer_ms",
    "snippet",
    "seen",
    "checks",
}
UNIT_MEMBERS = {
    "unit_id",
    "line",
    "first_refusal",
    "round_trip_ms",
    "at_every_id",
    "configured_as",
    "identity",
    "fits",
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody waits long for who is not there, and no daemon of this computer is asked."""
    for name, value in (("SERIAL_FIRST_S", 0.04), ("NETWORK_FIRST_S", 0.1), ("SERIAL_SHORTEST_S", 0.03), ("GAP_S", 0)):
        monkeypatch.setattr(f"edged.chargers.scan.{name}", value)
    monkeypatch.setattr("edged.chargers.scan.LISTEN_S", 0.02)
    monkeypatch.setattr("edged.chargers.inquiry.LATE_LIMIT_S", 0.05)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))


@pytest.fixture
def slaves() -> Iterator[LoopThread]:
    with loop_thread() as thread:
        yield thread


@pytest.fixture
def line(slaves: LoopThread) -> Iterator[PtySlave]:
    """A serial line with an esp32-evse as unit 3 and a stranger as unit 6."""

    async def start() -> PtySlave:
        return PtySlave(Units(registers={3: cells("esp32-evse", ESP32), 6: {}}))

    async def stop() -> None:
        slave.close()

    slave = slaves.run(start())
    yield slave
    slaves.run(stop())


@pytest.fixture
def server(slaves: LoopThread) -> Iterator[TcpSlave]:
    async def start() -> TcpSlave:
        slave = TcpSlave(Units(registers={2: cells("esp32-evse", ESP32)}))
        await slave.start()
        return slave

    slave = slaves.run(start())
    yield slave
    slaves.run(slave.stop())


@pytest.fixture
def config(tmp_path: Path, line: PtySlave) -> Path:
    path = tmp_path / "edged.yaml"
    path.write_text(SITE.format(port=line.port))
    return path


def scan(line: PtySlave, *more: object) -> tuple[object, ...]:
    return "scan", "--serial", line.port, "--baudrates", "9600", "--parities", "none", "--to", 7, *more


def test_the_time_it_may_take_is_told_in_advance(edged, line):
    _, _, err = edged(*scan(line))
    assert err.splitlines()[0] == f"asking 7 unit ids from 1 to 7 on {line.port} at 9600 baud, 8N1"
    assert err.splitlines()[1].startswith("this takes at most ")


def test_each_unit_is_told_with_the_profiles_that_fit_and_why(edged, line):
    status, out, _ = edged(*scan(line))
    assert status == 0
    lines = out.splitlines()
    assert lines[0].startswith("unit 3 answers after ")
    assert lines[1:3] == ["  firmware       v2.1.0", "  fits esp32-evse (18 points)"]
    assert "    + state reads B1: connected" in lines
    assert any(each.startswith("unit 6 answers after ") for each in lines)
    assert "  no profile fits; the nearest:" in lines


@pytest.mark.parametrize("kind", ["serial", "tcp"])
def test_the_snippet_is_taken_by_edged(edged, line, server, tmp_path, kind):
    tcp = ("scan", "--tcp", f"127.0.0.1:{server.port}", "--from", 2, "--to", 2)
    status, out, _ = edged(*(scan(line) if kind == "serial" else tcp))
    assert status == 0
    snippet = out.partition("for edged.yaml:\n")[2]
    name = "unit-3" if kind == "serial" else "unit-2"
    path = tmp_path / "found.yaml"
    path.write_text(snippet + STATION.format(charger=name))
    charger = load_site(path).chargers[name]
    assert (charger.profile, charger.unit_id) == ("esp32-evse", int(name[-1]))


def test_json_has_the_documented_members_and_nothing_else(edged, line):
    status, out, _ = edged(*scan(line, "--json"))
    document = json.loads(out)
    assert status == 0
    assert set(document) == MEMBERS
    assert all(set(unit) == UNIT_MEMBERS for unit in document["units"])
    page = (Path(__file__).parents[2] / "docs" / "installer.md").read_text()
    assert [name for name in sorted(MEMBERS | UNIT_MEMBERS) if f"`{name}`" not in page] == []
    found = {unit["unit_id"]: unit for unit in document["units"]}
    assert found[3]["fits"][0]["profile"] == "esp32-evse"
    assert found[6]["first_refusal"] == "exception 2: illegal data address"


def test_a_bus_of_the_configuration_is_compared_with_it(edged, config):
    status, out, _ = edged("scan", "yard", "-c", config, "--to", 7)
    assert status == 0
    assert "unit 3 (left of the configuration) answers after " in out
    assert "configured, and not there: gone; ask each with edged probe NAME\n" in out
    assert "unit-3" not in out
    assert "  # unit 6: no profile fits; docs/profiles.md tells how to write one\n" in out


def test_the_line_settings_that_work_are_told(edged, line):
    words = ("scan", "--serial", line.port, "--baudrates", "9600,19200", "--parities", "none", "--to", 7)
    status, out, _ = edged(*words, "--profile", "esp32-evse")
    assert status == 0
    assert out.startswith(f"units answer at {line.port} at 9600 baud, 8N1\n")


def test_a_line_where_nobody_answers_is_a_sentence_and_a_list_in_order(edged, line):
    line.units.registers = {}
    status, out, err = edged(*scan(line))
    assert (status, out) == (1, "")
    lines = err.splitlines()[2:]
    assert lines[:2] == [f"edged: nobody answered on {line.port}: not a single byte came back", "check, in this order:"]
    assert lines[2].startswith("  1. power")


def test_a_line_where_nobody_answers_is_json_where_json_is_asked_for(edged, line):
    line.units.registers = {}
    line.units.twist = lambda number, frame, normal: [(0.0, b"\xf8\0\xf8")]
    status, out, err = edged(*scan(line, "--json"))
    document = json.loads(out)
    assert (status, err, document["ok"]) == (1, "", False)
    assert document["seen"] == f"{document['noise_bytes']} bytes came that are no Modbus"
    assert document["checks"][0].startswith("speed")


def test_a_port_that_is_not_there_is_one_sentence_after_the_announcement(edged):
    status, _, err = edged("scan", "--serial", "/dev/none", "--to", 3)
    assert status == 1
    assert err.splitlines()[-1].startswith("edged: there is no /dev/none: plug the adapter in, or write one that there")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("yard", "--tcp", "10.0.0.1"),
        ("--tcp", "10.0.0.1", "--baudrates", "9600"),
        ("--serial", "/dev/none", "--baudrates", "9600,fast"),
        ("--serial", "/dev/none", "--parities", "none,some"),
        ("--tcp", "10.0.0.1", "--from", "9", "--to", "3"),
        ("--tcp", "10.0.0.1", "--to", "300"),
    ],
)
def test_wrong_usage_is_status_2(edged, words):
    status, out, err = edged("scan", *words)
    assert (status, out) == (2, "")
    assert "Traceback" not in err


def test_a_strange_bus_is_answered_with_those_that_there_are(edged, config):
    status, _, err = edged("scan", "hall", "-c", config)
    assert (status, err) == (1, f"edged: there is no bus hall in {config}: it has yard\n")


def test_a_profile_that_cannot_be_read_is_left_out_and_told(edged, line, tmp_path):
    (tmp_path / "profiles.d").mkdir()
    (tmp_path / "profiles.d" / "mine.yaml").write_text("profile: mine\n")
    status, out, err = edged(*scan(line, "-c", tmp_path / "edged.yaml"))
    assert status == 0
    assert "esp32-evse" in out
    assert "this profile is left out" in err


def listens_to_ctrl_c() -> None:
    """Whoever runs the tests in the background of a shell hands down that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_it_with_what_was_found(line, tmp_path):
    words = [str(word) for word in (*scan(line)[:-1], 247, "--control", tmp_path / "none.sock")]
    with subprocess.Popen(
        [sys.executable, "-m", "edged", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listens_to_ctrl_c,
    ) as process:
        give_up_at = monotonic() + 20
        while not any(frame[0] == 5 for frame in list(line.units.requests)) and monotonic() < give_up_at:
            sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.startswith("unit 3 answers after ")
    assert err.splitlines()[-1] == "edged: stopped before everything was asked"


def test_another_master_is_told_of_where_units_answer(edged, line, slaves, monkeypatch):
    monkeypatch.setattr("edged.chargers.scan.LISTEN_S", 0.3)
    slaves.run(chatter(line))
    status, out, _ = edged(*scan(line))
    assert status == 0
    assert "another master asks on this line (unit 77): take it off, or both will read wrong values\n" in out


def test_a_bar_shows_how_far_it_is_and_how_long_it_takes():
    shown: list[str] = []

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            shown.append(text.removeprefix("\r\x1b[K"))
            return len(text)

    times = iter((0.0, 1.0, 10.0))
    progress = ProgressBar(Terminal(), now=lambda: next(times))
    progress.show(1, 100, "asking unit 1")
    progress.show(25, 100, "asking unit 25\x1b[2J")
    progress.clear()
    assert [each for each in shown if each] == [
        "[....................]   1 % asking unit 1",
        "[#####...............]  25 % asking unit 25\\x1b[2J, 30 s left",
    ]


def test_nothing_is_shown_where_nobody_watches():
    stream = io.StringIO()
    progress = ProgressBar(stream)
    progress.show(1, 2, "asking")
    progress.clear()
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("done", "total", "share"), [(0, 0, "  0 %"), (5, 4, "100 %"), (-1, 4, "  0 %"), (1, 3, " 33 %")]
)
def test_a_bar_never_leaves_its_bounds(done, total, share):
    text = bar(done, total, "")
    assert share in text
    assert len(text.partition("]")[0]) == 21
