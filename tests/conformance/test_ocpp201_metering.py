"""Meter values of the official 2.0.1 list, J01 and J02: which, when, in which message; the register only rises."""

from __future__ import annotations

import pytest

from tests.conformance.scene201 import TWO_SOCKETS, Json, OpenScene201, Scene201, moment

ENERGY = "Energy.Active.Import.Register"
MEASURANDS = f"{ENERGY},Power.Active.Import,Current.Import"
QUIET = {"SampledDataCtrlr.TxUpdatedInterval": 0}


def values(message: Json, context: str | None = None) -> list[Json]:
    """The sampled values of a message, of one context or of all."""
    every = [value for sample in message.get("meterValue", ()) for value in sample["sampledValue"]]
    return [value for value in every if context in (None, value["context"])]


def measurands(found: list[Json]) -> set[str]:
    return {value["measurand"] for value in found}


def energies(found: list[Json]) -> list[float]:
    return [value["value"] for value in found if value["measurand"] == ENERGY]


async def aligned(scene: Scene201) -> Json:
    """The first TransactionEvent with clock-aligned values."""
    return await scene.expect_event("Updated", "MeterValueClock")


# --- aligned to the clock


@pytest.mark.req("TC_J_01_CS", "J01.FR.01", "J01.FR.02", "J01.FR.03", "J01.FR.06", "J01.FR.07", "J01.FR.14")
async def test_TC_J_01_CS_aligned_values_of_each_evse(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS, keys={"AlignedDataCtrlr.Measurands": MEASURANDS})
    await scene.configure("AlignedDataCtrlr.Interval", 2)
    for evse in (1, 2):
        message = await scene.expect("MeterValues", evseId=evse)
        assert {value["context"] for value in values(message)} == {"Sample.Clock"}
        assert measurands(values(message)) == set(MEASURANDS.split(","))
        assert moment(message["meterValue"][0]["timestamp"]).second % 2 == 0
    assert {message["evseId"] for message in scene.payloads("MeterValues")} == {1, 2}


@pytest.mark.req("TC_J_02_CS", "TC_J_06_CS", "J01.FR.14", "J01.FR.20", "J01.FR.22")
async def test_TC_J_02_CS_TC_J_06_CS_aligned_values_during_a_transaction(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS, keys=QUIET)
    await scene.charging(evse=1)
    await scene.configure("AlignedDataCtrlr.Interval", 1)
    event = await aligned(scene)
    assert {value["context"] for value in values(event)} == {"Sample.Clock"}
    await scene.expect("MeterValues", evseId=2)
    await scene.configure("AlignedDataCtrlr.SendDuringIdle", True)
    await scene.answered()
    begin = scene.csms.mark()
    await scene.energy_flows(wh=150)  # two seconds and more
    await scene.answered()
    assert scene.payloads("MeterValues", after=begin) == scene.events(after=begin) == []
    scene.swipe("ALICE", 1)
    await scene.expect_event("Ended")
    await scene.expect("MeterValues", evseId=1)


@pytest.mark.req("TC_J_03_CS", "J01.FR.07", "E06.FR.11", "E07.FR.08", "E06.FR.17")
async def test_TC_J_03_CS_aligned_values_in_the_end(open_scene201: OpenScene201) -> None:
    keys = {"AlignedDataCtrlr.TxEndedMeasurands": MEASURANDS, "AlignedDataCtrlr.TxEndedInterval": 1, **QUIET}
    scene = await open_scene201(keys=keys)
    await scene.charging()
    await scene.energy_flows(wh=200)  # two seconds and more
    scene.swipe("ALICE")
    ended = await scene.expect_event("Ended")
    assert measurands(values(ended, "Sample.Clock")) == set(MEASURANDS.split(","))
    for sample in ended["meterValue"][1:-1]:
        assert {value["context"] for value in sample["sampledValue"]} == {"Sample.Clock"}
    found = energies(values(ended))
    assert found == sorted(found) and found[-1] > found[0]
    assert scene.payloads("MeterValues", after=0) == []


# --- sampled


