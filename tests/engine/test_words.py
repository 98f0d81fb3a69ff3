"""The way to the CSMS as it follows from the site's file and from what the CSMS has made of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged.csms.endpoint import ConnectionSettings
from edged.domain.credentials import Access, CertificateUse, ClientCertificate, InstalledCertificate, Way
from edged.domain.station import SiteRules
from edged.domain.types import SecretText
from edged.settings import CsmsSettings, Secret, StationSettings
from edged.settings.model import ClientCertificate as ClientFiles
from edged.settings.model import PasswordEncoding
from edged.shape import credentials_digest
from edged.words import connection_settings, csms_url, password_bytes
from tests.fakes.site import START, station

CSMS = CsmsSettings(url="ws://csms.example.com/ocpp", versions=("ocpp1.6",))


def settings(csms: CsmsSettings = CSMS) -> StationSettings:
    return StationSettings(id="DEPOT-7", csms=csms, evses=())


def test_the_connection_gets_the_password_as_bytes_and_the_identity():
    secret = Secret("swordfish-42-swordfish")
    csms = replace(CSMS, url="wss://csms.example.com/ocpp", security_profile=2, password=secret)
    made = connection_settings(settings(csms=csms), ("ocpp1.6",), station(rules=SiteRules(security_profile=2)))
    assert made.password == b"swordfish-42-swordfish"
    assert (made.identity, made.subprotocols, made.security_profile) == ("DEPOT-7", ("ocpp1.6",), 2)
    assert connection_settings(settings(), ("ocpp1.6",), station()).password is None


def goes(csms: CsmsSettings, *, rules: SiteRules | None = None, **facts: Any) -> ConnectionSettings:
    return connection_settings(settings(csms=csms), ("ocpp1.6",), replace(station(rules=rules), **facts))


def test_what_the_csms_has_set_wins_over_the_sites_own_word():
    csms = replace(CSMS, security_profile=1, password=Secret("as the site has it"))
    way = Way(security_profile=2, password=SecretText("as the CSMS has it"))
    made = goes(csms, rules=SiteRules(security_profile=1), access=Access(way=way, number=4))
    assert (made.security_profile, made.password, made.access) == (2, b"as the CSMS has it", 4)


@pytest.mark.req("A00.FR.205")
@pytest.mark.parametrize(("literal", "expected"), [(True, b"00ff" * 8), (False, b"\x00\xff" * 8)])
def test_a_literal_password_is_no_bytes_in_hexadecimal(literal: bool, expected: bytes):
    csms = replace(CSMS, security_profile=1, password=Secret("11" * 16), password_encoding=PasswordEncoding.HEX)
    way = Way(password=SecretText("00ff" * 8, literal=literal))
    assert goes(csms, rules=SiteRules(security_profile=1), access=Access(way=way)).password == expected


@pytest.mark.req("A05.FR.06")
@pytest.mark.parametrize(
    ("url", "secure_url", "profile", "expected"),
    [
        ("ws://c.example.com:8080/ocpp", None, 1, "ws://c.example.com:8080/ocpp"),
        ("ws://c.example.com:8080/ocpp", None, 2, "wss://c.example.com:8080/ocpp"),
        ("ws://c.example.com:8080/ocpp", "wss://c.example.com:8443/tls", 1, "ws://c.example.com:8080/ocpp"),
        ("ws://c.example.com:8080/ocpp", "wss://c.example.com:8443/tls", 3, "wss://c.example.com:8443/tls"),
        ("wss://c.example.com", None, 0, "wss://c.example.com"),
        ("wss://c.example.com", None, 1, "wss://c.example.com"),
    ],
)
def test_the_address_follows_the_security_profile_and_never_loses_its_tls(url, secure_url, profile, expected):
    assert csms_url(replace(CSMS, url=url, secure_url=secure_url), profile) == expected


@pytest.mark.req("16-J-05")
@pytest.mark.parametrize(
    ("encoding", "text", "expected"),
    [
        (PasswordEncoding.AUTO, "00ff" * 8, b"00ff" * 8),
        (PasswordEncoding.TEXT, "00ff" * 8, b"00ff" * 8),
        (PasswordEncoding.HEX, "00fF" * 8, b"\x00\xff" * 8),
        (PasswordEncoding.HEX, "no digits at all", b"no digits at all"),
    ],
)
def test_a_password_is_its_text_or_the_bytes_that_it_spells(encoding, text, expected):
    assert password_bytes(text, encoding) == expected


def test_the_roots_that_the_csms_has_installed_are_trusted_and_the_makers_are_not():
    roots = {
        name: InstalledCertificate(
            use=use, pem=name, fingerprint=name, subject="", hashes=(), not_before=START, not_after=START
        )
        for name, use in (("one", CertificateUse.CSMS_ROOT), ("two", CertificateUse.MANUFACTURER_ROOT))
    }
    assert goes(CSMS, certificates=roots).roots == ("one",)


def test_at_profile_3_the_chain_in_force_is_shown_and_below_it_none():
    chain = ClientCertificate(key_id="k", requested_at=START, chain="PEM", not_before=START)
    kept = {"access": Access(way=Way(key_id="k")), "client_certificates": {"k": chain}}
    csms = replace(CSMS, url="wss://c.example.com", password=Secret("x" * 16))
    assert goes(csms, rules=SiteRules(security_profile=3), **kept).client == chain
    assert goes(csms, rules=SiteRules(security_profile=2), **kept).client is None


def test_another_word_of_the_installer_about_the_csms_gives_another_digest():
    csms = replace(CSMS, security_profile=2, password=Secret("x" * 16))
    digests = {
        credentials_digest(changed)
        for changed in (
            csms,
            replace(csms, url="wss://other.example.com"),
            replace(csms, secure_url="wss://other.example.com"),
            replace(csms, password=Secret("y" * 16)),
            replace(csms, security_profile=1),
            replace(csms, password_encoding=PasswordEncoding.HEX),
            replace(csms, client_certificate=ClientFiles(cert=Path("c"), key=Path("k"))),
        )
    }
    assert len(digests) == 7
    assert credentials_digest(replace(csms, ca_file=Path("other"), versions=())) in digests, "they show nobody"
    assert "x" * 16 not in "".join(digests)
