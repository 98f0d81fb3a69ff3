"""HTTP and HTTPS: one attempt of a download or an upload. Blocks; runs in a transfer's thread.

Owns requests, redirects, ranges and what a status means. Refuses to know retries. Invariants: it connects to judged
addresses only, at each hop anew; TLS is checked against the name; nothing is decoded; no URL and no header is logged.

Uploads: OCPP leaves the method open (2.0.1 N01.FR.19 tells how a POST looks). Stations in the field POST to the
location as it is or PUT to LOCATION/FILENAME, object stores sign a PUT to the location as it is. So: POST first,
and PUT where the server says that it does not take it so.
"""

from __future__ import annotations

import http.client
import logging
import re
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import quote

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from edged import __version__
from edged.domain.jobs import Cause, Failed, Fetched
from edged.transfer.attempt import Attempt, Cargo
from edged.transfer.failure import Restart, TransferError
from edged.transfer.lifeline import ENOUGH_BYTES, words
from edged.transfer.location import Location, redirected
from edged.transfer.part import PartFile
from edged.transfer.tls import tls_words

MAX_REDIRECTS = 3
MAX_RETRY_AFTER_S = 3600
_MOVED = frozenset({301, 302, 303, 307, 308})
_MOVED_WITH_BODY = _MOVED - {303}  # 303 says that the file was taken, and where to read about it
_NOT_SO = frozenset({404, 405, 411, 412, 501})
_LATER = frozenset({408, 425, 429})
_CLOSED = frozenset({401, 403, 407})
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_NUMBER = re.compile(r"\d{1,18}")

# Its lines show paths and queries, its warnings too, and a query may be a signature. What matters is said by us.
logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)

Dial = Callable[[], socket.socket]
Answers = list[http.client.HTTPResponse]


class _Wary(http.client.HTTPResponse):
    """The standard library takes a chunk of -1 bytes for everything that will ever come, and keeps it in memory."""

    def _read_next_chunk_size(self) -> int:
        size = int(super()._read_next_chunk_size())  # type: ignore[misc]
        if size < 0:
            raise http.client.HTTPException("a chunk of less than nothing")
        return size


def _begun(answers: Answers, *args: Any, **named: Any) -> _Wary:
    answer = _Wary(*args, **named)
    answers.append(answer)
    return answer


class _Plain(HTTPConnection):
    """Connects by `dial`, which knows the judged address, instead of resolving the name again. `answers` gets every
    answer that was begun: where its head is bad, nobody else closes it."""

    def __init__(self, *args: Any, dial: Dial, answers: Answers, **named: Any) -> None:
        super().__init__(*args, **named)
        self._dial = dial
        self.response_class = partial(_begun, answers)  # type: ignore[assignment]

    def connect(self) -> None:
        self.sock = self._dial()


class _Secure(HTTPSConnection):
    """The same where `dial` speaks TLS and has checked the name: version 1.26 cannot do that for an address."""

    def __init__(self, *args: Any, dial: Dial, answers: Answers, **named: Any) -> None:
        super().__init__(*args, **named)
        self._dial = dial
        self.response_class = partial(_begun, answers)  # type: ignore[assignment]

    def connect(self) -> None:
        self.sock = self._dial()
        self.is_verified = True


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Secure


def fetch(attempt: Attempt, location: Location, part: PartFile) -> Fetched:
    """Raises `TransferError`; what has come then lies in `part`."""
    if part.whole:
        return part.finish()
    try:
        _receive(attempt, location, part)
    except Restart:
        part.begin("", None)
        try:
            _receive(attempt, location, part)
        except Restart as again:
            raise TransferError("the server's ranges make no sense") from again
    return part.finish()


def send(attempt: Attempt, location: Location, cargo: Cargo) -> None:
    """Raises `TransferError`."""
    headers = {
        "Content-Type": "application/gzip",
        "Content-Disposition": f'attachment; filename="{cargo.filename}"',
        "Content-Length": str(cargo.size_bytes),
    }
    problem: TransferError | None = None
    for method, place in _ways(location, cargo.filename):
        with _answer(attempt, method, place, headers, cargo) as (response, _):
            problem = _refusal(place.host, response)
            wrong_way = response.status in _NOT_SO or (location.query and response.status == 403)
        if problem is None or not wrong_way:
            break
    if problem is not None:
        raise problem


def _ways(location: Location, filename: str) -> Iterator[tuple[str, Location]]:
    """A location with a query may be signed for PUT: then it is left as it is, and 403 is what a POST gets."""
    yield "POST", location
    under = _under(location, filename)
    if not location.query and under != location:
        yield "PUT", under
    if location.query or not location.path.endswith("/"):
        yield "PUT", location


def _under(location: Location, filename: str) -> Location:
    """LOCATION/FILENAME; a location that names the file already stays."""
    name = quote(filename)
    if location.path.endswith(f"/{name}"):
        return location
    return replace(location, path=f"{location.path.rstrip('/')}/{name}")


def _receive(attempt: Attempt, location: Location, part: PartFile) -> None:
    asked = part.offset
    headers = {"Range": f"bytes={asked}-", "If-Range": part.validator} if asked else {}
    with _answer(attempt, "GET", location, headers) as (response, final):
        if asked and response.status in (206, 416):
            part.go_on(_continued(response, part))
        elif response.status == 200:
            part.begin(_validator(response.headers), _length(response.headers))
        else:
            problem = _refusal(final.host, response)
            raise problem or TransferError(f"the server {final.host} answered with status {response.status}")
        try:
            while data := response.read(ENOUGH_BYTES, decode_content=False):
                part.write(data)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            part.keep()
            raise _broken(final, error) from error
        except TransferError:
            part.keep()
            raise
    if part.total is not None and part.offset != part.total:
        part.keep()
        raise TransferError(f"the server {final.host} ended after {part.offset} of {part.total} bytes")


