"""Whose word a connector's limit is: the installation's, local people's or the CSMS's. The lowest holds.

Pure queries; what the limits come to is `limits`'s. A limit of the station is one that its connectors share: what is
shown of it here is all of it, for that is the most that any of them may have.
"""

from __future__ import annotations

from enum import StrEnum

from edged.domain.charging import ProfilePurpose
from edged.domain.station import Connector, Station


class LimitOwner(StrEnum):
    INSTALLATION = "installation"
    LOCAL = "local"
    CSMS = "csms"


def local_ma(station: Station, connector: Connector) -> int:
    """What local people have set for the connector, its EVSE or the station, within what the installation allows."""
    lowest_ma = connector.layout.max_current_ma
    for one in station.charging_profiles.values():
        if one.profile.purpose is ProfilePurpose.EXTERNAL and one.evse_id in (0, connector.layout.evse_id):
            lowest_ma = min(lowest_ma, round(one.profile.schedule.periods[0].limit * 1000))
    return lowest_ma


def csms_ma(station: Station, connector: Connector) -> int | None:
    """What the CSMS's charging profiles say; None: nothing."""
    alone = station.limits.csms_ma if station.limits is not None else None
    return connector.allowed_ma if alone is None else alone.get(connector.number)


def source(station: Station, connector: Connector) -> LimitOwner:
    """Whose limit is in force. Where two say the same it is the CSMS's."""
    allowed_ma, installed_ma = connector.allowed_ma, connector.layout.max_current_ma
    if allowed_ma is None or allowed_ma >= installed_ma:
        return LimitOwner.INSTALLATION
    by_csms_ma = csms_ma(station, connector)
    return LimitOwner.CSMS if by_csms_ma is not None and by_csms_ma <= allowed_ma else LimitOwner.LOCAL
