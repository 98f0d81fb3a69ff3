"""GetCompositeSchedule: what is to be expected of an EVSE or of the station. 1.6 §5.7, 2.x K08.

What the profiles come to is `limits`' matter; here it is looked through and told.
"""

from __future__ import annotations

from functools import partial

from edged.domain.answers import Reason, Verdict
from edged.domain.charging import ChargingSchedule, CompositeSchedule, RateUnit, SchedulePeriod
from edged.domain.charging_commands import GetCompositeSchedule
from edged.domain.limits import Outlook
from edged.domain.profile_flaws import NOT_ENABLED, STATION, Refusal, connectors_of, enabled, place_of, unit_allowed
from edged.domain.schedule import moment, second, tabulate
from edged.domain.station import Station
from edged.domain.transition import Draft

MAX_DURATION_S = 7 * 86_400
MAX_PERIODS = 500
MAX_STEPS = 3_000
"""A composite schedule is at most so long, has at most so many periods, and is reckoned in at most so many steps; what
is asked for beyond is left out, and the answer's duration says so."""


def compose(draft: Draft, event: GetCompositeSchedule) -> None:
    """The schedule to be expected of an EVSE from now on, as if it was in use, or of the station, as if all were
    (16-SC-14, 2.x K08). It starts with the running second. A duration that is none is Rejected."""
    station = draft.station
    evse_id = place_of(station, event)
    unit = event.unit or next((unit for unit in RateUnit if unit_allowed(station, unit)), RateUnit.AMPERES)
    refusal = _refusal(station, event, evse_id, unit)
    if refusal is not None or evse_id is None:
        reason, detail, _ = refusal or NOT_ENABLED
        draft.reply(event.request, Verdict.REJECTED, detail, reason=reason)
        return
    start_s = second(draft.now.utc)
    outlook = Outlook(station, start_s)
    places = _places(station, evse_id)
    found = tabulate(
        partial(outlook.total, places, unit) if evse_id == STATION else partial(outlook.one, places[0], unit),
        start_s=start_s,
        duration_s=min(event.duration_s, MAX_DURATION_S),
        max_periods=MAX_PERIODS,
        max_steps=MAX_STEPS,
    )
    phases = max(connector.layout.phases for connector in connectors_of(station, evse_id))
    schedule = ChargingSchedule(
        unit=unit,
        periods=tuple(SchedulePeriod(start_s=at_s, limit=limit, phases=phases) for at_s, limit in found.periods),
        duration_s=found.duration_s,
    )
    composite = CompositeSchedule(evse_id=evse_id, connector=event.connector, start=moment(start_s), schedule=schedule)
    draft.reply(event.request, Verdict.ACCEPTED, data=composite)


def _refusal(station: Station, event: GetCompositeSchedule, evse_id: int | None, unit: RateUnit) -> Refusal | None:
    if not enabled(station):
        return NOT_ENABLED
    if evse_id is None:
        return Refusal(Reason.UNKNOWN_EVSE, "there is no such connector")
    if event.duration_s <= 0:
        return Refusal(Reason.INVALID_VALUE, "there is no duration")
    return None if unit_allowed(station, unit) else Refusal(Reason.UNSUPPORTED_RATE_UNIT, "the unit is not supported")


def _places(station: Station, evse_id: int) -> tuple[int, ...]:
    """One connector for each EVSE: the one in use, else its first."""
    found: dict[int, int] = {}
    for connector in connectors_of(station, evse_id):
        if connector.layout.evse_id not in found or connector.transaction_id is not None:
            found[connector.layout.evse_id] = connector.number
    return tuple(found.values())
