"""RequestStartTransaction and RequestStopTransaction. 2.0.1 F01 to F04."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edged.dialects.v201.charging import read_profile
from edged.dialects.v201.words import read_token, with_info
from edged.domain.charging import ProfilePurpose
from edged.domain.commands import RequestStart, RequestStop
from edged.domain.effects import Reply
from edged.domain.events import Event
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload


def _start(payload: Payload, request: RequestRef) -> Event | CallRefused:
    """A profile must be a TxProfile that names no transaction: there is none yet (F01.FR.09, 11)."""
    told = payload.get("chargingProfile")
    profile = None if told is None else read_profile(told, "chargingProfile")
    if isinstance(profile, CallRefused):
        return profile
    fits = profile is None or (profile.purpose is ProfilePurpose.TX and "transactionId" not in (told or {}))
    group = payload.get("groupIdToken")
    return RequestStart(
        request=request,
        id_token=read_token(payload["idToken"]),
        evse=payload.get("evseId"),
        group=None if group is None else read_token(group),
        group_told=True,
        remote_start_id=payload["remoteStartId"],
        profile=profile,
        acceptable=fits,
    )


def _stop(payload: Payload, request: RequestRef) -> Event:
    return RequestStop(request=request, transaction_id=payload["transactionId"])


def _encode_start(reply: Reply, _station: Station) -> Payload:
    """With the id of the transaction where one runs already (F01.FR.13)."""
    named = {} if reply.data is None else {"transactionId": str(reply.data)}
    return with_info({"status": reply.status.value, **named}, reply)


def _encode_stop(reply: Reply, _station: Station) -> Payload:
    return with_info({"status": reply.status.value}, reply)


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "RequestStartTransaction": _start,
    "RequestStopTransaction": _stop,
}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {
    "RequestStartTransaction": _encode_start,
    "RequestStopTransaction": _encode_stop,
}
