"""What a certificate must be for what it is for: a root, a firmware signer, our own. Whitepaper A02, L01, M05.

Whether signatures hold and a chain leads to a root is asked of OpenSSL. A time of None: the clock is not trusted, and
then no certificate is too old or too young.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto

from edged.certificates.key_files import read_key
from edged.certificates.names import hashes
from edged.certificates.reading import Certificate, Unfit, extension, parsing, read_all, read_one
from edged.domain.credentials import ClientCertificate, InstalledCertificate
from edged.domain.jobs import Cause, ChainFits, CheckChain, CheckSigner, Done, Failed, ReadRoot, RootRead

_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which pyOpenSSL has no name."""

# --- jobs


def read_root(job: ReadRoot, now: datetime | None) -> RootRead | Failed:
    """See the package."""
    try:
        root = read_one(job.pem)
        check_dates(root, now)
        check_ca(root)
        check_path([root], [root], now)
        issuer = None
        if job.signed_by:
            issuer = _issuer(root, job.signed_by, now)
        installed = InstalledCertificate(
            use=job.use,
            pem=root.pem,
            fingerprint=hashlib.sha256(root.der).hexdigest(),
            subject=root.subject,
            hashes=hashes(root, issuer),
            not_before=root.not_before,
            not_after=root.not_after,
        )
    except Unfit as unfit:
        return Failed(str(unfit), Cause.INVALID)
    return RootRead(installed)


def check_signer(job: CheckSigner, now: datetime | None) -> Done | Failed:
    """See the package."""
    try:
        chain = read_all(job.certificate)
        check_dates(chain[0], now)
        usage = extension(chain[0], lambda found: found.get_extension_for_class(x509.KeyUsage).value)
        if usage is not None and not usage.digital_signature:
            raise Unfit("the certificate's key is not meant for signatures")
        roots = trusted(job.roots)
        if not roots:
            raise Unfit("no manufacturer's root is installed to which the certificate could lead")
        check_path(chain, roots, now)
    except Unfit as unfit:
        return Failed(str(unfit), Cause.INVALID)
    return Done()


def check_chain(job: CheckChain, folder: Path, now: datetime | None) -> ChainFits | Failed:
    """See the package."""
    try:
        chain = read_all(job.chain)
        leaf = chain[0]
        key = _key_of(leaf, job.keys, folder)
        _check_subject(leaf, job)
        if leaf.not_after <= leaf.not_before:
            raise Unfit("the certificate ends before it begins")
        at = max(now, leaf.not_before) if now is not None and job.future else now
        check_dates(leaf, at)
        _check_client(leaf)
        check_path(chain, trusted(job.roots) or chain[-1:], at)
        fitting = ClientCertificate(
            key_id=key.key_id,
            requested_at=key.requested_at,
            chain="".join(one.pem for one in chain),
            not_before=leaf.not_before,
            not_after=leaf.not_after,
            subject=leaf.subject,
            serial_number=leaf.serial_number,
            hashes=tuple(replace(one, issuer_key_hash="") for one in hashes(leaf)),
        )
    except Unfit as unfit:
        return Failed(str(unfit), Cause.INVALID)
    except OSError as error:
        return Failed(f"the station's keys cannot be read: {error.strerror}")
    return ChainFits(fitting)


# --- judgements


def check_dates(certificate: Certificate, at: datetime | None) -> None:
    if at is None:
        return
    if at < certificate.not_before:
        raise Unfit(f"the certificate is not valid before {certificate.not_before:%Y-%m-%d %H:%M} UTC")
    if at > certificate.not_after:
        raise Unfit(f"the certificate has expired, {certificate.not_after:%Y-%m-%d %H:%M} UTC")


def check_ca(certificate: Certificate) -> None:
    """It may sign certificates."""
    basic = extension(certificate, lambda found: found.get_extension_for_class(x509.BasicConstraints).value)
    if basic is None or not basic.ca:
        raise Unfit("the certificate is not a CA's")
    usage = extension(certificate, lambda found: found.get_extension_for_class(x509.KeyUsage).value)
    if usage is not None and not usage.key_cert_sign:
        raise Unfit("the CA's key is not meant to sign certificates")


