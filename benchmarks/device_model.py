"""GetBaseReport(FullInventory) of a station with 12 connectors: how long until the last page, and how much memory.

The real link, 2.0.1 dialect, engine and SQLite store of benchmarks.virtual_site, in this process; a CSMS that takes
each page at once. The baseline words the same inventory in one piece, as one frame, with nothing around it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.process import STATE_ROOT
from benchmarks.report import Row
from benchmarks.virtual_site import CONNECTORS, ID, START, VirtualSite
from edged.dialects.v201 import Ocpp201
from edged.dialects.v201.variables import encode_page
from edged.domain.device_model import inventory
from edged.domain.effects import ReportKind, ReportPage
from edged.domain.station import Station
from edged.store.opening import open_store
from edged.store.station_store import StationStore

LIMIT_MS = 100.0
LIMIT_RATIO = 0.5
_NUMBERS = count(1)


def rows(quick: bool) -> list[Row]:
    found = asyncio.run(_run(3 if quick else 50))
    what = f"GetBaseReport(FullInventory), {CONNECTORS} connectors"
    size = f"{found['pages']:.0f} pages of {found['bytes'] / 1024:.0f} KiB together"
    how = f"{found['variables']:.0f} variables in {size}, each answered at once"
    whole = "the same in one frame, nothing around it"
    return [
        Row(
            name=f"{what}: to the last page",
            value=1000 * found["report"],
            unit="ms",
            baseline=whole,
            baseline_value=1000 * found["report, bare"],
            limit=LIMIT_MS,
            how=f"{how}; median",
        ),
        Row(
            name=f"{what}: peak of memory",
            value=found["peak"] / 1024,
            unit="KiB",
            baseline=whole,
            baseline_value=found["peak, bare"] / 1024,
            limit=LIMIT_RATIO,
            relative=True,
            how=f"{how}; what tracemalloc saw above the start, median of 3",
        ),
    ]


async def _run(repetitions: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=STATE_ROOT, prefix="edged-bench-") as folder:
        opened = open_store(Path(folder) / "edged.db", wall=START)
        with closing(opened.store):
            site = VirtualSite(StationStore(opened.store, ID), Ocpp201())
            await site.start()
            pages = await _report(site)
            entries = sum(len(page["reportData"]) for page in pages)
            assert entries == len(tuple(inventory(site.engine.station)))

            async def bare() -> None:
                _whole(site.engine.station)

            async def paged() -> None:
                await _serve(site)

            return {
                "variables": float(entries),
                "pages": float(len(pages)),
                "bytes": float(sum(len(json.dumps(page)) for page in pages)),
                "report": await _median_s(paged, repetitions),
                "report, bare": await _median_s(bare, repetitions),
                "peak": await _peak_bytes(paged),
                "peak, bare": await _peak_bytes(bare),
            }


async def _serve(site: VirtualSite) -> None:
    """From the CSMS's frame until nothing more follows from it: the last page was taken."""
    number = next(_NUMBERS)
    payload = {"requestId": number, "reportBase": "FullInventory"}
    site.link.received(json.dumps([2, f"report-{number}", "GetBaseReport", payload]))
    assert len(site.engine.inbox) == 1
    await site.do()


async def _report(site: VirtualSite) -> list[dict[str, Any]]:
    """The pages, as they come."""
    told: list[dict[str, Any]] = []
    send = site.line.send

    def keep(frame: str) -> bool:
        message = json.loads(frame)
        if message[0] == 2 and message[2] == "NotifyReport":
            told.append(message[3])
        return send(frame)

    site.line.send = keep  # type: ignore[method-assign]
    await _serve(site)
    del site.line.send
    assert told and not told[-1]["tbc"]
    return told


def _whole(station: Station) -> str:
    page = ReportPage(
        kind=ReportKind.VARIABLES,
        request_id=1,
        seq_no=0,
        more=False,
        generated_at=station.stamp(station.clock),
        items=tuple(inventory(station)),
    )
    return json.dumps([2, "r", "NotifyReport", encode_page(page, station).payload])


async def _median_s(what: Callable[[], Awaitable[None]], repetitions: int) -> float:
    spent = []
    for _ in range(repetitions):
        began = time.perf_counter()
        await what()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


async def _peak_bytes(what: Callable[[], Awaitable[None]]) -> float:
    peaks = []
    tracemalloc.start()
    for _ in range(3):
        gc.collect()
        tracemalloc.reset_peak()
        before, _peak = tracemalloc.get_traced_memory()
        await what()
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    return statistics.median(peaks)
