"""The CSMS as seen from the core: registration, heartbeat, the time, triggered messages. 1.6 §4.2.

Invariants: nothing unprompted before Accepted · a plain reconnect sends no BootNotification · a BootNotification is
never repeated sooner than the CSMS said.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from edged.domain import interruption, key_watch, metering, restarts
from edged.domain.answers import Reason, TriggerStatus
from edged.domain.commands import TriggerMessage
from edged.domain.configuration import REGISTRY
from edged.domain.effects import LearnTime, NoticeKind, Notify, SampleContext
from edged.domain.events import BootAnswered, LinkDown, Registration, Started, TimeTold, TokenAnswered
from edged.domain.pending import PendingToken
from edged.domain.places import connectors_of, place_of
from edged.domain.policy import Trigger
from edged.domain.security_event import SecurityEvent, note
from edged.domain.session import answered
from edged.domain.transition import Draft, put

OWN_INTERVAL_S = 60
HEARTBEAT_MAX_S = 86_400
RETRY_S = 30.0
KEEP_WALL_IDLE = timedelta(minutes=60)
KEEP_WALL_BUSY = timedelta(minutes=5)
CLOCK_STEP_S = 1.0
MAX_CORRECTIONS = 16

# --- life of this run


def started(draft: Draft, event: Started) -> None:
    """The first event: what the power interrupted is ended; the reason that the last run left has been used. Where it
    left none and the computer ran on, the daemon failed, or somebody here restarted it (B01.FR.09)."""
    if event.continued and draft.station.next_boot_reason is None:
        cause = "ApplicationReset" if event.unexpected else "LocalReset"
        draft.update(boot=replace(draft.station.boot, reason=cause))
    reason = "unexpected" if event.unexpected else draft.station.next_boot_reason
    if reason is not None:
        note(draft, SecurityEvent.RESET_OR_REBOOT, reason)
    note(draft, SecurityEvent.STARTUP, draft.station.boot.reason)
    interruption.recover(draft, continued=event.continued)
    draft.update(next_boot_reason=None)
    draft.announce("gateway.started", None, reason=draft.station.boot.reason, continued=event.continued)


def watch_clock(draft: Draft) -> None:
    """Follow the clock from step to step. The first trusted one of a boot tells how wrong the stamps before it were."""
    before, now = draft.station.clock, draft.now
    if now.synchronized and not before.synchronized:
        expected = before.utc + timedelta(seconds=now.monotonic_s - before.monotonic_s)
        offset_s = (now.utc - expected).total_seconds()
        corrections = put(draft.station.corrections, draft.station.boot.id, offset_s)
        draft.update(corrections=dict(list(corrections.items())[-MAX_CORRECTIONS:]))
        if abs(offset_s) >= CLOCK_STEP_S:
            draft.announce("gateway.clock_stepped", None, offset_s=round(offset_s, 3))
    draft.update(clock=now)
    if now.synchronized:
        step_s = (now.utc - before.utc).total_seconds() - (now.monotonic_s - before.monotonic_s)
        if abs(step_s) >= CLOCK_STEP_S:
            note(draft, SecurityEvent.SETTING_SYSTEM_TIME, f"{step_s:+.0f} s")


def keep_wall(draft: Draft) -> None:
    """Store the wall clock now and then: the floor of the next boot, and what an untrusted clock counts from."""
    busy = bool(draft.station.reservations) or any(t.active for t in draft.station.transactions.values())
    busy = busy or restarts.counting(draft.station)
    age = draft.now.utc - draft.station.wall_kept
    if age < timedelta(0) and not draft.now.synchronized:
        return
    if not timedelta(0) <= age < (KEEP_WALL_BUSY if busy else KEEP_WALL_IDLE):
        draft.update(wall_kept=draft.now.utc)
        restarts.keep_running_time(draft)


# --- registration


def link_up(draft: Draft) -> None:
    """Connected. Only a station that was not accepted in this boot introduces itself (16-J-07)."""
    draft.update(link=replace(draft.station.link, online=True, boot_sent=False))
    if draft.station.link.boot_place not in (None, draft.station.access.way.place):
        _unknown_here(draft)
    draft.announce("ocpp.connected")
    boot_when_due(draft)
    if draft.station.link.serving and draft.station.access.former is not None:
        draft.emit(Notify(NoticeKind.HEARTBEAT))  # its answer proves the way that is on trial


def _unknown_here(draft: Draft) -> None:
    """Another network profile leads to a CSMS that has not been told who comes (2.x B10.FR.10)."""
    link = replace(draft.station.link, registration=Registration.NONE, next_boot_at_s=None, boot_place=None)
    draft.update(link=link)


def link_down(draft: Draft, event: LinkDown) -> None:
    """The line went: questions to the CSMS are judged by the offline rules at once."""
    lost = draft.station.stamp(draft.now)
    draft.update(link=replace(draft.station.link, online=False, boot_sent=False, lost=lost))
    draft.announce("ocpp.disconnected", None, reason=event.reason)
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingToken):
            answered(draft, TokenAnswered(pending.ticket, None))


def boot_when_due(draft: Draft) -> None:
    """BootNotification, when it may be sent (16-BOOT-01, 03)."""
    link = draft.station.link
    if not link.online or link.registration is Registration.ACCEPTED or link.boot_sent:
        return
    if draft.station.isolation is not None:
        return
    if link.next_boot_at_s is not None and draft.now.monotonic_s < link.next_boot_at_s:
        return
    draft.update(link=replace(link, boot_sent=True))
    draft.emit(Notify(NoticeKind.BOOT))


def boot_answered(draft: Draft, event: BootAnswered) -> None:
    """Accepted: the heartbeat interval and the time are the CSMS's. Otherwise wait as long as it says. An answer that
    was on its way when OCPP was stopped says nothing any more."""
    if draft.station.isolation is not None:
        return
    interval_s = event.interval_s if event.interval_s > 0 else OWN_INTERVAL_S
    next_s = None if event.status is Registration.ACCEPTED else draft.now.monotonic_s + interval_s
    link = replace(
        draft.station.link,
        registration=event.status,
        boot_sent=False,
        next_boot_at_s=next_s,
        boot_place=draft.station.access.way.place,
    )
    draft.update(link=link)
    if event.current_time is not None:
        told(draft, TimeTold(event.current_time))
    if event.status is not Registration.ACCEPTED:
        draft.announce("ocpp.boot_rejected", None, status=event.status, retry_in_s=interval_s)
        return
    if event.interval_s > 0:
        _keep_interval(draft, event.interval_s)
    draft.announce("ocpp.boot_accepted")
    _arm_heartbeat(draft)


def _keep_interval(draft: Draft, interval_s: int) -> None:
    """The CSMS's interval becomes the key's value, within the key's bounds: a heartbeat a day sets the clock."""
    configuration = draft.station.configuration
    interval_s = min(interval_s, HEARTBEAT_MAX_S)
    if configuration.number("HeartbeatInterval") != interval_s:
        changed = put(configuration.changed, "HeartbeatInterval", str(interval_s))
        draft.update(configuration=replace(configuration, changed=changed))
        key_watch.changed(draft, REGISTRY["heartbeatinterval"], str(interval_s), by="csms")


