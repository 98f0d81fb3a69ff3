"""Whatever a server says, a transfer ends with an outcome: no exception, no file that was not whole."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.domain.jobs import Done, Failed, Fetched
from edged.transfer import FileTransfer, TransferRules
from tests.fakes.file_servers import CheatingFtp

RULES = TransferRules(
    allowed=("127.0.0.1",), max_bytes=10_000, keep_free_bytes=0, stall_timeout_s=0.2, total_timeout_s=2.0
)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
HTTP_WORDS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 206 Partial\r\n", b"HTTP/9.9 999 x\r\n", b"HTTP/1.1 -1 x\r\n", b"HTTP/1.1",
        b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 302 Found\r\n", b"Location: /x\r\n", b"Location: http://[\r\n",
        b"Location: \xff\xfe\r\n", b"Content-Length: -5\r\n", b"Content-Length: 3\r\n", b"Content-Length: 5, 6\r\n",
        b"Content-Length: 99999999999999999999999\r\n", b"Content-Length: \xb2\r\n", b"Transfer-Encoding: chunked\r\n",
        b"Content-Range: bytes 5-1/0\r\n", b"Content-Range: bytes 0-9/10\r\n", b"ETag: \"\xe4\"\r\n",
        b"ETag: \"x\"\r\n",
        b"Retry-After: 99999999999999999999999999\r\n", b"Content-Encoding: gzip\r\n", b": x\r\n", b"\x00\r\n",
        b" folded\r\n",
        b"\r\n", b"5\r\nabcde\r\n", b"-1\r\n", b"-5\r\n", b"0x5\r\n", b"FFFFFFFFFFFFFFFFFF\r\n", b"0\r\n\r\n", b"abcde",
        b"x" * 70_000, b"A: b\r\n" * 200,
    ]
)  # fmt: skip
REPLIES = st.sampled_from(
    [
        "", "2", "200 ok", "150 here", "150 here (99999999999999999999 bytes)", "226 done", "331 more", "350 go on",
        "213 5", "213 -5", "213 20260101000000", "213 99999999999999999999999999", "213", "221 bye", "421 busy",
        "426 broken", "500 what", "530 no", "550 none", "229 (|||70000|)", "229 (|||0|)", "229 (|||x|)", "229 ((((",
        "229 )(",
        "227 (1,2,3,4,999,999)", "227 1,2", "227 (0,0,0,0,4,0)", "229 (|||1024|)", "999 x", "\u00e4\u00f6",
        "220-\r\n220-",
    ]
)  # fmt: skip
COMMANDS = st.sampled_from(
    ["USER", "PASS", "TYPE", "SIZE", "MDTM", "EPSV", "PASV", "RETR", "STOR", "REST", "CWD", "QUIT"]
)


@contextlib.contextmanager
def speaking(what: bytes) -> Iterator[int]:
    """A server that says the same to everybody."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    line, _ = listening.accept()
                    with line, contextlib.suppress(OSError):
                        line.settimeout(1)
                        line.recv(65536)
                        line.sendall(what)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def both(url: str, folder: Path) -> tuple[Fetched | Failed, Done | Failed]:
    async def run() -> tuple[Fetched | Failed, Done | Failed]:
        transfer = FileTransfer(RULES)
        fetched = await transfer.fetch(
            url, folder / "fw", retries=0, retry_interval_s=1, staged=lambda stage: pytest.fail("no second attempt")
        )
        (folder / "log").write_bytes(b"log" * 100)
        return fetched, await transfer.send(url, folder / "log", "log", retries=0, retry_interval_s=1)

    return asyncio.run(run())


@QUICK
@given(
    st.lists(HTTP_WORDS, max_size=8).map(b"".join)
    | st.lists(HTTP_WORDS, max_size=8).map(lambda words: b"HTTP/1.1 200 OK\r\n" + b"".join(words))
)
def test_nonsense_by_http_has_an_outcome(tmp_path_factory, said):
    folder = tmp_path_factory.mktemp("nonsense")
    with speaking(said) as port:
        fetched, sent = both(f"http://127.0.0.1:{port}/x", folder)
    assert isinstance(fetched, (Fetched, Failed))
    assert isinstance(sent, (Done, Failed))
    assert (folder / "fw").exists() == isinstance(fetched, Fetched)


@QUICK
@given(st.dictionaries(COMMANDS, REPLIES, max_size=5), st.just("220 hello") | REPLIES)
def test_nonsense_by_ftp_has_an_outcome(tmp_path_factory, replies, welcome):
    folder = tmp_path_factory.mktemp("nonsense")
    with CheatingFtp(replies, welcome=welcome) as server:
        fetched, sent = both(f"ftp://127.0.0.1:{server.port}/a/x", folder)
    assert isinstance(fetched, (Fetched, Failed))
    assert isinstance(sent, (Done, Failed))
    assert (folder / "fw").exists() == isinstance(fetched, Fetched)
