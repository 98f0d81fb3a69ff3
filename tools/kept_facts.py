"""Whether what a database holds is still what its schema version says: tools/kept_facts.txt has the form of each row.

    python tools/kept_facts.py [--freeze]

An older edged takes a field or a word that it does not know for damage and sets the row aside; a newer schema version
it refuses in a sentence. So whatever is kept changes only together with that version: add a migration, one without
statements where no stored row must change (edged/store/migrations.py), then `--freeze`. Within one version it refuses
(before the first release: delete kept_facts.txt first). Where the form has changed, it prints the difference and ends
with status 1.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from edged.domain.charging import InstalledProfile
from edged.domain.credentials import Access, ClientCertificate, InstalledCertificate, NetworkProfile
from edged.domain.displays import DisplayMessage
from edged.domain.effects import Sample
from edged.domain.files import FirmwareUpdate, LogUpload
from edged.domain.monitors import Monitor, Monitoring
from edged.domain.past import PastResets
from edged.domain.station import CachedToken, Connector, ListedToken, Reservation, Station, Transaction
from edged.store import records
from edged.store.migrations import MIGRATIONS
from edged.store.port import OUTBOX, Table

FROZEN = Path(__file__).with_suffix(".txt")
VALUES = {Table.CONFIGURATION: str, Table.CORRECTION: float, Table.MONITORED_KEY: str}
"""Tables whose rows are one value."""
PARTS: Mapping[Table, tuple[type, tuple[str, ...]]] = {
    Table.ACCESS: (Access, records.ACCESS_KEPT),
    Table.CONNECTOR: (Connector, records.CONNECTOR_KEPT),
    Table.FIRMWARE: (FirmwareUpdate, records.FIRMWARE_KEPT),
    Table.MONITORING: (Monitoring, records.MONITORING_KEPT),
    Table.RESERVATION: (Reservation, records.RESERVATION_KEPT),
    Table.STATION: (Station, records.STATION_KEPT),
    Table.TRANSACTION: (Transaction, records.TRANSACTION_KEPT),
    Table.UPLOAD: (LogUpload, records.UPLOAD_KEPT),
}
"""Tables whose rows are some fields of a type."""
WHOLE: Mapping[Table, type] = {
    Table.CACHE: CachedToken,
    Table.CERTIFICATE: InstalledCertificate,
    Table.CLIENT_CERTIFICATE: ClientCertificate,
    Table.DISPLAY_MESSAGE: DisplayMessage,
    Table.LOCAL_LIST: ListedToken,
    Table.MONITOR: Monitor,
    Table.NETWORK: NetworkProfile,
    Table.PAST_RESETS: PastResets,
    Table.PROFILE: InstalledProfile,
    Table.SAMPLE: Sample,
}


def lines() -> list[str]:
    """The schema version, what each table's rows are, and every type that they hold."""
    told: dict[Any, list[str]] = {}
    rows = [f"{table}: {_word(kind, told)}" for table, kind in (*VALUES.items(), *WHOLE.items())]
    for table, (kind, names) in PARTS.items():
        rows += [f"{table}: {len(names)} of {kind.__name__}", *_members(kind, names, told)]
    rows += [f"{OUTBOX} {name}: {_word(kind, told)}" for name, kind in records.RECORDS.items()]
    rows += [f"journal {name}: {_word(kind, told)}" for name, kind in records.ENTRIES.items()]
    words = [line for kind in sorted(told, key=_place) for line in (_name(kind), *told[kind])]
    return [f"schema {len(MIGRATIONS)}", "", *rows, "", *words]


def _members(kind: type, names: tuple[str, ...], told: dict[Any, list[str]]) -> Iterator[str]:
    hints = get_type_hints(kind)
    found = {one.name: one for one in fields(kind)}
    for name in names:
        may_be_missing = found[name].default is not MISSING or found[name].default_factory is not MISSING
        yield f"    {name}{'?' if may_be_missing else ''}: {_word(hints[name], told)}"


def _word(kind: Any, told: dict[Any, list[str]]) -> str:
    """A type in a word; what it is made of goes to `told`."""
    if isinstance(kind, types.UnionType) or get_origin(kind) is not None:
        parts = [_word(one, told) if one is not Ellipsis else "..." for one in get_args(kind)]
        return (
            " | ".join(parts) if isinstance(kind, types.UnionType) else f"{_name(get_origin(kind))}[{', '.join(parts)}]"
        )
    if not isinstance(kind, type) or kind in told:
        return _name(kind)
    if issubclass(kind, StrEnum):
        told[kind] = [f"    {', '.join(sorted(one.value for one in kind))}"]
    elif is_dataclass(kind):
        inner = told.setdefault(kind, [])
        inner += _members(kind, tuple(one.name for one in fields(kind)), told)
    return _name(kind)


def _place(kind: Any) -> tuple[str, str]:
    return _name(kind), kind.__module__


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--freeze", action="store_true", help="make the present form that of this schema version")
    freeze: bool = parser.parse_args(words).freeze
    before = FROZEN.read_text(encoding="utf-8").splitlines() if FROZEN.exists() else []
    now = lines()
    if now == before:
        return 0
    if freeze and now[:1] != before[:1]:  # another schema version
        FROZEN.write_text("\n".join(now) + "\n", encoding="utf-8")
        return 0
    print("\n".join(difflib.unified_diff(before, now, "as frozen", "as it is", n=1, lineterm="")))
    print(f"what a database of {now[0]} holds has changed: add a migration, then python tools/kept_facts.py --freeze")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
