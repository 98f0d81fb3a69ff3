"""FTP and FTPS against pyftpdlib, and against a server that cheats."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from edged.domain.jobs import Cause, Done, Failed, Fetched
from edged.transfer.location import PORTS, Location, parse
from tests.fakes.file_servers import CheatingFtp, ftp_server
from tests.fakes.pki import Authority

CONTENT = bytes(range(256)) * 2000
IN = "edged:s3cret%2Fword@"


@pytest.fixture
def served(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    (folder / "firmware").mkdir(parents=True)
    (folder / "firmware" / "fw 1.bin").write_bytes(CONTENT)
    return folder


def url(server: Any, path: str = "/firmware/fw%201.bin", who: str = IN, scheme: str = "ftp") -> str:
    return f"{scheme}://{who}127.0.0.1:{server.address[1]}{path}"


def is_whole(outcome, bench) -> bool:
    assert outcome == Fetched("fw.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest()), outcome
    return bench.target.read_bytes() == CONTENT and [path.name for path in bench.folder.iterdir()] == ["fw.bin"]


def failed(outcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


def a_part(bench, server, path: str, served: Path, content: bytes) -> None:
    """What an attempt leaves that was cut off in the middle."""
    location = parse(url(server, path))
    assert isinstance(location, Location)
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime((served / "firmware" / "fw 1.bin").stat().st_mtime))
    note = {
        "location": location.fingerprint,
        "validator": f"{stamp} {len(CONTENT)}",
        "total": len(CONTENT),
        "durable": len(content),
    }
    bench.part.write_bytes(content)
    (bench.folder / "fw.bin.part.json").write_text(json.dumps(note))


async def test_a_file_arrives_whole_with_its_hash(bench, served):
    with ftp_server(served) as server:
        assert is_whole(await bench.fetch(url(server)), bench)


async def test_a_download_goes_on_where_it_ended(bench, served):
    asked: list[str] = []
    with ftp_server(served, ftp_REST=None) as server:
        handler = server.handler
        plain = handler.__mro__[1].ftp_REST
        handler.ftp_REST = lambda self, line: (asked.append(line), plain(self, line))[1]
        a_part(bench, server, "/firmware/fw%201.bin", served, CONTENT[:300_000])
        assert is_whole(await bench.fetch(url(server)), bench)
    assert asked == ["300000"]


async def test_a_file_that_changed_meanwhile_starts_from_zero(bench, served):
    with ftp_server(served) as server:
        a_part(bench, server, "/firmware/fw%201.bin", served, b"\0" * 300_000)
        os.utime(served / "firmware" / "fw 1.bin", (1_000_000_000, 1_000_000_000))
        assert is_whole(await bench.fetch(url(server)), bench)


async def test_a_server_that_cannot_go_on_in_the_middle_starts_from_zero(bench, served):
    with ftp_server(served, ftp_REST=lambda self, line: self.respond("502 not here")) as server:
        a_part(bench, server, "/firmware/fw%201.bin", served, b"\0" * 300_000)
        assert is_whole(await bench.fetch(url(server)), bench)


async def test_a_server_without_size_and_time_is_good_enough(bench, served):
    unknown = {f"ftp_{name}": lambda self, line: self.respond("500 what") for name in ("SIZE", "MDTM", "EPSV")}
    with ftp_server(served, **unknown) as server:
        assert is_whole(await bench.fetch(url(server)), bench)


async def test_a_connection_that_breaks_in_the_middle_is_gone_on_with(bench, served):
    calls: list[str] = []

    def size(self: Any, path: str) -> None:
        """The first time it promises what it has not."""
        calls.append(path)
        self.respond(f"213 {len(CONTENT) * (2 if len(calls) == 1 else 1)}")

    with ftp_server(served, ftp_SIZE=size) as server:
        assert is_whole(await bench.fetch(url(server), retries=1), bench)
    assert bench.pauses == [5]


async def test_a_wrong_password_is_refused_and_told_nowhere(bench, served, caplog):
    caplog.set_level("DEBUG")
    with ftp_server(served) as server:
        outcome = failed(await bench.fetch(url(server, who="edged:hunter2@"), retries=3))
    assert outcome == Failed("the server 127.0.0.1 lets us not in (reply 530)", Cause.REFUSED)
    assert "hunter2" not in caplog.text


async def test_a_file_that_is_not_there_is_not_tried_again(bench, served):
    with ftp_server(served) as server:
        assert "550" in failed(await bench.fetch(url(server, "/firmware/none"), retries=3)).reason
        assert "550" in failed(await bench.fetch(url(server, "/none/none"), retries=3)).reason
    assert bench.pauses == []


async def test_a_folder_is_no_file(bench, served):
    with ftp_server(served) as server:
        assert failed(await bench.fetch(url(server, "/firmware/"))).cause is Cause.BAD_REQUEST


async def test_a_file_that_is_too_large_is_not_begun(bench, served):
    bench.limit(max_bytes=1000)
    with ftp_server(served) as server:
        assert "larger than 1000" in failed(await bench.fetch(url(server), retries=3)).reason
    assert list(bench.folder.iterdir()) == []


async def test_a_server_with_an_address_of_version_six_is_reached(bench, served):
    with ftp_server(served, host="::1") as server:
        assert is_whole(await bench.fetch(url(server).replace("127.0.0.1", "[::1]")), bench)


# --- uploads


@pytest.mark.parametrize("path", ["/firmware", "/firmware/", "/firmware/log.tar.gz"])
async def test_a_log_goes_into_the_folder_that_the_location_names(bench, served, path):
    with ftp_server(served) as server:
        assert await bench.send(url(server, path), CONTENT) == Done()
    assert (served / "firmware" / "log.tar.gz").read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["", "/"])
async def test_a_location_without_a_path_is_the_first_folder(bench, served, path):
    with ftp_server(served) as server:
        assert await bench.send(url(server, path), CONTENT) == Done()
    assert (served / "log.tar.gz").read_bytes() == CONTENT


async def test_a_location_that_ends_like_a_file_is_the_file(bench, served):
    with ftp_server(served) as server:
        assert await bench.send(url(server, "/firmware/station-7.tgz"), CONTENT) == Done()
    assert (served / "firmware" / "station-7.tgz").read_bytes() == CONTENT


async def test_no_folder_is_made(bench, served):
    with ftp_server(served) as server:
        assert "550" in failed(await bench.send(url(server, "/nowhere"), CONTENT, retries=3)).reason
    assert sorted(path.name for path in served.iterdir()) == ["firmware"]


async def test_a_folder_that_may_not_be_written_refuses(bench, served):
    with ftp_server(served, ftp_STOR=lambda self, file: self.respond("550 no")) as server:
        assert failed(await bench.send(url(server, "/firmware"), CONTENT, retries=3)).cause is Cause.REFUSED


async def test_an_upload_is_tried_again_from_its_start(bench, served):
    calls: list[str] = []
    with ftp_server(served) as server:
        plain = server.handler.ftp_STOR

        def busy(self: Any, file: str, mode: str = "w") -> Any:
            calls.append(file)
            return self.respond("451 not now") if len(calls) == 1 else plain(self, file, mode)

        server.handler.ftp_STOR = busy
        assert await bench.send(url(server, "/firmware"), CONTENT, retries=1) == Done()
    assert (served / "firmware" / "log.tar.gz").read_bytes() == CONTENT


# --- FTPS


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new()


async def test_ftps_encrypts_both_connections_and_checks_the_certificate(bench, served, authority, tmp_path):
    bench.more["ca_pems"] = lambda: [authority.pem]
    with ftp_server(served, pair=authority.server().write(tmp_path, "ftp")) as server:
        assert is_whole(await bench.fetch(url(server, scheme="ftps")), bench)
        assert await bench.send(url(server, "/firmware", scheme="ftps"), CONTENT) == Done()
        assert (served / "firmware" / "log.tar.gz").read_bytes() == CONTENT
        assert "reply 550" in failed(await bench.fetch(url(server, scheme="ftp"))).reason


async def test_ftps_to_an_unknown_authority_sends_no_password(bench, served, authority, tmp_path):
    with CheatingFtp({"AUTH": "234 go on"}) as plain:
        failed(await bench.fetch(f"ftps://{IN}127.0.0.1:{plain.port}/x"))
        assert plain.commands[0] == "AUTH TLS"
        assert not any("PASS" in command for command in plain.commands)
    with ftp_server(served, pair=authority.server().write(tmp_path, "ftp")) as server:
        assert "certificate is not trusted" in failed(await bench.fetch(url(server, scheme="ftps"))).reason


async def test_ftps_never_falls_back_to_plain(bench):
    with CheatingFtp({"AUTH": "502 what is that"}) as server:
        failed(await bench.fetch(f"ftps://{IN}127.0.0.1:{server.port}/x", retries=3))
        assert server.commands == ["AUTH TLS"]


async def test_ftps_without_a_port_is_auth_tls_where_nobody_listens_at_its_own(
    bench, served, authority, tmp_path, monkeypatch
):
    bench.more["ca_pems"] = lambda: [authority.pem]
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    with ftp_server(served, pair=authority.server().write(tmp_path, "ftp")) as server:
        monkeypatch.setitem(PORTS, "ftps", closed)
        monkeypatch.setattr("edged.transfer.ftp.IMPLICIT_PORT", closed)
        monkeypatch.setattr("edged.transfer.ftp.EXPLICIT_PORT", server.address[1])
        assert is_whole(await bench.fetch(f"ftps://{IN}127.0.0.1/firmware/fw%201.bin"), bench)


async def test_ftps_at_its_own_port_is_tls_from_the_first_byte(bench, served, authority, tmp_path, monkeypatch):
    bench.more["ca_pems"] = lambda: [authority.pem]
    with ftp_server(served, pair=authority.server().write(tmp_path, "ftp"), implicit=True) as server:
        monkeypatch.setattr("edged.transfer.ftp.IMPLICIT_PORT", server.address[1])
        assert is_whole(await bench.fetch(url(server, scheme="ftps")), bench)
        assert await bench.send(url(server, "/firmware", scheme="ftps"), CONTENT) == Done()
    assert (served / "firmware" / "log.tar.gz").read_bytes() == CONTENT


# --- a server that cheats


async def test_data_comes_from_the_servers_own_address_whatever_it_says(bench):
    """227 names 127.0.0.2, where a trap listens at the very port."""
    with socket.create_server(("127.0.0.1", 0)) as data:
        port = data.getsockname()[1]
        with socket.create_server(("127.0.0.2", port)) as trap:
            told = f"227 go (127,0,0,2,{port >> 8},{port & 255})"
            with CheatingFtp({"PASV": told, "RETR": "150 here"}) as server:
                bench.limit(stall_timeout_s=0.5)
                failed(await bench.fetch(f"ftp://{IN}127.0.0.1:{server.port}/x"))
            trap.setblocking(False)
            with pytest.raises(BlockingIOError):
                trap.accept()
            data.setblocking(False)
            data.accept()[0].close()


@pytest.mark.parametrize("replies", [{"EPSV": "229 here (|||25|)"}, {"PASV": "227 go (127,0,0,1,0,25)"}])
async def test_a_data_port_that_belongs_to_another_service_is_not_connected_to(bench, replies):
    with CheatingFtp(replies) as server:
        reason = failed(await bench.fetch(f"ftp://{IN}127.0.0.1:{server.port}/x")).reason
    assert reason == "the server 127.0.0.1 names data port 25, which is none for data"


@pytest.mark.parametrize("replies", [{"EPSV": "229 nonsense"}, {"PASV": "227 go (1,2)"}, {"EPSV": "229 (|||99999|)"}])
async def test_a_data_port_that_is_none_is_a_failure(bench, replies):
    with CheatingFtp(replies) as server:
        failed(await bench.fetch(f"ftp://{IN}127.0.0.1:{server.port}/x"))
        assert not any(command.startswith("RETR") for command in server.commands)


async def test_a_reply_without_end_is_left_after_some_lines(bench):
    with CheatingFtp({}, welcome="220-" + "\r\n220-more" * 1000) as server:
        reason = failed(await bench.fetch(f"ftp://{IN}127.0.0.1:{server.port}/x")).reason
    assert reason == "the server 127.0.0.1 gave a reply that is none"


@pytest.mark.parametrize(
    "welcome",
    [
        "220 " + "x" * 100_000,
        "what?",
        "220 \udcff".encode("utf-8", "replace").decode(),
        "",
    ],
)
async def test_a_welcome_without_end_or_sense_is_left(bench, welcome):
    bench.limit(stall_timeout_s=0.5)
    with CheatingFtp({}, welcome=welcome) as server:
        failed(await bench.fetch(f"ftp://{IN}127.0.0.1:{server.port}/x"))


async def test_what_a_server_says_gets_nowhere(bench, caplog):
    caplog.set_level("DEBUG")
    with CheatingFtp({"PASS": "530 no such password: s3cret/word"}) as server:
        assert "s3cret" not in failed(await bench.fetch(f"ftp://{IN}127.0.0.1:{server.port}/x")).reason
    assert "s3cret" not in caplog.text


async def test_anonymous_where_the_address_names_nobody(bench):
    with CheatingFtp({"PASS": "530 no"}) as server:
        failed(await bench.fetch(f"ftp://127.0.0.1:{server.port}/x"))
        assert server.commands[:2] == ["USER anonymous", "PASS anonymous@"]


async def test_ftp_addresses_are_judged_as_well(bench):
    bench.limit(allowed=())
    assert failed(await bench.fetch("ftp://127.0.0.1/x")).cause is Cause.REFUSED
    assert failed(await bench.send("ftps://[::ffff:10.0.0.1]/x")).cause is Cause.REFUSED
