"""The local authorization list over the wire: sent, told, used and kept; cases of use cases C13, C14, D01, D02."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edged.simulator.csms import Token
from tests.conformance.scene201 import PATIENCE_S, SOCKET, TOKENS, OpenScene201, Scene201

LISTING = {"AuthCtrlr.LocalPreAuthorize": True, "AuthCacheCtrlr.Enabled": False}
"""A token that is let in unasked can only be known from the list."""
GUEST = "GUEST"
NOBODY = {**TOKENS, GUEST: Token("Invalid")}
Json = dict[str, Any]


def listed(tag: str, status: str | None = "Accepted", *, kind: str = "ISO14443", group: str = "", **info: Any) -> Json:
    """An entry; without a status the token is to be taken out."""
    entry: Json = {"idToken": {"idToken": tag, "type": kind}}
    if group:
        info["groupIdToken"] = {"idToken": group, "type": "Central"}
    return entry if status is None else {**entry, "idTokenInfo": {"status": status, **info}}


def past() -> str:
    return (datetime.now(UTC) - timedelta(minutes=1)).isoformat()


async def send(scene: Scene201, version: int, *entries: Json, kind: str = "Full") -> str:
    more = {"localAuthorizationList": list(entries)} if entries else {}
    return await scene.status_of("SendLocalList", versionNumber=version, updateType=kind, **more)


async def version(scene: Scene201) -> int:
    return int((await scene.call("GetLocalListVersion"))["versionNumber"])


def asked(scene: Scene201, *, after: int | None = None) -> list[str]:
    return [call["idToken"]["idToken"] for call in scene.messages("Authorize", after=after)]


async def starts_unasked(scene: Scene201, tag: str) -> None:
    scene.plug()
    await scene.expect_status("Occupied")
    scene.swipe(tag)
    await scene.expect_event("Started", "Authorized", idToken={"idToken": tag, "type": "ISO14443"})
    await scene.expect_event(charging_state="Charging")
    assert asked(scene) == []


async def is_asked_about(scene: Scene201, tag: str, *, starts: bool) -> None:
    scene.plug()
    await scene.expect_status("Occupied")
    scene.swipe(tag)
    await scene.expect("Authorize", idToken={"idToken": tag, "type": "ISO14443"})
    if starts:
        await scene.expect_event("Started", "Authorized")
    else:
        await scene.settled()
        assert scene.events() == [] and not scene.point().contactor_closed


async def looked_at(scene: Scene201) -> None:
    """The daemon has read the charger anew and acted on it, without a CSMS that could tell."""
    enough = scene.unit().requests + SOCKET.requests_a_look
    await scene.site.until(lambda: scene.unit().requests >= enough, timeout_s=PATIENCE_S)


async def keeps_out_offline(scene: Scene201, *entry: Json) -> None:
    """Offline, who is so listed does not start, and is not heard of afterwards."""
    assert await send(scene, 1, *entry) == "Accepted"
    await scene.cut()
    scene.plug()
    scene.swipe(GUEST)
    await looked_at(scene)
    assert not scene.point().contactor_closed
    await scene.restore()
    await scene.answered()
    assert scene.events() == []


# --- the list's own commands


@pytest.mark.req("TC_D_01_CS", "D01.FR.15", "D01.FR.01")
async def test_TC_D_01_CS_a_full_list_is_taken_and_replaces_the_old_one(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=LISTING)
    assert await send(scene, 1, listed("ALICE"), listed("BOB")) == "Accepted"
    assert await send(scene, 2, listed("BOB", "Blocked"), listed("MUM")) == "Accepted"
    assert await version(scene) == 2
    await starts_unasked(scene, "MUM")
    scene.swipe("ALICE")  # no longer listed
    await scene.expect("Authorize")


@pytest.mark.req("TC_D_02_CS", "D01.FR.16")
async def test_TC_D_02_CS_a_difference_adds_and_changes(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=LISTING)
    assert await send(scene, 1, listed("ALICE"), listed("MUM", "Blocked")) == "Accepted"
    assert await send(scene, 2, listed("MUM"), listed("BOB"), kind="Differential") == "Accepted"
    assert await version(scene) == 2
    await starts_unasked(scene, "MUM")


@pytest.mark.req("TC_D_03_CS", "D01.FR.17")
async def test_TC_D_03_CS_a_difference_takes_out(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=LISTING)
    assert await send(scene, 1, listed("ALICE"), listed("BOB")) == "Accepted"
    assert await send(scene, 2, listed("alice", None), kind="Differential") == "Accepted"
    assert await version(scene) == 2
    await is_asked_about(scene, "ALICE", starts=True)


@pytest.mark.req("TC_D_04_CS", "D01.FR.04", "D02.FR.02")
async def test_TC_D_04_CS_a_full_list_without_entries_clears(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=LISTING)
    assert await send(scene, 1, listed("ALICE")) == "Accepted"
    assert await send(scene, 2) == "Accepted"
    assert await version(scene) == 0
    await is_asked_about(scene, "ALICE", starts=True)


@pytest.mark.req("TC_D_05_CS", "D01.FR.05")
async def test_TC_D_05_CS_a_difference_without_entries_changes_the_version_alone(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=LISTING)
    assert await send(scene, 1, listed("MUM")) == "Accepted"
    assert await send(scene, 5, kind="Differential") == "Accepted"
    assert await version(scene) == 5
    await starts_unasked(scene, "MUM")


@pytest.mark.req("TC_D_06_CS", "D01.FR.19", "D01.FR.06", "D01.FR.18", "D01.FR.11")
async def test_TC_D_06_CS_an_old_version_is_a_mismatch_and_what_is_unusable_fails(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"LocalAuthListCtrlr.ItemsPerMessage": 2})
    assert await send(scene, 5, listed("ALICE"), listed("ALICE", kind="KeyCode")) == "Accepted"
    for old in (4, 5):
        assert await send(scene, old, listed("BOB"), kind="Differential") == "VersionMismatch"
    assert await send(scene, 6, listed("BOB"), listed("bob", "Blocked"), kind="Differential") == "Failed"
    assert await send(scene, 0, listed("BOB")) == "Failed"
    assert await send(scene, 6, listed("A"), listed("B"), listed("C")) == "Failed"
    assert await version(scene) == 5


@pytest.mark.req("TC_D_07_CS", "D01.FR.10")
async def test_TC_D_07_CS_the_list_survives_a_reboot(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=LISTING)
    assert await send(scene, 41, listed("MUM"), listed("MUM", "Blocked", kind="KeyCode")) == "Accepted"
    await scene.restart_daemon()
    assert await version(scene) == 41
    await starts_unasked(scene, "MUM")


@pytest.mark.req("TC_D_08_CS", "D02.FR.01", "D02.FR.02")
async def test_TC_D_08_CS_the_version_is_0_while_empty_then_that_of_the_last_update(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    assert await version(scene) == 0
    assert await send(scene, 7, listed("ALICE")) == "Accepted"
    assert await version(scene) == 7


@pytest.mark.req("TC_D_10_CS", "D02.FR.03")
async def test_TC_D_10_CS_a_list_that_is_switched_off_has_the_version_0_and_takes_nothing(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    assert await send(scene, 7, listed("ALICE")) == "Accepted"
    await scene.configure("LocalAuthListCtrlr.Enabled", False)
    assert await version(scene) == 0
    assert await send(scene, 8, listed("BOB")) == "Failed"
    await scene.configure("LocalAuthListCtrlr.Enabled", True)
    assert await version(scene) == 7


# --- online


@pytest.mark.req("TC_C_27_CS", "C14.FR.02", "C14.FR.04")
async def test_TC_C_27_CS_a_listed_token_starts_unasked(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=LISTING)
    assert await send(scene, 1, listed("ALICE")) == "Accepted"
    await starts_unasked(scene, "ALICE")


@pytest.mark.req("TC_C_28_CS", "C14.FR.03")
async def test_TC_C_28_CS_a_listed_no_is_asked_about_as_long_as_that_is_not_switched_off(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(keys={**LISTING, "LocalAuthListCtrlr.DisablePostAuthorize": False}, tokens=NOBODY)
    assert await send(scene, 1, listed(GUEST, "Invalid")) == "Accepted"
    await is_asked_about(scene, GUEST, starts=False)


@pytest.mark.req("TC_C_58_CS", "C14.FR.03")
async def test_TC_C_58_CS_a_listed_no_is_final_where_the_key_says_so(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=LISTING)
    await scene.configure("LocalAuthListCtrlr.DisablePostAuthorize", True)
    assert await send(scene, 1, listed("ALICE", "Invalid")) == "Accepted"
    scene.plug()
    await scene.expect_status("Occupied")
    scene.swipe("ALICE")
    await scene.settled()
    assert asked(scene) == [] and scene.events() == []


@pytest.mark.req("TC_C_29_CS", "C14.FR.03")
async def test_TC_C_29_CS_a_token_listed_as_blocked_is_asked_about(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=LISTING)
    assert await send(scene, 1, listed("THIEF", "Blocked")) == "Accepted"
    await is_asked_about(scene, "THIEF", starts=False)


@pytest.mark.req("TC_C_30_CS", "C14.FR.05")
async def test_TC_C_30_CS_a_listed_token_that_has_expired_is_asked_about(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys=LISTING)
    assert await send(scene, 1, listed("LATE", cacheExpiryDateTime=past())) == "Accepted"
    await is_asked_about(scene, "LATE", starts=False)


@pytest.mark.req("TC_C_31_CS", "C14.FR.03")
async def test_TC_C_31_CS_a_token_listed_as_invalid_starts_once_the_csms_accepts_it(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(keys=LISTING)
    assert await send(scene, 1, listed("ALICE", "Invalid")) == "Accepted"
    await is_asked_about(scene, "ALICE", starts=True)


@pytest.mark.req("TC_C_40_CS", "C01.FR.03", "C09.FR.03", "C09.FR.04")
async def test_TC_C_40_CS_a_listed_token_of_the_group_stops_unasked(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(tokens={**NOBODY, "DAD": Token("Invalid")})
    assert await send(scene, 1, listed("DAD", group="FAMILY")) == "Accepted"
    await scene.charging("MUM")
    scene.swipe("DAD")
    ended = await scene.expect_event("Ended", "StopAuthorized")
    assert ended["idToken"]["idToken"] == "DAD" and asked(scene) == []


@pytest.mark.req("TC_C_43_CS", "C09.FR.11")
async def test_TC_C_43_CS_a_listed_token_of_the_group_that_is_invalid_does_not_stop(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(tokens={**NOBODY, "DAD": Token("Invalid", parent="FAMILY")})
    assert await send(scene, 1, listed("DAD", "Invalid", group="FAMILY")) == "Accepted"
    transaction = await scene.charging("MUM")
    scene.swipe("DAD")
    await scene.settled()
    assert not scene.csms.transactions[transaction].ended and scene.point().contactor_closed


# --- offline


@pytest.mark.req("TC_C_21_CS", "C13.FR.02")
async def test_TC_C_21_CS_offline_a_listed_token_starts(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"AuthCtrlr.LocalAuthorizeOffline": True})
    assert await send(scene, 1, listed("ALICE")) == "Accepted"
    await scene.cut()
    scene.plug()
    scene.swipe("ALICE")
    await scene.energy_flows(wh=1.0)
    await scene.restore()
    event = await scene.expect_event("Started", offline=True)
    assert event["idToken"] == {"idToken": "ALICE", "type": "ISO14443"}


@pytest.mark.req("TC_C_22_CS", "C13.FR.02")
async def test_TC_C_22_CS_offline_a_token_listed_as_invalid_does_not_start(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"AuthCtrlr.OfflineTxForUnknownIdEnabled": True})
    await keeps_out_offline(scene, listed(GUEST, "Invalid"))


@pytest.mark.req("TC_C_23_CS", "C13.FR.02")
async def test_TC_C_23_CS_offline_a_token_listed_as_blocked_does_not_start(open_scene201: OpenScene201) -> None:
    await keeps_out_offline(await open_scene201(), listed(GUEST, "Blocked"))


@pytest.mark.req("TC_C_24_CS", "C13.FR.02", "C13.FR.05", "C13.FR.06")
async def test_TC_C_24_CS_offline_a_listed_token_that_has_expired_does_not_start(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"AuthCtrlr.OfflineTxForUnknownIdEnabled": True})
    await keeps_out_offline(scene, listed(GUEST, cacheExpiryDateTime=past()))


@pytest.mark.req("TC_C_25_CS", "C13.FR.01", "C14.FR.01")
async def test_TC_C_25_CS_the_list_speaks_before_the_cache(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"AuthCtrlr.LocalPreAuthorize": True}, tokens={GUEST: Token("Accepted")})
    scene.swipe(GUEST)  # cached as Accepted
    await scene.expect("Authorize")
    await scene.knows(lambda state: state["connectors"][0]["status"] == "Preparing")
    scene.swipe(GUEST)
    await scene.knows(lambda state: state["connectors"][0]["status"] == "Available")
    await keeps_out_offline(scene, listed(GUEST, "Invalid"))
