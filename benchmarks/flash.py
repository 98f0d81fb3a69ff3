"""What reaches the flash: bytes at the block device, the file system's own journal included, ext4 with noatime.

`benchmarks.disk` counts the pages that the process dirties; a card's life is spent by what arrives at the card. Engine,
dialect and SQLite store live on a recorded disk (benchmarks.blocks) under a clock that jumps (benchmarks.virtual_site).
ext4 commits its journal by the real clock, 5 s after the first change: so that a day in a minute does not merge what a
day would write apart, the file system is made to write everything 5 virtual seconds after a commit.

    python -m benchmarks.flash idle HOURS STORE | transaction COUNT STORE [--ocpp VERSION] [--mqtt] [--cable SECONDS]
        [--pause SECONDS] [--beside] [--page-size BYTES] [--checkpoint BYTES] [--commits]

`--mqtt` puts the event log into the commits, as the daemon does where a broker is configured; the broker is a played
one that takes every event at once. `--cable` lets the cable be plugged in and out at moments of their own; `--pause`
lets the vehicle draw nothing for so long in the middle of its hour (SuspendedEV, and back); `--beside`: another vehicle
draws all the time on another connector, its samples told between those of the transactions. `--commits` tells what is
in each commit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import blocks
from benchmarks.process import ROOT
from benchmarks.report import Row
from benchmarks.virtual_site import CONNECTORS, ID, START, JsonFile, VirtualSite
from edged.dialects.v16 import Ocpp16
from edged.dialects.v201 import Ocpp201
from edged.happenings import SpoolKeeper, TellingStore
from edged.mqtt.event_log import EventLog
from edged.mqtt.options import IdTokenPolicy
from edged.ocpp.dialect import Dialect
from edged.ports import StationStore as StationStorePort
from edged.store import opening
from edged.store.port import SpoolBounds, SpooledEvent, Store, Writes
from edged.store.station_store import StationStore

KIB, MIB = 1024, 1024 * 1024
DAY_H = 24
DISK_MIB = 512
CABLE_S = 30
PAUSE_S = 600
CHECKPOINT_TRANSACTIONS = 60
"""So many, with MQTT, fill the log once: with fewer the mean depends on whether it is just written back."""
JOURNAL_S = 5.0
"""ext4's `commit=`: how long a change may wait for the journal."""
DIALECTS: dict[str, Callable[[], Dialect]] = {"1.6": Ocpp16, "2.0.1": Ocpp201}
BASELINES = {
    "json": "whole station rewritten as a JSON file, same commits",
    "rollback": "SQLite rollback journal, same commits",
}
require = blocks.require


def rows(quick: bool) -> list[Row]:
    hours, transactions = (2.0, 1) if quick else (24.0, CHECKPOINT_TRANSACTIONS)
    return [*_idle_rows(hours), *_transaction_rows(transactions), *_mqtt_rows(transactions)]


def _idle_rows(hours: float) -> list[Row]:
    days = {kind: measured("idle", hours, kind) for kind in ("edged", *BASELINES)}
    mine, scale = days["edged"], DAY_H / hours
    how = (
        f"{hours:g} virtual hours of {CONNECTORS} idle chargers polled every 10 s: {mine['commits']} commits, "
        f"{mine['writes']} writes and {mine['flushes']} flushes at the block device ({_shares(mine, hours / DAY_H)}); "
        f"plus the daily backup of {mine['backup_bytes'] // KIB} KiB (as many for each)"
    )
    return [
        Row(
            name="to flash in an idle day",
            value=(mine["bytes"] * scale + mine["backup_bytes"]) / MIB,
            unit="MiB",
            baseline=baseline,
            baseline_value=(days[kind]["bytes"] * scale + mine["backup_bytes"]) / MIB,
            limit=1.0,
            how=how,
        )
        for kind, baseline in BASELINES.items()
    ]


def _transaction_rows(amount: int) -> list[Row]:
    lives = {kind: measured("transaction", amount, kind) for kind in ("edged", *BASELINES)}
    mine = lives["edged"]
    how = (
        f"1 h at 11 kW, online, a sample every 60 s, {CONNECTORS} connectors: {mine['commits'] / amount:.0f} durable "
        f"commits, {mine['writes'] / amount:.0f} writes and {mine['flushes'] / amount:.0f} flushes at the block device "
        f"a transaction ({_shares(mine, amount)}); mean of {amount} behind a first one"
    )
    return [
        Row(
            name="to flash for a transaction of 1 h",
            value=mine["bytes"] / amount / KIB,
            unit="KiB",
            baseline=baseline,
            baseline_value=lives[kind]["bytes"] / amount / KIB,
            limit=64.0,
            how=how,
        )
        for kind, baseline in BASELINES.items()
    ]


