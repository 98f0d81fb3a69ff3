"""CustomerInformation: what is told of a customer, and what is taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.domain.answers import CustomerStatus, Reason
from edged.domain.commands import TellCustomer
from edged.domain.credentials import CertificateHash
from edged.domain.customer import CLEARED, NOTHING, PART_CHARS, REST
from edged.domain.effects import Ask, ReportKind, ReportPage
from edged.domain.events import PageTaken, QuestionAnswered
from edged.domain.reporting import MAX_REPORTS
from edged.domain.station import CachedToken, ListedToken
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo
from tests.fakes.site import START, Site

ALICE = IdToken("ALICE", "ISO14443")
GOOD = IdTokenInfo(AuthorizationStatus.ACCEPTED, group=IdToken("FAMILY", "Central"))
HASH = CertificateHash(algorithm="SHA256", issuer_name_hash="a", issuer_key_hash="b", serial_number="1")


def ask(site: Site, *, report: bool = True, clear: bool = False, request_id: int = 5, **named: Any) -> tuple[Any, str]:
    """The answer, and the text that follows it; the CSMS takes each page."""
    named = named or {"id_token": ALICE}
    command = TellCustomer(
        request=site.ref("CustomerInformation"), request_id=request_id, report=report, clear=clear, **named
    )
    site.do(command)
    status, text = site.reply().status, ""
    for number in range(1000):
        questions = site.of(Ask)
        if not questions:
            return status, text
        page = questions[0].question
        assert isinstance(page, ReportPage) and page.kind is ReportKind.CUSTOMER
        assert (page.request_id, page.seq_no, len(page.items)) == (request_id, number, 1)
        text += page.items[0]
        site.do(QuestionAnswered(questions[0].ticket, PageTaken()))
        assert page.more is bool(site.of(Ask))
    raise AssertionError("the report has no end")


def cached(site: Site, token: IdToken = ALICE) -> None:
    cache = {**site.station.cache, token.key: CachedToken(token, GOOD, START)}
    site.station = replace(site.station, cache=cache)


def listed(site: Site, token: IdToken = ALICE) -> None:
    entries = {token.key: ListedToken(token, IdTokenInfo(AuthorizationStatus.BLOCKED))}
    site.station = replace(site.station, local_list=entries, local_list_version=4)


@pytest.mark.req("N09.FR.06", "N10.FR.04")
@pytest.mark.parametrize("named", [{"id_token": ALICE}, {"certificate": HASH}, {"identifier": "Alice"}])
@pytest.mark.parametrize(("report", "clear"), [(True, False), (True, True), (False, True)])
def test_of_whom_nothing_is_kept_one_message_says_so(named: dict[str, Any], report: bool, clear: bool) -> None:
    assert ask(Site.build(), report=report, clear=clear, **named) == (CustomerStatus.ACCEPTED, NOTHING)


@pytest.mark.req("N09.FR.05")
def test_everything_that_is_kept_of_a_token_is_told_but_the_tokens() -> None:
    site = Site.build()
    listed(site)
    site.start(1, "ALICE")
    cached(site)
    site.reserve(1, "ALICE", 2)
    _, text = ask(site)
    for fact in (
        "Local authorization list, version 4: Blocked.",
        "Authorization cache, as of 2026-05-04T12:00:00Z: Accepted, of a group.",
        "Reservation 1, until",
        "at EVSE 1, since",
        "still running.",
    ):
        assert fact in text
    assert "ALICE" not in text.upper() and "FAMILY" not in text.upper()


def test_somebody_elses_token_of_the_same_value_is_somebody_else() -> None:
    site = Site.build()
    cached(site, IdToken("ALICE", "eMAID"))
    assert ask(site) == (CustomerStatus.ACCEPTED, NOTHING)
    cached(site, IdToken("alice"))
    assert "Authorization cache" in ask(site)[1]


@pytest.mark.req("N10.FR.03", "N10.FR.06")
def test_clearing_empties_the_cache_of_the_token_and_leaves_the_list() -> None:
    site = Site.build()
    cached(site)
    cached(site, IdToken("BOB", "ISO14443"))
    _, text = ask(site, clear=True)
    assert text.startswith("Authorization cache") and text.endswith(CLEARED)
    assert [entry.id_token.value for entry in site.station.cache.values()] == ["BOB"]
    cached(site)
    assert ask(site, report=False, clear=True)[1] == CLEARED
    cached(site)
    listed(site)
    assert ask(site, report=False, clear=True)[1] == f"{CLEARED}\n{REST}"
    assert site.station.local_list
    site.restart()
    assert "Authorization cache" not in ask(site)[1]


@pytest.mark.req("N09.FR.09")
@pytest.mark.parametrize(
    "named",
    [
        {"id_token": None},
        {"id_token": ALICE, "identifier": "Alice"},
        {"id_token": ALICE, "certificate": HASH},
        {"certificate": HASH, "identifier": "Alice"},
    ],
)
def test_not_exactly_one_customer_is_invalid(named: dict[str, Any]) -> None:
    site = Site.build()
    assert ask(site, clear=True, **named) == (CustomerStatus.INVALID, "")


@pytest.mark.req("N10.FR.07")
def test_who_wants_nothing_is_refused() -> None:
    assert ask(Site.build(), report=False) == (CustomerStatus.REJECTED, "")


def test_a_long_report_comes_in_parts_that_fit() -> None:
    site = Site.build(connectors=20)
    for number in range(1, 21):
        site.reserve(number, "CAROL", number)
    command = TellCustomer(request=site.ref(), request_id=1, report=True, clear=False, id_token=IdToken("CAROL"))
    site.do(command)
    first = site.of(Ask)[0].question
    assert isinstance(first, ReportPage) and first.more and len(first.items[0]) == PART_CHARS
    assert ask(site, id_token=IdToken("CAROL"))[1].count("Reservation") == 20


@pytest.mark.req("N09.FR.03", "N10.FR.05")
def test_who_asks_too_often_at_once_is_told_to_come_again_and_nothing_is_cleared() -> None:
    site = Site.build()
    cached(site)
    for number in range(MAX_REPORTS):
        site.do(TellCustomer(request=site.ref(), request_id=number, report=True, clear=False, id_token=ALICE))
    site.do(TellCustomer(request=site.ref(), request_id=99, report=False, clear=True, id_token=ALICE))
    assert site.reply().status is CustomerStatus.REJECTED and site.reply().reason == Reason.OUT_OF_MEMORY
    assert site.station.cache
