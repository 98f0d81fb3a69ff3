"""kill -9 at any moment, a hundred times, under load: nothing that was acknowledged is lost, nothing is told twice.

Half of the kills hit a daemon that speaks 1.6, half one that speaks 2.0.1. `KILLS=1000` makes it longer, `SEED=n`
repeats its moments (not the operating system's scheduling).
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from edged.gateway import DATABASE
from edged.simulator.csms import Csms, CsmsOffline, Token
from edged.simulator.csms_answers import CallFromStation
from edged.simulator.model import PointModel
from edged.simulator.site import SimulatedCharger, SimulatedSite
from tests.integration.daemon import PATIENCE_S, STATION, Edged, charger, site_file
from tests.integration.kill_words import CHANGED, WORDS, Words

KILLS = int(os.environ.get("KILLS", "100"))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32)))
DRIVEN = (1, 2, 3, 4)
"""Connectors where people charge; the CSMS's own changes go to the other two."""
SWITCHED, RESERVED = 5, 6
BOXES = {number: f"box-{number}" for number in (*DRIVEN, SWITCHED, RESERVED)}
KEYS = {"MeterValueSampleInterval": "1", "HeartbeatInterval": "300", "ClockAlignedDataInterval": "0"}
FIRST = {"reservation": "none", "availability": "Operative"}
MEASURANDS = ("Energy.Active.Import.Register", "Power.Active.Import")


class RememberingCsms(Csms):
    """A CSMS that knows a message by its id: a repeated start gets the transaction that it got before."""

    def __init__(self, version: str) -> None:
        super().__init__(tokens={"ALICE": Token(), "BOB": Token()}, versions=(f"ocpp{version}",))
        self.started: dict[str, dict[str, object]] = {}
        self.answer("StartTransaction", self._start)

    def _start(self, call: CallFromStation) -> Mapping[str, object]:
        if call.message_id not in self.started:
            self.started[call.message_id] = self.answers.default(call)
        return self.started[call.message_id]


@dataclass
class Promises:
    """What the station said that it has kept. A call without an answer leaves both values possible until a look."""

    possible: dict[str, set[str]] = field(default_factory=dict)

    def asked(self, name: str, value: str) -> None:
        self.possible.setdefault(name, set()).add(value)

    def refused(self, name: str, value: str) -> None:
        self.possible[name].discard(value)

    def kept(self, name: str, value: str) -> None:
        self.possible[name] = {value}

    def read(self, name: str, value: str) -> None:
        allowed = self.possible.setdefault(name, {value})
        assert value in allowed, f"{name} is {value}, but was acknowledged as one of {sorted(allowed)}"
        self.possible[name] = {value}


