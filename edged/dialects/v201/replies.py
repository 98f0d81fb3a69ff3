"""The core's answers to commands as OCPP 2.0.1 CALLRESULT payloads. Each functional block brings its own encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

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
from edged.domain.answers import ListStatus, NetworkProfileStatus
from edged.domain.effects import Reply
from edged.domain.station import Station
from edged.ocpp.dialect import CallRefused, Payload

_ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {
    **authorization.ENCODERS,
    **availability.ENCODERS,
    **charging.ENCODERS,
    **data.ENCODERS,
    **display.ENCODERS,
    **security.ENCODERS,
    **transactions.ENCODERS,
    **files.ENCODERS,
    **customer.ENCODERS,
    **monitoring.ENCODERS,
    **network.ENCODERS,
    **provisioning.ENCODERS,
    **lists.ENCODERS,
    **remote.ENCODERS,
    **remote_start.ENCODERS,
    **reservations.ENCODERS,
    **variables.ENCODERS,
}
_FAILURES: Final[Mapping[str, Payload]] = {
    "SendLocalList": {"status": ListStatus.FAILED.value},
    "SetNetworkProfile": {"status": NetworkProfileStatus.FAILED.value},  # B09.FR.03
}
"""Actions that have a word for it that nothing was done."""


def encode_reply(reply: Reply, station: Station) -> Payload | CallRefused:
    """The payload for an answer, or the CALLERROR that 2.0.1 has for it."""
    return _ENCODERS[reply.request.action](reply, station)


def encode_failure(action: str) -> Payload | None:
    """The answer to what could not be kept; None where InternalError must do."""
    return _FAILURES.get(action)
