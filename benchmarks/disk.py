"""What reaches the disk: idle, and for each transaction. `write_bytes` of /proc/PID/io, on a real file system.

The kernel counts pages that the process has made dirty; the file system's own journal comes on top and is not ours.
A day is not waited for: the real daemon is watched for a while, and the same engine and store live a day under a
clock that jumps (benchmarks.virtual_site), where the rare writes come.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from typing import Any

from benchmarks.daemon import daemon, simulated_chargers
from benchmarks.process import ROOT, written_bytes
from benchmarks.report import Row
from benchmarks.thin_csms import ThinCsms

CONNECTORS = 12
KIB, MIB = 1024, 1024 * 1024
DAY_H = 24
BASELINES = {
    "json": "whole station rewritten as a JSON file, same commits",
    "rollback": "SQLite rollback journal, same commits",
}


def rows(quick: bool) -> list[Row]:
    watched_s, hours, transactions = (3.0, 2.0, 1) if quick else (120.0, 24.0, 4)
    daemon_bytes = asyncio.run(_idle_daemon_bytes(watched_s))
    return [*_idle_rows(hours, watched_s, daemon_bytes), *_transaction_rows(transactions)]


def _idle_rows(hours: float, watched_s: float, daemon_bytes: int) -> list[Row]:
    days = {kind: _virtual("idle", hours, kind) for kind in ("edged", *BASELINES)}
    mine = days["edged"]
    how = (
        f"{hours:g} virtual hours of {CONNECTORS} idle chargers polled every 10 s: {mine['commits']} commits; plus the "
        f"daily backup of {mine['backup_bytes'] // KIB} KiB (as many for each); the real daemon, watched for "
        f"{watched_s:g} s after it had settled, wrote {daemon_bytes} bytes"
    )
    scale = DAY_H / hours
    return [
        Row(
            name="written in an idle day",
            value=(mine["bytes"] * scale + mine["backup_bytes"]) / MIB,
            unit="MiB",
            baseline=baseline,
            baseline_value=(days[kind]["bytes"] * scale + mine["backup_bytes"]) / MIB,
            limit=1.0,
            how=how,
        )
        for kind, baseline in BASELINES.items()
    ]


def _transaction_rows(count: int) -> list[Row]:
    lives = {kind: _virtual("transaction", count, kind) for kind in ("edged", *BASELINES)}
    mine = lives["edged"]
    how = (
        f"1 h at 11 kW, online, a sample every 60 s, {CONNECTORS} connectors: {mine['commits'] / count:.0f} durable "
        f"commits a transaction; mean of {count} behind a first one"
    )
    return [
        Row(
            name="written for a transaction of 1 h",
            value=mine["bytes"] / count / KIB,
            unit="KiB",
            baseline=baseline,
            baseline_value=lives[kind]["bytes"] / count / KIB,
            how=how,
        )
        for kind, baseline in BASELINES.items()
    ]


def _virtual(kind: str, amount: float, store: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.virtual_site", kind, str(amount), store]
    told: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    if told["unsent"]:
        raise RuntimeError(f"the played CSMS did not take everything: {told}")
    return told


async def _idle_daemon_bytes(watched_s: float) -> int:
    async with ThinCsms() as csms:
        with contextlib.ExitStack() as stack:
            addresses = await asyncio.to_thread(stack.enter_context, simulated_chargers(CONNECTORS))
            running = await asyncio.to_thread(stack.enter_context, daemon(csms.url, addresses))
            await csms.told("StatusNotification")
            await csms.quiet(3.0)
            before = written_bytes(running.pid)
            await asyncio.sleep(watched_s)
            return written_bytes(running.pid) - before
