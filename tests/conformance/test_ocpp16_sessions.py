"""Charging sessions of the official 1.6 list: who starts, who stops, what the cable and the CSMS say to it."""

from __future__ import annotations

import pytest

from edged.domain.hardware import FaultCode
from tests.conformance.scene import KEBA, LOCKING, SOCKET, OpenScene, Scene

# --- who comes first


@pytest.mark.req("TC_003_CS")
async def test_TC_003_CS_plug_in_first(open_scene: OpenScene) -> None:
    scene = await open_scene()
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")
    start = await scene.expect("StartTransaction", connectorId=1, idTag="ALICE")
    await scene.expect_status("Charging")
    assert "reservationId" not in start
    assert scene.in_order("Authorize", "StartTransaction", "Status 1 Charging")


@pytest.mark.req("TC_004_1_CS")
async def test_TC_004_1_CS_identification_first(open_scene: OpenScene) -> None:
    scene = await open_scene()
    scene.swipe("ALICE")
    await scene.expect("Authorize", idTag="ALICE")
    await scene.expect_status("Preparing")
    await scene.settled()
    assert scene.payloads("StartTransaction") == []
    scene.plug()
    await scene.expect("StartTransaction", connectorId=1, idTag="ALICE")
    await scene.expect_status("Charging")


@pytest.mark.req("TC_004_2_CS", "16-TX-12")
async def test_TC_004_2_CS_identification_first_and_nobody_plugs_in(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"ConnectionTimeOut": 2})
    scene.swipe("ALICE")
    preparing = await scene.expect_status("Preparing")
    available = await scene.expect_status("Available")
    assert preparing["timestamp"] < available["timestamp"]
    scene.plug()  # too late: this driver would have to show the token again
    await scene.expect_status("Preparing")
    await scene.settled()
    assert scene.payloads("StartTransaction") == []


@pytest.mark.req("TC_003_CS", "16-AUTH-01")
async def test_TC_003_CS_plug_in_first_at_a_charger_that_locks_by_itself(open_scene: OpenScene) -> None:
    scene = await open_scene(KEBA)
    scene.csms.answers.tokens["0A0B0C0D"] = scene.tokens["ALICE"]
    await scene.energy_withheld()
    scene.plug()
    await scene.expect_status("Preparing")
    await scene.settled()
    assert scene.point().energy_wh == 0
    scene.swipe("0A0B0C0D")
    await scene.expect("StartTransaction", idTag="0A0B0C0D")
    await scene.expect_status("Charging")


# --- the EV goes


@pytest.mark.req("TC_005_1_CS", "16-ST-03")
async def test_TC_005_1_CS_ev_side_disconnect_stops_and_unlocks(open_scene: OpenScene) -> None:
    scene = await open_scene(
        keys={"StopTransactionOnEVSideDisconnect": True, "UnlockConnectorOnEVSideDisconnect": True}
    )
    transaction = await scene.charging()
    scene.unplug()
    stop = await scene.expect("StopTransaction", transactionId=transaction)
    await scene.expect_status("Finishing", info="EV side disconnected")
    await scene.expect_status("Available")
    assert stop["reason"] == "EVDisconnected"
    assert not scene.point().cable_in


@pytest.mark.req("TC_005_2_CS", "16-TX-10")
@pytest.mark.parametrize("released_by", ["the CSMS", "the driver"])
async def test_TC_005_2_CS_ev_side_disconnect_stops_and_keeps_the_cable(
    open_scene: OpenScene, released_by: str
) -> None:
    scene = await open_scene(
        LOCKING, keys={"StopTransactionOnEVSideDisconnect": True, "UnlockConnectorOnEVSideDisconnect": False}
    )
    transaction = await scene.charging()
    scene.unplug()
    stop = await scene.expect("StopTransaction", transactionId=transaction)
    await scene.expect_status("Finishing")
    await scene.settled()
    assert stop["reason"] == "EVDisconnected"
    assert scene.point().lock_closed
    assert "Status 1 Available" not in scene.calls()
    if released_by == "the CSMS":
        assert await scene.status_of("UnlockConnector", connectorId=1) == "Unlocked"
    else:
        scene.swipe("ALICE")
    await scene.expect_status("Available")
    await scene.site.until(lambda: not scene.point().cable_in)
    assert scene.payloads("Authorize") == []


@pytest.mark.req("TC_005_3_CS", "16-ST-03")
async def test_TC_005_3_CS_ev_side_disconnect_suspends(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"StopTransactionOnEVSideDisconnect": False})
    transaction = await scene.charging()
    scene.unplug()
    await scene.expect_status("SuspendedEV", info="EV side disconnected", errorCode="NoError")
    await scene.settled()
    assert scene.payloads("StopTransaction") == []
    assert await scene.status_of("RemoteStopTransaction", transactionId=transaction) == "Accepted"
    stop = await scene.expect("StopTransaction", transactionId=transaction)
    assert stop["reason"] == "Remote"


