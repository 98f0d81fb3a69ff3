"""From an installer's words to a fresh `Station`: its shape, its first values, nothing of its past.

Knows settings and the core. What the chargers can do comes in as `ChargerFacts`; who found that out is not asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from edged.domain.configuration import Configuration, normalize, wanted
from edged.domain.configuration_names import site_key
from edged.domain.hardware import Action, Capability, Measurand
from edged.domain.station import Boot, Connector, ConnectorLayout, Identity, SiteRules, Station, Vendor
from edged.domain.types import Now
from edged.ocpp.dialect import Dialect, computed_for
from edged.settings.model import CsmsSettings, GatewaySettings, PasswordEncoding, StationSettings, TimeSource

DEFAULT_MAX_MA = 32_000
DEFAULT_MIN_MA = 6_000
NO_VENDORS: Mapping[str, Vendor] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerFacts:
    """What a charger's profile and its wires say of it. `max_current_ma`: the smaller of the site's and the profile's,
    if any. Below `min_current_ma` it can only stop. `reset_marks`: as in `ConnectorLayout`."""

    capabilities: frozenset[Capability]
    measurands: frozenset[Measurand]
    connector_type: str
    phases: int = 3
    voltage_v: float = 230.0
    max_current_ma: int | None = None
    min_current_ma: int = DEFAULT_MIN_MA
    reset_marks: Mapping[Action, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BadValue:
    """A first value of the site file that its key does not allow."""

    key: str
    sentence: str


def layouts(settings: StationSettings, facts: Mapping[str, ChargerFacts]) -> tuple[ConnectorLayout, ...]:
    """The connectors, numbered through the station in the order of the file."""
    found: list[ConnectorLayout] = []
    for evse_id, evse in enumerate(settings.evses, start=1):
        charger = facts[evse.charger]
        for connector_id, connector in enumerate(evse.connectors, start=1):
            found.append(
                ConnectorLayout(
                    number=len(found) + 1,
                    evse_id=evse_id,
                    connector_id=connector_id,
                    charger=evse.charger,
                    connector_type=connector.type or charger.connector_type,
                    capabilities=charger.capabilities,
                    measurands=charger.measurands,
                    phases=charger.phases,
                    voltage_v=charger.voltage_v,
                    max_current_ma=charger.max_current_ma or DEFAULT_MAX_MA,
                    min_current_ma=charger.min_current_ma,
                    reset_marks=charger.reset_marks,
                )
            )
    return tuple(found)


def fresh_station(
    settings: StationSettings,
    gateway: GatewaySettings,
    facts: Mapping[str, ChargerFacts],
    dialect: Dialect,
    *,
    boot: Boot,
    now: Now,
    firmware_version: str,
    vendors: Mapping[str, Vendor] = NO_VENDORS,
    installs_firmware: bool = False,
) -> Station:
    """The station as its file describes it, before anything was ever kept of it."""
    shapes = layouts(settings, facts)
    site, _ = first_values(settings, shapes)
    return Station(
        identity=Identity(
            id=settings.id,
            vendor=settings.vendor,
            model=settings.model,
            serial_number=settings.serial_number,
            firmware_version=firmware_version,
        ),
        policy=dialect.policy,
        rules=SiteRules(
            offline_tokens=settings.offline_tokens,
            hard_reset=gateway.hard_reset,
            time_from_csms=gateway.time_source is TimeSource.CSMS,
            security_profile=settings.csms.security_profile,
            has_password=settings.csms.password is not None,
            has_root=settings.csms.ca_file is not None,
            has_client_certificate=settings.csms.client_certificate is not None,
            client_hashes=() if settings.csms.client_certificate is None else settings.csms.client_certificate.names,
            credentials_digest=credentials_digest(settings.csms),
            hex_password=settings.csms.password_encoding is PasswordEncoding.HEX,
            vendors=vendors,
            installs_firmware=installs_firmware,
            has_display=settings.display,
        ),
        boot=boot,
        configuration=Configuration(
            changed={},
            site=site,
            computed=computed_for(dialect, shapes),
            custom={key.name.casefold(): key for key in settings.custom_keys},
        ),
        connectors={shape.number: Connector(layout=shape, capabilities=shape.capabilities) for shape in shapes},
        wall_kept=boot.floor,
        clock=now,
    )


def credentials_digest(csms: CsmsSettings) -> str:
    """Changes when the installer changes where to go or what shows who we are; not with a key that is not written,
    so that a later edged with more of them does not mistake itself for an installer."""
    certificate = csms.client_certificate
    words = {
        "url": csms.url,
        "secure_url": csms.secure_url,
        "security_profile": csms.security_profile,
        "password": None if csms.password is None else csms.password.reveal(),
        "hex": csms.password_encoding is PasswordEncoding.HEX or None,
        "client_certificate": None if certificate is None else [str(certificate.cert), str(certificate.key)],
    }
    written = {name: word for name, word in words.items() if word is not None}
    return hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()


def first_values(
    settings: StationSettings, shapes: tuple[ConnectorLayout, ...]
) -> tuple[dict[str, str], tuple[BadValue, ...]]:
    """The site's values under their canonical names, and those that a key does not allow."""
    measurands = frozenset(measurand.value for shape in shapes for measurand in shape.measurands)
    good: dict[str, str] = {}
    bad: list[BadValue] = []
    for name, value in settings.configuration.items():
        key = site_key(name)
        if key is None:
            bad.append(BadValue(name, "no such configuration key"))
            continue
        kept = normalize(key, value, connectors=len(shapes), measurands=measurands)
        if kept is None:
            bad.append(BadValue(key.name, wanted(key, measurands)))
        else:
            good[key.name] = kept
    return good, tuple(bad)
