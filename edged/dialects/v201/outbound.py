"""What the station tells a 2.0.1 CSMS: durable records, questions and perishable notices, each by its own module.

Refuses to know: when and whether something is sent, retries, order. Every payload passes 2.0.1's schema; text is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.dialects.v201 import (
    availability,
    charging,
    customer,
    data,
    display,
    files,
    meter_values,
    monitoring,
    provisioning,
    reservations,
    security,
    transactions,
    variables,
)
from edged.domain.effects import (
    DataQuestion,
    EventRecord,
    FirmwareRecord,
    LimitRecord,
    LogRecord,
    MeterRecord,
    NoticeKind,
    Notify,
    Question,
    Record,
    ReportKind,
    ReportPage,
    ReservationRecord,
    SecurityRecord,
    SigningQuestion,
    TransactionRecord,
)
from edged.domain.events import Event, PageTaken, QuestionAnswered, RecordDelivered
from edged.domain.station import Station
from edged.domain.status import availability_state
from edged.ocpp.dialect import Inexpressible, NotYet, StatusReport
from edged.ocpp.rpc import Request

_PAGES: Final[Mapping[ReportKind, Callable[[ReportPage, Station], Request | None]]] = {
    ReportKind.CHARGING_PROFILES: charging.encode_page,
    ReportKind.CUSTOMER: customer.encode_page,
    ReportKind.DISPLAY_MESSAGES: display.encode_page,
    ReportKind.MONITORS: monitoring.encode_page,
    ReportKind.VARIABLES: variables.encode_page,
}
"""How a page of each kind of report is worded: the functional blocks' own."""


def encode_record(record: Record, station: Station) -> Request | NotYet | Inexpressible:
    """A durable record as its message."""
    match record:
        case ReservationRecord():
            return reservations.encode_end(record, station)
        case SecurityRecord():
            return security.encode_security_event(record, station)
        case FirmwareRecord() | LogRecord():
            return files.encode_record(record)
        case EventRecord():
            return monitoring.encode_events(record, station)
        case LimitRecord():
            return charging.encode_limit(record, station)
        case TransactionRecord():
            return transactions.encode_event(record, station)
        case MeterRecord():
            return meter_values.encode(record.connector, record.samples, station) or Inexpressible()


def decode_record_answer(seq: int, record: Record, payload: Any) -> RecordDelivered | None:
    """None, and so one more try, only for what is no object."""
    if isinstance(record, TransactionRecord):
        return transactions.decode_answer(seq, record, payload)
    return RecordDelivered(seq, record) if isinstance(payload, dict) else None


def encode_question(question: Question, station: Station) -> Request | None:
    """None: there is no message for it (yet)."""
    match question:
        case DataQuestion():
            return data.encode_question(question)
        case SigningQuestion():
            return security.encode_question(question)
        case ReportPage():
            encode = _PAGES.get(question.kind)
            return None if encode is None else encode(question, station)


def decode_question_answer(ticket: str, question: Question, payload: Any) -> QuestionAnswered:
    """An answer that cannot be read is none."""
    if isinstance(question, ReportPage):
        return QuestionAnswered(ticket, PageTaken() if isinstance(payload, dict) else None)
    if isinstance(question, DataQuestion):
        return QuestionAnswered(ticket, data.decode_answer(payload))
    return QuestionAnswered(ticket, security.decode_answer(payload))


def encode_notice(notice: Notify, station: Station) -> Request | None:
    """A perishable message; None where there is nothing to say."""
    match notice.kind:
        case NoticeKind.BOOT:
            return provisioning.encode_boot(station, triggered=notice.triggered)
        case NoticeKind.HEARTBEAT:
            return Request("Heartbeat", {})
        case NoticeKind.FIRMWARE_STATUS:
            return files.encode_firmware(station)
        case NoticeKind.LOG_STATUS:
            return files.encode_upload(station)
        case NoticeKind.STATUS:
            return _status(notice, station)
        case NoticeKind.METER:
            if notice.sample is None or notice.connector is None:
                return None
            return meter_values.encode(notice.connector, (notice.sample,), station)
        case _:
            return None


def _status(notice: Notify, station: Station) -> Request | None:
    """Of a connector that nobody has seen yet too: who asks is answered."""
    number = notice.connector
    if number is None or number not in station.connectors:
        return None
    report = availability.statuses(station).get(number)
    if report is None:
        report = StatusReport(availability_state(station, number))
    return availability.encode_status(number, report, station)


def decode_notice_answer(notice: Notify, payload: Any) -> Event | None:
    """BootNotification and Heartbeat answers mean something; the others nothing."""
    if notice.kind is NoticeKind.BOOT:
        return provisioning.decode_boot(payload)
    return provisioning.decode_heartbeat(payload) if notice.kind is NoticeKind.HEARTBEAT else None
