"""SmartCharging on the wire of OCPP 1.6: profiles read, and what becomes of their starts; schedules told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from edged.dialects.v16.charging import EVER
from edged.dialects.v16.inbound import decode_call
from edged.dialects.v16.replies import encode_reply
from edged.dialects.v16.schemas import answer_violation
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
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode

REF = RequestRef("csms", "17", "SetChargingProfile")
NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
NOON_TEXT = "2026-06-01T14:00:00+02:00"


def told(*, schedule: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "chargingProfileId": 1,
        "stackLevel": 2,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {
            "startSchedule": NOON_TEXT,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}],
            **(schedule or {}),
        },
        **fields,
    }


def without_start(*periods: tuple[int, float], duration: int | None = None, **fields: Any) -> dict[str, Any]:
    found = told(**fields)
    del found["chargingSchedule"]["startSchedule"]
    if periods:
        found["chargingSchedule"]["chargingSchedulePeriod"] = [
            {"startPeriod": start_s, "limit": limit} for start_s, limit in periods
        ]
    if duration is not None:
        found["chargingSchedule"]["duration"] = duration
    return found


def decoded(profile: dict[str, Any], connector: int = 1) -> Any:
    return decode_call("SetChargingProfile", {"connectorId": connector, "csChargingProfiles": profile}, REF)


def read(profile: dict[str, Any]) -> ChargingProfile:
    event = decoded(profile)
    assert isinstance(event, SetChargingProfile)
    return event.profile


def reply(action: str, status: Any, data: Any = None) -> Any:
    return encode_reply(Reply(RequestRef("csms", "1", action), status, data=data))


# --- profiles in


def test_a_profile_is_read_whole() -> None:
    periods = [{"startPeriod": 0, "limit": 16.1, "numberPhases": 1}, {"startPeriod": 60, "limit": 0}]
    one = told(
        schedule={"duration": 120, "chargingRateUnit": "W", "minChargingRate": 6.5, "chargingSchedulePeriod": periods},
        chargingProfileKind="Recurring",
        recurrencyKind="Weekly",
        validFrom=NOON_TEXT,
        validTo="2026-06-01T13:00:00Z",
        transactionId=5,
    )
    event = decoded(one, 3)
    assert event == SetChargingProfile(
        request=REF,
        connector=3,
        external_ref=5,
        profile=ChargingProfile(
            id=1,
            stack_level=2,
            purpose=ProfilePurpose.TX_DEFAULT,
            kind=ProfileKind.RECURRING,
            recurrency=Recurrency.WEEKLY,
            valid_from=NOON,
            valid_to=NOON.replace(hour=13),
            schedule=ChargingSchedule(
                unit=RateUnit.WATTS,
                periods=(
                    SchedulePeriod(start_s=0, limit=16.1, phases=1),
                    SchedulePeriod(start_s=60, limit=0.0),
                ),
                duration_s=120,
                start=NOON,
                min_rate=6.5,
            ),
        ),
    )


@pytest.mark.parametrize(
    ("word", "purpose"),
    [
        ("ChargePointMaxProfile", ProfilePurpose.STATION_MAX),
        ("TxDefaultProfile", ProfilePurpose.TX_DEFAULT),
        ("TxProfile", ProfilePurpose.TX),
    ],
)
def test_each_purpose_has_its_word(word: str, purpose: ProfilePurpose) -> None:
    assert read(told(chargingProfilePurpose=word)).purpose is purpose


@pytest.mark.req("16-SC-08")
@pytest.mark.parametrize("purpose", ["TxDefaultProfile", "TxProfile"])
def test_without_a_start_a_schedule_counts_from_the_start_of_charging(purpose: str) -> None:
    one = read(without_start((0, 8.0), (60, 9.0), chargingProfilePurpose=purpose))
    assert (one.kind, one.schedule.start) == (ProfileKind.RELATIVE, None)


def test_the_start_of_a_relative_schedule_means_nothing() -> None:
    one = read(told(chargingProfileKind="Relative"))
    assert (one.kind, one.schedule.start) == (ProfileKind.RELATIVE, None)


@pytest.mark.parametrize(
    ("periods", "duration", "start"),
    [(((0, 8.0),), None, EVER), (((0, 8.0), (60, 9.0)), None, None), (((0, 8.0),), 60, None)],
)
def test_of_the_station_only_a_limit_that_never_changes_needs_no_start(
    periods: tuple[tuple[int, float], ...], duration: int | None, start: datetime | None
) -> None:
    one = read(without_start(*periods, duration=duration, chargingProfilePurpose="ChargePointMaxProfile"))
    assert (one.kind, one.schedule.start) == (ProfileKind.ABSOLUTE, start)


def test_a_recurrence_without_a_start_is_left_to_the_core() -> None:
    one = read(without_start(chargingProfileKind="Recurring", recurrencyKind="Daily"))
    assert (one.kind, one.schedule.start) == (ProfileKind.RECURRING, None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"validFrom": "soon"}, "csChargingProfiles.validFrom"),
        ({"validTo": "2026-06-01"}, "csChargingProfiles.validTo"),
        ({"schedule": {"startSchedule": "noon"}}, "csChargingProfiles.chargingSchedule.startSchedule"),
    ],
)
def test_a_time_that_cannot_be_read_is_a_value_of_the_wrong_type(change: dict[str, Any], field: str) -> None:
    assert decoded(told(**change)) == CallRefused(ErrorCode.TYPE, f"{field}: type dateTime")
    start = decode_call("RemoteStartTransaction", {"idTag": "A", "chargingProfile": told(**change)}, REF)
    assert start == CallRefused(
        ErrorCode.TYPE, f"{field.replace('csChargingProfiles', 'chargingProfile')}: type dateTime"
    )


@pytest.mark.req("16-SC-03")
@pytest.mark.parametrize(
    "change",
    [
        {"chargingProfilePurpose": "Other"},
        {"chargingProfileKind": "Other"},
        {"recurrencyKind": "Monthly"},
        {"schedule": {"chargingRateUnit": "VA"}},
        {"schedule": {"chargingSchedulePeriod": [{"startPeriod": 0, "limit": 1.23}]}},
    ],
)
def test_a_word_that_does_not_exist_is_a_wrong_value(change: dict[str, Any]) -> None:
    refused = decoded(told(**change))
    assert isinstance(refused, CallRefused) and refused.code is ErrorCode.PROPERTY


def test_a_connector_below_nothing_is_a_wrong_value() -> None:
    refused = decoded(told(), -1)
    assert isinstance(refused, CallRefused) and refused.code is ErrorCode.PROPERTY


def test_clearing_says_what_it_is_about() -> None:
    assert decode_call("ClearChargingProfile", {"connectorId": 2}, REF) == ClearChargingProfile(
        request=REF, connector=2
    )


@pytest.mark.parametrize(("word", "unit"), [("A", RateUnit.AMPERES), ("W", RateUnit.WATTS), (None, None)])
def test_a_schedule_is_asked_for_in_a_unit_or_in_any(word: str | None, unit: RateUnit | None) -> None:
    more = {} if word is None else {"chargingRateUnit": word}
    event = decode_call("GetCompositeSchedule", {"connectorId": 0, "duration": 60, **more}, REF)
    assert event == GetCompositeSchedule(request=REF, connector=0, duration_s=60, unit=unit)


# --- answers out


@pytest.mark.req("16-SC-03")
def test_a_place_that_does_not_exist_is_a_wrong_value() -> None:
    refused = reply("SetChargingProfile", ProfileStatus.UNKNOWN_EVSE)
    assert isinstance(refused, CallRefused) and refused.code is ErrorCode.PROPERTY


@pytest.mark.parametrize(
    ("action", "status"),
    [
        *(("SetChargingProfile", status) for status in ProfileStatus if status is not ProfileStatus.UNKNOWN_EVSE),
        *(("ClearChargingProfile", status) for status in ClearStatus),
        ("GetCompositeSchedule", Verdict.REJECTED),
    ],
)
def test_every_other_answer_is_its_word(action: str, status: Any) -> None:
    payload = reply(action, status)
    assert payload == {"status": status.value}
    assert answer_violation(action, payload) is None


@pytest.mark.req("16-SC-14")
def test_a_schedule_is_told_with_one_start() -> None:
    schedule = ChargingSchedule(
        unit=RateUnit.AMPERES,
        periods=(SchedulePeriod(start_s=0, limit=16.1, phases=3), SchedulePeriod(start_s=60, limit=0.0)),
        duration_s=120,
    )
    found = CompositeSchedule(evse_id=1, connector=4, start=NOON, schedule=schedule)
    payload = reply("GetCompositeSchedule", Verdict.ACCEPTED, found)
    assert payload == {
        "status": "Accepted",
        "connectorId": 4,
        "scheduleStart": "2026-06-01T12:00:00.000Z",
        "chargingSchedule": {
            "duration": 120,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 16.1, "numberPhases": 3},
                {"startPeriod": 60, "limit": 0.0},
            ],
        },
    }
    assert answer_violation("GetCompositeSchedule", payload) is None
