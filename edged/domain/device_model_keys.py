"""Variables that are configuration keys under another name: the one table in which both views of the registry meet.

Data only. A variable whose key nobody reads is not here; those of the keys that a site has made up are made when they
are asked for, each a variable of `CUSTOM` under its own name.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from edged.domain.configuration import ConfigKey, KeyKind, find_key
from edged.domain.device_model_terms import Definition
from edged.domain.variables import DataType, Variable

_TYPES = {
    KeyKind.BOOL: DataType.BOOLEAN,
    KeyKind.INT: DataType.INTEGER,
    KeyKind.DECIMAL: DataType.DECIMAL,
    KeyKind.TEXT: DataType.STRING,
    KeyKind.CHOICE: DataType.OPTION_LIST,
    KeyKind.LIST: DataType.MEMBER_LIST,
    KeyKind.SEQUENCE: DataType.SEQUENCE_LIST,
    KeyKind.MEASURANDS: DataType.MEMBER_LIST,
    KeyKind.ROTATIONS: DataType.STRING,
}
CUSTOM = "CustomizationCtrlr"
"""2.0.1's component for what a vendor has made up."""
PASSWORD_PATTERN = r"[A-Za-z0-9*\-_=:+|@.]{16,40}"
"""passwordString, and how long it may be (A00.FR.205, A01.FR.12)."""
RATE_UNITS = {"Current": "A", "Power": "W"}


def _key(component: str, variable: str, key_name: str, instance: str | None = None, **more: Any) -> Definition:
    key = find_key(key_name)
    assert key is not None, f"no such key: {key_name}"
    return Definition(
        component=component, variable=Variable(variable, instance), key=key.name, data_type=_TYPES[key.kind], **more
    )


