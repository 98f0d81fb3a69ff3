"""`edged probe` and `edged scan` of an OpenEVSE on a real terminal and over a converter, and why one is silent."""

from __future__ import annotations

import json
import os
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edged.settings import SerialLine
from edged.settings.model import Parity
from edged.simulator.parts import Cable
from edged.simulator.pdu import rtu_frame
from edged.simulator.site import SimulatedCharger, SimulatedSite
from edged.simulator.wire import WireFaults
from edged.site import load_site
from tests.fakes.command_line import Edged
from tests.fakes.probing import LoopThread, loop_thread

SITE = """\
chargers:
  bay3: {{profile: {profile}, serial: {{port: {port}}}}}
stations:
  - id: DEPOT-7
    csms: {{url: "ws://127.0.0.1:9000"}}
    evses: [{{charger: bay3}}]
"""
SOCKET = ("detachable: false", "detachable: true"), ("lock: false", "lock: true")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody waits long for who is not there, and no daemon of this computer is asked."""
    for name in ("SERIAL_FIRST_S", "SERIAL_SHORTEST_S", "NETWORK_FIRST_S"):
        monkeypatch.setattr(f"edged.chargers.scan.{name}", 0.03)
    monkeypatch.setattr("edged.chargers.inquiry.LISTEN_S", 0.05)
    monkeypatch.setattr("edged.chargers.inquiry.LATE_WINDOW_S", 0.01)
    monkeypatch.setattr("edged.chargers.inquiry.LATE_LIMIT_S", 0.05)
    monkeypatch.setattr("edged.cli.rapi_probe.MODBUS_PATIENCE_S", 0.1)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))


@pytest.fixture
def silent_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.chargers.rapi.inquiry.SERIAL_TIMEOUT_S", 0.1)


@contextmanager
def simulated(listen: str, cable: Cable = Cable.TETHERED) -> Iterator[tuple[SimulatedSite, LoopThread]]:
    with loop_thread() as thread:
        site = SimulatedSite([SimulatedCharger(name="bay3", make="openevse-rapi", listen=listen, cable=cable)], seed=1)
        thread.run(site.start())
        try:
            yield site, thread
        finally:
            thread.run(site.stop())


@pytest.fixture
def port(tmp_path: Path) -> Path:
    return tmp_path / "bay3"


@pytest.fixture
def bay3(port: Path) -> Iterator[SimulatedSite]:
    with simulated(f"pty:{port}") as (site, _):
        yield site


@pytest.fixture
def config(tmp_path: Path, port: Path) -> Path:
    path = tmp_path / "edged.yaml"
    path.write_text(SITE.format(profile="openevse-rapi", port=port))
    return path


# --- probe ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("bay3")
def test_a_controller_of_the_configuration_tells_everything(edged: Edged, config: Path) -> None:
    status, out, err = edged("probe", "bay3", "-c", config)
    assert (status, err) == (0, "")
    for words in (
        "bay3: alone on ",
        "firmware       8.2.1",
        "it fits openevse-rapi",
        "state               $GS  01      1",
        "state not connected",
        "boot lock",
        "$GS       $OK 01 0 01 4000",
        "$G5: its firmware does not know that ($NK)",
        "state          available",
        "reset         yes  hard",
        "round trips: ",
        "questions: 12 asked, 1 refused, 0 not answered, 0 answers damaged",
    ):
        assert words in out, words


def test_probing_commands_nothing(edged: Edged, bay3: SimulatedSite, port: Path) -> None:
    before = bay3.units["bay3"].details()
    assert edged("probe", "--profile", "openevse-rapi", "--serial", port)[0] == 0
    assert bay3.units["bay3"].details() == before


def test_json_has_the_members_of_any_other_charger_and_the_replies(
    edged: Edged, bay3: SimulatedSite, port: Path
) -> None:
    bay3.units["bay3"].force("current_ma", -1, 1)
    status, out, _ = edged("probe", "--profile", "openevse-rapi", "--serial", port, "--json")
    told = json.loads(out)
    assert (status, told["ok"], told["unit_id"], told["point"]) == (0, True, None, 1)
    assert set(told) == {
        *("ok", "charger", "profile", "line", "unit_id", "point", "identity", "fit", "registers", "replies"),
        *("missing", "observed", "capabilities", "cannot", "abilities", "questions", "round_trip_ms"),
        *("points_present", "said_unasked", "ended", "other_masters_ask", "noise_bytes", "word_order"),
        "latency_timer_ms",
    }
    values = {each["name"]: each for each in told["registers"]}
    assert set(values["vflags"]) == {
        *("name", "table", "address", "raw", "value", "unit", "meaning", "round_trip_ms", "error")
    }
    assert (values["vflags"]["table"], values["vflags"]["address"], values["vflags"]["raw"]) == ("$GS", 3, "4000")
    assert (values["vflags"]["value"], values["vflags"]["meaning"]) == (0x4000, "boot lock")
    assert (values["current"]["value"], values["current"]["meaning"]) == (None, "no ammeter")
    assert values["temperature_1"]["value"] == 24.5
    assert told["missing"] == ["lock", "lock_mode"]
    assert told["observed"]["state"] == "available"
    replies = {each["question"]: each["reply"] for each in told["replies"]}
    assert (replies["$GV"], replies["$G5"]) == ("$OK 8.2.1 5.2.1", "$NK")
    assert told["identity"] == {"firmware": "8.2.1", "protocol": "5.2.1"}
    assert told["cannot"] == {}


def test_a_build_without_the_lock_of_its_profile_says_so(
    edged: Edged, tmp_path: Path, config: Path, port: Path
) -> None:
    from edged.chargers.library import PACKAGED_DIR

    text = (PACKAGED_DIR / "openevse-rapi.yaml").read_text().replace("profile: openevse-rapi", "profile: openevse-lock")
    for before, after in SOCKET:
        text = text.replace(f"\n{before}", f"\n{after}")
    folder = tmp_path / "profiles.d"
    folder.mkdir()
    (folder / "openevse-lock.yaml").write_text(text)
    config.write_text(SITE.format(profile="openevse-lock", port=port))
    with simulated(f"pty:{port}") as _:
        cannot = json.loads(edged("probe", "bay3", "-c", config, "--json")[1])["cannot"]
    assert cannot == dict.fromkeys(("unlock", "lock_sense"), "its firmware is built without a lock")
    with simulated(f"pty:{port}", Cable.SOCKET) as _:
        told = json.loads(edged("probe", "bay3", "-c", config, "--json")[1])
    assert (told["cannot"], told["observed"]["lock"], "unlock" in told["capabilities"]) == ({}, "unlocked", True)


def test_it_is_asked_over_a_converter_too(edged: Edged) -> None:
    with simulated("rtu-tcp:127.0.0.1:0") as (site, _):
        status, out, _ = edged("probe", "--profile", "openevse-rapi", "--rtu-over-tcp", site.endpoint("bay3"))
    assert status == 0
    assert "RAPI over TCP" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--tcp", "127.0.0.1"], "openevse-rapi has no network plug: write --serial"),
        (["--serial", "/nowhere", "--unit", "1"], "alone on its line and is one point"),
    ],
)
def test_where_it_cannot_be_is_one_sentence(edged: Edged, words: list[str], sentence: str) -> None:
    status, out, err = edged("probe", "--profile", "openevse-rapi", *words)
    assert (status, out) == (1, "")
    assert sentence in err


def test_damaged_answers_are_counted_and_asked_again(edged: Edged, bay3: SimulatedSite, port: Path) -> None:
    bay3.units["bay3"].wire = WireFaults(corrupt=0.2)
    told = json.loads(edged("probe", "--profile", "openevse-rapi", "--serial", port, "--json")[1])
    assert told["questions"]["asked"] > 12
    for each in told["registers"]:
        assert each["name"] != "firmware" or each["raw"] in (None, "8.2.1")


# --- silence ----------------------------------------------------------------------------------------------------------


class Peer:
    """The far end of a terminal that is no controller: it gives back whatever its table has."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.ours, self.theirs = os.openpty()
        tty.setraw(self.theirs)
        self.port = os.ttyname(self.theirs)
        self._answer = answer

    async def start(self) -> None:
        import asyncio

        asyncio.get_running_loop().add_reader(self.ours, self._readable)

    def _readable(self) -> None:
        os.write(self.ours, self._answer(os.read(self.ours, 1024)))

    async def stop(self) -> None:
        import asyncio

        asyncio.get_running_loop().remove_reader(self.ours)
        os.close(self.ours)
        os.close(self.theirs)


