"""The story as data: diagnostics, as they arrive at the CSMS's file server, opened and searched for secrets."""

from __future__ import annotations

import base64
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from edged.cli.demo import claims
from edged.cli.demo.places import STATION
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Chapter, Seen, Step
from edged.cli.demo.story_commands import KEY, KEY_VALUE

ELSEWHERE: Final = "127.0.0.2"
"""The same door by an address that files.allowed_hosts does not name."""
MAX_MEMBER_BYTES: Final = 16 * 1024 * 1024
WANTED: Final = frozenset({"edged.yaml", "keys.json", "log.txt", "security.log", "status.json", "versions.json"})


async def _get(stage: Stage, host: str) -> None:
    stage.notes["knocks"], stage.notes["arrived"] = stage.files.knocks, len(stage.files.arrived)
    await stage.call("GetDiagnostics", {"location": stage.files.url(host), "retries": 0})


def _arrived(stage: Stage) -> Path | None:
    return next(iter(stage.files.arrived[stage.notes["arrived"] :]), None)


def _named(stage: Stage) -> Seen:
    path = _arrived(stage)
    if path is None:
        return Seen(False, "no file")
    return Seen(path.name == stage.answer.get("fileName"), f"{path.name}, {path.stat().st_size} bytes")


def _opened(path: Path) -> Mapping[str, bytes] | str:
    """What is in the archive, or why it cannot be opened."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is not None:
                    found[member.name] = content.read(MAX_MEMBER_BYTES)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        return f"cannot be opened: {error}"
    return found


def _about(stage: Stage, judge: Callable[[Stage, Mapping[str, bytes]], Seen]) -> Seen:
    """What is seen in the archive that this step has brought."""
    path = _arrived(stage)
    if path is None:
        return Seen(False, "no file")
    parts = _opened(path)
    return Seen(False, parts) if isinstance(parts, str) else judge(stage, parts)


def _complete(_stage: Stage, parts: Mapping[str, bytes]) -> Seen:
    """Its parts are there, and say what is so."""
    try:
        key = json.loads(parts.get("keys.json", b"{}")).get(KEY)
    except ValueError:
        key = "unreadable"
    said = parts.get("log.txt", b"") != b"" and STATION.encode() in parts.get("status.json", b"")
    ok = parts.keys() >= WANTED and key == KEY_VALUE and said
    return Seen(ok, f"{', '.join(sorted(parts))}; {KEY} is {key}")


def _forms(password: str) -> Iterator[bytes]:
    yield password.encode()
    yield password.encode().hex().encode()
    yield base64.b64encode(password.encode()).rstrip(b"=")[:-1]
    yield base64.b64encode(f"{STATION}:{password}".encode()).rstrip(b"=")[:-1]


def _clean(stage: Stage, parts: Mapping[str, bytes]) -> Seen:
    whole = b"\n".join(parts.values())
    found = sum(any(form in whole for form in _forms(password)) for password in stage.passwords.all)
    return Seen(found == 0, f"{found} of {len(stage.passwords.all)} passwords in it")


def _unheard(stage: Stage) -> Seen:
    count = stage.files.knocks - stage.notes["knocks"]
    return Seen(count == 0, f"{count} requests at the file server")


LOGS: Final = Chapter(
    title="Diagnostics",
    steps=(
        Step(
            sentence="the CSMS asks for diagnostics: an archive arrives, and no secret is in it",
            act=lambda stage: _get(stage, "127.0.0.1"),
            timeout_s=30,
            claims=(
                claims.csms("the file that was promised", _named),
                claims.called("DiagnosticsStatusNotification", status="Uploading"),
                claims.called("DiagnosticsStatusNotification", status="Uploaded"),
                claims.csms("an archive with every part", lambda stage: _about(stage, _complete)),
                claims.csms("no password in it", lambda stage: _about(stage, _clean)),
                claims.unlogged(),
            ),
        ),
        Step(
            sentence="to an address that the installer does not name, nothing is brought",
            act=lambda stage: _get(stage, ELSEWHERE),
            timeout_s=30,
            claims=(
                claims.called("DiagnosticsStatusNotification", status="UploadFailed"),
                claims.csms("no request at the file server", _unheard, lasting=True),
            ),
        ),
    ),
)
