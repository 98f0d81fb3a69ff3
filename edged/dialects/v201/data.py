"""DataTransfer both ways. 2.0.1 P01, P02. Data of any JSON type comes in as its text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.dialects.v201.words import with_info
from edged.domain.answers import TransferStatus
from edged.domain.commands import ReceiveData
from edged.domain.effects import DataQuestion, Reply
from edged.domain.events import DataAnswer, Event
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import ErrorCode, Request

MAX_DATA_CHARS: Final = 64 * 1024
_STATUSES: Final = {status.value.casefold(): status for status in TransferStatus}


def text_of(data: Any) -> str | None:
    """The data as text: a string as it is, anything else as JSON."""
    return data if data is None or isinstance(data, str) else json.dumps(data, separators=(",", ":"))


def _receive(payload: Payload, request: RequestRef) -> Event | CallRefused:
    data = text_of(payload.get("data"))
    if data is not None and len(data) > MAX_DATA_CHARS:
        return CallRefused(ErrorCode.PROPERTY, f"data: maxLength {MAX_DATA_CHARS}")
    return ReceiveData(request, payload["vendorId"], payload.get("messageId"), data)


def _answer(reply: Reply, _station: Station) -> Payload:
    payload: Payload = {"status": reply.status.value}
    if isinstance(reply.data, str):
        payload["data"] = reply.data[:MAX_DATA_CHARS]
    return with_info(payload, reply)


def encode_question(question: DataQuestion) -> Request:
    payload: Payload = {"vendorId": question.vendor_id}
    if question.message_id is not None:
        payload["messageId"] = question.message_id
    if question.data is not None:
        payload["data"] = question.data
    return Request("DataTransfer", payload)


def decode_answer(payload: Any) -> DataAnswer | None:
    """An answer that cannot be read is none."""
    word = payload.get("status") if isinstance(payload, dict) else None
    status = _STATUSES.get(word.casefold()) if isinstance(word, str) else None
    return None if status is None else DataAnswer(status, text_of(payload.get("data")))


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {"DataTransfer": _receive}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {"DataTransfer": _answer}
