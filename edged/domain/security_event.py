"""Security events: the list of 1.6's whitepaper and 2.x's appendix, and what becomes of one. A04.

Invariants: every event goes into the security log · a critical one is a durable record for the CSMS, whatever the line
does (A04.FR.02) · no event carries a secret · of one type at most `MAX_AN_HOUR` are written and told an hour, however
often somebody provokes it: the others are counted, and the next one that is told says how many there were · at most
`MAX_QUEUED` wait for the CSMS; what finds no room any more is counted in one that does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from enum import StrEnum

from edged.domain.answers import Undelivered, Verdict
from edged.domain.commands import ReportSecurityEvent
from edged.domain.effects import Keep, SecurityRecord
from edged.domain.events import SuspicionRaised
from edged.domain.journal import SecurityEntry
from edged.domain.station import SecurityTally, Station
from edged.domain.transition import Draft, put
from edged.domain.types import Stamp

MAX_TYPE_CHARS = 50
MAX_INFO_CHARS = 255
MAX_AN_HOUR = 10
HOUR_S = 3600.0
MAX_TYPES = 64
"""Types that are counted each for itself; a local actor can invent more, and those are counted together."""
_OTHERS = ""
MAX_QUEUED = 1000
"""For a CSMS that is away for months. Away with the others: first those that are not critical, then the oldest of the
type that has most. Never the first in the queue: it may be under way."""


class SecurityEvent(StrEnum):
    """The events that have a name; 2.x words, which 1.6 words a little differently (its dialect's matter)."""

    FIRMWARE_UPDATED = "FirmwareUpdated"
    WE_FAILED_TO_AUTHENTICATE = "FailedToAuthenticateAtCsms"
    CSMS_FAILED_TO_AUTHENTICATE = "CsmsFailedToAuthenticate"
    SETTING_SYSTEM_TIME = "SettingSystemTime"
    STARTUP = "StartupOfTheDevice"
    RESET_OR_REBOOT = "ResetOrReboot"
    LOG_CLEARED = "SecurityLogWasCleared"
    RECONFIGURATION = "ReconfigurationOfSecurityParameters"
    MEMORY_EXHAUSTION = "MemoryExhaustion"
    INVALID_MESSAGES = "InvalidMessages"
    REPLAY = "AttemptedReplayAttacks"
    TAMPER = "TamperDetectionActivated"
    INVALID_FIRMWARE_SIGNATURE = "InvalidFirmwareSignature"
    INVALID_SIGNING_CERTIFICATE = "InvalidFirmwareSigningCertificate"
    INVALID_CSMS_CERTIFICATE = "InvalidCsmsCertificate"
    INVALID_STATION_CERTIFICATE = "InvalidChargingStationCertificate"
    INVALID_TLS_VERSION = "InvalidTLSVersion"
    INVALID_TLS_CIPHER = "InvalidTLSCipherSuite"
    MAINTENANCE_LOGIN = "MaintenanceLoginAccepted"
    MAINTENANCE_LOGIN_FAILED = "MaintenanceLoginFailed"
    DISCARDED_CERTIFICATE = "DiscardedRenewedClientCertificate"


TOLD = frozenset(
    {
        SecurityEvent.FIRMWARE_UPDATED,
        SecurityEvent.SETTING_SYSTEM_TIME,
        SecurityEvent.STARTUP,
        SecurityEvent.RESET_OR_REBOOT,
        SecurityEvent.LOG_CLEARED,
        SecurityEvent.MEMORY_EXHAUSTION,
        SecurityEvent.TAMPER,
        SecurityEvent.MAINTENANCE_LOGIN,
        SecurityEvent.MAINTENANCE_LOGIN_FAILED,
        SecurityEvent.DISCARDED_CERTIFICATE,
        # not critical in 1.6, but its test cases want to hear of them (0.1)
        SecurityEvent.INVALID_FIRMWARE_SIGNATURE,
        SecurityEvent.INVALID_SIGNING_CERTIFICATE,
        SecurityEvent.INVALID_CSMS_CERTIFICATE,
        SecurityEvent.INVALID_STATION_CERTIFICATE,
    }
)
"""Those that the CSMS is told of, whatever its version."""

CRITICAL = TOLD - {
    SecurityEvent.INVALID_FIRMWARE_SIGNATURE,
    SecurityEvent.INVALID_SIGNING_CERTIFICATE,
    SecurityEvent.INVALID_CSMS_CERTIFICATE,
    SecurityEvent.INVALID_STATION_CERTIFICATE,
}

_KNOWN = {
    **{event.value.casefold(): event for event in SecurityEvent},
    # as they were called before there were charging stations
    "failedtoauthenticateatcentralsystem": SecurityEvent.WE_FAILED_TO_AUTHENTICATE,
    "centralsystemfailedtoauthenticate": SecurityEvent.CSMS_FAILED_TO_AUTHENTICATE,
    "invalidcentralsystemcertificate": SecurityEvent.INVALID_CSMS_CERTIFICATE,
    "invalidchargepointcertificate": SecurityEvent.INVALID_STATION_CERTIFICATE,
}


def note(draft: Draft, event: SecurityEvent, info: str = "") -> None:
    """Something happened that the security log must have, and the CSMS where it is critical."""
    _write(draft, event.value, info, draft.station.stamp(draft.now), told=_is_told(draft.station, event))


def _is_told(station: Station, event: SecurityEvent | None) -> bool:
    return event is not None and (event in TOLD or event.value in station.policy.critical_events)


def report(draft: Draft, event: ReportSecurityEvent) -> None:
    """A local actor reports one (A04), by its old name or its new one. A name that is not in the list is told unless it
    is said not to be critical. Refused where too many of its type have come, or while OCPP is stopped: nobody is
    promised what is not kept."""
    if draft.station.isolation is not None:
        draft.reply(event.request, Undelivered.OFFLINE, "OCPP is stopped, and nothing is kept for the CSMS")
        return
    known = _KNOWN.get(event.event_type.casefold())
    told = event.critical if event.critical is not None else known is None or _is_told(draft.station, known)
    at = draft.station.stamp(draft.now)
    if event.at is not None:
        at = Stamp(event.at, True, draft.station.boot.id)
    if _write(draft, event.event_type if known is None else known.value, event.info, at, told=told):
        draft.reply(event.request, Verdict.ACCEPTED)
    else:
        draft.reply(event.request, Verdict.REJECTED, f"more than {MAX_AN_HOUR} events of this type in an hour")


def suspicion(draft: Draft, event: SuspicionRaised) -> None:
    """A shell has noticed something."""
    known = _KNOWN.get(event.event_type.casefold())
    event_type = event.event_type if known is None else known.value
    _write(draft, event_type, event.info, draft.station.stamp(draft.now), told=_is_told(draft.station, known))


def _write(draft: Draft, event_type: str, info: str, at: Stamp, *, told: bool) -> bool:
    """Whether it was written: not where too many have come."""
    event_type = _printable(event_type)[:MAX_TYPE_CHARS]
    withheld = _count(draft, event_type)
    if withheld is None:
        return False
    info = _printable(info)
    if withheld:
        more = f"; {withheld} more were not told"
        info = info[: MAX_INFO_CHARS - len(more)] + more
    info = info[:MAX_INFO_CHARS]
    draft.emit(Keep(SecurityEntry(at=at, event_type=event_type, info=info, critical=told)))
    if told:
        _make_room(draft)
        draft.enqueue(SecurityRecord(event_type, at, info))
    draft.announce("security.event", None, type=event_type, info=info)
    return True


def _make_room(draft: Draft) -> None:
    """For one more in the queue. What leaves it stays in the security log, and its number is told. While OCPP is
    stopped there is no one more: what waits keeps its place."""
    if len(draft.station.security_queue) < MAX_QUEUED or draft.station.isolation is not None:
        return
    dropped, first = 0, min(draft.station.security_queue)
    note_of = [seq for seq, one in draft.station.security_queue.items() if one.dropped and seq != first]
    for seq in note_of:
        dropped += draft.station.security_queue[seq].dropped
        draft.dequeue(seq, draft.station.security_queue[seq])
    while len(draft.station.security_queue) > MAX_QUEUED - 2:
        seq = _least_needed(draft.station.security_queue, CRITICAL | draft.station.policy.critical_events)
        draft.dequeue(seq, draft.station.security_queue[seq])
        dropped += 1
    if not note_of:
        draft.announce("security.events_dropped", None, reason=f"more than {MAX_QUEUED} wait for the CSMS")
    info = f"{dropped} security events found no room in the queue and are not told"
    at = draft.station.stamp(draft.now)
    draft.enqueue(SecurityRecord(SecurityEvent.MEMORY_EXHAUSTION.value, at, info, dropped))


def _least_needed(queue: Mapping[int, SecurityRecord], critical: Collection[str]) -> int:
    """Which of those behind the first goes."""
    behind = sorted(queue)[1:]
    often = Counter(queue[seq].event_type for seq in behind)
    return min(behind, key=lambda seq: (queue[seq].event_type in critical, -often[queue[seq].event_type], seq))


def _count(draft: Draft, event_type: str) -> int | None:
    """How many of the type were withheld before this one; None: this one is withheld too."""
    tallies = draft.station.security_tally
    key = event_type if event_type in tallies or len(tallies) < MAX_TYPES else _OTHERS
    now_s = draft.now.monotonic_s
    tally = tallies.get(key, SecurityTally(now_s))
    if now_s - tally.since_s >= HOUR_S:
        tally = SecurityTally(now_s, 0, tally.withheld)
    if tally.told >= MAX_AN_HOUR:
        draft.update(security_tally=put(tallies, key, replace(tally, withheld=tally.withheld + 1)))
        return None
    draft.update(security_tally=put(tallies, key, replace(tally, told=tally.told + 1, withheld=0)))
    return tally.withheld


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[: 4 * MAX_INFO_CHARS])
