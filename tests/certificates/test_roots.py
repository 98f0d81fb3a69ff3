"""Reading a root: what is fit to be trusted, and by which name a CSMS calls it."""

from __future__ import annotations

import base64
import contextlib
import re
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.certificates import read_root
from edged.certificates.judgement import check_ca, check_path
from edged.certificates.names import hashes as hashes_of
from edged.certificates.reading import Unfit, read_one
from edged.domain.credentials import CertificateUse, InstalledCertificate
from edged.domain.jobs import Cause, Failed, ReadRoot, RootRead
from tests.fakes.pki import DAY, Pair, authority, ec_key, issue, name, rsa_key, usage

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LIFE: dict[str, Any] = {"begins": NOW - DAY, "ends": NOW + 365 * DAY}
ROOT = authority(**LIFE)
OTHER = authority(cn="Other root", **LIFE)


def read(pem: str, *signed_by: str, now: datetime | None = NOW) -> RootRead | Failed:
    return read_root(ReadRoot(use=CertificateUse.CSMS_ROOT, pem=pem, signed_by=signed_by), now)


def installed(pem: str, *signed_by: str) -> InstalledCertificate:
    outcome = read(pem, *signed_by)
    assert isinstance(outcome, RootRead), outcome
    return outcome.certificate


def refusal(pem: str, *signed_by: str, now: datetime = NOW) -> str:
    outcome = read(pem, *signed_by, now=now)
    assert isinstance(outcome, Failed) and outcome.cause is Cause.INVALID, outcome
    return outcome.reason


def openssl(*arguments: str, text: str = "") -> str:
    done = subprocess.run(["openssl", *arguments], input=text, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


# --- what is read


@pytest.mark.parametrize("life", [(-9 * DAY, -DAY), (DAY, 9 * DAY)])
def test_while_the_clock_is_not_trusted_dates_refuse_no_root(life: tuple[Any, Any]) -> None:
    root = authority(begins=NOW + life[0], ends=NOW + life[1])
    below = authority(root, cn="Below", begins=NOW + life[0], ends=NOW + life[1])
    assert isinstance(read(root.pem), Failed)
    assert isinstance(read(root.pem, now=None), RootRead)
    assert isinstance(read(below.pem, root.pem, now=None), RootRead)
    assert isinstance(read(below.pem, OTHER.pem, now=None), Failed)


def test_a_good_root_is_read_with_its_dates_and_names() -> None:
    root = installed(ROOT.pem)
    assert root.use is CertificateUse.CSMS_ROOT
    assert root.subject == "O=Test authority,CN=Test root"
    assert (root.not_before, root.not_after) == (LIFE["begins"], LIFE["ends"])
    assert root.pem == ROOT.pem
    assert not root.fallback
    shown = openssl("x509", "-noout", "-fingerprint", "-sha256", text=ROOT.pem)
    assert shown.strip().split("=")[1].replace(":", "").lower() == root.fingerprint


@pytest.mark.req("M03.FR.01")
@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
@pytest.mark.parametrize("key", [ec_key(), rsa_key()], ids=["ec", "rsa"])
def test_the_hashes_are_those_that_openssl_puts_into_an_ocsp_request(algorithm: str, key: Any, tmp_path: Path) -> None:
    root = authority(key=key, serial=0x0A_00_BE_EF, **LIFE)
    (tmp_path / "root.pem").write_text(root.pem)
    file = str(tmp_path / "root.pem")
    asked = tmp_path / "request.der"
    openssl("ocsp", f"-{algorithm.lower()}", "-issuer", file, "-cert", file, "-reqout", str(asked), "-no_nonce")
    shown = openssl("asn1parse", "-inform", "DER", "-in", str(asked))
    name_hash, key_hash = re.findall(r"OCTET STRING +\[HEX DUMP\]:(\w+)", shown)
    (serial,) = re.findall(r"INTEGER +:(\w+)", shown)
    (named,) = [one for one in installed(root.pem).hashes if one.algorithm == algorithm]
    assert named.issuer_name_hash == name_hash.lower()
    assert named.issuer_key_hash == key_hash.lower()
    assert named.serial_number == serial.lower().lstrip("0")


@pytest.mark.parametrize(("serial", "text"), [(1, "1"), (0x0A, "a"), (0xFF00, "ff00"), (2**159 - 1, "7" + "f" * 39)])
def test_a_serial_number_is_hexadecimal_without_leading_zeros(serial: int, text: str) -> None:
    assert {one.serial_number for one in installed(authority(serial=serial, **LIFE).pem).hashes} == {text}


def test_the_issuers_name_is_hashed_as_it_is_encoded_not_as_we_would(tmp_path: Path) -> None:
    conf = tmp_path / "req.cnf"
    conf.write_text(
        "[req]\ndistinguished_name=dn\nstring_mask=default\nx509_extensions=v3\n[dn]\n[v3]\nbasicConstraints=CA:TRUE\n"
    )
    file = str(tmp_path / "root.pem")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(tmp_path / "key.pem")]
    openssl("req", "-x509", "-config", str(conf), *key, "-subj", "/O=Bäckerei/CN=Plain", "-days", "30", "-out", file)
    shown = openssl("ocsp", "-sha256", "-issuer", file, "-cert", file, "-req_text", "-no_nonce")
    outcome = read(Path(file).read_text(), now=datetime.now(UTC) + timedelta(minutes=1))
    assert isinstance(outcome, RootRead)
    assert outcome.certificate.hashes[0].issuer_name_hash.upper() in shown