@contextmanager
def peer(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    with loop_thread() as thread:
        end = Peer(answer)
        thread.run(end.start())
        try:
            yield end.port
        finally:
            thread.run(end.stop())


@pytest.mark.usefixtures("silent_soon")
@pytest.mark.parametrize(
    ("answer", "seen", "first"),
    [
        (lambda data: b"", "not a single byte came back", "power:"),
        (lambda data: data, "only our own question came back", "wires: TX and RX of the adapter touch"),
        (lambda data: b"\xf3\x81\x7f\xe0", "bytes came that are no RAPI", "speed: RAPI runs at 115200 baud, 8N1"),
        (lambda data: b"$OK 01^00\r", "frames came with a wrong checksum", "a second master"),
        (lambda data: b"$GE :07\r", "somebody else asks $GE", "a second master: the WiFi module"),
        (lambda data: b"$AT 01 01 32 0000^1F\r", "it said $AT 01 01 32 0000 by itself", "wires: TX"),
    ],
)
def test_a_silent_line_is_told_with_what_was_seen_and_what_to_check(
    edged: Edged, answer: Callable[[bytes], bytes], seen: str, first: str
) -> None:
    from edged.chargers.rapi.frames import seal

    if seen.startswith("it said"):
        event = seal(("AT", "01", "01", "32", "0000"))
        answer = lambda data: event  # noqa: E731 - the checksum is made here
    with peer(answer) as port:
        status, out, err = edged("probe", "--profile", "openevse-rapi", "--serial", port)
        assert (status, out) == (1, "")
        assert seen in err
        assert f"1. {first}" in err
        told = json.loads(edged("probe", "--profile", "openevse-rapi", "--serial", port, "--json")[1])
    assert told["ok"] is False
    assert seen in told["seen"]
    assert told["checks"][0].startswith(first)


@pytest.mark.usefixtures("silent_soon")
def test_a_modbus_charger_in_its_place_is_recognised(edged: Edged) -> None:
    with peer(lambda data: rtu_frame(3, bytes.fromhex("03 02 0001")) if data[0] == 3 else b"") as port:
        status, _, err = edged("probe", "--profile", "openevse-rapi", "--serial", port)
    assert status == 1
    assert "Modbus unit 3 answers on this line" in err
    assert "edged scan names its profile" in err


# --- scan -------------------------------------------------------------------------------------------------------------


def test_a_scan_that_finds_nobody_in_modbus_finds_the_controller(
    edged: Edged, bay3: SimulatedSite, port: Path, tmp_path: Path
) -> None:
    status, out, err = edged("scan", "--serial", port, "--baudrates", "115200", "--parities", "none", "--to", "3")
    assert status == 0, err
    assert f"a controller answers to RAPI on {port} at 115200 baud, 8N1 after " in out
    assert "fits openevse-rapi" in out
    yaml = out.partition("for edged.yaml:\n")[2]
    path = tmp_path / "new.yaml"
    path.write_text(
        yaml + 'stations:\n  - id: A\n    csms: {url: "ws://127.0.0.1:9000"}\n    evses: [{charger: controller}]\n'
    )
    (charger,) = load_site(path).chargers.values()
    assert (charger.profile, charger.line) == (
        "openevse-rapi",
        SerialLine(port=str(port), baudrate=115_200, parity=Parity.NONE),
    )


def test_the_controller_in_json(edged: Edged, bay3: SimulatedSite, port: Path) -> None:
    words = ("scan", "--serial", port, "--baudrates", "115200", "--parities", "none", "--to", "2", "--json")
    told = json.loads(edged(*words)[1])
    assert (told["ok"], told["units"], told["seen"], told["checks"]) == (True, [], "", [])
    (found,) = told["controllers"]
    assert set(found) == {"line", "round_trip_ms", "configured_as", "identity", "fits"}
    assert (found["identity"]["protocol"], found["fits"][0]["profile"]) == ("5.2.1", "openevse-rapi")
    assert found["fits"][0]["evidence"][0]["text"] == "it answers $GV: firmware 8.2.1, RAPI 5.2.1"


@pytest.mark.parametrize("words", [["bay3", "-c", "CONFIG"], ["--profile", "openevse-rapi", "--serial", "PORT"]])
@pytest.mark.usefixtures("bay3")
def test_where_a_controller_is_expected_it_is_asked_first(
    edged: Edged, words: list[str], config: Path, port: Path
) -> None:
    placed = [str({"CONFIG": config, "PORT": port}.get(word, word)) for word in words]
    told = json.loads(edged("scan", *placed, "--json")[1])
    assert (told["asked"], len(told["controllers"])) == (0, 1)
    assert told["controllers"][0]["configured_as"] == ("bay3" if words[0] == "bay3" else None)


@pytest.mark.usefixtures("silent_soon")
def test_nobody_at_all_was_asked_in_both_languages(edged: Edged) -> None:
    with peer(lambda data: b"") as port:
        words = ("scan", "--serial", port, "--baudrates", "115200", "--parities", "none", "--to", "2")
        status, _, err = edged(*words)
    assert status == 1
    assert "neither in Modbus nor to RAPI" in err


def test_a_speed_that_is_left_out_is_not_tried(edged: Edged, bay3: SimulatedSite, port: Path) -> None:
    words = ("scan", "--serial", port, "--baudrates", "9600", "--parities", "none", "--to", "2")
    assert edged(*words)[0] == 1
    assert bay3.units["bay3"].requests == 0
