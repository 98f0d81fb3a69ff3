"""The package and its unit: does it run, does it come back, does anything tell afterwards what happened. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edged.cli.doctor import packages
from edged.cli.doctor.finding import Finding, Findings
from edged.cli.doctor.places import UNIT, write_file

Properties = Mapping[str, tuple[str, ...]]
"""What systemctl shows of a unit; a key may stand there several times."""
SHOWN = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,Result,NRestarts,ExecMainStatus,ExecMainCode,ConditionResult,"
    "NeedDaemonReload,User,SupplementaryGroups,DevicePolicy,DeviceAllow,FragmentPath"
)
REBOOT_PATH, FIRMWARE_PATH = "edged-reboot.path", "edged-firmware.path"
MANY_RESTARTS = 5
JOURNAL_DROP_IN = "/etc/systemd/journald.conf.d/60-edged.conf"
WATCHDOG_DROP_IN = "/etc/systemd/system.conf.d/60-edged.conf"
LOG = "sudo journalctl -u edged -n 50 --no-pager"
_BY_STATUS = {
    "78": ("the configuration is wrong, or what is kept here needs a person", f"sudo edged check; {LOG}"),
    "200": ("its working directory cannot be entered", f"systemctl cat {UNIT}"),
    "203": ("its program cannot be executed", "sudo apt install --reinstall edged"),
    "216": ("a group of the unit does not exist", f"systemctl show {UNIT} -p Group -p SupplementaryGroups"),
    "217": ("the user of the unit does not exist", "sudo systemd-sysusers && sudo systemctl restart edged"),
    "226": ("its sandbox cannot be made", f"systemctl cat {UNIT}"),
    "238": ("its state directory cannot be made", "ls -ld /var/lib /var/lib/edged"),
    "243": (
        "its credentials cannot be loaded",
        "sudo install -d -m 700 -o root -g root /etc/edged/credentials && sudo systemctl restart edged",
    ),
}
_BY_RESULT = {
    "watchdog": "it hung and was killed by the watchdog (the stack of the hang is in the journal)",
    "timeout": "it did not become ready in time",
    "oom-kill": "the kernel killed it for want of memory",
    "signal": "it was killed by a signal",
    "core-dump": "it crashed",
    "resources": "the computer had not enough resources to start it",
    "protocol": "it ended without having become ready",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """How the journal is kept: `storage` as configured (auto where nobody says); whether it has a folder on disk."""

    storage: str = "auto"
    has_folder: bool = False

    @property
    def lasts(self) -> bool:
        return self.storage == "persistent" or (self.storage == "auto" and self.has_folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """`problem`: why systemctl shows nothing, empty where it does. `watchdog`: systemd's RuntimeWatchdogUSec, None
    unknown. `needs`: units that the configuration wants, and for what.
    `packages`: None where there is no dpkg."""

    version: str
    daemon_version: str | None = None
    daemon_runs: bool = False
    booted: bool = True
    problem: str = ""
    units: Mapping[str, Properties] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    watchdog: str | None = None
    has_watchdog: bool = False
    journal: Journal | None = None
    has_cryptography: bool = True
    packages: packages.Packages | None = None
    config: str = "/etc/edged/edged.yaml"


def parse_units(text: str) -> dict[str, Properties]:
    """Blocks of KEY=VALUE lines with an Id in each; anything else is passed over."""
    units: dict[str, Properties] = {}
    for block in text.split("\n\n")[:64]:
        found: dict[str, tuple[str, ...]] = {}
        for line in block.splitlines()[:512]:
            key, equals, value = line.partition("=")
            if equals and key.isascii() and key.isalnum():
                found[key] = (*found.get(key, ()), value.strip()[:512])
        name = one(found, "Id")
        if name:
            units[name] = found
    return units


def one(unit: Properties, key: str) -> str:
    """The last value of a key."""
    return unit.get(key, ("",))[-1]


def storage_of(texts: tuple[str, ...]) -> str:
    """Storage= of journald's files, in the order in which they are read; the last one counts."""
    storage = "auto"
    for text in texts:
        section = ""
        for line in map(str.strip, text.splitlines()):
            if line.startswith("["):
                section = line
            key, equals, value = line.partition("=")
            if equals and key.strip() == "Storage" and section == "[Journal]":
                storage = value.strip().lower() or "auto"
    return storage


def judge(facts: ServiceFacts) -> tuple[Finding, ...]:
    found = Findings("service")
    _version(found, facts)
    if facts.packages is not None:
        packages.judge(found, facts.packages)
    if not facts.booted or facts.problem:
        why = facts.problem or "this computer was not booted by systemd"
        found.note(
            "systemd",
            f"{why}: nothing is known of the service, and without systemd nothing starts edged again",
            f"edged run -c {facts.config} --state /var/lib/edged",
        )
    else:
        _unit(found, facts)
        for name, why in facts.needs.items():
            _needed(found, name, why, facts.units.get(name, {}))
        _watchdog(found, facts)
    _journal(found, facts.journal)
    return found.made


