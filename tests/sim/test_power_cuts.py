"""A story in chapters, cut at every single call of the station into the world, and carried on from what the disk holds.

Three ways of cutting: the process is killed, the computer loses its power, the disk refuses one commit. Whatever the
moment, the story is finished afterwards and judged by all the laws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from edged.domain.effects import RestartScope
from edged.domain.hardware import Capability
from edged.domain.station import SiteRules
from tests.fakes import site as builder
from tests.fakes.central import Moods
from tests.fakes.world import Plan, World
from tests.sim.chapters201 import CHAPTERS_201, plan_201
from tests.sim.laws import Laws
from tests.sim.life import calm_down, recover

LAYOUTS = (
    builder.layout(1),
    builder.layout(2, capabilities=builder.FULL | {Capability.LOCK_CONTROL}),
    builder.layout(
        3,
        capabilities=builder.FULL
        | {Capability.AVAILABILITY, Capability.AVAILABILITY_SENSE, Capability.RESET_SOFT, Capability.RESET_HARD},
    ),
)
PLAN = Plan(
    layouts=LAYOUTS,
    configuration={
        "MeterValueSampleInterval": "10",
        "ClockAlignedDataInterval": "0",
        "LocalPreAuthorize": "false",
        "AllowOfflineTxForUnknownId": "true",
        "TransactionMessageRetryInterval": "10",
        "StopTxnSampledData": "Energy.Active.Import.Register",
    },
    rules=SiteRules(
        hard_reset=RestartScope.HOST,
        has_password=True,
        security_profile=1,
        credentials_digest="the installer's",
        installs_firmware=True,
    ),
    ntp_after_s=1.0,
    mirror=False,
)
TIMELESS = replace(PLAN, battery=False, ntp_after_s=None, rules=replace(PLAN.rules, time_from_csms=False))
PLAN_201 = plan_201(PLAN)
STATION = 0


# --- moves


def plug(world: World, number: int) -> None:
    world.boxes[number].plugged = world.boxes[number].hungry = True


def charge(world: World, number: int, token: str = "ALICE") -> None:
    plug(world, number)
    world.run(3)
    world.show_token(token, number)
    world.run(6)


def unplug(world: World, number: int) -> None:
    world.boxes[number].plugged = False
    world.run(5)


def ask(world: World, action: str, wait_s: float = 4.0, **payload: object) -> None:
    world.central.ask(action, payload)
    world.run(wait_s)


def running_ids(world: World) -> list[int]:
    return [session.id for session in world.central.sessions.values() if session.stop is None]


# --- chapters


def boot_and_status(world: World) -> None:
    charge(world, 1)
    world.die(power=True)
    world.run(60)


def a_session(world: World) -> None:
    charge(world, 1)
    world.run(25)
    world.show_token("ALICE", 1)
    world.run(4)
    unplug(world, 1)


def a_reservation(world: World) -> None:
    world.central.reserve(1, 1, "BOB", 300)
    world.run(4)
    charge(world, 1, "CARLA")
    world.show_token("BOB", 1)
    world.run(8)
    unplug(world, 1)


def counted_reservations(world: World) -> None:
    world.central.reserve(1, STATION, "BOB", 300)
    world.run(3)
    world.central.reserve(2, STATION, "CARLA", 300)
    world.run(3)
    charge(world, 1, "ALICE")
    charge(world, 2, "BOB")
    world.central.reserve(2, 3, "CARLA", 200)
    world.run(3)
    ask(world, "CancelReservation", reservationId=2)


def unlock(world: World) -> None:
    charge(world, 2)
    ask(world, "UnlockConnector", 12, connectorId=2)
    unplug(world, 2)


def unlock_jammed(world: World) -> None:
    charge(world, 2)
    world.boxes[2].jammed = True
    ask(world, "UnlockConnector", 12, connectorId=2)


def unlock_without_a_word(world: World) -> None:
    charge(world, 1)
    world.boxes[1].mute = True
    ask(world, "UnlockConnector", 35, connectorId=1)


def availability(world: World) -> None:
    ask(world, "ChangeAvailability", 6, connectorId=3, type="Inoperative")
    ask(world, "ChangeAvailability", 6, connectorId=3, type="Operative")
    ask(world, "ChangeAvailability", 6, connectorId=STATION, type="Inoperative")
    ask(world, "ChangeAvailability", 6, connectorId=STATION, type="Operative")


def availability_scheduled(world: World) -> None:
    charge(world, 3)
    ask(world, "ChangeAvailability", 6, connectorId=3, type="Inoperative")
    unplug(world, 3)
    world.run(6)


def keys(world: World) -> None:
    ask(world, "ChangeConfiguration", key="ConnectionTimeOut", value="45")
    ask(world, "ChangeConfiguration", key="ConnectionTimeOut", value="50")
    ask(world, "ChangeConfiguration", key="MeterValueSampleInterval", value="30")
    ask(world, "GetConfiguration", key=["ConnectionTimeOut"])


def offline(world: World) -> None:
    world.central.reserve(1, 1, "BOB", 15)
    world.run(3)
    world.line_up = False
    world.cut()
    charge(world, 2)
    world.run(15)
    unplug(world, 2)
    world.line_up = True
    world.connect()
    world.run(10)


def remote(world: World) -> None:
    plug(world, 1)
    world.run(3)
    ask(world, "RemoteStartTransaction", 8, idTag="CARLA", connectorId=1)
    ask(world, "TriggerMessage", requestedMessage="MeterValues")
    for number in running_ids(world):
        ask(world, "RemoteStopTransaction", transactionId=number)


def the_bms(world: World) -> None:
    until = (world.true_utc() + timedelta(seconds=200)).isoformat()
    world.broker.command("reserve_now", {"connector": 1, "id_token": "BOB", "expires_at": until})
    world.run(3)
    plug(world, 1)
    world.run(3)
    world.broker.command("present_token", {"connector": 1, "id_token": "CARLA"})
    world.run(3)
    world.broker.command("present_token", {"connector": 1, "id_token": "BOB"})
    world.run(5)
    world.broker.command("cancel_reservation", {"reservation_id": 2**31 - 1})
    world.run(3)


def a_charger_is_lost(world: World) -> None:
    charge(world, 1)
    world.boxes[1].silent = True
    world.run(35)
    world.boxes[1].silent = False
    world.boxes[1].register_offset_wh = world.boxes[1].energy_wh
    world.run(15)


def a_full_disk(world: World) -> None:
    """Lines come and go, drivers come and go, and nothing of it can be written for a while."""
    charge(world, 1)
    world.show_token("CARLA", 2)
    world.disk_full = True
    world.boxes[1].plugged = False
    plug(world, 2)
    world.run(3)
    world.line_up = False
    world.cut()
    world.run(2)
    world.line_up = True
    world.connect()
    ask(world, "ChangeConfiguration", key="ConnectionTimeOut", value="45")
    world.disk_full = False
    world.run(12)


def a_line_goes_while_a_token_is_judged(world: World) -> None:
    """The end of the line is worth a commit then (the offline rules let the driver in), and the disk refuses it."""
    plug(world, 1)
    world.run(3)
    world.central.mood(Moods(lossy=1.0))
    world.show_token("ALICE", 1)
    world.run(2)
    world.disk_full = True
    world.line_up = False
    world.cut()
    world.run(1)
    world.line_up = True
    world.connect()
    world.central.mood(Moods())
    world.run(8)
    world.disk_full = False
    world.run(20)


def soft_reset(world: World) -> None:
    charge(world, 1)
    ask(world, "Reset", 45, type="Soft")


def hard_reset(world: World) -> None:
    charge(world, 3)
    ask(world, "Reset", 45, type="Hard")


def a_list(world: World) -> None:
    alice = {"idTag": "ALICE", "idTagInfo": {"status": "Accepted", "parentIdTag": "FAMILY"}}
    bob = {"idTag": "BOB", "idTagInfo": {"status": "Blocked"}}
    ask(world, "SendLocalList", listVersion=1, updateType="Full", localAuthorizationList=[alice, bob])
    ask(world, "SendLocalList", listVersion=2, updateType="Differential", localAuthorizationList=[{"idTag": "BOB"}])
    ask(world, "GetLocalListVersion")


def limits(world: World) -> None:
    """A default, a transaction's own profile with steps, and the station's; the last two go before the end."""
    set_limit(world, 1, "TxDefaultProfile", 1, 16.0)
    charge(world, 1)
    set_limit(world, 1, "TxProfile", 2, 10.0, 4.0, 20.0)
    set_limit(world, 0, "ChargePointMaxProfile", 3, 12.0)
    world.run(12)
    ask(world, "ClearChargingProfile", id=3)
    world.show_token("ALICE", 1)
    world.run(4)
    unplug(world, 1)


def set_limit(world: World, place: int, purpose: str, number: int, *steps_a: float) -> None:
    periods = [{"startPeriod": 5 * n, "limit": limit} for n, limit in enumerate(steps_a)]
    start = world.true_utc().isoformat()
    profile = {
        "chargingProfileId": number,
        "stackLevel": 1,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": periods, "startSchedule": start},
    }
    ask(world, "SetChargingProfile", 3.0, connectorId=place, csChargingProfiles=profile)


def signed_firmware(world: World) -> None:
    charge(world, 1)
    ask(world, "InstallCertificate", 13, certificateType="ManufacturerRootCertificate", certificate="root one good")
    firmware = {
        "location": "http://files.example/f.bin",
        "retrieveDateTime": world.true_utc().isoformat(),
        "signingCertificate": "signer good",
        "signature": "good",
    }
    ask(world, "SignedUpdateFirmware", 40, requestId=5, firmware=firmware)
    unplug(world, 1)
    world.run(40)


def two_logs(world: World) -> None:
    log = {"remoteLocation": "ftp://files.example/logs/"}
    ask(world, "GetLog", 2, logType="SecurityLog", requestId=7, log=log)
    ask(world, "GetLog", 30, logType="DiagnosticsLog", requestId=8, log=log)
    ask(world, "GetDiagnostics", 30, location="http://files.example/logs/")


def an_own_certificate(world: World) -> None:
    ask(world, "ChangeConfiguration", 2, key="CpoName", value="Operator")
    world.central.triggered.add("SignCertificate")
    ask(world, "ExtendedTriggerMessage", 14, requestedMessage="SignChargePointCertificate")
    for name in world.central.requests[-1:]:
        ask(world, "CertificateSigned", 14, certificateChain=f"chain {name} good")


def other_passwords(world: World) -> None:
    """One that the CSMS takes itself, and one that it forgets at once."""
    world.door.promised.add(b"the password from now on")
    ask(world, "ChangeConfiguration", 15, key="AuthorizationKey", value="the password from now on")
    ask(world, "ChangeConfiguration", 90, key="AuthorizationKey", value="nobody knows this one")


CHAPTERS: tuple[Callable[[World], None], ...] = (
    boot_and_status,
    a_session,
    a_reservation,
    counted_reservations,
    unlock,
    unlock_jammed,
    unlock_without_a_word,
    availability,
    availability_scheduled,
    keys,
    offline,
    remote,
    the_bms,
    a_charger_is_lost,
    a_full_disk,
    a_line_goes_while_a_token_is_judged,
    a_list,
    limits,
    signed_firmware,
    two_logs,
    an_own_certificate,
    other_passwords,
    soft_reset,
    hard_reset,
)


# --- the sweep


def begin(plan: Plan) -> World:
    """A site that stands and is known to its CSMS."""
    world = World(7, Laws, plan=plan)
    world.central.always_accepts = True
    world.start()
    world.run(8)
    return world


def finish(world: World) -> None:
    """Carry the story on to its end, and judge."""
    world.refuse_at.clear()
    recover(world)
    world.run(45)  # whoever is down comes back
    recover(world)
    calm_down(world)
    assert isinstance(world.watch, Laws)
    world.watch.judge()


def tell(chapter: Callable[[World], None], plan: Plan, way: str, number: int) -> tuple[int, int]:
    """One chapter with one cut (0: none); gives the calls and commits that the chapter took."""
    world = begin(plan)
    calls, commits = world.calls, world.commits
    if number and way == "refused":
        world.refuse_at = {commits + number}
    elif number:
        world.crash_at = {calls + number}
        world.crash_power = way == "power"
    chapter(world)
    calls, commits = world.calls - calls, world.commits - commits
    finish(world)
    return calls, commits


@pytest.mark.parametrize("way", ["killed", "power", "refused"])
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.__name__)
async def test_a_chapter_survives_a_cut_at_every_call(chapter: Callable[[World], None], way: str) -> None:
    sweep(chapter, PLAN, way)


def sweep(chapter: Callable[[World], None], plan: Plan, way: str, *, first: int = 1, every: int = 1) -> None:
    calls, commits = tell(chapter, plan, way, 0)
    last = commits if way == "refused" else calls
    assert last > 1, "the chapter does nothing"
    for number in range(first, last + 1, every):
        try:
            tell(chapter, plan, way, number)
        except AssertionError as error:
            raise AssertionError(f"{chapter.__name__}, {way} at {number} of {last}: {error}") from error


@pytest.mark.parametrize("chapter", CHAPTERS_201, ids=lambda chapter: chapter.__name__)
async def test_a_chapter_in_2_0_1_survives_a_cut_at_every_call(chapter: Callable[[World], None]) -> None:
    """Killed and without power in turns, and every refused commit."""
    sweep(chapter, PLAN_201, "killed", first=1, every=2)
    sweep(chapter, PLAN_201, "power", first=2, every=2)
    sweep(chapter, PLAN_201, "refused")


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.__name__)
async def test_a_chapter_survives_a_power_cut_on_a_computer_that_never_knows_the_time(
    chapter: Callable[[World], None],
) -> None:
    calls, _ = tell(chapter, TIMELESS, "power", 0)
    for number in range(1, calls + 1, 2):
        try:
            tell(chapter, TIMELESS, "power", number)
        except AssertionError as error:
            raise AssertionError(f"{chapter.__name__} at {number} of {calls}: {error}") from error