def trusted(roots: Sequence[str]) -> list[Certificate]:
    """The roots that can be read; they were judged when they were installed."""
    found = []
    for pem in roots:
        try:
            found.append(read_one(pem))
        except Unfit:
            continue
    return found


def check_path(chain: Sequence[Certificate], roots: Sequence[Certificate], at: datetime | None) -> None:
    """Whether the first of `chain` leads to one of the roots at that time, by way of the others: OpenSSL's judgement.

    A root need not have signed itself: what is installed is trusted. Of several roots with one name OpenSSL looks at
    one only, unless the certificates say whose key it was; so where all together do not do, each has its own turn.
    """
    try:
        _verify(chain, roots, at)
    except Unfit:
        if len(roots) < 2 or not any(_holds(chain, [root], at) for root in roots):
            raise


def _holds(chain: Sequence[Certificate], roots: Sequence[Certificate], at: datetime | None) -> bool:
    try:
        _verify(chain, roots, at)
    except Unfit:
        return False
    return True


def _verify(chain: Sequence[Certificate], roots: Sequence[Certificate], at: datetime | None) -> None:
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN | crypto.X509StoreFlags.CHECK_SS_SIGNATURE)
    if at is None:
        store.set_flags(_NO_CHECK_TIME)
    else:
        store.set_time(at)
    for root in roots:
        store.add_cert(root.openssl)
    context = crypto.X509StoreContext(store, chain[0].openssl, [one.openssl for one in chain[1:]])
    try:
        context.verify_certificate()
    except crypto.X509StoreContextError as error:
        raise Unfit(f"the certificate does not hold: {error}") from None
    except crypto.Error:
        raise Unfit("the certificate does not hold") from None


def _issuer(root: Certificate, signed_by: Sequence[str], now: datetime | None) -> Certificate | None:
    """Who of the present roots has signed the new one (M05.FR.08-13); None where it is one of them, once more."""
    present = trusted(signed_by)
    if any(one.der == root.der for one in present):
        return None
    for one in present:
        if _holds([root], [one], now):
            return one
    raise Unfit("the certificate is not signed by the present root")


def _key_of(leaf: Certificate, keys: Sequence[ClientCertificate], folder: Path) -> ClientCertificate:
    """The key that the certificate was made for. Raises `OSError` where a key that cannot be read may be the one."""
    unread: OSError | None = None
    for one in keys:
        try:
            pem = read_key(folder, one.key_id)
            key: Any = None if pem is None else load_pem_private_key(pem, password=None)
        except OSError as error:
            unread = error
            continue
        except (ValueError, TypeError):
            continue
        if key is None:
            continue
        if key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == leaf.public_key:
            return one
    if unread is not None:
        raise unread
    raise Unfit("the certificate is not for a key of this station")


def _check_subject(leaf: Certificate, job: CheckChain) -> None:
    for oid, wanted, what in (
        (NameOID.COMMON_NAME, job.common_name, "common name"),
        (NameOID.ORGANIZATION_NAME, job.organization, "organization"),
    ):
        found = [str(name.value) for name in parsing(lambda: leaf.parsed.subject).get_attributes_for_oid(oid)]
        if found != [wanted]:
            raise Unfit(f"the certificate has another {what} than was asked for")


def _check_client(leaf: Certificate) -> None:
    """A client's, where it says what it is for."""
    basic = extension(leaf, lambda found: found.get_extension_for_class(x509.BasicConstraints).value)
    if basic is not None and basic.ca:
        raise Unfit("the certificate is a CA's")
    usage = extension(leaf, lambda found: found.get_extension_for_class(x509.KeyUsage).value)
    if usage is not None and not usage.digital_signature:
        raise Unfit("the certificate's key is not meant for signatures, which TLS needs")
    extended = extension(leaf, lambda found: found.get_extension_for_class(x509.ExtendedKeyUsage).value)
    allowed = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if extended is not None and not allowed & set(extended):
        raise Unfit("the certificate is not meant for clients")
