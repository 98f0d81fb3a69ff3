"""Smart charging over the wire: profiles set, stacked, asked about and cleared, and what the car gets of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edged.simulator.csms import CsmsCallError
from edged.simulator.parts import Car
from tests.conformance.scene import KEBA, PATIENCE_S, SOCKET, TETHERED, TWO_SOCKETS, Box, OpenScene, Scene, moment

HOUR_S = 3600


def written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [{"startPeriod": s, "limit": limit} for s, limit in periods],
    }
    if kind != "Relative":
        schedule["startSchedule"] = written(datetime.now(UTC) - timedelta(seconds=begun_s))
    if duration_s is not None:
        schedule["duration"] = duration_s
    return {
        "chargingProfileId": id,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": schedule,
        **more,
    }


async def put(scene: Scene, one: dict[str, Any], connector: int = 1) -> str:
    return await scene.status_of("SetChargingProfile", connectorId=connector, csChargingProfiles=one)


async def expected(scene: Scene, connector: int = 1, duration_s: int = 600, **more: object) -> dict[str, Any]:
    """The composite schedule, which must be sound."""
    answer = await scene.call("GetCompositeSchedule", connectorId=connector, duration=duration_s, **more)
    assert (answer["status"], answer["connectorId"]) == ("Accepted", connector)
    schedule = answer["chargingSchedule"]
    assert "startSchedule" not in schedule
    assert schedule["duration"] == duration_s
    assert schedule["chargingSchedulePeriod"][0]["startPeriod"] == 0
    assert abs((moment(answer["scheduleStart"]) - datetime.now(UTC)).total_seconds()) < 60
    return answer


def limits(answer: dict[str, Any]) -> list[float]:
    return [period["limit"] for period in answer["chargingSchedule"]["chargingSchedulePeriod"]]


def changes_at(answer: dict[str, Any]) -> list[datetime]:
    """When each period begins."""
    periods = answer["chargingSchedule"]["chargingSchedulePeriod"]
    return [moment(answer["scheduleStart"]) + timedelta(seconds=period["startPeriod"]) for period in periods]


async def offered(scene: Scene, ampere: float, connector: int = 1) -> None:
    """Until the charger offers the car just this."""
    point = scene.point(connector)
    await scene.site.until(lambda: point.offered_ma == round(ampere * 1000), timeout_s=PATIENCE_S)


# --- the official cases


@pytest.mark.req("TC_056_CS")
@pytest.mark.parametrize("connector", [0, 1])
async def test_TC_056_CS_a_default_is_seen_in_the_schedule(open_scene: OpenScene, connector: int) -> None:
    scene = await open_scene()
    assert await put(scene, profile((0, 10.0), (HOUR_S, 8.0)), connector) == "Accepted"
    assert limits(await expected(scene)) == [10.0]
    await scene.charging()
    assert limits(await expected(scene)) == [10.0]
    await offered(scene, 10)


@pytest.mark.req("TC_057_CS", "16-SC-14")
async def test_TC_057_CS_a_transactions_profile_reaches_the_car_within_one_poll(open_scene: OpenScene) -> None:
    scene = await open_scene()
    transaction = await scene.charging()
    point, unit = scene.point(), scene.unit()
    await offered(scene, 32)
    assert point.current_ma == 16_000
    one = profile((0, 8.0), (HOUR_S, 6.0), purpose="TxProfile", transactionId=transaction)
    before = unit.requests
    assert await put(scene, one) == "Accepted"
    await offered(scene, 8)
    assert unit.requests - before <= 2 * SOCKET.requests_a_look
    assert point.current_ma == 8_000
    assert limits(await expected(scene)) == [8.0]
    before = unit.requests
    assert await scene.status_of("ClearChargingProfile", id=1) == "Accepted"
    await offered(scene, 32)
    assert unit.requests - before <= 2 * SOCKET.requests_a_look
    assert point.current_ma == 16_000


@pytest.mark.req("TC_058_1_CS", "16-SC-02")
async def test_TC_058_1_CS_no_transaction_has_no_profile(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await put(scene, profile((0, 8.0), purpose="TxProfile")) == "Rejected"
    assert limits(await expected(scene)) == [32.0]


@pytest.mark.req("TC_058_2_CS", "16-SC-02")
async def test_TC_058_2_CS_another_transactions_profile_is_rejected(open_scene: OpenScene) -> None:
    scene = await open_scene()
    transaction = await scene.charging()
    wrong = profile((0, 8.0), purpose="TxProfile", transactionId=transaction + 1)
    assert await put(scene, wrong) == "Rejected"
    await scene.settled()
    assert scene.point().offered_ma == 32_000


@pytest.mark.req("TC_082_CS", "16-SC-10")
async def test_TC_082_CS_a_default_holds_for_the_running_transaction(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await scene.charging()
    assert await put(scene, profile((0, 9.0))) == "Accepted"
    await offered(scene, 9)
    assert limits(await expected(scene)) == [9.0]
    assert await scene.status_of("ClearChargingProfile", chargingProfilePurpose="TxDefaultProfile") == "Accepted"
    await offered(scene, 32)


@pytest.mark.req("TC_066_CS", "16-SC-07", "16-SC-14")
async def test_TC_066_CS_the_smallest_limit_at_each_moment(open_scene: OpenScene) -> None:
    scene = await open_scene()
    transaction = await scene.charging()
    station = profile((0, 10.0), id=1, purpose="ChargePointMaxProfile", begun_s=0)
    default = profile((0, 6.0), id=2, begun_s=0)
    own = profile((0, 8.0), (100, 16.0), id=3, purpose="TxProfile", begun_s=0, duration_s=200)
    assert await put(scene, station, 0) == "Accepted"
    assert await put(scene, default) == "Accepted"
    assert await put(scene, {**own, "transactionId": transaction}) == "Accepted"
    found = await expected(scene, duration_s=400)
    assert limits(found) == [8.0, 10.0, 6.0]
    begun = moment(own["chargingSchedule"]["startSchedule"]).replace(microsecond=0)
    assert changes_at(found)[1:] == [begun + timedelta(seconds=100), begun + timedelta(seconds=200)]
    assert limits(await expected(scene, duration_s=400, chargingRateUnit="W")) == [5520.0, 6900.0, 4140.0]
    assert limits(await expected(scene, 0, duration_s=400)) == [8.0, 10.0, 6.0]


@pytest.mark.req("TC_067_CS")
async def test_TC_067_CS_clearing_by_id_by_criteria_and_in_vain(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await put(scene, profile((0, 8.0), id=5)) == "Accepted"
    assert await scene.status_of("ClearChargingProfile", id=5) == "Accepted"
    assert await scene.status_of("ClearChargingProfile", id=5) == "Unknown"
    assert await put(scene, profile((0, 8.0), id=6, level=2)) == "Accepted"
    which = {"connectorId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 2}
    assert await scene.status_of("ClearChargingProfile", **{**which, "stackLevel": 1}) == "Unknown"
    assert await scene.status_of("ClearChargingProfile", **which) == "Accepted"
    assert await scene.status_of("ClearChargingProfile", **which) == "Unknown"
    assert await scene.status_of("ClearChargingProfile") == "Unknown"
    assert limits(await expected(scene)) == [32.0]


@pytest.mark.req("TC_072_CS", "16-SC-06")
async def test_TC_072_CS_the_higher_level_wins_while_it_is_valid(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await scene.charging()
    assert await put(scene, profile((0, 12.0), id=1, level=1)) == "Accepted"
    await offered(scene, 12)
    assert await put(scene, profile((0, 7.0), id=2, level=2, begun_s=0, duration_s=3)) == "Accepted"
    await offered(scene, 7)
    assert limits(await expected(scene)) == [7.0, 12.0]
    await offered(scene, 12)
    assert limits(await expected(scene)) == [12.0]


@pytest.mark.req("TC_059_CS", "16-SC-04")
async def test_TC_059_CS_the_profile_of_a_remote_start_is_the_transactions(open_scene: OpenScene) -> None:
    scene = await open_scene()
    scene.plug()
    await scene.expect_status("Preparing")
    one = profile((0, 8.0), purpose="TxProfile", kind="Relative")
    assert await scene.remote_start("ALICE", chargingProfile=one) == "Accepted"
    await scene.expect("StartTransaction", connectorId=1)
    await scene.expect_status("Charging")
    await offered(scene, 8)
    assert limits(await expected(scene)) == [8.0]
    later = profile((0, 11.0), id=2, purpose="TxProfile", transactionId=scene.transaction_id())
    assert await put(scene, later) == "Accepted"
    await offered(scene, 11)
    assert await scene.status_of("ClearChargingProfile", id=1) == "Unknown"


@pytest.mark.req("TC_060_CS")
@pytest.mark.parametrize(
    "change",
    [
        {"chargingProfilePurpose": "TxDefaultProfile"},
        {"chargingProfilePurpose": "ChargePointMaxProfile"},
        {"transactionId": 1},
        {"stackLevel": 10**6},
    ],
    ids=str,
)
async def test_TC_060_CS_a_remote_start_with_an_unfit_profile_is_rejected(
    open_scene: OpenScene, change: dict[str, Any]
) -> None:
    scene = await open_scene()
    one = {**profile((0, 8.0), purpose="TxProfile", kind="Relative"), **change}
    assert await scene.remote_start("ALICE", chargingProfile=one) == "Rejected"
    scene.plug()
    await scene.expect_status("Preparing")
    await scene.settled()
    assert "StartTransaction" not in scene.calls()


# --- what the list leaves out


@pytest.mark.req("16-SC-16", "16-SC-17")
@pytest.mark.parametrize("box", [SOCKET, KEBA, TETHERED], ids=lambda box: box.make)
@pytest.mark.parametrize("limit", [0.0, 5.9])
async def test_a_limit_of_nothing_suspends_and_a_higher_one_goes_on(
    open_scene: OpenScene, box: Box, limit: float
) -> None:
    scene = await open_scene(box)
    scene.plug()
    await scene.expect_status("Preparing")
    assert await scene.remote_start("ALICE") == "Accepted"
    await scene.expect_status("Charging")
    assert await put(scene, profile((0, limit))) == "Accepted"
    await scene.expect_status("SuspendedEVSE")
    await scene.energy_off()
    await scene.settled()
    assert scene.point().current_ma == 0
    assert await put(scene, profile((0, 8.0))) == "Accepted"
    await scene.expect_status("Charging")
    await offered(scene, 8)
    assert "StopTransaction" not in scene.calls()


@pytest.mark.req("16-SC-03")
@pytest.mark.parametrize(
    ("connector", "change"),
    [(2, {}), (1, {"chargingProfileKind": "Sometimes"}), (1, {"chargingProfilePurpose": "Any"})],
)
async def test_a_place_or_a_word_that_does_not_exist_is_a_wrong_value(
    open_scene: OpenScene, connector: int, change: dict[str, str]
) -> None:
    scene = await open_scene()
    with pytest.raises(CsmsCallError) as refused:
        await put(scene, {**profile((0, 8.0)), **change}, connector)
    assert refused.value.code == "PropertyConstraintViolation"
    answer = await scene.call("GetCompositeSchedule", connectorId=2, duration=60)
    assert answer == {"status": "Rejected"}


@pytest.mark.req("16-SC-05", "16-SC-15")
async def test_profiles_outlive_the_line_and_the_daemon(open_scene: OpenScene) -> None:
    scene = await open_scene(process=True)
    transaction = await scene.charging()
    one = profile((0, 8.0), id=1, purpose="TxProfile", transactionId=transaction)
    assert await put(scene, one) == "Accepted"
    assert await put(scene, profile((0, 12.0), id=2)) == "Accepted"
    await offered(scene, 8)
    await scene.cut()
    await scene.restart_daemon(kill=True, wait=False)
    await scene.restore()
    await scene.ready(after=scene.since)
    await offered(scene, 8)
    assert limits(await expected(scene)) == [8.0]
    scene.swipe("ALICE")
    await scene.expect("StopTransaction", transactionId=transaction)
    assert limits(await expected(scene)) == [12.0]
    assert await scene.status_of("ClearChargingProfile", id=1) == "Unknown"


@pytest.mark.req("16-SC-07")
async def test_two_cars_share_the_stations_limit(open_scene: OpenScene) -> None:
    scene = await open_scene(TWO_SOCKETS)
    assert await put(scene, profile((0, 20.0), purpose="ChargePointMaxProfile"), 0) == "Accepted"
    scene.plug(1, Car(max_current_ma=32_000))
    await scene.expect_status("Preparing", 1)
    scene.swipe("ALICE", 1)
    await scene.expect_status("Charging", 1)
    await offered(scene, 20, 1)
    await scene.charging("BOB", 2)
    await offered(scene, 10, 1)
    await offered(scene, 10, 2)
    assert limits(await expected(scene, 0)) == [20.0]
    scene.swipe("BOB", 2)
    await scene.expect("StopTransaction")
    await offered(scene, 20, 1)


@pytest.mark.req("16-SC-07")
async def test_together_they_never_offer_more_than_the_station_may_while_their_parts_shift(
    open_scene: OpenScene,
) -> None:
    scene = await open_scene(SOCKET, SOCKET)
    assert await put(scene, profile((0, 20.0), purpose="ChargePointMaxProfile"), 0) == "Accepted"
    scene.plug(1, Car(max_current_ma=32_000))
    await scene.expect_status("Preparing", 1)
    scene.swipe("ALICE", 1)
    await scene.expect_status("Charging", 1)
    await offered(scene, 20, 1)
    scene.unit(1).silent = True
    scene.plug(2)
    await scene.expect_status("Preparing", 2)
    scene.swipe("BOB", 2)
    await scene.expect("StartTransaction", connectorId=2)
    looks = scene.unit(2).requests
    await scene.site.until(lambda: scene.unit(2).requests >= looks + 5 * SOCKET.requests_a_look, timeout_s=PATIENCE_S)
    assert (scene.point(1).offered_ma, scene.point(2).offered_ma) == (20_000, 0)
    scene.unit(1).silent = False
    await offered(scene, 10, 2)
    assert scene.point(1).offered_ma == 10_000


@pytest.mark.req("16-SC-12")
async def test_watts_are_divided_by_the_wires_of_the_site(open_scene: OpenScene) -> None:
    scene = await open_scene(charger_settings={"phases": 1, "voltage_v": 240})
    await scene.charging()
    assert await put(scene, profile((0, 2400.0), unit="W")) == "Accepted"
    await offered(scene, 10)
    found = await expected(scene, chargingRateUnit="W")
    assert found["chargingSchedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 2400.0, "numberPhases": 1}
    ]


@pytest.mark.req("16-SC-12", "16-SC-13")
async def test_what_the_station_can_take_is_told_in_its_keys(open_scene: OpenScene) -> None:
    scene = await open_scene()
    most = int(await scene.value_of("ChargingScheduleMaxPeriods"))
    levels = int(await scene.value_of("ChargeProfileMaxStackLevel"))
    assert await scene.value_of("ChargingScheduleAllowedChargingRateUnit") == "Current,Power"
    assert await scene.value_of("ConnectorSwitch3to1PhaseSupported") == "false"
    assert int(await scene.value_of("MaxChargingProfilesInstalled")) >= 1
    periods = [(60 * n, 6.0 + n / 10) for n in range(most + 1)]
    assert await put(scene, profile(*periods[:most], level=levels)) == "Accepted"
    assert await put(scene, profile(*periods)) == "Rejected"
    assert await put(scene, profile((0, 8.0), level=levels + 1)) == "Rejected"
