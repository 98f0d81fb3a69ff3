"""What the station tells a 1.6 CSMS: durable records, questions about tokens and perishable notices.

Refuses to know: when and whether something is sent, retries, order. Every payload passes 1.6's schema; text is cut.

1.6 cannot express: how a reservation ended, that a message was recorded offline, sequence numbers, why an update was
written, a transaction without a driver's token (its idTag is then empty), a token's kind. Records of such things are
`Inexpressible`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from edged.dialects.times import format_time
from edged.dialects.v16.files import encode_file_notice, encode_file_record
from edged.dialects.v16.security import encode_security_event
from edged.dialects.v16.statuses import encode_status, statuses
from edged.domain.effects import (
    AskAuthorization,
    FirmwareRecord,
    LogRecord,
    MeterRecord,
    NoticeKind,
    Notify,
    Record,
    RecordKind,
    Sample,
    SampledValue,
    SecurityRecord,
    StopReason,
    TransactionRecord,
)
from edged.domain.hardware import Measurand
from edged.domain.station import Identity, Station
from edged.domain.status import connector_status
from edged.domain.types import IdToken
from edged.ocpp.dialect import Inexpressible, NotYet, Payload, StatusReport
from edged.ocpp.rpc import Request

MAX_ID_TAG_CHARS: Final = 20
VALUE_DECIMALS: Final = 3
WITHOUT_REFERENCE: Final = -1
"""The transactionId of a transaction whose start never reached the CSMS (16-TX-04, E3.18)."""

_UNITS: Final[Mapping[Measurand, str | None]] = {
    Measurand.ENERGY: "Wh",
    Measurand.ENERGY_INTERVAL: "Wh",
    Measurand.POWER: "W",
    Measurand.CURRENT: "A",
    Measurand.CURRENT_OFFERED: "A",
    Measurand.VOLTAGE: "V",
    Measurand.FREQUENCY: None,  # 1.6 has no unit for it: hertz (E3.86)
    Measurand.TEMPERATURE: "Celcius",  # old CSMSs know only this spelling
    Measurand.SOC: "Percent",
}


_REASONS: Final = {
    StopReason.MASTER_PASS: "Local",
    StopReason.STOPPED_BY_EV: "Other",
    StopReason.TIMEOUT: "Other",
}
"""What 1.6 calls otherwise; every other word is the same."""

# --- records


def encode_record(record: Record, station: Station) -> Request | NotYet | Inexpressible:
    """A durable record as its message.

    `NotYet` while the transaction's start was not answered. A transaction that the station no longer knows (a store
    that was restored) goes under -1, as one whose start was given up: its energy is told, nothing waits for ever.
    """
    if isinstance(record, MeterRecord):
        return _meter_values(record.connector, None, record.samples, station) or Inexpressible()
    if isinstance(record, FirmwareRecord | LogRecord):
        return encode_file_record(record)
    if isinstance(record, SecurityRecord):
        return encode_security_event(record, station)
    if not isinstance(record, TransactionRecord):
        return Inexpressible()
    if record.kind is RecordKind.STARTED:
        return _start(record, station)
    transaction = station.transactions.get(record.transaction_id)
    reference = WITHOUT_REFERENCE if transaction is None else transaction.external_ref
    if reference is None:
        return NotYet()
    if record.kind is RecordKind.ENDED:
        return _stop(record, reference, station)
    return _meter_values(record.connector, reference, record.samples, station) or Inexpressible()


def _start(record: TransactionRecord, station: Station) -> Request:
    """reservationId whenever a reservation was used, by group or remotely too: the CSMS closes its record with it."""
    payload: Payload = {
        "connectorId": record.connector,
        "idTag": _id_tag(record.id_token),
        "meterStart": _whole_wh(record.meter_wh),
        "timestamp": format_time(station.true_time(record.at)),
    }
    if record.reservation_id is not None:
        payload["reservationId"] = record.reservation_id
    return Request("StartTransaction", payload)


def _stop(record: TransactionRecord, reference: int, station: Station) -> Request:
    payload: Payload = {
        "transactionId": reference,
        "meterStop": _whole_wh(record.meter_wh),
        "timestamp": format_time(station.true_time(record.at)),
    }
    if record.id_token is not None:
        payload["idTag"] = _id_tag(record.id_token)
    if record.reason is not None:
        payload["reason"] = _REASONS.get(record.reason, record.reason.value)
    data = _meter_value(record.samples, station)
    if data:
        payload["transactionData"] = data
    return Request("StopTransaction", payload)


def _meter_values(connector: int, reference: int | None, samples: Iterable[Sample], station: Station) -> Request | None:
    """None without a single value: 1.6 allows no empty MeterValues."""
    values = _meter_value(samples, station)
    if not values:
        return None
    payload: Payload = {"connectorId": connector, "meterValue": values}
    if reference is not None:
        payload["transactionId"] = reference
    return Request("MeterValues", payload)


def _meter_value(samples: Iterable[Sample], station: Station) -> list[dict[str, Any]]:
    encoded = []
    for sample in samples:
        values = [_sampled_value(value, sample.context.value) for value in sample.values if math.isfinite(value.value)]
        if values:
            encoded.append({"timestamp": format_time(station.true_time(sample.at)), "sampledValue": values})
    return encoded


def _sampled_value(value: SampledValue, context: str) -> dict[str, str]:
    """Everything is said, also where 1.6 has a default: CSMSs guess defaults differently."""
    encoded = {
        "value": plain_decimal(value.value),
        "context": context,
        "format": "Raw",
        "measurand": value.measurand.value,
        "location": "Outlet",
    }
    unit = _UNITS[value.measurand]
    if unit is not None:
        encoded["unit"] = unit
    if value.phase is not None:
        encoded["phase"] = value.phase
    return encoded


def plain_decimal(value: float) -> str:
    """A finite number without exponent and without needless zeros (16-MV-11): thousandths are what a meter can tell."""
    text = f"{value:.{VALUE_DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _whole_wh(energy_wh: float | None) -> int:
    return round(energy_wh) if energy_wh is not None and math.isfinite(energy_wh) else 0


def _id_tag(token: IdToken | None) -> str:
    return "" if token is None else token.value[:MAX_ID_TAG_CHARS]


# --- questions and notices


def encode_authorization(question: AskAuthorization) -> Request:
    """Authorize."""
    return Request("Authorize", {"idTag": _id_tag(question.id_token)})


def encode_notice(notice: Notify, station: Station) -> Request | None:
    """A perishable message; None where there is nothing to say, or 1.6 as it is served here has no such message."""
    match notice.kind:
        case NoticeKind.BOOT:
            return Request("BootNotification", _boot(station.identity))
        case NoticeKind.HEARTBEAT:
            return Request("Heartbeat", {})
        case NoticeKind.STATUS:
            return _status(notice.connector or 0, station)
        case NoticeKind.METER:
            return _triggered_values(notice, station)
        case (
            NoticeKind.FIRMWARE_STATUS
            | NoticeKind.SIGNED_FIRMWARE_STATUS
            | NoticeKind.DIAGNOSTICS_STATUS
            | NoticeKind.LOG_STATUS
        ):
            return encode_file_notice(notice.kind, station)
        case NoticeKind.TRANSACTION:
            return None


def _status(number: int, station: Station) -> Request | None:
    """Of a connector that nobody has seen yet too: who asks is answered."""
    report = statuses(station).get(number)
    if report is None and number in station.connectors:
        report = StatusReport(connector_status(station, number))
    return None if report is None else encode_status(number, report, station)


def _triggered_values(notice: Notify, station: Station) -> Request | None:
    """Values of this moment. A transaction that has no reference yet is left out: the values cannot wait for it."""
    if notice.sample is None:
        return None
    transaction = station.transactions.get(notice.transaction_id) if notice.transaction_id is not None else None
    reference = transaction.external_ref if transaction is not None else None
    return _meter_values(notice.connector or 0, reference, (notice.sample,), station)


def _boot(identity: Identity) -> Payload:
    """The charger's meter and the modem are not described: edged is in front of several chargers."""
    payload: Payload = {"chargePointVendor": identity.vendor[:20], "chargePointModel": identity.model[:20]}
    if identity.serial_number:
        payload["chargePointSerialNumber"] = identity.serial_number[:25]
    if identity.firmware_version:
        payload["firmwareVersion"] = identity.firmware_version[:50]
    return payload
