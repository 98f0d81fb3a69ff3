"""`edged mqtt watch` and `edged mqtt purge` on Debian's broker."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from edged.cli import main as cli
from edged.mqtt import visiting
from tests.fakes import mqtt_contract
from tests.fakes.pki import Authority
from tests.mqtt.conftest import Broker

TREE = "edged/v1/gw1"
STATE = {
    f"{TREE}/status": "offline",
    f"{TREE}/info": '{"v":1,"ts":"2026-08-22T10:00:00.000Z","version":"9.9.9"}',
    f"{TREE}/station/cs1/connector/1/meter": (
        '{"v":1,"ts":"2026-08-22T10:00:01.000Z","quality":"good","power_w":11040,"energy_wh":123456,'
        '"current_a":{"l1":16.0,"l2":16.0,"l3":null},"temperature_c":null,"source":"modbus"}'
    ),
    f"{TREE}/station/cs1/connector/10/link": "online",
    f"{TREE}/station/cs1/connector/2/link": "offline",
    f"{TREE}/rpc/bms/request/reset": '{"left":"behind"}',
    f"{TREE}/of/an/older/release": "1",
    "homeassistant/device/edged-gw1/cs1-1/config": "{}",
}
OTHERS = {
    "edged/v1/gw10/status": "online",
    "edged/v1/gw/status": "online",
    "other/v1/gw1/status": "online",
    "homeassistant/device/edged-gw10/cs1-1/config": "{}",
    "homeassistant/device/edged-gw1-x/cs1-1/config": "{}",
    "homeassistant/sensor/edged-gw1/config": "{}",
    "homeassistant/status": "online",
}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    running = Broker(tmp_path)
    running.start()
    yield running
    running.kill()
    mqtt_contract.WITNESS.taken()  # what is purged may be from before the contract


@pytest.fixture(autouse=True)
def _a_quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visiting, "QUIET_S", 0.3)


def speak(broker: Broker, topics: dict[str, str], *, retain: bool = True) -> None:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for topic, payload in topics.items():
        client.publish(topic, payload, 1, retain).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def retained(broker: Broker) -> dict[str, str]:
    words = ["mosquitto_sub", "-p", str(broker.port), "-t", "#", "--retained-only", "-W", "1", "-F", "%t %p"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def where(broker: Broker, gateway: str = "gw1") -> list[str]:
    return ["--url", f"mqtt://127.0.0.1:{broker.port}", "--gateway", gateway]


# --- purge


def test_purge_deletes_what_is_this_gateways_and_nothing_else(broker: Broker, capsys: Any) -> None:
    speak(broker, STATE | OTHERS)
    assert cli.main(["mqtt", "purge", "--yes", *where(broker)]) == 0
    assert retained(broker) == OTHERS
    assert f"deleted {len(STATE)} retained topics of {TREE}" in (said := capsys.readouterr().out)
    assert "1 of them for Home Assistant" in said


def test_purge_deletes_more_than_a_broker_tells_without_being_acknowledged(broker: Broker, capsys: Any) -> None:
    """Mosquitto has 20 under way at once."""
    speak(broker, {f"edged/v1/gw1/station/cs1/connector/{n}/status": "{}" for n in range(1, 101)})
    assert cli.main(["mqtt", "purge", "--yes", *where(broker)]) == 0
    assert retained(broker) == {}


def test_purge_says_how_much_there_was_as_json(broker: Broker, capsys: Any) -> None:
    speak(broker, STATE)
    assert cli.main(["mqtt", "purge", "--yes", "--json", *where(broker)]) == 0
    assert json.loads(capsys.readouterr().out) == {"deleted": len(STATE), "left": 0}
    assert cli.main(["mqtt", "purge", "--json", *where(broker)]) == 0
    assert json.loads(capsys.readouterr().out) == {"deleted": 0, "left": 0}


def test_purge_leaves_a_gateway_alone_that_is_online_unless_it_is_told_to(broker: Broker, capsys: Any) -> None:
    state = STATE | {f"{TREE}/status": "online"}
    speak(broker, state)
    assert cli.main(["mqtt", "purge", "--yes", *where(broker)]) == 1
    assert "edged is online" in capsys.readouterr().err
    assert retained(broker) == state
    assert cli.main(["mqtt", "purge", "--yes", "--force", *where(broker)]) == 0
    assert retained(broker) == {}


def test_purge_asks_and_takes_silence_for_no(broker: Broker, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    speak(broker, STATE)
    monkeypatch.setattr(sys, "stdin", Terminal("\nno\ny\n"))
    for status, left in ((1, len(STATE)), (1, len(STATE)), (0, 0)):
        assert cli.main(["mqtt", "purge", *where(broker)]) == status
        assert f"{len(STATE)} retained topics of {TREE}" in (asked := capsys.readouterr().out)
        assert "Delete them? [y/N]" in asked
        assert len(retained(broker)) == left


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def test_purge_without_anybody_to_ask_wants_a_yes(broker: Broker, capsys: Any) -> None:
    speak(broker, STATE)
    assert cli.main(["mqtt", "purge", *where(broker)]) == 2
    assert "--yes" in capsys.readouterr().err
    assert retained(broker) == STATE


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_purge_says_what_the_broker_does_not_let_it_delete(
    broker: Broker, tmp_path: Path, capsys: Any, version: str
) -> None:
    """In 3.1.1 a broker says yes and does nothing: only a second look finds out."""
    broker.stop()
    broker.start("allow_anonymous true", "persistence false")
    speak(broker, STATE)
    (tmp_path / "acl").write_text(f"topic read #\ntopic readwrite {TREE}/station/#\n")
    with (tmp_path / "mosquitto.conf").open("a") as file:
        file.write(f"acl_file {tmp_path}/acl\n")
    assert broker._process is not None
    broker._process.send_signal(signal.SIGHUP)
    speak(broker, {})  # it has turned once more
    config = site(tmp_path, f"mqtt://127.0.0.1:{broker.port}", protocol=version)
    assert cli.main(["mqtt", "purge", "--yes", "-c", str(config)]) == 1
    told = capsys.readouterr()
    assert "3 of 8 retained topics" in told.out
    assert "5 are still there" in told.err
    assert ("Not authorized" if version == "5" else "may not delete it") in told.err


def site(folder: Path, url: str, **mqtt: Any) -> Path:
    path = folder / "edged.yaml"
    document = {
        "gateway": {"id": "gw1"},
        "chargers": {"box": {"profile": "phoenix-charx-sec", "tcp": "127.0.0.1:5020", "unit_id": 1}},
        "stations": [
            {
                "id": "cs1",
                "vendor": "Example Energy",
                "model": "Depot 3",
                "csms": {"url": "ws://127.0.0.1:9/ocpp", "versions": ["ocpp1.6"]},
                "evses": [{"charger": "box"}],
            }
        ],
        "mqtt": {"url": url, **mqtt},
    }
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path


# --- watch


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "100", "LINES": "30"}


class Watching:
    """`edged mqtt watch` as a process with a pipe."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "edged", "mqtt", "watch", *words]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )

    def line(self, part: str) -> str:
        """The next line that holds this."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            if part in line:
                return line.rstrip("\n")
        raise AssertionError(f"it ended without {part!r}: {self.process.stderr and self.process.stderr.read()}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@pytest.fixture
def watch() -> Iterator[Callable[..., Watching]]:
    made: list[Watching] = []

    def begin(*words: str) -> Watching:
        made.append(Watching(*words))
        return made[-1]

    yield begin
    for each in made:
        each.process.kill()
        each.process.communicate(timeout=30)


def test_watch_writes_a_line_for_each_message_and_ends_clean(broker: Broker, watch: Callable[..., Watching]) -> None:
    speak(broker, STATE | OTHERS)
    watching = watch(*where(broker))
    lines = [watching.line("") for _ in range(7)]  # all but the discovery document
    assert not [line for line in lines if "gw10" in line]
    meter = next(line for line in lines if "meter" in line)
    assert meter == (
        "10:00:01  station/cs1/connector/1/meter  quality good, power 11040 W, energy 123456 Wh, "
        "current 16/16/- A, source modbus"
    )
    event = {"event_type": "reservation.made", "seq": 7, "station": "cs1", "connector": 1, "data": {"id_token": "**1"}}
    speak(broker, {f"{TREE}/event/reservation": json.dumps(event)}, retain=False)
    assert watching.line("event/").endswith("reservation.made: station cs1, connector 1, data (id token **1) (event 7)")
    speak(broker, {f"{TREE}/station/cs1/connector/2/link": ""})
    assert watching.line("/2/link").endswith("deleted")
    assert watching.stop() == 0
    assert watching.process.stderr is not None
    assert watching.process.stderr.read() == ""


def test_watch_tells_each_message_as_json(broker: Broker, watch: Callable[..., Watching]) -> None:
    speak(broker, STATE)
    watching = watch("--json", *where(broker))
    found = [json.loads(watching.line("")) for _ in range(7)]
    told = {each["topic"]: each["payload"] for each in found}
    assert told[f"{TREE}/status"] == "offline"
    assert told[f"{TREE}/station/cs1/connector/1/meter"]["current_a"]["l3"] is None
    assert all(each["retained"] for each in found)


def test_watch_outlives_the_broker(broker: Broker, watch: Callable[..., Watching]) -> None:
    speak(broker, STATE)
    watching = watch(*where(broker))
    watching.line("status")
    broker.kill()
    assert watching.process.stderr is not None
    assert "no connection to the broker" in watching.process.stderr.readline()
    broker.start()
    while "there again" not in (line := watching.process.stderr.readline()):
        assert line, "it ended"
    speak(broker, {f"{TREE}/health": "{}"})
    watching.line("health")


def test_nothing_that_a_payload_says_reaches_the_terminal_as_a_command(
    broker: Broker, watch: Callable[..., Watching]
) -> None:
    watching = watch(*where(broker))
    assert watching.process.stderr is not None
    assert "nothing is known of gw1" in watching.process.stderr.readline()
    speak(broker, {f"{TREE}/health": "\x1b[2Jgone\x07", f"{TREE}/info": '{"a\\u001b[H":"\\u009b2J"}'})
    for part in ("gone", "9b2J"):
        assert watching.line(part).isprintable()


def on_a_terminal(words: list[str], *, until: str) -> tuple[str, int]:
    """What a command draws on a terminal of 30 x 100 until it shows this: then Ctrl-C is pressed."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edged", *words], stdin=child, stdout=child, stderr=child, env=environment(),
        start_new_session=True, preexec_fn=_take_terminal,
    )  # fmt: skip
    os.close(child)
    shown, deadline_s = "", time.monotonic() + 30
    try:
        while time.monotonic() < deadline_s:
            ready, _, _ = select.select([parent], [], [], 0.1)
            try:
                shown += os.read(parent, 65536).decode("utf-8", "replace") if ready else ""
            except OSError:
                break
            if until and re.search(until, shown):
                until = ""
                os.write(parent, b"\x03")
        return shown, process.wait(30)
    finally:
        process.kill()
        os.close(parent)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_watch_draws_the_tree_on_a_terminal_until_ctrl_c(broker: Broker) -> None:
    speak(broker, STATE)
    shown, status = on_a_terminal(["mqtt", "watch", *where(broker)], until="(?s)older.*meter")
    assert status == 0
    last = shown.rpartition("\x1b[H\x1b[2J")[2].replace("\r\n", "\n")
    assert "edged is offline: what follows is what it said last (9.9.9)" in last
    assert "power 11040 W" in last
    assert last.index("connector/2\n") < last.index("connector/10\n"), "by number"
    assert all(len(line) <= 100 for line in last.splitlines())
    assert "Traceback" not in shown


