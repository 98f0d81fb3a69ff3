"""The way to a CSMS: address, versions, security profile and what shows who we are.

Owns the keys of `csms`. The rules of security profiles are those of the 1.6 security whitepaper (A00), which 2.x
shares. What the CSMS makes of it later is not written here and wins, until the installer changes one of its keys.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from edged.settings.errors import shown
from edged.settings.model import KNOWN_VERSIONS, CsmsSettings, PasswordEncoding
from edged.settings.pem_files import client_certificate
from edged.settings.section import Section, hint

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def read_csms(section: Section, identity: str, supported: Collection[str], *, readable: bool) -> CsmsSettings:
    """`supported`: the versions that are built in; `readable`: others may read this file."""
    url = _url(section, "url", required="the address of the CSMS, like wss://csms.example.com/ocpp")
    secure_url = _url(section, "secure_url")
    versions = _versions(section, supported)
    password = section.secret("password", literal_is_readable=readable)
    encoding = section.choice("password_encoding", PasswordEncoding, PasswordEncoding.AUTO)
    scheme = urlsplit(url).scheme if url is not None else ""
    guess = 2 if scheme == "wss" else 1 if "password" in section else 0
    profile = section.integer("security_profile", guess, low=0, high=3)
    ca_file = section.file("ca_file")
    certificate = client_certificate(section)
    if url is not None:
        _check_profile(section, profile, url, identity, has_certificate=certificate is not None)
    if scheme == "ws" and profile < 2 and ca_file is not None:
        section.warning("ca_file", "is not used before the CSMS raises the security profile: the url is ws://")
    if secure_url is not None and urlsplit(secure_url).scheme != "wss":
        section.error("secure_url", "must start with wss://: it is the url of security profiles 2 and 3")
    if password is not None:
        _check_password(section, password.reveal(), encoding)
    section.close()
    return CsmsSettings(
        url=url or "",
        secure_url=secure_url,
        versions=versions,
        security_profile=profile,
        password=password,
        password_encoding=encoding,
        ca_file=ca_file,
        client_certificate=certificate,
    )


def _url(section: Section, key: str, *, required: str = "") -> str | None:
    url = section.text(key, limit=512, required=required)
    if url is not None and (problem := _url_problem(url)):
        section.error(key, problem)
        return None
    return url


def _check_password(section: Section, password: str, encoding: PasswordEncoding) -> None:
    if encoding is PasswordEncoding.HEX and not _HEX.fullmatch(password):
        section.error("password", "must be pairs of 0-9 and a-f: that is what password_encoding: hex means")
    elif encoding is PasswordEncoding.HEX and not 32 <= len(password) <= 40:
        section.warning("password", "should have 32 to 40 digits: a CSMS may refuse any other length")
    elif not 16 <= len(password) <= 40:
        section.warning("password", "should have 16 to 40 characters: a CSMS may refuse any other length")


def _url_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
        (host or "").encode("idna")
    except (ValueError, UnicodeError):
        return "is not an address: write it like wss://csms.example.com/ocpp"
    if parts.scheme not in ("ws", "wss") or not host:
        return "must start with ws:// or wss:// and name a host, like wss://csms.example.com/ocpp"
    if parts.username is not None or parts.password is not None:
        return "must not carry a user or a password: the identity is the user, the password has its own key"
    if parts.query or parts.fragment or not url.isascii() or " " in url:
        return "must be plain ASCII without ? and #: the identity is appended to it"
    return None


def _check_profile(section: Section, profile: int, url: str, identity: str, *, has_certificate: bool) -> None:
    parts, has_password = urlsplit(url), "password" in section
    if profile >= 2 and parts.scheme == "ws" and "secure_url" not in section:
        section.error(
            "security_profile", f"{profile} needs TLS: write a wss:// url, a secure_url, or security_profile: 1"
        )
    if profile == 1 and parts.scheme == "wss":
        section.warning("security_profile", "1 is without TLS and the url is wss://: write security_profile: 2")
    if profile == 1 and parts.scheme == "ws" and parts.hostname not in _LOCAL_HOSTS:
        section.warning("security_profile", "1 sends the password unencrypted: use a wss:// url and 2 where you can")
    if profile in (1, 2) and not has_password:
        sentence = f"is missing: security profile {profile} needs one (write security_profile: 0 for none)"
        section.report.error(section.line, section.path_of("password"), sentence)
    if profile in (1, 2) and ":" in identity:
        section.error("security_profile", f"{profile} uses Basic authentication, where an id must not have a colon")
    if profile == 0 and has_password:
        section.warning("password", "is not sent before the CSMS raises the security profile: at 0 nobody is asked")
    if profile == 3 and not has_certificate and "client_certificate" not in section:
        sentence = "is missing: security profile 3 needs client_certificate: {cert: FILE, key: FILE}"
        section.report.error(section.line, section.path_of("client_certificate"), sentence)


def _versions(section: Section, supported: Collection[str]) -> tuple[str, ...]:
    """What is offered, in order; versions that are not built in are left out with a warning while one remains."""
    default = tuple(version for version in KNOWN_VERSIONS if version in supported)
    if "versions" not in section:
        section.node("versions")
        return default
    offered: list[str] = []
    missing: list[tuple[str, int, str]] = []
    found = section.texts("versions", limit=len(KNOWN_VERSIONS))
    for version, line, path in found:
        if version not in KNOWN_VERSIONS:
            section.report.error(line, path, f"there is no version {shown(version)}; {hint(version, KNOWN_VERSIONS)}")
        elif version in offered or any(version == each for each, _, _ in missing):
            section.report.error(line, path, f"{version} stands there twice: delete one")
        elif version in supported:
            offered.append(version)
        else:
            missing.append((version, line, path))
    for version, line, path in missing:
        if offered:
            section.report.warning(line, path, f"{version} is not built into this edged: it is not offered")
        else:
            section.report.error(
                line, path, f"{version} is not built into this edged: write {' or '.join(default) or 'another'}"
            )
    if section.is_empty("versions"):
        section.error("versions", f"is empty: write [{', '.join(default)}], or delete the line")
    return tuple(offered)
