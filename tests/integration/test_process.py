"""The daemon as a process: what systemd is told, how it ends, what it does without the world and without a disk."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edged.gateway import DATABASE
from edged.simulator.csms import Csms, CsmsCallError, Token
from edged.simulator.site import SimulatedCharger, SimulatedSite
from tests.integration.daemon import PATIENCE_S, STATION, Edged, charger, site_file
from tests.integration.peers import Broker, NotifySocket, free_port, peer, running_broker, silent

FAR = "2031-01-01T00:00:00Z"
SIGTERM_S = 15.0
"""Before systemd kills it: the unit's TimeoutStopSec is 20 s."""
BAD_CONFIGURATION = 78


@pytest.fixture
def manager(folder: Path) -> Iterator[NotifySocket]:
    listening = NotifySocket(folder)
    yield listening
    listening.close()


@pytest.fixture
async def csms() -> AsyncIterator[Csms]:
    async with Csms(tokens={"ALICE": Token()}) as running:
        yield running


@pytest.fixture
async def site() -> AsyncIterator[SimulatedSite]:
    """One socket, one hundred times faster than life."""
    box = SimulatedCharger(name="box", make="phoenix-charx-sec", listen="tcp:127.0.0.1:0")
    async with SimulatedSite([box], speed=100.0, seed=1) as running:
        yield running


@pytest.fixture
async def broker(folder: Path) -> AsyncIterator[Broker]:
    async with running_broker(folder) as running:
        yield running


def one_box(site: SimulatedSite | str) -> dict[str, dict[str, Any]]:
    endpoint = site if isinstance(site, str) else site.endpoint("box")
    return {"box": charger("phoenix-charx-sec", endpoint)}


def nowhere() -> str:
    return f"127.0.0.1:{free_port()}"


async def in_service(csms: Csms, *, after: int = 0) -> None:
    """The CSMS knows the connector: the daemon is accepted and has looked at its charger."""
    await csms.wait_for("StatusNotification", lambda p: p["connectorId"] == 1, after=after, timeout_s=PATIENCE_S)


async def mqtt_says(broker: Broker, topic: str, word: str) -> None:
    """Until a (retained or live) message on a topic holds a word."""
    command = ("mosquitto_sub", "-p", str(broker.port), "-t", topic, "-F", "%p")
    heard = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert heard.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            while word not in (line := (await heard.stdout.readline()).decode()):
                assert line, "mosquitto_sub ended"
    finally:
        heard.kill()
        await heard.communicate()


# --- its begin


async def test_it_is_ready_and_alive_with_nobody_there_at_all(edged: Edged, manager: NotifySocket):
    edged.environment |= {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "30000000"}
    edged.configure(site_file(one_box(nowhere()), csms=f"ws://{nowhere()}/ocpp", mqtt=f"mqtt://{nowhere()}"))
    await edged.start()
    await manager.told("READY=1")
    await manager.told("WATCHDOG=1", times=2)
    assert manager.messages.index("READY=1") < manager.messages.index("WATCHDOG=1")
    await edged.answers()
    (station,) = (await edged.status())["stations"]
    assert station["csms"]["connected"] is False
    edged.signal(signal.SIGTERM)
    await manager.told("STOPPING=1")
    assert await edged.ended() == 0


async def test_the_watchdog_starves_when_the_loop_stands_still(edged: Edged, manager: NotifySocket):
    edged.environment |= {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "30000000"}
    edged.configure(site_file(one_box(nowhere()), csms=f"ws://{nowhere()}/ocpp"))
    await edged.start()
    await manager.told("WATCHDOG=1")
    edged.signal(signal.SIGSTOP)
    await edged.until(standing_still(edged), "it stands still")
    with contextlib.suppress(AssertionError):
        await manager.told("WATCHDOG=1", times=1000, timeout_s=0.5)  # what was under way when it stopped
    fed = len(manager.messages)
    with pytest.raises(AssertionError, match="not told WATCHDOG"):
        await manager.told("WATCHDOG=1", times=fed + 1, timeout_s=2.5)
    assert len(manager.messages) == fed
    edged.signal(signal.SIGCONT)
    await manager.told("WATCHDOG=1", times=sum(m.startswith("WATCHDOG") for m in manager.messages) + 1)


def standing_still(edged: Edged) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return edged.process_state == "T"

    return look