@pytest.mark.parametrize("dress", [str.strip, lambda pem: pem.replace("\n", ""), lambda pem: pem.replace("\n", "\r\n")])
def test_line_breaks_do_not_matter(dress: Any) -> None:
    assert installed(dress(ROOT.pem)).pem == ROOT.pem


def test_text_around_a_certificate_is_left_aside() -> None:
    assert installed(f"subject=CN = Test root\n\n{ROOT.pem}\nBag Attributes\n").pem == ROOT.pem


def test_an_rsa_root_and_every_good_hash_are_taken() -> None:
    for digest in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        assert installed(authority(key=rsa_key(), digest=digest, **LIFE).pem)


def test_a_ca_that_another_one_signed_may_be_a_root() -> None:
    assert installed(authority(ROOT, cn="Below", **LIFE).pem)


# --- what is not fit


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        ("", "no certificate"),
        ("certificate", "no certificate"),
        ("\x00" * 5500, "no certificate"),
        ("A" * 5500, "no certificate"),
        ("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", "cannot be read"),
        ("-----BEGIN CERTIFICATE-----\nTm9uc2Vuc2U=\n-----END CERTIFICATE-----", "cannot be read"),
        ("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----", "damaged"),
        ("-----BEGIN CERTIFICATE-----\nÄÖÜ=\n-----END CERTIFICATE-----", "damaged"),
        (ROOT.pem[:-40], "no certificate"),
        (ROOT.pem + ROOT.pem[:200], "only a part"),
        (ROOT.pem + OTHER.pem, "2 certificates"),
        (ROOT.pem + ROOT.key_pem, "no certificate"),
        (ROOT.pem * 20, "more than"),
        ("x" * 100_000, "too long"),
    ],
)
def test_what_is_no_single_certificate_is_refused(pem: str, why: str) -> None:
    assert why in refusal(pem)


def test_no_sentence_repeats_what_was_sent() -> None:
    assert "BEGIN" not in refusal(ROOT.pem + ROOT.key_pem) and "PRIVATE" not in refusal(ROOT.pem + ROOT.key_pem)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: authority(key=rsa_key(1024), **LIFE), "1024 bits"),
        (lambda: authority(key=ec_key(ec.SECP192R1()), **LIFE), "192 bits"),
        (lambda: authority(key=dsa.generate_private_key(2048), **LIFE), "neither RSA nor EC"),
        (lambda: authority(key=ed25519.Ed25519PrivateKey.generate(), **LIFE), "neither RSA nor EC"),
        (lambda: authority(authority(key=ed25519.Ed25519PrivateKey.generate(), **LIFE), **LIFE), "SHA-256 or better"),
        (lambda: issue(ca=False, **LIFE), "not a CA's"),
        (lambda: issue(ca=None, **LIFE), "not a CA's"),
        (lambda: authority(extensions=(usage(digital_signature=True),), **LIFE), "not meant to sign"),
        (lambda: authority(begins=NOW - 9 * DAY, ends=NOW - DAY), "expired"),
        (lambda: authority(begins=NOW + DAY, ends=NOW + 9 * DAY), "not valid before"),
    ],
)
def test_a_certificate_that_is_not_fit_to_be_a_root_is_refused(make: Any, why: str) -> None:
    assert why in refusal(make().pem)


def remade(root: Pair, old: bytes, new: bytes, times: int = 1) -> str:
    """The certificate with some of its bytes exchanged, in PEM."""
    assert len(old) == len(new) and root.der.count(old) >= times
    return ssl.DER_cert_to_PEM_cert(root.der.replace(old, new))


