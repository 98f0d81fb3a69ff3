"""The last fault of each connector, for who comes to look when it is long over and the log is gone.

Owns: which fault it was, since when, until when, and how seldom the disk is told of that: a fault that comes and goes
each second costs it one write a minute. What the last minute brought is lost at a power cut.
"""

from __future__ import annotations

from dataclasses import replace

from edged.domain.hardware import Fault
from edged.domain.past import LastFault
from edged.domain.station import Connector
from edged.domain.transition import Draft
from edged.domain.types import Stamp

KEEP_EVERY_S = 60.0
INFO_MAX_CHARS = 120
VENDOR_CODE_MAX_CHARS = 50


def seen(draft: Draft, number: int, before: Connector) -> None:
    """A connector was looked at; `before`: as it was until then. A blocking fault is worth more than a warning that
    comes with it. The first look of a run tells nothing new while the last fault is still there."""
    connector = draft.station.connectors[number]
    first = before.observed_at_s is None
    if not first and connector.faults == before.faults:
        return
    last = last_of(connector)
    news = [fault for fault in connector.faults if fault not in before.faults]
    if last is not None and last.cleared is None and any(_names(last, fault) for fault in news):
        news = [] if first else [fault for fault in news if not _names(last, fault)]
    news.sort(key=lambda fault: not fault.blocking)
    found = _after(last, connector.faults, news, draft.station.stamp(draft.now))
    if found is not connector.last_fault:
        draft.change(number, last_fault=found)
        keep_when_due(draft, number)


def _after(last: LastFault | None, faults: tuple[Fault, ...], news: list[Fault], at: Stamp) -> LastFault | None:
    if news:
        one = news[0]
        vendor_code, info = one.vendor_code[:VENDOR_CODE_MAX_CHARS], one.info[:INFO_MAX_CHARS]
        return LastFault(code=one.code, vendor_code=vendor_code, info=info, since=at)
    gone = last is not None and not any(_names(last, fault) for fault in faults)
    if last is not None and gone and last.cleared is None:
        return replace(last, cleared=at)
    return last


def _names(last: LastFault, fault: Fault) -> bool:
    return (last.code, last.vendor_code) == (fault.code, fault.vendor_code[:VENDOR_CODE_MAX_CHARS])


def tick(draft: Draft) -> None:
    """What has waited for a minute to pass."""
    for number, connector in draft.station.connectors.items():
        if connector.last_fault is not None and connector.last_fault is not connector.fault_kept:
            keep_when_due(draft, number)


def keep_when_due(draft: Draft, number: int) -> None:
    connector, now_s = draft.station.connectors[number], draft.now.monotonic_s
    if connector.last_fault == connector.fault_kept:
        return
    if connector.fault_kept_at_s is None or now_s - connector.fault_kept_at_s >= KEEP_EVERY_S:
        draft.change(number, fault_kept=connector.last_fault, fault_kept_at_s=now_s)


def last_of(connector: Connector) -> LastFault | None:
    """What is known of it, also of former runs."""
    return connector.last_fault or connector.fault_kept
