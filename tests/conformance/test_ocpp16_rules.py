"""Rules of 1.6 that no official case shows and that operators complain of when they are broken."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edged.domain.hardware import FaultCode
from edged.simulator.csms import ErrorAnswer, Silence
from tests.conformance.scene import TWO_SOCKETS, OpenScene
from tests.conformance.stage import PATIENCE_S

# --- messages that the CSMS does not take


def same_id_again(sentence: str) -> bool:
    """A record keeps its id at every transmission (docs/adr/0008)."""
    return "a second time on this connection" in sentence


@pytest.mark.req("16-TX-04", "16-TX-07", "16-J-28")
async def test_a_start_that_is_refused_for_ever_is_given_up_and_the_rest_goes_under_minus_one(
    open_scene: OpenScene,
) -> None:
    scene = await open_scene(
        keys={"TransactionMessageAttempts": 3, "TransactionMessageRetryInterval": 1, "MeterValueSampleInterval": 1}
    )
    scene.forgiven = same_id_again
    scene.csms.answer("StartTransaction", ErrorAnswer("InternalError"), times=3)
    begin = scene.csms.mark()
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")
    values = await scene.expect("MeterValues")
    scene.swipe("ALICE")
    stop = await scene.expect("StopTransaction")
    starts = [frame for frame in scene.csms.record if frame.is_call("StartTransaction", None)]
    waits = [after.at_s - before.at_s for before, after in pairwise(starts)]
    assert len(starts) == 3
    assert waits[0] >= 1.0 and waits[1] >= 2.0  # the interval, then twice the interval
    assert values["transactionId"] == stop["transactionId"] == -1
    assert scene.in_order("StartTransaction", "MeterValues", "StopTransaction", after=begin)


@pytest.mark.req("16-TX-07", "16-TX-14")
async def test_a_stop_that_fails_once_is_sent_again(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"TransactionMessageAttempts": 3, "TransactionMessageRetryInterval": 1})
    scene.forgiven = same_id_again
    transaction = await scene.charging()
    scene.csms.answer("StopTransaction", ErrorAnswer("GenericError"), times=1)
    scene.swipe("ALICE")
    await scene.expect("StopTransaction", transactionId=transaction)
    scene.unplug()  # a new mark: what comes now is the second transmission
    await scene.expect("StopTransaction", transactionId=transaction)
    await scene.answered()
    assert scene.csms.answers.transactions[transaction].stopped is not None


@pytest.mark.req("16-TX-06", "16-AUTH-11")
async def test_reports_do_not_wait_for_a_start_that_has_no_answer_yet(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"MessageTimeout": 1, "TransactionMessageRetryInterval": 1})
    scene.forgiven = same_id_again
    scene.csms.answer("StartTransaction", Silence(), times=1)
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")
    await scene.expect_status("Charging")
    scene.swipe("ALICE")
    stop = await scene.expect("StopTransaction")
    assert stop["transactionId"] == scene.transaction_id()


@pytest.mark.req("16-TX-03")
@pytest.mark.parametrize("stops", [True, False])
async def test_an_answer_that_does_not_accept_the_start_takes_the_energy_away(
    open_scene: OpenScene, stops: bool
) -> None:
    scene = await open_scene(keys={"StopTransactionOnInvalidId": stops, "MaxEnergyOnInvalidId": 0})
    scene.csms.answer("StartTransaction", {"transactionId": 0, "idTagInfo": {"status": "Blocked"}}, times=1)
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")
    if stops:
        stop = await scene.expect("StopTransaction", transactionId=0)  # any integer is a name (16-TX-02)
        assert stop["reason"] == "DeAuthorized"
        await scene.expect_status("Finishing")
    else:
        await scene.expect_status("SuspendedEVSE")
        await scene.settled()
        assert scene.payloads("StopTransaction") == []
    assert not scene.point().contactor_closed


# --- statuses


@pytest.mark.req("16-ST-01")
async def test_a_status_that_does_not_last_is_not_told(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"MinimumStatusDuration": 2})
    begin = scene.csms.mark()
    scene.plug()
    await scene.settled()
    scene.unplug()
    await scene.settled()
    assert [call for call in scene.calls(after=begin) if call.startswith("Status")] == []
    scene.plug()
    await scene.expect_status("Preparing")
    assert await scene.status_of("TriggerMessage", requestedMessage="StatusNotification", connectorId=1) == "Accepted"
    await scene.expect_status("Preparing")  # what is asked for is told again


@pytest.mark.req("16-ST-01", "16-ST-02")
async def test_a_warning_is_told_beside_the_status(open_scene: OpenScene) -> None:
    scene = await open_scene()
    scene.fault(FaultCode.POWER_METER)
    await scene.expect_status("Available", errorCode="PowerMeterFailure")
    scene.mend()
    await scene.expect_status("Available", errorCode="NoError")


@pytest.mark.req("16-ST-01")
async def test_a_fault_takes_the_energy_away_and_gives_it_back(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await scene.charging()
    scene.fault(FaultCode.GROUND)
    await scene.expect_status("Faulted", errorCode="GroundFailure")
    await scene.energy_off()
    await scene.site.until(lambda: not scene.point().permit)
    scene.mend()
    await scene.expect_status("Charging", errorCode="NoError")
    await scene.energy_flows()
    assert scene.payloads("StopTransaction") == scene.payloads("StartTransaction") == []


@pytest.mark.req("16-TX-09")
async def test_a_charger_that_restarts_goes_on_with_its_session(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await scene.charging()
    scene.unit().reboot()  # it comes back with energy withheld
    await scene.energy_off()
    await scene.energy_flows(wh=1)
    await scene.settled()
    assert scene.payloads("StopTransaction") == []
    assert [call for call in scene.calls() if call.startswith("Status")][-1] == "Status 1 Charging"


# --- availability


@pytest.mark.req("16-ST-05")
async def test_a_connector_in_use_goes_out_of_service_behind_its_transaction(open_scene: OpenScene) -> None:
    scene = await open_scene()
    transaction = await scene.charging()
    assert await scene.status_of("ChangeAvailability", connectorId=1, type="Inoperative") == "Scheduled"
    await scene.settled()
    assert scene.point().contactor_closed
    assert await scene.status_of("RemoteStopTransaction", transactionId=transaction) == "Accepted"
    await scene.expect_status("Unavailable")


@pytest.mark.req("16-ST-05")
async def test_the_last_word_about_availability_counts(open_scene: OpenScene) -> None:
    scene = await open_scene()
    transaction = await scene.charging()
    assert await scene.status_of("ChangeAvailability", connectorId=1, type="Inoperative") == "Scheduled"
    assert await scene.status_of("ChangeAvailability", connectorId=1, type="Operative") == "Accepted"
    assert await scene.status_of("RemoteStopTransaction", transactionId=transaction) == "Accepted"
    await scene.expect_status("Finishing")
    await scene.settled()
    assert "Status 1 Unavailable" not in scene.calls()


@pytest.mark.req("16-ST-05")
async def test_of_the_whole_station_what_is_idle_goes_out_of_service_at_once(open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS)
    transaction = await scene.charging(connector=1)
    assert await scene.status_of("ChangeAvailability", connectorId=0, type="Inoperative") == "Scheduled"
    await scene.expect_status("Unavailable", 2)
    await scene.settled()
    assert "Status 1 Unavailable" not in scene.calls()
    assert await scene.status_of("RemoteStopTransaction", transactionId=transaction) == "Accepted"
    await scene.expect_status("Unavailable", 1)


# --- keys hold at once


@pytest.mark.req("16-TX-12")
async def test_a_shorter_connection_time_out_holds_for_who_waits_already(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"ConnectionTimeOut": 600})
    begin = scene.csms.mark()
    scene.swipe("ALICE")
    await scene.expect_status("Preparing")
    await scene.configure("ConnectionTimeOut", 1)
    await scene.expect_status("Available")
    assert scene.payloads("StartTransaction", after=begin) == []


@pytest.mark.req("16-MV-01", "16-J-40")
@pytest.mark.parametrize(
    ("key", "message"), [("HeartbeatInterval", "Heartbeat"), ("MeterValueSampleInterval", "MeterValues")]
)
async def test_a_shorter_interval_holds_at_once(open_scene: OpenScene, key: str, message: str) -> None:
    scene = await open_scene(keys={key: 600})
    await scene.charging()
    await scene.configure(key, 1)
    await scene.expect(message, within_s=4.0)


@pytest.mark.req("16-BOOT-09")
async def test_a_changed_key_survives_a_killed_daemon(open_scene: OpenScene) -> None:
    scene = await open_scene(process=True)
    await scene.configure("MeterValueSampleInterval", 17)
    await scene.restart_daemon(kill=True)
    assert await scene.value_of("MeterValueSampleInterval") == "17"


# --- which connector


@pytest.mark.req("16-RES-14")
async def test_a_remote_start_without_a_connector_takes_the_car_that_waits(open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS)
    scene.plug(2)
    await scene.expect_status("Preparing", 2)
    assert await scene.remote_start("ALICE", None) == "Accepted"
    await scene.expect("StartTransaction", connectorId=2, idTag="ALICE")


@pytest.mark.req("16-TX-01", "16-TX-13")
async def test_two_connectors_charge_side_by_side(open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS)
    alice = await scene.charging("ALICE", 1)
    bob = await scene.charging("BOB", 2)
    assert alice != bob
    scene.swipe("ALICE", 1)
    await scene.expect("StopTransaction", transactionId=alice)
    await scene.settled()
    assert scene.point(2).contactor_closed
    assert len(scene.payloads("StopTransaction")) == 1


@pytest.mark.req("TC_060_CS")
@pytest.mark.parametrize(("purpose", "answer"), [("TxProfile", "Accepted"), ("TxDefaultProfile", "Rejected")])
async def test_TC_060_CS_remote_start_with_a_charging_profile(open_scene: OpenScene, purpose: str, answer: str) -> None:
    scene = await open_scene()
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}
    profile = {"chargingProfileId": 1, "stackLevel": 0, "chargingProfileKind": "Relative", "chargingSchedule": schedule}
    assert await scene.remote_start("ALICE", chargingProfile={**profile, "chargingProfilePurpose": purpose}) == answer


# --- resets


@pytest.mark.req("16-TX-09", "16-BOOT-09")
async def test_an_end_that_the_csms_could_not_hear_before_a_reset_is_told_after_it(open_scene: OpenScene) -> None:
    scene = await open_scene(process=True, keys={"MessageTimeout": 5})
    transaction = await scene.charging()
    scene.csms.answer("StopTransaction", Silence(), times=1)
    assert await scene.status_of("Reset", type="Hard") == "Accepted"
    await scene.expect("BootNotification")
    mark = scene.csms.mark()
    stop = await scene.csms.wait_for("StopTransaction", after=mark, timeout_s=PATIENCE_S)
    await scene.answered()
    assert (stop["transactionId"], stop["reason"]) == (transaction, "HardReset")
    assert scene.csms.answers.transactions[transaction].stopped is not None
