"""What belongs into a backup: found on the disk, the configuration read as it lies there, right or wrong.

Owns where edged's things are. Refuses to judge a configuration: a wrong one is worth keeping too. Invariants: nothing
is left out in silence · without secrets there is no password, no private key and no database in it.
"""

from __future__ import annotations

import grp
import os
import re
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edged.backup.manifest import CONFIGURATION, MAX_FILE_BYTES, MAX_MEMBERS, MEMBER, OUTSIDE, BackupError
from edged.settings.document import DocumentError, Mapping, Node, Scalar, Sequence, read_document
from edged.settings.model import PROFILES_FOLDER

CREDENTIALS_FOLDER: Final = "credentials"
KEYS_FOLDER: Final = "keys"
_REFERENCE: Final = re.compile(r"\$\{([^{}]*)\}")
_KEY_FILE: Final = re.compile(r"[0-9a-f]{16}(\.chain)?\.pem")
_FILE_KEYS: Final = frozenset({"ca_file", "cert", "key"})
_SECRET_KEYS: Final = frozenset({"password", "AuthorizationKey", "BasicAuthPassword"})
_LONGEST_NAME: Final = 100
ALWAYS_LEFT_OUT: Final = ("firmware images and logs on their way (transfer/)",)


@dataclass(slots=True)
class Found:
    """What was found. `files`: by member name; `outside`: where those lay that are in none of edged's folders."""

    gateway: str
    stations: tuple[str, ...]
    files: dict[str, Piece] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One file, read."""

    source: bytes
    mode: int
    group: str
    outside: str | None = None


def find(config: Path, *, secrets: bool) -> Found:
    """The configuration and what it names. Raises `BackupError`."""
    folder = config.absolute().parent
    try:
        piece = _read(config)
    except OSError as error:
        raise BackupError(f"{config} cannot be read ({error.strerror}): name the configuration with -c") from error
    content = piece.source
    if len(content) > MAX_FILE_BYTES:
        raise BackupError(f"{config} is larger than {MAX_FILE_BYTES // 1024} KiB: this is not a configuration of edged")
    tree, wrong = _tree(content)
    found = Found(_gateway(tree), tuple(_stations(tree)))
    found.files[CONFIGURATION] = piece
    if wrong:
        found.left_out.append(f"files that {config} names elsewhere: it {wrong}")
    if not secrets:
        _refuse_literals(tree, config)
    for path in _listing(folder / PROFILES_FOLDER):
        _take(found, path, f"config/{PROFILES_FOLDER}/{path.name}")
    names = _credentials(tree, found)
    if secrets:
        for path in _listing(folder / CREDENTIALS_FOLDER):
            _take(found, path, f"config/{CREDENTIALS_FOLDER}/{path.name}")
        for name in sorted(names):
            beside = folder / name
            if beside.is_file() and beside.name != config.name:
                _take(found, beside, f"config/files/{name}")
            elif f"config/{CREDENTIALS_FOLDER}/{name}" not in found.files:
                found.left_out.append(f"the credential {name}: it is not in {folder / CREDENTIALS_FOLDER}")
    else:
        found.left_out.append("passwords, private keys and the database: it was made without secrets")
    _take_named(found, tree, folder, secrets=secrets)
    found.left_out += ALWAYS_LEFT_OUT
    if len(found.files) >= MAX_MEMBERS // 2:
        raise BackupError(f"there are {len(found.files)} files in {folder}: these are not all edged's, move them away")
    return found


def find_keys(state: Path, found: Found) -> None:
    """The private keys that were made here, and their chains. Raises `BackupError`."""
    for path in _listing(state / KEYS_FOLDER):
        if _KEY_FILE.fullmatch(path.name) and not path.is_symlink():
            _take(found, path, f"state/{KEYS_FOLDER}/{path.name}")


def _listing(folder: Path) -> list[Path]:
    """The files of a folder; none where there is none. Raises `BackupError` where it may not be read."""
    try:
        return sorted(path for path in folder.iterdir() if not path.is_dir() and not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise BackupError(_not_readable(folder, error)) from error


def _not_readable(path: Path, error: OSError) -> str:
    return f"{path} cannot be read ({error.strerror}): use sudo, or leave secrets out with --without-secrets"


def _take(found: Found, path: Path, name: str, *, outside: str | None = None, named: bool = False) -> None:
    """`named`: the configuration wants it, so it is missed where it is not there."""
    odd = outside is not None and OUTSIDE.fullmatch(outside) is None
    if odd or MEMBER.fullmatch(name) is None or len(name) > _LONGEST_NAME:
        found.left_out.append(f"{path}: its name is not one of edged's")
        return
    try:
        piece = _read(path, outside=outside)
    except (FileNotFoundError, NotADirectoryError):
        if named:
            found.left_out.append(f"{path}: the configuration names it and it is not there")
        return
    except IsADirectoryError:
        found.left_out.append(f"{path}: it is no file")
        return
    except OSError as error:
        raise BackupError(_not_readable(path, error)) from error
    if len(piece.source) > MAX_FILE_BYTES:
        found.left_out.append(f"{path}: it is larger than {MAX_FILE_BYTES // 1024} KiB")
        return
    found.files[name] = piece


def _read(path: Path, *, outside: str | None = None) -> Piece:
    """The file's content, a byte more than is allowed at most."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        told = os.fstat(descriptor)
        if not stat.S_ISREG(told.st_mode):
            raise IsADirectoryError(0, "it is no file", str(path))
        return Piece(
            source=file.read(MAX_FILE_BYTES + 1),
            mode=stat.S_IMODE(told.st_mode) & 0o777,
            group="edged" if _group(told.st_gid) == "edged" else "root",
            outside=outside,
        )