def _mqtt_rows(amount: int) -> list[Row]:
    apart = ("--cable", str(CABLE_S))
    plain = measured("transaction", amount, "edged", *apart)
    rows = []
    for version in DIALECTS:
        told = (*apart, "--mqtt", "--ocpp", version)
        mine = measured("transaction", amount, "edged", *told)
        pausing = measured("transaction", amount, "edged", *told, "--pause", str(PAUSE_S))
        how = (
            f"the same in OCPP {version} with the event log of a site that has a broker, which takes events at once; "
            f"the cable is plugged in {CABLE_S} s before the token and out {CABLE_S} s behind the end: "
        )
        paused = f"the same, but the vehicle is full for {PAUSE_S // 60} min in the middle, and goes on: "
        rows += [
            _mqtt_row("", version, mine, plain, "without MQTT, OCPP 1.6", how, amount),
            _mqtt_row(" with a pause", version, pausing, mine, "without the pause", paused, amount),
        ]
    return rows


def _mqtt_row(
    what: str, version: str, mine: dict[str, Any], other: dict[str, Any], baseline: str, how: str, amount: int
) -> Row:
    return Row(
        name=f"to flash for a transaction of 1 h{what}, with MQTT, OCPP {version}",
        value=mine["bytes"] / amount / KIB,
        unit="KiB",
        baseline=baseline,
        baseline_value=other["bytes"] / amount / KIB,
        limit=64.0,
        how=f"{how}{mine['commits'] / amount:.1f} commits and {mine['writes'] / amount:.1f} writes "
        f"({_shares(mine, amount)}); mean of {amount} behind a first one",
    )


def _shares(told: dict[str, Any], amount: float) -> str:
    """What the bytes were written to."""
    return ", ".join(f"{name} {spent / amount / KIB:.0f} KiB" for name, spent in told["shares"].items())


def measured(kind: str, amount: float, store: str, *more: str) -> dict[str, Any]:
    """One life in a process of its own, for it mounts file systems."""
    command = [sys.executable, "-m", "benchmarks.flash", kind, str(amount), store, *more]
    told: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    if told["unsent"]:
        raise RuntimeError(f"the played CSMS did not take everything: {told}")
    return told


class Counted:
    """A store that knows how often it was written, by whom, and tells what went into each commit (`tell`)."""

    def __init__(self, inner: Store, tell: bool = False) -> None:
        self._inner = inner
        self._tell = tell
        self.commits = 0
        self.elapsed_s: Callable[[], float] = lambda: 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self, station_id: str, writes: Writes, wall: datetime) -> None:
        self._note(writes)
        self._inner.commit(station_id, writes, wall)

    def events_add(self, events: Sequence[SpooledEvent], delivered: int | None = None) -> None:
        self._note(f"alone: {[_kind(event) for event in events]}, delivered {delivered}")
        self._inner.events_add(events, delivered)

    def _note(self, what: object) -> None:
        self.commits += 1
        if self._tell:
            print(f"{self.elapsed_s():9.1f} s  {_in_words(what)}", file=sys.stderr)


def _in_words(what: object) -> str:
    """What a commit holds."""
    if not isinstance(what, Writes):
        return str(what)
    put = {str(table): len(rows) for table, rows in what.put.items()}
    queue = f"outbox +{len(what.enqueue)} -{len(what.dequeue)}"
    return f"step: {put}, {queue}, events {[_kind(event) for event in what.events]}"


def _kind(event: SpooledEvent) -> str:
    return f"{json.loads(event.text)['event_type']} ({len(event.text)})"


