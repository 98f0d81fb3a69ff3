"""When a change of what a car may take is worth telling. 2.x K11 to K13, LimitChangeSignificance.

Invariant: what was told of a running transaction's limit last and what is in force are less apart than is significant.
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
    """Tell of each transaction whose limit has changed since it was told, or since the transaction began."""
    for number, connector in draft.station.connectors.items():
        if connector.transaction_id is None:
            continue
        limit_ma = current_ma(connector)
        known = connector.told_limit
        if known is not None and known.transaction_id == connector.transaction_id:
            if not is_significant(draft.station, before=known.limit_ma, now=limit_ma):
                continue
            metering.update(draft, number, Trigger.CHARGING_RATE_CHANGED)
        draft.change(number, told_limit=ToldLimit(connector.transaction_id, limit_ma))
