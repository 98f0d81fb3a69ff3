"""What this computer tells of serial ports, GPIO chips and the network. Blocking, bounded, opens no device."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Collection
from typing import Final

from edged.chargers.serial_ports import SerialPorts
from edged.cli.doctor import network, serial_lines, service
from edged.cli.doctor.computer import Computer
from edged.cli.doctor.configuration import Site
from edged.cli.doctor.daemon import Daemon
from edged.cli.doctor.look_computer import user_name
from edged.cli.doctor.names import Resolver
from edged.cli.doctor.peer import STEP_S, reach
from edged.settings import Line, ResetLine, SerialLine, Settings
from edged.settings.relays import flaw_of_chip

SERVICE_USER: Final = "edged"
_COMMAND_LINES: Final = ("/boot/firmware/cmdline.txt", "/boot/cmdline.txt", "/proc/cmdline")
MOST_KNOCKS: Final = 32
KNOCK_S: Final = 2.0


def unit_of(units: dict[str, service.Properties] | None, name: str) -> serial_lines.Unit:
    """What the service may, by its unit and the computer's groups. Without a unit it is whoever runs the doctor."""
    unit = (units or {}).get(name, {})
    is_there = service.one(unit, "LoadState") == "loaded"
    user = (service.one(unit, "User") if is_there else "") or SERVICE_USER
    more = " ".join(unit.get("SupplementaryGroups", ())).split() if is_there else []
    try:
        about = pwd.getpwnam(user)
    except KeyError:
        user = user_name(os.geteuid())
        groups: list[int] = [os.getegid(), *os.getgroups()]
    else:
        groups = os.getgrouplist(user, about.pw_gid)
    return serial_lines.Unit(
        user=user,
        groups=frozenset({*map(_group_name, groups), *more}),
        policy=service.one(unit, "DevicePolicy") if is_there else "",
        rules=unit.get("DeviceAllow", ()) if is_there else (),
    )


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def look_at_serial(
    site: Site, daemon: Daemon, computer: Computer, unit: serial_lines.Unit
) -> serial_lines.SerialFacts | None:
    """None without a configuration."""
    settings = site.settings
    if settings is None:
        return None
    ports = SerialPorts(computer.root)
    drivers = serial_lines.parse_drivers(computer.text("/proc/devices") or "")
    lines = {name: line for name, line in named_lines(settings).items() if isinstance(line, SerialLine)}
    processes = computer.processes()
    texts = [computer.text(path, 16_384) or "" for path in _COMMAND_LINES]
    consoles = {ports.device(each) for each in serial_lines.parse_consoles(*texts)}
    return serial_lines.SerialFacts(
        ports=tuple(_port(name, line.port, computer, ports, drivers) for name, line in lines.items()),
        page=site.page,
        unit=unit,
        names=ports.names(),
        running=processes,
        consoles=consoles,
        gettys=_gettys(computer, processes),
        chips=tuple(
            _chip(charger.name, charger.reset_relay, computer, drivers)
            for charger in settings.chargers.values()
            if isinstance(charger.reset_relay, ResetLine)
        ),
        sees_holders=computer.is_root or not lines,
        daemon_runs=daemon.runs,
    )


def named_lines(settings: Settings) -> dict[str, Line]:
    """Each line once, by the name of its bus or of the charger that has it for itself."""
    found: dict[str, Line] = dict(settings.buses)
    found.update({each.name: each.line for each in settings.chargers.values() if each.bus is None})
    return found


def _port(name: str, port: str, computer: Computer, ports: SerialPorts, drivers: dict[int, str]) -> serial_lines.Port:
    device = ports.device(port)
    about = computer.stat(device)
    if about is None:
        return serial_lines.Port(line=name, port=port, device=device, exists=False)
    number = None
    if stat.S_ISCHR(about.st_mode):
        number = (os.major(about.st_rdev), os.minor(about.st_rdev))
    both_group, both_all, both_owner = (
        stat.S_IRGRP | stat.S_IWGRP,
        stat.S_IROTH | stat.S_IWOTH,
        stat.S_IRUSR | stat.S_IWUSR,
    )
    return serial_lines.Port(
        line=name,
        port=port,
        device=device,
        number=number,
        driver=drivers.get(number[0], "") if number else "",
        owner=user_name(about.st_uid),
        group=_group_name(about.st_gid),
        owner_may=about.st_mode & both_owner == both_owner,
        group_may=about.st_mode & both_group == both_group,
        all_may=about.st_mode & both_all == both_all,
        lasting=ports.lasting_name(port),
        latency_ms=ports.latency_timer_ms(port),
        holders=tuple(
            (holder.pid, "edged" if _is_edged(holder.pid, computer) else holder.name) for holder in ports.holders(port)
        ),
    )


