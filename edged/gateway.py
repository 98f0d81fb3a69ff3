"""The composition root's workshop: `Gateway` puts one daemon together from `Settings`, runs it, takes it apart again.

It decides nothing: rules are in the core, order is in the engine. Start order: disk, control socket, chargers, engines,
then the world outside; nothing waits for a CSMS, a broker or a charger, for offline is a normal state.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged import __version__, certificates, ports
from edged.backup import fences
from edged.chargers.driver import ChargerDriver
from edged.csms.backoff import BackOff
from edged.csms.connection import Connection
from edged.csms.link import Link
from edged.desks import DatabaseCopies, LocalDesk, MirrorDesk, StationsView, TransferHistory
from edged.domain import restarts
from edged.domain.events import Started, SuspicionRaised
from edged.domain.security_event import SecurityEvent
from edged.domain.station import Boot, Station
from edged.domain.types import Now
from edged.engine import Engine
from edged.happenings import TellingStore, open_spool
from edged.history import HOST_BOOT as HOST_BOOT
from edged.history import RUNNING as RUNNING
from edged.history import History
from edged.local.control import ControlServer
from edged.log_fields import always, fields, only
from edged.mirroring import build_mirror, frame_tap
from edged.mqtt.event_history import EventHistory
from edged.mqtt.names import Names
from edged.outlook import Outlook
from edged.ports import StoreError
from edged.settings import Settings, StationSettings
from edged.shape import fresh_station
from edged.site import versions_of
from edged.store import loading
from edged.store.opening import Opened, backup_path, open_store
from edged.store.station_store import StationStore
from edged.system.boot import host_boot
from edged.system.clock import SystemClock
from edged.system.host import SystemHost
from edged.system.notify import Notifier
from edged.unit import Begun, Unit, boot_id
from edged.views import Watcher
from edged.words import back_off_policy, connection_settings
from edged.workshop import Workshop
from edged.yard import Yard

if TYPE_CHECKING:
    from edged.mqtt.mirror import MqttMirror

_log = logging.getLogger(__name__)

DATABASE = "edged.db"
VERSION = "version/"
"""And the station's id: what its CSMS agreed on last."""
STOP_S = 4.5
BACKUP_EVERY_S = 24 * 3600.0
HEALTH_EVERY_S = 2.0
KEEP_S = 5.0