# --- one sentence for each error


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--url", "mqtt://127.0.0.1:1883"], "--gateway"),
        (["--url", "http://x", "--gateway", "gw1"], "mqtt://HOST:PORT"),
        (["--url", "mqtt://u:p@x", "--gateway", "gw1"], "without a user"),
        (["--url", "mqtt://x:99999", "--gateway", "gw1"], "ort"),
        (["--url", "mqtt://x", "--gateway", "GW/1"], "gateway id"),
        (["--url", "mqtt://x", "--gateway", "gw1", "--root", "a/+"], "root"),
        (["--url", "mqtt://x", "--gateway", "gw1", "--ca-file", "x"], "mqtts://"),
        (["--url", "mqtts://x", "--gateway", "gw1", "--cert", "x"], "belong together"),
        (["--gateway", "gw1"], "--url"),
    ],
)
def test_wrong_options_are_told_in_a_sentence(words: list[str], sentence: str, capsys: Any) -> None:
    for action in ("watch", "purge"):
        assert cli.main(["mqtt", action, *words]) == 2
        told = capsys.readouterr().err
        assert sentence in told
        assert told.count("\n") == 1


def test_a_discovery_prefix_with_wildcards_is_refused(broker: Broker, capsys: Any) -> None:
    """It would delete what other devices say."""
    speak(broker, STATE)
    for prefix in ("#", "+", "a/+", "/", "a//b"):
        assert cli.main(["mqtt", "purge", "--yes", "--discovery", prefix, *where(broker)]) == 2
        assert "--discovery" in capsys.readouterr().err
    assert retained(broker) == STATE


