from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edged.dialects.v16.inbound import decode_call
from edged.dialects.v16.keys import KEYS, NOT_SHOWN, asked, computed
from edged.dialects.v16.replies import encode_reply
from edged.domain.answers import ConfigurationReport, KeyReport
from edged.domain.commands import GetConfiguration, SetConfiguration
from edged.domain.configuration import REGISTRY, ConfigurationStatus, KeyKind, Mutability, find_key, normalize
from edged.domain.configuration_access import change, read
from edged.domain.effects import Reply
from edged.domain.station import Station
from edged.domain.transition import Draft
from edged.domain.types import RequestRef

BOOL, INT, LIST, TEXT = KeyKind.BOOL, KeyKind.INT, KeyKind.LIST, KeyKind.TEXT
MEASURANDS, ROTATIONS = KeyKind.MEASURANDS, KeyKind.ROTATIONS
R, RW, W = Mutability.READ_ONLY, Mutability.READ_WRITE, Mutability.WRITE_ONLY

# Chapter 9 of 1.6 with its errata: every key of Core and Reservation, its type, access and least value.
STANDARD: dict[str, tuple[KeyKind, Mutability, int]] = {
    "AllowOfflineTxForUnknownId": (BOOL, RW, 0),
    "AuthorizationCacheEnabled": (BOOL, RW, 0),
    "AuthorizeRemoteTxRequests": (BOOL, RW, 0),
    "ClockAlignedDataInterval": (INT, RW, 0),
    "ConnectionTimeOut": (INT, RW, 0),
    "ConnectorPhaseRotation": (ROTATIONS, RW, 0),
    "ConnectorPhaseRotationMaxLength": (INT, R, 0),
    "GetConfigurationMaxKeys": (INT, R, 1),
    "HeartbeatInterval": (INT, RW, 0),
    "LocalAuthorizeOffline": (BOOL, RW, 0),
    "LocalPreAuthorize": (BOOL, RW, 0),
    "MaxEnergyOnInvalidId": (INT, RW, 0),
    "MessageTimeout": (INT, RW, 1),
    "MeterValuesAlignedData": (MEASURANDS, RW, 0),
    "MeterValuesAlignedDataMaxLength": (INT, R, 0),
    "MeterValuesSampledData": (MEASURANDS, RW, 0),
    "MeterValuesSampledDataMaxLength": (INT, R, 0),
    "StopTxnAlignedData": (MEASURANDS, RW, 0),
    "StopTxnAlignedDataMaxLength": (INT, R, 0),
    "StopTxnSampledData": (MEASURANDS, RW, 0),
    "StopTxnSampledDataMaxLength": (INT, R, 0),
    "MeterValueSampleInterval": (INT, RW, 0),
    "MinimumStatusDuration": (INT, RW, 0),
    "NumberOfConnectors": (INT, R, 0),
    "ResetRetries": (INT, RW, 0),
    "StopTransactionMaxMeterValues": (INT, R, 2),  # Begin and End always fit
    "StopTransactionOnEVSideDisconnect": (BOOL, RW, 0),
    "StopTransactionOnInvalidId": (BOOL, RW, 0),
    "SupportedFeatureProfiles": (LIST, R, 0),
    "SupportedFeatureProfilesMaxLength": (INT, R, 0),
    "TransactionMessageAttempts": (INT, RW, 0),
    "TransactionMessageRetryInterval": (INT, RW, 0),
    "UnlockConnectorOnEVSideDisconnect": (BOOL, RW, 0),
    "WebSocketPingInterval": (INT, RW, 0),
    "LocalAuthListEnabled": (BOOL, RW, 0),
    "LocalAuthListMaxLength": (INT, R, 1),
    "SendLocalListMaxLength": (INT, R, 1),
    "ReserveConnectorZeroSupported": (BOOL, R, 0),
    "ChargeProfileMaxStackLevel": (INT, R, 0),
    "ChargingScheduleAllowedChargingRateUnit": (LIST, R, 0),
    "ChargingScheduleMaxPeriods": (INT, R, 1),
    "ConnectorSwitch3to1PhaseSupported": (BOOL, R, 0),
    "MaxChargingProfilesInstalled": (INT, R, 1),
    "SupportedFileTransferProtocols": (LIST, R, 0),
    "AdditionalRootCertificateCheck": (BOOL, R, 0),
    "AuthorizationKey": (TEXT, W, 0),
    "CertificateSignedMaxChainSize": (INT, R, 1),
    "CertificateStoreMaxLength": (INT, R, 0),
    "CertSigningWaitMinimum": (INT, RW, 1),
    "CertSigningRepeatTimes": (INT, RW, 0),
    "CpoName": (TEXT, RW, 0),
    "SecurityProfile": (INT, RW, 0),
}
NO_LAMP = ("BlinkRepeat", "LightIntensity")

REF = RequestRef("csms", "1", "GetConfiguration")


def _get(station: Station, payload: dict[str, Any]) -> dict[str, Any]:
    """GetConfiguration through the dialect, the core and back."""
    event = decode_call("GetConfiguration", payload, REF)
    assert isinstance(event, GetConfiguration)
    draft = Draft(station, station.clock)
    read(draft, event)
    (reply,) = draft.effects
    assert isinstance(reply, Reply)
    return encode_reply(reply)


