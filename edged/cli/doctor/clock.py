"""The clock: is the time right, who sets it, and does edged know that. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from edged.cli.doctor.finding import Finding, Findings

EARLIEST_YEAR, LATEST_YEAR = 2025, 2100
SMALL_S, LARGE_S = 5.0, 300.0
"""An HTTP date has whole seconds, and its answer takes a while."""
CLIENTS = ("systemd-timesyncd", "chrony", "chronyd", "ntpsec", "ntp", "ntpd", "openntpd")
TIMESYNCD = CLIENTS[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Somebody else's time, and how far ours is before (positive) or behind it."""

    whose: str
    ahead_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFacts:
    """`ntp_flag`: timesyncd has set the clock since boot, which is what edged looks at. `synchronized`: what timedated
    says, None unknown. `clients`: those that run. `daemon_trusts`: whether the daemon knows the time, None unknown."""

    now: datetime
    ntp_flag: bool = False
    synchronized: bool | None = None
    clients: tuple[str, ...] = ()
    has_timesyncd: bool = True
    knows_clients: bool = True
    has_rtc: bool = True
    has_fake_hwclock: bool = False
    daemon_trusts: bool | None = None
    only_host: bool = False
    comparisons: tuple[Comparison, ...] = ()


def parse_timedate(text: str) -> bool | None:
    """NTPSynchronized of `timedatectl show`."""
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "NTPSynchronized":
            return {"yes": True, "no": False}.get(value.strip())
    return None


def judge(facts: ClockFacts) -> tuple[Finding, ...]:
    found = Findings("clock")
    _year(found, facts)
    _synchronization(found, facts)
    for each in facts.comparisons:
        _offset(found, each, facts)
    _battery(found, facts)
    return found.made


def _said(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _set_again(facts: ClockFacts) -> str:
    if not facts.clients:
        return "sudo timedatectl set-ntp true" if facts.has_timesyncd else "sudo apt install systemd-timesyncd"
    if TIMESYNCD in facts.clients:
        return "sudo systemctl restart systemd-timesyncd && timedatectl timesync-status"
    return f"sudo systemctl restart {facts.clients[0]} && timedatectl"


def _year(found: Findings, facts: ClockFacts) -> None:
    if EARLIEST_YEAR <= facts.now.year < LATEST_YEAR:
        return
    sentence = f"the clock says {_said(facts.now)}, which cannot be"
    if facts.daemon_trusts:
        found.warning("time", f"{sentence}; edged goes by the time of its CSMS instead", _set_again(facts))
    else:
        found.failed(
            "time", f"{sentence}: no certificate is valid then, and nothing ends when it should", _set_again(facts)
        )


def _synchronization(found: Findings, facts: ClockFacts) -> None:
    if facts.ntp_flag:
        found.ok("synchronization", f"the network has set the clock; it says {_said(facts.now)}")
        return
    others = [name for name in facts.clients if name != TIMESYNCD]
    trusts = "; edged knows the time from its CSMS" if facts.daemon_trusts else ""
    if others and facts.synchronized:
        sentence = f"{others[0]} keeps the clock, and edged sees only what systemd-timesyncd does"
        if facts.only_host:
            found.warning("synchronization", f"{sentence}: with time_source: host it never trusts the time", _INSTEAD)
        elif trusts:
            found.ok("synchronization", f"{others[0]} keeps the clock{trusts}")
        else:
            found.note(
                "synchronization", f"{sentence}: until the CSMS tells it the time nothing ends by date", _INSTEAD
            )
        return
    if not facts.clients:
        if not facts.knows_clients:
            found.note("synchronization", f"it is not known whether anybody sets the clock{trusts}", "timedatectl")
            return
        sentence = f"nothing sets the clock by the network{trusts}"
    else:
        sentence = f"{facts.clients[0]} runs and has not set the clock since the computer started{trusts}"
    if facts.daemon_trusts:
        found.note("synchronization", sentence, _set_again(facts))
    else:
        found.warning("synchronization", f"{sentence}: reservations do not end by date before that", _set_again(facts))


_INSTEAD = "sudo apt install systemd-timesyncd && sudo timedatectl set-ntp true"


def _offset(found: Findings, each: Comparison, facts: ClockFacts) -> None:
    off_s = abs(each.ahead_s)
    if off_s < SMALL_S:
        found.ok("offset", f"the clock agrees with that of {each.whose} within {SMALL_S:g} s")
        return
    sentence = f"the clock is {_length(off_s)} {'ahead of' if each.ahead_s > 0 else 'behind'} that of {each.whose}"
    if off_s >= LARGE_S:
        found.failed("offset", sentence, _set_again(facts))
    else:
        found.warning("offset", sentence, _set_again(facts))


def _length(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _battery(found: Findings, facts: ClockFacts) -> None:
    if facts.has_rtc:
        found.ok("battery", "the computer has a clock of its own that runs without power")
    elif facts.has_fake_hwclock:
        found.ok("battery", "no clock runs without power; fake-hwclock keeps the last time over a restart")
    elif TIMESYNCD in facts.clients:
        found.ok("battery", "no clock runs without power; systemd-timesyncd keeps the last time over a restart")
    else:
        found.note(
            "battery",
            "no clock runs without power, and nothing keeps the last time over a restart",
            "sudo apt install fake-hwclock",
        )
