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
    """Cancel a reservation, remote start and stop, clear the cache, reset."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class AvailabilityStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    SCHEDULED = "Scheduled"


class UnlockStatus(StrEnum):
    UNLOCKED = "Unlocked"
    FAILED = "UnlockFailed"
    NOT_SUPPORTED = "NotSupported"
    UNKNOWN_CONNECTOR = "UnknownConnector"


class TriggerStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_IMPLEMENTED = "NotImplemented"


class TransferStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_MESSAGE = "UnknownMessageId"
    UNKNOWN_VENDOR = "UnknownVendorId"


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
