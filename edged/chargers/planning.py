"""Which blocks to read for a set of registers. PURE.

Owns: the coalescing rule, the device's limits on blocks, where the registers of a point lie.
Refuses to know: how a block is read and what its words mean.

Invariants: every register lies whole in exactly one block; no block is longer than `max_block`, touches a forbidden
address or, where the device allows no holes, an address without a register.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edged.chargers.modbus import Table
from edged.chargers.profile import BusRules, Points
from edged.chargers.profile_terms import PointsBy, Register

MAX_HOLE = 125


@dataclass(frozen=True, slots=True)
class Placed:
    """A register and the zero-based address where it lies for one point."""

    register: Register
    address: int

    @property
    def end(self) -> int:
        return self.address + self.register.codec.words


@dataclass(frozen=True, slots=True)
class Block:
    """Registers that one request reads."""

    table: Table
    address: int
    count: int
    placed: tuple[Placed, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(placed.register.name for placed in self.placed)

    def words_of(self, placed: Placed, words: Sequence[int]) -> tuple[int, ...]:
        """The part of the block's words that is one register."""
        start = placed.address - self.address
        return tuple(words[start : start + placed.register.codec.words])


def address_of(register: Register, points: Points, point: int) -> int:
    """Where the register of a point lies; points are numbered from 1."""
    if register.shared or points.by is not PointsBy.ADDRESS:
        return register.address
    return register.address + (point - 1) * points.stride


def unit_of(unit_id: int, points: Points, point: int) -> int:
    """The unit id of a point."""
    return unit_id + (point - 1) * points.stride if points.by is PointsBy.UNIT_ID else unit_id


def longest_hole(*, character_s: float, silence_s: float, turnaround_s: float) -> int:
    """Unused registers that are cheaper to read than a second request.

    A hole of g pays while 2 g characters take less time than a request's own 13 characters and its two silences.
    """
    if character_s <= 0:
        return MAX_HOLE
    saved = 6.5 + (max(turnaround_s, silence_s) + silence_s) / (2 * character_s)
    return min(MAX_HOLE, int(saved))


def plan(registers: Iterable[Register], rules: BusRules, points: Points, point: int, hole: int) -> tuple[Block, ...]:
    """The blocks that read these registers, by table and address."""
    placed = sorted(
        (Placed(register, address_of(register, points, point)) for register in registers),
        key=lambda one: (one.register.table, one.address, one.end),
    )
    allowed = hole if rules.holes else 0
    blocks: list[Block] = []
    for one in placed:
        last = blocks[-1] if blocks else None
        if last is not None and _joins(last, one, rules, allowed):
            count = max(last.address + last.count, one.end) - last.address
            blocks[-1] = Block(last.table, last.address, count, (*last.placed, one))
        else:
            blocks.append(Block(one.register.table, one.address, one.register.codec.words, (one,)))
    return tuple(blocks)


def split(block: Block) -> tuple[Block, ...]:
    """Each register of a block by itself."""
    return tuple(Block(block.table, one.address, one.register.codec.words, (one,)) for one in block.placed)


def _joins(block: Block, one: Placed, rules: BusRules, allowed: int) -> bool:
    end = block.address + block.count
    if (
        one.register.table is not block.table
        or one.end - block.address > rules.max_block
        or one.address - end > allowed
    ):
        return False
    return not any(
        span.table is block.table and span.first < one.address and span.last >= end for span in rules.forbidden
    )
