"""The power is cut at a request of a recorded disk: what lies on the disk then, mounted as the next start finds it.

In order: every request up to the cut has reached the medium. Reordered: what a card with a volatile cache may do: all
up to the last flush, and of the rest a random half, some of them torn at 4 kB. Deterministic in its seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.blocks import Entry, entries, mount, unmount

TEAR = 4096
"""Finer tears break ext4's own superblock now and then: that is the file system's matter."""
LOST_SHARE, TORN_SHARE = 0.5, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """`entry` is the last request before the power went, `number` the last mark before it (0: none yet), `folder`
    where the disk is mounted."""

    entry: int
    number: int
    reordered: bool
    folder: Path

    def __str__(self) -> str:
        return f"cut {self.entry} {'reordered' if self.reordered else 'in order'}, acknowledged {self.number}"


class Medium:
    """What certainly lies on a disk, and what is under way to it, up to some request; goes forward only."""

    def __init__(self, base: bytes, log: Sequence[Entry]) -> None:
        self.base = bytearray(base)
        self.waiting: list[Entry] = []
        self.number = 0
        self._log = log
        self._next = 0

    def forward(self, entry: int) -> None:
        """Up to this request, inclusive."""
        assert entry >= self._next - 1, "cuts are made in their order"
        for one in self._log[self._next : entry + 1]:
            if one.flush:
                for earlier in self.waiting:
                    _lay(self.base, earlier, len(earlier.data))
                self.waiting.clear()
            if one.mark is not None:
                self.number = one.mark
            elif one.durable and not one.discard:
                _lay(self.base, one, len(one.data))
            elif one.length:
                self.waiting.append(one)
        self._next = entry + 1

    def image(self, dice: random.Random | None) -> bytearray:
        """The disk as it is found again; with `dice` reordered."""
        found = bytearray(self.base)
        for one in self.waiting:
            length = len(one.data)
            if dice is not None:
                if dice.random() < LOST_SHARE:
                    continue
                if length >= 2 * TEAR and dice.random() < TORN_SHARE:
                    length = dice.randrange(1, length // TEAR) * TEAR
            _lay(found, one, length)
        return found


def _lay(image: bytearray, one: Entry, length: int) -> None:
    if one.discard:
        image[one.at : one.at + one.length] = bytes(one.length)
    else:
        image[one.at : one.at + length] = one.data[:length]


class Cuts:
    """All the cuts of one recording: its log, and the disk's image before it. `first`: requests before it belong to the
    preparation. `place` is for disks that are found again."""

    def __init__(self, log: Path, base: Path, place: Path, *, first: int = 0) -> None:
        self._base = base.read_bytes()
        self.log = list(entries(log, len(self._base)))
        self.first = first
        self._image = place / "cut.img"
        self._image.touch()
        self._folder = place / "cut"
        self._folder.mkdir(exist_ok=True)

    def choose(self, most: int, seed: int) -> list[int]:
        """So many different requests, or all where there are fewer."""
        every = range(self.first, len(self.log))
        return sorted(random.Random(seed).sample(every, min(most, len(every))))

    def at(self, chosen: Sequence[int], *, reordered: bool, seed: int) -> Iterator[CutMaker]:
        """A maker for each cut; each is mounted for as long as its own block lasts."""
        medium = Medium(self._base, self.log)
        for entry in chosen:
            medium.forward(entry)
            yield CutMaker(self, medium, entry, reordered=reordered, seed=seed)

    @contextmanager
    def mounted(self, image: bytearray) -> Iterator[Path]:
        with self._image.open("r+b") as file:  # the pages of the last one are taken again: half the time
            file.write(image)
        mount(self._image, self._folder)
        try:
            yield self._folder
        finally:
            unmount(self._folder)


@dataclass(frozen=True, slots=True)
class CutMaker:
    cuts: Cuts
    medium: Medium
    entry: int
    reordered: bool = False
    seed: int = 0

    @contextmanager
    def made(self) -> Iterator[Cut]:
        """The power is cut, the computer starts again and mounts its disk."""
        dice = random.Random(f"{self.seed}/{self.entry}") if self.reordered else None
        with self.cuts.mounted(self.medium.image(dice)) as folder:
            yield Cut(entry=self.entry, number=self.medium.number, reordered=self.reordered, folder=folder)
