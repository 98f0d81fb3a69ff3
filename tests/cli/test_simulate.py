"""`edged simulate` as a process, and what of a configuration it simulates."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.chargers.library import PACKAGED_DIR
from edged.cli.simulate import listen_at, simulated
from edged.settings import RtuOverTcpLine, SerialLine, TcpLine
from edged.simulator.makes.openevse import OpenEvse
from edged.simulator.parts import Cable
from edged.simulator.site import SimulatedSite
from edged.site import load_site

SITE = """\
buses:
  hall: {{rtu_over_tcp: "127.0.0.1:4001"}}
chargers:
  left: {{profile: heidelberg-energy-control, serial: {{port: {tty}}}}}
  far: {{profile: heidelberg-energy-control, bus: hall, unit_id: 4}}
  one: {{profile: phoenix-charx-sec, tcp: "127.0.0.1:5020"}}
  three: {{profile: phoenix-charx-sec, tcp: "127.0.0.1:5020", point: 3}}
stations:
  - id: A
    csms: {{url: "ws://127.0.0.1"}}
    evses: [{{charger: left}}, {{charger: far}}, {{charger: one}}, {{charger: three}}]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "edged.yaml"
    path.write_text(SITE.format(tty=tmp_path / "ttyA"))
    return path


def test_chargers_behind_one_unit_id_are_one_device_with_its_points(site, tmp_path):
    settings = load_site(site)
    found = {charger.name: charger for charger in simulated(settings, list(settings.chargers))}
    assert list(found) == ["left", "far", "one"]
    assert found["one"].points == 3
    assert (found["left"].listen, found["left"].baudrate) == (f"pty:{tmp_path / 'ttyA'}", 19200)
    assert (found["far"].listen, found["far"].unit_id) == ("rtu-tcp:127.0.0.1:4001", 4)


def test_a_relay_board_cuts_the_devices_whose_chargers_name_it(site, tmp_path):
    more = (
        '  three: {profile: phoenix-charx-sec, tcp: "127.0.0.1:5020", point: 3, reset_relay: {charger: k, output: 7}}'
    )
    board = '  k: {profile: modbus-relay, tcp: "127.0.0.1:5021"}'
    lines = [f"{board}\n{more}" if line.startswith("  three") else line for line in site.read_text().splitlines()]
    site.write_text("\n".join(lines))
    settings = load_site(site)
    found = {charger.name: charger for charger in simulated(settings, list(settings.chargers))}
    assert (found["k"].make, found["k"].cuts) == ("modbus-relay", {7: "one"})
    assert found["one"].cuts == {}
    (alone,) = simulated(settings, ["k"])
    assert alone.cuts == {}


def test_a_controller_without_an_address_is_simulated_as_its_profile_has_it(site, tmp_path):
    shipped = (PACKAGED_DIR / "openevse-rapi.yaml").read_text()
    folder = tmp_path / "profiles.d"
    folder.mkdir()
    for before, after in (
        ("profile: openevse-rapi", "profile: bay-with-lock"),
        ("\ndetachable: false", "\ndetachable: true"),
        ("\nlock: false", "\nlock: true"),
    ):
        assert before in shipped
        shipped = shipped.replace(before, after)
    (folder / "bay-with-lock.yaml").write_text(shipped)
    more = f"""\
  bay3: {{profile: openevse-rapi, serial: {{port: {tmp_path / "ttyB"}}}}}
  bay4: {{profile: bay-with-lock, serial: {{port: {tmp_path / "ttyC"}}}}}
stations:
"""
    site.write_text(site.read_text().replace("stations:\n", more))
    settings = load_site(site)
    found = {charger.name: charger for charger in simulated(settings, ["bay3", "bay4"])}
    assert {name: (each.make, each.cable, each.unit_id, each.listen) for name, each in found.items()} == {
        "bay3": ("openevse-rapi", Cable.TETHERED, None, f"pty:{tmp_path / 'ttyB'}"),
        "bay4": ("openevse-rapi", Cable.SOCKET, None, f"pty:{tmp_path / 'ttyC'}"),
    }
    assert isinstance(SimulatedSite(list(found.values())).units["bay3"], OpenEvse)


def test_each_line_is_listened_on_where_the_daemon_looks():
    assert listen_at(SerialLine(port="/tmp/tty")) == "pty:/tmp/tty"
    assert listen_at(TcpLine(host="::1", port=502)) == "tcp:[::1]:502"
    assert listen_at(RtuOverTcpLine(host="h", port=1)) == "rtu-tcp:h:1"


Started = tuple[subprocess.Popen[str], dict[str, object]]


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Started]:
    words = ["simulate", "--profile", "keba-p30", "--listen", "tcp:127.0.0.1:0", "--unit", "7", "--unit", "8"]
    command = [sys.executable, "-m", "edged", *words, "--control", str(tmp_path / "s"), "--seed", "5", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
        process.kill()


def test_it_tells_where_its_chargers_are_and_obeys_its_control_socket(simulator, tmp_path):
    _, told = simulator
    assert told["seed"] == 5
    assert set(told["chargers"]) == {"keba-p30-7", "keba-p30-8"}
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(5)
        control.connect(str(tmp_path / "s"))
        control.sendall(b'{"id": "1", "command": "plug_in", "args": {"charger": "keba-p30-7"}}\n')
        reply = json.loads(control.makefile().readline())
    assert reply["ok"] is True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(simulator, tmp_path, number):
    process, _ = simulator
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["--profile", "keba-p30"], 2, "with --profile write --listen"),
        (["--profile", "openevse-rapi", "--listen", "pty:/nowhere/x", "--unit", "1"], 1, "it has no unit id"),
        (["--profile", "openevse-rapi", "--listen", "pty:/nowhere/x", "--unit", "1", "--unit", "2"], 1, "no unit id"),
        (["-c", "SITE", "--unit", "1"], 2, "leave --listen, --unit and --cable out"),
        (["-c", "SITE", "middle"], 1, "there is no charger middle in"),
        (["--profile", "nope", "--listen", "tcp:127.0.0.1:0"], 1, "there is no simulated nope"),
        (["--profile", "keba-p30", "--listen", "udp:x"], 1, "cannot listen on"),
        (["--profile", "keba-p30", "--listen", "tcp:127.0.0.1:0", "--speed", "0"], 1, "speed must be above 0"),
    ],
)
def test_what_cannot_be_simulated_is_said_in_a_sentence(site, words, status, sentence):
    command = [sys.executable, "-m", "edged", "simulate", *(str(site) if word == "SITE" else word for word in words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == status
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
