"""What proves a way to the CSMS, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.csms.proof import Proof
from edged.domain.credentials import Access, Way
from edged.domain.events import Event, LinkProven, Registration
from edged.domain.station import Station
from edged.ocpp.rpc import FrameRefused, ResultReceived
from tests.fakes.site import station

ELSEWHERE = Way(slot=2, url="wss://other.example.com")
ANSWER = ResultReceived(object(), {})


def on_trial(former: Way) -> Station:
    return replace(station(), access=Access(way=ELSEWHERE, former=former, number=3))


def heard(one: Station, registration: Registration | None, *events: object) -> list[Event]:
    posted: list[Event] = []
    proof = Proof(lambda event: posted.append(event) is None)
    proof.opened(3)
    for event in events:
        proof.heard(event, one, registration)
    return posted


def test_the_first_word_proves_the_way_and_is_told_once() -> None:
    assert heard(on_trial(Way()), None, ANSWER, ANSWER) == [LinkProven(3)]


def test_where_nothing_is_on_trial_nothing_is_told() -> None:
    assert heard(station(), Registration.ACCEPTED, ANSWER) == []


def test_what_cannot_be_understood_proves_nothing() -> None:
    assert heard(on_trial(Way()), None, FrameRefused("no JSON")) == []


@pytest.mark.req("B10.FR.07")
def test_a_csms_elsewhere_that_rejects_the_station_proves_nothing() -> None:
    assert heard(on_trial(Way()), Registration.REJECTED, ANSWER) == []
    assert heard(on_trial(Way()), Registration.PENDING, ANSWER) == [LinkProven(3)]
    same_place = replace(ELSEWHERE, security_profile=2)
    assert heard(on_trial(same_place), Registration.REJECTED, ANSWER) == [LinkProven(3)]
