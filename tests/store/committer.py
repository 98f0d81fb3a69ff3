"""A daemon's share of committing: `committer.py DATABASE` commits record after record until it is killed.

Each commit is one record and, in the same transaction, the station's next number; the number is printed when the commit
has returned, so whatever was printed must be on the disk.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from edged.domain.effects import Lane
from edged.store.opening import open_store
from edged.store.port import Queued, Table, Writes

WALL = datetime(2026, 3, 1, tzinfo=UTC)


def main() -> None:
    store = open_store(Path(sys.argv[1]), wall=WALL).store
    seq = max(store.load("CP1").outbox, default=0)
    while True:
        seq += 1
        row = {
            "type": "security",
            "event_type": "x" * (seq % 700),
            "at": {"utc": WALL.isoformat(), "synchronized": True, "boot": "b"},
        }
        facts = {"operative": True, "next_seq": seq + 1, "wall_kept": WALL.isoformat()}
        store.commit("CP1", Writes(put={Table.STATION: {"": facts}}, enqueue={seq: Queued(Lane.NOTICE, row)}), WALL)
        print(seq, flush=True)


main()
