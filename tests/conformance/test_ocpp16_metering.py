"""Meter values of the official 1.6 list: which, when, and that the register only ever rises."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.conformance.scene import OpenScene, Scene, moment

MEASURANDS = "Energy.Active.Import.Register,Power.Active.Import,Current.Import"


def sampled(payload: dict[str, Any]) -> list[dict[str, Any]]:
    return [value for sample in payload["meterValue"] for value in sample["sampledValue"]]


def energies(payloads: list[dict[str, Any]]) -> list[float]:
    """The energy register, in the order in which it was reported."""
    named = (value for payload in payloads for value in sampled(payload))
    return [float(value["value"]) for value in named if value["measurand"] == "Energy.Active.Import.Register"]


async def samples(scene: Scene, count: int) -> list[dict[str, Any]]:
    """The first MeterValues since the last move, so many of them."""
    await scene.csms.wait_for("MeterValues", lambda _: len(scene.payloads("MeterValues")) >= count, after=scene.since)
    return scene.payloads("MeterValues")[:count]


@pytest.mark.req("TC_070_CS", "16-MV-01", "16-MV-05", "16-MV-07")
async def test_TC_070_CS_sampled_meter_values(open_scene: OpenScene) -> None:
    scene = await open_scene(speed=100.0)
    await scene.configure("MeterValueSampleInterval", 1)
    await scene.configure("MeterValuesSampledData", MEASURANDS)
    transaction = await scene.charging()
    found = await samples(scene, 3)
    for payload in found:
        assert (payload["connectorId"], payload["transactionId"]) == (1, transaction)
        values = sampled(payload)
        assert {value["context"] for value in values} == {"Sample.Periodic"}
        assert {value["measurand"] for value in values} == set(MEASURANDS.split(","))
        assert {value.get("phase") for value in values if value["measurand"] == "Current.Import"} == {"L1", "L2", "L3"}
    times = [moment(payload["meterValue"][0]["timestamp"]) for payload in found]
    assert all(0.5 < (after - before).total_seconds() < 30 for before, after in pairwise(times))
    assert energies(found) == sorted(energies(found)) and energies(found)[-1] > 0
    assert await scene.status_of("RemoteStopTransaction", transactionId=transaction) == "Accepted"
    stop = await scene.expect("StopTransaction")
    assert stop["meterStop"] >= energies(found)[-1]
    assert "transactionData" not in stop


@pytest.mark.req("16-MV-09")
async def test_the_end_of_a_transaction_carries_what_the_keys_ask_for(open_scene: OpenScene) -> None:
    scene = await open_scene(
        speed=100.0, keys={"StopTxnSampledData": "Energy.Active.Import.Register", "MeterValueSampleInterval": 1}
    )
    transaction = await scene.charging()
    await samples(scene, 2)
    assert await scene.status_of("RemoteStopTransaction", transactionId=transaction) == "Accepted"
    data = (await scene.expect("StopTransaction"))["transactionData"]
    contexts = [sample["sampledValue"][0]["context"] for sample in data]
    assert contexts[0] == "Transaction.Begin" and contexts[-1] == "Transaction.End"
    assert set(contexts[1:-1]) == {"Sample.Periodic"}
    assert energies([{"meterValue": data}]) == sorted(energies([{"meterValue": data}]))


@pytest.mark.req("TC_071_CS", "16-MV-02")
async def test_TC_071_CS_clock_aligned_meter_values(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"MeterValueSampleInterval": 0})
    await scene.configure("MeterValuesAlignedData", MEASURANDS)
    transaction = await scene.charging()
    await scene.configure("ClockAlignedDataInterval", 2)
    found = await samples(scene, 2)
    for payload in found:
        assert (payload["connectorId"], payload["transactionId"]) == (1, transaction)
        assert {value["context"] for value in sampled(payload)} == {"Sample.Clock"}
        assert {value["measurand"] for value in sampled(payload)} == set(MEASURANDS.split(","))
        at = moment(payload["meterValue"][0]["timestamp"])
        assert at.second % 2 == 0  # of the slot's own second: the daemon looks at the clock once a second


@pytest.mark.req("TC_071_CS", "16-MV-01", "16-MV-06")
async def test_TC_071_CS_clock_aligned_meter_values_without_a_transaction(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await scene.configure("ClockAlignedDataInterval", 2)
    (payload,) = await samples(scene, 1)
    assert "transactionId" not in payload
    assert {value["context"] for value in sampled(payload)} == {"Sample.Clock"}


@pytest.mark.req("16-MV-08")
async def test_a_measurand_that_no_charger_has_is_refused(open_scene: OpenScene) -> None:
    scene = await open_scene()
    before = await scene.value_of("MeterValuesSampledData")
    wanted = f"{before},SoC"
    assert await scene.status_of("ChangeConfiguration", key="MeterValuesSampledData", value=wanted) == "Rejected"
    assert await scene.value_of("MeterValuesSampledData") == before