def test_a_configuration_without_a_broker_says_so(tmp_path: Path, capsys: Any) -> None:
    path = site(tmp_path, "mqtt://127.0.0.1:1")
    document = json.loads(path.read_text())
    del document["mqtt"]
    path.write_text(json.dumps(document))
    assert cli.main(["mqtt", "watch", "-c", str(path)]) == 2
    assert "names no broker" in capsys.readouterr().err


def test_a_broker_that_is_not_there_is_told_in_a_sentence(broker: Broker, capsys: Any) -> None:
    broker.kill()
    for action in ("watch", "purge"):
        assert cli.main(["mqtt", action, *where(broker)]) == 1
        told = capsys.readouterr().err
        assert told == f"edged: no connection to the broker at 127.0.0.1:{broker.port}: Connection refused\n"


def test_a_broker_that_does_not_let_us_in_is_told_in_a_sentence(broker: Broker, tmp_path: Path, capsys: Any) -> None:
    broker.stop()
    broker.start("allow_anonymous false")
    (tmp_path / "password").write_text("secret-word\n")
    words = ["--username", "bms", "--password-file", str(tmp_path / "password")]
    assert cli.main(["mqtt", "watch", *where(broker), *words]) == 1
    told = capsys.readouterr().err
    assert "refuses the connection: Not authorized" in told
    assert "secret-word" not in told


