"""What is seen of a server's TLS and of its answer to a handshake, with real ones."""

from __future__ import annotations

import base64
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edged.cli.doctor.csms import HttpAnswer
from edged.cli.doctor.names import Resolver
from edged.cli.doctor.network import Trouble
from edged.cli.doctor.peer import chain_of, end_of, reach, secure
from edged.cli.doctor.trust import TlsLook
from edged.cli.doctor.upgrade import MAX_HEAD_BYTES, ask
from edged.csms.endpoint import ConnectionSettings
from edged.csms.failure import FailureKind
from tests.cli.doctor.servers import accepted, header, server, status
from tests.fakes.pki import Authority, self_signed

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
PASSWORD = b"correct-horse-battery"


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority.new("Test Root")


@pytest.fixture(scope="module")
def stations() -> Authority:
    return Authority.new("Station Root")


def settings_for(port: int, root: Authority, **more: Any) -> ConnectionSettings:
    settings = ConnectionSettings(
        url=f"wss://localhost:{port}/ocpp",
        identity="DEPOT 7",
        subprotocols=("ocpp2.0.1", "ocpp1.6"),
        security_profile=2,
        password=PASSWORD,
        roots=(root.pem,),
    )
    return replace(settings, **more)


def look(tls: ssl.SSLContext, root: Authority, **more: Any) -> TlsLook:
    with server(status(200), tls) as there:
        settings = settings_for(there.port, root, **more)
        context = settings.tls()
        assert context is not None
        first = reach(("127.0.0.1",), there.port).connection
        assert first is not None
        found = secure(first, "localhost", context, again=lambda: reach(("127.0.0.1",), there.port).connection)
        if found.line is not None:
            found.line.close()
        assert there.heads == [], "something was said"
        return found.look


def test_a_good_certificate_is_read_with_its_chain(root: Authority, tmp_path: Path):
    below = root.below("Test Sub")
    found = look(below.server().server_context(tmp_path), root)
    assert found.kind is None
    assert found.version == "TLSv1.3"
    assert [each.subject for each in found.chain] == ["localhost (Example Energy)", "Test Sub (Example Energy)"]
    assert found.chain[0].issuer == "Test Sub (Example Energy)"
    assert found.chain[0].ends is not None
    assert 363 <= (found.chain[0].ends - NOW).days <= 365
    assert found.chain[0].names == ("localhost", "127.0.0.1", "0:0:0:0:0:0:0:1")


@pytest.mark.parametrize(
    ("make", "verdict"),
    [
        (lambda root: root.server(not_before=NOW - 9 * DAY, not_after=NOW - 3 * DAY), 10),
        (lambda root: root.server(not_before=NOW + 3 * DAY, not_after=NOW + 9 * DAY), 9),
        (lambda root: self_signed(), 18),
        (lambda root: Authority.new("Somebody").below("Between").server(), 20),
    ],
    ids=["expired", "not yet valid", "self-signed", "unknown authority"],
)
def test_a_refused_certificate_is_read_all_the_same(
    make: Callable[[Authority], Any], verdict: int, root: Authority, tmp_path: Path
):
    found = look(make(root).server_context(tmp_path), root)
    assert (found.kind, found.verdict) == (FailureKind.CERTIFICATE, verdict)
    assert found.chain[0].subject == "localhost (Example Energy)"
    assert found.chain[0].begins is not None
    assert found.chain[0].ends is not None
    assert (found.chain[0].ends < NOW) is (verdict == 10)


def test_a_certificate_for_another_name_tells_which_names_it_has(root: Authority, tmp_path: Path):
    found = look(root.server(("csms.example.com", "b.example.com")).server_context(tmp_path), root)
    assert found.kind is FailureKind.OTHER_HOST
    assert found.chain[0].names == ("csms.example.com", "b.example.com")


def test_a_server_that_knows_only_old_tls_is_told_apart(root: Authority, tmp_path: Path):
    tls = root.server().server_context(tmp_path)
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
    assert look(tls, root).kind is FailureKind.TLS_VERSION


def test_a_server_without_tls_is_told_apart(root: Authority):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        first = socket.create_connection(("127.0.0.1", port))
        peer, _ = listening.accept()
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        context = settings_for(port, root).tls()
        assert context is not None
        found = secure(first, "localhost", context, again=lambda: None)
        peer.close()
    assert found.line is None
    assert found.look.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")


