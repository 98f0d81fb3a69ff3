"""State documents derived from the station, each judged by the contract."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.commands import ReserveNow, Target
from edged.domain.displays import Bill, DisplayMessage, MessagePriority
from edged.domain.effects import StopReason
from edged.domain.events import ChargerLost, PresentToken
from edged.domain.hardware import Capability, ChargerState, Fault, FaultCode, LockState, Meter, Phases
from edged.domain.station import Ending, Station
from edged.domain.status import UNBELIEVABLE_AFTER_S
from edged.domain.types import IdToken, PersonalMessage, Phase, RequestRef, Stamp
from edged.mqtt.documents import Document, carry, encode, number, timestamp
from edged.mqtt.names import Names
from edged.mqtt.options import IdTokenPolicy
from edged.mqtt.topics import CsmsView, Shown, topics

NAMES = Names("edged", "gw1")
NOON = datetime(2026, 8, 22, 10, 0, 0, tzinfo=UTC)
DRIVER = IdToken("DRIVER-0001")


def shown(site: Any, **how: Any) -> dict[str, Document]:
    return topics(site.station, Shown(names=NAMES, **how))


def aspect(site: Any, name: str, number_: int = 1, **how: Any) -> Any:
    return shown(site, **how)[f"edged/v1/gw1/station/cs1/connector/{number_}/{name}"].body


def charging(site: Any, **facts: Any) -> None:
    site.observe(1, plugged=True, state=ChargerState.CONNECTED)
    site.happen(PresentToken(DRIVER, 1))
    site.observe(1, plugged=True, state=ChargerState.CHARGING, permit_charging=True, **facts)


def reserve(site: Any, target: Target = Target(connector=1)) -> None:
    site.happen(
        ReserveNow(
            request=RequestRef("csms", "1"),
            reservation_id=12,
            target=target,
            id_token=DRIVER,
            group=None,
            expires_at=NOON + timedelta(hours=1),
        )
    )


def all_kinds_of_stations(site: Any) -> list[Any]:
    """The station at every turn of a day."""
    days = [site.station]
    site.observe(1)
    site.observe(2, state=ChargerState.FAULTED, faults=(Fault(FaultCode.GROUND, "E7", "ground"),))
    days.append(site.station)
    reserve(site)
    days.append(site.station)
    charging(site, lock=LockState.LOCKED, current_limit_ma=13_000)
    days.append(site.station)
    site.happen(ChargerLost(1, "silent"))
    days.append(site.station)
    site.observe(1)
    days.append(site.station)
    return days


@pytest.mark.parametrize("policy", list(IdTokenPolicy))
def test_every_document_of_a_day_is_as_the_contract_says(site: Any, contract: Any, policy: IdTokenPolicy) -> None:
    csms = CsmsView(url="wss://csms.example.com/ocpp", version="ocpp1.6", security_profile=2, reason="closed")
    for station in all_kinds_of_stations(site):
        for view in (CsmsView(), csms):
            for topic, document in topics(station, Shown(names=NAMES, id_tokens=policy, csms=view)).items():
                contract.check(topic, encode(carry(None, document)))


def test_the_same_station_gives_the_same_documents(site: Any) -> None:
    for station in all_kinds_of_stations(site):
        assert topics(station, Shown(names=NAMES)) == topics(station, Shown(names=NAMES))


def test_a_connector_that_was_never_read_knows_nothing(site: Any) -> None:
    meter = aspect(site, "meter")
    assert (meter["power_w"], meter["energy_wh"], meter["current_a"]["l1"], meter["quality"]) == (
        None,
        None,
        None,
        "stale",
    )
    assert aspect(site, "link") == "offline"
    assert aspect(site, "status")["plugged"] is None
    assert aspect(site, "lock") == {"state": "unknown"}


def test_a_reading_is_shown_with_its_own_time(site: Any) -> None:
    site.observe(1)
    site.later(seconds=5)
    site.observe(2)
    document = shown(site)["edged/v1/gw1/station/cs1/connector/1/meter"]
    assert document.at == NOON
    assert document.body == {
        "quality": "good",
        "power_w": 0,
        "energy_wh": 123456,
        "current_a": {"l1": 0, "l2": 0, "l3": 0},
        "voltage_v": {"l1": 230.1, "l2": 229.8, "l3": 231},
        "frequency_hz": 50,
        "temperature_c": 35,
        "soc_pct": None,
        "source": "modbus",
    }


def test_a_silent_charger_keeps_its_register_and_nothing_that_flows(site: Any) -> None:
    charging(site, meter=Meter(energy_wh=123_500.0, power_w=11_040.0, current_a=Phases(16.0, 16.0, 16.0)))
    assert aspect(site, "meter")["power_w"] == 11_040
    site.happen(ChargerLost(1, "silent"))
    meter = aspect(site, "meter")
    assert (meter["quality"], meter["energy_wh"], meter["power_w"], meter["current_a"]["l1"]) == (
        "stale",
        123500,
        None,
        None,
    )
    assert aspect(site, "limit")["charger_a"] is None


@pytest.mark.parametrize(
    ("csms_a", "effective_a", "source"),
    [(None, 16, "installation"), (13.5, 13.5, "csms"), (5.9, 0, "csms"), (0, 0, "csms"), (32, 16, "installation")],
)
def test_a_limit_says_what_may_flow_and_whose_word_it_is(
    site: Any, contract: Any, csms_a: float | None, effective_a: float, source: str
) -> None:
    charging(site, current_limit_ma=15_000)
    allowed_ma = None if csms_a is None else round(csms_a * 1000)
    limited = replace(site.station.connectors[1], allowed_ma=allowed_ma, capabilities=frozenset({Capability.LIMIT}))
    site.station = replace(site.station, connectors={**site.station.connectors, 1: limited})
    assert aspect(site, "limit") == {
        "local_limit_a": 16,
        "csms_limit_a": csms_a,
        "effective_a": effective_a,
        "charger_a": 15,
        "source": source,
    }
    topic = "edged/v1/gw1/station/cs1/connector/1/limit"
    contract.check(topic, encode(carry(None, shown(site)[topic])))


def test_what_a_display_shows_is_told_where_there_is_one(site: Any, contract: Any) -> None:
    topic = "edged/v1/gw1/station/cs1/connector/1/display"
    assert topic not in shown(site)
    hello = PersonalMessage("Welcome", "UTF8", "en")
    message = DisplayMessage(id=4, priority=MessagePriority.IN_FRONT, content=hello)
    site.station = replace(
        site.station,
        rules=replace(site.station.rules, has_display=True),
        display_messages={4: message},
        bills={1: Bill(message=PersonalMessage("0.40 EUR/kWh", "UTF8"), total=1.25)},
    )
    assert aspect(site, "display") == {
        "messages": [{"id": 4, "priority": "InFront", "format": "UTF8", "language": "en", "text": "Welcome"}],
        "text": "0.40 EUR/kWh",
        "total_cost": 1.25,
        "currency": "EUR",
        "is_final": False,
    }
    contract.check(topic, encode(carry(None, shown(site)[topic])))


def test_what_flows_is_not_shown_of_a_charger_that_does_not_answer_whatever_was_read_before(site: Any) -> None:
    site.observe(1, meter=Meter(energy_wh=1.0, power_w=11_040.0, current_a=Phases(16.0), voltage_v=Phases(230.0)))
    silent = replace(site.station.connectors[1], online=False, energy_wh=1.0, meter=Meter(power_w=11_040.0))
    site.station = replace(site.station, connectors={**site.station.connectors, 1: silent})
    meter = aspect(site, "meter")
    assert (meter["energy_wh"], meter["power_w"], meter["current_a"]["l1"]) == (1, None, None)


def test_a_reservation_is_shown_on_its_connector_only(site: Any) -> None:
    site.observe(1)
    site.observe(2)
    reserve(site)
    assert aspect(site, "reservation") == {
        "active": True,
        "reservation_id": 12,
        "id_token": "**0001",
        "expires_at": "2026-08-22T11:00:00Z",
        "source": "csms",
        "created_at": "2026-08-22T10:00:00.000Z",
    }
    assert aspect(site, "reservation", 2)["active"] is False
    assert aspect(site, "status")["status"] == "Reserved"


def test_a_transaction_is_shown_with_the_energy_since_its_start(site: Any) -> None:
    charging(site)
    site.observe(1, plugged=True, state=ChargerState.CHARGING, meter=Meter(energy_wh=124_000.0))
    transaction = aspect(site, "transaction")
    assert (transaction["active"], transaction["energy_wh"], transaction["id_token"]) == (True, 544, "**0001")
    assert transaction["started_at"] == "2026-08-22T10:00:00.000Z"


def test_an_ended_transaction_is_shown_until_its_messages_are_through(site: Any) -> None:
    charging(site)
    (ident,) = site.station.transactions
    ending = Ending(at=Stamp(NOON, True, "b1"), meter_wh=124_456.0, reason=StopReason.EV_DISCONNECTED)
    ended = replace(site.station.transactions[ident], ending=ending)
    connector = replace(site.station.connectors[1], transaction_id=None)
    site.station = replace(
        site.station,
        transactions={ident: ended},
        connectors={**site.station.connectors, 1: connector},
    )
    transaction = aspect(site, "transaction")
    assert (transaction["active"], transaction["energy_wh"]) == (False, 1000)
    assert (transaction["stop_reason"], transaction["ended_at"]) == ("EVDisconnected", "2026-08-22T10:00:00.000Z")


def test_a_fault_that_stops_charging_goes_before_a_warning(site: Any) -> None:
    warning = Fault(FaultCode.WEAK_SIGNAL, "W1", "", blocking=False)
    site.observe(1, faults=(warning, Fault(FaultCode.GROUND, "E7", "ground fault")))
    error = aspect(site, "error")
    assert (error["active"], error["error_code"], error["vendor_error_code"]) == (True, "GroundFailure", "E7")
    assert error["others"] == ["WeakSignal"]
    assert aspect(site, "status")["status"] == "Faulted"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(IdTokenPolicy.MASKED, "**0001"), (IdTokenPolicy.FULL, "DRIVER-0001"), (IdTokenPolicy.NONE, None)],
)
def test_a_token_is_shown_as_the_site_wants(site: Any, policy: IdTokenPolicy, expected: str | None) -> None:
    charging(site)
    assert aspect(site, "transaction", id_tokens=policy)["id_token"] == expected


@pytest.mark.parametrize("policy", [IdTokenPolicy.MASKED, IdTokenPolicy.HASH, IdTokenPolicy.NONE])
def test_no_document_holds_a_whole_token(site: Any, policy: IdTokenPolicy) -> None:
    for station in all_kinds_of_stations(site):
        payloads = b"".join(encode(d) for d in topics(station, Shown(names=NAMES, id_tokens=policy)).values())
        assert DRIVER.value.encode() not in payloads


def test_a_hashed_token_is_the_same_for_the_same_driver_and_differs_between_sites(site: Any) -> None:
    charging(site)
    first = aspect(site, "transaction", id_tokens=IdTokenPolicy.HASH)["id_token"]
    elsewhere = topics(site.station, Shown(names=Names("edged", "gw2"), id_tokens=IdTokenPolicy.HASH))
    second = elsewhere["edged/v1/gw2/station/cs1/connector/1/transaction"].body
    assert isinstance(second, dict)
    assert len(first) == 16
    assert first != second["id_token"]


# --- what only a reader's past can tell


def tracked(status: str, second: int = 0) -> Document:
    at = NOON + timedelta(seconds=second)
    return Document(body={"status": status, "since": None, "previous": None}, at=at, tracked="status")


def test_since_and_previous_follow_the_tracked_member() -> None:
    first = carry(None, tracked("Available"))
    same = carry(first, tracked("Available", 5))
    second = carry(same, tracked("Charging", 9))
    assert first.body == same.body == {"status": "Available", "since": timestamp(NOON), "previous": None}
    assert second.body == {"status": "Charging", "since": "2026-08-22T10:00:09.000Z", "previous": "Available"}
    assert carry(second, tracked("Charging", 20)).body == second.body


@given(st.floats(allow_nan=True, allow_infinity=True) | st.none())
def test_every_float_becomes_a_json_number_or_unknown(value: float | None) -> None:
    encode(Document(body={"x": number(value)}))


def meter_of(station: Station) -> dict[str, Any]:
    found = topics(station, Shown(names=NAMES))
    return dict(found["edged/v1/gw1/station/cs1/connector/1/meter"].body)  # type: ignore[arg-type]


def test_a_charger_that_says_nothing_believable_for_long_has_an_invalid_meter(site: Any) -> None:
    site.observe(1)
    later = replace(site.station.clock, monotonic_s=site.station.clock.monotonic_s + UNBELIEVABLE_AFTER_S + 1)
    told = meter_of(replace(site.station, clock=later))
    assert (told["quality"], told["power_w"], told["energy_wh"]) == ("invalid", None, 123_456)


def test_a_register_that_does_not_follow_is_substituted_by_the_last_that_did(site: Any) -> None:
    site.observe(1)
    jumped = replace(site.station.connectors[1].meter, energy_wh=9_999_999.0)
    site.observe(1, meter=jumped)
    told = meter_of(site.station)
    assert (told["quality"], told["energy_wh"], told["power_w"]) == ("substituted", 123_456, 0)


def test_the_source_is_how_the_charger_is_read(site: Any) -> None:
    shown = Shown(names=NAMES, sources={"bay2": "rapi"})
    found = topics(site.station, shown)
    told = [found[f"edged/v1/gw1/station/cs1/connector/{n}/meter"].body["source"] for n in (1, 2)]  # type: ignore[index]
    assert told == ["modbus", "rapi"]


def test_a_register_that_was_left_out_is_not_told_as_read_at_the_time_of_the_rest(site: Any) -> None:
    site.observe(1)
    assert meter_of(site.station)["quality"] == "good"
    site.later(seconds=1)
    site.observe(1, meter=replace(site.station.connectors[1].meter, energy_wh=None, power_w=7_000.0))
    told = meter_of(site.station)
    assert (told["quality"], told["energy_wh"], told["power_w"]) == ("substituted", 123_456, 7_000)


def test_a_restarted_station_with_a_transaction_is_not_shown_as_free_before_its_first_step(site: Any) -> None:
    charging(site)
    just_loaded = replace(site.station.connectors[1], phase=Phase.IDLE, observed_at=None, observed_at_s=None)
    station = replace(site.station, connectors={**site.station.connectors, 1: just_loaded})
    told = topics(station, Shown(names=NAMES))["edged/v1/gw1/station/cs1/connector/1/status"].body
    assert (told["status"], told["plugged"]) == ("SuspendedEVSE", None)  # type: ignore[index]
