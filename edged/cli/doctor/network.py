"""The way out: is there a network, do names lead anywhere, does a charger's address answer. Pure."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from shlex import quote
from typing import Final

from edged.cli.doctor.finding import Finding, Findings
from edged.cli.doctor.places import Page

SLOW_S: Final = 2.0
SEE_NETWORK: Final = "sudo edged doctor --only network"
MAX_SHOWN: Final = 4


class Trouble(StrEnum):
    """Why there is no connection."""

    NAME = "name"
    NO_DNS = "no dns"
    REFUSED = "refused"
    NO_ROUTE = "no route"
    SILENT = "silent"
    HUNG_UP = "hung up"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A name's addresses, or why there are none."""

    host: str
    addresses: tuple[str, ...] = ()
    trouble: Trouble | None = None
    reason: str = ""
    took_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A host that the configuration names, and what for. `key`: what stands in its line."""

    subject: str
    resolved: Resolved
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """A charger's address: `trouble` None where it took a connection. `skipped`: why it was left alone."""

    charger: str
    host: str
    port: int
    trouble: Trouble | None = None
    reason: str = ""
    skipped: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """`unplugged`: interfaces that are up and have no carrier. `servers`: DNS servers, None unknown."""

    page: Page
    has_route: bool = True
    interfaces: tuple[str, ...] = ()
    unplugged: tuple[str, ...] = ()
    servers: tuple[str, ...] | None = ()
    has_nmcli: bool = False
    named: tuple[Named, ...] = ()
    knocks: tuple[Knock, ...] = ()
    offline: bool = False


def is_public(addresses: Iterable[str]) -> bool:
    """Whether one of them lies outside of the site; what is no address is taken for that."""
    for text in addresses:
        try:
            if ipaddress.ip_address(text.partition("%")[0]).is_global:
                return True
        except ValueError:
            return True
    return False


def has_default_route(ipv4: str, ipv6: str) -> bool:
    """Of /proc/net/route and /proc/net/ipv6_route."""
    for line in ipv4.splitlines()[1:4096]:
        parts = line.split()
        if len(parts) >= 8 and parts[1] == "00000000" and parts[7] == "00000000":
            return True
    for line in ipv6.splitlines()[:4096]:
        parts = line.split()
        if len(parts) >= 10 and parts[0] == "0" * 32 and parts[1] == "00" and parts[9] != "lo":
            return True
    return False


def parse_servers(text: str) -> tuple[str, ...]:
    """The name servers of /etc/resolv.conf."""
    lines = (line.split() for line in text.splitlines()[:1024])
    return tuple(parts[1][:64] for parts in lines if len(parts) > 1 and parts[0] == "nameserver")[:8]


def trouble_of(error: BaseException) -> tuple[Trouble, str]:
    """What an error of a look-up or a connection means, and the system's own words."""
    reason = str(getattr(error, "strerror", None) or str(error) or type(error).__name__)
    if isinstance(error, socket.gaierror):
        away = error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM)
        return (Trouble.NO_DNS if away else Trouble.NAME), reason
    if isinstance(error, UnicodeError):
        return Trouble.NAME, "it is no name"
    if isinstance(error, TimeoutError):
        return Trouble.SILENT, "no answer"
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:
        reason = os.strerror(number)
    match number:
        case errno.ECONNREFUSED:
            return Trouble.REFUSED, reason
        case errno.EHOSTUNREACH | errno.ENETUNREACH | errno.ENETDOWN | errno.EHOSTDOWN | errno.EADDRNOTAVAIL:
            return Trouble.NO_ROUTE, reason
        case errno.ETIMEDOUT:
            return Trouble.SILENT, reason
        case errno.ECONNRESET | errno.ECONNABORTED | errno.EPIPE:
            return Trouble.HUNG_UP, reason
        case _:
            return Trouble.OTHER, reason


def judge(facts: NetworkFacts) -> tuple[Finding, ...]:
    found = Findings("network")
    if not facts.offline:
        _route(found, facts)
        _servers(found, facts)
    for named in facts.named:
        _name(found, named, facts)
    for knock in facts.knocks:
        _knock(found, knock, facts.page)
    if facts.offline:
        found.note("offline", "nothing of the network was looked at, as wanted by --offline", "sudo edged doctor")
    return found.made


