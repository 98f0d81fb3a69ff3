"""The main job with a charger that speaks no Modbus: an OpenEVSE on a serial line, which restarts in the middle."""

from __future__ import annotations

import pytest

from edged.simulator.makes.openevse import OpenEvse
from tests.conformance.scene import OPENEVSE, OpenScene, Scene


def controller(scene: Scene) -> OpenEvse:
    unit = scene.unit()
    assert isinstance(unit, OpenEvse)
    return unit


async def limit_to(scene: Scene, amperes: float) -> str:
    """A ceiling on the one connector, whoever charges there."""
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": amperes}]}
    one = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
    }
    return await scene.status_of("SetChargingProfile", connectorId=1, csChargingProfiles=one)


async def test_it_is_reserved_charges_within_its_limit_across_a_restart_unlocks_and_resets(
    open_scene: OpenScene,
) -> None:
    scene = await open_scene(OPENEVSE)
    device, point = controller(scene), scene.point()
    assert await scene.reserve("ALICE") == "Accepted"
    await scene.expect_status("Reserved")
    scene.plug()
    await scene.settled()
    assert (point.contactor_closed, point.offered_ma) == (False, 0)
    assert await scene.remote_start("ALICE") == "Accepted"
    await scene.expect("StartTransaction", reservationId=1)
    await scene.expect_status("Charging")

    assert await limit_to(scene, 10.0) == "Accepted"
    await scene.site.until(lambda: point.current_ma == 10_000, timeout_s=30)

    scene.unit().reboot()  # on its own: $AB is all that is told of it
    await scene.site.until(lambda: point.contactor_closed and device.reachable, timeout_s=30)
    assert point.current_ma == 10_000, "energy came before the limit"
    await scene.settled()
    assert scene.messages("StopTransaction") == []

    assert await scene.status_of("UnlockConnector", connectorId=1) == "Unlocked"
    assert (await scene.expect("StopTransaction"))["reason"] == "UnlockCommand"
    assert (point.contactor_closed, point.lock_closed) == (False, False)
    scene.unplug()
    await scene.expect_status("Available")

    boots = device.boots
    assert await scene.status_of("Reset", type="Hard") == "Accepted"
    await scene.expect("BootNotification", within_s=30.0)
    await scene.ready(after=scene.since)
    assert device.boots == boots + 1
    assert device.eeprom_writes == {"SC": 0, "SY": 1}


async def test_a_jammed_lock_is_told_and_a_fault_shows_with_its_code(
    open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.chargers.rapi.actions.VERIFY_S", 0.5)
    scene = await open_scene(OPENEVSE)
    scene.plug()
    await scene.expect_status("Preparing")
    assert await scene.remote_start("ALICE") == "Accepted"
    await scene.energy_flows()
    controller(scene).force("fault", 6, 1)
    await scene.expect_status("Faulted", errorCode="GroundFailure", vendorErrorCode="06")
    scene.mend()
    await scene.energy_flows()
    scene.point().jam_lock(True)
    assert await scene.status_of("UnlockConnector", connectorId=1) == "UnlockFailed"
