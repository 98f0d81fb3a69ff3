"""`edged probe`: what an installer reads, what a script reads, and every way in which it does not work."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest
import serial

from edged.local.client import ControlUnreachable
from edged.simulator.site import SimulatedCharger, SimulatedSite
from tests.chargers.conftest import PtySlave, TcpSlave, Units
from tests.fakes.probing import ESP32, LoopThread, cells, chatter, loop_thread

SITE = """\
buses:
  yard: {{serial: {port}, baudrate: 9600, parity: none}}
chargers:
  left: {{profile: esp32-evse, bus: yard, unit_id: 3}}
stations:
  - id: DEPOT-7
    csms: {{url: "ws://127.0.0.1:9000"}}
    evses: [{{charger: left}}]
"""
MEMBERS = {
    "ok",
    "charger",
    "profile",
    "line",
    "unit_id",
    "point",
    "identity",
    "fit",
    "registers",
    "missing",
    "observed",
    "capabilities",
    "cannot",
    "abilities",
    "questions",
    "round_trip_ms",
    "points_present",
    "ended",
    "other_masters_ask",
    "noise_bytes",
    "word_order",
    "latency_timer_ms",
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody waits long for who is not there, and no daemon of this computer is asked."""
    for name in ("probe.SERIAL_TIMEOUT_S", "probe.NETWORK_TIMEOUT_S"):
        monkeypatch.setattr(f"edged.chargers.{name}", 0.1)
    for name in ("silence.SERIAL_LOOK_S", "silence.NETWORK_LOOK_S"):
        monkeypatch.setattr(f"edged.chargers.{name}", 0.02)
    monkeypatch.setattr("edged.chargers.inquiry.LATE_LIMIT_S", 0.05)
    monkeypatch.setattr("edged.chargers.inquiry.LATE_WINDOW_S", 0.01)
    monkeypatch.setattr("edged.chargers.inquiry.LISTEN_S", 0.02)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))


@pytest.fixture
def slaves() -> Iterator[LoopThread]:
    with loop_thread() as thread:
        yield thread


@pytest.fixture
def box(slaves: LoopThread) -> Iterator[PtySlave]:
    """An esp32-evse as unit 3 of a serial line."""

    async def start() -> PtySlave:
        return PtySlave(Units(registers={3: cells("esp32-evse", ESP32)}))

    async def stop() -> None:
        slave.close()

    slave = slaves.run(start())
    yield slave
    slaves.run(stop())


@pytest.fixture
def config(tmp_path: Path, box: PtySlave) -> Path:
    path = tmp_path / "edged.yaml"
    path.write_text(SITE.format(port=box.port))
    return path


def given(box: PtySlave, *, unit: int = 3, profile: str = "esp32-evse") -> tuple[object, ...]:
    return "probe", "--profile", profile, "--serial", box.port, "--unit", unit


def test_a_charger_of_the_configuration_is_told_whole(edged, config, box):
    status, out, err = edged("probe", "left", "-c", config)
    assert (status, err) == (0, "")
    assert out.startswith(f"left: unit 3 on {box.port} at 9600 baud, 8N1\n  firmware       v2.1.0\nit fits esp32-evse")
    lines = out.splitlines()
    assert any(line.split() == ["state", "H100", "4231", "B1"] + line.split()[4:] for line in lines)
    for told in (
        "  state          connected",
        "  plugged        yes",
        "  limit          16 A",
        "  detachable: its profile can, this charger cannot: its cable is fixed (socket_outlet reads 0)",
    ):
        assert told in lines
    assert any(line.startswith("  reset         yes  hard") for line in lines)
    assert lines[-1].endswith("0 refused, 0 not answered, 0 answers damaged")


def test_without_a_configuration_a_profile_and_a_line_are_enough(edged, box):
    status, out, _ = edged(*given(box))
    assert status == 0
    assert out.startswith(f"the charger: unit 3 on {box.port} at ")


def test_json_has_the_documented_members_and_nothing_else(edged, config):
    status, out, err = edged("probe", "left", "-c", config, "--json")
    document = json.loads(out)
    assert (status, err) == (0, "")
    assert set(document) == MEMBERS
    page = (Path(__file__).parents[2] / "docs" / "installer.md").read_text()
    assert [name for name in sorted(MEMBERS) if f"`{name}`" not in page] == []
    assert document["ok"] is True
    assert document["fit"]["verdict"] == "fits"
    assert document["observed"]["state"] == "connected"
    state = next(each for each in document["registers"] if each["name"] == "state")
    assert {**state, "round_trip_ms": 1} == {
        "name": "state",
        "table": "H",
        "address": 100,
        "raw": [0x4231],
        "value": "B1",
        "unit": "",
        "meaning": "state connected",
        "round_trip_ms": 1,
        "error": "",
    }


