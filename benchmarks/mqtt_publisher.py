"""Tells numbered events through edged's own mirror and spool: a child process, killed by whoever started it.

    python -m benchmarks.mqtt_publisher PORT COUNT PER_SECOND FOLDER

Says `ready` when it is online, starts at a line on its standard input, says `told` when the last one was handed over.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.mqtt_site import GATEWAY, NAMES, RealClock, Stations, options
from edged.happenings import SpoolKeeper
from edged.mqtt.event_log import EventLog
from edged.mqtt.mirror import MqttMirror
from edged.mqtt.options import IdTokenPolicy
from edged.store.opening import open_store
from edged.store.port import SpoolBounds

KEEPALIVE_S = 5
KIND = "transaction.updated"


async def tell(port: int, count: int, per_s: float, folder: Path) -> None:
    store = open_store(folder / "edged.db", wall=datetime.now(UTC)).store
    executor, clock = ThreadPoolExecutor(1), RealClock()
    log = EventLog("bench", policy=IdTokenPolicy.NONE, salt=NAMES.gateway)
    keeper = SpoolKeeper(store, log, executor, clock, SpoolBounds())
    mirror = MqttMirror(
        options(port, keepalive_s=KEEPALIVE_S), Stations(), clock, GATEWAY, run_id="bench", events=keeper.kept
    )
    keeper.serve(mirror.news)
    keeping = asyncio.get_running_loop().create_task(keeper.run())
    mirror.start()
    while not mirror.link.connected:  # noqa: ASYNC110 - it tells nobody when it changes
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    loop = asyncio.get_running_loop()
    noting = loop.create_task(_note(mirror, log, folder / "acknowledged"))
    began_s = loop.time()
    for n in range(count):
        keeper.tell(KIND, None, {"n": n})
        if (ahead_s := began_s + (n + 1) / per_s - loop.time()) > 0:
            await asyncio.sleep(ahead_s)
    print(f"told, {log.lost} lost", flush=True)
    await asyncio.gather(keeping, noting)


async def _note(mirror: MqttMirror, log: EventLog, path: Path) -> None:
    """How far the broker had acknowledged whenever it went away."""
    was_there = True
    while True:
        if was_there and not mirror.link.connected:
            path.write_text(str(log.delivered_seq))  # noqa: ASYNC240 - a few bytes
        was_there = mirror.link.connected
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(tell(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])))
