"""What a log may show of a frame."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.ocpp.masking import ENTRIES, PRIVATE, masked

SECRET = "correct-horse-battery"


def call(action: str, payload: Any, **style: Any) -> str:
    return json.dumps([2, "id-1", action, payload], **style)


@pytest.mark.req("A01.FR.12")
@pytest.mark.parametrize(
    "frame",
    [
        call("ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}),
        call("ChangeConfiguration", {"value": SECRET, "key": "authorizationkey"}),
        call("ChangeConfiguration", {"key": " AUTHORIZATIONKEY ", "value": SECRET, "more": SECRET}),
        call("ChangeConfiguration", {"key": "AuthorizationKey", "value": [SECRET], "AuthorizationKey": SECRET}),
        call("ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}).replace("Auth", "\\u0041uth"),
        call("ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET})[:-2],
        call("ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}).replace("Auth", "\\u0041uth")[:-1],
        call(
            "SetVariables",
            {
                "setVariableData": [
                    {
                        "attributeValue": SECRET,
                        "component": {"name": "SecurityCtrlr"},
                        "variable": {"name": "BasicAuthPassword"},
                    }
                ]
            },
        ),
    ],
)
def test_a_password_is_never_shown(frame: str) -> None:
    assert "horse" not in masked(frame).replace("[***]", "")


def test_what_stands_beside_a_password_is_shown() -> None:
    shown = masked(call("ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}))
    assert json.loads(shown) == [2, "id-1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": "***"}]


def test_other_keys_of_the_same_answer_are_shown() -> None:
    frame = json.dumps(
        [
            3,
            "id-1",
            {
                "configurationKey": [
                    {"key": "AuthorizationKey", "readonly": False},
                    {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
                ]
            },
        ]
    )
    assert '"value":"300"' in masked(frame)


def test_the_password_in_an_address_is_not_shown() -> None:
    frame = call("UpdateFirmware", {"location": f"ftp://user:{SECRET}@files.example.com/image"})
    assert masked(frame) == frame.replace(f"user:{SECRET}@", "***@")


def test_bytes_are_counted() -> None:
    assert masked(b"\x00\xff" * 4) == "8 bytes"


@given(st.text(max_size=200))
def test_any_text_is_shown_in_some_way(text: str) -> None:
    assert isinstance(masked(text), str)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=10,
    )
)
def test_a_frame_without_a_password_says_the_same(payload: Any) -> None:
    frame = json.dumps([2, "1", "DataTransfer", payload])
    private = any(f'"{name}"' in frame.casefold() for name in (*ENTRIES, *PRIVATE))
    if "://" not in frame and not private:
        assert json.loads(masked(frame)) == json.loads(frame)


@pytest.mark.parametrize(
    "address",
    [
        "http://u:hush@example.com/fw",
        r"http:\/\/u:hush@example.com\/fw",
        r"http:\u002f\u002fu:hush@example.com/fw",
        "http://u:a@hush@example.com/fw",
        r"http://u:a\"hush@example.com/fw",
        r"http:\u002f/u\u003ahush\u0040example.com",
        "https://example.com/fw?signature=hush",
        r"https:\/\/example.com\/fw?a=b&token=hush",
        r"{\"at\":\"ftp:\\/\\/u:hush@example.com\"}",
    ],
)
def test_the_credentials_of_an_address_are_not_shown_however_it_is_spelt(address: str):
    shown = masked(f'[2,"1","UpdateFirmware",{{"location":"{address}","retrieveDate":"2031-01-01T00:00:00Z"}}]')
    assert "hush" not in shown and "example.com" in shown and "2031-01-01" in shown


@pytest.mark.req("C04.FR.04")
@pytest.mark.parametrize("kind", ['"KeyCode"', '"Key\\u0043ode"'])
def test_a_code_that_was_typed_in_is_masked_wherever_it_stands(kind: str) -> None:
    token = f'{{"idToken":"4711","type":{kind}}}'
    frame = f'[2,"1","SendLocalList",{{"localAuthorizationList":[{{"idToken":{token}}}]}}]'
    assert "4711" not in masked(frame) and "SendLocalList" in masked(frame)
    assert "4711" in masked(frame.replace(kind, '"ISO14443"'))


@pytest.mark.req("B09.FR.01")
@pytest.mark.parametrize(
    "entry",
    [
        {"apn": {"apn": "internet", "apnUserName": "me", "apnPassword": "hush", "simPin": 7391}},
        {"vpn": {"server": "example.com", "user": "me", "password": "hush", "key": "hush", "type": "IPSec"}},
        {"vpn": ["hush", 7391]},
    ],
)
def test_what_opens_a_modem_or_a_tunnel_is_not_shown(entry: dict[str, Any]) -> None:
    told = {"ocppCsmsUrl": "wss://csms.example.com/ocpp", "messageTimeout": 30, **entry}
    for frame in (
        call("SetNetworkProfile", {"configurationSlot": 2, "connectionData": told}),
        call("SetNetworkProfile", {"configurationSlot": 2, "connectionData": told}).replace('pn":', '\\u0070n":'),
    ):
        shown = masked(frame)
        assert "hush" not in shown and "7391" not in shown
        assert "csms.example.com" in shown or "characters that may" in shown


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("CustomerInformation", {"requestId": 30, "customerIdentifier": "hush"}),
        ("CustomerInformation", {"requestId": 30, "CUSTOMERIDENTIFIER": ["hush"]}),
        (
            "RequestStartTransaction",
            {"remoteStartId": 30, "idToken": {"idToken": "X", "additionalInfo": [{"additionalIdToken": "hush"}]}},
        ),
    ],
)
def test_who_a_customer_is_and_what_else_a_token_has_is_not_shown(action: str, payload: Any, *, escaped: bool) -> None:
    frame = call(action, payload)
    if escaped:
        frame = frame.replace('"additional', '"\\u0061dditional').replace('"customer', '"\\u0063ustomer')
    shown = masked(frame)
    assert "hush" not in shown and ":30" in shown
