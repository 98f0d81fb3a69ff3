"""The power is cut at block writes of the real daemon under load: nothing acknowledged is lost, every database opens.

One recording of the daemon's life (`ordeal`), 500 cuts of it in order and 500 reordered and torn (`cuts`), and after
each what a start finds, against what the outside world had been told (`promises`). `CUTS=n` makes more or fewer of
them, `SEED=n` repeats the dice (not the operating system's scheduling). A recording in which a cut has found something
is kept under build/power-cuts; `RECORDING=build/power-cuts` makes its cuts again.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.blocks import MKFS, Disk, require, run, workplace
from edged.simulator.site import SimulatedCharger, SimulatedSite
from tests.integration.daemon import PATIENCE_S
from tests.packaging import aftermath
from tests.packaging.aftermath import Site
from tests.packaging.cuts import Cut, Cuts
from tests.packaging.notes import Entered, Heard, Witness
from tests.packaging.ordeal import (
    PLACES,
    STATIONS,
    BentEdged,
    SlowCsms,
    Story,
    WitnessedRecord,
    endure,
    write_site,
)
from tests.packaging.promises import Books
from tests.packaging.told import complete_16, complete_201

pytestmark = pytest.mark.long

CUTS = int(os.environ.get("CUTS", "500"))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(2**32)))
SMALL = {"size_mib": 16, "mkfs": (*MKFS, "-J", "size=4")}
"""A small disk is a quick one, and a small journal is often written out."""
KEPT = Path("build/power-cuts")
RESTARTS = 5
NOBODY = "mqtt://127.0.0.1:9"


@dataclass(frozen=True)
class Recording:
    cuts: Cuts
    story: Story
    site: Site
    log: Path
    base: Path

    def keep(self) -> None:
        """For those who look into it."""
        if os.environ.get("RECORDING"):
            return  # it is kept
        shutil.rmtree(KEPT, ignore_errors=True)
        KEPT.mkdir(parents=True)
        run("cp", "--sparse=always", self.log, KEPT / "log.img")
        run("cp", "--sparse=always", self.base, KEPT / "base.img")
        run("cp", self.story.config, KEPT / "edged.yaml")
        (KEPT / "story").write_bytes(pickle.dumps(self.story))


@contextmanager
def recording(*, lives: int | None = None, bend: str = "nothing") -> Iterator[Recording]:
    """A story of the daemon, told on a disk of its own."""
    require()
    with workplace() as place, tempfile.TemporaryDirectory(prefix="edged-") as name:
        kept = os.environ.get("RECORDING")
        if kept and lives is None:
            story: Story = pickle.loads(Path(kept, "story").read_bytes())
            log, base, config = Path(kept, "log.img"), Path(kept, "base.img"), Path(kept, "edged.yaml")
        else:
            with Disk(place, **SMALL) as disk:
                story = asyncio.run(endure(disk, Path(name), seed=SEED, lives=lives, bend=bend))
            log, base, config = disk.log, disk.base, story.config
        yield Recording(Cuts(log, base, place), story, Site.of(config), log, base)


@pytest.fixture(scope="module")
def recorded() -> Iterator[Recording]:
    with recording() as made:
        yield made


def losses(made: Recording, count: int, *, reordered: bool) -> list[str]:
    """What the cuts have found, a sentence each."""
    story, found = made.story, []
    books = Books.of(story.journal, STATIONS, log=story.log, drained=story.drained)
    chosen = made.cuts.choose(count, SEED)
    began_s = time.monotonic()
    for maker in made.cuts.at(chosen, reordered=reordered, seed=SEED):
        with maker.made() as cut:
            try:
                aftermath.examine(cut, made.site, books)
            except AssertionError as error:
                found.append(f"{cut}: {error}")
    spent_s = time.monotonic() - began_s
    print(
        f"SEED={SEED}: {len(chosen)} cuts of {len(made.cuts.log)} requests, {'re' * reordered}ordered, "
        f"{made.story.journal[-1].number} notes, {spent_s:.0f} s, {len(found)} broken promises"
    )
    return found


# --- the daemon as it is


@pytest.mark.timeout(60 + CUTS)
@pytest.mark.parametrize("reordered", [False, True], ids=["in order", "reordered and torn"])
def test_whatever_write_the_power_is_cut_at_nothing_acknowledged_is_lost(recorded: Recording, reordered: bool):
    found = losses(recorded, CUTS, reordered=reordered)
    if found:
        recorded.keep()
    assert not found, "\n".join([f"{len(found)} cuts; the recording is kept in {KEPT}", *found[:8]])


def test_the_load_was_one(recorded: Recording):
    """A recording of a daemon that does nothing would prove nothing."""
    counts: dict[str, int] = {}
    for entered in recorded.story.journal:
        kind = type(entered.note).__name__
        for name in getattr(entered.note, "changes", {}):
            counts[f"{kind} {name.split()[0]}"] = counts.get(f"{kind} {name.split()[0]}", 0) + 1
        counts[kind] = counts.get(kind, 0) + 1
    wanted = {
        **{f"Kept {what}": 10 for what in ("key", "reservation", "availability", "list", "profile")},
        "Kept boot": 2,
        "Begins": 7,
        "Heard": 60,
        "Seen": 60,
        "Powered": 2,
        "Told": 200,
        "Replied": 20,
    }
    few = {name: counts.get(name, 0) for name, least in wanted.items() if counts.get(name, 0) < least}
    assert not few, few
    messages = heard(recorded.story.journal, "CP-201")
    assert complete_201(messages) >= 5
    numbers = {name: int(str(answer["transactionId"])) for name, answer in recorded.story.started.items()}
    assert complete_16(heard(recorded.story.journal, "CP-16"), numbers) >= 5


def heard(journal: Sequence[Entered], station: str) -> list[Heard]:
    return [one.note for one in journal if one.station == station and isinstance(one.note, Heard)]


# --- the daemon behind a cut


@pytest.mark.timeout(60 + 60 * RESTARTS)
def test_a_daemon_that_starts_behind_a_cut_tells_the_rest(recorded: Recording):
    """Before and behind the cut together, the CSMS has heard each transaction begin once and end once."""
    quarter = len(recorded.cuts.log) // 4
    chosen = sorted(random.Random(SEED).sample(range(quarter, len(recorded.cuts.log)), RESTARTS))
    for maker in recorded.cuts.at(chosen, reordered=True, seed=SEED):
        with maker.made() as cut, tempfile.TemporaryDirectory(prefix="edged-") as name:
            try:
                asyncio.run(tell_the_rest(cut, Path(name), recorded.story))
            except AssertionError as error:
                raise AssertionError(f"SEED={SEED}, {cut}: {error}") from error


class NoDisk:
    """For a witness whose numbers nobody needs."""

    def mark(self, number: int) -> None: ...


async def tell_the_rest(cut: Cut, folder: Path, story: Story) -> None:
    """A life on that disk; whoever charged has gone home meanwhile."""
    witness = Witness(NoDisk())  # type: ignore[arg-type]  # all that a witness uses of it
    csms = SlowCsms(random.Random(SEED))
    csms.record = WitnessedRecord(witness)
    before = story.journal[: cut.number]
    for message in heard(before, "CP-16"):
        csms.remember("CP-16", message)
    names = [f"{station}-{place}" for station in STATIONS for place in PLACES]
    boxes = [SimulatedCharger(name=name, make="phoenix-charx-sec", listen="tcp:127.0.0.1:0") for name in names]
    async with SimulatedSite(boxes, seed=SEED) as site, csms:
        edged = BentEdged(folder, cut.folder / aftermath.STATE)
        write_site(edged, csms.url, site.endpoint, mqtt=NOBODY)
        try:
            await edged.up()

            async def told() -> bool:
                stations = (await edged.status())["stations"]
                idle = all(one["queued"] == 0 and not one["transactions"] for one in stations)
                return idle and all(one["csms"]["online"] for one in stations)

            await edged.until(told, "the CSMS has heard the rest", timeout_s=2 * PATIENCE_S)
        finally:
            await edged.close()
    numbers = {name: int(str(answer["transactionId"])) for name, answer in csms.started.items()}
    complete_16([*heard(before, "CP-16"), *heard(witness.journal, "CP-16")], numbers)
    complete_201([*heard(before, "CP-201"), *heard(witness.journal, "CP-201")])


# --- daemons with a mistake in them


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("bend", "is_found"),
    [
        pytest.param("nothing", False, id="as it is"),
        pytest.param("normal", True, id="synchronous NORMAL"),
        pytest.param("off", True, id="synchronous OFF"),
        pytest.param("hasty", True, id="a reply before its commit"),
        pytest.param("idle", True, id="a commit that waits for the next"),
    ],
)
def test_a_daemon_that_does_not_wait_for_its_disk_is_found_out(bend: str, is_found: bool):
    """In a life as short as this; the one that waits is not."""
    with recording(lives=1, bend=bend) as made:
        found = losses(made, 80, reordered=False)
    assert bool(found) is is_found, found[:5]
    print(*found[:1])
