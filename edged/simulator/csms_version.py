"""The OCPP versions that the simulated CSMS speaks: how each judges and how each answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edged.simulator.csms_answers import Answers, Token
from edged.simulator.csms_answers_201 import Answers201
from edged.simulator.csms_rules import Conduct
from edged.simulator.csms_rules_16 import Conduct16
from edged.simulator.csms_rules_201 import Conduct201
from edged.simulator.csms_scripts import Usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version. `conduct`: what it asks of stations, None where that is not known; `usual`: the answer to a
    CALL."""

    conduct: Conduct | None
    usual: Usual


UNKNOWN = Version(conduct=None, usual=lambda call: {})
"""A version whose messages are not known: they are recorded, answered with {} and not judged."""


class Versions:
    """The versions by their subprotocols; `accepted` may change while the CSMS runs, `preferred` wins if offered."""

    def __init__(self, accepted: Sequence[str], *, tokens: Mapping[str, Token], heartbeat_interval_s: int) -> None:
        self.accepted = tuple(accepted)
        self.preferred: str | None = None
        book = dict(tokens)
        self.answers = Answers(tokens=book, heartbeat_interval_s=heartbeat_interval_s)
        self.answers_201 = Answers201(tokens=book, heartbeat_interval_s=heartbeat_interval_s)
        ids: dict[tuple[str, str], set[object]] = {}
        self.conduct_201 = Conduct201(ids)
        self._known = {
            "ocpp1.6": Version(conduct=Conduct16(ids), usual=self.answers.default),
            "ocpp2.0.1": Version(conduct=self.conduct_201, usual=self.answers_201.default),
        }

    def choose(self, offered: Sequence[str]) -> str | None:
        """The subprotocol for a station that offers these, in its order; None = none of them."""
        common = [name for name in offered if name in self.accepted]
        return self.preferred if self.preferred in common else next(iter(common), None)

    def of(self, subprotocol: str | None) -> Version:
        return self._known.get(subprotocol or "", UNKNOWN)
