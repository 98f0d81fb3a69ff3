"""Numbered events through the faults of a network and a broker: how many are lost, told twice, or out of order.

Each event is told while a fault comes over the line; the broker comes back before the line does, and the collector with
it, so that nothing is lost behind the broker's back. What the collector gets twice counts as duplicate, whoever sent it
twice.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.mqtt_broker import Broker, Collector, broker
from benchmarks.process import ROOT, STATE_ROOT, end, environment, first_line
from benchmarks.report import Row
from tests.fakes.fault_proxy import FaultProxy

RIVALS = ROOT / ".venv-rivals"
RIVAL_PYTHON = RIVALS / "bin/python"
CLIENTS = ("edged", "aiomqtt", "gmqtt")
PER_SECOND = 1000
FAULT_AFTER_S = 2.5
QUIET_S, QUIET_ALL_S = 12.0, 3.0
Fault = Callable[[FaultProxy, Broker, Collector], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`kept_back`: of the lost those that the broker had acknowledged before it went, where that is known."""

    lost: int
    duplicates: int
    reordered: int
    kept_back: int = 0


def rows(quick: bool) -> list[Row]:
    prepare_rivals()
    count, runs = (4000, 1) if quick else (6000, 3)
    found = {
        (fault, client): [asyncio.run(_run(client, fault, count)) for _ in range(runs)]
        for fault in FAULTS
        for client in CLIENTS
    }
    return [row for fault in FAULTS for row in _rows(fault, {c: found[fault, c] for c in CLIENTS}, count)]


def _rows(fault: str, outcomes: dict[str, list[Outcome]], count: int) -> list[Row]:
    runs = len(outcomes["edged"])
    how = (
        f"{count} events at {PER_SECOND}/s, QoS 1, fault after {FAULT_AFTER_S:g} s, {runs} run(s) each; lost / told "
        "twice / overtaken: " + "; ".join(f"{client} {_words(found)}" for client, found in outcomes.items())
    )
    kept_back = [each.kept_back for each in outcomes["edged"]]
    if any(kept_back):
        how += f"; of what edged lost the broker had acknowledged {','.join(map(str, kept_back))} before it died"
    name = f"events through {fault}"
    return [
        *(
            Row(
                name=f"{name}: lost or overtaken, worst run",
                value=_worst(outcomes["edged"]),
                unit="events",
                baseline=client,
                baseline_value=_worst(outcomes[client]),
                limit=None if any(kept_back) else 0,
                how=how,
            )
            for client in CLIENTS[1:]
        ),
        Row(
            name=f"{name}: lost though never acknowledged",
            value=max(each.lost - each.kept_back for each in outcomes["edged"]),
            unit="events",
            baseline="acknowledged and lost",
            baseline_value=max(kept_back),
            limit=0,
            how=how,
        ),
    ]


def _worst(found: Sequence[Outcome]) -> int:
    return max(each.lost + each.reordered for each in found)


def _words(found: Sequence[Outcome]) -> str:
    return " / ".join(
        ",".join(str(getattr(each, name)) for each in found) for name in ("lost", "duplicates", "reordered")
    )


def prepare_rivals() -> None:
    """aiomqtt and gmqtt in an environment of their own; edged needs neither. Raises `RuntimeError` without a way to
    get them."""
    if RIVAL_PYTHON.exists():
        return
    try:
        subprocess.run([sys.executable, "-m", "venv", str(RIVALS)], check=True)
        wanted = str(ROOT / "benchmarks/mqtt_rivals.txt")
        subprocess.run([RIVAL_PYTHON, "-m", "pip", "install", "--quiet", "-r", wanted], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"aiomqtt and gmqtt cannot be installed into {RIVALS}: {error}") from error


# --- the faults


async def _cut(proxy: FaultProxy, running: Broker, collector: Collector) -> None:
    proxy.cut()
    await asyncio.sleep(2.0)
    proxy.heal()


