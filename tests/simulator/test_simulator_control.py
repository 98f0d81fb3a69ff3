"""The simulator's control socket and the site behind it, over a real Unix socket."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edged.simulator.parts import Cable, Impossible
from edged.simulator.site import SimulatedCharger, SimulatedSite, serve


class Remote:
    """A client of the control socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, line: bytes) -> Any:
        self.writer.write(line + b"\n")
        async with asyncio.timeout(30):
            return json.loads(await self.reader.readline())

    async def run(self, command: str, **args: object) -> Any:
        reply = await self.say(json.dumps({"id": "a1", "command": command, "args": args}).encode())
        assert reply["id"] == "a1"
        return reply

    async def do(self, command: str, **args: object) -> Any:
        reply = await self.run(command, **args)
        assert reply["ok"] is True, reply
        return reply["result"]

    async def refused(self, command: str, **args: object) -> str:
        reply = await self.run(command, **args)
        assert reply["ok"] is False, reply
        assert len(reply["error"]["message"]) > 10
        return str(reply["error"]["code"])


LEFT = SimulatedCharger(name="left", make="keba-p30", listen="tcp:127.0.0.1:0")
HALL = SimulatedCharger(name="hall", make="phoenix-charx-sec", listen="tcp:127.0.0.1:0", points=2, unit_id=7)


