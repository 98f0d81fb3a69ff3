"""Reservations of the official 1.6 list, and the promises that operators miss most."""

from __future__ import annotations

import pytest

from edged.domain.hardware import FaultCode
from tests.conformance.scene import SOCKET, TETHERED, TWO_SOCKETS, OpenScene


@pytest.mark.req("TC_046_1_CS", "16-RES-09")
async def test_TC_046_1_CS_the_driver_of_a_reserved_connector_starts(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.reserve("ALICE", id=7) == "Accepted"
    await scene.expect_status("Reserved")
    scene.swipe("ALICE")
    await scene.expect_status("Preparing")
    scene.plug()
    await scene.expect("StartTransaction", idTag="ALICE", reservationId=7)
    await scene.expect_status("Charging")
    assert await scene.status_of("CancelReservation", reservationId=7) == "Rejected"  # it is used up


@pytest.mark.req("TC_046_2_CS", "16-RES-14")
async def test_TC_046_2_CS_a_reserved_connector_is_started_remotely(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.reserve("ALICE", id=7) == "Accepted"
    await scene.expect_status("Reserved")
    assert await scene.remote_start("BOB") == "Rejected"
    assert await scene.remote_start("ALICE") == "Accepted"
    await scene.expect_status("Preparing")
    scene.plug()
    await scene.expect("StartTransaction", idTag="ALICE", reservationId=7)
    await scene.expect_status("Charging")


@pytest.mark.req("TC_047_CS", "16-RES-12")
async def test_TC_047_CS_a_reservation_expires(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.reserve("ALICE", id=7, lasts_s=3.0) == "Accepted"
    await scene.expect_status("Reserved")
    await scene.expect_status("Available")
    assert await scene.status_of("CancelReservation", reservationId=7) == "Rejected"
    assert await scene.reserve("BOB", id=8) == "Accepted"


@pytest.mark.req("TC_048_1_CS")
async def test_TC_048_1_CS_reserve_a_faulted_connector(open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS)
    scene.fault(FaultCode.GROUND, 1)
    await scene.expect_status("Faulted", 1)
    assert await scene.reserve("ALICE", 1) == "Faulted"
    assert await scene.reserve("ALICE", 2) == "Accepted"


@pytest.mark.req("TC_048_2_CS")
async def test_TC_048_2_CS_reserve_an_occupied_connector(open_scene: OpenScene) -> None:
    scene = await open_scene()
    scene.plug()
    await scene.expect_status("Preparing")
    assert await scene.reserve("BOB", id=1) == "Occupied"
    scene.swipe("ALICE")
    await scene.expect_status("Charging")
    assert await scene.reserve("BOB", id=1) == "Occupied"
    assert await scene.reserve("ALICE", id=1) == "Occupied"


@pytest.mark.req("TC_048_2_CS")
async def test_TC_048_2_CS_reserve_a_connector_that_is_reserved(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.reserve("ALICE", id=1) == "Accepted"
    assert await scene.reserve("BOB", id=2) == "Occupied"
    assert await scene.reserve("ALICE", id=3) == "Occupied"


@pytest.mark.req("TC_048_3_CS")
async def test_TC_048_3_CS_reserve_an_unavailable_connector(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.status_of("ChangeAvailability", connectorId=1, type="Inoperative") == "Accepted"
    assert await scene.reserve("ALICE") == "Unavailable"


@pytest.mark.req("TC_048_4_CS", "16-RES-02")
async def test_TC_048_4_CS_reserve_where_reservations_are_switched_off(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"ReservationEnabled": False})
    assert await scene.reserve("ALICE") == "Rejected"
    await scene.settled()
    assert scene.payloads("StatusNotification") == []


@pytest.mark.req("16-RES-02")
@pytest.mark.parametrize(("connector", "lasts_s"), [(2, 600.0), (1, -1.0)], ids=["unknown connector", "in the past"])
async def test_what_cannot_be_reserved_is_rejected(open_scene: OpenScene, connector: int, lasts_s: float) -> None:
    scene = await open_scene()
    assert await scene.reserve("ALICE", connector, lasts_s=lasts_s) == "Rejected"


# --- the whole charge point


@pytest.mark.req("TC_049_CS", "16-RES-04")
async def test_TC_049_CS_reserve_the_charge_point(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.reserve("ALICE", 0, id=7) == "Accepted"
    await scene.expect_status("Reserved", 1)
    scene.swipe("ALICE")
    await scene.expect_status("Preparing")
    scene.plug()
    await scene.expect("StartTransaction", idTag="ALICE", reservationId=7)
    await scene.expect_status("Charging")


@pytest.mark.req("TC_049_CS", "16-RES-04", "16-RES-10")
async def test_TC_049_CS_of_two_connectors_the_last_free_one_is_kept(open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS)
    assert await scene.reserve("ALICE", 0, id=7) == "Accepted"
    await scene.settled()
    assert scene.payloads("StatusNotification") == []  # either connector may still be used by anybody
    await scene.charging("BOB", 1)
    await scene.expect_status("Reserved", 2)
    assert await scene.remote_start("MUM", 2) == "Rejected"
    assert await scene.remote_start("ALICE", 2) == "Accepted"
    scene.plug(2)
    await scene.expect("StartTransaction", connectorId=2, idTag="ALICE", reservationId=7)


@pytest.mark.req("TC_050_1_CS", "16-RES-05")
async def test_TC_050_1_CS_reserve_a_faulted_charge_point(open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS)
    scene.fault(FaultCode.GROUND, 1)
    scene.point(2).fault(FaultCode.GROUND)
    await scene.expect_status("Faulted", 1)
    await scene.expect_status("Faulted", 2)
    assert await scene.reserve("ALICE", 0) == "Faulted"


@pytest.mark.req("TC_050_2_CS", "16-RES-05")
async def test_TC_050_2_CS_reserve_an_occupied_charge_point(open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS)
    scene.plug(1)
    scene.point(2).plug_in()
    await scene.expect_status("Preparing", 1)
    await scene.expect_status("Preparing", 2)
    assert await scene.reserve("ALICE", 0) == "Occupied"


@pytest.mark.req("TC_050_3_CS", "16-RES-05")
async def test_TC_050_3_CS_reserve_an_unavailable_charge_point(open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS)
    assert await scene.status_of("ChangeAvailability", connectorId=0, type="Inoperative") == "Accepted"
    for connector in (0, 1, 2):
        await scene.expect_status("Unavailable", connector)
    assert await scene.reserve("ALICE", 0) == "Unavailable"


@pytest.mark.req("TC_050_4_CS")
async def test_TC_050_4_CS_reserve_the_charge_point_where_that_is_not_served(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"ReserveConnectorZeroSupported": False})
    assert await scene.reserve("ALICE", 0) == "Rejected"
    assert await scene.reserve("ALICE", 1) == "Accepted"


# --- cancelled


@pytest.mark.req("TC_051_CS")
@pytest.mark.parametrize("connector", [1, 0])
async def test_TC_051_CS_cancel_a_reservation(open_scene: OpenScene, connector: int) -> None:
    scene = await open_scene()
    assert await scene.reserve("ALICE", connector, id=7) == "Accepted"
    await scene.expect_status("Reserved")
    assert await scene.status_of("CancelReservation", reservationId=7) == "Accepted"
    await scene.expect_status("Available")


@pytest.mark.req("TC_052_CS")
async def test_TC_052_CS_cancel_an_unknown_reservation(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.reserve("ALICE", id=7) == "Accepted"
    await scene.expect_status("Reserved")
    assert await scene.status_of("CancelReservation", reservationId=8) == "Rejected"
    await scene.settled()
    assert scene.payloads("StatusNotification") == []
    assert await scene.status_of("CancelReservation", reservationId=7) == "Accepted"
    assert await scene.status_of("CancelReservation", reservationId=7) == "Rejected"


# --- the family


@pytest.mark.req("TC_053_1_CS", "16-RES-07")
async def test_TC_053_1_CS_a_token_of_the_same_parent_starts(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"LocalPreAuthorize": True})
    assert await scene.reserve("MUM", id=7, parent="FAMILY") == "Accepted"
    await scene.expect_status("Reserved")
    begin = scene.csms.mark()
    scene.swipe("DAD")
    await scene.expect_status("Preparing")
    scene.plug()
    await scene.expect("StartTransaction", idTag="DAD", reservationId=7)
    assert scene.in_order("Authorize", "Status 1 Preparing", "StartTransaction", after=begin)


@pytest.mark.req("TC_053_2_CS", "16-RES-14")
async def test_TC_053_2_CS_a_token_of_the_same_parent_is_started_remotely(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"AuthorizeRemoteTxRequests": False})
    assert await scene.reserve("MUM", id=7, parent="FAMILY") == "Accepted"
    await scene.expect_status("Reserved")
    assert await scene.remote_start("DAD") == "Accepted"
    await scene.expect("Authorize", idTag="DAD")
    await scene.expect_status("Preparing")
    scene.plug()
    await scene.expect("StartTransaction", idTag="DAD", reservationId=7)


# --- what operators miss


@pytest.mark.req("16-RES-07", "16-RES-15")
async def test_a_reserved_connector_gives_nobody_else_energy(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.reserve("ALICE", id=7) == "Accepted"
    await scene.expect_status("Reserved")
    begin = scene.csms.mark()
    scene.plug()
    await scene.settled()
    scene.swipe("BOB")
    await scene.settled()
    assert scene.payloads("StartTransaction", after=begin) == []
    assert scene.payloads("StatusNotification", after=begin) == []  # a cable alone changes nothing: still Reserved
    assert not scene.point().permit
    scene.swipe("ALICE")
    await scene.expect("StartTransaction", idTag="ALICE", reservationId=7)


@pytest.mark.req("16-RES-07", "16-RES-15")
async def test_a_reserved_charger_that_charges_by_itself_gives_nobody_energy(open_scene: OpenScene) -> None:
    scene = await open_scene(TETHERED)  # the box has no release of its own: only its limit withholds
    await scene.energy_withheld()
    await scene.settled()  # only what the charger has confirmed can be promised
    assert await scene.reserve("ALICE", id=7) == "Accepted"
    await scene.expect_status("Reserved")
    scene.plug()
    await scene.settled()
    assert scene.point().energy_wh == 0
    assert await scene.remote_start("ALICE") == "Accepted"
    await scene.expect("StartTransaction", reservationId=7)
    await scene.energy_flows(wh=1)


@pytest.mark.req("16-RES-03")
async def test_the_same_reservation_id_moves_the_reservation(open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS)
    assert await scene.reserve("ALICE", 1, id=7) == "Accepted"
    await scene.expect_status("Reserved", 1)
    assert await scene.reserve("ALICE", 2, id=7) == "Accepted"
    await scene.expect_status("Available", 1)
    await scene.expect_status("Reserved", 2)


@pytest.mark.req("16-RES-09", "16-TX-12")
async def test_a_driver_who_does_not_plug_in_keeps_the_reservation(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"ConnectionTimeOut": 1})
    assert await scene.reserve("ALICE", id=7) == "Accepted"
    await scene.expect_status("Reserved")
    scene.swipe("ALICE")
    await scene.expect_status("Preparing")
    await scene.expect_status("Reserved")


@pytest.mark.req("16-RES-11")
async def test_a_connector_that_goes_out_of_service_loses_its_reservation(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.reserve("ALICE", id=7) == "Accepted"
    assert await scene.status_of("ChangeAvailability", connectorId=1, type="Inoperative") == "Accepted"
    await scene.expect_status("Unavailable")
    assert await scene.status_of("CancelReservation", reservationId=7) == "Rejected"


@pytest.mark.req("16-RES-16", "16-BOOT-10")
async def test_a_reservation_survives_a_killed_daemon(open_scene: OpenScene) -> None:
    scene = await open_scene(SOCKET, process=True)
    assert await scene.reserve("ALICE", id=7) == "Accepted"
    await scene.expect_status("Reserved")
    await scene.restart_daemon(kill=True)
    await scene.expect_status("Reserved")
    assert await scene.status_of("CancelReservation", reservationId=7) == "Accepted"
    await scene.expect_status("Available")


@pytest.mark.req("16-RES-13", "16-RES-16")
async def test_a_reservation_that_lapsed_while_the_power_was_off_is_gone(open_scene: OpenScene) -> None:
    scene = await open_scene(process=True)
    assert await scene.reserve("ALICE", id=7, lasts_s=1.5) == "Accepted"
    await scene.expect_status("Reserved")
    await scene.restart_daemon(power_loss=True, off_s=2.0)
    await scene.expect_status("Available")
    assert await scene.status_of("CancelReservation", reservationId=7) == "Rejected"


@pytest.mark.req("16-RES-13")
async def test_a_reservation_expires_while_the_line_is_down(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.reserve("ALICE", id=7, lasts_s=1.5) == "Accepted"
    await scene.expect_status("Reserved")
    await scene.cut()
    await scene.knows(lambda state: state["reservations"] == [])
    await scene.restore()
    await scene.expect_status("Available")
    await scene.answered()
    assert scene.payloads("BootNotification") == []
