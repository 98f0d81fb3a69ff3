"""What a start finds on a disk after a power cut, and whether that is what was promised."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from edged.domain.effects import Lane
from edged.domain.station import Boot
from edged.gateway import DATABASE, RUNNING, VERSION
from edged.ocpp.dialect import Dialect
from edged.settings import Settings
from edged.shape import ChargerFacts, fresh_station
from edged.site import load_site, versions_of
from edged.store import loading
from edged.store.opening import Opened, open_store
from edged.store.sqlite import SqliteStore
from edged.system.clock import SystemClock
from edged.yard import Yard
from tests.packaging.cuts import Cut
from tests.packaging.promises import Books, Found

MONOTONIC_S = 1000.0
STATE = "state"
EVENTS_MAX = 100_000


@dataclass(frozen=True)
class Site:
    """What a start knows before it looks at the disk."""

    settings: Settings
    facts: Mapping[str, ChargerFacts]

    @classmethod
    def of(cls, config: Path) -> Site:
        settings = load_site(config)

        async def facts() -> Mapping[str, ChargerFacts]:
            yard = Yard(settings, SystemClock(floor=None, trust_csms=True))
            for name in settings.chargers:
                yard.driver(name)
            await yard.close()
            return dict(yard.facts)

        return cls(settings, asyncio.run(facts()))


@contextmanager
def opened_again(folder: Path) -> Iterator[Opened]:
    """The store as the next start opens it, which lets go of it again."""
    folder.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.WARNING)
    try:
        opened = open_store(folder / DATABASE, wall=datetime.now(UTC))
        try:
            yield opened
        finally:
            opened.store.close()
    finally:
        logging.disable(logging.NOTSET)


def examine(cut: Cut, site: Site, books: Books) -> None:
    """Raises AssertionError where the disk breaks a promise that had been given before the cut."""
    books.read_to(cut.number)
    with opened_again(cut.folder / STATE) as opened:
        assert opened.damage is None, opened.sentences
        assert not list((cut.folder / STATE).glob("*damaged*"))
        assert opened.store.parked() == []
        assert opened.store.unreadable == 0
        running = opened.store.value(RUNNING) is not None
        assert books.unexpected in (None, running), f"whether the last run ended well: {running}"
        events = {one.seq: json.loads(one.text)["id"] for one in opened.store.events_load(0, EVENTS_MAX)}
        books.judge(events, {one.id for one in opened.store.replies_load()})
        for name, book in books.stations.items():
            try:
                book.judge(found(opened.store, site, name), books.until_s)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error


def found(store: SqliteStore, site: Site, name: str) -> Found:
    """One station as a start loads it. Nothing of it may be unreadable, and nothing dropped."""
    (settings,) = (one for one in site.settings.stations if one.id == name)
    last_wall = store.last_wall()
    floor = last_wall or datetime.now(UTC)
    dialect: Dialect = versions_of(settings, store.value(VERSION + name))[0]
    boot = Boot(id="behind the cut", floor=floor, started_s=MONOTONIC_S)
    fresh = fresh_station(
        settings,
        site.settings.gateway,
        site.facts,
        dialect,
        boot=boot,
        now=SystemClock(floor=floor, trust_csms=True).now(),
        firmware_version="edged",
    )
    loaded = loading.load(store.load(name), fresh)
    assert not loaded.warnings, loaded.warnings
    assert not (loaded.damaged or loaded.dropped or loaded.forgotten or loaded.repairs)
    station = replace(loaded.station, boot=replace(boot, reason=loaded.station.next_boot_reason or "PowerUp"))
    outbox = {}
    for lane in Lane:
        outbox |= dict(store.outbox(name, lane, limit=100_000))
    return Found(station=station, fresh=fresh, outbox=outbox, last_wall=last_wall)
