"""Writes the man pages: edged(1) and one for each command, edged.service(8), and edged.yaml(5).

    python tools/manpages.py FOLDER

Options come from the parsers, descriptions and examples from the commands' own modules (edged/cli/manual.py), the keys
of the configuration from config/edged.yaml with its comments, the units from systemd/: none of it is written twice. The
date is that of $SOURCE_DATE_EPOCH, so that the same source gives the same bytes. docs/adr/0032 says why no package does
it.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from annotated import NAME, keys_of
from annotated import OPEN as OPEN
from grammar import ROOT, Argument, Command, whole

from edged import __version__
from edged.chargers.library import SITE_DIR
from edged.cli.main import DEBUG_VARIABLE
from edged.cli.manual import sentence
from edged.cli.options import RUNTIME_DIR, SOCKET_NAME
from edged.cli.output import BAD_CONFIGURATION, DONE, FAILED, USAGE
from edged.log_fields import FIELDS as JOURNAL_FIELDS
from edged.log_fields import journal_name
from edged.settings.model import DEFAULT_PATH
from edged.system.host import EXIT_RESTART

EXAMPLE = ROOT / "config" / "edged.yaml"
UNITS = ROOT / "systemd"
ANNOTATED = "/usr/share/edged/edged.yaml"
CREDENTIALS = "/etc/edged/credentials/"
STATE = "/var/lib/edged/"
DOCUMENTS = "/usr/share/doc/edged/"
STATUSES = {
    DONE: "Done.",
    FAILED: "It did not work; a sentence on standard error says why and what to do.",
    USAGE: "The command line is wrong.",
    BAD_CONFIGURATION: (
        "The configuration or what is kept needs a person: each mistake is named with its line; a database of a newer "
        "edged, a restore that was cut off and a controller that was given up are named with what to do."
    ),
}
RESTART_STATUS = "Start me again: a Soft reset that the CSMS asked for."
FILES = {
    "config": (
        (str(DEFAULT_PATH), "The configuration, see \\fBedged.yaml\\fR(5)."),
        (f"{SITE_DIR}/", "Profiles of the site's own; they win over those that are shipped."),
        (CREDENTIALS, "Passwords and keys, one a file, that the configuration refers to."),
    ),
    "control": ((str(RUNTIME_DIR / SOCKET_NAME), "The control socket of the running daemon."),),
    "state": ((STATE, "What the daemon keeps, under systemd."),),
}
"""By the option that names another place."""
VARIABLES = {
    "config": (("CREDENTIALS_DIRECTORY", "Where systemd has put the credentials."),),
    "control": (("RUNTIME_DIRECTORY", "Where the control socket is looked for, set by systemd."),),
    "state": (("STATE_DIRECTORY", "Where state is kept, set by systemd."),),
}
DEBUG = (DEBUG_VARIABLE, "If set, everything is logged, with the details of bugs.")

LEAST = """\
chargers:
  left: {profile: heidelberg-energy-control, serial: {port: /dev/ttyUSB0}}
stations:
  - id: DEPOT-7
    csms: {url: "ws://10.0.0.5:9000/ocpp"}
    evses: [{charger: left}]
"""
SERVICE = """\
edged.service runs \"edged run\" as the user edged, without privileges and with the serial lines as its only devices. It
starts without a network: chargers are served first, a CSMS and a broker are found when they are there.

A changed configuration is taken over with reload; one that is wrong is refused and the old one stays. The daemon is
started again whenever it ends, but not where its configuration or what it has kept needs a person. Its own loop feeds
the watchdog: if that hangs it is killed and started again, and the log shows where it hung. Cars go on charging
meanwhile.

