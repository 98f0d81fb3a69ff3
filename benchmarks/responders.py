"""Baseline stations as child processes: they connect to a CSMS, answer its CALLs and know nothing.

    python -m benchmarks.responders KIND URL < the answer to GetConfiguration, one line of JSON

bare: `websockets` alone; parses each frame, splices the id into text that was prepared.
ocpp: the `ocpp` library's ChargePoint (v16), its handlers answering from memory, its schema checks on.
connect: opens the line, says one CALL, waits for the end.
"""

from __future__ import annotations

import asyncio
import json
import sys

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

ACCEPTED = '{"status":"Accepted"}'


async def bare(line: ClientConnection, configuration: str) -> None:
    while True:
        _, message_id, action, _ = json.loads(await line.recv())
        payload = configuration if action == "GetConfiguration" else ACCEPTED
        await line.send(f'[3,"{message_id}",{payload}]')


async def with_library(line: ClientConnection, configuration: str) -> None:
    # imported here, so that the bare responder stays bare
    from ocpp.routing import on  # type: ignore[import-untyped]
    from ocpp.v16 import ChargePoint, call_result  # type: ignore[import-untyped]
    from ocpp.v16.enums import CancelReservationStatus, ReservationStatus  # type: ignore[import-untyped]

    keys = [
        {name: each[name] for name in ("key", "readonly", "value") if name in each}  # a secret has none
        for each in json.loads(configuration)["configurationKey"]
    ]

    class Station(ChargePoint):  # type: ignore[misc]
        reservations: dict[int, dict[str, object]] = {}

        @on("GetConfiguration")  # type: ignore[untyped-decorator]
        def get_configuration(self, **asked: object) -> call_result.GetConfiguration:
            return call_result.GetConfiguration(configuration_key=keys)

        @on("ReserveNow")  # type: ignore[untyped-decorator]
        def reserve_now(self, reservation_id: int, **asked: object) -> call_result.ReserveNow:
            self.reservations[reservation_id] = asked
            return call_result.ReserveNow(status=ReservationStatus.accepted)

        @on("CancelReservation")  # type: ignore[untyped-decorator]
        def cancel_reservation(self, reservation_id: int) -> call_result.CancelReservation:
            self.reservations.pop(reservation_id)
            return call_result.CancelReservation(status=CancelReservationStatus.accepted)

    await Station("BENCH", line).start()


async def only_connect(line: ClientConnection, configuration: str) -> None:
    await line.send('[2,"1","BootNotification",{}]')
    while True:
        await line.recv()


KINDS = {"bare": bare, "ocpp": with_library, "connect": only_connect}


async def main(kind: str, url: str, configuration: str) -> None:
    line = await connect(f"{url}/BENCH", subprotocols=[Subprotocol("ocpp1.6")], compression=None, ping_interval=None)
    try:
        await KINDS[kind](line, configuration)
    except ConnectionClosed:
        return


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], "" if sys.argv[1] == "connect" else sys.stdin.readline()))
