"""SetNetworkProfile as OCPP 2.0.1 words it."""

from __future__ import annotations

from typing import Any

import pytest

from edged.dialects.v201 import Ocpp201
from edged.domain.answers import NetworkProfileStatus, Reason
from edged.domain.commands import SetNetworkProfile
from edged.domain.credentials import NetworkProfile
from edged.domain.effects import Reply
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode
from tests.fakes.site import station

REF = RequestRef("csms", "1", "SetNetworkProfile")
TOLD: dict[str, Any] = {
    "ocppVersion": "OCPP20",
    "ocppTransport": "JSON",
    "ocppCsmsUrl": "wss://csms.example.com/ocpp",
    "messageTimeout": 30,
    "securityProfile": 2,
    "ocppInterface": "Wired0",
}
APN = {"apn": "internet", "apnAuthentication": "AUTO"}
VPN = {"server": "s", "user": "u", "password": "p", "key": "k", "type": "IPSec"}


def decoded(**changes: Any) -> Any:
    payload = {"configurationSlot": 2, "connectionData": {**TOLD, **changes}}
    return Ocpp201().decode_call("SetNetworkProfile", payload, REF)


@pytest.mark.req("B09.FR.01")
def test_a_profile_is_read() -> None:
    profile = NetworkProfile(
        slot=2,
        url="wss://csms.example.com/ocpp",
        security_profile=2,
        message_timeout_s=30,
        interface="Wired0",
        version="OCPP20",
    )
    assert decoded() == SetNetworkProfile(request=REF, slot=2, profile=profile)


@pytest.mark.req("B09.FR.02")
@pytest.mark.parametrize(
    "changes",
    [{"ocppTransport": "SOAP"}, {"ocppVersion": "OCPP15"}, {"ocppVersion": "OCPP12"}, {"apn": APN}, {"vpn": VPN}],
)
def test_what_no_edged_station_has_is_no_profile(changes: dict[str, Any]) -> None:
    event = decoded(**changes)
    assert event.profile is None and event.lacking


def test_what_breaks_the_schema_never_reaches_the_station() -> None:
    refused = decoded(ocppTransport="PIGEON")
    assert isinstance(refused, CallRefused) and refused.code is ErrorCode.PROPERTY


def test_an_answer_says_why() -> None:
    reply = Reply(REF, NetworkProfileStatus.REJECTED, "nothing", None, Reason.INVALID_CONF_SLOT)
    assert Ocpp201().encode_reply(reply, station()) == {
        "status": "Rejected",
        "statusInfo": {"reasonCode": "InvalidConfSlot", "additionalInfo": "nothing"},
    }


@pytest.mark.req("B09.FR.03")
def test_a_disk_that_keeps_nothing_has_failed() -> None:
    assert Ocpp201().encode_failure("SetNetworkProfile") == {"status": "Failed"}
