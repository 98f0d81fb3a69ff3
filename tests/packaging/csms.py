"""A CSMS in a process of its own, outside of the machine: the simulated one, told over its standard input what to do.

    python csms.py HOST PORT STATION PASSWORD

One JSON object a line each way: {"do": "call", "action": ..., "payload": {...}} gives {"result": ...},
{"do": "received", "action": ...} gives its payloads so far, {"do": "wait", "action": ..., "count": N} waits for
the Nth, {"do": "violations"} what the station did wrong, {"do": "connected"} who is connected, {"do": "cut"} and
{"do": "restore"} act like a network. An error is {"error": "..."}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from edged.simulator.csms import Csms, CsmsError
from edged.simulator.csms_answers import Token

WAIT_S = 60.0


async def _obey(csms: Csms, order: dict[str, Any]) -> Any:
    match order["do"]:
        case "call":
            return await csms.call(order["action"], order.get("payload", {}), timeout_s=WAIT_S)
        case "received":
            return csms.received(order["action"])
        case "wait":
            wanted = int(order.get("count", 1))
            async with asyncio.timeout(WAIT_S):
                while len(found := csms.received(order["action"])) < wanted:
                    await asyncio.sleep(0.05)
            return found[wanted - 1]
        case "violations":
            return csms.violations
        case "connected":
            return list(csms.connected)
        case "cut":
            csms.cut()
        case "restore":
            csms.restore()
    return None


async def main(host: str, port: str, station: str, password: str) -> None:
    tokens = {"04A2E5": Token(), "04FFFF": Token(status="Blocked")}
    credentials = {station: password} if password else None
    async with Csms(host=host, port=int(port), tokens=tokens, credentials=credentials) as csms:
        print(json.dumps({"url": csms.url}), flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            try:
                answer = {"result": await _obey(csms, json.loads(line))}
            except (CsmsError, LookupError, TypeError, ValueError, OSError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer, default=str), flush=True)


asyncio.run(main(*sys.argv[1:5]))
