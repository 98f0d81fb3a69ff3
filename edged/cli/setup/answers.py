"""The answers of `--answers FILE`: a configuration in short, with passwords that do not stay in it.

Owns what an answers file may say beyond edged.yaml: `password: {generate: true}`, `{file: PATH}`, `{credential: NAME}`
or the password itself, and what it may leave out (`gateway.id`, the `evses` of a sole station). Refuses to know all
other keys: the loader judges them. Invariant: each mistake is told with the line of the answers file.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from pathlib import Path

from edged.cli.setup import draft
from edged.cli.setup.draft import Place, named
from edged.cli.setup.judgement import Site
from edged.cli.setup.passwords import Passwords, generated, problem_with
from edged.settings import SettingsError, SettingsErrors
from edged.settings.document import MAX_BYTES, DocumentError, Mapping, Node, Scalar, read_document
from edged.settings.errors import shown
from edged.settings.loader import FALLBACK_GATEWAY_ID
from edged.settings.secret import MAX_SECRET_BYTES
from edged.settings.section import as_flag, kind_of

WANTED = "{generate: true}, {file: PATH}, {credential: NAME} or the password itself"
_CREDENTIAL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def gateway_id(hostname: str | None = None) -> str:
    """What a gateway is called where nobody says: as the host, in what an id may hold."""
    host = socket.gethostname() if hostname is None else hostname
    return re.sub(r"[^a-z0-9-]+", "-", host.lower().partition(".")[0])[:32].strip("-") or FALLBACK_GATEWAY_ID


def with_evses(tree: Node, site: Site) -> Node:
    """A sole station without `evses` has all the chargers that there are, in their order."""
    stations = draft.items_at(tree, ("stations",))
    if len(stations) != 1 or draft.at(stations[0], ("evses",)) is not None:
        return tree
    names = [
        name
        for name in draft.names_at(tree, ("chargers",))
        if site.charges(draft.text_at(tree, ("chargers", name, "profile")))
    ]
    for number, name in enumerate(names):
        tree = draft.put(tree, ("stations", 0, "evses", number, "charger"), draft.text(name))
    return tree


@dataclass(slots=True)
class Answers:
    """One answers file on its way to a draft. Raises `SettingsErrors` from every method."""

    path: Path
    site: Site
    passwords: Passwords
    before: Node
    """The configuration that there is, an empty mapping where there is none: a generated password stays what it is."""
    errors: list[SettingsError] = field(default_factory=list)

    def draft(self) -> Node:
        """The whole configuration, judged."""
        tree = self._read()
        written = tree
        if draft.at(tree, ("gateway", "id")) is None and isinstance(draft.at(tree, ("gateway",)), Mapping | None):
            tree = draft.put(tree, ("gateway", "id"), draft.text(gateway_id()))
        tree = self._with_passwords(tree)
        tree = draft.in_order(with_evses(tree, self.site))
        refused = {error.path for error in self.errors}
        for error in self.site.judge(tree, self.passwords.pending).errors:
            if error.file != str(self.site.config):
                self.errors.append(error)  # of a profile, which is a file of its own
            elif error.path not in refused:
                line = line_of(written, error.path)
                self.errors.append(SettingsError(str(self.path), line, error.path, error.sentence, error.rule))
        if self.errors:
            raise SettingsErrors(sorted(self.errors, key=lambda error: (error.file != str(self.path), error.line)))
        return tree

    def _read(self) -> Node:
        try:
            with self.path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            sentence = f"cannot be read ({error.strerror or error}): name a file of answers (docs/setup.md)"
            raise SettingsErrors([SettingsError(str(self.path), 0, "", sentence)]) from error
        try:
            tree, repeated = read_document(content)
        except DocumentError as error:
            raise SettingsErrors([SettingsError(str(self.path), error.line, "", error.sentence)]) from error
        if not isinstance(tree, Mapping):
            sentence = f"must hold answers like `stations:`, not {kind_of(tree)}: docs/setup.md has an example"
            raise SettingsErrors([SettingsError(str(self.path), tree.line, "", sentence)])
        for key in repeated:
            self._error(key.line, shown(key.key), f"stands there twice, first in line {key.first_line}: delete one")
        return tree

    # --- passwords ----------------------------------------------------------------------------------------------------

    def _with_passwords(self, tree: Node) -> Node:
        for place in draft.passwords(tree):
            answer = draft.at(tree, place)
            if answer is None or (isinstance(answer, Scalar) and (answer.is_null or draft.is_reference(answer.text))):
                continue
            before = draft.text_at(self.before, place)
            held = tree if before is None else draft.put(tree, place, draft.plain(before))
            name = draft.text_at(answer, ("credential",))
            if name is not None and len(draft.names_at(answer, ())) == 1:
                tree = draft.put(tree, place, self._credential(name, answer.line, place))
                continue
            found = self._password(place, answer, held)
            # A wrong answer is told once: in its place stands one that is right.
            tree = self.passwords.place(held, place, generated() if found is None else found)
        return tree

    def _credential(self, name: str, line: int, place: Place) -> Node:
        if not _CREDENTIAL_NAME.fullmatch(name):
            self._wrong(line, place, "names no credential: use letters, digits, _ . and -")
        return draft.credential(name)

    def _password(self, place: Place, answer: Node, held: Node) -> str | None:
        """None: it is wrong, and that was said."""
        if isinstance(answer, Scalar):
            return self._checked(answer.text, answer.line, place)
        if not isinstance(answer, Mapping) or len(answer.entries) != 1:
            return self._wrong(answer.line, place, f"must be {WANTED}")
        (entry,) = answer.entries
        value = entry.node
        if not isinstance(value, Scalar) or value.is_null:
            return self._wrong(entry.line, place, f"must be {WANTED}")
        match entry.key:
            case "generate":
                if as_flag(value) is not True:
                    return self._wrong(entry.line, place, "is generated by {generate: true}, or not at all")
                return self.passwords.known(held, place) or self.passwords.prepared(place) or generated()
            case "file":
                return self._from_file(value.text, entry.line, place)
            case _:
                return self._wrong(entry.line, place, f"has no {shown(entry.key)}: write {WANTED}")

    def _from_file(self, name: str, line: int, place: Place) -> str | None:
        path = self.path.absolute().parent / name
        try:
            if not path.is_file():
                return self._wrong(line, place, f"names {shown(str(path), limit=200)}, which is no file")
            with path.open("rb") as file:
                content = file.read(MAX_SECRET_BYTES + 1)
            text = content.decode().removesuffix("\n").removesuffix("\r")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8 text"
            return self._wrong(line, place, f"names {shown(str(path), limit=200)}, which cannot be read ({why})")
        return self._checked(text, line, place)

    def _checked(self, password: str, line: int, place: Place) -> str | None:
        problem = problem_with(password)
        return password if problem is None else self._wrong(line, place, problem)

    def _wrong(self, line: int, place: Place, sentence: str) -> str | None:
        self._error(line, named(place), sentence)
        return None

    def _error(self, line: int, path: str, sentence: str) -> None:
        self.errors.append(SettingsError(str(self.path), line, path, sentence))


def line_of(tree: Node, path: str) -> int:
    """The line in which a key of an error stands, or the nearest that holds it; 0 where nothing of it is there."""
    lines = dict(_lines(tree, ""))
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path, 0)


def _lines(node: Node, path: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    match node:
        case Mapping():
            for entry in node.entries:
                inner = f"{path}.{shown(entry.key)}" if path else shown(entry.key)
                found += [(inner, entry.line), *_lines(entry.node, inner)]
        case Scalar():
            pass
        case _:
            for number, item in enumerate(node.items):
                inner = f"{path}[{number}]"
                found += [(inner, item.line), *_lines(item, inner)]
    return found
