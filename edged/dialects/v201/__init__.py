"""OCPP 2.0.1 (edition 3 with the errata of 2025-09): a station of EVSEs with connectors.

Owns: the translation between 2.0.1's payloads and the core's words, 2.0.1's rules as data. Keeps no state.
Refuses to know: other versions, the line, the clock, what is stored. ISO 15118 is not served.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edged.dialects.v201 import authorization, availability, inbound, outbound, replies, security, words
from edged.domain.effects import AskAuthorization, Notify, Question, Record, Reply
from edged.domain.events import Event, QuestionAnswered, RecordDelivered, TokenAnswered
from edged.domain.policy import Policy, ReservationUse, Trigger
from edged.domain.station import Station
from edged.domain.types import Now, RequestRef, TokenKind
from edged.ocpp.dialect import CallRefused, Inexpressible, NotYet, Payload, StatusReport
from edged.ocpp.rpc import CodeTable, Request

__all__ = ["CODES", "POLICY", "Ocpp201"]

POLICY: Final = Policy(
    reservation_used=ReservationUse.TOKEN_AUTHORIZED,  # H03.FR.09
    start_points=None,  # as TxStartPoint says (E01)
    stop_points=None,  # as TxStopPoint says (E06)
    update_triggers=frozenset(Trigger),  # E02.FR.15
    reservation_records=True,  # H04.FR.01
    csms_names_transactions=False,
    all_after_outage=True,  # B04.FR.01
    replaces_profiles=False,  # K01.FR.06
    profiles_name_transactions=True,  # K01.FR.03
    phases_binding=True,  # K01.FR.44
    event_records=True,  # N07, N08
    limit_records=True,  # K11.FR.02, K12.FR.02, K13.FR.01
    begin_in_start=True,  # E01.FR.09
    times_out_unplugged=True,  # E10.FR.02
    id_token_max_chars=words.MAX_TOKEN_CHARS,
    critical_events=security.CRITICAL,  # A04.FR.01
    renews_at_once=True,  # A02.FR.06, 08, 10, 28, 29
    triggered_values="MeterValuesAlignedData",  # F06.FR.06
    daily_heartbeat=True,  # G02.FR.07
    refuses_when_rejected=True,  # B03.FR.08
    unasked_kinds=frozenset({TokenKind.CENTRAL, TokenKind.NO_AUTHORIZATION}),  # C02.FR.03, C03.FR.01, C05.FR.01
    known_group_stops=True,  # C01.FR.03
    keeps_lapsed=False,  # C10.FR.10
)

CODES: Final = CodeTable(unreadable_id="-1", answers_unknown_type=True)
"""The neutral codes are 2.0.1's own (20-J-03)."""


class Ocpp201:
    """The 2.0.1 `Dialect`; see there for the contract of each method."""

    __slots__ = ()

    @property
    def subprotocol(self) -> str:
        return "ocpp2.0.1"

    @property
    def policy(self) -> Policy:
        return POLICY

    @property
    def codes(self) -> CodeTable:
        return CODES

    def decode_call(self, action: str, payload: Any, request: RequestRef) -> Event | CallRefused:
        return inbound.decode_call(action, payload, request)

    def encode_reply(self, reply: Reply, station: Station) -> Payload | CallRefused:
        return replies.encode_reply(reply, station)

    def encode_failure(self, action: str) -> Payload | None:
        return replies.encode_failure(action)

    def encode_record(self, record: Record, station: Station) -> Request | NotYet | Inexpressible:
        return outbound.encode_record(record, station)

    def decode_record_answer(self, seq: int, record: Record, payload: Any) -> RecordDelivered | None:
        return outbound.decode_record_answer(seq, record, payload)

    def encode_authorization(self, question: AskAuthorization) -> Request:
        return authorization.encode_authorization(question)

    def decode_authorization(self, ticket: str, payload: Any) -> TokenAnswered:
        return authorization.decode_authorization(ticket, payload)

    def encode_question(self, question: Question, station: Station) -> Request | None:
        return outbound.encode_question(question, station)

    def decode_question_answer(self, ticket: str, question: Question, payload: Any) -> QuestionAnswered:
        return outbound.decode_question_answer(ticket, question, payload)

    def encode_notice(self, notice: Notify, station: Station, now: Now) -> Request | None:
        return outbound.encode_notice(notice, station)

    def decode_notice_answer(self, notice: Notify, payload: Any) -> Event | None:
        return outbound.decode_notice_answer(notice, payload)

    def statuses(self, station: Station) -> Mapping[int, StatusReport]:
        return availability.statuses(station)

    def encode_status(self, connector: int, report: StatusReport, station: Station) -> Request:
        return availability.encode_status(connector, report, station)

    def computed_configuration(self, station_shape: Mapping[str, Any]) -> Mapping[str, str]:
        """`station_shape`: {"connectors": int, "detachable": bool}, detachable where at least one is a socket."""
        return {
            "StopTxnSampledData": "Energy.Active.Import.Register",  # an end has no other register (E06.FR.11)
            "TxEndedSampleInterval": "0",
            "TxEndedAlignedInterval": "0",
            "UnlockConnectorOnEVSideDisconnect": "true" if station_shape["detachable"] else "false",
        }