@pytest.mark.parametrize("name", STANDARD)
def test_every_standard_key_is_there_with_its_type_access_and_least_value(name: str) -> None:
    key = find_key(name)
    assert key is not None and key.name == name
    assert (key.kind, key.mutability, key.minimum) == STANDARD[name]


def test_the_keys_that_are_shown_are_the_standard_ones() -> None:
    assert set(KEYS) == set(STANDARD)
    assert len(KEYS) == len(STANDARD)


def test_the_keys_that_another_version_alone_knows_are_not_shown() -> None:
    assert {key.name for key in REGISTRY.values()} - set(STANDARD) == set(NOT_SHOWN)
    assert {"ReservationEnabled", "TxStartPoint", "TxStopPoint", "TimeSource"} <= set(NOT_SHOWN)


@pytest.mark.parametrize("name", NO_LAMP)
def test_no_lamp_means_no_key_for_it(name: str) -> None:
    assert find_key(name) is None


def test_all_keys_are_answered_in_the_order_of_1_6_without_the_ones_it_does_not_know(
    make_station: Callable[..., Station], assert_v16: Callable[[str, Any], None]
) -> None:
    payload = _get(make_station(), {})
    assert [entry["key"] for entry in payload["configurationKey"]] == list(KEYS)
    assert "unknownKey" not in payload
    assert_v16("GetConfigurationResponse", payload)


def test_a_key_is_found_in_any_case_and_shown_once_in_its_own(
    make_station: Callable[..., Station], assert_v16: Callable[[str, Any], None]
) -> None:
    payload = _get(make_station(), {"key": ["heartbeatINTERVAL", "HeartbeatInterval"]})
    assert payload == {"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "86400"}]}
    assert_v16("GetConfigurationResponse", payload)


def test_what_1_6_does_not_know_is_unknown_and_named_as_it_was_asked(
    make_station: Callable[..., Station], assert_v16: Callable[[str, Any], None]
) -> None:
    payload = _get(make_station(), {"key": ["reservationEnabled", "NoSuchKey", "n" * 50]})
    assert payload == {"configurationKey": [], "unknownKey": ["reservationEnabled", "NoSuchKey", "n" * 50]}
    assert_v16("GetConfigurationResponse", payload)


def test_a_change_of_what_1_6_does_not_know_is_not_supported(make_station: Callable[..., Station]) -> None:
    event = decode_call("ChangeConfiguration", {"key": "ReservationEnabled", "value": "false"}, REF)
    assert isinstance(event, SetConfiguration)
    draft = Draft(make_station(), make_station().clock)
    change(draft, event)
    assert draft.effects == [Reply(REF, ConfigurationStatus.NOT_SUPPORTED, "no such key")]


def test_other_names_reach_the_core_as_they_are() -> None:
    assert asked("HeartbeatInterval") == "HeartbeatInterval"
    assert asked("nonsense") == "nonsense"


def test_more_keys_than_the_station_promises_are_answered_anyway(make_station: Callable[..., Station]) -> None:
    payload = _get(make_station(), {"key": [f"Key{n}" for n in range(500)]})
    assert len(payload["unknownKey"]) == 500


def test_a_key_without_a_value_is_shown_without_one() -> None:
    report = ConfigurationReport((KeyReport("AuthorizationKey", False, None),), ())
    payload = encode_reply(Reply(REF, ConfigurationStatus.ACCEPTED, data=report))
    assert payload["configurationKey"] == [{"key": "AuthorizationKey", "readonly": False}]


def test_a_list_that_is_too_long_loses_whole_items(assert_v16: Callable[[str, Any], None]) -> None:
    items = ",".join(f"Item{n:03}" for n in range(100))
    report = ConfigurationReport((KeyReport("Long", False, items), KeyReport("Text", False, "x" * 600)), ())
    payload = encode_reply(Reply(REF, ConfigurationStatus.ACCEPTED, data=report))
    assert_v16("GetConfigurationResponse", payload)
    long, text = (entry["value"] for entry in payload["configurationKey"])
    assert items.startswith(long + ",") and 490 <= len(long) <= 500
    assert text == "x" * 500


def test_a_list_that_is_cut_between_two_items_loses_none_that_fits() -> None:
    fits = ",".join(["123456789"] * 50) + "x"
    report = ConfigurationReport((KeyReport("Long", False, fits + ",more"),), ())
    (entry,) = encode_reply(Reply(REF, ConfigurationStatus.ACCEPTED, data=report))["configurationKey"]
    assert len(fits) == 500 and entry["value"] == fits


@pytest.mark.parametrize("connectors", [1, 2, 64])
def test_what_follows_from_the_shape_is_allowed_by_the_keys(connectors: int) -> None:
    for name, value in computed(connectors=connectors, detachable=True).items():
        key = find_key(name)
        assert key is not None
        if key.kind is not LIST:
            assert normalize(key, value, connectors=connectors, measurands=frozenset()) == value


def test_what_follows_from_the_shape_is_what_1_6_says() -> None:
    assert computed(connectors=2, detachable=False) == {
        "SupportedFeatureProfiles": (
            "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger"
        ),
        "NumberOfConnectors": "2",
        "ConnectorPhaseRotation": "0.Unknown,1.Unknown,2.Unknown",
        "UnlockConnectorOnEVSideDisconnect": "false",
    }


def test_a_station_with_a_socket_unlocks_on_disconnect() -> None:
    assert computed(connectors=1, detachable=True)["UnlockConnectorOnEVSideDisconnect"] == "true"
