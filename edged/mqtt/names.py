"""The names of topics (docs/mqtt): putting them together and taking them apart.

Pure. Levels are whole words, so that a broker's access list can use wildcards. Refuses to know payloads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_REPLY_TOPIC_BYTES: Final = 256

_GATEWAY = re.compile(r"[a-z0-9-]{1,32}")
_ROOT = re.compile(r"[^/+#\x00-\x1f$][^/+#\x00-\x1f]*(/[^/+#\x00-\x1f]+){0,2}")
_COMMAND = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_SLUG = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class RequestTopic:
    """Who asks for what. Both may be anything a publisher wrote there, also nothing: MQTT knows empty levels, and who
    forgot a name there is answered like any other stranger."""

    actor: str
    command: str


@dataclass(frozen=True, slots=True)
class StateTopic:
    """A place in a station's tree: `connector` None means the station itself; `aspect` is the rest of the topic."""

    station: str
    connector: int | None
    aspect: str


@dataclass(frozen=True, slots=True)
class Names:
    """Every topic of one gateway. Raises ValueError for a root or gateway that the contract does not allow."""

    root: str
    gateway: str

    def __post_init__(self) -> None:
        if not _ROOT.fullmatch(self.root):
            raise ValueError("the MQTT root is one to three topic levels without wildcards")
        if not _GATEWAY.fullmatch(self.gateway):
            raise ValueError("the gateway id is 1 to 32 of a-z, 0-9 and -")

    @property
    def prefix(self) -> str:
        return f"{self.root}/v1/{self.gateway}"

    @property
    def status(self) -> str:
        return f"{self.prefix}/status"

    @property
    def info(self) -> str:
        return f"{self.prefix}/info"

    @property
    def heartbeat(self) -> str:
        return f"{self.prefix}/heartbeat"

    @property
    def health(self) -> str:
        return f"{self.prefix}/health"

    @property
    def requests(self) -> str:
        """The filter that the daemon subscribes to."""
        return f"{self.prefix}/rpc/+/request/#"

    def event(self, category: str) -> str:
        return f"{self.prefix}/event/{category}"

    def of_station(self, station: str, aspect: str) -> str:
        return f"{self.prefix}/station/{station}/{aspect}"

    def of_connector(self, station: str, number: int, aspect: str) -> str:
        return f"{self.prefix}/station/{station}/connector/{number}/{aspect}"

    def point(self, station: str, number: int, point: str) -> str:
        return f"{self.prefix}/point/{station}/{number}/{point}"

    def point_meta(self, station: str, number: int, point: str) -> str:
        return f"{self.prefix}/point-meta/{station}/{number}/{point}"

    def raw(self, station: str, direction: str) -> str:
        """OCPP frames as they are; `direction` is "in" (from the CSMS) or "out"."""
        return self.of_station(station, f"ocpp/raw/{direction}")

    @property
    def own_retained(self) -> tuple[str, ...]:
        """Filters for every retained topic of this gateway. Not `rpc`: a request must not come to us twice."""
        return tuple(f"{self.prefix}/{rest}" for rest in ("+", "station/#", "point/#", "point-meta/#"))

    def parse_state(self, topic: str) -> StateTopic | None:
        """The inverse of `of_station` and `of_connector`; None for anything else."""
        head = f"{self.prefix}/station/"
        if not topic.startswith(head):
            return None
        station, _, rest = topic[len(head) :].partition("/")
        if not rest or not station or _NOT_SLUG.search(station):
            return None
        if not rest.startswith("connector/"):
            return StateTopic(station, None, rest)
        digits, _, aspect = rest[len("connector/") :].partition("/")
        if not (digits.isascii() and digits.isdigit() and str(int(digits)) == digits and aspect):
            return None
        return StateTopic(station, int(digits), aspect)

    def request(self, actor: str, command: str) -> str:
        return f"{self.prefix}/rpc/{actor}/request/{command}"

    def parse_request(self, topic: str) -> RequestTopic | None:
        """Caller and command of a request's topic; None where it is none of this gateway's."""
        head = f"{self.prefix}/rpc/"
        if not topic.startswith(head):
            return None
        actor, _, rest = topic[len(head) :].partition("/")
        word, _, command = rest.partition("/")
        return RequestTopic(actor, command) if word == "request" else None

    def reply_prefix(self, actor: str) -> str:
        """Every reply address of this caller begins so: nobody can make the daemon write elsewhere."""
        return f"{self.prefix}/rpc/{actor}/reply/"

    def default_reply(self, actor: str, command: str) -> str:
        """`rpc/ACTOR/reply/COMMAND`; `unknown` where the command is no word that a topic level could hold."""
        return self.reply_prefix(actor) + (command if _COMMAND.fullmatch(command) else "unknown")

    def reply_address(self, actor: str, wanted: str) -> str | None:
        """The wanted reply topic, or None where it is not this caller's own, too long or a filter, or holds what a
        broker may end the connection for (MQTT 1.5.4: control and non-characters): we would send it again and again."""
        prefix = self.reply_prefix(actor)
        if not wanted.startswith(prefix) or len(wanted) == len(prefix):
            return None
        if "+" in wanted or "#" in wanted or not wanted[len(prefix) :].isprintable():
            return None
        return wanted if len(wanted.encode()) <= MAX_REPLY_TOPIC_BYTES else None
