"""python -m benchmarks [--only NAME]... [--quick | --full] [--json]"""

from __future__ import annotations

import argparse
import importlib
import sys

from benchmarks.report import Row, document, machine, table

NAMES = (
    "round-trip",
    "hostile",
    "memory",
    "bus",
    "fuzz",
    "disk",
    "flash",
    "start",
    "local-list",
    "charging",
    "transaction-event",
    "device-model",
    "mqtt",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help="one of " + ", ".join(NAMES))
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="fewer repetitions: a look, not a figure")
    length.add_argument("--full", action="store_true", help="mqtt: the black hole takes its whole ten minutes")
    parser.add_argument("--json", action="store_true", help="the table as JSON")
    chosen = parser.parse_args()
    rows: list[Row] = []
    modules = {name: importlib.import_module(f"benchmarks.{name.replace('-', '_')}") for name in chosen.only or NAMES}
    for module in modules.values():
        # what the machine lacks is said before the first minutes are spent
        getattr(module, "require", lambda: None)()
    for name, module in modules.items():
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        more = {"full": chosen.full} if getattr(module, "TAKES_FULL", False) else {}
        rows += module.rows(chosen.quick, **more)
    if chosen.json:
        print(document(rows))
    else:
        print(", ".join(f"{name} {value}" for name, value in machine().items()) + "\n")
        print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
