"""Addresses of files: what is one, what is refused, and whom credentials may go to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.jobs import Cause, Failed
from edged.transfer import problem_with
from edged.transfer.location import Location, parse, redirected


def location(url: str) -> Location:
    found = parse(url)
    assert isinstance(found, Location), found
    return found


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "data:,x", "sftp://h/x", "gopher://h", "C:/x", "ssh://h", "javascript:x"]
)
def test_other_protocols_are_unsupported(url):
    problem = problem_with(url)
    assert problem is not None
    assert problem.cause is Cause.UNSUPPORTED


@pytest.mark.parametrize(
    "url",
    [
        "",
        "firmware.bin",
        "//host/x",
        "http://",
        "http:///x",
        "http:host/x",
        "http://h:0/",
        "http://h:99999/",
        "http://h:x/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://[::zz]/",
        "http://a b/",
        "http://h/\r\nX: y",
        "http://h\\@evil/",
        "http://h/\x00",
        "http://-h/",
        "http://a..b/",
        "http://h/" + "x" * 2048,
        "ftp://u:p%0d%0aQUIT@h/x",
        "http://u%3Ax:p@h/",
        "ftp://h/a%0Ab",
        "ftp://h/" + "a/" * 40,
        "http://" + "a" * 300 + "/",
        "http://ex%61mple.com/",
        "http://h<>/",
    ],
)
def test_what_is_no_address_is_a_bad_request(url):
    problem = problem_with(url)
    assert problem is not None
    assert problem.cause is Cause.BAD_REQUEST


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("http://Example.COM", "example.com", 80, "/"),
        ("HTTPS://example.com:8443/a%20b?c=d#e", "example.com", 8443, "/a%20b?c=d"),
        ("ftp://example.com/x", "example.com", 21, "/x"),
        ("ftps://example.com/x", "example.com", 990, "/x"),
        ("http://[2001:DB8::1]:81/x", "2001:db8::1", 81, "/x"),
        ("http://bücher.example/ü", "xn--bcher-kva.example", 80, "/%C3%BC"),
        ("http://h?x=/../", "h", 80, "/?x=/../"),
    ],
)
def test_an_address_is_read(url, host, port, target):
    found = location(url)
    assert (found.host, found.actual_port, found.target) == (host, port, target)


def test_credentials_are_decoded_and_not_shown():
    found = location("ftp://us%40er:p%2Fw%C3%BC@h/x")
    assert (found.user, found.password) == ("us@er", "p/wü")
    assert "p/w" not in repr(found)
    assert found.fingerprint == location("ftp://h/x").fingerprint


def test_a_path_of_ftp_is_split_before_it_is_decoded():
    assert location("ftp://h/%2Fetc/a%20b;type=i").segments == ("/etc", "a b")


@pytest.mark.parametrize(
    ("to", "kept"),
    [
        ("/other", True),
        ("https://h/x", True),
        ("http://h:80/x", True),
        ("http://h:81/x", False),
        ("https://h:8443/x", False),
        ("http://other/x", False),
        ("//other/x", False),
        ("http://h.evil/x", False),
        ("http://x:y@other/x", False),
    ],
)
def test_credentials_follow_a_redirect_to_the_same_origin_only(to, kept):
    found = redirected(location("http://u:p@h/x"), to)
    assert isinstance(found, Location)
    assert (found.user, found.password) == (("u", "p") if kept else (None, ""))


@pytest.mark.parametrize("to", ["http://h/x", "ftp://h/x", "file:///x", "https://h:0/"])
def test_a_redirect_never_leaves_tls_nor_the_web(to):
    assert isinstance(redirected(location("https://h/x"), to), Failed)


@given(st.text(max_size=80) | st.from_regex(r"(https?|ftps?)://[^/]{0,20}/.{0,20}", fullmatch=True))
def test_whatever_comes_is_an_address_or_a_problem(url):
    found = parse(url)
    if isinstance(found, Location):
        assert found.host
        assert 0 < found.actual_port < 65536
        assert found.target.isascii()
        assert found.target.isprintable()
        assert " " not in found.target
    else:
        assert found.cause in (Cause.BAD_REQUEST, Cause.UNSUPPORTED)
