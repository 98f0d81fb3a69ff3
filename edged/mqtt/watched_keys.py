"""The configuration keys that local people watch, as retained documents (docs/mqtt). Pure.

Invariant: the value of a key that nobody may read, or that shows who the station is, is never in a document.
"""

from __future__ import annotations

from typing import Final

from edged.domain.configuration import Mutability
from edged.domain.configuration_access import report_of
from edged.domain.station import Station
from edged.mqtt.documents import Document

CREDENTIALS: Final = frozenset({"SecurityProfile"})
"""Keys beside the write-only ones that say how the station shows who it is: the CSMS's and the site file's."""


def watched_keys(station: Station) -> dict[str, Document]:
    """By the key's name. A key that the installer has taken away since is not shown any more."""
    documents: dict[str, Document] = {}
    for name, changed_by in station.monitored_keys.items():
        key = station.configuration.find(name)
        if key is None:
            continue
        report = report_of(station, key)
        hidden = key.mutability is Mutability.WRITE_ONLY or key.name in CREDENTIALS
        body = {
            "key": key.name,
            "value": None if hidden else report.value,
            "read_only": report.read_only,
            "redacted": hidden,
            "changed_by": changed_by or None,
        }
        documents[key.name] = Document(body=body, at=station.clock.utc)
    return documents
