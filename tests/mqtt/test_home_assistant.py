"""Home Assistant itself on the same broker: what its own MQTT integration makes of our documents.

Its core and its integration run in a process and an environment of their own (`home.py`); nothing of it is imported
here. It lists what a person would see, and presses what a person would press.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from edged.domain.hardware import Capability, ChargerState, LockState, Meter, Phases
from edged.mqtt.gateway_documents import HealthView
from edged.mqtt.manifest import Kept
from edged.mqtt.options import CommandOptions

ROOT = Path(__file__).parents[2]
PLACE = Path(os.environ.get("HOME_ASSISTANT", ROOT / ".venv-ha"))
EVERYTHING = CommandOptions(actors={"homeassistant": frozenset({"*"})}, rate_per_s=100.0, burst=100)
CHARGING = Meter(
    energy_wh=123_456.0,
    power_w=11_040.0,
    current_a=Phases(16.0, 15.9, 16.1),
    voltage_v=Phases(230.1, 229.8, 231.0),
    frequency_hz=50.0,
    temperature_c=35.0,
    soc_pct=61.0,
)
TIMEOUT_S = 60.0


class Home:
    """One Home Assistant. `see` polls its entities until what was wanted is there."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, **order: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(TIMEOUT_S):
            line = await self._process.stdout.readline()
        assert line, "Home Assistant has died"
        return json.loads(line)

    async def see(self, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        states: dict[str, Any] = {}
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while True:
                    states = await self.ask(do="states")
                    if wanted(states):
                        return states
                    await asyncio.sleep(0.1)
        except TimeoutError:
            shown = {name: one["state"] for name, one in states.items()}
            pytest.fail(f"not seen: {shown}; {await self.ask(do='problems')}")

    async def press(self, states: dict[str, Any], name: str, service: str, **data: Any) -> None:
        entity = states[f"edged-gw1-cs1-{name}"] if f"edged-gw1-cs1-{name}" in states else states[f"edged-gw1-{name}"]
        data["entity_id"] = entity["entity_id"]
        await self.ask(do="call", domain=entity["platform"], service=service, data=data)


@pytest.fixture
async def home(broker, tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[Home]]]:
    """Starts a Home Assistant; all end with the test."""
    started: list[asyncio.subprocess.Process] = []

    async def start() -> Home:
        python = PLACE / "bin" / "python"
        if not (PLACE / ".installed").exists():
            pytest.fail(f"there is no Home Assistant in {PLACE}: make home")
        folder = tmp_path / f"home{len(started)}"
        folder.mkdir()
        (folder / "configuration.yaml").touch()
        script = ROOT / "tests" / "home_assistant" / "home.py"
        process = await asyncio.create_subprocess_exec(
            *(str(part) for part in (python, script, folder, broker.port)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**22,
        )
        started.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT_S):
            assert json.loads(await process.stdout.readline())["version"] == "2026.2.3"
        return Home(process)

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # its pipes; nothing public closes them


@pytest.fixture
def able(site):
    """A site whose chargers can do everything."""
    connectors = {
        n: replace(c, layout=replace(c.layout, capabilities=frozenset(Capability)), capabilities=frozenset(Capability))
        for n, c in site.station.connectors.items()
    }
    site.station = replace(site.station, connectors=connectors)
    return site


def whole(states: dict[str, Any]) -> bool:
    """Every entity of the gateway, the station and two connectors is there and known to be reachable."""
    there = [one for name, one in states.items() if name.startswith("edged-gw1")]
    return len(there) > 60 and not any(one["state"] in (None, "unavailable") for one in there)


def shows(states: dict[str, Any], expected: dict[str, str]) -> bool:
    return all(states.get(f"edged-gw1-cs1-{name}", {}).get("state") == value for name, value in expected.items())


