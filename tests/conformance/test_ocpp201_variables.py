"""The device model as a 2.0.1 CSMS sees it: variables read, written and reported. B05 to B08."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from edged.simulator.csms import Csms, CsmsCallError
from tests.conformance.scene201 import PATIENCE_S, TWO_SOCKETS, OpenScene201, Scene201

Json = dict[str, Any]
REQUIRED: dict[str, dict[str, str]] = yaml.safe_load(
    (Path(__file__).parents[1] / "domain" / "required_variables.yaml").read_text(encoding="utf-8")
)
OFFLINE = {"component": {"name": "AuthCtrlr"}, "variable": {"name": "LocalAuthorizeOffline"}}
TIMEOUT = {"component": {"name": "TxCtrlr"}, "variable": {"name": "EVConnectionTimeOut"}}
PASSWORD = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
START = {"component": {"name": "TxCtrlr"}, "variable": {"name": "TxStartPoint"}}


async def get(scene: Scene201, *asked: Json) -> list[Json]:
    answer = await scene.call("GetVariables", getVariableData=list(asked))
    results: list[Json] = answer["getVariableResult"]
    assert len(results) == len(asked)
    for one, result in zip(asked, results, strict=True):
        assert (result["component"], result["variable"]) == (one["component"], one["variable"])
        assert result["attributeType"] == one.get("attributeType", "Actual")
    return results


async def put(scene: Scene201, *changes: Json) -> list[Json]:
    answer = await scene.call("SetVariables", setVariableData=list(changes))
    results: list[Json] = answer["setVariableResult"]
    assert len(results) == len(changes)
    for one, result in zip(changes, results, strict=True):
        assert (result["component"], result["variable"]) == (one["component"], one["variable"])
        assert result["attributeType"] == one.get("attributeType", "Actual")
    return results


def name_of(entry: Json) -> str:
    """Component.Variable[instance] of a report's entry."""
    instance = entry["variable"].get("instance")
    return f"{entry['component']['name']}.{entry['variable']['name']}" + (f"[{instance}]" if instance else "")


def actual(entry: Json) -> Json:
    (attribute,) = entry["variableAttribute"]
    assert attribute["type"] == "Actual"
    found: Json = attribute
    return found


# --- B06


@pytest.mark.req("TC_B_06_CS", "B06.FR.01", "B06.FR.02", "B06.FR.03", "B06.FR.04", "B06.FR.10", "B06.FR.11")
async def test_TC_B_06_CS_a_variable_is_read_with_its_attribute_named_or_not(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"AuthCtrlr.LocalAuthorizeOffline": True})
    for asked in (OFFLINE, {**OFFLINE, "attributeType": "Actual"}):
        (result,) = await get(scene, asked)
        assert (result["attributeStatus"], result["attributeValue"]) == ("Accepted", "true")
    with pytest.raises(CsmsCallError) as refused:
        await scene.call("GetVariables", getVariableData=[OFFLINE] * 101)
    assert refused.value.code == "OccurrenceConstraintViolation"
    with pytest.raises(CsmsCallError) as refused:
        await scene.call("GetVariables", getVariableData=[OFFLINE], customData={"vendorId": "x", "y": "z" * 65_536})
    assert refused.value.code == "FormatViolation"


