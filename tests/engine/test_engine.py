"""The single writer: what is seen in which order, and what becomes of a step that the disk does not keep."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from edged.domain.charging import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    ProfilePurpose,
    RateUnit,
    SchedulePeriod,
)
from edged.domain.charging_commands import SetChargingProfile
from edged.domain.commands import (
    GetConfiguration,
    RequestStop,
    ReserveNow,
    ResetKind,
    ResetStation,
    Target,
    UnlockConnector,
)
from edged.domain.effects import RestartScope
from edged.domain.events import (
    ChargerLost,
    LinkDown,
    LinkUp,
    PresentToken,
    Started,
    SuspicionRaised,
    Tick,
    TokenAnswered,
)
from edged.domain.hardware import Action, ActionOutcome, ChargerState, Observation
from edged.domain.pending import PendingToken
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, RequestRef
from edged.engine import MAX_RETRIES_KEPT, RETRY_AFTER_TICKS
from edged.ports import StoreDamaged, StoreError
from tests.engine.conftest import Bench, kinds
from tests.fakes.site import START

FULL = StoreError("commit: database or disk is full")


def ask(ident: str = "1", channel: str = "csms") -> RequestRef:
    return RequestRef(channel, ident, "")


def reserve(ident: str = "1", channel: str = "csms", connector: int = 1) -> ReserveNow:
    return ReserveNow(
        request=ask(ident, channel),
        reservation_id=7,
        target=Target(connector=connector),
        id_token=IdToken("BOB"),
        group=None,
        expires_at=START + timedelta(hours=1),
    )


async def charging(bench: Bench) -> None:
    """ALICE charges at connector 1."""
    await bench.look(1, ChargerState.CONNECTED)
    await bench.do(PresentToken(IdToken("ALICE"), 1))
    (ticket,) = (p.ticket for p in bench.engine.station.pending.values() if isinstance(p, PendingToken))
    await bench.do(TokenAnswered(ticket, IdTokenInfo(AuthorizationStatus.ACCEPTED)))
    await bench.look(1, ChargerState.CHARGING)
    assert bench.engine.wanted[1].permit_charging


def stop(ident: str = "9") -> RequestStop:
    return RequestStop(request=ask(ident), connector=1)


def limit(limit_ma: int) -> SetChargingProfile:
    period = SchedulePeriod(start_s=0, limit=limit_ma / 1000)
    profile = ChargingProfile(
        id=1,
        stack_level=0,
        purpose=ProfilePurpose.TX_DEFAULT,
        kind=ProfileKind.RELATIVE,
        schedule=ChargingSchedule(unit=RateUnit.AMPERES, periods=(period,)),
    )
    return SetChargingProfile(request=ask("8"), evse=1, profile=profile)


# --- the order


async def test_commit_then_answer_then_csms_then_hardware_then_mirrors(bench: Bench):
    told = await bench.do(reserve())
    assert kinds(told) == ["commit", "reply", "csms", "mirror"]
    await charging_elsewhere(bench)
    told = await bench.do(RequestStop(request=ask("2"), connector=2))
    assert [kind for kind in kinds(told) if kind != "mirror"][:4] == ["commit", "reply", "csms", "want"]
    assert kinds(told)[-1] == "mirror"


async def charging_elsewhere(bench: Bench) -> None:
    await bench.look(2, ChargerState.CONNECTED)
    await bench.do(PresentToken(IdToken("ALICE"), 2))
    (ticket,) = (p.ticket for p in bench.engine.station.pending.values() if isinstance(p, PendingToken))
    await bench.do(TokenAnswered(ticket, IdTokenInfo(AuthorizationStatus.ACCEPTED)))
    await bench.look(2, ChargerState.CHARGING)


async def test_an_action_comes_last_of_all(bench: Bench):
    told = await bench.do(UnlockConnector(ask(), 1))
    assert told[-1] == ("perform", 1, Action.UNLOCK)
    assert kinds(told).index("mirror") < kinds(told).index("perform")


async def test_a_restart_comes_after_its_answer_was_shown(bench: Bench):
    told = await bench.do(ResetStation(ask(), ResetKind.SOFT))
    told += await bench.ticks(120)
    assert ("restart", RestartScope.SERVICE) in told
    assert kinds(told).index("reply") < kinds(told).index("restart")


async def test_whoever_is_shown_a_station_is_shown_the_committed_one(bench: Bench):
    told = await bench.do(reserve())
    shown = [entry[1] for entry in told if entry[0] in ("csms", "mirror")]
    assert all(each is bench.engine.station for each in shown)
    assert 7 in bench.engine.station.reservations


async def test_a_step_that_changes_nothing_kept_writes_nothing(bench: Bench):
    told = await bench.do(GetConfiguration(ask(), ()))
    assert "commit" not in kinds(told)
    assert ("reply" in kinds(told)) and ("refuse" not in kinds(told))


async def test_a_driver_is_told_only_what_has_changed(bench: Bench):
    await charging(bench)
    mark = len(bench.journal)
    for energy_wh in range(1001, 1020):
        await bench.look(1, ChargerState.CHARGING, energy_wh=energy_wh)
    assert "want" not in kinds(bench.journal[mark:])


async def test_each_desk_gets_the_answers_of_its_own_channel(bench: Bench):
    told = await bench.do(reserve("a", "local"), reserve("b", "mqtt:bms"), reserve("c", "csms"))
    answers = [entry[:3] for entry in told if entry[0] in ("desk", "reply")]
    assert answers == [("desk", "local", "a"), ("desk", "mqtt:bms", "b"), ("reply", "c", "Accepted")]


async def test_an_answer_that_nobody_waits_for_any_more_harms_nobody(bench: Bench):
    told = await bench.do(reserve("a", "gone"))
    assert "desk" not in kinds(told)
    assert 7 in bench.engine.station.reservations


# --- what the disk does not keep


async def test_a_failed_commit_is_told_as_an_error_and_nothing_has_happened(bench: Bench):
    before = bench.engine.station
    bench.store.broken = FULL
    told = await bench.do(reserve())
    assert told == [("refuse", "1")]
    assert bench.engine.station is before
    assert "full" in bench.engine.degraded


@pytest.mark.parametrize("channel", ["local", "mqtt:bms"])
async def test_a_local_request_that_was_not_kept_fails_at_its_own_desk(bench: Bench, channel: str):
    bench.store.broken = FULL
    assert await bench.do(reserve("a", channel)) == [("desk failed", channel, "a")]


async def test_a_token_from_a_desk_that_was_not_kept_fails_there_and_is_not_tried_again(bench: Bench):
    """The driver at the desk was told that it did not work, and will show the card again, or not."""
    await charging(bench)
    bench.store.broken = FULL
    told = await bench.do(PresentToken(IdToken("ALICE"), 1, ask("t", "local")))
    assert told == [("want", 1, False), ("desk failed", "local", "t")]
    bench.store.broken = None
    await bench.ticks(2 * RETRY_AFTER_TICKS)
    (transaction,) = bench.engine.station.transactions.values()
    assert transaction.active


async def test_a_card_at_a_reader_that_was_not_kept_is_tried_again(bench: Bench):
    """Nobody was told that it did not work."""
    await charging(bench)
    bench.store.broken = FULL
    assert await bench.do(PresentToken(IdToken("ALICE"), 1)) == [("want", 1, False)]
    bench.store.broken = None
    await bench.ticks(2 * RETRY_AFTER_TICKS)
    assert not any(transaction.active for transaction in bench.engine.station.transactions.values())


async def test_what_needs_no_disk_is_answered_all_the_same(bench: Bench):
    bench.store.broken = FULL
    told = await bench.do(GetConfiguration(ask(), ("HeartbeatInterval",)))
    assert "reply" in kinds(told)


async def test_energy_that_a_lost_step_would_have_stopped_is_withheld_all_the_same(bench: Bench):
    await charging(bench)
    bench.store.broken = FULL
    told = await bench.do(stop())
    assert told == [("want", 1, False), ("refuse", "9")]
    assert not bench.engine.wanted[1].permit_charging
    assert bench.engine.station.transactions


async def test_a_current_that_a_lost_step_would_have_lowered_is_lower_all_the_same(bench: Bench):
    await charging(bench)
    bench.store.broken = FULL
    await bench.do(limit(10_000))
    assert (bench.engine.wanted[1].permit_charging, bench.engine.wanted[1].current_limit_ma) == (True, 10_000)
    await bench.do(limit(16_000))
    assert bench.engine.wanted[1].current_limit_ma == 10_000
    bench.store.broken = None
    await bench.do(reserve("2", connector=2))
    assert bench.engine.wanted[1].current_limit_ma == 32_000


async def test_energy_flows_again_once_the_disk_keeps_data_and_the_step_was_not_repeated(bench: Bench):
    await charging(bench)
    bench.store.broken = FULL
    await bench.do(stop())
    bench.store.broken = None
    told = await bench.do(reserve("2", connector=2))
    assert ("want", 1, True) in told
    assert bench.engine.degraded == ""


async def test_a_lost_step_never_gives_energy(bench: Bench):
    await bench.look(1, ChargerState.CONNECTED)
    bench.store.broken = FULL
    await bench.do(PresentToken(IdToken("ALICE"), 1))
    for pending in list(bench.engine.station.pending.values()):
        if isinstance(pending, PendingToken):
            await bench.do(TokenAnswered(pending.ticket, IdTokenInfo(AuthorizationStatus.ACCEPTED)))
    await bench.look(1, ChargerState.CHARGING)
    assert bench.engine.station.transactions == {}


async def test_trouble_is_told_once_at_its_begin_and_once_at_its_end(bench: Bench, caplog: pytest.LogCaptureFixture):
    bench.store.broken = FULL
    with caplog.at_level(logging.WARNING, "edged.engine"):
        await bench.do(reserve("1"), reserve("2"), reserve("3"))
        bench.store.broken = None
        await bench.do(reserve("4"), reserve("5"))
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert bench.engine.degraded == ""


async def test_what_cannot_come_again_by_itself_is_tried_again_in_its_order(bench: Bench):
    await charging(bench)
    transaction = next(iter(bench.engine.station.transactions.values()))
    assert transaction.external_ref is None
    bench.store.broken = FULL
    await bench.do(ChargerLost(2, "no answer"), LinkDown("cut"))
    await bench.ticks(RETRY_AFTER_TICKS)
    bench.store.broken = None
    await bench.ticks(RETRY_AFTER_TICKS)
    assert not bench.engine.station.link.online
    assert not bench.engine.station.connectors[2].online


async def test_what_is_asked_on_a_line_waits_for_the_news_of_that_line(bench: Bench):
    """With it a new password is proven; another order before it would forget the one that the CSMS believes in."""
    bench.store.broken = FULL
    await bench.do(SuspicionRaised("TamperDetectionActivated", "opened"), LinkDown("cut"), LinkUp())
    bench.store.broken = None
    assert await bench.do(reserve("2")) == [("refuse", "2")]
    await bench.ticks(RETRY_AFTER_TICKS)
    assert "reply" in kinds(await bench.do(reserve("3", connector=2)))


async def test_a_poll_is_not_kept_for_later_for_the_next_one_is_better(bench: Bench):
    await charging(bench)
    bench.store.broken = FULL
    for energy_wh in range(2000, 2000 + 3 * MAX_RETRIES_KEPT, 1000):
        await bench.look(1, ChargerState.AVAILABLE, energy_wh=energy_wh)
    bench.store.broken = None
    await bench.ticks(RETRY_AFTER_TICKS)
    assert bench.engine.station.transactions, "an old poll has ended it"


async def test_a_broken_database_is_left_by_a_restart_asked_for_once(bench: Bench):
    bench.store.broken = StoreDamaged("commit: malformed")
    told = await bench.do(reserve("1"), reserve("2"))
    assert [entry for entry in told if entry[0] == "restart"] == [("restart", RestartScope.SERVICE)]


# --- alive


async def test_each_tick_feeds_the_watchdog_once(bench: Bench):
    before = len(bench.alive)
    await bench.ticks(3)
    assert len(bench.alive) == before + 3


async def test_the_watchdog_is_fed_although_the_disk_keeps_nothing(bench: Bench):
    """A restart would not make the disk larger."""
    bench.store.broken = FULL
    before = len(bench.alive)
    await bench.ticks(3)
    assert len(bench.alive) == before + 3


# --- the loop


async def test_what_drivers_report_goes_through_the_inbox(bench: Bench):
    loop = asyncio.create_task(bench.engine.run())
    changed = asyncio.Event()
    try:
        while bench.drivers[1].listener is None:
            await asyncio.sleep(0)
        listener: Any = bench.drivers[1].listener
        seen = Observation(read_at=bench.clock.now(), state=ChargerState.CONNECTED)
        listener.observed(seen)
        listener.performed("no such ticket", ActionOutcome.DONE, "")
        async with asyncio.timeout(30):
            while bench.engine.station.connectors[1].state is not ChargerState.CONNECTED:
                await asyncio.sleep(0)
            listener.lost("no answer")
            while bench.engine.station.connectors[1].online:
                await asyncio.sleep(0)
        changed.set()
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
    assert changed.is_set()


async def test_a_commit_in_a_thread_is_waited_for_before_anybody_is_told(bench: Bench):
    with ThreadPoolExecutor(max_workers=1) as executor:
        bench.engine._executor = executor
        told = await bench.do(reserve())
    assert kinds(told)[:2] == ["commit", "reply"]


async def test_a_bug_in_a_step_ends_the_engine(bench: Bench):
    """Systemd restarts it from what is on the disk; nothing goes on with a station that may be wrong."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    bench.store.difference = broken  # type: ignore[method-assign]
    bench.engine.post(Tick())
    with pytest.raises(ExceptionGroup) as died:
        async with asyncio.timeout(30):
            await bench.engine.run()
    assert died.group_contains(ZeroDivisionError)


async def test_without_a_csms_the_station_runs_by_itself():
    bench = Bench.build()
    bench.engine._link = None
    await bench.do(Started(continued=False))
    await bench.look(1, ChargerState.AVAILABLE)
    told = await bench.do(reserve("x", "csms"), reserve("y", "local"))
    assert kinds(told) == ["commit", "mirror", "commit", "desk", "mirror"]
    bench.store.broken = FULL
    assert "refuse" not in kinds(await bench.do(reserve("z", "csms")))


async def test_the_clock_learns_what_the_csms_told():
    bench = Bench.build()
    bench.clock.time = replace(bench.clock.time, synchronized=False)
    await bench.serving()
    assert "learn" in kinds(bench.journal)
