"""A new key pair and its signing request. A02.FR.02-03, A02.FR.13, A00.FR.501-512."""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from edged.certificates.key_files import write_key
from edged.certificates.reading import SUBJECT_PART_MAX_CHARS
from edged.domain.jobs import Failed, MakeRequest, RequestMade


def make_request(job: MakeRequest, folder: Path) -> RequestMade | Failed:
    """See the package. P-256: half a second of RSA on a small computer is saved, and every CSMS takes it."""
    for text in (job.common_name, job.organization):
        if not 1 <= len(text) <= SUBJECT_PART_MAX_CHARS or not text.isprintable():
            return Failed("the serial number or CpoName cannot stand in a certificate: 1 to 64 characters are needed")
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, job.common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, job.organization),
        ]
    )
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    key_id = secrets.token_hex(8)
    try:
        write_key(folder, key_id, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except OSError as error:
        return Failed(f"the new key cannot be kept: {error.strerror}")
    return RequestMade(key_id, csr.public_bytes(Encoding.PEM).decode("ascii"))
