"""A child process with simulated chargers, each behind a Modbus TCP server of its own on loopback.

python -m benchmarks.chargers COUNT      prints their addresses as JSON, ends with its input
"""

from __future__ import annotations

import asyncio
import json
import sys

from edged.simulator.site import SimulatedCharger, SimulatedSite

MAKE = "phoenix-charx-sec"


async def simulate(count: int) -> None:
    names = [f"charger-{number}" for number in range(1, count + 1)]
    chargers = [SimulatedCharger(name=name, make=MAKE, listen="tcp:127.0.0.1:0") for name in names]
    async with SimulatedSite(chargers, seed=1) as site:
        print(json.dumps([site.endpoint(name) for name in names]), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(simulate(int(sys.argv[1])))
