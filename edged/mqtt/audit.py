"""Who commanded what and what became of it, told as events (docs/mqtt): `command.executed`, `command.refused`.

Pure. Owns what is said, and how a flood of it is summed up, so that nobody can fill the spool by asking. Never an
argument, a value or an answer: the actor, the command, the id and the outcome's own word.
Invariants: of refusals at most one event an actor and code in `SUM_UP_S`, and of commands that only read one an actor
and command, with how many they were · at most `MAX_TALLIES` of these are remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edged.mqtt.arguments import NOT_SERVED, SHAPES
from edged.mqtt.commands import Envelope

SUM_UP_S: Final = 10.0
MAX_TALLIES: Final = 256
_ACTOR_CHARS: Final = 64
_OTHERS: Final = "others"

Tell = Callable[[str, str | None, dict[str, Any]], None]
"""Kind, source, data."""


@dataclass(slots=True)
class _Tally:
    since_s: float
    more: int = 0
    last: tuple[str, str, dict[str, Any]] | None = None


class Audit:
    """`channel`: as in `Desk`. `tick` now and then, so that sums are told; `close` at the end."""

    def __init__(self, tell: Tell, *, channel: str) -> None:
        self._tell = tell
        self._channel = channel
        self._tallies: dict[tuple[str, str], _Tally] = {}

    def note(self, envelope: Envelope, body: Mapping[str, Any], now_s: float) -> None:
        """An answer was given."""
        known = envelope.command in SHAPES or envelope.command in NOT_SERVED
        command = envelope.command if known else "unknown"
        actor = "".join(c if c.isprintable() else "?" for c in envelope.actor[:_ACTOR_CHARS])
        done = bool(body.get("ok"))
        outcome = _outcome(body)
        kind = "command.executed" if done else "command.refused"
        data = {"actor": actor, "command": command, "id": envelope.id, "outcome": outcome}
        source = f"{self._channel}:{actor}" if self._channel == "mqtt" else self._channel
        if done and not (known and command in SHAPES and SHAPES[command].reads_only):
            self._tell(kind, source, data)
        else:
            self._sum_up((actor, command if done else outcome), (kind, source, data), now_s)

    def _sum_up(self, key: tuple[str, str], event: tuple[str, str, dict[str, Any]], now_s: float) -> None:
        if key not in self._tallies and len(self._tallies) >= MAX_TALLIES:
            key = (_OTHERS, key[1])
            event = (event[0], event[1], {**event[2], "actor": _OTHERS})
        tally = self._tallies.get(key)
        if tally is None:
            self._tallies[key] = _Tally(now_s)
            kind, source, data = event
            self._tell(kind, source, {**data, "count": 1})
        else:
            tally.more += 1
            tally.last = event

    def tick(self, now_s: float) -> None:
        """Tell of what has been counted, the last of each."""
        for key, tally in tuple(self._tallies.items()):
            if now_s - tally.since_s < SUM_UP_S:
                continue
            if tally.last is None:
                del self._tallies[key]
                continue
            self._tell_sum(tally)
            self._tallies[key] = _Tally(now_s)

    def close(self) -> None:
        """The daemon stops: what has been counted since is told now, or nobody is ever told of it."""
        for tally in self._tallies.values():
            self._tell_sum(tally)
        self._tallies.clear()

    def _tell_sum(self, tally: _Tally) -> None:
        if tally.last is not None:
            kind, source, data = tally.last
            self._tell(kind, source, {**data, "count": tally.more})


def _outcome(body: Mapping[str, Any]) -> str:
    """The answer's own word: a status, a code, or that it was carried out."""
    if not body.get("ok"):
        error = body.get("error")
        return str(error["code"]) if isinstance(error, Mapping) else "internal"
    result = body.get("result")
    status = result.get("status") if isinstance(result, Mapping) else result
    if isinstance(result, Mapping) and "authorized" in result:
        return "authorized" if result["authorized"] else "not authorized"
    if isinstance(status, bool):
        return "true" if status else "false"
    return status if isinstance(status, str) else "done"
