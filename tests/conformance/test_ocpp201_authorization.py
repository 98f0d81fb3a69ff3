"""Tokens over the wire: asked about, remembered, in groups, of the master; cases of use cases C01 to C16."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edged.simulator.csms import Token
from tests.conformance.scene201 import (
    LOCKING,
    TOKENS,
    TWO_SOCKETS,
    OpenScene201,
    Scene201,
)

CACHING = {"AuthCacheCtrlr.Enabled": True, "AuthCtrlr.LocalPreAuthorize": True}
MASTER = {"AuthCtrlr.MasterPassGroupId": "MASTERS"}
WITH_MASTER = {**TOKENS, "BOSS": Token("Accepted", parent="MASTERS")}
Json = dict[str, Any]


def say(scene: Scene201, tag: str, status: str, **info: Any) -> None:
    """What the CSMS says of a token from now on."""
    scene.csms.answers_201.tokens[tag] = Token(status, **info)


def asked(scene: Scene201, *, after: int | None = None) -> list[str]:
    """The tokens that the CSMS was asked about."""
    return [call["idToken"]["idToken"] for call in scene.messages("Authorize", after=after)]


def started(scene: Scene201, *, after: int | None = None) -> list[Json]:
    return [event for event in scene.events(after=after) if event["eventType"] == "Started"]


async def learn(scene: Scene201, tag: str, status: str = "Accepted", **info: Any) -> None:
    """A token is shown where nothing is plugged in, and the CSMS says this of it; nobody waits afterwards."""
    say(scene, tag, status, **info)
    scene.swipe(tag)
    await scene.expect("Authorize")
    await scene.answered()
    if status == "Accepted":
        await scene.knows(lambda state: state["connectors"][0]["status"] == "Preparing")
        scene.swipe(tag)
        await scene.knows(lambda state: state["connectors"][0]["status"] == "Available")


async def refused(scene: Scene201, tag: str) -> None:
    """A driver has plugged in, the CSMS is asked about the token and says no: nothing starts."""
    scene.plug()
    await scene.expect_status("Occupied")
    scene.swipe(tag)
    await scene.expect("Authorize", idToken={"idToken": tag, "type": "ISO14443"})
    await scene.settled()
    assert scene.events() == [] and not scene.point().contactor_closed


async def starts_unasked(scene: Scene201, tag: str) -> Json:
    """A driver plugs in and shows a token that is known here: the transaction starts with it."""
    scene.plug()
    await scene.expect_status("Occupied")
    scene.swipe(tag)
    event = await scene.expect_event("Started", "Authorized", idToken={"idToken": tag, "type": "ISO14443"})
    await scene.expect_event(charging_state="Charging")
    assert asked(scene) == []
    return event


async def starts_asked(scene: Scene201, tag: str) -> Json:
    scene.plug()
    await scene.expect_status("Occupied")
    scene.swipe(tag)
    await scene.expect("Authorize", idToken={"idToken": tag, "type": "ISO14443"})
    return await scene.expect_event("Started", "Authorized")


async def leave(scene: Scene201) -> None:
    """The car goes, and with it its transaction."""
    scene.unplug()
    await scene.expect_status("Available")


# --- the CSMS decides


@pytest.mark.req("TC_C_02_CS", "C01.FR.02", "C06.FR.02")
@pytest.mark.parametrize("status", ["Invalid", "Unknown"])
async def test_TC_C_02_CS_a_token_that_is_invalid_starts_nothing(open_scene201: OpenScene201, status: str) -> None:
    scene = await open_scene201(tokens={"STRANGER": Token(status)})
    await refused(scene, "STRANGER")


@pytest.mark.req("TC_C_05_CS", "C01.FR.02", "C06.FR.02")
async def test_TC_C_05_CS_the_cable_of_whom_the_csms_does_not_accept_stays_free(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(LOCKING, tokens={"STRANGER": Token("Invalid")})
    await refused(scene, "STRANGER")
    assert not scene.point().lock_closed
    scene.unplug()
    await scene.expect_status("Available")


@pytest.mark.req("TC_C_06_CS", "C01.FR.02")
async def test_TC_C_06_CS_a_blocked_token_starts_nothing(open_scene201: OpenScene201) -> None:
    await refused(await open_scene201(), "THIEF")


@pytest.mark.req("TC_C_07_CS", "C01.FR.02")
async def test_TC_C_07_CS_an_expired_token_starts_nothing(open_scene201: OpenScene201) -> None:
    await refused(await open_scene201(), "LATE")


@pytest.mark.req("TC_C_56_CS", "C01.FR.02")
async def test_TC_C_56_CS_an_unknown_token_starts_nothing(open_scene201: OpenScene201) -> None:
    await refused(await open_scene201(), "STRANGER")


@pytest.mark.req("C01.FR.02", "C01.FR.21")
async def test_no_other_word_starts_anything_nor_a_word_about_other_evses(open_scene201: OpenScene201) -> None:
    words = ("NoCredit", "ConcurrentTx", "NotAllowedTypeEVSE", "NotAtThisLocation", "NotAtThisTime")
    scene = await open_scene201(tokens={"ELSEWHERE": Token("Accepted", evses=(7,)), **{w: Token(w) for w in words}})
    scene.plug()
    await scene.expect_status("Occupied")
    begin = scene.since
    for word in ("ELSEWHERE", *words):
        scene.swipe(word)
        await scene.expect("Authorize")
    await scene.settled()
    assert scene.events(after=begin) == []


@pytest.mark.req("TC_C_04_CS", "C01.FR.02", "C01.FR.03")
async def test_TC_C_04_CS_another_token_does_not_stop(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    transaction = await scene.charging("ALICE")
    scene.swipe("BOB")
    await scene.expect("Authorize", idToken={"idToken": "BOB", "type": "ISO14443"})
    await scene.settled()
    assert not scene.csms.transactions[transaction].ended and scene.point().contactor_closed
    begin = scene.since
    scene.swipe("ALICE")
    ended = await scene.expect_event("Ended", "StopAuthorized")
    assert ended["idToken"]["idToken"] == "ALICE" and asked(scene, after=begin) == ["BOB"]


# --- groups


@pytest.mark.req("TC_C_39_CS", "C09.FR.03", "C09.FR.05", "E07.FR.02")
async def test_TC_C_39_CS_a_token_of_the_group_stops(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await scene.charging("MUM")
    scene.swipe("DAD")
    await scene.expect("Authorize", idToken={"idToken": "DAD", "type": "ISO14443"})
    ended = await scene.expect_event("Ended", "StopAuthorized")
    assert ended["idToken"]["idToken"] == "DAD"
    assert ended["transactionInfo"].get("stoppedReason", "Local") == "Local"
    await scene.energy_off()


@pytest.mark.req("TC_C_41_CS", "C01.FR.03", "C09.FR.03", "C09.FR.04")
async def test_TC_C_41_CS_a_cached_token_of_the_group_stops_unasked(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=CACHING)
    await learn(scene, "DAD", parent="FAMILY")
    await scene.charging("MUM")
    scene.swipe("DAD")
    ended = await scene.expect_event("Ended", "StopAuthorized")
    assert ended["idToken"]["idToken"] == "DAD" and asked(scene) == []


@pytest.mark.req("TC_C_42_CS", "C09.FR.03")
async def test_TC_C_42_CS_a_token_of_another_group_does_not_stop(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(tokens={**TOKENS, "NEIGHBOUR": Token("Accepted", parent="OTHERS")})
    transaction = await scene.charging("MUM")
    scene.swipe("NEIGHBOUR")
    await scene.expect("Authorize")
    await scene.settled()
    assert not scene.csms.transactions[transaction].ended and scene.point().contactor_closed


@pytest.mark.req("TC_C_44_CS", "C09.FR.11")
async def test_TC_C_44_CS_a_cached_token_of_the_group_that_is_invalid_does_not_stop(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(keys=CACHING)
    await learn(scene, "DAD", "Invalid", parent="FAMILY")
    transaction = await scene.charging("MUM")
    scene.swipe("DAD")
    await scene.expect("Authorize")
    await scene.settled()
    assert not scene.csms.transactions[transaction].ended and scene.point().contactor_closed


# --- the master


@pytest.mark.req("TC_C_45_CS", "C16.FR.03", "C12.FR.09")
async def test_TC_C_45_CS_a_master_pass_starts_nothing_known_or_not(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={**CACHING, **MASTER}, tokens=WITH_MASTER)
    await refused(scene, "BOSS")
    scene.swipe("BOSS")  # cached by now
    await scene.settled()
    assert scene.events() == [] and not scene.point().contactor_closed
    scene.swipe("ALICE")
    await scene.expect_event("Started")


@pytest.mark.req("TC_C_49_CS", "C16.FR.02", "C16.FR.07", "C16.FR.08")
async def test_TC_C_49_CS_a_master_pass_stops_all_transactions(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS, keys=MASTER, tokens=WITH_MASTER)
    first, second = await scene.charging("ALICE", 1), await scene.charging("BOB", 2)
    scene.swipe("BOSS", 2)
    await scene.expect("Authorize")
    for transaction in (first, second):
        ended = await scene.expect_event("Ended", "StopAuthorized", transactionId=transaction)
        assert ended["transactionInfo"]["stoppedReason"] == "MasterPass"
        assert ended["idToken"]["idToken"] == "BOSS"
    for evse in (1, 2):
        await scene.energy_off(evse)


# --- the cache


@pytest.mark.req("TC_C_08_CS", "C12.FR.02")
async def test_TC_C_08_CS_a_cached_token_starts_unasked(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=CACHING)
    await learn(scene, "ALICE")
    await starts_unasked(scene, "ALICE")


@pytest.mark.req("TC_C_13_CS", "C12.FR.02", "C12.FR.04")
async def test_TC_C_13_CS_a_cached_token_before_the_cable_starts_with_the_cable(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=CACHING)
    await learn(scene, "ALICE")
    scene.swipe("ALICE")
    begin = scene.since
    await scene.knows(lambda state: state["connectors"][0]["status"] == "Preparing")
    scene.plug()
    event = await scene.expect_event("Started")
    assert event["idToken"]["idToken"] == "ALICE"
    await scene.expect_event(charging_state="Charging")
    assert asked(scene, after=begin) == []


@pytest.mark.req("TC_C_09_CS", "C10.FR.03", "C12.FR.05")
async def test_TC_C_09_CS_a_token_cached_as_invalid_is_asked_about_again(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=CACHING)
    await learn(scene, "STRANGER", "Invalid")
    await refused(scene, "STRANGER")


@pytest.mark.req("TC_C_10_CS", "C10.FR.03", "C12.FR.05")
async def test_TC_C_10_CS_a_token_cached_as_blocked_is_asked_about_again(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=CACHING)
    await learn(scene, "THIEF", "Blocked")
    await refused(scene, "THIEF")


@pytest.mark.req("TC_C_11_CS", "C10.FR.03", "C10.FR.10", "C12.FR.05")
async def test_TC_C_11_CS_a_token_that_expired_in_the_cache_is_asked_about_again(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=CACHING)
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    await learn(scene, "ALICE", expiry=soon.isoformat())
    await scene.site.until(lambda: datetime.now(UTC) > soon)
    say(scene, "ALICE", "Expired")
    await refused(scene, "ALICE")


@pytest.mark.req("TC_C_12_CS", "C10.FR.03", "C10.FR.04", "C12.FR.06")
async def test_TC_C_12_CS_a_token_cached_as_invalid_starts_once_the_csms_accepts_it(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(keys=CACHING)
    await learn(scene, "STRANGER", "Invalid")
    say(scene, "STRANGER", "Accepted")
    await starts_asked(scene, "STRANGER")


async def distrusted(scene: Scene201) -> str:
    """Alice is cached and charges at once; the CSMS says to her start that she is Invalid. Her transaction."""
    await learn(scene, "ALICE")
    say(scene, "ALICE", "Invalid")
    scene.plug()
    await scene.expect_status("Occupied")
    scene.swipe("ALICE")
    event = await scene.expect_event("Started", "Authorized")
    assert asked(scene) == []
    return str(event["transactionInfo"]["transactionId"])


def on_invalid(stop: bool, energy_wh: int) -> Json:
    return {**CACHING, "TxCtrlr.StopTxOnInvalidId": stop, "TxCtrlr.MaxEnergyOnInvalidId": energy_wh}


@pytest.mark.req("TC_C_15_CS", "C15.FR.07", "E05.FR.03")
async def test_TC_C_15_CS_who_is_no_longer_accepted_may_use_the_allowance(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=on_invalid(False, 40))
    transaction = await distrusted(scene)
    event = await scene.expect_event(charging_state="SuspendedEVSE", transactionId=transaction)
    assert event["triggerReason"] in ("ChargingStateChanged", "EnergyLimitReached")
    assert scene.point().energy_wh >= 40
    await scene.settled()
    assert not scene.csms.transactions[transaction].ended and not scene.point().contactor_closed


@pytest.mark.req("TC_C_16_CS", "C15.FR.04", "E05.FR.10")
async def test_TC_C_16_CS_who_is_no_longer_accepted_is_stopped(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=on_invalid(True, 0))
    transaction = await distrusted(scene)
    ended = await scene.expect_event("Ended", "Deauthorized", transactionId=transaction)
    assert ended["transactionInfo"]["stoppedReason"] == "DeAuthorized"
    await scene.energy_off()


@pytest.mark.req("TC_C_17_CS", "C15.FR.06", "E05.FR.02")
async def test_TC_C_17_CS_who_is_no_longer_accepted_gets_no_energy_where_nothing_is_allowed(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(keys=on_invalid(False, 0))
    transaction = await distrusted(scene)
    await scene.expect_event("Updated", charging_state="SuspendedEVSE", transactionId=transaction)
    await scene.settled()
    assert not scene.csms.transactions[transaction].ended and not scene.point().contactor_closed


@pytest.mark.req("TC_C_18_CS", "C15.FR.04", "E05.FR.10")
async def test_TC_C_18_CS_an_allowance_is_for_transactions_that_go_on(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=on_invalid(True, 500))
    transaction = await distrusted(scene)
    ended = await scene.expect_event("Ended", "Deauthorized", transactionId=transaction)
    assert ended["transactionInfo"]["stoppedReason"] == "DeAuthorized"
    await scene.energy_off()


@pytest.mark.req("TC_C_32_CS", "C10.FR.02")
async def test_TC_C_32_CS_the_cache_survives_a_reboot(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=CACHING)
    await learn(scene, "ALICE")
    await scene.restart_daemon()
    await starts_unasked(scene, "ALICE")


@pytest.mark.req("TC_C_33_CS", "C10.FR.04", "C12.FR.06")
async def test_TC_C_33_CS_an_answer_to_authorize_changes_the_cache(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=CACHING)
    await learn(scene, "STRANGER", "Blocked")
    await scene.settled()  # the card has left the reader
    await learn(scene, "STRANGER", "Accepted")
    await starts_unasked(scene, "STRANGER")


@pytest.mark.req("TC_C_34_CS", "C10.FR.05", "C12.FR.06")
async def test_TC_C_34_CS_an_answer_to_a_transaction_event_changes_the_cache(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=CACHING)
    transaction = await distrusted(scene)
    await scene.expect_event("Ended", "Deauthorized", transactionId=transaction)
    await leave(scene)
    await refused(scene, "ALICE")


@pytest.mark.req("TC_C_36_CS")
async def test_TC_C_36_CS_without_pre_authorization_a_cached_token_is_asked_about(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={**CACHING, "AuthCtrlr.LocalPreAuthorize": False})
    await learn(scene, "ALICE")
    await starts_asked(scene, "ALICE")


@pytest.mark.req("TC_C_37_CS", "C11.FR.02", "C11.FR.03")
async def test_TC_C_37_CS_a_cleared_cache_knows_nobody(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=CACHING)
    await learn(scene, "ALICE")
    assert await scene.status_of("ClearCache") == "Accepted"
    await starts_asked(scene, "ALICE")


@pytest.mark.req("TC_C_38_CS", "C11.FR.02", "C11.FR.04", "C10.FR.11")
async def test_TC_C_38_CS_a_cache_that_is_switched_off_is_not_cleared(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=CACHING)
    await learn(scene, "ALICE")
    await scene.configure("AuthCacheCtrlr.Enabled", False)
    assert await scene.status_of("ClearCache") == "Rejected"
    await scene.configure("AuthCacheCtrlr.Enabled", True)
    await starts_unasked(scene, "ALICE")


@pytest.mark.req("TC_C_46_CS", "C10.FR.08")
async def test_TC_C_46_CS_a_cached_token_is_forgotten_after_the_life_time(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=CACHING)
    await scene.configure("AuthCacheCtrlr.LifeTime", 1)
    await learn(scene, "ALICE")
    over = datetime.now(UTC) + timedelta(seconds=1.1)
    await scene.site.until(lambda: datetime.now(UTC) > over)
    await starts_asked(scene, "ALICE")


@pytest.mark.req("TC_C_57_CS", "C10.FR.03", "C12.FR.05")
async def test_TC_C_57_CS_a_cached_no_is_final_where_the_key_says_so(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={**CACHING, "AuthCacheCtrlr.DisablePostAuthorize": True})
    await learn(scene, "STRANGER", "Invalid")
    say(scene, "STRANGER", "Accepted")
    scene.plug()
    await scene.expect_status("Occupied")
    scene.swipe("STRANGER")
    await scene.settled()
    assert asked(scene) == [] and scene.events() == []


# --- offline


@pytest.mark.req("TC_C_26_CS", "C15.FR.02", "C15.FR.06", "C15.FR.08", "C13.FR.04")
async def test_TC_C_26_CS_offline_an_unknown_token_starts_where_the_key_says_so(open_scene201: OpenScene201) -> None:
    keys = {"AuthCtrlr.OfflineTxForUnknownIdEnabled": True, "TxCtrlr.StopTxOnInvalidId": False}
    scene = await open_scene201(keys={**keys, "TxCtrlr.MaxEnergyOnInvalidId": 0})
    await scene.cut()
    scene.plug()
    scene.swipe("STRANGER")
    await scene.energy_flows(wh=1.0)
    await scene.restore()
    event = await scene.expect_event("Started", offline=True)
    assert event["idToken"]["idToken"] == "STRANGER"
    await scene.expect_event("Updated", charging_state="SuspendedEVSE")
    await scene.energy_off()
    assert not scene.csms.transactions[event["transactionInfo"]["transactionId"]].ended


# --- keys


async def test_without_remote_authorization_the_csms_is_never_asked(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"AuthCtrlr.LocalPreAuthorize": True})
    await learn(scene, "ALICE")
    await scene.configure("AuthCtrlr.DisableRemoteAuthorization", True)
    scene.plug()
    await scene.expect_status("Occupied")
    begin = scene.since
    scene.swipe("BOB")
    await scene.settled()
    assert asked(scene, after=begin) == [] and scene.events(after=begin) == []
    scene.swipe("ALICE")
    await scene.expect_event("Started")
