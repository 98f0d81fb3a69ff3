"""Firmware signatures. L01.FR.04 names RSA-PSS and EC-Schnorr with SHA-256.

EC-Schnorr is in no library that Debian has: an EC key's signature is ECDSA here, which is what those who sign with EC
keys use. RSA's older padding (PKCS #1 v1.5) is not among what the rule allows, and is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from edged.certificates.judgement import check_dates
from edged.certificates.reading import Certificate, Unfit, read_all
from edged.domain.jobs import Cause, Done, Failed, VerifyFirmware

MAX_SIGNATURE_CHARS: Final = 4096
CHUNK_BYTES: Final = 1 << 18


def verify_firmware(job: VerifyFirmware, path: Path, now: datetime | None) -> Done | Failed:
    """See the package."""
    try:
        signer = read_all(job.order.signing_certificate)[0]
        check_dates(signer, now)
        _verify(signer, _signature(job.order.signature), _digest(path))
    except Unfit as unfit:
        return Failed(str(unfit), Cause.INVALID)
    except OSError as error:
        return Failed(f"the firmware cannot be read: {error.strerror}")
    return Done()


def _signature(text: str) -> bytes:
    if not text.strip() or len(text) > MAX_SIGNATURE_CHARS:
        raise Unfit("there is no signature, or one that is too long")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Unfit("the signature is not in base64") from None


def _digest(path: Path) -> bytes:
    """SHA-256 of the whole file, a piece at a time: it may be larger than the memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.digest()


def _verify(signer: Certificate, signature: bytes, digest: bytes) -> None:
    key = signer.parsed.public_key()
    algorithm = utils.Prehashed(hashes.SHA256())
    try:
        if isinstance(key, rsa.RSAPublicKey):
            scheme = "RSA-PSS with SHA-256"
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.AUTO)
            key.verify(signature, digest, pss, algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            scheme = "ECDSA with SHA-256; EC-Schnorr is not supported"
            key.verify(signature, digest, ec.ECDSA(algorithm))
        else:
            raise Unfit("the signing certificate's key is neither RSA nor EC")
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        raise Unfit(f"the signature is not the certificate's over this file ({scheme})") from None
