"""How a CSMS names a certificate: hashes of its issuer's name and key, and its serial number (RFC 6960's CertID)."""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edged.certificates.reading import Certificate, Unfit, parsing
from edged.domain.credentials import CertificateHash

ALGORITHMS: Final = ("SHA256", "SHA384", "SHA512")


def hashes(certificate: Certificate, issuer: Certificate | None = None) -> tuple[CertificateHash, ...]:
    """One name for each algorithm. `issuer` None: it signed itself, or nobody here knows who did; then its own key
    stands for the issuer's, and the CSMS finds the name in our list."""
    name = parsing(parsing(lambda: certificate.parsed.issuer).public_bytes)
    key = key_bits(issuer or certificate)
    return tuple(
        CertificateHash(
            algorithm=algorithm,
            issuer_name_hash=hashlib.new(algorithm.lower(), name).hexdigest(),
            issuer_key_hash=hashlib.new(algorithm.lower(), key).hexdigest(),
            serial_number=certificate.serial_number,
        )
        for algorithm in ALGORITHMS
    )


def key_bits(certificate: Certificate) -> bytes:
    """The public key as it stands in the certificate, without its type: what RFC 6960 hashes."""
    key = parsing(certificate.parsed.public_key)
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    raise Unfit("the certificate's key is neither RSA nor EC")
