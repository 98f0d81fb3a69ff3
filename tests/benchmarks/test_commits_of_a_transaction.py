"""How often a transaction writes to the disk: each commit that stands alone is 20 KiB to a card, whatever is in it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from benchmarks import blocks, flash, virtual_site
from edged.store import opening

SHORT_S = 480


class NoDisk:
    def settle(self) -> None: ...


@pytest.fixture(params=flash.DIALECTS)
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[flash.FlashSite]:
    monkeypatch.setattr(virtual_site, "TRANSACTION_S", SHORT_S)
    opened = opening.open_store(tmp_path / "edged.db", wall=virtual_site.START)
    counted, disk = flash.Counted(opened.store), cast(blocks.Disk, NoDisk())
    with closing(opened.store), ThreadPoolExecutor(max_workers=1) as executor:
        yield flash.told_site(counted, disk, flash.DIALECTS[request.param](), executor)


async def commits(site: flash.FlashSite, course: flash.Course, number: int) -> int:
    before = site.counted.commits
    await course.run(site, number)
    return site.counted.commits - before


async def test_a_vehicle_that_pauses_for_long_writes_no_more_than_one_that_pauses_for_a_minute(
    site: flash.FlashSite,
) -> None:
    """What says that it pauses goes to the disk before it is told; the samples behind it do not follow it there."""
    await site.start()
    short, long = [await commits(site, flash.Course(pause_s=pause_s), n) for n, pause_s in ((1, 60), (2, 300))]
    assert short == long


async def test_samples_of_another_vehicle_write_nothing(site: flash.FlashSite) -> None:
    await site.start()
    await commits(site, flash.Course(cable_s=20), 1)
    await site.start_beside(1)
    spent = await commits(site, flash.Course(cable_s=20), 2)
    assert spent == 4, "its start, the answer to it, its end, and that its end was taken: samples come behind it"
