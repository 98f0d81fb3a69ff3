"""Smart charging of 2.0.1: profiles set, refused with a reason, stacked, reported, cleared, and what the car gets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edged.simulator.csms import CsmsCallError
from tests.conformance.scene201 import PATIENCE_S, SOCKET, TWO_SOCKETS, OpenScene201, Scene201, moment

HOUR_S = 3600
AMPERES_ONLY = {"ChargingScheduleAllowedChargingRateUnit": "Current"}


def written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_now(seconds: float) -> str:
    return written(datetime.now(UTC) + timedelta(seconds=seconds))


def profile(
    *periods: tuple[int, float],
    id: int = 1,
    level: int = 0,
    purpose: str = "TxDefaultProfile",
    kind: str = "Absolute",
    unit: str = "A",
    begun_s: float = 60.0,
    duration_s: int | None = None,
    **more: object,
) -> dict[str, Any]:
    """A profile whose schedule began so many seconds ago; periods as (start, limit)."""
    schedule: dict[str, Any] = {
        "id": 100 + id,
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [{"startPeriod": s, "limit": limit, "numberPhases": 3} for s, limit in periods],
    }
    if kind != "Relative":
        schedule["startSchedule"] = from_now(-begun_s)
    if duration_s is not None:
        schedule["duration"] = duration_s
    return {
        "id": id,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [schedule],
        **more,
    }


async def put(scene: Scene201, one: dict[str, Any], evse: int = 1) -> str:
    """Accepted, or the reason code of what is not."""
    answer = await scene.call("SetChargingProfile", evseId=evse, chargingProfile=one)
    if answer["status"] == "Accepted":
        assert "statusInfo" not in answer
        return "Accepted"
    assert answer["status"] == "Rejected"
    return str(answer["statusInfo"]["reasonCode"])


async def clear(scene: Scene201, profile_id: int | None = None, **criteria: object) -> str:
    which: dict[str, object] = {} if profile_id is None else {"chargingProfileId": profile_id}
    if criteria:
        which["chargingProfileCriteria"] = criteria
    return await scene.status_of("ClearChargingProfile", **which)


async def expected(scene: Scene201, evse: int = 1, duration_s: int = 600, **more: object) -> dict[str, Any]:
    """The composite schedule, which must be sound."""
    answer = await scene.call("GetCompositeSchedule", evseId=evse, duration=duration_s, **more)
    assert answer["status"] == "Accepted"
    schedule = answer["schedule"]
    assert (schedule["evseId"], schedule["duration"]) == (evse, duration_s)
    assert schedule["chargingRateUnit"] == more.get("chargingRateUnit", "A")
    assert schedule["chargingSchedulePeriod"][0]["startPeriod"] == 0
    assert abs((moment(schedule["scheduleStart"]) - datetime.now(UTC)).total_seconds()) < 60
    return dict(schedule)


def limits(schedule: Mapping[str, Any]) -> list[float]:
    return [period["limit"] for period in schedule["chargingSchedulePeriod"]]


def changes_at(schedule: Mapping[str, Any]) -> list[datetime]:
    """When each period begins."""
    start = moment(schedule["scheduleStart"])
    return [start + timedelta(seconds=period["startPeriod"]) for period in schedule["chargingSchedulePeriod"]]


def start_of(one: Mapping[str, Any]) -> datetime:
    """When a profile's schedule begins, to the second."""
    return moment(one["chargingSchedule"][0]["startSchedule"]).replace(microsecond=0)


async def offered(scene: Scene201, ampere: float, evse: int = 1) -> None:
    """Until the charger offers the car just this."""
    point = scene.point(evse)
    await scene.site.until(lambda: point.offered_ma == round(ampere * 1000), timeout_s=PATIENCE_S)


def without_place(reported: Mapping[str, Any]) -> dict[str, Any]:
    """A reported profile as it was set."""
    return {name: value for name, value in reported.items() if name not in ("evseId", "chargingLimitSource")}


