"""UnlockConnector and TriggerMessage of the official 2.0.1 list, F05 and F06."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.simulator.csms import CsmsCallError
from tests.conformance.files import Hook, now
from tests.conformance.scene201 import KEBA, PATIENCE_S, SOCKET, TETHERED, TWO_SOCKETS, Box, OpenScene201, Scene201
from tests.fakes.file_servers import Call, WebServer

ENERGY, VOLTAGE = "Energy.Active.Import.Register", "Voltage"


async def unlock(scene: Scene201, evse: int = 1, connector: int = 1) -> str:
    return await scene.status_of("UnlockConnector", evseId=evse, connectorId=connector)


async def trigger(scene: Scene201, message: str, evse: int | None = None, connector: int | None = None) -> str:
    """The answer to a TriggerMessage."""
    place = {} if evse is None else {"id": evse}
    if connector is not None:
        place["connectorId"] = connector
    return await scene.status_of("TriggerMessage", requestedMessage=message, **({"evse": place} if place else {}))


# --- the lock


@pytest.mark.req("TC_F_05_CS", "F05.FR.01", "F05.FR.02")
async def test_TC_F_05_CS_not_while_its_driver_charges(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    transaction = await scene.charging()
    assert await unlock(scene) == "OngoingAuthorizedTransaction"
    await scene.energy_flows(wh=5)
    assert not scene.csms.transactions[transaction].ended
    assert scene.point().lock_closed


@pytest.mark.req("TC_F_06_CS", "TC_F_07_CS", "F05.FR.01", "F05.FR.04", "F05.FR.06")
@pytest.mark.parametrize("box", [SOCKET, KEBA], ids=lambda box: box.make)
@pytest.mark.parametrize("plugged", [True, False], ids=["TC_F_06_CS", "TC_F_07_CS"])
async def test_TC_F_06_CS_TC_F_07_CS_without_a_transaction(
    open_scene201: OpenScene201, box: Box, plugged: bool
) -> None:
    scene = await open_scene201(box)
    if plugged:
        scene.plug()
        await scene.expect_status("Occupied")
    assert await unlock(scene) == "Unlocked"


@pytest.mark.req("TC_F_10_CS", "F05.FR.03")
async def test_TC_F_10_CS_an_unknown_connector(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    assert await unlock(scene, 1, 2) == "UnknownConnector"
    assert await unlock(scene, 2, 1) == "UnknownConnector"


@pytest.mark.req("F05.FR.05")
async def test_a_fixed_cable_cannot_be_unlocked(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TETHERED)
    answer = await scene.call("UnlockConnector", evseId=1, connectorId=1)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("UnlockFailed", "FixedCable")


@pytest.mark.req("F05.FR.05")
async def test_a_lock_that_does_not_open_is_a_failure(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(KEBA)
    scene.plug()
    await scene.expect_status("Occupied")
    scene.point().jam_lock(True)
    assert await unlock(scene) == "UnlockFailed"


# --- what is triggered


@pytest.mark.req(
    "TC_F_11_CS", "TC_F_12_CS", "F06.FR.02", "F06.FR.04", "F06.FR.05", "F06.FR.06", "F06.FR.10", "F06.FR.11"
)
async def test_TC_F_11_CS_TC_F_12_CS_meter_values_of_one_evse_or_of_all(open_scene201: OpenScene201) -> None:
    keys = {"AlignedDataCtrlr.Measurands": ENERGY, "SampledDataCtrlr.TxUpdatedMeasurands": VOLTAGE}
    scene = await open_scene201(TWO_SOCKETS, keys=keys)
    assert await trigger(scene, "MeterValues", 2) == "Accepted"
    values = await scene.expect("MeterValues", evseId=2)
    sampled = [one for value in values["meterValue"] for one in value["sampledValue"]]
    assert {(one["measurand"], one["context"]) for one in sampled} == {(ENERGY, "Trigger")}
    await scene.answered()
    assert [payload["evseId"] for payload in scene.payloads("MeterValues")] == [2]
    assert await trigger(scene, "MeterValues") == "Accepted"
    for evse in (1, 2):
        await scene.expect("MeterValues", evseId=evse)


@pytest.mark.req(
    "TC_F_13_CS", "TC_F_14_CS", "F06.FR.02", "F06.FR.04", "F06.FR.05", "F06.FR.07", "F06.FR.10", "F06.FR.11"
)
async def test_TC_F_13_CS_TC_F_14_CS_transactions_of_one_evse_or_of_all(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    assert await trigger(scene, "TransactionEvent", 1) == "Rejected"
    assert await trigger(scene, "TransactionEvent") == "Rejected"
    first, second = await scene.charging("ALICE", 1), await scene.charging("BOB", 2)
    await scene.answered()
    assert await trigger(scene, "TransactionEvent", 2) == "Accepted"
    event = await scene.expect_event("Updated", "Trigger", transactionId=second)
    assert event["transactionInfo"]["chargingState"] == "Charging"
    assert {value["context"] for one in event["meterValue"] for value in one["sampledValue"]} == {"Trigger"}
    await scene.answered()
    assert scene.events(first) == []
    assert await trigger(scene, "TransactionEvent") == "Accepted"
    for transaction in (first, second):
        await scene.expect_event("Updated", "Trigger", transactionId=transaction)


@pytest.mark.req("TC_F_15_CS", "TC_F_17_CS", "TC_F_18_CS", "F06.FR.03", "F06.FR.15", "F06.FR.16", "L01.FR.25")
@pytest.mark.parametrize("message", ["LogStatusNotification", "FirmwareStatusNotification"])
async def test_TC_F_15_CS_TC_F_17_CS_TC_F_18_CS_who_updates_and_uploads_nothing_is_idle(
    open_scene201: OpenScene201, message: str
) -> None:
    scene = await open_scene201()
    for evse in (None, 1):
        assert await trigger(scene, message, evse) == "Accepted"
        told = await scene.expect(message, status="Idle")
        assert "requestId" not in told


@pytest.mark.req("TC_F_16_CS", "TC_F_19_CS", "F06.FR.04", "F06.FR.05", "F06.FR.10", "F06.FR.14", "L01.FR.26")
async def test_TC_F_16_CS_TC_F_19_CS_an_upload_and_a_download_under_way(
    open_scene201: OpenScene201, web: Callable[..., WebServer], tmp_path: Path
) -> None:
    gate = threading.Event()

    def slowly(call: Call) -> None:
        gate.wait(PATIENCE_S)
        call.say(404)

    scene = await open_scene201(site_settings=Hook(tmp_path).settings)
    firmware = {"location": web(slowly).url("/fw.bin"), "retrieveDateTime": now()}
    log = {"remoteLocation": web(slowly).url("/up/")}
    try:
        assert await scene.status_of("UpdateFirmware", requestId=9, retries=0, firmware=firmware) == "Accepted"
        await scene.expect("FirmwareStatusNotification", status="Downloading")
        await scene.call("GetLog", logType="DiagnosticsLog", requestId=7, retries=0, log=log)
        await scene.expect("LogStatusNotification", status="Uploading")
        await scene.answered()
        for message, word, id in (
            ("LogStatusNotification", "Uploading", 7),
            ("FirmwareStatusNotification", "Downloading", 9),
        ):
            assert await trigger(scene, message) == "Accepted"
            await scene.expect(message, status=word, requestId=id)
    finally:
        gate.set()


@pytest.mark.req("TC_F_20_CS", "F06.FR.04", "F06.FR.05", "F06.FR.10")
async def test_TC_F_20_CS_a_heartbeat(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    assert await trigger(scene, "Heartbeat") == "Accepted"
    await scene.expect("Heartbeat")


@pytest.mark.req("TC_F_23_CS", "TC_F_24_CS", "F06.FR.02", "F06.FR.04", "F06.FR.05", "F06.FR.10", "F06.FR.12")
async def test_TC_F_23_CS_TC_F_24_CS_the_status_of_a_connector(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    assert await trigger(scene, "StatusNotification", 1, 1) == "Accepted"
    await scene.expect_status("Available", 1)
    scene.plug(2)
    await scene.expect_status("Occupied", 2)
    for connector in (1, None):
        assert await trigger(scene, "StatusNotification", 2, connector) == "Accepted"
        await scene.expect_status("Occupied", 2)
    await scene.answered()
    assert len(scene.payloads("StatusNotification")) == 1
    assert await trigger(scene, "StatusNotification", 9, 1) == "Rejected"
    assert await trigger(scene, "StatusNotification", 1, 9) == "Rejected"


@pytest.mark.req("TC_F_26_CS", "F06.FR.04", "F06.FR.05", "F06.FR.17")
async def test_TC_F_26_CS_a_boot_is_not_repeated_once_it_was_accepted(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    assert await trigger(scene, "BootNotification") == "Rejected"
    await scene.answered()
    assert scene.payloads("BootNotification") == []


@pytest.mark.req("TC_F_27_CS", "F06.FR.08")
async def test_TC_F_27_CS_what_is_not_implemented(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    for message in ("SignV2GCertificate", "SignCombinedCertificate", "PublishFirmwareStatusNotification"):
        assert await trigger(scene, message) == "NotImplemented"
    with pytest.raises(CsmsCallError, match="PropertyConstraintViolation"):
        await trigger(scene, "Nonsense")
