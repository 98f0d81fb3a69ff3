from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from edged.dialects.v16 import Ocpp16
from edged.dialects.v16.inbound import decode_call
from edged.dialects.v16.replies import encode_reply
from edged.dialects.v16.statuses import encode_status, statuses
from edged.domain.answers import ListStatus
from edged.domain.commands import GetLocalListVersion, ListChange, SendLocalList
from edged.domain.configuration import REGISTRY
from edged.domain.effects import Reply
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, RequestRef
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode, Session

REF = RequestRef("csms", "17", "SendLocalList")
NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
Check = Callable[[str, Any], None]


def decoded(**payload: Any) -> Any:
    return decode_call("SendLocalList", {"listVersion": 3, "updateType": "Full", **payload}, REF)


def changes(*entries: dict[str, Any]) -> tuple[ListChange, ...]:
    event = decoded(localAuthorizationList=list(entries))
    assert isinstance(event, SendLocalList)
    return event.changes


def entry(**info: Any) -> dict[str, Any]:
    return {"idTag": "Tag1", "idTagInfo": {"status": "Accepted", **info}}


# --- commands in


@pytest.mark.parametrize(("word", "full"), [("Full", True), ("Differential", False)])
@pytest.mark.parametrize("version", [-1, 0, 1, 2**40])
def test_an_update_says_its_kind_and_its_version_whether_good_or_not(word: str, full: bool, version: int) -> None:
    event = decoded(updateType=word, listVersion=version)
    assert event == SendLocalList(request=REF, version=version, full=full, changes=())


def test_a_list_that_is_missing_is_one_without_entries() -> None:
    assert decoded() == decoded(localAuthorizationList=[])


@pytest.mark.parametrize("status", ["Accepted", "Blocked", "ConcurrentTx", "Expired", "Invalid"])
def test_an_entry_is_read_whole(status: str) -> None:
    told = entry(status=status, parentIdTag="Family", expiryDate="2026-06-01T14:00:00+02:00")
    assert changes(told) == (
        ListChange(IdToken("Tag1"), IdTokenInfo(AuthorizationStatus(status), IdToken("Family"), NOON)),
    )


def test_an_entry_without_information_takes_its_token_out() -> None:
    assert changes({"idTag": "Tag1"}) == (ListChange(IdToken("Tag1"), None),)


def test_an_empty_parent_is_none() -> None:
    assert changes(entry(parentIdTag="")) == (ListChange(IdToken("Tag1"), IdTokenInfo(AuthorizationStatus.ACCEPTED)),)


def test_duplicates_are_not_hidden_from_the_core() -> None:
    assert len(changes(entry(), entry())) == 2


@pytest.mark.parametrize("date", ["soon", "", "2026-06-01", "9999-12-31T23:59:59-01:00"])
def test_a_date_that_cannot_be_read_is_a_type_violation_that_names_its_place(date: str) -> None:
    refused = decoded(localAuthorizationList=[entry(), entry(expiryDate=date)])
    assert refused == CallRefused(ErrorCode.TYPE, "localAuthorizationList[1].idTagInfo.expiryDate: type dateTime")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"idTag": "T" * 21}, ErrorCode.PROPERTY),
        ({"idTag": 7}, ErrorCode.TYPE),
        ({"idTagInfo": {"status": "Accepted"}}, ErrorCode.OCCURRENCE),
        (entry(parentIdTag="T" * 21), ErrorCode.PROPERTY),
        (entry(status="Maybe"), ErrorCode.PROPERTY),
        (entry(expiryDate=7), ErrorCode.TYPE),
        (entry(more=1), ErrorCode.FORMAT),
        ({"idTag": "Tag1", "idTagInfo": None}, ErrorCode.TYPE),
        ({"idTag": "Tag1", "idTagInfo": {}}, ErrorCode.OCCURRENCE),
    ],
)
def test_an_entry_that_breaks_the_schema_is_refused(wrong: dict[str, Any], code: ErrorCode) -> None:
    refused = decoded(localAuthorizationList=[entry(), wrong])
    assert isinstance(refused, CallRefused)
    assert refused.code is code
    assert refused.description.startswith("localAuthorizationList[1]")