class Gateway:
    """One daemon. `run` returns the exit status that somebody asked for by `leave`."""

    def __init__(
        self, settings: Settings, state_dir: Path, control_path: Path, notifier: Notifier, *, last_words: str = ""
    ) -> None:
        """`last_words`: what the last run left when it crashed."""
        self.settings = settings
        self._state_dir = state_dir
        self._control_path = control_path
        self._notifier = notifier
        self.reloaded = False
        """Whether it runs because the configuration was read again."""
        self.followed = False
        """Whether another one follows in this process: then the service does not stop. What has said so to systemd is
        killed when the time to stop is over, however well it serves by then."""
        self._run_id = uuid.uuid4().hex[:12]
        always(run=self._run_id)
        self._leaving: asyncio.Future[int] | None = None
        self._units: dict[str, Unit] = {}
        self._mirror: MqttMirror | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        runtime = os.environ.get("RUNTIME_DIRECTORY")
        self._host = SystemHost(self.leave, runtime_dir=Path(runtime.split(":")[0]) if runtime else None)
        self._opened = self._open_store()
        self._clock = SystemClock(
            floor=self._opened.store.last_wall(),
            trust_csms=settings.gateway.time_source.value == "csms",
        )
        self._boot_id = boot_id(self._run_id, self._clock.now().utc)
        self._history = History(
            self._opened.store,
            self._clock,
            here=host_boot(control_path.parent),
            run_id=self._run_id,
            last_words=last_words,
        )
        self._yard = Yard(settings, self._clock)
        self._outlook = Outlook(
            settings=settings,
            state_dir=state_dir,
            run_id=self._run_id,
            clock=self._clock,
            opened=self._opened,
            yard=self._yard,
            units=self._units,
            history=self._history,
        )
        self._names = Names(settings.mqtt.root if settings.mqtt else "edged", settings.gateway.id)
        history = TransferHistory(self._opened.store, self._executor, self._clock)
        self._view = StationsView(self._names, self._id_token_policy(), history)
        self._workshop = Workshop(settings, state_dir, self._opened.store, self._clock, self._outlook.status)
        spool = partial(open_spool, settings, self._opened.store, self._executor, self._clock)
        self._keeper = spool(run_id=self._run_id, unexpected=self._history.unexpected)
        audit = None if self._keeper is None else self._keeper.tell
        self._view.sources = self._yard.sources
        self._view.events = EventHistory(None if self._keeper is None else self._keeper.kept, self._clock)
        self._local = LocalDesk(
            self._view,
            self._clock,
            run_id=self._run_id,
            status=self._outlook.status,
            audit=audit,
            copies=DatabaseCopies(self._opened.store, self._executor, state_dir, self._keep_what_waits),
        )

    # --- putting together

    def _open_store(self) -> Opened:
        try:
            self._state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            problem = f"cannot keep state in {self._state_dir} ({error.strerror}): name another directory with --state"
            raise StoreError(problem) from error
        fences.check(self._state_dir)
        opened = open_store(self._state_dir / DATABASE, wall=datetime.now(UTC))
        for sentence in opened.sentences:
            _log.error("%s", sentence)
        return opened

    def _id_token_policy(self) -> str:
        return self.settings.mqtt.id_tokens.value if self.settings.mqtt else "masked"

    def _build(self) -> None:
        self._mirror = build_mirror(
            self.settings,
            self._view,
            self._opened.store,
            self._executor,
            self._clock,
            self._outlook.gateway(),
            self._keeper,
            run_id=self._run_id,
        )
        self._outlook.mirror = self._mirror
        used = [evse.charger for station in self.settings.stations for evse in station.evses]
        drivers = {name: self._yard.driver(name) for name in used}
        continued, unexpected = self._history.continued, self._history.unexpected
        if self._keeper is not None:
            self._keeper.began(self._outlook.gateway(), unexpected=unexpected, reloaded=self.reloaded)
        for station in self.settings.stations:
            self._units[station.id] = self._build_station(station, drivers)
        stations = [unit.engine.station for unit in self._units.values()]
        self._workshop.clean_up(stations)
        self._history.began(stations, reloaded=self.reloaded, lost=self._opened.lost)
        for unit in self._units.values():
            others = restarts.elsewhere(unit.engine.station, stations)
            unit.engine.post(Started(continued=continued, unexpected=unexpected, resets_elsewhere=others))
            if self._opened.lost is not None:  # the security log was in it
                unit.engine.post(SuspicionRaised(SecurityEvent.LOG_CLEARED.value, self._opened.lost))

    def _build_station(self, settings: StationSettings, drivers: Mapping[str, ChargerDriver]) -> Unit:
        dialect, *others = versions_of(settings, self._opened.store.value(VERSION + settings.id))
        now = self._clock.now()
        floor = self._opened.store.last_wall() or now.utc
        boot = Boot(id=self._boot_id, floor=floor, started_s=now.monotonic_s)
        fresh = fresh_station(
            settings,
            self.settings.gateway,
            self._yard.facts,
            dialect,
            boot=boot,
            now=now,
            firmware_version=f"edged {__version__}",
            vendors=self.settings.vendors,
            installs_firmware=bool(self.settings.firmware.install),
        )
        loaded = loading.load(self._opened.store.load(settings.id), fresh)
        for warning in loaded.warnings:
            _log.warning("%s: %s", settings.id, warning, extra=fields(station=settings.id))
        if loaded.repairs:
            self._opened.store.commit(settings.id, loaded.repairs, now.utc)
        station = replace(loaded.station, boot=replace(boot, reason=loaded.station.next_boot_reason or "PowerUp"))
        store = self._store_of(settings.id)
        of_connector = {
            connector.number: drivers[connector.layout.charger]
            for connector in station.connectors.values()
            if connector.layout.connector_id == 1
        }
        jobs = self._workshop.jobs_of(settings, station)
        begun = Begun()
        engine = Engine(
            station,
            store=store,
            clock=self._clock,
            drivers=of_connector,
            host=self._host,
            executor=self._executor,
            mirrors=(Watcher(self._show_soon), jobs, begun),
            jobs=jobs,
            desks=(self._local, MirrorDesk(self._mirror)) if self._mirror is not None else (self._local,),
            alive=lambda: self._alive(settings.id),
        )
        settings_for = partial(connection_settings, settings, settings.csms.versions)
        link = Link(
            station,
            dialect,
            post=engine.post,
            new_id=lambda: str(uuid.uuid4()),
            monotonic=time.monotonic,
            read_outbox=store.outbox,
            settings_for=settings_for,
            further=others,
            agreed=partial(self._keep_version, settings.id),
        )
        link.on_frame = frame_tap(self._mirror, settings.id)
        connection = Connection(
            settings_for(station),
            link,
            BackOff(lambda: back_off_policy(engine.station), random.random),
            client_files=lambda certificate: certificates.client_files(certificate, self._workshop.keys),
            clock=self._clock.now,
        )
        link.attach(connection)
        engine.attach(link)
        jobs.attach(engine.post)
        unit = Unit(settings, engine, link, connection, of_connector, jobs, begun)
        self._view.add(settings.id, engine, unit.csms_view())
        return unit

    def _store_of(self, identity: str) -> ports.StationStore:
        store = StationStore(self._opened.store, identity)
        if self._keeper is None or self._mirror is None:
            return store
        return TellingStore(store, self._keeper.log, identity, MirrorDesk(self._mirror).replies)

    def _keep_version(self, identity: str, subprotocol: str) -> None:
        """For the next start: a station that is offline then goes by the rules that its CSMS knows."""

        def keep() -> None:
            try:
                self._opened.store.set_value(VERSION + identity, subprotocol)
            except StoreError as error:
                words = "%s: the agreed version %s was not kept: %s"
                _log.warning(words, identity, subprotocol, error, extra=fields(station=identity))

        self._executor.submit(keep)
        _log.info("%s: the CSMS has agreed on %s", identity, subprotocol, extra=fields(station=identity))

    # --- running

    def was_read_again(self, outcome: str) -> None:
        """The configuration file was read and the one in force stays: "unchanged" or "refused"."""
        if self._keeper is not None:
            self._keeper.note("gateway.config_reloaded", outcome=outcome, config_hash=self.settings.digest)

    def leave(self, status: int) -> None:
        """End in good order with this exit status."""
        if self._leaving is not None and not self._leaving.done():
            self._leaving.set_result(status)

    async def run(self) -> int:
        """From start to a clean end. Raises `EdgedError` when it cannot start, anything else is a bug."""
        self._leaving = asyncio.get_running_loop().create_future()
        async with ControlServer(self._control_path, self._local.dispatch):
            try:
                self._build()
                return await self._serve(self._leaving)
            finally:
                self._executor.shutdown(wait=True)
                self._end_store()

    def _end_store(self) -> None:
        """The last of all: what waits goes to the disk, and a run that was asked to leave says so. Where the disk does
        not take the former the latter would not be true: numbers that were given out would be given again."""
        store = self._opened.store
        try:
            for unit in self._units.values():
                unit.engine.keep_now()
            if self._keeper is not None:
                self._keeper.keep_now()
            if self._leaving is not None and self._leaving.done():
                self._history.ended()
        except StoreError as error:
            _log.warning("the end of this run was not kept: %s", error)
        store.close()

    async def _serve(self, leaving: asyncio.Future[int]) -> int:
        self._yard.start()
        tasks = []
        for id, unit in self._units.items():
            tasks += [asyncio.create_task(unit.engine.run(), name=f"engine {id}", context=only(station=id))]
            tasks += [asyncio.create_task(unit.connect(), name=f"csms {id}", context=only(station=id))]
        tasks += [asyncio.create_task(self._housekeeping(), name="housekeeping")]
        if self._keeper is not None:
            tasks += [asyncio.create_task(self._keeper.run(), name="spool")]
        for unit in self._units.values():
            self._show(unit)
        if self._mirror is not None:
            self._mirror.start()
        self._notifier.ready()
        self._notifier.status(f"serving {len(self._units)} station(s)")
        _log.info("edged %s serves %s", __version__, ", ".join(self._units))
        try:
            everything: list[asyncio.Future[Any]] = [*tasks, leaving]
            await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
            return leaving.result() if leaving.done() else 1
        finally:
            if not self.followed:
                self._notifier.stopping()
            _log.info("edged stops serving %s", ", ".join(self._units))
            await self._stop(tasks)

    async def _stop(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Say goodbye to everybody at once, within the bound."""
        for unit in self._units.values():
            self._show(unit)
        if self._keeper is not None:
            await self._keeper.ends()
        goodbyes: list[Any] = [unit.connection.stop() for unit in self._units.values()]
        goodbyes += [unit.jobs.stop() for unit in self._units.values()]
        goodbyes += [driver.stop() for unit in self._units.values() for driver in unit.drivers.values()]
        if self._mirror is not None:
            goodbyes.append(self._mirror.stop())
        ending = [asyncio.ensure_future(goodbye) for goodbye in goodbyes]
        if ending:
            await asyncio.wait(ending, timeout=STOP_S - 1.0)
        for task in [*tasks, *ending]:
            task.cancel()
        await asyncio.gather(*tasks, *ending, return_exceptions=True)
        await self._yard.close()
        if self._keeper is not None:
            await self._keeper.last_words()

    async def _housekeeping(self) -> None:
        """Health for the watchers, and a copy of the database once a day."""
        next_backup_s = time.monotonic() + BACKUP_EVERY_S
        loop = asyncio.get_running_loop()
        while True:
            self._local.tick()
            if self._history.learn():
                loop.run_in_executor(self._executor, self._history.keep)
            if self._mirror is not None:
                self._mirror.tell(self._outlook.gateway())
                self._mirror.tell_health(self._outlook.health())
            if time.monotonic() >= next_backup_s:
                next_backup_s = time.monotonic() + BACKUP_EVERY_S
                await self._keep_what_waits()
                try:
                    store = self._opened.store
                    await loop.run_in_executor(self._executor, store.backup, backup_path(self._state_dir / DATABASE))
                except StoreError as error:
                    _log.warning("the database was not copied: %s", error)
            await asyncio.sleep(HEALTH_EVERY_S)

    async def _keep_what_waits(self) -> None:
        """What waits for the disk is to be in a copy that is made of it, if the disk takes it in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KEEP_S):
                await asyncio.gather(*(unit.engine.keep_soon() for unit in self._units.values()))

    def _alive(self, identity: str) -> None:
        """The watchdog is fed by the engines' own loops, and only when each has turned."""
        self._units[identity].ticked = True
        if all(unit.ticked for unit in self._units.values()):
            for unit in self._units.values():
                unit.ticked = False
            self._notifier.watchdog()

    # --- what watchers see

    def _show_soon(self, station: Station, now: Now) -> None:
        """Steps come in bursts, watchers want the newest: one look for all steps of the next moment. But the end of a
        transaction is shown at once: with a quick CSMS the core has forgotten it by then."""
        unit = self._units.get(station.identity.id)
        if unit is None or self._mirror is None:
            return
        if unit.sees_end(station):
            self._show(unit)
        elif unit.showing is None:
            unit.showing = asyncio.get_running_loop().call_later(unit.pace.delay_s, self._show, unit)

    def _show(self, unit: Unit) -> None:
        if unit.showing is not None:
            unit.showing.cancel()
            unit.showing = None
        if self._mirror is not None:
            self._view.see(unit.settings.id, unit.csms_view())
            with unit.pace:
                self._mirror.show(unit.engine.station, self._clock.now())