async def test_the_control_socket_is_there_before_anything_is_called(edged: Edged, folder: Path):
    there: list[bool] = []

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there.append(edged.control.is_socket())

    async with peer(look) as upstream, peer(look) as broker, peer(look) as box:
        document = site_file(
            one_box(f"127.0.0.1:{box.port}"),
            csms=f"ws://127.0.0.1:{upstream.port}/ocpp",
            mqtt=f"mqtt://127.0.0.1:{broker.port}",
        )
        edged.configure(document)
        await edged.start()

        async def all_called() -> bool:
            return bool(upstream.visits and broker.visits and box.visits)

        await edged.until(all_called, "CSMS, broker and charger are called")
    assert all(there)


async def test_a_wrong_configuration_is_told_whole_with_lines_and_costs_78(edged: Edged):
    edged.config.write_text(
        "gateway:\n  id: Depot_7\n"
        'chargers:\n  left: {profile: heidelberg, tcp: "127.0.0.1:502"}\n'
        "stations:\n  - id: DEPOT-7\n    csms: {url: 'http://csms.example.com'}\n    evses: [{charger: lef}]\n"
    )
    edged.config.chmod(0o600)
    await edged.start()
    assert await edged.ended() == BAD_CONFIGURATION
    for line, word in ((2, "id"), (4, "profile"), (7, "url"), (8, "charger")):
        told = [each for each in edged.log.splitlines() if f"edged.yaml:{line}:" in each]
        assert any(word in each for each in told), f"nothing of {word} in line {line}:\n{edged.log}"
    assert "Traceback" not in edged.log
    assert not edged.state_dir.exists()


async def test_a_second_daemon_on_the_same_state_refuses_in_one_sentence(edged: Edged, site: SimulatedSite, csms: Csms):
    edged.configure(site_file(one_box(site), csms=csms.url))
    await edged.up()
    second = Edged(edged.folder)
    second.log_path = edged.folder / "second.log"
    second.control = edged.folder / "second.sock"
    try:
        await second.start()
        assert await second.ended() == 1
    finally:
        await second.close()
    (sentence,) = second.log.splitlines()
    assert "in use by another edged" in sentence and str(edged.running.pid) in sentence
    assert (await edged.status())["store"] == "ok"


# --- its end


async def stop_in_time(edged: Edged) -> None:
    since_s = time.monotonic()
    edged.signal(signal.SIGTERM)
    assert await edged.ended() == 0
    assert time.monotonic() - since_s < SIGTERM_S
    assert not edged.control.exists()


async def test_sigterm_ends_it_before_systemd_kills_it(edged: Edged, site: SimulatedSite, csms: Csms, broker: Broker):
    edged.configure(site_file(one_box(site), csms=csms.url, mqtt=broker.url))
    await edged.up()
    await in_service(csms)
    await stop_in_time(edged)


async def test_sigterm_ends_it_in_time_while_everybody_hangs(
    edged: Edged, site: SimulatedSite, csms: Csms, broker: Broker
):
    edged.configure(site_file(one_box(site), csms=csms.url, mqtt=broker.url))
    await edged.up()
    await in_service(csms)
    await mqtt_says(broker, "edged/v1/gw/status", "online")
    csms.half_open()
    broker.freeze()
    site.units["box"].silent = True
    await stop_in_time(edged)


async def test_sigterm_ends_it_in_time_while_nobody_finishes_a_greeting(edged: Edged):
    async with peer(silent) as upstream, peer(silent) as broker, peer(silent) as box:
        document = site_file(
            one_box(f"127.0.0.1:{box.port}"),
            csms=f"ws://127.0.0.1:{upstream.port}/ocpp",
            mqtt=f"mqtt://127.0.0.1:{broker.port}",
        )
        edged.configure(document)
        await edged.up()

        async def all_called() -> bool:
            return bool(upstream.visits and broker.visits and box.visits)

        await edged.until(all_called, "everybody is called")
        await stop_in_time(edged)


# --- its configuration, changed


async def test_sighup_applies_a_changed_file(edged: Edged, site: SimulatedSite, csms: Csms, manager: NotifySocket):
    edged.environment["NOTIFY_SOCKET"] = str(manager.path)
    edged.configure(site_file(one_box(site), csms=csms.url, keys={"HeartbeatInterval": 100}))
    await edged.up()
    await in_service(csms)
    mark, pid = csms.mark(), edged.running.pid
    document = site_file(one_box(site), csms=csms.url)
    document["stations"][0]["model"] = "Depot 4"
    edged.configure(document)
    edged.signal(signal.SIGHUP)
    boot = await csms.wait_for("BootNotification", after=mark, timeout_s=PATIENCE_S)
    assert boot["chargePointModel"] == "Depot 4"
    await manager.told("RELOADING=1")
    await manager.told("READY=1", times=2)
    assert edged.running.pid == pid and edged.running.returncode is None
    await edged.answers()
    assert "STOPPING=1" not in manager.messages, "systemd would end it when the time to stop is over"


