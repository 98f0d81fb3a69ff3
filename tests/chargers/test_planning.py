"""Which blocks are read: laws over random registers, and the rule when a hole pays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.chargers.modbus import Table
from edged.chargers.planning import longest_hole, plan, split, unit_of
from edged.chargers.profile import BusRules, Points, Span
from edged.chargers.profile_terms import PointsBy, Register, Transport
from edged.chargers.registers import Codec, parse_type


def register(name: str, address: int, kind: str = "u16", table: Table = Table.HOLDING) -> Register:
    parsed, words = parse_type(kind)
    return Register(name=name, table=table, address=address, codec=Codec(kind=parsed, words=words))


def rules(**changes: object) -> BusRules:
    return BusRules(transports=(Transport.TCP,), **changes)  # type: ignore[arg-type]


ONE = Points()


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.sampled_from(("u16", "u32", "u64")), st.sampled_from(Table)), max_size=40
    ),
    st.integers(4, 125),
    st.booleans(),
    st.integers(0, 60),
)
def test_every_register_lies_whole_in_one_allowed_block(
    places: list[tuple[int, str, Table]], max_block: int, holes: bool, hole: int
) -> None:
    forbidden = (Span(table=Table.HOLDING, first=500, last=600), Span(table=Table.HOLDING, first=150, last=151))
    registers = [
        register(f"r{i}", address, kind, table)
        for i, (address, kind, table) in enumerate(places)
        if table is not Table.HOLDING or not 146 < address < 152
    ]
    blocks = plan(registers, rules(max_block=max_block, holes=holes, forbidden=forbidden), ONE, 1, hole)
    assert sorted(name for block in blocks for name in block.names) == sorted(one.name for one in registers)
    for block in blocks:
        assert 1 <= block.count <= max_block
        covered = {a for placed in block.placed for a in range(placed.address, placed.end)}
        span = set(range(block.address, block.address + block.count))
        assert covered <= span
        assert holes or covered == span
        assert block.table is not Table.HOLDING or not span & {150, 151}


def test_a_small_hole_is_read_across_and_a_great_one_is_not() -> None:
    registers = [register("a", 0), register("b", 11), register("c", 30)]
    blocks = plan(registers, rules(holes=True), ONE, 1, 10)
    assert [(block.address, block.count) for block in blocks] == [(0, 12), (30, 1)]


def test_a_hole_pays_as_the_formula_says() -> None:
    assert longest_hole(character_s=11 / 9600, silence_s=0.00401, turnaround_s=0.005) == 10
    assert longest_hole(character_s=11 / 19200, silence_s=0.002005, turnaround_s=0.005) == 12
    assert longest_hole(character_s=11 / 115200, silence_s=0.00175, turnaround_s=0.005) == 41
    assert longest_hole(character_s=0, silence_s=0, turnaround_s=0) == 125


def test_points_lie_apart_by_address_or_unit_id() -> None:
    by_address = Points(count=12, by=PointsBy.ADDRESS, stride=1000)
    assert plan([register("a", 1299)], rules(), by_address, 3, 0)[0].address == 3299
    by_unit = Points(count=2, by=PointsBy.UNIT_ID, stride=1)
    assert plan([register("a", 1299)], rules(), by_unit, 2, 0)[0].address == 1299
    assert unit_of(1, by_unit, 2) == 2


def test_a_split_block_reads_each_register_by_itself() -> None:
    (block,) = plan([register("a", 0, "u32"), register("b", 2)], rules(), ONE, 1, 0)
    assert [(part.address, part.count) for part in split(block)] == [(0, 2), (2, 1)]
