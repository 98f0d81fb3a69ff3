"""Variables that are facts of the station: never written, true at the moment in which they are read.

What a component is, what state it is in, how much of something there is and how much there can be. A switch that
nothing in the house obeys is here with the value that it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edged.domain import display, evse_reset, routes
from edged.domain.configuration import VALUE_MAX_CHARS
from edged.domain.device_model_terms import Definition, Fact, Limit, Presence, Scope
from edged.domain.displays import MessagePriority
from edged.domain.hardware import Capability, FaultCode, LockState, Measurand
from edged.domain.monitors import LOWEST_SEVERITY, MonitoringBase
from edged.domain.profile_flaws import controllable
from edged.domain.reporting import PAGE_ITEMS
from edged.domain.station import Connector, Station
from edged.domain.status import AVAILABILITY_STATES, availability_state, evse_state, station_state
from edged.domain.variables import Component, DataType, Variable

ITEMS_PER_MESSAGE = 100
"""What one SetVariables may carry."""
BYTES_PER_MESSAGE = 64 * 1024
"""What a request may be long that carries items."""
MONITORS_PER_MESSAGE = 100
"""What one SetVariableMonitoring may carry."""
CLEAR_ITEMS_PER_MESSAGE = 300
"""What one ClearVariableMonitoring may carry."""
PAGE_BYTES = 128 * 1024
"""No page of a report is longer, nor may a request for one be."""
REPORTING_VALUE_CHARS = 2500
LOCK = "ConnectorPlugRetentionLock"
LOCKS = frozenset({Capability.UNLOCK, Capability.LOCK_SENSE, Capability.LOCK_CONTROL})

# --- places


def connectors_of(station: Station, component: Component) -> Iterator[Connector]:
    """The connectors that belong to a component: its own, its EVSE's, or all."""
    for connector in station.connectors.values():
        layout = connector.layout
        if component.evse in (None, layout.evse_id) and component.connector in (None, layout.connector_id):
            yield connector


# --- facts


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _state(station: Station, component: Component) -> str:
    if component.evse is None:
        return station_state(station)
    if component.connector is None:
        return evse_state(station, component.evse)
    return availability_state(station, next(connectors_of(station, component)).number)


def _problem(station: Station, component: Component) -> str:
    return _flag(any(connector.faults for connector in connectors_of(station, component)))


def _phases(station: Station, component: Component) -> str:
    return str(max((c.layout.phases for c in connectors_of(station, component)), default=0))


def _power(station: Station, component: Component) -> str:
    """What flows, in W; nothing where nobody measures it."""
    known = [c.meter.power_w for c in connectors_of(station, component) if c.online and c.meter.power_w is not None]
    return f"{round(sum(known), 1):g}" if known else ""


def _energy(station: Station, component: Component) -> str:
    """The register as it is reported, in Wh."""
    known = [c.energy_wh for c in connectors_of(station, component) if c.energy_wh is not None]
    return f"{sum(known):.0f}" if known else ""


def _temperature(station: Station, component: Component) -> str:
    known = [c.meter.temperature_c for c in connectors_of(station, component) if c.online]
    return max((f"{one:.1f}" for one in known if one is not None), key=float, default="")


def _measures(measurand: Measurand) -> Presence:
    return lambda station, component: any(measurand in c.layout.measurands for c in connectors_of(station, component))


def _locks(station: Station, component: Component) -> bool:
    """Whether there is a lock that anything is known of or can be done with."""
    return any(c.layout.capabilities & LOCKS for c in connectors_of(station, component))


def _locked(station: Station, component: Component) -> str:
    """Whether the lock holds; nothing where nobody senses it."""
    states = {connector.lock for connector in connectors_of(station, component)}
    return "" if states <= {LockState.UNKNOWN} else _flag(LockState.LOCKED in states)


def _lock_problem(station: Station, component: Component) -> str:
    """G05.FR.02."""
    faults = (fault for connector in connectors_of(station, component) for fault in connector.faults)
    return _flag(any(fault.code is FaultCode.CONNECTOR_LOCK for fault in faults))


def _base(station: Station, _component: Component) -> str:
    return station.monitoring.base.value


def _level(station: Station, _component: Component) -> str:
    return str(station.monitoring.level)


def _most_power(station: Station, component: Component) -> float:
    """One connector of an EVSE charges at a time."""
    layouts = [connector.layout for connector in connectors_of(station, component)]
    return max(round(one.phases * one.voltage_v * one.max_current_ma / 1000) for one in layouts)


