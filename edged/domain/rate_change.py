"""When a change of what a car may take is worth telling. 2.x K11 to K13, LimitChangeSignificance.

Invariant: what was told of a charging transaction's limit last and what is in force are less apart than is
significant, but while the queue for the CSMS has grown too long: then the next that is told catches up.
"""

from __future__ import annotations

from edged.domain import metering
from edged.domain.limits import current_ma
from edged.domain.policy import Trigger
from edged.domain.station import Station, ToldLimit
from edged.domain.transition import Draft


def is_significant(station: Station, *, before: float, now: float) -> bool:
    """Whether a limit has changed by as many percent as are significant; from nothing to anything is."""
    if before == now:
        return False
    percent = station.configuration.decimal("LimitChangeSignificance")
    return before == 0 or abs(now - before) * 100 >= percent * before


def refresh(draft: Draft) -> None:
    """Tell of each transaction whose limit has changed since it was told, or since its car may charge."""
    for number, connector in draft.station.connectors.items():
        known, charging = connector.told_limit, draft.station.charges(number)
        if charging is None:
            if known is not None:
                draft.change(number, told_limit=None)
            continue
        limit_ma = current_ma(connector)
        if known is not None and known.transaction_id == charging.id:
            full = draft.station.queued >= metering.MAX_QUEUED
            if full or not is_significant(draft.station, before=known.limit_ma, now=limit_ma):
                continue
            metering.update(draft, number, Trigger.CHARGING_RATE_CHANGED)
        draft.change(number, told_limit=ToldLimit(charging.id, limit_ma))
