"""The installer's words that this room needs, already checked: no defaults are looked up anywhere else.

Pure. The composition root fills these from the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edged.mqtt.names import Names


class Protocol(StrEnum):
    """The version to speak. AUTO: 5, and 3.1.1 where the broker says that it does not speak 5."""

    AUTO = "auto"
    V5 = "5"
    V311 = "3.1.1"


class IdTokenPolicy(StrEnum):
    """How a driver's token is shown: it is personal data."""

    MASKED = "masked"
    FULL = "full"
    HASH = "hash"
    NONE = "none"


class Quality(StrEnum):
    """What a measured document is worth."""

    GOOD = "good"
    STALE = "stale"
    INVALID = "invalid"
    SUBSTITUTED = "substituted"


class PointForm(StrEnum):
    """How a point is written: not at all, the bare value, or {value, timestamp, quality}."""

    OFF = "off"
    SCALAR = "scalar"
    OBJECT = "object"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """`ca_file` None: the system's authorities. `insecure`: the broker's name and certificate are not checked."""

    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions:
    """Where the broker is and who we are to it. `ack_timeout_s`: how long a broker may acknowledge nothing."""

    host: str
    port: int
    client_id: str
    protocol: Protocol = Protocol.AUTO
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: TlsOptions | None = None
    keepalive_s: int = 15
    connect_timeout_s: float = 5.0
    connack_timeout_s: float = 10.0
    ack_timeout_s: float = 30.0
    backoff_first_s: float = 0.5
    backoff_last_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOptions:
    """`actors`: who may send which commands; `*` stands for all. No actors: commands are off.

    `rate_per_s` and `burst` bound each actor; `in_progress` bounds all together.
    """

    actors: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rate_per_s: float = 5.0
    burst: int = 20
    in_progress: int = 64

    def allows(self, actor: str, command: str) -> bool:
        granted = self.actors.get(actor, frozenset())
        return "*" in granted or command in granted


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorOptions:
    """The whole of `mqtt:` that the mirror acts on. `home_assistant`: the prefix of its discovery, None: it is told
    nothing."""

    broker: BrokerOptions
    names: Names
    id_tokens: IdTokenPolicy = IdTokenPolicy.MASKED
    points: PointForm = PointForm.OFF
    raw_ocpp: bool = False
    commands: CommandOptions = field(default_factory=CommandOptions)
    home_assistant: str | None = None
    heartbeat_s: float = 30.0
    health_s: float = 60.0
