"""What dpkg has left half done: an upgrade that the power cut short, edged's own or another's. Pure.

Owns the reading of dpkg's states. Only a computer that has dpkg is judged. Packages whose triggers wait are whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import Final

from edged.cli.doctor.finding import Findings

FORMAT: Final = "${db:Status-Abbrev}\t${Package}\n"
"""For dpkg-query: three letters (wanted, state, error) and a name."""
JOURNAL: Final = "/var/lib/dpkg/updates"
"""Numbered files lie in it while dpkg works, and where it was cut off."""
OURS: Final = "edged"
MOST_NAMED: Final = 5
_HALF: Final = {"H": "half installed", "U": "unpacked", "F": "half configured"}
_CONFIGURE: Final = "sudo dpkg --configure -a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """A package that is neither installed nor not. `again`: dpkg wants its files once more."""

    name: str
    state: str
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """`problem`: why nothing of them is known; `unreadable`: because dpkg cannot read its own notes. `busy`: dpkg works
    at this moment. `cut`: its journal holds steps that it did not finish."""

    halves: tuple[Half, ...] = ()
    problem: str = ""
    unreadable: bool = False
    busy: bool = False
    cut: bool = False


def parse_packages(text: str) -> tuple[Half, ...]:
    """Those that are half done; lines of another shape are passed over."""
    found = []
    for line in text.splitlines()[:65536]:
        status, tab, name = line.partition("\t")
        if not tab or len(status) != 3 or not name.isascii() or not name.isprintable():
            continue
        again = status[2] in "Rr"
        if status[1] in _HALF or again:
            found.append(Half(name=name[:64], state=_HALF.get(status[1], "to be installed again"), again=again))
    return tuple(found)


def is_journal(names: tuple[str, ...] | None) -> bool:
    """Whether steps lie there that dpkg has not taken over."""
    return any(name.isascii() and name.isdecimal() for name in names or ())


def judge(found: Findings, packages: Packages) -> None:
    if packages.busy:
        found.note(
            "packages",
            "packages are being installed at this moment: what is half done was not judged",
            "sudo edged doctor --only service",
        )
    elif packages.unreadable:
        found.failed(
            "packages",
            "dpkg cannot read its own notes of what is installed: nothing can be installed",
            "sudo cp /var/lib/dpkg/status-old /var/lib/dpkg/status && sudo dpkg --configure -a",
        )
    elif packages.problem:
        found.note("packages", f"what is half installed was not seen: {packages.problem}", "dpkg --audit")
    elif packages.halves:
        _halves(found, packages.halves)
    elif packages.cut:
        found.warning("packages", "an installation was cut off before its end", _CONFIGURE)
    else:
        found.ok("packages", "no installation was cut off")


def _halves(found: Findings, halves: tuple[Half, ...]) -> None:
    ours = [each for each in halves if each.name == OURS]
    others = [each for each in halves if each.name != OURS]
    for each in ours:
        mend = f"{_CONFIGURE}; sudo apt install --reinstall ./edged_*.deb" if each.again else _CONFIGURE
        found.warning(
            "packages",
            f"the installation of edged was cut off ({each.state}): the version that is whole serves meanwhile",
            mend,
        )
    if others:
        named = ", ".join(f"{each.name} ({each.state})" for each in others[:MOST_NAMED])
        more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
        again = [quote(each.name) for each in others if each.again]
        mend = f"{_CONFIGURE}; sudo apt install --reinstall {' '.join(again)}" if again else _CONFIGURE
        found.warning(
            "packages",
            f"an installation was cut off: {named}{more}. Before it is finished nothing else is installed",
            mend,
        )
