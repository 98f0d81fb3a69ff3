"""Downloads by HTTP and HTTPS from servers that are good, bad and mean."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
import socket
import threading
import warnings

import pytest

from edged.domain.jobs import Cause, Failed, Fetched, Stage
from tests.fakes.file_servers import Call, WebServer, broken_after, serving, status
from tests.fakes.pki import Authority

CONTENT = bytes(range(256)) * 400  # 102,400 bytes


def is_whole(outcome, bench, content=CONTENT) -> bool:
    assert outcome == Fetched("fw.bin", len(content), hashlib.sha256(content).hexdigest()), outcome
    left = sorted(path.name for path in bench.folder.iterdir())
    return bench.target.read_bytes() == content and left == ["fw.bin"]


def failed(outcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


async def test_a_file_arrives_whole_with_its_hash(bench):
    with WebServer(serving(CONTENT)) as server:
        assert is_whole(await bench.fetch(server.url()), bench)
        assert server.calls[0].headers["Accept-Encoding"] == "identity"
    assert bench.stages == []
    assert bench.target.stat().st_mode & 0o777 == 0o600


async def test_a_broken_download_goes_on_where_it_ended(bench):
    with WebServer(broken_after(CONTENT, 70_000, ETag='"one"'), serving(CONTENT)) as server:
        assert is_whole(await bench.fetch(server.url(), retries=1, interval_s=7), bench)
        assert (
            server.calls[1].headers["Range"] == "bytes=70000-" or int(server.calls[1].headers["Range"][6:-1]) > 60_000
        )
        assert server.calls[1].headers["If-Range"] == '"one"'
    assert bench.stages == [Stage.PAUSED, Stage.RESUMED]
    assert bench.pauses == [7]


async def test_a_download_goes_on_after_a_restart_of_the_daemon(bench):
    with WebServer(broken_after(CONTENT, 70_000, ETag='"one"'), serving(CONTENT)) as server:
        failed(await bench.fetch(server.url()))
        assert bench.part.exists()
        assert is_whole(await bench.fetch(server.url()), bench)
        assert server.calls[1].headers["Range"].startswith("bytes=")


async def test_a_last_modified_is_enough_to_go_on(bench):
    date = "Sat, 21 Nov 2026 10:00:00 GMT"

    def rest(call: Call) -> None:
        start = int(call.headers["Range"][6:-1])
        assert call.headers["If-Range"] == date
        told = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        call.say(206, CONTENT[start:], Content_Range=told)

    with WebServer(broken_after(CONTENT, 50_000, Last_Modified=date), rest) as server:
        assert is_whole(await bench.fetch(server.url(), retries=1), bench)


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"weak"'}])
async def test_without_a_strong_validator_a_download_starts_from_zero(bench, headers):
    with WebServer(broken_after(CONTENT, 50_000, **headers), serving(CONTENT)) as server:
        assert is_whole(await bench.fetch(server.url(), retries=1), bench)
        assert "Range" not in server.calls[1].headers


async def test_a_file_that_changed_meanwhile_starts_from_zero(bench):
    other = CONTENT[::-1]
    with WebServer(broken_after(CONTENT, 50_000, ETag='"one"'), serving(other, etag='"two"')) as server:
        assert is_whole(await bench.fetch(server.url(), retries=1), bench, other)


async def test_a_server_that_ignores_ranges_starts_from_zero(bench):
    with WebServer(
        broken_after(CONTENT, 50_000, ETag='"one"'), lambda call: call.say(200, CONTENT, ETag='"one"')
    ) as server:
        assert is_whole(await bench.fetch(server.url(), retries=1), bench)


@pytest.mark.parametrize(
    "told",
    [
        {"Content_Range": "bytes 0-9/102400"},
        {"Content_Range": "bytes 40960-1/12"},
        {"Content_Range": "nonsense"},
        {},
    ],
)
async def test_a_range_that_makes_no_sense_starts_from_zero_at_once(bench, told):
    with WebServer(
        broken_after(CONTENT, 40_960, ETag='"one"'), lambda call: call.say(206, b"wrong", **told), serving(CONTENT)
    ) as server:
        assert is_whole(await bench.fetch(server.url(), retries=1), bench)
        assert "Range" not in server.calls[2].headers


async def test_a_206_of_another_file_starts_from_zero(bench):
    def other(call: Call) -> None:
        start = int(call.headers["Range"][6:-1])
        told = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        call.say(206, b"\0" * (len(CONTENT) - start), ETag='"two"', Content_Range=told)

    with WebServer(broken_after(CONTENT, 40_960, ETag='"one"'), other, serving(CONTENT, etag='"two"')) as server:
        assert is_whole(await bench.fetch(server.url(), retries=1), bench)


async def test_a_range_that_cannot_be_satisfied_starts_from_zero(bench):
    with WebServer(broken_after(CONTENT, 40_960, ETag='"one"'), status(416), serving(CONTENT)) as server:
        assert is_whole(await bench.fetch(server.url(), retries=1), bench)


async def test_ranges_that_are_answered_without_being_asked_for_are_a_failure(bench):
    with WebServer(lambda call: call.say(206, b"part", Content_Range="bytes 5-8/100")) as server:
        assert "206" in failed(await bench.fetch(server.url())).reason
    assert list(bench.folder.iterdir()) == []


async def test_another_address_does_not_go_on_with_this_ones_bytes(bench):
    with WebServer(broken_after(CONTENT, 50_000, ETag='"one"'), serving(CONTENT)) as server:
        failed(await bench.fetch(server.url("/a")))
        assert is_whole(await bench.fetch(server.url("/b")), bench)
        assert "Range" not in server.calls[1].headers


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"durable": -5}', b"[" * 9000, b"\xff\xff"])
async def test_a_damaged_note_beside_the_part_starts_from_zero(bench, note):
    bench.part.write_bytes(b"x" * 50_000)
    (bench.folder / "fw.bin.part.json").write_bytes(note)
    with WebServer(serving(CONTENT)) as server:
        assert is_whole(await bench.fetch(server.url()), bench)
        assert "Range" not in server.calls[0].headers


async def test_bytes_that_were_not_yet_durable_are_not_gone_on_with(bench):
    """After a power cut a file may be longer than what of it is true."""
    with WebServer(broken_after(CONTENT, 50_000, ETag='"one"'), serving(CONTENT)) as server:
        failed(await bench.fetch(server.url()))
        durable = json.loads((bench.folder / "fw.bin.part.json").read_text())["durable"]
        with bench.part.open("ab") as file:
            file.write(b"\0" * 20_000)
        assert is_whole(await bench.fetch(server.url()), bench)
        assert server.calls[1].headers["Range"] == f"bytes={durable}-"


async def test_a_part_that_is_whole_already_asks_nobody(bench):
    with WebServer(broken_after(CONTENT, 50_000, ETag='"one"'), serving(CONTENT)) as server:
        failed(await bench.fetch(server.url()))
        bench.part.write_bytes(CONTENT)
        path = bench.folder / "fw.bin.part.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"durable": len(CONTENT)}))
        assert is_whole(await bench.fetch(server.url()), bench)
        assert len(server.calls) == 1


async def test_a_chunked_file_arrives_whole(bench):
    chunks = b"".join(b"%x\r\n%s\r\n" % (1000, CONTENT[at : at + 1000]) for at in range(0, 100_000, 1000))
    with WebServer(lambda call: call.say(200, chunks + b"0\r\n\r\n", Transfer_Encoding="chunked")) as server:
        assert is_whole(await bench.fetch(server.url()), bench, CONTENT[:100_000])


@pytest.mark.parametrize("body", [b"3e8\r\nabc", b"zzz\r\n", b"", b"-5\r\nabc", b"-1\r\nabc"])
async def test_a_chunked_file_that_breaks_off_is_a_failure(bench, body):
    with WebServer(lambda call: call.say(200, body, Transfer_Encoding="chunked")) as server:
        failed(await bench.fetch(server.url()))
    assert not bench.target.exists()


async def test_a_chunk_of_less_than_nothing_does_not_fill_the_memory(bench):
    sent = 0

    def endless(call: Call) -> None:
        nonlocal sent
        call.say(200, b"-1\r\n", Transfer_Encoding="chunked")
        while sent < 50_000_000:
            call.wfile.write(CONTENT)
            sent += len(CONTENT)

    with WebServer(endless) as server:
        failed(await bench.fetch(server.url()))
    assert sent < 20_000_000


async def test_a_file_without_a_length_ends_with_the_line(bench):
    with WebServer(lambda call: call.say(200, CONTENT, Connection="close")) as server:
        assert is_whole(await bench.fetch(server.url()), bench)


async def test_content_that_is_encoded_is_kept_as_it_came(bench):
    with WebServer(serving(b"\x1f\x8bnot really", Content_Encoding="gzip")) as server:
        assert is_whole(await bench.fetch(server.url()), bench, b"\x1f\x8bnot really")


async def test_a_line_that_is_reset_in_the_middle_is_gone_on_with(bench):
    def rude(call: Call) -> None:
        broken_after(CONTENT, 60_000, ETag='"one"')(call)
        call.wfile.flush()
        call.reset()

    with WebServer(rude, serving(CONTENT)) as server:
        assert is_whole(await bench.fetch(server.url(), retries=1), bench)


@pytest.mark.parametrize("code", [408, 425, 429, 500, 503])
async def test_what_may_pass_is_tried_again(bench, code):
    with WebServer(status(code), serving(CONTENT)) as server:
        assert is_whole(await bench.fetch(server.url(), retries=1), bench)


@pytest.mark.parametrize("code", [400, 404, 410, 416, 451])
async def test_what_will_not_pass_is_not_tried_again(bench, code):
    with WebServer(status(code)) as server:
        assert str(code) in failed(await bench.fetch(server.url(), retries=3)).reason
        assert len(server.calls) == 1
    assert bench.pauses == []


async def test_what_no_attempt_can_go_on_with_takes_no_space(bench):
    with WebServer(broken_after(CONTENT, 50_000), broken_after(CONTENT, 50_000, ETag='"1"'), status(404)) as server:
        failed(await bench.fetch(server.url()))
        assert list(bench.folder.iterdir()) == []
        failed(await bench.fetch(server.url()))
        assert len(list(bench.folder.iterdir())) == 2
        failed(await bench.fetch(server.url()))
    assert list(bench.folder.iterdir()) == []


@pytest.mark.parametrize("code", [401, 403])
async def test_a_server_that_lets_us_not_in_refuses(bench, code):
    with WebServer(status(code)) as server:
        assert failed(await bench.fetch(server.url(), retries=3)).cause is Cause.REFUSED
        assert len(server.calls) == 1


@pytest.mark.parametrize(("after", "pause"), [("30", 30), ("2", 5), ("999999999", 3600), ("soon", 5), ("-4", 5)])
async def test_the_server_may_ask_for_a_longer_pause(bench, after, pause):
    with WebServer(status(503, Retry_After=after), serving(CONTENT)) as server:
        await bench.fetch(server.url(), retries=1)
    assert bench.pauses == [pause]


async def test_attempts_are_counted_and_never_follow_without_a_pause(bench):
    with WebServer(status(500)) as server:
        failed(await bench.fetch(server.url(), retries=3, interval_s=0))
        assert len(server.calls) == 4
    assert bench.pauses == [1, 1, 1]
    assert bench.stages == [Stage.PAUSED, Stage.RESUMED] * 3


async def test_an_interval_without_end_has_one(bench):
    with WebServer(status(500)) as server:
        failed(await bench.fetch(server.url(), retries=1, interval_s=10**400))
    assert bench.pauses == [7 * 24 * 3600]


async def test_a_file_that_says_it_is_too_large_is_not_begun(bench):
    bench.limit(max_bytes=1000)
    with WebServer(serving(CONTENT)) as server:
        assert "larger than 1000" in failed(await bench.fetch(server.url(), retries=3)).reason
        assert len(server.calls) == 1
    assert list(bench.folder.iterdir()) == []


async def test_a_file_that_turns_out_too_large_is_given_up_and_its_space_given_back(bench):
    bench.limit(max_bytes=50_000)

    def endless(call: Call) -> None:
        call.say(200, b"", Connection="close")
        while True:
            call.wfile.write(CONTENT)

    with WebServer(endless) as server:
        assert "larger than 50000" in failed(await bench.fetch(server.url(), retries=3)).reason
    assert list(bench.folder.iterdir()) == []


async def test_a_disk_with_too_little_space_is_left_alone(bench):
    bench.limit(keep_free_bytes=1000)
    bench.more["free_bytes"] = lambda folder: 1000 + len(CONTENT) - 1
    with WebServer(serving(CONTENT)) as server:
        assert "too little free space" in failed(await bench.fetch(server.url(), retries=3)).reason
        assert len(server.calls) == 1
    assert list(bench.folder.iterdir()) == []


async def test_a_disk_that_fills_up_meanwhile_ends_the_download(bench):
    bench.limit(keep_free_bytes=1_000_000)
    bench.more["free_bytes"] = lambda folder: 3_000_000 - (bench.part.stat().st_size if bench.part.exists() else 0)
    with WebServer(lambda call: call.say(200, CONTENT * 35, Connection="close")) as server:
        assert "too little free space" in failed(await bench.fetch(server.url(), retries=3)).reason
    assert list(bench.folder.iterdir()) == []


async def test_a_disk_that_is_full_is_told_and_nothing_is_left(bench, monkeypatch):
    def full(file, mode, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    with WebServer(serving(CONTENT)) as server:
        assert failed(await bench.fetch(server.url(), retries=3)).reason == "the disk is full"


async def test_a_link_in_the_place_of_the_part_is_not_followed(bench):
    (bench.folder / "elsewhere").write_bytes(b"precious")
    bench.part.symlink_to(bench.folder / "elsewhere")
    with WebServer(serving(CONTENT)) as server:
        assert "the disk" in failed(await bench.fetch(server.url())).reason
    assert (bench.folder / "elsewhere").read_bytes() == b"precious"


def silent(call: Call) -> None:
    call.server.ended.wait()


def dribbling_body(call: Call) -> None:
    call.say(200, b"", Content_Length="1000000")
    while not call.server.ended.wait(0.02):
        call.wfile.write(b"x")


def dribbling_head(call: Call) -> None:
    call.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not call.server.ended.wait(0.02):
        call.wfile.write(b"X: y\r\n")


def dribbling_chunk_size(call: Call) -> None:
    call.say(200, b"", Transfer_Encoding="chunked")
    while not call.server.ended.wait(0.02):
        call.wfile.write(b"0")


@pytest.mark.parametrize("mean", [silent, dribbling_body, dribbling_head, dribbling_chunk_size])
async def test_a_server_that_keeps_us_waiting_is_left(bench, mean):
    bench.limit(stall_timeout_s=0.3)
    with WebServer(mean) as server:
        reason = failed(await bench.fetch(server.url())).reason
    assert "too little" in reason or "in time" in reason or "no answer" in reason


async def test_an_attempt_that_takes_too_long_ends_and_the_next_goes_on(bench):
    bench.limit(total_timeout_s=0.5)

    def slow(call: Call) -> None:
        call.say(200, CONTENT[:40_000], ETag='"one"', Content_Length=str(len(CONTENT)))
        call.server.ended.wait()

    with WebServer(slow, serving(CONTENT)) as server:
        assert "took longer than" in failed(await bench.fetch(server.url())).reason
        assert is_whole(await bench.fetch(server.url()), bench)
        assert int(server.calls[1].headers["Range"][6:-1]) > 30_000


async def test_a_transfer_that_is_cancelled_lets_go_of_the_line_and_the_thread(bench):
    begun, gone = threading.Event(), threading.Event()

    def watched(call: Call) -> None:
        call.say(200, CONTENT[:20_000], ETag='"one"', Content_Length=str(len(CONTENT)))
        begun.set()
        call.connection.settimeout(10)
        if call.connection.recv(1) == b"":
            gone.set()

    with WebServer(watched, serving(CONTENT)) as server:
        task = asyncio.create_task(bench.fetch(server.url()))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 30)
        assert "transfer" not in [thread.name for thread in threading.enumerate()]
        assert await asyncio.to_thread(gone.wait, 10)
        assert is_whole(await bench.fetch(server.url()), bench)


async def test_a_transfer_that_hangs_in_the_resolver_can_be_cancelled_and_touches_nothing_afterwards(
    bench, monkeypatch
):
    monkeypatch.setattr("edged.transfer.lifeline.GRACE_S", 0.05)
    asked, go_on = threading.Event(), threading.Event()

    def resolve(host, port):
        asked.set()
        go_on.wait(120)
        return ["127.0.0.1"]

    bench.more["resolve"] = resolve
    with WebServer(serving(CONTENT)) as server:
        task = asyncio.create_task(bench.fetch(server.url(host="slow.example")))
        await asyncio.to_thread(asked.wait, 10)
        worker = next(thread for thread in threading.enumerate() if thread.name == "transfer")
        assert worker.daemon
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 30)
        go_on.set()
        await asyncio.to_thread(worker.join, 10)
        assert server.calls == []
    assert not bench.target.exists()


async def test_an_address_where_nobody_listens_is_a_failure_that_names_it(bench):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    reason = failed(await bench.fetch(f"http://127.0.0.1:{port}/x")).reason
    assert reason == f"cannot connect to 127.0.0.1, port {port}: connection refused"


async def test_the_next_address_is_tried_where_one_does_not_answer(bench):
    with WebServer(serving(CONTENT), host="127.0.0.1") as server:
        bench.resolve_to(["::1", "127.0.0.2", "127.0.0.1"])
        assert is_whole(await bench.fetch(server.url(host="two.example")), bench)


async def test_a_server_with_an_address_of_version_six_is_reached(bench):
    class Six(WebServer):
        address_family = socket.AF_INET6

    with Six(serving(CONTENT), host="::1") as server:
        assert is_whole(await bench.fetch(server.url(host="[::1]")), bench)
        assert server.calls[0].headers["Host"] == f"[::1]:{server.port}"


# --- credentials


async def test_credentials_of_the_address_are_sent_decoded_and_appear_nowhere(bench, caplog):
    caplog.set_level("DEBUG")
    with WebServer(status(500), serving(CONTENT)) as server:
        url = server.url("/fw?sig=topsecretsignature").replace("//", "//ed%40ged:p%3Aw%2Fd@")
        assert is_whole(await bench.fetch(url, retries=1), bench)
        assert server.calls[0].headers["Authorization"] == "Basic ZWRAZ2VkOnA6dy9k"
        assert server.calls[0].path == "/fw?sig=topsecretsignature"
    for word in ("p:w/d", "p%3Aw", "ZWRAZ2Vk", "topsecretsignature"):
        assert word not in caplog.text


async def test_a_failure_never_repeats_what_the_server_said(bench):
    with WebServer(lambda call: call.say(500, b"password s3cret is wrong", X="s3cret")) as server:
        assert "s3cret" not in failed(await bench.fetch(server.url().replace("//", "//u:s3cret@"))).reason


# --- redirects


def to(place: str, code: int = 302):
    return lambda call: call.say(code, Location=place)


BAD_HEADS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nabcde",
    b"HTTP/1.1 200 OK\r\nHTTP/9.9 999 x\r\n folded\r\n\r\nabcde",
]


def raw(head):
    def answer(call: Call) -> None:
        call.wfile.write(head)

    return answer


@pytest.mark.parametrize("head", BAD_HEADS)
async def test_a_bad_head_leaves_no_socket_open(bench, head):
    gc.collect()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with WebServer(raw(head)) as server:
            await bench.fetch(server.url())
        gc.collect()
    assert [str(warning.message) for warning in seen if issubclass(warning.category, ResourceWarning)] == []


@pytest.mark.parametrize("head", BAD_HEADS)
async def test_a_bad_head_brings_no_part_of_the_address_into_the_log(bench, head, caplog):
    caplog.set_level("DEBUG")
    with WebServer(raw(head)) as server:
        await bench.fetch(server.url("/private-path?signature=s3cret"))
    assert "s3cret" not in caplog.text and "private-path" not in caplog.text and "folded" not in caplog.text


async def test_redirects_are_followed_three_times(bench):
    with WebServer(to("/2"), to("3"), to("/4"), serving(CONTENT)) as server:
        assert is_whole(await bench.fetch(server.url("/1")), bench)
        assert [call.path for call in server.calls] == ["/1", "/2", "/3", "/4"]


async def test_the_fourth_redirect_is_not_followed(bench):
    with WebServer(to("/again")) as server:
        assert "more than 3 times" in failed(await bench.fetch(server.url(), retries=3)).reason
        assert len(server.calls) == 4


async def test_a_redirect_is_judged_like_the_address_itself(bench):
    bench.limit(allowed=("files.example",))
    bench.resolve_to(["127.0.0.1"], ["169.254.169.254"])
    with WebServer(to("http://metadata.example/latest")) as server:
        outcome = failed(await bench.fetch(server.url(host="files.example"), retries=3))
    assert outcome.cause is Cause.REFUSED
    assert "169.254.169.254" in outcome.reason


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://a b/", "http://[::1/"])
async def test_a_redirect_to_something_else_is_refused(bench, place):
    with WebServer(to(place)) as server:
        failed(await bench.fetch(server.url(), retries=3))
        assert len(server.calls) == 1


async def test_credentials_go_to_the_same_place_only(bench):
    with WebServer(serving(CONTENT)) as other, WebServer(to("/next"), to(other.url())) as server:
        assert is_whole(await bench.fetch(server.url().replace("//", "//u:p@")), bench)
        assert ["Authorization" in call.headers for call in server.calls] == [True, True]
        assert "Authorization" not in other.calls[0].headers


async def test_credentials_in_a_redirect_are_not_taken(bench):
    with WebServer(serving(CONTENT)) as server:
        server.answers = [to(server.url("/x").replace("//", "//evil:word@")), serving(CONTENT)]
        assert is_whole(await bench.fetch(server.url()), bench)
        assert "Authorization" not in server.calls[1].headers


# --- which address is connected to


async def test_a_private_address_is_refused_with_the_setting_that_would_allow_it(bench):
    bench.limit(allowed=())
    with WebServer(serving(CONTENT)) as server:
        outcome = failed(await bench.fetch(server.url(), retries=3))
        assert server.calls == []
    assert outcome.cause is Cause.REFUSED
    assert "files.allowed_hosts" in outcome.reason


async def test_a_name_is_resolved_once_and_what_was_judged_is_connected_to(bench):
    """A server of names that answers a harmless address first and this computer's the next time gets nothing."""
    bench.limit(allowed=("127.0.0.1",), connect_timeout_s=0.2)
    asked = bench.resolve_to(["127.0.0.1"], ["10.0.0.1"])
    with WebServer(serving(CONTENT)) as server:
        assert is_whole(await bench.fetch(server.url(host="rebinding.example")), bench)
        assert server.calls[0].headers["Host"] == f"rebinding.example:{server.port}"
    assert asked == ["rebinding.example"]