SHA256_WITH_ECDSA = bytes.fromhex("06082a8648ce3d040302")
SHA1_WITH_RSA, MD5_WITH_RSA, SHA256_WITH_RSA = (bytes.fromhex(f"06092a864886f70d0101{n}") for n in ("05", "04", "0b"))


@pytest.mark.parametrize("old_fashioned", [SHA1_WITH_RSA, MD5_WITH_RSA])
def test_a_signature_by_way_of_an_unsafe_hash_is_refused(old_fashioned: bytes) -> None:
    root = authority(key=rsa_key(), **LIFE)
    assert "not safe" in refusal(remade(root, SHA256_WITH_RSA, old_fashioned, times=2))


def test_a_root_whose_own_signature_does_not_hold_is_refused() -> None:
    der = bytearray(ROOT.der)
    der[-5] ^= 1
    assert "does not hold" in refusal(ssl.DER_cert_to_PEM_cert(bytes(der)))


def test_a_negative_serial_number_is_refused() -> None:
    root = authority(serial=0x7EADBEEF, **LIFE)
    assert "serial number" in refusal(remade(root, bytes.fromhex("02047eadbeef"), bytes.fromhex("0204feadbeef")))


def test_a_serial_number_of_more_than_twenty_octets_is_refused() -> None:
    long = b"\x02\x18" + b"\x7f" * 24
    root = authority(serial=0x7E, **LIFE)
    assert b"\x02\x01\x7e" in root.der
    assert "serial number" in refusal(_with_serial(root.der, b"\x02\x01\x7e", long))


def _with_serial(der: bytes, old: bytes, new: bytes) -> str:
    """The serial number exchanged for a longer one, the lengths around it mended."""
    head, _, tail = der.partition(old)
    grown = len(new) - len(old)
    # 30 82 LL LL 30 82 LL LL ...: the certificate and its inner part
    outer, inner = int.from_bytes(head[2:4]) + grown, int.from_bytes(head[6:8]) + grown
    mended = head[:2] + outer.to_bytes(2) + head[4:6] + inner.to_bytes(2) + head[8:]
    return ssl.DER_cert_to_PEM_cert(mended + new + tail)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(ROOT.der) - 1), st.integers(0, 255), st.integers(0, 40))
def test_a_damaged_certificate_is_an_answer_and_never_an_exception(at: int, byte: int, cut: int) -> None:
    der = bytearray(ROOT.der)
    der[at] = byte
    read(ssl.DER_cert_to_PEM_cert(bytes(der[: len(der) - cut])))


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(ROOT.der) - 1), st.integers(0, 255), st.integers(0, len(ROOT.der) - 1), st.integers(0, 255))
def test_no_look_into_a_damaged_certificate_lets_a_parsers_exception_out(at: int, byte: int, also: int, b: int) -> None:
    """Whoever signs with a key of their own can have anything in a certificate whose signature holds."""
    der = bytearray(ROOT.der)
    der[at], der[also] = byte, b
    with contextlib.suppress(Unfit):
        found = read_one(ssl.DER_cert_to_PEM_cert(bytes(der)))
        assert found.subject.isprintable() and found.public_key and hashes_of(found)
        check_ca(found)
        check_path([found], [found], NOW)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_are_an_answer_and_never_an_exception(content: bytes) -> None:
    assert refusal(f"-----BEGIN CERTIFICATE-----{base64.b64encode(content).decode()}-----END CERTIFICATE-----")


# --- signed by the present root


@pytest.mark.req("M05.FR.08")
def test_a_new_root_that_the_present_one_signed_is_read() -> None:
    new = authority(ROOT, cn="Next root", **LIFE)
    root = installed(new.pem, OTHER.pem, ROOT.pem)
    assert root.hashes[0].issuer_key_hash == installed(ROOT.pem).hashes[0].issuer_key_hash


@pytest.mark.req("M05.FR.09")
def test_a_new_root_that_nobody_here_signed_is_refused() -> None:
    assert "present root" in refusal(OTHER.pem, ROOT.pem)


def test_a_new_root_of_the_same_name_with_another_key_is_refused() -> None:
    assert "present root" in refusal(authority(**LIFE).pem, ROOT.pem)


def test_the_present_root_once_more_is_read() -> None:
    assert installed(ROOT.pem, ROOT.pem).fingerprint == installed(ROOT.pem).fingerprint


def test_a_subject_is_bounded_and_printable() -> None:
    root = installed(issue(subject=name(CN="a\x07b", O="Ü" * 64), ca=True, **LIFE).pem)
    assert root.subject.isprintable() and len(root.subject) <= 200
