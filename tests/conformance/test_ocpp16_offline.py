"""Lost power and lost lines in the official 1.6 list: what was promised is kept, in order, once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from edged.simulator.csms import Silence
from tests.conformance.scene import OpenScene, Scene, moment

# --- the power goes


@pytest.mark.req("TC_032_2_CS", "16-TX-11", "16-BOOT-10")
async def test_TC_032_2_CS_power_failure_ends_the_transaction_after_it(open_scene: OpenScene) -> None:
    scene = await open_scene(process=True, speed=100.0, keys={"MeterValueSampleInterval": 1})
    transaction = await scene.charging()
    values = await scene.expect("MeterValues", transactionId=transaction)
    (sample,) = values["meterValue"]
    await scene.restart_daemon(power_loss=True, off_s=1.0)
    stop = await scene.expect("StopTransaction", transactionId=transaction)
    on_at = datetime.now(UTC)
    await scene.expect_status("Finishing")
    await scene.answered()
    assert stop["reason"] == "PowerLoss"
    assert stop["meterStop"] >= float(sample["sampledValue"][0]["value"]) - 0.5
    assert moment(sample["timestamp"]) <= moment(stop["timestamp"]) <= on_at
    assert scene.calls()[0] == "BootNotification"
    assert len(scene.payloads("StopTransaction")) == 1
    assert not scene.point().contactor_closed
    scene.unplug()
    await scene.expect_status("Available")


@pytest.mark.req("TC_034_CS", "16-BOOT-09", "16-ST-05")
async def test_TC_034_CS_power_failure_with_a_connector_out_of_service(open_scene: OpenScene) -> None:
    scene = await open_scene(process=True)
    assert await scene.status_of("ChangeAvailability", connectorId=1, type="Inoperative") == "Accepted"
    await scene.expect_status("Unavailable")
    await scene.restart_daemon(power_loss=True)
    await scene.expect_status("Unavailable")
    await scene.settled()
    assert "Status 1 Available" not in scene.calls()


@pytest.mark.req("16-BOOT-09")
async def test_a_killed_daemon_finds_its_transaction_again(open_scene: OpenScene) -> None:
    scene = await open_scene(process=True)
    transaction = await scene.charging()
    await scene.restart_daemon(kill=True)
    await scene.expect_status("Charging")
    await scene.answered()
    assert scene.payloads("StopTransaction") == scene.payloads("StartTransaction") == []
    scene.swipe("ALICE")
    stop = await scene.expect("StopTransaction", transactionId=transaction)
    assert stop.get("reason", "Local") == "Local"


# --- the line goes


@pytest.mark.req("TC_036_CS", "16-J-07", "16-MV-13")
async def test_TC_036_CS_connection_loss_during_a_transaction(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"MeterValueSampleInterval": 1})
    transaction = await scene.charging()
    await scene.expect("MeterValues", transactionId=transaction)
    await scene.cut()
    gone_at = datetime.now(UTC)
    await scene.energy_flows(wh=200)  # three seconds and more
    back_at = datetime.now(UTC)
    await scene.restore()
    await scene.expect("MeterValues", transactionId=transaction)
    await scene.answered()
    samples = [values["meterValue"][0] for values in scene.messages("MeterValues", after=0)]
    times = [moment(sample["timestamp"]) for sample in samples]
    assert times == sorted(set(times))
    assert any(gone_at < time < back_at for time in times)
    assert len(scene.payloads("MeterValues")) >= 2
    assert scene.payloads("BootNotification") == []


@pytest.mark.req("16-J-21", "16-J-28")
async def test_a_message_whose_answer_was_lost_with_the_line_comes_again_under_its_id(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"TransactionMessageAttempts": 1})
    scene.csms.answer("StartTransaction", Silence(), times=1)
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")
    await scene.expect("StartTransaction")
    begin = scene.since
    await scene.cut()
    await scene.restore()
    await scene.expect("StartTransaction")
    await scene.answered()
    assert len(scene.payloads("StartTransaction", after=begin)) == 2
    assert len(scene.messages("StartTransaction", after=begin)) == 1


async def known_before(scene: Scene, tag: str) -> None:
    """The driver has charged here before."""
    await scene.charging(tag)
    scene.swipe(tag)
    await scene.expect("StopTransaction")
    scene.unplug()
    await scene.expect_status("Available")


async def start_offline(scene: Scene, tag: str) -> None:
    await scene.cut()
    scene.plug()
    await scene.site.until(lambda: scene.point().connected_s > 1)
    scene.swipe(tag)
    await scene.energy_flows(wh=5)


@pytest.mark.req("TC_037_1_CS", "16-AUTH-05", "16-TX-05")
async def test_TC_037_1_CS_offline_start_with_a_valid_token(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"LocalAuthorizeOffline": True})
    await known_before(scene, "ALICE")
    await start_offline(scene, "ALICE")
    await scene.restore()
    start = await scene.expect("StartTransaction", idTag="ALICE")
    status = await scene.expect_status("Charging")
    await scene.settled()
    assert moment(start["timestamp"]) <= moment(status["timestamp"])
    assert scene.payloads("StopTransaction") == scene.payloads("BootNotification") == []
    assert scene.point().contactor_closed


@pytest.mark.req("TC_037_2_CS", "16-TX-03")
async def test_TC_037_2_CS_offline_start_with_an_invalid_token_is_suspended(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"AllowOfflineTxForUnknownId": True, "StopTransactionOnInvalidId": False})
    await start_offline(scene, "STRANGER")
    await scene.restore()
    await scene.expect("StartTransaction", idTag="STRANGER")
    await scene.expect_status("SuspendedEVSE")
    await scene.energy_off()
    await scene.settled()
    assert scene.payloads("StopTransaction") == []


@pytest.mark.req("TC_037_3_CS", "16-TX-03")
async def test_TC_037_3_CS_offline_start_with_an_invalid_token_is_stopped(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"AllowOfflineTxForUnknownId": True, "StopTransactionOnInvalidId": True})
    await start_offline(scene, "STRANGER")
    await scene.restore()
    await scene.expect("StartTransaction", idTag="STRANGER")
    stop = await scene.expect("StopTransaction")
    await scene.expect_status("Finishing")
    await scene.energy_off()
    assert (stop["reason"], stop["transactionId"]) == ("DeAuthorized", scene.transaction_id())


@pytest.mark.req("TC_038_CS", "16-TX-05")
async def test_TC_038_CS_offline_stop(open_scene: OpenScene) -> None:
    scene = await open_scene()
    transaction = await scene.charging()
    await scene.cut()
    scene.swipe("ALICE")
    await scene.energy_off()
    await scene.restore()
    stop = await scene.expect("StopTransaction", transactionId=transaction)
    await scene.expect_status("Finishing")
    assert stop.get("reason", "Local") == "Local"


@pytest.mark.req("TC_039_CS", "16-TX-05", "16-TX-06")
async def test_TC_039_CS_offline_start_and_stop(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"MeterValueSampleInterval": 1})
    await known_before(scene, "ALICE")
    await start_offline(scene, "ALICE")
    await scene.energy_flows(wh=100)
    scene.swipe("ALICE")
    await scene.energy_off()
    await scene.restore()
    stop = await scene.expect("StopTransaction")
    start = await scene.expect("StartTransaction", idTag="ALICE")
    await scene.answered()
    assert stop["transactionId"] == scene.transaction_id()
    assert moment(start["timestamp"]) < moment(stop["timestamp"])
    assert stop["meterStop"] - start["meterStart"] > 100
    assert all(values["transactionId"] == scene.transaction_id() for values in scene.payloads("MeterValues"))
    assert scene.in_order("StartTransaction", "MeterValues", "StopTransaction")


@pytest.mark.req("16-AUTH-05")
async def test_a_stranger_gets_nothing_while_the_line_is_down(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await scene.cut()
    scene.plug()
    scene.swipe("STRANGER")
    await scene.site.until(lambda: not scene.point().token)
    await scene.restore()
    await scene.expect_status("Preparing")
    await scene.settled()
    assert scene.payloads("StartTransaction") == []
    assert not scene.point().permit


@pytest.mark.req("16-TX-05", "16-TX-06", "16-TX-11", "16-BOOT-09")
async def test_a_session_that_began_offline_and_ended_with_the_power_is_told_in_order(open_scene: OpenScene) -> None:
    scene = await open_scene(process=True, keys={"AllowOfflineTxForUnknownId": True, "MeterValueSampleInterval": 1})
    await start_offline(scene, "ALICE")
    await scene.energy_flows(wh=150)
    await scene.restart_daemon(power_loss=True, wait=False)
    await scene.restore()
    start = await scene.expect("StartTransaction", idTag="ALICE")
    stop = await scene.expect("StopTransaction")
    await scene.ready(after=scene.since)
    assert (stop["transactionId"], stop["reason"]) == (scene.transaction_id(), "PowerLoss")
    assert stop["meterStop"] > start["meterStart"]
    assert scene.calls()[0] == "BootNotification"
    assert scene.in_order("StartTransaction", "StopTransaction")
    assert len(scene.csms.answers.transactions) == 1


@pytest.mark.req("16-J-21", "16-BOOT-09")
async def test_a_message_keeps_its_id_when_the_daemon_is_killed_before_the_answer(open_scene: OpenScene) -> None:
    scene = await open_scene(process=True)
    scene.csms.answer("StartTransaction", Silence(), times=1)
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")
    await scene.expect("StartTransaction")
    begin = scene.since
    await scene.restart_daemon(kill=True)
    await scene.expect("StartTransaction")
    await scene.answered()
    assert len(scene.payloads("StartTransaction", after=begin)) == 2
    assert len(scene.messages("StartTransaction", after=begin)) == 1
