"""From the settings' words to those of the rooms that they are for. Conversions only, nothing is decided."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from edged.chargers.library import ChargerProfile
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.profile import DeviceProfile
from edged.csms.backoff import BackOffPolicy
from edged.csms.endpoint import ConnectionSettings
from edged.domain import access
from edged.domain.certificate import trusted
from edged.domain.hardware import Action, Capability
from edged.domain.station import Station
from edged.settings import ChargerSettings, Line, ResetRelay, SerialLine, StationSettings, TcpLine
from edged.settings.model import CsmsSettings, PasswordEncoding
from edged.shape import DEFAULT_MAX_MA, DEFAULT_MIN_MA, ChargerFacts

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")


def bus_spec(line: Line) -> BusSpec:
    """A line of the settings as the field bus knows it."""
    if isinstance(line, SerialLine):
        return BusSpec(
            kind=LineKind.SERIAL,
            port=line.port,
            baudrate=line.baudrate,
            parity=line.parity.value,
            stopbits=line.stopbits,
        )
    kind = LineKind.TCP if isinstance(line, TcpLine) else LineKind.RTU_OVER_TCP
    return BusSpec(kind=kind, host=line.host, tcp_port=line.port)


def charger_facts(
    settings: ChargerSettings, profile: ChargerProfile, capabilities: frozenset[Capability]
) -> ChargerFacts:
    """A charger as a station's shape knows it. Without a word of the site it gets no more than a usual fuse."""
    max_ma, min_ma = settings.max_current_ma, DEFAULT_MIN_MA
    bounds_a = _bounds_a(profile)
    if bounds_a is not None:
        max_ma = min(max_ma or DEFAULT_MAX_MA, round(bounds_a[1] * 1000))
        min_ma = round(bounds_a[0] * 1000)
    return ChargerFacts(
        capabilities=capabilities,
        measurands=profile.measurands,
        connector_type=profile.connector_type,
        phases=settings.phases or profile.phases,
        voltage_v=settings.voltage_v,
        max_current_ma=max_ma,
        min_current_ma=min_ma,
        reset_marks=_reset_marks(settings, profile),
    )


def _bounds_a(profile: ChargerProfile) -> tuple[float, float] | None:
    """Least and most current; None where it cannot be limited."""
    if isinstance(profile, DeviceProfile):
        return None if profile.limit is None else (profile.limit.min_a, profile.limit.max_a)
    return profile.min_a, profile.max_a


def _reset_marks(settings: ChargerSettings, profile: ChargerProfile) -> Mapping[Action, frozenset[str]]:
    """What a reset of the charger takes along: a controller of several points, or all that is behind a relay."""
    marks = {Action.RESET_SOFT: frozenset[str](), Action.RESET_HARD: frozenset[str]()}
    for action in marks:
        steps = profile.actions.get(action.value) if isinstance(profile, DeviceProfile) else None
        if steps is not None and steps.affects_all_points:
            marks[action] |= {f"{settings.line} {settings.unit_id}"}
    if isinstance(settings.reset_relay, ResetRelay):
        marks[Action.RESET_HARD] |= {f"{settings.reset_relay.charger} {settings.reset_relay.output}"}
    return marks


def connection_settings(
    settings: StationSettings, subprotocols: tuple[str, ...], station: Station
) -> ConnectionSettings:
    """How to reach a station's CSMS: the site's word, and what the CSMS has made of it. Raises `CsmsSettingsError`."""
    csms, way, profile = settings.csms, access.way_of(station), access.security_profile(station)
    own = None if csms.password is None else csms.password.reveal()
    password = own if way.password is None else way.password.value
    literal = way.password is not None and way.password.literal
    encoding = PasswordEncoding.TEXT if literal else csms.password_encoding
    key_id = access.client_key(station) if profile == access.HIGHEST_PROFILE else None
    certificate, signed = csms.client_certificate, station.client_certificates.get(key_id or "")
    return ConnectionSettings(
        url=csms_url(csms, profile) if way.url is None else secured(way.url, profile),
        identity=settings.id,
        subprotocols=subprotocols,
        security_profile=profile,
        password=None if password is None else password_bytes(password, encoding),
        ca_file=csms.ca_file,
        roots=trusted(station),
        # the site's own way may rest on them; a root for later must not lock the station out
        system_roots=csms.ca_file is None and csms.security_profile >= 2,
        earliest=station.boot.floor if station.rules.time_from_csms and not station.clock.synchronized else None,
        client_files=None if certificate is None else (certificate.cert, certificate.key),
        client=None if signed is None else signed.shown,
        access=station.access.number,
    )


def csms_url(csms: CsmsSettings, profile: int) -> str:
    """The address at a security profile: from 2 on with TLS. Never without TLS where the installer wrote wss://."""
    if profile < 2:
        return csms.url
    if csms.secure_url is not None:
        return csms.secure_url
    return secured(csms.url, profile)


def secured(url: str, profile: int) -> str:
    """The same address, with TLS where the security profile needs it."""
    return urlunsplit(urlsplit(url)._replace(scheme="wss")) if profile >= access.TLS_PROFILE else url


def back_off_policy(station: Station) -> BackOffPolicy:
    """How long to wait between attempts to reach the CSMS, as the station's configuration says (20-J-04)."""
    return BackOffPolicy(
        minimum_s=station.configuration.number("RetryBackOffWaitMinimum"),
        random_s=station.configuration.number("RetryBackOffRandomRange"),
        repeat_times=station.configuration.number("RetryBackOffRepeatTimes"),
    )


def password_bytes(text: str, encoding: PasswordEncoding) -> bytes:
    """What a password's text stands for in the Basic header (16-J-05)."""
    if encoding is PasswordEncoding.HEX and _HEX.fullmatch(text):
        return bytes.fromhex(text)
    return text.encode()
