"""`start_transaction`: what stood in the way is told in a word and a sentence, and the CSMS is answered the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edged.dialects.v16 import Ocpp16
from edged.dialects.v201 import Ocpp201
from edged.domain.answers import TokenVerdict
from edged.domain.commands import ResetKind, ResetStation
from edged.domain.effects import Announce, Reply
from edged.domain.hardware import ChargerState
from edged.domain.types import AuthorizationStatus, RequestRef
from edged.mqtt.commands import Command, Origin, Problem, parse_request, reply_body
from edged.mqtt.conversion import Ask, encode_result, interpret
from edged.mqtt.documents import dump
from edged.mqtt.events import happenings
from edged.mqtt.names import Names
from edged.mqtt.topics import Shown
from tests.fakes.site import POLICY, Site

HERE = RequestRef("mqtt:bms-op", "1", "start_transaction")
REPLY = "edged/v1/gw1/rpc/bms-op/reply/start_transaction"
V16, V201 = Ocpp16(), Ocpp201()


def start(site: Site, contract: Any, token: str = "BOB", connector: int = 1) -> Any:
    """The result, or the error, that the BMS reads; `site` has gone on."""
    raw = json.dumps({"id": "1", "args": {"connector": connector, "id_token": token}}).encode()
    command = parse_request(raw, Origin(actor="bms-op", command="start_transaction"), site.now)
    assert isinstance(command, Command), command
    stations = {site.station.identity.id: site.station}
    outcome = interpret(command, HERE, stations=stations, shown=lambda _: Shown(names=Names("edged", "gw1")))
    if isinstance(outcome, Ask):
        site.do(outcome.event)
        outcome = encode_result(site.reply())
    assert isinstance(outcome, dict | Problem)
    body = reply_body(command.envelope, outcome)
    contract.check(REPLY, dump({"v": 1, "ts": "2026-08-22T10:00:00.000Z", **body}))
    return body["result"] if body["ok"] else body["error"]


def occupied(site: Site) -> None:
    site.start(1, "ALICE")


def let_in(site: Site) -> None:
    assert site.remote_start("ALICE", 1) == "Accepted"


def being_judged(site: Site) -> None:
    site.show("ALICE", 1)


TROUBLES: list[tuple[Callable[[Site], Any], str, str]] = [
    (lambda site: site.reserve(7, "ALICE", 1), "Reserved", "reserved for somebody else"),
    (occupied, "Occupied", "another driver is there"),
    (let_in, "Occupied", "another driver is there"),
    (being_judged, "Occupied", "another driver is there"),
    (lambda site: site.look(1, ChargerState.FAULTED), "Faulted", "the connector is faulted"),
    (lambda site: site.available(1, False), "Unavailable", "the connector is out of service"),
    (lambda site: site.available(0, False), "Unavailable", "the connector is out of service"),
    (lambda site: site.lose(1), "Offline", "the charger does not answer"),
    (lambda site: site.unlock(1), "Busy", "an unlock or a reset is under way"),
]
NAMES = [
    "reserved",
    "occupied",
    "let in",
    "being judged",
    "faulted",
    "out of service",
    "station out of service",
    "silent",
    "unlocking",
]


@pytest.mark.parametrize(("trouble", "reason", "info"), TROUBLES, ids=NAMES)
def test_a_start_that_is_refused_says_why_in_a_word_and_a_sentence(
    contract: Any, trouble: Callable[[Site], Any], reason: str, info: str
) -> None:
    site = Site.build(2)
    trouble(site)
    before = site.station
    assert start(site, contract) == {"status": "Rejected", "reason": reason, "info": info}
    assert not happenings(before, site.station, site.effects, slug="cs1", source=HERE.channel), "the reply says it"


@pytest.mark.parametrize(("trouble", "reason", "info"), TROUBLES, ids=NAMES)
def test_the_csms_is_answered_as_local_people_are(
    contract: Any, trouble: Callable[[Site], Any], reason: str, info: str
) -> None:
    site = Site.build(2)
    trouble(site)
    site.remote_start("BOB", 1)
    assert V16.encode_reply(_named(site.reply(), "RemoteStartTransaction"), site.station) == {"status": "Rejected"}
    told = V201.encode_reply(_named(site.reply(), "RequestStartTransaction"), site.station)
    assert isinstance(told, dict)
    assert (told["status"], told["statusInfo"]["additionalInfo"]) == ("Rejected", info)
    assert told["statusInfo"]["reasonCode"] in ("Unspecified", "TxInProgress"), "only codes that 2.0.1 has"
    assert (reason == "Occupied") or told["statusInfo"]["reasonCode"] == "Unspecified"
    assert not site.of(Announce), "no event: nobody stands there and was turned away"


def _named(reply: Reply, action: str) -> Reply:
    return Reply(RequestRef("csms", "1", action), reply.status, reply.detail, reply.data, reply.reason)


def test_a_start_at_no_connector_is_no_answer_of_the_stations(contract: Any) -> None:
    error = start(Site.build(2), contract, connector=3)
    assert (error["code"], error["details"]) == ("not_found", {"connectors": [1, 2]})


def test_a_start_while_the_station_restarts_may_be_tried_again(contract: Any) -> None:
    site = Site.build(2)
    site.do(ResetStation(site.ref("Reset"), ResetKind.SOFT))
    assert start(site, contract)["reason"] == "Busy"


def test_a_token_that_no_version_can_carry_is_named_as_the_reason(contract: Any) -> None:
    assert (
        start(Site.build(2, policy=replace(POLICY, id_token_max_chars=20)), contract, "T" * 21)["reason"]
        == "InvalidIdToken"
    )


def test_a_blocked_token_is_accepted_and_turned_away_by_an_event(contract: Any) -> None:
    """As for the CSMS: Accepted says that it is tried. The token is judged behind the answer (1.6 5.11)."""
    site = Site.build(2, configuration={"AuthorizeRemoteTxRequests": "true"})
    assert start(site, contract) == {"status": "Accepted"}
    site.refuse(AuthorizationStatus.BLOCKED)
    (rejected,) = [effect for effect in site.of(Announce) if effect.kind == "transaction.rejected"]
    assert (rejected.connector, rejected.data["reason"]) == (1, TokenVerdict.REFUSED)


def test_whom_the_reservation_is_for_may_start(contract: Any) -> None:
    site = Site.build(2)
    site.reserve(7, "BOB", 1)
    assert start(site, contract) == {"status": "Accepted"}
