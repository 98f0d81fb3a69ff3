"""The folder of the station's own keys and chains: names, permissions, durability. Knows no cryptography.

Invariants: every file is readable by its owner only · a key is never written over · a name that is no key's is refused
and no file but ours is touched.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from edged.domain.credentials import ClientCertificate

_KEY_ID: Final = re.compile(r"[0-9a-f]{16}")
_OURS: Final = re.compile(r"([0-9a-f]{16})(\.chain)?\.pem(\.new)?")
_PRIVATE: Final = 0o600
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def is_key_id(text: str) -> bool:
    return _KEY_ID.fullmatch(text) is not None


def key_path(folder: Path, key_id: str) -> Path:
    """The private key's file. Raises `ValueError` for a name that this room has not given."""
    if not is_key_id(key_id):
        raise ValueError("not the name of a key")
    return folder / f"{key_id}.pem"


def write_key(folder: Path, key_id: str, pem: bytes) -> None:
    """A new key, on the disk when this returns. Raises `OSError`, and then leaves nothing behind."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_new(key_path(folder, key_id), pem)


def read_key(folder: Path, key_id: str) -> bytes | None:
    """None where it is not there. Raises `OSError` where it is and cannot be read."""
    if not is_key_id(key_id):
        return None
    with contextlib.suppress(FileNotFoundError):
        return key_path(folder, key_id).read_bytes()
    return None


def remove_keys(folder: Path, keep: Collection[str]) -> None:
    """Remove the keys and chains that nobody needs. Not while a `make_request` runs: its key is not in `keep` yet.

    What cannot be removed stays; a folder that is not there is empty.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    for path in paths:
        ours = _OURS.fullmatch(path.name)
        if ours is not None and (ours[1] not in keep or ours[3]):
            with contextlib.suppress(OSError):
                path.unlink()


def forget_keys(folder: Path, key_ids: Collection[str]) -> None:
    """Remove these keys and their chains, as soon as it is committed that nobody needs them. What cannot be removed
    stays until `remove_keys`."""
    for key_id in filter(is_key_id, key_ids):
        for name in (f"{key_id}.pem", f"{key_id}.chain.pem", f"{key_id}.chain.pem.new"):
            with contextlib.suppress(OSError):
                (folder / name).unlink()


def client_files(certificate: ClientCertificate, folder: Path) -> tuple[Path, Path]:
    """The chain's file and the key's, for `ssl.SSLContext.load_cert_chain`; the chain is written where it differs.

    Raises `OSError` where it cannot be, `FileNotFoundError` where the key is not there or no chain has come yet.
    """
    key = key_path(folder, certificate.key_id)
    chain = folder / f"{certificate.key_id}.chain.pem"
    if not certificate.chain or not key.is_file():
        raise FileNotFoundError(f"no chain, or no key, for the client certificate {certificate.key_id}")
    wanted = certificate.chain.encode()
    with contextlib.suppress(OSError):
        if chain.read_bytes() == wanted:
            return chain, key
    new = chain.with_name(f"{chain.name}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    _write_new(new, wanted)
    new.replace(chain)
    _sync_folder(folder)
    return chain, key


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, _NEW_FILE, _PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def _sync_folder(folder: Path) -> None:
    """The folder's entry is durable too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
