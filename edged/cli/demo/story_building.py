"""The story as data: the CSMS and the building limit one car, and its controller restarts; then the broker is killed
and comes back with nothing, and whoever listens knows everything all the same."""

from __future__ import annotations

import asyncio
import signal
from typing import Final

from edged.cli.demo import building, claims, home
from edged.cli.demo.acts import arrive, leave, reservation, running_transaction
from edged.cli.demo.broker import EVENTS, TREE
from edged.cli.demo.places import BAY, BOB, CAROL, LEFT
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Chapter, Claim, Seen, Step
from edged.cli.demo.story_limits import car_profile
from edged.simulator.makes.openevse import OpenEvse

PROFILE: Final = 25
BY_CSMS_A, BY_BUILDING_A, GENEROUS_A, WIRED_A = 12, 8, 14, 32
"""The last: what the installation carries, and so the local limit where nobody has set one."""
RESERVATION: Final = 75
MEANWHILE: Final = ("reservation.made", "reservation.cancelled", "transaction.ended")
"""What happens while there is no broker, among more, in this order."""
AFTER_ALL_S: Final = 30.0
"""The daemon knocks ever more rarely."""

# --- two who limit


async def _carol(stage: Stage) -> None:
    await arrive(stage, BAY)
    await stage.present(BAY, CAROL)


async def _by_csms(stage: Stage) -> None:
    profile = car_profile(PROFILE, BY_CSMS_A, running_transaction(stage, BAY))
    await stage.call("SetChargingProfile", {"connectorId": BAY.connector, "csChargingProfiles": profile})


async def _by_building(stage: Stage, ampere: float) -> None:
    await building.ask(stage, "set_limit", {"connector": BAY.connector, "limit_a": ampere})


async def _lifted(stage: Stage) -> None:
    await building.ask(stage, "clear_limit", {"connector": BAY.connector})


def _limits(*, local_a: float, effective_a: float) -> Claim:
    return claims.mirrored(BAY, "limit", local_limit_a=local_a, csms_limit_a=BY_CSMS_A, effective_a=effective_a)


def _controller(stage: Stage) -> OpenEvse:
    device = stage.site.units[BAY.charger]
    assert isinstance(device, OpenEvse)
    return device


async def _restarts(stage: Stage) -> None:
    """As its watchdog does it, or a flicker of the mains: what it had been told is forgotten."""
    stage.notes["boots"] = _controller(stage).boots
    stage.notes["drawn_ma"] = max(stage.point(BAY).phase_currents_ma)
    _controller(stage).reboot()


def _as_before(stage: Stage) -> Seen:
    restarts = _controller(stage).boots - stage.notes["boots"]
    now_ma = max(stage.point(BAY).phase_currents_ma)
    words = f"{restarts} restart, then {BAY.charger} {now_ma / 1000:.1f} A"
    return Seen(restarts == 1 and now_ma == stage.notes["drawn_ma"] > 0, words)


BOTH: Final = Chapter(
    title="CSMS and building limit one car (OpenEVSE, RAPI)",
    steps=(
        Step(
            sentence="CAROL charges at connector 5",
            act=_carol,
            claims=(
                claims.admitted(yes=True),
                claims.called("StartTransaction", connectorId=BAY.connector, idTag=CAROL),
                claims.contactor(BAY, closed=True),
                claims.flowing(BAY),
            ),
        ),
        Step(
            sentence=f"the CSMS allows her {BY_CSMS_A} A",
            act=_by_csms,
            claims=(
                claims.answered("SetChargingProfile", status="Accepted"),
                claims.drawn(BAY, BY_CSMS_A),
            ),
        ),
        Step(
            sentence=f"the building allows {BY_BUILDING_A} A: the lower one counts",
            act=lambda stage: _by_building(stage, BY_BUILDING_A),
            needs_broker=True,
            claims=(
                building.granted("set_limit"),
                claims.drawn(BAY, BY_BUILDING_A),
                _limits(local_a=BY_BUILDING_A, effective_a=BY_BUILDING_A),
            ),
        ),
        Step(
            sentence="the controller restarts by itself and knows nothing: it is told everything again",
            act=_restarts,
            claims=(
                claims.steel("restarted once, and draws what it drew", _as_before),
                claims.contactor(BAY, closed=True),
                claims.not_called("StopTransaction"),
            ),
        ),
        Step(
            sentence=f"the building allows {GENEROUS_A} A: now the CSMS's {BY_CSMS_A} A are the lower",
            act=lambda stage: _by_building(stage, GENEROUS_A),
            needs_broker=True,
            claims=(
                building.granted("set_limit"),
                claims.drawn(BAY, BY_CSMS_A),
                _limits(local_a=GENEROUS_A, effective_a=BY_CSMS_A),
            ),
        ),
        Step(
            sentence="and lifts its limit: the CSMS's stays",
            act=_lifted,
            needs_broker=True,
            claims=(
                building.granted("clear_limit"),
                _limits(local_a=WIRED_A, effective_a=BY_CSMS_A),
                claims.drawn(BAY, BY_CSMS_A),
            ),
        ),
    ),
)


