"""Resets of the official 2.0.1 list, B11 and B12: now or when idle, the station or one EVSE."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.conformance.scene201 import PATIENCE_S, SOCKET, TWO_SOCKETS, OpenScene201, Scene201


async def reset(scene: Scene201, kind: str, evse: int | None = None) -> str:
    """The answer to a Reset."""
    where = {} if evse is None else {"evseId": evse}
    return await scene.status_of("Reset", type=kind, **where)


async def boots(scene: Scene201, reason: str) -> None:
    """The process ends and is started again; what it says first."""
    boot = await scene.expect("BootNotification")
    await scene.ready(after=scene.since)
    assert boot["reason"] == reason
    assert scene.daemon.exits == [75]


# --- the station: a real process, for it ends


@pytest.mark.req(
    "TC_B_20_CS", "TC_B_23_CS", "B11.FR.01", "B11.FR.02", "B11.FR.03", "B11.FR.04", "B01.FR.03", "B01.FR.09"
)
async def test_TC_B_20_CS_TC_B_23_CS_an_idle_station_is_reset_and_stays_unavailable(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(TWO_SOCKETS, process=True)
    place = {"id": 1}
    assert await scene.status_of("ChangeAvailability", operationalStatus="Inoperative", evse=place) == "Accepted"
    await scene.expect_status("Unavailable", 1)
    assert await reset(scene, "OnIdle") == "Accepted"
    await boots(scene, "RemoteReset")
    await scene.expect_status("Unavailable", 1)
    await scene.expect_status("Available", 2)
    assert await scene.status_of("ChangeAvailability", operationalStatus="Operative", evse=place) == "Accepted"
    await scene.expect_status("Available", 1)


@pytest.mark.req("TC_B_21_CS", "TC_B_41_CS", "B12.FR.01", "B12.FR.03", "E07.FR.03")
async def test_TC_B_21_CS_TC_B_41_CS_when_idle_waits_for_every_transaction(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS, process=True)
    begin = scene.csms.mark()
    first = await scene.charging("ALICE", 1)
    second = await scene.charging("BOB", 2)
    assert await reset(scene, "OnIdle") == "Scheduled"
    scene.swipe("ALICE", 1)
    await scene.expect_event("Ended", transactionId=first)
    scene.unplug(1)
    await scene.expect_status("Unavailable", 1)  # nobody begins any more
    assert await scene.request_start("MUM", 1) == "Rejected"
    assert scene.payloads("BootNotification") == []
    scene.swipe("BOB", 2)
    await scene.expect_event("Ended", transactionId=second)
    scene.unplug(2)
    await boots(scene, "ScheduledReset")
    for transaction in (first, second):
        ended = [e for e in scene.events(transaction, after=begin) if e["eventType"] == "Ended"]
        assert [e["transactionInfo"].get("stoppedReason", "Local") for e in ended] == ["Local"]


@pytest.mark.req("TC_B_22_CS", "B12.FR.02", "B12.FR.04", "E07.FR.03", "B01.FR.03")
async def test_TC_B_22_CS_an_immediate_one_ends_the_transaction(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(process=True)
    transaction = await scene.charging()
    assert await reset(scene, "Immediate") == "Accepted"
    begin = scene.since
    ended = await scene.expect_event("Ended", "ResetCommand", transactionId=transaction)
    assert ended["transactionInfo"]["stoppedReason"] == "ImmediateReset"
    await boots(scene, "RemoteReset")
    await scene.answered()
    assert [e["eventType"] for e in scene.events(transaction, after=begin)].count("Ended") == 1


@pytest.mark.req("B12.FR.05")
async def test_an_end_that_the_csms_has_not_heard_of_is_told_after_the_reset(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(process=True)
    transaction = await scene.charging()
    await scene.answered()
    scene.csms.answer("TransactionEvent", None, times=1)
    assert await reset(scene, "Immediate") == "Accepted"
    await boots(scene, "RemoteReset")
    await scene.expect_event("Ended", transactionId=transaction)


@pytest.mark.req("TC_B_24_CS", "B11.FR.01", "B11.FR.03", "B11.FR.04", "B11.FR.05", "B01.FR.03", "B01.FR.13")
async def test_TC_B_24_CS_a_reserved_evse_is_reserved_after_the_reset(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(process=True)
    assert await scene.reserve("ALICE") == "Accepted"
    await scene.expect_status("Reserved")
    assert await reset(scene, "OnIdle") == "Scheduled"  # it waits for whoever has reserved
    assert await reset(scene, "Immediate") == "Accepted"
    await boots(scene, "RemoteReset")
    await scene.expect_status("Reserved")


# --- one EVSE


@pytest.mark.req("TC_B_28_CS", "TC_B_29_CS", "B11.FR.01", "B11.FR.09", "B12.FR.01", "B12.FR.09")
async def test_TC_B_28_CS_TC_B_29_CS_a_charger_that_cannot_be_reset_alone(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    assert await scene.get_variable("EVSE", "AllowReset", evse=1) == "false"  # both hang on one controller
    assert await reset(scene, "OnIdle", 1) == "Rejected"
    transaction = await scene.charging()
    for kind in ("OnIdle", "Immediate"):
        assert await reset(scene, kind, 1) == "Rejected"
    await scene.settled()
    assert not scene.csms.transactions[transaction].ended
    assert scene.point().contactor_closed
    answer = await scene.call("Reset", type="Immediate", evseId=9)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "UnknownEvse")


@pytest.mark.req("TC_B_25_CS", "TC_B_26_CS", "TC_B_27_CS", "B11.FR.08", "B11.FR.10", "B12.FR.07", "B12.FR.08")
@pytest.mark.req("B12.FR.01", "B12.FR.02", "E07.FR.03")
async def test_TC_B_25_CS_TC_B_26_CS_TC_B_27_CS_one_evse_is_reset_and_the_other_goes_on(
    open_scene201: OpenScene201, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = await open_scene201(SOCKET, SOCKET)
    resets = Resets(scene, monkeypatch)
    assert await scene.get_variable("EVSE", "AllowReset", evse=1) == "true"
    other = await scene.charging("BOB", 2)
    assert await reset(scene, "OnIdle", 1) == "Accepted"  # nothing goes on there
    await resets.are("soft 1")
    transaction = await scene.charging("ALICE", 1)
    assert await reset(scene, "OnIdle", 1) == "Scheduled"
    await scene.energy_flows(1, wh=1)
    assert await scene.request_stop(transaction) == "Accepted"
    scene.unplug(1)
    await resets.are("soft 1", "soft 1")
    transaction = await scene.charging("ALICE", 1)
    assert await reset(scene, "Immediate", 1) == "Accepted"
    ended = await scene.expect_event("Ended", "ResetCommand", transactionId=transaction)
    assert ended["transactionInfo"]["stoppedReason"] == "ImmediateReset"
    await resets.are("soft 1", "soft 1", "hard 1")
    assert not scene.csms.transactions[other].ended
    assert scene.point(2).contactor_closed
    assert scene.payloads("BootNotification") == []


class Resets:
    """Which box was reset, and how."""

    def __init__(self, scene: Scene201, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scene = scene
        self.seen: list[str] = []
        for number in (1, 2):
            unit = scene.unit(number)
            for kind, name in (("soft", "restart_server"), ("hard", "reboot")):
                monkeypatch.setattr(unit, name, partial(self._note, f"{kind} {number}", getattr(unit, name)))

    def _note(self, what: str, restart: Callable[[], None]) -> None:
        self.seen.append(what)
        restart()

    async def are(self, *wanted: str) -> None:
        """Until so many were reset, and the first box is heard of again."""
        unit = self.scene.unit(1)
        await self.scene.site.until(lambda: len(self.seen) >= len(wanted) and unit.reachable, timeout_s=PATIENCE_S)
        assert tuple(self.seen) == wanted
        await self.scene.settled()
