"""How the simulated CSMS answers stations of OCPP 1.6 when no script says otherwise, and what it knows of tokens.

Owns 1.6's transaction ids; knows no socket. Answers to actions it has no word for are empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from edged.simulator.csms_scripts import Also, Answer, CallFromStation, ErrorAnswer, Final, Later, Script, Silence

__all__ = [
    "Also",
    "Answer",
    "Answers",
    "CallFromStation",
    "ErrorAnswer",
    "Final",
    "Later",
    "RunningTransaction",
    "Script",
    "Silence",
    "Token",
    "utc_now",
]


@dataclass(frozen=True, slots=True)
class Token:
    """What the CSMS says of a token, in every version: status, group (`parent`: 1.6's parentIdTag, 2.0.1's
    groupIdToken) and until when that may be remembered (ISO 8601).

    For 2.0.1 only: `type`: known only under that type (None = under any); `message`: a personal message in
    `language`; `evses`: where alone it may charge.
    """

    status: str = "Accepted"
    parent: str | None = None
    expiry: str | None = None
    type: str | None = None
    message: str | None = None
    language: str | None = None
    evses: tuple[int, ...] = ()

    def info(self) -> dict[str, object]:
        """A 1.6 idTagInfo."""
        info: dict[str, object] = {"status": self.status}
        if self.parent is not None:
            info["parentIdTag"] = self.parent
        if self.expiry is not None:
            info["expiryDate"] = self.expiry
        return info

    def info_201(self) -> dict[str, object]:
        """A 2.0.1 idTokenInfo; a group is of type Central (C09.FR.13)."""
        info: dict[str, object] = {"status": self.status}
        if self.parent is not None:
            info["groupIdToken"] = {"idToken": self.parent, "type": "Central"}
        if self.expiry is not None:
            info["cacheExpiryDateTime"] = self.expiry
        if self.language is not None:
            info["language1"] = self.language
        if self.message is not None:
            named = {} if self.language is None else {"language": self.language}
            info["personalMessage"] = {"format": "UTF8", "content": self.message, **named}
        if self.evses:
            info["evseId"] = list(self.evses)
        return info


@dataclass(slots=True, kw_only=True)
class RunningTransaction:
    """A transaction as the CSMS knows it; `stopped` is the payload of its StopTransaction."""

    transaction_id: int
    station: str
    started: dict[str, object]
    stopped: dict[str, object] | None = None


class Answers:
    """The usual answers of 1.6. `tokens` and `transactions` may be looked at and changed by tests."""

    def __init__(self, *, tokens: dict[str, Token], heartbeat_interval_s: int) -> None:
        self.tokens = tokens
        self.heartbeat_interval_s = heartbeat_interval_s
        self.transactions: dict[int, RunningTransaction] = {}
        self._ids = count(1)

    def default(self, call: CallFromStation) -> dict[str, object]:
        """The usual answer."""
        payload = call.payload
        match call.action:
            case "BootNotification":
                return {"status": "Accepted", "currentTime": utc_now(), "interval": self.heartbeat_interval_s}
            case "Heartbeat":
                return {"currentTime": utc_now()}
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


def utc_now() -> str:
    """The time as a CSMS tells it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
