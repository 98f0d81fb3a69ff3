"""The scene of 2.0.1 itself: its moves reach the station, and its words find what the station says."""

from __future__ import annotations

from tests.conformance.scene201 import TWO_SOCKETS, OpenScene201


async def test_a_driver_charges_and_stops(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    begin = scene.csms.mark()
    transaction = await scene.charging("ALICE")
    await scene.energy_flows(wh=10.0)
    scene.swipe("ALICE")
    scene.unplug()
    await scene.expect_status("Available")
    await scene.answered()
    events = scene.events(transaction, after=begin)
    assert [events[0]["eventType"], events[-1]["eventType"]] == ["Started", "Ended"]
    assert scene.in_order("Status 1 Occupied", "Status 1 Available", after=begin)
    assert scene.csms.transactions[transaction].ended
    assert scene.transaction_id() == transaction


async def test_a_transaction_is_started_and_stopped_from_afar(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    scene.plug(2)
    await scene.expect_status("Occupied", 2)
    assert await scene.request_start("ALICE", 2) == "Accepted"
    event = await scene.expect_event(evse=2, remoteStartId=scene.remote_start_id)
    transaction = event["transactionInfo"]["transactionId"]
    await scene.expect_event(evse=2, charging_state="Charging", transactionId=transaction)
    assert await scene.request_stop(transaction) == "Accepted"
    await scene.expect_event(trigger="RemoteStop", transactionId=transaction)


async def test_a_place_is_reserved_and_free_again(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    assert await scene.reserve("MUM", group="FAMILY") == "Accepted"
    await scene.expect_status("Reserved")
    assert await scene.cancel_reservation() == "Accepted"
    await scene.expect_status("Available")


async def test_variables_are_read_and_written(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"OCPPCommCtrlr.HeartbeatInterval": 500})
    assert await scene.set_variable("OCPPCommCtrlr", "HeartbeatInterval", 600) == "Accepted"
    assert await scene.get_variable("OCPPCommCtrlr", "HeartbeatInterval") == "600"
    assert await scene.value_of("OCPPCommCtrlr.Nonsense") == "UnknownVariable"
    await scene.configure("OCPPCommCtrlr.HeartbeatInterval", 700)


async def test_reports_come_whole(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    entries = await scene.base_report("FullInventory")
    names = {(entry["component"]["name"], entry["variable"]["name"]) for entry in entries}
    assert ("OCPPCommCtrlr", "HeartbeatInterval") in names
    (entry,) = await scene.report("OCPPCommCtrlr.HeartbeatInterval")
    assert entry["variableAttribute"][0]["mutability"] == "ReadWrite"
    assert await scene.charging_profiles(chargingProfilePurpose="TxProfile") == []
