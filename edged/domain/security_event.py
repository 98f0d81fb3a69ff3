"""Security events: the list of 1.6's whitepaper and 2.x's appendix, and what becomes of one. A04.

Invariants: every event goes into the security log · a critical one is a durable record for the CSMS, whatever the line
does (A04.FR.02) · no event carries a secret.
"""

from __future__ import annotations

from enum import StrEnum

from edged.domain.answers import Verdict
from edged.domain.commands import ReportSecurityEvent
from edged.domain.effects import Keep, SecurityRecord
from edged.domain.events import SuspicionRaised
from edged.domain.journal import SecurityEntry
from edged.domain.transition import Draft
from edged.domain.types import Stamp

MAX_TYPE_CHARS = 50
MAX_INFO_CHARS = 255


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


TOLD = frozenset(
    {
        SecurityEvent.FIRMWARE_UPDATED,
        SecurityEvent.SETTING_SYSTEM_TIME,
        SecurityEvent.STARTUP,
        SecurityEvent.RESET_OR_REBOOT,
        SecurityEvent.LOG_CLEARED,
        SecurityEvent.MEMORY_EXHAUSTION,
        SecurityEvent.TAMPER,
        # not critical in 1.6, but its test cases want to hear of them (0.1)
        SecurityEvent.INVALID_FIRMWARE_SIGNATURE,
        SecurityEvent.INVALID_SIGNING_CERTIFICATE,
        SecurityEvent.INVALID_CSMS_CERTIFICATE,
        SecurityEvent.INVALID_STATION_CERTIFICATE,
    }
)
"""Those that the CSMS is told of."""


def note(draft: Draft, event: SecurityEvent, info: str = "") -> None:
    """Something happened that the security log must have, and the CSMS where it is critical."""
    _write(draft, event.value, info, draft.station.stamp(draft.now), told=event in TOLD)


def report(draft: Draft, event: ReportSecurityEvent) -> None:
    """A local actor reports one (A04); a name that is not in the list is told unless it is said not to be critical."""
    known = {one.value: one for one in SecurityEvent}.get(event.event_type)
    told = event.critical if event.critical is not None else known is None or known in TOLD
    at = draft.station.stamp(draft.now)
    if event.at is not None:
        at = Stamp(event.at, True, draft.station.boot.id)
    _write(draft, event.event_type, event.info, at, told=told)
    draft.reply(event.request, Verdict.ACCEPTED)


def suspicion(draft: Draft, event: SuspicionRaised) -> None:
    """A shell has noticed something."""
    note(draft, SecurityEvent(event.event_type), event.info)


def _write(draft: Draft, event_type: str, info: str, at: Stamp, *, told: bool) -> None:
    event_type, info = event_type[:MAX_TYPE_CHARS], info[:MAX_INFO_CHARS]
    draft.emit(Keep(SecurityEntry(at=at, event_type=event_type, info=info, critical=told)))
    if told:
        draft.enqueue(SecurityRecord(event_type, at, info))
    draft.announce("security.event", None, type=event_type, info=info)
