"""The command line: its grammar, its exit statuses, and the guard that keeps every traceback from people."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType

from edged import __version__
from edged.cli.manual import help_of
from edged.cli.unswept import unswept

log = logging.getLogger(__name__)

COMMANDS = (
    *("run", "check", "status", "ctl", "probe", "scan", "setup", "doctor", "simulate", "mqtt", "backup", "restore"),
)
"""In the order of the help. Each is a module of its name, which is imported when it is typed: the daemon holds no other
command in memory, and does not wait for it."""
HIDDEN = ("firmware-install",)
"""Not for people: what units and edged itself call."""
DEMO = "demo"
DEMO_SUMMARY = "a whole site on loopback with nothing to install, and a live view of what happens"
DEBUG_VARIABLE = "EDGED_DEBUG"


def module_of(name: str) -> ModuleType:
    """The module of a command."""
    return importlib.import_module(f"edged.cli.{name.replace('-', '_')}")


def parser(words: Sequence[str] = (), *, whole: bool = False) -> argparse.ArgumentParser:
    """The grammar of the command that `words` begin with, or else of every command: for help, and for what is wrong.

    `demo` reads its own options and is imported only for the `whole`.
    """
    top = argparse.ArgumentParser(
        prog="edged",
        description="Ordinary chargers on a field bus, shown to a CSMS as one OCPP charging station.",
        epilog="Exit status: 0 done, 1 it did not work, 2 usage, 78 the configuration or what is kept needs a person.",
    )
    top.add_argument("--version", action="version", version=f"edged {__version__}")
    commands = top.add_subparsers(dest="name", metavar="COMMAND", required=True)
    typed = {*words[:1]} & {*COMMANDS, *HIDDEN}
    for name in typed or (*COMMANDS, *HIDDEN):
        module = module_of(name)
        shown = {} if name in HIDDEN else {"help": module.SUMMARY}
        command = commands.add_parser(name, **shown, **help_of(module))
        module.configure(command)
        command.set_defaults(run=module.run)
    if whole:
        module = module_of(DEMO)
        module.configure(commands.add_parser(DEMO, help=DEMO_SUMMARY, **help_of(module)))
    elif not typed:
        commands.add_parser(DEMO, help=DEMO_SUMMARY, add_help=False)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status. Raises only SystemExit, for usage and help."""
    words = list(sys.argv[1:] if argv is None else argv)
    if os.environ.get(DEBUG_VARIABLE):
        logging.basicConfig(level=logging.DEBUG)
    with unswept():
        from edged.cli import output  # with all that a configuration is made of: a good part of the start
        from edged.ports import EdgedError, StoreWithheld
        from edged.settings import SettingsErrors
    try:
        return _run(words)
    except SettingsErrors as errors:
        output.complain_about_settings(errors)
        return output.BAD_CONFIGURATION
    except StoreWithheld as error:
        output.complain(str(error))
        return output.BAD_CONFIGURATION
    except EdgedError as error:
        output.complain(str(error))
    except KeyboardInterrupt:
        return output.DONE
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`): nobody is left to tell, and nothing may be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        log.debug("the operating system refused", exc_info=True)
        where = f" ({error.filename})" if error.filename else ""
        output.complain(f"the computer said: {error.strerror or error}{where}")
    except Exception as error:  # the last guard: a person gets one sentence
        log.debug("this is a bug", exc_info=True)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} in {os.path.basename(frame.filename)}:{frame.lineno}"
        output.complain(f"a bug in edged, {place}: please report it; {DEBUG_VARIABLE}=1 shows the details")
    return output.FAILED


def _run(words: list[str]) -> int:
    if words[:1] == [DEMO]:
        return int(module_of(DEMO).main(words[1:]))
    arguments = parser(words).parse_args(words)
    return int(arguments.run(arguments))
