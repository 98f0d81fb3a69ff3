"""Which variables there are, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from edged.domain import device_model
from edged.domain.access import security_profile
from edged.domain.configuration import REGISTRY, ConfigKey, KeyKind, Mutability, normalize
from edged.domain.configuration_names import KEY_OF_VARIABLE, site_key
from edged.domain.device_model import characteristics, find, inventory, mutability, value
from edged.domain.device_model_facts import FACTS
from edged.domain.device_model_keys import KEYED
from edged.domain.device_model_terms import Entry
from edged.domain.hardware import Capability, ChargerState, Fault, FaultCode, Meter
from edged.domain.local_commands import MonitorConfiguration
from edged.domain.metering import measurands_of
from edged.domain.station import SiteRules, Station
from edged.domain.variables import (
    Attribute,
    Component,
    DataType,
    SetVariables,
    Variable,
    VariableChange,
    VariableStatus,
)
from tests.fakes.site import FULL, Site, layout, station

REQUIRED: dict[str, dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("required_variables.yaml").read_text(encoding="utf-8")
)
ACCESS = {"ReadOnly": Mutability.READ_ONLY, "ReadWrite": Mutability.READ_WRITE, "WriteOnly": Mutability.WRITE_ONLY}
TWO_ON_ONE = (
    layout(1),
    layout(2, evse_id=1, connector_id=2, charger="charger-1", connector_type="cCCS2"),
    layout(3, evse_id=2),
)


def entry(here: Station, component: str, variable: str, instance: str | None = None, **place: Any) -> Entry:
    found = find(here, Component(component, **place), Variable(variable, instance))
    assert isinstance(found, Entry), found
    return found


def read(here: Station, component: str, variable: str, instance: str | None = None, **place: Any) -> str | None:
    return value(here, entry(here, component, variable, instance, **place))


@pytest.mark.req("B07.FR.08", "TC_B_53_CS")
@pytest.mark.parametrize("name", REQUIRED)
def test_every_variable_that_is_demanded_is_there_with_its_type_access_and_unit(name: str) -> None:
    here, wanted = station(2), REQUIRED[name]
    found = [one for one in inventory(here) if one.definition.name == name]
    assert found, "not there"
    for one in found:
        told = characteristics(here, one)
        assert told.data_type == wanted["type"]
        assert told.unit == wanted.get("unit")
        if "access" in wanted:
            assert mutability(here, one) in [ACCESS[word] for word in wanted["access"].split("|")]


def test_nothing_is_defined_twice_and_each_component_belongs_to_one_kind_of_place() -> None:
    every = [one for variables in device_model.DEFINITIONS.values() for one in variables.values()]
    assert len(every) == len(KEYED + FACTS)
    assert all(len({one.scope for one in variables.values()}) == 1 for variables in device_model.DEFINITIONS.values())
    assert all((one.key is None) is not (one.fact is None) for one in every)


def test_an_interval_that_was_never_set_is_the_one_that_it_follows() -> None:
    here = station(1, configuration={"MeterValueSampleInterval": "17"})
    assert read(here, "SampledDataCtrlr", "TxEndedInterval") == "17"
    here = station(1, configuration={"MeterValueSampleInterval": "17", "TxEndedSampleInterval": "0"})
    assert read(here, "SampledDataCtrlr", "TxEndedInterval") == "0"


def test_what_the_inventory_holds_is_found_whatever_the_case_of_its_name_and_is_there_once() -> None:
    here = station(layouts=TWO_ON_ONE)
    entries = list(inventory(here))
    for one in entries:
        component, variable = one.component, one.variable
        shouted = replace(component, name=component.name.upper())
        instance = variable.instance.lower() if variable.instance is not None else None
        assert find(here, shouted, Variable(variable.name.lower(), instance)) == one
    assert len({(one.component, one.definition.name.casefold()) for one in entries}) == len(entries)


def test_every_evse_and_every_connector_has_its_variables() -> None:
    here = station(layouts=TWO_ON_ONE)
    places = {(one.component.name, one.component.evse, one.component.connector) for one in inventory(here)}
    assert {place for place in places if place[0] in ("EVSE", "Connector")} == {
        ("EVSE", 1, None),
        ("EVSE", 2, None),
        ("Connector", 1, 1),
        ("Connector", 1, 2),
        ("Connector", 2, 1),
    }
    assert read(here, "Connector", "ConnectorType", evse=1, connector=2) == "cCCS2"


@pytest.mark.req("B06.FR.06")
@pytest.mark.parametrize(
    "component",
    [
        Component("NoSuchCtrlr"),
        Component("TxCtrlr", instance="Other"),
        Component("TxCtrlr", evse=1),
        Component("EVSE"),
        Component("EVSE", evse=3),
        Component("EVSE", evse=0),
        Component("EVSE", evse=1, connector=1),
        Component("Connector", evse=1),
        Component("Connector", evse=1, connector=2),
        Component("ChargingStation", evse=1),
    ],
)
def test_a_component_that_is_not_there_is_unknown(component: Component) -> None:
    assert find(station(2), component, Variable("Enabled")) is VariableStatus.UNKNOWN_COMPONENT


@pytest.mark.req("B06.FR.07", "B06.FR.14", "B06.FR.15")
@pytest.mark.parametrize(
    "variable", [Variable("Nonsense"), Variable("ItemsPerMessage"), Variable("ItemsPerMessage", "Nonsense")]
)
def test_a_variable_is_found_by_its_instance_and_without_one_only_if_it_has_none(variable: Variable) -> None:
    assert find(station(1), Component("DeviceDataCtrlr"), variable) is VariableStatus.UNKNOWN_VARIABLE
    assert find(station(1), Component("TxCtrlr"), Variable("TxStartPoint", "x")) is VariableStatus.UNKNOWN_VARIABLE


def test_a_key_and_its_variable_are_one_value() -> None:
    here = station(1, configuration={"ConnectionTimeOut": "77"})
    assert read(here, "TxCtrlr", "EVConnectionTimeOut") == "77"
    assert read(here, "SmartChargingCtrlr", "RateUnit") == "A,W"
    assert site_key("smartchargingCTRLR.profilestacklevel") is REGISTRY["chargeprofilemaxstacklevel"]
    assert KEY_OF_VARIABLE["OCPPCommCtrlr.MessageTimeout[Default]"] == "MessageTimeout"


@pytest.mark.parametrize("definition", KEYED, ids=lambda one: one.name)
def test_a_variable_s_default_is_one_that_its_own_characteristics_allow(definition: Any) -> None:
    here = station(2)
    (one,) = [one for one in inventory(here) if one.definition is definition]
    told, key, now = characteristics(here, one), device_model.key_of(here, one), value(here, one)
    if now is None:
        assert mutability(here, one) is Mutability.WRITE_ONLY
        return
    assert key is not None
    match told.data_type:
        case DataType.INTEGER | DataType.DECIMAL:
            number = float(now)
            assert told.min_limit is None or told.min_limit <= number
            assert told.max_limit is None or number <= told.max_limit
        case DataType.BOOLEAN:
            assert now in ("true", "false")
        case DataType.MEMBER_LIST | DataType.SEQUENCE_LIST | DataType.OPTION_LIST:
            assert set(now.split(",") if now else []) <= set(told.values)
        case _:
            assert told.max_limit is not None and len(now) <= told.max_limit
    if key.kind is not KeyKind.LIST or not definition.words:
        assert now == "" or normalize(key, now, connectors=2, measurands=measurands_of(here)) == now


def test_the_password_is_never_told() -> None:
    here = station(1, rules=SiteRules(has_password=True, security_profile=1))
    password = entry(here, "SecurityCtrlr", "BasicAuthPassword")
    assert value(here, password) is None
    told = characteristics(here, password)
    assert (told.min_limit, told.max_limit, told.supports_monitoring) == (16, 40, False)


@pytest.mark.parametrize("attribute", [Attribute.TARGET, Attribute.MIN_SET, Attribute.MAX_SET])
def test_no_variable_has_another_attribute_than_its_actual_value(attribute: Attribute) -> None:
    here = station(1)
    assert all(value(here, one, attribute) is None for one in inventory(here))


def test_the_security_profile_is_the_one_in_use_and_not_written_here() -> None:
    here = station(1, rules=SiteRules(security_profile=2))
    assert read(here, "SecurityCtrlr", "SecurityProfile") == "2" == str(security_profile(here))
    assert mutability(here, entry(here, "SecurityCtrlr", "SecurityProfile")) is Mutability.READ_ONLY


@pytest.mark.req("B06.FR.09")
def test_a_station_with_fixed_cables_cannot_be_told_to_unlock_them() -> None:
    here = station(1)
    configuration = replace(here.configuration, computed={"UnlockConnectorOnEVSideDisconnect": "false"})
    fixed = replace(here, configuration=configuration)
    assert mutability(fixed, entry(fixed, "OCPPCommCtrlr", "UnlockOnEVSideDisconnect")) is Mutability.READ_ONLY
    assert read(fixed, "OCPPCommCtrlr", "UnlockOnEVSideDisconnect") == "false"


def test_a_csms_whose_time_the_site_does_not_trust_is_no_source_of_it() -> None:
    here = station(1, rules=SiteRules(time_from_csms=False))
    assert read(here, "ClockCtrlr", "TimeSource") == "NTP"
    assert mutability(here, entry(here, "ClockCtrlr", "TimeSource")) is Mutability.READ_ONLY


def test_facts_follow_what_happens() -> None:
    site = Site.build(2)
    assert read(site.station, "EVSE", "AvailabilityState", evse=1) == "Available"
    assert read(site.station, "ChargingStation", "AvailabilityState") == "Available"
    site.look(1, ChargerState.CONNECTED, meter=Meter(power_w=1234.5))
    assert read(site.station, "Connector", "AvailabilityState", evse=1, connector=1) == "Occupied"
    assert read(site.station, "EVSE", "Power", evse=1) == "1234.5"
    site.look(2, ChargerState.FAULTED, faults=(Fault(FaultCode.GROUND),))
    assert read(site.station, "EVSE", "AvailabilityState", evse=2) == "Faulted"
    assert read(site.station, "EVSE", "Problem", evse=2) == "true"
    assert read(site.station, "EVSE", "Problem", evse=1) == "false"
    assert read(site.station, "ChargingStation", "Problem") == "true"
    assert read(site.station, "ChargingStation", "AvailabilityState") == "Occupied"
    assert read(site.station, "ClockCtrlr", "DateTime") == "2026-05-04T12:00:00.000Z"


def test_of_an_evse_one_connector_at_a_time_can_be_used_and_of_a_station_each_evse() -> None:
    site = Site.build(layouts=TWO_ON_ONE)
    site.plug(1)
    assert read(site.station, "Connector", "AvailabilityState", evse=1, connector=2) == "Available"
    assert read(site.station, "EVSE", "AvailabilityState", evse=1) == "Occupied"
    assert read(site.station, "ChargingStation", "AvailabilityState") == "Available"
    site.plug(3)
    assert read(site.station, "ChargingStation", "AvailabilityState") == "Occupied"


def test_what_changes_with_every_second_cannot_be_watched() -> None:
    here = station(1)
    assert not characteristics(here, entry(here, "ClockCtrlr", "DateTime")).supports_monitoring
    assert characteristics(here, entry(here, "EVSE", "Power", evse=1)).supports_monitoring


def test_what_nobody_has_measured_is_not_known() -> None:
    site = Site.build(1)
    site.look(1, ChargerState.AVAILABLE, meter=Meter())
    assert read(site.station, "EVSE", "Power", evse=1) == ""


def test_the_limits_of_an_evse_are_those_of_its_installation() -> None:
    here = station(layouts=(layout(1, phases=1, max_current_ma=16_000, voltage_v=230.0),))
    power = characteristics(here, entry(here, "EVSE", "Power", evse=1))
    assert (power.unit, power.min_limit, power.max_limit) == ("W", 0, 3680)
    assert read(here, "EVSE", "SupplyPhases", evse=1) == "1"


def test_a_station_whose_chargers_can_withhold_nothing_has_no_reservations() -> None:
    bare = FULL - {Capability.WITHHOLD}
    here = station(layouts=(layout(1, capabilities=bare),))
    assert read(here, "ReservationCtrlr", "Available") == "false"
    assert read(station(1), "ReservationCtrlr", "Available") == "true"


def test_an_update_of_the_list_may_be_as_long_as_a_message() -> None:
    whole = read(station(1), "LocalAuthListCtrlr", "BytesPerMessage")
    assert whole is not None and int(whole) == 512 * 1024


def test_a_definition_is_shown_by_its_name() -> None:
    assert repr(entry(station(1), "OCPPCommCtrlr", "MessageTimeout", "Default").definition) == (
        "OCPPCommCtrlr.MessageTimeout[Default]"
    )


# --- what the site has made up

BADGE = ConfigKey(name="BadgeText", kind=KeyKind.TEXT, default="hello", maximum=10, custom=True)
COLOUR = ConfigKey(name="Colour", kind=KeyKind.CHOICE, default="red", allowed=("red", "blue"), reboot=True, custom=True)
FLOOR = ConfigKey(name="Floor", kind=KeyKind.INT, default="1", maximum=9, mutability=Mutability.READ_ONLY, custom=True)


def made_up(*keys: ConfigKey) -> Station:
    here = station(2)
    return replace(here, configuration=replace(here.configuration, custom={key.name.casefold(): key for key in keys}))


def test_keys_that_the_site_has_made_up_are_variables_of_their_own_component() -> None:
    here = made_up(COLOUR, BADGE, FLOOR)
    shown = [one for one in inventory(here) if one.component.name == "CustomizationCtrlr"]
    assert [one.definition.name for one in shown] == [
        "CustomizationCtrlr.BadgeText",
        "CustomizationCtrlr.Colour",
        "CustomizationCtrlr.Floor",
    ]
    assert [find(here, one.component, one.variable) for one in shown] == shown
    assert [value(here, one) for one in shown] == ["hello", "red", "1"]
    assert [mutability(here, one) for one in shown] == [
        Mutability.READ_WRITE,
        Mutability.READ_WRITE,
        Mutability.READ_ONLY,
    ]
    told = [characteristics(here, one) for one in shown]
    assert [one.data_type for one in told] == [DataType.STRING, DataType.OPTION_LIST, DataType.INTEGER]
    assert (told[0].max_limit, told[1].values, told[2].max_limit) == (10, ("red", "blue"), 9)
    assert [one.supports_monitoring for one in told] == [True, True, False]
    assert read(here, "customizationctrlr", "BADGETEXT") == "hello"


def test_where_the_site_has_made_up_nothing_there_is_no_such_component() -> None:
    where = Component("CustomizationCtrlr")
    assert find(station(2), where, Variable("BadgeText")) is VariableStatus.UNKNOWN_COMPONENT
    here = made_up(BADGE)
    assert find(here, where, Variable("Other")) is VariableStatus.UNKNOWN_VARIABLE
    assert find(here, where, Variable("BadgeText", "one")) is VariableStatus.UNKNOWN_VARIABLE
    assert find(here, replace(where, evse=1), Variable("BadgeText")) is VariableStatus.UNKNOWN_COMPONENT


@pytest.mark.parametrize(
    ("name", "text", "status"),
    [
        ("BadgeText", "welcome", VariableStatus.ACCEPTED),
        ("BadgeText", "x" * 11, VariableStatus.REJECTED),
        ("Colour", "blue", VariableStatus.REBOOT_REQUIRED),
        ("Colour", "green", VariableStatus.REJECTED),
        ("Floor", "2", VariableStatus.REJECTED),
        ("Nothing", "2", VariableStatus.UNKNOWN_VARIABLE),
    ],
)
def test_a_csms_of_2x_changes_them_by_the_same_rules(name: str, text: str, status: VariableStatus) -> None:
    site = Site.build()
    site.station = replace(site.station, configuration=made_up(BADGE, COLOUR, FLOOR).configuration)
    site.do(MonitorConfiguration(site.ref("monitor", "mqtt:bms"), (name,)))
    change = VariableChange(Component("CustomizationCtrlr"), Variable(name), text)
    site.do(SetVariables(site.ref("SetVariables"), (change,)))
    (result,) = site.reply().data
    assert result.status is status
    kept = site.station.configuration.text(name) == text
    assert kept is (status in (VariableStatus.ACCEPTED, VariableStatus.REBOOT_REQUIRED))
    assert (site.station.monitored_keys.get(name) == "csms") is kept
