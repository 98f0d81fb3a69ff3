"""Secrets: a value that shows itself to nobody by accident, and the references through which it is fetched.

Owns `${credential:NAME}` and `${env:NAME}`. Under systemd a credential is a file in $CREDENTIALS_DIRECTORY, by its name
or as `edged_NAME` (LoadCredential= of a directory names it so). Elsewhere it is a file beside the configuration, or in
`credentials/` beside it, that nobody but its owner may read. Invariant: no sentence repeats a fetched value.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MAX_SECRET_BYTES = 4096
_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_UNCLOSED = re.compile(r"\$\{[^{}]*(?=$|\{)")
_CREDENTIAL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A password or key. Only `reveal` tells it."""

    _value: str

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"


class ReferenceProblem(Exception):
    """A reference that cannot be resolved; the text says what to do. Never leaves the settings."""


class NotShown(ReferenceProblem):
    """What a reference leads to may well be right, and is not this user's to read."""


@dataclass(frozen=True, slots=True)
class References:
    """Resolves references. `folder` is where the configuration lies."""

    environ: Mapping[str, str]
    folder: Path

    def expand(self, text: str) -> str:
        """`text` with every reference replaced, once: what a reference brings in is not searched again.

        Raises `ReferenceProblem`.
        """
        if _UNCLOSED.search(text):
            raise ReferenceProblem("has ${ without its }: write ${credential:NAME} or ${env:NAME}")
        return _REFERENCE.sub(lambda found: self._resolve(found[1]), text)

    def _resolve(self, reference: str) -> str:
        kind, _, name = reference.partition(":")
        if kind == "env":
            return self._variable(name)
        if kind == "credential":
            return self._credential(name)
        raise ReferenceProblem("has a reference that is not known: write ${credential:NAME} or ${env:NAME}")

    def _variable(self, name: str) -> str:
        if not _VARIABLE_NAME.fullmatch(name):
            raise ReferenceProblem("names no environment variable: write ${env:NAME} with letters, digits and _")
        value = self.environ.get(name)
        if not value:
            raise ReferenceProblem(f"wants the environment variable {name}, which is not set: set it")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ReferenceProblem(f"wants the environment variable {name}, which is not UTF-8") from error
        return value

    def _credential(self, name: str) -> str:
        path = self.credential_path(name)
        try:
            with path.open("rb") as file:
                content = file.read(MAX_SECRET_BYTES + 1)
        except PermissionError as error:
            raise NotShown(_not_shown(path)) from error
        except OSError as error:
            raise ReferenceProblem(f"cannot read the credential {path}: {error.strerror}") from error
        if len(content) > MAX_SECRET_BYTES:
            raise ReferenceProblem(f"takes the credential {path}, which is longer than {MAX_SECRET_BYTES} bytes")
        try:
            value = content.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise ReferenceProblem(f"takes the credential {path}, which is not UTF-8 text") from error
        if not value or not value.isprintable():
            raise ReferenceProblem(f"takes the credential {path}: write exactly one line of text into it")
        return value

    def credential_path(self, name: str) -> Path:
        """The file that holds a credential. Raises `ReferenceProblem`."""
        if not _CREDENTIAL_NAME.fullmatch(name):
            raise ReferenceProblem("names no credential: write ${credential:NAME} with letters, digits, _ . and -")
        systemd = self.environ.get("CREDENTIALS_DIRECTORY")
        if systemd:
            candidates = [Path(systemd, name), Path(systemd, f"edged_{name}")]
            advice = f"put it into {self.folder / 'credentials' / name} and restart the service"
        else:
            candidates = [self.folder / name, self.folder / "credentials" / name]
            advice = f"write it into {candidates[0]} with mode 0600"
        for path in candidates:
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            except PermissionError as error:
                raise NotShown(_not_shown(path)) from error
            except OSError as error:
                raise ReferenceProblem(f"cannot read the credential {path}: {error.strerror}") from error
            if not stat.S_ISREG(found.st_mode):
                raise ReferenceProblem(f"wants the credential {path}, which is not a file")
            if not systemd and found.st_mode & 0o077:
                raise ReferenceProblem(f"wants the credential {path}, which others may read: chmod 0600 {path}")
            if not os.access(path, os.R_OK, effective_ids=True):
                raise NotShown(_not_shown(path))
            return path
        raise ReferenceProblem(f"wants the credential {name}, which does not exist: {advice}")

    def only_credential(self, text: str) -> str | None:
        """NAME, where the whole text is `${credential:NAME}`."""
        found = _REFERENCE.fullmatch(text)
        return found[1].removeprefix("credential:") if found and found[1].startswith("credential:") else None


def _not_shown(path: Path) -> str:
    return f"cannot read the credential {path}: run as its owner, or with sudo"
