"""The core's answers to commands as OCPP 1.6 CALLRESULT payloads.

1.6 cannot express: why something was refused (no statusInfo), that an unlock failed because the connector is unknown
(NotSupported says it, E3.87), which id a reservation got.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edged.dialects.v16 import charging, files, lists, security
from edged.dialects.v16.keys import encode_configuration
from edged.dialects.v16.schemas import MAX_DATA_CHARS
from edged.domain.answers import (
    AvailabilityStatus,
    ConfigurationReport,
    ListStatus,
    ReserveStatus,
    ResetStatus,
    TransferStatus,
    TriggerStatus,
    UnlockStatus,
    Verdict,
)
from edged.domain.configuration import ConfigurationStatus
from edged.domain.effects import Reply
from edged.ocpp.dialect import CallRefused, Payload


def _same(*words: str) -> dict[str, str]:
    return {word: word for word in words}


_VERDICT: Final = _same(*Verdict)
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "CancelReservation": _VERDICT,
    "ChangeAvailability": _same(*AvailabilityStatus),
    "ChangeConfiguration": _same(*ConfigurationStatus),
    "ClearCache": _VERDICT,
    "DataTransfer": _same(*TransferStatus),
    "RemoteStartTransaction": _VERDICT,
    "RemoteStopTransaction": _VERDICT,
    "ReserveNow": _same(*ReserveStatus),
    "Reset": {**_VERDICT, ResetStatus.SCHEDULED: ResetStatus.ACCEPTED.value},
    "TriggerMessage": _same(*TriggerStatus),
    "UnlockConnector": {
        **_same(UnlockStatus.UNLOCKED, UnlockStatus.FAILED, UnlockStatus.NOT_SUPPORTED),
        UnlockStatus.UNKNOWN_CONNECTOR: UnlockStatus.NOT_SUPPORTED.value,
        UnlockStatus.ONGOING_TRANSACTION: UnlockStatus.FAILED.value,
    },
}
"""For each action, the core's word and 1.6's."""


_ENCODERS: Final[Mapping[str, Callable[[Reply], Payload | CallRefused]]] = {
    **lists.ENCODERS,
    **charging.ENCODERS,
    **files.ENCODERS,
    **security.ENCODERS,
}


_FAILURES: Final[Mapping[str, str]] = {"SendLocalList": ListStatus.FAILED.value}
"""Actions that have a word for it that nothing was done: a CSMS sends the whole list again (1.6 §5.15)."""


def encode_failure(action: str) -> Payload | None:
    """The answer to what could not be kept; None where InternalError must do."""
    return {"status": _FAILURES[action]} if action in _FAILURES else None


def encode_reply(reply: Reply) -> Payload | CallRefused:
    """The payload for an answer, or the CALLERROR that 1.6 has for it. A status that is no answer to the action is our
    own bug: KeyError."""
    action = reply.request.action
    encode = _ENCODERS.get(action)
    if encode is not None:
        return encode(reply)
    if action == "GetConfiguration":
        assert isinstance(reply.data, ConfigurationReport)
        return encode_configuration(reply.data)
    payload: Payload = {"status": str(_WORDS[action][reply.status])}
    if action == "DataTransfer" and isinstance(reply.data, str):
        payload["data"] = reply.data[:MAX_DATA_CHARS]
    return payload
