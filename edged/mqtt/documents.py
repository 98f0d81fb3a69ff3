"""What is published: a topic's newest content, and how it is put into bytes.

Pure. Owns the payload's envelope (`v`, `ts`) and the spelling of times. Refuses to know what the members mean.
Invariant: `ts` is never part of a comparison, so a document that says nothing new is never sent again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

CONTRACT_MAJOR: Final = 1

Body = Mapping[str, Any] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The content of one topic. `body` is an object, or a bare word for the topics that are plain text.

    `at`: the time of the observation, not of the publishing. `qos` and `retain` as the contract gives them.
    `tracked`: the member whose changes set `since` (and `previous`, where the body has one); see `carry`.
    `lasting`: the member by which something has ended; that is shown until there is something new; see `carry`.
    `measured`: it holds measured values, so it passes the throttle. `repeated`: a new reading is worth a message from
    time to time although it says the same. `as_of_seq`: the last event that is contained in it; as with the time, a new
    number alone is no news.
    """

    body: Body
    at: datetime | None = None
    qos: int = 1
    retain: bool = True
    tracked: str | None = None
    lasting: str | None = None
    measured: bool = False
    repeated: bool = False
    correlation: bytes | None = field(default=None, repr=False)
    as_of_seq: int | None = None

    def says_the_same(self, other: Document | None) -> bool:
        """Whether a reader learns nothing from `self` after `other`; the time does not count."""
        return other is not None and self.body == other.body


def carry(old: Document | None, new: Document) -> Document:
    """`new` with `since` and `previous` continued from what was shown before it; or, where it says nothing and what was
    shown has ended, that.

    The station keeps facts, not the history of what was derived from them; what a reader was shown last is the
    only history that matters to a reader.
    """
    if isinstance(new.body, str):
        return new
    if new.lasting is not None and _has_ended(old, new.lasting) and not any(new.body.values()):
        return new if old is None else replace(new, body=old.body)
    if new.tracked is None:
        return new
    body = dict(new.body)
    if old is not None and isinstance(old.body, Mapping):
        if old.body.get(new.tracked) == body.get(new.tracked):
            body.update({name: old.body[name] for name in ("since", "previous") if name in body and name in old.body})
            return replace(new, body=body)
        if "previous" in body:
            body["previous"] = old.body.get(new.tracked)
    if body.get("since") is None and new.at is not None:
        body["since"] = timestamp(new.at)
    return replace(new, body=body)


def _has_ended(document: Document | None, member: str) -> bool:
    return document is not None and not isinstance(document.body, str) and document.body.get(member) is not None


def encode(document: Document) -> bytes:
    """The payload. Never raises for a body of JSON values: what UTF-8 cannot say is replaced."""
    if isinstance(document.body, str):
        return document.body.encode("utf-8", "replace")
    head: dict[str, Any] = {"v": CONTRACT_MAJOR}
    if document.at is not None:
        head["ts"] = timestamp(document.at)
    if document.as_of_seq is not None:
        head["as_of_seq"] = document.as_of_seq
    return dump({**head, **document.body})


def dump(body: Mapping[str, Any]) -> bytes:
    """Compact JSON in UTF-8; a number that JSON cannot say is a bug here and raises ValueError."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and a Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def date(moment: datetime) -> str:
    """A moment that somebody chose (an expiry): without the milliseconds where there are none."""
    return timestamp(moment).replace(".000Z", "Z")


def number(value: float | None, digits: int = 3) -> float | int | None:
    """A measured value as JSON says it: None for unknown, infinite or not a number; whole where it is whole."""
    if value is None or not math.isfinite(value):
        return None
    rounded = round(value, digits)
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 2**53 else rounded
