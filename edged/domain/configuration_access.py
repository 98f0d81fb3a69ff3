"""Reading and changing configuration keys, from whatever side. One rule for the CSMS, the BMS and the site file.

AuthorizationKey and SecurityProfile are no settings but the way to the CSMS: `access` owns their rules and values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from edged.domain import access, key_watch, network, routes
from edged.domain.answers import ConfigurationReport, KeyReport, Reason
from edged.domain.commands import GetConfiguration, SetConfiguration
from edged.domain.configuration import (
    REGISTRY,
    ConfigKey,
    ConfigurationStatus,
    KeyKind,
    Mutability,
    normalize,
    wanted,
)
from edged.domain.metering import measurands_of
from edged.domain.security_event import SecurityEvent, note
from edged.domain.station import Station
from edged.domain.transition import Draft, put

_WHOLE = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
PASSWORD = "AuthorizationKey"
PROFILE = "SecurityProfile"
ORGANIZATION = "CpoName"
TIME_SOURCE = "TimeSource"
_FOLLOWS = {
    "TxEndedSampleInterval": "MeterValueSampleInterval",
    "TxEndedAlignedInterval": "ClockAlignedDataInterval",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a change: `detail` says why for people, `reason` for machines."""

    status: ConfigurationStatus
    detail: str = ""
    reason: str = ""


_ACCEPTED = Outcome(ConfigurationStatus.ACCEPTED)


def change(draft: Draft, event: SetConfiguration) -> None:
    """Kept before it is answered; whoever needs the value reads it from the station from now on."""
    key = draft.station.configuration.find(event.key)
    if key is None:
        draft.reply(event.request, ConfigurationStatus.NOT_SUPPORTED, "no such key")
        return
    if event.custom_only and not key.custom:
        detail = "it is a key of the standard"
        draft.reply(event.request, ConfigurationStatus.REJECTED, detail)
        return
    outcome = put_value(draft, key, event.value, changed_by=event.request.channel)
    draft.reply(event.request, outcome.status, outcome.detail, reason=outcome.reason)


def put_value(draft: Draft, key: ConfigKey, value: str, *, changed_by: str) -> Outcome:
    """Change one key, or say why not. What was changed is announced; a password's value is told to nobody."""
    if mutability(draft.station, key) is Mutability.READ_ONLY:
        return _refusal(Reason.READ_ONLY, "the key is read-only")
    kept = checked(draft.station, key, value)
    if kept is None:
        return flaw(draft.station, key, value)
    if key.name in (PASSWORD, PROFILE):
        return _change_access(draft, key, kept, changed_by)
    problem = network.priority_flaw(draft.station, kept) if key.name == routes.PRIORITY else None
    if problem is not None:
        return _refusal(*problem)
    configuration = draft.station.configuration
    if configuration.text(key.name) != kept:
        draft.update(configuration=replace(configuration, changed=put(configuration.changed, key.name, kept)))
        _announce(draft, key, kept, changed_by)
        if key.name == ORGANIZATION:
            note(draft, SecurityEvent.RECONFIGURATION, key.name)
    return Outcome(ConfigurationStatus.REBOOT_REQUIRED) if key.reboot else _ACCEPTED


def put_literal_password(draft: Draft, value: str, *, changed_by: str) -> Outcome:
    """A password in 2.x's words, which has been found to be one."""
    access.change_literal_password(draft, value)
    _announce(draft, REGISTRY[PASSWORD.casefold()], value, changed_by)
    return _ACCEPTED


def _change_access(draft: Draft, key: ConfigKey, value: str, changed_by: str) -> Outcome:
    """Accepted means kept: the CSMS believes in the new password from then on."""
    change_way = access.change_password if key.name == PASSWORD else access.change_profile
    problem = change_way(draft, value)
    if problem is not None:
        return _refusal(Reason.INVALID_VALUE, problem)
    _announce(draft, key, value, changed_by)
    return _ACCEPTED


def _announce(draft: Draft, key: ConfigKey, value: str, changed_by: str) -> None:
    read_only = mutability(draft.station, key) is Mutability.READ_ONLY
    key_watch.changed(draft, key, value, by=changed_by, read_only=read_only)


def _refusal(reason: Reason, detail: str) -> Outcome:
    return Outcome(ConfigurationStatus.REJECTED, detail, reason.value)


def flaw(station: Station, key: ConfigKey, value: str) -> Outcome:
    """What is wrong with a value that the key does not allow."""
    detail = wanted(key, measurands_of(station))
    if key.kind in (KeyKind.INT, KeyKind.DECIMAL):
        return _refusal(_flaw_of_number(key, value.strip()), detail)
    long = key.kind is KeyKind.TEXT and not key.minimum <= len(value) <= key.maximum
    return _refusal(Reason.VALUE_OUT_OF_RANGE if long else Reason.INVALID_VALUE, detail)


def _flaw_of_number(key: ConfigKey, text: str) -> Reason:
    form = _WHOLE if key.kind is KeyKind.INT else _NUMBER
    if not form.fullmatch(text):
        return Reason.INVALID_VALUE
    return Reason.VALUE_TOO_LOW if float(text) < key.minimum else Reason.VALUE_TOO_HIGH


def checked(station: Station, key: ConfigKey, value: str) -> str | None:
    """The value as it would be kept, or None."""
    if key.name == PASSWORD and not access.usable(station, value):
        return None
    return normalize(key, value, connectors=len(station.connectors), measurands=measurands_of(station))


def mutability(station: Station, key: ConfigKey) -> Mutability:
    """Without a detachable cable the unlock key cannot be changed (E3.84), and a CSMS whose time the site does not
    trust cannot make itself its source."""
    if key.name == "UnlockConnectorOnEVSideDisconnect" and station.configuration.computed.get(key.name) == "false":
        return Mutability.READ_ONLY
    if key.name == TIME_SOURCE and not station.rules.time_from_csms:
        return Mutability.READ_ONLY
    return key.mutability


def read(draft: Draft, event: GetConfiguration) -> None:
    """The asked keys, or all of them; what is not known is named."""
    station = draft.station
    pairs = [(name, station.configuration.find(name)) for name in dict.fromkeys(event.keys)]
    known = {key.name: key for _, key in pairs if key is not None}
    found = tuple(known.values()) if event.keys else station.configuration.keys()
    unknown = tuple(name for name, key in pairs if key is None)
    report = ConfigurationReport(tuple(report_of(station, key) for key in found), unknown)
    draft.reply(event.request, ConfigurationStatus.ACCEPTED, data=report)


def report_of(station: Station, key: ConfigKey) -> KeyReport:
    """A key as it is shown to whoever asks."""
    hidden = key.mutability is Mutability.WRITE_ONLY
    return KeyReport(
        name=key.name,
        read_only=mutability(station, key) is Mutability.READ_ONLY,
        value=None if hidden else shown(station, key.name),
    )


def shown(station: Station, name: str) -> str:
    """The value in force of a key that may be read. One that was never set may follow another key."""
    if name == TIME_SOURCE and not station.rules.time_from_csms:
        return "NTP"
    if name == PROFILE:
        return str(access.security_profile(station))
    if name == routes.TIMEOUT:
        return str(routes.message_timeout_s(station))
    text = station.configuration.text(name)
    return station.configuration.text(_FOLLOWS[name]) if name in _FOLLOWS and not text else text
