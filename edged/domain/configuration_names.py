"""The other name of a configuration key: its Component.Variable, as an installer may write it.

Data only. One registry of keys, two sets of names; which of them a CSMS may use is its dialect's matter.
"""

from __future__ import annotations

from collections.abc import Mapping

from edged.domain.configuration import REGISTRY, ConfigKey

KEY_OF_VARIABLE: Mapping[str, str] = {
    "AlignedDataCtrlr.Interval": "ClockAlignedDataInterval",
    "AlignedDataCtrlr.Measurands": "MeterValuesAlignedData",
    "AlignedDataCtrlr.TxEndedMeasurands": "StopTxnAlignedData",
    "AuthCacheCtrlr.Enabled": "AuthorizationCacheEnabled",
    "AuthCtrlr.AuthorizeRemoteStart": "AuthorizeRemoteTxRequests",
    "AuthCtrlr.LocalAuthorizeOffline": "LocalAuthorizeOffline",
    "AuthCtrlr.LocalPreAuthorize": "LocalPreAuthorize",
    "AuthCtrlr.OfflineTxForUnknownIdEnabled": "AllowOfflineTxForUnknownId",
    "DeviceDataCtrlr.ItemsPerMessage[GetVariables]": "GetConfigurationMaxKeys",
    "OCPPCommCtrlr.HeartbeatInterval": "HeartbeatInterval",
    "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": "TransactionMessageRetryInterval",
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "TransactionMessageAttempts",
    "OCPPCommCtrlr.MessageTimeout[Default]": "MessageTimeout",
    "OCPPCommCtrlr.ResetRetries": "ResetRetries",
    "OCPPCommCtrlr.UnlockOnEVSideDisconnect": "UnlockConnectorOnEVSideDisconnect",
    "OCPPCommCtrlr.WebSocketPingInterval": "WebSocketPingInterval",
    "ReservationCtrlr.Enabled": "ReservationEnabled",
    "ReservationCtrlr.NonEvseSpecific": "ReserveConnectorZeroSupported",
    "SampledDataCtrlr.TxEndedMeasurands": "StopTxnSampledData",
    "SampledDataCtrlr.TxUpdatedInterval": "MeterValueSampleInterval",
    "SampledDataCtrlr.TxUpdatedMeasurands": "MeterValuesSampledData",
    "TxCtrlr.EVConnectionTimeOut": "ConnectionTimeOut",
    "TxCtrlr.MaxEnergyOnInvalidId": "MaxEnergyOnInvalidId",
    "TxCtrlr.StopTxOnEVSideDisconnect": "StopTransactionOnEVSideDisconnect",
    "TxCtrlr.StopTxOnInvalidId": "StopTransactionOnInvalidId",
    "TxCtrlr.TxStartPoint": "TxStartPoint",
    "TxCtrlr.TxStopPoint": "TxStopPoint",
}
_FOLDED = {variable.casefold(): key.casefold() for variable, key in KEY_OF_VARIABLE.items()}


def site_key(name: str) -> ConfigKey | None:
    """The key that an installer means, by either of its names, ignoring case."""
    folded = name.casefold()
    return REGISTRY.get(_FOLDED.get(folded, folded))


def known_names() -> tuple[str, ...]:
    """Every name that `site_key` takes, for hints."""
    return (*(key.name for key in REGISTRY.values()), *KEY_OF_VARIABLE)
