"""The registry of configuration keys and the rules for reading and changing them.

One version-neutral registry; each version shows it in its own words (keys in 1.6, component variables in 2.x).
Values travel and are kept as strings; `Configuration` reads them typed. An invalid value never enters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_DECIMAL = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,6})?")
KEY_MAX_CHARS = 50
VALUE_MAX_CHARS = 500


class KeyKind(StrEnum):
    BOOL = "bool"
    INT = "int"
    DECIMAL = "decimal"
    TEXT = "text"
    CHOICE = "choice"  # one of what is allowed
    LIST = "list"  # comma separated, the order says nothing
    SEQUENCE = "sequence"  # comma separated, the order counts; never empty
    MEASURANDS = "measurands"  # comma separated, each supported by a connector of the station
    ROTATIONS = "rotations"  # comma separated CONNECTOR.ROTATION


class Mutability(StrEnum):
    READ_ONLY = "read_only"
    READ_WRITE = "read_write"
    WRITE_ONLY = "write_only"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigKey:
    """One key: its name, type, bounds and mutability.

    `maximum`/`minimum` bound a number, or the length of a TEXT; `min_items`/`max_items` a list, `allowed` its items.
    The installer may set even a read-only key in the site's configuration. `default` None: the value is computed or
    absent until set.
    """

    name: str
    kind: KeyKind
    default: str | None
    mutability: Mutability = Mutability.READ_WRITE
    minimum: int = 0
    maximum: int = 2**31 - 1
    allowed: tuple[str, ...] = ()
    min_items: int = 0
    max_items: int = 32
    reboot: bool = False
    custom: bool = False


class ConfigurationStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    REBOOT_REQUIRED = "RebootRequired"
    NOT_SUPPORTED = "NotSupported"


PHASE_ROTATIONS = ("NotApplicable", "Unknown", "RST", "RTS", "SRT", "STR", "TRS", "TSR")


def _bool(name: str, default: bool, mutability: Mutability = Mutability.READ_WRITE) -> ConfigKey:
    return ConfigKey(name=name, kind=KeyKind.BOOL, default="true" if default else "false", mutability=mutability)


def _int(name: str, default: int, *, minimum: int = 0, maximum: int = 2**31 - 1, fixed: bool = False) -> ConfigKey:
    mutability = Mutability.READ_ONLY if fixed else Mutability.READ_WRITE
    return ConfigKey(
        name=name, kind=KeyKind.INT, default=str(default), minimum=minimum, maximum=maximum, mutability=mutability
    )


def _measurands(name: str, default: str) -> ConfigKey:
    return ConfigKey(name=name, kind=KeyKind.MEASURANDS, default=default)


def _text(name: str, default: str | None, *, maximum: int = VALUE_MAX_CHARS) -> ConfigKey:
    return ConfigKey(name=name, kind=KeyKind.TEXT, default=default, maximum=maximum)


DAY_S = 86_400
ENERGY = "Energy.Active.Import.Register"

REGISTRY: Mapping[str, ConfigKey] = {
    key.name.casefold(): key
    for key in (
        _bool("AllowOfflineTxForUnknownId", False),
        _bool("AuthCacheDisablePostAuthorize", False),
        _int("AuthCacheLifeTime", 0),  # seconds; 0: without a date of its own an entry does not expire
        _bool("AuthorizationCacheEnabled", True),
        _bool("AuthorizeRemoteTxRequests", False),
        _int("ClockAlignedDataInterval", 0, maximum=DAY_S),
        _int("ConnectionTimeOut", 60, maximum=DAY_S),
        ConfigKey(name="ConnectorPhaseRotation", kind=KeyKind.ROTATIONS, default=None, allowed=PHASE_ROTATIONS),
        _int("ConnectorPhaseRotationMaxLength", 32, fixed=True),
        _int("GetConfigurationMaxKeys", 100, minimum=1, fixed=True),
        _text("Currency", "EUR", maximum=3),
        _bool("CostEnabled", True),
        _bool("DisableRemoteAuthorization", False),
        _bool("DisplayMessagesEnabled", True),
        _int("HeartbeatInterval", DAY_S, maximum=DAY_S),
        _bool("LocalAuthorizeOffline", True),
        _bool("LocalPreAuthorize", False),
        _text("MasterPassGroupId", "", maximum=36),
        _int("MaxEnergyOnInvalidId", 0),
        _int("MessageTimeout", 30, minimum=1, maximum=3600),
        _measurands("MeterValuesAlignedData", ENERGY),
        _int("MeterValuesAlignedDataMaxLength", 32, fixed=True),
        _measurands("MeterValuesSampledData", ENERGY),
        _int("MeterValuesSampledDataMaxLength", 32, fixed=True),
        _measurands("StopTxnAlignedData", ""),
        _int("StopTxnAlignedDataMaxLength", 32, fixed=True),
        _measurands("StopTxnSampledData", ""),
        _int("StopTxnSampledDataMaxLength", 32, fixed=True),
        _int("StopTransactionMaxMeterValues", 100, minimum=2, fixed=True),
        _int("MeterValueSampleInterval", 60, maximum=DAY_S),
        _bool("MonitoringEnabled", True),
        _int("OfflineMonitoringEventQueuingSeverity", 9, maximum=9),
        _int("MinimumStatusDuration", 0, maximum=3600),
        ConfigKey(
            name="NetworkConfigurationPriority",
            kind=KeyKind.SEQUENCE,
            default="1",
            allowed=("1", "2", "3"),
            min_items=1,
            reboot=True,
        ),
        _int("NetworkProfileConnectionAttempts", 3, minimum=1, maximum=100),
        _int("OfflineThreshold", 60),
        ConfigKey(name="NumberOfConnectors", kind=KeyKind.INT, default=None, mutability=Mutability.READ_ONLY),
        _int("ResetRetries", 2, maximum=10),
        _int("RetryBackOffWaitMinimum", 1, minimum=1, maximum=DAY_S),
        _int("RetryBackOffRandomRange", 2, maximum=DAY_S),
        _int("RetryBackOffRepeatTimes", 5, maximum=20),
        _bool("StopTransactionOnEVSideDisconnect", True),
        _bool("StopTransactionOnInvalidId", True),
        ConfigKey(name="SupportedFeatureProfiles", kind=KeyKind.LIST, default=None, mutability=Mutability.READ_ONLY),
        _int("SupportedFeatureProfilesMaxLength", 8, fixed=True),
        _bool("TariffEnabled", True),
        _text("TariffFallbackMessage", "", maximum=255),
        _text("TotalCostFallbackMessage", "", maximum=255),
        _int("TransactionMessageAttempts", 3, maximum=100),
        _int("TransactionMessageRetryInterval", 60, maximum=DAY_S),
        ConfigKey(
            name="TxStartPoint",
            kind=KeyKind.LIST,
            default="PowerPathClosed",
            allowed=("Authorized", "EVConnected", "PowerPathClosed"),
            min_items=1,
        ),
        ConfigKey(
            name="TxStopPoint",
            kind=KeyKind.LIST,
            default="Authorized,EVConnected",
            allowed=("Authorized", "EVConnected", "PowerPathClosed", "EnergyTransfer"),
            min_items=1,
        ),
        # what 2.x asks beside it: of the values that start, end, or are not to be sent with a transaction
        _measurands("TxStartedMeasurands", ENERGY),
        ConfigKey(name="TxEndedSampleInterval", kind=KeyKind.INT, default=None, maximum=DAY_S),
        ConfigKey(name="TxEndedAlignedInterval", kind=KeyKind.INT, default=None, maximum=DAY_S),
        _bool("AlignedDataSendDuringIdle", False),
        ConfigKey(
            name="RegisterValuesWithoutPhases",
            kind=KeyKind.BOOL,
            default="true",
            mutability=Mutability.READ_ONLY,
        ),
        ConfigKey(name="UnlockConnectorOnEVSideDisconnect", kind=KeyKind.BOOL, default=None),
        _int("WebSocketPingInterval", 60, maximum=DAY_S),
        _bool("LocalAuthListDisablePostAuthorize", False),
        _bool("LocalAuthListEnabled", True),
        _int("LocalAuthListMaxLength", 10_000, minimum=1, maximum=100_000, fixed=True),
        _int("SendLocalListMaxBytes", 512 * 1024, minimum=1, fixed=True),  # as long as a message can be
        _int("SendLocalListMaxLength", 1_000, minimum=1, maximum=3_000, fixed=True),
        _bool("ReserveConnectorZeroSupported", True, Mutability.READ_ONLY),
        _bool("ReservationEnabled", True),
        _int("ChargeProfileMaxStackLevel", 100, maximum=1_000, fixed=True),
        ConfigKey(
            name="ChargingScheduleAllowedChargingRateUnit",
            kind=KeyKind.LIST,
            default="Current,Power",
            allowed=("Current", "Power"),
            mutability=Mutability.READ_ONLY,
        ),
        _int("ChargingScheduleMaxPeriods", 100, minimum=1, maximum=1_000, fixed=True),
        _bool("ConnectorSwitch3to1PhaseSupported", False, Mutability.READ_ONLY),
        _int("MaxChargingProfilesInstalled", 100, minimum=1, maximum=1_000, fixed=True),
        _bool("SmartChargingEnabled", True),
        ConfigKey(name="LimitChangeSignificance", kind=KeyKind.DECIMAL, default="5", maximum=100),  # percent
        _bool("NotifyChargingLimitWithSchedules", True),
        ConfigKey(
            name="SupportedFileTransferProtocols",
            kind=KeyKind.LIST,
            default="HTTP,HTTPS,FTP,FTPS",
            allowed=("HTTP", "HTTPS", "FTP", "FTPS"),
            mutability=Mutability.READ_ONLY,
        ),
        _bool("AllowNewSessionsPendingFirmwareUpdate", False),
        _bool("AdditionalRootCertificateCheck", False, Mutability.READ_ONLY),
        ConfigKey(name="AuthorizationKey", kind=KeyKind.TEXT, default=None, mutability=Mutability.WRITE_ONLY),
        _int("CertificateSignedMaxChainSize", 10_000, minimum=1, maximum=10_000, fixed=True),
        _int("CertificateStoreMaxLength", 16, maximum=100, fixed=True),
        _int("CertSigningWaitMinimum", 30, minimum=1, maximum=DAY_S),
        _int("CertSigningRepeatTimes", 2, maximum=100),
        _text("CpoName", None, maximum=64),  # the organization in a certificate has room for no more (X.520)
        ConfigKey(name="SecurityProfile", kind=KeyKind.INT, default=None, maximum=3),
        ConfigKey(name="TimeSource", kind=KeyKind.SEQUENCE, default="NTP,Heartbeat", allowed=("Heartbeat", "NTP")),
    )
}
"""Every key that the core knows, by its case-folded name. No LightIntensity, no BlinkRepeat: no lamp is driven."""


def find_key(name: str) -> ConfigKey | None:
    """The key of that name, ignoring case (16-GEN-04)."""
    return REGISTRY.get(name.casefold())


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The values of a station's keys. `changed` is what an operator changed and is kept; it wins over `site`.

    `site`: first values from the installer's file. `computed`: values that follow from the station's shape.
    All three are keyed by canonical key name. `custom`: the keys that the installer has made up, by case-folded name;
    none of them is called like one of the registry.
    """

    changed: Mapping[str, str]
    site: Mapping[str, str]
    computed: Mapping[str, str]
    custom: Mapping[str, ConfigKey] = field(default_factory=dict)
    effective: Mapping[str, str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """What counts of each key is settled once, where values change, and not at every look."""
        effective = {key.name: key.default or "" for key in self.keys()}
        for values in (self.computed, self.site, self.changed):
            effective.update(values)
        object.__setattr__(self, "effective", effective)

    def find(self, name: str) -> ConfigKey | None:
        """The key of that name, the installer's own included, ignoring case (16-GEN-04)."""
        return find_key(name) or self.custom.get(name.casefold())

    def keys(self) -> tuple[ConfigKey, ...]:
        """Every key: the registry's, then the installer's own."""
        return (*REGISTRY.values(), *self.custom.values())

    def text(self, name: str) -> str:
        """The value as it travels; "" where the key has none."""
        return self.effective.get(name, "")

    def number(self, name: str) -> int:
        return int(self.text(name) or 0)

    def decimal(self, name: str) -> float:
        return float(self.text(name) or 0)

    def flag(self, name: str) -> bool:
        return self.text(name).casefold() == "true"

    def items(self, name: str) -> tuple[str, ...]:
        """A list's items, in order, without blanks."""
        return tuple(part.strip() for part in self.text(name).split(",") if part.strip())


def normalize(key: ConfigKey, value: str, *, connectors: int, measurands: frozenset[str]) -> str | None:
    """The value as it is kept, or None where the key does not allow it. Bounds: facts ocpp16_keys.yaml."""
    if len(value) > VALUE_MAX_CHARS or any(ord(char) < 32 for char in value):
        return None
    match key.kind:
        case KeyKind.BOOL:
            folded = value.strip().casefold()
            return folded if folded in ("true", "false") else None
        case KeyKind.INT:
            return _normal_int(key, value.strip())
        case KeyKind.DECIMAL:
            return _normal_decimal(key, value.strip())
        case KeyKind.TEXT:
            return value if key.minimum <= len(value) <= key.maximum else None
        case KeyKind.CHOICE | KeyKind.LIST | KeyKind.SEQUENCE:
            return _normal_list(key, value, frozenset(key.allowed))
        case KeyKind.MEASURANDS:
            return _normal_list(key, value, measurands)
        case KeyKind.ROTATIONS:
            allowed = frozenset(f"{n}.{rotation}" for n in range(connectors + 1) for rotation in key.allowed)
            return _normal_list(key, value, allowed)


def _normal_int(key: ConfigKey, text: str) -> str | None:
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        return None
    return str(int(text)) if key.minimum <= int(text) <= key.maximum else None


def _normal_decimal(key: ConfigKey, text: str) -> str | None:
    """A plain decimal number, without an exponent."""
    if not _DECIMAL.fullmatch(text):
        return None
    return text if key.minimum <= float(text) <= key.maximum else None


def _normal_list(key: ConfigKey, value: str, allowed: frozenset[str]) -> str | None:
    parts = [part.strip() for part in value.split(",")] if value.strip() else []
    canonical = {name.casefold(): name for name in allowed}
    least = key.min_items if key.kind in (KeyKind.LIST, KeyKind.MEASURANDS, KeyKind.ROTATIONS) else 1
    most = 1 if key.kind is KeyKind.CHOICE else key.max_items
    if not least <= len(parts) <= most or any(part.casefold() not in canonical for part in parts):
        return None
    items = [canonical[part.casefold()] for part in parts]
    one_each = [item.split(".")[0] for item in items] if key.kind is KeyKind.ROTATIONS else items
    return ",".join(items) if len(set(one_each)) == len(items) else None


def wanted(key: ConfigKey, measurands: frozenset[str]) -> str:
    """What a value of the key must be, for people. `measurands`: those that there are."""
    match key.kind:
        case KeyKind.BOOL:
            return "must be true or false"
        case KeyKind.INT:
            return f"must be a whole number from {key.minimum} to {key.maximum}"
        case KeyKind.DECIMAL:
            return f"must be a number from {key.minimum} to {key.maximum}"
        case KeyKind.CHOICE:
            return "must be one of " + ", ".join(key.allowed)
        case KeyKind.SEQUENCE:
            return "must be a list of at least one of " + ", ".join(key.allowed)
        case KeyKind.MEASURANDS:
            return "must be a list of measurands that the chargers have: " + ", ".join(sorted(measurands))
        case KeyKind.ROTATIONS:
            return "must be a list like 0.RST,1.RST,2.RTS"
        case KeyKind.TEXT:
            return f"must be a text of at most {min(key.maximum, VALUE_MAX_CHARS)} characters"
        case KeyKind.LIST:
            least = "any of" if key.min_items == 0 else "at least one of"
            return f"must be {least} {', '.join(key.allowed)}, separated by commas"
