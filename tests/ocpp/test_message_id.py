from __future__ import annotations

from edged.domain.effects import ReservationEnd, ReservationRecord
from edged.ocpp.message_id import record_message_id

RECORD = ReservationRecord(7, ReservationEnd.EXPIRED)


def test_every_transmission_of_a_record_has_the_same_id() -> None:
    first = record_message_id("CP-1", 3, RECORD, refusals=0)
    assert first == record_message_id("CP-1", 3, ReservationRecord(7, ReservationEnd.EXPIRED), refusals=0)
    assert len(first) == 36


def test_a_record_that_was_refused_goes_out_under_another_id() -> None:
    assert record_message_id("CP-1", 3, RECORD, refusals=1) != record_message_id("CP-1", 3, RECORD, refusals=0)


def test_no_other_station_number_or_record_has_the_id() -> None:
    other = ReservationRecord(8, ReservationEnd.EXPIRED)
    ids = {
        record_message_id("CP-1", 3, RECORD, refusals=0),
        record_message_id("CP-2", 3, RECORD, refusals=0),
        record_message_id("CP-1", 4, RECORD, refusals=0),
        record_message_id("CP-1", 3, other, refusals=0),
    }
    assert len(ids) == 4
