"""The local list at its full length: an update from the frame to the durable answer, a look-up, and coming back.

The real link, dialect, engine and SQLite store of benchmarks.virtual_site, in this process. The baseline keeps the same
rows with one bare `executemany` for each update, flushed as safely, and looks tokens up in a plain dictionary.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.process import STATE_ROOT
from benchmarks.report import Row
from benchmarks.virtual_site import ID, START, VirtualSite
from edged.domain import authorization
from edged.domain.station import Station
from edged.domain.types import IdToken
from edged.store import loading
from edged.store.opening import open_store
from edged.store.station_store import StationStore

LENGTH = 10_000
UPDATE = 1_000
"""SendLocalListMaxLength as it comes: what one request may carry."""
LIMIT_S = 1.0
LIMIT_US = 50.0
LOOK_UPS = 20_000


def rows(quick: bool) -> list[Row]:
    repetitions = 1 if quick else 7
    runs = [asyncio.run(_run(number)) for number in range(repetitions)]
    found = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    median = f"median of {repetitions}"
    bare = "bare SQLite executemany, same rows"
    return [
        Row(
            name=f"local list: difference of {UPDATE:,} into {LENGTH:,}",
            value=found["difference"],
            unit="s",
            baseline=bare,
            baseline_value=found["difference, bare"],
            limit=LIMIT_S,
            how=f"one frame of {found['frame'] / 1024:.0f} KiB, to its answer: 1/4 new, 1/4 out, 1/2 changed; {median}",
        ),
        Row(
            name=f"local list: {LENGTH:,} anew",
            value=found["full"],
            unit="s",
            baseline=bare,
            baseline_value=found["full, bare"],
            limit=LIMIT_S,
            how=f"a full list of {UPDATE:,}, {LENGTH // UPDATE - 1} differences of as many, each committed; {median}",
        ),
        Row(
            name=f"local list: look-up among {LENGTH:,}",
            value=found["look-up"],
            unit="us",
            baseline="plain dictionary",
            baseline_value=found["look-up, bare"],
            limit=LIMIT_US,
            how=f"mean of {LOOK_UPS:,}, half of them not in the list; {median}",
        ),
        Row(
            name=f"local list: {LENGTH:,} read at the start",
            value=found["load"],
            unit="s",
            baseline="bare SQLite SELECT and json.loads",
            baseline_value=found["load, bare"],
            how=f"the whole station from its rows; {median}",
        ),
    ]


def _entry(number: int, status: str = "Accepted") -> dict[str, Any]:
    """With every field there."""
    info = {"status": status, "expiryDate": "2031-01-01T00:00:00Z", "parentIdTag": f"FLEET-{number % 50:04}"}
    return {"idTag": f"RFID-{number:015}", "idTagInfo": info}


def _frame(version: int, kind: str, entries: Sequence[dict[str, Any]]) -> str:
    payload = {"listVersion": version, "updateType": kind, "localAuthorizationList": entries}
    return json.dumps([2, f"list-{version}", "SendLocalList", payload])


def _difference() -> list[dict[str, Any]]:
    quarter = UPDATE // 4
    new = [_entry(number) for number in range(LENGTH, LENGTH + quarter)]
    gone = [{"idTag": _entry(number)["idTag"]} for number in range(quarter)]
    changed = [_entry(number, "Blocked") for number in range(quarter, 3 * quarter)]
    return [*new, *gone, *changed]


async def _run(seed: int) -> dict[str, float]:
    frames = [
        _frame(1 + part, "Differential" if part else "Full", [_entry(part * UPDATE + n) for n in range(UPDATE)])
        for part in range(LENGTH // UPDATE)
    ]
    last = _frame(len(frames) + 1, "Differential", _difference())
    with tempfile.TemporaryDirectory(dir=STATE_ROOT, prefix="edged-bench-") as folder:
        opened = open_store(Path(folder) / "edged.db", wall=START)
        with closing(opened.store):
            site = VirtualSite(StationStore(opened.store, ID))
            fresh = site.engine.station
            await site.start()
            full_s = sum([await _update_s(site, frame) for frame in frames])
            assert len(site.engine.station.local_list) == LENGTH
            difference_s = await _update_s(site, last)
            assert site.engine.station.local_list_version == len(frames) + 1
            began = time.perf_counter()
            loaded = loading.load(opened.store.load(ID), fresh)
            load_s = time.perf_counter() - began
            assert loaded.station.local_list == site.engine.station.local_list
            listed = dict(opened.store.load(ID).facts["local_list"])
        return {
            "frame": float(len(last)),
            "full": full_s,
            "difference": difference_s,
            "load": load_s,
            **_look_ups(site.engine.station, random.Random(seed)),
            **_bare(Path(folder) / "bare.db", listed),
        }


async def _update_s(site: VirtualSite, frame: str) -> float:
    began = time.perf_counter()
    site.link.received(frame)
    await site.do()
    return time.perf_counter() - began


def _look_ups(station: Station, dice: random.Random) -> dict[str, float]:
    names = [f"rfid-{dice.randrange(2 * LENGTH):015}" for _ in range(LOOK_UPS)]
    tokens = [IdToken(name) for name in names]
    plain = dict(station.local_list)
    return {
        "look-up": _each_us(lambda: [authorization.lookup(station, token, station.clock) for token in tokens]),
        "look-up, bare": _each_us(lambda: [plain.get(name) for name in names]),
    }


def _each_us(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e6 / LOOK_UPS


def _bare(path: Path, listed: dict[str, str]) -> dict[str, float]:
    """The same texts under the same keys, in a table and a journal like ours, without anything around them."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE list (station, kind, key, value, PRIMARY KEY (station, kind, key)) WITHOUT ROWID")
        every = list(listed.items())
        full_s = sum(_put_s(db, every[at : at + UPDATE], []) for at in range(0, LENGTH, UPDATE))
        quarter = UPDATE // 4
        new = [(f"{key}-new", text) for key, text in every[:quarter]]
        gone = [key for key, _ in every[:quarter]]
        changed = [(key, text.replace("Accepted", "Blocked")) for key, text in every[quarter : 3 * quarter]]
        difference_s = _put_s(db, [*new, *changed], gone)
        began = time.perf_counter()
        found = {
            key: json.loads(text) for key, text in db.execute("SELECT key, value FROM list WHERE station = ?", (ID,))
        }
        load_s = time.perf_counter() - began
        assert len(found) == LENGTH
    return {"full, bare": full_s, "difference, bare": difference_s, "load, bare": load_s}


def _put_s(db: sqlite3.Connection, puts: Sequence[tuple[str, str]], gone: Sequence[str]) -> float:
    began = time.perf_counter()
    db.execute("BEGIN IMMEDIATE")
    db.executemany("DELETE FROM list WHERE station = ? AND kind = 'list' AND key = ?", [(ID, key) for key in gone])
    db.executemany("INSERT OR REPLACE INTO list VALUES (?, 'list', ?, ?)", [(ID, key, text) for key, text in puts])
    db.execute("COMMIT")
    return time.perf_counter() - began