def test_a_server_that_says_nothing_is_given_up(root: Authority):
    with server(None) as there:
        first = reach(("127.0.0.1",), there.port).connection
        context = settings_for(there.port, root).tls()
        assert first is not None
        assert context is not None
        found = secure(first, "localhost", context, again=lambda: None, within_s=0.2)
    assert found.look.kind is FailureKind.TIMEOUT


class Opaque:
    """A line of a Python that shows an unchecked certificate as bytes alone."""

    def __init__(self, der: bytes | None) -> None:
        self._der = der

    def getpeercert(self, binary_form: bool = False) -> Any:
        return self._der if binary_form else {}


def test_a_certificate_that_is_only_bytes_is_read_with_the_package_for_it(root: Authority):
    chain, unread = chain_of(Opaque(root.server().der))  # type: ignore[arg-type]
    assert unread == ""
    assert "CN=localhost" in chain[0].subject
    assert "CN=Test Root" in chain[0].issuer
    assert chain[0].ends is not None
    assert 363 <= (chain[0].ends - NOW).days <= 365


@pytest.mark.parametrize("der", [b"nonsense", None])
def test_bytes_that_are_no_certificate_are_not_read(der: bytes | None):
    assert chain_of(Opaque(der))[0] == ()  # type: ignore[arg-type]


def test_without_the_package_it_is_told_what_would_read_it(monkeypatch: pytest.MonkeyPatch, root: Authority):
    der = root.server().der
    monkeypatch.setitem(sys.modules, "cryptography", None)
    chain, unread = chain_of(Opaque(der))  # type: ignore[arg-type]
    assert chain == ()
    assert "python3-cryptography" in unread


# --- the handshake of the WebSocket


def answer_of(reply: Any, tls: ssl.SSLContext | None = None, *, within_s: float = 5.0, **more: Any) -> HttpAnswer:
    with server(reply, tls) as there:
        line = socket.create_connection(("127.0.0.1", there.port))
        settings = ConnectionSettings(
            url=f"ws://127.0.0.1:{there.port}/ocpp",
            identity="DEPOT 7",
            subprotocols=("ocpp2.0.1", "ocpp1.6"),
            security_profile=1,
            password=PASSWORD,
        )
        return ask(line, replace(settings, **more), within_s)


def test_the_station_shows_itself_as_edged_does_and_says_goodbye_at_once():
    with server(accepted) as there:
        line = socket.create_connection(("127.0.0.1", there.port))
        settings = ConnectionSettings(
            url=f"ws://127.0.0.1:{there.port}/ocpp/",
            identity="DEPOT 7",
            subprotocols=("ocpp2.0.1", "ocpp1.6"),
            security_profile=1,
            password=PASSWORD,
        )
        found = ask(line, settings)
        assert there.ended.wait(30)
    assert (found.status, found.subprotocol, found.sound) == (101, "ocpp1.6", True)
    assert found.date == "Sat, 22 Aug 2026 10:00:00 GMT"
    head = there.heads[0]
    assert head.startswith(b"GET /ocpp/DEPOT%207 HTTP/1.1\r\n")
    assert base64.b64decode(header(head, "Authorization").removeprefix("Basic ")) == b"DEPOT 7:" + PASSWORD
    assert header(head, "Sec-WebSocket-Protocol") == "ocpp2.0.1, ocpp1.6"
    assert there.said[0][:2] == b"\x88\x82", "no close frame"


@pytest.mark.parametrize("code", [301, 400, 401, 403, 404, 426, 503])
def test_whatever_is_answered_is_told(code: int):
    found = answer_of(status(code, "Location: wss://x", "Date: Sat, 22 Aug 2026 10:00:00 GMT", body="no"))
    assert (found.status, found.location) == (code, "wss://x")
    assert found.date


def test_a_server_that_agrees_on_no_version_is_told():
    assert answer_of(lambda head: accepted(head, None)).subprotocol is None