class FlashSite(VirtualSite):
    """A site whose file system keeps the site's time. `counted`: what is under `store`; `keeper`: of the event log that
    `store` tells, if it does."""

    def __init__(self, store: StationStorePort, disk: blocks.Disk, counted: Counted, dialect: Dialect) -> None:
        super().__init__(store, dialect)
        counted.elapsed_s = lambda: self.clock.elapsed_s
        self.counted = counted
        self.keeper: SpoolKeeper | None = None
        self._disk = disk
        self._seen = 0
        self._due_s: float | None = None

    async def pass_s(
        self, seconds: int, charging: int | None = None, plugged: int | None = None, full: int | None = None
    ) -> None:
        for _ in range(seconds):
            await super().pass_s(1, charging, plugged, full)
            if self.keeper is not None:
                self._acknowledge(self.keeper.log)
                await self.keeper.turn()
                self._acknowledge(self.keeper.log)
            self._keep_time()

    def _acknowledge(self, log: EventLog) -> None:
        """The broker takes all that it may be told."""
        log.delivered(log.ready_seq)

    def _keep_time(self) -> None:
        if self._due_s is not None and self.clock.elapsed_s >= self._due_s:
            self._disk.settle()
            self._due_s = None
        if self.counted.commits != self._seen:
            self._seen = self.counted.commits
            self._due_s = self._due_s or self.clock.elapsed_s + JOURNAL_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How transactions go, see above."""

    cable_s: int = 0
    pause_s: int = 0
    beside: bool = False

    async def run(self, site: VirtualSite, number: int) -> None:
        await site.transaction(number, cable_s=self.cable_s, pause_s=self.pause_s)


async def _life(kind: str, amount: float, site: FlashSite, disk: blocks.Disk, course: Course) -> dict[str, Any]:
    await site.start()
    if kind == "transaction":
        await course.run(site, 1)  # the file has its size, the cache its token
    if course.beside:
        await site.start_beside(1)
    await site.pass_s(60)
    disk.settle()
    before, first, commits = disk.count(), disk.requests, site.counted.commits
    if kind == "idle":
        await site.pass_s(int(amount * 3600))
    else:
        for number in range(int(amount)):
            await course.run(site, 2 + number % (CONNECTORS - 1))
            await site.pass_s(60)
    disk.settle()
    spent = disk.count() - before
    return {
        "bytes": spent.bytes,
        "writes": spent.writes,
        "flushes": spent.flushes,
        "shares": disk.shares(first),
        "commits": site.counted.commits - commits,
        "unsent": site.engine.station.queued,
    }


def live(
    kind: str,
    amount: float,
    store_kind: str,
    *,
    ocpp: str = "1.6",
    mqtt: bool = False,
    course: Course = Course(),
    tell: bool = False,
) -> dict[str, Any]:
    """One life on one kind of store, on a recorded disk of its own."""
    blocks.require()
    blocks.private_mounts()
    with blocks.workplace() as place, blocks.Disk(place, size_mib=DISK_MIB) as disk:
        path, dialect = disk.folder / "edged.db", DIALECTS[ocpp]()
        if store_kind == "json":
            counted = Counted(JsonFile(path))
            site = FlashSite(StationStore(counted, ID), disk, counted, dialect)
            return asyncio.run(_life(kind, amount, site, disk, course))
        opened = opening.open_store(path, wall=START)
        counted = Counted(opened.store, tell)
        with closing(opened.store), ThreadPoolExecutor(max_workers=1) as executor:
            if store_kind == "rollback":
                opened.store._db.execute("PRAGMA journal_mode = DELETE")
            if mqtt:
                site = told_site(counted, disk, dialect, executor)
            else:
                site = FlashSite(StationStore(counted, ID), disk, counted, dialect)
            told = asyncio.run(_life(kind, amount, site, disk, course))
            return {**told, "backup_bytes": _backup_bytes(opened, path, disk), "file_bytes": path.stat().st_size}


def told_site(counted: Counted, disk: blocks.Disk, dialect: Dialect, executor: ThreadPoolExecutor) -> FlashSite:
    """The same with the event log that a daemon has whose configuration names a broker."""
    log = EventLog("bench-0123abcd", policy=IdTokenPolicy.MASKED, salt="bench")
    site = FlashSite(TellingStore(StationStore(counted, ID), log, ID), disk, counted, dialect)
    site.keeper = SpoolKeeper(counted, log, executor, site.clock, SpoolBounds())
    return site


def _backup_bytes(opened: opening.Opened, path: Path, disk: blocks.Disk) -> int:
    """Of the second one, which takes the first one's place."""
    for _ in range(2):
        before = disk.count()
        opened.store.backup(opening.backup_path(path))
        disk.settle()
    return (disk.count() - before).bytes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flash", description=__doc__)
    parser.add_argument("kind", choices=("idle", "transaction"))
    parser.add_argument("amount", type=float, help="hours, or how many transactions")
    parser.add_argument("store", nargs="?", choices=("edged", *BASELINES), default="edged")
    parser.add_argument("--page-size", type=int, metavar="BYTES", help=f"SQLite's ({opening.PAGE_BYTES})")
    log_is = f"of the write-ahead log, before it begins anew ({opening.CHECKPOINT_BYTES})"
    parser.add_argument("--checkpoint", type=int, metavar="BYTES", help=log_is)
    parser.add_argument(
        "--ocpp", choices=DIALECTS, default="1.6", help="the version that is spoken with the CSMS (1.6)"
    )
    parser.add_argument("--mqtt", action="store_true", help="with the event log of a site that has a broker")
    parser.add_argument("--cable", type=int, default=0, metavar="SECONDS", help="plugged in and out so long apart")
    parser.add_argument("--pause", type=int, default=0, metavar="SECONDS", help="the vehicle draws nothing for so long")
    parser.add_argument("--beside", action="store_true", help="another vehicle draws all the time")
    parser.add_argument("--commits", action="store_true", help="tell each commit on standard error")
    chosen = parser.parse_args()
    opening.PAGE_BYTES = chosen.page_size or opening.PAGE_BYTES
    opening.CHECKPOINT_BYTES = chosen.checkpoint or opening.CHECKPOINT_BYTES
    try:
        course = Course(cable_s=chosen.cable, pause_s=chosen.pause, beside=chosen.beside)
        how = {"ocpp": chosen.ocpp, "mqtt": chosen.mqtt, "course": course, "tell": chosen.commits}
        print(json.dumps(live(chosen.kind, chosen.amount, chosen.store, **how)))
    except blocks.BlocksError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
