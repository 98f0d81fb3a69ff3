"""The command line as plain data, read from the parsers themselves: what man pages and completions are written from.

Needs nothing but Python and what edged itself imports, so that a package can be built with it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from edged.cli import main, manual  # noqa: E402 - the tree beside this file, wherever Python was started


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One option or operand. `value`: the word for what it takes, empty: nothing.

    `group`: its heading, where it has one; `exclusive`: a number that those share of which one may be given at most.
    """

    flags: tuple[str, ...]
    dest: str
    value: str
    help: str
    choices: tuple[str, ...] = ()
    required: bool = False
    repeats: bool = False
    group: str = ""
    exclusive: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`words`: what is typed for it, without `edged`."""

    words: tuple[str, ...]
    summary: str
    description: str
    examples: tuple[manual.Example, ...]
    arguments: tuple[Argument, ...]
    actions: tuple[Command, ...]
    hidden: bool = False

    @property
    def name(self) -> str:
        return " ".join(("edged", *self.words))

    @property
    def page(self) -> str:
        """The name of its man page."""
        return "-".join(("edged", *self.words))

    @property
    def options(self) -> tuple[Argument, ...]:
        return tuple(each for each in self.arguments if each.flags)

    @property
    def operands(self) -> tuple[Argument, ...]:
        return tuple(each for each in self.arguments if not each.flags)

    def walk(self) -> Iterator[Command]:
        """It and all its actions."""
        yield self
        for action in self.actions:
            yield from action.walk()


def whole() -> Command:
    """`edged` with all its commands."""
    modules = {name: main.module_of(name) for name in (*main.COMMANDS, *main.HIDDEN, main.DEMO)}
    return _command(main.parser(whole=True), (), modules=modules)


def _command(
    parser: argparse.ArgumentParser,
    words: tuple[str, ...],
    *,
    summary: str = "",
    module: ModuleType | None = None,
    modules: dict[str, ModuleType] | None = None,
) -> Command:
    subparsers = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    actions = [
        _command(
            sub,
            (*words, name),
            summary=_help_of(each, name),
            module=modules[name] if modules else None,
        )
        for each in subparsers
        for name, sub in each.choices.items()
    ]
    return Command(
        words=words,
        summary=summary or (module.SUMMARY if module else (parser.description or "").rstrip(".")),
        description=parser.description or "",
        examples=manual.examples(module) if module else (),
        arguments=tuple(_arguments(parser)),
        actions=tuple(actions),
        hidden=bool(words) and words[0] in main.HIDDEN,
    )


def _help_of(subparsers: argparse._SubParsersAction[argparse.ArgumentParser], name: str) -> str:
    return next((each.help or "" for each in subparsers._choices_actions if each.dest == name), "")


def _arguments(parser: argparse.ArgumentParser) -> Iterator[Argument]:
    headings = {
        id(action): group.title or ""
        for group in parser._action_groups
        if group not in (parser._positionals, parser._optionals)
        for action in group._group_actions
    }
    exclusive = {
        id(action): number
        for number, group in enumerate(parser._mutually_exclusive_groups)
        for action in group._group_actions
    }
    needed = {
        id(action) for group in parser._mutually_exclusive_groups if group.required for action in group._group_actions
    }
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) or action.help == argparse.SUPPRESS:
            continue
        choices = tuple(str(each) for each in action.choices) if action.choices else ()
        yield Argument(
            flags=tuple(action.option_strings),
            dest=action.dest,
            value="" if action.nargs == 0 else _value(action, choices),
            help=(action.help or "") % {**vars(action), "prog": parser.prog},
            choices=choices,
            required=(action.required and action.nargs not in ("?", "*")) or id(action) in needed,
            repeats=action.nargs in ("*", "+") or isinstance(action, argparse._AppendAction),
            group=headings.get(id(action), ""),
            exclusive=exclusive.get(id(action)),
        )


def _value(action: argparse.Action, choices: tuple[str, ...]) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if choices:
        return "|".join(choices)
    return action.dest.upper() if action.option_strings else action.dest
