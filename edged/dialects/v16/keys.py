"""How OCPP 1.6 shows the configuration: which of the core's keys, in which order, and what follows from the version.

What 1.6 has no key for is not shown, `ReservationEnabled` or `TxStartPoint`, say; and who asks for it by name, or wants
to change it, is told that there is no such key. Missing on purpose: BlinkRepeat and LightIntensity
(optional; no lamp is driven). RemoteTrigger has no keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from edged.domain.answers import ConfigurationReport, KeyReport
from edged.domain.configuration import REGISTRY, VALUE_MAX_CHARS

KEYS: Final = (
    # Core, in the order of chapter 9
    "AllowOfflineTxForUnknownId",
    "AuthorizationCacheEnabled",
    "AuthorizeRemoteTxRequests",
    "ClockAlignedDataInterval",
    "ConnectionTimeOut",
    "ConnectorPhaseRotation",
    "ConnectorPhaseRotationMaxLength",
    "GetConfigurationMaxKeys",
    "HeartbeatInterval",
    "LocalAuthorizeOffline",
    "LocalPreAuthorize",
    "MaxEnergyOnInvalidId",
    "MessageTimeout",
    "MeterValuesAlignedData",
    "MeterValuesAlignedDataMaxLength",
    "MeterValuesSampledData",
    "MeterValuesSampledDataMaxLength",
    "MeterValueSampleInterval",
    "MinimumStatusDuration",
    "NumberOfConnectors",
    "ResetRetries",
    "StopTransactionMaxMeterValues",
    "StopTransactionOnEVSideDisconnect",
    "StopTransactionOnInvalidId",
    "StopTxnAlignedData",
    "StopTxnAlignedDataMaxLength",
    "StopTxnSampledData",
    "StopTxnSampledDataMaxLength",
    "SupportedFeatureProfiles",
    "SupportedFeatureProfilesMaxLength",
    "TransactionMessageAttempts",
    "TransactionMessageRetryInterval",
    "UnlockConnectorOnEVSideDisconnect",
    "WebSocketPingInterval",
    # LocalAuthListManagement
    "LocalAuthListEnabled",
    "LocalAuthListMaxLength",
    "SendLocalListMaxLength",
    # Reservation
    "ReserveConnectorZeroSupported",
    # SmartCharging
    "ChargeProfileMaxStackLevel",
    "ChargingScheduleAllowedChargingRateUnit",
    "ChargingScheduleMaxPeriods",
    "ConnectorSwitch3to1PhaseSupported",
    "MaxChargingProfilesInstalled",
    # FirmwareManagement
    "SupportedFileTransferProtocols",
    # the security whitepaper, chapter 7
    "AdditionalRootCertificateCheck",
    "AuthorizationKey",
    "CertificateSignedMaxChainSize",
    "CertificateStoreMaxLength",
    "CertSigningWaitMinimum",
    "CertSigningRepeatTimes",
    "CpoName",
    "SecurityProfile",
)
"""The keys that 1.6 shows, in canonical case. What else is in the registry is another version's."""

NOT_SHOWN: Final = tuple(key.name for key in REGISTRY.values() if key.name not in KEYS)
"""Keys of the registry that 1.6 does not know."""

PROFILES: Final = "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger"
MAX_ROTATIONS: Final = 32
_MASK: Final = "1.6 lacks "
_RANK: Final = {name.casefold(): rank for rank, name in enumerate(KEYS)}
_NOT_SHOWN: Final = frozenset(name.casefold() for name in NOT_SHOWN)


def asked(name: str) -> str:
    """A key's name as the core is asked for it: one that 1.6 does not know becomes one that nobody knows."""
    return f"{_MASK}{name}" if name.casefold() in _NOT_SHOWN else name


def _as_asked(name: str) -> str:
    bare = name.removeprefix(_MASK)
    return bare if bare.casefold() in _NOT_SHOWN else name


def encode_configuration(report: ConfigurationReport) -> dict[str, Any]:
    """GetConfiguration.conf: each key once, in canonical case and 1.6's order; unknown ones as they were asked."""
    keys = {key.name: key for key in report.keys if key.name.casefold() not in _NOT_SHOWN}
    ordered = sorted(keys.values(), key=lambda key: _RANK.get(key.name.casefold(), len(_RANK)))
    payload: dict[str, Any] = {"configurationKey": [_encode_key(key) for key in ordered]}
    if report.unknown:
        payload["unknownKey"] = [_as_asked(name)[:50] for name in report.unknown]
    return payload


def _encode_key(key: KeyReport) -> dict[str, Any]:
    entry: dict[str, Any] = {"key": key.name[:50], "readonly": key.read_only}
    if key.value is not None:
        entry["value"] = _fitting(key.value)
    return entry


def _fitting(value: str) -> str:
    """A value that is too long loses its last items, never a part of one."""
    if len(value) <= VALUE_MAX_CHARS:
        return value
    cut = value[: VALUE_MAX_CHARS + 1]
    return cut.rpartition(",")[0] if "," in cut else value[:VALUE_MAX_CHARS]


def computed(*, connectors: int, detachable: bool) -> Mapping[str, str]:
    """Values that follow from the version and the station's shape. `detachable`: at least one socket (E3.84)."""
    return {
        "SupportedFeatureProfiles": PROFILES,
        "NumberOfConnectors": str(connectors),
        "ConnectorPhaseRotation": ",".join(_rotations(range(min(connectors + 1, MAX_ROTATIONS)))),
        "UnlockConnectorOnEVSideDisconnect": "true" if detachable else "false",
    }


def _rotations(numbers: Iterable[int]) -> Iterable[str]:
    return (f"{number}.Unknown" for number in numbers)