def test_a_yes_with_the_wrong_key_is_no_yes():
    assert answer_of(status(101)).sound is False


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (lambda _: b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"),
        (lambda _: b"\xff" * 2000 + b"\r\n\r\n", "does not speak HTTP"),
        (lambda _: b"HTTP/1.1 2x0 OK\r\n\r\n", "does not speak HTTP"),
        (lambda _: b"x" * (MAX_HEAD_BYTES + 5000), "does not speak HTTP"),
    ],
)
def test_garbage_is_no_answer(reply: Any, problem: str):
    found = answer_of(reply)
    assert found.status is None
    assert problem in found.problem


def test_a_server_that_never_answers_is_given_up():
    assert "does not answer" in answer_of(None, within_s=0.2).problem


def test_a_server_that_never_ends_its_head_is_taken_at_its_first_line():
    assert answer_of(lambda _: b"HTTP/1.1 401 No\r\nX: y\r\n", within_s=0.3).status == 401


def test_a_server_that_wants_a_certificate_says_so_behind_the_handshake(
    root: Authority, stations: Authority, tmp_path: Path
):
    tls = root.server().server_context(tmp_path, clients=stations)
    with server(accepted, tls) as there:
        settings = settings_for(there.port, root)
        context = settings.tls()
        first = reach(("127.0.0.1",), there.port).connection
        assert context is not None
        assert first is not None
        found = secure(first, "localhost", context, again=lambda: None)
        assert found.line is not None
        told = ask(found.line, settings)
    assert told.status is None
    assert told.kind is FailureKind.CLIENT_CERTIFICATE


@pytest.mark.parametrize(("profile", "kind"), [(2, FailureKind.NETWORK), (3, FailureKind.CLIENT_CERTIFICATE)])
def test_a_server_that_hangs_up_without_a_word_may_not_like_who_we_are(
    root: Authority, stations: Authority, tmp_path: Path, profile: int, kind: FailureKind
):
    def hang_up(head: bytes) -> bytes:
        raise ConnectionAbortedError

    with server(hang_up, root.server().server_context(tmp_path)) as there:
        own = stations.client("DEPOT 7").write(tmp_path, "own")
        settings = settings_for(there.port, root, security_profile=profile, client_files=own if profile == 3 else None)
        context = settings.tls()
        first = reach(("127.0.0.1",), there.port).connection
        assert context is not None
        assert first is not None
        found = secure(first, "localhost", context, again=lambda: None)
        assert found.line is not None
        told = ask(found.line, settings)
    assert told.problem.startswith("it hangs up")
    assert (told.status, told.kind) == (None, kind)


# --- names, addresses, files


def test_ways_not_to_connect_are_told_apart():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert reach(("127.0.0.1",), port).trouble is Trouble.REFUSED
    assert reach((), port).trouble is Trouble.OTHER
    with server(None) as there:
        found = reach(("::1", "127.0.0.1"), there.port)
        assert found.connection is not None
        found.connection.close()
        assert found.address == "127.0.0.1"


def test_a_name_is_asked_for_once_and_given_up_in_time(monkeypatch: pytest.MonkeyPatch):
    asked = []
    hang = threading.Event()

    def look_up(host: str, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        if host == "slow.example":
            hang.wait(10)
        if host == "none.example":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (2, 1, 6, "", ("192.0.2.1", 0)),
            (2, 1, 6, "", ("192.0.2.1", 0)),
            (10, 1, 6, "", ("2001:db8::1", 0, 0, 0)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = Resolver(0.2)
    assert resolver.resolve("good.example").addresses == ("192.0.2.1", "2001:db8::1")
    assert resolver.resolve("good.example").trouble is None
    assert resolver.resolve("none.example").trouble is Trouble.NAME
    assert resolver.resolve("slow.example").trouble is Trouble.NO_DNS
    assert resolver.resolve("::1").addresses == ("::1",)
    hang.set()
    assert asked == ["good.example", "none.example", "slow.example"]


def test_the_end_of_a_certificate_in_a_file_is_read_or_not_known(root: Authority, tmp_path: Path):
    path, _ = root.client("DEPOT-7").write(tmp_path, "station")
    ends = end_of(path)
    assert ends is not None
    assert 363 <= (ends - NOW).days <= 365
    path.write_text("garbage")
    assert end_of(path) is None
    assert end_of(tmp_path / "none") is None
