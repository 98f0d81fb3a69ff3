"""Whether a profile's registers can lie where they are said to. PURE.

Owns: overlapping definitions, points that lie on each other, addresses that the device forbids, what fits into a read.
Refuses to know: which parts use the registers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edged.chargers.modbus import Table
from edged.chargers.profile_document import KeyPath
from edged.chargers.profile_references import References, why_not_written
from edged.chargers.profile_rules import ProfileRule
from edged.chargers.profile_terms import FirmwareRule, PointsBy, Register, Transport

ADDRESSES = 0x10000
_SERIAL = (Transport.RTU, Transport.RTU_OVER_TCP)


def check_placement(references: References) -> None:
    """Adds an error for every register that cannot be where it is said to be."""
    for path, register in _definitions(references):
        _check_alone(references, register, path)
    _check_variants(references)
    _check_overlaps(references)
    _check_units(references)
    if references.profile.points.by is PointsBy.ADDRESS:
        _check_points(references)


def _definitions(references: References) -> Iterator[tuple[KeyPath, Register]]:
    """Each definition with its key path, but for those that are told to be wrong."""
    for name, variants in references.profile.registers.items():
        for i, register in enumerate(variants):
            path = ("registers", name) if len(variants) == 1 else ("registers", name, str(i))
            if not references.is_told(path):
                yield path, register


def _check_alone(references: References, register: Register, path: KeyPath) -> None:
    bus, report = references.profile.bus, references.report
    if register.when is not None and references.profile.identity.firmware is None:
        sentence = "when needs to know the firmware: name its register under identity.firmware"
        report((*path, "when"), sentence, ProfileRule.WHEN_WITHOUT_FIRMWARE)
    if register.codec.words > bus.max_block:
        sentence = f"{register.codec.words} registers do not fit into max_block {bus.max_block}"
        report(path, sentence, ProfileRule.LONGER_THAN_BLOCK)
    if register.writable and register.codec.bits is not None:
        sentence = "single bits cannot be written: the others of the word would be lost"
        report(path, sentence, ProfileRule.WRITABLE_BITS)
    if register.writable and register.table not in (Table.HOLDING, Table.COIL):
        sentence = f"table {register.table} cannot be written; access must be r"
        report(path, sentence, ProfileRule.READ_ONLY_TABLE)
    for label, value in register.names.items():
        refused = why_not_written(register, value)
        if refused is not None:
            report((*path, "names", label), refused, ProfileRule.VALUE_DOES_NOT_FIT)
    if register.readable:
        _check_forbidden(references, register, path)


def _check_forbidden(references: References, register: Register, path: KeyPath) -> None:
    points = references.profile.points
    moves = points.by is PointsBy.ADDRESS and not register.shared
    is_known = not references.is_told(("bus", "forbidden"))
    spans = [span for span in references.profile.bus.forbidden if is_known and span.table is register.table]
    for point in range(points.count if moves and spans else 1):
        first = register.address + point * points.stride * moves
        for span in spans:
            if first <= span.last and first + register.codec.words > span.first:
                where = f" for point {point + 1}" if point else ""
                sentence = f"it lies in the forbidden addresses {span.first}..{span.last}{where}"
                references.report(path, sentence, ProfileRule.FORBIDDEN_REGISTER)
                return


def _check_variants(references: References) -> None:
    for name, variants in references.profile.registers.items():
        seen: list[FirmwareRule | None] = []
        for i, register in enumerate(variants):
            if None in seen or register.when in seen:
                sentence = "it is never chosen: a definition before it holds whenever this one does"
                references.report(("registers", name, str(i)), sentence, ProfileRule.UNREACHABLE_VARIANT)
            seen.append(register.when)


def _check_overlaps(references: References) -> None:
    """Two names for the same words are a mistake, unless they hold at different firmware or share no bit."""
    placed = sorted(
        (register.table, register.address, i, path, register)
        for i, (path, register) in enumerate(_definitions(references))
    )
    open_ones: list[Register] = []
    for table, address, _, path, register in placed:
        open_ones = [one for one in open_ones if one.table is table and address < one.address + one.codec.words]
        other = next((one for one in open_ones if _collide(references, one, register)), None)
        if other is not None:
            sentence = f"address {address} of table {table} already belongs to {other.name!r}"
            references.report(path, sentence, ProfileRule.OVERLAPPING_REGISTERS)
        open_ones.append(register)


def _collide(references: References, one: Register, other: Register) -> bool:
    if one.name == other.name:
        return False
    registers = references.profile.registers
    always = [register.when is None and len(registers[register.name]) == 1 for register in (one, other)]
    return (one.when == other.when or any(always)) and not _are_separate(one, other)


def _are_separate(one: Register, other: Register) -> bool:
    """Whether two definitions of the same words are fields of them that share no bit."""
    if one.address != other.address or one.codec.words != other.codec.words:
        return False
    if one.codec.bits is None or other.codec.bits is None:
        return False
    return one.codec.bits[1] < other.codec.bits[0] or other.codec.bits[1] < one.codec.bits[0]


def _check_units(references: References) -> None:
    bus, points = references.profile.bus, references.profile.points
    reach = (points.count - 1) * points.stride
    low, high = bus.unit_ids
    if not low <= bus.unit_id <= high:
        sentence = f"unit id {bus.unit_id} is outside unit_ids, {low}..{high}"
        references.report(("bus", "unit_id"), sentence, ProfileRule.UNIT_ID_OUTSIDE)
    elif bus.unit_id == 0 and any(transport in _SERIAL for transport in bus.transports):
        sentence = "unit 0 is a serial line's broadcast: nobody answers"
        references.report(("bus", "unit_id"), sentence, ProfileRule.BROADCAST_UNIT_ID)
    if points.by is PointsBy.UNIT_ID and bus.unit_id + reach > 255:
        sentence = f"point {points.count} would have a unit id above 255"
        references.report(("points", "stride"), sentence, ProfileRule.IMPOSSIBLE_POINT)
    elif points.by is PointsBy.PORT and bus.port + reach > 65535:
        sentence = f"point {points.count} would have a port above 65535"
        references.report(("points", "stride"), sentence, ProfileRule.IMPOSSIBLE_POINT)


def _check_points(references: References) -> None:
    points = references.profile.points
    reach = (points.count - 1) * points.stride
    beyond = False
    for path, register in _definitions(references):
        if not register.shared and register.address + register.codec.words + reach > ADDRESSES:
            sentence = f"point {points.count} lies beyond address 65535"
            references.report(path, sentence, ProfileRule.IMPOSSIBLE_POINT)
            beyond = True
    if not beyond and points.count > 1:
        _check_strides(references)


def _check_strides(references: References) -> None:
    """No word of one point is a word of another, nor a shared one: judged by bits, one for each address."""
    definitions = list(_definitions(references))
    for when in {register.when for _, register in definitions}:
        for table in Table:
            here = [
                (path, register)
                for path, register in definitions
                if register.table is table and register.when in (None, when)
            ]
            if _overlap_of_points(references, here):
                return


def _overlap_of_points(references: References, here: Sequence[tuple[KeyPath, Register]]) -> bool:
    points = references.profile.points
    own = _mask(register for _, register in here if not register.shared)
    shared = _mask(register for _, register in here if register.shared)
    for distance in range(1, points.count):
        moved = own << distance * points.stride
        if hit := moved & (own | shared):
            address = (hit & -hit).bit_length() - 1 - distance * points.stride
            path = next(path for path, one in here if not one.shared and address in _addresses(one))
            sentence = f"{points.count} points {points.stride} apart: it lies on a register of point {distance + 1}"
            if not hit & own:
                sentence = f"for point {distance + 1} it lies on a register that all points share"
            references.report(path, sentence, ProfileRule.OVERLAPPING_POINTS)
            return True
    return False


def _addresses(register: Register) -> range:
    return range(register.address, register.address + register.codec.words)


def _mask(registers: Iterator[Register]) -> int:
    mask = 0
    for register in registers:
        mask |= ((1 << register.codec.words) - 1) << register.address
    return mask
