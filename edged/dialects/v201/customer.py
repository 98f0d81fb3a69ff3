"""CustomerInformation in, NotifyCustomerInformation out. 2.0.1 N09, N10."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edged.dialects.times import format_time
from edged.dialects.v201.security import read_hash
from edged.dialects.v201.words import read_token, with_info
from edged.domain.commands import TellCustomer
from edged.domain.effects import Reply, ReportPage
from edged.domain.events import Event
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import Request

MAX_DATA_CHARS: Final = 512


def _tell(payload: Payload, request: RequestRef) -> Event:
    token, certificate = payload.get("idToken"), payload.get("customerCertificate")
    return TellCustomer(
        request=request,
        request_id=payload["requestId"],
        report=payload["report"],
        clear=payload["clear"],
        id_token=None if token is None else read_token(token),
        certificate=None if certificate is None else read_hash(certificate),
        identifier=payload.get("customerIdentifier"),
    )


def _answer(reply: Reply, _station: Station) -> Payload:
    return with_info({"status": reply.status.value}, reply)


def encode_page(page: ReportPage, station: Station) -> Request:
    """One part of the text."""
    payload: Payload = {
        "data": "".join(page.items)[:MAX_DATA_CHARS],
        "seqNo": page.seq_no,
        "generatedAt": format_time(station.true_time(page.generated_at)),
        "requestId": page.request_id,
        "tbc": page.more,
    }
    return Request("NotifyCustomerInformation", payload)


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {"CustomerInformation": _tell}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {"CustomerInformation": _answer}