def _type(station: Station, component: Component) -> str:
    return next(connector.layout.connector_type for connector in connectors_of(station, component))


def _allows_reset(station: Station, component: Component) -> str:
    return _flag(component.evse is not None and evse_reset.allowed(station, component.evse))


def _date_time(station: Station, _component: Component) -> str:
    return station.clock.utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _reserves(station: Station, _component: Component) -> str:
    """A reservation must be enforceable: some charger can withhold energy."""
    return _flag(any(c.can(Capability.WITHHOLD) for c in station.connectors.values()))


def _charges_smartly(station: Station, _component: Component) -> str:
    return _flag(any(map(controllable, station.connectors.values())))


def _has_display(station: Station, _component: Component) -> str:
    return _flag(station.rules.has_display)


def _number_of(key: str) -> Limit:
    return lambda station, _component: station.configuration.number(key)


def _always(value: str) -> Fact:
    return lambda _station, _component: value


_TRUE = _always("true")


def _fact(component: str, variable: str, data_type: DataType, fact: Fact, **more: Any) -> Definition:
    instance = more.pop("instance", None)
    return Definition(
        component=component, variable=Variable(variable, instance), data_type=data_type, fact=fact, **more
    )


def _const(component: str, variable: str, value: bool | int, instance: str | None = None, **more: Any) -> Definition:
    """What never changes."""
    data_type = DataType.BOOLEAN if isinstance(value, bool) else DataType.INTEGER
    text = _flag(value) if isinstance(value, bool) else str(value)
    return _fact(component, variable, data_type, _always(text), instance=instance, constant=True, **more)


def _part(component: str, scope: Scope) -> tuple[Definition, ...]:
    """What is said of the station, of an EVSE and of a connector alike."""
    return (
        _const(component, "Available", True, scope=scope),
        _fact(component, "AvailabilityState", DataType.OPTION_LIST, _state, values=AVAILABILITY_STATES, scope=scope),
        _fact(component, "Problem", DataType.BOOLEAN, _problem, scope=scope),
        _fact(component, "SupplyPhases", DataType.INTEGER, _phases, scope=scope, constant=True),
    )


