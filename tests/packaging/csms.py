"""A CSMS in a process of its own, outside of the machine: the simulated one, told over its standard input what to do.

    python csms.py HOST PORT STATION PASSWORD [SECURE-PORT CERTIFICATE KEY [AUTHORITY]]

With a second door for TLS; where AUTHORITY is given, for stations with a certificate of it alone.

One JSON object a line each way: {"do": "call", "action": ..., "payload": {...}} gives {"result": ...},
{"do": "received", "action": ...} gives its payloads so far, {"do": "wait", "action": ..., "count": N} waits for
the Nth, {"do": "violations"} what the station did wrong, {"do": "connected"} who is connected, {"do": "cut"} and
{"do": "restore"} act like a network. An error is {"error": "..."}.
"""

from __future__ import annotations

import asyncio
import json
import ssl
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


def _secure(certificate: str, key: str, authority: str | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if authority is not None:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def main(host: str, port: str, station: str, password: str, secure_port: str = "0", *tls: str) -> None:
    tokens = {"04A2E5": Token(), "04FFFF": Token(status="Blocked")}
    credentials = {station: password} if password else None
    csms = Csms(
        host=host,
        port=int(port),
        tokens=tokens,
        credentials=credentials,
        second_tls=_secure(*tls) if tls else None,
        second_port=int(secure_port),
    )
    async with csms:
        print(json.dumps({"url": csms.url}), flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            try:
                answer = {"result": await _obey(csms, json.loads(line))}
            except (CsmsError, LookupError, TypeError, ValueError, OSError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer, default=str), flush=True)


asyncio.run(main(*sys.argv[1:]))
