"""The reports of connectors' statuses: what differs from what the CSMS knows, as messages in their order.

Owns when it is worth looking, and which reports still count: those of an earlier time on the line (`epoch`) do not,
whatever becomes of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import is_

from edged.csms.items import StatusItem
from edged.domain.station import Station
from edged.ocpp.dialect import Dialect, StatusReport
from edged.ocpp.reporter import Reporter
from edged.ocpp.rpc import Request

LOOK_AGAIN_S = 0.9
UNSEEN = StatusReport("")


class Reports:
    """One station's. Told of the line's life, and of the fate of each item that it gave."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._reporter: Reporter[int, StatusReport] = Reporter()
        self._epoch = 0
        self._looked: tuple[object, ...] = (None,)
        self._look_again_s = 0.0

    def reset(self) -> None:
        """The CSMS knows nothing any more."""
        self._reporter.reset()

    def begin(self) -> None:
        """The CSMS may be told."""
        self._reporter.connected()

    def end(self) -> None:
        """What waits or is under way counts no more."""
        self._epoch += 1
        self._reporter.disconnected()

    def triggered(self, number: int, request: Request, station: Station) -> StatusItem:
        report = self._dialect.statuses(station).get(number, UNSEEN)
        return StatusItem(number, report, request, station.next_seq, self._epoch, triggered=True)

    def told(self, item: StatusItem, now_s: float) -> None:
        """The CSMS believes what it is told, asked for or not: the reports must know of it."""
        self._reporter.tell(item.connector, item.report, now_s)

    def due(self, station: Station, now_s: float, *, serving: bool) -> Iterator[StatusItem]:
        """What is to be told now; not looked for where nothing can have changed."""
        facts = (
            station.connectors,
            station.reservations,
            station.transactions,
            station.operative,
            station.list_conflict,
            serving,
        )
        if all(map(is_, facts, self._looked)) and now_s < self._look_again_s:
            return
        self._looked, self._look_again_s = facts, now_s + LOOK_AGAIN_S
        due = self._reporter.observe(
            self._dialect.statuses(station),
            now_s,
            station.configuration.number("MinimumStatusDuration"),
            lambda one, other: one == other,
        )
        for number, report in due:
            request = self._dialect.encode_status(number, report, station)
            yield StatusItem(number, report, request, station.next_seq, self._epoch)

    def acknowledged(self, item: StatusItem) -> None:
        if item.epoch == self._epoch:
            self._reporter.acknowledged(item.connector)

    def failed(self, item: StatusItem) -> None:
        if item.epoch == self._epoch:
            self._reporter.failed(item.connector)