def ids(reported: list[dict[str, Any]]) -> set[tuple[int, int]]:
    """Of each profile its EVSE and its id."""
    return {(one["evseId"], one["id"]) for one in reported}


# --- SetChargingProfile


@pytest.mark.req("TC_K_01_CS", "K01.FR.07", "K01.FR.15", "K01.FR.32")
async def test_TC_K_01_CS_a_default_of_an_evse_holds_for_its_transactions(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    one = profile((0, 10.0), (HOUR_S, 8.0), duration_s=2 * HOUR_S)
    assert await put(scene, one) == "Accepted"
    assert [without_place(found) for found in await scene.charging_profiles(1)] == [one]
    assert limits(await expected(scene)) == [10.0]
    await scene.charging()
    await offered(scene, 10)


@pytest.mark.req("TC_K_02_CS", "TC_K_11_CS", "K01.FR.04", "K01.FR.07", "K01.FR.09", "K01.FR.16")
async def test_TC_K_02_CS_and_TC_K_11_CS_a_transactions_profile_needs_its_transaction_on_its_evse(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    one = profile((0, 8.0), purpose="TxProfile", transactionId="none")
    assert await put(scene, one) == "TxNotFound"
    transaction = await scene.charging("ALICE", 2)
    one = {**one, "transactionId": transaction}
    assert await put(scene, one, 1) == "TxNotFound"
    assert await put(scene, one, 0) == "InvalidValue"
    assert await put(scene, one, 2) == "Accepted"


@pytest.mark.req("TC_K_03_CS", "K04.FR.03")
async def test_TC_K_03_CS_a_limit_of_the_station_is_shared_by_its_evses(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    one = profile((0, 20.0), purpose="ChargingStationMaxProfile")
    assert await put(scene, one, 1) == "InvalidValue"
    assert await put(scene, one, 0) == "Accepted"
    assert limits(await expected(scene, 0)) == [20.0]
    await scene.charging("ALICE", 1)
    await offered(scene, 20, 1)
    await scene.charging("BOB", 2)
    await offered(scene, 10, 1)
    await offered(scene, 10, 2)


@pytest.mark.req("TC_K_04_CS", "K01.FR.05")
async def test_TC_K_04_CS_the_same_id_replaces(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    assert await put(scene, profile((0, 8.0), id=7)) == "Accepted"
    later = profile((0, 12.0), id=7)
    assert await put(scene, later) == "Accepted"
    assert [without_place(found) for found in await scene.charging_profiles()] == [later]
    assert limits(await expected(scene)) == [12.0]


@pytest.mark.req("TC_K_10_CS", "K01.FR.07", "K01.FR.14")
async def test_TC_K_10_CS_a_default_of_all_evses_holds_on_each(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    assert await put(scene, profile((0, 9.0)), 0) == "Accepted"
    assert ids(await scene.charging_profiles()) == {(0, 1)}
    for evse in (1, 2):
        assert limits(await expected(scene, evse)) == [9.0]
    await scene.charging("BOB", 2)
    await offered(scene, 9, 2)


@pytest.mark.req("TC_K_12_CS", "TC_K_42_CS", "K01.FR.26", "K08.FR.07")
async def test_TC_K_12_CS_and_TC_K_42_CS_a_unit_that_the_site_does_not_allow_is_rejected(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(keys=AMPERES_ONLY)
    assert await put(scene, profile((0, 6000.0), unit="W")) == "UnsupportedRateUnit"
    answer = await scene.call("GetCompositeSchedule", evseId=1, duration=60, chargingRateUnit="W")
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "UnsupportedRateUnit")
    assert "schedule" not in answer
    assert limits(await expected(scene, chargingRateUnit="A")) == [32.0]


@pytest.mark.req("TC_K_13_CS", "K01.FR.27")
async def test_TC_K_13_CS_profiles_survive_a_reboot(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(process=True)
    one = profile((0, 9.0))
    assert await put(scene, one) == "Accepted"
    await scene.restart_daemon(power_loss=True)
    assert [without_place(found) for found in await scene.charging_profiles()] == [one]
    await scene.charging()
    await offered(scene, 9)


@pytest.mark.req("TC_K_14_CS", "TC_K_47_CS", "K01.FR.28", "K08.FR.05")
async def test_TC_K_14_CS_and_TC_K_47_CS_an_evse_that_does_not_exist_is_rejected(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    assert await put(scene, profile((0, 8.0)), 2) == "UnknownEvse"
    answer = await scene.call("GetCompositeSchedule", evseId=2, duration=60)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "UnknownEvse")


@pytest.mark.req("TC_K_38_CS", "K01.FR.29", "F01.FR.12", "F01.FR.13")
async def test_TC_K_38_CS_what_is_switched_off_is_not_supported_and_a_starts_profile_is_ignored(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    assert await scene.set_variable("SmartChargingCtrlr", "Enabled", False) == "Accepted"
    one = profile((0, 8.0))
    requests: list[tuple[str, dict[str, Any]]] = [
        ("SetChargingProfile", {"evseId": 1, "chargingProfile": one}),
        ("ClearChargingProfile", {"chargingProfileId": 1}),
        ("GetCompositeSchedule", {"evseId": 1, "duration": 60}),
        ("GetChargingProfiles", {"requestId": 1, "chargingProfile": {"stackLevel": 0}}),
    ]
    for action, payload in requests:
        with pytest.raises(CsmsCallError) as refused:
            await scene.call(action, **payload)
        assert refused.value.code == "NotSupported"
    scene.plug()
    await scene.expect_status("Occupied")
    own = profile((0, 8.0), purpose="TxProfile", kind="Relative")
    assert await scene.request_start("ALICE", profile=own) == "Accepted"
    await scene.expect_event(charging_state="Charging")
    await offered(scene, 32)


@pytest.mark.req("TC_K_16_CS", "K01.FR.03", "K01.FR.33")
async def test_TC_K_16_CS_a_profile_of_an_unknown_or_of_no_transaction_is_rejected(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    await scene.charging()
    one = profile((0, 8.0), purpose="TxProfile")
    assert await put(scene, {**one, "transactionId": "another"}) == "TxNotFound"
    assert await put(scene, one) == "InvalidProfile"
    await scene.settled()
    assert scene.point().offered_ma == 32_000


@pytest.mark.req("TC_K_19_CS", "K01.FR.12", "K01.FR.40")
async def test_TC_K_19_CS_a_recurring_schedule_comes_again(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    daily = profile((0, 7.0), kind="Recurring", recurrencyKind="Daily", begun_s=3 * 86_400 - 100, duration_s=200)
    assert await put(scene, daily) == "Accepted"
    found = await expected(scene)
    assert limits(found) == [32.0, 7.0, 32.0]
    begin = start_of(daily) + timedelta(days=3)
    assert changes_at(found)[1:] == [begin, begin + timedelta(seconds=200)]
    unanchored = profile((0, 7.0), id=2, level=1, kind="Recurring", recurrencyKind="Daily")
    del unanchored["chargingSchedule"][0]["startSchedule"]
    assert await put(scene, unanchored) == "InvalidSchedule"


@pytest.mark.req("TC_K_21_CS", "K01.FR.36")
async def test_TC_K_21_CS_a_profile_counts_from_its_first_moment_on(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await scene.charging()
    begin = from_now(2)
    assert await put(scene, profile((0, 8.0), validFrom=begin)) == "Accepted"
    found = await expected(scene)
    assert limits(found) == [32.0, 8.0]
    assert changes_at(found)[1] == moment(begin).replace(microsecond=0)
    await offered(scene, 8)
    assert datetime.now(UTC) >= moment(begin).replace(microsecond=0)


@pytest.mark.req("TC_K_22_CS", "K01.FR.37")
async def test_TC_K_22_CS_a_profile_counts_up_to_its_last_moment(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await scene.charging()
    end = from_now(2)
    assert await put(scene, profile((0, 8.0), validTo=end)) == "Accepted"
    assert limits(await expected(scene)) == [8.0, 32.0]
    await offered(scene, 8)
    await offered(scene, 32)
    assert datetime.now(UTC) >= moment(end).replace(microsecond=0)
    assert limits(await expected(scene)) == [32.0]


@pytest.mark.req("TC_K_23_CS", "K01.FR.30", "K01.FR.11")
async def test_TC_K_23_CS_a_schedule_waits_for_its_start(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    one = profile((0, 8.0), (100, 10.0), begun_s=-200, duration_s=200)
    assert await put(scene, one) == "Accepted"
    found = await expected(scene)
    assert limits(found) == [32.0, 8.0, 10.0, 32.0]
    begin = start_of(one)
    assert changes_at(found)[1:] == [begin + timedelta(seconds=seconds) for seconds in (0, 100, 200)]


@pytest.mark.req("TC_K_28_CS", "K01.FR.32", "K02.FR.05")
async def test_TC_K_28_CS_a_running_transaction_follows_a_new_default(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    transaction = await scene.charging()
    await offered(scene, 32)
    assert await put(scene, profile((0, 9.0))) == "Accepted"
    await offered(scene, 9)
    assert limits(await expected(scene)) == [9.0]
    assert await put(scene, profile((0, 6.0))) == "Accepted"
    event = await scene.expect_event("Updated", "ChargingRateChanged")
    assert event["transactionInfo"]["transactionId"] == transaction
    await offered(scene, 6)


@pytest.mark.req("TC_K_60_CS", "K01.FR.04", "K01.FR.07", "K01.FR.15", "K02.FR.04", "K02.FR.08")
async def test_TC_K_60_CS_a_transactions_profile_holds_as_long_as_its_transaction(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    assert await put(scene, profile((0, 12.0), id=1)) == "Accepted"
    transaction = await scene.charging()
    await offered(scene, 12)
    own = profile((0, 8.0), id=2, purpose="TxProfile", transactionId=transaction)
    before = scene.unit().requests
    assert await put(scene, own) == "Accepted"
    await offered(scene, 8)
    assert scene.unit().requests - before <= 2 * SOCKET.requests_a_look
    assert scene.point().current_ma == 8_000
    (found,) = await scene.charging_profiles(chargingProfilePurpose="TxProfile")
    assert without_place(found) == own
    assert await scene.request_stop(transaction) == "Accepted"
    await scene.expect_event("Ended")
    assert ids(await scene.charging_profiles()) == {(1, 1)}


@pytest.mark.req("K01.FR.06", "K01.FR.22", "K01.FR.34", "K01.FR.39", "K01.FR.44", "K01.FR.45", "K01.FR.52", "K01.FR.53")
async def test_what_contradicts_what_is_there_is_rejected_with_its_reason(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    assert await put(scene, profile((0, 8.0), id=1)) == "Accepted"
    assert await put(scene, profile((0, 8.0), id=2)) == "DuplicateProfile"
    assert await put(scene, profile((0, 8.0), id=2), 0) == "DuplicateProfile"
    assert await put(scene, profile((0, 8.0), id=2, level=10_000)) == "InvalidStackLevel"
    outside = profile((0, 8.0), id=2, purpose="ChargingStationExternalConstraints")
    assert await put(scene, outside, 0) == "InvalidProfile"
    several = profile((0, 8.0), id=2, level=1)
    several["chargingSchedule"] = several["chargingSchedule"] * 2
    assert await put(scene, several) == "InvalidSchedule"
    for phases, reason in (({"numberPhases": 1}, "InvalidSchedule"), ({"phaseToUse": 2}, "UnsupportedParam")):
        one = profile((0, 8.0), id=2, level=1)
        one["chargingSchedule"][0]["chargingSchedulePeriod"][0].update(phases)
        assert await put(scene, one) == reason
    with pytest.raises(CsmsCallError) as refused:
        await put(scene, profile((0, 8.0), validFrom="tomorrow"))
    assert refused.value.code == "TypeConstraintViolation"
    assert ids(await scene.charging_profiles()) == {(1, 1)}


# --- ClearChargingProfile


@pytest.mark.req("TC_K_05_CS", "TC_K_06_CS", "TC_K_07_CS", "TC_K_08_CS", "K10.FR.01", "K10.FR.03", "K10.FR.04")
async def test_TC_K_05_CS_to_TC_K_08_CS_clearing_by_id_by_criteria_and_in_vain(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    assert await clear(scene, 5) == "Unknown"
    assert await put(scene, profile((0, 8.0), id=5)) == "Accepted"
    assert await clear(scene, 5) == "Accepted"
    assert await clear(scene, 5) == "Unknown"
    assert await put(scene, profile((0, 8.0), id=6, level=2)) == "Accepted"
    assert await clear(scene, chargingProfilePurpose="TxDefaultProfile", stackLevel=1) == "Unknown"
    assert await clear(scene, chargingProfilePurpose="ChargingStationMaxProfile", stackLevel=2) == "Unknown"
    assert await clear(scene, evseId=0, stackLevel=2) == "Unknown"
    assert ids(await scene.charging_profiles()) == {(1, 6)}
    assert await clear(scene, chargingProfilePurpose="TxDefaultProfile", stackLevel=2) == "Accepted"
    assert await scene.charging_profiles() == []
    assert limits(await expected(scene)) == [32.0]


@pytest.mark.req("TC_K_09_CS", "K10.FR.07")
async def test_TC_K_09_CS_without_its_default_a_transaction_goes_on_unlimited(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    assert await put(scene, profile((0, 8.0))) == "Accepted"
    await scene.charging()
    await offered(scene, 8)
    assert await clear(scene, 1) == "Accepted"
    await offered(scene, 32)
    assert limits(await expected(scene)) == [32.0]


@pytest.mark.req("TC_K_24_CS", "K10.FR.04")
async def test_TC_K_24_CS_one_purpose_and_level_are_cleared_on_all_evses(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    for number, evse, level in ((1, 1, 1), (2, 2, 1), (3, 2, 2)):
        assert await put(scene, profile((0, 8.0), id=number, level=level), evse) == "Accepted"
    assert await clear(scene, chargingProfilePurpose="TxDefaultProfile", stackLevel=1) == "Accepted"
    assert ids(await scene.charging_profiles()) == {(2, 3)}


# --- GetChargingProfiles


@pytest.mark.req("TC_K_29_CS", "TC_K_30_CS", "TC_K_31_CS", "TC_K_32_CS", "TC_K_33_CS", "TC_K_34_CS", "TC_K_35_CS")
@pytest.mark.req("TC_K_36_CS", "K09.FR.01", "K09.FR.02", "K09.FR.03", "K09.FR.04", "K09.FR.05", "K09.FR.06")
async def test_TC_K_29_CS_to_TC_K_36_CS_what_is_asked_for_is_reported(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    station = profile((0, 30.0), id=1, level=1, purpose="ChargingStationMaxProfile")
    assert await put(scene, station, 0) == "Accepted"
    for number, evse, level in ((2, 0, 0), (3, 1, 1), (4, 1, 2), (5, 2, 1)):
        assert await put(scene, profile((0, 8.0), id=number, level=level), evse) == "Accepted"

    async def told(evse: int | None = None, **criterion: object) -> set[tuple[int, int]]:
        found = await scene.charging_profiles(evse, **criterion)
        assert {one["chargingLimitSource"] for one in found} <= {"CSO"}
        return ids(found)

    assert await told(0) == {(0, 1), (0, 2)}
    assert await told(1) == {(1, 3), (1, 4)}
    assert await told(chargingProfilePurpose="TxDefaultProfile") == {(0, 2), (1, 3), (1, 4), (2, 5)}
    assert await told(chargingProfileId=[1, 5, 99]) == {(0, 1), (2, 5)}
    assert await told(1, stackLevel=2) == {(1, 4)}
    assert await told(2, chargingLimitSource=["CSO"]) == {(2, 5)}
    assert await told(2, chargingLimitSource=["EMS"]) == set()
    assert await told(1, chargingProfilePurpose="TxDefaultProfile") == {(1, 3), (1, 4)}
    assert await told(1, chargingProfilePurpose="TxProfile") == set()
    assert await told(1, chargingProfilePurpose="TxDefaultProfile", stackLevel=1) == {(1, 3)}
    assert [without_place(one) for one in await scene.charging_profiles(0, stackLevel=1)] == [station]


# --- RequestStartTransaction with a profile


@pytest.mark.req("TC_K_37_CS", "K05.FR.03", "E01.FR.02", "F01.FR.10", "F01.FR.13")
async def test_TC_K_37_CS_the_profile_of_a_remote_start_is_the_transactions(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    scene.plug()
    await scene.expect_status("Occupied")
    one = profile((0, 8.0), id=9, purpose="TxProfile", kind="Relative")
    assert await scene.request_start("ALICE", profile=one) == "Accepted"
    started = await scene.expect_event(charging_state="Charging")
    await offered(scene, 8)
    assert limits(await expected(scene)) == [8.0]
    (found,) = await scene.charging_profiles(1, chargingProfilePurpose="TxProfile")
    assert without_place(found) == {**one, "transactionId": started["transactionInfo"]["transactionId"]}


# --- GetCompositeSchedule


@pytest.mark.req("TC_K_39_CS", "K08.FR.02", "K08.FR.03", "K08.FR.06")
async def test_TC_K_39_CS_without_profiles_the_installation_is_told(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS, charger_settings={"max_current_a": 16})
    assert limits(await expected(scene, 0, 300)) == [32.0]
    assert limits(await expected(scene, 1, 300)) == [16.0]
    assert limits(await expected(scene, 1, 300, chargingRateUnit="W")) == [16 * 3 * 230.0]


@pytest.mark.req("TC_K_40_CS", "K01.FR.17", "K08.FR.02", "K08.FR.06")
async def test_TC_K_40_CS_of_stacked_profiles_the_highest_level_speaks(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    lower = profile((0, 6.0), (150, 10.0), id=1, level=0, begun_s=0, duration_s=400)
    higher = profile((0, 8.0), (50, 12.0), id=2, level=1, begun_s=0, duration_s=100)
    assert await put(scene, lower) == await put(scene, higher) == "Accepted"
    found = await expected(scene, duration_s=350)
    assert limits(found) == [8.0, 12.0, 6.0, 10.0]
    assert (changes_at(found)[1] - start_of(higher)).total_seconds() == 50
    assert (changes_at(found)[3] - start_of(lower)).total_seconds() == 150


@pytest.mark.req("TC_K_41_CS", "K08.FR.02", "K08.FR.04")
async def test_TC_K_41_CS_of_all_purposes_the_smallest_limit_at_each_moment(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    transaction = await scene.charging()
    station = profile((0, 10.0), id=1, purpose="ChargingStationMaxProfile", begun_s=0)
    own = profile((0, 8.0), (100, 16.0), id=3, purpose="TxProfile", begun_s=0, duration_s=200)
    assert await put(scene, station, 0) == "Accepted"
    assert await put(scene, profile((0, 6.0), id=2, begun_s=0)) == "Accepted"
    assert await put(scene, {**own, "transactionId": transaction}) == "Accepted"
    found = await expected(scene, duration_s=400)
    assert limits(found) == [8.0, 10.0, 6.0]
    begin = start_of(own)
    assert changes_at(found)[1:] == [begin + timedelta(seconds=100), begin + timedelta(seconds=200)]
    assert limits(await expected(scene, duration_s=400, chargingRateUnit="W")) == [5520.0, 6900.0, 4140.0]
    assert limits(await expected(scene, 0, duration_s=400)) == [8.0, 10.0, 6.0]


# --- without a line


@pytest.mark.req("K06.FR.01", "K07.FR.01")
async def test_profiles_hold_while_the_csms_is_away(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await scene.charging()
    assert await put(scene, profile((0, 8.0), (1, 10.0), begun_s=0)) == "Accepted"
    await scene.cut()
    await offered(scene, 10)
    await scene.restore()
    assert limits(await expected(scene)) == [10.0]
