"""What the CSMS commands in the official 1.6 list: configuration, unlocking, resets, extensions."""

from __future__ import annotations

import pytest

from tests.conformance.scene import KEBA, SOCKET, TETHERED, Box, OpenScene

MANDATORY = {
    *("AuthorizeRemoteTxRequests", "ClockAlignedDataInterval", "ConnectionTimeOut", "ConnectorPhaseRotation"),
    *("GetConfigurationMaxKeys", "HeartbeatInterval", "LocalAuthorizeOffline", "LocalPreAuthorize"),
    *("MeterValuesAlignedData", "MeterValuesSampledData", "MeterValueSampleInterval", "NumberOfConnectors"),
    *("ResetRetries", "StopTransactionOnInvalidId", "StopTxnAlignedData", "StopTxnSampledData"),
    *("SupportedFeatureProfiles", "TransactionMessageAttempts", "TransactionMessageRetryInterval"),
    *("UnlockConnectorOnEVSideDisconnect", "StopTransactionOnEVSideDisconnect"),
}

# --- configuration


@pytest.mark.req("TC_019_CS")
async def test_TC_019_CS_retrieve_the_configuration(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert set((await scene.value_of("SupportedFeatureProfiles")).split(",")) == {
        "Core",
        "FirmwareManagement",
        "LocalAuthListManagement",
        "Reservation",
        "RemoteTrigger",
        "SmartCharging",
    }
    everything = await scene.call("GetConfiguration")
    keys = [entry["key"] for entry in everything["configurationKey"]]
    assert set(keys) >= MANDATORY
    assert len(keys) == len(set(keys)) <= int(await scene.value_of("GetConfigurationMaxKeys"))
    assert "unknownKey" not in everything
    some = await scene.call("GetConfiguration", key=["numberofconnectors", "HeartbeatInterval", "NoSuchKey"])
    found = {entry["key"]: (entry["value"], entry["readonly"]) for entry in some["configurationKey"]}
    assert found == {"NumberOfConnectors": ("1", True), "HeartbeatInterval": ("300", False)}
    assert some["unknownKey"] == ["NoSuchKey"]


@pytest.mark.req("TC_021_CS")
async def test_TC_021_CS_change_the_configuration(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.status_of("ChangeConfiguration", key="MeterValueSampleInterval", value="17") == "Accepted"
    assert await scene.value_of("MeterValueSampleInterval") == "17"


@pytest.mark.req("TC_040_1_CS")
async def test_TC_040_1_CS_unknown_configuration_key(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.status_of("ChangeConfiguration", key="NoSuchKey", value="1") == "NotSupported"


@pytest.mark.req("TC_040_2_CS")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MeterValueSampleInterval", "-1"),
        ("MeterValueSampleInterval", "1.5"),
        ("HeartbeatInterval", "soon"),
        ("LocalPreAuthorize", "yes"),
        ("MeterValuesSampledData", "Energy.Active.Import.Register,Nonsense"),
        ("NumberOfConnectors", "5"),  # read-only
    ],
)
async def test_TC_040_2_CS_invalid_configuration_value(open_scene: OpenScene, key: str, value: str) -> None:
    scene = await open_scene(wait=True)
    before = await scene.value_of(key)
    assert await scene.status_of("ChangeConfiguration", key=key, value=value) == "Rejected"
    assert await scene.value_of(key) == before


@pytest.mark.req("TC_062_CS")
async def test_TC_062_CS_data_of_an_unknown_vendor(open_scene: OpenScene) -> None:
    scene = await open_scene()
    answer = await scene.call("DataTransfer", vendorId="com.example.nobody", messageId="hello", data="{[\u0000")
    assert answer == {"status": "UnknownVendorId"}


# --- the lock


@pytest.mark.req("TC_017_1_CS")
@pytest.mark.parametrize("box", [SOCKET, KEBA], ids=lambda box: box.make)
async def test_TC_017_1_CS_unlock_a_socket_without_a_session(open_scene: OpenScene, box: Box) -> None:
    scene = await open_scene(box)
    assert await scene.status_of("UnlockConnector", connectorId=1) == "Unlocked"
    await scene.settled()
    assert scene.payloads("StopTransaction") == []


@pytest.mark.req("TC_017_2_CS")
async def test_TC_017_2_CS_unlock_a_fixed_cable_without_a_session(open_scene: OpenScene) -> None:
    scene = await open_scene(TETHERED)
    assert await scene.status_of("UnlockConnector", connectorId=1) == "NotSupported"


@pytest.mark.req("TC_018_1_CS")
@pytest.mark.parametrize(("box", "tag"), [(SOCKET, "ALICE"), (KEBA, "0A0B0C0D")], ids=[SOCKET.make, KEBA.make])
async def test_TC_018_1_CS_unlock_a_socket_during_a_session(open_scene: OpenScene, box: Box, tag: str) -> None:
    scene = await open_scene(box)
    scene.csms.answers.tokens[tag] = scene.tokens["ALICE"]
    transaction = await scene.charging(tag)
    assert await scene.status_of("UnlockConnector", connectorId=1) == "Unlocked"
    stop = await scene.expect("StopTransaction", transactionId=transaction)
    await scene.expect_status("Finishing")
    assert stop["reason"] == "UnlockCommand"
    assert not scene.point().lock_closed
    scene.unplug()
    await scene.expect_status("Available")


@pytest.mark.req("TC_018_2_CS")
async def test_TC_018_2_CS_unlock_a_fixed_cable_during_a_session(open_scene: OpenScene) -> None:
    scene = await open_scene(TETHERED)
    scene.plug()
    await scene.expect_status("Preparing")
    assert await scene.remote_start("ALICE") == "Accepted"
    await scene.expect_status("Charging")
    assert await scene.status_of("UnlockConnector", connectorId=1) == "NotSupported"
    await scene.settled()
    assert scene.payloads("StopTransaction") == []
    assert scene.point().contactor_closed


@pytest.mark.req("TC_030_CS")
async def test_TC_030_CS_the_lock_does_not_open(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await scene.charging()
    scene.point().jam_lock(True)
    assert await scene.status_of("UnlockConnector", connectorId=1) == "UnlockFailed"
    await scene.expect_status("Faulted", errorCode="ConnectorLockFailure")


@pytest.mark.req("TC_031_CS")
@pytest.mark.parametrize("connector", [0, 2, 1000])
async def test_TC_031_CS_unlock_an_unknown_connector(open_scene: OpenScene, connector: int) -> None:
    scene = await open_scene()
    assert await scene.status_of("UnlockConnector", connectorId=connector) == "NotSupported"


# --- resets end the process: it is a real one


@pytest.mark.req("TC_013_CS", "TC_014_CS", "16-BOOT-09", "16-BOOT-10")
@pytest.mark.parametrize("kind", ["Hard", "Soft"], ids=["TC_013_CS", "TC_014_CS"])
async def test_TC_013_CS_TC_014_CS_reset_without_a_transaction(open_scene: OpenScene, kind: str) -> None:
    scene = await open_scene(process=True)
    assert await scene.status_of("ChangeAvailability", connectorId=1, type="Inoperative") == "Accepted"
    await scene.expect_status("Unavailable")
    assert await scene.status_of("Reset", type=kind) == "Accepted"
    await scene.expect("BootNotification")
    await scene.expect_status("Unavailable")
    assert scene.daemon.exits == [75]
    assert scene.calls()[0] == "BootNotification"
    assert await scene.status_of("ChangeAvailability", connectorId=1, type="Operative") == "Accepted"
    await scene.expect_status("Available")


@pytest.mark.req("TC_015_CS")
async def test_TC_015_CS_hard_reset_during_a_transaction(open_scene: OpenScene) -> None:
    scene = await open_scene(process=True)
    transaction = await scene.charging()
    assert await scene.status_of("Reset", type="Hard") == "Accepted"
    await scene.expect("BootNotification")
    await scene.ready(after=scene.since)
    stop = await scene.expect("StopTransaction", transactionId=transaction)
    await scene.answered()
    assert stop["reason"] == "HardReset"
    assert len(scene.payloads("StopTransaction")) == 1
    assert scene.daemon.exits == [75]


@pytest.mark.req("TC_016_CS")
async def test_TC_016_CS_soft_reset_during_a_transaction(open_scene: OpenScene) -> None:
    scene = await open_scene(process=True)
    transaction = await scene.charging()
    assert await scene.status_of("Reset", type="Soft") == "Accepted"
    await scene.expect("BootNotification")
    assert scene.in_order("StopTransaction", "Status 1 Finishing", "BootNotification") or scene.in_order(
        "Status 1 Finishing", "StopTransaction", "BootNotification"
    )
    (stop,) = scene.payloads("StopTransaction")
    assert (stop["transactionId"], stop["reason"]) == (transaction, "SoftReset")
    assert scene.daemon.exits == [75]