def _continued(response: Any, part: PartFile) -> int | None:
    """The size of the whole file, where the answer goes on behind what is here. Raises `Restart` where it does not."""
    match = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if response.status != 206 or match is None or int(match[1]) != part.offset:
        raise Restart
    told = _validator(response.headers)
    if told and told.startswith('"') == part.validator.startswith('"') and told != part.validator:
        raise Restart
    last, total = int(match[2]), None if match[3] == "*" else int(match[3])
    if total is not None and (last >= total or part.total not in (None, total)):
        raise Restart
    return total


def _validator(headers: Mapping[str, str]) -> str:
    """What If-Range may carry (RFC 9110 13.1.5): a strong entity tag, or else the date."""
    tag = headers.get("ETag", "").strip()
    if tag.startswith('"') and tag.endswith('"') and len(tag) > 2 and tag.isascii():
        return tag
    date = headers.get("Last-Modified", "").strip()
    return date if date.isascii() else ""


def _length(headers: Mapping[str, str]) -> int | None:
    if "Transfer-Encoding" in headers:
        return None
    text = headers.get("Content-Length", "").strip()
    return int(text) if _NUMBER.fullmatch(text) else None


def _refusal(host: str, response: Any) -> TransferError | None:
    """What a status means, None where it is success."""
    status = response.status
    if 200 <= status < 300 or status == 303:
        return None
    if status in _CLOSED:
        return TransferError(f"the server {host} lets us not in (status {status})", cause=Cause.REFUSED, again=False)
    after = response.headers.get("Retry-After", "").strip()
    return TransferError(
        f"the server {host} answered with status {status}",
        again=status in _LATER or not 400 <= status < 500,
        retry_after_s=min(int(after), MAX_RETRY_AFTER_S) if _NUMBER.fullmatch(after) else 0,
    )


@contextmanager
def _answer(
    attempt: Attempt, method: str, location: Location, headers: Mapping[str, str], cargo: Cargo | None = None
) -> Iterator[tuple[Any, Location]]:
    """The answer's head, and who gave it, after at most three redirects."""
    moved = _MOVED if cargo is None else _MOVED_WITH_BODY
    for _hop in range(MAX_REDIRECTS + 1):
        with _exchange(attempt, method, location, headers, cargo) as response:
            to = response.headers.get("Location", "")
            if response.status not in moved or not to:
                yield response, location
                return
        following = redirected(location, to)
        if isinstance(following, Failed):
            raise TransferError(following.reason, cause=following.cause, again=False)
        location = following
    raise TransferError(f"the server {location.host} redirects more than {MAX_REDIRECTS} times", again=False)


@contextmanager
def _exchange(
    attempt: Attempt, method: str, location: Location, headers: Mapping[str, str], cargo: Cargo | None
) -> Iterator[Any]:
    addresses = attempt.addresses(location)
    host = f"[{location.host}]" if ":" in location.host else location.host

    context = attempt.trust() if location.scheme == "https" else None

    def dial() -> socket.socket:
        line, _guard = attempt.lifeline.connect(location.host, addresses, location.actual_port)
        if context is None:
            return line
        try:
            return context.wrap_socket(line, server_hostname=location.host.rstrip("."))
        except (OSError, ValueError):
            line.close()
            raise

    patience = urllib3.Timeout(connect=attempt.rules.stall_timeout_s, read=attempt.rules.stall_timeout_s)
    kind = _SecurePool if location.scheme == "https" else _PlainPool
    answers: Answers = []
    pool = kind(host, location.port, timeout=patience, dial=dial, answers=answers)
    body = None if cargo is None else _Body(cargo, attempt)
    response: Any = None
    try:
        response = pool.urlopen(
            method,
            location.target,
            body=body,  # type: ignore[arg-type]
            headers={**_common(location), **headers},
            retries=False,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
        )
        attempt.lifeline.renew()
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
        raise _broken(location, error) from error
    else:
        yield response
    finally:
        if response is not None:
            response.close()
        for answer in answers:
            answer.close()
        if body is not None:
            body.close()
        pool.close()


def _common(location: Location) -> dict[str, str]:
    headers = {"User-Agent": f"edged/{__version__}", "Accept-Encoding": "identity", "Connection": "close"}
    if location.user is not None:
        said = f"{location.user}:{location.password}".encode()
        headers["Authorization"] = f"Basic {b64encode(said).decode()}"
    return headers


def _broken(location: Location, error: BaseException) -> TransferError:
    """A line that failed, in words of ours: the library's may show what the address has."""
    tls = tls_words(error)
    if tls is not None:
        return TransferError(f"the server {location.host}: {tls}")
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return TransferError(f"the server {location.host} did not answer in time")
    if isinstance(error, OSError) and error.strerror:
        return TransferError(f"the line to {location.host} broke: {words(error)}")
    return TransferError(f"the line to {location.host} broke")


class _Body:
    """A file as a request takes it: exactly so many bytes, each block felt by the lifeline."""

    def __init__(self, cargo: Cargo, attempt: Attempt) -> None:
        self._file: BinaryIO = cargo.open()
        self._left = cargo.size_bytes
        self._lifeline = attempt.lifeline

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        self._lifeline.moved(len(data))
        return data

    def close(self) -> None:
        self._file.close()
