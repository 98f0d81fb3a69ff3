"""Configuration keys that local people watch, and who changed them. Owns the list (kept) and the news of each change.

Every change of a key is announced, whoever makes it; of a watched one it is kept too who did. EVerest tells only what
the CSMS changed. Refuses to know how a key is shown (mqtt) and what its value may be (`configuration_access`).
Invariant: the value of a write-only key is told to nobody.
"""

from __future__ import annotations

from edged.domain.answers import MonitorReport
from edged.domain.configuration import ConfigKey, ConfigurationStatus, Mutability
from edged.domain.local_commands import MonitorConfiguration
from edged.domain.transition import Draft, put

NOBODY = ""


def monitor(draft: Draft, event: MonitorConfiguration) -> None:
    """Extend the list; what is on it already keeps its history. None named: the list as it is."""
    configuration = draft.station.configuration
    found = {name: configuration.find(name) for name in dict.fromkeys(event.keys)}
    fresh = {key.name: NOBODY for key in found.values() if key is not None}
    if fresh.keys() - draft.station.monitored_keys.keys():
        draft.update(monitored_keys={**fresh, **draft.station.monitored_keys})
    unknown = tuple(name for name, key in found.items() if key is None)
    report = MonitorReport(tuple(sorted(draft.station.monitored_keys)), unknown)
    draft.reply(event.request, ConfigurationStatus.ACCEPTED, data=report)


def changed(draft: Draft, key: ConfigKey, value: str, *, by: str, read_only: bool = False) -> None:
    """A key has another value now. `by`: "csms", "mqtt:ACTOR", "local"."""
    hidden = key.mutability is Mutability.WRITE_ONLY
    data = {"key": key.name, "value": None if hidden else value, "read_only": read_only, "changed_by": by}
    draft.announce("config.key_changed", None, **data)
    if draft.station.monitored_keys.get(key.name, by) != by:
        draft.update(monitored_keys=put(draft.station.monitored_keys, key.name, by))
