"""The story as data, last part: the link is cut, the daemon is killed, and nothing is lost or told twice."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any, Final

from edged.cli.demo import accounts, claims
from edged.cli.demo.acts import arrive, leave, nothing, reservation
from edged.cli.demo.daemon import Disk
from edged.cli.demo.places import ALICE, BOB, CAROL, DAVE, HALL, LEFT, RIGHT, STATION, Place
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Chapter, Claim, Seen, Step
from edged.cli.demo.story_commands import KEY, KEY_SAYS, ask_key
from edged.cli.demo.story_list import BY_THE_LIST
from edged.simulator.model import PointModel

SHORT_RESERVATION: Final = 8
SHORT_S: Final = 3.0
ENOUGH_WH: Final = 50.0
"""What the offline driver takes before she stops."""
STOP_TOLERANCE_S: Final = 3.0
"""What may flow between the daemon's last look at a register and the opening of the contactor."""

# --- the link is cut


async def _cut(stage: Stage) -> None:
    await stage.call("ReserveNow", reservation(RIGHT, SHORT_RESERVATION, CAROL, seconds=SHORT_S))
    stage.csms.cut()
    await stage.csms.wait_disconnected(STATION, timeout_s=5)


def _offline(status: Mapping[str, Any]) -> Seen:
    online = status["csms"]["online"]
    return Seen(not online, f"link {'up' if online else 'down'}")


def _reservations(status: Mapping[str, Any]) -> Seen:
    there = any(one["id"] == SHORT_RESERVATION for one in status["reservations"])
    return Seen(not there, f"reservation {SHORT_RESERVATION} {'still there' if there else 'gone'}")


def _waiting(at_least: int) -> Claim:
    def look(status: Mapping[str, Any]) -> Seen:
        return Seen(status["queued"] >= at_least, f"{status['queued']} messages wait")

    return claims.socket(f"at least {at_least} messages wait", look)


def _on_disk(at_least: int) -> Claim:
    def look(disk: Disk) -> Seen:
        return Seen(disk.waiting >= at_least, f"{disk.waiting} messages wait")

    return claims.disk(f"at least {at_least} messages wait", look)


async def _charge_offline(stage: Stage) -> None:
    point = stage.point(HALL)
    await arrive(stage, HALL)
    point.swipe(ALICE)
    await stage.site.until(lambda: point.session_wh > ENOUGH_WH, timeout_s=60)


async def _stop_offline(stage: Stage) -> None:
    stage.point(HALL).swipe(ALICE)


def _took(point: PointModel) -> Seen:
    return Seen(point.session_wh > ENOUGH_WH, f"{point.session_wh:.0f} Wh taken")


CUT: Final = Chapter(
    title="The link to the CSMS is cut",
    steps=(
        Step(
            sentence=f"connector 2 is reserved for {SHORT_S:g} s; then the network goes",
            act=_cut,
            claims=(
                claims.answered("ReserveNow", status="Accepted"),
                claims.csms("disconnected", lambda stage: Seen(not stage.csms.connected, "disconnected")),
                claims.socket("link down", _offline),
                claims.published(f"station/{STATION}/ocpp/is_connected", "false"),
            ),
        ),
        Step(
            sentence="the reservation expires while the CSMS is away",
            act=nothing,
            claims=(
                claims.socket("no reservation", _reservations),
                claims.kept("reservation", str(SHORT_RESERVATION), "it is gone", there=False),
                claims.mirrored(RIGHT, "reservation", active=False),
                claims.silence(),
            ),
        ),
        Step(
            sentence="ALICE is known here: she charges without the CSMS",
            act=_charge_offline,
            timeout_s=60,
            claims=(
                claims.contactor(HALL, closed=True),
                claims.hardware(HALL, "energy in the car", _took),
                _on_disk(1),
                claims.mirrored(HALL, "transaction", active=True),
                claims.silence(),
            ),
        ),
        Step(
            sentence="she stops; what the CSMS must know waits on the disk",
            act=_stop_offline,
            claims=(
                claims.contactor(HALL, closed=False),
                _waiting(2),
                _on_disk(2),
                claims.mirrored(HALL, "transaction", active=False),
                claims.silence(),
            ),
        ),
        *BY_THE_LIST,
    ),
)


# --- kill -9


async def _bob(stage: Stage) -> None:
    await leave(stage, HALL)
    await arrive(stage, LEFT)
    await stage.present(LEFT, BOB)
    point = stage.point(LEFT)
    await stage.site.until(lambda: point.session_wh > ENOUGH_WH, timeout_s=60)


async def _kill(stage: Stage) -> None:
    stage.notes["queued"] = (await stage.daemon.status() or {}).get("queued", 0)
    await stage.daemon.kill()


def _killed(stage: Stage) -> Seen:
    status = stage.daemon.exit_status
    return Seen(status == -signal.SIGKILL, f"ended by signal {-status}" if status is not None else "runs")


