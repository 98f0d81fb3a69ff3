"""Availability: ChangeAvailability in; each connector's status, computed from facts, out. 2.0.1 G01, G03, G04.

2.0.1 has five words for a connector; how far a session is stands in TransactionEvent. The station has no status of its
own: what is told is told of connectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from edged.dialects.times import format_time
from edged.dialects.v201.words import with_info
from edged.domain.commands import ChangeAvailability
from edged.domain.effects import Reply
from edged.domain.events import Event
from edged.domain.station import Station
from edged.domain.status import availability_state
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload, StatusReport
from edged.ocpp.rpc import Request


def statuses(station: Station) -> Mapping[int, StatusReport]:
    """A report for each connector whose charger was heard since the start, or is silent for too long."""
    at = station.clock.utc if station.clock.synchronized else None
    return {
        number: StatusReport(availability_state(station, number), at=at)
        for number, connector in sorted(station.connectors.items())
        if connector.observed_at_s is not None or connector.blocked or station.running(number) is not None
    }


def encode_status(number: int, report: StatusReport, station: Station) -> Request:
    """StatusNotification. Its timestamp is required: where nobody knows the time it is the best that there is."""
    layout = station.connectors[number].layout
    at: datetime = report.at or station.clock.utc
    payload: Payload = {
        "timestamp": format_time(at),
        "connectorStatus": report.status,
        "evseId": layout.evse_id,
        "connectorId": layout.connector_id,
    }
    return Request("StatusNotification", payload)


def _change(payload: Payload, request: RequestRef) -> Event:
    place = payload.get("evse") or {}
    return ChangeAvailability(
        request,
        None,
        operative=payload["operationalStatus"] == "Operative",
        evse=place.get("id", 0),
        connector_id=place.get("connectorId"),
    )


def _answer(reply: Reply, _station: Station) -> Payload:
    return with_info({"status": reply.status.value}, reply)


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {"ChangeAvailability": _change}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {"ChangeAvailability": _answer}
