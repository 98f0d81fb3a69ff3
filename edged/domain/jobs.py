"""Work that takes long or needs the world: a step commissions it, a shell does it, its end comes back as an event.

A job is done once for each `Commission(ticket, job)`; its outcome is `JobDone(ticket, outcome)`. It is not kept: what
has to go on after a restart is commissioned again by the block that wants it. `Abandon(ticket)` ends it early, and
then nothing more is heard of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edged.domain.credentials import CertificateUse, ClientCertificate, InstalledCertificate
from edged.domain.files import FirmwareOrder, LogOrder

# --- what is to be done


@dataclass(frozen=True, slots=True)
class CheckSigner:
    """Whether a firmware signing certificate (PEM) is valid and signed by one of the roots (PEM)."""

    certificate: str
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FetchFirmware:
    """Download the order's file, with its retries; what an earlier attempt left is resumed."""

    order: FirmwareOrder


@dataclass(frozen=True, slots=True)
class VerifyFirmware:
    """Whether the order's signature is that of its signing certificate over this file."""

    order: FirmwareOrder
    file: str


@dataclass(frozen=True, slots=True)
class InstallFirmware:
    """Give a file to the site's hook. `resume`: it was begun before a restart; only look how it ended."""

    file: str
    resume: bool = False


@dataclass(frozen=True, slots=True)
class SendLog:
    """Collect what the order asks for and upload it, with its retries."""

    order: LogOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRoot:
    """Read and judge a root (PEM) that is to be installed. `signed_by`: it must be signed by one of these (PEM)."""

    use: CertificateUse
    pem: str
    signed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MakeRequest:
    """Make a key pair and its PKCS#10 request. The names go into its subject (A02.FR.13)."""

    common_name: str
    organization: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckChain:
    """Whether a signed chain (PEM) fits one of our keys, has the subject that was asked for, is valid, and leads to one
    of the roots (PEM). `future`: it may begin later."""

    chain: str
    keys: tuple[ClientCertificate, ...]
    roots: tuple[str, ...]
    common_name: str
    organization: str
    future: bool = True


Job = CheckSigner | FetchFirmware | VerifyFirmware | InstallFirmware | SendLog | ReadRoot | MakeRequest | CheckChain

# --- what became of it


@dataclass(frozen=True, slots=True)
class Done:
    """It worked, and there is nothing more to say."""


class Cause(StrEnum):
    """Why a job failed, as far as somebody tells the causes apart."""

    OTHER = "Other"
    UNSUPPORTED = "Unsupported"  # no such protocol, or a part of the system is missing
    REFUSED = "Refused"  # the address may not be used, or the server lets nobody in
    BAD_REQUEST = "BadRequest"  # the address is none
    INVALID = "Invalid"  # a certificate or a signature is not valid
    REVOKED = "Revoked"
    VERIFICATION = "Verification"  # the installer found the file to be no firmware for this system


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not work; `reason` is a sentence for people, without secrets."""

    reason: str
    cause: Cause = Cause.OTHER


@dataclass(frozen=True, slots=True)
class Fetched:
    """The file is whole on the disk under this name (in the daemon's own folder)."""

    file: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RequestMade:
    """The new key is on the disk under `key_id`; `csr` is PEM."""

    key_id: str
    csr: str


@dataclass(frozen=True, slots=True)
class RootRead:
    certificate: InstalledCertificate


@dataclass(frozen=True, slots=True)
class ChainFits:
    certificate: ClientCertificate


Outcome = Done | Failed | Fetched | RequestMade | RootRead | ChainFits


class Stage(StrEnum):
    """How far a job is, where somebody is told."""

    PAUSED = "Paused"  # a download waits for its next attempt
    RESUMED = "Resumed"
    REBOOTING = "Rebooting"  # the installer is about to restart the computer
