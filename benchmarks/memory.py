"""What the daemon holds in memory once it serves, against an interpreter that has only imported `websockets`."""

from __future__ import annotations

import asyncio
import contextlib
import statistics

from benchmarks.daemon import daemon, simulated_chargers
from benchmarks.process import child, first_line, memory_mib
from benchmarks.report import Row
from benchmarks.thin_csms import ThinCsms

COUNTS = (1, 12)
LIMIT_MIB = {12: 45.0}
BARE = "import sys, websockets.asyncio.client; print('ready', flush=True); sys.stdin.read()"
WARM_UP_CALLS = 50


def rows(quick: bool) -> list[Row]:
    repetitions, settle_s = (1, 2.0) if quick else (3, 15.0)
    with child(["-c", BARE]) as bare:
        first_line(bare)
        bare_rss, bare_pss = memory_mib(bare.pid)
    found = []
    for count in COUNTS:
        measured = [asyncio.run(_daemon_mib(count, settle_s)) for _ in range(repetitions)]
        how = (
            f"real daemon, {count} charger(s) over Modbus TCP in another process, CSMS accepted, "
            f"{WARM_UP_CALLS} GetConfiguration, {settle_s:g} s of polling; median of {repetitions}"
        )
        for which, name, bare_mib in ((0, "RSS", bare_rss), (1, "PSS", bare_pss)):
            found.append(
                Row(
                    name=f"memory {name}, {count} connector(s)",
                    value=statistics.median(each[which] for each in measured),
                    unit="MiB",
                    baseline="interpreter with websockets",
                    baseline_value=bare_mib,
                    limit=LIMIT_MIB.get(count),
                    how=how + ("" if which == 0 else "; PSS shares pages with the other Pythons that run now"),
                )
            )
    return found


async def _daemon_mib(count: int, settle_s: float) -> tuple[float, float]:
    async with ThinCsms() as csms:
        with contextlib.ExitStack() as stack:
            addresses = await asyncio.to_thread(stack.enter_context, simulated_chargers(count))
            running = await asyncio.to_thread(stack.enter_context, daemon(csms.url, addresses))
            await csms.told("StatusNotification")
            for _ in range(WARM_UP_CALLS):
                await csms.call("GetConfiguration", {})
            await asyncio.sleep(settle_s)
            return memory_mib(running.pid)
