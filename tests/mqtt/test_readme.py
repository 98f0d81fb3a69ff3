"""The integrator's page is true: each command line on it is run, as it stands there, against a broker and a daemon."""

from __future__ import annotations

import json
import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.fakes.mqtt_contract import closed

PAGE = Path(__file__).parents[2] / "docs/mqtt/README.md"
PATIENCE_S = 40.0
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
MARK = "# => "


@dataclass(frozen=True)
class Recipe:
    script: str
    shown: tuple[str, ...]


def recipes() -> list[Recipe]:
    found = []
    for language, text in BLOCKS:
        if language == "sh":
            lines = text.splitlines()
            shown = tuple(line.removeprefix(MARK) for line in lines if line.startswith(MARK))
            found.append(Recipe("\n".join(line for line in lines if not line.startswith(MARK)), shown))
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
    pytest.fail(f"nobody listens on {port}")


@pytest.fixture(scope="module")
def home(_notes: Path) -> Iterator[Path]:
    """A broker, a simulated charger and the daemon, and the mosquitto clients' own configuration, as the page says."""
    started: list[subprocess.Popen[Any]] = []
    with tempfile.TemporaryDirectory(prefix="edged-") as name:
        folder, port = Path(name), free_port()
        (folder / "m.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n")
        started.append(subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(folder / "m.conf")]))
        edged = [sys.executable, "-m", "edged"]
        words = ["--profile", "phoenix-charx-sec", "--listen", "tcp:127.0.0.1:0", "--unit", "1", "--json"]
        simulator = subprocess.Popen(
            [*edged, "simulate", *words, "--control", str(folder / "sim")], stdout=subprocess.PIPE, text=True
        )
        started.append(simulator)
        assert simulator.stdout is not None
        (charger,) = json.loads(simulator.stdout.readline())["chargers"].values()
        listening(port)
        (folder / "edged.yaml").write_text(yaml.safe_dump(site_file(charger, port)))
        (folder / "edged.yaml").chmod(0o600)
        environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
        places = ["--config", folder / "edged.yaml", "--state", folder / "state", "--control", folder / "control"]
        with (folder / "log").open("w") as log:
            started.append(subprocess.Popen([*edged, "run", *map(str, places)], env=environment, stderr=log))
        for program in ("mosquitto_sub", "mosquitto_pub", "mosquitto_rr"):
            (folder / program).write_text(f"-h 127.0.0.1\n-p {port}\n")
        settle(folder)
        yield folder
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.communicate(timeout=PATIENCE_S)


def site_file(charger: str, port: int) -> dict[str, Any]:
    return {
        "gateway": {"id": "gw1"},
        "chargers": {"box": {"profile": "phoenix-charx-sec", "tcp": charger, "unit_id": 1, "point": 1}},
        "stations": [
            {
                "id": "cs1",
                "vendor": "Example Energy",
                "model": "Depot 3",
                "csms": {"url": f"ws://127.0.0.1:{free_port()}/ocpp", "versions": ["ocpp1.6"]},
                "evses": [{"charger": "box"}],
            }
        ],
        "mqtt": {"url": f"mqtt://127.0.0.1:{port}", "points": "scalar", "commands": {"bms-op": ["*"]}},
    }


def settle(folder: Path) -> None:
    """Until the daemon has looked at its charger."""
    topic = "edged/v1/gw1/station/cs1/connector/1/status"
    output = run(folder, Recipe(f"mosquitto_sub -t {topic}", ('"status":"Available"',)))
    assert '"status":"Available"' in output, output + (folder / "log").read_text()


def run(home: Path, recipe: Recipe) -> str:
    """Its output, read until it shows what it should, or ends, or patience does."""
    environment = {**os.environ, "XDG_CONFIG_HOME": str(home), "HOME": str(home)}
    process = subprocess.Popen(
        ["bash", "-c", recipe.script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    output, deadline_s = b"", time.monotonic() + PATIENCE_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not all(shown.encode() in output for shown in recipe.shown) and time.monotonic() < deadline_s:
            if selector.select(1.0):
                more = os.read(process.stdout.fileno(), 65_536)
                if not more:
                    break
                output += more
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        pass
    process.communicate()
    return output.decode(errors="replace")


def test_every_command_line_of_the_page_shows_what_the_page_says(home: Path) -> None:
    assert len(recipes()) >= 15 and all(recipe.shown for recipe in recipes())
    for recipe in recipes():  # in the order of the page: what was reserved is given free again
        output = run(home, recipe)
        missing = [shown for shown in recipe.shown if shown not in output]
        assert not missing, f"{recipe.script}\nshows\n{output}\nand not {missing}"


def test_every_topic_on_the_page_is_one_of_the_contract(contract: Any) -> None:
    text = PAGE.read_text()
    topics = set(re.findall(r"edged/v1/gw1/[\w/-]+[\w]", text))
    asked = {topic for topic in topics if "+" not in topic and not topic.endswith(("/gw1/station", "/event", "/reply"))}
    assert len(asked) > 20
    for topic in asked:
        contract.flags_of_known(topic)


def test_every_body_of_a_command_on_the_page_is_as_the_contract_says(contract: Any) -> None:
    found = re.findall(r"request/(\w+) (?:.*?)-m '(\{.*\})'", PAGE.read_text().replace("\\\n", ""))
    assert len(found) >= 10
    messages = contract.document["components"]["messages"]
    for command, body in found:
        body = re.sub(r"'\$\(.*?\)'", "2026-08-22T11:00:00Z", body)
        judge = jsonschema.Draft202012Validator(closed(contract.document, messages[f"{command}.request"]["payload"]))
        judge.validate(json.loads(body))


def test_the_flow_for_node_red_is_one(contract: Any) -> None:
    (text,) = [text for language, text in BLOCKS if language == "json"]
    nodes = {node["id"]: node for node in json.loads(text)}
    for node in nodes.values():
        wired = {target for output in node.get("wires", ()) for target in output}
        assert wired | ({node["z"]} if "z" in node else set()) <= set(nodes)
        assert node["type"] not in ("mqtt in", "mqtt out") or nodes[node["broker"]]["type"] == "mqtt-broker"
        if node["type"] == "mqtt in":
            contract.flags_of_known(node["topic"].replace("+", "1").replace("#", "x"))


def test_the_examples_for_home_assistant_are_yaml() -> None:
    texts = [yaml.safe_load(text) for language, text in BLOCKS if language == "yaml"]
    assert {key for text in texts for key in text} == {"mqtt", "automation"}
