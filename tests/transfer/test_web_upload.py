"""Uploads by HTTP and HTTPS: POST first, PUT where there is no POST."""

from __future__ import annotations

import pytest

from edged.domain.jobs import Cause, Done, Failed
from tests.fakes.file_servers import Call, WebServer, status
from tests.fakes.pki import Authority

LOG = bytes(range(256)) * 3000


def methods(server: WebServer) -> list[tuple[str, str]]:
    return [(call.command, call.path) for call in server.calls]


@pytest.mark.req("N01.FR.19")
async def test_a_log_is_posted_with_its_type_and_name(bench):
    with WebServer(status(201)) as server:
        assert await bench.send(server.url("/logs?for=1"), LOG, "log-1.tar.gz") == Done()
        (call,) = server.calls
    assert (call.command, call.path, call.body == LOG) == ("POST", "/logs?for=1", True)
    assert call.headers["Content-Type"] == "application/gzip"
    assert call.headers["Content-Disposition"] == 'attachment; filename="log-1.tar.gz"'


@pytest.mark.parametrize("code", [404, 405, 411, 501])
@pytest.mark.parametrize(
    ("location", "place"), [("/logs", "/logs/l.tgz"), ("/logs/", "/logs/l.tgz"), ("", "/l.tgz"), ("/l.tgz", "/l.tgz")]
)
async def test_where_there_is_no_post_the_log_is_put_under_its_name(bench, code, location, place):
    with WebServer(status(code), status(204)) as server:
        assert await bench.send(server.url(location), LOG, "l.tgz") == Done()
        assert methods(server) == [("POST", location or "/"), ("PUT", place)]
        assert server.calls[1].body == LOG


async def test_where_there_is_nothing_under_the_location_it_is_put_to_as_it_is(bench):
    with WebServer(status(405), status(404), status(200)) as server:
        assert await bench.send(server.url("/logs/1f3a"), LOG, "l.tgz") == Done()
        assert methods(server) == [("POST", "/logs/1f3a"), ("PUT", "/logs/1f3a/l.tgz"), ("PUT", "/logs/1f3a")]


async def test_a_server_that_takes_it_in_no_way_is_not_asked_for_ever(bench):
    with WebServer(status(405)) as server:
        assert isinstance(await bench.send(server.url("/logs"), LOG, retries=3), Failed)
        assert len(server.calls) == 3


@pytest.mark.parametrize("code", [403, 405])
async def test_an_address_that_is_signed_for_put_is_put_to_as_it_is(bench, code):
    with WebServer(status(code), status(200)) as server:
        assert await bench.send(server.url("/bucket/key?X-Signature=abc"), LOG) == Done()
        assert methods(server)[1] == ("PUT", "/bucket/key?X-Signature=abc")


@pytest.mark.parametrize("code", [401, 403])
async def test_a_server_that_lets_us_not_in_refuses(bench, code):
    with WebServer(status(code)) as server:
        outcome = await bench.send(server.url(), LOG, retries=3)
        assert len(server.calls) == 1
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.REFUSED


async def test_each_attempt_sends_the_whole_log(bench):
    def half(call: Call) -> None:
        call.reset()

    with WebServer(half, status(503), status(200)) as server:
        assert await bench.send(server.url(), LOG, retries=2) == Done()
        assert [call.body == LOG for call in server.calls] == [True] * 3
    assert bench.pauses == [5, 5]


@pytest.mark.parametrize("code", [400, 413, 415])
async def test_what_will_not_pass_is_not_tried_again(bench, code):
    with WebServer(status(code)) as server:
        outcome = await bench.send(server.url(), LOG, retries=3)
        assert isinstance(outcome, Failed)
        assert str(code) in outcome.reason
        assert len(server.calls) == 1


@pytest.mark.parametrize("code", [301, 302, 307, 308])
async def test_a_redirect_takes_the_log_along(bench, code):
    with WebServer(lambda call: call.say(code, Location="/there"), status(200)) as server:
        assert await bench.send(server.url("/here"), LOG) == Done()
        assert methods(server) == [("POST", "/here"), ("POST", "/there")]
        assert server.calls[1].body == LOG


async def test_a_303_says_that_the_log_was_taken(bench):
    with WebServer(lambda call: call.say(303, Location="/thanks")) as server:
        assert await bench.send(server.url("/here"), LOG) == Done()
        assert len(server.calls) == 1


async def test_an_upload_to_a_private_address_is_refused(bench):
    bench.limit(allowed=())
    outcome = await bench.send("http://192.168.1.1/", LOG)
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.REFUSED


async def test_a_server_that_takes_nothing_is_left(bench):
    bench.limit(stall_timeout_s=0.3)

    class Deaf(WebServer):
        def finish_request(self, request, client_address):
            self.ended.wait()

    with Deaf(status(200)) as server:
        outcome = await bench.send(server.url(), b"x" * 20_000_000)
    assert isinstance(outcome, Failed)


async def test_a_log_that_is_not_there_is_a_failure(bench):
    outcome = await bench.transfer().send(
        "http://127.0.0.1/", bench.folder / "none", "x", retries=3, retry_interval_s=1
    )
    assert isinstance(outcome, Failed)
    assert outcome.reason == "the file to upload cannot be read: no such file or directory"


async def test_a_filename_with_tricks_is_made_harmless(bench):
    with WebServer(status(200)) as server:
        assert await bench.send(server.url(), LOG, 'a"\r\nEvil: 1/../b') == Done()
        assert server.calls[0].headers["Content-Disposition"] == 'attachment; filename="a___Evil__1_.._b"'


async def test_https_uploads_with_credentials(bench, tmp_path):
    authority = Authority.new()
    bench.more["ca_pems"] = lambda: [authority.pem]
    with WebServer(status(200), context=authority.server().server_context(tmp_path)) as server:
        assert await bench.send(server.url().replace("//", "//u:p@"), LOG) == Done()
        assert server.calls[0].headers["Authorization"] == "Basic dTpw"
