"""OCPP 1.6J (edition 2 with the errata of 2025-04): Core, Reservation, RemoteTrigger.

Owns: the translation between 1.6's payloads and the core's words, 1.6's rules as data. Keeps no state.
Refuses to know: other versions, the line, the clock, what is stored.

What 1.6 cannot express: EVSEs (connectors are numbered through the station), reservations for a connector type, why a
reservation ended, why a request was refused, token kinds, a transaction before its driver is authorized, and a
transaction's name before the CSMS has given one. Each module says more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edged.dialects.v16 import answers, files, inbound, keys, outbound, replies, security
from edged.dialects.v16 import statuses as status_reports
from edged.domain.effects import AskAuthorization, Notify, Question, Record, Reply
from edged.domain.events import Event, QuestionAnswered, RecordDelivered, TokenAnswered
from edged.domain.policy import Policy, ReservationUse, StartPoint, Trigger
from edged.domain.station import Station
from edged.domain.types import Now, RequestRef
from edged.ocpp.dialect import CallRefused, Inexpressible, NotYet, Payload, StatusReport
from edged.ocpp.rpc import CodeTable, ErrorCode, Request

__all__ = ["CODES", "POLICY", "Ocpp16"]

POLICY: Final = Policy(
    reservation_used=ReservationUse.TRANSACTION_STARTED,  # 1.6 §5.13, 16-RES-09
    start_points=frozenset({StartPoint.POWER_PATH_CLOSED}),  # 16-TX-01
    update_triggers=frozenset({Trigger.METER_VALUE_PERIODIC, Trigger.METER_VALUE_CLOCK}),
    reservation_records=False,  # 16-RES-12
    csms_names_transactions=True,
    id_token_max_chars=outbound.MAX_ID_TAG_CHARS,  # 16-GEN-06
    nameless_firmware_statuses=files.NAMELESS_STATUSES,
    upload_statuses=files.UPLOAD_STATUSES,
)

CODES: Final = CodeTable(
    wire={
        ErrorCode.FORMAT: "FormationViolation",  # 16-J-26: not "FormatViolation"
        ErrorCode.OCCURRENCE: "OccurenceConstraintViolation",  # with one r
        ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED: "GenericError",  # 2.x only
        ErrorCode.RPC_FRAMEWORK: "GenericError",  # 2.x only
    },
)
"""The spellings of later versions are read as well: they are the neutral ones."""


class Ocpp16:
    """The 1.6 `Dialect`; see there for the contract of each method."""

    __slots__ = ()

    @property
    def subprotocol(self) -> str:
        return "ocpp1.6"

    @property
    def policy(self) -> Policy:
        return POLICY

    @property
    def codes(self) -> CodeTable:
        return CODES

    def decode_call(self, action: str, payload: Any, request: RequestRef) -> Event | CallRefused:
        return inbound.decode_call(action, payload, request)

    def encode_reply(self, reply: Reply, station: Station) -> Payload | CallRefused:
        return replies.encode_reply(reply)

    def encode_failure(self, action: str) -> Payload | None:
        return replies.encode_failure(action)

    def encode_record(self, record: Record, station: Station) -> Request | NotYet | Inexpressible:
        return outbound.encode_record(record, station)

    def decode_record_answer(self, seq: int, record: Record, payload: Any) -> RecordDelivered | None:
        return answers.decode_record_answer(seq, record, payload)

    def encode_authorization(self, question: AskAuthorization) -> Request:
        return outbound.encode_authorization(question)

    def decode_authorization(self, ticket: str, payload: Any) -> TokenAnswered:
        return answers.decode_authorization(ticket, payload)

    def encode_question(self, question: Question, station: Station) -> Request | None:
        return security.encode_question(question)

    def decode_question_answer(self, ticket: str, question: Question, payload: Any) -> QuestionAnswered:
        return security.decode_question_answer(ticket, question, payload)

    def encode_notice(self, notice: Notify, station: Station, now: Now) -> Request | None:
        return outbound.encode_notice(notice, station)

    def decode_notice_answer(self, notice: Notify, payload: Any) -> Event | None:
        return answers.decode_notice_answer(notice, payload)

    def statuses(self, station: Station) -> Mapping[int, StatusReport]:
        return status_reports.statuses(station)

    def encode_status(self, connector: int, report: StatusReport, station: Station) -> Request:
        return status_reports.encode_status(connector, report, station)

    def computed_configuration(self, station_shape: Mapping[str, Any]) -> Mapping[str, str]:
        """`station_shape`: {"connectors": int, "detachable": bool}, detachable where at least one is a socket."""
        return keys.computed(connectors=station_shape["connectors"], detachable=station_shape["detachable"])
