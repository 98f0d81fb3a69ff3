"""Questions on a terminal, one after the other, each judged at once.

Owns: how a question looks, defaults in brackets, asking again. Refuses to know: what is asked for and what is right.
Invariants: no answer ends a dialogue but the end of the input (`Ended`) and Ctrl-C; nothing that is typed or shown
reaches the terminal as anything but printable text; a password is never shown.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edged.cli import output
from edged.ports import EdgedError

MAX_CHARS = 1024
COLUMNS, NARROWEST = 100, 40
NONE = "-"
"""The answer that takes a default away."""
Check = Callable[[str], str | None]
"""What is wrong with an answer, None where nothing is."""


class Ended(EdgedError):
    """The input has ended before the last question."""


def _anything(answer: str) -> str | None:
    return None


@dataclass(slots=True)
class Dialogue:
    """`read`: a line behind a prompt; `read_hidden`: the same without showing it; both raise `EOFError` at the end of
    the input. `write`: shows a line. `columns`: so wide a paragraph may be."""

    read: Callable[[str], str]
    read_hidden: Callable[[str], str]
    write: Callable[[str], None]
    columns: int = COLUMNS

    def say(self, words: str = "") -> None:
        """A paragraph, folded; lines of their own are kept."""
        for line in words.split("\n"):
            inset = " " * (len(line) - len(line.lstrip()))
            folded = textwrap.wrap(line, self.columns, subsequent_indent=inset, break_on_hyphens=False)
            for each in folded or [""]:
                self.show(each)

    def show(self, line: str) -> None:
        """A line as it is."""
        self.write(output.clean(line))

    def heading(self, words: str) -> None:
        self.say()
        self.show(words)
        self.show("-" * len(words))

    def ask(self, question: str, *, default: str = "", help: str = "", check: Check = _anything) -> str:
        """An answer that is right. Without a default there must be one."""
        if help:
            self.say(f"  {help}")
        while True:
            answer = self._line(f"{question} [{output.clean(default)}]: " if default else f"{question}: ", self.read)
            if answer is None:
                continue
            answer = answer.strip() or default
            problem = "an answer is needed here" if not answer else check(answer)
            if problem is None:
                return answer
            self.wrong(problem)

    def ask_optional(self, question: str, *, default: str = "", help: str = "", check: Check = _anything) -> str | None:
        """The same; None: there shall be none."""
        none = default or NONE
        more = f" ({NONE} for none)" if default else ""
        answer = self.ask(
            f"{question}{more}", default=none, help=help, check=lambda each: None if each == NONE else check(each)
        )
        return None if answer == NONE else answer

    def confirm(self, question: str, *, default: bool, help: str = "") -> bool:
        words = {"y": True, "yes": True, "n": False, "no": False}
        answer = self.ask(
            question,
            default="yes" if default else "no",
            help=help,
            check=lambda each: None if each.lower() in words else "answer yes or no",
        )
        return words[answer.lower()]

    def choose(self, question: str, choices: Sequence[str], *, default: int = 1, help: str = "") -> int:
        """The place of one of the choices, from 0. `default` counts from 1 as people do, 0: there is none."""
        if help:
            self.say(f"  {help}")
        for number, choice in enumerate(choices, start=1):
            self.show(f"  {number:>2}  {choice}")
        advice = f"write a number from 1 to {len(choices)}"
        answer = self.ask(
            question,
            default=str(default) if default else "",
            check=lambda each: None if _is_number(each, 1, len(choices)) else advice,
        )
        return int(answer) - 1

    def choose_number(self, question: str, choices: Mapping[int, str], *, default: int, help: str) -> int:
        """One of the choices by a number of its own."""
        self.say(f"  {help}")
        for number, words in choices.items():
            self.show(f"  {number:>2}  {words}")
        known = {str(number): number for number in choices}
        advice = f"write {', '.join(known)}"
        return known[self.ask(question, default=str(default), check=lambda each: None if each in known else advice)]

    def ask_password(self, question: str, *, check: Check) -> str:
        """Typed twice and not shown."""
        while True:
            first = self._line(f"{question} (it is not shown): ", self.read_hidden)
            if first is None:
                continue
            problem = "an answer is needed here" if not first else check(first)
            if problem is not None:
                self.wrong(problem)
                continue
            if self._line("The same once more: ", self.read_hidden) == first:
                return first
            self.wrong("that is not the same as before: type both again")

    def wrong(self, problem: str) -> None:
        self.say(f"  ! {problem}")

    def _line(self, prompt: str, read: Callable[[str], str]) -> str | None:
        """One line, None where it was no text."""
        try:
            line = read(output.clean(prompt))
        except EOFError as end:
            raise Ended("the input ended before the last question") from end
        except UnicodeError:
            self.wrong("that is not UTF-8 text: type it again")
            return None
        if len(line) > MAX_CHARS:
            self.wrong(f"that is longer than {MAX_CHARS} characters")
            return None
        if not line.isprintable():
            self.wrong("that has characters which cannot be seen, like a tab: type it again")
            return None
        return line


def _is_number(text: str, low: int, high: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high