def test_simulated_chargers_fit_their_profiles_on_every_kind_of_line(edged, slaves, tmp_path):
    chargers = [
        SimulatedCharger(name="heidelberg", make="heidelberg-energy-control", listen=f"pty:{tmp_path}/tty", unit_id=5),
        SimulatedCharger(name="far", make="heidelberg-energy-control", listen="rtu-tcp:127.0.0.1:0"),
        SimulatedCharger(name="charx", make="phoenix-charx-sec", listen="tcp:127.0.0.1:0", points=2),
        SimulatedCharger(name="keba", make="keba-p30", listen="tcp:127.0.0.1:0"),
    ]
    site = SimulatedSite(chargers, seed=1)
    slaves.run(site.start())
    try:
        heidelberg = ("probe", "--json", "--profile", "heidelberg-energy-control")
        lines = (
            (*heidelberg, "--serial", site.endpoint("heidelberg"), "--unit", 5),
            (*heidelberg, "--rtu-over-tcp", site.endpoint("far")),
            ("probe", "--json", "--profile", "phoenix-charx-sec", "--tcp", site.endpoint("charx"), "--point", 2),
            ("probe", "--json", "--profile", "keba-p30", "--tcp", site.endpoint("keba")),
        )
        told = [edged(*words) for words in lines]
    finally:
        slaves.run(site.stop())
    assert [(status, json.loads(out)["fit"]["verdict"]) for status, out, _ in told] == [(0, "fits")] * 4
    assert json.loads(told[2][1])["points_present"] == 2


def test_another_make_is_a_failure_that_says_what_to_do(edged, box):
    status, out, err = edged(*given(box, profile="evse-din"))
    assert status == 1
    assert "it does not fit evse-din" in out
    assert err == "edged: what answers there is no evse-din: edged scan names the profiles that fit\n"


def test_a_silent_charger_is_a_sentence_and_a_list_in_order(edged, config, box):
    box.units.registers = {}
    status, out, err = edged("probe", "left", "-c", config)
    assert (status, out) == (1, "")
    lines = err.splitlines()
    assert lines[0] == (
        f"edged: left does not answer as unit 3 on {box.port} at 9600 baud, 8N1: not a single byte came back"
    )
    assert lines[1] == "check, in this order:"
    assert lines[2].startswith("  1. power: ")


def test_a_silent_charger_as_json_names_what_was_seen(edged, box):
    status, out, err = edged(*given(box, unit=4), "--json")
    document = json.loads(out)
    assert (status, err, document["ok"]) == (1, "", False)
    assert (document["clue"], document["other_units"]) == ("another unit answers", [3])
    assert document["checks"][0].startswith("unit id: unit 3 answered and 4 did not")


def test_a_port_that_somebody_else_holds_is_told(edged, box):
    with serial.Serial(box.port, 9600, exclusive=True):
        status, _, err = edged(*given(box))
    assert status == 1
    # whoever holds it is this very process, and nobody else is to be found
    assert err.startswith(f"edged: {box.port} is held by another program, which sudo fuser -v {box.port} names: end it")