def _version(found: Findings, facts: ServiceFacts) -> None:
    running = facts.daemon_version
    if running is not None and running != facts.version:
        found.warning(
            "version",
            f"edged {facts.version} is installed and {running[:40]} still runs: it was not started again",
            "sudo systemctl restart edged",
        )
    else:
        found.ok("version", f"edged {facts.version}" + (", and the daemon answers" if facts.daemon_runs else ""))
    if not facts.has_cryptography:
        found.note(
            "cryptography",
            "the packages for certificates are not there: a CSMS can install no certificate and no signed firmware",
            "sudo apt install python3-cryptography python3-openssl",
        )


def _unit(found: Findings, facts: ServiceFacts) -> None:
    unit = facts.units.get(UNIT, {})
    load, enabled = one(unit, "LoadState"), one(unit, "UnitFileState")
    if not unit or load == "not-found":
        found.warning(
            UNIT,
            "there is no unit edged.service: nothing starts edged at boot, or after a crash",
            "sudo apt install ./edged_*.deb",
        )
        return
    if load == "masked" or enabled.startswith("masked"):
        found.failed(UNIT, "the unit is masked: it cannot be started", "sudo systemctl unmask edged")
        return
    if load not in ("loaded", ""):
        found.failed(UNIT, f"the unit cannot be loaded ({load})", f"systemd-analyze verify {UNIT}")
        return
    _activity(found, unit)
    if enabled == "disabled":
        found.warning(UNIT, "edged is not started at boot", "sudo systemctl enable edged")
    if one(unit, "NeedDaemonReload") == "yes":
        found.warning(UNIT, "the unit has changed on disk since systemd read it", "sudo systemctl daemon-reload")
    _restarts(found, unit)


def _activity(found: Findings, unit: Properties) -> None:
    active, sub = one(unit, "ActiveState"), one(unit, "SubState")
    why, command = _last_end(unit)
    if active == "active":
        found.ok(
            UNIT, f"the service runs ({sub or active}), {one(unit, 'UnitFileState') or 'state of the file unknown'}"
        )
    elif active in ("activating", "reloading") and sub != "auto-restart":
        found.note(UNIT, f"the service is on its way ({active}, {sub})", "systemctl status edged")
    elif active == "activating":
        found.failed(UNIT, f"the service is started again and again: {why}", command)
    elif one(unit, "ConditionResult") == "no" and active in ("inactive", "failed"):
        found.failed(
            UNIT,
            "the service was not started, for a condition of its unit is not met (mostly: there is no configuration)",
            "sudo edged setup",
        )
    elif active == "failed":
        found.failed(UNIT, f"the service has failed and is not tried again: {why}", command)
    else:
        found.failed(UNIT, f"the service does not run ({active or 'state unknown'})", "sudo systemctl start edged")


def _last_end(unit: Properties) -> tuple[str, str]:
    """Why it ended last, and where to look."""
    result, status = one(unit, "Result"), one(unit, "ExecMainStatus")
    if result in _BY_RESULT:
        return _BY_RESULT[result], LOG
    if status in _BY_STATUS:
        why, command = _BY_STATUS[status]
        return f"{why} (status {status})", command
    return f"it ended with status {status or 'unknown'} ({result or 'unknown'})", LOG


def _restarts(found: Findings, unit: Properties) -> None:
    text = one(unit, "NRestarts")
    count = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
    if not count:
        return
    sentence = (
        f"systemd has started the service again {count} time{'s' if count > 1 else ''} since it was first started"
    )
    if count >= MANY_RESTARTS:
        found.warning("restarts", f"{sentence}; last: {_last_end(unit)[0]}", LOG)
    else:
        found.note("restarts", sentence, LOG)


def _needed(found: Findings, name: str, why: str, unit: Properties) -> None:
    if one(unit, "ActiveState") != "active":
        found.warning(name, f"{why}, and {name} does not watch for it", f"sudo systemctl enable --now {name}")


def _watchdog(found: Findings, facts: ServiceFacts) -> None:
    if facts.watchdog in ("0", "off") and facts.has_watchdog:
        found.note(
            "watchdog",
            "the computer has a hardware watchdog and systemd does not feed it: a hung kernel stays hung",
            write_file(WATCHDOG_DROP_IN, "[Manager]", "RuntimeWatchdogSec=1min", then="sudo systemctl daemon-reexec"),
        )
    elif facts.watchdog and facts.has_watchdog:
        found.ok("watchdog", f"the hardware watchdog restarts a hung computer ({facts.watchdog[:20]})")


def _journal(found: Findings, journal: Journal | None) -> None:
    if journal is None:
        return
    if journal.lasts:
        found.ok("journal", "the journal outlasts a reboot")
        return
    lines = ("[Journal]", "Storage=persistent", "SystemMaxUse=64M")
    found.note(
        "journal",
        f"the journal is lost at each reboot (Storage={journal.storage[:20]}); to keep 64 MB of it on the disk",
        write_file(JOURNAL_DROP_IN, *lines, then="sudo systemctl restart systemd-journald"),
    )
