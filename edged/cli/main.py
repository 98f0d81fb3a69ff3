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
from edged.cli import (
    backup,
    check,
    ctl,
    doctor,
    firmware_install,
    mqtt,
    output,
    probe,
    restore,
    run,
    scan,
    setup,
    simulate,
    status,
)
from edged.cli.manual import help_of
from edged.ports import EdgedError, StoreWithheld
from edged.settings import SettingsErrors

log = logging.getLogger(__name__)

COMMANDS: dict[str, ModuleType] = {
    "run": run,
    "check": check,
    "status": status,
    "ctl": ctl,
    "probe": probe,
    "scan": scan,
    "setup": setup,
    "doctor": doctor,
    "simulate": simulate,
    "mqtt": mqtt,
    "backup": backup,
    "restore": restore,
}
HIDDEN: dict[str, ModuleType] = {"firmware-install": firmware_install}
"""Not for people: what units and edged itself call."""
DEMO = "demo"
DEMO_SUMMARY = "a whole site on loopback with nothing to install, and a live view of what happens"
DEBUG_VARIABLE = "EDGED_DEBUG"


def parser(*, whole: bool = False) -> argparse.ArgumentParser:
    """The grammar of every command. `demo` reads its own options and is imported only for the `whole`."""
    top = argparse.ArgumentParser(
        prog="edged",
        description="Ordinary chargers on a field bus, shown to a CSMS as one OCPP charging station.",
        epilog="Exit status: 0 done, 1 it did not work, 2 usage, 78 the configuration or what is kept needs a person.",
    )
    top.add_argument("--version", action="version", version=f"edged {__version__}")
    commands = top.add_subparsers(dest="name", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.SUMMARY, **help_of(module))
        module.configure(command)
        command.set_defaults(run=module.run)
    for name, module in HIDDEN.items():
        hidden = commands.add_parser(name, **help_of(module))
        module.configure(hidden)
        hidden.set_defaults(run=module.run)
    if whole:
        module = importlib.import_module("edged.cli.demo")
        module.configure(commands.add_parser(DEMO, help=DEMO_SUMMARY, **help_of(module)))
    else:
        commands.add_parser(DEMO, help=DEMO_SUMMARY, add_help=False)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status. Raises only SystemExit, for usage and help."""
    words = list(sys.argv[1:] if argv is None else argv)
    if os.environ.get(DEBUG_VARIABLE):
        logging.basicConfig(level=logging.DEBUG)
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
        demo = importlib.import_module("edged.cli.demo")
        return int(demo.main(words[1:]))
    arguments = parser().parse_args(words)
    return int(arguments.run(arguments))