async def test_a_name_that_is_rebound_between_attempts_is_judged_again(bench):
    bench.limit(allowed=("127.0.0.1",))
    bench.resolve_to(["127.0.0.1"], ["10.0.0.1"])
    with WebServer(status(500)) as server:
        assert failed(await bench.fetch(server.url(host="rebinding.example"), retries=3)).cause is Cause.REFUSED
        assert len(server.calls) == 1


async def test_of_several_addresses_only_the_permitted_are_used(bench):
    bench.limit(allowed=("127.0.0.1",))
    bench.resolve_to(["10.1.2.3", "127.0.0.1", "not an address"])
    with WebServer(serving(CONTENT)) as server:
        assert is_whole(await bench.fetch(server.url(host="mixed.example")), bench)


async def test_a_name_that_is_not_found_is_tried_again(bench):
    def resolve(host, port):
        if not bench.pauses:
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return ["127.0.0.1"]

    bench.more["resolve"] = resolve
    with WebServer(serving(CONTENT)) as server:
        assert is_whole(await bench.fetch(server.url(host="late.example"), retries=1), bench)


# --- TLS


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new()


async def test_https_trusts_the_installed_roots_and_checks_the_name(bench, authority, tmp_path):
    context = authority.server(hosts=("files.example",)).server_context(tmp_path)
    bench.more["ca_pems"] = lambda: ["no certificate", authority.pem]
    bench.resolve_to(["127.0.0.1"])
    shown: list[str | None] = []
    context.sni_callback = lambda line, name, own: shown.append(name)
    with WebServer(serving(CONTENT), context=context) as server:
        assert is_whole(await bench.fetch(server.url(host="files.example")), bench)
        assert "certificate is not trusted" in failed(await bench.fetch(server.url(host="other.example"))).reason
    assert shown == ["files.example", "other.example"]