@pytest.mark.req("TC_005_3_CS")
async def test_TC_005_3_CS_the_transaction_goes_on_when_the_driver_plugs_in_again(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"StopTransactionOnEVSideDisconnect": False})
    await scene.charging()
    scene.unplug()
    await scene.expect_status("SuspendedEV")
    scene.plug()
    await scene.expect_status("Charging")
    assert scene.payloads("StartTransaction") == []


# --- a token stops


@pytest.mark.req("TC_068_CS", "16-AUTH-10")
async def test_TC_068_CS_stop_with_the_token_that_started(open_scene: OpenScene) -> None:
    scene = await open_scene()
    transaction = await scene.charging("ALICE")
    scene.swipe("alice")  # a token's case does not count
    stop = await scene.expect("StopTransaction", transactionId=transaction)
    await scene.expect_status("Finishing")
    assert stop["idTag"].upper() == "ALICE"
    assert stop.get("reason", "Local") == "Local"
    assert scene.payloads("Authorize") == []


@pytest.mark.req("TC_069_CS", "16-AUTH-10")
async def test_TC_069_CS_stop_with_another_token_of_the_same_parent(open_scene: OpenScene) -> None:
    scene = await open_scene()
    transaction = await scene.charging("MUM")
    scene.swipe("DAD")
    await scene.expect("Authorize", idTag="DAD")
    stop = await scene.expect("StopTransaction", transactionId=transaction)
    await scene.expect_status("Finishing")
    assert stop["idTag"] == "DAD"
    assert stop.get("reason", "Local") == "Local"


