"""What this computer tells of its service, its clock and its disk. Blocking, bounded, changes nothing."""

from __future__ import annotations

import importlib.util
import os
import pwd
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edged import __version__
from edged.cli.doctor import clock, disk, packages, service
from edged.cli.doctor.computer import Computer
from edged.cli.doctor.configuration import Site
from edged.cli.doctor.daemon import Daemon
from edged.cli.doctor.places import UNIT
from edged.domain.effects import RestartScope
from edged.settings.model import TimeSource
from edged.system import crash

NTP_FLAG: Final = "/run/systemd/timesync/synchronized"
BOOTED: Final = "/run/systemd/system"
_JOURNAL_FOLDERS: Final = ("/usr/lib", "/usr/local/lib", "/run", "/etc")
"""Later ones hide files of the same name in earlier ones."""
_MOST_FILES: Final = 256
_FOLDERS: Final = ("keys", "transfer")
_OWN: Final = frozenset({*_FOLDERS, crash.NAME, crash.LAST_NAME})


def look_at_service(site: Site, daemon: Daemon, computer: Computer) -> service.ServiceFacts:
    booted = computer.has(BOOTED)
    units: dict[str, service.Properties] = {}
    problem, watchdog = "", None
    if booted:
        names = (UNIT, service.REBOOT_PATH, service.FIRMWARE_PATH)
        answer = computer.run("systemctl", "show", *names, "-p", service.SHOWN)
        units = service.parse_units(answer.text)
        if not units:
            problem = answer.problem or f"systemctl shows nothing (status {answer.status})"
        told = computer.run("systemctl", "show", "-p", "RuntimeWatchdogUSec").text.strip()
        watchdog = told.removeprefix("RuntimeWatchdogUSec=") if told.startswith("RuntimeWatchdogUSec=") else None
    version = daemon.status.get("version")
    return service.ServiceFacts(
        version=__version__,
        daemon_version=version if isinstance(version, str) else None,
        daemon_runs=daemon.runs,
        booted=booted,
        problem=problem,
        units=units,
        needs=_needs(site),
        watchdog=watchdog,
        has_watchdog=computer.has("/dev/watchdog0") or computer.has("/dev/watchdog"),
        journal=_journal(computer) if booted else None,
        has_cryptography=all(importlib.util.find_spec(name) for name in ("cryptography", "OpenSSL")),
        packages=_packages(computer),
        config=str(site.page.path),
    )


def _packages(computer: Computer) -> packages.Packages | None:
    if computer.command("dpkg-query") is None:
        return None
    if "dpkg" in computer.processes():
        return packages.Packages(busy=True)
    answer = computer.run("dpkg-query", "-W", "-f", packages.FORMAT)
    return packages.Packages(
        halves=packages.parse_packages(answer.text),
        problem=answer.problem or ("" if answer.status == 0 else f"dpkg-query ends with status {answer.status}"),
        unreadable=answer.status == 2,
        cut=packages.is_journal(computer.names(packages.JOURNAL)),
    )


def _needs(site: Site) -> Mapping[str, str]:
    settings = site.settings
    needs = {}
    if settings is not None and settings.gateway.hard_reset is RestartScope.HOST:
        needs[service.REBOOT_PATH] = "a Hard reset restarts the computer (hard_reset: host)"
    if settings is not None and settings.firmware.install:
        needs[service.FIRMWARE_PATH] = "the CSMS may have firmware installed (firmware: install)"
    return needs


def _journal(computer: Computer) -> service.Journal:
    files: dict[str, str] = {}
    for folder in _JOURNAL_FOLDERS:
        place = f"{folder}/systemd/journald.conf.d"
        for name in (computer.names(place) or ())[:_MOST_FILES]:
            if name.endswith(".conf"):
                files[name] = f"{place}/{name}"
    texts = [computer.text("/etc/systemd/journald.conf") or ""]
    texts += [computer.text(files[name]) or "" for name in sorted(files)]
    return service.Journal(storage=service.storage_of(tuple(texts)), has_folder=computer.has("/var/log/journal"))


