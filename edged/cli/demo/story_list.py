"""The story as data: the local list, brought while the CSMS is there, good for something while it is not."""

from __future__ import annotations

from typing import Final

from edged.cli.demo import claims
from edged.cli.demo.acts import arrive, leave, left
from edged.cli.demo.daemon import Disk
from edged.cli.demo.places import DAVE, EVE, LEFT, RIGHT
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Chapter, Claim, Seen, Step

VERSION: Final = 7
FULL: Final = {
    "listVersion": VERSION,
    "updateType": "Full",
    "localAuthorizationList": [{"idTag": DAVE, "idTagInfo": {"status": "Accepted"}}],
}


async def _send(stage: Stage) -> None:
    await stage.call("SendLocalList", FULL)


async def _ask(stage: Stage) -> None:
    await stage.call("GetLocalListVersion", {})


def _version(stage: Stage) -> Seen:
    version = stage.answer.get("listVersion")
    return Seen(version == VERSION, f"list version {version}")


def _kept(disk: Disk) -> Seen:
    found = len(disk.facts.get("local_list", {}))
    return Seen(found == 1, f"a list of {found}")


LIST: Final = Chapter(
    title="The local list",
    steps=(
        Step(
            sentence="the CSMS sends a list: DAVE, who has never been here, may charge",
            act=_send,
            claims=(
                claims.answered("SendLocalList", status="Accepted"),
                claims.disk("the list is kept", _kept),
            ),
        ),
        Step(
            sentence="and asks which version is here",
            act=_ask,
            claims=(claims.csms(f"list version {VERSION}", _version),),
        ),
    ),
)


# --- while the CSMS is away


async def _dave(stage: Stage) -> None:
    await arrive(stage, RIGHT)
    await stage.present(RIGHT, DAVE)


async def _eve(stage: Stage) -> None:
    await arrive(stage, LEFT)
    await stage.present(LEFT, EVE)


async def _both_leave(stage: Stage) -> None:
    await leave(stage, RIGHT)
    await left(stage, LEFT)


def _waiting(at_least: int) -> Claim:
    return claims.socket(
        f"at least {at_least} messages wait",
        lambda status: Seen(status["queued"] >= at_least, f"{status['queued']} messages wait"),
    )


BY_THE_LIST: Final = (
    Step(
        sentence="DAVE is on the list: he is let in, with nobody to ask",
        act=_dave,
        claims=(
            claims.admitted(yes=True),
            claims.contactor(RIGHT, closed=True),
            claims.flowing(RIGHT),
            claims.mirrored(RIGHT, "transaction", active=True),
            claims.silence(),
        ),
    ),
    Step(
        sentence="EVE is on no list and was never here: refused",
        act=_eve,
        claims=(
            claims.admitted(yes=False),
            claims.contactor(LEFT, closed=False),
            claims.mirrored(LEFT, "transaction", active=False),
            claims.silence(),
        ),
    ),
    Step(
        sentence="both drive away",
        act=_both_leave,
        claims=(claims.contactor(RIGHT, closed=False), _waiting(4), claims.silence()),
    ),
)
