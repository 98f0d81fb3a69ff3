"""Remote start and stop as 2.x asks for them: by EVSE, with a group, with an id of their own. 2.0.1 F01 to F04."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.domain.answers import Reason
from edged.domain.commands import RequestStart, RequestStop
from edged.domain.effects import AskAuthorization, RecordKind, Reply, StopReason
from edged.domain.events import Registration, TokenAnswered
from edged.domain.hardware import Fault, FaultCode
from edged.domain.policy import ReservationUse, StartPoint, StopPoint, Trigger
from edged.domain.station import ListedToken
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, TokenKind
from tests.fakes.site import POLICY, Site, layout

CARD = IdToken("ALICE", TokenKind.ISO14443)
FAMILY = IdToken("FAMILY", TokenKind.CENTRAL)
YES = IdTokenInfo(AuthorizationStatus.ACCEPTED)
POLICY_2 = replace(
    POLICY,
    reservation_used=ReservationUse.TOKEN_AUTHORIZED,
    update_triggers=frozenset(Trigger),
    unasked_kinds=frozenset({TokenKind.CENTRAL}),
)
BY_PLUG = replace(POLICY_2, start_points=frozenset({StartPoint.EV_CONNECTED}))
LATER = tuple(layout(number, evse_id=10 * number) for number in (1, 2, 3))
"""EVSEs whose numbers are not those of their connectors."""


def build(**shape: Any) -> Site:
    return Site.build(**{"policy": POLICY_2, "connectors": 2, **shape})


def start(site: Site, evse: int | None = None, token: IdToken = CARD, **more: Any) -> Reply:
    request = site.ref("RequestStartTransaction")
    fields = {"group_told": True, "remote_start_id": 7, **more}
    site.do(RequestStart(request=request, id_token=token, evse=evse, **fields))
    return next(reply for reply in site.of(Reply) if reply.request == request)


def let_in(site: Site, connector: int) -> bool:
    waiting = site.connector(connector).authorization
    return waiting is not None and waiting.remote and waiting.remote_start_id == 7


# --- where


@pytest.mark.req("F01.FR.01", "F01.FR.02")
@pytest.mark.parametrize(("evse", "connector"), [(10, 1), (30, 3)])
def test_a_place_is_named_by_its_evse_and_not_by_a_connectors_number(evse: int, connector: int) -> None:
    site = build(layouts=LATER)
    assert start(site, evse).status == "Accepted"
    assert let_in(site, connector)


@pytest.mark.parametrize("evse", [0, 1, 4])
def test_an_evse_that_does_not_exist_is_rejected(evse: int) -> None:
    site = build(layouts=LATER)
    reply = start(site, evse)
    assert (reply.status, reply.reason) == ("Rejected", Reason.UNKNOWN_EVSE)


def test_of_an_evse_with_two_connectors_the_one_with_the_car_is_taken() -> None:
    site = build(layouts=(layout(1, evse_id=1), layout(2, evse_id=1, connector_id=2, charger="charger-1")))
    site.plug(2)
    start(site, 1)
    assert site.station.running(2) is not None


@pytest.mark.req("F01.FR.07", "F01.FR.20", "F02.FR.15")
def test_without_an_evse_the_station_chooses_the_car_that_waits() -> None:
    site = build(connectors=3)
    site.plug(3)
    assert start(site).status == "Accepted"
    assert site.station.running(3) is not None


@pytest.mark.req("F01.FR.06")
def test_without_an_evse_and_without_a_free_one_it_is_rejected() -> None:
    site = build(connectors=1)
    site.start(1, "BOB")
    assert start(site).status == "Rejected"


# --- answer first, then act


@pytest.mark.req("F01.FR.13", "F01.FR.19", "F01.FR.25", "C05.FR.03", "C05.FR.05")
def test_a_transaction_that_runs_without_a_driver_is_named_in_the_answer_and_gets_its_driver() -> None:
    site = build(policy=BY_PLUG)
    site.plug(1)
    running = site.station.running(1)
    assert running is not None and running.id_token is None
    reply = start(site, 1)
    assert (reply.status, reply.data) == ("Accepted", running.id)
    update = site.records(RecordKind.UPDATED)[-1]
    assert (update.trigger, update.remote_start_id, update.id_token) == (Trigger.REMOTE_START, 7, CARD)
    assert isinstance(site.effects[0], Reply)


@pytest.mark.req("F02.FR.01", "F02.FR.05", "F02.FR.21")
def test_a_start_before_the_plug_is_named_when_the_transaction_starts() -> None:
    site = build()
    assert start(site, 1).data is None
    site.plug(1)
    (record,) = site.records(RecordKind.STARTED)
    assert (record.trigger, record.remote_start_id, record.id_token) == (Trigger.REMOTE_START, 7, CARD)


@pytest.mark.req("F01.FR.01", "F02.FR.09")
@pytest.mark.parametrize("status", AuthorizationStatus)
def test_with_its_key_a_start_is_authorized_first(status: AuthorizationStatus) -> None:
    site = build(configuration={"AuthorizeRemoteTxRequests": "true"})
    site.plug(1)
    assert start(site, 1).status == "Accepted"
    assert len(site.of(AskAuthorization)) == 1
    site.do(TokenAnswered(site.question(), IdTokenInfo(status)))
    assert (site.station.running(1) is not None) is (status is AuthorizationStatus.ACCEPTED)


@pytest.mark.req("C05.FR.01", "C05.FR.02")
def test_a_central_id_is_not_asked_about_even_then() -> None:
    site = build(configuration={"AuthorizeRemoteTxRequests": "true"})
    site.plug(1)
    start(site, 1, IdToken("X", TokenKind.CENTRAL))
    assert not site.of(AskAuthorization) and site.station.running(1) is not None


# --- refusals


@pytest.mark.req("F01.FR.24", "F02.FR.26")
def test_an_evse_with_an_authorized_transaction_is_rejected() -> None:
    site = build()
    site.start(1, "BOB")
    reply = start(site, 1)
    assert (reply.status, reply.reason) == ("Rejected", Reason.TX_IN_PROGRESS)


@pytest.mark.req("F01.FR.23", "F02.FR.25")
@pytest.mark.parametrize("trouble", ["out of service", "faulted"])
def test_an_evse_that_is_not_in_order_is_rejected(trouble: str) -> None:
    site = build()
    if trouble == "faulted":
        site.look(1, site.connector(1).state, faults=(Fault(FaultCode.OTHER),))
    else:
        site.available(1, False)
    assert start(site, 1).status == "Rejected"
    assert start(site, 2).status == "Accepted"


@pytest.mark.req("F01.FR.21", "F01.FR.22", "F02.FR.23", "F02.FR.24")
@pytest.mark.parametrize(
    ("reserved", "token", "group", "expected"),
    [
        (None, "ALICE", None, "Accepted"),
        (None, "BOB", None, "Rejected"),
        (None, "BOB", FAMILY, "Rejected"),
        ("FAMILY", "ALICE", None, "Accepted"),
        ("FAMILY", "BOB", FAMILY, "Accepted"),
        ("FAMILY", "BOB", IdToken("OTHERS", TokenKind.CENTRAL), "Rejected"),
        ("FAMILY", "BOB", None, "Rejected"),
    ],
)
def test_a_reserved_evse_is_for_its_token_and_its_group_alone(
    reserved: str | None, token: str, group: IdToken | None, expected: str
) -> None:
    site = build(connectors=1)
    site.reserve(5, "ALICE", 1, group=reserved)
    reply = start(site, 1, IdToken(token, TokenKind.ISO14443), group=group)
    assert reply.status == expected
    assert not site.of(AskAuthorization), "nobody is asked for a group that the request does not name"
    assert (5 in site.station.reservations) is (expected == "Rejected")


def test_the_group_of_the_request_holds_also_after_the_csms_was_asked() -> None:
    site = build(connectors=1, configuration={"AuthorizeRemoteTxRequests": "true"})
    site.reserve(5, "MUM", 1, group="FAMILY")
    assert start(site, 1, group=FAMILY).status == "Accepted"
    site.do(TokenAnswered(site.question(), YES))
    waiting = site.connector(1).authorization
    assert waiting is not None and (waiting.group, waiting.reservation_id) == (FAMILY, 5)


def test_a_place_that_was_reserved_for_the_group_meanwhile_is_the_drivers() -> None:
    site = build(connectors=1, configuration={"AuthorizeRemoteTxRequests": "true"})
    start(site, 1)
    question = site.question()
    site.reserve(5, "MUM", 1, group="FAMILY")
    assert site.reply().status == "Accepted"
    site.do(TokenAnswered(question, replace(YES, group=FAMILY)))
    waiting = site.connector(1).authorization
    assert waiting is not None and waiting.reservation_id == 5


def test_the_station_does_not_choose_a_place_of_a_group_that_the_request_does_not_name() -> None:
    site = build()
    site.reserve(5, "MUM", 1, group="FAMILY")
    listed = ListedToken(CARD, replace(YES, group=FAMILY))
    site.station = replace(site.station, local_list={CARD.key: listed})
    assert start(site).status == "Accepted"
    assert let_in(site, 2)


@pytest.mark.req("F01.FR.26", "F02.FR.27")
def test_a_profile_that_the_dialect_cannot_accept_is_rejected() -> None:
    reply = start(build(), 1, acceptable=False)
    assert (reply.status, reply.reason) == ("Rejected", Reason.INVALID_PROFILE)


@pytest.mark.req("B02.FR.05")
@pytest.mark.parametrize("registration", [Registration.PENDING, Registration.REJECTED, Registration.NONE])
def test_a_csms_that_has_not_accepted_the_station_starts_and_stops_nothing(registration: Registration) -> None:
    site = build()
    site.start(2, "BOB")
    running = site.station.running(2)
    assert running is not None
    site.station = replace(site.station, link=replace(site.station.link, registration=registration))
    reply = start(site, 1)
    assert (reply.status, reply.reason) == ("Rejected", Reason.CS_NOT_ACCEPTED)
    site.do(RequestStop(request=site.ref(), transaction_id=running.id))
    assert (site.reply().status, site.reply().reason) == ("Rejected", Reason.CS_NOT_ACCEPTED)


# --- stop


@pytest.mark.req("F03.FR.07", "F03.FR.03")
def test_a_transaction_is_stopped_by_its_id() -> None:
    site = build()
    site.start(1)
    site.start(2, "BOB")
    running = site.station.running(2)
    assert running is not None
    site.do(RequestStop(request=site.ref(), transaction_id=running.id))
    assert site.reply().status == "Accepted"
    (record,) = site.records(RecordKind.ENDED)
    assert (record.transaction_id, record.reason, record.trigger) == (
        running.id,
        StopReason.REMOTE,
        Trigger.REMOTE_STOP,
    )


@pytest.mark.req("F03.FR.08")
@pytest.mark.parametrize("name", ["nobody's", "over"])
def test_what_is_not_running_is_not_stopped(name: str) -> None:
    site = build()
    site.start(1)
    running = site.station.running(1)
    assert running is not None
    if name == "over":
        site.show("ALICE", 1)
    site.do(RequestStop(request=site.ref(), transaction_id=running.id if name == "over" else name))
    assert (site.reply().status, site.reply().reason) == ("Rejected", Reason.TX_NOT_FOUND)


@pytest.mark.req("F03.FR.02", "F04.FR.02", "F04.FR.03")
def test_where_a_stop_ends_nothing_energy_stops_and_the_end_comes_with_the_plug() -> None:
    site = build(policy=replace(POLICY_2, stop_points=frozenset({StopPoint.EV_CONNECTED})))
    site.start(1)
    running = site.station.running(1)
    assert running is not None
    site.do(RequestStop(request=site.ref(), transaction_id=running.id))
    assert site.reply().status == "Accepted"
    assert site.records(RecordKind.UPDATED)[-1].trigger is Trigger.REMOTE_STOP
    site.unplug(1)
    (record,) = site.records(RecordKind.ENDED)
    assert record.reason is StopReason.REMOTE
