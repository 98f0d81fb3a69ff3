"""Whom a transfer trusts: the system's authorities, the installer's file and those that the CSMS has installed."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from pathlib import Path

from edged.transfer.failure import TransferError

log = logging.getLogger(__name__)


def trust(ca_file: Path | None, ca_pems: Sequence[str]) -> ssl.SSLContext:
    """A fresh context, TLS 1.2 or newer, names checked. Blocks (files). Raises `TransferError`."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags &= (
        ~ssl.VERIFY_X509_STRICT
    )  # Python 3.13's default: no upgrade of Debian may change whom we trust
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a root that another one signed is trusted for itself
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:
            raise TransferError(f"the file of authorities {ca_file} cannot be used") from error
    for pem in ca_pems:
        try:
            context.load_verify_locations(cadata=pem)
        except (ssl.SSLError, ValueError):
            log.warning("an installed root certificate cannot be read; files are transferred without it")
    return context


def tls_words(error: BaseException | None) -> str | None:
    """What was wrong with TLS, where that is what an error (or what caused it) is about."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {one.verify_message or 'verification failed'}"
        if isinstance(one, ssl.SSLError):
            return f"TLS failed: {(one.reason or 'protocol error').lower().replace('_', ' ')}"
        waiting += [one.__cause__, one.__context__, *(arg for arg in one.args if isinstance(arg, BaseException))]
    return None