def _group(number: int) -> str | None:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return None


# --- the configuration, whatever state it is in


def _tree(content: bytes) -> tuple[Node | None, str]:
    try:
        return read_document(content)[0], ""
    except DocumentError as error:
        return None, error.sentence


def _scalars(node: Node | None, key: str = "") -> Iterator[tuple[str, Scalar]]:
    """Every value with the key that it stands under."""
    match node:
        case None:
            return
        case Scalar():
            yield key, node
        case Sequence():
            for item in node.items:
                yield from _scalars(item, key)
        case Mapping():
            for entry in node.entries:
                yield from _scalars(entry.node, entry.key)


def _under(node: Node | None, *keys: str) -> Node | None:
    for key in keys:
        entries = node.entries if isinstance(node, Mapping) else ()
        node = next((entry.node for entry in entries if entry.key == key), None)
    return node


def _gateway(tree: Node | None) -> str:
    """As the daemon names itself: what is written, else the computer's name."""
    written = _under(tree, "gateway", "id")
    text = written.text if isinstance(written, Scalar) else socket.gethostname().partition(".")[0]
    return re.sub(r"[^a-z0-9-]+", "-", text.lower())[:32].strip("-") or "edged"


def _stations(tree: Node | None) -> Iterator[str]:
    stations = _under(tree, "stations")
    for station in stations.items[:1000] if isinstance(stations, Sequence) else ():
        identity = _under(station, "id")
        if isinstance(identity, Scalar) and identity.text.isprintable():
            yield identity.text[:255]


def _credentials(tree: Node | None, found: Found) -> set[str]:
    """The names of the credentials that are referred to. What comes from the environment is nowhere on the disk."""
    names = set()
    for _, scalar in _scalars(tree):
        for reference in _REFERENCE.findall(scalar.text):
            kind, _, name = reference.partition(":")
            if kind == "credential":
                names.add(name)
            elif kind == "env" and name.isascii() and name.isprintable():
                found.left_out.append(f"the environment variable {name[:128]}: set it for the service again")
    return names


def _refuse_literals(tree: Node | None, config: Path) -> None:
    for key, scalar in _scalars(tree):
        if key in _SECRET_KEYS and not scalar.is_null and _REFERENCE.sub("", scalar.text).strip():
            raise BackupError(
                f"{config}:{scalar.line}: {key} stands there in clear text: put it into a credential and write "
                "${credential:NAME}, or make the backup with secrets"
            )
    if tree is None:
        raise BackupError(f"{config} cannot be searched for passwords: mend it first (edged check), or keep secrets in")


def _take_named(found: Found, tree: Node | None, folder: Path, *, secrets: bool) -> None:
    """Certificates and keys by the paths that the configuration has for them."""
    number = 0
    for key, scalar in _scalars(tree):
        if key not in _FILE_KEYS or scalar.is_null or "${" in scalar.text or "\0" in scalar.text:
            continue
        if key == "key" and not secrets:
            continue
        path = Path(os.path.normpath(folder / scalar.text[:2048]))
        if path.is_relative_to(folder):
            inside = path.relative_to(folder)
            if inside.parts[0] not in (PROFILES_FOLDER, CREDENTIALS_FOLDER):
                _take(found, path, f"config/files/{inside}", named=True)
        elif not any(piece.outside == str(path) for piece in found.files.values()):
            number += 1
            _take(found, path, f"outside/{number}", outside=str(path), named=True)