def _is_edged(pid: int, computer: Computer) -> bool:
    """Also where an interpreter with options of its own runs it."""
    words = computer.words_of(pid)
    return any(word.rpartition("/")[2] == "edged" for word in words[:6])


def _gettys(computer: Computer, processes: Collection[str]) -> set[str]:
    """Devices at which a login prompt waits."""
    if not {"agetty", "getty"} & set(processes):
        return set()
    return {
        f"/dev/{word}"
        for words in computer.command_lines("agetty", "getty")
        for word in words
        if word.startswith("tty")
    }


def _chip(charger: str, line: ResetLine, computer: Computer, drivers: dict[int, str]) -> serial_lines.Chip:
    flaw = flaw_of_chip(str(computer.at(line.gpio)))
    about = computer.stat(line.gpio)
    if flaw is not None or about is None:
        return serial_lines.Chip(charger=charger, path=line.gpio, flaw=flaw or "is not there")
    major = os.major(about.st_rdev)
    both = stat.S_IRGRP | stat.S_IWGRP
    return serial_lines.Chip(
        charger=charger,
        path=line.gpio,
        group=_group_name(about.st_gid),
        group_may=about.st_mode & both == both,
        number=(major, os.minor(about.st_rdev)),
        driver=drivers.get(major, "gpiochip"),
    )


# --- the network


def look_at_network(
    site: Site,
    daemon: Daemon,
    computer: Computer,
    resolver: Resolver,
    hosts: dict[str, tuple[str, str]],
    *,
    offline: bool,
) -> network.NetworkFacts:
    """`hosts`: what each host is for, and what stands in its line of the configuration."""
    interfaces = tuple(name for name in computer.names("/sys/class/net") or () if name != "lo")
    servers = computer.text("/etc/resolv.conf")
    facts = network.NetworkFacts(
        page=site.page,
        offline=offline,
        has_route=network.has_default_route(
            computer.text("/proc/net/route") or "", computer.text("/proc/net/ipv6_route") or ""
        ),
        interfaces=interfaces,
        unplugged=tuple(
            name for name in interfaces if (computer.text(f"/sys/class/net/{name}/carrier") or "") == "0\n"
        ),
        servers=None if servers is None else network.parse_servers(servers),
        has_nmcli=computer.command("nmcli") is not None,
    )
    if offline:
        return facts
    return network.NetworkFacts(
        **{
            **{name: getattr(facts, name) for name in facts.__slots__},
            "named": tuple(
                network.Named(subject=subject, resolved=resolver.resolve(host), key=key)
                for host, (subject, key) in hosts.items()
            ),
            "knocks": _knocks(site.settings, daemon, resolver),
        }
    )


def _knocks(settings: Settings | None, daemon: Daemon, resolver: Resolver) -> tuple[network.Knock, ...]:
    """Network chargers, one after the other, while no daemon has them: many serve one client only, and some lock
    themselves up when it goes."""
    found: list[network.Knock] = []
    lines = {} if settings is None else named_lines(settings)
    for name, line in lines.items():
        if isinstance(line, SerialLine) or len(found) >= MOST_KNOCKS:
            continue
        knock = network.Knock(charger=name, host=line.host, port=line.port)
        found.append(_knock(knock, daemon, resolver, within_s=min(KNOCK_S, 3 * STEP_S / max(1, len(lines)))))
    return tuple(found)


def _knock(knock: network.Knock, daemon: Daemon, resolver: Resolver, *, within_s: float) -> network.Knock:
    if daemon.may_run:
        why = "edged holds it, see bus" if daemon.runs else "edged may hold it"
        return network.Knock(charger=knock.charger, host=knock.host, port=knock.port, skipped=why)
    resolved = resolver.resolve(knock.host)
    if resolved.trouble is not None:
        return network.Knock(charger=knock.charger, host=knock.host, port=knock.port, trouble=resolved.trouble)
    reached = reach(resolved.addresses, knock.port, within_s)
    if reached.connection is not None:
        reached.connection.close()
    return network.Knock(
        charger=knock.charger, host=knock.host, port=knock.port, trouble=reached.trouble, reason=reached.reason
    )
