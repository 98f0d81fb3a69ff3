from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import pytest

from edged.dialects.v16 import charging, files, lists, security
from edged.dialects.v16.inbound import SUPPORTED_ACTIONS
from edged.dialects.v16.replies import encode_reply
from edged.dialects.v16.schemas import MAX_DATA_CHARS
from edged.domain.answers import (
    AvailabilityStatus,
    ReserveStatus,
    ResetStatus,
    TokenVerdict,
    TransferStatus,
    TriggerStatus,
    UnlockStatus,
    Verdict,
)
from edged.domain.configuration import ConfigurationStatus
from edged.domain.effects import Reply
from edged.domain.types import RequestRef

STATUSES: dict[str, type[StrEnum]] = {
    "CancelReservation": Verdict,
    "ChangeAvailability": AvailabilityStatus,
    "ChangeConfiguration": ConfigurationStatus,
    "ClearCache": Verdict,
    "DataTransfer": TransferStatus,
    "RemoteStartTransaction": Verdict,
    "RemoteStopTransaction": Verdict,
    "ReserveNow": ReserveStatus,
    "Reset": ResetStatus,
    "TriggerMessage": TriggerStatus,
    "UnlockConnector": UnlockStatus,
}
WORDED_DIFFERENTLY = {
    ("Reset", ResetStatus.SCHEDULED): "Accepted",
    ("UnlockConnector", UnlockStatus.ONGOING_TRANSACTION): "UnlockFailed",
    ("UnlockConnector", UnlockStatus.UNKNOWN_CONNECTOR): "NotSupported",
}
ALL = [(action, status) for action, statuses in STATUSES.items() for status in statuses]


def _encode(action: str, status: StrEnum, data: Any = None) -> dict[str, Any]:
    return encode_reply(Reply(RequestRef("csms", "1", action), status, "the reason", data))


def test_every_action_that_is_served_has_its_answers_here() -> None:
    by_profile = {*lists.ENCODERS, *charging.ENCODERS, *files.ENCODERS, *security.ENCODERS}
    assert {*STATUSES, "GetConfiguration", *by_profile} == SUPPORTED_ACTIONS


@pytest.mark.parametrize(("action", "status"), ALL)
def test_every_status_has_its_word_in_1_6(action: str, status: StrEnum, assert_v16: Callable[[str, Any], None]) -> None:
    payload = _encode(action, status)
    assert payload == {"status": WORDED_DIFFERENTLY.get((action, status), status.value)}
    assert type(payload["status"]) is str
    assert_v16(f"{action}Response", payload)


def test_the_number_of_a_reservation_is_not_told() -> None:
    assert _encode("ReserveNow", ReserveStatus.ACCEPTED, data=7) == {"status": "Accepted"}


def test_data_of_a_transfer_goes_back_within_bounds() -> None:
    assert _encode("DataTransfer", TransferStatus.ACCEPTED, data="x" * (MAX_DATA_CHARS + 1)) == {
        "status": "Accepted",
        "data": "x" * MAX_DATA_CHARS,
    }


def test_a_status_that_is_no_answer_to_the_action_is_a_bug_of_ours() -> None:
    with pytest.raises(KeyError):
        _encode("Reset", TokenVerdict.BUSY)