def _route(found: Findings, facts: NetworkFacts) -> None:
    if facts.has_route:
        found.ok("route", "there is a way out of this network")
        return
    up = (
        "sudo nmcli networking on && nmcli device" if facts.has_nmcli else "sudo systemctl restart networking; ip route"
    )
    addresses = [address for named in facts.named for address in named.resolved.addresses]
    if addresses and not is_public(addresses) and not any(named.resolved.trouble for named in facts.named):
        found.note("route", "there is no way out of this network; all that edged talks to lies in it", up)
    elif facts.unplugged:
        names = ", ".join(facts.unplugged[:MAX_SHOWN])
        found.failed(
            "route", f"there is no way out (no default route), and no cable in {names}", f"plug it in, then: {up}"
        )
    elif not facts.interfaces:
        found.failed("route", "this computer has no network interface", "ip link; dmesg | grep -i eth")
    else:
        found.failed("route", "there is no way out of this network: no default route", up)


def _servers(found: Findings, facts: NetworkFacts) -> None:
    if facts.servers is None or facts.servers or not any(each.resolved.took_s for each in facts.named):
        return
    found.failed("dns", "no DNS server is configured: no name leads anywhere", _dns(facts))


def _dns(facts: NetworkFacts) -> str:
    if facts.has_nmcli:
        device = facts.interfaces[0] if facts.interfaces else "eth0"
        return f"sudo nmcli device modify {device} +ipv4.dns 9.9.9.9"
    return "echo 'nameserver 9.9.9.9' | sudo tee -a /etc/resolv.conf"


def _name(found: Findings, named: Named, facts: NetworkFacts) -> None:
    resolved = named.resolved
    host = quote(resolved.host)
    if resolved.trouble is Trouble.NAME:
        found.failed(
            named.subject,
            f"nobody knows the name {resolved.host} ({resolved.reason})",
            facts.page.change(f"write the right name for {resolved.host} (getent hosts {host} asks again)", named.key),
        )
    elif resolved.trouble is not None:
        found.failed(
            named.subject,
            f"the name {resolved.host} was not resolved ({resolved.reason}): the DNS servers do not answer",
            _dns(facts),
        )
    elif resolved.took_s >= SLOW_S:
        found.warning(
            named.subject,
            f"it took {resolved.took_s:.1f} s to learn that {resolved.host} is {_shown(resolved.addresses)}: a DNS "
            "server that is asked first does not answer",
            f"time getent hosts {host}; cat /etc/resolv.conf",
        )
    elif resolved.addresses != (resolved.host,):
        found.ok(named.subject, f"{resolved.host} is {_shown(resolved.addresses)}")


def _shown(addresses: tuple[str, ...]) -> str:
    more = len(addresses) - MAX_SHOWN
    return ", ".join(addresses[:MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")


def place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _knock(found: Findings, knock: Knock, page: Page) -> None:
    where = place(knock.host, knock.port)
    match knock.trouble:
        case None if knock.skipped:
            found.ok(knock.charger, f"{where} was left alone: {knock.skipped}")
        case None:
            found.ok(knock.charger, f"{where} takes a connection")
        case Trouble.REFUSED:
            found.failed(
                knock.charger,
                f"{where} refuses connections: is Modbus TCP on in its settings, is the port right, and does another "
                "client hold the only connection that it serves?",
                page.change("write its port", knock.host),
            )
        case Trouble.NO_ROUTE:
            found.failed(
                knock.charger,
                f"there is no way to {where} ({knock.reason}): is it on, and is this computer in its network?",
                f"ip route get {quote(knock.host)}; ping -c 3 {quote(knock.host)}",
            )
        case Trouble.SILENT:
            found.failed(
                knock.charger,
                f"{where} does not answer at all: has it power, is its cable in, is the address right?",
                f"ping -c 3 {quote(knock.host)}; ip neighbour show {quote(knock.host)}",
            )
        case Trouble.NAME | Trouble.NO_DNS:
            return  # told where names are
        case _:
            found.failed(knock.charger, f"{where} cannot be reached ({knock.reason})", f"ping -c 3 {quote(knock.host)}")
