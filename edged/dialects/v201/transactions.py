"""Transactions: TransactionEvent out, its answer and GetTransactionStatus in. 2.0.1 E01 to E14.

Nothing is said twice: the EVSE with the start, its connector once a cable is in it, the token with the event that made
it the driver's or the stopper's. A message that waited while the line was away says so, whenever it was written
(E11.FR.07). 2.0.1 has no stoppedReason for an unlock command.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.dialects.times import format_time
from edged.dialects.v201.meter_values import meter_value
from edged.dialects.v201.words import read_info, read_message, write_evse, write_token
from edged.domain.answers import TransactionState
from edged.domain.commands import GetTransactionStatus
from edged.domain.effects import RecordKind, Reply, Sample, SampleContext, SampledValue, StopReason, TransactionRecord
from edged.domain.events import Event, RecordDelivered
from edged.domain.hardware import Measurand
from edged.domain.policy import Trigger
from edged.domain.station import Station
from edged.domain.types import Phase, RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import Request

_TYPES: Final = {RecordKind.STARTED: "Started", RecordKind.UPDATED: "Updated", RecordKind.ENDED: "Ended"}
_CONNECTED: Final = "EVConnected"
_STATES: Final[Mapping[Phase, str]] = {
    Phase.IDLE: _CONNECTED,
    Phase.PREPARING: _CONNECTED,
    Phase.FINISHING: _CONNECTED,
    Phase.CHARGING: "Charging",
    Phase.SUSPENDED_EV: "SuspendedEV",
    Phase.SUSPENDED_EVSE: "SuspendedEVSE",
}
"""chargingState while a vehicle is connected; without one it is Idle."""
_IDLE: Final = "Idle"
_REASONS: Final = {
    StopReason.HARD_RESET: "ImmediateReset",
    StopReason.SOFT_RESET: "ImmediateReset",
    StopReason.UNLOCK_COMMAND: "Other",
}
"""What 2.0.1 calls otherwise; every other word is the same."""
_MAX_COST: Final = 1e12


def encode_event(record: TransactionRecord, station: Station) -> Request:
    """TransactionEvent."""
    info: Payload = {"transactionId": record.transaction_id, "chargingState": _state(record)}
    if record.reason is not None:
        info["stoppedReason"] = _REASONS.get(record.reason, record.reason.value)
    payload: Payload = {
        "eventType": _TYPES[record.kind],
        "timestamp": format_time(station.true_time(record.at)),
        "triggerReason": record.trigger.value,
        "seqNo": record.seq_no,
        "transactionInfo": info,
    }
    if record.offline or station.late(record.at):
        payload["offline"] = True
    evse = _evse(record, station)
    if evse is not None:
        payload["evse"] = evse
    if record.id_token is not None:
        payload["idToken"] = write_token(record.id_token)
    if record.kind is not RecordKind.ENDED:
        if record.remote_start_id is not None:
            info["remoteStartId"] = record.remote_start_id
        if record.reservation_id is not None:
            payload["reservationId"] = record.reservation_id
    values = meter_value(record.samples or _register(record, station), station)
    if values:
        payload["meterValue"] = values
    return Request("TransactionEvent", payload)


def _state(record: TransactionRecord) -> str:
    return _STATES[record.phase] if record.plugged else _IDLE


def _evse(record: TransactionRecord, station: Station) -> Payload | None:
    """The place, where it is news (E01.FR.16)."""
    connector = station.connectors.get(record.connector)
    if connector is None:
        return None
    layout = connector.layout
    if record.trigger is Trigger.CABLE_PLUGGED_IN or (record.kind is RecordKind.STARTED and record.plugged):
        return write_evse(layout.evse_id, layout.connector_id)
    return write_evse(layout.evse_id) if record.kind is RecordKind.STARTED else None


def _register(record: TransactionRecord, station: Station) -> tuple[Sample, ...]:
    """The register of a start or an end that has no values with it: without one nobody could charge for the energy."""
    connector = station.connectors.get(record.connector)
    known = connector is not None and Measurand.ENERGY in connector.layout.measurands
    if record.meter_wh is None or not known:
        return ()
    context = SampleContext.BEGIN if record.kind is RecordKind.STARTED else SampleContext.END
    return (Sample(record.at, context, (SampledValue(Measurand.ENERGY, record.meter_wh),)),)


def decode_answer(seq: int, record: TransactionRecord, payload: Any) -> RecordDelivered | None:
    """What cannot be read of an answer was not said; None, and so one more try, only for what is no object."""
    if not isinstance(payload, dict):
        return None
    return RecordDelivered(
        seq,
        record,
        info=read_info(payload.get("idTokenInfo")),
        cost=_cost(payload.get("totalCost")),
        message=read_message(payload.get("updatedPersonalMessage")),
    )


def _cost(told: Any) -> float | None:
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    return float(told) if math.isfinite(told) and 0 <= told <= _MAX_COST else None


def _status(payload: Payload, request: RequestRef) -> Event:
    return GetTransactionStatus(request, payload.get("transactionId"))


def _encode_status(reply: Reply, _station: Station) -> Payload:
    """Of no transaction in particular nobody says whether it goes on (E14.FR.06)."""
    state = reply.data
    assert isinstance(state, TransactionState)
    ongoing = {} if state.ongoing is None else {"ongoingIndicator": state.ongoing}
    return {**ongoing, "messagesInQueue": state.queued}


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {"GetTransactionStatus": _status}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {
    "GetTransactionStatus": _encode_status
}
