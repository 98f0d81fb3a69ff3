"""What the CSMS asks in OCPP 2.0.1, put into the core's words. Each functional block brings its own decoders.

Refuses to know: whether an EVSE exists, whether a request can be served; that is the core's. Every payload is hostile
and gives an event or a refusal, never an exception. An action that 2.0.1 does not have is NotImplemented, one that no
station serves, or that this one does not, NotSupported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.dialects.v201 import (
    authorization,
    availability,
    charging,
    customer,
    data,
    display,
    files,
    lists,
    monitoring,
    network,
    provisioning,
    remote,
    remote_start,
    reservations,
    security,
    transactions,
    variables,
)
from edged.dialects.v201.schemas import KNOWN_ACTIONS, call_violation
from edged.domain.events import Event
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import ErrorCode

_DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    **authorization.DECODERS,
    **availability.DECODERS,
    **charging.DECODERS,
    **data.DECODERS,
    **display.DECODERS,
    **security.DECODERS,
    **transactions.DECODERS,
    **files.DECODERS,
    **customer.DECODERS,
    **monitoring.DECODERS,
    **network.DECODERS,
    **provisioning.DECODERS,
    **lists.DECODERS,
    **remote.DECODERS,
    **remote_start.DECODERS,
    **reservations.DECODERS,
    **variables.DECODERS,
}
SUPPORTED_ACTIONS: Final = frozenset(_DECODERS)


def decode_call(action: str, payload: Any, request: RequestRef) -> Event | CallRefused:
    """Check a CALL and translate it. A time that cannot be read is a value of the wrong type."""
    decode = _DECODERS.get(action)
    if decode is None:
        if action in KNOWN_ACTIONS:
            return CallRefused(ErrorCode.NOT_SUPPORTED, "this station does not serve this action")
        return CallRefused(ErrorCode.NOT_IMPLEMENTED, "OCPP 2.0.1 has no such action")
    refused = call_violation(action, payload)
    return refused if refused is not None else decode(payload, request)
