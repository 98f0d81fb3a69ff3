"""Charging profiles: installing, clearing, and what they come to now. 1.6 §3.13, 2.x K."""

from __future__ import annotations

from edged.domain.answers import ClearStatus, ProfileStatus, Verdict
from edged.domain.commands import ClearChargingProfile, GetCompositeSchedule, SetChargingProfile
from edged.domain.transition import Draft


def install(draft: Draft, event: SetChargingProfile) -> None:
    draft.reply(event.request, ProfileStatus.NOT_SUPPORTED)


def clear(draft: Draft, event: ClearChargingProfile) -> None:
    draft.reply(event.request, ClearStatus.UNKNOWN)


def compose(draft: Draft, event: GetCompositeSchedule) -> None:
    draft.reply(event.request, Verdict.REJECTED)


def refresh(draft: Draft) -> None:
    """Nothing yet."""
