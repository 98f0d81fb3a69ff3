"""What a CSMS asks of a station in each version, for the kill loop; and what it finds in its books afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from edged.simulator.csms import Csms
from edged.simulator.csms_record import Direction, Kind

Payload = Mapping[str, object]
CHANGED: Mapping[str, tuple[int, int] | None] = {
    "ConnectionTimeOut": (20, 900),
    "MeterValuesAlignedData": None,
    "ResetRetries": (0, 9),
}
"""The keys that are changed, with their bounds; None: a measurand."""
VARIABLES = {
    "ConnectionTimeOut": ("TxCtrlr", "EVConnectionTimeOut"),
    "MeterValuesAlignedData": ("AlignedDataCtrlr", "Measurands"),
    "ResetRetries": ("OCPPCommCtrlr", "ResetRetries"),
}


class Words(Protocol):
    """One version's. Each request is an action, its payload and how the answer is read: its status."""

    @property
    def version(self) -> str: ...
    def set(self, key: str, value: str) -> tuple[str, Payload]: ...
    def get(self) -> tuple[str, Payload]: ...
    def values(self, answer: Any) -> Iterator[tuple[str, str]]: ...
    def reserve(self, number: int, place: int) -> tuple[str, Payload]: ...
    def switch(self, place: int, kind: str) -> tuple[str, Payload]: ...
    def status(self, answer: Any) -> str: ...
    def books(self, csms: Csms) -> Books: ...


@dataclass(frozen=True)
class Books:
    """How many transactions began and ended, as the CSMS was told."""

    begun: int
    ended: int


def expiry() -> str:
    return (datetime.now(UTC) + timedelta(hours=5)).isoformat().replace("+00:00", "Z")


def heard(csms: Csms, *actions: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """The station's calls of these actions, each once: a message that comes again must be the same."""
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    for frame in csms.record:
        if frame.direction is not Direction.RECEIVED or frame.kind is not Kind.CALL or frame.action not in actions:
            continue
        assert isinstance(frame.payload, dict)
        told = {name: value for name, value in frame.payload.items() if name != "offline"}
        known = first.setdefault(frame.message_id, (frame.action, told))
        assert known == (frame.action, told), f"{frame.message_id} is two different messages"
    return first


class Words16:
    version = "1.6"

    def set(self, key: str, value: str) -> tuple[str, Payload]:
        return "ChangeConfiguration", {"key": key, "value": value}

    def get(self) -> tuple[str, Payload]:
        return "GetConfiguration", {"key": list(CHANGED)}

    def values(self, answer: Any) -> Iterator[tuple[str, str]]:
        for entry in answer["configurationKey"]:
            yield entry["key"], entry["value"]

    def reserve(self, number: int, place: int) -> tuple[str, Payload]:
        told = {"connectorId": place, "expiryDate": expiry(), "idTag": "BOB", "reservationId": number}
        return "ReserveNow", told

    def switch(self, place: int, kind: str) -> tuple[str, Payload]:
        return "ChangeAvailability", {"connectorId": place, "type": kind}

    def status(self, answer: Any) -> str:
        return str(answer["status"])

    def books(self, csms: Csms) -> Books:
        """Every transaction began once, then told its meter, then ended once; on a connector one after the other."""
        first = heard(csms, "StartTransaction", "StopTransaction", "MeterValues")
        started: dict[str, dict[str, object]] = csms.started  # type: ignore[attr-defined]
        transactions = {message_id: int(str(answer["transactionId"])) for message_id, answer in started.items()}
        running: dict[int, int] = {}
        stopped: set[int] = set()
        meter: dict[int, float] = {}
        for message_id, (action, payload) in first.items():
            number = payload.get("transactionId")
            if action == "StartTransaction":
                connector = payload["connectorId"]
                assert connector not in running.values(), f"connector {connector} has two transactions"
                assert payload["meterStart"] >= meter.get(connector, 0), "the register ran backwards"
                running[transactions[message_id]] = connector
                meter[connector] = payload["meterStart"]
            elif number is not None:
                assert number in running, f"{action} of transaction {number}, which does not run: {payload}"
                if action == "StopTransaction":
                    connector = running.pop(number)
                    stopped.add(number)
                    assert payload["meterStop"] >= meter[connector], "the register ran backwards"
                    meter[connector] = payload["meterStop"]
        assert running == {}, f"never ended: {running}"
        assert stopped == set(transactions.values())
        return Books(len(started), len(stopped))


class Words201:
    version = "2.0.1"

    def _named(self, key: str) -> dict[str, object]:
        component, variable = VARIABLES[key]
        return {"component": {"name": component}, "variable": {"name": variable}}

    def set(self, key: str, value: str) -> tuple[str, Payload]:
        return "SetVariables", {"setVariableData": [{**self._named(key), "attributeValue": value}]}

    def get(self) -> tuple[str, Payload]:
        return "GetVariables", {"getVariableData": [self._named(key) for key in CHANGED]}

    def values(self, answer: Any) -> Iterator[tuple[str, str]]:
        for key, entry in zip(CHANGED, answer["getVariableResult"], strict=True):
            assert entry["attributeStatus"] == "Accepted", entry
            yield key, entry["attributeValue"]

    def reserve(self, number: int, place: int) -> tuple[str, Payload]:
        token = {"idToken": "BOB", "type": "ISO14443"}
        return "ReserveNow", {"evseId": place, "expiryDateTime": expiry(), "idToken": token, "id": number}

    def switch(self, place: int, kind: str) -> tuple[str, Payload]:
        return "ChangeAvailability", {"evse": {"id": place, "connectorId": 1}, "operationalStatus": kind}

    def status(self, answer: Any) -> str:
        results = answer.get("setVariableResult")
        return str(answer["status"] if results is None else results[0]["attributeStatus"])

    def books(self, csms: Csms) -> Books:
        """Every transaction started once, counted on and ended once, one after the other at an EVSE; its register never
        ran backwards. A kill leaves numbers out, for some may have been told that the disk does not know."""
        seq_nos: dict[str, int] = {}
        places: dict[str, int] = {}
        running: dict[int, str] = {}
        meter: dict[str, float] = {}
        ended: set[str] = set()
        for _, payload in heard(csms, "TransactionEvent").values():
            ident = payload["transactionInfo"]["transactionId"]
            assert ident not in ended, f"behind the end of {ident}: {payload}"
            assert payload["seqNo"] > seq_nos.get(ident, -1), f"{ident} counts {payload['seqNo']}"
            assert (payload["eventType"] == "Started") is (ident not in seq_nos)
            seq_nos[ident] = payload["seqNo"]
            if payload["eventType"] == "Started":
                places[ident] = payload["evse"]["id"]
                assert places[ident] not in running, f"EVSE {places[ident]} has two transactions"
                running[places[ident]] = ident
            for sample in payload.get("meterValue", ()):
                for value in sample["sampledValue"]:
                    if value.get("measurand") == "Energy.Active.Import.Register":
                        assert value["value"] >= meter.get(ident, 0.0), f"{ident} ran backwards: {payload}"
                        meter[ident] = value["value"]
            if payload["eventType"] == "Ended":
                ended.add(ident)
                del running[places[ident]]
        assert running == {}, f"never ended: {running}"
        return Books(len(seq_nos), len(ended))


WORDS: Mapping[str, Words] = {"1.6": Words16(), "2.0.1": Words201()}
