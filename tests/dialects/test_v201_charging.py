"""Smart charging in 2.0.1's words: profiles read as they are written, answers, reports, limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.dialects.v201.charging import encode_limit, encode_page, read_profile
from edged.dialects.v201.inbound import decode_call
from edged.dialects.v201.replies import encode_reply
from edged.dialects.v201.schemas import answer_violation
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
from edged.domain.configuration import Configuration
from edged.domain.effects import LimitRecord, Reply, ReportKind, ReportPage
from edged.domain.station import Station
from edged.domain.types import RequestRef, Stamp
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
NOON_TEXT = "2026-06-01T12:00:00.000Z"
SCHEDULE = {
    "id": 5,
    "startSchedule": NOON_TEXT,
    "duration": 3600,
    "chargingRateUnit": "A",
    "minChargingRate": 6.1,
    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0, "numberPhases": 3}, {"startPeriod": 60, "limit": 8.5}],
}
PROFILE = {
    "id": 1,
    "stackLevel": 2,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Recurring",
    "recurrencyKind": "Weekly",
    "validFrom": NOON_TEXT,
    "validTo": "2026-07-01T12:00:00.000Z",
    "transactionId": "a-transaction",
    "chargingSchedule": [SCHEDULE],
}


@pytest.fixture
def station(make_station: Callable[..., Station]) -> Station:
    return make_station()


def ref(action: str) -> RequestRef:
    return RequestRef("csms", "1", action)


def decode(action: str, **payload: Any) -> Any:
    return decode_call(action, payload, ref(action))


def assert_fits(name: str, payload: Any) -> None:
    """By the shipped schema, and, of an answer, by ours."""
    schema = json.loads(files("ocpp").joinpath("v201/schemas", f"{name}.json").read_text("utf-8-sig"))
    jsonschema.validators.validator_for(schema)(schema).validate(json.loads(json.dumps(payload, allow_nan=False)))
    if name.endswith("Response"):
        assert answer_violation(name.removesuffix("Response"), payload) is None


def read(**changes: Any) -> ChargingProfile:
    found = read_profile({**PROFILE, **changes}, "chargingProfile")
    assert isinstance(found, ChargingProfile)
    return found


# --- profiles


def test_a_profile_is_read_field_by_field() -> None:
    assert read() == ChargingProfile(
        id=1,
        stack_level=2,
        purpose=ProfilePurpose.TX,
        kind=ProfileKind.RECURRING,
        recurrency=Recurrency.WEEKLY,
        valid_from=NOON,
        valid_to=datetime(2026, 7, 1, 12, 0, tzinfo=UTC),
        schedule=ChargingSchedule(
            id=5,
            unit=RateUnit.AMPERES,
            start=NOON,
            duration_s=3600,
            min_rate=6.1,
            periods=(SchedulePeriod(start_s=0, limit=16.0, phases=3), SchedulePeriod(start_s=60, limit=8.5)),
        ),
    )


def test_what_makes_no_sense_here_is_left_to_the_core() -> None:
    """Neither a kind without its start nor a start without its kind is mended, as 1.6 has to."""
    bare = {
        "id": 1,
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 1, "phaseToUse": 2}],
    }
    found = read(chargingProfileKind="Absolute", chargingSchedule=[bare, bare, bare])
    assert (found.kind, found.schedule.start, found.alternatives) == (ProfileKind.ABSOLUTE, None, 2)
    assert found.schedule.periods[0].phase_to_use == 2
    assert read(chargingProfileKind="Relative").schedule.start == NOON
    outside = read(chargingProfilePurpose="ChargingStationExternalConstraints")
    assert outside.purpose is ProfilePurpose.EXTERNAL


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"validFrom": "x"}, "validFrom"),
        ({"validTo": "2026-13-01T00:00:00Z"}, "validTo"),
        ({"chargingSchedule": [{**SCHEDULE, "startSchedule": "now"}]}, "chargingSchedule[0].startSchedule"),
    ],
)
def test_a_time_that_is_none_is_a_value_of_the_wrong_type(changes: dict[str, Any], where: str) -> None:
    refused = decode("SetChargingProfile", evseId=1, chargingProfile={**PROFILE, **changes})
    assert isinstance(refused, CallRefused)
    assert (refused.code, refused.description) == (ErrorCode.TYPE, f"chargingProfile.{where}: type dateTime")


# --- commands


def test_a_profile_is_set_for_an_evse_and_names_its_transaction() -> None:
    event = decode("SetChargingProfile", evseId=2, chargingProfile=PROFILE)
    assert event == SetChargingProfile(
        request=ref("SetChargingProfile"), evse=2, profile=read(), transaction_id="a-transaction"
    )


def test_profiles_are_cleared_by_id_or_by_criteria() -> None:
    request = ref("ClearChargingProfile")
    assert decode("ClearChargingProfile", chargingProfileId=7) == ClearChargingProfile(request=request, profile_id=7)
    criteria = {"evseId": 0, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 3}
    assert decode("ClearChargingProfile", chargingProfileCriteria=criteria) == ClearChargingProfile(
        request=request, evse=0, purpose=ProfilePurpose.TX_DEFAULT, stack_level=3
    )
    assert decode("ClearChargingProfile") == ClearChargingProfile(request=request)


def test_profiles_are_asked_for_by_every_criterion() -> None:
    criterion = {
        "chargingProfilePurpose": "TxProfile",
        "stackLevel": 0,
        "chargingProfileId": [1, 2],
        "chargingLimitSource": ["CSO", "EMS"],
    }
    event = decode("GetChargingProfiles", requestId=3, evseId=0, chargingProfile=criterion)
    assert event == GetChargingProfiles(
        request=ref("GetChargingProfiles"),
        request_id=3,
        evse=0,
        purpose=ProfilePurpose.TX,
        stack_level=0,
        ids=(1, 2),
        sources=(LimitSource.CSO, LimitSource.EMS),
    )


def test_a_composite_schedule_is_asked_for_with_or_without_a_unit() -> None:
    request = ref("GetCompositeSchedule")
    assert decode("GetCompositeSchedule", evseId=1, duration=60) == GetCompositeSchedule(
        request=request, evse=1, duration_s=60
    )
    assert decode("GetCompositeSchedule", evseId=1, duration=60, chargingRateUnit="W").unit is RateUnit.WATTS


# --- answers


def answer(station: Station, action: str, status: Any, **more: Any) -> Any:
    return encode_reply(Reply(ref(action), status, **more), station)


@pytest.mark.parametrize("status", ProfileStatus)
def test_every_answer_to_a_profile_is_accepted_or_rejected_with_its_reason(
    station: Station, status: ProfileStatus
) -> None:
    payload = answer(station, "SetChargingProfile", status, reason=Reason.UNKNOWN_EVSE, detail="there is no such EVSE")
    assert_fits("SetChargingProfileResponse", payload)
    assert payload["status"] == ("Accepted" if status is ProfileStatus.ACCEPTED else "Rejected")
    assert payload["statusInfo"]["reasonCode"] == "UnknownEvse"


@pytest.mark.req("K01.FR.29")
@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("SetChargingProfile", ProfileStatus.NOT_SUPPORTED),
        ("ClearChargingProfile", ClearStatus.UNKNOWN),
        ("GetCompositeSchedule", Verdict.REJECTED),
        ("GetChargingProfiles", ReportStatus.NO_PROFILES),
    ],
)
def test_what_is_switched_off_is_not_supported(station: Station, action: str, status: Any) -> None:
    refused = answer(station, action, status, reason=Reason.NOT_ENABLED, detail="off")
    assert isinstance(refused, CallRefused)
    assert refused.code is ErrorCode.NOT_SUPPORTED


def test_plain_answers_say_no_more_than_their_status(station: Station) -> None:
    for status in ClearStatus:
        payload = answer(station, "ClearChargingProfile", status)
        assert_fits("ClearChargingProfileResponse", payload)
        assert payload == {"status": status.value}
    for reported in (ReportStatus.ACCEPTED, ReportStatus.NO_PROFILES):
        payload = answer(station, "GetChargingProfiles", reported)
        assert_fits("GetChargingProfilesResponse", payload)
        assert payload == {"status": reported.value}
    assert isinstance(answer(station, "GetChargingProfiles", ReportStatus.BUSY, detail="busy"), CallRefused)


@pytest.mark.req("K08.FR.02")
def test_a_composite_schedule_is_told_with_its_place_start_and_unit(station: Station) -> None:
    schedule = ChargingSchedule(
        unit=RateUnit.WATTS, periods=(SchedulePeriod(start_s=0, limit=5520.0, phases=3),), duration_s=60
    )
    found = CompositeSchedule(evse_id=2, start=NOON, schedule=schedule)
    payload = answer(station, "GetCompositeSchedule", Verdict.ACCEPTED, data=found)
    assert_fits("GetCompositeScheduleResponse", payload)
    assert payload["schedule"] == {
        "evseId": 2,
        "duration": 60,
        "scheduleStart": NOON_TEXT,
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 5520.0, "numberPhases": 3}],
    }
    refused = answer(station, "GetCompositeSchedule", Verdict.REJECTED, reason=Reason.UNKNOWN_EVSE)
    assert refused == {"status": "Rejected", "statusInfo": {"reasonCode": "UnknownEvse"}}
    assert_fits("GetCompositeScheduleResponse", refused)


# --- what is told


def page(*profiles: InstalledProfile, more: bool = False, source: LimitSource = LimitSource.CSO) -> ReportPage:
    return ReportPage(
        kind=ReportKind.CHARGING_PROFILES,
        request_id=9,
        seq_no=0,
        more=more,
        generated_at=Stamp(NOON, True, "boot"),
        items=(ProfileGroup(evse_id=1, source=source, profiles=profiles),),
    )


@pytest.mark.req("K09.FR.02")
def test_a_profile_is_reported_as_it_was_set(station: Station) -> None:
    installed = InstalledProfile(evse_id=1, profile=read(), transaction_id="a-transaction")
    request = encode_page(page(installed, more=True), station)
    assert request is not None
    assert_fits("ReportChargingProfilesRequest", request.payload)
    assert request.payload == {
        "requestId": 9,
        "chargingLimitSource": "CSO",
        "evseId": 1,
        "chargingProfile": [PROFILE],
        "tbc": True,
    }


def test_a_profile_that_another_version_has_set_is_reported_too(station: Station) -> None:
    one = read()
    nameless = replace(one, schedule=replace(one.schedule, id=None), id=77)
    request = encode_page(page(InstalledProfile(evse_id=1, profile=nameless)), station)
    assert request is not None
    assert_fits("ReportChargingProfilesRequest", request.payload)
    (written,) = request.payload["chargingProfile"]
    assert written["chargingSchedule"][0]["id"] == 77
    assert "transactionId" not in written


@given(
    st.builds(
        lambda kind, recurrency, level, start, periods: {
            "id": 3,
            "stackLevel": level,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": kind,
            **({"recurrencyKind": recurrency} if recurrency else {}),
            "chargingSchedule": [
                {
                    "id": 4,
                    "chargingRateUnit": "W",
                    **({"startSchedule": NOON_TEXT} if start else {}),
                    "chargingSchedulePeriod": [{"startPeriod": s, "limit": float(limit)} for s, limit in periods],
                }
            ],
        },
        st.sampled_from(["Absolute", "Recurring", "Relative"]),
        st.none() | st.sampled_from(["Daily", "Weekly"]),
        st.integers(0, 100),
        st.booleans(),
        st.lists(st.tuples(st.integers(0, 86_400), st.integers(0, 40_000)), min_size=1, max_size=8),
    )
)
def test_whatever_is_read_is_written_back(told: dict[str, Any]) -> None:
    found = read_profile(told, "chargingProfile")
    assert isinstance(found, ChargingProfile)
    request = encode_page(page(InstalledProfile(evse_id=1, profile=found)), None)  # type: ignore[arg-type]
    assert request is not None
    assert request.payload["chargingProfile"] == [told]


@pytest.mark.req("K11.FR.02", "K11.FR.04", "K12.FR.02", "K12.FR.03", "K13.FR.01")
def test_a_limit_of_the_site_is_told_with_or_without_its_schedule(station: Station) -> None:
    schedule = ChargingSchedule(unit=RateUnit.AMPERES, periods=(SchedulePeriod(start_s=0, limit=10.0),), id=-2)
    request = encode_limit(LimitRecord(1, LimitSource.EMS, schedule), station)
    assert request.action == "NotifyChargingLimit"
    assert_fits("NotifyChargingLimitRequest", request.payload)
    assert request.payload["evseId"] == 1
    assert request.payload["chargingSchedule"][0]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10.0}]
    quiet = Configuration(changed={"NotifyChargingLimitWithSchedules": "false"}, site={}, computed={})
    request = encode_limit(LimitRecord(0, LimitSource.EMS, schedule), replace(station, configuration=quiet))
    assert_fits("NotifyChargingLimitRequest", request.payload)
    assert request.payload == {"chargingLimit": {"chargingLimitSource": "EMS"}}
    gone = encode_limit(LimitRecord(1, LimitSource.EMS, None), station)
    assert gone.action == "ClearedChargingLimit"
    assert_fits("ClearedChargingLimitRequest", gone.payload)
    assert gone.payload == {"chargingLimitSource": "EMS", "evseId": 1}
