"""Small value types that every room shares. Owns no state and no rule of a functional block."""

from __future__ import annotations

from dataclasses import dataclass, field
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


class TokenKind(StrEnum):
    """OCPP 2.x's token types. A later version may have more: `IdToken.kind` holds any word."""

    ISO14443 = "ISO14443"
    ISO15693 = "ISO15693"
    KEY_CODE = "KeyCode"
    LOCAL = "Local"
    MAC_ADDRESS = "MacAddress"
    EMAID = "eMAID"
    CENTRAL = "Central"
    NO_AUTHORIZATION = "NoAuthorization"


SHOWN_KINDS = tuple(k for k in TokenKind if k not in (TokenKind.CENTRAL, TokenKind.NO_AUTHORIZATION))
"""What a person can show at a charger, the likeliest first."""
_KIND_MARK = "\x1f"


@dataclass(frozen=True, slots=True)
class IdToken:
    """A driver's token. `kind` is OCPP 2.x's token type, or None where the source knows no types.

    Tokens compare ignoring case (1.6 §4.1, 2.x C01.FR.25); two kinds must agree where both are known.
    """

    value: str
    kind: str | None = None

    def matches(self, other: IdToken) -> bool:
        """Whether both name the same driver."""
        if self.folded != other.folded:
            return False
        return self.kind is None or other.kind is None or self.kind == other.kind

    @property
    def folded(self) -> str:
        """The value alone, whatever its case."""
        return self.value.casefold()

    @property
    def key(self) -> str:
        """The token as a look-up key: two kinds of one value have two keys."""
        return self.folded if self.kind is None else f"{self.folded}{_KIND_MARK}{self.kind}"

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of every token that could be this one, the best first: itself; then, of a token of a kind, the one
        that has none, and of one without, those of each kind that a person can show."""
        if self.kind is not None:
            return self.key, self.folded
        return self.folded, *(f"{self.folded}{_KIND_MARK}{kind}" for kind in SHOWN_KINDS)

    @property
    def secret(self) -> bool:
        """Whether the value alone opens: a code that was typed in is shown to nobody, not even in part (C04.FR.04)."""
        return self.kind == TokenKind.KEY_CODE

    def masked(self) -> str:
        """The token for people: its last four characters."""
        return f"**{self.value[-4:]}" if len(self.value) > 4 and not self.secret else "**"

    def __repr__(self) -> str:
        return f"IdToken({self.masked()})"


@dataclass(frozen=True, slots=True)
class SecretText:
    """A text that nobody is shown: no log, no topic, no archive and no answer. `literal`: it is its characters, also
    where the site writes bytes in hexadecimal."""

    value: str
    literal: bool = False

    def __repr__(self) -> str:
        return "SecretText(...)"


class AuthorizationStatus(StrEnum):
    """What a list, a cache or the CSMS says of a token. Only Accepted lets anybody charge."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    CONCURRENT_TX = "ConcurrentTx"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    NO_CREDIT = "NoCredit"
    NOT_ALLOWED_TYPE_EVSE = "NotAllowedTypeEVSE"
    NOT_AT_THIS_LOCATION = "NotAtThisLocation"
    NOT_AT_THIS_TIME = "NotAtThisTime"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class PersonalMessage:
    """What a display is to show to a driver. `format`: 2.x's word for how the text is written; `language`: RFC 5646."""

    text: str
    format: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class IdTokenInfo:
    """The answer to "may this token charge". `group` is 1.6's parentIdTag, 2.x's groupIdToken.

    `evses`: the only EVSEs where it may (C01.FR.21), empty: all. `languages`: the driver's, the preferred first.
    """

    status: AuthorizationStatus
    group: IdToken | None = None
    expires_at: datetime | None = None
    evses: tuple[int, ...] = ()
    languages: tuple[str, ...] = ()
    message: PersonalMessage | None = None


@dataclass(frozen=True, slots=True)
class RequestRef:
    """Who waits for an answer.

    `channel` is "csms", "mqtt:ACTOR" or "local"; `id` is unique within the channel; `action` is the channel's own
    name of the command, so that the answer can be encoded without a second memory. `name`: what the asker calls the
    request, for the log.
    """

    channel: str
    id: str
    action: str = ""
    name: str = field(default="", compare=False)


def same_group(one: IdToken | None, other: IdToken | None) -> bool:
    """Whether two group tokens are known and equal (group compares with group only, 16-GEN-07)."""
    return one is not None and other is not None and one.matches(other)
