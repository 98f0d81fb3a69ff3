"""What of a new document is worth a message, and what becomes of what is shown no more."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edged.domain.types import Now
from edged.mqtt.documents import Document, encode
from edged.mqtt.names import Names
from edged.mqtt.options import PointForm
from edged.mqtt.outbox import Outbox
from edged.mqtt.picture import Picture
from edged.mqtt.points import POINTS, SLOW_REFRESH_S

NOON = datetime(2026, 8, 22, 10, 0, 0, tzinfo=UTC)
NAMES = Names("edged", "gw1")
PLACE = "edged/v1/gw1/station/cs1/connector/1"
POINT = "edged/v1/gw1/point/cs1/1"


class Bench:
    """A picture on an outbox whose broker takes everything at once."""

    def __init__(self, form: PointForm = PointForm.OFF) -> None:
        self.outbox = Outbox()
        self.picture = Picture(self.outbox, NAMES, form=form, described_at=NOON)
        self.outbox.connected(20)
        self.topics: dict[str, dict[str, Document]] = {}

    def show(self, second: float = 0.0, **aspects: Document) -> dict[str, bytes]:
        documents = {f"{PLACE}/{aspect}": document for aspect, document in aspects.items()}
        self.picture.show("cs1", documents, second)
        return self.sent()

    def turn(self, second: float) -> dict[str, bytes]:
        self.picture.due(Now(NOON + timedelta(seconds=second), second, True))
        return self.sent()

    def sent(self) -> dict[str, bytes]:
        found = {}
        while parcels := self.outbox.due(0.0):
            for parcel in parcels:
                self.outbox.settled(parcel.ticket)
                found[parcel.topic] = encode(parcel.document)
        return found


def status(word: str = "Available", second: float = 0) -> Document:
    body = {"status": word, "previous": None, "since": None, "plugged": False, "ready": True}
    return Document(body=body, at=NOON + timedelta(seconds=second), tracked="status")


def meter(second: float = 0, **values: Any) -> Document:
    body = {"quality": "good", "power_w": 1000, "energy_wh": 5000, **values}
    return Document(body=body, at=NOON + timedelta(seconds=second), qos=0, measured=True, repeated=True)


LINK = Document(body="online", at=NOON)


def test_without_points_no_point_is_shown() -> None:
    assert set(Bench().show(link=LINK, status=status(), meter=meter())) == {
        f"{PLACE}/link",
        f"{PLACE}/status",
        f"{PLACE}/meter",
    }


def test_points_and_their_descriptions_come_with_their_documents() -> None:
    sent = Bench(PointForm.SCALAR).show(link=LINK, status=status(), meter=meter())
    assert (sent[f"{POINT}/status"], sent[f"{POINT}/power_w"], sent[f"{POINT}/plugged"]) == (
        b"Available",
        b"1000",
        b"false",
    )
    meta = json.loads(sent["edged/v1/gw1/point-meta/cs1/1/power_w"])
    assert meta == {
        "v": 1,
        "ts": "2026-08-22T10:00:00.000Z",
        "unit": "W",
        "type": "number",
        "description": "active power",
        "enum": None,
    }


@pytest.mark.parametrize("form", [PointForm.SCALAR, PointForm.OBJECT])
def test_only_points_that_have_moved_are_sent(form: PointForm) -> None:
    bench = Bench(form)
    bench.show(link=LINK, status=status(), meter=meter())
    sent = bench.show(5.0, link=LINK, status=status(), meter=meter(5, power_w=2000))
    assert set(sent) == {f"{PLACE}/meter", f"{POINT}/power_w"}


def test_a_point_never_says_more_than_its_document() -> None:
    bench = Bench(PointForm.SCALAR)
    bench.show(link=LINK, meter=meter())
    assert bench.show(5.0, link=LINK, meter=meter(5, power_w=1050)) == {}  # within the dead band
    sent = bench.turn(60.0)
    assert json.loads(sent[f"{PLACE}/meter"])["power_w"] == 1050
    assert sent[f"{POINT}/power_w"] == b"1050"


def test_a_change_of_the_link_makes_the_status_point_stale() -> None:
    bench = Bench(PointForm.OBJECT)
    bench.show(link=LINK, status=status())
    sent = bench.show(1.0, link=Document(body="offline", at=NOON), status=status())
    assert json.loads(sent[f"{POINT}/status"])["quality"] == 2


def test_every_point_is_told_again_in_a_hundred_seconds_and_not_all_at_once() -> None:
    bench = Bench(PointForm.OBJECT)
    bench.show(link=LINK, status=status(), meter=meter())
    shown = {f"{POINT}/{point.name}" for point in POINTS if point.aspect in ("link", "status", "meter")}
    bench.turn(0.0)
    again: list[str] = []
    most = 0
    for half in range(1, 2 * SLOW_REFRESH_S + 1):
        sent = [topic for topic in bench.turn(half / 2) if topic.startswith(POINT)]
        again += sent
        most = max(most, len(sent))
    assert sorted(again) == sorted(shown)
    assert most <= 3


def test_a_refreshed_point_has_a_new_time_and_a_measured_one_that_of_its_reading() -> None:
    bench = Bench(PointForm.OBJECT)
    bench.show(link=LINK, status=status(), meter=meter())
    bench.turn(0.0)
    sent = bench.turn(100.0)
    assert json.loads(sent[f"{POINT}/status"])["timestamp"] == "2026-08-22T10:01:40.000Z"
    assert json.loads(sent[f"{POINT}/power_w"])["timestamp"] == "2026-08-22T10:00:00.000Z"


def test_the_energy_of_a_transaction_is_not_refreshed_as_if_it_had_been_read_again() -> None:
    bench = Bench(PointForm.OBJECT)
    bench.show(link=LINK, meter=meter(), transaction=transaction(active=True, transaction_id="t1", energy_wh=70))
    bench.turn(0.0)
    sent = bench.turn(100.0)
    told = json.loads(sent[f"{POINT}/transaction_energy_wh"])
    assert told == {"value": 70, "timestamp": "2026-08-22T10:00:00.000Z", "quality": 1}
    assert json.loads(sent[f"{POINT}/charging_session"])["timestamp"] == "2026-08-22T10:01:40.000Z"


def test_a_topic_that_is_shown_no_more_is_deleted_with_its_points() -> None:
    bench = Bench(PointForm.SCALAR)
    first = bench.show(link=LINK, status=status(), meter=meter())
    gone = bench.show(1.0)
    assert set(gone) == set(first)
    assert set(gone.values()) == {b""}
    assert bench.outbox.wanted == frozenset()
    assert bench.turn(200.0) == {}
    assert bench.show(2.0, link=LINK) != {}


def test_since_and_previous_go_on_from_a_former_run() -> None:
    bench = Bench()
    former = {"status": "Available", "since": "2026-08-21T08:00:00.000Z", "previous": "Preparing"}
    bench.picture.remember({f"{PLACE}/status": Document(body=former)})
    body = json.loads(bench.show(status=status())[f"{PLACE}/status"])
    assert (body["since"], body["previous"]) == ("2026-08-21T08:00:00.000Z", "Preparing")


def test_what_has_changed_while_nobody_looked_has_changed_now_and_before_it_was_what_was_shown() -> None:
    bench = Bench()
    former = {"status": "Available", "since": "2026-08-21T08:00:00.000Z", "previous": "Preparing"}
    bench.picture.remember({f"{PLACE}/status": Document(body=former)})
    body = json.loads(bench.show(status=status("Charging"))[f"{PLACE}/status"])
    assert (body["since"], body["previous"]) == ("2026-08-22T10:00:00.000Z", "Available")


def test_a_document_carries_the_number_of_the_last_event_that_it_contains() -> None:
    bench = Bench()
    bench.picture.show("cs1", {f"{PLACE}/status": status(), f"{PLACE}/link": LINK}, 0.0, as_of_seq=41)
    sent = bench.sent()
    assert json.loads(sent[f"{PLACE}/status"])["as_of_seq"] == 41
    assert sent[f"{PLACE}/link"] == b"online"


def transaction(**members: Any) -> Document:
    body = {
        "active": False,
        "transaction_id": None,
        "energy_wh": None,
        "stop_reason": None,
        "ended_at": None,
        **members,
    }
    return Document(body=body, at=NOON, measured=True, lasting="ended_at")


ENDED = {"transaction_id": "t1", "energy_wh": 5000, "stop_reason": "Local", "ended_at": "2026-08-22T10:00:00.000Z"}


def test_the_last_transaction_is_shown_until_the_next_although_the_core_has_forgotten_it() -> None:
    bench = Bench(PointForm.SCALAR)
    bench.show(link=LINK, transaction=transaction(active=True, transaction_id="t1"))
    sent = bench.show(1.0, link=LINK, transaction=transaction(**ENDED))
    assert sent[f"{POINT}/transaction_stop_reason"] == b"Local"
    assert bench.show(2.0, link=LINK, transaction=transaction()) == {}
    sent = bench.show(3.0, link=LINK, transaction=transaction(active=True, transaction_id="t2"))
    assert json.loads(sent[f"{PLACE}/transaction"])["ended_at"] is None
    sent = bench.show(4.0, link=LINK, transaction=transaction())
    assert json.loads(sent[f"{PLACE}/transaction"])["transaction_id"] is None, "nobody has seen it end"


def test_the_last_transaction_is_shown_after_a_restart_too() -> None:
    bench = Bench()
    bench.picture.remember({f"{PLACE}/transaction": Document(body={"active": False, **ENDED})})
    sent = bench.show(link=LINK, transaction=transaction())
    assert json.loads(sent[f"{PLACE}/transaction"])["energy_wh"] == 5000
