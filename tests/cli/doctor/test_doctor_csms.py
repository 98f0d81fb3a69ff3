"""What is said of the way to a CSMS, by how far one came."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edged.cli.doctor.csms import CsmsVisit, HttpAnswer, StationFacts, comparisons, judge
from edged.cli.doctor.finding import Level
from edged.cli.doctor.network import Trouble
from edged.cli.doctor.trust import Certificate, TlsLook, certificate_of
from edged.csms.failure import FailureKind
from tests.cli.doctor.judged import PAGE, bad, has, only

NOW = datetime(2026, 8, 22, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)
LEAF = Certificate(
    subject="csms.example.com",
    issuer="Example CA",
    names=("csms.example.com", "www.example.com"),
    begins=NOW - 60 * DAY,
    ends=NOW + 60 * DAY,
)
GOOD = TlsLook(version="TLSv1.3", cipher="X", chain=(LEAF,))
ACCEPTED = HttpAnswer(status=101, subprotocol="ocpp1.6")
VISIT = CsmsVisit(host="csms.example.com", port=443, address="192.0.2.1", tls=GOOD, http=ACCEPTED, answered_at=NOW)
STATION = StationFacts(
    id="DEPOT-7",
    url="wss://csms.example.com/ocpp",
    security_profile=2,
    versions=("ocpp2.0.1", "ocpp1.6"),
    page=PAGE,
    now=NOW,
    visit=VISIT,
    credential="csms-password",
)


def refused(verdict: int, *chain: Certificate, kind: FailureKind = FailureKind.CERTIFICATE) -> StationFacts:
    look = TlsLook(kind=kind, verdict=verdict, reason="openssl's words", chain=chain or (LEAF,))
    return replace(STATION, visit=replace(VISIT, tls=look, http=None))


def answered(status: int | None, **more: object) -> StationFacts:
    return replace(STATION, visit=replace(VISIT, http=HttpAnswer(status=status, **more)))  # type: ignore[arg-type]


def test_a_csms_that_lets_the_station_in_is_all_right():
    found = judge((STATION,))
    assert bad(found) == []
    assert has(found, Level.OK, "TLSv1.3 with the CSMS", "from Example CA, until 2026-10-21 (60 days)")
    assert has(found, Level.OK, "lets DEPOT-7 in (ocpp1.6, security profile 2)")


@pytest.mark.parametrize(
    ("facts", "words", "command"),
    [
        (
            refused(10, replace(LEAF, ends=NOW - 3 * DAY)),
            ("expired on 2026-08-19: its operator has to renew it", "clock says 2026-08-22 10:00"),
            "openssl s_client -connect csms.example.com:443",
        ),
        (
            refused(10, LEAF, replace(LEAF, subject="Example CA", ends=NOW - DAY)),
            ("the certificate of Example CA behind it has expired on 2026-08-21",),
            "openssl",
        ),
        (refused(10), ("or that of its authority, has expired",), "openssl"),
        (
            refused(9, replace(LEAF, begins=NOW + 3 * DAY)),
            ("valid only from 2026-08-25 on", "clock says 2026-08-22"),
            "timedatectl set-ntp true",
        ),
        (refused(18, replace(LEAF, issuer="csms.example.com")), ("signed by itself",), "line 10: write ca_file: "),
        (
            refused(20),
            ("comes from Example CA, which is none of this computer's", "shows its own certificate alone"),
            "line 10: write ca_file: /etc/edged/csms-ca.pem under csms",
        ),
        (replace(refused(19, LEAF, LEAF), ca_file="/x.pem"), ("which is none in /x.pem",), "write ca_file"),
        (refused(66), ("too weak",), "openssl"),
        (refused(77), ("openssl's words",), "openssl"),
        (
            refused(62, kind=FailureKind.OTHER_HOST),
            ("not for csms.example.com: it is for csms.example.com, www.example.com",),
            "line 10: write a name",
        ),
        (refused(0, kind=FailureKind.TLS_VERSION), ("no TLS from 1.2 on",), "-tls1_2"),
        (refused(0, kind=FailureKind.TLS_CIPHER), ("no cipher suite",), "openssl"),
        (refused(0, kind=FailureKind.CLIENT_CERTIFICATE), ("client certificate",), "client_certificate:"),
        (refused(0, kind=FailureKind.CLIENT_FILE), ("openssl's words",), "two PEM files"),
        (refused(0, kind=FailureKind.CA_FILE), ("openssl's words",), "PEM certificates"),
        (refused(0, kind=FailureKind.TIMEOUT), ("does not answer to TLS",), "openssl"),
        (refused(0, kind=FailureKind.NETWORK), ("hangs up during the TLS handshake",), "openssl"),
        (refused(0, kind=FailureKind.TLS), ("TLS with the CSMS failed (openssl's words)",), "openssl"),
    ],
)
def test_each_reason_of_tls_is_told_in_words_with_what_mends_it(facts, words, command):
    only(judge((facts,)), Level.FAILED, *words, command=command)


def test_a_port_without_tls_is_recognized():
    look = TlsLook(kind=FailureKind.TLS, reason="WRONG_VERSION_NUMBER")
    facts = replace(STATION, visit=replace(VISIT, tls=look, http=None))
    only(judge((facts,)), Level.FAILED, "does not speak TLS", command="line 10: write the port")


def test_the_clocks_part_in_an_expiry_is_told_where_nobody_has_confirmed_it():
    facts = replace(refused(10, replace(LEAF, ends=NOW - DAY)), clock_known=False)
    only(judge((facts,)), Level.FAILED, "and nobody has confirmed that", command="timedatectl set-ntp true")


def test_a_root_that_the_csms_has_installed_is_not_held_against_it():
    facts = replace(refused(20), runs=True, told={"connected": True, "version": "ocpp1.6"})
    only(judge((facts,)), Level.NOTE, "the running edged trusts it all the same")


@pytest.mark.parametrize(("days", "notes"), [(29, 1), (31, 0)])
def test_a_certificate_that_ends_soon_is_a_note(days, notes):
    chain = (replace(LEAF, ends=NOW + days * DAY + timedelta(hours=1)),)
    found = bad(judge((replace(STATION, visit=replace(VISIT, tls=replace(GOOD, chain=chain))),)))
    assert [each.level for each in found] == [Level.NOTE] * notes
    assert not notes or f"in {days} days" in found[0].sentence


@pytest.mark.parametrize(
    ("facts", "words", "command"),
    [
        (
            answered(401),
            ("refuses the identity DEPOT-7 or its password (HTTP 401)",),
            "cat > /etc/edged/credentials/csms-password",
        ),
        (answered(403), ("HTTP 403",), "csms-password"),
        (replace(answered(401), credential=""), ("HTTP 401",), "line 11: write the password"),
        (replace(answered(401), security_profile=3), ("HTTP 401",), "line 8: write the right id"),
        (answered(404), ("does not know DEPOT-7 at this address",), "line 10: write the path"),
        (
            answered(301, location="wss://new.example.com/\x1b[2J"),
            ("points elsewhere",),
            "write wss://new.example.com/?[2J",
        ),
        (answered(302), ("points elsewhere",), "the address that its operator names"),
        (answered(400), ("ocpp2.0.1, ocpp1.6",), "under versions:"),
        (answered(426), ("proxy",), "for WebSockets"),
        (answered(503), ("an error of its own (HTTP 503)",), "journalctl"),
        (answered(418), ("HTTP 418",), "line 10"),
        (answered(200), ("HTTP 200",), "line 10"),
        (
            answered(None, problem="it does not speak HTTP"),
            ("is no CSMS: it does not speak HTTP",),
            "ws:// is without TLS",
        ),
        (
            answered(None, problem="it hangs up", kind=FailureKind.NETWORK),
            ("hangs up behind the TLS handshake", "wants a certificate of the station (security profile 3)"),
            "client_certificate: and security_profile: 3",
        ),
        (
            replace(answered(None, problem="it hangs up", kind=FailureKind.NETWORK), security_profile=1),
            ("is no CSMS: it hangs up",),
            "ws:// is without TLS",
        ),
        (
            answered(None, kind=FailureKind.CLIENT_CERTIFICATE),
            ("refuses the station's client certificate",),
            "client_certificate:",
        ),
        (answered(101, sound=False), ("no WebSocket server",), "line 10"),
        (answered(101), ("speaks none of the versions", "chose none"), "under versions:"),
        (answered(101, subprotocol="ocpp2.1"), ("chose ocpp2.1",), "under versions:"),
    ],
)
def test_each_answer_to_the_handshake_is_told_in_words_with_what_mends_it(facts, words, command):
    only(judge((facts,)), Level.FAILED, *words, command=command)


def test_of_a_refused_password_it_is_told_that_the_csms_may_have_set_another():
    facts = replace(answered(401), runs=True, told={"connected": False, "reason": "HTTP 401"})
    only(judge((facts,)), Level.FAILED, "may have set another password than the file's since")


@pytest.mark.parametrize(
    ("trouble", "words", "command"),
    [
        (Trouble.REFUSED, "refuses connections", "line 10: write the right port"),
        (Trouble.NO_ROUTE, "no way to csms.example.com:443", "ip route get 192.0.2.1"),
        (Trouble.SILENT, "does not answer", "nc -vz -w 5 csms.example.com 443"),
        (Trouble.HUNG_UP, "cannot be reached", "nc"),
        (Trouble.NAME, "leads nowhere", "--only network"),
    ],
)
def test_each_way_not_to_connect_has_its_command(trouble, words, command):
    facts = replace(STATION, visit=replace(VISIT, trouble=trouble, tls=None, http=None))
    only(judge((facts,)), Level.FAILED, words, command=command)


def test_a_running_daemons_line_is_told_and_no_second_one_opened():
    told = {"connected": True, "version": "ocpp1.6", "registration": "Accepted"}
    facts = replace(STATION, runs=True, told=told, visit=replace(VISIT, http=None, not_asked="edged is connected"))
    found = judge((facts,))
    assert bad(found) == []
    assert has(found, Level.OK, "edged is connected (ocpp1.6, security profile 2)")


@pytest.mark.parametrize("registration", ["Pending", "Rejected"])
def test_a_station_that_was_not_taken_in_is_a_warning(registration):
    facts = replace(STATION, runs=True, told={"connected": True, "registration": registration}, visit=None)
    only(judge((facts,)), Level.WARNING, f"has not taken the station in ({registration.lower()})")


def test_a_daemon_without_a_line_says_why_where_nothing_else_does():
    facts = replace(STATION, runs=True, told={"connected": False, "reason": "closed by the CSMS (1008)"}, queued=3)
    found = bad(judge((facts,)))
    assert has(found, Level.FAILED, "closed by the CSMS (1008)", command="journalctl")
    assert has(found, Level.NOTE, "3 messages wait")


def test_a_handshake_that_was_not_tried_is_a_note_where_nobody_is_connected():
    facts = replace(STATION, visit=replace(VISIT, http=None, not_asked="this user may not read the password"))
    only(judge((facts,)), Level.NOTE, "may not read the password", command="sudo edged doctor")


def test_a_station_whose_settings_cannot_be_tried_says_which():
    facts = replace(STATION, visit=None, problem="security profile 2 needs a password")
    only(judge((facts,)), Level.FAILED, "needs a password", command="line 10")


@pytest.mark.parametrize(("days", "level"), [(-1, Level.FAILED), (10, Level.WARNING)])
def test_the_stations_own_certificate_ends_too(days, level):
    only(judge((replace(STATION, own_certificate_ends=NOW + days * DAY),)), level, "own certificate")
    assert bad(judge((replace(STATION, own_certificate_ends=NOW + 90 * DAY),))) == []


def test_the_time_in_an_answer_is_compared_once_for_each_host():
    http = HttpAnswer(status=401, date="Sat, 22 Aug 2026 09:59:00 GMT")
    facts = replace(STATION, visit=replace(VISIT, http=http))
    found = comparisons((facts, replace(facts, id="DEPOT-8")))
    assert [(each.whose, each.ahead_s) for each in found] == [("csms.example.com", 60.0)]


@pytest.mark.parametrize("date", ["", "yesterday", "Sat, 99 Foo 2026 09:59:00 GMT", "\x00"])
def test_a_time_that_is_none_is_passed_over(date):
    facts = replace(STATION, visit=replace(VISIT, http=HttpAnswer(status=401, date=date)))
    assert comparisons((facts,)) == ()


def test_a_certificate_is_read_from_what_python_tells_of_it():
    told = {
        "subject": ((("organizationName", "Example Energy"),), (("commonName", "a\x1bb"),)),
        "issuer": ((("commonName", "Example Energy Root"), ("organizationName", "Example Energy")),),
        "notBefore": "Aug 22 10:00:00 2026 GMT",
        "notAfter": "never",
        "subjectAltName": (("DNS", "a.example.com"), ("IP Address", "192.0.2.1")),
    }
    found = certificate_of(told)
    assert (found.subject, found.issuer) == ("a?b (Example Energy)", "Example Energy Root")
    assert (found.begins, found.ends) == (NOW, None)
    assert found.names == ("a.example.com", "192.0.2.1")


@pytest.mark.parametrize(
    "told", [{}, {"subject": 7, "issuer": ((("x",),),), "subjectAltName": "odd", "notAfter": None}]
)
def test_a_certificate_of_another_shape_is_nobodys(told):
    assert certificate_of(told).subject == "nobody"
