"""Small value types that every room shares. Owns no state and no rule of a functional block."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Now:
    """The only time the core knows.

    `utc` is an aware datetime in UTC, `monotonic_s` seconds since an arbitrary start of this boot.
    `synchronized` is true once NTP or the CSMS has told the time since boot.
    """

    utc: datetime
    monotonic_s: float
    synchronized: bool


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment as it was recorded: wall clock, whether that clock was trusted, and the boot it belongs to.

    `Station.true_time` corrects an untrusted stamp once the time of its boot is known.
    """

    utc: datetime
    synchronized: bool
    boot: str


class Phase(StrEnum):
    """Where a connector stands in a charging session."""

    IDLE = "Idle"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"


@dataclass(frozen=True, slots=True)
class IdToken:
    """A driver's token. `kind` is OCPP 2.x's token type, or None where the source knows no types.

    Tokens compare ignoring case (1.6 §4.1, 2.x C01.FR.25); two kinds must agree where both are known.
    """

    value: str
    kind: str | None = None

    def matches(self, other: IdToken) -> bool:
        """Whether both name the same driver."""
        if self.value.casefold() != other.value.casefold():
            return False
        return self.kind is None or other.kind is None or self.kind == other.kind

    @property
    def key(self) -> str:
        """The token as a look-up key: case folded, kind left out."""
        return self.value.casefold()

    def masked(self) -> str:
        """The token for people: its last four characters."""
        return f"**{self.value[-4:]}" if len(self.value) > 4 else "**"

    def __repr__(self) -> str:
        return f"IdToken({self.masked()})"


@dataclass(frozen=True, slots=True)
class SecretText:
    """A text that nobody is shown: no log, no topic, no archive and no answer."""

    value: str

    def __repr__(self) -> str:
        return "SecretText(...)"


class AuthorizationStatus(StrEnum):
    """What a list, a cache or the CSMS says of a token."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    CONCURRENT_TX = "ConcurrentTx"


@dataclass(frozen=True, slots=True)
class IdTokenInfo:
    """The answer to "may this token charge". `group` is 1.6's parentIdTag, 2.x's groupIdToken."""

    status: AuthorizationStatus
    group: IdToken | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RequestRef:
    """Who waits for an answer.

    `channel` is "csms", "mqtt:ACTOR" or "local"; `id` is unique within the channel; `action` is the channel's own
    name of the command, so that the answer can be encoded without a second memory.
    """

    channel: str
    id: str
    action: str = ""


def same_group(one: IdToken | None, other: IdToken | None) -> bool:
    """Whether two group tokens are known and equal (group compares with group only, 16-GEN-07)."""
    return one is not None and other is not None and one.matches(other)