def boot_failed(draft: Draft) -> None:
    """No usable answer: try again, not too soon."""
    link = draft.station.link
    at_s = max(draft.now.monotonic_s + RETRY_S, link.next_boot_at_s or 0.0)
    draft.update(link=replace(link, boot_sent=False, next_boot_at_s=at_s))


def registration_lost(draft: Draft) -> None:
    """The CSMS has forgotten that it accepted the station (16-BOOT-06): introduce it again, not too soon."""
    if draft.station.link.registration is Registration.ACCEPTED:
        draft.update(link=replace(draft.station.link, registration=Registration.NONE))
        boot_failed(draft)


# --- heartbeat and time


def heartbeat_when_due(draft: Draft) -> None:
    """One at the interval, however often the line breaks in between (16-J-40); a changed interval counts from now."""
    link = draft.station.link
    if not link.serving:
        return
    interval_s = _heartbeat_interval_s(draft)
    if interval_s == 0:
        if link.next_heartbeat_at_s is not None:
            draft.update(link=replace(link, next_heartbeat_at_s=None))
        return
    due_s = link.next_heartbeat_at_s
    if due_s is not None and draft.now.monotonic_s >= due_s:
        draft.emit(Notify(NoticeKind.HEARTBEAT))
    if due_s is None or not draft.now.monotonic_s < due_s <= draft.now.monotonic_s + interval_s:
        _arm_heartbeat(draft)


def _heartbeat_interval_s(draft: Draft) -> int:
    """0: none. Where the version wants one a day (2.x G02.FR.07), nobody can switch it off."""
    configured_s = draft.station.configuration.number("HeartbeatInterval")
    return HEARTBEAT_MAX_S if configured_s == 0 and draft.station.policy.daily_heartbeat else configured_s


def _arm_heartbeat(draft: Draft) -> None:
    interval_s = _heartbeat_interval_s(draft)
    at_s = draft.now.monotonic_s + interval_s if interval_s > 0 else None
    draft.update(link=replace(draft.station.link, next_heartbeat_at_s=at_s))


