"""Reservations of the official 2.0.1 list, H01 to H04, and the promises that operators miss most."""

from __future__ import annotations

import pytest

from edged.domain.hardware import FaultCode
from tests.conformance.scene201 import SOCKET, TWO_SOCKETS, OpenScene201, Scene201

TYPE2 = "cType2"
"""The connector type of the sockets."""


async def reserved(scene: Scene201, token: str = "ALICE", evse: int | None = 1, **more: object) -> None:
    """A reservation that the CSMS sees at EVSE 1."""
    assert await scene.reserve(token, evse, **more) == "Accepted"  # type: ignore[arg-type]
    await scene.expect_status("Reserved")


async def names_its_reservation(scene: Scene201, transaction_id: str, id: int, *, after: int) -> None:
    """Each transaction that used one says so, once or more often."""
    await scene.answered()
    told = {e["reservationId"] for e in scene.events(transaction_id, after=after) if "reservationId" in e}
    assert told == {id}


# --- a specific EVSE


@pytest.mark.req("TC_H_01_CS", "H01.FR.15", "H01.FR.23", "H03.FR.01", "H03.FR.09", "H03.FR.10", "G01.FR.06")
async def test_TC_H_01_CS_the_driver_of_a_reserved_evse_charges(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await reserved(scene, id=7)
    begin = scene.csms.mark()
    scene.swipe("ALICE")
    await scene.expect_status("Available")  # no cable yet
    assert await scene.cancel_reservation(7) == "Rejected"  # it is used up
    scene.plug()
    await scene.expect_status("Occupied")
    event = await scene.expect_event(charging_state="Charging", evse=1)
    await names_its_reservation(scene, event["transactionInfo"]["transactionId"], 7, after=begin)


@pytest.mark.req("TC_H_02_CS", "H03.FR.01", "F01.FR.22", "G01.FR.09")
async def test_TC_H_02_CS_another_token_never_charges(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxStartPoint": "EVConnected"})
    await reserved(scene)
    begin = scene.csms.mark()
    assert await scene.request_start("BOB") == "Rejected"
    scene.plug()
    started = await scene.expect_event("Started", "CablePluggedIn", evse=1)
    scene.swipe("BOB")
    await scene.settled()
    assert scene.payloads("StatusNotification", after=begin) == []  # still Reserved
    assert not scene.point().permit
    scene.unplug()
    transaction = started["transactionInfo"]["transactionId"]
    await scene.expect_event("Ended", transactionId=transaction)
    await scene.answered()
    states = [e["transactionInfo"].get("chargingState") for e in scene.events(transaction, after=begin)]
    assert "Charging" not in states
    assert scene.point().energy_wh == 0


@pytest.mark.req("H03.FR.09", "H03.FR.10", "G01.FR.06", "G01.FR.09", "H01.FR.15", "E02.FR.03")
async def test_with_the_cable_in_its_driver_makes_it_occupied(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxStartPoint": "EVConnected"})
    await reserved(scene, id=7)
    begin = scene.csms.mark()
    scene.plug()
    started = await scene.expect_event("Started", evse=1)
    await scene.settled()
    assert scene.payloads("StatusNotification", after=begin) == []
    scene.swipe("ALICE")
    await scene.expect_status("Occupied")
    await scene.expect_event(charging_state="Charging", evse=1)
    await names_its_reservation(scene, started["transactionInfo"]["transactionId"], 7, after=begin)


@pytest.mark.req("TC_H_03_CS", "H01.FR.11")
async def test_TC_H_03_CS_a_reserved_evse_is_occupied(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await reserved(scene, id=1)
    assert await scene.reserve("BOB", 1, id=2) == "Occupied"
    assert await scene.reserve("ALICE", 1, id=3) == "Occupied"


@pytest.mark.req("TC_H_04_CS", "H01.FR.11", "H01.FR.13")
async def test_TC_H_04_CS_an_evse_in_use_is_occupied(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    scene.plug()
    await scene.expect_status("Occupied")
    assert await scene.reserve("BOB") == "Occupied"
    scene.swipe("ALICE")
    await scene.expect_event(charging_state="Charging", evse=1)
    assert await scene.reserve("BOB") == "Occupied"


@pytest.mark.req("TC_H_06_CS", "H01.FR.12", "H01.FR.14")
async def test_TC_H_06_CS_an_evse_out_of_service_is_unavailable(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    assert await scene.status_of("ChangeAvailability", operationalStatus="Inoperative", evse={"id": 1}) == "Accepted"
    await scene.expect_status("Unavailable", 1)
    assert await scene.reserve("ALICE", 1) == "Unavailable"
    scene.fault(FaultCode.GROUND, 2)
    await scene.expect_status("Faulted", 2)
    assert await scene.reserve("ALICE", 2) == "Faulted"


@pytest.mark.req("TC_H_07_CS", "H04.FR.01", "H04.FR.02", "H04.FR.03")
async def test_TC_H_07_CS_a_reservation_expires(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await reserved(scene, id=7, lasts_s=2.0)
    await scene.expect("ReservationStatusUpdate", reservationId=7, reservationUpdateStatus="Expired")
    assert scene.in_order("Status 1 Reserved", "Status 1 Available", "ReservationStatusUpdate")
    await scene.answered()
    assert len(scene.payloads("ReservationStatusUpdate")) == 1
    assert await scene.cancel_reservation(7) == "Rejected"
    scene.plug()
    scene.swipe("BOB")
    await scene.energy_flows()


@pytest.mark.req("TC_H_21_CS", "H01.FR.16", "H01.FR.17")
async def test_TC_H_21_CS_an_evse_that_goes_out_of_service_loses_its_reservation(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    await reserved(scene, id=7)
    assert await scene.reserve("BOB", 2, id=8) == "Accepted"
    begin = scene.csms.mark()
    assert await scene.status_of("ChangeAvailability", operationalStatus="Inoperative", evse={"id": 1}) == "Accepted"
    await scene.expect("ReservationStatusUpdate", reservationId=7, reservationUpdateStatus="Removed")
    assert scene.in_order("Status 1 Unavailable", "ReservationStatusUpdate", after=begin)
    scene.fault(FaultCode.GROUND, 2)
    await scene.expect("ReservationStatusUpdate", reservationId=8, reservationUpdateStatus="Removed")
    assert await scene.status_of("ChangeAvailability", operationalStatus="Operative", evse={"id": 1}) == "Accepted"
    await scene.expect_status("Available", 1)
    scene.plug(1)
    scene.swipe("BOB", 1)
    await scene.energy_flows(1)


@pytest.mark.req("TC_H_22_CS", "H01.FR.01")
async def test_TC_H_22_CS_switched_off_nothing_is_reserved_and_what_was_is_kept(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    await reserved(scene, id=7)
    await scene.configure("ReservationCtrlr.Enabled", False)
    await scene.expect_status("Available", 1)
    assert await scene.reserve("BOB", 2, id=8) == "Rejected"
    await scene.configure("ReservationCtrlr.Enabled", True)
    await scene.expect_status("Reserved", 1)
    await scene.answered()
    assert scene.payloads("ReservationStatusUpdate") == []
    assert await scene.reserve("BOB", 2, id=8) == "Accepted"


@pytest.mark.req("TC_H_23_CS", "H01.FR.02")
async def test_TC_H_23_CS_the_same_id_takes_the_place_of_the_old_one(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    await reserved(scene, "ALICE", id=7)
    assert await scene.reserve("BOB", 1, id=7) == "Accepted"
    assert await scene.request_start("ALICE", 1) == "Rejected"
    assert await scene.reserve("BOB", 2, id=7) == "Accepted"
    await scene.expect_status("Available", 1)
    await scene.expect_status("Reserved", 2)
    assert await scene.request_start("BOB", 2) == "Accepted"
    assert scene.payloads("ReservationStatusUpdate", after=0) == []


# --- any EVSE


@pytest.mark.req("TC_H_08_CS", "H01.FR.04", "H01.FR.07", "H01.FR.15", "H03.FR.03")
async def test_TC_H_08_CS_the_driver_of_an_unspecified_evse_charges_on_any(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    assert await scene.reserve("ALICE", None, id=7) == "Accepted"
    await scene.settled()
    assert scene.payloads("StatusNotification") == []  # either place may still be anybody's
    begin = scene.csms.mark()
    await scene.charging("BOB", 1)
    await scene.knows(lambda state: state["connectors"][1]["status"] == "Reserved")
    assert await scene.request_start("MUM", 2) == "Rejected"
    scene.plug(2)
    scene.swipe("ALICE", 2)
    event = await scene.expect_event(charging_state="Charging", evse=2)
    await names_its_reservation(scene, event["transactionInfo"]["transactionId"], 7, after=begin)


@pytest.mark.req("TC_H_09_CS", "TC_H_10_CS", "TC_H_12_CS", "H01.FR.11", "H01.FR.13", "H01.FR.14")
@pytest.mark.parametrize(
    "how", ["reserved", "in use", "out of service"], ids=["TC_H_09_CS", "TC_H_10_CS", "TC_H_12_CS"]
)
async def test_TC_H_09_CS_TC_H_10_CS_TC_H_12_CS_no_evse_is_left(open_scene201: OpenScene201, how: str) -> None:
    scene = await open_scene201()
    if how == "reserved":
        await reserved(scene, id=1)
    elif how == "in use":
        scene.plug()
        await scene.expect_status("Occupied")
    else:
        assert await scene.status_of("ChangeAvailability", operationalStatus="Inoperative") == "Accepted"
        await scene.expect_status("Unavailable")
    assert await scene.reserve("BOB", None, id=2) == ("Unavailable" if how == "out of service" else "Occupied")


@pytest.mark.req("TC_H_13_CS", "H01.FR.19")
async def test_TC_H_13_CS_only_single_evses_can_be_reserved(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"ReservationCtrlr.NonEvseSpecific": False})
    assert await scene.reserve("ALICE", None) == "Rejected"
    assert await scene.reserve("ALICE", None, connector_type=TYPE2) == "Rejected"
    assert await scene.reserve("ALICE", 1) == "Accepted"


@pytest.mark.req("TC_H_14_CS", "H01.FR.20", "H02.FR.05", "H02.FR.06")
async def test_TC_H_14_CS_as_many_reservations_as_evses(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    assert await scene.reserve("ALICE", None, id=1) == "Accepted"
    assert await scene.reserve("BOB", None, id=2) == "Accepted"
    await scene.expect_status("Reserved", 1)
    await scene.expect_status("Reserved", 2)
    assert await scene.reserve("MUM", None, id=3) == "Occupied"
    assert await scene.cancel_reservation(2) == "Accepted"
    await scene.expect_status("Available", 1)
    await scene.expect_status("Available", 2)


@pytest.mark.req("TC_H_15_CS", "H01.FR.06", "H01.FR.09", "H01.FR.15", "H01.FR.24", "H03.FR.02")
async def test_TC_H_15_CS_the_driver_of_a_connector_type_charges(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    assert await scene.reserve("ALICE", None, connector_type="cCCS2") == "Rejected"
    await reserved(scene, evse=None, connector_type=TYPE2, id=7)
    begin = scene.csms.mark()
    assert await scene.request_start("BOB") == "Rejected"
    scene.plug()
    scene.swipe("ALICE")
    event = await scene.expect_event(charging_state="Charging", evse=1)
    await names_its_reservation(scene, event["transactionInfo"]["transactionId"], 7, after=begin)


@pytest.mark.req("TC_H_16_CS", "H01.FR.11", "H01.FR.24")
async def test_TC_H_16_CS_as_many_reservations_as_connectors_of_the_type(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    assert await scene.reserve("ALICE", None, connector_type=TYPE2, id=1) == "Accepted"
    assert await scene.reserve("BOB", None, connector_type=TYPE2, id=2) == "Accepted"
    for evse in (1, 2):
        await scene.expect_status("Reserved", evse)
    assert await scene.reserve("MUM", None, connector_type=TYPE2, id=3) == "Occupied"


# --- cancelled


@pytest.mark.req("TC_H_17_CS", "H02.FR.02", "H02.FR.03", "H02.FR.04")
async def test_TC_H_17_CS_cancel_a_reservation(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await reserved(scene, id=7)
    assert await scene.cancel_reservation(7) == "Accepted"
    await scene.expect_status("Available")
    await scene.answered()
    assert scene.payloads("ReservationStatusUpdate", after=0) == []
    scene.plug()
    scene.swipe("BOB")
    await scene.energy_flows()


@pytest.mark.req("TC_H_18_CS", "H02.FR.01")
async def test_TC_H_18_CS_cancel_an_unknown_reservation(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await reserved(scene, id=7)
    assert await scene.cancel_reservation(8) == "Rejected"
    await scene.settled()
    assert scene.payloads("StatusNotification") == []


# --- the family


@pytest.mark.req("TC_H_19_CS", "H01.FR.15", "H03.FR.04", "H03.FR.08")
async def test_TC_H_19_CS_a_token_of_the_group_charges(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await reserved(scene, "MUM", id=7, group="FAMILY")
    begin = scene.csms.mark()
    scene.swipe("DAD")
    await scene.expect("Authorize")
    await scene.expect_status("Available")
    scene.plug()
    event = await scene.expect_event(charging_state="Charging", evse=1)
    await names_its_reservation(scene, event["transactionInfo"]["transactionId"], 7, after=begin)


@pytest.mark.req("TC_H_24_CS", "H03.FR.05", "H03.FR.06")
@pytest.mark.parametrize("connector_type", [None, TYPE2])
async def test_TC_H_24_CS_a_token_of_the_group_takes_an_unspecified_evse(
    open_scene201: OpenScene201, connector_type: str | None
) -> None:
    scene = await open_scene201()
    await reserved(scene, "MUM", None, id=7, group="FAMILY", connector_type=connector_type)
    begin = scene.csms.mark()
    scene.plug()
    scene.swipe("DAD")
    event = await scene.expect_event(charging_state="Charging", evse=1)
    await names_its_reservation(scene, event["transactionInfo"]["transactionId"], 7, after=begin)


@pytest.mark.req("F01.FR.21", "F02.FR.06", "F02.FR.23", "H03.FR.07", "H03.FR.09")
async def test_a_request_to_start_uses_a_reservation_of_its_group(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"AuthCtrlr.AuthorizeRemoteStart": False})
    await reserved(scene, "MUM", id=7, group="FAMILY")
    begin = scene.csms.mark()
    assert await scene.request_start("DAD", group="OTHERS") == "Rejected"
    assert await scene.request_start("DAD", group="FAMILY") == "Accepted"
    await scene.expect_status("Available")
    scene.plug()
    event = await scene.expect_event(charging_state="Charging", evse=1)
    await names_its_reservation(scene, event["transactionInfo"]["transactionId"], 7, after=begin)


# --- what operators miss


@pytest.mark.req("H03.FR.01", "H03.FR.09")
async def test_also_without_a_line_only_the_reserved_token_charges(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"AuthCtrlr.OfflineTxForUnknownIdEnabled": True})
    await reserved(scene)
    await scene.cut()
    scene.plug()
    scene.swipe("BOB")
    await scene.site.until(lambda: scene.unit().requests >= 20)
    assert not scene.point().permit
    scene.swipe("ALICE")
    await scene.energy_flows()
    begin = scene.since
    await scene.restore()
    await scene.expect_status("Occupied")
    await scene.answered()
    assert {e["reservationId"] for e in scene.events(after=begin) if "reservationId" in e} == {1}
    assert all(e["offline"] for e in scene.events(after=begin) if "reservationId" in e)


@pytest.mark.req("H04.FR.01", "H04.FR.02")
async def test_what_expires_while_the_line_is_down_is_told_when_it_is_back(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await reserved(scene, id=7, lasts_s=1.5)
    await scene.cut()
    await scene.knows(lambda state: state["reservations"] == [])
    await scene.restore()
    await scene.expect("ReservationStatusUpdate", reservationId=7, reservationUpdateStatus="Expired")
    assert scene.in_order("Status 1 Available", "ReservationStatusUpdate")
    assert scene.payloads("BootNotification") == []


@pytest.mark.req("H04.FR.01", "B01.FR.13")
async def test_what_lapsed_while_the_power_was_off_is_expired_and_what_did_not_is_reserved(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(TWO_SOCKETS, process=True)
    assert await scene.reserve("ALICE", 1, id=7, lasts_s=1.5) == "Accepted"
    assert await scene.reserve("BOB", 2, id=8) == "Accepted"
    await scene.restart_daemon(power_loss=True, off_s=1.5)
    await scene.expect_status("Reserved", 2)
    await scene.expect_status("Available", 1)
    await scene.expect("ReservationStatusUpdate", reservationId=7, reservationUpdateStatus="Expired")
    await scene.answered()
    assert len(scene.payloads("ReservationStatusUpdate")) == 1


@pytest.mark.req("H03.FR.09")
async def test_whose_driver_does_not_plug_in_is_gone(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(SOCKET, keys={"TxCtrlr.EVConnectionTimeOut": 1})
    await reserved(scene, id=7)
    scene.swipe("ALICE")
    await scene.expect_status("Available")
    await scene.knows(lambda state: state["connectors"][0]["status"] == "Available")
    await scene.answered()
    assert scene.payloads("StatusNotification")[-1]["connectorStatus"] == "Available"
    assert await scene.cancel_reservation(7) == "Rejected"
    assert await scene.reserve("BOB", 1, id=8) == "Accepted"
