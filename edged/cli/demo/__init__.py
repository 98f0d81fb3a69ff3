"""`edged demo`: a whole site on loopback, a story that is told while it happens, and a table that says who saw what.

Five simulated chargers of four makes, a small CSMS, Mosquitto where it is installed, and the daemon as a process of
its own. Nothing is installed, nothing outside a temporary directory is touched, and every process ends with the demo.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from edged.cli import output
from edged.cli.demo import accounts, report, tellers
from edged.cli.demo.broker import HOW_TO_INSTALL, mosquitto
from edged.cli.demo.ink import Ink
from edged.cli.demo.places import PLACES, VENDOR
from edged.cli.demo.stage import Options, Stage
from edged.cli.demo.step import Chapter, Outcome
from edged.cli.demo.story import GOODBYE, STORY
from edged.cli.demo.telling import tell
from edged.cli.manual import help_of
from edged.cli.options import add_json

SUMMARY = "a whole site on loopback with nothing to install, and a live view of what happens"
DETAILS = """\
Five simulated chargers of four makes, a small CSMS, Mosquitto where it is installed, and the daemon as a process of its
own, on loopback and in a temporary directory, while a story is told of what happens. A table at the end says who saw
what; the exit status is 1 where one of them saw something else."""
EXAMPLES = (
    ("edged demo", "the whole story"),
    ("edged demo --hold --keep", "and leave the site running, with its files"),
)
SPEED: Final = 30.0
MAX_SPEED: Final = 100.0

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--speed", metavar="N", type=_speed, default=SPEED, help=f"physics N times faster (1 to 100, default {SPEED:g})"
    )
    parser.add_argument("--seed", metavar="N", type=int, help="seed of the simulated lines, to repeat a run")
    parser.add_argument("--hold", action="store_true", help="keep the site running after the story, until Ctrl-C")
    parser.add_argument("--keep", action="store_true", help="keep the directory with logs, database and configuration")
    parser.add_argument("--plain", action="store_true", help="a line a step, on a terminal too")
    parser.add_argument("--no-broker", action="store_true", help="do without Mosquitto even where it is installed")
    add_json(parser, "the table")


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 1 <= speed <= MAX_SPEED:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {MAX_SPEED:g}")
    return speed


def main(argv: Sequence[str], story: Sequence[Chapter] | None = None) -> int:
    """The command with its own grammar. `story`: another one than the whole."""
    parser = argparse.ArgumentParser(prog="edged demo", **help_of(sys.modules[__name__]))
    configure(parser)
    return run(parser.parse_args(list(argv)), story)


def run(args: argparse.Namespace, story: Sequence[Chapter] | None = None) -> int:
    if story is None:
        story = STORY if args.hold else (*STORY, GOODBYE)
    try:
        return asyncio.run(_until_told(args, story))
    except asyncio.CancelledError:
        output.complain("stopped before the end of the story")
        return output.FAILED


async def _until_told(args: argparse.Namespace, story: Sequence[Chapter]) -> int:
    """The first signal ends the demo in good order; further ones do not disturb the ending."""
    told = asyncio.current_task()
    assert told is not None
    ended, holding = asyncio.Event(), asyncio.Event()

    def end() -> None:
        if not ended.is_set():
            ended.set()
            if not holding.is_set():
                told.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end)
    stream = tellers.stdout_or_stderr(as_json=args.json)
    if mosquitto() is None:
        print(HOW_TO_INSTALL, file=stream, flush=True)
    options = Options(speed=args.speed, seed=args.seed, keep=args.keep, broker=not args.no_broker)
    async with Stage(options) as stage:
        with _logging_to(stage.directory / "demo.log"):
            status = await _perform(args, story, stage)
            if args.hold:
                holding.set()
                _announce(stage)
                await ended.wait()
    if stage.keep:
        print(f"everything is kept in {stage.directory}", file=stream)
    return status


async def _perform(args: argparse.Namespace, story: Sequence[Chapter], stage: Stage) -> int:
    """Tell the story and print its table. The exit status."""
    stream = tellers.stdout_or_stderr(as_json=args.json)
    async with tellers.choose(stage, stream=stream, plain=args.plain or args.json) as teller:
        outcomes = await tell(story, stage, teller, linger_s=teller.linger_s)
    totals = accounts.totals(stage)
    if args.json:
        output.say_json(report.document(outcomes, totals, seed=stage.site.seed, speed=args.speed))
    else:
        _print_table(outcomes, totals)
    if report.succeeded(outcomes, totals):
        return output.DONE
    stage.keep = True
    print(f"the daemon's log is {stage.daemon_log}", file=stream)
    return output.FAILED


def _print_table(outcomes: Sequence[Outcome], totals: accounts.Totals) -> None:
    columns, _ = tellers.terminal_size(sys.stdout)
    print()
    for line in report.table(outcomes, totals, columns=columns, ink=Ink.of(sys.stdout)):
        print(line)
    sys.stdout.flush()


def _announce(stage: Stage) -> None:
    """Where everything is, and what to try."""
    edged = "edged" if shutil.which("edged") else f"{shlex.quote(sys.executable)} -m edged"
    daemon, chargers = stage.daemon.control, stage.directory / "chargers.sock"
    left = PLACES[0]
    lines = [
        "",
        "The site keeps running; Ctrl-C ends it.",
        f"  CSMS             {stage.csms.url}",
        f"  its file server  {stage.files.address}",
        f"  broker           {'none' if stage.broker is None else f'mqtt://127.0.0.1:{stage.broker.port}'}",
        f"  control socket   {daemon}",
        f"  simulator        {chargers}",
        f"  configuration    {stage.directory / 'edged.yaml'}",
        f"  daemon's log     {stage.daemon_log}",
        "Try in another terminal:",
        f"  {edged} status --control {daemon}",
        f"  {edged} ctl --control {chargers} plug_in charger={left.charger}",
        f"  {edged} ctl --control {daemon} present_token connector={left.connector} id_token=ALICE",
        f"  {edged} ctl --control {chargers} get charger={left.charger}",
        f"  {edged} ctl --control {chargers} plug_out charger={left.charger}",
        f"  {edged} ctl --control {daemon} data_transfer vendor_id={VENDOR} message_id=Reading data=7.4",
        f"  {edged} ctl --control {daemon} list_data_transfers",
        f"  {edged} ctl --control {daemon} get_diagnostics location={stage.files.url()}",
    ]
    if stage.broker is not None:
        lines.append(f"  mosquitto_sub -p {stage.broker.port} -v -t 'edged/v1/#'")
    print("\n".join(lines), file=sys.stderr, flush=True)


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """What the simulators have to say goes into a file, for the screen belongs to the story."""
    root = logging.getLogger()
    into = logging.FileHandler(path)
    into.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(into)
    try:
        yield
    finally:
        root.removeHandler(into)
        into.close()
