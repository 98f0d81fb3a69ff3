"""`edged ctl` and `edged status` against a daemon's control socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edged.cli import main as cli
from edged.cli.ctl import did_work, parse_arguments
from edged.local.control import ControlServer

STATE = {
    "gateway": "depot-7",
    "buses": {
        "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0": {
            "name": "yard",
            "is_open": True,
            "down_reason": "",
            "device": "/dev/ttyUSB0",
            "latency_timer_ms": 16,
            "since": "2026-08-22T10:00:00+00:00",
            "opened": 1,
            "lost": 0,
            "requests": 123_456,
            "timeouts": 12_345,
            "crc_errors": 3,
            "protocol_errors": 0,
            "exceptions": 2,
            "retries": 7,
            "expired": 0,
            "refused": 0,
            "strays": 1,
            "queued": 4,
            "turnaround_p50_s": 0.0204,
            "turnaround_p95_s": 0.031,
            "utilisation": 0.931,
            "failed_share": 0.052,
            "dead_share": 0.01,
            "efficiency": 0.984,
            "wire_efficiency": 0.66,
            "cycle_p50_s": 0.8412,
            "cycle_p95_s": 1.02,
            "waits": {"stop": {"p50_s": 0.002, "p95_s": 0.04, "longest_s": 0.11}},
            "units": {
                "1": {
                    "chargers": ["left"],
                    "state": "online",
                    "timeouts": 12,
                    "crc_errors": 3,
                    "protocol_errors": 0,
                    "exceptions": 2,
                    "retries": 7,
                    "turnaround_p50_s": 0.0204,
                    "turnaround_p95_s": 0.031,
                    "timeout_s": 0.124,
                    "last_answer_s": 0.31,
                    "next_try_s": None,
                },
                "247": {
                    "chargers": ["a-charger-with-a-very-long-name-01", "b"],
                    "state": "dead",
                    "timeouts": 12_333,
                    "crc_errors": 1_000,
                    "protocol_errors": 1_000,
                    "exceptions": 0,
                    "retries": 12_000,
                    "turnaround_p50_s": None,
                    "turnaround_p95_s": None,
                    "timeout_s": 1.0,
                    "last_answer_s": None,
                    "next_try_s": 44.4,
                },
            },
        },
        "tcp:10.0.0.9:502": {"is_open": False, "down_reason": "x" * 300, "units": {}},
    },
    "stations": [{"id": "DEPOT-7", "connectors": [{"connector": 1, "status": "Reserved", "faults": []}]}],
}


class Daemon:
    """A control socket in a thread of its own, with the answers of a test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.replies: dict[str, list[dict[str, Any]]] = {}
        self.seen: list[tuple[str, dict[str, Any], str | None]] = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))
        self._thread.start()
        assert self._ready.wait(30)

    async def _serve(self) -> None:
        async with ControlServer(self.path, self._dispatch):
            self._ready.set()
            await self._stop.wait()

    async def _dispatch(self, command: str, args: dict[str, Any], id: str | None) -> dict[str, Any]:
        self.seen.append((command, args, id))
        replies = self.replies.get(command, [{"ok": True, "result": {"status": "Accepted"}}])
        return replies.pop(0) if len(replies) > 1 else replies[0]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path / "control.sock")
    yield daemon
    daemon.close()


def ctl(daemon: Daemon, *words: str) -> int:
    return cli.main(["ctl", *words, "--control", str(daemon.path)])


def test_arguments_are_sent_with_an_id_of_their_own(daemon, capsys):
    assert ctl(daemon, "reserve_now", "connector=1", "id_token=00123456", "expires_at=2027-01-01T00:00:00Z") == 0
    command, args, ident = daemon.seen[0]
    assert (command, args) == (
        "reserve_now",
        {"connector": 1, "id_token": "00123456", "expires_at": "2027-01-01T00:00:00Z"},
    )
    assert ident
    assert capsys.readouterr().out == "status  Accepted\n"
    ctl(daemon, "reserve_now")
    assert daemon.seen[1][2] != ident


def test_an_id_can_be_given(daemon):
    ctl(daemon, "ping", "--id", "a4")
    assert daemon.seen[0][2] == "a4"


def test_one_json_object_is_taken_as_it_is(daemon):
    ctl(daemon, "reserve_now", '{"connector": 1, "id_token": "00123456"}')
    assert daemon.seen[0][1] == {"connector": 1, "id_token": "00123456"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("connector=1", {"connector": 1}),
        ("current_a=6.5", {"current_a": 6.5}),
        ("on=true", {"on": True}),
        ("keys=[]", {"keys": []}),
        ("keys=CpoName, HeartbeatInterval", {"keys": ["CpoName", "HeartbeatInterval"]}),
        ("keys=", {"keys": []}),
        ("reservation_id=null", {"reservation_id": None}),
        ("id_token=12345678", {"id_token": "12345678"}),
        ("value=true", {"value": "true"}),
        ("info=", {"info": ""}),
        ("data=a=b", {"data": "a=b"}),
    ],
)
def test_a_value_is_json_where_it_is_and_text_where_it_must_be(word, expected):
    assert parse_arguments([word]) == expected