FACTS: tuple[Definition, ...] = (
    _const("AlignedDataCtrlr", "Available", True),
    _const("AlignedDataCtrlr", "Enabled", True),
    _const("AuthCacheCtrlr", "Available", True),
    _const("AuthCtrlr", "Enabled", True),
    _fact("ClockCtrlr", "DateTime", DataType.DATE_TIME, _date_time),
    _const("DeviceDataCtrlr", "BytesPerMessage", PAGE_BYTES, "GetReport", unit="B"),
    _const("DeviceDataCtrlr", "BytesPerMessage", BYTES_PER_MESSAGE, "GetVariables", unit="B"),
    _const("DeviceDataCtrlr", "BytesPerMessage", BYTES_PER_MESSAGE, "SetVariables", unit="B"),
    _const("DeviceDataCtrlr", "ConfigurationValueSize", VALUE_MAX_CHARS, maximum=1000),
    _const("DeviceDataCtrlr", "ItemsPerMessage", PAGE_ITEMS, "GetReport"),
    _const("DeviceDataCtrlr", "ItemsPerMessage", ITEMS_PER_MESSAGE, "SetVariables"),
    _const("DeviceDataCtrlr", "ReportingValueSize", REPORTING_VALUE_CHARS, maximum=REPORTING_VALUE_CHARS),
    _fact("DisplayMessageCtrlr", "Available", DataType.BOOLEAN, _has_display),
    _fact(
        "DisplayMessageCtrlr",
        "DisplayMessages",
        DataType.INTEGER,
        lambda station, _component: str(len(station.display_messages)),
        maximum=display.MAX_MESSAGES,
    ),
    _fact(
        "DisplayMessageCtrlr",
        "SupportedFormats",
        DataType.MEMBER_LIST,
        _always(",".join(display.FORMATS)),
        values=display.FORMATS,
        constant=True,
    ),
    _fact(
        "DisplayMessageCtrlr",
        "SupportedPriorities",
        DataType.MEMBER_LIST,
        _always(",".join(MessagePriority)),
        values=tuple(MessagePriority),
        constant=True,
    ),
    _const("LocalAuthListCtrlr", "Available", True),
    _fact(
        "LocalAuthListCtrlr",
        "Entries",
        DataType.INTEGER,
        lambda station, _component: str(len(station.local_list)),
        most=_number_of("LocalAuthListMaxLength"),
    ),
    _const("LocalAuthListCtrlr", "SupportsExpiryDateTime", True),
    _const("MonitoringCtrlr", "Available", True),
    _const("MonitoringCtrlr", "BytesPerMessage", BYTES_PER_MESSAGE, "ClearVariableMonitoring", unit="B"),
    _const("MonitoringCtrlr", "BytesPerMessage", BYTES_PER_MESSAGE, "SetVariableMonitoring", unit="B"),
    _const("MonitoringCtrlr", "ItemsPerMessage", CLEAR_ITEMS_PER_MESSAGE, "ClearVariableMonitoring"),
    _const("MonitoringCtrlr", "ItemsPerMessage", MONITORS_PER_MESSAGE, "SetVariableMonitoring"),
    *(
        _fact("MonitoringCtrlr", name, DataType.OPTION_LIST, _base, values=tuple(MonitoringBase))
        for name in ("ActiveMonitoringBase", "MonitoringBase")
    ),
    *(
        _fact("MonitoringCtrlr", name, DataType.INTEGER, _level, minimum=0, maximum=LOWEST_SEVERITY)
        for name in ("ActiveMonitoringLevel", "MonitoringLevel")
    ),
    _fact(
        "OCPPCommCtrlr",
        "ActiveNetworkProfile",
        DataType.INTEGER,
        lambda station, _component: str(routes.active_slot(station)),
    ),
    _fact("ReservationCtrlr", "Available", DataType.BOOLEAN, _reserves),
    _const("SampledDataCtrlr", "Available", True),
    _const("SampledDataCtrlr", "Enabled", True),
    _fact(
        "SecurityCtrlr",
        "CertificateEntries",
        DataType.INTEGER,
        lambda station, _component: str(len(station.certificates)),
        most=_number_of("CertificateStoreMaxLength"),
    ),
    _fact(
        "SecurityCtrlr",
        "Identity",
        DataType.STRING,
        lambda station, _component: station.identity.id,
        maximum=48,
        constant=True,
    ),
    _const("SecurityCtrlr", "AllowCSMSTLSWildcards", True),
    _const("SmartChargingCtrlr", "ACPhaseSwitchingSupported", False),
    _fact("SmartChargingCtrlr", "Available", DataType.BOOLEAN, _charges_smartly),
    _fact(
        "SmartChargingCtrlr",
        "Entries",
        DataType.INTEGER,
        lambda station, _component: str(len(station.charging_profiles)),
        instance="ChargingProfiles",
        most=_number_of("MaxChargingProfilesInstalled"),
    ),
    _fact("TariffCostCtrlr", "Available", DataType.BOOLEAN, _has_display, instance="Cost"),
    _fact("TariffCostCtrlr", "Available", DataType.BOOLEAN, _has_display, instance="Tariff"),
    *_part("ChargingStation", Scope.STATION),
    _fact(
        "ChargingStation", "Model", DataType.STRING, lambda station, _component: station.identity.model, constant=True
    ),
    _fact(
        "ChargingStation",
        "VendorName",
        DataType.STRING,
        lambda station, _component: station.identity.vendor,
        constant=True,
    ),
    *_part("EVSE", Scope.EVSE),
    _fact("EVSE", "AllowReset", DataType.BOOLEAN, _allows_reset, scope=Scope.EVSE),
    _fact("EVSE", "Power", DataType.DECIMAL, _power, scope=Scope.EVSE, unit="W", minimum=0, most=_most_power),
    *_part("Connector", Scope.CONNECTOR),
    _fact(
        "Connector",
        "Temperature",
        DataType.DECIMAL,
        _temperature,
        scope=Scope.CONNECTOR,
        unit="Celsius",
        present=_measures(Measurand.TEMPERATURE),
    ),
    *(
        _fact(LOCK, name, DataType.BOOLEAN, fact, scope=Scope.CONNECTOR, present=_locks)
        for name, fact in (("Active", _locked), ("Available", _TRUE), ("Enabled", _TRUE), ("Problem", _lock_problem))
    ),
    _fact(
        "FiscalMetering",
        "EnergyImportRegister",
        DataType.DECIMAL,
        _energy,
        scope=Scope.EVSE,
        unit="Wh",
        minimum=0,
        present=_measures(Measurand.ENERGY),
    ),
    _fact("Connector", "ConnectorType", DataType.STRING, _type, scope=Scope.CONNECTOR, constant=True),
)
