"""What outlives a reboot, over real runs of the real daemon: its starts, its crashes, and how it tells them."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
from typing import Any

from edged.gateway import DATABASE, HOST_BOOT
from edged.history import HISTORY
from edged.system.crash import LAST_NAME
from tests.integration.daemon import Edged, charger, site_file


def _site(*, level: str = "info") -> dict[str, Any]:
    return site_file({"bay": charger("phoenix-charx-sec", "127.0.0.1:9")}, csms="ws://127.0.0.1:9", level=level)


async def _started(edged: Edged, times: int) -> dict[str, Any]:
    """The history, once the daemon has begun for the so-manieth time."""
    found: dict[str, Any] = {}

    async def look() -> bool:
        with contextlib.suppress(OSError, EOFError):
            found.update((await edged.status())["history"])
        return found.get("starts") == times

    await edged.until(look, f"start {times} is told")
    return found


def _database(edged: Edged, statement: str, *values: str) -> None:
    with contextlib.closing(sqlite3.connect(edged.state_dir / DATABASE)) as database, database:
        assert database.execute(statement, values).rowcount == 1


def _cli(edged: Edged, command: str, *words: str) -> subprocess.CompletedProcess[str]:
    told = edged.command(command, "--control", edged.control, *words)
    return subprocess.run(told, env=edged.environment, capture_output=True, text=True, timeout=60)


async def test_each_start_says_why_it_came_and_how_the_last_run_ended(edged: Edged) -> None:
    edged.configure(_site())
    await edged.up()
    await _started(edged, 1)
    edged.signal(signal.SIGTERM)
    assert await edged.ended() == 0
    await edged.up()
    await _started(edged, 2)
    await edged.kill()
    _database(edged, "UPDATE gateway SET value = 'another' WHERE name = ?", HOST_BOOT)
    await edged.up()
    await _started(edged, 3)
    edged.configure(_site(level="debug"))
    edged.signal(signal.SIGHUP)
    await _started(edged, 4)
    assert _cli(edged, "ctl", "reset", "type=Hard").returncode == 0
    assert await edged.ended() == 75
    _database(
        edged, 'UPDATE gateway SET value = replace(value, \'"version":"\', \'"version":"0+\') WHERE name = ?', HISTORY
    )
    await edged.up()
    told = await _started(edged, 5)
    assert told["reboots"] == 1
    runs = list(reversed(told["runs"]))
    assert [run["why"] for run in runs] == ["first start", "stopped", "power lost", "new configuration", "reset"]
    assert [run["ended"] for run in runs] == ["in order", "without a word", "in order", "in order", None]
    assert runs[-1]["detail"] == "Hard reset of CP-1, ordered by local"
    assert runs[-1]["updated_from"].startswith("0+")
    shown = _cli(edged, "status").stdout
    assert "starts: 5, 1 of them with the computer" in shown
    assert "Hard reset of CP-1, ordered by local" in shown


async def test_a_crash_of_the_service_is_told_by_the_next_start_and_stays_on_the_disk(edged: Edged) -> None:
    edged.environment["INVOCATION_ID"] = "0123456789abcdef"
    edged.configure(_site())
    await edged.up()
    await _started(edged, 1)
    edged.signal(signal.SIGABRT)
    assert await edged.ended() == -signal.SIGABRT
    assert "most recent call first" not in edged.log
    await edged.up()
    told = await _started(edged, 2)
    assert (told["runs"][0]["why"], told["runs"][0]["detail"]) == ("edged failed", "Fatal Python error: Aborted")
    assert "most recent call first" in edged.log
    assert "most recent call first" in (edged.state_dir / LAST_NAME).read_text()
    json.dumps(told)