def test_a_broker_that_speaks_no_tls_is_told_in_a_sentence(broker: Broker, capsys: Any) -> None:
    assert cli.main(["mqtt", "watch", "--url", f"mqtts://127.0.0.1:{broker.port}", "--gateway", "gw1"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("edged: no connection to the broker at 127.0.0.1:")
    assert told.count("\n") == 1


def test_what_tls_has_against_it_is_told_in_a_sentence(broker: Broker, tmp_path: Path, capsys: Any) -> None:
    """A broker of an authority nobody knows; one that wants a certificate; then all is well."""
    ours, theirs = Authority.new("Ours"), Authority.new("Theirs")
    (tmp_path / "ca.pem").write_text(ours.pem)
    (tmp_path / "other.pem").write_text(theirs.pem)
    certificate, key = ours.server().write(tmp_path, "broker")
    mine, my_key = ours.client("bms").write(tmp_path, "bms")
    broker.stop()
    files = (f"cafile {tmp_path}/ca.pem", f"certfile {certificate}", f"keyfile {key}")
    broker.start("allow_anonymous true", *files, "require_certificate true")
    words = ["mqtt", "purge", "--url", f"mqtts://127.0.0.1:{broker.port}", "--gateway", "gw1"]
    pair = ["--cert", str(mine), "--key", str(my_key)]
    assert cli.main([*words, "--ca-file", str(tmp_path / "other.pem"), *pair]) == 1
    assert (told := capsys.readouterr().err).startswith("edged: no connection to the broker at 127.0.0.1:")
    assert "certificate verify failed" in told
    assert "_ssl" not in told
    assert cli.main([*words, "--ca-file", str(tmp_path / "ca.pem")]) == 1
    assert "does it want a client certificate? --cert and --key name one" in capsys.readouterr().err
    assert cli.main([*words, "--ca-file", str(tmp_path / "missing.pem"), *pair]) == 1
    assert "missing.pem cannot be read" in capsys.readouterr().err
    assert cli.main([*words, "--ca-file", str(tmp_path / "ca.pem"), *pair]) == 0
    assert "nothing is retained" in capsys.readouterr().out
