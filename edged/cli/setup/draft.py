"""A configuration in the making: the tree of a document, and what is read from it, put into it and taken out of it.

Pure. Owns paths through the tree and how an error names one. Refuses to know what any key means. Invariant: a tree is
never changed, only followed by another; everything that is not touched stays, be it asked for by anybody or not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from edged.settings.document import Entry, Mapping, Node, Scalar, Sequence
from edged.settings.errors import shown

Place = tuple[str | int, ...]
"""Keys, and places in lists from 0, from the root."""
ORDER = ("gateway", "buses", "chargers", "stations", "mqtt")
EMPTY = Mapping((), 0)
_CREDENTIAL = re.compile(r"\$\{credential:([A-Za-z0-9_][A-Za-z0-9_.-]{0,63})\}")
_REFERENCE = re.compile(r"\$\{(credential|env):[^{}]*\}")


def text(value: str) -> Scalar:
    """A value that is a text, whatever it looks like."""
    return Scalar(value, 0, plain=False)


def plain(value: str | int) -> Scalar:
    """A value that is read as what it looks like: a number, a truth value, a word."""
    return Scalar(str(value), 0)


def texts(values: Iterable[str]) -> Sequence:
    return Sequence(tuple(text(each) for each in values), 0)


def mapping(**members: Node) -> Mapping:
    return Mapping(tuple(Entry(key, node, 0) for key, node in members.items()), 0)


def credential(name: str) -> Scalar:
    """The reference to a credential."""
    return plain(f"${{credential:{name}}}")


def at(node: Node | None, place: Place) -> Node | None:
    """What stands there, None where nothing does."""
    for step in place:
        match node, step:
            case Mapping(), str():
                node = next((entry.node for entry in node.entries if entry.key == step), None)
            case Sequence(), int():
                node = node.items[step] if step < len(node.items) else None
            case _:
                return None
    return node


def text_at(node: Node | None, place: Place) -> str | None:
    """The words there, None where nothing or no words stand."""
    found = at(node, place)
    return found.text if isinstance(found, Scalar) and not found.is_null else None


def names_at(node: Node | None, place: Place) -> tuple[str, ...]:
    """The keys of the mapping there."""
    found = at(node, place)
    return tuple(entry.key for entry in found.entries) if isinstance(found, Mapping) else ()


def items_at(node: Node | None, place: Place) -> tuple[Node, ...]:
    """The entries of the list there."""
    found = at(node, place)
    return found.items if isinstance(found, Sequence) else ()


def put(node: Node | None, place: Place, value: Node) -> Node:
    """The tree with a value there. What is missing on the way is made; a list takes an entry behind its last one."""
    if not place:
        return value
    step, rest = place[0], place[1:]
    if isinstance(step, int):
        items = list(node.items) if isinstance(node, Sequence) else []
        inner = items[step] if step < len(items) else None
        items[step : step + 1] = [put(inner, rest, value)]
        return Sequence(tuple(items), node.line if node is not None else 0)
    entries = list(node.entries) if isinstance(node, Mapping) else []
    for number, entry in enumerate(entries):
        if entry.key == step:
            entries[number] = Entry(step, put(entry.node, rest, value), entry.line)
            break
    else:
        entries.append(Entry(step, put(None, rest, value), 0))
    return Mapping(tuple(entries), node.line if node is not None else 0)


def drop(node: Node, place: Place) -> Node:
    """The tree without what stands there."""
    step, rest = place[0], place[1:]
    if rest:
        inner = at(node, (step,))
        return node if inner is None else put(node, (step,), drop(inner, rest))
    match node, step:
        case Mapping(), str():
            return Mapping(tuple(entry for entry in node.entries if entry.key != step), node.line)
        case Sequence(), int():
            return Sequence(node.items[:step] + node.items[step + 1 :], node.line)
        case _:
            return node


def put_or_drop(node: Node, place: Place, value: Node | None) -> Node:
    """None: nothing shall stand there."""
    return drop(node, place) if value is None else put(node, place, value)


def mapped(node: Node, change: Callable[[Scalar], Scalar]) -> Node:
    """The tree with every value changed."""
    match node:
        case Scalar():
            return change(node)
        case Sequence():
            return Sequence(tuple(mapped(each, change) for each in node.items), node.line)
        case Mapping():
            entries = (Entry(each.key, mapped(each.node, change), each.line) for each in node.entries)
            return Mapping(tuple(entries), node.line)


def scalars(node: Node) -> Iterator[Scalar]:
    """Every value."""
    match node:
        case Scalar():
            yield node
        case Sequence():
            for item in node.items:
                yield from scalars(item)
        case Mapping():
            for entry in node.entries:
                yield from scalars(entry.node)


def credential_name(value: str | None) -> str | None:
    """NAME, where the whole text is `${credential:NAME}`."""
    found = _CREDENTIAL.fullmatch(value or "")
    return found[1] if found else None


def is_reference(value: str) -> bool:
    """Whether the whole text only says where the value is."""
    return _REFERENCE.fullmatch(value) is not None


def named(place: Place) -> str:
    """A place as errors of a configuration name it: `stations[0].csms.url`."""
    words = ""
    for step in place:
        words += f"[{step}]" if isinstance(step, int) else f"{'.' if words else ''}{shown(step)}"
    return words


def in_order(node: Node) -> Node:
    """The tree with its chapters in their usual order; those that setup does not know stay behind what they follow."""
    if not isinstance(node, Mapping):
        return node
    ranks, rank = [], -1
    for entry in node.entries:
        rank = ORDER.index(entry.key) if entry.key in ORDER else rank
        ranks.append(rank)
    order = sorted(range(len(ranks)), key=lambda number: ranks[number])
    return Mapping(tuple(node.entries[number] for number in order), node.line)


def files(node: Node) -> Iterator[Place]:
    """Where a path stands of a file that the loader reads."""
    stations = (("stations", number, "csms") for number in range(len(items_at(node, ("stations",)))))
    for place in (*stations, ("mqtt",)):
        for name in (("ca_file",), ("client_certificate", "cert"), ("client_certificate", "key")):
            if text_at(node, (*place, *name)) is not None:
                yield (*place, *name)


def passwords(node: Node) -> Iterator[Place]:
    """Where a password may stand: at each station's CSMS, and at the broker."""
    for number in range(len(items_at(node, ("stations",)))):
        yield ("stations", number, "csms", "password")
    yield ("mqtt", "password")