What only root may do is asked for by a file and done by the other units: starting the computer again (a Hard reset,
where gateway.hard_reset is host) and installing firmware (where firmware.install names a command)."""
LOG = "The log is the journal's. Besides the text its entries have fields, which journalctl takes as they stand:"
SERVICE_EXAMPLES = (
    ("edged check && systemctl reload edged", "take a changed configuration over"),
    ("journalctl -u edged -f", "watch the log"),
    ("journalctl -u edged EDGED_CONNECTOR=2 --since today", "what happened at one connector"),
    ("systemctl edit edged", "add to the unit without changing it"),
)

Lines = Iterator[str]
Entry = tuple[str, str]


def text(words: str) -> str:
    """Plain words as roff: nothing in them is a request or an escape."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("^", "\\(ha")
    escaped = escaped.replace("~", "\\(ti").replace("'", "\\(aq").replace('"', "\\(dq")
    return "\\&" + escaped if escaped.startswith(".") else escaped


def bold(words: str) -> str:
    return f"\\fB{text(words)}\\fR"


def italic(words: str) -> str:
    return f"\\fI{text(words)}\\fR"


def paragraphs(words: str, *, between: str = ".PP") -> Lines:
    """Paragraphs with an empty line between them."""
    for number, paragraph in enumerate(words.split("\n\n")):
        if number:
            yield between
        escaped = text(" ".join(paragraph.split()))
        for line in textwrap.wrap(escaped, 78, break_on_hyphens=False, break_long_words=False):
            yield f"\\&{line}" if line.startswith(".") else line


def tagged(tag: str, words: Iterable[str]) -> Lines:
    yield ".TP"
    yield tag
    yield from words


def heading(page: str, section: int, title: str) -> Lines:
    moment = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH") or datetime.now(UTC).timestamp()), UTC)
    yield '.\\" Written by tools/manpages.py; do not edit.'
    yield f'.TH {text(page.upper())} {section} {moment:%Y-%m-%d} "edged {__version__}" "{title}"'
    yield ".nh"
    yield ".ad l"


def see_also(names: Iterable[tuple[str, int]]) -> Lines:
    yield ".SH SEE ALSO"
    found = sorted(names, key=lambda each: (each[1], each[0]))
    for place, (name, section) in enumerate(found):
        yield f".BR {text(name)} ({section}){',' if place + 1 < len(found) else ''}"


def flags_of(argument: Argument) -> str:
    value = f" {italic(argument.value)}" if argument.value else ""
    return ", ".join(bold(flag) + value for flag in argument.flags)


def synopsis(command: Command) -> Lines:
    """One way to call it a paragraph; words that belong together stay in one line."""
    if command.actions and command.words:
        for action in command.actions:
            yield from synopsis(action)
        return
    yield ".TP"
    yield bold(command.name)
    done: set[int] = set()
    for argument in (*command.options, *command.operands):
        if argument.dest == "help":
            continue
        if argument.exclusive is None:
            yield _usage(argument, bare=argument.required)
        elif argument.exclusive not in done:
            done.add(argument.exclusive)
            those = [_usage(each, bare=True) for each in command.options if each.exclusive == argument.exclusive]
            those = [f"{each} |" for each in those[:-1]] + those[-1:]
            opening, closing = "{}" if argument.required else "[]"
            yield from [opening + those[0], *those[1:-1], those[-1] + closing]
    if command.actions:
        yield f"{italic('COMMAND')} ..."


def _usage(argument: Argument, *, bare: bool) -> str:
    if argument.flags:
        words = bold(argument.flags[0]) + (f"\\ {italic(argument.value)}" if argument.value else "")
    else:
        words = italic(argument.value)
    repeated = words + (" ..." if argument.repeats else "")
    return repeated if bare else f"[{repeated}]"


def arguments(command: Command) -> Lines:
    for operand in command.operands:
        yield from tagged(italic(operand.value), paragraphs(sentence(operand.help)))
    groups = list(dict.fromkeys(each.group for each in command.options))
    for group in sorted(groups, key=bool):
        if group:
            yield ".PP"
            yield text(f"{group[:1].upper()}{group[1:]}:")
        for option in command.options:
            if option.group == group:
                yield from tagged(flags_of(option), paragraphs(sentence(option.help)))


def entries(title: str, found: Iterable[Entry], style: str = "B") -> Lines:
    listed = list(dict.fromkeys(found))
    if listed:
        yield f".SH {title}"
    for name, words in listed:
        yield from tagged(f"\\f{style}{text(name)}\\fR", [words])


def examples(command: Command) -> Lines:
    if command.examples:
        yield ".SH EXAMPLES"
    for typed, does in command.examples:
        yield from tagged(bold(typed), paragraphs(sentence(does)))


def page_of(command: Command, others: Iterable[Command]) -> str:
    """The page of one command with its actions; of `edged` itself the list of commands."""
    top = not command.words
    dests = {argument.dest for each in command.walk() if each.words or not top for argument in each.arguments}
    title = "User Commands" if section_of(command) == 1 else "System Administration"
    lines = [*heading(command.page, section_of(command), title)]
    lines += [".SH NAME", f"{text(command.page)} \\- {text(command.summary)}"]
    lines += [".SH SYNOPSIS", *synopsis(command)]
    lines += [".SH DESCRIPTION", *paragraphs(command.description), ".SH OPTIONS"]
    if top or not command.actions:
        lines += arguments(command)
    for action in () if top else command.actions:
        lines += [f".SS {text(action.name)}", *paragraphs(action.description), *arguments(action)]
    if top:
        lines += [".SH COMMANDS"]
        for each in command.actions:
            tag = f"{bold(each.page)}({section_of(each)})"
            lines += [] if each.hidden else tagged(tag, paragraphs(sentence(each.summary)))
    statuses = STATUSES | ({EXIT_RESTART: RESTART_STATUS} if command.words == ("run",) else {})
    lines += entries("EXIT STATUS", ((str(status), text(words)) for status, words in sorted(statuses.items())))
    lines += entries("FILES", (each for dest in FILES if dest in dests for each in FILES[dest]), "I")
    lines += entries("ENVIRONMENT", [*(each for dest in VARIABLES if dest in dests for each in VARIABLES[dest]), DEBUG])
    lines += examples(command)
    shown = [each for each in others if each.words != command.words and not each.hidden]
    lines += see_also([("edged.yaml", 5), ("edged.service", 8), *((each.page, section_of(each)) for each in shown)])
    return "\n".join(lines) + "\n"


def section_of(command: Command) -> int:
    return 8 if command.hidden else 1


def configuration_page() -> str:
    """edged.yaml(5): every key with an example, what it is for and, in brackets, what it is without a word."""
    head, keys = keys_of(EXAMPLE.read_text(encoding="utf-8").splitlines())
    lines = [*heading("edged.yaml", 5, "File Formats"), ".SH NAME", "edged.yaml \\- the configuration of edged"]
    lines += [".SH SYNOPSIS", italic(str(DEFAULT_PATH)), ".SH DESCRIPTION"]
    about = "\n".join(head)
    for place, paragraph in enumerate(re.split(r"\n\n|\n(?=  \$)|\n(?=Words)", about)):
        reference = re.match(r"  (\$\{\S+\}) +(.*)", paragraph, re.DOTALL)
        if reference:
            lines += tagged(bold(reference[1]), paragraphs(reference[2]))
        else:
            lines += [*([".PP"] if place else []), *paragraphs(paragraph)]
    lines += [".PP", *paragraphs(f"{NAME} stands for a name of your own. The same with comments, to be copied:")]
    lines += [f"{italic(ANNOTATED)}.", ".SH KEYS"]
    for key in keys:
        if key.path == key.section:
            lines += [f".SS {text(key.path)}", *paragraphs(key.text)]
        elif key.value or key.notes:
            lines += tagged(
                bold(key.path) + (f": {italic(key.value)}" if key.value else ""), paragraphs(key.text, between=".IP")
            )
    lines += [".SH EXAMPLES", *paragraphs("The least that serves a charger:"), ".PP", ".EX"]
    lines += [text(line) for line in LEAST.splitlines()]
    lines += [".EE", *entries("FILES", FILES["config"], "I")]
    lines += see_also([("edged", 1), ("edged-check", 1), ("edged.service", 8)])
    return "\n".join(lines) + "\n"


def service_page() -> str:
    """edged.service(8): the units, as they describe themselves, and what to do with them."""
    units = {path.name: path.read_text(encoding="utf-8") for path in sorted(UNITS.iterdir())}
    names = ", ".join(text(name) for name in sorted(units, key=lambda name: (name != "edged.service", name)))
    lines = [*heading("edged.service", 8, "System Administration"), ".SH NAME"]
    lines += [f"{names} \\- the service that puts chargers on a field bus to a CSMS", ".SH SYNOPSIS"]
    lines += [bold("systemctl start|stop|restart|reload edged"), ".SH DESCRIPTION", *paragraphs(SERVICE)]
    lines += [".SH UNITS"]
    for name, unit in units.items():
        told = re.search(r"^Description=(.*)$", unit, re.MULTILINE)
        lines += tagged(bold(name), paragraphs(sentence(told[1] if told else "")))
    lines += [".SH LOG", *paragraphs(LOG)]
    for name, words in JOURNAL_FIELDS.items():
        lines += tagged(bold(journal_name(name)), paragraphs(sentence(words)))
    found = [(str(EXIT_RESTART), text(RESTART_STATUS)), (str(BAD_CONFIGURATION), text(STATUSES[BAD_CONFIGURATION]))]
    lines += [*entries("EXIT STATUS", found), *entries("FILES", [each for name in FILES for each in FILES[name]], "I")]
    lines += [".SH EXAMPLES"]
    for typed, does in SERVICE_EXAMPLES:
        lines += tagged(bold(typed), paragraphs(sentence(does)))
    lines += see_also([("edged", 1), ("edged-run", 1), ("edged.yaml", 5), ("systemctl", 1), ("journalctl", 1)])
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Every page by the name of its file."""
    top = whole()
    commands = [top, *top.actions]
    found = {f"{each.page}.{section_of(each)}": page_of(each, commands) for each in commands}
    return {**found, "edged.yaml.5": configuration_page(), "edged.service.8": service_page()}


def main(words: list[str]) -> int:
    if len(words) != 1 or words[0].startswith("-"):
        print(f"usage: {Path(__file__).name} FOLDER", file=sys.stderr)
        return USAGE
    folder = Path(words[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in pages().items():
        (folder / name).write_text(page, encoding="utf-8")
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