KEYED: tuple[Definition, ...] = (
    _key("AlignedDataCtrlr", "Interval", "ClockAlignedDataInterval", unit="s"),
    _key("AlignedDataCtrlr", "Measurands", "MeterValuesAlignedData"),
    _key("AlignedDataCtrlr", "TxEndedMeasurands", "StopTxnAlignedData"),
    _key("AlignedDataCtrlr", "SendDuringIdle", "AlignedDataSendDuringIdle"),
    _key("AlignedDataCtrlr", "TxEndedInterval", "TxEndedAlignedInterval", unit="s"),
    _key("AuthCacheCtrlr", "DisablePostAuthorize", "AuthCacheDisablePostAuthorize"),
    _key("AuthCacheCtrlr", "Enabled", "AuthorizationCacheEnabled"),
    _key("AuthCacheCtrlr", "LifeTime", "AuthCacheLifeTime", unit="s"),
    _key("AuthCtrlr", "AuthorizeRemoteStart", "AuthorizeRemoteTxRequests"),
    _key("AuthCtrlr", "DisableRemoteAuthorization", "DisableRemoteAuthorization"),
    _key("AuthCtrlr", "LocalAuthorizeOffline", "LocalAuthorizeOffline"),
    _key("AuthCtrlr", "LocalPreAuthorize", "LocalPreAuthorize"),
    _key("AuthCtrlr", "MasterPassGroupId", "MasterPassGroupId"),
    _key("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "AllowOfflineTxForUnknownId"),
    _key("ChargingStation", "AllowNewSessionsPendingFirmwareUpdate", "AllowNewSessionsPendingFirmwareUpdate"),
    _key("ClockCtrlr", "TimeSource", "TimeSource"),
    _key("DeviceDataCtrlr", "ItemsPerMessage", "GetConfigurationMaxKeys", "GetVariables"),
    _key("DisplayMessageCtrlr", "Enabled", "DisplayMessagesEnabled"),
    _key("LocalAuthListCtrlr", "BytesPerMessage", "SendLocalListMaxBytes", unit="B"),
    _key("LocalAuthListCtrlr", "DisablePostAuthorize", "LocalAuthListDisablePostAuthorize"),
    _key("LocalAuthListCtrlr", "Enabled", "LocalAuthListEnabled"),
    _key("LocalAuthListCtrlr", "ItemsPerMessage", "SendLocalListMaxLength"),
    _key("MonitoringCtrlr", "Enabled", "MonitoringEnabled"),
    _key("MonitoringCtrlr", "OfflineQueuingSeverity", "OfflineMonitoringEventQueuingSeverity"),
    _key("OCPPCommCtrlr", "FileTransferProtocols", "SupportedFileTransferProtocols"),
    _key("OCPPCommCtrlr", "HeartbeatInterval", "HeartbeatInterval", unit="s", minimum=1),
    _key("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionMessageRetryInterval", "TransactionEvent", unit="s"),
    _key("OCPPCommCtrlr", "MessageAttempts", "TransactionMessageAttempts", "TransactionEvent"),
    _key("OCPPCommCtrlr", "MessageTimeout", "MessageTimeout", "Default", unit="s", read_only=True),
    _key("OCPPCommCtrlr", "NetworkConfigurationPriority", "NetworkConfigurationPriority"),
    _key("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", "NetworkProfileConnectionAttempts"),
    _key("OCPPCommCtrlr", "OfflineThreshold", "OfflineThreshold", unit="s"),
    _key("OCPPCommCtrlr", "RetryBackOffRandomRange", "RetryBackOffRandomRange", unit="s"),
    _key("OCPPCommCtrlr", "RetryBackOffRepeatTimes", "RetryBackOffRepeatTimes"),
    _key("OCPPCommCtrlr", "RetryBackOffWaitMinimum", "RetryBackOffWaitMinimum", unit="s"),
    _key("OCPPCommCtrlr", "ResetRetries", "ResetRetries"),
    _key("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", "UnlockConnectorOnEVSideDisconnect"),
    _key("OCPPCommCtrlr", "WebSocketPingInterval", "WebSocketPingInterval", unit="s"),
    _key("ReservationCtrlr", "Enabled", "ReservationEnabled"),
    _key("ReservationCtrlr", "NonEvseSpecific", "ReserveConnectorZeroSupported"),
    _key("SampledDataCtrlr", "RegisterValuesWithoutPhases", "RegisterValuesWithoutPhases"),
    _key("SampledDataCtrlr", "TxEndedInterval", "TxEndedSampleInterval", unit="s"),
    _key("SampledDataCtrlr", "TxEndedMeasurands", "StopTxnSampledData"),
    _key("SampledDataCtrlr", "TxStartedMeasurands", "TxStartedMeasurands"),
    _key("SampledDataCtrlr", "TxUpdatedInterval", "MeterValueSampleInterval", unit="s"),
    _key("SampledDataCtrlr", "TxUpdatedMeasurands", "MeterValuesSampledData"),
    _key("SecurityCtrlr", "AdditionalRootCertificateCheck", "AdditionalRootCertificateCheck"),
    _key("SecurityCtrlr", "BasicAuthPassword", "AuthorizationKey", pattern=PASSWORD_PATTERN, minimum=16, maximum=40),
    _key("SecurityCtrlr", "CertSigningRepeatTimes", "CertSigningRepeatTimes"),
    _key("SecurityCtrlr", "CertSigningWaitMinimum", "CertSigningWaitMinimum", unit="s"),
    _key("SecurityCtrlr", "MaxCertificateChainSize", "CertificateSignedMaxChainSize"),
    _key("SecurityCtrlr", "OrganizationName", "CpoName"),
    _key("SecurityCtrlr", "SecurityProfile", "SecurityProfile", read_only=True),  # a network profile changes it
    _key("SmartChargingCtrlr", "Enabled", "SmartChargingEnabled"),
    _key("SmartChargingCtrlr", "LimitChangeSignificance", "LimitChangeSignificance", unit="Percent"),
    _key("SmartChargingCtrlr", "NotifyChargingLimitWithSchedules", "NotifyChargingLimitWithSchedules"),
    _key("SmartChargingCtrlr", "PeriodsPerSchedule", "ChargingScheduleMaxPeriods"),
    _key("SmartChargingCtrlr", "Phases3to1", "ConnectorSwitch3to1PhaseSupported"),
    _key("SmartChargingCtrlr", "ProfileStackLevel", "ChargeProfileMaxStackLevel"),
    _key("SmartChargingCtrlr", "RateUnit", "ChargingScheduleAllowedChargingRateUnit", words=RATE_UNITS),
    _key("TariffCostCtrlr", "Currency", "Currency"),
    _key("TariffCostCtrlr", "Enabled", "CostEnabled", "Cost"),
    _key("TariffCostCtrlr", "Enabled", "TariffEnabled", "Tariff"),
    _key("TariffCostCtrlr", "TariffFallbackMessage", "TariffFallbackMessage"),
    _key("TariffCostCtrlr", "TotalCostFallbackMessage", "TotalCostFallbackMessage"),
    _key("TxCtrlr", "EVConnectionTimeOut", "ConnectionTimeOut", unit="s"),
    _key("TxCtrlr", "MaxEnergyOnInvalidId", "MaxEnergyOnInvalidId", unit="Wh"),
    _key("TxCtrlr", "StopTxOnEVSideDisconnect", "StopTransactionOnEVSideDisconnect"),
    _key("TxCtrlr", "StopTxOnInvalidId", "StopTransactionOnInvalidId"),
    _key("TxCtrlr", "TxStartPoint", "TxStartPoint"),
    _key("TxCtrlr", "TxStopPoint", "TxStopPoint"),
)


@lru_cache(maxsize=1024)
def of_custom(key: ConfigKey) -> Definition:
    """The variable of a key that the site has made up. The same key is the same definition: entries are compared."""
    return Definition(component=CUSTOM, variable=Variable(key.name), key=key.name, data_type=_TYPES[key.kind])
