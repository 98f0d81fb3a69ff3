"""Passwords on their way into the credentials' folder: which file each gets, and where a generated one comes from.

Invariants: none is ever in the configuration's text; a file that holds another password is never changed, a new
password gets a new file, so that the configuration in force has its own until the moment it is replaced.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edged.cli.setup import draft
from edged.cli.setup.draft import Place
from edged.cli.setup.judgement import Site
from edged.settings.document import Node, Scalar
from edged.settings.secret import MAX_SECRET_BYTES

GENERATED_CHARS = 32
_ALPHABET = string.ascii_letters + string.digits


def generated() -> str:
    """Letters and digits that nobody guesses, 190 bits: OCPP's passwordString takes them, and so does every CSMS."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(GENERATED_CHARS))


def problem_with(password: str) -> str | None:
    """Why a password cannot be a credential."""
    try:
        size = len(password.encode())
    except UnicodeEncodeError:
        return "must be text"
    if not password.strip() or not password.isprintable() or size > MAX_SECRET_BYTES // 2:
        return f"must be one line of 1 to {MAX_SECRET_BYTES // 2} printable characters"
    return None


def base_name(place: Place) -> str:
    """What the credential at a place is called."""
    if place[0] == "mqtt":
        return "mqtt-password"
    number = int(place[1])
    return "csms-password" if number == 0 else f"csms-password-{number + 1}"


@dataclass(slots=True)
class Passwords:
    """Those of one site. `pending`: what must be written before the configuration, by the credential's name."""

    site: Site
    pending: dict[str, str] = field(default_factory=dict)

    def place(self, tree: Node, place: Place, password: str) -> Node:
        """The draft with a reference to this password: to the credential that has it already, or to a new one."""
        return draft.put(tree, place, draft.credential(self._name_for(tree, place, password)))

    def known(self, tree: Node, place: Place) -> str | None:
        """The password that a draft refers to there, None where it cannot be read."""
        name = draft.credential_name(draft.text_at(tree, place))
        if name is None:
            return None
        return self.pending[name] if name in self.pending else self.site.stored(name)

    def prepared(self, place: Place) -> str | None:
        """The credential of the usual name, where one lies there already: from a run that was cut short, or put there
        by hand."""
        name = base_name(place)
        return self.site.stored(name)

    def adopt(self, tree: Node) -> tuple[Node, tuple[Place, ...]]:
        """A draft whose passwords are all references, and where one had been written out."""
        moved = []
        for place in draft.passwords(tree):
            node = draft.at(tree, place)
            if isinstance(node, Scalar) and not node.is_null and "${" not in node.text and not problem_with(node.text):
                tree = self.place(tree, place, node.text)
                moved.append(place)
        return tree, tuple(moved)

    def used(self, tree: Node) -> Mapping[str, str]:
        """Those of `pending` that the draft refers to: the rest were second thoughts."""
        named = {draft.credential_name(each.text) for each in draft.scalars(tree)}
        return {name: value for name, value in self.pending.items() if name in named}

    def _name_for(self, tree: Node, place: Place, password: str) -> str:
        elsewhere = {
            draft.credential_name(draft.text_at(tree, other)) for other in draft.passwords(tree) if other != place
        }
        now = draft.credential_name(draft.text_at(tree, place))
        if now is not None and now not in self.pending and self.site.stored(now) == password:
            return now
        for name in _names(base_name(place)):
            if name in elsewhere:
                continue
            if self._is_stored(name, password):
                self.pending.pop(name, None)
                return name
            if not self._is_taken(name):
                self.pending[name] = password
                return name
        raise AssertionError("names have no end")

    def _is_stored(self, name: str, password: str) -> bool:
        """In the folder that systemd reads too."""
        return _exists(self.site.credentials / name) and self.site.stored(name) == password

    def _is_taken(self, name: str) -> bool:
        return any(_exists(folder / name) for folder in (self.site.credentials, self.site.folder))


def _names(base: str) -> Iterator[str]:
    yield base
    number = 2
    while True:
        yield f"{base}.{number}"
        number += 1


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True