@pytest.mark.req("TC_B_07_CS", "B06.FR.09")
async def test_TC_B_07_CS_several_variables_are_read_at_once(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    plug = {
        "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
        "variable": {"name": "ConnectorType"},
    }
    first, hidden, last = await get(scene, OFFLINE, PASSWORD, plug)
    assert (first["attributeStatus"], first["attributeValue"]) == ("Accepted", "true")
    assert (hidden["attributeStatus"], hidden["attributeStatusInfo"]["reasonCode"]) == ("Rejected", "WriteOnly")
    assert "attributeValue" not in hidden
    assert (last["attributeStatus"], last["attributeValue"]) == ("Accepted", "cType2")


@pytest.mark.req("TC_B_32_CS", "B06.FR.06")
async def test_TC_B_32_CS_a_component_that_is_not_there_has_no_variables(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    nowhere = {"component": {"name": "UnknownComponent"}, "variable": {"name": "UnknownVariable"}}
    far = {"component": {"name": "EVSE", "evse": {"id": 9}}, "variable": {"name": "Available"}}
    for result in await get(scene, nowhere, far):
        assert result["attributeStatus"] == "UnknownComponent" and "attributeValue" not in result


@pytest.mark.req("TC_B_33_CS", "B06.FR.07", "B06.FR.14", "B06.FR.15")
async def test_TC_B_33_CS_a_variable_that_is_not_there_has_no_value(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    data = {"name": "DeviceDataCtrlr"}
    for result in await get(
        scene,
        {**OFFLINE, "variable": {"name": "UnknownVariable"}},
        {"component": data, "variable": {"name": "ItemsPerMessage"}},
        {"component": data, "variable": {"name": "ItemsPerMessage", "instance": "Nonsense"}},
    ):
        assert result["attributeStatus"] == "UnknownVariable" and "attributeValue" not in result


@pytest.mark.req("TC_B_34_CS", "B06.FR.08")
async def test_TC_B_34_CS_an_attribute_that_a_variable_does_not_have_is_not_supported(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    for result in await get(scene, *({**OFFLINE, "attributeType": kind} for kind in ("Target", "MinSet", "MaxSet"))):
        assert result["attributeStatus"] == "NotSupportedAttributeType" and "attributeValue" not in result


# --- B05


@pytest.mark.req("TC_B_09_CS", "B05.FR.01", "B05.FR.02", "B05.FR.03", "B05.FR.10", "B05.FR.12")
async def test_TC_B_09_CS_a_variable_is_written_and_outlives_a_restart(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    (result,) = await put(scene, {**OFFLINE, "attributeValue": "false"})
    assert result["attributeStatus"] == "Accepted"
    await scene.restart_daemon()
    (read,) = await get(scene, OFFLINE)
    assert read["attributeValue"] == "false"


@pytest.mark.req("TC_B_10_CS", "B05.FR.01", "B05.FR.10")
async def test_TC_B_10_CS_several_variables_are_written_at_once_and_none_takes_another_with_it(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    results = await put(
        scene,
        {**OFFLINE, "attributeValue": "false"},
        {**TIMEOUT, "attributeValue": "never"},
        {**TIMEOUT, "attributeValue": "77", "attributeType": "Actual"},
    )
    assert [result["attributeStatus"] for result in results] == ["Accepted", "Rejected", "Accepted"]
    assert [result["attributeValue"] for result in await get(scene, OFFLINE, TIMEOUT)] == ["false", "77"]


@pytest.mark.req("TC_B_11_CS", "B05.FR.07", "B05.FR.08")
async def test_TC_B_11_CS_a_value_that_the_variable_does_not_allow_is_rejected(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(keys={"TxCtrlr.EVConnectionTimeOut": 55})
    results = await put(
        scene,
        {**TIMEOUT, "attributeValue": "-1"},
        {**TIMEOUT, "attributeValue": "4294967296"},
        {**TIMEOUT, "attributeValue": "soon"},
        {**OFFLINE, "attributeValue": "maybe"},
        {**START, "attributeValue": "Sometime"},
    )
    assert {result["attributeStatus"] for result in results} == {"Rejected"}
    reasons = [result["attributeStatusInfo"]["reasonCode"] for result in results]
    assert reasons == ["ValueTooLow", "ValueTooHigh", "InvalidValue", "InvalidValue", "InvalidValue"]
    assert [result["attributeValue"] for result in await get(scene, TIMEOUT)] == ["55"]


@pytest.mark.req("TC_B_35_CS", "B05.FR.04")
async def test_TC_B_35_CS_nothing_is_set_of_a_component_that_is_not_there(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    nowhere = {"component": {"name": "UnknownComponent"}, "variable": {"name": "LocalAuthorizeOffline"}}
    (result,) = await put(scene, {**nowhere, "attributeValue": "true"})
    assert result["attributeStatus"] == "UnknownComponent"


@pytest.mark.req("TC_B_36_CS", "B05.FR.05")
async def test_TC_B_36_CS_a_variable_that_is_not_there_is_not_set(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    (result,) = await put(scene, {**OFFLINE, "variable": {"name": "UnknownVariable"}, "attributeValue": "true"})
    assert result["attributeStatus"] == "UnknownVariable"


@pytest.mark.req("TC_B_37_CS", "B05.FR.06")
async def test_TC_B_37_CS_an_attribute_that_a_variable_does_not_have_is_not_set(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    (result,) = await put(scene, {**OFFLINE, "attributeType": "Target", "attributeValue": "true"})
    assert result["attributeStatus"] == "NotSupportedAttributeType"


@pytest.mark.req("TC_B_39_CS", "B05.FR.09")
async def test_TC_B_39_CS_what_is_read_only_is_not_set(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    files = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "FileTransferProtocols"}}
    state = {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "AvailabilityState"}}
    for result in await put(scene, {**files, "attributeValue": "FTP"}, {**state, "attributeValue": "Available"}):
        assert (result["attributeStatus"], result["attributeStatusInfo"]["reasonCode"]) == ("Rejected", "ReadOnly")


# --- B07


@pytest.mark.req("TC_B_12_CS", "B07.FR.01", "B07.FR.07", "B07.FR.12")
async def test_TC_B_12_CS_the_configuration_is_everything_that_can_be_written(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    configuration = await scene.base_report("ConfigurationInventory")
    full = await scene.base_report("FullInventory")
    writable = [name_of(entry) for entry in full if actual(entry)["mutability"] != "ReadOnly"]
    assert [name_of(entry) for entry in configuration] == writable
    password = next(entry for entry in configuration if name_of(entry) == "SecurityCtrlr.BasicAuthPassword")
    assert actual(password)["mutability"] == "WriteOnly" and "value" not in actual(password)


@pytest.mark.req("TC_B_13_CS", "B07.FR.01", "B07.FR.03", "B07.FR.04", "B07.FR.08", "B07.FR.10", "B07.FR.12")
async def test_TC_B_13_CS_the_full_inventory_comes_in_pages_that_are_no_larger_than_said(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    pages = await scene.pages("GetBaseReport", "NotifyReport", reportBase="FullInventory")
    assert len(pages) > 1
    assert [page["seqNo"] for page in pages] == list(range(len(pages)))
    assert [page["tbc"] for page in pages] == [True] * (len(pages) - 1) + [False]
    assert len({page["generatedAt"] for page in pages}) == 1
    full = [entry for page in pages for entry in page["reportData"]]
    assert {entry["component"]["evse"]["id"] for entry in full if entry["component"]["name"] == "EVSE"} == {1, 2}
    limits = {name_of(entry): actual(entry).get("value") for entry in full}
    most = int(limits["DeviceDataCtrlr.ItemsPerMessage[GetReport]"] or 0)
    longest = int(limits["DeviceDataCtrlr.BytesPerMessage[GetReport]"] or 0)
    assert all(len(page["reportData"]) <= most and len(json.dumps(page)) <= longest for page in pages)


@pytest.mark.req("TC_B_53_CS", "B07.FR.08", "B07.FR.11")
async def test_TC_B_53_CS_every_variable_that_is_demanded_is_told_with_its_type_and_access(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    told = {name_of(entry): entry for entry in await scene.base_report("FullInventory")}
    assert sorted(set(REQUIRED) - set(told)) == []
    for name, wanted in REQUIRED.items():
        assert told[name]["variableCharacteristics"]["dataType"] == wanted["type"]
        access: str = actual(told[name])["mutability"]
        assert access in wanted.get("access", access).split("|")
        assert ("value" in actual(told[name])) is (access != "WriteOnly")


@pytest.mark.req("TC_B_14_CS", "B07.FR.09")
async def test_TC_B_14_CS_the_summary_says_what_can_be_used_and_what_is_wrong(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    summary = await scene.base_report("SummaryInventory")
    states = {entry["component"]["name"]: actual(entry)["value"] for entry in summary}
    assert states == {"ChargingStation": "Available", "EVSE": "Available", "Connector": "Available"}
    assert {name_of(entry) for entry in summary} == {f"{component}.AvailabilityState" for component in states}


# --- B08


@pytest.mark.req("TC_B_16_CS", "B08.FR.01", "B08.FR.03", "B08.FR.04", "B08.FR.07", "B08.FR.09", "B08.FR.12")
@pytest.mark.req("B08.FR.08", "B08.FR.10", "B08.FR.13", "B08.FR.14", "B08.FR.15")
async def test_TC_B_16_CS_a_report_is_narrowed_by_what_components_say_of_themselves(
    open_scene201: OpenScene201,
) -> None:
    scene = await open_scene201()
    await scene.configure("ReservationCtrlr.Enabled", False)
    available = await scene.report(criteria=("Available",))
    assert {"ChargingStation", "EVSE", "Connector", "ReservationCtrlr"} <= {e["component"]["name"] for e in available}
    assert all("variableCharacteristics" in entry for entry in available)
    enabled = {entry["component"]["name"] for entry in await scene.report(criteria=("Enabled",))}
    assert "AuthCtrlr" in enabled and "ReservationCtrlr" not in enabled
    assert await scene.status_of("GetReport", requestId=77, componentCriteria=["Problem"]) == "EmptyResultSet"


@pytest.mark.req("TC_B_17_CS", "B08.FR.01", "B08.FR.11", "B08.FR.12", "B08.FR.20")
async def test_TC_B_17_CS_a_report_is_narrowed_by_names(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    (one,) = await scene.report("TxCtrlr.EVConnectionTimeOut")
    assert (name_of(one), one["variableCharacteristics"]["unit"]) == ("TxCtrlr.EVConnectionTimeOut", "s")
    assert {entry["variable"]["name"] for entry in await scene.report("TxCtrlr")} > {"TxStartPoint", "TxStopPoint"}
    assert await scene.report("Nowhere.Nothing") == []


@pytest.mark.req("TC_B_18_CS", "B08.FR.05", "B08.FR.15")
async def test_TC_B_18_CS_a_report_may_be_narrowed_by_both(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    await scene.configure("ReservationCtrlr.Enabled", False)
    both = await scene.report("EVSE.AvailabilityState", "ReservationCtrlr.Enabled", criteria=("Enabled", "Problem"))
    assert [name_of(entry) for entry in both] == ["EVSE.AvailabilityState"]
    assert await scene.report("ReservationCtrlr.Enabled", criteria=("Enabled",)) == []


@pytest.mark.req("TC_B_54_CS", "B08.FR.21")
async def test_TC_B_54_CS_a_variable_without_an_instance_is_every_instance(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    every = await scene.report("DeviceDataCtrlr.ItemsPerMessage")
    assert {entry["variable"]["instance"] for entry in every} >= {"GetReport", "GetVariables", "SetVariables"}


@pytest.mark.req("TC_B_55_CS", "B08.FR.11")
async def test_TC_B_55_CS_a_variable_with_its_instance_is_that_one(open_scene201: OpenScene201) -> None:
    scene = await open_scene201()
    (named,) = await scene.report("DeviceDataCtrlr.ItemsPerMessage[GetReport]")
    assert named["variable"] == {"name": "ItemsPerMessage", "instance": "GetReport"}


@pytest.mark.req("TC_B_56_CS", "B08.FR.22", "B08.FR.23")
async def test_TC_B_56_CS_a_component_without_an_evse_is_that_of_every_evse(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(TWO_SOCKETS)
    places = await scene.report("EVSE.AvailabilityState")
    assert [entry["component"]["evse"] for entry in places] == [{"id": 1}, {"id": 2}]
    second = {"component": {"name": "EVSE", "evse": {"id": 2}}, "variable": {"name": "AvailabilityState"}}
    assert [entry["component"]["evse"] for entry in await scene.report(second)] == [{"id": 2}]


def pending(csms: Csms) -> None:
    answer = {"status": "Pending", "currentTime": "2026-03-01T12:00:00Z", "interval": 600}
    csms.answer("BootNotification", answer, times=None)


@pytest.mark.req("B02.FR.01", "B02.FR.02", "B07.FR.01")
async def test_a_station_that_is_not_accepted_yet_is_configured_and_reports(open_scene201: OpenScene201) -> None:
    scene = await open_scene201(script=pending, wait=False)
    await scene.csms.wait_for("BootNotification", timeout_s=PATIENCE_S)
    (result,) = await put(scene, {**TIMEOUT, "attributeValue": "99"})
    assert result["attributeStatus"] == "Accepted"
    (read,) = await get(scene, TIMEOUT)
    assert read["attributeValue"] == "99"
    assert any(name_of(entry) == "TxCtrlr.EVConnectionTimeOut" for entry in await scene.base_report())
