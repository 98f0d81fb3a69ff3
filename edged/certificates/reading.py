"""From PEM to certificates, and what every certificate must be whatever it is for. A00.FR.501-512.

Everything that is wrong raises `Unfit` with a sentence for people; a parser's own exception never comes out.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from OpenSSL import crypto

MAX_PEM_CHARS: Final = 20_000
MAX_CERTIFICATES: Final = 8
MAX_NAME_CHARS: Final = 200
SUBJECT_PART_MAX_CHARS: Final = 64
"""RFC 5280's bound of a common name and of an organization."""
RSA_MIN_BITS: Final = 2048
EC_MIN_BITS: Final = 224
SERIAL_MAX_BITS: Final = 160
"""RFC 5280: twenty octets, which is also what a CSMS can say of it."""
GOOD_HASHES: Final = frozenset({"sha224", "sha256", "sha384", "sha512"})
_BLOCK: Final = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_BEGIN: Final = "-----BEGIN "
_SPACE: Final = re.compile(r"\s+")
_PARSING: Final = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    crypto.Error,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What the parsers raise at things that are no certificate."""


class Unfit(Exception):
    """A certificate that may not be used; the text is a sentence for people. Never leaves this room."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate in the words of both libraries. `pem` is written anew, without what stood around it."""

    der: bytes
    parsed: x509.Certificate
    openssl: crypto.X509
    not_before: datetime
    not_after: datetime

    @property
    def pem(self) -> str:
        return ssl.DER_cert_to_PEM_cert(self.der)

    @property
    def subject(self) -> str:
        """For people: bounded, and printable."""
        name: str = parsing(parsing(lambda: self.parsed.subject).rfc4514_string)
        return "".join(char if char.isprintable() else "?" for char in name)[:MAX_NAME_CHARS]

    @property
    def serial_number(self) -> str:
        """Lower-case hexadecimal without leading zeros."""
        return format(self.parsed.serial_number, "x")

    @property
    def public_key(self) -> bytes:
        """The whole public key in DER: equal for equal keys."""
        key: bytes = parsing(
            lambda: self.parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        return key


def read_one(pem: str) -> Certificate:
    """Exactly one certificate."""
    found = read_all(pem)
    if len(found) > 1:
        raise Unfit(f"there are {len(found)} certificates where there must be one")
    return found[0]


def read_all(pem: str) -> list[Certificate]:
    """One or more certificates, in their order; each with a good key and a good signature algorithm.

    Line breaks may be missing or other than usual. Text around the certificates is left aside, other PEM is not.
    """
    if len(pem) > MAX_PEM_CHARS:
        raise Unfit("that is too long for a certificate")
    blocks = _BLOCK.findall(pem)
    if not blocks:
        raise Unfit("that is no certificate in PEM")
    if pem.count(_BEGIN) != len(blocks):
        raise Unfit("there is something in PEM that is no certificate, or only a part of one")
    if len(blocks) > MAX_CERTIFICATES:
        raise Unfit(f"there are more than {MAX_CERTIFICATES} certificates")
    return [_read(block) for block in blocks]


def _read(block: str) -> Certificate:
    try:
        der = base64.b64decode(_SPACE.sub("", block).encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise Unfit("the certificate's PEM is damaged") from None
    # OpenSSL first: it also reads serial numbers over which the other parser complains to the whole process
    openssl = parsing(lambda: crypto.load_certificate(crypto.FILETYPE_ASN1, der))
    serial = openssl.get_serial_number()
    if serial < 0 or serial.bit_length() > SERIAL_MAX_BITS:
        raise Unfit("the certificate's serial number is negative or longer than twenty octets")
    parsed = parsing(lambda: x509.load_der_x509_certificate(der))
    certificate = Certificate(der, parsed, openssl, *parsing(lambda: validity(parsed)))
    _check_strength(certificate)
    return certificate


def parsing(read: Callable[[], Any]) -> Any:
    """What a look into a certificate finds: parts of it are read only when they are looked at."""
    try:
        return read()
    except _PARSING:
        raise Unfit("the certificate cannot be read") from None


def validity(parsed: x509.Certificate) -> tuple[datetime, datetime]:
    """From when to when, in UTC. Older versions of the library know only the naive names."""
    if hasattr(parsed, "not_valid_before_utc"):
        return parsed.not_valid_before_utc, parsed.not_valid_after_utc
    return parsed.not_valid_before.replace(tzinfo=UTC), parsed.not_valid_after.replace(tzinfo=UTC)


def _check_strength(certificate: Certificate) -> None:
    """A00.FR.501 and its neighbours: RSA from 2048 bits, EC from 224; nothing signed by way of MD5 or SHA-1."""
    key = parsing(certificate.parsed.public_key)
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < RSA_MIN_BITS:
            raise Unfit(f"an RSA key of {key.key_size} bits is too short: {RSA_MIN_BITS} are needed")
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.key_size < EC_MIN_BITS:
            raise Unfit(f"an EC key of {key.curve.key_size} bits is too short: {EC_MIN_BITS} are needed")
    else:
        raise Unfit("the certificate's key is neither RSA nor EC")
    algorithm = parsing(lambda: certificate.parsed.signature_hash_algorithm)
    if algorithm is None or algorithm.name not in GOOD_HASHES:
        raise Unfit("the certificate is signed in a way that is not safe or not known: SHA-256 or better is needed")


def extension(certificate: Certificate, kind: Callable[[x509.Extensions], Any]) -> Any:
    """What `kind` finds among the extensions; None where it is not there."""

    def look() -> Any:
        try:
            return kind(certificate.parsed.extensions)
        except x509.ExtensionNotFound:
            return None

    return parsing(look)
