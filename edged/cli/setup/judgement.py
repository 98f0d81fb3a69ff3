"""Whether a draft is a configuration that the daemon would take, and whether one answer in it is right.

Owns: asking the loader in advance, with passwords that are not yet on the disk. Refuses to know questions and files.
Invariant: there is no second set of rules; what is wrong is what the loader says.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edged import settings, site
from edged.chargers.library import profile_names, relay_names
from edged.cli.setup import draft
from edged.cli.setup.draft import Place, named
from edged.cli.setup.wording import worded
from edged.mqtt.arguments import SHAPES
from edged.settings import ProfileFacts, ProfileLookup, Settings, SettingsError, SettingsErrors, SettingsWarning
from edged.settings.document import Node, Scalar
from edged.settings.errors import shown
from edged.settings.secret import ReferenceProblem, References

SYSTEMD_DIRECTORY = "CREDENTIALS_DIRECTORY"


@dataclass(frozen=True, slots=True)
class Judgement:
    """`settings`: None where there are errors."""

    errors: tuple[SettingsError, ...]
    settings: Settings | None = None

    @property
    def warnings(self) -> tuple[SettingsWarning, ...]:
        return () if self.settings is None else self.settings.warnings


@dataclass(slots=True)
class Site:
    """Where the configuration will lie, and what the loader finds around it. `credentials`: the passwords' folder."""

    config: Path
    credentials: Path
    lookup: ProfileLookup = field(init=False)
    _standing_in: str = field(init=False)
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        folder = site.profiles_dir(self.config)
        self.lookup = site.lookup(folder)
        self.names = profile_names(folder)
        # Of variables that a judgement alone sees, for passwords that are not written yet: no answer can name them.
        self._standing_in = f"EDGED_SETUP_{secrets.token_hex(8).upper()}_"

    @property
    def folder(self) -> Path:
        return self.config.absolute().parent

    @property
    def is_beside(self) -> bool:
        """Whether the loader finds the credentials without being told where."""
        return self.credentials.absolute() in (self.folder / "credentials", self.folder)

    def facts(self, profile: str) -> ProfileFacts | None:
        """None where there is no such profile, or a wrong one."""
        found = self.lookup(profile)
        return found if isinstance(found, ProfileFacts) else None

    def charges(self, profile: str | None) -> bool:
        """Whether a thing with this profile is a charger, as far as anybody knows."""
        facts = None if profile is None else self.facts(profile)
        return facts is None or facts.charges

    def environ(self) -> dict[str, str]:
        """What the loader shall see of our own."""
        environ = {name: value for name, value in os.environ.items() if name != SYSTEMD_DIRECTORY}
        return environ if self.is_beside else {**environ, SYSTEMD_DIRECTORY: str(self.credentials.absolute())}

    @contextmanager
    def as_the_loader_sees_it(self) -> Iterator[None]:
        """This process's environment as in `environ`, for a loader that takes no other."""
        before = os.environ.get(SYSTEMD_DIRECTORY)
        os.environ.pop(SYSTEMD_DIRECTORY, None)
        if not self.is_beside:
            os.environ[SYSTEMD_DIRECTORY] = str(self.credentials.absolute())
        try:
            yield
        finally:
            os.environ.pop(SYSTEMD_DIRECTORY, None)
            if before is not None:
                os.environ[SYSTEMD_DIRECTORY] = before

    def stored(self, name: str) -> str | None:
        """What a credential holds, None where there is none that the loader would take."""
        try:
            return References(self.environ(), self.folder).expand(f"${{credential:{name}}}")
        except ReferenceProblem:
            return None

    def judge(self, tree: Node, pending: Mapping[str, str]) -> Judgement:
        """The whole draft. `pending`: credentials that will be written, by name."""
        endless = tuple(self._endless(tree))
        if endless:
            return Judgement(endless)
        numbers = {name: f"{self._standing_in}{number}" for number, name in enumerate(pending)}

        def stand_in(scalar: Scalar) -> Scalar:
            name = draft.credential_name(scalar.text)
            return draft.plain(f"${{env:{numbers[name]}}}") if name in numbers else scalar

        waiting = {numbers[name]: value for name, value in pending.items()}
        try:
            found = settings.parse(
                worded(draft.mapped(tree, stand_in)).encode("utf-8", "surrogatepass"),
                self.config,
                profiles=self.lookup,
                supported_versions=site.SUPPORTED_VERSIONS,
                profile_names=(*self.names, *relay_names()),
                known_commands=(*SHAPES, *site.NOT_BUILT_IN),
                not_built_in=site.NOT_BUILT_IN,
                environ={**self.environ(), **waiting},
            )
        except SettingsErrors as wrong:
            return Judgement(wrong.errors)
        return Judgement((), found)

    def _endless(self, tree: Node) -> Iterator[SettingsError]:
        """Paths of what is no plain file: the loader would wait for the first byte of a serial port for ever."""
        references = References(self.environ(), self.folder)
        for place in draft.files(tree):
            try:
                path = self.folder / references.expand(draft.text_at(tree, place) or "")
                is_strange = os.path.exists(path) and not os.path.isfile(path)
            except ReferenceProblem:
                continue
            if is_strange and draft.credential_name(draft.text_at(tree, place)) is None:
                sentence = f"names {shown(str(path), limit=200)}, which is no plain file"
                yield SettingsError(str(self.config), 0, named(place), sentence)

    def problem(self, tree: Node, pending: Mapping[str, str], place: Place) -> str | None:
        """What is wrong at one place of a draft that need not be whole, as a sentence without its place."""
        where = named(place)
        for error in self.judge(tree, pending).errors:
            if not error.path or error.path == where or error.path.startswith((f"{where}.", f"{where}[")):
                return error.sentence
        return None
