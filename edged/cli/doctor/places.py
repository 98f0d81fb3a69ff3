"""Where things stand, in words that can be copied: a line of the configuration, a drop-in of the unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

UNIT = "edged.service"


@dataclass(frozen=True, slots=True)
class Page:
    """The configuration as it was written."""

    path: Path
    lines: tuple[str, ...] = ()

    def line(self, *needles: str) -> int:
        """The first line with one of these in it, comments aside, from 1; 0 where there is none."""
        for needle in needles:
            pattern = re.compile(rf"{re.escape(needle)}(?!\w)" if needle[-1:].isalnum() else re.escape(needle))
            for number, line in enumerate(self.lines, start=1):
                if needle and pattern.search(line.partition(" #")[0]) and not line.lstrip().startswith("#"):
                    return number
        return 0

    def change(self, what: str, *needles: str) -> str:
        """`in FILE line N: what`."""
        number = self.line(*needles)
        where = f"{self.path} line {number}" if number else f"{self.path}"
        return f"in {where}: {what}, then: sudo systemctl reload edged"


def drop_in(name: str, *lines: str) -> str:
    """A command that adds lines to the section [Service] of edged's unit."""
    folder = f"/etc/systemd/system/{UNIT}.d"
    text = "".join(f"{line}\\n" for line in ("[Service]", *lines))
    return (
        f"sudo mkdir -p {folder} && printf {quote(text)} | sudo tee {folder}/{name}.conf && "
        "sudo systemctl daemon-reload && sudo systemctl restart edged"
    )


def write_file(path: str, *lines: str, then: str) -> str:
    """A command that writes a small file as root, and one that makes it count."""
    text = "".join(f"{line}\\n" for line in lines)
    return f"sudo mkdir -p {quote(str(Path(path).parent))} && printf {quote(text)} | sudo tee {quote(path)} && {then}"
