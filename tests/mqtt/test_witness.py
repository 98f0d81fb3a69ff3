"""Whatever a test publishes is judged: in this process, in a daemon of its own, and in the virtual site."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edged.mqtt.connection import Connection, Will
from edged.mqtt.options import BrokerOptions
from tests.fakes.mqtt_contract import WITNESS

ROOT = Path(__file__).parents[2]
STATUS = "edged/v1/gw1/status"
GOOD = {"topic": STATUS, "payload": b"online", "qos": 1, "retain": True}
BAD = {
    "payload": {"payload": b"up"},
    "qos": {"qos": 0},
    "retain": {"retain": False},
    "topic": {"topic": "edged/v1/gw1/state"},
}


class Nobody:
    """Listens to nothing."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_: None


async def publish(port: int, message: dict[str, Any], will: bytes = b"offline") -> None:
    options = BrokerOptions(host="127.0.0.1", port=port, client_id="edged-witness")
    connection = Connection(options, Nobody(), v5=True, will=Will(topic=STATUS, payload=will))
    await connection.open()
    connection.publish(message["topic"], message["payload"], qos=message["qos"], retain=message["retain"])
    await connection.disconnect(2.0)


async def test_a_message_of_the_contract_is_no_news(broker: Any) -> None:
    before = WITNESS.judged
    await publish(broker.port, GOOD)
    assert (WITNESS.judged - before, WITNESS.taken()) == (2, [])


@pytest.mark.parametrize("wrong", BAD)
async def test_a_message_against_the_contract_is_seen_on_its_way_to_the_broker(broker: Any, wrong: str) -> None:
    await publish(broker.port, GOOD | BAD[wrong])
    assert len(WITNESS.taken()) == 1


async def test_a_will_against_the_contract_is_seen(broker: Any) -> None:
    await publish(broker.port, GOOD, will=b"dead")
    assert len(WITNESS.taken()) == 1


SCRIPT = """
import asyncio, sys
from edged.mqtt import connection
from edged.mqtt.connection import Connection, Will
from edged.mqtt.options import BrokerOptions

async def main():
    options = BrokerOptions(host="127.0.0.1", port=int(sys.argv[1]), client_id="edged-child")
    class Nobody:
        def __getattr__(self, _name):
            return lambda *_: None
    line = Connection(options, Nobody(), v5=True, will=Will(topic="edged/v1/gw1/status", payload=b"offline"))
    await line.open()
    line.publish("edged/v1/gw1/status", sys.argv[2].encode(), qos=1, retain=True)
    await line.disconnect(2.0)

asyncio.run(main())
"""
TEST = """
import asyncio, subprocess, sys
import pytest

SCRIPT = {script!r}

@pytest.mark.parametrize("word", ["online", "up"])
def test_of_a_child(word):
    subprocess.run([sys.executable, "-c", SCRIPT, "{port}", word], check=True)

@pytest.mark.parametrize("word", ["online", "up"])
def test_of_this_process(word, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["", "{port}", word])
    exec(SCRIPT, {{}})
"""


def test_the_test_fails_in_whose_time_it_was_published(broker: Any, tmp_path: Path) -> None:
    path = tmp_path / "test_publishing.py"
    path.write_text(TEST.format(script=SCRIPT, port=broker.port))
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    done = subprocess.run(
        (sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:randomly", "-p", "no:cacheprovider")
        + ("-c", os.devnull, "--rootdir", str(tmp_path), "-q", "-rE", str(path)),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "4 passed, 2 errors" in done.stdout, done.stdout + done.stderr
    for name in ("test_of_a_child[up]", "test_of_this_process[up]"):
        assert f"test_publishing.py::{name}" in done.stdout.partition("short test summary")[2]
    assert json.dumps("up") in done.stdout or "'up'" in done.stdout
