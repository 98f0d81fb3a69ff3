"""Sleeping to a point in time, by the kernel's timer or without it."""

from __future__ import annotations

import asyncio
import os

import pytest

from edged.chargers import alarm
from edged.chargers.alarm import Alarm
from edged.chargers.line import Inbox, LineDown
from edged.chargers.moments import moment
from tests.fakes.virtual_loop import run_virtually


@pytest.fixture(params=["kernel", "loop", "other times than ours"])
async def any_alarm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    if request.param == "other times than ours":
        monkeypatch.setattr(alarm, "ABSOLUTE", 0)  # the moment is then taken for hours from now
    one = Alarm()
    if request.param == "loop":
        one.close()
    yield one
    one.close()


async def test_nobody_is_woken_early_and_everybody_is_woken(any_alarm: Alarm) -> None:
    for delay_s in (0.0001, 0.0017, 0.004, 0.0, -1.0):
        until = moment() + delay_s
        async with asyncio.timeout(30):
            await any_alarm.sleep_until(until)
        assert moment() >= until


async def test_the_kernels_timer_wakes_before_the_loops_would() -> None:
    """The loop's are rounded up to a millisecond; of many attempts the quickest shows what is possible."""
    one = Alarm()
    late_s = 1.0
    async with asyncio.timeout(30):
        while late_s >= 0.0005:
            until = moment() + 0.0012
            await one.sleep_until(until)
            late_s = moment() - until
    one.close()


async def test_an_alarm_that_is_closed_keeps_no_file_and_still_wakes() -> None:
    before = len(os.listdir("/proc/self/fd"))
    one = Alarm()
    sleeper = asyncio.create_task(one.sleep_until(moment() + 0.01))
    await asyncio.sleep(0)
    one.close()
    one.close()
    assert len(os.listdir("/proc/self/fd")) == before
    async with asyncio.timeout(30):
        await sleeper


async def test_a_sleeper_that_is_cancelled_leaves_the_alarm_usable() -> None:
    one = Alarm()
    sleeper = asyncio.create_task(one.sleep_until(moment() + 0.005))
    await asyncio.sleep(0)
    sleeper.cancel()
    async with asyncio.timeout(30):
        await asyncio.wait([sleeper])
        await one.sleep_until(moment() + 0.01)
    one.close()


def test_bytes_that_are_not_enough_wake_nobody_before_the_time() -> None:
    async def scene() -> None:
        inbox = Inbox()
        looks = []

        def enough() -> bool:
            looks.append(len(inbox.data))
            return len(inbox.data) >= 3

        loop = asyncio.get_running_loop()
        for number in range(4):
            loop.call_later(0.1 * (number + 1), inbox.feed, b"x")
        assert await inbox.more(moment() + 5, enough)
        assert len(inbox.data) == 3 and looks == [1, 2, 3]
        begun = moment()
        assert await inbox.more(begun + 1, lambda: False)  # something came, though not enough
        assert moment() - begun >= 1
        assert not await inbox.more(moment() + 1, lambda: False)
        loop.call_later(0.1, inbox.lose, "cut")
        with pytest.raises(LineDown):
            await inbox.more(moment() + 5, lambda: False)

    run_virtually(scene())