@pytest.mark.parametrize("words", [["connector"], ["=1"], ["a=1", "a=2"], ["{"], ['{"a": 1} x'], ["{[}"]])
def test_arguments_that_cannot_be_are_usage(daemon, capsys, words):
    assert ctl(daemon, "ping", *words) == 2
    assert daemon.seen == []
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_command_that_was_not_carried_out_is_status_1_and_a_sentence(daemon, capsys):
    daemon.replies["nope"] = [{"ok": False, "error": {"code": "unknown_command", "message": "known commands: ping"}}]
    assert ctl(daemon, "nope") == 1
    assert capsys.readouterr() == ("", "edged: nope was not carried out (unknown_command): known commands: ping\n")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"ok": True, "result": {"status": "Accepted"}}, True),
        ({"ok": True, "result": {"status": "Scheduled"}}, True),
        ({"ok": True, "result": "RebootRequired"}, True),
        ({"ok": True, "result": True}, True),
        ({"ok": True, "result": {"pong": True}}, True),
        ({"ok": True, "result": {"status": "Rejected"}}, False),
        ({"ok": True, "result": "Occupied"}, False),
        ({"ok": True, "result": False}, False),
        ({"ok": False, "error": {}}, False),
        ({"ok": "yes"}, False),
        ({}, False),
    ],
)
def test_what_was_refused_did_not_work(reply, expected):
    assert did_work(reply) is expected


def test_the_whole_reply_is_there_as_json(daemon, capsys):
    assert ctl(daemon, "ping", "--json", "--id", "x") == 0
    assert json.loads(capsys.readouterr().out) == {
        "id": "x",
        "command": "ping",
        "ok": True,
        "result": {"status": "Accepted"},
    }


def test_without_a_daemon_the_sentence_says_what_to_do(tmp_path, capsys):
    for words in (["ctl", "ping"], ["status"]):
        assert cli.main([*words, "--control", str(tmp_path / "none")]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("edged: edged is not running (nobody listens on ")
        assert len(err.splitlines()) == 1


def test_the_runtime_directory_says_where_the_socket_is(daemon, monkeypatch):
    path = daemon.path
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{path.parent}:/elsewhere")
    assert cli.main(["ctl", "ping"]) == 0


def test_status_shows_what_the_daemon_knows(daemon, capsys):
    daemon.replies["status"] = [{"ok": True, "result": STATE}]
    assert cli.main(["status", "--control", str(daemon.path)]) == 0
    text = capsys.readouterr().out
    assert "DEPOT-7" in text
    assert "connector  status    faults\n" in text
    for word in (
        "yard: /dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0",
        "open      since 2026-08-22T10:00:00+00:00, opened 1 time, lost 0 times",
        "device    /dev/ttyUSB0; its adapter keeps each answer back for up to 16 ms",
        "93 % of the last minute; 5 % without an answer, 1 % on silent units",
        "98 % of the wire's limit (66 % of the limit with units that answer at once)",
        "cycle     p50 0.841 s, p95 1.020 s",
        "stop      0.002 s  0.040 s  0.110 s",
        "1     left              online      0 s    20/31      124    12      3     0     2        7",
        "247   a-charger-with..  dead, 44 s  never  -/-        1000   12333   1000  1000  0        12000",
        "down      opened - times, lost - times",
    ):
        assert word in text
    assert max(map(len, text.splitlines())) <= 100


def test_status_as_json_is_what_the_daemon_said(daemon, capsys):
    daemon.replies["status"] = [{"ok": True, "result": STATE}]
    assert cli.main(["status", "--json", "--control", str(daemon.path)]) == 0
    assert json.loads(capsys.readouterr().out) == STATE


@pytest.mark.parametrize(
    "state", [None, [], "x", {"buses": {"a": None}}, {"buses": []}, {"buses": {"a": {"units": 1}}}]
)
def test_a_state_of_any_shape_is_shown(daemon, state):
    daemon.replies["status"] = [{"ok": True, "result": state}]
    assert cli.main(["status", "--control", str(daemon.path)]) == 0


def test_watch_shows_a_change_once_and_ends_when_the_daemon_does(daemon, capsys, monkeypatch):
    monkeypatch.setattr("edged.cli.status.WATCH_INTERVAL_S", 0.0)
    known = {"ok": True, "result": {"n": 1}}
    daemon.replies["status"] = [
        known,
        known,
        {"ok": True, "result": {"n": 2}},
        {"ok": False, "error": {"message": "no"}},
    ]
    assert cli.main(["status", "--watch", "--json", "--control", str(daemon.path)]) == 1
    out, err = capsys.readouterr()
    assert out == '{"n": 1}\n{"n": 2}\n'
    assert "does not tell its state: no" in err
