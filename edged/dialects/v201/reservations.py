"""Reservations: ReserveNow and CancelReservation in, ReservationStatusUpdate out. 2.0.1 H01 to H04."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edged.dialects.times import parse_time
from edged.dialects.v201.words import read_token, with_info
from edged.domain.commands import CancelReservation, ReserveNow, Target
from edged.domain.effects import Reply, ReservationRecord
from edged.domain.events import Event
from edged.domain.reservation import CSMS
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Inexpressible, Payload
from edged.ocpp.rpc import ErrorCode, Request


def _reserve(payload: Payload, request: RequestRef) -> Event | CallRefused:
    expires_at = parse_time(payload["expiryDateTime"])
    if expires_at is None:
        return CallRefused(ErrorCode.TYPE, "expiryDateTime: type dateTime")
    group = payload.get("groupIdToken")
    return ReserveNow(
        request=request,
        reservation_id=payload["id"],
        target=Target(evse=payload.get("evseId"), connector_type=payload.get("connectorType")),
        id_token=read_token(payload["idToken"]),
        group=None if group is None else read_token(group),
        expires_at=expires_at,
    )


def _cancel(payload: Payload, request: RequestRef) -> Event:
    return CancelReservation(request, payload["reservationId"])


def _answer(reply: Reply, _station: Station) -> Payload:
    return with_info({"status": reply.status.value}, reply)


def encode_end(record: ReservationRecord, station: Station) -> Request | Inexpressible:
    """ReservationStatusUpdate (H04.FR.01, H01.FR.16). Not where the CSMS has given the id to another one by now: it
    would take the new one for ended."""
    namesake = station.reservations.get(record.reservation_id)
    if namesake is not None and namesake.source == CSMS:
        return Inexpressible()
    payload = {"reservationId": record.reservation_id, "reservationUpdateStatus": record.outcome.value}
    return Request("ReservationStatusUpdate", payload)


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "CancelReservation": _cancel,
    "ReserveNow": _reserve,
}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {
    "CancelReservation": _answer,
    "ReserveNow": _answer,
}
