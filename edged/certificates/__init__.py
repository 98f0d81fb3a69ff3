"""The room that judges certificates and keeps the station's private keys: jobs in, outcomes out.

Owns: what makes a certificate good enough, the names by which a CSMS calls one, making keys, firmware signatures.
Whether a chain holds is OpenSSL's judgement, not ours. Refuses to know: why somebody asks, what is installed, the line.

Every function here blocks and belongs into a thread. Every certificate is hostile: what is wrong with it comes back as
`Failed` with a sentence, never as an exception. Two compiled packages do the work and are imported when the first job
comes: without them every job fails as UNSUPPORTED, and the rest of edged does not notice.

`now` None: the clock is not trusted. Then dates refuse nothing: a computer without a battery clock would otherwise call
good certificates bad, and report them, until it hears the time.

Invariant: a private key is a file that only this system's user can read; it never leaves, in no answer and no log.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from edged.certificates.key_files import client_files, forget_keys, key_path, remove_keys
from edged.domain.jobs import (
    Cause,
    ChainFits,
    CheckChain,
    CheckSigner,
    Done,
    Failed,
    MakeRequest,
    ReadRoot,
    RequestMade,
    RootRead,
    VerifyFirmware,
)

__all__ = [
    "check_chain",
    "check_signer",
    "client_files",
    "forget_keys",
    "key_path",
    "make_request",
    "read_root",
    "remove_keys",
    "verify_firmware",
]

MISSING: Final = Failed(
    "certificates need the packages cryptography and pyOpenSSL (Debian: python3-cryptography and python3-openssl)",
    Cause.UNSUPPORTED,
)


def check_signer(job: CheckSigner, now: datetime | None) -> Done | Failed:
    """Whether a firmware signing certificate may sign: it leads to one of the roots and is valid now (L01.FR.23-25).

    Intermediate certificates may stand behind it. INVALID says that it may not. Nothing is asked of the issuer: a
    certificate that was revoked is not recognized.
    """
    try:
        from edged.certificates import judgement
    except ImportError:
        return MISSING
    return judgement.check_signer(job, now)


def verify_firmware(job: VerifyFirmware, path: Path, now: datetime | None) -> Done | Failed:
    """Whether the order's signature is its signing certificate's over the file at `path` (L01.FR.04).

    RSA-PSS or ECDSA, with SHA-256. INVALID says that it is not; a file that cannot be read is another failure.
    """
    try:
        from edged.certificates import signature
    except ImportError:
        return MISSING
    return signature.verify_firmware(job, path, now)


def read_root(job: ReadRoot, now: datetime | None) -> RootRead | Failed:
    """Read a CA's certificate that is to be trusted from now on (M05). INVALID says that it is not fit for that."""
    try:
        from edged.certificates import judgement
    except ImportError:
        return MISSING
    return judgement.read_root(job, now)


def make_request(job: MakeRequest, folder: Path) -> RequestMade | Failed:
    """Make a key pair, on the disk before this returns, and its signed request (A02.FR.02-03)."""
    try:
        from edged.certificates import signing_request
    except ImportError:
        return MISSING
    return signing_request.make_request(job, folder)


def check_chain(job: CheckChain, folder: Path, now: datetime | None) -> ChainFits | Failed:
    """Whether a signed chain is for one of our keys and may be used (A02.FR.06). INVALID says that it may not.

    Where it may begin in the future (whitepaper A02.FR.08) it is judged as of its first moment. Without roots the chain
    needs to hold only in itself: who lets us in judges it next.
    """
    try:
        from edged.certificates import judgement
    except ImportError:
        return MISSING
    return judgement.check_chain(job, folder, now)
