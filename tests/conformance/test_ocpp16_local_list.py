"""The local authorization list over the wire: sent, told, used and kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conformance.scene import PATIENCE_S, SOCKET, OpenScene, Scene

LISTING = {"LocalPreAuthorize": True, "AuthorizeRemoteTxRequests": True, "AuthorizationCacheEnabled": False}
"""A token that is let in unasked can only be known from the list."""
GUEST = "GUEST"
"""Listed in these scenarios, and Invalid for whoever asks the CSMS."""


def listed(tag: str, status: str = "Accepted", **info: object) -> dict[str, Any]:
    return {"idTag": tag, "idTagInfo": {"status": status, **info}}


async def send(scene: Scene, version: int, *entries: dict[str, Any], kind: str = "Full") -> str:
    return await scene.status_of(
        "SendLocalList", listVersion=version, updateType=kind, localAuthorizationList=list(entries)
    )


async def version(scene: Scene) -> int:
    return int((await scene.call("GetLocalListVersion"))["listVersion"])


async def looked_at(scene: Scene) -> None:
    """The daemon has read the charger anew and acted on it, without a CSMS that could tell."""
    enough = scene.unit().requests + SOCKET.requests_a_look
    await scene.site.until(lambda: scene.unit().requests >= enough, timeout_s=PATIENCE_S)


# --- the list's own commands


@pytest.mark.req("TC_042_1_CS")
async def test_TC_042_1_CS_no_list_has_the_version_minus_one(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"LocalAuthListEnabled": False})
    assert await version(scene) == -1


@pytest.mark.req("TC_042_2_CS")
async def test_TC_042_2_CS_the_version_is_0_while_empty_then_that_of_the_last_update(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.value_of("LocalAuthListEnabled") == "true"
    assert await send(scene, 7) == "Accepted"
    assert await version(scene) == 0
    assert await send(scene, 8, listed("ALICE")) == "Accepted"
    assert await version(scene) == 8
    assert await send(scene, 9, kind="Differential") == "Accepted"
    assert await version(scene) == 9


@pytest.mark.req("TC_043_CS")
async def test_TC_043_CS_a_full_and_a_differential_update_are_accepted(open_scene: OpenScene) -> None:
    scene = await open_scene(keys=LISTING)
    assert await send(scene, 1, listed("ALICE"), listed("BOB", "Blocked")) == "Accepted"
    assert await version(scene) == 1
    assert await send(scene, 2, {"idTag": "alice"}, listed(GUEST), kind="Differential") == "Accepted"
    assert await version(scene) == 2
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")  # taken out: nobody knows it here any more
    await scene.expect("Authorize", idTag="ALICE")


@pytest.mark.req("TC_043_1_CS")
async def test_TC_043_1_CS_a_list_that_is_switched_off_is_not_supported(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await scene.configure("LocalAuthListEnabled", False)
    assert await send(scene, 1, listed("ALICE")) == "NotSupported"
    assert await send(scene, 2, listed("ALICE"), kind="Differential") == "NotSupported"
    await scene.configure("LocalAuthListEnabled", True)
    assert await version(scene) == 0


@pytest.mark.req("TC_043_2_CS")
async def test_TC_043_2_CS_an_old_version_is_a_mismatch(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await send(scene, 5, listed("ALICE")) == "Accepted"
    assert await send(scene, 4, listed("BOB"), kind="Differential") == "VersionMismatch"
    assert await send(scene, 5, listed("BOB"), kind="Differential") == "VersionMismatch"
    assert await version(scene) == 5
    assert await send(scene, 6, listed("BOB"), kind="Differential") == "Accepted"


@pytest.mark.req("TC_043_3_CS")
async def test_TC_043_3_CS_an_unusable_list_fails_and_the_old_one_stands(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={**LISTING, "LocalAuthListMaxLength": 4, "SendLocalListMaxLength": 3})
    assert await scene.value_of("SendLocalListMaxLength") == "3"
    assert await scene.value_of("LocalAuthListMaxLength") == "4"
    assert await send(scene, 5, listed(GUEST), listed("A")) == "Accepted"
    assert await send(scene, 6, listed("BOB"), listed("bob")) == "Failed"
    assert await send(scene, 6, *(listed(f"T{n}") for n in range(4))) == "Failed"
    assert await send(scene, 6, *(listed(f"T{n}") for n in range(3)), kind="Differential") == "Failed"
    assert await send(scene, 0, listed("BOB")) == "Failed"
    assert await send(scene, -1, listed("BOB"), kind="Differential") == "Failed"
    assert await version(scene) == 5
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe(GUEST)
    await scene.expect("StartTransaction", idTag=GUEST)
    assert scene.payloads("Authorize") == []


async def test_the_longest_update_is_taken_in_one_frame(open_scene: OpenScene) -> None:
    scene = await open_scene()
    later = (datetime.now(UTC) + timedelta(days=365)).isoformat()
    entries = [
        listed(f"TOKEN-OF-DRIVER-{n:04}", expiryDate=later, parentIdTag=f"FAMILY-OF-DRIVR-{n:04}") for n in range(1000)
    ]
    assert await scene.value_of("SendLocalListMaxLength") == "1000"
    assert await send(scene, 1, *entries) == "Accepted"
    assert await version(scene) == 1


# --- what it is good for


@pytest.mark.req("TC_008_1_CS", "16-AUTH-02", "16-AUTH-03")
async def test_TC_008_1_CS_local_start_with_a_listed_token(open_scene: OpenScene) -> None:
    scene = await open_scene(keys=LISTING)
    assert await send(scene, 1, listed("ALICE")) == "Accepted"
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")
    await scene.expect("StartTransaction", idTag="ALICE")
    await scene.expect_status("Charging")
    assert scene.payloads("Authorize", after=0) == []


@pytest.mark.req("TC_008_2_CS")
async def test_TC_008_2_CS_remote_start_with_a_listed_token(open_scene: OpenScene) -> None:
    scene = await open_scene(keys=LISTING)
    assert await send(scene, 1, listed("ALICE")) == "Accepted"
    assert await scene.remote_start("ALICE") == "Accepted"
    await scene.expect_status("Preparing")
    scene.plug()
    await scene.expect("StartTransaction", idTag="ALICE")
    await scene.expect_status("Charging")
    assert scene.payloads("Authorize", after=0) == []


@pytest.mark.req("16-AUTH-04")
async def test_a_listed_token_that_is_not_valid_is_asked_about(open_scene: OpenScene) -> None:
    scene = await open_scene(keys=LISTING)
    assert await send(scene, 1, listed("ALICE", "Blocked")) == "Accepted"
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")
    await scene.expect("Authorize", idTag="ALICE")
    await scene.expect("StartTransaction", idTag="ALICE")


@pytest.mark.req("16-AUTH-05", "16-AUTH-06")
async def test_without_the_csms_the_list_lets_in_and_keeps_out(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"AllowOfflineTxForUnknownId": True})
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    entries = [listed("ALICE"), listed("BOB", "Blocked"), listed("MUM", expiryDate=past)]
    assert await send(scene, 1, *entries) == "Accepted"
    await scene.cut()
    scene.plug()
    for refused in ("BOB", "MUM"):
        scene.swipe(refused)
        await looked_at(scene)
        assert not scene.point().contactor_closed
    scene.swipe("ALICE")
    await scene.energy_flows(wh=1.0)
    await scene.restore()
    await scene.expect("StartTransaction")
    await scene.answered()
    assert [start["idTag"] for start in scene.messages("StartTransaction")] == ["ALICE"]


@pytest.mark.req("16-AUTH-09")
async def test_a_csms_that_contradicts_its_own_list_is_told_so_until_it_sends_another(open_scene: OpenScene) -> None:
    scene = await open_scene(keys=LISTING)
    assert await send(scene, 1, listed(GUEST)) == "Accepted"
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe(GUEST)
    await scene.expect("StartTransaction", idTag=GUEST)
    await scene.expect_status("Available", 0, errorCode="LocalListConflict")
    await scene.expect("StopTransaction", reason="DeAuthorized")
    assert await send(scene, 2, {"idTag": GUEST}, kind="Differential") == "Accepted"
    await scene.expect_status("Available", 0, errorCode="NoError")


@pytest.mark.req("16-AUTH-08")
async def test_the_list_survives_a_kill_of_the_daemon(open_scene: OpenScene) -> None:
    scene = await open_scene(process=True, keys=LISTING)
    assert await send(scene, 41, *(listed(f"T{n}") for n in range(300)), listed(GUEST)) == "Accepted"
    assert await send(scene, 42, {"idTag": "T7"}, kind="Differential") == "Accepted"
    await scene.restart_daemon(kill=True)
    assert await version(scene) == 42
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe(GUEST)
    await scene.expect("StartTransaction", idTag=GUEST)
    assert scene.payloads("Authorize", after=0) == []
