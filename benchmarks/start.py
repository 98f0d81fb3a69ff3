"""From the start of the process to READY=1 and to the first BootNotification, against a bare client's first CALL."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time

from benchmarks.daemon import daemon, simulated_chargers
from benchmarks.process import child
from benchmarks.report import Row
from benchmarks.thin_csms import ThinCsms

CONNECTORS = 12
LIMIT_S = 0.5
BASELINE = "bare websockets client's first CALL"


def rows(quick: bool) -> list[Row]:
    repetitions = 2 if quick else 10
    ready: list[float] = []
    boot: list[float] = []
    bare: list[float] = []
    with simulated_chargers(CONNECTORS) as addresses:
        asyncio.run(_daemon_s(addresses))  # byte code and page cache
        for _ in range(repetitions):
            ready_s, boot_s = asyncio.run(_daemon_s(addresses))
            ready.append(ready_s)
            boot.append(boot_s)
            bare.append(asyncio.run(_bare_s()))
    how = f"{CONNECTORS} chargers, empty state directory, files in the page cache; median of {repetitions}"
    return [
        Row(
            name=name,
            value=statistics.median(times),
            unit="s",
            baseline=BASELINE,
            baseline_value=statistics.median(bare),
            limit=limit,
            how=how,
        )
        for name, times, limit in (("start to READY=1", ready, LIMIT_S), ("start to BootNotification", boot, None))
    ]


async def _daemon_s(addresses: list[str]) -> tuple[float, float]:
    async with ThinCsms() as csms:
        with contextlib.ExitStack() as stack:
            running = await asyncio.to_thread(stack.enter_context, daemon(csms.url, addresses))
            await csms.told("BootNotification")
            return running.ready_at - running.started_at, csms.seen["BootNotification"] - running.started_at


async def _bare_s() -> float:
    async with ThinCsms() as csms:
        began = time.perf_counter()
        with child(["-m", "benchmarks.responders", "connect", csms.url]):
            await csms.told("BootNotification")
            return csms.seen["BootNotification"] - began