async def test_a_home_shows_every_entity_with_its_value_and_nothing_to_complain_of(able, make_mirror, home, broker):
    able.observe(1, state=ChargerState.CHARGING, plugged=True, meter=CHARGING, lock=LockState.LOCKED)
    able.observe(2, meter=CHARGING, lock=LockState.UNLOCKED)
    mirror = make_mirror(broker.port, home_assistant="homeassistant", commands=EVERYTHING)
    mirror.tell_health(HealthView(ocpp_queued=3, disk_free_bytes=10**9, store="ok"))
    mirror.start()
    one = await home()
    expected = {
        "1-plugged": "on",
        "1-fault": "off",
        "1-charging": "off",
        "1-reserved": "off",
        "1-locked": "off",
        "1-power": "11040",
        "1-energy": "123456",
        "1-current_l2": "15.9",
        "1-voltage_l3": "231",
        "1-frequency": "50",
        "1-temperature": "35",
        "1-battery": "61",
        "1-operative": "on",
        "1-limit": "16",
        "1-available_current": "16",
        "1-lock": "locked",
        "2-status": "Available",
        "2-plugged": "off",
        "2-locked": "on",
        "2-lock": "unlocked",
        "csms": "disconnected",
        "queued": "0",
    }
    states = await one.see(lambda seen: whole(seen) and shows(seen, expected))
    assert states["edged-gw1-connected_cs1"]["state"] == "off"
    assert states["edged-gw1-queued"]["state"] == "3"
    assert states["edged-gw1-store"]["state"] == "off"

    unknown = {name for name, one in states.items() if one["state"] == "unknown"}
    never_yet = {name for name in unknown if states[name]["platform"] in ("button", "event")}
    nothing_there = {f"edged-gw1-cs1-{n}-{key}" for n in (1, 2) for key in ("reserved_until", "session")}
    assert unknown - never_yet == nothing_there | {"edged-gw1-spool"}
    assert states["edged-gw1-cs1-1-power"]["entity_id"] == "sensor.cs1_connector_1_power"
    assert states["edged-gw1-cs1-1-power"]["via"] == "cs1"
    assert await one.ask(do="problems") == []


async def test_a_press_reaches_the_core_once_with_an_id_of_its_own(able, make_mirror, home, broker, watch):
    able.observe(1, state=ChargerState.CHARGING, plugged=True, meter=CHARGING, lock=LockState.LOCKED)
    able.observe(2, meter=CHARGING, lock=LockState.UNLOCKED)
    mirror = make_mirror(broker.port, home_assistant="homeassistant", commands=EVERYTHING)
    mirror.tell_health(HealthView(ocpp_queued=3, disk_free_bytes=10**9, store="ok"))
    mirror.start()
    onlooker = watch(filters=("edged/v1/gw1/rpc/#",))
    one = await home()
    states = await one.see(whole)

    presses: list[tuple[str, str, dict[str, Any], str, dict[str, Any]]] = [
        ("2-operative", "turn_off", {}, "change_availability", {"connector": 2, "type": "Inoperative"}),
        ("2-operative", "turn_on", {}, "change_availability", {"connector": 2, "type": "Operative"}),
        ("1-limit", "set_value", {"value": 10}, "set_limit", {"connector": 1, "limit_a": 10}),
        ("1-stop", "press", {}, "stop_transaction", {"connector": 1}),
        ("2-unlock", "press", {}, "unlock_connector", {"connector": 2}),
        ("2-lock", "lock", {}, "set_lock", {"connector": 2, "state": "locked"}),
        ("2-lock", "unlock", {}, "set_lock", {"connector": 2, "state": "unlocked"}),
        ("restart_cs1", "press", {}, "restart", {}),
        ("reset", "press", {}, "reset", {"type": "Soft"}),
    ]
    for name, service, data, _, _ in presses:
        await one.press(states, name, service, **data)

    def requests(seen: list[Any]) -> list[Any]:
        return [s for s in seen if "/request/" in s.topic]

    asked = await onlooker.wait_for(lambda seen: len(found := requests(seen)) >= len(presses) and found)
    sent = [(s.topic.rpartition("/")[2], {"station": "cs1"} | s.json["args"]) for s in asked]
    assert sent == [(command, {"station": "cs1", **args}) for _, _, _, command, args in presses]
    assert all(s.qos == 1 and not s.retain for s in asked)
    ids = [s.json["id"] for s in asked]
    assert len(set(ids)) == len(presses) and all(each.startswith("ha-") for each in ids)

    def answered(seen: list[Any]) -> Any:
        replies = {s.json["command"]: s.json for s in seen if "/rpc/homeassistant/reply/" in s.topic}
        return {"set_limit", "stop_transaction", "restart"} <= replies.keys() and replies  # others wait for the charger

    replies = await onlooker.wait_for(answered)
    assert replies["set_limit"]["result"]["status"] == "Accepted"
    assert len(able.asked) == len(presses), "each is carried out once"
    await one.see(lambda seen: seen["edged-gw1-cs1-1-limit"]["state"] == "10")

    before = len(able.asked)
    again = next(s for s in asked if s.topic.endswith("set_limit"))
    await asyncio.to_thread(onlooker.publish, again.topic, again.payload)
    await onlooker.wait_for(lambda seen: any(s.json.get("repeated") for s in seen if "/reply/" in s.topic))
    assert len(able.asked) == before, "the same id is carried out once"