async def test_a_stop_in_the_same_moment_as_a_reload_is_a_stop(edged: Edged, site: SimulatedSite, csms: Csms):
    edged.configure(site_file(one_box(site), csms=csms.url, keys={"HeartbeatInterval": 100}))
    await edged.up()
    edged.configure(site_file(one_box(site), csms=csms.url))
    edged.signal(signal.SIGSTOP)
    edged.signal(signal.SIGHUP)
    edged.signal(signal.SIGTERM)
    edged.signal(signal.SIGCONT)
    assert await edged.ended() == 0


async def test_sighup_with_a_broken_file_keeps_the_old_one_and_names_each_mistake(
    edged: Edged, site: SimulatedSite, csms: Csms
):
    document = site_file(one_box(site), csms=csms.url)
    edged.configure(document)
    await edged.up()
    await in_service(csms)
    document["gateway"]["id"] = "Not Good"
    document["stations"][0]["csms"]["url"] = "http://wrong"
    edged.configure(document)
    edged.signal(signal.SIGHUP)
    await edged.logged("the old configuration stays in force")
    lines = edged.config.read_text().splitlines()
    for word in ("Not Good", "http://wrong"):
        number = next(n for n, line in enumerate(lines, 1) if word in line)
        assert f"edged.yaml:{number}:" in edged.log
    assert (await csms.call("GetConfiguration", {"key": ["HeartbeatInterval"]}))["configurationKey"]
    assert csms.connection_count(STATION) == 1


# --- chargers come and go


async def test_a_charger_that_is_switched_on_later_comes_into_service(edged: Edged, site: SimulatedSite, csms: Csms):
    site.units["box"].silent = True
    edged.configure(site_file(one_box(site), csms=csms.url))
    await edged.up()
    await edged.knows(lambda s: s["csms"]["registration"] == "Accepted" and not s["connectors"][0]["online"])
    site.units["box"].silent = False
    await csms.wait_for("StatusNotification", lambda p: p["status"] == "Available", timeout_s=PATIENCE_S)
    await edged.knows(lambda s: s["connectors"][0]["online"])


async def test_a_charger_that_goes_and_comes_back_goes_on_charging(edged: Edged, site: SimulatedSite, csms: Csms):
    edged.configure(site_file(one_box(site), csms=csms.url))
    await edged.up()
    await in_service(csms)
    await start_charging(site, csms)
    site.units["box"].silent = True
    await edged.knows(lambda s: not s["connectors"][0]["online"])
    (bus,) = (await edged.status())["buses"].values()
    (unit,) = bus["units"].values()
    assert unit["chargers"] == ["box"] and unit["timeouts"] > 0 and unit["last_answer_s"] is not None
    assert bus["failed_share"] > 0 and bus["waits"]["status"]["longest_s"] >= 0 and "cycle_p50_s" in bus
    site.units["box"].silent = False
    await edged.knows(lambda s: s["connectors"][0]["online"] and s["connectors"][0]["status"] == "Charging")
    assert csms.received("StopTransaction") == []


async def start_charging(site: SimulatedSite, csms: Csms) -> None:
    site["box"].plug_in()
    await csms.wait_for("StatusNotification", lambda p: p["status"] == "Preparing", timeout_s=PATIENCE_S)
    site["box"].swipe("ALICE")
    await csms.wait_for("StatusNotification", lambda p: p["status"] == "Charging", timeout_s=PATIENCE_S)


# --- its disk


