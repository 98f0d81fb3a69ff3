"""How the simulated CSMS answers stations: sensible defaults from a token table, and scripts that override them.

Owns tokens, transaction ids and scripts; knows no socket. Answers to actions it has no word for are empty.
"""

from __future__ import annotations

import inspect
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFromStation:
    """A CALL of a station, as a script sees it."""

    station: str
    connection: int
    message_id: str
    action: str
    payload: dict[str, object]


@dataclass(frozen=True, slots=True)
class Token:
    """What the CSMS says of a token: status, parentIdTag, expiryDate (ISO 8601)."""

    status: str = "Accepted"
    parent: str | None = None
    expiry: str | None = None

    def info(self) -> dict[str, object]:
        """An idTagInfo."""
        info: dict[str, object] = {"status": self.status}
        if self.parent is not None:
            info["parentIdTag"] = self.parent
        if self.expiry is not None:
            info["expiryDate"] = self.expiry
        return info


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


Final = Mapping[str, object] | ErrorAnswer | Silence | Later
Script = Callable[[CallFromStation], Final | Awaitable[Final | None] | None]
Answer = Final | Script


@dataclass(slots=True, kw_only=True)
class RunningTransaction:
    """A transaction as the CSMS knows it; `stopped` is the payload of its StopTransaction."""

    transaction_id: int
    station: str
    started: dict[str, object]
    stopped: dict[str, object] | None = None


class Answers:
    """Decides the answer to each CALL. `tokens` and `transactions` may be looked at and changed by tests."""

    def __init__(self, *, tokens: Mapping[str, Token], heartbeat_interval_s: int) -> None:
        self.tokens = dict(tokens)
        self.heartbeat_interval_s = heartbeat_interval_s
        self.transactions: dict[int, RunningTransaction] = {}
        self._ids = count(1)
        self._once: defaultdict[str, deque[Answer]] = defaultdict(deque)
        self._always: dict[str, Answer] = {}

    def script(self, action: str, answer: Answer, *, times: int | None) -> None:
        if times is None:
            self._always[action] = answer
        else:
            self._once[action].extend([answer] * times)

    def forget(self, action: str) -> None:
        self._once.pop(action, None)
        self._always.pop(action, None)

    async def decide(self, call: CallFromStation, *, judged: bool) -> Final:
        """The answer by script or by default. `judged` False: a version this CSMS does not speak, answered with {}."""
        queue = self._once[call.action]
        answer = queue.popleft() if queue else self._always.get(call.action)
        return await self.resolve(answer, call, judged=judged)

    async def resolve(self, answer: Answer | None, call: CallFromStation, *, judged: bool) -> Final:
        """What a script comes to; a function that returns None means the usual answer."""
        resolved: Final | None
        if callable(answer):
            outcome = answer(call)
            resolved = await outcome if inspect.isawaitable(outcome) else outcome
        else:
            resolved = answer
        if resolved is not None:
            return resolved
        return self.default(call) if judged else {}

    def default(self, call: CallFromStation) -> dict[str, object]:
        """The usual answer."""
        payload = call.payload
        match call.action:
            case "BootNotification":
                return {"status": "Accepted", "currentTime": _now(), "interval": self.heartbeat_interval_s}
            case "Heartbeat":
                return {"currentTime": _now()}
            case "Authorize":
                return {"idTagInfo": self._token(payload.get("idTag")).info()}
            case "StartTransaction":
                return self._start(call)
            case "StopTransaction":
                return self._stop(call)
            case "DataTransfer":
                return {"status": "UnknownVendorId"}
            case "SignCertificate":
                return {"status": "Accepted"}
            case _:
                return {}

    def _token(self, value: object) -> Token:
        wanted = str(value).casefold()
        return next((token for name, token in self.tokens.items() if name.casefold() == wanted), Token("Invalid"))

    def _start(self, call: CallFromStation) -> dict[str, object]:
        transaction_id = next(self._ids)
        self.transactions[transaction_id] = RunningTransaction(
            transaction_id=transaction_id, station=call.station, started=call.payload
        )
        return {"transactionId": transaction_id, "idTagInfo": self._token(call.payload.get("idTag")).info()}

    def _stop(self, call: CallFromStation) -> dict[str, object]:
        transaction_id = call.payload.get("transactionId")
        running = self.transactions.get(transaction_id) if isinstance(transaction_id, int) else None
        if running is not None:
            running.stopped = call.payload
        tag = call.payload.get("idTag")
        return {} if tag is None else {"idTagInfo": self._token(tag).info()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
