"""What the installer and the chargers' profiles make of a station: who it is, its rules, the shape of each place.

Data only, and the same for as long as the daemon runs. What becomes of a station over time is `station`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edged.domain.answers import TransferStatus
from edged.domain.credentials import CertificateHash
from edged.domain.effects import RestartScope
from edged.domain.hardware import Action, Capability, Measurand
from edged.domain.types import IdToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the station says of itself (BootNotification, MQTT info)."""

    id: str
    vendor: str
    model: str
    serial_number: str | None = None
    firmware_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """How a vendor's DataTransfers are answered. `messages`: the message ids that are taken, case-folded (none: all);
    `answer`: the data of the answer."""

    messages: frozenset[str] = frozenset()
    status: TransferStatus = TransferStatus.ACCEPTED
    answer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRules:
    """The installer's words that the core needs. `time_from_csms`: the CSMS's time makes the clock synchronized.

    `security_profile`, `has_*`: the site's own way to the CSMS; `credentials_digest` changes when the installer changes
    it. `client_hashes`: the names of the site's own client certificate, its issuer's key left open. `hex_password`:
    passwords are bytes in hexadecimal. `vendors`: whose DataTransfers are taken; keys case-folded. `installs_firmware`:
    there is a hook for it. `has_display`: somebody shows what MQTT says is to be shown.
    """

    offline_tokens: tuple[IdToken, ...] = ()
    hard_reset: RestartScope = RestartScope.SERVICE
    time_from_csms: bool = True
    security_profile: int = 0
    has_password: bool = False
    has_root: bool = False
    has_client_certificate: bool = False
    client_hashes: tuple[CertificateHash, ...] = ()
    credentials_digest: str = ""
    hex_password: bool = False
    vendors: Mapping[str, Vendor] = field(default_factory=dict)
    installs_firmware: bool = False
    has_display: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorLayout:
    """The shape of one connector, from the site file and the charger's profile.

    `number` counts through the station (1.6, MQTT), `evse_id`/`connector_id` are 2.x's. `max_current_ma` is what the
    installation allows: never exceeded; below `min_current_ma` the charger can only stop. `phases` are wired, each with
    `voltage_v` to neutral. Chargers that have one of their `reset_marks` for an action in common are reset
    together by it.
    """

    number: int
    evse_id: int
    connector_id: int
    charger: str
    connector_type: str
    capabilities: frozenset[Capability]
    measurands: frozenset[Measurand]
    phases: int = 3
    max_current_ma: int = 32_000
    min_current_ma: int = 6_000
    voltage_v: float = 230.0
    reset_marks: Mapping[Action, frozenset[str]] = field(default_factory=dict)
