"""The daemon's mirror at a real broker: what the site asks for is there, and what it asks for no more is gone."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edged.simulator.csms import Csms, Token
from tests.integration.daemon import PATIENCE_S, Edged, charger, site_file
from tests.integration.peers import Broker, free_port, running_broker


@pytest.fixture
async def broker(folder: Path) -> AsyncIterator[Broker]:
    async with running_broker(folder) as running:
        yield running


async def retained(broker: Broker) -> dict[str, str]:
    """Every retained message, once the broker has been silent for a second."""
    command = ("mosquitto_sub", "-p", str(broker.port), "-t", "#", "--retained-only", "-W", "1", "-F", "%t %p")
    heard = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told, _ = await heard.communicate()
    return dict(line.split(" ", 1) for line in told.decode().splitlines())


async def until_retained(broker: Broker, wanted: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    async with asyncio.timeout(PATIENCE_S):
        while not wanted(found):
            found = await retained(broker)
    return found


async def test_a_renamed_gateway_without_points_leaves_nothing_of_the_old_one(edged: Edged, broker: Broker) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    box = {"box": charger("phoenix-charx-sec", nowhere)}
    document = site_file(box, csms=f"ws://{nowhere}/ocpp", mqtt=broker.url)
    document["mqtt"] |= {"points": "object", "raw_ocpp": True}
    edged.configure(document)
    await edged.start()
    found = await until_retained(broker, lambda told: told.get("edged/v1/gw/status") == "online")
    points = {topic for topic in found if topic.startswith("edged/v1/gw/point/")}
    assert len(points) > 20
    assert json.loads(found[min(topic for topic in points if topic.endswith("/lock"))])["quality"] == 2
    edged.signal(signal.SIGTERM)
    assert await edged.ended() == 0

    document["gateway"]["id"] = "gw2"
    del document["mqtt"]["points"]
    edged.configure(document)
    await edged.start()
    found = await until_retained(
        broker,
        lambda told: (
            told.get("edged/v1/gw2/status") == "online" and not any(topic.startswith("edged/v1/gw/") for topic in told)
        ),
    )
    assert not any("/point" in topic for topic in found)
    assert all(topic.startswith("edged/v1/gw2/") for topic in found)
    edged.signal(signal.SIGTERM)
    assert await edged.ended() == 0


async def test_ocpp_frames_are_shown_where_the_site_asks_for_them(edged: Edged, broker: Broker) -> None:
    async with Csms(tokens={"ALICE": Token()}) as csms:
        box = {"box": charger("phoenix-charx-sec", f"127.0.0.1:{free_port()}")}
        document = site_file(box, csms=csms.url, mqtt=broker.url)
        document["mqtt"]["raw_ocpp"] = True
        edged.configure(document)
        command = ("mosquitto_sub", "-p", str(broker.port), "-t", "edged/v1/gw/station/+/ocpp/raw/+", "-F", "%r %t %p")
        heard = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert heard.stdout is not None
        await edged.start()
        ways: dict[str, str] = {}
        try:
            async with asyncio.timeout(PATIENCE_S):
                while len(ways) < 2:
                    flag, topic, payload = (await heard.stdout.readline()).decode().split(" ", 2)
                    assert flag == "0"
                    ways[topic.rpartition("/")[2]] = json.loads(payload)["frame"]
        finally:
            heard.kill()
            await heard.communicate()
        assert ways.keys() == {"in", "out"}
        assert all(isinstance(json.loads(frame), list) for frame in ways.values())


async def test_whoever_asks_for_the_state_knows_which_events_are_in_it(edged: Edged, broker: Broker) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    box = {"box": charger("phoenix-charx-sec", nowhere)}
    edged.configure(site_file(box, csms=f"ws://{nowhere}/ocpp", mqtt=broker.url))
    await edged.up()

    async def told() -> bool:
        return bool((await edged.result("get_events", after_seq=0, limit=500))["events"])

    await edged.until(told, "its start is an event")
    before = (await edged.result("get_events", after_seq=0, limit=500))["events"][-1]["seq"]
    as_of_seq = (await edged.result("get_state"))["stations"]["CP-1"]["as_of_seq"]
    after = (await edged.result("get_events", after_seq=0, limit=500))["last_seq"]
    assert 1 <= before <= as_of_seq <= after
