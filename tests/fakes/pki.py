"""Certificates for tests, made when they are needed: authorities, servers, stations, and everything that can be wrong.

Elliptic keys, for they are quick to make. Times are real: what TLS judges has to be valid now.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
HOSTS = ("localhost", "127.0.0.1", "::1")
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate with its key. `issuers`: the authorities between it and its root, the nearest first."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> str:
        return pem_of(self.certificate)

    @property
    def chain_pem(self) -> str:
        return "".join(pem_of(one) for one in (self.certificate, *self.issuers))

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

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
        key: PrivateKey | None = None,
    ) -> Authority:
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = _builder(subject, parent.certificate.subject if parent else subject, key, not_before, not_after)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        certificate = builder.sign(parent.key if parent else key, hashes.SHA256())
        between = () if parent is None or parent.root else (parent.certificate, *parent.issuers)
        return cls(certificate=certificate, key=key, issuers=between, root=parent is None)

    def below(self, name: str = "Test Sub") -> Authority:
        """An authority that this one has signed."""
        return Authority.new(name, parent=self)

    def server(
        self,
        hosts: Sequence[str] = HOSTS,
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        key: PrivateKey | None = None,
    ) -> Pair:
        """A server's certificate for these names and addresses."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(hosts[0]), self.certificate.subject, key, not_before, not_after)
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        return self._signed(builder, key)

    def client(
        self,
        common_name: str,
        organization: str = "Example Energy",
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        key: PrivateKey | None = None,
    ) -> Pair:
        """A station's certificate."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = _name(common_name, organization)
        builder = _builder(subject, self.certificate.subject, key, not_before, not_after)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        return self._signed(builder, key)

    def sign_request(self, csr: str, *, not_before: datetime | None = None, not_after: datetime | None = None) -> str:
        """The chain (PEM, leaf first) for a station's own PKCS#10 request, as a CSMS sends it."""
        request = x509.load_pem_x509_csr(csr.encode())
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(self.certificate.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before or now - DAY)
            .not_valid_after(not_after or now + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        )
        leaf = builder.sign(self.key, hashes.SHA256())
        return "".join(pem_of(one) for one in (leaf, *(() if self.root else (self.certificate, *self.issuers))))

    def _signed(self, builder: x509.CertificateBuilder, key: PrivateKey) -> Pair:
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs=False), critical=True)
        certificate = builder.sign(self.key, hashes.SHA256())
        return Pair(certificate=certificate, key=key, issuers=() if self.root else (self.certificate, *self.issuers))


def self_signed(hosts: Sequence[str] = HOSTS) -> Pair:
    """A server that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(hosts[0])
    builder = _builder(subject, subject, key, None, None)
    builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    return Pair(certificate=builder.sign(key, hashes.SHA256()), key=key)


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _name(common_name: str, organization: str = "Example Energy") -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: PrivateKey,
    not_before: datetime | None,
    not_after: datetime | None,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before or now - DAY)
        .not_valid_after(not_after or now + 365 * DAY)
    )
