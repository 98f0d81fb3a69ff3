"""All that a CSMS was told of transactions, whichever lives of the daemon told it: judged as a CSMS bills it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.packaging.notes import Heard

ENERGY = "Energy.Active.Import.Register"


def complete_16(messages: Iterable[Heard], numbers: Mapping[str, int]) -> int:
    """Each transaction begins once, ends once, and nothing is said of it after that; its register never runs backwards.
    `numbers`: the CSMS's, by the starts' message ids. Returns how many there were."""
    meters: dict[int, float] = {}
    ended: set[int] = set()
    for message in _first(messages):
        if message.action == "StartTransaction":
            meters[numbers[message.message_id]] = message.payload["meterStart"]
            continue
        number = message.payload.get("transactionId")
        if number is None:
            continue
        assert number in meters, f"{message.action} of transaction {number}, which never began"
        assert number not in ended, f"{message.action} behind the end of transaction {number}"
        if message.action == "StopTransaction":
            assert message.payload["meterStop"] >= meters[number], f"the register of {number} ran backwards"
            ended.add(number)
    assert ended == meters.keys(), f"never ended: {meters.keys() - ended}"
    return len(meters)


def complete_201(messages: Iterable[Heard]) -> int:
    """The same; and the numbers of a transaction's events only grow."""
    numbers: dict[str, int] = {}
    meters: dict[str, float] = {}
    ended: set[str] = set()
    for message in _first(messages):
        if message.action != "TransactionEvent":
            continue
        name, kind = message.payload["transactionInfo"]["transactionId"], message.payload["eventType"]
        assert name not in ended, f"{kind} behind the end of {name}"
        assert (kind == "Started") is (name not in numbers), f"{kind} of {name}, told {numbers.get(name)}"
        assert message.payload["seqNo"] > numbers.get(name, -1), f"{name} counts {message.payload['seqNo']} again"
        numbers[name] = message.payload["seqNo"]
        for energy_wh in _energy(message.payload):
            assert energy_wh >= meters.get(name, 0.0), f"{name} ran backwards: {message.payload}"
            meters[name] = energy_wh
        if kind == "Ended":
            ended.add(name)
    assert ended == numbers.keys(), f"never ended: {numbers.keys() - ended}"
    return len(numbers)


def _first(messages: Iterable[Heard]) -> Iterable[Heard]:
    """Each message once; one that came again must be the same, but for whether the line stood meanwhile."""
    seen: dict[str, Mapping[str, Any]] = {}
    for message in messages:
        if message.lane != "transaction":
            continue
        plain = {name: value for name, value in message.payload.items() if name != "offline"}
        if message.message_id not in seen:
            seen[message.message_id] = plain
            yield message
        assert seen[message.message_id] == plain, f"{message.message_id} is two different messages"


def _energy(payload: Mapping[str, Any]) -> Iterable[float]:
    for sample in payload.get("meterValue", ()):
        for value in sample["sampledValue"]:
            again = value.get("context") == "Transaction.Begin" and payload["eventType"] != "Started"
            if value.get("measurand", ENERGY) == ENERGY and not again:
                yield float(value["value"])
