"""Which addresses a transfer may connect to: a CSMS must not make this computer knock at its neighbours' doors.

Owns the rule and the one resolution that it is applied to. Invariants: what is connected to is an address that was
judged, not a name; every address inside another (IPv4 in IPv6) is judged as well; a public address needs no permission,
any other needs one by the installer.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

from edged.domain.jobs import Cause
from edged.transfer.failure import TransferError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
"""Host and port to addresses. Blocks; raises `OSError` where there are none."""
SETTING = "files.allowed_hosts"
MAX_ADDRESSES = 8

# IANA's special-purpose registries; Python's own properties differ between its releases.
_SPECIAL_V4: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "of this computer"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "a provider's own"),
    ("127.0.0.0/8", "of this computer"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "reserved"),
    ("192.88.99.0/24", "reserved"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "reserved"),
    ("198.51.100.0/24", "reserved"),
    ("203.0.113.0/24", "reserved"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
_SPECIAL_V6: tuple[tuple[str, str], ...] = (
    ("::/127", "of this computer"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "private"),
    ("ff00::/8", "multicast"),
    ("2001::/23", "reserved"),
    ("2001:db8::/32", "reserved"),
    ("3fff::/20", "reserved"),
)
_V4 = tuple((ipaddress.IPv4Network(network), word) for network, word in _SPECIAL_V4)
_V6 = tuple((ipaddress.IPv6Network(network), word) for network, word in _SPECIAL_V6)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def special(address: Address) -> str | None:
    """In a word why an address is not public, None where it is."""
    if isinstance(address, ipaddress.IPv4Address):
        return next((word for network, word in _V4 if address in network), None)
    inner = embedded(address)
    if inner is not None:
        return special(inner)
    word = next((word for network, word in _V6 if address in network), None)
    return word or (None if address in _GLOBAL_V6 else "reserved")


def embedded(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a mapped, 6to4 or NAT64 one leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


class Gate:
    """`allowed`: exact host names, addresses and networks."""

    def __init__(self, allowed: Sequence[str]) -> None:
        networks: list[Network] = []
        names: set[str] = set()
        for entry in allowed:
            try:
                networks.append(ipaddress.ip_network(entry.strip().strip("[]"), strict=False))
            except ValueError:
                names.add(_plain(entry))
        self._networks = tuple(networks)
        self._names = frozenset(names)

    def permits(self, host: str, address: Address) -> bool:
        return special(address) is None or _plain(host) in self._names or self._lists(address)

    def _lists(self, address: Address) -> bool:
        inner = embedded(address)
        return any(address in network or (inner is not None and inner in network) for network in self._networks)


def judged(host: str, port: int, gate: Gate, resolve: Resolve) -> tuple[Address, ...]:
    """The addresses of a host that may be connected to, at least one. Blocks. Raises `TransferError`."""
    try:
        answers = resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise TransferError(f"the host {host} is not found") from error
    found: list[Address] = []
    for answer in answers:
        try:
            address = ipaddress.ip_address(answer.partition("%")[0])
        except ValueError:
            continue
        if address not in found:
            found.append(address)
    if not found:
        raise TransferError(f"the host {host} has no address")
    good = tuple(address for address in found if gate.permits(host, address))
    if not good:
        raise TransferError(
            f"the host {host} has the address {found[0]}, which is {special(found[0])}: files are only exchanged with"
            f" public addresses, and with those that {SETTING} lists",
            cause=Cause.REFUSED,
            again=False,
        )
    return good[:MAX_ADDRESSES]


def resolved(host: str, port: int) -> Sequence[str]:
    """By the system's resolver."""
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _plain(name: str) -> str:
    name = name.strip().rstrip(".").lower()
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return name