@dataclass
class Trial:
    edged: Edged
    csms: RememberingCsms
    site: SimulatedSite
    dice: random.Random
    words: Words
    kills: int
    promises: Promises = field(default_factory=Promises)
    proved: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: int = 0
    reservations: int = 0

    # --- the CSMS's load

    async def load(self, mark: int) -> None:
        """For one life of the daemon: see that what was promised is true, then change things until it dies."""
        await self.csms.wait_for("BootNotification", after=mark, timeout_s=PATIENCE_S)
        try:
            await self.prove()
            self.proved.set()
            while True:
                await self.dice.choice((self.configure, self.configure, self.reserve, self.cancel, self.switch))()
        except CsmsOffline:
            return

    async def prove(self) -> None:
        """Each promise is still true, seen from the CSMS and from the control socket."""
        answer: Any = await self.csms.call(*self.words.get(), timeout_s=PATIENCE_S)
        for key, value in self.words.values(answer):
            self.promises.read(key, value)
        try:
            status = await self.edged.status()
        except (OSError, EOFError) as error:
            raise CsmsOffline("killed") from error
        assert status["store"] == "ok"
        (station,) = status["stations"]
        assert station["degraded"] is None
        held = [(r["connector"], r["id"]) for r in station["reservations"]]
        assert len(held) <= 1, held
        self.promises.read("reservation", str(held[0][1]) if held else "none")
        if self.dice.random() < 0.5:
            (switched,) = (each for each in station["connectors"] if each["connector"] == SWITCHED)
            operative = "Inoperative" if switched["status"] == "Unavailable" else "Operative"
            if switched["online"]:
                self.promises.read("availability", operative)

    async def _change(self, name: str, value: str, action: str, payload: Mapping[str, object], *good: str) -> None:
        self.promises.possible.setdefault(name, {FIRST.get(name, "")})
        self.promises.asked(name, value)
        answer = await self.csms.call(action, payload, timeout_s=PATIENCE_S)
        status = self.words.status(answer)
        if action == "ReserveNow" and status == "Unavailable":
            self.promises.refused(name, value)  # the charger was not looked at yet since the start
            return
        assert status in good, f"{action} {payload}: {answer}"
        self.promises.kept(name, value)
        self.acknowledged += 1

    async def configure(self) -> None:
        key = self.dice.choice(list(CHANGED))
        bounds = CHANGED[key]
        value = self.dice.choice(MEASURANDS) if bounds is None else str(self.dice.randint(*bounds))
        await self._change(key, value, *self.words.set(key, value), "Accepted")

    async def reserve(self) -> None:
        """A free connector is given to one holder; a new reservation only where the last one certainly ended."""
        if self.promises.possible.get("reservation", {"none"}) != {"none"}:
            await self.cancel()
            return
        self.reservations += 1
        order = self.words.reserve(self.reservations, RESERVED)
        await self._change("reservation", str(self.reservations), *order, "Accepted")

    async def cancel(self) -> None:
        held = self.promises.possible.get("reservation", {"none"}) - {"none"}
        for name in held:
            await self._change("reservation", "none", "CancelReservation", {"reservationId": int(name)}, "Accepted")

    async def switch(self) -> None:
        """Scheduled counts as accepted: it is kept and carried out."""
        kind = self.dice.choice(("Operative", "Inoperative"))
        await self._change("availability", kind, *self.words.switch(SWITCHED, kind), "Accepted", "Scheduled")

    # --- people

    async def people(self, number: int) -> None:
        """Come, show a token, charge a while, go: at the worst moments, and not always in a sensible order."""
        point, dice = self.site[f"box-{number}"], random.Random(f"{SEED}/{number}")
        while True:
            point.plug_in()
            for _ in range(dice.randint(1, 3)):
                point.swipe(dice.choice(("ALICE", "ALICE", "ALICE", "BOB", "BOB", "STRANGER")))
                try:
                    await self.site.until(lambda: point.contactor_closed, timeout_s=dice.uniform(1.0, 4.0))
                except TimeoutError:
                    continue
                wanted_wh = point.energy_wh + dice.uniform(0, 90)
                await self._or_later(lambda w=wanted_wh: point.energy_wh >= w, 4.0)
                if dice.random() < 0.5:
                    point.swipe("ALICE")
                    await self._or_later(lambda: not point.contactor_closed, 2.0)
            point.plug_out()
            await self._or_later(lambda: False, dice.uniform(0.1, 0.6))

    async def _or_later(self, condition: Any, timeout_s: float) -> None:
        try:
            await self.site.until(condition, timeout_s=timeout_s)
        except TimeoutError:
            pass

    # --- one life

    async def life(self) -> None:
        """Start, let it live for a while that nobody can foresee, kill, look at what is left on the disk."""
        self.proved.clear()
        mark = self.csms.mark()
        await self.edged.start()
        load = asyncio.create_task(self.load(mark))
        dies = asyncio.create_task(self.edged.running.wait())
        try:
            if self.dice.random() < 0.8:
                proved = asyncio.create_task(self.proved.wait())
                await asyncio.wait((proved, load, dies), return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_S)
                proved.cancel()
                if load.done():
                    load.result()
                assert self.proved.is_set(), f"it did not come up:\n{self.edged.log[-3000:]}"
                lives_s = self.dice.uniform(0.0, 1.6)
            else:
                lives_s = self.dice.uniform(0.05, 0.9)
            await asyncio.wait((dies,), timeout=lives_s)
            assert not dies.done(), f"it died by itself with {self.edged.running.returncode}:\n{self.edged.log[-3000:]}"
            await self.edged.kill()
            await asyncio.wait((load,), timeout=0 if not self.proved.is_set() else PATIENCE_S)
            if load.done():
                load.result()
        finally:
            load.cancel()
            dies.cancel()
            await asyncio.gather(load, dies, return_exceptions=True)
        self.sound()

    def sound(self) -> None:
        """The database, as the kill has left it, opens and is whole. A copy, for looking would mend it."""
        source = self.edged.state_dir / DATABASE
        if not source.exists():
            return
        copy = self.edged.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for name in (DATABASE, f"{DATABASE}-wal"):
            if (self.edged.state_dir / name).exists():
                shutil.copy(self.edged.state_dir / name, copy / name)
        with closing(sqlite3.connect(copy / DATABASE)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    # --- the CSMS's books

    def books(self) -> None:
        """What is in them is right, and what the log calls begun and ended was kept before: the CSMS has heard of
        it."""
        books = self.words.books(self.csms)
        assert books.begun == books.ended >= self.kills // 10, f"hardly anybody has charged: {books}"
        starts = self.edged.log.count(": transaction.started")
        ends = self.edged.log.count(": transaction.ended")
        assert 0 < starts <= books.begun, f"{starts} begun in the log, the CSMS knows of {books}"
        assert 0 < ends <= books.begun, f"{ends} ended in the log, the CSMS knows of {books}"


def points_of(site: SimulatedSite) -> list[PointModel]:
    return [site[f"box-{number}"] for number in DRIVEN]


def write_site(edged: Edged, csms: Csms, site: SimulatedSite, version: str) -> None:
    chargers = {
        name: charger("phoenix-charx-sec", site.endpoint(name), poll_s=0.2 if number in DRIVEN else 0.5)
        for number, name in BOXES.items()
    }
    document = site_file(chargers, csms=csms.url, keys=KEYS)
    document["stations"][0]["csms"]["versions"] = [f"ocpp{version}"]
    edged.configure(document)


@pytest.mark.timeout(60 + 10 * KILLS)
@pytest.mark.parametrize("version", WORDS)
async def test_a_daemon_that_is_killed_at_any_moment_loses_nothing_and_repeats_nothing(edged: Edged, version: str):
    kills = max(1, KILLS // 2)
    print(f"SEED={SEED} KILLS={kills} of {version}")
    boxes = [SimulatedCharger(name=name, make="phoenix-charx-sec", listen="tcp:127.0.0.1:0") for name in BOXES.values()]
    async with SimulatedSite(boxes, speed=60.0, seed=SEED) as site, RememberingCsms(version) as csms:
        write_site(edged, csms, site, version)
        trial = Trial(edged, csms, site, random.Random(f"{SEED} {version}"), WORDS[version], kills)
        crowd = [asyncio.create_task(trial.people(number)) for number in DRIVEN]
        try:
            for _ in range(kills):
                await trial.life()
        finally:
            for person in crowd:
                person.cancel()
            ends = await asyncio.gather(*crowd, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends
        for point in points_of(site):
            if point.car is not None:
                point.plug_out()
        mark = csms.mark()
        await edged.up()
        await csms.wait_for("BootNotification", after=mark, timeout_s=PATIENCE_S)
        await trial.prove()
        await edged.knows(lambda s: s["queued"] == 0 and not s["transactions"], timeout_s=4 * PATIENCE_S)
        trial.books()
        assert [each for each in csms.violations if "goes from seqNo" not in each] == []  # that is judged by the books
        assert trial.acknowledged >= kills
        print(f"{trial.acknowledged} acknowledged, {len(csms.record)} frames")
        assert STATION in csms.connected
