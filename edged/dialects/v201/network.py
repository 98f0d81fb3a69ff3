"""SetNetworkProfile: where else to find a CSMS. 2.0.1 B09.

Refuses to know: which slots there are and what a station must have to use one. Lost on purpose: `ocppVersion`, for the
version is agreed on with whoever answers (Part 4), and `ocppInterface`, for the computer chooses its wires.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.dialects.v201.words import with_info
from edged.domain.commands import SetNetworkProfile
from edged.domain.credentials import NetworkProfile
from edged.domain.effects import Reply
from edged.domain.events import Event
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload

_WITHOUT_JSON: Final = frozenset({"OCPP12", "OCPP15"})


def _set(payload: Payload, request: RequestRef) -> Event:
    slot, told = payload["configurationSlot"], payload["connectionData"]
    lacking = _lacking(told)
    if lacking:
        return SetNetworkProfile(request=request, slot=slot, profile=None, lacking=lacking)
    profile = NetworkProfile(
        slot=slot,
        url=told["ocppCsmsUrl"],
        security_profile=told["securityProfile"],
        message_timeout_s=told["messageTimeout"],
        interface=told["ocppInterface"],
        version=told["ocppVersion"],
    )
    return SetNetworkProfile(request=request, slot=slot, profile=profile)


def _lacking(told: Mapping[str, Any]) -> str:
    """What is asked for that is not here, or ""."""
    if told["ocppTransport"] != "JSON" or told["ocppVersion"] in _WITHOUT_JSON:
        return "only OCPP over JSON is served"
    if "apn" in told:
        return "there is no modem to be set up"
    return "there is no VPN to be set up" if "vpn" in told else ""


def _answer(reply: Reply, _station: Station) -> Payload:
    return with_info({"status": reply.status.value}, reply)


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {"SetNetworkProfile": _set}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {"SetNetworkProfile": _answer}
