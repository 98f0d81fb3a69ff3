"""Transactions of the official 2.0.1 list, E01 to E14: what starts them, what stops them, and how they are told."""

from __future__ import annotations

import pytest

from edged.domain import transaction
from edged.domain.hardware import FaultCode
from edged.domain.metering import UNKEPT_MAX
from edged.simulator.csms import ErrorAnswer, Silence
from edged.simulator.parts import Car
from tests.conformance.scene201 import KEBA, LOCKING, TETHERED, Json, OpenScene201, Scene201, moment

AT_PLUG = {"TxStartPoint": "EVConnected", "TxStopPoint": "EVConnected"}
AT_TOKEN = {"TxStartPoint": "Authorized", "TxStopPoint": "Authorized"}


def told(events: list[Json]) -> list[str]:
    """Events in words: type, reason, state, and why it stopped."""
    return [
        " ".join(
            str(word)
            for word in (
                event["eventType"],
                event["triggerReason"],
                event["transactionInfo"].get("chargingState"),
                event["transactionInfo"].get("stoppedReason"),
            )
            if word is not None
        )
        for event in events
    ]


async def story(scene: Scene201, *, after: int) -> list[Json]:
    """Every event since a mark, of one transaction only, once all are told; numbered from 0 (E01.FR.07)."""
    await scene.answered()
    events = scene.events(after=after)
    assert len({event["transactionInfo"]["transactionId"] for event in events}) == 1
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    return events


# --- what starts it


