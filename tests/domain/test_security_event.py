"""Security events: which are told, and how often."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain import security_event
from edged.domain.answers import Verdict
from edged.domain.commands import ReportSecurityEvent
from edged.domain.effects import Announce, Effect, Enqueue, Keep, SecurityRecord
from edged.domain.events import SuspicionRaised
from edged.domain.journal import SecurityEntry
from edged.domain.security_event import HOUR_S, MAX_AN_HOUR, MAX_TYPES, TOLD, SecurityEvent
from edged.store import loading
from tests.fakes.site import Site


def kept(effects: Any) -> list[SecurityEntry]:
    return [e.entry for e in effects if isinstance(e, Keep) and isinstance(e.entry, SecurityEntry)]


def told(effects: Any) -> list[SecurityRecord]:
    return [e.record for e in effects if isinstance(e, Enqueue) and isinstance(e.record, SecurityRecord)]


def suspect(site: Site, event_type: str = "InvalidMessages", info: str = "") -> tuple[Effect, ...]:
    return site.do(SuspicionRaised(event_type, info))


def report(site: Site, event_type: str, **more: Any) -> Verdict:
    site.do(ReportSecurityEvent(request=site.ref("security_event", "mqtt:bms"), event_type=event_type, **more))
    verdict: Verdict = site.reply().status
    return verdict


@pytest.mark.req("A04.FR.04")
@pytest.mark.parametrize("event", SecurityEvent)
def test_every_event_is_written_into_the_log_and_announced(event: SecurityEvent) -> None:
    site = Site.build()
    effects = suspect(site, event.value, "something")
    (entry,) = kept(effects)
    assert (entry.event_type, entry.info, entry.critical) == (event.value, "something", event in TOLD)
    announced = [e.data for e in effects if isinstance(e, Announce) and e.kind == "security.event"]
    assert announced == [{"type": event.value, "info": "something"}]


@pytest.mark.req("A04.FR.01", "A04.FR.02")
@pytest.mark.parametrize("event", SecurityEvent)
def test_the_csms_is_told_of_what_is_critical_and_of_what_its_test_cases_want(event: SecurityEvent) -> None:
    site = Site.build(online=False)
    suspect(site, event.value)
    assert [record.event_type for record in told(site.effects)] == ([event.value] if event in TOLD else [])


@pytest.mark.parametrize(
    ("reported", "known"),
    [
        ("InvalidChargePointCertificate", "InvalidChargingStationCertificate"),
        ("InvalidCentralSystemCertificate", "InvalidCsmsCertificate"),
        ("CentralSystemFailedToAuthenticate", "CsmsFailedToAuthenticate"),
        ("FailedToAuthenticateAtCentralSystem", "FailedToAuthenticateAtCsms"),
        ("tamperdetectionactivated", "TamperDetectionActivated"),
        ("com.example.Door", "com.example.Door"),
    ],
)
def test_a_local_actor_may_use_any_of_a_types_names(reported: str, known: str) -> None:
    site = Site.build()
    assert report(site, reported) is Verdict.ACCEPTED
    assert kept(site.effects)[0].event_type == known


@pytest.mark.parametrize(
    ("event_type", "critical", "expected"),
    [
        ("com.example.Door", None, True),
        ("com.example.Door", False, False),
        ("InvalidMessages", None, False),
        ("InvalidMessages", True, True),
        ("TamperDetectionActivated", None, True),
        ("TamperDetectionActivated", False, False),
    ],
)
def test_a_local_actor_may_say_what_is_critical(event_type: str, critical: bool | None, expected: bool) -> None:
    site = Site.build()
    report(site, event_type, critical=critical)
    assert bool(told(site.effects)) is expected


def test_a_report_carries_its_own_moment_or_that_of_its_arrival() -> None:
    site = Site.build()
    earlier = site.now.utc - timedelta(hours=1)
    report(site, "com.example.Door", at=earlier)
    assert told(site.effects)[0].at.utc == earlier and told(site.effects)[0].at.synchronized
    report(site, "com.example.Door")
    assert told(site.effects)[0].at == site.station.stamp(site.now)


@given(st.text(max_size=400), st.text(max_size=2000))
def test_whatever_is_reported_is_bounded_and_printable(event_type: str, info: str) -> None:
    site = Site.build(1, online=False, seen=False)
    report(site, event_type, info=info)
    (entry,) = kept(site.effects)
    assert len(entry.event_type) <= 50 and len(entry.info) <= 255
    assert entry.info.isprintable() and entry.event_type.isprintable()


def test_a_type_that_comes_too_often_is_counted_and_the_next_one_says_how_often() -> None:
    site = Site.build()
    for _ in range(MAX_AN_HOUR):
        assert kept(suspect(site, "TamperDetectionActivated", "lid"))
    for _ in range(7):
        assert not suspect(site, "TamperDetectionActivated", "lid")
    site.advance(HOUR_S)
    (record,) = told(suspect(site, "TamperDetectionActivated", "lid" * 200))
    assert record.info.endswith("; 7 more were not told") and len(record.info) == 255
    (record,) = told(suspect(site, "TamperDetectionActivated", "lid"))
    assert record.info == "lid"


def test_one_type_that_comes_too_often_silences_no_other() -> None:
    site = Site.build()
    for _ in range(MAX_AN_HOUR + 5):
        suspect(site, "InvalidMessages")
    assert told(suspect(site, "TamperDetectionActivated"))


def test_whoever_reports_too_often_is_told_that_it_was_not_kept() -> None:
    site = Site.build()
    verdicts = [report(site, "com.example.Door") for _ in range(MAX_AN_HOUR + 1)]
    assert verdicts == [Verdict.ACCEPTED] * MAX_AN_HOUR + [Verdict.REJECTED]
    assert kept(site.effects) == []


def test_invented_types_fill_neither_the_memory_nor_the_outbox() -> None:
    site = Site.build()
    written = sum(len(kept(suspect(site, f"com.example.{n}"))) for n in range(10 * MAX_TYPES))
    assert len(site.station.security_tally) <= MAX_TYPES + 1
    assert written <= MAX_TYPES + MAX_AN_HOUR


def test_a_restart_begins_to_count_anew() -> None:
    site = Site.build()
    for _ in range(MAX_AN_HOUR):
        suspect(site)
    site.restart()
    assert kept(suspect(site))


# --- a CSMS that is away for months


def waiting(site: Site) -> list[SecurityRecord]:
    return [record for record in site.outbox.values() if isinstance(record, SecurityRecord)]


@pytest.mark.req("16-J-33", "A04.FR.02")
def test_what_waits_for_the_csms_is_bounded_and_what_finds_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security_event, "MAX_QUEUED", 20)
    site = Site.build(1, online=False)
    suspect(site, "TamperDetectionActivated", "the only one")
    for number in range(60):
        site.advance(HOUR_S)
        suspect(site, "InvalidCentralSystemCertificate" if number % 2 else "SettingSystemTime", str(number))
        assert len(waiting(site)) <= 20
        assert site.station.security_queue == {n: r for n, r in site.outbox.items() if isinstance(r, SecurityRecord)}
    again = loading.load(site.disk.load("TEST"), site.station)
    assert again.station.security_queue == site.station.security_queue
    kinds = [record.event_type for record in waiting(site)]
    assert "TamperDetectionActivated" in kinds
    assert kinds.count("InvalidCsmsCertificate") <= 1, "what is not critical goes first"
    (note,) = [record for record in waiting(site) if record.dropped]
    assert note.event_type == "MemoryExhaustion"
    assert note.info.startswith(f"{note.dropped} security events")
    told_in_all = len([e for e in site.history if isinstance(e, Enqueue) and isinstance(e.record, SecurityRecord)])
    assert waiting(site)[-1].info == "59"
    assert note.dropped < told_in_all


def test_the_first_in_the_queue_is_never_dropped_for_it_may_be_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security_event, "MAX_QUEUED", 5)
    site = Site.build(1, online=False)
    suspect(site, "InvalidCentralSystemCertificate", "first")
    first = min(site.station.security_queue)
    for number in range(20):
        site.advance(HOUR_S)
        suspect(site, "SettingSystemTime", str(number))
    assert min(site.station.security_queue) == first
