"""Reading a site: the configuration together with the profiles, versions and commands that there are.

For `edged check` as for the daemon: what one accepts the other does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edged import settings
from edged.chargers.library import AnyProfile, load_any, profile_names, relay_names
from edged.chargers.profile import BusRules
from edged.chargers.profile_document import ProfileError, ProfileErrors
from edged.chargers.profile_terms import PointsBy, Transport
from edged.chargers.rapi import profile as rapi
from edged.chargers.relay_profile import RelayProfile
from edged.chargers.serial_ports import SerialPorts
from edged.dialects.versions import VERSIONS
from edged.mqtt.arguments import NOT_SERVED, SHAPES
from edged.ocpp.dialect import Dialect
from edged.settings import (
    Parity,
    ProfileFacts,
    SerialLine,
    Settings,
    SettingsError,
    SettingsWarning,
    StationSettings,
)
from edged.settings.model import PROFILES_FOLDER

SUPPORTED_VERSIONS = tuple(VERSIONS)
"""The OCPP versions that are built in, by their subprotocols."""
NOT_BUILT_IN = NOT_SERVED
"""What a configuration may say already and nothing here acts on yet."""
_TRANSPORTS = {Transport.RTU: "serial", Transport.TCP: "tcp", Transport.RTU_OVER_TCP: "rtu_over_tcp"}


def versions_of(station: StationSettings, last: str | None) -> tuple[Dialect, ...]:
    """What a station speaks: the version in force at first, then the others. `last`: the one that it spoke last, which
    counts as long as the site still offers it; else it is the site's first.

    All that the site offers is loaded here, before anything is served: what a CSMS may agree on later must not wait for
    files that an upgrade has taken away by then.
    """
    offered = [VERSIONS[name]() for name in station.csms.versions if name in VERSIONS]
    return tuple(sorted(offered, key=lambda dialect: dialect.subprotocol != last))


def load_site(
    path: Path, ports: SerialPorts | None = None, *, not_shown: list[SettingsError] | None = None
) -> Settings:
    """The configuration in `path`, checked against the profiles it names and the `ports` that this computer has.

    `not_shown`: gets what this user may not read, which the settings then are without; None: that is an error too.
    Raises `SettingsErrors`.
    """
    folder = profiles_dir(path)
    found = settings.load(
        path,
        profiles=lookup(folder),
        supported_versions=SUPPORTED_VERSIONS,
        profile_names=(*profile_names(folder), *relay_names()),
        known_commands=(*SHAPES, *NOT_SERVED),
        not_built_in=NOT_BUILT_IN,
        not_shown=not_shown,
    )
    return replace(found, warnings=(*found.warnings, *_port_warnings(found, path, ports or SerialPorts())))


def _port_warnings(found: Settings, path: Path, ports: SerialPorts) -> Iterator[SettingsWarning]:
    """Of ports whose name belongs to whichever adapter came first."""
    try:
        text = [line.partition("#")[0] for line in path.read_text("utf-8", "replace").splitlines()]
    except OSError:
        text = []
    own = {f"chargers.{name}.serial.port": each.line for name, each in found.chargers.items() if each.bus is None}
    for key, line in ({f"buses.{name}.serial": each for name, each in found.buses.items()} | own).items():
        lasting = ports.lasting_name(line.port) if isinstance(line, SerialLine) else None
        if lasting is not None and isinstance(line, SerialLine):
            number = next((i for i, each in enumerate(text, 1) if re.search(rf"{re.escape(line.port)}(?!\w)", each)), 0)
            yield SettingsWarning(
                str(path), number, key, f"{line.port} may be another adapter after a restart: write {lasting} instead"
            )


def profiles_dir(path: Path) -> Path:
    """The site's own profiles lie beside its configuration."""
    return path.absolute().parent / PROFILES_FOLDER


def lookup(folder: Path) -> Callable[[str], ProfileFacts | Sequence[SettingsError] | None]:
    """Facts by the name of a profile; each profile is read once."""
    names = {*profile_names(folder), *relay_names()}
    known: dict[str, ProfileFacts | Sequence[SettingsError]] = {}

    def find(name: str) -> ProfileFacts | Sequence[SettingsError] | None:
        if name not in names:
            return None
        if name not in known:
            try:
                known[name] = facts_of(load_any(name, folder))
            except ProfileErrors as wrong:
                known[name] = [settings_error(error) for error in wrong.errors]
        return known[name]

    return find


def settings_error(error: ProfileError) -> SettingsError:
    """A profile's mistake among those of a configuration."""
    return SettingsError(error.path, error.line, error.key_path, error.message, error.rule)


def profiles_of(settings: Settings) -> Mapping[str, AnyProfile]:
    """The profiles that a site uses, as they are on the disk now. Raises `ProfileErrors`."""
    names = sorted({charger.profile for charger in settings.chargers.values()})
    return {name: load_any(name, settings.profiles_dir) for name in names}


def facts_of(profile: AnyProfile) -> ProfileFacts:
    """What the check of a configuration needs of a profile."""
    if isinstance(profile, RelayProfile):
        return replace(_facts_of_line(profile.bus), relay_outputs=profile.outputs.count, charges=False)
    if isinstance(profile, rapi.RapiProfile):
        return ProfileFacts(
            connector_type=profile.connector_type,
            transports=frozenset(rapi.TRANSPORTS),
            addressed=False,
            baudrate=profile.baudrate,
            parity=Parity.NONE,
        )
    points = profile.points
    return replace(
        _facts_of_line(profile.bus),
        connector_type=profile.connector_type,
        points=points.count,
        unit_stride=points.stride if points.by is PointsBy.UNIT_ID else 0,
        port_stride=points.stride if points.by is PointsBy.PORT else 0,
    )


def _facts_of_line(bus: BusRules) -> ProfileFacts:
    return ProfileFacts(
        transports=frozenset(_TRANSPORTS[transport] for transport in bus.transports),
        unit_id=bus.unit_id,
        unit_ids=bus.unit_ids,
        port=bus.port,
        baudrate=bus.baudrate,
        parity=Parity(bus.parity),
        stopbits=bus.stopbits,
    )
