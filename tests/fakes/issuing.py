"""Certificates of every shape, for judging them: good ones, signed requests, and each thing that can be wrong."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)
_OIDS = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME}


def name(**parts: str) -> x509.Name:
    """CN="..." and O="..."."""
    return x509.Name([x509.NameAttribute(_OIDS[part], text) for part, text in parts.items()])


def rsa_key(bits: int = 2048) -> Any:
    return rsa.generate_private_key(65537, bits)


def ec_key(curve: Any = None) -> Any:
    return ec.generate_private_key(curve or ec.SECP256R1())


@dataclass(frozen=True)
class Issued:
    """A certificate with its private key (None: it is somebody else's)."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def sign_pss(self, content: bytes) -> str:
        """A firmware signature with an RSA key."""
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH)
        return base64.b64encode(self.key.sign(content, pss, hashes.SHA256())).decode()

    def sign_ecdsa(self, content: bytes) -> str:
        """A firmware signature with an EC key."""
        return base64.b64encode(self.key.sign(content, ec.ECDSA(hashes.SHA256()))).decode()


def issue(
    by: Issued | None = None,
    *,
    subject: x509.Name | None = None,
    key: Any = None,
    public: Any = None,
    ca: bool | None = False,
    begins: datetime | None = None,
    ends: datetime | None = None,
    serial: int | None = None,
    digest: Any = None,
    extensions: tuple[x509.ExtensionType, ...] = (),
) -> Issued:
    """A certificate, signed by an authority or (None) by itself. `ca` None: it does not say whether it is one."""
    own = key if key is not None or public is not None else ec_key()
    subject = subject or name(CN="somebody")
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(public if public is not None else own.public_key())
        .serial_number(serial if serial is not None else x509.random_serial_number())
        .not_valid_before((begins or datetime.now(UTC) - DAY).replace(tzinfo=None))
        .not_valid_after((ends or datetime.now(UTC) + 365 * DAY).replace(tzinfo=None))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    for one in extensions:
        builder = builder.add_extension(one, critical=False)
    signer = by.key if by else own
    fixed = isinstance(signer, ed25519.Ed25519PrivateKey)  # has its own
    return Issued(builder.sign(signer, None if fixed else digest or hashes.SHA256()), own)


def authority(by: Issued | None = None, *, cn: str = "Test root", **shape: Any) -> Issued:
    """A CA."""
    return issue(by, subject=name(CN=cn, O="Test authority"), ca=True, **shape)


def sign_request(csr: str, by: Issued, **shape: Any) -> str:
    """What a CSMS's authority makes of a signing request: the certificate, PEM."""
    request = x509.load_pem_x509_csr(csr.encode())
    assert request.is_signature_valid
    shape.setdefault("subject", request.subject)
    shape.setdefault("extensions", (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),))
    return issue(by, public=request.public_key(), **shape).pem


def usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
