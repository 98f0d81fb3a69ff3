"""What the journal is given, over its real protocol: a datagram socket of the test plays systemd-journald."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.log_fields import FIELDS, about, always, fields, journal_name, only
from edged.system import journal as journal_module
from edged.system.journal import Journal, encode
from edged.system.logs import set_up
from tests.fakes.journald import FakeJournald, decode

log = logging.getLogger("edged.engine")


@pytest.fixture(autouse=True)
def _no_constant_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.log_fields._always", {})


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[FakeJournald]:
    with FakeJournald(tmp_path / "socket") as serving:
        yield serving


SetUp = Callable[..., None]


@pytest.fixture
def logging_to(journald: FakeJournald, tmp_path: Path) -> Iterator[SetUp]:
    """Sets the log up as under systemd: standard error, here a file, ends in the journal."""
    with (tmp_path / "stderr").open("w+") as stderr:
        found = os.fstat(stderr.fileno())
        environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}

        def setting_up(*words: str, **more: object) -> None:
            set_up(*words, stream=stderr, environ=environ, journal_at=str(journald.path), **more)  # type: ignore[arg-type]

        yield setting_up


def stderr_of(folder: Path) -> str:
    return (folder / "stderr").read_text()


def output() -> Journal:
    return next(each for each in logging.getLogger().handlers if isinstance(each, Journal))


def test_an_entry_has_its_text_its_priority_its_place_and_its_fields(journald, logging_to, tmp_path):
    logging_to()
    log.warning("it %s", "serves", extra=fields(station="DEPOT-7", connector=2))
    (entry,) = journald.entries()
    line = entry.pop("CODE_LINE")
    assert line.isdigit()
    assert entry == {
        "MESSAGE": "edged.engine: it serves",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "edged",
        "LOGGER": "edged.engine",
        "CODE_FILE": __file__,
        "CODE_FUNC": "test_an_entry_has_its_text_its_priority_its_place_and_its_fields",
        "EDGED_STATION": "DEPOT-7",
        "EDGED_CONNECTOR": "2",
    }
    assert stderr_of(tmp_path) == ""


def test_every_level_has_its_priority(journald, logging_to):
    logging_to("debug")
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        log.log(level, "words")
    assert [entry["PRIORITY"] for entry in journald.entries()] == ["7", "6", "4", "3", "3"]


def test_a_stream_that_does_not_end_in_the_journal_gets_lines_and_the_journal_nothing(journald, tmp_path):
    with (tmp_path / "stderr").open("w") as stderr:
        set_up(stream=stderr, environ={"JOURNAL_STREAM": "1:2"}, journal_at=str(journald.path))
        log.warning("words", extra=fields(connector=2))
    assert journald.entries() == []
    assert stderr_of(tmp_path).endswith("WARNING edged.engine: words\n")


def test_what_a_task_is_about_is_true_of_all_that_it_logs_and_no_longer(journald, logging_to):
    logging_to()
    with about(station="DEPOT-7"), about(connector=1):
        log.info("inside")
        log.info("of another", extra=fields(connector=2, transaction="t-1"))
    log.info("outside")
    inside, other, outside = journald.entries()
    assert (inside["EDGED_STATION"], inside["EDGED_CONNECTOR"]) == ("DEPOT-7", "1")
    assert (other["EDGED_STATION"], other["EDGED_CONNECTOR"], other["EDGED_TRANSACTION"]) == ("DEPOT-7", "2", "t-1")
    assert not any(name.startswith("EDGED_") for name in outside)


async def test_a_task_inherits_what_it_is_about_unless_it_is_about_something_else_alone(journald, logging_to):
    logging_to()

    async def work(name: str) -> None:
        log.info(name)

    with about(station="DEPOT-7"):
        mine = asyncio.create_task(work("mine"))
        shared = asyncio.create_task(work("shared"), context=only(bus="/dev/ttyUSB0"))
    await asyncio.gather(mine, shared)
    told = {entry["MESSAGE"].partition(": ")[2]: entry for entry in journald.entries()}
    assert told["mine"]["EDGED_STATION"] == "DEPOT-7"
    assert told["shared"]["EDGED_BUS"] == "/dev/ttyUSB0"
    assert "EDGED_STATION" not in told["shared"]


def test_what_is_always_so_is_true_in_every_thread(journald, logging_to):
    logging_to()
    always(run="r-1")
    thread = threading.Thread(target=log.info, args=("of a thread",))
    thread.start()
    thread.join()
    assert journald.entries()[0]["EDGED_RUN"] == "r-1"


def test_what_is_not_known_is_no_field(journald, logging_to):
    logging_to()
    log.info("words", extra=fields(station="", connector=None, charger="left"))
    assert [name for name in journald.entries()[0] if name.startswith("EDGED_")] == ["EDGED_CHARGER"]


def test_a_field_that_nobody_knows_is_a_bug_of_its_author():
    with pytest.raises(TypeError, match="no fields of an entry: colour"):
        fields(colour="red")


def test_the_journal_takes_every_name_of_a_field():
    for name in FIELDS:
        assert journal_name(name).isupper()
        assert journal_name(name).replace("_", "").isalnum()
        assert len(journal_name(name)) <= 64


def test_a_secret_is_hidden_in_the_text_and_in_every_field(journald, logging_to):
    logging_to(secrets=["hunter2hunter2"])
    log.info("with hunter2hunter2", extra=fields(charger="x hunter2hunter2", command='{"idTag":"04A2E5"}'))
    sent = journald.datagrams[0] if journald.entries() else b""
    assert b"hunter2" not in sent
    assert b"04A2E5" not in sent
    assert b"***" in sent


@pytest.mark.parametrize("hostile", ["a\nPRIORITY=0\nMESSAGE=FAKE", "a\x00b", "\x1b[2J", "a\u2028b\r"])
def test_what_a_peer_sends_makes_no_field_and_controls_no_terminal(journald, logging_to, hostile):
    logging_to()
    log.warning("peer said %s", hostile, extra=fields(message_id=hostile))
    (entry,) = journald.entries()
    assert entry["PRIORITY"] == "4"
    for name in ("MESSAGE", "EDGED_MESSAGE_ID"):
        assert entry[name].isprintable()
        assert "a" in entry[name] or "\\" in entry[name]


def test_half_a_character_is_written_out(journald, logging_to):
    logging_to()
    half = {"msg": "half \ud800", "name": "edged.x", "levelno": logging.INFO, **fields(message_id="\ud800")}
    output().handle(logging.makeLogRecord(half))  # nobody else: what pytest shows of a test must be whole
    (entry,) = journald.entries()
    assert (entry["MESSAGE"], entry["EDGED_MESSAGE_ID"]) == ("edged.x: half \\ud800", "\\ud800")


def test_a_field_has_a_length_that_the_journal_can_index(journald, logging_to):
    logging_to()
    log.info("words", extra=fields(message_id="x" * 10_000))
    assert journald.entries()[0]["EDGED_MESSAGE_ID"] == "x" * 256


def test_a_traceback_is_one_entry_with_its_lines(journald, logging_to):
    logging_to()
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        log.exception("it broke")
    (entry,) = journald.entries()
    lines = entry["MESSAGE"].split("\n")
    assert lines[:2] == ["edged.engine: it broke", "Traceback (most recent call last):"]
    assert lines[-1] == "RuntimeError: broken"


def test_an_entry_that_is_too_long_for_a_datagram_comes_whole_in_a_sealed_file(journald, logging_to):
    logging_to()
    text = "x" * 700_000
    log.info("%s", text, extra=fields(station="DEPOT-7"))
    (entry,) = journald.entries()
    assert entry["MESSAGE"] == f"edged.engine: {text}"
    assert entry["EDGED_STATION"] == "DEPOT-7"
    assert journald.seals == [
        fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE,
    ]


def test_no_text_is_longer_than_a_mebibyte(journald, logging_to):
    logging_to()
    log.info("%s", "x" * 3_000_000)
    assert len(journald.entries()[0]["MESSAGE"]) == 1024 * 1024


def test_a_journal_that_was_restarted_is_found_again_and_what_was_said_in_between_is_on_standard_error(
    journald, logging_to, tmp_path
):
    logging_to()
    log.info("before")
    first = journald.entries()
    journald.stop()
    log.warning("in between", extra=fields(connector=1))
    assert stderr_of(tmp_path) == "<4>edged.engine: in between\n"
    journald.start()
    log.info("after")
    assert [entry["MESSAGE"] for entry in (*first, *journald.entries())] == [
        "edged.engine: before",
        "edged.engine: after",
    ]
    assert output().lost == 0


def test_a_journal_that_takes_nothing_keeps_nobody_waiting_and_is_told_how_much_it_missed(
    journald, logging_to, tmp_path
):
    logging_to()
    said = 0
    while not output().lost:
        said += 1
        log.info("entry %d", said)
        assert said < 100_000
    for _ in range(4):
        said += 1
        log.info("entry %d", said)
    assert output().lost == 5
    taken = journald.entries()
    assert len(taken) == said - 5
    log.info("at last")
    told, last = journald.entries()
    assert told["MESSAGE"] == "edged.system.journal: the journal took 5 entries too slowly: they are lost"
    assert told["PRIORITY"] == "4"
    assert last["MESSAGE"] == "edged.engine: at last"
    assert output().lost == 5
    assert stderr_of(tmp_path) == ""


def test_standard_error_that_takes_nothing_keeps_nobody_waiting_either(tmp_path):
    ours, theirs = socket.socketpair()
    with ours, theirs, os.fdopen(os.dup(ours.fileno()), "w") as stderr:
        found = os.fstat(stderr.fileno())
        environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        set_up(stream=stderr, environ=environ, journal_at=str(tmp_path / "none"))
        log.info("first")
        assert theirs.recv(100) == b"<6>edged.engine: first\n"
        said = 0
        while not output().lost:
            said += 1
            log.info("%s", "x" * 1000)
            assert said < 100_000
        assert os.get_blocking(ours.fileno()), "standard error is shared: others rely on how it waits"


def test_setting_up_again_closes_the_former_socket(journald, logging_to):
    logging_to()
    former = output()
    logging_to()
    assert output() is not former
    assert former._socket.fileno() == -1
    log.info("once")
    assert len(journald.entries()) == 1


def test_an_entry_that_its_author_has_garbled_stops_nobody(journald, logging_to, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logging_to()
    log.info("%d", "no number")
    log.info("next")
    assert [entry["MESSAGE"] for entry in journald.entries()] == ["edged.engine: next"]


def test_where_no_file_can_be_sealed_a_long_entry_goes_to_standard_error(journald, logging_to, tmp_path, monkeypatch):
    def refused(name: str, flags: int) -> int:
        raise PermissionError(1, "not permitted")

    logging_to()
    monkeypatch.setattr(journal_module.os, "memfd_create", refused)
    log.info("%s", "x" * 700_000)
    assert stderr_of(tmp_path) == f"<6>edged.engine: {'x' * 700_000}\n"


def test_the_guide_names_every_field_and_none_that_there_is_not():
    guide = (Path(__file__).parents[2] / "docs" / "logs.md").read_text()
    assert set(re.findall(r"EDGED_[A-Z_]+", guide)) == {journal_name(name) for name in FIELDS}


@given(st.lists(st.tuples(st.sampled_from(["MESSAGE", "EDGED_BUS", "X"]), st.text(max_size=50)), max_size=6))
def test_what_is_encoded_is_read_back_as_it_was(entry):
    readable = [(name, value.encode("utf-8", "backslashreplace").decode()) for name, value in entry]
    assert decode(encode(entry)) == readable
