"""What is said of secrets that lie about, and of lines that others can listen to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edged.cli.doctor.finding import Level
from edged.cli.doctor.network import is_public
from edged.cli.doctor.places import Page
from edged.cli.doctor.security import Line, SecurityFacts, judge, literal_passwords
from tests.cli.doctor.judged import PAGE, bad, only

SECRET = "correct-horse-battery"
LITERAL = Page(Path("/etc/edged/edged.yaml"), ("stations:", f"  password: {SECRET}"))
LINE = Line(
    subject="DEPOT-7", host="csms.example.com", addresses=("1.1.1.1",), key="ws://", profile=1, has_password=True
)
WELL = SecurityFacts(page=PAGE, mode=0o644)


def test_a_site_without_secrets_in_its_file_is_all_right():
    assert bad(judge(WELL)) == []


@pytest.mark.parametrize(
    ("mode", "level", "command"),
    [
        (0o644, Level.WARNING, "chmod 640 /etc/edged/edged.yaml"),
        (0o640, Level.NOTE, "sudo nano +2 /etc/edged/edged.yaml"),
    ],
)
def test_a_password_in_the_file_is_told_by_its_line_and_never_repeated(mode, level, command):
    found = only(judge(SecurityFacts(page=LITERAL, mode=mode)), level, "line 2", command=command)
    assert SECRET not in f"{found}"


@pytest.mark.parametrize(
    ("line", "is_literal"),
    [
        ("password: x", True),
        ("  - csms: {url: ws://x, password: x}", True),
        ('"password": "x"', True),
        ("password: ${credential:a}", False),
        ("password: ${env:A}", False),
        ("# password: x", False),
        ("password:", False),
        ("password: null", False),
        ("password_encoding: hex", False),
        ("my_password: x", False),
    ],
)
def test_a_literal_password_is_told_from_a_reference(line, is_literal):
    assert literal_passwords((line,)) == ((1,) if is_literal else ())


@pytest.mark.parametrize(
    ("line", "level", "words"),
    [
        (LINE, Level.WARNING, "the password and all that is said goes to csms.example.com without TLS"),
        (replace(LINE, has_password=False, profile=0), Level.WARNING, "(security profile 0)"),
        (replace(LINE, addresses=()), Level.WARNING, "is not known"),
        (replace(LINE, addresses=("10.0.0.5",)), Level.NOTE, "whoever is in this network"),
        (replace(LINE, addresses=("10.0.0.5",), has_password=False), None, ""),
        (replace(LINE, addresses=("127.0.0.1", "::1")), None, ""),
        (replace(LINE, profile=None), Level.WARNING, "without TLS, and"),
    ],
)
def test_a_line_without_tls_is_judged_by_where_it_leads(line, level, words):
    facts = replace(WELL, lines=(line,))
    if level is None:
        assert bad(judge(facts)) == []
    else:
        only(judge(facts), level, words, command="write mqtts://" if line.profile is None else "write wss://")


@pytest.mark.parametrize(
    ("addresses", "public"),
    [
        (("192.168.1.4",), False),
        (("fe80::1%eth0",), False),
        (("10.1.1.1", "8.8.8.8"), True),
        (("nonsense",), True),
        ((), False),
    ],
)
def test_a_public_address_is_one_outside_of_the_site(addresses, public):
    assert is_public(addresses) is public
