"""Samples wait for the disk: when they get there, what goes along, and what a disk that refuses does to them."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from edged.domain.commands import ReserveNow, Target
from edged.domain.effects import Lane
from edged.domain.events import PresentToken, TokenAnswered
from edged.domain.hardware import ChargerState
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, RequestRef
from edged.ports import StoreError
from tests.engine.conftest import Bench, Journal, kinds
from tests.fakes.site import START

FULL = StoreError("commit: database or disk is full")


def reserve() -> ReserveNow:
    return ReserveNow(
        request=RequestRef("csms", "1", ""),
        reservation_id=1,
        target=Target(connector=2),
        expires_at=START + timedelta(hours=9),
        id_token=IdToken("BOB"),
        group=None,
    )


async def charging_site() -> Bench:
    """A site whose first connector charges and is sampled each minute; its start is known to the CSMS."""
    bench = await Bench.build(configuration={"MeterValueSampleInterval": "60"}).serving()
    await bench.look(1, ChargerState.CONNECTED)
    await bench.do(PresentToken(IdToken("ALICE"), 1))
    ticket = next(iter(bench.engine.station.pending))
    await bench.do(TokenAnswered(ticket, IdTokenInfo(AuthorizationStatus.ACCEPTED)))
    await bench.look(1, ChargerState.CHARGING)
    assert bench.engine.station.running(1) is not None
    return bench


async def sampled(bench: Bench, energy_wh: float = 1100.0) -> Journal:
    """A minute passes, and a sample is told."""
    mark, seq = len(bench.journal), bench.engine.station.next_seq
    for _ in range(6):
        await bench.look(1, ChargerState.CHARGING, energy_wh)
        await bench.ticks(10)
    assert bench.engine.station.next_seq == seq + 1
    return bench.journal[mark:]


async def test_a_sample_is_seen_by_all_and_costs_no_commit():
    bench = await charging_site()
    told = kinds(await sampled(bench))
    assert "commit" not in told
    assert {"csms", "mirror"} <= set(told)
    seq = bench.engine.station.next_seq - 1
    assert [number for number, _ in bench.store.outbox(Lane.TRANSACTION, seq - 1, 5)] == [seq]
    assert seq not in bench.store.disk.load("TEST").outbox


async def test_what_waits_goes_to_the_disk_with_the_next_step_that_must():
    bench = await charging_site()
    await sampled(bench)
    told = await bench.do(reserve())
    assert kinds(told)[:2] == ["commit", "reply"]
    assert kinds(told).count("commit") == 1
    assert bench.engine.station.next_seq - 1 in bench.store.disk.load("TEST").outbox


async def test_what_nobody_could_be_told_goes_to_the_disk_within_ten_minutes():
    bench = await charging_site()
    await sampled(bench)
    seq = bench.engine.station.next_seq - 1
    await bench.ticks(598)
    assert seq not in bench.store.disk.load("TEST").outbox
    told = await bench.ticks(62)
    assert kinds(told).count("commit") == 1
    assert seq in bench.store.disk.load("TEST").outbox


async def test_what_waits_goes_to_the_disk_before_it_is_copied():
    bench = await charging_site()
    await sampled(bench)
    keeping = asyncio.ensure_future(bench.engine.keep_soon())
    await asyncio.sleep(0)
    assert kinds(await bench.ticks(1)).count("commit") == 1
    await keeping
    assert kinds(await bench.ticks(1)).count("commit") == 0


async def test_a_copy_is_made_also_when_the_disk_refuses_what_waits():
    bench = await charging_site()
    await sampled(bench)
    bench.store.broken = FULL
    keeping = asyncio.ensure_future(bench.engine.keep_soon())
    await asyncio.sleep(0)
    await bench.ticks(1)
    await keeping


async def test_what_waits_goes_to_the_disk_at_the_end():
    bench = await charging_site()
    await sampled(bench)
    bench.engine.keep_now()
    assert bench.engine.station.next_seq - 1 in bench.store.disk.load("TEST").outbox


async def test_an_end_on_a_full_disk_is_no_good_end():
    bench = await charging_site()
    await sampled(bench)
    bench.store.broken = FULL
    with pytest.raises(StoreError):
        bench.engine.keep_now()


async def test_a_full_disk_takes_all_that_waits_when_there_is_room_again():
    bench = await charging_site()
    bench.store.broken = FULL
    for minute in range(15):
        await sampled(bench, 1100.0 + 30 * minute)
    assert bench.engine.degraded
    seqs = range(bench.engine.station.next_seq - 15, bench.engine.station.next_seq)
    assert not set(seqs) & bench.store.disk.load("TEST").outbox.keys()
    bench.store.broken = None
    await bench.ticks(5)
    assert not bench.engine.degraded
    assert set(seqs) <= bench.store.disk.load("TEST").outbox.keys()


async def test_a_disk_that_refused_a_step_is_tried_again_with_what_waits():
    """Not only with the next step that must be kept, which may be an hour away."""
    bench = await charging_site()
    await sampled(bench)
    bench.store.broken = FULL
    await bench.do(reserve())
    bench.store.broken = None
    assert bench.engine.degraded
    await bench.ticks(5)
    assert not bench.engine.degraded


async def test_a_disk_that_refused_a_step_is_tried_again_where_nothing_waits():
    bench = await charging_site()
    bench.engine.keep_now()
    bench.store.broken = FULL
    await bench.do(reserve())
    await bench.ticks(10)
    assert bench.engine.degraded, "the disk is asked, not believed"
    bench.store.broken = None
    await bench.ticks(5)
    assert not bench.engine.degraded


async def test_a_disk_with_room_for_little_things_only_does_not_come_and_go(caplog: pytest.LogCaptureFixture):
    """Each step of some size is refused, each question in between is answered well."""
    bench = await charging_site()
    with caplog.at_level(logging.WARNING, "edged.engine"):
        for _ in range(6):
            bench.store.broken = FULL
            await bench.do(reserve())
            bench.store.broken = None
            await bench.ticks(10)
        assert bench.engine.degraded
        await bench.ticks(60)
    assert not bench.engine.degraded
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING", "ERROR", "WARNING"]
