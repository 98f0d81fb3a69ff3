"""What the MQTT mirror costs and what it keeps: messages and processor time of a polled site, the dump after a
connection, memory in a black hole, and (`mqtt_events`) what becomes of events in the faults of a network.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import mqtt_events
from benchmarks.mqtt_broker import broker
from benchmarks.process import ROOT, STATE_ROOT, child, environment, farewell, first_line
from benchmarks.report import Row
from tests.fakes.fault_proxy import FaultProxy

TAKES_FULL = True
SITES = ((20, 4), (200, 40))
POLICIES = ("edged", "core", "values", "documents")
WORDS = {"values": "each value of each poll", "documents": "one JSON a connector and poll"}
DUMP_CONNECTORS = 200
HOLE_CONNECTORS = 20
HOLE_S = 600.0
MIB = 1024 * 1024


def rows(quick: bool, *, full: bool = False) -> list[Row]:
    return [
        *(row for connectors, charging in SITES for row in _load_rows(connectors, charging, 5.0 if quick else 60.0)),
        *_dump_rows(1 if quick else 5),
        _memory_row(4.0 if quick else HOLE_S if full else 60.0, full=full),
        *mqtt_events.rows(quick),
    ]


# --- a polled site


def _load_rows(connectors: int, charging: int, seconds: float) -> list[Row]:
    found = _loads(connectors, charging, seconds)
    mine = found["edged"]
    cpu = {name: 100 * each["cpu_share"] for name, each in found.items()}
    how = (
        f"{connectors} connectors polled at 1 Hz with noise on each reading, {charging} of them charging, {seconds:g} "
        "s; processor time of the whole process (core, mirror and client): "
        + ", ".join(f"{name} {share:.1f} %" for name, share in cpu.items())
        + " of one core; core: without MQTT"
    )
    name = f"MQTT, {connectors} connectors"
    return [
        *(
            Row(
                name=f"{name}: messages a second",
                value=mine["per_s"],
                unit="msg/s",
                baseline=words,
                baseline_value=found[policy]["per_s"],
                limit=3.0 if connectors == SITES[0][0] else None,
                how=how,
            )
            for policy, words in WORDS.items()
        ),
        *(
            Row(
                name=f"{name}: processor time for MQTT",
                value=cpu["edged"] - cpu["core"],
                unit="% of a core",
                baseline=words,
                baseline_value=cpu[policy] - cpu["core"],
                how=how,
            )
            for policy, words in WORDS.items()
        ),
    ]


def _loads(connectors: int, charging: int, seconds: float) -> dict[str, Any]:
    """All at once, each with a broker of its own: it is their processor time that counts."""
    with contextlib.ExitStack() as stack:
        running = {}
        for policy in POLICIES:
            port = stack.enter_context(broker()).port
            words = ["load", str(port), str(connectors), str(charging), str(seconds), policy]
            running[policy] = stack.enter_context(child(["-m", "benchmarks.mqtt_load", *words]))
        return {policy: farewell(process) for policy, process in running.items()}


# --- from the connection to `online`


def _dump_rows(runs: int) -> list[Row]:
    found = {who: [_dump(who) for _ in range(runs)] for who in ("edged", "paho")}
    best = {who: sorted(each["seconds"] for each in outcomes)[runs // 2] for who, outcomes in found.items()}
    how = (
        f"from dialling to `online` at a subscriber, loopback: {found['edged'][0]['documents']} retained documents "
        f"before it, at most 20 under way; paho pushes the same bytes, encoded beforehand; median of {runs}"
    )
    return [
        Row(
            name=f"MQTT, {DUMP_CONNECTORS} connectors: from dialling to online",
            value=best["edged"],
            unit="s",
            baseline="paho, the same documents",
            baseline_value=best["paho"],
            how=how,
        )
    ]


def _dump(who: str) -> dict[str, Any]:
    with broker() as running:
        words = ["connect", str(running.port), str(DUMP_CONNECTORS), who]
        command = [sys.executable, "-m", "benchmarks.mqtt_load", *words]
        done = subprocess.run(command, cwd=ROOT, env=environment(), check=True, capture_output=True, text=True)
        return dict(json.loads(done.stdout))


# --- a black hole


def _memory_row(seconds: float, *, full: bool) -> Row:
    factor = 1.0 if full else HOLE_S / seconds
    found = asyncio.run(_hole(seconds, factor))
    how = (
        f"{HOLE_CONNECTORS} connectors, as many polls as in {HOLE_S:g} s ({found['observations']}, the warm-up's "
        f"included) within {seconds:g} s of a line that swallows everything, and an event of 200 bytes for each 20th: "
        f"{found['spooled']} wait on the disk, {found['waiting']} documents in memory; "
        f"{found['attempts']} attempts to connect"
    )
    return Row(
        name="MQTT, memory in a black hole of 10 min" + ("" if full else ", its polls in less time"),
        value=found["growth_bytes"] / MIB,
        unit="MiB",
        baseline="the RSS before",
        baseline_value=found["resident_bytes"] / MIB,
        limit=2.0,
        how=how,
    )


async def _hole(seconds: float, factor: float) -> dict[str, Any]:
    with broker() as running, tempfile.TemporaryDirectory(dir=STATE_ROOT, prefix="edged-bench-") as folder:
        async with FaultProxy(running.port) as proxy:
            words = ["hole", str(proxy.port), str(HOLE_CONNECTORS), str(seconds), str(factor), folder]
            with child(["-m", "benchmarks.mqtt_load", *words], stderr=subprocess.DEVNULL) as process:
                await asyncio.to_thread(first_line, process)
                proxy.swallow()
                found: dict[str, Any] = await asyncio.to_thread(farewell, process)
            proxy.heal()
            await asyncio.sleep(0.1)  # for its last lines to end
            return found
