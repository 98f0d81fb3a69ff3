"""Availability of the official 2.0.1 list, G01 to G05: connectors' statuses, and what is in service."""

from __future__ import annotations

import pytest

from edged.domain.hardware import FaultCode
from tests.conformance.scene201 import KEBA, TWO_SOCKETS, OpenScene201, Scene201

Place = dict[str, int] | None
STATION: Place = None
EVSE: Place = {"id": 1}
CONNECTOR: Place = {"id": 1, "connectorId": 1}


async def change(scene: Scene201, status: str, place: Place) -> str:
    """The answer to a ChangeAvailability."""
    where = {} if place is None else {"evse": place}
    return await scene.status_of("ChangeAvailability", operationalStatus=status, **where)


def statuses(scene: Scene201, evse: int = 1, *, after: int = 0) -> list[str]:
    """What was said of an EVSE's connector."""
    told = (call.split() for call in scene.calls(after=after))
    return [words[2] for words in told if words[:2] == ["Status", str(evse)]]


@pytest.mark.req("TC_G_01_CS", "TC_G_02_CS", "G01.FR.01", "G01.FR.03", "G01.FR.04", "G01.FR.08", "N07.FR.19")
async def test_TC_G_01_CS_TC_G_02_CS_a_plug_occupies_its_connector(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    begin = scene.csms.mark()
    scene.plug(1)
    await scene.expect_status("Occupied", 1)
    scene.unplug(1)
    await scene.expect_status("Available", 1)
    await scene.settled()
    assert statuses(scene, 1, after=begin) == ["Occupied", "Available"]
    assert statuses(scene, 2, after=begin) == []


@pytest.mark.req("TC_G_03_CS", "TC_G_04_CS", "TC_G_09_CS", "TC_G_10_CS", "G03.FR.01", "G03.FR.02", "G03.FR.03")
@pytest.mark.req("G03.FR.04", "G03.FR.06", "G03.FR.07")
async def test_TC_G_03_CS_TC_G_04_CS_TC_G_09_CS_TC_G_10_CS_an_evse_in_and_out_of_service(
    open_scene201: OpenScene201,
) -> None:
    await goes_out_and_comes_back(await open_scene201(TWO_SOCKETS), EVSE)


@pytest.mark.req("TC_G_07_CS", "TC_G_08_CS", "TC_G_15_CS", "TC_G_16_CS", "G03.FR.01", "G03.FR.02", "G03.FR.03")
@pytest.mark.req("G03.FR.04", "G03.FR.06", "G03.FR.07")
async def test_TC_G_07_CS_TC_G_08_CS_TC_G_15_CS_TC_G_16_CS_a_connector_in_and_out_of_service(
    open_scene201: OpenScene201,
) -> None:
    await goes_out_and_comes_back(await open_scene201(TWO_SOCKETS), CONNECTOR)


async def goes_out_and_comes_back(scene: Scene201, place: Place) -> None:
    """Of two EVSEs the first, or its connector; what is so already is Accepted."""
    begin = scene.csms.mark()
    assert await change(scene, "Operative", place) == "Accepted"
    assert await change(scene, "Inoperative", place) == "Accepted"
    await scene.expect_status("Unavailable", 1)
    scene.swipe("ALICE", 1)
    await scene.settled()
    assert await scene.request_start("ALICE", 1) == "Rejected"
    assert await change(scene, "Inoperative", place) == "Accepted"
    assert await change(scene, "Operative", place) == "Accepted"
    await scene.expect_status("Available", 1)
    await scene.settled()
    assert statuses(scene, 1, after=begin) == ["Unavailable", "Available"]
    assert statuses(scene, 2, after=begin) == []


@pytest.mark.req("TC_G_05_CS", "TC_G_06_CS", "TC_G_12_CS", "TC_G_13_CS", "G04.FR.01", "G04.FR.02", "G04.FR.03")
@pytest.mark.req("G04.FR.04", "G04.FR.05", "G04.FR.07", "G04.FR.08")
async def test_TC_G_05_CS_TC_G_06_CS_TC_G_12_CS_TC_G_13_CS_the_station_in_and_out_of_service(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    begin = scene.csms.mark()
    assert await change(scene, "Operative", STATION) == "Accepted"
    assert await change(scene, "Inoperative", STATION) == "Accepted"
    for evse in (1, 2):
        await scene.expect_status("Unavailable", evse)
    assert await change(scene, "Inoperative", STATION) == "Accepted"
    assert await change(scene, "Inoperative", EVSE) == "Accepted"
    assert await change(scene, "Operative", STATION) == "Accepted"
    await scene.expect_status("Available", 2)
    await scene.settled()
    assert statuses(scene, 1, after=begin) == ["Unavailable"]  # its own flag is still against it
    assert await change(scene, "Operative", EVSE) == "Accepted"
    await scene.expect_status("Available", 1)


@pytest.mark.req("TC_G_11_CS", "TC_G_14_CS", "TC_G_17_CS", "G03.FR.05", "G04.FR.06", "G01.FR.07")
@pytest.mark.parametrize("place", [EVSE, STATION, CONNECTOR], ids=["TC_G_11_CS", "TC_G_14_CS", "TC_G_17_CS"])
async def test_TC_G_11_CS_TC_G_14_CS_TC_G_17_CS_a_transaction_goes_on_to_its_end(
    open_scene201: OpenScene201, place: Place
) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    transaction = await scene.charging("ALICE", 1)
    begin = scene.csms.mark()
    assert await change(scene, "Inoperative", place) == "Scheduled"
    if place is STATION:
        await scene.expect_status("Unavailable", 2)
    await scene.energy_flows(1, wh=5)
    assert statuses(scene, 1, after=begin) == []
    assert await scene.request_stop(transaction) == "Accepted"
    await scene.expect_event("Ended", transactionId=transaction)
    scene.unplug(1)
    await scene.settled()
    assert statuses(scene, 1, after=begin) == ["Unavailable"]


@pytest.mark.req("TC_G_18_CS", "TC_G_19_CS", "TC_G_21_CS", "G03.FR.08", "G04.FR.09", "G01.FR.02", "B01.FR.07")
async def test_TC_G_18_CS_TC_G_19_CS_TC_G_21_CS_it_persists_across_a_reboot(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    second = {"id": 2, "connectorId": 1}
    assert await change(scene, "Inoperative", EVSE) == "Accepted"
    assert await change(scene, "Inoperative", second) == "Accepted"
    await scene.restart_daemon()
    for evse in (1, 2):
        await scene.expect_status("Unavailable", evse)
    for evse, place in ((1, EVSE), (2, second)):
        assert await change(scene, "Operative", place) == "Accepted"
        await scene.expect_status("Available", evse)
    assert await change(scene, "Inoperative", STATION) == "Accepted"
    await scene.restart_daemon()
    for evse in (1, 2):
        await scene.expect_status("Unavailable", evse)
    assert await change(scene, "Operative", STATION) == "Accepted"
    await scene.expect_status("Available", 2)


@pytest.mark.req("G03.FR.01")
@pytest.mark.parametrize("place", [{"id": 2}, {"id": 1, "connectorId": 2}])
async def test_an_unknown_place_is_rejected(open_scene201: OpenScene201, place: Place) -> None:
    scene = await open_scene201()
    answer = await scene.call("ChangeAvailability", operationalStatus="Inoperative", evse=place)
    reason = "UnknownEvse" if place == {"id": 2} else "UnknownConnectorId"
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", reason)


@pytest.mark.req("G05.FR.01")
async def test_a_lock_that_fails_keeps_energy_away(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(KEBA)
    scene.fault(FaultCode.CONNECTOR_LOCK)
    await scene.expect_status("Faulted")
    scene.plug()
    scene.swipe("ALICE")
    await scene.settled()
    assert await scene.request_start("ALICE") == "Rejected"
    assert scene.point().energy_wh == 0
    scene.mend()
    await scene.expect_status("Occupied")
