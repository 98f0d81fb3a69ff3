"""What an answer of the simulated CSMS can be, and the scripts that say which one comes next, for every OCPP version.

Owns the scripts; knows no version and no socket.
"""

from __future__ import annotations

import inspect
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFromStation:
    """A CALL of a station, as a script sees it."""

    station: str
    connection: int
    message_id: str
    action: str
    payload: dict[str, object]


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """A CALLERROR."""

    code: str
    description: str = ""
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer at all."""


@dataclass(frozen=True, slots=True)
class Later:
    """An answer after a while; None = the usual one."""

    delay_s: float
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Also:
    """The usual answer, and these fields too."""

    fields: Mapping[str, object]


Final = Mapping[str, object] | ErrorAnswer | Silence | Later
Script = Callable[[CallFromStation], "Final | Also | Awaitable[Final | Also | None] | None"]
Answer = Final | Also | Script
Usual = Callable[[CallFromStation], Mapping[str, object]]


class Scripts:
    """What was said about the answers to come."""

    def __init__(self) -> None:
        self._once: defaultdict[str, deque[Answer]] = defaultdict(deque)
        self._always: dict[str, Answer] = {}

    def add(self, action: str, answer: Answer, *, times: int | None) -> None:
        """`times` None: for good, once what was said with a number is used up."""
        if times is None:
            self._always[action] = answer
        else:
            self._once[action].extend([answer] * times)

    def forget(self, action: str) -> None:
        self._once.pop(action, None)
        self._always.pop(action, None)

    async def decide(self, call: CallFromStation, usual: Usual) -> Final:
        """The answer by script, or the usual one."""
        queue = self._once[call.action]
        return await self.resolve(queue.popleft() if queue else self._always.get(call.action), call, usual)

    async def resolve(self, answer: Answer | None, call: CallFromStation, usual: Usual) -> Final:
        """What a script comes to; a function that returns None means the usual answer."""
        resolved: Final | Also | None
        if callable(answer):
            outcome = answer(call)
            resolved = await outcome if inspect.isawaitable(outcome) else outcome
        else:
            resolved = answer
        if isinstance(resolved, Also):
            return {**usual(call), **resolved.fields}
        return usual(call) if resolved is None else resolved
