"""What is said of the broker and of lines that others can listen to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edged.cli.doctor.broker import BrokerFacts, BrokerVisit, judge
from edged.cli.doctor.finding import Level
from edged.cli.doctor.network import Trouble
from edged.cli.doctor.trust import TlsLook
from edged.csms.failure import FailureKind
from tests.cli.doctor.judged import PAGE, bad, only

VISIT = BrokerVisit(version="5", status="online")
WELL = BrokerFacts(
    host="broker.example.com",
    port=1883,
    secure=False,
    prefix="edged/v1/gw1",
    page=PAGE,
    now=datetime(2026, 8, 22, tzinfo=UTC),
    username="edged",
    visit=VISIT,
)


def test_a_broker_that_lets_us_in_is_all_right():
    assert bad(judge(WELL)) == []
    assert bad(judge(replace(WELL, daemon_runs=True, daemon_connected=True))) == []


def test_a_site_without_a_broker_is_all_right():
    assert bad(judge(None)) == []


@pytest.mark.parametrize(
    ("visit", "words", "command"),
    [
        (BrokerVisit(trouble=Trouble.REFUSED), "nothing listens at broker.example.com:1883", "line 13: write its port"),
        (BrokerVisit(trouble=Trouble.SILENT, reason="no answer"), "cannot be reached (no answer)", "nc -vz"),
        (BrokerVisit(trouble=Trouble.NAME, reason="x"), "leads nowhere", "--only network"),
        (BrokerVisit(refused=0x86, reason="Bad user name or password"), "the user edged", "mosquitto_passwd"),
        (BrokerVisit(refused=0x87, reason="Not authorized"), "Not authorized", "mosquitto_passwd"),
        (BrokerVisit(refused=0x84, reason="x"), "version of MQTT", "protocol: auto"),
        (BrokerVisit(refused=0x8A, reason="Banned"), "has banned", "journalctl -u mosquitto"),
        (BrokerVisit(refused=0x97, reason="Quota exceeded"), "Quota exceeded", "journalctl -u mosquitto"),
        (BrokerVisit(lost="closed before CONNACK"), "does it want TLS?", "write mqtts://"),
        (
            replace(VISIT, may_not=(("say anything at edged/v1/gw1", "Not authorized"),)),
            "does not let edged say anything",
            "topic readwrite edged/v1/gw1/#",
        ),
        (
            BrokerVisit(tls=TlsLook(kind=FailureKind.CERTIFICATE, verdict=18)),
            "signed by itself",
            "mqtt-ca.pem under mqtt",
        ),
    ],
)
def test_each_trouble_of_the_broker_has_its_command(visit, words, command):
    only(judge(replace(WELL, visit=visit)), Level.FAILED, words, command=command)


def test_a_broker_on_this_computer_is_to_be_started():
    facts = replace(WELL, host="127.0.0.1", visit=BrokerVisit(trouble=Trouble.REFUSED))
    only(judge(facts), Level.FAILED, "nothing listens", command="systemctl restart mosquitto")


def test_a_broker_that_hangs_up_on_tls_may_want_a_certificate():
    lost = replace(WELL, secure=True, visit=BrokerVisit(lost="closed"))
    only(judge(lost), Level.FAILED, "client certificate?", command="client_certificate:")
    only(judge(replace(lost, has_certificate=True)), Level.FAILED, "our certificate", command="journalctl")


def test_without_a_user_name_one_is_to_be_written():
    facts = replace(WELL, username=None, visit=BrokerVisit(refused=0x87, reason="x"))
    only(judge(facts), Level.FAILED, "without a user name", command="write username:")


def test_rights_that_could_not_be_tried_are_notes():
    only(judge(replace(WELL, visit=BrokerVisit(refused=0x85, reason="x"))), Level.NOTE, "no client id")
    only(judge(replace(WELL, visit=BrokerVisit(not_asked="this user may not"))), Level.NOTE, "this user may not")


def test_a_connected_daemon_of_which_nothing_is_read_has_no_right_to_read():
    facts = replace(WELL, daemon_runs=True, daemon_connected=True, visit=replace(VISIT, status=None))
    only(judge(facts), Level.WARNING, "nothing can be read at edged/v1/gw1", command="topic readwrite")


def test_a_daemon_that_is_not_connected_to_a_broker_that_is_there_is_a_failure():
    facts = replace(WELL, daemon_runs=True, daemon_connected=False)
    only(judge(facts), Level.FAILED, "is not connected", command="journalctl -u edged")
