"""Uploads of logs: a name at once, one upload at a time, its end told once."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.dialects.v16 import POLICY as V16
from edged.domain.answers import FileStatus
from edged.domain.commands import GetLog, ResetKind, ResetStation, TriggerMessage
from edged.domain.effects import Abandon, Commission, LogRecord, NoticeKind, Notify
from edged.domain.events import JobDone
from edged.domain.files import LogKind, LogOrder, UploadStatus
from edged.domain.jobs import Cause, Done, Failed, Outcome, SendLog
from edged.domain.location import usable
from edged.domain.log_upload import filename, shown
from edged.domain.station import Identity
from edged.domain.types import Now
from tests.fakes.site import START, Site, station

S = UploadStatus


def order(site: Site, *, request_id: int | None = 5, **changes: Any) -> Any:
    wanted: dict[str, Any] = {"kind": LogKind.DIAGNOSTICS, "location": "ftp://example.com/up/", "filename": ""}
    log = LogOrder(**{**wanted, "request_id": request_id, **changes})
    site.do(GetLog(site.ref("GetLog"), log))
    return site.reply()


def job(site: Site) -> Commission:
    newest: Commission = site.last(Commission)
    return newest


def end(site: Site, outcome: Outcome = Done()) -> None:
    site.do(JobDone(job(site).ticket, outcome))


def told(site: Site) -> list[tuple[UploadStatus, int | None]]:
    records = (getattr(effect, "record", None) for effect in site.history)
    return [(record.status, record.request_id) for record in records if isinstance(record, LogRecord)]


def commissioned(site: Site) -> int:
    return sum(isinstance(effect, Commission) for effect in site.history)


@pytest.mark.req("TC_045_1_CS", "TC_079_CS")
@pytest.mark.parametrize("request_id", [None, 5])
@pytest.mark.parametrize("kind", list(LogKind))
def test_a_log_is_named_uploaded_and_told_of(kind: LogKind, request_id: int | None) -> None:
    site = Site.build(1)
    reply = order(site, kind=kind, request_id=request_id)
    assert reply.status is FileStatus.ACCEPTED and reply.data
    sent = job(site).job
    assert isinstance(sent, SendLog) and sent.order.filename == reply.data and sent.order.kind is kind
    end(site)
    assert told(site) == [(S.UPLOADING, request_id), (S.UPLOADED, request_id)]


@pytest.mark.req("TC_045_2_CS")
@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (Cause.OTHER, S.UPLOAD_FAILURE),
        (Cause.REFUSED, S.PERMISSION_DENIED),
        (Cause.BAD_REQUEST, S.BAD_MESSAGE),
        (Cause.UNSUPPORTED, S.NOT_SUPPORTED),
        (Cause.INVALID, S.UPLOAD_FAILURE),
    ],
)
def test_why_an_upload_failed_is_told(cause: Cause, status: UploadStatus) -> None:
    site = Site.build(1)
    order(site)
    end(site, Failed("it did not work", cause))
    assert told(site)[-1] == (status, 5)


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/shadow",
        "",
        "ftp://",
        "/tmp/x",
        "gopher://h/",
        "http:// h/",
        "ftp://u:p@:21/",
        "http://h/\n",
        "x" * 9,
    ],
)
def test_what_is_no_address_of_a_file_is_refused_at_once(location: str) -> None:
    site = Site.build(1)
    reply = order(site, location=location)
    assert (reply.status, reply.data) == (FileStatus.REJECTED, None)
    assert told(site) == [] and not commissioned(site)


@given(st.text(max_size=40) | st.from_regex(r"(http|FTPS)://[^/ ]{1,10}/.*", fullmatch=True))
def test_any_text_is_an_address_or_none(text: str) -> None:
    if usable(station(), text):
        assert re.match(r"(https?|ftps?)://.", text, re.IGNORECASE) and text.isprintable() and " " not in text


def test_a_time_before_its_beginning_holds_nothing() -> None:
    site = Site.build(1)
    reply = order(site, oldest=START, latest=START - timedelta(seconds=1))
    assert reply.status is FileStatus.REJECTED


@pytest.mark.req("N01.FR.11", "N01.FR.20")
@pytest.mark.parametrize("words", [True, False])
def test_a_newer_order_takes_the_place_of_a_running_one(words: bool) -> None:
    site = Site.build(1) if words else Site.build(1, policy=V16)
    order(site)
    running = job(site).ticket
    assert order(site, request_id=6).status is FileStatus.ACCEPTED_CANCELED
    assert Abandon(running) in site.effects
    site.do(JobDone(running, Done()))
    canceled = [(S.CANCELED, 5)] if words else []
    assert told(site) == [(S.UPLOADING, 5), *canceled, (S.UPLOADING, 6)]
    end(site)
    assert told(site)[-1] == (S.UPLOADED, 6)
    assert order(site).status is FileStatus.ACCEPTED


@pytest.mark.parametrize("online", [True, False])
def test_an_upload_goes_on_after_a_restart_and_is_not_announced_again(online: bool) -> None:
    site = Site.build(1, online=online)
    order(site)
    before = job(site)
    site.restart()
    assert job(site).ticket != before.ticket and job(site).job == before.job
    end(site)
    assert told(site) == [(S.UPLOADING, 5), (S.UPLOADED, 5)]
    site.restart()
    assert commissioned(site) == 2


def test_an_upload_that_is_ordered_during_a_reset_begins_after_it() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    site.do(ResetStation(site.ref("Reset"), ResetKind.SOFT))
    order(site)
    assert not commissioned(site)
    site.restart()
    assert commissioned(site) == 1


@given(st.text(min_size=1, max_size=300), st.sampled_from(LogKind), st.none() | st.integers())
def test_a_name_is_one_that_every_server_takes(identity: str, kind: LogKind, request_id: int | None) -> None:
    shaped = station()
    whose = Identity(id=identity, vendor="v", model="m")
    order = LogOrder(kind=kind, location="x", filename="", request_id=request_id)
    name = filename(type(shaped)(**{**_fields(shaped), "identity": whose}), order, Now(START, 0.0, True))
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,255}", name) and not name.startswith(".")


def _fields(shaped: Any) -> dict[str, Any]:
    return {name: getattr(shaped, name) for name in type(shaped).__dataclass_fields__}


@pytest.mark.req("N01.FR.12", "TC_054_CS")
def test_who_asks_is_told_of_an_upload_that_is_under_way() -> None:
    site = Site.build(1)
    assert shown(site.station, named=True) == (S.IDLE, None)
    order(site)
    assert shown(site.station, named=True) == (S.UPLOADING, 5)
    assert shown(site.station, named=False) == (S.IDLE, None)
    site.do(TriggerMessage(site.ref("TriggerMessage"), NoticeKind.DIAGNOSTICS_STATUS, None))
    assert site.of(Notify) == [Notify(NoticeKind.DIAGNOSTICS_STATUS, triggered=True)]
