from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.dialects.v16.inbound import SUPPORTED_ACTIONS, decode_call
from edged.dialects.v16.keys import PROFILES
from edged.dialects.v16.schemas import KNOWN_ACTIONS, MAX_DATA_CHARS
from edged.domain.charging import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    ProfilePurpose,
    RateUnit,
    SchedulePeriod,
)
from edged.domain.charging_commands import ClearChargingProfile, GetCompositeSchedule, SetChargingProfile
from edged.domain.commands import (
    AcceptSignedChain,
    CancelReservation,
    ChangeAvailability,
    ClearCache,
    Command,
    DeleteCertificate,
    GetConfiguration,
    GetInstalledCertificates,
    GetLocalListVersion,
    GetLog,
    InstallCertificate,
    ListChange,
    ReceiveData,
    RequestStart,
    RequestStop,
    ReserveNow,
    ResetKind,
    ResetStation,
    SendLocalList,
    SetConfiguration,
    Target,
    TriggerMessage,
    TriggerSigning,
    UnlockConnector,
    UpdateFirmware,
)
from edged.domain.credentials import CertificateHash, CertificateUse
from edged.domain.effects import NoticeKind
from edged.domain.files import FirmwareOrder, LogKind, LogOrder
from edged.domain.types import IdToken, RequestRef
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode

REF = RequestRef("csms", "17", "Some")
SECRET = "S3cr3tValue"
NOON, AT_NOON = "2025-06-01T12:00:00Z", datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
RESERVE = {"connectorId": 2, "expiryDate": "2025-06-01T14:00:00+02:00", "idTag": "Tag1", "reservationId": 7}
PROFILE: dict[str, Any] = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.1}],
    },
}
PROFILED = ChargingProfile(
    id=1,
    stack_level=0,
    purpose=ProfilePurpose.TX,
    kind=ProfileKind.RELATIVE,
    schedule=ChargingSchedule(unit=RateUnit.AMPERES, periods=(SchedulePeriod(start_s=0, limit=16.1),)),
)
RESERVED = ReserveNow(
    request=REF,
    reservation_id=7,
    target=Target(connector=2),
    id_token=IdToken("Tag1"),
    group=None,
    expires_at=datetime(2025, 6, 1, 12, 0, tzinfo=UTC),
)
START = RequestStart(request=REF, id_token=IdToken("Tag1"))

