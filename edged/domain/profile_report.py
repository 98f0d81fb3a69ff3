"""GetChargingProfiles: what is installed, told in pages. 2.x K09.

A page holds profiles of one place and one source, and few of them: a profile may have very many periods.
"""

from __future__ import annotations

from edged.domain import reporting
from edged.domain.answers import ReportStatus
from edged.domain.charging import InstalledProfile, LimitSource, ProfileGroup
from edged.domain.charging_commands import GetChargingProfiles
from edged.domain.effects import ReportKind
from edged.domain.profile_flaws import NOT_ENABLED, enabled
from edged.domain.transition import Draft

PAGE_PROFILES = 5


def tell(draft: Draft, event: GetChargingProfiles) -> None:
    """Accepted, and the profiles that fit behind it; NoProfiles where none do (K09.FR.01 to 06)."""
    if not enabled(draft.station):
        draft.reply(event.request, ReportStatus.NO_PROFILES, NOT_ENABLED.detail, reason=NOT_ENABLED.reason)
        return
    found = [one for one in draft.station.charging_profiles.values() if _fits(event, one)]
    if not found:
        draft.reply(event.request, ReportStatus.NO_PROFILES)
    elif not reporting.has_room(draft.station):
        draft.reply(event.request, ReportStatus.BUSY, "too many reports are under way")
    else:
        draft.reply(event.request, ReportStatus.ACCEPTED)
        reporting.begin(draft, ReportKind.CHARGING_PROFILES, event.request_id, _grouped(found))


def _fits(event: GetChargingProfiles, one: InstalledProfile) -> bool:
    """Whether a profile is meant: installed just there (what holds for all EVSEs is the station's), and what is given
    fits."""
    profile = one.profile
    return (
        event.evse in (None, one.evse_id)
        and event.purpose in (None, profile.purpose)
        and event.stack_level in (None, profile.stack_level)
        and (not event.ids or profile.id in event.ids)
        and (not event.sources or one.source in event.sources)
    )


def _grouped(found: list[InstalledProfile]) -> tuple[ProfileGroup, ...]:
    groups: dict[tuple[int, LimitSource], list[InstalledProfile]] = {}
    for one in sorted(found, key=lambda one: (one.evse_id, one.source, one.profile.id)):
        groups.setdefault((one.evse_id, one.source), []).append(one)
    return tuple(
        ProfileGroup(evse_id=evse_id, source=source, profiles=tuple(members[at : at + PAGE_PROFILES]))
        for (evse_id, source), members in groups.items()
        for at in range(0, len(members), PAGE_PROFILES)
    )
