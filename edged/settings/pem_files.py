"""A client certificate: two PEM files, the same wherever one is asked for.

That they cannot be used is a warning and no error: whoever renews them may be between the two files, a line that is
down does not keep cars from charging, and they are read again at every attempt.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from edged.settings.certificate_names import names_in
from edged.settings.model import ClientCertificate
from edged.settings.section import Section

_OTHERS_KEY = "KEY_VALUES_MISMATCH"
_NO_PASSWORD = ""


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
    if cert is not None and key_file is not None:
        _check_pair(inner, cert, key_file)
    inner.close()
    return ClientCertificate(cert=cert, key=key_file, names=names_in(cert)) if cert and key_file else None


def _check_pair(section: Section, cert: Path, key: Path) -> None:
    """Whether TLS would take the two together. The library tells the first flaw only, and not always whose it is."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password=lambda: _NO_PASSWORD)
    except (OSError, ValueError) as error:
        if getattr(error, "reason", None) == _OTHERS_KEY:
            section.warning("key", "names the key of another certificate: cert and key must belong together")
        else:
            section.warning("cert", "and key cannot be used: write two PEM files, and a key without a password")
