"""Baseline stations as child processes: they connect to a CSMS, answer its CALLs and know nothing.

    python -m benchmarks.responders KIND URL < the answer to GetConfiguration, one line of JSON

bare: `websockets` alone; parses each frame, splices the id into text that was prepared.
bare201, ocpp201: the same in 2.0.1 (v201), which say a TransactionEvent, given in place of the answer, when triggered.
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


async def bare_transactions(line: ClientConnection, event: str) -> None:
    """Answers TriggerMessage and says a TransactionEvent that was prepared."""
    while True:
        message = json.loads(await line.recv())
        if message[0] == 2:
            await line.send(f'[3,"{message[1]}",{ACCEPTED}]')
            await line.send(f'[2,"{message[1]}","TransactionEvent",{event.strip()}]')


async def transactions_with_library(line: ClientConnection, event: str) -> None:
    # imported here, so that the bare responder stays bare
    from ocpp.routing import after, on  # type: ignore[import-untyped]
    from ocpp.v201 import ChargePoint, call, call_result  # type: ignore[import-untyped]

    told = json.loads(event)
    fields = {
        "event_type": told["eventType"],
        "timestamp": told["timestamp"],
        "trigger_reason": told["triggerReason"],
        "seq_no": told["seqNo"],
        "transaction_info": told["transactionInfo"],
        "meter_value": told.get("meterValue"),
    }

    class Station(ChargePoint):  # type: ignore[misc]
        @on("TriggerMessage")  # type: ignore[untyped-decorator]
        def trigger_message(self, **asked: object) -> call_result.TriggerMessage:
            return call_result.TriggerMessage(status="Accepted")

        @after("TriggerMessage")  # type: ignore[untyped-decorator]
        async def tell(self, **asked: object) -> None:
            await self.call(call.TransactionEvent(**fields))

    await Station("BENCH", line).start()


async def with_library(line: ClientConnection, configuration: str) -> None:
    # imported here, so that the bare responder stays bare
    from ocpp.routing import on
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


KINDS = {
    "bare": bare,
    "ocpp": with_library,
    "connect": only_connect,
    "bare201": bare_transactions,
    "ocpp201": transactions_with_library,
}


async def main(kind: str, url: str, configuration: str) -> None:
    version = Subprotocol("ocpp2.0.1" if kind.endswith("201") else "ocpp1.6")
    line = await connect(f"{url}/BENCH", subprotocols=[version], compression=None, ping_interval=None)
    try:
        await KINDS[kind](line, configuration)
    except ConnectionClosed:
        return


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], "" if sys.argv[1] == "connect" else sys.stdin.readline()))
