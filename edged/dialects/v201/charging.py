"""Smart charging: profiles in and out, what they come to, the site's own limits. 2.0.1 K01 to K14.

Whether a profile makes sense is the core's to say. 2.0.1 cannot express a profile that a charger cannot keep to, nor
that a report has to wait. ISO 15118 is not served: tariffs are read over, and of several schedules, between which only
such a car can choose, the core hears how many there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from edged.dialects.times import parse_time
from edged.domain.charging import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    ProfilePurpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import ErrorCode

SCHEDULE: Final = "chargingSchedule[0]"


# --- profiles in


def read_profile(told: Payload, where: str) -> ChargingProfile | CallRefused:
    """A profile as the schema has let it in; `where` it stands in its payload, for the refusal of a time that cannot be
    read. The transaction that it names is not part of it."""
    schedules = told["chargingSchedule"]
    first = schedules[0]
    try:
        valid_from = _time(told, "validFrom", where)
        valid_to = _time(told, "validTo", where)
        start = _time(first, "startSchedule", f"{where}.{SCHEDULE}")
    except _Unreadable as error:
        return error.refused
    recurrency = told.get("recurrencyKind")
    return ChargingProfile(
        id=int(told["id"]),
        stack_level=int(told["stackLevel"]),
        purpose=ProfilePurpose(told["chargingProfilePurpose"]),
        kind=ProfileKind(told["chargingProfileKind"]),
        recurrency=None if recurrency is None else Recurrency(recurrency),
        valid_from=valid_from,
        valid_to=valid_to,
        alternatives=len(schedules) - 1,
        schedule=ChargingSchedule(
            id=int(first["id"]),
            unit=RateUnit(first["chargingRateUnit"]),
            periods=tuple(_period(period) for period in first["chargingSchedulePeriod"]),
            duration_s=_whole(first, "duration"),
            start=start,
            min_rate=None if "minChargingRate" not in first else float(first["minChargingRate"]),
        ),
    )


def _period(told: Mapping[str, Any]) -> SchedulePeriod:
    return SchedulePeriod(
        start_s=int(told["startPeriod"]),
        limit=float(told["limit"]),
        phases=_whole(told, "numberPhases"),
        phase_to_use=_whole(told, "phaseToUse"),
    )


def _whole(fields: Mapping[str, Any], name: str) -> int | None:
    """A whole number, which may be written as 3.0."""
    return int(fields[name]) if name in fields else None


class _Unreadable(Exception):
    """A time that is none. Never leaves this module."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.refused = CallRefused(ErrorCode.TYPE, f"{field}: type dateTime")


def _time(fields: Mapping[str, Any], name: str, where: str) -> datetime | None:
    if name not in fields:
        return None
    moment = parse_time(fields[name])
    if moment is None:
        raise _Unreadable(f"{where}.{name}")
    return moment
