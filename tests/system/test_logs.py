"""The log: one line an entry, and never a secret."""

from __future__ import annotations

import io
import logging
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.system.logs import Redaction, is_journal, printable, set_up


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_an_entry_has_time_level_name_and_words(stream):
    set_up(stream=stream)
    logging.getLogger("edged.engine").info("it %s", "serves")
    assert stream.getvalue().endswith("Z INFO    edged.engine: it serves\n")


def test_without_the_journals_socket_an_entry_on_its_stream_has_a_priority_and_no_time(tmp_path):
    with (tmp_path / "journal").open("w+") as journal:
        found = os.fstat(journal.fileno())
        environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        set_up("debug", stream=journal, environ=environ, journal_at=str(tmp_path / "none"))
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logging.getLogger("edged.x").log(level, "words")
        journal.seek(0)
        assert journal.read() == "".join(f"<{number}>edged.x: words\n" for number in (7, 6, 4, 3))


@pytest.mark.parametrize("journal", ["", "1:2", "x", ":"])
def test_a_stream_that_does_not_end_in_the_journal_is_none(tmp_path, journal):
    with (tmp_path / "plain").open("w") as plain:
        assert not is_journal(plain, {"JOURNAL_STREAM": journal})
    assert not is_journal(io.StringIO(), {"JOURNAL_STREAM": journal})


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_is_that_of_the_settings(stream, level, shown):
    set_up(level, stream=stream)
    for each in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger("edged.x").log(each, "words")
    assert len(stream.getvalue().splitlines()) == shown


@pytest.mark.parametrize(("level", "wire", "shown"), [("error", True, 1), ("debug", False, 0)])
def test_frames_are_shown_where_the_wire_is_and_nowhere_else(stream, level, wire, shown):
    set_up(level, wire=wire, stream=stream)
    logging.getLogger("edged.wire").debug("a frame")
    assert len(stream.getvalue().splitlines()) == shown


def test_setting_up_again_replaces_what_was_set_up_before(stream):
    set_up(stream=io.StringIO())
    set_up(stream=stream)
    logging.getLogger("edged.x").info("once")
    assert stream.getvalue().count("once") == 1


def test_what_a_peer_sends_breaks_no_line_and_controls_no_terminal(stream):
    set_up(stream=stream)
    logging.getLogger("edged.x").warning("peer said %s", "a\nFAKE entry\x1b[2J\u2028b")
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()
    assert r"a\nFAKE entry\x1b[2J\u2028b" in stream.getvalue()


def test_a_traceback_keeps_its_lines_and_loses_its_secrets(stream):
    set_up(stream=stream, secrets=["hunter2hunter2"])
    try:
        raise RuntimeError("cannot log in with hunter2hunter2\x1b[2J")
    except RuntimeError:
        logging.getLogger("edged.x").exception("it broke")
    text = stream.getvalue()
    assert "Traceback" in text
    assert "hunter2" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET / Authorization: Basic REVQT1QtNzpodW50ZXIy", "REVQT1Q"),
        ("> authorization: basic YTpi", "YTpi"),
        ("connecting to wss://depot:hunter2@csms.example.com", "hunter2"),
        ('[2,"1","Authorize",{"idTag":"04A2E5F1"}]', "04A2E5F1"),
        ('[2,"1","Authorize",{"idToken":{"idToken":"04A2E5F1","type":"ISO14443"}}]', "04A2E5F1"),
        ('{"parentIdTag": "04A2\\"E5F1"}', "E5F1"),
        ('[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"hunter2"}]', "hunter2"),
        ('[2,"1","ChangeConfiguration",{"value":"hunter2","key":"AuthorizationKey"}]', "hunter2"),
        (
            '[2,"1","SetVariables",{"setVariableData":[{"attributeValue":"hunter2","component":{"name":'
            '"SecurityCtrlr"},"variable":{"name":"BasicAuthPassword"}}]}]',
            "hunter2",
        ),
        ('{"username":"u","password":"hunter2"}', "hunter2"),
        ("it is correct horse", "correct horse"),
    ],
)
def test_secrets_are_hidden_wherever_they_turn_up(text, secret):
    hidden = Redaction(["correct horse"]).apply(text)
    assert secret not in hidden
    assert "***" in hidden


@pytest.mark.parametrize(
    "text",
    [
        "basic facts about wss://csms.example.com:8080/ocpp",
        '[3,"1",{"status":"Accepted","key":"HeartbeatInterval","value":"300"}]',
        "mqtt://broker:1883",
        "10:15:30 a:b@c",
    ],
)
def test_what_is_no_secret_stays(text):
    assert Redaction(["no"]).apply(text) == text


@given(st.text())
def test_printable_text_is_printable_and_keeps_what_was(text):
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text


@given(st.text(alphabet='{}":,[]\\ idTagvlueAorzonKyBscP@/', max_size=300))
def test_hiding_takes_any_text_and_hiding_twice_changes_nothing_more(text):
    once = Redaction(["Tag id"]).apply(text)
    assert Redaction(["Tag id"]).apply(once) == once