async def test_https_trusts_an_installed_root_that_another_one_signed(bench, authority, tmp_path):
    """As the CSMS's own line does: a new root is signed by the former one where that is checked."""
    below = Authority.new("Signed by another", parent=authority)
    bench.more["ca_pems"] = lambda: [below.pem]
    with WebServer(serving(CONTENT), context=below.server().server_context(tmp_path)) as server:
        assert is_whole(await bench.fetch(server.url()), bench)


async def test_https_trusts_the_installers_file(bench, authority, tmp_path):
    (tmp_path / "ca.pem").write_text(authority.pem)
    bench.more["ca_file"] = tmp_path / "ca.pem"
    with WebServer(serving(CONTENT), context=authority.server().server_context(tmp_path)) as server:
        assert is_whole(await bench.fetch(server.url()), bench)
        assert is_whole(await bench.fetch(server.url(host="localhost")), bench)


async def test_https_to_an_unknown_authority_fails(bench, authority, tmp_path):
    with WebServer(serving(CONTENT), context=authority.server().server_context(tmp_path)) as server:
        assert "certificate is not trusted" in failed(await bench.fetch(server.url())).reason
        assert server.calls == []


async def test_a_file_of_authorities_that_is_not_there_is_told(bench, authority, tmp_path):
    bench.more["ca_file"] = tmp_path / "missing.pem"
    with WebServer(serving(CONTENT), context=authority.server().server_context(tmp_path)) as server:
        assert "missing.pem" in failed(await bench.fetch(server.url())).reason


async def test_old_tls_is_not_spoken(bench, authority, tmp_path):
    import ssl
    import warnings

    context = authority.server().server_context(tmp_path)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    bench.more["ca_pems"] = lambda: [authority.pem]
    with WebServer(serving(CONTENT), context=context) as server:
        assert "TLS failed" in failed(await bench.fetch(server.url())).reason


async def test_https_never_redirects_to_http(bench, authority, tmp_path):
    bench.more["ca_pems"] = lambda: [authority.pem]
    context = authority.server().server_context(tmp_path)
    with WebServer(serving(CONTENT)) as plain, WebServer(to(plain.url()), context=context) as server:
        assert failed(await bench.fetch(server.url(), retries=3)).cause is Cause.REFUSED
        assert plain.calls == []
