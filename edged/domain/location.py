"""Whether an address that a CSMS names can be one of a file at all. What it leads to is for others to find out."""

from __future__ import annotations

import re
from typing import Final

from edged.domain.station import Station

MAX_CHARS: Final = 2048
_ADDRESS: Final = re.compile(r"([A-Za-z]{1,16})://([^/?#\s]+)([/?#]\S*)?", re.ASCII)


def usable(station: Station, location: str) -> bool:
    """A protocol that the station says it speaks (SupportedFileTransferProtocols), and a host."""
    found = _ADDRESS.fullmatch(location) if len(location) <= MAX_CHARS and location.isprintable() else None
    if found is None:
        return False
    protocols = station.configuration.text("SupportedFileTransferProtocols").split(",")
    host = found[2].rpartition("@")[2]
    return found[1].upper() in protocols and host != "" and not host.startswith(":")
