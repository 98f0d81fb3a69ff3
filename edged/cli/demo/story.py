"""The whole story, in order, with its end: the accounts, and the daemon's goodbye."""

from __future__ import annotations

from typing import Final

from edged.cli.demo import accounts, claims
from edged.cli.demo.acts import nothing
from edged.cli.demo.daemon import Disk
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Chapter, Seen, Step
from edged.cli.demo.story_201 import LIMITED, PLUG_FIRST, SWITCH, TOLD_LATER
from edged.cli.demo.story_access import DATA, PASSWORD
from edged.cli.demo.story_building import BOTH, BROKER
from edged.cli.demo.story_charging import CHARGE, RESERVE, WAKE
from edged.cli.demo.story_commands import AVAILABILITY, BUILDING, KEYS, LOCKS
from edged.cli.demo.story_counted import COUNTED, WAITING
from edged.cli.demo.story_limits import LIMITS
from edged.cli.demo.story_list import LIST
from edged.cli.demo.story_logs import LOGS
from edged.cli.demo.story_offline import CUT, KILL


def _in_order(stage: Stage) -> Seen:
    wrong = accounts.all_faults(stage.csms)
    count = accounts.count(stage.csms)
    return Seen(not wrong and count > 0, wrong[0] if wrong else f"{count} transactions, each started and stopped once")


def _by_the_rules(stage: Stage) -> Seen:
    violations = stage.csms.violations
    return Seen(not violations, violations[0] if violations else "no violation of the protocol")


def _nothing_waits(disk: Disk) -> Seen:
    return Seen(disk.waiting == 0, f"{disk.waiting} messages wait")


def _events(stage: Stage) -> Seen:
    assert stage.observer is not None
    wrong, count = accounts.faults_in_events(stage), accounts.events_told(stage)
    words = f"{count} events, in order, none missing; {stage.observer.repeated} came again"
    return Seen(not wrong and bool(count), wrong[0] if wrong else words)


ACCOUNTS: Final = Chapter(
    title="The accounts",
    steps=(
        Step(
            sentence="every transaction came once, in order, by the rules",
            act=nothing,
            claims=(
                claims.csms("each transaction started and stopped once, in order", _in_order),
                claims.csms("no violation of the protocol", _by_the_rules),
                claims.disk("no message waits", _nothing_waits),
            ),
        ),
        Step(
            sentence="every Wh that flowed belongs to a transaction",
            act=nothing,
            claims=(claims.csms("told as flowed", accounts.every_wh),),
        ),
        Step(
            sentence="every event came over MQTT, through both outages, in order",
            act=nothing,
            needs_broker=True,
            claims=(claims.broker("events in order, none missing", _events),),
        ),
    ),
)


async def _goodbye(stage: Stage) -> None:
    await stage.daemon.stop()


def _left(stage: Stage) -> Seen:
    status = stage.daemon.exit_status
    return Seen(status == 0, "still runs" if status is None else f"exit status {status}")


GOODBYE: Final = Chapter(
    title="Good night",
    steps=(
        Step(
            sentence="SIGTERM: the daemon says goodbye and ends",
            act=_goodbye,
            claims=(claims.process("exit status 0", _left), claims.published("status", "offline")),
        ),
    ),
)

STORY: Final = (
    WAKE,
    CHARGE,
    RESERVE,
    LOCKS,
    AVAILABILITY,
    LIMITS,
    KEYS,
    BUILDING,
    BOTH,
    BROKER,
    DATA,
    PASSWORD,
    LOGS,
    LIST,
    CUT,
    KILL,
    SWITCH,
    PLUG_FIRST,
    LIMITED,
    TOLD_LATER,
    COUNTED,
    WAITING,
    ACCOUNTS,
)