# --- the broker


def _stays(topic: str) -> bool:
    """What a broker keeps for those who come later."""
    return not topic.startswith((EVENTS, f"{TREE}/rpc/", f"{TREE}/heartbeat"))


async def _kill(stage: Stage) -> None:
    assert stage.broker is not None and stage.observer is not None
    stage.notes["kept"] = {topic for topic in stage.observer.topics if _stays(topic)}
    await stage.broker.kill()
    await stage.observer.outlive()
    stage.notes["heard"] = len(stage.observer.events)


def _killed(stage: Stage) -> Seen:
    assert stage.broker is not None
    status = stage.broker.exit_status
    return Seen(status == -signal.SIGKILL, "broker runs" if status is None else f"broker ended by signal {-status}")


async def _reserve_and_cancel(stage: Stage) -> None:
    await stage.call("ReserveNow", reservation(LEFT, RESERVATION, BOB, seconds=300))
    await stage.call("CancelReservation", {"reservationId": RESERVATION})


def _events_wait(stage: Stage) -> Seen:
    """More than the broker had when it was killed."""
    assert stage.observer is not None
    last = stage.observer.events[-1].seq
    waiting = 0 if stage.disk is None else stage.disk.last_event - last
    return Seen(waiting >= 2, f"{waiting} events wait, after number {last}")


async def _stop_and_leave(stage: Stage) -> None:
    await stage.present(BAY, CAROL)
    await leave(stage, BAY)


async def _back(stage: Stage) -> None:
    assert stage.broker is not None and stage.observer is not None
    await asyncio.gather(stage.broker.start_again(), stage.observer.start(patience_s=AFTER_ALL_S))


def _told_meanwhile(stage: Stage) -> Seen:
    """Those of the outage came replayed, in order, none is missing, none comes again once its id is known."""
    assert stage.observer is not None
    events = stage.observer.events
    came = events[stage.notes["heard"] - 1 :]
    numbers = [one.seq for one in came]
    missing = [kind for kind in MEANWHILE if kind not in {one.type for one in came if one.replayed}]
    in_order = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    replayed = sum(one.replayed for one in came[1:])
    words = f"{replayed} events replayed, numbers {numbers[0] + 1} to {numbers[-1]} in order"
    if missing or not in_order:
        words = f"numbers {numbers}" if not in_order else f"no {missing[0]}"
    return Seen(not missing and in_order, words)


async def _latecomer(stage: Stage) -> None:
    stage.notes["survivor"] = await stage.observe("survivor")


def _complete(stage: Stage) -> Seen:
    kept, wanted = stage.notes["survivor"].retained, stage.notes["kept"]
    return Seen(wanted <= kept.keys(), f"{len(wanted & kept.keys())} of {len(wanted)} topics retained")


def _of_now(stage: Stage) -> Seen:
    active = stage.notes["survivor"].connector(BAY.connector, "transaction").get("active")
    return Seen(active is False, f"{BAY.connector}/transaction active={active}")


BROKER: Final = Chapter(
    title="The broker is killed",
    builds_on=BOTH.title,
    steps=(
        Step(
            sentence="kill -9 for the broker, which keeps nothing on disk; CAROL charges on",
            act=_kill,
            needs_broker=True,
            claims=(claims.process("broker ended by signal 9", _killed), claims.flowing(BAY)),
        ),
        Step(
            sentence="the CSMS reserves connector 1 and cancels it: what MQTT must know waits on the disk",
            act=_reserve_and_cancel,
            needs_broker=True,
            claims=(
                claims.answered("CancelReservation", status="Accepted"),
                claims.status(LEFT, "Reserved"),
                claims.status(LEFT, "Available"),
                claims.on_disk("events wait", _events_wait),
            ),
        ),
        Step(
            sentence="CAROL stops and drives away",
            act=_stop_and_leave,
            claims=(
                claims.admitted(yes=True),
                claims.called("StopTransaction", idTag=CAROL),
                claims.contactor(BAY, closed=False),
                claims.status(BAY, "Available"),
            ),
        ),
        Step(
            sentence="the broker is back and empty: what happened meanwhile is told, in order, none lost",
            act=_back,
            needs_broker=True,
            timeout_s=AFTER_ALL_S,
            claims=(
                claims.published("status", "online"),
                claims.broker("the events of the outage, replayed, in order", _told_meanwhile),
            ),
        ),
        Step(
            sentence="who subscribes now finds the whole picture, and Home Assistant every device",
            act=_latecomer,
            needs_broker=True,
            claims=(
                claims.broker("all topics retained", _complete),
                claims.broker("the transaction is over", _of_now),
                claims.broker("every device whole", home.seen_by("survivor")),
            ),
        ),
    ),
)