@asynccontextmanager
async def controlled(
    tmp_path: Path, *chargers: SimulatedCharger, speed: float = 1.0
) -> AsyncIterator[tuple[SimulatedSite, Remote]]:
    path = tmp_path / "control.sock"
    async with SimulatedSite(chargers, control_path=path, speed=speed, seed=3) as site:
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            yield site, Remote(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()


async def test_a_session_from_plug_to_plug(tmp_path: Path) -> None:
    async with controlled(tmp_path, LEFT, speed=50) as (site, remote):
        assert (await remote.do("get", charger="left"))["plug"] == "out"
        await remote.do("plug_in", max_current_a=10, phases=1, soc_pct=50)
        await site.until(lambda: site["left"].contactor_closed)
        state = await remote.do("get", charger="left")
        assert (state["contactor"], state["lock"], state["plug"]) == ("closed", "locked", "car")
        assert (state["current_ma"], state["power_w"]) == ([10_000, 0, 0], 2_300)
        await remote.do("pause")
        await site.until(lambda: not site["left"].contactor_closed)
        assert (await remote.do("resume"))["car"]["wants"] is True
        await remote.do("plug_out")
        await site.until(lambda: not site["left"].cable_in)


async def test_speed_makes_energy_run_faster_but_not_the_masters_watchdog(tmp_path: Path) -> None:
    async with controlled(tmp_path, LEFT, speed=3600) as (site, remote):
        site["left"].set_watchdog(60)
        await remote.do("plug_in", battery_wh=50_000)
        await site.until(lambda: site["left"].energy_wh > 2_000)
        assert site["left"].failsafe_active is False


async def test_every_command_acts_on_the_physics(tmp_path: Path) -> None:
    async with controlled(tmp_path, LEFT) as (site, remote):
        assert (await remote.do("swipe", token="04AABBCC"))["token"] == "04AABBCC"
        assert (await remote.do("fault", code="GroundFailure"))["cp_state"] == "E"
        assert (await remote.do("clear_fault"))["faults"] == []
        assert (await remote.do("lock_jam", on=True))["lock_jammed"] is True
        assert (await remote.do("silence", on=True))["reachable"] is False
        assert (await remote.do("silence", on=False))["reachable"] is True
        await remote.do("set", error_code=17)
        assert site.units["left"].banks[3].read(1006, 2) == [0, 17]
        await remote.do("set", **{"1006": None})
        assert site.units["left"].banks[3].read(1006, 2) == [0, 0]
        await remote.do("wire", drop=0.5, late_ms=20)
        assert (site.units["left"].wire.drop, site.units["left"].wire.late_ms) == (0.5, 20)
        await remote.do("wire")
        assert site.units["left"].wire.drop == 0
        assert (await remote.do("reboot"))["powered"] is False


async def test_chargers_are_named_by_name_unit_id_and_point(tmp_path: Path) -> None:
    async with controlled(tmp_path, LEFT, HALL) as (site, remote):
        await remote.do("plug_in", charger="hall/2")
        await remote.do("plug_in", charger="7/1", phases=1)
        await remote.do("plug_in", charger=255)
        assert [site[name].car is not None for name in ("left", "hall/1", "hall/2")] == [True, True, True]
        assert set(await remote.do("get")) == {"left", "hall/1", "hall/2"}


@pytest.mark.parametrize(
    ("charger", "code"),
    [(None, "invalid_args"), ("hall", "invalid_args"), ("x", "not_found"), ("hall/3", "not_found"),
     ("hall/x", "not_found"), ("left/0", "not_found"), (True, "invalid_args"), ([1], "invalid_args")],
)  # fmt: skip
async def test_a_charger_that_is_not_clear_is_refused(tmp_path: Path, charger: object, code: str) -> None:
    async with controlled(tmp_path, LEFT, HALL) as (_, remote):
        assert await remote.refused("plug_in", charger=charger) == code


@pytest.mark.parametrize(
    ("command", "args", "code"),
    [
        ("dance", {}, "unknown_command"),
        ("plug_out", {}, "rejected"),
        ("pause", {}, "rejected"),
        ("plug_in", {"soc": 5}, "invalid_args"),
        ("plug_in", {"phases": 4}, "invalid_args"),
        ("plug_in", {"paused": "yes"}, "invalid_args"),
        ("swipe", {}, "invalid_args"),
        ("swipe", {"token": "x" * 21}, "invalid_args"),
        ("swipe", {"token": 5}, "invalid_args"),
        ("fault", {"code": "Bang"}, "invalid_args"),
        ("fault", {"code": ["GroundFailure"]}, "invalid_args"),
        ("fault", {"code": "WeakSignal"}, "rejected"),
        ("lock_jam", {}, "invalid_args"),
        ("lock_jam", {"on": 1}, "invalid_args"),
        ("set", {}, "invalid_args"),
        ("set", {"state": 1.5}, "invalid_args"),
        ("set", {"state": "too long for it"}, "rejected"),
        ("set", {"nonesuch": 1}, "rejected"),
        ("wire", {"drop": 2}, "invalid_args"),
        ("wire", {"drop": "often"}, "invalid_args"),
        ("wire", {"burn": 1}, "invalid_args"),
    ],
)
async def test_wrong_arguments_are_refused_with_a_sentence(tmp_path: Path, command: str, args: Any, code: str) -> None:
    async with controlled(tmp_path, LEFT) as (_, remote):
        assert await remote.refused(command, **args) == code


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b"[" * 60_000, "bad_json"),
        (b"[]", "bad_request"),
        (b'{"command": "get", "extra": 1}', "bad_request"),
        (b'{"id": [], "command": "get"}', "bad_request"),
        (b'{"command": 7}', "unknown_command"),
        (b'{"command": "get", "args": []}', "invalid_args"),
        (b"1" * 70_000, "bad_request"),
    ],
)
async def test_lines_that_are_no_request_are_refused(tmp_path: Path, line: bytes, code: str) -> None:
    async with controlled(tmp_path, LEFT) as (_, remote):
        assert (await remote.say(line))["error"]["code"] == code


