"""How findings are told."""

from __future__ import annotations

import json

import pytest

from edged.cli.doctor import report
from edged.cli.doctor.finding import PARTS, Finding, Findings, Level
from edged.cli.doctor.places import drop_in, write_file
from tests.cli.doctor.judged import PAGE

OK = Finding(part="disk", subject="room", level=Level.OK, sentence="there is room")
FAILED = Finding(part="clock", subject="time", level=Level.FAILED, sentence="it says 1970 " * 10, command="sudo date")


@pytest.mark.parametrize("level", [Level.NOTE, Level.WARNING, Level.FAILED])
def test_a_finding_that_is_not_all_right_must_say_what_mends_it(level):
    with pytest.raises(ValueError, match="nothing to do about"):
        Finding(part="disk", subject="x", level=level, sentence="bad")


def test_findings_are_told_in_the_order_of_the_parts():
    assert [each.part for each in report.in_order([OK, FAILED])] == ["clock", "disk"]
    assert len(set(PARTS)) == len(PARTS)


def test_a_command_stands_whole_on_a_line_of_its_own():
    command = "sudo " + "x" * 200
    lines = list(report.lines([Finding(part="disk", subject="a", level=Level.NOTE, sentence="b", command=command)]))
    assert f"           > {command}" in lines


def test_sentences_are_wrapped_and_counted():
    lines = list(report.lines([FAILED, OK]))
    assert lines[0] == "clock"
    assert lines[1].startswith("  failed   time: it says 1970")
    assert all(len(line) <= 100 for line in lines)
    assert lines[-1] == "1 failed, 0 warnings, 0 notes, 1 ok"


def test_the_document_says_whether_anything_failed():
    document = json.loads(json.dumps(report.document([OK])))
    assert document == {
        "ok": True,
        "findings": [{"part": "disk", "subject": "room", "level": "ok", "sentence": "there is room", "command": ""}],
    }
    assert report.document([OK, FAILED])["ok"] is False


def test_what_was_not_seen_is_told_with_the_command_that_shows_it():
    found = Findings("serial")
    found.unseen("holders", "who holds the port")
    assert found.made[0].command == "sudo edged doctor"


def test_a_change_of_the_file_names_its_line_and_passes_over_comments():
    assert PAGE.change("write X", "/dev/ttyUSB0").startswith("in /etc/edged/edged.yaml line 2: write X")
    assert PAGE.line("/dev/ttyUSB1") == 0
    assert PAGE.line("/dev/ttyUSB") == 0
    assert PAGE.change("write X", "nowhere").startswith("in /etc/edged/edged.yaml: write X")


def test_commands_that_write_a_file_make_its_folder_and_make_it_count():
    assert drop_in("gpio", "DeviceAllow=char-gpiochip rw") == (
        "sudo mkdir -p /etc/systemd/system/edged.service.d && printf '[Service]\\nDeviceAllow=char-gpiochip rw\\n' | "
        "sudo tee /etc/systemd/system/edged.service.d/gpio.conf && sudo systemctl daemon-reload && "
        "sudo systemctl restart edged"
    )
    assert write_file("/a/b.conf", "x='y'", then="true").endswith("| sudo tee /a/b.conf && true")
