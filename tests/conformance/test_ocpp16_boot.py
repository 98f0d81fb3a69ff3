"""Booting in the official 1.6 list, and the rules for a station that is not accepted yet."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from edged.simulator.csms import Csms, CsmsError, CsmsTimeout, ErrorAnswer
from edged.simulator.csms_record import Direction, Frame, Kind
from tests.conformance.scene import SOCKET, TWO_SOCKETS, OpenScene, Scene

NOW = "2026-03-01T12:00:00Z"


def refusing(status: str, *, interval: int, times: int | None = 1) -> Callable[[Csms], None]:
    """A CSMS that does not take the station in, so many times (None: ever)."""

    def script(csms: Csms) -> None:
        csms.answer("BootNotification", {"status": status, "currentTime": NOW, "interval": interval}, times=times)

    return script


def boots(scene: Scene) -> list[Frame]:
    return [frame for frame in scene.csms.record if frame.is_call("BootNotification", None)]


def waits(scene: Scene) -> list[float]:
    """The seconds between one BootNotification and the next."""
    return [after.at_s - before.at_s for before, after in pairwise(boots(scene))]


@pytest.mark.req("TC_001_CS", "16-BOOT-01", "16-BOOT-02", "16-BOOT-03", "16-BOOT-04")
async def test_TC_001_CS_cold_boot(open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS, script=refusing("Rejected", interval=2))
    assert scene.calls()[:2] == ["BootNotification", "BootNotification"]
    assert waits(scene)[0] >= 2.0
    statuses = [call for call in scene.calls() if call.startswith("Status")]
    assert sorted(statuses) == ["Status 0 Available", "Status 1 Available", "Status 2 Available"]
    first = boots(scene)[0].payload
    assert isinstance(first, dict)
    assert (first["chargePointVendor"], first["chargePointModel"]) == ("Example Energy", "Depot 3")
    assert await scene.value_of("HeartbeatInterval") == "300"  # the interval of the answer


@pytest.mark.req("TC_002_CS", "16-BOOT-05")
async def test_TC_002_CS_cold_boot_pending(open_scene: OpenScene) -> None:
    scene = await open_scene(script=refusing("Pending", interval=3), wait=False)
    await scene.csms.wait_for("BootNotification")
    assert await scene.value_of("NumberOfConnectors") == "1"
    await scene.configure("MeterValueSampleInterval", 30)
    assert await scene.value_of("MeterValueSampleInterval") == "30"
    await scene.ready()
    assert scene.calls(after=0)[:2] == ["BootNotification", "BootNotification"]
    assert waits(scene)[0] >= 3.0
    await scene.expect_status("Available", 0)
    await scene.expect_status("Available", 1)


@pytest.mark.req("16-BOOT-05")
async def test_while_pending_remote_start_and_stop_are_rejected(open_scene: OpenScene) -> None:
    scene = await open_scene(script=refusing("Pending", interval=60, times=None), wait=False)
    await scene.csms.wait_for("BootNotification")
    assert await scene.remote_start("ALICE") == "Rejected"
    assert await scene.status_of("RemoteStopTransaction", transactionId=1) == "Rejected"


@pytest.mark.req("16-BOOT-05", "16-BOOT-08", "TC_054_CS")
async def test_while_pending_only_what_is_triggered_is_sent(open_scene: OpenScene) -> None:
    scene = await open_scene(SOCKET, script=refusing("Pending", interval=60, times=None), wait=False)
    await scene.csms.wait_for("BootNotification")
    scene.plug()  # something to report
    await scene.knows(lambda state: state["connectors"][0]["plugged"])
    assert await scene.status_of("TriggerMessage", requestedMessage="StatusNotification", connectorId=1) == "Accepted"
    await scene.expect_status("Preparing", 1)
    assert scene.calls(after=0) == ["BootNotification", "Status 1 Preparing"]
    assert await scene.status_of("TriggerMessage", requestedMessage="BootNotification") == "Accepted"
    await scene.expect("BootNotification")
    assert len(boots(scene)) == 2


@pytest.mark.req("16-BOOT-04")
async def test_while_rejected_the_station_says_nothing_at_all(open_scene: OpenScene) -> None:
    scene = await open_scene(script=refusing("Rejected", interval=60, times=None), wait=False)
    await scene.csms.wait_for("BootNotification")
    scene.plug()
    await scene.knows(lambda state: state["connectors"][0]["plugged"])
    with pytest.raises(CsmsTimeout):
        await scene.csms.call("GetConfiguration", {}, timeout_s=1.5)
    assert [frame.action for frame in scene.csms.record if frame.direction is Direction.RECEIVED] == [
        "BootNotification"
    ]


@pytest.mark.req("16-BOOT-03")
async def test_an_interval_of_0_is_not_taken_for_at_once(open_scene: OpenScene) -> None:
    scene = await open_scene(script=refusing("Rejected", interval=0, times=None), wait=False)
    await scene.csms.wait_for("BootNotification")
    await scene.site.until(lambda: scene.unit().requests >= 20)  # a second or two
    assert len(boots(scene)) == 1


@pytest.mark.req("16-BOOT-03")
async def test_a_line_that_breaks_does_not_shorten_the_wait(open_scene: OpenScene) -> None:
    scene = await open_scene(script=refusing("Pending", interval=4), wait=False)
    await scene.csms.wait_for("BootNotification")
    assert await scene.value_of("NumberOfConnectors") == "1"  # so the answer to the boot has arrived
    await scene.cut()
    await scene.restore()
    await scene.ready()
    assert waits(scene)[0] >= 4.0
    assert len(boots(scene)) == 2


@pytest.mark.req("16-BOOT-01", "16-BOOT-07")
async def test_who_was_never_accepted_charges_nobody(open_scene: OpenScene) -> None:
    scene = await open_scene(script=refusing("Pending", interval=60, times=None), wait=False)
    await scene.csms.wait_for("BootNotification")
    scene.plug()
    scene.swipe("ALICE")
    await scene.site.until(lambda: not scene.point().token)
    await scene.knows(lambda state: state["connectors"][0]["plugged"])
    assert not scene.point().permit
    assert scene.calls(after=0) == ["BootNotification"]


@pytest.mark.req("16-BOOT-06")
async def test_a_boot_that_is_answered_with_an_error_is_sent_again_later(open_scene: OpenScene) -> None:
    scene = await open_scene(
        script=lambda csms: csms.answer("BootNotification", ErrorAnswer("InternalError"), times=1), wait=False
    )
    await scene.csms.wait_for("BootNotification")
    await scene.site.until(lambda: scene.unit().requests >= 20)  # a second or two
    assert scene.calls(after=0) == ["BootNotification"]
    with pytest.raises(CsmsError):  # nobody is served before the boot was accepted... but the frame is answered
        await scene.call("NoSuchAction")
    assert [f.kind for f in scene.csms.record if f.direction is Direction.RECEIVED][-1] is Kind.ERROR