GOOD: list[tuple[str, dict[str, Any], Command]] = [
    ("CancelReservation", {"reservationId": 7}, CancelReservation(REF, 7)),
    ("CancelReservation", {"reservationId": -7}, CancelReservation(REF, -7)),
    ("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, ChangeAvailability(REF, 0, False)),
    ("ChangeAvailability", {"connectorId": 9, "type": "Operative"}, ChangeAvailability(REF, 9, True)),
    ("ChangeConfiguration", {"key": "k" * 50, "value": "v" * 500}, SetConfiguration(REF, "k" * 50, "v" * 500)),
    ("ChangeConfiguration", {"key": "", "value": ""}, SetConfiguration(REF, "", "")),
    ("ClearCache", {}, ClearCache(REF)),
    ("ClearChargingProfile", {}, ClearChargingProfile(request=REF)),
    (
        "ClearChargingProfile",
        {"id": 3, "connectorId": 0, "chargingProfilePurpose": "ChargePointMaxProfile", "stackLevel": 1},
        ClearChargingProfile(request=REF, profile_id=3, connector=0, purpose=ProfilePurpose.STATION_MAX, stack_level=1),
    ),
    ("DataTransfer", {"vendorId": "com.example"}, ReceiveData(REF, "com.example", None, None)),
    ("DataTransfer", {"vendorId": "v", "messageId": "m", "data": "d"}, ReceiveData(REF, "v", "m", "d")),
    (
        "GetDiagnostics",
        {
            "location": "ftp://10.0.0.1/up",
            "retries": 2,
            "retryInterval": 30,
            "startTime": "2025-06-01T14:00:00+02:00",
            "stopTime": NOON,
        },
        GetLog(
            REF,
            LogOrder(
                kind=LogKind.DIAGNOSTICS,
                location="ftp://10.0.0.1/up",
                filename="",
                oldest=AT_NOON,
                latest=AT_NOON,
                retries=2,
                retry_interval_s=30,
            ),
        ),
    ),
    (
        "GetLog",
        {
            "logType": "SecurityLog",
            "requestId": 5,
            "retries": -1,
            "retryInterval": 10**9,
            "log": {"remoteLocation": "no address", "oldestTimestamp": NOON, "latestTimestamp": NOON},
        },
        GetLog(
            REF,
            LogOrder(
                kind=LogKind.SECURITY,
                location="no address",
                filename="",
                oldest=AT_NOON,
                latest=AT_NOON,
                retries=0,
                retry_interval_s=86_400,
                request_id=5,
            ),
        ),
    ),
    (
        "GetCompositeSchedule",
        {"connectorId": 9, "duration": -1, "chargingRateUnit": "W"},
        GetCompositeSchedule(request=REF, connector=9, duration_s=-1, unit=RateUnit.WATTS),
    ),
    ("GetConfiguration", {}, GetConfiguration(REF, ())),
    ("GetConfiguration", {"key": []}, GetConfiguration(REF, ())),
    ("GetConfiguration", {"key": ["a"] * 300}, GetConfiguration(REF, ("a",) * 300)),
    ("GetLocalListVersion", {}, GetLocalListVersion(REF)),
    ("RemoteStartTransaction", {"idTag": "Tag1"}, START),
    (
        "RemoteStartTransaction",
        {"idTag": "Tag1", "connectorId": 0},
        RequestStart(request=REF, id_token=IdToken("Tag1"), connector=0),
    ),
    ("RemoteStartTransaction", {"idTag": "Tag1", "chargingProfile": PROFILE}, replace(START, profile=PROFILED)),
    ("RemoteStopTransaction", {"transactionId": 0}, RequestStop(request=REF, external_ref=0)),
    ("RemoteStopTransaction", {"transactionId": -5}, RequestStop(request=REF, external_ref=-5)),
    ("ReserveNow", RESERVE, RESERVED),
    ("Reset", {"type": "Hard"}, ResetStation(REF, ResetKind.HARD)),
    ("Reset", {"type": "Soft"}, ResetStation(REF, ResetKind.SOFT)),
    (
        "SendLocalList",
        {"listVersion": 3, "updateType": "Differential", "localAuthorizationList": [{"idTag": "Tag1"}]},
        SendLocalList(request=REF, version=3, full=False, changes=(ListChange(IdToken("Tag1"), None),)),
    ),
    (
        "SetChargingProfile",
        {"connectorId": 1, "csChargingProfiles": {**PROFILE, "transactionId": 5}},
        SetChargingProfile(request=REF, connector=1, profile=PROFILED, external_ref=5),
    ),
    (
        "SignedUpdateFirmware",
        {
            "requestId": 0,
            "retries": 101,
            "retryInterval": -5,
            "firmware": {
                "location": "https://example.com/fw",
                "retrieveDateTime": NOON,
                "installDateTime": NOON,
                "signingCertificate": "PEM",
                "signature": "c2ln",
            },
        },
        UpdateFirmware(
            REF,
            FirmwareOrder(
                location="https://example.com/fw",
                retrieve_at=AT_NOON,
                install_at=AT_NOON,
                retries=100,
                retry_interval_s=0,
                request_id=0,
                signed=True,
                signing_certificate="PEM",
                signature="c2ln",
            ),
        ),
    ),
    (
        "UpdateFirmware",
        {"location": "https://example.com/fw", "retrieveDate": NOON, "retries": 3, "retryInterval": 60},
        UpdateFirmware(
            REF,
            FirmwareOrder(location="https://example.com/fw", retrieve_at=AT_NOON, retries=3, retry_interval_s=60),
        ),
    ),
    ("TriggerMessage", {"requestedMessage": "BootNotification"}, TriggerMessage(REF, NoticeKind.BOOT, None)),
    (
        "TriggerMessage",
        {"requestedMessage": "Heartbeat", "connectorId": -3},
        TriggerMessage(REF, NoticeKind.HEARTBEAT, None),
    ),
    (
        "TriggerMessage",
        {"requestedMessage": "MeterValues", "connectorId": 2},
        TriggerMessage(REF, NoticeKind.METER, 2),
    ),
    ("TriggerMessage", {"requestedMessage": "StatusNotification"}, TriggerMessage(REF, NoticeKind.STATUS, None)),
    (
        "TriggerMessage",
        {"requestedMessage": "StatusNotification", "connectorId": 0},
        TriggerMessage(REF, NoticeKind.STATUS, 0),
    ),
    (
        "TriggerMessage",
        {"requestedMessage": "FirmwareStatusNotification"},
        TriggerMessage(REF, NoticeKind.FIRMWARE_STATUS, None),
    ),
    (
        "TriggerMessage",
        {"requestedMessage": "DiagnosticsStatusNotification"},
        TriggerMessage(REF, NoticeKind.DIAGNOSTICS_STATUS, None),
    ),
    ("CertificateSigned", {"certificateChain": "pem"}, AcceptSignedChain(REF, "pem")),
    ("CertificateSigned", {"certificateChain": "c" * 10_000}, AcceptSignedChain(REF, "c" * 10_000)),
    (
        "DeleteCertificate",
        {
            "certificateHashData": {
                "hashAlgorithm": "SHA256",
                "issuerNameHash": "AB",
                "issuerKeyHash": "cd",
                "serialNumber": "01",
            }
        },
        DeleteCertificate(
            REF, CertificateHash(algorithm="SHA256", issuer_name_hash="AB", issuer_key_hash="cd", serial_number="01")
        ),
    ),
    (
        "ExtendedTriggerMessage",
        {"requestedMessage": "FirmwareStatusNotification"},
        TriggerMessage(REF, NoticeKind.SIGNED_FIRMWARE_STATUS, None),
    ),
    (
        "ExtendedTriggerMessage",
        {"requestedMessage": "LogStatusNotification"},
        TriggerMessage(REF, NoticeKind.LOG_STATUS, None),
    ),
    ("ExtendedTriggerMessage", {"requestedMessage": "BootNotification"}, TriggerMessage(REF, NoticeKind.BOOT, None)),
    ("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}, TriggerSigning(REF)),
    (
        "ExtendedTriggerMessage",
        {"requestedMessage": "MeterValues", "connectorId": 2},
        TriggerMessage(REF, NoticeKind.METER, 2),
    ),
    (
        "ExtendedTriggerMessage",
        {"requestedMessage": "StatusNotification", "connectorId": 0},
        TriggerMessage(REF, NoticeKind.STATUS, 0),
    ),
    (
        "GetInstalledCertificateIds",
        {"certificateType": "ManufacturerRootCertificate"},
        GetInstalledCertificates(REF, (CertificateUse.MANUFACTURER_ROOT,)),
    ),
    (
        "InstallCertificate",
        {"certificateType": "CentralSystemRootCertificate", "certificate": ""},
        InstallCertificate(REF, CertificateUse.CSMS_ROOT, ""),
    ),
    (
        "InstallCertificate",
        {"certificateType": "ManufacturerRootCertificate", "certificate": "c" * 5500},
        InstallCertificate(REF, CertificateUse.MANUFACTURER_ROOT, "c" * 5500),
    ),
    ("UnlockConnector", {"connectorId": 0}, UnlockConnector(REF, 0)),
    ("UnlockConnector", {"connectorId": 1}, UnlockConnector(REF, 1)),
]

REQUIRED = {
    "CancelReservation": ["reservationId"],
    "CertificateSigned": ["certificateChain"],
    "ChangeAvailability": ["connectorId", "type"],
    "ChangeConfiguration": ["key", "value"],
    "DataTransfer": ["vendorId"],
    "DeleteCertificate": ["certificateHashData"],
    "ExtendedTriggerMessage": ["requestedMessage"],
    "GetInstalledCertificateIds": ["certificateType"],
    "GetDiagnostics": ["location"],
    "GetLog": ["logType", "requestId", "log"],
    "InstallCertificate": ["certificateType", "certificate"],
    "RemoteStartTransaction": ["idTag"],
    "RemoteStopTransaction": ["transactionId"],
    "ReserveNow": ["connectorId", "expiryDate", "idTag", "reservationId"],
    "Reset": ["type"],
    "SendLocalList": ["listVersion", "updateType"],
    "TriggerMessage": ["requestedMessage"],
    "UnlockConnector": ["connectorId"],
    "UpdateFirmware": ["location", "retrieveDate"],
}
NESTED = frozenset({"csChargingProfiles", "certificateHashData", "chargingProfile", "firmware", "log"})
LAST_GOOD = {action: payload for action, payload, _ in GOOD if payload}


def _refused(action: str, payload: Any) -> CallRefused:
    refused = decode_call(action, payload, REF)
    assert isinstance(refused, CallRefused)
    return refused


@pytest.mark.parametrize(("action", "payload", "event"), GOOD)
def test_a_good_call_becomes_its_event(action: str, payload: dict[str, Any], event: Command) -> None:
    assert decode_call(action, payload, REF) == event


@pytest.mark.req("16-GEN-01")
def test_every_call_of_the_profiles_that_are_claimed_is_served() -> None:
    profiles = {
        "Core": "ChangeAvailability ChangeConfiguration ClearCache DataTransfer GetConfiguration"
        " RemoteStartTransaction RemoteStopTransaction Reset UnlockConnector",
        "FirmwareManagement": "GetDiagnostics UpdateFirmware",
        "LocalAuthListManagement": "GetLocalListVersion SendLocalList",
        "Reservation": "CancelReservation ReserveNow",
        "SmartCharging": "ClearChargingProfile GetCompositeSchedule SetChargingProfile",
        "RemoteTrigger": "TriggerMessage",
    }
    whitepaper = (
        "CertificateSigned DeleteCertificate ExtendedTriggerMessage GetInstalledCertificateIds GetLog"
        " InstallCertificate SignedUpdateFirmware"
    )
    assert PROFILES.split(",") == list(profiles)
    assert {word for words in (*profiles.values(), whitepaper) for word in words.split()} == SUPPORTED_ACTIONS


def test_every_action_that_is_served_has_a_good_call_here() -> None:
    assert {action for action, _, _ in GOOD} == SUPPORTED_ACTIONS


@pytest.mark.parametrize("action", sorted(KNOWN_ACTIONS - SUPPORTED_ACTIONS))
def test_an_action_of_1_6_that_is_not_served_is_not_supported(action: str) -> None:
    assert _refused(action, {"any": "thing"}).code is ErrorCode.NOT_SUPPORTED


@pytest.mark.parametrize("action", ["TransactionEvent", "reservenow", "", "GetVariables", "../ReserveNow"])
def test_an_action_that_1_6_does_not_have_is_not_implemented(action: str) -> None:
    assert _refused(action, {}).code is ErrorCode.NOT_IMPLEMENTED


# --- each kind of violation


@pytest.mark.parametrize("action", sorted(SUPPORTED_ACTIONS))
@pytest.mark.parametrize("payload", [None, [], "text", 3, True])
def test_a_payload_that_is_no_object_is_a_protocol_error(action: str, payload: Any) -> None:
    assert _refused(action, payload).code is ErrorCode.PROTOCOL


@pytest.mark.parametrize(("action", "field"), [(action, field) for action in REQUIRED for field in REQUIRED[action]])
def test_a_missing_field_is_an_occurrence_violation_that_names_it(action: str, field: str) -> None:
    payload = {name: value for name, value in LAST_GOOD[action].items() if name != field}
    assert _refused(action, payload) == CallRefused(ErrorCode.OCCURRENCE, f"{field}: required")


@pytest.mark.parametrize("action", sorted(SUPPORTED_ACTIONS))
def test_a_field_too_many_is_a_formation_violation_that_does_not_repeat_it(action: str) -> None:
    refused = _refused(action, {**LAST_GOOD.get(action, {}), SECRET: SECRET})
    assert refused == CallRefused(ErrorCode.FORMAT, "payload: additionalProperties")


@pytest.mark.parametrize(
    ("action", "field"),
    [(action, name) for action in LAST_GOOD for name in LAST_GOOD[action] if name not in NESTED],
)
@pytest.mark.parametrize("value", [None, True, 1.5, 1.0, {SECRET: SECRET}])
def test_a_value_of_the_wrong_type_is_a_type_violation(action: str, field: str, value: Any) -> None:
    refused = _refused(action, {**LAST_GOOD[action], field: value})
    assert refused.code is ErrorCode.TYPE
    assert refused.description.startswith(f"{field}: type ")


@pytest.mark.parametrize(
    ("action", "field", "value"),
    [
        ("CancelReservation", "reservationId", 2**63),
        ("ChangeAvailability", "connectorId", -1),
        ("ChangeAvailability", "type", SECRET),
        ("ChangeConfiguration", "key", SECRET * 5),
        ("ChangeConfiguration", "value", SECRET * 50),
        ("DataTransfer", "vendorId", SECRET * 30),
        ("DataTransfer", "messageId", SECRET * 5),
        ("DataTransfer", "data", "x" * (MAX_DATA_CHARS + 1)),
        ("RemoteStartTransaction", "idTag", SECRET * 2),
        ("RemoteStartTransaction", "idTag", ""),
        ("RemoteStartTransaction", "connectorId", -1),
        ("RemoteStopTransaction", "transactionId", 10**400),
        ("ReserveNow", "connectorId", -1),
        ("ReserveNow", "idTag", SECRET * 2),
        ("ReserveNow", "idTag", ""),
        ("ReserveNow", "parentIdTag", SECRET * 2),
        ("ReserveNow", "reservationId", -(2**63) - 1),
        ("Reset", "type", SECRET),
        ("TriggerMessage", "requestedMessage", SECRET),
        ("TriggerMessage", "connectorId", -1),
        ("UnlockConnector", "connectorId", -1),
    ],
)
def test_a_value_out_of_range_is_a_property_violation_that_keeps_it_secret(action: str, field: str, value: Any) -> None:
    payload = {**LAST_GOOD[action], field: value}
    if action == "TriggerMessage" and field == "connectorId":
        payload["requestedMessage"] = "StatusNotification"
    refused = _refused(action, payload)
    assert refused.code is ErrorCode.PROPERTY
    assert refused.description.startswith(f"{field}: ")
    assert SECRET not in refused.description


def test_a_key_that_is_too_long_is_named_by_its_index() -> None:
    refused = _refused("GetConfiguration", {"key": ["ok", SECRET * 5]})
    assert refused == CallRefused(ErrorCode.PROPERTY, "key[1]: maxLength 50")


# --- rules of single messages


@pytest.mark.req("16-RES-01")
def test_connector_0_of_a_reservation_is_any_connector() -> None:
    event = decode_call("ReserveNow", {**RESERVE, "connectorId": 0}, REF)
    assert isinstance(event, ReserveNow) and event.target == Target()


@pytest.mark.parametrize(("parent", "group"), [("Family", IdToken("Family")), ("", None)])
def test_a_parent_is_a_group_unless_it_is_empty(parent: str, group: IdToken | None) -> None:
    event = decode_call("ReserveNow", {**RESERVE, "parentIdTag": parent}, REF)
    assert isinstance(event, ReserveNow) and event.group == group


@pytest.mark.parametrize("time", ["soon", "", "2025-06-01", "9999-12-31T23:59:59-01:00"])
def test_an_expiry_that_cannot_be_read_is_a_type_violation(time: str) -> None:
    refused = _refused("ReserveNow", {**RESERVE, "expiryDate": time})
    assert refused == CallRefused(ErrorCode.TYPE, "expiryDate: type dateTime")


@pytest.mark.parametrize("time", ["2025-06-01T12:00:00", "2025-06-01T12:00:00.000Z", "2025-06-01T07:00:00-0500"])
def test_an_expiry_is_read_in_any_offset_and_without_one(time: str) -> None:
    assert decode_call("ReserveNow", {**RESERVE, "expiryDate": time}, REF) == RESERVED


@pytest.mark.parametrize(
    "change",
    [
        {"chargingProfilePurpose": "TxDefaultProfile"},
        {"chargingProfilePurpose": "ChargePointMaxProfile"},
        {"transactionId": 5},
    ],
)
@pytest.mark.req("TC_060")
def test_a_start_with_a_profile_that_is_not_for_it_is_not_acceptable(change: dict[str, Any]) -> None:
    payload = {"idTag": "Tag1", "chargingProfile": {**PROFILE, **change}}
    event = decode_call("RemoteStartTransaction", payload, REF)
    assert isinstance(event, RequestStart) and not event.acceptable


@pytest.mark.parametrize(
    ("limit", "code"), [(10**400, ErrorCode.PROPERTY), (1e308, ErrorCode.PROPERTY), (1.23, ErrorCode.PROPERTY)]
)
def test_a_limit_beyond_arithmetic_or_too_fine_is_refused(limit: float, code: ErrorCode) -> None:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    payload = {"idTag": "Tag1", "chargingProfile": {**PROFILE, "chargingSchedule": schedule}}
    assert _refused("RemoteStartTransaction", payload).code is code


def test_an_inner_field_too_many_is_a_formation_violation_at_its_place() -> None:
    schedule = {**PROFILE["chargingSchedule"], SECRET: 1}
    payload = {"idTag": "Tag1", "chargingProfile": {**PROFILE, "chargingSchedule": schedule}}
    refused = _refused("RemoteStartTransaction", payload)
    assert refused == CallRefused(ErrorCode.FORMAT, "chargingProfile.chargingSchedule: additionalProperties")


@pytest.mark.parametrize("name", ["ReservationEnabled", "reservationENABLED"])
def test_a_key_that_1_6_does_not_know_is_unknown_to_the_core_too(name: str) -> None:
    event = decode_call("ChangeConfiguration", {"key": name, "value": "false"}, REF)
    assert isinstance(event, SetConfiguration) and event.key.casefold() != "reservationenabled"


# --- anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60) | st.just("2025-06-01T12:00:00Z"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    sorted({name for payload in LAST_GOOD.values() for name in payload} | {"parentIdTag", "chargingProfile", "data"})
)


@settings(max_examples=300)
@given(st.sampled_from(sorted(KNOWN_ACTIONS)) | st.text(max_size=70), JSON)
def test_any_json_gives_an_event_or_a_refusal(action: str, payload: Any) -> None:
    assert isinstance(decode_call(action, payload, REF), CallRefused | Command)


@settings(max_examples=300)
@given(st.sampled_from(sorted(LAST_GOOD)), st.dictionaries(FIELDS, JSON, max_size=3))
def test_a_good_call_with_anything_in_its_fields_gives_an_event_or_a_refusal(
    action: str, changes: dict[str, Any]
) -> None:
    outcome = decode_call(action, {**LAST_GOOD[action], **changes}, REF)
    assert isinstance(outcome, CallRefused | Command)
    if isinstance(outcome, CallRefused):
        assert len(outcome.description) <= 255
