"""LocalAuthListManagement: commands in, answers out. 1.6 §5.11/5.15.

1.6 cannot express: why an update failed, a token's kind. That there is no list it says with the version -1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edged.dialects.times import parse_time
from edged.domain.answers import ListStatus
from edged.domain.commands import GetLocalListVersion, ListChange, SendLocalList
from edged.domain.effects import Reply
from edged.domain.events import Event
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import ErrorCode

NO_LIST: Final = -1


def _update(payload: Payload, request: RequestRef) -> Event | CallRefused:
    """A list that is missing is one without entries; an entry without idTagInfo is to be taken out."""
    changes: list[ListChange] = []
    for position, entry in enumerate(payload.get("localAuthorizationList", ())):
        told = entry.get("idTagInfo")
        info = None if told is None else _info(told)
        if isinstance(info, CallRefused):
            return CallRefused(info.code, f"localAuthorizationList[{position}].{info.description}")
        changes.append(ListChange(IdToken(entry["idTag"]), info))
    return SendLocalList(
        request=request,
        version=payload["listVersion"],
        full=payload["updateType"] == "Full",
        changes=tuple(changes),
    )


def _info(told: Payload) -> IdTokenInfo | CallRefused:
    """A date that cannot be read is refused: left out, it would make an entry that never expires."""
    date = told.get("expiryDate")
    expires_at = None if date is None else parse_time(date)
    if date is not None and expires_at is None:
        return CallRefused(ErrorCode.TYPE, "idTagInfo.expiryDate: type dateTime")
    parent = told.get("parentIdTag")
    return IdTokenInfo(
        status=AuthorizationStatus(told["status"]),
        group=IdToken(parent) if parent else None,
        expires_at=expires_at,
    )


def _version(_payload: Payload, request: RequestRef) -> Event:
    return GetLocalListVersion(request)


def _encode_update(reply: Reply) -> Payload:
    return {"status": ListStatus(reply.status).value}


def _encode_version(reply: Reply) -> Payload:
    return {"listVersion": NO_LIST if reply.status is ListStatus.NOT_SUPPORTED else reply.data}


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "GetLocalListVersion": _version,
    "SendLocalList": _update,
}
ENCODERS: Final[Mapping[str, Callable[[Reply], Payload | CallRefused]]] = {
    "GetLocalListVersion": _encode_version,
    "SendLocalList": _encode_update,
}
