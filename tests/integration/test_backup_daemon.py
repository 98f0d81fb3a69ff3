"""A backup of a site in service, and another controller that takes over: nothing lost, nothing doubled at the CSMS."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edged.backup import archive
from edged.cli import main as cli
from edged.simulator.csms import Csms, Token
from edged.simulator.site import SimulatedCharger, SimulatedSite
from tests.integration.daemon import PATIENCE_S, Edged, charger, site_file

REFUSED = 78


@pytest.fixture
async def csms() -> AsyncIterator[Csms]:
    async with Csms(versions=("ocpp2.0.1", "ocpp1.6"), tokens={"ALICE": Token()}) as running:
        yield running


@pytest.fixture
async def site() -> AsyncIterator[SimulatedSite]:
    box = SimulatedCharger(name="box", make="phoenix-charx-sec", listen="tcp:127.0.0.1:0")
    async with SimulatedSite([box], speed=100.0, seed=1) as running:
        yield running


@pytest.fixture
async def edged(folder: Path, csms: Csms, site: SimulatedSite) -> AsyncIterator[Edged]:
    """The old controller, in service."""
    (folder / "old").mkdir()
    daemon = Edged(folder / "old")
    keys = {"MeterValueSampleInterval": 0}
    daemon.configure(site_file({"box": charger("phoenix-charx-sec", site.endpoint("box"))}, csms=csms.url, keys=keys))
    await daemon.up()
    await csms.wait_for("StatusNotification", lambda p: p["connectorId"] == 1, timeout_s=PATIENCE_S)
    yield daemon
    await daemon.close()


@pytest.fixture
async def successor(folder: Path) -> AsyncIterator[Edged]:
    """The new controller: nothing on it."""
    (folder / "new").mkdir()
    daemon = Edged(folder / "new")
    yield daemon
    await daemon.close()


Said = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """A command on a controller: status, output, errors."""

    async def run(edged: Edged, *words: str | Path) -> tuple[int, str, str]:
        line = [str(word) for word in (*words, "-c", edged.config, "--state", edged.state_dir)]
        capsys.readouterr()
        status = await asyncio.to_thread(cli.main, line)
        return status, *capsys.readouterr()

    return run


async def charging(csms: Csms, site: SimulatedSite, *, after: int = 0) -> None:
    site["box"].plug_in()
    await csms.wait_for("StatusNotification", lambda p: p["status"] == "Preparing", after=after, timeout_s=PATIENCE_S)
    site["box"].swipe("ALICE")
    await csms.wait_for("StatusNotification", lambda p: p["status"] == "Charging", after=after, timeout_s=PATIENCE_S)


async def stopped(edged: Edged) -> None:
    edged.signal(signal.SIGTERM)
    assert await edged.ended() == 0


def told(csms: Csms) -> dict[str, list[Any]]:
    """What a bill is made of."""
    return {
        "started": [(each["idTag"], each["meterStart"]) for each in csms.received("StartTransaction")],
        "stopped": [(each["transactionId"], each.get("reason", "Local")) for each in csms.received("StopTransaction")],
    }


async def test_a_backup_is_made_under_a_running_daemon_which_does_not_notice(
    edged: Edged, csms: Csms, site: SimulatedSite, folder: Path, said: Said
) -> None:
    await charging(csms, site)
    await edged.knows(lambda station: station["queued"] == 0)
    path = folder / "live.tar.gz"
    status, out, err = await said(edged, "backup", path, "--control", edged.control, "--json")
    assert (status, err) == (0, "")
    assert (json.loads(out)["running"], json.loads(out)["stations"]) == (1, ["CP-1"])
    assert archive.read(path).schema is not None
    assert sorted(each.name for each in edged.state_dir.glob("edged.db.c*")) == [], "no copy is left behind"
    assert edged.running.returncode is None
    assert (await said(edged, "backup", path, "--control", edged.control))[0] == 0, "it can be repeated"
    status, _, err = await said(edged, "backup", path, "--control", edged.control, "--final")
    assert status == 1
    assert "edged is running: stop it first" in err
    status, _, err = await said(edged, "restore", path)
    assert status == 1
    assert f"edged is running (process {edged.running.pid}): stop it first (sudo systemctl stop edged)" in err
    site["box"].plug_out()
    await csms.wait_for("StopTransaction", timeout_s=PATIENCE_S)
    assert len(told(csms)["started"]) == 1


async def test_a_successor_from_an_old_backup_serves_the_station_and_doubles_nothing(
    edged: Edged, successor: Edged, csms: Csms, site: SimulatedSite, folder: Path, said: Said
) -> None:
    await charging(csms, site)
    path = folder / "live.tar.gz"
    csms.cut()
    site["box"].plug_out()
    await edged.knows(lambda station: station["queued"] > 0)
    status, out, _ = await said(edged, "backup", path, "--control", edged.control, "--json")
    assert (status, json.loads(out)["unsent"] > 0) == (0, True)
    csms.restore()
    await csms.wait_for("StopTransaction", timeout_s=PATIENCE_S)  # after the backup, what waited in it was sent
    await edged.knows(lambda station: station["queued"] == 0)
    before = told(csms)
    assert [len(each) for each in before.values()] == [1, 1]
    await stopped(edged)
    status, out, err = await said(successor, "restore", path)
    assert (status, err) == (0, "")
    assert "parked, for they may be over since: " in out
    mark = csms.mark()
    await successor.up()
    await csms.wait_for("BootNotification", after=mark, timeout_s=PATIENCE_S)
    await csms.wait_for("StatusNotification", lambda p: p["connectorId"] == 1, after=mark, timeout_s=PATIENCE_S)
    assert "restored from a backup of" in (await successor.status())["store"]
    await successor.logged("SecurityLogWasCleared")
    await charging(csms, site, after=mark)
    site["box"].plug_out()
    await csms.wait_for("StopTransaction", after=mark, timeout_s=PATIENCE_S)
    after = told(csms)
    assert [len(each) for each in after.values()] == [2, 2], "one more car, and nothing of the past again"
    assert [each[:1] for each in after.values()] == list(before.values())
    assert len({number for number, _ in after["stopped"]}) == 2
    assert csms.violations == []


async def test_a_successor_from_a_final_backup_tells_what_waited_and_what_ran_exactly_once(
    edged: Edged, successor: Edged, csms: Csms, site: SimulatedSite, folder: Path, said: Said
) -> None:
    await charging(csms, site)
    await edged.knows(lambda station: station["queued"] == 0)
    csms.cut()
    site["box"].plug_out()
    await edged.knows(lambda station: station["queued"] > 0)
    await stopped(edged)
    path = folder / "final.tar.gz"
    assert (await said(edged, "backup", path, "--final"))[0] == 0
    await edged.start()
    assert await edged.ended() == REFUSED, "two controllers that both go on would tell everything twice"
    assert "given up for another one" in edged.log
    assert (await said(successor, "restore", path))[0] == 0
    csms.restore()
    await successor.up()
    await csms.wait_for("StopTransaction", timeout_s=PATIENCE_S)
    await successor.knows(lambda station: station["queued"] == 0)
    assert (await successor.status())["store"] == "ok"
    assert [len(each) for each in told(csms).values()] == [1, 1]
    assert csms.violations == []


async def test_no_number_of_a_transaction_is_used_twice_by_a_successor(
    folder: Path, successor: Edged, csms: Csms, site: SimulatedSite, said: Said
) -> None:
    """2.0.1: what still ran at the final backup ends once, under the next number of its transaction."""
    (folder / "first").mkdir()
    first = Edged(folder / "first")
    document = site_file({"box": charger("phoenix-charx-sec", site.endpoint("box"))}, csms=csms.url)
    document["stations"][0]["csms"]["versions"] = ["ocpp2.0.1"]
    first.configure(document)
    try:
        await first.up()
        await csms.wait_for("StatusNotification", timeout_s=PATIENCE_S)
        site["box"].plug_in()
        await csms.wait_for(
            "StatusNotification", lambda one: one["connectorStatus"] == "Occupied", timeout_s=PATIENCE_S
        )
        site["box"].swipe("ALICE")

        def is_charging(event: dict[str, Any]) -> bool:
            return bool(event["transactionInfo"].get("chargingState") == "Charging")

        await csms.wait_for("TransactionEvent", is_charging, timeout_s=PATIENCE_S)
        await first.knows(lambda station: station["queued"] == 0)
        await stopped(first)
        assert (await said(first, "backup", folder / "final.tar.gz", "--final"))[0] == 0
    finally:
        await first.close()
    (event, *_) = csms.received("TransactionEvent")
    name = event["transactionInfo"]["transactionId"]
    assert (await said(successor, "restore", folder / "final.tar.gz"))[0] == 0
    await successor.up()
    await csms.wait_for("TransactionEvent", lambda event: event["eventType"] == "Ended", timeout_s=PATIENCE_S)
    await successor.knows(lambda station: station["queued"] == 0)
    events = [one for one in csms.received("TransactionEvent") if one["transactionInfo"]["transactionId"] == name]
    assert [one["seqNo"] for one in events] == list(range(len(events)))
    assert [one["eventType"] for one in events].count("Ended") == 1
    assert events[-1]["eventType"] == "Ended"
    assert csms.violations == []
