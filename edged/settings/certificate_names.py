"""How a CSMS would call a certificate that lies in a file: by its issuer's name and its serial number (RFC 6960).

Reads just so much of the encoding (X.690, X.509) as that needs: the libraries that read all of it are large, and are
loaded only where certificates are judged. A file that holds none has no names.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from pathlib import Path
from typing import Final

from edged.domain.credentials import CertificateHash

ALGORITHMS: Final = ("SHA256", "SHA384", "SHA512")
MAX_BYTES: Final = 1 << 20
_BLOCK: Final = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_INTEGER, _SEQUENCE, _VERSION = 0x02, 0x30, 0xA0


def names_in(file: Path) -> tuple[CertificateHash, ...]:
    """The names of the first certificate in a PEM file; its issuer's key is left open."""
    try:
        with file.open(encoding="ascii", errors="replace") as opened:
            block = _BLOCK.search(opened.read(MAX_BYTES))
        if block is None:
            return ()
        issuer, serial = _issuer_and_serial(ssl.PEM_cert_to_DER_cert(block[0]))
    except (OSError, ValueError, IndexError):
        return ()
    return tuple(
        CertificateHash(
            algorithm=algorithm,
            issuer_name_hash=hashlib.new(algorithm.lower(), issuer).hexdigest(),
            issuer_key_hash="",
            serial_number=format(serial, "x"),
        )
        for algorithm in ALGORITHMS
    )


def _issuer_and_serial(der: bytes) -> tuple[bytes, int]:
    """Raises `ValueError` or `IndexError` for what is no certificate."""
    start, _ = _content(der, 0, _SEQUENCE)
    at, _ = _content(der, start, _SEQUENCE)
    if der[at] == _VERSION:
        at = _content(der, at, _VERSION)[1]
    serial, end = _content(der, at, _INTEGER)
    _, issuer = _content(der, end, _SEQUENCE)  # behind the number comes how it is signed
    _, behind = _content(der, issuer, _SEQUENCE)
    return der[issuer:behind], int.from_bytes(der[serial:end], "big", signed=True)


def _content(der: bytes, at: int, tag: int) -> tuple[int, int]:
    """Where an element's content begins and ends."""
    if der[at] != tag:
        raise ValueError("not a certificate")
    start, size = at + 2, der[at + 1]
    if size & 0x80:
        digits = size & 0x7F
        size = int.from_bytes(der[start : start + digits], "big")
        start += digits
    if start + size > len(der):
        raise ValueError("the certificate is cut off")
    return start, start + size
