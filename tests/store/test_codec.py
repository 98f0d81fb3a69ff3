"""Laws of the stored form of value types."""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.effects import MeterRecord, ReservationRecord, Sample, SecurityRecord, TransactionRecord
from edged.domain.station import CachedToken, Reservation, Transaction
from edged.domain.types import IdToken, Stamp
from edged.store.codec import Unreadable, decode, encode
from edged.store.records import decode_record, encode_record
from edged.store.row_texts import from_key, to_key, to_text

ANY_TEXT = st.text(st.characters(), max_size=12)  # lone surrogates and NUL included: tokens are hostile
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: ANY_TEXT,
    int: st.integers(-(2**70), 2**70),
    bool: st.booleans(),
    float: st.floats(-1e308, 1e308),
    datetime: st.datetimes(
        datetime(1970, 1, 2),  # noqa: DTZ001 - Hypothesis adds the zone
        datetime(2200, 1, 1),  # noqa: DTZ001
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
    ),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value that the annotations of a type allow."""
    if kind in PLAIN:
        return PLAIN[kind]
    if get_origin(kind) in (Union, types.UnionType):
        return st.one_of(*(st.none() if one is type(None) else values(one) for one in get_args(kind)))
    if get_origin(kind) is tuple:
        return st.lists(values(get_args(kind)[0]), max_size=3).map(tuple)
    if issubclass(kind, StrEnum):
        return st.sampled_from(kind)
    assert is_dataclass(kind)
    hints = get_type_hints(kind)
    return st.builds(kind, **{f.name: values(hints[f.name]) for f in fields(kind)})


RECORD_KINDS = (TransactionRecord, MeterRecord, ReservationRecord, SecurityRecord)
ROW_KINDS = (Transaction, Reservation, CachedToken)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.one_of(*(values(kind) for kind in RECORD_KINDS)))
def test_every_record_comes_back_as_it_was(record: Any) -> None:
    assert decode_record(to_text(encode_record(record))) == record


@pytest.mark.parametrize("kind", ROW_KINDS)
@given(data=st.data())
def test_every_kept_value_comes_back_as_it_was(kind: type, data: st.DataObject) -> None:
    value = data.draw(values(kind))
    assert decode(kind, json.loads(json.dumps(encode(value)))) == value


@given(ANY_TEXT)
def test_any_text_is_a_key_and_comes_back(text: str) -> None:
    key = to_key(text)
    assert key.isascii()
    assert from_key(key) == text


@given(JSON)
def test_whatever_is_stored_reads_as_a_record_or_is_unreadable(data: Any) -> None:
    try:
        record = decode_record(json.dumps(data))
    except Unreadable:
        return
    assert isinstance(record, RECORD_KINDS)


@given(st.data())
def test_a_record_with_one_field_replaced_is_read_or_unreadable(data: st.DataObject) -> None:
    row = dict(encode_record(data.draw(values(TransactionRecord))))
    row[data.draw(st.sampled_from(sorted(row)))] = data.draw(JSON)
    try:
        record = decode_record(json.dumps(row))
    except Unreadable:
        return
    assert isinstance(record, RECORD_KINDS)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda row: row.update(novelty=1), "field 'novelty' is not known to this version"),
        (lambda row: row.update(outcome="Withdrawn"), "outcome: no ReservationEnd that this version knows"),
        (lambda row: row.update(reservation_id=True), "reservation_id: not a whole number"),
        (lambda row: row.pop("reservation_id"), "field 'reservation_id' is missing"),
        (lambda row: row.update(type="telegram"), "no kind of record that this version knows"),
    ],
)
def test_a_row_of_a_newer_version_is_refused_with_its_field_and_reason(
    change: Callable[[dict[str, Any]], Any], complaint: str
) -> None:
    row = {"type": "reservation", "reservation_id": 3, "outcome": "Expired"}
    change(row)
    with pytest.raises(Unreadable) as caught:
        decode_record(json.dumps(row))
    assert str(caught.value) == complaint


def test_a_field_that_an_older_version_did_not_have_takes_its_default() -> None:
    assert decode(IdToken, {"value": "A"}) == IdToken("A", None)


def test_empty_fields_are_not_written() -> None:
    assert encode(IdToken("A")) == {"value": "A"}


@pytest.mark.parametrize("year", ["1969", "2300", "9999"])
def test_a_time_that_no_clock_of_ours_has_shown_is_unreadable(year: str) -> None:
    with pytest.raises(Unreadable, match="not a time of this clock"):
        decode(Stamp, {"utc": f"{year}-12-31T23:59:59+00:00", "synchronized": True, "boot": "b"})


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + 400 * "0"])
def test_a_number_beyond_all_bounds_is_unreadable(number: str) -> None:
    with pytest.raises(Unreadable, match="not a number"):
        decode(float, json.loads(number))


def test_times_without_a_zone_are_unreadable() -> None:
    with pytest.raises(Unreadable, match="utc: a time without its zone"):
        decode(Stamp, {"utc": "2026-01-01T00:00:00", "synchronized": True, "boot": "b"})


def test_a_complaint_never_repeats_what_was_stored() -> None:
    with pytest.raises(Unreadable) as caught:
        decode(Sample, {"at": {"utc": "SECRET-TOKEN", "synchronized": True, "boot": "b"}, "context": "x", "values": []})
    assert "SECRET" not in str(caught.value)