async def test_the_socket_is_for_its_group_only_and_goes_with_the_site(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with controlled(tmp_path, LEFT):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


async def test_a_tethered_charger_has_no_lock_to_jam(tmp_path: Path) -> None:
    tethered = SimulatedCharger(name="left", make="keba-p30", listen="tcp:127.0.0.1:0", cable=Cable.TETHERED)
    async with controlled(tmp_path, tethered) as (_, remote):
        assert await remote.refused("lock_jam", on=True) == "rejected"


@pytest.mark.parametrize(
    "chargers",
    [
        [],
        [LEFT, LEFT],
        [SimulatedCharger(name="a/b", make="keba-p30", listen="tcp:127.0.0.1:0")],
        [SimulatedCharger(name="a", make="nonesuch", listen="tcp:127.0.0.1:0")],
        [SimulatedCharger(name="a", make="keba-p30", listen="tcp:127.0.0.1:0", unit_id=300)],
        [SimulatedCharger(name=name, make="keba-p30", listen="tcp:127.0.0.1:5020") for name in ("a", "b")],
    ],
)
def test_sites_that_cannot_be_are_refused(chargers: list[SimulatedCharger]) -> None:
    with pytest.raises(Impossible):
        SimulatedSite(chargers)


@pytest.mark.parametrize("speed", [0, -1, 1e9])
def test_a_speed_that_cannot_be_is_refused(speed: float) -> None:
    with pytest.raises(Impossible, match="speed"):
        SimulatedSite([LEFT], speed=speed)


async def test_several_units_share_a_line_by_its_name() -> None:
    chargers = [
        SimulatedCharger(
            name=f"box{number}",
            make="heidelberg-energy-control",
            listen="rtu-tcp:127.0.0.1:0",
            unit_id=number,
            line="yard",
        )
        for number in (1, 2)
    ]
    async with SimulatedSite(chargers, seed=1) as site:
        assert site.endpoint("box1") == site.endpoint("box2")


async def test_until_gives_up_when_nothing_happens() -> None:
    async with SimulatedSite([LEFT], seed=1) as site:
        with pytest.raises(TimeoutError):
            await site.until(lambda: site["left"].contactor_closed, timeout_s=0.1)


async def test_serve_tells_when_it_is_ready_and_ends_when_cancelled(tmp_path: Path) -> None:
    ready: asyncio.Future[SimulatedSite] = asyncio.get_running_loop().create_future()
    path = tmp_path / "control.sock"
    task = asyncio.create_task(serve([LEFT], path, 1.0, 42, ready.set_result))
    site = await asyncio.wait_for(ready, 30)
    assert (site.seed, path.exists()) == (42, True)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not path.exists()


# --- a device without an address --------------------------------------------------------------------------------------

BAY = SimulatedCharger(name="bay", make="openevse-rapi", listen="tcp:127.0.0.1:0", cable=Cable.SOCKET)


async def test_an_openevse_does_everything_that_people_do_to_a_charger(tmp_path: Path) -> None:
    async with controlled(tmp_path, BAY, speed=20) as (site, remote):
        bay = site.units["bay"]
        await remote.do("plug_in")
        assert (await remote.do("get", charger="bay"))["state"] == "b"
        await remote.do("lock_jam", on=True)
        await remote.do("lock_jam", on=False)
        await remote.do("pause")
        await remote.do("resume")
        assert (await remote.do("fault", code="GroundFailure"))["state"] == "gfci"
        assert (await remote.do("set", fault=7))["state"] == "no_ground"
        assert (await remote.do("clear_fault"))["state"] == "b"
        assert (await remote.do("set", vflags=2, firmware="7.0.0"))["unit_id"] is None
        assert (await remote.do("silence", on=True))["reachable"] is False
        await remote.do("silence", on=False)
        assert (await remote.do("reboot"))["reachable"] is False
        await site.until(lambda: bay.reachable)
        state = await remote.do("get", charger="bay")
        assert (state["boot_locked"], state["lock_mode"], state["eeprom_writes"]) == (
            True,
            "automatic",
            {"SC": 0, "SY": 0},
        )
        await remote.do("plug_out")
        assert await remote.refused("swipe", token="04A1") == "rejected"
        assert await remote.refused("get", charger="None") == "not_found"


async def test_a_wrong_unit_is_refused_where_there_are_no_units_and_changes_nothing(tmp_path: Path) -> None:
    async with controlled(tmp_path, LEFT, BAY) as (site, remote):
        await remote.do("wire", charger="bay", late_ms=5, drop=0.1, corrupt=0.1, truncate=0.1)
        reply = await remote.run("wire", wrong_unit=0.5, drop=0.5)
        assert reply["error"] == {
            "code": "rejected",
            "message": "RAPI knows no addresses, so no reply can come from a wrong unit: leave wrong_unit out",
        }
        assert (site.units["left"].wire.drop, site.units["bay"].wire.drop) == (0, 0.1)
