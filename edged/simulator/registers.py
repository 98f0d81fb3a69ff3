"""A charger's registers as cells over live values: reading, writing, refusing. Pure; knows no make and no frame.

Addresses are zero-based, words big-endian and most significant first. A value that is forced (`force`) reads as told
whatever the physics says and whatever is written, like a register that hangs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edged.simulator.parts import Impossible, Value
from edged.simulator.pdu import ExceptionCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One value. `read` None = write only; `write` None = read only; only single words can be written.

    `accepts` says whether a raw value is legal; an illegal one changes nothing and is answered with an exception.
    """

    name: str
    address: int
    words: int = 1
    read: Callable[[], Value] | None = None
    write: Callable[[int], None] | None = None
    accepts: Callable[[int], bool] = lambda _raw: True

    @property
    def addresses(self) -> range:
        return range(self.address, self.address + self.words)


def to_words(value: Value, count: int) -> tuple[int, ...]:
    """Numbers as two's complement, clipped to what fits; text as ASCII padded with zeros."""
    if isinstance(value, str):
        raw = value.encode("ascii", "replace")[: 2 * count].ljust(2 * count, b"\0")
    else:
        bits = 16 * count
        clipped = max(-(1 << (bits - 1)), min(value, (1 << bits) - 1))
        raw = (clipped % (1 << bits)).to_bytes(2 * count)
    return tuple(int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2))


class RegisterBank:
    """The cells of one table.

    `windows` are stretches that may be read as one block, holes reading as 0; without windows a read may only cover
    mapped, readable words. With `one_value` a read must be exactly one cell.
    """

    def __init__(self, cells: Sequence[Cell], *, windows: Sequence[range] = (), one_value: bool = False) -> None:
        self._windows = tuple(windows)
        self._one_value = one_value
        self._by_name = {cell.name: cell for cell in cells}
        self._by_word = {address: cell for cell in cells for address in cell.addresses}
        self._forced: dict[str, tuple[int, ...]] = {}
        if len(self._by_name) != len(cells) or len(self._by_word) != sum(cell.words for cell in cells):
            raise AssertionError("two cells share a name or an address")

    def read(self, address: int, count: int) -> list[int] | ExceptionCode:
        wanted = range(address, address + count)
        if not self._legal(wanted):
            return ExceptionCode.ILLEGAL_ADDRESS
        values: dict[str, tuple[int, ...]] = {}
        words: list[int] = []
        for at in wanted:
            cell = self._by_word.get(at)
            if cell is None:
                words.append(0)
                continue
            if cell.name not in values:
                values[cell.name] = self._value(cell)
            words.append(values[cell.name][at - cell.address])
        return words

    def _legal(self, wanted: range) -> bool:
        if self._one_value:
            cell = self._by_word.get(wanted.start)
            return cell is not None and cell.read is not None and cell.addresses == wanted
        if any(wanted.start >= window.start and wanted.stop <= window.stop for window in self._windows):
            return True
        return all((cell := self._by_word.get(at)) is not None and cell.read is not None for at in wanted)

    def _value(self, cell: Cell) -> tuple[int, ...]:
        forced = self._forced.get(cell.name)
        if forced is not None:
            return forced
        return to_words(cell.read() if cell.read is not None else 0, cell.words)

    def write(self, address: int, values: Sequence[int]) -> ExceptionCode | None:
        """All of the values, or none and an exception."""
        writes: list[tuple[Callable[[int], None], int]] = []
        for at, raw in enumerate(values, address):
            cell = self._by_word.get(at)
            if cell is None or cell.write is None:
                return ExceptionCode.ILLEGAL_ADDRESS
            if not cell.accepts(raw):
                return ExceptionCode.ILLEGAL_VALUE
            writes.append((cell.write, raw))
        for write, raw in writes:
            write(raw)
        return None

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._by_name)

    def name_at(self, address: int) -> str | None:
        cell = self._by_word.get(address)
        return cell.name if cell is not None and cell.address == address else None

    def force(self, name: str, value: Value | None) -> None:
        """Make a readable register read `value` from now on; None lets it go. `Impossible` where it cannot."""
        cell = self._by_name[name]
        if cell.read is None:
            raise Impossible(f"register {name} cannot be read, so its value cannot be set")
        if value is None:
            self._forced.pop(name, None)
            return
        if isinstance(value, str) and len(value.encode("ascii", "replace")) > 2 * cell.words:
            raise Impossible(f"register {name} holds {2 * cell.words} characters")
        if isinstance(value, int) and not -(1 << (16 * cell.words - 1)) <= value < 1 << (16 * cell.words):
            raise Impossible(f"register {name} holds {16 * cell.words} bits: {value} does not fit")
        self._forced[name] = to_words(value, cell.words)

    def release_all(self) -> None:
        """Forget what was forced."""
        self._forced.clear()
