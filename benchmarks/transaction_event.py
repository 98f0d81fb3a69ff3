"""From a CSMS's TriggerMessage to the TransactionEvent that it asks for, over a WebSocket on loopback. OCPP 2.0.1.

The event is a durable record: edged has committed it, with its number, before it is sent. The stations take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from benchmarks.daemon import daemon, simulated_chargers
from benchmarks.process import child, percentile
from benchmarks.report import Row
from benchmarks.thin_csms import ThinCsms

WARM_UP = 20
VERSION = "ocpp2.0.1"
KEYS = {"TxStartPoint": "Authorized", "ConnectionTimeOut": "0", "MeterValueSampleInterval": "0"}
BARE, LIBRARY = "bare websockets responder", "ocpp library ChargePoint v201"
DRIVER = {"idToken": "DRIVER-0001", "type": "ISO14443"}
EVENT: dict[str, Any] = {
    "eventType": "Updated",
    "timestamp": "2026-05-04T12:00:00.000Z",
    "triggerReason": "Trigger",
    "seqNo": 1,
    "transactionInfo": {"transactionId": "5f8f1e7e-0000-4000-8000-000000000001", "chargingState": "Idle"},
}
ASKED = {"requestedMessage": "TransactionEvent", "evse": {"id": 1}}


def rows(quick: bool) -> list[Row]:
    blocks, count = (2, 30) if quick else (10, 150)
    times = asyncio.run(_measure(blocks, count))
    how = (
        f"{blocks} blocks of {count}, taking turns; from the TriggerMessage to the TransactionEvent behind its answer; "
        "edged has committed it to SQLite (WAL, synchronous=FULL) before, the baselines nothing"
    )
    return [
        Row(
            name=f"TransactionEvent round trip, p{100 * share:.0f}",
            value=1000 * percentile(times["edged"], share),
            unit="ms",
            baseline=baseline,
            baseline_value=1000 * percentile(times[baseline], share),
            how=how,
            relative=True,
        )
        for baseline in (BARE, LIBRARY)
        for share in (0.5, 0.99)
    ]


async def _measure(blocks: int, count: int) -> dict[str, list[float]]:
    async with contextlib.AsyncExitStack() as stack:
        stations = {name: await stack.enter_async_context(ThinCsms(VERSION)) for name in ("edged", BARE, LIBRARY)}
        addresses = await asyncio.to_thread(stack.enter_context, simulated_chargers(1))
        started = daemon(stations["edged"].url, addresses, version=VERSION, keys=KEYS)
        await asyncio.to_thread(stack.enter_context, started)
        await stations["edged"].told("StatusNotification")
        await stations["edged"].quiet()
        order = {"idToken": DRIVER, "remoteStartId": 1, "evseId": 1}
        await stations["edged"].provoke("RequestStartTransaction", order, "TransactionEvent")
        for kind, name in (("bare201", BARE), ("ocpp201", LIBRARY)):
            process = stack.enter_context(child(["-m", "benchmarks.responders", kind, stations[name].url]))
            assert process.stdin is not None
            process.stdin.write(f"{json.dumps(EVENT)}\n")
            process.stdin.flush()
            await stations[name].connected()
        times: dict[str, list[float]] = {name: [] for name in stations}
        for station in stations.values():
            await _trigger(station, WARM_UP)
        for _ in range(blocks):
            for name, station in stations.items():
                times[name] += await _trigger(station, count)
        return times


async def _trigger(station: ThinCsms, count: int) -> list[float]:
    """One after the other, each behind the end of what the last one left to do."""
    spent = []
    for _ in range(count):
        spent.append(await station.provoke("TriggerMessage", ASKED, "TransactionEvent"))
        await station.quiet(0.01)
    return spent
