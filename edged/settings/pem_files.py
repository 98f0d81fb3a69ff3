"""A client certificate: two PEM files, the same wherever one is asked for."""

from __future__ import annotations

from edged.settings.model import ClientCertificate
from edged.settings.section import Section


def client_certificate(section: Section) -> ClientCertificate | None:
    """`client_certificate: {cert: FILE, key: FILE}`."""
    if "client_certificate" not in section:
        section.node("client_certificate")
        return None
    inner = section.section("client_certificate")
    for key in ("cert", "key"):
        if key not in inner:
            inner.error(key, "is missing: a client certificate needs cert: and key:, two PEM files")
    cert, key_file = inner.file("cert"), inner.file("key", credential=True)
    if key_file is not None and key_file.stat().st_mode & 0o007:
        inner.warning("key", "names a private key that everybody may read: chmod 0600 the file")
    inner.close()
    return ClientCertificate(cert=cert, key=key_file) if cert and key_file else None