def told(draft: Draft, event: TimeTold) -> None:
    """The CSMS told the time; whether it counts is the site's choice, and then TimeSource's (B01.FR.06)."""
    if draft.station.rules.time_from_csms and "Heartbeat" in draft.station.configuration.items("TimeSource"):
        draft.emit(LearnTime(event.utc))


# --- what the CSMS triggers


def trigger(draft: Draft, event: TriggerMessage) -> None:
    """TriggerMessage: the answer first, the message behind it."""
    if event.wanted is None:
        draft.reply(event.request, TriggerStatus.NOT_IMPLEMENTED)
        return
    about = event.wanted in (NoticeKind.STATUS, NoticeKind.METER, NoticeKind.TRANSACTION)
    everywhere = event.connector is None and event.evse in (None, 0)
    place = None if everywhere else place_of(draft.station, event.connector, event.evse, event.connector_id)
    if about and place is None and not everywhere:
        known = event.evse is None or bool(connectors_of(draft.station, event.evse))
        reason = Reason.UNKNOWN_CONNECTOR_ID if known else Reason.UNKNOWN_EVSE
        draft.reply(event.request, TriggerStatus.REJECTED, "no such connector", reason=reason)
        return
    if not draft.station.link.online or draft.station.isolation is not None:
        draft.reply(event.request, TriggerStatus.REJECTED, "the CSMS is not connected")
        return
    if event.wanted is NoticeKind.BOOT and draft.station.link.registration is Registration.ACCEPTED:
        draft.reply(event.request, TriggerStatus.REJECTED, "the station is accepted already")
        return
    numbers = _meant(draft, event, place)
    if event.wanted is NoticeKind.TRANSACTION:
        _tell_transactions(draft, event, numbers)
        return
    notices = _triggered(draft, event.wanted, numbers)
    if not notices:
        draft.reply(event.request, TriggerStatus.REJECTED, "there is nothing to report now")
        return
    draft.reply(event.request, TriggerStatus.ACCEPTED)
    for notice in notices:
        draft.emit(notice)


def _meant(draft: Draft, event: TriggerMessage, place: int | None) -> tuple[int, ...]:
    """The connectors that are asked about, 0 the station itself: one, those of an EVSE, or all (`place` None)."""
    if place is None:
        return (0, *draft.station.connectors)
    if event.evse is not None and event.connector_id is None:
        return connectors_of(draft.station, event.evse)
    return (place,)


def _tell_transactions(draft: Draft, event: TriggerMessage, numbers: tuple[int, ...]) -> None:
    """How each transaction that runs there stands (2.x F06.FR.07): a record, for it is counted."""
    running = [n for n in numbers if draft.station.running(n) is not None]
    if not running:
        detail = "no transaction is running"
        draft.reply(event.request, TriggerStatus.REJECTED, detail, reason=Reason.TX_NOT_FOUND)
        return
    if draft.station.queued + len(running) > metering.MAX_QUEUED:
        detail = "too many messages wait already"
        draft.reply(event.request, TriggerStatus.REJECTED, detail, reason=Reason.OUT_OF_MEMORY)
        return
    draft.reply(event.request, TriggerStatus.ACCEPTED)
    for number in running:
        values = metering.sample(draft.station, number, "MeterValuesSampledData", SampleContext.TRIGGER, draft.now)
        metering.update(draft, number, Trigger.TRIGGER, () if values is None else (values,))


def _triggered(draft: Draft, wanted: NoticeKind, numbers: tuple[int, ...]) -> list[Notify]:
    if wanted is NoticeKind.STATUS:
        return [Notify(wanted, number, triggered=True) for number in numbers]
    if wanted is NoticeKind.METER:
        return [notice for number in numbers if number and (notice := _meter_notice(draft, number)) is not None]
    if wanted is NoticeKind.BOOT:
        draft.update(link=replace(draft.station.link, boot_sent=True))
    return [Notify(wanted, triggered=True)]


def _meter_notice(draft: Draft, number: int) -> Notify | None:
    """The most recent values of what the version triggers (1.6's sampled, 2.x's aligned ones), context Trigger."""
    station = draft.station
    values = metering.sample(station, number, station.policy.triggered_values, SampleContext.TRIGGER, draft.now)
    if values is None:
        return None
    metering.note_reported(draft, number)
    running = station.running(number)
    transaction_id = running.id if running is not None else None
    return Notify(NoticeKind.METER, number, sample=values, transaction_id=transaction_id, triggered=True)
