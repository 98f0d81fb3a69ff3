"""The registry of keys and what each of them takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.configuration import (
    KEY_MAX_CHARS,
    PHASE_ROTATIONS,
    REGISTRY,
    VALUE_MAX_CHARS,
    ConfigKey,
    Configuration,
    KeyKind,
    Mutability,
    find_key,
    normalize,
)

KEYS = tuple(REGISTRY.values())
MEASURANDS = frozenset({"Energy.Active.Import.Register", "Power.Active.Import", "Voltage"})
READ_ONLY, READ_WRITE = Mutability.READ_ONLY, Mutability.READ_WRITE

CORE = {  # 1.6 chapter 9 with its errata: type and access
    "AllowOfflineTxForUnknownId": (KeyKind.BOOL, READ_WRITE),
    "AuthorizationCacheEnabled": (KeyKind.BOOL, READ_WRITE),
    "AuthorizeRemoteTxRequests": (KeyKind.BOOL, READ_WRITE),
    "ClockAlignedDataInterval": (KeyKind.INT, READ_WRITE),
    "ConnectionTimeOut": (KeyKind.INT, READ_WRITE),
    "ConnectorPhaseRotation": (KeyKind.ROTATIONS, READ_WRITE),
    "ConnectorPhaseRotationMaxLength": (KeyKind.INT, READ_ONLY),
    "GetConfigurationMaxKeys": (KeyKind.INT, READ_ONLY),
    "HeartbeatInterval": (KeyKind.INT, READ_WRITE),
    "LocalAuthorizeOffline": (KeyKind.BOOL, READ_WRITE),
    "LocalPreAuthorize": (KeyKind.BOOL, READ_WRITE),
    "MaxEnergyOnInvalidId": (KeyKind.INT, READ_WRITE),
    "MessageTimeout": (KeyKind.INT, READ_WRITE),
    "MeterValuesAlignedData": (KeyKind.MEASURANDS, READ_WRITE),
    "MeterValuesAlignedDataMaxLength": (KeyKind.INT, READ_ONLY),
    "MeterValuesSampledData": (KeyKind.MEASURANDS, READ_WRITE),
    "MeterValuesSampledDataMaxLength": (KeyKind.INT, READ_ONLY),
    "MeterValueSampleInterval": (KeyKind.INT, READ_WRITE),
    "MinimumStatusDuration": (KeyKind.INT, READ_WRITE),
    "NumberOfConnectors": (KeyKind.INT, READ_ONLY),
    "ResetRetries": (KeyKind.INT, READ_WRITE),
    "StopTransactionMaxMeterValues": (KeyKind.INT, READ_ONLY),
    "StopTransactionOnEVSideDisconnect": (KeyKind.BOOL, READ_WRITE),
    "StopTransactionOnInvalidId": (KeyKind.BOOL, READ_WRITE),
    "StopTxnAlignedData": (KeyKind.MEASURANDS, READ_WRITE),
    "StopTxnAlignedDataMaxLength": (KeyKind.INT, READ_ONLY),
    "StopTxnSampledData": (KeyKind.MEASURANDS, READ_WRITE),
    "StopTxnSampledDataMaxLength": (KeyKind.INT, READ_ONLY),
    "SupportedFeatureProfiles": (KeyKind.LIST, READ_ONLY),
    "SupportedFeatureProfilesMaxLength": (KeyKind.INT, READ_ONLY),
    "TransactionMessageAttempts": (KeyKind.INT, READ_WRITE),
    "TransactionMessageRetryInterval": (KeyKind.INT, READ_WRITE),
    "UnlockConnectorOnEVSideDisconnect": (KeyKind.BOOL, READ_WRITE),
    "WebSocketPingInterval": (KeyKind.INT, READ_WRITE),
    "ReserveConnectorZeroSupported": (KeyKind.BOOL, READ_ONLY),
}


def norm(key: ConfigKey, value: str) -> str | None:
    return normalize(key, value, connectors=2, measurands=MEASURANDS)


@pytest.mark.req("TC_019_CS")
@pytest.mark.parametrize("name", CORE)
def test_a_standard_key_has_the_standards_type_and_access(name: str) -> None:
    key = find_key(name)
    assert key is not None and key.name == name
    assert (key.kind, key.mutability) == CORE[name]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_a_key_is_well_formed_and_takes_its_own_default(key: ConfigKey) -> None:
    assert len(key.name) <= KEY_MAX_CHARS
    assert find_key(key.name.upper()) is key
    assert key.minimum <= key.maximum
    if key.default is not None:
        assert norm(key, key.default) == key.default


@pytest.mark.req("TC_040_2_CS")
@pytest.mark.parametrize("key", [k for k in KEYS if k.kind is KeyKind.INT], ids=lambda key: key.name)
def test_a_whole_number_has_bounds_and_no_other_form(key: ConfigKey) -> None:
    assert norm(key, str(key.minimum)) == str(key.minimum)
    assert norm(key, str(key.maximum)) == str(key.maximum)
    assert norm(key, f" 0{key.minimum} ") == str(key.minimum)
    bad = (
        str(key.maximum + 1),
        str(key.minimum - 1),
        "-1",
        "+1",
        "1.0",
        "1e1",
        "0x1",
        "",
        " ",
        "ten",
        "\uff11",
        "9" * 400,
    )
    for value in bad:
        assert norm(key, value) is None, value


@pytest.mark.req("TC_040_2_CS")
@pytest.mark.parametrize("key", [k for k in KEYS if k.kind is KeyKind.BOOL], ids=lambda key: key.name)
def test_a_truth_value_is_true_or_false_in_any_case(key: ConfigKey) -> None:
    assert norm(key, "TRUE") == "true"
    assert norm(key, "False") == "false"
    for value in ("", "1", "0", "yes", "on", "truefalse", "null"):
        assert norm(key, value) is None


@pytest.mark.req("16-MV-08", "TC_040_2_CS")
@pytest.mark.parametrize("key", [k for k in KEYS if k.kind is KeyKind.MEASURANDS], ids=lambda key: key.name)
def test_a_list_of_measurands_takes_what_the_station_measures_once_each(key: ConfigKey) -> None:
    assert norm(key, "") == ""
    assert norm(key, " voltage , POWER.active.import") == "Voltage,Power.Active.Import"
    for value in ("Voltage,Frequency", "Voltage,voltage", "Voltage,", ",", "Voltage;Power.Active.Import", "Voltage.L9"):
        assert norm(key, value) is None, value


def test_a_phase_rotation_is_given_once_a_connector() -> None:
    key = find_key("ConnectorPhaseRotation")
    assert key is not None
    assert norm(key, "0.rst, 2.Unknown") == "0.RST,2.Unknown"
    assert norm(key, ",".join(f"{n}.{r}" for n, r in zip(range(3), PHASE_ROTATIONS, strict=False))) is not None
    for value in ("3.RST", "1.RST,1.RTS", "RST", "1.XYZ", "1", "-1.RST"):
        assert norm(key, value) is None, value


@given(value=st.text(max_size=VALUE_MAX_CHARS + 20), key=st.sampled_from(KEYS))
def test_a_value_is_refused_or_kept_in_a_form_that_is_kept_as_it_is(value: str, key: ConfigKey) -> None:
    kept = norm(key, value)
    if kept is None:
        return
    assert len(kept) <= VALUE_MAX_CHARS and not any(ord(char) < 32 for char in kept)
    assert norm(key, kept) == kept


@given(items=st.lists(st.sampled_from((*sorted(MEASURANDS), "voltage", "x", "")), min_size=1, max_size=6))
def test_a_list_is_taken_whole_or_not_at_all(items: list[str]) -> None:
    kept = norm(REGISTRY["stoptxnsampleddata"], " , ".join(items))
    folded = [item.casefold() for item in items]
    known = {name.casefold() for name in MEASURANDS}
    if items == [""]:
        assert kept == ""
    elif set(folded) <= known and len(set(folded)) == len(folded):
        assert kept is not None and kept.casefold().split(",") == folded
    else:
        assert kept is None


def test_what_an_operator_changed_wins_over_the_site_and_the_site_over_what_is_computed() -> None:
    layers = {"changed": {}, "site": {}, "computed": {"HeartbeatInterval": "3"}}
    assert Configuration(**layers).number("HeartbeatInterval") == 3
    layers["site"] = {"HeartbeatInterval": "2"}
    assert Configuration(**layers).number("HeartbeatInterval") == 2
    layers["changed"] = {"HeartbeatInterval": "1"}
    assert Configuration(**layers).number("HeartbeatInterval") == 1


def test_a_key_without_a_value_reads_as_nothing() -> None:
    empty = Configuration(changed={}, site={}, computed={})
    assert empty.text("NumberOfConnectors") == ""
    assert empty.number("NumberOfConnectors") == 0
    assert empty.text("NoSuchKey") == ""
    assert empty.flag("NoSuchKey") is False
    assert empty.items("StopTxnSampledData") == ()