@contextmanager
def daemon(slaves: LoopThread, path: Path, buses: dict[str, object] | None) -> Iterator[None]:
    """A daemon's control socket, as far as it says which lines it holds; None: it is there and says nothing."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if buses is not None:
            writer.write(json.dumps({"id": None, "ok": True, "result": {"buses": buses}}).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def start() -> asyncio.Server:
        return await asyncio.start_unix_server(answer, path)

    server = slaves.run(start())
    try:
        yield
    finally:
        slaves.run(stop_server(server))


def test_a_charger_that_the_daemon_serves_is_left_to_it(edged, config, box, slaves, tmp_path):
    with daemon(slaves, tmp_path / "control.sock", {box.port: {}}):
        told = [edged("probe", "left", "-c", config), edged("scan", "yard", "-c", config)]
    for status, out, err in told:
        assert (status, out) == (1, "")
        assert err == (
            f"edged: edged is running and holds {box.port}: sudo edged status shows what is on it; to ask it yourself "
            "stop it first (sudo systemctl stop edged)\n"
        )
    assert box.units.requests == []


@pytest.mark.parametrize("name", ["a link that is followed", "a link that has moved since", "what it was opened as"])
def test_a_line_that_the_daemon_holds_under_another_name_is_left_to_it(edged, box, slaves, tmp_path, name):
    link = tmp_path / "usb-FTDI_A10K"
    link.symlink_to(box.port if name.endswith("followed") else "/dev/null")
    served = {str(link): {"device": "" if name.endswith("followed") else box.port}}
    if name.startswith("what"):
        served = {"/dev/none": {"device": box.port}}
    with daemon(slaves, tmp_path / "control.sock", served):
        told = [edged(*given(box)), edged("scan", "--serial", box.port, "--to", 3)]
    for status, _, err in told:
        assert status == 1
        assert err.startswith(f"edged: edged is running and holds {box.port} (as {next(iter(served))}): ")
    assert box.units.requests == []


@pytest.mark.parametrize("held", ["tcp:127.0.0.1:{}", "rtu_over_tcp:127.0.0.1:{}", "tcp:localhost:{}"])
def test_an_endpoint_that_the_daemon_holds_is_left_to_it_whatever_it_is_called(edged, slaves, tmp_path, held):
    slave = slaves.run(served_esp32())
    try:
        with daemon(slaves, tmp_path / "control.sock", {held.format(slave.port): {}, "tcp:127.0.0.1:1": {}}):
            told = [
                edged("probe", "--profile", "esp32-evse", "--tcp", f"127.0.0.1:{slave.port}"),
                edged("scan", "--tcp", f"127.0.0.1:{slave.port}"),
                edged("scan", "--rtu-over-tcp", f"127.0.0.1:{slave.port}"),
            ]
    finally:
        slaves.run(slave.stop())
    assert [status for status, _, _ in told] == [1, 1, 1]
    assert all(" is running and holds " in err for _, _, err in told)
    assert slave.accepted == 0


def test_another_line_than_those_that_the_daemon_holds_is_asked(edged, box, slaves, tmp_path):
    with daemon(slaves, tmp_path / "control.sock", {"/dev/none": {}, "tcp:10.0.0.9:502": {}}):
        assert edged(*given(box))[0] == 0


async def served_esp32() -> TcpSlave:
    slave = TcpSlave(Units(registers={1: cells("esp32-evse", ESP32)}))
    await slave.start()
    return slave


def test_a_daemon_that_does_not_say_which_lines_it_holds_is_not_disturbed(edged, box, slaves, tmp_path):
    with daemon(slaves, tmp_path / "control.sock", None):
        status, _, err = edged(*given(box))
    assert status == 1
    assert err.startswith("edged: edged is running and may hold the line: edged hung up without an answer")
    assert box.units.requests == []


def test_a_daemon_that_we_may_not_ask_is_not_disturbed(edged, box, monkeypatch):
    def forbid(path, **options):
        raise ControlUnreachable(f"not allowed to talk to {path}: use sudo, or join the group edged") from denied

    denied = PermissionError(13, "Permission denied")
    monkeypatch.setattr("edged.cli.asking.ControlClient", forbid)
    status, _, err = edged(*given(box))
    assert status == 1
    assert "and may not be asked: not allowed to talk to" in err
    assert box.units.requests == []


async def stop_server(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (("--serial", "/dev/none"), "there is no /dev/none: plug the adapter in, or write one that there is ("),
        (("--serial", "/dev/null"), "/dev/null is no serial port: write the name of one ("),
        (("--tcp", "127.0.0.1:1"), "127.0.0.1:1 refuses connections: is Modbus TCP on in its settings, is the port"),
        (("--rtu-over-tcp", "10.0.0.1"), "a converter has no usual port: write --rtu-over-tcp 10.0.0.1:PORT"),
    ],
)
def test_a_line_that_is_not_there_is_one_sentence(edged, line, sentence):
    status, out, err = edged("probe", "--profile", "esp32-evse", *line)
    assert (status, out) == (1, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_a_line_that_is_not_there_is_json_where_json_is_asked_for(edged):
    status, out, err = edged("probe", "--json", "--profile", "esp32-evse", "--serial", "/dev/none")
    assert (status, err) == (1, "")
    assert json.loads(out)["error"].startswith("there is no /dev/none")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("left", "--unit", "3"),
        ("left", "--profile", "keba-p30"),
        ("--profile", "keba-p30"),
        ("--tcp", "10.0.0.1"),
        ("--profile", "keba-p30", "--tcp", "10.0.0.1:0"),
        ("--profile", "keba-p30", "--tcp", "a b"),
        ("--profile", "keba-p30", "--tcp", "10.0.0.1", "--serial", "/dev/ttyUSB0"),
        ("--profile", "keba-p30", "--tcp", "10.0.0.1", "--unit", "256"),
    ],
)
def test_wrong_usage_is_status_2(edged, words):
    status, out, err = edged("probe", *words)
    assert (status, out) == (2, "")
    assert "Traceback" not in err


def test_a_strange_name_is_answered_with_those_that_there_are(edged, config):
    _, _, err = edged("probe", "right", "-c", config)
    assert err == f"edged: there is no charger right in {config}: it has left\n"
    status, _, err = edged("probe", "--profile", "kebba", "--tcp", "10.0.0.1")
    assert status == 1
    assert err.startswith("edged: there is no profile kebba: there are abb-terra-ac, ")


def test_a_profile_that_cannot_be_on_such_a_line_is_refused(edged, box):
    status, _, err = edged(*given(box, profile="keba-p30"))
    assert (status, err) == (1, "edged: keba-p30 speaks tcp, not rtu: name another line, unit or profile\n")


def test_a_wrong_configuration_is_status_78(edged, tmp_path):
    (tmp_path / "edged.yaml").write_text("chargers: {}\n")
    assert edged("probe", "left", "-c", tmp_path / "edged.yaml")[0] == 78


def test_what_a_charger_says_is_shown_as_printable_text(edged, slaves):
    async def start() -> TcpSlave:
        slave = TcpSlave(Units(registers={1: cells("esp32-evse", {**ESP32, "firmware": "v\x1b[2J1"})}))
        await slave.start()
        return slave

    slave = slaves.run(start())
    try:
        _, out, _ = edged("probe", "--profile", "esp32-evse", "--tcp", f"127.0.0.1:{slave.port}")
    finally:
        slaves.run(slave.stop())
    assert "\x1b" not in out


# --- what looks wrong -------------------------------------------------------------------------------------------------


def test_what_looks_wrong_is_told_though_it_answers(edged, box, slaves, monkeypatch):
    monkeypatch.setattr("edged.chargers.inquiry.LISTEN_S", 0.3)
    registers = box.units.registers[3]
    registers[207], registers[208] = registers[208], registers[207]
    box.units.twist = lambda number, frame, normal: [(0.0, b"\xf8\xf8" + normal)] if number == 5 else None
    slaves.run(chatter(box))
    status, out, _ = edged(*given(box))
    assert status == 0
    wrong = out.partition("what looks wrong\n")[2].splitlines()
    assert wrong == [
        "  another master asks on this line (unit 77): take it off, or both will read wrong values",
        "  2 bytes came that are no Modbus: look at speed, parity, wires, termination and unit ids",
        "  voltage_l1 reads 2.28668e+06 V, and 231.5 V with its words in the other order: it is another model or "
        "firmware, or its profile is wrong",
    ]


def test_what_looks_wrong_is_json_where_json_is_asked_for(edged, box):
    registers = box.units.registers[3]
    registers[207], registers[208] = registers[208], registers[207]
    document = json.loads(edged(*given(box), "--json")[1])
    assert document["word_order"] == [{"name": "voltage_l1", "unit": "V", "value": 2286682.115, "other": 231.5}]
    assert (document["other_masters_ask"], document["noise_bytes"], document["latency_timer_ms"]) == ([], 0, None)


def test_a_charger_that_answers_at_another_speed_is_told_with_what_to_write(edged, config, box):
    def hear_at_its_speed(number, frame, normal):
        return None if termios.tcgetattr(box._slave)[4] == termios.B19200 else []

    box.units.twist = hear_at_its_speed
    status, _, err = edged("probe", "left", "-c", config)
    assert status == 1
    lines = err.splitlines()
    assert lines[0].endswith(": it answers at 19200 baud, 8N1")
    assert lines[2].startswith("  1. speed and parity: write baudrate: 19200, parity: none, stopbits: 1 for this line")
    document = json.loads(edged("probe", "left", "-c", config, "--json")[1])
    assert document["answers_at"] == f"{box.port} at 19200 baud, 8N1"
    assert document["clue"] == "it answers at another speed or parity"


def listens_to_ctrl_c() -> None:
    """Whoever runs the tests in the background of a shell hands down that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("answers", [True, False])
def test_ctrl_c_ends_it_with_what_was_read(box, tmp_path, answers):
    """The charger falls silent at the tenth question, or was never there; whoever waits for it presses Ctrl-C."""
    box.units.twist = lambda number, frame, normal: [] if number > 9 or not answers else None
    words = [str(word) for word in (*given(box), "--control", tmp_path / "none.sock")]
    with subprocess.Popen(
        [sys.executable, "-m", "edged", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listens_to_ctrl_c,
    ) as process:
        enough = 10 if answers else 1
        give_up_at = monotonic() + 30
        while len(box.units.requests) < enough and monotonic() < give_up_at:
            sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    if answers:
        assert any(line.split()[:4] == ["state", "H100", "4231", "B1"] for line in out.splitlines())
        assert "was not read" in out
        assert err == "edged: stopped before everything was read\n"
        assert process.returncode == 0
    else:
        assert (out, err) == ("", "edged: stopped before the charger had answered\n")
        assert process.returncode == 1
