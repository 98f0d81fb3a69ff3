"""The real daemon under load on a recorded disk: two stations, 1.6 and 2.0.1, with people, a busy CSMS, a line that is
cut, resets, kills and restarts. A witness takes down what the outside world is told, each note under its number in the
disk's log.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.blocks import Disk
from edged.simulator.csms import Csms, CsmsCallError, CsmsOffline, CsmsTimeout, Later, Token
from edged.simulator.csms_answers import CallFromStation
from edged.simulator.csms_record import Direction, Frame, Kind, Record
from edged.simulator.site import SimulatedCharger, SimulatedSite
from tests.integration.daemon import PATIENCE_S, Edged, charger, site_file
from tests.integration.kill_words import CHANGED, WORDS, Words
from tests.integration.peers import running_broker
from tests.packaging.local_people import LocalPeople
from tests.packaging.notes import (
    LANES,
    Answered,
    Asked,
    Begins,
    Changes,
    Ended,
    Entered,
    Heard,
    Kept,
    Leaves,
    Powered,
    Refused,
    Seen,
    Serves,
    Touched,
    Witness,
    changes_of,
    was_accepted,
)

STATIONS: Mapping[str, str] = {"CP-16": "1.6", "CP-201": "2.0.1"}
PLACES = (1, 2, 3, 4, 5)
DRIVEN, SWITCHED, RESERVED, BOOKED = (1, 2), 3, 4, 5
REMOTE, CALM = DRIVEN
"""Where the CSMS starts and stops, too; and where only people do."""
STILL_S = 1.0
KEYS = {
    "MeterValueSampleInterval": "1",
    "HeartbeatInterval": "300",
    "ClockAlignedDataInterval": "0",
    "RetryBackOffWaitMinimum": "1",
    "RetryBackOffRandomRange": "0",
    "RetryBackOffRepeatTimes": "0",
}
DRIVERS = ("ALICE", "BOB")
MEASURANDS = ("Energy.Active.Import.Register", "Power.Active.Import")
SPEED = 60.0
LOOK_S = 0.2
SLOW_S = 0.06
"""How long the CSMS may think about a durable message: the power is cut meanwhile, too."""
LIFE_S = (4.0, 6.0)
ENDS = ("kill", "reset", "offline kill", "terminate", "offline reset", "kill")
"""How the lives of the daemon end, one after the other."""


class BentEdged(Edged):
    """The daemon, perhaps with a mistake in it; its state is on the disk that is recorded."""

    def __init__(self, folder: Path, state_dir: Path, bend: str = "nothing") -> None:
        super().__init__(folder)
        self.state_dir = state_dir
        self._bend = bend

    def command(self, *words: str | Path) -> Sequence[str | Path]:
        """It dies with whoever started it."""
        mine = ("setpriv", "--pdeathsig", "KILL", sys.executable)
        return (*mine, "-m", "tests.packaging.bent_edged", self._bend, *words)


class WitnessedRecord(Record):
    """Every frame is noted in the moment in which it is known: a received one before anything follows from it, a sent
    one before it leaves."""

    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self._witness = witness
        self._asked: dict[str, Changes] = {}

    def add(self, frame: Frame) -> None:
        if frame.direction is Direction.SENT:
            self._sent(frame)
        elif isinstance(frame.payload, dict):
            self._received(frame, frame.payload)
        super().add(frame)

    def _sent(self, frame: Frame) -> None:
        if frame.kind is Kind.CALL:
            assert isinstance(frame.payload, dict)
            if changes := changes_of(frame.action, frame.payload):
                self._asked[frame.message_id] = changes
                self._witness.note(frame.station, Asked(changes))
        elif frame.kind is Kind.RESULT and frame.action in LANES:
            assert isinstance(frame.payload, dict)
            number = frame.payload.get("transactionId")
            self._witness.note(frame.station, Answered(frame.message_id, None if number is None else str(number)))

    def _received(self, frame: Frame, payload: Mapping[str, Any]) -> None:
        if frame.kind is Kind.CALL and frame.action in LANES:
            lane = LANES[frame.action]
            self._witness.note(frame.station, Heard(lane, frame.message_id, frame.action, payload))
        elif frame.kind is Kind.CALL and frame.action == "BootNotification":
            self._witness.note(frame.station, Serves())
        elif frame.kind is Kind.RESULT and (changes := self._asked.pop(frame.message_id, None)) is not None:
            self._witness.note(frame.station, Kept(changes) if was_accepted(payload) else Refused(changes))


class SlowCsms(Csms):
    """A CSMS that takes its time and knows a message by its id: a start that comes again gets the answer that it got.
    `started`: those answers."""

    def __init__(self, dice: random.Random) -> None:
        versions = tuple(f"ocpp{version}" for version in STATIONS.values())
        super().__init__(tokens={driver: Token() for driver in DRIVERS}, versions=versions)
        self.started: dict[str, dict[str, object]] = {}
        self._dice = dice
        for action in LANES:
            self.answer(action, self._start if action == "StartTransaction" else self._think)

    def remember(self, station: str, message: Heard) -> None:
        """A start that it was told of before it was a CSMS of its own."""
        if message.action == "StartTransaction" and message.message_id not in self.started:
            call = CallFromStation(
                station=station,
                connection=0,
                message_id=message.message_id,
                action=message.action,
                payload=dict(message.payload),
            )
            self.started[message.message_id] = self.answers.default(call)

    def _think(self, call: CallFromStation) -> Later:
        return Later(self._dice.uniform(0.0, SLOW_S))

    def _start(self, call: CallFromStation) -> Later:
        if call.message_id not in self.started:
            self.started[call.message_id] = self.answers.default(call)
        return Later(self._dice.uniform(0.0, SLOW_S), self.started[call.message_id])


@dataclass
class Busy:
    """What the CSMS does at one station while its daemon lives."""

    station: str
    csms: SlowCsms
    words: Words
    dice: random.Random
    witness: Witness
    reserved: int | None = None
    counter: int = 0

    @property
    def is_16(self) -> bool:
        return self.words.version == "1.6"

    async def work(self) -> None:
        """One order after the other, until it is cancelled."""
        orders: Sequence[Callable[[], Awaitable[None]]] = (
            *(self.configure, self.reserve, self.cancel, self.switch, self.list_tokens),
            *(self.set_profile, self.clear_profile, self.start, self.stop, self.configure, self.reserve),
        )
        while True:
            try:
                await self.dice.choice(orders)()
            except (CsmsOffline, CsmsTimeout):
                await asyncio.sleep(LOOK_S)
            await asyncio.sleep(self.dice.uniform(0.0, 0.03))

    async def ask(self, action: str, payload: Mapping[str, object]) -> Mapping[str, Any]:
        try:
            return await self.csms.call(action, payload, station=self.station, timeout_s=PATIENCE_S)
        except CsmsCallError as error:
            raise AssertionError(f"{self.station} refused {action} {payload}: {error}") from error

    async def configure(self) -> None:
        key = self.dice.choice(list(CHANGED))
        bounds = CHANGED[key]
        value = self.dice.choice(MEASURANDS) if bounds is None else str(self.dice.randint(*bounds))
        await self.ask(*self.words.set(key, value))

    async def reserve(self) -> None:
        """A place that nobody charges at, or one where people come: they are there, or use it, or do not."""
        self.counter += 1
        place = self.dice.choice((RESERVED, RESERVED, REMOTE))
        if place == RESERVED and self.reserved is not None:
            await self.cancel()
        answer = await self.ask(*self.words.reserve(self.counter, place))
        if place == RESERVED and answer["status"] == "Accepted":
            self.reserved = self.counter

    async def cancel(self) -> None:
        if self.reserved is not None:
            await self.ask("CancelReservation", {"reservationId": self.reserved})
            self.reserved = None

    async def switch(self) -> None:
        await self.ask(*self.words.switch(SWITCHED, self.dice.choice(("Operative", "Inoperative"))))

    async def list_tokens(self) -> None:
        self.counter += 1
        tokens = [f"GUEST-{number:02d}" for number in range(40) if self.dice.random() < 0.4] or ["GUEST-XX"]
        status = {"status": "Accepted"}
        if self.is_16:
            entries: list[dict[str, object]] = [{"idTag": token, "idTagInfo": status} for token in tokens]
            version: dict[str, object] = {"listVersion": self.counter}
        else:
            entries = [{"idToken": {"idToken": t, "type": "ISO14443"}, "idTokenInfo": status} for t in tokens]
            version = {"versionNumber": self.counter}
        await self.ask("SendLocalList", {**version, "updateType": "Full", "localAuthorizationList": entries})

    async def set_profile(self) -> None:
        place = self.dice.choice(PLACES)
        schedule: dict[str, object] = {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": float(self.dice.randint(6, 32))}],
        }
        profile: dict[str, object] = {
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
        }
        if self.is_16:
            profile |= {"chargingProfileId": 100 + place, "chargingSchedule": schedule}
            await self.ask("SetChargingProfile", {"connectorId": place, "csChargingProfiles": profile})
        else:
            profile |= {"id": 100 + place, "chargingSchedule": [{"id": 1, **schedule}]}
            await self.ask("SetChargingProfile", {"evseId": place, "chargingProfile": profile})

    async def clear_profile(self) -> None:
        number = 100 + self.dice.choice(PLACES)
        name = "id" if self.is_16 else "chargingProfileId"
        await self.ask("ClearChargingProfile", {name: number})

    async def start(self) -> None:
        driver = self.dice.choice(DRIVERS)
        self.witness.note(self.station, Touched(REMOTE))
        if self.is_16:
            await self.ask("RemoteStartTransaction", {"connectorId": REMOTE, "idTag": driver})
        else:
            token = {"idToken": driver, "type": "ISO14443"}
            self.counter += 1
            order = {"evseId": REMOTE, "remoteStartId": self.counter, "idToken": token}
            await self.ask("RequestStartTransaction", order)

    async def stop(self) -> None:
        """The last one there, which may have ended long ago."""
        self.witness.note(self.station, Touched(REMOTE))
        if self.is_16:
            books = self.csms.answers.transactions
            numbers = [number for number, one in books.items() if one.started["connectorId"] == REMOTE]
            if numbers:
                await self.ask("RemoteStopTransaction", {"transactionId": numbers[-1]})
        else:
            names = [name for name, one in self.csms.transactions.items() if one.evse == REMOTE]
            if names:
                await self.ask("RequestStopTransaction", {"transactionId": names[-1]})


@dataclass
class Ordeal:
    edged: BentEdged
    csms: SlowCsms
    site: SimulatedSite
    witness: Witness
    dice: random.Random
    serving_since: int | None = None
    """Which life of the daemon it is, while it serves both stations."""

    # --- people

    async def people(self, station: str, place: int) -> None:
        """Come, show a token, charge a while, go: at the worst moments, and not always in a sensible order. Where a
        plugged car was without energy for a while and has some behind a token, the token was let in."""
        point, dice = self.site[f"{station}-{place}"], random.Random(f"{self.dice.random()}")
        while True:
            life = self.serving_since
            self.witness.note(station, Touched(place))
            point.plug_in()
            for _ in range(dice.randint(1, 2)):
                calm = place == CALM and not await self._within(lambda: point.contactor_closed, STILL_S)
                swiped = self.witness.note(station, Touched(place))
                point.swipe(dice.choice(DRIVERS if place == CALM else (*DRIVERS, *DRIVERS, "STRANGER")))
                if not await self._within(lambda: point.contactor_closed, dice.uniform(1.0, 3.0)):
                    continue
                if life is not None and life == self.serving_since and calm:
                    self.witness.note(station, Powered(place, since=swiped))
                await self._within(lambda: False, dice.uniform(0.2, 5.0 if place == CALM else 2.0))
                if dice.random() < 0.5:
                    self.witness.note(station, Touched(place))
                    point.swipe(dice.choice(DRIVERS))
                    await self._within(lambda: not point.contactor_closed, 1.5)
            self.witness.note(station, Touched(place))
            point.plug_out()
            await self._within(lambda: False, dice.uniform(0.1, 0.6))

    async def _within(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        try:
            await self.site.until(condition, timeout_s=timeout_s)
        except TimeoutError:
            return False
        return True

    # --- what local people see

    async def look(self) -> None:
        """`edged status`, again and again."""
        while True:
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                for station in (await self.edged.status())["stations"]:
                    told = {
                        one["id"]: (one["active"], None if one["csms_id"] is None else str(one["csms_id"]))
                        for one in station["transactions"]
                    }
                    if told:
                        self.witness.note(station["id"], Seen(told))
            await asyncio.sleep(LOOK_S)

    # --- lives

    async def begin(self) -> None:
        mark = self.csms.mark()
        self.witness.note(None, Begins())
        await self.edged.up()
        for station in STATIONS:
            await self.csms.wait_for("BootNotification", station=station, after=mark, timeout_s=PATIENCE_S)

    async def life(self, number: int, end: str) -> None:
        """From a start to the end that is chosen for it."""
        await self.begin()
        self.serving_since = number
        try:
            if end.startswith("offline"):
                await asyncio.sleep(1.5)
                self.csms.cut()
                await asyncio.sleep(2.5)
                self.csms.restore()
                for station in STATIONS:
                    await self.csms.wait_connected(station, timeout_s=PATIENCE_S)
            await asyncio.sleep(self.dice.uniform(*LIFE_S) - 3.0)
            await self.finish(end.removeprefix("offline "), number)
        finally:
            self.serving_since = None

    async def finish(self, end: str, number: int) -> None:
        self.witness.note(None, Touched(None))
        self.witness.note(None, Leaves())
        if end == "kill":
            await self.edged.kill()
        elif end == "reset":
            station = tuple(STATIONS)[number % 2]
            soft = {"type": "Soft"} if STATIONS[station] == "1.6" else {"type": "Immediate"}
            answer = await self.csms.call("Reset", soft, station=station, timeout_s=PATIENCE_S)
            assert answer["status"] == "Accepted", answer
            assert await self.edged.ended() == 75
        else:
            self.edged.signal(signal.SIGTERM)
            assert await self.edged.ended() == 0
        self.witness.note(None, Ended(clean=end != "kill"))

    async def drain(self) -> None:
        """The last life: everybody goes home, and the CSMS hears the rest."""
        for name in (f"{station}-{place}" for station in STATIONS for place in DRIVEN):
            if self.site[name].car is not None:
                self.site[name].plug_out()
        await self.begin()

        async def told() -> bool:
            stations = (await self.edged.status())["stations"]
            return all(one["queued"] == 0 and not one["transactions"] for one in stations)

        await self.edged.until(told, "the CSMS has heard everything", timeout_s=4 * PATIENCE_S)
        await self.finish("terminate", 0)


@dataclass(frozen=True)
class Story:
    """What became of it: the journal, whether the CSMS has heard everything in the end, the daemon's configuration and
    log, and the transactions that the CSMS began, by message id."""

    journal: Sequence[Entered]
    drained: bool
    config: Path
    log: str
    started: Mapping[str, Mapping[str, object]]


def write_site(edged: Edged, csms_url: str, endpoints: Callable[[str], str], *, mqtt: str) -> None:
    """An installer's file for both stations."""
    chargers, stations = {}, []
    for station, version in STATIONS.items():
        names = [f"{station}-{place}" for place in PLACES]
        boxes = {name: charger("phoenix-charx-sec", endpoints(name), poll_s=0.25) for name in names}
        (one,) = site_file(boxes, csms=csms_url, keys=KEYS)["stations"]
        one["id"] = station
        one["csms"]["versions"] = [f"ocpp{version}"]
        chargers |= boxes
        stations.append(one)
    edged.configure({**site_file(chargers, csms=csms_url, mqtt=mqtt), "stations": stations})


