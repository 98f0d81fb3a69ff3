"""The flat points: the same as the documents, under names that stay."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.commands import RequestStop
from edged.domain.events import ChargerLost, PresentToken
from edged.domain.hardware import ChargerState, Fault, FaultCode
from edged.domain.types import IdToken, RequestRef
from edged.mqtt.documents import Document, encode
from edged.mqtt.names import Names
from edged.mqtt.options import PointForm
from edged.mqtt.points import POINTS, QUALITY, Reading, metas, readings, written
from edged.mqtt.topics import Shown, topics

NAMES = Names("edged", "gw1")
NOON = datetime(2026, 8, 22, 10, 0, 0, tzinfo=UTC)
AT_RELEASE = (  # noqa: SIM905
    "link status plugged ready fault error_code vendor_error_code fault_info availability lock reserved reservation_id "
    "reservation_expires_at charging_session transaction_id transaction_started_at transaction_energy_wh "
    "transaction_stop_reason limit_local_a limit_csms_a limit_a power_w energy_wh current_l1_a current_l2_a "
    "current_l3_a voltage_l1_v voltage_l2_v voltage_l3_v frequency_hz temperature_c soc_pct"
).split()
KINDS = {"boolean": bool, "integer": int, "number": int | float, "string": str, "time": str}


def documents(site: Any) -> dict[str, Document]:
    place = NAMES.of_connector("cs1", 1, "")
    found = topics(site.station, Shown(names=NAMES))
    return {topic.removeprefix(place): document for topic, document in found.items() if topic.startswith(place)}


def busy(site: Any) -> None:
    site.observe(1, plugged=True, state=ChargerState.CONNECTED)
    site.happen(PresentToken(IdToken("DRIVER-0001"), 1))


def broken(site: Any) -> None:
    busy(site)
    fault = Fault(code=next(iter(FaultCode)), vendor_code="E7", info="earth", blocking=True)
    site.observe(1, plugged=True, state=ChargerState.FAULTED, faults=(fault,))


def silent(site: Any) -> None:
    busy(site)
    site.happen(ChargerLost(1, "no answer"))


SITUATIONS = pytest.mark.parametrize("happens", [lambda site: None, lambda site: site.observe(1), busy, broken, silent])


@SITUATIONS
def test_a_point_says_what_its_document_says(site: Any, happens: Any) -> None:
    happens(site)
    found = documents(site)
    told = readings(found)
    assert set(told) == {point.name for point in POINTS}
    for point in POINTS:
        whole: Any = encode(found[point.aspect]).decode()
        for member in point.path:
            whole = (json.loads(whole) if isinstance(whole, str) else whole)[member]
        assert told[point.name].value == whole, point.name
        as_object = json.loads(encode(written(told[point.name], PointForm.OBJECT)))
        assert as_object["value"] == whole
        as_scalar = encode(written(told[point.name], PointForm.SCALAR)).decode()
        assert as_scalar == (whole if isinstance(whole, str) else json.dumps(whole))


@SITUATIONS
def test_a_point_is_of_its_kind_and_one_of_its_words(site: Any, happens: Any) -> None:
    happens(site)
    told = readings(documents(site))
    for point in POINTS:
        value = told[point.name].value
        assert value is None or isinstance(value, KINDS[point.kind]), point.name
        assert value is None or not point.words or value in point.words, point.name
        assert value is None or point.kind != "time" or datetime.fromisoformat(value).tzinfo is not None


def test_the_names_that_were_published_once_are_there_for_ever() -> None:
    assert [point.name for point in POINTS] == AT_RELEASE


def test_a_value_that_is_not_known_is_null_and_never_empty(site: Any) -> None:
    told = readings(documents(site))
    assert written(told["power_w"], PointForm.SCALAR).body == "null"
    assert written(told["reservation_id"], PointForm.SCALAR).body == "null"


def test_an_object_has_its_three_members_and_no_others() -> None:
    payload = json.loads(encode(written(Reading(16, 1, NOON), PointForm.OBJECT)))
    assert payload == {"value": 16, "timestamp": "2026-08-22T10:00:00.000Z", "quality": 1}


@pytest.mark.parametrize("form", [PointForm.SCALAR, PointForm.OBJECT])
def test_points_are_retained_and_may_be_lost(form: PointForm) -> None:
    document = written(Reading("Available", 1, NOON), form)
    assert (document.qos, document.retain) == (0, True)
    assert all((meta.qos, meta.retain) == (1, True) for meta in metas(NOON).values())


def test_what_a_silent_charger_has_told_is_stale_and_what_the_station_knows_is_not(site: Any) -> None:
    silent(site)
    told = readings(documents(site))
    stale = {name for name, reading in told.items() if reading.quality == QUALITY["stale"]}
    assert stale == {p.name for p in POINTS if p.aspect in ("meter", "status", "error", "lock")} | {
        "transaction_energy_wh"
    }
    assert told["charging_session"] == Reading(True, 1, site.station.clock.utc)
    assert told["energy_wh"].value == 123_456
    assert told["power_w"].value is None


def test_the_energy_of_a_transaction_is_no_better_and_no_newer_than_the_register_that_it_follows_from(
    site: Any,
) -> None:
    busy(site)
    read_at = site.station.clock.utc
    assert readings(documents(site))["transaction_energy_wh"].quality == QUALITY["good"]
    site.later(seconds=30)
    site.happen(ChargerLost(1, "no answer"))
    told = readings(documents(site))
    assert told["transaction_energy_wh"] == Reading(0, QUALITY["stale"], read_at)
    site.later(seconds=30)
    site.happen(RequestStop(request=RequestRef("local", "1", "stop_transaction"), connector=1))
    told = readings(documents(site))
    assert told["charging_session"].value is False
    assert told["transaction_energy_wh"].quality == QUALITY["good"], "the bill is made"


def test_good_is_one_and_nothing_else_is() -> None:
    assert QUALITY["good"] == 1
    assert len(set(QUALITY.values())) == len(QUALITY)


def test_a_quality_that_is_new_is_not_good(site: Any) -> None:
    site.observe(1)
    found = documents(site)
    body = {**found["meter"].body, "quality": "guessed"}  # type: ignore[dict-item]
    told = readings({**found, "meter": replace(found["meter"], body=body)})
    assert told["power_w"].quality == QUALITY["invalid"]


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()))
def test_any_value_can_be_written_in_both_forms(value: Any) -> None:
    reading = Reading(value, 1, None)
    assert json.loads(encode(written(reading, PointForm.OBJECT)).decode("utf-8", "replace"))["timestamp"] is None
    assert value == "" or encode(written(reading, PointForm.SCALAR))


def test_every_point_has_its_meta_and_the_contract_names_each(contract: Any) -> None:
    described = metas(NOON)
    assert set(described) == {point.name for point in POINTS}
    named = contract.document["channels"]["point"]["parameters"]["point"]["enum"]
    assert named == [point.name for point in POINTS]
    judge = {"$ref": "#/components/schemas/PointMeta", "components": contract.document["components"]}
    for document in described.values():
        jsonschema.Draft202012Validator({**judge, "unevaluatedProperties": False}).validate(
            json.loads(encode(document))
        )


def test_the_unit_is_the_one_of_the_name() -> None:
    units = {"w": "W", "wh": "Wh", "a": "A", "v": "V", "hz": "Hz", "c": "°C", "pct": "%"}
    for point in POINTS:
        assert point.unit == units.get(point.name.rpartition("_")[2]), point.name
