"""What the building asks over MQTT, and how its answer is seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edged.cli.demo import claims
from edged.cli.demo.stage import Stage
from edged.cli.demo.step import Claim, Seen


async def ask(stage: Stage, command: str, args: Mapping[str, object]) -> None:
    """Publish a command with an id of its own."""
    assert stage.observer is not None
    stage.notes["request"] = f"demo-{command}-{stage.mark}"
    stage.observer.send(command, stage.notes["request"], args)


def granted(command: str) -> Claim:
    """The reply to what was asked last says Accepted."""

    def look(stage: Stage) -> Seen:
        assert stage.observer is not None
        reply = stage.observer.reply(command, stage.notes["request"])
        result: Any = reply.get("result") if reply.get("ok") else reply.get("error")
        status = result.get("status", result) if isinstance(result, dict) else result
        return Seen(status == "Accepted", f"{command}: {status}")

    return claims.broker(f"{command}: Accepted", look)
