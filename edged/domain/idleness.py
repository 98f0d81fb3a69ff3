"""Whether anything is going on that a reset could disturb. 2.x B11.FR.07, B12.FR.01. Queries only."""

from __future__ import annotations

from edged.domain.files import UploadStatus
from edged.domain.pending import PendingSigning, PendingToken
from edged.domain.places import connectors_of, in_force, shown_reserved
from edged.domain.station import Station


def is_idle(station: Station) -> bool:
    """No session on any connector, nothing reserved, no file under way, no request that waits for its answer. A signed
    certificate may be waited for through a restart."""
    return (
        not in_force(station)
        and not _files_under_way(station)
        and all(isinstance(pending, PendingSigning) for pending in station.pending.values())
        and not any(_session(station, number) for number in station.connectors)
    )


def is_evse_idle(station: Station, evse: int) -> bool:
    """No session on the EVSE, and it is kept for nobody."""
    numbers = connectors_of(station, evse)
    return not any(_session(station, n) or shown_reserved(station, n) or station.seized(n) for n in numbers)


def _session(station: Station, number: int) -> bool:
    """Somebody charges, was let in, is being judged, or has still to come for the cable."""
    connector = station.connectors[number]
    judged = any(isinstance(p, PendingToken) and p.connector == number for p in station.pending.values())
    begun = connector.transaction_id is not None or connector.authorization is not None
    return begun or judged or connector.cable_kept


def _files_under_way(station: Station) -> bool:
    update, upload = station.firmware, station.upload
    updating = update is not None and not update.over and (update.waiting or update.ticket is not None)
    return updating or (upload is not None and upload.status is UploadStatus.UPLOADING)
