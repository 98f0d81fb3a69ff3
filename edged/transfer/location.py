"""Where a file is fetched from or sent to, read from the address that a CSMS gave. Pure.

Owns what an address may look like. Refuses to resolve it. Invariants: what parsed has a protocol that there is, a host
without tricks and a port; the password is in no repr and no sentence.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

from edged.domain.jobs import Cause, Failed

MAX_URL_CHARS = 2048
MAX_FOLDERS = 32
PORTS = {"http": 80, "https": 443, "ftp": 21, "ftps": 990}
WEB = frozenset({"http", "https"})
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_.])?")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\<>\"^`{|}]")
_FTP_TYPE = re.compile(r";type=[aid]$", re.IGNORECASE)
_KEPT_IN_PATH = "%/:=&~+!$,;'@()*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """`host`: lower case, IDNA, no brackets. `port`: None where the address has none. `path`, `query`: as sent."""

    scheme: str
    host: str
    port: int | None
    path: str
    query: str = field(repr=False, default="")
    user: str | None = field(repr=False, default=None)
    password: str = field(repr=False, default="")

    @property
    def actual_port(self) -> int:
        return self.port if self.port is not None else PORTS[self.scheme]

    @property
    def web(self) -> bool:
        return self.scheme in WEB

    @property
    def target(self) -> str:
        """What stands in an HTTP request line."""
        return (self.path or "/") + (f"?{self.query}" if self.query else "")

    @property
    def fingerprint(self) -> str:
        """Tells addresses apart without telling them: credentials are not in it."""
        text = f"{self.scheme}://{self.host}:{self.actual_port}{self.target}"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def segments(self) -> tuple[str, ...]:
        """FTP: the folders and the last name, decoded; the last is "" behind a slash (RFC 1738 3.2.2)."""
        path = _FTP_TYPE.sub("", self.path)
        return tuple(_decoded(part) for part in path.removeprefix("/").split("/"))

    def same_origin(self, other: Location) -> bool:
        """Whether credentials for one may be shown to the other: the same door, or its TLS door beside it."""
        if self.host != other.host:
            return False
        mine, theirs = (self.scheme, self.actual_port), (other.scheme, other.actual_port)
        return mine == theirs or (mine, theirs) == (("http", 80), ("https", 443))


def problem_with(url: str) -> Failed | None:
    """What is wrong with an address, before anything is done with it."""
    parsed = parse(url)
    return parsed if isinstance(parsed, Failed) else None


def parse(url: str) -> Location | Failed:
    """Pure. UNSUPPORTED: a protocol that there is not; BAD_REQUEST: no address at all."""
    if len(url) > MAX_URL_CHARS:
        return _bad(f"the address is longer than {MAX_URL_CHARS} characters")
    if _FORBIDDEN.search(url):
        return _bad("the address has a character that none may have (a space, a quote, a backslash ...)")
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        return _bad("the address cannot be read")
    if not scheme:
        return _bad("the address has no protocol; it begins with http://, https://, ftp:// or ftps://")
    if scheme not in PORTS:
        return Failed(
            f"files are not transferred by {scheme[:20]!r}, only by http, https, ftp and ftps", Cause.UNSUPPORTED
        )
    name = _host(host or "")
    if name is None or port == 0:
        return _bad("the address names no host" if name is None else "the address has port 0")
    location = Location(
        scheme=scheme,
        host=name,
        port=port,
        path=quote(parts.path, safe=_KEPT_IN_PATH),
        query=quote(parts.query, safe=_KEPT_IN_PATH + "?[]"),
        user=None if parts.username is None else _decoded(parts.username),
        password=_decoded(parts.password or ""),
    )
    return _problem(location) or location


def redirected(location: Location, to: str) -> Location | Failed:
    """Where an answer of HTTP points to. Credentials go along to the same origin only, new ones are not taken."""
    try:
        url = urljoin(f"{location.scheme}://{_bracketed(location.host)}:{location.actual_port}{location.target}", to)
    except ValueError:
        return _bad("the server redirects to an address that cannot be read")
    parsed = parse(url)
    if isinstance(parsed, Failed):
        return Failed(f"the server redirects elsewhere: {parsed.reason}", parsed.cause)
    if not parsed.web or (location.scheme == "https" and parsed.scheme != "https"):
        return Failed(f"the server redirects from {location.scheme} to {parsed.scheme}", Cause.REFUSED)
    known = location.same_origin(parsed)
    return Location(
        scheme=parsed.scheme,
        host=parsed.host,
        port=parsed.port,
        path=parsed.path,
        query=parsed.query,
        user=location.user if known else None,
        password=location.password if known else "",
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _problem(location: Location) -> Failed | None:
    said = (location.user or "") + location.password
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in said):
        return _bad("the user name or password of the address has a control character")
    if location.web and ":" in (location.user or ""):
        return _bad("the user name of the address has a colon, which HTTP cannot carry")
    if location.web:
        return None
    segments = location.segments
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in "".join(segments)):
        return _bad("the path of the address has a control character")
    return _bad(f"the address has more than {MAX_FOLDERS} folders") if len(segments) > MAX_FOLDERS else None


def _host(host: str) -> str | None:
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(host)) if "%" not in host else None
        except ValueError:
            return None
    try:
        name = host.encode("idna").decode().lower() if not host.isascii() else host.lower()
    except UnicodeError:
        return None
    return name if _HOST.fullmatch(name) and ".." not in name else None


def _decoded(text: str) -> str:
    raw = unquote_to_bytes(text)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _bad(reason: str) -> Failed:
    return Failed(reason, Cause.BAD_REQUEST)
