from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from edged.dialects.v16 import CODES, POLICY, Ocpp16
from edged.domain.answers import Verdict
from edged.domain.commands import ClearCache
from edged.domain.effects import AskAuthorization, NoticeKind, Notify, Reply, ReservationEnd, ReservationRecord
from edged.domain.events import RecordDelivered, TokenAnswered
from edged.domain.policy import ReservationUse, StartPoint, Trigger
from edged.domain.types import IdToken, RequestRef
from edged.ocpp.dialect import Dialect, Inexpressible
from edged.ocpp.rpc import ErrorCode, Request

# The whole list of 16-J-27.
VALID_CODES = {
    *("NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError", "FormationViolation"),
    *("PropertyConstraintViolation", "OccurenceConstraintViolation", "TypeConstraintViolation", "GenericError"),
}
REF = RequestRef("csms", "1", "ClearCache")


def _dialect() -> Dialect:
    return Ocpp16()


@pytest.mark.parametrize("code", ErrorCode)
def test_only_codes_of_1_6_are_sent(code: ErrorCode) -> None:
    assert CODES.to_wire(code) in VALID_CODES


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("FormationViolation", ErrorCode.FORMAT),
        ("FormatViolation", ErrorCode.FORMAT),
        ("OccurenceConstraintViolation", ErrorCode.OCCURRENCE),
        ("OccurrenceConstraintViolation", ErrorCode.OCCURRENCE),
        ("GenericError", ErrorCode.GENERIC),
        ("SomethingOfAVendor", ErrorCode.GENERIC),
    ],
)
def test_both_spellings_are_read(name: str, code: ErrorCode) -> None:
    assert CODES.from_wire(name) is code


def test_frames_that_cannot_be_answered_are_left_alone() -> None:
    assert CODES.unreadable_id is None
    assert not CODES.answers_unknown_type


def test_the_rules_are_those_of_1_6() -> None:
    assert POLICY.reservation_used is ReservationUse.TRANSACTION_STARTED
    assert POLICY.start_points == {StartPoint.POWER_PATH_CLOSED}
    assert POLICY.update_triggers == {Trigger.METER_VALUE_PERIODIC, Trigger.METER_VALUE_CLOCK}
    assert POLICY.csms_names_transactions and not POLICY.reservation_records


def test_the_dialect_does_what_the_protocol_asks(make_station: Callable[..., Any]) -> None:
    dialect, station = _dialect(), make_station()
    assert (dialect.subprotocol, dialect.policy, dialect.codes) == ("ocpp1.6", POLICY, CODES)
    assert dialect.decode_call("ClearCache", {}, REF) == ClearCache(REF)
    assert dialect.encode_reply(Reply(REF, Verdict.ACCEPTED), station) == {"status": "Accepted"}
    record = ReservationRecord(7, ReservationEnd.EXPIRED)
    assert dialect.encode_record(record, station) == Inexpressible()
    assert dialect.decode_record_answer(1, record, {}) == RecordDelivered(1, record)
    assert dialect.encode_authorization(AskAuthorization("t", IdToken("A"))) == Request("Authorize", {"idTag": "A"})
    assert dialect.decode_authorization("t", {}) == TokenAnswered("t", None)
    assert dialect.encode_notice(Notify(NoticeKind.HEARTBEAT), station, station.clock) == Request("Heartbeat", {})
    assert dialect.decode_notice_answer(Notify(NoticeKind.STATUS), {}) is None
    reports = dialect.statuses(station)
    assert set(reports) == {0, 1, 2}
    assert dialect.encode_status(1, reports[1], station).action == "StatusNotification"
    shape = {"connectors": 2, "detachable": True}
    assert dialect.computed_configuration(shape)["NumberOfConnectors"] == "2"


def test_validating_a_call_does_not_load_the_library_behind_the_schemas() -> None:
    program = (
        "import sys\n"
        "from edged.dialects.v16 import Ocpp16\n"
        "from edged.domain.types import RequestRef\n"
        "Ocpp16().decode_call('ReserveNow', {}, RequestRef('csms', '1'))\n"
        "assert 'fastjsonschema' in sys.modules\n"
        "assert not {'ocpp.v16', 'ocpp.charge_point', 'jsonschema', 'asyncio'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
