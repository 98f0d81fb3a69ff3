"""Reading and changing configuration keys, from whatever side. One rule for the CSMS, the BMS and the site file.

AuthorizationKey and SecurityProfile are no settings but the way to the CSMS: `access` owns their rules and values.
"""

from __future__ import annotations

from dataclasses import replace

from edged.domain import access
from edged.domain.answers import ConfigurationReport, KeyReport
from edged.domain.commands import GetConfiguration, SetConfiguration
from edged.domain.configuration import (
    REGISTRY,
    ConfigKey,
    ConfigurationStatus,
    Mutability,
    find_key,
    normalize,
)
from edged.domain.metering import measurands_of
from edged.domain.security_event import SecurityEvent, note
from edged.domain.station import Station
from edged.domain.transition import Draft, put

PASSWORD = "AuthorizationKey"
PROFILE = "SecurityProfile"
ORGANIZATION = "CpoName"
MAX_ORGANIZATION_CHARS = 64
"""CpoName is the organization in the station's certificate, which has room for no more (X.520)."""


def change(draft: Draft, event: SetConfiguration) -> None:
    """Kept before it is answered; whoever needs the value reads it from the station from now on."""
    key = find_key(event.key)
    if key is None:
        draft.reply(event.request, ConfigurationStatus.NOT_SUPPORTED, "no such key")
        return
    if key.name in (PASSWORD, PROFILE):
        _change_access(draft, event, key)
        return
    value = None
    if _mutability(draft.station, key) is not Mutability.READ_ONLY:
        value = checked(draft.station, key, event.value)
    if value is None:
        draft.reply(event.request, ConfigurationStatus.REJECTED, "read-only, or not a value that the key allows")
        return
    configuration = draft.station.configuration
    if configuration.text(key.name) != value:
        draft.update(configuration=replace(configuration, changed=put(configuration.changed, key.name, value)))
        _announce(draft, event, key, value)
        if key.name == ORGANIZATION:
            note(draft, SecurityEvent.RECONFIGURATION, key.name)
    draft.reply(event.request, ConfigurationStatus.REBOOT_REQUIRED if key.reboot else ConfigurationStatus.ACCEPTED)


def _change_access(draft: Draft, event: SetConfiguration, key: ConfigKey) -> None:
    """Accepted means kept: the CSMS believes in the new password from then on. The value is told to nobody."""
    value = checked(draft.station, key, event.value)
    if value is None:
        draft.reply(event.request, ConfigurationStatus.REJECTED, "not a value that the key allows")
        return
    change_way = access.change_password if key.name == PASSWORD else access.change_profile
    problem = change_way(draft, value)
    if problem is not None:
        draft.reply(event.request, ConfigurationStatus.REJECTED, problem)
        return
    _announce(draft, event, key, value)
    draft.reply(event.request, ConfigurationStatus.ACCEPTED)


def _announce(draft: Draft, event: SetConfiguration, key: ConfigKey, value: str) -> None:
    visible = None if key.mutability is Mutability.WRITE_ONLY else value
    draft.announce("config.key_changed", None, key=key.name, value=visible, changed_by=event.request.channel)


def checked(station: Station, key: ConfigKey, value: str) -> str | None:
    """The value as it would be kept, or None."""
    if key.name == PASSWORD and not access.usable(station, value):
        return None
    if key.name == ORGANIZATION and len(value) > MAX_ORGANIZATION_CHARS:
        return None
    return normalize(key, value, connectors=len(station.connectors), measurands=measurands_of(station))


def _mutability(station: Station, key: ConfigKey) -> Mutability:
    """Without a detachable cable the unlock key cannot be changed (E3.84)."""
    if key.name == "UnlockConnectorOnEVSideDisconnect" and station.configuration.computed.get(key.name) == "false":
        return Mutability.READ_ONLY
    return key.mutability


def read(draft: Draft, event: GetConfiguration) -> None:
    """The asked keys, or all of them; what is not known is named."""
    station = draft.station
    pairs = [(name, find_key(name)) for name in dict.fromkeys(event.keys)]
    known = {key.name: key for _, key in pairs if key is not None}
    found = tuple(known.values()) if event.keys else tuple(REGISTRY.values())
    unknown = tuple(name for name, key in pairs if key is None)
    report = ConfigurationReport(tuple(_report(station, key) for key in found), unknown)
    draft.reply(event.request, ConfigurationStatus.ACCEPTED, data=report)


def _report(station: Station, key: ConfigKey) -> KeyReport:
    hidden = key.mutability is Mutability.WRITE_ONLY
    return KeyReport(
        name=key.name,
        read_only=_mutability(station, key) is Mutability.READ_ONLY,
        value=None if hidden else shown(station, key.name),
    )


def shown(station: Station, name: str) -> str:
    """The value in force of a key that may be read."""
    return str(access.security_profile(station)) if name == PROFILE else station.configuration.text(name)
