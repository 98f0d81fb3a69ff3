"""TriggerMessage of the official 1.6 list."""

from __future__ import annotations

import pytest

from edged.simulator.csms import CsmsCallError
from tests.conformance.scene import SOCKET, TWO_SOCKETS, OpenScene


@pytest.mark.req("TC_054_CS")
async def test_TC_054_CS_heartbeat_is_triggered(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.status_of("TriggerMessage", requestedMessage="Heartbeat") == "Accepted"
    await scene.expect("Heartbeat")


@pytest.mark.req("TC_054_CS")
async def test_TC_054_CS_meter_values_are_triggered(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"MeterValuesSampledData": "Energy.Active.Import.Register,Voltage"})
    transaction = await scene.charging()
    assert await scene.status_of("TriggerMessage", requestedMessage="MeterValues", connectorId=1) == "Accepted"
    values = await scene.expect("MeterValues", connectorId=1)
    (sample,) = values["meterValue"]
    assert values["transactionId"] == transaction
    assert {value["context"] for value in sample["sampledValue"]} == {"Trigger"}
    assert {value["measurand"] for value in sample["sampledValue"]} == {"Energy.Active.Import.Register", "Voltage"}


@pytest.mark.req("TC_054_CS")
async def test_TC_054_CS_meter_values_of_all_connectors_are_triggered(open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS)
    assert await scene.status_of("TriggerMessage", requestedMessage="MeterValues") == "Accepted"
    for connector in (1, 2):
        values = await scene.expect("MeterValues", connectorId=connector)
        assert "transactionId" not in values


@pytest.mark.req("TC_054_CS")
async def test_TC_054_CS_the_status_of_one_connector_is_triggered(open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS)
    assert await scene.status_of("TriggerMessage", requestedMessage="StatusNotification", connectorId=2) == "Accepted"
    await scene.expect_status("Available", 2)
    await scene.answered()
    assert len(scene.payloads("StatusNotification")) == 1


@pytest.mark.req("TC_054_CS")
async def test_TC_054_CS_the_status_of_everything_is_triggered(open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS)
    assert await scene.status_of("TriggerMessage", requestedMessage="StatusNotification") == "Accepted"
    for connector in (0, 1, 2):
        await scene.expect_status("Available", connector)


@pytest.mark.req("TC_054_CS", "16-BOOT-08")
async def test_TC_054_CS_a_boot_is_not_repeated_once_it_was_accepted(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.status_of("TriggerMessage", requestedMessage="BootNotification") == "Rejected"
    await scene.answered()
    assert scene.payloads("BootNotification") == []


@pytest.mark.req("TC_054_CS", "L01.FR.28")
@pytest.mark.parametrize("message", ["DiagnosticsStatusNotification", "FirmwareStatusNotification"])
async def test_TC_054_CS_a_station_that_updates_and_uploads_nothing_is_idle(
    open_scene: OpenScene, message: str
) -> None:
    scene = await open_scene(SOCKET)
    assert await scene.status_of("TriggerMessage", requestedMessage=message) == "Accepted"
    assert await scene.expect(message) == {"status": "Idle"}


@pytest.mark.req("TC_055_CS")
@pytest.mark.parametrize("message", ["StatusNotification", "MeterValues"])
async def test_TC_055_CS_a_trigger_for_an_unknown_connector_is_rejected(open_scene: OpenScene, message: str) -> None:
    scene = await open_scene(SOCKET)
    assert await scene.status_of("TriggerMessage", requestedMessage=message, connectorId=2) == "Rejected"
    await scene.answered()
    assert scene.payloads(message) == []


@pytest.mark.req("TC_055_CS")
async def test_TC_055_CS_a_message_that_cannot_be_triggered_breaks_the_schema(open_scene: OpenScene) -> None:
    scene = await open_scene(SOCKET)
    with pytest.raises(CsmsCallError) as refused:
        await scene.call("TriggerMessage", requestedMessage="StartTransaction")
    assert refused.value.code == "PropertyConstraintViolation"
