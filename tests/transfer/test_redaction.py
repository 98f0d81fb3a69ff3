"""What leaves the computer has no secret in it."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.transfer.archive import redact

SECRET = 'p"ä/ss w&rd+1'
FORMS = [
    SECRET,
    quote(SECRET),
    quote(SECRET, safe=""),
    quote(SECRET, safe="").lower(),
    quote_plus(SECRET),
    json.dumps(SECRET),
    json.dumps(SECRET, ensure_ascii=False),
    json.dumps(json.dumps(SECRET)),
    json.dumps(SECRET).replace("/", "\\/"),
    base64.b64encode(SECRET.encode()).decode(),
    base64.urlsafe_b64encode(SECRET.encode()).decode(),
    SECRET.encode().hex(),
    SECRET.encode().hex().upper(),
]


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_every_form(form):
    shown = redact(f"before {form} after {form}", [SECRET])
    assert form.strip('"\\') not in shown
    assert shown.startswith("before ")
    assert " after " in shown


@pytest.mark.parametrize("ahead", ["", "u:", "us:", "use:", "user:"])
@pytest.mark.parametrize("behind", ["", "x", "xy", "xyz"])
def test_a_secret_inside_somebody_elses_base64_is_found(ahead, behind):
    form = base64.b64encode(f"{ahead}{SECRET}{behind}".encode()).decode()
    shown = redact(f"token-free {form} end", [SECRET])
    assert form not in shown
    assert "***" in shown


def test_longer_secrets_go_first():
    assert redact("secretly secret", ["secret", "secretly"]) == "*** ***"


def test_nothing_is_no_secret():
    assert redact("text", [""]) == "text"


@given(st.text(min_size=1, max_size=20), st.text(max_size=40), st.text(max_size=40))
def test_no_secret_survives(secret, before, after):
    shown = redact(before + secret + after, [secret])
    assert secret not in shown or secret in "*** (a private key)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password: hunter2", "password: ***"),
        ("  - mqtt_password: 'hunter2'  # mine", "  - mqtt_password: ***"),
        ('password: "hunter2"', "password: ***"),
        ("password:\nnext: 1", "password:\nnext: 1"),
        ("password: |\n  hunter2\n  more\nnext: 1", "password: ***\nnext: 1"),
        ("a:\n  secret: >-\n    hunter2\n\n    more\n  b: 1", "a:\n  secret: ***\n  b: 1"),
        ("tokens:\n- hunter2\n- hunter3\nnext: 1", "tokens:\nnext: 1"),
        ("tokens: [hunter2, hunter3]", "tokens: ***"),
        ("api_key=hunter2", "api_key= ***"),
        ("url?a=1&access_token=hunter2&b=2", "url?a=1&access_token=***&b=2"),
        ('{"password": "hun\\"ter2", "a": 1}', '{"password": "***", "a": 1}'),
        ('{"pin":1234}', '{"pin":"***"}'),
        ('{"idTag":"hunter2"}', '{"idTag":"***"}'),
        ('[2,"1","X",{"key":"AuthorizationKey","value":"hunter2"}]', None),
        ('{"text":"{\\"password\\":\\"hunter2\\"}"}', None),
        ("Authorization: Basic aHVudGVyMg==", None),
        ("connecting to ftp://edged:hunter2@files.example/x", "connecting to ftp://***@files.example/x"),
        ("to ftp://edged:hu'nter@2@files.example/x", "to ftp://***@files.example/x"),
        ("see http://files.example/x?mail=me@example", "see http://files.example/x?mail=me@example"),
        ("INFO logging in with password: hunter2 now", "INFO logging in with password: *** now"),
        ("got {'token': 'hunter2', 'a': 1}", "got {'token': ***, 'a': 1}"),
        ("keyboard: de\nmonkeys: 3", "keyboard: de\nmonkeys: 3"),
        ("INFO the password was changed", "INFO the password was changed"),
    ],
)
def test_what_is_called_a_secret_is_hidden(text, shown):
    found = redact(text, [])
    assert "hunter" not in found
    assert "aHVudGVyMg" not in found
    if shown is not None:
        assert found == shown


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "])
def test_private_keys_are_hidden_and_certificates_are_not(kind):
    key = f"-----BEGIN {kind}PRIVATE KEY-----\nMIIhunter\n-----END {kind}PRIVATE KEY-----"
    certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
    assert redact(f"a\n{key}\n{certificate}", []) == f"a\n*** (a private key)\n{certificate}"
    assert "hunter" not in redact(json.dumps(key), [])
    assert "hunter" not in redact(key[:50], [])


@pytest.mark.parametrize(
    "piece", ["a", '"', "\\", "key", '"key":', "password", "://", "%", " ", "-----BEGIN PRIVATE KEY"]
)
def test_hostile_text_takes_no_longer_than_other_text(piece):
    begun = time.process_time()
    redact(piece * (300_000 // len(piece)), ["a secret"])
    assert time.process_time() - begun < 5