def _running_on_disk(disk: Disk) -> Seen:
    running = [one for one in disk.facts.get("transaction", {}).values() if one.get("ending") is None]
    return Seen(len(running) == 1, f"{len(running)} running transaction, {disk.waiting} messages")


async def _again(stage: Stage) -> None:
    await stage.daemon.start()


def _continues(status: Mapping[str, Any]) -> Seen:
    active = [one for one in status["transactions"] if one["active"]]
    at = ", ".join(f"connector {one['connector']}" for one in active)
    ok = [one["connector"] for one in active] == [LEFT.connector] and status["queued"] >= 3
    return Seen(ok, f"a transaction runs at {at or 'no connector'}, {status['queued']} messages wait")


def _registered_online(status: Mapping[str, Any]) -> Seen:
    one = next(one for one in status["connectors"] if one["connector"] == LEFT.connector)
    return Seen(bool(one["online"]), f"connector {LEFT.connector} {'online' if one['online'] else 'offline'}")


async def _restore(stage: Stage) -> None:
    stage.csms.restore()
    await stage.csms.wait_connected(STATION, timeout_s=20)


def _empty(status: Mapping[str, Any]) -> Seen:
    return Seen(status["queued"] == 0, f"{status['queued']} messages wait")


def _delivered(stage: Stage) -> Seen:
    """ALICE's start and stop, DAVE's, then BOB's start, and nothing twice."""
    record = accounts.transaction_calls(stage.csms, after=stage.mark)
    told = [accounts.words(stage.csms, frame) for frame in record if frame.action != "MeterValues"]
    wanted = [f"Start {ALICE}", f"Stop {ALICE}", f"Start {DAVE}", f"Stop {DAVE}", f"Start {BOB}"]
    return Seen(told == wanted, ", ".join(told) or "nothing")


async def _stop_bob(stage: Stage) -> None:
    await stage.present(LEFT, BOB)


def _stops_near(stage: Stage, payload: Mapping[str, Any]) -> bool | str:
    """The register as last read: the contactor opens a moment later."""
    point = stage.point(LEFT)
    flowing_w = 16.0 * 230.0 * 3
    behind_wh = flowing_w * stage.options.speed * STOP_TOLERANCE_S / 3600
    stop_wh = payload["meterStop"]
    near = int(point.energy_wh) - behind_wh <= stop_wh <= int(point.energy_wh)
    return f"meterStop {stop_wh} Wh, the charger shows {int(point.energy_wh)} Wh" if near else False


def _is_free(place: Place) -> Claim:
    def look(status: Mapping[str, Any]) -> Seen:
        word = next(one["status"] for one in status["connectors"] if one["connector"] == place.connector)
        return Seen(word == "Available", f"connector {place.connector} {word}")

    return claims.socket(f"connector {place.connector} Available", look)


KILL: Final = Chapter(
    title="kill -9 in the middle of a transaction",
    builds_on=CUT.title,
    steps=(
        Step(
            sentence="BOB begins to charge, still without the CSMS",
            act=_bob,
            timeout_s=60,
            claims=(
                claims.admitted(yes=True),
                claims.contactor(LEFT, closed=True),
                claims.flowing(LEFT),
                _on_disk(3),
                claims.silence(),
            ),
        ),
        Step(
            sentence="kill -9",
            act=_kill,
            claims=(
                claims.process("ended by signal 9", _killed),
                claims.disk("the running transaction is kept", _running_on_disk),
                claims.flowing(LEFT),
                claims.published("status", "offline"),
            ),
        ),
        Step(
            sentence="started again, it goes on where it was",
            act=_again,
            timeout_s=30,
            claims=(
                claims.socket("the transaction goes on", _continues),
                claims.socket("the charger is reached", _registered_online),
                claims.contactor(LEFT, closed=True),
                claims.published("status", "online"),
                claims.mirrored(LEFT, "transaction", active=True),
                claims.silence(),
            ),
        ),
        Step(
            sentence="the network is back: everything is delivered, in order, once",
            act=_restore,
            timeout_s=40,
            claims=(
                claims.called("BootNotification"),
                claims.csms("ALICE's start and stop, DAVE's, then BOB's start", _delivered, lasting=True),
                claims.socket("no message waits", _empty),
                claims.published(f"station/{STATION}/ocpp/is_connected", "true"),
            ),
        ),
        Step(
            sentence=f"{KEY} is still what the CSMS had set",
            act=ask_key,
            claims=(KEY_SAYS,),
        ),
        Step(
            sentence="BOB shows his token and stops",
            act=_stop_bob,
            claims=(
                claims.admitted(yes=True),
                claims.called("StopTransaction", idTag=BOB, then=_stops_near),
                claims.contactor(LEFT, closed=False),
            ),
        ),
        Step(
            sentence="he drives away, and the site is quiet",
            act=lambda stage: leave(stage, LEFT),
            claims=(
                claims.status(LEFT, "Available"),
                *(_is_free(place) for place in (LEFT, RIGHT, HALL)),
            ),
        ),
    ),
)
