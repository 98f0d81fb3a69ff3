"""The accounts of what the CSMS was told of transactions in OCPP 2.0.1: TransactionEvents, each once and in order.

Pure reading of the CSMS's record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edged.cli.demo.claims_201 import registers_wh
from edged.cli.demo.places import STATION, Place
from edged.simulator.csms import Csms


def events_by_transaction(csms: Csms) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """All TransactionEvents in the order in which they came."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for payload in csms.received("TransactionEvent", station=STATION):
        event: Any = payload
        found.setdefault(event["transactionInfo"]["transactionId"], []).append(event)
    return found


def faults_in_order(csms: Csms) -> list[str]:
    """What is wrong: a gap or a step back in seqNo, a start or an end that is told twice or never, times that run
    backwards."""
    wrong: list[str] = []
    for number, (name, events) in enumerate(events_by_transaction(csms).items(), start=1):
        kinds = [event["eventType"] for event in events]
        if kinds[0] != "Started" or kinds.count("Started") != 1:
            wrong.append(f"transaction {number} of 2.0.1 ({name}) was started {kinds.count('Started')} times")
        if kinds[-1] != "Ended" or kinds.count("Ended") != 1:
            wrong.append(f"transaction {number} of 2.0.1 ({name}) was ended {kinds.count('Ended')} times")
        numbers = [event["seqNo"] for event in events]
        if numbers != list(range(len(numbers))):
            wrong.append(f"transaction {number} of 2.0.1 ({name}) has the seqNos {numbers}")
        moments = [event["timestamp"] for event in events]
        if moments != sorted(moments):
            wrong.append(f"transaction {number} of 2.0.1 ({name}) goes back in time")
    return wrong


def energy_wh(csms: Csms, place: Place) -> tuple[int, float]:
    """How many transactions a place had, and what they add up to, as the CSMS knows them."""
    count, total_wh = 0, 0.0
    for name, events in events_by_transaction(csms).items():
        if csms.transactions[name].evse == place.evse:
            registers = [register for event in events for register in registers_wh(event)]
            count += 1
            total_wh += max(registers, default=0.0) - min(registers, default=0.0)
    return count, total_wh
