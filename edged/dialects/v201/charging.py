"""Smart charging: profiles in and out, what they come to, the site's own limits. 2.0.1 K01 to K14.

Whether a profile makes sense is the core's to say. 2.0.1 cannot express a profile that a charger cannot keep to, nor
that a report has to wait. ISO 15118 is not served: tariffs are read over, and of several schedules, between which only
such a car can choose, the core hears how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.dialects.fields import Unreadable, read_bound, read_whole
from edged.dialects.times import format_time
from edged.dialects.v201.words import with_info
from edged.domain.answers import ClearStatus, ProfileStatus, Reason, ReportStatus, Verdict
from edged.domain.charging import (
    ChargingProfile,
    ChargingSchedule,
    CompositeSchedule,
    InstalledProfile,
    LimitSource,
    ProfileGroup,
    ProfileKind,
    ProfilePurpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from edged.domain.charging_commands import (
    ClearChargingProfile,
    GetChargingProfiles,
    GetCompositeSchedule,
    SetChargingProfile,
)
from edged.domain.effects import LimitRecord, Reply, ReportPage
from edged.domain.events import Event
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import ErrorCode, Request

SCHEDULE: Final = "chargingSchedule[0]"


# --- profiles in


def read_profile(told: Payload, where: str) -> ChargingProfile | CallRefused:
    """A profile as the schema has let it in; `where` it stands in its payload, for the refusal of a time that cannot be
    read. The transaction that it names is not part of it."""
    schedules = told["chargingSchedule"]
    first = schedules[0]
    try:
        valid_from = read_bound(told, "validFrom", f"{where}.")
        valid_to = read_bound(told, "validTo", f"{where}.")
        start = read_bound(first, "startSchedule", f"{where}.{SCHEDULE}.")
    except Unreadable as error:
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
            duration_s=read_whole(first, "duration"),
            start=start,
            min_rate=None if "minChargingRate" not in first else float(first["minChargingRate"]),
        ),
    )


def _period(told: Mapping[str, Any]) -> SchedulePeriod:
    return SchedulePeriod(
        start_s=int(told["startPeriod"]),
        limit=float(told["limit"]),
        phases=read_whole(told, "numberPhases"),
        phase_to_use=read_whole(told, "phaseToUse"),
    )


# --- commands


def _set(payload: Payload, request: RequestRef) -> Event | CallRefused:
    told = payload["chargingProfile"]
    profile = read_profile(told, "chargingProfile")
    if isinstance(profile, CallRefused):
        return profile
    return SetChargingProfile(
        request=request, evse=int(payload["evseId"]), profile=profile, transaction_id=told.get("transactionId")
    )


def _clear(payload: Payload, request: RequestRef) -> Event:
    """An id alone counts (K10.FR.03)."""
    criteria = payload.get("chargingProfileCriteria", {})
    return ClearChargingProfile(
        request=request,
        profile_id=read_whole(payload, "chargingProfileId"),
        evse=read_whole(criteria, "evseId"),
        purpose=_purpose(criteria),
        stack_level=read_whole(criteria, "stackLevel"),
    )


def _compose(payload: Payload, request: RequestRef) -> Event:
    unit = payload.get("chargingRateUnit")
    return GetCompositeSchedule(
        request=request,
        evse=int(payload["evseId"]),
        duration_s=int(payload["duration"]),
        unit=None if unit is None else RateUnit(unit),
    )


def _report(payload: Payload, request: RequestRef) -> Event:
    criterion = payload["chargingProfile"]
    return GetChargingProfiles(
        request=request,
        request_id=int(payload["requestId"]),
        evse=read_whole(payload, "evseId"),
        purpose=_purpose(criterion),
        stack_level=read_whole(criterion, "stackLevel"),
        ids=tuple(int(number) for number in criterion.get("chargingProfileId", ())),
        sources=tuple(LimitSource(source) for source in criterion.get("chargingLimitSource", ())),
    )


def _purpose(criteria: Mapping[str, Any]) -> ProfilePurpose | None:
    told = criteria.get("chargingProfilePurpose")
    return None if told is None else ProfilePurpose(told)


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "ClearChargingProfile": _clear,
    "GetChargingProfiles": _report,
    "GetCompositeSchedule": _compose,
    "SetChargingProfile": _set,
}


# --- answers


def _answer(reply: Reply, payload: Payload) -> Payload | CallRefused:
    """Where smart charging is switched off, its messages are not supported (K01.FR.29)."""
    if reply.reason == Reason.NOT_ENABLED:
        return CallRefused(ErrorCode.NOT_SUPPORTED, reply.detail)
    return with_info(payload, reply)


def _was_set(reply: Reply, _station: Station) -> Payload | CallRefused:
    accepted = reply.status is ProfileStatus.ACCEPTED
    return _answer(reply, {"status": "Accepted" if accepted else "Rejected"})


def _was_cleared(reply: Reply, _station: Station) -> Payload | CallRefused:
    return _answer(reply, {"status": ClearStatus(reply.status).value})


def _is_reported(reply: Reply, _station: Station) -> Payload | CallRefused:
    if reply.status is ReportStatus.BUSY:
        return CallRefused(ErrorCode.GENERIC, reply.detail)
    return _answer(reply, {"status": ReportStatus(reply.status).value})


def _composed(reply: Reply, _station: Station) -> Payload | CallRefused:
    payload: Payload = {"status": Verdict(reply.status).value}
    if isinstance(reply.data, CompositeSchedule):
        found, schedule = reply.data, reply.data.schedule
        payload["schedule"] = {
            "evseId": found.evse_id,
            "duration": schedule.duration_s,
            "scheduleStart": format_time(found.start),
            "chargingRateUnit": schedule.unit.value,
            "chargingSchedulePeriod": [_write_period(period) for period in schedule.periods],
        }
    return _answer(reply, payload)


ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {
    "ClearChargingProfile": _was_cleared,
    "GetChargingProfiles": _is_reported,
    "GetCompositeSchedule": _composed,
    "SetChargingProfile": _was_set,
}


# --- what is told


def encode_page(page: ReportPage, _station: Station) -> Request | None:
    """ReportChargingProfiles: one group (K09.FR.02)."""
    if not page.items or not isinstance(page.items[0], ProfileGroup):
        return None
    group = page.items[0]
    payload: Payload = {
        "requestId": page.request_id,
        "chargingLimitSource": group.source.value,
        "evseId": group.evse_id,
        "chargingProfile": [_write_profile(one) for one in group.profiles],
        "tbc": page.more,
    }
    return Request("ReportChargingProfiles", payload)


def encode_limit(record: LimitRecord, station: Station) -> Request:
    """NotifyChargingLimit (K11.FR.02, K12.FR.02), or ClearedChargingLimit (K13.FR.01)."""
    place: Payload = {"evseId": record.evse_id} if record.evse_id else {}
    source = record.source.value
    if record.schedule is None:
        return Request("ClearedChargingLimit", {"chargingLimitSource": source, **place})
    payload: Payload = {"chargingLimit": {"chargingLimitSource": source}, **place}
    if station.configuration.flag("NotifyChargingLimitWithSchedules"):
        payload["chargingSchedule"] = [_write_schedule(record.schedule, 0)]
    return Request("NotifyChargingLimit", payload)


def _write_profile(one: InstalledProfile) -> Payload:
    """A profile as it was set. One that came in another version has no id of its schedule: the profile's serves."""
    profile = one.profile
    written: Payload = {
        "id": profile.id,
        "stackLevel": profile.stack_level,
        "chargingProfilePurpose": profile.purpose.value,
        "chargingProfileKind": profile.kind.value,
        "chargingSchedule": [_write_schedule(profile.schedule, profile.id)],
    }
    if profile.recurrency is not None:
        written["recurrencyKind"] = profile.recurrency.value
    if profile.valid_from is not None:
        written["validFrom"] = format_time(profile.valid_from)
    if profile.valid_to is not None:
        written["validTo"] = format_time(profile.valid_to)
    if one.transaction_id is not None:
        written["transactionId"] = one.transaction_id
    return written


def _write_schedule(schedule: ChargingSchedule, number: int) -> Payload:
    written: Payload = {
        "id": number if schedule.id is None else schedule.id,
        "chargingRateUnit": schedule.unit.value,
        "chargingSchedulePeriod": [_write_period(period) for period in schedule.periods],
    }
    if schedule.start is not None:
        written["startSchedule"] = format_time(schedule.start)
    if schedule.duration_s is not None:
        written["duration"] = schedule.duration_s
    if schedule.min_rate is not None:
        written["minChargingRate"] = schedule.min_rate
    return written


def _write_period(period: SchedulePeriod) -> Payload:
    written: Payload = {"startPeriod": period.start_s, "limit": period.limit}
    if period.phases is not None:
        written["numberPhases"] = period.phases
    return written
