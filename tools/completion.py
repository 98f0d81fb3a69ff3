"""Writes what bash and zsh complete after `edged`: edged.bash and _edged.

    python tools/completion.py FOLDER

Static files: no Tab starts Python. Commands, options and choices come from the parsers; what an option takes is told by
its word there (FILE, DIR, NAME, ...), the names of profiles and commands are those of the tree. docs/adr/0032 says why
no package does it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from grammar import Argument, Command, whole

from edged.chargers.library import PACKAGED_DIR, profile_names
from edged.cli.output import DONE, USAGE
from edged.mqtt.arguments import SHAPES

FILES, FOLDERS, PORTS, FREE = "files", "folders", "ports", ""
BY_VALUE = {"FILE": FILES, "PATH": FILES, "PORT": PORTS, "DIR": FOLDERS}
PORT_PATTERNS = ("/dev/serial/by-id/*", "/dev/serial/by-path/*", "/dev/ttyUSB*", "/dev/ttyACM*", "/dev/ttyAMA*")
PROFILE = ("profile", "NAME")
COMMAND = ("command", "COMMAND")
HEAD = "Written by tools/completion.py; do not edit."

BASH = r"""# bash completion for edged. {head}

_edged()
{{
    local word=${{COMP_WORDS[COMP_CWORD]}} path=edged place=0 last= skip= each= takes= words= i
    COMPREPLY=()
    # where = breaks words, --option=value is three of them
    [[ $word == = ]] && word=
    for ((i = 1; i < COMP_CWORD; i++)); do
        each=${{COMP_WORDS[i]}}
        if [[ $each == = ]]; then
            skip=1
            continue
        elif [[ -n $skip ]]; then
            skip=
            continue
        fi
        case "$path $each" in
{descents}
{valued}
            *" -"*) ;;
            *) ((place++)) ;;
        esac
    done
    if [[ -n $skip ]]; then
        case $last in
{values}
        esac
    elif [[ $word == -* ]]; then
        takes=words
        case $path in
{options}
        esac
    else
        case "$path $place" in
{operands}
        esac
    fi
    case $takes in
        words) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word") ;;
        ports) mapfile -t COMPREPLY < <(compgen -W "$({ports})" -- "$word") ;;
        files)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            ;;
        folders)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            ;;
    esac
}}

