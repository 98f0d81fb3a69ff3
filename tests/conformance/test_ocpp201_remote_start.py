"""Remote start and stop over the wire; cases of use cases F01 to F04."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.scene201 import SOCKET, TETHERED, TWO_SOCKETS, OpenScene201, Scene201

CARD = {"idToken": "ALICE", "type": "ISO14443"}
TX_PROFILE: dict[str, Any] = {
    "id": 11,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [
        {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}]}
    ],
}


async def request(scene: Scene201, evse: int | None = 1, **more: object) -> dict[str, Any]:
    """The whole answer to a RequestStartTransaction for Alice, with the id 77."""
    named = {} if evse is None else {"evseId": evse}
    return await scene.call("RequestStartTransaction", idToken=CARD, remoteStartId=77, **named, **more)


@pytest.mark.req(
    "TC_F_01_CS", "F01.FR.03", "F01.FR.04", "F01.FR.05", "F01.FR.13", "F01.FR.17", "F01.FR.19", "F02.FR.01"
)
async def test_TC_F_01_CS_a_car_that_is_plugged_in_is_started(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(
        TWO_SOCKETS, keys={"TxCtrlr.TxStartPoint": "EVConnected", "AuthCtrlr.AuthorizeRemoteStart": False}
    )
    scene.plug(2)
    begun = await scene.expect_event("Started", "CablePluggedIn", evse=2)
    transaction = begun["transactionInfo"]["transactionId"]
    assert await request(scene, 2) == {"status": "Accepted", "transactionId": transaction}
    event = await scene.expect_event("Updated", "RemoteStart", transactionId=transaction)
    assert (event["idToken"], event["transactionInfo"]["remoteStartId"]) == (CARD, 77)
    await scene.expect_event(charging_state="Charging", transactionId=transaction)
    await scene.energy_flows(2)
    assert scene.messages("Authorize") == []


@pytest.mark.req("TC_F_02_CS", "F02.FR.01", "F01.FR.01", "F02.FR.09")
async def test_TC_F_02_CS_before_the_plug_with_authorization(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"AuthCtrlr.AuthorizeRemoteStart": True})
    assert await request(scene) == {"status": "Accepted"}
    begin = scene.since
    await scene.expect("Authorize", idToken=CARD)
    scene.plug()
    event = await scene.expect_event("Started", remoteStartId=77)
    assert (event["idToken"], event["triggerReason"]) == (CARD, "RemoteStart")
    await scene.expect_event(charging_state="Charging")
    scene.swipe("ALICE")
    await scene.expect_event("Ended")
    scene.unplug()
    await scene.expect_status("Available")
    assert await scene.request_start("THIEF") == "Accepted"
    await scene.expect("Authorize", idToken={"idToken": "THIEF", "type": "ISO14443"})
    scene.plug()
    await scene.expect_status("Occupied")
    await scene.settled()
    assert scene.events() == [] and len(scene.messages("Authorize", after=begin)) == 2


@pytest.mark.req("TC_F_03_CS", "F02.FR.01", "F01.FR.02", "F02.FR.10", "F02.FR.05", "F02.FR.21")
async def test_TC_F_03_CS_before_the_plug_without_authorization(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"AuthCtrlr.AuthorizeRemoteStart": False, "TxCtrlr.TxStartPoint": "Authorized"})
    assert await request(scene) == {"status": "Accepted"}
    begin = scene.since
    event = await scene.expect_event("Started", "RemoteStart", remoteStartId=77)
    assert event["idToken"] == CARD
    scene.plug()
    await scene.expect_event("Updated", "CablePluggedIn")
    await scene.expect_event(charging_state="Charging")
    assert scene.messages("Authorize", after=begin) == []


@pytest.mark.req("TC_F_04_CS", "F02.FR.01", "E03.FR.01", "E03.FR.05", "F02.FR.07")
async def test_TC_F_04_CS_without_a_plug_in_time_the_start_is_over(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxCtrlr.EVConnectionTimeOut": 1, "TxCtrlr.TxStartPoint": "Authorized"})
    assert await request(scene) == {"status": "Accepted"}
    await scene.expect_event("Started", "RemoteStart")
    ended = await scene.expect_event("Ended", "EVConnectTimeout")
    assert ended["transactionInfo"]["stoppedReason"] == "Timeout"
    scene.plug()
    await scene.expect_status("Occupied")
    await scene.settled()
    assert scene.events() == []


@pytest.mark.req("TC_F_08_CS", "F03.FR.03", "F03.FR.07", "F03.FR.09", "F03.FR.02", "F04.FR.02", "F04.FR.03")
@pytest.mark.parametrize("ends_at_once", [True, False])
async def test_TC_F_08_CS_a_transaction_is_stopped(open_scene201: OpenScene201, ends_at_once: bool) -> None:
    scene = await open_scene201(keys={"TxCtrlr.TxStopPoint": "Authorized" if ends_at_once else "EVConnected"})
    transaction = await scene.charging()
    assert await scene.request_stop(transaction) == "Accepted"
    if not ends_at_once:
        await scene.expect_event("Updated", "RemoteStop", transactionId=transaction)
        await scene.energy_off()
        scene.unplug()
    ended = await scene.expect_event("Ended", transactionId=transaction)
    assert ended["transactionInfo"]["stoppedReason"] == "Remote"
    assert not ends_at_once or ended["triggerReason"] == "RemoteStop"
    await scene.energy_off()


@pytest.mark.req("TC_F_09_CS", "F03.FR.08")
async def test_TC_F_09_CS_a_transaction_that_does_not_run_is_not_stopped(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    transaction = await scene.charging()
    assert await scene.request_stop("8bd01d36-0000-4000-8000-000000000000") == "Rejected"
    assert not scene.csms.transactions[transaction].ended
    assert await scene.request_stop(transaction) == "Accepted"
    await scene.expect_event("Ended")
    assert await scene.request_stop(transaction) == "Rejected"


@pytest.mark.req("F01.FR.21", "F01.FR.23", "F01.FR.24", "F02.FR.23", "F02.FR.25", "F02.FR.26")
async def test_a_place_that_is_not_to_be_had_is_rejected(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    assert (await request(scene, 3))["statusInfo"]["reasonCode"] == "UnknownEvse"
    assert await scene.reserve("BOB", 2) == "Accepted"
    assert (await request(scene, 2))["status"] == "Rejected"
    await scene.charging("BOB", 1)
    assert (await request(scene, 1))["statusInfo"]["reasonCode"] == "TxInProgress"
    assert (await request(scene, None))["status"] == "Rejected"


@pytest.mark.req("F01.FR.08", "F01.FR.09", "F01.FR.11", "F01.FR.26", "F02.FR.16", "F02.FR.27", "K05.FR.02")
@pytest.mark.parametrize("box", [SOCKET, TETHERED], ids=lambda box: str(box.make))
async def test_a_profile_comes_with_the_start_and_goes_with_the_transaction(
    open_scene201: OpenScene201, box: Any
) -> None:
    scene = await open_scene201(box)
    scene.plug()
    await scene.expect_status("Occupied")
    for wrong in ({"chargingProfilePurpose": "TxDefaultProfile"}, {"transactionId": "somebody's"}):
        refused = await request(scene, chargingProfile={**TX_PROFILE, **wrong})
        assert refused["statusInfo"]["reasonCode"] == "InvalidProfile"
    assert (await request(scene, chargingProfile=TX_PROFILE))["status"] == "Accepted"
    await scene.expect_event(charging_state="Charging")
    await scene.site.until(lambda: scene.point().offered_ma == 8_000, timeout_s=15.0)
    assert [profile["id"] for profile in await scene.charging_profiles(chargingProfilePurpose="TxProfile")] == [11]
    assert await scene.request_stop(scene.transaction_id()) == "Accepted"
    await scene.expect_event("Ended")
    assert await scene.charging_profiles(chargingProfilePurpose="TxProfile") == []
