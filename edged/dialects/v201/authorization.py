"""Tokens: Authorize and its answer, ClearCache. 2.0.1 C."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.dialects.v201.words import read_info, with_info, write_token
from edged.domain.commands import ClearCache
from edged.domain.effects import AskAuthorization, Reply
from edged.domain.events import Event, TokenAnswered
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import Request


def encode_authorization(question: AskAuthorization) -> Request:
    """Authorize."""
    return Request("Authorize", {"idToken": write_token(question.id_token)})


def decode_authorization(ticket: str, payload: Any) -> TokenAnswered:
    """An answer that cannot be read is no answer: the offline rules decide."""
    return TokenAnswered(ticket, read_info(payload.get("idTokenInfo")) if isinstance(payload, dict) else None)


def _clear_cache(_payload: Payload, request: RequestRef) -> Event:
    return ClearCache(request)


def _answer(reply: Reply, _station: Station) -> Payload:
    return with_info({"status": reply.status.value}, reply)


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {"ClearCache": _clear_cache}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {"ClearCache": _answer}
