"""The security extension's certificates and events: commands in, answers, questions and events out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.domain.answers import TransferStatus
from edged.domain.effects import DataQuestion, Question, Reply, SigningQuestion
from edged.domain.events import DataAnswer, Event, QuestionAnswered, SigningAnswer
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import Request

DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {}
ENCODERS: Final[Mapping[str, Callable[[Reply], Payload | CallRefused]]] = {}


_TRANSFER: Final = {status.value.casefold(): status for status in TransferStatus}


def encode_question(question: Question) -> Request:
    """SignCertificate or DataTransfer."""
    if isinstance(question, SigningQuestion):
        return Request("SignCertificate", {"csr": question.csr})
    payload: Payload = {"vendorId": question.vendor_id}
    if question.message_id is not None:
        payload["messageId"] = question.message_id
    if question.data is not None:
        payload["data"] = question.data
    return Request("DataTransfer", payload)


def decode_question_answer(ticket: str, question: Question, payload: Any) -> QuestionAnswered:
    """An answer that cannot be read is none."""
    word = payload.get("status") if isinstance(payload, dict) else None
    if not isinstance(word, str):
        return QuestionAnswered(ticket, None)
    if isinstance(question, DataQuestion):
        status = _TRANSFER.get(word.casefold())
        data = payload.get("data")
        answer = None if status is None else DataAnswer(status, data if isinstance(data, str) else None)
        return QuestionAnswered(ticket, answer)
    return QuestionAnswered(ticket, SigningAnswer(word.casefold() == "accepted"))