class FullDisk:
    """A small file system of its own where we may mount one."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "small"
        self._ballast = self.path / "ballast"
        self.path.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(self.path)], capture_output=True, check=False
        )
        self.mounted = done.returncode == 0

    def fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            for size in (65536, 512, 1):
                with contextlib.suppress(OSError):
                    while ballast.write(b"x" * size):
                        pass

    def empty(self) -> None:
        self._ballast.unlink()

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.path)], check=True)


@pytest.fixture
def small_disk(folder: Path) -> Iterator[FullDisk]:
    disk = FullDisk(folder)
    yield disk
    disk.close()


@pytest.mark.parametrize("kind", ["no space left", "no larger file"])
async def test_on_a_full_disk_it_promises_nothing_and_stops_charging_all_the_same(
    edged: Edged, site: SimulatedSite, csms: Csms, small_disk: FullDisk, kind: str
):
    if kind == "no space left":
        if not small_disk.mounted:
            pytest.skip("mounting a small file system takes root; 'no larger file' shows the same to everybody")
        edged.state_dir = small_disk.path
    edged.configure(site_file(one_box(site), csms=csms.url))
    await edged.up()
    await in_service(csms)
    await start_charging(site, csms)

    small_disk.fill() if kind == "no space left" else edged.limit_files(0)
    await until_full(edged, csms)
    (station,) = (await edged.status())["stations"]
    assert station["degraded"]
    assert (await edged.status())["store"] != "ok"
    (transaction,) = csms.answers.transactions
    stop = asyncio.create_task(refusal(csms, "RemoteStopTransaction", transactionId=transaction))
    await site.until(lambda: not site["box"].contactor_closed, timeout_s=PATIENCE_S)
    assert await stop == "InternalError"
    assert csms.received("StopTransaction") == []

    small_disk.empty() if kind == "no space left" else edged.limit_files(2**40)
    async with asyncio.timeout(PATIENCE_S):
        while await refusal(csms, "RemoteStopTransaction", transactionId=transaction) is not None:
            pass
    await csms.wait_for("StopTransaction", timeout_s=PATIENCE_S)
    await edged.knows(lambda s: s["degraded"] is None, timeout_s=2 * PATIENCE_S)
    assert (await edged.status())["store"] == "ok"
    assert csms.violations == []


async def until_full(edged: Edged, csms: Csms) -> None:
    """Give it more and more to keep until the disk has no place for it, and then ever less, until there is none for a
    single token either."""
    versions = itertools.count(1)

    async def refused(size: int) -> bool:
        version = next(versions)
        info = {"status": "Accepted", "parentIdTag": f"{version:08}"}
        tokens = [{"idTag": f"TOKEN-{n}", "idTagInfo": info} for n in range(size)]
        order = {"listVersion": version, "localAuthorizationList": tokens, "updateType": "Differential"}
        answer = await csms.call("SendLocalList", order, timeout_s=PATIENCE_S)
        assert answer["status"] in ("Accepted", "Failed")
        return answer["status"] == "Failed"

    for size in (200, 20, 1):
        await edged.until(partial(refused, size), "the disk refuses")


async def refusal(csms: Csms, action: str, **payload: object) -> str | None:
    """The CALLERROR code of a call, None for an ordinary answer."""
    try:
        await csms.call(action, payload, timeout_s=PATIENCE_S)
    except CsmsCallError as error:
        return error.code
    return None


async def test_a_reservation_on_a_full_disk_is_an_internal_error_and_does_not_exist(
    edged: Edged, site: SimulatedSite, csms: Csms
):
    edged.configure(site_file(one_box(site), csms=csms.url))
    await edged.up()
    await in_service(csms)
    await edged.knows(lambda s: s["connectors"][0]["status"] == "Available" and s["queued"] == 0)
    edged.limit_files(0)
    reserve = {"connectorId": 1, "expiryDate": FAR, "idTag": "BOB", "reservationId": 7}
    assert await refusal(csms, "ReserveNow", **reserve) == "InternalError"
    assert (await edged.status())["stations"][0]["reservations"] == []
    edged.limit_files(2**40)
    assert (await csms.call("ReserveNow", reserve))["status"] == "Accepted"
    await edged.kill()
    mark = csms.mark()
    await edged.up()
    await in_service(csms, after=mark)
    (held,) = (await edged.status())["stations"][0]["reservations"]
    assert held["id"] == 7


async def test_a_damaged_database_is_set_aside_and_everybody_is_told(
    edged: Edged, site: SimulatedSite, csms: Csms, broker: Broker
):
    edged.configure(site_file(one_box(site), csms=csms.url, mqtt=broker.url))
    await edged.up()
    await in_service(csms)
    edged.signal(signal.SIGTERM)
    assert await edged.ended() == 0
    database = edged.state_dir / DATABASE
    damaged = b"not a database at all" + os.urandom(8192)
    database.write_bytes(damaged)
    mark = csms.mark()
    await edged.up()
    await in_service(csms, after=mark)
    aside = [path for path in edged.state_dir.iterdir() if path.is_file() and path.read_bytes() == damaged]
    assert len(aside) == 1 and aside[0] != database
    assert "the database was damaged" in edged.log
    assert str(aside[0]) in (await edged.status())["store"]
    shown = await asyncio.create_subprocess_exec(
        *edged.command("status", "--control", edged.control), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(shown.communicate(), PATIENCE_S)
    assert b"the database was damaged" in said
    assert b"charger" in said and b" box " in said, "each unit has the name of its charger"
    await mqtt_says(broker, "edged/v1/gw/health", "the database was damaged")
    await mqtt_says(broker, "edged/v1/gw/health", '"chargers":["box"]')
