"""From a CSMS's CALL to the station's answer, over a WebSocket on loopback, each party a process of its own.

The stations take turns, a block of CALLs each, so that what else happens on the machine meets all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.daemon import daemon, simulated_chargers
from benchmarks.process import STATE_ROOT, child, percentile
from benchmarks.report import Row
from benchmarks.thin_csms import ThinCsms
from benchmarks.virtual_site import START, one_commit
from edged.store.opening import open_store

CONNECTORS = 2
WARM_UP = 30
BARE, LIBRARY = "bare websockets responder", "ocpp library ChargePoint v16"
_numbers = itertools.count(1)

Times = dict[str, list[float]]


def rows(quick: bool) -> list[Row]:
    blocks, configurations, pairs = (2, 60, 20) if quick else (10, 300, 60)
    reads, writes = asyncio.run(_measure(blocks, configurations, pairs))
    commit_ms = 1000 * _commit_s(20 if quick else 200)
    how = f"{blocks} blocks of {configurations} CALLs each, taking turns; no compression; log level info"
    size = _sizes["answer"]
    found = _compare("GetConfiguration, all keys", reads, f"answer of {size} bytes; {how}", limit=2.0)
    how = (
        f"{blocks} blocks of {pairs} pairs, both CALLs together; edged has committed twice to SQLite (WAL, "
        f"synchronous=FULL) before it answered, the baselines to nothing; a bare commit of one row takes "
        f"{commit_ms:.2f} ms here (median)"
    )
    return found + _compare("ReserveNow + CancelReservation", writes, how)


_sizes: dict[str, int] = {}


def _compare(name: str, times: Times, how: str, *, limit: float | None = None) -> list[Row]:
    found = []
    for baseline, share in itertools.product((BARE, LIBRARY), (0.5, 0.99)):
        found.append(
            Row(
                name=f"{name}, p{100 * share:.0f}",
                value=1000 * percentile(times["edged"], share),
                unit="ms",
                baseline=baseline,
                baseline_value=1000 * percentile(times[baseline], share),
                how=how,
                limit=limit if baseline == BARE and share == 0.5 else None,
                relative=True,
            )
        )
    return found


async def _measure(blocks: int, configurations: int, pairs: int) -> tuple[Times, Times]:
    async with contextlib.AsyncExitStack() as stack:
        stations = {name: await stack.enter_async_context(ThinCsms()) for name in ("edged", BARE, LIBRARY)}
        addresses = await asyncio.to_thread(stack.enter_context, simulated_chargers(CONNECTORS))
        await asyncio.to_thread(stack.enter_context, daemon(stations["edged"].url, addresses))
        await stations["edged"].told("StatusNotification")
        await stations["edged"].quiet()
        _, answer = await stations["edged"].call("GetConfiguration", {})
        text = json.dumps(answer, separators=(",", ":"))
        _sizes["answer"] = len(text)
        for kind, name in (("bare", BARE), ("ocpp", LIBRARY)):
            process = stack.enter_context(child(["-m", "benchmarks.responders", kind, stations[name].url]))
            assert process.stdin is not None
            process.stdin.write(f"{text}\n")
            process.stdin.flush()
            await stations[name].connected()
        reads: Times = {name: [] for name in stations}
        writes: Times = {name: [] for name in stations}
        for station in stations.values():
            await _read(station, WARM_UP)
            await _reserve(station, WARM_UP)
        for _ in range(blocks):
            for name, station in stations.items():
                reads[name] += await _read(station, configurations)
            for name, station in stations.items():
                writes[name] += await _reserve(station, pairs)
        return reads, writes


async def _read(station: ThinCsms, count: int) -> list[float]:
    return [(await station.call("GetConfiguration", {}))[0] for _ in range(count)]


async def _reserve(station: ThinCsms, count: int) -> list[float]:
    """A reservation made and taken back, over and over. What follows from it (StatusNotification) is let finish."""
    spent = []
    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
    for _ in range(count):
        number = next(_numbers)
        asked = {"connectorId": 1, "expiryDate": expires, "idTag": "DRIVER-0001", "reservationId": number}
        making_s = await _accepted(station, "ReserveNow", asked)
        await station.quiet(0.01)
        taking_back_s = await _accepted(station, "CancelReservation", {"reservationId": number})
        await station.quiet(0.01)
        spent.append(making_s + taking_back_s)
    return spent


async def _accepted(station: ThinCsms, action: str, payload: dict[str, Any]) -> float:
    spent_s, answer = await station.call(action, payload)
    if answer != {"status": "Accepted"}:
        raise RuntimeError(f"{action} was answered {answer}")
    return spent_s


def _commit_s(count: int) -> float:
    """What the disk asks for one commit of one row through the same store."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=STATE_ROOT, prefix="edged-bench-"))
        store = stack.enter_context(contextlib.closing(open_store(Path(folder) / "edged.db", wall=START).store))
        return statistics.median(_timed(lambda: one_commit(store)) for _ in range(count))


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