def look_at_clock(site: Site, daemon: Daemon, computer: Computer) -> clock.ClockFacts:
    told = daemon.clock
    comparisons: tuple[clock.Comparison, ...] = ()
    flag = computer.has(NTP_FLAG)
    if told is not None and told[1] and not flag and daemon.asked_at is not None:
        ahead_s = (daemon.asked_at - told[0]).total_seconds()
        comparisons = (clock.Comparison(whose="the CSMS that edged asks", ahead_s=ahead_s),)
    active, knows = _active(clock.CLIENTS, computer)
    settings = site.settings
    return clock.ClockFacts(
        now=datetime.now(UTC),
        ntp_flag=flag,
        synchronized=clock.parse_timedate(computer.run("timedatectl", "show").text),
        clients=active,
        knows_clients=knows,
        has_timesyncd=any(
            computer.has(f"{folder}/systemd/system/systemd-timesyncd.service")
            for folder in ("/usr/lib", "/lib", "/etc")
        ),
        has_rtc=any(name.startswith("rtc") for name in computer.names("/sys/class/rtc") or ()),
        has_fake_hwclock=computer.has("/etc/fake-hwclock.data") or computer.command("fake-hwclock") is not None,
        daemon_trusts=None if told is None else told[1],
        only_host=settings is not None and settings.gateway.time_source is TimeSource.HOST,
        comparisons=comparisons,
    )


def _active(names: tuple[str, ...], computer: Computer) -> tuple[tuple[str, ...], bool]:
    """Which of these services run, and whether that could be asked at all."""
    told = computer.run("systemctl", "is-active", *names).text.split()
    if len(told) == len(names):
        return tuple(name for name, state in zip(names, told, strict=True) if state == "active"), True
    programs = computer.processes()
    running = tuple(name for name in names if name[:15] in programs)  # the kernel keeps no more of a name
    return running, bool(programs)


def look_at_disk(
    site: Site, daemon: Daemon, computer: Computer, state_dir: Path, database: disk.Database | None, user: str | None
) -> disk.DiskFacts:
    about, hidden = None, False
    try:
        about = computer.at(state_dir).stat()
    except PermissionError:
        hidden = True
    except OSError:
        pass
    owned = None if about is None or not stat.S_ISDIR(about.st_mode) else owned_by(str(state_dir), about)
    names = computer.names(state_dir)
    exists = next((each for each in (state_dir, *state_dir.parents) if computer.has(each)), Path("/"))
    store = daemon.status.get("store")
    return disk.DiskFacts(
        state_dir=str(state_dir),
        state=owned,
        hidden=hidden,
        no_folder=about is not None and owned is None,
        user=user,
        daemon_runs=daemon.runs,
        mount=disk.mount_of(os.path.realpath(exists), disk.parse_mounts(computer.text("/proc/self/mountinfo") or "")),
        room=_room(computer.at(exists)),
        store=store[:500] if isinstance(store, str) else "",
        database=database,
        aside=None
        if names is None
        else tuple(name for name in names if name.startswith("edged.db") and _is_aside(name)),
        kept=_kept(state_dir, computer),
        credentials=_credentials(site, computer),
    )


def _kept(folder: Path, computer: Computer) -> tuple[disk.Owned, ...]:
    """What edged itself keeps in the state and one folder below, by its owner. A person may put more there."""
    found: list[disk.Owned] = []
    for each in (folder, *(folder / name for name in _FOLDERS)):
        for name in (computer.names(each) or ())[:_MOST_FILES]:
            is_ours = each != folder or name in _OWN or (name.startswith("edged.db") and not _is_aside(name))
            told = computer.stat(each / name) if is_ours else None
            if told is not None:
                found.append(owned_by(str(each / name), told))
    return tuple(found)


def _is_aside(name: str) -> bool:
    return ".damaged-" in name and not name.endswith(("-wal", "-shm", "-journal"))


def owned_by(path: str, about: os.stat_result) -> disk.Owned:
    return disk.Owned(path=path, mode=stat.S_IMODE(about.st_mode), owner=user_name(about.st_uid))


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _room(path: Path) -> disk.Room | None:
    try:
        told = os.statvfs(path)
    except OSError:
        return None
    return disk.Room(
        free=told.f_bavail * told.f_frsize,
        total=told.f_blocks * told.f_frsize,
        inodes_free=told.f_favail,
        inodes=told.f_files,
    )


def _credentials(site: Site, computer: Computer) -> disk.Credentials | None:
    """Those beside the configuration; the unit's own must be there."""
    path = disk.beside(site.page.path)
    is_units = path == "/etc/edged/credentials"
    try:
        about = computer.at(path).stat()
    except FileNotFoundError:
        wanted = is_units and computer.has(site.page.path)
        return disk.Credentials(folder=None, path=path, is_units=True) if wanted else None
    except OSError:
        return None
    folder = owned_by(path, about)
    names = computer.names(path)
    if names is None:
        return disk.Credentials(folder=folder, path=path, files=None, is_units=is_units)
    found = [(name, computer.stat(f"{path}/{name}")) for name in names[:_MOST_FILES]]
    files = tuple(owned_by(f"{path}/{name}", told) for name, told in found if told is not None)
    return disk.Credentials(folder=folder, path=path, files=files, is_units=is_units)