complete -F _edged edged
"""
ZSH = r"""#compdef edged
# {head}
{functions}
_edged "$@"
"""
Kind = tuple[str, tuple[str, ...]]


def kind_of(argument: Argument) -> Kind:
    """What completes it: files, folders, ports, words (those), or nothing."""
    if argument.choices:
        return "words", argument.choices
    if (argument.dest, argument.value) == PROFILE:
        return "words", profile_names(PACKAGED_DIR)
    if (argument.dest, argument.value) == COMMAND:
        return "words", tuple(sorted(SHAPES))
    return BY_VALUE.get(argument.value, FREE), ()


# --- bash


def bash(top: Command) -> str:
    commands = [each for each in top.walk() if not each.hidden]
    valued = {
        f"{command.name} {flag}": kind_of(option)
        for command in commands
        for option in command.options
        if option.value
        for flag in option.flags
    }
    descents = [f'"{each.name}") path="{each.name}" place=0 ;;' for each in commands if each.words]
    options = [
        f'"{each.name}") words="{" ".join(flag for option in each.options for flag in option.flags)}" ;;'
        for each in commands
    ]
    return BASH.format(
        head=HEAD,
        ports="; ".join(f"compgen -G '{pattern}'" for pattern in PORT_PATTERNS),
        descents=_lines(descents, 12),
        valued=_lines([f'{_alternatives(valued)}) skip=1 last="$path $each" ;;'], 12),
        values=_lines(_cases(valued), 12),
        options=_lines(options, 12),
        operands=_lines(_cases(dict(_operands(commands))), 12),
    )


def _operands(commands: Iterable[Command]) -> Iterator[tuple[str, Kind]]:
    """By command and place."""
    for command in commands:
        if command.actions:
            yield f"{command.name} 0", ("words", tuple(each.words[-1] for each in command.actions if not each.hidden))
        for place, operand in enumerate(command.operands):
            yield f"{command.name} {place}", kind_of(operand)


def _cases(found: dict[str, Kind]) -> list[str]:
    """A line for all that take the same."""
    kinds = sorted({kind for kind in found.values() if kind[0]})
    return [
        f"{_alternatives(name for name, each in found.items() if each == (kind, words))}) takes={kind}"
        + (f' words="{" ".join(words)}"' if words else "")
        + " ;;"
        for kind, words in kinds
    ]


def _alternatives(names: Iterable[str]) -> str:
    return " | ".join(f'"{name}"' for name in names)


def _lines(lines: Iterable[str], indent: int) -> str:
    return "\n".join(" " * indent + line for line in lines)


# --- zsh


def zsh(top: Command) -> str:
    functions = "\n".join(_function(each) for each in top.walk() if not each.hidden)
    return ZSH.format(head=HEAD, functions=functions)


def _function(command: Command) -> str:
    specs = [spec for option in command.options for spec in _option_specs(option)]
    specs += [_operand_spec(operand) for operand in command.operands]
    actions = [each for each in command.actions if not each.hidden]
    name = "_" + "_".join(word.replace("-", "_") for word in ("edged", *command.words))
    lines = [f"{name}() {{"]
    if actions:
        lines += ["    local line state", "    local -a actions"]
        specs += ["'1: :->action'", "'*:: :->rest'"]
    lines += ["    _arguments -s -C \\" if actions else "    _arguments -s \\"]
    lines += [f"        {spec} \\" for spec in specs[:-1]] + [f"        {specs[-1]}"]
    if actions:
        lines += ["    case $state in", "        action)", "            actions=("]
        lines += [f"                {_quoted(f'{each.words[-1]}:{each.summary}')}" for each in actions]
        lines += ["            )", f"            _describe -t actions '{command.name}' actions", "            ;;"]
        lines += ["        rest)", "            case $words[1] in"]
        lines += [f"                {each.words[-1]}) {name}_{each.words[-1].replace('-', '_')} ;;" for each in actions]
        lines += ["            esac", "            ;;", "    esac"]
    return "\n".join((*lines, "}", ""))


def _option_specs(option: Argument) -> Iterator[str]:
    told = re.sub(r"([\[\]:\\])", r"\\\1", option.help)
    others = "" if option.repeats else f"({' '.join(option.flags)})"
    for flag in option.flags:
        takes = "=" if option.value and flag.startswith("--") else ""
        spec = f"{others or '*'}{flag}{takes}[{told}]{_value_spec(option)}"
        yield _quoted(spec)


def _operand_spec(operand: Argument) -> str:
    return _quoted(("*" if operand.repeats else "" if operand.required else ":") + _value_spec(operand))


def _value_spec(argument: Argument) -> str:
    if not argument.value:
        return ""
    kind, words = kind_of(argument)
    does = {
        "words": f"({' '.join(words)})",
        FILES: "_files",
        FOLDERS: "_files -/",
        PORTS: f'_files -g "{" ".join(PORT_PATTERNS)}"',
        FREE: " ",
    }[kind]
    value = argument.value.replace("\\", "\\\\").replace(":", "\\:")
    return f":{value}:{does}"


def _quoted(words: str) -> str:
    return "'" + words.replace("'", "'\\''") + "'"


def main(words: list[str]) -> int:
    if len(words) != 1 or words[0].startswith("-"):
        print(f"usage: {Path(__file__).name} FOLDER", file=sys.stderr)
        return USAGE
    folder = Path(words[0])
    folder.mkdir(parents=True, exist_ok=True)
    top = whole()
    (folder / "edged.bash").write_text(bash(top), encoding="utf-8")
    (folder / "_edged").write_text(zsh(top), encoding="utf-8")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