async def _swallow(proxy: FaultProxy, running: Broker, collector: Collector) -> None:
    proxy.swallow()
    await asyncio.sleep(8.0)
    proxy.heal()


async def _terminate(proxy: FaultProxy, running: Broker, collector: Collector) -> None:
    await _restart(proxy, running, collector, kill=False)


async def _kill(proxy: FaultProxy, running: Broker, collector: Collector) -> None:
    await _restart(proxy, running, collector, kill=True)


async def _restart(proxy: FaultProxy, running: Broker, collector: Collector, *, kill: bool) -> None:
    await asyncio.to_thread(running.end, kill=kill)
    proxy.cut()
    await asyncio.sleep(1.0)
    collector.subscribed.clear()
    await asyncio.to_thread(running.start)
    await asyncio.to_thread(collector.wait)
    proxy.heal()


FAULTS: dict[str, Fault] = {
    "a line cut for 2 s": _cut,
    "a broker that is restarted": _terminate,
    "a broker that is killed": _kill,
    "8 s of black hole": _swallow,
}


# --- one run


async def _run(client: str, fault: str, count: int) -> Outcome:
    with broker() as running, tempfile.TemporaryDirectory(dir=STATE_ROOT, prefix="edged-bench-") as folder:
        heard: list[int] = []
        topic = "edged/v1/bench/event/transaction"
        collector = Collector(running.port, topic, lambda m: heard.append(json.loads(m.payload)["data"]["n"]))
        try:
            async with FaultProxy(running.port) as proxy:
                command = _command(client, proxy.port, count, folder)
                await _tell(command, FAULTS[fault], proxy, running, collector, count)
            await asyncio.sleep(0.1)  # for the proxy's last lines to end
        finally:
            collector.close()
        noted = Path(folder) / "acknowledged"
        return judge(heard, count, acknowledged=int(noted.read_text()) if noted.exists() else 0)


def _command(client: str, port: int, count: int, folder: str) -> list[str]:
    numbers = [str(port), str(count), str(PER_SECOND)]
    if client == "edged":
        return [sys.executable, "-m", "benchmarks.mqtt_publisher", *numbers, folder]
    return [str(RIVAL_PYTHON), str(ROOT / "benchmarks/mqtt_rivals.py"), client, *numbers]


async def _tell(
    command: list[str], fault: Fault, proxy: FaultProxy, running: Broker, collector: Collector, count: int
) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    start = partial(subprocess.Popen, command, cwd=ROOT, text=True, env=environment(), **pipes)  # type: ignore[call-overload]
    process: subprocess.Popen[str] = await asyncio.to_thread(start)
    try:
        assert process.stdin is not None
        if await asyncio.to_thread(first_line, process) != "ready":
            raise RuntimeError(f"{command} says something else")
        process.stdin.write("go\n")
        process.stdin.flush()
        await asyncio.sleep(FAULT_AFTER_S)
        await fault(proxy, running, collector)
        await asyncio.to_thread(first_line, process)
        await _still(collector, count)
    finally:
        end(process)


async def _still(collector: Collector, count: int) -> None:
    """Until nothing has come for a while; a shorter one where there have been as many as there are."""
    seen, waited_s = -1, 0.0
    while waited_s < (QUIET_S if collector.count < count else QUIET_ALL_S):
        waited_s = waited_s + 0.5 if collector.count == seen else 0.0
        seen = collector.count
        await asyncio.sleep(0.5)


def judge(heard: Sequence[int], count: int, *, acknowledged: int = 0) -> Outcome:
    """`reordered`: heard for the first time behind one that is younger. `acknowledged`: how many of the first were."""
    latest, reordered, known = -1, 0, set[int]()
    for n in heard:
        if n not in known:
            reordered += n < latest
            latest = max(latest, n)
            known.add(n)
    return Outcome(
        lost=count - len(known),
        duplicates=len(heard) - len(known),
        reordered=reordered,
        kept_back=sum(n not in known for n in range(acknowledged)),
    )
