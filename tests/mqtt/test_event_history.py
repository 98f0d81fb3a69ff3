"""What `get_events` says of the log's end, whatever of it is on the disk already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from edged.domain.types import Now
from edged.mqtt.commands import Problem
from edged.mqtt.event_history import EventHistory
from edged.mqtt.event_log import EventLog, LoggedEvent, Tell
from edged.mqtt.events import Happening
from edged.mqtt.options import IdTokenPolicy
from tests.mqtt.conftest import FakeClock

NOON = datetime(2026, 8, 22, 10, 0, tzinfo=UTC)


class Disk:
    """Has what it was given."""

    def __init__(self) -> None:
        self.events: tuple[LoggedEvent, ...] = ()

    def read(self, after_seq: int, limit: int, tell: Tell) -> None:
        tell([event for event in self.events if event.seq > after_seq][:limit])


def happened(log: EventLog, kind: str) -> Sequence[LoggedEvent]:
    happening = Happening(kind=kind, at=NOON, synchronized=True, source=None, data={})
    return log.number([happening])


def page_of(log: EventLog, disk: Disk, after_seq: int) -> Mapping[str, Any]:
    found: list[Mapping[str, Any] | Problem] = []

    def tell(page: Mapping[str, Any] | Problem, _now: Now) -> None:
        found.append(page)

    EventHistory((log, disk), FakeClock()).read(after_seq, 10, tell)
    (page,) = found
    assert not isinstance(page, Problem)
    return page


def test_the_newest_number_is_the_same_for_whoever_has_everything() -> None:
    log, disk = EventLog("b1", policy=IdTokenPolicy.MASKED, salt="gw1"), Disk()
    disk.events = tuple(happened(log, "ocpp.connected"))
    log.take(disk.events)
    log.kept(disk.events)
    log.defer(happened(log, "connector.status"), 0.0)
    log.defer(happened(log, "connector.status"), 0.0)
    for after_seq in range(4):
        page = page_of(log, disk, after_seq)
        assert [event["seq"] for event in page["events"]] == list(range(after_seq + 1, 4))
        assert (page["last_seq"], page["more"]) == (3, False)
