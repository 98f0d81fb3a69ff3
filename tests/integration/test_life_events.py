"""The life of the gateway as its events tell it, from the real daemon; nobody needs a broker to ask for them."""

from __future__ import annotations

import signal
from typing import Any

from tests.integration.daemon import Edged, charger, site_file

NOWHERE = "mqtt://127.0.0.1:9"


def _site(*, level: str = "info") -> dict[str, Any]:
    bay = charger("phoenix-charx-sec", "127.0.0.1:9")
    return site_file({"bay": bay}, csms="ws://127.0.0.1:9", mqtt=NOWHERE, level=level)


async def _told(edged: Edged) -> list[dict[str, Any]]:
    page = await edged.result("get_events", after_seq=0, limit=500)
    return [event for event in page["events"] if event["event_type"].startswith("gateway.")]


async def _until(edged: Edged, kind: str, times: int = 1) -> list[dict[str, Any]]:
    async def look() -> bool:
        try:
            told = await _told(edged)
        except (OSError, EOFError):
            return False
        return [event["event_type"] for event in told].count(kind) >= times

    await edged.until(look, f"{kind} is told")
    return await _told(edged)


async def test_starts_stops_crashes_and_new_configurations_are_told_once_each(edged: Edged) -> None:
    edged.configure(_site())
    await edged.up()
    await _until(edged, "gateway.started")
    edged.signal(signal.SIGHUP)
    await _until(edged, "gateway.config_reloaded")
    edged.config.write_text("gateway: [")
    edged.signal(signal.SIGHUP)
    await _until(edged, "gateway.config_reloaded", 2)
    edged.configure(_site(level="debug"))
    edged.signal(signal.SIGHUP)
    await _until(edged, "gateway.config_reloaded", 3)
    edged.signal(signal.SIGTERM)
    assert await edged.ended() == 0
    await edged.up()
    await _until(edged, "gateway.started", 3)
    await edged.kill()
    await edged.up()
    told = await _until(edged, "gateway.started", 4)
    assert [(event["event_type"], event["data"].get("outcome")) for event in told] == [
        ("gateway.started", None),
        ("gateway.config_reloaded", "unchanged"),
        ("gateway.config_reloaded", "refused"),
        ("gateway.stopping", None),
        ("gateway.started", None),
        ("gateway.config_reloaded", "changed"),
        ("gateway.stopping", None),
        ("gateway.started", None),
        ("gateway.started", None),
    ]
    unexpected = [event["data"]["unexpected"] for event in told if event["event_type"] == "gateway.started"]
    assert unexpected == [False, False, False, True]
    assert [event["seq"] for event in told] == sorted(event["seq"] for event in told)
    assert len({event["boot"] for event in told}) == 4
