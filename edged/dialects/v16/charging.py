"""SmartCharging: commands in, answers out. 1.6 §3.13, 5.5, 5.7, 5.16.

A schedule without a start counts from the start of charging (§7.13, startSchedule): it is Relative, whatever kind it
says. The station as a whole starts no charging: there only a schedule that always says the same can be meant, and it
holds from ever. A Relative schedule's own start means nothing. Whether anything else makes sense is for the core.

1.6 cannot express: why a profile was rejected, an EVSE (a connector's number is told instead), several schedules, which
phase is to be used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from edged.dialects.fields import Unreadable, read_bound, read_whole
from edged.dialects.times import format_time
from edged.domain.answers import ClearStatus, ProfileStatus, Verdict
from edged.domain.charging import (
    ChargingProfile,
    ChargingSchedule,
    CompositeSchedule,
    ProfileKind,
    ProfilePurpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from edged.domain.charging_commands import ClearChargingProfile, GetCompositeSchedule, SetChargingProfile
from edged.domain.effects import Reply
from edged.domain.events import Event
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import ErrorCode

EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
PURPOSES: Final[Mapping[str, ProfilePurpose]] = {
    "ChargePointMaxProfile": ProfilePurpose.STATION_MAX,
    "TxDefaultProfile": ProfilePurpose.TX_DEFAULT,
    "TxProfile": ProfilePurpose.TX,
}


# --- profiles


def read_profile(told: Mapping[str, Any], place: str) -> ChargingProfile | CallRefused:
    """A profile as the schema has let it in. A time that cannot be read is refused, with its `place`."""
    schedule = told["chargingSchedule"]
    try:
        valid_from = read_bound(told, "validFrom", f"{place}.")
        valid_to = read_bound(told, "validTo", f"{place}.")
        start = read_bound(schedule, "startSchedule", f"{place}.chargingSchedule.")
    except Unreadable as error:
        return error.refused
    kind = ProfileKind(told["chargingProfileKind"])
    purpose = PURPOSES[told["chargingProfilePurpose"]]
    periods = tuple(_period(period) for period in schedule["chargingSchedulePeriod"])
    duration_s = read_whole(schedule, "duration")
    if kind is ProfileKind.RELATIVE:
        start = None
    elif kind is ProfileKind.ABSOLUTE and start is None:
        if purpose is not ProfilePurpose.STATION_MAX:
            kind = ProfileKind.RELATIVE
        elif len(periods) == 1 and duration_s is None:
            start = EVER
    recurrency = told.get("recurrencyKind")
    return ChargingProfile(
        id=int(told["chargingProfileId"]),
        stack_level=int(told["stackLevel"]),
        purpose=purpose,
        kind=kind,
        recurrency=None if recurrency is None else Recurrency(recurrency),
        valid_from=valid_from,
        valid_to=valid_to,
        schedule=ChargingSchedule(
            unit=RateUnit(schedule["chargingRateUnit"]),
            periods=periods,
            duration_s=duration_s,
            start=start,
            min_rate=None if "minChargingRate" not in schedule else float(schedule["minChargingRate"]),
        ),
    )


def _period(told: Mapping[str, Any]) -> SchedulePeriod:
    return SchedulePeriod(
        start_s=int(told["startPeriod"]), limit=float(told["limit"]), phases=read_whole(told, "numberPhases")
    )


# --- commands


def _set(payload: Payload, request: RequestRef) -> Event | CallRefused:
    told = payload["csChargingProfiles"]
    profile = read_profile(told, "csChargingProfiles")
    if isinstance(profile, CallRefused):
        return profile
    return SetChargingProfile(
        request=request,
        connector=int(payload["connectorId"]),
        profile=profile,
        external_ref=read_whole(told, "transactionId"),
    )


def _clear(payload: Payload, request: RequestRef) -> Event:
    purpose = payload.get("chargingProfilePurpose")
    return ClearChargingProfile(
        request=request,
        profile_id=read_whole(payload, "id"),
        connector=read_whole(payload, "connectorId"),
        purpose=None if purpose is None else PURPOSES[purpose],
        stack_level=read_whole(payload, "stackLevel"),
    )


def _compose(payload: Payload, request: RequestRef) -> Event:
    unit = payload.get("chargingRateUnit")
    return GetCompositeSchedule(
        request=request,
        connector=int(payload["connectorId"]),
        duration_s=int(payload["duration"]),
        unit=None if unit is None else RateUnit(unit),
    )


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "ClearChargingProfile": _clear,
    "GetCompositeSchedule": _compose,
    "SetChargingProfile": _set,
}


# --- answers


def _was_set(reply: Reply) -> Payload | CallRefused:
    if reply.status is ProfileStatus.UNKNOWN_EVSE:
        return CallRefused(ErrorCode.PROPERTY, "connectorId: there is no such connector")
    return {"status": ProfileStatus(reply.status).value}


def _was_cleared(reply: Reply) -> Payload:
    return {"status": ClearStatus(reply.status).value}


def _composed(reply: Reply) -> Payload:
    """The schedule's start is told once, beside it (E3.57)."""
    payload: Payload = {"status": Verdict(reply.status).value}
    if isinstance(reply.data, CompositeSchedule):
        found, schedule = reply.data, reply.data.schedule
        payload["connectorId"] = found.evse_id if found.connector is None else found.connector
        payload["scheduleStart"] = format_time(found.start)
        payload["chargingSchedule"] = {
            "duration": schedule.duration_s,
            "chargingRateUnit": schedule.unit.value,
            "chargingSchedulePeriod": [_told(period) for period in schedule.periods],
        }
    return payload


def _told(period: SchedulePeriod) -> Payload:
    told: Payload = {"startPeriod": period.start_s, "limit": period.limit}
    if period.phases is not None:
        told["numberPhases"] = period.phases
    return told


ENCODERS: Final[Mapping[str, Callable[[Reply], Payload | CallRefused]]] = {
    "ClearChargingProfile": _was_cleared,
    "GetCompositeSchedule": _composed,
    "SetChargingProfile": _was_set,
}
