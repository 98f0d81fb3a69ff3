"""Monitors as a 2.0.1 CSMS sets and hears them. N02 to N08, G05."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from edged.domain.hardware import FaultCode
from edged.simulator.csms import CsmsCallError, CsmsTimeout
from tests.conformance.scene201 import LOCKING, PATIENCE_S, OpenScene201, Scene201, moment

Json = dict[str, Any]
EVSE = {"name": "EVSE", "evse": {"id": 1}}
CONNECTOR = {"name": "Connector", "evse": {"id": 1, "connectorId": 1}}
LOCK = {"name": "ConnectorPlugRetentionLock", "evse": {"id": 1, "connectorId": 1}}
POWER: Json = {"component": EVSE, "variable": {"name": "Power"}}
STATE: Json = {"component": EVSE, "variable": {"name": "AvailabilityState"}}
PLACE: Json = {"component": CONNECTOR, "variable": {"name": "AvailabilityState"}}
PRECONFIGURED = 1
"""What is wrong with the station."""
HARD_WIRED = 1001
"""What is wrong with the first connector."""


def order(what: Json = STATE, kind: str = "Delta", value: float = 1, severity: int = 5, **more: object) -> Json:
    return {**what, "type": kind, "value": value, "severity": severity, **more}


async def put(scene: Scene201, *orders: Json) -> list[Json]:
    """A SetVariableMonitoring; the results, which name what was asked."""
    answer = await scene.call("SetVariableMonitoring", setMonitoringData=list(orders))
    results: list[Json] = answer["setMonitoringResult"]
    for one, result in zip(orders, results, strict=True):
        for name in ("component", "variable", "type", "severity"):
            assert result[name] == one[name]
        assert ("id" in result) == (result["status"] == "Accepted")
    return results


async def monitor(scene: Scene201, *args: Any, **more: Any) -> int:
    """The id of a monitor, which must be Accepted."""
    (result,) = await put(scene, order(*args, **more))
    assert result["status"] == "Accepted", result
    return int(result["id"])


async def monitors(scene: Scene201, *wanted: Json, criteria: tuple[str, ...] = ()) -> dict[int, Json]:
    """The reported monitors by id, each with its component and variable."""
    found: dict[int, Json] = {}
    for entry in await scene.monitoring_report(*wanted, criteria=criteria):
        for one in entry["variableMonitoring"]:
            assert one["id"] not in found
            found[one["id"]] = {**one, "component": entry["component"], "variable": entry["variable"]}
    return found


async def base(scene: Scene201, name: str) -> None:
    assert await scene.status_of("SetMonitoringBase", monitoringBase=name) == "Accepted"


async def clear(scene: Scene201, *ids: int) -> list[str]:
    answer = await scene.call("ClearVariableMonitoring", id=list(ids))
    results = answer["clearMonitoringResult"]
    assert [result["id"] for result in results] == list(ids)
    return [str(result["status"]) for result in results]


def told(scene: Scene201, number: int | None = None, *, after: int | None = None) -> list[Json]:
    """The events since the last move, in order; of one monitor, where it is named."""
    found = [one for message in scene.messages("NotifyEvent", after=after) for one in message["eventData"]]
    return [one for one in found if number in (None, one.get("variableMonitoringId"))]


async def event(scene: Scene201, fits: Callable[[Json], bool], *, after: int | None = None) -> Json:
    """The first event like this, and what every message of events must be."""

    def has(payload: Mapping[str, Any]) -> bool:
        return any(fits(one) for one in payload["eventData"])

    start = scene.since if after is None else after
    try:
        message: Json = await scene.csms.wait_for("NotifyEvent", has, after=start, timeout_s=PATIENCE_S)
    except CsmsTimeout as error:
        raise CsmsTimeout(f"no such event; what came: {told(scene, after=start)}") from error
    assert message["seqNo"] == 0 and message["tbc"] is False
    found = next(one for one in message["eventData"] if fits(one))
    assert moment(message["generatedAt"]) >= moment(found["timestamp"])
    return dict(found)


async def of(scene: Scene201, number: int, **fields: object) -> Json:
    """The first event of a monitor with these fields since the last move."""

    def fits(one: Json) -> bool:
        same = all(one.get(name) == value for name, value in fields.items())
        return one.get("variableMonitoringId") == number and same

    return await event(scene, fits)


async def one_more_waits(scene: Scene201, move: Callable[[], None]) -> None:
    """After this move one more message waits for the CSMS."""
    before = (await scene.daemon.state())["queued"]
    move()
    await scene.knows(lambda state: bool(state["queued"] > before))


async def draws(scene: Scene201) -> None:
    """A driver plugs in, shows a token and gets energy."""
    scene.plug()
    await scene.expect_status("Occupied")
    scene.swipe("ALICE")
    await scene.energy_flows(wh=1.0)


# --- N02


async def _all_kinds(scene: Scene201) -> dict[str, int]:
    """One monitor of each kind."""
    wanted = (
        order(POWER, "LowerThreshold", 10),
        order(POWER, "UpperThreshold", 1000),
        order(POWER, "Periodic", 3600),
        order(STATE, "Delta", 1),
        order(STATE, "PeriodicClockAligned", 3600),
    )
    results = await put(scene, *wanted)
    return {result["type"]: result["id"] for result in results}


@pytest.mark.req("TC_N_01_CS", "N02.FR.01", "N02.FR.03", "N02.FR.04", "N02.FR.05", "N02.FR.06")
@pytest.mark.req("N02.FR.09", "N02.FR.12", "N02.FR.13", "N02.FR.14")
async def test_TC_N_01_CS_monitors_are_reported_by_their_kinds(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await base(scene, "HardWiredOnly")
    ids = await _all_kinds(scene)
    thresholds = {ids["UpperThreshold"], ids["LowerThreshold"]}
    periodic = {ids["Periodic"], ids["PeriodicClockAligned"]}
    deltas = {ids["Delta"], HARD_WIRED}
    assert set(await monitors(scene, criteria=("ThresholdMonitoring",))) == thresholds
    assert set(await monitors(scene, criteria=("DeltaMonitoring",))) == deltas
    assert set(await monitors(scene, criteria=("PeriodicMonitoring",))) == periodic
    assert set(await monitors(scene, criteria=("ThresholdMonitoring", "PeriodicMonitoring"))) == thresholds | periodic


@pytest.mark.req("TC_N_02_CS", "N02.FR.01", "N02.FR.03", "N02.FR.04", "N02.FR.05", "N02.FR.08", "N02.FR.09")
@pytest.mark.req("N02.FR.15", "N02.FR.16")
async def test_TC_N_02_CS_monitors_are_reported_by_their_variables(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    ids = await _all_kinds(scene)
    power = {ids["UpperThreshold"], ids["LowerThreshold"], ids["Periodic"]}
    found = await monitors(scene, POWER)
    assert set(found) == power
    assert all((one["component"], one["variable"]) == (EVSE, {"name": "Power"}) for one in found.values())
    assert set(await monitors(scene, {"component": {"name": "evse"}})) == set(ids.values())
    assert set(await monitors(scene, {"component": {"name": "EVSE"}, "variable": {"name": "POWER"}})) == power


@pytest.mark.req("TC_N_03_CS", "N02.FR.01", "N02.FR.03", "N02.FR.04", "N02.FR.05", "N02.FR.09")
@pytest.mark.req("N02.FR.10", "N02.FR.13")
async def test_TC_N_03_CS_monitors_are_reported_by_kind_and_variable_together(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    ids = await _all_kinds(scene)
    assert set(await monitors(scene, STATE, criteria=("DeltaMonitoring",))) == {ids["Delta"]}
    empty = await scene.status_of(
        "GetMonitoringReport", requestId=7, componentVariable=[POWER], monitoringCriteria=["DeltaMonitoring"]
    )
    assert empty == "EmptyResultSet"


@pytest.mark.req("N02.FR.02", "N02.FR.07")
async def test_criteria_that_there_are_not_and_filters_that_are_too_long_are_refused(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    with pytest.raises(CsmsCallError) as refused:
        await scene.call("GetMonitoringReport", requestId=1, monitoringCriteria=["MoonMonitoring"])
    assert refused.value.code == "PropertyConstraintViolation"
    with pytest.raises(CsmsCallError) as refused:
        await scene.call("GetMonitoringReport", requestId=2, componentVariable=[POWER] * 41)
    assert refused.value.code == "OccurrenceConstraintViolation"


@pytest.mark.req("TC_N_47_CS", "N02.FR.01", "N02.FR.11")
async def test_TC_N_47_CS_without_criteria_every_monitor_is_reported(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    ids = await _all_kinds(scene)
    found = await monitors(scene)
    assert set(found) == {*ids.values(), PRECONFIGURED, HARD_WIRED}
    assert found[ids["UpperThreshold"]] == {
        **POWER,
        "id": ids["UpperThreshold"],
        "type": "UpperThreshold",
        "value": 1000,
        "severity": 5,
        "transaction": False,
    }


# --- N03


@pytest.mark.req("TC_N_05_CS", "N03.FR.01", "N03.FR.03", "N03.FR.04", "N03.FR.05")
async def test_TC_N_05_CS_a_base_brings_its_monitors(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await base(scene, "All")
    everything = set(await monitors(scene))
    await base(scene, "FactoryDefault")
    factory = set(await monitors(scene))
    await base(scene, "HardWiredOnly")
    assert set(await monitors(scene)) == {HARD_WIRED}
    assert {HARD_WIRED, PRECONFIGURED} == factory < everything
    assert await scene.value_of("MonitoringCtrlr.ActiveMonitoringBase") == "HardWiredOnly"


@pytest.mark.req("TC_N_06_CS", "N03.FR.01", "N03.FR.03", "N03.FR.05")
async def test_TC_N_06_CS_only_all_leaves_the_monitors_of_the_csms(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    for name, stays in (("All", True), ("FactoryDefault", False), ("HardWiredOnly", False)):
        number = await monitor(scene)
        await base(scene, name)
        assert (number in await monitors(scene)) is stays
        await clear(scene, number)


@pytest.mark.req("N03.FR.02")
async def test_a_base_that_there_is_not_is_refused(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    with pytest.raises(CsmsCallError) as refused:
        await scene.call("SetMonitoringBase", monitoringBase="Nothing")
    assert refused.value.code == "PropertyConstraintViolation"


@pytest.mark.req("TC_N_41_CS", "N03.FR.04", "N04.FR.12", "N04.FR.15")
async def test_TC_N_41_CS_a_preconfigured_monitor_that_was_changed_comes_back_with_the_factory_default(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    await base(scene, "FactoryDefault")
    before = (await monitors(scene))[PRECONFIGURED]
    changed = {**before, "severity": before["severity"] + 1}
    (result,) = await put(scene, changed)
    assert (result["status"], result["id"]) == ("Accepted", PRECONFIGURED)
    what = {"component": before["component"], "variable": before["variable"]}
    assert (await monitors(scene, what))[PRECONFIGURED] == changed
    await base(scene, "FactoryDefault")
    assert (await monitors(scene, what))[PRECONFIGURED] == before


# --- N04


@pytest.mark.req("TC_N_08_CS", "N04.FR.01", "N04.FR.02", "N04.FR.08", "N04.FR.11")
async def test_TC_N_08_CS_a_monitor_is_set_and_gets_an_id(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    number = await monitor(scene, POWER, "UpperThreshold", 1000)
    assert number in await monitors(scene, POWER)


@pytest.mark.req("TC_N_09_CS", "N04.FR.01", "N04.FR.02", "N04.FR.08", "N04.FR.11")
async def test_TC_N_09_CS_monitors_of_several_variables_are_set_at_once(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    key = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
    results = await put(scene, order(STATE), order(PLACE), order(POWER, "UpperThreshold", 50), order(key, "Delta", 60))
    assert [result["status"] for result in results] == ["Accepted"] * 4
    assert len({result["id"] for result in results}) == 4


@pytest.mark.req("TC_N_10_CS", "N04.FR.01", "N04.FR.02", "N04.FR.08", "N04.FR.11")
async def test_TC_N_10_CS_several_monitors_of_one_variable_are_set_at_once(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    results = await put(
        scene,
        order(POWER, "UpperThreshold", 1000, severity=4),
        order(POWER, "UpperThreshold", 2000, severity=3),
        order(POWER, "LowerThreshold", 10),
        order(POWER, "Delta", 500),
    )
    assert [result["status"] for result in results] == ["Accepted"] * 4
    assert len({result["id"] for result in results}) == 4


@pytest.mark.req("TC_N_11_CS", "N04.FR.03")
async def test_TC_N_11_CS_of_an_unknown_component_nothing_is_watched(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    nobody = {"component": {"name": "FluxCapacitor"}, "variable": {"name": "Power"}}
    elsewhere = {"component": {"name": "EVSE", "evse": {"id": 9}}, "variable": {"name": "Power"}}
    results = await put(scene, order(nobody), order(elsewhere))
    assert [result["status"] for result in results] == ["UnknownComponent"] * 2


@pytest.mark.req("TC_N_37_CS", "N04.FR.04")
async def test_TC_N_37_CS_an_unknown_variable_is_not_watched(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    here = {"component": EVSE, "variable": {"name": "Nonsense"}}
    anywhere = {"component": {"name": "EVSE"}, "variable": {"name": "Nonsense"}}
    results = await put(scene, order(here), order(anywhere))
    assert [result["status"] for result in results] == ["UnknownVariable"] * 2


@pytest.mark.req("N04.FR.05")
async def test_a_text_has_no_threshold_and_what_never_changes_no_monitor(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    model = {"component": {"name": "ChargingStation"}, "variable": {"name": "Model"}}
    results = await put(scene, order(STATE, "UpperThreshold", 1), order(model, "Delta", 1))
    assert [result["status"] for result in results] == ["UnsupportedMonitorType"] * 2


@pytest.mark.req("TC_N_12_CS", "N04.FR.14")
async def test_TC_N_12_CS_a_change_is_not_negative(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    results = await put(scene, order(POWER, "Delta", -1), order(STATE, "Delta", -1))
    assert [result["status"] for result in results] == ["Rejected"] * 2
    assert results[0]["statusInfo"]["reasonCode"] == "ValueOutOfRange"


@pytest.mark.req("TC_N_13_CS", "N04.FR.06")
async def test_TC_N_13_CS_a_threshold_is_within_the_limits_of_its_variable(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    (entry,) = await scene.report(POWER)
    most = entry["variableCharacteristics"]["maxLimit"]
    results = await put(
        scene,
        order(POWER, "UpperThreshold", most + 1),
        order(POWER, "LowerThreshold", -1),
        order(POWER, "UpperThreshold", most),
    )
    assert [result["status"] for result in results] == ["Rejected", "Rejected", "Accepted"]


@pytest.mark.req("TC_N_15_CS", "N04.FR.10")
async def test_TC_N_15_CS_no_two_monitors_of_a_variable_have_one_kind_and_severity(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    first, second, other = await put(scene, order(), order(value=2), order(severity=4))
    assert [first["status"], second["status"], other["status"]] == ["Accepted", "Duplicate", "Accepted"]
    (moved,) = await put(scene, order(id=other["id"]))
    assert moved["status"] == "Duplicate"


@pytest.mark.req("TC_N_39_CS", "N04.FR.13", "N04.FR.16", "N04.FR.18")
async def test_TC_N_39_CS_a_monitor_stays_with_its_variable(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    number = await monitor(scene)
    wired = {"component": CONNECTOR, "variable": {"name": "Problem"}}
    results = await put(
        scene, order(POWER, "Delta", 1, id=number), order(id=number + 1), order(wired, severity=2, id=HARD_WIRED)
    )
    assert [result["status"] for result in results] == ["Rejected"] * 3
    kept = (await monitors(scene))[number]
    assert (kept["component"], kept["variable"], kept["type"], kept["value"]) == (
        *(EVSE, {"name": "AvailabilityState"}),
        *("Delta", 1),
    )


@pytest.mark.req("TC_N_40_CS", "N04.FR.12")
async def test_TC_N_40_CS_a_monitor_takes_the_place_of_another_under_its_id(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    number = await monitor(scene, severity=5)
    assert await monitor(scene, severity=4, id=number) == number
    found = await monitors(scene, STATE, criteria=("DeltaMonitoring",))
    assert [(one["id"], one["severity"]) for one in found.values()] == [(number, 4)]


@pytest.mark.req("TC_N_43_CS", "N04.FR.01", "N04.FR.06", "N04.FR.08")
async def test_TC_N_43_CS_an_order_that_is_refused_takes_no_other_with_it(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    results = await put(
        scene,
        order(POWER, "UpperThreshold", 1000),
        order(POWER, "Delta", -1.0),
        order(POWER, "LowerThreshold", 100),
    )
    assert [result["status"] for result in results] == ["Accepted", "Rejected", "Accepted"]
    assert "statusInfo" not in results[0]


@pytest.mark.req("N04.FR.09", "N06.FR.06", "N06.FR.07")
async def test_more_than_is_taken_in_one_request_is_refused_whole(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    most = int(await scene.value_of("MonitoringCtrlr.ItemsPerMessage[SetVariableMonitoring]"))
    with pytest.raises(CsmsCallError) as refused:
        await scene.call("SetVariableMonitoring", setMonitoringData=[order()] * (most + 1))
    assert refused.value.code == "OccurrenceConstraintViolation"
    most = int(await scene.value_of("MonitoringCtrlr.ItemsPerMessage[ClearVariableMonitoring]"))
    with pytest.raises(CsmsCallError) as refused:
        await scene.call("ClearVariableMonitoring", id=[1] * (most + 1))
    assert refused.value.code == "OccurrenceConstraintViolation"
    size = int(await scene.value_of("MonitoringCtrlr.BytesPerMessage[ClearVariableMonitoring]"))
    with pytest.raises(CsmsCallError) as refused:
        await scene.call("ClearVariableMonitoring", id=[10**9] * (size // 10))
    assert refused.value.code == "FormatViolation"


# --- N05, N06


@pytest.mark.req("TC_N_16_CS", "N05.FR.01", "N05.FR.03", "N07.FR.15")
async def test_TC_N_16_CS_what_is_less_severe_than_the_level_is_not_told(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    quiet = await monitor(scene, severity=5)
    loud = await monitor(scene, PLACE, severity=4)
    assert await scene.status_of("SetMonitoringLevel", severity=4) == "Accepted"
    assert await scene.value_of("MonitoringCtrlr.ActiveMonitoringLevel") == "4"
    scene.plug()
    found = await of(scene, loud)
    assert found["actualValue"] == "Occupied"
    await scene.answered()
    assert told(scene, quiet) == []
    begin = scene.csms.mark()
    assert await scene.status_of("SetMonitoringLevel", severity=5) == "Accepted"
    late = await event(scene, lambda one: one.get("variableMonitoringId") == quiet, after=begin)
    assert late["actualValue"] == "Occupied"


@pytest.mark.req("TC_N_17_CS", "N05.FR.02")
async def test_TC_N_17_CS_a_level_that_there_is_not_is_rejected(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    for severity in (10, -1):
        assert await scene.status_of("SetMonitoringLevel", severity=severity) == "Rejected"
    assert await scene.value_of("MonitoringCtrlr.ActiveMonitoringLevel") == "9"


@pytest.mark.req("TC_N_18_CS", "N06.FR.01", "N06.FR.05")
async def test_TC_N_18_CS_a_monitor_is_cleared(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    first, second = await monitor(scene), await monitor(scene, PLACE)
    assert await clear(scene, first, second) == ["Accepted", "Accepted"]
    assert set(await monitors(scene)) == {HARD_WIRED, PRECONFIGURED}


@pytest.mark.req("TC_N_19_CS", "N06.FR.02")
async def test_TC_N_19_CS_a_monitor_that_there_is_not_is_not_found(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    number = await monitor(scene)
    assert await clear(scene, number + 1, number, number, 0, -1) == [
        *("NotFound", "Accepted", "NotFound"),
        *("NotFound", "NotFound"),
    ]


@pytest.mark.req("TC_N_44_CS", "N06.FR.03")
async def test_TC_N_44_CS_a_hard_wired_monitor_is_not_cleared(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    assert await clear(scene, HARD_WIRED) == ["Rejected"]
    assert HARD_WIRED in await monitors(scene)


# --- N07


@pytest.mark.req("TC_N_20_CS", "N07.FR.02", "N07.FR.06", "N07.FR.07", "N07.FR.16", "N07.FR.17")
async def test_TC_N_20_CS_a_threshold_that_is_passed_is_told_once_and_so_is_the_return(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    await base(scene, "All")
    upper = await monitor(scene, POWER, "UpperThreshold", 100)
    begin = scene.csms.mark()
    await draws(scene)
    passed = await event(scene, lambda one: one.get("variableMonitoringId") == upper, after=begin)
    transaction = scene.transaction_id()
    lower = await monitor(scene, POWER, "LowerThreshold", 10)
    scene.swipe("ALICE")
    returned = await of(scene, upper, cleared=True)
    below = await of(scene, lower)
    assert float(passed["actualValue"]) > 100 >= float(returned["actualValue"])
    assert float(below["actualValue"]) < 10
    for one in (passed, returned, below):
        assert (one["trigger"], one["eventNotificationType"]) == ("Alerting", "CustomMonitor")
        assert (one["component"], one["variable"]) == (EVSE, {"name": "Power"})
        assert one["transactionId"] == transaction
    assert not passed.get("cleared", False) and not below.get("cleared", False)
    assert len({one["eventId"] for one in (passed, returned, below)}) == 3
    assert len(told(scene, upper, after=begin)) == 2


@pytest.mark.req("TC_N_45_CS", "N07.FR.06", "N07.FR.07", "N07.FR.18", "N07.FR.19")
async def test_TC_N_45_CS_a_number_that_moves_far_enough_is_told(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    number = await monitor(scene, POWER, "Delta", 100)
    begin = scene.csms.mark()
    await draws(scene)
    found = await event(scene, lambda one: one.get("variableMonitoringId") == number, after=begin)
    assert (found["trigger"], found["component"], found["variable"]) == ("Delta", EVSE, {"name": "Power"})
    assert float(found["actualValue"]) > 100
    assert "cleared" not in found


@pytest.mark.req("TC_N_56_CS", "N07.FR.06", "N07.FR.07", "N07.FR.18", "N07.FR.19")
async def test_TC_N_56_CS_a_word_that_changes_is_told(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    number = await monitor(scene)
    for move, state in ((scene.plug, "Occupied"), (scene.unplug, "Available")):
        move()
        found = await of(scene, number, actualValue=state)
        assert (found["trigger"], found["component"]) == ("Delta", EVSE)
        assert found["variable"] == {"name": "AvailabilityState"}


@pytest.mark.req("N07.FR.18")
async def test_a_number_that_moves_less_than_the_delta_is_not_told(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxCtrlr.EVConnectionTimeOut": 500})
    what = {"component": {"name": "TxCtrlr"}, "variable": {"name": "EVConnectionTimeOut"}}
    number = await monitor(scene, what, "Delta", 2)
    marker = await monitor(scene, what, "Delta", 0, severity=6)
    begin = scene.csms.mark()
    await scene.configure("TxCtrlr.EVConnectionTimeOut", 502)
    await of(scene, marker, actualValue="502")
    assert told(scene, number, after=begin) == []
    await scene.configure("TxCtrlr.EVConnectionTimeOut", 503)
    await of(scene, number, actualValue="503")


@pytest.mark.req("TC_N_51_CS", "N07.FR.11")
async def test_TC_N_51_CS_a_threshold_that_is_changed_is_judged_anew(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    (entry,) = await scene.report(POWER)
    most = entry["variableCharacteristics"]["maxLimit"]
    number = await monitor(scene, POWER, "UpperThreshold", most)
    begin = scene.csms.mark()
    await draws(scene)
    assert await monitor(scene, POWER, "UpperThreshold", 0, id=number) == number
    found = await of(scene, number)
    assert (found["trigger"], "cleared" in found) == ("Alerting", False)
    assert float(found["actualValue"]) > 0
    assert await monitor(scene, POWER, "UpperThreshold", most, id=number) == number
    await of(scene, number, cleared=True)
    assert len(told(scene, number, after=begin)) == 2


@pytest.mark.req("TC_N_52_CS", "N07.FR.12")
async def test_TC_N_52_CS_a_monitor_that_is_cleared_says_nothing_more(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    number = await monitor(scene, POWER, "UpperThreshold", 0)
    marker = await monitor(scene, POWER, "Delta", 10)
    begin = scene.csms.mark()
    await draws(scene)
    await event(scene, lambda one: one.get("variableMonitoringId") == number, after=begin)
    assert await clear(scene, number) == ["Accepted"]
    asked = await scene.status_of(
        "GetMonitoringReport", requestId=9, componentVariable=[POWER], monitoringCriteria=["ThresholdMonitoring"]
    )
    assert asked == "EmptyResultSet"
    scene.swipe("ALICE")
    await of(scene, marker, actualValue="0")
    assert told(scene, number) == []


@pytest.mark.req("TC_N_53_CS", "N07.FR.13", "N07.FR.14")
async def test_TC_N_53_CS_monitors_and_what_they_told_outlive_a_restart(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    number = await monitor(scene, POWER, "UpperThreshold", 1)
    begin = scene.csms.mark()
    await draws(scene)
    await event(scene, lambda one: one.get("variableMonitoringId") == number, after=begin)
    await scene.stop_daemon()
    scene.unplug()
    await scene.start_daemon()
    returned = await of(scene, number, cleared=True)
    assert float(returned["actualValue"]) <= 1
    (kept,) = (await monitors(scene, criteria=("ThresholdMonitoring",))).values()
    assert (kept["id"], kept["type"], kept["value"]) == (number, "UpperThreshold", 1)


@pytest.mark.req("TC_N_22_CS", "N07.FR.04", "N08.FR.03")
async def test_TC_N_22_CS_what_is_severe_enough_is_queued_while_the_csms_is_away(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await scene.configure("MonitoringCtrlr.OfflineQueuingSeverity", 5)
    number = await monitor(scene, severity=5)
    await scene.cut()
    await one_more_waits(scene, scene.plug)
    await one_more_waits(scene, scene.unplug)
    await scene.restore()
    await of(scene, number, actualValue="Available")
    assert [one["actualValue"] for one in told(scene, number)] == ["Occupied", "Available"]


@pytest.mark.req("TC_N_23_CS", "N07.FR.04")
async def test_TC_N_23_CS_what_is_less_severe_is_not_told_later(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await scene.configure("MonitoringCtrlr.OfflineQueuingSeverity", 2)
    ids = await monitor(scene, severity=3), await monitor(scene, PLACE, severity=3)
    queued = await monitor(scene, {**POWER, "variable": {"name": "Problem"}}, severity=2)
    scene.plug()
    for number in ids:
        assert (await of(scene, number))["actualValue"] == "Occupied"
    await scene.answered()
    await scene.cut()
    scene.unplug()
    await scene.knows(lambda state: not state["connectors"][0]["plugged"])
    await one_more_waits(scene, lambda: scene.fault(FaultCode.GROUND))
    await one_more_waits(scene, scene.mend)
    scene.plug()
    await scene.knows(lambda state: bool(state["connectors"][0]["plugged"]))
    await scene.restore()
    await of(scene, queued, actualValue="false")
    await scene.answered()
    assert [one for number in ids for one in told(scene, number)] == []


# --- hard-wired


@pytest.mark.req("TC_N_21_CS", "N07.FR.05", "N07.FR.06", "N07.FR.07")
async def test_TC_N_21_CS_a_lock_that_fails_is_told_by_a_hard_wired_notification(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    scene.fault(FaultCode.CONNECTOR_LOCK)
    found = await event(scene, lambda one: one["eventNotificationType"] == "HardWiredNotification")
    assert (found["component"], found["variable"], found["actualValue"]) == (LOCK, {"name": "Problem"}, "true")
    assert "variableMonitoringId" not in found
    follows = await of(scene, HARD_WIRED)
    assert (follows["eventNotificationType"], follows["actualValue"]) == ("HardWiredMonitor", "true")
    assert follows["cause"] == found["eventId"]
    scene.mend()
    await event(scene, lambda one: one["component"] == LOCK and one.get("cleared") is True)
    await of(scene, HARD_WIRED, actualValue="false")


@pytest.mark.req("G05.FR.01", "G05.FR.02")
async def test_nobody_charges_where_the_lock_has_failed_and_the_csms_hears_why(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(LOCKING)
    begin = scene.csms.mark()
    scene.point().jam_lock(True)
    scene.plug()
    await scene.expect_status("Occupied")
    scene.swipe("ALICE")
    await scene.expect_status("Faulted")
    found = await event(scene, lambda one: one["component"] == LOCK, after=begin)
    assert (found["variable"], found["actualValue"]) == ({"name": "Problem"}, "true")
    await scene.settled()
    assert not scene.point().contactor_closed
    assert scene.messages("TransactionEvent", after=begin) == []


# --- N08


@pytest.mark.req("TC_N_24_CS", "N07.FR.20", "N08.FR.01", "N08.FR.04", "N08.FR.05", "N08.FR.06")
async def test_TC_N_24_CS_a_periodic_monitor_tells_at_its_interval(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    assert await scene.status_of("SetMonitoringLevel", severity=8) == "Accepted"
    begin = scene.csms.mark()
    number = await monitor(scene, POWER, "Periodic", 1)
    await event(scene, lambda one: len(told(scene, number, after=begin)) >= 2, after=begin)
    found = told(scene, number, after=begin)[:2]
    times = [moment(one["timestamp"]) for one in found]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert all(one["trigger"] == "Periodic" and one["component"] == EVSE for one in found)
    assert all(0.5 < gap < 30 for gap in gaps), gaps
