"""One visit of the doctor: everything is looked at side by side, with one deadline, then judged and told.

Owns the order of things and the time. Refuses to know what any finding is about.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from edged.cli.doctor import broker, bus, clock, configuration, csms, disk, network, security, serial_lines, service
from edged.cli.doctor.computer import Computer
from edged.cli.doctor.configuration import Site, read_site
from edged.cli.doctor.daemon import Daemon, Presence, ask_daemon, mapping
from edged.cli.doctor.finding import PARTS, Finding, Level
from edged.cli.doctor.look_broker import look_at_broker
from edged.cli.doctor.look_computer import look_at_clock, look_at_disk, look_at_service
from edged.cli.doctor.look_csms import look_at_station
from edged.cli.doctor.look_lines import look_at_network, look_at_serial, named_lines, unit_of
from edged.cli.doctor.names import Resolver
from edged.cli.doctor.places import UNIT
from edged.cli.doctor.store import Kept, look_at_store, scratch
from edged.cli.doctor.tasks import Task
from edged.settings import SerialLine, Settings
from edged.words import csms_url

TOGETHER_S: Final = 22.0
STORE_S: Final = 8.0
LOOK_S: Final = 0.05
MOST_STATIONS: Final = 64
_OF_HOSTS: Final = ("network", "csms", "clock", "broker", "security")
Progress = Callable[[int, int, str], None]


@dataclass(slots=True, kw_only=True)
class Visit:
    """`parts`: those that are wanted."""

    config: Path
    control: Path
    state_dir: Path
    parts: Collection[str] = PARTS
    offline: bool = False
    computer: Computer = field(default_factory=Computer)
    progress: Progress = lambda _done, _total, _text: None
    together_s: float = TOGETHER_S

    def examine(self) -> tuple[tuple[Finding, ...], bool]:
        """Everything that was found, and whether the configuration is wrong."""
        until_s = time.monotonic() + self.together_s
        self.progress(0, 1, "edged itself, if it runs")
        daemon = ask_daemon(self.control)
        site = read_site(self.config)
        with scratch() as folder:
            looks = _Looks(self, site, daemon, Path(folder), until_s)
            looks.wait(self.progress)
            found = [*self._told(looks, site, daemon), *looks.unfinished()]
        return tuple(each for each in found if each.part in self.parts), site.settings is None

    def _told(self, looks: _Looks, site: Site, daemon: Daemon) -> list[Finding]:
        stations = tuple(filter(None, (task.wait(0) for task in looks.stations)))
        found: list[Finding] = [*configuration.judge(site)]
        time_facts = looks.result("clock")
        known = daemon.clock is not None and daemon.clock[1]
        if isinstance(time_facts, clock.ClockFacts):
            time_facts = replace(time_facts, comparisons=(*time_facts.comparisons, *csms.comparisons(stations)))
            known = known or time_facts.ntp_flag or time_facts.synchronized is True
            found += clock.judge(time_facts)
        for name, judge in _JUDGES.items():
            facts = looks.result(name)
            if facts is not None:
                found += judge(facts)
        found += csms.judge(tuple(replace(each, clock_known=known) for each in stations))
        if looks.is_over("broker") and site.settings is not None:
            at_broker = looks.result("broker")
            found += broker.judge(None if at_broker is None else replace(at_broker, clock_known=known))
        found += bus.judge(_bus_facts(daemon, site))
        if "security" in self.parts:
            found += security.judge(_security_facts(site, daemon, looks.resolver, offline=self.offline))
        return found


_JUDGES: dict[str, Callable[[Any], tuple[Finding, ...]]] = {
    "service": service.judge,
    "disk": disk.judge,
    "serial": serial_lines.judge,
    "network": network.judge,
}


class _Looks:
    """Everything that is being looked at."""

    def __init__(self, visit: Visit, site: Site, daemon: Daemon, folder: Path, until_s: float) -> None:
        self.resolver = Resolver()
        self._until_s = until_s
        computer, offline, resolver = visit.computer, visit.offline, self.resolver
        self.stations: tuple[Task[csms.StationFacts], ...] = ()
        wanted = _Wanted(visit.parts)
        hosts = hosts_of(site, daemon) if wanted(*_OF_HOSTS) else {}
        if not offline:
            for host in hosts:
                resolver.begin(host)  # all at once: none of them waits for another's time-out
        store = Task(
            lambda: (
                look_at_store(visit.state_dir, site, computer, folder, may_run=daemon.may_run)
                if wanted("disk", "csms", "clock")
                else Kept()
            ),
            "store",
        )
        at_service = Task(
            lambda: look_at_service(site, daemon, computer) if wanted("service", "disk", "serial") else None, "service"
        )

        def unit() -> serial_lines.Unit:
            facts = at_service.wait(STORE_S)
            return unit_of(None if facts is None else dict(facts.units), UNIT)

        def kept() -> Kept:
            return store.wait(STORE_S) or Kept(database=disk.Database(skipped=store.problem or "it took too long"))

        self._tasks: dict[str, Task[Any]] = {
            "service": at_service,
            "clock": Task(lambda: look_at_clock(site, daemon, computer) if wanted("clock", "csms") else None, "clock"),
            "disk": Task(
                lambda: (
                    look_at_disk(site, daemon, computer, visit.state_dir, kept().database, _owner(at_service, unit))
                    if wanted("disk")
                    else None
                ),
                "disk",
            ),
            "serial": Task(
                lambda: look_at_serial(site, daemon, computer, unit()) if wanted("serial") else None, "serial"
            ),
            "network": Task(
                lambda: (
                    look_at_network(site, daemon, computer, resolver, hosts, offline=offline)
                    if wanted("network")
                    else None
                ),
                "network",
            ),
            "broker": Task(
                lambda: look_at_broker(site, daemon, resolver, offline=offline) if wanted("broker") else None, "broker"
            ),
        }
        if site.settings is not None and wanted("csms", "clock"):
            again = _Again(visit.control, daemon)
            self.stations = tuple(
                Task(
                    lambda station=station: look_at_station(  # type: ignore[misc]
                        station, site, daemon, resolver, kept=kept(), connected=again.connected, offline=offline
                    ),
                    "csms",
                )
                for station in site.settings.stations[:MOST_STATIONS]
            )

    @property
    def _all(self) -> tuple[Task[Any], ...]:
        return (*self._tasks.values(), *self.stations)

    def wait(self, progress: Progress) -> None:
        total = len(self._all) + 1
        while (under_way := [task.name for task in self._all if not task.is_over]) and time.monotonic() < self._until_s:
            progress(total - len(under_way), total, ", ".join(dict.fromkeys(under_way)))
            time.sleep(LOOK_S)

    def result(self, name: str) -> Any:
        return self._tasks[name].wait(0)

    def is_over(self, name: str) -> bool:
        return self._tasks[name].is_over and not self._tasks[name].problem

    def unfinished(self) -> list[Finding]:
        """What could not be looked at, told as such."""
        found = []
        for task in self._all:
            if not task.is_over or task.problem:
                task.wait(0)
                sentence = f"{task.name} was not looked at: {task.problem}"
                mend = f"sudo edged doctor --only {task.name}"
                found.append(
                    Finding(part=task.name, subject="doctor", level=Level.WARNING, sentence=sentence, command=mend)
                )
        return list(dict.fromkeys(found))


class _Wanted:
    def __init__(self, parts: Collection[str]) -> None:
        self._parts = parts

    def __call__(self, *parts: str) -> bool:
        """Whether one of these is wanted."""
        return any(part in self._parts for part in parts)


class _Again:
    """Asks a running daemon once more, just before its identity is used."""

    def __init__(self, control: Path, daemon: Daemon) -> None:
        self._control = control
        self._daemon = daemon

    def connected(self, identity: str) -> bool | None:
        now = ask_daemon(self._control)
        if now.presence is Presence.ABSENT:
            return False
        return mapping(now.station(identity).get("csms")).get("connected") is not False


def _owner(at_service: Task[Any], unit: Callable[[], serial_lines.Unit]) -> str | None:
    """Whose the state must be: known only where there is a unit."""
    facts = at_service.wait(STORE_S)
    is_there = facts is not None and service.one(facts.units.get(UNIT, {}), "LoadState") == "loaded"
    return unit().user if is_there else None


def hosts_of(site: Site, daemon: Daemon) -> dict[str, tuple[str, str]]:
    """What each host of the configuration is for, and what stands in its line."""
    settings = site.settings
    if settings is None:
        return {}
    found: dict[str, tuple[str, str]] = {}
    for station in settings.stations:
        told = mapping(daemon.station(station.id).get("csms")).get("url")
        for url in (csms_url(station.csms, station.csms.security_profile), told if isinstance(told, str) else ""):
            host = _host(url)
            if host:
                found.setdefault(host, (f"csms of {station.id}", host))
    if settings.mqtt is not None:
        found.setdefault(settings.mqtt.host, ("broker", settings.mqtt.host))
    for name, line in named_lines(settings).items():
        if not isinstance(line, SerialLine):
            found.setdefault(line.host, (name, line.host))
    return dict(list(found.items())[:MOST_STATIONS])


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _bus_facts(daemon: Daemon, site: Site) -> bus.BusFacts:
    return bus.BusFacts(
        buses=daemon.buses,
        config=str(site.page.path),
        runs=daemon.runs,
        problem="" if daemon.presence is Presence.ABSENT else daemon.problem,
        may_not=daemon.presence is Presence.FORBIDDEN,
    )


def _security_facts(site: Site, daemon: Daemon, resolver: Resolver, *, offline: bool) -> security.SecurityFacts:
    settings = site.settings
    lines = () if settings is None else tuple(_plain_lines(settings, daemon, resolver, offline=offline))
    return security.SecurityFacts(page=site.page, mode=site.mode, lines=lines)


def _plain_lines(settings: Settings, daemon: Daemon, resolver: Resolver, *, offline: bool) -> list[security.Line]:
    """Those without TLS."""

    def addresses(host: str) -> tuple[str, ...]:
        return () if offline else resolver.resolve(host).addresses

    found = []
    for station in settings.stations:
        told = mapping(daemon.station(station.id).get("csms"))
        own = csms_url(station.csms, station.csms.security_profile)
        url = told["url"] if isinstance(told.get("url"), str) else own
        profile = (
            told["security_profile"] if isinstance(told.get("security_profile"), int) else station.csms.security_profile
        )
        if url.startswith("ws://"):
            host = _host(url)
            found.append(
                security.Line(
                    subject=station.id,
                    host=host,
                    addresses=addresses(host),
                    key=own,
                    profile=profile,
                    has_password=profile == 1,
                )
            )
    mqtt = settings.mqtt
    if mqtt is not None and not mqtt.tls:
        found.append(
            security.Line(
                subject="broker",
                host=mqtt.host,
                addresses=addresses(mqtt.host),
                key="mqtt://",
                has_password=mqtt.password is not None,
            )
        )
    return found
