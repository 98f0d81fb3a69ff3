"""The draft that a dialogue fills in: a question for one key, judged by the loader before the next is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edged.cli.setup import draft
from edged.cli.setup.dialogue import Check, Dialogue
from edged.cli.setup.draft import Place
from edged.cli.setup.judgement import Site
from edged.cli.setup.passwords import Passwords
from edged.settings.document import Node

Wrap = Callable[[str], Node]
"""An answer as it stands in the configuration: `draft.text` or `draft.plain`."""


@dataclass(slots=True)
class Form:
    """`station`: which of the stations is asked about, from 0. `control`: the daemon's socket. `may_scan`: whether
    lines may be looked at."""

    talk: Dialogue
    site: Site
    passwords: Passwords
    tree: Node
    station: int = 0
    control: Path | None = None
    may_scan: bool = True

    def text(self, place: Place) -> str:
        """What the draft says there, empty where nothing does."""
        return draft.text_at(self.tree, place) or ""

    def of_station(self, *place: str | int) -> Place:
        return ("stations", self.station, *place)

    def put(self, place: Place, value: Node | None) -> None:
        """None: nothing shall stand there."""
        self.tree = draft.put_or_drop(self.tree, place, value)

    def problem(self, place: Place, value: Node) -> str | None:
        """What the loader would say of a value there."""
        return self.site.problem(draft.put(self.tree, place, value), self.passwords.pending, place)

    def ask(self, place: Place, question: str, *, default: str = "", help: str = "", wrap: Wrap = draft.text) -> str:
        """A key that must be there. What it says now goes before the default."""
        check = self._check(place, wrap)
        answer = self.talk.ask(question, default=self.text(place) or default, help=help, check=check)
        self._take(place, answer, wrap)
        return answer

    def ask_optional(
        self, place: Place, question: str, *, default: str = "", help: str = "", wrap: Wrap = draft.text
    ) -> str | None:
        """A key that may be missing."""
        check = self._check(place, wrap)
        answer = self.talk.ask_optional(question, default=self.text(place) or default, help=help, check=check)
        self._take(place, answer, wrap)
        return answer

    def choose_station(self) -> None:
        """Of several the one that is meant."""
        stations = draft.items_at(self.tree, ("stations",))
        if len(stations) > 1:
            names = [draft.text_at(each, ("id",)) or "without an id" for each in stations]
            self.station = self.talk.choose("Which station", names, default=min(self.station, len(names) - 1) + 1)

    def _check(self, place: Place, wrap: Wrap) -> Check:
        now = self.text(place)

        def check(answer: str) -> str | None:
            if answer == now:
                return None if (node := draft.at(self.tree, place)) is None else self.problem(place, node)
            value = wrap(answer)
            if "${" in answer and value == draft.text(answer):
                return "cannot hold ${, which begins a reference: those are for an editor"
            return self.problem(place, value)

        return check

    def _take(self, place: Place, answer: str | None, wrap: Wrap) -> None:
        """What is left as it was stays as it was written."""
        if answer is None or answer != self.text(place):
            self.put(place, None if answer is None else wrap(answer))