def _left_numbers_out(sin: str) -> bool:
    """Behind a kill a transaction's events go on with a later number: none is used twice (promises)."""
    found = re.search(r"goes from seqNo (\d+) to (\d+)$", sin)
    return found is not None and int(found[2]) > int(found[1])


async def endure(disk: Disk, folder: Path, *, seed: int, lives: int | None = None, bend: str = "nothing") -> Story:
    """The whole story, in less than ten seconds for each life; where only so many `lives` are wanted, the end is open.
    `folder` is for everything that is not recorded."""
    drained = lives is None
    dice = random.Random(seed)
    witness = Witness(disk)
    names = [f"{station}-{place}" for station in STATIONS for place in PLACES]
    boxes = [SimulatedCharger(name=name, make="phoenix-charx-sec", listen="tcp:127.0.0.1:0") for name in names]
    csms = SlowCsms(random.Random(dice.random()))
    csms.record = WitnessedRecord(witness)
    edged = BentEdged(folder, disk.folder / "state", bend)
    async with SimulatedSite(boxes, speed=SPEED, seed=seed) as site, csms, running_broker(folder) as broker:
        write_site(edged, csms.url, site.endpoint, mqtt=broker.url)
        people = LocalPeople(witness, random.Random(dice.random()))
        people.connect(broker.port)
        ordeal = Ordeal(edged, csms, site, witness, random.Random(dice.random()))
        others = [
            Busy(station, csms, WORDS[version], random.Random(dice.random()), witness).work()
            for station, version in STATIONS.items()
        ]
        others += [ordeal.people(station, place) for station in STATIONS for place in DRIVEN]
        others += [people.book(next(iter(STATIONS)), BOOKED)]
        others += [ordeal.look()]
        tasks = [asyncio.ensure_future(one) for one in others]
        try:
            for number in range(lives or len(ENDS)):
                await ordeal.life(number, ENDS[number % len(ENDS)])
                for task in tasks:
                    assert not task.done(), task.result()
            for task in tasks[:-1]:
                task.cancel()
            await asyncio.gather(*tasks[:-1], return_exceptions=True)
            if drained:
                await ordeal.drain()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await edged.close()
            people.close()
        if drained:
            sins = [sin for sin in csms.violations if not _left_numbers_out(sin)]
            assert not sins, sins[:5]
    disk.settle()
    return Story(witness.journal, drained, edged.config, edged.log, csms.started)
