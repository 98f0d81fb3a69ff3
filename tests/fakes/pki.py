"""Certificates for tests, made when they are needed: authorities, servers, stations, and everything that can be wrong.

Elliptic keys where nothing else is asked for: they are quick to make. Times are real: what TLS judges has to be valid
now. `issue` makes a certificate of any shape; `Authority` makes the usual ones.
"""

from __future__ import annotations

import base64
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOSTS = ("localhost", "127.0.0.1", "::1")
DAY = timedelta(days=1)
ORGANIZATION = "Example Energy"
_OIDS = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate with its key (None: it is somebody else's). `issuers`: the authorities between it and its root, the
    nearest first."""

    certificate: x509.Certificate
    key: Any = field(repr=False)
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> str:
        return pem_of(self.certificate)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def chain_pem(self) -> str:
        return "".join(pem_of(one) for one in (self.certificate, *self.issuers))

    @property
    def key_pem(self) -> str:
        pem: bytes = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return pem.decode()

    def sign_pss(self, content: bytes) -> str:
        """A firmware signature with an RSA key."""
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH)
        return base64.b64encode(self.key.sign(content, pss, hashes.SHA256())).decode()

    def sign_ecdsa(self, content: bytes) -> str:
        """A firmware signature with an EC key."""
        return base64.b64encode(self.key.sign(content, ec.ECDSA(hashes.SHA256()))).decode()

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """The chain and the key as files NAME.pem and NAME.key."""
        chain, key = folder / f"{name}.pem", folder / f"{name}.key"
        chain.write_text(self.chain_pem)
        key.touch(mode=0o600)
        key.write_text(self.key_pem)
        return chain, key

    def server_context(self, folder: Path, *, name: str = "server", clients: Authority | None = None) -> ssl.SSLContext:
        """For a server that shows this certificate; `clients`: it lets in only those with a certificate of theirs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.write(folder, name))
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients.pem)
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority(Pair):
    """Signs certificates: a root (its own signature), or one below a root."""

    root: bool = True

    @classmethod
    def new(
        cls,
        name: str = "Test Root",
        *,
        parent: Authority | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        key: Any = None,
    ) -> Authority:
        key = key or ec_key()
        made = issue(
            parent,
            subject=_subject(name),
            key=key,
            ca=True,
            begins=not_before,
            ends=not_after,
            extensions=(
                usage(digital_signature=True, key_cert_sign=True),
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
            ),
        )
        between = () if parent is None else parent.between
        return cls(certificate=made.certificate, key=key, issuers=between, root=parent is None)

    @property
    def between(self) -> tuple[x509.Certificate, ...]:
        """Who stands between what this one signs and the root."""
        return () if self.root else (self.certificate, *self.issuers)

    def below(self, name: str = "Test Sub") -> Authority:
        """An authority that this one has signed."""
        return Authority.new(name, parent=self)

    def server(
        self,
        hosts: Sequence[str] = HOSTS,
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        key: Any = None,
    ) -> Pair:
        """A server's certificate for these names and addresses."""
        return self._leaf(
            _subject(hosts[0]), key, not_before, not_after, _names(hosts), _for(ExtendedKeyUsageOID.SERVER_AUTH)
        )

    def client(
        self,
        common_name: str,
        organization: str = ORGANIZATION,
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        key: Any = None,
    ) -> Pair:
        """A station's certificate."""
        subject = _subject(common_name, organization)
        return self._leaf(subject, key, not_before, not_after, _for(ExtendedKeyUsageOID.CLIENT_AUTH))

    def sign_request(self, csr: str, *, not_before: datetime | None = None, not_after: datetime | None = None) -> str:
        """The chain (PEM, leaf first) for a station's own PKCS#10 request, as a CSMS sends it."""
        leaf = sign_request(csr, self, begins=not_before, ends=not_after)
        return "".join((leaf, *map(pem_of, self.between)))

    def _leaf(
        self,
        subject: x509.Name,
        key: Any,
        not_before: datetime | None,
        not_after: datetime | None,
        *extensions: x509.ExtensionType,
    ) -> Pair:
        shape = (*extensions, usage(digital_signature=True, key_encipherment=True))
        made = issue(self, subject=subject, key=key, begins=not_before, ends=not_after, extensions=shape)
        return Pair(certificate=made.certificate, key=made.key, issuers=self.between)


# --- of any shape


def issue(
    by: Pair | None = None,
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
) -> Pair:
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
    return Pair(certificate=builder.sign(signer, None if fixed else digest or hashes.SHA256()), key=own)


def authority(by: Pair | None = None, *, cn: str = "Test root", **shape: Any) -> Pair:
    """A CA without anything that it need not have."""
    return issue(by, subject=name(CN=cn, O="Test authority"), ca=True, **shape)


def sign_request(csr: str, by: Pair, **shape: Any) -> str:
    """What a CSMS's authority makes of a signing request: the certificate, PEM."""
    request = x509.load_pem_x509_csr(csr.encode())
    assert request.is_signature_valid
    shape.setdefault("subject", request.subject)
    shape.setdefault("extensions", (_for(ExtendedKeyUsageOID.CLIENT_AUTH),))
    return issue(by, public=request.public_key(), **shape).pem


def self_signed(hosts: Sequence[str] = HOSTS) -> Pair:
    """A server that nobody vouches for."""
    return issue(subject=_subject(hosts[0]), ca=None, extensions=(_names(hosts),))


# --- parts


def name(**parts: str) -> x509.Name:
    """CN="..." and O="...", in their order."""
    return x509.Name([x509.NameAttribute(_OIDS[part], text) for part, text in parts.items()])


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def ec_key(curve: Any = None) -> Any:
    return ec.generate_private_key(curve or ec.SECP256R1())


def pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, key_encipherment: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(common_name: str, organization: str = ORGANIZATION) -> x509.Name:
    return name(O=organization, CN=common_name)


def _for(*purposes: x509.ObjectIdentifier) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage(purposes)


def _names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_host(host) for host in hosts])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
