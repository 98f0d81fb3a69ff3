"""What is said of the clock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edged.cli.doctor.clock import ClockFacts, Comparison, judge, parse_timedate
from edged.cli.doctor.finding import Level
from tests.cli.doctor.judged import bad, has, only

NOW = datetime(2026, 8, 22, 10, 0, tzinfo=UTC)
WELL = ClockFacts(now=NOW, ntp_flag=True, synchronized=True, clients=("systemd-timesyncd",))
UNSET = replace(WELL, ntp_flag=False, synchronized=False)


def test_a_clock_that_the_network_has_set_is_all_right():
    assert bad(judge(WELL)) == []


@pytest.mark.parametrize("year", [1970, 2001, 2024, 2100])
def test_a_year_that_cannot_be_is_a_failure(year):
    only(judge(replace(WELL, now=NOW.replace(year=year))), Level.FAILED, str(year), "no certificate is valid")


def test_a_wrong_year_is_only_a_warning_where_edged_goes_by_its_csms():
    only(judge(replace(WELL, now=NOW.replace(year=1970), daemon_trusts=True)), Level.WARNING, "time of its CSMS")


@pytest.mark.parametrize(
    ("clients", "has_timesyncd", "command"),
    [
        ((), True, "sudo timedatectl set-ntp true"),
        ((), False, "sudo apt install systemd-timesyncd"),
        (("systemd-timesyncd",), True, "sudo systemctl restart systemd-timesyncd"),
        (("chrony",), True, "sudo systemctl restart chrony"),
    ],
)
def test_a_clock_that_nobody_has_set_is_a_warning_with_whatever_sets_it(clients, has_timesyncd, command):
    facts = replace(UNSET, clients=clients, has_timesyncd=has_timesyncd)
    only(judge(facts), Level.WARNING, "do not end by date", command=command)


def test_it_is_a_note_where_the_csms_has_told_the_time():
    only(judge(replace(UNSET, daemon_trusts=True)), Level.NOTE, "edged knows the time from its CSMS")


def test_where_no_service_can_be_asked_nothing_is_claimed():
    only(judge(replace(UNSET, clients=(), knows_clients=False)), Level.NOTE, "not known", command="timedatectl")


def test_of_chrony_edged_sees_nothing():
    facts = replace(UNSET, clients=("chrony",), synchronized=True)
    only(judge(facts), Level.NOTE, "edged sees only what systemd-timesyncd does", command="systemd-timesyncd")
    only(judge(replace(facts, only_host=True)), Level.WARNING, "time_source: host")
    assert bad(judge(replace(facts, daemon_trusts=True))) == []


@pytest.mark.parametrize(
    ("ahead_s", "level", "words"),
    [
        (-4.0, None, ""),
        (-17.4, Level.WARNING, "17 s behind that of csms.example.com"),
        (290.0, Level.WARNING, "5 minutes ahead of"),
        (3 * 3600.0, Level.FAILED, "3 hours ahead of"),
        (-56 * 365 * 86_400.0, Level.FAILED, "20440 days behind"),
    ],
)
def test_another_time_than_that_of_the_csms_is_told_with_its_size(ahead_s, level, words):
    found = bad(judge(replace(WELL, comparisons=(Comparison(whose="csms.example.com", ahead_s=ahead_s),))))
    assert found == [] if level is None else has(found, level, words)


def test_a_computer_that_forgets_the_time_gets_something_that_keeps_it():
    bare = replace(WELL, has_rtc=False, clients=("ntp",))
    only(judge(bare), Level.NOTE, "nothing keeps the last time", command="fake-hwclock")
    assert bad(judge(replace(bare, has_fake_hwclock=True))) == []
    assert bad(judge(replace(bare, clients=("systemd-timesyncd",)))) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("NTP=yes\nNTPSynchronized=yes\n", True),
        ("NTPSynchronized=no", False),
        ("", None),
        ("NTPSynchronized=\x00", None),
    ],
)
def test_what_timedatectl_shows_is_read_or_passed_over(text, said):
    assert parse_timedate(text) is said
