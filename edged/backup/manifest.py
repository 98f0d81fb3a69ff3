"""The archive's own account of itself: manifest.json. Pure: data, and what is allowed in it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from edged.ports import EdgedError

FORMAT: Final = 1
NAME: Final = "manifest.json"
DATABASE: Final = "state/edged.db"
CONFIGURATION: Final = "config/edged.yaml"
MAX_MEMBERS: Final = 2000
LONGEST_LINE: Final = 1000
MAX_FILE_BYTES: Final = 1024 * 1024
MAX_DATABASE_BYTES: Final = 512 * 1024 * 1024
_SAFE: Final = r"[A-Za-z0-9_@+,=-][A-Za-z0-9_.@+,= -]{0,79}"
MEMBER: Final = re.compile(
    rf"config/edged\.yaml|config/(profiles\.d|credentials)/{_SAFE}|config/files/{_SAFE}(/{_SAFE}){{0,5}}"
    r"|state/edged\.db|state/keys/[0-9a-f]{16}(\.chain)?\.pem|outside/[0-9]{1,3}"
)
"""Every path that an archive may hold. It has no way up, no way out and no name with a dot in front."""
OUTSIDE: Final = re.compile(rf"(/{_SAFE}){{1,12}}")
"""Where a file may have lain that is in none of edged's folders."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
ACCOUNTS: Final = ("root", "edged")
"""The owners that are told apart: whose a file is matters only between these."""


class BackupError(EdgedError):
    """There is nothing to make a backup of, or it cannot be kept."""


class ArchiveError(EdgedError):
    """The file is no backup, or not one that may be put back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file. `mode`: its permissions; `group`: of `ACCOUNTS`. `outside`: where it lay, for a file that the
    configuration names and that lies in none of edged's folders."""

    name: str
    size: int
    mode: int
    sha256: str
    group: str = "root"
    outside: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`schema`: the database's version, None without one. `unsent`: how many messages wait in it, `running`: how many
    transactions. `final`: the controller that it comes from does not go on. `left_out`: in sentences."""

    edged: str
    gateway: str
    stations: tuple[str, ...]
    made_at: datetime
    host: str
    members: tuple[Member, ...]
    schema: int | None = None
    unsent: int = 0
    running: int = 0
    last_change: datetime | None = None
    secrets: bool = True
    final: bool = False
    left_out: tuple[str, ...] = ()
    by_name: Mapping[str, Member] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {member.name: member for member in self.members})


def to_json(manifest: Manifest) -> bytes:
    """For people too: one fact a line."""
    facts: dict[str, Any] = {
        "format": FORMAT,
        "edged": manifest.edged,
        "gateway": manifest.gateway,
        "stations": list(manifest.stations),
        "made_at": _text(manifest.made_at),
        "host": manifest.host,
        "schema": manifest.schema,
        "unsent": manifest.unsent,
        "running": manifest.running,
        "last_change": _text(manifest.last_change),
        "secrets": manifest.secrets,
        "final": manifest.final,
        "left_out": list(manifest.left_out),
        "members": [
            {"name": m.name, "size": m.size, "mode": f"{m.mode:04o}", "sha256": m.sha256, "group": m.group}
            | ({} if m.outside is None else {"outside": m.outside})
            for m in manifest.members
        ],
    }
    return json.dumps(facts, indent=1).encode() + b"\n"


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")


def from_json(content: bytes) -> Manifest:
    """Raises `ArchiveError`, for a newer format with what to do."""
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArchiveError("its manifest is no JSON") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("format"), int):
        raise ArchiveError("its manifest is not one of edged")
    if facts["format"] > FORMAT:
        raise ArchiveError(
            f"it was made by edged {_shown(facts.get('edged'))} in format {facts['format']}, which this one does not "
            "know: install that edged first"
        )
    try:
        return _read(facts)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ArchiveError("its manifest is not one of edged") from error


def _shown(value: object) -> str:
    return re.sub(r"[^0-9A-Za-z.+~-]", "?", str(value))[:40]


def _read(facts: Mapping[str, Any]) -> Manifest:
    members = tuple(map(_member, _a(list, facts["members"])))
    if len(members) > MAX_MEMBERS or len({member.name for member in members}) != len(members):
        raise ValueError("too many, or the same twice")
    schema, last_change = facts["schema"], facts["last_change"]
    return Manifest(
        edged=_line(facts["edged"], 64),
        gateway=_line(facts["gateway"], 64),
        stations=tuple(_line(each, 255) for each in _a(list, facts["stations"])[:MAX_MEMBERS]),
        made_at=_moment(facts["made_at"]),
        host=_line(facts["host"], 255),
        schema=None if schema is None else _count(schema),
        unsent=_count(facts["unsent"]),
        running=_count(facts["running"]),
        last_change=None if last_change is None else _moment(last_change),
        secrets=_a(bool, facts["secrets"]),
        final=_a(bool, facts["final"]),
        left_out=tuple(_line(each, LONGEST_LINE) for each in _a(list, facts["left_out"])[:MAX_MEMBERS]),
        members=members,
    )


def _member(facts: Any) -> Member:
    facts = _a(dict, facts)
    outside = facts.get("outside")
    name, mode = _line(facts["name"], 1000), int(_a(str, facts["mode"]), 8)
    member = Member(
        name=name,
        size=_count(facts["size"]),
        mode=mode,
        sha256=_a(str, facts["sha256"]),
        group=_a(str, facts["group"]),
        outside=None if outside is None else _line(outside, 1000),
    )
    allowed = (
        0 <= mode <= 0o777
        and member.group in ACCOUNTS
        and _DIGEST.fullmatch(member.sha256) is not None
        and (outside is not None) == name.startswith("outside/")
        and (outside is None or OUTSIDE.fullmatch(outside) is not None)
    )
    if not allowed:
        raise ValueError("no member of ours")
    if MEMBER.fullmatch(name) is None:
        raise ArchiveError(f"it holds a file whose place is not edged's ({name[:80]}): it was not made by edged")
    if member.size > (MAX_DATABASE_BYTES if name == DATABASE else MAX_FILE_BYTES):
        raise ArchiveError(f"its file {name} is larger than any that edged keeps")
    return member


def _a(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError("another kind of value")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise TypeError("not a number of things")
    return value


def _line(value: Any, limit: int) -> str:
    if not isinstance(value, str) or len(value) > limit or not (value.isprintable()):
        raise TypeError("not a line of text")
    return value


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(_line(value, 40))
    if moment.tzinfo is None:
        raise ValueError("a moment without its zone")
    return moment.astimezone(UTC)