@pytest.mark.req("TC_E_01_CS", "E01.FR.05", "E01.FR.07", "E01.FR.10", "E01.FR.15", "E01.FR.16")
async def test_TC_E_01_CS_a_token_and_a_cable_start_it(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxStartPoint": "PowerPathClosed"})
    begin = scene.csms.mark()
    scene.plug()
    await scene.expect_status("Occupied")
    assert scene.events(after=begin) == []
    scene.swipe("ALICE")
    await scene.expect_event(charging_state="Charging")
    events = await story(scene, after=begin)
    assert told(events) == ["Started Authorized EVConnected", "Updated ChargingStateChanged Charging"]
    assert events[0]["evse"] == {"id": 1, "connectorId": 1}
    assert events[0]["idToken"]["idToken"] == "ALICE"
    assert "evse" not in events[1] and "idToken" not in events[1]


@pytest.mark.req(
    "TC_E_03_CS", "E02.FR.01", "E02.FR.05", "E02.FR.06", "E02.FR.07", "E02.FR.13", "E02.FR.15", "E02.FR.17"
)
async def test_TC_E_03_CS_cable_first(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=AT_PLUG)
    begin = scene.csms.mark()
    scene.plug()
    await scene.expect_status("Occupied")
    await scene.expect_event("Started", "CablePluggedIn", charging_state="EVConnected")
    scene.swipe("ALICE")
    await scene.expect("Authorize")
    await scene.expect_event(charging_state="Charging")
    events = await story(scene, after=begin)
    assert told(events) == [
        "Started CablePluggedIn EVConnected",
        "Updated Authorized EVConnected",
        "Updated ChargingStateChanged Charging",
    ]
    assert ["idToken" in event for event in events] == [False, True, False]


@pytest.mark.req("TC_E_09_CS", "E01.FR.02", "E01.FR.07", "E01.FR.10", "E01.FR.15", "E01.FR.16")
async def test_TC_E_09_CS_the_cable_starts_it_and_the_driver_comes_later(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=AT_PLUG)
    begin = scene.csms.mark()
    scene.plug()
    started = await scene.expect_event("Started", "CablePluggedIn", evse=1)
    assert started["evse"] == {"id": 1, "connectorId": 1}
    assert not scene.point().permit
    assert await scene.request_start("ALICE") == "Accepted"
    named = await scene.expect_event("Updated", "RemoteStart", remoteStartId=scene.remote_start_id)
    assert named["idToken"]["idToken"] == "ALICE"
    await scene.expect_event(charging_state="Charging")
    await story(scene, after=begin)


@pytest.mark.req("TC_E_04_CS", "E03.FR.01", "E03.FR.06", "E03.FR.12", "E01.FR.16")
async def test_TC_E_04_CS_token_first(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    begin = scene.csms.mark()
    scene.swipe("ALICE")
    await scene.expect("Authorize")
    await scene.settled()
    scene.plug()
    await scene.expect_status("Occupied")
    await scene.expect_event(charging_state="Charging")
    events = await story(scene, after=begin)
    assert told(events) == ["Started CablePluggedIn EVConnected", "Updated ChargingStateChanged Charging"]
    assert events[0]["idToken"]["idToken"] == "ALICE"


@pytest.mark.req("TC_E_10_CS", "E01.FR.03", "E01.FR.07", "E01.FR.10", "E01.FR.15", "E01.FR.16")
async def test_TC_E_10_CS_a_token_starts_it_and_the_cable_comes_later(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=AT_TOKEN)
    begin = scene.csms.mark()
    scene.swipe("ALICE")
    started = await scene.expect_event("Started", "Authorized", charging_state="Idle")
    assert started["evse"] == {"id": 1}
    scene.plug()
    await scene.expect_event(charging_state="Charging")
    events = await story(scene, after=begin)
    assert told(events)[1:] == ["Updated CablePluggedIn EVConnected", "Updated ChargingStateChanged Charging"]
    assert events[1]["evse"] == {"id": 1, "connectorId": 1}


@pytest.mark.req("TC_E_13_CS", "E01.FR.03", "F01.FR.03", "F01.FR.19", "F02.FR.01", "F02.FR.21")
async def test_TC_E_13_CS_a_remote_start_starts_it(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TETHERED, keys=AT_TOKEN)
    begin = scene.csms.mark()
    assert await scene.request_start("ALICE") == "Accepted"
    started = await scene.expect_event("Started", "RemoteStart", remoteStartId=scene.remote_start_id)
    assert started["idToken"]["idToken"] == "ALICE"
    scene.plug()
    await scene.expect_event("Updated", "CablePluggedIn")
    await scene.expect_event(charging_state="Charging")
    await story(scene, after=begin)


@pytest.mark.req("TC_E_05_CS", "E03.FR.01", "E03.FR.06", "E03.FR.12", "C01.FR.26")
async def test_TC_E_05_CS_who_does_not_plug_in_has_left(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxCtrlr.EVConnectionTimeOut": 1})
    begin = scene.csms.mark()
    scene.swipe("ALICE")
    await scene.expect("Authorize")
    await scene.knows(lambda state: "Preparing" in str(state))
    await scene.knows(lambda state: "Preparing" not in str(state))
    scene.plug()
    await scene.expect_status("Occupied")
    await scene.settled()
    assert scene.events(after=begin) == []
    assert not scene.point().permit


@pytest.mark.req("TC_E_39_CS", "E03.FR.05", "E06.FR.04", "E06.FR.08", "E06.FR.15")
async def test_TC_E_39_CS_a_transaction_without_a_cable_times_out(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={**AT_TOKEN, "TxCtrlr.EVConnectionTimeOut": 1})
    begin = scene.csms.mark()
    scene.swipe("ALICE")
    await scene.expect_event("Ended", "EVConnectTimeout", stoppedReason="Timeout")
    assert told(await story(scene, after=begin)) == [
        "Started Authorized Idle",
        "Ended EVConnectTimeout Idle Timeout",
    ]


@pytest.mark.req("TC_E_38_CS", "E02.FR.13", "E03.FR.12")
async def test_TC_E_38_CS_the_car_is_not_ready(open_scene201: OpenScene201, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "SETTLE_S", 1.0)
    scene = await open_scene201(keys=AT_TOKEN)
    scene.swipe("ALICE")
    await scene.expect_event("Started", "Authorized")
    begin = scene.csms.mark()
    scene.plug(car=Car(paused=True))
    await scene.expect_event("Updated", "CablePluggedIn", charging_state="EVConnected")
    await scene.expect_event("Updated", "ChargingStateChanged", charging_state="SuspendedEV")
    scene.point().resume()
    await scene.expect_event("Updated", "ChargingStateChanged", charging_state="Charging")
    await scene.answered()
    assert len(scene.events(after=begin)) == 3


# --- a driver stops it


@pytest.mark.req("TC_E_06_CS", "E07.FR.02", "E07.FR.04", "E06.FR.15", "C01.FR.03")
async def test_TC_E_06_CS_its_driver_stops_it(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    transaction_id = await scene.charging()
    scene.swipe("ALICE")
    ended = await scene.expect_event("Ended", "StopAuthorized", transactionId=transaction_id)
    assert ended["idToken"]["idToken"] == "ALICE"
    assert ended["transactionInfo"].get("stoppedReason", "Local") == "Local"
    assert scene.payloads("Authorize") == []
    await scene.energy_off()
    scene.unplug()
    await scene.expect_status("Available")
    await scene.answered()
    assert scene.events() == []


@pytest.mark.req("TC_E_07_CS", "E06.FR.06", "E06.FR.15")
async def test_TC_E_07_CS_the_driver_opens_the_power_path(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxStopPoint": "PowerPathClosed"})
    await scene.charging()
    scene.swipe("ALICE")
    await scene.expect_event("Ended", "StopAuthorized")
    await scene.energy_off()


@pytest.mark.req("TC_E_08_CS", "E06.FR.07", "E06.FR.15")
async def test_TC_E_08_CS_the_driver_stops_the_energy(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxStopPoint": "EnergyTransfer"})
    await scene.charging()
    scene.swipe("ALICE")
    await scene.expect_event("Ended", "StopAuthorized")
    await scene.energy_off()


@pytest.mark.req("TC_E_15_CS", "E06.FR.03", "E06.FR.15")
async def test_TC_E_15_CS_the_driver_ends_the_authorization(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=AT_TOKEN)
    scene.swipe("ALICE")
    await scene.expect_event("Started", "Authorized")
    scene.plug()
    await scene.expect_event(charging_state="Charging")
    scene.swipe("ALICE")
    await scene.expect_event("Ended", "StopAuthorized")


@pytest.mark.req("TC_E_14_CS", "E06.FR.02", "E06.FR.15", "E07.FR.02", "E07.FR.07")
async def test_TC_E_14_CS_it_ends_when_the_cable_is_pulled(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=AT_PLUG)
    begin = scene.csms.mark()
    scene.plug()
    await scene.expect_event("Started", "CablePluggedIn")
    scene.swipe("ALICE")
    await scene.expect_event(charging_state="Charging")
    scene.swipe("ALICE")
    stopped = await scene.expect_event("Updated", "StopAuthorized", charging_state="EVConnected")
    assert stopped["idToken"]["idToken"] == "ALICE"
    await scene.energy_off()
    scene.unplug()
    await scene.expect_event("Ended", "EVCommunicationLost", charging_state="Idle", stoppedReason="Local")
    await scene.expect_status("Available")
    events = await story(scene, after=begin)
    assert sum("idToken" in event for event in events) == 2


@pytest.mark.req("TC_E_21_CS", "E06.FR.03", "E06.FR.08", "E06.FR.15", "F03.FR.03", "F03.FR.07", "F03.FR.09")
async def test_TC_E_21_CS_the_csms_stops_it(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    transaction_id = await scene.charging()
    assert await scene.request_stop(transaction_id) == "Accepted"
    await scene.expect_event("Ended", "RemoteStop", stoppedReason="Remote", transactionId=transaction_id)
    await scene.energy_off()
    assert await scene.request_stop(transaction_id) == "Rejected"


@pytest.mark.req("TC_E_35_CS", "E06.FR.06", "E06.FR.15", "F03.FR.03")
async def test_TC_E_35_CS_the_csms_opens_the_power_path(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxStopPoint": "PowerPathClosed"})
    transaction_id = await scene.charging()
    assert await scene.request_stop(transaction_id) == "Accepted"
    await scene.expect_event("Ended", "RemoteStop", stoppedReason="Remote")


# --- the CSMS takes the driver back


async def refused_at_start(scene: Scene201) -> str:
    """A driver who is known here starts while the CSMS is away, and is Invalid when it is back."""
    await scene.charging()
    scene.swipe("ALICE")
    scene.unplug()
    await scene.expect_status("Available")
    await scene.answered()
    scene.csms.answers_201.tokens.pop("ALICE", None)
    await scene.cut()
    scene.plug()
    await scene.site.until(lambda: scene.point().connected_s > 1)
    scene.swipe("ALICE")
    await scene.energy_flows(wh=5)
    await scene.restore()
    started = await scene.expect_event("Started")
    assert started["offline"] is True
    return str(started["transactionInfo"]["transactionId"])


@pytest.mark.req("TC_E_16_CS", "E06.FR.04", "E06.FR.15", "C15.FR.02", "C15.FR.04", "E05.FR.10", "E04.FR.03")
async def test_TC_E_16_CS_an_invalid_token_ends_it(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxCtrlr.StopTxOnInvalidId": True})
    transaction_id = await refused_at_start(scene)
    ended = await scene.expect_event("Ended", "Deauthorized", transactionId=transaction_id)
    assert ended["transactionInfo"]["stoppedReason"] == "DeAuthorized"
    await scene.energy_off()


@pytest.mark.req("C15.FR.03", "E05.FR.09", "C01.FR.23")
async def test_an_invalid_token_gets_no_energy_until_the_cable_is_pulled(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxStopPoint": "EVConnected"})
    scene.csms.answer("TransactionEvent", {"idTokenInfo": {"status": "Blocked"}}, times=1)
    transaction_id = await scene_start(scene)
    await scene.expect_event("Updated", "Deauthorized", charging_state="EVConnected")
    await scene.energy_off()
    scene.swipe("BOB")
    await scene.settled()
    assert not scene.point().contactor_closed
    scene.unplug()
    ended = await scene.expect_event("Ended", "EVCommunicationLost", transactionId=transaction_id)
    assert ended["transactionInfo"]["stoppedReason"] == "DeAuthorized"


@pytest.mark.req("C15.FR.06", "E05.FR.02")
async def test_an_invalid_token_may_stay_without_energy(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxCtrlr.StopTxOnInvalidId": False})
    scene.csms.answer("TransactionEvent", {"idTokenInfo": {"status": "Blocked"}}, times=1)
    await scene_start(scene)
    await scene.expect_event("Updated", "ChargingStateChanged", charging_state="SuspendedEVSE")
    await scene.energy_off()


async def scene_start(scene: Scene201) -> str:
    scene.plug()
    await scene.expect_status("Occupied")
    scene.swipe("ALICE")
    started = await scene.expect_event("Started")
    return str(started["transactionInfo"]["transactionId"])


# --- the cable goes, the car stops, something breaks


@pytest.mark.req("TC_E_17_CS", "E06.FR.04", "E06.FR.15", "E09.FR.01")
async def test_TC_E_17_CS_pulling_the_cable_ends_the_authorization(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={**AT_TOKEN, "TxCtrlr.StopTxOnEVSideDisconnect": True})
    scene.swipe("ALICE")
    await scene.expect_event("Started")
    scene.plug()
    await scene.expect_event(charging_state="Charging")
    scene.unplug()
    await scene.expect_event("Ended", "EVCommunicationLost", stoppedReason="EVDisconnected", charging_state="Idle")


@pytest.mark.req("TC_E_20_CS", "E06.FR.02", "E06.FR.15")
async def test_TC_E_20_CS_the_connection_to_the_car_is_lost(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={**AT_PLUG, "TxCtrlr.StopTxOnEVSideDisconnect": False})
    await scene.charging()
    scene.point().pause()
    await scene.expect_event("Updated", "ChargingStateChanged", charging_state="SuspendedEV")
    scene.unplug()
    await scene.expect_event("Ended", "EVCommunicationLost", charging_state="Idle")


@pytest.mark.req("TC_E_37_CS", "E06.FR.06", "E06.FR.15")
async def test_TC_E_37_CS_pulling_the_cable_opens_the_power_path(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxStopPoint": "PowerPathClosed", "TxCtrlr.StopTxOnEVSideDisconnect": False})
    await scene.charging()
    scene.unplug()
    await scene.expect_event("Ended", "EVCommunicationLost", stoppedReason="EVDisconnected")


@pytest.mark.req("TC_E_22_CS", "E06.FR.07", "E06.FR.15")
async def test_TC_E_22_CS_the_car_stops_the_energy(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxStopPoint": "EnergyTransfer"})
    await scene.charging()
    scene.point().pause()
    ended = await scene.expect_event("Ended", "ChargingStateChanged", charging_state="SuspendedEV")
    assert ended["transactionInfo"]["stoppedReason"] == "StoppedByEV"


@pytest.mark.req("TC_E_24_CS", "E09.FR.01", "E09.FR.02", "E09.FR.04")
async def test_TC_E_24_CS_the_socket_lets_the_cable_go(open_scene201: OpenScene201) -> None:
    keys = {"TxCtrlr.StopTxOnEVSideDisconnect": True, "OCPPCommCtrlr.UnlockOnEVSideDisconnect": True}
    scene = await open_scene201(LOCKING, keys=keys)
    await scene.charging()
    scene.unplug()
    await scene.expect_event("Ended", "EVCommunicationLost", stoppedReason="EVDisconnected")
    await scene.expect_status("Available")
    await scene.site.until(lambda: not scene.point().cable_in)
    scene.plug()
    await scene.expect_status("Occupied")
    await scene.settled()
    assert not scene.point().permit  # nothing resumes
    assert scene.events() == []


@pytest.mark.req("TC_E_25_CS", "E09.FR.01", "E09.FR.03", "E09.FR.04")
async def test_TC_E_25_CS_the_socket_keeps_the_cable_for_its_driver(open_scene201: OpenScene201) -> None:
    keys = {"TxCtrlr.StopTxOnEVSideDisconnect": True, "OCPPCommCtrlr.UnlockOnEVSideDisconnect": False}
    scene = await open_scene201(LOCKING, keys=keys)
    await scene.charging()
    scene.unplug()
    await scene.expect_event("Ended", "EVCommunicationLost", stoppedReason="EVDisconnected")
    await scene.settled()
    assert scene.point().lock_closed
    scene.swipe("ALICE")
    await scene.site.until(lambda: not scene.point().cable_in)
    await scene.expect_status("Available")


@pytest.mark.req("TC_E_26_CS", "E10.FR.01", "E10.FR.03", "E02.FR.15")
async def test_TC_E_26_CS_it_waits_for_the_cable_and_goes_on(open_scene201: OpenScene201) -> None:
    keys = {"TxCtrlr.StopTxOnEVSideDisconnect": False, "OCPPCommCtrlr.UnlockOnEVSideDisconnect": False}
    scene = await open_scene201(LOCKING, keys={**AT_TOKEN, **keys})
    scene.swipe("ALICE")
    await scene.expect_event("Started", "Authorized")
    begin = scene.csms.mark()
    scene.plug()
    await scene.expect_event(charging_state="Charging")
    scene.unplug()
    await scene.expect_event("Updated", "EVCommunicationLost", charging_state="Idle")
    await scene.settled()
    assert scene.point().lock_closed
    scene.point().plug_in()
    await scene.expect_event("Updated", "CablePluggedIn", charging_state="EVConnected")
    await scene.expect_event("Updated", "ChargingStateChanged", charging_state="Charging")
    scene.swipe("ALICE")
    await scene.expect_event("Ended", "StopAuthorized")
    await scene.site.until(lambda: not scene.point().lock_closed)
    assert "Ended" not in [event["eventType"] for event in scene.events(after=begin)][:-1]


@pytest.mark.req("TC_E_27_CS", "E10.FR.02", "E10.FR.03")
async def test_TC_E_27_CS_a_fixed_cable_must_be_back_in_time(open_scene201: OpenScene201) -> None:
    keys = {"TxCtrlr.StopTxOnEVSideDisconnect": False, "TxCtrlr.EVConnectionTimeOut": 2}
    scene = await open_scene201(TETHERED, keys={**AT_TOKEN, **keys})
    assert await scene.request_start("ALICE") == "Accepted"
    scene.plug()
    await scene.expect_event(charging_state="Charging")
    scene.unplug()
    await scene.expect_event("Updated", "EVCommunicationLost", charging_state="Idle")
    await scene.expect_event("Ended", "EVConnectTimeout", stoppedReason="Timeout")
    scene.plug()
    await scene.settled()
    assert not scene.point().contactor_closed


@pytest.mark.req("E06.FR.16", "E01.FR.18")
async def test_a_fault_is_an_abnormal_condition(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(KEBA)
    assert await scene.request_start("ALICE") == "Accepted"
    scene.plug()
    await scene.expect_event(charging_state="Charging")
    scene.fault(FaultCode.GROUND)
    await scene.expect_event("Updated", "AbnormalCondition")


# --- what waits for the CSMS


@pytest.mark.req("TC_E_28_CS", "TC_E_30_CS", "TC_E_32_CS", "TC_E_34_CS", "E14.FR.01", "E14.FR.02", "E14.FR.03")
@pytest.mark.req("E14.FR.05", "E14.FR.06", "E14.FR.08")
async def test_TC_E_28_CS_TC_E_30_CS_TC_E_32_CS_TC_E_34_CS_nothing_waits(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    assert await scene.call("GetTransactionStatus", transactionId="nobody") == {
        "ongoingIndicator": False,
        "messagesInQueue": False,
    }
    transaction_id = await scene.charging()
    await scene.answered()
    status = await scene.call("GetTransactionStatus", transactionId=transaction_id)
    assert status == {"ongoingIndicator": True, "messagesInQueue": False}
    assert await scene.call("GetTransactionStatus") == {"messagesInQueue": False}
    scene.swipe("ALICE")
    await scene.expect_event("Ended")
    await scene.answered()
    status = await scene.call("GetTransactionStatus", transactionId=transaction_id)
    assert status == {"ongoingIndicator": False, "messagesInQueue": False}


@pytest.mark.req("TC_E_29_CS", "TC_E_31_CS", "TC_E_33_CS", "E14.FR.02", "E14.FR.03", "E14.FR.04", "E14.FR.07")
async def test_TC_E_29_CS_TC_E_31_CS_TC_E_33_CS_messages_wait(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": 2})
    scene.forgiven = lambda sentence: "goes from seqNo 2 to 2" in sentence  # it comes again
    transaction_id = await scene.charging()
    await scene.answered()
    scene.csms.answer("TransactionEvent", ErrorAnswer("InternalError"), times=1)
    scene.point().pause()
    await scene.expect_event(charging_state="SuspendedEV")
    status = await scene.call("GetTransactionStatus", transactionId=transaction_id)
    assert status == {"ongoingIndicator": True, "messagesInQueue": True}
    assert await scene.call("GetTransactionStatus") == {"messagesInQueue": True}
    scene.swipe("ALICE")
    await scene.energy_off()
    await scene.knows(lambda state: state["queued"] == 2)
    status = await scene.call("GetTransactionStatus", transactionId=transaction_id)
    assert status == {"ongoingIndicator": False, "messagesInQueue": True}
    await scene.expect_event("Ended")


@pytest.mark.parametrize("times", [2, 1])
@pytest.mark.req("TC_E_41_CS", "TC_E_42_CS", "E13.FR.01", "E13.FR.02", "E13.FR.03", "E13.FR.04")
async def test_TC_E_41_CS_TC_E_42_CS_what_is_not_answered_comes_again(open_scene201: OpenScene201, times: int) -> None:
    await _retried(open_scene201, Silence(), times)


@pytest.mark.parametrize("times", [2, 1])
@pytest.mark.req("TC_E_50_CS", "TC_E_51_CS", "E13.FR.01", "E13.FR.02", "E13.FR.03", "E13.FR.04")
async def test_TC_E_50_CS_TC_E_51_CS_what_is_refused_comes_again(open_scene201: OpenScene201, times: int) -> None:
    await _retried(open_scene201, ErrorAnswer("InternalError"), times)


async def _retried(open_scene201: OpenScene201, answer: Silence | ErrorAnswer, times: int) -> None:
    """Two attempts at most: the first answer is none, and the second too where `times` is 2."""
    scene = await open_scene201(
        keys={
            "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": 2,
            "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": 1,
            "OCPPCommCtrlr.MessageTimeout[Default]": 1,
        }
    )
    scene.forgiven = lambda sentence: "goes from seqNo" in sentence
    transaction_id = await scene.charging()
    await scene.answered()
    scene.csms.answer("TransactionEvent", answer, times=times)
    scene.point().pause()
    await scene.expect_event(charging_state="SuspendedEV")
    scene.swipe("ALICE")
    await scene.expect_event("Ended", "StopAuthorized", transactionId=transaction_id)
    tries = [e for e in scene.payloads("TransactionEvent", after=0) if e["triggerReason"] == "ChargingStateChanged"]
    assert sum(e["transactionInfo"]["chargingState"] == "SuspendedEV" for e in tries) == 2


# --- the line goes


@pytest.mark.req("TC_E_40_CS", "E11.FR.01", "E11.FR.02", "E11.FR.06", "E11.FR.07")
async def test_TC_E_40_CS_the_line_is_away_during_a_transaction(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"SampledDataCtrlr.TxUpdatedInterval": 1})
    begin = scene.csms.mark()
    await scene.charging()
    await scene.cut()
    await scene.energy_flows(wh=150)
    scene.point().pause()
    await scene.knows(lambda state: "SuspendedEV" in str(state))
    await scene.restore()
    await scene.expect_event(charging_state="SuspendedEV")
    await scene.expect_event("Updated", "MeterValuePeriodic", offline=None)
    events = await story(scene, after=begin)
    assert any(event.get("offline") for event in events)
    times = [moment(event["timestamp"]) for event in events]
    assert times == sorted(times)
    assert scene.payloads("BootNotification") == []


@pytest.mark.req("TC_E_43_CS", "E12.FR.01", "E12.FR.02", "E12.FR.06", "E04.FR.01", "E04.FR.02", "E04.FR.03")
async def test_TC_E_43_CS_a_whole_transaction_while_the_line_is_away(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"AuthCtrlr.OfflineTxForUnknownIdEnabled": True})
    await scene.cut()
    begin = scene.csms.mark()
    scene.plug()
    await scene.site.until(lambda: scene.point().connected_s > 1)
    scene.swipe("ALICE")
    await scene.energy_flows(wh=5)
    scene.swipe("ALICE")
    await scene.energy_off()
    scene.unplug()
    await scene.knows(lambda state: "Available" in str(state))
    await scene.restore()
    await scene.expect_event("Ended", "StopAuthorized")
    events = await story(scene, after=begin)
    assert all(event["offline"] is True for event in events)
    assert told(events)[0] == "Started Authorized EVConnected"


@pytest.mark.req("TC_E_44_CS", "E08.FR.01", "E08.FR.04", "E08.FR.05", "E08.FR.06", "E08.FR.07", "E08.FR.08")
async def test_TC_E_44_CS_its_driver_stops_it_while_the_line_is_away(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await _stopped_offline(scene, "ALICE", "ALICE")


@pytest.mark.req("TC_E_45_CS", "E08.FR.02", "E08.FR.04", "E08.FR.05", "E08.FR.06", "E08.FR.07", "E08.FR.08")
async def test_TC_E_45_CS_its_group_stops_it_while_the_line_is_away(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"AuthCtrlr.LocalAuthorizeOffline": True})
    await scene.charging("DAD")
    scene.swipe("DAD")
    await scene.expect_event("Ended")
    scene.unplug()
    await scene.expect_status("Available")
    await _stopped_offline(scene, "MUM", "DAD")


async def _stopped_offline(scene: Scene201, driver: str, stopper: str) -> None:
    transaction_id = await scene.charging(driver)
    await scene.answered()
    await scene.cut()
    scene.swipe(stopper)
    await scene.energy_off()
    await scene.restore()
    ended = await scene.expect_event("Ended", "StopAuthorized", transactionId=transaction_id)
    assert ended["offline"] is True
    assert ended["idToken"]["idToken"] == stopper
    assert ended["transactionInfo"].get("stoppedReason", "Local") == "Local"


@pytest.mark.req("TC_E_52_CS", "C01.FR.02", "C01.FR.05")
async def test_TC_E_52_CS_nobody_is_asked(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await scene.charging()
    scene.swipe("ALICE")
    await scene.expect_event("Ended")
    scene.unplug()
    await scene.expect_status("Available")
    await scene.configure("AuthCtrlr.DisableRemoteAuthorization", True)
    begin = scene.csms.mark()
    scene.swipe("BOB")  # nobody has heard of this driver here
    await scene.settled()
    scene.swipe("ALICE")
    scene.plug()
    await scene.expect_event(charging_state="Charging")
    assert scene.payloads("Authorize", after=begin) == []


# --- the power goes


@pytest.mark.req("E01.FR.07", "E11.FR.01")
async def test_after_a_power_cut_it_has_ended_and_its_numbers_go_on(open_scene201: OpenScene201) -> None:
    """Some are left out: what waited for the disk may have been told under them."""
    scene = await open_scene201(process=True, keys={"SampledDataCtrlr.TxUpdatedInterval": 1})
    scene.forgiven = lambda sentence: "goes from seqNo" in sentence
    begin = scene.csms.mark()
    await scene.charging()
    await scene.expect_event("Updated", "MeterValuePeriodic")
    await scene.restart_daemon(power_loss=True)
    ended = await scene.expect_event("Ended", "AbnormalCondition", stoppedReason="PowerLoss")
    assert ended["offline"] is True
    await scene.answered()
    events = scene.events(after=begin)
    numbers = [event["seqNo"] for event in events]
    assert numbers[:-1] == list(range(len(numbers) - 1))
    assert numbers[-2] < numbers[-1] <= numbers[-2] + UNKEPT_MAX + 1
    begun, over = (events[-1]["meterValue"][index]["sampledValue"][0] for index in (0, -1))
    assert (begun["context"], over["context"]) == ("Transaction.Begin", "Transaction.End")
    assert over["value"] >= begun["value"]
