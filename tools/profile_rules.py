"""Writes the table of rules in docs/profiles.md from `edged.chargers.profile_rules`.

python tools/profile_rules.py            write the table
python tools/profile_rules.py --check    exit with 1 when the table is not what it would write
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edged.chargers.profile_rules import ProfileRule

PAGE = Path(__file__).resolve().parent.parent / "docs" / "profiles.md"
BEGIN = "<!-- rules: written by tools/profile_rules.py -->\n"
END = "<!-- end of rules -->\n"


def table() -> str:
    """The rules in the order of their definition."""
    rows = [f"| `{rule}` | {rule.explanation} |" for rule in ProfileRule]
    return "\n".join(["| rule | asks that |", "| --- | --- |", *rows]) + "\n"


def page(text: str) -> str:
    """The guide with the table as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare")
    options = parser.parse_args(arguments)
    text = PAGE.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        sys.stderr.write(f"{PAGE.name} has no place for the table\n")
        return 1
    if options.check:
        if text == page(text):
            return 0
        sys.stderr.write(f"{PAGE.name} is stale: run python tools/profile_rules.py\n")
        return 1
    PAGE.write_text(page(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
