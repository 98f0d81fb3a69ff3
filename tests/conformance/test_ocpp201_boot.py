"""Booting in the official 2.0.1 list, B01 to B03, and the rules for a station that is not accepted yet."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from edged.simulator.csms import Csms, CsmsCallError
from edged.simulator.csms_record import Direction, Frame, Kind
from tests.conformance.scene201 import PATIENCE_S, TWO_SOCKETS, OpenScene201, Scene201

NOW = "2026-03-01T12:00:00Z"


def refusing(status: str, *, interval: int, times: int | None = 1) -> Callable[[Csms], None]:
    """A CSMS that does not take the station in, so many times (None: ever)."""

    def script(csms: Csms) -> None:
        csms.answer("BootNotification", {"status": status, "currentTime": NOW, "interval": interval}, times=times)

    return script


def boots(scene: Scene201) -> list[Frame]:
    return [frame for frame in scene.csms.record if frame.is_call("BootNotification", None)]


def waits(scene: Scene201) -> list[float]:
    """The seconds between one BootNotification and the next."""
    return [after.at_s - before.at_s for before, after in pairwise(boots(scene))]


@pytest.mark.req("TC_B_01_CS", "B01.FR.01", "B01.FR.03", "B01.FR.05", "B01.FR.08", "B01.FR.09")
async def test_TC_B_01_CS_cold_boot(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    calls = scene.calls(after=0)
    assert calls[0] == "BootNotification"
    assert {"Status 1 Available", "Status 2 Available"} <= set(calls)
    (boot,) = boots(scene)
    assert isinstance(boot.payload, dict)
    assert boot.payload["reason"] == "PowerUp"
    station = boot.payload["chargingStation"]
    assert (station["vendorName"], station["model"]) == ("Example Energy", "Depot 3")


@pytest.mark.req("B01.FR.04", "G02.FR.01", "G02.FR.02")
async def test_the_interval_of_the_answer_is_that_of_the_heartbeats(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(
        script=lambda csms: csms.answer("BootNotification", {"status": "Accepted", "currentTime": NOW, "interval": 1})
    )
    await scene.csms.wait_for("Heartbeat", after=scene.csms.mark(), timeout_s=5.0)


@pytest.mark.req("TC_B_02_CS", "B02.FR.01", "B02.FR.02", "B02.FR.04", "B02.FR.05", "B02.FR.06", "B02.FR.08")
async def test_TC_B_02_CS_cold_boot_pending(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(script=refusing("Pending", interval=2), wait=False)
    await scene.csms.wait_for("BootNotification")
    await scene.configure("OCPPCommCtrlr.HeartbeatInterval", 77)
    assert await scene.value_of("OCPPCommCtrlr.HeartbeatInterval") == "77"
    assert await scene.report("OCPPCommCtrlr.HeartbeatInterval")
    assert await scene.request_start("ALICE") == "Rejected"
    assert await scene.request_stop("unknown") == "Rejected"
    assert set(scene.calls(after=0)) == {"BootNotification", "NotifyReport"}
    await scene.ready()
    assert waits(scene)[0] >= 2.0


@pytest.mark.req("B02.FR.02", "B02.FR.08", "F06.FR.17", "B01.FR.09")
async def test_while_pending_only_what_is_triggered_is_sent(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(script=refusing("Pending", interval=60, times=None), wait=False)
    await scene.csms.wait_for("BootNotification")
    scene.plug()  # something to report
    await scene.knows(lambda state: state["connectors"][0]["plugged"])
    evse = {"id": 1, "connectorId": 1}
    assert await scene.status_of("TriggerMessage", requestedMessage="StatusNotification", evse=evse) == "Accepted"
    await scene.expect_status("Occupied", 1)
    assert scene.calls(after=0) == ["BootNotification", "Status 1 Occupied"]
    assert await scene.status_of("TriggerMessage", requestedMessage="BootNotification") == "Accepted"
    await scene.expect("BootNotification", reason="Triggered")
    assert len(boots(scene)) == 2


@pytest.mark.req("TC_B_03_CS", "TC_B_30_CS", "B03.FR.02", "B03.FR.04", "B03.FR.06", "B03.FR.08")
async def test_TC_B_03_CS_TC_B_30_CS_cold_boot_rejected(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(script=refusing("Rejected", interval=2), wait=False)
    await scene.csms.record.wait(
        lambda f: f.direction is Direction.SENT and f.kind is Kind.RESULT, after=0, timeout_s=PATIENCE_S
    )
    for action, payload in (
        ("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}),
        ("TriggerMessage", {"requestedMessage": "BootNotification"}),
        ("Nonsense", {}),
    ):
        with pytest.raises(CsmsCallError, match="SecurityError"):
            await scene.call(action, **payload)
    assert [f.action for f in scene.csms.record if f.direction is Direction.RECEIVED and f.kind is Kind.CALL] == [
        "BootNotification"
    ]
    await scene.ready()
    assert waits(scene)[0] >= 2.0
    assert scene.calls(after=0)[:2] == ["BootNotification", "BootNotification"]


@pytest.mark.req("B02.FR.07", "B03.FR.05")
@pytest.mark.parametrize("status", ["Pending", "Rejected"])
async def test_an_interval_of_0_is_not_taken_for_at_once(open_scene201: OpenScene201, status: str) -> None:
    scene = await open_scene201(script=refusing(status, interval=0, times=None), wait=False)
    await scene.csms.wait_for("BootNotification")
    await scene.site.until(lambda: scene.unit().requests >= 15)  # a second or two
    assert len(boots(scene)) == 1


@pytest.mark.req("B01.FR.09")
async def test_a_daemon_that_failed_says_so_at_its_next_boot(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(process=True)
    await scene.restart_daemon(kill=True)
    await scene.expect("BootNotification", reason="ApplicationReset")
