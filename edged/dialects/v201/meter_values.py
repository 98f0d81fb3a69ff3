"""Meter values as 2.0.1 words them: MeterValues, and what TransactionEvent carries of them. J01, J02."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from edged.dialects.times import format_time
from edged.domain.effects import Sample, SampledValue
from edged.domain.hardware import Measurand
from edged.domain.station import Station
from edged.ocpp.dialect import Payload
from edged.ocpp.rpc import Request

VALUE_DECIMALS: Final = 3
_UNITS: Final[Mapping[Measurand, str]] = {
    Measurand.ENERGY: "Wh",
    Measurand.ENERGY_INTERVAL: "Wh",
    Measurand.POWER: "W",
    Measurand.CURRENT: "A",
    Measurand.CURRENT_OFFERED: "A",
    Measurand.VOLTAGE: "V",
    Measurand.FREQUENCY: "Hertz",
    Measurand.TEMPERATURE: "Celsius",
    Measurand.SOC: "Percent",
}


def encode(number: int, samples: Iterable[Sample], station: Station) -> Request | None:
    """MeterValues of a connector's EVSE; None without a single value: 2.0.1 allows no empty one."""
    values = meter_value(samples, station)
    evse = station.connectors[number].layout.evse_id if number in station.connectors else number
    return Request("MeterValues", {"evseId": evse, "meterValue": values}) if values else None


def meter_value(samples: Iterable[Sample], station: Station) -> list[Payload]:
    """MeterValueType for each sample that holds a finite value."""
    encoded: list[Payload] = []
    for sample in samples:
        values = [_sampled(value, sample.context.value) for value in sample.values if math.isfinite(value.value)]
        if values:
            encoded.append({"timestamp": format_time(station.true_time(sample.at)), "sampledValue": values})
    return encoded


def _sampled(value: SampledValue, context: str) -> dict[str, Any]:
    encoded: dict[str, Any] = {
        "value": round(value.value, VALUE_DECIMALS),
        "context": context,
        "measurand": value.measurand.value,
        "location": "Outlet",
        "unitOfMeasure": {"unit": _UNITS[value.measurand]},
    }
    if value.phase is not None:
        encoded["phase"] = value.phase
    return encoded
