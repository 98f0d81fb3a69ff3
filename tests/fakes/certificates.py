"""Certificates that nobody has read: facts as a judgement would give them."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from edged.domain.credentials import CertificateHash, CertificateUse, ClientCertificate, InstalledCertificate

YEAR = timedelta(days=365)


def root_of(pem: str, use: CertificateUse, now: datetime) -> InstalledCertificate:
    """The facts of a root that is called what its text is."""
    digest = hashlib.sha256(pem.encode()).hexdigest()
    return InstalledCertificate(
        use=use,
        pem=pem,
        fingerprint=digest,
        subject=f"CN={pem[:40]}",
        hashes=(hash_of(pem),),
        not_before=now.replace(microsecond=0) - YEAR,
        not_after=now.replace(microsecond=0) + YEAR,
    )


def hash_of(pem: str) -> CertificateHash:
    digest = hashlib.sha256(pem.encode()).hexdigest()
    return CertificateHash(
        algorithm="SHA256", issuer_name_hash=digest, issuer_key_hash=digest[::-1], serial_number=digest[:12].lstrip("0")
    )


def chain_of(key_id: str, requested_at: datetime, begins: datetime, chain: str = "") -> ClientCertificate:
    """A chain for one of our keys."""
    return ClientCertificate(
        key_id=key_id,
        requested_at=requested_at,
        chain=chain or f"chain for {key_id}",
        not_before=begins,
        not_after=begins + YEAR,
        subject=f"CN={key_id}",
        serial_number="1",
    )