@pytest.mark.req("TC_J_07_CS", "J02.FR.01", "J02.FR.02", "J02.FR.03", "J02.FR.10", "E01.FR.09", "E02.FR.09")
async def test_TC_J_07_CS_the_start_tells_where_it_begins(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"SampledDataCtrlr.TxStartedMeasurands": f"{ENERGY},Voltage", **QUIET})
    await scene.charging()
    (started,) = [event for event in scene.events(after=0) if event["eventType"] == "Started"]
    assert {value["context"] for value in values(started)} == {"Transaction.Begin"}
    assert measurands(values(started)) == {ENERGY, "Voltage"}
    assert started["evse"] == {"id": 1, "connectorId": 1}


@pytest.mark.req("TC_J_09_CS", "J02.FR.10", "J02.FR.11", "J02.FR.14", "J02.FR.16", "E02.FR.10", "E02.FR.11")
async def test_TC_J_09_CS_values_during_the_transaction(open_scene201: OpenScene201) -> None:
    keys = {"SampledDataCtrlr.TxUpdatedMeasurands": MEASURANDS, "SampledDataCtrlr.TxUpdatedInterval": 1}
    scene = await open_scene201(keys=keys)
    await scene.charging()
    first = await scene.expect_event("Updated", "MeterValuePeriodic", charging_state="Charging")
    second = await scene.expect_event("Updated", "MeterValuePeriodic", seqNo=first["seqNo"] + 1)
    for event in (first, second):
        assert {value["context"] for value in values(event)} == {"Sample.Periodic"}
        assert measurands(values(event)) == set(MEASURANDS.split(","))
    (before,), (after,) = energies(values(first)), energies(values(second))
    assert after > before
    passed_s = (moment(second["timestamp"]) - moment(first["timestamp"])).total_seconds()
    assert 0.5 < passed_s < 30


@pytest.mark.req("TC_J_10_CS", "J02.FR.10", "E06.FR.11", "E07.FR.08", "E09.FR.05", "E06.FR.17")
async def test_TC_J_10_CS_the_end_tells_it_all(open_scene201: OpenScene201) -> None:
    keys = {"SampledDataCtrlr.TxEndedMeasurands": f"{ENERGY},Voltage", "SampledDataCtrlr.TxEndedInterval": 1, **QUIET}
    scene = await open_scene201(keys=keys)
    await scene.charging()
    await scene.energy_flows(wh=200)  # two seconds and more
    scene.unplug()
    ended = await scene.expect_event("Ended", "EVCommunicationLost")
    contexts = [sample["sampledValue"][0]["context"] for sample in ended["meterValue"]]
    assert contexts[0] == "Transaction.Begin" and contexts[-1] == "Transaction.End"
    assert set(contexts[1:-1]) == {"Sample.Periodic"}
    assert measurands(values(ended)) == {ENERGY, "Voltage"}
    found = energies(values(ended))
    assert found == sorted(found) and found[-1] > found[0]


@pytest.mark.req("E06.FR.11", "J02.FR.10")
async def test_without_an_interval_the_end_has_the_first_and_the_last_values(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"SampledDataCtrlr.TxUpdatedInterval": 1})
    await scene.charging()
    await scene.expect_event("Updated", "MeterValuePeriodic")
    scene.swipe("ALICE")
    ended = await scene.expect_event("Ended")
    assert [value["context"] for value in values(ended)] == ["Transaction.Begin", "Transaction.End"]


@pytest.mark.req("F06.FR.07", "E02.FR.15")
async def test_a_triggered_event_has_the_values_of_an_update(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"SampledDataCtrlr.TxUpdatedMeasurands": f"{ENERGY},Voltage", **QUIET})
    await scene.charging()
    status = await scene.status_of("TriggerMessage", requestedMessage="TransactionEvent", evse={"id": 1})
    assert status == "Accepted"
    event = await scene.expect_event("Updated", "Trigger", charging_state="Charging")
    assert {value["context"] for value in values(event)} == {"Trigger"}
    assert measurands(values(event)) == {ENERGY, "Voltage"}