def test_the_question_about_the_version_has_no_fields() -> None:
    assert decode_call("GetLocalListVersion", {}, REF) == GetLocalListVersion(REF)


# --- answers out


@pytest.mark.parametrize("status", ListStatus)
def test_an_update_is_answered_in_the_words_of_1_6(status: ListStatus, assert_v16: Check) -> None:
    payload = encode_reply(Reply(RequestRef("csms", "1", "SendLocalList"), status, "the reason"))
    assert payload == {"status": status.value}
    assert_v16("SendLocalListResponse", payload)


@pytest.mark.parametrize("version", [0, 1, 2**31])
def test_the_version_is_a_number(version: int, assert_v16: Check) -> None:
    reply = Reply(RequestRef("csms", "1", "GetLocalListVersion"), ListStatus.ACCEPTED, data=version)
    assert encode_reply(reply) == {"listVersion": version}
    assert_v16("GetLocalListVersionResponse", encode_reply(reply))


@pytest.mark.req("TC_042_1_CS")
def test_a_list_that_there_is_not_has_the_version_minus_one(assert_v16: Check) -> None:
    reply = Reply(RequestRef("csms", "1", "GetLocalListVersion"), ListStatus.NOT_SUPPORTED, "it is switched off")
    assert encode_reply(reply) == {"listVersion": -1}
    assert_v16("GetLocalListVersionResponse", encode_reply(reply))


# --- the status that tells of a contradiction


@pytest.mark.req("16-AUTH-09")
@pytest.mark.parametrize(("operative", "status"), [(True, "Available"), (False, "Unavailable")])
def test_a_contradicted_list_is_the_stations_error_and_no_connectors(
    operative: bool, status: str, make_station: Callable[..., Any], assert_v16: Check
) -> None:
    station = make_station(operative=operative, list_conflict=True)
    reports = statuses(station)
    assert [report.error_code for report in reports.values()] == ["LocalListConflict", "NoError", "NoError"]
    payload = encode_status(0, reports[0], station).payload
    assert (payload["status"], payload["errorCode"]) == (status, "LocalListConflict")
    assert_v16("StatusNotification", payload)


@pytest.mark.req("16-AUTH-09")
def test_a_contradiction_is_another_report_than_none(make_station: Callable[..., Any]) -> None:
    assert statuses(make_station(list_conflict=True))[0] != statuses(make_station())[0]


@pytest.mark.req("16-AUTH-09")
def test_a_list_that_is_switched_off_is_contradicted_by_nobody(make_station: Callable[..., Any]) -> None:
    one = make_station(list_conflict=True)
    off = replace(one.configuration, changed={"LocalAuthListEnabled": "false"})
    assert statuses(replace(one, configuration=off))[0].error_code == "NoError"


# --- sizes


def test_the_longest_update_that_is_allowed_fits_into_a_frame() -> None:
    """Every field as long as it can be, with blanks and line breaks; in ASCII, as OCPP's strings are."""
    most = int(REGISTRY["sendlocallistmaxlength"].default or 0)
    fullest = {
        "idTag": '"' * 20,
        "idTagInfo": {
            "status": "ConcurrentTx",
            "expiryDate": "2026-06-01T12:00:00.000000+00:00",
            "parentIdTag": "\\" * 20,
        },
    }
    payload = {"listVersion": 2**31, "updateType": "Differential", "localAuthorizationList": [fullest] * most}
    limit = inspect.signature(Session).parameters["max_frame_bytes"].default
    assert most == 1000
    assert len(json.dumps([2, "x" * 36, "SendLocalList", payload], indent=2)) < limit
    assert isinstance(Ocpp16().decode_call("SendLocalList", payload, REF), SendLocalList)
