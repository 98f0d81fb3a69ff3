"""`edged setup`: asks what a site needs, writes a configuration that the daemon takes, says what to do next.

Owns the order of things: options, rights, what is there already, the dialogue or the answers file, writing, next steps.
Invariant: until the last moment nothing on the disk is touched; whatever ends it says in which state it left the disk.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from edged.cli import output
from edged.cli.options import add_config, add_control, add_json
from edged.settings import DEFAULT_PATH, SettingsErrors

if TYPE_CHECKING:
    from edged.cli.setup.dialogue import Dialogue
    from edged.cli.setup.existing import Existing
    from edged.cli.setup.form import Form
    from edged.cli.setup.judgement import Site
    from edged.cli.setup.passwords import Passwords
    from edged.cli.setup.writing import Writer, Written
    from edged.settings.document import Node

SUMMARY = "ask what this site needs and write its configuration"
DETAILS = """\
Asks on the terminal, a default in brackets at each question, and judges each answer at once: the chargers, found by
looking who is on a line or entered by hand, the station and its way to the CSMS, the broker. Shows the configuration
and what each connector can do, and writes it when told to: passwords first, into files of their own, then the
configuration, which the daemon's own loader has taken before it replaces anything. What was there is kept. Run again,
it begins with what is there."""
EXAMPLES = (
    ("sudo edged setup", "ask, and write /etc/edged/edged.yaml"),
    ("edged setup -c ./edged.yaml", "for a site of your own user"),
    ("sudo edged setup --answers depot-7.yaml", "ask nothing: docs/setup.md has a file of answers"),
)
CREDENTIALS_FOLDER = "credentials"


def configure(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_control(parser)
    parser.add_argument("--answers", metavar="FILE", type=Path, help="take the answers from here and ask nothing")
    folder = f"where passwords go (default {CREDENTIALS_FOLDER} beside the configuration)"
    parser.add_argument("--credentials", metavar="DIR", type=Path, help=folder)
    parser.add_argument("--no-scan", action="store_true", help="do not offer to look who is on a line")
    parser.add_argument(
        "--force", action="store_true", help="replace a configuration that is there; it is kept as FILE.old-DATE"
    )
    add_json(parser, "what was written, with --answers,")


def run(args: argparse.Namespace) -> int:
    from edged.cli.setup.ending import usage_problem
    from edged.cli.setup.writing import obstacle, only_one

    problem = usage_problem(args, is_terminal=sys.stdin.isatty() and sys.stdout.isatty())
    if problem is not None:
        output.complain(problem)
        return output.USAGE
    config = args.config
    credentials = args.credentials or config.absolute().parent / CREDENTIALS_FOLDER
    problem = obstacle(config.absolute(), credentials.absolute())
    if problem is not None:
        output.complain(f"{problem}{_as_root()}")
        return output.FAILED
    with only_one(config.absolute()):
        return _run(args, config, credentials)


def _as_root() -> str:
    """What to type instead, where root may do more."""
    if os.geteuid() == 0:
        return ""
    return f": sudo {shlex.join(['edged', *sys.argv[1:]])}"


def _run(args: argparse.Namespace, config: Path, credentials: Path) -> int:
    from edged.cli.setup.existing import look
    from edged.cli.setup.judgement import Site
    from edged.cli.setup.passwords import Passwords

    existing = look(config)
    site = Site(config, credentials)
    passwords = Passwords(site)
    if args.answers is not None:
        return _Scripted(args, site, passwords, existing).run()
    if existing.obstacle and not args.force:
        output.complain(
            f"{existing.obstacle}: change it with an editor, edged check judges it and edged scan ends with lines for "
            f"another charger; edged setup --force writes it anew and keeps this one as {config.name}.old-DATE"
        )
        return output.FAILED
    return _Talking(args, site, passwords, existing).run()


def _writer(site: Site) -> Writer:
    from datetime import datetime

    from edged.cli.setup.writing import Writer
    from edged.site import load_site

    return Writer(
        config=site.config.absolute(),
        credentials=site.credentials.absolute(),
        load=load_site,
        local=lambda: datetime.now().astimezone(),
    )


def _write(writer: Writer, site: Site, passwords: Passwords, tree: Node) -> Written:
    from edged.cli.setup.wording import worded

    with site.as_the_loader_sees_it():
        return writer.write(worded(tree).encode(), passwords.used(tree))


@dataclass(slots=True)
class _Scripted:
    """With `--answers`."""

    args: argparse.Namespace
    site: Site
    passwords: Passwords
    existing: Existing

    def run(self) -> int:
        from edged.cli.setup import ending
        from edged.cli.setup.answers import Answers
        from edged.cli.setup.wording import worded

        answers = Answers(self.args.answers, self.site, self.passwords, self.existing.tree)
        try:
            tree = answers.draft()
        except SettingsErrors as errors:
            if self.args.json:
                found = [output.finding(error) for error in errors.errors]
                output.say_json({"ok": False, "errors": found})
            else:
                output.complain_about(errors.errors, "the file of answers", ": nothing was changed")
            return output.BAD_CONFIGURATION
        there = self.existing.content
        if there is not None and there != worded(tree).encode() and not self.args.force:
            sentence = (
                f"{self.site.config} is there and says something else: nothing was changed; --force replaces it and "
                f"keeps it as {self.site.config.name}.old-DATE"
            )
            output.complain(sentence)
            if self.args.json:
                output.say_json({"ok": False, "changed": False, "error": sentence})
            return output.FAILED
        written = _write(_writer(self.site), self.site, self.passwords, tree)
        if self.args.json:
            output.say_json(ending.document(written, self.site.config))
            return output.DONE
        _tell(written, self.site, is_running=_is_running(self.site))
        return output.DONE


@dataclass(slots=True)
class _Talking:
    """On a terminal."""

    args: argparse.Namespace
    site: Site
    passwords: Passwords
    existing: Existing

    def run(self) -> int:
        from edged.cli.setup.dialogue import Ended

        writer = _writer(self.site)
        try:
            talk = _terminal()
            form = self._form(talk)
            if not self._hold(form):
                output.complain("left: nothing was changed")
                return output.FAILED
            self._end(talk, _write(writer, self.site, self.passwords, form.tree))
        except (Ended, KeyboardInterrupt) as left:
            print()
            why = "stopped" if isinstance(left, KeyboardInterrupt) else str(left)
            output.complain(f"{why}: {f'{self.site.config} is written' if writer.is_done else 'nothing was changed'}")
            return output.DONE if writer.is_done else output.FAILED
        return output.DONE

    def _form(self, talk: Dialogue) -> Form:
        from edged.cli.setup.form import Form

        tree, moved = self.passwords.adopt(self.existing.tree)
        if moved:
            talk.say("A password stands in the configuration: it will go into a file of its own.")
        return Form(talk, self.site, self.passwords, tree, control=self.args.control, may_scan=not self.args.no_scan)

    def _hold(self, form: Form) -> bool:
        """Whether it shall be written."""
        from edged.chargers.serial_ports import SerialPorts
        from edged.cli.setup.interview import Interview, Wish

        if Interview(form, SerialPorts(), self.existing).hold() is not Wish.WRITE:
            return False
        if self.existing.content is None:
            return True
        kept = f"{self.site.config.name}.old-DATE"
        return form.talk.confirm(f"{self.site.config} is there: replace it? It is kept as {kept}.", default=True)

    def _end(self, talk: Dialogue, done: Written) -> None:
        from edged.cli.setup import ending

        running = _is_running(self.site)
        _tell(done, self.site, is_running=running)
        if self.site.config.absolute() != DEFAULT_PATH or os.geteuid() != 0 or not ending.SYSTEMD.is_dir():
            return
        question = "Restart edged with it now?" if running else "Start edged now, and at every boot?"
        if talk.confirm(question, default=True) and ending.start(ending.run_command, running=running) != 0:
            output.complain("systemd did not start it: sudo journalctl -u edged -n 20 tells why")


def _is_running(site: Site) -> bool:
    """Whether the service has this configuration."""
    from edged.cli.setup import ending

    return site.config.absolute() == DEFAULT_PATH and ending.is_running(ending.run_command)


def _tell(written: Written, site: Site, *, is_running: bool) -> None:
    from edged.cli.setup import ending

    for line in ending.written_told(written, site.config):
        output.say(line)
    for warning in written.settings.warnings:
        output.warn(str(warning))
    output.say("next:")
    credentials = None if site.is_beside else site.credentials
    for line in ending.next_steps(site.config, credentials, is_running=is_running):
        output.say(f"  {output.typed(line)}")


def _terminal() -> Dialogue:
    """This process's own, with the editing of lines that the computer has."""
    import importlib
    from getpass import getpass

    from edged.cli.setup.dialogue import COLUMNS, NARROWEST, Dialogue

    try:
        importlib.import_module("readline")
    except ImportError:  # some Pythons are built without
        pass
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    columns = max(NARROWEST, min(COLUMNS, shutil.get_terminal_size().columns - 1))
    return Dialogue(read=input, read_hidden=getpass, write=print, columns=columns)
