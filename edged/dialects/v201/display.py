"""Display messages and costs: SetDisplayMessage, GetDisplayMessages, ClearDisplayMessage and CostUpdated in,
NotifyDisplayMessages out. 2.0.1 O01 to O06, I02."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.dialects.times import format_time, parse_time
from edged.dialects.v201.words import with_info
from edged.domain.commands import ClearDisplayMessage, GetDisplayMessages, SetDisplayMessage, TellCost
from edged.domain.displays import DisplayMessage, MessagePriority, MessageState
from edged.domain.effects import Reply, ReportPage
from edged.domain.events import Event
from edged.domain.station import Station
from edged.domain.types import PersonalMessage, RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import ErrorCode, Request


def _set(payload: Payload, request: RequestRef) -> Event | CallRefused:
    """A time that cannot be read is refused: left out, the message would never end."""
    told = payload["message"]
    times: dict[str, Any] = {}
    for name in ("startDateTime", "endDateTime"):
        times[name] = parse_time(told[name]) if name in told else None
        if name in told and times[name] is None:
            return CallRefused(ErrorCode.TYPE, f"message.{name}: type dateTime")
    state, content = told.get("state"), told["message"]
    message = DisplayMessage(
        id=told["id"],
        priority=MessagePriority(told["priority"]),
        content=PersonalMessage(content["content"], content["format"], content.get("language")),
        state=None if state is None else MessageState(state),
        starts_at=times["startDateTime"],
        ends_at=times["endDateTime"],
        transaction_id=told.get("transactionId"),
    )
    return SetDisplayMessage(request, message)


def _get(payload: Payload, request: RequestRef) -> Event:
    priority, state = payload.get("priority"), payload.get("state")
    return GetDisplayMessages(
        request=request,
        request_id=payload["requestId"],
        ids=frozenset(payload.get("id", ())),
        priority=None if priority is None else MessagePriority(priority),
        state=None if state is None else MessageState(state),
    )


def _clear(payload: Payload, request: RequestRef) -> Event:
    return ClearDisplayMessage(request, payload["id"])


def _cost(payload: Payload, request: RequestRef) -> Event:
    return TellCost(request, payload["transactionId"], float(payload["totalCost"]))


def _answer(reply: Reply, _station: Station) -> Payload:
    return with_info({"status": reply.status.value}, reply)


def _nothing(_reply: Reply, _station: Station) -> Payload:
    return {}


def encode_page(page: ReportPage, _station: Station) -> Request:
    """NotifyDisplayMessages."""
    payload: Payload = {"requestId": page.request_id, "tbc": page.more}
    if page.items:
        payload["messageInfo"] = [_info(message) for message in page.items]
    return Request("NotifyDisplayMessages", payload)


def _info(message: DisplayMessage) -> Payload:
    content: Payload = {"format": message.content.format, "content": message.content.text}
    if message.content.language is not None:
        content["language"] = message.content.language
    told: Payload = {"id": message.id, "priority": message.priority.value, "message": content}
    if message.state is not None:
        told["state"] = message.state.value
    if message.starts_at is not None:
        told["startDateTime"] = format_time(message.starts_at)
    if message.ends_at is not None:
        told["endDateTime"] = format_time(message.ends_at)
    if message.transaction_id is not None:
        told["transactionId"] = message.transaction_id
    return told


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "ClearDisplayMessage": _clear,
    "CostUpdated": _cost,
    "GetDisplayMessages": _get,
    "SetDisplayMessage": _set,
}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {
    "ClearDisplayMessage": _answer,
    "CostUpdated": _nothing,
    "GetDisplayMessages": _answer,
    "SetDisplayMessage": _answer,
}
