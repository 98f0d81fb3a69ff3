"""Whatever a CSMS sends in 1.6 gets one answer that the schema accepts, and the station keeps its promises.

Payloads are made from the schemas and then spoilt, go in as text through the session, and meet a station in the middle
of its work; every step is judged by the invariants and kept on a disk from which the station comes back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.dialects.v16 import POLICY, Ocpp16
from edged.dialects.v16.inbound import SUPPORTED_ACTIONS
from edged.dialects.v16.schemas import KNOWN_ACTIONS
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode
from tests.fakes.hostile_line import CSMS_ROOT, MAKERS_ROOT, RULES, Line, hold_a_conversation
from tests.fakes.hostile_payloads import V16
from tests.fakes.site import Site

DIALECT = Ocpp16()


def in_the_middle(*, maker: bool = False) -> Line:
    """Connector 1 charges (transaction 77), 2 is reserved for BOB; an update, an upload and more are under way."""
    site = Site.build(3, policy=POLICY, rules=RULES, configuration={"CpoName": "Example"})
    installed = {one.key: one for one in ((CSMS_ROOT, MAKERS_ROOT) if maker else (CSMS_ROOT,))}
    site.station = replace(site.station, certificates=installed)
    line = Line(site, DIALECT, V16)
    site.start(1, "ALICE")
    site.deliver(77)
    site.reserve(7, "BOB", 2, group="FAMILY")
    line.begin(UNDER_WAY)
    return line


SOON = "2026-05-04T12:05:00Z"
LIST = [{"idTag": "BOB", "idTagInfo": {"status": "Accepted", "parentIdTag": "FAMILY"}}]
UNDER_WAY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("SendLocalList", {"listVersion": 1, "updateType": "Full", "localAuthorizationList": LIST}),
    ("GetLog", {"logType": "SecurityLog", "requestId": 5, "log": {"remoteLocation": "https://example.com/"}}),
    ("UpdateFirmware", {"location": "https://example.com/fw", "retrieveDate": SOON}),
    ("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}),
    ("InstallCertificate", {"certificateType": "CentralSystemRootCertificate", "certificate": "PEM"}),
    (
        "SetChargingProfile",
        {
            "connectorId": 1,
            "csChargingProfiles": {
                "chargingProfileId": 1,
                "stackLevel": 1,
                "chargingProfilePurpose": "TxProfile",
                "chargingProfileKind": "Relative",
                "transactionId": 77,
                "chargingSchedule": {
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}],
                },
            },
        },
    ),
)


CALLABLE = sorted(SUPPORTED_ACTIONS)
NOT_FOR_US = sorted(KNOWN_ACTIONS - SUPPORTED_ACTIONS)
ACTIONS = st.sampled_from(CALLABLE)


@pytest.mark.parametrize("action", CALLABLE)
@given(data=st.data())
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_call_gets_one_answer_that_the_schema_accepts(action: str, data: st.DataObject):
    hold_a_conversation(in_the_middle(maker=data.draw(st.booleans())), data, st.just(action))


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_calls_of_all_kinds_in_any_order_are_each_answered_once(data: st.DataObject):
    hold_a_conversation(in_the_middle(maker=data.draw(st.booleans())), data, ACTIONS)


@pytest.mark.parametrize("action", NOT_FOR_US)
@given(data=st.data())
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_only_a_station_may_call_is_refused_whatever_it_says(action: str, data: st.DataObject):
    refused = DIALECT.decode_call(action, data.draw(V16.hostile(action)), RequestRef("csms", "1", action))
    assert isinstance(refused, CallRefused) and refused.code is ErrorCode.NOT_SUPPORTED
