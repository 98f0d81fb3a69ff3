"""Tokens on 2.0.1's wire: Authorize, ClearCache, the local list, remote start and stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from edged.dialects.v201 import Ocpp201
from edged.dialects.v201.words import read_info, write_token
from edged.domain.answers import ListStatus, Reason, Verdict
from edged.domain.commands import (
    ClearCache,
    GetLocalListVersion,
    ListChange,
    RequestStart,
    RequestStop,
    SendLocalList,
)
from edged.domain.effects import AskAuthorization, Reply
from edged.domain.events import TokenAnswered
from edged.domain.station import Station
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, PersonalMessage, RequestRef, TokenKind
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode

DIALECT = Ocpp201()
NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
CARD = {"idToken": "Tag1", "type": "ISO14443"}
PROFILE = {
    "id": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [
        {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}]}
    ],
}
Stations = Callable[..., Station]


def decoded(action: str, **payload: Any) -> Any:
    return DIALECT.decode_call(action, payload, RequestRef("csms", "17", action))


def listed(*entries: dict[str, Any], kind: str = "Full", version: int = 3) -> Any:
    more = {"localAuthorizationList": list(entries)} if entries else {}
    return decoded("SendLocalList", versionNumber=version, updateType=kind, **more)


def encoded(station: Station, action: str, status: Any, data: Any = None, **more: str) -> Any:
    payload = DIALECT.encode_reply(Reply(RequestRef("csms", "17", action), status, data=data, **more), station)
    schema = json.loads(files("ocpp").joinpath("v201/schemas", f"{action}Response.json").read_text("utf-8-sig"))
    jsonschema.validators.validator_for(schema)(schema).validate(payload)
    return payload


# --- Authorize


@pytest.mark.req("C01.FR.25", "C06.FR.02")
@pytest.mark.parametrize("kind", TokenKind)
def test_a_question_names_the_tokens_kind(kind: TokenKind) -> None:
    request = DIALECT.encode_authorization(AskAuthorization("t", IdToken("Tag1", kind)))
    assert request.payload == {"idToken": {"idToken": "Tag1", "type": kind.value}}


@pytest.mark.parametrize("kind", [None, "DirectPayment"])
def test_a_kind_that_nobody_knows_is_that_of_a_card(kind: str | None) -> None:
    assert write_token(IdToken("Tag1", kind)) == CARD


@pytest.mark.parametrize("status", AuthorizationStatus)
def test_each_judgement_of_2_0_1_is_read(status: AuthorizationStatus) -> None:
    answer = DIALECT.decode_authorization("t", {"idTokenInfo": {"status": status.value}})
    assert answer == TokenAnswered("t", IdTokenInfo(status))


@pytest.mark.req("C01.FR.21")
def test_a_judgement_is_read_whole() -> None:
    told = {
        "status": "Accepted",
        "cacheExpiryDateTime": "2026-06-01T14:00:00+02:00",
        "groupIdToken": {"idToken": "Family", "type": "Central"},
        "evseId": [2, 3],
        "language1": "de",
        "language2": "en-GB",
        "personalMessage": {"format": "UTF8", "language": "de", "content": "Hallo"},
    }
    assert read_info(told) == IdTokenInfo(
        AuthorizationStatus.ACCEPTED,
        group=IdToken("Family", "Central"),
        expires_at=NOON,
        evses=(2, 3),
        languages=("de", "en-GB"),
        message=PersonalMessage("Hallo", "UTF8", "de"),
    )


@pytest.mark.parametrize("told", [None, {}, [], "Accepted", {"status": 1}, {"status": ["Accepted"]}])
def test_without_a_judgement_there_is_no_answer(told: Any) -> None:
    assert DIALECT.decode_authorization("t", {"idTokenInfo": told}).info is None
    assert DIALECT.decode_authorization("t", told).info is None


@pytest.mark.parametrize("evses", ["2", [0], [True], [1.5], [2**40], {"a": 1}, [1] * 2000])
def test_evses_that_cannot_be_read_make_a_no(evses: Any) -> None:
    info = read_info({"status": "Accepted", "evseId": evses})
    assert info is not None and info.status is AuthorizationStatus.INVALID


@pytest.mark.parametrize(
    "rest",
    [
        {"personalMessage": "Hallo"},
        {"personalMessage": {"format": "MP3", "content": "x"}},
        {"personalMessage": {"format": "UTF8", "content": "x" * 513}},
        {"language1": "x" * 9, "language2": 7},
        {"groupIdToken": {"idToken": "x" * 37, "type": "Central"}},
        {"groupIdToken": "Family", "cacheExpiryDateTime": "soon"},
    ],
)
def test_what_else_cannot_be_read_is_left_out(rest: dict[str, Any]) -> None:
    assert read_info({"status": "Accepted", **rest}) == IdTokenInfo(AuthorizationStatus.ACCEPTED)


# --- ClearCache


@pytest.mark.req("C11.FR.03", "C11.FR.04")
def test_the_cache_is_cleared(make_station: Stations) -> None:
    assert decoded("ClearCache") == ClearCache(RequestRef("csms", "17", "ClearCache"))
    assert encoded(make_station(), "ClearCache", Verdict.ACCEPTED) == {"status": "Accepted"}
    refused = encoded(make_station(), "ClearCache", Verdict.REJECTED, reason=Reason.NOT_ENABLED)
    assert refused == {"status": "Rejected", "statusInfo": {"reasonCode": "NotEnabled"}}


# --- the local list


@pytest.mark.parametrize(("kind", "full"), [("Full", True), ("Differential", False)])
@pytest.mark.parametrize("version", [-1, 0, 1, 2**31 - 1])
def test_an_update_says_its_kind_and_its_version_whether_good_or_not(kind: str, full: bool, version: int) -> None:
    request = RequestRef("csms", "17", "SendLocalList")
    assert listed(kind=kind, version=version) == SendLocalList(request=request, version=version, full=full, changes=())


@pytest.mark.req("D01.FR.16", "D01.FR.17")
@pytest.mark.parametrize("status", AuthorizationStatus)
def test_an_entry_is_read_whole_and_one_without_info_is_taken_out(status: AuthorizationStatus) -> None:
    info = {
        "status": status.value,
        "groupIdToken": {"idToken": "Family", "type": "Central"},
        "cacheExpiryDateTime": "2026-06-01T14:00:00+02:00",
    }
    token = {"idToken": "Tag1", "type": "KeyCode", "additionalInfo": [{"additionalIdToken": "x", "type": "y"}]}
    assert listed({"idToken": token, "idTokenInfo": info}, {"idToken": CARD}).changes == (
        ListChange(IdToken("Tag1", "KeyCode"), IdTokenInfo(status, IdToken("Family", "Central"), NOON)),
        ListChange(IdToken("Tag1", "ISO14443"), None),
    )


def test_a_date_that_cannot_be_read_is_refused_and_not_left_out() -> None:
    refused = listed({"idToken": CARD, "idTokenInfo": {"status": "Accepted", "cacheExpiryDateTime": "soon"}})
    assert isinstance(refused, CallRefused) and refused.code is ErrorCode.TYPE
    assert "localAuthorizationList[0]" in refused.description


@pytest.mark.req("D02.FR.01", "D02.FR.03")
def test_2_0_1_has_neither_a_word_nor_a_number_for_no_list(make_station: Stations) -> None:
    station = make_station()
    assert decoded("GetLocalListVersion") == GetLocalListVersion(RequestRef("csms", "17", "GetLocalListVersion"))
    assert encoded(station, "GetLocalListVersion", ListStatus.ACCEPTED, 7) == {"versionNumber": 7}
    assert encoded(station, "GetLocalListVersion", ListStatus.NOT_SUPPORTED) == {"versionNumber": 0}
    assert encoded(station, "SendLocalList", ListStatus.NOT_SUPPORTED) == {"status": "Failed"}


@pytest.mark.parametrize("status", [ListStatus.ACCEPTED, ListStatus.FAILED, ListStatus.VERSION_MISMATCH])
def test_every_other_answer_to_an_update_has_its_own_word(status: ListStatus, make_station: Stations) -> None:
    assert encoded(make_station(), "SendLocalList", status) == {"status": status.value}


# --- remote start and stop


def started(**more: Any) -> Any:
    return decoded("RequestStartTransaction", idToken=CARD, remoteStartId=7, **more)


@pytest.mark.req("F01.FR.21", "F01.FR.22")
def test_a_start_is_read_whole() -> None:
    event = started(evseId=2, groupIdToken={"idToken": "Family", "type": "Central"}, chargingProfile=PROFILE)
    assert isinstance(event, RequestStart)
    assert (event.id_token, event.group) == (IdToken("Tag1", "ISO14443"), IdToken("Family", "Central"))
    assert (event.evse, event.connector, event.remote_start_id) == (2, None, 7)
    assert event.acceptable and event.profile is not None and event.profile.id == 1


def test_a_start_that_names_no_group_has_none() -> None:
    event = started()
    assert (event.group, event.group_told, event.evse, event.profile) == (None, True, None, None)


@pytest.mark.req("F01.FR.09", "F01.FR.11")
@pytest.mark.parametrize("change", [{"chargingProfilePurpose": "TxDefaultProfile"}, {"transactionId": "tx"}])
def test_a_profile_that_is_not_for_a_new_transaction_is_not_acceptable(change: dict[str, Any]) -> None:
    assert not started(chargingProfile={**PROFILE, **change}).acceptable


def test_a_profile_whose_dates_cannot_be_read_is_refused() -> None:
    assert isinstance(started(chargingProfile={**PROFILE, "validFrom": "soon"}), CallRefused)


@pytest.mark.req("F01.FR.13")
def test_the_answer_names_the_transaction_that_runs_already(make_station: Stations) -> None:
    action, station = "RequestStartTransaction", make_station()
    assert encoded(station, action, Verdict.ACCEPTED) == {"status": "Accepted"}
    assert encoded(station, action, Verdict.ACCEPTED, "tx") == {"status": "Accepted", "transactionId": "tx"}
    refused = encoded(station, action, Verdict.REJECTED, detail="in use", reason=Reason.TX_IN_PROGRESS)
    assert refused["statusInfo"] == {"reasonCode": "TxInProgress", "additionalInfo": "in use"}


@pytest.mark.req("F03.FR.07", "F03.FR.08")
def test_a_stop_names_a_transaction(make_station: Stations) -> None:
    event = decoded("RequestStopTransaction", transactionId="tx")
    assert isinstance(event, RequestStop) and event.transaction_id == "tx"
    assert encoded(make_station(), "RequestStopTransaction", Verdict.REJECTED) == {"status": "Rejected"}
