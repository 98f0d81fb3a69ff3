"""The local authorization list: SendLocalList and GetLocalListVersion. 2.0.1 D01, D02.

2.0.1 cannot express: that there is no list. An update of one that is switched off is Failed, and its version is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edged.dialects.times import parse_time
from edged.dialects.v201.words import read_info, read_token, with_info
from edged.domain.answers import ListStatus
from edged.domain.commands import GetLocalListVersion, ListChange, SendLocalList
from edged.domain.effects import Reply
from edged.domain.events import Event
from edged.domain.local_list import EMPTY
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import ErrorCode

_WORDS: Final = {ListStatus.NOT_SUPPORTED: ListStatus.FAILED}


def _update(payload: Payload, request: RequestRef) -> Event | CallRefused:
    """A list that is missing is one without entries; an entry without idTokenInfo is to be taken out. A date that
    cannot be read is refused: left out, it would make an entry that never expires."""
    changes: list[ListChange] = []
    for position, entry in enumerate(payload.get("localAuthorizationList", ())):
        told = entry.get("idTokenInfo")
        date = None if told is None else told.get("cacheExpiryDateTime")
        if date is not None and parse_time(date) is None:
            where = f"localAuthorizationList[{position}].idTokenInfo.cacheExpiryDateTime"
            return CallRefused(ErrorCode.TYPE, f"{where}: type dateTime")
        changes.append(ListChange(read_token(entry["idToken"]), read_info(told)))
    return SendLocalList(
        request=request,
        version=payload["versionNumber"],
        full=payload["updateType"] == "Full",
        changes=tuple(changes),
    )


def _version(_payload: Payload, request: RequestRef) -> Event:
    return GetLocalListVersion(request)


def _encode_update(reply: Reply, _station: Station) -> Payload:
    status = ListStatus(reply.status)
    return with_info({"status": _WORDS.get(status, status).value}, reply)


def _encode_version(reply: Reply, _station: Station) -> Payload:
    return {"versionNumber": EMPTY if reply.status is ListStatus.NOT_SUPPORTED else reply.data}


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "GetLocalListVersion": _version,
    "SendLocalList": _update,
}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {
    "GetLocalListVersion": _encode_version,
    "SendLocalList": _encode_update,
}
