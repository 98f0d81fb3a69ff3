"""Types that many 2.0.1 messages share, both ways: tokens, places, status information.

Refuses to know: which message they are part of.
"""

from __future__ import annotations

from typing import Any, Final

from edged.dialects.times import parse_time
from edged.domain.answers import Hindrance
from edged.domain.effects import Reply
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, PersonalMessage, TokenKind
from edged.ocpp.dialect import Payload

MAX_TOKEN_CHARS: Final = 36
MAX_REASON_CHARS: Final = 20
MAX_INFO_CHARS: Final = 512
MAX_LANGUAGE_CHARS: Final = 8
MAX_EVSES: Final = 1_000
MESSAGE_FORMATS: Final = ("ASCII", "HTML", "URI", "UTF8")
TOKEN_KINDS: Final = frozenset(str(kind) for kind in TokenKind)
READER_KIND: Final = TokenKind.ISO14443.value
"""The kind of a token whose source knows no kinds, or one that 2.0.1 does not have: a charger's card reader, a BMS."""
UNSPECIFIED: Final = "Unspecified"
_HINDRANCES: Final = frozenset(Hindrance)
"""What 2.x has no codes for; its sentence goes along as additionalInfo."""
_JUDGEMENTS: Final = {status.value.casefold(): status for status in AuthorizationStatus}


def read_token(told: Payload) -> IdToken:
    """IdTokenType as the schema allows it; `additionalInfo` names nobody (C01.FR.25)."""
    return IdToken(told["idToken"], told["type"])


def read_group(told: Any) -> IdToken | None:
    """A group token of a hostile answer; None where it cannot be one."""
    if not isinstance(told, dict):
        return None
    value, kind = told.get("idToken"), told.get("type")
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TOKEN_CHARS or not isinstance(kind, str):
        return None
    return IdToken(value, kind)


def read_info(told: Any) -> IdTokenInfo | None:
    """idTokenInfo of a hostile answer; None where there is no judgement in it. A word that 2.0.1 does not have is a no,
    and so are EVSEs that cannot be read: good for all is what no list says."""
    word = told.get("status") if isinstance(told, dict) else None
    if not isinstance(word, str):
        return None
    status = _JUDGEMENTS.get(word.casefold(), AuthorizationStatus.INVALID)
    evses = _evses(told.get("evseId", []))
    return IdTokenInfo(
        status=status if evses is not None else AuthorizationStatus.INVALID,
        group=read_group(told.get("groupIdToken")),
        expires_at=parse_time(told.get("cacheExpiryDateTime")),
        evses=evses or (),
        languages=tuple(tag for name in ("language1", "language2") if (tag := _short(told.get(name))) is not None),
        message=read_message(told.get("personalMessage")),
    )


def _evses(told: Any) -> tuple[int, ...] | None:
    if not isinstance(told, list) or len(told) > MAX_EVSES:
        return None
    return tuple(told) if all(type(number) is int and 0 < number < 2**31 for number in told) else None


def _short(told: Any) -> str | None:
    return told if isinstance(told, str) and 0 < len(told) <= MAX_LANGUAGE_CHARS else None


def read_message(told: Any) -> PersonalMessage | None:
    """A messageContent of a hostile answer; None where there is no text in it."""
    if not isinstance(told, dict):
        return None
    text, form = told.get("content"), told.get("format")
    if not isinstance(text, str) or not 0 < len(text) <= MAX_INFO_CHARS or form not in MESSAGE_FORMATS:
        return None
    return PersonalMessage(text, form, _short(told.get("language")))


def write_token(token: IdToken) -> Payload:
    kind = token.kind if token.kind in TOKEN_KINDS else READER_KIND
    return {"idToken": token.value[:MAX_TOKEN_CHARS], "type": kind}


def write_evse(evse: int, connector: int | None = None) -> Payload:
    return {"id": evse} if connector is None else {"id": evse, "connectorId": connector}


def with_info(payload: Payload, reply: Reply) -> Payload:
    """The payload with statusInfo where there is something to tell of a refusal."""
    info = status_info(reply.reason, reply.detail)
    return payload if info is None else {**payload, "statusInfo": info}


def status_info(reason: str, detail: str) -> Payload | None:
    """StatusInfoType; None where nothing is to be said."""
    if not reason and not detail:
        return None
    code = UNSPECIFIED if not reason or reason in _HINDRANCES else reason
    info: Payload = {"reasonCode": code[:MAX_REASON_CHARS]}
    if detail:
        info["additionalInfo"] = detail[:MAX_INFO_CHARS]
    return info
