"""What `edged status` takes while a CSMS sends calls and waits for no answer, against the daemon left alone."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.daemon import daemon, simulated_chargers
from benchmarks.report import Row
from benchmarks.thin_csms import ThinCsms
from edged.local.client import ControlClient

CALLS = 10_000
PAUSE_S = 0.02
ALONE_S = 10.0
BASELINE = "the same, the CSMS silent"


def rows(quick: bool) -> list[Row]:
    count = CALLS // 10 if quick else CALLS
    with simulated_chargers(1) as addresses:
        alone, flooded, took_s = asyncio.run(_measured(addresses, count, ALONE_S / (10 if quick else 1)))
    how = f"{count} calls of six kinds without waiting, answered in {took_s:.1f} s; {len(flooded)} looks meanwhile"
    kinds = (("median", statistics.median), ("longest", max))
    return [
        Row(
            name=f"edged status under a CSMS's flood, {kind}",
            value=1000 * of(flooded),
            unit="ms",
            baseline=BASELINE,
            baseline_value=1000 * of(alone),
            how=how,
        )
        for kind, of in kinds
    ]


async def _measured(addresses: list[str], count: int, alone_s: float) -> tuple[list[float], list[float], float]:
    """Seconds of each look left alone and in the flood, and how long the flood took."""
    async with ThinCsms() as csms:
        with daemon(csms.url, addresses) as running:
            await csms.told("BootNotification")
            await csms.quiet()
            over = asyncio.Event()
            asyncio.get_running_loop().call_later(alone_s, over.set)
            alone = await _looks(running.control, over)
            over = asyncio.Event()
            looking = asyncio.create_task(_looks(running.control, over))
            took_s = await csms.flood(_calls(count))
            over.set()
            return alone, await looking, took_s


def _calls(count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for number in range(count):
        yield (
            ("GetConfiguration", {}),
            ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": str(300 + number)}),
            ("GetCompositeSchedule", {"connectorId": 1, "duration": 86_400}),
            ("ReserveNow", {"connectorId": 1, "expiryDate": "2031-01-01T00:00:00Z", "idTag": "A", "reservationId": 1}),
            ("ClearCache", {}),
            ("NoSuchAction", {}),
        )[number % 6]


async def _looks(control: Path, over: asyncio.Event) -> list[float]:
    seconds = []
    while not over.is_set():
        asked = time.perf_counter()
        await asyncio.to_thread(_status, control)
        seconds.append(time.perf_counter() - asked)
        await asyncio.sleep(PAUSE_S)
    return seconds


def _status(control: Path) -> None:
    with ControlClient(control) as client:
        reply = client.request("status")
    assert reply["ok"], reply