async def test_an_event_is_told_at_its_own_connector_with_its_data(able, make_mirror, home, broker, integrator):
    able.observe(1)
    able.observe(2)
    make_mirror(broker.port, home_assistant="homeassistant", commands=EVERYTHING).start()
    one = await home()
    states = await one.see(whole)
    entity = states["edged-gw1-cs1-2-reservation_events"]["entity_id"]
    body = {
        "v": 1,
        "id": "b1-1",
        "boot": "b1",
        "seq": 1,
        "ts": "2026-08-22T10:00:00.000Z",
        "clock": "synced",
        "event_type": "reservation.made",
        "station": "cs1",
        "connector": 2,
        "source": "csms",
        "replayed": False,
        "data": {"reservation_id": 12, "id_token": "**0001", "expires_at": "2026-08-22T11:00:00Z"},
    }
    await asyncio.to_thread(integrator.publish, "edged/v1/gw1/event/reservation", body)
    async with asyncio.timeout(TIMEOUT_S):
        while not (told := await one.ask(do="events")):
            await asyncio.sleep(0.1)
    assert [name for name, _ in told] == [entity]
    attributes = told[0][1]
    assert (attributes["event_type"], attributes["reservation_id"], attributes["source"]) == (
        "reservation.made",
        12,
        "csms",
    )
    assert await one.ask(do="problems") == []


async def test_what_a_charger_can_do_no_more_leaves_the_home_and_so_does_all_of_it(
    able, make_mirror, home, broker, watch
):
    able.observe(1)
    able.observe(2)
    mirror = make_mirror(broker.port, home_assistant="homeassistant", commands=EVERYTHING)
    mirror.tell_health(HealthView(store="ok"))
    mirror.start()
    one = await home()
    await one.see(whole)
    able.observe(1, capabilities=frozenset({Capability.WITHHOLD}))
    gone = {f"edged-gw1-cs1-1-{key}" for key in ("limit", "available_current", "unlock", "lock", "locked")}
    await one.see(lambda seen: not gone & seen.keys())
    states = await one.see(whole_but_one)
    assert {name.replace("-1-", "-2-") for name in gone} <= states.keys()
    document = "homeassistant/device/edged-gw1/cs1-1/config"
    onlooker = watch(filters=("homeassistant/#",))
    await onlooker.payload(document, lambda seen: bool(seen.payload) and "limit" not in seen.json["cmps"])

    await asyncio.to_thread(onlooker.publish, document, b"", retain=True)
    await one.see(lambda seen: not any(name.startswith("edged-gw1-cs1-1-") for name in seen))
    assert await one.ask(do="problems") == []


def whole_but_one(states: dict[str, Any]) -> bool:
    return len([name for name in states if name.startswith("edged-gw1")]) > 55


async def test_a_home_that_comes_back_is_told_everything_again(able, make_mirror, broker, watch):
    able.observe(1)
    mirror = make_mirror(broker.port, home_assistant="homeassistant", commands=EVERYTHING)
    mirror.start()
    onlooker = watch(filters=("homeassistant/device/#", "edged/v1/gw1/station/cs1/connector/1/status"))
    await onlooker.payload("homeassistant/device/edged-gw1/gateway/config")
    await onlooker.payload("edged/v1/gw1/station/cs1/connector/1/status")
    onlooker.seen.clear()
    await asyncio.to_thread(onlooker.publish, "homeassistant/status", b"online")
    for topic in ("homeassistant/device/edged-gw1/cs1-1/config", "edged/v1/gw1/station/cs1/connector/1/status"):
        await onlooker.payload(topic)


@dataclass
class Disk:
    """What one run leaves to the next."""

    kept: Kept = field(default_factory=Kept)

    def load(self) -> Kept:
        return self.kept

    def keep(self, kept: Kept) -> None:
        self.kept = kept


async def test_what_the_site_has_no_more_at_the_next_start_leaves_the_home(able, make_mirror, home, broker):
    disk = Disk()
    able.observe(1)
    able.observe(2)

    async def run(prefix: str | None) -> Any:
        mirror = make_mirror(broker.port, topics_kept=disk, home_assistant=prefix, commands=EVERYTHING)
        mirror.start()
        return mirror

    former = await run("homeassistant")
    one = await home()
    await one.see(lambda seen: {"edged-gw1-cs1-2-status", "edged-gw1-cs1-1-unlock"} <= seen.keys())
    await former.stop()

    left = able.station.connectors[1]
    able.station = replace(
        able.station, connectors={1: replace(left, capabilities=left.capabilities - {Capability.UNLOCK})}
    )
    former = await run("homeassistant")
    await one.see(
        lambda seen: not any(name.startswith("edged-gw1-cs1-2-") or name == "edged-gw1-cs1-1-unlock" for name in seen)
    )
    assert "edged-gw1-cs1-1-status" in await one.ask(do="states")
    await former.stop()

    await run(None)
    await one.see(lambda seen: not any(name.startswith("edged-gw1") for name in seen))
    problems = await one.ask(do="problems")
    assert [p for p in problems if "No device components to cleanup" not in p] == [], "a deletion may come twice"
