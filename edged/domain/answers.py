"""The words in which commands are answered. A dialect translates what its version words differently."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReserveStatus(StrEnum):
    ACCEPTED = "Accepted"
    FAULTED = "Faulted"
    OCCUPIED = "Occupied"
    REJECTED = "Rejected"
    UNAVAILABLE = "Unavailable"


class Verdict(StrEnum):
    """Cancel a reservation, remote start and stop, clear the cache."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class Switched(StrEnum):
    """Stop and restart OCPP: whether there was anything to do."""

    CHANGED = "Changed"
    AS_IT_WAS = "AsItWas"


class LockStatus(StrEnum):
    """What became of a wish for a lock: Accepted is the charger's own word."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_SUPPORTED = "NotSupported"
    FAILED = "Failed"


class FaultStatus(StrEnum):
    """ClearFault."""

    REJECTED = "Rejected"
    NOT_SUPPORTED = "NotSupported"


class ResetStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    SCHEDULED = "Scheduled"  # it waits until the station is idle


class Reason(StrEnum):
    """Why something was refused, for machines (2.x StatusInfo.reasonCode)."""

    CS_NOT_ACCEPTED = "CSNotAccepted"
    DUPLICATE_PROFILE = "DuplicateProfile"
    FIXED_CABLE = "FixedCable"
    FIRMWARE_UPDATE_IN_PROGRESS = "FwUpdateInProgress"
    INVALID_CERTIFICATE = "InvalidCertificate"
    INVALID_CONF_SLOT = "InvalidConfSlot"
    INVALID_ID_TOKEN = "InvalidIdToken"
    INVALID_NETWORK_CONF = "InvalidNetworkConf"
    INVALID_PROFILE = "InvalidProfile"
    INVALID_SCHEDULE = "InvalidSchedule"
    INVALID_STACK_LEVEL = "InvalidStackLevel"
    INVALID_URL = "InvalidURL"
    INVALID_VALUE = "InvalidValue"
    MISSING_PARAM = "MissingParam"
    NO_SECURITY_DOWNGRADE = "NoSecurityDowngrade"
    NOT_ENABLED = "NotEnabled"
    NOT_FOUND = "NotFound"
    OUT_OF_MEMORY = "OutOfMemory"
    READ_ONLY = "ReadOnly"
    TOO_LARGE_ELEMENT = "TooLargeElement"
    TOO_MANY_ELEMENTS = "TooManyElements"
    TX_IN_PROGRESS = "TxInProgress"
    TX_NOT_FOUND = "TxNotFound"
    UNKNOWN_CONNECTOR_ID = "UnknownConnectorId"
    UNKNOWN_CONNECTOR_TYPE = "UnknownConnectorType"
    UNKNOWN_EVSE = "UnknownEvse"
    UNSUPPORTED_PARAM = "UnsupportedParam"
    UNSUPPORTED_RATE_UNIT = "UnsupportedRateUnit"
    UNSUPPORTED_REQUEST = "UnsupportedRequest"
    VALUE_OUT_OF_RANGE = "ValueOutOfRange"
    VALUE_TOO_HIGH = "ValueTooHigh"
    VALUE_TOO_LOW = "ValueTooLow"
    WRITE_ONLY = "WriteOnly"


class Hindrance(StrEnum):
    """Why a start was refused, where `Reason` has no code for it: for local people's machines."""

    BUSY = "Busy"  # an unlock, a reset or a restart is under way: try again
    FAULTED = "Faulted"
    OCCUPIED = "Occupied"
    OFFLINE = "Offline"  # the charger does not answer
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"


class NetworkProfileStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    FAILED = "Failed"


class AvailabilityStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    SCHEDULED = "Scheduled"


class UnlockStatus(StrEnum):
    UNLOCKED = "Unlocked"
    FAILED = "UnlockFailed"
    NOT_SUPPORTED = "NotSupported"
    UNKNOWN_CONNECTOR = "UnknownConnector"
    ONGOING_TRANSACTION = "OngoingAuthorizedTransaction"


class TriggerStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_IMPLEMENTED = "NotImplemented"


class TransferStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_MESSAGE = "UnknownMessageId"
    UNKNOWN_VENDOR = "UnknownVendorId"


class Undelivered(StrEnum):
    """Why a local actor's message has no answer of the CSMS; of the first two nothing was sent."""

    OFFLINE = "Offline"
    BUSY = "Busy"
    NO_ANSWER = "NoAnswer"


class TokenVerdict(StrEnum):
    """What became of a presented token (mqtt.md present_token: authorized = the first three)."""

    AUTHORIZED = "Authorized"  # admitted; waits for the plug or the charger
    STARTED = "Started"
    STOPPED = "Stopped"
    RELEASED = "Released"  # a cable kept locked was released
    REFUSED = "Refused"  # the list, the cache or the CSMS says no
    RESERVED = "Reserved"  # kept for somebody else
    NO_CONNECTOR = "NoConnector"  # nothing waits for a token, or none is free
    OFFLINE = "Offline"  # unknown while the CSMS is away
    BUSY = "Busy"  # another token is being judged, or the station restarts


TOKEN_ADMITTED = frozenset({TokenVerdict.AUTHORIZED, TokenVerdict.STARTED, TokenVerdict.STOPPED, TokenVerdict.RELEASED})


class ListStatus(StrEnum):
    """SendLocalList, and GetLocalListVersion, whose data is the version."""

    ACCEPTED = "Accepted"
    FAILED = "Failed"
    NOT_SUPPORTED = "NotSupported"
    VERSION_MISMATCH = "VersionMismatch"


class ProfileStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_SUPPORTED = "NotSupported"
    UNKNOWN_EVSE = "UnknownEvse"  # a version may have a CALLERROR for it


class ReportStatus(StrEnum):
    """GetChargingProfiles."""

    ACCEPTED = "Accepted"
    NO_PROFILES = "NoProfiles"
    BUSY = "Busy"  # as many reports as there may be are under way


class DisplayStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_SUPPORTED_FORMAT = "NotSupportedMessageFormat"
    UNKNOWN_TRANSACTION = "UnknownTransaction"


class MessagesStatus(StrEnum):
    """GetDisplayMessages and ClearDisplayMessage."""

    ACCEPTED = "Accepted"
    UNKNOWN = "Unknown"


class ClearStatus(StrEnum):
    ACCEPTED = "Accepted"
    UNKNOWN = "Unknown"


class FileStatus(StrEnum):
    """UpdateFirmware and GetLog; of a log that is accepted the data is the file's name."""

    ACCEPTED = "Accepted"
    ACCEPTED_CANCELED = "AcceptedCanceled"  # and what was under way was cancelled for it
    REJECTED = "Rejected"
    INVALID_CERTIFICATE = "InvalidCertificate"
    REVOKED_CERTIFICATE = "RevokedCertificate"
    SIGNED_ONLY = "SignedOnly"  # an unsigned update where updates are to be signed (L01.FR.20)


class CertificateStatus(StrEnum):
    """Install, delete, list (the data is a tuple of `InstalledCertificate`), a signed chain."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    FAILED = "Failed"
    NOT_FOUND = "NotFound"


class CustomerStatus(StrEnum):
    """CustomerInformation."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    INVALID = "Invalid"  # not exactly one customer is named


@dataclass(frozen=True, slots=True)
class TransactionState:
    """Answer to GetTransactionStatus. `ongoing` None: no transaction was named; `queued`: messages wait."""

    ongoing: bool | None
    queued: bool


@dataclass(frozen=True, slots=True)
class KeyReport:
    """One configuration key as it is shown. `value` None: it has none, or must not be shown."""

    name: str
    read_only: bool
    value: str | None


@dataclass(frozen=True, slots=True)
class ConfigurationReport:
    """Answer to GetConfiguration; `keys` in the registry's order, `unknown` as they were asked."""

    keys: tuple[KeyReport, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MonitorReport:
    """Answer to MonitorConfiguration: every key that is watched now, and those that were asked for and are unknown."""

    monitored: tuple[str, ...]
    unknown: tuple[str, ...]