@pytest.mark.req("16-AUTH-10")
async def test_a_token_of_another_parent_does_not_stop_the_transaction(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await scene.charging("MUM")
    scene.swipe("BOB")
    await scene.expect("Authorize", idTag="BOB")
    await scene.settled()
    assert scene.payloads("StopTransaction") == []
    assert scene.point().contactor_closed


# --- the cache


async def cached(scene: Scene) -> None:
    """Alice has charged here before."""
    await scene.charging("ALICE")
    scene.swipe("ALICE")
    await scene.expect("StopTransaction")
    scene.unplug()
    await scene.expect_status("Available")


CACHING = {"AuthorizationCacheEnabled": True, "LocalPreAuthorize": True, "AuthorizeRemoteTxRequests": True}


@pytest.mark.req("TC_007_1_CS", "16-AUTH-03")
async def test_TC_007_1_CS_local_start_with_a_cached_token(open_scene: OpenScene) -> None:
    scene = await open_scene(keys=CACHING)
    await cached(scene)
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")
    await scene.expect("StartTransaction", idTag="ALICE")
    await scene.expect_status("Charging")
    assert scene.payloads("Authorize") == []


@pytest.mark.req("TC_007_2_CS")
async def test_TC_007_2_CS_remote_start_with_a_cached_token(open_scene: OpenScene) -> None:
    scene = await open_scene(keys=CACHING)
    await cached(scene)
    begin = scene.csms.mark()
    assert await scene.remote_start("ALICE") == "Accepted"
    await scene.expect_status("Preparing")
    scene.plug()
    await scene.expect("StartTransaction", idTag="ALICE")
    await scene.expect_status("Charging")
    assert scene.payloads("Authorize", after=begin) == []


@pytest.mark.req("TC_061_1_CS")
async def test_TC_061_1_CS_clear_cache_and_start_locally(open_scene: OpenScene) -> None:
    scene = await open_scene(keys=CACHING)
    await cached(scene)
    assert await scene.status_of("ClearCache") == "Accepted"
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")
    await scene.expect("StartTransaction")
    assert scene.in_order("Authorize", "StartTransaction")


@pytest.mark.req("TC_061_2_CS")
async def test_TC_061_2_CS_clear_cache_and_start_remotely(open_scene: OpenScene) -> None:
    scene = await open_scene(keys=CACHING)
    await cached(scene)
    assert await scene.status_of("ClearCache") == "Accepted"
    scene.plug()
    await scene.expect_status("Preparing")
    assert await scene.remote_start("ALICE") == "Accepted"
    await scene.expect("StartTransaction")
    assert scene.in_order("Authorize", "StartTransaction")


# --- the CSMS starts and stops


@pytest.mark.req("TC_010_CS")
@pytest.mark.parametrize("asks", [True, False], ids=["with Authorize", "without"])
async def test_TC_010_CS_remote_start_with_the_cable_in(open_scene: OpenScene, asks: bool) -> None:
    scene = await open_scene(keys={"AuthorizeRemoteTxRequests": asks})
    scene.plug()
    await scene.expect_status("Preparing")
    assert await scene.remote_start("ALICE") == "Accepted"
    await scene.expect("StartTransaction", idTag="ALICE")
    await scene.expect_status("Charging")
    assert len(scene.payloads("Authorize")) == asks


@pytest.mark.req("TC_011_1_CS")
async def test_TC_011_1_CS_remote_start_before_the_cable(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.remote_start("ALICE") == "Accepted"
    await scene.expect_status("Preparing")
    scene.plug()
    await scene.expect("StartTransaction", idTag="ALICE")
    await scene.expect_status("Charging")


@pytest.mark.req("TC_011_2_CS", "16-TX-12")
async def test_TC_011_2_CS_remote_start_and_nobody_plugs_in(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"ConnectionTimeOut": 2})
    assert await scene.remote_start("ALICE") == "Accepted"
    await scene.expect_status("Preparing")
    await scene.expect_status("Available")
    assert scene.payloads("StartTransaction") == []


@pytest.mark.req("TC_012_CS")
async def test_TC_012_CS_remote_stop(open_scene: OpenScene) -> None:
    scene = await open_scene()
    transaction = await scene.charging()
    await scene.energy_flows(wh=20)
    assert await scene.status_of("RemoteStopTransaction", transactionId=transaction) == "Accepted"
    stop = await scene.expect("StopTransaction", transactionId=transaction, reason="Remote")
    await scene.expect_status("Finishing")
    await scene.energy_off()
    assert stop["meterStop"] > 0
    scene.unplug()
    await scene.expect_status("Available")


@pytest.mark.req("TC_026_CS", "16-TX-13")
async def test_TC_026_CS_remote_start_on_a_connector_in_use(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await scene.charging()
    assert await scene.remote_start("BOB") == "Rejected"
    await scene.settled()
    assert scene.payloads("StopTransaction") == scene.payloads("StartTransaction") == []


@pytest.mark.req("TC_027_CS")
async def test_TC_027_CS_remote_start_on_connector_0(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.remote_start("ALICE", 0) == "Rejected"


@pytest.mark.req("TC_028_CS")
async def test_TC_028_CS_remote_stop_of_an_unknown_transaction(open_scene: OpenScene) -> None:
    scene = await open_scene()
    transaction = await scene.charging()
    assert await scene.status_of("RemoteStopTransaction", transactionId=transaction + 1) == "Rejected"
    await scene.settled()
    assert scene.payloads("StopTransaction") == []


# --- nobody may start


@pytest.mark.req("TC_023_4_CS", "16-AUTH-01")
@pytest.mark.parametrize("tag", ["STRANGER", "THIEF", "LATE"])
async def test_TC_023_4_CS_local_start_is_not_authorized(open_scene: OpenScene, tag: str) -> None:
    scene = await open_scene()
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe(tag)
    await scene.expect("Authorize", idTag=tag)
    await scene.settled()
    assert scene.payloads("StartTransaction") == []
    assert not scene.point().permit


@pytest.mark.req("TC_023_5_CS")
@pytest.mark.parametrize("tag", ["STRANGER", "THIEF", "LATE"])
async def test_TC_023_5_CS_remote_start_is_not_authorized(open_scene: OpenScene, tag: str) -> None:
    scene = await open_scene(keys={"AuthorizeRemoteTxRequests": True})
    scene.plug()
    await scene.expect_status("Preparing")
    assert await scene.remote_start(tag) == "Accepted"
    await scene.expect("Authorize", idTag=tag)
    await scene.settled()
    assert scene.payloads("StartTransaction") == []
    assert not scene.point().permit


@pytest.mark.req("TC_024_CS")
async def test_TC_024_CS_the_lock_fails_at_the_start(open_scene: OpenScene) -> None:
    scene = await open_scene(LOCKING)
    scene.point().jam_lock(True)
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")
    await scene.expect_status("Faulted", errorCode="ConnectorLockFailure")
    await scene.settled()
    assert scene.payloads("StartTransaction") == []
    assert not scene.point().contactor_closed


@pytest.mark.req("TC_041_CS")
async def test_TC_041_CS_a_fault_keeps_everybody_from_charging(open_scene: OpenScene) -> None:
    scene = await open_scene(SOCKET)
    begin = scene.csms.mark()
    scene.plug()
    await scene.expect_status("Preparing")
    scene.fault(FaultCode.GROUND)
    faulted = await scene.expect_status("Faulted", errorCode="GroundFailure")
    assert faulted["vendorErrorCode"]
    assert await scene.remote_start("ALICE") == "Rejected"
    scene.swipe("ALICE")
    await scene.settled()
    scene.mend()
    await scene.expect_status("Preparing", errorCode="NoError")
    await scene.settled()
    assert scene.payloads("StartTransaction", after=begin) == []
    assert not scene.point().permit
